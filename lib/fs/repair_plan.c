/* Plans, and trying them out: what would verify say of the image as it would be? */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/repair_private.h"
#include "lib/fs/verify.h"
#include "lib/hash/hash.h"

enum { CHUNK_BYTES = 64 * 1024 };

/* ---- plans ---- */

static bool overlap(struct range a, struct range b)
{
    return a.start < b.start + b.bytes && b.start < a.start + a.bytes;
}

static struct range source_of(const struct repair *repair)
{
    return (struct range){repair->source_offset, repair->place.bytes};
}

/* Room for one more. */
static int grow(void **list, size_t n, size_t *cap, size_t each, struct plat_err *err)
{
    if (n < *cap)
        return 0;
    size_t more = *cap == 0 ? 8 : 2 * *cap;
    void *grown = realloc(*list, more * each);
    if (grown == NULL)
        return err_nomem(err, "planning a repair");
    *list = grown;
    *cap = more;
    return 0;
}

int repair_plan_add(struct repair_plan *plan, const struct repair *repair, struct plat_err *err)
{
    for (size_t i = 0; i <= plan->n; i++) {
        const struct repair *other = i < plan->n ? &plan->list[i] : repair;
        if (overlap(repair->place, source_of(other)) || overlap(other->place, source_of(repair)))
            return err_set(err, PLAT_EBUG, "%s would be rewritten, and is what %s is rewritten from",
                           repair->path, other->path);
    }
    int rc = grow((void **)&plan->list, plan->n, &plan->cap, sizeof *plan->list, err);
    if (rc != 0)
        return rc;
    struct repair copy = *repair;
    copy.path = arena_strdup(&plan->arena, repair->path);
    copy.source = arena_strdup(&plan->arena, repair->source);
    if (repair->bytes != NULL) {
        uint8_t *bytes = arena_alloc(&plan->arena, (size_t)repair->place.bytes);
        if (bytes != NULL)
            memcpy(bytes, repair->bytes, (size_t)repair->place.bytes);
        copy.bytes = bytes;
    }
    if (copy.path == NULL || copy.source == NULL || (repair->bytes != NULL && copy.bytes == NULL))
        return err_nomem(err, "planning a repair");
    plan->list[plan->n++] = copy;
    return 0;
}

int repair_plan_refuse(struct repair_plan *plan, const char *path, uint64_t offset, struct plat_err *err,
                       const char *fmt, ...)
{
    char text[REPAIR_TEXT_BYTES];
    va_list ap;
    int rc =
        grow((void **)&plan->refusals, plan->n_refusals, &plan->cap_refusals, sizeof *plan->refusals, err);
    if (rc != 0)
        return rc;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const struct repair_refusal refusal = {arena_strdup(&plan->arena, path), offset,
                                           arena_strdup(&plan->arena, text)};
    if (refusal.path == NULL || refusal.text == NULL)
        return err_nomem(err, "planning a repair");
    plan->refusals[plan->n_refusals++] = refusal;
    return 0;
}

size_t repair_plan_count(const struct repair_plan *plan)
{
    return plan->n;
}

const struct repair *repair_plan_last(const struct repair_plan *plan)
{
    return plan->n > 0 ? &plan->list[plan->n - 1] : NULL;
}

void repair_plan_cut(struct repair_plan *plan, size_t count)
{
    plan->n = count;
}

void repair_plan_free(struct repair_plan *plan)
{
    free(plan->list);
    free(plan->refusals);
    arena_free(&plan->arena);
}

/* ---- comparing and writing ---- */

int repair_same(struct plat_dev *dev, uint64_t a, uint64_t b, uint64_t bytes, bool *ret, struct plat_err *err)
{
    bool same = range_within((struct range){a, bytes}, dev->size_bytes) &&
                range_within((struct range){b, bytes}, dev->size_bytes);
    uint8_t *buf = malloc((size_t)2 * CHUNK_BYTES);
    if (buf == NULL)
        return err_nomem(err, "comparing copies");
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && same && at < bytes;) {
        size_t n = bytes - at < CHUNK_BYTES ? (size_t)(bytes - at) : CHUNK_BYTES;
        rc = dev_read(dev, a + at, buf, n, err);
        if (rc == 0)
            rc = dev_read(dev, b + at, buf + CHUNK_BYTES, n, err);
        same = rc == 0 && memcmp(buf, buf + CHUNK_BYTES, n) == 0;
        at += n;
    }
    free(buf);
    if (rc == 0)
        *ret = same;
    return rc;
}

/* Bytes from `at` on that are one block's. Blocks are counted from the start of the image: they are its sectors. */
static size_t block_at(const struct plat_dev *dev, uint64_t at, size_t left)
{
    size_t n = REPAIR_BLOCK_BYTES - (size_t)((dev->base_offset + at) % REPAIR_BLOCK_BYTES);
    return n < left ? n : left;
}

/* One chunk: `have` is what lies at `start`, `want` what should. Blocks that follow one another are one write. */
static int apply_chunk(struct plat_dev *dev, uint64_t start, const uint8_t *have, const uint8_t *want,
                       size_t n, bool write, struct repair_difference *ret, struct plat_err *err)
{
    for (size_t i = 0, run; i < n; i += run) {
        run = block_at(dev, start + i, n - i);
        if (memcmp(have + i, want + i, run) == 0)
            continue;
        for (size_t next; i + run < n; run += next) {
            next = block_at(dev, start + i + run, n - i - run);
            if (memcmp(have + i + run, want + i + run, next) == 0)
                break;
        }
        int rc = write ? dev_write(dev, start + i, want + i, run, err) : 0;
        if (rc != 0)
            return rc;
        if (ret->span.bytes == 0)
            ret->span.start = start + i;
        ret->span.bytes = start + i + run - ret->span.start;
        ret->written_bytes += run;
    }
    return 0;
}

