/* Editing: opening, and setting a field. */
#include "inspect/edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---- */

/* The layer's layout over the same part of another device. */
static int lay_over(const struct stack_layer *layer, struct plat_dev *dev, struct plat_dev **ret_window,
                    struct image **ret, struct plat_err *err)
{
    const struct range place = {layer->dev->base_offset, layer->dev->size_bytes};
    struct plat_dev *window = NULL;
    int rc = 0;
    if (place.start != 0 || place.bytes != dev->size_bytes)
        rc = dev_open_window(dev, place, &window, err);
    if (rc == 0)
        rc = image_open(layer->image->layout, window != NULL ? window : dev, NULL, 0, ret, err);
    if (rc != 0) {
        dev_close(window);
        return rc;
    }
    for (size_t i = 0; i < layer->image->layout->n_params; i++)
        (*ret)->params[i] = layer->image->params[i];
    *ret_window = window;
    return 0;
}

static int add_layer(struct edit *edit, struct stack_layer *layer, struct plat_err *err)
{
    struct edit_layer added = {.place = {layer->dev->base_offset, layer->dev->size_bytes}};
    struct edit_layer *list = realloc(edit->layers, (edit->n_layers + 1) * sizeof *list);
    if (list == NULL)
        return err_nomem(err, "editing an image");
    edit->layers = list;
    (void)snprintf(added.prefix, sizeof added.prefix, "%s", layer->prefix);
    int rc = lay_over(layer, edit->overlay, &added.after_dev, &added.after, err);
    if (rc == 0)
        rc = lay_over(layer, edit->file, &added.before_dev, &added.before, err);
    if (rc != 0) {
        image_close(added.after);
        dev_close(added.after_dev);
        return rc;
    }
    edit->layers[edit->n_layers++] = added;
    return 0;
}

int edit_adopt(struct edit *edit, bool *ret_any, struct plat_err *err)
{
    struct stack_options options = edit->options->stack;
    struct stack *stack;
    const size_t before = edit->n_layers;
    options.degraded = true;
    int rc = stack_open(edit->overlay, &options, &stack, err);
    if (rc != 0)
        return rc == PLAT_EIO || rc == PLAT_ENOMEM ? rc : 0;
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++)
        if (stack->layers[i].image != NULL && edit_layer_of(edit, stack->layers[i].image) == NULL)
            rc = add_layer(edit, &stack->layers[i], err);
    stack_close(stack);
    if (rc == 0)
        *ret_any = edit->n_layers > before;
    return rc;
}

/* `edit` has its file. */
static int open_layers(struct edit *edit, struct plat_err *err)
{
    struct stack_options stack_options = edit->options->stack;
    stack_options.degraded = true;
    stack_options.unknown_too = edit->borrows_file;
    int rc = dev_open_overlay(edit->file, &edit->overlay, err);
    if (rc == 0)
        rc = stack_open(edit->file, &stack_options, &edit->before, err);
    for (size_t i = 0; rc == 0 && i < edit->before->n_layers; i++)
        if (edit->before->layers[i].image != NULL)
            rc = add_layer(edit, &edit->before->layers[i], err);
    return rc;
}

int edit_open(const char *name, const struct inspect_options *options, bool writable, struct edit *ret,
              struct plat_err *err)
{
    struct edit edit = {.name = name, .options = options};
    int rc = dev_open_file(name, writable, &edit.file, err);
    if (rc == 0 && writable)
        rc = dev_lock(edit.file, err);
    if (rc == 0)
        rc = open_layers(&edit, err);
    if (rc == 0)
        rc = inspect_recognised(edit.before, options, err);
    if (rc != 0) {
        edit_close(&edit);
        return rc;
    }
    *ret = edit;
    return 0;
}

int edit_open_dev(struct plat_dev *dev, const char *name, const struct inspect_options *options,
                  struct edit *ret, struct plat_err *err)
{
    struct edit edit = {.name = name, .options = options, .file = dev, .borrows_file = true};
    int rc = open_layers(&edit, err);
    if (rc != 0) {
        edit_close(&edit);
        return rc;
    }
    *ret = edit;
    return 0;
}

