/* Layout to C: x_init, x_seal, and x_case of unions. */
#include <stdlib.h>
#include <string.h>

#include "lib/layout/export_c_expr.h"
#include "lib/layout/inst.h"

static bool is_int(const struct field *f)
{
    return f->repr == REPR_UINT || f->repr == REPR_SINT || f->repr == REPR_BOTH;
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* ---- init ---- */

/* The number that the fresh bytes of an integer field hold. */
static struct c_value fresh_number(struct c_gen *g, const struct field *f, const uint8_t *p)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < f->width_bytes; i++)
        n |= (uint64_t)p[f->big_endian && f->repr != REPR_BOTH ? f->width_bytes - 1 - i : i] << (8 * i);
    if (f->repr == REPR_SINT)
        n = sign_extend_u64(n, f->width_bytes);
    return c_literal(g, f->repr == REPR_SINT ? (expr_num)(int64_t)n : (expr_num)n, f->as == AS_HEX);
}

static const char *shifted_index(struct c_gen *g, const struct field *f)
{
    return f->offset_bytes == 0 ? "i" : c_text(g, "%u + i", f->offset_bytes);
}

/* A table of the bytes that are not zero, and their copy into the field. */
static void put_copy(struct c_gen *g, struct strbuf *out, const struct type *type, const struct field *f,
                     const uint8_t *bytes)
{
    bool is_run = !f->is_array && f->repr != REPR_UTF16 && f->repr != REPR_TYPE && !is_int(f);
    uint32_t n = f->size_bytes;
    while (n > 0 && bytes[n - 1] == 0)
        n--;
    bool whole = is_run && f->size_bytes <= 2 * n;
    if (whole)
        n = f->size_bytes;
    struct strbuf list = {0};
    for (uint32_t i = 0; i < n; i++)
        strbuf_printf(&list, "%s0x%02x", i == 0 ? "" : ", ", bytes[i]);
    const char *table = c_text(g, "fresh_%s", f->name);
    c_wrap(out, 4, c_text(g, "static const uint8_t %s[%u] = {", table, n), strbuf_str(&list), "};");
    if (whole)
        strbuf_printf(out, "    %s(m, %s);\n", c_setter(g, type, f, "set"), table);
    else
        strbuf_printf(out, "    for (size_t i = 0; i < sizeof %s; i++)\n        m.p[%s] = %s[i];\n", table,
                      shifted_index(g, f), table);
    strbuf_free(&list);
}

static void put_fresh(struct c_gen *g, struct strbuf *out, const struct type *type, const struct field *f,
                      const uint8_t *bytes)
{
    bool same = true; /* every byte is the first one */
    if (all_zero(bytes, f->size_bytes))
        return;
    for (uint32_t i = 1; i < f->size_bytes; i++)
        same = same && bytes[i] == bytes[0];
    if (is_int(f) && !f->is_array) {
        strbuf_printf(out, "    %s(m, %s);\n", c_setter(g, type, f, "set"), fresh_number(g, f, bytes).code);
    } else if (f->repr == REPR_TYPE && f->type->kind == TYPE_STRUCT && f->is_array) {
        strbuf_printf(
            out, "    for (size_t i = 0; i < %u; i++)\n        %s((struct %s_mut){m.p + %u + i * %u});\n",
            f->count, c_verb(g, f->type, "init"), c_type_name(g, f->type), f->offset_bytes, f->width_bytes);
    } else if (f->repr == REPR_TYPE && f->type->kind == TYPE_STRUCT) {
        strbuf_printf(out, "    %s(%s(m));\n", c_verb(g, f->type, "init"), c_setter(g, type, f, "edit"));
    } else if (same) {
        strbuf_printf(out, "    for (size_t i = 0; i < %u; i++)\n        m.p[%s] = 0x%02x;\n", f->size_bytes,
                      shifted_index(g, f), bytes[0]);
    } else {
        put_copy(g, out, type, f, bytes);
    }
}

