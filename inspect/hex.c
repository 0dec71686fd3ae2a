/* plat hex: an annotated hexdump. */
#include "inspect/hex.h"

#include <inttypes.h>
#include <string.h>

#include "inspect/commands.h"
#include "inspect/render.h"
#include "inspect/select.h"

struct hex_walk {
    struct hex *hex;
    struct field_path path;
    bool all;
    bool limited;        /* --length */
    uint64_t left_bytes; /* of that */
    const char *file;    /* full path of the file whose extents are shown; NULL: structures */
    bool any_extent;     /* of that file */
    struct run run;
    struct plat_err err; /* what a callback found wrong */
};

static const struct range everything = {0, UINT64_MAX};

/* ---- by structure ---- */

/* Bytes that may still be shown; counts them as shown. */
static uint64_t take(struct hex_walk *walk, uint64_t bytes)
{
    if (!walk->limited)
        return bytes;
    bytes = bytes < walk->left_bytes ? bytes : walk->left_bytes;
    walk->left_bytes -= bytes;
    return bytes;
}

static int show_struct(struct hex_walk *walk, const struct inst *inst)
{
    struct range part = everything;
    if (walk->limited)
        part = (struct range){inst->offset, take(walk, inst->size_bytes)};
    int r = hex_struct(walk->hex, inst, part);
    if (r == 0)
        r = render_flush(&walk->hex->out);
    return r == 0 && walk->limited && walk->left_bytes == 0 ? PLAT_ESTOP : r;
}

static int flush_run(struct hex_walk *walk)
{
    struct run *run = &walk->run;
    struct strbuf line = {0};
    if (!run->active)
        return 0;
    run->active = false;
    bool zero = bytes_all(run->first.bytes, run->first.size_bytes, 0);
    if (run->kind == RUN_SINGLE && !zero)
        return show_struct(walk, &run->first);
    bool whole = !render_run_is_short(run);
    int r = whole ? show_struct(walk, &run->first) : 0;
    const struct cli plain = {.columns = walk->hex->cli->columns}; /* the heading has its own colour */
    if (r == 0)
        r = render_run(&plain, &line, run, whole ? 1 : 0, &walk->err);
    strbuf_truncate(&line, line.len > 0 ? line.len - 1 : 0);
    if (r == 0)
        hexrow_heading(&walk->hex->rows, run->first.offset + (whole ? run->first.size_bytes : 0),
                       strbuf_str(&line));
    strbuf_free_into(&line, &walk->hex->out);
    return r != 0 ? r : render_flush(&walk->hex->out);
}

static int on_instance(void *ctx, const struct inst *inst)
{
    struct hex_walk *walk = ctx;
    size_t base;
    uint64_t index;
    bool joinable = !walk->all && !walk->limited && run_split_path(inst->path, &base, &index) &&
                    inst->size_bytes <= RUN_MAX_ELEMENT_BYTES && inst->size_bytes > 0 &&
                    path_relate(&walk->path, inst->path) != PATH_SAME;
    if (joinable && run_extend(&walk->run, inst, index, base))
        return 0;
    int r = flush_run(walk);
    if (r != 0)
        return r;
    return joinable ? run_begin(&walk->run, inst, index, base, &walk->err) : show_struct(walk, inst);
}

static int on_extent(void *ctx, const struct extent *extent)
{
    struct hex_walk *walk = ctx;
    if (extent->kind == EXTENT_METADATA) /* structures show what is in them */
        return 0;
    int r = flush_run(walk);
    struct strbuf line = {0};
    strbuf_printf(&line, "%s  %s, ", extent->path, extent_kind_name(extent->kind));
    render_plural(&line, extent->place.bytes, "byte");
    hexrow_heading(&walk->hex->rows, extent->place.start, strbuf_str(&line));
    strbuf_free_into(&line, &walk->hex->out);
    return r != 0 ? r : render_flush(&walk->hex->out);
}

