#include "inspect/runs.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"

bool run_split_path(const char *path, size_t *ret_base, uint64_t *ret_index)
{
    size_t n = strlen(path);
    uint64_t index = 0, scale = 1;
    if (n < 4 || path[n - 1] != ']')
        return false;
    size_t at = n - 1;
    while (at > 0 && path[at - 1] >= '0' && path[at - 1] <= '9') {
        uint64_t digit;
        if (!mul_u64((uint64_t)(path[at - 1] - '0'), scale, &digit) || !add_u64(index, digit, &index))
            return false;
        at--;
        if (at > 0 && path[at - 1] != '[' && !mul_u64(scale, 10, &scale))
            return false;
    }
    if (at == n - 1 || at < 2 || path[at - 1] != '[')
        return false;
    *ret_base = at - 1;
    *ret_index = index;
    return true;
}

const struct field *run_number_field(const struct inst *inst)
{
    const struct type *type = inst->type;
    if (type->kind != TYPE_STRUCT || type->n_fields != 1)
        return NULL;
    const struct field *field = &type->fields[0];
    bool plain = field->repr == REPR_UINT && !field->is_array && field->width_bytes == inst->size_bytes;
    return plain ? field : NULL;
}

static bool rises(const struct run *run, const struct inst *inst)
{
    const struct field *field = run_number_field(inst);
    return field != NULL && load_uint(inst->bytes, field->width_bytes, field->big_endian) ==
                                load_uint(run->last.bytes, field->width_bytes, field->big_endian) + 1;
}

bool run_extend(struct run *run, const struct inst *inst, uint64_t index, size_t base_bytes)
{
    if (!run->active || index != run->last_index + 1 || inst->type != run->first.type ||
        inst->image != run->first.image || inst->size_bytes != run->first.size_bytes ||
        base_bytes != run->base.len || memcmp(inst->path, strbuf_str(&run->base), base_bytes) != 0)
        return false;
    enum run_kind kind;
    if (memcmp(inst->bytes, run->last.bytes, inst->size_bytes) == 0)
        kind = RUN_SAME;
    else if (rises(run, inst))
        kind = RUN_RISING;
    else
        return false;
    if (run->kind != RUN_SINGLE && run->kind != kind)
        return false;
    size_t path_bytes = strlen(inst->path) + 1;
    if (path_bytes > run->path_room)
        return false;
    uint8_t *bytes = run->bytes + RUN_MAX_ELEMENT_BYTES;
    memcpy(bytes, inst->bytes, inst->size_bytes);
    memcpy(run->paths + run->path_room, inst->path, path_bytes);
    run->last = *inst;
    run->last.bytes = bytes;
    run->last.path = run->paths + run->path_room;
    run->last_index = index;
    run->kind = kind;
    return true;
}

int run_begin(struct run *run, const struct inst *inst, uint64_t index, size_t base_bytes,
              struct plat_err *err)
{
    size_t path_bytes = strlen(inst->path) + 1;
    if (run->bytes == NULL)
        run->bytes = malloc(2 * (size_t)RUN_MAX_ELEMENT_BYTES);
    if (path_bytes + 24 > run->path_room) { /* room for the longest index */
        free(run->paths);
        run->path_room = path_bytes + 24;
        run->paths = malloc(2 * run->path_room);
    }
    strbuf_truncate(&run->base, 0);
    strbuf_add(&run->base, inst->path, base_bytes);
    if (run->bytes == NULL || run->paths == NULL || run->base.failed) {
        run->path_room = run->paths == NULL ? 0 : run->path_room;
        return err_nomem(err, "reading an array");
    }
    memcpy(run->bytes, inst->bytes, inst->size_bytes);
    memcpy(run->paths, inst->path, path_bytes);
    run->first = *inst;
    run->first.bytes = run->bytes;
    run->first.path = run->paths;
    run->last = run->first;
    run->first_index = run->last_index = index;
    run->kind = RUN_SINGLE;
    run->active = true;
    return 0;
}

void run_free(struct run *run)
{
    strbuf_free(&run->base);
    free(run->bytes);
    free(run->paths);
    *run = (struct run){0};
}
