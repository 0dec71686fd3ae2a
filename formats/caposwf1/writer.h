/* Changing a CAPOSWF1.
 *
 * Nothing that the last commit refers to is ever overwritten, but for one sector:
 *
 *   copy: "a writer is at work"  F   contents, metadata, copy  F   superblock  F   ...   zeros  F  copy := superblock
 *         (once for each handle)                                   \_ the commit        (finish)
 *
 * A block that changes gets a new place (wf1_shadow) and so does everything above it, up to the superblock. Metadata is
 * staged in memory by the place where it will be written; contents go to free blocks at once. Checksums are filled in
 * from the bottom up when a commit has settled what goes where. What a transaction frees is not used again before its
 * commit has returned, and is zeroed when the writer finishes.
 *
 * After a failed write the handle takes no more changes: the state on disk is the last committed one.
 *
 * Memory: 540 bytes for each metadata block that a transaction changes, 1.5 KiB for each 2 MiB of the image in which
 * blocks were taken or given back, and 64 KiB for the piece of a file that is being written. */
#ifndef PLAT_FORMATS_CAPOSWF1_WRITER_H
#define PLAT_FORMATS_CAPOSWF1_WRITER_H

#include "formats/caposwf1/volume.h"

/* ---- a new filesystem ---- */

struct wf1_shape {
    uint32_t superblock_block; /* 256, or 0 */
    uint64_t region_first_block, region_blocks;
    bool shared;
    uint8_t uuid[16];
    const char *label; /* NULL: none */
};
/* Writes an empty root to a device whose region is zero. PLAT_EINVALID when there is no room for it. */
int wf1_format(struct plat_dev *dev, const struct wf1_shape *shape, struct plat_err *err);

/* ---- the handle ---- */

struct wf1_staged {
    struct wf1_staged *next; /* in its bucket */
    uint32_t block;
    bool sealed; /* its checksum stands in what names it */
    uint8_t bytes[WF1_BLOCK_BYTES];
};
/* The bits of one block of the bitmap. */
struct wf1_page {
    struct wf1_page *next;    /* of those in memory */
    struct wf1_page *touched; /* the next of those that changed since the last commit */
    bool is_touched;
    size_t index;
    bool shadowed;                      /* its new place is known */
    uint8_t used[WF1_BLOCK_BYTES];      /* when what is staged is committed */
    uint8_t committed[WF1_BLOCK_BYTES]; /* now, on disk */
    uint8_t soiled[WF1_BLOCK_BYTES];    /* free blocks that may hold something */
};
/* Blocks that growing takes, at most: levels above the bitmap, and the way to two of its blocks. */
enum { WF1_GROWTH_BLOCKS = 3 * WF1_BITMAP_MAX_LEVELS + 2 };
/* What becomes of a block of the piece of a file that is being written. */
enum wf1_fate { WF1_KEPT, WF1_WRITTEN, WF1_DROPPED };
struct wf1_window {
    bool open;
    uint32_t node;
    uint32_t first; /* block of the file: a multiple of 128 */
    uint8_t *bytes; /* WF1_EXTENT_BYTES; those of blocks that are written are filled */
    uint8_t fates[WF1_EXTENT_BLOCKS];
    uint64_t reserved; /* blocks that wf1_window_flush may take */
};
struct wf1_writer {
    struct volume *vol;
    struct wf1_super committed; /* what is staged stands in vol->reader.super */
    uint64_t next_generation;
    bool failed;       /* no more changes */
    bool changed;      /* something is staged */
    bool marked;       /* the copy says that a writer is at work */
    bool copy_current; /* ... and holds the committed state */
    struct wf1_staged **buckets;
    size_t n_buckets, n_staged;
    struct wf1_page **pages; /* by block of the bitmap; NULL: as on disk */
    size_t n_pages, n_loaded;
    struct wf1_page *loaded, *touched;
    uint64_t available; /* blocks that may be taken before the next commit */
    uint64_t lowest;    /* block that is free from the next commit on, and where the search begins again */
    struct wf1_window window;
};

/* commit.c. Of vol->sound, whose device is the caller's to lock. Cleans up behind a writer that was cut off. */
int wf1_writer_open(struct volume *vol, struct plat_err *err);
void wf1_writer_close(struct volume *vol); /* what is not committed is lost */
int wf1_commit(struct wf1_writer *writer, struct plat_err *err);
int wf1_finish(struct wf1_writer *writer, struct plat_err *err);
int wf1_grow(struct wf1_writer *writer, uint64_t size_bytes, struct plat_err *err);
/* A writer is at work from here on. */
int wf1_mark(struct wf1_writer *writer, struct plat_err *err);
/* Whole blocks to the device, past the reader's cache. */
int wf1_device_write(struct wf1_writer *writer, uint64_t block, const void *bytes, size_t n,
                     struct plat_err *err);
/* PLAT_EUNSUPPORTED, PLAT_EIO: the handle takes no changes. */
int wf1_may_change(const struct volume *vol, struct plat_err *err);
/* rc, and no more changes when it says that a change was left half done. */
int wf1_halfway(struct wf1_writer *writer, int rc);

