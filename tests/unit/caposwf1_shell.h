/* Shared by the tests of caposwf1: a small image with a bit of everything, verdicts on it, and where its structures lie
 * (for those who damage them). */
#ifndef PLAT_TESTS_CAPOSWF1_SHELL_H
#define PLAT_TESTS_CAPOSWF1_SHELL_H

#include <stdlib.h>

#include "formats/caposwf1/writer.h"
#include "lib/fs/verify.h"
#include "tests/unit/caposwf1_seal.h"
#include "tests/unit/finding_words.h"
#include "tests/unit/tap.h"

struct image_of {
    struct plat_dev *dev;
    uint8_t *bytes;
    size_t n;
    uint64_t superblock;
};

static struct plat_err err;

static inline void die(const char *what)
{
    printf("Bail out! %s: %s\n", what, err.text);
    exit(1);
}

/* ---- an image ---- */

static inline uint64_t add(struct fs *fs, uint64_t dir, const char *name, enum tree_kind kind,
                           const char *target)
{
    const struct fs_place place = {dir, name};
    const struct fs_new what = {.kind = kind,
                                .mode = 0644,
                                .uid = 7,
                                .target = target,
                                .device = kind == TREE_CHAR ? 0x503 : 0,
                                .created = {FS_CLOCK_STATED, 1700000000000000000},
                                .modified = {FS_CLOCK_UNTRUSTED, -1500000000}};
    uint64_t node;
    if (caposwf1_writer.create(fs, &place, &what, &node, &err) != 0)
        die(name);
    return node;
}

static inline void put(struct fs *fs, uint64_t node, uint64_t offset, size_t n)
{
    static uint8_t content[70000];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + 1);
    if (caposwf1_writer.write(fs, node, offset, content, n, &err) != 0)
        die("writing");
}

/* Nodes of the image below, in the order in which they are made. */
enum { DIR_A = 1, FILE_SMALL, FILE_SPARSE, LINK, CHAR_DEVICE, EMPTY, DIR_B, FIRST_NAME };

/* A bit of everything: a file with a tree of extents, a directory with several blocks, free records. */
static inline struct image_of make(uint64_t blocks, uint64_t superblock, unsigned n_names)
{
    struct image_of ret = {.superblock = superblock};
    const struct wf1_shape shape = {.superblock_block = (uint32_t)superblock,
                                    .region_first_block = superblock + 2,
                                    .region_blocks = blocks - superblock - 2,
                                    .uuid = {1, 2, 3},
                                    .label = "TEST"};
    const struct fs_open_options options = {.writable = true};
    struct volume *vol = NULL;
    if (dev_open_memory(blocks * WF1_BLOCK_BYTES, "image", &ret.dev, &err) != 0 ||
        wf1_format(ret.dev, &shape, &err) != 0 ||
        wf1_volume_open(ret.dev, NULL, &options, NULL, &vol, &err) != 0)
        die("making");
    struct fs *fs = &vol->fs;
    const uint64_t a = add(fs, 0, "a", TREE_DIR, NULL);
    put(fs, add(fs, a, "small", TREE_FILE, NULL), 0, 700);
    const uint64_t sparse = add(fs, a, "sparse", TREE_FILE, NULL);
    for (uint64_t i = 0; i < 6; i++)
        put(fs, sparse, i * WF1_EXTENT_BYTES + 512 * i, 100);
    (void)add(fs, 0, "link", TREE_SYMLINK, "a/small");
    (void)add(fs, 0, "null", TREE_CHAR, NULL);
    (void)add(fs, 0, "empty", TREE_FILE, NULL);
    const uint64_t b = add(fs, a, "b", TREE_DIR, NULL);
    for (unsigned i = 0; i < n_names; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "a longer name for a file, %u", i);
        (void)add(fs, b, name, TREE_FIFO, NULL);
    }
    for (unsigned i = 0; i < n_names; i += 5) {
        char name[40];
        (void)snprintf(name, sizeof name, "a longer name for a file, %u", i);
        const struct fs_place place = {b, name};
        if (caposwf1_writer.remove(fs, &place, &err) != 0)
            die("removing");
    }
    if (caposwf1_writer.finish(fs, &err) != 0)
        die("finishing");
    wf1_volume_close(vol);
    ret.bytes = dev_memory_bytes(ret.dev);
    ret.n = (size_t)(blocks * WF1_BLOCK_BYTES);
    return ret;
}

/* ---- judging ---- */

/* Errors that check and scrub find by themselves, as the tests of power cuts call them. */
static inline unsigned judge_fast(struct plat_dev *dev, const struct wf1_hooks *hooks, struct words *ret)
{
    const struct fs_open_options options = {.degraded = true};
    const struct finding_sink sink = {.fn = keep, .ctx = ret};
    struct volume *vol = NULL;
    ret->n = 0;
    ret->text[0] = '\0';
    if (wf1_volume_open(dev, NULL, &options, hooks, &vol, &err) != 0) {
        (void)snprintf(ret->text, sizeof ret->text, "[open] %s", err.text);
        return ret->n = 1;
    }
    if (caposwf1_check(&vol->fs, &sink, &err) != 0 || caposwf1_scrub(&vol->fs, &sink, NULL, &err) != 0)
        die("judging");
    wf1_volume_close(vol);
    return ret->n;
}

