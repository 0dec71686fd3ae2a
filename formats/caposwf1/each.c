#include "formats/caposwf1/each.h"

int wf1_each_records(struct wf1_reader *reader, wf1_records_fn *fn, void *ctx, struct plat_err *err)
{
    const struct wf1_super *super = &reader->super;
    const uint64_t n = wf1_nodes_impossible(super) ? 0 : div_up_u64(super->node_count, WF1_RECORDS);
    for (uint64_t i = 0; i < n; i++) {
        uint8_t copy[WF1_BLOCK_BYTES];
        struct wf1_pointer at = {0, 0};
        const uint8_t *bytes = NULL;
        int rc = wf1_radix(reader, super->nodes, super->node_levels, i, &at, err);
        if (rc == 0 && at.block != 0)
            rc = wf1_block(reader, at, &bytes, err);
        if (rc == 0 && bytes != NULL) {
            memcpy(copy, bytes, sizeof copy);
            rc = fn(ctx, i * WF1_RECORDS, copy, (uint64_t)at.block * WF1_BLOCK_BYTES);
            if (rc != 0)
                return rc;
        }
        if (rc != 0 && rc != PLAT_ECORRUPT)
            return rc;
    }
    return 0;
}

struct extents {
    wf1_extent_fn *fn;
    void *ctx;
    uint64_t behind; /* the one before */
    bool disorder;
};

static int extents_pass(struct extents *extents, const struct wf1_entry *list, uint32_t n)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n && !extents->disorder; i++) {
        extents->disorder = list[i].key < extents->behind;
        extents->behind = (uint64_t)list[i].key + list[i].count;
        if (!extents->disorder)
            rc = extents->fn(extents->ctx, &list[i]);
    }
    return rc;
}

int wf1_each_extent(struct wf1_reader *reader, const struct wf1_node *node, wf1_extent_fn *fn, void *ctx,
                    struct plat_err *err)
{
    struct extents extents = {.fn = fn, .ctx = ctx};
    struct wf1_entry list[WF1_ENTRIES];
    struct wf1_cursor cursor;
    if (node->levels == 0)
        return extents_pass(&extents, node->entries, node->n_entries);
    int rc = wf1_cursor_seek(&cursor, reader, node, 0, err);
    while (rc == 0 && !cursor.end && !extents.disorder) {
        const uint8_t *bytes;
        const uint32_t n = cursor.leaf.count;
        if (n > WF1_ENTRIES)
            return 0;
        rc = wf1_block(reader, (struct wf1_pointer){cursor.leaf.block, cursor.leaf.crc32c}, &bytes, err);
        if (rc != 0)
            break;
        wf1_entries_decode(bytes, n, list);
        if (wf1_entries_fault(&reader->super, list, n, true) != NULL)
            return 0;
        if ((rc = extents_pass(&extents, list, n)) != 0)
            return rc;
        rc = wf1_cursor_next(&cursor, err);
    }
    return rc == PLAT_ECORRUPT ? 0 : rc;
}
