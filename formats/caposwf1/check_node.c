/* Records by themselves, their maps down to extents and names, and the order of all that. */
#include "formats/caposwf1/check.h"

/* One map, while it is gone through from its first key to its last. */
struct map {
    uint32_t number;
    const struct wf1_node *node;
    bool any, incomplete;
    uint32_t last_key; /* of an extent its last block */
    uint64_t names;
    struct wf1_name last; /* name: in `text` */
    uint8_t text[WF1_NAME_MAX_BYTES];
};

static bool is_directory(const struct map *map)
{
    return map->node->kind == CAPOSWF1_NODE_KIND_DIRECTORY;
}

static int report_at(struct check *check, const char *id, const char *array, uint64_t number, uint64_t offset,
                     const char *text)
{
    const struct wf1_where where = wf1_where(array, number);
    return finding_report(check->sink, SEVERITY_ERROR, id, wf1_where_text(check, &where), &offset, NULL, "%s",
                          text);
}

/* ---- extents ---- */

static int check_extent(struct check *check, struct map *map, const struct wf1_entry *extent, uint32_t low,
                        uint64_t offset)
{
    const struct wf1_where where = wf1_where("maps", map->number);
    const uint64_t blocks = wf1_blocks_of(map->node->size_bytes), end = (uint64_t)extent->key + extent->count;
    bool again;
    int rc = 0;
    if (extent->key < low || (map->any && extent->key <= map->last_key))
        rc = finding_report(check->sink, SEVERITY_ERROR, "wf1-order", wf1_where_text(check, &where), &offset,
                            NULL, "expected an extent behind block %u of the file, found one at block %u",
                            map->any ? map->last_key : low, extent->key);
    if (rc == 0 && end > blocks)
        rc = finding_report(check->sink, SEVERITY_ERROR, "wf1-behind-end", wf1_where_text(check, &where),
                            &offset, NULL,
                            "expected no more than the %llu blocks that the file has, found an extent to "
                            "block %llu",
                            (unsigned long long)blocks, (unsigned long long)end);
    map->any = true;
    map->last_key = (uint32_t)(end - 1);
    return rc != 0 ? rc : wf1_check_claim(check, extent->block, extent->count, &where, &again);
}

/* ---- names ---- */

static int check_name(struct check *check, struct map *map, const struct wf1_name *name, uint32_t low,
                      uint64_t offset)
{
    const struct wf1_where where = {"names", true, true, map->number, map->names};
    const char *fault = wf1_name_fault(name->name, name->bytes);
    const uint32_t hash = wf1_name_hash(name->name, name->bytes);
    int rc = 0;
    if (fault != NULL)
        rc = finding_report(
            check->sink, SEVERITY_ERROR, "wf1-name", wf1_where_text(check, &where), &offset, NULL,
            "expected a name that a directory can hold, found one that breaks a rule: %s", fault);
    if (rc == 0 && hash != name->hash)
        rc = finding_report(check->sink, SEVERITY_ERROR, "wf1-hash", wf1_where_text(check, &where), &offset,
                            NULL, "expected 0x%08x, the hash of the name, found 0x%08x", hash, name->hash);
    if (rc == 0 && (name->hash < low || (map->any && wf1_name_compare(&map->last, name) >= 0)))
        rc = finding_report(check->sink, SEVERITY_ERROR, "wf1-order", wf1_where_text(check, &where), &offset,
                            NULL,
                            "expected a name behind the one before it, and a hash of at least 0x%08x; found "
                            "hash 0x%08x: who searches will not find it",
                            low, name->hash);
    map->any = true;
    map->names++;
    map->last_key = name->hash;
    map->last = *name;
    memcpy(map->text, name->name, name->bytes);
    map->last.name = map->text;
    if (rc != 0)
        return rc;
    if (name->kind == CAPOSWF1_NODE_KIND_FREE || name->kind > CAPOSWF1_NODE_KIND_SOCKET) {
        check->incomplete = true;
        return finding_report(check->sink, SEVERITY_ERROR, "wf1-kind", wf1_where_text(check, &where), &offset,
                              NULL, "expected the kind of a node in use, found %u", (unsigned)name->kind);
    }
    return wf1_link_name(check, map->number, name, offset, &where);
}

