/* Every block of contents decompressed, each once, in the order of the image: it is whole and as long as its file wants.
 * Several threads decompress, this one judges, in order: findings do not depend on their number. Memory: for each thread a block in
 * and out and a decoder, and par_jobs(threads) batches of 16 verdicts.
 * SquashFS has no checksums of its own; zlib, xz and lzo streams have, lz4 and zstd notice most damage. */
#include <stdlib.h>

#include "formats/squashfs/check.h"
#include "lib/par/par.h"

/* Blocks that overlap are read more than once. More of that than this, and the image is made to waste time. */
enum { SCRUB_TIMES = 4, SCRUB_SPARE_BYTES = 64 << 20 };

enum { BATCH_BLOCKS = 16 };

/* A block to be decompressed, and what came of it. */
struct task {
    struct sq_stored block; /* expected: for a block of fragments, the least that will do */
    bool fragment;
    bool known; /* there is nothing to decompress: `rc` and `why` say what is wrong */
    int rc;
    uint32_t got;
    struct plat_err why;
};
struct batch {
    struct task tasks[BATCH_BLOCKS];
    size_t n;
};
struct reader {
    struct volume *vol;
    struct sq_worker *worker;
    uint8_t *out;
};
struct scrub {
    struct sq_check check; /* first */
    struct progress *progress;
    struct par *par;
    struct batch *batch; /* that is being filled */
    uint64_t left_bytes; /* that may be read */
    bool gave_up;
    int rc; /* the first failure, in order, that is no finding */
};

/* ---- the threads ---- */

static void reader_close(void *worker)
{
    struct reader *reader = worker;
    if (reader == NULL)
        return;
    if (reader->worker != NULL)
        sq_worker_give(reader->vol, reader->worker);
    free(reader->out);
    free(reader);
}

static int reader_open(void *ctx, void **ret, struct plat_err *err)
{
    struct scrub *scrub = ctx;
    struct volume *vol = scrub->check.vol;
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return err_nomem(err, "reading contents");
    reader->vol = vol;
    reader->out = malloc(vol->super.block_bytes);
    int rc = reader->out == NULL ? err_nomem(err, "reading contents") : 0;
    if (rc == 0)
        rc = sq_worker_take(vol, &reader->worker, err);
    if (rc != 0) {
        reader_close(reader);
        return rc;
    }
    *ret = reader;
    return 0;
}

static int batch_open(void *ctx, void **ret, struct plat_err *err)
{
    (void)ctx;
    *ret = calloc(1, sizeof(struct batch));
    return *ret == NULL ? err_nomem(err, "reading contents") : 0;
}

static int batch_run(void *ctx, void *worker, void *job, struct plat_err *err)
{
    struct reader *reader = worker;
    struct batch *batch = job;
    (void)ctx;
    (void)err;
    for (size_t i = 0; i < batch->n; i++) {
        struct task *task = &batch->tasks[i];
        if (!task->known)
            task->rc = sq_data_decode(reader->vol, reader->worker, task->block.offset, task->block.word,
                                      reader->out, &task->got, &task->why);
    }
    return 0; /* each block has its own verdict */
}

static const struct par_ops par_ops = {
    .worker_open = reader_open,
    .worker_close = reader_close,
    .job_open = batch_open,
    .job_close = free,
    .run = batch_run,
};

/* ---- what came of it, in order ---- */

static int judge(struct scrub *scrub, struct task *task)
{
    const char *path = task->fragment ? "fragments" : "data";
    const uint32_t expected = task->block.expected;
    const uint64_t *offset = task->known && !task->why.has_offset ? NULL
                             : task->why.has_offset               ? &task->why.offset
                                                                  : &task->block.offset;
    if (!task->known)
        progress_add(scrub->progress, squashfs_block_size_bytes(task->block.word));
    if (task->rc == PLAT_ECORRUPT || task->rc == PLAT_EUNSUPPORTED)
        return sq_report(&scrub->check, SEVERITY_ERROR, "sq-data", path, offset, "%s", task->why.text);
    if (task->rc != 0) {
        if (scrub->check.err != NULL)
            *scrub->check.err = task->why;
        return task->rc;
    }
    if (task->fragment && task->got < expected)
        return sq_report(&scrub->check, SEVERITY_ERROR, "sq-data", path, offset,
                         "a block of fragments decompresses to %u bytes; files want %u", task->got, expected);
    if (!task->fragment && task->got != expected)
        return sq_report(&scrub->check, SEVERITY_ERROR, "sq-data", path, offset,
                         "a block decompresses to %u bytes; its file has %u there", task->got, expected);
    return 0;
}

