/* Loading one field: its type text, its properties, its constants. */
#include "lib/layout/load.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"

/* "u32", "s16be", "u24le": an integer of 1 to 8 bytes. */
static bool parse_int_type(const char *text, bool big_endian, struct field *ret)
{
    if (text[0] != 'u' && text[0] != 's')
        return false;
    unsigned bits = 0;
    const char *s = text + 1;
    for (; *s >= '0' && *s <= '9' && bits < 1000; s++)
        bits = bits * 10 + (unsigned)(*s - '0');
    if (s == text + 1 || text[1] == '0' || bits == 0 || bits > 64 || bits % 8 != 0)
        return false;
    enum field_repr repr = text[0] == 'u' ? REPR_UINT : REPR_SINT;
    if (strcmp(s, "le") == 0)
        big_endian = false;
    else if (strcmp(s, "be") == 0)
        big_endian = true;
    else if (strcmp(s, "both") == 0 && text[0] == 'u')
        repr = REPR_BOTH;
    else if (*s != '\0')
        return false;
    ret->repr = repr;
    ret->width_bytes = bits / 8;
    ret->big_endian = big_endian;
    return true;
}

/* "char[8]", "utf16[36]", "bytes[name_bytes + 1]". */
static int parse_run_type(struct loader *ld, const char *text, struct field *ret, bool *ret_matched)
{
    static const struct {
        const char *prefix;
        enum field_repr repr;
        unsigned width;
    } kinds[] = {{"char[", REPR_CHARS, 1}, {"utf16[", REPR_UTF16, 2}, {"bytes[", REPR_BYTES, 1}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t prefix = strlen(kinds[i].prefix);
        if (strncmp(text, kinds[i].prefix, prefix) != 0)
            continue;
        size_t n = strlen(text);
        if (text[n - 1] != ']' || n == prefix + 1)
            return load_fail(ld, "type '%.80s' must end in a length and ']'", text);
        struct plat_err inner;
        const struct expr *length;
        if (expr_parse(&ld->layout->arena, text + prefix, n - prefix - 1, &length, &inner) != 0)
            return inner.class == PLAT_ENOMEM ? load_nomem(ld) : load_fail(ld, "%s", inner.text);
        ret->repr = kinds[i].repr;
        ret->width_bytes = kinds[i].width;
        if (length->op != EXPR_NUM)
            ret->count_expr = length;
        else if (length->num == 0 || length->num > LAYOUT_MAX_STRUCT_BYTES)
            return load_fail(ld, "length in '%.80s' must lie between 1 and %d", text,
                             (int)LAYOUT_MAX_STRUCT_BYTES);
        else
            ret->count = (uint32_t)length->num;
        *ret_matched = true;
        return 0;
    }
    return 0;
}

static int parse_type(struct loader *ld, const char *text, const struct type *owner, struct field *ret)
{
    ret->type_text = text;
    ret->count = 1;
    bool big = owner->big_endian;
    if (parse_int_type(text, big, ret))
        return 0;
    bool matched = false;
    int rc = parse_run_type(ld, text, ret, &matched);
    if (rc != 0 || matched) {
        ret->big_endian = big;
        return rc;
    }
    if (strcmp(text, "guid") == 0 || strcmp(text, "uuid") == 0) {
        ret->repr = text[0] == 'g' ? REPR_GUID : REPR_UUID;
        ret->width_bytes = 16;
        return 0;
    }
    if ((rc = load_type_named(ld, text, &ret->type)) != 0)
        return rc;
    if (ret->type->kind == TYPE_STRUCT || ret->type->kind == TYPE_UNION) {
        ret->repr = REPR_TYPE;
        ret->width_bytes = ret->type->size_bytes;
    } else {
        ret->repr = ret->type->base;
        ret->width_bytes = ret->type->size_bytes;
        ret->big_endian = ret->type->follows_order ? big : ret->type->big_endian;
    }
    return 0;
}

