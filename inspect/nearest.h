/* Names close to a mistyped one, for "did you mean": collects candidates one by one, keeps the best few. */
#ifndef PLAT_INSPECT_NEAREST_H
#define PLAT_INSPECT_NEAREST_H

#include <stddef.h>

#include "lib/base/text.h"

enum { NEAREST_KEEP = 5, NEAREST_NAME_BYTES = 96 };

struct nearest {
    const char *wanted; /* borrowed */
    struct nearest_name {
        char name[NEAREST_NAME_BYTES];
        size_t distance;
    } best[NEAREST_KEEP]; /* by distance, then in order of arrival */
    size_t n;
};
/* Ignores names that are there already; a longer name than NEAREST_NAME_BYTES is cut. */
void nearest_add(struct nearest *nearest, const char *name, size_t n);
/* "boot, fat, fat2": nothing when none was added. */
void nearest_list(const struct nearest *nearest, struct strbuf *ret);

#endif
