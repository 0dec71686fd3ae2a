/* Printing selected structures as text or JSON, one at a time as the walk finds them: what dump does, and get
 * for a path at or above a structure. Memory stays bounded by the largest structure. In JSON runs of elements
 * are joined only in arrays longer than WALK_BULK_ELEMENTS. */
#ifndef PLAT_INSPECT_DUMP_H
#define PLAT_INSPECT_DUMP_H

#include "inspect/select.h"
#include "lib/cli/cli.h"

struct dump_options {
    bool json;
    bool all;       /* every element by itself */
    uint64_t depth; /* levels to print: 1 structures and arrays, 2 their fields and elements, ...; 0: all */
};
/* Prints to stdout. Returns 0, or a class with *err filled. *ret_damaged: structures that could not be read
 * were met, and named: in the JSON, else on stderr. */
int dump_print(const struct cli *cli, const struct inspect_image *image, const struct field_path *path,
               const struct dump_options *options, bool *ret_damaged, struct plat_err *err);
/* Appends one structure as text, as dump shows it: a heading and `levels` levels of fields (UINT_MAX: all).
 */
int dump_struct_text(const struct cli *cli, struct strbuf *out, const struct inst *inst, bool with_hints,
                     unsigned levels, struct plat_err *err);

#endif