static bool fits(uint64_t number, bool negative, const struct field *field)
{
    unsigned bits = field->bit_width != 0 ? field->bit_width : 8 * field->width_bytes;
    if (negative)
        return field->repr == REPR_SINT && (bits == 64 || (int64_t)number >= -((int64_t)1 << (bits - 1)));
    unsigned room = field->repr == REPR_SINT ? bits - 1 : bits;
    return room >= 64 || number >> room == 0;
}

int load_const(struct loader *ld, json_t *object, const char *key, const struct field *field,
               struct const_value *ret)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        return 0;
    size_t mark = load_push(ld, ".%s", key);
    struct const_value c = {.set = true};
    int rc = 0;
    bool negative = false;
    switch (field->repr) {
    case REPR_TYPE:
        return load_fail(ld, "a struct or union cannot have a \"%s\"", key);
    case REPR_UINT:
    case REPR_SINT:
    case REPR_BOTH:
        c.is_number = true;
        if (json_is_string(value) && field->type != NULL && field->type->n_values > 0) {
            for (size_t i = 0; i < field->type->n_values; i++)
                if (strcmp(field->type->values[i].name, json_string_value(value)) == 0) {
                    c.number = field->type->values[i].value;
                    goto found;
                }
        }
        rc = load_number_value(ld, value, &c.number, &negative);
        if (rc == 0 && !fits(c.number, negative, field))
            rc = load_fail(ld, "value does not fit %s", field->type_text);
        break;
    case REPR_GUID:
    case REPR_UUID: {
        uint8_t *guid = arena_alloc(&ld->layout->arena, LAYOUT_ID_BYTES);
        if (guid == NULL)
            return load_nomem(ld);
        if (!json_is_string(value) ||
            !field_parse_id(field, json_string_value(value), json_string_length(value), guid))
            return load_fail(ld,
                             type_names_ids(field->type) ? "expected a GUID as text, or a name of %s"
                                                         : "expected a GUID as text",
                             field->type_text);
        c.bytes = guid;
        c.n = LAYOUT_ID_BYTES;
        break;
    }
    case REPR_CHARS:
    case REPR_BYTES:
    case REPR_UTF16:
        rc = load_byte_text(ld, value, &c.bytes, &c.n);
        if (rc == 0 && field->count_expr == NULL && c.n > field->count)
            rc = load_fail(ld, "%zu bytes do not fit %s", c.n, field->type_text);
        break;
    }
found:
    if (rc != 0)
        return rc;
    load_pop(ld, mark);
    *ret = c;
    return 0;
}

static const char *const as_names[] = {"default", "hex",     "dec",      "octal",    "size", "unix_s",
                                       "unix_ms", "unix_ns", "fat_date", "fat_time", NULL};
static const char *const pad_names[] = {"nul", "space", "none", NULL};

/* What makes text a number, and a number a reference to text. */
static int load_meaning(struct loader *ld, json_t *json, struct field *f)
{
    static const char *const digits[] = {"hex", "oct", "dec", NULL};
    static const unsigned radixes[] = {16, 8, 10};
    int choice = -1;
    int rc = load_choice(ld, json, "digits", digits, &choice);
    if (rc == 0 && choice >= 0) {
        if (f->repr != REPR_CHARS || f->count_expr != NULL || f->count > 24)
            return load_fail(ld, "\"digits\" needs char[1] to char[24]");
        f->radix = radixes[choice];
    }
    if (rc == 0)
        rc = load_expr(ld, json, "shows", &f->shows, NULL);
    if (rc == 0 && f->shows != NULL &&
        (f->type != NULL || (f->repr != REPR_UINT && f->repr != REPR_SINT && f->repr != REPR_BOTH)))
        return load_fail(ld, "\"shows\" needs a plain number");
    return rc;
}

