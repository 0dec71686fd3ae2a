/* Bytes with bounds, and integers of any width in either byte order.
 * No function here reads outside what it was given; loads and stores compile to single moves. */
#ifndef PLAT_LIB_BASE_BYTES_H
#define PLAT_LIB_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A part of a device, in bytes. Passed whole so that offset and length cannot be swapped. */
struct range {
    uint64_t start;
    uint64_t bytes;
};

static inline uint16_t load_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}
static inline uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t load_le64(const uint8_t *p)
{
    return (uint64_t)load_le32(p) | (uint64_t)load_le32(p + 4) << 32;
}
static inline void store_le16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void store_le32(uint8_t *p, uint32_t v)
{
    store_le16(p, (uint16_t)v);
    store_le16(p + 2, (uint16_t)(v >> 16));
}
static inline void store_le64(uint8_t *p, uint64_t v)
{
    store_le32(p, (uint32_t)v);
    store_le32(p + 4, (uint32_t)(v >> 32));
}
/* 1 to 8 bytes, zero-extended. */
static inline uint64_t load_uint(const uint8_t *p, unsigned width, bool big_endian)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < width; i++)
        v |= (uint64_t)p[big_endian ? width - 1 - i : i] << (8 * i);
    return v;
}
static inline void store_uint(uint8_t *p, unsigned width, bool big_endian, uint64_t v)
{
    for (unsigned i = 0; i < width; i++)
        p[big_endian ? width - 1 - i : i] = (uint8_t)(v >> (8 * i));
}
/* The two's complement number of that many bytes (1 to 8), in 64 bits. */
static inline uint64_t sign_extend_u64(uint64_t v, unsigned width)
{
    bool negative = width > 0 && width < 8 && v >> (8 * width - 1) != 0;
    return negative ? v | UINT64_MAX << (8 * width) : v;
}
static inline bool bytes_all(const uint8_t *p, size_t n, uint8_t value)
{
    return n == 0 || (p[0] == value && memcmp(p, p + 1, n - 1) == 0);
}

/* Checked arithmetic: true and *ret set when the result fits; false and *ret untouched otherwise. */
static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}
static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}
/* Up to a multiple of `to` (not 0). */
static inline bool align_up_u64(uint64_t value, uint64_t to, uint64_t *ret)
{
    uint64_t rest = value % to;
    return add_u64(value, rest == 0 ? 0 : to - rest, ret);
}
static inline uint64_t align_down_u64(uint64_t value, uint64_t to)
{
    return value - value % to;
}
static inline uint64_t div_up_u64(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}
static inline bool is_pow2_u64(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}
/* [a] lies wholly within `size_bytes`. */
static inline bool range_within(struct range a, uint64_t size_bytes)
{
    return a.start <= size_bytes && a.bytes <= size_bytes - a.start;
}

#endif
