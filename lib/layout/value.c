/* Values as people and machines read them. */
#include <stdio.h>
#include <string.h>

#include "lib/layout/eval.h"

size_t chars_length(const uint8_t *bytes, uint64_t n, enum field_pad pad)
{
    size_t length = (size_t)n;
    if (pad == PAD_NUL) {
        const uint8_t *end = memchr(bytes, 0, length);
        return end == NULL ? length : (size_t)(end - bytes);
    }
    while (pad == PAD_SPACE && length > 0 && bytes[length - 1] == ' ')
        length--;
    return length;
}

static void put_utf8(uint32_t c, struct strbuf *ret)
{
    if (c < 0x80) {
        strbuf_putc(ret, (char)c);
    } else if (c < 0x800) {
        strbuf_putc(ret, (char)(0xc0 | c >> 6));
        strbuf_putc(ret, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        strbuf_putc(ret, (char)(0xe0 | c >> 12));
        strbuf_putc(ret, (char)(0x80 | (c >> 6 & 0x3f)));
        strbuf_putc(ret, (char)(0x80 | (c & 0x3f)));
    } else {
        strbuf_putc(ret, (char)(0xf0 | c >> 18));
        strbuf_putc(ret, (char)(0x80 | (c >> 12 & 0x3f)));
        strbuf_putc(ret, (char)(0x80 | (c >> 6 & 0x3f)));
        strbuf_putc(ret, (char)(0x80 | (c & 0x3f)));
    }
}

void utf16_to_text(const uint8_t *bytes, uint64_t units, bool big_endian, bool stop_at_nul,
                   struct strbuf *ret)
{
    for (uint64_t i = 0; i < units; i++) {
        uint32_t c = (uint32_t)load_uint(bytes + 2 * i, 2, big_endian);
        if (c == 0 && stop_at_nul)
            return;
        if (c >= 0xd800 && c < 0xdc00 && i + 1 < units) {
            uint32_t low = (uint32_t)load_uint(bytes + 2 * (i + 1), 2, big_endian);
            if (low >= 0xdc00 && low < 0xe000) {
                put_utf8(0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), ret);
                i++;
                continue;
            }
        }
        put_utf8(c >= 0xd800 && c < 0xe000 ? 0xfffd : c, ret);
    }
}

static void fat_text(const struct value *v, struct strbuf *ret)
{
    unsigned n = (unsigned)v->number;
    if (v->field->as == AS_FAT_DATE)
        strbuf_printf(ret, "%04u-%02u-%02u", 1980 + (n >> 9 & 127), n >> 5 & 15, n & 31);
    else
        strbuf_printf(ret, "%02u:%02u:%02u", n >> 11 & 31, n >> 5 & 63, (n & 31) * 2);
}

static void plain_number(const struct value *v, struct strbuf *ret)
{
    unsigned long long n = v->number;
    char text[32];
    int64_t seconds = (int64_t)v->number;
    switch (v->field->as) {
    case AS_HEX: {
        if (v->field->radix != 0) {
            strbuf_printf(ret, "0x%llx", n);
            return;
        }
        unsigned bits = v->field->bit_width != 0 ? v->field->bit_width : 8 * v->field->width_bytes;
        if (bits < 64)
            n &= (1ULL << bits) - 1;
        strbuf_printf(ret, "0x%0*llx", (int)(bits + 3) / 4, n);
        return;
    }
    case AS_OCTAL:
        strbuf_printf(ret, "0%llo", n);
        return;
    case AS_SIZE:
        format_size(n, text);
        strbuf_printf(ret, "%llu (%s)", n, text);
        return;
    case AS_FAT_DATE:
    case AS_FAT_TIME:
        strbuf_printf(ret, "0x%04llx (", n);
        fat_text(v, ret);
        strbuf_putc(ret, ')');
        return;
    case AS_UNIX_NS:
        seconds /= 1000000;
        /* fall through */
    case AS_UNIX_MS:
        seconds /= 1000;
        /* fall through */
    case AS_UNIX_S:
        format_unix_time(seconds, text);
        strbuf_printf(ret, v->field->repr == REPR_SINT ? "%lld (%s)" : "%llu (%s)", n, text);
        return;
    default:
        strbuf_printf(ret, v->field->repr == REPR_SINT ? "%lld" : "%llu", n);
    }
}

/* What a number stands for ("shows"); false where that cannot be told. */
static bool shown_text(const struct value *v, struct strbuf *ret)
{
    enum { SHOWN_TEXT_BYTES = 256 };
    struct eval ctx = {.image = v->inst != NULL ? v->inst->image : NULL,
                       .inst = v->inst,
                       .field = v->field,
                       .index = v->index};
    struct ev ev;
    if (v->field->shows == NULL || ctx.image == NULL || eval_any(&ctx, v->field->shows, &ev, NULL) != 0)
        return false;
    struct ev place;
    uint8_t bytes[SHOWN_TEXT_BYTES];
    if (ev.kind == EV_NUM || ev_place(&ctx, &ev, &place, NULL) != 0) {
        ev_text(&ev, ret);
        return true;
    }
    size_t n = place.n < sizeof bytes ? (size_t)place.n : sizeof bytes;
    if (place.bytes != NULL)
        memcpy(bytes, place.bytes, n);
    else if (dev_read(ctx.image->dev, place.offset, bytes, n, NULL) != 0)
        return false;
    strbuf_add(ret, (const char *)bytes, n);
    return true;
}

