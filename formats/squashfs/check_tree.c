/* Directories against inodes: each name leads to an inode of its kind and number, names ascend, what the index says is
 * so, links are counted, and everything hangs below the root, once where it is a directory. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/squashfs/check.h"

enum { TREE_PATH_BYTES = 64, NAME_SHOWN = 80 };
enum { CLIMB_NEW, CLIMB_UNDER_WAY, CLIMB_DONE };

struct directory {
    struct sq_check *check;
    struct sq_item *item;
    struct sq_inode inode;
    struct sq_cursor rest; /* index entries, one at a time */
    struct sq_listing listing;
    struct sq_index index;
    uint32_t indexes_left; /* index holds one of them, if > 0 */
    bool index_due;        /* the next name must be that of `index` */
    uint64_t n_names, n_directories;
    struct sq_entry entry, before;
    struct sq_where where; /* of the record at hand */
    char path[TREE_PATH_BYTES];
};

/* A fault of the listing, at the record that was taken last, or of the inode. */
#define listing_fault(dir, severity, id, refused, ...) \
    sq_fault((dir)->check, &(struct sq_fault){severity, id, (dir)->path, (dir)->where, refused}, __VA_ARGS__)
#define inode_fault(check, severity, id, path, item, refused, ...)                                         \
    sq_fault(check,                                                                                        \
             &(struct sq_fault){severity, id, path, sq_where_ref(check, SQ_INODES, (item)->ref), refused}, \
             __VA_ARGS__)

static int next_index(struct directory *dir, struct plat_err *why)
{
    dir->indexes_left--;
    return dir->indexes_left > 0 ? sq_index_take(&dir->rest, &dir->index, why) : 0;
}

/* A header stands at `position`: is it the one that the index speaks of? */
static int check_header(struct directory *dir, uint64_t position, const struct sq_cursor *at,
                        struct plat_err *why)
{
    const uint64_t block = at->block.offset - at->table->start;
    int rc = 0;
    while (rc == 0 && dir->indexes_left > 0 && dir->index.position < position) {
        rc = listing_fault(
            dir, SEVERITY_ERROR, "sq-index", SQ_BY_LINUX,
            "an index entry of directory %u speaks of byte %u of the listing, where no header begins",
            dir->inode.number, dir->index.position);
        if (rc == 0)
            rc = next_index(dir, why);
    }
    if (rc != 0 || dir->indexes_left == 0 || dir->index.position != position)
        return rc;
    dir->index_due = true;
    if (dir->index.block == block)
        return 0;
    return listing_fault(
        dir, SEVERITY_ERROR, "sq-index", SQ_BY_LINUX,
        "an index entry of directory %u has metadata block 0x%x for byte %u of the listing, which is in "
        "0x%llx",
        dir->inode.number, dir->index.block, dir->index.position, (unsigned long long)block);
}

static int check_index_name(struct directory *dir, struct plat_err *why)
{
    int rc = 0;
    if (!dir->index_due)
        return 0;
    dir->index_due = false;
    if (sq_name_compare(dir->index.name, dir->index.n, dir->entry.name, dir->entry.n) != 0)
        rc = listing_fault(
            dir, SEVERITY_ERROR, "sq-index", SQ_BY_LINUX,
            "an index entry of directory %u has the name '%.*s' for a header behind which '%.*s' comes",
            dir->inode.number, NAME_SHOWN, dir->index.name, NAME_SHOWN, dir->entry.name);
    return rc != 0 ? rc : next_index(dir, why);
}

static int check_name(struct directory *dir)
{
    const struct sq_entry *entry = &dir->entry;
    const char *fault = sq_name_fault(entry);
    const unsigned refused = memchr(entry->name, '/', entry->n) != NULL ? SQ_BY_ALL
                             : memchr(entry->name, 0, entry->n) != NULL ? SQ_BY_LINUX | SQ_BY_UNSQUASHFS
                                                                        : SQ_BY_UNSQUASHFS | SQ_BY_RDSQUASHFS;
    int rc = 0;
    if (fault != NULL)
        rc = listing_fault(dir, SEVERITY_ERROR, "sq-name", refused, "the name '%.*s' %s", NAME_SHOWN,
                           entry->name, fault);
    if (rc == 0 && entry->n == SQ_NAME_BYTES)
        rc = listing_fault(dir, SEVERITY_WARNING, "sq-name", SQ_BY_NOBODY,
                           "the name '%.*s...' has 256 bytes, one more than other filesystems take",
                           NAME_SHOWN, entry->name);
    const int order =
        dir->n_names > 0 ? sq_name_compare(dir->before.name, dir->before.n, entry->name, entry->n) : -1;
    if (rc == 0 && order >= 0)
        rc = listing_fault(dir, SEVERITY_ERROR, "sq-order",
                           order > 0 ? SQ_BY_LINUX | SQ_BY_UNSQUASHFS : SQ_BY_UNSQUASHFS,
                           "'%.*s' comes behind '%.*s': names must ascend, or Linux does not find them",
                           NAME_SHOWN, entry->name, NAME_SHOWN, dir->before.name);
    return rc;
}

