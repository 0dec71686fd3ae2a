/* Layers that a layout alone describes: the one that was given, those of PLAT_SCHEMAS, those that are built in. */
#include <string.h>

#include "lib/fs/stack_private.h"

/* Values for the parameters of the user's layout: those that were given, and the sector size where it has
 * one. */
struct schema_settings {
    struct param_setting list[LAYOUT_MAX_PARAMS + 1];
    size_t n;
};

static void collect_settings(const struct layout *schema, const struct stack_options *options,
                             uint32_t sector_bytes, struct schema_settings *ret)
{
    static const char sector_name[] = "sector_bytes";
    bool given = false;
    ret->n = 0;
    /* What was given is meant for the layout that was given. */
    size_t n_settings = schema == options->schema ? options->n_settings : 0;
    for (size_t i = 0; i < n_settings && ret->n < LAYOUT_MAX_PARAMS; i++) {
        given = given || strcmp(options->settings[i].name, sector_name) == 0;
        ret->list[ret->n++] = options->settings[i];
    }
    for (size_t i = 0; !given && sector_bytes != 0 && i < schema->n_params; i++)
        if (strcmp(schema->params[i].name, sector_name) == 0)
            ret->list[ret->n++] = (struct param_setting){.name = sector_name, .value = sector_bytes};
}

/* Lays a layout over a layer's device. */
int stack_open_schema(struct stack_layer *layer, const struct layout *schema,
                      const struct stack_options *options, uint32_t sector_bytes, struct plat_err *err)
{
    struct schema_settings settings;
    collect_settings(schema, options, sector_bytes, &settings);
    return image_open(schema, layer->dev, settings.list, settings.n, &layer->image, err);
}

int stack_schema_matches(const struct layout *schema, const struct stack_options *options,
                         struct plat_dev *dev, uint32_t sector_bytes, bool *ret, struct plat_err *err)
{
    struct schema_settings settings;
    *ret = false;
    if (schema == NULL)
        return 0;
    collect_settings(schema, options, sector_bytes, &settings);
    return layout_matches(schema, dev, settings.list, settings.n, ret, err);
}

/* What no driver knows: the user's own layouts first, then those that are built in and have no driver. */
int stack_find_schema(const struct stack_options *options, struct plat_dev *dev, uint32_t sector_bytes,
                      const struct layout **ret, struct plat_err *err)
{
    const struct layout *layout = NULL;
    bool found = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && !found && i < options->n_schemas; i++) {
        layout = options->schemas[i];
        rc = stack_schema_matches(layout, options, dev, sector_bytes, &found, err);
    }
    for (size_t i = 0; rc == 0 && !found && i < n_embedded_schemas; i++) {
        if (!fs_layout_is_alone(embedded_schemas[i].name))
            continue;
        rc = fs_layout(embedded_schemas[i].name, &layout, err);
        if (rc == 0)
            rc = stack_schema_matches(layout, options, dev, sector_bytes, &found, err);
    }
    if (rc == 0)
        *ret = found ? layout : NULL;
    return rc;
}
