/* Layouts at work on bytes: instances, values, walking, checking, sealing.
 *
 *   struct image   a layout laid over a device: parameter values, the device, cached map instances
 *   struct inst    one typed structure: where it lies and its bytes
 *   struct value   one field of one instance, decoded
 *
 * Everything that plat shows or judges passes through these: the static map (image_walk_map) and what a format's
 * driver finds (its walk callback) produce `struct inst`, and dump, hex, get and verify consume them. */
#ifndef PLAT_LIB_LAYOUT_INST_H
#define PLAT_LIB_LAYOUT_INST_H

#include "lib/base/bytes.h"
#include "lib/io/dev.h"
#include "lib/layout/layout.h"

/* ---- images ---- */

struct image {
    const struct layout *layout;
    struct plat_dev *dev;
    uint64_t *params; /* by index in layout->params */
    struct image_cache *cache;
};
struct param_setting {
    const char *name;
    uint64_t value;
};
int image_open(const struct layout *layout, struct plat_dev *dev, const struct param_setting *settings,
               size_t n_settings, struct image **ret, struct plat_err *err);
void image_close(struct image *image);
/* Forget cached map bytes (after a write). */
void image_invalidate(struct image *image);
/* Does any of the layout's identify patterns match? Fails only where the device or memory does. */
int layout_matches(const struct layout *layout, struct plat_dev *dev, const struct param_setting *settings,
                   size_t n_settings, bool *ret, struct plat_err *err);

/* ---- instances ---- */

/* Where bytes come from that the device does not hold as they are: decompressed metadata. Such an instance has two
 * addresses, its position in the stream and the block that it was decompressed from. */
struct inst_source {
    const char *stream; /* name: "inodes"; lives as long as the driver. NULL: the device itself */
    struct range block; /* in the device; all of them, where the instance straddles blocks */
};
struct inst {
    struct image *image;       /* for params, map names; never NULL */
    const struct type *type;   /* struct or union */
    const uint8_t *bytes;      /* size_bytes of them; the owner is whoever made the instance */
    size_t size_bytes;         /* on disk, dynamic parts included */
    uint64_t offset;           /* of byte 0 in image->dev; with a source in its stream */
    struct inst_source source; /* set by whoever makes an instance of a stream; nested ones inherit it */
    const struct inst *parent; /* enclosing struct, or NULL */
    uint64_t index;            /* position in its array, or 0 */
    bool is_mirror;            /* a declared copy: what is wrong with it is that it differs, nothing else */
    const char *path;          /* "primary", "dir[\"/EFI\"][2]": relative to the layer; owned by the maker */
};

/* Lays `type` over bytes that the caller holds. PLAT_ECORRUPT when n is too small (dynamic sizes resolved). */
int inst_make(struct image *image, const struct type *type, const uint8_t *bytes, size_t n, uint64_t offset,
              const char *path, struct inst *ret, struct plat_err *err);
/* Reads the map instance `entry` (element `index` of an array) from the device; bytes stay cached in the image
 * until the next image_map_inst of the same entry. PLAT_ENOTFOUND when its `when` is false. */
int image_map_inst(struct image *image, const struct map_entry *entry, uint64_t index, struct inst *ret,
                   struct plat_err *err);
/* Where a map entry lies; count elements of stride bytes (of a chain: where it begins, and 0 of both). Not clamped to
 * the device. */
struct map_place {
    bool present;
    uint64_t offset;
    uint64_t count;
    uint64_t stride;
    bool is_array;
};
int image_map_place(struct image *image, const struct map_entry *entry, struct map_place *ret,
                    struct plat_err *err);
/* Elements of a map array that is present; 1 for what is none. Follows a chain to its end, once; one that is damaged is
 * PLAT_ECORRUPT, and *ret then holds the elements before the damage. */
int image_map_count(struct image *image, const struct map_entry *entry, uint64_t *ret, struct plat_err *err);
/* Which case a union takes here (-1: none), or the type itself. */
const struct type *inst_shape(const struct inst *inst);
/* Offset and size of a field within its instance. */
int inst_field_place(const struct inst *inst, const struct field *field, struct range *ret,
                     struct plat_err *err);
/* A nested struct field, or element `index` of an array of structs, as an instance (parent = inst). `path_buf`
 * holds its path. */
int inst_nested(const struct inst *inst, const struct field *field, uint64_t index, char *path_buf,
                size_t path_buf_bytes, struct inst *ret, struct plat_err *err);

/* ---- values ---- */

struct value {
    const struct inst *inst;
    const struct field *field;
    uint64_t index;     /* element of an array field */
    struct range place; /* in the image, or in inst->source's stream */
    const uint8_t *bytes;
    size_t n;
    bool is_number;
    uint64_t number; /* sign-extended for signed fields */
};
/* Decodes element `index` of a field (not of REPR_TYPE). */
int inst_value(const struct inst *inst, const struct field *field, uint64_t index, struct value *ret,
               struct plat_err *err);
/* An element of a field from its bytes alone; its inst is NULL and its place empty. */
void value_from_bytes(const struct field *field, const uint8_t *bytes, size_t n, struct value *ret);
/* Number of elements (arrays) or 1. */
int inst_count(const struct inst *inst, const struct field *field, uint64_t *ret, struct plat_err *err);
/* As people read it: 'EFI PART', 0x00010000, esp, 2026-11-21 10:00:00, 4 (boot|hidden). No unit. */
void value_text(const struct value *value, struct strbuf *ret);
/* As JSON: number (text above 2^53), string, object for bits and flags. */
void value_json(const struct value *value, struct strbuf *ret);

