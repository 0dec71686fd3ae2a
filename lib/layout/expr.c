/* Parsing expressions: precedence climbing over a hand-written scanner. */
#include "lib/layout/expr.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"

const struct expr_function expr_functions[] = {
    {"offset", 1, 1, false, "byte offset of a field, structure or map entry in the image"},
    {"size", 1, 1, false, "size in bytes of a field, structure or map entry"},
    {"count", 1, 1, false, "elements of a map array"},
    {"bytes", 1, 3, false, "bytes of x, or n of them from s"},
    {"bytes_at", 2, 2, false, "n bytes of the image from an offset"},
    {"text_at", 1, 1, false, "bytes of the image from an offset up to the first zero byte"},
    {"bytes_le", 2, 2, false, "a number as that many bytes, the least first"},
    {"bytes_be", 2, 2, false, "a number as that many bytes, the least last"},
    {"crc16", 1, 2, true, "CRC-16 (ARC); n: the sum of what came before"},
    {"crc32", 1, 2, true, "CRC-32 (IEEE); n: the sum of what came before"},
    {"crc32c", 1, 2, true, "CRC-32C (Castagnoli); n: the sum of what came before"},
    {"adler32", 1, 1, true, "Adler-32"},
    {"xxh64", 1, 1, true, "XXH64, seed 0"},
    {"sum8ror", 1, 1, true, "8-bit sum, rotated right before each byte"},
    {"sha256", 1, 1, true, "SHA-256, a byte string"},
    {"all_zero", 1, 1, false, "whether every byte is zero"},
    {"len", 1, 1, false, "bytes in a byte string or text"},
    {"uint_le", 1, 1, false, "up to 8 bytes as a little-endian number"},
    {"uint_be", 1, 1, false, "up to 8 bytes as a big-endian number"},
    {"min", 2, 2, false, "the smaller"},
    {"max", 2, 2, false, "the larger"},
    {"align_up", 2, 2, false, "up to a multiple"},
    {"align_down", 2, 2, false, "down to a multiple"},
    {"is_pow2", 1, 1, false, "whether it is a power of two"},
    {"log2", 1, 1, false, "exponent of the largest power of two not above n"},
    {"present", 1, 1, false, "whether a map entry's condition holds"},
};
const size_t n_expr_functions = sizeof expr_functions / sizeof expr_functions[0];

enum token_kind { TOKEN_END, TOKEN_NUM, TOKEN_TEXT, TOKEN_NAME, TOKEN_PUNCT };

struct token {
    enum token_kind kind;
    size_t at; /* offset in the source */
    expr_num num;
    const char *text; /* name, unquoted text, or punctuation */
    size_t n;
};
struct parser {
    struct arena *arena;
    const char *src;
    size_t n, at;
    struct token token;
    unsigned depth, nodes;
    struct plat_err *err;
};

