/* What every fuzz target of images does with one: open, verify with contents, walk the directories, read;
 * and repair, in memory. */
#ifndef PLAT_TESTS_FUZZ_EXERCISE_H
#define PLAT_TESTS_FUZZ_EXERCISE_H

#include "lib/fs/repair.h"
#include "lib/fs/stack.h"
#include "lib/fs/verify.h"

/* Changes bytes as the input says, 4 of it for each: 3 of place, 1 of value; the top bit of the second byte of a place aims
 * at the table. */
enum { PATCHES_TAKEN = 64 };
static inline void patch(struct plat_dev *disk, size_t table_at, size_t table_bytes, const uint8_t *data,
                         size_t n)
{
    uint8_t *bytes = dev_memory_bytes(disk);
    for (unsigned i = 0; i < PATCHES_TAKEN && n >= 4; i++, data += 4, n -= 4) {
        size_t at = data[0] | (size_t)data[1] << 8 | (size_t)(data[2] & 0x7f) << 16;
        if ((data[1] & 0x80) != 0)
            at = table_at + (at & 0x7fff) % table_bytes;
        bytes[at % (size_t)disk->size_bytes] = data[3];
    }
}

static inline int on_finding(void *ctx, const struct finding *finding)
{
    (void)finding;
    return ++*(unsigned *)ctx > 2000 ? PLAT_ESTOP : 0;
}

struct visit {
    struct fs *fs;
    unsigned depth, entries;
};

static inline int on_xattr(void *ctx, const struct fs_xattr *xattr)
{
    *(uint64_t *)ctx += xattr->value_bytes;
    return 0;
}

static inline int on_dirent(void *ctx, const struct fs_dirent *entry)
{
    struct visit *visit = ctx;
    const struct fs_driver *driver = visit->fs->driver;
    struct plat_err err;
    struct fs_stat st;
    uint8_t buf[4096];
    size_t got;
    if (++visit->entries > 500 || visit->depth > 8)
        return PLAT_ESTOP;
    if (driver->stat(visit->fs, entry->node, &st, &err) != 0)
        return 0;
    struct strbuf target = {0};
    if (st.kind == TREE_SYMLINK && driver->readlink != NULL)
        (void)driver->readlink(visit->fs, entry->node, &target, &err);
    strbuf_free(&target);
    uint64_t attribute_bytes = 0;
    if (driver->xattrs != NULL)
        (void)driver->xattrs(visit->fs, entry->node, on_xattr, &attribute_bytes, &err);
    if (st.kind == TREE_FILE)
        (void)driver->read(visit->fs, entry->node, 0, buf, sizeof buf, &got, &err);
    if (st.kind != TREE_DIR)
        return 0;
    visit->depth++;
    int rc = driver->readdir(visit->fs, entry->node, on_dirent, visit, &err);
    visit->depth--;
    return rc == PLAT_ESTOP ? rc : 0;
}

/* As `plat repair --dry-run` does it. */
static inline void exercise_repair(struct plat_dev *disk)
{
    const struct stack_options options = {.degraded = true};
    const struct repair_sink nobody = {0};
    struct plat_dev *overlay;
    struct plat_err err;
    if (dev_open_overlay(disk, &overlay, &err) != 0)
        return;
    (void)stack_repair(overlay, &options, &nobody, NULL, &err);
    dev_close(overlay);
}

static inline void exercise(struct plat_dev *disk, bool degraded)
{
    struct stack_options options = {.degraded = degraded};
    struct verify_totals totals = {0};
    struct stack *stack;
    struct plat_err err;
    unsigned findings = 0;
    struct finding_sink sink = {on_finding, &findings};
    if (stack_open(disk, &options, &stack, &err) != 0)
        return;
    (void)stack_verify(stack, &sink, &totals, &err);
    (void)stack_scrub(stack, &sink, &totals, NULL, &err);
    for (size_t i = 0; i < stack->n_layers; i++) {
        struct fs *fs = stack->layers[i].fs;
        uint64_t root;
        struct visit visit = {.fs = fs};
        if (fs != NULL && fs->driver->readdir != NULL && fs->driver->root(fs, &root, &err) == 0)
            (void)fs->driver->readdir(fs, root, on_dirent, &visit, &err);
    }
    stack_close(stack);
    if (degraded)
        exercise_repair(disk);
}

#endif
