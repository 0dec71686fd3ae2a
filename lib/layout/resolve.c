/* Resolving names: each name in each expression is bound to what it means when the schema is loaded, so that a typo
 * is a load error with a path, and evaluation does not search. */
#include "lib/layout/load.h"

#include <string.h>

enum shape_kind {
    SHAPE_VALUE,     /* number, text, byte string: no members */
    SHAPE_STRUCT,    /* type: struct or union */
    SHAPE_ARRAY,     /* of `type` (NULL: of values) */
    SHAPE_MAP_ARRAY, /* of `type` */
    SHAPE_BITS,      /* type: bits or flags; a number with members */
    SHAPE_IMAGE,
    SHAPE_EXTENT, /* a map entry without a type */
    SHAPE_UNKNOWN /* only known when evaluated (parent of a type rule) */
};
struct shape {
    enum shape_kind kind;
    const struct type *type;
};
struct scope {
    const struct type *type;   /* struct at hand, or NULL */
    const struct field *field; /* self is this field; NULL: self is the struct */
    bool has_index;
};

static struct shape field_shape(const struct field *field)
{
    if (field->is_array)
        return (struct shape){SHAPE_ARRAY, field->type};
    if (field->repr == REPR_TYPE)
        return (struct shape){SHAPE_STRUCT, field->type};
    if (field->type != NULL && (field->type->kind == TYPE_BITS || field->type->kind == TYPE_FLAGS))
        return (struct shape){SHAPE_BITS, field->type};
    return (struct shape){SHAPE_VALUE, type_names_ids(field->type) ? field->type : NULL};
}

/* `self` in the rules of an array field is the element at hand. */
static struct shape self_shape(const struct field *field)
{
    struct field element = *field;
    element.is_array = false;
    return field_shape(&element);
}

static struct shape map_shape(const struct map_entry *entry)
{
    return (struct shape){entry->is_extent      ? SHAPE_EXTENT
                          : map_is_array(entry) ? SHAPE_MAP_ARRAY
                                                : SHAPE_STRUCT,
                          entry->type};
}

static int fail_expr(struct loader *ld, const struct expr *e, const char *what)
{
    return load_fail(ld, "column %u: '%.80s' %s", e->column, e->text != NULL ? e->text : "expression", what);
}

/* The names in scope, for a message. */
static int fail_unknown(struct loader *ld, const struct expr *e, const struct type *type)
{
    char list[300] = "";
    for (size_t i = 0; type != NULL && i < type->n_fields && strlen(list) < 200; i++) {
        strcat(list, i == 0 ? "; fields: " : ", ");
        strncat(list, type->fields[i].name, 60);
    }
    return load_fail(ld, "column %u: '%.80s' is not a field%s here%s", e->column, e->text,
                     e->op == EXPR_NAME ? ", parameter or map entry" : "", list);
}

static int resolve(struct loader *ld, const struct scope *scope, const struct expr *e, struct shape *ret);

static int resolve_name(struct loader *ld, const struct scope *scope, struct expr *e, struct shape *ret)
{
    *ret = (struct shape){SHAPE_VALUE, NULL};
    if (strcmp(e->text, "self") == 0) {
        if (scope->field == NULL && scope->type == NULL)
            return fail_expr(ld, e, "has no meaning here");
        e->binding = BIND_SELF;
        *ret = scope->field != NULL ? self_shape(scope->field) : (struct shape){SHAPE_STRUCT, scope->type};
        return 0;
    }
    if (strcmp(e->text, "parent") == 0) {
        if (scope->type == NULL)
            return fail_expr(ld, e, "has no meaning here");
        e->binding = BIND_PARENT;
        *ret = scope->field != NULL ? (struct shape){SHAPE_STRUCT, scope->type}
                                    : (struct shape){SHAPE_UNKNOWN, NULL};
        return 0;
    }
    if (strcmp(e->text, "index") == 0) {
        e->binding = BIND_INDEX;
        return scope->has_index || scope->type != NULL ? 0 : fail_expr(ld, e, "has no meaning here");
    }
    if (strcmp(e->text, "image") == 0) {
        e->binding = BIND_IMAGE;
        ret->kind = SHAPE_IMAGE;
        return 0;
    }
    if (scope->type != NULL && scope->type->kind == TYPE_STRUCT) {
        const struct field *field = type_field(scope->type, e->text);
        if (field != NULL) {
            e->binding = BIND_FIELD;
            e->target = field;
            *ret = field_shape(field);
            return 0;
        }
    }
    const struct layout *l = ld->layout;
    for (size_t i = 0; i < l->n_params; i++) {
        if (strcmp(l->params[i].name, e->text) == 0) {
            e->binding = BIND_PARAM;
            e->target = &l->params[i];
            return 0;
        }
    }
    const struct map_entry *entry = layout_map(l, e->text);
    if (entry != NULL) {
        e->binding = BIND_MAP;
        e->target = entry;
        *ret = map_shape(entry);
        return 0;
    }
    /* A union at hand: the field may lie in any of its cases. */
    for (size_t i = 0; scope->type != NULL && i < scope->type->n_cases; i++) {
        const struct field *field = type_field(scope->type->cases[i].type, e->text);
        if (field != NULL) {
            *ret = field_shape(field);
            return 0;
        }
    }
    return fail_unknown(ld, e, scope->type);
}

