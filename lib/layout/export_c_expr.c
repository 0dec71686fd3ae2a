/* Layout to C: expressions. Each becomes one C expression that sets `bad` where the interpreter would report an error;
 * && || and ?: map to C's own, so that what is not evaluated cannot fail. What needs more than the structure at
 * hand (map entries, the image) does not compile, and its rule stays with the run-time engine. */
#include "lib/layout/export_c.h"

#include <string.h>

#include "lib/layout/export_c_expr.h"

static struct c_value none(void)
{
    return (struct c_value){.kind = C_NONE, .code = ""};
}

/* A call of a helper: name and arguments; notes that the helper is needed. */
static const char *call(struct c_gen *g, enum c_helper helper, const char *name, const char *args)
{
    c_need(g, helper);
    return c_text(g, "priv_%s_%s(%s)", g->layout->name, name, args);
}

static struct c_value number(struct c_gen *g, const char *unsigned_code)
{
    c_need(g, C_HELPER_NUM);
    return (struct c_value){.kind = C_NUM, .code = c_text(g, "(struct priv_%s_num){%s, false}", g->layout->name, unsigned_code)};
}

static const char *natural(struct c_gen *g, struct c_value v)
{
    return call(g, C_HELPER_NATURAL, "natural", c_text(g, "%s, &bad", v.code));
}

static struct c_value bytes_of(struct c_gen *g, const char *pointer, const char *n)
{
    c_need(g, C_HELPER_BYTES);
    return (struct c_value){.kind = C_BYTES, .code = c_text(g, "(struct priv_%s_bytes){%s, %s}", g->layout->name, pointer, n)};
}

/* A field of a struct that lies `base` bytes into the view. */
static struct c_value field_place(struct c_gen *g, const struct type *type, const struct field *f, uint32_t base)
{
    if (!c_field_is_fixed(f) || base > LAYOUT_MAX_STRUCT_BYTES)
        return none();
    if (f->repr == REPR_TYPE && !f->is_array)
        return f->type->kind == TYPE_STRUCT && f->type->size_bytes != 0
                   ? (struct c_value){.kind = C_STRUCT, .code = "", .type = f->type, .base = base + f->offset_bytes}
                   : none();
    if (f->repr == REPR_TYPE)
        return none();
    (void)g;
    return (struct c_value){.kind = C_FIELD, .code = "", .type = type, .field = f, .base = base};
}

static const char *view(struct c_gen *g, const struct c_value *v)
{
    return v->base == 0 ? "v" : c_text(g, "(struct %s){v.p + %u}", c_type_name(g, v->type), v->base);
}

static bool is_int(const struct field *f)
{
    return f->repr == REPR_UINT || f->repr == REPR_SINT || f->repr == REPR_BOTH;
}

/* The raw integer of a field, element `index` ("" for scalars). */
static const char *raw(struct c_gen *g, const struct c_value *v)
{
    if (v->field->is_array) {
        c_need(g, C_HELPER_INDEX);
        return c_text(g, "%s(%s, priv_%s_index(%s, %u, &bad))", c_getter(g, v->type, v->field), view(g, v), g->layout->name,
                      v->index, v->field->count);
    }
    return c_text(g, "%s(%s)", c_getter(g, v->type, v->field), view(g, v));
}

struct c_value c_value_number(struct c_gen *g, struct c_value v)
{
    if (v.kind == C_NUM)
        return v;
    if (v.kind != C_FIELD || !is_int(v.field) || (v.field->is_array && v.index == NULL))
        return none();
    if (v.field->bit_width != 0) /* member of a bits field: `index` holds the base's code */
        return number(g, c_text(g, "((uint64_t)%s >> %u & 0x%llxu)", v.index, v.field->bit_shift,
                                (unsigned long long)(v.field->bit_width >= 64 ? UINT64_MAX
                                                                              : ((uint64_t)1 << v.field->bit_width) - 1)));
    if (v.field->repr == REPR_SINT) {
        return (struct c_value){.kind = C_NUM, .code = call(g, C_HELPER_SIGNED, "signed", raw(g, &v))};
    }
    return number(g, raw(g, &v));
}

