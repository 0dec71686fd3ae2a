/* Everything in an image.
 *
 *     superblock, *_options, *_index[i], xattr_header    instances, from the map of the schema
 *     inode_blocks[i], directory_blocks[i], ...          instances (headers), METADATA (headers and what follows)
 *     inodes[n]                                          in the stream of metadata, by inode number; so are
 *     blocks[n][i], index[n][i]                            what follows inode n,
 *     headers[n][i], names[n][i]                           the listing of directory n,
 *     fragments[i], exports[i], ids[i], xattr_ids[i]       the tables,
 *     xattr_names[i][k], xattr_values[i][k]                and the pairs of set i
 *     xattr_shared[i][k]                                   with the values that stand elsewhere
 *     "/usr/share/x"                                     DATA: its blocks, which equal files share
 *     fragments[i]                                       DATA: ends of files
 *     unknown[i]                                         UNCLAIMED: nothing refers to it
 *     tail                                               UNCLAIMED: behind the filesystem */
#include "formats/squashfs/walk.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what the parts share ---- */

bool sq_wants(const struct sq_walk *walk, const char *path)
{
    return walk->sink->wants == NULL || walk->sink->wants(walk->sink->ctx, path);
}

bool sq_enumerates(const struct sq_walk *walk, uint64_t count)
{
    return walk->sink->instance != NULL && (count <= WALK_BULK_ELEMENTS || walk->sink->elements);
}

int sq_array(struct sq_walk *walk, const char *path, uint64_t count, const char *type_name)
{
    if (walk->sink->array == NULL || !sq_wants(walk, path))
        return 0;
    return walk->sink->array(walk->sink->ctx, path, count,
                             layout_type(walk->vol->fs.image->layout, type_name));
}

int sq_extent(struct sq_walk *walk, enum extent_kind kind, const char *path, struct range place)
{
    if (walk->sink->extent == NULL || place.bytes == 0)
        return 0;
    if (walk->n_owned == walk->cap_owned) {
        const size_t cap = walk->cap_owned == 0 ? 256 : walk->cap_owned * 2;
        struct range *list = reallocarray(walk->owned, cap, sizeof *list);
        if (list == NULL)
            return err_nomem(walk->err, "walking an image");
        walk->owned = list;
        walk->cap_owned = cap;
    }
    walk->owned[walk->n_owned++] = place;
    if (!sq_wants(walk, path))
        return 0;
    const struct extent extent = {.place = place, .kind = kind, .path = path};
    return walk->sink->extent(walk->sink->ctx, &extent);
}

int sq_mark(struct sq_cursor *cursor, struct sq_mark *ret, bool *ret_more, struct plat_err *err)
{
    int rc = sq_more(cursor, ret_more, err);
    if (rc == 0)
        *ret = (struct sq_mark){cursor->block.offset, cursor->at};
    return rc;
}

int sq_instance(struct sq_walk *walk, const struct sq_record *record)
{
    struct image *image = walk->vol->fs.image;
    struct inst inst;
    uint64_t block;
    if (walk->sink->instance == NULL || !sq_wants(walk, record->path))
        return 0;
    if (!sq_map_find(&walk->maps[record->table], record->from.block, &block))
        block =
            0; /* a place between blocks, which the index of a table or a reference made up: check says so */
    struct plat_err why = {0};
    int rc = inst_make(image, layout_type(image->layout, record->type_name), record->bytes, record->n,
                       block * SQ_META_BYTES + record->from.at, record->path, &inst, &why);
    if (rc != 0)
        return sq_damage(walk, record->path, &why);
    inst.index = record->index;
    const uint64_t end = record->to->block.offset + record->to->block.stored_bytes;
    inst.source = (struct inst_source){walk->vol->tables[record->table].stream,
                                       {record->from.block, end - record->from.block}};
    return walk->sink->instance(walk->sink->ctx, &inst);
}

int sq_damage_at(struct sq_walk *walk, const char *path, enum sq_table_id id, const struct sq_mark *mark,
                 const struct plat_err *why)
{
    const struct sq_map *map = &walk->maps[id];
    struct finding finding = {.severity = SEVERITY_ERROR,
                              .id = "unreadable",
                              .path = path,
                              .has_offset = why->has_offset,
                              .offset = why->offset,
                              .text = why->text};
    struct sq_mark from = *mark;
    uint64_t block;
    if (why->class != PLAT_ECORRUPT && why->class != PLAT_EUNSUPPORTED && why->class != PLAT_ELIMIT) {
        if (walk->err != NULL && why->class != 0)
            *walk->err = *why;
        return why->class;
    }
    /* Where the record goes on in another block, that one is meant. */
    if (why->has_offset && why->offset != from.block)
        from = (struct sq_mark){why->offset, 0};
    if (sq_map_find(map, from.block, &block)) {
        finding.has_offset = true;
        finding.offset = from.block;
        finding.bytes = map->offsets[block + 1] - from.block;
        finding.stream = walk->vol->tables[id].stream;
        finding.position = block * SQ_META_BYTES + from.at;
    }
    return walk->sink->findings.fn == NULL ? 0 : walk->sink->findings.fn(walk->sink->findings.ctx, &finding);
}

int sq_damage(struct sq_walk *walk, const char *path, const struct plat_err *why)
{
    return sq_damage_at(walk, path, SQ_INODES, &(struct sq_mark){0}, why);
}

/* ---- the map of the schema, whose extents count as owned ---- */

static bool map_wants(void *ctx, const char *path)
{
    return sq_wants(ctx, path);
}

static int map_array(void *ctx, const char *path, uint64_t count, const struct type *type)
{
    const struct sq_walk *walk = ctx;
    return walk->sink->array(walk->sink->ctx, path, count, type);
}

