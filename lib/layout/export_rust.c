/* Layout to Rust: one module of views over byte slices, without std and without unsafe code. */
#include "lib/layout/export_rust.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/layout/export_text.h"

/* ---- state ---- */

static void fail_nomem(struct rust_gen *g)
{
    if (g->failed == 0)
        g->failed = err_nomem(g->err, "exporting to Rust");
}

const char *rust_text(struct rust_gen *g, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *text = n < 0 ? NULL : arena_bytes(&g->arena, (size_t)n + 1);
    if (text != NULL)
        (void)vsnprintf(text, (size_t)n + 1, fmt, again);
    else
        fail_nomem(g);
    va_end(again);
    va_end(ap);
    return text != NULL ? text : "";
}

void rust_claim(struct rust_gen *g, const char *scope, const char *name, const char *origin)
{
    for (size_t i = 0; i < g->n_claims && g->failed == 0; i++)
        if (strcmp(g->claims[i].name, name) == 0 && strcmp(g->claims[i].scope, scope) == 0)
            g->failed =
                err_set(g->err, PLAT_EINVALID, "%s and %s would both be called '%s' in Rust; rename one",
                        g->claims[i].origin, origin, name);
    if (g->n_claims == g->cap_claims) {
        size_t cap = g->cap_claims == 0 ? 64 : 2 * g->cap_claims;
        struct rust_claim *claims = realloc(g->claims, cap * sizeof *claims);
        if (claims == NULL) {
            fail_nomem(g);
            return;
        }
        g->claims = claims;
        g->cap_claims = cap;
    }
    g->claims[g->n_claims++] = (struct rust_claim){.scope = scope, .name = name, .origin = origin};
}

/* ---- names ---- */

