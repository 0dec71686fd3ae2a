/* Layout to C: enums, flag sets and bit fields. */
#include "lib/layout/export_c.h"

#include <inttypes.h>
#include <string.h>

enum { ROW_COLUMNS = 110 };

static const char *origin(struct c_gen *g, const struct type *type, const char *member)
{
    return c_text(g, "types.%s.%s", type->name, member);
}

/* Values above INT_MAX make gcc and clang pick a wider type for the whole enum. */
static const char *literal(struct c_gen *g, const struct type *type, uint64_t value)
{
    if (type->kind == TYPE_FLAGS)
        return c_text(g, "0x%" PRIx64, value);
    if (type->is_signed && (int64_t)value < 0)
        return (int64_t)value == INT64_MIN ? "(-INT64_MAX - 1)" : c_text(g, "%" PRId64, (int64_t)value);
    return value < 10 ? c_text(g, "%" PRIu64, value) : c_text(g, "0x%" PRIx64, value);
}

static void emit_name_function(struct c_gen *g, const struct type *type, const char *name)
{
    const char *function = c_text(g, "%s_name", name);
    const char *signature = c_text(g, "const char *%s(uint64_t value)", function);
    c_claim(g, function, c_text(g, "types.%s", type->name));
    c_comment(&g->head, "",
              type->kind == TYPE_FLAGS
                  ? "Name of one flag (its mask as defined above); NULL when there is none."
                  : "Name of a value; NULL when it has none. Negative values are passed sign-extended.");
    if (g->what == EXPORT_FREESTANDING)
        strbuf_printf(&g->head, "static inline %s;\n", signature);
    c_declare(g, signature);
    strbuf_printf(&g->body, "\n%s%s\n{\n", c_linkage(g), signature);
    if (type->n_values == 0) {
        strbuf_puts(&g->body, "    (void)value;\n    return NULL;\n}\n");
        return;
    }
    strbuf_puts(&g->body, "    switch (value) {\n");
    for (size_t i = 0; i < type->n_values; i++) {
        const struct enum_value *v = &type->values[i];
        bool again = false; /* two names for one value: the first is shown */
        for (size_t k = 0; k < i; k++)
            again = again || type->values[k].value == v->value;
        if (!again)
            strbuf_printf(&g->body, "    case 0x%" PRIx64 ":\n        return \"%s\";\n", v->value,
                          c_comment_text(g, v->name));
    }
    strbuf_puts(&g->body, "    default:\n        return NULL;\n    }\n}\n");
}

/* The last claim is the count: a value of that name is refused like any other clash. */
static void emit_id_indices(struct c_gen *g, const struct type *type, const char *name)
{
    strbuf_printf(&g->head, "enum %s {\n", name);
    for (size_t i = 0; i < type->n_values; i++) {
        const struct enum_value *v = &type->values[i];
        const char *constant = c_text(g, "%s_%s", c_upper(g, name), c_upper(g, v->name));
        c_claim(g, constant, origin(g, type, v->name));
        if (v->doc[0] != '\0')
            c_comment(&g->head, "    ", c_comment_text(g, v->doc));
        strbuf_printf(&g->head, "    %s,\n", constant);
    }
    const char *count = c_text(g, "%s_VALUES", c_upper(g, name));
    c_claim(g, count, c_text(g, "types.%s", type->name));
    strbuf_printf(&g->head, "    %s = %zu\n};\n", count, type->n_values);
}

static void emit_id_rows(struct c_gen *g, const struct type *type, const char *name)
{
    const char *upper = c_upper(g, name);
    const char *rows = c_text(g, "const struct %s_value %s_values[%s_VALUES]", name, name, upper);
    bool own = g->what == EXPORT_FREESTANDING;
    c_claim(g, c_text(g, "tag %s_value", name), c_text(g, "types.%s", type->name));
    c_claim(g, c_text(g, "%s_values", name), c_text(g, "types.%s", type->name));
    strbuf_printf(&g->head, "struct %s_value {\n    const char *name;\n    uint8_t bytes[%d];\n};\n", name,
                  (int)LAYOUT_ID_BYTES);
    if (!own)
        strbuf_printf(&g->head, "extern %s;\n", rows);
    struct strbuf *out = own ? &g->head : &g->body;
    strbuf_printf(out, "%s%s = {\n", own ? "__attribute__((unused)) static " : "\n", rows);
    for (size_t i = 0; i < type->n_values; i++) {
        const struct enum_value *v = &type->values[i];
        strbuf_printf(out, "    {\"%s\",\n     {", v->name);
        for (unsigned k = 0; k < LAYOUT_ID_BYTES; k++)
            strbuf_printf(out, "%s0x%02x", k > 0 ? ", " : "", v->id[k]);
        strbuf_puts(out, "}},\n");
    }
    strbuf_puts(out, "};\n");
}

