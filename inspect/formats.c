/* plat formats: what plat knows, and what it can do with each. */
#include <string.h>

#include "inspect/commands.h"
#include "lib/base/nearest.h"
#include "inspect/render.h"
#include "lib/fs/driver.h"

struct ability {
    const char *name;
    bool (*has)(const struct fs_driver *driver);
};

static bool can_probe(const struct fs_driver *driver)
{
    return driver->probe != NULL;
}
static bool can_read(const struct fs_driver *driver)
{
    return driver->readdir != NULL || driver->partitions != NULL;
}
static bool can_make(const struct fs_driver *driver)
{
    return driver->maker != NULL || driver->table != NULL;
}
/* The command that makes it: tables are made around partitions. */
static const char *made_by(const struct fs_driver *driver)
{
    return driver->maker != NULL ? "mk" : driver->table != NULL ? "build" : "-";
}
static bool can_check(const struct fs_driver *driver)
{
    return driver->check != NULL || (driver->layout_name != NULL && driver->open != NULL);
}
static bool can_repair(const struct fs_driver *driver)
{
    return driver->repair != NULL;
}

static const struct ability abilities[] = {
    {"probe", can_probe}, {"read", can_read},     {"make", can_make},
    {"check", can_check}, {"repair", can_repair},
};
enum { N_ABILITIES = sizeof abilities / sizeof *abilities };

static const char *role(const struct fs_driver *driver)
{
    if (driver->partitions != NULL || driver->table != NULL)
        return "partition table";
    if (driver->maker != NULL && driver->maker->parts != NULL)
        return "several formats in one image";
    return driver->readdir != NULL ? "filesystem" : "archive";
}

/* ---- text ---- */

static int ability_columns(size_t i)
{
    size_t n = strlen(abilities[i].name);
    return n < 6 ? 6 : (int)n;
}

/* Embedded layout `i`, where it describes a format alone; NULL: a driver has it. */
static const struct layout *lone_layout(size_t i)
{
    const struct layout *layout;
    bool alone = fs_layout_is_alone(embedded_schemas[i].name);
    return alone && fs_layout(embedded_schemas[i].name, &layout, NULL) == 0 ? layout : NULL;
}

/* The layout of this name where no driver has it, though one may go by the name: makers of archives do. */
static const struct layout *lone_layout_named(const char *name)
{
    for (size_t i = 0; i < n_embedded_schemas; i++)
        if (strcmp(embedded_schemas[i].name, name) == 0)
            return lone_layout(i);
    return NULL;
}

static void layout_lines(struct strbuf *out, const struct layout *layout)
{
    strbuf_printf(out, "  layout   %s: %zu types, %zu map entries, %zu rules  (plat schema doc %s)\n",
                  layout->name, layout->n_types, layout->n_map, layout->n_rules, layout->name);
    if (layout->spec != NULL && layout->spec[0] != '\0')
        strbuf_printf(out, "  spec     %s\n", layout->spec);
}

/* What a layout alone is enough for. */
static bool by_schema(size_t ability)
{
    return abilities[ability].has == can_probe || abilities[ability].has == can_check;
}

static const char *ability_word(const struct fs_driver *driver, size_t ability)
{
    if (abilities[ability].has == can_make)
        return made_by(driver);
    if (abilities[ability].has(driver))
        return "yes";
    return by_schema(ability) && lone_layout_named(driver->name) != NULL ? "schema" : "-";
}

/* Formats that a layout alone describes, in the table and as a page of one. */
static void schema_row(const struct cli *cli, struct strbuf *out, const struct layout *layout)
{
    strbuf_printf(out, "%s%-12s%s", paint(cli, PAINT_STRONG), layout->name, paint(cli, PAINT_PLAIN));
    for (size_t i = 0; i < N_ABILITIES; i++)
        strbuf_printf(out, "  %-*s", ability_columns(i), by_schema(i) ? "schema" : "-");
    strbuf_printf(out, "  %s\n", layout->title);
}

static void schema_text(const struct cli *cli, struct strbuf *out, const struct layout *layout)
{
    strbuf_printf(out, "%s%s%s: %s\n", paint(cli, PAINT_STRONG), layout->name, paint(cli, PAINT_PLAIN),
                  layout->title);
    strbuf_puts(out,
                "  role     described by its layout alone: dump, get, hex, verify\n  can      probe check\n");
    layout_lines(out, layout);
}

