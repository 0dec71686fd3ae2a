/* What a mistyped word was meant to be: edit distance, the one nearest name, the few nearest of many. */
#ifndef PLAT_LIB_BASE_NEAREST_H
#define PLAT_LIB_BASE_NEAREST_H

#include <stddef.h>

#include "lib/base/text.h"

enum { NEAREST_KEEP = 5, NEAREST_NAME_BYTES = 96 };

/* Edits between two words (insert, delete, replace, swap of neighbours), each over its first NEAREST_NAME_BYTES. */
size_t edit_distance(const char *a, const char *b);

/* The name nearest to `word`, if it is near enough to be a typing error or an abbreviation; else NULL. `names` holds n
 * of them, or ends with NULL when n is SIZE_MAX. */
const char *nearest_name(const char *word, const char *const *names, size_t n);

/* Collects candidates one by one and keeps the best few. Set `wanted`, the rest zero. */
struct nearest {
    const char *wanted; /* borrowed */
    struct nearest_candidate {
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
