/* Layout to C: the helper functions that checks and seals call. Only those in use are written, before the
 * code that uses them. '@' stands for a prefix of the layout's own, so that several exports fit in one
 * program.
 *
 * Numbers are those of the layout language: every result lies in [-2^63, 2^64), and what does not sets *bad,
 * which fails the rule at hand. Magnitude and sign keep this free of 128-bit arithmetic and of calls into
 * libgcc. */
#include "lib/layout/export_c.h"

#include <string.h>

struct helper {
    enum c_helper needs[3]; /* C_HELPER_COUNT: none */
    const char *text;
};
#define NONE C_HELPER_NONE

/* clang-format off */
static const struct helper helpers[C_HELPER_COUNT] = {
    [C_HELPER_NUM] = {{NONE, NONE, NONE},
        "struct @num {\n    uint64_t mag;\n    bool neg; /* never with mag 0 */\n};\n"},
    [C_HELPER_WHOLE] = {{C_HELPER_NUM, NONE, NONE},
        "static inline struct @num @whole(uint64_t mag)\n{\n    return (struct @num){mag, false};\n}\n"},
    [C_HELPER_SIGNED] = {{C_HELPER_NUM, NONE, NONE},
        "static inline struct @num @signed(int64_t value)\n{\n"
        "    return (struct @num){value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0};\n}\n"},
    [C_HELPER_MAKE] = {{C_HELPER_NUM, NONE, NONE},
        "static inline struct @num @num(uint64_t mag, bool neg, bool *bad)\n{\n"
        "    if (neg && mag > (uint64_t)1 << 63)\n        *bad = true;\n"
        "    return (struct @num){mag, neg && mag != 0};\n}\n"},
    [C_HELPER_STORED] = {{C_HELPER_NUM, NONE, NONE},
        "/* The two's complement of a result that is stored. */\n"
        "static inline uint64_t @stored(struct @num a)\n{\n    return a.neg ? 0 - a.mag : a.mag;\n}\n"},
    [C_HELPER_LESS] = {{C_HELPER_NUM, NONE, NONE},
        "static inline bool @less(struct @num a, struct @num b)\n{\n"
        "    if (a.neg != b.neg)\n        return a.neg;\n    return a.neg ? a.mag > b.mag : a.mag < b.mag;\n}\n"},
    [C_HELPER_MIN] = {{C_HELPER_LESS, NONE, NONE},
        "static inline struct @num @min(struct @num a, struct @num b)\n{\n    return @less(b, a) ? b : a;\n}\n"},
    [C_HELPER_MAX] = {{C_HELPER_LESS, NONE, NONE},
        "static inline struct @num @max(struct @num a, struct @num b)\n{\n    return @less(a, b) ? b : a;\n}\n"},
    [C_HELPER_SAME] = {{C_HELPER_NUM, NONE, NONE},
        "static inline bool @same(struct @num a, struct @num b)\n{\n    return a.mag == b.mag && a.neg == b.neg;\n}\n"},
    [C_HELPER_ADD] = {{C_HELPER_MAKE, NONE, NONE},
        "static inline struct @num @add(struct @num a, struct @num b, bool *bad)\n{\n"
        "    if (a.neg != b.neg)\n"
        "        return a.mag >= b.mag ? @num(a.mag - b.mag, a.neg, bad) : @num(b.mag - a.mag, b.neg, bad);\n"
        "    if (a.mag + b.mag < a.mag)\n        *bad = true;\n"
        "    return @num(a.mag + b.mag, a.neg, bad);\n}\n"},
    [C_HELPER_SUB] = {{C_HELPER_ADD, NONE, NONE},
        "static inline struct @num @sub(struct @num a, struct @num b, bool *bad)\n{\n"
        "    b.neg = !b.neg && b.mag != 0; /* may pass -2^63 on the way; the sum is what counts */\n"
        "    return @add(a, b, bad);\n}\n"},
    [C_HELPER_MUL] = {{C_HELPER_MAKE, NONE, NONE},
        "static inline struct @num @mul(struct @num a, struct @num b, bool *bad)\n{\n"
        "    uint64_t product;\n    if (__builtin_mul_overflow(a.mag, b.mag, &product))\n        *bad = true;\n"
        "    return @num(product, a.neg != b.neg, bad);\n}\n"},
    [C_HELPER_DIV] = {{C_HELPER_MAKE, C_HELPER_UDIV, NONE},
        "static inline struct @num @div(struct @num a, struct @num b, bool *bad)\n{\n"
        "    return @num(@udiv(a.mag, b.mag, bad), a.neg != b.neg, bad);\n}\n"},
    [C_HELPER_MOD] = {{C_HELPER_MAKE, C_HELPER_UMOD, NONE},
        "/* The sign is that of a, as in C. */\n"
        "static inline struct @num @mod(struct @num a, struct @num b, bool *bad)\n{\n"
        "    return @num(@umod(a.mag, b.mag, bad), a.neg, bad);\n}\n"},
    [C_HELPER_SHL] = {{NONE, NONE, NONE},
        "static inline uint64_t @shl(uint64_t a, uint64_t n, bool *bad)\n{\n"
        "    if (n >= 64 || a << n >> n != a) {\n        *bad = true;\n        return 0;\n    }\n"
        "    return a << n;\n}\n"},
    [C_HELPER_SHR] = {{NONE, NONE, NONE},
        "static inline uint64_t @shr(uint64_t a, uint64_t n, bool *bad)\n{\n"
        "    if (n >= 64) {\n        *bad = true;\n        return 0;\n    }\n    return a >> n;\n}\n"},
    [C_HELPER_NATURAL] = {{C_HELPER_NUM, NONE, NONE},
        "/* For operands that must not be negative. */\n"
        "static inline uint64_t @natural(struct @num a, bool *bad)\n{\n"
        "    if (a.neg)\n        *bad = true;\n    return a.mag;\n}\n"},
    [C_HELPER_SNATURAL] = {{NONE, NONE, NONE},
        "/* For operands that must not be negative. */\n"
        "static inline uint64_t @snatural(int64_t a, bool *bad)\n{\n"
        "    if (a < 0)\n        *bad = true;\n    return (uint64_t)a;\n}\n"},
    [C_HELPER_UDIV] = {{NONE, NONE, NONE},
        "/* Divides by hand: a 64-bit division would be a library call on small machines. */\n"
        "static inline uint64_t @udiv(uint64_t a, uint64_t b, bool *bad)\n{\n"
        "    uint64_t quotient = 0, rest = 0;\n"
        "    if (b == 0)\n        *bad = true;\n"
        "    else if ((a | b) >> 32 == 0)\n        return (uint32_t)a / (uint32_t)b;\n"
        "    for (unsigned k = 0; k < 64; k++) {\n"
        "        bool carry = rest >> 63 != 0;\n        rest = rest << 1 | a >> 63;\n        a <<= 1;\n"
        "        quotient <<= 1;\n        if (carry || rest >= b) {\n            rest -= b;\n            quotient |= 1;\n"
        "        }\n    }\n    return quotient;\n}\n"},
    [C_HELPER_UMOD] = {{C_HELPER_UDIV, NONE, NONE},
        "static inline uint64_t @umod(uint64_t a, uint64_t b, bool *bad)\n{\n"
        "    return a - @udiv(a, b, bad) * b;\n}\n"},
    [C_HELPER_SDIV] = {{C_HELPER_UDIV, NONE, NONE},
        "/* Rounds towards zero; b must not be negative. */\n"
        "static inline int64_t @sdiv(int64_t a, int64_t b, bool *bad)\n{\n"
        "    if (a < 0)\n        return -(int64_t)@udiv(0 - (uint64_t)a, (uint64_t)b, bad);\n"
        "    return (int64_t)@udiv((uint64_t)a, (uint64_t)b, bad);\n}\n"},
    [C_HELPER_SMOD] = {{C_HELPER_SDIV, NONE, NONE},
        "/* The sign is that of a, as in C. */\n"
        "static inline int64_t @smod(int64_t a, int64_t b, bool *bad)\n{\n"
        "    return a - @sdiv(a, b, bad) * b;\n}\n"},
    [C_HELPER_UADD] = {{NONE, NONE, NONE},
        "static inline uint64_t @uadd(uint64_t a, uint64_t b, bool *bad)\n{\n"
        "    if (a + b < a)\n        *bad = true;\n    return a + b;\n}\n"},
    [C_HELPER_UMUL] = {{NONE, NONE, NONE},
        "static inline uint64_t @umul(uint64_t a, uint64_t b, bool *bad)\n{\n"
        "    uint64_t product;\n    if (__builtin_mul_overflow(a, b, &product))\n        *bad = true;\n"
        "    return product;\n}\n"},
    [C_HELPER_UMIN] = {{NONE, NONE, NONE},
        "static inline uint64_t @umin(uint64_t a, uint64_t b)\n{\n    return a < b ? a : b;\n}\n"},
    [C_HELPER_UMAX] = {{NONE, NONE, NONE},
        "static inline uint64_t @umax(uint64_t a, uint64_t b)\n{\n    return a > b ? a : b;\n}\n"},
    [C_HELPER_ALIGN_DOWN] = {{C_HELPER_UMOD, NONE, NONE},
        "static inline uint64_t @align_down(uint64_t a, uint64_t to, bool *bad)\n{\n"
        "    return a - @umod(a, to, bad);\n}\n"},
    [C_HELPER_ALIGN_UP] = {{C_HELPER_ALIGN_DOWN, C_HELPER_UADD, NONE},
        "static inline uint64_t @align_up(uint64_t a, uint64_t to, bool *bad)\n{\n"
        "    uint64_t down = @align_down(a, to, bad);\n    return down == a ? a : @uadd(down, to, bad);\n}\n"},
    [C_HELPER_POW2] = {{NONE, NONE, NONE},
        "static inline bool @is_pow2(uint64_t a)\n{\n    return a != 0 && (a & (a - 1)) == 0;\n}\n"},
    [C_HELPER_LOG2] = {{NONE, NONE, NONE},
        "static inline uint64_t @log2(uint64_t a, bool *bad)\n{\n"
        "    if (a == 0)\n        *bad = true;\n    uint64_t n = 0;\n    while (a >>= 1)\n        n++;\n    return n;\n}\n"},
    [C_HELPER_INDEX] = {{NONE, NONE, NONE},
        "/* An index below count. */\n"
        "static inline size_t @index(uint64_t i, size_t count, bool *bad)\n{\n"
        "    if (i >= count) {\n        *bad = true;\n        return 0;\n    }\n    return (size_t)i;\n}\n"},
    [C_HELPER_BYTES] = {{NONE, NONE, NONE},
        "struct @bytes {\n    const uint8_t *p;\n    size_t n;\n};\n"},
    [C_HELPER_SLICE] = {{C_HELPER_BYTES, NONE, NONE},
        "/* n bytes of b from `start`; only the run-time engine can see those behind the structure. */\n"
        "static inline struct @bytes @slice(struct @bytes b, uint64_t start, uint64_t n, bool *beyond)\n{\n"
        "    if (start > b.n || n > b.n - start) {\n        *beyond = true;\n        return (struct @bytes){b.p, 0};\n    }\n"
        "    return (struct @bytes){b.p + start, (size_t)n};\n}\n"},
    [C_HELPER_TAIL] = {{C_HELPER_BYTES, NONE, NONE},
        "/* b from `start` on. */\n"
        "static inline struct @bytes @tail(struct @bytes b, uint64_t start, bool *bad)\n{\n"
        "    if (start > b.n) {\n        *bad = true;\n        start = b.n;\n    }\n"
        "    return (struct @bytes){b.p + start, b.n - (size_t)start};\n}\n"},
    [C_HELPER_UNTIL_NUL] = {{C_HELPER_BYTES, NONE, NONE},
        "/* The text in a field that ends at its first 00. */\n"
        "static inline struct @bytes @until_nul(struct @bytes b)\n{\n"
        "    size_t n = 0;\n    while (n < b.n && b.p[n] != 0)\n        n++;\n    return (struct @bytes){b.p, n};\n}\n"},
    [C_HELPER_TRIM] = {{C_HELPER_BYTES, NONE, NONE},
        "/* The text in a field that is padded with spaces. */\n"
        "static inline struct @bytes @trim(struct @bytes b)\n{\n"
        "    while (b.n > 0 && b.p[b.n - 1] == ' ')\n        b.n--;\n    return b;\n}\n"},
    [C_HELPER_EQUAL] = {{C_HELPER_BYTES, NONE, NONE},
        "static inline bool @equal(struct @bytes a, struct @bytes b)\n{\n"
        "    if (a.n != b.n)\n        return false;\n"
        "    for (size_t i = 0; i < a.n; i++)\n        if (a.p[i] != b.p[i])\n            return false;\n    return true;\n}\n"},
    [C_HELPER_ALL_ZERO] = {{C_HELPER_BYTES, NONE, NONE},
        "static inline bool @all_zero(struct @bytes b)\n{\n"
        "    for (size_t i = 0; i < b.n; i++)\n        if (b.p[i] != 0)\n            return false;\n    return true;\n}\n"},
    [C_HELPER_UINT] = {{C_HELPER_BYTES, NONE, NONE},
        "static inline uint64_t @uint(struct @bytes b, bool big, bool *bad)\n{\n"
        "    uint64_t value = 0;\n    if (b.n == 0 || b.n > 8) {\n        *bad = true;\n        return 0;\n    }\n"
        "    for (size_t i = 0; i < b.n; i++)\n        value |= (uint64_t)b.p[big ? b.n - 1 - i : i] << (8 * i);\n"
        "    return value;\n}\n"},
    [C_HELPER_MIRRORED] = {{NONE, NONE, NONE},
        "/* Is the little-endian number in the first n bytes also the big-endian one behind it? */\n"
        "static inline bool @mirrored(const uint8_t *p, size_t n)\n{\n"
        "    for (size_t i = 0; i < n; i++)\n        if (p[i] != p[2 * n - 1 - i])\n            return false;\n    return true;\n}\n"},
    [C_HELPER_HOLE] = {{C_HELPER_BYTES, NONE, NONE},
        "/* The bytes of b that count as zero: n of them from `start`. They must lie in b. */\n"
        "struct @hole {\n    size_t start, n;\n};\n"
        "static inline struct @hole @hole(struct @bytes b, struct @bytes zero, bool *bad)\n{\n"
        "    if (zero.n == 0)\n        return (struct @hole){0, 0};\n"
        "    if (zero.p < b.p || zero.n > b.n || (size_t)(zero.p - b.p) > b.n - zero.n) {\n"
        "        *bad = true;\n        return (struct @hole){0, 0};\n    }\n"
        "    return (struct @hole){(size_t)(zero.p - b.p), zero.n};\n}\n"},
    [C_HELPER_BYTE_AT] = {{C_HELPER_HOLE, NONE, NONE},
        "static inline uint8_t @byte_at(struct @bytes b, struct @hole hole, size_t i)\n{\n"
        "    return i - hole.start < hole.n ? 0 : b.p[i];\n}\n"},
    [C_HELPER_CRC32] = {{C_HELPER_BYTE_AT, NONE, NONE},
        "static inline uint32_t @crc32(struct @bytes b, struct @bytes zero, bool *bad)\n{\n"
        "    const struct @hole hole = @hole(b, zero, bad);\n"
        "    static const uint32_t nibble[16] = {\n"
        "        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,\n"
        "        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};\n"
        "    uint32_t crc = 0xffffffffu;\n    for (size_t i = 0; i < b.n; i++) {\n"
        "        crc ^= @byte_at(b, hole, i);\n        crc = crc >> 4 ^ nibble[crc & 15];\n"
        "        crc = crc >> 4 ^ nibble[crc & 15];\n    }\n    return ~crc;\n}\n"},
    [C_HELPER_CRC32C] = {{C_HELPER_BYTE_AT, NONE, NONE},
        "static inline uint32_t @crc32c(struct @bytes b, struct @bytes zero, bool *bad)\n{\n"
        "    const struct @hole hole = @hole(b, zero, bad);\n"
        "    static const uint32_t nibble[16] = {\n"
        "        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,\n"
        "        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};\n"
        "    uint32_t crc = 0xffffffffu;\n    for (size_t i = 0; i < b.n; i++) {\n"
        "        crc ^= @byte_at(b, hole, i);\n        crc = crc >> 4 ^ nibble[crc & 15];\n"
        "        crc = crc >> 4 ^ nibble[crc & 15];\n    }\n    return ~crc;\n}\n"},
    [C_HELPER_ADLER32] = {{C_HELPER_BYTE_AT, NONE, NONE},
        "static inline uint32_t @adler32(struct @bytes b, struct @bytes zero, bool *bad)\n{\n"
        "    const struct @hole hole = @hole(b, zero, bad);\n"
        "    uint32_t low = 1, high = 0;\n    for (size_t i = 0; i < b.n; i++) {\n"
        "        low = (low + @byte_at(b, hole, i)) % 65521;\n        high = (high + low) % 65521;\n    }\n"
        "    return high << 16 | low;\n}\n"},
    [C_HELPER_SUM8ROR] = {{C_HELPER_BYTE_AT, NONE, NONE},
        "static inline uint8_t @sum8ror(struct @bytes b, struct @bytes zero, bool *bad)\n{\n"
        "    const struct @hole hole = @hole(b, zero, bad);\n"
        "    uint8_t sum = 0;\n    for (size_t i = 0; i < b.n; i++)\n"
        "        sum = (uint8_t)((sum << 7 | sum >> 1) + @byte_at(b, hole, i));\n    return sum;\n}\n"},
    [C_HELPER_XXH64] = {{C_HELPER_BYTE_AT, NONE, NONE},
        "static inline uint64_t @xxh64_rotl(uint64_t v, unsigned n)\n{\n    return v << n | v >> (64 - n);\n}\n"
        "static inline uint64_t @xxh64_load(struct @bytes b, struct @hole hole, size_t at, unsigned n)\n{\n"
        "    uint64_t v = 0;\n    for (unsigned i = 0; i < n; i++)\n"
        "        v |= (uint64_t)@byte_at(b, hole, at + i) << (8 * i);\n    return v;\n}\n"
        "static inline uint64_t @xxh64_round(uint64_t acc, uint64_t lane)\n{\n"
        "    return @xxh64_rotl(acc + lane * 0xc2b2ae3d27d4eb4fu, 31) * 0x9e3779b185ebca87u;\n}\n"
        "static inline uint64_t @xxh64_zero(struct @bytes b, struct @bytes zero, bool *bad)\n{\n"
        "    const struct @hole hole = @hole(b, zero, bad);\n"
        "    const uint64_t p1 = 0x9e3779b185ebca87u, p2 = 0xc2b2ae3d27d4eb4fu, p3 = 0x165667b19e3779f9u;\n"
        "    const uint64_t p4 = 0x85ebca77c2b2ae63u, p5 = 0x27d4eb2f165667c5u;\n"
        "    uint64_t acc[4] = {p1 + p2, p2, 0, 0 - p1};\n    uint64_t h = p5;\n    size_t at = 0;\n"
        "    for (; b.n - at >= 32; at += 32)\n        for (unsigned i = 0; i < 4; i++)\n"
        "            acc[i] = @xxh64_round(acc[i], @xxh64_load(b, hole, at + 8 * i, 8));\n"
        "    if (b.n >= 32) {\n"
        "        h = @xxh64_rotl(acc[0], 1) + @xxh64_rotl(acc[1], 7) + @xxh64_rotl(acc[2], 12) + @xxh64_rotl(acc[3], 18);\n"
        "        for (unsigned i = 0; i < 4; i++)\n            h = (h ^ @xxh64_round(0, acc[i])) * p1 + p4;\n    }\n"
        "    h += b.n;\n"
        "    for (; b.n - at >= 8; at += 8)\n"
        "        h = @xxh64_rotl(h ^ @xxh64_round(0, @xxh64_load(b, hole, at, 8)), 27) * p1 + p4;\n"
        "    for (; b.n - at >= 4; at += 4)\n"
        "        h = @xxh64_rotl(h ^ @xxh64_load(b, hole, at, 4) * p1, 23) * p2 + p3;\n"
        "    for (; at < b.n; at++)\n        h = @xxh64_rotl(h ^ @byte_at(b, hole, at) * p5, 11) * p1;\n"
        "    h = (h ^ h >> 33) * p2;\n    h = (h ^ h >> 29) * p3;\n    return h ^ h >> 32;\n}\n"},
    [C_HELPER_XXH64_LIB] = {{C_HELPER_BYTES, NONE, NONE},
        "static inline uint64_t @xxh64(struct @bytes b)\n{\n    return hash_xxh64(b.p, b.n);\n}\n"},
    [C_HELPER_SHA256_LIB] = {{C_HELPER_BYTES, NONE, NONE},
        "static inline struct @bytes @sha256(struct @bytes b, uint8_t digest[32])\n{\n"
        "    hash_sha256(b.p, b.n, digest);\n    return (struct @bytes){digest, 32};\n}\n"},
    [C_HELPER_SHA256] = {{C_HELPER_BYTE_AT, NONE, NONE},
        "static inline uint32_t @sha256_rotr(uint32_t v, unsigned n)\n{\n    return v >> n | v << (32 - n);\n}\n"
        "/* Byte i of the padded message of `blocks` blocks. */\n"
        "static inline uint8_t @sha256_byte(struct @bytes b, struct @hole hole, size_t blocks, size_t i)\n{\n"
        "    size_t back = blocks * 64 - 1 - i;\n"
        "    if (i < b.n)\n        return @byte_at(b, hole, i);\n    if (i == b.n)\n        return 0x80;\n"
        "    return back < 8 ? (uint8_t)((uint64_t)b.n * 8 >> (8 * back)) : 0;\n}\n"
        "static inline struct @bytes @sha256_zero(struct @bytes b, struct @bytes zero, uint8_t digest[32], bool *bad)\n{\n"
        "    const struct @hole hole = @hole(b, zero, bad);\n"
        "    static const uint32_t k[64] = {\n"
        "        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,\n"
        "        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,\n"
        "        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,\n"
        "        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,\n"
        "        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,\n"
        "        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,\n"
        "        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,\n"
        "        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};\n"
        "    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,\n"
        "                     0x5be0cd19};\n"
        "    size_t blocks = (b.n + 8) / 64 + 1;\n"
        "    for (size_t block = 0; block < blocks; block++) {\n"
        "        uint32_t w[64], s[8];\n"
        "        for (size_t i = 0; i < 16; i++) {\n            w[i] = 0;\n"
        "            for (size_t j = 0; j < 4; j++)\n"
        "                w[i] = w[i] << 8 | @sha256_byte(b, hole, blocks, block * 64 + i * 4 + j);\n        }\n"
        "        for (size_t i = 16; i < 64; i++) {\n"
        "            uint32_t x = w[i - 15], y = w[i - 2];\n"
        "            w[i] = w[i - 16] + w[i - 7] + (@sha256_rotr(x, 7) ^ @sha256_rotr(x, 18) ^ x >> 3) +\n"
        "                   (@sha256_rotr(y, 17) ^ @sha256_rotr(y, 19) ^ y >> 10);\n        }\n"
        "        for (size_t i = 0; i < 8; i++)\n            s[i] = h[i];\n"
        "        for (size_t i = 0; i < 64; i++) {\n"
        "            uint32_t e = @sha256_rotr(s[4], 6) ^ @sha256_rotr(s[4], 11) ^ @sha256_rotr(s[4], 25);\n"
        "            uint32_t a = @sha256_rotr(s[0], 2) ^ @sha256_rotr(s[0], 13) ^ @sha256_rotr(s[0], 22);\n"
        "            uint32_t t1 = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];\n"
        "            uint32_t t2 = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));\n"
        "            for (size_t j = 7; j > 0; j--)\n                s[j] = s[j - 1];\n"
        "            s[4] += t1;\n            s[0] = t1 + t2;\n        }\n"
        "        for (size_t i = 0; i < 8; i++)\n            h[i] += s[i];\n    }\n"
        "    for (size_t i = 0; i < 32; i++)\n"
        "        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));\n"
        "    return (struct @bytes){digest, 32};\n}\n"},
};

