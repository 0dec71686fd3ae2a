/* Directories: runs of entries whose inodes lie in one metadata block, sorted by name.
 *
 *     header   entries - 1, metadata block of their inodes, number that deltas count from
 *     entry    byte in that block, delta, kind, length - 1, name
 *     entry    ...
 *     header   ...
 *
 * An extended directory may have index entries behind its inode: the first name behind a header, and where that header
 * is. A search begins at the last one whose name is not greater, as in Linux (fs/squashfs/namei.c). */
#include "formats/squashfs/volume.h"

#include <stdlib.h>

int sq_name_compare(const char *a, size_t n_a, const char *b, size_t n_b)
{
    const int order = memcmp(a, b, n_a < n_b ? n_a : n_b);
    return order != 0 ? order : n_a < n_b ? -1 : n_a > n_b;
}

const char *sq_name_fault(const struct sq_entry *entry)
{
    if (memchr(entry->name, 0, entry->n) != NULL)
        return "has a zero byte in it";
    if (memchr(entry->name, '/', entry->n) != NULL)
        return "has a '/' in it";
    if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
        return "means a directory, not something in it";
    return NULL;
}

/* ---- index ---- */

int sq_index_take(struct sq_cursor *cursor, struct sq_index *ret, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_DIRECTORY_INDEX_HEAD_BYTES];
    struct squashfs_directory_index_head head = {NULL};
    int rc = sq_take(cursor, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_directory_index_head_view(buf, sizeof buf, &head);
    const uint32_t less_1 = squashfs_directory_index_head_name_bytes_less_1(head);
    if (less_1 >= SQ_NAME_BYTES)
        return sq_corrupt(cursor, err, "an index entry with a name of %llu bytes; %d are the most",
                          (unsigned long long)less_1 + 1, SQ_NAME_BYTES);
    ret->position = squashfs_directory_index_head_position(head);
    ret->block = squashfs_directory_index_head_start_block(head);
    ret->n = less_1 + 1;
    rc = sq_take(cursor, ret->name, ret->n, err);
    ret->name[ret->n] = '\0';
    return rc;
}

/* ---- listing ---- */

/* From `position` of the listing on, which is in that metadata block. */
static int open_at(struct volume *vol, const struct sq_inode *dir, uint32_t block, uint32_t position,
                   struct sq_listing *ret, struct plat_err *err)
{
    const struct sq_table *table = &vol->tables[SQ_DIRECTORIES];
    ret->left = dir->listing_bytes - 3 - position;
    ret->position = position;
    ret->run_left = 0;
    if (ret->left == 0)
        return 0;
    return sq_seek(vol, table, table->start + block,
                   (uint32_t)(((uint64_t)dir->dir_offset + position) % SQ_META_BYTES), &ret->cursor, err);
}

int sq_listing_open(struct volume *vol, const struct sq_inode *dir, struct sq_listing *ret,
                    struct plat_err *err)
{
    if (dir->type != SQUASHFS_ENTRY_TYPE_DIRECTORY)
        return err_set(err, PLAT_EINVALID, "it is not a directory");
    if (dir->listing_bytes > 3 && dir->dir_offset >= SQ_META_BYTES)
        return err_at(err, PLAT_ECORRUPT, vol->tables[SQ_DIRECTORIES].start, "directories",
                      "the listing of directory %u begins at byte %u of a metadata block", dir->number,
                      dir->dir_offset);
    return open_at(vol, dir, dir->dir_block, 0, ret, err);
}

/* n bytes of what is left of the listing. */
static int take(struct sq_listing *listing, void *buf, uint32_t n, struct plat_err *err)
{
    struct sq_cursor *cursor = &listing->cursor;
    if (n > listing->left)
        return sq_corrupt(cursor, err, "a record of %u bytes, where the listing has %llu left", n,
                          (unsigned long long)listing->left);
    listing->left -= n;
    listing->position += n;
    return sq_take(cursor, buf, n, err);
}

static int take_header(struct sq_listing *listing, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_DIRECTORY_HEADER_BYTES];
    struct squashfs_directory_header header = {NULL};
    int rc = take(listing, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_directory_header_view(buf, sizeof buf, &header);
    const uint32_t less_1 = squashfs_directory_header_count_less_1(header);
    if (less_1 >= SQ_RUN_ENTRIES)
        return sq_corrupt(&listing->cursor, err, "a run of %llu entries; %d are the most",
                          (unsigned long long)less_1 + 1, SQ_RUN_ENTRIES);
    listing->run_left = less_1 + 1;
    listing->run_block = squashfs_directory_header_start_block(header);
    listing->run_number = squashfs_directory_header_number(header);
    return 0;
}

