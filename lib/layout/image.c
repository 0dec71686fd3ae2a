/* A layout over a device: parameters, map places, cached map instances. */
#include <stdlib.h>
#include <string.h>

#include "lib/layout/eval.h"

enum { CACHE_CHUNK_BYTES = 64 * 1024 };
enum place_state { PLACE_NEW, PLACE_BUSY, PLACE_DONE };

/* One per map entry. The buffer is allocated once and never moves, so that instances handed out earlier stay
 * readable (their contents change when another element is loaded). */
struct image_cache {
    enum place_state state;
    struct map_place place;
    uint8_t *buf;
    size_t buf_bytes; /* allocated */
    bool busy;        /* sizing an instance: its length may not depend on itself */
    bool loaded;
    uint64_t loaded_start; /* in the device */
    size_t loaded_bytes;
};

int image_open(const struct layout *layout, struct plat_dev *dev, const struct param_setting *settings,
               size_t n_settings, struct image **ret, struct plat_err *err)
{
    struct image *image = calloc(1, sizeof *image);
    if (image != NULL) {
        image->layout = layout;
        image->dev = dev;
        image->params = calloc(layout->n_params + 1, sizeof *image->params);
        image->cache = calloc(layout->n_map + 1, sizeof *image->cache);
    }
    if (image == NULL || image->params == NULL || image->cache == NULL) {
        image_close(image);
        return err_nomem(err, "opening an image");
    }
    for (size_t i = 0; i < layout->n_params; i++)
        image->params[i] = layout->params[i].value;
    for (size_t s = 0; s < n_settings; s++) {
        size_t i = 0;
        while (i < layout->n_params && strcmp(layout->params[i].name, settings[s].name) != 0)
            i++;
        if (i == layout->n_params) {
            image_close(image);
            return err_set(err, PLAT_EINVALID, "layout '%s' has no parameter '%s'", layout->name,
                           settings[s].name);
        }
        const struct param *param = &layout->params[i];
        bool allowed = param->n_choices == 0;
        for (size_t c = 0; c < param->n_choices; c++)
            allowed = allowed || param->choices[c] == settings[s].value;
        if (!allowed) {
            image_close(image);
            return err_set(err, PLAT_EINVALID, "%llu is not a choice for parameter '%s' of layout '%s'",
                           (unsigned long long)settings[s].value, param->name, layout->name);
        }
        image->params[i] = settings[s].value;
    }
    *ret = image;
    return 0;
}

void image_close(struct image *image)
{
    if (image == NULL)
        return;
    for (size_t i = 0; image->cache != NULL && i < image->layout->n_map; i++)
        free(image->cache[i].buf);
    free(image->cache);
    free(image->params);
    free(image);
}

void image_invalidate(struct image *image)
{
    for (size_t i = 0; i < image->layout->n_map; i++) {
        image->cache[i].state = PLACE_NEW;
        image->cache[i].loaded = false;
    }
}

bool layout_matches(const struct layout *layout, struct plat_dev *dev, const struct param_setting *settings,
                    size_t n_settings)
{
    struct image *image;
    bool found = false;
    if (layout->n_identify == 0 || image_open(layout, dev, settings, n_settings, &image, NULL) != 0)
        return false;
    struct eval ctx = {.image = image};
    for (size_t i = 0; !found && i < layout->n_identify; i++) {
        const struct identify *id = &layout->identify[i];
        uint64_t at;
        uint8_t bytes[256];
        found = eval_u64(&ctx, id->at, &at, NULL) == 0 && id->n <= sizeof bytes &&
                range_within((struct range){at, id->n}, dev->size_bytes) &&
                dev_read(dev, at, bytes, id->n, NULL) == 0 && memcmp(bytes, id->bytes, id->n) == 0;
    }
    image_close(image);
    return found;
}

static int find_place(struct image *image, const struct map_entry *entry, struct map_place *ret,
                      struct plat_err *err)
{
    struct eval ctx = {.image = image};
    struct map_place place = {.present = true, .count = 1};
    int rc = 0;
    if (entry->when != NULL)
        rc = eval_bool(&ctx, entry->when, &place.present, err);
    if (rc != 0 || !place.present) {
        *ret = place;
        return rc;
    }
    rc = eval_u64(&ctx, entry->at, &place.offset, err);
    if (rc == 0 && entry->is_extent)
        rc = eval_u64(&ctx, entry->bytes, &place.stride, err);
    if (entry->count != NULL) {
        place.is_array = true;
        place.stride = entry->type->size_bytes;
        if (rc == 0)
            rc = eval_u64(&ctx, entry->count, &place.count, err);
        if (rc == 0 && entry->stride != NULL)
            rc = eval_u64(&ctx, entry->stride, &place.stride, err);
        uint64_t total;
        if (rc == 0 && place.count > 0 && (place.stride == 0 || place.stride < entry->type->min_bytes))
            rc = err_set(err, PLAT_ECORRUPT, "elements are %llu bytes apart, but '%s' takes %u",
                         (unsigned long long)place.stride, entry->type->name, entry->type->min_bytes);
        if (rc == 0 && (!mul_u64(place.count, place.stride, &total) || !add_u64(total, place.offset, &total)))
            rc = err_set(err, PLAT_ECORRUPT, "its end leaves 64 bits");
    } else if (!entry->is_extent) {
        place.stride = entry->type->size_bytes;
    }
    if (rc == 0)
        *ret = place;
    return rc;
}