int repair_apply(struct plat_dev *dev, const struct repair *repair, bool write, struct repair_difference *ret,
                 struct plat_err *err)
{
    struct repair_difference difference = {0};
    uint8_t *buf = malloc((size_t)2 * CHUNK_BYTES);
    int rc = buf == NULL ? err_nomem(err, "repairing an image") : 0;
    for (uint64_t at = 0; rc == 0 && at < repair->place.bytes;) {
        size_t n = repair->place.bytes - at < CHUNK_BYTES ? (size_t)(repair->place.bytes - at) : CHUNK_BYTES;
        const uint8_t *want = repair->bytes != NULL ? repair->bytes + at : buf + CHUNK_BYTES;
        rc = dev_read(dev, repair->place.start + at, buf, n, err);
        if (rc == 0 && repair->bytes == NULL)
            rc = dev_read(dev, repair->source_offset + at, buf + CHUNK_BYTES, n, err);
        if (rc == 0)
            rc = apply_chunk(dev, repair->place.start + at, buf, want, n, write, &difference, err);
        at += n;
    }
    free(buf);
    if (rc == 0)
        *ret = difference;
    return rc;
}

/* ---- trials ---- */

static int keep_found(void *ctx, const struct finding *finding)
{
    struct repair_trial *trial = ctx;
    struct strbuf whole = {0};
    trial->errors += finding->severity == SEVERITY_ERROR;
    trial->warnings += finding->severity == SEVERITY_WARNING;
    trial->notes += finding->severity == SEVERITY_NOTE;
    if (trial->n == REPAIR_MAX_FOUND)
        return 0;
    if (grow((void **)&trial->list, trial->n, &trial->cap, sizeof *trial->list, NULL) != 0)
        return PLAT_ENOMEM;
    struct repair_found *found = &trial->list[trial->n++];
    const char *text = finding->text != NULL ? finding->text : "";
    *found = (struct repair_found){
        .severity = finding->severity, .has_offset = finding->has_offset, .offset = finding->offset};
    (void)snprintf(found->id, sizeof found->id, "%s", finding->id != NULL ? finding->id : "");
    (void)snprintf(found->text, sizeof found->text, "%s", text);
    strbuf_printf(&whole, "%s|%s|%s|%s", found->id, finding->path != NULL ? finding->path : "", text,
                  finding->found != NULL ? finding->found : "");
    bool failed = whole.failed;
    found->hash = hash_xxh64(strbuf_str(&whole), whole.len);
    strbuf_free(&whole);
    return failed ? PLAT_ENOMEM : 0;
}

static int by_hash(const void *a, const void *b)
{
    const struct repair_found *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

int repair_judge(struct fs *fs, struct repair_trial *ret, struct plat_err *err)
{
    struct repair_trial trial = {.opened = true};
    const struct finding_sink sink = {.fn = keep_found, .ctx = &trial};
    int rc = fs_verify(fs, &sink, NULL, err);
    if (rc != 0) {
        repair_trial_free(&trial);
        return rc == PLAT_ENOMEM ? err_nomem(err, "judging an image") : rc;
    }
    if (trial.n > 1)
        qsort(trial.list, trial.n, sizeof *trial.list, by_hash);
    *ret = trial;
    return 0;
}

int repair_try(struct fs *fs, const struct repair_plan *plan, struct repair_trial *ret, struct plat_err *err)
{
    const struct fs_open_options options = {.sector_bytes = plan->sector_bytes, .degraded = true};
    struct repair_trial nothing = {0};
    struct plat_dev *overlay;
    struct fs *trial;
    struct plat_err why = {0};
    int rc = dev_open_overlay(fs->dev, &overlay, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < plan->n; i++) {
        struct repair_difference difference;
        rc = repair_apply(overlay, &plan->list[i], true, &difference, err);
    }
    if (rc == 0 && fs_open(fs->driver, overlay, &options, &trial, &why) == 0) {
        rc = repair_judge(trial, ret, err);
        fs_close(trial);
    } else if (rc == 0 && (why.class == PLAT_EIO || why.class == PLAT_ENOMEM)) {
        if (err != NULL)
            *err = why;
        rc = why.class;
    } else if (rc == 0) {
        *ret = nothing;
    }
    dev_close(overlay);
    return rc;
}

const char *repair_trial_fault(const struct repair_trial *trial, struct range place, enum severity at_least)
{
    const struct repair_found *worst = NULL;
    for (size_t i = 0; i < trial->n; i++) {
        const struct repair_found *found = &trial->list[i];
        if (found->has_offset && found->offset >= place.start && found->offset - place.start < place.bytes &&
            found->severity <= at_least && (worst == NULL || found->severity < worst->severity))
            worst = found;
    }
    return worst == NULL ? NULL : worst->text;
}

void repair_trial_free(struct repair_trial *trial)
{
    free(trial->list);
    trial->list = NULL;
    trial->n = 0;
}
