/* Records in decompressed metadata: inodes with what follows them, listings, tables, attributes. Each stream is gone
 * through once, from its start; what is damaged ends its part, and the next part goes on. */
#include "formats/squashfs/walk.h"

#include <stdio.h>
#include <stdlib.h>

enum { SHARED_VALUE_BYTES = 4096 };

#define path_of(ret, ...) (void)snprintf(ret, SQ_PATH_BYTES, __VA_ARGS__)

/* ---- inodes and what follows them ---- */

static int walk_words(struct sq_walk *walk, struct sq_cursor *cursor, const struct sq_inode *inode,
                      struct plat_err *why)
{
    char path[SQ_PATH_BYTES];
    path_of(path, "blocks[%u]", inode->number);
    if (inode->n_blocks == 0)
        return 0;
    int rc = sq_array(walk, path, inode->n_blocks, "file_block");
    if (rc != 0 || !sq_enumerates(walk, inode->n_blocks) || !sq_wants(walk, path))
        return rc != 0 ? rc : sq_inode_skip(cursor, inode, why);
    for (uint64_t i = 0; rc == 0 && i < inode->n_blocks; i++) {
        uint8_t buf[SQUASHFS_FILE_BLOCK_BYTES];
        struct sq_mark mark;
        bool more;
        path_of(path, "blocks[%u][%llu]", inode->number, (unsigned long long)i);
        rc = sq_mark(cursor, &mark, &more, why);
        if (rc == 0)
            rc = sq_take(cursor, buf, sizeof buf, why);
        if (rc == 0)
            rc = sq_instance(
                walk, &(struct sq_record){"file_block", path, SQ_INODES, mark, cursor, buf, sizeof buf, i});
    }
    return rc;
}

static int walk_indexes(struct sq_walk *walk, struct sq_cursor *cursor, const struct sq_inode *inode,
                        struct plat_err *why)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < inode->n_indexes; i++) {
        struct sq_index index;
        struct sq_mark mark;
        char path[SQ_PATH_BYTES];
        bool more;
        path_of(path, "index[%u][%u]", inode->number, i);
        rc = sq_mark(cursor, &mark, &more, why);
        *walk->raw = *cursor;
        if (rc == 0)
            rc = sq_index_take(cursor, &index, why);
        const size_t n = rc == 0 ? SQUASHFS_DIRECTORY_INDEX_HEAD_BYTES + index.n : 0;
        if (rc == 0)
            rc = sq_take(walk->raw, walk->buf, n, why);
        if (rc == 0)
            rc = sq_instance(
                walk, &(struct sq_record){"directory_index", path, SQ_INODES, mark, cursor, walk->buf, n, i});
    }
    return rc;
}

static int emit_inode(struct sq_walk *walk, const struct sq_inode *inode, const struct sq_mark *mark,
                      struct plat_err *why)
{
    char path[SQ_PATH_BYTES];
    const uint32_t n = sq_inode_bytes(inode);
    path_of(path, "inodes[%u]", inode->number);
    if (!sq_wants(walk, path))
        return 0;
    int rc = sq_take(walk->raw, walk->buf, n, why);
    return rc != 0 ? rc
                   : sq_instance(walk, &(struct sq_record){sq_inode_type_name(inode), path, SQ_INODES, *mark,
                                                           walk->raw, walk->buf, n, inode->number});
}

/* The record at the cursor and what follows it; *ret_mark: where it begins. */
static int walk_inode(struct sq_walk *walk, struct sq_cursor *cursor, bool enumerate, struct sq_inode *ret,
                      struct sq_mark *ret_mark, struct plat_err *why)
{
    bool more;
    int rc = sq_mark(cursor, ret_mark, &more, why);
    if (rc == 0 && enumerate)
        *walk->raw = *cursor;
    if (rc == 0)
        rc = sq_inode_decode(cursor, ret, why);
    if (rc != 0)
        return rc;
    const int fault = sq_inode_check(cursor, ret, why);
    /* What is refused is shown all the same: the layout says which field is wrong. */
    if (enumerate && ret->target_bytes <= SQ_TARGET_BYTES) {
        struct plat_err shown = {0};
        rc = emit_inode(walk, ret, ret_mark, fault != 0 ? &shown : why);
        if (fault != 0 && rc == shown.class)
            rc = 0;
    }
    if (rc != 0 || fault != 0)
        return rc != 0 ? rc : fault;
    if (enumerate && ret->type == SQUASHFS_ENTRY_TYPE_FILE)
        return walk_words(walk, cursor, ret, why);
    if (enumerate && ret->n_indexes > 0)
        return walk_indexes(walk, cursor, ret, why);
    return sq_inode_skip(cursor, ret, why);
}

