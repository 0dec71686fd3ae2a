/* Contents. This thread reads, in order, and finds what is equal or zero; the threads of lib/par compress; this one writes
 * what they give back, in the order in which it was read.
 *
 *    file ---> blocks ----------------------> par ---> image, file->blocks
 *         \--> tail ---> block of fragments -> par ---> image, fragments
 *
 * A block of fragments goes in between files, so the blocks of a file lie side by side, as they must. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

#include "lib/hash/hash.h"

enum { AHEAD_ITEMS_MIN = 128 /* fewer are not worth the threads */ };

enum job_kind { JOB_BLOCK, JOB_FRAGMENTS, JOB_SAMPLES };
struct job {
    enum job_kind kind;
    uint8_t *in, *out; /* a block each; JOB_SAMPLES: `out` gets the samples */
    size_t n, n_out;   /* n_out 0: to be stored as it is */
    bool plain;
    struct sqm_file *file; /* JOB_BLOCK */
    uint64_t index;        /* of the block, of the fragment, or of the tail in its window */
    uint64_t hash;         /* JOB_SAMPLES */
};

/* ---- the work of the threads ---- */

static int worker_open(void *ctx, void **ret, struct plat_err *err)
{
    const struct sqm_settings *settings = &((struct sqm_image *)ctx)->plan->settings;
    return codec_encoder_open(&settings->codec, settings->block_bytes, (struct codec_encoder **)ret, err);
}
static void worker_close(void *worker)
{
    codec_encoder_close(worker);
}
static void job_close(void *arg)
{
    struct job *job = arg;
    if (job == NULL)
        return;
    free(job->in);
    free(job->out);
    free(job);
}
static int job_open(void *ctx, void **ret, struct plat_err *err)
{
    const size_t n = ((struct sqm_image *)ctx)->plan->settings.block_bytes;
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL || (job->in = malloc(n)) == NULL || (job->out = malloc(n)) == NULL) {
        job_close(job);
        return err_nomem(err, "making a SquashFS image");
    }
    *ret = job;
    return 0;
}
static int job_run(void *ctx, void *worker, void *arg, struct plat_err *err)
{
    struct job *job = arg;
    job->n_out = 0;
    if (job->kind == JOB_SAMPLES) {
        const size_t room = ((struct sqm_image *)ctx)->plan->settings.block_bytes / sizeof(uint32_t);
        job->n_out = sqm_samples_take(job->in, job->n, (uint32_t *)(void *)job->out, room);
        job->hash = hash_xxh64(job->in, job->n);
        return 0;
    }
    return job->plain || job->n < 2
               ? 0
               : codec_encode(worker, job->in, job->n, job->out, job->n - 1, &job->n_out, err);
}
static const struct par_ops par_ops = {.worker_open = worker_open,
                                       .worker_close = worker_close,
                                       .job_open = job_open,
                                       .job_close = job_close,
                                       .run = job_run};

/* ---- what comes back ---- */

uint32_t sqm_block_word(size_t n, bool plain)
{
    return squashfs_block_size_with_plain(squashfs_block_size_with_bytes(0, (uint32_t)n), plain ? 1 : 0);
}

static int collect(struct sqm_image *image, struct plat_err *err)
{
    void *taken;
    int rc = par_take(image->par, &taken, err);
    if (rc != 0)
        return rc;
    struct job *job = taken;
    if (job->kind == JOB_SAMPLES) {
        sqm_pack_add(image->pack, (uint32_t)job->index, job->hash, (uint32_t *)(void *)job->out,
                     (uint32_t)job->n_out);
        return 0;
    }
    const bool plain = job->n_out == 0;
    const size_t n = plain ? job->n : job->n_out;
    const uint64_t start = image->at;
    rc = sqm_put(image, plain ? job->in : job->out, n, err);
    if (rc != 0)
        return rc;
    if (job->kind == JOB_FRAGMENTS) {
        image->fragments[job->index] = (struct sqm_fragment){start, sqm_block_word(n, plain)};
        return 0;
    }
    if (job->file->blocks->start == 0)
        job->file->blocks->start = start;
    job->file->blocks->words[job->index] = sqm_block_word(n, plain);
    return 0;
}

