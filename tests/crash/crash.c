/* The engine: record, enumerate, apply, judge. See crash.h. */
#include "tests/crash/crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash/hash.h"

enum { TEAR_STEPS = CRASH_SECTOR_BYTES / 8, TEAR_ALL_SUBSETS = 5, TEAR_SAMPLES = 6, MAX_MARKS = 4096 };

uint64_t crash_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static void die(const char *what)
{
    (void)fprintf(stderr, "crash: %s\n", what);
    exit(2);
}
static void *grab(size_t n)
{
    void *p = calloc(1, n);
    if (p == NULL)
        die("out of memory");
    return p;
}

/* ---- a run: what was written, and when commits began and returned ---- */

struct mark {
    size_t at; /* events before it */
    bool returned;
    uint64_t digest;
};
struct crash_run {
    struct plat_dev *recorder;
    struct mark marks[MAX_MARKS];
    size_t n_marks;
};

static void mark(struct crash_run *run, bool returned, uint64_t digest)
{
    const struct dev_event *events;
    if (run->n_marks == MAX_MARKS)
        die("a workload with too many commits");
    run->marks[run->n_marks++] = (struct mark){
        .at = dev_recorder_events(run->recorder, &events), .returned = returned, .digest = digest};
}
void crash_committing(struct crash_run *run, uint64_t digest)
{
    mark(run, false, digest);
}
void crash_committed(struct crash_run *run)
{
    mark(run, true, run->marks[run->n_marks - 1].digest);
}

/* ---- the engine ---- */

struct crash_engine {
    const struct crash_format *format;
    struct crash_options options;
    struct crash_totals totals;
    uint64_t *seen; /* hashes of states in their context; 0: free */
    size_t n_seen, cap_seen;
    bool done;
};

struct crash_engine *crash_open(const struct crash_format *format, const struct crash_options *options)
{
    struct crash_engine *engine = grab(sizeof *engine);
    engine->format = format;
    engine->options = *options;
    engine->cap_seen = 1 << 16;
    engine->seen = grab(engine->cap_seen * sizeof *engine->seen);
    return engine;
}
void crash_close(struct crash_engine *engine)
{
    free(engine->seen);
    free(engine);
}
const struct crash_totals *crash_totals(const struct crash_engine *engine)
{
    return &engine->totals;
}

static bool seen_put(uint64_t *slots, size_t cap, uint64_t hash)
{
    size_t at = hash & (cap - 1);
    while (slots[at] != 0 && slots[at] != hash)
        at = (at + 1) & (cap - 1);
    bool fresh = slots[at] == 0;
    slots[at] = hash;
    return fresh;
}
/* False when it was there. */
static bool seen_add(struct crash_engine *engine, uint64_t hash)
{
    if (2 * engine->n_seen >= engine->cap_seen) {
        size_t cap = 4 * engine->cap_seen;
        uint64_t *slots = grab(cap * sizeof *slots);
        for (size_t i = 0; i < engine->cap_seen; i++)
            if (engine->seen[i] != 0)
                (void)seen_put(slots, cap, engine->seen[i]);
        free(engine->seen);
        engine->seen = slots;
        engine->cap_seen = cap;
    }
    bool fresh = seen_put(engine->seen, engine->cap_seen, hash | 1);
    engine->n_seen += fresh;
    return fresh;
}

static void violation(struct crash_engine *engine, const char *id, const char *why)
{
    if (engine->totals.violations++ == 0)
        (void)snprintf(engine->totals.first, sizeof engine->totals.first, "%s: %s", id, why);
    engine->done = engine->done || engine->options.stop_at_first;
}

/* ---- one epoch: the sectors written between two flushes ---- */

struct sector_write {
    uint64_t sector;
    const uint8_t *bytes;
    uint64_t hash;
};
/* A disk at one moment, with the hash of all of it kept up to date. */
struct disk {
    uint8_t *bytes;
    uint64_t size_bytes;
    uint64_t *hashes; /* by sector */
    uint64_t sum;
    struct plat_dev *dev;
};

static uint64_t sector_hash(uint64_t sector, const uint8_t *bytes)
{
    uint64_t state = hash_xxh64(bytes, CRASH_SECTOR_BYTES) ^ sector * 0xD6E8FEB86659FD93u;
    return crash_random(&state);
}

