/* Extended attributes: sets of names and values, which inodes share by number.
 *
 *     xattr id   first name, how many, bytes
 *                v
 *     name       prefix, length, name without prefix
 *     value      length, bytes; or length 8 and a reference to a value that stands elsewhere
 *     name       ... */
#include "formats/squashfs/volume.h"

#include <stdlib.h>

/* What one inode may have, as a bound on memory and time: Linux hands out 64 KiB. */
enum { XATTR_VALUE_BYTES_MAX = 1 << 20, XATTR_SET_BYTES_MAX = 1 << 24 };

const char *sq_xattr_prefix(uint8_t prefix)
{
    static const char *const names[] = {
        [SQUASHFS_XATTR_PREFIX_USER] = "user.",
        [SQUASHFS_XATTR_PREFIX_TRUSTED] = "trusted.",
        [SQUASHFS_XATTR_PREFIX_SECURITY] = "security.",
    };
    return prefix < sizeof names / sizeof *names ? names[prefix] : NULL;
}

int sq_xattr_set_read(struct volume *vol, uint32_t number, struct sq_xattr_set *ret, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_XATTR_ID_BYTES];
    struct squashfs_xattr_id v = {NULL};
    int rc = sq_entry_read(vol, SQ_XATTR_IDS, number, buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_xattr_id_view(buf, sizeof buf, &v);
    *ret = (struct sq_xattr_set){squashfs_xattr_id_pairs(v), squashfs_xattr_id_count(v),
                                 squashfs_xattr_id_size_bytes(v)};
    return 0;
}

int sq_xattr_name_take(struct sq_cursor *cursor, struct sq_xattr *ret, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_XATTR_NAME_HEAD_BYTES];
    struct squashfs_xattr_name_head head = {NULL};
    int rc = sq_take(cursor, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_xattr_name_head_view(buf, sizeof buf, &head);
    ret->prefix = squashfs_xattr_name_head_prefix(head);
    ret->elsewhere = (squashfs_xattr_name_head_place(head) & SQUASHFS_XATTR_PLACE_ELSEWHERE) != 0;
    ret->name_bytes = squashfs_xattr_name_head_name_bytes(head);
    rc = sq_take(cursor, ret->name, ret->name_bytes, err);
    ret->name[ret->name_bytes] = '\0';
    return rc;
}

int sq_xattr_value_take(struct sq_cursor *cursor, struct sq_xattr *xattr, uint64_t *ret_ref,
                        struct plat_err *err)
{
    uint8_t buf[SQUASHFS_XATTR_ELSEWHERE_BYTES];
    struct squashfs_xattr_value_head head = {NULL};
    struct squashfs_xattr_elsewhere elsewhere = {NULL};
    const uint32_t n = xattr->elsewhere ? SQUASHFS_XATTR_ELSEWHERE_BYTES : SQUASHFS_XATTR_VALUE_HEAD_BYTES;
    int rc = sq_take(cursor, buf, n, err);
    if (rc != 0)
        return rc;
    (void)squashfs_xattr_value_head_view(buf, n, &head);
    xattr->value_bytes = squashfs_xattr_value_head_value_bytes(head);
    *ret_ref = 0;
    if (squashfs_xattr_elsewhere_view(buf, n, &elsewhere)) {
        *ret_ref = squashfs_xattr_elsewhere_value(elsewhere);
        if (xattr->value_bytes != SQUASHFS_XATTR_ELSEWHERE_BYTES - SQUASHFS_XATTR_VALUE_HEAD_BYTES)
            return sq_corrupt(cursor, err, "a reference to a value, of %u bytes instead of 8",
                              xattr->value_bytes);
    }
    return 0;
}