int sq_listing_next(struct sq_listing *listing, struct sq_entry *ret, bool *ret_header, bool *ret_there,
                    struct plat_err *err)
{
    uint8_t buf[SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES];
    struct squashfs_directory_entry_head head = {NULL};
    *ret_header = false;
    *ret_there = listing->left > 0 || listing->run_left > 0;
    if (!*ret_there)
        return 0;
    if (listing->run_left == 0) {
        *ret_header = true;
        return take_header(listing, err);
    }
    int rc = take(listing, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_directory_entry_head_view(buf, sizeof buf, &head);
    const uint32_t offset = squashfs_directory_entry_head_offset(head);
    const uint32_t n = squashfs_directory_entry_head_name_bytes_less_1(head) + 1u;
    ret->type = squashfs_directory_entry_head_type(head);
    if (n > SQ_NAME_BYTES || offset >= SQ_META_BYTES || ret->type == 0 ||
        ret->type > SQUASHFS_ENTRY_TYPE_SOCKET)
        return sq_corrupt(
            &listing->cursor, err,
            "an entry with a name of %u bytes, of type %u, whose inode is at byte %u of a metadata block", n,
            ret->type, offset);
    ret->n = n;
    /* The difference has a sign, and wraps at 32 bits. */
    const int32_t delta = squashfs_directory_entry_head_number_delta(head);
    ret->number = listing->run_number + (uint32_t)delta;
    ret->ref = squashfs_reference_with_block(squashfs_reference_with_offset(0, (uint16_t)offset),
                                             listing->run_block);
    listing->run_left--;
    rc = take(listing, ret->name, n, err);
    ret->name[n] = '\0';
    return rc;
}

/* ---- the driver's ---- */

/* The entry at or behind the listing's place that a callback wants; true ends it. */
typedef int (*entry_fn)(void *ctx, const struct sq_listing *listing, const struct sq_entry *entry,
                        struct plat_err *err);

static int each_entry(struct sq_listing *listing, entry_fn fn, void *ctx, struct plat_err *err)
{
    for (;;) {
        struct sq_entry entry;
        bool header, there;
        int rc = sq_listing_next(listing, &entry, &header, &there, err);
        if (rc == 0 && there && !header)
            rc = fn(ctx, listing, &entry, err);
        if (rc != 0 || !there)
            return rc;
    }
}

struct lookup {
    const char *name;
    size_t n;
    uint64_t ref;
    bool found;
};

static int compare_entry(void *ctx, const struct sq_listing *listing, const struct sq_entry *entry,
                         struct plat_err *err)
{
    struct lookup *lookup = ctx;
    (void)listing;
    (void)err;
    const int order = sq_name_compare(entry->name, entry->n, lookup->name, lookup->n);
    lookup->found = order == 0;
    lookup->ref = entry->ref;
    return order >= 0 ? PLAT_ESTOP : 0;
}

/* Where in the listing a search for a name begins. */
static int find_start(struct sq_cursor *rest, const struct sq_inode *dir, const struct lookup *lookup,
                      uint32_t *ret_block, uint32_t *ret_position, struct plat_err *err)
{
    *ret_block = dir->dir_block;
    *ret_position = 0;
    for (uint32_t i = 0; i < dir->n_indexes; i++) {
        struct sq_index index;
        int rc = sq_index_take(rest, &index, err);
        if (rc != 0)
            return rc;
        if (sq_name_compare(index.name, index.n, lookup->name, lookup->n) > 0)
            break;
        if (index.position >= dir->listing_bytes - 3)
            return sq_corrupt(rest, err, "an index entry of directory %u for byte %u of a listing of %u",
                              dir->number, index.position, dir->listing_bytes - 3);
        *ret_block = index.block;
        *ret_position = index.position;
    }
    return 0;
}

int squashfs_lookup(struct fs *fs, uint64_t dir, const char *name, uint64_t *ret_node, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct lookup lookup = {.name = name, .n = strlen(name)};
    struct sq_inode inode;
    struct sq_cursor rest;
    struct sq_listing listing;
    uint32_t block, position;
    int rc = sq_inode_read(vol, dir, &inode, &rest, err);
    if (rc == 0 && inode.type != SQUASHFS_ENTRY_TYPE_DIRECTORY)
        rc = err_set(err, PLAT_EINVALID, "it is not a directory");
    if (rc == 0)
        rc = find_start(&rest, &inode, &lookup, &block, &position, err);
    if (rc == 0)
        rc = open_at(vol, &inode, block, position, &listing, err);
    if (rc == 0)
        rc = each_entry(&listing, compare_entry, &lookup, err);
    if (rc != 0 && rc != PLAT_ESTOP)
        return rc;
    if (!lookup.found)
        return err_set(err, PLAT_ENOTFOUND, "no such name");
    *ret_node = lookup.ref;
    return 0;
}

struct readdir {
    fs_dirent_fn fn;
    void *ctx;
};

static int hand_on(void *ctx, const struct sq_listing *listing, const struct sq_entry *entry,
                   struct plat_err *err)
{
    const struct readdir *readdir = ctx;
    /* What cannot be handed on as text; the rest is for whoever makes paths of it (struct fs_dirent). */
    if (memchr(entry->name, 0, entry->n) != NULL)
        return sq_corrupt(&listing->cursor, err, "a name with a zero byte in it");
    const struct fs_dirent dirent = {.name = entry->name, .node = entry->ref, .kind = sq_kind(entry->type)};
    return readdir->fn(readdir->ctx, &dirent);
}

int squashfs_readdir(struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *ctx, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct readdir readdir = {.fn = fn, .ctx = ctx};
    struct sq_inode inode;
    struct sq_listing listing;
    int rc = sq_inode_read(vol, dir, &inode, &listing.cursor, err);
    if (rc == 0)
        rc = sq_listing_open(vol, &inode, &listing, err);
    return rc != 0 ? rc : each_entry(&listing, hand_on, &readdir, err);
}
