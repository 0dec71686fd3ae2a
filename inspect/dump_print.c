/* The stream of structures behind dump and get. */
#include "inspect/dump.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "inspect/render.h"
#include "inspect/runs.h"

enum { MAX_DAMAGE_SHOWN = 1000, FLUSH_BYTES = 1 << 16 };

struct hinted {
    const struct type *type;
};

struct printer {
    const struct cli *cli;
    const struct inspect_image *image;
    const struct field_path *path;
    const struct dump_options *options;
    struct plat_err *err; /* for what callbacks find wrong: the walk has words of its own for being stopped */
    struct strbuf out;
    struct strbuf damage; /* JSON: kept for the end of the document */
    uint64_t n_damage;
    const struct stack_layer *layer; /* of the structure printed last */
    bool any_layer;
    bool any;                 /* a structure was printed */
    struct strbuf long_array; /* JSON: path of an array with so many elements that runs are joined */
    struct hinted *hinted;    /* types whose doc texts were shown already */
    size_t n_hinted, cap_hinted;
    struct arena arena;
    struct run run;
};

static int emit(struct printer *p)
{
    return p->out.len < FLUSH_BYTES && !p->out.failed ? 0 : render_flush(&p->out);
}

/* Doc texts are worth reading once: with the first structure of a type. */
static bool first_of_type(struct printer *p, const struct type *type)
{
    for (size_t i = 0; i < p->n_hinted; i++)
        if (p->hinted[i].type == type)
            return false;
    if (p->n_hinted == p->cap_hinted) {
        size_t cap = p->cap_hinted == 0 ? 32 : p->cap_hinted * 2;
        struct hinted *list = arena_alloc(&p->arena, cap * sizeof *list);
        if (list == NULL) {
            p->out.failed = true; /* and the command with it */
            return false;
        }
        if (p->n_hinted > 0)
            memcpy(list, p->hinted, p->n_hinted * sizeof *list);
        p->hinted = list;
        p->cap_hinted = cap;
    }
    p->hinted[p->n_hinted++].type = type;
    return true;
}

static void layer_heading(struct printer *p, const char *path)
{
    const struct stack_layer *layer = inspect_layer_at(p->image, path);
    if (p->any_layer && layer == p->layer)
        return;
    if (p->any_layer)
        strbuf_putc(&p->out, '\n');
    p->any_layer = true;
    p->layer = layer;
    if (layer != NULL) {
        strbuf_puts(&p->out, paint(p->cli, PAINT_DIM));
        render_layer(&p->out, layer);
        strbuf_puts(&p->out, paint(p->cli, PAINT_PLAIN));
        strbuf_putc(&p->out, '\n');
    }
}

/* How many levels below the structures that the selection begins with: elements lie below their array. */
static unsigned level_of(const char *path)
{
    size_t base;
    uint64_t index;
    return run_split_path(path, &base, &index) ? 2 : 1;
}

static unsigned levels_left(const struct printer *p, unsigned level)
{
    if (p->options->depth == 0)
        return UINT_MAX;
    return p->options->depth > level ? (unsigned)(p->options->depth - level) : 0;
}

static bool too_deep(const struct printer *p, unsigned level)
{
    return p->options->depth != 0 && level > p->options->depth;
}

/* ---- one structure ---- */

static int print_text(struct printer *p, const struct inst *inst, bool addressed)
{
    unsigned level = addressed ? 1 : level_of(inst->path);
    if (too_deep(p, level))
        return 0;
    const struct field *number = run_number_field(inst);
    if (number != NULL && level == 2 && !p->options->all) {
        struct value value;
        int r = inst_value(inst, number, 0, &value, p->err);
        if (r != 0)
            return r;
        strbuf_puts(&p->out, paint(p->cli, PAINT_STRONG));
        strbuf_visible(&p->out, inst->path, strlen(inst->path));
        strbuf_printf(&p->out, "%s  %s", paint(p->cli, PAINT_PLAIN), paint(p->cli, PAINT_VALUE));
        render_value(&p->out, &value);
        strbuf_printf(&p->out, "%s\n", paint(p->cli, PAINT_PLAIN));
        return emit(p);
    }
    const struct type *shape = inst_shape(inst);
    bool hints = first_of_type(p, shape != NULL ? shape : inst->type);
    int r = dump_struct_text(p->cli, &p->out, inst, hints, levels_left(p, level), p->err);
    return r != 0 ? r : emit(p);
}

