/* The pipeline: order, errors and memory are the same with any number of threads; it never hangs and leaves nothing. */
#include "lib/par/par.h"

#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/tap.h"
#include "tests/unit/threads.h"

static struct plat_err err;

/* What all the callbacks share; counters are atomic because run is called by threads. */
struct shop {
    unsigned fail_at, fail_next;      /* numbers of jobs that fail; 0: none (they begin at 1) */
    unsigned worker_fails, job_fails; /* opening so many goes wrong */
    bool slow;
    unsigned workers_opened, workers_closed, jobs_opened, jobs_closed;
    atomic_uint begun, running, most_running, shared;
};

struct job {
    struct shop *shop;
    unsigned number;
    uint64_t result;
    atomic_bool busy;
};

struct worker {
    struct shop *shop;
    unsigned uses;
    atomic_bool busy;
};

static int worker_open(void *ctx, void **ret, struct plat_err *e)
{
    struct shop *shop = ctx;
    if (++shop->workers_opened == shop->worker_fails)
        return err_set(e, PLAT_ENOMEM, "worker %u", shop->workers_opened);
    struct worker *worker = calloc(1, sizeof *worker);
    worker->shop = shop;
    *ret = worker;
    return 0;
}

static void worker_close(void *state)
{
    struct worker *worker = state;
    worker->shop->workers_closed++;
    free(worker);
}

static int job_open(void *ctx, void **ret, struct plat_err *e)
{
    struct shop *shop = ctx;
    if (++shop->jobs_opened == shop->job_fails)
        return err_set(e, PLAT_ENOMEM, "job %u", shop->jobs_opened);
    struct job *job = calloc(1, sizeof *job);
    job->shop = shop;
    *ret = job;
    return 0;
}

static void job_close(void *state)
{
    struct job *job = state;
    job->shop->jobs_closed++;
    free(job);
}

static uint64_t result_of(unsigned number)
{
    return (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15) >> 7;
}

/* Some take long, so that later ones are done first. */
static void take_time(unsigned number)
{
    struct timespec time = {.tv_nsec = number % 11 == 0 ? 3000000 : number % 3 == 0 ? 200000 : 0};
    if (time.tv_nsec > 0)
        (void)nanosleep(&time, NULL);
}

static int run(void *ctx, void *state, void *of_job, struct plat_err *e)
{
    struct shop *shop = ctx;
    struct worker *worker = state;
    struct job *job = of_job;
    unsigned now = atomic_fetch_add(&shop->running, 1) + 1, most = atomic_load(&shop->most_running);
    while (now > most && !atomic_compare_exchange_weak(&shop->most_running, &most, now))
        ;
    if (atomic_exchange(&worker->busy, true) || atomic_exchange(&job->busy, true))
        atomic_fetch_add(&shop->shared, 1);
    atomic_fetch_add(&shop->begun, 1);
    worker->uses++;
    if (shop->slow)
        take_time(job->number);
    job->result = result_of(job->number);
    int rc = 0;
    if (job->number == shop->fail_at || job->number == shop->fail_next)
        rc = err_set(e, PLAT_ECORRUPT, "job %u fails", job->number);
    atomic_store(&worker->busy, false);
    atomic_store(&job->busy, false);
    atomic_fetch_sub(&shop->running, 1);
    return rc;
}

static const struct par_ops ops = {.worker_open = worker_open,
                                   .worker_close = worker_close,
                                   .job_open = job_open,
                                   .job_close = job_close,
                                   .run = run};

/* Puts n jobs through; *ret_good counts results that were right and in order. */
static int put_through(struct par *par, unsigned n, unsigned *ret_good, size_t *ret_most)
{
    unsigned sent = 0, good = 0;
    int rc = 0;
    *ret_most = 0;
    while (rc == 0 && (sent < n || par_in_flight(par) > 0)) {
        struct job *job;
        while (sent < n && (job = par_next(par)) != NULL) {
            job->number = ++sent;
            job->result = 0;
            par_submit(par);
        }
        if (par_in_flight(par) > *ret_most)
            *ret_most = par_in_flight(par);
        void *taken = NULL;
        rc = par_take(par, &taken, &err);
        job = taken;
        if (rc == 0 && job->number == good + 1 && job->result == result_of(job->number))
            good++;
    }
    *ret_good = good;
    return rc;
}

static bool all_closed(const struct shop *shop, unsigned workers, size_t jobs)
{
    return shop->workers_opened == workers && shop->workers_closed == workers && shop->jobs_opened == jobs &&
           shop->jobs_closed == jobs;
}

static void test_order(unsigned n_threads, bool slow, unsigned n)
{
    struct shop shop = {.slow = slow};
    struct par *par = NULL;
    unsigned good = 0;
    size_t most = 0;
    ok(par_open(&ops, &shop, n_threads, &par, &err) == 0 && put_through(par, n, &good, &most) == 0 &&
           good == n,
       "%u threads, %s jobs: %u of %u in order", n_threads, slow ? "slow" : "fast", good, n);
    ok(most <= par_jobs(n_threads) && (n < par_jobs(n_threads) || most == par_jobs(n_threads)),
       "at most %zu in flight", par_jobs(n_threads));
    ok(atomic_load(&shop.shared) == 0 && atomic_load(&shop.most_running) <= n_threads,
       "no job and no worker state was used twice at once; %u ran at once", atomic_load(&shop.most_running));
    if (slow && n_threads > 1)
        ok(atomic_load(&shop.most_running) > 1, "and some did");
    ok(par_take(par, &(void *){NULL}, &err) == PLAT_EBUG, "none is left: %s", err.text);
    par_close(par);
    ok(all_closed(&shop, n_threads, par_jobs(n_threads)) && threads_left() == 1, "all is closed");
}

