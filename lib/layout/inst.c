/* Instances: a type laid over bytes; where its fields lie. */
#include "lib/layout/inst.h"

#include <stdio.h>
#include <string.h>

#include "lib/layout/eval.h"

const struct type *inst_shape(const struct inst *inst)
{
    const struct type *type = inst->type;
    if (type->kind != TYPE_UNION)
        return type;
    struct inst head = *inst;
    head.type = type->head;
    struct eval ctx = {.image = inst->image, .inst = &head};
    for (size_t i = 0; i < type->n_cases; i++) {
        bool taken = true;
        if (type->cases[i].when != NULL && eval_bool(&ctx, type->cases[i].when, &taken, NULL) != 0)
            taken = false;
        if (taken)
            return type->cases[i].type;
    }
    return NULL;
}

/* Size of one field, given where it starts. `inst->size_bytes` bounds what may be read. */
static int field_size(const struct inst *inst, const struct field *field, uint64_t start, uint64_t *ret,
                      struct plat_err *err)
{
    uint64_t one = field->width_bytes;
    uint64_t count = field->count;
    if (field->repr == REPR_BOTH)
        one *= 2;
    if (field->count_expr != NULL) {
        struct eval ctx = {.image = inst->image, .inst = inst};
        int rc = eval_u64(&ctx, field->count_expr, &count, err);
        if (rc != 0)
            return err_prefix(err, "length of '%s'", field->name);
    }
    if (field->repr == REPR_TYPE && field->type->size_bytes == 0) {
        struct inst nested;
        if (start > inst->size_bytes)
            return err_set(err, PLAT_ECORRUPT, "field '%s' starts behind the end of its structure",
                           field->name);
        int rc = inst_make(inst->image, field->type, inst->bytes + start, inst->size_bytes - (size_t)start,
                           inst->offset + start, field->name, &nested, err);
        if (rc != 0)
            return rc;
        one = nested.size_bytes;
    }
    uint64_t bytes;
    if (!mul_u64(one, count, &bytes) || bytes > LAYOUT_MAX_STRUCT_BYTES)
        return err_set(
            err, PLAT_ECORRUPT, "field '%s' would take %llu elements of %llu bytes; the limit is %d bytes",
            field->name, (unsigned long long)count, (unsigned long long)one, (int)LAYOUT_MAX_STRUCT_BYTES);
    *ret = bytes;
    return 0;
}

int inst_field_place(const struct inst *inst, const struct field *field, struct range *ret,
                     struct plat_err *err)
{
    const struct type *shape = inst_shape(inst);
    if (shape == NULL)
        return err_at(err, PLAT_ECORRUPT, inst->offset, inst->path, "no case of union '%s' fits",
                      inst->type->name);
    struct range place = {field->offset_bytes, field->size_bytes};
    if (field->offset_bytes == FIELD_OFFSET_DYNAMIC || field->count_expr != NULL || field->size_bytes == 0) {
        place.start = 0;
        for (size_t i = 0;; i++) {
            if (i == shape->n_fields)
                return err_set(err, PLAT_EBUG, "field '%s' is not part of '%s'", field->name, shape->name);
            const struct field *f = &shape->fields[i];
            int rc = field_size(inst, f, place.start, &place.bytes, err);
            if (rc != 0)
                return rc;
            if (f == field)
                break;
            place.start += place.bytes;
        }
    }
    if (!range_within(place, inst->size_bytes))
        return err_at(err, PLAT_ECORRUPT, inst->offset + place.start, inst->path,
                      "field '%s' (%llu bytes) runs past the end of its structure of %zu bytes", field->name,
                      (unsigned long long)place.bytes, inst->size_bytes);
    *ret = place;
    return 0;
}

