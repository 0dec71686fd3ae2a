/* plat map: the table, its scale, its totals. */
#include <inttypes.h>
#include <string.h>

#include "inspect/map_show.h"
#include "inspect/render.h"

enum {
    FLUSH_BYTES = 1 << 16,
    ROW_BAR_COLUMNS = 24,
    ROW_BAR_TERMINAL = 110, /* columns of a terminal that has room for it */
    WRONG = EXTENT_KINDS
};

static const enum extent_kind kinds_shown[] = {EXTENT_METADATA, EXTENT_DATA, EXTENT_FREE, EXTENT_PADDING,
                                               EXTENT_UNCLAIMED};

uint64_t map_n_findings(const struct map *map)
{
    return map->n_findings + map->n_left_off;
}

static enum paint kind_paint(enum extent_kind kind)
{
    static const enum paint paints[EXTENT_KINDS] = {[EXTENT_METADATA] = PAINT_NAME,
                                                    [EXTENT_DATA] = PAINT_VALUE,
                                                    [EXTENT_FREE] = PAINT_DIM,
                                                    [EXTENT_PADDING] = PAINT_DIM,
                                                    [EXTENT_UNCLAIMED] = PAINT_WARNING};
    return paints[kind];
}

/* ---- scale ---- */

/* Where a byte of the image lies in what is mapped, laid out without the gaps between windows. */
static uint64_t window_position(const struct map *map, uint64_t offset)
{
    uint64_t before = 0;
    for (size_t i = 0; i < map->n_windows; i++) {
        const struct range window = map->windows[i];
        if (offset < window.start + window.bytes)
            return before + (offset > window.start ? offset - window.start : 0);
        before += window.bytes;
    }
    return before;
}

/* Column of a position; computed so that no product overflows. */
static size_t column_of(uint64_t position, uint64_t total, size_t columns)
{
    const size_t column = (size_t)((double)position / (double)total * (double)columns);
    return column < columns ? column : columns - 1;
}
static uint64_t column_start(size_t column, uint64_t total, size_t columns)
{
    return (uint64_t)((double)total / (double)columns * (double)column);
}

static void bar_count(struct map_show *show, const struct map_row *row)
{
    const uint64_t total = map_bytes(show->map);
    const uint64_t from = window_position(show->map, row->place.start), to = from + row->place.bytes;
    const size_t last = column_of(to - 1, total, show->n_columns);
    const bool wrong = row->nonzero || (row->n_others > 0 && !row->shared);
    for (size_t i = column_of(from, total, show->n_columns); i <= last; i++) {
        const uint64_t left = column_start(i, total, show->n_columns);
        const uint64_t right = i + 1 == show->n_columns ? total : column_start(i + 1, total, show->n_columns);
        const uint64_t a = from > left ? from : left, b = to < right ? to : right;
        const uint64_t bytes = a < b ? b - a : 1;
        show->columns[i][row->kind] += bytes;
        show->columns[i][WRONG] += wrong ? bytes : 0;
    }
}

static void bar_print(struct map_show *show)
{
    static const char full[EXTENT_KINDS] = {'M', 'D', '.', '-', ' '};
    static const char part[EXTENT_KINDS] = {'m', 'd', '.', '-', ' '};
    struct strbuf *out = &show->out;
    const size_t n_columns = show->n_columns;
    if (n_columns == 0)
        return;
    strbuf_puts(out, "\n[");
    for (size_t i = 0; i < n_columns; i++) {
        const uint64_t *bytes = show->columns[i];
        uint64_t all = 0;
        enum extent_kind most = EXTENT_FREE;
        for (size_t k = 0; k < EXTENT_KINDS; k++) {
            all += bytes[k];
            most = bytes[k] > bytes[most] ? (enum extent_kind)k : most;
        }
        if (bytes[EXTENT_DATA] + bytes[EXTENT_METADATA] > 0)
            most = bytes[EXTENT_DATA] >= bytes[EXTENT_METADATA] ? EXTENT_DATA : EXTENT_METADATA;
        const bool wrong = bytes[WRONG] > 0;
        const char letter = wrong ? '!' : bytes[most] >= all / 2 ? full[most] : part[most];
        strbuf_puts(out, paint(show->cli, wrong ? PAINT_ERROR : kind_paint(most)));
        strbuf_putc(out, letter);
        strbuf_puts(out, paint(show->cli, PAINT_PLAIN));
    }
    char size[16];
    format_size(map_bytes(show->map) / n_columns, size);
    strbuf_printf(out,
                  "]\n M metadata  D data  . free  - padding  ! finding; small letters: less than half; "
                  "a column is %s\n",
                  size);
}