/* What the name leads to. */
static int check_target(struct directory *dir)
{
    struct sq_check *check = dir->check;
    const struct sq_entry *entry = &dir->entry;
    struct sq_item *item = sq_check_find(check, entry->ref);
    if (item == NULL)
        return !check->all_items ? 0
                                 : listing_fault(dir, SEVERITY_ERROR, "sq-reference", SQ_BY_ALL,
                                                 "'%.*s' leads to 0x%llx, where no inode begins", NAME_SHOWN,
                                                 entry->name, (unsigned long long)entry->ref);
    item->found += item->found < UINT32_MAX;
    int rc = 0;
    if (item->number != entry->number || item->type != entry->type)
        rc = listing_fault(dir, SEVERITY_ERROR, "sq-entry", SQ_BY_NOBODY,
                           "'%.*s' is said to be inode %u of type %u, and is inode %u of type %u", NAME_SHOWN,
                           entry->name, entry->number, entry->type, item->number, item->type);
    if (rc != 0 || item->type != SQUASHFS_ENTRY_TYPE_DIRECTORY)
        return rc;
    dir->n_directories++;
    item->up = (uint32_t)(dir->item - check->items);
    if (item->found > 1 || item->ref == check->vol->super.root)
        rc = listing_fault(dir, SEVERITY_ERROR, "sq-loop", SQ_BY_ALL,
                           "directory %u has a second name, '%.*s': a directory is in one place only",
                           item->number, NAME_SHOWN, entry->name);
    if (rc == 0 && item->parent != dir->inode.number)
        rc = listing_fault(dir, SEVERITY_ERROR, "sq-parent", SQ_BY_NOBODY,
                           "directory %u, '%.*s', says that it is in %u, and is in %u", item->number,
                           NAME_SHOWN, entry->name, item->parent, dir->inode.number);
    return rc;
}

/* The part of the stream that is this listing's. */
static int claim(struct directory *dir, struct plat_err *why)
{
    const struct sq_cursor *at = &dir->listing.cursor;
    if (dir->listing.left == 0)
        return 0;
    dir->check->listing_left -= dir->listing.left;
    dir->where = sq_where_block(dir->check, SQ_DIRECTORIES, at->block.offset, at->at);
    const int rc =
        sq_ranges_add(&dir->check->listings, (struct range){dir->where.position, dir->listing.left});
    return rc == 0 ? 0 : err_nomem(why, "checking directories");
}

static int check_listing(struct directory *dir, struct plat_err *why)
{
    struct sq_listing *listing = &dir->listing;
    bool header = false, there = true, more;
    int rc = sq_listing_open(dir->check->vol, &dir->inode, listing, why);
    if (rc == 0 && dir->indexes_left > 0)
        rc = sq_index_take(&dir->rest, &dir->index, why);
    if (rc == 0 && listing->left > dir->check->listing_left)
        return err_set(why, PLAT_ECORRUPT, "listings of directories overlap");
    if (rc == 0)
        rc = claim(dir, why);
    while (rc == 0 && listing->left > 0) {
        const uint64_t position = listing->position;
        rc = sq_more(&listing->cursor, &more, why);
        dir->where =
            sq_where_block(dir->check, SQ_DIRECTORIES, listing->cursor.block.offset, listing->cursor.at);
        if (rc == 0 && listing->run_left == 0)
            rc = check_header(dir, position, &listing->cursor, why);
        if (rc == 0)
            rc = sq_listing_next(listing, &dir->entry, &header, &there, why);
        if (rc != 0 || header)
            continue;
        rc = check_index_name(dir, why);
        if (rc == 0)
            rc = check_name(dir);
        if (rc == 0)
            rc = check_target(dir);
        dir->before = dir->entry;
        dir->n_names++;
    }
    if (rc == 0 && listing->run_left > 0)
        return sq_corrupt(&listing->cursor, why, "the listing of directory %u ends %u entries too early",
                          dir->inode.number, listing->run_left);
    return rc;
}

