/* plat dump --json --data: all that plat assemble needs to make the same bytes again.
 *
 *   { "plat_dump": 1, "image": NAME, "bytes": N, "sector_bytes": N,
 *     "layers":     [ { "prefix", "format", "offset", "bytes", "params": {...} }, ... ],
 *     "structures": [ { "path", "layer": INDEX, "type", "case", "offset", "bytes", "fields": {...} }, ... ],
 *     "extents":    [ { "offset", "bytes", "data": BASE64 }, ... ],
 *     "stale":      [ PATH, ... ] }
 *
 * Structures have exact fields (inspect/exact.h). Extents are what no structure covers and is not zero; without "data" the
 * bytes stay in the image. "stale" names structures whose derived values are not what they should be: they stay so. */
#ifndef PLAT_INSPECT_DUMP_DATA_H
#define PLAT_INSPECT_DUMP_DATA_H

#include "inspect/open.h"

enum { DUMP_DATA_VERSION = 1 };

/* Prints to stdout. `inside`: extents carry their bytes. */
int dump_data(const struct inspect_image *image, const struct inspect_options *options, bool inside,
              struct plat_err *err);

#endif
