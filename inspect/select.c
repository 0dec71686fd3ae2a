/* Walking what a path selects, and saying what there is instead when that is nothing. */
#include "inspect/select.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/nearest.h"

struct selection {
    const struct inspect_image *image;
    const struct field_path *path;
    const struct select_sink *sink;
    struct plat_err *err;
    bool found; /* something was selected */
    int inner;  /* result of locate(): its message must survive the walk */
    struct plat_err inner_err;
    bool past_end;       /* the path's index goes past an array's end: */
    size_t past_step;    /* ... with this step */
    uint64_t n_elements; /* ... of so many */
};

static bool wants(void *ctx, const char *path)
{
    const struct selection *s = ctx;
    return path_relate(s->path, path) != PATH_APART;
}

static int on_array(void *ctx, const char *path, uint64_t count, const struct type *type)
{
    struct selection *s = ctx;
    enum path_relation relation = path_relate(s->path, path);
    if (relation == PATH_OUTSIDE) {
        size_t step = path_steps_in(s->path, path);
        s->past_end = s->path->steps[step].kind == PATH_INDEX && s->path->steps[step].index >= count;
        s->past_step = step;
        s->n_elements = count;
    }
    if (relation != PATH_SAME && relation != PATH_INSIDE)
        return 0;
    s->found = true;
    return s->sink->array != NULL ? s->sink->array(s->sink->ctx, path, count, type) : 0;
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct selection *s = ctx;
    switch (path_relate(s->path, inst->path)) {
    case PATH_SAME:
    case PATH_INSIDE:
        s->found = true;
        return s->sink->instance(s->sink->ctx, inst);
    case PATH_OUTSIDE:
        if (s->path->n > 0 && inst->path[0] != '\0') {
            s->inner = locate(inst, s->path, path_steps_in(s->path, inst->path), s->sink->located,
                              s->sink->ctx, &s->inner_err);
            s->found = true;
            return PLAT_ESTOP;
        }
        return 0;
    default:
        return 0;
    }
}

static int on_extent(void *ctx, const struct extent *extent)
{
    struct selection *s = ctx;
    enum path_relation relation = path_relate(s->path, extent->path);
    if (relation != PATH_SAME && relation != PATH_INSIDE)
        return 0;
    s->found = true;
    return s->sink->extent(s->sink->ctx, extent);
}

/* ---- what there is instead ---- */

struct survey {
    const struct field_path *head;
    struct nearest nearest;
};

/* Takes the step that follows the head in `path`. */
static void survey_path(struct survey *survey, const char *path)
{
    if (path_relate(survey->head, path) != PATH_INSIDE)
        return;
    const char *rest = path + survey->head->n;
    if (*rest == '.')
        rest++;
    size_t n = 0;
    if (rest[0] == '[' && rest[1] == '"') {
        for (n = 2; rest[n] != '\0' && rest[n] != '"'; n++)
            if (rest[n] == '\\' && rest[n + 1] != '\0')
                n++;
        n += rest[n] == '"' ? 2 : 0;
    } else {
        n = 1 + strcspn(rest + 1, ".[");
    }
    nearest_add(&survey->nearest, rest, n);
}

static bool survey_wants(void *ctx, const char *path)
{
    struct survey *survey = ctx;
    enum path_relation relation = path_relate(survey->head, path);
    survey_path(survey, path);
    /* What lies inside is known by its name now; there is no need to read it. */
    return relation == PATH_SAME || relation == PATH_OUTSIDE;
}
static int survey_array(void *ctx, const char *path, uint64_t count, const struct type *type)
{
    (void)count;
    (void)type;
    survey_path(ctx, path);
    return 0;
}
static int survey_instance(void *ctx, const struct inst *inst)
{
    survey_path(ctx, inst->path);
    return 0;
}

static int not_found(const struct selection *s)
{
    const struct field_path *path = s->path;
    if (path->n_steps == 0)
        return err_set(s->err, PLAT_ENOTFOUND, "there is no structure to show");
    if (s->past_end)
        return err_set(s->err, PLAT_ENOTFOUND, "no %.*s: there are %" PRIu64 " elements, counted from 0",
                       (int)path->steps[s->past_step].end, path->text, s->n_elements);
    const struct stack_layer *layer = inspect_layer_at(s->image, path->text);
    if (layer != NULL && layer->fs == NULL && layer->err.class != 0) {
        if (s->err != NULL)
            *s->err = layer->err;
        (void)err_prefix(s->err, "%.100s cannot be shown", path->text);
        return layer->err.class;
    }
    bool empty = layer != NULL && layer->prefix[0] != '\0'; /* until something is found in it */
    int r = 0;
    /* From the longest part of the path down to nothing: the first part under which there is anything. */
    for (size_t depth = path->n_steps; r == 0 && depth-- > 0;) {
        struct field_path head;
        r = path_head(path, depth, &head, s->err);
        const char *wanted = path->text + (depth > 0 ? path->steps[depth - 1].end : 0);
        struct survey survey = {.head = &head, .nearest.wanted = *wanted == '.' ? wanted + 1 : wanted};
        const struct walk_sink sink = {
            .ctx = &survey, .wants = survey_wants, .array = survey_array, .instance = survey_instance};
        if (r == 0)
            r = stack_walk(s->image->stack, &sink, s->err);
        /* A layer that could not be opened still has a name. */
        for (size_t i = 0; depth == 0 && i < s->image->stack->n_layers; i++)
            survey_path(&survey, s->image->stack->layers[i].prefix);
        if (r == 0 && depth == 0 && empty) {
            r = err_set(s->err, PLAT_ENOTFOUND, "no %s: nothing in %s can be shown; plat verify tells why",
                        path->text, layer->prefix);
        } else if (r == 0 && (survey.nearest.n > 0 || depth == 0)) {
            struct strbuf names = {0};
            nearest_list(&survey.nearest, &names);
            r = err_set(s->err, PLAT_ENOTFOUND, "no %s%s%s%s%s", path->text, depth > 0 ? "; nearest in " : "",
                        depth > 0 ? head.text : "; nearest", names.len > 0 ? ": " : ": nothing at all",
                        strbuf_str(&names));
            strbuf_free(&names);
        }
        path_free(&head);
    }
    return r != 0 ? r : err_set(s->err, PLAT_ENOTFOUND, "no %s", path->text);
}

int select_walk(const struct inspect_image *image, const struct field_path *path,
                const struct select_sink *sink, struct plat_err *err)
{
    struct selection s = {.image = image, .path = path, .sink = sink, .err = err};
    const struct walk_sink walk = {
        .ctx = &s,
        .elements = true,
        .wants = wants,
        .array = on_array,
        .instance = on_instance,
        .extent = sink->extent != NULL ? on_extent : NULL,
        .findings = sink->findings,
    };
    int r = stack_walk(image->stack, &walk, err);
    if (s.inner != 0 && s.inner != PLAT_ESTOP) {
        if (err != NULL)
            *err = s.inner_err;
        return s.inner;
    }
    if (r == PLAT_ESTOP)
        return 0;
    if (r == 0 && !s.found)
        r = not_found(&s);
    return r;
}