/* The place of one row in the whole. */
static void row_bar(struct map_show *show, const struct map_row *row)
{
    const uint64_t total = map_bytes(show->map);
    const uint64_t from = window_position(show->map, row->place.start);
    const size_t first = column_of(from, total, ROW_BAR_COLUMNS);
    const size_t last = column_of(from + row->place.bytes - 1, total, ROW_BAR_COLUMNS);
    strbuf_puts(&show->out, paint(show->cli, PAINT_DIM));
    for (size_t i = 0; i < ROW_BAR_COLUMNS; i++)
        strbuf_putc(&show->out, i >= first && i <= last ? '#' : '.');
    strbuf_printf(&show->out, "%s  ", paint(show->cli, PAINT_PLAIN));
}

/* ---- rows ---- */

static void row_others(struct map_show *show, const struct map_row *row)
{
    struct strbuf *out = &show->out;
    if (row->n_others == 0)
        return;
    strbuf_puts(out, paint(show->cli, row->shared ? PAINT_DIM : PAINT_ERROR));
    strbuf_puts(out, row->shared ? "  shared with " : "  overlaps ");
    for (size_t i = 0; i < row->n_others; i++) {
        strbuf_puts(out, i > 0 ? ", " : "");
        strbuf_visible(out, row->others[i], strlen(row->others[i]));
    }
    if (row->n_more > 0) {
        strbuf_puts(out, " and ");
        render_count(out, row->n_more);
        strbuf_puts(out, " more");
    }
    strbuf_puts(out, paint(show->cli, PAINT_PLAIN));
}

static int on_row(void *ctx, const struct map_row *row)
{
    struct map_show *show = ctx;
    struct strbuf *out = &show->out;
    struct strbuf count = {0};
    if (show->n_columns > 0)
        bar_count(show, row);
    if (show->summary || show->shown == show->max)
        return 0;
    show->shown++;
    render_count(&count, row->place.bytes);
    strbuf_printf(out, "0x%012" PRIx64 " %18s  %s%-9s%s  ", row->place.start, strbuf_str(&count),
                  paint(show->cli, kind_paint(row->kind)), extent_kind_name(row->kind),
                  paint(show->cli, PAINT_PLAIN));
    strbuf_free_into(&count, out);
    if (show->cli->out_tty && show->cli->columns >= ROW_BAR_TERMINAL)
        row_bar(show, row);
    if (row->path[0] == '\0')
        strbuf_putc(out, '-');
    else
        strbuf_visible(out, row->path, strlen(row->path));
    row_others(show, row);
    if (row->nonzero)
        strbuf_printf(out, "%s  not zero: 0x%" PRIx64 "%s", paint(show->cli, PAINT_ERROR), row->nonzero_at,
                      paint(show->cli, PAINT_PLAIN));
    strbuf_putc(out, '\n');
    return out->len < FLUSH_BYTES && !out->failed ? 0 : render_flush(out);
}

/* ---- around them ---- */

