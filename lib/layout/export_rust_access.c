/* Layout to Rust: what reads and writes the fields of a struct. */
#include <inttypes.h>
#include <string.h>

#include "lib/layout/export_rust.h"

static bool is_fixed(const struct field *f)
{
    return f->offset_bytes != FIELD_OFFSET_DYNAMIC && f->count_expr == NULL &&
           !(f->repr == REPR_TYPE && f->type->size_bytes == 0);
}

static const char *path_of(struct rust_gen *g, const struct type *t, const struct field *f)
{
    return rust_text(g, "types.%s.%s", t->name, f->name);
}

/* Comment in front of an accessor: schema path, place, width, unit, meaning. */
static void describe(struct rust_gen *g, const struct type *t, const struct field *f, const char *more)
{
    strbuf_printf(&g->out, "\n    /// `%s`: offset %" PRIu32 ", %" PRIu32 " bytes, `%s`", path_of(g, t, f),
                  f->offset_bytes, f->size_bytes, rust_comment(g, f->type_text));
    if (f->is_array)
        strbuf_printf(&g->out, " * %" PRIu32, f->count);
    if (f->unit != NULL)
        strbuf_printf(&g->out, ", unit %s", rust_comment(g, f->unit));
    strbuf_printf(&g->out, ". %s\n", rust_comment(g, f->doc));
    if (more[0] != '\0')
        strbuf_printf(&g->out, "    /// %s\n", more);
}

static void explain_dynamic(struct rust_gen *g, const struct type *t, const struct field *f)
{
    strbuf_printf(
        &g->out,
        "\n    // `%s`, `%s`: its place or size depends on the fields before it, so it has no accessor.\n",
        path_of(g, t, f), rust_comment(g, f->type_text));
}

static bool is_bits(const struct field *f)
{
    return f->type != NULL && f->type->kind == TYPE_BITS;
}

/* What a getter of one element gives: an integer, or the struct of a bits type. */
static const char *value_type(struct rust_gen *g, const struct field *f)
{
    if (is_bits(f))
        return rust_type_name(g, f->type->name);
    return rust_int_type(8 * f->width_bytes, f->repr == REPR_SINT);
}

static unsigned holder_bytes(unsigned width)
{
    return width <= 1 ? 1 : width <= 2 ? 2 : width <= 4 ? 4 : 8;
}

/* The integer at self.0[at..]; `at` is a number, or "" when a variable `at` holds the place. Odd widths are
 * loaded into the upper end of their holder when signed, so that an arithmetic shift extends the sign. */
static const char *load(struct rust_gen *g, const struct field *f, const char *base, uint32_t at)
{
    unsigned width = f->width_bytes, holder = holder_bytes(width);
    bool is_signed = f->repr == REPR_SINT;
    bool big = f->big_endian && f->repr != REPR_BOTH;
    const char *type = rust_int_type(8 * width, is_signed);
    unsigned spare = holder - width;
    bool zeros_first = big != is_signed; /* where the spare bytes stand in the array */
    const char *bytes = "";
    for (unsigned i = 0; i < holder; i++) {
        bool zero = zeros_first ? i < spare : i >= width;
        unsigned k = zeros_first ? i - spare : i;
        const char *place = zero              ? "0"
                            : base[0] == '\0' ? rust_text(g, "self.0[%" PRIu32 "]", at + k)
                            : k == 0          ? rust_text(g, "self.0[%s]", base)
                                              : rust_text(g, "self.0[%s + %u]", base, k);
        bytes = rust_text(g, "%s%s%s", bytes, i > 0 ? ", " : "", place);
    }
    const char *value = rust_text(g, "%s::from_%s_bytes([%s])", type, big ? "be" : "le", bytes);
    if (is_signed && spare > 0)
        value = rust_text(g, "%s >> %u", value, 8 * spare);
    return is_bits(f) ? rust_text(g, "%s(%s)", rust_type_name(g, f->type->name), value) : value;
}

/* Statement that stores `value` at `place` (an expression). */
static void store(struct rust_gen *g, const struct field *f, const char *place, const char *value, bool big)
{
    unsigned width = f->width_bytes, holder = holder_bytes(width);
    const char *part = width == holder ? ""
                       : big           ? rust_text(g, "[%u..]", holder - width)
                                       : rust_text(g, "[..%u]", width);
    strbuf_printf(&g->out, "        self.0[%s..%s + %u].copy_from_slice(&%s.to_%s_bytes()%s);\n", place,
                  place, width, value, big ? "be" : "le", part);
}

static uint32_t element_bytes(const struct field *f)
{
    return f->width_bytes * (f->repr == REPR_BOTH ? 2 : 1);
}