static void disk_set(struct disk *disk, uint64_t sector, const uint8_t *bytes, uint64_t hash)
{
    memcpy(disk->bytes + sector * CRASH_SECTOR_BYTES, bytes, CRASH_SECTOR_BYTES);
    disk->sum += hash - disk->hashes[sector];
    disk->hashes[sector] = hash;
}

static void disk_open(struct disk *disk, const uint8_t *bytes, uint64_t size_bytes)
{
    size_t n = size_bytes / CRASH_SECTOR_BYTES;
    *disk = (struct disk){
        .size_bytes = size_bytes, .bytes = grab(size_bytes), .hashes = grab(n * sizeof(uint64_t))};
    memcpy(disk->bytes, bytes, size_bytes);
    for (size_t i = 0; i < n; i++) {
        disk->hashes[i] = sector_hash(i, disk->bytes + i * CRASH_SECTOR_BYTES);
        disk->sum += disk->hashes[i];
    }
    if (dev_open_const(disk->bytes, size_bytes, "state", &disk->dev, NULL) != 0)
        die("out of memory");
}
static void disk_close(struct disk *disk)
{
    dev_close(disk->dev);
    free(disk->bytes);
    free(disk->hashes);
}

/* Where a state is being judged. */
struct explore {
    struct crash_engine *engine;
    struct crash_run *run;
    struct disk disk; /* the state */
    struct disk base; /* all before the epoch */
    uint64_t seed;
    const char *prefix; /* of ids */
    size_t epoch;
    uint64_t variant, stride; /* of the variants behind the first `always`, one in `stride` is judged */
    uint64_t always;
    uint64_t only_epoch, only_variant; /* UINT64_MAX: all */
    const char *only_rest;             /* of the id to replay, behind '+' */
    unsigned depth;
    struct sector_write *writes;
    size_t n_writes;
    uint64_t allowed[64];
    size_t n_allowed;
    uint64_t context; /* hash of what is allowed */
};

static void explore_resume(struct explore *x, const char *id, uint64_t digest);

static void judge_state(struct explore *x)
{
    struct crash_engine *engine = x->engine;
    uint64_t variant = x->variant++, digest = 0;
    char why[CRASH_WHY_BYTES] = "", id[96] = "";
    bool replay = x->only_epoch != UINT64_MAX;
    if (variant >= x->always && !replay && (variant * 0x9E3779B97F4A7C15u >> 32) % x->stride != 0)
        return;
    if (engine->done || (replay && (x->only_epoch != x->epoch || x->only_variant != variant)))
        return;
    uint64_t key = (x->disk.sum ^ x->context) * 0x9E3779B97F4A7C15u;
    key ^= key >> 29;
    bool fresh = seen_add(engine, key);
    if (!fresh && !replay) {
        engine->totals.repeated++;
        return;
    }
    engine->totals.states++;
    bool good = engine->format->judge(x->disk.dev, x->seed, engine->options.skip, &digest, why);
    bool known = false;
    for (size_t i = 0; good && i < x->n_allowed; i++)
        known = known || x->allowed[i] == digest;
    const bool resumes = known && x->depth == 0 && engine->options.resume_one_in != 0 &&
                         (x->only_rest != NULL || (!replay && key % engine->options.resume_one_in == 0));
    if (!known || replay || resumes)
        (void)snprintf(id, sizeof id, "%s%zu.%llu", x->prefix, x->epoch, (unsigned long long)variant);
    if (good && !known)
        (void)snprintf(why, sizeof why, "it holds something else than what any commit left that may count");
    if (!known)
        violation(engine, id, why);
    if (replay && x->only_rest == NULL)
        printf("%s: %s\n", id, known ? "good" : why);
    if (engine->options.max_states != 0 && engine->totals.states >= engine->options.max_states)
        engine->done = true;
    if (resumes)
        explore_resume(x, id, digest);
}

/* Lets the writes in the mask land, in order; `mask` has a bit for each of the first n. */
static void land(struct explore *x, const uint8_t *mask, size_t n)
{
    for (size_t i = 0; i < x->n_writes; i++) {
        uint64_t sector = x->writes[i].sector;
        disk_set(&x->disk, sector, x->base.bytes + sector * CRASH_SECTOR_BYTES, x->base.hashes[sector]);
    }
    for (size_t i = 0; i < n; i++)
        if (mask[i])
            disk_set(&x->disk, x->writes[i].sector, x->writes[i].bytes, x->writes[i].hash);
}

