/* Sound images in memory for the tests of hostile ones: made by plat's own makers, patched through a mapping,
 * read through a file device of the same memory, so that holes stay known and one judgement costs less than a
 * millisecond. */
#ifndef PLAT_TESTS_HOSTILE_IMAGE_H
#define PLAT_TESTS_HOSTILE_IMAGE_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fs/verify.h"
#include "tests/unit/tap.h"

enum {
    HOSTILE_SECTOR = 512,
    HOSTILE_MIB = 1 << 20,
    HOSTILE_FAT_START = HOSTILE_MIB,
    HOSTILE_FAT_BYTES = 34 * HOSTILE_MIB, /* the smallest FAT32 there is, nearly: verifying it is quick */
    HOSTILE_DISK_BYTES = HOSTILE_FAT_BYTES + 2 * HOSTILE_MIB,
    HOSTILE_TABLE_BYTES = 4 * HOSTILE_MIB, /* disks with tables alone */
    HOSTILE_CLUSTER = 512
};
/* 2026-11-21 12:34:56 UTC: every part of it can be changed to one that is out of range. */
#define HOSTILE_TIME 1795264496

struct hostile {
    struct plat_dev *dev; /* writable, over the same bytes */
    uint8_t *bytes;
    uint64_t size_bytes;
    int fd;
    char path[40]; /* for commands: /proc/self/fd/N */
};

/* What a test cannot do without failed: say so and end. */
__attribute__((noreturn)) static inline void hostile_die(const char *what, const struct plat_err *err)
{
    printf("Bail out! %s: %s\n", what, err != NULL ? err->text : "");
    exit(1);
}

static inline void hostile_open(uint64_t size_bytes, struct hostile *ret)
{
    struct plat_err err = {0};
    struct hostile h = {.size_bytes = size_bytes, .fd = memfd_create("hostile", MFD_CLOEXEC)};
    if (h.fd < 0 || ftruncate(h.fd, (off_t)size_bytes) != 0)
        hostile_die("memory for an image", NULL);
    h.bytes = mmap(NULL, (size_t)size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, h.fd, 0);
    (void)snprintf(h.path, sizeof h.path, "/proc/self/fd/%d", h.fd);
    if (h.bytes == MAP_FAILED || dev_open_file(h.path, true, &h.dev, &err) != 0)
        hostile_die("opening the image", &err);
    *ret = h;
}

static inline void hostile_close(struct hostile *h)
{
    dev_close(h->dev);
    (void)munmap(h->bytes, (size_t)h->size_bytes);
    (void)close(h->fd);
}

/* ---- what is in the filesystem ---- */

static const struct hostile_file {
    const char *path;
    size_t n; /* bytes of content, none of them 0 */
} hostile_files[] = {
    {"README.TXT", 700}, /* an 8.3 name without a long one */
    {"EMPTY.DAT", 0},    /* no cluster */
    {"GONE.TMP", 0},     /* deleted below */
    {"A long name, of three pieces, with \xc3\xbc.text", 512},
    {"EFI/BOOT/BOOTX64.EFI", 3000},
    {"EFI/BOOT/second long name.conf", 90},
    {"tree/sub/a long name, one", 600},
    {"tree/sub/a long name, two", 600},
    {"tree/sub/a long name, three", 600},
    {"tree/sub/a long name, twelve", 600},
    {"tree/sub/a long name, a hundred", 600}, /* with it the directory has two clusters */
    {"tree/LAST.BIN", 1024},
};
enum { HOSTILE_FILES = sizeof hostile_files / sizeof hostile_files[0] };

