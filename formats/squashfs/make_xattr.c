/* Extended attributes: names and values in one stream, where each set of them begins in a table. Inodes with equal sets
 * share an entry. A name is kept without its prefix, of which squashfs knows three.
 *
 *     name, value                     name, reference            a long value that is there already
 *           ^                               |
 *           +-------------------------------+ */
#include "formats/squashfs/make.h"

#include <stdlib.h>

#include "lib/hash/hash.h"

/* From so many bytes on an equal value is stored once: for less the reference, of 12 bytes that do not compress, is
 * no gain. mksquashfs has the same limit. */
enum { SHARED_BYTES_MIN = 128 };

/* A set of attributes, or the value of one. */
struct known {
    const struct tree_xattr *items;
    size_t n;
    uint64_t hash, place; /* of its first name, or of the value */
    uint32_t bytes;       /* as the table of sets says: names with a NUL, and values */
};
struct known_list {
    bool values; /* of values: names do not count */
    struct known *list;
    size_t n, cap;
    uint32_t *slots; /* open addressing, by hash: 1 + number */
    size_t n_slots;  /* a power of two */
};
struct sqm_xattrs {
    struct sqm_meta pairs;
    struct known_list sets, values;
};

static const struct {
    const char *text;
    enum squashfs_xattr_prefix prefix;
} prefixes[] = {{"user.", SQUASHFS_XATTR_PREFIX_USER},
                {"trusted.", SQUASHFS_XATTR_PREFIX_TRUSTED},
                {"security.", SQUASHFS_XATTR_PREFIX_SECURITY}};

/* Index in prefixes; false: squashfs has none for this name. */
static bool prefix_find(const char *name, size_t *ret)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const size_t n = strlen(prefixes[i].text);
        if (strncmp(name, prefixes[i].text, n) != 0 || name[n] == '\0')
            continue;
        *ret = i;
        return true;
    }
    return false;
}

int sqm_xattrs_check(const struct make_plan *plan, const struct tree_node *node, struct plat_err *err)
{
    const struct tree_xattrs *set = plan->settings.keep_xattrs ? tree_xattrs(plan->tree, node) : NULL;
    char label[TREE_LABEL_BYTES];
    size_t prefix;
    for (size_t i = 0; set != NULL && i < set->n; i++) {
        const char *name = set->items[i].name;
        if (prefix_find(name, &prefix) && strlen(name) <= SQM_NAME_BYTES_MAX)
            continue;
        tree_label(node, label);
        return err_set(err, PLAT_EINVALID,
                       "'%s' has the attribute %.80s, and squashfs keeps names of up to %d bytes that begin "
                       "with user., trusted. or security.; remove it, or leave out xattrs=keep",
                       label, name, SQM_NAME_BYTES_MAX);
    }
    return 0;
}

int sqm_xattrs_open(struct sqm_image *image, struct sqm_xattrs **ret, struct plat_err *err)
{
    struct sqm_xattrs *xattrs = calloc(1, sizeof *xattrs);
    if (xattrs == NULL)
        return err_nomem(err, "making a SquashFS image");
    xattrs->values.values = true;
    sqm_meta_begin(&xattrs->pairs, image, true, (image->plan->settings.plain & SQM_PLAIN_XATTRS) != 0);
    *ret = xattrs;
    return 0;
}

static void known_close(struct known_list *known)
{
    free(known->list);
    free(known->slots);
}

void sqm_xattrs_close(struct sqm_xattrs *xattrs)
{
    if (xattrs == NULL)
        return;
    sqm_meta_close(&xattrs->pairs);
    known_close(&xattrs->sets);
    known_close(&xattrs->values);
    free(xattrs);
}

/* ---- what is there ---- */

static uint64_t hash_of(const struct known_list *known, const struct tree_xattr *items, size_t n)
{
    uint64_t parts[3] = {n};
    for (size_t i = 0; i < n; i++) {
        parts[1] = known->values ? 0 : hash_xxh64(items[i].name, strlen(items[i].name));
        parts[2] = hash_xxh64(items[i].value, items[i].n_bytes);
        parts[0] = hash_xxh64(parts, sizeof parts);
    }
    return parts[0];
}

