/* An open SquashFS image, as the parts of its driver share it.
 *
 *   super.c   what the superblock says, believed once it is checked
 *   meta.c    metadata blocks through a cache; streams of records in them
 *   tables.c  fragments, exports, ids, attributes by number
 *   inode.c   records of inodes; dir.c: listings; data.c: contents; pieces.c: where they are; xattr.c:
 *             attributes
 *   walk*.c   everything with its place; check*.c: what a description cannot say; scrub.c: every block
 *
 * Reading is safe in several threads at once: what changes is the two caches, the spots and the idle workers, behind one mutex.
 * Memory is bounded: 64 metadata blocks, 8 blocks of contents, 8 bytes for each block of a table that is read by number, and what
 * check and walk say.
 *
 * A node is the reference of its inode: the metadata block from the start of the table, and the byte in it. */
#ifndef PLAT_FORMATS_SQUASHFS_VOLUME_H
#define PLAT_FORMATS_SQUASHFS_VOLUME_H

#include <pthread.h>

#include "formats/squashfs/squashfs.h"
#include "lib/codec/codec.h"
#include "squashfs.gen.h"

enum {
    SQ_META_BYTES = 8192,    /* of a metadata block, decompressed */
    SQ_META_CACHED = 64,     /* blocks */
    SQ_DATA_CACHED = 8,      /* blocks, each as large as the image has it */
    SQ_SPOTS = 8,            /* places in block lists of files that are being read */
    SQ_IDLE_WORKERS = 8,     /* kept for the next reader */
    SQ_NAME_BYTES = 256,     /* of a name, at most */
    SQ_RUN_ENTRIES = 256,    /* behind one header */
    SQ_MAP_BLOCKS = 1 << 22, /* of a table: 32 GiB of metadata */
    SQ_TARGET_BYTES = 65535  /* of a symbolic link: unsquashfs's limit; Linux has 4096 */
};
#define SQ_NONE UINT32_MAX
#define SQ_ABSENT UINT64_MAX

/* ---- tables ---- */

enum sq_table_id {
    SQ_INODES,
    SQ_DIRECTORIES,
    SQ_FRAGMENTS,
    SQ_EXPORTS,
    SQ_IDS,
    SQ_XATTRS,
    SQ_XATTR_IDS,
    SQ_TABLES
};
/* Metadata blocks one behind the other. */
struct sq_table {
    const char *stream;      /* "inodes" */
    const char *blocks_name; /* "inode_blocks" */
    uint64_t start, end;     /* in the image; alike: there is none */
    uint64_t index_start;    /* of the list of blocks; tables that are read by number */
    uint64_t entries;        /* likewise */
    uint32_t entry_bytes;    /* likewise; 0: a stream of records */
};

struct sq_super {
    uint32_t inodes, block_bytes, fragments;
    uint16_t compression, ids, flags;
    uint64_t root, bytes_used;
    uint64_t id_table, xattr_table, inode_table, directory_table, fragment_table, export_table;
    uint64_t data_start; /* behind superblock and compressor options */
    uint32_t xattr_ids;
    uint32_t dictionary_bytes; /* xz; 0: not stated */
};

/* ---- the open image ---- */

struct sq_meta_slot {
    uint64_t offset; /* SQ_ABSENT: empty */
    uint64_t used;   /* when, by volume.clock */
    uint32_t stored_bytes, n;
    uint8_t bytes[SQ_META_BYTES];
};
struct sq_data_slot {
    uint64_t offset;
    uint64_t used;
    uint32_t word, n;
    uint8_t *bytes; /* block_bytes; NULL until it is used */
};
/* A place in the block list of a file, so that reading on does not begin at its first block. */
struct sq_spot {
    uint64_t ref; /* SQ_ABSENT: empty */
    uint64_t used;
    uint64_t block;  /* of the file: whose size stands ... */
    uint64_t meta;   /* ... in this metadata block ... */
    uint32_t at;     /* ... here, ... */
    uint64_t offset; /* ... and which lies here */
};
/* What one thread needs to decompress. */
struct sq_worker {
    struct sq_worker *next;
    struct codec_decoder *decoder;
    uint8_t *in, *out; /* block_bytes and SQ_META_BYTES at least */
};
struct volume {
    struct fs fs; /* first */
    struct plat_dev *dev;
    bool sound; /* superblock and tables can be used; else `fault` says what is wrong */
    struct plat_err fault;
    struct sq_super super;
    struct sq_table tables[SQ_TABLES];
    uint32_t *id_list; /* super.ids */
    uint64_t *index_list
        [SQ_TABLES]; /* of tables that are read by number: where their blocks are; NULL: not known */

