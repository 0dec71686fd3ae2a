/* Rows of an annotated hexdump:
 *
 *   00000200  45 46 49 20 50 41 52 54  EFI PART  signature  char[8]  'EFI PART'
 *   ^ offset  ^ bytes                  ^ characters  ^ note, on the first row only
 *
 * Rows that repeat the one before, as long runs of zeros do, become one row with a '*', as in other hexdumps.
 */
#ifndef PLAT_INSPECT_HEXROW_H
#define PLAT_INSPECT_HEXROW_H

#include "lib/base/bytes.h"
#include "lib/base/text.h"
#include "lib/cli/cli.h"

enum { HEX_WIDE_COLUMNS = 132, HEX_NARROW_COLUMNS = 72 };

struct hexrow {
    const struct cli *cli;
    struct strbuf *out;
    unsigned per_row; /* bytes: 4, 8 or 16, by the width of the terminal */
    unsigned offset_digits;
    bool all; /* no '*' rows */
};
void hexrow_init(struct hexrow *hex, const struct cli *cli, struct strbuf *out, uint64_t image_bytes,
                 bool all);
/* Bytes at `offset`, with a note (may be ""; cut to the width of a terminal). */
void hexrow_bytes(const struct hexrow *hex, uint64_t offset, const uint8_t *bytes, size_t n,
                  const char *note);
/* A line of its own: the name of the structure that follows. */
void hexrow_heading(const struct hexrow *hex, uint64_t offset, const char *text);

#endif