/* Inside plat the hashes are those of lib/hash: bytes that count as zero split the run in three. */
static const char running_text[] =
    "static inline $type @$name(struct @bytes b, struct @bytes zero, bool *bad)\n{\n"
    "    static const uint8_t zeros[64] = {0};\n    const struct @hole hole = @hole(b, zero, bad);\n"
    "    $type sum = hash_$name(0, b.p, hole.start);\n"
    "    for (size_t left = hole.n; left > 0;) {\n"
    "        size_t n = left < sizeof zeros ? left : sizeof zeros;\n"
    "        sum = hash_$name(sum, zeros, n);\n        left -= n;\n    }\n"
    "    size_t behind = hole.start + hole.n;\n"
    "    return hash_$name(sum, b.p + behind, b.n - behind);\n}\n";
/* Nor is division a concern there. */
static const char native_divide_text[] =
    "static inline uint64_t @udiv(uint64_t a, uint64_t b, bool *bad)\n{\n"
    "    if (b == 0) {\n        *bad = true;\n        return 0;\n    }\n    return a / b;\n}\n";
static const struct tree_hash {
    enum c_helper helper;
    const char *name, *type;
} tree_hashes[] = {
    {C_HELPER_CRC32, "crc32", "uint32_t"},
    {C_HELPER_CRC32C, "crc32c", "uint32_t"},
    {C_HELPER_ADLER32, "adler32", "uint32_t"},
    {C_HELPER_SUM8ROR, "sum8ror", "uint8_t"},
};
/* clang-format on */

