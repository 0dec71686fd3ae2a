/* A walk over a SquashFS image, as its parts share it: walk.c has the frame, walk_stream.c the records in metadata,
 * walk_data.c contents by the paths of their files. */
#ifndef PLAT_FORMATS_SQUASHFS_WALK_H
#define PLAT_FORMATS_SQUASHFS_WALK_H

#include "formats/squashfs/volume.h"

enum { SQ_PATH_BYTES = 64 };

struct sq_walk {
    struct volume *vol;
    const struct walk_sink *sink;
    struct sq_map maps[SQ_TABLES];
    struct sq_cursor *raw; /* for the bytes of records whose values are taken elsewhere */
    uint8_t *buf;          /* of one record */
    uint64_t listing_left; /* bytes of listings: more are there only where they overlap */
    uint64_t pair_left;    /* the same of names and values of attributes */
    uint64_t n_inodes;     /* found in their table */
    struct range *owned;   /* extents so far, for what is left */
    size_t n_owned, cap_owned;
    struct plat_err *err;
};

bool sq_wants(const struct sq_walk *walk, const char *path);
/* Are the elements of an array of that length to be produced? */
bool sq_enumerates(const struct sq_walk *walk, uint64_t count);
int sq_array(struct sq_walk *walk, const char *path, uint64_t count, const char *type_name);
int sq_extent(struct sq_walk *walk, enum extent_kind kind, const char *path, struct range place);
/* A record of n bytes that begins at `from` in a stream and ends at `to`'s place. */
struct sq_mark {
    uint64_t block;
    uint32_t at;
};
struct sq_record {
    const char *type_name, *path;
    enum sq_table_id table;
    struct sq_mark from;
    const struct sq_cursor *to;
    const uint8_t *bytes;
    size_t n;
    uint64_t index;
};
int sq_instance(struct sq_walk *walk, const struct sq_record *record);
/* The place that a cursor stands at, on the next block where this one is used up. */
int sq_mark(struct sq_cursor *cursor, struct sq_mark *ret, bool *ret_more, struct plat_err *err);
/* Damage is a finding, and the walk goes on elsewhere; else the class. */
int sq_damage(struct sq_walk *walk, const char *path, const struct plat_err *why);
/* The same of a record of a stream, which begins at the mark; block 0: nowhere yet. */
int sq_damage_at(struct sq_walk *walk, const char *path, enum sq_table_id id, const struct sq_mark *mark,
                 const struct plat_err *why);

int sq_walk_streams(struct sq_walk *walk);
int sq_walk_xattrs(struct sq_walk *walk);
int sq_walk_data(struct sq_walk *walk);

#endif
