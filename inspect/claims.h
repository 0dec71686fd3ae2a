/* Who claims which bytes: what walks say of an image, in the order of the image and in bounded memory.
 *
 * Claims come in any order. What does not fit into CLAIMS_IN_MEMORY of them, or into CLAIMS_TEXT_BYTES of paths, goes
 * sorted into an unlinked temporary file (TMPDIR), and comes back merged; so a million files need no more memory than a
 * few thousand. */
#ifndef PLAT_INSPECT_CLAIMS_H
#define PLAT_INSPECT_CLAIMS_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/layout/inst.h"

enum {
    CLAIMS_IN_MEMORY = 1 << 16,
    CLAIMS_TEXT_BYTES = 4 << 20,
    CLAIMS_PATH_BYTES = 1 << 20, /* of one path */
    CLAIMS_RUNS = 48             /* sorted parts of the temporary file; then they are merged into one */
};
#define CLAIMS_SPOOL_BYTES ((uint64_t)32 << 30)
enum { CLAIM_NO_LAYER = UINT32_MAX };

struct claim {
    struct range place; /* in the whole image; never empty */
    uint64_t position;  /* as in struct extent */
    uint64_t number;    /* in the order in which they were added: 0, 1, 2 ... */
    uint32_t layer;     /* index in the stack, or CLAIM_NO_LAYER */
    enum extent_kind kind;
    const char *path; /* valid during the call or callback */
};

/* Of several that claim a byte the one of the least rank owns it. */
int claim_rank(enum extent_kind kind);

struct claims;
/* in_memory: how many before the temporary file is used; 0: CLAIMS_IN_MEMORY. */
int claims_open(size_t in_memory, struct claims **ret, struct plat_err *err);
void claims_close(struct claims *claims); /* NULL is fine */
/* Sets number. PLAT_ELIMIT beyond CLAIMS_SPOOL_BYTES, or CLAIMS_PATH_BYTES. */
int claims_add(struct claims *claims, const struct claim *claim, struct plat_err *err);
/* All of them by place.start, at one place metadata before data, padding, free space, unclaimed bytes, and by number.
 * May be called again, but nothing added behind it. Returns what the callback returned when that is not 0. */
typedef int (*claim_fn)(void *ctx, const struct claim *claim);
int claims_each(struct claims *claims, claim_fn fn, void *ctx, struct plat_err *err);

#endif
