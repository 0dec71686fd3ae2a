/* A CAPOSWF1 in memory that a test changes. */
#ifndef PLAT_TESTS_CAPOSWF1_CHANGE_H
#define PLAT_TESTS_CAPOSWF1_CHANGE_H

#include "formats/caposwf1/writer.h"
#include "tests/unit/tap.h"

static struct plat_err err;

static inline void must(int rc, const char *what)
{
    if (rc == 0)
        return;
    printf("Bail out! %s: %s\n", what, err.text);
    exit(1);
}

static inline struct plat_dev *fresh(uint64_t blocks, uint32_t superblock_block)
{
    struct plat_dev *dev;
    const struct wf1_shape shape = {.superblock_block = superblock_block,
                                    .region_first_block = superblock_block + 2,
                                    .region_blocks = blocks - superblock_block - 2};
    must(dev_open_memory(blocks * WF1_BLOCK_BYTES, "image", &dev, &err), "memory");
    must(wf1_format(dev, &shape, &err), "format");
    return dev;
}

static inline struct fs *reach(struct plat_dev *dev, bool writable)
{
    const struct fs_open_options options = {.writable = writable};
    struct volume *vol;
    must(wf1_volume_open(dev, NULL, &options, NULL, &vol, &err), "open");
    return &vol->fs;
}

static inline void leave(struct fs *fs)
{
    wf1_volume_close(volume_of(fs));
}

static unsigned n_errors;
static char first_error[256];
static inline int on_finding(void *ctx, const struct finding *finding)
{
    (void)ctx;
    if (finding->severity == SEVERITY_ERROR && n_errors++ == 0)
        (void)snprintf(first_error, sizeof first_error, "%.80s: %.160s", finding->path, finding->text);
    return 0;
}

/* At rest: nothing to find, by any reader. */
static inline bool sound(struct plat_dev *dev)
{
    const struct finding_sink sink = {.fn = on_finding};
    struct fs *fs = reach(dev, false);
    n_errors = 0;
    must(caposwf1_check(fs, &sink, &err), "check");
    must(caposwf1_scrub(fs, &sink, NULL, &err), "scrub");
    const bool clean = volume_of(fs)->pair.clean;
    leave(fs);
    if (n_errors > 0)
        printf("# %u findings, the first: %s\n", n_errors, first_error);
    return n_errors == 0 && clean;
}

static const struct fs_writer *const writer = &caposwf1_writer;

static inline int add(struct fs *fs, uint64_t dir, const char *name, enum tree_kind kind, uint64_t *ret)
{
    const struct fs_place place = {dir, name};
    const struct fs_new what = {.kind = kind, .mode = 0644, .target = "target"};
    return writer->create(fs, &place, &what, ret, &err);
}

#endif
