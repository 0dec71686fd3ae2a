/* Walking the static map. */
#include <stdio.h>
#include <string.h>

#include "lib/layout/eval.h"

static bool wanted(const struct walk_sink *sink, const char *path)
{
    return sink->wants == NULL || sink->wants(sink->ctx, path);
}

/* What cannot be read of the image is a finding, unless the device or memory is at fault. */
static int damage(const struct walk_sink *sink, const char *path, const struct plat_err *why, uint64_t offset,
                  struct plat_err *err)
{
    if (why->class == PLAT_EIO || why->class == PLAT_ENOMEM) {
        *err = *why;
        return why->class;
    }
    return finding_report(&sink->findings, SEVERITY_ERROR, "unreadable", path,
                          why->has_offset ? &why->offset : &offset, NULL, "%s", why->text);
}

static int walk_extent(const struct walk_sink *sink, const struct map_entry *entry, struct range place)
{
    if (sink->extent == NULL || place.bytes == 0)
        return 0;
    struct extent extent = {
        .place = place, .kind = entry->is_extent ? entry->extent : EXTENT_METADATA, .path = entry->name};
    return sink->extent(sink->ctx, &extent);
}

static int walk_array(struct image *image, const struct map_entry *entry, const struct map_place *place,
                      const struct walk_sink *sink, struct plat_err *err)
{
    struct plat_err why = {0};
    int rc = 0;
    if (sink->array != NULL)
        rc = sink->array(sink->ctx, entry->name, place->count, entry->type);
    if (rc == 0)
        rc = walk_extent(sink, entry, (struct range){place->offset, place->count * place->stride});
    if (rc != 0 || sink->instance == NULL || (place->count > WALK_BULK_ELEMENTS && !sink->elements))
        return rc;
    for (uint64_t i = 0; rc == 0 && i < place->count; i++) {
        char path[128];
        struct inst inst;
        (void)snprintf(path, sizeof path, "%s[%llu]", entry->name, (unsigned long long)i);
        if (!wanted(sink, path))
            continue;
        if (image_map_inst(image, entry, i, &inst, &why) != 0)
            /* nor will those behind it be readable */
            return damage(sink, path, &why, place->offset + i * place->stride, err);
        inst.path = path;
        rc = sink->instance(sink->ctx, &inst);
    }
    return rc;
}

/* The elements of a chain, each an extent of its own: what lies between them is somebody else's. */
static int walk_chain(struct image *image, const struct map_entry *entry, const struct map_place *place,
                      const struct walk_sink *sink, struct plat_err *err)
{
    struct plat_err why = {0};
    uint64_t count = 0;
    int rc = image_map_count(image, entry, &count, &why);
    if (rc == PLAT_EIO || rc == PLAT_ENOMEM)
        return damage(sink, entry->name, &why, place->offset, err);
    rc = sink->array != NULL ? sink->array(sink->ctx, entry->name, count, entry->type) : 0;
    bool bulk = count > WALK_BULK_ELEMENTS && !sink->elements;
    for (uint64_t i = 0; rc == 0 && (sink->instance != NULL || sink->extent != NULL); i++) {
        char path[128];
        struct inst inst;
        (void)snprintf(path, sizeof path, "%s[%llu]", entry->name, (unsigned long long)i);
        if (i < count && (bulk || !wanted(sink, path)))
            continue;
        int met = image_map_inst(image, entry, i, &inst, &why);
        if (met != 0)
            return met == PLAT_ENOTFOUND ? 0 : damage(sink, path, &why, place->offset, err);
        inst.path = path;
        struct extent extent = {
            .place = {inst.offset, inst.size_bytes}, .kind = EXTENT_METADATA, .path = path};
        if (sink->extent != NULL)
            rc = sink->extent(sink->ctx, &extent);
        if (rc == 0 && sink->instance != NULL)
            rc = sink->instance(sink->ctx, &inst);
    }
    return rc;
}

static int walk_entry(struct image *image, const struct map_entry *entry, const struct walk_sink *sink,
                      struct plat_err *err)
{
    struct plat_err why = {0};
    struct map_place place;
    struct inst inst;
    if (!wanted(sink, entry->name))
        return 0;
    if (image_map_place(image, entry, &place, &why) != 0)
        return damage(sink, entry->name, &why, 0, err);
    if (!place.present)
        return 0;
    if (entry->is_extent) {
        struct range range = {place.offset, place.stride};
        if (!range_within(range, image->dev->size_bytes))
            return finding_report(&sink->findings, SEVERITY_ERROR, "outside", entry->name, &place.offset,
                                  NULL, "%llu bytes expected here, but the image ends at 0x%llx",
                                  (unsigned long long)place.stride,
                                  (unsigned long long)image->dev->size_bytes);
        return walk_extent(sink, entry, range);
    }
    if (entry->next != NULL)
        return walk_chain(image, entry, &place, sink, err);
    if (place.is_array) {
        if (!range_within((struct range){place.offset, place.count * place.stride}, image->dev->size_bytes)) {
            int rc =
                finding_report(&sink->findings, SEVERITY_ERROR, "outside", entry->name, &place.offset, NULL,
                               "%llu elements of %llu bytes run past the end of the image at 0x%llx",
                               (unsigned long long)place.count, (unsigned long long)place.stride,
                               (unsigned long long)image->dev->size_bytes);
            if (rc != 0 || place.offset >= image->dev->size_bytes)
                return rc;
            place.count = (image->dev->size_bytes - place.offset) / place.stride;
        }
        return walk_array(image, entry, &place, sink, err);
    }
    if (image_map_inst(image, entry, 0, &inst, &why) != 0)
        return damage(sink, entry->name, &why, place.offset, err);
    int rc = walk_extent(sink, entry, (struct range){inst.offset, inst.size_bytes});
    return rc != 0 || sink->instance == NULL ? rc : sink->instance(sink->ctx, &inst);
}

int image_walk_map(struct image *image, const struct walk_sink *sink, struct plat_err *err)
{
    for (size_t i = 0; i < image->layout->n_map; i++) {
        struct plat_err why = {0};
        int rc = walk_entry(image, &image->layout->map[i], sink, &why);
        if (rc == 0)
            continue;
        if (why.class == rc && err != NULL)
            *err = why;
        else if (rc != PLAT_ESTOP)
            (void)err_set(err, rc, "walking '%s' stopped", image->layout->map[i].name);
        return rc;
    }
    return 0;
}
