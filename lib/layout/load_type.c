/* Loading types: structs, unions, enums, flag sets, bit fields. A type is loaded when something first refers to it,
 * so that sizes are known whatever the order in the file; a type that contains itself is an error. */
#include "lib/layout/load.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"

/* Gives a field its place behind `at`; dynamic fields make what follows dynamic. */
static int place_field(struct loader *ld, json_t *json, struct field *f, uint64_t *at, bool *dynamic)
{
    uint64_t asserted = UINT64_MAX;
    int rc = load_number(ld, json, "at", LAYOUT_MAX_STRUCT_BYTES, &asserted);
    if (rc != 0)
        return rc;
    if (!*dynamic) {
        f->offset_bytes = (uint32_t)*at;
        if (asserted != UINT64_MAX && asserted != *at)
            return load_fail(ld, "\"at\" says %llu, but the fields before end at %llu: %s",
                             (unsigned long long)asserted, (unsigned long long)*at,
                             asserted > *at ? "there is a gap; name it as a reserved field" : "they overlap");
    } else if (asserted != UINT64_MAX) {
        return load_fail(ld, "\"at\" cannot be asserted behind a field of varying size");
    }
    bool varies = f->count_expr != NULL || (f->repr == REPR_TYPE && f->type->size_bytes == 0);
    if (varies && f->repr == REPR_TYPE && f->is_array && f->type->size_bytes == 0)
        return load_fail(ld,
                         "an array of structs of varying size is for the driver's walk, not for a layout");
    if (varies) {
        *dynamic = true;
        return 0;
    }
    uint64_t bytes = (uint64_t)f->width_bytes * f->count * (f->repr == REPR_BOTH ? 2 : 1);
    f->size_bytes = bytes > LAYOUT_MAX_STRUCT_BYTES ? 0 : (uint32_t)bytes;
    *at += bytes;
    if (*at > LAYOUT_MAX_STRUCT_BYTES)
        return load_fail(ld, "struct is larger than %d bytes", (int)LAYOUT_MAX_STRUCT_BYTES);
    return 0;
}

static int load_struct(struct loader *ld, json_t *json, struct type *t)
{
    int rc = load_keys(ld, json, "kind size doc endian fields rules");
    if (rc != 0)
        return rc;
    json_t *fields = json_object_get(json, "fields");
    size_t n = json_array_size(fields);
    if (!json_is_array(fields) || n == 0 || n > LAYOUT_MAX_FIELDS)
        return load_fail(ld, "\"fields\" must be an array of 1 to %d fields", (int)LAYOUT_MAX_FIELDS);
    struct field *list = arena_alloc(&ld->layout->arena, n * sizeof *list);
    if (list == NULL)
        return load_nomem(ld);
    t->fields = list;
    uint64_t at = 0;
    bool dynamic = false;
    for (size_t i = 0; i < n; i++) {
        size_t mark = load_push(ld, ".fields[%zu]", i);
        rc = load_field(ld, json_array_get(fields, i), t, &list[i]);
        for (size_t k = 0; rc == 0 && k < i; k++)
            if (strcmp(list[k].name, list[i].name) == 0)
                rc = load_fail(ld, "field '%s' is named twice", list[i].name);
        if (rc == 0)
            rc = place_field(ld, json_array_get(fields, i), &list[i], &at, &dynamic);
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
        t->n_fields = i + 1;
    }
    uint64_t size = UINT64_MAX;
    if ((rc = load_number(ld, json, "size", LAYOUT_MAX_STRUCT_BYTES, &size)) != 0)
        return rc;
    if (dynamic && size != UINT64_MAX)
        return load_fail(ld, "a struct with fields of varying size has no \"size\"");
    if (size != UINT64_MAX && size != at)
        return load_fail(ld, "\"size\" says %llu bytes, but the fields take %llu", (unsigned long long)size,
                         (unsigned long long)at);
    t->min_bytes = (uint32_t)at;
    t->size_bytes = dynamic ? 0 : (uint32_t)at;
    size_t mark = load_push(ld, ".rules");
    rc = load_rules(ld, json_object_get(json, "rules"), false, &t->rules, &t->n_rules);
    if (rc == 0)
        load_pop(ld, mark);
    return rc;
}

