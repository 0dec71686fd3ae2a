/* Finding the layers of an image: whole-disk formats first, then what lies in each partition. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/stack_private.h"

/* What every driver says of the whole device. */
struct survey {
    struct fs_probe_result *results; /* by index in fs_drivers */
    size_t best;                     /* n_fs_drivers: nothing recognised */
};

static int survey_device(struct plat_dev *dev, const struct fs_open_options *options, struct survey *ret,
                         struct plat_err *err)
{
    struct survey survey = {.results = calloc(n_fs_drivers + 1, sizeof(struct fs_probe_result)),
                            .best = n_fs_drivers};
    if (survey.results == NULL)
        return err_nomem(err, "probing an image");
    for (size_t i = 0; i < n_fs_drivers; i++) {
        int rc = fs_probe_one(fs_drivers[i], dev, options, &survey.results[i], err);
        if (rc != 0) {
            free(survey.results);
            return rc;
        }
        int best = survey.best == n_fs_drivers ? 0 : survey.results[survey.best].score;
        if (survey.results[i].score > best)
            survey.best = i;
    }
    *ret = survey;
    return 0;
}

static int unknown_format(struct plat_dev *dev, struct plat_err *err)
{
    struct strbuf known = {0};
    for (size_t i = 0; i < n_fs_drivers; i++)
        if (fs_drivers[i]->probe != NULL)
            strbuf_printf(&known, "%s%s", known.len == 0 ? "" : ", ", fs_drivers[i]->name);
    int rc =
        err_set(err, PLAT_EUNSUPPORTED,
                "no known format: it is none of %.300s; a description of yours can be given with --schema",
                strbuf_str(&known));
    strbuf_free(&known);
    err_image(err, dev->name);
    return rc;
}

int stack_layer_add(struct stack *stack, struct stack_layer **ret, struct plat_err *err)
{
    struct stack_layer *layers = realloc(stack->layers, (stack->n_layers + 1) * sizeof *layers);
    if (layers == NULL)
        return err_nomem(err, "opening the layers of an image");
    stack->layers = layers;
    *ret = &layers[stack->n_layers++];
    memset(*ret, 0, sizeof **ret);
    return 0;
}

int stack_layer_open(struct stack_layer *layer, const struct fs_driver *driver, const char *refusal,
                     const struct fs_open_options *options, struct plat_err *err)
{
    layer->driver = driver;
    if (refusal[0] != '\0') {
        (void)snprintf(layer->refusal, sizeof layer->refusal, "%s", refusal);
        (void)err_set(&layer->err, PLAT_EUNSUPPORTED, "%s", refusal);
        err_image(&layer->err, layer->dev->name);
        return 0;
    }
    int rc = fs_open(driver, layer->dev, options, &layer->fs, &layer->err);
    if (rc == 0)
        layer->image = layer->fs->image;
    else if (rc == PLAT_ENOMEM && err != NULL)
        *err = layer->err;
    return rc == PLAT_ENOMEM ? rc : 0;
}

void stack_layer_close(struct stack_layer *layer)
{
    if (layer->fs != NULL)
        fs_close(layer->fs);
    else if (layer->image != NULL)
        image_close(layer->image);
    if (layer->owns_dev)
        dev_close(layer->dev);
}

static int collect_partition(void *ctx, const struct table_partition *partition)
{
    struct stack *stack = ctx;
    if (stack->n_partitions == TABLE_MAX_PARTITIONS)
        return PLAT_ELIMIT;
    /* Grown in steps, so that a table of four costs little. */
    if (stack->n_partitions % 16 == 0) {
        size_t cap = stack->n_partitions + 16;
        struct table_partition *list = realloc(stack->partitions, cap * sizeof *list);
        if (list == NULL)
            return PLAT_ENOMEM;
        stack->partitions = list;
    }
    stack->partitions[stack->n_partitions++] = *partition;
    return 0;
}

static int read_partitions(struct stack *stack, struct fs *table, bool degraded, struct plat_err *err)
{
    struct plat_err inner = {0};
    int rc = table->driver->partitions(table, collect_partition, stack, &inner);
    if (rc == PLAT_ENOMEM)
        return err_nomem(err, "listing partitions");
    if (rc == PLAT_ELIMIT && inner.class == 0)
        return err_set(err, rc, "the table lists more than %d partitions, which is all that is supported",
                       (int)TABLE_MAX_PARTITIONS);
    if (rc != 0 && !degraded) {
        if (err != NULL)
            *err = inner;
        return rc;
    }
    return 0;
}

