/* What tests of hostile SquashFS images do with one: open, verify with contents, walk extents, read every directory, file,
 * target and attribute, within a time; and say what was found. */
#ifndef PLAT_TESTS_SQUASHFS_JUDGE_H
#define PLAT_TESTS_SQUASHFS_JUDGE_H

#include <sys/resource.h>

#include "lib/fs/verify.h"
#include "tests/unit/finding_words.h"
#include "tests/unit/squashfs_edit.h"

enum { CASE_SECONDS = 30, TEST_MEGABYTES = 512 };

struct judged {
    unsigned errors, nowhere; /* nowhere: neither path nor offset */
    struct words words;
};

static inline int judge_finding(void *ctx, const struct finding *finding)
{
    struct judged *judged = ctx;
    judged->errors += finding->severity == SEVERITY_ERROR;
    judged->nowhere += finding->path == NULL || (finding->path[0] == '\0' && !finding->has_offset);
    (void)keep(&judged->words, finding);
    return judged->errors > 500 ? PLAT_ESTOP : 0;
}

struct judge_visit {
    struct fs *fs;
    unsigned depth, entries;
};

static inline int judge_xattr(void *ctx, const struct fs_xattr *xattr)
{
    *(size_t *)ctx += xattr->value_bytes;
    return 0;
}

static inline int judge_dirent(void *ctx, const struct fs_dirent *entry)
{
    struct judge_visit *visit = ctx;
    struct fs_stat stat;
    struct strbuf target = {0};
    uint8_t buf[5000];
    size_t n = 0;
    if (++visit->entries > 400 || visit->depth > 8)
        return PLAT_ESTOP;
    (void)squashfs_xattrs(visit->fs, entry->node, judge_xattr, &n, NULL);
    if (squashfs_stat(visit->fs, entry->node, &stat, NULL) != 0)
        return 0;
    if (stat.kind == TREE_SYMLINK)
        (void)squashfs_readlink(visit->fs, entry->node, &target, NULL);
    if (stat.kind == TREE_FILE) {
        (void)squashfs_read(visit->fs, entry->node, 4000, buf, sizeof buf, &n, NULL);
        (void)squashfs_read(visit->fs, entry->node, stat.size_bytes / 2, buf, sizeof buf, &n, NULL);
    }
    strbuf_free(&target);
    visit->depth++;
    if (stat.kind == TREE_DIR)
        (void)squashfs_readdir(visit->fs, entry->node, judge_dirent, visit, NULL);
    visit->depth--;
    return 0;
}

static inline bool judge_extents(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
    return true;
}
static inline int judge_extent(void *ctx, const struct extent *extent)
{
    *(uint64_t *)ctx += extent->place.bytes;
    return 0;
}

/* Open, verify with contents, extents, files; what is found goes to *ret. */
static inline void judge(const uint8_t *image, size_t n, struct judged *ret)
{
    const struct fs_open_options options = {.degraded = true};
    const struct finding_sink sink = {.fn = judge_finding, .ctx = ret};
    struct verify_totals totals = {0};
    struct plat_dev *dev = NULL;
    struct plat_err err = {0};
    struct fs *fs = NULL;
    uint64_t root, bytes = 0, node;
    *ret = (struct judged){0};
    (void)alarm(CASE_SECONDS);
    if (dev_open_const(image, n, "image", &dev, &err) != 0)
        edit_die("a device");
    int rc = fs_open(&squashfs_driver, dev, &options, &fs, &err);
    if (rc != 0) {
        ret->errors++;
    } else {
        const struct walk_sink extents = {.ctx = &bytes, .extent = judge_extent, .wants = judge_extents};
        struct judge_visit visit = {.fs = fs};
        rc = fs_verify(fs, &sink, &totals, &err);
        if (rc == 0)
            rc = squashfs_scrub(fs, &sink, NULL, &err);
        if (rc != 0 && rc != PLAT_ESTOP) {
            printf("# verification fails: %d %s\n", rc, err.text);
            ret->nowhere++;
        }
        (void)squashfs_walk(fs, &extents, NULL);
        if (fs->driver->root(fs, &root, NULL) == 0) {
            (void)squashfs_readdir(fs, root, judge_dirent, &visit, NULL);
            (void)squashfs_lookup(fs, root, "many", &node, NULL);
        }
        fs_close(fs);
    }
    dev_close(dev);
    (void)alarm(0);
}

/* An image that asks for more than it has must not get it. */
static inline void test_memory(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
#ifdef __SANITIZE_ADDRESS__
    ok(true, "memory is not measured in an instrumented build");
#else
    ok(usage.ru_maxrss < TEST_MEGABYTES * 1024L, "at most %d MiB for all of that (%ld KiB)", TEST_MEGABYTES,
       usage.ru_maxrss);
#endif
}

#endif
