/* plat schema: the descriptions of formats themselves. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "inspect/commands.h"
#include "lib/base/nearest.h"
#include "inspect/render.h"
#include "lib/fs/driver.h"
#include "lib/layout/export.h"

/* A layout by name or from a file; `owned` is freed by the caller. */
struct chosen {
    const struct layout *layout;
    struct layout *owned;
};

/* A built-in name wins, so that what a name means does not depend on the directory; a file of that name is
 * ./NAME. */
static int choose(const char *text, struct chosen *ret, struct plat_err *err)
{
    struct chosen chosen = {0};
    if (embedded_schema_find(text) != NULL) {
        int r = fs_layout(text, &chosen.layout, err);
        if (r == 0)
            *ret = chosen;
        return r;
    }
    if (strchr(text, '/') == NULL && access(text, F_OK) != 0) {
        struct nearest nearest = {.wanted = text};
        struct strbuf names = {0};
        for (size_t i = 0; i < n_embedded_schemas; i++)
            nearest_add(&nearest, embedded_schemas[i].name, strlen(embedded_schemas[i].name));
        nearest_list(&nearest, &names);
        int r = err_set(err, PLAT_ENOTFOUND, "'%.100s' is neither a built-in layout nor a file; nearest: %s",
                        text, strbuf_str(&names));
        strbuf_free(&names);
        return r;
    }
    int r = layout_load_file(text, &chosen.owned, err);
    chosen.layout = chosen.owned;
    if (r == 0)
        *ret = chosen;
    return r;
}

/* ---- subcommands ---- */

static int run_check(const struct cli *cli)
{
    int code = EXIT_YES;
    for (size_t i = 1; i < cli->n_args; i++) {
        struct layout *layout = NULL;
        struct plat_err err = {0};
        if (layout_load_file(cli->args[i], &layout, &err) != 0) {
            code = cli_fail(cli, &err);
            continue;
        }
        if (!cli_flag(cli, "quiet"))
            (void)printf("%s: layout %s: %zu types, %zu map entries, %zu rules\n", cli->args[i], layout->name,
                         layout->n_types, layout->n_map, layout->n_rules);
        layout_free(layout);
    }
    return code;
}

static int run_list(const struct cli *cli)
{
    for (size_t i = 0; i < n_embedded_schemas; i++) {
        const struct layout *layout;
        struct plat_err err = {0};
        if (fs_layout(embedded_schemas[i].name, &layout, &err) != 0)
            return cli_fail(cli, &err);
        (void)printf("%-12s %s\n", layout->name, layout->title);
    }
    return EXIT_YES;
}

static int run_show(const struct cli *cli)
{
    struct plat_err err = {0};
    struct chosen chosen = {0};
    const struct embedded_schema *schema = embedded_schema_find(cli->args[1]);
    if (schema == NULL) {
        if (choose(cli->args[1], &chosen, &err) == 0) {
            layout_free(chosen.owned);
            (void)err_set(&err, PLAT_EINVALID,
                          "'%.100s' is a file; plat schema show prints the built-in layouts", cli->args[1]);
        }
        return cli_fail(cli, &err);
    }
    (void)fwrite(schema->json, 1, schema->n, stdout);
    if (schema->n > 0 && schema->json[schema->n - 1] != '\n')
        (void)putchar('\n');
    return EXIT_YES;
}

/* Appears whole or not at all. */
static int write_text(const char *path, const struct strbuf *text, struct plat_err *err)
{
    struct plat_dev *dev;
    int r = dev_output_open(path, text->len, &dev, err);
    if (r != 0)
        return r;
    r = dev_write(dev, 0, text->s, text->len, err);
    if (r == 0)
        r = dev_output_commit(dev, err);
    dev_close(dev);
    return r;
}

static int emit(const struct cli *cli, const struct layout *layout,
                int (*export)(const struct layout *layout, struct strbuf *ret, struct plat_err *err))
{
    struct strbuf text = {0};
    struct plat_err err = {0};
    const char *output = cli_text(cli, "output");
    int r = export(layout, &text, &err);
    if (r == 0 && output != NULL && strcmp(output, "-") != 0)
        r = write_text(output, &text, &err);
    else if (r == 0 && render_flush(&text) == PLAT_ENOMEM)
        r = err_nomem(&err, "exporting a layout");
    strbuf_free(&text);
    return r != 0 ? cli_fail(cli, &err) : EXIT_YES;
}

