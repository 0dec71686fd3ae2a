#include "inspect/exact.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_MAX_NESTING = LAYOUT_MAX_NESTING + 1 };

/* ---- values from JSON ---- */

/* A number from 0; above 2^53 it is text. */
static bool number_of(json_t *json, uint64_t *ret)
{
    if (!json_is_integer(json))
        return json_is_string(json) && parse_u64(json_string_value(json), ret, NULL) == 0;
    *ret = (uint64_t)json_integer_value(json);
    return json_integer_value(json) >= 0;
}

static uint64_t members_of(const struct type *type, json_t *members, uint64_t base, bool *ok)
{
    const char *name;
    json_t *value;
    json_object_foreach(members, name, value)
    {
        unsigned shift = 0, width = 0;
        for (size_t i = 0; i < type->n_fields; i++)
            if (strcmp(type->fields[i].name, name) == 0) {
                shift = type->fields[i].bit_shift;
                width = type->fields[i].bit_width;
            }
        for (size_t i = 0; type->kind == TYPE_FLAGS && i < type->n_values; i++)
            if (strcmp(type->values[i].name, name) == 0) {
                shift = type->values[i].shift;
                width = type->values[i].width;
            }
        uint64_t number = 0;
        const uint64_t mask = width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
        *ok = *ok && width > 0 && number_of(value, &number);
        *ok = *ok && number <= mask;
        if (!*ok)
            return 0;
        base = (base & ~(mask << shift)) | number << shift;
    }
    return base;
}

/* {"value": 5, "set": {"a": 1, "c": 1}}, or one of the two. Bits without a name are in the value alone. */
static int bits_of(const struct type *type, json_t *value, json_t *members, uint64_t *ret,
                   struct plat_err *err)
{
    uint64_t whole = 0, named = 0;
    bool ok = true;
    const uint64_t number = members_of(type, members, 0, &ok);
    if (!ok)
        return err_set(err, PLAT_EINVALID, "a member is unknown, or does not fit");
    if (value != NULL && !number_of(value, &whole))
        return err_set(err, PLAT_EINVALID, "\"value\" must be a number");
    /* Flags that are not listed are not set; members that are not listed are as the value has them. */
    for (size_t i = 0; type->kind == TYPE_FLAGS && i < type->n_values; i++)
        named |= type->values[i].value;
    if (value != NULL &&
        (members_of(type, members, whole, &ok) != whole || (whole & named) != (number & named)))
        return err_set(err, PLAT_EINVALID,
                       "\"value\" is %" PRIu64 ", and the members beside it say %" PRIu64
                       ": change both, or leave one out",
                       whole, number);
    *ret = value != NULL ? whole : number;
    return 0;
}

/* The text that inst_set takes. */
static int text_of(const struct field *field, json_t *json, struct strbuf *out, struct plat_err *err)
{
    if (json_is_string(json)) {
        if (json_string_length(json) != strlen(json_string_value(json)))
            return err_set(err, PLAT_EINVALID, "text with a NUL in it: write it as {\"hex\": \"...\"}");
        strbuf_puts(out, json_string_value(json));
        return 0;
    }
    if (json_is_integer(json)) {
        strbuf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        return 0;
    }
    const struct type *type = field->type;
    const bool has_bits = type != NULL && (type->kind == TYPE_BITS || type->kind == TYPE_FLAGS);
    json_t *value = json_object_get(json, "value"), *members = json_object_get(json, "fields");
    uint64_t number;
    if (members == NULL)
        members = json_object_get(json, "set");
    if (value != NULL && !json_is_object(value) && (members == NULL || !has_bits))
        return text_of(field, value, out, err);
    if (!has_bits || !json_is_object(members))
        return err_set(err, PLAT_EINVALID, "expected a value of type %s", field->type_text);
    int rc = bits_of(type, value, members, &number, err);
    if (rc == 0)
        strbuf_printf(out, "%" PRIu64, number);
    return rc;
}

