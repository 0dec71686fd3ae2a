/* Loading a schema: JSON text to the model. The parts: this file (top level, rules, map), load_util.c (JSON
 * helpers), load_type.c (types and fields), resolve.c (names in expressions). */
#include "lib/layout/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const severities[] = {"error", "warning", "note", NULL};

/* The {EXPR} parts of a message. */
static int load_say(struct loader *ld, struct rule *rule)
{
    size_t n = 0;
    for (const char *s = rule->say; *s != '\0'; s++)
        n += *s == '{';
    if (n == 0)
        return 0;
    const struct expr **exprs = arena_alloc(&ld->layout->arena, n * sizeof(struct expr *));
    if (exprs == NULL)
        return load_nomem(ld);
    size_t i = 0;
    for (const char *s = strchr(rule->say, '{'); s != NULL; s = strchr(s, '{')) {
        const char *close = strchr(s, '}');
        if (close == NULL)
            return load_fail(ld, "'{' in \"say\" is not closed");
        struct plat_err inner;
        if (expr_parse(&ld->layout->arena, s + 1, (size_t)(close - s) - 1, &exprs[i], &inner) != 0)
            return inner.class == PLAT_ENOMEM ? load_nomem(ld) : load_fail(ld, "%s", inner.text);
        i++;
        s = close;
    }
    rule->say_exprs = exprs;
    rule->n_say_exprs = i;
    return 0;
}

static int load_refused_by(struct loader *ld, json_t *object, const char *const **ret)
{
    json_t *list = json_object_get(object, "refused_by");
    if (list == NULL)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > 16)
        return load_fail(ld, "\"refused_by\" must be an array of at most 16 names");
    const char **names = arena_alloc(&ld->layout->arena, (json_array_size(list) + 1) * sizeof(char *));
    if (names == NULL)
        return load_nomem(ld);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *name = json_array_get(list, i);
        if (!json_is_string(name))
            return load_fail(ld, "\"refused_by\" must hold names only");
        names[i] = arena_strdup(&ld->layout->arena, json_string_value(name));
        if (names[i] == NULL)
            return load_nomem(ld);
    }
    *ret = names;
    return 0;
}

static int load_severity(struct loader *ld, json_t *object, enum severity *ret)
{
    int severity = (int)*ret;
    int rc = load_choice(ld, object, "severity", severities, &severity);
    if (rc == 0)
        *ret = (enum severity)severity;
    return rc;
}

static int load_rule(struct loader *ld, json_t *json, bool each_allowed, struct rule *ret)
{
    *ret = (struct rule){.severity = SEVERITY_ERROR};
    if (json_is_string(json))
        return load_expr_text(ld, json, &ret->must, &ret->must_text);
    if (!json_is_object(json))
        return load_fail(ld, "a rule must be an expression or an object with \"must\"");
    int rc = load_keys(ld, json,
                       each_allowed ? "id each when must say severity refused_by doc"
                                    : "id when must say severity refused_by doc");
    if (rc == 0)
        rc = load_text(ld, json, "id", &ret->id);
    const char *doc = NULL; /* for readers of the schema */
    if (rc == 0)
        rc = load_text(ld, json, "doc", &doc);
    if (rc == 0)
        rc = load_text(ld, json, "each", &ret->each);
    if (rc == 0)
        rc = load_expr(ld, json, "when", &ret->when, NULL);
    if (rc == 0)
        rc = load_expr(ld, json, "must", &ret->must, &ret->must_text);
    if (rc == 0 && ret->must == NULL)
        rc = load_fail(ld, "\"must\" is missing");
    if (rc == 0)
        rc = load_text(ld, json, "say", &ret->say);
    if (rc == 0 && ret->say != NULL)
        rc = load_say(ld, ret);
    if (rc == 0)
        rc = load_severity(ld, json, &ret->severity);
    if (rc == 0)
        rc = load_refused_by(ld, json, &ret->refused_by);
    return rc;
}

