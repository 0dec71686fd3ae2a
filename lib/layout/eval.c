/* Evaluating expressions. Numbers take a short way (eval_num); everything else goes through struct ev. */
#include "lib/layout/eval.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/hash/hash.h"

static int fail_at(const struct expr *e, struct plat_err *err, int class, const char *what)
{
    return err_set(err, class, "column %u: %s%s%s%s", e->column, e->text != NULL ? "'" : "",
                   e->text != NULL ? e->text : "", e->text != NULL ? "' " : "", what);
}

uint64_t field_load(const struct inst *inst, const struct field *field, uint32_t offset, uint64_t index)
{
    unsigned width = field->width_bytes;
    const uint8_t *p = inst->bytes + offset;
    if (field->bit_width != 0) {
        uint64_t mask = field->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << field->bit_width) - 1;
        return load_uint(p, width, field->big_endian) >> field->bit_shift & mask;
    }
    if (field->repr == REPR_BOTH)
        return load_uint(p + index * 2 * width, width, false);
    uint64_t v = load_uint(p + index * width, width, field->big_endian);
    return field->repr == REPR_SINT ? sign_extend_u64(v, width) : v;
}

static bool is_int(const struct field *field)
{
    return field->repr == REPR_UINT || field->repr == REPR_SINT || field->repr == REPR_BOTH;
}

static expr_num to_num(const struct field *field, uint64_t raw)
{
    return field->repr == REPR_SINT ? (expr_num)(int64_t)raw : (expr_num)raw;
}

/* Element `index` of an integer field of `inst`. */
static int load_int(const struct inst *inst, const struct field *field, uint64_t index, const struct expr *e,
                    expr_num *ret, struct plat_err *err)
{
    if (!is_int(field))
        return fail_at(e, err, PLAT_EINVALID, "is not a number");
    if (field->offset_bytes != FIELD_OFFSET_DYNAMIC && field->count_expr == NULL) {
        if (index >= field->count || field->offset_bytes + field->size_bytes > inst->size_bytes)
            return fail_at(e, err, PLAT_ECORRUPT, "lies outside its array or structure");
        *ret = to_num(field, field_load(inst, field, field->offset_bytes, index));
        return 0;
    }
    struct range place;
    int rc = inst_field_place(inst, field, &place, err);
    if (rc != 0)
        return rc;
    if (index >= place.bytes / field->width_bytes)
        return fail_at(e, err, PLAT_ECORRUPT, "has fewer elements than the index");
    *ret = to_num(field, field_load(inst, field, (uint32_t)place.start, index));
    return 0;
}

static int ev_to_num(const struct ev *ev, const struct expr *e, expr_num *ret, struct plat_err *err)
{
    if (ev->kind == EV_NUM) {
        *ret = ev->num;
        return 0;
    }
    if (ev->kind == EV_FIELD && !ev->whole && ev->field->radix != 0) {
        struct value value;
        int rc = inst_value(&ev->inst, ev->field, ev->index, &value, err);
        if (rc == 0 && !value.is_number)
            return fail_at(e, err, PLAT_ECORRUPT, "does not hold digits");
        if (rc == 0)
            *ret = (expr_num)value.number;
        return rc;
    }
    if (ev->kind == EV_FIELD && !ev->whole)
        return load_int(&ev->inst, ev->field, ev->index, e, ret, err);
    return fail_at(e, err, PLAT_EINVALID, "is not a number");
}

/* Finds a member whose struct was not known when the schema was loaded. */
static const struct field *member_field(const struct inst *inst, const struct expr *e)
{
    const struct type *shape = inst_shape(inst);
    if (shape == NULL)
        return NULL;
    if (e->binding == BIND_FIELD) {
        const struct field *f = e->target;
        if (f >= shape->fields && f < shape->fields + shape->n_fields)
            return f;
    }
    return type_field(shape, e->text);
}