static int check_directory(struct directory *dir)
{
    struct plat_err why = {0};
    (void)snprintf(dir->path, sizeof dir->path, "names[%u]", dir->item->number);
    dir->n_names = dir->n_directories = 0;
    dir->index_due = false;
    int rc = sq_inode_read(dir->check->vol, dir->item->ref, &dir->inode, &dir->rest, &why);
    if (rc == 0)
        dir->indexes_left = dir->inode.n_indexes;
    if (rc == 0)
        rc = check_listing(dir, &why);
    if (rc != 0) {
        dir->check->listings.partial = true;
        return why.class == rc ? sq_check_damage(dir->check, dir->path, &why,
                                                 dir->check->vol->super.inodes <= WALK_BULK_ELEMENTS)
                               : rc;
    }
    (void)snprintf(dir->path, sizeof dir->path, "inodes[%u]", dir->item->number);
    if (dir->indexes_left > 0)
        rc = inode_fault(dir->check, SEVERITY_ERROR, "sq-index", dir->path, dir->item, SQ_BY_LINUX,
                         "%u index entries of directory %u are behind the end of its listing",
                         dir->indexes_left, dir->inode.number);
    /* squashfs-tools-ng counts all names, mksquashfs directories. */
    if (rc == 0 && dir->inode.links != 2 + dir->n_directories && dir->inode.links != 2 + dir->n_names)
        rc = inode_fault(
            dir->check, SEVERITY_WARNING, "sq-links", dir->path, dir->item, SQ_BY_NOBODY,
            "directory %u has %llu directories in it, and a link count of %u; 2 more than there are is right",
            dir->inode.number, (unsigned long long)dir->n_directories, dir->inode.links);
    return rc;
}

/* ---- links ---- */

static int check_links(struct sq_check *check, const struct sq_item *item)
{
    const bool root = item->ref == check->vol->super.root;
    char path[TREE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "inodes[%u]", item->number);
    if (item->found == 0 && !root)
        return inode_fault(check, SEVERITY_ERROR, "sq-lost", path, item, SQ_BY_NOBODY,
                           "inode %u has no name in any directory", item->number);
    if (item->type == SQUASHFS_ENTRY_TYPE_DIRECTORY || item->found == item->links)
        return 0;
    return inode_fault(check, SEVERITY_ERROR, "sq-links", path, item, SQ_BY_NOBODY,
                       "inode %u has %u names, and a link count of %u", item->number, item->found,
                       item->links);
}

/* Upwards from a directory until something known: what comes back to where it was is not below the root. */
static int climb(struct sq_check *check, struct sq_item *item)
{
    const uint64_t root = check->vol->super.root;
    struct sq_item *at = item;
    while (at->climbed == CLIMB_NEW && at->ref != root && at->found > 0) {
        at->climbed = CLIMB_UNDER_WAY;
        at = &check->items[at->up];
    }
    const bool loop = at->climbed == CLIMB_UNDER_WAY;
    const struct sq_item *in_loop = at;
    for (at = item; at->climbed == CLIMB_UNDER_WAY; at = &check->items[at->up])
        at->climbed = CLIMB_DONE;
    if (!loop)
        return 0;
    char path[TREE_PATH_BYTES];
    (void)snprintf(path, sizeof path, "inodes[%u]", in_loop->number);
    return inode_fault(check, SEVERITY_ERROR, "sq-loop", path, in_loop, SQ_BY_NOBODY,
                       "directory %u is below itself: it cannot be reached from the root", in_loop->number);
}

int sq_check_tree(struct sq_check *check)
{
    struct directory *dir = malloc(sizeof *dir);
    int rc = dir == NULL ? err_nomem(check->err, "checking directories") : 0;
    for (size_t i = 0; rc == 0 && i < check->n_items; i++) {
        if (check->items[i].type != SQUASHFS_ENTRY_TYPE_DIRECTORY)
            continue;
        dir->check = check;
        dir->item = &check->items[i];
        rc = check_directory(dir);
    }
    for (size_t i = 0; rc == 0 && check->all_items && i < check->n_items; i++) {
        rc = check_links(check, &check->items[i]);
        if (rc == 0 && check->items[i].type == SQUASHFS_ENTRY_TYPE_DIRECTORY)
            rc = climb(check, &check->items[i]);
    }
    free(dir);
    return rc;
}