static bool in_list(const char *name, const char *const *list)
{
    for (size_t i = 0; list[i] != NULL; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

const char *rust_type_name(struct rust_gen *g, const char *name)
{
    /* What generated code takes from the prelude. */
    static const char *const taken[] = {"Option", "Some", "None", "Self", NULL};
    char camel[LAYOUT_MAX_NAME_BYTES + 1];
    size_t n = 0;
    bool up = true;
    for (const char *s = name; *s != '\0' && n + 1 < sizeof camel; s++) {
        if (*s == '_') {
            up = true;
            continue;
        }
        camel[n++] = up && *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s;
        up = false;
    }
    camel[n] = '\0';
    bool digit = n == 0 || (camel[0] >= '0' && camel[0] <= '9');
    return rust_text(g, "%s%s%s", digit ? "T" : "", camel, in_list(camel, taken) ? "Type" : "");
}

static const char *raw(struct rust_gen *g, const char *name)
{
    static const char *const keywords[] = {
        "abstract", "as",    "async",    "await", "become", "box",    "break",   "const",  "continue",
        "do",       "dyn",   "else",     "enum",  "extern", "false",  "final",   "fn",     "for",
        "gen",      "if",    "impl",     "in",    "let",    "loop",   "macro",   "match",  "mod",
        "move",     "mut",   "override", "priv",  "pub",    "ref",    "return",  "static", "struct",
        "trait",    "true",  "try",      "type",  "typeof", "unsafe", "unsized", "use",    "virtual",
        "where",    "while", "yield",    NULL};
    static const char *const unusable[] = {"crate", "self", "super", "_",
                                           NULL}; /* not even as raw identifiers */
    return rust_text(g, "%s%s%s", in_list(name, keywords) ? "r#" : "", name,
                     in_list(name, unusable) ? "_" : "");
}

const char *rust_module_name(struct rust_gen *g, const char *name)
{
    static const char *const primitives[] = {"u8",   "u16", "u32",  "u64",   "u128",  "i8",   "i16",
                                             "i32",  "i64", "i128", "usize", "isize", "bool", "str",
                                             "char", "f32", "f64",  "core",  NULL};
    return in_list(name, primitives) ? rust_text(g, "%s_", name) : raw(g, name);
}

const char *rust_method_name(struct rust_gen *g, const char *name)
{
    static const char *const own[] = {"new", "as_bytes", "as_view", NULL};
    return in_list(name, own) ? rust_text(g, "%s_", name) : raw(g, name);
}

const char *rust_const_name(struct rust_gen *g, const char *name)
{
    char upper[LAYOUT_MAX_NAME_BYTES + 1];
    size_t n = 0;
    for (; name[n] != '\0' && n + 1 < sizeof upper; n++)
        upper[n] = name[n] >= 'a' && name[n] <= 'z' ? (char)(name[n] - 'a' + 'A') : name[n];
    upper[n] = '\0';
    return rust_text(g, "%s%s", upper, strcmp(upper, "_") == 0 ? "_" : "");
}

const char *rust_int_type(unsigned bits, bool is_signed)
{
    static const char *const names[2][4] = {{"u8", "u16", "u32", "u64"}, {"i8", "i16", "i32", "i64"}};
    return names[is_signed][bits <= 8 ? 0 : bits <= 16 ? 1 : bits <= 32 ? 2 : 3];
}

const char *rust_comment(struct rust_gen *g, const char *text)
{
    struct strbuf sb = {0};
    doc_plain(&sb, text);
    while (sb.len > 0 && sb.s[sb.len - 1] == ' ')
        strbuf_truncate(&sb, sb.len - 1);
    const char *copy = rust_text(g, "%s", strbuf_str(&sb));
    strbuf_free(&sb);
    return copy;
}

/* ---- the parts of the module ---- */

static const char *expr_text(struct rust_gen *g, const struct expr *e)
{
    struct strbuf sb = {0};
    expr_print(e, &sb);
    const char *copy = rust_text(g, "%s", strbuf_str(&sb));
    strbuf_free(&sb);
    return copy;
}

static void emit_head(struct rust_gen *g)
{
    const struct layout *l = g->layout;
    struct strbuf *out = &g->out;
    strbuf_printf(out, "//! %s", rust_comment(g, l->title[0] != '\0' ? l->title : l->name));
    if (l->spec[0] != '\0')
        strbuf_printf(out, " (%s)", rust_comment(g, l->spec));
    strbuf_printf(out, "\n//!\n//! Written by plat from the layout `%s`; change the layout, not this file.\n",
                  l->name);
    strbuf_puts(out, "//! Needs only `core`. A view is made by `new`, which checks the length once; "
                     "accessors cannot fail.\n");
    for (size_t i = 0; i < l->n_params; i++)
        strbuf_printf(out, "%s//! - `%s`, default %" PRIu64 ": %s\n",
                      i == 0 ? "//!\n//! Parameters:\n//!\n" : "", l->params[i].name, l->params[i].value,
                      rust_comment(g, l->params[i].doc));
    for (size_t i = 0; i < l->n_map; i++) {
        const struct map_entry *m = &l->map[i];
        strbuf_printf(out, "%s//! - `%s`: ", i == 0 ? "//!\n//! Where things lie (byte offsets):\n//!\n" : "",
                      m->name);
        if (m->is_extent)
            strbuf_printf(out, "%s bytes, `%s` of them", extent_kind_name(m->extent), expr_text(g, m->bytes));
        else if (m->mirror != NULL)
            strbuf_printf(out, "copy of `%s`", m->mirror->name);
        else
            strbuf_printf(out, "`%s`", m->type->name);
        if (m->count != NULL)
            strbuf_printf(out, " * `%s`", expr_text(g, m->count));
        strbuf_printf(out, " at `%s`", expr_text(g, m->at));
        if (m->next != NULL)
            strbuf_printf(out, ", the next at `%s`", expr_text(g, m->next));
        if (m->last != NULL)
            strbuf_printf(out, ", up to the one where `%s`", expr_text(g, m->last));
        if (m->when != NULL)
            strbuf_printf(out, " when `%s`", expr_text(g, m->when));
        strbuf_putc(out, '\n');
    }
    /* Names come from the layout: a double underscore there is no style fault here. */
    strbuf_puts(
        out,
        "#![allow(dead_code, non_snake_case, non_camel_case_types, non_upper_case_globals, clippy::all)]\n"
        "\n"
        "/// `N` bytes from `at`, which a view's constructor has checked.\n"
        "fn chunk<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {\n"
        "    match <&[u8; N] as ::core::convert::TryFrom<&[u8]>>::try_from(&bytes[at..at + N]) {\n"
        "        Ok(chunk) => chunk,\n"
        "        Err(_) => unreachable!(),\n"
        "    }\n"
        "}\n");
}

static void put_id(struct strbuf *out, const uint8_t *id)
{
    strbuf_puts(out, "[\n       ");
    for (unsigned i = 0; i < LAYOUT_ID_BYTES; i++)
        strbuf_printf(out, " 0x%02x,", id[i]);
    strbuf_puts(out, "\n    ];\n");
}

static void emit_values(struct rust_gen *g, const struct type *t)
{
    bool flags = t->kind == TYPE_FLAGS;
    bool ids = type_names_ids(t);
    const char *module = rust_module_name(g, t->name);
    const char *value =
        ids ? rust_text(g, "[u8; %d]", (int)LAYOUT_ID_BYTES) : rust_int_type(8 * t->size_bytes, t->is_signed);
    const char *origin = rust_text(g, "types.%s", t->name);
    const char *scope = rust_text(g, "mod %s", module);
    struct strbuf *out = &g->out;
    rust_claim(g, "", module, origin);
    strbuf_printf(out, "\n/// `%s`: %s of %u bits%s. %s\npub mod %s {\n", origin, flags ? "flags" : "enum",
                  8 * t->size_bytes, ids ? ", as on disk" : "", rust_comment(g, t->doc), module);
    for (size_t i = 0; i < t->n_values; i++) {
        const struct enum_value *v = &t->values[i];
        const char *name = rust_const_name(g, v->name);
        const char *where = rust_text(g, "%s.%s", origin, v->name);
        rust_claim(g, scope, name, where);
        strbuf_printf(out, "    /// `%s`. %s\n", v->name, rust_comment(g, v->doc));
        strbuf_printf(out, "    pub const %s: %s = ", name, value);
        if (ids)
            put_id(out, v->id);
        else if (t->is_signed)
            strbuf_printf(out, "%" PRId64 ";\n", (int64_t)v->value);
        else
            strbuf_printf(out, "0x%" PRIx64 ";\n", v->value);
        if (flags && v->width > 1) {
            const char *shift = rust_text(g, "%s_SHIFT", name);
            rust_claim(g, scope, shift, where);
            strbuf_printf(out, "    /// Lowest bit of `%s`.\n    pub const %s: u32 = %u;\n", v->name, shift,
                          v->shift);
        }
    }
    if (!flags) {
        strbuf_printf(out,
                      "\n    /// The name of a value in the layout.\n"
                      "    pub fn name(value: %s%s) -> Option<&'static str> {\n        match %svalue {\n",
                      ids ? "&" : "", value, ids ? "*" : "");
        for (size_t i = 0; i < t->n_values; i++)
            strbuf_printf(out, "            %s => Some(\"%s\"),\n", rust_const_name(g, t->values[i].name),
                          t->values[i].name);
        bool every = t->size_bytes == 1 && t->n_values == 256; /* then nothing is left to match */
        strbuf_puts(out, every ? "        }\n    }\n" : "            _ => None,\n        }\n    }\n");
    }
    strbuf_puts(out, "}\n");
}

static void emit_bits(struct rust_gen *g, const struct type *t)
{
    const char *name = rust_type_name(g, t->name);
    const char *base = rust_int_type(8 * t->size_bytes, false);
    const char *origin = rust_text(g, "types.%s", t->name);
    struct strbuf *out = &g->out;
    rust_claim(g, "", name, origin);
    strbuf_printf(out,
                  "\n/// `%s`: bit fields of %u bits. %s\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\n"
                  "pub struct %s(pub %s);\n\nimpl %s {\n",
                  origin, 8 * t->size_bytes, rust_comment(g, t->doc), name, base, name);
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        const char *value = rust_int_type(f->bit_width, false);
        const char *get = rust_method_name(g, f->name);
        const char *with = rust_text(g, "with_%s", f->name);
        const char *where = rust_text(g, "%s.%s", origin, f->name);
        uint64_t mask = f->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << f->bit_width) - 1;
        const char *shift = f->bit_shift > 0 ? rust_text(g, " >> %u", f->bit_shift) : "";
        rust_claim(g, name, get, where);
        rust_claim(g, name, with, where);
        strbuf_printf(out, "%s    /// `%s`: bits %u to %u%s%s. %s\n", i == 0 ? "" : "\n", where, f->bit_shift,
                      f->bit_shift + f->bit_width - 1, f->unit != NULL ? ", unit " : "",
                      f->unit != NULL ? rust_comment(g, f->unit) : "", rust_comment(g, f->doc));
        strbuf_printf(out, "    pub fn %s(self) -> %s {\n        (self.0%s & 0x%" PRIx64 ") as %s\n    }\n",
                      get, value, shift, mask, value);
        strbuf_printf(
            out,
            "\n    /// The same bits with another `%s`, of which %u bits count.\n"
            "    pub fn %s(self, value: %s) -> Self {\n        let value = (value as %s & 0x%" PRIx64
            ") << %u;\n        Self(self.0 & !0x%" PRIx64 " | value)\n    }\n",
            f->name, f->bit_width, with, value, base, mask, f->bit_shift, mask << f->bit_shift);
    }
    strbuf_puts(out, "}\n");
}