/* {"hex": "..."} of exactly n bytes. *ret_is: it is of that form. */
static int hex_of(json_t *json, uint8_t *p, size_t n, bool *ret_is, struct plat_err *err)
{
    const char *hex = json_is_object(json) && json_object_size(json) == 1
                          ? json_string_value(json_object_get(json, "hex"))
                          : NULL;
    *ret_is = hex != NULL;
    if (hex == NULL)
        return 0;
    if (strlen(hex) != 2 * n || strspn(hex, "0123456789abcdefABCDEF") != 2 * n)
        return err_set(err, PLAT_EINVALID, "\"hex\" must be %zu bytes as pairs of hexadecimal digits", n);
    for (size_t i = 0; i < n; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        p[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return 0;
}

static int get_value(const struct inst *inst, const struct field *field, uint64_t index, uint8_t *bytes,
                     json_t *json, struct plat_err *err)
{
    struct strbuf text = {0};
    struct value v;
    bool is_hex = false;
    int rc = inst_value(inst, field, index, &v, err);
    if (rc == 0)
        rc = hex_of(json, bytes + (v.bytes - inst->bytes), v.n, &is_hex, err);
    if (rc != 0 || is_hex)
        return rc;
    rc = text_of(field, json, &text, err);
    if (rc == 0 && text.failed)
        rc = err_nomem(err, "assembling a structure");
    if (rc == 0)
        rc = inst_set(inst, field, index, strbuf_str(&text), bytes, err);
    strbuf_free(&text);
    return rc;
}

static int get_struct(const struct inst *inst, uint8_t *bytes, json_t *fields, unsigned level,
                      struct plat_err *err);

static int get_nested(const struct inst *inst, const struct field *field, uint64_t index, uint8_t *bytes,
                      json_t *json, unsigned level, struct plat_err *err)
{
    struct inst nested;
    bool is_hex = false;
    int rc = inst_nested(inst, field, index, NULL, 0, &nested, err);
    uint8_t *inside = rc == 0 ? bytes + (nested.bytes - inst->bytes) : NULL;
    if (rc == 0)
        rc = hex_of(json, inside, nested.size_bytes, &is_hex, err);
    if (rc != 0 || is_hex)
        return rc;
    if (field->type->kind != TYPE_STRUCT)
        return err_set(err, PLAT_EINVALID, "a union inside a structure must be {\"hex\": \"...\"}");
    return get_struct(&nested, inside, json, level + 1, err);
}

static int get_field(const struct inst *inst, const struct field *field, uint8_t *bytes, json_t *json,
                     unsigned level, struct plat_err *err)
{
    uint64_t count;
    if (!field->is_array)
        return field->repr == REPR_TYPE ? get_nested(inst, field, 0, bytes, json, level, err)
                                        : get_value(inst, field, 0, bytes, json, err);
    int rc = inst_count(inst, field, &count, err);
    if (rc == 0 && (!json_is_array(json) || json_array_size(json) != count))
        return err_set(err, PLAT_EINVALID, "expected an array of %" PRIu64 " elements", count);
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        json_t *element = json_array_get(json, (size_t)i);
        rc = field->repr == REPR_TYPE ? get_nested(inst, field, i, bytes, element, level, err)
                                      : get_value(inst, field, i, bytes, element, err);
        if (rc != 0)
            return err_prefix(err, "[%" PRIu64 "]", i);
    }
    return rc;
}

static int get_struct(const struct inst *inst, uint8_t *bytes, json_t *fields, unsigned level,
                      struct plat_err *err)
{
    size_t used = 0;
    if (!json_is_object(fields))
        return err_set(err, PLAT_EINVALID, "expected an object with the fields of %s", inst->type->name);
    if (level > EXACT_MAX_NESTING)
        return err_set(err, PLAT_ELIMIT, "structures are nested too deep");
    for (size_t i = 0; i < inst->type->n_fields; i++) {
        const struct field *field = &inst->type->fields[i];
        json_t *json = json_object_get(fields, field->name);
        if (json == NULL)
            continue;
        used++;
        int rc = get_field(inst, field, bytes, json, level, err);
        if (rc != 0)
            return err_prefix(err, "%s", field->name);
    }
    const char *name;
    json_t *value;
    if (used == json_object_size(fields))
        return 0;
    json_object_foreach(fields, name, value)
    {
        if (type_field(inst->type, name) == NULL)
            return err_set(err, PLAT_EINVALID, "%s has no field '%.80s'", inst->type->name, name);
    }
    return 0;
}

int exact_get(const struct inst *inst, uint8_t *bytes, json_t *fields, struct plat_err *err)
{
    return get_struct(inst, bytes, fields, 0, err);
}

/* ---- values to JSON ---- */

static void put_hex(struct strbuf *out, const uint8_t *bytes, size_t n)
{
    strbuf_puts(out, "{\"hex\": \"");
    for (size_t i = 0; i < n; i++)
        strbuf_printf(out, "%02x", bytes[i]);
    strbuf_puts(out, "\"}");
}

/* Does the text give these bytes again? Numbers, identifiers and bytes always do. */
static int is_exact(const struct value *v, const char *text, bool *ret, struct plat_err *err)
{
    const enum field_repr repr = v->field->repr;
    if (repr == REPR_BOTH) {
        const unsigned width = v->field->width_bytes;
        *ret = load_uint(v->bytes, width, false) == load_uint(v->bytes + width, width, true);
        return 0;
    }
    if (repr != REPR_CHARS && repr != REPR_UTF16) {
        *ret = true;
        return 0;
    }
    uint8_t *bytes = calloc(1, v->inst->size_bytes + 1);
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const size_t at = (size_t)(v->bytes - v->inst->bytes);
    int rc = bytes == NULL || json == NULL ? err_nomem(err, "printing a structure") : 0;
    if (rc == 0)
        *ret = get_value(v->inst, v->field, v->index, bytes, json, NULL) == 0 &&
               memcmp(bytes + at, v->bytes, v->n) == 0;
    json_decref(json);
    free(bytes);
    return rc;
}

static int put_value(struct strbuf *out, const struct inst *inst, const struct field *field, uint64_t index,
                     struct plat_err *err)
{
    struct strbuf text = {0};
    struct value v;
    bool exact = false;
    int rc = inst_value(inst, field, index, &v, err);
    if (rc != 0)
        return rc;
    value_json(&v, &text);
    rc = is_exact(&v, strbuf_str(&text), &exact, err);
    if (rc == 0 && exact)
        strbuf_puts(out, strbuf_str(&text));
    else if (rc == 0)
        put_hex(out, v.bytes, v.n);
    strbuf_free_into(&text, out);
    return rc;
}

static int put_element(struct strbuf *out, const struct inst *inst, const struct field *field, uint64_t index,
                       struct plat_err *err)
{
    struct inst nested;
    if (field->repr != REPR_TYPE)
        return put_value(out, inst, field, index, err);
    int rc = inst_nested(inst, field, index, NULL, 0, &nested, err);
    if (rc == 0 && field->type->kind != TYPE_STRUCT)
        put_hex(out, nested.bytes, nested.size_bytes);
    else if (rc == 0)
        rc = exact_put(out, &nested, err);
    return rc;
}

int exact_put(struct strbuf *out, const struct inst *inst, struct plat_err *err)
{
    struct inst shaped = *inst;
    shaped.type = inst_shape(inst);
    if (shaped.type == NULL)
        return err_set(err, PLAT_ECORRUPT, "no case fits");
    strbuf_putc(out, '{');
    for (size_t i = 0; i < shaped.type->n_fields; i++) {
        const struct field *field = &shaped.type->fields[i];
        uint64_t count;
        strbuf_printf(out, "%s\"%s\": %s", i == 0 ? "" : ", ", field->name, field->is_array ? "[" : "");
        int rc = inst_count(&shaped, field, &count, err);
        for (uint64_t k = 0; rc == 0 && k < count; k++) {
            strbuf_puts(out, k == 0 ? "" : ", ");
            rc = put_element(out, &shaped, field, k, err);
        }
        if (rc != 0)
            return rc;
        strbuf_puts(out, field->is_array ? "]" : "");
    }
    strbuf_putc(out, '}');
    return 0;
}

/* ---- base64 ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct strbuf *out, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                               (left > 2 ? (uint32_t)bytes[i + 2] : 0);
        const char four[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                              left > 1 ? alphabet[group >> 6 & 63] : '=',
                              left > 2 ? alphabet[group & 63] : '='};
        strbuf_add(out, four, 4);
    }
}

int64_t base64_get(const char *text, size_t length, uint8_t *ret, size_t n)
{
    size_t used = 0;
    if (length % 4 != 0)
        return -1;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t group = 0;
        size_t pads = 0;
        for (size_t k = 0; k < 4; k++) {
            const char *at = text[i + k] == '=' || text[i + k] == '\0' ? NULL : strchr(alphabet, text[i + k]);
            const bool pad = text[i + k] == '=' && i + 4 == length && k >= 2;
            if ((at == NULL && !pad) || (at != NULL && pads > 0))
                return -1;
            pads += pad;
            group = group << 6 | (at != NULL ? (uint32_t)(at - alphabet) : 0);
        }
        for (size_t k = 0; k < 3 - pads; k++) {
            if (used == n)
                return -1;
            ret[used++] = (uint8_t)(group >> (16 - 8 * k));
        }
    }
    return (int64_t)used;
}
