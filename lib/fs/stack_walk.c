/* Walking all layers as one: paths get prefixes, offsets become absolute, and what no layer owns becomes an
 * extent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/stack_private.h"

const char *stack_path(struct strbuf *buf, const char *prefix, const char *path)
{
    if (prefix[0] == '\0')
        return path;
    strbuf_truncate(buf, 0);
    strbuf_puts(buf, prefix);
    if (path[0] != '\0') {
        if (path[0] == '/')
            strbuf_putc(buf, ':');
        else if (path[0] != '[')
            strbuf_putc(buf, '.');
        strbuf_puts(buf, path);
    }
    return buf->failed ? NULL : strbuf_str(buf);
}

/* ---- ranges ---- */

int stack_ranges_add(struct stack_ranges *ranges, struct range range, struct plat_err *err)
{
    if (range.bytes == 0)
        return 0;
    /* Structures mostly follow one another: grow the last one where that says the same. */
    if (ranges->n > 0) {
        struct range *last = &ranges->list[ranges->n - 1];
        if (range.start == last->start + last->bytes) {
            last->bytes += range.bytes;
            return 0;
        }
        if (range.start >= last->start && range.start + range.bytes <= last->start + last->bytes)
            return 0;
    }
    if (ranges->n == ranges->cap) {
        if (ranges->n >= STACK_MAX_RANGES)
            return err_set(err, PLAT_ELIMIT, "a table has more than %d separate pieces",
                           (int)STACK_MAX_RANGES);
        size_t cap = ranges->cap == 0 ? 64 : ranges->cap * 2;
        struct range *list = realloc(ranges->list, cap * sizeof *list);
        if (list == NULL)
            return err_nomem(err, "collecting extents");
        ranges->list = list;
        ranges->cap = cap;
    }
    ranges->list[ranges->n++] = range;
    return 0;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

int stack_ranges_gaps(struct stack_ranges *ranges, uint64_t size_bytes, stack_gap_fn fn, void *ctx)
{
    uint64_t at = 0;
    size_t index = 0;
    if (ranges->n > 0)
        qsort(ranges->list, ranges->n, sizeof *ranges->list, compare_ranges);
    for (size_t i = 0; i <= ranges->n && at < size_bytes && index < STACK_MAX_GAPS; i++) {
        uint64_t start = i < ranges->n ? ranges->list[i].start : size_bytes;
        if (start > size_bytes)
            start = size_bytes;
        if (start > at) {
            int rc = fn(ctx, index++, (struct range){at, start - at});
            if (rc != 0)
                return rc;
        }
        if (i < ranges->n && ranges->list[i].start + ranges->list[i].bytes > at)
            at = ranges->list[i].start + ranges->list[i].bytes;
    }
    return 0;
}

/* ---- one layer ---- */

struct layer_walk {
    const struct walk_sink *outer;
    struct stack_layer *layer;
    struct strbuf path;          /* for instance, array, extent */
    struct strbuf finding_path;  /* for findings, which may come while a path above is in use */
    struct stack_ranges *ranges; /* collects what the layer owns; NULL: nobody asks */
    struct plat_err *err;
};

static bool layer_wants(void *ctx, const char *path)
{
    struct layer_walk *walk = ctx;
    struct strbuf buf = {0};
    const char *full = stack_path(&buf, walk->layer->prefix, path);
    bool wants = full == NULL || walk->outer->wants(walk->outer->ctx, full);
    strbuf_free(&buf);
    return wants;
}

static int layer_array(void *ctx, const char *path, uint64_t count, const struct type *type)
{
    struct layer_walk *walk = ctx;
    const char *full = stack_path(&walk->path, walk->layer->prefix, path);
    if (full == NULL)
        return err_nomem(walk->err, "walking an image");
    return walk->outer->array(walk->outer->ctx, full, count, type);
}

static int layer_extent(void *ctx, const struct extent *extent)
{
    struct layer_walk *walk = ctx;
    uint64_t base = walk->layer->dev->base_offset;
    struct extent outer = *extent;
    /* What a neighbour walks itself. */
    if (!stack_share_owns(walk->layer, extent->place.start))
        return 0;
    outer.place.start += base;
    if (walk->ranges != NULL) {
        int rc = stack_ranges_add(walk->ranges, extent->place, walk->err); /* in the layer's own bytes */
        if (rc != 0)
            return rc;
    }
    if (walk->outer->extent == NULL)
        return 0;
    outer.path = stack_path(&walk->path, walk->layer->prefix, extent->path);
    if (outer.path == NULL)
        return err_nomem(walk->err, "walking an image");
    return walk->outer->extent(walk->outer->ctx, &outer);
}

static int layer_instance(void *ctx, const struct inst *inst)
{
    struct layer_walk *walk = ctx;
    if (walk->outer->instance == NULL)
        return 0;
    struct inst outer = *inst;
    *(inst->source.stream != NULL ? &outer.source.block.start : &outer.offset) +=
        walk->layer->dev->base_offset;
    outer.path = stack_path(&walk->path, walk->layer->prefix, inst->path);
    if (outer.path == NULL)
        return err_nomem(walk->err, "walking an image");
    return walk->outer->instance(walk->outer->ctx, &outer);
}

static int layer_finding(void *ctx, const struct finding *finding)
{
    struct layer_walk *walk = ctx;
    struct finding outer = *finding;
    outer.offset += walk->layer->dev->base_offset;
    outer.path =
        stack_path(&walk->finding_path, walk->layer->prefix, finding->path != NULL ? finding->path : "");
    if (outer.path == NULL)
        return err_nomem(walk->err, "walking an image");
    return walk->outer->findings.fn(walk->outer->findings.ctx, &outer);
}

/* Walks what the layer knows of itself. Damage that ends the walk is a finding; what cannot be read at all
 * fails. */
static int walk_layer(struct stack_layer *layer, const struct walk_sink *outer, struct stack_ranges *ranges,
                      struct plat_err *err)
{
    struct layer_walk walk = {.outer = outer, .layer = layer, .ranges = ranges, .err = err};
    bool extents = outer->extent != NULL || ranges != NULL;
    const struct walk_sink sink = {
        .ctx = &walk,
        .elements = outer->elements,
        .wants = outer->wants != NULL ? layer_wants : NULL,
        .array = outer->array != NULL ? layer_array : NULL,
        .instance = outer->instance != NULL ? layer_instance : NULL,
        .extent = extents ? layer_extent : NULL,
        .findings = {.fn = outer->findings.fn != NULL ? layer_finding : NULL, .ctx = &walk},
    };
    struct plat_err why = {0};
    int rc = layer->fs != NULL && layer->fs->driver->walk != NULL
                 ? layer->fs->driver->walk(layer->fs, &sink, &why)
                 : image_walk_map(layer->image, &sink, &why);
    if (rc == PLAT_ECORRUPT || rc == PLAT_ELIMIT || rc == PLAT_EUNSUPPORTED || rc == PLAT_ENOTFOUND)
        rc = finding_report(&sink.findings, SEVERITY_ERROR, "walk", why.path,
                            why.has_offset ? &why.offset : NULL, NULL, "%s", why.text);
    else if (rc != 0 && why.class != 0 && err != NULL)
        *err = why;
    strbuf_free(&walk.path);
    strbuf_free(&walk.finding_path);
    return rc;
}

/* ---- gaps ---- */

/* A layer whose walk need not cover its whole device. */
static bool is_partial(const struct stack_layer *layer)
{
    return layer->image != NULL &&
           (layer->fs == NULL || layer->driver->partitions != NULL || layer->driver->walk == NULL);
}

int stack_gaps(struct stack *stack, stack_gap_fn fn, void *ctx, struct plat_err *err)
{
    struct stack_ranges ranges = {0};
    const struct walk_sink quiet = {0};
    int rc = 0;
    if (stack->n_layers == 0 || stack->table == NULL || stack->layers[0].from_table)
        return 0; /* no table, or only one partition of it was asked for */
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        if (!layer->from_table && layer->image != NULL)
            rc = walk_layer(layer, &quiet, &ranges, err);
    }
    for (size_t i = 0; rc == 0 && i < stack->n_partitions; i++) {
        struct range window;
        bool whole;
        if (stack_window(stack, &stack->partitions[i], &window, &whole))
            rc = stack_ranges_add(&ranges, window, err);
    }
    if (rc == 0)
        rc = stack_ranges_gaps(&ranges, stack->dev->size_bytes, fn, ctx);
    free(ranges.list);
    return rc;
}

