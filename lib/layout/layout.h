/* The layout language: one JSON description per format, loaded into this model.
 *
 * The language (the full reference with examples is man/plat-layout.5; its JSON Schema is
 * schemas/layout.schema.json):
 *
 *   { "layout": "gpt", "title": "...", "spec": "...", "doc": "...", "drawing": [LINE, ...], "endian": "little" | "big",
 *     "params":   { NAME: { "default": N, "unit": U, "doc": D, "choices": [N, ...] } },
 *     "identify": [ { "at": EXPR, "bytes": "text" | "hex:55aa" } ],     any one matching identifies the format
 *     "types":    { NAME: TYPE },
 *     "map":      [ MAP ],
 *     "rules":    [ RULE ],
 *     "follows":  [ { "of": NAME.FIELD | NAME, "is": EXPR, "when": EXPR } ] }  written by seal, across structures
 *
 * TYPE, by "kind":
 *   struct  { "kind": "struct", "size": N, "doc": D, "endian": E, "fields": [FIELD], "rules": [RULE] }
 *           Fields follow one another without gaps; "size" is asserted. Without "size" the struct may hold arrays
 *           whose count is an expression over earlier fields.
 *   union   { "kind": "union", "size": N, "head": TYPENAME,
 *             "cases": [ { "name": N, "type": TYPENAME, "when": EXPR over head's fields } ] }
 *           The first case that holds is taken; a case without "when" always holds. The fields of the chosen
 *           case are the fields of the union.
 *   enum    { "kind": "enum", "base": INT, "values": [ { "name": N, "value": V, "doc": D } ], "open": true }
 *           Closed unless "open": a value without a name is then an error.
 *   flags   { "kind": "flags", "base": INT, "values": [ { "name": N, "bit": B, "width": 1, "doc": D } ] }
 *           A set bit without a name is a finding (severity warning), unless "open": true.
 *   bits    { "kind": "bits", "base": INT, "fields": [ { "name": N, "width": W, "doc": D, "valid": V, "enum": T,
 *             "reserved": true } ] }   from the least significant bit; widths add up to the base
 *
 * FIELD: { "name", "type", "count", "doc", "unit", "const", "default", "valid", "derive", "reserved", "when", "at",
 *          "as", "pad", "free", "digits", "shows" }
 *   type    u8 s8 u16 .. u64 s64 in steps of a byte, with le/be behind to differ from the layout (u32be);
 *           u16both, u32both (little-endian copy, then big-endian copy); char[n]; utf16[n] (n units);
 *           bytes[n]; guid (first three groups little-endian); uuid (as text reads); NAME of a type
 *   n       a number, or an expression over earlier fields (then the struct has no fixed size)
 *   count   makes an array: number or expression
 *   const   the only value (a finding otherwise; written by init): number, "0x..", text, or "hex:..."
 *   default written by init: as const
 *   valid   EXPR, or RULE, or array of RULE ("self" is the field)
 *   derive  EXPR: written by seal, compared by check
 *   reserved  true: zero on write; non-zero is a finding (severity warning)
 *   free    true: any value is legal and nothing depends on it (the format leaves it free)
 *   when    EXPR: the checks of this field apply only where it holds (the bytes are always there)
 *   at      N: asserts the field's offset in the struct
 *   digits  hex, oct, dec: char[n] that is a number in such digits
 *   shows   EXPR: what a number stands for, shown behind it: a name that lies elsewhere
 *   as      display of a number: hex, dec, octal, size, unix_s, unix_ms, unix_ns, fat_date, fat_time
 *   pad     char/utf16: "nul" (text ends at the first 00, default), "space", "none"
 *   unit    byte, sector, cluster, block, second, ...: shown behind the value
 *
 * MAP: { "name", "type", "at", "count", "stride", "when", "doc" }        one instance, or an array with count
 *      { "name", "type", "at", "next", "last", "when", "doc" }            a chain: each element says where the next is
 *      { "name", "mirror": NAME, "at", "when", "severity", "refused_by" } a byte-for-byte copy of NAME
 *      { "name", "extent": "data"|"free"|"padding"|"metadata", "at", "bytes", "doc" }  a range without a type
 * RULE: { "id", "each", "when", "must", "say", "severity", "refused_by" }
 *   "each" names a map array: the rule runs once per element with its fields in scope, and `index`.
 *   severity: error (default), warning, note. refused_by: [ "linux", "ovmf", ... ] who rejects the image.
 *   say: text in which {EXPR} is replaced by its value.
 *
 * Expressions: numbers (decimal, 0x), 'text' or "text", true false; names; a.b, a[i]; ! ~ -; * / %; + -; << >>;
 * < <= > >=; == !=; &; ^; |; &&; ||; c ? x : y (C precedence, except that & ^ | bind tighter than comparisons);
 * functions (lib/layout/expr.h). Values lie in [-2^63, 2^64): any step outside is an error, never a wrap.
 * Names resolve in this order: self, parent, index, image; fields of the struct at hand; params; map names.
 *   self    the field (in valid/derive), the struct (in a type's rules), the element (each)
 *   parent  the struct that holds the field
 *   image.bytes    size of the image
 *
 * Ownership: everything a layout points to lives in its arena, until layout_free. A loaded layout is immutable
 * and may be shared by threads. */
