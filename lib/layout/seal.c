/* Derived fields: what they should hold, by their own structure or by the layout's "follows". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/layout/eval.h"

/* The value of `e`, as field v holds it, into p. */
static int derive_value(const struct eval *ctx, const struct expr *e, const struct value *v, uint8_t *p,
                        struct plat_err *err)
{
    const struct field *field = v->field;
    struct ev ev, place;
    if (!v->is_number && field->radix == 0) {
        int rc = eval_any(ctx, e, &ev, err);
        if (rc == 0)
            rc = ev_place(ctx, &ev, &place, err);
        if (rc == 0 && (place.bytes == NULL || place.n != v->n))
            rc = err_set(err, PLAT_EINVALID, "derived value has %llu bytes, not %zu",
                         (unsigned long long)place.n, v->n);
        if (rc != 0)
            return err_prefix(err, "%s", field->name);
        memmove(p, place.bytes, v->n);
        return 0;
    }
    expr_num n;
    if (eval_num(ctx, e, &n, err) != 0)
        return err_prefix(err, "%s", field->name);
    unsigned bits = field->radix != 0 ? 64 : 8 * field->width_bytes;
    expr_num top = ((expr_num)1 << bits) - 1;
    if (field->repr == REPR_SINT ? n < -(top >> 1) - 1 || n > top >> 1 : n < 0 || n > top)
        return err_set(err, PLAT_EINVALID, "derived value of '%s' does not fit %u bits", field->name, bits);
    memcpy(p, v->bytes, v->n);
    if (field->radix == 0)
        field_store(field, p, (uint64_t)n);
    else if (!field_format_digits(field, (uint64_t)n, p, v->n))
        return err_set(err, PLAT_EINVALID, "derived value of '%s' does not fit its %zu digits", field->name,
                       v->n);
    return 0;
}

/* ---- one structure ---- */

static int seal_field(const struct inst *inst, const struct field *field, uint8_t *bytes, bool *changed,
                      struct plat_err *err)
{
    struct eval ctx = {.image = inst->image, .inst = inst, .field = field};
    struct value v;
    uint8_t wanted[DERIVED_MAX_BYTES];
    int rc = inst_value(inst, field, 0, &v, err);
    if (rc == 0 && v.n > sizeof wanted)
        rc = err_set(err, PLAT_EINVALID, "derived value of '%s' has more than %d bytes", field->name,
                     (int)DERIVED_MAX_BYTES);
    if (rc == 0)
        rc = derive_value(&ctx, field->derive, &v, wanted, err);
    if (rc != 0)
        return rc;
    uint8_t *p = bytes + (v.bytes - inst->bytes);
    *changed = *changed || memcmp(p, wanted, v.n) != 0;
    memcpy(p, wanted, v.n);
    return 0;
}

int inst_seal(const struct inst *inst, uint8_t *bytes, struct plat_err *err)
{
    const struct type *shape = inst_shape(inst);
    if (shape == NULL || bytes != inst->bytes)
        return err_set(err, PLAT_EINVALID, "structure cannot be sealed: no case fits, or foreign bytes");
    for (size_t i = 0; i < shape->n_fields; i++) {
        const struct field *f = &shape->fields[i];
        for (uint32_t k = 0; f->repr == REPR_TYPE && f->count_expr == NULL && k < f->count; k++) {
            struct inst nested;
            int rc = inst_nested(inst, f, k, NULL, 0, &nested, err);
            if (rc == 0)
                rc = inst_seal(&nested, bytes + (nested.bytes - inst->bytes), err);
            if (rc != 0)
                return rc;
        }
    }
    /* A sum may cover other derived fields: repeat until nothing moves, at most once per derived field. */
    for (size_t pass = 0; pass <= shape->n_fields; pass++) {
        bool changed = false;
        for (size_t i = 0; i < shape->n_fields; i++) {
            if (shape->fields[i].derive != NULL) {
                int rc = seal_field(inst, &shape->fields[i], bytes, &changed, err);
                if (rc != 0)
                    return rc;
            }
        }
        if (!changed)
            return 0;
    }
    return err_set(err, PLAT_EINVALID, "derived fields of '%s' depend on each other in a circle",
                   shape->name);
}

/* ---- what derived fields should hold ---- */

/* Numbers of a damaged image may lead anywhere: what cannot be computed is not derived, unless the device or
 * memory is at fault. */
static int harmless(int rc, const struct plat_err *why, struct plat_err *err)
{
    if (rc != PLAT_EIO && rc != PLAT_ENOMEM)
        return 0;
    if (err != NULL)
        *err = *why;
    return rc;
}

static bool applies(const struct eval *ctx, const struct expr *when)
{
    bool holds = false;
    return when == NULL || (eval_bool(ctx, when, &holds, NULL) == 0 && holds);
}

bool inst_is_derived(const struct inst *inst, const struct field *field)
{
    const struct eval ctx = {.image = inst->image, .inst = inst, .field = field};
    return field->derive != NULL && applies(&ctx, field->when);
}