int inst_make(struct image *image, const struct type *type, const uint8_t *bytes, size_t n, uint64_t offset,
              const char *path, struct inst *ret, struct plat_err *err)
{
    struct inst inst = {
        .image = image, .type = type, .bytes = bytes, .size_bytes = n, .offset = offset, .path = path};
    uint64_t needed = type->size_bytes != 0 ? type->size_bytes : type->min_bytes;
    if (n < needed)
        return err_at(err, PLAT_ECORRUPT, offset, path, "'%s' takes %llu bytes, but only %zu are left",
                      type->name, (unsigned long long)needed, n);
    if (type->size_bytes == 0) {
        const struct type *shape = inst_shape(&inst);
        if (shape == NULL)
            return err_at(err, PLAT_ECORRUPT, offset, path, "no case of union '%s' fits", type->name);
        needed = 0;
        for (size_t i = 0; i < shape->n_fields; i++) {
            uint64_t bytes_of_field;
            int rc = field_size(&inst, &shape->fields[i], needed, &bytes_of_field, err);
            if (rc != 0)
                return rc;
            needed += bytes_of_field;
            if (needed > n)
                return err_at(err, PLAT_ECORRUPT, offset, path,
                              "'%s' needs %llu bytes up to field '%s', but only %zu are left", shape->name,
                              (unsigned long long)needed, shape->fields[i].name, n);
        }
    }
    inst.size_bytes = (size_t)needed;
    *ret = inst;
    return 0;
}

int inst_nested(const struct inst *inst, const struct field *field, uint64_t index, char *path_buf,
                size_t path_buf_bytes, struct inst *ret, struct plat_err *err)
{
    struct range place;
    int rc = inst_field_place(inst, field, &place, err);
    if (rc != 0)
        return rc;
    if (field->is_array) {
        uint64_t one = field->width_bytes;
        if (one == 0 || index >= place.bytes / one)
            return err_set(err, PLAT_ENOTFOUND, "'%s[%llu]' does not exist: there are %llu", field->name,
                           (unsigned long long)index, (unsigned long long)(one == 0 ? 0 : place.bytes / one));
        place = (struct range){place.start + index * one, one};
    }
    const char *path = "";
    if (path_buf_bytes > 0) {
        field_path(inst, field, index, path_buf, path_buf_bytes);
        path = path_buf;
    }
    rc = inst_make(inst->image, field->type, inst->bytes + place.start, (size_t)place.bytes,
                   inst->offset + place.start, path, ret, err);
    if (rc == 0) {
        ret->parent = inst;
        ret->index = index;
        ret->source = inst->source;
    }
    return rc;
}

int inst_count(const struct inst *inst, const struct field *field, uint64_t *ret, struct plat_err *err)
{
    if (!field->is_array) {
        *ret = 1;
        return 0;
    }
    struct range place;
    int rc = inst_field_place(inst, field, &place, err);
    uint64_t one = (uint64_t)field->width_bytes * (field->repr == REPR_BOTH ? 2 : 1);
    if (rc == 0)
        *ret = one == 0 ? 0 : place.bytes / one;
    return rc;
}

void field_path(const struct inst *inst, const struct field *field, uint64_t index, char *buf,
                size_t buf_bytes)
{
    const char *dot = inst->path[0] != '\0' ? "." : "";
    if (field->is_array)
        (void)snprintf(buf, buf_bytes, "%s%s%s[%llu]", inst->path, dot, field->name,
                       (unsigned long long)index);
    else
        (void)snprintf(buf, buf_bytes, "%s%s%s", inst->path, dot, field->name);
}

int inst_value(const struct inst *inst, const struct field *field, uint64_t index, struct value *ret,
               struct plat_err *err)
{
    struct range place;
    if (field->repr == REPR_TYPE)
        return err_set(err, PLAT_EINVALID, "'%s' is a structure, not a value", field->name);
    int rc = inst_field_place(inst, field, &place, err);
    if (rc != 0)
        return rc;
    uint64_t one = (uint64_t)field->width_bytes * (field->repr == REPR_BOTH ? 2 : 1);
    if (field->is_array) {
        if (index >= place.bytes / one)
            return err_set(err, PLAT_ENOTFOUND, "'%s[%llu]' does not exist: there are %llu", field->name,
                           (unsigned long long)index, (unsigned long long)(place.bytes / one));
        place = (struct range){place.start + index * one, one};
    }
    struct value v = {.inst = inst,
                      .field = field,
                      .index = index,
                      .place = {inst->offset + place.start, place.bytes},
                      .bytes = inst->bytes + place.start,
                      .n = (size_t)place.bytes};
    v.is_number = field->repr == REPR_UINT || field->repr == REPR_SINT || field->repr == REPR_BOTH;
    if (v.is_number)
        v.number = field_load(inst, field, (uint32_t)place.start, 0);
    else if (field->radix != 0)
        v.is_number = field_parse_digits(field, v.bytes, v.n, &v.number);
    *ret = v;
    return 0;
}
