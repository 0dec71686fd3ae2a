/* Power cuts, tried one by one: whatever a cut could leave of a workload's writes is put together and judged.
 *
 *   workload --> recorder --> events:  w w w F w F w w ...      w: writes, F: flushes
 *
 * Between two flushes every subset of the sectors written may have reached the disk: all subsets up to `full`
 * sectors, seeded samples beyond; and the last one of them may be torn, at each step of 8 bytes, from either end.
 * Each state so made is judged by the format: it must open without repair, be sound to its last byte, and hold what
 * was there after some commit, none older than the last that had returned. From some of the states the next writer's
 * first work is recorded and cut in the same way.
 *
 * A state's id, workload.epoch.variant (and +epoch.variant for a cut in what came after), makes it again alone. */
#ifndef PLAT_TESTS_CRASH_CRASH_H
#define PLAT_TESTS_CRASH_CRASH_H

#include "lib/base/err.h"
#include "lib/io/dev.h"

enum { CRASH_SECTOR_BYTES = 512, CRASH_WHY_BYTES = PLAT_ERR_TEXT_MAX + 64 };

struct crash_run;
/* A commit is about to begin that makes what is stored into what `digest` stands for; it has returned. */
void crash_committing(struct crash_run *run, uint64_t digest);
void crash_committed(struct crash_run *run);
uint64_t crash_random(uint64_t *state);

struct crash_format {
    const char *name;
    /* An image for workload `seed`: its size, its bytes at rest, the digest of what it holds. */
    uint64_t (*image_bytes)(uint64_t seed);
    int (*make)(struct plat_dev *dev, uint64_t seed, uint64_t *ret_digest, struct plat_err *err);
    /* The workload. `skip`: what is left out to see that somebody notices. */
    int (*work)(struct crash_run *run, struct plat_dev *dev, uint64_t seed, uint64_t skip,
                struct plat_err *err);
    /* What the next writer does to a state that holds `digest`, and then some. */
    int (*resume)(struct crash_run *run, struct plat_dev *dev, uint64_t seed, uint64_t skip, uint64_t digest,
                  struct plat_err *err);
    /* Opens and checks everything, and writes nothing. False, and why, when anything is wrong. */
    bool (*judge)(struct plat_dev *dev, uint64_t seed, uint64_t skip, uint64_t *ret_digest,
                  char ret_why[CRASH_WHY_BYTES]);
    /* What no flipped bit can bring about: puts fault number n, with checksums that are right, into an image at rest.
     * False: there are no more. NULL: none at all. */
    bool (*forge)(struct plat_dev *dev, uint64_t seed, uint64_t n);
};

struct crash_options {
    unsigned full;          /* all subsets of up to so many sectors (at most 16) */
    unsigned samples;       /* of larger ones */
    unsigned resume_one_in; /* states whose next writer is cut off, too; 0: none */
    uint64_t max_epoch;     /* judge about so many states of one epoch, spread evenly; 0: all */
    uint64_t max_states;    /* stop when so many different ones were judged; 0: never */
    uint64_t skip;          /* for the format */
    uint64_t share;         /* flip one bit in so many; 0: each */
    bool stop_at_first;     /* violation */
    const char *replay;     /* judge this state alone; NULL: all */
};
struct crash_totals {
    uint64_t states;   /* different ones judged */
    uint64_t repeated; /* met again and not judged again */
    uint64_t resumed;  /* from which a next writer was recorded */
    uint64_t violations;
    char first[CRASH_WHY_BYTES + 192]; /* id and reason */
};
struct crash_engine;
struct crash_engine *crash_open(const struct crash_format *format, const struct crash_options *options);
void crash_close(struct crash_engine *engine);
const struct crash_totals *crash_totals(const struct crash_engine *engine);
/* One workload. False when there is nothing more to do (max_states, stop_at_first). Workloads that cannot be run at
 * all are violations. */
bool crash_workload(struct crash_engine *engine, uint64_t seed);
/* Judges the image at rest behind workload `seed` with each bit flipped in turn: every flip must be found. */
bool crash_flips(struct crash_engine *engine, uint64_t seed);
/* The same with each fault that the format forges. */
bool crash_forgeries(struct crash_engine *engine, uint64_t seed);

#endif