static int export_c(const struct layout *layout, struct strbuf *ret, struct plat_err *err)
{
    return layout_export_c(layout, EXPORT_FREESTANDING, ret, err);
}

struct target {
    const char *subcommand;
    const char *name;
    int (*export)(const struct layout *layout, struct strbuf *ret, struct plat_err *err);
};
static const struct target targets[] = {
    {"doc", "markdown", layout_export_markdown},
    {"doc", "man", layout_export_man},
    {"export", "c", export_c},
    {"export", "rust", layout_export_rust},
    {"export", "kaitai", layout_export_kaitai},
};

static int run_export(const struct cli *cli, const char *subcommand)
{
    const char *to = cli_text(cli, "to");
    struct strbuf known = {0};
    struct chosen chosen = {0};
    struct plat_err err = {0};
    const struct target *found = NULL;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        if (strcmp(targets[i].subcommand, subcommand) != 0)
            continue;
        strbuf_printf(&known, "%s%s", known.len > 0 ? " or " : "", targets[i].name);
        /* Documentation has a usual form; of a language one must be chosen. */
        bool usual = to == NULL && strcmp(subcommand, "doc") == 0;
        if (found == NULL && (usual || (to != NULL && strcmp(to, targets[i].name) == 0)))
            found = &targets[i];
    }
    int code;
    if (found == NULL)
        code = cli_usage(cli, "%s: expected --to %s", subcommand, strbuf_str(&known));
    else if (choose(cli->args[1], &chosen, &err) != 0)
        code = cli_fail(cli, &err);
    else {
        code = emit(cli, chosen.layout, found->export);
        layout_free(chosen.owned);
    }
    strbuf_free(&known);
    return code;
}

static int run(struct cli *cli)
{
    const char *subcommand = cli->args[0];
    size_t operands = cli->n_args - 1;
    if (strcmp(subcommand, "list") == 0)
        return operands == 0 ? cli_finish(cli, run_list(cli)) : cli_usage(cli, "list takes no arguments");
    if (strcmp(subcommand, "check") == 0)
        return operands > 0 ? cli_finish(cli, run_check(cli)) : cli_usage(cli, "check needs a FILE");
    bool show = strcmp(subcommand, "show") == 0;
    if (!show && strcmp(subcommand, "doc") != 0 && strcmp(subcommand, "export") != 0)
        return cli_usage(cli, "no subcommand '%s': expected check, doc, export, list or show", subcommand);
    if (operands != 1)
        return cli_usage(cli, "%s needs one FORMAT%s", subcommand, show ? "" : " or FILE");
    return cli_finish(cli, show ? run_show(cli) : run_export(cli, subcommand));
}

static const struct option_desc options_table[] = {
    {.name = "to",
     .kind = OPTION_TEXT,
     .argument = "LANGUAGE",
     .doc = "doc: markdown (default) or man; export: c, rust or kaitai",
     .choices = "markdown|man|c|rust|kaitai",
     .complete = COMPLETE_CHOICES},
    {.letter = 'o',
     .name = "output",
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .doc = "doc, export: write to FILE, which appears whole",
     .complete = COMPLETE_FILE},
    {.letter = 'q', .name = "quiet", .kind = OPTION_FLAG, .doc = "check: print faults only"},
};

const struct command command_schema = {
    .name = "schema",
    .group = "Formats",
    .summary = "check, document and export descriptions of formats",
    .synopsis = "check FILE... | doc|export FORMAT|FILE | show FORMAT | list",
    .doc = "Works on layouts, the descriptions of formats (plat-layout(5)). FORMAT is the name of a built-in "
           "one.\n"
           "\n"
           "  check FILE...        load each; a fault is named with its place in the file\n"
           "  doc FORMAT|FILE      a reference of the format, as Markdown or a manual page\n"
           "  export FORMAT|FILE   --to c: a freestanding header; --to rust: a no_std module; --to kaitai: a "
           ".ksy\n"
           "  show FORMAT          the JSON of a built-in layout, to start one's own from\n"
           "  list                 the built-in layouts\n"
           "\n"
           "Exit code: 0; 2 when a layout has a fault, or cannot be read.\n",
    .examples = "  plat schema check myformat.json\n"
                "  plat schema export gpt --to rust -o src/gpt.rs\n"
                "  plat schema doc fat32 --to man | man -l -\n"
                "  plat schema show gpt > my-gpt.json\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = SIZE_MAX,
    .complete = COMPLETE_FILE,
    .subcommands = "check|doc|export|list|show",
    .run = run,
};