    pthread_mutex_t lock; /* of all that follows */
    uint64_t clock;
    struct sq_meta_slot *meta;
    struct sq_data_slot data[SQ_DATA_CACHED];
    struct sq_spot spots[SQ_SPOTS];
    struct sq_worker *idle;
    unsigned n_idle;
};
static inline struct volume *volume_of(struct fs *fs)
{
    return (struct volume *)(void *)fs; /* fs is its first member */
}
/* PLAT_ECORRUPT, as opening found it, where the volume is not sound. */
int sq_usable(const struct volume *vol, struct plat_err *err);

/* ---- super.c ---- */

int squashfs_probe(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                   struct plat_err *err);
/* Superblock, compressor options, places of all tables: what Linux checks when it mounts. */
int sq_super_read(struct plat_dev *dev, struct sq_super *ret, struct sq_table ret_tables[SQ_TABLES],
                  struct plat_err *err);

/* ---- meta.c ---- */

int sq_worker_take(struct volume *vol, struct sq_worker **ret, struct plat_err *err);
void sq_worker_give(struct volume *vol, struct sq_worker *worker);
void sq_workers_free(struct volume *vol);
/* A metadata block, decompressed. */
struct sq_block {
    uint64_t offset;       /* of its header */
    uint32_t stored_bytes; /* in the image, with the header */
    uint32_t n;
    uint8_t bytes[SQ_META_BYTES];
};
int sq_block_read(struct volume *vol, const struct sq_table *table, uint64_t offset, struct sq_block *ret,
                  struct plat_err *err);
/* A place in a table, from which records are taken. Large: about 8 KiB. */
struct sq_cursor {
    struct volume *vol;
    const struct sq_table *table;
    uint32_t at; /* in block.bytes */
    struct sq_block block;
};
/* `offset` of the block is absolute. PLAT_ECORRUPT when the place does not exist. */
int sq_seek(struct volume *vol, const struct sq_table *table, uint64_t offset, uint32_t at,
            struct sq_cursor *ret, struct plat_err *err);
/* n bytes at a place, where the cache has them in one block, without copying all of that; false: it has not, sq_seek can tell. */
bool sq_peek(struct volume *vol, const struct sq_table *table, uint64_t offset, uint32_t at, uint8_t *buf,
             uint32_t n);
/* The same by reference: the block counts from the start of the table. */
int sq_seek_ref(struct volume *vol, enum sq_table_id id, uint64_t ref, struct sq_cursor *ret,
                struct plat_err *err);
/* The next n bytes, from the next blocks as well; buf NULL: pass over them. The blocks before the last must be full. */
int sq_take(struct sq_cursor *cursor, void *buf, uint64_t n, struct plat_err *err);
/* Goes on to the next block where this one is used up; false at the end of the table. */
int sq_more(struct sq_cursor *cursor, bool *ret, struct plat_err *err);
/* Error at the cursor's block, naming the position in it. */
#define sq_corrupt(cursor, err, ...) \
    err_at(err, PLAT_ECORRUPT, (cursor)->block.offset, (cursor)->table->stream, __VA_ARGS__)

/* ---- map.c ---- */