static int load_union(struct loader *ld, json_t *json, struct type *t)
{
    const char *head = NULL;
    int rc = load_keys(ld, json, "kind size doc head cases endian");
    if (rc == 0)
        rc = load_text(ld, json, "head", &head);
    if (rc == 0 && head != NULL)
        rc = load_type_named(ld, head, &t->head);
    if (rc == 0 && head != NULL && (t->head->kind != TYPE_STRUCT || t->head->size_bytes == 0))
        rc = load_fail(ld, "\"head\" must be a struct of fixed size");
    if (rc != 0)
        return rc;
    json_t *cases = json_object_get(json, "cases");
    size_t n = json_array_size(cases);
    if (!json_is_array(cases) || n == 0 || n > LAYOUT_MAX_FIELDS)
        return load_fail(ld, "\"cases\" must be an array of 1 to %d cases", (int)LAYOUT_MAX_FIELDS);
    struct union_case *list = arena_alloc(&ld->layout->arena, n * sizeof *list);
    if (list == NULL)
        return load_nomem(ld);
    t->cases = list;
    bool same = true;
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        json_t *item = json_array_get(cases, i);
        size_t mark = load_push(ld, ".cases[%zu]", i);
        const char *type = NULL, *doc = NULL;
        rc = json_is_object(item) ? load_keys(ld, item, "name type when doc")
                                  : load_fail(ld, "must be an object");
        if (rc == 0)
            rc = load_text(ld, item, "doc", &doc);
        if (rc == 0)
            rc = load_text(ld, item, "name", &list[i].name);
        if (rc == 0)
            rc = list[i].name == NULL ? load_fail(ld, "\"name\" is missing") : load_name(ld, list[i].name);
        if (rc == 0)
            rc = load_text(ld, item, "type", &type);
        if (rc == 0)
            rc = type == NULL ? load_fail(ld, "\"type\" is missing")
                              : load_type_named(ld, type, &list[i].type);
        if (rc == 0 && list[i].type->kind != TYPE_STRUCT)
            rc = load_fail(ld, "case type '%s' is not a struct", type);
        if (rc == 0)
            rc = load_expr(ld, item, "when", &list[i].when, NULL);
        if (rc == 0 && list[i].when != NULL && t->head == NULL)
            rc = load_fail(ld, "\"when\" needs the union's \"head\"");
        if (rc == 0 && list[i].when == NULL && i + 1 < n)
            rc = load_fail(ld, "a case without \"when\" always holds and must be the last");
        if (rc != 0)
            return rc;
        same = same && list[i].type->size_bytes != 0 && list[i].type->size_bytes == list[0].type->size_bytes;
        least = list[i].type->min_bytes < least ? list[i].type->min_bytes : least;
        load_pop(ld, mark);
        t->n_cases = i + 1;
    }
    uint64_t size = UINT64_MAX;
    if ((rc = load_number(ld, json, "size", LAYOUT_MAX_STRUCT_BYTES, &size)) != 0)
        return rc;
    if (size != UINT64_MAX && (!same || size != list[0].type->size_bytes))
        return load_fail(ld, "\"size\" says %llu bytes, but not every case has that size",
                         (unsigned long long)size);
    t->size_bytes = same ? list[0].type->size_bytes : 0;
    t->min_bytes = t->head != NULL && t->head->size_bytes > least ? t->head->size_bytes : least;
    return 0;
}