static bool is_same(const struct known_list *known, const struct tree_xattr *a, const struct tree_xattr *b,
                    size_t n)
{
    bool same = true;
    for (size_t i = 0; same && i < n; i++)
        same = (known->values || strcmp(a[i].name, b[i].name) == 0) && a[i].n_bytes == b[i].n_bytes &&
               (a[i].n_bytes == 0 || memcmp(a[i].value, b[i].value, a[i].n_bytes) == 0);
    return same;
}

static size_t slot_of(const struct known_list *known, const struct tree_xattr *items, size_t n, uint64_t hash)
{
    size_t i = (size_t)hash & (known->n_slots - 1);
    for (; known->slots[i] != 0; i = (i + 1) & (known->n_slots - 1)) {
        const struct known *one = &known->list[known->slots[i] - 1];
        if (one->hash == hash && one->n == n && is_same(known, one->items, items, n))
            break;
    }
    return i;
}

/* Room for one more. */
static int grow(struct known_list *known, struct plat_err *err)
{
    if (known->n < known->cap)
        return 0;
    const size_t cap = known->cap == 0 ? 128 : known->cap * 2;
    struct known *list = realloc(known->list, cap * sizeof *list);
    if (list == NULL)
        return err_nomem(err, "making a SquashFS image");
    known->list = list;
    uint32_t *slots = calloc(cap * 2, sizeof *slots);
    if (slots == NULL)
        return err_nomem(err, "making a SquashFS image");
    free(known->slots);
    known->slots = slots;
    known->n_slots = cap * 2;
    known->cap = cap;
    for (size_t i = 0; i < known->n; i++)
        slots[slot_of(known, list[i].items, list[i].n, list[i].hash)] = (uint32_t)i + 1;
    return 0;
}

/* The number of what is equal, and *ret_new: nothing was, and this is known from now on. */
static int known_find(struct known_list *known, const struct tree_xattr *items, size_t n, uint32_t *ret,
                      bool *ret_new, struct plat_err *err)
{
    int rc = grow(known, err);
    if (rc != 0)
        return rc;
    const uint64_t hash = hash_of(known, items, n);
    const size_t slot = slot_of(known, items, n, hash);
    *ret_new = known->slots[slot] == 0;
    if (*ret_new) {
        known->list[known->n++] = (struct known){.items = items, .n = n, .hash = hash};
        known->slots[slot] = (uint32_t)known->n;
    }
    *ret = known->slots[slot] - 1;
    return 0;
}

/* ---- writing ---- */

/* Where the next byte comes to be. */
static uint64_t place_of(const struct sqm_meta *pairs)
{
    return squashfs_reference_with_offset(squashfs_reference_with_block(0, (uint32_t)pairs->stored),
                                          (uint16_t)pairs->used);
}

static int name_put(struct sqm_meta *pairs, const char *name, bool elsewhere, struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_XATTR_NAME_HEAD_BYTES];
    struct squashfs_xattr_name_head_mut head;
    size_t prefix = 0;
    if (!prefix_find(name, &prefix) || !squashfs_xattr_name_head_edit(bytes, sizeof bytes, &head))
        return err_set(err, PLAT_EBUG, "an attribute that was checked cannot be written");
    const char *rest = name + strlen(prefixes[prefix].text);
    squashfs_xattr_name_head_init(head);
    squashfs_xattr_name_head_set_prefix(head, (uint8_t)prefixes[prefix].prefix);
    squashfs_xattr_name_head_set_place(head, elsewhere ? SQUASHFS_XATTR_PLACE_ELSEWHERE : 0);
    squashfs_xattr_name_head_set_name_bytes(head, (uint16_t)strlen(rest));
    int rc = sqm_meta_put(pairs, bytes, sizeof bytes, err);
    return rc == 0 ? sqm_meta_put(pairs, rest, strlen(rest), err) : rc;
}

static int value_put(struct sqm_meta *pairs, const struct tree_xattr *xattr, struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_XATTR_VALUE_HEAD_BYTES];
    struct squashfs_xattr_value_head_mut head;
    if (!squashfs_xattr_value_head_edit(bytes, sizeof bytes, &head))
        return err_set(err, PLAT_EBUG, "a value's head of another size");
    squashfs_xattr_value_head_init(head);
    squashfs_xattr_value_head_set_value_bytes(head, (uint32_t)xattr->n_bytes);
    int rc = sqm_meta_put(pairs, bytes, sizeof bytes, err);
    return rc == 0 ? sqm_meta_put(pairs, xattr->value, xattr->n_bytes, err) : rc;
}