#ifndef PLAT_LIB_LAYOUT_LAYOUT_H
#define PLAT_LIB_LAYOUT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/text.h"
#include "lib/layout/expr.h"

/* Limits on what a schema may ask for: a schema is input too. */
enum {
    LAYOUT_MAX_FILE_BYTES = 1 << 20,
    LAYOUT_MAX_TYPES = 512,
    LAYOUT_MAX_FIELDS = 512,  /* per struct */
    LAYOUT_MAX_VALUES = 1024, /* per enum or flag set */
    LAYOUT_MAX_MAP = 256,
    LAYOUT_MAX_RULES = 256,
    LAYOUT_MAX_PARAMS = 64,
    LAYOUT_MAX_NESTING = 16, /* struct within struct */
    LAYOUT_MAX_STRUCT_BYTES = 1 << 20,
    LAYOUT_MAX_NAME_BYTES = 64,
    LAYOUT_MAX_CHAIN = 1 << 24, /* elements */
    LAYOUT_MAX_DRAWING_LINES = 100,
    LAYOUT_MAX_DRAWING_BYTES = 100, /* of a line */
    LAYOUT_ID_BYTES = 16,
    LAYOUT_ID_TEXT_BYTES = 37 /* 36 characters and a NUL */
};

enum type_kind { TYPE_STRUCT, TYPE_UNION, TYPE_ENUM, TYPE_FLAGS, TYPE_BITS };

enum field_repr {
    REPR_UINT, /* width_bytes, big_endian; type NULL or enum/flags/bits */
    REPR_SINT,
    REPR_BOTH,  /* both-endian pair: 2*width_bytes on disk, little first */
    REPR_CHARS, /* count bytes of text */
    REPR_UTF16, /* count units of 2 bytes */
    REPR_BYTES, /* count opaque bytes */
    REPR_GUID,  /* 16 bytes, first three groups little-endian */
    REPR_UUID,  /* 16 bytes in text order */
    REPR_TYPE   /* a struct or union: field.type */
};
enum field_as {
    AS_DEFAULT,
    AS_HEX,
    AS_DEC,
    AS_OCTAL,
    AS_SIZE,
    AS_UNIX_S,
    AS_UNIX_MS,
    AS_UNIX_NS,
    AS_FAT_DATE,
    AS_FAT_TIME
};
enum field_pad { PAD_NUL, PAD_SPACE, PAD_NONE };
enum severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_NOTE };
/* Unclaimed: nothing says what it is for. A layout does not declare such bytes, walks find them. */
enum extent_kind {
    EXTENT_METADATA,
    EXTENT_DATA,
    EXTENT_FREE,
    EXTENT_PADDING,
    EXTENT_UNCLAIMED,
    EXTENT_KINDS
};

