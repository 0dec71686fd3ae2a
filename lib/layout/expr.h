/* Expressions of the layout language: parsed once, evaluated many times, in bounded time.
 *
 * Functions (x: a field, struct or map instance; b: a byte string; n: a number):
 *   offset(x) size(x)          byte offset in the image, size in bytes
 *   count(m)                   elements of map array m
 *   bytes(x) bytes(x, s, n)    bytes of x, or n of them from s (may reach past x, not past its buffer's end)
 *   bytes_at(off, n)           bytes of the image
 *   text_at(off)               bytes of the image up to the first 0 (at most 4096; none there: an error)
 *   bytes_le(n, w) bytes_be(n, w)   w bytes (1 to 8) that hold the number
 *   crc16(b) crc32(b) crc32c(b) adler32(b) xxh64(b) sum8ror(b)   numbers. sum8ror: rotate right, add (FAT long names).
 *                              crc16, crc32, crc32c (b, n): go on from n, the sum of what comes before b
 *   sha256(b)                  byte string
 *     ... with a last argument "zero: f": the bytes of field f count as zero
 *   all_zero(b) len(b) uint_le(b) uint_be(b)
 *   min(a, b) max(a, b) align_up(n, to) align_down(n, to) is_pow2(n) log2(n)
 *   present(m)                 whether a map entry's `when` holds (true when it has none)
 * ~n is 2^64-1-n, for n >= 0. & ^ | << >> take no negative numbers; a shift is by 0 to 63. && || and ?: do not
 * evaluate what they do not need. Any error makes the whole expression an error (a rule is then not satisfied).
 * Text compares with == and != against char, utf16, guid (text form), enum (value name) and byte strings. */
#ifndef PLAT_LIB_LAYOUT_EXPR_H
#define PLAT_LIB_LAYOUT_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/text.h"

enum { EXPR_MAX_TEXT_BYTES = 1024, EXPR_MAX_DEPTH = 64, EXPR_MAX_NODES = 512, EXPR_MAX_ARGS = 4 };

/* Wide enough for both u64 and s64; every result is checked to lie in [-2^63, 2^64). */
typedef __int128 expr_num;

enum expr_op {
    EXPR_NUM,    /* num */
    EXPR_TEXT,   /* text, text_bytes */
    EXPR_NAME,   /* text: an identifier */
    EXPR_MEMBER, /* arg[0] . text */
    EXPR_INDEX,  /* arg[0] [ arg[1] ] */
    EXPR_CALL,   /* text ( arg[0..n_args) ), zero: zero_arg */
    EXPR_NOT,
    EXPR_BITNOT,
    EXPR_NEG,
    EXPR_MUL,
    EXPR_DIV,
    EXPR_MOD,
    EXPR_ADD,
    EXPR_SUB,
    EXPR_SHL,
    EXPR_SHR,
    EXPR_BITAND,
    EXPR_BITXOR,
    EXPR_BITOR,
    EXPR_LT,
    EXPR_LE,
    EXPR_GT,
    EXPR_GE,
    EXPR_EQ,
    EXPR_NE,
    EXPR_AND,
    EXPR_OR,
    EXPR_COND /* arg[0] ? arg[1] : arg[2] */
};

struct expr {
    enum expr_op op;
    unsigned column; /* 1-based, in the source text */
    expr_num num;
    bool hex; /* NUM: the source wrote it in hexadecimal; for printing */
    const char *text;
    size_t text_bytes;
    const struct expr *arg[EXPR_MAX_ARGS];
    unsigned n_args;
    const struct expr *zero_arg;
    unsigned function; /* CALL: index in expr_functions */
    /* Set by the loader's resolver, so that evaluation does not search by name: */
    int binding;        /* enum expr_binding */
    const void *target; /* struct field / struct param / struct map_entry, by binding */
};

enum expr_binding {
    BIND_NONE,  /* not resolved (members of unions are looked up when evaluated) */
    BIND_FIELD, /* target: const struct field of the struct at hand, or of arg[0] for MEMBER */
    BIND_PARAM, /* target: const struct param */
    BIND_MAP,   /* target: const struct map_entry */
    BIND_SELF,
    BIND_PARENT,
    BIND_INDEX,
    BIND_IMAGE
};

struct expr_function {
    const char *name;
    unsigned min_args, max_args;
    bool takes_zero;
    const char *doc;
};
extern const struct expr_function expr_functions[];
extern const size_t n_expr_functions;

/* Parses into the arena. Error text carries the column and what was expected. */
int expr_parse(struct arena *arena, const char *text, size_t n, const struct expr **ret,
               struct plat_err *err);

/* Checked arithmetic shared with the C generator's output; false on overflow or division by zero. */
bool expr_arith(enum expr_op op, expr_num a, expr_num b, expr_num *ret);

#endif