/* Where the metadata blocks of a table are, by their headers alone. */
struct sq_map {
    uint64_t *offsets; /* n of them, and where the last one ends */
    size_t n;
    bool whole; /* they end where the table does */
};
/* 8 bytes for each block; PLAT_ELIMIT beyond SQ_MAP_BLOCKS. Free with sq_map_free. */
int sq_map_build(struct volume *vol, enum sq_table_id id, struct sq_map *ret, struct plat_err *err);
void sq_map_free(struct sq_map *map);
/* Which block begins at that offset; false: none. */
bool sq_map_find(const struct sq_map *map, uint64_t offset, uint64_t *ret);

/* ---- tables.c ---- */

/* Entry `number` of a table that is read by number; entry_bytes of it. */
int sq_entry_read(struct volume *vol, enum sq_table_id id, uint64_t number, uint8_t *ret,
                  struct plat_err *err);
/* Where the i-th block of such a table is said to be. */
int sq_index_read(struct volume *vol, enum sq_table_id id, uint64_t i, uint64_t *ret, struct plat_err *err);
static inline uint64_t sq_index_count(const struct sq_table *table)
{
    return div_up_u64(table->entries * table->entry_bytes, SQ_META_BYTES);
}
struct sq_fragment {
    uint64_t start;
    uint32_t word;
};
int sq_fragment_read(struct volume *vol, uint32_t number, struct sq_fragment *ret, struct plat_err *err);
int sq_ids_load(struct volume *vol, struct plat_err *err);
/* Keeps where the blocks of a table are, once they are known to exist: 8 bytes for each. */
int sq_index_load(struct volume *vol, enum sq_table_id id, struct plat_err *err);

/* ---- inode.c ---- */

struct sq_inode {
    uint64_t ref;
    uint16_t type; /* basic one: enum squashfs_entry_type */
    bool extended;
    uint16_t mode, uid_index, gid_index;
    uint32_t modified, number, links;
    uint32_t xattr;     /* SQ_NONE; of extended symbolic links sq_inode_xattr finds it */
    uint32_t n_indexes; /* directories */
    uint32_t dir_block, dir_offset, listing_bytes, parent;
    uint64_t size_bytes, start, n_blocks; /* files */
    uint64_t sparse_bytes;                /* likewise; 0 in basic ones */
    uint32_t fragment, fragment_offset;
    uint32_t target_bytes; /* symbolic links */
    uint32_t device;       /* as Linux packs it */
};
/* Takes the record at the cursor up to what varies in length: indexes, block list, target. */
int sq_inode_take(struct sq_cursor *cursor, struct sq_inode *ret, struct plat_err *err);
/* The same in two steps, for who wants to show what is wrong: the record, and whether Linux and unsquashfs take it. */
int sq_inode_decode(struct sq_cursor *cursor, struct sq_inode *ret, struct plat_err *err);
int sq_inode_check(const struct sq_cursor *at, const struct sq_inode *inode, struct plat_err *err);
/* Passes over what follows, index entries, block list, target, to the next record. */
int sq_inode_skip(struct sq_cursor *cursor, const struct sq_inode *inode, struct plat_err *err);
int sq_inode_read(struct volume *vol, uint64_t ref, struct sq_inode *ret, struct sq_cursor *ret_rest,
                  struct plat_err *err);
/* The same where what follows it is of no interest: cheaper. */
int sq_inode_get(struct volume *vol, uint64_t ref, struct sq_inode *ret, struct plat_err *err);
uint64_t sq_ref(const struct sq_cursor *cursor);
/* Name of its type in the layout, and its bytes there: with the target, without index entries and block list. */
const char *sq_inode_type_name(const struct sq_inode *inode);
uint32_t sq_inode_bytes(const struct sq_inode *inode);
enum tree_kind sq_kind(uint16_t type);
/* Bytes of the file in block `i`; the last may be shorter. */
uint32_t sq_block_expected(const struct volume *vol, const struct sq_inode *inode, uint64_t i);
uint32_t sq_tail_bytes(const struct volume *vol, const struct sq_inode *inode);
int squashfs_stat(struct fs *fs, uint64_t node, struct fs_stat *ret, struct plat_err *err);
int squashfs_readlink(struct fs *fs, uint64_t node, struct strbuf *ret, struct plat_err *err);

/* ---- dir.c ---- */

