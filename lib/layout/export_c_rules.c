/* Layout to C: x_init, x_check, x_seal, and the cases of unions. */
#include <stdlib.h>
#include <string.h>

#include "lib/layout/export_c_expr.h"
#include "lib/layout/inst.h"

/* ---- arguments ---- */

const char *c_arguments(struct c_gen *g, const struct c_scope *inputs, bool declare)
{
    const char *text = "";
    const char *type = declare ? "uint64_t " : "";
    if (inputs->uses_offset)
        text = c_text(g, ", %soffset_bytes", type);
    for (size_t i = 0; i < g->layout->n_params; i++)
        if ((inputs->uses_params >> i & 1) != 0)
            text = c_text(g, "%s, %s%s", text, type, c_argument(g, g->layout->params[i].name));
    return text;
}

/* ---- one check ---- */

/* Emits the body of one test: `return result` when it fails. */
struct check {
    struct c_gen *g;
    struct c_scope scope;
    struct strbuf *out;  /* NULL: only find out what it needs */
    int result;
    bool complete;       /* nothing was left to the run-time engine */
};

static void put(struct check *c, const char *text)
{
    if (c->out != NULL)
        strbuf_puts(c->out, text);
}

/* `when` that cannot be compiled leaves the whole rule to the engine. */
static void emit_condition(struct check *c, const struct expr *when, const char *failure)
{
    if (when == NULL) {
        put(c, c_text(c->g, "    {\n        bool bad = false;\n        if (%s || bad)\n            return %d;\n    }\n", failure,
                      c->result));
        return;
    }
    struct c_scope before = c->scope;
    const char *applies = c_condition(c->g, c_compile(c->g, &c->scope, when));
    if (applies == NULL) {
        c->scope = before;
        c->complete = false;
        return;
    }
    put(c, c_text(c->g,
                  "    {\n        bool bad = false;\n        if ((%s) && !bad && (%s || bad))\n            return %d;\n    }\n",
                  applies, failure, c->result));
}

static void emit_rule(struct check *c, const struct rule *rule)
{
    if (rule->severity != SEVERITY_ERROR)
        return;
    struct c_scope before = c->scope;
    const char *must = c_condition(c->g, c_compile(c->g, &c->scope, rule->must));
    if (must == NULL ||
        (rule->when != NULL && c_condition(c->g, c_compile(c->g, &c->scope, rule->when)) == NULL)) {
        c->scope = before;
        c->complete = false;
        return;
    }
    emit_condition(c, rule->when, c_text(c->g, "!(%s)", must));
}

/* The exact bytes of a constant of fixed size. */
static void emit_const(struct check *c, const struct type *type, const struct field *f)
{
    struct c_gen *g = c->g;
    uint8_t *bytes = calloc(1, type->min_bytes + 1);
    struct type whole = *type;
    if (bytes == NULL) {
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C");
        return;
    }
    /* inst_init knows every kind of constant and its padding; a copy of the type makes dynamic structs fixed. */
    struct field only = *f;
    whole.fields = &only;
    whole.n_fields = 1;
    whole.size_bytes = type->min_bytes;
    if (inst_init(&whole, bytes, type->min_bytes, NULL) == 0)
        for (uint32_t i = 0; i < f->size_bytes; i++)
            put(c, c_text(g, "%sv.p[%u] != 0x%02x%s", i == 0 ? "    if (" : "        ", f->offset_bytes + i,
                          bytes[f->offset_bytes + i],
                          i + 1 == f->size_bytes ? c_text(g, ")\n        return %d;\n", c->result) : " ||\n"));
    free(bytes);
}

static void emit_enum_check(struct check *c, const struct type *values, const char *code)
{
    put(c, c_text(c->g, "    switch ((uint64_t)%s) {\n", code));
    for (size_t i = 0; i < values->n_values; i++)
        put(c, c_text(c->g, "    case 0x%llxu:\n", (unsigned long long)values->values[i].value));
    put(c, c_text(c->g, "        break;\n    default:\n        return %d;\n    }\n", c->result));
}

