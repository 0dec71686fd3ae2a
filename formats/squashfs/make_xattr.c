/* Extended attributes: names and values in one stream, where each set of them begins in a table. Inodes with equal sets
 * share an entry. A name is kept without its prefix, of which squashfs knows three. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

#include "lib/hash/hash.h"

struct known_set {
    const struct tree_xattrs *set;
    uint64_t hash, place; /* of its first name */
    uint32_t bytes;       /* as the table says: names with a NUL, and values */
};
struct sqm_xattrs {
    struct sqm_meta pairs;
    struct known_set *sets; /* by number */
    size_t n_sets, cap_sets;
    uint32_t *slots; /* open addressing, by hash: 1 + number */
    size_t n_slots;  /* a power of two */
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
    sqm_meta_begin(&xattrs->pairs, image, true, (image->plan->settings.plain & SQM_PLAIN_XATTRS) != 0);
    *ret = xattrs;
    return 0;
}

void sqm_xattrs_close(struct sqm_xattrs *xattrs)
{
    if (xattrs == NULL)
        return;
    sqm_meta_close(&xattrs->pairs);
    free(xattrs->sets);
    free(xattrs->slots);
    free(xattrs);
}

/* ---- sets that are there ---- */

static uint64_t hash_of(const struct tree_xattrs *set)
{
    uint64_t parts[3] = {set->n};
    for (size_t i = 0; i < set->n; i++) {
        parts[1] = hash_xxh64(set->items[i].name, strlen(set->items[i].name));
        parts[2] = hash_xxh64(set->items[i].value, set->items[i].n_bytes);
        parts[0] = hash_xxh64(parts, sizeof parts);
    }
    return parts[0];
}

static bool is_same(const struct tree_xattrs *a, const struct tree_xattrs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->items[i].name, b->items[i].name) == 0 &&
               a->items[i].n_bytes == b->items[i].n_bytes &&
               (a->items[i].n_bytes == 0 ||
                memcmp(a->items[i].value, b->items[i].value, a->items[i].n_bytes) == 0);
    return same;
}

static size_t slot_of(const struct sqm_xattrs *xattrs, const struct tree_xattrs *set, uint64_t hash)
{
    size_t i = (size_t)hash & (xattrs->n_slots - 1);
    for (; xattrs->slots[i] != 0; i = (i + 1) & (xattrs->n_slots - 1)) {
        const struct known_set *known = &xattrs->sets[xattrs->slots[i] - 1];
        if (known->hash == hash && is_same(known->set, set))
            break;
    }
    return i;
}

/* Room for one more set. */
static int grow(struct sqm_xattrs *xattrs, struct plat_err *err)
{
    if (xattrs->n_sets < xattrs->cap_sets)
        return 0;
    const size_t cap = xattrs->cap_sets == 0 ? 128 : xattrs->cap_sets * 2;
    struct known_set *sets = realloc(xattrs->sets, cap * sizeof *sets);
    if (sets == NULL)
        return err_nomem(err, "making a SquashFS image");
    xattrs->sets = sets;
    uint32_t *slots = calloc(cap * 2, sizeof *slots);
    if (slots == NULL)
        return err_nomem(err, "making a SquashFS image");
    free(xattrs->slots);
    xattrs->slots = slots;
    xattrs->n_slots = cap * 2;
    xattrs->cap_sets = cap;
    for (size_t i = 0; i < xattrs->n_sets; i++)
        slots[slot_of(xattrs, sets[i].set, sets[i].hash)] = (uint32_t)i + 1;
    return 0;
}

/* ---- writing ---- */

