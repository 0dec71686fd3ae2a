/* Layout to C: x_check, in the order in which the run-time engine judges. */
#include <stdlib.h>
#include <string.h>

#include "lib/layout/export_c_expr.h"
#include "lib/layout/export_text.h"
#include "lib/layout/inst.h"

enum { INDENT = 4, CONST_SHOWN_BYTES = 4 /* longer constants are compared as a run */ };

/* x_check of one type in the making. */
struct check {
    struct c_gen *g;
    const struct type *type;
    struct c_scope scope;
    struct strbuf out;  /* the body */
    struct strbuf code; /* the body without its comments */
    struct strbuf left; /* what the engine must judge; see struct c_facts */
    unsigned indent;
    const char *last_left; /* noted last */
    bool is_partial;
    int result; /* what x_check returns when the check at hand fails */
};

static void put(struct check *c, const char *head, const char *text, const char *tail)
{
    c_wrap(&c->out, c->indent, head, text, tail);
    strbuf_printf(&c->code, "%s%s%s\n", head, text, tail);
}

static void comment(struct check *c, const char *text)
{
    c_comment(&c->out, c_text(c->g, "%*s", (int)c->indent, ""), c_comment_text(c->g, text));
}

/* A row for the agreement test: NULL text means everything about the field. */
static void put_row(struct check *c, const struct field *f, const char *text, bool partly)
{
    strbuf_puts(&c->left, "    {");
    c_quote(&c->left, f != NULL ? f->name : NULL);
    strbuf_puts(&c->left, ", ");
    c_quote(&c->left, text);
    strbuf_printf(&c->left, ", %s},\n", partly ? "true" : "false");
}

static void leave(struct check *c, const struct field *f, const char *text, const char *what)
{
    if (strcmp(what, c->last_left) != 0) /* one note for rules that differ in when and for whom they hold */
        comment(c, c_text(c->g, "Left to the run-time engine: %s", what));
    c->last_left = what;
    c->is_partial = true;
    put_row(c, f, text, false);
}

static const char *source(struct check *c, const struct expr *e)
{
    struct strbuf text = {0};
    expr_print(e, &text);
    const char *copy = c_text(c->g, "%s", strbuf_str(&text));
    strbuf_free(&text);
    return copy;
}

/* `bad` and `beyond` are cleared where the next test can set them. */
static void clear_flags(struct check *c, const char *code)
{
    if (strstr(code, "&bad") != NULL)
        put(c, "", "bad = false;", "");
    if (strstr(code, "&beyond") != NULL)
        put(c, "", "beyond = false;", "");
}

static const char *grouped(struct c_gen *g, const char *code, enum c_prec prec, enum c_prec other)
{
    return prec < C_PREC_BIT && prec != other ? c_text(g, "(%s)", code) : code;
}

/* `return result` where `when` holds and `good` does not. */
static void put_test(struct check *c, const struct c_value *when, struct c_value good)
{
    struct c_gen *g = c->g;
    const char *failure = good.negated;
    enum c_prec prec = good.negated_prec;
    bool may_be_bad = strstr(good.code, "&bad") != NULL;
    const char *all = c_text(g, "%s%s", failure, when != NULL ? when->code : "");
    if (good.literal && good.lo == 1)
        return;
    clear_flags(c, all);
    if (may_be_bad) {
        failure = good.literal ? failure : c_text(g, "%s || bad", grouped(g, failure, prec, C_PREC_OR));
        prec = C_PREC_OR;
    }
    if (when != NULL && !when->literal) {
        const char *not_bad = strstr(when->code, "&bad") != NULL ? " && !bad" : "";
        const char *applies = c_text(g, "%s%s", grouped(g, when->code, when->prec, C_PREC_AND), not_bad);
        failure =
            good.literal ? applies : c_text(g, "%s && %s", applies, grouped(g, failure, prec, C_PREC_AND));
        prec = C_PREC_AND;
    }
    if (strstr(all, "&beyond") != NULL)
        failure = c_text(g, "%s && !beyond", grouped(g, failure, prec, C_PREC_AND));
    put(c, "if (", failure, ")");
    put(c, "    return ", c_text(g, "%d", c->result), ";");
}

