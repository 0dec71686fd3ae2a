/* Inodes. Each is as small as it can be: the extended forms are for what the basic ones have no room for. */
#include "formats/squashfs/make.h"

#include <sys/sysmacros.h>

enum squashfs_entry_type sqm_entry_type(const struct tree_node *node)
{
    static const enum squashfs_entry_type types[] = {
        [TREE_DIR] = SQUASHFS_ENTRY_TYPE_DIRECTORY,      [TREE_FILE] = SQUASHFS_ENTRY_TYPE_FILE,
        [TREE_SYMLINK] = SQUASHFS_ENTRY_TYPE_SYMLINK,    [TREE_CHAR] = SQUASHFS_ENTRY_TYPE_CHAR_DEVICE,
        [TREE_BLOCK] = SQUASHFS_ENTRY_TYPE_BLOCK_DEVICE, [TREE_FIFO] = SQUASHFS_ENTRY_TYPE_FIFO,
        [TREE_SOCKET] = SQUASHFS_ENTRY_TYPE_SOCKET,
    };
    return types[node->kind];
}

/* Times before 1970 and from 2106 on are not to be had. */
static uint32_t time_clamp(int64_t s)
{
    return s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

static int head_set(struct sqm_image *image, struct squashfs_inode_head_mut head, const struct sqm_item *item,
                    enum squashfs_inode_type type, struct plat_err *err)
{
    const struct sqm_settings *settings = &image->plan->settings;
    const struct tree_node *node = item->node;
    const bool is_root = node->parent == NULL;
    uint16_t uid = 0, gid = 0;
    int rc = sqm_ids_index(&image->ids, settings->keep_owner ? node->uid : 0, &uid, err);
    if (rc == 0)
        rc = sqm_ids_index(&image->ids, settings->keep_owner ? node->gid : 0, &gid, err);
    if (rc != 0)
        return rc;
    squashfs_inode_head_set_type(head, (uint16_t)type);
    squashfs_inode_head_set_mode(
        head, (uint16_t)(is_root && settings->has_root_mode ? settings->root_mode : node->mode & 07777));
    squashfs_inode_head_set_uid_index(head, uid);
    squashfs_inode_head_set_gid_index(head, gid);
    squashfs_inode_head_set_modified(head, time_clamp(node->mtime_s));
    squashfs_inode_head_set_number(head, item->number);
    return 0;
}

/* ---- directories ---- */

/* 2, and one for each directory in it: find relies on that. */
static uint32_t dir_links(const struct make_plan *plan, const struct sqm_item *item)
{
    uint32_t links = 2;
    for (uint32_t i = 0; i < item->node->n_children; i++)
        links += plan->items[item->first_child + i].node->kind == TREE_DIR;
    return links;
}

static uint32_t parent_number(const struct make_plan *plan, const struct sqm_item *item)
{
    /* That of the root is one behind the last, as mksquashfs has it. */
    return item->node->parent == NULL ? plan->n_inodes + 1 : plan->items[item->parent].number;
}

static int dir_basic_put(struct sqm_image *image, const struct sqm_item *item, struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_DIRECTORY_BYTES];
    struct squashfs_directory_mut inode;
    const struct sqm_dir *dir = item->has.dir;
    if (!squashfs_directory_edit(bytes, sizeof bytes, &inode))
        return err_set(err, PLAT_EBUG, "an inode of another size");
    squashfs_directory_init(inode);
    squashfs_directory_set_start_block(inode, dir->block);
    squashfs_directory_set_links(inode, dir_links(image->plan, item));
    squashfs_directory_set_listing_bytes(inode, (uint16_t)(dir->listing_bytes + SQM_LISTING_EXTRA_BYTES));
    squashfs_directory_set_offset(inode, (uint16_t)dir->offset);
    squashfs_directory_set_parent_number(inode, parent_number(image->plan, item));
    int rc = head_set(image, squashfs_directory_edit_head(inode), item, SQUASHFS_INODE_TYPE_DIRECTORY, err);
    return rc == 0 ? sqm_meta_put(&image->inodes, bytes, sizeof bytes, err) : rc;
}

static int dir_extended_put(struct sqm_image *image, const struct sqm_item *item, uint32_t xattr,
                            struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_EXTENDED_DIRECTORY_BYTES];
    struct squashfs_extended_directory_mut inode;
    const struct sqm_dir *dir = item->has.dir;
    if (!squashfs_extended_directory_edit(bytes, sizeof bytes, &inode))
        return err_set(err, PLAT_EBUG, "an inode of another size");
    squashfs_extended_directory_init(inode);
    squashfs_extended_directory_set_links(inode, dir_links(image->plan, item));
    squashfs_extended_directory_set_listing_bytes(inode, dir->listing_bytes + SQM_LISTING_EXTRA_BYTES);
    squashfs_extended_directory_set_start_block(inode, dir->block);
    squashfs_extended_directory_set_parent_number(inode, parent_number(image->plan, item));
    squashfs_extended_directory_set_index_entries(inode, (uint16_t)dir->n_indexes);
    squashfs_extended_directory_set_offset(inode, (uint16_t)dir->offset);
    squashfs_extended_directory_set_xattr(inode, xattr);
    int rc = head_set(image, squashfs_extended_directory_edit_head(inode), item,
                      SQUASHFS_INODE_TYPE_EXTENDED_DIRECTORY, err);
    if (rc == 0)
        rc = sqm_meta_put(&image->inodes, bytes, sizeof bytes, err);
    return rc == 0 ? sqm_meta_put(&image->inodes, dir->index, dir->index_bytes, err) : rc;
}

