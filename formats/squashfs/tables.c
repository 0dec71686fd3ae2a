/* Tables that are read by number: entry i is in metadata block i * size / 8192, whose offset is in a list.
 *
 *     list    offset of block 0, offset of block 1, ...
 *     block   8192 / size entries, but for the last */
#include "formats/squashfs/volume.h"

#include <stdlib.h>

int sq_index_read(struct volume *vol, enum sq_table_id id, uint64_t i, uint64_t *ret, struct plat_err *err)
{
    const struct sq_table *table = &vol->tables[id];
    uint8_t buf[SQUASHFS_BLOCK_POINTER_BYTES];
    struct squashfs_block_pointer v = {NULL};
    if (i >= sq_index_count(table))
        return err_at(err, PLAT_ECORRUPT, table->index_start, table->stream,
                      "block %llu of the %llu of the table of %s", (unsigned long long)i,
                      (unsigned long long)sq_index_count(table), table->stream);
    if (vol->index_list[id] != NULL) {
        *ret = vol->index_list[id][i];
        return 0;
    }
    int rc = dev_read(vol->dev, table->index_start + i * sizeof buf, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_block_pointer_view(buf, sizeof buf, &v);
    *ret = squashfs_block_pointer_block(v);
    return 0;
}

int sq_index_load(struct volume *vol, enum sq_table_id id, struct plat_err *err)
{
    const uint64_t n = sq_index_count(&vol->tables[id]);
    uint64_t *list = calloc((size_t)n, sizeof *list);
    int rc = list == NULL ? err_nomem(err, "opening a SquashFS image") : 0;
    for (uint64_t i = 0; rc == 0 && i < n; i++)
        rc = sq_index_read(vol, id, i, &list[i], err);
    if (rc == 0)
        vol->index_list[id] = list;
    else
        free(list);
    return rc == PLAT_ECORRUPT ? 0 : rc; /* who needs it will be told */
}

int sq_entry_read(struct volume *vol, enum sq_table_id id, uint64_t number, uint8_t *ret,
                  struct plat_err *err)
{
    const struct sq_table *table = &vol->tables[id];
    struct sq_cursor cursor;
    uint64_t offset;
    if (number >= table->entries)
        return err_at(err, PLAT_ECORRUPT, table->start, table->stream, "number %llu in a table of %llu %s",
                      (unsigned long long)number, (unsigned long long)table->entries, table->stream);
    const uint64_t byte = number * table->entry_bytes;
    int rc = sq_index_read(vol, id, byte / SQ_META_BYTES, &offset, err);
    if (rc == 0 && sq_peek(vol, table, offset, (uint32_t)(byte % SQ_META_BYTES), ret, table->entry_bytes))
        return 0;
    if (rc == 0)
        rc = sq_seek(vol, table, offset, (uint32_t)(byte % SQ_META_BYTES), &cursor, err);
    if (rc == 0 && cursor.block.n - cursor.at < table->entry_bytes)
        rc = err_at(err, PLAT_ECORRUPT, offset, table->stream,
                    "a metadata block of %u bytes, decompressed, ends in an entry", cursor.block.n);
    return rc != 0 ? rc : sq_take(&cursor, ret, table->entry_bytes, err);
}

int sq_fragment_read(struct volume *vol, uint32_t number, struct sq_fragment *ret, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_FRAGMENT_ENTRY_BYTES];
    struct squashfs_fragment_entry v = {NULL};
    int rc = sq_entry_read(vol, SQ_FRAGMENTS, number, buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_fragment_entry_view(buf, sizeof buf, &v);
    *ret = (struct sq_fragment){squashfs_fragment_entry_start_block(v), squashfs_fragment_entry_size(v)};
    return 0;
}

/* All of them: 65,535 at most, and every stat wants two. */
int sq_ids_load(struct volume *vol, struct plat_err *err)
{
    uint32_t *list = calloc(vol->super.ids, sizeof *list);
    int rc = list == NULL ? err_nomem(err, "reading ids") : 0;
    for (uint32_t i = 0; rc == 0 && i < vol->super.ids; i++) {
        uint8_t buf[SQUASHFS_ID_ENTRY_BYTES];
        struct squashfs_id_entry v = {NULL};
        rc = sq_entry_read(vol, SQ_IDS, i, buf, err);
        if (rc != 0)
            break;
        (void)squashfs_id_entry_view(buf, sizeof buf, &v);
        list[i] = squashfs_id_entry_id(v);
    }
    if (rc != 0) {
        free(list);
        return rc;
    }
    vol->id_list = list;
    return 0;
}
