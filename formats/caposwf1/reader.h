/* Reading a CAPOSWF1: what a kernel carries. No memory but what the caller gives, and nothing is believed before its
 * checksum is right.
 *
 *   superblock --nodes--> pointer blocks --> blocks of 4 node records --map--> extents of a file
 *       |                                                             `-----> names of a directory
 *       `-------bitmap--> pointer blocks --> blocks of 4096 bits: the used blocks of the region
 *
 * Node table and bitmap are radix trees of blocks of 64 pointers (block, CRC-32C), as high as their size needs; a pointer
 * of zeros stands for a block of zeros. A map is a B+tree whose root is the 4 entries of the record: entries of 16
 * bytes, 32 to a block, that name blocks further down (branches) or runs of blocks (extents of a file); the bottom of
 * a directory is blocks of names. Every block is named with its checksum by exactly one pointer or branch.
 *
 * Blocks are counted from the start of the device. What is published of the format and what is plat's choice stands
 * in the docs of schemas/caposwf1.json. */
#ifndef PLAT_FORMATS_CAPOSWF1_READER_H
#define PLAT_FORMATS_CAPOSWF1_READER_H

#include "caposwf1.gen.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/io/dev.h"

enum {
    WF1_BLOCK_BYTES = 512,
    WF1_POINTERS = 64,       /* in a pointer block */
    WF1_RECORDS = 4,         /* in a block of nodes */
    WF1_BITS = 4096,         /* in a block of the bitmap */
    WF1_ROOT_ENTRIES = 4,    /* in a record */
    WF1_ENTRIES = 32,        /* in a block of extents or branches */
    WF1_EXTENT_BLOCKS = 128, /* no extent is longer, or crosses a multiple of it */
    WF1_EXTENT_BYTES = WF1_EXTENT_BLOCKS * WF1_BLOCK_BYTES,
    WF1_NAME_MAX_BYTES = 255,
    WF1_NAME_HEAD_BYTES = CAPOSWF1_NAME_ENTRY_HEAD_BYTES,
    WF1_NAMES_MAX = WF1_BLOCK_BYTES / (WF1_NAME_HEAD_BYTES + 1), /* in a block */
    WF1_TARGET_MAX_BYTES = 4095,
    WF1_MODE_BITS = 07777,
    WF1_NODE_MAX_LEVELS = 5,
    WF1_BITMAP_MAX_LEVELS = 4,
    WF1_MAP_MAX_LEVELS = 12,
    WF1_DEFAULT_BLOCK = 256, /* where the superblock lies (published) */
    WF1_ROOT_NODE = 0
};
/* Files end where 32 bits of blocks do. */
#define WF1_FILE_MAX_BYTES ((uint64_t)UINT32_MAX * WF1_BLOCK_BYTES)

struct wf1_pointer {
    uint32_t block, crc32c; /* 0, 0: none, stands for zeros */
};
struct wf1_super {
    uint64_t generation;
    bool writing, shared;
    uint32_t superblock_block;
    uint64_t region_first_block, region_blocks, free_blocks;
    uint64_t node_count, free_node_count, free_node;
    uint64_t next_block;
    struct wf1_pointer nodes, bitmap;
    uint32_t node_levels, bitmap_levels;
    uint8_t uuid[16];
    char label[CAPOSWF1_SUPERBLOCK_LABEL_BYTES + 1];
};
/* Levels of pointer blocks that `bottom` blocks below need. */
uint32_t wf1_levels_for(uint64_t bottom_blocks);
static inline uint64_t wf1_blocks_of(uint64_t bytes)
{
    return div_up_u64(bytes, WF1_BLOCK_BYTES);
}

/* An entry of a map: an extent (key: file_block, count: blocks) or a branch (count: entries). */
struct wf1_entry {
    uint32_t key, block, count, crc32c;
};
/* A node record, decoded. */
struct wf1_node {
    enum caposwf1_node_kind kind;
    uint32_t levels; /* 0: `entries` are extents */
    uint32_t mode, uid, gid, parent;
    uint64_t size_bytes;
    uint32_t n_entries;
    struct wf1_entry entries[WF1_ROOT_ENTRIES];
    uint32_t device_major, device_minor;
    int64_t created_ns, modified_ns;
    enum caposwf1_provenance created_clock, modified_clock;
};
void wf1_node_decode(const uint8_t record[CAPOSWF1_PLAIN_NODE_BYTES], struct wf1_node *ret);
void wf1_node_encode(const struct wf1_node *node, uint8_t ret[CAPOSWF1_PLAIN_NODE_BYTES]);
/* Entries of a block of extents or branches; n at most WF1_ENTRIES. The block has no other bytes than theirs. */
void wf1_entries_decode(const uint8_t *bytes, uint32_t n, struct wf1_entry *ret);
void wf1_entries_encode(const struct wf1_entry *entries, uint32_t n, uint8_t ret[WF1_BLOCK_BYTES]);
struct wf1_name {
    uint32_t hash, node;
    enum caposwf1_node_kind kind;
    uint32_t bytes;
    const uint8_t *name; /* not terminated */
};
/* The name at *offset of a block of names, and *offset behind it. False: it does not fit in the block. */
bool wf1_name_decode(const uint8_t block[WF1_BLOCK_BYTES], uint32_t *offset, struct wf1_name *ret);
/* Writes WF1_NAME_HEAD_BYTES + name->bytes. */
void wf1_name_encode(const struct wf1_name *name, uint8_t *ret);
uint32_t wf1_name_hash(const void *name, size_t n);
/* Order in a directory: by hash, then bytewise. */
int wf1_name_compare(const struct wf1_name *a, const struct wf1_name *b);
/* A name that no directory can hold: empty, too long, "." or "..", with '/' or NUL. NULL: it is fine. */
const char *wf1_name_fault(const uint8_t *name, size_t n);

