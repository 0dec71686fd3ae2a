/* Layout to C: names, fields, text, and the walk over an expression. Each expression becomes one C expression
 * that sets `bad` where the run-time engine would report an error; && || and ?: map to C's own, so that what
 * is not evaluated cannot fail. What needs more than the structure at hand (map entries, the image) does not
 * compile, and its rule stays with the engine. */
#include "lib/layout/export_c_expr.h"

#include <string.h>

static bool is_int(const struct field *f)
{
    return f->repr == REPR_UINT || f->repr == REPR_SINT || f->repr == REPR_BOTH;
}

static struct c_value run_of_bytes(struct c_gen *g, const char *pointer, uint32_t size, bool in_view)
{
    g->helpers[C_HELPER_BYTES] = "bytes";
    return (struct c_value){.kind = C_BYTES,
                            .code =
                                c_text(g, "(struct priv_%s_bytes){%s, %u}", g->layout->name, pointer, size),
                            .in_view = in_view,
                            .has_size = true,
                            .size_bytes = size};
}

/* Bytes that start `base` into the outermost view. */
static struct c_value run_at(struct c_gen *g, const char *pointer, uint32_t size, uint32_t base)
{
    struct c_value v = run_of_bytes(g, pointer, size, true);
    v.behind = pointer;
    v.base = base;
    return v;
}

/* A field of the struct that `view` lies over, `base` bytes into the outermost one. */
static struct c_value field_at(struct c_gen *g, const struct type *type, const struct field *f,
                               const char *view, uint32_t base)
{
    if (!c_field_is_fixed(f) || base > LAYOUT_MAX_STRUCT_BYTES)
        return c_none();
    if (f->repr != REPR_TYPE)
        return (struct c_value){
            .kind = C_FIELD, .code = "", .type = type, .field = f, .view = view, .base = base};
    if (f->is_array || f->type->kind != TYPE_STRUCT)
        return c_none();
    return (struct c_value){.kind = C_STRUCT,
                            .code = "",
                            .type = f->type,
                            .view = c_text(g, "%s(%s)", c_getter(g, type, f), view),
                            .base = base + f->offset_bytes};
}

struct c_value c_field_value(const struct type *type, const struct field *field, const char *index)
{
    return (struct c_value){
        .kind = C_FIELD, .code = "", .type = type, .field = field, .view = "v", .index = index};
}

/* The getter's call. */
static const char *load(struct c_gen *g, const struct c_value *v)
{
    const char *get = c_getter(g, v->type, v->field);
    return v->field->is_array ? c_text(g, "%s(%s, %s)", get, v->view, v->index)
                              : c_text(g, "%s(%s)", get, v->view);
}

struct c_value c_value_number(struct c_gen *g, struct c_value v)
{
    if (v.kind == C_NUM)
        return v;
    if (v.kind != C_FIELD || !is_int(v.field) || (v.field->is_array && v.index == NULL))
        return c_none();
    unsigned bits = v.bits != NULL ? v.field->bit_width : v.field->width_bytes * 8;
    expr_num top = ((expr_num)1 << bits) - 1;
    if (v.bits != NULL)
        return c_integer(c_text(g, "%s(%s)", c_getter(g, v.bits, v.field), v.index), C_PREC_POST, bits, 0,
                         top);
    if (v.field->repr == REPR_SINT)
        return c_integer(load(g, &v), C_PREC_POST, bits, -(top >> 1) - 1, top >> 1);
    return c_integer(load(g, &v), C_PREC_POST, bits, 0, top);
}

struct c_value c_literal_bytes(struct c_gen *g, const void *bytes, size_t n)
{
    struct strbuf list = {0};
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&list, "%s0x%02x", i == 0 ? "" : ", ", ((const unsigned char *)bytes)[i]);
    struct c_value v = run_of_bytes(
        g, n == 0 ? "NULL" : c_text(g, "(const uint8_t[]){%s}", strbuf_str(&list)), (uint32_t)n, false);
    strbuf_free(&list);
    return v;
}

struct c_value c_value_bytes(struct c_gen *g, struct c_value v)
{
    switch (v.kind) {
    case C_BYTES:
        return v;
    case C_TEXT:
        return c_literal_bytes(g, v.text, v.text_bytes);
    case C_STRUCT:
        return v.type->size_bytes == 0 ? c_none()
                                       : run_at(g, c_text(g, "%s.p", v.view), v.type->size_bytes, v.base);
    case C_FIELD:
        break;
    default:
        return c_none();
    }
    if (v.bits != NULL)
        return c_none();
    uint32_t one = v.field->width_bytes * (v.field->repr == REPR_BOTH ? 2 : 1), at = v.field->offset_bytes;
    const char *start = c_text(g, at == 0 ? "%s.p" : "%s.p + %u", v.view, at);
    if (!v.field->is_array || v.index == NULL)
        return run_at(g, start, v.field->size_bytes, v.base + at);
    return run_of_bytes(g, c_text(g, "%s + %u * %s", start, one, v.index), one, true);
}

