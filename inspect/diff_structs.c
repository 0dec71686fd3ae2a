/* Structures, and the fields in which they differ. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/diff.h"
#include "inspect/render.h"

enum { FIELDS_MIN = 64 /* elements of a list, at first */ };

/* The fields of one structure, in its order. */
struct listed {
    const char *name;
    struct value
        value;  /* its bytes are the structure's; without its inst, which is gone when it is compared */
    bool outer; /* it is the structure's own, not one of a nested structure */
};
struct fields {
    struct listed *list;
    size_t n, cap;
    struct arena arena;
    struct plat_err err; /* what the visit found wrong */
};

static int on_value(void *ctx, const struct value *value, const char *name, unsigned level)
{
    struct fields *fields = ctx;
    if (fields->n == fields->cap) {
        const size_t cap = fields->cap == 0 ? FIELDS_MIN : 2 * fields->cap;
        struct listed *list = reallocarray(fields->list, cap, sizeof *list);
        if (list == NULL)
            return err_nomem(&fields->err, "comparing structures");
        fields->list = list;
        fields->cap = cap;
    }
    struct listed listed = {.name = arena_strdup(&fields->arena, name), .value = *value, .outer = level == 0};
    listed.value.inst = NULL;
    if (listed.name == NULL)
        return err_nomem(&fields->err, "comparing structures");
    fields->list[fields->n++] = listed;
    return 0;
}

static void fields_free(struct fields *fields)
{
    free(fields->list);
    arena_free(&fields->arena);
}

