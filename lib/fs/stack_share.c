/* Formats that share a device: which of them are there, and what belongs to whom. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/stack_private.h"

static size_t own_ranges(const struct stack_layer *layer, struct range ret[FS_SHARE_RANGES])
{
    return layer->fs != NULL && layer->driver->share != NULL ? layer->driver->share->own(layer->fs, ret) : 0;
}

static bool owns(const struct stack_layer *layer, uint64_t offset)
{
    struct range own[FS_SHARE_RANGES];
    const size_t n = own_ranges(layer, own);
    for (size_t i = 0; i < n; i++)
        if (offset >= own[i].start && offset - own[i].start < own[i].bytes)
            return true;
    return false;
}

bool stack_share_owns(const struct stack_layer *layer, uint64_t offset)
{
    struct range own[FS_SHARE_RANGES];
    return !layer->shared || own_ranges(layer, own) == 0 || owns(layer, offset);
}

uint64_t stack_share_bytes(const struct stack_layer *layer)
{
    struct range own[FS_SHARE_RANGES];
    const size_t n = layer->shared ? own_ranges(layer, own) : 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += own[i].bytes;
    return n == 0 ? layer->dev->size_bytes : bytes;
}

bool stack_share_name(const char *name, size_t *ret_bytes, const char **ret_prefix)
{
    const char *dash = strrchr(name, '-');
    for (size_t i = 0; dash != NULL && i < n_fs_drivers; i++) {
        if (fs_drivers[i]->share == NULL || strcmp(fs_drivers[i]->share->prefix, dash + 1) != 0)
            continue;
        *ret_bytes = (size_t)(dash - name);
        *ret_prefix = fs_drivers[i]->share->prefix;
        return true;
    }
    return false;
}

/* "data" and "fs": "data-fs"; "" and "fs": "fs". Cut to what there is room for. */
static void join(char *name, size_t room, const char *prefix)
{
    const size_t n = strlen(name);
    if (n + 1 < room)
        (void)snprintf(name + n, room - n, "%s%s", n == 0 ? "" : "-", prefix);
}

/* Layers from `first` on share their device. */
static void name_layers(struct stack *stack, size_t first)
{
    for (size_t i = first; i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        layer->shared = true;
        join(layer->prefix, sizeof layer->prefix, layer->driver->share->prefix);
        if (layer->alias[0] != '\0')
            join(layer->alias, sizeof layer->alias, layer->driver->share->prefix);
    }
}

/* Only one of the layers from `first` on, which then is as if it were alone. */
static int keep_only(struct stack *stack, size_t first, const char *only, struct plat_err *err)
{
    size_t kept = first;
    while (kept < stack->n_layers && (stack->layers[kept].driver->share == NULL ||
                                      strcmp(stack->layers[kept].driver->share->prefix, only) != 0))
        kept++;
    if (kept == stack->n_layers) {
        struct strbuf known = {0};
        for (size_t i = first; i < stack->n_layers; i++) {
            const struct fs_driver *driver = stack->layers[i].driver;
            strbuf_printf(&known, "%s%s", i == first ? "" : ", ",
                          driver->share != NULL ? driver->share->prefix : driver->name);
        }
        int rc = err_set(err, PLAT_ENOTFOUND, "no layer or partition '%.100s'; the image has %s", only,
                         strbuf_str(&known));
        strbuf_free(&known);
        return rc;
    }
    struct stack_layer layer = stack->layers[kept];
    for (size_t i = first; i < stack->n_layers; i++) {
        layer.owns_dev = layer.owns_dev || stack->layers[i].owns_dev;
        stack->layers[i].owns_dev = false;
        if (i != kept)
            stack_layer_close(&stack->layers[i]);
    }
    layer.beside = stack->n_layers > first + 1;
    stack->layers[first] = layer;
    stack->n_layers = first + 1;
    return 0;
}

int stack_share_open(struct stack *stack, const struct fs_probe_result *results,
                     const struct fs_open_options *options, const char *only, struct plat_err *err)
{
    const size_t first = stack->n_layers - 1;
    const struct stack_layer best = stack->layers[first];
    for (size_t i = 0; best.driver->share != NULL && i < n_fs_drivers; i++) {
        const struct fs_driver *driver = fs_drivers[i];
        struct stack_layer *layer;
        if (driver == best.driver || driver->share == NULL || results[i].score == 0 ||
            owns(&best, driver->share->offset))
            continue;
        int rc = stack_layer_add(stack, &layer, err);
        if (rc != 0)
            return rc;
        /* The last layer is closed last. */
        *layer = stack->layers[stack->n_layers - 2];
        stack->layers[stack->n_layers - 2].owns_dev = false;
        layer->fs = NULL;
        layer->image = NULL;
        rc = stack_layer_open(layer, driver, results[i].refusal, options, err);
        if (rc != 0)
            return rc;
    }
    if (only != NULL)
        return keep_only(stack, first, only, err);
    if (stack->n_layers > first + 1)
        name_layers(stack, first);
    return 0;
}

const struct fs_driver *stack_share_missing(const struct stack_layer *layer)
{
    struct range own[FS_SHARE_RANGES];
    if (layer->shared || layer->beside || own_ranges(layer, own) == 0)
        return NULL;
    for (size_t i = 0; i < n_fs_drivers; i++) {
        const struct fs_share *share = fs_drivers[i]->share;
        if (fs_drivers[i] != layer->driver && share != NULL && share->offset < layer->dev->size_bytes &&
            !owns(layer, share->offset))
            return fs_drivers[i];
    }
    return NULL;
}

/* ---- what belongs to nobody, or to two ---- */

static int compare_starts(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Layers [first, end) share a device. Where one does not know what is its own there is nothing to say. */
static int device_parts(const struct stack *stack, size_t first, size_t end, stack_share_fn fn, void *ctx)
{
    enum { LAYERS_MAX = 8 };
    const struct stack_layer *layer = &stack->layers[first];
    struct range all[LAYERS_MAX * FS_SHARE_RANGES] = {0};
    size_t n = 0, gaps = 0, overlaps = 0;
    uint64_t at = 0;
    int rc = 0;
    for (size_t i = first; i < end && i - first < LAYERS_MAX; i++) {
        const size_t own = own_ranges(&stack->layers[i], all + n);
        if (own == 0)
            return 0;
        n += own;
    }
    qsort(all, n, sizeof all[0], compare_starts);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const uint64_t own_end = all[i].start + all[i].bytes;
        if (all[i].start > at)
            rc = fn(ctx, layer, gaps++, (struct range){at, all[i].start - at}, false);
        else if (all[i].start < at)
            rc = fn(ctx, layer, overlaps++,
                    (struct range){all[i].start, (own_end < at ? own_end : at) - all[i].start}, true);
        at = own_end > at ? own_end : at;
    }
    if (rc == 0 && at < layer->dev->size_bytes)
        rc = fn(ctx, layer, gaps, (struct range){at, layer->dev->size_bytes - at}, false);
    return rc;
}

int stack_share_parts(struct stack *stack, stack_share_fn fn, void *ctx)
{
    int rc = 0;
    for (size_t i = 0, end; rc == 0 && i < stack->n_layers; i = end) {
        end = i + 1;
        if (!stack->layers[i].shared)
            continue;
        while (end < stack->n_layers && stack->layers[end].shared &&
               stack->layers[end].dev == stack->layers[i].dev)
            end++;
        rc = device_parts(stack, i, end, fn, ctx);
    }
    return rc;
}