bool stack_window(const struct stack *stack, const struct table_partition *partition, struct range *ret,
                  bool *ret_whole)
{
    struct range window;
    uint64_t size = stack->dev->size_bytes;
    if (!mul_u64(partition->first_sector, stack->sector_bytes, &window.start) || window.start >= size)
        return false;
    uint64_t padded;
    bool there = mul_u64(partition->sectors, stack->sector_bytes, &window.bytes);
    bool whole = there && align_up_u64(size, stack->sector_bytes, &padded) && range_within(window, padded);
    if (!there || !range_within(window, size))
        window.bytes = size - window.start;
    if (window.bytes == 0)
        return false;
    *ret = window;
    *ret_whole = whole;
    return true;
}

static bool is_identifier(const char *s)
{
    if (!isalpha((unsigned char)s[0]) && s[0] != '_')
        return false;
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '-')
            return false;
    return true;
}

/* Whether a partition's own name can serve as its prefix. */
static bool name_is_free(const struct stack *stack, const struct table_partition *partition)
{
    const char *name = partition->name;
    if (!is_identifier(name) ||
        (name[0] == 'p' && name[1] != '\0' && name[1 + strspn(name + 1, "0123456789")] == '\0'))
        return false;
    for (size_t i = 0; i < n_fs_drivers; i++)
        if (fs_drivers[i]->partitions != NULL && strcmp(fs_drivers[i]->name, name) == 0)
            return false;
    for (size_t i = 0; i < stack->n_partitions; i++)
        if (&stack->partitions[i] != partition && strcmp(stack->partitions[i].name, name) == 0)
            return false;
    return true;
}

/* The layer of one partition: a window, and in it the format that knows it best; layers, where two share it. */
static int open_partition(struct stack *stack, const struct table_partition *partition,
                          const struct stack_options *options, bool bare_prefix, const char *only,
                          struct plat_err *err)
{
    struct range window;
    bool whole;
    if (!stack_window(stack, partition, &window, &whole))
        return 0; /* nothing of it is there; stack_verify reports it */
    struct stack_layer *layer;
    int rc = stack_layer_add(stack, &layer, err);
    if (rc != 0)
        return rc;
    layer->partition = *partition;
    layer->from_table = true;
    (void)snprintf(layer->alias, sizeof layer->alias, "p%u", partition->number);
    if (!bare_prefix)
        (void)snprintf(layer->prefix, sizeof layer->prefix, "%s",
                       name_is_free(stack, partition) ? partition->name : layer->alias);
    if ((rc = dev_open_window(stack->dev, window, &layer->dev, err)) != 0)
        return rc;
    layer->owns_dev = true;
    bool matches = bare_prefix && options->schema != NULL;
    if (!matches)
        rc = stack_schema_matches(options->schema, options, layer->dev, stack->sector_bytes, &matches, err);
    if (rc != 0)
        return rc;
    if (matches)
        return stack_open_schema(layer, options->schema, options, stack->sector_bytes, err);
    const struct fs_open_options open_options = {.sector_bytes = stack->sector_bytes,
                                                 .degraded = options->degraded};
    struct survey survey;
    if ((rc = survey_device(layer->dev, &open_options, &survey, err)) != 0)
        return rc;
    /* A table inside a partition is content like any other: disks are not nested here. */
    size_t best = n_fs_drivers;
    for (size_t i = 0; i < n_fs_drivers; i++)
        if (fs_drivers[i]->partitions == NULL && survey.results[i].score > 0 &&
            (best == n_fs_drivers || survey.results[i].score > survey.results[best].score))
            best = i;
    if (best < n_fs_drivers)
        rc = stack_layer_open(layer, fs_drivers[best], survey.results[best].refusal, &open_options, err);
    if (rc == 0 && best < n_fs_drivers)
        rc = stack_share_open(stack, survey.results, &open_options, only, err);
    free(survey.results);
    const struct layout *schema = NULL;
    if (rc == 0 && best == n_fs_drivers)
        rc = stack_find_schema(options, layer->dev, stack->sector_bytes, &schema, err);
    return rc == 0 && schema != NULL ? stack_open_schema(layer, schema, options, stack->sector_bytes, err)
                                     : rc;
}

