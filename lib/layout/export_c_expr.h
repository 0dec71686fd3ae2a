/* Private to the C exporter: expressions as C text.
 *
 * A number is written in the plainest form that cannot overflow, which the generator finds by keeping the
 * range of every subexpression: most rules become ordinary C. Only where a step may leave its type does the
 * text call a helper, which sets `bad` as the run-time engine would report an error. */
#ifndef PLAT_LIB_LAYOUT_EXPORT_C_EXPR_H
#define PLAT_LIB_LAYOUT_EXPORT_C_EXPR_H

#include "lib/layout/export_c.h"

enum c_value_kind {
    C_NONE,  /* needs the run-time engine */
    C_NUM,   /* code, in one of the forms below */
    C_BYTES, /* code: a struct bytes */
    C_TEXT,  /* text */
    C_FIELD, /* field of type, not yet loaded */
    C_STRUCT /* type at base */
};
enum c_form {
    C_WHOLE,  /* an unsigned integer, or an int that is not negative */
    C_SIGNED, /* an integer of at most int64_t */
    C_TRUTH,  /* a condition; `negated` is its opposite */
    C_WIDE    /* a struct num: magnitude and sign */
};
/* How tightly the outermost operator binds. */
enum c_prec {
    C_PREC_OR,
    C_PREC_AND,
    C_PREC_BIT,
    C_PREC_COMPARE,
    C_PREC_SHIFT,
    C_PREC_ADD,
    C_PREC_MUL,
    C_PREC_UNARY,
    C_PREC_POST
};

struct c_value {
    enum c_value_kind kind;
    const char *code; /* in the generator's arena */
    /* NUM */
    enum c_form form;
    enum c_prec prec;
    bool literal;
    bool is_64; /* WHOLE: its C type has 64 bits */
    expr_num lo, hi;
    uint64_t always, maybe; /* WHOLE: bits that are always, and may be, set */
    const char *negated;    /* TRUTH */
    enum c_prec negated_prec;
    /* BYTES */
    bool in_view; /* they lie in the structure */
    bool has_size;
    uint32_t size_bytes;
    const char
        *behind; /* code of the pointer, where the bytes start `base` into the outermost view; or NULL */
    /* FIELD, STRUCT */
    const struct type *type;
    const struct field *field;
    const char *view;  /* code of the struct's view */
    uint32_t base;     /* bytes from the outermost view's start */
    const char *index; /* element of an array; for a member of a bits type, the code of the base integer */
    const struct type *bits; /* the bits type that `field` is a member of */
    /* TEXT */
    const char *text;
    size_t text_bytes;
};
/* Where an expression stands, and what it turned out to need. */
struct c_scope {
    const struct type *type;
    const struct field *field; /* self; NULL: the struct is */
    const struct field *bits;  /* self is this member of a bits type ... */
    const char *bits_base;     /* ... of this integer */
    const char *index;         /* element that self is, or NULL */
    uint64_t uses_params;      /* bit per parameter */
    bool uses_offset;          /* position of the structure */
};

struct c_value c_none(void);
/* Any expression; C_NONE when it needs more than the structure at hand. */
struct c_value c_compile(struct c_gen *g, struct c_scope *s, const struct expr *e);
struct c_value c_compile_call(struct c_gen *g, struct c_scope *s, const struct expr *e);
/* The field of the struct that view `v` lies over; element `index`, or NULL. */
struct c_value c_field_value(const struct type *type, const struct field *field, const char *index);
/* Conversions; C_NONE when there is none. */
struct c_value c_value_number(struct c_gen *g, struct c_value v);
struct c_value c_value_bytes(struct c_gen *g, struct c_value v);
struct c_value c_literal_bytes(struct c_gen *g, const void *bytes, size_t n);

/* ---- numbers: lib/layout/export_c_num.c ---- */

struct c_value c_literal(struct c_gen *g, expr_num n, bool hex);
/* An integer of C: `bits` wide, from lo to hi. */
struct c_value c_integer(const char *code, enum c_prec prec, unsigned bits, expr_num lo, expr_num hi);
struct c_value c_truth(const char *code, enum c_prec prec, const char *negated, enum c_prec negated_prec);
/* A helper that answers yes or no, and its opposite. */
struct c_value c_truth_call(struct c_gen *g, const char *call);
/* Is a number not zero? C_TRUTH. */
struct c_value c_condition(struct c_gen *g, struct c_value v);
/* A number in form C_WHOLE; negative ones set `bad`. */
struct c_value c_natural(struct c_gen *g, struct c_value v);
/* Code of type uint64_t that binds at least as tightly as `prec`. */
const char *c_u64(struct c_gen *g, struct c_value v, enum c_prec prec);
/* Code of a struct num. */
const char *c_wide(struct c_gen *g, struct c_value v);
struct c_value c_unary(struct c_gen *g, enum expr_op op, struct c_value a);
struct c_value c_binary(struct c_gen *g, enum expr_op op, struct c_value a, struct c_value b);
struct c_value c_choose(struct c_gen *g, struct c_value condition, struct c_value a, struct c_value b);
/* "priv_gpt_name(args)"; notes that the helper is needed. */
const char *c_call(struct c_gen *g, enum c_helper helper, const char *name, const char *args);
/* Can evaluating it set `bad` or `beyond`? */
bool c_may_fail(const char *code);

/* ---- statements ---- */

/* head text tail, at an indent, broken at operators and commas where it would pass the last column. */
void c_wrap(struct strbuf *out, unsigned indent, const char *head, const char *text, const char *tail);
/* Starts a function in body. */
void c_begin(struct c_gen *g, const char *signature);
/* A C string literal; NULL for NULL. */
void c_quote(struct strbuf *out, const char *text);
/* Declares `bad` and `beyond` where the code uses them, and marks what it does not use of `view` ("v", "m",
 * "u") and the arguments. */
void c_prologue(struct c_gen *g, struct strbuf *out, const char *code, const char *view,
                const struct c_scope *inputs);
/* Arguments behind the view: ", uint64_t offset_bytes, uint64_t sector_bytes" (declare) or the bare names,
 * with `offset` in place of the first. */
const char *c_arguments(struct c_gen *g, const struct c_scope *inputs, const char *offset, bool declare);

#endif