static int fail(struct parser *p, size_t at, const char *what)
{
    return err_set(p->err, PLAT_EINVALID, "expression '%.*s', column %zu: %s", (int)(p->n > 200 ? 200 : p->n),
                   p->src, at + 1, what);
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int scan_number(struct parser *p)
{
    size_t start = p->at;
    while (p->at < p->n && (is_name_start(p->src[p->at]) || is_digit(p->src[p->at])))
        p->at++;
    char digits[40];
    size_t n = p->at - start;
    uint64_t value;
    if (n >= sizeof digits)
        return fail(p, start, "number is too long");
    memcpy(digits, p->src + start, n);
    digits[n] = '\0';
    struct plat_err inner;
    if (parse_u64(digits, &value, &inner) != 0)
        return fail(p, start, inner.text);
    p->token = (struct token){.kind = TOKEN_NUM, .at = start, .num = (expr_num)value};
    return 0;
}

static int scan(struct parser *p)
{
    while (p->at < p->n && (p->src[p->at] == ' ' || p->src[p->at] == '\t' || p->src[p->at] == '\n'))
        p->at++;
    size_t start = p->at;
    if (start == p->n) {
        p->token = (struct token){.kind = TOKEN_END, .at = start};
        return 0;
    }
    char c = p->src[start];
    if (is_digit(c))
        return scan_number(p);
    if (is_name_start(c)) {
        while (p->at < p->n && (is_name_start(p->src[p->at]) || is_digit(p->src[p->at])))
            p->at++;
        p->token =
            (struct token){.kind = TOKEN_NAME, .at = start, .text = p->src + start, .n = p->at - start};
        return 0;
    }
    if (c == '\'' || c == '"') {
        const char *close = memchr(p->src + start + 1, c, p->n - start - 1);
        if (close == NULL)
            return fail(p, start, "text is not closed");
        p->token = (struct token){.kind = TOKEN_TEXT,
                                  .at = start,
                                  .text = p->src + start + 1,
                                  .n = (size_t)(close - (p->src + start + 1))};
        p->at = (size_t)(close - p->src) + 1;
        return 0;
    }
    static const char *const two[] = {"<<", ">>", "<=", ">=", "==", "!=", "&&", "||"};
    size_t length = 1;
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++)
        if (p->n - start >= 2 && memcmp(p->src + start, two[i], 2) == 0)
            length = 2;
    if (strchr("+-*/%&|^~!<>=?:.,()[]", c) == NULL || (c == '=' && length == 1))
        return fail(p, start,
                    c == '=' ? "'=' is not an operator; comparison is '=='" : "unexpected character");
    p->token = (struct token){.kind = TOKEN_PUNCT, .at = start, .text = p->src + start, .n = length};
    p->at += length;
    return 0;
}

static bool at_punct(const struct parser *p, const char *punct)
{
    return p->token.kind == TOKEN_PUNCT && p->token.n == strlen(punct) &&
           memcmp(p->token.text, punct, p->token.n) == 0;
}

static int expect(struct parser *p, const char *punct)
{
    if (!at_punct(p, punct)) {
        char what[64];
        (void)snprintf(what, sizeof what, "expected '%s'%s", punct,
                       p->token.kind == TOKEN_END ? " before the end" : "");
        return fail(p, p->token.at, what);
    }
    return scan(p);
}

static int make(struct parser *p, struct expr proto, size_t at, const struct expr **ret)
{
    if (++p->nodes > EXPR_MAX_NODES)
        return fail(p, at, "too many operations in one expression");
    struct expr *e = arena_alloc(p->arena, sizeof *e);
    if (e == NULL)
        return err_nomem(p->err, "parsing an expression");
    *e = proto;
    e->column = (unsigned)at + 1;
    *ret = e;
    return 0;
}

static int copy_token(struct parser *p, const char **ret)
{
    const char *s = arena_strndup(p->arena, p->token.text, p->token.n);
    if (s == NULL)
        return err_nomem(p->err, "parsing an expression");
    *ret = s;
    return 0;
}

static int parse_cond(struct parser *p, const struct expr **ret);

/* name already consumed; '(' is the current token. */
static int parse_call(struct parser *p, const char *name, size_t at, const struct expr **ret)
{
    struct expr call = {.op = EXPR_CALL, .text = name, .text_bytes = strlen(name)};
    size_t f = 0;
    while (f < n_expr_functions && strcmp(expr_functions[f].name, name) != 0)
        f++;
    if (f == n_expr_functions)
        return fail(p, at, "unknown function");
    call.function = (unsigned)f;
    int rc = scan(p);
    while (rc == 0 && !at_punct(p, ")")) {
        if (call.n_args > 0 || call.zero_arg != NULL)
            if ((rc = expect(p, ",")) != 0)
                return rc;
        size_t before = p->at;
        struct token token = p->token;
        if (token.kind == TOKEN_NAME && token.n == 4 && memcmp(token.text, "zero", 4) == 0) {
            if ((rc = scan(p)) != 0)
                return rc;
            if (at_punct(p, ":")) {
                if (!expr_functions[f].takes_zero)
                    return fail(p, token.at, "this function takes no 'zero:' argument");
                if ((rc = scan(p)) != 0 || (rc = parse_cond(p, &call.zero_arg)) != 0)
                    return rc;
                continue;
            }
            p->token = token; /* a field that is called zero */
            p->at = before;
        }
        if (call.n_args == EXPR_MAX_ARGS)
            return fail(p, token.at, "too many arguments");
        if ((rc = parse_cond(p, &call.arg[call.n_args])) != 0)
            return rc;
        call.n_args++;
    }
    if (rc != 0)
        return rc;
    if (call.n_args < expr_functions[f].min_args || call.n_args > expr_functions[f].max_args)
        return fail(p, at, "wrong number of arguments");
    if ((rc = scan(p)) != 0)
        return rc;
    return make(p, call, at, ret);
}