static int resolve_member(struct loader *ld, const struct scope *scope, struct expr *e, struct shape *ret)
{
    struct shape base;
    int rc = resolve(ld, scope, e->arg[0], &base);
    if (rc != 0)
        return rc;
    *ret = (struct shape){SHAPE_VALUE, NULL};
    switch (base.kind) {
    case SHAPE_IMAGE:
        return strcmp(e->text, "bytes") == 0
                   ? 0
                   : fail_expr(ld, e, "is not a member of image; there is image.bytes");
    case SHAPE_UNKNOWN:
        ret->kind = SHAPE_UNKNOWN;
        return 0;
    case SHAPE_BITS:
        for (size_t i = 0; i < base.type->n_values; i++)
            if (strcmp(base.type->values[i].name, e->text) == 0)
                return 0;
        if (base.type->kind == TYPE_BITS && type_field(base.type, e->text) != NULL) {
            e->binding = BIND_FIELD;
            e->target = type_field(base.type, e->text);
            return 0;
        }
        return fail_unknown(ld, e, base.type);
    case SHAPE_STRUCT:
        if (base.type->kind == TYPE_STRUCT) {
            const struct field *field = type_field(base.type, e->text);
            if (field == NULL)
                return fail_unknown(ld, e, base.type);
            e->binding = BIND_FIELD;
            e->target = field;
            *ret = field_shape(field);
            return 0;
        }
        for (size_t i = 0; i < base.type->n_cases; i++) {
            const struct field *field = type_field(base.type->cases[i].type, e->text);
            if (field != NULL) {
                *ret = field_shape(field);
                return 0;
            }
        }
        return fail_expr(ld, e, "is not a field of any case of the union");
    default:
        return fail_expr(ld, e, "is asked of something that has no members");
    }
}

/* First arguments that stand for a place or a map entry and not for a value. */
static int resolve_call(struct loader *ld, const struct scope *scope, const struct expr *e)
{
    const char *name = expr_functions[e->function].name;
    bool place = strcmp(name, "offset") == 0 || strcmp(name, "size") == 0 || strcmp(name, "bytes") == 0;
    bool map = strcmp(name, "count") == 0 || strcmp(name, "present") == 0;
    for (unsigned i = 0; i < e->n_args; i++) {
        struct shape shape;
        int rc = resolve(ld, scope, e->arg[i], &shape);
        if (rc != 0)
            return rc;
        const struct expr *arg = e->arg[i];
        bool is_map = arg->op == EXPR_NAME && arg->binding == BIND_MAP;
        if (i == 0 && map && !is_map)
            return load_fail(ld, "column %u: %s() takes the name of a map entry", arg->column, name);
        if (i == 0 && place && !is_map && arg->op != EXPR_NAME && arg->op != EXPR_MEMBER &&
            arg->op != EXPR_INDEX)
            return load_fail(ld, "column %u: %s() takes a field, a structure or a map entry", arg->column,
                             name);
        bool number = shape.kind == SHAPE_VALUE || shape.kind == SHAPE_BITS || shape.kind == SHAPE_UNKNOWN;
        if ((i > 0 || !(place || map)) && !number)
            return load_fail(ld, "column %u: %s() takes a value here", arg->column, name);
    }
    if (e->zero_arg != NULL) {
        struct shape shape;
        int rc = resolve(ld, scope, e->zero_arg, &shape);
        if (rc != 0)
            return rc;
        if (e->zero_arg->op != EXPR_NAME && e->zero_arg->op != EXPR_MEMBER)
            return load_fail(ld, "column %u: \"zero:\" takes a field", e->zero_arg->column);
    }
    return 0;
}