/* The partition that -p names: its name, "p2" or "2". */
static int choose_partition(const struct stack *stack, const char *wanted, const struct table_partition **ret,
                            struct plat_err *err)
{
    const struct table_partition *found = NULL;
    for (size_t i = 0; i < stack->n_partitions; i++) {
        if (stack->partitions[i].name[0] == '\0' || strcmp(stack->partitions[i].name, wanted) != 0)
            continue;
        if (found != NULL)
            return err_set(err, PLAT_EINVALID,
                           "partitions %u and %u are both named '%.100s'; give the number", found->number,
                           stack->partitions[i].number, wanted);
        found = &stack->partitions[i];
    }
    uint64_t number;
    if (found == NULL && parse_u64(wanted + (wanted[0] == 'p'), &number, NULL) == 0) {
        for (size_t i = 0; i < stack->n_partitions; i++)
            if (stack->partitions[i].number == number)
                found = &stack->partitions[i];
    }
    if (found != NULL) {
        *ret = found;
        return 0;
    }
    struct strbuf known = {0};
    for (size_t i = 0; i < stack->n_partitions && known.len < 300; i++) {
        strbuf_printf(&known, "%s%u", i == 0 ? "" : ", ", stack->partitions[i].number);
        if (stack->partitions[i].name[0] != '\0') {
            strbuf_puts(&known, " (");
            strbuf_visible(&known, stack->partitions[i].name, strlen(stack->partitions[i].name));
            strbuf_puts(&known, ")");
        }
    }
    int rc = err_set(err, PLAT_ENOTFOUND, "no partition '%.100s'; the %s table has %s", wanted, stack->table,
                     known.len == 0 ? "none" : strbuf_str(&known));
    strbuf_free(&known);
    return rc;
}

/* The same, or one of two layers in it: "data-fs". */
static int choose_layer(const struct stack *stack, const char *wanted, const struct table_partition **ret,
                        const char **ret_only, struct plat_err *err)
{
    char name[TABLE_NAME_BYTES];
    const char *only;
    size_t n;
    int rc = choose_partition(stack, wanted, ret, err);
    if (rc != PLAT_ENOTFOUND || !stack_share_name(wanted, &n, &only) || n == 0 || n >= sizeof name)
        return rc;
    memcpy(name, wanted, n);
    name[n] = '\0';
    *ret_only = only;
    return choose_partition(stack, name, ret, err);
}

/* Drops the layers of the tables, once they have told what the partitions are. */
static void drop_layers(struct stack *stack)
{
    for (size_t i = 0; i < stack->n_layers; i++)
        stack_layer_close(&stack->layers[i]);
    stack->n_layers = 0;
}

/* Whether a filesystem begins where the table puts a partition, counted in such sectors. */
static int sectors_fit(struct stack *stack, uint32_t sector_bytes, bool *ret, struct plat_err *err)
{
    const struct fs_open_options options = {.sector_bytes = sector_bytes};
    bool found = false;
    stack->sector_bytes = sector_bytes;
    for (size_t i = 0; i < stack->n_partitions && !found; i++) {
        struct range window;
        struct plat_dev *dev;
        struct survey survey;
        bool whole;
        if (!stack_window(stack, &stack->partitions[i], &window, &whole))
            continue;
        int rc = dev_open_window(stack->dev, window, &dev, err);
        if (rc != 0)
            return rc;
        rc = survey_device(dev, &options, &survey, err);
        dev_close(dev);
        if (rc != 0)
            return rc;
        for (size_t k = 0; k < n_fs_drivers; k++) {
            const struct fs_probe_result *result = &survey.results[k];
            found = found || (fs_drivers[k]->partitions == NULL && result->score >= FS_PROBE_YES &&
                              result->sector_bytes == sector_bytes);
        }
        free(survey.results);
    }
    *ret = found;
    return 0;
}

/* Sectors of a disk whose table does not say: 4096 bytes where a filesystem with such sectors begins by that count, and
 * none with 512 by the other. */
static int settle_sectors(struct stack *stack, const struct fs_driver *table, struct plat_err *err)
{
    const struct fs_open_options options = {.sector_bytes = 512, .degraded = true};
    struct fs *fs;
    bool small = false, large = false;
    int rc = fs_open(table, stack->dev, &options, &fs, NULL);
    if (rc != 0) /* open_disk will say so */
        return rc == PLAT_ENOMEM ? err_nomem(err, "opening a partition table") : 0;
    rc = read_partitions(stack, fs, true, err);
    fs_close(fs);
    if (rc == 0)
        rc = sectors_fit(stack, 512, &small, err);
    if (rc == 0 && !small)
        rc = sectors_fit(stack, 4096, &large, err);
    stack->sector_bytes = large ? 4096 : 512;
    stack->n_partitions = 0; /* open_disk reads them again */
    return rc;
}