static void put_text(struct c_gen *g, struct strbuf *out, const char *text, const struct tree_hash *hash)
{
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == '@') {
            strbuf_printf(out, "priv_%s_", g->layout->name);
        } else if (*s == '$') {
            bool is_name = strncmp(s + 1, "name", 4) == 0;
            strbuf_puts(out, is_name ? hash->name : hash->type);
            s += 4;
        } else {
            strbuf_putc(out, *s);
        }
    }
}

static void emit(struct c_gen *g, struct strbuf *out, enum c_helper helper, uint64_t *done)
{
    uint64_t bit = (uint64_t)1 << helper;
    if ((*done & bit) != 0)
        return;
    *done |= bit;
    for (size_t i = 0; g->what == EXPORT_SOURCE && i < sizeof tree_hashes / sizeof tree_hashes[0]; i++) {
        if (tree_hashes[i].helper != helper)
            continue;
        emit(g, out, C_HELPER_HOLE, done);
        strbuf_putc(out, '\n');
        put_text(g, out, running_text, &tree_hashes[i]);
        return;
    }
    for (size_t i = 0; i < sizeof helpers[helper].needs / sizeof helpers[helper].needs[0]; i++)
        if (helpers[helper].needs[i] != C_HELPER_COUNT)
            emit(g, out, helpers[helper].needs[i], done);
    strbuf_putc(out, '\n');
    bool native = helper == C_HELPER_UDIV && g->what != EXPORT_FREESTANDING;
    put_text(g, out, native ? native_divide_text : helpers[helper].text, NULL);
}

/* Expressions are compiled before it is known whether all of their rule can be: what counts is the text.
 * Every other helper needs its types itself. */
static bool is_used(struct c_gen *g, enum c_helper helper)
{
    if (g->helpers[helper] == NULL)
        return false;
    const char *call = c_text(g, helper == C_HELPER_BYTES ? "struct priv_%s_%s" : "priv_%s_%s(",
                              g->layout->name, g->helpers[helper]);
    return strstr(strbuf_str(&g->body), call) != NULL;
}

void c_emit_helpers(struct c_gen *g, struct strbuf *out)
{
    uint64_t done = 0;
    for (int i = 0; i < C_HELPER_COUNT; i++)
        if (is_used(g, (enum c_helper)i))
            emit(g, out, (enum c_helper)i, &done);
}