int inst_derived(const struct inst *inst, const struct field *field, uint64_t index, struct derived *ret,
                 struct plat_err *err)
{
    struct eval ctx = {.image = inst->image, .inst = inst, .field = field, .index = index};
    struct value v;
    struct derived derived = {.field = field, .index = index};
    int rc = inst_value(inst, field, index, &v, err);
    if (rc == 0 && v.n > sizeof derived.bytes)
        rc = err_set(err, PLAT_EINVALID, "derived value of '%s' has more than %d bytes", field->name,
                     (int)DERIVED_MAX_BYTES);
    if (rc == 0)
        rc = derive_value(&ctx, field->derive, &v, derived.bytes, err);
    if (rc != 0)
        return rc;
    derived.place = v.place;
    derived.stale = memcmp(derived.bytes, v.bytes, v.n) != 0;
    *ret = derived;
    return 0;
}

static int each_of_field(const struct inst *inst, const struct field *field, derived_fn fn, void *ctx,
                         struct plat_err *err)
{
    uint64_t count = 1;
    struct plat_err why = {0};
    if (inst_count(inst, field, &count, &why) != 0 || field->is_array)
        return harmless(why.class, &why, err);
    struct derived derived;
    int rc = inst_derived(inst, field, 0, &derived, &why);
    if (rc != 0)
        return harmless(rc, &why, err);
    return fn(ctx, inst, &derived);
}

int inst_each_derived(const struct inst *inst, derived_fn fn, void *ctx, struct plat_err *err)
{
    struct inst shaped = *inst;
    shaped.type = inst_shape(inst);
    int rc = 0;
    for (size_t i = 0; rc == 0 && shaped.type != NULL && i < shaped.type->n_fields; i++) {
        const struct field *field = &shaped.type->fields[i];
        uint64_t count = 0;
        struct plat_err why = {0};
        if (field->repr == REPR_TYPE && inst_count(&shaped, field, &count, &why) != 0)
            return harmless(why.class, &why, err);
        for (uint64_t k = 0; rc == 0 && k < count; k++) {
            char path[512];
            struct inst nested;
            if (inst_nested(&shaped, field, k, path, sizeof path, &nested, &why) == 0)
                rc = inst_each_derived(&nested, fn, ctx, err);
        }
        if (rc == 0 && inst_is_derived(&shaped, field))
            rc = each_of_field(&shaped, field, fn, ctx, err);
    }
    return rc;
}

/* ---- across structures ---- */

static int follow_value(struct image *image, const struct follow *follow, const struct inst *inst,
                        struct follow_value *ret, struct plat_err *err)
{
    const struct eval ctx = {.image = image};
    struct ev ev, place;
    if (follow->field == NULL) {
        int rc = eval_any(&ctx, follow->is, &ev, err);
        if (rc == 0)
            rc = ev_place(&ctx, &ev, &place, err);
        if (rc == 0 && (place.bytes == NULL || place.n != inst->size_bytes || place.n > FOLLOW_MAX_BYTES))
            rc = err_set(err, PLAT_EINVALID, "'%s' does not follow from %llu bytes", follow->of,
                         (unsigned long long)place.n);
        if (rc == 0) {
            memcpy(ret->bytes, place.bytes, place.n);
            ret->place = (struct range){inst->offset, place.n};
        }
        return rc;
    }
    struct value v;
    int rc = inst_value(inst, follow->field, 0, &v, err);
    if (rc == 0 && v.n > FOLLOW_MAX_BYTES)
        rc = err_set(err, PLAT_EINVALID, "'%s' is too long to follow", follow->of);
    if (rc == 0)
        rc = derive_value(&ctx, follow->is, &v, ret->bytes, err);
    if (rc == 0)
        ret->place = v.place;
    return rc;
}

int image_follow(struct image *image, const struct follow *follow, struct follow_value *ret,
                 struct plat_err *err)
{
    const struct eval ctx = {.image = image};
    struct plat_err why = {0};
    struct map_place place;
    struct inst inst;
    struct follow_value value = {.follow = follow};
    int rc = image_map_place(image, follow->entry, &place, &why);
    if (rc != 0 || !place.present || !applies(&ctx, follow->when))
        return rc == 0 ? PLAT_ENOTFOUND : harmless(rc, &why, err) != 0 ? rc : PLAT_ENOTFOUND;
    rc = image_map_inst(image, follow->entry, follow->index, &inst, &why);
    if (rc == 0)
        rc = follow_value(image, follow, &inst, &value, &why);
    if (rc != 0)
        return harmless(rc, &why, err) != 0 ? rc : PLAT_ENOTFOUND;
    const size_t n = (size_t)value.place.bytes;
    value.stale = memcmp(value.bytes, inst.bytes + (value.place.start - inst.offset), n) != 0;
    *ret = value;
    return 0;
}
