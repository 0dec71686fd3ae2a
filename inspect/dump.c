/* plat dump: the typed tree of an image. */
#include "inspect/dump.h"

#include <string.h>

#include "inspect/commands.h"
#include "inspect/dump_data.h"
#include "inspect/open.h"

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct inspect_image image = {0};
    struct field_path path = {.text = ""};
    struct plat_err err = {0};
    struct dump_options dump = {.json = cli_flag(cli, "json"), .all = cli_flag(cli, "all")};
    bool damaged = false;
    uint64_t depth;
    if (cli_number(cli, "depth", &depth)) {
        if (depth == 0)
            return cli_usage(cli, "--depth counts from 1: structures and arrays");
        dump.depth = depth;
    }
    const char *data = cli_text(cli, "data");
    if (data != NULL && (!dump.json || cli->n_args > 1 || dump.all || dump.depth != 0))
        return cli_usage(cli, "--data belongs to --json, and is about the whole image");
    int r = inspect_options_read(cli, true, &options, &err);
    if (r == 0)
        r = data != NULL ? inspect_open_any(cli->args[0], &options, &image, &err)
                         : inspect_open(cli->args[0], &options, true, &image, &err);
    if (r == 0 && data != NULL)
        r = dump_data(&image, &options, strcmp(data, "inside") == 0, &err);
    else if (r == 0)
        r = inspect_path(&image, cli->n_args > 1 ? cli->args[1] : "", &path, &err);
    if (r == 0 && data == NULL)
        r = dump_print(cli, &image, &path, &dump, &damaged, &err);
    if (r != 0)
        err_image(&err, cli->args[0]);
    int code = r != 0 ? cli_fail(cli, &err) : damaged ? EXIT_NO : EXIT_YES;
    path_free(&path);
    inspect_close(&image);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    {.name = "json", .kind = OPTION_FLAG, .doc = "print one JSON document, written as the image is read"},
    {.name = "all", .kind = OPTION_FLAG, .doc = "show every element, also those that are zero or alike"},
    {.name = "depth",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .doc = "levels to show: 1 structures and arrays, 2 fields and elements, ..."},
    {.name = "data",
     .kind = OPTION_TEXT,
     .argument = "inside|outside",
     .doc = "with --json: all that plat assemble needs; extents with their bytes, or without",
     .choices = "inside|outside",
     .complete = COMPLETE_CHOICES},
};

const struct command command_dump = {
    .name = "dump",
    .group = "Inspect",
    .summary = "show the structures of an image, decoded",
    .synopsis = "IMAGE [PATH]",
    .doc = "Shows every typed structure that plat finds in IMAGE: its path, place, and fields with values "
           "and units; and\n"
           "with the first structure of each kind what its fields mean. PATH restricts it to a layer, a "
           "structure, an\n"
           "array or an element: gpt, gpt.entries, esp.boot, 'esp.dir[\"/EFI\"][2]'.\n"
           "\n"
           "Neighbouring elements that are zero or alike, and the chains of a FAT, take one line; --all "
           "shows each.\n"
           "--json always has every element, with one exception: in arrays of more than 16,384 elements such "
           "runs are\n"
           "one entry with \"count\" and \"run\" (\"same\", or \"rising\" by one), unless --all or PATH asks "
           "for them.\n"
           "\n"
           "Exit code: 0; 1 when damage kept some structures from being read (stderr, or \"damage\" in the "
           "JSON, says\n"
           "which); 2 when IMAGE or PATH cannot be shown.\n",
    .examples = "  plat dump disk.img | less -R\n"
                "  plat dump disk.img gpt.entries[0]\n"
                "  plat dump -p esp disk.img boot\n"
                "  plat dump --json disk.img | jq '.structures[] | select(.type == \"header\")'\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = 2,
    .complete = COMPLETE_FILE,
    .run = run,
};
