/* Layout to C: the functions of the expression language. */
#include "lib/layout/export_c_expr.h"

#include <stdio.h>
#include <string.h>

static const char *private_name(struct c_gen *g, enum c_helper helper, const char *name)
{
    c_need(g, helper);
    return c_text(g, "priv_%s_%s", g->layout->name, name);
}

static struct c_value number(struct c_gen *g, const char *code)
{
    c_need(g, C_HELPER_NUM);
    return (struct c_value){.kind = C_NUM, .code = c_text(g, "(struct priv_%s_num){%s, false}", g->layout->name, code)};
}

static const char *natural(struct c_gen *g, struct c_value v)
{
    return c_text(g, "%s(%s, &bad)", private_name(g, C_HELPER_NATURAL, "natural"), v.code);
}

/* offset(x), size(x) of something with a fixed place. */
static struct c_value call_place(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value x = c_compile(g, s, e->arg[0]);
    uint32_t at = x.base + (x.kind == C_FIELD && x.field->bit_width == 0 ? x.field->offset_bytes : 0);
    if ((x.kind != C_STRUCT && x.kind != C_FIELD) || x.index != NULL)
        return (struct c_value){.kind = C_NONE, .code = ""};
    if (strcmp(e->text, "size") == 0)
        return number(g, c_text(g, "%u", x.kind == C_STRUCT ? x.type->size_bytes : x.field->size_bytes));
    s->uses_offset = true;
    return number(g, c_text(g, "%s(offset_bytes, %u, &bad)", private_name(g, C_HELPER_UADD, "uadd"), at));
}

static struct c_value call_bytes(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value x = c_value_bytes(g, c_compile(g, s, e->arg[0]));
    if (x.kind == C_NONE || e->n_args == 1)
        return x;
    struct c_value start = c_value_number(g, c_compile(g, s, e->arg[1]));
    if (start.kind == C_NONE || e->n_args == 2)
        return (struct c_value){.kind = C_NONE, .code = ""};
    struct c_value n = c_value_number(g, c_compile(g, s, e->arg[2]));
    if (n.kind == C_NONE)
        return n;
    x.code = c_text(g, "%s(%s, %s, %s, &bad)", private_name(g, C_HELPER_SLICE, "slice"), x.code, natural(g, start),
                    natural(g, n));
    return x;
}

static struct c_value call_hash(struct c_gen *g, struct c_scope *s, const struct expr *e, struct c_value bytes)
{
    static const struct {
        const char *name;
        enum c_helper helper;
    } sums[] = {{"crc32", C_HELPER_CRC32},     {"crc32c", C_HELPER_CRC32C},   {"adler32", C_HELPER_ADLER32},
                {"sum8ror", C_HELPER_SUM8ROR}, {"xxh64", C_HELPER_XXH64},     {"sha256", C_HELPER_SHA256}};
    const char *zero = c_text(g, "(struct priv_%s_bytes){v.p, 0}", g->layout->name);
    if (e->zero_arg != NULL) {
        struct c_value z = c_value_bytes(g, c_compile(g, s, e->zero_arg));
        if (z.kind == C_NONE)
            return z;
        zero = z.code;
    }
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        if (strcmp(e->text, sums[i].name) != 0)
            continue;
        if (sums[i].helper == C_HELPER_SHA256)
            return (struct c_value){.kind = C_BYTES,
                                    .code = c_text(g, "%s(%s, %s, (uint8_t[32]){0})",
                                                   private_name(g, C_HELPER_SHA256, "sha256"), bytes.code, zero)};
        return number(g, c_text(g, "%s(%s, %s)", private_name(g, sums[i].helper, sums[i].name), bytes.code, zero));
    }
    return (struct c_value){.kind = C_NONE, .code = ""};
}

static struct c_value call_on_bytes(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value bytes = c_value_bytes(g, c_compile(g, s, e->arg[0]));
    if (bytes.kind == C_NONE)
        return bytes;
    if (strcmp(e->text, "len") == 0)
        return number(g, c_text(g, "(%s).n", bytes.code));
    if (strcmp(e->text, "all_zero") == 0)
        return number(g, c_text(g, "%s(%s)", private_name(g, C_HELPER_ALL_ZERO, "all_zero"), bytes.code));
    if (strncmp(e->text, "uint_", 5) == 0)
        return number(g, c_text(g, "%s(%s, %s, &bad)", private_name(g, C_HELPER_UINT, "uint"), bytes.code,
                                strcmp(e->text, "uint_be") == 0 ? "true" : "false"));
    return call_hash(g, s, e, bytes);
}

static struct c_value call_number(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    struct c_value a = c_value_number(g, c_compile(g, s, e->arg[0]));
    struct c_value b = e->n_args > 1 ? c_value_number(g, c_compile(g, s, e->arg[1])) : a;
    const char *name = e->text;
    if (a.kind == C_NONE || b.kind == C_NONE)
        return (struct c_value){.kind = C_NONE, .code = ""};
    if (strcmp(name, "min") == 0 || strcmp(name, "max") == 0) {
        bool min = name[1] == 'i';
        return (struct c_value){.kind = C_NUM,
                                .code = c_text(g, "(%s(%s, %s) ? %s : %s)", private_name(g, C_HELPER_LESS, "less"),
                                               min ? a.code : b.code, min ? b.code : a.code, a.code, b.code)};
    }
    if (strcmp(name, "is_pow2") == 0) /* a negative number is none, and no error */
        return number(g, c_text(g, "(!(%s).neg && %s((%s).mag))", a.code, private_name(g, C_HELPER_POW2, "is_pow2"), a.code));
    if (strcmp(name, "log2") == 0)
        return number(g, c_text(g, "%s(%s, &bad)", private_name(g, C_HELPER_LOG2, "log2"), natural(g, a)));
    bool up = strcmp(name, "align_up") == 0;
    return number(g, c_text(g, "%s(%s, %s, &bad)",
                            private_name(g, up ? C_HELPER_ALIGN_UP : C_HELPER_ALIGN_DOWN, name), natural(g, a), natural(g, b)));
}

struct c_value c_compile_call(struct c_gen *g, struct c_scope *s, const struct expr *e)
{
    static const char *const numeric[] = {"min", "max", "align_up", "align_down", "is_pow2", "log2"};
    static const char *const never[] = {"count", "present", "bytes_at"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (strcmp(e->text, never[i]) == 0)
            return (struct c_value){.kind = C_NONE, .code = ""};
    for (size_t i = 0; i < sizeof numeric / sizeof numeric[0]; i++)
        if (strcmp(e->text, numeric[i]) == 0)
            return call_number(g, s, e);
    if (strcmp(e->text, "offset") == 0 || strcmp(e->text, "size") == 0)
        return call_place(g, s, e);
    if (strcmp(e->text, "bytes") == 0)
        return call_bytes(g, s, e);
    return call_on_bytes(g, s, e);
}