static void list_text(const struct cli *cli, struct strbuf *out)
{
    strbuf_printf(out, "%s%-12s", paint(cli, PAINT_DIM), "format");
    for (size_t i = 0; i < N_ABILITIES; i++)
        strbuf_printf(out, "  %-*s", ability_columns(i), abilities[i].name);
    strbuf_printf(out, "  what it is%s\n", paint(cli, PAINT_PLAIN));
    for (size_t d = 0; d < n_fs_drivers; d++) {
        strbuf_printf(out, "%s%-12s%s", paint(cli, PAINT_STRONG), fs_drivers[d]->name,
                      paint(cli, PAINT_PLAIN));
        for (size_t i = 0; i < N_ABILITIES; i++)
            strbuf_printf(out, "  %-*s", ability_columns(i), ability_word(fs_drivers[d], i));
        strbuf_printf(out, "  %s\n", fs_drivers[d]->title);
    }
    for (size_t i = 0; i < n_embedded_schemas; i++)
        if (lone_layout(i) != NULL && fs_driver_find(embedded_schemas[i].name) == NULL)
            schema_row(cli, out, lone_layout(i));
    strbuf_puts(out,
                "\nOptions for making one, and its partition types: plat formats NAME\nLayouts built in:");
    for (size_t i = 0; i < n_embedded_schemas; i++)
        strbuf_printf(out, " %s", embedded_schemas[i].name);
    strbuf_puts(out, "  (plat schema doc NAME)\n");
}

static void one_text(const struct cli *cli, struct strbuf *out, const struct fs_driver *driver,
                     const struct layout *layout)
{
    strbuf_printf(out, "%s%s%s: %s\n", paint(cli, PAINT_STRONG), driver->name, paint(cli, PAINT_PLAIN),
                  driver->title);
    strbuf_printf(out, "  role     %s\n  can     ", role(driver));
    for (size_t i = 0; i < N_ABILITIES; i++)
        if (abilities[i].has(driver))
            strbuf_printf(out, " %s", abilities[i].name);
    strbuf_putc(out, '\n');
    if (layout != NULL)
        layout_lines(out, layout);
    const struct fs_maker *maker = driver->maker;
    if (maker != NULL && maker->n_options > 0)
        strbuf_puts(out, "\nOptions of plat mk and of recipes:\n");
    for (size_t i = 0; maker != NULL && i < maker->n_options; i++) {
        const struct make_option_desc *option = &maker->options[i];
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s%s", option->name, option->argument != NULL ? "=" : "",
                       option->argument != NULL ? option->argument : "");
        strbuf_printf(out, "  %-26s %s\n", left, option->doc);
    }
    if (driver->table != NULL && driver->table->type_name != NULL) {
        const char *name;
        strbuf_puts(out, "\nPartition types by name:\n ");
        size_t column = 1;
        for (size_t i = 0; (name = driver->table->type_name(i)) != NULL; i++) {
            if (column + strlen(name) + 1 > (size_t)cli->columns) {
                strbuf_puts(out, "\n ");
                column = 1;
            }
            strbuf_printf(out, " %s", name);
            column += strlen(name) + 1;
        }
        strbuf_putc(out, '\n');
    }
}

/* ---- JSON ---- */

static void put_json(struct strbuf *out, const char *key, const char *text)
{
    strbuf_printf(out, "\"%s\": ", key);
    if (text != NULL)
        strbuf_json(out, text, strlen(text));
    else
        strbuf_puts(out, "null");
}

static void driver_json(struct strbuf *out, const struct fs_driver *driver)
{
    strbuf_puts(out, "{");
    put_json(out, "name", driver->name);
    strbuf_puts(out, ", ");
    put_json(out, "title", driver->title);
    strbuf_puts(out, ", ");
    put_json(out, "role", role(driver));
    strbuf_puts(out, ", ");
    put_json(out, "layout", driver->layout_name);
    for (size_t i = 0; i < N_ABILITIES; i++)
        strbuf_printf(out, ", \"%s\": %s", abilities[i].name, abilities[i].has(driver) ? "true" : "false");
    strbuf_printf(out, ", \"made_by\": %s",
                  driver->maker != NULL   ? "\"mk\""
                  : driver->table != NULL ? "\"build\""
                                          : "null");
    strbuf_puts(out, ", \"options\": [");
    for (size_t i = 0; driver->maker != NULL && i < driver->maker->n_options; i++) {
        const struct make_option_desc *option = &driver->maker->options[i];
        strbuf_puts(out, i == 0 ? "{" : ", {");
        put_json(out, "name", option->name);
        strbuf_puts(out, ", ");
        put_json(out, "argument", option->argument);
        strbuf_puts(out, ", ");
        put_json(out, "doc", option->doc);
        strbuf_puts(out, "}");
    }
    strbuf_puts(out, "], \"partition_types\": [");
    const char *name;
    for (size_t i = 0; driver->table != NULL && driver->table->type_name != NULL &&
                       (name = driver->table->type_name(i)) != NULL;
         i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        strbuf_json(out, name, strlen(name));
    }
    strbuf_puts(out, "]}");
}

