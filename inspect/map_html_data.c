/* plat map --html: ranges and structures, as inspect/page/page.js has them. */
#include <inttypes.h>
#include <string.h>

#include "inspect/map_html_private.h"
#include "inspect/render.h"

enum { HEAD_BYTES = 16, SHOWN_BYTES = 512, PLAIN_ELEMENTS = 16 };

static void put_hex(struct strbuf *json, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    strbuf_putc(json, '"');
    for (size_t i = 0; i < n; i++) {
        strbuf_putc(json, digits[bytes[i] >> 4]);
        strbuf_putc(json, digits[bytes[i] & 15]);
    }
    strbuf_putc(json, '"');
}

/* Cut where it is too long, not within a character. */
static void put_cut(struct strbuf *json, const char *text)
{
    const size_t whole = strlen(text);
    size_t n = whole < MAP_PAGE_TEXT_BYTES ? whole : MAP_PAGE_TEXT_BYTES;
    while (n < whole && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    if (n == whole) {
        strbuf_json(json, text, n);
        return;
    }
    struct strbuf cut = {0};
    strbuf_add(&cut, text, n);
    strbuf_puts(&cut, "...");
    strbuf_json(json, strbuf_str(&cut), cut.len);
    strbuf_free_into(&cut, json);
}

/* ---- ranges ---- */

struct row_writer {
    struct page *page;
    uint64_t per_group; /* 1: each by itself */
    bool any;
    /* the group that is being gathered; n 0: none */
    uint64_t n;
    struct range place;
    uint64_t bytes[EXTENT_KINDS];
    uint32_t layer;
    struct strbuf first, last;
};

static void put_others(struct strbuf *json, const struct map_row *row)
{
    strbuf_puts(json, row->shared ? ",\"shared\":[" : ",\"overlaps\":[");
    for (size_t i = 0; i < row->n_others; i++) {
        strbuf_puts(json, i > 0 ? "," : "");
        put_cut(json, row->others[i]);
    }
    strbuf_printf(json, "],\"more\":%" PRIu64, row->n_more);
}

static int put_first_bytes(struct row_writer *writer, const struct map_row *row)
{
    uint8_t head[HEAD_BYTES];
    struct page *page = writer->page;
    struct plat_err why = {0};
    const size_t n = row->place.bytes < sizeof head ? (size_t)row->place.bytes : sizeof head;
    int rc = dev_read(page->map->image->dev, row->place.start, head, n, &why);
    if (rc != 0) {
        strbuf_puts(&page->json, "\"\""); /* a sector that cannot be read: the others are there */
        return rc == PLAT_ENOMEM ? err_nomem(page->err, "reading an image") : 0;
    }
    if (bytes_all(head, n, 0))
        strbuf_puts(&page->json, "\"z\"");
    else
        put_hex(&page->json, head, n);
    return 0;
}

static int put_row(struct row_writer *writer, const struct map_row *row)
{
    struct page *page = writer->page;
    struct strbuf *json = &page->json;
    const struct stack *stack = page->map->image->stack;
    const struct stack_layer *layer = row->layer == CLAIM_NO_LAYER ? NULL : &stack->layers[row->layer];
    const bool plain =
        row->kind == EXTENT_DATA && layer != NULL && layer->driver != NULL && layer->driver->pieces == NULL;
    strbuf_printf(json, "%s[%" PRIu64 ",%" PRIu64 ",%d,%d,", writer->any ? ",\n" : "\n", row->place.start,
                  row->place.bytes, (int)row->kind, layer == NULL ? -1 : (int)row->layer);
    writer->any = true;
    put_cut(json, row->path);
    strbuf_putc(json, ',');
    int rc = put_first_bytes(writer, row);
    if (plain || row->n_others > 0 || row->nonzero) {
        strbuf_printf(json, ",{\"layer\":%d", layer == NULL ? -1 : (int)row->layer);
        if (plain)
            strbuf_printf(json, ",\"position\":%" PRIu64, row->position);
        if (row->nonzero)
            strbuf_printf(json, ",\"nonzero\":%" PRIu64, row->nonzero_at);
        if (row->n_others > 0)
            put_others(json, row);
        strbuf_putc(json, '}');
    }
    strbuf_putc(json, ']');
    return rc != 0 ? rc : page_data(page, json);
}

static int put_group(struct row_writer *writer)
{
    struct strbuf *json = &writer->page->json;
    enum extent_kind most = EXTENT_METADATA;
    if (writer->n == 0)
        return 0;
    for (size_t k = 0; k < EXTENT_KINDS; k++)
        most = writer->bytes[k] > writer->bytes[most] ? (enum extent_kind)k : most;
    strbuf_printf(json, "%s[%" PRIu64 ",%" PRIu64 ",%d,%d,", writer->any ? ",\n" : "\n", writer->place.start,
                  writer->place.bytes, (int)most, writer->layer == CLAIM_NO_LAYER ? -1 : (int)writer->layer);
    writer->any = true;
    put_cut(json, strbuf_str(&writer->first));
    strbuf_printf(json, ",\"\",{\"grouped\":%" PRIu64 ",\"until\":", writer->n);
    put_cut(json, strbuf_str(&writer->last));
    strbuf_puts(json, "}]");
    json->failed = json->failed || writer->first.failed || writer->last.failed;
    writer->n = 0;
    memset(writer->bytes, 0, sizeof writer->bytes);
    return page_data(writer->page, json);
}

/* What is wrong stands by itself. */
static int on_row(void *ctx, const struct map_row *row)
{
    struct row_writer *writer = ctx;
    const bool alone = writer->per_group == 1 || row->nonzero || (row->n_others > 0 && !row->shared);
    const bool joins = !alone && writer->n > 0 && writer->n < writer->per_group &&
                       writer->layer == row->layer &&
                       writer->place.start + writer->place.bytes == row->place.start;
    int rc = joins ? 0 : put_group(writer);
    if (rc != 0 || alone)
        return rc != 0 ? rc : put_row(writer, row);
    if (writer->n++ == 0) {
        writer->place = (struct range){row->place.start, 0};
        writer->layer = row->layer;
        strbuf_truncate(&writer->first, 0);
        strbuf_puts(&writer->first, row->path);
    }
    writer->place.bytes += row->place.bytes;
    writer->bytes[row->kind] += row->place.bytes;
    strbuf_truncate(&writer->last, 0);
    strbuf_puts(&writer->last, row->path);
    return 0;
}

int page_ranges(struct page *page)
{
    struct row_writer writer = {.page = page, .per_group = div_up_u64(page->n_rows, MAP_PAGE_RANGES)};
    writer.per_group += writer.per_group == 0;
    strbuf_puts(&page->json, ",\"ranges\":[");
    int rc = map_sweep(page->map, on_row, &writer, page->err);
    if (rc == 0)
        rc = put_group(&writer);
    strbuf_puts(&page->json, "]");
    strbuf_free(&writer.first);
    strbuf_free(&writer.last);
    return rc != 0 ? rc : page_data(page, &page->json);
}

/* ---- structures ---- */

struct structure_writer {
    struct page *page;
    uint64_t n, bytes; /* so far */
    const struct inst *inst;
    bool any_field;
    struct strbuf text;
    struct plat_err why; /* what a callback found wrong */
};

static void field_head(struct structure_writer *writer, const char *name, struct range place)
{
    struct strbuf *json = &writer->page->json;
    strbuf_puts(json, writer->any_field ? ",[" : "[");
    writer->any_field = true;
    put_cut(json, name);
    strbuf_printf(json, ",%" PRIu64 ",%" PRIu64 ",", place.start, place.bytes);
}

static int on_value(void *ctx, const struct value *value, const char *name, unsigned level)
{
    struct structure_writer *writer = ctx;
    struct strbuf *json = &writer->page->json;
    (void)level;
    field_head(writer, name, (struct range){value->place.start - writer->inst->offset, value->place.bytes});
    put_cut(json, value->field->type_text);
    strbuf_putc(json, ',');
    strbuf_truncate(&writer->text, 0);
    render_value(&writer->text, value);
    put_cut(json, strbuf_str(&writer->text));
    strbuf_putc(json, ']');
    return 0;
}

/* A long array of plain values is one box. */
static int on_values(void *ctx, const struct inst *inst, const struct field *field, uint64_t count,
                     const char *name, unsigned level)
{
    struct structure_writer *writer = ctx;
    struct range place;
    (void)level;
    if (count <= PLAIN_ELEMENTS || inst_field_place(inst, field, &place, NULL) != 0)
        return 0;
    place.start += inst->offset - writer->inst->offset;
    field_head(writer, name, place);
    put_cut(&writer->page->json, field->type_text);
    strbuf_printf(&writer->page->json, ",\"%" PRIu64 " values\"]", count);
    return 1;
}

static int put_structure(struct structure_writer *writer, const struct inst *inst)
{
    struct strbuf *json = &writer->page->json;
    const struct inst_source *source = &inst->source;
    const struct range place =
        source->stream != NULL ? source->block : (struct range){inst->offset, inst->size_bytes};
    const struct field_sink sink = {.ctx = writer, .value = on_value, .array = on_values};
    const size_t before = json->len;
    strbuf_puts(json, writer->n++ > 0 ? ",\n[" : "\n[");
    put_cut(json, inst->path);
    strbuf_putc(json, ',');
    put_cut(json, inst->type->name);
    strbuf_printf(json, ",%" PRIu64 ",%" PRIu64 ",", place.start, place.bytes);
    put_hex(json, inst->bytes, inst->size_bytes < SHOWN_BYTES ? inst->size_bytes : SHOWN_BYTES);
    strbuf_puts(json, ",[");
    writer->inst = inst;
    writer->any_field = false;
    struct plat_err damage = {0};
    int rc = fields_visit(inst, &sink, &damage);
    if (rc == PLAT_ENOMEM) {
        writer->why = damage;
        return rc;
    }
    strbuf_putc(json, ']');
    if (source->stream != NULL)
        strbuf_printf(json, ",[\"%s\",%" PRIu64 ",%zu]", source->stream, inst->offset, inst->size_bytes);
    strbuf_putc(json, ']');
    json->failed = json->failed || writer->text.failed;
    writer->bytes += json->len - before;
    return page_data(writer->page, json);
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct structure_writer *writer = ctx;
    size_t base;
    uint64_t index;
    const bool element = run_split_path(inst->path, &base, &index) && index > 0;
    if (element && bytes_all(inst->bytes, inst->size_bytes, 0))
        return 0; /* one of many that are not in use */
    if ((element && index >= MAP_PAGE_ELEMENTS) || writer->n >= MAP_PAGE_STRUCTURES ||
        writer->bytes >= MAP_PAGE_STRUCTURE_BYTES) {
        writer->page->structures_left_off++;
        return 0;
    }
    return put_structure(writer, inst);
}

int page_structures(struct page *page)
{
    struct structure_writer writer = {.page = page};
    const struct walk_sink sink = {.ctx = &writer, .instance = on_instance};
    strbuf_puts(&page->json, ",\"structures\":[");
    int rc = stack_walk(page->map->image->stack, &sink, page->err);
    if (rc != 0 && writer.why.class != 0)
        *page->err = writer.why;
    strbuf_puts(&page->json, "]");
    strbuf_free(&writer.text);
    return rc != 0 ? rc : page_data(page, &page->json);
}