enum { FIELD_OFFSET_DYNAMIC = UINT32_MAX };

struct rule {
    const char *id;          /* NULL when the author gave none */
    const char *each;        /* map array name, or NULL */
    const struct expr *when; /* NULL: always */
    const struct expr *must;
    const char *must_text;         /* source of must */
    const char *say;               /* template, or NULL */
    const struct expr **say_exprs; /* one for each {..} in say, in order */
    size_t n_say_exprs;
    enum severity severity;
    const char *const *refused_by; /* NULL-terminated, may be NULL */
};

struct const_value {
    bool set;
    bool is_number;
    uint64_t number;      /* two's complement for negative constants */
    const uint8_t *bytes; /* text and hex: exact bytes, shorter than the field means padding follows */
    size_t n;
};

struct enum_value {
    const char *name;
    const char *doc;
    uint64_t value;    /* enum: the value; flags: the mask, not shifted down */
    const uint8_t *id; /* enum of GUIDs: LAYOUT_ID_BYTES as on disk, and value is 0; others: NULL */
    unsigned shift;    /* flags: lowest bit */
    unsigned width;    /* flags: bits */
};

struct field {
    const char *name;
    const char *doc;       /* "" when none */
    const char *unit;      /* NULL when none */
    const char *type_text; /* as written in the schema */
    enum field_repr repr;
    unsigned
        width_bytes; /* of one element: integers 1..8, guid 16; chars/bytes 1, utf16 2; struct: its size */
    bool big_endian;
    bool is_array;           /* "count" given (chars/utf16/bytes are not arrays: count is their length) */
    const struct type *type; /* struct, union, enum, flags, bits; or NULL */
    uint32_t count;          /* elements or length; 1 for scalars; valid when count_expr == NULL */
    const struct expr *count_expr;       /* dynamic length */
    uint32_t offset_bytes;               /* in the struct, or FIELD_OFFSET_DYNAMIC */
    uint32_t size_bytes;                 /* on disk; 0 when dynamic */
    unsigned bit_shift, bit_width;       /* members of a bits type only */
    struct const_value constant, preset; /* "const", "default" */
    const struct rule *valid;
    size_t n_valid;
    const struct expr *derive;
    const char *derive_text;
    const struct expr *when;
    bool reserved;
    bool free;
    enum field_as as;
    enum field_pad pad;
    unsigned radix;           /* CHARS: the text is a number, in this base; 0: it is not */
    const struct expr *shows; /* integers: what stands behind the number; NULL: nothing */
};

struct union_case {
    const char *name;
    const struct type *type;
    const struct expr *when; /* NULL: always */
};

struct type {
    const char *name;
    const char *doc;
    enum type_kind kind;
    uint32_t size_bytes; /* struct and union: fixed size, or 0 when dynamic; others: base width */
    uint32_t min_bytes;  /* fixed part of a dynamic struct */
    bool big_endian;
    bool is_signed; /* enum base */
    enum field_repr
        base; /* enum, flags, bits: REPR_UINT or REPR_SINT; enum of GUIDs: REPR_GUID or REPR_UUID */
    bool open;
    bool follows_order; /* enum, flags: the byte order is that of the struct that a field of it is in */
    const struct field *fields; /* struct; bits (bit_shift/bit_width) */
    size_t n_fields;
    const struct rule *rules;
    size_t n_rules;
    const struct enum_value *values; /* enum, flags */
    size_t n_values;
    const struct type *head; /* union */
    const struct union_case *cases;
    size_t n_cases;
};

struct param {
    const char *name;
    const char *doc;
    const char *unit;
    uint64_t value; /* default */
    const uint64_t *choices;
    size_t n_choices;
};

struct identify {
    const struct expr *at;
    const uint8_t *bytes;
    size_t n;
};

