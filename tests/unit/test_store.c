/* A store when things fail: the Nth read, write or flush, the Nth allocation, a source in the middle of an object;
 * and stores that somebody made up. tests/crash has the power cuts.
 *
 * Behind each failure the store holds what some commit left, none older than the last that returned, is sound to its
 * last byte, and takes the next writer.
 *
 * Catches: an error that is dropped, a commit that was not one, a handle that goes on behind a failed write. */
#include <stdlib.h>

#include "formats/caposst1/private.h"
#include "lib/fs/stack.h"
#include "lib/fs/verify.h"
#include "tests/unit/memory_fails.h"
#include "tests/unit/tap.h"

enum { BLOCKS = 40, LARGE_BYTES = 3 * ST1_BUFFER_BYTES + 777, COMMITS = 6 };

static struct plat_dev *fresh(uint64_t blocks, uint64_t entries, uint32_t version)
{
    struct plat_dev *dev = NULL;
    const struct store_shape shape = {
        .version = version, .region_blocks = blocks, .entries = entries, .shadow = true};
    struct plat_err err = {0};
    if (dev_open_memory(blocks * ST1_BLOCK_BYTES, "store", &dev, &err) != 0 ||
        store_format(dev, &shape, &err) != 0) {
        printf("Bail out! %s\n", err.text);
        exit(1);
    }
    return dev;
}

/* ---- the workload ---- */

static int put_text(struct store *store, const char *text, struct plat_err *err)
{
    uint8_t key[STORE_KEY_BYTES];
    bool added;
    return store_put(store, text, strlen(text), NULL, key, &added, err);
}
static int delete_text(struct store *store, const char *text, struct plat_err *err)
{
    uint8_t key[STORE_KEY_BYTES];
    hash_sha256(text, strlen(text), key);
    return store_delete(store, key, err);
}
static bool has_text(const struct store *store, const char *text)
{
    uint8_t key[STORE_KEY_BYTES];
    uint64_t index;
    hash_sha256(text, strlen(text), key);
    return store_find(store, key, &index);
}

/* What each commit leaves, as letters. */
static const char *const after[COMMITS + 1] = {"", "ab", "b", "bcd", "d", "de", "def"};
static const char letters[] = "abcdef";

/* *ret_commits: how many have returned. */
static int workload(struct plat_dev *dev, unsigned *ret_commits, struct plat_err *err)
{
    const struct store_options options = {.writable = true};
    struct store *store = NULL;
    int rc = store_open(dev, &options, &store, err);
    for (unsigned i = 1; rc == 0 && i <= COMMITS; i++) {
        for (const char *at = letters; rc == 0 && *at != '\0'; at++) {
            const char text[] = {*at, '\0'};
            bool now = strchr(after[i], *at) != NULL, then = strchr(after[i - 1], *at) != NULL;
            if (now != then)
                rc = now ? put_text(store, text, err) : delete_text(store, text, err);
        }
        if (rc == 0)
            rc = store_commit(store, err);
        if (rc == 0)
            *ret_commits = i;
        if (rc == 0 && i == 4)
            rc = store_compact(store, err);
    }
    if (rc == 0)
        rc = store_finish(store, err);
    /* A handle that has seen a write fail stays shut. */
    if (rc == PLAT_EIO && store != NULL && store->failed && put_text(store, "more", NULL) != PLAT_EIO)
        rc = PLAT_EBUG;
    store_close(store);
    return rc;
}

static int count_errors(void *ctx, const struct finding *finding)
{
    *(unsigned *)ctx += finding->severity == SEVERITY_ERROR;
    return 0;
}

/* Sound, and with what one of these commits left. */
static bool holds(struct plat_dev *dev, unsigned first, unsigned last)
{
    const struct store_options options = {0};
    struct store *store;
    unsigned errors = 0;
    const struct finding_sink sink = {.fn = count_errors, .ctx = &errors};
    if (store_open(dev, &options, &store, NULL) != 0)
        return false;
    bool good = st1_check_structures(store, &sink, NULL) == 0 && st1_scrub(store, &sink, NULL, NULL) == 0 &&
                errors == 0;
    bool known = false;
    for (unsigned i = first; i <= last && i <= COMMITS; i++) {
        bool same = true;
        for (const char *at = letters; *at != '\0'; at++) {
            const char text[] = {*at, '\0'};
            same = same && has_text(store, text) == (strchr(after[i], *at) != NULL);
        }
        known = known || same;
    }
    store_close(store);
    return good && known;
}