static int dir_put(struct sqm_image *image, const struct sqm_item *item, uint32_t xattr, struct plat_err *err)
{
    const bool extended = xattr != SQM_NONE || item->has.dir->n_indexes > 0 ||
                          item->has.dir->listing_bytes + SQM_LISTING_EXTRA_BYTES > UINT16_MAX;
    return extended ? dir_extended_put(image, item, xattr, err) : dir_basic_put(image, item, err);
}

/* ---- files ---- */

static const struct sqm_file no_contents = {.fragment = SQM_NONE};

/* What Linux subtracts from the size to say how much room a file takes: never all of it. */
static uint64_t sparse_said(const struct sqm_item *item, uint64_t sparse_bytes)
{
    return sparse_bytes < item->node->size_bytes || sparse_bytes == 0 ? sparse_bytes : sparse_bytes - 1;
}

static uint64_t start_of(const struct sqm_file *file)
{
    return file->blocks != NULL ? file->blocks->start : 0;
}

/* How many bytes are in blocks that are not there. */
static uint64_t sparse_of(const struct sqm_item *item, const struct sqm_file *file)
{
    if (file->blocks != NULL)
        return file->blocks->sparse_bytes;
    return file->fragment == SQM_NONE ? item->node->size_bytes : 0;
}

static int file_basic_put(struct sqm_image *image, const struct sqm_item *item, const struct sqm_file *file,
                          struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_FILE_BYTES];
    struct squashfs_file_mut inode;
    if (!squashfs_file_edit(bytes, sizeof bytes, &inode))
        return err_set(err, PLAT_EBUG, "an inode of another size");
    squashfs_file_init(inode);
    squashfs_file_set_start_block(inode, (uint32_t)start_of(file));
    squashfs_file_set_fragment(inode, file->fragment);
    squashfs_file_set_fragment_offset(inode, file->fragment_offset);
    squashfs_file_set_size_bytes(inode, (uint32_t)item->node->size_bytes);
    int rc = head_set(image, squashfs_file_edit_head(inode), item, SQUASHFS_INODE_TYPE_FILE, err);
    return rc == 0 ? sqm_meta_put(&image->inodes, bytes, sizeof bytes, err) : rc;
}

static int file_extended_put(struct sqm_image *image, const struct sqm_item *item,
                             const struct sqm_file *file, uint32_t xattr, struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_EXTENDED_FILE_BYTES];
    struct squashfs_extended_file_mut inode;
    if (!squashfs_extended_file_edit(bytes, sizeof bytes, &inode))
        return err_set(err, PLAT_EBUG, "an inode of another size");
    squashfs_extended_file_init(inode);
    squashfs_extended_file_set_start_block(inode, start_of(file));
    squashfs_extended_file_set_size_bytes(inode, item->node->size_bytes);
    squashfs_extended_file_set_sparse_bytes(inode, sparse_said(item, sparse_of(item, file)));
    squashfs_extended_file_set_links(inode, item->links);
    squashfs_extended_file_set_fragment(inode, file->fragment);
    squashfs_extended_file_set_fragment_offset(inode, file->fragment_offset);
    squashfs_extended_file_set_xattr(inode, xattr);
    int rc = head_set(image, squashfs_extended_file_edit_head(inode), item, SQUASHFS_INODE_TYPE_EXTENDED_FILE,
                      err);
    return rc == 0 ? sqm_meta_put(&image->inodes, bytes, sizeof bytes, err) : rc;
}

static int file_put(struct sqm_image *image, const struct sqm_item *item, uint32_t xattr,
                    struct plat_err *err)
{
    const uint64_t size = item->node->size_bytes;
    const struct sqm_file *file = item->has.file != NULL ? item->has.file : &no_contents;
    const uint64_t n_blocks = sqm_file_blocks(image->plan, size, file->fragment != SQM_NONE);
    const bool extended = item->links > 1 || size > UINT32_MAX || start_of(file) > UINT32_MAX ||
                          sparse_of(item, file) > 0 || xattr != SQM_NONE;
    uint8_t bytes[SQUASHFS_FILE_BLOCK_BYTES];
    struct squashfs_file_block_mut word;
    int rc =
        extended ? file_extended_put(image, item, file, xattr, err) : file_basic_put(image, item, file, err);
    for (uint64_t i = 0; rc == 0 && i < n_blocks; i++) {
        if (squashfs_file_block_edit(bytes, sizeof bytes, &word))
            squashfs_file_block_set_size(word, file->blocks != NULL ? file->blocks->words[i] : 0);
        rc = sqm_meta_put(&image->inodes, bytes, sizeof bytes, err);
    }
    return rc;
}