/* ---- getters ---- */

static void index_line(struct rust_gen *g, uint32_t offset, uint32_t count, uint32_t stride)
{
    strbuf_printf(&g->out,
                  "        if i >= %" PRIu32
                  " {\n            return None;\n        }\n        let at = %" PRIu32 " + i * %" PRIu32
                  ";\n",
                  count, offset, stride);
}

static void count_const(struct rust_gen *g, const struct type *t, const struct field *f, const char *suffix)
{
    const char *name = rust_text(g, "%s_%s", rust_const_name(g, f->name), suffix);
    rust_claim(g, rust_type_name(g, t->name), name, path_of(g, t, f));
    strbuf_printf(&g->out, "\n    /// %s of `%s`.\n    pub const %s: usize = %" PRIu32 ";\n",
                  strcmp(suffix, "UNITS") == 0 ? "16-bit units" : "Elements", f->name, name, f->count);
}

static void get_integer(struct rust_gen *g, const struct type *t, const struct field *f, const char *method)
{
    bool utf16 = f->repr == REPR_UTF16;
    struct field unit = *f;
    if (utf16) {
        unit.repr = REPR_UINT;
        unit.width_bytes = 2;
    }
    const char *type = value_type(g, &unit);
    if (!f->is_array && !utf16) {
        describe(g, t, f, f->repr == REPR_BOTH ? "Reads the little-endian copy." : "");
        strbuf_printf(&g->out, "    pub fn %s(&self) -> %s {\n        %s\n    }\n", method, type,
                      load(g, &unit, "", f->offset_bytes));
        return;
    }
    count_const(g, t, f, utf16 ? "UNITS" : "COUNT");
    describe(g, t, f, utf16 ? "Unit `i`; `None` past the end." : "Element `i`; `None` past the end.");
    strbuf_printf(&g->out, "    pub fn %s(&self, i: usize) -> Option<%s> {\n", method, type);
    index_line(g, f->offset_bytes, f->count, element_bytes(&unit));
    strbuf_printf(&g->out, "        Some(%s)\n    }\n", load(g, &unit, "at", 0));
}

static void get_bytes(struct rust_gen *g, const struct type *t, const struct field *f, const char *method)
{
    bool is_id = f->repr == REPR_GUID || f->repr == REPR_UUID;
    uint32_t n = is_id ? 16 : f->size_bytes;
    if (!f->is_array) {
        describe(g, t, f, "");
        strbuf_printf(&g->out,
                      "    pub fn %s(&self) -> &'a [u8; %" PRIu32 "] {\n        chunk(self.0, %" PRIu32
                      ")\n    }\n",
                      method, n, f->offset_bytes);
        return;
    }
    count_const(g, t, f, "COUNT");
    describe(g, t, f, "Element `i`; `None` past the end.");
    strbuf_printf(&g->out, "    pub fn %s(&self, i: usize) -> Option<&'a [u8; %" PRIu32 "]> {\n", method, n);
    index_line(g, f->offset_bytes, f->count, n);
    strbuf_puts(&g->out, "        Some(chunk(self.0, at))\n    }\n");
}

static void get_nested(struct rust_gen *g, const struct type *t, const struct field *f, const char *method)
{
    const char *inner = rust_type_name(g, f->type->name);
    uint32_t n = f->type->size_bytes;
    if (!f->is_array) {
        describe(g, t, f, "");
        strbuf_printf(&g->out,
                      "    pub fn %s(&self) -> %s<'a> {\n        %s(&self.0[%" PRIu32 "..%" PRIu32
                      "])\n    }\n",
                      method, inner, inner, f->offset_bytes, f->offset_bytes + n);
        return;
    }
    count_const(g, t, f, "COUNT");
    describe(g, t, f, "Element `i`; `None` past the end.");
    strbuf_printf(&g->out, "    pub fn %s(&self, i: usize) -> Option<%s<'a>> {\n", method, inner);
    index_line(g, f->offset_bytes, f->count, n);
    strbuf_printf(&g->out, "        Some(%s(&self.0[at..at + %" PRIu32 "]))\n    }\n", inner, n);
}

void rust_emit_getters(struct rust_gen *g, const struct type *t)
{
    const char *scope = rust_type_name(g, t->name);
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        if (!is_fixed(f)) {
            explain_dynamic(g, t, f);
            continue;
        }
        const char *method = rust_method_name(g, f->name);
        rust_claim(g, scope, method, path_of(g, t, f));
        switch (f->repr) {
        case REPR_UINT:
        case REPR_SINT:
        case REPR_BOTH:
        case REPR_UTF16:
            get_integer(g, t, f, method);
            break;
        case REPR_TYPE:
            get_nested(g, t, f, method);
            break;
        case REPR_CHARS:
        case REPR_BYTES:
        case REPR_GUID:
        case REPR_UUID:
            get_bytes(g, t, f, method);
            break;
        }
    }
}

