/* Structures and plain bytes as hexdump rows. */
#include <inttypes.h>
#include <string.h>

#include "inspect/hex.h"
#include "inspect/render.h"
#include "inspect/select.h"

enum {
    SHOWN_ELEMENTS = 16,     /* longer arrays of plain values are shown as one piece */
    WHOLE_FIELD_BYTES = 256, /* longer fields are cut to the part that was asked for */
    READ_BYTES = 64 * 1024,
    NAME_WIDTH = 20,
    TYPE_WIDTH = 9
};

struct struct_rows {
    struct hex *hex;
    const struct inst *inst;
    struct range part;
};

static bool overlaps(struct range a, struct range b)
{
    return a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

static void note_for(struct strbuf *note, const char *name, const char *type)
{
    strbuf_printf(note, "%-*s  %-*s  ", NAME_WIDTH, name, TYPE_WIDTH, type);
}

void hex_value(struct hex *hex, const struct value *value, const char *name)
{
    struct strbuf note = {0};
    note_for(&note, name, value->field->type_text);
    render_value(&note, value);
    hexrow_bytes(&hex->rows, value->place.start, value->bytes, value->n, strbuf_str(&note));
    strbuf_free_into(&note, &hex->out);
}

/* The part of a long field that was asked for, in whole rows. */
static void put_part(const struct struct_rows *rows, struct range place, const uint8_t *bytes,
                     const char *note)
{
    const struct hexrow *hexrow = &rows->hex->rows;
    uint64_t from = place.start;
    uint64_t end = place.start + place.bytes;
    if (place.bytes > WHOLE_FIELD_BYTES) {
        if (rows->part.start > from)
            from += align_down_u64(rows->part.start - from, hexrow->per_row);
        uint64_t part_end = rows->part.start + rows->part.bytes;
        if (part_end < end)
            end = from + div_up_u64(part_end - from, hexrow->per_row) * hexrow->per_row;
        if (end > place.start + place.bytes)
            end = place.start + place.bytes;
    }
    hexrow_bytes(hexrow, from, bytes + (from - place.start), (size_t)(end - from), note);
}

static int on_value(void *ctx, const struct value *value, const char *name, unsigned level)
{
    const struct struct_rows *rows = ctx;
    (void)level;
    if (!overlaps(value->place, rows->part))
        return 0;
    struct strbuf note = {0};
    note_for(&note, name, value->field->type_text);
    render_value(&note, value);
    put_part(rows, value->place, value->bytes, strbuf_str(&note));
    strbuf_free_into(&note, &rows->hex->out);
    return 0;
}

static int on_array(void *ctx, const struct inst *inst, const struct field *field, uint64_t count,
                    const char *name, unsigned level)
{
    const struct struct_rows *rows = ctx;
    struct range place;
    (void)level;
    if (count <= SHOWN_ELEMENTS || inst_field_place(inst, field, &place, NULL) != 0)
        return 0;
    const uint8_t *bytes = inst->bytes + place.start;
    place.start += inst->offset;
    if (overlaps(place, rows->part)) {
        struct strbuf note = {0};
        struct strbuf type = {0};
        render_type(&type, field);
        note_for(&note, name, strbuf_str(&type));
        put_part(rows, place, bytes, strbuf_str(&note));
        strbuf_free_into(&note, &rows->hex->out);
        strbuf_free_into(&type, &rows->hex->out);
    }
    return 1;
}

int hex_struct(struct hex *hex, const struct inst *inst, struct range part)
{
    struct struct_rows rows = {.hex = hex, .inst = inst, .part = part};
    const struct field_sink sink = {.ctx = &rows, .value = on_value, .array = on_array};
    const struct field *number = run_number_field(inst);
    if (number != NULL &&
        inst->source.stream == NULL) { /* no heading for a single number: its path says it all */
        struct value value;
        int r = inst_value(inst, number, 0, &value, hex->err);
        if (r == 0)
            hex_value(hex, &value, inst->path);
        return r;
    }
    const struct type *shape = inst_shape(inst);
    struct strbuf heading = {0};
    strbuf_printf(&heading, "%s  %s", inst->path, shape != NULL ? shape->name : inst->type->name);
    if (inst->source.stream != NULL) {
        strbuf_puts(&heading, "  ");
        render_place(&heading, inst);
    }
    hexrow_heading(&hex->rows, inst->offset, strbuf_str(&heading));
    strbuf_free_into(&heading, &hex->out);
    if (shape == NULL) {
        hexrow_bytes(&hex->rows, inst->offset, inst->bytes, inst->size_bytes, "none of the union's cases");
        return 0;
    }
    return fields_visit(inst, &sink, hex->err);
}

int hex_plain(struct hex *hex, struct range part, const char *note)
{
    uint8_t buf[READ_BYTES];
    while (part.bytes > 0) {
        size_t n = part.bytes < sizeof buf ? (size_t)part.bytes : sizeof buf;
        int r = dev_read(hex->image->dev, part.start, buf, n, hex->err);
        if (r != 0)
            return r;
        hexrow_bytes(&hex->rows, part.start, buf, n, note);
        if ((r = render_flush(&hex->out)) != 0)
            return r;
        part.start += n;
        part.bytes -= n;
        note = "";
    }
    return 0;
}