/* alloc.c: the blocks of the region. */
uint64_t wf1_bitmap_blocks(uint64_t region_blocks); /* that a bitmap of so many bits takes at most */
/* PLAT_ELIMIT unless `blocks` can be taken now and the commit still has what it needs; `freeing`: for a change that
 * gives back more than it takes, which may use what others must leave. */
int wf1_room(struct wf1_writer *writer, uint64_t blocks, bool freeing, struct plat_err *err);
/* 1 to `want` blocks in a row. */
int wf1_take(struct wf1_writer *writer, uint32_t want, uint32_t *ret_block, uint32_t *ret_n,
             struct plat_err *err);
int wf1_give(struct wf1_writer *writer, uint64_t block, uint64_t n, struct plat_err *err);
int wf1_page_load(struct wf1_writer *writer, size_t index, struct wf1_page **ret, struct plat_err *err);

/* stage.c: metadata that is going to be written. */
struct wf1_staged *wf1_staged_find(const struct wf1_writer *writer, uint32_t block);
/* A block of zeros at a new place. */
int wf1_stage_new(struct wf1_writer *writer, struct wf1_staged **ret, struct plat_err *err);
/* The block at a place where it may be changed: a new one, unless it is staged already. */
int wf1_shadow(struct wf1_writer *writer, struct wf1_pointer at, struct wf1_staged **ret,
               struct plat_err *err);
/* Gives back a block of metadata. */
int wf1_stage_drop(struct wf1_writer *writer, uint32_t block, struct plat_err *err);
void wf1_stage_clear(struct wf1_writer *writer);
/* Bottom block `index` of a radix tree, to be changed: all above it is shadowed. */
int wf1_radix_edit(struct wf1_writer *writer, struct wf1_pointer *root, uint32_t levels, uint64_t index,
                   struct wf1_staged **ret, struct plat_err *err);
/* One level more above a radix tree. */
int wf1_radix_raise(struct wf1_writer *writer, struct wf1_pointer *root, uint32_t *levels,
                    struct plat_err *err);
/* New places for the blocks of the bitmap that change; that changes more of them, so until none is left. */
int wf1_bitmap_place(struct wf1_writer *writer, struct plat_err *err);
/* Checksums of all that is staged, from the bottom up, into the staged superblock. */
int wf1_seal(struct wf1_writer *writer, struct plat_err *err);
/* Writes all that is staged, in ascending order. */
int wf1_stage_write(struct wf1_writer *writer, struct plat_err *err);

/* map.c: what hangs below a record. New bottom blocks in place of one, or of none. */
enum { WF1_LEAF_MAX = 6 };
struct wf1_leaf {
    uint32_t key, count;
    uint8_t bytes[WF1_BLOCK_BYTES];
};
struct wf1_leaves {
    uint32_t n;
    struct wf1_leaf leaf[WF1_LEAF_MAX];
};
/* At the cursor, which is used up; node: the record, which the caller writes back. */
int wf1_map_replace(struct wf1_writer *writer, struct wf1_node *node, const struct wf1_cursor *cursor,
                    const struct wf1_leaves *leaves, struct plat_err *err);
/* The first bottom block of a map that has none. */
int wf1_map_begin(struct wf1_writer *writer, struct wf1_node *node, const struct wf1_leaves *leaves,
                  struct plat_err *err);
/* Puts n extents in the place of those in [first, first + 128). */
int wf1_map_window(struct wf1_writer *writer, struct wf1_node *node, uint32_t first,
                   const struct wf1_entry *extents, uint32_t n, struct plat_err *err);
/* Gives back the extents (and their blocks) from file block `first`, a multiple of 128, on. */
int wf1_map_cut(struct wf1_writer *writer, struct wf1_node *node, uint64_t first, struct plat_err *err);
/* Gives back all that hangs below a record. */
int wf1_map_free(struct wf1_writer *writer, struct wf1_node *node, struct plat_err *err);

/* content.c */
int wf1_write(struct wf1_writer *writer, uint32_t node, uint64_t offset, const void *buf, size_t n,
              struct plat_err *err);
int wf1_truncate(struct wf1_writer *writer, uint32_t node, uint64_t size_bytes, struct plat_err *err);
/* What was written and is not yet in the map, whatever file it belongs to. */
int wf1_window_flush(struct wf1_writer *writer, struct plat_err *err);

/* names.c */
int wf1_name_add(struct wf1_writer *writer, uint32_t dir, const struct wf1_name *name, struct plat_err *err);
int wf1_name_drop(struct wf1_writer *writer, uint32_t dir, const uint8_t *name, size_t n,
                  struct plat_err *err);

/* edit.c: records. */
int wf1_node_put(struct wf1_writer *writer, uint32_t number, const struct wf1_node *node,
                 struct plat_err *err);
int wf1_node_take(struct wf1_writer *writer, uint32_t *ret, struct plat_err *err);
int wf1_node_give(struct wf1_writer *writer, uint32_t number, struct plat_err *err);
/* Blocks that changing a record may take. */
uint64_t wf1_node_cost(const struct wf1_writer *writer);

#endif
