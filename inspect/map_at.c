/* plat map --at: what one byte is, from the whole image down to a field.
 *
 *     image        the file
 *     partition    which of the table's
 *     filesystem   what is in it (table, store, ...)
 *     range        who owns the byte, as in the map; every owner, where there are several
 *     contents     which bytes of a file it holds, where they are compressed or shared
 *     structure    what the byte is part of, and
 *     field        which value
 *     decompressed what the block decompresses to that it is part of */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/files.h"
#include "inspect/map_show.h"
#include "inspect/render.h"
#include "inspect/select.h"

enum { MAX_ANSWERS = 10000, SHARERS_SHOWN = 100 };
enum level {
    LEVEL_IMAGE,
    LEVEL_PARTITION,
    LEVEL_FILESYSTEM,
    LEVEL_RANGE,
    LEVEL_CONTENTS,
    LEVEL_STRUCTURE,
    LEVEL_FIELD,
    LEVEL_DECOMPRESSED,
    LEVELS
};
static const char *const level_names[LEVELS] = {"image",    "partition", "filesystem", "range",
                                                "contents", "structure", "field",      "decompressed"};

struct answer {
    enum level level;
    unsigned rank; /* within a level */
    size_t number; /* in which it came */
    const char *path;
    const char *note; /* kind, type, title; value of fields */
    const char *value;
    struct range place; /* in the image, or in `stream` */
    const char *stream;
    struct range contents; /* of the file; LEVEL_CONTENTS, and ranges of files stored as they are */
    bool has_contents, compressed;
    uint64_t decompressed; /* LEVEL_CONTENTS: first byte of the piece in what the block decompresses to */
};
struct at {
    struct map_query *query;
    uint64_t offset;
    struct answer *list;
    size_t n, cap;
    struct arena arena;
    const struct inst *inst; /* whose fields are looked at */
    uint64_t n_derived;      /* structures in the decompressed block */
    size_t last_derived;     /* answer of the last one */
    uint64_t n_sharers;
    struct strbuf text;
    struct plat_err *err;
    struct plat_err inner; /* what a callback found wrong */
};

static bool covers(struct range place, uint64_t offset)
{
    return offset >= place.start && offset - place.start < place.bytes;
}

/* Takes copies of the texts. */
static int answer_add(struct at *at, const struct answer *answer)
{
    if (at->n == MAX_ANSWERS)
        return err_set(&at->inner, PLAT_ELIMIT, "more than %d structures claim this byte", MAX_ANSWERS);
    if (at->n == at->cap) {
        const size_t cap = at->cap == 0 ? 32 : at->cap * 2;
        struct answer *list = realloc(at->list, cap * sizeof *list);
        if (list == NULL)
            return err_nomem(&at->inner, "collecting owners");
        at->list = list;
        at->cap = cap;
    }
    struct answer *kept = &at->list[at->n];
    *kept = *answer;
    kept->number = at->n;
    kept->path = arena_strdup(&at->arena, answer->path != NULL ? answer->path : "");
    kept->note = arena_strdup(&at->arena, answer->note != NULL ? answer->note : "");
    kept->value = answer->value == NULL ? NULL : arena_strdup(&at->arena, answer->value);
    if (kept->path == NULL || kept->note == NULL || (answer->value != NULL && kept->value == NULL))
        return err_nomem(&at->inner, "collecting owners");
    at->n++;
    return 0;
}

/* ---- layers ---- */