/* The two types of a struct or union, and what opens their impl blocks. */
static void emit_view(struct rust_gen *g, const struct type *t, bool editor)
{
    const char *name = rust_type_name(g, t->name);
    const char *suffix = editor ? "Mut" : "";
    uint32_t least = t->size_bytes != 0 ? t->size_bytes : t->min_bytes;
    const char *origin = rust_text(g, "types.%s", t->name);
    struct strbuf *out = &g->out;
    const char *mut = editor ? "mut " : "";
    rust_claim(g, "", rust_text(g, "%s%s", name, suffix), origin);
    strbuf_printf(out, "\n/// `%s`: %s%u bytes%s. %s\n", origin, t->size_bytes != 0 ? "" : "at least ", least,
                  editor ? ", writable" : "", rust_comment(g, t->doc));
    strbuf_printf(out, "#[derive(%sDebug)]\npub struct %s%s<'a>(&'a %s[u8]);\n\n",
                  editor ? "" : "Clone, Copy, ", name, suffix, mut);
    strbuf_printf(out, "impl<'a> %s%s<'a> {\n", name, suffix);
    strbuf_printf(out, "    /// %s on disk.\n    pub const SIZE: usize = %u;\n\n",
                  t->size_bytes != 0 ? "Bytes" : "Bytes of the fixed part", least);
    strbuf_puts(out, "    /// `None` when `bytes` is shorter than `SIZE`.\n");
    strbuf_printf(out, "    pub fn new(bytes: &'a %s[u8]) -> Option<Self> {\n", mut);
    if (t->size_bytes != 0)
        strbuf_printf(out, "        bytes.get%s(..Self::SIZE).map(Self)\n    }\n", editor ? "_mut" : "");
    else
        strbuf_puts(out, "        if bytes.get(..Self::SIZE).is_some() {\n            Some(Self(bytes))\n"
                         "        } else {\n            None\n        }\n    }\n");
    if (editor)
        strbuf_printf(out,
                      "\n    /// The same bytes, to read from.\n    pub fn as_view(&self) -> %s<'_> {\n      "
                      "  %s(self.0)\n"
                      "    }\n",
                      name, name);
    else
        strbuf_printf(
            out, "\n    /// The bytes%s.\n    pub fn as_bytes(&self) -> &'a [u8] {\n        self.0\n    }\n",
            t->size_bytes != 0 ? "" : ", with all that followed them in `new`");
}

