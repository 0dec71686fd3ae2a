/* Reading a JSON object of any size: its members, and of arrays the elements, come one at a time. Memory is bounded by the
 * largest of them, and that by JSON_STREAM_MAX_BYTES. */
#ifndef PLAT_INSPECT_JSON_STREAM_H
#define PLAT_INSPECT_JSON_STREAM_H

#include <jansson.h>
#include <stdio.h>

#include "lib/base/err.h"
#include "lib/base/text.h"

enum { JSON_STREAM_MAX_BYTES = 16 << 20, JSON_STREAM_MAX_DEPTH = 64 };

/* `index` is that of the element, or -1 for a member that is no array. The value is freed afterwards. Non-zero stops. */
typedef int (*json_stream_fn)(void *ctx, const char *key, int64_t index, json_t *value, struct plat_err *err);
/* The whole input must be one object. PLAT_EINVALID with the line. `text` is what may be in the way of memory. */
int json_stream(FILE *in, json_stream_fn fn, void *ctx, struct plat_err *err);

#endif