/* A disk: every table on it is a layer, and the one that fits best names the partitions. */
static int open_disk(struct stack *stack, const struct survey *survey, const struct stack_options *options,
                     struct plat_err *err)
{
    const struct fs_driver *table = fs_drivers[survey->best];
    int rc = 0;
    if (survey->results[survey->best].sector_bytes == 0 && (rc = settle_sectors(stack, table, err)) != 0)
        return rc;
    const struct fs_open_options open_options = {.sector_bytes = stack->sector_bytes,
                                                 .degraded = options->degraded};
    struct fs *main_table = NULL;
    stack->table = table->name;
    /* The registry lists the most specific format first; on the disk the general one comes first (MBR, then
     * GPT). */
    for (size_t i = n_fs_drivers; i-- > 0;) {
        if (fs_drivers[i]->partitions == NULL || survey->results[i].score == 0)
            continue;
        struct stack_layer *layer;
        if ((rc = stack_layer_add(stack, &layer, err)) != 0)
            return rc;
        layer->dev = stack->dev;
        (void)snprintf(layer->prefix, sizeof layer->prefix, "%s", fs_drivers[i]->name);
        if ((rc = stack_layer_open(layer, fs_drivers[i], survey->results[i].refusal, &open_options, err)) !=
            0)
            return rc;
        if (fs_drivers[i] != table)
            continue;
        if (layer->fs == NULL && !options->degraded) {
            if (err != NULL)
                *err = layer->err;
            return layer->err.class;
        }
        main_table = layer->fs;
    }
    if (main_table != NULL && (rc = read_partitions(stack, main_table, options->degraded, err)) != 0)
        return rc;
    if (options->partition == NULL) {
        for (size_t i = 0; rc == 0 && i < stack->n_partitions; i++)
            rc = open_partition(stack, &stack->partitions[i], options, false, NULL, err);
        return rc;
    }
    const struct table_partition *chosen = NULL;
    const char *only = NULL;
    if ((rc = choose_layer(stack, options->partition, &chosen, &only, err)) != 0)
        return rc;
    drop_layers(stack);
    if ((rc = open_partition(stack, chosen, options, true, only, err)) != 0)
        return rc;
    if (stack->n_layers == 0)
        return err_set(err, PLAT_ECORRUPT,
                       "partition %u begins at sector %llu, beyond the end of the image (%llu bytes)",
                       chosen->number, (unsigned long long)chosen->first_sector,
                       (unsigned long long)stack->dev->size_bytes);
    return 0;
}

static int open_bare(struct stack *stack, const struct survey *survey, const struct stack_options *options,
                     struct plat_err *err)
{
    const struct fs_open_options open_options = {.sector_bytes = options->sector_bytes,
                                                 .degraded = options->degraded};
    struct stack_layer *layer;
    int rc = stack_layer_add(stack, &layer, err);
    if (rc != 0)
        return rc;
    layer->dev = stack->dev;
    rc = stack_layer_open(layer, fs_drivers[survey->best], survey->results[survey->best].refusal,
                          &open_options, err);
    if (rc == 0)
        rc = stack_share_open(stack, survey->results, &open_options, options->partition, err);
    if (rc == 0 && stack->n_layers == 1 && stack->layers[0].fs == NULL && !options->degraded) {
        layer = &stack->layers[0];
        if (err != NULL)
            *err = layer->err;
        rc = layer->err.class;
    }
    return rc;
}

static int open_whole_schema(struct stack *stack, const struct layout *schema,
                             const struct stack_options *options, struct plat_err *err)
{
    struct stack_layer *layer;
    int rc = stack_layer_add(stack, &layer, err);
    if (rc != 0)
        return rc;
    layer->dev = stack->dev;
    return stack_open_schema(layer, schema, options, options->sector_bytes, err);
}

static int open_known_schema(struct stack *stack, const struct stack_options *options, struct plat_err *err)
{
    const struct layout *schema;
    int rc = stack_find_schema(options, stack->dev, options->sector_bytes, &schema, err);
    if (rc != 0)
        return rc;
    return schema != NULL ? open_whole_schema(stack, schema, options, err) : unknown_format(stack->dev, err);
}