static int add_layers(struct at *at)
{
    const struct inspect_image *image = at->query->image;
    const struct stack *stack = image->stack;
    struct answer answer = {.level = LEVEL_IMAGE,
                            .path = image->name,
                            .note = stack->table != NULL ? stack->table : "",
                            .place = {0, image->dev->size_bytes}};
    int rc = answer_add(at, &answer);
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++) {
        const struct stack_layer *layer = &stack->layers[i];
        const struct range window = {layer->dev->base_offset, layer->dev->size_bytes};
        const bool is_table = layer->driver != NULL && layer->driver->partitions != NULL;
        if (is_table || !covers(window, at->offset))
            continue;
        const bool again = i > 0 && stack->layers[i - 1].dev == layer->dev; /* its partition was named */
        answer = (struct answer){.level = LEVEL_PARTITION,
                                 .path = layer->prefix[0] != '\0' ? layer->prefix : layer->alias,
                                 .note = layer->alias,
                                 .place = window};
        if (layer->from_table && !again)
            rc = answer_add(at, &answer);
        answer.level = LEVEL_FILESYSTEM;
        answer.note = inspect_layer_title(layer);
        if (rc == 0 && (layer->driver != NULL || layer->image != NULL))
            rc = answer_add(at, &answer);
    }
    return rc;
}

/* ---- contents of files ---- */

struct piece_search {
    struct at *at;
    const struct stack_layer *layer;
    const char *path;
};

static int on_piece(void *ctx, const struct fs_piece *piece)
{
    struct piece_search *search = ctx;
    struct at *at = search->at;
    struct range place = piece->place;
    place.start += search->layer->dev->base_offset;
    struct range own = place; /* what of it is this file's alone */
    if (!piece->compressed)
        own = (struct range){place.start + piece->offset, piece->bytes};
    if (!covers(own, at->offset))
        return 0;
    if (++at->n_sharers > SHARERS_SHOWN)
        return 0;
    return answer_add(at, &(struct answer){.level = LEVEL_CONTENTS,
                                           .path = search->path,
                                           .note = piece->path != NULL ? piece->path : "",
                                           .place = place,
                                           .contents = {piece->position, piece->bytes},
                                           .has_contents = true,
                                           .compressed = piece->compressed,
                                           .decompressed = piece->offset});
}

/* Damage that hides the pieces of one file is no reason to say nothing of the byte. */
static int past_damage(struct at *at, int rc, const struct plat_err *why)
{
    if (rc == PLAT_EIO || rc == PLAT_ENOMEM)
        at->inner = *why;
    return rc == PLAT_EIO || rc == PLAT_ENOMEM || (rc != 0 && at->inner.class == rc) ? rc : 0;
}

/* Which bytes of the file at `path` in its layer are there. */
static int add_pieces(struct at *at, const struct stack_layer *layer, const char *path, const char *full)
{
    struct piece_search search = {.at = at, .layer = layer, .path = full};
    struct plat_err why = {0};
    uint64_t node;
    int rc = fs_resolve(layer->fs, path, &node, &why);
    if (rc == 0)
        rc = layer->fs->driver->pieces(layer->fs, node, on_piece, &search, &why);
    return past_damage(at, rc, &why);
}

/* All files that have a piece there. */
struct tree_search {
    struct at *at;
    const struct stack_layer *layer;
    struct strbuf path; /* full */
    size_t prefix_bytes;
};

static int on_file(void *ctx, const struct file_visit *visit)
{
    struct tree_search *search = ctx;
    struct plat_err why = {0};
    strbuf_truncate(&search->path, search->prefix_bytes);
    strbuf_puts(&search->path, visit->path);
    if (search->path.failed)
        return err_nomem(&search->at->inner, "naming a file");
    if (visit->kind != TREE_FILE)
        return 0;
    struct piece_search pieces = {search->at, search->layer, strbuf_str(&search->path)};
    int rc = search->layer->fs->driver->pieces(search->layer->fs, visit->node, on_piece, &pieces, &why);
    return past_damage(search->at, rc, &why);
}

static int on_trouble(void *ctx, const struct file_visit *visit, const struct plat_err *why)
{
    struct tree_search *search = ctx;
    (void)visit;
    return past_damage(search->at, why->class, why);
}

