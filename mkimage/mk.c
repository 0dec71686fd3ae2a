/* plat mk: one bare image from a directory or an archive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/io/dev.h"
#include "mkimage/changes.h"
#include "mkimage/commands.h"
#include "mkimage/plan.h"

static const struct option_desc mk_options[] = {
    {.letter = 'o',
     .name = "output",
     .kind = OPTION_TEXT,
     .argument = "IMAGE",
     .doc = "the image to write; \"-\" is standard output",
     .complete = COMPLETE_FILE},
    {.name = "size",
     .kind = OPTION_TEXT,
     .argument = "SIZE|auto",
     .doc = "size of the image; auto (default) fits the content",
     .complete = COMPLETE_NONE},
    {.name = "slack",
     .kind = OPTION_TEXT,
     .argument = "SIZE|N%",
     .doc = "free space beyond the content, with --size auto",
     .complete = COMPLETE_NONE},
    {.name = "compact", .kind = OPTION_FLAG, .doc = "the smallest image: no room for changes (caposwf1)"},
    {.name = "label",
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .doc = "volume label",
     .complete = COMPLETE_NONE},
    {.name = "uuid",
     .kind = OPTION_TEXT,
     .argument = "ID",
     .doc = "identifier of the volume, in the format's own form",
     .complete = COMPLETE_NONE},
    {.name = "sector-bytes",
     .kind = OPTION_NUMBER,
     .argument = "512|4096",
     .doc = "logical sector size (512)",
     .complete = COMPLETE_NONE},
    {.name = "seed",
     .kind = OPTION_TEXT,
     .argument = "TEXT|DIR",
     .doc =
         "what identifiers are derived from, beside the content; for capos-data what its filesystem begins "
         "with, as SOURCE",
     .complete = COMPLETE_FILE},
    {.name = "seed-object",
     .kind = OPTION_LIST,
     .argument = "FILE",
     .doc = "an object that the store of capos-data begins with (repeatable)",
     .complete = COMPLETE_FILE},
    {.name = "preset",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .doc = "a fixed shape of the format, as -O preset=NAME (capos-data: nvme)",
     .complete = COMPLETE_NONE},
    {.name = "pack",
     .kind = OPTION_FLAG,
     .doc = "what is alike shares blocks, as -O pack=yes: a smaller image, slower to make (squashfs)"},
    {.name = "memory",
     .kind = OPTION_TEXT,
     .argument = "SIZE",
     .doc = "the most memory that making the image may take, as -O memory=SIZE (squashfs)",
     .complete = COMPLETE_NONE},
    {.letter = 'O',
     .name = "option",
     .kind = OPTION_LIST,
     .argument = "KEY=VALUE",
     .doc = "an option of the format, as listed below (repeatable)",
     .complete = COMPLETE_NONE},
    {.name = "exclude",
     .kind = OPTION_LIST,
     .argument = "GLOB",
     .doc = "leave out what matches, as in .gitignore: *.o, /build/, doc/**, !keep.o (repeatable)",
     .complete = COMPLETE_NONE},
    {.name = "exclude-from",
     .kind = OPTION_LIST,
     .argument = "FILE",
     .doc = "a file of such patterns, which stand before those of --exclude (repeatable)",
     .complete = COMPLETE_FILE},
    {.name = "all-root", .kind = OPTION_FLAG, .doc = "everything belongs to user and group 0"},
    {.name = "mode",
     .kind = OPTION_TEXT,
     .argument = "CHANGES",
     .doc = "change permissions of everything, as chmod -R: 0755, u=rwX,go=rX",
     .complete = COMPLETE_NONE},
    {.name = "node",
     .kind = OPTION_LIST,
     .argument = "PATH:TYPE:...",
     .doc = "a node that SOURCE need not have: dev/console:c:5:1:0600 (b likewise), run/f:p:0600 (s, d), "
            "bin:l:usr/bin (repeatable)",
     .complete = COMPLETE_NONE},
    {.name = "no-verify", .kind = OPTION_FLAG, .doc = "do not read the image back and check it"},
};

struct mk {
    const struct fs_driver *driver;
    struct make_options options;
    struct tree *tree, *objects;
    const char *source; /* NULL: the image begins empty */
    struct make_plan *plan;
    uint64_t size_bytes;
    struct tree_totals totals;
};