/* "base": an integer type, which gives the size and the byte order; for an enum also guid or uuid. */
static int load_base(struct loader *ld, json_t *json, struct type *t)
{
    const char *base = NULL;
    int rc = load_text(ld, json, "base", &base);
    if (rc != 0)
        return rc;
    const char *wanted = t->kind == TYPE_ENUM ? "an integer type, guid or uuid" : "an integer type";
    if (base == NULL)
        return load_fail(ld, "\"base\" (%s) is missing", wanted);
    json_t *probe = json_pack("{s:s, s:s}", "name", "base", "type", base);
    struct field f;
    bool is_id = strcmp(base, "guid") == 0 || strcmp(base, "uuid") == 0;
    bool known = (base[0] == 'u' || base[0] == 's') && base[1] >= '0' && base[1] <= '9';
    rc = probe == NULL ? load_nomem(ld)
         : known || (is_id && t->kind == TYPE_ENUM)
             ? load_field(ld, probe, t, &f)
             : load_fail(ld, "\"base\" '%.60s' is not %s", base, wanted);
    json_decref(probe);
    if (rc != 0)
        return rc;
    if (f.repr == REPR_BOTH)
        return load_fail(ld, "\"base\" cannot be a both-endian pair");
    t->size_bytes = t->min_bytes = f.width_bytes;
    t->follows_order = t->kind != TYPE_BITS && json_object_get(json, "endian") == NULL &&
                       strcmp(base + strlen(base) - 2, "le") != 0 &&
                       strcmp(base + strlen(base) - 2, "be") != 0;
    t->big_endian = f.big_endian;
    t->is_signed = f.repr == REPR_SINT;
    t->base = f.repr;
    return 0;
}

/* "value" of an enum of GUIDs: text. */
static int load_id_value(struct loader *ld, json_t *value, const struct type *t, struct enum_value *ret)
{
    uint8_t *id = arena_alloc(&ld->layout->arena, LAYOUT_ID_BYTES);
    if (id == NULL)
        return load_nomem(ld);
    if (!json_is_string(value))
        return load_fail(ld, "\"value\" must be the text of a GUID, as the base is %s",
                         t->base == REPR_GUID ? "guid" : "uuid");
    if (!layout_parse_id(t->base, json_string_value(value), id))
        return load_fail(ld, "'%.80s' is not a GUID such as c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
                         json_string_value(value));
    ret->id = id;
    return 0;
}

static int load_int_value(struct loader *ld, json_t *value, const struct type *t, struct enum_value *ret)
{
    unsigned bits = 8 * t->size_bytes;
    bool negative = false;
    int rc = load_number_value(ld, value, &ret->value, &negative);
    if (rc != 0)
        return rc;
    bool fits = negative ? t->is_signed && (bits == 64 || (int64_t)ret->value >= -((int64_t)1 << (bits - 1)))
                         : bits == 64 || ret->value >> (t->is_signed ? bits - 1 : bits) == 0;
    return fits ? 0 : load_fail(ld, "value does not fit the base");
}

static bool same_value(const struct type *t, const struct enum_value *a, const struct enum_value *b)
{
    if (t->kind == TYPE_FLAGS)
        return (a->value & b->value) != 0;
    return type_names_ids(t) ? memcmp(a->id, b->id, LAYOUT_ID_BYTES) == 0 : a->value == b->value;
}

static int load_value(struct loader *ld, json_t *item, const struct type *t, size_t n_before,
                      struct enum_value *ret)
{
    bool flags = t->kind == TYPE_FLAGS;
    if (!json_is_object(item))
        return load_fail(ld, "must be an object");
    int rc = load_keys(ld, item, flags ? "name bit width doc" : "name value doc");
    const char *name = NULL;
    ret->doc = "";
    if (rc == 0)
        rc = load_text(ld, item, "name", &name);
    if (rc == 0)
        rc = name == NULL ? load_fail(ld, "\"name\" is missing") : load_name(ld, name);
    if (rc == 0)
        rc = load_text(ld, item, "doc", &ret->doc);
    if (rc != 0)
        return rc;
    ret->name = name;
    unsigned bits = 8 * t->size_bytes;
    if (flags) {
        uint64_t bit = UINT64_MAX, width = 1;
        if ((rc = load_number(ld, item, "bit", bits - 1, &bit)) != 0 ||
            (rc = load_number(ld, item, "width", bits, &width)) != 0)
            return rc;
        if (bit == UINT64_MAX)
            return load_fail(ld, "\"bit\" is missing");
        if (width == 0 || bit + width > bits)
            return load_fail(ld, "bits %llu to %llu do not fit the base", (unsigned long long)bit,
                             (unsigned long long)(bit + width - 1));
        ret->shift = (unsigned)bit;
        ret->width = (unsigned)width;
        ret->value = (width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1) << bit;
    } else {
        json_t *value = json_object_get(item, "value");
        if (value == NULL)
            return load_fail(ld, "\"value\" is missing");
        rc = type_names_ids(t) ? load_id_value(ld, value, t, ret) : load_int_value(ld, value, t, ret);
        if (rc != 0)
            return rc;
    }
    for (size_t k = 0; k < n_before; k++) {
        if (strcmp(t->values[k].name, name) == 0)
            return load_fail(ld, "'%s' is named twice", name);
        if (same_value(t, &t->values[k], ret))
            return load_fail(ld, "'%s' has the %s of '%s'", name, flags ? "bits" : "value",
                             t->values[k].name);
    }
    return 0;
}

