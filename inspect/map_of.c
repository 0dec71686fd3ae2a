/* plat map --of: where a structure, a field or a file lies. */
#include <inttypes.h>
#include <string.h>

#include "inspect/map_show.h"
#include "inspect/render.h"
#include "inspect/select.h"

enum { FLUSH_BYTES = 1 << 16 };

/* What a path led to: ranges, printed as they come. */
struct of {
    struct map_query *query;
    const struct field_path *path; /* structures */
    const char *file;              /* files: the full path */
    const struct stack_layer *layer;
    bool inside;       /* what lies below the path, too */
    bool again;        /* the structure was printed: ranges that have its name are left, */
    struct range same; /* unless they are the same bytes */
    uint64_t n, bytes; /* ranges, and bytes of the image in them */
    struct plat_err *err;
};
struct found {
    struct range place; /* in the image */
    const char *kind, *path;
    const char *stream; /* NULL: none; else place is the block's, and ... */
    struct range in_stream;
    const struct fs_piece *piece; /* of a file; NULL: none */
    bool has_position;            /* contents as they are: from this byte of the file on */
    uint64_t position;
    unsigned bit_shift, bit_width; /* 0: whole bytes */
};

static void found_json(struct of *of, const struct found *found)
{
    struct strbuf *out = &of->query->out;
    strbuf_printf(out, "%s\n  {\"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"kind\": \"%s\", \"path\": ",
                  of->n == 0 ? "" : ",", found->place.start, found->place.bytes, found->kind);
    strbuf_json(out, found->path, strlen(found->path));
    if (found->stream != NULL)
        strbuf_printf(out, ", \"stream\": \"%s\", \"position\": %" PRIu64 ", \"stream_bytes\": %" PRIu64,
                      found->stream, found->in_stream.start, found->in_stream.bytes);
    if (found->has_position)
        strbuf_printf(out, ", \"file_position\": %" PRIu64, found->position);
    if (found->piece != NULL) {
        strbuf_printf(out,
                      ", \"file_position\": %" PRIu64 ", \"file_bytes\": %" PRIu64
                      ", \"compressed\": %s, \"decompressed_offset\": %" PRIu64,
                      found->piece->position, found->piece->bytes,
                      found->piece->compressed ? "true" : "false", found->piece->offset);
        if (found->piece->path != NULL)
            strbuf_printf(out, ", \"in\": \"%s\"", found->piece->path);
    }
    if (found->bit_width > 0)
        strbuf_printf(out, ", \"bit\": %u, \"bits\": %u", found->bit_shift, found->bit_width);
    strbuf_putc(out, '}');
}

static void found_text(struct of *of, const struct found *found)
{
    struct strbuf *out = &of->query->out;
    struct strbuf count = {0};
    render_count(&count, found->place.bytes);
    strbuf_printf(out, "0x%012" PRIx64 " %18s  %-9s  ", found->place.start, strbuf_str(&count), found->kind);
    strbuf_free_into(&count, out);
    strbuf_visible(out, found->path, strlen(found->path));
    if (found->stream != NULL)
        strbuf_printf(out, "  %" PRIu64 " bytes at %s+0x%" PRIx64 ", compressed in this block",
                      found->in_stream.bytes, found->stream, found->in_stream.start);
    if (found->has_position) {
        strbuf_puts(out, "  from byte ");
        render_count(out, found->position);
        strbuf_puts(out, " of the file on");
    }
    if (found->piece != NULL) {
        strbuf_puts(out, "  bytes ");
        render_count(out, found->piece->position);
        strbuf_puts(out, " to ");
        render_count(out, found->piece->position + found->piece->bytes - 1);
        strbuf_printf(out, " of the file%s", found->piece->compressed ? ", compressed" : "");
        if (found->piece->path != NULL)
            strbuf_printf(out, ", in %s from its byte %" PRIu64 " on", found->piece->path,
                          found->piece->offset);
    }
    if (found->bit_width > 0)
        strbuf_printf(out, "  bit %u, %u wide", found->bit_shift, found->bit_width);
    strbuf_putc(out, '\n');
}