void edit_close(struct edit *edit)
{
    for (size_t i = 0; i < edit->n_layers; i++) {
        image_close(edit->layers[i].after);
        image_close(edit->layers[i].before);
        dev_close(edit->layers[i].after_dev);
        dev_close(edit->layers[i].before_dev);
    }
    free(edit->layers);
    for (size_t i = 0; i < edit->n_touched; i++)
        free(edit->touched[i].path);
    free(edit->touched);
    free(edit->set);
    strbuf_free(&edit->path);
    if (edit->before != NULL)
        stack_close(edit->before);
    dev_close(edit->overlay);
    if (!edit->borrows_file)
        dev_close(edit->file);
    *edit = (struct edit){0};
}

/* ---- what was touched ---- */

const char *edit_path(struct edit *edit, const struct edit_layer *layer, const char *path)
{
    const char *full = stack_path(&edit->path, layer->prefix, path);
    return full != NULL ? full : path;
}

const struct edit_layer *edit_layer_of(const struct edit *edit, const struct image *image)
{
    for (size_t i = 0; i < edit->n_layers; i++)
        if (edit->layers[i].after->layout == image->layout &&
            edit->layers[i].place.start == image->dev->base_offset &&
            edit->layers[i].place.bytes == image->dev->size_bytes)
            return &edit->layers[i];
    return NULL;
}

static int touch(struct edit *edit, const struct edit_layer *layer, const struct inst *inst,
                 enum edit_why why, struct plat_err *err)
{
    const struct range place = {layer->place.start + inst->offset, inst->size_bytes};
    /* What moves again in a later pass was mostly touched last. */
    for (size_t i = edit->n_touched, near = 0; i-- > 0 && near < 64; near++)
        if (edit->touched[i].place.start == place.start && edit->touched[i].type == inst->type)
            return 0;
    if (edit->n_touched == edit->cap_touched) {
        if (edit->n_touched == EDIT_MAX_TOUCHED)
            return err_set(err, PLAT_ELIMIT, "more than %d structures would change", (int)EDIT_MAX_TOUCHED);
        size_t cap = edit->cap_touched == 0 ? 16 : 2 * edit->cap_touched;
        struct edit_touched *list = realloc(edit->touched, cap * sizeof *list);
        if (list == NULL)
            return err_nomem(err, "editing an image");
        edit->touched = list;
        edit->cap_touched = cap;
    }
    char *path = strdup(edit_path(edit, layer, inst->path));
    if (path == NULL)
        return err_nomem(err, "editing an image");
    edit->touched[edit->n_touched++] = (struct edit_touched){.path = path,
                                                             .layer = (size_t)(layer - edit->layers),
                                                             .type = inst->type,
                                                             .place = place,
                                                             .index = inst->index,
                                                             .why = why};
    return 0;
}

int edit_put(struct edit *edit, const struct edit_layer *layer, const struct inst *inst, struct range place,
             const uint8_t *bytes, enum edit_why why, struct plat_err *err)
{
    int rc = dev_write(edit->overlay, layer->place.start + place.start, bytes, (size_t)place.bytes, err);
    return rc == 0 ? touch(edit, layer, inst, why, err) : rc;
}

int edit_change(struct edit *edit, const struct edit_layer *layer, const struct inst *inst,
                struct range place, uint8_t *bytes, struct plat_err *err)
{
    int rc = edit_put(edit, layer, inst, place, bytes + (place.start - inst->offset), EDIT_SET, err);
    if (rc != 0 || edit->no_seal)
        return rc;
    struct inst edited = *inst;
    bool moved = true;
    edited.bytes = bytes;
    edited.image = layer->after;
    image_invalidate(layer->after);
    for (int pass = 0; rc == 0 && moved && pass < EDIT_MAX_PASSES; pass++)
        rc = edit_seal_inst(edit, layer, &edited, bytes, false, &moved, err);
    return rc;
}