static struct c_value self_value(struct c_gen *g, struct c_scope *s)
{
    if (s->bits != NULL) {
        struct c_value v = {
            .kind = C_FIELD, .code = "", .type = s->type, .field = s->bits, .index = s->bits_base};
        v.bits = s->field->type;
        return v;
    }
    if (s->field == NULL)
        return (struct c_value){.kind = C_STRUCT, .code = "", .type = s->type, .view = "v"};
    struct c_value v = field_at(g, s->type, s->field, "v", 0);
    if (s->field->is_array) /* outside a loop over the elements, "self" is the first */
        v.index = s->index != NULL ? s->index : "0";
    return v;
}

static struct c_value name(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    switch (e->binding) {
    case BIND_PARAM:
        s->uses_params |= (uint64_t)1 << ((const struct param *)e->target - g->layout->params);
        return c_integer(c_argument(g, e->text), C_PREC_POST, 64, 0, UINT64_MAX);
    case BIND_SELF:
        return self_value(g, s);
    case BIND_PARENT:
        return s->field != NULL && s->bits == NULL && s->type->size_bytes != 0
                   ? (struct c_value){.kind = C_STRUCT, .code = "", .type = s->type, .view = "v"}
                   : c_none();
    case BIND_INDEX:
        if (s->field == NULL)
            return c_none(); /* a structure does not know its place among others */
        return s->index == NULL || s->bits != NULL
                   ? c_literal(g, 0, false)
                   : c_integer(c_text(g, "(uint64_t)%s", s->index), C_PREC_UNARY, 64, 0, s->field->count - 1);
    case BIND_FIELD:
        return s->bits == NULL ? field_at(g, s->type, e->target, "v", 0) : c_none();
    default:
        return c_none();
    }
}

/* Member of a flags or bits field as a number. */
static struct c_value bit_member(struct c_gen *g, struct c_value base, const char *member)
{
    const struct type *t = base.field->type;
    if (t == NULL || (base.field->is_array && base.index == NULL) || base.bits != NULL)
        return c_none();
    struct c_value whole = c_value_number(g, base);
    for (size_t i = 0; i < t->n_values && t->kind == TYPE_FLAGS; i++) {
        const struct enum_value *value = &t->values[i];
        if (strcmp(value->name, member) != 0)
            continue;
        struct c_value part = c_binary(g, EXPR_BITAND, whole, c_literal(g, (expr_num)value->value, true));
        return value->shift == 0 ? part
                                 : c_binary(g, EXPR_SHR, part, c_literal(g, (expr_num)value->shift, false));
    }
    const struct field *f = t->kind == TYPE_BITS ? type_field(t, member) : NULL;
    if (f == NULL || whole.kind != C_NUM)
        return c_none();
    struct c_value v = {
        .kind = C_FIELD, .code = "", .type = base.type, .field = f, .index = whole.code, .bits = t};
    return c_value_number(g, v);
}

static struct c_value member(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value base = c_compile(g, s, e->arg[0]);
    if (base.kind == C_FIELD)
        return bit_member(g, base, e->text);
    if (base.kind != C_STRUCT)
        return c_none();
    const struct field *f = type_field(base.type, e->text);
    return f == NULL ? c_none() : field_at(g, base.type, f, base.view, base.base);
}

static struct c_value array_element(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value base = c_compile(g, s, e->arg[0]);
    struct c_value at = c_value_number(g, c_compile(g, s, e->arg[1]));
    if (base.kind != C_FIELD || !base.field->is_array || base.index != NULL || at.kind != C_NUM)
        return c_none();
    at = c_natural(g, at);
    if (at.lo >= base.field->count)
        return c_none();
    if (at.literal || (at.hi < base.field->count && !at.is_64 && at.prec == C_PREC_POST))
        base.index = at.code;
    else if (at.hi < base.field->count)
        base.index = c_text(g, "(size_t)%s", c_u64(g, at, C_PREC_UNARY));
    else
        base.index =
            c_call(g, C_HELPER_INDEX, "index", c_text(g, "%s, %u, &bad", at.code, base.field->count));
    return base;
}

/* ---- comparing text and byte strings ---- */

static struct c_value same_bytes(struct c_gen *g, struct c_value a, struct c_value b)
{
    if (a.kind != C_BYTES || b.kind != C_BYTES)
        return c_none();
    return c_truth_call(g, c_call(g, C_HELPER_EQUAL, "equal", c_text(g, "%s, %s", a.code, b.code)));
}

