/* Inodes: 14 kinds of records, of which each names its kind first.
 *
 *     head (16)  kind, mode, owner, time, number
 *     fixed      by kind
 *     varying    index entries, or sizes of blocks, or target (and then, where extended, attributes) */
#include "formats/squashfs/volume.h"

#include <sys/sysmacros.h>

enum { INODE_FIXED_BYTES = SQUASHFS_EXTENDED_FILE_BYTES };

enum tree_kind sq_kind(uint16_t type)
{
    static const enum tree_kind kinds[] = {
        [SQUASHFS_ENTRY_TYPE_DIRECTORY] = TREE_DIR,    [SQUASHFS_ENTRY_TYPE_FILE] = TREE_FILE,
        [SQUASHFS_ENTRY_TYPE_SYMLINK] = TREE_SYMLINK,  [SQUASHFS_ENTRY_TYPE_BLOCK_DEVICE] = TREE_BLOCK,
        [SQUASHFS_ENTRY_TYPE_CHAR_DEVICE] = TREE_CHAR, [SQUASHFS_ENTRY_TYPE_FIFO] = TREE_FIFO,
        [SQUASHFS_ENTRY_TYPE_SOCKET] = TREE_SOCKET,
    };
    return type < sizeof kinds / sizeof *kinds ? kinds[type] : TREE_FILE;
}

/* Bytes before what varies; 0: there is no such kind. */
static uint32_t fixed_bytes(uint16_t type)
{
    switch (type) {
    case SQUASHFS_INODE_TYPE_DIRECTORY:
        return SQUASHFS_DIRECTORY_BYTES;
    case SQUASHFS_INODE_TYPE_FILE:
        return SQUASHFS_FILE_BYTES;
    case SQUASHFS_INODE_TYPE_SYMLINK:
    case SQUASHFS_INODE_TYPE_EXTENDED_SYMLINK:
        return SQUASHFS_SYMLINK_HEAD_BYTES;
    case SQUASHFS_INODE_TYPE_BLOCK_DEVICE:
    case SQUASHFS_INODE_TYPE_CHAR_DEVICE:
        return SQUASHFS_DEVICE_BYTES;
    case SQUASHFS_INODE_TYPE_FIFO:
    case SQUASHFS_INODE_TYPE_SOCKET:
        return SQUASHFS_PIPE_BYTES;
    case SQUASHFS_INODE_TYPE_EXTENDED_DIRECTORY:
        return SQUASHFS_EXTENDED_DIRECTORY_BYTES;
    case SQUASHFS_INODE_TYPE_EXTENDED_FILE:
        return SQUASHFS_EXTENDED_FILE_BYTES;
    case SQUASHFS_INODE_TYPE_EXTENDED_BLOCK_DEVICE:
    case SQUASHFS_INODE_TYPE_EXTENDED_CHAR_DEVICE:
        return SQUASHFS_EXTENDED_DEVICE_BYTES;
    case SQUASHFS_INODE_TYPE_EXTENDED_FIFO:
    case SQUASHFS_INODE_TYPE_EXTENDED_SOCKET:
        return SQUASHFS_EXTENDED_PIPE_BYTES;
    default:
        return 0;
    }
}

static uint16_t stored_type(const struct sq_inode *inode)
{
    return (uint16_t)(inode->extended ? inode->type + SQUASHFS_INODE_TYPE_SOCKET : inode->type);
}

uint32_t sq_inode_bytes(const struct sq_inode *inode)
{
    const uint32_t behind =
        inode->type == SQUASHFS_ENTRY_TYPE_SYMLINK && inode->extended ? sizeof inode->xattr : 0;
    return fixed_bytes(stored_type(inode)) + inode->target_bytes + behind;
}