struct c_value c_value_bytes(struct c_gen *g, struct c_value v)
{
    if (v.kind == C_BYTES)
        return v;
    if (v.kind == C_STRUCT)
        return bytes_of(g, c_text(g, "v.p + %u", v.base), c_text(g, "%u", v.type->size_bytes));
    if (v.kind == C_FIELD && v.field->bit_width == 0) {
        uint32_t one = v.field->width_bytes * (v.field->repr == REPR_BOTH ? 2 : 1);
        if (!v.field->is_array || v.index == NULL)
            return bytes_of(g, c_text(g, "v.p + %u", v.base + v.field->offset_bytes), c_text(g, "%u", v.field->size_bytes));
        c_need(g, C_HELPER_INDEX);
        return bytes_of(g, c_text(g, "v.p + %u + %u * priv_%s_index(%s, %u, &bad)", v.base + v.field->offset_bytes, one,
                                  g->layout->name, v.index, v.field->count),
                        c_text(g, "%u", one));
    }
    if (v.kind == C_TEXT) {
        struct strbuf hex = {0};
        for (size_t i = 0; i < v.text_bytes; i++)
            strbuf_printf(&hex, "%s0x%02x", i == 0 ? "" : ", ", (unsigned char)v.text[i]);
        struct c_value r = bytes_of(g, v.text_bytes == 0 ? "v.p" : c_text(g, "(const uint8_t[]){%s}", strbuf_str(&hex)),
                                    c_text(g, "%zu", v.text_bytes));
        strbuf_free(&hex);
        return r;
    }
    return none();
}

static struct c_value name(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    switch (e->binding) {
    case BIND_PARAM:
        s->uses_params |= (uint64_t)1 << ((const struct param *)e->target - g->layout->params);
        return number(g, c_argument(g, e->text));
    case BIND_SELF:
        if (s->bits != NULL)
            return (struct c_value){.kind = C_FIELD, .code = "", .type = s->type, .field = s->bits, .index = s->bits_base};
        if (s->field == NULL)
            return (struct c_value){.kind = C_STRUCT, .code = "", .type = s->type};
        {
            struct c_value v = field_place(g, s->type, s->field, 0);
            v.index = s->field->is_array ? "k" : NULL;
            return v;
        }
    case BIND_PARENT:
        return s->field != NULL && s->bits == NULL && s->type->size_bytes != 0
                   ? (struct c_value){.kind = C_STRUCT, .code = "", .type = s->type}
                   : none();
    case BIND_FIELD:
        return s->bits == NULL ? field_place(g, s->type, e->target, 0) : none();
    default:
        return none();
    }
}

/* Member of a flags or bits field as a number. */
static struct c_value bit_member(struct c_gen *g, struct c_value base, const char *member)
{
    const struct type *t = base.field->type;
    if (t == NULL || (base.field->is_array && base.index == NULL) || base.field->bit_width != 0)
        return none();
    for (size_t i = 0; i < t->n_values && t->kind == TYPE_FLAGS; i++)
        if (strcmp(t->values[i].name, member) == 0)
            return number(g, c_text(g, "(((uint64_t)%s & 0x%llxu) >> %u)", raw(g, &base),
                                    (unsigned long long)t->values[i].value, t->values[i].shift));
    const struct field *f = t->kind == TYPE_BITS ? type_field(t, member) : NULL;
    if (f == NULL)
        return none();
    struct c_value v = {.kind = C_FIELD, .code = "", .type = base.type, .field = f, .index = raw(g, &base)};
    return c_value_number(g, v);
}

static struct c_value member(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value base = c_compile(g, s, e->arg[0]);
    if (base.kind == C_FIELD)
        return bit_member(g, base, e->text);
    if (base.kind != C_STRUCT || base.type->kind != TYPE_STRUCT)
        return none();
    const struct field *f = type_field(base.type, e->text);
    return f == NULL ? none() : field_place(g, base.type, f, base.base);
}

static struct c_value array_element(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value base = c_compile(g, s, e->arg[0]);
    struct c_value at = c_value_number(g, c_compile(g, s, e->arg[1]));
    if (base.kind != C_FIELD || !base.field->is_array || base.index != NULL || at.kind != C_NUM)
        return none();
    base.index = natural(g, at);
    return base;
}

/* ---- comparisons ---- */

