/* Writing instances: fresh ones, single fields from text, and derived fields. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/layout/eval.h"

static void store_int(const struct field *field, uint8_t *p, uint64_t number)
{
    if (field->bit_width != 0) {
        uint64_t mask = field->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << field->bit_width) - 1;
        uint64_t base = load_uint(p, field->width_bytes, field->big_endian) & ~(mask << field->bit_shift);
        number = base | (number & mask) << field->bit_shift;
    }
    if (field->repr == REPR_BOTH) {
        store_uint(p, field->width_bytes, false, number);
        store_uint(p + field->width_bytes, field->width_bytes, true, number);
    } else {
        store_uint(p, field->width_bytes, field->big_endian, number);
    }
}

/* Text or bytes into a field of n bytes, with the field's padding. */
static bool store_text(const struct field *field, uint8_t *p, size_t n, const uint8_t *text,
                       size_t text_bytes)
{
    if (field->repr == REPR_UTF16) {
        if (text_bytes > n / 2)
            return false;
        for (size_t i = 0; i < n / 2; i++)
            store_uint(p + 2 * i, 2, field->big_endian, i < text_bytes ? text[i] : 0);
        return true;
    }
    if (text_bytes > n)
        return false;
    memcpy(p, text, text_bytes);
    memset(p + text_bytes, field->repr == REPR_CHARS && field->pad == PAD_SPACE ? ' ' : 0, n - text_bytes);
    return true;
}

static void store_const(const struct field *field, uint8_t *p, const struct const_value *c)
{
    size_t one = field->width_bytes * (field->repr == REPR_BOTH ? 2u : 1u);
    if (!c->is_number) {
        for (uint32_t i = 0; i < (field->is_array ? field->count : 1); i++)
            (void)store_text(field, p + i * one, field->is_array ? one : field->size_bytes, c->bytes, c->n);
        return;
    }
    for (uint32_t i = 0; i < field->count; i++)
        store_int(field, p + i * one, c->number);
}

static void init_bits(const struct field *field, uint8_t *p)
{
    for (size_t i = 0; i < field->type->n_fields; i++) {
        const struct field *f = &field->type->fields[i];
        const struct const_value *c = f->constant.set ? &f->constant : &f->preset;
        if (c->set)
            store_int(f, p, c->number);
    }
}

int inst_init(const struct type *type, uint8_t *bytes, size_t n, struct plat_err *err)
{
    if (type->kind != TYPE_STRUCT || type->size_bytes == 0 || n < type->size_bytes)
        return err_set(err, PLAT_EINVALID, "'%s' is not a struct of fixed size that fits %zu bytes",
                       type->name, n);
    memset(bytes, 0, type->size_bytes);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        const struct const_value *c = f->constant.set ? &f->constant : &f->preset;
        if (c->set) {
            store_const(f, bytes + f->offset_bytes, c);
        } else if (f->radix != 0) {
            (void)field_format_digits(f, 0, bytes + f->offset_bytes, f->size_bytes);
        } else if (f->repr == REPR_CHARS && f->pad == PAD_SPACE) {
            memset(bytes + f->offset_bytes, ' ', f->size_bytes);
        } else if (f->type != NULL && f->type->kind == TYPE_BITS && !f->is_array) {
            init_bits(f, bytes + f->offset_bytes);
        } else if (f->repr == REPR_TYPE && f->type != NULL && f->type->kind == TYPE_STRUCT) {
            for (uint32_t k = 0; k < f->count; k++) {
                int rc =
                    inst_init(f->type, bytes + f->offset_bytes + k * f->width_bytes, f->width_bytes, err);
                if (rc != 0)
                    return rc;
            }
        }
    }
    return 0;
}

/* "3", "0x3 (a|b)", "esp": up to the first space, or the name of an enum value. */
static int parse_number(const struct field *field, const char *text, uint64_t *ret, struct plat_err *err)
{
    char word[64];
    size_t n = strcspn(text, " ");
    if (n == 0 || n >= sizeof word)
        return err_set(err, PLAT_EINVALID, "'%.80s' is not a value for '%s'", text, field->name);
    memcpy(word, text, n);
    word[n] = '\0';
    for (size_t i = 0; field->type != NULL && i < field->type->n_values; i++) {
        if (strcmp(field->type->values[i].name, word) == 0) {
            *ret = field->type->values[i].value;
            return 0;
        }
    }
    bool negative = word[0] == '-' && field->repr == REPR_SINT;
    uint64_t number;
    int rc = parse_u64(word + negative, &number, err);
    if (rc != 0)
        return err_prefix(err, "%s", field->name);
    unsigned bits = field->radix != 0       ? 64
                    : field->bit_width != 0 ? field->bit_width
                                            : 8 * field->width_bytes;
    uint64_t limit = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    if (field->repr == REPR_SINT)
        limit = (limit >> 1) + negative;
    if (number > limit)
        return err_set(err, PLAT_EINVALID, "%s does not fit '%s' (%u bits)", word, field->name, bits);
    *ret = negative ? 0 - number : number;
    return 0;
}