static int collect_all(struct sqm_image *image, struct plat_err *err)
{
    int rc = 0;
    while (rc == 0 && par_in_flight(image->par) > 0)
        rc = collect(image, err);
    return rc;
}

/* The job to fill next; asked for again before it is submitted, it is the same. */
static int job_next(struct sqm_image *image, struct job **ret, struct plat_err *err)
{
    void *job;
    int rc = 0;
    while (rc == 0 && (job = par_next(image->par)) == NULL)
        rc = collect(image, err);
    if (rc == 0)
        *ret = job;
    return rc;
}

static void job_submit(struct sqm_image *image, struct job *job, struct sqm_file *file, uint64_t index)
{
    const unsigned bit = file != NULL ? SQM_PLAIN_DATA : SQM_PLAIN_FRAGMENTS;
    job->kind = file != NULL ? JOB_BLOCK : JOB_FRAGMENTS;
    job->plain = (image->plan->settings.plain & bit) != 0;
    job->file = file;
    job->index = index;
    par_submit(image->par);
}

/* ---- fragments ---- */

static int tails_flush(struct sqm_image *image, struct plat_err *err)
{
    struct job *job = NULL;
    if (image->tails_used == 0)
        return 0;
    int rc = job_next(image, &job, err);
    if (rc != 0)
        return rc;
    uint8_t *filled = image->tails;
    image->tails = job->in;
    job->in = filled;
    job->n = image->tails_used;
    job_submit(image, job, NULL, image->tails_fragment);
    image->tails_used = 0;
    return 0;
}

/* The number of one more block of fragments. */
static int fragment_add(struct sqm_image *image, uint32_t *ret, struct plat_err *err)
{
    if (image->n_fragments == image->fragments_cap) {
        const uint32_t cap = image->fragments_cap == 0 ? 256 : image->fragments_cap * 2;
        struct sqm_fragment *more = realloc(image->fragments, cap * sizeof *more);
        if (more == NULL)
            return err_nomem(err, "making a SquashFS image");
        image->fragments = more;
        image->fragments_cap = cap;
    }
    *ret = image->n_fragments++;
    return 0;
}

/* Room for n bytes in the block of fragments at hand, or in the next one. */
static int tails_take(struct sqm_image *image, struct sqm_file *file, uint32_t n, uint8_t **ret,
                      struct plat_err *err)
{
    int rc = image->tails_used + n > image->plan->settings.block_bytes ? tails_flush(image, err) : 0;
    if (rc == 0 && image->tails_used == 0)
        rc = fragment_add(image, &image->tails_fragment, err);
    if (rc != 0)
        return rc;
    file->fragment = image->tails_fragment;
    file->fragment_offset = image->tails_used;
    *ret = image->tails + image->tails_used;
    image->tails_used += n;
    return 0;
}

static uint64_t block_start(const struct sqm_blocks *blocks, uint64_t index)
{
    uint64_t start = blocks->start;
    for (uint64_t i = 0; i < index; i++)
        start += squashfs_block_size_bytes(blocks->words[i]);
    return start;
}

/* The last block of a file, shorter than the others, becomes a block of fragments of its own, as it lies. */
static int fragment_from_block(struct sqm_image *image, struct sqm_file *file, struct plat_err *err)
{
    const struct make_plan *plan = image->plan;
    const uint64_t n_blocks = plan->items[file->item].node->size_bytes / plan->settings.block_bytes;
    struct sqm_blocks *blocks = file->blocks;
    int rc = collect_all(image, err); /* it may be on its way */
    if (rc != 0)
        return rc;
    const uint64_t start = block_start(blocks, n_blocks);
    rc = fragment_add(image, &file->fragment, err);
    if (rc != 0)
        return rc;
    image->fragments[file->fragment] = (struct sqm_fragment){start, blocks->words[n_blocks]};
    file->fragment_offset = 0;
    if (blocks->start == start) /* all before it is zeros: no block of its own is there */
        blocks->start = 0;
    return 0;
}

