/* Judging: layout checks on all that a walk yields, the layout's own rules, what the driver knows, and what
 * only the whole disk shows. */
#include <stdio.h>
#include <string.h>

#include "lib/fs/stack_private.h"
#include "lib/fs/verify.h"

/* ---- one layer ---- */

struct layer_verify {
    const struct finding_sink *outer;
    struct finding_sink counted; /* counts, then hands on to outer */
    struct verify_totals totals;
    struct plat_err failed; /* why a check stopped the walk: the walk knows only that it was stopped */
    struct plat_err *err;
};

static int count_finding(void *ctx, const struct finding *finding)
{
    struct layer_verify *verify = ctx;
    switch (finding->severity) {
    case SEVERITY_ERROR:
        verify->totals.errors++;
        break;
    case SEVERITY_WARNING:
        verify->totals.warnings++;
        break;
    case SEVERITY_NOTE:
        verify->totals.notes++;
        break;
    }
    return verify->outer->fn == NULL ? 0 : verify->outer->fn(verify->outer->ctx, finding);
}

static int check_instance(void *ctx, const struct inst *inst)
{
    struct layer_verify *verify = ctx;
    verify->totals.structures++;
    /* A copy is compared with its original, so a fault that both have is reported once. */
    return inst->is_mirror ? 0 : inst_check(inst, &verify->counted, &verify->failed);
}

/* Damage that ended a step early is a finding; the steps behind it still run. */
static int step_result(struct layer_verify *verify, int rc, const struct plat_err *why, const char *id)
{
    switch (rc) {
    case PLAT_ECORRUPT:
    case PLAT_ELIMIT:
    case PLAT_EUNSUPPORTED:
    case PLAT_EINVALID:
    case PLAT_ENOTFOUND:
        return finding_report(&verify->counted, SEVERITY_ERROR, id, why->path,
                              why->has_offset ? &why->offset : NULL, NULL, "%s", why->text);
    default:
        if (verify->failed.class == rc)
            why = &verify->failed;
        if (rc != 0 && why->class != 0 && verify->err != NULL)
            *verify->err = *why;
        return rc;
    }
}

/* A layer without a driver (a schema alone) has its map and its rules. */
static int verify_layer(struct fs *fs, struct image *image, struct layer_verify *verify)
{
    const struct walk_sink sink = {.ctx = verify, .instance = check_instance, .findings = verify->counted};
    struct plat_err why = {0};
    int rc = 0;
    if (fs != NULL && fs->driver->walk != NULL)
        rc = fs->driver->walk(fs, &sink, &why);
    else if (image != NULL)
        rc = image_walk_map(image, &sink, &why);
    rc = step_result(verify, rc, &why, "walk");
    if (rc == 0 && image != NULL) {
        why = (struct plat_err){0};
        rc = image_check_rules(image, &verify->counted, &why);
        rc = step_result(verify, rc, &why, "rules");
    }
    if (rc == 0 && fs != NULL && fs->driver->check != NULL) {
        why = (struct plat_err){0};
        rc = fs->driver->check(fs, &verify->counted, &why);
        rc = step_result(verify, rc, &why, "check");
    }
    return rc;
}

static void add_totals(struct verify_totals *totals, const struct verify_totals *more)
{
    if (totals == NULL)
        return;
    totals->errors += more->errors;
    totals->warnings += more->warnings;
    totals->notes += more->notes;
    totals->structures += more->structures;
}

int fs_verify(struct fs *fs, const struct finding_sink *sink, struct verify_totals *totals,
              struct plat_err *err)
{
    struct layer_verify verify = {.outer = sink, .err = err};
    verify.counted = (struct finding_sink){.fn = count_finding, .ctx = &verify};
    int rc = verify_layer(fs, fs->image, &verify);
    add_totals(totals, &verify.totals);
    return rc;
}

/* ---- all layers ---- */

struct stack_verify {
    const struct finding_sink *outer;
    const struct stack_layer *layer; /* whose findings come in */
    struct stack *stack;
    struct strbuf path;
    struct verify_totals *totals;
    struct layer_verify gaps; /* findings of the stack itself */
    struct plat_err *err;
};

static int translate_finding(void *ctx, const struct finding *finding)
{
    struct stack_verify *verify = ctx;
    struct finding outer = *finding;
    outer.offset += verify->layer->dev->base_offset;
    outer.path = stack_path(&verify->path, verify->layer->prefix, finding->path != NULL ? finding->path : "");
    if (outer.path == NULL)
        return err_nomem(verify->err, "verifying an image");
    return verify->outer->fn == NULL ? 0 : verify->outer->fn(verify->outer->ctx, &outer);
}

