/* Bytes and field values for the agreement tests, from a generator with a fixed start. */
#ifndef PLAT_TESTS_AGREE_FILL_H
#define PLAT_TESTS_AGREE_FILL_H

#include "lib/base/bytes.h"
#include "lib/layout/layout.h"

static inline uint64_t agree_random(void)
{
    static uint64_t state;
    state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline void agree_scramble(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)agree_random();
}

/* A number that a field might hold: small, named, a constant of its neighbourhood, or anything. */
static inline uint64_t agree_plausible(const struct field *f)
{
    const struct type *t = f->type;
    switch (agree_random() % 6) {
    case 0:
        return agree_random() % 4;
    case 1:
        return (uint64_t)1 << agree_random() % 16;
    case 2:
        return agree_random() % 700;
    case 3:
        if (t != NULL && t->n_values > 0)
            return t->values[agree_random() % t->n_values].value;
        return f->preset.set && f->preset.is_number ? f->preset.number : agree_random() % 100;
    case 4:
        return f->preset.set && f->preset.is_number ? f->preset.number : 0 - agree_random() % 100;
    default:
        return agree_random();
    }
}

/* A GUID that has a name, or one bit beside it. */
static inline void agree_some_id(const struct type *type, bool beside, uint8_t ret[LAYOUT_ID_BYTES])
{
    memcpy(ret, type->values[agree_random() % type->n_values].id, LAYOUT_ID_BYTES);
    if (beside)
        ret[agree_random() % LAYOUT_ID_BYTES] ^= (uint8_t)(1u << agree_random() % 8);
}

/* Gives about `density` of 8 fields a value of its own; the others keep the fresh one. */
static inline void agree_fill(const struct type *type, uint8_t *p, unsigned density)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *f = &type->fields[i];
        uint64_t pick = agree_random() % 8;
        if (f->constant.set || pick >= density)
            continue;
        for (uint32_t k = 0; k < f->count; k++) {
            unsigned w = f->width_bytes;
            uint8_t *at = p + f->offset_bytes + k * w * (f->repr == REPR_BOTH ? 2u : 1u);
            if (f->repr == REPR_TYPE && f->type->kind == TYPE_STRUCT)
                agree_fill(f->type, at, density);
            else if (f->repr == REPR_UINT || f->repr == REPR_SINT)
                store_uint(at, w, f->big_endian, agree_plausible(f));
            else if (type_names_ids(f->type) && pick < 6)
                agree_some_id(f->type, pick == 5, at);
            else if (f->radix != 0 && pick < 6)
                (void)field_format_digits(f, agree_random() % 5000, at, f->size_bytes);
            else if (f->repr == REPR_CHARS && pick < 4)
                *at = (uint8_t)('A' + agree_random() % 4);
            else if (f->repr == REPR_BOTH) {
                uint64_t n = agree_plausible(f);
                store_uint(at, w, false, n);
                store_uint(at + w, w, true, n);
            }
        }
    }
}

#endif
