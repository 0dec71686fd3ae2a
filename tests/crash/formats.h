/* The formats that power cuts are tried on, each with the names of the steps that can be left out of it. */
#ifndef PLAT_TESTS_CRASH_FORMATS_H
#define PLAT_TESTS_CRASH_FORMATS_H

#include "lib/base/bytes.h"
#include "tests/crash/crash.h"

extern const struct crash_format crash_caposst1, crash_caposwf1;
extern const char *const crash_caposst1_steps[], *const crash_caposwf1_steps[];
extern const size_t n_crash_caposst1_steps, n_crash_caposwf1_steps;

#endif
