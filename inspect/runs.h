/* Neighbouring elements of an array that need not be shown one by one: all zero, all the same, or one number
 * that rises by one from element to element (a FAT's chains). */
#ifndef PLAT_INSPECT_RUNS_H
#define PLAT_INSPECT_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/text.h"
#include "lib/layout/inst.h"

enum { RUN_MAX_ELEMENT_BYTES = 4096 };
enum run_kind { RUN_SINGLE, RUN_SAME, RUN_RISING };

/* Elements seen and not passed on yet. Zero-initialise; run_free. */
struct run {
    bool active;
    enum run_kind kind;
    uint64_t first_index, last_index;
    struct strbuf base;      /* path of the array */
    struct inst first, last; /* copies: bytes and path are the run's own */
    uint8_t *bytes;          /* of first, then of last: RUN_MAX_ELEMENT_BYTES each */
    char *paths;             /* of first, then of last: path_room each */
    size_t path_room;
};
/* The path of an element split: length of the array's path, and the index. False: not an element. */
bool run_split_path(const char *path, size_t *ret_base, uint64_t *ret_index);
/* The one integer that a structure consists of; NULL when it has other fields. */
const struct field *run_number_field(const struct inst *inst);
/* Adds an element behind the run: true; false when it does not continue it (flush the run, then begin with
 * it). */
bool run_extend(struct run *run, const struct inst *inst, uint64_t index, size_t base_bytes);
/* Begins a run with one element of at most RUN_MAX_ELEMENT_BYTES. */
int run_begin(struct run *run, const struct inst *inst, uint64_t index, size_t base_bytes,
              struct plat_err *err);
void run_free(struct run *run);

#endif
