/* Private to the Kaitai exporter: its state, and expressions as Kaitai has them. */
#ifndef PLAT_LIB_LAYOUT_EXPORT_KSY_H
#define PLAT_LIB_LAYOUT_EXPORT_KSY_H

#include "lib/layout/export.h"

enum ksy_kind {
    KSY_NONE, /* cannot be said */
    KSY_NUM,
    KSY_BOOL,
    KSY_ENUM,  /* type */
    KSY_TEXT,  /* a string of the image */
    KSY_QUOTE, /* a text of the layout: text */
    KSY_OBJECT /* type: struct, union, flags or bits */
};
struct ksy_value {
    enum ksy_kind kind;
    const char *code;
    const struct type *type;
    bool is_array;
};
struct ksy {
    const struct layout *layout;
    struct strbuf out;
    struct arena arena;
    bool *lost;  /* by index in layout->map: entries that cannot be said */
    bool failed; /* out of memory */
    bool beyond; /* an expression became longer than KSY_MAX_TEXT_BYTES */
};
enum { KSY_MAX_TEXT_BYTES = 16384 };
/* Where an expression stands. */
struct ksy_scope {
    const struct type *type; /* whose fields are bare names; NULL: none */
    const char *prefix;      /* in front of them: "", "_.", "union_head." */
};

/* printf into the arena; "" where there is no memory or it becomes too long. */
const char *ksy_text(struct ksy *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A name of the layout as Kaitai takes it: none begins with an underscore there. */
const char *ksy_id(struct ksy *k, const char *name);
/* The field, read as `code`. */
struct ksy_value ksy_field(struct ksy *k, const struct field *f, const char *code);
/* Code of a number, of a condition; NULL: it cannot be said. */
const char *ksy_number(struct ksy *k, const struct ksy_scope *scope, const struct expr *e);
const char *ksy_condition(struct ksy *k, const struct ksy_scope *scope, const struct expr *e);

#endif
