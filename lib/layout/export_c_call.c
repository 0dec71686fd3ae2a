/* Layout to C: the functions of the expression language. */
#include "lib/layout/export_c_expr.h"

#include <string.h>

/* offset(x), size(x) of something with a fixed place. */
static struct c_value call_place(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value x = c_compile(g, s, e->arg[0]);
    if ((x.kind != C_STRUCT && x.kind != C_FIELD) || x.index != NULL ||
        (x.kind == C_STRUCT && x.type->size_bytes == 0))
        return c_none();
    if (strcmp(e->text, "size") == 0)
        return c_literal(g, x.kind == C_STRUCT ? x.type->size_bytes : x.field->size_bytes, false);
    s->uses_offset = true;
    struct c_value start = c_integer("offset_bytes", C_PREC_POST, 64, 0, UINT64_MAX);
    uint32_t at = x.base + (x.kind == C_FIELD ? x.field->offset_bytes : 0);
    return at == 0 ? start : c_binary(g, EXPR_ADD, start, c_literal(g, at, false));
}

/* bytes(x, s, n); what reaches past x is for the run-time engine, which sees the image. */
static struct c_value call_bytes(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value x = c_value_bytes(g, c_compile(g, s, e->arg[0]));
    if (x.kind == C_NONE || e->n_args == 1)
        return x;
    struct c_value start = c_value_number(g, c_compile(g, s, e->arg[1]));
    if (start.kind != C_NUM || !x.in_view || !x.has_size)
        return c_none();
    start = c_natural(g, start);
    x.has_size = false;
    if (e->n_args == 2) {
        x.code = c_call(g, C_HELPER_TAIL, "tail", c_text(g, "%s, %s, &bad", x.code, start.code));
        return x;
    }
    struct c_value n = c_value_number(g, c_compile(g, s, e->arg[2]));
    if (n.kind != C_NUM)
        return c_none();
    n = c_natural(g, n);
    uint32_t at_hand = x.size_bytes; /* from x to the end of the structure */
    if (x.behind == NULL)
        return c_none();
    if (s->type->size_bytes != 0)
        at_hand = s->type->size_bytes - x.base;
    if (start.lo + n.lo > at_hand)
        return c_none(); /* always past the end */
    x.code = c_text(g, "(struct priv_%s_bytes){%s, %u}", g->layout->name, x.behind, at_hand);
    x.size_bytes = at_hand;
    x.behind = NULL;
    x.code = c_call(g, C_HELPER_SLICE, "slice", c_text(g, "%s, %s, %s, &beyond", x.code, start.code, n.code));
    return x;
}

static struct c_value call_hash(struct c_gen *g, struct c_scope *s, const struct expr *e,
                                struct c_value bytes)
{
    static const struct {
        const char *name;
        enum c_helper helper;
        unsigned bits;
    } sums[] = {{"crc32", C_HELPER_CRC32, 32},
                {"crc32c", C_HELPER_CRC32C, 32},
                {"adler32", C_HELPER_ADLER32, 32},
                {"sum8ror", C_HELPER_SUM8ROR, 8},
                {"xxh64", C_HELPER_XXH64, 64}};
    if (e->n_args > 1) /* a running sum */
        return c_none();
    bool whole =
        e->zero_arg == NULL && g->what != EXPORT_FREESTANDING; /* lib/hash has these two for one run only */
    struct c_value zero = c_literal_bytes(g, "", 0);
    if (e->zero_arg != NULL) {
        zero = c_value_bytes(g, c_compile(g, s, e->zero_arg));
        if (!bytes.in_view || !zero.in_view)
            return c_none();
    }
    if (strcmp(e->text, "sha256") == 0) {
        struct c_value digest = {.kind = C_BYTES, .has_size = true, .size_bytes = 32};
        digest.code =
            whole ? c_call(g, C_HELPER_SHA256_LIB, "sha256", c_text(g, "%s, (uint8_t[32]){0}", bytes.code))
                  : c_call(g, C_HELPER_SHA256, "sha256_zero",
                           c_text(g, "%s, %s, (uint8_t[32]){0}, &bad", bytes.code, zero.code));
        return digest;
    }
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        if (strcmp(e->text, sums[i].name) != 0)
            continue;
        bool is_xxh64 = sums[i].helper == C_HELPER_XXH64;
        const char *code = is_xxh64 && whole
                               ? c_call(g, C_HELPER_XXH64_LIB, "xxh64", bytes.code)
                               : c_call(g, sums[i].helper, is_xxh64 ? "xxh64_zero" : sums[i].name,
                                        c_text(g, "%s, %s, &bad", bytes.code, zero.code));
        return c_integer(code, C_PREC_POST, sums[i].bits, 0, ((expr_num)1 << sums[i].bits) - 1);
    }
    return c_none();
}