struct gap_walk {
    const struct walk_sink *sink;
    uint64_t base;
    const char *prefix;
    bool unknown; /* bytes that a schema says nothing about, rather than space between partitions */
};

static int emit_gap(void *ctx, size_t index, struct range gap)
{
    struct gap_walk *walk = ctx;
    char path[TABLE_NAME_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s%s%s[%zu]", walk->prefix, walk->prefix[0] == '\0' ? "" : ".",
                   walk->unknown ? "unknown" : "gap", index);
    if (walk->sink->wants != NULL && !walk->sink->wants(walk->sink->ctx, path))
        return 0;
    struct extent extent = {.place = gap, .path = path};
    extent.place.start += walk->base;
    extent.kind = EXTENT_UNCLAIMED;
    return walk->sink->extent(walk->sink->ctx, &extent);
}

/* A partition or image that nobody understood: all of it is data. */
static int emit_opaque(const struct stack_layer *layer, const struct walk_sink *sink)
{
    const char *path = layer->prefix[0] != '\0' ? layer->prefix : layer->alias;
    if (sink->extent == NULL || (sink->wants != NULL && !sink->wants(sink->ctx, path)))
        return 0;
    struct extent extent = {
        .place = {layer->dev->base_offset, layer->dev->size_bytes}, .kind = EXTENT_DATA, .path = path};
    return sink->extent(sink->ctx, &extent);
}

