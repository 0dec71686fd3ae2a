/* Sealing: what follows from a change is computed, in passes, until nothing moves.
 *
 *   1. each layer's own map, mirrors and "follows": they stand even where a format's reader believes nothing any more
 *   2. what the drivers find, layers opened anew: checksum trees become right from the bottom up, a level in a pass
 *
 * A value is rewritten when it is stale, and was computed from something else before: see edit.h. */
#include "inspect/edit.h"

#include <stdlib.h>
#include <string.h>

enum { MIRROR_CHUNK_BYTES = 4096 };

struct seal {
    struct edit *edit;
    const struct field_path *path; /* NULL: everything */
    bool all;
    bool moved; /* in this pass */
    struct plat_err *err;
};

/* ---- one structure ---- */

/* What the derived fields would have been in the file. */
struct earlier {
    struct derived *list;
    size_t n, cap;
};

static int collect(void *ctx, const struct inst *inst, const struct derived *derived)
{
    struct earlier *earlier = ctx;
    (void)inst;
    if (earlier->n == earlier->cap) {
        size_t cap = earlier->cap == 0 ? 8 : 2 * earlier->cap;
        struct derived *list = realloc(earlier->list, cap * sizeof *list);
        if (list == NULL)
            return PLAT_ENOMEM;
        earlier->list = list;
        earlier->cap = cap;
    }
    earlier->list[earlier->n++] = *derived;
    return 0;
}

/* Some layouts leave checksums of contents to verify --data unless asked: a structure that changes asks. */
static uint64_t check_data(struct image *image, uint64_t value)
{
    uint64_t before = 0;
    for (size_t i = 0; i < image->layout->n_params; i++) {
        if (strcmp(image->layout->params[i].name, "check_data") == 0) {
            before = image->params[i];
            image->params[i] = value;
        }
    }
    return before;
}

static int earlier_values(struct edit *edit, const struct edit_layer *layer, const struct inst *inst,
                          bool data, struct earlier *ret, struct plat_err *err)
{
    struct inst before;
    struct plat_err why = {0};
    uint8_t *bytes = malloc(inst->size_bytes + 1);
    if (bytes == NULL)
        return err_nomem(err, "editing a structure");
    int rc = dev_read(edit->file, layer->place.start + inst->offset, bytes, inst->size_bytes, err);
    if (rc == 0 && inst_make(layer->before, inst->type, bytes, inst->size_bytes, inst->offset, inst->path,
                             &before, &why) == 0) {
        before.index = inst->index;
        const uint64_t kept = check_data(layer->before, data);
        rc = inst_each_derived(&before, collect, ret, err);
        (void)check_data(layer->before, kept);
        if (rc == PLAT_ENOMEM)
            rc = err_nomem(err, "editing a structure");
    }
    free(bytes);
    return rc;
}

static bool moved_since(const struct earlier *earlier, const struct derived *derived)
{
    for (size_t i = 0; i < earlier->n; i++)
        if (earlier->list[i].place.start == derived->place.start)
            return memcmp(earlier->list[i].bytes, derived->bytes, (size_t)derived->place.bytes) != 0;
    return true;
}

struct inst_seal {
    struct edit *edit;
    const struct edit_layer *layer;
    const struct inst *outer;
    uint8_t *bytes;
    bool all, data;
    bool asked; /* earlier is filled */
    struct earlier earlier;
    bool moved;
    struct plat_err *err;
};

static int seal_derived(void *ctx, const struct inst *inst, const struct derived *derived)
{
    struct inst_seal *seal = ctx;
    (void)inst;
    if (!derived->stale)
        return 0;
    int rc = 0;
    if (!seal->all && !seal->asked) {
        rc = earlier_values(seal->edit, seal->layer, seal->outer, seal->data, &seal->earlier, seal->err);
        seal->asked = true;
    }
    if (rc != 0 || (!seal->all && !moved_since(&seal->earlier, derived)))
        return rc;
    memcpy(seal->bytes + (derived->place.start - seal->outer->offset), derived->bytes,
           (size_t)derived->place.bytes);
    seal->moved = true;
    return edit_put(seal->edit, seal->layer, seal->outer, derived->place, derived->bytes, EDIT_DERIVED,
                    seal->err);
}

int edit_seal_inst(struct edit *edit, const struct edit_layer *layer, const struct inst *inst, uint8_t *bytes,
                   bool all, bool *ret_moved, struct plat_err *err)
{
    struct inst_seal seal = {
        .edit = edit, .layer = layer, .outer = inst, .bytes = bytes, .all = all, .err = err};
    struct inst sealed = *inst;
    struct plat_err why = {0};
    sealed.bytes = bytes;
    /* Has it changed itself? Then the contents that it names are looked at as well. */
    for (size_t i = edit->n_touched; !seal.data && i-- > 0;)
        seal.data = edit->touched[i].place.start == layer->place.start + inst->offset;
    const uint64_t kept = check_data(inst->image, seal.data);
    int rc = inst_each_derived(&sealed, seal_derived, &seal, &why);
    (void)check_data(inst->image, kept);
    if (rc != 0 && err != NULL && why.class == rc)
        *err = why;
    free(seal.earlier.list);
    if (rc == 0)
        *ret_moved = seal.moved;
    return rc;
}