int load_rules(struct loader *ld, json_t *value, bool each_allowed, const struct rule **ret, size_t *ret_n)
{
    if (value == NULL)
        return 0;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (n > LAYOUT_MAX_RULES)
        return load_fail(ld, "%zu rules are more than %d", n, (int)LAYOUT_MAX_RULES);
    struct rule *rules = arena_alloc(&ld->layout->arena, (n + 1) * sizeof *rules);
    if (rules == NULL)
        return load_nomem(ld);
    for (size_t i = 0; i < n; i++) {
        bool array = json_is_array(value);
        size_t mark = array ? load_push(ld, "[%zu]", i) : load_push(ld, "%s", "");
        int rc = load_rule(ld, array ? json_array_get(value, i) : value, each_allowed, &rules[i]);
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
    }
    *ret = rules;
    *ret_n = n;
    return 0;
}

static int load_params(struct loader *ld, json_t *json)
{
    if (json == NULL)
        return 0;
    if (!json_is_object(json) || json_object_size(json) > LAYOUT_MAX_PARAMS)
        return load_fail(ld, "\"params\" must be an object of at most %d members", (int)LAYOUT_MAX_PARAMS);
    struct param *params = arena_alloc(&ld->layout->arena, (json_object_size(json) + 1) * sizeof *params);
    if (params == NULL)
        return load_nomem(ld);
    const char *name;
    json_t *value;
    size_t n = 0;
    json_object_foreach(json, name, value)
    {
        struct param *param = &params[n++];
        size_t mark = load_push(ld, ".params.%s", name);
        int rc = load_name(ld, name);
        if (rc == 0 && !json_is_object(value))
            rc = load_fail(ld, "a parameter must be an object with \"default\"");
        if (rc == 0)
            rc = load_keys(ld, value, "default unit doc choices");
        if (rc == 0 && json_object_get(value, "default") == NULL)
            rc = load_fail(ld, "\"default\" is missing");
        if (rc == 0)
            rc = load_number(ld, value, "default", UINT64_MAX, &param->value);
        param->doc = "";
        if (rc == 0)
            rc = load_text(ld, value, "doc", &param->doc);
        if (rc == 0)
            rc = load_text(ld, value, "unit", &param->unit);
        json_t *choices = json_object_get(value, "choices");
        if (rc == 0 && choices != NULL && (!json_is_array(choices) || json_array_size(choices) > 64))
            rc = load_fail(ld, "\"choices\" must be an array of at most 64 numbers");
        if (rc == 0 && choices != NULL) {
            uint64_t *list = arena_alloc(&ld->layout->arena, (json_array_size(choices) + 1) * sizeof *list);
            if (list == NULL)
                return load_nomem(ld);
            bool negative;
            for (size_t i = 0; rc == 0 && i < json_array_size(choices); i++)
                rc = load_number_value(ld, json_array_get(choices, i), &list[i], &negative);
            param->choices = list;
            param->n_choices = json_array_size(choices);
        }
        if (rc == 0 && (param->name = arena_strdup(&ld->layout->arena, name)) == NULL)
            rc = load_nomem(ld);
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
    }
    ld->layout->params = params;
    ld->layout->n_params = n;
    return 0;
}

static int load_identify(struct loader *ld, json_t *json)
{
    if (json == NULL)
        return 0;
    if (!json_is_array(json) || json_array_size(json) > 16)
        return load_fail(ld, "\"identify\" must be an array of at most 16 patterns");
    struct identify *list = arena_alloc(&ld->layout->arena, (json_array_size(json) + 1) * sizeof *list);
    if (list == NULL)
        return load_nomem(ld);
    for (size_t i = 0; i < json_array_size(json); i++) {
        json_t *item = json_array_get(json, i);
        size_t mark = load_push(ld, ".identify[%zu]", i);
        int rc = json_is_object(item) ? load_keys(ld, item, "at bytes") : load_fail(ld, "must be an object");
        if (rc == 0)
            rc = load_expr(ld, item, "at", &list[i].at, NULL);
        if (rc == 0 && list[i].at == NULL)
            rc = load_fail(ld, "\"at\" is missing");
        if (rc == 0)
            rc = load_byte_text(ld, json_object_get(item, "bytes"), &list[i].bytes, &list[i].n);
        if (rc == 0 && (list[i].n == 0 || list[i].n > 256))
            rc = load_fail(ld, "\"bytes\" must hold 1 to 256 bytes");
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
    }
    ld->layout->identify = list;
    ld->layout->n_identify = json_array_size(json);
    return 0;
}

