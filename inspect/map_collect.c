/* Walking all layers of an image for what they claim. */
#include <stdlib.h>
#include <string.h>

#include "inspect/map.h"

int map_report(struct map *map, const struct map_finding *finding)
{
    if (map->n_findings == MAP_FINDINGS) {
        map->n_left_off++;
        return 0;
    }
    struct map_finding *kept = &map->findings[map->n_findings];
    *kept = *finding;
    kept->id = arena_strdup(&map->arena, finding->id);
    kept->path = arena_strdup(&map->arena, finding->path != NULL ? finding->path : "");
    kept->text = arena_strdup(&map->arena, finding->text != NULL ? finding->text : "");
    if (kept->id == NULL || kept->path == NULL || kept->text == NULL)
        return err_nomem(&map->err, "collecting findings");
    map->n_findings++;
    return 0;
}

static int on_finding(void *ctx, const struct finding *finding)
{
    const struct map_finding copy = {.severity = finding->severity,
                                     .id = finding->id,
                                     .path = finding->path,
                                     .has_place = finding->has_offset,
                                     .place = {finding->offset, finding->bytes},
                                     .text = finding->text};
    return map_report(ctx, &copy);
}

static int on_extent(void *ctx, const struct extent *extent)
{
    struct map *map = ctx;
    const uint64_t size = map->image->dev->size_bytes;
    struct range place = extent->place;
    if (place.bytes == 0 || place.start >= size)
        return 0;
    if (place.bytes > size - place.start)
        place.bytes = size - place.start;
    const struct stack_layer *layer = inspect_layer_at(map->image, extent->path);
    const struct claim claim = {.place = place,
                                .position = extent->position,
                                .layer = layer == NULL ? (uint32_t)CLAIM_NO_LAYER
                                                       : (uint32_t)(layer - map->image->stack->layers),
                                .kind = extent->kind,
                                .path = extent->path};
    return claims_add(map->claims, &claim, &map->err);
}

/* What is to be covered: all, or the partition behind -p; of layers that share it, the bytes of the one. */
static void find_windows(struct map *map, bool part)
{
    const struct stack *stack = map->image->stack;
    map->n_windows = 1;
    map->windows[0] = (struct range){0, stack->dev->size_bytes};
    if (!part || stack->n_layers == 0)
        return;
    const struct stack_layer *layer = &stack->layers[0];
    const uint64_t base = layer->dev->base_offset;
    map->windows[0] = (struct range){base, layer->dev->size_bytes};
    if (!layer->beside || layer->fs == NULL || layer->driver->share == NULL)
        return;
    struct range own[FS_SHARE_RANGES];
    const size_t n = layer->driver->share->own(layer->fs, own);
    for (size_t i = 0; i < n && i < MAP_WINDOWS; i++)
        map->windows[i] = (struct range){base + own[i].start, own[i].bytes};
    map->n_windows = n > 0 ? n : 1;
}

/* Layers that were recognised and could not be opened: all of such a one counts as data. */
static int report_closed(struct map *map)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < map->image->stack->n_layers; i++) {
        const struct stack_layer *layer = &map->image->stack->layers[i];
        if (layer->driver == NULL || layer->fs != NULL || layer->refusal[0] != '\0')
            continue;
        const struct map_finding finding = {.severity = SEVERITY_ERROR,
                                            .id = "open",
                                            .path = layer->prefix,
                                            .has_place = true,
                                            .place = {layer->dev->base_offset, layer->dev->size_bytes},
                                            .text = layer->err.text};
        rc = map_report(map, &finding);
    }
    return rc;
}

int map_open(const struct inspect_image *image, bool part, struct map *ret, struct plat_err *err)
{
    *ret = (struct map){.image = image};
    find_windows(ret, part);
    ret->layers = calloc(image->stack->n_layers + 1, sizeof *ret->layers);
    if (ret->layers == NULL)
        return err_nomem(err, "collecting ranges");
    int rc = claims_open(0, &ret->claims, err);
    if (rc != 0)
        return rc;
    const struct walk_sink sink = {
        .ctx = ret, .extent = on_extent, .findings = {.fn = on_finding, .ctx = ret}};
    rc = report_closed(ret);
    if (rc == 0)
        rc = stack_walk(image->stack, &sink, err);
    if (rc != 0 && ret->err.class != 0 && err != NULL)
        *err = ret->err;
    return rc;
}

void map_close(struct map *map)
{
    claims_close(map->claims);
    free(map->layers);
    arena_free(&map->arena);
    map->claims = NULL;
    map->layers = NULL;
}

uint64_t map_bytes(const struct map *map)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < map->n_windows; i++)
        bytes += map->windows[i].bytes;
    return bytes;
}
