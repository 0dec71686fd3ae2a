/* Layout to C: views with their one bounds check, getters and setters, field tables. */
#include "lib/layout/export_c_expr.h"

#include <inttypes.h>
#include <string.h>

static const char *path_of(struct c_gen *g, const struct type *type, const struct field *f)
{
    return c_text(g, "types.%s.%s", type->name, f->name);
}

/* Comment in front of an accessor: schema path, place, width, unit, meaning. */
static void describe(struct c_gen *g, const struct type *type, const struct field *f)
{
    strbuf_putc(&g->head, '\n');
    c_comment(&g->head, "",
              c_text(g, "%s: offset %u, %u bytes, %s%s%s%s. %s", path_of(g, type, f), f->offset_bytes,
                     f->size_bytes, f->type_text, f->is_array ? c_text(g, " * %u", f->count) : "",
                     f->unit != NULL ? ", unit " : "", f->unit != NULL ? f->unit : "",
                     c_comment_text(g, f->doc)));
}

/* Offset of byte `i` (significance order) of an integer. */
static unsigned byte_at(const struct field *f, unsigned i)
{
    return f->big_endian && f->repr != REPR_BOTH ? f->width_bytes - 1 - i : i;
}

/* Expression that loads the integer at `pointer` + offset; gcc and clang fold it into one move. */
static const char *load(struct c_gen *g, const struct field *f, const char *pointer, uint32_t offset)
{
    unsigned bits = c_type_bits(f->width_bytes * 8);
    const char *type = c_uint_type(bits);
    const char *sum = c_text(g, "%s[%u]", pointer, offset + byte_at(f, 0));
    if (f->width_bytes > 1) {
        const char *wide = bits == 64 ? "uint64_t" : "uint32_t";
        sum = c_text(g, "(%s)%s", wide, sum);
        for (unsigned i = 1; i < f->width_bytes; i++)
            sum = c_text(g, "%s | (%s)%s[%u] << %u", sum, wide, pointer, offset + byte_at(f, i), 8 * i);
    }
    if (bits == 16)
        sum = c_text(g, "(%s)(%s)", type, sum);
    if (f->repr != REPR_SINT)
        return sum;
    if (bits == f->width_bytes * 8)
        return c_text(g, "(%s)(%s)", c_value_type(f), sum);
    uint64_t sign = (uint64_t)1 << (f->width_bytes * 8 - 1);
    return c_text(g, "(%s)(((%s) ^ 0x%" PRIx64 "u) - 0x%" PRIx64 "u)", c_value_type(f), sum, sign, sign);
}

/* Statements that store `value` at pointer + offset. */
static void store(struct c_gen *g, const struct field *f, const char *pointer, uint32_t offset)
{
    const char *value = "value";
    if (f->repr == REPR_SINT && f->width_bytes > 1) {
        strbuf_printf(&g->head, "    %s bits = (%s)value;\n", c_uint_type(f->width_bytes * 8),
                      c_uint_type(f->width_bytes * 8));
        value = "bits";
    }
    for (unsigned i = 0; i < f->width_bytes; i++) {
        strbuf_printf(&g->head, "    %s[%u] = ", pointer, offset + byte_at(f, i));
        if (f->width_bytes == 1 && f->repr != REPR_SINT)
            strbuf_printf(&g->head, "%s;\n", value);
        else if (i == 0)
            strbuf_printf(&g->head, "(uint8_t)%s;\n", value);
        else
            strbuf_printf(&g->head, "(uint8_t)(%s >> %u);\n", value, 8 * i);
    }
    if (f->repr == REPR_BOTH)
        for (unsigned i = 0; i < f->width_bytes; i++)
            strbuf_printf(&g->head, "    %s[%u] = (uint8_t)(%s >> %u);\n", pointer,
                          offset + 2 * f->width_bytes - 1 - i, value, 8 * i);
}

static void claim_pair(struct c_gen *g, const struct type *type, const struct field *f, const char *verb)
{
    c_claim(g, c_getter(g, type, f), path_of(g, type, f));
    c_claim(g, c_setter(g, type, f, verb), path_of(g, type, f));
}