/* What text a field compares as; C_NONE where that needs the run-time engine. */
static struct c_value text_side(struct c_gen *g, const struct c_value *v)
{
    struct c_value bytes = c_value_bytes(g, *v);
    if (v->kind != C_FIELD || bytes.kind == C_NONE || (v->field->is_array && v->index == NULL))
        return none();
    if (v->field->repr != REPR_CHARS)
        return none();
    if (v->field->pad == PAD_NUL)
        bytes.code = call(g, C_HELPER_UNTIL_NUL, "until_nul", bytes.code);
    else if (v->field->pad == PAD_SPACE)
        bytes.code = call(g, C_HELPER_TRIM, "trim", bytes.code);
    return bytes;
}

static struct c_value truth(struct c_gen *g, const char *condition)
{
    return number(g, c_text(g, "(%s)", condition));
}

static struct c_value equal_text(struct c_gen *g, struct c_value side, struct c_value text, bool equal)
{
    const char *not = equal ? "" : "!";
    if (side.kind == C_TEXT) {
        bool same = side.text_bytes == text.text_bytes && memcmp(side.text, text.text, side.text_bytes) == 0;
        return truth(g, same == equal ? "true" : "false");
    }
    if (side.kind == C_FIELD && (side.field->repr == REPR_GUID || side.field->repr == REPR_UUID)) {
        uint8_t guid[16], disk[16];
        static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
        if (text.text_bytes != 36 || !parse_guid(text.text, guid))
            return truth(g, equal ? "false" : "true");
        for (unsigned i = 0; i < 16; i++)
            disk[i] = side.field->repr == REPR_GUID ? guid[i] : guid[order[i]];
        struct c_value want = c_value_bytes(g, (struct c_value){.kind = C_TEXT, .text = (const char *)disk, .text_bytes = 16});
        struct c_value have = c_value_bytes(g, side);
        return have.kind == C_NONE ? none()
                                   : truth(g, c_text(g, "%s%s", not, call(g, C_HELPER_EQUAL, "equal", c_text(g, "%s, %s", have.code, want.code))));
    }
    if (side.kind == C_FIELD && is_int(side.field) && side.field->type != NULL && side.field->type->kind == TYPE_ENUM &&
        side.field->bit_width == 0) {
        const struct type *t = side.field->type;
        for (size_t i = 0; i < t->n_values; i++)
            if (strcmp(t->values[i].name, text.text) == 0 && !t->is_signed)
                return truth(g, c_text(g, "%s %s 0x%llxu", raw(g, &side), equal ? "==" : "!=",
                                       (unsigned long long)t->values[i].value));
        return none();
    }
    struct c_value have = text_side(g, &side);
    if (have.kind == C_NONE)
        return none();
    struct c_value want = c_value_bytes(g, text);
    return truth(g, c_text(g, "%s%s", not, call(g, C_HELPER_EQUAL, "equal", c_text(g, "%s, %s", have.code, want.code))));
}

static struct c_value equality(struct c_gen *g, struct c_value a, struct c_value b, bool equal)
{
    struct c_value x = c_value_number(g, a), y = c_value_number(g, b);
    const char *not = equal ? "" : "!";
    if (x.kind == C_NUM && y.kind == C_NUM)
        return truth(g, c_text(g, "%s%s", not, call(g, C_HELPER_SAME, "same", c_text(g, "%s, %s", x.code, y.code))));
    if (b.kind == C_TEXT && a.kind != C_BYTES)
        return a.kind == C_NUM || a.kind == C_NONE ? none() : equal_text(g, a, b, equal);
    if (a.kind == C_TEXT && b.kind != C_BYTES)
        return b.kind == C_NUM || b.kind == C_NONE ? none() : equal_text(g, b, a, equal);
    struct c_value p = c_value_bytes(g, a), q = c_value_bytes(g, b);
    if (p.kind == C_NONE || q.kind == C_NONE)
        return none();
    return truth(g, c_text(g, "%s%s", not, call(g, C_HELPER_EQUAL, "equal", c_text(g, "%s, %s", p.code, q.code))));
}