static int add_sharers(struct at *at, const struct stack_layer *layer)
{
    struct tree_search search = {.at = at, .layer = layer};
    struct file_visit root = {.path = "", .name = "", .kind = TREE_DIR};
    struct node_set seen = {0};
    strbuf_printf(&search.path, "%s%s/", layer->prefix, layer->prefix[0] != '\0' ? ":" : "");
    search.prefix_bytes = search.path.len;
    const struct file_walk walk = {.ctx = &search, .entry = on_file, .trouble = on_trouble, .seen = &seen};
    int rc = layer->fs->driver->root(layer->fs, &root.node, &at->inner);
    if (rc == 0)
        rc = file_walk(layer->fs, &root, &walk, &at->inner);
    node_set_free(&seen);
    strbuf_free(&search.path);
    return rc;
}

/* The ranges that were found, and what is in those that hold contents in another way than byte by byte. */
static int add_contents(struct at *at)
{
    const size_t n = at->n;
    bool shared = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct answer answer = at->list[i];
        if (answer.level != LEVEL_RANGE || answer.rank != (unsigned)claim_rank(EXTENT_DATA))
            continue;
        const struct stack_layer *layer = inspect_layer_at(at->query->image, answer.path);
        if (layer == NULL || layer->fs == NULL || layer->fs->driver->pieces == NULL)
            continue;
        const char *rest = answer.path + strlen(layer->prefix);
        rest += layer->prefix[0] != '\0' && *rest == ':';
        if (*rest == '/') {
            rc = add_pieces(at, layer, rest, answer.path);
        } else if (!shared) {
            shared = true;
            rc = add_sharers(at, layer);
        }
    }
    return rc;
}

/* ---- walking ---- */

static bool wants(void *ctx, const char *path)
{
    const struct at *at = ctx;
    const struct stack_layer *layer = inspect_layer_at(at->query->image, path);
    return layer == NULL ||
           covers((struct range){layer->dev->base_offset, layer->dev->size_bytes}, at->offset);
}

static int on_extent(void *ctx, const struct extent *extent)
{
    struct at *at = ctx;
    if (!covers(extent->place, at->offset))
        return 0;
    const struct stack_layer *layer = inspect_layer_at(at->query->image, extent->path);
    const bool plain = extent->kind == EXTENT_DATA && layer != NULL && layer->fs != NULL &&
                       layer->fs->driver->pieces == NULL;
    return answer_add(at, &(struct answer){.level = LEVEL_RANGE,
                                           .rank = (unsigned)claim_rank(extent->kind),
                                           .path = extent->path,
                                           .note = extent_kind_name(extent->kind),
                                           .place = extent->place,
                                           .has_contents = plain,
                                           .contents = {extent->position, extent->place.bytes}});
}

static int on_value(void *ctx, const struct value *value, const char *name, unsigned level)
{
    struct at *at = ctx;
    (void)level;
    if (!covers(value->place, at->offset))
        return 0;
    struct strbuf path = {0};
    strbuf_printf(&path, "%s.%s", at->inst->path, name);
    strbuf_truncate(&at->text, 0);
    render_value(&at->text, value);
    const struct answer answer = {.level = LEVEL_FIELD,
                                  .path = strbuf_str(&path),
                                  .note = value->field->type_text,
                                  .value = strbuf_str(&at->text),
                                  .place = value->place};
    int rc =
        path.failed || at->text.failed ? err_nomem(&at->inner, "naming a field") : answer_add(at, &answer);
    strbuf_free(&path);
    return rc;
}