/* A GUID of an enum is compared with a GUID, or with a name that there is. */
static int resolve_id_name(struct loader *ld, const struct expr *e, const struct shape *shapes)
{
    uint8_t id[LAYOUT_ID_BYTES];
    for (unsigned i = 0; i < 2; i++) {
        const struct expr *text = e->arg[1 - i];
        const struct type *type = shapes[i].type;
        if (shapes[i].kind != SHAPE_VALUE || type == NULL || !type_names_ids(type) || text->op != EXPR_TEXT)
            continue;
        const struct field field = {.repr = type->base, .type = type};
        if (!field_parse_id(&field, text->text, text->text_bytes, id))
            return load_fail(ld, "column %u: '%.80s' is neither a GUID nor a name of %s", text->column,
                             text->text, type->name);
    }
    return 0;
}

static int resolve(struct loader *ld, const struct scope *scope, const struct expr *e, struct shape *ret)
{
    *ret = (struct shape){SHAPE_VALUE, NULL};
    if (e->op == EXPR_NUM || e->op == EXPR_TEXT)
        return 0;
    if (e->op == EXPR_NAME)
        return resolve_name(ld, scope, (struct expr *)e, ret);
    if (e->op == EXPR_MEMBER)
        return resolve_member(ld, scope, (struct expr *)e, ret);
    if (e->op == EXPR_CALL)
        return resolve_call(ld, scope, e);
    struct shape shapes[EXPR_MAX_ARGS] = {{SHAPE_VALUE, NULL}};
    for (unsigned i = 0; i < e->n_args; i++) {
        int rc = resolve(ld, scope, e->arg[i], &shapes[i]);
        if (rc != 0)
            return rc;
        bool base = e->op == EXPR_INDEX && i == 0;
        bool value =
            shapes[i].kind == SHAPE_VALUE || shapes[i].kind == SHAPE_BITS || shapes[i].kind == SHAPE_UNKNOWN;
        if (!base && !value)
            return load_fail(ld, "column %u: a structure or an array is used as a value", e->arg[i]->column);
    }
    if (e->op == EXPR_EQ || e->op == EXPR_NE)
        return resolve_id_name(ld, e, shapes);
    if (e->op == EXPR_INDEX) {
        if (shapes[0].kind == SHAPE_UNKNOWN)
            ret->kind = SHAPE_UNKNOWN;
        else if (shapes[0].kind != SHAPE_ARRAY && shapes[0].kind != SHAPE_MAP_ARRAY)
            return load_fail(ld, "column %u: '[' behind something that is not an array", e->column);
        else if (shapes[0].type != NULL &&
                 (shapes[0].type->kind == TYPE_STRUCT || shapes[0].type->kind == TYPE_UNION))
            *ret = (struct shape){SHAPE_STRUCT, shapes[0].type};
        else if (type_names_ids(shapes[0].type))
            *ret = (struct shape){SHAPE_VALUE, shapes[0].type};
        else if (shapes[0].type != NULL && shapes[0].type->kind != TYPE_ENUM)
            *ret = (struct shape){SHAPE_BITS, shapes[0].type};
    }
    return 0;
}

static int resolve_value(struct loader *ld, const struct scope *scope, const struct expr *e, const char *key)
{
    if (e == NULL)
        return 0;
    struct shape shape;
    size_t mark = load_push(ld, "%s", key);
    int rc = resolve(ld, scope, e, &shape);
    if (rc == 0 && shape.kind != SHAPE_VALUE && shape.kind != SHAPE_BITS && shape.kind != SHAPE_UNKNOWN)
        rc = load_fail(ld, "a structure or an array is used as a value");
    if (rc == 0)
        load_pop(ld, mark);
    return rc;
}