static inline struct tree *hostile_tree(void)
{
    struct plat_err err = {0};
    struct tree *tree = NULL;
    const struct tree_options options = {.has_time = true, .time_s = HOSTILE_TIME};
    uint8_t content[4096];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i % 251 + 1);
    if (tree_open(&options, &tree, &err) != 0)
        hostile_die("a tree", &err);
    for (size_t i = 0; i < HOSTILE_FILES; i++)
        if (tree_add_literal(tree, hostile_files[i].path, content, hostile_files[i].n, &err) != 0)
            hostile_die(hostile_files[i].path, &err);
    if (tree_finish(tree, &err) != 0)
        hostile_die("a tree", &err);
    return tree;
}

/* A FAT32 with those files at `start` of the device. */
static inline void hostile_fat(struct plat_dev *dev, uint64_t start, uint64_t bytes)
{
    struct plat_err err = {0};
    struct make_plan *plan = NULL;
    struct plat_dev *window = NULL;
    struct tree *tree = hostile_tree();
    const struct fs_maker *maker = fs_driver_find("fat32")->maker;
    struct make_options options = {.label = "HOSTILE",
                                   .seed = "hostile",
                                   .sector_bytes = HOSTILE_SECTOR,
                                   .first_sector = start / HOSTILE_SECTOR,
                                   .has_time = true,
                                   .time_s = HOSTILE_TIME,
                                   .extra = json_pack("{s:i}", "reserved-sectors", 10)};
    int rc = maker->plan(tree, &options, &plan, &err);
    if (rc == 0)
        rc = maker->settle(plan, bytes, &err);
    if (rc == 0)
        rc = dev_open_window(dev, (struct range){start, bytes}, &window, &err);
    if (rc == 0)
        rc = maker->write(plan, window, NULL, &err);
    if (rc != 0)
        hostile_die("making a FAT32", &err);
    json_decref(options.extra);
    maker->close(plan);
    dev_close(window);
    tree_close(tree);
}

/* ---- disks ---- */

struct hostile_part {
    const char *name, *type;
    uint64_t start, bytes;
};

static inline void hostile_table(const struct hostile *h, const char *format, const struct hostile_part *list,
                                 size_t n)
{
    struct plat_err err = {0};
    struct table_partition parts[4] = {0};
    const struct table_maker *table = fs_driver_find(format)->table;
    const struct table_spec spec = {.sector_bytes = HOSTILE_SECTOR,
                                    .disk_sectors = h->size_bytes / HOSTILE_SECTOR,
                                    .disk_guid = {0xD1, 0x5C},
                                    .mbr_signature = 0xC0FFEE11,
                                    .partitions = parts,
                                    .n_partitions = n};
    for (uint32_t i = 0; i < n; i++) {
        parts[i] = (struct table_partition){.number = i + 1,
                                            .guid = {(uint8_t)(0x71 + i), 0xEE},
                                            .first_sector = list[i].start / HOSTILE_SECTOR,
                                            .sectors = list[i].bytes / HOSTILE_SECTOR};
        if (list[i].name != NULL)
            (void)snprintf(parts[i].name, sizeof parts[i].name, "%s", list[i].name);
        if (table->parse_type(list[i].type, &parts[i], &err) != 0)
            hostile_die("a partition type", &err);
    }
    if (table->validate(&spec, &err) != 0 || table->write_head(&spec, h->dev, &err) != 0 ||
        table->write_tail(&spec, h->dev, &err) != 0)
        hostile_die("making a partition table", &err);
}

/* GPT with three partitions that hold nothing. */
static inline void hostile_gpt(struct hostile *ret)
{
    static const struct hostile_part parts[] = {{"esp", "esp", HOSTILE_MIB, HOSTILE_MIB},
                                                {"root", "linux-root-x86-64", 2 * HOSTILE_MIB, HOSTILE_MIB},
                                                {"data", "linux-data", 3 * HOSTILE_MIB, HOSTILE_MIB / 2}};
    hostile_open(HOSTILE_TABLE_BYTES, ret);
    hostile_table(ret, "gpt", parts, 3);
}