static void put_rule(struct check *c, const struct rule *rule)
{
    struct c_gen *g = c->g;
    if (rule->severity != SEVERITY_ERROR)
        return;
    const char *what =
        c_text(g, "%s%s%s", rule->id != NULL ? rule->id : "", rule->id != NULL ? ": " : "", rule->must_text);
    struct c_scope before = c->scope;
    struct c_value must = c_condition(g, c_value_number(g, c_compile(g, &c->scope, rule->must)));
    struct c_value when = c_literal(g, 1, false);
    if (rule->when != NULL)
        when = c_value_number(g, c_compile(g, &c->scope, rule->when));
    when = c_condition(g, when);
    if (must.kind != C_NUM || when.kind != C_NUM) {
        c->scope.uses_params = before.uses_params;
        c->scope.uses_offset = before.uses_offset;
        leave(c, c->scope.field, rule->must_text, what);
        return;
    }
    if (when.literal && when.lo == 0)
        return;
    comment(c, rule->when != NULL ? c_text(g, "%s, when %s", what, source(c, rule->when)) : what);
    put_test(c, rule->when != NULL ? &when : NULL, must);
    if (strstr(must.code, "&beyond") != NULL)
        put_row(c, c->scope.field, rule->must_text, true);
}

/* ---- fields ---- */

/* The bytes that a constant stands for, from inst_init, which knows every kind and its padding. */
static uint8_t *const_bytes(const struct field *f)
{
    struct field only = *f;
    only.offset_bytes = 0;
    struct type whole = {
        .name = "", .kind = TYPE_STRUCT, .size_bytes = f->size_bytes, .fields = &only, .n_fields = 1};
    uint8_t *bytes = calloc(1, f->size_bytes + 1);
    if (bytes != NULL && inst_init(&whole, bytes, f->size_bytes, NULL) != 0) {
        free(bytes);
        return NULL;
    }
    return bytes;
}

static void put_const(struct check *c, const struct field *f)
{
    struct c_gen *g = c->g;
    struct c_value have = c_field_value(c->type, f, c->scope.index);
    if (f->constant.is_number) {
        uint64_t n = f->constant.number;
        expr_num want = f->repr == REPR_SINT ? (expr_num)(int64_t)n : (expr_num)n;
        put_test(c, NULL,
                 c_binary(g, EXPR_EQ, c_value_number(g, have), c_literal(g, want, n > 9 && f->as == AS_HEX)));
        return;
    }
    uint8_t *bytes = const_bytes(f);
    if (bytes == NULL) {
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C");
        return;
    }
    const char *test = "";
    if (f->repr == REPR_CHARS)
        comment(c, c_text(g, "%s is '%.*s'", f->name, (int)f->constant.n, (const char *)f->constant.bytes));
    if (f->is_array) { /* elements of 16 bytes; the constant is that of the first */
        const char *want = c_literal_bytes(g, bytes, f->width_bytes).code;
        test = c_text(
            g, "!%s",
            c_call(g, C_HELPER_EQUAL, "equal", c_text(g, "%s, %s", c_value_bytes(g, have).code, want)));
    } else if (f->size_bytes > CONST_SHOWN_BYTES) {
        const char *want = c_literal_bytes(g, bytes, f->size_bytes).code;
        test = c_text(
            g, "!%s",
            c_call(g, C_HELPER_EQUAL, "equal", c_text(g, "%s, %s", c_value_bytes(g, have).code, want)));
    } else {
        for (uint32_t i = 0; i < f->size_bytes; i++)
            test =
                c_text(g, "%s%sv.p[%u] != 0x%02x", test, i == 0 ? "" : " || ", f->offset_bytes + i, bytes[i]);
    }
    free(bytes);
    put(c, "if (", test, ")");
    put(c, "    return ", c_text(g, "%d", c->result), ";");
}