static int on_located(void *ctx, const struct located *located, struct plat_err *err)
{
    struct hex_walk *walk = ctx;
    struct strbuf note = {0};
    struct range place;
    const uint8_t *bytes;
    if (located->kind == LOCATED_STRUCT)
        return show_struct(walk, &located->inst);
    if (located->kind == LOCATED_FIELD && located->field->repr == REPR_TYPE)
        return locate_each(located, on_located, ctx, err);
    int r = located_place(located, &place, &bytes, err);
    uint64_t n = r == 0 ? take(walk, place.bytes) : 0;
    if (r == 0 && located->kind == LOCATED_VALUE && n == place.bytes) {
        hex_value(walk->hex, &located->value, located->path);
    } else if (r == 0) {
        strbuf_printf(&note, "%s  %s  ", located->path, located->field->type_text);
        if (located->kind == LOCATED_MEMBER || located->kind == LOCATED_FLAG)
            render_bits(&note, located->member, located_bits(located));
        hexrow_bytes(&walk->hex->rows, place.start, bytes, (size_t)n, strbuf_str(&note));
    }
    strbuf_free_into(&note, &walk->hex->out);
    return r;
}

static int by_structure(struct hex_walk *walk, struct plat_err *err)
{
    const struct select_sink sink = {.ctx = walk,
                                     .instance = on_instance,
                                     .extent = walk->limited ? NULL : on_extent,
                                     .located = on_located};
    int r = select_walk(walk->hex->image, &walk->path, &sink, err);
    if (r == 0)
        r = flush_run(walk);
    if (r != 0 && walk->err.class != 0 && err != NULL)
        *err = walk->err;
    run_free(&walk->run);
    return r;
}

/* ---- by file ---- */

static int on_file_extent(void *ctx, const struct extent *extent)
{
    struct hex_walk *walk = ctx;
    if (extent->kind != EXTENT_DATA || strcmp(extent->path, walk->file) != 0)
        return 0;
    walk->any_extent = true;
    const struct range part = {extent->place.start, take(walk, extent->place.bytes)};
    struct strbuf note = {0};
    strbuf_visible(&note, walk->file, strlen(walk->file));
    int r = hex_plain(walk->hex, part, strbuf_str(&note));
    strbuf_free_into(&note, &walk->hex->out);
    return r == 0 && walk->limited && walk->left_bytes == 0 ? PLAT_ESTOP : r;
}

/* Why nothing was shown of what has something to it. */
static int nothing_shown(struct fs *fs, uint64_t node, struct plat_err *err)
{
    struct fs_stat stat;
    int r = fs->driver->stat(fs, node, &stat, err);
    if (r != 0 || (stat.kind == TREE_FILE && stat.size_bytes == 0))
        return r;
    return err_set(err, PLAT_EUNSUPPORTED, "%s",
                   stat.kind == TREE_DIR    ? "it is a directory; plat ls lists it"
                   : stat.kind == TREE_FILE ? "no byte of the image is its alone: it is a hole, or shares a "
                                              "block with other files; plat cat shows its content"
                                            : "it has no content: it is no regular file");
}

static int by_file(struct hex_walk *walk, struct stack_layer *layer, const char *path, struct plat_err *err)
{
    struct strbuf full = {0};
    uint64_t node;
    if (layer == NULL)
        return stack_filesystem(walk->hex->image->stack, &layer, err);
    if (layer->fs == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "%s cannot be read as a filesystem",
                       inspect_layer_title(layer));
    int r = fs_resolve(layer->fs, path, &node, err);
    strbuf_printf(&full, "%s%s%s", layer->prefix, layer->prefix[0] != '\0' ? ":" : "", path);
    walk->file = strbuf_str(&full);
    const struct walk_sink sink = {.ctx = walk, .extent = on_file_extent};
    if (r == 0)
        r = stack_walk(walk->hex->image->stack, &sink, err);
    if (r == 0 && !walk->any_extent) {
        r = nothing_shown(layer->fs, node, err);
        if (r != 0)
            (void)err_prefix(err, "%.200s", walk->file);
    }
    strbuf_free_into(&full, &walk->hex->out);
    return r;
}