static int resolve_rules(struct loader *ld, const struct scope *scope, const struct rule *rules, size_t n,
                         const char *key)
{
    for (size_t i = 0; i < n; i++) {
        struct scope inner = *scope;
        size_t mark = load_push(ld, "%s[%zu]", key, i);
        if (rules[i].each != NULL) {
            const struct map_entry *entry = layout_map(ld->layout, rules[i].each);
            if (entry == NULL || !map_is_array(entry) || entry->type == NULL)
                return load_fail(ld, "\"each\" must name a map array, not '%s'", rules[i].each);
            inner = (struct scope){.type = entry->type, .has_index = true};
        }
        int rc = resolve_value(ld, &inner, rules[i].when, ".when");
        if (rc == 0)
            rc = resolve_value(ld, &inner, rules[i].must, ".must");
        for (size_t k = 0; rc == 0 && k < rules[i].n_say_exprs; k++)
            rc = resolve_value(ld, &inner, rules[i].say_exprs[k], ".say");
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
    }
    return 0;
}

static int resolve_fields(struct loader *ld, const struct type *t)
{
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        struct scope scope = {.type = t, .field = f};
        size_t mark = load_push(ld, ".fields[%zu]", i);
        int rc = 0;
        if (f->count_expr != NULL) {
            /* A length may depend on earlier fields only: anything else could not be evaluated while decoding. */
            struct type earlier = *t;
            earlier.n_fields = i;
            struct scope before = {.type = &earlier};
            rc = resolve_value(ld, &before, f->count_expr, f->is_array ? ".count" : ".type");
        }
        if (rc == 0)
            rc = resolve_rules(ld, &scope, f->valid, f->n_valid, ".valid");
        if (rc == 0)
            rc = resolve_value(ld, &scope, f->derive, ".derive");
        if (rc == 0)
            rc = resolve_value(ld, &scope, f->when, ".when");
        if (rc == 0)
            rc = resolve_value(ld, &scope, f->shows, ".shows");
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
    }
    return 0;
}

static int resolve_type(struct loader *ld, const struct type *t)
{
    struct scope scope = {.type = t};
    int rc = 0;
    if (t->kind == TYPE_STRUCT || t->kind == TYPE_BITS)
        rc = resolve_fields(ld, t);
    if (rc == 0)
        rc = resolve_rules(ld, &scope, t->rules, t->n_rules, ".rules");
    struct scope head = {.type = t->head};
    for (size_t i = 0; rc == 0 && i < t->n_cases; i++) {
        size_t mark = load_push(ld, ".cases[%zu]", i);
        rc = resolve_value(ld, &head, t->cases[i].when, ".when");
        if (rc == 0)
            load_pop(ld, mark);
    }
    return rc;
}

int load_resolve(struct loader *ld)
{
    const struct layout *l = ld->layout;
    const struct scope top = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->n_types; i++) {
        size_t mark = load_push(ld, ".types.%s", l->types[i]->name);
        if ((rc = resolve_type(ld, l->types[i])) == 0)
            load_pop(ld, mark);
    }
    for (size_t i = 0; rc == 0 && i < l->n_identify; i++) {
        size_t mark = load_push(ld, ".identify[%zu]", i);
        if ((rc = resolve_value(ld, &top, l->identify[i].at, ".at")) == 0)
            load_pop(ld, mark);
    }
    for (size_t i = 0; rc == 0 && i < l->n_map; i++) {
        const struct map_entry *m = &l->map[i];
        size_t mark = load_push(ld, ".map[%zu]", i);
        const struct expr *const exprs[] = {m->at, m->bytes, m->count, m->stride, m->when};
        static const char *const keys[] = {".at", ".bytes", ".count", ".stride", ".when"};
        for (size_t k = 0; rc == 0 && k < 5; k++)
            rc = resolve_value(ld, &top, exprs[k], keys[k]);
        const struct scope element = {.type = m->type, .has_index = true};
        if (rc == 0)
            rc = resolve_value(ld, &element, m->next, ".next");
        if (rc == 0)
            rc = resolve_value(ld, &element, m->last, ".last");
        if (rc == 0)
            load_pop(ld, mark);
    }
    for (size_t i = 0; rc == 0 && i < l->n_follows; i++) {
        size_t mark = load_push(ld, ".follows[%zu]", i);
        rc = resolve_value(ld, &top, l->follows[i].is, ".is");
        if (rc == 0)
            rc = resolve_value(ld, &top, l->follows[i].when, ".when");
        if (rc == 0)
            load_pop(ld, mark);
    }
    return rc == 0 ? resolve_rules(ld, &top, l->rules, l->n_rules, ".rules") : rc;
}