/* The n-th write torn, from either end, at every step; the mask says what landed before. */
static void tear(struct explore *x, const uint8_t *mask, size_t n)
{
    const struct sector_write *write = &x->writes[n];
    uint8_t before[CRASH_SECTOR_BYTES], torn[CRASH_SECTOR_BYTES];
    land(x, mask, n);
    memcpy(before, x->disk.bytes + write->sector * CRASH_SECTOR_BYTES, sizeof before);
    for (size_t step = 1; step < TEAR_STEPS; step++) {
        for (int end = 0; end < 2; end++) {
            const uint8_t *head = end == 0 ? write->bytes : before, *tail = end == 0 ? before : write->bytes;
            memcpy(torn, head, step * 8);
            memcpy(torn + step * 8, tail + step * 8, sizeof torn - step * 8);
            disk_set(&x->disk, write->sector, torn, sector_hash(write->sector, torn));
            judge_state(x);
        }
    }
}

static void random_mask(uint64_t *state, uint8_t *mask, size_t n)
{
    /* Some samples lose little, some nearly all. */
    uint64_t keep = crash_random(state) % 255 + 1;
    for (size_t i = 0; i < n; i++)
        mask[i] = crash_random(state) % 256 < keep;
}

/* How many variants epoch_states will come to, to spread a few of them over all. */
static uint64_t epoch_variants(const struct explore *x)
{
    const struct crash_options *options = &x->engine->options;
    const uint64_t n = x->n_writes, each = 2 * (TEAR_STEPS - 1);
    uint64_t variants = 2 * n + (n <= options->full ? 1ull << n : options->samples);
    for (uint64_t last = 0; last < n; last++)
        variants += each * (last <= TEAR_ALL_SUBSETS ? 1ull << last : 1 + TEAR_SAMPLES);
    return variants;
}

static void epoch_tears(struct explore *x, uint8_t *mask, uint64_t *random)
{
    const size_t n = x->n_writes;
    for (size_t last = 0; last < n && !x->engine->done; last++) {
        memset(mask, 1, n);
        tear(x, mask, last);
        if (last <= TEAR_ALL_SUBSETS) {
            for (uint64_t subset = 0; subset + 1 < 1ull << last; subset++) {
                for (size_t i = 0; i < last; i++)
                    mask[i] = subset >> i & 1;
                tear(x, mask, last);
            }
        } else {
            for (int i = 0; i < TEAR_SAMPLES; i++) {
                random_mask(random, mask, last);
                tear(x, mask, last);
            }
        }
    }
}

static void epoch_states(struct explore *x)
{
    const struct crash_options *options = &x->engine->options;
    const size_t n = x->n_writes;
    uint8_t *mask = grab(n + 1);
    uint64_t random = x->seed * 1000003 + x->epoch;
    x->variant = 0;
    x->always = 2 * n;
    x->stride = options->max_epoch == 0 ? 1 : epoch_variants(x) / options->max_epoch + 1;
    memset(mask, 0, n);
    for (size_t k = 0; k < 2 * n && n > 0; k++) { /* each prefix, and all but one */
        for (size_t i = 0; i < n; i++)
            mask[i] = k < n ? i < k : i != k - n;
        land(x, mask, n);
        judge_state(x);
    }
    epoch_tears(x, mask, &random);
    if (n <= options->full) {
        for (uint64_t subset = 0; subset < 1ull << n && !x->engine->done; subset++) {
            for (size_t i = 0; i < n; i++)
                mask[i] = subset >> i & 1;
            land(x, mask, n);
            judge_state(x);
        }
    } else {
        for (unsigned i = 0; i < options->samples && !x->engine->done; i++) {
            random_mask(&random, mask, n);
            land(x, mask, n);
            judge_state(x);
        }
    }
    free(mask);
}

/* What may be found behind a cut in events [begin, end): the last commit that had returned, and those that had begun
 * since. `first`: what was there before all of them. */
