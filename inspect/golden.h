/* plat golden: what an image holds, written down as text that people review, and compared with later.
 *
 *     plat-golden 1
 *     partition esp                     what -p, --only and --ignore were
 *     ignore *.mtime
 *
 *     image
 *         bytes = 1048576
 *     structure boot
 *         @ = 0x0, boot, 512 bytes      where it lies, what it is
 *         bytes_per_sector = 512 byte
 *     file /EFI
 *         kind = directory
 *     bytes boot code padding
 *         sum = zero
 *
 *   golden.c        the command; writing; comparing
 *   golden_file.c   reading such a file, which somebody may have edited
 *   golden_take.c   an image as groups of lines
 *
 * A group is a record (records.h): the key is its first line, the body its other lines, each "NAME = VALUE", of an image with
 * a tab and the place behind it. Texts are visible (strbuf_visible), so neither tabs nor newlines occur in them. */
#ifndef PLAT_INSPECT_GOLDEN_H
#define PLAT_INSPECT_GOLDEN_H

#include "inspect/picture.h"

enum { GOLDEN_VERSION = 1, GOLDEN_MAX_LINE = 1 << 20, GOLDEN_MAX_PATTERNS = 1000 };

struct golden_patterns {
    const char *list[GOLDEN_MAX_PATTERNS];
    size_t n;
};
/* What stands before the groups. */
struct golden_head {
    const char *partition; /* NULL: none */
    struct golden_patterns only, ignore;
    struct arena arena;
};
/* `ret` is zero-initialised; free its arena, also after a failure. The groups go into `groups`, unsorted. PLAT_EINVALID names
 * the line. */
int golden_read(const char *name, struct golden_head *ret, struct records *groups, struct plat_err *err);

/* All groups of an image into `groups`; `with_sum`: with a sum of all its bytes. */
int golden_take(struct picture *picture, bool with_sum, struct records *groups, struct plat_err *err);

#endif