int image_map_place(struct image *image, const struct map_entry *entry, struct map_place *ret,
                    struct plat_err *err)
{
    struct image_cache *cache = &image->cache[entry - image->layout->map];
    if (cache->state == PLACE_BUSY)
        return err_set(err, PLAT_EINVALID, "the place of '%s' depends on itself", entry->name);
    if (cache->state == PLACE_NEW) {
        cache->state = PLACE_BUSY;
        struct map_place place;
        int rc = find_place(image, entry, &place, err);
        cache->state = PLACE_NEW;
        if (rc != 0)
            return err_prefix(err, "%s", entry->name);
        cache->place = place;
        /* A mirror that is not an array and varies in size is as long as the original. */
        cache->state = PLACE_DONE;
    }
    *ret = cache->place;
    return 0;
}

/* Makes [offset, offset+n) readable in the entry's buffer, with what follows where there is room. */
static int load_chunk(struct image *image, struct image_cache *cache, struct range want, uint64_t end,
                      struct plat_err *err)
{
    if (cache->loaded && want.start >= cache->loaded_start &&
        range_within((struct range){want.start - cache->loaded_start, want.bytes}, cache->loaded_bytes))
        return 0;
    if (cache->buf == NULL || cache->buf_bytes < want.bytes) {
        size_t bytes = want.bytes > CACHE_CHUNK_BYTES ? (size_t)want.bytes : CACHE_CHUNK_BYTES;
        uint64_t whole = end - want.start;
        if (cache->buf == NULL && whole < bytes)
            bytes = whole > want.bytes ? (size_t)whole : (size_t)want.bytes;
        uint8_t *buf = malloc(bytes);
        if (buf == NULL)
            return err_nomem(err, "reading a structure");
        free(cache->buf);
        cache->buf = buf;
        cache->buf_bytes = bytes;
    }
    uint64_t room = end - want.start;
    if (room > cache->buf_bytes)
        room = cache->buf_bytes;
    if (!range_within((struct range){want.start, room}, image->dev->size_bytes))
        room = want.start > image->dev->size_bytes ? 0 : image->dev->size_bytes - want.start;
    if (room < want.bytes)
        room = want.bytes; /* let the device say what is missing */
    cache->loaded = false;
    int rc = dev_read(image->dev, want.start, cache->buf, (size_t)room, err);
    if (rc != 0)
        return rc;
    cache->loaded = true;
    cache->loaded_start = want.start;
    cache->loaded_bytes = (size_t)room;
    return 0;
}

int image_map_inst(struct image *image, const struct map_entry *entry, uint64_t index, struct inst *ret,
                   struct plat_err *err)
{
    struct image_cache *cache = &image->cache[entry - image->layout->map];
    struct map_place place;
    if (entry->type == NULL)
        return err_set(err, PLAT_EINVALID, "'%s' is a range without a type", entry->name);
    int rc = image_map_place(image, entry, &place, err);
    if (rc != 0)
        return rc;
    if (!place.present)
        return err_set(err, PLAT_ENOTFOUND, "'%s' is not present in this image", entry->name);
    if (index >= place.count)
        return err_set(err, PLAT_ENOTFOUND, "'%s[%llu]' does not exist: there are %llu", entry->name,
                       (unsigned long long)index, (unsigned long long)place.count);
    uint64_t offset = place.offset + index * place.stride;
    uint64_t end = place.offset + place.count * place.stride;
    uint64_t bytes = entry->type->size_bytes;
    if (bytes == 0) {
        /* Varying size: as much as its array slot, or as the limit and the image allow. */
        uint64_t left = offset < image->dev->size_bytes ? image->dev->size_bytes - offset : 0;
        bytes = place.is_array ? place.stride : LAYOUT_MAX_STRUCT_BYTES;
        if (bytes > LAYOUT_MAX_STRUCT_BYTES)
            bytes = LAYOUT_MAX_STRUCT_BYTES;
        if (bytes > left)
            bytes = left > entry->type->min_bytes ? left : entry->type->min_bytes;
        end = offset + bytes;
    }
    if (!range_within((struct range){offset, bytes}, image->dev->size_bytes))
        return err_at(err, PLAT_ECORRUPT, offset, entry->name,
                      "%llu bytes expected here, but the image ends at 0x%llx", (unsigned long long)bytes,
                      (unsigned long long)image->dev->size_bytes);
    if (cache->busy)
        return err_set(err, PLAT_EINVALID, "the shape of '%s' depends on itself", entry->name);
    rc = load_chunk(image, cache, (struct range){offset, bytes}, end, err);
    if (rc == 0) {
        cache->busy = true;
        rc = inst_make(image, entry->type, cache->buf + (offset - cache->loaded_start), (size_t)bytes, offset,
                       entry->name, ret, err);
        cache->busy = false;
    }
    if (rc == 0) {
        ret->index = index;
        ret->is_mirror = entry->mirror != NULL;
    }
    return rc;
}
