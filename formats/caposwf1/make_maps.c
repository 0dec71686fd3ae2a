/* Blocks of extents and of names, and the branches above them: each level is written as it fills, so that a map takes
 * no memory but for one block of each level. What is left at the end, at most 4 entries, is the root in the record. */
#include "formats/caposwf1/plan.h"

struct map {
    struct wf1_make *make;
    uint32_t n[WF1_MAP_MAX_LEVELS + 1];
    struct wf1_entry entries[WF1_MAP_MAX_LEVELS + 1][WF1_ENTRIES]; /* [0]: extents, [1]: above the bottom */
};

/* The block of this level is full or the last: *ret is the branch that names it. */
static int level_put(struct map *map, uint32_t level, struct wf1_entry *ret, struct plat_err *err)
{
    uint8_t bytes[WF1_BLOCK_BYTES];
    struct wf1_pointer at;
    wf1_entries_encode(map->entries[level], map->n[level], bytes);
    int rc = wf1_make_block(map->make, bytes, &at, err);
    if (rc == 0)
        *ret = (struct wf1_entry){map->entries[level][0].key, at.block, map->n[level], at.crc32c};
    map->n[level] = 0;
    return rc;
}

static int map_add(struct map *map, uint32_t level, struct wf1_entry entry, struct plat_err *err)
{
    for (; level <= WF1_MAP_MAX_LEVELS; level++) {
        struct wf1_entry branch;
        const bool full = map->n[level] == WF1_ENTRIES;
        int rc = full ? level_put(map, level, &branch, err) : 0;
        if (rc != 0)
            return rc;
        map->entries[level][map->n[level]++] = entry;
        if (!full)
            return 0;
        entry = branch;
    }
    return err_set(err, PLAT_EBUG, "a map of more than %d levels", WF1_MAP_MAX_LEVELS);
}

static bool is_top(const struct map *map, uint32_t level)
{
    for (uint32_t i = level + 1; i <= WF1_MAP_MAX_LEVELS; i++)
        if (map->n[i] > 0)
            return false;
    return map->n[level] <= WF1_ROOT_ENTRIES;
}

/* Ends a map whose lowest entries are of this level. */
static int map_end(struct map *map, uint32_t level, struct wf1_root *ret, struct plat_err *err)
{
    for (; !is_top(map, level); level++) {
        struct wf1_entry branch;
        int rc = level_put(map, level, &branch, err);
        if (rc == 0)
            rc = map_add(map, level + 1, branch, err);
        if (rc != 0)
            return rc;
    }
    *ret = (struct wf1_root){.levels = level, .n = map->n[level]};
    memcpy(ret->entries, map->entries[level], map->n[level] * sizeof ret->entries[0]);
    return 0;
}

static int file_map(struct wf1_make *make, const struct wf1_item *item, struct wf1_extents_at *at,
                    struct wf1_root *ret, struct plat_err *err)
{
    struct map map = {.make = make};
    const uint64_t windows = wf1_item_windows(item);
    for (uint64_t i = 0; i < windows; i++) {
        const struct wf1_entry extent = wf1_extent_take(make->plan, at, item, i);
        int rc = extent.count > 0 ? map_add(&map, 0, extent, err) : 0;
        if (rc != 0)
            return rc;
    }
    return map_end(&map, 0, ret, err);
}

const enum caposwf1_node_kind wf1_make_kinds[] = {
    [TREE_DIR] = CAPOSWF1_NODE_KIND_DIRECTORY,      [TREE_FILE] = CAPOSWF1_NODE_KIND_FILE,
    [TREE_SYMLINK] = CAPOSWF1_NODE_KIND_SYMLINK,    [TREE_CHAR] = CAPOSWF1_NODE_KIND_CHAR_DEVICE,
    [TREE_BLOCK] = CAPOSWF1_NODE_KIND_BLOCK_DEVICE, [TREE_FIFO] = CAPOSWF1_NODE_KIND_FIFO,
    [TREE_SOCKET] = CAPOSWF1_NODE_KIND_SOCKET,
};

/* A block of names, and what names it. */
static int names_put(struct wf1_make *make, const struct wf1_item *dir, uint32_t from, uint32_t n,
                     struct wf1_entry *ret, struct plat_err *err)
{
    const struct wf1_item *items = make->plan->items;
    uint8_t bytes[WF1_BLOCK_BYTES] = {0};
    struct wf1_pointer at;
    size_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t number = items[dir->first_child + from + i].order;
        const struct tree_node *node = items[number].node;
        const struct wf1_name name = {.hash = items[number].hash,
                                      .node = number,
                                      .kind = wf1_make_kinds[node->kind],
                                      .bytes = (uint32_t)strlen(node->name),
                                      .name = (const uint8_t *)node->name};
        wf1_name_encode(&name, bytes + used);
        used += WF1_NAME_HEAD_BYTES + name.bytes;
    }
    int rc = wf1_make_block(make, bytes, &at, err);
    if (rc == 0)
        *ret = (struct wf1_entry){items[items[dir->first_child + from].order].hash, at.block, n, at.crc32c};
    return rc;
}

static int directory_map(struct wf1_make *make, const struct wf1_item *dir, struct wf1_root *ret,
                         struct plat_err *err)
{
    struct map map = {.make = make};
    for (uint32_t from = 0, n; from < dir->node->n_children; from += n) {
        struct wf1_entry branch;
        n = wf1_names_fit(make->plan, dir, from);
        int rc = names_put(make, dir, from, n, &branch, err);
        if (rc == 0)
            rc = map_add(&map, 1, branch, err);
        if (rc != 0)
            return rc;
    }
    return map_end(&map, 1, ret, err);
}

int wf1_make_maps(struct wf1_make *make, struct plat_err *err)
{
    struct make_plan *plan = make->plan;
    struct wf1_extents_at at = {.block = plan->super.region_first_block};
    uint32_t n_roots = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < plan->n_items; i++) {
        struct wf1_root root = {0};
        rc = file_map(make, &plan->items[i], &at, &root, err);
        if (rc == 0 && root.levels > 0)
            plan->roots[n_roots++] = root;
    }
    for (uint32_t i = 0; rc == 0 && i < plan->n_items; i++)
        if (plan->items[i].node->n_children > 0)
            rc = directory_map(make, &plan->items[i], &plan->roots[n_roots++], err);
    return rc;
}
