/* What an edit changes, field by field; and writing it. */
#include <stdlib.h>
#include <string.h>

#include "inspect/edit.h"
#include "lib/io/undo.h"

/* ---- showing ---- */

struct show {
    struct edit *edit;
    const struct edit_touched *touched;
    const uint8_t *before, *after; /* the structure's bytes */
    struct strbuf path;
    int (*fn)(void *ctx, const struct edit_shown *shown);
    void *ctx;
};

static bool was_set(const struct edit *edit, struct range place)
{
    for (size_t i = 0; i < edit->n_set; i++)
        if (edit->set[i].start < place.start + place.bytes &&
            place.start < edit->set[i].start + edit->set[i].bytes)
            return true;
    return false;
}

static int show_value(void *ctx, const struct value *value, const char *name, unsigned level)
{
    struct show *show = ctx;
    const size_t at = (size_t)(value->bytes - show->after);
    (void)level;
    if (memcmp(show->before + at, value->bytes, value->n) == 0)
        return 0;
    const struct edit_touched *touched = show->touched;
    const struct range place = {touched->place.start + at, value->n};
    struct edit_shown shown = {.path = NULL, .after = *value};
    value_from_bytes(value->field, show->before + at, value->n, &shown.before);
    strbuf_truncate(&show->path, 0);
    strbuf_printf(&show->path, "%s.%s", touched->path, name);
    shown.path = strbuf_str(&show->path);
    shown.why = was_set(show->edit, place) ? EDIT_SET
                : touched->why == EDIT_SET ? EDIT_DERIVED
                                           : touched->why;
    return show->path.failed ? PLAT_ENOMEM : show->fn(show->ctx, &shown);
}

static int show_touched(struct show *show, struct plat_err *err)
{
    const struct edit_touched *touched = show->touched;
    const struct edit_layer *layer = &show->edit->layers[touched->layer];
    const struct field_sink sink = {.ctx = show, .value = show_value};
    const size_t n = (size_t)touched->place.bytes;
    uint8_t *bytes = malloc(2 * n + 1);
    struct inst inst;
    if (bytes == NULL)
        return err_nomem(err, "showing a change");
    show->before = bytes;
    show->after = bytes + n;
    image_invalidate(layer->after);
    int rc = dev_read(show->edit->file, touched->place.start, bytes, n, err);
    if (rc == 0)
        rc = dev_read(show->edit->overlay, touched->place.start, bytes + n, n, err);
    if (rc == 0)
        rc = inst_make(layer->after, touched->type, bytes + n, n, touched->place.start - layer->place.start,
                       touched->path, &inst, err);
    if (rc == 0)
        rc = fields_visit(&inst, &sink, err);
    free(bytes);
    return rc;
}

/* Was the same structure touched before? One that was is shown once. */
static int compare_touched(const void *a, const void *b)
{
    const struct edit_touched *x = *(const struct edit_touched *const *)a,
                              *y = *(const struct edit_touched *const *)b;
    if (x->place.start != y->place.start)
        return x->place.start < y->place.start ? -1 : 1;
    if (x->type != y->type)
        return strcmp(x->type->name, y->type->name);
    return x < y ? -1 : x > y;
}

static int drop_twins(struct edit *edit, struct plat_err *err)
{
    const struct edit_touched **sorted = malloc((edit->n_touched + 1) * sizeof *sorted);
    bool *twin = calloc(edit->n_touched + 1, sizeof *twin);
    int rc = sorted == NULL || twin == NULL ? err_nomem(err, "showing a change") : 0;
    for (size_t i = 0; rc == 0 && i < edit->n_touched; i++)
        sorted[i] = &edit->touched[i];
    if (rc == 0 && edit->n_touched > 0)
        qsort(sorted, edit->n_touched, sizeof(struct edit_touched *), compare_touched);
    for (size_t i = 1; rc == 0 && i < edit->n_touched; i++)
        twin[sorted[i] - edit->touched] =
            sorted[i]->place.start == sorted[i - 1]->place.start && sorted[i]->type == sorted[i - 1]->type;
    size_t kept = 0;
    for (size_t i = 0; rc == 0 && i < edit->n_touched; i++) {
        if (twin[i])
            free(edit->touched[i].path);
        else
            edit->touched[kept++] = edit->touched[i];
    }
    if (rc == 0)
        edit->n_touched = kept;
    free(sorted);
    free(twin);
    return rc;
}

int edit_show(struct edit *edit, int (*fn)(void *ctx, const struct edit_shown *shown), void *ctx,
              struct plat_err *err)
{
    struct show show = {.edit = edit, .fn = fn, .ctx = ctx};
    int rc = drop_twins(edit, err);
    for (size_t i = 0; rc == 0 && i < edit->n_touched; i++) {
        show.touched = &edit->touched[i];
        rc = show_touched(&show, err);
    }
    strbuf_free(&show.path);
    return rc;
}

/* ---- writing ---- */

static int is_change(void *ctx, const struct dev_change *change, struct plat_err *err)
{
    (void)change;
    (void)err;
    *(bool *)ctx = true;
    return PLAT_ESTOP;
}

int edit_write(struct edit *edit, const char *undo_path, struct plat_err *err)
{
    bool any = false;
    int rc = dev_overlay_changes(edit->overlay, is_change, &any, err);
    if (!any)
        return rc;
    rc = undo_write(undo_path, edit->overlay, err);
    if (rc != 0)
        return rc;
    rc = undo_apply(edit->overlay, edit->file, err);
    /* When writing fails, the undo file stays: it alone knows what was there. */
    if (rc != 0)
        return err_prefix(err, "the change is half done; plat set --undo %s brings back what was there",
                          edit->name);
    return undo_remove(undo_path, err);
}

static int copy_change(void *ctx, const struct dev_change *change, struct plat_err *err)
{
    return dev_write(ctx, change->offset, change->new, change->n, err);
}

int edit_write_to(struct edit *edit, const char *path, struct plat_err *err)
{
    struct plat_dev *out = NULL;
    int rc = dev_output_open(path, edit->file->size_bytes, &out, err);
    if (rc == 0)
        rc = dev_copy(out->sequential ? edit->overlay : edit->file, out, err);
    if (rc == 0 && !out->sequential)
        rc = dev_overlay_changes(edit->overlay, copy_change, out, err);
    if (rc == 0)
        rc = dev_output_commit(out, err);
    if (rc != 0 && err != NULL && err->image[0] == '\0')
        err_image(err, path);
    dev_close(out);
    return rc;
}