static void allow(struct explore *x, uint64_t first, size_t end)
{
    const struct crash_run *run = x->run;
    x->n_allowed = 1;
    x->allowed[0] = first;
    for (size_t i = 0; i < run->n_marks && run->marks[i].at <= end; i++) {
        if (run->marks[i].returned)
            x->n_allowed = 0;
        if (x->n_allowed == sizeof x->allowed / sizeof x->allowed[0])
            die("too many commits at once");
        x->allowed[x->n_allowed++] = run->marks[i].digest;
    }
    x->context = 0;
    for (size_t i = 0; i < x->n_allowed; i++)
        x->context = (x->context + x->allowed[i]) * 0xFF51AFD7ED558CCDu + 1;
}

/* All epochs of a run that began with `image` holding `first`. */
static void explore_run(struct explore *x, const uint8_t *image, uint64_t size_bytes, uint64_t first)
{
    const struct dev_event *events;
    const size_t n_events = dev_recorder_events(x->run->recorder, &events);
    disk_open(&x->disk, image, size_bytes);
    disk_open(&x->base, image, size_bytes);
    for (size_t begin = 0; begin <= n_events && !x->engine->done; x->epoch++) {
        size_t end = begin, n = 0;
        for (; end < n_events && !events[end].flush; end++)
            n += events[end].n / CRASH_SECTOR_BYTES;
        x->writes = grab((n + 1) * sizeof *x->writes);
        x->n_writes = 0;
        for (size_t i = begin; i < end; i++) {
            if (events[i].n % CRASH_SECTOR_BYTES != 0 || events[i].offset % CRASH_SECTOR_BYTES != 0)
                die("a write of less than whole sectors");
            for (size_t at = 0; at < events[i].n; at += CRASH_SECTOR_BYTES) {
                uint64_t sector = (events[i].offset + at) / CRASH_SECTOR_BYTES;
                const uint8_t *bytes = events[i].bytes + at;
                x->writes[x->n_writes++] = (struct sector_write){sector, bytes, sector_hash(sector, bytes)};
            }
        }
        allow(x, first, end);
        epoch_states(x);
        for (size_t i = 0; i < x->n_writes; i++) {
            const struct sector_write *write = &x->writes[i];
            disk_set(&x->base, write->sector, write->bytes, write->hash);
            disk_set(&x->disk, write->sector, write->bytes, write->hash);
        }
        /* All of it: what a cut behind the flush leaves. */
        if (end < n_events)
            allow(x, first, end + 1);
        x->always = UINT64_MAX;
        judge_state(x);
        free(x->writes);
        begin = end + 1;
    }
    disk_close(&x->disk);
    disk_close(&x->base);
}

/* ---- runs ---- */

static struct plat_dev *memory_of(const uint8_t *bytes, uint64_t size_bytes)
{
    struct plat_dev *dev;
    if (dev_open_memory(size_bytes, "disk", &dev, NULL) != 0)
        die("out of memory");
    if (bytes != NULL)
        memcpy(dev_memory_bytes(dev), bytes, size_bytes);
    return dev;
}

static struct crash_run *run_open(struct plat_dev *dev)
{
    struct crash_run *run = grab(sizeof *run);
    if (dev_open_recorder(dev, &run->recorder, NULL) != 0)
        die("out of memory");
    return run;
}
static void run_close(struct crash_run *run)
{
    dev_close(run->recorder);
    free(run);
}

static void replay_read(struct explore *x, const char *text)
{
    char *end;
    x->only_epoch = strtoull(text, &end, 10);
    x->only_variant = *end == '.' ? strtoull(end + 1, &end, 10) : 0;
    x->only_rest = *end == '+' ? end + 1 : NULL;
}

/* The next writer on the state at hand, cut off as well. */
static void explore_resume(struct explore *x, const char *id, uint64_t digest)
{
    struct crash_engine *engine = x->engine;
    struct plat_dev *dev = memory_of(x->disk.bytes, x->disk.size_bytes);
    struct crash_run *run = run_open(dev);
    struct plat_err err = {0};
    char prefix[112];
    (void)snprintf(prefix, sizeof prefix, "%s+", id);
    int rc = engine->format->resume(run, run->recorder, x->seed, engine->options.skip, digest, &err);
    engine->totals.resumed++;
    if (rc != 0)
        violation(engine, prefix, err.text);
    struct explore next = {.engine = engine,
                           .run = run,
                           .seed = x->seed,
                           .prefix = prefix,
                           .only_epoch = UINT64_MAX,
                           .depth = x->depth + 1};
    if (x->only_rest != NULL)
        replay_read(&next, x->only_rest);
    if (rc == 0)
        explore_run(&next, x->disk.bytes, x->disk.size_bytes, digest);
    run_close(run);
    dev_close(dev);
}