/* As plat verify --data. */
static inline unsigned judge(struct plat_dev *dev, struct words *ret)
{
    const struct stack_options options = {.degraded = true};
    const struct finding_sink sink = {.fn = keep, .ctx = ret};
    struct stack *stack = NULL;
    ret->n = 0;
    ret->text[0] = '\0';
    if (stack_open(dev, &options, &stack, &err) != 0) {
        (void)snprintf(ret->text, sizeof ret->text, "[open] %s", err.text);
        return ret->n = 1;
    }
    int rc = stack_verify(stack, &sink, NULL, &err);
    if (rc == 0)
        rc = stack_scrub(stack, &sink, NULL, NULL, &err);
    if (rc != 0 || stack->n_layers != 1 || stack->layers[0].driver != &caposwf1_driver)
        ret->n = 0; /* not an answer */
    stack_close(stack);
    return ret->n;
}

/* ---- what a walk covers ---- */

struct coverage {
    uint8_t *seen; /* by byte */
    size_t n;
    uint64_t missing, twice, outside;
};
static inline int cover(void *ctx, const struct extent *extent)
{
    struct coverage *coverage = ctx;
    for (uint64_t i = extent->place.start; i < extent->place.start + extent->place.bytes; i++)
        if (i >= coverage->n)
            coverage->outside++;
        else
            coverage->twice += coverage->seen[i]++ != 0;
    return 0;
}

/* Bytes that a walk leaves out, has twice, or has beyond the image. */
static inline struct coverage cover_all(const struct image_of *image)
{
    const struct fs_open_options options = {.degraded = true};
    struct coverage coverage = {.seen = calloc(image->n, 1), .n = image->n};
    const struct walk_sink sink = {.ctx = &coverage, .elements = true, .extent = cover};
    struct fs *fs = NULL;
    if (coverage.seen == NULL)
        die("memory");
    coverage.missing = image->n;
    if (fs_open(&caposwf1_driver, image->dev, &options, &fs, &err) == 0) {
        if (caposwf1_walk(fs, &sink, &err) != 0)
            die("walking");
        for (size_t i = 0; i < image->n; i++)
            coverage.missing -= coverage.seen[i] != 0;
        fs_close(fs);
    } else {
        coverage.missing = 0;
    }
    free(coverage.seen);
    coverage.seen = NULL;
    return coverage;
}

/* Of an image that is sound: each byte once. */
static inline uint64_t uncovered(const struct image_of *image)
{
    const struct coverage coverage = cover_all(image);
    return coverage.missing + coverage.twice + coverage.outside;
}

/* Of one that is damaged: what is cross-linked is walked for each of those who have it, so that a map shows the overlap;
 * `found`: the checks have found something, too. */
static inline bool covered_as_damaged(const struct image_of *image, bool found)
{
    const struct coverage coverage = cover_all(image);
    return coverage.missing + coverage.outside == 0 && (coverage.twice == 0 || found);
}

/* ---- where things lie ---- */

/* Where a bottom block of the node table or bitmap lies, whatever its checksum. */
static inline uint8_t *bottom_of(const struct image_of *image, bool nodes, uint64_t index)
{
    static struct wf1_slot slots[8];
    struct wf1_super super;
    struct wf1_reader reader;
    struct wf1_pointer at;
    wf1_super_decode(image->bytes + image->superblock * WF1_BLOCK_BYTES, &super);
    wf1_reader_init(&reader, image->dev, &super, slots, 8);
    reader.skip_checks = true;
    if (wf1_radix(&reader, nodes ? super.nodes : super.bitmap,
                  nodes ? super.node_levels : super.bitmap_levels, index, &at, &err) != 0)
        die("looking for a block");
    return image->bytes + (size_t)at.block * WF1_BLOCK_BYTES;
}

static inline uint8_t *record_of(const struct image_of *image, uint64_t number)
{
    return bottom_of(image, true, number / WF1_RECORDS) + number % WF1_RECORDS * CAPOSWF1_PLAIN_NODE_BYTES;
}

static inline struct caposwf1_node_head_mut head_of(const struct image_of *image, uint64_t number)
{
    return caposwf1_plain_node_edit_head((struct caposwf1_plain_node_mut){record_of(image, number)});
}

static inline struct caposwf1_extent_mut entry_of(const struct image_of *image, uint64_t number, size_t i)
{
    return (struct caposwf1_extent_mut){record_of(image, number) + CAPOSWF1_EXTENT_NODE_EXTENTS_OFFSET +
                                        i * CAPOSWF1_EXTENT_BYTES};
}

/* The block that the first entry of a map names. */
static inline uint8_t *below_of(const struct image_of *image, uint64_t number)
{
    return image->bytes +
           (size_t)caposwf1_extent_first_block(caposwf1_extent_of(entry_of(image, number, 0))) *
               WF1_BLOCK_BYTES;
}

/* The name of a node in the first block of names of `dir`. */
static inline uint8_t *name_of(const struct image_of *image, uint64_t dir, uint64_t node)
{
    uint8_t *block = below_of(image, dir);
    struct wf1_name name;
    for (uint32_t at = 0, start = 0; wf1_name_decode(block, &at, &name); start = at)
        if (name.node == node)
            return block + start;
    die("a name is missing");
    return NULL;
}

static inline struct caposwf1_superblock_mut super_of(const struct image_of *image)
{
    return (struct caposwf1_superblock_mut){image->bytes + image->superblock * WF1_BLOCK_BYTES};
}

#endif