static void emit_struct(struct rust_gen *g, const struct type *t)
{
    emit_view(g, t, false);
    rust_emit_getters(g, t);
    strbuf_puts(&g->out, "}\n");
    emit_view(g, t, true);
    rust_emit_setters(g, t);
    strbuf_puts(&g->out, "}\n");
}

/* A union offers its head and each case; which case holds is for the caller to decide by the condition told.
 */
static void emit_union(struct rust_gen *g, const struct type *t)
{
    struct strbuf *out = &g->out;
    for (int editor = 0; editor < 2; editor++) {
        const char *scope = rust_text(g, "%s%s", rust_type_name(g, t->name), editor ? "Mut" : "");
        const char *self = editor ? "&mut self" : "&self";
        const char *suffix = editor ? "Mut" : "";
        const char *lifetime = editor ? "'_" : "'a";
        const char *verb = editor ? "edit" : "case";
        emit_view(g, t, editor);
        if (t->head != NULL && !editor)
            strbuf_printf(out,
                          "\n    /// What every case starts with; the conditions are about it.\n"
                          "    pub fn head(&self) -> %s<'a> {\n        %s(&self.0[..%u])\n    }\n",
                          rust_type_name(g, t->head->name), rust_type_name(g, t->head->name),
                          t->head->size_bytes);
        for (size_t i = 0; i < t->n_cases; i++) {
            const struct union_case *c = &t->cases[i];
            const char *method = rust_text(g, "%s_%s", verb, c->name);
            const char *inner = rust_type_name(g, c->type->name);
            rust_claim(g, scope, method, rust_text(g, "types.%s.cases.%s", t->name, c->name));
            strbuf_printf(out, "\n    /// Case `%s`: %s%s%s%s. `None` when the bytes are too few.\n", c->name,
                          i > 0 ? "none of the above, and " : "", c->when != NULL ? "`" : "always",
                          c->when != NULL ? rust_comment(g, expr_text(g, c->when)) : "",
                          c->when != NULL ? "`" : "");
            strbuf_printf(out, "    pub fn %s(%s) -> Option<%s%s<%s>> {\n        %s%s::new(self.0)\n    }\n",
                          method, self, inner, suffix, lifetime, inner, suffix);
        }
        strbuf_puts(out, "}\n");
    }
}