static int on_derived(struct at *at, const struct inst *inst)
{
    const struct answer answer = {.level = LEVEL_DECOMPRESSED,
                                  .path = inst->path,
                                  .note = inst->type->name,
                                  .place = {inst->offset, inst->size_bytes},
                                  .stream = inst->source.stream};
    if (at->n_derived++ < 2) {
        at->last_derived = at->n;
        return answer_add(at, &answer);
    }
    /* The first is kept, and the last. */
    struct answer *last = &at->list[at->last_derived];
    if (answer.place.start < last->place.start && strcmp(last->stream, answer.stream) == 0)
        return 0;
    strbuf_truncate(&at->text, 0);
    strbuf_puts(&at->text, inst->path);
    char *path = arena_strdup(&at->arena, strbuf_str(&at->text));
    if (path == NULL)
        return err_nomem(&at->inner, "collecting owners");
    last->path = path;
    last->note = inst->type->name;
    last->place = answer.place;
    last->stream = answer.stream;
    return 0;
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct at *at = ctx;
    const struct range place = {inst->offset, inst->size_bytes};
    if (inst->source.stream != NULL)
        return covers(inst->source.block, at->offset) ? on_derived(at, inst) : 0;
    if (!covers(place, at->offset))
        return 0;
    int rc = answer_add(
        at, &(struct answer){
                .level = LEVEL_STRUCTURE, .path = inst->path, .note = inst->type->name, .place = place});
    const struct field_sink sink = {.ctx = at, .value = on_value};
    at->inst = inst;
    return rc != 0 ? rc : fields_visit(inst, &sink, &at->inner);
}

/* ---- showing ---- */