static int load_enum(struct loader *ld, json_t *json, struct type *t)
{
    int rc = load_keys(ld, json, "kind base doc values open endian");
    if (rc == 0)
        rc = load_base(ld, json, t);
    if (rc == 0)
        rc = load_bool(ld, json, "open", &t->open);
    if (rc != 0)
        return rc;
    json_t *values = json_object_get(json, "values");
    size_t n = json_array_size(values);
    if (!json_is_array(values) || n == 0 || n > LAYOUT_MAX_VALUES)
        return load_fail(ld, "\"values\" must be an array of 1 to %d values", (int)LAYOUT_MAX_VALUES);
    struct enum_value *list = arena_alloc(&ld->layout->arena, n * sizeof *list);
    if (list == NULL)
        return load_nomem(ld);
    t->values = list;
    for (size_t i = 0; i < n; i++) {
        size_t mark = load_push(ld, ".values[%zu]", i);
        if ((rc = load_value(ld, json_array_get(values, i), t, i, &list[i])) != 0)
            return rc;
        load_pop(ld, mark);
    }
    t->n_values = n;
    return 0;
}

static int load_bit_field(struct loader *ld, json_t *item, struct type *t, unsigned *shift, struct field *ret)
{
    struct field f = {.doc = "", .type_text = "bits", .repr = REPR_UINT, .count = 1};
    if (!json_is_object(item))
        return load_fail(ld, "must be an object");
    int rc = load_keys(ld, item, "name width doc valid enum reserved free const default unit");
    const char *values = NULL;
    uint64_t width = 0;
    if (rc == 0)
        rc = load_text(ld, item, "name", &f.name);
    if (rc == 0)
        rc = f.name == NULL ? load_fail(ld, "\"name\" is missing") : load_name(ld, f.name);
    if (rc == 0)
        rc = load_number(ld, item, "width", 8 * t->size_bytes, &width);
    if (rc == 0 && (width == 0 || *shift + width > 8 * t->size_bytes))
        rc = load_fail(ld, "\"width\" must be at least 1 and all widths must add up to the base");
    if (rc == 0)
        rc = load_text(ld, item, "doc", &f.doc);
    if (rc == 0)
        rc = load_text(ld, item, "unit", &f.unit);
    if (rc == 0)
        rc = load_bool(ld, item, "reserved", &f.reserved);
    if (rc == 0)
        rc = load_bool(ld, item, "free", &f.free);
    if (rc == 0)
        rc = load_text(ld, item, "enum", &values);
    if (rc == 0 && values != NULL)
        rc = load_type_named(ld, values, &f.type);
    if (rc == 0 && values != NULL && f.type->kind != TYPE_ENUM)
        rc = load_fail(ld, "'%s' is not an enum", values);
    if (rc == 0 && type_names_ids(f.type))
        rc = load_fail(ld, "'%s' names GUIDs, which a bit field cannot hold", values);
    f.bit_shift = *shift;
    f.bit_width = (unsigned)width;
    f.width_bytes = t->size_bytes;
    f.offset_bytes = 0;
    f.size_bytes = t->size_bytes;
    f.big_endian = t->big_endian;
    if (rc == 0)
        rc = load_const(ld, item, "const", &f, &f.constant);
    if (rc == 0)
        rc = load_const(ld, item, "default", &f, &f.preset);
    if (rc == 0) {
        size_t mark = load_push(ld, ".valid");
        rc = load_rules(ld, json_object_get(item, "valid"), false, &f.valid, &f.n_valid);
        if (rc == 0)
            load_pop(ld, mark);
    }
    if (rc != 0)
        return rc;
    *shift += (unsigned)width;
    *ret = f;
    return 0;
}