/* Takes the tail of a file from one that has an equal one; *ret: there was one. */
static int tail_share(struct sqm_image *image, struct sqm_file *file, const uint8_t *bytes, bool *ret,
                      struct plat_err *err)
{
    struct sqm_file *other = NULL;
    int rc = image->twins != NULL && image->plan->settings.fragments != SQM_FRAGMENTS_NO
                 ? sqm_twins_tail(image->twins, file, bytes, &other, err)
                 : 0;
    if (rc == 0 && other != NULL && other->fragment == SQM_NONE)
        rc = fragment_from_block(image, other, err);
    if (rc != 0)
        return rc;
    if (other != NULL) {
        file->fragment = other->fragment;
        file->fragment_offset = other->fragment_offset;
    }
    *ret = other != NULL;
    return 0;
}

/* ---- files ---- */

/* Where n bytes from a file come from: memory, or its reader. */
struct source {
    const struct tree_node *node;
    const uint8_t *content; /* NULL: the reader */
    struct tree_reader reader;
};

static int source_take(struct source *source, uint8_t *to, size_t n, struct plat_err *err)
{
    if (source->content == NULL)
        return tree_reader_read(&source->reader, to, n, err) == 0 ? 0 : tree_blame(source->node, err);
    memcpy(to, source->content, n);
    source->content += n;
    return 0;
}

static void source_skip(struct source *source, uint64_t n)
{
    if (source->content != NULL)
        source->content += n;
    else
        tree_reader_skip(&source->reader, n);
}

/* Blocks that are holes of the source are zeros that need not be read; how many of `max` lie ahead. */
static uint64_t hole_blocks(struct source *source, uint32_t block_bytes, uint64_t max)
{
    if (source->content != NULL)
        return 0;
    const uint64_t hole = tree_reader_hole(&source->reader);
    const uint64_t n = hole == source->reader.left_bytes ? max : hole / block_bytes;
    return n < max ? n : max;
}

/* The blocks of a file, the last of which may be shorter. */
static int blocks_put(struct sqm_image *image, struct sqm_file *file, struct source *source, uint64_t bytes,
                      struct plat_err *err)
{
    const uint32_t block_bytes = image->plan->settings.block_bytes;
    const uint64_t n_blocks = div_up_u64(bytes, block_bytes);
    struct job *job = NULL;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < n_blocks; i++) {
        const uint64_t holes = n_blocks > 1 ? hole_blocks(source, block_bytes, n_blocks - i) : 0;
        if (holes > 0) {
            const uint64_t end = (i + holes) * block_bytes;
            const uint64_t n = (end < bytes ? end : bytes) - i * block_bytes;
            tree_reader_skip(&source->reader, n);
            file->blocks->sparse_bytes += n;
            progress_add(image->out.progress, n);
            i += holes - 1;
            continue;
        }
        const uint64_t left = bytes - i * block_bytes;
        rc = job_next(image, &job, err);
        if (rc != 0)
            return rc;
        job->n = left < block_bytes ? (size_t)left : block_bytes;
        rc = source_take(source, job->in, job->n, err);
        if (rc != 0)
            return rc;
        progress_add(image->out.progress, job->n);
        if (bytes_all(job->in, job->n, 0)) {
            file->blocks->sparse_bytes += job->n;
            continue;
        }
        bool shared = false;
        if (job->n < block_bytes)
            rc = tail_share(image, file, job->in, &shared, err);
        else if (image->twins != NULL)
            rc = sqm_twins_block(image->twins, file, i, job->in, err);
        if (rc == 0 && !shared)
            job_submit(image, job, file, i);
    }
    return rc;
}

