/* A ring of jobs. Numbers only grow; the job with number i is in slot i % n_jobs:
 *
 *      taken --------- begun --------- submitted --------- taken + n_jobs
 *        |__ running, or done   |__ waiting for a thread   |__ free: par_next gives the first
 *
 * A thread takes the next number under the lock and works without it. What is taken is free, and the caller may use it
 * only until par_next may give it away again.
 *
 * Errors: when job i fails, numbers above i are not begun any more; those below were begun before it, end as they may,
 * and are taken first. So the error that par_take reports is that of the first job to fail in order, with any number of
 * threads, and the oldest job is always done or being worked on when a failed one is. */
#include "lib/par/par.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct par_slot {
    void *job;
    int rc;
    bool done;
    struct plat_err err;
};

struct par_worker {
    struct par *par;
    void *state;
    pthread_t thread;
};

struct par {
    const struct par_ops *ops;
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t work, finished; /* something to begin, or to stop for; the oldest job is done */
    struct par_slot *slots;
    struct par_worker *workers;
    size_t n_jobs;
    unsigned n_workers,
        n_threads; /* states that are open, threads that run; no threads: par_take works itself */
    uint64_t taken, begun, submitted;
    bool failed, stop;      /* failed: no job is begun any more */
    int rc;                 /* what par_take has reported; 0: nothing yet */
    struct plat_err reason; /* of rc */
};

unsigned par_processors(void)
{
    cpu_set_t set;
    int n = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        n = CPU_COUNT(&set);
    } else { /* more processors than the set holds */
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > PAR_THREADS_MAX ? PAR_THREADS_MAX : (int)online;
    }
    if (n < 1)
        n = 1;
    return n > PAR_THREADS_MAX ? PAR_THREADS_MAX : (unsigned)n;
}

static unsigned threads_or_default(unsigned n_threads)
{
    if (n_threads == 0)
        n_threads = par_processors();
    return n_threads > PAR_THREADS_MAX ? PAR_THREADS_MAX : n_threads;
}

size_t par_jobs(unsigned n_threads)
{
    return (size_t)threads_or_default(n_threads) * PAR_JOBS_PER_THREAD;
}

/* ---- threads ---- */

static struct par_slot *slot_of(const struct par *par, uint64_t number)
{
    return &par->slots[number % par->n_jobs];
}

static int slot_run(const struct par *par, void *worker, struct par_slot *slot)
{
    return par->ops->run(par->ctx, worker, slot->job, &slot->err);
}

static void *worker_main(void *arg)
{
    struct par_worker *worker = arg;
    struct par *par = worker->par;
    (void)pthread_mutex_lock(&par->lock);
    for (;;) {
        while (!par->stop && (par->failed || par->begun == par->submitted))
            (void)pthread_cond_wait(&par->work, &par->lock);
        if (par->stop)
            break;
        uint64_t number = par->begun++;
        struct par_slot *slot = slot_of(par, number);
        (void)pthread_mutex_unlock(&par->lock);
        int rc = slot_run(par, worker->state, slot);
        (void)pthread_mutex_lock(&par->lock);
        slot->rc = rc;
        slot->done = true;
        if (rc != 0)
            par->failed = true;
        if (number == par->taken)
            (void)pthread_cond_signal(&par->finished);
    }
    (void)pthread_mutex_unlock(&par->lock);
    return NULL;
}

/* ---- opening and closing ---- */

static void stop_threads(struct par *par)
{
    (void)pthread_mutex_lock(&par->lock);
    par->stop = true;
    (void)pthread_cond_broadcast(&par->work);
    (void)pthread_mutex_unlock(&par->lock);
    for (unsigned i = 0; i < par->n_threads; i++)
        (void)pthread_join(par->workers[i].thread, NULL);
}

/* Jobs are opened in order, so that those to be closed come first. */
static void close_all(struct par *par, size_t n_jobs)
{
    for (unsigned i = 0; i < par->n_workers; i++)
        if (par->ops->worker_close != NULL)
            par->ops->worker_close(par->workers[i].state);
    for (size_t i = 0; i < n_jobs; i++)
        par->ops->job_close(par->slots[i].job);
    (void)pthread_cond_destroy(&par->finished);
    (void)pthread_cond_destroy(&par->work);
    (void)pthread_mutex_destroy(&par->lock);
    free(par->workers);
    free(par->slots);
    free(par);
}