static int map_instance(void *ctx, const struct inst *inst)
{
    const struct sq_walk *walk = ctx;
    return walk->sink->instance(walk->sink->ctx, inst);
}

static int map_extent(void *ctx, const struct extent *extent)
{
    return sq_extent(ctx, extent->kind, extent->path, extent->place);
}

static int walk_map(struct sq_walk *walk)
{
    const struct walk_sink *outer = walk->sink;
    /* Without `wants` all extents come, and what is not wanted is left out behind that. */
    const struct walk_sink sink = {
        .ctx = walk,
        .elements = outer->elements,
        .wants = outer->extent == NULL && outer->wants != NULL ? map_wants : NULL,
        .array = outer->array != NULL ? map_array : NULL,
        .instance = outer->instance != NULL ? map_instance : NULL,
        .extent = outer->extent != NULL ? map_extent : NULL,
        .findings = outer->findings,
    };
    return image_walk_map(walk->vol->fs.image, &sink, walk->err);
}

/* ---- metadata blocks ---- */

static int walk_block(struct sq_walk *walk, const struct sq_table *table, const struct sq_map *map, size_t i)
{
    uint8_t buf[SQUASHFS_METADATA_HEADER_BYTES];
    char path[SQ_PATH_BYTES];
    struct inst inst;
    const uint64_t offset = map->offsets[i];
    (void)snprintf(path, sizeof path, "%s[%zu]", table->blocks_name, i);
    int rc = sq_extent(walk, EXTENT_METADATA, path, (struct range){offset, map->offsets[i + 1] - offset});
    if (rc != 0 || !sq_enumerates(walk, map->n) || !sq_wants(walk, path))
        return rc;
    rc = dev_read(walk->vol->dev, offset, buf, sizeof buf, walk->err);
    if (rc == 0)
        rc = inst_make(walk->vol->fs.image, layout_type(walk->vol->fs.image->layout, "metadata_header"), buf,
                       sizeof buf, offset, path, &inst, walk->err);
    if (rc != 0)
        return rc;
    inst.index = i;
    return walk->sink->instance(walk->sink->ctx, &inst);
}

static int walk_blocks(struct sq_walk *walk, enum sq_table_id id)
{
    const struct sq_table *table = &walk->vol->tables[id];
    struct sq_map *map = &walk->maps[id];
    struct plat_err why = {0};
    if (table->start >= table->end)
        return 0;
    int rc = sq_map_build(walk->vol, id, map, &why);
    if (rc != 0)
        return sq_damage(walk, table->blocks_name, &why);
    rc = sq_array(walk, table->blocks_name, map->n, "metadata_header");
    for (size_t i = 0; rc == 0 && i < map->n && (walk->sink->extent != NULL || sq_enumerates(walk, map->n));
         i++)
        rc = walk_block(walk, table, map, i);
    return rc;
}

/* ---- what nothing refers to ---- */

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static int walk_rest(struct sq_walk *walk)
{
    const uint64_t size = walk->vol->dev->size_bytes;
    const uint64_t used = walk->vol->sound ? walk->vol->super.bytes_used : size;
    const size_t n = walk->n_owned;
    uint64_t at = 0, k = 0;
    int rc = 0;
    if (walk->sink->extent == NULL)
        return 0;
    if (n > 0)
        qsort(walk->owned, n, sizeof *walk->owned, compare_ranges);
    for (size_t i = 0; rc == 0 && i <= n && at < used; i++) {
        /* The list may move when an extent is added to it. */
        const struct range next = i < n ? walk->owned[i] : (struct range){used, 0};
        const uint64_t start = next.start < used ? next.start : used;
        char path[SQ_PATH_BYTES];
        (void)snprintf(path, sizeof path, "unknown[%llu]", (unsigned long long)k);
        if (start > at) {
            rc = sq_extent(walk, EXTENT_UNCLAIMED, path, (struct range){at, start - at});
            k++;
        }
        if (next.start + next.bytes > at)
            at = next.start + next.bytes;
    }
    at = at > used ? at : used;
    return rc != 0 || at >= size ? rc
                                 : sq_extent(walk, EXTENT_UNCLAIMED, "tail", (struct range){at, size - at});
}

/* ---- all of it ---- */

static int walk_sound(struct sq_walk *walk)
{
    int rc = 0;
    for (unsigned id = 0; rc == 0 && id < SQ_TABLES; id++)
        rc = walk_blocks(walk, (enum sq_table_id)id);
    walk->listing_left = (uint64_t)walk->maps[SQ_DIRECTORIES].n * SQ_META_BYTES;
    walk->pair_left = (uint64_t)walk->maps[SQ_XATTRS].n * SQ_META_BYTES;
    if (rc == 0)
        rc = sq_walk_streams(walk);
    if (rc == 0)
        rc = sq_walk_xattrs(walk);
    return rc != 0 || walk->sink->extent == NULL ? rc : sq_walk_data(walk);
}

int squashfs_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err)
{
    struct sq_walk walk = {.vol = volume_of(fs), .sink = sink, .err = err};
    walk.raw = malloc(sizeof *walk.raw);
    walk.buf = malloc(SQ_TARGET_BYTES + SQUASHFS_SYMLINK_HEAD_BYTES + sizeof(uint32_t));
    int rc = walk.raw == NULL || walk.buf == NULL ? err_nomem(err, "walking an image") : walk_map(&walk);
    if (rc == 0 && walk.vol->sound)
        rc = walk_sound(&walk);
    if (rc == 0)
        rc = walk_rest(&walk);
    for (unsigned id = 0; id < SQ_TABLES; id++)
        sq_map_free(&walk.maps[id]);
    free(walk.owned);
    free(walk.buf);
    free(walk.raw);
    return rc;
}
