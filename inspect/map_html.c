/* plat map --html: the page's template with style, script and data put in. */
#include "inspect/map_html.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inspect/map_html_private.h"
#include "inspect/map_page.h"
#include "lib/hash/hash.h"

enum { FLUSH_BYTES = 1 << 18, HASH_TEXT_BYTES = 64 };

int page_flush(struct page *page)
{
    struct strbuf *out = &page->out;
    if (out->failed)
        return err_nomem(page->err, "writing a page");
    int rc = out->len == 0 ? 0 : dev_write(page->dev, page->at, out->s, out->len, page->err);
    page->at += out->len;
    strbuf_truncate(out, 0);
    return rc;
}

int page_data(struct page *page, struct strbuf *json)
{
    struct strbuf *out = &page->out;
    const char *s = strbuf_str(json);
    size_t from = 0;
    for (size_t i = 0; i < json->len; i++) {
        /* Outside of strings JSON has none of these; inside, this is the same string. */
        if (s[i] != '<' && s[i] != '>' && s[i] != '&')
            continue;
        strbuf_add(out, s + from, i - from);
        strbuf_printf(out, "\\u%04x", (unsigned)s[i]);
        from = i + 1;
    }
    strbuf_add(out, s + from, json->len - from);
    out->failed = out->failed || json->failed;
    strbuf_truncate(json, 0);
    return out->len < FLUSH_BYTES && !out->failed ? 0 : page_flush(page);
}

/* "sha256-..." as a content security policy has it. */
static void put_hash(struct strbuf *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t sum[HASH_SHA256_BYTES + 1] = {0}; /* 33 bytes are 44 digits; the last one is '=' */
    hash_sha256(text, strlen(text), sum);
    strbuf_puts(out, "sha256-");
    for (size_t i = 0; i < HASH_SHA256_BYTES; i += 3) {
        const uint32_t v =
            (uint32_t)sum[i] << 16 | (uint32_t)sum[i + 1] << 8 | (i + 2 < sizeof sum ? sum[i + 2] : 0);
        for (unsigned k = 0; k < 4; k++)
            strbuf_putc(out, digits[v >> (18 - 6 * k) & 63]);
    }
    strbuf_truncate(out, out->len - 1);
    strbuf_putc(out, '=');
}

/* ---- data ---- */

static void put_text(struct strbuf *json, const char *text)
{
    strbuf_json(json, text, strlen(text));
}

static int put_head(struct page *page)
{
    const struct map *map = page->map;
    const struct stack *stack = map->image->stack;
    struct strbuf *json = &page->json;
    strbuf_puts(json, "{\"image\":");
    put_text(json, map->image->name);
    strbuf_puts(json, ",\"mapped\":[");
    for (size_t i = 0; i < map->n_windows; i++)
        strbuf_printf(json, "%s[%" PRIu64 ",%" PRIu64 "]", i > 0 ? "," : "", map->windows[i].start,
                      map->windows[i].bytes);
    strbuf_puts(json, "],\"kinds\":[");
    for (size_t k = 0; k < EXTENT_KINDS; k++)
        strbuf_printf(json, "%s\"%s\"", k > 0 ? "," : "", extent_kind_name((enum extent_kind)k));
    strbuf_puts(json, "],\"layers\":[");
    for (size_t i = 0; i < stack->n_layers; i++) {
        const struct stack_layer *layer = &stack->layers[i];
        strbuf_puts(json, i > 0 ? ",\n[" : "\n[");
        put_text(json, layer->prefix);
        strbuf_putc(json, ',');
        put_text(json, inspect_layer_title(layer));
        strbuf_printf(json, ",%" PRIu64 ",%" PRIu64 ",%" PRIu32 "]", layer->dev->base_offset,
                      layer->dev->size_bytes, layer->from_table ? layer->partition.number : 0);
    }
    strbuf_puts(json, "]");
    return page_data(page, json);
}

