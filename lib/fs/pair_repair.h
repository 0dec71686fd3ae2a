/* Repairing one of two superblocks (lib/fs/pair.h) from the other. What readers see stays what it is.
 *
 *   first       second               rewritten
 *   good        damaged or torn      second: the bytes of the first where free blocks are zero, as at rest; else the
 *                                    state of the first with the mark of a writer, who was cut off
 *   damaged     good, at rest        first: the bytes of the second
 *   torn        good                 first: the state of the second, as the next writer would put it there
 *   damaged     good, writer at work nothing: the commit in the first may have been newer
 *
 * A pair that a writer left is sound and stays: the next writer cleans up. */
#ifndef PLAT_LIB_FS_PAIR_REPAIR_H
#define PLAT_LIB_FS_PAIR_REPAIR_H

#include "lib/fs/pair.h"
#include "lib/fs/repair.h"

struct pair_repairer {
    void *ctx;
    uint64_t offset; /* of the first */
    /* The state of good copy `from`, with this generation and mark, as bytes. */
    void (*encode)(void *ctx, int from, uint64_t generation, bool writing, uint8_t ret[PAIR_BLOCK_BYTES]);
    /* Are free blocks all zero? */
    int (*is_clear)(void *ctx, bool *ret, struct plat_err *err);
    const char *unfit; /* why the good copy cannot be trusted all the same; NULL: it can */
};
int pair_repair(const struct pair *pair, const struct pair_repairer *repairer, struct repair_plan *plan,
                struct plat_err *err);

#endif