static int pair_put(struct sqm_meta *pairs, const struct tree_xattr *xattr, struct plat_err *err)
{
    uint8_t name_bytes[SQUASHFS_XATTR_NAME_HEAD_BYTES], value_bytes[SQUASHFS_XATTR_VALUE_HEAD_BYTES];
    struct squashfs_xattr_name_head_mut name;
    struct squashfs_xattr_value_head_mut value;
    size_t prefix = 0;
    if (!prefix_find(xattr->name, &prefix) ||
        !squashfs_xattr_name_head_edit(name_bytes, sizeof name_bytes, &name) ||
        !squashfs_xattr_value_head_edit(value_bytes, sizeof value_bytes, &value))
        return err_set(err, PLAT_EBUG, "an attribute that was checked cannot be written");
    const char *rest = xattr->name + strlen(prefixes[prefix].text);
    squashfs_xattr_name_head_init(name);
    squashfs_xattr_name_head_set_prefix(name, (uint8_t)prefixes[prefix].prefix);
    squashfs_xattr_name_head_set_name_bytes(name, (uint16_t)strlen(rest));
    squashfs_xattr_value_head_init(value);
    squashfs_xattr_value_head_set_value_bytes(value, (uint32_t)xattr->n_bytes);
    int rc = sqm_meta_put(pairs, name_bytes, sizeof name_bytes, err);
    if (rc == 0)
        rc = sqm_meta_put(pairs, rest, strlen(rest), err);
    if (rc == 0)
        rc = sqm_meta_put(pairs, value_bytes, sizeof value_bytes, err);
    return rc == 0 ? sqm_meta_put(pairs, xattr->value, xattr->n_bytes, err) : rc;
}

int sqm_xattrs_index(struct sqm_image *image, const struct tree_node *node, uint32_t *ret,
                     struct plat_err *err)
{
    struct sqm_xattrs *xattrs = image->xattrs;
    const struct tree_xattrs *set = xattrs != NULL ? tree_xattrs(image->plan->tree, node) : NULL;
    *ret = SQM_NONE;
    if (set == NULL)
        return 0;
    int rc = grow(xattrs, err);
    if (rc != 0)
        return rc;
    const uint64_t hash = hash_of(set);
    const size_t slot = slot_of(xattrs, set, hash);
    if (xattrs->slots[slot] != 0) {
        *ret = xattrs->slots[slot] - 1;
        return 0;
    }
    struct known_set known = {
        .set = set,
        .hash = hash,
        .place = squashfs_reference_with_offset(
            squashfs_reference_with_block(0, (uint32_t)xattrs->pairs.stored), (uint16_t)xattrs->pairs.used)};
    for (size_t i = 0; rc == 0 && i < set->n; i++) {
        known.bytes += (uint32_t)(strlen(set->items[i].name) + 1 + set->items[i].n_bytes);
        rc = pair_put(&xattrs->pairs, &set->items[i], err);
    }
    if (rc != 0)
        return rc;
    xattrs->sets[xattrs->n_sets++] = known;
    xattrs->slots[slot] = (uint32_t)xattrs->n_sets;
    *ret = (uint32_t)xattrs->n_sets - 1;
    return 0;
}

static void id_entry(const struct sqm_image *image, uint64_t i, uint8_t *to)
{
    const struct known_set *known = &image->xattrs->sets[i];
    struct squashfs_xattr_id_mut entry;
    if (!squashfs_xattr_id_edit(to, SQUASHFS_XATTR_ID_BYTES, &entry))
        return;
    squashfs_xattr_id_init(entry);
    squashfs_xattr_id_set_pairs(entry, known->place);
    squashfs_xattr_id_set_count(entry, (uint32_t)known->set->n);
    squashfs_xattr_id_set_size_bytes(entry, known->bytes);
}

int sqm_xattrs_put(struct sqm_image *image, uint64_t *ret_start, struct plat_err *err)
{
    struct sqm_xattrs *xattrs = image->xattrs;
    uint8_t bytes[SQUASHFS_XATTR_HEADER_BYTES];
    struct squashfs_xattr_header_mut header;
    const uint64_t start = image->at;
    if (xattrs == NULL || xattrs->n_sets == 0)
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
    squashfs_xattr_header_set_ids(header, (uint32_t)xattrs->n_sets);
    const struct sqm_table table = {.n = xattrs->n_sets,
                                    .entry_bytes = SQUASHFS_XATTR_ID_BYTES,
                                    .plain = xattrs->pairs.plain,
                                    .entry = id_entry,
                                    .header = bytes,
                                    .header_bytes = sizeof bytes};
    return sqm_table_put(image, &table, ret_start, err);
}