static int eval_name(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    ret->index = 0;
    ret->whole = false;
    switch (e->binding) {
    case BIND_PARAM:
        ret->kind = EV_NUM;
        ret->num = (expr_num)ctx->image->params[(const struct param *)e->target - ctx->image->layout->params];
        return 0;
    case BIND_INDEX:
        ret->kind = EV_NUM;
        ret->num = (expr_num)(ctx->inst != NULL && ctx->field == NULL ? ctx->inst->index : ctx->index);
        return 0;
    case BIND_IMAGE:
        ret->kind = EV_IMAGE;
        return 0;
    case BIND_MAP: {
        const struct map_entry *entry = e->target;
        if (map_is_array(entry) || entry->is_extent) {
            ret->kind = EV_MAP;
            ret->entry = entry;
            return 0;
        }
        ret->kind = EV_INST;
        return image_map_beside(ctx->image, entry, 0, &ret->inst, err);
    }
    default:
        break;
    }
    if (ctx->inst == NULL)
        return fail_at(e, err, PLAT_EBUG, "has no structure to be looked up in");
    if (e->binding == BIND_PARENT) {
        const struct inst *parent = ctx->field != NULL ? ctx->inst : ctx->inst->parent;
        if (parent == NULL)
            return fail_at(e, err, PLAT_EINVALID, "does not exist here");
        ret->kind = EV_INST;
        ret->inst = *parent;
        return 0;
    }
    ret->inst = *ctx->inst;
    if (e->binding == BIND_SELF && ctx->field == NULL) {
        ret->kind = EV_INST;
        return 0;
    }
    ret->kind = EV_FIELD;
    ret->field = e->binding == BIND_SELF ? ctx->field : member_field(ctx->inst, e);
    if (ret->field == NULL)
        return fail_at(e, err, PLAT_EINVALID, "is not a field of this case of the union");
    ret->whole = ret->field->is_array && e->binding != BIND_SELF;
    ret->index = e->binding == BIND_SELF ? ctx->index : 0;
    if (ret->field->repr == REPR_TYPE && !ret->whole) {
        ret->kind = EV_INST;
        return inst_nested(ctx->inst, ret->field, ret->index, NULL, 0, &ret->inst, err);
    }
    return 0;
}

/* Member of a bits or flags value. */
static int eval_bit_member(const struct expr *e, struct ev *base, struct ev *ret, struct plat_err *err)
{
    const struct type *type = base->field->type;
    expr_num raw;
    int rc = load_int(&base->inst, base->field, base->index, e, &raw, err);
    if (rc != 0)
        return rc;
    uint64_t v = (uint64_t)raw;
    ret->kind = EV_NUM;
    if (type != NULL && type->kind == TYPE_FLAGS) {
        for (size_t i = 0; i < type->n_values; i++) {
            if (strcmp(type->values[i].name, e->text) == 0) {
                ret->num = (expr_num)((v & type->values[i].value) >> type->values[i].shift);
                return 0;
            }
        }
    } else if (type != NULL && type->kind == TYPE_BITS) {
        const struct field *f = type_field(type, e->text);
        if (f != NULL) {
            uint64_t mask = f->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << f->bit_width) - 1;
            ret->num = (expr_num)(v >> f->bit_shift & mask);
            return 0;
        }
    }
    return fail_at(e, err, PLAT_EINVALID, "is not a member");
}

static int eval_member(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    struct ev base;
    int rc = eval_any(ctx, e->arg[0], &base, err);
    if (rc != 0)
        return rc;
    if (base.kind == EV_IMAGE) {
        ret->kind = EV_NUM;
        ret->num = (expr_num)ctx->image->dev->size_bytes;
        return 0;
    }
    if (base.kind == EV_FIELD && !base.whole)
        return eval_bit_member(e, &base, ret, err);
    if (base.kind != EV_INST)
        return fail_at(e, err, PLAT_EINVALID, "is asked of something without members");
    const struct field *field = member_field(&base.inst, e);
    if (field == NULL)
        return fail_at(e, err, PLAT_EINVALID, "is not a field here");
    if (field->repr == REPR_TYPE && !field->is_array) {
        ret->kind = EV_INST;
        return inst_nested(&base.inst, field, 0, NULL, 0, &ret->inst, err);
    }
    ret->kind = EV_FIELD;
    ret->inst = base.inst;
    ret->field = field;
    ret->index = 0;
    ret->whole = field->is_array;
    return 0;
}

