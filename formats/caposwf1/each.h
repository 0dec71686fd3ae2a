/* Going through a CAPOSWF1 as far as it can be read. What cannot is left out: check reports it. Neither goes round in
 * circles, whatever the image says: keys that do not ascend end a map. */
#ifndef PLAT_FORMATS_CAPOSWF1_EACH_H
#define PLAT_FORMATS_CAPOSWF1_EACH_H

#include "formats/caposwf1/reader.h"

/* A node count that the used blocks cannot hold: all but one of the records that are not in use name another one, so
 * they lie in blocks like the others. Nobody should count that far. */
static inline bool wf1_nodes_impossible(const struct wf1_super *super)
{
    return super->node_count > (super->region_blocks - super->free_blocks + 1) * WF1_RECORDS;
}

/* A block of records, in the order of the table. `bytes` may be changed by nobody and are valid during the call, in
 * which the reader may be used. Other than 0 stops. */
typedef int wf1_records_fn(void *ctx, uint64_t first_number, const uint8_t bytes[WF1_BLOCK_BYTES],
                           uint64_t offset);
int wf1_each_records(struct wf1_reader *reader, wf1_records_fn *fn, void *ctx, struct plat_err *err);

/* The extents of a sound node that is a file or symbolic link, in ascending order; the reader may be used meanwhile. */
typedef int wf1_extent_fn(void *ctx, const struct wf1_entry *extent);
int wf1_each_extent(struct wf1_reader *reader, const struct wf1_node *node, wf1_extent_fn *fn, void *ctx,
                    struct plat_err *err);

#endif
