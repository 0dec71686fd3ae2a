/* Gathering the places where faults can be, and drawing faults from them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/mutate.h"
#include "lib/hash/hash.h"

enum { MAX_GROUPS = 8192, TRIES = 400 };

struct gather {
    struct mutate *mutate;
    const struct inst *top; /* at hand */
    const struct stack_layer *layer;
    struct strbuf path;
    struct { /* the structure before: a neighbour to be swapped with */
        const struct type *type;
        uint64_t start, index;
        size_t bytes;
    } before;
    struct plat_err *err;
};

/* ---- groups ---- */

static struct mutate_group *group_of(struct mutate *mutate, const struct mutate_group *like)
{
    for (size_t i = mutate->n_groups; i-- > 0;) {
        struct mutate_group *group = &mutate->groups[i];
        if (group->kind == like->kind && group->layer == like->layer && group->type == like->type &&
            group->field == like->field && group->extent == like->extent && group->unused == like->unused)
            return group;
    }
    if (mutate->n_groups == MAX_GROUPS)
        return NULL;
    struct mutate_group *list = realloc(mutate->groups, (mutate->n_groups + 1) * sizeof *list);
    if (list == NULL)
        return NULL;
    mutate->groups = list;
    list[mutate->n_groups] = *like;
    return &list[mutate->n_groups++];
}

/* A path above it, as it stands (brackets and all), or a pattern that it fits. */
static bool is_under(const char *pattern, const char *path)
{
    const size_t n = strlen(pattern);
    if (strncmp(path, pattern, n) == 0 &&
        (path[n] == '\0' || path[n] == '.' || path[n] == '[' || path[n] == ':' || path[n] == '/'))
        return true;
    return glob_match(pattern, path);
}

static bool is_wanted(const struct mutate *mutate, const char *path)
{
    bool wanted = mutate->n_only == 0;
    for (size_t i = 0; !wanted && i < mutate->n_only; i++)
        wanted = is_under(mutate->only[i], path);
    return wanted;
}

/* All that are seen have the same chance to be kept. */
static int keep(struct gather *gather, const struct mutate_group *like, const struct mutate_target *target,
                const char *path)
{
    struct mutate *mutate = gather->mutate;
    if (!is_wanted(mutate, path))
        return 0;
    struct mutate_group *group = group_of(mutate, like);
    if (group == NULL)
        return err_nomem(gather->err, "gathering fields");
    group->seen++;
    size_t slot = group->n;
    if (group->n == MUTATE_GROUP_TARGETS) {
        const uint64_t drawn = mutate_random(mutate, group->seen);
        if (drawn >= MUTATE_GROUP_TARGETS)
            return 0;
        slot = (size_t)drawn;
    } else if ((group->n & (group->n - 1)) == 0) {
        const size_t cap = group->n == 0 ? 1 : 2 * group->n;
        struct mutate_target *list = realloc(group->targets, cap * sizeof *list);
        if (list == NULL)
            return err_nomem(gather->err, "gathering fields");
        group->targets = list;
    }
    char *copy = strdup(path);
    if (copy == NULL)
        return err_nomem(gather->err, "gathering fields");
    if (slot < group->n)
        free(group->targets[slot].path);
    else
        group->n++;
    group->targets[slot] = *target;
    group->targets[slot].path = copy;
    return 0;
}

/* ---- a structure ---- */

/* Bytes of a structure (`part` counts from its first one) in the image. */
static int place_of(struct gather *gather, const struct inst *inst, struct range part, uint64_t *ret)
{
    const struct stack_layer *layer = gather->layer;
    struct plat_err why = {0};
    if (inst->source.stream == NULL) {
        *ret = inst->offset + part.start;
        return 0;
    }
    struct inst inner = *inst;
    inner.source.block.start -= layer->dev->base_offset;
    if (layer->fs == NULL || layer->driver->stored == NULL)
        return PLAT_EUNSUPPORTED;
    uint64_t at;
    int rc = layer->driver->stored(layer->fs, &inner, part, &at, &why);
    if (rc == 0)
        *ret = at + layer->dev->base_offset;
    else if ((rc == PLAT_EIO || rc == PLAT_ENOMEM) && gather->err != NULL)
        *gather->err = why;
    return rc;
}