struct sq_entry {
    uint64_t ref;
    uint32_t number;
    uint16_t type;
    uint32_t n; /* of the name */
    char name[SQ_NAME_BYTES + 1];
};
struct sq_listing {
    struct sq_cursor cursor;
    uint64_t left;     /* bytes of the listing */
    uint32_t run_left; /* entries behind the last header */
    uint32_t run_block, run_number;
    uint64_t position; /* in the listing */
};
/* An index entry, behind an extended directory. */
struct sq_index {
    uint32_t position, block, n;
    char name[SQ_NAME_BYTES + 1];
};
int sq_index_take(struct sq_cursor *cursor, struct sq_index *ret, struct plat_err *err);
int sq_listing_open(struct volume *vol, const struct sq_inode *dir, struct sq_listing *ret,
                    struct plat_err *err);
/* A header where one is due (*ret_header), else the next entry; *ret_there is false at the end. */
int sq_listing_next(struct sq_listing *listing, struct sq_entry *ret, bool *ret_header, bool *ret_there,
                    struct plat_err *err);
/* Bytewise, as Linux compares. */
int sq_name_compare(const char *a, size_t n_a, const char *b, size_t n_b);
/* What a name may not be: NULL when it is a name. */
const char *sq_name_fault(const struct sq_entry *entry);
int squashfs_lookup(struct fs *fs, uint64_t dir, const char *name, uint64_t *ret_node, struct plat_err *err);
int squashfs_readdir(struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *ctx, struct plat_err *err);

/* ---- data.c ---- */

/* The block at `offset` whose size is `word`, of which there are up to block_bytes: *ret_n of them, into `out`. */
int sq_data_decode(struct volume *vol, struct sq_worker *worker, uint64_t offset, uint32_t word, uint8_t *out,
                   uint32_t *ret_n, struct plat_err *err);
/* What is wrong with the place or the size of a block, before it is read; 0: nothing. */
int sq_data_check(const struct volume *vol, uint64_t offset, uint32_t word, struct plat_err *err);
int sq_word_take(struct sq_cursor *cursor, uint32_t *ret, struct plat_err *err);
int squashfs_read(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                  struct plat_err *err);
int squashfs_next_data(struct fs *fs, uint64_t node, uint64_t offset, struct range *ret,
                       struct plat_err *err);

/* ---- pieces.c ---- */

int squashfs_pieces(struct fs *fs, uint64_t node, fs_piece_fn fn, void *ctx, struct plat_err *err);
int squashfs_stored(struct fs *fs, const struct inst *inst, struct range part, uint64_t *ret,
                    struct plat_err *err);

/* ---- xattr.c ---- */

struct sq_xattr_set {
    uint64_t ref; /* of its first name */
    uint32_t count, size_bytes;
};
int sq_xattr_set_read(struct volume *vol, uint32_t number, struct sq_xattr_set *ret, struct plat_err *err);
/* Where a name with its value has been found; *_n without the prefix and the heads. */
struct sq_xattr {
    uint8_t prefix;
    bool elsewhere;
    uint32_t name_bytes, value_bytes;
    char name[UINT16_MAX + 1];
};
int sq_xattr_name_take(struct sq_cursor *cursor, struct sq_xattr *ret, struct plat_err *err);
/* Length of a value, or the reference to it; the cursor is behind the head, or behind all of it. */
int sq_xattr_value_take(struct sq_cursor *cursor, struct sq_xattr *xattr, uint64_t *ret_ref,
                        struct plat_err *err);
const char *sq_xattr_prefix(uint8_t prefix); /* "user."; NULL: none */
int sq_inode_xattr(struct volume *vol, const struct sq_inode *inode, uint32_t *ret, struct plat_err *err);
int squashfs_xattrs(struct fs *fs, uint64_t node, fs_xattr_fn fn, void *ctx, struct plat_err *err);

/* ---- walk.c, check.c, scrub.c ---- */

int squashfs_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err);
int squashfs_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err);
int squashfs_scrub(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                   struct plat_err *err);

#endif
