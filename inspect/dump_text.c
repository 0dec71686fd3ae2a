/* One structure as text: a heading, then a line for each field.
 *
 *   gpt.primary  header  at 0x200, 92 bytes
 *       signature                'EFI PART'                              Always "EFI PART"
 *       header_bytes             92 byte                                 Bytes that header_crc32 covers  */
#include "inspect/dump.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/render.h"
#include "lib/base/bytes.h"

enum { NAME_COLUMN = 4, VALUE_COLUMN = 29, HINT_COLUMN = 64, HINT_MIN = 12, SHOWN_ELEMENTS = 16 };

struct fields_text {
    const struct cli *cli;
    struct strbuf *out;
    bool with_hints;
    unsigned levels; /* of fields to show */
};

/* Characters on the screen: UTF-8 sequences count once. */
static size_t width_of(const char *s, size_t n)
{
    size_t width = 0;
    for (size_t i = 0; i < n; i++)
        width += ((unsigned char)s[i] & 0xc0) != 0x80;
    return width;
}

static void pad_to(struct strbuf *out, size_t have, size_t column)
{
    for (; have < column; have++)
        strbuf_putc(out, ' ');
}

static void add_hint(const struct fields_text *text, size_t column, const char *doc)
{
    struct strbuf hint = {0};
    size_t room = SIZE_MAX;
    render_hint(&hint, doc);
    if (text->cli->out_tty) {
        size_t columns = (size_t)text->cli->columns;
        room = columns > column ? columns - column : 0;
    }
    bool fits = room >= HINT_MIN || width_of(strbuf_str(&hint), hint.len) <= room;
    if (hint.len > 0 && fits) {
        size_t n = hint.len;
        /* Cut between characters, so that the line does not wrap. */
        while (n > 0 && width_of(hint.s, n) > room)
            n--;
        while (n < hint.len && ((unsigned char)hint.s[n] & 0xc0) == 0x80)
            n--;
        strbuf_puts(text->out, paint(text->cli, PAINT_DIM));
        strbuf_add(text->out, hint.s, n);
        strbuf_puts(text->out, paint(text->cli, PAINT_PLAIN));
    }
    strbuf_free_into(&hint, text->out);
}

static void field_line(const struct fields_text *text, const char *name, const char *shown,
                       size_t shown_bytes, const char *doc)
{
    struct strbuf *out = text->out;
    size_t name_end = NAME_COLUMN + strlen(name);
    size_t value_start = name_end + 1 > VALUE_COLUMN ? name_end + 1 : VALUE_COLUMN;
    size_t value_end = value_start + width_of(shown, shown_bytes);
    pad_to(out, 0, NAME_COLUMN);
    strbuf_printf(out, "%s%s%s", paint(text->cli, PAINT_NAME), name, paint(text->cli, PAINT_PLAIN));
    pad_to(out, name_end, value_start);
    strbuf_puts(out, paint(text->cli, PAINT_VALUE));
    strbuf_add(out, shown, shown_bytes);
    strbuf_puts(out, paint(text->cli, PAINT_PLAIN));
    if (text->with_hints && doc != NULL && doc[0] != '\0') {
        size_t column = value_end + 2 > HINT_COLUMN ? value_end + 2 : HINT_COLUMN;
        size_t before = out->len;
        pad_to(out, value_end, column);
        size_t padded = out->len;
        add_hint(text, column, doc);
        if (out->len == padded) /* no room: no blanks at the end of the line either */
            strbuf_truncate(out, before);
    }
    strbuf_putc(out, '\n');
}

/* Below an element other than the first: its meaning was told with the first. */
static bool repeats(const char *name)
{
    const char *bracket = strchr(name, '[');
    while (bracket != NULL && strncmp(bracket, "[0]", 3) == 0)
        bracket = strchr(bracket + 1, '[');
    return bracket != NULL;
}

static int on_value(void *ctx, const struct value *value, const char *name, unsigned level)
{
    const struct fields_text *text = ctx;
    struct strbuf shown = {0};
    (void)level;
    render_value(&shown, value);
    field_line(text, name, strbuf_str(&shown), shown.len, repeats(name) ? NULL : value->field->doc);
    strbuf_free_into(&shown, text->out);
    return 0;
}

static int on_enter(void *ctx, const struct inst *nested, const char *name, unsigned level)
{
    const struct fields_text *text = ctx;
    bool unused = repeats(name) && bytes_all(nested->bytes, nested->size_bytes, 0);
    if (level + 1 < text->levels && !unused)
        return 0;
    struct strbuf shown = {0};
    if (unused)
        strbuf_puts(&shown, "unused (zero)");
    else
        strbuf_printf(&shown, "%s, %zu bytes", nested->type->name, nested->size_bytes);
    field_line(text, name, strbuf_str(&shown), shown.len, unused ? NULL : nested->type->doc);
    strbuf_free_into(&shown, text->out);
    return 1;
}

/* Long arrays of plain values that are all the same take one line. */
static int on_array(void *ctx, const struct inst *inst, const struct field *field, uint64_t count,
                    const char *name, unsigned level)
{
    const struct fields_text *text = ctx;
    struct range place;
    struct value first;
    (void)level;
    if (count <= SHOWN_ELEMENTS || inst_field_place(inst, field, &place, NULL) != 0 ||
        inst_value(inst, field, 0, &first, NULL) != 0)
        return 0;
    const uint8_t *bytes = inst->bytes + place.start;
    if (memcmp(bytes, bytes + first.n, (size_t)place.bytes - first.n) != 0)
        return 0;
    struct strbuf shown = {0};
    struct strbuf all = {0};
    render_value(&shown, &first);
    strbuf_printf(&shown, ", %" PRIu64 " times", count);
    strbuf_printf(&all, "%s[0..%" PRIu64 "]", name, count - 1);
    field_line(text, strbuf_str(&all), strbuf_str(&shown), shown.len, field->doc);
    strbuf_free_into(&shown, text->out);
    strbuf_free_into(&all, text->out);
    return 1;
}

static void heading(const struct fields_text *text, const struct inst *inst, const struct type *shape)
{
    const struct cli *cli = text->cli;
    struct strbuf *out = text->out;
    strbuf_puts(out, paint(cli, PAINT_STRONG));
    strbuf_visible(out, inst->path, strlen(inst->path));
    strbuf_printf(out, "%s  %s", paint(cli, PAINT_PLAIN), inst->type->name);
    if (shape != NULL && shape != inst->type)
        strbuf_printf(out, " (%s)", shape->name);
    strbuf_printf(out, "  %sat ", paint(cli, PAINT_DIM));
    render_place(out, inst);
    strbuf_printf(out, ", %zu byte%s", inst->size_bytes, inst->size_bytes == 1 ? "" : "s");
    if (text->with_hints && inst->type->doc != NULL && inst->type->doc[0] != '\0') {
        strbuf_puts(out, ": ");
        render_hint(out, shape != NULL ? shape->doc : inst->type->doc);
    }
    strbuf_printf(out, "%s\n", paint(cli, PAINT_PLAIN));
}

int dump_struct_text(const struct cli *cli, struct strbuf *out, const struct inst *inst, bool with_hints,
                     unsigned levels, struct plat_err *err)
{
    struct fields_text text = {.cli = cli, .out = out, .with_hints = with_hints, .levels = levels};
    const struct field_sink sink = {.ctx = &text, .enter = on_enter, .value = on_value, .array = on_array};
    heading(&text, inst, inst_shape(inst));
    return levels == 0 ? 0 : fields_visit(inst, &sink, err);
}