/* ---- setting ---- */

struct setting {
    struct edit *edit;
    const char *value;
    uint64_t n; /* fields that the path named */
};

/* What is written whenever something else is, by itself: its source is named. */
static int refuse_followers(const struct edit_layer *layer, const struct inst *top, struct range place,
                            struct plat_err *err)
{
    const struct layout *layout = layer->after->layout;
    const struct map_entry *copy = NULL;
    for (size_t i = 0; top->is_mirror && i < layout->n_map; i++) {
        struct map_place at;
        if (layout->map[i].mirror != NULL && image_map_place(layer->after, &layout->map[i], &at, NULL) == 0 &&
            at.present && top->offset >= at.offset && top->offset - at.offset < at.count * at.stride)
            copy = &layout->map[i];
    }
    if (copy != NULL)
        return err_set(err, PLAT_EINVALID,
                       "%s is a copy of %s and follows it: set that, or use --no-seal to make the two differ",
                       copy->name, copy->mirror->name);
    for (size_t i = 0; i < layout->n_follows; i++) {
        struct follow_value value;
        if (image_follow(layer->after, &layout->follows[i], &value, NULL) != 0 ||
            place.start >= value.place.start + value.place.bytes ||
            value.place.start >= place.start + place.bytes)
            continue;
        return err_set(err, PLAT_EINVALID,
                       "%s follows from %s: set what it follows from, or use --no-seal to set it alone",
                       layout->follows[i].of, layout->follows[i].is_text);
    }
    return 0;
}

static int refuse_derived(const struct located *located, struct plat_err *err)
{
    if (!inst_is_derived(&located->inst, located->field))
        return 0;
    struct derived derived;
    struct value v;
    struct strbuf text = {0};
    if (inst_derived(&located->inst, located->field, located->value.index, &derived, NULL) == 0) {
        value_from_bytes(located->field, derived.bytes, (size_t)derived.place.bytes, &v);
        strbuf_puts(&text, " (now ");
        value_text(&v, &text);
        strbuf_putc(&text, ')');
    }
    int rc =
        err_set(err, PLAT_EINVALID,
                "this field is derived: %s%s; plat set and plat seal compute it. Use --no-seal to set it "
                "to something else",
                located->field->derive_text, strbuf_str(&text));
    strbuf_free(&text);
    return rc;
}

static int remember_set(struct edit *edit, struct range place, struct plat_err *err)
{
    struct range *list = realloc(edit->set, (edit->n_set + 1) * sizeof *list);
    if (list == NULL)
        return err_nomem(err, "editing an image");
    edit->set = list;
    edit->set[edit->n_set++] = place;
    return 0;
}

/* The value into a copy of the outermost structure's bytes, and from there into the overlay. */
static int set_in(struct setting *setting, const struct edit_layer *layer, const struct located *located,
                  const struct inst *top, uint8_t *bytes, struct plat_err *err)
{
    struct edit *edit = setting->edit;
    const struct value *v = &located->value;
    const struct range place = {top->offset + (uint64_t)(v->bytes - top->bytes), v->n};
    uint8_t *inside = bytes + (located->inst.bytes - top->bytes);
    /* What earlier assignments did to it counts, where it lies does not move. */
    int rc = dev_read(edit->overlay, layer->place.start + top->offset, bytes, top->size_bytes, err);
    if (rc != 0)
        return rc;
    if (located->kind == LOCATED_VALUE)
        rc = inst_set(&located->inst, located->field, v->index, setting->value, inside, err);
    else
        rc = inst_set_bits(&located->inst, located->field, v->index, located->member, located->flag,
                           setting->value, inside, err);
    if (rc == 0)
        rc = remember_set(edit, (struct range){layer->place.start + place.start, place.bytes}, err);
    return rc == 0 ? edit_change(edit, layer, top, place, bytes, err) : rc;
}

