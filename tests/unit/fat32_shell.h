/* For tests of FAT32 against images that mkfs.fat and mtools made: a scratch directory, commands, an open
 * volume, and findings kept for questions. */
#ifndef PLAT_TESTS_FAT32_SHELL_H
#define PLAT_TESTS_FAT32_SHELL_H

#include <stdlib.h>
#include <unistd.h>

#include "formats/fat32/volume.h"
#include "lib/fs/verify.h"
#include "tests/unit/tap.h"

static char scratch[64];

/* Runs a script in the scratch directory; false when it fails. */
__attribute__((format(printf, 1, 2))) static inline bool sh(const char *fmt, ...)
{
    char script[4096];
    int used = snprintf(script, sizeof script, "export LC_ALL=C.UTF-8 MTOOLS_SKIP_CHECK=1; set -e; cd '%s'; ",
                        scratch);
    va_list ap;
    va_start(ap, fmt);
    int more = vsnprintf(script + used, sizeof script - (size_t)used, fmt, ap);
    va_end(ap);
    return more >= 0 && (size_t)(used + more) < sizeof script && system(script) == 0;
}

static inline bool scratch_open(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(scratch, sizeof scratch, "%.40s/plat-fat32-XXXXXX", base != NULL ? base : "/tmp");
    return mkdtemp(scratch) != NULL;
}

static inline void scratch_close(void)
{
    (void)sh("cd /; rm -rf '%s'", scratch);
}

/* Says so in TAP and returns false when the tools that make the images are not installed. */
static inline bool have_tools(void)
{
    if (system("PATH=$PATH:/usr/sbin:/sbin; command -v mkfs.fat >/dev/null && command -v mcopy >/dev/null") ==
        0)
        return true;
    printf("ok 1 # SKIP mkfs.fat (dosfstools) or mcopy (mtools) is not installed\n1..1\n");
    return false;
}

struct found {
    enum severity severity;
    char id[48], path[160], text[400];
    bool has_offset;
    uint64_t offset;
};
struct findings {
    struct found *list;
    size_t n, cap;
};

static inline int keep_finding(void *ctx, const struct finding *finding)
{
    struct findings *all = ctx;
    if (all->n == all->cap) {
        all->cap = all->cap == 0 ? 64 : all->cap * 2;
        all->list = realloc(all->list, all->cap * sizeof *all->list);
        if (all->list == NULL)
            abort();
    }
    struct found *found = &all->list[all->n++];
    *found = (struct found){
        .severity = finding->severity, .has_offset = finding->has_offset, .offset = finding->offset};
    (void)snprintf(found->id, sizeof found->id, "%s", finding->id != NULL ? finding->id : "");
    (void)snprintf(found->path, sizeof found->path, "%s", finding->path != NULL ? finding->path : "");
    (void)snprintf(found->text, sizeof found->text, "%.399s", finding->text != NULL ? finding->text : "");
    return 0;
}

static inline void print_findings(const struct findings *all)
{
    for (size_t i = 0; i < all->n && i < 20; i++)
        printf("# %s %s %s: %s\n", severity_name(all->list[i].severity), all->list[i].id, all->list[i].path,
               all->list[i].text);
}

/* The finding with this id whose path begins so, or NULL. */
static inline const struct found *find_finding(const struct findings *all, const char *id, const char *path)
{
    for (size_t i = 0; i < all->n; i++) {
        if (strcmp(all->list[i].id, id) == 0 && strncmp(all->list[i].path, path, strlen(path)) == 0)
            return &all->list[i];
    }
    return NULL;
}

static inline size_t count_findings(const struct findings *all, enum severity worst)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++)
        n += all->list[i].severity <= worst;
    return n;
}

/* An image in the scratch directory, opened as verify opens it. */
struct opened {
    struct plat_dev *dev;
    struct fs *fs;
    struct plat_err err;
};

static inline bool open_dev(struct opened *ret, const char *name, bool writable)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", scratch, name);
    *ret = (struct opened){0};
    return dev_open_file(path, writable, &ret->dev, &ret->err) == 0;
}

static inline bool open_fs(struct opened *o)
{
    const struct fs_open_options options = {.degraded = true};
    return fs_open(&fat32_driver, o->dev, &options, &o->fs, &o->err) == 0;
}

static inline void close_all(struct opened *o)
{
    if (o->fs != NULL)
        fs_close(o->fs);
    dev_close(o->dev);
    *o = (struct opened){0};
}

/* Opens, verifies, closes the volume on o->dev. */
static inline bool verify_into(struct opened *o, struct findings *ret)
{
    const struct finding_sink sink = {.fn = keep_finding, .ctx = ret};
    ret->n = 0;
    if (!open_fs(o)) {
        printf("# %s\n", o->err.text);
        return false;
    }
    int rc = fs_verify(o->fs, &sink, NULL, &o->err);
    if (rc != 0)
        printf("# verify: %d %s\n", rc, o->err.text);
    fs_close(o->fs);
    o->fs = NULL;
    return rc == 0;
}

#endif