/* Members of a bits field: constants, closed enums and rules. */
static void emit_bits(struct check *c, const struct type *type, const struct field *f, const char *code)
{
    for (size_t i = 0; i < f->type->n_fields; i++) {
        const struct field *b = &f->type->fields[i];
        uint64_t mask = b->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << b->bit_width) - 1;
        const char *member = c_text(c->g, "((uint64_t)%s >> %u & 0x%llxu)", code, b->bit_shift, (unsigned long long)mask);
        if (b->constant.set)
            put(c, c_text(c->g, "    if (%s != 0x%llxu)\n        return %d;\n", member,
                          (unsigned long long)(b->constant.number & mask), c->result));
        if (b->type != NULL && !b->type->open)
            emit_enum_check(c, b->type, member);
        struct check inner = *c;
        inner.scope.type = type;
        inner.scope.field = f;
        inner.scope.bits = b;
        inner.scope.bits_base = code;
        for (size_t k = 0; k < b->n_valid; k++)
            emit_rule(&inner, &b->valid[k]);
        c->scope.uses_params |= inner.scope.uses_params;
        c->scope.uses_offset |= inner.scope.uses_offset;
        c->complete = c->complete && inner.complete;
    }
}

static void emit_derive(struct check *c, const struct type *type, const struct field *f)
{
    struct c_gen *g = c->g;
    struct c_scope before = c->scope;
    struct c_value want = c_compile(g, &c->scope, f->derive);
    struct c_value have = {.kind = C_FIELD, .code = "", .type = type, .field = f};
    struct c_value n = c_value_number(g, want);
    const char *failure = NULL;
    if (f->repr == REPR_UINT || f->repr == REPR_SINT || f->repr == REPR_BOTH) {
        if (n.kind == C_NUM) {
            c_need(g, C_HELPER_SAME);
            failure = c_text(g, "!priv_%s_same(%s, %s)", g->layout->name, n.code, c_value_number(g, have).code);
        }
    } else {
        struct c_value bytes = c_value_bytes(g, want);
        if (bytes.kind == C_BYTES) {
            c_need(g, C_HELPER_EQUAL);
            failure = c_text(g, "!priv_%s_equal(%s, %s)", g->layout->name, bytes.code, c_value_bytes(g, have).code);
        }
    }
    if (failure != NULL) {
        emit_condition(c, NULL, failure);
    } else {
        c->scope = before;
        c->complete = false;
    }
}

static void emit_nested(struct check *c, const struct type *type, const struct field *f);

static void emit_field(struct check *c, const struct type *type, const struct field *f)
{
    struct c_gen *g = c->g;
    c->scope.type = type;
    c->scope.field = f;
    if (!c_field_is_fixed(f)) {
        c->complete = c->complete && f->n_valid == 0 && f->derive == NULL && !f->constant.set && f->repr != REPR_TYPE;
        return;
    }
    bool is_int = f->repr == REPR_UINT || f->repr == REPR_SINT || f->repr == REPR_BOTH;
    bool closed = is_int && f->type != NULL && f->type->kind == TYPE_ENUM && !f->type->open;
    bool bits = is_int && f->type != NULL && f->type->kind == TYPE_BITS;
    if (!f->constant.set && !closed && !bits && f->repr != REPR_BOTH && f->n_valid == 0 && f->derive == NULL &&
        f->repr != REPR_TYPE)
        return;
    struct c_scope before = c->scope;
    const char *applies = f->when == NULL ? NULL : c_condition(g, c_compile(g, &c->scope, f->when));
    if (f->when != NULL && applies == NULL) {
        c->scope = before;
        c->complete = false;
        return;
    }
    if (applies != NULL)
        put(c, c_text(g,
                      "    {\n    bool applies;\n    {\n        bool bad = false;\n        applies = (%s) && !bad;\n    }\n"
                      "    if (applies) {\n",
                      applies));
    if (f->constant.set)
        emit_const(c, type, f);
    if (f->repr == REPR_TYPE) {
        emit_nested(c, type, f);
    } else {
        if (f->is_array)
            put(c, c_text(g, "    for (size_t k = 0; k < %u; k++) {\n", f->count));
        const char *code = c_text(g, "%s(v%s)", c_getter(g, type, f), f->is_array ? ", k" : "");
        if (f->repr == REPR_BOTH) {
            const char *at = f->is_array ? c_text(g, "v.p + %u + k * %u", f->offset_bytes, 2 * f->width_bytes)
                                         : c_text(g, "v.p + %u", f->offset_bytes);
            put(c, c_text(g, "    for (size_t b = 0; b < %u; b++)\n        if ((%s)[b] != (%s)[%u - b])\n            return %d;\n",
                          f->width_bytes, at, at, 2 * f->width_bytes - 1, c->result));
        }
        if (closed)
            emit_enum_check(c, f->type, code);
        if (bits)
            emit_bits(c, type, f, code);
        for (size_t i = 0; i < f->n_valid; i++)
            emit_rule(c, &f->valid[i]);
        if (f->derive != NULL)
            emit_derive(c, type, f);
        if (f->is_array)
            put(c, "    }\n");
    }
    if (applies != NULL)
        put(c, "    }\n    }\n");
}

