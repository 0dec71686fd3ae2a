/* A ring of batches. A thread claims the next free batch, asks for the files that go in it (both under the lock, so
 * batches are in order), reads them without the lock, and says that it is done. The consumer takes the batches in
 * turn and gives each back when it is used up:
 *
 *      taken ------ claimed: being read, or ready -------- free
 *        |__ consumer                         |__ threads    (numbers grow; slot = number % TREE_AHEAD_BATCHES)
 */
#include "lib/tree/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/tree/private.h"

struct ahead_batch {
    const struct tree_node *files[TREE_AHEAD_BATCH_FILES];
    size_t n_files, n_read; /* n_read < n_files: files[n_read] could not be read, for the reason in err */
    bool ready;
    struct plat_err err;
    uint8_t *bytes; /* TREE_AHEAD_BATCH_BYTES, one file behind the other */
};

struct tree_ahead {
    const struct tree *tree;
    tree_ahead_next *next;
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t batch_ready, batch_free;
    pthread_t threads[TREE_AHEAD_THREADS];
    unsigned n_threads;
    uint64_t n_claimed, n_taken;     /* batches */
    const struct tree_node *pending; /* came from next(), did not fit */
    bool ended, stop;
    uint8_t *memory;
    struct ahead_batch batches[TREE_AHEAD_BATCHES];
    size_t file, offset; /* the consumer's, in its batch */
};

static bool is_read_ahead(const struct tree_node *node)
{
    return node->kind == TREE_FILE && (node->source == SOURCE_HOST_DIR || node->source == SOURCE_HOST_FILE) &&
           node->size_bytes <= TREE_AHEAD_FILE_BYTES;
}

/* The files of the next batch; none when the order has ended. Under the lock. */
static void batch_fill(struct tree_ahead *ahead, struct ahead_batch *batch)
{
    uint64_t used = 0;
    batch->n_files = batch->n_read = 0;
    batch->ready = false;
    while (batch->n_files < TREE_AHEAD_BATCH_FILES && !ahead->ended) {
        const struct tree_node *node = ahead->pending != NULL ? ahead->pending : ahead->next(ahead->ctx);
        ahead->pending = NULL;
        if (node == NULL) {
            ahead->ended = true;
        } else if (is_read_ahead(node)) {
            if (used + node->size_bytes > TREE_AHEAD_BATCH_BYTES) {
                ahead->pending = node;
                return;
            }
            used += node->size_bytes;
            batch->files[batch->n_files++] = node;
        }
    }
}

static void batch_read(const struct tree_ahead *ahead, struct host_cursor *cursor, struct ahead_batch *batch)
{
    uint8_t *at = batch->bytes;
    while (batch->n_read < batch->n_files) {
        const struct tree_node *node = batch->files[batch->n_read];
        if (tree_read_whole(ahead->tree, cursor, node, at, &batch->err) != 0)
            return;
        at += node->size_bytes;
        batch->n_read++;
    }
}

static void *ahead_run(void *arg)
{
    struct tree_ahead *ahead = arg;
    struct host_cursor cursor;
    host_cursor_init(&cursor);
    (void)pthread_mutex_lock(&ahead->lock);
    for (;;) {
        while (!ahead->stop && !ahead->ended && ahead->n_claimed - ahead->n_taken == TREE_AHEAD_BATCHES)
            (void)pthread_cond_wait(&ahead->batch_free, &ahead->lock);
        if (ahead->stop || ahead->ended)
            break;
        struct ahead_batch *batch = &ahead->batches[ahead->n_claimed % TREE_AHEAD_BATCHES];
        batch_fill(ahead, batch);
        ahead->n_claimed++;
        (void)pthread_mutex_unlock(&ahead->lock);
        batch_read(ahead, &cursor, batch);
        (void)pthread_mutex_lock(&ahead->lock);
        batch->ready = true;
        (void)pthread_cond_signal(&ahead->batch_ready);
    }
    (void)pthread_cond_broadcast(&ahead->batch_free); /* the others see the end, too */
    (void)pthread_mutex_unlock(&ahead->lock);
    host_cursor_close(&cursor);
    return NULL;
}