/* ---- the others ---- */

/* The extended forms of these are the basic ones with the number of the attributes behind. */
static enum squashfs_inode_type other_type(const struct sqm_item *item, uint32_t xattr)
{
    const int extended = SQUASHFS_INODE_TYPE_EXTENDED_DIRECTORY - SQUASHFS_INODE_TYPE_DIRECTORY;
    const int basic = (int)sqm_entry_type(item->node);
    return (enum squashfs_inode_type)(xattr != SQM_NONE ? basic + extended : basic);
}

static int xattr_put(struct sqm_image *image, uint32_t xattr, struct plat_err *err)
{
    uint8_t bytes[sizeof xattr];
    if (xattr == SQM_NONE)
        return 0;
    store_le32(bytes, xattr); /* the last field, which in symbolic links has no fixed place */
    return sqm_meta_put(&image->inodes, bytes, sizeof bytes, err);
}

static int symlink_put(struct sqm_image *image, const struct sqm_item *item, uint32_t xattr,
                       struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_SYMLINK_HEAD_BYTES];
    char target[SQM_TARGET_BYTES_MAX];
    struct squashfs_symlink_head_mut inode;
    struct tree_reader reader;
    const size_t n = (size_t)item->node->size_bytes;
    if (!squashfs_symlink_head_edit(bytes, sizeof bytes, &inode) || n > sizeof target)
        return err_set(err, PLAT_EBUG, "an inode of another size");
    int rc = tree_reader_open(image->plan->tree, item->node, &reader, err);
    if (rc != 0)
        return rc;
    rc = tree_reader_read(&reader, target, n, err);
    tree_reader_close(&reader);
    if (rc != 0)
        return tree_blame(item->node, err);
    squashfs_symlink_head_init(inode);
    squashfs_symlink_head_set_links(inode, item->links);
    squashfs_symlink_head_set_target_bytes(inode, (uint32_t)n);
    rc = head_set(image, squashfs_symlink_head_edit_head(inode), item, other_type(item, xattr), err);
    if (rc == 0)
        rc = sqm_meta_put(&image->inodes, bytes, sizeof bytes, err);
    return rc == 0 ? sqm_meta_put(&image->inodes, target, n, err) : rc;
}

static int device_put(struct sqm_image *image, const struct sqm_item *item, uint32_t xattr,
                      struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_DEVICE_BYTES];
    struct squashfs_device_mut inode;
    const unsigned minor_number = minor(item->node->from.device);
    if (!squashfs_device_edit(bytes, sizeof bytes, &inode))
        return err_set(err, PLAT_EBUG, "an inode of another size");
    uint32_t device = squashfs_device_number_with_major(0, (uint16_t)major(item->node->from.device));
    device = squashfs_device_number_with_minor_low(device, (uint8_t)minor_number);
    device = squashfs_device_number_with_minor_high(device, (uint16_t)(minor_number >> 8));
    squashfs_device_init(inode);
    squashfs_device_set_links(inode, item->links);
    squashfs_device_set_device(inode, device);
    int rc = head_set(image, squashfs_device_edit_head(inode), item, other_type(item, xattr), err);
    return rc == 0 ? sqm_meta_put(&image->inodes, bytes, sizeof bytes, err) : rc;
}

static int pipe_put(struct sqm_image *image, const struct sqm_item *item, uint32_t xattr,
                    struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_PIPE_BYTES];
    struct squashfs_pipe_mut inode;
    if (!squashfs_pipe_edit(bytes, sizeof bytes, &inode))
        return err_set(err, PLAT_EBUG, "an inode of another size");
    squashfs_pipe_init(inode);
    squashfs_pipe_set_links(inode, item->links);
    int rc = head_set(image, squashfs_pipe_edit_head(inode), item, other_type(item, xattr), err);
    return rc == 0 ? sqm_meta_put(&image->inodes, bytes, sizeof bytes, err) : rc;
}

int sqm_inode_put(struct sqm_image *image, uint32_t i, struct plat_err *err)
{
    struct sqm_item *item = &image->plan->items[i];
    uint32_t xattr;
    int rc = sqm_xattrs_index(image, item->node, &xattr, err);
    if (rc != 0)
        return rc;
    item->inode_block = (uint32_t)image->inodes.stored;
    item->inode_offset = (uint16_t)image->inodes.used;
    item->written = true;
    switch ((enum tree_kind)item->node->kind) {
    case TREE_DIR:
        return dir_put(image, item, xattr, err);
    case TREE_FILE:
        return file_put(image, item, xattr, err);
    case TREE_SYMLINK:
        rc = symlink_put(image, item, xattr, err);
        break;
    case TREE_CHAR:
    case TREE_BLOCK:
        rc = device_put(image, item, xattr, err);
        break;
    case TREE_FIFO:
    case TREE_SOCKET:
    default:
        rc = pipe_put(image, item, xattr, err);
        break;
    }
    return rc == 0 ? xattr_put(image, xattr, err) : rc;
}