static int verify_one(struct stack_verify *verify, struct stack_layer *layer)
{
    verify->layer = layer;
    const struct finding_sink translated = {.fn = translate_finding, .ctx = verify};
    struct layer_verify one = {.outer = &translated, .err = verify->err};
    one.counted = (struct finding_sink){.fn = count_finding, .ctx = &one};
    int rc = 0;
    if (layer->fs == NULL && layer->err.class != 0)
        rc = finding_report(&one.counted, SEVERITY_ERROR, layer->refusal[0] != '\0' ? "refused" : "open",
                            layer->err.path, layer->err.has_offset ? &layer->err.offset : NULL, NULL, "%s",
                            layer->err.text);
    else if (layer->image != NULL || layer->fs != NULL)
        rc = verify_layer(layer->fs, layer->image, &one);
    add_totals(verify->totals, &one.totals);
    return rc;
}

/* Partitions that are not wholly on the device. */
static int verify_windows(struct stack_verify *verify)
{
    const struct stack *stack = verify->stack;
    for (size_t i = 0; i < stack->n_partitions; i++) {
        const struct table_partition *partition = &stack->partitions[i];
        struct range window;
        bool whole = false;
        char path[16];
        bool there = stack_window(stack, partition, &window, &whole);
        if (there && whole)
            continue;
        (void)snprintf(path, sizeof path, "p%u", partition->number);
        int rc = finding_report(
            &verify->gaps.counted, SEVERITY_ERROR, "stack-window", path, there ? &window.start : NULL, NULL,
            "partition %u (sectors %llu to %llu) %s the end of the image of %llu bytes; what is "
            "missing cannot be checked",
            partition->number, (unsigned long long)partition->first_sector,
            (unsigned long long)(partition->first_sector + partition->sectors - 1),
            there ? "runs past" : "lies beyond", (unsigned long long)stack->dev->size_bytes);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* A partition to boot from that is not typed as one. EDK2 looks in every FAT; not everybody does. */
static int verify_boot_types(struct stack_verify *verify)
{
    static const char *const refused_by[] = {"windows", "other-firmware", NULL};
    const struct stack *stack = verify->stack;
    for (size_t i = 0; strcmp(stack->table, "gpt") == 0 && i < stack->n_layers; i++) {
        const struct stack_layer *layer = &stack->layers[i];
        uint64_t node;
        if (!layer->from_table || layer->fs == NULL || layer->fs->driver->lookup == NULL ||
            strcmp(layer->partition.type, "esp") == 0 || fs_resolve(layer->fs, "/EFI/BOOT", &node, NULL) != 0)
            continue;
        int rc =
            finding_report(&verify->gaps.counted, SEVERITY_WARNING, "esp-type", layer->alias,
                           &layer->dev->base_offset, refused_by,
                           "partition %u holds /EFI/BOOT, but its type is %s and not esp: it is not taken "
                           "for a system partition",
                           layer->partition.number, layer->partition.type);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int verify_gap(void *ctx, size_t index, struct range gap)
{
    struct stack_verify *verify = ctx;
    const uint64_t base = verify->stack->dev->base_offset;
    bool found = false;
    uint64_t at = 0;
    int rc = dev_find_nonzero(verify->stack->dev, gap, &found, &at, verify->err);
    if (rc != 0 || !found)
        return rc;
    char path[32], text[256];
    (void)snprintf(path, sizeof path, "gap[%zu]", index);
    (void)snprintf(
        text, sizeof text,
        "bytes 0x%llx to 0x%llx belong to no partition and no structure, but are not all zero: the first is "
        "at 0x%llx",
        (unsigned long long)(base + gap.start), (unsigned long long)(base + gap.start + gap.bytes - 1),
        (unsigned long long)(base + at));
    const struct finding finding = {.severity = SEVERITY_WARNING,
                                    .id = "stack-gap",
                                    .path = path,
                                    .has_offset = true,
                                    .offset = base + at,
                                    .text = text};
    return count_finding(&verify->gaps, &finding);
}

/* A shared device: two that own the same bytes, or bytes that nobody owns and that are not zero. */
static int verify_share(void *ctx, const struct stack_layer *layer, size_t index, struct range part,
                        bool overlap)
{
    struct stack_verify *verify = ctx;
    const uint64_t base = layer->dev->base_offset, start = base + part.start;
    bool found = overlap;
    uint64_t at = part.start;
    char path[48];
    int rc = overlap ? 0 : dev_find_nonzero(layer->dev, part, &found, &at, verify->err);
    if (rc != 0 || !found)
        return rc;
    at += base;
    (void)snprintf(path, sizeof path, "%s%sgap[%zu]", layer->alias, layer->alias[0] == '\0' ? "" : ".",
                   index);
    if (overlap)
        return finding_report(
            &verify->gaps.counted, SEVERITY_ERROR, "share-overlap", layer->prefix, &start, NULL,
            "bytes 0x%llx to 0x%llx are claimed by two formats that share the device: one of "
            "them will overwrite the other",
            (unsigned long long)start, (unsigned long long)(start + part.bytes - 1));
    return finding_report(
        &verify->gaps.counted, SEVERITY_ERROR, "share-gap", path, &at, NULL,
        "bytes 0x%llx to 0x%llx belong to no format that shares the device, but are not all zero",
        (unsigned long long)start, (unsigned long long)(start + part.bytes - 1));
}

/* Room for a neighbour, and nobody there: what was in it may be lost, and is not looked at. */
static int verify_missing(struct stack_verify *verify)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < verify->stack->n_layers; i++) {
        const struct stack_layer *layer = &verify->stack->layers[i];
        const struct fs_driver *missing = stack_share_missing(layer);
        if (missing == NULL)
            continue;
        const uint64_t at = layer->dev->base_offset + missing->share->offset;
        rc = finding_report(
            &verify->gaps.counted, SEVERITY_WARNING, "share-missing", layer->prefix, &at, NULL,
            "%s leaves this place to another format, and there is no %s (%s): what else may be there "
            "is not checked",
            layer->driver->name, missing->name, missing->title);
    }
    return rc;
}

int stack_verify(struct stack *stack, const struct finding_sink *sink, struct verify_totals *totals,
                 struct plat_err *err)
{
    struct stack_verify verify = {.outer = sink, .stack = stack, .totals = totals, .err = err};
    verify.gaps.outer = sink;
    verify.gaps.counted = (struct finding_sink){.fn = count_finding, .ctx = &verify.gaps};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++)
        rc = verify_one(&verify, &stack->layers[i]);
    /* With -p only one partition is judged, and the disk around it is not. */
    bool whole_disk = stack->n_layers > 0 && stack->table != NULL && !stack->layers[0].from_table;
    if (rc == 0 && whole_disk)
        rc = verify_windows(&verify);
    if (rc == 0 && whole_disk)
        rc = verify_boot_types(&verify);
    if (rc == 0 && whole_disk)
        rc = stack_gaps(stack, verify_gap, &verify, err);
    if (rc == 0)
        rc = stack_share_parts(stack, verify_share, &verify);
    if (rc == 0)
        rc = verify_missing(&verify);
    add_totals(totals, &verify.gaps.totals);
    strbuf_free(&verify.path);
    return rc;
}

/* ---- contents ---- */

static int scrub_one(struct stack_verify *verify, struct stack_layer *layer, struct progress *progress)
{
    verify->layer = layer;
    const struct finding_sink translated = {.fn = translate_finding, .ctx = verify};
    struct layer_verify one = {.outer = &translated, .err = verify->err};
    struct plat_err why = {0};
    one.counted = (struct finding_sink){.fn = count_finding, .ctx = &one};
    int rc;
    if (layer->driver->scrub != NULL) {
        rc = layer->driver->scrub(layer->fs, &one.counted, progress, &why);
        rc = step_result(&one, rc, &why, "scrub");
    } else {
        rc = finding_report(&one.counted, SEVERITY_NOTE, "no-data-checksums", "", NULL, NULL,
                            "%s keeps no checksums of file contents: they cannot be checked",
                            layer->driver->name);
    }
    add_totals(verify->totals, &one.totals);
    return rc;
}

int stack_scrub(struct stack *stack, const struct finding_sink *sink, struct verify_totals *totals,
                struct progress *progress, struct plat_err *err)
{
    struct stack_verify verify = {.outer = sink, .stack = stack, .totals = totals, .err = err};
    int rc = 0;
    for (size_t i = 0; progress != NULL && i < stack->n_layers; i++)
        if (stack->layers[i].fs != NULL && stack->layers[i].driver->scrub != NULL)
            progress->total_bytes += stack_share_bytes(&stack->layers[i]);
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        if (layer->fs != NULL && layer->driver->readdir != NULL)
            rc = scrub_one(&verify, layer, progress);
    }
    strbuf_free(&verify.path);
    return rc;
}