/* ---- listings ---- */

static int walk_entry(struct sq_walk *walk, const struct sq_inode *dir, const struct sq_mark *mark,
                      const struct sq_entry *entry, const struct sq_cursor *to, uint64_t numbers[2],
                      struct plat_err *why)
{
    char path[SQ_PATH_BYTES];
    const bool header = entry == NULL;
    const size_t n =
        header ? SQUASHFS_DIRECTORY_HEADER_BYTES : SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES + entry->n;
    const uint64_t i = numbers[header]++;
    path_of(path, "%s[%u][%llu]", header ? "headers" : "names", dir->number, (unsigned long long)i);
    int rc = sq_take(walk->raw, walk->buf, n, why);
    return rc != 0 ? rc
                   : sq_instance(walk, &(struct sq_record){header ? "directory_header" : "directory_entry",
                                                           path, SQ_DIRECTORIES, *mark, to, walk->buf, n, i});
}

static int walk_records(struct sq_walk *walk, const struct sq_inode *dir, struct sq_mark *mark,
                        struct plat_err *why)
{
    struct sq_listing listing;
    uint64_t numbers[2] = {0, 0};
    bool there = true;
    int rc = sq_listing_open(walk->vol, dir, &listing, why);
    if (rc != 0 || listing.left == 0)
        return rc;
    if (listing.left > walk->listing_left)
        return err_at(why, PLAT_ECORRUPT, walk->vol->tables[SQ_DIRECTORIES].start, "directories",
                      "listings of directories overlap: that of %u has %llu bytes, and the table is used up",
                      dir->number, (unsigned long long)listing.left);
    walk->listing_left -= listing.left;
    *walk->raw = listing.cursor;
    while (rc == 0) {
        struct sq_entry entry;
        bool header, more;
        rc = sq_mark(&listing.cursor, mark, &more, why);
        if (rc == 0)
            rc = sq_listing_next(&listing, &entry, &header, &there, why);
        if (rc != 0 || !there)
            return rc;
        rc = walk_entry(walk, dir, mark, header ? NULL : &entry, &listing.cursor, numbers, why);
    }
    return rc;
}

/* inode: where that of the directory is, for a listing that is nowhere. */
static int walk_listing(struct sq_walk *walk, const struct sq_inode *dir, const struct sq_mark *inode)
{
    struct plat_err why = {0};
    char names[SQ_PATH_BYTES], headers[SQ_PATH_BYTES];
    path_of(names, "names[%u]", dir->number);
    path_of(headers, "headers[%u]", dir->number);
    if (!sq_wants(walk, names) && !sq_wants(walk, headers))
        return 0;
    struct sq_mark mark = {0};
    int rc = walk_records(walk, dir, &mark, &why);
    if (rc != 0 && why.class == rc && mark.block == 0 && rc == PLAT_ECORRUPT) {
        why.has_offset = false;
        rc = sq_damage_at(walk, names, SQ_INODES, inode, &why);
    } else if (rc != 0 && why.class == rc) {
        rc = sq_damage_at(walk, names, SQ_DIRECTORIES, &mark, &why);
    }
    return rc;
}

static int walk_inodes(struct sq_walk *walk)
{
    struct volume *vol = walk->vol;
    const struct sq_table *table = &vol->tables[SQ_INODES];
    const bool enumerate = sq_enumerates(walk, vol->super.inodes);
    struct sq_cursor cursor;
    struct plat_err why = {0};
    struct sq_mark mark = {table->start, 0};
    bool more = true;
    int rc = sq_array(walk, "inodes", vol->super.inodes, "file");
    if (rc != 0)
        return rc;
    rc = sq_seek(vol, table, table->start, 0, &cursor, &why);
    while (rc == 0) {
        struct sq_inode inode;
        rc = sq_more(&cursor, &more, &why);
        if (rc != 0 || !more)
            break;
        rc = walk_inode(walk, &cursor, enumerate, &inode, &mark, &why);
        walk->n_inodes += rc == 0;
        if (rc == 0 && enumerate && inode.type == SQUASHFS_ENTRY_TYPE_DIRECTORY)
            rc = walk_listing(walk, &inode, &mark);
    }
    return rc != 0 && why.class == rc ? sq_damage_at(walk, "inodes", SQ_INODES, &mark, &why) : rc;
}