/* ---- a pass ---- */

static int compare_path(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

static bool selected(const struct seal *seal, const struct edit_layer *layer, const char *path)
{
    const struct edit_kept *kept = seal->edit->kept;
    if (seal->path == NULL && kept == NULL)
        return true;
    const char *full = edit_path(seal->edit, layer, path);
    if (kept != NULL && kept->n > 0 &&
        bsearch(full, kept->paths, kept->n, sizeof *kept->paths, compare_path) != NULL)
        return false;
    enum path_relation relation = seal->path == NULL ? PATH_INSIDE : path_relate(seal->path, full);
    return relation == PATH_INSIDE || relation == PATH_SAME;
}

static int seal_instance(void *ctx, const struct inst *inst)
{
    struct seal *seal = ctx;
    const struct edit_layer *layer = edit_layer_of(seal->edit, inst->image);
    /* A copy gets what its original has; what is in a compressed stream cannot be written. */
    if (layer == NULL || inst->is_mirror || inst->source.stream != NULL || !selected(seal, layer, inst->path))
        return 0;
    bool moved = false, again = true;
    uint8_t *bytes = malloc(inst->size_bytes + 1);
    if (bytes == NULL)
        return err_nomem(seal->err, "editing a structure");
    memcpy(bytes, inst->bytes, inst->size_bytes);
    int rc = 0;
    for (int pass = 0; rc == 0 && again && pass < EDIT_MAX_PASSES; pass++) {
        rc = edit_seal_inst(seal->edit, layer, inst, bytes, seal->all, &again, seal->err);
        moved = moved || again;
    }
    seal->moved = seal->moved || moved;
    free(bytes);
    return rc;
}

/* One run of bytes into a mirror; all of them are of one element. */
static int mirror_run(struct seal *seal, const struct edit_layer *layer, const struct map_entry *entry,
                      const struct map_place *to, struct range run, const uint8_t *bytes)
{
    char path[128];
    const uint64_t index = to->is_array ? (run.start - to->offset) / to->stride : 0;
    struct inst inst = {.image = layer->after,
                        .type = entry->type,
                        .offset = to->offset + index * to->stride,
                        .size_bytes = (size_t)to->stride,
                        .index = index,
                        .is_mirror = true,
                        .path = entry->name};
    if (to->is_array) {
        (void)snprintf(path, sizeof path, "%s[%llu]", entry->name, (unsigned long long)index);
        inst.path = path;
    }
    if (!selected(seal, layer, inst.path))
        return 0;
    seal->moved = true;
    return edit_put(seal->edit, layer, &inst, run, bytes, EDIT_MIRROR, seal->err);
}

/* Bytes of a mirror's original differ from those in the file, or from the mirror: into the mirror with them. */
static int mirror_chunk(struct seal *seal, const struct edit_layer *layer, const struct map_entry *entry,
                        const struct map_place *to, uint64_t from_offset, struct range part)
{
    uint8_t now[MIRROR_CHUNK_BYTES], old[MIRROR_CHUNK_BYTES], copy[MIRROR_CHUNK_BYTES];
    struct edit *edit = seal->edit;
    const uint64_t base = layer->place.start, at = part.start;
    const size_t n = (size_t)part.bytes;
    int rc = dev_read(edit->overlay, base + from_offset + at, now, n, seal->err);
    if (rc == 0)
        rc = dev_read(edit->file, base + from_offset + at, old, n, seal->err);
    if (rc != 0 || (!seal->all && memcmp(now, old, n) == 0))
        return rc;
    rc = dev_read(edit->overlay, base + to->offset + at, copy, n, seal->err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t end = i;
        while (end < n && copy[end] != now[end] && (seal->all || now[end] != old[end]) &&
               (at + end) / to->stride == (at + i) / to->stride)
            end++;
        if (end == i)
            continue;
        rc = mirror_run(seal, layer, entry, to, (struct range){to->offset + at + i, end - i}, now + i);
        i = end - 1;
    }
    return rc;
}

static int seal_mirror(struct seal *seal, const struct edit_layer *layer, const struct map_entry *entry)
{
    struct map_place to, from;
    struct inst inst;
    if (image_map_place(layer->after, entry, &to, NULL) != 0 || !to.present ||
        image_map_place(layer->after, entry->mirror, &from, NULL) != 0 || !from.present)
        return 0;
    uint64_t bytes = to.count * to.stride;
    if (bytes == 0 && image_map_inst(layer->after, entry->mirror, 0, &inst, NULL) == 0)
        bytes = to.stride = inst.size_bytes;
    if (bytes == 0 || !range_within((struct range){to.offset, bytes}, layer->place.bytes) ||
        !range_within((struct range){from.offset, bytes}, layer->place.bytes))
        return 0; /* verification says so */
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < bytes; at += MIRROR_CHUNK_BYTES) {
        const uint64_t left = bytes - at;
        rc = mirror_chunk(seal, layer, entry, &to, from.offset,
                          (struct range){at, left < MIRROR_CHUNK_BYTES ? left : MIRROR_CHUNK_BYTES});
    }
    return rc;
}

