/* Private to the C exporter: its working state, names, and the parts it is made of.
 *
 * The parts append to two texts. `head` holds types, tables of constants and inline accessors; `body` holds
 * functions that are too long to inline (init, check, seal, names). layout_export_c assembles the flavour
 * that was asked for from them, with the helper functions that `body` turned out to need in front. */
#ifndef PLAT_LIB_LAYOUT_EXPORT_C_H
#define PLAT_LIB_LAYOUT_EXPORT_C_H

#include "lib/layout/export.h"

/* Helper functions that generated bodies may call; export_c_helper.c has their text. */
enum c_helper {
    C_HELPER_NUM, /* a number wider than C's: magnitude and sign */
    C_HELPER_WHOLE,
    C_HELPER_SIGNED,
    C_HELPER_MAKE,
    C_HELPER_STORED,
    C_HELPER_LESS,
    C_HELPER_MIN,
    C_HELPER_MAX,
    C_HELPER_SAME,
    C_HELPER_ADD,
    C_HELPER_SUB,
    C_HELPER_MUL,
    C_HELPER_DIV,
    C_HELPER_MOD,
    C_HELPER_SHL,
    C_HELPER_SHR,
    C_HELPER_NATURAL,
    C_HELPER_SNATURAL,
    C_HELPER_UDIV,
    C_HELPER_UMOD,
    C_HELPER_SDIV,
    C_HELPER_SMOD,
    C_HELPER_UADD,
    C_HELPER_UMUL,
    C_HELPER_UMIN,
    C_HELPER_UMAX,
    C_HELPER_ALIGN_DOWN,
    C_HELPER_ALIGN_UP,
    C_HELPER_POW2,
    C_HELPER_LOG2,
    C_HELPER_INDEX,
    C_HELPER_BYTES, /* a run of bytes */
    C_HELPER_SLICE,
    C_HELPER_TAIL,
    C_HELPER_UNTIL_NUL,
    C_HELPER_TRIM,
    C_HELPER_EQUAL,
    C_HELPER_ALL_ZERO,
    C_HELPER_UINT,
    C_HELPER_MIRRORED,
    C_HELPER_HOLE,
    C_HELPER_BYTE_AT,
    C_HELPER_CRC32,
    C_HELPER_CRC32C,
    C_HELPER_ADLER32,
    C_HELPER_SUM8ROR,
    C_HELPER_XXH64,
    C_HELPER_XXH64_LIB,
    C_HELPER_SHA256,
    C_HELPER_SHA256_LIB,
    C_HELPER_COUNT,
    C_HELPER_NONE = C_HELPER_COUNT
};

struct c_claim {
    const char *name;
    const char *origin; /* schema path, for the message when two collide */
};

/* What the functions of a type turned out to need and to cover; filled when they are emitted, inner types
 * first. */
struct c_facts {
    uint64_t check_params, seal_params, case_params; /* bit per parameter */
    bool check_offset, seal_offset, case_offset;     /* takes the position of the structure */
    bool has_check, has_seal;                        /* they do something */
    bool has_case;                                   /* union: x_case exists */
    const char
        *left; /* rows {field, text} of what x_check leaves to the run-time engine, as C; "" when none */
    const char *sealed; /* names of the fields that x_seal writes, as C strings with commas behind */
};

struct c_gen {
    const struct layout *layout;
    enum export_c what;
    struct plat_err *err;
    int failed; /* 0, or the class of the first failure; err is filled then */
    struct arena arena;
    struct strbuf head, body;
    const char *helpers[C_HELPER_COUNT]; /* names of those that were asked for; NULL: not */
    struct c_facts *facts;               /* by type, in the order of layout->types */
    struct c_claim *claims;
    size_t n_claims, cap_claims;
};

/* Records the failure once; returns its class. */
int c_fail(struct c_gen *g, int class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* printf into the arena; "" after a failure. */
const char *c_text(struct c_gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* File-scope identifier that must be unique. */
void c_claim(struct c_gen *g, const char *name, const char *origin);

/* ---- names ---- */

/* "gpt_header"; GPT_HEADER with c_upper. */
const char *c_type_name(struct c_gen *g, const struct type *type);
const char *c_upper(struct c_gen *g, const char *name);
/* "gpt_header_" + verb: the functions that every type has; never taken by a field. */
const char *c_verb(struct c_gen *g, const struct type *type, const char *verb);
/* "gpt_header_revision", "gpt_header_set_revision". */
const char *c_getter(struct c_gen *g, const struct type *type, const struct field *field);
const char *c_setter(struct c_gen *g, const struct type *type, const struct field *field, const char *verb);
/* A name for an argument: keywords and the generator's own locals get a trailing underscore. */
const char *c_argument(struct c_gen *g, const char *name);
/* "uint32_t" for a field's value (REPR_UINT, REPR_SINT, REPR_BOTH); smallest type of at least `bits` bits. */
const char *c_value_type(const struct field *field);
const char *c_uint_type(unsigned bits);
unsigned c_type_bits(unsigned bits); /* 8, 16, 32, 64 */
/* Is the field's place and size the same in every instance? */
bool c_field_is_fixed(const struct field *field);
/* Bytes that a view of this struct or union holds at least. */
uint32_t c_view_bytes(const struct type *type);
/* Schema text made safe for a comment: no line breaks, no comment ends. */
const char *c_comment_text(struct c_gen *g, const char *text);
/* Writes a comment of wrapped lines. */
void c_comment(struct strbuf *out, const char *indent, const char *text);

/* ---- parts ---- */

/* Emits every type into head and body; layout_export_c is this and the assembly. */
void c_emit_layout(struct c_gen *g);
void c_gen_free(struct c_gen *g);
struct c_facts *c_facts_of(struct c_gen *g, const struct type *type);

void c_emit_enum(struct c_gen *g, const struct type *type);
void c_emit_bits(struct c_gen *g, const struct type *type);
void c_emit_view(struct c_gen *g, const struct type *type); /* struct and union */
void c_emit_accessors(struct c_gen *g, const struct type *type);
void c_emit_cases(struct c_gen *g, const struct type *type);
void c_emit_init(struct c_gen *g, const struct type *type);
void c_emit_check(struct c_gen *g, const struct type *type);
void c_emit_seal(struct c_gen *g, const struct type *type);
/* Writes the helpers that head and body call. */
void c_emit_helpers(struct c_gen *g, struct strbuf *out);

/* "static inline " in a freestanding header, "" in a source file. */
const char *c_linkage(const struct c_gen *g);
/* Declares `signature` in head when the body lives in another file. */
void c_declare(struct c_gen *g, const char *signature);

#endif