static int parse_primary(struct parser *p, const struct expr **ret)
{
    struct token token = p->token;
    int rc;
    if (token.kind == TOKEN_NUM) {
        if ((rc = scan(p)) != 0)
            return rc;
        bool hex = token.at + 1 < p->n && p->src[token.at] == '0' && (p->src[token.at + 1] | 0x20) == 'x';
        return make(p, (struct expr){.op = EXPR_NUM, .num = token.num, .hex = hex}, token.at, ret);
    }
    if (token.kind == TOKEN_TEXT || token.kind == TOKEN_NAME) {
        const char *text = NULL;
        if ((rc = copy_token(p, &text)) != 0 || (rc = scan(p)) != 0)
            return rc;
        if (token.kind == TOKEN_TEXT)
            return make(p, (struct expr){.op = EXPR_TEXT, .text = text, .text_bytes = token.n}, token.at,
                        ret);
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            return make(p, (struct expr){.op = EXPR_NUM, .num = text[0] == 't'}, token.at, ret);
        if (at_punct(p, "("))
            return parse_call(p, text, token.at, ret);
        return make(p, (struct expr){.op = EXPR_NAME, .text = text, .text_bytes = token.n}, token.at, ret);
    }
    if (at_punct(p, "(")) {
        if ((rc = scan(p)) != 0 || (rc = parse_cond(p, ret)) != 0)
            return rc;
        return expect(p, ")");
    }
    return fail(p, token.at,
                token.kind == TOKEN_END ? "expected a value before the end" : "expected a value");
}

static int parse_postfix(struct parser *p, const struct expr **ret)
{
    int rc = parse_primary(p, ret);
    while (rc == 0 && (at_punct(p, ".") || at_punct(p, "["))) {
        size_t at = p->token.at;
        bool member = at_punct(p, ".");
        struct expr e = {.op = member ? EXPR_MEMBER : EXPR_INDEX, .arg = {*ret}, .n_args = 1};
        if ((rc = scan(p)) != 0)
            return rc;
        if (member) {
            if (p->token.kind != TOKEN_NAME)
                return fail(p, p->token.at, "expected a field name after '.'");
            e.text_bytes = p->token.n;
            if ((rc = copy_token(p, &e.text)) != 0 || (rc = scan(p)) != 0)
                return rc;
        } else {
            e.n_args = 2;
            if ((rc = parse_cond(p, &e.arg[1])) != 0 || (rc = expect(p, "]")) != 0)
                return rc;
        }
        rc = make(p, e, at, ret);
    }
    return rc;
}

static int parse_unary(struct parser *p, const struct expr **ret)
{
    size_t at = p->token.at;
    enum expr_op op = at_punct(p, "!")   ? EXPR_NOT
                      : at_punct(p, "~") ? EXPR_BITNOT
                      : at_punct(p, "-") ? EXPR_NEG
                                         : EXPR_NUM;
    if (op == EXPR_NUM)
        return parse_postfix(p, ret);
    if (++p->depth > EXPR_MAX_DEPTH)
        return fail(p, at, "expression is nested too deeply");
    struct expr e = {.op = op, .n_args = 1};
    int rc = scan(p);
    if (rc == 0)
        rc = parse_unary(p, &e.arg[0]);
    p->depth--;
    return rc != 0 ? rc : make(p, e, at, ret);
}

struct binary {
    const char *punct;
    enum expr_op op;
    int level;
};
static const struct binary binaries[] = {
    {"||", EXPR_OR, 1},   {"&&", EXPR_AND, 2},   {"==", EXPR_EQ, 3},    {"!=", EXPR_NE, 3},
    {"<", EXPR_LT, 4},    {"<=", EXPR_LE, 4},    {">", EXPR_GT, 4},     {">=", EXPR_GE, 4},
    {"|", EXPR_BITOR, 5}, {"^", EXPR_BITXOR, 6}, {"&", EXPR_BITAND, 7}, {"<<", EXPR_SHL, 8},
    {">>", EXPR_SHR, 8},  {"+", EXPR_ADD, 9},    {"-", EXPR_SUB, 9},    {"*", EXPR_MUL, 10},
    {"/", EXPR_DIV, 10},  {"%", EXPR_MOD, 10},
};