void c_emit_init(struct c_gen *g, const struct type *type)
{
    const char *signature =
        c_text(g, "%svoid %s(struct %s_mut m)", c_linkage(g), c_verb(g, type, "init"), c_type_name(g, type));
    uint8_t *bytes = calloc(1, type->size_bytes);
    if (bytes == NULL || inst_init(type, bytes, type->size_bytes, NULL) != 0) {
        free(bytes);
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C");
        return;
    }
    strbuf_putc(&g->head, '\n');
    c_comment(&g->head, "", "Zero, then constants and defaults.");
    c_declare(g, signature);
    c_begin(g, signature);
    strbuf_printf(&g->body, "    for (size_t i = 0; i < %u; i++)\n        m.p[i] = 0;\n", type->size_bytes);
    for (size_t i = 0; i < type->n_fields; i++)
        put_fresh(g, &g->body, type, &type->fields[i], bytes + type->fields[i].offset_bytes);
    strbuf_puts(&g->body, "}\n");
    free(bytes);
}

/* ---- the order of seals ---- */

static bool is_name(const struct expr *e, int binding)
{
    return e->op == EXPR_NAME && e->binding == binding;
}

/* bytes(x, start, n), which may reach past x: can it cover f? */
static bool slice_misses(const struct expr *e, const struct field *f)
{
    const struct expr *x = e->arg[0];
    expr_num start = 0, end = LAYOUT_MAX_STRUCT_BYTES;
    if (x->op == EXPR_NAME && x->binding == BIND_FIELD)
        start = ((const struct field *)x->target)->offset_bytes;
    else if (!is_name(x, BIND_PARENT))
        return false;
    if (e->arg[1]->op == EXPR_NUM) {
        start += e->arg[1]->num;
        if (e->arg[2]->op == EXPR_NUM)
            end = start + e->arg[2]->num;
    }
    return end <= f->offset_bytes || start >= (expr_num)f->offset_bytes + f->size_bytes;
}

/* May the value of `e`, which derives field `owner`, depend on the bytes of field `f`? */
static bool reads(const struct expr *e, const struct field *f, const struct field *owner)
{
    if ((e->op == EXPR_NAME || e->op == EXPR_MEMBER) && e->binding == BIND_FIELD && e->target == f)
        return true;
    if (is_name(e, BIND_SELF))
        return f == owner;
    if (is_name(e, BIND_PARENT))
        return true;
    if (e->op == EXPR_MEMBER && is_name(e->arg[0], BIND_PARENT))
        return false; /* another field, as seen above */
    bool place = e->op == EXPR_CALL && (strcmp(e->text, "offset") == 0 || strcmp(e->text, "size") == 0);
    if (place)
        return false;
    if (e->zero_arg != NULL) {
        const struct expr *z = e->zero_arg;
        if (is_name(z, BIND_SELF) ? f == owner : z->binding == BIND_FIELD && z->target == f) {
            const struct expr *b = e->arg[0]; /* the bytes without f; lengths may still ask for it */
            for (unsigned i = 1; b->op == EXPR_CALL && i < b->n_args; i++)
                if (reads(b->arg[i], f, owner))
                    return true;
            return false;
        }
    }
    bool slice = e->op == EXPR_CALL && strcmp(e->text, "bytes") == 0 && e->n_args == 3;
    if (slice && !slice_misses(e, f))
        return true;
    for (unsigned i = slice ? 1 : 0; i < e->n_args; i++)
        if (reads(e->arg[i], f, owner))
            return true;
    return false;
}

/* ---- seal ---- */

struct seal {
    struct c_gen *g;
    const struct type *type;
    struct c_scope scope;
    struct strbuf out, code, sealed;
};

static void put(struct seal *s, unsigned indent, const char *head, const char *text, const char *tail)
{
    c_wrap(&s->out, indent, head, text, tail);
    strbuf_printf(&s->code, "%s%s%s\n", head, text, tail);
}

static void comment(struct seal *s, const char *text)
{
    c_comment(&s->out, "    ", c_comment_text(s->g, text));
}

static const char *unless(const char *code)
{
    bool bad = strstr(code, "&bad") != NULL, beyond = strstr(code, "&beyond") != NULL;
    return bad && beyond ? "!bad && !beyond" : bad ? "!bad" : beyond ? "!beyond" : "";
}

static void clear_flags(struct seal *s, const char *code)
{
    if (strstr(code, "&bad") != NULL)
        put(s, 4, "", "bad = false;", "");
    if (strstr(code, "&beyond") != NULL)
        put(s, 4, "", "beyond = false;", "");
}

