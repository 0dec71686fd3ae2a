/* Layout to a test program: tables and small functions that call the generated C, for tests/unit/agree.h to
 * compare with the run-time engine. */
#include <string.h>

#include "lib/layout/export_c_expr.h"

static bool is_tested(const struct type *type)
{
    return type->kind == TYPE_STRUCT && type->size_bytes != 0;
}

static bool is_tested_union(struct c_gen *g, const struct type *type)
{
    return type->kind == TYPE_UNION && type->size_bytes != 0 && c_facts_of(g, type)->has_case;
}

/* ---- getters ---- */

static void put_integer(struct c_gen *g, struct strbuf *out, const struct type *type, size_t index)
{
    const struct field *f = &type->fields[index];
    const char *get = c_getter(g, type, f);
    if (f->is_array)
        strbuf_printf(
            out,
            "    for (size_t i = 0; i < %u; i++)\n        agree_number(%zu, i, (uint64_t)%s(v, i));\n"
            "    agree_past_end(%zu, (uint64_t)%s(v, %u));\n",
            f->count, index, get, index, get, f->count);
    else
        strbuf_printf(out, "    agree_number(%zu, 0, (uint64_t)%s(v));\n", index, get);
    if (f->type == NULL || f->type->kind != TYPE_BITS)
        return;
    for (size_t i = 0; i < f->type->n_fields; i++) {
        const struct field *b = &f->type->fields[i];
        const char *base = c_text(g, f->is_array ? "%s(v, 0)" : "%s(v)", get);
        strbuf_printf(out,
                      "    {\n        uint64_t n = agree_random();\n"
                      "        agree_member(%zu, \"%s\", %s, %s(%s), n, %s(%s, (%s)n));\n    }\n",
                      index, b->name, base, c_getter(g, f->type, b), base, c_setter(g, f->type, b, "with"),
                      base, c_uint_type(b->bit_width));
    }
}

static void put_nested(struct c_gen *g, struct strbuf *out, const struct type *type, size_t index)
{
    const struct field *f = &type->fields[index];
    const char *get = c_getter(g, type, f), *edit = c_setter(g, type, f, "edit"),
               *inner = c_type_name(g, f->type);
    if (!f->is_array) {
        strbuf_printf(out, "    agree_nested(%zu, 0, %s(v).p, %s(m).p);\n", index, get, edit);
        return;
    }
    strbuf_printf(out,
                  "    for (size_t i = 0; i < %u; i++) {\n        struct %s nv = {NULL};\n        struct "
                  "%s_mut nm = {NULL};\n"
                  "        (void)%s(v, i, &nv);\n        (void)%s(m, i, &nm);\n"
                  "        agree_nested(%zu, i, nv.p, nm.p);\n    }\n",
                  f->count, inner, inner, get, edit, index);
    strbuf_printf(out,
                  "    {\n        struct %s nv;\n        struct %s_mut nm;\n"
                  "        agree_past_end(%zu, %s(v, %u, &nv) || %s(m, %u, &nm));\n    }\n",
                  inner, inner, index, get, f->count, edit, f->count);
}

static void put_getters(struct c_gen *g, struct strbuf *out, const struct type *type)
{
    const char *name = c_type_name(g, type);
    strbuf_printf(
        out,
        "\nstatic void get_%s(uint8_t *p)\n{\n    struct %s_mut m = {NULL};\n    struct %s v = {NULL};\n"
        "    if (!%s_edit(p, %u, &m) || !%s_view(p, %u, &v) || %s_edit(p, %u, &m) || %s_view(p, %u, &v))\n"
        "        agree_past_end(0, 1);\n",
        type->name, name, name, name, type->size_bytes, name, type->size_bytes, name, type->size_bytes - 1,
        name, type->size_bytes - 1);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        const char *get = c_getter(g, type, f);
        switch (f->repr) {
        case REPR_UINT:
        case REPR_SINT:
        case REPR_BOTH:
            put_integer(g, out, type, i);
            break;
        case REPR_UTF16:
            strbuf_printf(out, "    for (size_t i = 0; i < %u; i++)\n        agree_unit(%zu, i, %s(v, i));\n",
                          f->count, i, get);
            strbuf_printf(out, "    agree_past_end(%zu, %s(v, %u));\n", i, get, f->count);
            break;
        case REPR_TYPE:
            put_nested(g, out, type, i);
            break;
        default:
            if (f->is_array)
                strbuf_printf(
                    out, "    for (size_t i = 0; i < %u; i++)\n        agree_bytes(%zu, i, %s(v, i), 16);\n",
                    f->count, i, get);
            else
                strbuf_printf(out, "    agree_bytes(%zu, 0, %s(v), %s_BYTES);\n", i, get, c_upper(g, get));
            break;
        }
    }
    strbuf_puts(out, "}\n");
}

