/* Loading "follows": what is to be written into one structure when another one changes. */
#include <stdlib.h>
#include <string.h>

#include "lib/layout/load.h"

/* "backup.disk_guid", "fat[0].link", "copy". */
static int load_of(struct loader *ld, struct follow *follow)
{
    const char *of = follow->of;
    size_t n = strcspn(of, ".[");
    for (size_t i = 0; i < ld->layout->n_map; i++)
        if (strlen(ld->layout->map[i].name) == n && memcmp(ld->layout->map[i].name, of, n) == 0)
            follow->entry = &ld->layout->map[i];
    if (follow->entry == NULL || follow->entry->type == NULL || follow->entry->mirror != NULL)
        return load_fail(ld, "\"of\" must name a structure of the map, or a field of one, not '%s'", of);
    const char *rest = of + n;
    if (*rest == '[') {
        char *end;
        follow->index = strtoull(rest + 1, &end, 10);
        if (*end != ']' || end == rest + 1)
            return load_fail(ld, "\"of\" has no number between '[' and ']': '%s'", of);
        rest = end + 1;
    }
    if ((follow->entry->count != NULL) != (of[n] == '['))
        return load_fail(ld, "\"of\" must have an index for an array, and none for anything else: '%s'", of);
    if (*rest == '\0')
        return 0;
    follow->field = type_field(follow->entry->type, rest + 1);
    if (*rest != '.' || follow->field == NULL || follow->field->repr == REPR_TYPE || follow->field->is_array)
        return load_fail(ld, "\"of\" must end in a field with a single value: '%s'", of);
    return 0;
}

static int load_follow(struct loader *ld, json_t *json, struct follow *ret)
{
    const char *doc = NULL; /* for readers of the schema */
    int rc =
        json_is_object(json) ? load_keys(ld, json, "of is when doc") : load_fail(ld, "must be an object");
    if (rc == 0)
        rc = load_text(ld, json, "of", &ret->of);
    if (rc == 0)
        rc = load_text(ld, json, "doc", &doc);
    if (rc == 0)
        rc = load_expr(ld, json, "is", &ret->is, &ret->is_text);
    if (rc == 0)
        rc = load_expr(ld, json, "when", &ret->when, NULL);
    if (rc == 0 && (ret->of == NULL || ret->is == NULL))
        rc = load_fail(ld, "\"of\" and \"is\" are needed");
    return rc == 0 ? load_of(ld, ret) : rc;
}

int load_follows(struct loader *ld, json_t *json)
{
    if (json == NULL)
        return 0;
    if (!json_is_array(json) || json_array_size(json) > LAYOUT_MAX_RULES)
        return load_fail(ld, "\"follows\" must be an array of at most %d objects", (int)LAYOUT_MAX_RULES);
    struct follow *list = arena_alloc(&ld->layout->arena, (json_array_size(json) + 1) * sizeof *list);
    if (list == NULL)
        return load_nomem(ld);
    for (size_t i = 0; i < json_array_size(json); i++) {
        size_t mark = load_push(ld, ".follows[%zu]", i);
        int rc = load_follow(ld, json_array_get(json, i), &list[i]);
        if (rc != 0)
            return rc;
        load_pop(ld, mark);
    }
    ld->layout->follows = list;
    ld->layout->n_follows = json_array_size(json);
    return 0;
}