/* Only named values. */
static void put_closed(struct check *c, const struct type *values, struct c_value have)
{
    struct c_gen *g = c->g;
    bool named = !values->is_signed && have.form == C_WHOLE;
    comment(c, c_text(g, "A value of %s.", values->name));
    put(c, "switch (", named ? have.code : c_text(g, "(uint64_t)%s", have.code), ") {");
    for (size_t i = 0; i < values->n_values; i++)
        if (type_value(values, values->values[i].value) == &values->values[i])
            put(c, "case ",
                named ? c_text(g, "%s_%s", c_upper(g, c_type_name(g, values)),
                               c_upper(g, values->values[i].name))
                      : c_literal(g, (expr_num)values->values[i].value, true).code,
                ":");
    put(c, "    ", "break;", "");
    put(c, "", "default:", "");
    put(c, "    return ", c_text(g, "%d", c->result), ";");
    put(c, "", "}", "");
}

/* Only GUIDs that have names. */
static void put_closed_ids(struct check *c, const struct field *f)
{
    struct c_gen *g = c->g;
    const char *index = c->scope.index != NULL ? c_text(g, ", %s", c->scope.index) : "";
    comment(c, c_text(g, "A value of %s.", f->type->name));
    put(c, "if (",
        c_text(g, "%s_name(%s(v%s)) == NULL", c_type_name(g, f->type), c_getter(g, c->type, f), index), ")");
    put(c, "    return ", c_text(g, "%d", c->result), ";");
}

/* Members of a bits field: constants, closed enums and rules. */
static void put_bits(struct check *c, const struct field *f)
{
    struct c_gen *g = c->g;
    const char *base = c_value_number(g, c_field_value(c->type, f, c->scope.index)).code;
    for (size_t i = 0; i < f->type->n_fields; i++) {
        const struct field *b = &f->type->fields[i];
        struct c_value have = {
            .kind = C_FIELD, .code = "", .type = c->type, .field = b, .index = base, .bits = f->type};
        have = c_value_number(g, have);
        uint64_t mask = b->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << b->bit_width) - 1;
        if (b->constant.set)
            put_test(c, NULL,
                     c_binary(g, EXPR_EQ, have, c_literal(g, (expr_num)(b->constant.number & mask), false)));
        if (b->type != NULL && b->type->kind == TYPE_ENUM && !b->type->open)
            put_closed(c, b->type, have);
        c->scope.bits = b;
        c->scope.bits_base = base;
        for (size_t k = 0; k < b->n_valid; k++)
            put_rule(c, &b->valid[k]);
        c->scope.bits = NULL;
    }
}

static void put_derive(struct check *c, const struct field *f)
{
    struct c_gen *g = c->g;
    struct c_scope before = c->scope;
    struct c_value want = c_compile(g, &c->scope, f->derive);
    struct c_value have = c_field_value(c->type, f, NULL);
    struct c_value n = c_value_number(g, want), good = c_none();
    const char *what = c_text(g, "derived: %s", f->derive_text);
    if (f->repr == REPR_UINT || f->repr == REPR_SINT || f->repr == REPR_BOTH) {
        if (n.kind == C_NUM)
            good = c_binary(g, EXPR_EQ, c_value_number(g, have), n);
    } else {
        want = c_value_bytes(g, want);
        if (want.kind == C_BYTES)
            good = c_truth_call(g, c_call(g, C_HELPER_EQUAL, "equal",
                                          c_text(g, "%s, %s", c_value_bytes(g, have).code, want.code)));
    }
    if (good.kind != C_NUM) {
        c->scope.uses_params = before.uses_params;
        c->scope.uses_offset = before.uses_offset;
        leave(c, f, "derive", what);
        return;
    }
    comment(c, what);
    put_test(c, NULL, good);
    if (strstr(good.code, "&beyond") != NULL)
        put_row(c, f, "derive", true);
}