/* ---- findings ---- */

struct finding {
    enum severity severity;
    const char *id;   /* "const", "derive", "reserved", "enum", "mirror", or the rule's own id */
    const char *path; /* layer-relative path of the field or structure */
    bool has_offset;
    uint64_t offset;               /* in the layer's device */
    uint64_t bytes;                /* how many bytes it concerns; 0: unknown */
    const char *stream;            /* offset and bytes are a block's, in whose stream it is ... */
    uint64_t position;             /* ... at this position; NULL: there is no stream */
    const char *text;              /* sentence */
    const char *expected, *found;  /* NULL when they do not apply */
    const char *const *refused_by; /* NULL-terminated or NULL */
};
/* Non-zero stops (PLAT_ESTOP for "enough"). */
typedef int (*finding_fn)(void *ctx, const struct finding *finding);
struct finding_sink {
    finding_fn fn;
    void *ctx;
};
/* Report in one call; text is printf-formatted. */
int finding_report(const struct finding_sink *sink, enum severity severity, const char *id, const char *path,
                   const uint64_t *offset, const char *const *refused_by, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));

/* Every check that the layout declares for this instance: const, valid, derive, reserved, enum, type rules; nested
 * structs too. */
int inst_check(const struct inst *inst, const struct finding_sink *sink, struct plat_err *err);
/* The layout's own rules and mirrors (cross-structure). */
int image_check_rules(struct image *image, const struct finding_sink *sink, struct plat_err *err);

/* ---- writing ---- */

/* Zero, then constants and defaults. bytes must hold the type's fixed size. */
int inst_init(const struct type *type, uint8_t *bytes, size_t n, struct plat_err *err);
/* Set one field from text as value_text prints it (numbers, enum names, guid, text). Validates range, not rules. */
int inst_set(const struct inst *inst, const struct field *field, uint64_t index, const char *text,
             uint8_t *bytes, struct plat_err *err);
/* Bits in a value: a member of its bits type, or a flag of its flag set (the other one is NULL); as inst_set. */
int inst_set_bits(const struct inst *inst, const struct field *field, uint64_t index,
                  const struct field *member, const struct enum_value *flag, const char *text, uint8_t *bytes,
                  struct plat_err *err);
/* Recompute every derived field of the instance in dependency order. `bytes` is inst->bytes, writable. */
int inst_seal(const struct inst *inst, uint8_t *bytes, struct plat_err *err);

/* What a derived field should hold, and whether it does. */
enum { DERIVED_MAX_BYTES = 64, FOLLOW_MAX_BYTES = 4096 };
struct derived {
    const struct field *field;
    uint64_t index;
    struct range place; /* as in struct value */
    bool stale;
    uint8_t bytes[DERIVED_MAX_BYTES];
};
/* Is the field derived here: does it have a rule, and does its "when" hold? */
bool inst_is_derived(const struct inst *inst, const struct field *field);
int inst_derived(const struct inst *inst, const struct field *field, uint64_t index, struct derived *ret,
                 struct plat_err *err);
/* Each derived field of a structure and those nested in it, the inner ones first. What cannot be computed, because
 * a number leads astray, is left out; PLAT_EIO and PLAT_ENOMEM fail. */
typedef int (*derived_fn)(void *ctx, const struct inst *inst, const struct derived *derived);
int inst_each_derived(const struct inst *inst, derived_fn fn, void *ctx, struct plat_err *err);

/* What a "follows" of the layout says. PLAT_ENOTFOUND, without a message, where it does not apply or cannot be
 * computed. */
struct follow_value {
    const struct follow *follow;
    struct range place; /* in the image */
    bool stale;
    uint8_t bytes[FOLLOW_MAX_BYTES];
};
int image_follow(struct image *image, const struct follow *follow, struct follow_value *ret,
                 struct plat_err *err);

/* ---- walking ---- */

struct extent {
    struct range place; /* in the layer's device */
    enum extent_kind kind;
    const char *path;  /* owner: structure path or file path; layer-relative */
    uint64_t position; /* data: of its first byte in the file; files whose contents are stored as they are */
};
/* Arrays longer than this (a FAT, say) are announced, but their elements come only to a sink that asks for them. */
enum { WALK_BULK_ELEMENTS = 16384 };
struct walk_sink {
    void *ctx;
    bool elements; /* the elements of bulk arrays, too (where `wants` agrees) */
    /* Should anything whose path starts with `path` be produced? NULL: yes. Lets dump and get stay lazy. */
    bool (*wants)(void *ctx, const char *path);
    /* An array starts; elements follow as instances with [i] behind its path. NULL: ignored. */
    int (*array)(void *ctx, const char *path, uint64_t count, const struct type *type);
    int (*instance)(void *ctx, const struct inst *inst);   /* NULL: ignored */
    int (*extent)(void *ctx, const struct extent *extent); /* NULL: ignored */
    struct finding_sink findings;                          /* damage met on the way; fn may be NULL */
};
/* Produces the static map. A map entry that is not all there, or has no place, is a finding and not a failure;
 * PLAT_EIO and PLAT_ENOMEM fail. */
int image_walk_map(struct image *image, const struct walk_sink *sink, struct plat_err *err);

#endif