const char *sq_inode_type_name(const struct sq_inode *inode)
{
    static const char *const names[][2] = {
        [SQUASHFS_ENTRY_TYPE_DIRECTORY] = {"directory", "extended_directory"},
        [SQUASHFS_ENTRY_TYPE_FILE] = {"file", "extended_file"},
        [SQUASHFS_ENTRY_TYPE_SYMLINK] = {"symlink", "extended_symlink"},
        [SQUASHFS_ENTRY_TYPE_BLOCK_DEVICE] = {"device", "extended_device"},
        [SQUASHFS_ENTRY_TYPE_CHAR_DEVICE] = {"device", "extended_device"},
        [SQUASHFS_ENTRY_TYPE_FIFO] = {"pipe", "extended_pipe"},
        [SQUASHFS_ENTRY_TYPE_SOCKET] = {"pipe", "extended_pipe"},
    };
    return names[inode->type][inode->extended];
}

static void decode_directory(const uint8_t *buf, struct sq_inode *ret)
{
    struct squashfs_directory d = {NULL};
    struct squashfs_extended_directory e = {NULL};
    if (!ret->extended) {
        (void)squashfs_directory_view(buf, SQUASHFS_DIRECTORY_BYTES, &d);
        ret->dir_block = squashfs_directory_start_block(d);
        ret->dir_offset = squashfs_directory_offset(d);
        ret->links = squashfs_directory_links(d);
        ret->listing_bytes = squashfs_directory_listing_bytes(d);
        ret->parent = squashfs_directory_parent_number(d);
        return;
    }
    (void)squashfs_extended_directory_view(buf, SQUASHFS_EXTENDED_DIRECTORY_BYTES, &e);
    ret->dir_block = squashfs_extended_directory_start_block(e);
    ret->dir_offset = squashfs_extended_directory_offset(e);
    ret->links = squashfs_extended_directory_links(e);
    ret->listing_bytes = squashfs_extended_directory_listing_bytes(e);
    ret->parent = squashfs_extended_directory_parent_number(e);
    ret->n_indexes = squashfs_extended_directory_index_entries(e);
    ret->xattr = squashfs_extended_directory_xattr(e);
}

static void decode_file(const uint8_t *buf, uint32_t block_bytes, struct sq_inode *ret)
{
    struct squashfs_file f = {NULL};
    struct squashfs_extended_file e = {NULL};
    if (!ret->extended) {
        (void)squashfs_file_view(buf, SQUASHFS_FILE_BYTES, &f);
        ret->links = 1;
        ret->size_bytes = squashfs_file_size_bytes(f);
        ret->start = squashfs_file_start_block(f);
        ret->fragment = squashfs_file_fragment(f);
        ret->fragment_offset = squashfs_file_fragment_offset(f);
    } else {
        (void)squashfs_extended_file_view(buf, SQUASHFS_EXTENDED_FILE_BYTES, &e);
        ret->links = squashfs_extended_file_links(e);
        ret->sparse_bytes = squashfs_extended_file_sparse_bytes(e);
        ret->size_bytes = squashfs_extended_file_size_bytes(e);
        ret->start = squashfs_extended_file_start_block(e);
        ret->fragment = squashfs_extended_file_fragment(e);
        ret->fragment_offset = squashfs_extended_file_fragment_offset(e);
        ret->xattr = squashfs_extended_file_xattr(e);
    }
    ret->n_blocks =
        ret->fragment == SQ_NONE ? div_up_u64(ret->size_bytes, block_bytes) : ret->size_bytes / block_bytes;
}

/* buf has INODE_FIXED_BYTES, whatever the kind. */
static void decode_other(const uint8_t *buf, struct sq_inode *ret)
{
    struct squashfs_symlink_head link = {NULL};
    struct squashfs_device device = {NULL};
    struct squashfs_extended_device extended_device = {NULL};
    struct squashfs_pipe pipe = {NULL};
    struct squashfs_extended_pipe extended_pipe = {NULL};
    switch (ret->type) {
    case SQUASHFS_ENTRY_TYPE_SYMLINK:
        (void)squashfs_symlink_head_view(buf, INODE_FIXED_BYTES, &link);
        ret->links = squashfs_symlink_head_links(link);
        ret->target_bytes = squashfs_symlink_head_target_bytes(link);
        break;
    case SQUASHFS_ENTRY_TYPE_BLOCK_DEVICE:
    case SQUASHFS_ENTRY_TYPE_CHAR_DEVICE:
        (void)squashfs_device_view(buf, INODE_FIXED_BYTES, &device);
        ret->links = squashfs_device_links(device);
        ret->device = squashfs_device_device(device);
        if (ret->extended && squashfs_extended_device_view(buf, INODE_FIXED_BYTES, &extended_device))
            ret->xattr = squashfs_extended_device_xattr(extended_device);
        break;
    default:
        (void)squashfs_pipe_view(buf, INODE_FIXED_BYTES, &pipe);
        ret->links = squashfs_pipe_links(pipe);
        if (ret->extended && squashfs_extended_pipe_view(buf, INODE_FIXED_BYTES, &extended_pipe))
            ret->xattr = squashfs_extended_pipe_xattr(extended_pipe);
        break;
    }
}

