/* Carrying out repairs: a plan is tried, judged, and only then written; layer by layer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/repair_private.h"
#include "lib/fs/stack_private.h"

/* ---- one layer ---- */

struct layer_repair {
    struct fs *fs;
    const struct repair_sink *sink;
    struct repair_totals *totals;
    struct repair_plan plan;
    struct repair_trial before;
};

static int refuse(const struct repair_sink *sink, struct repair_totals *totals, const char *path,
                  uint64_t offset, const char *text)
{
    totals->refused++;
    return sink->refused == NULL ? 0 : sink->refused(sink->ctx, path, offset, text);
}

static const struct repair_found *first_error(const struct repair_trial *trial)
{
    const struct repair_found *first = NULL;
    for (size_t i = 0; i < trial->n; i++)
        if (trial->list[i].severity == SEVERITY_ERROR &&
            (first == NULL || trial->list[i].offset < first->offset))
            first = &trial->list[i];
    return first;
}

/* Drops what would change nothing. */
static int drop_idle(struct layer_repair *layer, struct plat_err *err)
{
    struct repair_plan *plan = &layer->plan;
    size_t kept = 0;
    for (size_t i = 0; i < plan->n; i++) {
        struct repair_difference difference;
        int rc = repair_apply(layer->fs->dev, &plan->list[i], false, &difference, err);
        if (rc != 0)
            return rc;
        if (difference.span.bytes > 0)
            plan->list[kept++] = plan->list[i];
    }
    plan->n = kept;
    return 0;
}

/* Would verify have anything to say about what is rewritten, or more to say in all? Then nothing is. */
static int try_plan(struct layer_repair *layer, struct plat_err *err)
{
    struct repair_plan *plan = &layer->plan;
    struct repair_trial after;
    char text[2 * REPAIR_TEXT_BYTES] = "";
    int rc = repair_try(layer->fs, plan, &after, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; text[0] == '\0' && i < plan->n; i++) {
        const struct repair *repair = &plan->list[i];
        const struct range source = {repair->source_offset, repair->place.bytes};
        const char *fault = repair_trial_fault(&after, repair->place, SEVERITY_ERROR);
        if (fault == NULL)
            fault = repair_trial_fault(&after, source, SEVERITY_ERROR);
        if (fault != NULL)
            (void)snprintf(text, sizeof text, "%s is not sound itself: %s", repair->source, fault);
    }
    if (text[0] == '\0' && (!after.opened || after.errors > layer->before.errors)) {
        const struct repair_found *fault = first_error(&after);
        (void)snprintf(text, sizeof text, "rewriting it from %s would bring up other faults: %s",
                       plan->list[0].source, fault != NULL ? fault->text : "the format would be lost");
    }
    repair_trial_free(&after);
    for (size_t i = 0; rc == 0 && text[0] != '\0' && i < plan->n; i++)
        rc = refuse(layer->sink, layer->totals, plan->list[i].path, plan->list[i].place.start, text);
    if (text[0] != '\0')
        plan->n = 0;
    return rc;
}

/* What verify said about the bytes that are rewritten: the worst of it. */
static const struct repair_found *reason(const struct repair_trial *before, struct range span)
{
    const struct repair_found *worst = NULL;
    for (size_t i = 0; i < before->n; i++) {
        const struct repair_found *found = &before->list[i];
        if (found->has_offset && found->offset >= span.start && found->offset - span.start < span.bytes &&
            (worst == NULL || found->severity < worst->severity ||
             (found->severity == worst->severity && found->offset < worst->offset)))
            worst = found;
    }
    return worst;
}

/* Writes, flushes, reads again. */
static int carry_out(struct layer_repair *layer, const struct repair *repair, struct plat_err *err)
{
    struct repair_difference written, left;
    struct plat_dev *dev = layer->fs->dev;
    int rc = repair_apply(dev, repair, true, &written, err);
    if (rc == 0)
        rc = dev_flush(dev, err);
    if (rc == 0)
        rc = repair_apply(dev, repair, false, &left, err);
    if (rc == 0 && left.span.bytes > 0)
        rc = err_at(err, PLAT_EIO, left.span.start, repair->path,
                    "what was written here is not what is read again; the good copy (%s) is as it was",
                    repair->source);
    if (rc != 0)
        return rc;
    const struct repair_found *why = reason(&layer->before, written.span);
    if (why == NULL)
        why = reason(&layer->before, repair->place);
    const struct repair_done done = {.path = repair->path,
                                     .source = repair->source,
                                     .offset = written.span.start,
                                     .source_offset = repair->source_offset,
                                     .bytes = written.span.bytes,
                                     .written_bytes = written.written_bytes,
                                     .finding = why != NULL ? why->id : "",
                                     .why = why != NULL ? why->text : ""};
    layer->totals->repaired++;
    return layer->sink->repaired == NULL ? 0 : layer->sink->repaired(layer->sink->ctx, &done);
}

