#include "inspect/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/schemas.h"

enum { SECTOR_BYTES_MIN = 512, SECTOR_BYTES_MAX = 65536 };

static int read_params(const struct cli *cli, struct inspect_options *options, struct plat_err *err)
{
    const char *const *list;
    size_t n = cli_list(cli, "param", &list);
    if (n == 0)
        return 0;
    if (options->schema == NULL)
        return err_set(err, PLAT_EINVALID,
                       "--param sets a parameter of the layout in --schema FILE, which is missing");
    if (n > INSPECT_MAX_PARAMS)
        return err_set(err, PLAT_ELIMIT, "--param may be given %d times at most", INSPECT_MAX_PARAMS);
    for (size_t i = 0; i < n; i++) {
        const char *equals = strchr(list[i], '=');
        if (equals == NULL || equals == list[i])
            return err_set(err, PLAT_EINVALID, "--param %.60s: expected NAME=VALUE", list[i]);
        char *name = arena_strndup(&options->arena, list[i], (size_t)(equals - list[i]));
        if (name == NULL)
            return err_nomem(err, "reading --param");
        options->settings[i].name = name;
        if (parse_u64(equals + 1, &options->settings[i].value, err) != 0)
            return err_prefix(err, "--param %.60s", name);
    }
    options->stack.settings = options->settings;
    options->stack.n_settings = n;
    return 0;
}

int inspect_options_read(const struct cli *cli, bool with_schema, struct inspect_options *ret,
                         struct plat_err *err)
{
    *ret =
        (struct inspect_options){.stack.partition = cli_text(cli, "partition"), .with_schema = with_schema};
    if (!with_schema)
        return 0;
    uint64_t sector_bytes;
    if (cli_number(cli, "sector-bytes", &sector_bytes)) {
        if (!is_pow2_u64(sector_bytes) || sector_bytes < SECTOR_BYTES_MIN || sector_bytes > SECTOR_BYTES_MAX)
            return err_set(
                err, PLAT_EINVALID,
                "--sector-bytes %llu: expected a power of two from %d to %d (disks have 512 or 4096)",
                (unsigned long long)sector_bytes, SECTOR_BYTES_MIN, SECTOR_BYTES_MAX);
        ret->stack.sector_bytes = (uint32_t)sector_bytes;
    }
    const char *schema = cli_text(cli, "schema");
    int r = 0;
    /* A built-in name wins, so that what a name means does not depend on the directory. */
    if (schema != NULL && embedded_schema_find(schema) != NULL) {
        r = fs_layout(schema, &ret->schema, err);
    } else if (schema != NULL) {
        r = layout_load_file(schema, &ret->owned, err);
        ret->schema = ret->owned;
    }
    ret->stack.schema = ret->schema;
    if (r == 0)
        r = schemas_load(getenv("PLAT_SCHEMAS"), &ret->known, &ret->n_known, err);
    ret->stack.schemas = (const struct layout *const *)ret->known;
    ret->stack.n_schemas = ret->n_known;
    return r == 0 ? read_params(cli, ret, err) : r;
}

void inspect_options_free(struct inspect_options *options)
{
    layout_free(options->owned);
    options->owned = NULL;
    options->schema = options->stack.schema = NULL;
    schemas_free(options->known, options->n_known);
    options->known = NULL;
    options->stack.schemas = NULL;
    options->n_known = options->stack.n_schemas = 0;
    arena_free(&options->arena);
}

/* True when at least one layer is understood, or recognised and damaged: anything that can be talked about. A
 * format that is known by name only and refused (FAT16) is not. */
static bool recognised(const struct stack *stack)
{
    for (size_t i = 0; i < stack->n_layers; i++) {
        const struct stack_layer *layer = &stack->layers[i];
        if (layer->image != NULL || (layer->driver != NULL && layer->refusal[0] == '\0'))
            return true;
    }
    return false;
}

static int nothing_recognised(const struct stack *stack, const struct inspect_options *options,
                              struct plat_err *err)
{
    for (size_t i = 0; i < stack->n_layers; i++) {
        const struct stack_layer *layer = &stack->layers[i];
        if (layer->refusal[0] != '\0')
            return err_set(err, PLAT_EUNSUPPORTED, "%s", layer->refusal);
    }
    struct strbuf names = {0};
    for (size_t i = 0; i < n_fs_drivers; i++)
        if (fs_drivers[i]->probe != NULL)
            strbuf_printf(&names, "%s%s", names.len == 0 ? "" : ", ", fs_drivers[i]->name);
    for (size_t i = 0; i < options->n_known; i++)
        strbuf_printf(&names, ", %s", options->known[i]->name);
    for (size_t i = 0; i < n_embedded_schemas; i++)
        if (fs_layout_is_alone(embedded_schemas[i].name))
            strbuf_printf(&names, ", %s", embedded_schemas[i].name);
    if (options->schema != NULL)
        strbuf_printf(&names, ", %s (--schema)", options->schema->name);
    const char *of = options->stack.partition != NULL ? "this partition" : "this file";
    int r = err_set(
        err, PLAT_EUNSUPPORTED, "nothing recognised in %s: looked for %s%s", of, strbuf_str(&names),
        options->with_schema ? "; a description of another format can be given with --schema FILE" : "");
    strbuf_free(&names);
    return r;
}

