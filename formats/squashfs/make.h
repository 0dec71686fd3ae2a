/* Making a SquashFS image: what the parts of the maker share. SQUASHFS 4.0's layout is in schemas/squashfs.json.
 *
 *   options.c       what can be chosen
 *   make_items.c    the nodes of the tree, numbered; the order in which everything is written
 *   make_image.c    the whole, front to back; the superblock last
 *   make_data.c     contents: blocks and fragments, through lib/par
 *   make_twin.c     equal files, runs of blocks and tails, which are stored once
 *   make_pack.c     the order in which tails are stored, if what is alike is to share blocks; make_likeness.c: what is alike
 *   make_memory.c   how much memory all of this takes
 *   make_meta.c     metadata blocks, and tables of them
 *   make_ids.c      users and groups
 *   make_xattr.c    extended attributes
 *   make_inode.c    inodes; make_dir.c: listings and their indexes
 *
 * Order. Directories are finished one after the other, each behind those in it, the root last. To finish one is to write the
 * inodes of what it holds, side by side, and then its listing, which names them. Contents lie in the same order, so what
 * is listed together is read together.
 *
 * Memory: make_memory.c has the formula, and keeps to a cap.
 * The bytes of the image depend on the tree and on the options alone, not on the threads. */
#ifndef PLAT_FORMATS_SQUASHFS_MAKE_H
#define PLAT_FORMATS_SQUASHFS_MAKE_H

#include "formats/squashfs/squashfs.h"
#include "lib/codec/codec.h"
#include "lib/fs/out.h"
#include "lib/par/par.h"
#include "squashfs.gen.h"

extern const struct fs_maker squashfs_maker;

enum {
    SQM_META_BYTES = 8192, /* of a metadata block, before it is compressed */
    SQM_BLOCK_BYTES_MIN = 4096,
    SQM_BLOCK_BYTES_MAX = 1 << 20,
    SQM_NAME_BYTES_MAX = 255,    /* SquashFS has room for 256, the VFS does not */
    SQM_TARGET_BYTES_MAX = 4095, /* Linux's PATH_MAX, without the NUL */
    SQM_PAD_BYTES = 4096,        /* Linux reads images in blocks of up to this */
    SQM_IDS_MAX = 65535,
    SQM_RUN_ENTRIES_MAX = 256,
    SQM_LISTING_EXTRA_BYTES = 3 /* that a listing is said to have more, for "." and ".." */
};
#define SQM_NONE UINT32_MAX

/* ---- options.c ---- */

enum sqm_fragments { SQM_FRAGMENTS_YES, SQM_FRAGMENTS_NO, SQM_FRAGMENTS_ALWAYS };
/* What is stored as it is. */
enum sqm_plain {
    SQM_PLAIN_INODES = 1, /* the directory table, too */
    SQM_PLAIN_DATA = 2,
    SQM_PLAIN_FRAGMENTS = 4,
    SQM_PLAIN_IDS = 8,
    SQM_PLAIN_XATTRS = 16
};
struct sqm_settings {
    struct codec_settings codec;
    uint32_t block_bytes;
    enum sqm_fragments fragments;
    unsigned plain; /* enum sqm_plain */
    bool pack;      /* fragments: SQM_FRAGMENTS_ALWAYS */
    bool keep_duplicates, exports, keep_owner, no_padding, keep_xattrs;
    bool has_root_mode;
    uint32_t root_mode;
    unsigned n_threads;    /* 0: one for each processor */
    uint64_t memory_bytes; /* 0: as much as it takes */
};
enum { SQM_N_OPTIONS = 15 };
extern const struct make_option_desc sqm_option_descs[SQM_N_OPTIONS];
int sqm_options_read(const struct make_options *options, struct sqm_settings *ret, struct plat_err *err);

/* ---- make_items.c ---- */