void par_close(struct par *par)
{
    if (par == NULL)
        return;
    stop_threads(par);
    close_all(par, par->n_jobs);
}

static int open_workers(struct par *par, unsigned n_threads, struct plat_err *err)
{
    for (unsigned i = 0; i < n_threads; i++) {
        par->workers[i].par = par;
        int rc =
            par->ops->worker_open != NULL ? par->ops->worker_open(par->ctx, &par->workers[i].state, err) : 0;
        if (rc != 0)
            return rc;
        par->n_workers++;
    }
    return 0;
}

int par_open(const struct par_ops *ops, void *ctx, unsigned n_threads, struct par **ret, struct plat_err *err)
{
    int rc = 0;
    size_t n_opened = 0;
    n_threads = threads_or_default(n_threads);
    size_t n_jobs = par_jobs(n_threads);
    struct par *par = calloc(1, sizeof *par);
    struct par_slot *slots = calloc(n_jobs, sizeof *slots);
    struct par_worker *workers = calloc(n_threads, sizeof *workers);
    if (par == NULL || slots == NULL || workers == NULL) {
        free(par);
        free(slots);
        free(workers);
        return err_nomem(err, "starting threads");
    }
    *par = (struct par){.ops = ops, .ctx = ctx, .slots = slots, .workers = workers, .n_jobs = n_jobs};
    (void)pthread_mutex_init(&par->lock, NULL);
    (void)pthread_cond_init(&par->work, NULL);
    (void)pthread_cond_init(&par->finished, NULL);
    while (rc == 0 && n_opened < par->n_jobs) {
        rc = ops->job_open(ctx, &par->slots[n_opened].job, err);
        n_opened += rc == 0;
    }
    if (rc == 0)
        rc = open_workers(par, n_threads, err);
    if (rc != 0) {
        close_all(par, n_opened);
        return rc;
    }
    while (n_threads > 1 && par->n_threads < n_threads &&
           pthread_create(&par->workers[par->n_threads].thread, NULL, worker_main,
                          &par->workers[par->n_threads]) == 0)
        par->n_threads++;
    *ret = par;
    return 0;
}

/* ---- the caller ---- */

size_t par_in_flight(const struct par *par)
{
    return (size_t)(par->submitted - par->taken);
}

void *par_next(struct par *par)
{
    return par_in_flight(par) < par->n_jobs ? slot_of(par, par->submitted)->job : NULL;
}

void par_submit(struct par *par)
{
    struct par_slot *slot = slot_of(par, par->submitted);
    slot->done = false;
    err_clear(&slot->err);
    (void)pthread_mutex_lock(&par->lock);
    par->submitted++;
    (void)pthread_cond_signal(&par->work);
    (void)pthread_mutex_unlock(&par->lock);
}

static void slot_wait(struct par *par, const struct par_slot *slot)
{
    (void)pthread_mutex_lock(&par->lock);
    while (!slot->done)
        (void)pthread_cond_wait(&par->finished, &par->lock);
    (void)pthread_mutex_unlock(&par->lock);
}

static int report(const struct par *par, struct plat_err *err)
{
    if (err != NULL)
        *err = par->reason;
    return par->rc;
}

int par_take(struct par *par, void **ret_job, struct plat_err *err)
{
    if (par->rc != 0)
        return report(par, err);
    if (par_in_flight(par) == 0)
        return err_set(err, PLAT_EBUG, "no job is in flight");
    struct par_slot *slot = slot_of(par, par->taken);
    if (par->n_threads == 0)
        slot->rc = slot_run(par, par->workers[0].state, slot);
    else
        slot_wait(par, slot);
    if (slot->rc != 0) {
        par->rc = slot->rc;
        par->reason = slot->err;
        return report(par, err);
    }
    (void)pthread_mutex_lock(&par->lock);
    par->taken++;
    (void)pthread_mutex_unlock(&par->lock);
    *ret_job = slot->job;
    return 0;
}