static void schema_json(struct strbuf *out, const struct layout *layout)
{
    strbuf_puts(out, "{");
    put_json(out, "name", layout->name);
    strbuf_puts(out, ", ");
    put_json(out, "title", layout->title);
    strbuf_puts(out, ", ");
    put_json(out, "role", "schema");
    strbuf_puts(out, ", ");
    put_json(out, "layout", layout->name);
    for (size_t i = 0; i < N_ABILITIES; i++)
        strbuf_printf(out, ", \"%s\": %s", abilities[i].name, by_schema(i) ? "true" : "false");
    strbuf_puts(out, ", \"made_by\": null, \"options\": [], \"partition_types\": []}");
}

static void list_json(struct strbuf *out)
{
    strbuf_puts(out, "{\"formats\": [");
    for (size_t d = 0; d < n_fs_drivers; d++) {
        strbuf_puts(out, d == 0 ? "\n  " : ",\n  ");
        driver_json(out, fs_drivers[d]);
    }
    for (size_t i = 0; i < n_embedded_schemas; i++) {
        if (lone_layout(i) == NULL || fs_driver_find(embedded_schemas[i].name) != NULL)
            continue;
        strbuf_puts(out, ",\n  ");
        schema_json(out, lone_layout(i));
    }
    strbuf_puts(out, "],\n \"layouts\": [");
    for (size_t i = 0; i < n_embedded_schemas; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        strbuf_json(out, embedded_schemas[i].name, strlen(embedded_schemas[i].name));
    }
    strbuf_puts(out, "]}\n");
}

/* ---- the command ---- */

static int unknown_format(const struct cli *cli, const char *name)
{
    struct plat_err err;
    struct nearest nearest = {.wanted = name};
    struct strbuf names = {0};
    for (size_t i = 0; i < n_fs_drivers; i++)
        nearest_add(&nearest, fs_drivers[i]->name, strlen(fs_drivers[i]->name));
    for (size_t i = 0; i < n_embedded_schemas; i++)
        if (lone_layout(i) != NULL)
            nearest_add(&nearest, embedded_schemas[i].name, strlen(embedded_schemas[i].name));
    nearest_list(&nearest, &names);
    (void)err_set(&err, PLAT_ENOTFOUND, "no format '%.60s'; nearest: %s", name, strbuf_str(&names));
    strbuf_free(&names);
    return cli_fail(cli, &err);
}

static int run(struct cli *cli)
{
    struct strbuf out = {0};
    struct plat_err err;
    bool json = cli_flag(cli, "json");
    const struct fs_driver *driver = cli->n_args > 0 ? fs_driver_find(cli->args[0]) : NULL;
    const struct layout *lone = cli->n_args > 0 ? lone_layout_named(cli->args[0]) : NULL;
    if (cli->n_args > 0 && driver == NULL && lone == NULL)
        return unknown_format(cli, cli->args[0]);
    if (cli->n_args > 0 && driver == NULL && json) {
        schema_json(&out, lone);
        strbuf_putc(&out, '\n');
    } else if (cli->n_args > 0 && driver == NULL) {
        schema_text(cli, &out, lone);
    } else if (driver != NULL && json) {
        driver_json(&out, driver);
        strbuf_putc(&out, '\n');
    } else if (driver != NULL) {
        const struct layout *layout = lone;
        if (driver->layout_name != NULL && fs_layout(driver->layout_name, &layout, &err) != 0)
            return cli_fail(cli, &err);
        one_text(cli, &out, driver, layout);
    } else if (json) {
        list_json(&out);
    } else {
        list_text(cli, &out);
    }
    int code = EXIT_YES;
    if (render_flush(&out) == PLAT_ENOMEM) {
        (void)err_nomem(&err, "listing formats");
        code = cli_fail(cli, &err);
    }
    strbuf_free(&out);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {
    {.name = "json", .kind = OPTION_FLAG, .doc = "print JSON"},
};

const struct command command_formats = {
    .name = "formats",
    .group = "Formats",
    .summary = "list formats and what plat can do with them",
    .synopsis = "[NAME]",
    .doc =
        "Lists the formats that plat knows, and whether it can recognise (probe), read, make, check and\n"
        "repair each (schema: by its layout alone, without code: dump, get, hex and verify); and the "
        "layouts\n"
        "that are built in. With NAME: one format, with the options for making it and the partition types\n"
        "it knows by name. Other formats are described in a layout (plat-layout(5)): --schema FILE, or\n"
        "PLAT_SCHEMAS=DIRECTORY to have all of its *.json looked at.\n",
    .examples = "  plat formats\n"
                "  plat formats fat32\n"
                "  plat formats --json | jq -r '.formats[] | select(.made_by == \"mk\").name'\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .max_args = 1,
    .complete = COMPLETE_FORMAT,
    .run = run,
};
