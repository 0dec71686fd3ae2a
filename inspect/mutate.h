/* Faults for images: where one can be planted, what it is, and what comes of it.
 *
 *   mutate_gather   one walk: each field that layouts describe, pairs of neighbours in arrays, extents. They are kept in
 *                   groups, one for each field of each type, at most MUTATE_GROUP_TARGETS of a group, drawn by seed: a
 *                   table of 65,536 numbers does not drown the header that leads to it
 *   mutate_draw     the next fault: groups take turns, what is planted in a group is drawn
 *   mutate_plant    the fault, in the overlay of an edit (inspect/edit.h), sealed or not
 *   mutate_judge    what verification finds in it that it did not find before
 *
 * The same seed gives the same faults everywhere: numbers come from one generator, and from nothing else. */
#ifndef PLAT_INSPECT_MUTATE_H
#define PLAT_INSPECT_MUTATE_H

#include "inspect/edit.h"
#include "lib/fs/verify.h"

enum {
    MUTATE_GROUP_TARGETS = 256,
    MUTATE_VALUE_BYTES = 512, /* longer ones change in this many bytes */
    MUTATE_SWAP_BYTES = 4096,
    MUTATE_MAX_COUNT = 100000
};

enum mutate_kind { MUTATE_FIELD, MUTATE_MIRROR, MUTATE_SWAP, MUTATE_EXTENT };
/* One place where a fault can be. */
struct mutate_target {
    char *path;                         /* in the image */
    struct range place;                 /* in the image: of the field, one of two neighbours, the extent */
    uint64_t index;                     /* of the structure in its array */
    uint64_t top, top_bytes, top_index; /* the outermost structure, in the layer */
    const struct type *top_type;
    struct image *image; /* of its layer; NULL: extents */
    bool in_stream;      /* what cannot be sealed: records of streams */
};
struct mutate_group {
    enum mutate_kind kind;
    const struct stack_layer *layer;
    const struct type *type; /* that has the field; of the neighbours */
    const struct field *field;
    enum extent_kind extent;
    struct mutate_target *targets;
    size_t n;
    uint64_t seen;
    bool unused; /* structures that are all zero: free entries, which are many, apart from the others */
    bool dry;    /* there is hardly another fault left in it */
};
struct mutate {
    const char *name;
    const struct inspect_options *options;
    struct plat_dev *dev;
    struct stack *stack;
    const char *const *only; /* patterns of paths; none: everything */
    size_t n_only;
    bool sealed, unsealed; /* which of the two are wanted */
    uint64_t random;       /* state */
    struct mutate_group *groups;
    size_t n_groups, turn;
    uint64_t *done; /* hashes of the faults so far: open addressing */
    size_t n_done, cap_done;
    uint64_t *known; /* findings of the image as it is, sorted */
    size_t n_known, cap_known;
    uint64_t unreachable; /* fields in compressed streams */
};
struct mutate_fault {
    const struct mutate_group *group;
    const struct mutate_target *target;
    const char *what; /* "max", "flag" */
    uint64_t at;      /* in the image: what changes begins here ... */
    size_t n;
    bool sealed;
    uint8_t old[MUTATE_SWAP_BYTES * 2], new[MUTATE_SWAP_BYTES * 2];
};

int mutate_gather(struct mutate *mutate, struct plat_err *err);
void mutate_free(struct mutate *mutate);
/* PLAT_ENOTFOUND, without a message: every group has run dry. */
int mutate_draw(struct mutate *mutate, struct mutate_fault *ret, struct plat_err *err);
/* Opens *ret, which the caller closes. */
int mutate_plant(const struct mutate *mutate, const struct mutate_fault *fault, struct edit *ret,
                 struct plat_err *err);

/* What there is to find in the image before anything is planted: call it once. */
int mutate_know(struct mutate *mutate, struct plat_err *err);
enum { MUTATE_WORST_NOTHING = SEVERITY_NOTE + 1 };
struct mutate_verdict {
    bool unrecognised;  /* verify cannot say what it is */
    int worst;          /* enum severity, or MUTATE_WORST_NOTHING */
    uint64_t n;         /* fresh findings */
    struct strbuf list; /* the first of them, as elements of a JSON array; free it */
};
int mutate_judge(const struct mutate *mutate, struct edit *edit, struct mutate_verdict *ret,
                 struct plat_err *err);

/* ---- for the parts of mutate ---- */

uint64_t mutate_random(struct mutate *mutate, uint64_t below);
/* A wrong value for the field, from the old one; `other` is that of another structure (NULL: there is none). Names it;
 * NULL: no such value here. */
const char *mutate_value(struct mutate *mutate, const struct field *field, const uint8_t *old,
                         const uint8_t *other, size_t n, uint64_t index, uint8_t *ret);
const char *mutate_kind_name(enum mutate_kind kind);

#endif
