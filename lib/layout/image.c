/* A layout over a device: parameters, map places, cached map instances. */
#include <stdlib.h>
#include <string.h>

#include "lib/layout/eval.h"

enum { CACHE_CHUNK_BYTES = 64 * 1024 };
enum place_state { PLACE_NEW, PLACE_BUSY, PLACE_DONE };

/* A chain's elements are found one behind the other. The place of every CHAIN_STEP-th is kept, and of the last one
 * asked for, so that walking is linear and an element by its number costs at most CHAIN_STEP steps. */
enum { CHAIN_STEP = 64, CHAIN_WINDOW_BYTES = 4096 };
struct chain {
    uint64_t *marks;
    size_t n_marks, cap_marks;
    uint64_t at_index, at_offset;
    bool at_known;
    bool counted, damaged;
    uint64_t count;
};

/* A piece of the image. The buffer is allocated once and never moves, so that instances handed out earlier stay
 * readable (their contents change when another element is loaded into it). */
struct chunk {
    uint8_t *buf;
    size_t buf_bytes; /* allocated */
    bool loaded;
    uint64_t start; /* in the device */
    size_t bytes;
};

/* One per map entry. Whoever walks an array has the first chunk; the others are for expressions, which may name two
 * other elements (and no more) while they look at the one at hand. */
enum { N_CHUNKS = 3 };
struct image_cache {
    enum place_state state;
    struct map_place place;
    struct chunk chunks[N_CHUNKS];
    unsigned turn; /* of the chunks for expressions, the one to be loaded next */
    bool busy;     /* sizing an instance: its length may not depend on itself */
    struct chain chain;
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
    for (size_t i = 0; image->cache != NULL && i < image->layout->n_map; i++) {
        for (size_t k = 0; k < N_CHUNKS; k++)
            free(image->cache[i].chunks[k].buf);
        free(image->cache[i].chain.marks);
    }
    free(image->cache);
    free(image->params);
    free(image);
}

void image_invalidate(struct image *image)
{
    for (size_t i = 0; i < image->layout->n_map; i++) {
        image->cache[i].state = PLACE_NEW;
        for (size_t k = 0; k < N_CHUNKS; k++)
            image->cache[i].chunks[k].loaded = false;
        free(image->cache[i].chain.marks);
        image->cache[i].chain = (struct chain){0};
    }
}

static int identify_matches(const struct eval *ctx, const struct identify *id, bool *ret,
                            struct plat_err *err)
{
    struct plat_dev *dev = ctx->image->dev;
    uint64_t at = 0;
    uint8_t bytes[256];
    int rc = eval_u64(ctx, id->at, &at, err);
    if (rc != 0 || id->n > sizeof bytes || !range_within((struct range){at, id->n}, dev->size_bytes))
        return rc;
    rc = dev_read(dev, at, bytes, id->n, err);
    *ret = rc == 0 && memcmp(bytes, id->bytes, id->n) == 0;
    return rc;
}