struct sqm_blocks {
    uint64_t start;        /* in the image; 0: none is there */
    uint64_t sparse_bytes; /* in blocks that are not there */
    uint32_t words[];      /* their sizes, as the image has them */
};
/* Contents of a file, which equal files share. */
struct sqm_file {
    uint64_t hash;
    struct sqm_blocks *blocks;          /* NULL: it is a fragment, or one block of zeros */
    uint32_t fragment, fragment_offset; /* SQM_NONE: no fragment */
    uint32_t item;                      /* the first that has these contents */
};
/* A finished directory. */
struct sqm_dir {
    uint32_t block, offset; /* of its listing in the directory table */
    uint32_t listing_bytes;
    uint32_t n_indexes, index_bytes;
    uint8_t index[]; /* as it lies behind the inode */
};
struct sqm_item {
    const struct tree_node *node;
    union {
        struct sqm_file *file; /* files with contents */
        struct sqm_dir *dir;   /* directories, when finished */
    } has;
    union {
        struct {
            uint32_t parent, first_child; /* directories: items; children lie side by side, sorted */
        };
        struct {
            uint32_t first; /* others: the item whose inode this is (sqm_item_first) ... */
            uint32_t links; /* ... and how many have it */
        };
    };
    uint32_t number; /* of the inode */
    uint32_t inode_block;
    uint16_t inode_offset;
    bool written;
};
struct make_plan {
    struct tree *tree;
    struct sqm_settings settings;
    struct arena arena;
    struct sqm_item *items; /* level by level; 0 is the root */
    uint32_t n_items, n_inodes;
    uint32_t made; /* seconds since 1970 */
    uint64_t data_bytes;
    uint64_t image_bytes;   /* with its padding; 0: not made yet */
    struct plat_dev *spool; /* where it is, if it was needed before there was a place for it */
    int spool_fd;           /* that of spool */
};
/* The item whose inode this one has: hard links share one. */
static inline uint32_t sqm_item_first(const struct make_plan *plan, uint32_t i)
{
    return plan->items[i].node->kind == TREE_DIR ? i : plan->items[i].first;
}
int sqm_items_fill(struct make_plan *plan, struct plat_err *err);
/* Directories in the order in which they are finished: the first, and the one after `dir`; SQM_NONE behind the root. */
uint32_t sqm_dir_first(const struct make_plan *plan);
uint32_t sqm_dir_next(const struct make_plan *plan, uint32_t dir);
/* Files with contents in the order in which those are stored, each inode once; SQM_NONE at the end. */
struct sqm_files {
    const struct make_plan *plan;
    uint32_t dir, i;
};
struct sqm_files sqm_files_begin(const struct make_plan *plan);
uint32_t sqm_files_next(struct sqm_files *files);
/* How many blocks of its own a file has. */
static inline uint64_t sqm_file_blocks(const struct make_plan *plan, uint64_t size_bytes, bool has_fragment)
{
    return has_fragment ? size_bytes / plan->settings.block_bytes
                        : div_up_u64(size_bytes, plan->settings.block_bytes);
}

/* ---- make_memory.c ---- */

/* What making the image takes at most, the tree included, with so many threads (at least 1). */
uint64_t sqm_memory_bytes(const struct make_plan *plan, unsigned n_threads);
/* Chooses fewer threads where settings.memory_bytes asks for it; PLAT_EINVALID, with the least that would do, when it is too
 * little for one. */
int sqm_memory_settle(struct make_plan *plan, struct plat_err *err);

/* ---- the image that is being made ---- */

/* Metadata blocks, one behind the other, into memory or, where there is none, straight into the image. */
struct sqm_meta {
    struct sqm_image *image;
    bool in_memory, plain;
    uint64_t stored; /* bytes of finished blocks */
    uint32_t used;   /* of the block at hand: always less than SQM_META_BYTES */
    uint8_t block[SQM_META_BYTES];
    uint8_t *bytes; /* in_memory: the finished blocks */
    size_t bytes_cap;
    uint64_t *starts; /* of each finished block, for tables that are read by number */
    size_t n_starts, starts_cap;
};
struct sqm_fragment {
    uint64_t start;
    uint32_t word;
};
struct sqm_ids {
    uint16_t *slots; /* open addressing: 1 + index in list */
    uint32_t *list;
    uint32_t n;
};
struct sqm_twins;
struct sqm_xattrs;
struct sqm_image {
    struct make_plan *plan;
    struct fs_out out;
    uint64_t at; /* end of what is written */
    struct par *par;
    struct codec_encoder *encoder; /* of metadata */
    struct sqm_meta inodes, directories;
    struct sqm_ids ids;
    struct sqm_xattrs *xattrs; /* NULL: they are left out */
    struct sqm_twins *twins;   /* NULL: equal files are stored twice */
    struct sqm_pack *pack;     /* NULL: tails are stored in the order of their files */
    uint8_t *scratch;          /* a block */
    uint8_t *tails;            /* the block of fragments at hand ... */
    uint32_t tails_used;       /* ... and how much of it is filled ... */
    uint32_t tails_fragment;   /* ... and its number, unless it is empty */
    struct sqm_fragment *fragments;
    uint32_t n_fragments, fragments_cap;
    uint32_t *by_number; /* items by the number of their inode, less 1; for the export table */
    struct squashfs_superblock_mut super;
    uint8_t super_bytes[SQUASHFS_SUPERBLOCK_BYTES];
};
int sqm_image_make(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                   struct plat_err *err);
/* The next n bytes of the image. */
int sqm_put(struct sqm_image *image, const void *bytes, size_t n, struct plat_err *err);