/* With -O pack the ends of large files are stored later, with those that are like them. */
static bool tail_waits(const struct sqm_image *image, uint64_t size_bytes)
{
    return image->plan->settings.pack && size_bytes >= image->plan->settings.block_bytes;
}

/* The end of a file, as a fragment; zeros need none, they are one more block that is not there. */
static int tail_put(struct sqm_image *image, struct sqm_file *file, struct source *source, uint32_t n,
                    struct plat_err *err)
{
    const uint8_t *bytes = source->content != NULL ? source->content : image->scratch;
    uint8_t *to = NULL;
    int rc = source->content != NULL ? 0 : source_take(source, image->scratch, n, err);
    if (rc != 0)
        return rc;
    progress_add(image->out.progress, n);
    if (bytes_all(bytes, n, 0)) {
        if (file->blocks != NULL)
            file->blocks->sparse_bytes += n;
        return 0;
    }
    bool shared = false;
    rc = tail_share(image, file, bytes, &shared, err);
    if (rc != 0 || shared)
        return rc;
    rc = tails_take(image, file, n, &to, err);
    if (rc == 0)
        memcpy(to, bytes, n);
    return rc;
}

uint32_t sqm_tail_bytes(const struct sqm_settings *settings, uint64_t size_bytes)
{
    if (settings->fragments == SQM_FRAGMENTS_NO ||
        (settings->fragments == SQM_FRAGMENTS_YES && size_bytes >= settings->block_bytes))
        return 0;
    return (uint32_t)(size_bytes % settings->block_bytes);
}

static int blocks_alloc(struct make_plan *plan, struct sqm_file *file, uint64_t n, struct plat_err *err)
{
    const size_t word_bytes = sizeof file->blocks->words[0];
    if (n > (SIZE_MAX - sizeof *file->blocks) / word_bytes ||
        (file->blocks = arena_alloc(&plan->arena, sizeof *file->blocks + (size_t)n * word_bytes)) == NULL)
        return err_nomem(err, "making a SquashFS image");
    return 0;
}

static int content_put(struct sqm_image *image, struct sqm_file *file, struct source *source,
                       struct plat_err *err)
{
    struct make_plan *plan = image->plan;
    const uint64_t size = plan->items[file->item].node->size_bytes;
    const uint32_t tail = sqm_tail_bytes(&plan->settings, size);
    const uint64_t n_blocks = div_up_u64(size, plan->settings.block_bytes);
    /* A file that is nothing but its tail needs no list. */
    int rc = n_blocks > 1 || tail == 0 ? blocks_alloc(plan, file, n_blocks, err) : 0;
    if (rc == 0)
        rc = blocks_put(image, file, source, size - tail, err);
    if (rc == 0 && tail > 0 && !tail_waits(image, size))
        rc = tail_put(image, file, source, tail, err);
    return rc;
}

/* Takes the whole blocks of a file from one that has them; the rest is a fragment. */
static int run_share(struct sqm_image *image, struct sqm_file *file, const struct sqm_run *run,
                     struct source *source, struct plat_err *err)
{
    struct make_plan *plan = image->plan;
    const uint32_t block_bytes = plan->settings.block_bytes;
    const uint64_t size = source->node->size_bytes, n_blocks = size / block_bytes;
    const uint32_t tail = (uint32_t)(size % block_bytes);
    /* One more than there are: the end may turn out to be zeros, which are a block that is not there. */
    int rc = blocks_alloc(plan, file, n_blocks + 1, err);
    if (rc == 0)
        rc = collect_all(image, err); /* the other's blocks may be on their way */
    if (rc != 0)
        return rc;
    struct sqm_blocks *blocks = file->blocks;
    blocks->start = block_start(run->file->blocks, run->block);
    for (uint64_t i = 0; i < n_blocks; i++) {
        blocks->words[i] = run->file->blocks->words[run->block + i];
        blocks->sparse_bytes += blocks->words[i] == 0 ? block_bytes : 0;
    }
    progress_add(image->out.progress, size - tail);
    source_skip(source, size - tail);
    return tail > 0 && !tail_waits(image, size) ? tail_put(image, file, source, tail, err) : 0;
}