/* ---- setters ---- */

static void put_setters(struct c_gen *g, struct strbuf *out, const struct type *type)
{
    strbuf_printf(
        out,
        "\nstatic void set_%s(uint8_t *p, size_t field, size_t i, uint64_t n, const uint8_t *bytes)\n{\n"
        "    struct %s_mut m = {p};\n    (void)m;\n    (void)i;\n    (void)n;\n    (void)bytes;\n"
        "    switch (field) {\n",
        type->name, c_type_name(g, type));
    for (size_t k = 0; k < type->n_fields; k++) {
        const struct field *f = &type->fields[k];
        const char *set = c_setter(g, type, f, "set"), *index = f->is_array ? "i, " : "";
        if (f->repr == REPR_TYPE)
            continue;
        strbuf_printf(out, "    case %zu:\n", k);
        if (f->repr == REPR_UTF16)
            strbuf_printf(out, "        %s(m, i, (uint16_t)n);\n", set);
        else if (f->repr == REPR_UINT || f->repr == REPR_SINT || f->repr == REPR_BOTH)
            strbuf_printf(out, "        %s(m, %s(%s)n);\n", set, index, c_value_type(f));
        else
            strbuf_printf(out, "        %s(m, %sbytes);\n", set, index);
        strbuf_puts(out, "        break;\n");
    }
    strbuf_puts(out, "    default:\n        break;\n    }\n}\n");
}

/* ---- init, check, seal, case ---- */

static const char *arguments(struct c_gen *g, bool offset, uint64_t params)
{
    const char *text = offset ? ", offset" : "";
    for (size_t i = 0; i < g->layout->n_params; i++)
        if ((params >> i & 1) != 0)
            text = c_text(g, "%s, params[%zu]", text, i);
    return text;
}

static void put_judges(struct c_gen *g, struct strbuf *out, const struct type *type)
{
    const struct c_facts *facts = c_facts_of(g, type);
    const char *name = c_type_name(g, type);
    static const char unused[] = "    (void)offset;\n    (void)params;\n";
    strbuf_printf(out, "\nstatic void init_%s(uint8_t *p)\n{\n    %s((struct %s_mut){p});\n}\n", type->name,
                  c_verb(g, type, "init"), name);
    strbuf_printf(out,
                  "\nstatic int check_%s(const uint8_t *p, uint64_t offset, const uint64_t *params)\n{\n%s"
                  "    return %s((struct %s){p}%s);\n}\n",
                  type->name, unused, c_verb(g, type, "check"), name,
                  arguments(g, facts->check_offset, facts->check_params));
    strbuf_printf(out,
                  "\nstatic void seal_%s(uint8_t *p, uint64_t offset, const uint64_t *params)\n{\n%s"
                  "    %s((struct %s_mut){p}%s);\n}\n",
                  type->name, unused, c_verb(g, type, "seal"), name,
                  arguments(g, facts->seal_offset, facts->seal_params));
    strbuf_printf(out, "\nstatic const char *const sealed_%s[] = {%sNULL};\n", type->name, facts->sealed);
    if (facts->left[0] != '\0')
        strbuf_printf(out, "\nstatic const struct agree_left left_%s[] = {\n%s};\n", type->name, facts->left);
}

