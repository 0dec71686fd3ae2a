/* Random bits of large images, flipped one at a time: `plat verify --data` finds each of them, in live bytes, padding or
 * free space.
 *
 *     test_flips [FLIPS [SEED]]      per format; `make check-flips` runs 100,000
 *
 * A flip in metadata is judged alone: verify, and scrub where verify found nothing. What lies in contents, padding and
 * free space cannot change what else is seen, so one judgement takes many of those flips, at most one in each extent of
 * the sound image's walk, and each must have a finding of its own: one that lies in its extent. A finding in an extent
 * where no bit was flipped is wrong. One such flip in ALONE is judged alone as well, to hold the others to account.
 *
 * Catches: a byte that no checksum covers, in a place that small images do not have. */
#include <time.h>

#include "tests/unit/native.h"

enum { DEFAULT_FLIPS = 10000, ALONE = 500, SHOWN = 5 };

/* Images, each with the share of the flips that it gets. */
static const struct target {
    struct native_format format;
    const char *title;
    unsigned n_files, max_bytes, slack_bytes, share;
} targets[] = {
    {{"caposro1", "{\"times\": \"ntp-synced\"}", true}, "caposro1", 1500, 40000, 65536, 1},
    {{"caposro1", "{}", true}, "caposro1 with a node table too large for walk", 17000, 600, 65536, 100},
    {{"caposst1", "{\"version\": 2, \"shadow\": false}", false}, "caposst1", 1500, 40000, 65536, 1},
    {{"caposst1", "{}", false}, "caposst1 with a shadow area", 200, 20000, 65536, 20},
    {{"caposwf1", "{}", true}, "caposwf1", 1500, 40000, 65536, 1},
    {{"caposwf1", "{\"superblock\": 0}", true},
     "caposwf1 with its superblock in block 0",
     3000,
     600,
     65536,
     20},
};

struct span {
    uint64_t start, end;
    enum extent_kind kind;
    uint32_t n_flips;    /* in it, so far */
    uint32_t flipped_in; /* 1 + the batch that flips a bit of it */
    uint32_t found_in;   /* 1 + the last batch that found something in it */
};
struct flip {
    uint64_t bit;
    uint32_t span, batch;
};
struct bench {
    const struct target *target;
    struct plat_dev *dev;
    uint8_t *bytes;
    struct span *spans;
    size_t n_spans, room;
    uint32_t batch;  /* that is being judged */
    uint64_t stray;  /* findings where nothing was flipped */
    uint64_t errors; /* of the last judgement */
};

/* ---- what the sound image is made of ---- */

