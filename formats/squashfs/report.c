/* Findings in metadata have two addresses: the block in the image, and the position in what it decompresses to. */
#include "formats/squashfs/check.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const refusers[][4] = {
    [SQ_BY_LINUX] = {"linux"},
    [SQ_BY_UNSQUASHFS] = {"unsquashfs"},
    [SQ_BY_LINUX | SQ_BY_UNSQUASHFS] = {"linux", "unsquashfs"},
    [SQ_BY_RDSQUASHFS] = {"rdsquashfs"},
    [SQ_BY_LINUX | SQ_BY_RDSQUASHFS] = {"linux", "rdsquashfs"},
    [SQ_BY_UNSQUASHFS | SQ_BY_RDSQUASHFS] = {"unsquashfs", "rdsquashfs"},
    [SQ_BY_ALL] = {"linux", "unsquashfs", "rdsquashfs"},
};

struct sq_where sq_where_image(uint64_t offset)
{
    return (struct sq_where){.offset = offset};
}

struct sq_where sq_where_block(const struct sq_check *check, enum sq_table_id id, uint64_t offset,
                               uint32_t at)
{
    const struct sq_map *map = &check->maps[id];
    struct sq_where where = {.offset = offset};
    uint64_t block;
    if (sq_map_find(map, offset, &block)) {
        where.stream = check->vol->tables[id].stream;
        where.position = block * SQ_META_BYTES + at;
        where.bytes = (uint32_t)(map->offsets[block + 1] - offset);
    }
    return where;
}

struct sq_where sq_where_ref(const struct sq_check *check, enum sq_table_id id, uint64_t ref)
{
    return sq_where_block(check, id, check->vol->tables[id].start + squashfs_reference_block(ref),
                          squashfs_reference_offset(ref));
}

struct sq_where sq_where_position(const struct sq_check *check, enum sq_table_id id, uint64_t position)
{
    const struct sq_map *map = &check->maps[id];
    const uint64_t block = position / SQ_META_BYTES;
    if (block >= map->n)
        return sq_where_image(check->vol->tables[id].start);
    return sq_where_block(check, id, map->offsets[block], (uint32_t)(position % SQ_META_BYTES));
}

struct sq_where sq_where_entry(const struct sq_check *check, enum sq_table_id id, uint64_t number)
{
    return sq_where_position(check, id, number * check->vol->tables[id].entry_bytes);
}

int sq_fault(struct sq_check *check, const struct sq_fault *fault, const char *fmt, ...)
{
    char text[PLAT_ERR_TEXT_MAX];
    va_list ap;
    if (check->sink == NULL || check->sink->fn == NULL)
        return 0;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const struct finding finding = {.severity = fault->severity,
                                    .id = fault->id,
                                    .path = fault->path,
                                    .has_offset = true,
                                    .offset = fault->where.offset,
                                    .bytes = fault->where.bytes,
                                    .stream = fault->where.stream,
                                    .position = fault->where.position,
                                    .text = text,
                                    .refused_by = fault->refused != 0 ? refusers[fault->refused] : NULL};
    return check->sink->fn(check->sink->ctx, &finding);
}