/* Stores what is not there yet. */
static int content_or_run_put(struct sqm_image *image, struct sqm_file *file, struct source *source,
                              struct plat_err *err)
{
    const struct sqm_settings *settings = &image->plan->settings;
    struct sqm_run run = {0};
    const bool may_share = image->twins != NULL && (settings->fragments != SQM_FRAGMENTS_NO ||
                                                    source->node->size_bytes % settings->block_bytes == 0);
    int rc = may_share ? sqm_twins_run(image->twins, file, source->content, &run, err) : 0;
    if (rc != 0)
        return rc;
    return run.file != NULL ? run_share(image, file, &run, source, err)
                            : content_put(image, file, source, err);
}

/* Where the file was read ahead it is in memory. */
static int source_open(struct sqm_image *image, const struct tree_node *node, struct source *ret,
                       struct plat_err *err)
{
    struct source source = {.node = node, .reader = {.fd = -1}};
    int rc = image->out.ahead != NULL ? tree_ahead_take(image->out.ahead, node, &source.content, err) : 0;
    if (rc == 0 && source.content == NULL)
        rc = tree_reader_open(image->plan->tree, node, &source.reader, err);
    if (rc == 0)
        *ret = source;
    return rc;
}

static int file_put(struct sqm_image *image, uint32_t i, struct plat_err *err)
{
    struct make_plan *plan = image->plan;
    const struct tree_node *node = plan->items[i].node;
    struct sqm_file *twin = NULL, *file = arena_alloc(&plan->arena, sizeof *file);
    struct source source;
    if (file == NULL)
        return err_nomem(err, "making a SquashFS image");
    file->item = i;
    file->fragment = SQM_NONE;
    int rc = source_open(image, node, &source, err);
    if (rc != 0)
        return rc;
    if (image->twins != NULL)
        rc = sqm_twins_find(image->twins, file, source.content, &twin, err);
    if (rc == 0 && twin != NULL)
        progress_add(image->out.progress, node->size_bytes);
    else if (rc == 0)
        rc = content_or_run_put(image, file, &source, err);
    tree_reader_close(&source.reader);
    plan->items[i].has.file = twin != NULL ? twin : file;
    return rc;
}

/* ---- tails by likeness ---- */

/* Ranks of the window, in an order in which they are read. */
struct tail_order {
    const struct sqm_pack *pack;
    const uint32_t *ranks;
    uint32_t i;
};

static const struct tree_node *tail_order_next(void *ctx)
{
    struct tail_order *order = ctx;
    const struct sqm_pack *pack = order->pack;
    return order->i < pack->n_tails ? pack->plan->items[pack->tails[order->ranks[order->i++]].item].node
                                    : NULL;
}

static int tail_sample(struct sqm_image *image, uint32_t rank, struct plat_err *err)
{
    const struct sqm_tail *tail = &image->pack->tails[rank];
    const struct tree_node *node = image->plan->items[tail->item].node;
    struct source source;
    struct job *job = NULL;
    int rc = job_next(image, &job, err);
    if (rc == 0)
        rc = source_open(image, node, &source, err);
    if (rc != 0)
        return rc;
    job->kind = JOB_SAMPLES;
    job->n = tail->n_bytes;
    job->index = rank;
    source_skip(&source, node->size_bytes - tail->n_bytes);
    rc = source_take(&source, job->in, job->n, err);
    tree_reader_close(&source.reader);
    if (rc == 0)
        par_submit(image->par);
    return rc;
}