static int put(struct of *of, const struct found *found)
{
    struct strbuf *out = &of->query->out;
    if (of->query->json)
        found_json(of, found);
    else
        found_text(of, found);
    of->n++;
    of->bytes += found->place.bytes;
    return out->len < FLUSH_BYTES && !out->failed ? 0 : render_flush(out);
}

/* ---- structures ---- */

static int put_inst(struct of *of, const struct inst_source *source, struct range place, const char *path)
{
    struct found found = {.place = place, .kind = "structure", .path = path};
    of->same = source->stream != NULL ? of->same : place;
    if (source->stream != NULL) {
        found.stream = source->stream;
        found.in_stream = place;
        found.place = source->block;
    }
    return put(of, &found);
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct of *of = ctx;
    if (of->inside != (path_relate(of->path, inst->path) == PATH_INSIDE))
        return 0;
    return put_inst(of, &inst->source, (struct range){inst->offset, inst->size_bytes}, inst->path);
}

static int on_located(void *ctx, const struct located *located, struct plat_err *err)
{
    struct of *of = ctx;
    struct range place;
    const uint8_t *bytes;
    if (of->n > 0) /* a second pass, for extents alone */
        return 0;
    if (located->kind == LOCATED_STRUCT)
        return put_inst(of, &located->inst.source,
                        (struct range){located->inst.offset, located->inst.size_bytes}, located->path);
    int rc = located_place(located, &place, &bytes, err);
    if (rc != 0)
        return rc;
    struct found found = {.place = place, .kind = "field", .path = located->path};
    if (located->inst.source.stream != NULL) {
        found.stream = located->inst.source.stream;
        found.in_stream = place;
        found.place = located->inst.source.block;
    }
    if (located->kind == LOCATED_MEMBER) {
        found.bit_shift = located->member->bit_shift;
        found.bit_width = located->member->bit_width;
    } else if (located->kind == LOCATED_FLAG) {
        found.bit_shift = located->flag->shift;
        found.bit_width = located->flag->width;
    }
    return put(of, &found);
}

static int on_extent(void *ctx, const struct extent *extent)
{
    struct of *of = ctx;
    if (of->again && (path_relate(of->path, extent->path) != PATH_SAME ||
                      (extent->place.start == of->same.start && extent->place.bytes == of->same.bytes)))
        return 0;
    const struct found found = {
        .place = extent->place, .kind = extent_kind_name(extent->kind), .path = extent->path};
    return put(of, &found);
}

static int no_instance(void *ctx, const struct inst *inst)
{
    (void)ctx;
    (void)inst;
    return 0;
}

/* The structure of that name; else the ranges of that name; else what is below it. A name may be both, such as that of a
 * fragment in SquashFS: its entry in the table, and its block; a structure may be the head of a range of its name. */
static int of_structure(struct of *of, struct plat_err *err)
{
    struct select_sink sink = {.ctx = of, .instance = on_instance, .located = on_located};
    int rc = select_walk(of->query->image, of->path, &sink, err);
    const bool only_extents = rc == PLAT_ENOTFOUND;
    if (rc != 0 && !only_extents)
        return rc;
    of->again = of->n > 0;
    sink.instance = no_instance;
    sink.extent = on_extent;
    struct plat_err why = {0};
    int again = select_walk(of->query->image, of->path, &sink, &why);
    if (only_extents && of->n > 0)
        rc = 0; /* it is no structure, but it is the name of a range: "esp.free" */
    if (again != 0 && again != PLAT_ENOTFOUND && rc == 0) {
        rc = again;
        *err = why;
    }
    if (rc != 0 || of->n > 0)
        return rc;
    of->inside = true;
    sink.instance = on_instance;
    sink.extent = NULL;
    return select_walk(of->query->image, of->path, &sink, err);
}

/* ---- layers and files ---- */

static int of_layer(struct of *of, const struct stack_layer *layer)
{
    const struct found found = {.place = {layer->dev->base_offset, layer->dev->size_bytes},
                                .kind = "partition",
                                .path = layer->prefix};
    return put(of, &found);
}

