/* The user's own descriptions of formats: PLAT_SCHEMAS names directories, with colons between them, and every file
 * *.json in them is a layout. */
#ifndef PLAT_INSPECT_SCHEMAS_H
#define PLAT_INSPECT_SCHEMAS_H

#include "lib/layout/layout.h"

enum { SCHEMAS_MAX = 256 };

/* Directory by directory, in each by name (bytewise), so that which layout is asked first does not depend on the disk.
 * A fault in one is an error that names it: a format that silently is not there would be looked for elsewhere. `path`
 * NULL or empty: none. */
int schemas_load(const char *path, struct layout ***ret, size_t *ret_n, struct plat_err *err);
void schemas_free(struct layout **list, size_t n);

#endif
