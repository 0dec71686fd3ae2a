/* plat get: one value. */
#include <string.h>

#include "inspect/commands.h"
#include "inspect/dump.h"
#include "inspect/open.h"
#include "inspect/render.h"

struct get {
    const struct cli *cli;
    struct strbuf out;
    bool json, raw;
    bool several; /* the path is above structures: dump prints them */
    uint64_t n;   /* structures met */
};

static int put_raw(struct get *get, const struct located *located, struct plat_err *err)
{
    struct range place;
    const uint8_t *bytes;
    int r = located_place(located, &place, &bytes, err);
    if (r == 0)
        strbuf_add(&get->out, (const char *)bytes, (size_t)place.bytes);
    return r;
}

static int on_located(void *ctx, const struct located *located, struct plat_err *err)
{
    struct get *get = ctx;
    int r;
    if (get->raw)
        return put_raw(get, located, err);
    if (get->json)
        r = render_located_json(&get->out, located, err);
    else if (located->kind == LOCATED_FIELD && located->field->repr == REPR_TYPE)
        return locate_each(located, on_located, get, err);
    else if (located->kind == LOCATED_STRUCT)
        return dump_struct_text(get->cli, &get->out, &located->inst, true, UINT32_MAX, err);
    else
        r = render_located_text(&get->out, located, false, err);
    strbuf_putc(&get->out, '\n');
    return r;
}

struct get_walk {
    struct get *get;
    const struct field_path *path;
    struct plat_err *err;
};

static int walk_instance(void *ctx, const struct inst *inst)
{
    struct get_walk *walk = ctx;
    struct get *get = walk->get;
    get->n++;
    if (path_relate(walk->path, inst->path) == PATH_SAME) {
        const struct located located = {.kind = LOCATED_STRUCT, .path = inst->path, .inst = *inst};
        int r = on_located(get, &located, walk->err);
        return r != 0 ? r : PLAT_ESTOP;
    }
    if (!get->raw) {
        get->several = true;
        return PLAT_ESTOP;
    }
    strbuf_add(&get->out, (const char *)inst->bytes, inst->size_bytes);
    return render_flush(&get->out);
}

static int walk_located(void *ctx, const struct located *located, struct plat_err *err)
{
    struct get_walk *walk = ctx;
    return on_located(walk->get, located, err);
}

static int get_path(struct get *get, const struct inspect_image *image, const char *text,
                    struct plat_err *err)
{
    struct field_path path = {.text = ""};
    int r = inspect_path(image, text, &path, err);
    if (r == 0 && path.n_steps == 0)
        r = err_set(err, PLAT_EINVALID,
                    "expected a path such as gpt.primary.my_lba; plat dump shows all there is");
    struct get_walk walk = {.get = get, .path = &path, .err = err};
    const struct select_sink sink = {.ctx = &walk, .instance = walk_instance, .located = walk_located};
    if (r == 0)
        r = select_walk(image, &path, &sink, err);
    if (r == 0 && get->several) {
        const struct dump_options options = {.json = get->json};
        bool damaged;
        r = dump_print(get->cli, image, &path, &options, &damaged, err);
    }
    if (r == 0 && render_flush(&get->out) == PLAT_ENOMEM)
        r = err_nomem(err, "printing a value");
    path_free(&path);
    return r;
}

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct inspect_image image = {0};
    struct plat_err err = {0};
    struct get get = {.cli = cli, .json = cli_flag(cli, "json"), .raw = cli_flag(cli, "raw")};
    int code = EXIT_YES;
    if (get.json && get.raw)
        return cli_usage(cli, "--json and --raw exclude each other");
    int r = inspect_options_read(cli, true, &options, &err);
    if (r == 0)
        r = inspect_open(cli->args[0], &options, true, &image, &err);
    if (r == 0)
        r = get_path(&get, &image, cli->args[1], &err);
    if (r != 0) {
        err_image(&err, cli->args[0]);
        code = cli_fail(cli, &err);
    }
    strbuf_free(&get.out);
    inspect_close(&image);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    {.name = "json", .kind = OPTION_FLAG, .doc = "print the value as JSON"},
    {.name = "raw", .kind = OPTION_FLAG, .doc = "print the bytes as they are on the disk"},
};

const struct command command_get = {
    .name = "get",
    .group = "Inspect",
    .summary = "print one value of an image",
    .synopsis = "IMAGE PATH",
    .doc = "Prints the value at PATH, without its unit, and nothing else: a field, an element of an array, a "
           "member of a\n"
           "bit field, a flag. An array of values takes a line for each. A PATH that names a structure "
           "prints it as\n"
           "plat dump does.\n"
           "\n"
           "  PATH = NAME { .NAME | [NUMBER] | [\"TEXT\"] }\n"
           "\n"
           "On a disk the first name is gpt, mbr, a partition's name, or p1, p2, ...; behind -p, and in the "
           "image of a\n"
           "single filesystem, a PATH begins with the structure.\n"
           "\n"
           "Exit code: 0; 2 when there is no such PATH (the message names what comes close).\n",
    .examples = "  plat get disk.img esp.boot.bytes_per_sector\n"
                "  plat get disk.img gpt.entries[0].first_lba\n"
                "  plat get disk.img 'esp.dir[\"/EFI/BOOT\"][2].write_time.hour'\n"
                "  plat get --raw disk.img gpt.primary | sha256sum\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 2,
    .max_args = 2,
    .complete = COMPLETE_FILE,
    .run = run,
};
