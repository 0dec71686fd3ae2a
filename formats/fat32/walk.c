/* Everything in a volume, each byte once.
 *
 *     instances                     extents
 *     boot, fsinfo, fat[i], ...     METADATA                            from the map of the schema
 *                                   PADDING  "reserved"                 reserved sectors without a structure
 *                                   PADDING  "fat"                      behind the last entry of each FAT
 *     dir["/EFI"][3], ...           METADATA dir["/EFI"], PADDING       behind its end mark
 *                                   DATA     "/EFI/BOOT/BOOTX64.EFI"    one for each run of clusters
 *                                   PADDING  "/EFI/BOOT/BOOTX64.EFI"    behind the end of the file
 *                                   FREE     "free"
 *                                   PADDING  "bad"                      bad clusters
 *                                   UNCLAIMED "lost", "tail"            clusters of nobody, the rest
 *
 * On a damaged volume a shared cluster goes to whoever comes first. What is wrong with chains is told by
 * check(). */
#include "formats/fat32/volume.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLOT_BYTES = FAT32_SHORT_ENTRY_BYTES, MAX_PLACES = 32, ENTRY_BYTES = FAT32_FAT_ENTRY_BYTES };

struct walk {
    struct volume *vol;
    const struct walk_sink *sink;
    const struct type *slot_type;
    struct cluster_set used;
    struct strbuf dir_path;
    struct strbuf path;
    struct dir_entry entry;
    uint64_t position; /* of the next extent in its file */
    struct plat_err *err;
};

static bool wanted(const struct walk_sink *sink, const char *path)
{
    return sink->wants == NULL || sink->wants(sink->ctx, path);
}

/* Hands on what of the range lies on the device. */
static int emit(struct walk *walk, enum extent_kind kind, const char *path, struct range place)
{
    uint64_t size_bytes = walk->vol->fs.dev->size_bytes;
    if (place.start >= size_bytes || place.bytes == 0)
        return 0;
    if (place.bytes > size_bytes - place.start)
        place.bytes = size_bytes - place.start;
    struct extent extent = {.place = place, .kind = kind, .path = path, .position = walk->position};
    return walk->sink->extent(walk->sink->ctx, &extent);
}

/* ---- between the structures of the map ---- */

struct places {
    struct range range[MAX_PLACES];
    size_t n;
};

/* Where the map's structures lie, in ascending order. */
static void places_gather(struct volume *vol, struct places *ret)
{
    const struct layout *layout = vol->fs.image->layout;
    ret->n = 0;
    for (size_t i = 0; i < layout->n_map && ret->n < MAX_PLACES; i++) {
        struct map_place place;
        uint64_t bytes;
        if (image_map_place(vol->fs.image, &layout->map[i], &place, NULL) != 0 || !place.present ||
            !mul_u64(place.count, place.stride, &bytes))
            continue;
        size_t at = ret->n++;
        for (; at > 0 && ret->range[at - 1].start > place.offset; at--)
            ret->range[at] = ret->range[at - 1];
        ret->range[at] = (struct range){place.offset, bytes};
    }
}

/* The parts of [start, end) that no structure covers; at most max. */
static size_t places_gaps(const struct places *places, uint64_t start, uint64_t end, struct range *ret,
                          size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i <= places->n && start < end && n < max; i++) {
        uint64_t next = i < places->n ? places->range[i].start : end;
        if (next > end)
            next = end;
        if (next > start)
            ret[n++] = (struct range){start, next - start};
        if (i < places->n && places->range[i].start + places->range[i].bytes > start)
            start = places->range[i].start + places->range[i].bytes;
    }
    return n;
}

size_t fat32_reserved_gaps(struct volume *vol, struct range *ret, size_t max)
{
    struct places places;
    places_gather(vol, &places);
    return places_gaps(&places, 0, vol->geo.fat_offset, ret, max);
}