static int plan_and_write(struct layer_repair *layer, struct plat_err *err)
{
    struct repair_plan *plan = &layer->plan;
    const struct fs_driver *driver = layer->fs->driver;
    int rc = repair_judge(layer->fs, &layer->before, err);
    if (rc != 0)
        return rc;
    if (driver->repair == NULL) {
        char text[REPAIR_TEXT_BYTES];
        if (layer->before.errors == 0)
            return 0;
        (void)snprintf(text, sizeof text,
                       "%s keeps no second copy of anything: there is nothing to repair from", driver->name);
        return refuse(layer->sink, layer->totals, "", 0, text);
    }
    rc = driver->repair(layer->fs, plan, err);
    if (rc == 0)
        rc = drop_idle(layer, err);
    if (rc == 0 && plan->n > 0)
        rc = try_plan(layer, err);
    for (size_t i = 0; rc == 0 && i < plan->n; i++)
        rc = carry_out(layer, &plan->list[i], err);
    for (size_t i = 0; rc == 0 && i < plan->n_refusals; i++) {
        const struct repair_refusal *refusal = &plan->refusals[i];
        rc = refuse(layer->sink, layer->totals, refusal->path, refusal->offset, refusal->text);
    }
    return rc;
}

int fs_repair(struct fs *fs, uint32_t sector_bytes, const struct repair_sink *sink,
              struct repair_totals *totals, struct plat_err *err)
{
    struct repair_totals unseen = {0};
    struct layer_repair layer = {.fs = fs,
                                 .sink = sink,
                                 .totals = totals != NULL ? totals : &unseen,
                                 .plan = {.sector_bytes = sector_bytes}};
    int rc = plan_and_write(&layer, err);
    repair_trial_free(&layer.before);
    repair_plan_free(&layer.plan);
    return rc;
}

/* ---- all layers ---- */

struct stack_repair {
    const struct repair_sink *outer;
    struct repair_totals *totals;
    const struct stack_layer *layer; /* whose repairs come in */
    struct strbuf path, source;
    struct plat_err *err;
};

static int translate_done(void *ctx, const struct repair_done *done)
{
    struct stack_repair *repair = ctx;
    const struct stack_layer *layer = repair->layer;
    struct repair_done outer = *done;
    outer.path = stack_path(&repair->path, layer->prefix, done->path);
    outer.source = stack_path(&repair->source, layer->prefix, done->source);
    outer.offset += layer->dev->base_offset;
    outer.source_offset += layer->dev->base_offset;
    if (outer.path == NULL || outer.source == NULL)
        return err_nomem(repair->err, "repairing an image");
    return repair->outer->repaired == NULL ? 0 : repair->outer->repaired(repair->outer->ctx, &outer);
}

static int translate_refused(void *ctx, const char *path, uint64_t offset, const char *text)
{
    struct stack_repair *repair = ctx;
    const char *outer = stack_path(&repair->path, repair->layer->prefix, path);
    if (outer == NULL)
        return err_nomem(repair->err, "repairing an image");
    return repair->outer->refused == NULL
               ? 0
               : repair->outer->refused(repair->outer->ctx, outer, offset + repair->layer->dev->base_offset,
                                        text);
}

static bool is_table_with_copies(const struct stack_layer *layer)
{
    return layer->fs != NULL && layer->driver->partitions != NULL && layer->driver->repair != NULL;
}

/* The tables that have copies, or everything else. */
static int repair_layers(struct stack_repair *repair, struct stack *stack, bool tables)
{
    const struct repair_sink sink = {.ctx = repair, .repaired = translate_done, .refused = translate_refused};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        if (layer->driver == NULL || is_table_with_copies(layer) != tables)
            continue;
        repair->layer = layer;
        if (layer->fs != NULL)
            rc = fs_repair(layer->fs, stack->sector_bytes, &sink, repair->totals, repair->err);
        else if (layer->err.class != 0)
            rc = refuse(&sink, repair->totals, layer->err.path, layer->err.has_offset ? layer->err.offset : 0,
                        layer->err.text);
    }
    return rc;
}

int stack_repair(struct plat_dev *dev, const struct stack_options *options, const struct repair_sink *sink,
                 struct repair_totals *totals, struct plat_err *err)
{
    struct repair_totals unseen = {0};
    struct stack_repair repair = {.outer = sink, .totals = totals != NULL ? totals : &unseen, .err = err};
    int rc = 0;
    /* What a table says of partitions is believed only when the table has been seen to. */
    for (int tables = 1; rc == 0 && tables >= 0; tables--) {
        struct stack *stack;
        rc = stack_open(dev, options, &stack, err);
        if (rc != 0)
            break;
        rc = repair_layers(&repair, stack, tables != 0);
        stack_close(stack);
    }
    strbuf_free(&repair.path);
    strbuf_free(&repair.source);
    return rc;
}
