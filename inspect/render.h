/* Shared words and colours of what the inspecting commands print. */
#ifndef PLAT_INSPECT_RENDER_H
#define PLAT_INSPECT_RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "inspect/open.h"
#include "inspect/runs.h"
#include "inspect/select.h"
#include "lib/base/text.h"
#include "lib/cli/cli.h"
#include "lib/layout/inst.h"

enum paint {
    PAINT_PLAIN,
    PAINT_STRONG,
    PAINT_DIM,
    PAINT_ERROR,
    PAINT_WARNING,
    PAINT_NOTE,
    PAINT_NAME,
    PAINT_VALUE
};
/* The escape sequence that begins a colour, and PAINT_PLAIN's that ends it; "" when colours are off. */
const char *paint(const struct cli *cli, enum paint colour);
enum paint paint_severity(enum severity severity);

/* "20,123". */
void render_count(struct strbuf *out, uint64_t n);
/* "1 error", "2 errors", "20,123 structures". */
void render_plural(struct strbuf *out, uint64_t n, const char *noun);
/* Type of a field as its schema has it: "u32", "guid", "u16[5]". */
void render_type(struct strbuf *out, const struct field *field);
/* A value with its unit: "512 byte", "'EFI PART'". */
void render_value(struct strbuf *out, const struct value *value);
/* A member of a bits type ("17", or its enum name), or a flag (0, 1). */
void render_bits(struct strbuf *out, const struct field *member, uint64_t bits);
/* The first sentence of a doc text, without its full stop. */
void render_hint(struct strbuf *out, const char *doc);
/* {"first_lba": 34, ...}: all fields of a structure, nested. */
int render_struct_json(struct strbuf *out, const struct inst *inst, struct plat_err *err);
/* All elements of a field: one value, or an array of them. */
int render_field_json(struct strbuf *out, const struct inst *inst, const struct field *field,
                      struct plat_err *err);
bool render_all_zero(const struct inst *inst);
/* What a path led to: its text (an array takes a line for each element, without a newline behind the last),
 * its JSON value, where its bytes lie. Structures as JSON only. */
int render_located_text(struct strbuf *out, const struct located *located, bool with_unit,
                        struct plat_err *err);
int render_located_json(struct strbuf *out, const struct located *located, struct plat_err *err);
int located_place(const struct located *located, struct range *ret, const uint8_t **ret_bytes,
                  struct plat_err *err);
/* Where a structure lies: "0x200", or "inodes+0x1a0 in the block at 0x12345". */
void render_place(struct strbuf *out, const struct inst *inst);
/* "gpt.entries[5..127]", without the first `skip` elements. */
void render_run_path(struct strbuf *out, const struct run *run, uint64_t skip);
/* True when the line of a run says all there is: zeros, or single numbers. */
bool render_run_is_short(const struct run *run);
/* A line for a run: "gpt.entries[5..127]  unused (zero)". */
int render_run(const struct cli *cli, struct strbuf *out, const struct run *run, uint64_t skip,
               struct plat_err *err);
/* "esp: FAT32 filesystem, 64.0 MiB at 0x100000" */
void render_layer(struct strbuf *out, const struct stack_layer *layer);

/* Writes to standard output and empties `out`. PLAT_ESTOP when that fails (cli_finish then says why, if that
 * is worth saying), PLAT_ENOMEM when the text is not complete. */
int render_flush(struct strbuf *out);

#endif
