/* B+trees below a record: bottom blocks are exchanged, and what names them follows, up to the record. */
#include "formats/caposwf1/writer.h"

/* What stands in the place of one entry, one level further up. */
struct spliced {
    uint32_t n;
    struct wf1_entry entries[WF1_LEAF_MAX];
};
enum { SPLICED_MAX = WF1_ENTRIES + WF1_LEAF_MAX };

/* New bottom blocks; the first takes the place of `old` (block 0: there was none). */
static int leaves_stage(struct wf1_writer *writer, const struct wf1_entry *old,
                        const struct wf1_leaves *leaves, struct spliced *ret, struct plat_err *err)
{
    struct wf1_staged *staged;
    ret->n = 0;
    for (uint32_t i = 0; i < leaves->n; i++) {
        const struct wf1_leaf *leaf = &leaves->leaf[i];
        int rc = i == 0 && old->block != 0
                     ? wf1_shadow(writer, (struct wf1_pointer){old->block, old->crc32c}, &staged, err)
                     : wf1_stage_new(writer, &staged, err);
        if (rc != 0)
            return rc;
        memcpy(staged->bytes, leaf->bytes, WF1_BLOCK_BYTES);
        /* The first key of all may be lower than the branch said. */
        const uint32_t key = i == 0 && old->block != 0 && old->key < leaf->key ? old->key : leaf->key;
        ret->entries[ret->n++] = (struct wf1_entry){key, staged->block, leaf->count, 0};
    }
    return leaves->n == 0 ? wf1_stage_drop(writer, old->block, err) : 0;
}

/* `with` in the place of entry `index`; *n grows or shrinks. */
static void splice(struct wf1_entry *entries, uint32_t *n, uint32_t index, const struct spliced *with)
{
    memmove(entries + index + with->n, entries + index + 1, (*n - index - 1) * sizeof *entries);
    memcpy(entries + index, with->entries, with->n * sizeof *entries);
    *n += with->n;
    *n -= 1;
}

/* A block of branches after the exchange: it, two of them, or none. */
static int branches_stage(struct wf1_writer *writer, struct wf1_pointer at, uint32_t index, uint32_t count,
                          struct spliced *with, struct plat_err *err)
{
    struct wf1_entry entries[SPLICED_MAX];
    struct wf1_staged *staged;
    const uint8_t *bytes;
    uint32_t n = count, done = 0;
    int rc = wf1_block(&writer->vol->reader, at, &bytes, err);
    if (rc != 0)
        return rc;
    wf1_entries_decode(bytes, count, entries);
    splice(entries, &n, index, with);
    with->n = 0;
    if (n == 0)
        return wf1_stage_drop(writer, at.block, err);
    /* What grows at its end is filled up, what grows elsewhere is halved. */
    const uint32_t first = n <= WF1_ENTRIES ? n : index + 1 == count ? WF1_ENTRIES : n / 2;
    for (uint32_t take = first; done < n; take = n - done) {
        rc = done == 0 ? wf1_shadow(writer, at, &staged, err) : wf1_stage_new(writer, &staged, err);
        if (rc != 0)
            return rc;
        wf1_entries_encode(entries + done, take, staged->bytes);
        with->entries[with->n++] = (struct wf1_entry){entries[done].key, staged->block, take, 0};
        done += take;
    }
    return 0;
}

/* The record with entries that may be more than it has room for. */
static int root_set(struct wf1_writer *writer, struct wf1_node *node, const struct wf1_entry *entries,
                    uint32_t n, struct plat_err *err)
{
    memset(node->entries, 0, sizeof node->entries);
    if (n <= WF1_ROOT_ENTRIES) {
        memcpy(node->entries, entries, n * sizeof *entries);
        node->n_entries = n;
        if (n == 0)
            node->levels = 0;
        return 0;
    }
    struct wf1_staged *staged;
    if (node->levels == WF1_MAP_MAX_LEVELS)
        return err_set(err, PLAT_ELIMIT, "the map of a node has more than %d levels", WF1_MAP_MAX_LEVELS);
    int rc = wf1_stage_new(writer, &staged, err);
    if (rc != 0)
        return rc;
    wf1_entries_encode(entries, n, staged->bytes);
    node->entries[0] = (struct wf1_entry){entries[0].key, staged->block, n, 0};
    node->n_entries = 1;
    node->levels++;
    return 0;
}

int wf1_map_replace(struct wf1_writer *writer, struct wf1_node *node, const struct wf1_cursor *cursor,
                    const struct wf1_leaves *leaves, struct plat_err *err)
{
    struct wf1_entry entries[WF1_ROOT_ENTRIES + WF1_LEAF_MAX];
    struct spliced with;
    uint32_t n = node->n_entries;
    int rc = leaves_stage(writer, &cursor->leaf, leaves, &with, err);
    for (uint32_t depth = cursor->levels; rc == 0 && depth-- > 1;)
        rc = branches_stage(writer, cursor->path[depth].at, cursor->path[depth].index,
                            cursor->path[depth].count, &with, err);
    if (rc != 0)
        return rc;
    memcpy(entries, node->entries, sizeof node->entries);
    splice(entries, &n, cursor->path[0].index, &with);
    return root_set(writer, node, entries, n, err);
}