/* A place in the image; in a stream, with the block in the image that it came from. */
static void json_place(struct printer *p, const struct inst_source *source, struct range place)
{
    if (source->stream != NULL)
        strbuf_printf(&p->out,
                      ", \"stream\": \"%s\", \"position\": %" PRIu64 ", \"bytes\": %" PRIu64
                      ", \"block\": {\"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 "}",
                      source->stream, place.start, place.bytes, source->block.start, source->block.bytes);
    else
        strbuf_printf(&p->out, ", \"offset\": %" PRIu64 ", \"bytes\": %" PRIu64, place.start, place.bytes);
}

static void json_head(struct printer *p, const char *path, const struct inst *first, uint64_t bytes)
{
    const struct type *shape = inst_shape(first);
    strbuf_puts(&p->out, p->any ? ",\n  {\"path\": " : "\n  {\"path\": ");
    p->any = true;
    strbuf_json(&p->out, path, strlen(path));
    strbuf_printf(&p->out, ", \"type\": \"%s\"", first->type->name);
    if (shape != NULL && shape != first->type)
        strbuf_printf(&p->out, ", \"case\": \"%s\"", shape->name);
    json_place(p, &first->source, (struct range){first->offset, bytes});
}

static int print_json(struct printer *p, const struct inst *inst)
{
    if (too_deep(p, level_of(inst->path)))
        return 0;
    json_head(p, inst->path, inst, inst->size_bytes);
    int r = 0;
    if (levels_left(p, level_of(inst->path)) > 0) {
        strbuf_puts(&p->out, ", \"fields\": ");
        r = render_struct_json(&p->out, inst, p->err);
    }
    strbuf_putc(&p->out, '}');
    return r != 0 ? r : emit(p);
}

static int print_one(struct printer *p, const struct inst *inst, bool addressed)
{
    return p->options->json ? print_json(p, inst) : print_text(p, inst, addressed);
}

/* ---- runs ---- */

static int run_text(struct printer *p, const struct run *run)
{
    bool whole = !render_run_is_short(run);
    int r = 0;
    if (too_deep(p, 2))
        return 0;
    if (whole) /* one of them in full, the rest by its name */
        r = print_text(p, &run->first, false);
    if (r == 0)
        r = render_run(p->cli, &p->out, run, whole ? 1 : 0, p->err);
    return r != 0 ? r : emit(p);
}

static int run_json(struct printer *p, const struct run *run)
{
    struct strbuf path = {0};
    if (too_deep(p, 2))
        return 0;
    render_run_path(&path, run, 0);
    json_head(p, strbuf_str(&path), &run->first, run->last.offset + run->last.size_bytes - run->first.offset);
    strbuf_free_into(&path, &p->out);
    strbuf_printf(&p->out, ", \"count\": %" PRIu64 ", \"run\": \"%s\"",
                  run->last_index - run->first_index + 1, run->kind == RUN_RISING ? "rising" : "same");
    int r = 0;
    if (levels_left(p, 2) > 0) {
        strbuf_puts(&p->out, ", \"fields\": ");
        r = render_struct_json(&p->out, &run->first, p->err);
    }
    strbuf_putc(&p->out, '}');
    return r != 0 ? r : emit(p);
}

static int flush_run(struct printer *p)
{
    struct run *run = &p->run;
    if (!run->active)
        return 0;
    run->active = false;
    bool zero = bytes_all(run->first.bytes, run->first.size_bytes, 0);
    if (run->kind == RUN_SINGLE && (p->options->json || !zero))
        return print_one(p, &run->first, false);
    return p->options->json ? run_json(p, run) : run_text(p, run);
}

