#include "inspect/dump_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/edit.h"
#include "inspect/exact.h"
#include "inspect/render.h"

enum {
    FLUSH_BYTES = 1 << 16,
    BLOCK_BYTES = 4096,
    PIECE_BYTES = 12 * BLOCK_BYTES, /* whole groups of base64 */
    MAX_COVERED = 1 << 21           /* separate ranges; what is beyond comes as an extent, too */
};

/* Bytes that structures cover, joined where they touch. */
struct covered {
    struct range *list;
    size_t n, cap;
};
struct dumper {
    const struct inspect_image *image;
    struct strbuf out;
    struct covered covered;
    bool any, inside;
    uint8_t *piece;
    struct plat_err *err;
};

static int flush(struct dumper *d)
{
    return d->out.len < FLUSH_BYTES && !d->out.failed ? 0 : render_flush(&d->out);
}

static void element(struct dumper *d)
{
    strbuf_puts(&d->out, d->any ? ",\n  " : "\n  ");
    d->any = true;
}

/* ---- structures ---- */

static int cover(struct covered *covered, struct range range, struct plat_err *err)
{
    struct range *last = covered->n > 0 ? &covered->list[covered->n - 1] : NULL;
    if (last != NULL && range.start == last->start + last->bytes) {
        last->bytes += range.bytes;
        return 0;
    }
    if (covered->list == NULL || covered->n == covered->cap) {
        if (covered->n >= MAX_COVERED)
            return 0;
        size_t cap = covered->cap == 0 ? 256 : 2 * covered->cap;
        struct range *list = realloc(covered->list, cap * sizeof *list);
        if (list == NULL)
            return err_nomem(err, "dumping an image");
        covered->list = list;
        covered->cap = cap;
    }
    covered->list[covered->n++] = range;
    return 0;
}

static int layer_index(const struct dumper *d, const struct image *image)
{
    for (size_t i = 0; i < d->image->stack->n_layers; i++)
        if (d->image->stack->layers[i].image == image)
            return (int)i;
    return -1;
}

/* Structures of a compressed stream are not bytes of the image; their blocks are extents. */
static int on_instance(void *ctx, const struct inst *inst)
{
    struct dumper *d = ctx;
    const struct type *shape = inst_shape(inst);
    const int layer = layer_index(d, inst->image);
    struct strbuf fields = {0};
    if (inst->source.stream != NULL || shape == NULL || layer < 0 || inst->size_bytes == 0)
        return 0;
    struct plat_err why = {0};
    if (exact_put(&fields, inst, &why) != 0) {
        strbuf_free(&fields);
        return why.class == PLAT_ENOMEM ? err_nomem(d->err, "dumping a structure") : 0;
    }
    element(d);
    strbuf_puts(&d->out, "{\"path\": ");
    strbuf_json(&d->out, inst->path, strlen(inst->path));
    strbuf_printf(&d->out, ", \"layer\": %d, \"type\": \"%s\"", layer, inst->type->name);
    if (shape != inst->type)
        strbuf_printf(&d->out, ", \"case\": \"%s\"", shape->name);
    strbuf_printf(&d->out, ", \"offset\": %" PRIu64 ", \"bytes\": %zu, \"fields\": ", inst->offset,
                  inst->size_bytes);
    strbuf_puts(&d->out, strbuf_str(&fields));
    strbuf_putc(&d->out, '}');
    strbuf_free_into(&fields, &d->out);
    int rc = cover(&d->covered, (struct range){inst->offset, inst->size_bytes}, d->err);
    return rc == 0 ? flush(d) : rc;
}

/* ---- extents ---- */