/* A layer of a user's schema, or of a driver without a walk: its structures, then the bytes between them. */
static int walk_partial(struct stack_layer *layer, const struct walk_sink *sink, struct plat_err *err)
{
    struct stack_ranges ranges = {0};
    const struct walk_sink quiet = {0};
    int rc = walk_layer(layer, sink, NULL, err);
    if (rc == 0 && sink->extent != NULL)
        rc = walk_layer(layer, &quiet, &ranges, err);
    if (rc == 0 && sink->extent != NULL) {
        struct gap_walk walk = {
            .sink = sink, .base = layer->dev->base_offset, .prefix = layer->prefix, .unknown = true};
        rc = stack_ranges_gaps(&ranges, layer->dev->size_bytes, emit_gap, &walk);
    }
    free(ranges.list);
    return rc;
}

/* Bytes of a shared device that no layer owns. */
static int emit_unowned(void *ctx, const struct stack_layer *layer, size_t index, struct range part,
                        bool overlap)
{
    struct gap_walk *walk = ctx;
    if (overlap)
        return 0;
    walk->base = layer->dev->base_offset;
    walk->prefix = layer->alias;
    return emit_gap(walk, index, part);
}

int stack_walk(struct stack *stack, const struct walk_sink *sink, struct plat_err *err)
{
    for (size_t i = 0; i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        bool is_table = stack->table != NULL && !layer->from_table;
        int rc = 0;
        if (layer->image == NULL && layer->fs == NULL)
            rc = is_table ? 0 : emit_opaque(layer, sink);
        else if (is_partial(layer) && !is_table)
            rc = walk_partial(layer, sink, err);
        else
            rc = walk_layer(layer, sink, NULL, err);
        if (rc != 0)
            return rc;
    }
    if (sink->extent == NULL)
        return 0;
    struct gap_walk walk = {.sink = sink};
    int rc = stack_share_parts(stack, emit_unowned, &walk);
    if (rc != 0)
        return rc;
    walk = (struct gap_walk){.sink = sink, .base = stack->dev->base_offset, .prefix = ""};
    return stack_gaps(stack, emit_gap, &walk, err);
}