/* A nested struct is checked by its own x_check. */
static void emit_nested(struct check *c, const struct type *type, const struct field *f)
{
    struct c_gen *g = c->g;
    (void)type;
    if (f->type->kind != TYPE_STRUCT || f->type->size_bytes == 0) {
        c->complete = false;
        return;
    }
    struct c_scope inputs = c_rule_inputs(g, f->type, false);
    c->scope.uses_params |= inputs.uses_params;
    c->scope.uses_offset |= inputs.uses_offset;
    c->complete = c->complete && c_check_is_complete(g, f->type);
    struct c_scope params = inputs;
    params.uses_offset = false;
    put(c, c_text(g,
                  "    for (size_t k = 0; k < %u; k++)\n        if (%s((struct %s){v.p + %u + k * %u}%s%s) != 0)\n"
                  "            return %d;\n",
                  f->count, c_verb(g, f->type, "check"), c_type_name(g, f->type), f->offset_bytes, f->width_bytes,
                  inputs.uses_offset ? c_text(g, ", offset_bytes + %u + k * %u", f->offset_bytes, f->width_bytes) : "",
                  c_arguments(g, &params, false), c->result));
}

static struct check run_checks(struct c_gen *g, const struct type *type, struct strbuf *out)
{
    struct check c = {.g = g, .out = out, .complete = true};
    for (size_t i = 0; i < type->n_fields; i++) {
        c.result = (int)i + 1;
        emit_field(&c, type, &type->fields[i]);
    }
    c.scope.type = type;
    c.scope.field = NULL;
    for (size_t i = 0; i < type->n_rules; i++) {
        c.result = (int)(type->n_fields + i) + 1;
        emit_rule(&c, &type->rules[i]);
    }
    return c;
}

/* Only derived fields: what x_seal writes. */
static struct check run_seals(struct c_gen *g, const struct type *type, struct strbuf *out)
{
    struct check c = {.g = g, .complete = true};
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        if (f->derive == NULL || !c_field_is_fixed(f))
            continue;
        struct c_scope before = c.scope;
        c.scope.type = type;
        c.scope.field = f;
        struct c_value want = c_compile(g, &c.scope, f->derive);
        struct c_value n = c_value_number(g, want);
        bool is_int = f->repr == REPR_UINT || f->repr == REPR_SINT || f->repr == REPR_BOTH;
        struct c_value bytes = is_int ? n : c_value_bytes(g, want);
        if (is_int ? n.kind != C_NUM : bytes.kind != C_BYTES) {
            c.scope = before;
            c.complete = false;
            if (out != NULL)
                c_comment(out, "        ", c_text(g, "%s is derived by the run-time engine: %s", f->name,
                                                  c_comment_text(g, f->derive_text)));
            continue;
        }
        if (out == NULL)
            continue;
        if (is_int) {
            c_need(g, C_HELPER_U64);
            strbuf_printf(out, "        %s(m, (%s)priv_%s_u64(%s));\n", c_setter(g, type, f, "set"), c_value_type(f),
                          g->layout->name, n.code);
        } else {
            strbuf_printf(out,
                          "        {\n            struct priv_%s_bytes b = %s;\n"
                          "            for (size_t k = 0; k < %u && k < b.n; k++)\n                m.p[%u + k] = b.p[k];\n        }\n",
                          g->layout->name, bytes.code, f->size_bytes, f->offset_bytes);
        }
    }
    return c;
}

struct c_scope c_rule_inputs(struct c_gen *g, const struct type *type, bool seal)
{
    return seal ? run_seals(g, type, NULL).scope : run_checks(g, type, NULL).scope;
}

bool c_check_is_complete(struct c_gen *g, const struct type *type)
{
    return run_checks(g, type, NULL).complete;
}

/* ---- functions ---- */

static void emit_init(struct c_gen *g, const struct type *type)
{
    const char *name = c_type_name(g, type);
    const char *signature = c_text(g, "%svoid %s(struct %s_mut m)", c_linkage(g), c_verb(g, type, "init"), name);
    uint8_t *bytes = calloc(1, type->size_bytes);
    if (bytes == NULL || inst_init(type, bytes, type->size_bytes, NULL) != 0) {
        free(bytes);
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C");
        return;
    }
    c_comment(&g->head, "", "Zero, then constants and defaults.");
    c_declare(g, signature);
    strbuf_printf(&g->body, "\n%s\n{\n    for (size_t i = 0; i < %u; i++)\n        m.p[i] = 0;\n", signature, type->size_bytes);
    for (uint32_t i = 0; i < type->size_bytes; i++)
        if (bytes[i] != 0)
            strbuf_printf(&g->body, "    m.p[%u] = 0x%02x;\n", i, bytes[i]);
    strbuf_puts(&g->body, "}\n");
    free(bytes);
}