static int add_span(void *ctx, const struct extent *extent)
{
    struct bench *bench = ctx;
    if (bench->n_spans == bench->room) {
        bench->room = bench->room == 0 ? 4096 : 2 * bench->room;
        bench->spans = realloc(bench->spans, bench->room * sizeof *bench->spans);
        if (bench->spans == NULL)
            exit(1);
    }
    bench->spans[bench->n_spans++] = (struct span){
        .start = extent->place.start, .end = extent->place.start + extent->place.bytes, .kind = extent->kind};
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

/* The span of a byte; the spans lie one behind the other without gaps (bench_open has seen to that). */
static uint32_t span_at(const struct bench *bench, uint64_t offset)
{
    size_t low = 0, high = bench->n_spans;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (bench->spans[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* ---- judging ---- */

static int on_finding(void *ctx, const struct finding *finding)
{
    struct bench *bench = ctx;
    if (finding->severity != SEVERITY_ERROR)
        return 0;
    bench->errors++;
    if (!finding->has_offset || finding->offset >= bench->dev->size_bytes) {
        bench->stray++;
        return 0;
    }
    struct span *span = &bench->spans[span_at(bench, finding->offset)];
    bench->stray += span->flipped_in != bench->batch + 1;
    span->found_in = bench->batch + 1;
    return 0;
}

/* As `plat verify --data` does it; true: exit code 0 or 1. `quick`: contents are not read where there are errors
 * already. */
static bool judge(struct bench *bench, bool quick, struct plat_err *err)
{
    const struct stack_options options = {.degraded = true};
    const struct finding_sink sink = {.fn = on_finding, .ctx = bench};
    struct stack *stack = NULL;
    bench->errors = 0;
    if (stack_open(bench->dev, &options, &stack, err) != 0)
        return false;
    int rc = stack_verify(stack, &sink, NULL, err);
    if (rc == 0 && !(quick && bench->errors > 0))
        rc = stack_scrub(stack, &sink, NULL, NULL, err);
    stack_close(stack);
    return rc == 0;
}

static void flip_bit(const struct bench *bench, uint64_t bit)
{
    bench->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static bool judge_alone(struct bench *bench, const struct flip *flip, bool quick)
{
    struct plat_err err = {0};
    flip_bit(bench, flip->bit);
    bool good = judge(bench, quick, &err) && bench->errors > 0;
    flip_bit(bench, flip->bit);
    if (!good)
        printf("# bit %llu of byte %llu alone: %s\n", (unsigned long long)flip->bit % 8,
               (unsigned long long)flip->bit / 8, err.text);
    return good;
}

/* Flips of one batch, [first, end); how many were not found. */
static unsigned judge_batch(struct bench *bench, const struct flip *first, const struct flip *end)
{
    struct plat_err err = {0};
    unsigned missed = 0;
    bench->batch = first->batch;
    for (const struct flip *f = first; f < end; f++) {
        flip_bit(bench, f->bit);
        bench->spans[f->span].flipped_in = f->batch + 1;
    }
    bool judged = judge(bench, false, &err);
    for (const struct flip *f = first; f < end; f++) {
        flip_bit(bench, f->bit);
        if ((!judged || bench->spans[f->span].found_in != f->batch + 1) && missed++ < SHOWN)
            printf("# bit %llu of byte %llu: no finding of its own %s\n", (unsigned long long)f->bit % 8,
                   (unsigned long long)f->bit / 8, err.text);
    }
    return missed;
}

/* ---- one image ---- */

static void bench_open(const struct target *target, struct bench *ret)
{
    struct bench bench = {.target = target};
    struct plat_err err = {0};
    struct tree *tree = NULL;
    struct stack *stack = NULL;
    const struct stack_options options = {0};
    const struct walk_sink sink = {.ctx = &bench, .extent = add_span};
    if (native_tree(&target->format, target->n_files, target->max_bytes, &tree, &err) != 0 ||
        native_make(&target->format, tree, target->slack_bytes, &bench.dev, &err) != 0 ||
        stack_open(bench.dev, &options, &stack, &err) != 0 || stack_walk(stack, &sink, &err) != 0)
        native_die(target->title, &err);
    stack_close(stack);
    tree_close(tree);
    bench.bytes = dev_memory_bytes(bench.dev);
    qsort(bench.spans, bench.n_spans, sizeof *bench.spans, by_start);
    uint64_t at = 0;
    for (size_t i = 0; i < bench.n_spans && bench.spans[i].start == at; i++)
        at = bench.spans[i].end;
    ok(at == bench.dev->size_bytes, "%s: the walk has every byte once, in %zu extents", target->title,
       bench.n_spans);
    bench.batch = UINT32_MAX - 1;
    ok(judge(&bench, false, &err) && bench.errors == 0, "%s: the image is sound %s", target->title, err.text);
    *ret = bench;
}

static int by_batch(const void *a, const void *b)
{
    const struct flip *x = a, *y = b;
    return (x->batch > y->batch) - (x->batch < y->batch);
}

/* Flips in metadata are judged at once; the others are kept for their batches. */
static void test_target(const struct target *target, unsigned n_flips, uint64_t random)
{
    struct bench bench;
    struct timespec began, ended;
    unsigned long kinds[8] = {0};
    unsigned missed = 0, n_kept = 0, n_batches = 0;
    struct flip *kept = calloc(n_flips, sizeof *kept);
    if (kept == NULL)
        exit(1);
    bench_open(target, &bench);
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (unsigned i = 0; i < n_flips; i++) {
        struct flip flip = {.bit = native_random(&random) % (bench.dev->size_bytes * 8)};
        flip.span = span_at(&bench, flip.bit / 8);
        struct span *span = &bench.spans[flip.span];
        kinds[span->kind]++;
        flip.batch = span->n_flips++;
        if (span->kind != EXTENT_METADATA)
            kept[n_kept++] = flip;
        if (span->kind == EXTENT_METADATA || i % ALONE == 0)
            missed += !judge_alone(&bench, &flip, span->kind == EXTENT_METADATA);
    }
    qsort(kept, n_kept, sizeof *kept, by_batch);
    bench.stray = 0;
    for (unsigned i = 0, next; i < n_kept; i = next, n_batches++) {
        for (next = i; next < n_kept && kept[next].batch == kept[i].batch; next++)
            ;
        missed += judge_batch(&bench, &kept[i], &kept[next]);
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    ok(missed == 0 && bench.stray == 0,
       "%s, %llu KiB: of %u flipped bits (%lu in metadata, %lu contents, %lu padding, %lu free) %u are not "
       "found; "
       "%llu findings elsewhere; %u batches, %.1f s",
       target->title, (unsigned long long)bench.dev->size_bytes / 1024, n_flips, kinds[EXTENT_METADATA],
       kinds[EXTENT_DATA], kinds[EXTENT_PADDING], kinds[EXTENT_FREE], missed, (unsigned long long)bench.stray,
       n_batches, (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9);
    struct plat_err err = {0};
    bench.batch = UINT32_MAX - 1;
    ok(judge(&bench, false, &err) && bench.errors == 0, "%s: and what was put back is sound", target->title);
    free(kept);
    free(bench.spans);
    dev_close(bench.dev);
}

int main(int argc, char **argv)
{
    const unsigned long flips = argc > 1 ? strtoul(argv[1], NULL, 10) : DEFAULT_FLIPS / tap_share();
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (flips == 0 || flips > 100000000 || seed == 0) {
        fprintf(stderr, "test_flips [FLIPS [SEED]]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        test_target(&targets[i], (unsigned)flips / targets[i].share + 1, seed * 0x9e3779b97f4a7c15);
    return tap_done();
}