static int load_count(struct loader *ld, json_t *json, struct field *f)
{
    const struct expr *count = NULL;
    int rc = load_expr(ld, json, "count", &count, NULL);
    if (rc != 0 || count == NULL)
        return rc;
    if (f->repr == REPR_CHARS || f->repr == REPR_UTF16 || f->repr == REPR_BYTES)
        return load_fail(ld, "\"count\" does not go with '%s': its length is in the type", f->type_text);
    f->is_array = true;
    if (count->op != EXPR_NUM) {
        f->count_expr = count;
        return 0;
    }
    if (count->num == 0 || count->num > LAYOUT_MAX_STRUCT_BYTES)
        return load_fail(ld, "\"count\" must lie between 1 and %d", (int)LAYOUT_MAX_STRUCT_BYTES);
    f->count = (uint32_t)count->num;
    return 0;
}

static int load_field_rules(struct loader *ld, json_t *json, struct field *f)
{
    size_t mark = load_push(ld, ".valid");
    int rc = load_rules(ld, json_object_get(json, "valid"), false, &f->valid, &f->n_valid);
    if (rc != 0)
        return rc;
    load_pop(ld, mark);
    if ((rc = load_expr(ld, json, "derive", &f->derive, &f->derive_text)) != 0 ||
        (rc = load_expr(ld, json, "when", &f->when, NULL)) != 0)
        return rc;
    if (f->derive != NULL && f->constant.set)
        return load_fail(ld, "\"derive\" and \"const\" exclude each other");
    if (f->derive != NULL && (f->is_array || f->repr == REPR_TYPE))
        return load_fail(ld, "\"derive\" needs a single value, not an array or a struct");
    if (f->reserved && (f->constant.set || f->derive != NULL || f->free))
        return load_fail(ld, "\"reserved\" excludes const, derive and free");
    if (f->repr == REPR_TYPE && (f->n_valid > 0 || f->reserved))
        return load_fail(ld, "rules about a struct belong to its type");
    return 0;
}

int load_field(struct loader *ld, json_t *json, const struct type *type, struct field *ret)
{
    struct field f = {.doc = "", .offset_bytes = FIELD_OFFSET_DYNAMIC};
    if (!json_is_object(json))
        return load_fail(ld, "a field must be an object");
    const char *text = NULL;
    int rc =
        load_keys(ld, json,
                  "name type count doc unit const default valid derive reserved when at as pad free digits "
                  "shows");
    if (rc == 0)
        rc = load_text(ld, json, "name", &f.name);
    if (rc == 0 && f.name == NULL)
        rc = load_fail(ld, "\"name\" is missing");
    if (rc == 0)
        rc = load_name(ld, f.name);
    if (rc == 0)
        rc = load_text(ld, json, "type", &text);
    if (rc == 0 && text == NULL)
        rc = load_fail(ld, "\"type\" is missing");
    if (rc == 0)
        rc = parse_type(ld, text, type, &f);
    if (rc == 0)
        rc = load_count(ld, json, &f);
    if (rc == 0)
        rc = load_meaning(ld, json, &f);
    if (rc == 0)
        rc = load_text(ld, json, "doc", &f.doc);
    if (rc == 0)
        rc = load_text(ld, json, "unit", &f.unit);
    if (rc == 0)
        rc = load_bool(ld, json, "reserved", &f.reserved);
    if (rc == 0)
        rc = load_bool(ld, json, "free", &f.free);
    int as = 0, pad = 0;
    if (rc == 0)
        rc = load_choice(ld, json, "as", as_names, &as);
    if (rc == 0)
        rc = load_choice(ld, json, "pad", pad_names, &pad);
    f.as = (enum field_as)as;
    f.pad = (enum field_pad)pad;
    if (rc == 0)
        rc = load_const(ld, json, "const", &f, &f.constant);
    if (rc == 0)
        rc = load_const(ld, json, "default", &f, &f.preset);
    if (rc == 0)
        rc = load_field_rules(ld, json, &f);
    if (rc == 0)
        *ret = f;
    return rc;
}