static void flags_text(const struct value *v, struct strbuf *ret)
{
    const struct type *type = v->field->type;
    strbuf_printf(ret, "0x%llx", (unsigned long long)v->number);
    const char *sep = " (";
    for (size_t i = 0; i < type->n_values; i++) {
        uint64_t part = (v->number & type->values[i].value) >> type->values[i].shift;
        if (part == 0)
            continue;
        strbuf_printf(ret, "%s%s", sep, type->values[i].name);
        if (type->values[i].width > 1)
            strbuf_printf(ret, "=%llu", (unsigned long long)part);
        sep = "|";
    }
    if (sep[0] == '|')
        strbuf_putc(ret, ')');
}

static uint64_t bit_member(const struct value *v, const struct field *f)
{
    uint64_t mask = f->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << f->bit_width) - 1;
    return v->number >> f->bit_shift & mask;
}

static void bits_text(const struct value *v, struct strbuf *ret)
{
    const struct type *type = v->field->type;
    if (v->field->as == AS_FAT_DATE || v->field->as == AS_FAT_TIME) {
        plain_number(v, ret);
        return;
    }
    strbuf_printf(ret, "0x%0*llx (", (int)(2 * v->field->width_bytes), (unsigned long long)v->number);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        uint64_t part = bit_member(v, f);
        const struct enum_value *name = f->type != NULL ? type_value(f->type, part) : NULL;
        strbuf_printf(ret, "%s%s=", i == 0 ? "" : " ", f->name);
        if (name != NULL)
            strbuf_puts(ret, name->name);
        else
            strbuf_printf(ret, "%llu", (unsigned long long)part);
    }
    strbuf_putc(ret, ')');
}

static void bytes_text(const struct value *v, struct strbuf *ret)
{
    enum { SHOWN_BYTES = 16 };
    if (v->n > 1 && bytes_all(v->bytes, v->n, v->bytes[0])) {
        strbuf_printf(ret, "%zu * %02x", v->n, v->bytes[0]);
        return;
    }
    for (size_t i = 0; i < v->n && i < SHOWN_BYTES; i++)
        strbuf_printf(ret, "%s%02x", i == 0 ? "" : " ", v->bytes[i]);
    if (v->n > SHOWN_BYTES)
        strbuf_printf(ret, " ... (%zu bytes)", v->n);
}

static void id_text(const struct value *v, struct strbuf *ret)
{
    char id[LAYOUT_ID_TEXT_BYTES];
    const struct enum_value *name = type_id(v->field->type, v->bytes);
    layout_format_id(v->field->repr, v->bytes, id);
    strbuf_puts(ret, id);
    if (name != NULL)
        strbuf_printf(ret, " (%s)", name->name);
}

void value_text(const struct value *v, struct strbuf *ret)
{
    if (v->field->radix != 0 && v->is_number) {
        plain_number(v, ret);
        return;
    }
    switch (v->field->repr) {
    case REPR_CHARS:
        strbuf_putc(ret, '\'');
        strbuf_visible(ret, (const char *)v->bytes, chars_length(v->bytes, v->n, v->field->pad));
        strbuf_putc(ret, '\'');
        return;
    case REPR_UTF16: {
        struct strbuf text = {0};
        utf16_to_text(v->bytes, v->n / 2, v->field->big_endian, v->field->pad == PAD_NUL, &text);
        strbuf_putc(ret, '\'');
        strbuf_visible(ret, strbuf_str(&text), text.len);
        strbuf_putc(ret, '\'');
        strbuf_free_into(&text, ret);
        return;
    }
    case REPR_GUID:
    case REPR_UUID:
        id_text(v, ret);
        return;
    case REPR_BYTES:
        bytes_text(v, ret);
        return;
    default:
        break;
    }
    const struct type *type = v->field->type;
    const struct enum_value *name =
        type != NULL && type->kind == TYPE_ENUM ? type_value(type, v->number) : NULL;
    if (name != NULL)
        strbuf_printf(ret, "%s (0x%llx)", name->name, (unsigned long long)v->number);
    else if (type != NULL && type->kind == TYPE_FLAGS)
        flags_text(v, ret);
    else if (type != NULL && type->kind == TYPE_BITS)
        bits_text(v, ret);
    else
        plain_number(v, ret);
    struct strbuf shown = {0};
    if (shown_text(v, &shown)) {
        strbuf_puts(ret, " (");
        strbuf_visible(ret, strbuf_str(&shown), shown.len);
        strbuf_putc(ret, ')');
    }
    strbuf_free_into(&shown, ret);
}

