/* Test results in TAP. A test program calls ok() for each claim and ends with `return tap_done();`. */
#ifndef PLAT_TESTS_TAP_H
#define PLAT_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_run, tap_failed;

__attribute__((format(printf, 2, 3))) static inline bool ok(bool good, const char *fmt, ...)
{
    va_list ap;
    tap_run++;
    tap_failed += !good;
    printf("%sok %d - ", good ? "" : "not ", tap_run);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    return good;
}

static inline bool ok_text(const char *got, const char *want, const char *what)
{
    bool good = strcmp(got, want) == 0;
    ok(good, "%s", what);
    if (!good)
        printf("#   got:  %s\n#   want: %s\n", got, want);
    return good;
}

/* Where instrumented code makes a test too slow it tries one case in so many (PLAT_TEST_SHARE, tests/tests.mk), always
 * the same ones; 1 when nothing is asked. */
static inline unsigned tap_share(void)
{
    const char *text = getenv("PLAT_TEST_SHARE");
    long share = text != NULL ? strtol(text, NULL, 10) : 1;
    return share >= 1 && share <= 1000 ? (unsigned)share : 1;
}

static inline int tap_done(void)
{
    printf("1..%d\n", tap_run);
    return tap_failed == 0 ? 0 : 1;
}

#endif