int sq_inode_xattr(struct volume *vol, const struct sq_inode *inode, uint32_t *ret, struct plat_err *err)
{
    struct sq_inode again;
    struct sq_cursor rest;
    uint8_t buf[SQUASHFS_ID_ENTRY_BYTES];
    if (inode->type != SQUASHFS_ENTRY_TYPE_SYMLINK || !inode->extended) {
        *ret = inode->xattr;
        return 0;
    }
    int rc = sq_inode_read(vol, inode->ref, &again, &rest, err);
    if (rc == 0)
        rc = sq_take(&rest, NULL, inode->target_bytes, err);
    if (rc == 0)
        rc = sq_take(&rest, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    const uint32_t xattr = load_le32(buf);
    if (xattr != SQ_NONE && xattr >= vol->super.xattr_ids)
        return sq_corrupt(&rest, err, "inode %u has attributes %u of a table of %u", inode->number, xattr,
                          vol->super.xattr_ids);
    *ret = xattr;
    return 0;
}

/* ---- the driver's ---- */

struct reading {
    struct sq_cursor names, value;
    struct sq_xattr xattr;
    uint8_t *buf;
    uint64_t total_bytes;
};

/* The value behind the name just taken, into reading->buf. */
static int read_value(struct volume *vol, struct reading *reading, struct plat_err *err)
{
    struct sq_cursor *at = &reading->names;
    uint64_t ref;
    int rc = sq_xattr_value_take(at, &reading->xattr, &ref, err);
    if (rc == 0 && reading->xattr.elsewhere) {
        reading->xattr.elsewhere = false;
        at = &reading->value;
        rc = sq_seek_ref(vol, SQ_XATTRS, ref, at, err);
        if (rc == 0)
            rc = sq_xattr_value_take(at, &reading->xattr, &ref, err);
    }
    if (rc != 0)
        return rc;
    const uint32_t n = reading->xattr.value_bytes;
    reading->total_bytes += n + reading->xattr.name_bytes;
    if (n > XATTR_VALUE_BYTES_MAX || reading->total_bytes > XATTR_SET_BYTES_MAX)
        return err_at(err, PLAT_ELIMIT, at->block.offset, "xattrs",
                      "an attribute of %u bytes, %llu with those before it; Linux takes 65536", n,
                      (unsigned long long)reading->total_bytes);
    uint8_t *buf = realloc(reading->buf, n + 1);
    if (buf == NULL)
        return err_nomem(err, "reading an attribute");
    reading->buf = buf;
    return sq_take(at, buf, n, err);
}

static int hand_on(const struct reading *reading, fs_xattr_fn fn, void *ctx, struct plat_err *err)
{
    const struct sq_xattr *xattr = &reading->xattr;
    const char *prefix = sq_xattr_prefix(xattr->prefix);
    struct strbuf name = {0};
    if (prefix == NULL || memchr(xattr->name, 0, xattr->name_bytes) != NULL)
        return sq_corrupt(&reading->names, err,
                          "an attribute of an unknown kind (%u), or with a zero byte in its name",
                          xattr->prefix);
    strbuf_puts(&name, prefix);
    strbuf_add(&name, xattr->name, xattr->name_bytes);
    const struct fs_xattr one = {
        .name = strbuf_str(&name), .value = reading->buf, .value_bytes = xattr->value_bytes};
    int rc = name.failed ? err_nomem(err, "reading an attribute") : fn(ctx, &one);
    strbuf_free(&name);
    return rc;
}

int squashfs_xattrs(struct fs *fs, uint64_t node, fs_xattr_fn fn, void *ctx, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct sq_inode inode;
    struct sq_xattr_set set;
    uint32_t number = SQ_NONE;
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return err_nomem(err, "reading attributes");
    int rc = sq_inode_read(vol, node, &inode, &reading->names, err);
    if (rc == 0)
        rc = sq_inode_xattr(vol, &inode, &number, err);
    if (rc == 0 && number != SQ_NONE) {
        rc = sq_xattr_set_read(vol, number, &set, err);
        if (rc == 0)
            rc = sq_seek_ref(vol, SQ_XATTRS, set.ref, &reading->names, err);
        for (uint32_t i = 0; rc == 0 && i < set.count; i++) {
            rc = sq_xattr_name_take(&reading->names, &reading->xattr, err);
            if (rc == 0)
                rc = read_value(vol, reading, err);
            if (rc == 0)
                rc = hand_on(reading, fn, ctx, err);
        }
    }
    free(reading->buf);
    free(reading);
    return rc;
}