/* The next writer puts something and leaves the store at rest. */
static int write_on(struct plat_dev *dev, struct plat_err *err)
{
    const struct store_options options = {.writable = true};
    struct store *store = NULL;
    int rc = store_open(dev, &options, &store, err);
    if (rc == 0)
        rc = put_text(store, "the next writer", err);
    if (rc == 0)
        rc = store_commit(store, err);
    if (rc == 0)
        rc = store_finish(store, err);
    store_close(store);
    return rc;
}
static bool goes_on(struct plat_dev *dev)
{
    struct st1_pair pair;
    return write_on(dev, NULL) == 0 && st1_pair_read(dev, NULL, &pair, NULL) == 0 && pair.both.clean;
}

static bool told_of(const struct dev_fault *fault, int rc, const struct plat_err *err)
{
    if (fault->n_failed == 0)
        return rc == 0;
    return rc == PLAT_EIO && strstr(err->text, "planted fault") != NULL &&
           (strstr(err->text, "No space left") != NULL) == fault->full;
}

/* full: the device takes no more writes (ENOSPC); once: what comes behind the fault would succeed. */
static void test_io(bool full, bool once)
{
    unsigned wrong = 0, tried = 0;
    for (uint64_t nth = 0;; nth++) {
        struct plat_dev *dev = fresh(BLOCKS, 16, STORE_VERSION_PLAIN), *failing = NULL;
        struct dev_fault fault = {.nth = nth, .full = full, .once = once};
        struct plat_err err = {0};
        unsigned commits = 0;
        if (dev_open_fault_like(dev, &fault, &failing, &err) != 0)
            break;
        const long before = memory.live;
        int rc = workload(failing, &commits, &err);
        const long lost = memory.live - before;
        dev_close(failing);
        bool kept = holds(dev, commits, commits + 1);
        if ((!told_of(&fault, rc, &err) || !kept || lost != 0 || !goes_on(dev)) && wrong++ < 5)
            printf("# operation %llu: class %d, %s, %s, %ld pieces of memory lost\n", (unsigned long long)nth,
                   rc, err.text, kept ? "state kept" : "state lost", lost);
        dev_close(dev);
        tried++;
        if (fault.n_failed == 0)
            break;
    }
    ok(wrong == 0 && tried > 20, "each of %u %s%s: told, and the state is kept", tried,
       full ? "writes may find the device full" : "reads, writes and flushes may fail", once ? ", once" : "");
}

/* Whatever a first fault leaves, a second one hits the next writer: in the middle of cleaning up. */
static void test_io_again(bool full)
{
    static uint8_t left[BLOCKS * ST1_BLOCK_BYTES];
    struct plat_dev *dev = fresh(BLOCKS, 16, STORE_VERSION_PLAIN);
    uint8_t *bytes = dev_memory_bytes(dev);
    unsigned wrong = 0, tried = 0;
    for (uint64_t first = 0;; first++) {
        struct plat_dev *blank = fresh(BLOCKS, 16, STORE_VERSION_PLAIN), *failing = NULL;
        struct dev_fault fault = {.nth = first}, again;
        struct plat_err err = {0};
        unsigned commits = 0;
        memcpy(bytes, dev_memory_bytes(blank), sizeof left);
        dev_close(blank);
        if (dev_open_fault_like(dev, &fault, &failing, &err) != 0)
            break;
        (void)workload(failing, &commits, NULL);
        dev_close(failing);
        memcpy(left, bytes, sizeof left);
        for (uint64_t nth = 0;; nth++) {
            memcpy(bytes, left, sizeof left);
            again = (struct dev_fault){.nth = nth, .full = full};
            err = (struct plat_err){0};
            if (dev_open_fault_like(dev, &again, &failing, &err) != 0)
                break;
            int rc = write_on(failing, &err);
            dev_close(failing);
            if ((!told_of(&again, rc, &err) || !holds(dev, commits, commits + 1) || !goes_on(dev)) &&
                wrong++ < 5)
                printf("# operation %llu, then %llu: class %d, %s\n", (unsigned long long)first,
                       (unsigned long long)nth, rc, err.text);
            tried++;
            if (again.n_failed == 0)
                break;
        }
        if (fault.n_failed == 0)
            break;
    }
    ok(wrong == 0 && tried > 300,
       "%u pairs of faults, the second one (%s) while the next writer cleans up behind the first", tried,
       full ? "ENOSPC" : "EIO");
    dev_close(dev);
}

