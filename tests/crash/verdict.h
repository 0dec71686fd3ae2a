/* What judges share: findings counted, and the same state looked at by way of `plat verify --data`. */
#ifndef PLAT_TESTS_CRASH_VERDICT_H
#define PLAT_TESTS_CRASH_VERDICT_H

#include "lib/layout/inst.h"
#include "tests/crash/crash.h"

struct verdict {
    unsigned errors;
    char *why; /* CRASH_WHY_BYTES, for the first of them */
};
/* A finding_sink's fn; ctx: a struct verdict. */
int verdict_finding(void *ctx, const struct finding *finding);
/* Do all layers, their checks and their contents say the same? Slow, so for some states. */
bool verdict_agrees(struct plat_dev *dev, bool sound, char *why);

#endif