static bool is_fatal(int rc)
{
    return rc == PLAT_EIO || rc == PLAT_ENOMEM;
}

static struct mutate_target target_in(const struct gather *gather, const struct inst *inst)
{
    const struct inst *top = gather->top;
    const bool in_stream = top->source.stream != NULL;
    return (struct mutate_target){.index = inst->index,
                                  .top = in_stream ? 0 : top->offset - gather->layer->dev->base_offset,
                                  .top_bytes = top->size_bytes,
                                  .top_index = top->index,
                                  .top_type = top->type,
                                  .image = top->image,
                                  .in_stream = in_stream};
}

static int on_value(void *ctx, const struct value *value, const char *name, unsigned level)
{
    struct gather *gather = ctx;
    const struct inst *top = gather->top;
    struct mutate_target target = target_in(gather, value->inst);
    (void)level;
    if (value->n == 0)
        return 0;
    const struct range part = {(uint64_t)(value->bytes - top->bytes), value->n};
    int rc = place_of(gather, top, part, &target.place.start);
    if (rc != 0) {
        gather->mutate->unreachable++;
        return is_fatal(rc) ? rc : 0;
    }
    target.place.bytes = value->n < MUTATE_VALUE_BYTES ? value->n : MUTATE_VALUE_BYTES;
    strbuf_truncate(&gather->path, 0);
    strbuf_printf(&gather->path, "%s%s%s", top->path, top->path[0] == '\0' ? "" : ".", name);
    if (gather->path.failed)
        return err_nomem(gather->err, "gathering fields");
    const struct mutate_group like = {.kind = top->is_mirror ? MUTATE_MIRROR : MUTATE_FIELD,
                                      .layer = gather->layer,
                                      .type = inst_shape(value->inst),
                                      .field = value->field,
                                      .unused = bytes_all(top->bytes, top->size_bytes, 0)};
    return keep(gather, &like, &target, strbuf_str(&gather->path));
}

static const struct stack_layer *layer_with(const struct stack *stack, const struct image *image)
{
    for (size_t i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].image == image)
            return &stack->layers[i];
    return NULL;
}

static int swap_with_before(struct gather *gather, const struct inst *inst, uint64_t start)
{
    const bool neighbours = gather->before.type == inst->type && gather->before.bytes == inst->size_bytes &&
                            gather->before.index + 1 == inst->index &&
                            gather->before.start + inst->size_bytes == start;
    int rc = 0;
    if (neighbours && inst->size_bytes <= MUTATE_SWAP_BYTES && inst->size_bytes > 0) {
        struct mutate_target target = target_in(gather, inst);
        const struct mutate_group like = {
            .kind = MUTATE_SWAP, .layer = gather->layer, .type = inst_shape(inst)};
        target.place = (struct range){gather->before.start, 2 * (uint64_t)inst->size_bytes};
        target.in_stream = true;
        rc = keep(gather, &like, &target, inst->path);
    }
    gather->before.type = inst->type;
    gather->before.bytes = inst->size_bytes;
    gather->before.index = inst->index;
    gather->before.start = start;
    return rc;
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct gather *gather = ctx;
    const struct field_sink sink = {.ctx = gather, .value = on_value};
    struct plat_err why = {0};
    uint64_t start = 0;
    gather->top = inst;
    gather->layer = layer_with(gather->mutate->stack, inst->image);
    if (gather->layer == NULL)
        return 0;
    int rc = fields_visit(inst, &sink, &why);
    if (is_fatal(rc))
        return gather->err != NULL && gather->err->class == rc ? rc
                                                               : err_nomem(gather->err, "gathering fields");
    rc = place_of(gather, inst, (struct range){0, inst->size_bytes}, &start);
    if (rc == 0)
        return swap_with_before(gather, inst, start);
    gather->before.type = NULL;
    return is_fatal(rc) ? rc : 0;
}

