/* Writing instances: fresh ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/layout/eval.h"

void field_store(const struct field *field, uint8_t *p, uint64_t number)
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
        field_store(field, p + i * one, c->number);
}

static void init_bits(const struct field *field, uint8_t *p)
{
    for (size_t i = 0; i < field->type->n_fields; i++) {
        const struct field *f = &field->type->fields[i];
        const struct const_value *c = f->constant.set ? &f->constant : &f->preset;
        if (c->set)
            field_store(f, p, c->number);
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