/* An enum of GUIDs: its constants index a table of names and bytes. */
static void emit_ids(struct c_gen *g, const struct type *type)
{
    const char *name = c_type_name(g, type);
    const char *function = c_text(g, "%s_name", name);
    const char *signature = c_text(g, "const char *%s(const uint8_t *bytes)", function);
    strbuf_putc(&g->head, '\n');
    c_comment(&g->head, "",
              c_text(g, "types.%s: enum of %ss%s; %s_values[] has the bytes of each as on disk. %s",
                     type->name, type->base == REPR_GUID ? "guid" : "uuid",
                     type->open ? ", open: other values are legal" : "", name, c_comment_text(g, type->doc)));
    c_claim(g, c_text(g, "tag %s", name), c_text(g, "types.%s", type->name));
    emit_id_indices(g, type, name);
    emit_id_rows(g, type, name);
    c_claim(g, function, c_text(g, "types.%s", type->name));
    c_comment(
        &g->head, "",
        c_text(g, "Name of a value of %d bytes as on disk; NULL when it has none.", (int)LAYOUT_ID_BYTES));
    if (g->what == EXPORT_FREESTANDING)
        strbuf_printf(&g->head, "static inline %s;\n", signature);
    c_declare(g, signature);
    strbuf_printf(
        &g->body,
        "\n%s%s\n{\n    for (size_t i = 0; i < %zu; i++) {\n        size_t same = 0;\n"
        "        while (same < %d && bytes[same] == %s_values[i].bytes[same])\n"
        "            same++;\n        if (same == %d)\n            return %s_values[i].name;\n    }\n"
        "    return NULL;\n}\n",
        c_linkage(g), signature, type->n_values, (int)LAYOUT_ID_BYTES, name, (int)LAYOUT_ID_BYTES, name);
}

void c_emit_enum(struct c_gen *g, const struct type *type)
{
    if (type_names_ids(type)) {
        emit_ids(g, type);
        return;
    }
    const char *name = c_type_name(g, type);
    const char *kind = type->kind == TYPE_FLAGS ? "flags (masks)" : "enum";
    strbuf_putc(&g->head, '\n');
    c_comment(&g->head, "",
              c_text(g, "types.%s: %s of %u bytes%s. %s", type->name, kind, type->size_bytes,
                     type->open ? ", open: other values are legal" : "", c_comment_text(g, type->doc)));
    c_claim(g, c_text(g, "tag %s", name), c_text(g, "types.%s", type->name));
    if (type->n_values > 0) {
        strbuf_printf(&g->head, "enum %s {\n", name);
        for (size_t i = 0; i < type->n_values; i++) {
            const struct enum_value *v = &type->values[i];
            const char *constant = c_text(g, "%s_%s", c_upper(g, name), c_upper(g, v->name));
            c_claim(g, constant, origin(g, type, v->name));
            const char *doc = v->doc != NULL ? c_comment_text(g, v->doc) : "";
            const char *row = c_text(g, "    %s = %s%s", constant, literal(g, type, v->value),
                                     i + 1 < type->n_values ? "," : "");
            bool beside = strlen(row) + strlen(doc) + 7 <= ROW_COLUMNS;
            if (doc[0] != '\0' && !beside)
                c_comment(&g->head, "    ", doc);
            strbuf_printf(&g->head, doc[0] != '\0' && beside ? "%s /* %s */\n" : "%s\n", row, doc);
        }
        strbuf_puts(&g->head, "};\n");
    }
    emit_name_function(g, type, name);
}

static void emit_bits_member(struct c_gen *g, const struct type *type, const struct field *f)
{
    const char *base = c_uint_type(type->size_bytes * 8);
    const char *value_type = c_uint_type(f->bit_width);
    uint64_t mask = f->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << f->bit_width) - 1;
    const char *get = c_getter(g, type, f);
    const char *with = c_setter(g, type, f, "with");
    const char *path = origin(g, type, f->name);
    c_claim(g, get, path);
    c_claim(g, with, path);
    strbuf_putc(&g->head, '\n');
    c_comment(&g->head, "",
              c_text(g, "%s: bit %u, %u wide%s%s. %s", path, f->bit_shift, f->bit_width,
                     f->unit != NULL ? ", unit " : "", f->unit != NULL ? f->unit : "",
                     c_comment_text(g, f->doc)));
    strbuf_printf(&g->head,
                  "static inline %s %s(%s base)\n{\n    return (%s)(base >> %u & 0x%" PRIx64 ");\n}\n",
                  value_type, get, base, value_type, f->bit_shift, mask);
    strbuf_printf(&g->head,
                  "static inline %s %s(%s base, %s value)\n{\n"
                  "    return (%s)(((uint64_t)base & 0x%" PRIx64 ") | ((uint64_t)value & 0x%" PRIx64
                  ") << %u);\n}\n",
                  base, with, base, value_type, base,
                  ~(mask << f->bit_shift) & (UINT64_MAX >> (64 - 8 * type->size_bytes)), mask, f->bit_shift);
}

void c_emit_bits(struct c_gen *g, const struct type *type)
{
    strbuf_putc(&g->head, '\n');
    c_comment(&g->head, "",
              c_text(g, "types.%s: bits of an integer of %u bytes. %s", type->name, type->size_bytes,
                     c_comment_text(g, type->doc)));
    for (size_t i = 0; i < type->n_fields; i++)
        emit_bits_member(g, type, &type->fields[i]);
}
