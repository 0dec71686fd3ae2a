/* Names of one directory's files: legal ones, no two the same but for case, and an 8.3 name for each. */
#include <stdlib.h>

#include "formats/fat32/names_alias.h"
#include "formats/fat32/plan.h"
#include "lib/hash/hash.h"

enum { SEEN_MIN = 16 };

/* Folded names of the directory at hand, by hash: an open table. */
struct seen {
    uint32_t hash;
    uint32_t item; /* 0: free (item 0 is the root, which is nobody's child) */
};
struct fat32_naming {
    struct fat32_aliases aliases;
    struct seen *seen;
    uint64_t seen_capacity, seen_allocated; /* a power of two */
};

int fat32_naming_open(struct fat32_naming **ret, struct plat_err *err)
{
    struct fat32_naming *naming = calloc(1, sizeof(*naming));
    if (naming == NULL)
        return err_nomem(err, "choosing 8.3 names");
    *ret = naming;
    return 0;
}

void fat32_naming_close(struct fat32_naming *naming)
{
    if (naming == NULL)
        return;
    fat32_aliases_free(&naming->aliases);
    free(naming->seen);
    free(naming);
}

static int seen_begin(struct fat32_naming *naming, uint32_t n, struct plat_err *err)
{
    uint64_t capacity = SEEN_MIN;

    while (capacity * 3 < (uint64_t)n * 4)
        capacity *= 2;
    if (naming->seen_allocated < capacity) {
        struct seen *seen = realloc(naming->seen, capacity * sizeof(*seen));
        if (seen == NULL)
            return err_nomem(err, "comparing names");
        naming->seen = seen;
        naming->seen_allocated = capacity;
    }
    naming->seen_capacity = capacity;
    memset(naming->seen, 0, capacity * sizeof(naming->seen[0]));
    return 0;
}

static bool same_name(const char *a, const char *b)
{
    uint16_t units_a[FAT32_LONG_UNITS_MAX], units_b[FAT32_LONG_UNITS_MAX];
    size_t n = fat32_name_fold(a, units_a);

    return fat32_name_fold(b, units_b) == n && memcmp(units_a, units_b, n * sizeof(units_a[0])) == 0;
}

/* `units` is folded in place. */
static int seen_add(struct fat32_naming *naming, const struct make_plan *plan, uint32_t item, uint16_t *units,
                    size_t n, struct plat_err *err)
{
    const struct tree_node *node = plan->items[item].node;
    uint64_t mask = naming->seen_capacity - 1;

    for (size_t i = 0; i < n; i++)
        units[i] = fat32_unit_fold(units[i]);
    uint32_t hash = (uint32_t)hash_xxh64(units, n * sizeof(units[0]));
    for (uint64_t i = hash;; i++) {
        struct seen *seen = &naming->seen[i & mask];
        if (seen->item == 0) {
            *seen = (struct seen){.hash = hash, .item = item};
            return 0;
        }
        const struct tree_node *other = plan->items[seen->item].node;
        if (seen->hash != hash || !same_name(node->name, other->name))
            continue;
        struct strbuf visible = {0};
        strbuf_visible(&visible, other->name, strlen(other->name));
        err_set(err, PLAT_EINVALID,
                "the directory also has '%.200s', which FAT32 takes for the same name, because it "
                "ignores case; rename one of them",
                strbuf_str(&visible));
        strbuf_free(&visible);
        return PLAT_EINVALID;
    }
}

/* Legal and unique? Then the item gets its basis as 8.3 name. */
static int name_check(struct fat32_naming *naming, struct make_plan *plan, uint32_t index,
                      struct plat_err *err)
{
    struct fat32_item *item = &plan->items[index];
    uint16_t units[FAT32_LONG_UNITS_MAX];
    size_t n = 0;

    int r = fat32_name_to_units(item->node->name, units, &n, err);
    if (r == 0) {
        struct fat32_basis basis = fat32_basis_make(units, n);
        memcpy(item->short_name, basis.short_name, sizeof(item->short_name));
        item->name_case = basis.name_case;
        item->slots = basis.needs_long ? (uint8_t)(1 + div_up_u64(n, FAT32_LONG_UNITS_EACH)) : 1;
        item->needs_tail = basis.needs_tail;
        r = seen_add(naming, plan, index, units, n, err);
    }
    if (r < 0)
        fat32_plan_err(err, item->node);
    return r;
}

int fat32_naming_directory(struct fat32_naming *naming, struct make_plan *plan, uint32_t index,
                           struct plat_err *err)
{
    uint32_t first = plan->items[index].first_child, n = plan->items[index].node->n_children;
    bool tails = false;

    if (n > FAT32_DIR_MAX_SLOTS) {
        err_set(
            err, PLAT_EINVALID,
            "%u names are too many for a directory of FAT32, which has room for %d; spread them over several",
            n, FAT32_DIR_MAX_SLOTS);
        fat32_plan_err(err, plan->items[index].node);
        return PLAT_EINVALID;
    }
    int r = seen_begin(naming, n, err);
    for (uint32_t i = first; r == 0 && i < first + n; i++) {
        r = name_check(naming, plan, i, err);
        tails = tails || plan->items[i].needs_tail;
    }
    if (r < 0 || !tails)
        return r;

    /* 8.3 names that are a file's own come first, so that no alias can take one away. A basis without loss is
     * its own upper-cased name, so two of these differ as their names do. */
    r = fat32_aliases_begin(&naming->aliases, n, err);
    for (uint32_t i = first; r == 0 && i < first + n; i++)
        if (!plan->items[i].needs_tail)
            fat32_aliases_add(&naming->aliases, plan->items[i].short_name);
    for (uint32_t i = first; r == 0 && i < first + n; i++) {
        if (!plan->items[i].needs_tail)
            continue;
        r = fat32_aliases_tail(&naming->aliases, plan->items[i].short_name, err);
        if (r < 0)
            fat32_plan_err(err, plan->items[i].node);
    }
    return r;
}