static void test_memory(void)
{
    for (int stays = 0; stays < 2; stays++) {
        unsigned wrong = 0, tried = 0;
        for (unsigned long nth = 0;; nth++) {
            struct plat_dev *dev = fresh(BLOCKS, 16, STORE_VERSION_PLAIN);
            struct plat_err err = {0};
            unsigned commits = 0;
            memory.left = nth;
            memory.stays = stays;
            memory.failed = 0;
            const long before = memory.live;
            memory.armed = true;
            int rc = workload(dev, &commits, &err);
            memory.armed = false;
            const long lost = memory.live - before;
            bool failed = memory.failed > 0;
            bool kept = holds(dev, commits, commits + 1);
            if (((failed && rc != PLAT_ENOMEM) || (!failed && rc != 0) || !kept || lost != 0 ||
                 !goes_on(dev)) &&
                wrong++ < 5)
                printf("# allocation %lu: class %d, %s, %s, %ld lost\n", nth, rc, err.text,
                       kept ? "state kept" : "state lost", lost);
            dev_close(dev);
            tried++;
            if (!failed)
                break;
        }
        ok(wrong == 0 && tried > 10, "each of %u allocations may fail%s: told, and the state is kept", tried,
           stays ? ", and all behind it" : "");
    }
}

/* ---- large objects ---- */

struct generated {
    uint64_t at, fail_at;
};
static int generate(void *ctx, void *buf, size_t n, struct plat_err *err)
{
    struct generated *source = ctx;
    if (source->at + n > source->fail_at)
        return err_set(err, PLAT_EIO, "planted in the source");
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = (uint8_t)((source->at + i) * 2654435761u >> 13);
    source->at += n;
    return 0;
}

static void test_large(void)
{
    struct plat_dev *dev = fresh(40000, 16, STORE_VERSION_PLAIN);
    const struct store_options options = {.writable = true};
    struct store *store = NULL;
    struct plat_err err = {0};
    uint8_t key[STORE_KEY_BYTES], again[STORE_KEY_BYTES];
    struct generated source = {.fail_at = UINT64_MAX};
    bool added = false, twice = true;
    uint64_t index;
    ok(store_open(dev, &options, &store, &err) == 0 &&
           store_put_from(store, LARGE_BYTES, generate, &source, NULL, key, &added, &err) == 0 && added &&
           put_text(store, "a", &err) == 0 && store_commit(store, &err) == 0,
       "an object larger than the buffer is stored %s", err.text);
    source.at = 0;
    ok(store_put_from(store, LARGE_BYTES, generate, &source, NULL, again, &twice, &err) == 0 && !twice &&
           memcmp(key, again, sizeof key) == 0,
       "the same again is not stored twice %s", err.text);
    source = (struct generated){.fail_at = 2 * ST1_BUFFER_BYTES};
    ok(store_put_from(store, LARGE_BYTES, generate, &source, NULL, again, &twice, &err) == PLAT_EIO &&
           strstr(err.text, "planted") != NULL,
       "a source that fails in the middle says so");
    ok(put_text(store, "b", &err) == 0 && store_commit(store, &err) == 0 && store_finish(store, &err) == 0,
       "the store goes on behind it %s", err.text);
    store_close(store);
    ok(holds(dev, 1, 1), "what was given up leaves no byte behind");
    uint8_t *buf = malloc(LARGE_BYTES);
    uint8_t *want = malloc(LARGE_BYTES);
    size_t n = 0;
    source = (struct generated){.fail_at = UINT64_MAX};
    const struct store_options reading = {0};
    ok(buf != NULL && want != NULL && store_open(dev, &reading, &store, &err) == 0 &&
           store_find(store, key, &index) && store_read(store, index, 0, buf, LARGE_BYTES, &n, &err) == 0 &&
           n == LARGE_BYTES && generate(&source, want, LARGE_BYTES, &err) == 0 && memcmp(buf, want, n) == 0,
       "it reads as it was %s", err.text);
    ok(put_text(store, "c", &err) == PLAT_EUNSUPPORTED, "a handle for reading takes nothing");
    store_close(store);
    free(buf);
    free(want);
    dev_close(dev);
}

/* ---- made-up stores ---- */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int ignore_instance(void *ctx, const struct inst *inst)
{
    (void)ctx;
    (void)inst;
    return 0;
}
static int check_extent(void *ctx, const struct extent *extent)
{
    const struct plat_dev *dev = ctx;
    return range_within(extent->place, dev->size_bytes) ? 0 : PLAT_EBUG;
}

