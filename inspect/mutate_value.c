/* Wrong values for a field: borders of its numbers, its neighbours, names it has and has not, text that is none. */
#include <string.h>

#include "inspect/mutate.h"

/* splitmix64: short, and the same on every machine. */
uint64_t mutate_random(struct mutate *mutate, uint64_t below)
{
    uint64_t z = mutate->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return below == 0 ? z : z % below;
}

const char *mutate_kind_name(enum mutate_kind kind)
{
    static const char *const names[] = {[MUTATE_FIELD] = "field",
                                        [MUTATE_MIRROR] = "mirror",
                                        [MUTATE_SWAP] = "swap",
                                        [MUTATE_EXTENT] = "extent"};
    return names[kind];
}

static uint64_t mask_of(unsigned bits)
{
    return bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

/* A number of so many bits. `other` is another one's, `index` that of its structure: a link to itself. */
static const char *wrong_number(struct mutate *mutate, unsigned bits, uint64_t now, const uint64_t *other,
                                uint64_t index, uint64_t *ret)
{
    const uint64_t max = mask_of(bits);
    switch (mutate_random(mutate, 10)) {
    case 0:
        *ret = 0;
        return "zero";
    case 1:
        *ret = 1;
        return "one";
    case 2:
        *ret = max;
        return "max";
    case 3:
        *ret = max - 1;
        return "max-1";
    case 4:
        *ret = now ^ (uint64_t)1 << (bits - 1);
        return "sign";
    case 5:
        *ret = (now + 1) & max;
        return "plus-1";
    case 6:
        *ret = (now - 1) & max;
        return "minus-1";
    case 7:
        *ret = now ^ (uint64_t)1 << mutate_random(mutate, bits);
        return "bit";
    case 8:
        *ret = index & max;
        return "own-index";
    default:
        if (other == NULL)
            return NULL;
        *ret = *other & max;
        return "another's";
    }
}

/* A name that it has and is not this, or a number without one. */
static const char *wrong_enum(struct mutate *mutate, const struct type *type, unsigned bits, uint64_t *ret)
{
    if (type->n_values > 0 && mutate_random(mutate, 3) != 0) {
        *ret = type->values[mutate_random(mutate, type->n_values)].value & mask_of(bits);
        return "another-name";
    }
    *ret = mutate_random(mutate, 0) & mask_of(bits);
    return type_value(type, *ret) == NULL ? "no-name" : NULL;
}

static const char *wrong_flags(struct mutate *mutate, const struct type *type, unsigned bits, uint64_t now,
                               uint64_t *ret)
{
    const uint64_t bit = (uint64_t)1 << mutate_random(mutate, bits);
    uint64_t known = 0;
    for (size_t i = 0; i < type->n_values; i++)
        known |= type->values[i].value;
    *ret = now ^ bit;
    return (known & bit) != 0 ? "flag" : "no-flag";
}

static const char *wrong_integer(struct mutate *mutate, const struct field *field, unsigned bits,
                                 uint64_t now, const uint64_t *other, uint64_t index, uint64_t *ret);

/* One member of a bit field; the others stay. */
static const char *wrong_member(struct mutate *mutate, const struct type *type, uint64_t now,
                                const uint64_t *other, uint64_t index, uint64_t *ret)
{
    if (type->n_fields == 0)
        return NULL;
    const struct field *member = &type->fields[mutate_random(mutate, type->n_fields)];
    const uint64_t mask = mask_of(member->bit_width);
    uint64_t others = other != NULL ? *other >> member->bit_shift & mask : 0, value = 0;
    const char *what = wrong_integer(mutate, member, member->bit_width, now >> member->bit_shift & mask,
                                     other != NULL ? &others : NULL, index, &value);
    *ret = (now & ~(mask << member->bit_shift)) | (value & mask) << member->bit_shift;
    return what;
}

static const char *wrong_integer(struct mutate *mutate, const struct field *field, unsigned bits,
                                 uint64_t now, const uint64_t *other, uint64_t index, uint64_t *ret)
{
    const struct type *type = field->type;
    const bool plain = type == NULL || mutate_random(mutate, 3) == 0;
    if (type != NULL && type->kind == TYPE_BITS)
        return wrong_member(mutate, type, now, other, index, ret);
    if (!plain && type->kind == TYPE_ENUM)
        return wrong_enum(mutate, type, bits, ret);
    if (!plain && type->kind == TYPE_FLAGS)
        return wrong_flags(mutate, type, bits, now, ret);
    return wrong_number(mutate, bits, now, other, index, ret);
}

static const char *wrong_bytes(struct mutate *mutate, const struct field *field, const uint8_t *old,
                               const uint8_t *other, size_t n, uint8_t *ret)
{
    const size_t at = (size_t)mutate_random(mutate, n);
    const struct type *type = field->type;
    memcpy(ret, old, n);
    switch (mutate_random(mutate, type_names_ids(type) ? 7 : 6)) {
    case 0:
        memset(ret, 0, n);
        return "zero";
    case 1:
        memset(ret, 0xff, n);
        return "ones";
    case 2:
        ret[at] ^= (uint8_t)(1u << mutate_random(mutate, 8));
        return "bit";
    case 3:
        ret[at] = '/';
        return "slash";
    case 4:
        ret[at] = 0;
        return "zero-byte";
    case 5:
        if (other == NULL)
            return NULL;
        memcpy(ret, other, n);
        return "another's";
    default: {
        const struct enum_value *value = &type->values[mutate_random(mutate, type->n_values)];
        if (value->id == NULL || n != LAYOUT_ID_BYTES)
            return NULL;
        memcpy(ret, value->id, n);
        return "another-name";
    }
    }
}

const char *mutate_value(struct mutate *mutate, const struct field *field, const uint8_t *old,
                         const uint8_t *other, size_t n, uint64_t index, uint8_t *ret)
{
    const bool both = field->repr == REPR_BOTH;
    const unsigned width = field->width_bytes;
    if ((field->repr != REPR_UINT && field->repr != REPR_SINT && !both) || width == 0 || width > 8 ||
        n != (both ? 2 : 1) * (size_t)width)
        return wrong_bytes(mutate, field, old, other, n, ret);
    const bool big = !both && field->big_endian;
    const uint64_t others = other != NULL ? load_uint(other, width, big) : 0;
    uint64_t value = 0;
    const char *what = wrong_integer(mutate, field, 8 * width, load_uint(old, width, big),
                                     other != NULL ? &others : NULL, index, &value);
    memcpy(ret, old, n);
    store_uint(ret, width, big, value);
    /* The two copies are changed together, or one of them is. */
    if (both && what != NULL && mutate_random(mutate, 2) == 0)
        store_uint(ret + width, width, true, value);
    return what;
}
