#include "inspect/render.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"

#define JSON_SAFE_INTEGER ((uint64_t)1 << 53) /* above it JSON readers round: text instead */

const char *paint(const struct cli *cli, enum paint colour)
{
    if (!cli->color)
        return "";
    switch (colour) {
    case PAINT_STRONG:
        return "\033[1m";
    case PAINT_DIM:
        return "\033[2m";
    case PAINT_ERROR:
        return "\033[1;31m";
    case PAINT_WARNING:
        return "\033[1;33m";
    case PAINT_NOTE:
        return "\033[1;36m";
    case PAINT_NAME:
        return "\033[36m";
    case PAINT_VALUE:
        return "\033[32m";
    default:
        return "\033[0m";
    }
}

enum paint paint_severity(enum severity severity)
{
    return severity == SEVERITY_ERROR     ? PAINT_ERROR
           : severity == SEVERITY_WARNING ? PAINT_WARNING
                                          : PAINT_NOTE;
}

void render_count(struct strbuf *out, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            strbuf_putc(out, ',');
        strbuf_putc(out, digits[i]);
    }
}

void render_plural(struct strbuf *out, uint64_t n, const char *noun)
{
    render_count(out, n);
    strbuf_printf(out, " %s%s", noun, n == 1 ? "" : "s");
}

void render_type(struct strbuf *out, const struct field *field)
{
    strbuf_puts(out, field->type_text);
    if (field->is_array && field->count_expr != NULL)
        strbuf_puts(out, "[]");
    else if (field->is_array)
        strbuf_printf(out, "[%" PRIu32 "]", field->count);
}

void render_value(struct strbuf *out, const struct value *value)
{
    value_text(value, out);
    if (value->field->unit != NULL)
        strbuf_printf(out, " %s", value->field->unit);
}

void render_bits(struct strbuf *out, const struct field *member, uint64_t bits)
{
    const struct enum_value *named = NULL;
    if (member != NULL && member->type != NULL && member->type->kind == TYPE_ENUM)
        named = type_value(member->type, bits);
    if (named != NULL)
        strbuf_puts(out, named->name);
    else
        strbuf_printf(out, "%" PRIu64, bits);
}

void render_hint(struct strbuf *out, const char *doc)
{
    if (doc == NULL)
        return;
    const char *end = doc;
    while (*end != '\0' && !(*end == '.' && (end[1] == ' ' || end[1] == '\0' || end[1] == '\n')))
        end++;
    strbuf_add(out, doc, (size_t)(end - doc));
}

/* ---- JSON ---- */

static int nested_json(struct strbuf *out, const struct inst *inst, const struct field *field, uint64_t index,
                       struct plat_err *err)
{
    struct inst nested;
    size_t room = strlen(inst->path) + LAYOUT_MAX_NAME_BYTES + 32;
    char *path = malloc(room);
    if (path == NULL)
        return err_nomem(err, "reading a nested structure");
    int r = inst_nested(inst, field, index, path, room, &nested, err);
    if (r == 0)
        r = render_struct_json(out, &nested, err);
    free(path);
    return r;
}

int render_field_json(struct strbuf *out, const struct inst *inst, const struct field *field,
                      struct plat_err *err)
{
    uint64_t count = 1;
    int r = field->is_array ? inst_count(inst, field, &count, err) : 0;
    if (field->is_array)
        strbuf_putc(out, '[');
    for (uint64_t i = 0; r == 0 && i < count && !out->failed; i++) {
        struct value value;
        if (i > 0)
            strbuf_puts(out, ", ");
        if (field->repr == REPR_TYPE) {
            r = nested_json(out, inst, field, i, err);
        } else {
            r = inst_value(inst, field, i, &value, err);
            if (r == 0)
                value_json(&value, out);
        }
    }
    if (field->is_array)
        strbuf_putc(out, ']');
    if (r == 0 && out->failed)
        r = err_nomem(err, "rendering a structure");
    return r;
}

int render_struct_json(struct strbuf *out, const struct inst *inst, struct plat_err *err)
{
    const struct type *shape = inst_shape(inst);
    int r = 0;
    strbuf_putc(out, '{');
    for (size_t i = 0; r == 0 && shape != NULL && i < shape->n_fields; i++) {
        if (i > 0)
            strbuf_puts(out, ", ");
        strbuf_json(out, shape->fields[i].name, strlen(shape->fields[i].name));
        strbuf_puts(out, ": ");
        r = render_field_json(out, inst, &shape->fields[i], err);
    }
    strbuf_putc(out, '}');
    return r;
}

/* ---- what a path led to ---- */

static void one_value(struct strbuf *out, const struct value *value, bool with_unit)
{
    size_t start = out->len;
    if (with_unit) {
        render_value(out, value);
        return;
    }
    value_text(value, out);
    /* Bare text is for scripts: no quotes around it. */
    if ((value->field->repr == REPR_CHARS || value->field->repr == REPR_UTF16) && out->len >= start + 2 &&
        out->s[start] == '\'') {
        memmove(out->s + start, out->s + start + 1, out->len - start - 2);
        strbuf_truncate(out, out->len - 2);
    }
}

