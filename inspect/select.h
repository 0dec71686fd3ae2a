/* Finding what a path names: structures, fields, elements, bits.
 *
 * A path either selects structures (the path is above them or names one), or leads into one structure, to a
 * field, an element of an array field, a nested structure, a member of a bit field, or a flag. */
#ifndef PLAT_INSPECT_SELECT_H
#define PLAT_INSPECT_SELECT_H

#include "inspect/open.h"
#include "lib/layout/inst.h"

enum located_kind {
    LOCATED_STRUCT, /* inst */
    LOCATED_FIELD,  /* all elements of field in inst */
    LOCATED_VALUE,  /* value */
    LOCATED_MEMBER, /* value, and member: one of the fields of its bits type */
    LOCATED_FLAG    /* value, and flag: one of the names of its flag set */
};
/* Valid during the callback that receives it. */
struct located {
    enum located_kind kind;
    const char *path;
    struct inst inst; /* the struct, or the struct that holds the field */
    const struct field *field;
    struct value value;
    const struct field *member;
    const struct enum_value *flag;
};
/* The number in a bit-field member or flag. */
uint64_t located_bits(const struct located *located);
/* Follows path->steps[from_step ...] down from `inst`, calls fn with what it names. PLAT_ENOTFOUND names the
 * nearest names, or how many elements there are. */
typedef int (*located_fn)(void *ctx, const struct located *located, struct plat_err *err);
int locate(const struct inst *inst, const struct field_path *path, size_t from_step, located_fn fn, void *ctx,
           struct plat_err *err);

/* For a LOCATED_FIELD that is an array of structures: calls fn with each of them as LOCATED_STRUCT. */
int locate_each(const struct located *located, located_fn fn, void *ctx, struct plat_err *err);

struct select_sink {
    void *ctx;
    int (*array)(void *ctx, const char *path, uint64_t count, const struct type *type); /* NULL: ignored */
    int (*instance)(void *ctx, const struct inst *inst);   /* selected structures */
    int (*extent)(void *ctx, const struct extent *extent); /* extents the path selects; NULL: ignored */
    located_fn located;                                    /* what the path leads to inside a structure */
    struct finding_sink findings;                          /* damage met on the way */
};
/* Walks what the path selects. PLAT_ENOTFOUND when that is nothing, with the nearest names. PLAT_ESTOP from a
 * callback ends the walk, which is no failure. */
int select_walk(const struct inspect_image *image, const struct field_path *path,
                const struct select_sink *sink, struct plat_err *err);

/* Visits the fields of a structure in order, nested ones too. */
struct field_sink {
    void *ctx;
    /* A nested structure begins: return 0 to go in, 1 to skip it, negative to stop. NULL: go in. */
    int (*enter)(void *ctx, const struct inst *nested, const char *name, unsigned level);
    /* An element of a plain field. `name` is relative to the outermost structure: "first.head", "unused[3]".
     */
    int (*value)(void *ctx, const struct value *value, const char *name, unsigned level);
    /* An array of plain values; return as for enter. NULL: go in. */
    int (*array)(void *ctx, const struct inst *inst, const struct field *field, uint64_t count,
                 const char *name, unsigned level);
};
int fields_visit(const struct inst *inst, const struct field_sink *sink, struct plat_err *err);

#endif