static struct c_value call_on_bytes(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value bytes = c_value_bytes(g, c_compile(g, s, e->arg[0]));
    if (bytes.kind == C_NONE)
        return bytes;
    if (strcmp(e->text, "len") == 0)
        return bytes.has_size && !c_may_fail(bytes.code) ? c_literal(g, bytes.size_bytes, false)
                                                         : c_integer(c_text(g, "(uint64_t)%s.n", bytes.code),
                                                                     C_PREC_UNARY, 64, 0, bytes.size_bytes);
    if (strcmp(e->text, "all_zero") == 0)
        return c_truth_call(g, c_call(g, C_HELPER_ALL_ZERO, "all_zero", bytes.code));
    if (strncmp(e->text, "uint_", 5) == 0)
        return c_integer(
            c_call(g, C_HELPER_UINT, "uint",
                   c_text(g, "%s, %s, &bad", bytes.code, strcmp(e->text, "uint_be") == 0 ? "true" : "false")),
            C_PREC_POST, 64, 0, UINT64_MAX);
    return call_hash(g, s, e, bytes);
}

static struct c_value lesser_or_greater(struct c_gen *g, bool min, struct c_value a, struct c_value b)
{
    expr_num lo = (a.lo < b.lo) == min ? a.lo : b.lo, hi = (a.hi < b.hi) == min ? a.hi : b.hi;
    if (a.form == C_WHOLE && b.form == C_WHOLE) {
        const char *args = c_text(g, "%s, %s", a.code, b.code);
        return c_integer(min ? c_call(g, C_HELPER_UMIN, "umin", args)
                             : c_call(g, C_HELPER_UMAX, "umax", args),
                         C_PREC_POST, 64, lo, hi);
    }
    const char *args = c_text(g, "%s, %s", c_wide(g, a), c_wide(g, b));
    struct c_value v =
        c_integer(min ? c_call(g, C_HELPER_MIN, "min", args) : c_call(g, C_HELPER_MAX, "max", args),
                  C_PREC_POST, 64, lo, hi);
    v.form = C_WIDE;
    return v;
}

static struct c_value call_number(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value a = c_value_number(g, c_compile(g, s, e->arg[0]));
    struct c_value b = e->n_args > 1 ? c_value_number(g, c_compile(g, s, e->arg[1])) : a;
    const char *name = e->text;
    if (a.kind != C_NUM || b.kind != C_NUM)
        return c_none();
    a = a.form == C_TRUTH ? c_natural(g, a) : a;
    b = b.form == C_TRUTH ? c_natural(g, b) : b;
    if (strcmp(name, "min") == 0 || strcmp(name, "max") == 0)
        return lesser_or_greater(g, name[1] == 'i', a, b);
    if (strcmp(name, "is_pow2") == 0) /* a negative number is none, and no error */
        return a.form == C_WHOLE ? c_truth_call(g, c_call(g, C_HELPER_POW2, "is_pow2", a.code)) : c_none();
    a = c_natural(g, a);
    if (strcmp(name, "log2") == 0)
        return c_integer(c_call(g, C_HELPER_LOG2, "log2", c_text(g, "%s, &bad", a.code)), C_PREC_POST, 64, 0,
                         63);
    const char *args = c_text(g, "%s, %s, &bad", a.code, c_natural(g, b).code);
    bool up = strcmp(name, "align_up") == 0;
    return c_integer(up ? c_call(g, C_HELPER_ALIGN_UP, name, args)
                        : c_call(g, C_HELPER_ALIGN_DOWN, name, args),
                     C_PREC_POST, 64, 0, up ? (expr_num)UINT64_MAX : a.hi);
}

struct c_value c_compile_call(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    static const char *const numeric[] = {"min", "max", "align_up", "align_down", "is_pow2", "log2"};
    static const char *const never[] = {"count",    "present",  "bytes_at", "text_at",
                                        "bytes_le", "bytes_be", "crc16"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (strcmp(e->text, never[i]) == 0)
            return c_none();
    for (size_t i = 0; i < sizeof numeric / sizeof numeric[0]; i++)
        if (strcmp(e->text, numeric[i]) == 0)
            return call_number(g, s, e);
    if (strcmp(e->text, "offset") == 0 || strcmp(e->text, "size") == 0)
        return call_place(g, s, e);
    if (strcmp(e->text, "bytes") == 0)
        return call_bytes(g, s, e);
    return call_on_bytes(g, s, e);
}