static int parse_binary(struct parser *p, int level, const struct expr **ret)
{
    int rc = parse_unary(p, ret);
    while (rc == 0) {
        const struct binary *found = NULL;
        for (size_t i = 0; i < sizeof binaries / sizeof binaries[0]; i++)
            if (at_punct(p, binaries[i].punct))
                found = &binaries[i];
        if (found == NULL || found->level < level)
            return 0;
        size_t at = p->token.at;
        struct expr e = {.op = found->op, .arg = {*ret}, .n_args = 2};
        if ((rc = scan(p)) != 0 || (rc = parse_binary(p, found->level + 1, &e.arg[1])) != 0)
            return rc;
        rc = make(p, e, at, ret);
    }
    return rc;
}

static int parse_cond(struct parser *p, const struct expr **ret)
{
    if (++p->depth > EXPR_MAX_DEPTH)
        return fail(p, p->token.at, "expression is nested too deeply");
    const struct expr *first = NULL;
    int rc = parse_binary(p, 1, &first);
    if (rc == 0 && at_punct(p, "?")) {
        size_t at = p->token.at;
        struct expr e = {.op = EXPR_COND, .arg = {first}, .n_args = 3};
        if ((rc = scan(p)) != 0 || (rc = parse_cond(p, &e.arg[1])) != 0 || (rc = expect(p, ":")) != 0 ||
            (rc = parse_cond(p, &e.arg[2])) != 0)
            return rc;
        rc = make(p, e, at, &first);
    }
    p->depth--;
    if (rc == 0)
        *ret = first;
    return rc;
}

int expr_parse(struct arena *arena, const char *text, size_t n, const struct expr **ret, struct plat_err *err)
{
    struct parser p = {.arena = arena, .src = text, .n = n, .err = err};
    if (n > EXPR_MAX_TEXT_BYTES)
        return err_set(err, PLAT_ELIMIT, "expression of %zu bytes is longer than %d", n,
                       (int)EXPR_MAX_TEXT_BYTES);
    const struct expr *e = NULL;
    int rc = scan(&p);
    if (rc == 0)
        rc = parse_cond(&p, &e);
    if (rc == 0 && p.token.kind != TOKEN_END)
        rc = fail(&p, p.token.at, "expected an operator or the end");
    if (rc == 0)
        *ret = e;
    return rc;
}

/* ---- arithmetic ---- */

static const expr_num expr_min = -((expr_num)1 << 63);
static const expr_num expr_max = ((expr_num)1 << 64) - 1;

static bool in_range(expr_num v, expr_num *ret)
{
    if (v < expr_min || v > expr_max)
        return false;
    *ret = v;
    return true;
}

bool expr_arith(enum expr_op op, expr_num a, expr_num b, expr_num *ret)
{
    switch (op) {
    case EXPR_ADD:
        return in_range(a + b, ret);
    case EXPR_SUB:
        return in_range(a - b, ret);
    case EXPR_MUL: {
        expr_num product;
        return !__builtin_mul_overflow(a, b, &product) && in_range(product, ret);
    }
    case EXPR_DIV:
        return b != 0 && in_range(a / b, ret);
    case EXPR_MOD:
        return b != 0 && in_range(a % b, ret);
    case EXPR_SHL:
        return a >= 0 && b >= 0 && b < 64 && in_range(a << b, ret);
    case EXPR_SHR:
        return a >= 0 && b >= 0 && b < 64 && in_range(a >> b, ret);
    case EXPR_BITAND:
        return a >= 0 && b >= 0 && in_range(a & b, ret);
    case EXPR_BITXOR:
        return a >= 0 && b >= 0 && in_range(a ^ b, ret);
    case EXPR_BITOR:
        return a >= 0 && b >= 0 && in_range(a | b, ret);
    default:
        return false;
    }
}