static int set_text(const struct field *field, const char *text, uint8_t *p, size_t n, struct plat_err *err)
{
    size_t length = strlen(text);
    if (length >= 2 && text[0] == '\'' && text[length - 1] == '\'') {
        text++;
        length -= 2;
    }
    if (field->repr == REPR_BYTES) {
        size_t used = 0;
        for (size_t i = 0; i < length; i++) {
            if (text[i] == ' ')
                continue;
            char pair[3] = {text[i], i + 1 < length ? text[i + 1] : '\0', '\0'};
            if (used == n || strspn(pair, "0123456789abcdefABCDEF") != 2)
                return err_set(err, PLAT_EINVALID, "'%s' takes %zu bytes as pairs of hexadecimal digits",
                               field->name, n);
            p[used++] = (uint8_t)strtoul(pair, NULL, 16);
            i++;
        }
        memset(p + used, 0, n - used);
        return 0;
    }
    if (!store_text(field, p, n, (const uint8_t *)text, length))
        return err_set(err, PLAT_EINVALID, "text of %zu bytes does not fit '%s' (%zu)", length, field->name,
                       n);
    return 0;
}

int inst_set(const struct inst *inst, const struct field *field, uint64_t index, const char *text,
             uint8_t *bytes, struct plat_err *err)
{
    struct value v;
    int rc = inst_value(inst, field, index, &v, err);
    if (rc != 0)
        return rc;
    uint8_t *p = bytes + (v.bytes - inst->bytes);
    uint64_t number = 0;
    if (field->radix != 0) {
        rc = parse_number(field, text, &number, err);
        return rc != 0 || field_format_digits(field, number, p, v.n)
                   ? rc
                   : err_set(err, PLAT_EINVALID, "%s does not fit the %zu digits of '%s'", text, v.n,
                             field->name);
    }
    switch (field->repr) {
    case REPR_CHARS:
    case REPR_UTF16:
    case REPR_BYTES:
        return set_text(field, text, p, v.n, err);
    case REPR_GUID:
    case REPR_UUID:
        /* Up to the first space: behind it stands a name, as value_text prints it. */
        if (!field_parse_id(field, text, strcspn(text, " "), p))
            return err_set(err, PLAT_EINVALID,
                           "'%.80s' is not a GUID such as c12a7328-f81f-11d2-ba4b-00a0c93ec93b", text);
        return 0;
    default:
        rc = parse_number(field, text, &number, err);
        if (rc == 0)
            store_int(field, p, number);
        return rc;
    }
}

static int seal_field(const struct inst *inst, const struct field *field, uint8_t *bytes, bool *changed,
                      struct plat_err *err)
{
    struct eval ctx = {.image = inst->image, .inst = inst, .field = field};
    struct value v;
    struct ev ev, place;
    int rc = inst_value(inst, field, 0, &v, err);
    if (rc != 0)
        return rc;
    uint8_t *p = bytes + (v.bytes - inst->bytes);
    uint8_t before[64];
    if (!v.is_number && field->radix == 0) {
        if (eval_any(&ctx, field->derive, &ev, err) != 0 || ev_place(&ctx, &ev, &place, err) != 0)
            return err_prefix(err, "%s", field->name);
        if (place.bytes == NULL || place.n != v.n)
            return err_set(err, PLAT_EINVALID, "derived value of '%s' has %llu bytes, not %zu", field->name,
                           (unsigned long long)place.n, v.n);
        *changed = *changed || memcmp(p, place.bytes, v.n) != 0;
        memmove(p, place.bytes, v.n);
        return 0;
    }
    expr_num n;
    if (eval_num(&ctx, field->derive, &n, err) != 0)
        return err_prefix(err, "%s", field->name);
    unsigned bits = field->radix != 0 ? 64 : 8 * field->width_bytes;
    expr_num top = ((expr_num)1 << bits) - 1;
    if (field->repr == REPR_SINT ? n < -(top >> 1) - 1 || n > top >> 1 : n < 0 || n > top)
        return err_set(err, PLAT_EINVALID, "derived value of '%s' does not fit %u bits", field->name, bits);
    memcpy(before, p, v.n);
    if (field->radix == 0)
        store_int(field, p, (uint64_t)n);
    else if (!field_format_digits(field, (uint64_t)n, p, v.n))
        return err_set(err, PLAT_EINVALID, "derived value of '%s' does not fit its %zu digits", field->name,
                       v.n);
    *changed = *changed || memcmp(before, p, v.n) != 0;
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