static int load_map_shape(struct loader *ld, json_t *json, size_t n_before, struct map_entry *ret)
{
    static const char *const extents[] = {"metadata", "data", "free", "padding", NULL};
    const char *type = NULL, *mirror = NULL;
    int rc = load_text(ld, json, "type", &type);
    if (rc == 0)
        rc = load_text(ld, json, "mirror", &mirror);
    int kind = -1;
    if (rc == 0)
        rc = load_choice(ld, json, "extent", extents, &kind);
    if (rc != 0)
        return rc;
    if ((type != NULL) + (mirror != NULL) + (kind >= 0) != 1)
        return load_fail(ld, "needs exactly one of \"type\", \"mirror\" and \"extent\"");
    if (kind >= 0) {
        ret->is_extent = true;
        ret->extent = (enum extent_kind)kind;
        if (ret->bytes == NULL)
            return load_fail(ld, "an extent needs \"bytes\"");
        return ret->next != NULL ? load_fail(ld, "\"next\" needs a \"type\"") : 0;
    }
    if (ret->bytes != NULL)
        return load_fail(ld, "\"bytes\" belongs to an extent");
    if (mirror != NULL) {
        for (size_t i = 0; i < n_before; i++)
            if (strcmp(ld->layout->map[i].name, mirror) == 0)
                ret->mirror = &ld->layout->map[i];
        if (ret->mirror == NULL || ret->mirror->is_extent || ret->mirror->mirror != NULL ||
            ret->mirror->next != NULL)
            return load_fail(ld, "\"mirror\" must name an earlier map entry with a type, not '%s'", mirror);
        if (ret->count != NULL || ret->stride != NULL || ret->next != NULL)
            return load_fail(ld, "a mirror takes count and stride from what it mirrors");
        ret->type = ret->mirror->type;
        ret->count = ret->mirror->count;
        ret->stride = ret->mirror->stride;
        return 0;
    }
    if ((rc = load_type_named(ld, type, &ret->type)) != 0)
        return rc;
    if (ret->type->kind != TYPE_STRUCT && ret->type->kind != TYPE_UNION)
        return load_fail(ld, "type '%s' is not a struct or a union", type);
    if (ret->next != NULL && ret->count != NULL)
        return load_fail(ld, "\"next\" and \"count\" exclude each other");
    if (ret->last != NULL && ret->next == NULL)
        return load_fail(ld, "\"last\" needs \"next\"");
    if (ret->stride != NULL && ret->count == NULL)
        return load_fail(ld, "\"stride\" needs \"count\"");
    if (ret->type->size_bytes == 0 && ret->count != NULL && ret->stride == NULL)
        return load_fail(ld, "an array of '%s', whose size varies, needs \"stride\"", type);
    return 0;
}

static int load_map_entry(struct loader *ld, json_t *json, size_t n_before, struct map_entry *ret)
{
    if (!json_is_object(json))
        return load_fail(ld, "a map entry must be an object");
    *ret = (struct map_entry){.doc = "", .severity = SEVERITY_ERROR};
    int rc = load_keys(
        ld, json, "name type mirror extent at bytes count stride next last when doc severity refused_by");
    if (rc == 0)
        rc = load_text(ld, json, "name", &ret->name);
    if (rc == 0 && ret->name == NULL)
        rc = load_fail(ld, "\"name\" is missing");
    if (rc == 0)
        rc = load_name(ld, ret->name);
    for (size_t i = 0; rc == 0 && i < n_before; i++)
        if (strcmp(ld->layout->map[i].name, ret->name) == 0)
            rc = load_fail(ld, "map entry '%s' is named twice", ret->name);
    if (rc == 0)
        rc = load_text(ld, json, "doc", &ret->doc);
    if (rc == 0)
        rc = load_expr(ld, json, "at", &ret->at, NULL);
    if (rc == 0 && ret->at == NULL)
        rc = load_fail(ld, "\"at\" is missing");
    if (rc == 0)
        rc = load_expr(ld, json, "bytes", &ret->bytes, NULL);
    if (rc == 0)
        rc = load_expr(ld, json, "count", &ret->count, NULL);
    if (rc == 0)
        rc = load_expr(ld, json, "stride", &ret->stride, NULL);
    if (rc == 0)
        rc = load_expr(ld, json, "next", &ret->next, NULL);
    if (rc == 0)
        rc = load_expr(ld, json, "last", &ret->last, NULL);
    if (rc == 0)
        rc = load_expr(ld, json, "when", &ret->when, NULL);
    if (rc == 0)
        rc = load_severity(ld, json, &ret->severity);
    if (rc == 0)
        rc = load_refused_by(ld, json, &ret->refused_by);
    return rc != 0 ? rc : load_map_shape(ld, json, n_before, ret);
}