/* enum { GPT_ENTRY_NAME_UNITS = 36 }; */
static void count_constant(struct c_gen *g, const struct type *type, const struct field *f,
                           const char *suffix, uint32_t count)
{
    const char *name = c_text(g, "%s_%s", c_upper(g, c_getter(g, type, f)), suffix);
    c_claim(g, name, path_of(g, type, f));
    strbuf_printf(&g->head, "enum { %s = %u };\n", name, count);
}

static void emit_integer(struct c_gen *g, const struct type *type, const struct field *f)
{
    const char *name = c_type_name(g, type);
    const char *value = c_value_type(f);
    claim_pair(g, type, f, "set");
    if (!f->is_array) {
        strbuf_printf(&g->head, "static inline %s %s(struct %s v)\n{\n", value, c_getter(g, type, f), name);
        c_wrap(&g->head, 4, "return ", load(g, f, "v.p", f->offset_bytes), ";");
        strbuf_puts(&g->head, "}\n");
        strbuf_printf(&g->head, "static inline void %s(struct %s_mut m, %s value)\n{\n",
                      c_setter(g, type, f, "set"), name, value);
        store(g, f, "m.p", f->offset_bytes);
        strbuf_puts(&g->head, "}\n");
        return;
    }
    unsigned stride = f->repr == REPR_BOTH ? 2 * f->width_bytes : f->width_bytes;
    count_constant(g, type, f, "COUNT", f->count);
    c_comment(&g->head, "", "Element i; 0 past the end.");
    strbuf_printf(&g->head,
                  "static inline %s %s(struct %s v, size_t i)\n{\n    if (i >= %u)\n        return 0;\n"
                  "    const uint8_t *p = v.p + %u + i * %u;\n",
                  value, c_getter(g, type, f), name, f->count, f->offset_bytes, stride);
    c_wrap(&g->head, 4, "return ", load(g, f, "p", 0), ";");
    strbuf_puts(&g->head, "}\n");
    c_comment(&g->head, "", "Nothing is written past the end.");
    strbuf_printf(
        &g->head,
        "static inline void %s(struct %s_mut m, size_t i, %s value)\n{\n    if (i >= %u)\n        return;\n"
        "    uint8_t *p = m.p + %u + i * %u;\n",
        c_setter(g, type, f, "set"), name, value, f->count, f->offset_bytes, stride);
    store(g, f, "p", 0);
    strbuf_puts(&g->head, "}\n");
}

/* char, bytes, guid, uuid: a pointer to the field's bytes, and a copy into them. */
static void emit_bytes(struct c_gen *g, const struct type *type, const struct field *f)
{
    const char *name = c_type_name(g, type);
    bool is_id = f->repr == REPR_GUID || f->repr == REPR_UUID;
    uint32_t n = is_id ? 16 : f->size_bytes;
    const char *get = c_getter(g, type, f);
    const char *set = c_setter(g, type, f, "set");
    bool array = f->is_array && is_id;
    const char *index = array ? ", size_t i" : "";
    const char *offset = array ? c_text(g, "%u + i * 16", f->offset_bytes) : c_text(g, "%u", f->offset_bytes);
    claim_pair(g, type, f, "set");
    count_constant(g, type, f, "BYTES", n);
    if (array) {
        count_constant(g, type, f, "COUNT", f->count);
        c_comment(&g->head, "", "Element i; NULL past the end.");
    }
    strbuf_printf(&g->head, "static inline const uint8_t *%s(struct %s v%s)\n{\n", get, name, index);
    if (array)
        strbuf_printf(&g->head, "    if (i >= %u)\n        return NULL;\n", f->count);
    strbuf_printf(&g->head, "    return v.p + %s;\n}\n", offset);
    c_comment(&g->head, "",
              c_text(g, "Copies %u bytes.%s", n, array ? " Nothing is written past the end." : ""));
    strbuf_printf(&g->head, "static inline void %s(struct %s_mut m%s, const uint8_t *bytes)\n{\n", set, name,
                  index);
    if (array)
        strbuf_printf(&g->head, "    if (i >= %u)\n        return;\n    uint8_t *p = m.p + %s;\n", f->count,
                      offset);
    strbuf_printf(&g->head, "    for (size_t k = 0; k < %u; k++)\n        %s = bytes[k];\n}\n", n,
                  array ? "p[k]" : c_text(g, "m.p[%s + k]", offset));
}

