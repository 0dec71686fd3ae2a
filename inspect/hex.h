/* What the two ways of plat hex share: by structure (hex.c) and by offset (hex_at.c). */
#ifndef PLAT_INSPECT_HEX_H
#define PLAT_INSPECT_HEX_H

#include "inspect/hexrow.h"
#include "inspect/open.h"
#include "lib/layout/inst.h"

struct hex {
    const struct cli *cli;
    const struct inspect_image *image;
    struct strbuf out;
    struct hexrow rows;
    struct plat_err *err;
};
/* Everything from `part` that is in the image: whatever claims it, and what nothing claims. Without
 * given_length: the field at part.start, or the row of data that begins there. */
int hex_range(struct hex *hex, struct range part, bool given_length);
/* The fields of a structure that overlap `part`, a row or more for each. */
int hex_struct(struct hex *hex, const struct inst *inst, struct range part);
/* One value: its bytes, and name, type and value as the note. */
void hex_value(struct hex *hex, const struct value *value, const char *name);
/* Bytes without a type, read from the image. The note stands on the first row. */
int hex_plain(struct hex *hex, struct range part, const char *note);

#endif