static int compare_starts(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static int put_piece(struct dumper *d, struct range range, const uint8_t *bytes)
{
    element(d);
    strbuf_printf(&d->out, "{\"offset\": %" PRIu64 ", \"bytes\": %" PRIu64, range.start, range.bytes);
    if (bytes != NULL) {
        strbuf_puts(&d->out, ", \"data\": \"");
        base64_put(&d->out, bytes, (size_t)range.bytes);
        strbuf_putc(&d->out, '"');
    }
    strbuf_putc(&d->out, '}');
    return flush(d);
}

/* The parts of a piece that are not zero, to the block. */
static int put_blocks(struct dumper *d, uint64_t start, size_t n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n;) {
        size_t end = i;
        while (end < n) {
            const size_t block = n - end < BLOCK_BYTES ? n - end : BLOCK_BYTES;
            if (bytes_all(d->piece + end, block, 0))
                break;
            end += block;
        }
        if (end > i)
            rc = put_piece(d, (struct range){start + i, end - i}, d->piece + i);
        i = end > i ? end : i + BLOCK_BYTES;
    }
    return rc;
}

static int put_gap(struct dumper *d, struct range gap)
{
    struct plat_dev *dev = d->image->dev;
    const uint64_t end = gap.start + gap.bytes;
    struct range data;
    int rc = 0;
    for (uint64_t at = gap.start; rc == 0 && at < end && dev_next_data(dev, at, &data) && data.start < end;) {
        const uint64_t stop = data.start + data.bytes < end ? data.start + data.bytes : end;
        at = data.start > at ? data.start : at;
        if (!d->inside) {
            rc = put_piece(d, (struct range){at, stop - at}, NULL);
            at = stop;
        }
        while (rc == 0 && at < stop) {
            const size_t n = stop - at < PIECE_BYTES ? (size_t)(stop - at) : PIECE_BYTES;
            rc = dev_read(dev, at, d->piece, n, d->err);
            if (rc == 0)
                rc = put_blocks(d, at, n);
            at += n;
        }
    }
    return rc;
}

static int put_extents(struct dumper *d)
{
    struct covered *covered = &d->covered;
    const uint64_t size = d->image->dev->size_bytes;
    uint64_t at = 0;
    int rc = 0;
    if (covered->n > 0)
        qsort(covered->list, covered->n, sizeof *covered->list, compare_starts);
    for (size_t i = 0; rc == 0 && i <= covered->n; i++) {
        const struct range next = i < covered->n ? covered->list[i] : (struct range){size, 0};
        if (next.start > at)
            rc = put_gap(d, (struct range){at, next.start - at});
        if (next.start + next.bytes > at)
            at = next.start + next.bytes;
    }
    return rc;
}

/* ---- what is stale ---- */