static int load_map(struct loader *ld, json_t *json)
{
    if (json == NULL)
        return 0;
    if (!json_is_array(json) || json_array_size(json) > LAYOUT_MAX_MAP)
        return load_fail(ld, "\"map\" must be an array of at most %d entries", (int)LAYOUT_MAX_MAP);
    struct map_entry *map = arena_alloc(&ld->layout->arena, (json_array_size(json) + 1) * sizeof *map);
    if (map == NULL)
        return load_nomem(ld);
    ld->layout->map = map;
    for (size_t i = 0; i < json_array_size(json); i++) {
        size_t mark = load_push(ld, ".map[%zu]", i);
        int rc = load_map_entry(ld, json_array_get(json, i), i, &map[i]);
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
        ld->layout->n_map = i + 1;
    }
    return 0;
}

/* A picture in characters, line by line, for the manual page. */
static int load_drawing(struct loader *ld, json_t *lines)
{
    struct strbuf text = {0};
    int rc = 0;
    if (lines == NULL)
        return 0;
    if (!json_is_array(lines) || json_array_size(lines) > LAYOUT_MAX_DRAWING_LINES)
        return load_fail(ld, "\"drawing\" must be an array of at most %d lines", LAYOUT_MAX_DRAWING_LINES);
    for (size_t i = 0; rc == 0 && i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));
        size_t n = line != NULL ? strlen(line) : 0;
        if (line == NULL || n > LAYOUT_MAX_DRAWING_BYTES ||
            n != json_string_length(json_array_get(lines, i)) || strpbrk(line, "\n\r\t\033") != NULL)
            rc = load_fail(
                ld, "line %zu of \"drawing\" must be text of at most %d bytes without line ends or tabs", i,
                LAYOUT_MAX_DRAWING_BYTES);
        else
            strbuf_printf(&text, "%s\n", line);
    }
    if (rc == 0) {
        ld->layout->drawing = text.failed ? NULL : arena_strdup(&ld->layout->arena, strbuf_str(&text));
        rc = ld->layout->drawing == NULL ? load_nomem(ld) : 0;
    }
    strbuf_free(&text);
    return rc;
}

static int load_head(struct loader *ld, json_t *json)
{
    struct layout *l = ld->layout;
    static const char *const endians[] = {"little", "big", NULL};
    l->title = l->spec = l->doc = l->drawing = "";
    if (!json_is_object(json))
        return load_fail(ld, "a layout must be a JSON object");
    int rc = load_keys(
        ld, json, "$schema layout title spec doc drawing endian params identify types map rules follows");
    if (rc == 0)
        rc = load_text(ld, json, "layout", &l->name);
    if (rc == 0 && l->name == NULL)
        rc = load_fail(ld, "\"layout\" (the format's name) is missing");
    if (rc == 0)
        rc = load_name(ld, l->name);
    if (rc == 0)
        rc = load_text(ld, json, "title", &l->title);
    if (rc == 0)
        rc = load_text(ld, json, "spec", &l->spec);
    if (rc == 0)
        rc = load_text(ld, json, "doc", &l->doc);
    if (rc == 0)
        rc = load_drawing(ld, json_object_get(json, "drawing"));
    int endian = -1;
    if (rc == 0)
        rc = load_choice(ld, json, "endian", endians, &endian);
    if (rc == 0 && endian < 0)
        rc = load_fail(ld, "\"endian\" is missing: little or big");
    l->big_endian = endian == 1;
    return rc;
}