static int seal_follow(struct seal *seal, const struct edit_layer *layer, const struct follow *follow)
{
    struct follow_value value, earlier;
    struct inst inst;
    struct plat_err why = {0};
    char path[128];
    int rc = image_follow(layer->after, follow, &value, &why);
    if (rc == PLAT_ENOTFOUND || (rc == 0 && !value.stale))
        return 0;
    if (rc == 0 && !seal->all) {
        rc = image_follow(layer->before, follow, &earlier, &why);
        if (rc == 0 && earlier.place.bytes == value.place.bytes &&
            memcmp(earlier.bytes, value.bytes, (size_t)value.place.bytes) == 0)
            return 0;
        rc = rc == PLAT_ENOTFOUND ? 0 : rc;
    }
    if (rc == 0)
        rc = image_map_inst(layer->after, follow->entry, follow->index, &inst, &why);
    if (rc != 0) {
        if (seal->err != NULL)
            *seal->err = why;
        return rc;
    }
    if (follow->entry->count != NULL) {
        (void)snprintf(path, sizeof path, "%s[%llu]", follow->entry->name, (unsigned long long)follow->index);
        inst.path = path;
    }
    if (!selected(seal, layer, inst.path))
        return 0;
    seal->moved = true;
    return edit_put(seal->edit, layer, &inst, value.place, value.bytes, EDIT_FOLLOWS, seal->err);
}

static int seal_maps(struct seal *seal)
{
    struct edit *edit = seal->edit;
    const struct walk_sink sink = {.ctx = seal, .instance = seal_instance};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < edit->n_layers; i++) {
        const struct edit_layer *layer = &edit->layers[i];
        const struct layout *layout = layer->after->layout;
        image_invalidate(layer->after);
        rc = image_walk_map(layer->after, &sink, seal->err);
        for (size_t k = 0; rc == 0 && k < layout->n_follows; k++) {
            image_invalidate(layer->after);
            rc = seal_follow(seal, layer, &layout->follows[k]);
        }
        image_invalidate(layer->after);
        for (size_t k = 0; rc == 0 && k < layout->n_map; k++)
            if (layout->map[k].mirror != NULL)
                rc = seal_mirror(seal, layer, &layout->map[k]);
    }
    return rc;
}

static int seal_walks(struct seal *seal)
{
    const struct walk_sink sink = {.ctx = seal, .instance = seal_instance};
    struct stack_options options = seal->edit->options->stack;
    struct stack *stack;
    options.degraded = true;
    int rc = stack_open(seal->edit->overlay, &options, &stack, seal->err);
    if (rc != 0) /* nothing is recognised any more: judging says so */
        return rc == PLAT_EIO || rc == PLAT_ENOMEM ? rc : 0;
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        struct plat_err why = {0};
        if (layer->fs == NULL || layer->driver->walk == NULL)
            continue;
        rc = layer->driver->walk(layer->fs, &sink, &why);
        if (rc == PLAT_ECORRUPT || rc == PLAT_ELIMIT || rc == PLAT_EUNSUPPORTED || rc == PLAT_ENOTFOUND)
            rc = 0; /* damage is for judging */
        else if (rc != 0 && why.class == rc && seal->err != NULL && seal->err->class != rc)
            *seal->err = why;
    }
    stack_close(stack);
    return rc;
}

int edit_seal(struct edit *edit, bool all, const struct field_path *path, struct plat_err *err)
{
    struct seal seal = {.edit = edit, .path = path, .all = all, .moved = true, .err = err};
    int rc = 0;
    for (int pass = 0; rc == 0 && seal.moved; pass++) {
        if (pass == EDIT_MAX_PASSES)
            return err_set(err, PLAT_ELIMIT,
                           "derived values depend on one another in a circle, or through more "
                           "than %d levels",
                           (int)EDIT_MAX_PASSES);
        seal.moved = false;
        rc = seal_maps(&seal);
        if (rc == 0)
            rc = seal_walks(&seal);
        /* A table that was unreadable may show its partitions now. */
        if (rc == 0 && !seal.moved && all)
            rc = edit_adopt(edit, &seal.moved, err);
    }
    return rc;
}