static int load_bits(struct loader *ld, json_t *json, struct type *t)
{
    int rc = load_keys(ld, json, "kind base doc fields endian");
    if (rc == 0)
        rc = load_base(ld, json, t);
    if (rc != 0)
        return rc;
    if (t->is_signed)
        return load_fail(ld, "bits need an unsigned base");
    json_t *fields = json_object_get(json, "fields");
    size_t n = json_array_size(fields);
    if (!json_is_array(fields) || n == 0 || n > 64)
        return load_fail(ld, "\"fields\" must be an array of 1 to 64 bit fields");
    struct field *list = arena_alloc(&ld->layout->arena, n * sizeof *list);
    if (list == NULL)
        return load_nomem(ld);
    t->fields = list;
    unsigned shift = 0;
    for (size_t i = 0; i < n; i++) {
        size_t mark = load_push(ld, ".fields[%zu]", i);
        rc = load_bit_field(ld, json_array_get(fields, i), t, &shift, &list[i]);
        for (size_t k = 0; rc == 0 && k < i; k++)
            if (strcmp(list[k].name, list[i].name) == 0)
                rc = load_fail(ld, "bit field '%s' is named twice", list[i].name);
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
        t->n_fields = i + 1;
    }
    if (shift != 8 * t->size_bytes)
        return load_fail(ld, "the widths add up to %u bits, but the base has %u", shift, 8 * t->size_bytes);
    return 0;
}

/* A type that is like another: the other's object as it stands in the file, with the keys that this one has itself in
 * their place. `types` owns the result. */
static int load_like(struct loader *ld, json_t *written, json_t *types, const char *name)
{
    json_t *own = json_object_get(written, name);
    json_t *like = json_is_object(own) ? json_object_get(own, "like") : NULL;
    if (like == NULL)
        return 0;
    json_t *model = json_is_string(like) ? json_object_get(written, json_string_value(like)) : NULL;
    if (!json_is_object(model) || json_object_get(model, "like") != NULL)
        return load_fail(ld, "\"like\" must name a type of this layout that is not itself like another");
    json_t *merged = json_copy(model);
    if (merged == NULL || json_object_update(merged, own) != 0 || json_object_del(merged, "like") != 0) {
        json_decref(merged);
        return load_nomem(ld);
    }
    return json_object_set_new(types, name, merged) == 0 ? 0 : load_nomem(ld);
}

static int load_likes(struct loader *ld, json_t *types)
{
    json_t *written = json_copy(types);
    const char *name;
    json_t *value;
    int rc = written == NULL ? load_nomem(ld) : 0;
    json_object_foreach(written, name, value)
    {
        if (rc != 0)
            break;
        size_t mark = load_push(ld, ".types.%s", name);
        rc = load_like(ld, written, types, name);
        if (rc == 0)
            load_pop(ld, mark);
    }
    json_decref(written);
    return rc;
}