/* What Linux (inode.c, id.c, fragment.c) and unsquashfs refuse. */
int sq_inode_check(const struct sq_cursor *at, const struct sq_inode *inode, struct plat_err *err)
{
    const struct sq_super *super = &at->vol->super;
    const uint32_t number = inode->number;
    if (number == 0 || number > super->inodes)
        return sq_corrupt(at, err, "inode number %u; there are %u, from 1 on", number, super->inodes);
    if (inode->uid_index >= super->ids || inode->gid_index >= super->ids)
        return sq_corrupt(at, err, "inode %u belongs to ids %u and %u of a table of %u", number,
                          inode->uid_index, inode->gid_index, super->ids);
    if (inode->xattr != SQ_NONE && inode->xattr >= super->xattr_ids)
        return sq_corrupt(at, err, "inode %u has attributes %u of a table of %u", number, inode->xattr,
                          super->xattr_ids);
    if (inode->type == SQUASHFS_ENTRY_TYPE_DIRECTORY && inode->listing_bytes < 3)
        return sq_corrupt(at, err, "directory %u has a listing of %u bytes; 3 are counted for an empty one",
                          number, inode->listing_bytes);
    if (inode->type == SQUASHFS_ENTRY_TYPE_SYMLINK &&
        (inode->target_bytes == 0 || inode->target_bytes > SQ_TARGET_BYTES))
        return sq_corrupt(at, err, "symbolic link %u has a target of %u bytes; 1 to %d are possible", number,
                          inode->target_bytes, SQ_TARGET_BYTES);
    if (inode->type != SQUASHFS_ENTRY_TYPE_FILE)
        return 0;
    if (inode->size_bytes > INT64_MAX)
        return sq_corrupt(at, err, "file %u has %llu bytes", number, (unsigned long long)inode->size_bytes);
    if (inode->fragment == SQ_NONE)
        return 0;
    const uint64_t tail = inode->size_bytes % super->block_bytes;
    if (inode->fragment >= super->fragments)
        return sq_corrupt(at, err, "file %u ends in fragment block %u of %u", number, inode->fragment,
                          super->fragments);
    if (tail == 0 || inode->fragment_offset + tail > super->block_bytes)
        return sq_corrupt(
            at, err, "file %u of %llu bytes ends at byte %u of a fragment block, which has %u at most",
            number, (unsigned long long)inode->size_bytes, inode->fragment_offset, super->block_bytes);
    return 0;
}

uint64_t sq_ref(const struct sq_cursor *cursor)
{
    const uint64_t block = cursor->block.offset - cursor->table->start;
    return squashfs_reference_with_block(squashfs_reference_with_offset(0, (uint16_t)cursor->at),
                                         (uint32_t)block);
}

/* The kind of a record, and the bytes that all of its kind have. */
static int take_kind(const struct sq_cursor *cursor, const uint8_t *buf, uint16_t *ret_type, uint32_t *ret_n,
                     struct plat_err *err)
{
    struct squashfs_inode_head head = {NULL};
    (void)squashfs_inode_head_view(buf, SQUASHFS_INODE_HEAD_BYTES, &head);
    const uint16_t type = squashfs_inode_head_type(head);
    const uint32_t n = fixed_bytes(type);
    if (n == 0)
        return sq_corrupt(cursor, err, "an inode of type %u, which does not exist", type);
    *ret_type = type;
    *ret_n = n;
    return 0;
}