static int elsewhere_put(struct sqm_meta *pairs, uint64_t place, struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_XATTR_ELSEWHERE_BYTES];
    struct squashfs_xattr_elsewhere_mut elsewhere;
    if (!squashfs_xattr_elsewhere_edit(bytes, sizeof bytes, &elsewhere))
        return err_set(err, PLAT_EBUG, "a reference to a value of another size");
    squashfs_xattr_elsewhere_init(elsewhere);
    squashfs_xattr_elsewhere_set_value(elsewhere, place);
    return sqm_meta_put(pairs, bytes, sizeof bytes, err);
}

static int pair_put(struct sqm_xattrs *xattrs, const struct tree_xattr *xattr, struct plat_err *err)
{
    struct sqm_meta *pairs = &xattrs->pairs;
    struct known_list *values = &xattrs->values;
    const bool shared = xattr->n_bytes >= SHARED_BYTES_MIN;
    bool is_new = true;
    uint32_t number = 0;
    int rc = shared ? known_find(values, xattr, 1, &number, &is_new, err) : 0;
    if (rc == 0)
        rc = name_put(pairs, xattr->name, !is_new, err);
    if (rc != 0 || !is_new)
        return rc != 0 ? rc : elsewhere_put(pairs, values->list[number].place, err);
    if (shared)
        values->list[number].place = place_of(pairs);
    return value_put(pairs, xattr, err);
}

int sqm_xattrs_index(struct sqm_image *image, const struct tree_node *node, uint32_t *ret,
                     struct plat_err *err)
{
    struct sqm_xattrs *xattrs = image->xattrs;
    const struct tree_xattrs *set = xattrs != NULL ? tree_xattrs(image->plan->tree, node) : NULL;
    bool is_new;
    uint32_t number;
    *ret = SQM_NONE;
    if (set == NULL)
        return 0;
    int rc = known_find(&xattrs->sets, set->items, set->n, &number, &is_new, err);
    if (rc == 0 && is_new) {
        struct known *known = &xattrs->sets.list[number];
        known->place = place_of(&xattrs->pairs);
        for (size_t i = 0; rc == 0 && i < set->n; i++) {
            known->bytes += (uint32_t)(strlen(set->items[i].name) + 1 + set->items[i].n_bytes);
            rc = pair_put(xattrs, &set->items[i], err);
        }
    }
    if (rc == 0)
        *ret = number;
    return rc;
}

static void id_entry(const struct sqm_image *image, uint64_t i, uint8_t *to)
{
    const struct known *known = &image->xattrs->sets.list[i];
    struct squashfs_xattr_id_mut entry;
    if (!squashfs_xattr_id_edit(to, SQUASHFS_XATTR_ID_BYTES, &entry))
        return;
    squashfs_xattr_id_init(entry);
    squashfs_xattr_id_set_pairs(entry, known->place);
    squashfs_xattr_id_set_count(entry, (uint32_t)known->n);
    squashfs_xattr_id_set_size_bytes(entry, known->bytes);
}

int sqm_xattrs_put(struct sqm_image *image, uint64_t *ret_start, struct plat_err *err)
{
    struct sqm_xattrs *xattrs = image->xattrs;
    uint8_t bytes[SQUASHFS_XATTR_HEADER_BYTES];
    struct squashfs_xattr_header_mut header;
    const uint64_t start = image->at;
    if (xattrs == NULL || xattrs->sets.n == 0)
        return 0;
    int rc = sqm_meta_end(&xattrs->pairs, err);
    if (rc == 0)
        rc = sqm_put(image, xattrs->pairs.bytes, (size_t)xattrs->pairs.stored, err);
    if (rc != 0)
        return rc;
    if (!squashfs_xattr_header_edit(bytes, sizeof bytes, &header))
        return err_set(err, PLAT_EBUG, "a header of another size");
    squashfs_xattr_header_init(header);
    squashfs_xattr_header_set_kv_start(header, start);
    squashfs_xattr_header_set_ids(header, (uint32_t)xattrs->sets.n);
    const struct sqm_table table = {.n = xattrs->sets.n,
                                    .entry_bytes = SQUASHFS_XATTR_ID_BYTES,
                                    .plain = xattrs->pairs.plain,
                                    .entry = id_entry,
                                    .header = bytes,
                                    .header_bytes = sizeof bytes};
    return sqm_table_put(image, &table, ret_start, err);
}
