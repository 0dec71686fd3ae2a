/* plat map --json. */
#include <inttypes.h>
#include <string.h>

#include "inspect/map_show.h"
#include "inspect/render.h"

enum { FLUSH_BYTES = 1 << 16 };

static void put_text(struct strbuf *out, const char *text)
{
    strbuf_json(out, text, strlen(text));
}

static void put_place(struct strbuf *out, struct range place)
{
    strbuf_printf(out, "\"offset\": %" PRIu64 ", \"bytes\": %" PRIu64, place.start, place.bytes);
}

static int on_row(void *ctx, const struct map_row *row)
{
    struct map_show *show = ctx;
    const struct stack *stack = show->map->image->stack;
    const struct stack_layer *layer = row->layer == CLAIM_NO_LAYER ? NULL : &stack->layers[row->layer];
    struct strbuf *out = &show->out;
    if (show->summary || show->shown == show->max)
        return 0;
    strbuf_puts(out, show->shown++ == 0 ? "\n  {" : ",\n  {");
    put_place(out, row->place);
    strbuf_printf(out, ", \"kind\": \"%s\", \"layer\": ", extent_kind_name(row->kind));
    if (layer != NULL)
        put_text(out, layer->prefix);
    else
        strbuf_puts(out, "null");
    strbuf_puts(out, ", \"path\": ");
    if (row->path[0] != '\0')
        put_text(out, row->path);
    else
        strbuf_puts(out, "null");
    if (row->kind == EXTENT_DATA && layer != NULL && layer->driver != NULL && layer->driver->pieces == NULL)
        strbuf_printf(out, ", \"position\": %" PRIu64, row->position);
    if (row->kind == EXTENT_UNCLAIMED)
        strbuf_printf(out, ", \"zero\": %s", row->nonzero ? "false" : "true");
    if (row->n_others > 0) {
        strbuf_puts(out, row->shared ? ", \"shared_with\": [" : ", \"overlaps\": [");
        for (size_t i = 0; i < row->n_others; i++) {
            strbuf_puts(out, i > 0 ? ", " : "");
            put_text(out, row->others[i]);
        }
        strbuf_printf(out, "], \"more\": %" PRIu64, row->n_more);
    }
    strbuf_putc(out, '}');
    return out->len < FLUSH_BYTES && !out->failed ? 0 : render_flush(out);
}

static void put_layers(struct map_show *show)
{
    const struct stack *stack = show->map->image->stack;
    struct strbuf *out = &show->out;
    for (size_t i = 0; i < stack->n_layers; i++) {
        const struct stack_layer *layer = &stack->layers[i];
        strbuf_puts(out, i == 0 ? "\n  {\"prefix\": " : ",\n  {\"prefix\": ");
        put_text(out, layer->prefix);
        strbuf_puts(out, ", \"title\": ");
        put_text(out, inspect_layer_title(layer));
        strbuf_puts(out, ", ");
        put_place(out, (struct range){layer->dev->base_offset, layer->dev->size_bytes});
        if (layer->from_table)
            strbuf_printf(out, ", \"partition\": %" PRIu32, layer->partition.number);
        strbuf_putc(out, '}');
    }
}

static void put_findings(struct map_show *show)
{
    const struct map *map = show->map;
    struct strbuf *out = &show->out;
    for (size_t i = 0; i < map->n_findings; i++) {
        const struct map_finding *finding = &map->findings[i];
        strbuf_printf(out, "%s\n  {\"severity\": \"%s\", \"id\": ", i == 0 ? "" : ",",
                      severity_name(finding->severity));
        put_text(out, finding->id);
        strbuf_puts(out, ", \"path\": ");
        put_text(out, finding->path);
        if (finding->has_place) {
            strbuf_puts(out, ", ");
            put_place(out, finding->place);
        }
        strbuf_puts(out, ", \"text\": ");
        put_text(out, finding->text);
        strbuf_putc(out, '}');
    }
}

int map_json(struct map_show *show, struct plat_err *err)
{
    const struct map *map = show->map;
    struct strbuf *out = &show->out;
    strbuf_puts(out, "{\"image\": ");
    put_text(out, map->image->name);
    strbuf_printf(out, ", \"bytes\": %" PRIu64 ", \"mapped\": [", map->image->dev->size_bytes);
    for (size_t i = 0; i < map->n_windows; i++) {
        strbuf_puts(out, i == 0 ? "{" : ", {");
        put_place(out, map->windows[i]);
        strbuf_putc(out, '}');
    }
    strbuf_puts(out, "],\n \"layers\": [");
    put_layers(show);
    strbuf_puts(out, "],\n \"ranges\": [");
    int rc = map_sweep(show->map, on_row, show, err);
    if (rc != 0)
        return rc;
    strbuf_puts(out, "],\n \"findings\": [");
    put_findings(show);
    strbuf_puts(out, "],\n \"totals\": {");
    uint64_t rows = 0;
    for (size_t k = 0; k < EXTENT_KINDS; k++) {
        strbuf_printf(out, "\"%s\": {\"bytes\": %" PRIu64 ", \"ranges\": %" PRIu64 "}, ",
                      extent_kind_name((enum extent_kind)k), map->totals.bytes[k], map->totals.rows[k]);
        rows += map->totals.rows[k];
    }
    strbuf_printf(out, "\"ranges\": %" PRIu64 ", \"not_shown\": %" PRIu64 ", \"findings\": %" PRIu64 "}}\n",
                  rows, rows - show->shown, map_n_findings(map));
    return 0;
}