static void field_range(const struct field *f, expr_num *ret_lo, expr_num *ret_hi)
{
    expr_num top = ((expr_num)1 << (f->width_bytes * 8)) - 1;
    *ret_lo = f->repr == REPR_SINT ? -(top >> 1) - 1 : 0;
    *ret_hi = f->repr == REPR_SINT ? top >> 1 : top;
}

/* Stores n where it fits; whatever cannot be computed leaves the field as it is. */
static void put_number(struct seal *s, const struct field *f, struct c_value n)
{
    struct c_gen *g = s->g;
    const char *set = c_setter(g, s->type, f, "set"), *value_type = c_value_type(f);
    unsigned bits = f->width_bytes * 8;
    bool is_signed = f->repr == REPR_SINT;
    expr_num lo, hi;
    field_range(f, &lo, &hi);
    bool fits = n.lo >= lo && n.hi <= hi;
    const char *flags = unless(n.code);
    clear_flags(s, n.code);
    if (n.form == C_TRUTH)
        n = c_natural(g, n);
    if (fits && flags[0] == '\0') {
        bool same = n.form == C_WHOLE && !is_signed && (n.literal || (n.is_64 && bits > 32));
        put(s, 4, c_text(g, "%s(m, ", set),
            same               ? n.code
            : n.form == C_WIDE ? c_text(g, "(%s)%s", value_type, c_call(g, C_HELPER_STORED, "stored", n.code))
            : n.prec < C_PREC_UNARY ? c_text(g, "(%s)(%s)", value_type, n.code)
                                    : c_text(g, "(%s)%s", value_type, n.code),
            ");");
        return;
    }
    const char *local = c_text(g, "new_%s", f->name);
    bool is_wide = n.form == C_WIDE;
    bool exact = fits && n.form == C_WHOLE && !is_signed && n.prec == C_PREC_POST && n.is_64 == (bits > 32);
    put(s, 4,
        is_wide ? c_text(g, "struct priv_%s_num %s = ", g->layout->name, local)
                : c_text(g, "%s %s = ",
                         exact                ? value_type
                         : n.form == C_SIGNED ? "int64_t"
                                              : "uint64_t",
                         local),
        n.code, ";");
    struct c_value v = n;
    v.code = local;
    v.prec = C_PREC_POST;
    v.literal = false;
    v.is_64 = true;
    struct c_value good = c_literal(g, 1, false);
    if (n.lo < lo)
        good = c_binary(g, EXPR_GE, v, c_literal(g, lo, false));
    if (n.hi > hi)
        good = c_binary(g, EXPR_AND, good, c_binary(g, EXPR_LE, v, c_literal(g, hi, true)));
    const char *text = fits ? flags : flags[0] == '\0' ? good.code : c_text(g, "%s && %s", flags, good.code);
    put(s, 4, "if (", text, ")");
    put(s, 8, c_text(g, "%s(m, ", set),
        is_wide ? c_text(g, "(%s)%s", value_type, c_call(g, C_HELPER_STORED, "stored", local))
        : exact || (bits > 32 && !is_signed && n.form == C_WHOLE) ? local
                                                                  : c_text(g, "(%s)%s", value_type, local),
        ");");
}

static void put_bytes(struct seal *s, const struct field *f, struct c_value bytes)
{
    struct c_gen *g = s->g;
    const char *local = c_text(g, "new_%s", f->name);
    clear_flags(s, bytes.code);
    put(s, 4, c_text(g, "struct priv_%s_bytes %s = ", g->layout->name, local), bytes.code, ";");
    const char *flags = unless(bytes.code);
    const char *fits = bytes.has_size ? "" : c_text(g, "%s.n == %u", local, f->size_bytes);
    if (flags[0] != '\0' || fits[0] != '\0')
        put(s, 4, "if (", c_text(g, "%s%s%s", flags, flags[0] != '\0' && fits[0] != '\0' ? " && " : "", fits),
            ")");
    put(s, flags[0] != '\0' || fits[0] != '\0' ? 8 : 4, c_text(g, "%s(m, ", c_setter(g, s->type, f, "set")),
        c_text(g, "%s.p", local), ");");
}