static void take(struct scrub *scrub)
{
    void *job = NULL;
    const int rc = par_take(scrub->par, &job, NULL);
    struct batch *batch = job;
    for (size_t i = 0; rc == 0 && scrub->rc == 0 && i < batch->n; i++)
        scrub->rc = judge(scrub, &batch->tasks[i]);
    if (rc == 0)
        batch->n = 0;
}

static int drain(struct scrub *scrub)
{
    if (scrub->batch != NULL)
        par_submit(scrub->par);
    scrub->batch = NULL;
    while (par_in_flight(scrub->par) > 0)
        take(scrub);
    return scrub->rc;
}

/* The next task, to be filled by the caller before it asks for another. */
static struct task *next_task(struct scrub *scrub)
{
    if (scrub->batch != NULL && scrub->batch->n == BATCH_BLOCKS) {
        par_submit(scrub->par);
        scrub->batch = NULL;
    }
    while (scrub->batch == NULL && (scrub->batch = par_next(scrub->par)) == NULL)
        take(scrub);
    struct task *task = &scrub->batch->tasks[scrub->batch->n++];
    task->known = task->fragment = false;
    task->rc = 0;
    task->got = 0;
    err_clear(&task->why);
    return task;
}

/* Whether n more bytes may be read. */
static bool afford(struct scrub *scrub, uint32_t n)
{
    scrub->gave_up = scrub->gave_up || n > scrub->left_bytes;
    scrub->left_bytes -= scrub->gave_up ? 0 : n;
    return !scrub->gave_up;
}

static int scrub_blocks(struct sq_check *check)
{
    struct scrub *scrub = (struct scrub *)(void *)check;
    sq_check_sort(check);
    for (size_t i = 0; scrub->rc == 0 && !scrub->gave_up && i < check->n_blocks; i++) {
        const struct sq_stored *block = &check->blocks[i];
        const bool again = i > 0 && block->offset == block[-1].offset && block->word == block[-1].word &&
                           block->expected == block[-1].expected;
        /* Fragment blocks have a pass of their own, which knows how long they must be; what cannot be a block, check has
         * told of. */
        if (again || block->expected == 0 || sq_data_check(check->vol, block->offset, block->word, NULL) != 0)
            continue;
        if (afford(scrub, squashfs_block_size_bytes(block->word))) {
            next_task(scrub)->block = *block;
            continue;
        }
        int rc = drain(scrub);
        return rc != 0 ? rc
                       : sq_report(check, SEVERITY_ERROR, "sq-overlap", "data", &block->offset,
                                   "the blocks overlap so much that reading all of them would take %d times "
                                   "the image: the rest is not decompressed",
                                   SCRUB_TIMES);
    }
    check->n_blocks = 0;
    return drain(scrub);
}

static int scrub_fragments(struct scrub *scrub)
{
    struct volume *vol = scrub->check.vol;
    for (uint64_t i = 0; scrub->rc == 0 && !scrub->gave_up && i < vol->tables[SQ_FRAGMENTS].entries; i++) {
        struct sq_fragment fragment;
        struct plat_err why = {0};
        int rc = sq_fragment_read(vol, (uint32_t)i, &fragment, &why);
        if (rc == 0 && !afford(scrub, squashfs_block_size_bytes(fragment.word)))
            break;
        struct task *task = next_task(scrub);
        task->fragment = true;
        task->known = rc != 0;
        task->rc = rc;
        task->why = why;
        if (rc == 0)
            task->block = (struct sq_stored){fragment.start, fragment.word, scrub->check.tails[i]};
    }
    return drain(scrub);
}

int squashfs_scrub(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                   struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct scrub scrub = {.check = {.vol = vol, .sink = sink, .err = err, .full = scrub_blocks},
                          .progress = progress};
    if (!vol->sound)
        return 0;
    const uint64_t used = vol->super.bytes_used;
    scrub.left_bytes = used > (UINT64_MAX - SCRUB_SPARE_BYTES) / SCRUB_TIMES
                           ? UINT64_MAX
                           : used * SCRUB_TIMES + SCRUB_SPARE_BYTES;
    /* Opening has counted the blocks of the table, so this is in proportion to the image. */
    const uint64_t fragments = vol->tables[SQ_FRAGMENTS].entries;
    scrub.check.tails = calloc((size_t)fragments + 1, sizeof *scrub.check.tails);
    int rc = scrub.check.tails == NULL ? err_nomem(err, "reading contents") : 0;
    if (rc == 0)
        rc = par_open(&par_ops, &scrub, 0, &scrub.par, err);
    if (rc == 0)
        rc = sq_check_collect(&scrub.check, false);
    if (rc == 0)
        rc = scrub_blocks(&scrub.check);
    if (rc == 0)
        rc = scrub_fragments(&scrub);
    par_close(scrub.par);
    sq_check_free(&scrub.check);
    return rc;
}