static int on_extent(void *ctx, const struct extent *extent)
{
    struct gather *gather = ctx;
    const struct mutate *mutate = gather->mutate;
    const struct stack_layer *layer = NULL;
    for (size_t i = 0; i < mutate->stack->n_layers; i++) {
        const struct stack_layer *one = &mutate->stack->layers[i];
        if (extent->place.start >= one->dev->base_offset &&
            extent->place.start - one->dev->base_offset < one->dev->size_bytes)
            layer = one; /* the innermost comes last */
    }
    const struct mutate_group like = {.kind = MUTATE_EXTENT, .layer = layer, .extent = extent->kind};
    const struct mutate_target target = {.place = extent->place};
    /* What is not compressed is reached by its fields. */
    if (extent->kind == EXTENT_METADATA &&
        (layer == NULL || layer->fs == NULL || layer->driver->stored == NULL))
        return 0;
    if (extent->kind == EXTENT_UNCLAIMED || extent->place.bytes == 0 || layer == NULL ||
        !range_within(extent->place, mutate->dev->size_bytes))
        return 0;
    return keep(gather, &like, &target, extent->path);
}

int mutate_gather(struct mutate *mutate, struct plat_err *err)
{
    struct plat_err inner = {0};
    struct gather gather = {.mutate = mutate, .err = &inner};
    const struct walk_sink sink = {
        .ctx = &gather, .elements = true, .instance = on_instance, .extent = on_extent};
    int rc = stack_walk(mutate->stack, &sink, err);
    strbuf_free(&gather.path);
    if (rc != 0 && inner.class == rc && err != NULL)
        *err = inner;
    if (rc == 0 && mutate->n_groups == 0)
        return err_set(err, PLAT_ENOTFOUND, "there is nothing to plant a fault in%s",
                       mutate->n_only > 0        ? " under --only; plat dump shows the paths"
                       : mutate->unreachable > 0 ? ": all that could be is compressed"
                                                 : "");
    return rc;
}

void mutate_free(struct mutate *mutate)
{
    for (size_t i = 0; i < mutate->n_groups; i++) {
        for (size_t k = 0; k < mutate->groups[i].n; k++)
            free(mutate->groups[i].targets[k].path);
        free(mutate->groups[i].targets);
    }
    free(mutate->groups);
    free(mutate->done);
    free(mutate->known);
    mutate->groups = NULL;
    mutate->done = mutate->known = NULL;
    mutate->n_groups = mutate->cap_done = mutate->cap_known = 0;
}

/* ---- drawing ---- */

/* Slot of a hash, where it is or would be. */
static size_t done_slot(const struct mutate *mutate, uint64_t hash)
{
    size_t slot = (size_t)hash & (mutate->cap_done - 1);
    while (mutate->done[slot] != 0 && mutate->done[slot] != hash)
        slot = (slot + 1) & (mutate->cap_done - 1);
    return slot;
}

/* False: there was such a fault before. */
static int mark_done(struct mutate *mutate, const struct mutate_fault *fault, bool *ret, struct plat_err *err)
{
    uint64_t words[4] = {fault->at, fault->n, fault->sealed, hash_xxh64(fault->new, fault->n)};
    uint64_t hash = hash_xxh64(words, sizeof words);
    hash += hash == 0;
    if (mutate->cap_done == 0) {
        mutate->cap_done = 4 * (size_t)131072;
        mutate->done = calloc(mutate->cap_done, sizeof *mutate->done);
        if (mutate->done == NULL) {
            mutate->cap_done = 0;
            return err_nomem(err, "drawing faults");
        }
    }
    const size_t slot = done_slot(mutate, hash);
    *ret = mutate->done[slot] == 0 && mutate->n_done < MUTATE_MAX_COUNT;
    if (*ret) {
        mutate->done[slot] = hash;
        mutate->n_done++;
    }
    return 0;
}