static int eval_index(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    struct ev base;
    uint64_t index;
    int rc = eval_any(ctx, e->arg[0], &base, err);
    if (rc == 0)
        rc = eval_u64(ctx, e->arg[1], &index, err);
    if (rc != 0)
        return rc;
    if (base.kind == EV_MAP) {
        ret->kind = EV_INST;
        return image_map_beside(ctx->image, base.entry, index, &ret->inst, err);
    }
    if (base.kind != EV_FIELD || !base.whole)
        return fail_at(e, err, PLAT_EINVALID, "is not an array");
    if (base.field->repr == REPR_TYPE) {
        ret->kind = EV_INST;
        return inst_nested(&base.inst, base.field, index, NULL, 0, &ret->inst, err);
    }
    *ret = base;
    ret->whole = false;
    ret->index = index;
    return 0;
}

/* ---- comparing text and byte strings ---- */

/* The text that a value compares as; false: it has none. */
static bool ev_as_text(const struct ev *ev, struct strbuf *ret)
{
    if (ev->kind == EV_TEXT) {
        strbuf_add(ret, (const char *)ev->bytes, ev->n);
        return true;
    }
    if (ev->kind != EV_FIELD || ev->whole)
        return false;
    struct range place;
    if (inst_field_place(&ev->inst, ev->field, &place, NULL) != 0)
        return false;
    const uint8_t *bytes = ev->inst.bytes + place.start;
    switch (ev->field->repr) {
    case REPR_CHARS:
        strbuf_add(ret, (const char *)bytes, chars_length(bytes, place.bytes, ev->field->pad));
        return true;
    case REPR_UTF16:
        utf16_to_text(bytes, place.bytes / 2, ev->field->big_endian, ev->field->pad == PAD_NUL, ret);
        return true;
    case REPR_UINT:
    case REPR_SINT: {
        expr_num raw;
        struct expr nowhere = {.column = 0};
        if (ev->field->type == NULL || ev->field->type->kind != TYPE_ENUM ||
            load_int(&ev->inst, ev->field, ev->index, &nowhere, &raw, NULL) != 0)
            return false;
        const struct enum_value *v = type_value(ev->field->type, (uint64_t)raw);
        strbuf_puts(ret, v != NULL ? v->name : "");
        return true;
    }
    default:
        return false;
    }
}

static bool is_id_field(const struct ev *ev)
{
    return ev->kind == EV_FIELD && !ev->whole && repr_is_id(ev->field->repr);
}

/* A GUID equals its text in either case, and its name where its type gives one. */
static int id_equal(const struct ev *field, const struct ev *text, bool *ret, struct plat_err *err)
{
    struct value value;
    uint8_t id[LAYOUT_ID_BYTES];
    int rc = inst_value(&field->inst, field->field, field->index, &value, err);
    if (rc != 0)
        return rc;
    *ret = field_parse_id(field->field, (const char *)text->bytes, text->n, id) &&
           memcmp(value.bytes, id, sizeof id) == 0;
    return 0;
}

static int ev_compare(const struct eval *ctx, const struct expr *e, const struct ev *a, const struct ev *b,
                      bool *ret, struct plat_err *err)
{
    expr_num x, y;
    if (ev_to_num(a, e, &x, NULL) == 0 && ev_to_num(b, e, &y, NULL) == 0) {
        *ret = x == y;
        return 0;
    }
    if (a->kind == EV_TEXT && is_id_field(b))
        return id_equal(b, a, ret, err);
    if (b->kind == EV_TEXT && is_id_field(a))
        return id_equal(a, b, ret, err);
    if (a->kind == EV_TEXT || b->kind == EV_TEXT) {
        struct strbuf left = {0}, right = {0};
        bool both = ev_as_text(a, &left) && ev_as_text(b, &right);
        bool failed = left.failed || right.failed;
        bool same =
            both && left.len == right.len && memcmp(strbuf_str(&left), strbuf_str(&right), left.len) == 0;
        strbuf_free(&left);
        strbuf_free(&right);
        if (failed)
            return err_nomem(err, "comparing text");
        if (both) {
            *ret = same;
            return 0;
        }
    }
    struct ev left, right;
    int rc = ev_place(ctx, a, &left, err);
    if (rc == 0)
        rc = ev_place(ctx, b, &right, err);
    if (rc != 0)
        return rc;
    if (left.n != right.n) {
        *ret = false;
        return 0;
    }
    /* Byte strings are compared piecewise, so that long ones need no memory. */
    if (left.n > EVAL_MAX_HASH_BYTES)
        return fail_at(e, err, PLAT_ELIMIT, "compares too many bytes");
    uint8_t chunk[2][4096];
    for (uint64_t at = 0; at < left.n; at += sizeof chunk[0]) {
        size_t n = left.n - at < sizeof chunk[0] ? (size_t)(left.n - at) : sizeof chunk[0];
        const struct ev *sides[2] = {&left, &right};
        for (unsigned i = 0; i < 2; i++) {
            if (sides[i]->bytes != NULL)
                memcpy(chunk[i], sides[i]->bytes + at, n);
            else if ((rc = dev_read(ctx->image->dev, sides[i]->offset + at, chunk[i], n, err)) != 0)
                return rc;
        }
        if (memcmp(chunk[0], chunk[1], n) != 0) {
            *ret = false;
            return 0;
        }
    }
    *ret = true;
    return 0;
}

