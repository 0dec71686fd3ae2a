/* Private to the C exporter: expressions as C text. */
#ifndef PLAT_LIB_LAYOUT_EXPORT_C_EXPR_H
#define PLAT_LIB_LAYOUT_EXPORT_C_EXPR_H

#include "lib/layout/export_c.h"

enum c_value_kind {
    C_NONE,   /* needs the run-time engine */
    C_NUM,    /* code: a struct num */
    C_BYTES,  /* code: a struct bytes */
    C_TEXT,   /* text */
    C_FIELD,  /* field of type, in the struct at base; not yet loaded */
    C_STRUCT  /* type at base */
};
struct c_value {
    enum c_value_kind kind;
    const char *code; /* in the generator's arena */
    const struct type *type;
    const struct field *field;
    uint32_t base;     /* bytes from the view's start */
    const char *index; /* element of an array; for a member of a bits type, the base integer */
    const char *text;
    size_t text_bytes;
};
/* Where an expression stands, and what it turned out to need. */
struct c_scope {
    const struct type *type;
    const struct field *field; /* self; NULL: the struct is */
    const struct field *bits;  /* self is this member of a bits type ... */
    const char *bits_base;     /* ... of this integer */
    uint64_t uses_params;      /* bit per parameter */
    bool uses_offset;          /* position of the structure */
};

struct c_value c_compile(struct c_gen *g, struct c_scope *s, const struct expr *e);
struct c_value c_compile_call(struct c_gen *g, struct c_scope *s, const struct expr *e);
/* Conversions; C_NONE when there is none. */
struct c_value c_value_number(struct c_gen *g, struct c_value v);
struct c_value c_value_bytes(struct c_gen *g, struct c_value v);
/* C condition of a number; NULL when it is none. */
const char *c_condition(struct c_gen *g, struct c_value v);

/* One check that x_check makes, in order; shared with the agreement test. */
struct c_rule {
    const struct field *field; /* NULL: rule of the type */
    int result;                /* what x_check returns when it fails */
};
/* Whether everything that the run-time engine may report as an error for this struct is also in x_check. */
bool c_check_is_complete(struct c_gen *g, const struct type *type);
/* Arguments behind the view: ", uint64_t offset_bytes, uint64_t sector_bytes" (declare) or the bare names. */
struct c_scope c_rule_inputs(struct c_gen *g, const struct type *type, bool seal);
const char *c_arguments(struct c_gen *g, const struct c_scope *inputs, bool declare);

#endif