/* A nested struct is checked by its own x_check. */
static void put_nested(struct check *c, const struct field *f)
{
    struct c_gen *g = c->g;
    if (f->type->kind != TYPE_STRUCT || f->type->size_bytes == 0) {
        leave(c, f, NULL, c_text(g, "%s", f->name));
        return;
    }
    const struct c_facts *facts = c_facts_of(g, f->type);
    struct c_scope inputs = {.uses_params = facts->check_params, .uses_offset = facts->check_offset};
    c->scope.uses_params |= inputs.uses_params;
    c->scope.uses_offset |= inputs.uses_offset;
    if (!facts->has_check)
        return;
    const char *check = c_verb(g, f->type, "check");
    const char *offset = c_text(g, "offset_bytes + %u", f->offset_bytes);
    const char *test;
    if (f->is_array) {
        put(c, "for (size_t i = 0; i < ", c_text(g, "%u", f->count), "; i++) {");
        c->indent += INDENT;
        offset = c_text(g, "%s + i * %u", offset, f->width_bytes);
        test = c_text(g, "%s((struct %s){v.p + %u + i * %u}%s) != 0", check, c_type_name(g, f->type),
                      f->offset_bytes, f->width_bytes, c_arguments(g, &inputs, offset, false));
    } else {
        test = c_text(g, "%s(%s(v)%s) != 0", check, c_getter(g, c->type, f),
                      c_arguments(g, &inputs, offset, false));
    }
    put(c, "if (", test, ")");
    put(c, "    return ", c_text(g, "%d", c->result), ";");
    if (f->is_array) {
        c->indent -= INDENT;
        put(c, "", "}", "");
    }
}

static void put_both(struct check *c, const struct field *f)
{
    struct c_gen *g = c->g;
    const char *at = c_text(g, "v.p + %u", f->offset_bytes);
    if (f->is_array)
        at = c_text(g, "%s + i * %u", at, 2 * f->width_bytes);
    comment(c, "Both copies are alike.");
    const char *test = c_call(g, C_HELPER_MIRRORED, "mirrored", c_text(g, "%s, %u", at, f->width_bytes));
    put(c, "if (!", test, ")");
    put(c, "    return ", c_text(g, "%d", c->result), ";");
}

static bool is_closed_enum(const struct field *f)
{
    return f->type != NULL && f->type->kind == TYPE_ENUM && !f->type->open;
}

/* Has the field checks that can fail with an error? Bits members count as one. */
static bool is_checked(const struct field *f)
{
    bool rule = false;
    for (size_t i = 0; i < f->n_valid; i++)
        rule = rule || f->valid[i].severity == SEVERITY_ERROR;
    return f->radix != 0 || f->constant.set || is_closed_enum(f) ||
           (f->type != NULL && f->type->kind == TYPE_BITS) || f->repr == REPR_BOTH || rule ||
           f->derive != NULL || f->repr == REPR_TYPE;
}

/* Every check of one element, or of the field. */
static void put_element(struct check *c, const struct field *f)
{
    struct c_value number = c_value_number(c->g, c_field_value(c->type, f, c->scope.index));
    if (f->constant.set)
        put_const(c, f);
    if (f->repr == REPR_BOTH)
        put_both(c, f);
    if (is_closed_enum(f) && type_names_ids(f->type))
        put_closed_ids(c, f);
    else if (is_closed_enum(f))
        put_closed(c, f->type, number);
    if (f->type != NULL && f->type->kind == TYPE_BITS)
        put_bits(c, f);
    for (size_t i = 0; i < f->n_valid; i++)
        put_rule(c, &f->valid[i]);
    if (f->derive != NULL)
        put_derive(c, f);
}

/* What follows applies only where the field's "when" holds. False: nothing follows, it never holds or the
 * engine must judge. *ret_block: a block was opened. */
