/* Private to the Rust exporter: its state and its names. */
#ifndef PLAT_LIB_LAYOUT_EXPORT_RUST_H
#define PLAT_LIB_LAYOUT_EXPORT_RUST_H

#include "lib/layout/export.h"

struct rust_claim {
    const char *scope; /* "" for the module; else the type whose methods they are */
    const char *name;
    const char *origin; /* schema path */
};
struct rust_gen {
    const struct layout *layout;
    struct plat_err *err;
    int failed; /* 0, or the class of the first failure; err is filled then */
    struct strbuf out;
    struct arena arena;
    struct rust_claim *claims;
    size_t n_claims, cap_claims;
};

/* printf into the arena; "" after a failure. */
const char *rust_text(struct rust_gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A name that must be unique in its scope; PLAT_EINVALID otherwise, naming both origins. */
void rust_claim(struct rust_gen *g, const char *scope, const char *name, const char *origin);

/* "GptHeader" from "gpt_header", clear of the prelude. */
const char *rust_type_name(struct rust_gen *g, const char *name);
/* "partition_type"; clear of primitive types. */
const char *rust_module_name(struct rust_gen *g, const char *name);
/* A method; keywords become raw identifiers, the generator's own methods stay its own. */
const char *rust_method_name(struct rust_gen *g, const char *name);
/* "ESP" */
const char *rust_const_name(struct rust_gen *g, const char *name);
/* "u8" to "u64", "i8" to "i64": the smallest that holds `bits`. */
const char *rust_int_type(unsigned bits, bool is_signed);
/* Schema text as the rest of a line in a comment. */
const char *rust_comment(struct rust_gen *g, const char *text);

/* Accessors of every field of a struct: into the impl of its view, of its editor. export_rust_access.c */
void rust_emit_getters(struct rust_gen *g, const struct type *type);
void rust_emit_setters(struct rust_gen *g, const struct type *type);

#endif
