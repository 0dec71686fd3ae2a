/* Listings of directories.
 *
 *    header | entry | entry | ... | header | entry | ...        sorted by name
 *
 * A header begins a run of at most 256 entries whose inodes lie in one metadata block and have numbers close to that of the
 * header. Where a listing goes on in another metadata block a run begins as well, so that an index entry, behind the
 * inode, can lead there: who looks for a name reads the index and one block. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

enum {
    RUN_BYTES_MAX = SQM_META_BYTES + SQUASHFS_DIRECTORY_HEADER_BYTES + SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES +
                    SQM_NAME_BYTES_MAX,
    INDEXES_MAX = UINT16_MAX
};

struct listing {
    struct sqm_image *image;
    uint64_t bytes; /* of finished runs */
    /* The run at hand; a header, then entries. */
    uint8_t run[RUN_BYTES_MAX];
    size_t run_bytes; /* 0: none */
    uint32_t n_entries, inode_block, number;
    const char *first_name;
    /* The index, and the block that it has led to. */
    struct strbuf index;
    uint32_t n_indexes;
    uint64_t indexed_block;
};

static int index_add(struct listing *listing, struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_DIRECTORY_INDEX_HEAD_BYTES];
    struct squashfs_directory_index_head_mut head;
    const uint64_t block = listing->image->directories.stored;
    const size_t n = strlen(listing->first_name);
    if (block == listing->indexed_block || listing->n_indexes == INDEXES_MAX)
        return 0;
    listing->indexed_block = block;
    if (!squashfs_directory_index_head_edit(bytes, sizeof bytes, &head))
        return err_set(err, PLAT_EBUG, "an index entry of another size");
    squashfs_directory_index_head_init(head);
    squashfs_directory_index_head_set_position(head, (uint32_t)listing->bytes);
    squashfs_directory_index_head_set_start_block(head, (uint32_t)block);
    squashfs_directory_index_head_set_name_bytes_less_1(head, (uint32_t)n - 1);
    strbuf_add(&listing->index, (const char *)bytes, sizeof bytes);
    strbuf_add(&listing->index, listing->first_name, n);
    listing->n_indexes++;
    return listing->index.failed ? err_nomem(err, "making a SquashFS image") : 0;
}

static int run_end(struct listing *listing, struct plat_err *err)
{
    struct squashfs_directory_header_mut header;
    if (listing->run_bytes == 0)
        return 0;
    if (!squashfs_directory_header_edit(listing->run, sizeof listing->run, &header))
        return err_set(err, PLAT_EBUG, "a header of another size");
    squashfs_directory_header_init(header);
    squashfs_directory_header_set_count_less_1(header, listing->n_entries - 1);
    squashfs_directory_header_set_start_block(header, listing->inode_block);
    squashfs_directory_header_set_number(header, listing->number);
    int rc = index_add(listing, err);
    if (rc == 0)
        rc = sqm_meta_put(&listing->image->directories, listing->run, listing->run_bytes, err);
    listing->bytes += listing->run_bytes;
    listing->run_bytes = 0;
    return rc;
}

/* Can the inode be named by an entry of the run at hand? */
static bool run_takes(const struct listing *listing, const struct sqm_item *inode)
{
    const int64_t delta = (int64_t)inode->number - listing->number;
    return listing->run_bytes > 0 && listing->n_entries < SQM_RUN_ENTRIES_MAX &&
           inode->inode_block == listing->inode_block && delta >= INT16_MIN && delta <= INT16_MAX &&
           listing->image->directories.used + listing->run_bytes < SQM_META_BYTES;
}

static int entry_add(struct listing *listing, const char *name, const struct sqm_item *inode,
                     struct plat_err *err)
{
    struct squashfs_directory_entry_head_mut head;
    const size_t n = strlen(name);
    if (!run_takes(listing, inode)) {
        int rc = run_end(listing, err);
        if (rc != 0)
            return rc;
        listing->run_bytes = SQUASHFS_DIRECTORY_HEADER_BYTES;
        listing->n_entries = 0;
        listing->inode_block = inode->inode_block;
        listing->number = inode->number;
        listing->first_name = name;
    }
    uint8_t *to = listing->run + listing->run_bytes;
    if (!squashfs_directory_entry_head_edit(to, sizeof listing->run - listing->run_bytes, &head) ||
        n > sizeof listing->run - listing->run_bytes - SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES)
        return err_set(err, PLAT_EBUG, "a run of more than %zu bytes", sizeof listing->run);
    squashfs_directory_entry_head_init(head);
    squashfs_directory_entry_head_set_offset(head, inode->inode_offset);
    squashfs_directory_entry_head_set_number_delta(
        head, (int16_t)((int64_t)inode->number - (int64_t)listing->number));
    squashfs_directory_entry_head_set_type(head, (uint16_t)sqm_entry_type(inode->node));
    squashfs_directory_entry_head_set_name_bytes_less_1(head, (uint16_t)(n - 1));
    for (size_t i = 0; i < n; i++) /* without its NUL */
        to[SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES + i] = (uint8_t)name[i];
    listing->run_bytes += SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES + n;
    listing->n_entries++;
    return 0;
}

/* What the inode of the directory has to say. */
static int finish(struct listing *listing, uint32_t block, uint32_t offset, struct sqm_dir **ret,
                  struct plat_err *err)
{
    /* A listing that fits into a block is not worth an index, even where it lies in two. */
    const bool indexed = listing->bytes > SQM_META_BYTES;
    const size_t index_bytes = indexed ? listing->index.len : 0;
    if (listing->bytes > INT32_MAX - SQM_LISTING_EXTRA_BYTES)
        return err_set(err, PLAT_ELIMIT,
                       "the listing of a directory has %llu bytes, and Linux reads up to 2^31",
                       (unsigned long long)listing->bytes);
    struct sqm_dir *dir = arena_alloc(&listing->image->plan->arena, sizeof *dir + index_bytes);
    if (dir == NULL)
        return err_nomem(err, "making a SquashFS image");
    *dir = (struct sqm_dir){.block = block,
                            .offset = offset,
                            .listing_bytes = (uint32_t)listing->bytes,
                            .n_indexes = indexed ? listing->n_indexes : 0,
                            .index_bytes = (uint32_t)index_bytes};
    if (index_bytes > 0)
        memcpy(dir->index, listing->index.s, index_bytes);
    *ret = dir;
    return 0;
}

int sqm_listing_put(struct sqm_image *image, uint32_t i, struct plat_err *err)
{
    struct sqm_item *items = image->plan->items, *item = &items[i];
    const uint32_t block = (uint32_t)image->directories.stored, offset = image->directories.used;
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing == NULL)
        return err_nomem(err, "making a SquashFS image");
    listing->image = image;
    listing->indexed_block = block;
    int rc = 0;
    for (uint32_t c = item->first_child; rc == 0 && c < item->first_child + item->node->n_children; c++)
        rc = entry_add(listing, items[c].node->name, &items[sqm_item_first(image->plan, c)], err);
    if (rc == 0)
        rc = run_end(listing, err);
    if (rc == 0)
        rc = finish(listing, block, offset, &item->has.dir, err);
    if (rc != 0)
        (void)tree_blame(item->node, err);
    strbuf_free(&listing->index);
    free(listing);
    return rc;
}