struct stale {
    struct edit_kept kept; /* sorted; the texts are the arena's */
    size_t cap;
    struct arena arena;
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_stale(struct stale *stale, const struct edit *edit, struct plat_err *err)
{
    for (size_t i = 0; i < edit->n_touched; i++) {
        if (stale->kept.n == stale->cap) {
            size_t cap = stale->cap == 0 ? 64 : 2 * stale->cap;
            const char **list = realloc(stale->kept.paths, cap * sizeof *list);
            if (list == NULL)
                return err_nomem(err, "dumping an image");
            stale->kept.paths = list;
            stale->cap = cap;
        }
        char *path = arena_strdup(&stale->arena, edit->touched[i].path);
        if (path == NULL)
            return err_nomem(err, "dumping an image");
        stale->kept.paths[stale->kept.n++] = path;
    }
    if (stale->kept.n > 0)
        qsort(stale->kept.paths, stale->kept.n, sizeof *stale->kept.paths, compare_texts);
    return 0;
}

/* What sealing would change, found out in memory; and what it would change without changing those, until it changes
 * nothing: then plat assemble, which leaves them alone, makes the image as it is. */
static int find_stale(struct dumper *d, const struct inspect_options *options, struct stale *ret)
{
    enum { MAX_ROUNDS = 1000 };
    int rc = 0;
    for (int round = 0; rc == 0; round++) {
        struct edit edit;
        const size_t before = ret->kept.n;
        rc = edit_open_dev(d->image->dev, d->image->name, options, &edit, d->err);
        if (rc != 0)
            return rc;
        edit.kept = &ret->kept;
        rc = edit_seal(&edit, true, NULL, d->err);
        if (rc == PLAT_ELIMIT && edit.n_touched > 0) /* a circle: what is on it is kept */
            rc = 0;
        if (rc == 0)
            rc = add_stale(ret, &edit, d->err);
        edit_close(&edit);
        if (ret->kept.n == before)
            return rc;
        if (rc == 0 && round == MAX_ROUNDS)
            rc = err_set(d->err, PLAT_ELIMIT, "too much is stale to say what");
    }
    return rc;
}

static int put_stale(struct dumper *d, const struct inspect_options *options)
{
    struct stale stale = {0};
    int rc = find_stale(d, options, &stale);
    for (size_t i = 0; rc == 0 && i < stale.kept.n; i++) {
        const char *path = stale.kept.paths[i];
        if (i > 0 && strcmp(path, stale.kept.paths[i - 1]) == 0)
            continue;
        element(d);
        strbuf_json(&d->out, path, strlen(path));
        rc = flush(d);
    }
    free(stale.kept.paths);
    arena_free(&stale.arena);
    return rc;
}

/* ---- the document ---- */

static void put_layer(struct dumper *d, const struct stack_layer *layer)
{
    const struct layout *layout = layer->image != NULL ? layer->image->layout : NULL;
    element(d);
    strbuf_puts(&d->out, "{\"prefix\": ");
    strbuf_json(&d->out, layer->prefix, strlen(layer->prefix));
    if (layout != NULL)
        strbuf_printf(&d->out, ", \"format\": \"%s\"", layout->name);
    else
        strbuf_puts(&d->out, ", \"format\": null");
    strbuf_printf(&d->out, ", \"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"params\": {",
                  layer->dev->base_offset, layer->dev->size_bytes);
    for (size_t i = 0; layout != NULL && i < layout->n_params; i++)
        strbuf_printf(&d->out, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", layout->params[i].name,
                      layer->image->params[i]);
    strbuf_puts(&d->out, "}}");
}

int dump_data(const struct inspect_image *image, const struct inspect_options *options, bool inside,
              struct plat_err *err)
{
    struct dumper d = {.image = image, .inside = inside, .err = err, .piece = malloc(PIECE_BYTES)};
    const struct walk_sink sink = {.ctx = &d, .instance = on_instance};
    const struct stack *stack = image->stack;
    int rc = d.piece == NULL ? err_nomem(err, "dumping an image") : 0;
    strbuf_printf(&d.out, "{\"plat_dump\": %d, \"image\": ", (int)DUMP_DATA_VERSION);
    strbuf_json(&d.out, image->name, strlen(image->name));
    strbuf_printf(&d.out, ", \"bytes\": %" PRIu64 ", \"sector_bytes\": %" PRIu32 ",\n \"layers\": [",
                  stack->dev->size_bytes, stack->sector_bytes);
    for (size_t i = 0; i < stack->n_layers; i++)
        put_layer(&d, &stack->layers[i]);
    strbuf_puts(&d.out, "],\n \"structures\": [");
    d.any = false;
    if (rc == 0)
        rc = stack_walk(image->stack, &sink, err);
    strbuf_puts(&d.out, "],\n \"extents\": [");
    d.any = false;
    if (rc == 0)
        rc = put_extents(&d);
    strbuf_puts(&d.out, "],\n \"stale\": [");
    d.any = false;
    if (rc == 0)
        rc = put_stale(&d, options);
    strbuf_puts(&d.out, "]}\n");
    if (rc == 0)
        rc = render_flush(&d.out);
    if (rc == PLAT_ENOMEM && err->class == 0)
        rc = err_nomem(err, "dumping an image");
    strbuf_free(&d.out);
    free(d.covered.list);
    free(d.piece);
    return rc == PLAT_ESTOP ? 0 : rc;
}