/* What those bytes say. */
static struct sq_inode decode(const struct sq_cursor *cursor, const uint8_t *buf, uint16_t type, uint64_t ref)
{
    struct squashfs_inode_head head = {NULL};
    struct sq_inode inode = {.ref = ref, .xattr = SQ_NONE, .fragment = SQ_NONE};
    (void)squashfs_inode_head_view(buf, SQUASHFS_INODE_HEAD_BYTES, &head);
    inode.extended = type >= SQUASHFS_INODE_TYPE_EXTENDED_DIRECTORY;
    inode.type = (uint16_t)(inode.extended ? type - SQUASHFS_INODE_TYPE_SOCKET : type);
    inode.mode = squashfs_inode_head_mode(head);
    inode.uid_index = squashfs_inode_head_uid_index(head);
    inode.gid_index = squashfs_inode_head_gid_index(head);
    inode.modified = squashfs_inode_head_modified(head);
    inode.number = squashfs_inode_head_number(head);
    if (inode.type == SQUASHFS_ENTRY_TYPE_DIRECTORY)
        decode_directory(buf, &inode);
    else if (inode.type == SQUASHFS_ENTRY_TYPE_FILE)
        decode_file(buf, cursor->vol->super.block_bytes, &inode);
    else
        decode_other(buf, &inode);
    return inode;
}

/* The cursor tells where, for messages. */
static int check(const struct sq_cursor *cursor, struct sq_inode inode, struct sq_inode *ret,
                 struct plat_err *err)
{
    int rc = sq_inode_check(cursor, &inode, err);
    if (rc == 0)
        *ret = inode;
    return rc;
}

int sq_inode_decode(struct sq_cursor *cursor, struct sq_inode *ret, struct plat_err *err)
{
    uint8_t buf[INODE_FIXED_BYTES] = {0};
    uint16_t type = 0;
    uint32_t n = 0;
    bool more;
    int rc = sq_more(cursor, &more, err);
    const uint64_t ref = sq_ref(cursor);
    if (rc == 0)
        rc = sq_take(cursor, buf, SQUASHFS_INODE_HEAD_BYTES, err);
    if (rc == 0)
        rc = take_kind(cursor, buf, &type, &n, err);
    if (rc == 0)
        rc = sq_take(cursor, buf + SQUASHFS_INODE_HEAD_BYTES, n - SQUASHFS_INODE_HEAD_BYTES, err);
    if (rc == 0)
        *ret = decode(cursor, buf, type, ref);
    return rc;
}

int sq_inode_take(struct sq_cursor *cursor, struct sq_inode *ret, struct plat_err *err)
{
    struct sq_inode inode;
    int rc = sq_inode_decode(cursor, &inode, err);
    return rc != 0 ? rc : check(cursor, inode, ret, err);
}

int sq_inode_read(struct volume *vol, uint64_t ref, struct sq_inode *ret, struct sq_cursor *ret_rest,
                  struct plat_err *err)
{
    int rc = sq_usable(vol, err);
    if (rc == 0)
        rc = sq_seek_ref(vol, SQ_INODES, ref, ret_rest, err);
    return rc != 0 ? rc : sq_inode_take(ret_rest, ret, err);
}

/* Straight from the cache, but for records that go across the border of a block; what is wrong with one is found again, with
 * all that a message wants, by sq_inode_read. */
int sq_inode_get(struct volume *vol, uint64_t ref, struct sq_inode *ret, struct plat_err *err)
{
    const struct sq_table *table = &vol->tables[SQ_INODES];
    uint8_t buf[INODE_FIXED_BYTES];
    uint16_t type;
    uint32_t n;
    struct sq_cursor cursor;
    int rc = sq_usable(vol, err);
    if (rc != 0)
        return rc;
    cursor.vol = vol;
    cursor.table = table;
    cursor.at = squashfs_reference_offset(ref);
    cursor.block.offset = table->start + squashfs_reference_block(ref);
    if (squashfs_reference_unused(ref) == 0 &&
        sq_peek(vol, table, cursor.block.offset, cursor.at, buf, sizeof buf) &&
        take_kind(&cursor, buf, &type, &n, NULL) == 0 &&
        check(&cursor, decode(&cursor, buf, type, ref), ret, NULL) == 0)
        return 0;
    return sq_inode_read(vol, ref, ret, &cursor, err);
}