static int draw_field(struct mutate *mutate, struct mutate_fault *fault, struct plat_err *err)
{
    const struct mutate_group *group = fault->group;
    const struct mutate_target *target = fault->target,
                               *other = &group->targets[mutate_random(mutate, group->n)];
    uint8_t others[MUTATE_VALUE_BYTES];
    const size_t n = (size_t)target->place.bytes;
    const bool has_other = other != target && other->place.bytes == n;
    int rc = dev_read(mutate->dev, target->place.start, fault->old, n, err);
    if (rc == 0 && has_other)
        rc = dev_read(mutate->dev, other->place.start, others, n, err);
    fault->at = target->place.start;
    fault->n = n;
    if (rc == 0)
        fault->what = mutate_value(mutate, group->field, fault->old, has_other ? others : NULL, n,
                                   target->index, fault->new);
    return rc;
}

static int draw_swap(const struct mutate *mutate, struct mutate_fault *fault, struct plat_err *err)
{
    const size_t n = (size_t)fault->target->place.bytes;
    fault->at = fault->target->place.start;
    fault->n = n;
    fault->what = "swap";
    int rc = dev_read(mutate->dev, fault->at, fault->old, n, err);
    memcpy(fault->new, fault->old + n / 2, n / 2);
    memcpy(fault->new + n / 2, fault->old, n / 2);
    return rc;
}

static int draw_extent(struct mutate *mutate, struct mutate_fault *fault, struct plat_err *err)
{
    fault->at = fault->target->place.start + mutate_random(mutate, fault->target->place.bytes);
    fault->n = 1;
    fault->what = "bit";
    int rc = dev_read(mutate->dev, fault->at, fault->old, 1, err);
    fault->new[0] = fault->old[0] ^ (uint8_t)(1u << mutate_random(mutate, 8));
    return rc;
}

/* Contents have no other contents to be right with: sealing them would make a file of another text, and no fault. */
static bool draw_seal(struct mutate *mutate, const struct mutate_fault *fault, bool *ret)
{
    const bool can = fault->group->kind != MUTATE_EXTENT && !fault->target->in_stream;
    if (!can && !mutate->unsealed)
        return false;
    *ret = can && mutate->sealed && (!mutate->unsealed || mutate_random(mutate, 2) == 0);
    return true;
}

static int draw_in(struct mutate *mutate, const struct mutate_group *group, struct mutate_fault *fault,
                   bool *ret, struct plat_err *err)
{
    int rc = 0;
    *ret = false;
    for (unsigned i = 0; rc == 0 && !*ret && i < TRIES; i++) {
        fault->group = group;
        fault->target = &group->targets[mutate_random(mutate, group->n)];
        fault->what = NULL;
        if (!draw_seal(mutate, fault, &fault->sealed))
            return 0;
        rc = group->kind == MUTATE_SWAP     ? draw_swap(mutate, fault, err)
             : group->kind == MUTATE_EXTENT ? draw_extent(mutate, fault, err)
                                            : draw_field(mutate, fault, err);
        if (rc == 0 && fault->what != NULL && memcmp(fault->old, fault->new, fault->n) != 0)
            rc = mark_done(mutate, fault, ret, err);
    }
    return rc;
}

int mutate_draw(struct mutate *mutate, struct mutate_fault *ret, struct plat_err *err)
{
    for (size_t i = 0; i < mutate->n_groups; i++) {
        bool found = false;
        struct mutate_group *group = &mutate->groups[mutate->turn];
        mutate->turn = (mutate->turn + 1) % mutate->n_groups;
        int rc = group->dry ? 0 : draw_in(mutate, group, ret, &found, err);
        if (rc != 0 || found)
            return rc;
        group->dry = true;
    }
    return PLAT_ENOTFOUND;
}
