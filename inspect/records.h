/* Records sorted by key, in bounded memory: what is compared of two images, or with a file, comes in any order and is read
 * in one.
 *
 * What does not fit into RECORDS_MEMORY_BYTES goes, sorted, into unlinked temporary files (TMPDIR). Reading merges them. */
#ifndef PLAT_INSPECT_RECORDS_H
#define PLAT_INSPECT_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

enum {
    RECORDS_MEMORY_BYTES = 8 << 20, /* of keys and bodies, of one set */
    RECORDS_MAX_BYTES = 4 << 20,    /* of one record */
    RECORDS_RUNS = 32               /* temporary files; then they are merged into one */
};
#define RECORDS_SPOOL_BYTES ((uint64_t)64 << 30)

struct record_view {
    const char *key; /* NUL-terminated, as is whatever the body says is text */
    const uint8_t *body;
    size_t key_bytes, body_bytes; /* key_bytes without the NUL */
};
struct records;
int records_open(struct records **ret, struct plat_err *err);
void records_close(struct records *records); /* NULL is fine */
/* Keys are compared bytewise; equal ones stay in the order in which they were added.
 * PLAT_ELIMIT beyond RECORDS_MAX_BYTES or RECORDS_SPOOL_BYTES. */
int records_add(struct records *records, const struct record_view *record, struct plat_err *err);

/* Reading from the first on; nothing can be added behind it. *ret is valid until the next call; its key is NULL at the end. */
int records_rewind(struct records *records, struct plat_err *err);
int records_next(struct records *records, struct record_view *ret, struct plat_err *err);

/* Bytewise by key; a NULL key is behind all others. */
int record_compare(const struct record_view *a, const struct record_view *b);

/* Steps through two sorted sets side by side: ret[side] has a NULL key where that side has no such record; both, at the end.
 * Zero-initialise but for the sets, which have been rewound. */
enum { RECORDS_SIDES = 2 };
struct records_pair {
    struct records *sets[RECORDS_SIDES];
    struct record_view at[RECORDS_SIDES];
    bool has[RECORDS_SIDES]; /* what is at hand was not given out yet */
};
int records_pair_next(struct records_pair *pair, struct record_view ret[RECORDS_SIDES], struct plat_err *err);

#endif