static struct c_value always(struct c_gen *g, bool yes)
{
    return c_condition(g, c_literal(g, yes ? 1 : 0, false));
}

static struct c_value guid_is(struct c_gen *g, struct c_value side, struct c_value text)
{
    uint8_t id[LAYOUT_ID_BYTES];
    if (!field_parse_id(side.field, text.text, text.text_bytes, id))
        return always(g, false);
    return same_bytes(g, c_value_bytes(g, side), c_literal_bytes(g, id, sizeof id));
}

/* An enum compares as the name of its value: the first, where a value has two. */
static struct c_value enum_is(struct c_gen *g, struct c_value side, struct c_value text)
{
    const struct type *t = side.field->type;
    for (size_t i = 0; i < t->n_values; i++) {
        if (strlen(t->values[i].name) != text.text_bytes ||
            memcmp(t->values[i].name, text.text, text.text_bytes) != 0)
            continue;
        if (type_value(t, t->values[i].value) != &t->values[i])
            break;
        bool is_signed = side.field->repr == REPR_SINT;
        struct c_value want = c_literal(
            g, is_signed ? (expr_num)(int64_t)t->values[i].value : (expr_num)t->values[i].value, false);
        struct c_value have = c_value_number(g, side);
        /* The constant's name reads better than its number, where its C type is the same for everyone. */
        if (!is_signed && t->values[i].value <= INT32_MAX) {
            want.code = c_text(g, "%s_%s", c_upper(g, c_type_name(g, t)), c_upper(g, t->values[i].name));
            have = c_integer(c_u64(g, have, C_PREC_UNARY), C_PREC_UNARY, 64, have.lo, have.hi);
        }
        return c_binary(g, EXPR_EQ, have, want);
    }
    return text.text_bytes == 0 ? c_none() : always(g, false);
}

static struct c_value text_is(struct c_gen *g, struct c_value side, struct c_value text)
{
    if (side.kind == C_TEXT)
        return always(g, side.text_bytes == text.text_bytes &&
                             memcmp(side.text, text.text, side.text_bytes) == 0);
    if (side.kind != C_FIELD || (side.field->is_array && side.index == NULL))
        return c_none();
    enum field_repr repr = side.field->repr;
    if (repr_is_id(repr))
        return guid_is(g, side, text);
    if ((repr == REPR_UINT || repr == REPR_SINT) && side.field->type != NULL &&
        side.field->type->kind == TYPE_ENUM)
        return enum_is(g, side, text);
    if (repr != REPR_CHARS && repr != REPR_BYTES)
        return c_none();
    struct c_value have = c_value_bytes(g, side);
    if (repr == REPR_CHARS && side.field->pad == PAD_NUL)
        have.code = c_call(g, C_HELPER_UNTIL_NUL, "until_nul", have.code);
    else if (repr == REPR_CHARS && side.field->pad == PAD_SPACE)
        have.code = c_call(g, C_HELPER_TRIM, "trim", have.code);
    return same_bytes(g, have, c_literal_bytes(g, text.text, text.text_bytes));
}

static struct c_value equal(struct c_gen *g, struct c_value a, struct c_value b)
{
    struct c_value x = c_value_number(g, a), y = c_value_number(g, b);
    if (x.kind == C_NUM && y.kind == C_NUM)
        return c_binary(g, EXPR_EQ, x, y);
    if (b.kind == C_TEXT && a.kind != C_BYTES)
        return text_is(g, a, b);
    if (a.kind == C_TEXT && b.kind != C_BYTES)
        return text_is(g, b, a);
    return same_bytes(g, c_value_bytes(g, a), c_value_bytes(g, b));
}

struct c_value c_compile(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    switch (e->op) {
    case EXPR_NUM:
        return c_literal(g, e->num, e->hex);
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
    struct c_value a[3] = {c_none(), c_none(), c_none()};
    for (unsigned i = 0; i < e->n_args && i < 3; i++)
        a[i] = c_compile(g, s, e->arg[i]);
    if (e->op == EXPR_EQ || e->op == EXPR_NE) {
        struct c_value v = equal(g, a[0], a[1]);
        return e->op == EXPR_EQ || v.kind != C_NUM ? v : c_unary(g, EXPR_NOT, v);
    }
    for (unsigned i = 0; i < e->n_args && i < 3; i++) {
        a[i] = c_value_number(g, a[i]);
        if (a[i].kind != C_NUM)
            return c_none();
    }
    switch (e->op) {
    case EXPR_NOT:
    case EXPR_NEG:
    case EXPR_BITNOT:
        return c_unary(g, e->op, a[0]);
    case EXPR_COND:
        return c_choose(g, a[0], a[1], a[2]);
    default:
        return c_binary(g, e->op, a[0], a[1]);
    }
}