static int compare_answers(const void *a, const void *b)
{
    const struct answer *x = a, *y = b;
    if (x->level != y->level)
        return (int)x->level - (int)y->level;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static void show_contents(struct strbuf *out, const struct answer *answer, uint64_t offset)
{
    if (answer->level != LEVEL_CONTENTS) {
        strbuf_puts(out, ", byte ");
        render_count(out, answer->contents.start + (offset - answer->place.start));
        strbuf_puts(out, " of the file");
        return;
    }
    strbuf_puts(out, ", bytes ");
    render_count(out, answer->contents.start);
    strbuf_puts(out, " to ");
    render_count(out, answer->contents.start + answer->contents.bytes - 1);
    strbuf_printf(out, " of the file, %s the block at 0x%" PRIx64 " of %" PRIu64 " bytes",
                  answer->compressed ? "compressed in" : "in", answer->place.start, answer->place.bytes);
    if (answer->note[0] != '\0')
        strbuf_printf(out, " (%s), from its byte %" PRIu64 " on", answer->note, answer->decompressed);
}

static void show_text(struct at *at, const struct answer *answer)
{
    const struct cli *cli = at->query->cli;
    struct strbuf *out = &at->query->out;
    strbuf_printf(out, "%-12s  %s", level_names[answer->level], paint(cli, PAINT_STRONG));
    strbuf_visible(out, answer->path, strlen(answer->path));
    strbuf_puts(out, paint(cli, PAINT_PLAIN));
    if (answer->level == LEVEL_CONTENTS) {
        show_contents(out, answer, at->offset);
    } else {
        if (answer->note[0] != '\0' && strcmp(answer->note, answer->path) != 0)
            strbuf_printf(out, "  %s", answer->note);
        if (answer->value != NULL) {
            strbuf_printf(out, "  %s", paint(cli, PAINT_VALUE));
            strbuf_visible(out, answer->value, strlen(answer->value));
            strbuf_puts(out, paint(cli, PAINT_PLAIN));
        }
        if (answer->stream != NULL) {
            strbuf_printf(out, "  %" PRIu64 " bytes at %s+0x%" PRIx64, answer->place.bytes, answer->stream,
                          answer->place.start);
        } else {
            strbuf_printf(out, "  byte %" PRIu64 " of %" PRIu64 " at 0x%" PRIx64,
                          at->offset - answer->place.start, answer->place.bytes, answer->place.start);
        }
        if (answer->has_contents)
            show_contents(out, answer, at->offset);
    }
    strbuf_putc(out, '\n');
}

static void show_json(struct at *at, const struct answer *answer, bool first)
{
    struct strbuf *out = &at->query->out;
    strbuf_printf(out, "%s\n  {\"level\": \"%s\", \"path\": ", first ? "" : ",", level_names[answer->level]);
    strbuf_json(out, answer->path, strlen(answer->path));
    strbuf_printf(out, ", \"%s\": ",
                  answer->level == LEVEL_RANGE                                        ? "kind"
                  : answer->level == LEVEL_PARTITION                                  ? "alias"
                  : answer->level == LEVEL_FILESYSTEM || answer->level == LEVEL_IMAGE ? "title"
                  : answer->level == LEVEL_CONTENTS                                   ? "in"
                                                                                      : "type");
    strbuf_json(out, answer->note, strlen(answer->note));
    if (answer->stream != NULL)
        strbuf_printf(out, ", \"stream\": \"%s\", \"position\": %" PRIu64, answer->stream,
                      answer->place.start);
    else
        strbuf_printf(out, ", \"offset\": %" PRIu64, answer->place.start);
    strbuf_printf(out, ", \"bytes\": %" PRIu64, answer->place.bytes);
    if (answer->level == LEVEL_CONTENTS)
        strbuf_printf(out,
                      ", \"file_position\": %" PRIu64 ", \"file_bytes\": %" PRIu64
                      ", \"compressed\": %s, \"decompressed_offset\": %" PRIu64,
                      answer->contents.start, answer->contents.bytes, answer->compressed ? "true" : "false",
                      answer->decompressed);
    else if (answer->has_contents)
        strbuf_printf(out, ", \"file_position\": %" PRIu64,
                      answer->contents.start + (at->offset - answer->place.start));
    if (answer->value != NULL) {
        strbuf_puts(out, ", \"value\": ");
        strbuf_json(out, answer->value, strlen(answer->value));
    }
    strbuf_putc(out, '}');
}

static void show(struct at *at)
{
    struct map_query *query = at->query;
    struct strbuf *out = &query->out;
    if (query->json) {
        strbuf_puts(out, "{\"image\": ");
        strbuf_json(out, query->image->name, strlen(query->image->name));
        strbuf_printf(out, ", \"offset\": %" PRIu64 ", \"levels\": [", at->offset);
    }
    for (size_t i = 0; i < at->n; i++) {
        if (query->json)
            show_json(at, &at->list[i], i == 0);
        else
            show_text(at, &at->list[i]);
    }
    if (query->json)
        strbuf_printf(out, "],\n \"decompressed_structures\": %" PRIu64 ", \"sharers\": %" PRIu64 "}\n",
                      at->n_derived, at->n_sharers);
    else if (at->n_derived > 2)
        strbuf_printf(out, "              the first and the last of %" PRIu64 " structures\n", at->n_derived);
    if (!query->json && at->n_sharers > SHARERS_SHOWN)
        strbuf_printf(out, "              %d of %" PRIu64 " pieces of files are named\n", SHARERS_SHOWN,
                      at->n_sharers);
}

int map_at(struct map_query *query, uint64_t offset, struct plat_err *err)
{
    struct at at = {.query = query, .offset = offset, .err = err};
    const uint64_t size = query->image->dev->size_bytes;
    if (offset >= size)
        return err_set(err, PLAT_EINVALID,
                       "offset 0x%" PRIx64 " lies behind the end of the image (0x%" PRIx64 ")", offset, size);
    const struct walk_sink sink = {
        .ctx = &at, .elements = true, .wants = wants, .instance = on_instance, .extent = on_extent};
    int rc = add_layers(&at);
    const size_t n_layers = at.n;
    if (rc == 0)
        rc = stack_walk(query->image->stack, &sink, err);
    bool any = false;
    for (size_t i = n_layers; i < at.n; i++)
        any = any || at.list[i].level == LEVEL_RANGE;
    if (rc == 0 && !any)
        rc = answer_add(&at, &(struct answer){.level = LEVEL_RANGE,
                                              .rank = (unsigned)claim_rank(EXTENT_UNCLAIMED),
                                              .path = "-",
                                              .note = extent_kind_name(EXTENT_UNCLAIMED),
                                              .place = {offset, 1}});
    if (rc == 0)
        rc = add_contents(&at);
    if (rc == 0) {
        qsort(at.list, at.n, sizeof at.list[0], compare_answers);
        show(&at);
    }
    if (rc != 0 && at.inner.class != 0 && err != NULL)
        *err = at.inner;
    strbuf_free(&at.text);
    free(at.list);
    arena_free(&at.arena);
    return rc;
}