static void json_number(uint64_t n, bool is_signed, struct strbuf *ret)
{
    const int64_t limit = (int64_t)1 << 53;
    if (is_signed && (int64_t)n < 0)
        strbuf_printf(ret, (int64_t)n < -limit ? "\"%lld\"" : "%lld", (long long)n);
    else
        strbuf_printf(ret, n > (uint64_t)limit ? "\"%llu\"" : "%llu", (unsigned long long)n);
}

static void json_members(const struct value *v, struct strbuf *ret)
{
    const struct type *type = v->field->type;
    const char *sep = "";
    strbuf_puts(ret, "{\"value\":");
    json_number(v->number, false, ret);
    strbuf_puts(ret, type->kind == TYPE_FLAGS ? ",\"set\":{" : ",\"fields\":{");
    for (size_t i = 0; i < type->n_values; i++) {
        uint64_t part = (v->number & type->values[i].value) >> type->values[i].shift;
        if (part == 0)
            continue;
        strbuf_printf(ret, "%s\"%s\":%llu", sep, type->values[i].name, (unsigned long long)part);
        sep = ",";
    }
    for (size_t i = 0; i < type->n_fields; i++) {
        strbuf_printf(ret, "%s\"%s\":", sep, type->fields[i].name);
        json_number(bit_member(v, &type->fields[i]), false, ret);
        sep = ",";
    }
    strbuf_puts(ret, "}}");
}

/* What a number stands for: always an object, so that readers meet one shape. */
static void shown_json(const struct value *v, struct strbuf *ret)
{
    struct strbuf text = {0};
    strbuf_puts(ret, "{\"value\":");
    json_number(v->number, v->field->repr == REPR_SINT, ret);
    if (shown_text(v, &text)) {
        strbuf_puts(ret, ",\"text\":");
        strbuf_json(ret, strbuf_str(&text), text.len);
    }
    strbuf_putc(ret, '}');
    strbuf_free_into(&text, ret);
}

/* Where GUIDs may have names: always an object, so that readers meet one shape. */
static void id_json(const struct value *v, struct strbuf *ret)
{
    char id[LAYOUT_ID_TEXT_BYTES];
    const struct enum_value *name = type_id(v->field->type, v->bytes);
    bool named = type_names_ids(v->field->type);
    layout_format_id(v->field->repr, v->bytes, id);
    strbuf_printf(ret, named ? "{\"value\":\"%s\"" : "\"%s\"", id);
    if (name != NULL)
        strbuf_printf(ret, ",\"name\":\"%s\"", name->name);
    strbuf_puts(ret, named ? "}" : "");
}

void value_json(const struct value *v, struct strbuf *ret)
{
    struct strbuf text = {0};
    if (v->field->radix != 0 && v->is_number) {
        json_number(v->number, false, ret);
        return;
    }
    switch (v->field->repr) {
    case REPR_CHARS:
        strbuf_json(ret, (const char *)v->bytes, chars_length(v->bytes, v->n, v->field->pad));
        return;
    case REPR_UTF16:
        utf16_to_text(v->bytes, v->n / 2, v->field->big_endian, v->field->pad == PAD_NUL, &text);
        strbuf_json(ret, strbuf_str(&text), text.len);
        strbuf_free_into(&text, ret);
        return;
    case REPR_GUID:
    case REPR_UUID:
        id_json(v, ret);
        return;
    case REPR_BYTES:
        strbuf_putc(ret, '"');
        for (size_t i = 0; i < v->n; i++)
            strbuf_printf(ret, "%02x", v->bytes[i]);
        strbuf_putc(ret, '"');
        return;
    default:
        break;
    }
    const struct type *type = v->field->type;
    const struct enum_value *name =
        type != NULL && type->kind == TYPE_ENUM ? type_value(type, v->number) : NULL;
    if (name != NULL)
        strbuf_printf(ret, "\"%s\"", name->name);
    else if (type != NULL && type->kind != TYPE_ENUM)
        json_members(v, ret);
    else if (v->field->shows != NULL)
        shown_json(v, ret);
    else
        json_number(v->number, v->field->repr == REPR_SINT, ret);
}

void value_from_bytes(const struct field *field, const uint8_t *bytes, size_t n, struct value *ret)
{
    struct value v = {.field = field, .bytes = bytes, .n = n};
    v.is_number = field->repr == REPR_UINT || field->repr == REPR_SINT || field->repr == REPR_BOTH;
    if (v.is_number && field->repr == REPR_BOTH)
        v.number = load_uint(bytes, field->width_bytes, false);
    else if (v.is_number)
        v.number = load_uint(bytes, field->width_bytes, field->big_endian);
    if (field->repr == REPR_SINT)
        v.number = sign_extend_u64(v.number, field->width_bytes);
    *ret = v;
}
