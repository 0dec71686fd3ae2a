/* Private to lib/layout: evaluating expressions over instances. */
#ifndef PLAT_LIB_LAYOUT_EVAL_H
#define PLAT_LIB_LAYOUT_EVAL_H

#include "lib/layout/inst.h"

enum {
    EVAL_MAX_HASH_BYTES = 256 << 20, /* one hash over more than this is refused */
    EVAL_MAX_LOAD_BYTES = 1 << 20    /* byte strings that must be held in memory */
};

struct eval {
    struct image *image;
    const struct inst *inst;   /* struct at hand; NULL in the map */
    const struct field *field; /* self; NULL: the struct is self */
    uint64_t index;            /* element of self, or of the array that a rule runs over */
};

enum ev_kind { EV_NUM, EV_TEXT, EV_BYTES, EV_INST, EV_FIELD, EV_MAP, EV_IMAGE };
struct ev {
    enum ev_kind kind;
    bool in_image;        /* BYTES: at offset in the device; bytes == NULL means not loaded */
    bool in_stream;       /* BYTES in_image: offset is in a decompressed stream; bytes are never NULL */
    bool whole;           /* FIELD: the whole array */
    expr_num num;         /* NUM */
    const uint8_t *bytes; /* TEXT, BYTES */
    uint64_t n;
    uint64_t offset;  /* BYTES in_image */
    struct inst inst; /* INST; FIELD: its struct */
    const struct field *field;
    uint64_t index;
    const struct map_entry *entry;
    uint8_t digest[32];
};

int eval_num(const struct eval *ctx, const struct expr *e, expr_num *ret, struct plat_err *err);
/* A number in [0, 2^64). */
int eval_u64(const struct eval *ctx, const struct expr *e, uint64_t *ret, struct plat_err *err);
int eval_bool(const struct eval *ctx, const struct expr *e, bool *ret, struct plat_err *err);
int eval_any(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err);
/* Text of any result, for messages. */
void ev_text(const struct ev *ev, struct strbuf *ret);
/* expr_functions[] by index; lib/layout/eval_call.c */
int eval_call(const struct eval *ctx, const struct expr *e, struct ev *ret, struct plat_err *err);
/* Turns a field, struct or map entry into the bytes it occupies. */
int ev_place(const struct eval *ctx, const struct ev *ev, struct ev *ret, struct plat_err *err);

/* image_map_inst for expressions: does not touch the element that a walk is at, nor the one that was asked for before. */
int image_map_beside(struct image *image, const struct map_entry *entry, uint64_t index, struct inst *ret,
                     struct plat_err *err);

/* Raw integer of a field's element; the caller has checked that the field is one. */
uint64_t field_load(const struct inst *inst, const struct field *field, uint32_t offset, uint64_t index);
/* Writes a number into p as the field has it there; a member of a bits type leaves the bits around it alone. */
void field_store(const struct field *field, uint8_t *p, uint64_t number);
/* UTF-16 to UTF-8; lone surrogates become U+FFFD. Ends at NUL where the padding rule says so. */
void utf16_to_text(const uint8_t *bytes, uint64_t units, bool big_endian, bool stop_at_nul,
                   struct strbuf *ret);
/* Length of the text in a padded char field. */
size_t chars_length(const uint8_t *bytes, uint64_t n, enum field_pad pad);
/* Path of a field of an instance: "primary.my_lba", "x.name[3]". */
void field_path(const struct inst *inst, const struct field *field, uint64_t index, char *buf,
                size_t buf_bytes);

/* Compares a mirror with its original; lib/layout/mirror.c */
int mirror_check(struct image *image, const struct map_entry *entry, const struct finding_sink *sink,
                 struct plat_err *err);

#endif