struct map_entry {
    const char *name;
    const char *doc;
    const struct type *type;        /* NULL for extents and mirrors */
    const struct map_entry *mirror; /* what it copies, or NULL */
    bool is_extent;
    enum extent_kind extent;
    const struct expr *at;
    const struct expr *bytes;  /* extents */
    const struct expr *count;  /* NULL: a single instance */
    const struct expr *stride; /* NULL: size of the type */
    const struct expr *next;   /* a chain: place of the element behind this one; NULL: no chain */
    const struct expr *last;   /* a chain: is this its last element? NULL: none says so */
    const struct expr *when;
    enum severity severity; /* of a differing mirror */
    const char *const *refused_by;
};

/* What follows from another structure and is written when that one changes. Rules say what a wrong one means. */
struct follow {
    const char *of; /* as written: "backup.disk_guid" */
    const struct map_entry *entry;
    uint64_t index;            /* of an array's element */
    const struct field *field; /* NULL: the whole structure */
    const struct expr *is;
    const char *is_text;
    const struct expr *when; /* NULL: always */
};

struct layout {
    const char *name;
    const char *title;
    const char *spec;
    const char *doc;
    const char *drawing;     /* lines, each with its newline; "" when none */
    const char *source_name; /* file it came from, for messages */
    bool big_endian;
    const struct param *params;
    size_t n_params;
    const struct identify *identify;
    size_t n_identify;
    const struct type *const *types;
    size_t n_types;
    const struct map_entry *map;
    size_t n_map;
    const struct rule *rules;
    size_t n_rules;
    const struct follow *follows;
    size_t n_follows;
    struct arena arena;
};

/* Reads JSON text. `source_name` is used in messages only. Errors: PLAT_EINVALID with err.path such as
 * "types.header.fields[3].derive". */
int layout_load(const char *json, size_t n, const char *source_name, struct layout **ret,
                struct plat_err *err);
int layout_load_file(const char *path, struct layout **ret, struct plat_err *err);
void layout_free(struct layout *layout);

const struct type *layout_type(const struct layout *layout, const char *name); /* NULL: none */
bool map_is_array(const struct map_entry *entry);                              /* with a count, or a chain */
const struct map_entry *layout_map(const struct layout *layout, const char *name);
const struct field *type_field(const struct type *type, const char *name);
const struct enum_value *type_value(const struct type *type, uint64_t value);

/* GUIDs and UUIDs. `bytes` are as on disk, LAYOUT_ID_BYTES of them; `repr` says in which of the two orders. */
bool repr_is_id(enum field_repr repr);
bool type_names_ids(const struct type *type); /* an enum of GUIDs; NULL is none */
const struct enum_value *type_id(const struct type *type, const uint8_t *bytes); /* NULL: has no name */
bool layout_parse_id(enum field_repr repr, const char *text, uint8_t ret[LAYOUT_ID_BYTES]);
void layout_format_id(enum field_repr repr, const uint8_t *bytes, char ret[LAYOUT_ID_TEXT_BYTES]);
/* The number that the text of a field with "digits" holds. False: it holds none. */
bool field_parse_digits(const struct field *field, const uint8_t *bytes, size_t n, uint64_t *ret);
/* The number as such text, with zeros in front. False: it does not fit. */
bool field_format_digits(const struct field *field, uint64_t number, uint8_t *bytes, size_t n);
/* The same from a name of the field's type, or from the text of a GUID; `n` characters. */
bool field_parse_id(const struct field *field, const char *text, size_t n, uint8_t ret[LAYOUT_ID_BYTES]);

const char *severity_name(enum severity severity);
const char *extent_kind_name(enum extent_kind kind);

/* A schema that is compiled into the program (build/gen/embedded.c). */
struct embedded_schema {
    const char *name;
    const char *json;
    size_t n;
};
extern const struct embedded_schema embedded_schemas[];
extern const size_t n_embedded_schemas;
const struct embedded_schema *embedded_schema_find(const char *name);

#endif
