/* Expressions of the layout language in Kaitai's. What looks at bytes, places or checksums has no counterpart there. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/layout/export_ksy.h"

static struct ksy_value value_of(struct ksy *k, const struct ksy_scope *scope, const struct expr *e);

const char *ksy_text(struct ksy *k, const char *fmt, ...)
{
    char part[KSY_MAX_TEXT_BYTES];
    if (k->beyond || k->failed)
        return "";
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(part, sizeof part, fmt, ap);
    va_end(ap);
    k->beyond = n < 0 || (size_t)n >= sizeof part;
    if (k->beyond)
        return "";
    const char *copy = arena_strdup(&k->arena, part);
    k->failed = copy == NULL;
    return copy != NULL ? copy : "";
}

const char *ksy_id(struct ksy *k, const char *name)
{
    return name[0] == '_' ? ksy_text(k, "x%s", name) : name;
}

static struct ksy_value none(void)
{
    return (struct ksy_value){.kind = KSY_NONE};
}

static struct ksy_value number(const char *code)
{
    return (struct ksy_value){.kind = KSY_NUM, .code = code};
}

static struct ksy_value truth(const char *code)
{
    return (struct ksy_value){.kind = KSY_BOOL, .code = code};
}

struct ksy_value ksy_field(struct ksy *k, const struct field *f, const char *code)
{
    struct ksy_value v = {.code = code, .type = f->type, .is_array = f->is_array, .kind = KSY_OBJECT};
    if (f->is_array || f->repr == REPR_TYPE)
        return v;
    if (f->radix != 0)
        return number(ksy_text(k, "%s.to_i(%u)", code, f->radix));
    if (f->repr == REPR_CHARS) {
        v.kind = KSY_TEXT;
        return v;
    }
    if (f->repr == REPR_BOTH)
        return number(ksy_text(k, "%s.le", code));
    bool odd = f->bit_width == 0 && f->width_bytes > 4 && f->width_bytes < 8; /* bytes there */
    if (odd || (f->repr != REPR_UINT && f->repr != REPR_SINT))
        return none();
    if (f->type == NULL)
        return f->bit_width == 1 ? number(ksy_text(k, "%s.to_i", code)) : number(code);
    if (f->type->kind == TYPE_ENUM)
        v.kind = KSY_ENUM;
    return v;
}

static struct ksy_value member_of(struct ksy *k, struct ksy_value base, const char *name)
{
    if (base.kind != KSY_OBJECT || base.is_array || base.type == NULL)
        return none();
    const char *code = ksy_text(k, "%s.%s", base.code, ksy_id(k, name));
    const struct field *f = type_field(base.type, name);
    for (size_t i = 0; f == NULL && i < base.type->n_cases; i++)
        f = type_field(base.type->cases[i].type, name);
    if (f != NULL)
        return ksy_field(k, f, code);
    for (size_t i = 0; base.type->kind == TYPE_FLAGS && i < base.type->n_values; i++)
        if (strcmp(base.type->values[i].name, name) == 0)
            return number(base.type->values[i].width == 1 ? ksy_text(k, "%s.to_i", code) : code);
    return none();
}

static struct ksy_value name_of(struct ksy *k, const struct ksy_scope *scope, const struct expr *e)
{
    if (e->binding == BIND_PARAM)
        return number(ksy_text(k, "_root.%s", ksy_id(k, e->text)));
    if (e->binding == BIND_MAP) {
        const struct map_entry *entry = e->target;
        struct ksy_value v = {.kind = KSY_OBJECT, .type = entry->type, .is_array = map_is_array(entry)};
        v.code = ksy_text(k, "_root.%s", ksy_id(k, e->text));
        return entry->type == NULL || k->lost[entry - k->layout->map] ? none() : v;
    }
    if (e->binding == BIND_FIELD && scope->type != NULL && type_field(scope->type, e->text) == e->target)
        return ksy_field(k, e->target, ksy_text(k, "%s%s", scope->prefix, ksy_id(k, e->text)));
    if (e->binding == BIND_NONE && scope->type != NULL && scope->type->kind == TYPE_UNION) {
        struct ksy_value self = {.kind = KSY_OBJECT, .type = scope->type, .code = "_"};
        return member_of(k, self, e->text);
    }
    return none();
}