/* ---- tables ---- */

static int walk_entries(struct sq_walk *walk, enum sq_table_id id, const char *type_name)
{
    struct volume *vol = walk->vol;
    const struct sq_table *table = &vol->tables[id];
    struct sq_cursor cursor;
    struct sq_mark mark = {0};
    struct plat_err why = {0};
    int rc = table->entries == 0 ? 0 : sq_array(walk, table->stream, table->entries, type_name);
    if (rc != 0 || table->entries == 0 || !sq_wants(walk, table->stream))
        return rc;
    const uint32_t per_block = SQ_META_BYTES / table->entry_bytes;
    for (uint64_t i = 0; rc == 0 && i < table->entries; i++) {
        char path[SQ_PATH_BYTES];
        bool more;
        if (i % per_block == 0) {
            uint64_t offset = 0;
            rc = sq_index_read(vol, id, i / per_block, &offset, &why);
            if (rc == 0)
                rc = sq_seek(vol, table, offset, 0, &cursor, &why);
        }
        if (rc == 0)
            rc = sq_mark(&cursor, &mark, &more, &why);
        if (rc == 0)
            rc = sq_take(&cursor, walk->buf, table->entry_bytes, &why);
        if (rc != 0 || !sq_enumerates(walk, table->entries))
            continue;
        path_of(path, "%s[%llu]", table->stream, (unsigned long long)i);
        rc = sq_instance(
            walk, &(struct sq_record){type_name, path, id, mark, &cursor, walk->buf, table->entry_bytes, i});
    }
    return rc != 0 && why.class == rc ? sq_damage_at(walk, table->stream, id, &mark, &why) : rc;
}

int sq_walk_streams(struct sq_walk *walk)
{
    int rc = 0;
    if (walk->sink->instance == NULL && walk->sink->array == NULL && walk->sink->extent == NULL)
        return 0;
    rc = walk_inodes(walk);
    if (rc == 0)
        rc = walk_entries(walk, SQ_FRAGMENTS, "fragment_entry");
    if (rc == 0)
        rc = walk_entries(walk, SQ_EXPORTS, "export_entry");
    if (rc == 0)
        rc = walk_entries(walk, SQ_IDS, "id_entry");
    return rc != 0 ? rc : walk_entries(walk, SQ_XATTR_IDS, "xattr_id");
}

/* ---- attributes ---- */

struct pair_walk {
    struct sq_walk *walk;
    struct sq_cursor cursor;
    struct sq_xattr xattr;
    struct sq_mark mark; /* of the pair at hand */
    uint32_t set, pair;
};

/* The record between `mark` and `to`, which is n bytes long. Long values are shown as far as a structure may be. */
static int emit_pair(struct pair_walk *pairs, const char *type_name, const char *what,
                     const struct sq_mark *mark, const struct sq_cursor *to, size_t n, struct plat_err *why)
{
    struct sq_walk *walk = pairs->walk;
    char path[SQ_PATH_BYTES];
    path_of(path, "%s[%u][%u]", what, pairs->set, pairs->pair);
    if (!sq_wants(walk, path))
        return 0;
    int rc = sq_seek(walk->vol, &walk->vol->tables[SQ_XATTRS], mark->block, mark->at, walk->raw, why);
    if (rc == 0)
        rc = sq_take(walk->raw, walk->buf, n, why);
    return rc != 0 ? rc
                   : sq_instance(walk, &(struct sq_record){type_name, path, SQ_XATTRS, *mark, to, walk->buf,
                                                           n, pairs->pair});
}

static int walk_value(struct pair_walk *pairs, struct sq_cursor *cursor, bool shared, uint64_t *ret_ref,
                      struct plat_err *why)
{
    struct sq_xattr *xattr = &pairs->xattr;
    struct sq_mark mark;
    bool more;
    int rc = sq_mark(cursor, &mark, &more, why);
    if (rc == 0)
        rc = sq_xattr_value_take(cursor, xattr, ret_ref, why);
    if (rc != 0 || xattr->elsewhere)
        return rc != 0 ? rc
                       : emit_pair(pairs, "xattr_elsewhere", "xattr_values", &mark, cursor,
                                   SQUASHFS_XATTR_ELSEWHERE_BYTES, why);
    const uint32_t n = xattr->value_bytes;
    /* One value may stand for many names, and is no part of their sets: a long one is looked at where it lies. */
    if (shared && n > SHARED_VALUE_BYTES)
        return 0;
    if (!shared && n > pairs->walk->pair_left)
        return sq_corrupt(cursor, why, "a value of %u bytes; the table of attributes is used up", n);
    pairs->walk->pair_left -= shared ? 0 : n;
    rc = sq_take(cursor, NULL, n, why);
    if (rc != 0 || n > SQ_TARGET_BYTES)
        return rc;
    return emit_pair(pairs, "xattr_value", shared ? "xattr_shared" : "xattr_values", &mark, cursor,
                     SQUASHFS_XATTR_VALUE_HEAD_BYTES + n, why);
}