/* ---- make_data.c ---- */

/* Stores the contents of all files; has.file of their items says where. */
int sqm_data_put(struct sqm_image *image, struct plat_err *err);
uint32_t sqm_block_word(size_t n, bool plain);
/* How much of a file goes into a fragment. */
uint32_t sqm_tail_bytes(const struct sqm_settings *settings, uint64_t size_bytes);

/* ---- make_twin.c ---- */

int sqm_twins_open(const struct make_plan *plan, struct sqm_twins **ret, struct plat_err *err);
void sqm_twins_close(struct sqm_twins *twins);
/* A file with the same bytes that is stored already; NULL: none, and `file` is known from now on. content: all of it
 * where the caller has it, else NULL and the file is read. */
int sqm_twins_find(struct sqm_twins *twins, struct sqm_file *file, const uint8_t *content,
                   struct sqm_file **ret, struct plat_err *err);
/* Blocks that are stored, or on their way, side by side in `file`, from `block` on. */
struct sqm_run {
    struct sqm_file *file; /* NULL: none */
    uint32_t block;
};
enum {
    SQM_KNOWN_BLOCKS_MAX = 1 << 19 /* tails, too; later ones are not looked for; 32 bytes each, 48 while
                                      room is made */
};
/* A whole block of a file is about to be stored, and is not zeros. */
int sqm_twins_block(struct sqm_twins *twins, struct sqm_file *file, uint64_t index, const uint8_t *bytes,
                    struct plat_err *err);
/* A file that is stored, or on its way, and ends behind its whole blocks with the same bytes, which are not zeros; NULL:
 * none, and this one is about to be stored. */
int sqm_twins_tail(struct sqm_twins *twins, struct sqm_file *file, const uint8_t *bytes,
                   struct sqm_file **ret, struct plat_err *err);
/* Those that are as all the whole blocks of this file. content: as above. */
int sqm_twins_run(struct sqm_twins *twins, const struct sqm_file *file, const uint8_t *content,
                  struct sqm_run *ret, struct plat_err *err);

/* ---- make_pack.c, make_likeness.c ---- */

enum {
    SQM_SAMPLES_MAX = 128,
    SQM_SAMPLE_RATE_LOG = 5, /* one place in 32 */
    SQM_WINDOW_TAILS = 16384,
    SQM_WINDOW_SAMPLES = 1 << 20,
    SQM_NEIGHBOURS = 24, /* of each tail those that have most in common with it */
    SQM_RANK_BITS = 16,
    SQM_RANK_MASK = 0xffff
};
struct sqm_tail {
    uint64_t hash; /* of the bytes that it would bring; tails that are the same have the same one */
    uint32_t item, n_bytes;
    uint32_t samples_at, n_samples; /* in sqm_pack.samples */
    uint32_t cluster, cluster_bytes, next;
};
/* A window of tails at a time: sqm_pack_window; sqm_pack_add for each; sqm_pack_settle; then they are stored as `order` has
 * them. A number of a tail is its rank among those of the window, by kind. */
