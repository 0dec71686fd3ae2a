/* What check*.c and scrub.c share: all inodes by reference, all blocks by place, and what refers to what.
 *
 *   collect.c      once through the inode table
 *   check.c        tables, numbers, contents
 *   check_tree.c   directories: names, links, indexes
 *   check_use.c    what nothing refers to; flags; ids
 *   check_xattr.c  attributes
 *   report.c       findings with both addresses, and who refuses such an image */
#ifndef PLAT_FORMATS_SQUASHFS_CHECK_H
#define PLAT_FORMATS_SQUASHFS_CHECK_H

#include "formats/squashfs/volume.h"

enum {
    SQ_CHECK_INODES = 1 << 25, /* 40 bytes each */
    SQ_CHECK_BLOCKS = 1 << 22, /* 16 bytes each */
    SQ_CHECK_RANGES = 1 << 22, /* 16 bytes each: listings, sets of attributes */
    SQ_CHECK_GAPS = 100        /* reported of one kind */
};

/* An inode, in the order of the table, which is that of references. */
struct sq_item {
    uint64_t ref;
    uint32_t number, links, parent;
    uint32_t found; /* names */
    uint32_t up;    /* directories: the item whose listing names it */
    uint8_t type;
    uint8_t climbed; /* directories: see check_tree.c */
};
struct sq_stored {
    uint64_t offset;
    uint32_t word;
    uint32_t expected; /* bytes, decompressed; 0: of a fragment block, any */
};
/* Parts of a stream that something refers to. */
struct sq_ranges {
    struct range *list;
    size_t n, cap;
    bool partial; /* some are not known: what is left says nothing */
};
struct sq_check {
    struct volume *vol;
    const struct finding_sink *sink;
    struct plat_err *err;
    struct sq_item *items;
    size_t n_items, cap_items;
    bool all_items; /* the table was read to its end */
    struct sq_stored *blocks;
    size_t n_blocks, cap_blocks;
    uint32_t *tails; /* by fragment block, the most bytes that a file wants of it */
    /* When there are SQ_CHECK_BLOCKS of them: empties the list. NULL: what is more is left out, and counted. */
    int (*full)(struct sq_check *check);
    uint64_t left_out;
    /* Of check alone; scrub has none of it. */
    uint64_t listing_left;
    struct sq_map maps[SQ_TABLES];
    uint8_t *ids_used, *sets_used; /* a bit for each; NULL: nobody asks */
    struct sq_ranges listings;
};
/* Goes through the inode table, and the fragments: items (with_items) and blocks. Damage is the walk's to report. */
int sq_check_collect(struct sq_check *check, bool with_items);
void sq_check_sort(struct sq_check *check);
void sq_check_free(struct sq_check *check);
/* NULL: none. */
struct sq_item *sq_check_find(const struct sq_check *check, uint64_t ref);
/* Damage in a stream: a finding, unless the walk has decoded the same and told it. */
int sq_check_damage(struct sq_check *check, const char *path, const struct plat_err *why, bool told);
#define sq_report(check, severity, id, path, offset, ...) \
    finding_report((check)->sink, severity, id, path, offset, NULL, __VA_ARGS__)

/* ---- report.c ---- */

/* Who refuses to mount or to unpack such an image, as measured (tests/oracle/squashfs_faults.bats). */
enum sq_refused {
    SQ_BY_NOBODY = 0,
    SQ_BY_LINUX = 1,
    SQ_BY_UNSQUASHFS = 2,
    SQ_BY_RDSQUASHFS = 4,
    SQ_BY_ALL = 7
};
/* A place: in the image, and where that is a metadata block, in what it decompresses to. */
struct sq_where {
    uint64_t offset;
    uint32_t bytes;     /* 0: not known */
    const char *stream; /* NULL: there is none */
    uint64_t position;
};
struct sq_where sq_where_image(uint64_t offset);
/* Byte `at` of the decompressed block that begins at `offset`. */
struct sq_where sq_where_block(const struct sq_check *check, enum sq_table_id id, uint64_t offset,
                               uint32_t at);
struct sq_where sq_where_ref(const struct sq_check *check, enum sq_table_id id, uint64_t ref);
struct sq_where sq_where_position(const struct sq_check *check, enum sq_table_id id, uint64_t position);
/* Entry `number` of a table that is read by number. */
struct sq_where sq_where_entry(const struct sq_check *check, enum sq_table_id id, uint64_t number);
struct sq_fault {
    enum severity severity;
    const char *id, *path;
    struct sq_where where;
    unsigned refused; /* enum sq_refused */
};
int sq_fault(struct sq_check *check, const struct sq_fault *fault, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- check_tree.c, check_use.c, check_xattr.c ---- */

int sq_check_tree(struct sq_check *check);
/* Marks what the inode refers to, goes on to the next record, and checks what varies in length. *ret_rc: what stopped it
 * that is no damage. Not for files. */
int sq_check_inode(struct sq_check *check, struct sq_cursor *cursor, const struct sq_inode *inode,
                   int *ret_rc, struct plat_err *why);
int sq_check_use_open(struct sq_check *check);
int sq_check_use(struct sq_check *check);
/* Is the block where contents can be, and as long as its file says? *ret_good: yes, or nobody asks. */
int sq_check_place(struct sq_check *check, const struct sq_stored *block, const char *path,
                   const struct sq_where *where, bool *ret_good);
int sq_check_sparse(struct sq_check *check, const struct sq_inode *file, uint64_t zero_bytes);
int sq_ranges_add(struct sq_ranges *ranges, struct range range);
/* What of a stream is in none of them. */
int sq_ranges_check(struct sq_check *check, enum sq_table_id id, struct sq_ranges *ranges);
uint64_t sq_stream_bytes(const struct sq_check *check, enum sq_table_id id);
uint64_t sq_position(const struct sq_check *check, enum sq_table_id id, uint64_t ref);
int sq_check_xattrs(struct sq_check *check);

#endif
