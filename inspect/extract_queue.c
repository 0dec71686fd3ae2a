#include "inspect/extract_queue.h"

#include <stdlib.h>
#include <string.h>

/* ---- the threads ---- */

static void maker_close(void *worker)
{
    struct maker *maker = worker;
    if (maker != NULL)
        free(maker->buf);
    free(maker);
}

static int maker_open(void *ctx, void **ret, struct plat_err *err)
{
    const struct dir_sink *s = ctx;
    struct maker *maker = calloc(1, sizeof *maker);
    if (maker == NULL || (maker->buf = malloc(FILES_READ_BYTES)) == NULL) {
        free(maker);
        return err_nomem(err, "extracting");
    }
    maker->host = &s->host;
    *ret = maker;
    return 0;
}

static int batch_open(void *ctx, void **ret, struct plat_err *err)
{
    (void)ctx;
    struct batch *batch = calloc(1, sizeof *batch);
    *ret = batch;
    return batch == NULL ? err_nomem(err, "extracting") : 0;
}

static void batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        free(batch->items[i].why);
    batch->n = 0;
    batch->bytes = 0;
    batch->xattrs_denied = batch->xattrs_unknown = 0;
    strbuf_truncate(&batch->text, 0);
}

static void batch_close(void *job)
{
    struct batch *batch = job;
    batch_clear(batch);
    strbuf_free(&batch->text);
    free(batch);
}

const char *item_path(const struct batch *batch, const struct item *item)
{
    return item->path_at == NO_PATH ? "" : strbuf_str(&batch->text) + item->path_at;
}

struct made item_made(const struct batch *batch, const struct item *item)
{
    const char *path = item_path(batch, item);
    const char *slash = strrchr(path, '/');
    return (struct made){
        .dir = item->dir, .name = slash != NULL ? slash + 1 : path, .node = item->node, .stat = &item->stat};
}

void item_fail(struct item *item, int rc, const struct plat_err *why)
{
    item->rc = rc;
    if (rc == 0)
        return;
    item->why = malloc(sizeof *item->why);
    if (item->why != NULL)
        *item->why = *why;
}

static int batch_run(void *ctx, void *worker, void *job, struct plat_err *err)
{
    struct maker *maker = worker;
    struct batch *batch = job;
    (void)ctx;
    (void)err;
    maker->xattrs_denied = maker->xattrs_unknown = 0;
    for (size_t i = 0; i < batch->n; i++) {
        struct item *item = &batch->items[i];
        struct plat_err why;
        const struct made made = item_made(batch, item);
        err_clear(&why);
        maker->full = false;
        if (item->kind == ITEM_MAKE)
            item_fail(item, make_entry(maker, &made, &why), &why);
        else if (item->kind == ITEM_PIECE && !atomic_load(&item->large->failed))
            item_fail(item, make_piece(maker, &made, item->large->file.fd, item->piece, &why), &why);
        item->full = maker->full;
    }
    batch->xattrs_denied = maker->xattrs_denied;
    batch->xattrs_unknown = maker->xattrs_unknown;
    return 0; /* what fails is told item by item */
}

const struct par_ops queue_par_ops = {
    .worker_open = maker_open,
    .worker_close = maker_close,
    .job_open = batch_open,
    .job_close = batch_close,
    .run = batch_run,
};

/* ---- the caller's thread ---- */

static void look_for_signal(struct dir_sink *s)
{
    if (!s->discard && s->options->report.interrupted(s->options->report.ctx))
        s->stopping = s->discard = true;
}

/* The oldest batch. The threads may ask the filesystem only now, where it answers one at a time. */
void queue_take(struct dir_sink *s)
{
    void *job = NULL;
    (void)pthread_mutex_unlock(&s->options->source->lock);
    const int rc = par_take(s->par, &job, NULL);
    (void)pthread_mutex_lock(&s->options->source->lock);
    if (rc != 0)
        return;
    struct batch *batch = job;
    for (size_t i = 0; i < batch->n; i++)
        finish_item(s, batch, &batch->items[i]);
    s->xattrs_denied += batch->xattrs_denied;
    s->xattrs_unknown += batch->xattrs_unknown;
    batch_clear(batch);
    look_for_signal(s);
}

void queue_flush(struct dir_sink *s)
{
    if (s->batch != NULL)
        par_submit(s->par);
    s->batch = NULL;
}

void queue_drain(struct dir_sink *s)
{
    queue_flush(s);
    while (par_in_flight(s->par) > 0)
        queue_take(s);
}

/* ---- filling the queue ---- */
/* A new item at the end; its place in the batch stays until `add` is called. */
struct item *queue_item(struct dir_sink *s, enum item_kind kind, struct place *dir, const char *path)
{
    while (s->batch == NULL && (s->batch = par_next(s->par)) == NULL)
        queue_take(s);
    struct batch *batch = s->batch;
    struct item *item = &batch->items[batch->n++];
    *item = (struct item){.kind = kind, .dir = dir, .path_at = batch->text.len};
    strbuf_add(&batch->text, path, strlen(path) + 1);
    return item;
}

int queue_add(struct dir_sink *s, uint64_t bytes, struct plat_err *err)
{
    s->batch->bytes += bytes;
    struct item *item = &s->batch->items[s->batch->n - 1];
    const bool failed = s->batch->text.failed;
    if (failed && (item->kind == ITEM_LEFT || item->kind == ITEM_WHOLE)) {
        item->path_at = NO_PATH; /* these give back what they hold */
    } else if (failed) {
        free(item->why);
        s->batch->n--;
    }
    s->stopping = s->stopping || failed;
    if (failed || s->batch->n == BATCH_ITEMS || s->batch->bytes >= BATCH_BYTES)
        queue_flush(s);
    return failed ? err_nomem(err, "extracting") : s->stopping ? PLAT_ESTOP : 0;
}