int wf1_map_begin(struct wf1_writer *writer, struct wf1_node *node, const struct wf1_leaves *leaves,
                  struct plat_err *err)
{
    const struct wf1_entry none = {0};
    struct spliced with;
    int rc = leaves_stage(writer, &none, leaves, &with, err);
    if (rc != 0)
        return rc;
    node->levels = 1;
    return root_set(writer, node, with.entries, with.n, err);
}

/* ---- extents ---- */

/* Bottom blocks for n extents. at_end: they go on growing behind. */
static void extents_pack(const struct wf1_entry *extents, uint32_t n, bool at_end, struct wf1_leaves *ret)
{
    const uint32_t blocks = (uint32_t)div_up_u64(n, WF1_ENTRIES);
    ret->n = 0;
    for (uint32_t done = 0, take; done < n; done += take) {
        const uint32_t left = n - done;
        take = at_end ? WF1_ENTRIES : (uint32_t)div_up_u64(left, blocks - ret->n);
        if (take > left)
            take = left;
        struct wf1_leaf *leaf = &ret->leaf[ret->n++];
        leaf->key = extents[done].key;
        leaf->count = take;
        wf1_entries_encode(extents + done, take, leaf->bytes);
    }
}

/* The extents of the bottom block at the cursor, without those in [from, to). */
static int leaf_without(struct wf1_cursor *cursor, uint64_t from, uint64_t to, struct wf1_entry *ret,
                        uint32_t *ret_n, uint32_t *ret_before, struct plat_err *err)
{
    struct wf1_entry extents[WF1_ENTRIES];
    const uint8_t *bytes;
    const uint32_t count = cursor->leaf.count;
    uint32_t n = 0, before = 0;
    int rc =
        wf1_block(cursor->reader, (struct wf1_pointer){cursor->leaf.block, cursor->leaf.crc32c}, &bytes, err);
    if (rc != 0)
        return rc;
    if (count > WF1_ENTRIES)
        return err_set(err, PLAT_ECORRUPT, "block %u has more extents than fit; run plat verify",
                       cursor->leaf.block);
    wf1_entries_decode(bytes, count, extents);
    for (uint32_t i = 0; i < count; i++) {
        if (extents[i].key >= from && extents[i].key < to)
            continue;
        before += extents[i].key < from;
        ret[n++] = extents[i];
    }
    *ret_n = n;
    *ret_before = before;
    return 0;
}

static uint32_t seek_key(uint64_t block)
{
    /* The last block whose first key is not higher. */
    return block >= UINT32_MAX ? UINT32_MAX : (uint32_t)block + 1;
}

/* Takes the extents in [from, to) out of all bottom blocks but the one that `from` belongs to. */
static int later_leaves_clear(struct wf1_writer *writer, struct wf1_node *node, uint64_t from, uint64_t to,
                              struct plat_err *err)
{
    for (;;) {
        struct wf1_entry kept[WF1_ENTRIES];
        struct wf1_leaves leaves;
        struct wf1_cursor cursor;
        uint32_t n, before;
        int rc = wf1_cursor_seek(&cursor, &writer->vol->reader, node, seek_key(from), err);
        if (rc == 0 && !cursor.end)
            rc = wf1_cursor_next(&cursor, err);
        if (rc != 0 || cursor.end || cursor.leaf.key >= to)
            return rc;
        rc = leaf_without(&cursor, from, to, kept, &n, &before, err);
        if (rc != 0)
            return rc;
        if (n == cursor.leaf.count)
            return 0;
        extents_pack(kept, n, false, &leaves);
        /* What is left begins behind `to`: its branch must not say less, or it is found again. */
        if (n > 0)
            cursor.leaf.key = kept[0].key;
        rc = wf1_map_replace(writer, node, &cursor, &leaves, err);
        if (rc != 0)
            return rc;
    }
}

/* Extents [0, n) of a map without blocks, or blocks for them. */
static int inline_set(struct wf1_writer *writer, struct wf1_node *node, const struct wf1_entry *extents,
                      uint32_t n, struct plat_err *err)
{
    struct wf1_leaves leaves;
    memset(node->entries, 0, sizeof node->entries);
    node->n_entries = 0;
    if (n > WF1_ROOT_ENTRIES) {
        extents_pack(extents, n, false, &leaves);
        return wf1_map_begin(writer, node, &leaves, err);
    }
    memcpy(node->entries, extents, n * sizeof *extents);
    node->n_entries = n;
    return 0;
}

