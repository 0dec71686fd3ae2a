/* Visiting all fields of a structure. */
#include "inspect/select.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct visit {
    const struct field_sink *sink;
    struct strbuf name; /* of the field at hand, relative to the outermost structure */
    struct plat_err *err;
};

static int visit_struct(struct visit *visit, const struct inst *inst, unsigned level);

static int visit_nested(struct visit *visit, const struct inst *inst, const struct field *field,
                        uint64_t index, unsigned level)
{
    struct inst nested;
    size_t room = strlen(inst->path) + LAYOUT_MAX_NAME_BYTES + 32;
    char *path = malloc(room);
    if (path == NULL)
        return err_nomem(visit->err, "reading a nested structure");
    int r = inst_nested(inst, field, index, path, room, &nested, visit->err);
    if (r == 0 && visit->sink->enter != NULL)
        r = visit->sink->enter(visit->sink->ctx, &nested, strbuf_str(&visit->name), level);
    if (r == 0)
        r = visit_struct(visit, &nested, level + 1);
    free(path);
    return r > 0 ? 0 : r;
}

static int visit_element(struct visit *visit, const struct inst *inst, const struct field *field,
                         uint64_t index, unsigned level)
{
    struct value value;
    if (field->repr == REPR_TYPE)
        return visit_nested(visit, inst, field, index, level);
    int r = inst_value(inst, field, index, &value, visit->err);
    if (r == 0)
        r = visit->sink->value(visit->sink->ctx, &value, strbuf_str(&visit->name), level);
    return r;
}

static int visit_field(struct visit *visit, const struct inst *inst, const struct field *field,
                       unsigned level)
{
    uint64_t count = 1;
    size_t outer = visit->name.len;
    if (outer > 0)
        strbuf_putc(&visit->name, '.');
    strbuf_puts(&visit->name, field->name);
    int r = field->is_array ? inst_count(inst, field, &count, visit->err) : 0;
    if (r == 0 && field->is_array && field->repr != REPR_TYPE && visit->sink->array != NULL)
        r = visit->sink->array(visit->sink->ctx, inst, field, count, strbuf_str(&visit->name), level);
    size_t inner = visit->name.len;
    for (uint64_t i = 0; r == 0 && i < count; i++) {
        if (field->is_array) {
            strbuf_truncate(&visit->name, inner);
            strbuf_printf(&visit->name, "[%" PRIu64 "]", i);
        }
        r = visit_element(visit, inst, field, i, level);
    }
    strbuf_truncate(&visit->name, outer);
    return r > 0 ? 0 : r;
}

static int visit_struct(struct visit *visit, const struct inst *inst, unsigned level)
{
    const struct type *shape = inst_shape(inst);
    if (shape == NULL)
        return 0;
    for (size_t i = 0; i < shape->n_fields; i++) {
        int r = visit_field(visit, inst, &shape->fields[i], level);
        if (r != 0)
            return r;
        if (visit->name.failed)
            return err_nomem(visit->err, "reading a structure");
    }
    return 0;
}

int fields_visit(const struct inst *inst, const struct field_sink *sink, struct plat_err *err)
{
    struct visit visit = {.sink = sink, .err = err};
    int r = visit_struct(&visit, inst, 0);
    strbuf_free(&visit.name);
    return r;
}