static int walk_pair(struct pair_walk *pairs, struct sq_cursor *elsewhere, struct plat_err *why)
{
    struct sq_walk *walk = pairs->walk;
    uint64_t ref;
    bool more;
    int rc = sq_mark(&pairs->cursor, &pairs->mark, &more, why);
    if (rc == 0)
        rc = sq_xattr_name_take(&pairs->cursor, &pairs->xattr, why);
    if (rc != 0)
        return rc;
    const uint32_t n = SQUASHFS_XATTR_NAME_HEAD_BYTES + pairs->xattr.name_bytes;
    if (n + SQUASHFS_XATTR_VALUE_HEAD_BYTES > walk->pair_left)
        return sq_corrupt(&pairs->cursor, why, "sets of attributes overlap: the table is used up at set %u",
                          pairs->set);
    walk->pair_left -= n + SQUASHFS_XATTR_VALUE_HEAD_BYTES;
    rc = emit_pair(pairs, "xattr_name", "xattr_names", &pairs->mark, &pairs->cursor, n, why);
    if (rc == 0)
        rc = walk_value(pairs, &pairs->cursor, false, &ref, why);
    if (rc != 0 || !pairs->xattr.elsewhere)
        return rc;
    pairs->xattr.elsewhere = false;
    rc = sq_seek_ref(walk->vol, SQ_XATTRS, ref, elsewhere, why);
    return rc != 0 ? rc : walk_value(pairs, elsewhere, true, &ref, why);
}

/* A set that is nowhere is the fault of its entry. */
static int damaged_set(struct pair_walk *pairs, const char *path, struct plat_err *why)
{
    struct sq_walk *walk = pairs->walk;
    const uint32_t per_block = SQ_META_BYTES / SQUASHFS_XATTR_ID_BYTES, block = pairs->set / per_block;
    if (pairs->mark.block != 0 || why->class != PLAT_ECORRUPT || block >= walk->maps[SQ_XATTR_IDS].n)
        return sq_damage_at(walk, path, SQ_XATTRS, &pairs->mark, why);
    const struct sq_mark entry = {walk->maps[SQ_XATTR_IDS].offsets[block],
                                  pairs->set % per_block * SQUASHFS_XATTR_ID_BYTES};
    why->has_offset = false;
    return sq_damage_at(walk, path, SQ_XATTR_IDS, &entry, why);
}

int sq_walk_xattrs(struct sq_walk *walk)
{
    struct volume *vol = walk->vol;
    struct pair_walk *pairs;
    struct sq_cursor elsewhere;
    int rc = 0;
    if (vol->super.xattr_ids == 0 || !sq_enumerates(walk, vol->super.xattr_ids))
        return 0;
    pairs = calloc(1, sizeof *pairs);
    if (pairs == NULL)
        return err_nomem(walk->err, "walking attributes");
    pairs->walk = walk;
    for (pairs->set = 0; rc == 0 && pairs->set < vol->super.xattr_ids; pairs->set++) {
        struct sq_xattr_set set;
        struct plat_err why = {0};
        char path[SQ_PATH_BYTES];
        path_of(path, "xattr_names[%u]", pairs->set);
        pairs->mark = (struct sq_mark){0};
        rc = sq_xattr_set_read(vol, pairs->set, &set, &why);
        if (rc == 0)
            rc = sq_seek_ref(vol, SQ_XATTRS, set.ref, &pairs->cursor, &why);
        for (pairs->pair = 0; rc == 0 && pairs->pair < set.count; pairs->pair++)
            rc = walk_pair(pairs, &elsewhere, &why);
        if (rc != 0 && why.class == rc)
            rc = damaged_set(pairs, path, &why);
    }
    free(pairs);
    return rc;
}
