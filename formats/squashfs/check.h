/* What check.c and scrub.c share: all inodes by reference, all blocks by place. */
#ifndef PLAT_FORMATS_SQUASHFS_CHECK_H
#define PLAT_FORMATS_SQUASHFS_CHECK_H

#include "formats/squashfs/volume.h"

enum {
    SQ_CHECK_INODES = 1 << 25, /* 40 bytes each */
    SQ_CHECK_BLOCKS = 1 << 22  /* 16 bytes each */
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
struct sq_check {
    struct volume *vol;
    const struct finding_sink *sink;
    struct plat_err *err;
    struct sq_item *items;
    size_t n_items, cap_items;
    bool all_items; /* the table was read to its end */
    struct sq_stored *blocks;
    size_t n_blocks, cap_blocks;
    uint32_t *tails; /* scrub: by fragment block, the most bytes that a file wants of it */
    /* When there are SQ_CHECK_BLOCKS of them: empties the list. NULL: what is more is left out, and counted. */
    int (*full)(struct sq_check *check);
    uint64_t left_out;
    uint64_t listing_left;
};
/* Goes through the inode table, and the fragments: items (with_items) and blocks. Damage is the walk's to report. */
int sq_check_collect(struct sq_check *check, bool with_items);
void sq_check_sort(struct sq_check *check);
void sq_check_free(struct sq_check *check);
/* NULL: none. */
struct sq_item *sq_check_find(const struct sq_check *check, uint64_t ref);
/* Damage in a stream: the walk has told it where it has decoded it, else it is a finding here. */
int sq_check_damage(struct sq_check *check, const char *path, const struct plat_err *why);
#define sq_report(check, severity, id, path, offset, ...) \
    finding_report((check)->sink, severity, id, path, offset, NULL, __VA_ARGS__)

int sq_check_tree(struct sq_check *check);

#endif
