/* Judging an edit: what verification finds afterwards and did not find before. */
#include "inspect/edit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/verify.h"
#include "lib/hash/hash.h"

enum { JUDGE_MAX_KNOWN = 1 << 20 };

/* The errors that the image had before, as hashes of what tells one from another. */
struct known {
    uint64_t *list;
    size_t n, cap;
};

uint64_t edit_fingerprint(const struct finding *finding)
{
    struct strbuf text = {0};
    strbuf_puts(&text, finding->id);
    /* A path may change its name with a partition; a place stays. */
    if (finding->has_offset)
        strbuf_printf(&text, "@%" PRIu64, finding->offset);
    else
        strbuf_puts(&text, finding->path);
    if (finding->stream != NULL)
        strbuf_printf(&text, "+%s%" PRIu64, finding->stream, finding->position);
    uint64_t hash = hash_xxh64(strbuf_str(&text), text.len);
    strbuf_free(&text);
    return hash;
}

struct judge {
    struct edit *edit;
    struct inspect_image after;
    struct known known;
    finding_fn fn;
    void *ctx;
    uint64_t errors; /* any */
    uint64_t fresh;  /* not known */
};

static int remember(void *ctx, const struct finding *finding)
{
    struct known *known = ctx;
    if (finding->severity != SEVERITY_ERROR)
        return 0;
    if (known->n == known->cap) {
        size_t cap = known->cap == 0 ? 64 : 2 * known->cap;
        uint64_t *list = known->n < JUDGE_MAX_KNOWN ? realloc(known->list, cap * sizeof *list) : NULL;
        if (list == NULL)
            return PLAT_ENOMEM;
        known->list = list;
        known->cap = cap;
    }
    known->list[known->n++] = edit_fingerprint(finding);
    return 0;
}

static int count(void *ctx, const struct finding *finding)
{
    struct judge *judge = ctx;
    judge->errors += finding->severity == SEVERITY_ERROR;
    return 0;
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* What nobody could see before is not the edit's doing. */
static bool was_there(const struct judge *judge, const char *path)
{
    const struct stack_layer *layer = inspect_layer_at(&judge->after, path);
    const struct stack *before = judge->edit->before;
    for (size_t i = 0; layer != NULL && i < before->n_layers; i++)
        if (before->layers[i].dev->base_offset == layer->dev->base_offset &&
            before->layers[i].driver == layer->driver)
            return true;
    return layer == NULL;
}

static int report_fresh(void *ctx, const struct finding *finding)
{
    struct judge *judge = ctx;
    if (finding->severity != SEVERITY_ERROR || !was_there(judge, finding->path))
        return 0;
    const uint64_t hash = edit_fingerprint(finding);
    if (judge->known.n > 0 &&
        bsearch(&hash, judge->known.list, judge->known.n, sizeof hash, compare_hashes) != NULL)
        return 0;
    judge->fresh++;
    return judge->fn(judge->ctx, finding);
}

static int verify_all(struct stack *stack, finding_fn fn, void *ctx, struct plat_err *err)
{
    const struct finding_sink sink = {.fn = fn, .ctx = ctx};
    struct verify_totals totals = {0};
    int rc = stack_verify(stack, &sink, &totals, err);
    if (rc == 0)
        rc = stack_scrub(stack, &sink, &totals, NULL, err);
    return rc;
}

/* A layer that was there and can be opened no longer, where it was. */
static int find_lost(struct edit *edit, struct stack *after, struct judge *judge)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < edit->before->n_layers; i++) {
        const struct stack_layer *was = &edit->before->layers[i];
        bool found = was->driver == NULL || was->fs == NULL;
        for (size_t k = 0; after != NULL && !found && k < after->n_layers; k++)
            found = after->layers[k].driver == was->driver && after->layers[k].fs != NULL &&
                    after->layers[k].dev->base_offset == was->dev->base_offset;
        if (found)
            continue;
        struct strbuf text = {0};
        strbuf_printf(&text, "the %s here would no longer be recognised, or not be found in its place",
                      was->driver->title);
        const struct finding lost = {.severity = SEVERITY_ERROR,
                                     .id = "lost",
                                     .path = was->prefix,
                                     .has_offset = true,
                                     .offset = was->dev->base_offset,
                                     .text = strbuf_str(&text)};
        judge->fresh++;
        rc = judge->fn(judge->ctx, &lost);
        strbuf_free(&text);
    }
    return rc;
}

int edit_judge(struct edit *edit, finding_fn fn, void *ctx, uint64_t *ret_errors, struct plat_err *err)
{
    struct judge judge = {.edit = edit, .fn = fn, .ctx = ctx};
    struct stack_options options = edit->options->stack;
    struct stack *after = NULL;
    struct plat_err why = {0};
    options.degraded = true;
    int rc = stack_open(edit->overlay, &options, &after, &why);
    if (rc == PLAT_EIO || rc == PLAT_ENOMEM) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    judge.after = (struct inspect_image){.name = edit->name, .dev = edit->overlay, .stack = after};
    rc = find_lost(edit, after, &judge);
    if (rc == 0 && after != NULL)
        rc = verify_all(after, count, &judge, err);
    /* Most images have no errors: then there is nothing to compare with. */
    if (rc == 0 && judge.errors > 0) {
        rc = verify_all(edit->before, remember, &judge.known, err);
        if (rc == PLAT_ENOMEM)
            rc = err_set(err, PLAT_ELIMIT,
                         "the image has too many errors to compare with: plat repair it first, "
                         "or use --force");
        if (rc == 0 && judge.known.n > 0)
            qsort(judge.known.list, judge.known.n, sizeof *judge.known.list, compare_hashes);
        if (rc == 0)
            rc = verify_all(after, report_fresh, &judge, err);
    }
    stack_close(after);
    free(judge.known.list);
    if (rc == 0)
        *ret_errors = judge.fresh;
    return rc;
}