/* ---- the command ---- */

static int show(struct hex *hex, struct plat_err *err)
{
    const struct cli *cli = hex->cli;
    const char *at = cli_text(cli, "at");
    const char *text = cli->n_args > 1 ? cli->args[1] : "";
    struct hex_walk walk = {.hex = hex, .all = cli_flag(cli, "all")};
    uint64_t offset, length = 1;
    struct stack_layer *layer;
    walk.limited = cli_number(cli, "length", &length);
    walk.left_bytes = length;
    if (walk.limited && length == 0)
        return err_set(err, PLAT_EINVALID, "--length counts bytes: 1 or more");
    if (at != NULL) {
        int r = parse_size(at, &offset, err);
        return r != 0 ? err_prefix(err, "--at")
                      : hex_range(hex, (struct range){offset, length}, walk.limited);
    }
    const char *file = inspect_file_path(hex->image, text, &layer);
    if (file != NULL)
        return by_file(&walk, layer, file, err);
    int r = inspect_path(hex->image, text, &walk.path, err);
    if (r == 0)
        r = by_structure(&walk, err);
    path_free(&walk.path);
    return r;
}

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct inspect_image image = {0};
    struct plat_err err = {0};
    struct hex hex = {.cli = cli, .image = &image, .err = &err};
    int code = EXIT_YES;
    if (cli->n_args > 1 && cli_text(cli, "at") != NULL)
        return cli_usage(cli, "PATH and --at exclude each other: a path says where, and so does an offset");
    int r = inspect_options_read(cli, true, &options, &err);
    if (r == 0)
        r = inspect_open(cli->args[0], &options, true, &image, &err);
    if (r == 0) {
        hexrow_init(&hex.rows, cli, &hex.out, image.dev->size_bytes, cli_flag(cli, "all"));
        r = show(&hex, &err);
        if (render_flush(&hex.out) == PLAT_ENOMEM && r == 0)
            r = err_nomem(&err, "printing bytes");
    }
    if (r != 0 && r != PLAT_ESTOP) {
        err_image(&err, cli->args[0]);
        code = cli_fail(cli, &err);
    }
    strbuf_free(&hex.out);
    inspect_close(&image);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    {.name = "at",
     .kind = OPTION_TEXT,
     .argument = "OFFSET",
     .doc = "what is at this byte of the image: its field, file, or free space (1049600, 0x100400, 1MiB)",
     .complete = COMPLETE_NONE},
    {.letter = 'n', .name = "length", .kind = OPTION_SIZE, .argument = "N", .doc = "show N bytes"},
    {.name = "all", .kind = OPTION_FLAG, .doc = "show rows and elements that repeat the one before, too"},
};

const struct command command_hex = {
    .name = "hex",
    .group = "Inspect",
    .summary = "show bytes beside what they mean",
    .synopsis = "IMAGE [PATH]",
    .doc = "Shows bytes: offset, hexadecimal and characters on the left; field, type and value on the right, "
           "at least a\n"
           "row for each field. PATH is a structure, array, element or field as for plat dump, or a file\n"
           "(esp:/EFI/BOOT/BOOTX64.EFI), whose content is shown with its place in the image.\n"
           "\n"
           "--at answers \"what is this byte?\" for any byte: the field it belongs to, the file and its "
           "position there,\n"
           "free space, padding, or that nothing claims it. Offsets count from the start of the image, with "
           "-p, too.\n"
           "\n"
           "A '*' stands for rows that repeat the one before. Rows fit the terminal: 4, 8 or 16 bytes.\n",
    .examples = "  plat hex disk.img gpt.primary\n"
                "  plat hex disk.img --at 0x3fe\n"
                "  plat hex disk.img --at 1MiB --length 512\n"
                "  plat hex -p esp disk.img /loader/loader.conf\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = 2,
    .complete = COMPLETE_FILE,
    .run = run,
};