int render_located_text(struct strbuf *out, const struct located *located, bool with_unit,
                        struct plat_err *err)
{
    const struct field *field = located->field;
    uint64_t count;
    int r = 0;
    switch (located->kind) {
    case LOCATED_STRUCT:
        return err_set(err, PLAT_EBUG, "a structure has no single value");
    case LOCATED_VALUE:
        one_value(out, &located->value, with_unit);
        return 0;
    case LOCATED_MEMBER:
    case LOCATED_FLAG:
        render_bits(out, located->member, located_bits(located));
        return 0;
    case LOCATED_FIELD:
        break;
    }
    if (field->repr == REPR_TYPE)
        return err_set(err, PLAT_EBUG, "structures have no single value");
    r = inst_count(&located->inst, field, &count, err);
    for (uint64_t i = 0; r == 0 && i < count; i++) {
        struct value value;
        strbuf_puts(out, i == 0 ? "" : "\n");
        r = inst_value(&located->inst, field, i, &value, err);
        if (r == 0)
            one_value(out, &value, with_unit);
    }
    return r;
}

int render_located_json(struct strbuf *out, const struct located *located, struct plat_err *err)
{
    switch (located->kind) {
    case LOCATED_STRUCT:
        return render_struct_json(out, &located->inst, err);
    case LOCATED_FIELD:
        return render_field_json(out, &located->inst, located->field, err);
    case LOCATED_VALUE:
        value_json(&located->value, out);
        return 0;
    default:
        break;
    }
    struct strbuf text = {0};
    render_bits(&text, located->member, located_bits(located));
    bool number = text.len > 0 && text.s[0] >= '0' && text.s[0] <= '9';
    if (number && located_bits(located) <= JSON_SAFE_INTEGER)
        strbuf_puts(out, strbuf_str(&text));
    else
        strbuf_json(out, strbuf_str(&text), text.len);
    strbuf_free_into(&text, out);
    return 0;
}

int located_place(const struct located *located, struct range *ret, const uint8_t **ret_bytes,
                  struct plat_err *err)
{
    struct range place = {.start = 0, .bytes = located->inst.size_bytes};
    if (located->kind == LOCATED_FIELD) {
        int r = inst_field_place(&located->inst, located->field, &place, err);
        if (r != 0)
            return r;
    } else if (located->kind != LOCATED_STRUCT) {
        *ret = located->value.place;
        *ret_bytes = located->value.bytes;
        return 0;
    }
    *ret_bytes = located->inst.bytes + place.start;
    *ret = (struct range){located->inst.offset + place.start, place.bytes};
    return 0;
}

void render_place(struct strbuf *out, const struct inst *inst)
{
    if (inst->source.stream == NULL)
        strbuf_printf(out, "0x%" PRIx64, inst->offset);
    else
        strbuf_printf(out, "%s+0x%" PRIx64 " in the block at 0x%" PRIx64, inst->source.stream, inst->offset,
                      inst->source.block.start);
}

/* ---- runs ---- */

void render_run_path(struct strbuf *out, const struct run *run, uint64_t skip)
{
    uint64_t from = run->first_index + skip;
    strbuf_visible(out, strbuf_str(&run->base), run->base.len);
    if (from == run->last_index)
        strbuf_printf(out, "[%" PRIu64 "]", from);
    else
        strbuf_printf(out, "[%" PRIu64 "..%" PRIu64 "]", from, run->last_index);
}

static bool run_is_zero(const struct run *run)
{
    return run->kind != RUN_RISING && bytes_all(run->first.bytes, run->first.size_bytes, 0);
}

bool render_run_is_short(const struct run *run)
{
    return run_is_zero(run) || run_number_field(&run->first) != NULL;
}

int render_run(const struct cli *cli, struct strbuf *out, const struct run *run, uint64_t skip,
               struct plat_err *err)
{
    const struct field *number = run_number_field(&run->first);
    struct value value;
    strbuf_puts(out, paint(cli, PAINT_STRONG));
    render_run_path(out, run, skip);
    strbuf_printf(out, "%s  ", paint(cli, PAINT_PLAIN));
    int r = 0;
    /* In a stream everything is in use: id 0 is root, and the first inode is at 0. */
    if (run_is_zero(run) && (number == NULL || run->first.source.stream == NULL)) {
        strbuf_puts(out, "unused (zero)");
    } else if (number == NULL) {
        strbuf_printf(out, "the same as [%" PRIu64 "]", run->first_index);
    } else if ((r = inst_value(&run->first, number, 0, &value, err)) == 0) {
        strbuf_puts(out, paint(cli, PAINT_VALUE));
        render_value(out, &value);
        if (run->kind == RUN_RISING && (r = inst_value(&run->last, number, 0, &value, err)) == 0) {
            strbuf_puts(out, " to ");
            render_value(out, &value);
            strbuf_printf(out, "%s, rising by one", paint(cli, PAINT_PLAIN));
        }
        strbuf_puts(out, paint(cli, PAINT_PLAIN));
    }
    strbuf_putc(out, '\n');
    return r;
}

/* ---- other ---- */

void render_layer(struct strbuf *out, const struct stack_layer *layer)
{
    char size[16];
    if (layer->prefix[0] != '\0')
        strbuf_printf(out, "%s: ", layer->prefix);
    strbuf_puts(out, inspect_layer_title(layer));
    if (layer->from_table)
        strbuf_printf(out, ", partition %" PRIu32, layer->partition.number);
    if (layer->dev != NULL) {
        format_size(layer->dev->size_bytes, size);
        strbuf_printf(out, ", %s at 0x%" PRIx64, size, layer->dev->base_offset);
    }
}

int render_flush(struct strbuf *out)
{
    if (out->failed)
        return PLAT_ENOMEM;
    size_t n = out->len;
    size_t written = n > 0 ? fwrite(out->s, 1, n, stdout) : 0;
    strbuf_truncate(out, 0);
    /* A pipe that nobody reads, or a full disk: cli_finish tells them apart. */
    return written < n || ferror(stdout) ? PLAT_ESTOP : 0;
}