int tree_ahead_open(const struct tree *tree, tree_ahead_next *next, void *ctx, struct tree_ahead **ret,
                    struct plat_err *err)
{
    struct tree_ahead *ahead = calloc(1, sizeof *ahead);
    uint8_t *memory = malloc((size_t)TREE_AHEAD_BATCHES * TREE_AHEAD_BATCH_BYTES);
    if (ahead == NULL || memory == NULL) {
        free(ahead);
        free(memory);
        return err_nomem(err, "reading files ahead");
    }
    ahead->tree = tree;
    ahead->next = next;
    ahead->ctx = ctx;
    ahead->memory = memory;
    for (size_t i = 0; i < TREE_AHEAD_BATCHES; i++)
        ahead->batches[i].bytes = memory + i * TREE_AHEAD_BATCH_BYTES;
    (void)pthread_mutex_init(&ahead->lock, NULL);
    (void)pthread_cond_init(&ahead->batch_ready, NULL);
    (void)pthread_cond_init(&ahead->batch_free, NULL);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    while (ahead->n_threads < TREE_AHEAD_THREADS && (long)ahead->n_threads < processors &&
           pthread_create(&ahead->threads[ahead->n_threads], NULL, ahead_run, ahead) == 0)
        ahead->n_threads++;
    *ret = ahead;
    return 0;
}

/* The consumer's batch, once it is ready; NULL when the order has ended. */
static struct ahead_batch *batch_wait(struct tree_ahead *ahead)
{
    struct ahead_batch *batch = &ahead->batches[ahead->n_taken % TREE_AHEAD_BATCHES];
    if (ahead->file > 0)
        return batch;
    (void)pthread_mutex_lock(&ahead->lock);
    while (ahead->n_taken == ahead->n_claimed ? !ahead->ended : !batch->ready)
        (void)pthread_cond_wait(&ahead->batch_ready, &ahead->lock);
    bool ended = ahead->n_taken == ahead->n_claimed;
    (void)pthread_mutex_unlock(&ahead->lock);
    return ended ? NULL : batch;
}

static void batch_release(struct tree_ahead *ahead)
{
    (void)pthread_mutex_lock(&ahead->lock);
    ahead->n_taken++;
    (void)pthread_cond_signal(&ahead->batch_free);
    (void)pthread_mutex_unlock(&ahead->lock);
    ahead->file = ahead->offset = 0;
}

int tree_ahead_take(struct tree_ahead *ahead, const struct tree_node *node, const uint8_t **ret,
                    struct plat_err *err)
{
    if (ahead->n_threads == 0 || !is_read_ahead(node)) {
        *ret = NULL;
        return 0;
    }
    struct ahead_batch *batch = batch_wait(ahead);
    if (batch != NULL && ahead->file == batch->n_files) { /* what was taken last is not needed any more */
        batch_release(ahead);
        batch = batch_wait(ahead);
    }
    if (batch == NULL || batch->files[ahead->file] != node)
        return err_set(err, PLAT_EBUG, "'%s' is not the file that was read ahead", node->name);
    if (ahead->file == batch->n_read) {
        if (err != NULL)
            *err = batch->err;
        return batch->err.class;
    }
    *ret = batch->bytes + ahead->offset;
    ahead->offset += node->size_bytes;
    ahead->file++;
    return 0;
}

void tree_ahead_close(struct tree_ahead *ahead)
{
    if (ahead == NULL)
        return;
    (void)pthread_mutex_lock(&ahead->lock);
    ahead->stop = true;
    (void)pthread_cond_broadcast(&ahead->batch_free);
    (void)pthread_mutex_unlock(&ahead->lock);
    for (unsigned i = 0; i < ahead->n_threads; i++)
        (void)pthread_join(ahead->threads[i], NULL);
    (void)pthread_cond_destroy(&ahead->batch_free);
    (void)pthread_cond_destroy(&ahead->batch_ready);
    (void)pthread_mutex_destroy(&ahead->lock);
    free(ahead->memory);
    free(ahead);
}