static int emit_gaps(struct walk *walk, const struct places *places, uint64_t start, uint64_t end,
                     enum extent_kind kind, const char *path)
{
    struct range gaps[MAX_PLACES + 1];
    size_t n = places_gaps(places, start, end, gaps, MAX_PLACES + 1);
    for (size_t i = 0; i < n; i++) {
        int rc = emit(walk, kind, path, gaps[i]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int walk_gaps(struct walk *walk)
{
    const struct fat32_geometry *geo = &walk->vol->geo;
    struct places places;
    places_gather(walk->vol, &places);
    int rc = 0;
    if (wanted(walk->sink, "reserved"))
        rc = emit_gaps(walk, &places, 0, geo->fat_offset, EXTENT_PADDING, "reserved");
    uint64_t entries = ((uint64_t)geo->cluster_count + FAT32_FIRST_CLUSTER) * ENTRY_BYTES;
    if (entries > geo->fat_bytes)
        entries = geo->fat_bytes;
    for (uint32_t i = 0; i < geo->num_fats && rc == 0; i++) {
        char path[FAT_PATH_BYTES] = "fat";
        if (i > 0)
            (void)snprintf(path, sizeof path, "fat%u", i + 1);
        if (!wanted(walk->sink, path))
            continue;
        uint64_t start = geo->fat_offset + i * geo->fat_bytes;
        /* A copy that the map does not have (mirroring is off, or it is the fifth) is still a FAT. */
        rc = emit_gaps(walk, &places, start, start + entries, EXTENT_METADATA, path);
        if (rc == 0)
            rc = emit_gaps(walk, &places, start + entries, start + geo->fat_bytes, EXTENT_PADDING, path);
    }
    return rc;
}

/* Without a usable boot sector all but the map is unknown. */
static int walk_unknown(struct walk *walk)
{
    struct places places;
    places_gather(walk->vol, &places);
    if (!wanted(walk->sink, "unknown"))
        return 0;
    return emit_gaps(walk, &places, 0, walk->vol->fs.dev->size_bytes, EXTENT_UNCLAIMED, "unknown");
}

/* ---- directories ---- */

static int emit_slots(struct walk *walk, const struct dir_visit *visit)
{
    const struct dir *dir = visit->dir;
    struct volume *vol = walk->vol;
    size_t dir_bytes = walk->dir_path.len;
    for (uint32_t slot = 0; slot < dir->n_slots; slot++) {
        struct inst inst;
        strbuf_truncate(&walk->dir_path, dir_bytes);
        strbuf_printf(&walk->dir_path, "[%u]", slot);
        const char *path = strbuf_str(&walk->dir_path);
        if (!wanted(walk->sink, path))
            continue;
        int rc = inst_make(vol->fs.image, walk->slot_type, dir->bytes + (size_t)slot * SLOT_BYTES, SLOT_BYTES,
                           dir_slot_offset(vol, dir, slot), path, &inst, walk->err);
        if (rc != 0)
            return rc;
        inst.index = slot;
        rc = walk->sink->instance(walk->sink->ctx, &inst);
        if (rc != 0)
            return rc;
    }
    strbuf_truncate(&walk->dir_path, dir_bytes);
    return 0;
}

static int emit_dir_extents(struct walk *walk, const struct dir *dir)
{
    uint32_t per_cluster = walk->vol->geo.cluster_bytes / SLOT_BYTES;
    const char *path = strbuf_str(&walk->dir_path);
    for (size_t i = 0; i < dir->n_pieces; i++) {
        const struct dir_piece *piece = &dir->pieces[i];
        uint64_t start = fat32_cluster_offset(&walk->vol->geo, piece->first_cluster);
        uint32_t slots = piece->n_clusters * per_cluster;
        uint32_t used = dir->n_slots <= piece->first_slot ? 0 : dir->n_slots - piece->first_slot;
        if (used > slots)
            used = slots;
        uint64_t used_bytes = (uint64_t)used * SLOT_BYTES;
        int rc = emit(walk, EXTENT_METADATA, path, (struct range){start, used_bytes});
        if (rc == 0)
            rc = emit(walk, EXTENT_PADDING, path,
                      (struct range){start + used_bytes, (uint64_t)(slots - used) * SLOT_BYTES});
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The part of a run, from `skip` on, whose clusters are another's already (or the file's own: a loop): it is shown for
 * this file as well, once, so that the overlap is seen; the chain is left there. */
static int emit_shared(struct walk *walk, const char *path, const struct fat_run *run, uint32_t skip)
{
    const struct fat32_geometry *geo = &walk->vol->geo;
    const uint32_t first = run->first + skip;
    uint32_t n = 0;
    while (skip + n < run->count && cluster_set_has(&walk->used, first + n))
        n++;
    walk->position += (uint64_t)skip * geo->cluster_bytes;
    return emit(walk, EXTENT_DATA, path,
                (struct range){fat32_cluster_offset(geo, first), (uint64_t)n * geo->cluster_bytes});
}

/* Extents of the file in walk->entry. */
static int emit_file(struct walk *walk, bool show)
{
    struct volume *vol = walk->vol;
    const char *path = strbuf_str(&walk->path);
    uint64_t left = walk->entry.size_bytes;
    uint32_t cluster = walk->entry.first_cluster;
    while (fat_link_of(vol, cluster) == FAT_LINK_NEXT) {
        struct fat_run run;
        int rc = fat_run_at(vol, cluster, UINT32_MAX, &run, walk->err);
        if (rc != 0)
            return rc;
        uint32_t fresh = 0;
        while (fresh < run.count && !cluster_set_has(&walk->used, cluster + fresh))
            cluster_set_add(&walk->used, cluster + fresh++);
        uint64_t start = fat32_cluster_offset(&vol->geo, cluster);
        uint64_t bytes = (uint64_t)fresh * vol->geo.cluster_bytes;
        uint64_t data = left < bytes ? left : bytes;
        walk->position = walk->entry.size_bytes - left;
        if (show)
            rc = emit(walk, EXTENT_DATA, path, (struct range){start, data});
        if (rc == 0 && show)
            rc = emit(walk, EXTENT_PADDING, path, (struct range){start + data, bytes - data});
        if (rc == 0 && show && fresh < run.count)
            rc = emit_shared(walk, path, &run, fresh);
        walk->position = 0;
        if (rc != 0 || fresh < run.count)
            return rc;
        left -= data;
        cluster = run.next;
    }
    return 0;
}

static int walk_files(struct walk *walk, const struct dir_visit *visit)
{
    struct dir_parser parser = {.dir = visit->dir};
    int rc;
    while ((rc = dir_next(&parser, &walk->entry, walk->err)) == 1) {
        if (walk->entry.kind != SLOT_NODE || walk->entry.is_dir)
            continue;
        dir_child_path(visit, walk->entry.name, &walk->path);
        if (walk->path.failed)
            return err_nomem(walk->err, "walking a volume");
        rc = emit_file(walk, wanted(walk->sink, strbuf_str(&walk->path)));
        if (rc != 0)
            return rc;
    }
    return rc;
}

static int walk_directory(void *ctx, const struct dir_visit *visit)
{
    struct walk *walk = ctx;
    const struct walk_sink *sink = walk->sink;
    const struct dir *dir = visit->dir;
    int rc = 0;
    strbuf_truncate(&walk->dir_path, 0);
    strbuf_puts(&walk->dir_path, "dir[");
    strbuf_json(&walk->dir_path, visit->path, visit->path_bytes);
    strbuf_puts(&walk->dir_path, "]");
    if (walk->dir_path.failed)
        return err_nomem(walk->err, "walking a volume");
    if (dir->n_pieces > 0 && wanted(sink, strbuf_str(&walk->dir_path))) {
        if (sink->array != NULL)
            rc = sink->array(sink->ctx, strbuf_str(&walk->dir_path), dir->n_slots, walk->slot_type);
        if (rc == 0 && sink->extent != NULL)
            rc = emit_dir_extents(walk, dir);
        if (rc == 0 && sink->instance != NULL)
            rc = emit_slots(walk, visit);
    }
    if (rc != 0 || sink->extent == NULL)
        return rc;
    for (size_t i = 0; i < dir->n_pieces; i++) {
        for (uint32_t j = 0; j < dir->pieces[i].n_clusters; j++)
            cluster_set_add(&walk->used, dir->pieces[i].first_cluster + j);
    }
    return walk_files(walk, visit);
}

/* ---- the rest ---- */

enum cluster_state { STATE_USED, STATE_FREE, STATE_BAD, STATE_LOST };

static int emit_rest(struct walk *walk, enum cluster_state state, uint32_t first, uint32_t count)
{
    static const struct {
        enum extent_kind kind;
        const char *path;
    } states[] = {
        [STATE_FREE] = {EXTENT_FREE, "free"},
        [STATE_BAD] = {EXTENT_PADDING, "bad"},
        [STATE_LOST] = {EXTENT_UNCLAIMED, "lost"},
    };
    const struct fat32_geometry *geo = &walk->vol->geo;
    if (state == STATE_USED || count == 0 || !wanted(walk->sink, states[state].path))
        return 0;
    return emit(walk, states[state].kind, states[state].path,
                (struct range){fat32_cluster_offset(geo, first), (uint64_t)count * geo->cluster_bytes});
}

/* Clusters that no file has, and what lies behind the last one. */
static int walk_rest(struct walk *walk)
{
    struct volume *vol = walk->vol;
    enum cluster_state state = STATE_USED;
    uint32_t first = FAT32_FIRST_CLUSTER;
    int rc = 0;
    for (uint32_t cluster = first; cluster <= vol->last_cluster && rc == 0; cluster++) {
        uint32_t value;
        rc = fat_get(vol, cluster, &value, walk->err);
        if (rc != 0)
            return rc;
        enum cluster_state now = cluster_set_has(&walk->used, cluster) ? STATE_USED
                                 : value == FAT32_LINK_FREE            ? STATE_FREE
                                 : value == FAT32_LINK_BAD             ? STATE_BAD
                                                                       : STATE_LOST;
        if (now != state) {
            rc = emit_rest(walk, state, first, cluster - first);
            state = now;
            first = cluster;
        }
    }
    if (rc == 0)
        rc = emit_rest(walk, state, first, vol->last_cluster + 1 - first);
    if (rc == 0 && wanted(walk->sink, "tail")) {
        uint64_t start = vol->geo.data_offset + (uint64_t)vol->geo.usable_clusters * vol->geo.cluster_bytes;
        if (start < vol->fs.dev->size_bytes)
            rc = emit(walk, EXTENT_UNCLAIMED, "tail", (struct range){start, vol->fs.dev->size_bytes - start});
    }
    return rc;
}

int fat32_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err)
{
    struct walk walk = {.vol = volume_of(fs), .sink = sink, .err = err};
    walk.slot_type = layout_type(fs->image->layout, "dir_entry");
    if (walk.slot_type == NULL)
        return err_set(err, PLAT_EBUG, "layout '%s' has no type dir_entry", fs->image->layout->name);
    int rc = image_walk_map(fs->image, sink, err);
    if (rc == 0 && walk.vol->boot == BOOT_NONE)
        return sink->extent != NULL ? walk_unknown(&walk) : 0;
    if (rc == 0 && sink->extent != NULL)
        rc = walk_gaps(&walk);
    /* Who asks for one structure of the map need not wait for the tree. */
    if (rc != 0 || (sink->extent == NULL && !wanted(sink, "dir")))
        return rc;
    rc = cluster_set_open(walk.vol, &walk.used, err);
    if (rc == 0)
        rc = dir_tree_visit(walk.vol, walk_directory, &walk, err);
    if (rc == 0 && sink->extent != NULL)
        rc = walk_rest(&walk);
    cluster_set_close(&walk.used);
    strbuf_free(&walk.dir_path);
    strbuf_free(&walk.path);
    return rc;
}