static void heading(struct map_show *show)
{
    const struct stack *stack = show->map->image->stack;
    struct strbuf *out = &show->out;
    for (size_t i = 0; i < stack->n_layers; i++) {
        strbuf_puts(out, paint(show->cli, PAINT_DIM));
        render_layer(out, &stack->layers[i]);
        strbuf_printf(out, "%s\n", paint(show->cli, PAINT_PLAIN));
    }
    if (!show->summary)
        strbuf_printf(out, "\n%s%-14s %18s  %-9s  %s%s\n", paint(show->cli, PAINT_STRONG), "OFFSET", "BYTES",
                      "KIND", "OWNER", paint(show->cli, PAINT_PLAIN));
}

static void totals_line(struct map_show *show, const char *name, const struct map_totals *totals)
{
    struct strbuf *out = &show->out;
    uint64_t all = 0;
    for (size_t k = 0; k < EXTENT_KINDS; k++)
        all += totals->bytes[k];
    if (all == 0)
        return;
    strbuf_visible(out, name, strlen(name));
    strbuf_putc(out, ':');
    const char *comma = " ";
    for (size_t i = 0; i < sizeof kinds_shown / sizeof *kinds_shown; i++) {
        const enum extent_kind kind = kinds_shown[i];
        char size[16];
        if (totals->bytes[kind] == 0)
            continue;
        format_size(totals->bytes[kind], size);
        strbuf_printf(out, "%s%s %s in ", comma, extent_kind_name(kind), size);
        render_plural(out, totals->rows[kind], "range");
        comma = ", ";
    }
    strbuf_putc(out, '\n');
}

static void summary(struct map_show *show)
{
    const struct map *map = show->map;
    const struct stack *stack = map->image->stack;
    uint64_t rows = 0;
    for (size_t k = 0; k < EXTENT_KINDS; k++)
        rows += map->totals.rows[k];
    if (!show->summary && show->shown < rows) {
        strbuf_puts(&show->out, "... ");
        render_plural(&show->out, rows - show->shown, "range");
        strbuf_puts(&show->out, " more; --max N shows more\n");
    }
    bar_print(show);
    strbuf_putc(&show->out, '\n');
    for (size_t i = 0; show->summary && stack->n_layers > 1 && i < stack->n_layers; i++)
        totals_line(show, stack->layers[i].prefix, &map->layers[i]);
    if (show->summary && stack->n_layers > 1)
        totals_line(show, "no layer", &map->layers[stack->n_layers]);
    totals_line(show, map->image->name, &map->totals);
}

static void findings(struct map_show *show)
{
    const struct map *map = show->map;
    struct strbuf *out = &show->out;
    for (size_t i = 0; i < map->n_findings; i++) {
        const struct map_finding *finding = &map->findings[i];
        strbuf_printf(out, "%s: %s%s%s: ", map->image->name,
                      paint(show->cli, paint_severity(finding->severity)), severity_name(finding->severity),
                      paint(show->cli, PAINT_PLAIN));
        strbuf_visible(out, finding->path, strlen(finding->path));
        if (finding->has_place)
            strbuf_printf(out, "%sat 0x%" PRIx64, finding->path[0] == '\0' ? "" : " ", finding->place.start);
        strbuf_puts(out, ": ");
        strbuf_visible(out, finding->text, strlen(finding->text));
        strbuf_putc(out, '\n');
    }
    strbuf_printf(out, "%s: ", map->image->name);
    render_plural(out, map_n_findings(map), "finding");
    if (map->n_left_off > 0) {
        strbuf_puts(out, ", ");
        render_count(out, map->n_left_off);
        strbuf_puts(out, " of them not shown");
    }
    strbuf_putc(out, '\n');
}

int map_text(struct map_show *show, struct plat_err *err)
{
    show->n_columns = 0;
    if (show->cli->out_tty && show->cli->columns > 20)
        show->n_columns = (size_t)show->cli->columns - 2;
    if (show->n_columns > MAP_BAR_COLUMNS)
        show->n_columns = MAP_BAR_COLUMNS;
    heading(show);
    int rc = map_sweep(show->map, on_row, show, err);
    if (rc != 0)
        return rc;
    summary(show);
    findings(show);
    return 0;
}