/* --slack as bytes. */
static int read_slack(const char *text, uint64_t content_bytes, uint64_t *ret, struct plat_err *err)
{
    size_t len = strlen(text);
    char digits[24];
    uint64_t percent, share;
    if (len < 2 || text[len - 1] != '%')
        return parse_size(text, ret, err) == 0 ? 0 : err_prefix(err, "--slack");
    if (len > sizeof digits)
        return err_set(err, PLAT_EINVALID, "--slack: expected a size or 0%% to 10000%%, found \"%.40s\"",
                       text);
    memcpy(digits, text, len - 1);
    digits[len - 1] = '\0';
    if (parse_u64(digits, &percent, NULL) != 0 || percent > 10000 || !mul_u64(content_bytes, percent, &share))
        return err_set(err, PLAT_EINVALID, "--slack: expected a size or 0%% to 10000%%, found \"%.40s\"",
                       text);
    *ret = div_up_u64(share, 100);
    return 0;
}

static int settle_size(const struct cli *cli, struct mk *mk, struct plat_err *err)
{
    const char *size = cli_text(cli, "size"), *slack = cli_text(cli, "slack");
    bool automatic = size == NULL || strcmp(size, "auto") == 0;
    uint64_t slack_bytes = 0;
    int ret = 0;
    if (!automatic && slack != NULL)
        return err_set(err, PLAT_EINVALID, "--slack goes with --size auto only");
    if (mk->options.compact && (!automatic || slack != NULL))
        return err_set(err, PLAT_EINVALID,
                       "--compact goes with --size auto only, and without --slack: it keeps "
                       "nothing free");
    if (slack != NULL)
        ret = read_slack(slack, mk->totals.data_bytes, &slack_bytes, err);
    if (ret != 0)
        return ret;
    if (automatic) {
        ret = mk->driver->maker->min_bytes(mk->plan, slack_bytes, &mk->size_bytes, err);
    } else {
        ret = parse_size(size, &mk->size_bytes, err);
        if (ret != 0)
            return err_prefix(err, "--size");
        uint64_t odd = mk->size_bytes % mk->options.sector_bytes;
        if (odd != 0 && mk->size_bytes <= INT64_MAX)
            return err_set(
                err, PLAT_EINVALID,
                "--size: expected a multiple of the sector size (%u bytes), found %llu; the next is %llu",
                mk->options.sector_bytes, (unsigned long long)mk->size_bytes,
                (unsigned long long)(mk->size_bytes - odd + mk->options.sector_bytes));
    }
    if (ret == 0 && mk->size_bytes > INT64_MAX)
        return err_set(err, PLAT_ELIMIT, "an image of %llu bytes is larger than 2^63 - 1",
                       (unsigned long long)mk->size_bytes);
    return ret == 0 ? mk->driver->maker->settle(mk->plan, mk->size_bytes, err) : ret;
}

/* A repeated option as a list that ends with NULL; free it. */
static const char **list_of(const struct cli *cli, const char *name)
{
    const char *const *given = NULL;
    const size_t n = cli_list(cli, name, &given);
    const char **list = calloc(n + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < n; i++)
        list[i] = given[i];
    return list;
}

/* --mode, --all-root, --node */
static int change_tree(const struct cli *cli, struct mk *mk, struct plat_err *err)
{
    static const char *const names[] = {[CHANGE_MODE] = "--mode",
                                        [CHANGE_ALL_ROOT] = "--all-root",
                                        [CHANGE_NODES] = "--node",
                                        [CHANGE_OPTION_NODE] = "option node"};
    const char **nodes = list_of(cli, "node");
    const struct tree_changes changes = {.mode = cli_text(cli, "mode"),
                                         .all_root = cli_flag(cli, "all-root"),
                                         .nodes = nodes != NULL && nodes[0] != NULL ? nodes : NULL};
    enum tree_change at;
    if (nodes == NULL)
        return err_nomem(err, "reading --node");
    const int rc = tree_changes_apply(&changes, mk->driver->maker, mk->options.extra, mk->tree, &at, err);
    free(nodes);
    if (rc != 0)
        (void)err_prefix(err, "%s", names[at]);
    return rc;
}