/* Superblock: bytes to numbers and back (sealed), and what is wrong with it. */
void wf1_super_decode(const uint8_t bytes[WF1_BLOCK_BYTES], struct wf1_super *ret);
void wf1_super_encode(const struct wf1_super *super, uint8_t ret[WF1_BLOCK_BYTES]);
int wf1_super_validate(const struct wf1_super *super, uint64_t image_bytes, struct plat_err *err);

/* ---- reading ---- */

struct wf1_slot {
    uint32_t block, crc32c; /* 0: empty */
    uint8_t bytes[WF1_BLOCK_BYTES];
};
struct wf1_reader {
    struct plat_dev *dev;
    struct wf1_super super;
    struct wf1_slot *slots; /* a cache of blocks: memory of the caller */
    uint32_t n_slots;       /* at least 1 */
    /* What a writer has staged: the block as it will be, NULL where it is as on the device. NULL: no writer. */
    const uint8_t *(*staged)(void *ctx, uint32_t block);
    void *staged_ctx;
    /* The extent that was last compared with its checksum: reading on in it does not compare again, and sets `relied`.
     * Where somebody else may write meanwhile, the caller asks then whether somebody has, and if so sets trusted.count
     * to 0 and reads again. */
    struct wf1_entry trusted;
    bool relied;
    /* More memory of the caller, to read extents through that are compared with their checksums; NULL: a block at a
     * time. */
    uint8_t *scratch;
    size_t scratch_bytes; /* a multiple of 512 */
    bool skip_checks;     /* for tests alone */
};
/* The reader of a sound superblock, with memory for n_slots blocks. */
void wf1_reader_init(struct wf1_reader *reader, struct plat_dev *dev, const struct wf1_super *super,
                     struct wf1_slot *slots, uint32_t n_slots);

/* 512 bytes that lie in the region and have this checksum, or PLAT_ECORRUPT. Valid until the next call. */
int wf1_block(struct wf1_reader *reader, struct wf1_pointer at, const uint8_t **ret, struct plat_err *err);
/* The pointer to bottom block `index` of a radix tree; {0, 0}: none. */
int wf1_radix(struct wf1_reader *reader, struct wf1_pointer root, uint32_t levels, uint64_t index,
              struct wf1_pointer *ret, struct plat_err *err);
/* A record that is in use and makes sense by itself, or PLAT_ECORRUPT; PLAT_ENOTFOUND: there is none. */
int wf1_node_read(struct wf1_reader *reader, uint64_t number, struct wf1_node *ret, struct plat_err *err);
/* What is wrong with a record by itself; NULL: nothing. */
const char *wf1_node_fault(const struct wf1_super *super, const struct wf1_node *node);
/* The same for the extents or branches of one block, given their number. */
const char *wf1_entries_fault(const struct wf1_super *super, const struct wf1_entry *entries, uint32_t n,
                              bool extents);

/* Goes through the bottom of a map, block by block. */
struct wf1_cursor {
    struct wf1_reader *reader;
    uint32_t levels; /* of the node */
    struct {
        struct wf1_pointer at; /* the block; {0, 0}: the record itself */
        uint32_t index, count;
    } path[WF1_MAP_MAX_LEVELS + 1]; /* [0]: the record */
    struct wf1_entry root[WF1_ROOT_ENTRIES];
    struct wf1_entry leaf; /* when !end and levels > 0: names the bottom block */
    bool end;
};
/* To the first bottom block that may hold a key of at least `key`. Only for nodes with levels > 0. */
int wf1_cursor_seek(struct wf1_cursor *cursor, struct wf1_reader *reader, const struct wf1_node *node,
                    uint32_t key, struct plat_err *err);
int wf1_cursor_next(struct wf1_cursor *cursor, struct plat_err *err);

/* The first extent that ends behind `file_block`; count 0: there is none. */
int wf1_extent_find(struct wf1_reader *reader, const struct wf1_node *node, uint32_t file_block,
                    struct wf1_entry *ret, struct plat_err *err);
/* The extents of file blocks [first, first + 128), first being a multiple of 128; *ret_n at most 128. */
int wf1_extents(struct wf1_reader *reader, const struct wf1_node *node, uint32_t first,
                struct wf1_entry ret[WF1_EXTENT_BLOCKS], uint32_t *ret_n, struct plat_err *err);
/* Up to n bytes from offset of a file or symbolic link; *ret_n is less only at its end. */
int wf1_read(struct wf1_reader *reader, const struct wf1_node *node, uint64_t offset, void *buf, size_t n,
             size_t *ret_n, struct plat_err *err);
/* PLAT_ENOTFOUND: no such name. */
int wf1_lookup(struct wf1_reader *reader, const struct wf1_node *dir, const uint8_t *name, size_t n,
               struct wf1_name *ret, struct plat_err *err);
/* Calls fn for each name (valid during the call, which may use the reader) until it returns other than 0. */
typedef int wf1_name_fn(void *ctx, const struct wf1_name *name);
int wf1_list(struct wf1_reader *reader, const struct wf1_node *dir, wf1_name_fn *fn, void *ctx,
             struct plat_err *err);

#endif