static int check_names_block(struct check *check, struct map *map, const struct wf1_entry *branch,
                             const uint8_t *bytes, uint32_t low)
{
    const uint64_t offset = (uint64_t)branch->block * WF1_BLOCK_BYTES;
    uint8_t copy[WF1_BLOCK_BYTES];
    uint32_t at = 0;
    memcpy(copy, bytes, sizeof copy);
    for (uint32_t i = 0; i < branch->count; i++) {
        struct wf1_name name;
        const uint32_t start = at;
        if (!wf1_name_decode(copy, &at, &name)) {
            check->incomplete = map->incomplete = true;
            return report_at(check, "wf1-names", "names", map->number, offset + start,
                             "expected as many names as the branch says, found that they do not fit in the "
                             "block");
        }
        int rc = check_name(check, map, &name, low, offset + start);
        if (rc != 0)
            return rc;
    }
    return bytes_all(copy + at, WF1_BLOCK_BYTES - at, 0)
               ? 0
               : report_at(check, "wf1-padding", "names", map->number, offset + at,
                           "expected zeros behind the last name of the block, found other bytes");
}

/* ---- maps ---- */

static int check_entries(struct check *check, struct map *map, const struct wf1_entry *entries, uint32_t n,
                         uint32_t level, uint32_t low, uint64_t offset);

/* A block of extents or branches. */
static int check_map_block(struct check *check, struct map *map, const struct wf1_entry *branch,
                           const uint8_t *bytes, uint32_t level, uint32_t low)
{
    const uint64_t offset = (uint64_t)branch->block * WF1_BLOCK_BYTES;
    struct wf1_entry entries[WF1_ENTRIES];
    const char *fault = "more entries than fit";
    if (branch->count <= WF1_ENTRIES) {
        wf1_entries_decode(bytes, branch->count, entries);
        fault = wf1_entries_fault(&check->reader->super, entries, branch->count, level == 0);
    }
    if (fault != NULL) {
        check->incomplete = map->incomplete = true;
        return report_at(check, "wf1-map", "maps", map->number, offset, fault);
    }
    const size_t used = branch->count * (size_t)CAPOSWF1_BRANCH_BYTES;
    int rc = 0;
    if (!bytes_all(bytes + used, WF1_BLOCK_BYTES - used, 0))
        rc = report_at(check, "wf1-padding", "maps", map->number, offset + used,
                       "expected zeros behind the last entry of the block, found other bytes");
    return rc != 0 ? rc : check_entries(check, map, entries, branch->count, level, low, offset);
}

/* No key below a branch is lower than its own, and none before it is higher (for names: as hashes may be equal). */
static int check_branch(struct check *check, struct map *map, const struct wf1_entry *branch, uint32_t level,
                        uint32_t low, uint64_t offset)
{
    const struct wf1_where where = wf1_where("maps", map->number);
    const uint8_t *bytes;
    int rc = 0;
    if (branch->key < low ||
        (map->any && (branch->key < map->last_key || (branch->key == map->last_key && !is_directory(map)))))
        rc = finding_report(check->sink, SEVERITY_ERROR, "wf1-order", wf1_where_text(check, &where), &offset,
                            NULL, "expected a key of at least 0x%08x and behind 0x%08x, found 0x%08x", low,
                            map->any ? map->last_key : 0, branch->key);
    if (rc == 0)
        rc = wf1_check_block(check, (struct wf1_pointer){branch->block, branch->crc32c}, &where, &bytes);
    if (rc != 0)
        return rc;
    if (bytes == NULL) {
        map->incomplete = true;
        return 0;
    }
    if (level == 1 && is_directory(map))
        return check_names_block(check, map, branch, bytes, branch->key);
    return check_map_block(check, map, branch, bytes, level - 1, branch->key);
}