/* The reader that has no memory of its own finds what the store finds, for each key that the table has. */
static bool readers_agree(struct plat_dev *dev)
{
    static struct st1_reader reader;
    static uint8_t buf[ST1_BLOCK_BYTES];
    const struct store_options options = {0};
    struct store *store = NULL;
    struct plat_err err;
    if (store_open(dev, &options, &store, &err) != 0)
        return true;
    bool agree = st1_reader_open(dev, (struct st1_buffer){buf, 1}, &reader, &err) == 0;
    for (uint64_t i = 0; agree && i < store_count(store); i++) {
        struct store_object want, found;
        uint64_t index = 0;
        store_entry(store, i, &want);
        const bool live = store_find(store, want.key, &index);
        if (live)
            store_entry(store, index, &want);
        agree = st1_reader_find(&reader, want.key, &found, &err) == (live ? 0 : PLAT_ENOTFOUND) &&
                (!live || (want.offset == found.offset && want.size_bytes == found.size_bytes &&
                           memcmp(want.key, found.key, sizeof want.key) == 0));
    }
    store_close(store);
    return agree;
}

/* Superblock fields and entries get other values under checksums that are right. */
static void test_hostile(void)
{
    struct plat_dev *dev = fresh(BLOCKS, 16, STORE_VERSION_TIMED);
    uint8_t *bytes = dev_memory_bytes(dev), *good = malloc(BLOCKS * ST1_BLOCK_BYTES);
    static const uint64_t odd[] = {0,  1,       2,          3,         8,          39,        40,
                                   41, 1 << 24, UINT32_MAX, INT64_MAX, UINT64_MAX, 1ull << 55};
    unsigned commits = 0, wrong = 0, opened = 0;
    uint64_t random = 1;
    if (good == NULL || workload(dev, &commits, NULL) != 0) {
        printf("Bail out! the workload\n");
        exit(1);
    }
    memcpy(good, bytes, BLOCKS * ST1_BLOCK_BYTES);
    for (int i = 0; i < 6000; i++) {
        memcpy(bytes, good, BLOCKS * ST1_BLOCK_BYTES);
        for (uint64_t changes = 1 + next_random(&random) % 3; changes > 0; changes--) {
            bool table = next_random(&random) % 2 == 0;
            uint64_t at = table ? 2 * ST1_BLOCK_BYTES + 8 * (next_random(&random) % 64)
                                : 16 + 8 * (next_random(&random) % 14);
            store_le64(bytes + at, odd[next_random(&random) % (sizeof odd / sizeof odd[0])]);
        }
        struct caposst1_superblock_mut m = {bytes};
        uint64_t count = caposst1_superblock_entry_count((struct caposst1_superblock){bytes});
        if (count <= 64 && next_random(&random) % 4 != 0)
            caposst1_superblock_set_table_crc32c(
                m, hash_crc32c(0, bytes + 2 * (size_t)ST1_BLOCK_BYTES, count * ST1_ENTRY_BYTES));
        caposst1_superblock_seal(m);
        memcpy(bytes + ST1_BLOCK_BYTES, bytes, ST1_BLOCK_BYTES);
        const struct stack_options options = {.degraded = true};
        const struct walk_sink sink = {.ctx = dev, .instance = ignore_instance, .extent = check_extent};
        unsigned errors = 0;
        const struct finding_sink findings = {.fn = count_errors, .ctx = &errors};
        struct stack *stack = NULL;
        struct plat_err err = {0};
        if (stack_open(dev, &options, &stack, &err) != 0)
            continue;
        opened += stack->n_layers > 0;
        int rc = stack_walk(stack, &sink, &err);
        if (rc == PLAT_EBUG || stack_verify(stack, &findings, NULL, &err) == PLAT_EBUG ||
            stack_scrub(stack, &findings, NULL, NULL, &err) == PLAT_EBUG)
            wrong++;
        stack_close(stack);
        wrong += !readers_agree(dev);
        /* A writer either refuses it or leaves it sound. */
        if (!goes_on(dev))
            continue;
        const struct store_options reading = {0};
        struct store *store = NULL;
        if (store_open(dev, &reading, &store, &err) != 0 && wrong++ < 5)
            printf("# %d: a writer left what cannot be opened: %s\n", i, err.text);
        store_close(store);
        wrong += !readers_agree(dev);
    }
    ok(wrong == 0 && opened > 1000,
       "made-up stores are judged, walked within their bounds, and written or refused");
    free(good);
    dev_close(dev);
}

int main(void)
{
    for (int kind = 0; kind < 4; kind++)
        test_io(kind / 2 == 1, kind % 2 == 1);
    test_io_again(false);
    test_io_again(true);
    test_memory();
    test_large();
    test_hostile();
    return tap_done();
}