/* n extents in the place of those in [from, to). */
static int map_exchange(struct wf1_writer *writer, struct wf1_node *node, uint64_t from, uint64_t to,
                        const struct wf1_entry *extents, uint32_t n, struct plat_err *err)
{
    struct wf1_entry all[WF1_ENTRIES + WF1_EXTENT_BLOCKS];
    struct wf1_leaves leaves;
    struct wf1_cursor cursor;
    uint32_t kept = 0, before = 0;
    if (node->levels == 0) {
        for (uint32_t i = 0; i < node->n_entries; i++) {
            if (node->entries[i].key >= from && node->entries[i].key < to)
                continue;
            before += node->entries[i].key < from;
            all[kept++] = node->entries[i];
        }
    } else {
        int rc = later_leaves_clear(writer, node, from, to, err);
        if (rc == 0)
            rc = wf1_cursor_seek(&cursor, &writer->vol->reader, node, seek_key(from), err);
        if (rc == 0)
            rc = leaf_without(&cursor, from, to, all, &kept, &before, err);
        if (rc != 0)
            return rc;
    }
    memmove(all + before + n, all + before, (kept - before) * sizeof *all);
    for (uint32_t i = 0; i < n; i++)
        all[before + i] = extents[i];
    if (node->levels == 0)
        return inline_set(writer, node, all, kept + n, err);
    extents_pack(all, kept + n, before == kept, &leaves);
    return wf1_map_replace(writer, node, &cursor, &leaves, err);
}

int wf1_map_window(struct wf1_writer *writer, struct wf1_node *node, uint32_t first,
                   const struct wf1_entry *extents, uint32_t n, struct plat_err *err)
{
    return map_exchange(writer, node, first, (uint64_t)first + WF1_EXTENT_BLOCKS, extents, n, err);
}

/* ---- giving back ---- */

static int extents_give(struct wf1_writer *writer, const struct wf1_entry *extents, uint32_t n, uint64_t from,
                        struct plat_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        if (extents[i].key >= from)
            rc = wf1_give(writer, extents[i].block, extents[i].count, err);
    return rc;
}

int wf1_map_cut(struct wf1_writer *writer, struct wf1_node *node, uint64_t first, struct plat_err *err)
{
    if (first > UINT32_MAX)
        return 0;
    if (node->levels == 0) {
        int rc = extents_give(writer, node->entries, node->n_entries, first, err);
        return rc == 0 ? map_exchange(writer, node, first, UINT64_MAX, NULL, 0, err) : rc;
    }
    struct wf1_cursor cursor;
    int rc = wf1_cursor_seek(&cursor, &writer->vol->reader, node, seek_key(first), err);
    while (rc == 0 && !cursor.end) {
        struct wf1_entry extents[WF1_ENTRIES];
        const uint8_t *bytes;
        const struct wf1_entry leaf = cursor.leaf;
        rc = wf1_block(cursor.reader, (struct wf1_pointer){leaf.block, leaf.crc32c}, &bytes, err);
        if (rc != 0)
            break;
        wf1_entries_decode(bytes, leaf.count < WF1_ENTRIES ? leaf.count : WF1_ENTRIES, extents);
        rc = extents_give(writer, extents, leaf.count < WF1_ENTRIES ? leaf.count : WF1_ENTRIES, first, err);
        if (rc == 0)
            rc = wf1_cursor_next(&cursor, err);
        /* A map that runs in circles has an end here, too. */
        if (rc == 0 && !cursor.end && cursor.leaf.key <= leaf.key)
            rc = err_set(err, PLAT_ECORRUPT,
                         "block %u: its extents do not lie behind those before; run plat verify",
                         cursor.leaf.block);
    }
    return rc == 0 ? map_exchange(writer, node, first, UINT64_MAX, NULL, 0, err) : rc;
}

/* A block of a map and all below it; levels: of blocks from here down. */
static int tree_free(struct wf1_writer *writer, const struct wf1_entry *entry, uint32_t levels, bool names,
                     struct plat_err *err)
{
    struct wf1_entry entries[WF1_ENTRIES];
    const uint8_t *bytes;
    int rc = 0;
    if (levels > 1 || !names) {
        rc = wf1_block(&writer->vol->reader, (struct wf1_pointer){entry->block, entry->crc32c}, &bytes, err);
        if (rc != 0)
            return rc;
        const uint32_t n = entry->count < WF1_ENTRIES ? entry->count : WF1_ENTRIES;
        wf1_entries_decode(bytes, n, entries);
        if (levels == 1)
            rc = extents_give(writer, entries, n, 0, err);
        for (uint32_t i = 0; rc == 0 && levels > 1 && i < n; i++)
            rc = tree_free(writer, &entries[i], levels - 1, names, err);
    }
    return rc == 0 ? wf1_stage_drop(writer, entry->block, err) : rc;
}

int wf1_map_free(struct wf1_writer *writer, struct wf1_node *node, struct plat_err *err)
{
    const bool names = node->kind == CAPOSWF1_NODE_KIND_DIRECTORY;
    int rc = node->levels == 0 ? extents_give(writer, node->entries, node->n_entries, 0, err) : 0;
    for (uint32_t i = 0; rc == 0 && node->levels > 0 && i < node->n_entries; i++)
        rc = tree_free(writer, &node->entries[i], node->levels, names, err);
    memset(node->entries, 0, sizeof node->entries);
    node->n_entries = 0;
    node->levels = 0;
    return rc;
}