static int put_tail(struct page *page)
{
    const struct map *map = page->map;
    struct strbuf *json = &page->json;
    strbuf_puts(json, ",\"findings\":[");
    for (size_t i = 0; i < map->n_findings; i++) {
        const struct map_finding *finding = &map->findings[i];
        strbuf_printf(json, "%s[\"%s\",", i > 0 ? ",\n" : "\n", severity_name(finding->severity));
        put_text(json, finding->id);
        strbuf_putc(json, ',');
        put_text(json, finding->path);
        if (finding->has_place)
            strbuf_printf(json, ",%" PRIu64 ",%" PRIu64 ",", finding->place.start, finding->place.bytes);
        else
            strbuf_puts(json, ",null,0,");
        put_text(json, finding->text);
        strbuf_putc(json, ']');
    }
    strbuf_puts(json, "],\"totals\":[");
    for (size_t k = 0; k < EXTENT_KINDS; k++)
        strbuf_printf(json, "%s[%" PRIu64 ",%" PRIu64 "]", k > 0 ? "," : "", map->totals.bytes[k],
                      map->totals.rows[k]);
    strbuf_printf(
        json, "],\"n_ranges\":%" PRIu64 ",\"n_findings\":%" PRIu64 ",\"structures_left_off\":%" PRIu64 "}",
        page->n_rows, (uint64_t)map->n_findings + map->n_left_off, page->structures_left_off);
    return page_data(page, json);
}

static int put_data(struct page *page)
{
    int rc = put_head(page);
    if (rc == 0)
        rc = page_ranges(page);
    if (rc == 0)
        rc = page_structures(page);
    return rc != 0 ? rc : put_tail(page);
}

/* ---- template ---- */

static int put_part(struct page *page, const char *name, size_t n)
{
    static const struct {
        const char *name, *text;
        bool hash;
    } parts[] = {{"STYLE", map_page_css, false},
                 {"SCRIPT", map_page_js, false},
                 {"STYLE_HASH", map_page_css, true},
                 {"SCRIPT_HASH", map_page_js, true}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strlen(parts[i].name) != n || memcmp(parts[i].name, name, n) != 0)
            continue;
        if (parts[i].hash)
            put_hash(&page->out, parts[i].text);
        else
            strbuf_puts(&page->out, parts[i].text);
        return 0;
    }
    if (n == strlen("DATA") && memcmp(name, "DATA", n) == 0)
        return put_data(page);
    return err_set(page->err, PLAT_EBUG, "the page has no part %.*s", (int)n, name);
}

static int put_page(struct page *page)
{
    const char *at = map_page_html, *mark;
    int rc = 0;
    while (rc == 0 && (mark = strchr(at, '@')) != NULL) {
        const size_t n = strcspn(mark + 1, "@");
        strbuf_add(&page->out, at, (size_t)(mark - at));
        rc = put_part(page, mark + 1, n);
        at = mark + 1 + n + 1;
    }
    strbuf_puts(&page->out, rc == 0 ? at : "");
    return rc != 0 ? rc : page_flush(page);
}

static int count_row(void *ctx, const struct map_row *row)
{
    struct page *page = ctx;
    (void)row;
    page->n_rows++;
    return 0;
}

int map_html(struct map *map, const char *path, struct plat_err *err)
{
    struct page page = {.map = map, .err = err};
    /* How many there are decides how they are drawn. */
    int rc = map_sweep(map, count_row, &page, err);
    if (rc != 0)
        return rc;
    map_rewind(map);
    rc = dev_output_open(path, 0, &page.dev, err);
    if (rc != 0)
        return rc;
    page.dev->grows = true;
    rc = put_page(&page);
    if (rc == 0)
        rc = dev_output_commit(page.dev, err);
    dev_close(page.dev);
    strbuf_free(&page.out);
    strbuf_free(&page.json);
    return rc;
}