struct sqm_pack {
    const struct make_plan *plan;
    uint32_t block_bytes;
    uint32_t *items; /* with a tail that is to be stored, by kind */
    size_t n_items, at;
    struct sqm_tail *tails; /* of the window */
    uint32_t n_tails;
    uint32_t *reading, *order; /* ranks: by directory, and as they are stored */
    uint32_t *common;          /* with the tail that is looked at */
    uint32_t *samples;
    uint64_t *keys; /* for sorting: a value, and behind it a rank */
};
/* What a window takes, at most: the above, and the edges between tails. */
#define SQM_PACK_BYTES                   \
    ((uint64_t)SQM_WINDOW_SAMPLES * 12 + \
     (uint64_t)SQM_WINDOW_TAILS * (sizeof(struct sqm_tail) + 4 * 4 + SQM_NEIGHBOURS * 8))
/* The contents of files of at least a block are stored, but for their tails. */
int sqm_pack_open(struct make_plan *plan, struct sqm_pack **ret, struct plat_err *err);
void sqm_pack_close(struct sqm_pack *pack);  /* NULL is allowed */
bool sqm_pack_window(struct sqm_pack *pack); /* the next one; false: there is none */
void sqm_pack_add(struct sqm_pack *pack, uint32_t rank, uint64_t hash, const uint32_t *samples, uint32_t n);
int sqm_pack_settle(struct sqm_pack *pack, struct plat_err *err);
/* Samples of n bytes, ascending, at most SQM_SAMPLES_MAX, into room, which has n_room numbers. */
uint32_t sqm_samples_take(const uint8_t *bytes, size_t n, uint32_t *room, size_t n_room);
void sqm_sort(uint64_t *keys, size_t n); /* ascending, in place */

/* ---- make_meta.c ---- */

void sqm_meta_begin(struct sqm_meta *meta, struct sqm_image *image, bool in_memory, bool plain);
int sqm_meta_put(struct sqm_meta *meta, const void *bytes, size_t n, struct plat_err *err);
/* Finishes the last block. */
int sqm_meta_end(struct sqm_meta *meta, struct plat_err *err);
void sqm_meta_close(struct sqm_meta *meta);
/* A table that is read by number: n entries, each as `entry` writes it, then the list of its blocks, which, with the
 * header, begins at *ret_start. */
typedef void sqm_entry_fn(const struct sqm_image *image, uint64_t i, uint8_t *to);
struct sqm_table {
    uint64_t n;
    size_t entry_bytes;
    bool plain;
    sqm_entry_fn *entry;
    const uint8_t *header; /* before the list; NULL: nothing */
    size_t header_bytes;
};
int sqm_table_put(struct sqm_image *image, const struct sqm_table *table, uint64_t *ret_start,
                  struct plat_err *err);

/* ---- make_ids.c ---- */

int sqm_ids_open(struct sqm_ids *ids, struct plat_err *err);
void sqm_ids_close(struct sqm_ids *ids);
int sqm_ids_index(struct sqm_ids *ids, uint32_t id, uint16_t *ret, struct plat_err *err);

/* ---- make_xattr.c ---- */

/* PLAT_EINVALID when the node has an attribute that squashfs has no room for. */
int sqm_xattrs_check(const struct make_plan *plan, const struct tree_node *node, struct plat_err *err);
int sqm_xattrs_open(struct sqm_image *image, struct sqm_xattrs **ret, struct plat_err *err);
void sqm_xattrs_close(struct sqm_xattrs *xattrs); /* NULL is allowed */
/* The number of the node's attributes; SQM_NONE: it has none. */
int sqm_xattrs_index(struct sqm_image *image, const struct tree_node *node, uint32_t *ret,
                     struct plat_err *err);
/* All of them, and their table; without any *ret_start stays. */
int sqm_xattrs_put(struct sqm_image *image, uint64_t *ret_start, struct plat_err *err);

/* ---- make_inode.c, make_dir.c ---- */

/* Writes the inode of an item, whose contents or listing are there. */
int sqm_inode_put(struct sqm_image *image, uint32_t item, struct plat_err *err);
enum squashfs_entry_type sqm_entry_type(const struct tree_node *node);
/* The listing of a directory; the inodes of what it holds are written. */
int sqm_listing_put(struct sqm_image *image, uint32_t dir, struct plat_err *err);

#endif
