/* plat assemble: an image from the JSON of plat dump --json --data. Fields are written by their schema; what no structure
 * covers comes as extents; derived values are computed at the end. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/commands.h"
#include "inspect/dump_data.h"
#include "inspect/edit.h"
#include "inspect/exact.h"
#include "inspect/json_stream.h"
#include "lib/io/undo.h"

enum { MAX_LAYERS = 4096, MAX_STALE = 1 << 20, MAX_STALE_BYTES = 64 << 20, COPY_BYTES = 1 << 20 };

struct assembled_layer {
    struct image *image; /* NULL: nothing is known of its structures */
    struct plat_dev *dev;
    uint64_t offset;
};
struct assemble {
    struct cli *cli;
    struct inspect_options options;
    struct plat_dev *out;
    struct plat_dev *data; /* --data; NULL: extents carry theirs */
    bool is_dump;
    struct assembled_layer *layers;
    size_t n_layers;
    struct edit_kept kept;
    size_t cap_kept;
    struct arena arena; /* of the kept paths */
    uint64_t structures, extents;
};

/* ---- members ---- */

static int get_number(json_t *object, const char *key, uint64_t *ret, struct plat_err *err)
{
    json_t *value = object != NULL && key != NULL ? json_object_get(object, key) : object;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
        return 0;
    }
    if (json_is_string(value) && parse_u64(json_string_value(value), ret, NULL) == 0)
        return 0;
    return err_set(err, PLAT_EINVALID, "\"%s\" must be a number from 0", key != NULL ? key : "bytes");
}