/* ---- setters ---- */

static void set_integer(struct rust_gen *g, const struct type *t, const struct field *f, const char *method)
{
    bool utf16 = f->repr == REPR_UTF16;
    struct field unit = *f;
    if (utf16) {
        unit.repr = REPR_UINT;
        unit.width_bytes = 2;
    }
    bool array = f->is_array || utf16;
    bool cut = unit.width_bytes != holder_bytes(unit.width_bytes);
    const char *note =
        cut ? rust_text(g, "The low %u bits of `value` are stored.", 8 * unit.width_bytes) : "";
    if (array)
        note = rust_text(g, "Element `i`; `None` past the end, where nothing is written. %s", note);
    describe(g, t, f, note);
    strbuf_printf(&g->out, "    pub fn %s(&mut self, %svalue: %s)%s {\n", method, array ? "i: usize, " : "",
                  value_type(g, &unit), array ? " -> Option<()>" : "");
    if (array)
        index_line(g, f->offset_bytes, f->count, element_bytes(&unit));
    const char *place = array ? "at" : rust_text(g, "%" PRIu32, f->offset_bytes);
    const char *value = is_bits(f) ? "value.0" : "value";
    store(g, &unit, place, value, unit.big_endian && unit.repr != REPR_BOTH);
    if (unit.repr == REPR_BOTH)
        store(g, &unit, rust_text(g, "%s + %u", place, unit.width_bytes), value, true);
    strbuf_puts(&g->out, array ? "        Some(())\n    }\n" : "    }\n");
}

static void set_bytes(struct rust_gen *g, const struct type *t, const struct field *f, const char *method)
{
    bool is_id = f->repr == REPR_GUID || f->repr == REPR_UUID;
    uint32_t n = is_id ? 16 : f->size_bytes;
    describe(g, t, f, f->is_array ? "Element `i`; `None` past the end, where nothing is written." : "");
    strbuf_printf(&g->out, "    pub fn %s(&mut self, %svalue: &[u8; %" PRIu32 "])%s {\n", method,
                  f->is_array ? "i: usize, " : "", n, f->is_array ? " -> Option<()>" : "");
    if (f->is_array)
        index_line(g, f->offset_bytes, f->count, n);
    const char *place = f->is_array ? "at" : rust_text(g, "%" PRIu32, f->offset_bytes);
    strbuf_printf(&g->out, "        self.0[%s..%s + %" PRIu32 "].copy_from_slice(value);\n%s    }\n", place,
                  place, n, f->is_array ? "        Some(())\n" : "");
}

static void edit_nested(struct rust_gen *g, const struct type *t, const struct field *f, const char *method)
{
    const char *inner = rust_type_name(g, f->type->name);
    uint32_t n = f->type->size_bytes;
    describe(g, t, f, f->is_array ? "Element `i`; `None` past the end." : "");
    strbuf_printf(&g->out, "    pub fn %s(&mut self%s) -> ", method, f->is_array ? ", i: usize" : "");
    if (!f->is_array) {
        strbuf_printf(&g->out, "%sMut<'_> {\n        %sMut(&mut self.0[%" PRIu32 "..%" PRIu32 "])\n    }\n",
                      inner, inner, f->offset_bytes, f->offset_bytes + n);
        return;
    }
    strbuf_printf(&g->out, "Option<%sMut<'_>> {\n", inner);
    index_line(g, f->offset_bytes, f->count, n);
    strbuf_printf(&g->out, "        Some(%sMut(&mut self.0[at..at + %" PRIu32 "]))\n    }\n", inner, n);
}

void rust_emit_setters(struct rust_gen *g, const struct type *t)
{
    const char *scope = rust_text(g, "%sMut", rust_type_name(g, t->name));
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        if (!is_fixed(f))
            continue;
        const char *method = rust_text(g, "%s_%s", f->repr == REPR_TYPE ? "edit" : "set", f->name);
        rust_claim(g, scope, method, path_of(g, t, f));
        switch (f->repr) {
        case REPR_UINT:
        case REPR_SINT:
        case REPR_BOTH:
        case REPR_UTF16:
            set_integer(g, t, f, method);
            break;
        case REPR_TYPE:
            edit_nested(g, t, f, method);
            break;
        case REPR_CHARS:
        case REPR_BYTES:
        case REPR_GUID:
        case REPR_UUID:
            set_bytes(g, t, f, method);
            break;
        }
    }
}