static bool begin_when(struct check *c, const struct field *f, bool *ret_block)
{
    struct c_gen *g = c->g;
    struct c_scope before = c->scope;
    struct c_value when = c_condition(g, c_value_number(g, c_compile(g, &c->scope, f->when)));
    if (when.kind != C_NUM) {
        c->scope.uses_params = before.uses_params;
        c->scope.uses_offset = before.uses_offset;
        leave(c, f, NULL, c_text(g, "%s, when %s", f->name, source(c, f->when)));
        return false;
    }
    *ret_block = !when.literal;
    if (when.literal)
        return when.lo == 1;
    comment(c, c_text(g, "%s: when %s", f->name, source(c, f->when)));
    clear_flags(c, when.code);
    const char *text = when.code;
    if (c_may_fail(text))
        text = c_text(g, "%s%s%s", grouped(g, text, when.prec, C_PREC_AND),
                      strstr(when.code, "&bad") ? " && !bad" : "",
                      strstr(when.code, "&beyond") ? " && !beyond" : "");
    put(c, "if (", text, ") {");
    c->indent += INDENT;
    return true;
}

static void put_field(struct check *c, const struct field *f)
{
    size_t code = c->code.len, out = c->out.len, left = c->left.len;
    if (!is_checked(f))
        return;
    c->scope.field = f;
    if (!c_field_is_fixed(f) || f->radix != 0) { /* numbers that are written out are texts in C */
        leave(c, f, NULL, f->name);
        return;
    }
    bool block = false;
    if (f->when != NULL && !begin_when(c, f, &block))
        return;
    bool loop = f->is_array && f->repr != REPR_TYPE;
    if (loop) {
        put(c, "for (size_t i = 0; i < ", c_text(c->g, "%u", f->count), "; i++) {");
        c->indent += INDENT;
        c->scope.index = "i";
    }
    size_t inner = c->code.len;
    if (f->repr == REPR_TYPE)
        put_nested(c, f);
    else
        put_element(c, f);
    bool empty = c->code.len == inner;
    c->scope.index = NULL;
    for (int open = block + loop; open > 0; open--) {
        c->indent -= INDENT;
        put(c, "", "}", "");
    }
    if (empty && c->left.len == left) { /* nothing but brackets */
        strbuf_truncate(&c->code, code);
        strbuf_truncate(&c->out, out);
    }
}

void c_emit_check(struct c_gen *g, const struct type *type)
{
    struct check c = {.g = g, .type = type, .scope = {.type = type}, .indent = INDENT, .last_left = ""};
    for (size_t i = 0; i < type->n_fields; i++) {
        c.result = (int)i + 1;
        put_field(&c, &type->fields[i]);
    }
    c.scope.field = NULL;
    for (size_t i = 0; i < type->n_rules; i++) {
        c.result = (int)(type->n_fields + i) + 1;
        put_rule(&c, &type->rules[i]);
    }
    struct c_facts *facts = c_facts_of(g, type);
    facts->check_params = c.scope.uses_params;
    facts->check_offset = c.scope.uses_offset;
    facts->has_check = c.code.len > 0;
    facts->left = c_text(g, "%s", strbuf_str(&c.left));
    const char *signature = c_text(g, "%sint %s(struct %s v%s)", c_linkage(g), c_verb(g, type, "check"),
                                   c_type_name(g, type), c_arguments(g, &c.scope, "offset_bytes", true));
    strbuf_putc(&g->head, '\n');
    c_comment(&g->head, "",
              c_text(g, "0, or 1 + the index of the first field (behind them: rule) that is in error.%s",
                     !c.is_partial ? "" : " Some rules of this type need the run-time engine."));
    c_declare(g, signature);
    struct strbuf prologue = {0};
    c_prologue(g, &prologue, strbuf_str(&c.code), "v", &c.scope);
    c_begin(g, signature);
    strbuf_printf(&g->body, "%s%s    return 0;\n}\n", strbuf_str(&prologue), strbuf_str(&c.out));
    if (c.out.failed || c.code.failed || c.left.failed || prologue.failed)
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C");
    strbuf_free(&prologue);
    strbuf_free(&c.out);
    strbuf_free(&c.code);
    strbuf_free(&c.left);
}