static const char *to_number(struct ksy *k, struct ksy_value v)
{
    switch (v.kind) {
    case KSY_NUM:
        return v.code;
    case KSY_BOOL:
        return ksy_text(k, "(%s ? 1 : 0)", v.code);
    case KSY_ENUM:
        return ksy_text(k, "%s.to_i", v.code);
    default:
        return NULL;
    }
}

static const char *to_truth(struct ksy *k, struct ksy_value v)
{
    const char *code = v.kind == KSY_BOOL ? v.code : to_number(k, v);
    return code == NULL || v.kind == KSY_BOOL ? code : ksy_text(k, "(%s != 0)", code);
}

/* 'name' beside an enum, 'text' beside a text. */
static struct ksy_value equal(struct ksy *k, const struct expr *e, struct ksy_value a, struct ksy_value b)
{
    const char *op = e->op == EXPR_EQ ? "==" : "!=";
    if (a.kind == KSY_QUOTE) {
        struct ksy_value swap = a;
        a = b;
        b = swap;
    }
    if (b.kind == KSY_QUOTE && a.kind == KSY_ENUM) {
        for (size_t i = 0; i < a.type->n_values; i++)
            if (strcmp(a.type->values[i].name, b.code) == 0)
                return truth(
                    ksy_text(k, "(%s %s %s::%s)", a.code, op, ksy_id(k, a.type->name), ksy_id(k, b.code)));
        return none();
    }
    if (b.kind == KSY_QUOTE && a.kind == KSY_TEXT && strpbrk(b.code, "\"\\\n") == NULL)
        return truth(ksy_text(k, "(%s %s \"%s\")", a.code, op, b.code));
    const char *x = to_number(k, a), *y = to_number(k, b);
    return x == NULL || y == NULL ? none() : truth(ksy_text(k, "(%s %s %s)", x, op, y));
}

static struct ksy_value call_of(struct ksy *k, const struct ksy_scope *scope, const struct expr *e)
{
    const char *name = e->text;
    struct ksy_value a = value_of(k, scope, e->arg[0]);
    if (strcmp(name, "size") == 0 && a.kind == KSY_OBJECT && !a.is_array && a.type->size_bytes != 0)
        return number(ksy_text(k, "%u", a.type->size_bytes));
    if (strcmp(name, "count") == 0 && a.is_array)
        return number(ksy_text(k, "%s.size", a.code));
    if (strcmp(name, "present") == 0 && e->arg[0]->binding == BIND_MAP) {
        const struct map_entry *entry = e->arg[0]->target;
        if (k->lost[entry - k->layout->map])
            return none();
        const struct ksy_scope top = {.prefix = ""};
        const char *when = entry->when == NULL ? "true" : ksy_condition(k, &top, entry->when);
        return when == NULL ? none() : truth(when);
    }
    const char *x = to_number(k, a);
    const char *y = e->n_args > 1 ? to_number(k, value_of(k, scope, e->arg[1])) : "";
    if (x != NULL && strcmp(name, "is_pow2") == 0)
        return truth(ksy_text(k, "(%s > 0 and (%s & (%s - 1)) == 0)", x, x, x));
    if (x == NULL || y == NULL || e->n_args != 2)
        return none();
    if (strcmp(name, "min") == 0)
        return number(ksy_text(k, "(%s < %s ? %s : %s)", x, y, x, y));
    if (strcmp(name, "max") == 0)
        return number(ksy_text(k, "(%s > %s ? %s : %s)", x, y, x, y));
    if (strcmp(name, "align_up") == 0)
        return number(ksy_text(k, "((%s + %s - 1) / %s * %s)", x, y, y, y));
    if (strcmp(name, "align_down") == 0)
        return number(ksy_text(k, "(%s / %s * %s)", x, y, y));
    return none();
}