static void emit_utf16(struct c_gen *g, const struct type *type, const struct field *f)
{
    const char *name = c_type_name(g, type);
    struct field unit = *f;
    unit.repr = REPR_UINT;
    unit.width_bytes = 2;
    claim_pair(g, type, f, "set");
    count_constant(g, type, f, "UNITS", f->count);
    c_comment(&g->head, "", "Unit i; 0 past the end.");
    strbuf_printf(&g->head,
                  "static inline uint16_t %s(struct %s v, size_t i)\n{\n    if (i >= %u)\n        return 0;\n"
                  "    const uint8_t *p = v.p + %u + i * 2;\n    return %s;\n}\n",
                  c_getter(g, type, f), name, f->count, f->offset_bytes, load(g, &unit, "p", 0));
    c_comment(&g->head, "", "Nothing is written past the end.");
    strbuf_printf(&g->head,
                  "static inline void %s(struct %s_mut m, size_t i, uint16_t value)\n{\n    if (i >= %u)\n   "
                  "     return;\n"
                  "    uint8_t *p = m.p + %u + i * 2;\n",
                  c_setter(g, type, f, "set"), name, f->count, f->offset_bytes);
    store(g, &unit, "p", 0);
    strbuf_puts(&g->head, "}\n");
}

static void emit_nested(struct c_gen *g, const struct type *type, const struct field *f)
{
    const char *name = c_type_name(g, type);
    const char *inner = c_type_name(g, f->type);
    uint32_t each = f->type->size_bytes;
    const char *get = c_getter(g, type, f);
    const char *edit = c_setter(g, type, f, "edit");
    claim_pair(g, type, f, "edit");
    if (!f->is_array) {
        strbuf_printf(&g->head,
                      "static inline struct %s %s(struct %s v)\n{\n    return (struct %s){v.p + %u};\n}\n",
                      inner, get, name, inner, f->offset_bytes);
        strbuf_printf(
            &g->head,
            "static inline struct %s_mut %s(struct %s_mut m)\n{\n    return (struct %s_mut){m.p + %u};\n}\n",
            inner, edit, name, inner, f->offset_bytes);
        return;
    }
    count_constant(g, type, f, "COUNT", f->count);
    c_comment(&g->head, "", "Element i; false past the end.");
    strbuf_printf(&g->head,
                  "static inline bool %s(struct %s v, size_t i, struct %s *ret)\n{\n    if (i >= %u)\n       "
                  " return false;\n"
                  "    ret->p = v.p + %u + i * %u;\n    return true;\n}\n",
                  get, name, inner, f->count, f->offset_bytes, each);
    strbuf_printf(
        &g->head,
        "static inline bool %s(struct %s_mut m, size_t i, struct %s_mut *ret)\n{\n    if (i >= %u)\n"
        "        return false;\n    ret->p = m.p + %u + i * %u;\n    return true;\n}\n",
        edit, name, inner, f->count, f->offset_bytes, each);
}

/* ---- views ---- */

void c_emit_view(struct c_gen *g, const struct type *type)
{
    const char *name = c_type_name(g, type);
    const char *upper = c_upper(g, name);
    const char *origin = c_text(g, "types.%s", type->name);
    static const char *const verbs[] = {"view", "edit", "of", "init", "check", "seal", "fields"};
    size_t n_verbs = type->kind == TYPE_STRUCT ? sizeof verbs / sizeof verbs[0] : 3;
    for (size_t i = 0; i < n_verbs; i++)
        c_claim(g, c_verb(g, type, verbs[i]), origin);
    c_claim(g, c_text(g, "tag %s", name), origin);
    c_claim(g, c_text(g, "tag %s_mut", name), origin);
    c_claim(g, c_text(g, "%s_BYTES", upper), origin);
    strbuf_puts(&g->head, "\n/* ---- */\n\n");
    c_comment(&g->head, "",
              c_text(g, "%s: %s%u bytes. %s", origin, type->size_bytes == 0 ? "at least " : "",
                     c_view_bytes(type), c_comment_text(g, type->doc)));
    strbuf_printf(&g->head,
                  "struct %s {\n    const uint8_t *p;\n};\nstruct %s_mut {\n    uint8_t *p;\n};\nenum { "
                  "%s_BYTES = %u };\n",
                  name, name, upper, c_view_bytes(type));
    c_comment(&g->head, "", "The bounds check: false, and *ret untouched, when n is too small.");
    /* "n < 0" would be a warning where nothing has a fixed size. */
    const char *check =
        c_view_bytes(type) == 0 ? "(void)n;" : c_text(g, "if (n < %s_BYTES)\n        return false;", upper);
    strbuf_printf(&g->head,
                  "static inline bool %s_view(const void *buf, size_t n, struct %s *ret)\n{\n"
                  "    %s\n    ret->p = buf;\n    return true;\n}\n",
                  name, name, check);
    strbuf_printf(&g->head,
                  "static inline bool %s_edit(void *buf, size_t n, struct %s_mut *ret)\n{\n"
                  "    %s\n    ret->p = buf;\n    return true;\n}\n",
                  name, name, check);
    strbuf_printf(&g->head,
                  "static inline struct %s %s_of(struct %s_mut m)\n{\n    return (struct %s){m.p};\n}\n",
                  name, name, name, name);
}

