/* Going through the metadata blocks of a table by their headers, without decompressing any. */
#include <stdlib.h>

#include "formats/squashfs/volume.h"

/* Headers are read through a window, as the blocks are small. */
struct window {
    struct plat_dev *dev;
    uint64_t start;
    size_t n;
    uint8_t bytes[64 * 1024];
};

static int header_at(struct window *window, const struct sq_table *table, uint64_t offset, uint16_t *ret,
                     struct plat_err *err)
{
    struct squashfs_metadata_header header = {NULL};
    if (offset < window->start || offset + SQUASHFS_METADATA_HEADER_BYTES > window->start + window->n) {
        const uint64_t left = table->end - offset;
        window->n = 0;
        const size_t n = left < sizeof window->bytes ? (size_t)left : sizeof window->bytes;
        int rc = dev_read(window->dev, offset, window->bytes, n, err);
        if (rc != 0)
            return rc;
        window->start = offset;
        window->n = n;
    }
    (void)squashfs_metadata_header_view(window->bytes + (offset - window->start),
                                        SQUASHFS_METADATA_HEADER_BYTES, &header);
    *ret = squashfs_metadata_header_size(header);
    return 0;
}

static int add(struct sq_map *map, size_t *cap, uint64_t offset, struct plat_err *err)
{
    if (map->n + 1 >= *cap) {
        const size_t more = *cap == 0 ? 64 : *cap * 2;
        uint64_t *list = reallocarray(map->offsets, more, sizeof *list);
        if (list == NULL)
            return err_nomem(err, "listing metadata blocks");
        map->offsets = list;
        *cap = more;
    }
    map->offsets[map->n] = offset;
    return 0;
}

int sq_map_build(struct volume *vol, enum sq_table_id id, struct sq_map *ret, struct plat_err *err)
{
    const struct sq_table *table = &vol->tables[id];
    struct sq_map map = {.whole = true};
    struct window *window = malloc(sizeof *window);
    size_t cap = 0;
    uint64_t at = table->start;
    int rc = window == NULL ? err_nomem(err, "listing metadata blocks") : 0;
    if (rc == 0) {
        window->dev = vol->dev;
        window->start = window->n = 0;
        rc = add(&map, &cap, at, err);
    }
    while (rc == 0 && at < table->end) {
        uint16_t size = 0;
        if (table->end - at > SQUASHFS_METADATA_HEADER_BYTES)
            rc = header_at(window, table, at, &size, err);
        const uint32_t n = squashfs_metadata_size_bytes(size);
        map.whole = n > 0 && n <= SQ_META_BYTES && n <= table->end - at - SQUASHFS_METADATA_HEADER_BYTES;
        if (rc != 0 || !map.whole)
            break;
        if (map.n == SQ_MAP_BLOCKS)
            rc = err_at(err, PLAT_ELIMIT, at, table->blocks_name,
                        "more than %d metadata blocks in the table of %s", SQ_MAP_BLOCKS, table->stream);
        at += SQUASHFS_METADATA_HEADER_BYTES + n;
        map.n++;
        if (rc == 0)
            rc = add(&map, &cap, at, err);
    }
    free(window);
    if (rc != 0) {
        sq_map_free(&map);
        return rc;
    }
    *ret = map;
    return 0;
}

void sq_map_free(struct sq_map *map)
{
    free(map->offsets);
    *map = (struct sq_map){0};
}

bool sq_map_find(const struct sq_map *map, uint64_t offset, uint64_t *ret)
{
    size_t low = 0, high = map->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (map->offsets[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    *ret = low;
    return low < map->n && map->offsets[low] == offset;
}