static int list_fields(const struct inst *inst, struct fields *fields, struct plat_err *err)
{
    const struct field_sink sink = {.ctx = fields, .value = on_value};
    int rc = fields_visit(inst, &sink, &fields->err);
    /* A damaged structure has the fields that can be read. */
    if (rc == PLAT_ENOMEM || rc == PLAT_EIO) {
        *err = fields->err;
        return rc;
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

static bool same_names(const struct fields *a, const struct fields *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->list[i].name, b->list[i].name) == 0;
    return same;
}

/* Two values that read alike: what follows a terminator, the middle of many bytes. */
static void tell_apart(struct strbuf texts[DIFF_SIDES], const struct value *a, const struct value *b)
{
    size_t i = 0;
    while (i < a->n && i < b->n && a->bytes[i] == b->bytes[i])
        i++;
    const struct value *values[DIFF_SIDES] = {a, b};
    for (int side = 0; side < DIFF_SIDES; side++) {
        if (i < values[side]->n)
            strbuf_printf(&texts[side], " with %02x at byte %zu", values[side]->bytes[i], i);
        else
            strbuf_printf(&texts[side], " of %zu bytes", values[side]->n);
    }
}

static void place_text(struct strbuf *out, const struct inst *inst, uint64_t offset)
{
    struct inst moved = *inst;
    moved.offset = offset;
    render_place(out, &moved);
}

/* One field, or none of one side. */
static int report_field(struct diff *diff, size_t layer, const struct inst insts[DIFF_SIDES],
                        struct listed *const listed[DIFF_SIDES])
{
    struct strbuf path[DIFF_SIDES] = {{0}}, text[DIFF_SIDES] = {{0}}, place[DIFF_SIDES] = {{0}};
    struct difference difference = {.part = DIFF_STRUCTURES,
                                    .kind = listed[DIFF_A] == NULL   ? DIFF_ADDED
                                            : listed[DIFF_B] == NULL ? DIFF_REMOVED
                                                                     : DIFF_CHANGED};
    for (int side = 0; side < DIFF_SIDES; side++) {
        if (listed[side] == NULL)
            continue;
        struct value *value = &listed[side]->value;
        strbuf_printf(&path[side], "%s.%s", insts[side].path, listed[side]->name);
        value->inst = listed[side]->outer ? &insts[side] : NULL;
        render_value(&text[side], value);
        place_text(&place[side], &insts[side], value->place.start);
    }
    if (difference.kind == DIFF_CHANGED && text[DIFF_A].len == text[DIFF_B].len &&
        strcmp(strbuf_str(&text[DIFF_A]), strbuf_str(&text[DIFF_B])) == 0)
        tell_apart(text, &listed[DIFF_A]->value, &listed[DIFF_B]->value);
    const int main = listed[DIFF_A] != NULL ? DIFF_A : DIFF_B;
    difference.path = strbuf_str(&path[main]);
    if (difference.kind == DIFF_CHANGED && strcmp(difference.path, strbuf_str(&path[DIFF_B])) != 0)
        difference.path_b = strbuf_str(&path[DIFF_B]);
    for (int side = 0; side < DIFF_SIDES; side++) {
        if (listed[side] == NULL)
            continue;
        difference.value[side] = strbuf_str(&text[side]);
        difference.place[side] = strbuf_str(&place[side]);
        if (insts[side].source.stream == NULL)
            difference.bytes[side] = &listed[side]->value.place;
    }
    int rc = diff_report_in(diff, layer, &difference);
    for (int side = 0; side < DIFF_SIDES; side++) {
        strbuf_free(&path[side]);
        strbuf_free(&text[side]);
        strbuf_free(&place[side]);
    }
    return rc;
}

static bool same_value(const struct value *a, const struct value *b)
{
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0 && a->number == b->number;
}

static int merge_fields(struct diff *diff, size_t layer, const struct inst insts[DIFF_SIDES],
                        struct fields lists[DIFF_SIDES], uint64_t *ret_found)
{
    struct fields *a = &lists[DIFF_A], *b = &lists[DIFF_B];
    const bool sorted = !same_names(a, b);
    int rc = 0;
    if (sorted && a->n > 0)
        qsort(a->list, a->n, sizeof *a->list, compare_names);
    if (sorted && b->n > 0)
        qsort(b->list, b->n, sizeof *b->list, compare_names);
    for (size_t i = 0, k = 0; rc == 0 && (i < a->n || k < b->n);) {
        int order = i == a->n ? 1 : k == b->n ? -1 : sorted ? compare_names(&a->list[i], &b->list[k]) : 0;
        struct listed *const pair[DIFF_SIDES] = {order <= 0 ? &a->list[i] : NULL,
                                                 order >= 0 ? &b->list[k] : NULL};
        i += order <= 0;
        k += order >= 0;
        if (order == 0 && same_value(&pair[DIFF_A]->value, &pair[DIFF_B]->value))
            continue;
        ++*ret_found;
        rc = report_field(diff, layer, insts, pair);
    }
    return rc;
}

/* What an element is called by, from its key: "name='BOOT'"; nothing for an index. */
static void put_name(struct strbuf *out, const char *key)
{
    const size_t n = strlen(key);
    const char *open = n > 0 && key[n - 1] == ']' ? strrchr(key, '[') : NULL;
    if (open != NULL && strchr(open, '=') != NULL) {
        strbuf_puts(out, ", ");
        strbuf_add(out, open + 1, n - (size_t)(open - key) - 2);
    }
}

/* A structure that one side lacks, or one that is another type there, or has bytes that no field has. */
static int report_struct(struct diff *diff, size_t layer, enum diff_kind kind,
                         const struct inst *const insts[DIFF_SIDES], bool bytes, const char *key)
{
    struct strbuf text[DIFF_SIDES] = {{0}}, place[DIFF_SIDES] = {{0}};
    struct range ranges[DIFF_SIDES] = {{0}};
    struct difference difference = {.part = DIFF_STRUCTURES, .kind = kind};
    size_t at = 0;
    for (const struct inst *a = insts[DIFF_A], *b = insts[DIFF_B];
         bytes && at < a->size_bytes && at < b->size_bytes && a->bytes[at] == b->bytes[at];)
        at++;
    for (int side = 0; side < DIFF_SIDES; side++) {
        const struct inst *inst = insts[side];
        if (inst == NULL)
            continue;
        const struct type *shape = inst_shape(inst);
        if (bytes && at < inst->size_bytes)
            strbuf_printf(&text[side], "%02x at byte %zu, which no field has", inst->bytes[at], at);
        else
            strbuf_printf(&text[side], "%s, %zu bytes", shape != NULL ? shape->name : inst->type->name,
                          inst->size_bytes);
        put_name(&text[side], key);
        render_place(&place[side], inst);
        ranges[side] = (struct range){inst->offset, inst->size_bytes};
        difference.value[side] = strbuf_str(&text[side]);
        difference.place[side] = strbuf_str(&place[side]);
        if (inst->source.stream == NULL)
            difference.bytes[side] = &ranges[side];
    }
    difference.path = insts[DIFF_A] != NULL ? insts[DIFF_A]->path : insts[DIFF_B]->path;
    int rc = diff_report_in(diff, layer, &difference);
    for (int side = 0; side < DIFF_SIDES; side++) {
        strbuf_free(&text[side]);
        strbuf_free(&place[side]);
    }
    return rc;
}

static size_t layer_of(const struct diff *diff, int side, const char *path)
{
    const struct stack_layer *layer = inspect_layer_at(&diff->images[side], path);
    if (layer == NULL)
        return SIZE_MAX;
    const size_t index = (size_t)(layer - diff->images[side].stack->layers);
    return side == DIFF_A ? index : diff->layer_of_b[index];
}

static bool lies_elsewhere(const struct diff *diff, const struct inst insts[DIFF_SIDES])
{
    uint64_t at[DIFF_SIDES];
    for (int side = 0; side < DIFF_SIDES; side++) {
        const struct stack_layer *layer = inspect_layer_at(&diff->images[side], insts[side].path);
        if (layer == NULL || insts[side].source.stream != NULL)
            return false;
        at[side] = insts[side].offset - layer->dev->base_offset;
    }
    return at[DIFF_A] != at[DIFF_B];
}

static int compare_pair(struct diff *diff, const struct inst insts[DIFF_SIDES], struct plat_err *err)
{
    const struct inst *const both[DIFF_SIDES] = {&insts[DIFF_A], &insts[DIFF_B]};
    const struct inst *a = both[DIFF_A], *b = both[DIFF_B];
    const size_t layer = layer_of(diff, DIFF_A, a->path);
    diff->elsewhere += lies_elsewhere(diff, insts);
    if (a->type == b->type && a->size_bytes == b->size_bytes &&
        memcmp(a->bytes, b->bytes, a->size_bytes) == 0)
        return 0;
    const struct type *shape = inst_shape(a);
    if (a->type != b->type || shape != inst_shape(b))
        return report_struct(diff, layer, DIFF_CHANGED, both, false, "");
    struct fields lists[DIFF_SIDES] = {{0}};
    uint64_t found = 0;
    int rc = 0;
    for (int side = 0; rc == 0 && side < DIFF_SIDES; side++)
        rc = list_fields(both[side], &lists[side], err);
    if (rc == 0)
        rc = merge_fields(diff, layer, insts, lists, &found);
    if (rc == 0 && found == 0)
        rc = report_struct(diff, layer, DIFF_CHANGED, both, true, "");
    fields_free(&lists[DIFF_A]);
    fields_free(&lists[DIFF_B]);
    return rc;
}

int diff_structs(struct diff *diff, struct plat_err *err)
{
    struct records_pair pair = {.sets = {diff->pictures[DIFF_A].structs, diff->pictures[DIFF_B].structs}};
    struct record_view views[DIFF_SIDES];
    int rc;
    while ((rc = records_pair_next(&pair, views, err)) == 0 &&
           (views[DIFF_A].key != NULL || views[DIFF_B].key != NULL)) {
        struct inst insts[DIFF_SIDES] = {{0}};
        const struct inst *there[DIFF_SIDES] = {NULL, NULL};
        for (int side = 0; side < DIFF_SIDES; side++) {
            if (views[side].key == NULL)
                continue;
            picture_struct(&views[side], &insts[side]);
            there[side] = &insts[side];
        }
        if (there[DIFF_A] != NULL && there[DIFF_B] != NULL) {
            rc = compare_pair(diff, insts, err);
        } else {
            const int side = there[DIFF_A] != NULL ? DIFF_A : DIFF_B;
            rc = report_struct(diff, layer_of(diff, side, insts[side].path),
                               side == DIFF_A ? DIFF_REMOVED : DIFF_ADDED, there, false, views[side].key);
        }
        if (rc != 0)
            return rc;
    }
    return rc;
}