/* The tree with its source in it, and *ret_options for other trees. */
static int add_source(const struct cli *cli, struct mk *mk, struct tree_options *ret_options,
                      struct plat_err *err)
{
    const char **exclude = list_of(cli, "exclude"), **exclude_from = list_of(cli, "exclude-from");
    struct tree_options options = *ret_options;
    int rc = exclude == NULL || exclude_from == NULL ? err_nomem(err, "reading --exclude") : 0;
    maker_tree_options(mk->driver->maker, mk->options.extra, &options);
    if (rc == 0)
        rc = source_date_epoch(&options.has_clamp, &options.clamp_s, err);
    *ret_options = options;
    options.exclude = exclude;
    options.exclude_from = exclude_from;
    if (rc == 0)
        rc = tree_open(&options, &mk->tree, err);
    if (rc == 0 && mk->source != NULL)
        rc = tree_add_source(mk->tree, mk->source, err);
    free(exclude);
    free(exclude_from);
    return rc;
}

static int gather_source(const struct cli *cli, struct mk *mk, const char *output, struct plat_err *err)
{
    const char *const *given = NULL;
    struct tree_options options = {.output = strcmp(output, "-") != 0 ? output : NULL};
    int ret = add_source(cli, mk, &options, err);
    if (ret == 0)
        ret = change_tree(cli, mk, err);
    if (ret == 0)
        ret = tree_finish(mk->tree, err);
    if (ret == 0)
        tree_totals(mk->tree, &mk->totals);
    if (ret == 0 && tree_left_out_output(mk->tree))
        note_left_out("mk", output);
    const size_t n = cli_list(cli, "seed-object", &given);
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = output_is_not(output, given[i], "an object", err);
    return ret == 0 && n > 0 ? gather_objects(given, n, &options, &mk->objects, err) : ret;
}

/* The image onto its device, of which *ret is closed by the caller. A format that finds its size by writing writes first,
 * where it can go back to the front, and a pipe gets what was made in a temporary file. */
static int write_output(const struct cli *cli, struct mk *mk, const char *output, struct plat_dev **ret,
                        struct plat_err *err)
{
    const struct fs_maker *maker = mk->driver->maker;
    const bool stream = maker->stream != NULL && strcmp(output, "-") != 0;
    struct plat_dev *dev = NULL;
    struct cli_progress bar;
    struct tree_totals objects = {0};
    int rc = stream ? 0 : settle_size(cli, mk, err);
    if (rc == 0)
        rc = dev_output_open(output, mk->size_bytes, &dev, err);
    if (rc != 0)
        return rc;
    dev->grows = stream;
    if (mk->objects != NULL)
        tree_totals(mk->objects, &objects);
    cli_progress_init(&bar, cli, "writing", mk->totals.data_bytes + objects.data_bytes);
    rc = (stream ? maker->stream : maker->write)(mk->plan, dev, &bar.progress, err);
    cli_progress_done(&bar);
    dev->grows = false;
    if (rc == 0 && stream)
        rc = settle_size(cli, mk, err);
    if (rc == 0 && stream)
        rc = dev_resize(dev, mk->size_bytes, err);
    if (rc != 0) {
        dev_close(dev);
        return rc;
    }
    *ret = dev;
    return 0;
}

