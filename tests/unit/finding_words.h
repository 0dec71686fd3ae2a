/* Findings as one line of text: "[id path] [id path] ", and how many of them are errors. */
#ifndef PLAT_TESTS_FINDING_WORDS_H
#define PLAT_TESTS_FINDING_WORDS_H

#include <stdio.h>
#include <string.h>

#include "lib/layout/inst.h"

struct words {
    unsigned n;
    char text[2048];
};
static inline int keep(void *ctx, const struct finding *finding)
{
    struct words *words = ctx;
    size_t used = strlen(words->text);
    words->n += finding->severity == SEVERITY_ERROR;
    (void)snprintf(words->text + used, sizeof words->text - used, "[%s %s] ", finding->id, finding->path);
    return 0;
}

#endif