static void put_chooser(struct c_gen *g, struct strbuf *out, const struct type *type)
{
    const struct c_facts *facts = c_facts_of(g, type);
    strbuf_printf(out,
                  "\nstatic unsigned shape_%s(const uint8_t *p, uint64_t offset, const uint64_t *params)\n{\n"
                  "    (void)offset;\n    (void)params;\n    return (unsigned)%s((struct %s){p}%s);\n}\n",
                  type->name, c_verb(g, type, "case"), c_type_name(g, type),
                  arguments(g, facts->case_offset, facts->case_params));
}

static void put_rows(struct c_gen *g, struct strbuf *out)
{
    const struct layout *layout = g->layout;
    strbuf_puts(out, "\nstatic const struct agree_type types[] = {\n");
    for (size_t i = 0; i < layout->n_types; i++) {
        const struct type *type = layout->types[i];
        const char *n = type->name;
        if (is_tested_union(g, type))
            strbuf_printf(out, "    {.name = \"%s\", .shape = shape_%s},\n", n, n);
        if (!is_tested(type))
            continue;
        strbuf_printf(
            out,
            "    {.name = \"%s\",\n     .get = get_%s,\n     .set = set_%s,\n     .init = init_%s,\n"
            "     .check = check_%s,\n     .seal = seal_%s,\n     .sealed = sealed_%s",
            n, n, n, n, n, n, n);
        if (c_facts_of(g, type)->left[0] != '\0')
            strbuf_printf(out, ",\n     .left = left_%s,\n     .n_left = sizeof left_%s / sizeof left_%s[0]",
                          n, n, n);
        strbuf_puts(out, "},\n");
    }
    strbuf_puts(out, "    {.name = NULL},\n};\n\nstatic const struct agree_name names[] = {\n");
    for (size_t i = 0; i < layout->n_types; i++) {
        const struct type *type = layout->types[i];
        if (type->kind == TYPE_ENUM || type->kind == TYPE_FLAGS)
            strbuf_printf(out, "    {.type = \"%s\", .%s = %s_name},\n", type->name,
                          type_names_ids(type) ? "id_name" : "name", c_type_name(g, type));
    }
    strbuf_puts(out, "    {.type = NULL},\n};\n");
}

int layout_export_agree(const struct layout *layout, struct strbuf *ret, struct plat_err *err)
{
    struct c_gen g = {.layout = layout, .what = EXPORT_SOURCE, .err = err};
    struct strbuf out = {0};
    c_emit_layout(&g);
    strbuf_printf(&out,
                  "/* Generated by layoutc: does the C generated from the layout '%s' agree with the "
                  "run-time engine? */\n"
                  "#include \"%s.gen.h\"\n#include \"tests/unit/agree.h\"\n",
                  layout->name, layout->name);
    for (size_t i = 0; g.failed == 0 && i < layout->n_types; i++) {
        const struct type *type = layout->types[i];
        if (is_tested_union(&g, type))
            put_chooser(&g, &out, type);
        if (!is_tested(type))
            continue;
        put_getters(&g, &out, type);
        put_setters(&g, &out, type);
        put_judges(&g, &out, type);
    }
    if (g.failed == 0) {
        put_rows(&g, &out);
        strbuf_puts(&out,
                    "\nint main(int argc, char **argv)\n{\n    return agree_main(argc > 1 ? argv[1] : ");
        c_quote(&out, layout->source_name);
        strbuf_puts(&out, ", types, sizeof types / sizeof types[0] - 1,\n"
                          "                      names, sizeof names / sizeof names[0] - 1);\n}\n");
    }
    if (g.failed == 0 && out.failed)
        c_fail(&g, PLAT_ENOMEM, "out of memory while generating a test for layout '%s'", layout->name);
    int rc = g.failed;
    c_gen_free(&g);
    if (rc != 0) {
        strbuf_free(&out);
        return rc;
    }
    strbuf_free(ret);
    *ret = out;
    return 0;
}