static void put_derived(struct seal *s, const struct field *f, bool circle)
{
    struct c_gen *g = s->g;
    struct c_scope before = s->scope;
    s->scope.field = f;
    struct c_value want = c_field_is_fixed(f) && !circle ? c_compile(g, &s->scope, f->derive) : c_none();
    bool good;
    if (is_int(f)) {
        expr_num lo, hi;
        field_range(f, &lo, &hi);
        want = c_value_number(g, want);
        good = want.kind == C_NUM && want.lo <= hi && want.hi >= lo;
    } else {
        want = c_value_bytes(g, want);
        good = want.kind == C_BYTES && f->repr != REPR_UTF16 &&
               !(want.has_size && want.size_bytes != f->size_bytes);
    }
    if (!good) {
        s->scope = before;
        comment(s, c_text(g, "Left to the run-time engine: %s = %s", f->name, f->derive_text));
        return;
    }
    comment(s, c_text(g, "%s = %s", f->name, f->derive_text));
    strbuf_printf(&s->sealed, "\"%s\", ", f->name);
    if (is_int(f))
        put_number(s, f, want);
    else
        put_bytes(s, f, want);
}

static void put_nested(struct seal *s, const struct field *f)
{
    struct c_gen *g = s->g;
    if (f->type->kind != TYPE_STRUCT || f->type->size_bytes == 0 || !c_field_is_fixed(f))
        return;
    const struct c_facts *facts = c_facts_of(g, f->type);
    if (!facts->has_seal)
        return;
    struct c_scope inputs = {.uses_params = facts->seal_params, .uses_offset = facts->seal_offset};
    s->scope.uses_params |= inputs.uses_params;
    s->scope.uses_offset |= inputs.uses_offset;
    const char *seal = c_verb(g, f->type, "seal");
    const char *offset = c_text(g, "offset_bytes + %u%s", f->offset_bytes,
                                f->is_array ? c_text(g, " + i * %u", f->width_bytes) : "");
    const char *args = c_arguments(g, &inputs, offset, false);
    if (f->is_array) {
        put(s, 4, "for (size_t i = 0; i < ", c_text(g, "%u", f->count), "; i++)");
        put(s, 8, c_text(g, "%s(", seal),
            c_text(g, "(struct %s_mut){m.p + %u + i * %u}%s", c_type_name(g, f->type), f->offset_bytes,
                   f->width_bytes, args),
            ");");
    } else {
        put(s, 4, c_text(g, "%s(", seal), c_text(g, "%s(m)%s", c_setter(g, s->type, f, "edit"), args), ");");
    }
}

/* Derived fields in an order in which each comes behind those that it depends on. */
static void put_all(struct seal *s)
{
    const struct type *type = s->type;
    bool done[LAYOUT_MAX_FIELDS] = {false};
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < type->n_fields && i < LAYOUT_MAX_FIELDS; i++) {
            const struct field *f = &type->fields[i];
            bool ready = f->derive != NULL && !done[i];
            for (size_t k = 0; ready && k < type->n_fields; k++)
                if (type->fields[k].derive != NULL && !done[k] && reads(f->derive, &type->fields[k], f))
                    ready = false;
            if (ready) {
                put_derived(s, f, false);
                done[i] = more = true;
            }
        }
    }
    for (size_t i = 0; i < type->n_fields && i < LAYOUT_MAX_FIELDS; i++)
        if (type->fields[i].derive != NULL && !done[i])
            put_derived(s, &type->fields[i], true);
}

void c_emit_seal(struct c_gen *g, const struct type *type)
{
    struct seal s = {.g = g, .type = type, .scope = {.type = type}};
    for (size_t i = 0; i < type->n_fields; i++)
        if (type->fields[i].repr == REPR_TYPE)
            put_nested(&s, &type->fields[i]);
    put_all(&s);
    struct c_facts *facts = c_facts_of(g, type);
    facts->seal_params = s.scope.uses_params;
    facts->seal_offset = s.scope.uses_offset;
    facts->has_seal = s.code.len > 0;
    facts->sealed = c_text(g, "%s", strbuf_str(&s.sealed));
    const char *name = c_type_name(g, type), *code = strbuf_str(&s.code);
    const char *signature = c_text(g, "%svoid %s(struct %s_mut m%s)", c_linkage(g), c_verb(g, type, "seal"),
                                   name, c_arguments(g, &s.scope, "offset_bytes", true));
    strbuf_putc(&g->head, '\n');
    c_comment(&g->head, "", "Writes the derived fields; one that cannot be computed stays as it is.");
    c_declare(g, signature);
    struct strbuf prologue = {0};
    c_prologue(g, &prologue, code, "m", &s.scope);
    const char *view =
        strstr(code, "(v)") != NULL || strstr(code, "(v,") != NULL || strstr(code, "v.p") != NULL
            ? c_text(g, "    struct %s v = %s(m);\n", name, c_verb(g, type, "of"))
            : "";
    c_begin(g, signature);
    strbuf_printf(&g->body, "%s%s%s}\n", view, strbuf_str(&prologue), strbuf_str(&s.out));
    if (s.out.failed || s.code.failed || s.sealed.failed || prologue.failed)
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C");
    strbuf_free(&prologue);
    strbuf_free(&s.out);
    strbuf_free(&s.code);
    strbuf_free(&s.sealed);
}