static struct ksy_value operator_of(struct ksy *k, const struct ksy_scope *scope, const struct expr *e)
{
    static const char *const signs[] = {
        [EXPR_MUL] = "*",    [EXPR_DIV] = "/",   [EXPR_MOD] = "%",   [EXPR_ADD] = "+",
        [EXPR_SUB] = "-",    [EXPR_SHL] = "<<",  [EXPR_SHR] = ">>",  [EXPR_BITAND] = "&",
        [EXPR_BITXOR] = "^", [EXPR_BITOR] = "|", [EXPR_LT] = "<",    [EXPR_LE] = "<=",
        [EXPR_GT] = ">",     [EXPR_GE] = ">=",   [EXPR_AND] = "and", [EXPR_OR] = "or"};
    struct ksy_value a = value_of(k, scope, e->arg[0]), b = none();
    if (e->n_args > 1)
        b = value_of(k, scope, e->arg[1]);
    if (e->op == EXPR_EQ || e->op == EXPR_NE)
        return equal(k, e, a, b);
    bool logic = e->op == EXPR_AND || e->op == EXPR_OR || e->op == EXPR_NOT || e->op == EXPR_COND;
    const char *x = logic ? to_truth(k, a) : to_number(k, a);
    if (x == NULL || e->op == EXPR_BITNOT)
        return none();
    if (e->op == EXPR_NOT)
        return truth(ksy_text(k, "(not %s)", x));
    if (e->op == EXPR_NEG)
        return number(ksy_text(k, "(-%s)", x));
    if (e->op == EXPR_COND) {
        const char *yes = to_number(k, b), *no = to_number(k, value_of(k, scope, e->arg[2]));
        return yes == NULL || no == NULL ? none() : number(ksy_text(k, "(%s ? %s : %s)", x, yes, no));
    }
    const char *y = logic ? to_truth(k, b) : to_number(k, b);
    if (y == NULL)
        return none();
    /* Elsewhere than in C, a shift of JavaScript keeps 32 bits: a product does not. */
    if (e->op == EXPR_SHL && e->arg[1]->op == EXPR_NUM && e->arg[1]->num < 53)
        return number(ksy_text(k, "(%s * %llu)", x, 1ULL << (unsigned)e->arg[1]->num));
    const char *code = ksy_text(k, "(%s %s %s)", x, signs[e->op], y);
    return e->op >= EXPR_LT ? truth(code) : number(code);
}

static struct ksy_value value_of(struct ksy *k, const struct ksy_scope *scope, const struct expr *e)
{
    switch (e->op) {
    case EXPR_NUM:
        return number(ksy_text(k, e->hex ? "0x%llx" : "%llu", (unsigned long long)e->num));
    case EXPR_TEXT:
        return (struct ksy_value){.kind = KSY_QUOTE, .code = e->text};
    case EXPR_NAME:
        return name_of(k, scope, e);
    case EXPR_MEMBER:
        if (e->arg[0]->op == EXPR_NAME && e->arg[0]->binding == BIND_IMAGE)
            return number("_root._io.size");
        return member_of(k, value_of(k, scope, e->arg[0]), e->text);
    case EXPR_INDEX: {
        struct ksy_value base = value_of(k, scope, e->arg[0]);
        const char *index = to_number(k, value_of(k, scope, e->arg[1]));
        if (!base.is_array || index == NULL)
            return none();
        base.is_array = false;
        base.code = ksy_text(k, "%s[%s]", base.code, index);
        if (base.type == NULL)
            return number(base.code);
        base.kind = base.type->kind == TYPE_ENUM ? KSY_ENUM : KSY_OBJECT;
        return base;
    }
    case EXPR_CALL:
        return call_of(k, scope, e);
    default:
        return operator_of(k, scope, e);
    }
}

const char *ksy_number(struct ksy *k, const struct ksy_scope *scope, const struct expr *e)
{
    return to_number(k, value_of(k, scope, e));
}

const char *ksy_condition(struct ksy *k, const struct ksy_scope *scope, const struct expr *e)
{
    return to_truth(k, value_of(k, scope, e));
}