static bool may_join(const struct printer *p, const struct inst *inst, size_t base_bytes)
{
    if (p->options->all || inst->size_bytes > RUN_MAX_ELEMENT_BYTES || inst->size_bytes == 0)
        return false;
    if (!p->options->json)
        return true;
    return p->long_array.len == base_bytes && p->path->n == 0 &&
           memcmp(strbuf_str(&p->long_array), inst->path, base_bytes) == 0;
}

/* ---- the walk ---- */

static int on_array(void *ctx, const char *path, uint64_t count, const struct type *type)
{
    struct printer *p = ctx;
    int r = flush_run(p);
    if (r != 0)
        return r;
    strbuf_truncate(&p->long_array, 0);
    if (count > WALK_BULK_ELEMENTS)
        strbuf_puts(&p->long_array, path);
    if (p->options->json)
        return 0;
    layer_heading(p, path);
    strbuf_puts(&p->out, paint(p->cli, PAINT_STRONG));
    strbuf_visible(&p->out, path, strlen(path));
    strbuf_printf(&p->out, "%s  %s[%" PRIu64 "]\n", paint(p->cli, PAINT_PLAIN),
                  type != NULL ? type->name : "", count);
    return emit(p);
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct printer *p = ctx;
    size_t base;
    uint64_t index;
    bool addressed = p->path->n > 0 && path_relate(p->path, inst->path) == PATH_SAME;
    bool joinable = !addressed && run_split_path(inst->path, &base, &index) && may_join(p, inst, base);
    if (joinable && run_extend(&p->run, inst, index, base))
        return 0;
    int r = flush_run(p);
    if (r == 0 && !p->options->json)
        layer_heading(p, inst->path);
    if (r != 0)
        return r;
    return joinable ? run_begin(&p->run, inst, index, base, p->err) : print_one(p, inst, addressed);
}

static int on_finding(void *ctx, const struct finding *finding)
{
    struct printer *p = ctx;
    struct strbuf line = {0};
    if (finding->severity != SEVERITY_ERROR || ++p->n_damage > MAX_DAMAGE_SHOWN)
        return 0;
    if (p->options->json) {
        strbuf_puts(&p->damage, p->damage.len > 0 ? ",\n  {\"path\": " : "\n  {\"path\": ");
        strbuf_json(&p->damage, finding->path, strlen(finding->path));
        if (finding->has_offset)
            strbuf_printf(&p->damage, ", \"offset\": %" PRIu64, finding->offset);
        strbuf_puts(&p->damage, ", \"text\": ");
        strbuf_json(&p->damage, finding->text, strlen(finding->text));
        strbuf_putc(&p->damage, '}');
        return 0;
    }
    strbuf_visible(&line, finding->path, strlen(finding->path));
    strbuf_puts(&line, ": ");
    strbuf_visible(&line, finding->text, strlen(finding->text));
    (void)fflush(stdout);
    (void)fprintf(stderr, "plat %s: %s: %s\n", p->cli->command->name, p->image->name, strbuf_str(&line));
    strbuf_free(&line);
    return 0;
}

/* Layers that are there but could not be opened: the walk has nothing to say of them. */
static void unreadable_layers(struct printer *p)
{
    for (size_t i = 0; i < p->image->stack->n_layers; i++) {
        const struct stack_layer *layer = &p->image->stack->layers[i];
        if (layer->fs != NULL || layer->driver == NULL || path_relate(p->path, layer->prefix) == PATH_APART)
            continue;
        struct finding finding = {.severity = SEVERITY_ERROR,
                                  .path = layer->prefix[0] != '\0' ? layer->prefix : layer->driver->name,
                                  .text = layer->err.text,
                                  .has_offset = true,
                                  .offset = layer->dev->base_offset};
        (void)on_finding(p, &finding);
    }
}