/* ---- unions ---- */

/* "if (when) return X_CASE_Y;"; false when the engine must choose. */
static bool put_case(struct c_gen *g, struct c_scope *scope, const struct union_case *one, const char *id,
                     struct strbuf *out)
{
    struct c_value when = c_condition(g, c_literal(g, 1, false));
    if (one->when != NULL)
        when = c_condition(g, c_value_number(g, c_compile(g, scope, one->when)));
    if (when.kind != C_NUM || strstr(when.code, "&beyond") != NULL)
        return false;
    if (when.literal) {
        if (when.lo == 1)
            strbuf_printf(out, "    return %s;\n", id);
        return true;
    }
    bool bad = c_may_fail(when.code);
    if (bad)
        strbuf_puts(out, "    bad = false;\n");
    const char *text =
        !bad ? when.code : c_text(g, when.prec == C_PREC_OR ? "(%s) && !bad" : "%s && !bad", when.code);
    c_wrap(out, 4, "if (", text, ")");
    strbuf_printf(out, "        return %s;\n", id);
    return true;
}

static void put_chooser(struct c_gen *g, const struct type *type, const struct c_scope *scope,
                        const char *cases, bool settled)
{
    const char *name = c_type_name(g, type);
    const char *signature =
        c_text(g, "%senum %s_case_id %s(struct %s u%s)", c_linkage(g), name, c_verb(g, type, "case"), name,
               c_arguments(g, scope, "offset_bytes", true));
    c_comment(&g->head, "", "The case that these bytes are; view them as its type.");
    c_declare(g, signature);
    struct strbuf prologue = {0};
    const char *view =
        c_text(g, "    struct %s v = {u.p};\n", type->head != NULL ? c_type_name(g, type->head) : name);
    if (strstr(cases, "(v") == NULL && strstr(cases, "v.p") == NULL)
        view = "    (void)u;\n";
    c_prologue(g, &prologue, cases, strstr(view, "(void)") != NULL ? "return" : "v", scope);
    c_begin(g, signature);
    strbuf_printf(&g->body, "%s%s%s", view, strbuf_str(&prologue), cases);
    if (!settled)
        strbuf_printf(&g->body, "    return %s_CASE_NONE;\n", c_upper(g, name));
    strbuf_puts(&g->body, "}\n");
    strbuf_free(&prologue);
}

void c_emit_cases(struct c_gen *g, const struct type *type)
{
    const char *upper = c_upper(g, c_type_name(g, type));
    struct strbuf cases = {0};
    struct c_scope scope = {.type = type->head};
    struct c_facts *facts = c_facts_of(g, type);
    facts->has_case = true;
    facts->left = facts->sealed = "";
    strbuf_printf(&g->head, "\nenum %s_case_id {\n    %s_CASE_NONE", c_type_name(g, type), upper);
    bool settled = false; /* a case without a condition: what follows is never taken */
    for (size_t i = 0; i < type->n_cases; i++) {
        const char *id = c_text(g, "%s_CASE_%s", upper, c_upper(g, type->cases[i].name));
        strbuf_printf(&g->head, ",\n    %s", id);
        if (facts->has_case && !settled)
            facts->has_case = put_case(g, &scope, &type->cases[i], id, &cases);
        settled = settled || type->cases[i].when == NULL;
    }
    strbuf_puts(&g->head, "\n};\n");
    facts->case_params = scope.uses_params;
    facts->case_offset = scope.uses_offset;
    if (facts->has_case)
        put_chooser(g, type, &scope, strbuf_str(&cases), settled);
    else
        c_comment(&g->head, "", "Which case these bytes are needs the run-time engine.");
    if (cases.failed)
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C");
    strbuf_free(&cases);
}