int layout_matches(const struct layout *layout, struct plat_dev *dev, const struct param_setting *settings,
                   size_t n_settings, bool *ret, struct plat_err *err)
{
    struct image *image = NULL;
    struct plat_err why = {0};
    bool found = false;
    int rc =
        layout->n_identify == 0 ? PLAT_EINVALID : image_open(layout, dev, settings, n_settings, &image, &why);
    if (rc == 0) {
        const struct eval ctx = {.image = image};
        for (size_t i = 0; !found && rc != PLAT_EIO && rc != PLAT_ENOMEM && i < layout->n_identify; i++)
            rc = identify_matches(&ctx, &layout->identify[i], &found, &why);
        image_close(image);
    }
    /* An expression that cannot be evaluated over these bytes does not fit them. */
    if (rc == PLAT_EIO || rc == PLAT_ENOMEM) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    *ret = found;
    return 0;
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
    if (entry->next != NULL) {
        place.is_array = true;
        place.count = 0;
    } else if (entry->count != NULL) {
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

static bool chunk_holds(const struct chunk *chunk, struct range want)
{
    return chunk->loaded && want.start >= chunk->start &&
           range_within((struct range){want.start - chunk->start, want.bytes}, chunk->bytes);
}

/* The chunk to have `want` in: for a walk always the same one. */
static struct chunk *choose_chunk(struct image_cache *cache, struct range want, bool walk)
{
    if (walk)
        return &cache->chunks[0];
    for (size_t i = 0; i < N_CHUNKS; i++)
        if (chunk_holds(&cache->chunks[i], want))
            return &cache->chunks[i];
    cache->turn = cache->turn % (N_CHUNKS - 1) + 1;
    return &cache->chunks[cache->turn];
}

/* Makes [offset, offset+n) readable in a chunk, with what follows where there is room. */
static int load_chunk(struct image *image, struct chunk *chunk, struct range want, uint64_t end,
                      struct plat_err *err)
{
    if (chunk_holds(chunk, want))
        return 0;
    if (chunk->buf == NULL || chunk->buf_bytes < want.bytes) {
        size_t bytes = want.bytes > CACHE_CHUNK_BYTES ? (size_t)want.bytes : CACHE_CHUNK_BYTES;
        uint64_t whole = end - want.start;
        if (chunk->buf == NULL && whole < bytes)
            bytes = whole > want.bytes ? (size_t)whole : (size_t)want.bytes;
        uint8_t *buf = malloc(bytes);
        if (buf == NULL)
            return err_nomem(err, "reading a structure");
        free(chunk->buf);
        chunk->buf = buf;
        chunk->buf_bytes = bytes;
    }
    uint64_t room = end - want.start;
    if (room > chunk->buf_bytes)
        room = chunk->buf_bytes;
    if (!range_within((struct range){want.start, room}, image->dev->size_bytes))
        room = want.start > image->dev->size_bytes ? 0 : image->dev->size_bytes - want.start;
    if (room < want.bytes)
        room = want.bytes; /* let the device say what is missing */
    chunk->loaded = false;
    int rc = dev_read(image->dev, want.start, chunk->buf, (size_t)room, err);
    if (rc != 0)
        return rc;
    chunk->loaded = true;
    chunk->start = want.start;
    chunk->bytes = (size_t)room;
    return 0;
}

static int past_image(const struct image *image, const struct map_entry *entry, struct range place,
                      struct plat_err *err)
{
    return err_at(err, PLAT_ECORRUPT, place.start, entry->name,
                  "%llu bytes expected here, but the image ends at 0x%llx", (unsigned long long)place.bytes,
                  (unsigned long long)image->dev->size_bytes);
}

/* ---- chains ---- */

/* As much as an element may ever take: the buffer must not move under instances that were handed out. */
static int chain_buffer(const struct map_entry *entry, struct chunk *chunk, struct plat_err *err)
{
    if (chunk->buf != NULL)
        return 0;
    bool small = entry->type->size_bytes != 0 && entry->type->size_bytes < CACHE_CHUNK_BYTES;
    chunk->buf_bytes = small ? CACHE_CHUNK_BYTES : LAYOUT_MAX_STRUCT_BYTES;
    chunk->buf = malloc(chunk->buf_bytes);
    return chunk->buf == NULL ? err_nomem(err, "reading a structure") : 0;
}

/* The element at `offset`. One whose size varies is looked at through a small window, which grows where it does not
 * do: elements of a few bytes are the rule, and reading the most that one can have for each would take an age. */
static int chain_load(struct image *image, const struct map_entry *entry, uint64_t offset, bool walk,
                      struct inst *ret, struct plat_err *err)
{
    struct image_cache *cache = &image->cache[entry - image->layout->map];
    uint64_t left = offset < image->dev->size_bytes ? image->dev->size_bytes - offset : 0;
    uint64_t most = entry->type->size_bytes != 0 ? entry->type->size_bytes : LAYOUT_MAX_STRUCT_BYTES;
    if (left < entry->type->min_bytes)
        return past_image(image, entry, (struct range){offset, entry->type->min_bytes}, err);
    most = most < left ? most : left;
    uint64_t window = entry->type->size_bytes != 0 ? most : CHAIN_WINDOW_BYTES;
    int rc;
    do {
        window = window < most ? window : most;
        uint64_t ahead = window < CACHE_CHUNK_BYTES ? CACHE_CHUNK_BYTES : window;
        struct plat_err why = {0};
        struct chunk *chunk = choose_chunk(cache, (struct range){offset, window}, walk);
        rc = chain_buffer(entry, chunk, &why);
        if (rc == 0)
            rc = load_chunk(image, chunk, (struct range){offset, window},
                            offset + (ahead < left ? ahead : left), &why);
        if (rc == 0)
            rc = inst_make(image, entry->type, chunk->buf + (offset - chunk->start), (size_t)window, offset,
                           entry->name, ret, &why);
        if (rc != 0 && (rc != PLAT_ECORRUPT || window == most) && err != NULL)
            *err = why;
        window *= 16;
    } while (rc == PLAT_ECORRUPT && window / 16 < most);
    /* "Not found" is the word for the end of a chain, and no length that cannot be computed is that. */
    return rc == PLAT_ENOTFOUND
               ? err_at(err, PLAT_ECORRUPT, offset, entry->name, "the size of this element cannot be told")
               : rc;
}

static int chain_keep(struct chain *chain, uint64_t index, uint64_t offset, struct plat_err *err)
{
    chain->at_known = true;
    chain->at_index = index;
    chain->at_offset = offset;
    if (index != (uint64_t)chain->n_marks * CHAIN_STEP)
        return 0;
    if (chain->n_marks == chain->cap_marks) {
        size_t cap = chain->cap_marks == 0 ? 16 : 2 * chain->cap_marks;
        uint64_t *marks = realloc(chain->marks, cap * sizeof *marks);
        if (marks == NULL)
            return err_nomem(err, "following a chain");
        chain->marks = marks;
        chain->cap_marks = cap;
    }
    chain->marks[chain->n_marks++] = offset;
    return 0;
}

/* Where the element behind `inst` lies; PLAT_ENOTFOUND: there is none. */
static int chain_next(struct image *image, const struct map_entry *entry, const struct inst *inst,
                      uint64_t *ret, struct plat_err *err)
{
    const struct eval ctx = {.image = image, .inst = inst, .index = inst->index};
    bool last = false;
    uint64_t next;
    int rc = entry->last != NULL ? eval_bool(&ctx, entry->last, &last, err) : 0;
    if (rc == 0 && last)
        return err_set(err, PLAT_ENOTFOUND, "'%s' has %llu elements", entry->name,
                       (unsigned long long)inst->index + 1);
    if (rc == 0)
        rc = eval_u64(&ctx, entry->next, &next, err);
    if (rc != 0)
        return rc == PLAT_EIO || rc == PLAT_ENOMEM
                   ? rc
                   : err_at(err, PLAT_ECORRUPT, inst->offset, entry->name,
                            "what lies behind element %llu cannot be told", (unsigned long long)inst->index);
    if (next <= inst->offset)
        return err_at(err, PLAT_ECORRUPT, inst->offset, entry->name,
                      "element %llu says that the next one is at 0x%llx, which is not behind it",
                      (unsigned long long)inst->index, (unsigned long long)next);
    if (inst->index + 1 >= LAYOUT_MAX_CHAIN)
        return err_at(err, PLAT_ELIMIT, inst->offset, entry->name,
                      "a chain of more than %d elements is not followed", (int)LAYOUT_MAX_CHAIN);
    *ret = next;
    return 0;
}

static int chain_inst(struct image *image, const struct map_entry *entry, uint64_t start, uint64_t index,
                      bool walk, struct inst *ret, struct plat_err *err)
{
    struct image_cache *cache = &image->cache[entry - image->layout->map];
    struct chain *chain = &cache->chain;
    if (cache->busy)
        return err_set(err, PLAT_EINVALID, "the shape of '%s' depends on itself", entry->name);
    uint64_t at = 0, offset = start;
    size_t mark = index / CHAIN_STEP < chain->n_marks ? (size_t)(index / CHAIN_STEP) : chain->n_marks;
    if (chain->n_marks > 0) {
        mark -= mark == chain->n_marks;
        at = (uint64_t)mark * CHAIN_STEP;
        offset = chain->marks[mark];
    }
    if (chain->at_known && chain->at_index <= index && chain->at_index >= at) {
        at = chain->at_index;
        offset = chain->at_offset;
    }
    struct inst inst;
    cache->busy = true;
    int rc;
    for (;; at++) {
        rc = chain_load(image, entry, offset, walk, &inst, err);
        if (rc == 0)
            rc = chain_keep(chain, at, offset, err);
        inst.index = at;
        if (rc != 0 || at == index)
            break;
        if ((rc = chain_next(image, entry, &inst, &offset, err)) != 0)
            break;
    }
    cache->busy = false;
    if (rc == 0)
        *ret = inst;
    return rc;
}

int image_map_count(struct image *image, const struct map_entry *entry, uint64_t *ret, struct plat_err *err)
{
    struct map_place place;
    struct chain *chain = &image->cache[entry - image->layout->map].chain;
    int rc = image_map_place(image, entry, &place, err);
    if (rc != 0 || entry->next == NULL) {
        *ret = rc == 0 ? place.count : 0;
        return rc;
    }
    uint64_t n = chain->count;
    while (!chain->counted && rc == 0) {
        struct inst inst;
        rc = chain_inst(image, entry, place.offset, n, false, &inst, err);
        n += rc == 0;
    }
    *ret = n;
    if (rc == PLAT_EIO || rc == PLAT_ENOMEM)
        return rc;
    chain->damaged = chain->damaged || (rc != 0 && rc != PLAT_ENOTFOUND);
    chain->counted = true;
    chain->count = n;
    return chain->damaged ? err_set(err, PLAT_ECORRUPT, "'%s' is damaged behind %llu elements", entry->name,
                                    (unsigned long long)n)
                          : 0;
}

static int map_inst(struct image *image, const struct map_entry *entry, uint64_t index, bool walk,
                    struct inst *ret, struct plat_err *err)
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
    if (entry->next != NULL)
        return chain_inst(image, entry, place.offset, index, walk, ret, err);
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
        return past_image(image, entry, (struct range){offset, bytes}, err);
    if (cache->busy)
        return err_set(err, PLAT_EINVALID, "the shape of '%s' depends on itself", entry->name);
    struct chunk *chunk = choose_chunk(cache, (struct range){offset, bytes}, walk);
    rc = load_chunk(image, chunk, (struct range){offset, bytes}, end, err);
    if (rc == 0) {
        cache->busy = true;
        rc = inst_make(image, entry->type, chunk->buf + (offset - chunk->start), (size_t)bytes, offset,
                       entry->name, ret, err);
        cache->busy = false;
    }
    if (rc == 0) {
        ret->index = index;
        ret->is_mirror = entry->mirror != NULL;
    }
    return rc;
}

int image_map_inst(struct image *image, const struct map_entry *entry, uint64_t index, struct inst *ret,
                   struct plat_err *err)
{
    return map_inst(image, entry, index, true, ret, err);
}

int image_map_beside(struct image *image, const struct map_entry *entry, uint64_t index, struct inst *ret,
                     struct plat_err *err)
{
    return map_inst(image, entry, index, false, ret, err);
}

const char *extent_kind_name(enum extent_kind kind)
{
    static const char *const names[] = {"metadata", "data", "free", "padding", "unclaimed"};
    return names[kind];
}
