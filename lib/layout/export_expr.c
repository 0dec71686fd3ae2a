/* Expressions back to source, for the parts of a layout whose text the loader does not keep. */
#include <string.h>

#include "lib/layout/export_text.h"

/* How tightly an operator binds, as expr.c parses it: larger binds tighter. */
enum { LEVEL_COND = 0, LEVEL_UNARY = 11, LEVEL_POSTFIX = 12 };

struct operator_text {
    const char *text;
    int level;
};
static const struct operator_text operators[] = {
    [EXPR_NOT] = {"!", LEVEL_UNARY}, [EXPR_BITNOT] = {"~", LEVEL_UNARY},
    [EXPR_NEG] = {"-", LEVEL_UNARY}, [EXPR_OR] = {"||", 1},
    [EXPR_AND] = {"&&", 2},          [EXPR_EQ] = {"==", 3},
    [EXPR_NE] = {"!=", 3},           [EXPR_LT] = {"<", 4},
    [EXPR_LE] = {"<=", 4},           [EXPR_GT] = {">", 4},
    [EXPR_GE] = {">=", 4},           [EXPR_BITOR] = {"|", 5},
    [EXPR_BITXOR] = {"^", 6},        [EXPR_BITAND] = {"&", 7},
    [EXPR_SHL] = {"<<", 8},          [EXPR_SHR] = {">>", 8},
    [EXPR_ADD] = {"+", 9},           [EXPR_SUB] = {"-", 9},
    [EXPR_MUL] = {"*", 10},          [EXPR_DIV] = {"/", 10},
    [EXPR_MOD] = {"%", 10},          [EXPR_COND] = {"?", LEVEL_COND},
};

static void print(const struct expr *e, int level, struct strbuf *out);

static void print_call(const struct expr *e, struct strbuf *out)
{
    strbuf_printf(out, "%s(", e->text);
    for (unsigned i = 0; i < e->n_args; i++) {
        strbuf_puts(out, i > 0 ? ", " : "");
        print(e->arg[i], LEVEL_COND, out);
    }
    if (e->zero_arg != NULL) {
        strbuf_puts(out, e->n_args > 0 ? ", zero: " : "zero: ");
        print(e->zero_arg, LEVEL_COND, out);
    }
    strbuf_putc(out, ')');
}

static void print_operator(const struct expr *e, int level, struct strbuf *out)
{
    const struct operator_text *op = &operators[e->op];
    bool parentheses = op->level < level;
    if (parentheses)
        strbuf_putc(out, '(');
    if (e->op == EXPR_COND) {
        print(e->arg[0], 1, out);
        strbuf_puts(out, " ? ");
        print(e->arg[1], LEVEL_COND, out);
        strbuf_puts(out, " : ");
        print(e->arg[2], LEVEL_COND, out);
    } else if (e->n_args == 1) {
        strbuf_puts(out, op->text);
        print(e->arg[0], LEVEL_UNARY, out);
    } else {
        /* All operators group to the left: the right side needs parentheses at the same level. */
        print(e->arg[0], op->level, out);
        strbuf_printf(out, " %s ", op->text);
        print(e->arg[1], op->level + 1, out);
    }
    if (parentheses)
        strbuf_putc(out, ')');
}

/* `level`: what stands around binds this tightly. Depth is bounded by EXPR_MAX_DEPTH and EXPR_MAX_NODES. */
static void print(const struct expr *e, int level, struct strbuf *out)
{
    switch (e->op) {
    case EXPR_NUM:
        strbuf_printf(out, e->hex ? "0x%llx" : "%llu", (unsigned long long)e->num);
        return;
    case EXPR_TEXT: {
        char quote = memchr(e->text, '\'', e->text_bytes) != NULL ? '"' : '\'';
        strbuf_putc(out, quote);
        strbuf_add(out, e->text, e->text_bytes);
        strbuf_putc(out, quote);
        return;
    }
    case EXPR_NAME:
        strbuf_add(out, e->text, e->text_bytes);
        return;
    case EXPR_MEMBER:
        print(e->arg[0], LEVEL_POSTFIX, out);
        strbuf_printf(out, ".%s", e->text);
        return;
    case EXPR_INDEX:
        print(e->arg[0], LEVEL_POSTFIX, out);
        strbuf_putc(out, '[');
        print(e->arg[1], LEVEL_COND, out);
        strbuf_putc(out, ']');
        return;
    case EXPR_CALL:
        print_call(e, out);
        return;
    default:
        print_operator(e, level, out);
        return;
    }
}

void expr_print(const struct expr *e, struct strbuf *out)
{
    print(e, LEVEL_COND, out);
}