static int open_layers(struct stack *stack, const struct stack_options *options, struct plat_err *err)
{
    /* 1. The user's own layout, where it says that it fits the whole image. */
    const struct layout *schema = options->schema;
    bool matches = false;
    int rc = options->partition != NULL
                 ? 0
                 : stack_schema_matches(schema, options, stack->dev, options->sector_bytes, &matches, err);
    if (rc != 0)
        return rc;
    if (matches)
        return open_whole_schema(stack, schema, options, err);
    /* 2. What the drivers know. */
    const struct fs_open_options open_options = {.sector_bytes = options->sector_bytes,
                                                 .degraded = options->degraded};
    struct survey survey;
    rc = survey_device(stack->dev, &open_options, &survey, err);
    if (rc != 0)
        return rc;
    const struct fs_driver *best = survey.best < n_fs_drivers ? fs_drivers[survey.best] : NULL;
    if (best != NULL && survey.results[survey.best].sector_bytes != 0)
        stack->sector_bytes = survey.results[survey.best].sector_bytes;
    bool disk = best != NULL && best->partitions != NULL;
    if (disk)
        rc = open_disk(stack, &survey, options, err);
    else if (options->partition != NULL && (best == NULL || best->share == NULL))
        rc =
            err_set(err, PLAT_EINVALID, "the image has no partition table, so there is no partition '%.100s'",
                    options->partition);
    else if (schema != NULL)
        rc = open_whole_schema(stack, schema, options, err);
    else if (best != NULL)
        rc = open_bare(stack, &survey, options, err);
    else
        rc = open_known_schema(stack, options, err);
    free(survey.results);
    /* 3. On a disk where no partition matches it, the layout is meant for the whole image. */
    if (rc == 0 && disk && schema != NULL) {
        for (size_t i = 0; i < stack->n_layers; i++)
            if (stack->layers[i].image != NULL && stack->layers[i].image->layout == schema)
                return 0;
        drop_layers(stack);
        rc = open_whole_schema(stack, schema, options, err);
    }
    return rc;
}

int stack_open(struct plat_dev *dev, const struct stack_options *options, struct stack **ret,
               struct plat_err *err)
{
    struct stack *stack = calloc(1, sizeof *stack);
    if (stack == NULL)
        return err_nomem(err, "opening an image");
    const struct stack_options none = {0};
    if (options == NULL)
        options = &none;
    stack->dev = dev;
    stack->sector_bytes = options->sector_bytes != 0 ? options->sector_bytes : 512;
    int rc = open_layers(stack, options, err);
    if (rc == PLAT_EUNSUPPORTED && options->unknown_too && stack->n_layers == 0)
        rc = 0;
    if (rc != 0) {
        err_image(err, dev->name);
        stack_close(stack);
        return rc;
    }
    *ret = stack;
    return 0;
}

void stack_close(struct stack *stack)
{
    if (stack == NULL)
        return;
    drop_layers(stack);
    free(stack->layers);
    free(stack->partitions);
    free(stack);
}

int stack_filesystem(struct stack *stack, struct stack_layer **ret, struct plat_err *err)
{
    struct stack_layer *found = NULL, *failed = NULL;
    struct strbuf names = {0};
    size_t n = 0;
    for (size_t i = 0; i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        if (layer->driver == NULL || layer->driver->partitions != NULL)
            continue;
        if (layer->fs == NULL) {
            if (!layer->shared || layer->driver->share->is_main)
                failed = layer;
            continue;
        }
        if (layer->driver->readdir == NULL || (layer->shared && !layer->driver->share->is_main))
            continue;
        found = layer;
        strbuf_printf(&names, "%s%s", n++ == 0 ? "" : ", ", layer->prefix);
    }
    int rc = 0;
    if (n == 1) {
        *ret = found;
    } else if (n > 1) {
        rc = err_set(err, PLAT_EINVALID, "the image has %zu filesystems; choose one with -p: %.400s", n,
                     strbuf_str(&names));
    } else if (failed != NULL) {
        if (err != NULL)
            *err = failed->err;
        rc = failed->err.class;
    } else {
        rc = err_set(err, PLAT_EUNSUPPORTED, "no filesystem that can be read was found in the image");
    }
    err_image(err, stack->dev->name);
    strbuf_free(&names);
    return rc;
}

static bool is_name(const char *name, const char *text, size_t n)
{
    return strlen(name) == n && memcmp(name, text, n) == 0;
}

struct stack_layer *stack_layer_named(struct stack *stack, const char *name, size_t n)
{
    for (size_t i = 0; i < stack->n_layers; i++)
        if (is_name(stack->layers[i].prefix, name, n) || (n > 0 && is_name(stack->layers[i].alias, name, n)))
            return &stack->layers[i];
    for (size_t i = 0; n > 0 && i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        char number[16];
        if (!layer->from_table || (layer->shared && !layer->driver->share->is_main))
            continue;
        (void)snprintf(number, sizeof number, "p%u", layer->partition.number);
        if (is_name(layer->partition.name, name, n) || is_name(number, name, n))
            return layer;
    }
    return NULL;
}