int sq_inode_skip(struct sq_cursor *cursor, const struct sq_inode *inode, struct plat_err *err)
{
    uint64_t n = inode->target_bytes;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < inode->n_indexes; i++) {
        struct sq_index index;
        rc = sq_index_take(cursor, &index, err);
    }
    if (rc != 0)
        return rc;
    if (inode->type == SQUASHFS_ENTRY_TYPE_FILE && !mul_u64(inode->n_blocks, SQUASHFS_FILE_BLOCK_BYTES, &n))
        return sq_corrupt(cursor, err, "a list of %llu blocks", (unsigned long long)inode->n_blocks);
    if (inode->type == SQUASHFS_ENTRY_TYPE_SYMLINK && inode->extended)
        n += sizeof inode->xattr;
    return sq_take(cursor, NULL, n, err);
}

uint32_t sq_tail_bytes(const struct volume *vol, const struct sq_inode *inode)
{
    return inode->fragment == SQ_NONE ? 0 : (uint32_t)(inode->size_bytes % vol->super.block_bytes);
}

uint32_t sq_block_expected(const struct volume *vol, const struct sq_inode *inode, uint64_t i)
{
    const uint64_t left = inode->size_bytes - i * vol->super.block_bytes;
    return left < vol->super.block_bytes ? (uint32_t)left : vol->super.block_bytes;
}

int squashfs_stat(struct fs *fs, uint64_t node, struct fs_stat *ret, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct sq_inode inode;
    int rc = sq_inode_get(vol, node, &inode, err);
    if (rc != 0)
        return rc;
    struct fs_stat stat = {.kind = sq_kind(inode.type),
                           .mode = inode.mode & 07777,
                           .has_mode = true,
                           .has_mtime = true,
                           .mtime_s = inode.modified,
                           .uid = vol->id_list[inode.uid_index],
                           .gid = vol->id_list[inode.gid_index],
                           .links = inode.links,
                           .no_xattrs = inode.xattr == SQ_NONE &&
                                        (inode.type != SQUASHFS_ENTRY_TYPE_SYMLINK || !inode.extended)};
    if (inode.type == SQUASHFS_ENTRY_TYPE_FILE)
        stat.size_bytes = inode.size_bytes;
    else if (inode.type == SQUASHFS_ENTRY_TYPE_SYMLINK)
        stat.size_bytes = inode.target_bytes;
    else if (stat.kind == TREE_BLOCK || stat.kind == TREE_CHAR)
        stat.device = makedev(squashfs_device_number_major(inode.device),
                              squashfs_device_number_minor_low(inode.device) |
                                  (unsigned)squashfs_device_number_minor_high(inode.device) << 8);
    *ret = stat;
    return 0;
}

int squashfs_readlink(struct fs *fs, uint64_t node, struct strbuf *ret, struct plat_err *err)
{
    struct sq_inode inode;
    struct sq_cursor rest;
    int rc = sq_inode_read(volume_of(fs), node, &inode, &rest, err);
    if (rc == 0 && inode.type != SQUASHFS_ENTRY_TYPE_SYMLINK)
        rc = err_set(err, PLAT_EINVALID, "it is not a symbolic link");
    struct strbuf target = {0};
    for (uint32_t left = rc == 0 ? inode.target_bytes : 0; rc == 0 && left > 0;) {
        char part[256];
        const uint32_t n = left < sizeof part ? left : (uint32_t)sizeof part;
        rc = sq_take(&rest, part, n, err);
        if (rc == 0 && memchr(part, 0, n) != NULL)
            rc = sq_corrupt(&rest, err, "the target of symbolic link %u has a zero byte in it", inode.number);
        if (rc == 0)
            strbuf_add(&target, part, n);
        left -= n;
    }
    if (rc == 0)
        strbuf_add(ret, strbuf_str(&target), target.len);
    if (rc == 0 && (target.failed || ret->failed))
        rc = err_nomem(err, "reading a symbolic link");
    strbuf_free(&target);
    return rc;
}
