/* The table of nodes and the bitmap: blocks at the bottom, then the levels of pointers above them. */
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "formats/caposwf1/plan.h"

enum { NS_PER_S = 1000000000 };

/* The levels above n blocks that lie one behind the other, the first at `block`; their checksums are in `sums`, which
 * each level overwrites with its own. */
static int pointers_put(struct wf1_make *make, uint32_t *sums, uint64_t n, uint64_t block, uint32_t levels,
                        struct wf1_pointer *ret, struct plat_err *err)
{
    for (uint32_t level = 0; level < levels; level++) {
        const uint64_t above = make->block;
        const uint64_t n_above = div_up_u64(n, WF1_POINTERS);
        for (uint64_t i = 0; i < n_above; i++) {
            uint8_t bytes[WF1_BLOCK_BYTES] = {0};
            struct caposwf1_pointer_mut pointer;
            struct wf1_pointer at;
            for (uint64_t j = i * WF1_POINTERS; j < n && j < (i + 1) * WF1_POINTERS; j++) {
                (void)caposwf1_pointer_block_edit_pointers((struct caposwf1_pointer_block_mut){bytes},
                                                           (size_t)(j % WF1_POINTERS), &pointer);
                caposwf1_pointer_set_block(pointer, (uint32_t)(block + j));
                caposwf1_pointer_set_crc32c(pointer, sums[j]);
            }
            int rc = wf1_make_block(make, bytes, &at, err);
            if (rc != 0)
                return rc;
            sums[i] = at.crc32c;
        }
        n = n_above;
        block = above;
    }
    *ret = (struct wf1_pointer){(uint32_t)block, sums[0]};
    return 0;
}

/* ---- records ---- */

/* Goes along with the items: where the maps of files, and those of directories, are in plan->roots. */
struct maps_at {
    struct wf1_extents_at extents;
    uint32_t file_root, dir_root;
};

/* Root of the item's map. */
static struct wf1_root map_of(const struct make_plan *plan, const struct wf1_item *item, struct maps_at *at)
{
    struct wf1_root root = {0};
    const uint64_t windows = wf1_item_windows(item);
    uint64_t n = 0;
    if (item->node->n_children > 0)
        return plan->roots[at->dir_root++];
    for (uint64_t i = 0; i < windows; i++) {
        const struct wf1_entry extent = wf1_extent_take(plan, &at->extents, item, i);
        if (extent.count > 0 && n++ < WF1_ROOT_ENTRIES)
            root.entries[n - 1] = extent;
    }
    if (n > WF1_ROOT_ENTRIES)
        return plan->roots[at->file_root++];
    root.n = (uint32_t)n;
    return root;
}

static void record_encode(const struct make_plan *plan, const struct wf1_item *item, struct maps_at *at,
                          uint8_t *ret)
{
    const struct tree_node *node = item->node;
    const struct wf1_root root = map_of(plan, item, at);
    struct wf1_node record = {.kind = wf1_make_kinds[node->kind],
                              .levels = root.levels,
                              .mode = node->mode & WF1_MODE_BITS,
                              .uid = plan->keep_owner ? node->uid : 0,
                              .gid = plan->keep_owner ? node->gid : 0,
                              .parent = item->parent,
                              .n_entries = root.n};
    memcpy(record.entries, root.entries, sizeof record.entries);
    if (node->kind == TREE_FILE || node->kind == TREE_SYMLINK)
        record.size_bytes = node->size_bytes;
    if (node->kind == TREE_DIR)
        record.size_bytes = node->n_children;
    if (node->kind == TREE_CHAR || node->kind == TREE_BLOCK) {
        record.device_major = major(node->from.device);
        record.device_minor = minor(node->from.device);
    }
    /* No source had a time where the tree says 0: unknown is not zero. */
    if (plan->clock != CAPOSWF1_PROVENANCE_UNKNOWN && (node->mtime_s != 0 || node->mtime_ns != 0)) {
        record.modified_clock = plan->clock;
        record.modified_ns = node->mtime_s * NS_PER_S + (int64_t)node->mtime_ns;
    }
    wf1_node_encode(&record, ret);
}

int wf1_make_records(struct wf1_make *make, struct plat_err *err)
{
    struct make_plan *plan = make->plan;
    struct maps_at at = {.extents.block = plan->super.region_first_block};
    const uint64_t first = make->block;
    uint32_t *sums = calloc((size_t)plan->record_blocks, sizeof *sums);
    int rc = sums == NULL ? err_nomem(err, "writing the nodes") : 0;
    /* Roots of files come first. */
    for (uint32_t i = 0; i < plan->n_items; i++)
        at.dir_root -= plan->items[i].node->n_children > 0;
    at.dir_root += plan->n_roots;
    for (uint64_t i = 0; rc == 0 && i < plan->record_blocks; i++) {
        uint8_t bytes[WF1_BLOCK_BYTES] = {0};
        struct wf1_pointer pointer = {0, 0};
        for (uint64_t j = i * WF1_RECORDS; j < plan->n_items && j < (i + 1) * WF1_RECORDS; j++)
            record_encode(plan, &plan->items[j], &at, bytes + j % WF1_RECORDS * CAPOSWF1_PLAIN_NODE_BYTES);
        rc = wf1_make_block(make, bytes, &pointer, err);
        sums[i] = pointer.crc32c;
    }
    if (rc == 0)
        rc = pointers_put(make, sums, plan->record_blocks, first, plan->super.node_levels, &plan->super.nodes,
                          err);
    free(sums);
    return rc;
}

/* ---- the bitmap ---- */

/* Used are all blocks from the first on, those of the bitmap at their end. */
int wf1_make_bitmap(struct wf1_make *make, struct plat_err *err)
{
    struct make_plan *plan = make->plan;
    const uint64_t first = make->block, n = div_up_u64(plan->used_blocks, WF1_BITS);
    uint32_t *sums = calloc((size_t)n, sizeof *sums);
    int rc = sums == NULL ? err_nomem(err, "writing the bitmap") : 0;
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        const uint64_t left = plan->used_blocks - i * WF1_BITS, bits = left < WF1_BITS ? left : WF1_BITS;
        uint8_t bytes[WF1_BLOCK_BYTES] = {0};
        struct wf1_pointer pointer = {0, 0};
        memset(bytes, UINT8_MAX, (size_t)bits / 8);
        if (bits % 8 != 0)
            bytes[bits / 8] = (uint8_t)((1u << bits % 8) - 1);
        rc = wf1_make_block(make, bytes, &pointer, err);
        sums[i] = pointer.crc32c;
    }
    if (rc == 0)
        rc = pointers_put(make, sums, n, first, plan->super.bitmap_levels, &plan->super.bitmap, err);
    free(sums);
    return rc;
}