static int on_piece(void *ctx, const struct fs_piece *piece)
{
    struct of *of = ctx;
    struct found found = {
        .place = piece->place, .kind = extent_kind_name(EXTENT_DATA), .path = of->file, .piece = piece};
    found.place.start += of->layer->dev->base_offset;
    if (!piece->compressed)
        found.place = (struct range){found.place.start + piece->offset, piece->bytes};
    return put(of, &found);
}

static int on_file_extent(void *ctx, const struct extent *extent)
{
    struct of *of = ctx;
    if (strcmp(extent->path, of->file) != 0)
        return 0;
    const struct found found = {.place = extent->place,
                                .kind = extent_kind_name(extent->kind),
                                .path = extent->path,
                                .has_position = extent->kind == EXTENT_DATA,
                                .position = extent->position};
    return put(of, &found);
}

static bool wants_file(void *ctx, const char *path)
{
    const struct of *of = ctx;
    return strcmp(path, of->file) == 0;
}

static int of_file(struct of *of, struct stack_layer *layer, const char *path, struct plat_err *err)
{
    struct strbuf full = {0};
    struct fs_stat stat;
    uint64_t node;
    if (layer == NULL)
        return stack_filesystem(of->query->image->stack, &layer, err);
    if (layer->fs == NULL || layer->driver->lookup == NULL || layer->driver->stat == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "%s cannot be read as a filesystem",
                       inspect_layer_title(layer));
    int rc = fs_resolve(layer->fs, path, &node, err);
    if (rc == 0)
        rc = layer->driver->stat(layer->fs, node, &stat, err);
    if (rc != 0)
        return rc;
    if (stat.kind == TREE_DIR)
        return err_set(
            err, PLAT_EINVALID,
            "%s is a directory: --of takes a file, or the path of a structure (plat dump lists them)", path);
    strbuf_printf(&full, "%s%s%s", layer->prefix, layer->prefix[0] != '\0' ? ":" : "", path);
    of->file = strbuf_str(&full);
    of->layer = layer;
    if (layer->driver->pieces != NULL) {
        rc = layer->driver->pieces(layer->fs, node, on_piece, of, err);
    } else {
        const struct walk_sink sink = {.ctx = of, .wants = wants_file, .extent = on_file_extent};
        rc = stack_walk(of->query->image->stack, &sink, err);
    }
    strbuf_free_into(&full, &of->query->out);
    return rc;
}

int map_of(struct map_query *query, const char *text, struct plat_err *err)
{
    struct of of = {.query = query, .err = err};
    struct strbuf *out = &query->out;
    struct stack_layer *layer;
    struct field_path path = {.text = ""};
    if (query->json) {
        strbuf_puts(out, "{\"image\": ");
        strbuf_json(out, query->image->name, strlen(query->image->name));
        strbuf_puts(out, ", \"path\": ");
        strbuf_json(out, text, strlen(text));
        strbuf_puts(out, ", \"ranges\": [");
    }
    int rc = 0;
    const char *file = inspect_file_path(query->image, text, &layer);
    if (file != NULL) {
        rc = of_file(&of, layer, file, err);
    } else {
        rc = inspect_path(query->image, text, &path, err);
        of.path = &path;
        layer = rc == 0 && path.n_steps == 1 ? inspect_layer(query->image, path.text) : NULL;
        if (rc == 0 && layer != NULL && layer->from_table && layer->prefix[0] != '\0')
            rc = of_layer(&of, layer);
        else if (rc == 0)
            rc = of_structure(&of, err);
        path_free(&path);
    }
    if (rc != 0) {
        strbuf_truncate(out, 0);
        return rc;
    }
    if (query->json)
        strbuf_printf(out, "],\n \"bytes\": %" PRIu64 "}\n", of.bytes);
    else if (of.n == 0)
        strbuf_puts(out, "no bytes of the image: it is empty, a hole, or stored in its record\n");
    return 0;
}
