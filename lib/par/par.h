/* An ordered pipeline: jobs go in, threads work on them, and they come out in the order in which they went in. What comes
 * out, and which error is reported, is the same with any number of threads.
 *
 *      par_next, par_submit            worker threads             par_take
 *      (the caller)  --- job 7,8 --->  3: run   4: run   --->     (the caller): 1, 2, ...
 *
 * One thread, the caller, submits and takes in turn; it must take when all jobs are in flight, which par_next says by
 * giving NULL. Memory is fixed: par_jobs(threads) jobs and one worker state per thread, allocated when the pipeline
 * is opened by the caller's own functions, so a job that holds a block of b bytes in and out costs jobs * 2 * b.
 *
 *      while (more or in flight) {
 *          while (more && (job = par_next(par)) != NULL) { fill job; par_submit(par); }
 *          rc = par_take(par, &job, err); use job, valid until the next par_take or par_next
 *      }
 *
 * With one thread no thread is started: par_take runs the job itself. */
#ifndef PLAT_LIB_PAR_PAR_H
#define PLAT_LIB_PAR_PAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

enum { PAR_THREADS_MAX = 256, PAR_JOBS_PER_THREAD = 4 };

struct par_ops {
    /* A worker's own state (encoder contexts, scratch), made before any job runs, by the caller's thread. NULL: none. */
    int (*worker_open)(void *ctx, void **ret, struct plat_err *err);
    void (*worker_close)(void *worker);
    /* A job and its buffers, made and freed with the pipeline, used over and over. */
    int (*job_open)(void *ctx, void **ret, struct plat_err *err);
    void (*job_close)(void *job);
    /* The work; called by any thread, never twice at once with the same worker or job. */
    int (*run)(void *ctx, void *worker, void *job, struct plat_err *err);
};

struct par;
/* Processors that this process may use, at least 1, at most PAR_THREADS_MAX. */
unsigned par_processors(void);
/* How many jobs are in flight at most, with so many threads (0: one for each processor). */
size_t par_jobs(unsigned n_threads);
/* n_threads 0: one for each processor. Where fewer threads can be started those do it. ctx, and what ops points to, must
 * outlive the pipeline. */
int par_open(const struct par_ops *ops, void *ctx, unsigned n_threads, struct par **ret,
             struct plat_err *err);
/* The job to be filled and submitted next; NULL while all are in flight: take one first. Asking twice gives the same. */
void *par_next(struct par *par);
/* Hands over the job that par_next gave. */
void par_submit(struct par *par);
/* Jobs submitted and not taken. */
size_t par_in_flight(const struct par *par);
/* Waits for the oldest job; none in flight is PLAT_EBUG. When its work failed: its error, and so does every par_take from then
 * on; later jobs are not begun. */
int par_take(struct par *par, void **ret_job, struct plat_err *err);
/* Drops what is not begun, waits for what is, frees everything. Allowed at any time; NULL is allowed. */
void par_close(struct par *par);

#endif