static int on_located(void *ctx, const struct located *located, struct plat_err *err)
{
    struct setting *setting = ctx;
    const struct edit_layer *layer = edit_layer_of(setting->edit, located->inst.image);
    const struct inst *outer = &located->inst;
    if (located->kind == LOCATED_STRUCT)
        return err_set(err, PLAT_EINVALID, "%s is a structure: name a field of it", located->path);
    if (located->kind == LOCATED_FIELD)
        return err_set(err, PLAT_EINVALID, "%s is an array: name one element, %s[0]", located->path,
                       located->path);
    if (located->inst.source.stream != NULL)
        return err_set(
            err, PLAT_EUNSUPPORTED,
            "%s lies in the compressed stream \"%s\" (block at 0x%llx): another value would make the "
            "block another length, and nothing behind it could stay where it is. Extract the files "
            "and make the image again (plat extract, plat mk)",
            located->path, located->inst.source.stream, (unsigned long long)located->inst.source.block.start);
    if (layer == NULL)
        return err_set(err, PLAT_EBUG, "%s lies in no layer", located->path);
    while (outer->parent != NULL)
        outer = outer->parent;
    struct inst top = *outer;
    top.offset -= layer->place.start;
    const char *inner_path = outer->path;
    const size_t prefix_bytes = strlen(layer->prefix);
    if (prefix_bytes > 0 && strncmp(inner_path, layer->prefix, prefix_bytes) == 0)
        inner_path += prefix_bytes + (inner_path[prefix_bytes] == '.' ? 1 : 0);
    top.path = inner_path;
    const struct range place = {top.offset + (uint64_t)(located->value.bytes - outer->bytes),
                                located->value.n};
    setting->n++;
    int rc = 0;
    if (!setting->edit->no_seal) {
        rc = refuse_derived(located, err);
        if (rc == 0)
            rc = refuse_followers(layer, &top, place, err);
    }
    uint8_t *bytes = rc == 0 ? malloc(top.size_bytes + 1) : NULL;
    if (rc == 0 && bytes == NULL)
        rc = err_nomem(err, "editing a structure");
    if (rc == 0)
        rc = set_in(setting, layer, located, &top, bytes, err);
    free(bytes);
    return rc != 0 ? err_prefix(err, "%s", located->path) : 0;
}

static int on_struct(void *ctx, const struct inst *inst)
{
    struct setting *setting = ctx;
    setting->n += 2; /* a structure is no field */
    (void)inst;
    return PLAT_ESTOP;
}

/* The '=' that ends the path: keys in ["..."] may hold others. */
static const char *find_equals(const char *text)
{
    bool quoted = false;
    for (; *text != '\0'; text++) {
        if (quoted && *text == '\\' && text[1] != '\0')
            text++;
        else if (*text == '"')
            quoted = !quoted;
        else if (*text == '=' && !quoted)
            return text;
    }
    return NULL;
}

int edit_set(struct edit *edit, const char *assignment, struct plat_err *err)
{
    const char *equals = find_equals(assignment);
    const struct inspect_image image = {.name = edit->name, .dev = edit->file, .stack = edit->before};
    struct field_path path = {.text = ""};
    if (equals == NULL || equals == assignment)
        return err_set(err, PLAT_EINVALID, "'%.200s': expected PATH=VALUE", assignment);
    char *text = strndup(assignment, (size_t)(equals - assignment));
    struct setting setting = {.edit = edit, .value = equals + 1};
    const struct select_sink sink = {.ctx = &setting, .instance = on_struct, .located = on_located};
    int rc = text == NULL ? err_nomem(err, "reading a path") : 0;
    if (rc == 0)
        rc = inspect_path(&image, text, &path, err);
    if (rc == 0)
        rc = select_walk(&image, &path, &sink, err);
    if (rc == 0 && setting.n != 1)
        rc = err_set(err, PLAT_EINVALID, "%s is %s: name a field of it (plat dump shows them)", text,
                     setting.n == 0 ? "no field" : "a structure");
    path_free(&path);
    free(text);
    return rc;
}