/* Fixed fields in a table, and their offsets as constants. */
static void emit_table(struct c_gen *g, const struct type *type)
{
    const char *name = c_type_name(g, type);
    const char *upper = c_upper(g, name);
    size_t n_fixed = 0;
    for (size_t i = 0; i < type->n_fields; i++)
        n_fixed += c_field_is_fixed(&type->fields[i]);
    if (n_fixed == 0)
        return;
    strbuf_printf(&g->head, "enum {\n");
    const char *sum = "";
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        if (!c_field_is_fixed(f))
            continue;
        const char *offset = c_text(g, "%s_OFFSET", c_upper(g, c_getter(g, type, f)));
        c_claim(g, offset, path_of(g, type, f));
        strbuf_printf(&g->head, "    %s = %u,\n", offset, f->offset_bytes);
        sum = c_text(g, "%s%s%u", sum, sum[0] != '\0' ? " + " : "", f->size_bytes);
    }
    strbuf_printf(&g->head, "    %s_FIELDS = %zu\n};\n", upper, n_fixed);
    c_claim(g, c_text(g, "%s_FIELDS", upper), c_text(g, "types.%s", type->name));
    if (type->size_bytes != 0)
        c_wrap(&g->head, 0, "_Static_assert(",
               c_text(g, "%s == %s_BYTES, \"the fields fill %s\"", sum, upper, name), ");");
    const char *kind =
        c_text(g, "const struct %s_field_info %s_fields[%s_FIELDS]", g->layout->name, name, upper);
    bool own = g->what == EXPORT_FREESTANDING;
    if (!own)
        strbuf_printf(&g->head, "extern %s;\n", kind);
    struct strbuf *out = own ? &g->head : &g->body;
    strbuf_printf(out, "%s%s%s = {\n", own ? "__attribute__((unused)) static " : "\n", kind, "");
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        if (c_field_is_fixed(f))
            strbuf_printf(out, "    {\"%s\", %u, %u, %u},\n", f->name, f->offset_bytes,
                          f->count == 0 ? f->width_bytes : f->size_bytes / f->count, f->count);
    }
    strbuf_puts(out, "};\n");
}

void c_emit_accessors(struct c_gen *g, const struct type *type)
{
    emit_table(g, type);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        if (!c_field_is_fixed(f)) {
            strbuf_putc(&g->head, '\n');
            c_comment(&g->head, "",
                      c_text(g, "%s: %s. Its place or size depends on the fields before it: no accessor.",
                             path_of(g, type, f), f->type_text));
            continue;
        }
        describe(g, type, f);
        switch (f->repr) {
        case REPR_UINT:
        case REPR_SINT:
        case REPR_BOTH:
            emit_integer(g, type, f);
            break;
        case REPR_UTF16:
            emit_utf16(g, type, f);
            break;
        case REPR_TYPE:
            emit_nested(g, type, f);
            break;
        case REPR_CHARS:
        case REPR_BYTES:
        case REPR_GUID:
        case REPR_UUID:
            emit_bytes(g, type, f);
            break;
        }
    }
}