static const char *get_text(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* The place of an element in the image; the image must have been announced. */
static int get_place(json_t *object, uint64_t size_bytes, struct range *ret, struct plat_err *err)
{
    int rc = get_number(object, "offset", &ret->start, err);
    if (rc == 0)
        rc = get_number(object, "bytes", &ret->bytes, err);
    if (rc == 0 && !range_within(*ret, size_bytes))
        rc = err_set(err, PLAT_EINVALID,
                     "%" PRIu64 " bytes at offset %" PRIu64 " are not in the image of %" PRIu64, ret->bytes,
                     ret->start, size_bytes);
    return rc;
}

static int add_layer(struct assemble *a, json_t *json, struct plat_err *err)
{
    struct range place;
    struct assembled_layer layer = {0};
    const char *format = get_text(json, "format");
    const struct layout *layout = NULL;
    int rc = get_place(json, a->out->size_bytes, &place, err);
    if (rc == 0 && a->n_layers == MAX_LAYERS)
        rc = err_set(err, PLAT_ELIMIT, "more than %d layers", (int)MAX_LAYERS);
    if (rc == 0 && a->options.schema != NULL && strcmp(a->options.schema->name, format) == 0)
        layout = a->options.schema;
    else if (rc == 0 && format[0] != '\0')
        rc = fs_layout(format, &layout, err);
    struct assembled_layer *list = rc == 0 ? realloc(a->layers, (a->n_layers + 1) * sizeof *list) : NULL;
    if (rc == 0 && list == NULL)
        rc = err_nomem(err, "assembling an image");
    if (list != NULL)
        a->layers = list;
    layer.offset = rc == 0 ? place.start : 0;
    if (rc == 0 && layout != NULL)
        rc = dev_open_window(a->out, place, &layer.dev, err);
    if (rc == 0 && layout != NULL)
        rc = image_open(layout, layer.dev, NULL, 0, &layer.image, err);
    json_t *params = json_object_get(json, "params");
    for (size_t i = 0; rc == 0 && layout != NULL && i < layout->n_params; i++)
        if (json_object_get(params, layout->params[i].name) != NULL)
            rc = get_number(params, layout->params[i].name, &layer.image->params[i], err);
    if (rc != 0) {
        image_close(layer.image);
        dev_close(layer.dev);
        return rc;
    }
    a->layers[a->n_layers++] = layer;
    return 0;
}

/* ---- structures and extents ---- */

static int find_types(const struct assemble *a, json_t *json, const struct assembled_layer **ret_layer,
                      const struct type **ret_type, const struct type **ret_shape, struct plat_err *err)
{
    uint64_t index;
    int rc = get_number(json, "layer", &index, err);
    if (rc != 0)
        return rc;
    if (index >= a->n_layers || a->layers[index].image == NULL)
        return err_set(err, PLAT_EINVALID,
                       "layer %" PRIu64 ": there is no such layer before it, or none with a format", index);
    const struct layout *layout = a->layers[index].image->layout;
    const struct type *type = layout_type(layout, get_text(json, "type"));
    const struct type *shape = type;
    if (type == NULL || (type->kind != TYPE_STRUCT && type->kind != TYPE_UNION))
        return err_set(err, PLAT_EINVALID, "%s has no structure '%.80s'", layout->name,
                       get_text(json, "type"));
    if (type->kind == TYPE_UNION) {
        shape = NULL;
        for (size_t i = 0; i < type->n_cases; i++)
            if (strcmp(type->cases[i].type->name, get_text(json, "case")) == 0)
                shape = type->cases[i].type;
        if (shape == NULL)
            return err_set(err, PLAT_EINVALID, "%s has no case '%.80s'", type->name, get_text(json, "case"));
    }
    *ret_layer = &a->layers[index];
    *ret_type = type;
    *ret_shape = shape;
    return 0;
}

static int fill(const struct assembled_layer *layer, const struct type *type, const struct type *shape,
                struct range place, uint8_t *bytes, json_t *json, struct plat_err *err)
{
    struct inst inst = {.image = layer->image,
                        .type = shape,
                        .bytes = bytes,
                        .size_bytes = (size_t)place.bytes,
                        .offset = place.start - layer->offset,
                        .path = ""};
    struct inst made;
    int rc = exact_get(&inst, bytes, json_object_get(json, "fields"), err);
    if (rc == 0)
        rc = inst_make(layer->image, type, bytes, (size_t)place.bytes, inst.offset, "", &made, err);
    if (rc == 0 && made.size_bytes != place.bytes)
        rc = err_set(err, PLAT_EINVALID, "its fields take %zu bytes, and \"bytes\" says %" PRIu64,
                     made.size_bytes, place.bytes);
    if (rc == 0 && inst_shape(&made) != shape)
        rc = err_set(err, PLAT_EINVALID, "its fields make it %s, and \"case\" says %s",
                     inst_shape(&made) != NULL ? inst_shape(&made)->name : "nothing known", shape->name);
    return rc;
}

/* The case of a union may be shorter than the union. */
static int check_size(const struct type *type, const struct type *shape, uint64_t bytes, struct plat_err *err)
{
    const uint64_t least = shape->size_bytes != 0 ? shape->size_bytes : shape->min_bytes;
    const bool fits = bytes >= least && bytes <= LAYOUT_MAX_STRUCT_BYTES &&
                      (shape->size_bytes == 0 || bytes == least || bytes == type->size_bytes);
    return fits ? 0
                : err_set(err, PLAT_EINVALID, "%s takes %" PRIu64 " bytes, and \"bytes\" says %" PRIu64,
                          shape->name, least, bytes);
}

static int put_structure(struct assemble *a, json_t *json, struct plat_err *err)
{
    const struct assembled_layer *layer = NULL;
    const struct type *type = NULL, *shape = NULL;
    struct range place = {0};
    int rc = get_place(json, a->out->size_bytes, &place, err);
    if (rc == 0)
        rc = find_types(a, json, &layer, &type, &shape, err);
    if (rc == 0 && place.start < layer->offset)
        rc = err_set(err, PLAT_EINVALID, "it lies before its layer");
    if (rc == 0)
        rc = check_size(type, shape, place.bytes, err);
    uint8_t *bytes = rc == 0 ? calloc(1, (size_t)place.bytes + 1) : NULL;
    if (rc == 0 && bytes == NULL)
        rc = err_nomem(err, "assembling a structure");
    if (rc == 0)
        rc = fill(layer, type, shape, place, bytes, json, err);
    if (rc == 0)
        rc = dev_write(a->out, place.start, bytes, (size_t)place.bytes, err);
    free(bytes);
    a->structures += rc == 0;
    return rc != 0 ? err_prefix(err, "%.200s", get_text(json, "path")) : 0;
}

static int copy_from(struct assemble *a, struct range place, struct plat_err *err)
{
    uint8_t *chunk = malloc(COPY_BYTES);
    int rc = chunk == NULL ? err_nomem(err, "copying an extent") : 0;
    for (uint64_t done = 0; rc == 0 && done < place.bytes;) {
        const size_t n = place.bytes - done < COPY_BYTES ? (size_t)(place.bytes - done) : COPY_BYTES;
        rc = dev_read(a->data, place.start + done, chunk, n, err);
        if (rc == 0 && !bytes_all(chunk, n, 0))
            rc = dev_write(a->out, place.start + done, chunk, n, err);
        done += n;
    }
    free(chunk);
    return rc;
}

static int put_extent(struct assemble *a, json_t *json, struct plat_err *err)
{
    struct range place;
    json_t *data = json_object_get(json, "data");
    int rc = get_place(json, a->out->size_bytes, &place, err);
    if (rc != 0)
        return rc;
    a->extents++;
    if (data == NULL && a->data == NULL)
        return err_set(err, PLAT_EINVALID,
                       "the extent at offset %" PRIu64
                       " has no data: name the image that it is in with --data, or dump with "
                       "--data inside",
                       place.start);
    if (data == NULL)
        return copy_from(a, place, err);
    if (!json_is_string(data) || place.bytes > JSON_STREAM_MAX_BYTES)
        return err_set(err, PLAT_EINVALID,
                       "the extent at offset %" PRIu64 ": \"data\" must be text in base64", place.start);
    uint8_t *bytes = malloc((size_t)place.bytes + 1);
    if (bytes == NULL)
        return err_nomem(err, "assembling an extent");
    if (base64_get(json_string_value(data), json_string_length(data), bytes, (size_t)place.bytes) !=
        (int64_t)place.bytes)
        rc = err_set(err, PLAT_EINVALID,
                     "the extent at offset %" PRIu64 ": \"data\" is not %" PRIu64 " bytes in base64",
                     place.start, place.bytes);
    if (rc == 0)
        rc = dev_write(a->out, place.start, bytes, (size_t)place.bytes, err);
    free(bytes);
    return rc;
}

static int keep_path(struct assemble *a, json_t *json, struct plat_err *err)
{
    if (!json_is_string(json))
        return err_set(err, PLAT_EINVALID, "expected a path");
    if (a->kept.n == MAX_STALE || a->arena.used_bytes > MAX_STALE_BYTES)
        return err_set(err, PLAT_ELIMIT, "more than %d stale structures", (int)MAX_STALE);
    if (a->kept.n == a->cap_kept) {
        size_t cap = a->cap_kept == 0 ? 64 : 2 * a->cap_kept;
        const char **list = realloc(a->kept.paths, cap * sizeof *list);
        if (list == NULL)
            return err_nomem(err, "assembling an image");
        a->kept.paths = list;
        a->cap_kept = cap;
    }
    char *path = arena_strdup(&a->arena, json_string_value(json));
    if (path == NULL)
        return err_nomem(err, "assembling an image");
    a->kept.paths[a->kept.n++] = path;
    return 0;
}

/* ---- the document ---- */

static int on_head(struct assemble *a, const char *key, json_t *value, struct plat_err *err)
{
    uint64_t number;
    int rc = 0;
    if (strcmp(key, "plat_dump") == 0) {
        if (!json_is_integer(value) || json_integer_value(value) != DUMP_DATA_VERSION)
            return err_set(err, PLAT_EUNSUPPORTED, "expected version %d of the dump", (int)DUMP_DATA_VERSION);
        a->is_dump = true;
    } else if (strcmp(key, "bytes") == 0) {
        rc = get_number(value, NULL, &number, err);
        if (rc == 0 && a->out != NULL)
            rc = err_set(err, PLAT_EINVALID, "given twice");
        if (rc == 0)
            rc = dev_output_open(cli_text(a->cli, "output"), number, &a->out, err);
    } else if (strcmp(key, "sector_bytes") == 0) {
        rc = get_number(value, NULL, &number, err);
        if (rc == 0 && a->options.stack.sector_bytes == 0 && (number == 512 || number == 4096))
            a->options.stack.sector_bytes = (uint32_t)number;
    } else if (strcmp(key, "image") != 0) {
        rc = err_set(err, PLAT_EINVALID,
                     "unknown; expected plat_dump, image, bytes, sector_bytes, layers, structures, "
                     "extents, stale");
    }
    return rc;
}

static int on_value(void *ctx, const char *key, int64_t index, json_t *value, struct plat_err *err)
{
    struct assemble *a = ctx;
    int rc;
    if (index < 0) {
        rc = on_head(a, key, value, err);
        return rc != 0 ? err_prefix(err, "%.80s", key) : 0;
    }
    if (!a->is_dump || a->out == NULL)
        rc = err_set(err, PLAT_EINVALID,
                     "\"plat_dump\" and \"bytes\" must stand before it: is this the output of plat dump "
                     "--json --data?");
    else if (strcmp(key, "stale") == 0)
        rc = keep_path(a, value, err);
    else if (!json_is_object(value))
        rc = err_set(err, PLAT_EINVALID, "expected an object");
    else if (strcmp(key, "layers") == 0)
        rc = add_layer(a, value, err);
    else if (strcmp(key, "structures") == 0)
        rc = put_structure(a, value, err);
    else if (strcmp(key, "extents") == 0)
        rc = put_extent(a, value, err);
    else
        rc = err_set(err, PLAT_EINVALID, "unknown");
    return rc != 0 ? err_prefix(err, "%.80s[%" PRId64 "]", key, index) : 0;
}

static int compare_texts(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Derived values of the finished image; those that were stale in the dump stay so. */
static int seal(struct assemble *a, size_t *ret_sealed, struct plat_err *err)
{
    struct edit edit;
    if (a->kept.n > 0)
        qsort(a->kept.paths, a->kept.n, sizeof *a->kept.paths, compare_texts);
    int rc = edit_open_dev(a->out, cli_text(a->cli, "output"), &a->options, &edit, err);
    if (rc != 0)
        return rc;
    edit.kept = &a->kept;
    rc = edit_seal(&edit, true, NULL, err);
    if (rc == 0)
        rc = undo_apply(edit.overlay, a->out, err);
    *ret_sealed = edit.n_touched;
    edit_close(&edit);
    return rc;
}

static int assemble(struct assemble *a, FILE *in, size_t *ret_sealed, struct plat_err *err)
{
    const char *data = cli_text(a->cli, "data");
    int rc = inspect_options_read(a->cli, true, &a->options, err);
    if (rc == 0 && data != NULL)
        rc = dev_open_file(data, false, &a->data, err);
    if (rc == 0)
        rc = json_stream(in, on_value, a, err);
    if (rc == 0 && (!a->is_dump || a->out == NULL))
        rc = err_set(err, PLAT_EINVALID,
                     "no \"plat_dump\" and \"bytes\": is this the output of plat dump --json --data?");
    if (rc == 0 && !cli_flag(a->cli, "no-seal"))
        rc = seal(a, ret_sealed, err);
    if (rc == 0)
        rc = dev_output_commit(a->out, err);
    return rc;
}

static void free_all(struct assemble *a)
{
    for (size_t i = 0; i < a->n_layers; i++) {
        image_close(a->layers[i].image);
        dev_close(a->layers[i].dev);
    }
    free(a->layers);
    free(a->kept.paths);
    arena_free(&a->arena);
    dev_close(a->data);
    dev_close(a->out);
    inspect_options_free(&a->options);
}

static int run(struct cli *cli)
{
    const char *name = cli->n_args > 0 && strcmp(cli->args[0], "-") != 0 ? cli->args[0] : NULL;
    const char *output = cli_text(cli, "output");
    struct assemble a = {.cli = cli};
    struct plat_err err = {0};
    size_t sealed = 0;
    if (output == NULL || strcmp(output, "-") == 0)
        return cli_usage(cli, "expected -o FILE: an image is not written in order, so that it needs a file");
    FILE *in = name != NULL ? fopen(name, "rbe") : stdin;
    int code = EXIT_YES;
    int rc = in == NULL ? err_sys(&err, errno, "cannot open the dump") : assemble(&a, in, &sealed, &err);
    if (rc != 0) {
        if (err.image[0] == '\0')
            err_image(&err, name != NULL ? name : "standard input");
        code = cli_fail(cli, &err);
    } else if (!cli_flag(cli, "quiet")) {
        char size[16];
        format_size(a.out->size_bytes, size);
        (void)printf("%s: %s from %" PRIu64 " structures and %" PRIu64 " extents", output, size, a.structures,
                     a.extents);
        if (sealed > 0)
            (void)printf("; derived values of %zu structures computed", sealed);
        (void)printf("\n");
    }
    if (in != NULL && in != stdin)
        (void)fclose(in);
    free_all(&a);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    {.letter = 'o',
     .name = "output",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .doc = "the image to write",
     .complete = COMPLETE_FILE},
    {.name = "data",
     .kind = OPTION_TEXT,
     .argument = "IMAGE",
     .doc = "take extents without data from here",
     .complete = COMPLETE_FILE},
    {.name = "no-seal", .kind = OPTION_FLAG, .doc = "write derived fields as the JSON has them"},
    {.letter = 'q', .name = "quiet", .kind = OPTION_FLAG, .doc = "print nothing"},
};

const struct command command_assemble = {
    .name = "assemble",
    .group = "Inspect",
    .summary = "make an image from its dump",
    .synopsis = "[DUMP] -o FILE",
    .doc = "Reads what plat dump --json --data printed (from standard input, unless DUMP is named), and "
           "writes that image:\n"
           "each structure field by field as its schema has it, extents as they are. Derived fields are "
           "computed anew,\n"
           "but for those that were not right in the dumped image; so a value that was changed in the JSON "
           "changes the\n"
           "image, and checksums and copies follow. FILE appears whole or not at all.\n"
           "\n"
           "Exit code: 0; 2 it could not be done.\n",
    .examples =
        "  plat dump --json --data inside disk.img | plat assemble -o same.img && cmp disk.img same.img\n"
        "  plat dump --json --data outside disk.img >disk.json; plat assemble disk.json --data disk.img -o "
        "new.img\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 0,
    .max_args = 1,
    .complete = COMPLETE_FILE,
    .run = run,
};