static int load_type(struct loader *ld, json_t *json, struct type *t)
{
    static const char *const kinds[] = {"struct", "union", "enum", "flags", "bits", NULL};
    static const char *const endians[] = {"little", "big", NULL};
    if (!json_is_object(json))
        return load_fail(ld, "a type must be an object with \"kind\"");
    int kind = -1;
    int endian = ld->layout->big_endian;
    int rc = load_choice(ld, json, "kind", kinds, &kind);
    if (rc == 0 && kind < 0)
        rc = load_fail(ld, "\"kind\" is missing: struct, union, enum, flags or bits");
    t->doc = "";
    if (rc == 0)
        rc = load_text(ld, json, "doc", &t->doc);
    if (rc == 0)
        rc = load_choice(ld, json, "endian", endians, &endian);
    if (rc != 0)
        return rc;
    t->kind = (enum type_kind)kind;
    t->big_endian = endian == 1;
    switch (t->kind) {
    case TYPE_STRUCT:
        return load_struct(ld, json, t);
    case TYPE_UNION:
        return load_union(ld, json, t);
    case TYPE_BITS:
        return load_bits(ld, json, t);
    case TYPE_ENUM:
    case TYPE_FLAGS:
        return load_enum(ld, json, t);
    }
    return 0;
}

static int load_type_at(struct loader *ld, size_t i)
{
    if (ld->type_state[i] == LOAD_DONE)
        return 0;
    struct type *t = ld->types[i];
    if (ld->type_state[i] == LOAD_BUSY)
        return load_fail(ld, "type '%s' contains itself", t->name);
    if (ld->nesting == LAYOUT_MAX_NESTING)
        return load_fail(ld, "types are nested deeper than %d", (int)LAYOUT_MAX_NESTING);
    ld->nesting++;
    ld->type_state[i] = LOAD_BUSY;
    /* The path names the type itself, not the way that led to it. */
    struct strbuf outer = ld->path;
    ld->path = (struct strbuf){0};
    (void)load_push(ld, "types.%s", t->name);
    int rc = load_type(ld, ld->type_json[i], t);
    if (rc == 0) {
        ld->type_state[i] = LOAD_DONE;
        ld->nesting--;
    }
    strbuf_free(&ld->path);
    ld->path = outer;
    return rc;
}

int load_type_named(struct loader *ld, const char *name, const struct type **ret)
{
    for (size_t i = 0; i < ld->layout->n_types; i++) {
        if (strcmp(ld->types[i]->name, name) == 0) {
            int rc = load_type_at(ld, i);
            if (rc == 0)
                *ret = ld->types[i];
            return rc;
        }
    }
    return load_fail(
        ld,
        "unknown type '%.80s': neither built in (u8..u64, s8..s64, u16both, u32both, char[n], utf16[n], "
        "bytes[n], guid, uuid) nor in \"types\"",
        name);
}

int load_all_types(struct loader *ld, json_t *json)
{
    if (!json_is_object(json) || json_object_size(json) == 0 || json_object_size(json) > LAYOUT_MAX_TYPES)
        return load_fail(ld, "\"types\" must be an object of 1 to %d types", (int)LAYOUT_MAX_TYPES);
    int likes = load_likes(ld, json);
    if (likes != 0)
        return likes;
    const size_t n = json_object_size(json);
    ld->types = calloc(n, sizeof(struct type *));
    ld->type_json = calloc(n, sizeof(json_t *));
    ld->type_state = calloc(n, 1);
    const struct type **types = arena_alloc(&ld->layout->arena, n * sizeof(struct type *));
    if (ld->types == NULL || ld->type_json == NULL || ld->type_state == NULL || types == NULL)
        return load_nomem(ld);
    const char *name;
    json_t *value;
    size_t i = 0;
    json_object_foreach(json, name, value)
    {
        size_t mark = load_push(ld, ".types.%s", name);
        int rc = load_name(ld, name);
        if (rc != 0)
            return rc;
        struct type *t = arena_alloc(&ld->layout->arena, sizeof *t);
        if (t == NULL || (t->name = arena_strdup(&ld->layout->arena, name)) == NULL)
            return load_nomem(ld);
        types[i] = ld->types[i] = t;
        ld->type_json[i++] = value;
        load_pop(ld, mark);
    }
    ld->layout->types = types;
    ld->layout->n_types = i;
    for (i = 0; i < ld->layout->n_types; i++) {
        int rc = load_type_at(ld, i);
        if (rc != 0)
            return rc;
    }
    return 0;
}
