/* Layout to C: numbers. Every value carries its range, so that plain C operators serve wherever they cannot
 * leave their type; helpers that set `bad` take the rest. */
#include <string.h>

#include "lib/layout/export_c_expr.h"

static const expr_num num_min = -((expr_num)1 << 63), num_max = ((expr_num)1 << 64) - 1;

struct c_value c_none(void)
{
    return (struct c_value){.kind = C_NONE, .code = ""};
}

bool c_may_fail(const char *code)
{
    return strstr(code, "&bad") != NULL || strstr(code, "&beyond") != NULL;
}

const char *c_call(struct c_gen *g, enum c_helper helper, const char *name, const char *args)
{
    g->helpers[helper] = name;
    return c_text(g, "priv_%s_%s(%s)", g->layout->name, name, args);
}

static const char *in_parens(struct c_gen *g, const char *code, enum c_prec has, enum c_prec needs)
{
    return has < needs ? c_text(g, "(%s)", code) : code;
}

/* ---- making values ---- */

/* The bits up to the highest one of n. */
static uint64_t bits_below(expr_num n)
{
    uint64_t mask = n <= 0 ? 0 : n >= num_max ? UINT64_MAX : (uint64_t)n;
    for (unsigned shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    return mask;
}

struct c_value c_integer(const char *code, enum c_prec prec, unsigned bits, expr_num lo, expr_num hi)
{
    return (struct c_value){.kind = C_NUM,
                            .code = code,
                            .form = lo < 0 ? C_SIGNED : C_WHOLE,
                            .prec = prec,
                            .is_64 = bits > 32,
                            .lo = lo < num_min   ? num_min
                                  : lo > num_max ? num_max
                                                 : lo,
                            .hi = hi > num_max   ? num_max
                                  : hi < num_min ? num_min
                                                 : hi,
                            .maybe = bits_below(hi)};
}

static struct c_value wide(const char *code, expr_num lo, expr_num hi)
{
    struct c_value v = c_integer(code, C_PREC_POST, 64, lo, hi);
    v.form = C_WIDE;
    return v;
}

struct c_value c_literal(struct c_gen *g, expr_num n, bool hex)
{
    unsigned long long magnitude = (unsigned long long)(n < 0 ? -n : n);
    const char *suffix = n > INT32_MAX ? "u" : "";
    const char *code = c_text(g, hex && n >= 0 ? "0x%llx%s" : "%llu%s", magnitude, suffix);
    if (n < 0)
        code = n == num_min ? "(-INT64_MAX - 1)" : c_text(g, "-%s", code);
    struct c_value v = c_integer(code, n < 0 ? C_PREC_UNARY : C_PREC_POST, n > UINT32_MAX ? 64 : 32, n, n);
    v.literal = true;
    v.always = v.maybe = n < 0 ? 0 : (uint64_t)n;
    return v;
}

struct c_value c_truth(const char *code, enum c_prec prec, const char *negated, enum c_prec negated_prec)
{
    return (struct c_value){.kind = C_NUM,
                            .code = code,
                            .form = C_TRUTH,
                            .prec = prec,
                            .lo = 0,
                            .hi = 1,
                            .negated = negated,
                            .negated_prec = negated_prec};
}

struct c_value c_truth_call(struct c_gen *g, const char *call)
{
    return c_truth(call, C_PREC_POST, c_text(g, "!%s", call), C_PREC_UNARY);
}

static struct c_value settled(bool yes)
{
    struct c_value v = c_truth(yes ? "true" : "false", C_PREC_POST, yes ? "false" : "true", C_PREC_POST);
    v.literal = true;
    v.lo = v.hi = yes;
    return v;
}

/* ---- changing form ---- */

static bool is_plain(const struct c_value *v)
{
    return v->form == C_WHOLE || v->form == C_TRUTH;
}

const char *c_u64(struct c_gen *g, struct c_value v, enum c_prec prec)
{
    if (v.form == C_WHOLE && v.is_64)
        return in_parens(g, v.code, v.prec, prec);
    if (v.form == C_TRUTH)
        return in_parens(g, c_text(g, "(uint64_t)(%s ? 1 : 0)", in_parens(g, v.code, v.prec, C_PREC_BIT)),
                         C_PREC_UNARY, prec);
    return in_parens(g, c_text(g, "(uint64_t)%s", in_parens(g, v.code, v.prec, C_PREC_UNARY)), C_PREC_UNARY,
                     prec);
}

/* Code whose type mixes with unsigned operands without a surprise: what C promotes to int is cast, except
 * literals and calls of accessors. */
static const char *mixable(struct c_gen *g, struct c_value v, enum c_prec prec)
{
    if (v.form == C_WHOLE && (v.is_64 || v.literal || v.prec == C_PREC_POST))
        return in_parens(g, v.code, v.prec, prec);
    return c_u64(g, v, prec);
}

static bool fits_signed(const struct c_value *v)
{
    return v->form != C_WIDE && v->hi <= INT64_MAX;
}

/* `widen`: the type must be int64_t itself, not one that is promoted to int. */
static const char *s64(struct c_gen *g, struct c_value v, enum c_prec prec, bool widen)
{
    if ((v.form == C_SIGNED && (v.is_64 || !widen)) || (v.literal && v.lo > INT32_MIN && v.hi <= INT32_MAX))
        return in_parens(g, v.code, v.prec, prec);
    return in_parens(g, c_text(g, "(int64_t)%s", in_parens(g, v.code, v.prec, C_PREC_UNARY)), C_PREC_UNARY,
                     prec);
}

const char *c_wide(struct c_gen *g, struct c_value v)
{
    if (v.form == C_WIDE)
        return v.code;
    return v.form == C_SIGNED ? c_call(g, C_HELPER_SIGNED, "signed", v.code)
                              : c_call(g, C_HELPER_WHOLE, "whole", v.code);
}

struct c_value c_natural(struct c_gen *g, struct c_value v)
{
    if (v.form == C_WHOLE)
        return v;
    expr_num lo = v.lo < 0 ? 0 : v.lo;
    if (v.form != C_WIDE && v.lo >= 0)
        return c_integer(c_u64(g, v, C_PREC_UNARY), C_PREC_UNARY, 64, lo, v.hi);
    const char *code = v.form == C_SIGNED
                           ? c_call(g, C_HELPER_SNATURAL, "snatural", c_text(g, "%s, &bad", v.code))
                           : c_call(g, C_HELPER_NATURAL, "natural", c_text(g, "%s, &bad", c_wide(g, v)));
    return c_integer(code, C_PREC_POST, 64, lo, v.hi < 0 ? 0 : v.hi);
}

static struct c_value compare(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b);

struct c_value c_condition(struct c_gen *g, struct c_value v)
{
    if (v.kind != C_NUM)
        return c_none();
    return v.form == C_TRUTH ? v : compare(g, EXPR_NE, v, c_literal(g, 0, false));
}

/* ---- comparisons ---- */

/* -1: no answer from the ranges alone. */
static int known_answer(enum expr_op op, const struct c_value *a, const struct c_value *b)
{
    bool apart = a->hi < b->lo || a->lo > b->hi;
    bool same = (a->lo == a->hi && b->lo == b->hi && a->lo == b->lo) || strcmp(a->code, b->code) == 0;
    bool whole = a->form == C_WHOLE && b->form == C_WHOLE;
    apart = apart || (whole && ((a->always & ~b->maybe) != 0 || (b->always & ~a->maybe) != 0));
    switch (op) {
    case EXPR_LT:
        return a->hi < b->lo ? 1 : same || a->lo >= b->hi ? 0 : -1;
    case EXPR_LE:
        return same || a->hi <= b->lo ? 1 : a->lo > b->hi ? 0 : -1;
    case EXPR_EQ:
        return apart ? 0 : same ? 1 : -1;
    default:
        return apart ? 1 : same ? 0 : -1;
    }
}

static struct c_value compare_wide(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    const char *x = c_wide(g, a), *y = c_wide(g, b);
    struct c_value v;
    if (op == EXPR_EQ || op == EXPR_NE)
        v = c_truth_call(g, c_call(g, C_HELPER_SAME, "same", c_text(g, "%s, %s", x, y)));
    else if (op == EXPR_LT)
        return c_truth_call(g, c_call(g, C_HELPER_LESS, "less", c_text(g, "%s, %s", x, y)));
    else
        v = c_truth_call(g, c_call(g, C_HELPER_LESS, "less", c_text(g, "%s, %s", y, x)));
    return op == EXPR_EQ ? v : c_truth(v.negated, v.negated_prec, v.code, v.prec);
}

static struct c_value compare(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    static const char *const text[] = {[EXPR_LT] = "<",  [EXPR_LE] = "<=", [EXPR_GT] = ">",
                                       [EXPR_GE] = ">=", [EXPR_EQ] = "==", [EXPR_NE] = "!="};
    static const enum expr_op opposite[] = {[EXPR_LT] = EXPR_GE, [EXPR_LE] = EXPR_GT, [EXPR_GT] = EXPR_LE,
                                            [EXPR_GE] = EXPR_LT, [EXPR_EQ] = EXPR_NE, [EXPR_NE] = EXPR_EQ};
    bool flip = op == EXPR_GT || op == EXPR_GE;
    enum expr_op plain = op == EXPR_GT ? EXPR_LT : op == EXPR_GE ? EXPR_LE : op;
    int answer = known_answer(plain, flip ? &b : &a, flip ? &a : &b);
    if (answer >= 0)
        return c_may_fail(a.code) || c_may_fail(b.code) ? c_none() : settled(answer == 1);
    /* Unsigned "> 0" is "!= 0". */
    if (a.form == C_WHOLE && b.literal && b.hi == 0 && (op == EXPR_GT || op == EXPR_LE))
        op = op == EXPR_GT ? EXPR_NE : EXPR_EQ;
    const char *x, *y;
    if (is_plain(&a) && is_plain(&b)) {
        bool by_literal = (a.literal || b.literal) && a.form == C_WHOLE && b.form == C_WHOLE;
        x = by_literal ? in_parens(g, a.code, a.prec, C_PREC_SHIFT) : mixable(g, a, C_PREC_SHIFT);
        y = by_literal ? in_parens(g, b.code, b.prec, C_PREC_SHIFT) : mixable(g, b, C_PREC_SHIFT);
    } else if (fits_signed(&a) && fits_signed(&b)) {
        x = s64(g, a, C_PREC_SHIFT, false);
        y = s64(g, b, C_PREC_SHIFT, false);
    } else {
        return compare_wide(g, plain, flip ? b : a, flip ? a : b);
    }
    return c_truth(c_text(g, "%s %s %s", x, text[op], y), C_PREC_COMPARE,
                   c_text(g, "%s %s %s", x, text[opposite[op]], y), C_PREC_COMPARE);
}

static struct c_value both(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    a = c_condition(g, a);
    b = c_condition(g, b);
    if (a.kind != C_NUM || b.kind != C_NUM)
        return c_none();
    bool is_and = op == EXPR_AND;
    if (a.literal) /* "true && b" is b; "false && b" is false */
        return (a.lo == 1) == is_and ? b : a;
    if (b.literal) {
        bool redundant = (b.lo == 1) == is_and;
        return redundant ? a : c_may_fail(a.code) ? c_none() : b;
    }
    /* Mixed && and || always get parentheses, for the reader and for -Wparentheses. */
    enum c_prec own = is_and ? C_PREC_AND : C_PREC_OR, other = is_and ? C_PREC_OR : C_PREC_AND;
    const char *texts[2];
    for (unsigned i = 0; i < 2; i++) {
        enum c_prec result = i == 0 ? own : other;
        const char *x = i == 0 ? a.code : a.negated, *y = i == 0 ? b.code : b.negated;
        enum c_prec px = i == 0 ? a.prec : a.negated_prec, py = i == 0 ? b.prec : b.negated_prec;
        x = in_parens(g, x, px == result ? C_PREC_POST : px, C_PREC_COMPARE);
        y = in_parens(g, y, py == result ? C_PREC_POST : py, C_PREC_COMPARE);
        texts[i] = c_text(g, "%s %s %s", x, result == C_PREC_AND ? "&&" : "||", y);
    }
    return c_truth(texts[0], own, texts[1], other);
}

/* ---- arithmetic ---- */

/* a op b in uint64_t: one side is made 64 bits wide, C widens the other. */
static const char *plain_text(struct c_gen *g, const char *op, enum c_prec prec, struct c_value a,
                              struct c_value b)
{
    enum c_prec right = (enum c_prec)(prec + 1);
    bool left_wide = a.is_64 || (!a.literal && !b.is_64);
    const char *x = left_wide ? c_u64(g, a, prec) : mixable(g, a, prec);
    const char *y = left_wide || b.is_64 ? mixable(g, b, right) : c_u64(g, b, right);
    return c_text(g, "%s %s %s", x, op, y);
}

/* Lowest and highest result over the corners of two ranges; false when a corner leaves 128 bits. */
static bool corners(enum expr_op op, const struct c_value *a, const struct c_value *b, expr_num *ret_lo,
                    expr_num *ret_hi)
{
    const expr_num xs[2] = {a->lo, a->hi}, ys[2] = {b->lo, b->hi};
    for (unsigned i = 0; i < 4; i++) {
        expr_num v, x = xs[i & 1], y = ys[i >> 1];
        if (op == EXPR_MUL   ? __builtin_mul_overflow(x, y, &v)
            : op == EXPR_ADD ? __builtin_add_overflow(x, y, &v)
                             : __builtin_sub_overflow(x, y, &v))
            return false;
        *ret_lo = i == 0 || v < *ret_lo ? v : *ret_lo;
        *ret_hi = i == 0 || v > *ret_hi ? v : *ret_hi;
    }
    return true;
}

static struct c_value add_sub_mul(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    const char *sign = op == EXPR_ADD ? "+" : op == EXPR_SUB ? "-" : "*";
    enum c_prec prec = op == EXPR_MUL ? C_PREC_MUL : C_PREC_ADD;
    expr_num lo, hi;
    bool bounded = corners(op, &a, &b, &lo, &hi);
    bool whole = a.form == C_WHOLE && b.form == C_WHOLE;
    if (whole && bounded && lo >= 0 && hi <= num_max)
        return c_integer(plain_text(g, sign, prec, a, b), prec, 64, lo, hi);
    if (bounded && fits_signed(&a) && fits_signed(&b) && lo >= INT64_MIN && hi <= INT64_MAX) {
        struct c_value v = c_integer(
            c_text(g, "%s %s %s", s64(g, a, prec, true), sign, s64(g, b, (enum c_prec)(prec + 1), true)),
            prec, 64, lo, hi);
        if (v.form == C_WHOLE) /* not negative after all */
            v = c_integer(c_text(g, "(uint64_t)(%s)", v.code), C_PREC_UNARY, 64, lo, hi);
        return v;
    }
    if (whole && op != EXPR_SUB) {
        const char *args = c_text(g, "%s, %s, &bad", a.code, b.code);
        return c_integer(op == EXPR_ADD ? c_call(g, C_HELPER_UADD, "uadd", args)
                                        : c_call(g, C_HELPER_UMUL, "umul", args),
                         C_PREC_POST, 64, bounded ? lo : 0, bounded ? hi : num_max);
    }
    const char *args = c_text(g, "%s, %s, &bad", c_wide(g, a), c_wide(g, b));
    const char *code = op == EXPR_ADD   ? c_call(g, C_HELPER_ADD, "add", args)
                       : op == EXPR_SUB ? c_call(g, C_HELPER_SUB, "sub", args)
                                        : c_call(g, C_HELPER_MUL, "mul", args);
    return wide(code, bounded ? lo : num_min, bounded ? hi : num_max);
}

static struct c_value divide(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    bool div = op == EXPR_DIV;
    if (a.form == C_SIGNED && fits_signed(&a) && b.form == C_WHOLE && fits_signed(&b)) {
        const char *args =
            c_text(g, "%s, %s, &bad", s64(g, a, C_PREC_BIT, false), s64(g, b, C_PREC_BIT, false));
        const char *code =
            div ? c_call(g, C_HELPER_SDIV, "sdiv", args) : c_call(g, C_HELPER_SMOD, "smod", args);
        return c_integer(code, C_PREC_POST, 64, a.lo, a.hi < 0 ? 0 : a.hi);
    }
    if (a.form != C_WHOLE || b.form != C_WHOLE) {
        const char *args = c_text(g, "%s, %s, &bad", c_wide(g, a), c_wide(g, b));
        return wide(div ? c_call(g, C_HELPER_DIV, "div", args) : c_call(g, C_HELPER_MOD, "mod", args),
                    num_min, num_max);
    }
    expr_num hi = div ? a.hi / (b.lo > 0 ? b.lo : 1) : b.hi - 1 < a.hi ? b.hi - 1 : a.hi;
    if (hi < 0)
        hi = 0;
    /* A division by a power of two is a shift; others of 64 bits would be a library call on small machines.
     */
    bool shift = b.literal && b.lo > 0 && (b.lo & (b.lo - 1)) == 0;
    if (shift || (b.lo > 0 && g->what != EXPORT_FREESTANDING))
        return c_integer(plain_text(g, div ? "/" : "%", C_PREC_MUL, a, b), C_PREC_MUL, 64,
                         div ? a.lo / b.hi : 0, hi);
    const char *args = c_text(g, "%s, %s, &bad", a.code, b.code);
    return c_integer(div ? c_call(g, C_HELPER_UDIV, "udiv", args) : c_call(g, C_HELPER_UMOD, "umod", args),
                     C_PREC_POST, 64, 0, hi);
}

static struct c_value shift(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    bool left = op == EXPR_SHL;
    if (b.literal && b.lo < 64 && (!left || a.hi <= num_max >> (unsigned)b.lo)) {
        unsigned n = (unsigned)b.lo;
        const char *x = c_u64(g, a, C_PREC_UNARY);
        return c_integer(c_text(g, "%s %s %u", x, left ? "<<" : ">>", n), C_PREC_SHIFT, 64,
                         left ? a.lo << n : a.lo >> n, left ? a.hi << n : a.hi >> n);
    }
    const char *args = c_text(g, "%s, %s, &bad", a.code, b.code);
    return c_integer(left ? c_call(g, C_HELPER_SHL, "shl", args) : c_call(g, C_HELPER_SHR, "shr", args),
                     C_PREC_POST, 64, 0, left ? num_max : a.hi);
}

static struct c_value bitwise(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    const char *sign = op == EXPR_BITAND ? "&" : op == EXPR_BITOR ? "|" : "^";
    expr_num top = a.hi > b.hi ? a.hi : b.hi, hi = 1;
    while (hi <= top)
        hi <<= 1;
    hi = op == EXPR_BITAND ? (a.hi < b.hi ? a.hi : b.hi) : hi - 1;
    const char *code;
    if (a.literal || b.literal)
        code = c_text(g, "%s %s %s", in_parens(g, a.code, a.prec, C_PREC_UNARY), sign,
                      in_parens(g, b.code, b.prec, C_PREC_UNARY));
    else
        code = c_text(g, "%s %s %s", c_u64(g, a, C_PREC_UNARY), sign, mixable(g, b, C_PREC_UNARY));
    bool is_64 = !(a.literal || b.literal) || a.is_64 || b.is_64;
    expr_num lo = op == EXPR_BITOR ? (a.lo > b.lo ? a.lo : b.lo) : 0;
    struct c_value v = c_integer(code, C_PREC_BIT, is_64 ? 64 : 32, lo, hi);
    if (op == EXPR_BITAND) {
        v.always = a.always & b.always;
        v.maybe &= a.maybe & b.maybe;
    } else if (op == EXPR_BITOR) {
        v.always = a.always | b.always;
        v.maybe &= a.maybe | b.maybe;
    }
    return v;
}

struct c_value c_unary(struct c_gen *g, enum expr_op op, struct c_value a)
{
    if (op == EXPR_NOT) {
        a = c_condition(g, a);
        if (a.kind != C_NUM)
            return a;
        struct c_value v = c_truth(a.negated, a.negated_prec, a.code, a.prec);
        v.literal = a.literal;
        if (a.literal)
            v.lo = v.hi = 1 - a.lo;
        return v;
    }
    if (op == EXPR_BITNOT) {
        a = c_natural(g, a);
        return c_integer(c_text(g, "~%s", c_u64(g, a, C_PREC_UNARY)), C_PREC_UNARY, 64, num_max - a.hi,
                         num_max - a.lo);
    }
    if (a.literal && a.form != C_TRUTH && -a.hi >= num_min)
        return c_literal(g, -a.hi, false);
    return add_sub_mul(g, EXPR_SUB, c_literal(g, 0, false), a.form == C_TRUTH ? c_natural(g, a) : a);
}

struct c_value c_binary(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b)
{
    if (op == EXPR_AND || op == EXPR_OR)
        return both(g, op, a, b);
    if (a.kind != C_NUM || b.kind != C_NUM)
        return c_none();
    if (op >= EXPR_LT && op <= EXPR_NE)
        return compare(g, op, a, b);
    a = a.form == C_TRUTH ? c_natural(g, a) : a;
    b = b.form == C_TRUTH ? c_natural(g, b) : b;
    expr_num folded;
    if (a.literal && b.literal)
        return expr_arith(op, a.lo, b.lo, &folded) ? c_literal(g, folded, false) : c_none();
    switch (op) {
    case EXPR_ADD:
    case EXPR_SUB:
    case EXPR_MUL:
        return add_sub_mul(g, op, a, b);
    case EXPR_DIV:
    case EXPR_MOD:
        return divide(g, op, a, b);
    case EXPR_SHL:
    case EXPR_SHR:
        return shift(g, op, c_natural(g, a), c_natural(g, b));
    case EXPR_BITAND:
    case EXPR_BITOR:
    case EXPR_BITXOR:
        return bitwise(g, op, c_natural(g, a), c_natural(g, b));
    default:
        return c_none();
    }
}

struct c_value c_choose(struct c_gen *g, struct c_value condition, struct c_value a, struct c_value b)
{
    condition = c_condition(g, condition);
    if (condition.kind != C_NUM || a.kind != C_NUM || b.kind != C_NUM)
        return c_none();
    if (condition.literal)
        return condition.lo == 1 ? a : b;
    const char *q = in_parens(g, condition.code, condition.prec, C_PREC_BIT);
    if (a.form == C_TRUTH && b.form == C_TRUTH)
        return c_truth(c_text(g, "(%s ? %s : %s)", q, a.code, b.code), C_PREC_POST,
                       c_text(g, "(%s ? %s : %s)", q, a.negated, b.negated), C_PREC_POST);
    expr_num lo = a.lo < b.lo ? a.lo : b.lo, hi = a.hi > b.hi ? a.hi : b.hi;
    if (is_plain(&a) && is_plain(&b))
        return c_integer(c_text(g, "(%s ? %s : %s)", q, c_u64(g, a, C_PREC_BIT), c_u64(g, b, C_PREC_BIT)),
                         C_PREC_POST, 64, lo, hi);
    if (fits_signed(&a) && fits_signed(&b))
        return c_integer(
            c_text(g, "(%s ? %s : %s)", q, s64(g, a, C_PREC_BIT, true), s64(g, b, C_PREC_BIT, true)),
            C_PREC_POST, 64, lo, hi);
    return wide(c_text(g, "(%s ? %s : %s)", q, c_wide(g, a), c_wide(g, b)), lo, hi);
}
