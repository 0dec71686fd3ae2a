/* Attributes: each set's names are names, each once; values that stand elsewhere are there; sizes are as said; all of the
 * stream is some set's, or a value that one refers to. */
#include "formats/squashfs/check.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    XATTR_PATH_BYTES = 64,
    NAME_SHOWN = 80,
    NAMES_COMPARED = 256,
    VALUE_BYTES_MAX = 65536 /* of the VFS; the layout says it of values that the walk shows */
};

struct set_check {
    struct sq_check *check;
    struct sq_cursor cursor, elsewhere;
    struct sq_xattr xattr;
    struct sq_xattr_set set;
    struct sq_where where; /* of the pair at hand */
    struct sq_ranges used;
    uint64_t stream_bytes, left; /* of the stream; what sets may take of it before they overlap */
    uint64_t size_bytes;         /* of the set, as the table counts it */
    uint32_t number, pair;
    uint64_t names[NAMES_COMPARED]; /* of this set, by their hash */
    char path[XATTR_PATH_BYTES];
};

/* FNV-1a: enough to tell a handful of names apart, and what is equal is equal. */
static uint64_t name_hash(const struct sq_xattr *xattr)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ xattr->prefix;
    for (uint32_t i = 0; i < xattr->name_bytes; i++)
        hash = (hash ^ (uint8_t)xattr->name[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#define set_fault(check_of, severity, id, refused, ...) \
    sq_fault((check_of)->check,                         \
             &(struct sq_fault){severity, id, (check_of)->path, (check_of)->where, refused}, __VA_ARGS__)

static int check_name(struct set_check *set)
{
    const struct sq_xattr *xattr = &set->xattr;
    int rc = 0;
    if (memchr(xattr->name, 0, xattr->name_bytes) != NULL)
        rc = set_fault(set, SEVERITY_ERROR, "sq-xattr-name", SQ_BY_LINUX,
                       "a name of an attribute with a zero byte in it");
    const uint64_t hash = name_hash(xattr);
    for (uint32_t i = 0; rc == 0 && i < set->pair && i < NAMES_COMPARED; i++) {
        if (set->names[i] == hash)
            return set_fault(set, SEVERITY_ERROR, "sq-xattr-twice", SQ_BY_NOBODY,
                             "the attribute '%.*s' is in the set twice", NAME_SHOWN, xattr->name);
    }
    if (set->pair < NAMES_COMPARED)
        set->names[set->pair] = hash;
    return rc;
}

/* The value that a reference leads to; the cursor is behind the head. */
static int check_elsewhere(struct set_check *set, uint64_t ref, struct plat_err *why)
{
    struct sq_xattr *xattr = &set->xattr;
    const uint64_t at = sq_position(set->check, SQ_XATTRS, ref);
    uint64_t nowhere;
    xattr->elsewhere = false;
    int rc = sq_seek_ref(set->check->vol, SQ_XATTRS, ref, &set->elsewhere, why);
    if (rc == 0)
        rc = sq_xattr_value_take(&set->elsewhere, xattr, &nowhere, why);
    const uint64_t bytes = SQUASHFS_XATTR_VALUE_HEAD_BYTES + (uint64_t)xattr->value_bytes;
    if (rc == 0 && !range_within((struct range){at, bytes}, set->stream_bytes))
        rc = err_set(why, PLAT_ECORRUPT, "a value of %u bytes runs past the end of the table of attributes",
                     xattr->value_bytes);
    if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED) {
        char text[PLAT_ERR_TEXT_MAX];
        (void)snprintf(text, sizeof text, "%s", why->text);
        set->used.partial = true;
        xattr->value_bytes = 0;
        return set_fault(set, SEVERITY_ERROR, "sq-xattr-value", SQ_BY_LINUX,
                         "the value of '%.*s' is said to be at 0x%llx: %s", NAME_SHOWN, xattr->name,
                         (unsigned long long)ref, text);
    }
    return rc != 0 ? rc : sq_ranges_add(&set->used, (struct range){at, bytes});
}

static int check_pair(struct set_check *set, struct plat_err *why)
{
    struct sq_cursor *cursor = &set->cursor;
    uint64_t ref;
    bool more;
    int rc = sq_more(cursor, &more, why);
    set->where = sq_where_block(set->check, SQ_XATTRS, cursor->block.offset, cursor->at);
    (void)snprintf(set->path, sizeof set->path, "xattr_names[%u][%u]", set->number, set->pair);
    if (rc == 0)
        rc = sq_xattr_name_take(cursor, &set->xattr, why);
    if (rc == 0)
        rc = check_name(set);
    if (rc == 0)
        rc = sq_xattr_value_take(cursor, &set->xattr, &ref, why);
    if (rc != 0)
        return rc;
    const uint64_t taken = SQUASHFS_XATTR_NAME_HEAD_BYTES + set->xattr.name_bytes +
                           SQUASHFS_XATTR_VALUE_HEAD_BYTES + (uint64_t)set->xattr.value_bytes;
    if (taken > set->left)
        return err_set(why, PLAT_ECORRUPT, "sets of attributes overlap");
    set->left -= taken;
    if (set->xattr.elsewhere)
        rc = check_elsewhere(set, ref, why);
    else
        rc = sq_take(cursor, NULL, set->xattr.value_bytes, why);
    if (rc == 0 && set->xattr.value_bytes > VALUE_BYTES_MAX)
        rc = set_fault(set, SEVERITY_WARNING, "sq-xattr-value", SQ_BY_NOBODY,
                       "the value of '%.*s' has %u bytes; programs can have %d", NAME_SHOWN, set->xattr.name,
                       set->xattr.value_bytes, VALUE_BYTES_MAX);
    const char *prefix = sq_xattr_prefix(set->xattr.prefix);
    set->size_bytes +=
        (prefix != NULL ? strlen(prefix) : 0) + set->xattr.name_bytes + 1 + set->xattr.value_bytes;
    return rc;
}

static int check_set(struct set_check *set, struct plat_err *why)
{
    struct volume *vol = set->check->vol;
    uint64_t end = 0;
    set->size_bytes = 0;
    int rc = sq_xattr_set_read(vol, set->number, &set->set, why);
    if (rc == 0)
        rc = sq_seek_ref(vol, SQ_XATTRS, set->set.ref, &set->cursor, why);
    const uint64_t start = rc == 0 ? sq_position(set->check, SQ_XATTRS, set->set.ref) : 0;
    for (set->pair = 0; rc == 0 && set->pair < set->set.count; set->pair++)
        rc = check_pair(set, why);
    if (rc != 0)
        return rc;
    set->where = sq_where_block(set->check, SQ_XATTRS, set->cursor.block.offset, set->cursor.at);
    end = set->where.position;
    if (end > start)
        rc = sq_ranges_add(&set->used, (struct range){start, end - start});
    (void)snprintf(set->path, sizeof set->path, "xattr_ids[%u].size_bytes", set->number);
    set->where = sq_where_entry(set->check, SQ_XATTR_IDS, set->number);
    /* mksquashfs counts names with their prefixes and values, squashfs-tools-ng the bytes of the stream. */
    if (rc == 0 && set->size_bytes != set->set.size_bytes && end - start != set->set.size_bytes)
        rc = set_fault(set, SEVERITY_WARNING, "sq-xattr-size", SQ_BY_NOBODY,
                       "set %u is said to have %u bytes, and has %llu", set->number, set->set.size_bytes,
                       (unsigned long long)set->size_bytes);
    return rc;
}

int sq_check_xattrs(struct sq_check *check)
{
    struct set_check *set = check->maps[SQ_XATTRS].n > 0 ? calloc(1, sizeof *set) : NULL;
    int rc = 0;
    if (set == NULL)
        return check->maps[SQ_XATTRS].n > 0 ? err_nomem(check->err, "checking attributes") : 0;
    set->check = check;
    set->stream_bytes = set->left = sq_stream_bytes(check, SQ_XATTRS);
    for (; rc == 0 && set->number < check->vol->super.xattr_ids; set->number++) {
        struct plat_err why = {0};
        rc = check_set(set, &why);
        if (rc != 0 && why.class == rc) {
            set->used.partial = true;
            rc = sq_check_damage(check, set->path, &why, check->vol->super.xattr_ids <= WALK_BULK_ELEMENTS);
        }
    }
    if (rc == 0)
        rc = sq_ranges_check(check, SQ_XATTRS, &set->used);
    free(set->used.list);
    free(set);
    return rc;
}