static int write_image(const struct cli *cli, struct mk *mk, const char *output, struct plat_err *err)
{
    struct plat_dev *dev;
    bool pipe_output = strcmp(output, "-") == 0;
    /* An archive has no structures to check: its driver only writes. */
    bool verifiable = mk->driver->open != NULL || mk->driver->maker->parts != NULL;
    bool verify = verifiable && !pipe_output && !cli_flag(cli, "no-verify");
    int ret = write_output(cli, mk, output, &dev, err);
    if (ret != 0)
        return ret;
    if (verify)
        ret = output_verify(dev, mk->options.sector_bytes, err);
    if (ret == 0)
        ret = dev_output_commit(dev, err);
    dev_close(dev);
    if (ret != 0)
        return ret;
    if (pipe_output) {
        if (verifiable && !cli_flag(cli, "no-verify"))
            (void)fprintf(stderr, "plat mk: note: a pipe cannot be read back, the image is not verified\n");
        return 0;
    }
    char size[16];
    format_size(mk->size_bytes, size);
    (void)printf("%s: %s, %s, %llu file%s%s\n", output, size, mk->driver->name,
                 (unsigned long long)mk->totals.n_files, mk->totals.n_files == 1 ? "" : "s",
                 verify ? ", verified" : "");
    return 0;
}

/* SOURCE, or where a format begins with seeds, those. */
static int choose_source(const struct cli *cli, struct mk *mk, struct plat_err *err)
{
    const char *const *objects;
    const bool seeded = mk->driver->maker->parts != NULL;
    if (seeded && cli->n_args > 1)
        return err_set(err, PLAT_EINVALID,
                       "%s takes no SOURCE: --seed %.200s is what its filesystem begins with",
                       mk->driver->name, cli->args[1]);
    if (!seeded && cli->n_args < 2)
        return err_set(err, PLAT_EINVALID,
                       "SOURCE is missing: plat mk %s SOURCE -o IMAGE, with a directory or an archive",
                       mk->driver->name);
    if (!seeded && cli_list(cli, "seed-object", &objects) > 0)
        return err_set(err, PLAT_EINVALID, "--seed-object: %s has no store beside it; capos-data has one",
                       mk->driver->name);
    mk->source = seeded ? cli_text(cli, "seed") : cli->args[1];
    return 0;
}

/* -O, and what has an option of its own. */
static int read_options(const struct cli *cli, struct mk *mk, json_t **ret, struct plat_err *err)
{
    const char *const *extra = NULL;
    const char *preset = cli_text(cli, "preset"), *memory = cli_text(cli, "memory");
    size_t n_extra = cli_list(cli, "option", &extra);
    int rc = maker_options_parse(extra, n_extra, ret, err);
    if (rc == 0 && preset != NULL && json_object_set_new(*ret, "preset", json_string(preset)) != 0)
        rc = err_set(err, PLAT_EINVALID, "--preset: \"%.80s\" is not UTF-8", preset);
    if (rc == 0 && cli_flag(cli, "pack") && json_object_set_new(*ret, "pack", json_string("yes")) != 0)
        rc = err_nomem(err, "reading options");
    if (rc == 0 && memory != NULL && json_object_set_new(*ret, "memory", json_string(memory)) != 0)
        rc = err_set(err, PLAT_EINVALID, "--memory: \"%.80s\" is not UTF-8", memory);
    mk->options.compact = cli_flag(cli, "compact");
    if (rc == 0 && mk->options.compact && !mk->driver->maker->compacts)
        rc = err_set(err, PLAT_EINVALID, "--compact: %s keeps nothing free by itself; leave it out",
                     mk->driver->name);
    return rc;
}

static int make_image(const struct cli *cli, const char *output, struct plat_err *err)
{
    struct mk mk = {.options = {.sector_bytes = 512}};
    uint64_t sector_bytes = 512;
    json_t *object = NULL;
    int ret = maker_find(cli->args[0], &mk.driver, err);
    if (ret != 0)
        return ret;
    (void)cli_number(cli, "sector-bytes", &sector_bytes);
    if (sector_bytes != 512 && sector_bytes != 4096)
        return err_set(err, PLAT_EINVALID, "--sector-bytes: expected 512 or 4096, found %llu",
                       (unsigned long long)sector_bytes);
    ret = choose_source(cli, &mk, err);
    if (ret == 0)
        ret = read_options(cli, &mk, &object, err);
    if (ret == 0 && mk.source != NULL)
        ret = output_is_not(output, mk.source, "the source", err);
    if (ret == 0)
        mk.options.extra = object;
    if (ret == 0)
        ret = gather_source(cli, &mk, output, err);
    if (ret != 0)
        goto out;
    const char *seed = mk.driver->maker->parts == NULL ? cli_text(cli, "seed") : NULL;
    char identity[65];
    tree_digest(mk.tree, false, identity);
    mk.options.sector_bytes = (uint32_t)sector_bytes;
    mk.options.label = cli_text(cli, "label");
    mk.options.uuid = cli_text(cli, "uuid");
    mk.options.seed = seed != NULL ? seed : identity;
    mk.options.objects = mk.objects;
    ret = mk.driver->maker->plan(mk.tree, &mk.options, &mk.plan, err);
    if (ret == 0)
        ret = write_image(cli, &mk, output, err);
out:
    if (mk.plan != NULL)
        mk.driver->maker->close(mk.plan);
    if (mk.tree != NULL)
        tree_close(mk.tree);
    if (mk.objects != NULL)
        tree_close(mk.objects);
    json_decref(object);
    return ret;
}