static void test_error(unsigned n_threads, unsigned at, unsigned next, bool slow)
{
    enum { N = 40 };
    struct shop shop = {.fail_at = at, .fail_next = next, .slow = slow};
    struct par *par = NULL;
    unsigned good = 0, first = next != 0 && next < at ? next : at;
    size_t most = 0;
    char want[32];
    snprintf(want, sizeof want, "job %u fails", first);
    int rc = par_open(&ops, &shop, n_threads, &par, &err);
    rc = rc == 0 ? put_through(par, N, &good, &most) : rc;
    bool told = rc == PLAT_ECORRUPT && strcmp(err.text, want) == 0 && good == first - 1;
    struct plat_err again;
    bool stays = par_take(par, &(void *){NULL}, &again) == PLAT_ECORRUPT && strcmp(again.text, want) == 0 &&
                 par_take(par, &(void *){NULL}, NULL) == PLAT_ECORRUPT;
    unsigned begun = atomic_load(&shop.begun);
    par_close(par);
    bool closed = all_closed(&shop, n_threads, par_jobs(n_threads)) && threads_left() == 1;
    bool few = begun <= first + par_jobs(n_threads);
    if (!told || !stays || !closed || !few)
        ok(false, "%u threads, failing at %u and %u: %d, '%s', %u good, %u begun", n_threads, at, next, rc,
           err.text, good, begun);
}

static void test_errors(void)
{
    static const unsigned threads[] = {1, 2, 7};
    int failed = tap_failed;
    for (size_t t = 0; t < 3; t++)
        for (unsigned at = 1; at <= 40; at++)
            for (unsigned slow = 0; slow < 2; slow++) {
                test_error(threads[t], at, 0, slow != 0);
                test_error(threads[t], at, at % 40 + 1, slow != 0);
                test_error(threads[t], at, (at + 20) % 40 + 1, slow != 0);
            }
    ok(tap_failed == failed,
       "the first job in order to fail is the one that is told, at each place, with 1, 2, 7 threads");
}

/* Closed with jobs waiting, running and done but not taken. */
static void test_cancel(void)
{
    static const unsigned threads[] = {1, 2, 7};
    unsigned bad = 0;
    for (size_t t = 0; t < 3; t++)
        for (unsigned n = 0; n <= par_jobs(threads[t]); n++) {
            struct shop shop = {.slow = true};
            struct par *par = NULL;
            if (par_open(&ops, &shop, threads[t], &par, &err) != 0)
                exit(1);
            for (unsigned i = 0; i < n; i++) {
                struct job *job = par_next(par);
                bad += job == NULL || par_next(par) != job;
                job->number = i * 3 + 1;
                par_submit(par);
            }
            if (n > 2)
                bad += par_take(par, &(void *){NULL}, &err) != 0;
            par_close(par);
            bad += !all_closed(&shop, threads[t], par_jobs(threads[t])) || threads_left() != 1;
        }
    par_close(NULL);
    ok(bad == 0, "closed with any number of jobs in flight, it ends and frees everything");
}

static void test_open_fails(void)
{
    unsigned bad = 0;
    for (unsigned i = 1; i <= par_jobs(3); i++) {
        struct shop shop = {.job_fails = i};
        struct par *par = NULL;
        bad +=
            par_open(&ops, &shop, 3, &par, &err) != PLAT_ENOMEM || par != NULL || shop.jobs_closed != i - 1;
    }
    for (unsigned i = 1; i <= 3; i++) {
        struct shop shop = {.worker_fails = i};
        struct par *par = NULL;
        bad += par_open(&ops, &shop, 3, &par, &err) != PLAT_ENOMEM || par != NULL ||
               shop.workers_closed != i - 1 || shop.jobs_closed != par_jobs(3);
    }
    ok(bad == 0 && threads_left() == 1, "a job or worker that cannot be opened: what was is closed");
}

static int run_alone(void *ctx, void *state, void *job, struct plat_err *e)
{
    (void)ctx;
    (void)e;
    *(uint64_t *)job += state == NULL;
    return 0;
}
static int word_open(void *ctx, void **ret, struct plat_err *e)
{
    (void)ctx;
    (void)e;
    *ret = calloc(1, sizeof(uint64_t));
    return 0;
}

static void test_no_worker(void)
{
    static const struct par_ops plain = {.job_open = word_open, .job_close = free, .run = run_alone};
    struct par *par = NULL;
    void *job = NULL;
    bool good = par_open(&plain, NULL, 2, &par, &err) == 0 && par_next(par) != NULL;
    if (good)
        par_submit(par);
    ok(good && par_take(par, &job, &err) == 0 && *(uint64_t *)job == 1, "workers need no state");
    par_close(par);
}

static void test_processors(void)
{
    cpu_set_t all, one;
    unsigned n = par_processors();
    bool read = sched_getaffinity(0, sizeof all, &all) == 0;
    ok(read && n == (unsigned)CPU_COUNT(&all), "%u processors", n);
    ok(par_jobs(0) == (size_t)n * PAR_JOBS_PER_THREAD &&
           par_jobs(100000) == PAR_THREADS_MAX * PAR_JOBS_PER_THREAD,
       "one thread for each, 256 at most");
    unsigned first = 0;
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ok(sched_setaffinity(0, sizeof one, &one) == 0 && par_processors() == 1,
       "one, where only one may be used");
    (void)sched_setaffinity(0, sizeof all, &all);
}

int main(void)
{
    static const unsigned threads[] = {1, 2, 7};
    test_processors();
    for (size_t t = 0; t < 3; t++) {
        test_order(threads[t], false, 5000);
        test_order(threads[t], true, 200);
        test_order(threads[t], false, 3);
    }
    test_errors();
    test_cancel();
    test_open_fails();
    test_no_worker();
    return tap_done();
}