/* Sentences that the layout leaves empty would leave a space at the end of their line. */
static void trim_lines(struct strbuf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++) {
        while (text->s[i] == '\n' && n > 0 && text->s[n - 1] == ' ')
            n--;
        text->s[n++] = text->s[i];
    }
    if (text->len > 0)
        strbuf_truncate(text, n);
}

int layout_export_rust(const struct layout *layout, struct strbuf *ret, struct plat_err *err)
{
    struct rust_gen g = {.layout = layout, .err = err};
    emit_head(&g);
    for (size_t i = 0; i < layout->n_types && g.failed == 0; i++) {
        const struct type *t = layout->types[i];
        switch (t->kind) {
        case TYPE_STRUCT:
            emit_struct(&g, t);
            break;
        case TYPE_UNION:
            emit_union(&g, t);
            break;
        case TYPE_BITS:
            emit_bits(&g, t);
            break;
        case TYPE_ENUM:
        case TYPE_FLAGS:
            emit_values(&g, t);
            break;
        }
    }
    if (g.out.failed)
        fail_nomem(&g);
    trim_lines(&g.out);
    if (g.failed == 0)
        *ret = g.out;
    else
        strbuf_free(&g.out);
    free(g.claims);
    arena_free(&g.arena);
    return g.failed;
}