/* Small files are all tail; of large ones the rest is stored. */
static int tail_or_file_put(struct sqm_image *image, uint32_t rank, struct plat_err *err)
{
    const struct sqm_tail *tail = &image->pack->tails[rank];
    const struct sqm_item *item = &image->plan->items[tail->item];
    struct source source;
    if (!tail_waits(image, item->node->size_bytes))
        return file_put(image, tail->item, err);
    int rc = source_open(image, item->node, &source, err);
    if (rc != 0)
        return rc;
    source_skip(&source, item->node->size_bytes - tail->n_bytes);
    rc = tail_put(image, item->has.file, &source, tail->n_bytes, err);
    tree_reader_close(&source.reader);
    return rc;
}

/* Every tail of the window, in the order of its ranks. */
static int tails_each(struct sqm_image *image, const uint32_t *ranks,
                      int (*each)(struct sqm_image *image, uint32_t rank, struct plat_err *err),
                      struct plat_err *err)
{
    struct tail_order order = {.pack = image->pack, .ranks = ranks};
    int rc = image->pack->n_tails >= AHEAD_ITEMS_MIN
                 ? tree_ahead_open(image->plan->tree, tail_order_next, &order, &image->out.ahead, err)
                 : 0;
    for (uint32_t i = 0; rc == 0 && i < image->pack->n_tails; i++)
        rc = each(image, ranks[i], err);
    tree_ahead_close(image->out.ahead);
    image->out.ahead = NULL;
    return rc;
}

static int packed_put(struct sqm_image *image, struct plat_err *err)
{
    struct sqm_files files = sqm_files_begin(image->plan);
    int rc = 0;
    for (uint32_t i; rc == 0 && (i = sqm_files_next(&files)) != SQM_NONE;)
        if (tail_waits(image, image->plan->items[i].node->size_bytes))
            rc = file_put(image, i, err);
    if (rc == 0)
        rc = sqm_pack_open(image->plan, &image->pack, err);
    while (rc == 0 && sqm_pack_window(image->pack)) {
        rc = tails_each(image, image->pack->reading, tail_sample, err);
        if (rc == 0)
            rc = collect_all(image, err);
        if (rc == 0)
            rc = sqm_pack_settle(image->pack, err);
        if (rc == 0)
            rc = tails_each(image, image->pack->order, tail_or_file_put, err);
    }
    sqm_pack_close(image->pack);
    image->pack = NULL;
    return rc;
}

/* ---- all of them ---- */

static const struct tree_node *order_next(void *ctx)
{
    struct sqm_files *files = ctx;
    const uint32_t i = sqm_files_next(files);
    return i != SQM_NONE ? files->plan->items[i].node : NULL;
}

static int in_order_put(struct sqm_image *image, struct plat_err *err)
{
    struct make_plan *plan = image->plan;
    struct sqm_files files = sqm_files_begin(plan), order = files;
    int rc = plan->n_items >= AHEAD_ITEMS_MIN
                 ? tree_ahead_open(plan->tree, order_next, &order, &image->out.ahead, err)
                 : 0;
    for (uint32_t i; rc == 0 && (i = sqm_files_next(&files)) != SQM_NONE;)
        rc = file_put(image, i, err);
    tree_ahead_close(image->out.ahead);
    image->out.ahead = NULL;
    return rc;
}

int sqm_data_put(struct sqm_image *image, struct plat_err *err)
{
    struct make_plan *plan = image->plan;
    int rc = par_open(&par_ops, image, plan->settings.n_threads, &image->par, err);
    if (rc == 0 && !plan->settings.keep_duplicates)
        rc = sqm_twins_open(plan, &image->twins, err);
    if (rc == 0)
        rc = plan->settings.pack ? packed_put(image, err) : in_order_put(image, err);
    if (rc == 0)
        rc = tails_flush(image, err);
    if (rc == 0)
        rc = collect_all(image, err);
    sqm_twins_close(image->twins);
    image->twins = NULL;
    par_close(image->par);
    image->par = NULL;
    return rc;
}