static struct c_value binary(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    static const struct {
        enum expr_op op;
        enum c_helper helper;
        const char *name;
        bool natural, checked;
    } table[] = {
        {EXPR_ADD, C_HELPER_ADD, "add", false, true}, {EXPR_SUB, C_HELPER_SUB, "sub", false, true},
        {EXPR_MUL, C_HELPER_MUL, "mul", false, true}, {EXPR_DIV, C_HELPER_DIV, "div", false, true},
        {EXPR_MOD, C_HELPER_MOD, "mod", false, true}, {EXPR_SHL, C_HELPER_SHL, "shl", true, true},
        {EXPR_SHR, C_HELPER_SHR, "shr", true, true},
    };
    if (a.kind != C_NUM || b.kind != C_NUM)
        return none();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].op != op)
            continue;
        if (table[i].natural)
            return number(g, call(g, table[i].helper, table[i].name,
                                  c_text(g, "%s, %s, &bad", natural(g, a), natural(g, b))));
        return (struct c_value){.kind = C_NUM,
                                .code = call(g, table[i].helper, table[i].name, c_text(g, "%s, %s, &bad", a.code, b.code))};
    }
    switch (op) {
    case EXPR_BITAND:
        return number(g, c_text(g, "(%s & %s)", natural(g, a), natural(g, b)));
    case EXPR_BITOR:
        return number(g, c_text(g, "(%s | %s)", natural(g, a), natural(g, b)));
    case EXPR_BITXOR:
        return number(g, c_text(g, "(%s ^ %s)", natural(g, a), natural(g, b)));
    case EXPR_LT:
        return truth(g, call(g, C_HELPER_LESS, "less", c_text(g, "%s, %s", a.code, b.code)));
    case EXPR_GT:
        return truth(g, call(g, C_HELPER_LESS, "less", c_text(g, "%s, %s", b.code, a.code)));
    case EXPR_LE:
        return truth(g, c_text(g, "!%s", call(g, C_HELPER_LESS, "less", c_text(g, "%s, %s", b.code, a.code))));
    case EXPR_GE:
        return truth(g, c_text(g, "!%s", call(g, C_HELPER_LESS, "less", c_text(g, "%s, %s", a.code, b.code))));
    default:
        return none();
    }
}

const char *c_condition(struct c_gen *g, struct c_value v)
{
    struct c_value n = c_value_number(g, v);
    return n.kind == C_NONE ? NULL : c_text(g, "(%s).mag != 0", n.code);
}

struct c_value c_compile(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    switch (e->op) {
    case EXPR_NUM:
        return number(g, c_text(g, "0x%llxu", (unsigned long long)(uint64_t)e->num));
    case EXPR_TEXT:
        return (struct c_value){.kind = C_TEXT, .code = "", .text = e->text, .text_bytes = e->text_bytes};
    case EXPR_NAME:
        return name(g, s, e);
    case EXPR_MEMBER:
        return member(g, s, e);
    case EXPR_INDEX:
        return array_element(g, s, e);
    case EXPR_CALL:
        return c_compile_call(g, s, e);
    default:
        break;
    }
    struct c_value a[3];
    for (unsigned i = 0; i < e->n_args && i < 3; i++)
        a[i] = c_compile(g, s, e->arg[i]);
    if (e->op == EXPR_EQ || e->op == EXPR_NE)
        return equality(g, a[0], a[1], e->op == EXPR_EQ);
    if (e->op == EXPR_AND || e->op == EXPR_OR) {
        const char *x = c_condition(g, a[0]), *y = c_condition(g, a[1]);
        return x == NULL || y == NULL ? none() : truth(g, c_text(g, "(%s) %s (%s)", x, e->op == EXPR_AND ? "&&" : "||", y));
    }
    for (unsigned i = 0; i < e->n_args && i < 3; i++)
        a[i] = c_value_number(g, a[i]);
    for (unsigned i = 0; i < e->n_args && i < 3; i++)
        if (a[i].kind != C_NUM)
            return none();
    switch (e->op) {
    case EXPR_NOT:
        return truth(g, c_text(g, "!(%s)", c_condition(g, a[0])));
    case EXPR_NEG:
        return (struct c_value){.kind = C_NUM, .code = call(g, C_HELPER_NEG, "neg", c_text(g, "%s, &bad", a[0].code))};
    case EXPR_BITNOT:
        return number(g, c_text(g, "~%s", natural(g, a[0])));
    case EXPR_COND:
        return (struct c_value){.kind = C_NUM, .code = c_text(g, "(%s ? %s : %s)", c_condition(g, a[0]), a[1].code, a[2].code)};
    default:
        return binary(g, e->op, a[0], a[1]);
    }
}
