/* Private to lib/fs: what the parts of the stack share. */
#ifndef PLAT_LIB_FS_STACK_PRIVATE_H
#define PLAT_LIB_FS_STACK_PRIVATE_H

#include "lib/fs/stack.h"

enum {
    STACK_MAX_RANGES = 1 << 20, /* separate pieces of metadata of one table or schema */
    STACK_MAX_GAPS = 1 << 16
};

/* A partition's place on the device, clamped to it. False: it begins beyond the end or overflows. *ret_whole says
 * whether all of its sectors are there; the image may end in the middle of the last one, as images do whose maker
 * stops behind the last byte of content. */
bool stack_window(const struct stack *stack, const struct table_partition *partition, struct range *ret,
                  bool *ret_whole);

/* Bytes of the image that belong to no structure of a table and to no partition, ascending. Only where the stack has
 * a table and all its layers. The callback's non-zero return stops. */
typedef int (*stack_gap_fn)(void *ctx, size_t index, struct range gap);
int stack_gaps(struct stack *stack, stack_gap_fn fn, void *ctx, struct plat_err *err);

int stack_layer_add(struct stack *stack, struct stack_layer **ret, struct plat_err *err);
/* Opens `driver` in a layer whose device is set. Failure is kept in the layer; only what no other layer could
 * survive is returned. */
int stack_layer_open(struct stack_layer *layer, const struct fs_driver *driver, const char *refusal,
                     const struct fs_open_options *options, struct plat_err *err);
/* Closes what the layer has open, and its device if it owns it. */
void stack_layer_close(struct stack_layer *layer);

/* stack_share.c. The last layer has the format that fits its device best: adds the layers of those that lie beside it.
 * `results` by index in fs_drivers. `only` (NULL: all): a prefix; the others are dropped. */
int stack_share_open(struct stack *stack, const struct fs_probe_result *results,
                     const struct fs_open_options *options, const char *only, struct plat_err *err);
/* "data-fs" is layer "fs" of "data": the length of "data", and the prefix. False: it ends in no such prefix. */
bool stack_share_name(const char *name, size_t *ret_bytes, const char **ret_prefix);
/* Is this byte of the layer's device its own? Where layers share nothing, or it is not known, all of them are. */
bool stack_share_owns(const struct stack_layer *layer, uint64_t offset);
/* Bytes of the layer's device that are its own. */
uint64_t stack_share_bytes(const struct stack_layer *layer);
/* The format that the layer leaves room for, where nothing of it is recognised; NULL: it leaves none, or has a neighbour.
 */
const struct fs_driver *stack_share_missing(const struct stack_layer *layer);
/* Bytes that no layer of the device owns and, `overlap`, those that two do; called for the first layer of each shared
 * device. */
typedef int (*stack_share_fn)(void *ctx, const struct stack_layer *layer, size_t index, struct range part,
                              bool overlap);
int stack_share_parts(struct stack *stack, stack_share_fn fn, void *ctx);

/* ---- stack_schema.c ---- */

/* Lays a layout over a layer's device. */
int stack_open_schema(struct stack_layer *layer, const struct layout *schema,
                      const struct stack_options *options, uint32_t sector_bytes, struct plat_err *err);
/* Does the layout say that it fits the device? NULL, and one that does not say how it is recognised, fit none. */
int stack_schema_matches(const struct layout *schema, const struct stack_options *options,
                         struct plat_dev *dev, uint32_t sector_bytes, bool *ret, struct plat_err *err);
/* What no driver knows: the first layout that fits; *ret is NULL where none does. */
int stack_find_schema(const struct stack_options *options, struct plat_dev *dev, uint32_t sector_bytes,
                      const struct layout **ret, struct plat_err *err);

/* Ranges that were seen, in any order. */
struct stack_ranges {
    struct range *list;
    size_t n, cap;
};
int stack_ranges_add(struct stack_ranges *ranges, struct range range, struct plat_err *err);
/* Calls fn for what lies in [0, size_bytes) and in no range. Sorts the list. */
int stack_ranges_gaps(struct stack_ranges *ranges, uint64_t size_bytes, stack_gap_fn fn, void *ctx);

#endif
