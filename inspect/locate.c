/* Following a path down inside one structure. */
#include "inspect/select.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/nearest.h"

struct search {
    const struct field_path *path;
    located_fn fn;
    void *ctx;
    struct plat_err *err;
};

static int locate_in(const struct search *search, const struct inst *inst, size_t step);

uint64_t located_bits(const struct located *located)
{
    unsigned shift = located->kind == LOCATED_FLAG ? located->flag->shift : located->member->bit_shift;
    unsigned width = located->kind == LOCATED_FLAG ? located->flag->width : located->member->bit_width;
    uint64_t mask = width >= 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
    return shift >= 64 ? 0 : (located->value.number >> shift) & mask;
}

static int found(const struct search *search, struct located *located)
{
    located->path = search->path->text;
    return search->fn(search->ctx, located, search->err);
}

/* The part of the path before `step`, for messages. */
static int head_bytes(const struct search *search, size_t step)
{
    return step == 0 ? 0 : (int)search->path->steps[step - 1].end;
}

static int no_such(const struct search *search, size_t step, const struct nearest *nearest)
{
    struct strbuf names = {0};
    nearest_list(nearest, &names);
    int r = err_set(search->err, PLAT_ENOTFOUND, "no '%s' in %.*s%s%s", search->path->steps[step].name,
                    head_bytes(search, step), search->path->text, names.len > 0 ? "; nearest: " : "",
                    strbuf_str(&names));
    strbuf_free(&names);
    return r;
}

static int nothing_below(const struct search *search, size_t step, const char *what)
{
    const char *rest = search->path->text + head_bytes(search, step);
    return err_set(search->err, PLAT_ENOTFOUND, "%.*s is %s; there is no %s in it", head_bytes(search, step),
                   search->path->text, what, *rest == '.' ? rest + 1 : rest);
}

/* `step` names a member of the bits or flags value in `located`. */
static int locate_bits(const struct search *search, struct located *located, size_t step)
{
    const struct type *type = located->field->type;
    const struct path_step *wanted = &search->path->steps[step];
    struct nearest nearest = {.wanted = wanted->name};
    bool has_names = located->field->repr != REPR_TYPE && type != NULL &&
                     (type->kind == TYPE_BITS || type->kind == TYPE_FLAGS);
    if (!has_names || wanted->kind != PATH_NAME)
        return nothing_below(search, step, "a single value");
    if (step + 1 < search->path->n_steps)
        return nothing_below(search, step + 1, "a single value");
    for (size_t i = 0; type->kind == TYPE_BITS && i < type->n_fields; i++) {
        nearest_add(&nearest, type->fields[i].name, strlen(type->fields[i].name));
        if (strcmp(type->fields[i].name, wanted->name) == 0) {
            located->kind = LOCATED_MEMBER;
            located->member = &type->fields[i];
            return found(search, located);
        }
    }
    for (size_t i = 0; type->kind == TYPE_FLAGS && i < type->n_values; i++) {
        nearest_add(&nearest, type->values[i].name, strlen(type->values[i].name));
        if (strcmp(type->values[i].name, wanted->name) == 0) {
            located->kind = LOCATED_FLAG;
            located->flag = &type->values[i];
            return found(search, located);
        }
    }
    return no_such(search, step, &nearest);
}

static int locate_nested(const struct search *search, const struct inst *inst, const struct field *field,
                         uint64_t index, size_t step)
{
    struct inst nested;
    size_t room = strlen(inst->path) + LAYOUT_MAX_NAME_BYTES + 32;
    char *path = malloc(room);
    if (path == NULL)
        return err_nomem(search->err, "reading a nested structure");
    int r = inst_nested(inst, field, index, path, room, &nested, search->err);
    if (r == 0)
        r = locate_in(search, &nested, step);
    free(path);
    return r;
}

static int locate_field(const struct search *search, const struct inst *inst, const struct field *field,
                        size_t step)
{
    const struct field_path *path = search->path;
    struct located located = {.kind = LOCATED_FIELD, .inst = *inst, .field = field};
    uint64_t index = 0;
    if (field->is_array) {
        uint64_t count;
        int r = inst_count(inst, field, &count, search->err);
        if (r != 0)
            return r;
        if (step == path->n_steps)
            return found(search, &located);
        if (path->steps[step].kind != PATH_INDEX)
            return err_set(search->err, PLAT_ENOTFOUND,
                           "%.*s is an array: name an element, %.*s[0] to [%" PRIu64 "]",
                           head_bytes(search, step), path->text, head_bytes(search, step), path->text,
                           count > 0 ? count - 1 : 0);
        index = path->steps[step].index;
        if (index >= count)
            return err_set(search->err, PLAT_ENOTFOUND,
                           "%.*s has %" PRIu64 " elements, counted from 0; there is no [%" PRIu64 "]",
                           head_bytes(search, step), path->text, count, index);
        step++;
    }
    if (field->repr == REPR_TYPE)
        return locate_nested(search, inst, field, index, step);
    int r = inst_value(inst, field, index, &located.value, search->err);
    if (r != 0)
        return r;
    located.kind = LOCATED_VALUE;
    return step == path->n_steps ? found(search, &located) : locate_bits(search, &located, step);
}

static int locate_in(const struct search *search, const struct inst *inst, size_t step)
{
    struct located located = {.kind = LOCATED_STRUCT, .inst = *inst};
    const struct type *shape = inst_shape(inst);
    if (step == search->path->n_steps)
        return found(search, &located);
    const struct path_step *wanted = &search->path->steps[step];
    struct nearest nearest = {.wanted = wanted->name};
    if (wanted->kind != PATH_NAME)
        return nothing_below(search, step, "one structure, not an array");
    for (size_t i = 0; shape != NULL && i < shape->n_fields; i++) {
        nearest_add(&nearest, shape->fields[i].name, strlen(shape->fields[i].name));
        if (strcmp(shape->fields[i].name, wanted->name) == 0)
            return locate_field(search, inst, &shape->fields[i], step + 1);
    }
    return no_such(search, step, &nearest);
}

int locate(const struct inst *inst, const struct field_path *path, size_t from_step, located_fn fn, void *ctx,
           struct plat_err *err)
{
    const struct search search = {.path = path, .fn = fn, .ctx = ctx, .err = err};
    return locate_in(&search, inst, from_step);
}

int locate_each(const struct located *located, located_fn fn, void *ctx, struct plat_err *err)
{
    /* An empty search below each element ends at the element itself. */
    const struct field_path whole = {.text = located->path};
    const struct search search = {.path = &whole, .fn = fn, .ctx = ctx, .err = err};
    uint64_t count;
    int r = inst_count(&located->inst, located->field, &count, err);
    for (uint64_t i = 0; r == 0 && i < count; i++)
        r = locate_nested(&search, &located->inst, located->field, i, 0);
    return r;
}
