/* A device that looks like another one with changes, which stay in memory.
 *
 *   blocks   [ 3 | 4 | 17 ]     sorted by number, 4 KiB each; the first write of a block fetches the rest of it
 *   inner    0 1 2 . . 5 ...    what is read everywhere else; never written */
#include <stdlib.h>
#include <string.h>

#include "lib/io/private.h"

enum { OVERLAY_BLOCK_BYTES = 4096, OVERLAY_MAX_BLOCKS = 1 << 16 };

struct overlay_block {
    uint64_t number;
    uint8_t *bytes;
};
struct overlay_dev {
    struct plat_dev dev;
    struct plat_dev *inner;
    struct overlay_block *blocks;
    size_t n, cap;
};

/* Index of the first changed block whose number is at least `number`. */
static size_t find_block(const struct overlay_dev *o, uint64_t number)
{
    size_t low = 0, high = o->n;
    /* Changes mostly ascend. */
    if (o->n > 0 && o->blocks[o->n - 1].number < number)
        return o->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (o->blocks[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int add_block(struct overlay_dev *o, size_t at, uint64_t number, struct plat_err *err)
{
    const uint64_t start = number * OVERLAY_BLOCK_BYTES;
    const uint64_t left = o->dev.size_bytes - start;
    if (o->n == OVERLAY_MAX_BLOCKS)
        return err_set(err, PLAT_ELIMIT, "more than %d MiB of changes to try out in memory",
                       OVERLAY_MAX_BLOCKS / 256);
    if (o->n == o->cap) {
        size_t cap = o->cap == 0 ? 16 : 2 * o->cap;
        struct overlay_block *blocks = realloc(o->blocks, cap * sizeof *blocks);
        if (blocks == NULL)
            return err_nomem(err, "trying out a change");
        o->blocks = blocks;
        o->cap = cap;
    }
    uint8_t *bytes = calloc(1, OVERLAY_BLOCK_BYTES);
    if (bytes == NULL)
        return err_nomem(err, "trying out a change");
    int rc = dev_read(o->inner, start, bytes, left < OVERLAY_BLOCK_BYTES ? (size_t)left : OVERLAY_BLOCK_BYTES,
                      err);
    if (rc != 0) {
        free(bytes);
        return rc;
    }
    memmove(&o->blocks[at + 1], &o->blocks[at], (o->n - at) * sizeof *o->blocks);
    o->blocks[at] = (struct overlay_block){number, bytes};
    o->n++;
    return 0;
}

/* The part of [offset, offset + n) that lies in the block of `offset`. */
static size_t part_of(uint64_t offset, size_t n)
{
    size_t room = OVERLAY_BLOCK_BYTES - (size_t)(offset % OVERLAY_BLOCK_BYTES);
    return n < room ? n : room;
}

static int overlay_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n,
                         struct plat_err *err)
{
    struct overlay_dev *o = (struct overlay_dev *)dev;
    const uint8_t *from = buf;
    while (n > 0) {
        const uint64_t number = offset / OVERLAY_BLOCK_BYTES;
        size_t part = part_of(offset, n), at = find_block(o, number);
        if (at == o->n || o->blocks[at].number != number) {
            int rc = add_block(o, at, number, err);
            if (rc != 0)
                return rc;
        }
        memcpy(o->blocks[at].bytes + offset % OVERLAY_BLOCK_BYTES, from, part);
        offset += part;
        from += part;
        n -= part;
    }
    return 0;
}

static int overlay_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    struct overlay_dev *o = (struct overlay_dev *)dev;
    int rc = dev_read(o->inner, offset, buf, n, err);
    const uint64_t end = offset + n;
    for (size_t i = find_block(o, offset / OVERLAY_BLOCK_BYTES); rc == 0 && i < o->n; i++) {
        uint64_t start = o->blocks[i].number * OVERLAY_BLOCK_BYTES, from = start > offset ? start : offset;
        if (start >= end)
            break;
        memcpy((uint8_t *)buf + (from - offset), o->blocks[i].bytes + (from - start),
               part_of(from, (size_t)(end - from)));
    }
    return rc;
}

static void overlay_close(struct plat_dev *dev)
{
    struct overlay_dev *o = (struct overlay_dev *)dev;
    for (size_t i = 0; i < o->n; i++)
        free(o->blocks[i].bytes);
    free(o->blocks);
    free(o);
}

static const struct plat_dev_ops overlay_ops = {
    .read_at = overlay_read, .write_at = overlay_write, .close = overlay_close};

int dev_open_overlay(struct plat_dev *inner, struct plat_dev **ret, struct plat_err *err)
{
    struct overlay_dev *o = calloc(1, sizeof *o);
    if (o == NULL)
        return err_nomem(err, "trying out a change");
    o->dev = *inner;
    o->dev.ops = &overlay_ops;
    o->inner = inner;
    *ret = &o->dev;
    return 0;
}

bool dev_overlay_next(struct plat_dev *dev, uint64_t from, struct range *ret, struct plat_dev **ret_inner)
{
    struct overlay_dev *o = (struct overlay_dev *)dev;
    if (dev->ops != &overlay_ops) {
        *ret_inner = NULL;
        return false;
    }
    *ret_inner = o->inner;
    size_t at = find_block(o, from / OVERLAY_BLOCK_BYTES);
    if (at == o->n)
        return false;
    uint64_t start = o->blocks[at].number * OVERLAY_BLOCK_BYTES, end = start + OVERLAY_BLOCK_BYTES;
    start = start > from ? start : from;
    end = end < dev->size_bytes ? end : dev->size_bytes;
    *ret = (struct range){start, end - start};
    return true;
}

/* The pieces of one block that differ: equal bytes in between cost less than another piece where they are few. */
static int changes_of_block(struct overlay_dev *o, const struct overlay_block *block, dev_change_fn fn,
                            void *ctx, struct plat_err *err)
{
    enum { NEAR_BYTES = 16 };
    const uint64_t start = block->number * OVERLAY_BLOCK_BYTES, left = o->dev.size_bytes - start;
    const size_t n = left < OVERLAY_BLOCK_BYTES ? (size_t)left : OVERLAY_BLOCK_BYTES;
    uint8_t old[OVERLAY_BLOCK_BYTES];
    int rc = dev_read(o->inner, start, old, n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (old[i] == block->bytes[i])
            continue;
        size_t last = i;
        for (size_t k = i; k < n && k - i < DEV_CHANGE_BYTES && k - last <= NEAR_BYTES; k++)
            if (old[k] != block->bytes[k])
                last = k;
        const struct dev_change change = {start + i, last - i + 1, old + i, block->bytes + i};
        rc = fn(ctx, &change, err);
        i = last;
    }
    return rc;
}

int dev_overlay_changes(struct plat_dev *overlay, dev_change_fn fn, void *ctx, struct plat_err *err)
{
    struct overlay_dev *o = (struct overlay_dev *)overlay;
    int rc = 0;
    if (overlay->ops != &overlay_ops)
        return err_set(err, PLAT_EBUG, "only an overlay knows what it changes");
    for (size_t i = 0; rc == 0 && i < o->n; i++)
        rc = changes_of_block(o, &o->blocks[i], fn, ctx, err);
    return rc;
}