/* Level 0: extents; else branches, level - 1 levels of branches being below theirs. No deeper than 12. */
static int check_entries(struct check *check, struct map *map, const struct wf1_entry *entries, uint32_t n,
                         uint32_t level, uint32_t low, uint64_t offset)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        const uint64_t at = offset + i * (uint64_t)CAPOSWF1_BRANCH_BYTES;
        rc = level == 0 ? check_extent(check, map, &entries[i], low, at)
                        : check_branch(check, map, &entries[i], level, low, at);
    }
    return rc;
}

/* ---- symbolic links ---- */

/* A target that scrub will find damaged is not looked into. */
static int check_target(struct check *check, uint64_t number, const struct wf1_node *node, uint64_t offset)
{
    char target[WF1_TARGET_MAX_BYTES];
    struct plat_err why;
    size_t n = 0;
    if (node->kind != CAPOSWF1_NODE_KIND_SYMLINK)
        return 0;
    why.class = PLAT_OK;
    int rc = wf1_read(check->reader, node, 0, target, sizeof target, &n, &why);
    if (rc == PLAT_ECORRUPT)
        return 0;
    if (rc != 0) {
        if (check->err != NULL)
            *check->err = why;
        return rc;
    }
    return memchr(target, '\0', n) == NULL
               ? 0
               : report_at(check, "wf1-target", "nodes", number, offset,
                           "expected a target without NUL, found one (or a hole) in it");
}

/* ---- records ---- */

static bool is_mapped(const struct wf1_node *node)
{
    return node->kind == CAPOSWF1_NODE_KIND_DIRECTORY || node->kind == CAPOSWF1_NODE_KIND_FILE ||
           node->kind == CAPOSWF1_NODE_KIND_SYMLINK;
}

static int check_map(struct check *check, uint64_t number, const struct wf1_node *node, uint64_t offset)
{
    struct map map = {.number = (uint32_t)number, .node = node};
    const uint64_t entries = offset + CAPOSWF1_EXTENT_NODE_EXTENTS_OFFSET;
    int rc = check_entries(check, &map, node->entries, node->n_entries, node->levels, 0, entries);
    if (rc != 0 || map.incomplete)
        return rc;
    if (!is_directory(&map))
        return check_target(check, number, node, offset);
    if (map.names == node->size_bytes)
        return 0;
    const struct wf1_where where = wf1_where("nodes", number);
    return finding_report(check->sink, SEVERITY_ERROR, "wf1-names", wf1_where_text(check, &where), &offset,
                          NULL, "expected %llu, the number of names in the directory; found %llu",
                          (unsigned long long)map.names, (unsigned long long)node->size_bytes);
}

int wf1_check_record(struct check *check, uint64_t number, const uint8_t *record, uint64_t offset)
{
    uint8_t again[CAPOSWF1_PLAIN_NODE_BYTES];
    struct wf1_node node;
    wf1_node_decode(record, &node);
    const char *fault = wf1_node_fault(&check->reader->super, &node);
    if (fault == NULL && number == WF1_ROOT_NODE &&
        (node.kind != CAPOSWF1_NODE_KIND_DIRECTORY || node.parent != WF1_ROOT_NODE))
        fault = "the root is a directory, and its own parent";
    if (fault != NULL) {
        check->incomplete = true;
        return report_at(check, "wf1-node", "nodes", number, offset, fault);
    }
    wf1_node_encode(&node, again);
    int rc = 0;
    if (memcmp(again, record, sizeof again) != 0)
        rc = report_at(check, "wf1-reserved", "nodes", number, offset,
                       "expected zeros in what a record of this kind does not use, found other bytes");
    if (rc == 0)
        rc = wf1_link_record(check, number, &node, offset);
    return rc == 0 && is_mapped(&node) ? check_map(check, number, &node, offset) : rc;
}