static int on_located(void *ctx, const struct located *located, struct plat_err *err)
{
    struct printer *p = ctx;
    struct range place;
    const uint8_t *bytes;
    if (located->kind == LOCATED_STRUCT) {
        p->err = err;
        return print_one(p, &located->inst, true);
    }
    if (located->kind == LOCATED_FIELD && located->field->repr == REPR_TYPE)
        return locate_each(located, on_located, ctx, err);
    int r = located_place(located, &place, &bytes, err);
    if (r != 0)
        return r;
    if (!p->options->json) {
        strbuf_printf(&p->out, "%s  ", located->path);
        r = render_located_text(&p->out, located, true, err);
        strbuf_putc(&p->out, '\n');
        return r;
    }
    strbuf_puts(&p->out, "\n  {\"path\": ");
    strbuf_json(&p->out, located->path, strlen(located->path));
    strbuf_printf(&p->out, ", \"type\": \"%s\"", located->field->type_text);
    json_place(p, &located->inst.source, place);
    strbuf_puts(&p->out, ", \"value\": ");
    r = render_located_json(&p->out, located, err);
    strbuf_putc(&p->out, '}');
    return r;
}

static void json_open(struct printer *p)
{
    const struct stack *stack = p->image->stack;
    strbuf_puts(&p->out, "{\"image\": ");
    strbuf_json(&p->out, p->image->name, strlen(p->image->name));
    strbuf_printf(&p->out, ", \"bytes\": %" PRIu64 ", \"sector_bytes\": %" PRIu32 ",\n \"layers\": [",
                  stack->dev->size_bytes, stack->sector_bytes);
    for (size_t i = 0; i < stack->n_layers; i++) {
        const struct stack_layer *layer = &stack->layers[i];
        const char *format = layer->driver != NULL  ? layer->driver->name
                             : layer->image != NULL ? layer->image->layout->name
                                                    : NULL;
        strbuf_puts(&p->out, i == 0 ? "\n  {\"prefix\": " : ",\n  {\"prefix\": ");
        strbuf_json(&p->out, layer->prefix, strlen(layer->prefix));
        strbuf_puts(&p->out, ", \"format\": ");
        if (format != NULL)
            strbuf_json(&p->out, format, strlen(format));
        else
            strbuf_puts(&p->out, "null");
        strbuf_printf(&p->out, ", \"offset\": %" PRIu64 ", \"bytes\": %" PRIu64, layer->dev->base_offset,
                      layer->dev->size_bytes);
        if (layer->from_table)
            strbuf_printf(&p->out, ", \"partition\": %" PRIu32, layer->partition.number);
        strbuf_putc(&p->out, '}');
    }
    strbuf_puts(&p->out, "],\n \"structures\": [");
}

int dump_print(const struct cli *cli, const struct inspect_image *image, const struct field_path *path,
               const struct dump_options *options, bool *ret_damaged, struct plat_err *err)
{
    struct plat_err inner = {0};
    struct printer p = {.cli = cli, .image = image, .path = path, .options = options, .err = &inner};
    const struct select_sink sink = {
        .ctx = &p,
        .array = on_array,
        .instance = on_instance,
        .located = on_located,
        .findings = {.fn = on_finding, .ctx = &p},
    };
    if (options->json)
        json_open(&p);
    int r = select_walk(image, path, &sink, err);
    if (r == 0)
        r = flush_run(&p);
    if (r == 0)
        unreadable_layers(&p);
    if (r == PLAT_ENOTFOUND && options->json) /* nothing was selected: no document */
        strbuf_truncate(&p.out, 0);
    else if (options->json)
        strbuf_printf(&p.out, "],\n \"damage\": [%s]}\n", strbuf_str(&p.damage));
    int flushed = render_flush(&p.out);
    if (flushed == PLAT_ENOMEM)
        r = err_nomem(err, "printing structures");
    if (r != 0 && inner.class != 0 && err != NULL)
        *err = inner;
    *ret_damaged = p.n_damage > 0;
    strbuf_free(&p.out);
    strbuf_free(&p.damage);
    strbuf_free(&p.long_array);
    run_free(&p.run);
    arena_free(&p.arena);
    return r == PLAT_ESTOP ? 0 : r;
}