static int load_body(struct loader *ld, json_t *json)
{
    struct layout *l = ld->layout;
    int rc = load_head(ld, json);
    if (rc == 0)
        rc = load_params(ld, json_object_get(json, "params"));
    if (rc == 0)
        rc = load_identify(ld, json_object_get(json, "identify"));
    if (rc == 0)
        rc = load_all_types(ld, json_object_get(json, "types"));
    if (rc == 0)
        rc = load_map(ld, json_object_get(json, "map"));
    if (rc == 0) {
        size_t mark = load_push(ld, ".rules");
        rc = load_rules(ld, json_object_get(json, "rules"), true, &l->rules, &l->n_rules);
        if (rc == 0)
            load_pop(ld, mark);
    }
    if (rc == 0)
        rc = load_follows(ld, json_object_get(json, "follows"));
    return rc == 0 ? load_resolve(ld) : rc;
}

int layout_load(const char *json, size_t n, const char *source_name, struct layout **ret,
                struct plat_err *err)
{
    struct loader ld = {.err = err};
    json_error_t fault;
    json_t *root = NULL;
    int rc;
    if (n > LAYOUT_MAX_FILE_BYTES) {
        rc =
            err_set(err, PLAT_ELIMIT, "schema of %zu bytes is larger than %d", n, (int)LAYOUT_MAX_FILE_BYTES);
        goto out;
    }
    root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL) {
        rc = err_set(err, PLAT_EINVALID, "line %d, column %d: not JSON: %s", fault.line, fault.column,
                     fault.text);
        goto out;
    }
    ld.layout = calloc(1, sizeof *ld.layout);
    if (ld.layout == NULL) {
        rc = err_nomem(err, "loading a schema");
        goto out;
    }
    ld.layout->source_name = arena_strdup(&ld.layout->arena, source_name);
    rc = ld.layout->source_name == NULL ? load_nomem(&ld) : load_body(&ld, root);
    if (rc == 0) {
        *ret = ld.layout;
        ld.layout = NULL;
    }
out:
    if (rc != 0)
        err_image(err, source_name);
    layout_free(ld.layout);
    free(ld.types);
    free(ld.type_json);
    free(ld.type_state);
    strbuf_free(&ld.path);
    json_decref(root);
    return rc;
}

int layout_load_file(const char *path, struct layout **ret, struct plat_err *err)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        int rc = err_sys(err, errno, "cannot open the schema");
        err_image(err, path);
        return rc;
    }
    char *text = malloc(LAYOUT_MAX_FILE_BYTES + 1);
    int rc;
    if (text == NULL) {
        rc = err_nomem(err, "reading a schema");
    } else {
        size_t n = fread(text, 1, LAYOUT_MAX_FILE_BYTES + 1, f);
        rc = ferror(f) ? err_sys(err, errno, "cannot read the schema") : layout_load(text, n, path, ret, err);
    }
    if (rc != 0)
        err_image(err, path);
    free(text);
    (void)fclose(f);
    return rc;
}

void layout_free(struct layout *layout)
{
    if (layout != NULL) {
        struct arena arena = layout->arena;
        arena_free(&arena);
        free(layout);
    }
}

/* ---- look-ups ---- */

bool map_is_array(const struct map_entry *entry)
{
    return entry->count != NULL || entry->next != NULL;
}

const struct type *layout_type(const struct layout *layout, const char *name)
{
    for (size_t i = 0; i < layout->n_types; i++)
        if (strcmp(layout->types[i]->name, name) == 0)
            return layout->types[i];
    return NULL;
}

const struct map_entry *layout_map(const struct layout *layout, const char *name)
{
    for (size_t i = 0; i < layout->n_map; i++)
        if (strcmp(layout->map[i].name, name) == 0)
            return &layout->map[i];
    return NULL;
}

const struct field *type_field(const struct type *type, const char *name)
{
    for (size_t i = 0; i < type->n_fields; i++)
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    return NULL;
}

const struct enum_value *type_value(const struct type *type, uint64_t value)
{
    for (size_t i = 0; i < type->n_values; i++)
        if (type->values[i].value == value)
            return &type->values[i];
    return NULL;
}

const char *severity_name(enum severity severity)
{
    return severities[severity];
}
