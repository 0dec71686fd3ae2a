/* Making an image from a tree: what is settled before the first byte is written.
 *
 *   superblock, copy | contents, node by node | blocks of extents | blocks of names | records | their pointers |
 *   bitmap | its pointers | free: zeros
 *
 * Nodes are numbered level by level: the root, its children by name, the children of its first directory, ... Files
 * of more than one window of 64 KiB are looked at when the image is planned: windows of zeros get no extent, wherever
 * the zeros come from, so that a sparse file and its copy without holes give the same bytes. */
#ifndef PLAT_FORMATS_CAPOSWF1_PLAN_H
#define PLAT_FORMATS_CAPOSWF1_PLAN_H

#include "formats/caposwf1/reader.h"
#include "lib/fs/driver.h"
#include "lib/fs/out.h"

/* One node; its number is its index. */
struct wf1_item {
    const struct tree_node *node;
    uint32_t parent, first_child;
    uint32_t hash;  /* of its name */
    uint32_t order; /* [first_child + i]: the i-th of the children by hash */
};
/* The root of a map that has blocks below it. */
struct wf1_root {
    uint32_t levels, n;
    struct wf1_entry entries[WF1_ROOT_ENTRIES];
};
struct make_plan {
    struct tree *tree;
    struct wf1_item *items;
    uint32_t n_items;
    bool keep_owner, compact;
    enum caposwf1_provenance clock; /* of times of modification; unknown: none are kept */
    uint32_t sector_bytes;
    uint64_t *present; /* a bit for each window of each file with several: it has a byte that is not zero */
    uint64_t n_windows;
    uint32_t *sums; /* of each extent, known once its content is written or, for a pipe, read */
    uint64_t n_extents;
    struct wf1_root *roots; /* of files in order, then of directories in order */
    uint32_t n_roots;
    uint64_t content_blocks, map_blocks, name_blocks, record_blocks, pointer_blocks;
    struct wf1_super super; /* with region_blocks 0: not settled */
    uint64_t used_blocks;   /* settled */
};

static inline bool wf1_item_has_content(const struct wf1_item *item)
{
    return (item->node->kind == TREE_FILE || item->node->kind == TREE_SYMLINK) && item->node->size_bytes > 0;
}
static inline uint64_t wf1_item_windows(const struct wf1_item *item)
{
    return wf1_item_has_content(item) ? div_up_u64(item->node->size_bytes, WF1_EXTENT_BYTES) : 0;
}

/* Goes through the extents of all items in order; start with zeros and plan->super.region_first_block. */
struct wf1_extents_at {
    uint64_t window; /* of those that have a bit in `present` */
    uint64_t extent, block;
};
/* The extent of window `index` of the item, and on to the next; count 0: there is none. */
struct wf1_entry wf1_extent_take(const struct make_plan *plan, struct wf1_extents_at *at,
                                 const struct wf1_item *item, uint64_t index);

/* How many names from the `from`-th on fit in a block of names. */
uint32_t wf1_names_fit(const struct make_plan *plan, const struct wf1_item *dir, uint32_t from);
/* Blocks of entries above n entries at the bottom of a map, all of them full but the last. */
uint64_t wf1_map_blocks(uint64_t n);
/* Pointer blocks above n blocks at the bottom of a radix tree of that many levels. */
uint64_t wf1_pointer_blocks(uint64_t n, uint32_t levels);

/* make_windows.c: what has content, and what is zeros. */
int wf1_windows_find(struct make_plan *plan, struct plat_err *err);
/* Is the next window, of n bytes, all zero? Leaves the reader behind it. buf: WF1_EXTENT_BYTES. */
int wf1_window_is_zero(struct tree_reader *reader, size_t n, uint8_t *buf, bool *ret, struct plat_err *err);

extern const enum caposwf1_node_kind wf1_make_kinds[]; /* by enum tree_kind */

/* make_write.c */
int wf1_plan_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                   struct plat_err *err);

/* Where a maker's blocks go; make_contents.c, make_maps.c and make_tables.c fill it. */
struct wf1_make {
    struct make_plan *plan;
    struct fs_out *out; /* NULL: only to learn all checksums */
    struct tree_ahead *ahead;
    bool known;      /* checksums of contents are known: compare */
    uint64_t block;  /* the next */
    uint8_t *window; /* WF1_EXTENT_BYTES */
};
/* One block of 512 bytes, to the next place. */
int wf1_make_block(struct wf1_make *make, const uint8_t bytes[WF1_BLOCK_BYTES], struct wf1_pointer *ret,
                   struct plat_err *err);
int wf1_make_contents(struct wf1_make *make, struct plat_err *err);
int wf1_make_maps(struct wf1_make *make, struct plat_err *err);
int wf1_make_records(struct wf1_make *make, struct plat_err *err);
int wf1_make_bitmap(struct wf1_make *make, struct plat_err *err);

#endif