static bool record(struct crash_engine *engine, uint64_t seed, struct plat_dev **ret_dev, uint8_t **ret_image,
                   struct crash_run **ret_run, uint64_t *ret_digest)
{
    const struct crash_format *format = engine->format;
    const uint64_t size_bytes = format->image_bytes(seed);
    struct plat_dev *dev = memory_of(NULL, size_bytes);
    struct plat_err err = {0};
    char id[32];
    int rc = format->make(dev, seed, ret_digest, &err);
    uint8_t *image = grab(size_bytes);
    memcpy(image, dev_memory_bytes(dev), size_bytes);
    struct crash_run *run = run_open(dev);
    if (rc == 0)
        rc = format->work(run, run->recorder, seed, engine->options.skip, &err);
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)seed);
    if (rc != 0)
        violation(engine, id, err.text);
    *ret_dev = dev;
    *ret_image = image;
    *ret_run = run;
    return rc == 0;
}

bool crash_workload(struct crash_engine *engine, uint64_t seed)
{
    struct plat_dev *dev;
    struct crash_run *run;
    uint8_t *image;
    uint64_t digest = 0;
    char prefix[32];
    (void)snprintf(prefix, sizeof prefix, "%llu.", (unsigned long long)seed);
    if (record(engine, seed, &dev, &image, &run, &digest)) {
        struct explore x = {
            .engine = engine, .run = run, .seed = seed, .prefix = prefix, .only_epoch = UINT64_MAX};
        if (engine->options.replay != NULL)
            replay_read(&x, engine->options.replay);
        explore_run(&x, image, dev->size_bytes, digest);
    }
    run_close(run);
    free(image);
    dev_close(dev);
    return !engine->done;
}

/* The image at rest behind a workload with each of its bits flipped in turn, or each fault that the format forges. */
static bool explore_faults(struct crash_engine *engine, uint64_t seed, bool forged)
{
    const struct crash_format *format = engine->format;
    struct plat_dev *dev;
    struct crash_run *run;
    uint8_t *image;
    const uint64_t step = forged || engine->options.share == 0 ? 1 : engine->options.share;
    uint64_t digest = 0;
    char why[CRASH_WHY_BYTES], id[48];
    if (record(engine, seed, &dev, &image, &run, &digest)) {
        uint8_t *bytes = dev_memory_bytes(dev);
        bool sound = format->judge(dev, seed, engine->options.skip, &digest, why);
        if (!sound)
            violation(engine, "at rest", why);
        memcpy(image, bytes, dev->size_bytes);
        for (uint64_t n = 0; sound && !engine->done; n += step) {
            if (forged ? !format->forge(dev, seed, n) : n >= 8 * dev->size_bytes)
                break;
            if (!forged)
                bytes[n / 8] ^= (uint8_t)(1u << n % 8);
            if (format->judge(dev, seed, engine->options.skip, &digest, why)) {
                (void)snprintf(id, sizeof id, "%s %llu.%llu", forged ? "forgery" : "flip",
                               (unsigned long long)seed, (unsigned long long)n);
                violation(engine, id,
                          forged ? "nobody notices the forgery" : "nobody notices the flipped bit");
            }
            if (forged)
                memcpy(bytes, image, dev->size_bytes);
            else
                bytes[n / 8] ^= (uint8_t)(1u << n % 8);
            engine->totals.states++;
        }
    }
    run_close(run);
    free(image);
    dev_close(dev);
    return !engine->done;
}

bool crash_flips(struct crash_engine *engine, uint64_t seed)
{
    return explore_faults(engine, seed, false);
}
bool crash_forgeries(struct crash_engine *engine, uint64_t seed)
{
    return engine->format->forge == NULL || explore_faults(engine, seed, true);
}
