/* plat build: from a recipe to a disk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io/dev.h"
#include "mkimage/commands.h"
#include "mkimage/plan.h"

static const struct option_desc build_options[] = {
    {.letter = 'o',
     .name = "output",
     .kind = OPTION_TEXT,
     .argument = "DISK",
     .doc = "the image to write; \"-\" is standard output",
     .complete = COMPLETE_FILE},
    {.letter = 'D',
     .name = "define",
     .kind = OPTION_LIST,
     .argument = "NAME=VALUE",
     .doc = "replace ${NAME} in the recipe (repeatable)",
     .complete = COMPLETE_NONE},
    {.name = "explain", .kind = OPTION_FLAG, .doc = "print the plan and write nothing"},
    {.name = "json", .kind = OPTION_FLAG, .doc = "print the plan (or the result) as JSON"},
    {.name = "no-verify", .kind = OPTION_FLAG, .doc = "do not read the disk back and check it"},
};

static int print_json(json_t *json, struct plat_err *err)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));
    json_decref(json);
    if (text == NULL)
        return err_nomem(err, "printing the plan");
    (void)printf("%s\n", text);
    free(text);
    return 0;
}

static int print_plan(const struct cli *cli, const struct plan *plan, struct plat_err *err)
{
    if (cli_flag(cli, "json"))
        return print_json(plan_json(plan), err);
    struct strbuf text = {0};
    plan_text(plan, &text);
    int ret = text.failed ? err_nomem(err, "printing the plan") : 0;
    if (ret == 0)
        (void)fputs(strbuf_str(&text), stdout);
    strbuf_free(&text);
    return ret;
}

static int print_result(const struct cli *cli, const struct plan *plan, const char *output, bool verified,
                        struct plat_err *err)
{
    char size[16];
    if (cli_flag(cli, "json")) {
        json_t *json = plan_json(plan);
        (void)json_object_set_new(json, "output", json_string(output));
        (void)json_object_set_new(json, "verified", json_boolean(verified));
        return print_json(json, err);
    }
    format_size(plan->disk_bytes, size);
    (void)printf("%s: %s, %s, %zu partition%s, %s\n", output, size, plan->recipe->table, plan->n_parts,
                 plan->n_parts == 1 ? "" : "s", verified ? "verified" : "not verified");
    return 0;
}

/* Writes, verifies, publishes. On failure closing the device removes what was written. */
static int write_disk(const struct cli *cli, struct plan *plan, const char *output, struct plat_err *err)
{
    struct plat_dev *dev;
    struct cli_progress bar;
    bool pipe_output = strcmp(output, "-") == 0;
    bool verify = !cli_flag(cli, "no-verify") && !pipe_output;
    int ret = dev_output_open(output, plan->disk_bytes, &dev, err);
    if (ret != 0)
        return ret;
    cli_progress_init(&bar, cli, "writing", plan_data_bytes(plan));
    ret = plan_write(plan, dev, &bar.progress, err);
    cli_progress_done(&bar);
    if (ret == 0 && verify)
        ret = output_verify(dev, plan->recipe->sector_bytes, err);
    if (ret == 0)
        ret = dev_output_commit(dev, err);
    dev_close(dev);
    if (ret == 0 && pipe_output) {
        if (!cli_flag(cli, "no-verify"))
            (void)fprintf(stderr, "plat build: note: a pipe cannot be read back, the disk is not verified\n");
        return 0;
    }
    return ret == 0 ? print_result(cli, plan, output, verify, err) : ret;
}

/* output: may be NULL where the plan is only explained. */
static int build_recipe(const struct cli *cli, bool explain, const char *output, struct plat_err *err)
{
    struct recipe *recipe = NULL;
    struct plan *plan = NULL;
    struct plan_options options = {0};
    const char *const *defines = NULL;
    size_t n_defines = cli_list(cli, "define", &defines);
    int ret = source_date_epoch(&options.has_epoch, &options.epoch_s, err);
    if (ret == 0 && output != NULL)
        ret = output_is_not(output, cli->args[0], "the recipe", err);
    if (ret == 0)
        ret = recipe_load(cli->args[0], defines, n_defines, &recipe, err);
    if (ret != 0)
        goto out;
    options.output = output != NULL && strcmp(output, "-") != 0 ? output : NULL;
    ret = plan_open(recipe, &options, &plan, err);
    if (ret != 0)
        goto out;
    if (plan->gather.left_out_output)
        note_left_out("build", output);
    ret = explain ? print_plan(cli, plan, err) : write_disk(cli, plan, output, err);
out:
    plan_close(plan);
    recipe_close(recipe);
    return ret;
}

static int run_build(struct cli *cli)
{
    struct plat_err err = {0};
    const char *output = cli_text(cli, "output");
    bool explain = cli_flag(cli, "explain");
    if (output == NULL && !explain)
        return cli_usage(cli, "where should the disk go? Give -o DISK, or --explain to see the plan");
    if (output != NULL && strcmp(output, "-") == 0 && !explain) {
        if (isatty(STDOUT_FILENO))
            return cli_usage(
                cli, "a disk image is not for a terminal; send standard output to a file or a program");
        if (cli_flag(cli, "json"))
            return cli_usage(cli, "--json and -o - both want standard output");
    }
    if (build_recipe(cli, explain, output, &err) != 0)
        return cli_fail(cli, &err);
    return cli_finish(cli, EXIT_YES);
}

const struct command command_build = {
    .name = "build",
    .group = "Build",
    .summary = "assemble a disk from a recipe",
    .synopsis = "RECIPE -o DISK",
    .doc = "Reads RECIPE (JSON, plat-recipe(5); \"-\" is standard input), settles every size and place, "
           "writes the\n"
           "disk, reads it back, checks it, and only then gives it its name: DISK appears whole or not at "
           "all, and\n"
           "a file of that name that is there already stays until then. The image is sparse.\n"
           "\n"
           "The same recipe and the same sources give the same bytes on every machine. Times of files are "
           "kept;\n"
           "SOURCE_DATE_EPOCH is the latest time that any may have, and \"time\" in the recipe replaces them "
           "all.\n"
           "Identifiers that the recipe leaves open are derived from its text and the names, sizes and times "
           "of\n"
           "its sources.\n",
    .examples = "  plat build disk.json -o disk.img\n"
                "  plat build disk.json -D KERNEL=/boot/vmlinuz --explain\n"
                "  plat build disk.json -o - | zstd > disk.img.zst\n",
    .options = build_options,
    .n_options = sizeof build_options / sizeof *build_options,
    .min_args = 1,
    .max_args = 1,
    .complete = COMPLETE_FILE,
    .run = run_build,
};
