/* plat map: what each byte of an image is. */
#include "inspect/map.h"

#include <string.h>

#include "inspect/commands.h"
#include "inspect/map_show.h"
#include "inspect/render.h"

static int show_all(const struct cli *cli, const struct inspect_image *image, int *ret_code,
                    struct plat_err *err)
{
    struct map map;
    struct map_show show = {.cli = cli, .map = &map, .max = UINT64_MAX, .summary = cli_flag(cli, "summary")};
    (void)cli_number(cli, "max", &show.max);
    int rc = map_open(image, cli_text(cli, "partition") != NULL, &map, err);
    if (rc == 0)
        rc = cli_flag(cli, "json") ? map_json(&show, err) : map_text(&show, err);
    if (render_flush(&show.out) == PLAT_ENOMEM && rc == 0)
        rc = err_nomem(err, "printing a map");
    strbuf_free(&show.out);
    *ret_code = map_n_findings(&map) > 0 ? EXIT_NO : EXIT_YES;
    map_close(&map);
    return rc;
}

static int show_part(const struct cli *cli, const struct inspect_image *image, struct plat_err *err)
{
    struct map_query query = {.cli = cli, .image = image, .json = cli_flag(cli, "json")};
    const char *at = cli_text(cli, "at");
    uint64_t offset;
    int rc = 0;
    if (at != NULL && (rc = parse_size(at, &offset, err)) != 0)
        (void)err_prefix(err, "--at");
    else
        rc = at != NULL ? map_at(&query, offset, err) : map_of(&query, cli_text(cli, "of"), err);
    if (render_flush(&query.out) == PLAT_ENOMEM && rc == 0)
        rc = err_nomem(err, "printing a map");
    strbuf_free(&query.out);
    return rc;
}

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct inspect_image image = {0};
    struct plat_err err = {0};
    int code = EXIT_YES;
    const bool part = cli_text(cli, "at") != NULL || cli_text(cli, "of") != NULL;
    if (cli_text(cli, "at") != NULL && cli_text(cli, "of") != NULL)
        return cli_usage(cli, "--at and --of exclude each other: one names an offset, the other a path");
    if (part && (cli_flag(cli, "summary") || cli_number(cli, "max", &(uint64_t){0})))
        return cli_usage(cli, "--max and --summary belong to the whole map, not to --at or --of");
    int rc = inspect_options_read(cli, true, &options, &err);
    if (rc == 0)
        rc = inspect_open(cli->args[0], &options, true, &image, &err);
    if (rc == 0)
        rc = part ? show_part(cli, &image, &err) : show_all(cli, &image, &code, &err);
    if (rc != 0 && rc != PLAT_ESTOP) {
        err_image(&err, cli->args[0]);
        code = cli_fail(cli, &err);
    }
    inspect_close(&image);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    INSPECT_IMAGE_OPTIONS,
    {.name = "at",
     .kind = OPTION_TEXT,
     .argument = "OFFSET",
     .doc = "what this byte of the image is, in every layer (1049600, 0x100400, 1MiB)",
     .complete = COMPLETE_NONE},
    {.name = "of",
     .kind = OPTION_TEXT,
     .argument = "PATH",
     .doc = "where this structure, field or file lies: all of its ranges",
     .complete = COMPLETE_NONE},
    {.name = "json", .kind = OPTION_FLAG, .doc = "print the map as JSON"},
    {.name = "max", .kind = OPTION_NUMBER, .argument = "N", .doc = "show N ranges at most; all are counted"},
    {.name = "summary", .kind = OPTION_FLAG, .doc = "no ranges: how much of each kind, layer by layer"},
};

const struct command command_map = {
    .name = "map",
    .group = "Inspect",
    .summary = "show what every byte of an image is",
    .synopsis = "IMAGE",
    .doc =
        "Shows each range of IMAGE with its owner: the path of a structure or file, as plat dump, get and "
        "hex "
        "take it,\n"
        "and its kind: metadata, data, free (the format says that it may be taken), padding (behind the end "
        "of "
        "something,\n"
        "or reserved) or unclaimed (nothing says what it is for: gaps between partitions, what lies behind "
        "a\n"
        "filesystem, blocks that nothing refers to). Ranges ascend, overlap nowhere and leave nothing out.\n"
        "\n"
        "Findings: unclaimed bytes that are not zero; bytes that belong to two owners; damage that hides "
        "what "
        "bytes are\n"
        "for. Files of a SquashFS image may share their blocks, which is none.\n"
        "\n"
        "--at answers for one byte: disk, partition, filesystem, file or structure, field; in compressed "
        "data "
        "both\n"
        "addresses. --of is the reverse: all ranges of a path. Offsets count from the start of the image, "
        "with -p, "
        "too.\n"
        "\n"
        "In a terminal a bar draws the image to scale. Memory does not depend on the size of the image; many "
        "files\n"
        "take temporary space (TMPDIR).\n"
        "\n"
        "Exit code: 0 no findings; 1 there are some; 2 the image cannot be read, or there is no such path.\n",
    .examples = "  plat map disk.img\n"
                "  plat map --summary disk.img\n"
                "  plat map --at 0x100400 disk.img\n"
                "  plat map --of esp:/EFI/BOOT/BOOTX64.EFI disk.img\n"
                "  plat map --of gpt.primary.header_crc32 disk.img\n"
                "  plat map --json disk.img | jq '.ranges[] | select(.kind == \"unclaimed\")'\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = 1,
    .complete = COMPLETE_FILE,
    .run = run,
};
