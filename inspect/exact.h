/* Structures as JSON that gives the same bytes again, and such JSON as bytes.
 *
 * A field is written as plat dump has it where its bytes follow from that, and else as {"hex": "..."}: text behind its
 * terminator, text that is not UTF-8, a union inside a structure. */
#ifndef PLAT_INSPECT_EXACT_H
#define PLAT_INSPECT_EXACT_H

#include <jansson.h>

#include "lib/layout/inst.h"

/* {"first_lba": 34, ...} */
int exact_put(struct strbuf *out, const struct inst *inst, struct plat_err *err);
/* `fields` into inst->bytes, which are `bytes`, zero and writable; inst->type is a struct. Fields that are missing stay zero.
 * PLAT_EINVALID names the field. */
int exact_get(const struct inst *inst, uint8_t *bytes, json_t *fields, struct plat_err *err);

/* Base64 (RFC 4648), appended; and back: the number of bytes, or -1 for anything but whole base64 that fits into n. */
void base64_put(struct strbuf *out, const uint8_t *bytes, size_t n);
int64_t base64_get(const char *text, size_t length, uint8_t *ret, size_t n);

#endif