static int run_mk(struct cli *cli)
{
    struct plat_err err = {0};
    const char *output = cli_text(cli, "output"), *format = cli->args[0];
    const struct fs_driver *driver = fs_driver_find(format);
    if (driver != NULL && driver->table != NULL)
        return cli_usage(
            cli,
            "%s is a partition table, not a filesystem: describe the disk in a recipe and run plat "
            "build RECIPE -o DISK (plat-recipe(5))",
            format);
    if (output == NULL)
        return cli_usage(cli, "where should the image go? Give -o IMAGE");
    if (strcmp(output, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_usage(cli, "an image is not for a terminal; send standard output to a file or a program");
    if (make_image(cli, output, &err) != 0)
        return cli_fail(cli, &err);
    return cli_finish(cli, EXIT_YES);
}

/* What each format can be told. */
static void mk_more_help(struct cli_help *to)
{
    for (size_t i = 0; i < n_fs_drivers; i++) {
        const struct fs_maker *maker = fs_drivers[i]->maker;
        if (maker == NULL)
            continue;
        char text[96];
        (void)snprintf(text, sizeof text, "Options of %s (-O)", fs_drivers[i]->name);
        cli_help_section(to, text);
        for (size_t j = 0; j < maker->n_options; j++) {
            const struct make_option_desc *option = &maker->options[j];
            (void)snprintf(text, sizeof text, "%s%s%s", option->name, option->argument != NULL ? "=" : "",
                           option->argument != NULL ? option->argument : "");
            cli_help_item(to, text, option->doc);
        }
        if (maker->n_options == 0)
            cli_help_item(to, "none", "");
    }
}

const struct command command_mk = {
    .name = "mk",
    .group = "Build",
    .summary = "make one image from a directory or an archive",
    .synopsis = "FORMAT [SOURCE] -o IMAGE",
    .doc =
        "Makes a bare image (no partition table around it) of FORMAT from SOURCE: a directory, an archive "
        "that\n"
        "libarchive reads (tar, cpio, zip, ...), a manifest (mtree: *.mtree, or it begins with #mtree), or "
        "\"-\"\n"
        "for an archive or a manifest on standard input. The image is read back and checked before it gets "
        "its\n"
        "name, where the format has something to check.\n"
        "\n"
        "The same source gives the same bytes on every machine; SOURCE_DATE_EPOCH is the latest time that "
        "any\n"
        "file may have.\n"
        "\n"
        "capos-data, a store and a filesystem in one image, has no SOURCE: it is empty, or begins with what "
        "\n"
        "--seed DIR and --seed-object FILE name.\n",
    .examples = "  plat mk fat32 esp/ -o esp.img --label ESP --slack 16MiB\n"
                "  plat mk cpio initrd/ -o initrd.cpio\n"
                "  plat mk squashfs root/ -o root.squashfs -O compress=zstd:19\n"
                "  plat mk capos-data -o disk.img --preset nvme --seed root/ --seed-object boot.bin\n"
                "  tar c dir | plat mk fat32 - -o fat.img --size 64MiB\n",
    .options = mk_options,
    .n_options = sizeof mk_options / sizeof *mk_options,
    .more_help = mk_more_help,
    .min_args = 1,
    .max_args = 2,
    .complete = COMPLETE_FORMAT,
    .run = run_mk,
};