int inspect_recognised(const struct stack *stack, const struct inspect_options *options, struct plat_err *err)
{
    return recognised(stack) ? 0 : nothing_recognised(stack, options, err);
}

static int open_image(const char *name, const struct inspect_options *options, bool degraded, bool any,
                      struct inspect_image *ret, struct plat_err *err)
{
    struct inspect_image image = {.name = name};
    struct stack_options stack_options = options->stack;
    stack_options.degraded = degraded;
    stack_options.unknown_too = any;
    int r = dev_open_file(name, false, &image.dev, err);
    if (r == 0)
        r = stack_open(image.dev, &stack_options, &image.stack, err);
    if (r == 0 && !any)
        r = inspect_recognised(image.stack, options, err);
    if (r != 0) {
        err_image(err, name);
        inspect_close(&image);
        return r;
    }
    *ret = image;
    return 0;
}

int inspect_open(const char *name, const struct inspect_options *options, bool degraded,
                 struct inspect_image *ret, struct plat_err *err)
{
    return open_image(name, options, degraded, false, ret, err);
}

int inspect_open_any(const char *name, const struct inspect_options *options, struct inspect_image *ret,
                     struct plat_err *err)
{
    return open_image(name, options, true, true, ret, err);
}

void inspect_close(struct inspect_image *image)
{
    if (image->stack != NULL)
        stack_close(image->stack);
    dev_close(image->dev);
    *image = (struct inspect_image){0};
}

struct stack_layer *inspect_layer(const struct inspect_image *image, const char *prefix)
{
    return stack_layer_named(image->stack, prefix, strlen(prefix));
}

const struct stack_layer *inspect_layer_at(const struct inspect_image *image, const char *path)
{
    for (size_t i = 0; i < image->stack->n_layers; i++) {
        const struct stack_layer *layer = &image->stack->layers[i];
        size_t n = strlen(layer->prefix);
        if (strncmp(path, layer->prefix, n) == 0 &&
            (n == 0 || path[n] == '\0' || strchr(".[:", path[n]) != NULL))
            return layer;
    }
    return NULL;
}

int inspect_path(const struct inspect_image *image, const char *text, struct field_path *ret,
                 struct plat_err *err)
{
    struct field_path typed;
    int r = path_parse(text, &typed, err);
    if (r != 0) {
        path_free(&typed);
        return r;
    }
    const struct stack_layer *layer = typed.n_steps > 0 ? inspect_layer(image, typed.steps[0].name) : NULL;
    /* A map entry of a bare image may be called like its partition: the structure wins. */
    bool rename = layer != NULL && strcmp(layer->prefix, typed.steps[0].name) != 0 &&
                  !(layer->prefix[0] == '\0' && layer->image != NULL &&
                    layout_map(layer->image->layout, typed.steps[0].name) != NULL);
    if (!rename) {
        *ret = typed;
        return 0;
    }
    r = path_with_first_name(&typed, layer->prefix, ret, err);
    path_free(&typed);
    if (r != 0)
        path_free(ret);
    return r;
}

const char *inspect_file_path(const struct inspect_image *image, const char *text,
                              struct stack_layer **ret_layer)
{
    const char *colon = strstr(text, ":/");
    char prefix[TABLE_NAME_BYTES];
    if (text[0] == '/') {
        if (stack_filesystem(image->stack, ret_layer, NULL) != 0)
            *ret_layer = NULL;
        return text;
    }
    if (colon == NULL || (size_t)(colon - text) >= sizeof prefix)
        return NULL;
    memcpy(prefix, text, (size_t)(colon - text));
    prefix[colon - text] = '\0';
    struct stack_layer *layer = inspect_layer(image, prefix);
    if (layer == NULL)
        return NULL;
    *ret_layer = layer;
    return colon + 1;
}

const char *inspect_layer_title(const struct stack_layer *layer)
{
    if (layer->driver != NULL)
        return layer->driver->title;
    if (layer->image != NULL)
        return layer->image->layout->title;
    return "unknown";
}
