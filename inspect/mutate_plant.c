/* Planting a fault, and asking verification about it. */
#include <stdlib.h>
#include <string.h>

#include "inspect/mutate.h"

enum { KNOWN_MAX = 1 << 20, LISTED = 4 };

/* ---- planting ---- */

/* The field into its structure, as plat set does it, and what follows from it. */
static int plant_sealed(const struct mutate_fault *fault, struct edit *edit, struct plat_err *err)
{
    const struct mutate_target *target = fault->target;
    const struct edit_layer *layer = edit_layer_of(edit, target->image);
    if (layer == NULL)
        return err_set(err, PLAT_EBUG, "%s lies in no layer", target->path);
    uint8_t *bytes = malloc((size_t)target->top_bytes + 1);
    if (bytes == NULL)
        return err_nomem(err, "planting a fault");
    const struct inst inst = {.image = layer->after,
                              .type = target->top_type,
                              .bytes = bytes,
                              .size_bytes = (size_t)target->top_bytes,
                              .offset = target->top,
                              .index = target->top_index,
                              .path = target->path};
    const struct range place = {fault->at - layer->place.start, fault->n};
    int rc = dev_read(edit->overlay, layer->place.start + inst.offset, bytes, inst.size_bytes, err);
    if (rc == 0) {
        memcpy(bytes + (place.start - inst.offset), fault->new, fault->n);
        rc = edit_change(edit, layer, &inst, place, bytes, err);
    }
    free(bytes);
    return rc == 0 ? edit_seal(edit, false, NULL, err) : rc;
}

int mutate_plant(const struct mutate *mutate, const struct mutate_fault *fault, struct edit *ret,
                 struct plat_err *err)
{
    struct edit edit;
    int rc = edit_open_dev(mutate->dev, mutate->name, mutate->options, &edit, err);
    if (rc != 0)
        return rc;
    /* A copy is never sealed itself: it is right when it is like its original. */
    if (fault->sealed && fault->group->kind == MUTATE_FIELD) {
        rc = plant_sealed(fault, &edit, err);
    } else {
        rc = dev_write(edit.overlay, fault->at, fault->new, fault->n, err);
        if (rc == 0 && fault->sealed)
            rc = edit_seal(&edit, false, NULL, err);
    }
    if (rc != 0)
        edit_close(&edit);
    else
        *ret = edit;
    return rc;
}

/* ---- judging ---- */

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int remember(void *ctx, const struct finding *finding)
{
    struct mutate *mutate = ctx;
    if (mutate->n_known == mutate->cap_known) {
        const size_t cap = mutate->cap_known == 0 ? 64 : 2 * mutate->cap_known;
        uint64_t *list = cap <= KNOWN_MAX ? realloc(mutate->known, cap * sizeof *list) : NULL;
        if (list == NULL)
            return PLAT_ENOMEM;
        mutate->known = list;
        mutate->cap_known = cap;
    }
    mutate->known[mutate->n_known++] = edit_fingerprint(finding);
    return 0;
}

static int verify_whole(struct stack *stack, const struct finding_sink *sink, struct plat_err *err)
{
    struct verify_totals totals = {0};
    int rc = stack_verify(stack, sink, &totals, err);
    return rc == 0 ? stack_scrub(stack, sink, &totals, NULL, err) : rc;
}

int mutate_know(struct mutate *mutate, struct plat_err *err)
{
    const struct finding_sink sink = {.fn = remember, .ctx = mutate};
    int rc = verify_whole(mutate->stack, &sink, err);
    if (rc == PLAT_ENOMEM)
        return err_set(err, PLAT_ELIMIT, "the image has too many faults already: start from a sound one");
    if (rc == 0 && mutate->n_known > 0)
        qsort(mutate->known, mutate->n_known, sizeof *mutate->known, compare_hashes);
    return rc;
}

struct judge {
    const struct mutate *mutate;
    struct mutate_verdict verdict;
};

static void list_finding(struct strbuf *out, const struct finding *finding, bool first)
{
    strbuf_puts(out, first ? "{\"id\": " : ", {\"id\": ");
    strbuf_json(out, finding->id, strlen(finding->id));
    strbuf_puts(out, ", \"path\": ");
    strbuf_json(out, finding->path, strlen(finding->path));
    strbuf_printf(out, ", \"severity\": \"%s\"}", severity_name(finding->severity));
}

static int on_finding(void *ctx, const struct finding *finding)
{
    struct judge *judge = ctx;
    struct mutate_verdict *verdict = &judge->verdict;
    const uint64_t hash = edit_fingerprint(finding);
    if (judge->mutate->n_known > 0 &&
        bsearch(&hash, judge->mutate->known, judge->mutate->n_known, sizeof hash, compare_hashes) != NULL)
        return 0;
    if (verdict->n < LISTED)
        list_finding(&verdict->list, finding, verdict->n == 0);
    verdict->n++;
    if ((int)finding->severity < verdict->worst)
        verdict->worst = (int)finding->severity;
    return verdict->list.failed ? PLAT_ENOMEM : 0;
}

int mutate_judge(const struct mutate *mutate, struct edit *edit, struct mutate_verdict *ret,
                 struct plat_err *err)
{
    struct judge judge = {.mutate = mutate, .verdict.worst = MUTATE_WORST_NOTHING};
    const struct finding_sink sink = {.fn = on_finding, .ctx = &judge};
    struct stack_options options = mutate->options->stack;
    struct stack *stack = NULL;
    struct plat_err why = {0};
    options.degraded = true;
    int rc = stack_open(edit->overlay, &options, &stack, &why);
    if (rc == 0)
        rc = inspect_recognised(stack, mutate->options, &why);
    if (rc == 0) {
        rc = verify_whole(stack, &sink, err);
    } else if (rc != PLAT_EIO && rc != PLAT_ENOMEM) {
        judge.verdict.unrecognised = true;
        rc = 0;
    } else if (err != NULL) {
        *err = why;
    }
    stack_close(stack);
    if (rc != 0)
        strbuf_free(&judge.verdict.list);
    else
        *ret = judge.verdict;
    return rc;
}
