/* What compression alone costs: the floor under every maker of compressed images.
 *
 *      codec_floor [-t] [-b BLOCK_BYTES] [-j THREADS] CODEC PATH...
 *
 * Reads files in order (directories: sorted, regular files), cuts each into blocks as SquashFS does, with files smaller than one
 * (-t: and the tails of all) one behind the other in blocks of their own, leaves out blocks that were there before, and
 * compresses what is left through lib/par.
 * Nothing is written. One line: seconds of wall, of processor time in all, and of that within the codec; bytes in and out;
 * blocks; peak memory. Build: make build/bench/codec_floor; use: tests/bench/bench.sh. */
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/codec/codec.h"
#include "lib/hash/hash.h"
#include "lib/par/par.h"

enum { SEEN_BITS = 22, BLOCK_BYTES_DEFAULT = 131072 };

struct floor {
    struct codec_settings settings;
    size_t block_bytes;
    bool all_tails;
    struct par *par;
    uint64_t *seen; /* hashes of blocks, open addressing; 0: free */
    uint8_t *block, *tails;
    size_t n_tails; /* bytes in tails */
    uint64_t in_bytes, out_bytes, blocks, repeated, codec_ns;
    struct plat_err err;
};

struct job {
    uint8_t *in, *out;
    size_t n, made;
    uint64_t ns;
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t = {0};
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int encoder_open(void *ctx, void **ret, struct plat_err *err)
{
    const struct floor *f = ctx;
    struct codec_encoder *encoder = NULL;
    int rc = codec_encoder_open(&f->settings, f->block_bytes, &encoder, err);
    *ret = encoder;
    return rc;
}

static void encoder_close(void *encoder)
{
    codec_encoder_close(encoder);
}

static void job_close(void *of_job)
{
    struct job *job = of_job;
    free(job->in);
    free(job->out);
    free(job);
}

static int job_open(void *ctx, void **ret, struct plat_err *err)
{
    const struct floor *f = ctx;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return err_nomem(err, "making room for blocks");
    job->in = malloc(f->block_bytes);
    job->out = malloc(f->block_bytes);
    if (job->in == NULL || job->out == NULL) {
        job_close(job);
        return err_nomem(err, "making room for blocks");
    }
    *ret = job;
    return 0;
}

static int job_run(void *ctx, void *encoder, void *of_job, struct plat_err *err)
{
    (void)ctx;
    struct job *job = of_job;
    uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    int rc = codec_encode(encoder, job->in, job->n, job->out, job->n - 1, &job->made, err);
    job->ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    return rc;
}

static int take_one(struct floor *f)
{
    void *taken = NULL;
    int rc = par_take(f->par, &taken, &f->err);
    if (rc == 0) {
        const struct job *job = taken;
        f->out_bytes += job->made != 0 ? job->made : job->n;
        f->codec_ns += job->ns;
    }
    return rc;
}

/* True the first time. A full table calls everything new. */
static bool is_new(struct floor *f, const uint8_t *block, size_t n)
{
    uint64_t mask = (UINT64_C(1) << SEEN_BITS) - 1;
    uint64_t hash = hash_xxh64(block, n) ^ n;
    hash += hash == 0;
    for (uint64_t i = 0; i < 64; i++) {
        uint64_t *slot = &f->seen[(hash + i) & mask];
        if (*slot == hash)
            return false;
        if (*slot == 0) {
            *slot = hash;
            return true;
        }
    }
    return true;
}

static int add_block(struct floor *f, const uint8_t *block, size_t n)
{
    struct job *job;
    while ((job = par_next(f->par)) == NULL) {
        int rc = take_one(f);
        if (rc != 0)
            return rc;
    }
    memcpy(job->in, block, n);
    job->n = n;
    f->in_bytes += n;
    f->blocks++;
    par_submit(f->par);
    return 0;
}

static int add_tail(struct floor *f, const uint8_t *tail, size_t n)
{
    if (f->n_tails + n > f->block_bytes) {
        int rc = add_block(f, f->tails, f->n_tails);
        if (rc != 0)
            return rc;
        f->n_tails = 0;
    }
    memcpy(f->tails + f->n_tails, tail, n);
    f->n_tails += n;
    return 0;
}

static int add_file(struct floor *f, const char *path)
{
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0; /* not ours to read: what is compared leaves it out as well, or fails */
    size_t n = f->block_bytes;
    bool first = true;
    for (; rc == 0 && n == f->block_bytes; first = false) {
        ssize_t got = 1;
        for (n = 0; n < f->block_bytes && got > 0; n += got > 0 ? (size_t)got : 0)
            got = read(fd, f->block + n, f->block_bytes - n);
        if (got < 0)
            rc = err_set(&f->err, PLAT_EIO, "cannot read %s", path);
        else if (n > 0 && !is_new(f, f->block, n))
            f->repeated++;
        else if (n > 0)
            rc = n < f->block_bytes && (first || f->all_tails) ? add_tail(f, f->block, n)
                                                               : add_block(f, f->block, n);
    }
    (void)close(fd);
    return rc;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int add_paths(struct floor *f, char *const *paths)
{
    int rc = 0;
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (walk == NULL)
        return err_nomem(&f->err, "walking a directory");
    for (const FTSENT *e; rc == 0 && (e = fts_read(walk)) != NULL;)
        if (e->fts_info == FTS_F)
            rc = add_file(f, e->fts_path);
    (void)fts_close(walk);
    if (rc == 0 && f->n_tails > 0)
        rc = add_block(f, f->tails, f->n_tails);
    while (rc == 0 && par_in_flight(f->par) > 0)
        rc = take_one(f);
    return rc;
}

static void report(const struct floor *f, uint64_t started_ns)
{
    struct rusage usage = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("wall %.3f cpu %.3f codec %.3f in %llu out %llu blocks %llu repeated %llu kib %ld\n",
           (double)(now_ns(CLOCK_MONOTONIC) - started_ns) / 1e9, cpu, (double)f->codec_ns / 1e9,
           (unsigned long long)f->in_bytes, (unsigned long long)f->out_bytes, (unsigned long long)f->blocks,
           (unsigned long long)f->repeated, usage.ru_maxrss);
}

int main(int argc, char **argv)
{
    static const struct par_ops ops = {.worker_open = encoder_open,
                                       .worker_close = encoder_close,
                                       .job_open = job_open,
                                       .job_close = job_close,
                                       .run = job_run};
    struct floor f = {.block_bytes = BLOCK_BYTES_DEFAULT};
    unsigned long threads = 0;
    uint64_t started_ns = now_ns(CLOCK_MONOTONIC);
    for (int option; (option = getopt(argc, argv, "tb:j:")) != -1;) {
        if (option == 'b')
            f.block_bytes = strtoul(optarg, NULL, 0);
        else if (option == 't')
            f.all_tails = true;
        else if (option == 'j')
            threads = strtoul(optarg, NULL, 0);
        else
            return 2;
    }
    if (argc - optind < 2) {
        fprintf(stderr, "usage: codec_floor [-t] [-b BLOCK_BYTES] [-j THREADS] CODEC PATH...\n");
        return 2;
    }
    int rc = codec_parse(argv[optind], &f.settings, &f.err);
    f.seen = calloc((size_t)1 << SEEN_BITS, sizeof *f.seen);
    f.block = malloc(f.block_bytes + 1);
    f.tails = malloc(f.block_bytes + 1);
    if (rc == 0 && (f.seen == NULL || f.block == NULL || f.tails == NULL))
        rc = err_nomem(&f.err, "starting");
    if (rc == 0)
        rc = par_open(&ops, &f, (unsigned)threads, &f.par, &f.err);
    if (rc == 0)
        rc = add_paths(&f, argv + optind + 1);
    if (rc == 0)
        report(&f, started_ns);
    else
        fprintf(stderr, "codec_floor: %s\n", f.err.text);
    par_close(f.par);
    free(f.seen);
    free(f.block);
    free(f.tails);
    return rc == 0 ? 0 : 2;
}