int eval_any(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err)
{
    switch (e->op) {
    case EXPR_TEXT:
        ret->kind = EV_TEXT;
        ret->bytes = (const uint8_t *)e->text;
        ret->n = e->text_bytes;
        return 0;
    case EXPR_NAME:
        return eval_name(ctx, e, ret, err);
    case EXPR_MEMBER:
        return eval_member(ctx, e, ret, err);
    case EXPR_INDEX:
        return eval_index(ctx, e, ret, err);
    case EXPR_CALL:
        return eval_call(ctx, e, ret, err);
    case EXPR_COND: {
        bool yes;
        int rc = eval_bool(ctx, e->arg[0], &yes, err);
        return rc != 0 ? rc : eval_any(ctx, e->arg[yes ? 1 : 2], ret, err);
    }
    default:
        ret->kind = EV_NUM;
        return eval_num(ctx, e, &ret->num, err);
    }
}

/* Plain scalar fields and parameters, which nearly every rule consists of, without building a struct ev. */
static bool eval_quick(const struct eval *ctx, const struct expr *e, expr_num *ret)
{
    const struct field *f = NULL;
    if (e->binding == BIND_PARAM) {
        *ret = (expr_num)ctx->image->params[(const struct param *)e->target - ctx->image->layout->params];
        return true;
    }
    uint64_t index = 0;
    if (e->binding == BIND_FIELD && ctx->inst != NULL && inst_shape(ctx->inst) == ctx->inst->type) {
        f = e->target;
        if (f < ctx->inst->type->fields || f >= ctx->inst->type->fields + ctx->inst->type->n_fields ||
            f->is_array)
            return false;
    } else if (e->binding == BIND_SELF && ctx->field != NULL) {
        f = ctx->field;
        index = ctx->index;
    }
    if (f == NULL || !is_int(f) || f->offset_bytes == FIELD_OFFSET_DYNAMIC || f->count_expr != NULL ||
        index >= f->count || f->offset_bytes + f->size_bytes > ctx->inst->size_bytes)
        return false;
    *ret = to_num(f, field_load(ctx->inst, f, f->offset_bytes, index));
    return true;
}

static bool eval_plain(const struct eval *ctx, const struct expr *e, expr_num *ret)
{
    if (e->op == EXPR_NUM) {
        *ret = e->num;
        return true;
    }
    return e->op == EXPR_NAME && eval_quick(ctx, e, ret);
}

/* Each side is evaluated once: expressions nest, and twice on each level would be 2^64 times. */
static int eval_equal(const struct eval *ctx, const struct expr *e, bool *ret, struct plat_err *err)
{
    expr_num x, y;
    if (eval_plain(ctx, e->arg[0], &x) && eval_plain(ctx, e->arg[1], &y)) {
        *ret = x == y;
        return 0;
    }
    struct ev a, b;
    int rc = eval_any(ctx, e->arg[0], &a, err);
    if (rc == 0)
        rc = eval_any(ctx, e->arg[1], &b, err);
    return rc != 0 ? rc : ev_compare(ctx, e, &a, &b, ret, err);
}

