/* Private to lib/fs: what the parts of the stack share. */
#ifndef PLAT_LIB_FS_STACK_PRIVATE_H
#define PLAT_LIB_FS_STACK_PRIVATE_H

#include "lib/fs/stack.h"

enum {
    STACK_MAX_RANGES = 1 << 20,      /* separate pieces of metadata of one table or schema */
    STACK_ALIGNMENT_BYTES = 1 << 20, /* a gap shorter than this is alignment, a longer one free space */
    STACK_MAX_GAPS = 1 << 16
};

/* "prefix" and a layer-relative path as one path: "esp.boot", "esp:/EFI/BOOT" for a file, "boot" without prefix.
 * Valid until the next call with the same buffer; NULL when out of memory. */
const char *stack_path(struct strbuf *buf, const char *prefix, const char *path);

/* A partition's place on the device, clamped to it. False: it begins beyond the end or overflows. *ret_whole says
 * whether all of its sectors are there; the image may end in the middle of the last one, as images do whose maker
 * stops behind the last byte of content. */
bool stack_window(const struct stack *stack, const struct table_partition *partition, struct range *ret,
                  bool *ret_whole);

/* Bytes of the image that belong to no structure of a table and to no partition, ascending. Only where the stack has
 * a table and all its layers. The callback's non-zero return stops. */
typedef int (*stack_gap_fn)(void *ctx, size_t index, struct range gap);
int stack_gaps(struct stack *stack, stack_gap_fn fn, void *ctx, struct plat_err *err);

/* Ranges that were seen, in any order. */
struct stack_ranges {
    struct range *list;
    size_t n, cap;
};
int stack_ranges_add(struct stack_ranges *ranges, struct range range, struct plat_err *err);
/* Calls fn for what lies in [0, size_bytes) and in no range. Sorts the list. */
int stack_ranges_gaps(struct stack_ranges *ranges, uint64_t size_bytes, stack_gap_fn fn, void *ctx);

#endif