static void emit_check(struct c_gen *g, const struct type *type)
{
    struct strbuf body = {0};
    struct check c = run_checks(g, type, &body);
    const char *signature = c_text(g, "%sint %s(struct %s v%s)", c_linkage(g), c_verb(g, type, "check"), c_type_name(g, type),
                                   c_arguments(g, &c.scope, true));
    c_comment(&g->head, "", c_text(g, "0, or 1 + the index of the first field (behind them: rule) that is in error.%s",
                                   c.complete ? "" : " Some rules of this type need the run-time engine."));
    c_declare(g, signature);
    strbuf_printf(&g->body, "\n%s\n{\n", signature);
    if (body.len == 0)
        strbuf_puts(&g->body, "    (void)v;\n");
    strbuf_add(&g->body, strbuf_str(&body), body.len);
    strbuf_puts(&g->body, "    return 0;\n}\n");
    strbuf_free(&body);
}

static void emit_seal(struct c_gen *g, const struct type *type)
{
    struct strbuf body = {0};
    struct check c = run_seals(g, type, &body);
    size_t n_derived = 0;
    for (size_t i = 0; i < type->n_fields; i++)
        n_derived += type->fields[i].derive != NULL;
    const char *name = c_type_name(g, type);
    const char *signature = c_text(g, "%svoid %s(struct %s_mut m%s)", c_linkage(g), c_verb(g, type, "seal"), name,
                                   c_arguments(g, &c.scope, true));
    c_comment(&g->head, "", "Writes the derived fields; one that cannot be computed is left with any value.");
    c_declare(g, signature);
    strbuf_printf(&g->body, "\n%s\n{\n", signature);
    if (body.len == 0) {
        strbuf_puts(&g->body, "    (void)m;\n");
    } else {
        /* A sum may cover other derived fields: as many passes as there are fields settle every order. */
        strbuf_printf(&g->body,
                      "    struct %s v = %s(m);\n    bool bad = false;\n    for (unsigned pass = 0; pass < %zu; pass++) {\n",
                      name, c_verb(g, type, "of"), n_derived);
        strbuf_add(&g->body, strbuf_str(&body), body.len);
        strbuf_puts(&g->body, "    }\n    (void)v;\n    (void)bad;\n}\n");
    }
    if (body.len == 0)
        strbuf_puts(&g->body, "}\n");
    strbuf_free(&body);
}

/* Only the parts with fixed places; x_init needs a fixed size. */
void c_emit_rules(struct c_gen *g, const struct type *type)
{
    if (type->kind != TYPE_STRUCT)
        return;
    if (type->size_bytes != 0)
        emit_init(g, type);
    emit_check(g, type);
    emit_seal(g, type);
}

void c_emit_cases(struct c_gen *g, const struct type *type)
{
    const char *name = c_type_name(g, type);
    const char *upper = c_upper(g, name);
    struct strbuf body = {0};
    struct c_scope scope = {.type = type->head};
    bool complete = true;
    for (size_t i = 0; i < type->n_cases && complete; i++) {
        const char *when = "true";
        if (type->cases[i].when != NULL && type->head != NULL)
            when = c_condition(g, c_compile(g, &scope, type->cases[i].when));
        complete = when != NULL;
        if (complete)
            strbuf_printf(&body, "    bad = false;\n    if ((%s) && !bad)\n        return %s_CASE_%s;\n", when, upper,
                          c_upper(g, type->cases[i].name));
    }
    strbuf_printf(&g->head, "enum %s_case_id {\n    %s_CASE_NONE", name, upper);
    for (size_t i = 0; i < type->n_cases; i++)
        strbuf_printf(&g->head, ",\n    %s_CASE_%s", upper, c_upper(g, type->cases[i].name));
    strbuf_puts(&g->head, "\n};\n");
    if (complete && type->head != NULL) {
        const char *signature = c_text(g, "%senum %s_case_id %s(struct %s u%s)", c_linkage(g), name, c_verb(g, type, "case"),
                                       name, c_arguments(g, &scope, true));
        c_comment(&g->head, "", "The case that these bytes are; view them as its type.");
        c_declare(g, signature);
        strbuf_printf(&g->body, "\n%s\n{\n    struct %s v = {u.p};\n    bool bad;\n%s    (void)v;\n    (void)bad;\n    return %s_CASE_NONE;\n}\n",
                      signature, c_type_name(g, type->head), strbuf_str(&body), upper);
    }
    strbuf_free(&body);
}