int eval_num(const struct eval *ctx, const struct expr *e, expr_num *ret, struct plat_err *err)
{
    expr_num a, b;
    bool yes;
    int rc;
    switch (e->op) {
    case EXPR_NUM:
        *ret = e->num;
        return 0;
    case EXPR_NAME:
        if (eval_quick(ctx, e, ret))
            return 0;
        /* fall through */
    case EXPR_TEXT:
    case EXPR_MEMBER:
    case EXPR_INDEX:
    case EXPR_CALL: {
        struct ev ev;
        rc = eval_any(ctx, e, &ev, err);
        return rc != 0 ? rc : ev_to_num(&ev, e, ret, err);
    }
    case EXPR_NOT:
        if ((rc = eval_num(ctx, e->arg[0], &a, err)) == 0)
            *ret = a == 0;
        return rc;
    case EXPR_NEG:
    case EXPR_BITNOT:
        if ((rc = eval_num(ctx, e->arg[0], &a, err)) != 0)
            return rc;
        if (e->op == EXPR_BITNOT ? a < 0 || !expr_arith(EXPR_SUB, (expr_num)UINT64_MAX, a, ret)
                                 : !expr_arith(EXPR_SUB, 0, a, ret))
            return fail_at(e, err, PLAT_ECORRUPT, "overflows 64 bits");
        return 0;
    case EXPR_AND:
    case EXPR_OR:
        if ((rc = eval_bool(ctx, e->arg[0], &yes, err)) == 0 && yes == (e->op == EXPR_AND))
            rc = eval_bool(ctx, e->arg[1], &yes, err);
        if (rc == 0)
            *ret = yes;
        return rc;
    case EXPR_COND:
        rc = eval_bool(ctx, e->arg[0], &yes, err);
        return rc != 0 ? rc : eval_num(ctx, e->arg[yes ? 1 : 2], ret, err);
    case EXPR_EQ:
    case EXPR_NE:
        if ((rc = eval_equal(ctx, e, &yes, err)) == 0)
            *ret = yes == (e->op == EXPR_EQ);
        return rc;
    default:
        break;
    }
    if ((rc = eval_num(ctx, e->arg[0], &a, err)) != 0 || (rc = eval_num(ctx, e->arg[1], &b, err)) != 0)
        return rc;
    switch (e->op) {
    case EXPR_LT:
        *ret = a < b;
        return 0;
    case EXPR_LE:
        *ret = a <= b;
        return 0;
    case EXPR_GT:
        *ret = a > b;
        return 0;
    case EXPR_GE:
        *ret = a >= b;
        return 0;
    default:
        return expr_arith(e->op, a, b, ret)
                   ? 0
                   : fail_at(e, err, PLAT_ECORRUPT,
                             "arithmetic leaves 64 bits, divides by zero or shifts too far");
    }
}

int eval_bool(const struct eval *ctx, const struct expr *e, bool *ret, struct plat_err *err)
{
    expr_num v;
    int rc = eval_num(ctx, e, &v, err);
    if (rc == 0)
        *ret = v != 0;
    return rc;
}

int eval_u64(const struct eval *ctx, const struct expr *e, uint64_t *ret, struct plat_err *err)
{
    expr_num v;
    int rc = eval_num(ctx, e, &v, err);
    if (rc == 0 && v < 0)
        rc = fail_at(e, err, PLAT_ECORRUPT, "is negative");
    if (rc == 0)
        *ret = (uint64_t)v;
    return rc;
}

void ev_text(const struct ev *ev, struct strbuf *ret)
{
    struct value value;
    if (ev->kind == EV_NUM && ev->num < 0)
        strbuf_printf(ret, "-%llu", (unsigned long long)-ev->num);
    else if (ev->kind == EV_NUM)
        strbuf_printf(ret, "%llu", (unsigned long long)ev->num);
    else if (ev->kind == EV_TEXT)
        strbuf_visible(ret, (const char *)ev->bytes, ev->n);
    else if (ev->kind == EV_FIELD && !ev->whole &&
             inst_value(&ev->inst, ev->field, ev->index, &value, NULL) == 0)
        value_text(&value, ret);
    else if (ev->kind == EV_BYTES && ev->bytes != NULL)
        for (uint64_t i = 0; i < ev->n && i < 32; i++)
            strbuf_printf(ret, "%02x", ev->bytes[i]);
    else
        strbuf_puts(ret, "?");
}