/* MBR with two partitions that hold nothing. */
static inline void hostile_mbr(struct hostile *ret)
{
    static const struct hostile_part parts[] = {{NULL, "fat32", HOSTILE_MIB, HOSTILE_MIB},
                                                {NULL, "linux", 2 * HOSTILE_MIB, 2 * HOSTILE_MIB}};
    hostile_open(HOSTILE_TABLE_BYTES, ret);
    hostile_table(ret, "mbr", parts, 2);
}

/* A whole disk: GPT, and the files in its only partition, "esp". */
static inline void hostile_disk(struct hostile *ret)
{
    static const struct hostile_part parts[] = {{"esp", "esp", HOSTILE_FAT_START, HOSTILE_FAT_BYTES}};
    hostile_open(HOSTILE_DISK_BYTES, ret);
    hostile_table(ret, "gpt", parts, 1);
    hostile_fat(ret->dev, HOSTILE_FAT_START, HOSTILE_FAT_BYTES);
    /* A file without clusters is deleted by its mark alone. */
    uint8_t *gone = memmem(ret->bytes + HOSTILE_FAT_START, HOSTILE_FAT_BYTES, "GONE    TMP", 11);
    if (gone == NULL)
        hostile_die("the file that is to be deleted", NULL);
    gone[0] = 0xE5;
}

/* ---- judging ---- */

enum { HOSTILE_MAX_FOUND = 400 };
struct hostile_finding {
    enum severity severity;
    uint64_t offset;
    char id[40], path[120], text[200];
};
struct hostile_verdict {
    int open_class, verify_class;
    struct plat_err err;
    uint64_t errors, warnings, notes;
    struct hostile_finding list[HOSTILE_MAX_FOUND];
    size_t n;
};

static inline int hostile_keep(void *ctx, const struct finding *f)
{
    struct hostile_verdict *v = ctx;
    if (v->n == HOSTILE_MAX_FOUND)
        return 0;
    struct hostile_finding *to = &v->list[v->n++];
    to->severity = f->severity;
    to->offset = f->offset;
    (void)snprintf(to->id, sizeof to->id, "%s", f->id);
    (void)snprintf(to->path, sizeof to->path, "%s", f->path != NULL ? f->path : "");
    (void)snprintf(to->text, sizeof to->text, "%s", f->text != NULL ? f->text : "");
    return 0;
}

/* As `plat verify` does it; `partition` as behind -p, or NULL. */
static inline void hostile_judge(struct plat_dev *dev, const char *partition, struct hostile_verdict *ret)
{
    const struct stack_options options = {.degraded = true, .partition = partition};
    const struct finding_sink sink = {.fn = hostile_keep, .ctx = ret};
    struct verify_totals totals = {0};
    struct stack *stack = NULL;
    ret->n = 0;
    ret->errors = ret->warnings = ret->notes = 0;
    ret->verify_class = 0;
    ret->err = (struct plat_err){0};
    ret->open_class = stack_open(dev, &options, &stack, &ret->err);
    if (ret->open_class != 0)
        return;
    ret->verify_class = stack_verify(stack, &sink, &totals, &ret->err);
    ret->errors = totals.errors;
    ret->warnings = totals.warnings;
    ret->notes = totals.notes;
    stack_close(stack);
}

/* The exit code that `plat verify` gives. */
static inline int hostile_exit_code(const struct hostile_verdict *v)
{
    return v->open_class != 0 || v->verify_class != 0 ? 2 : v->errors > 0 ? 1 : 0;
}

static inline void hostile_print(const struct hostile_verdict *v)
{
    if (v->open_class != 0 || v->verify_class != 0)
        printf("#   class %d: %s\n", v->open_class != 0 ? v->open_class : v->verify_class, v->err.text);
    for (size_t i = 0; i < v->n && i < 8; i++)
        printf("#   %s %s at 0x%llx %s: %s\n", severity_name(v->list[i].severity), v->list[i].id,
               (unsigned long long)v->list[i].offset, v->list[i].path, v->list[i].text);
}

#endif
