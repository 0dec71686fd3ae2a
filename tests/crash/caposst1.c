/* The store under power cuts: workloads of puts, deletes and compactions, a model of them that is a plain set, and
 * the judge. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/caposst1/private.h"
#include "tests/crash/formats.h"
#include "tests/crash/verdict.h"

/* ---- objects: what a number stands for ---- */

enum { OBJECTS = 40, OBJECT_BYTES = 2048, STRANGER = 0xA5 };

static struct {
    bool made;
    uint8_t bytes[OBJECTS][OBJECT_BYTES];
    size_t sizes[OBJECTS];
    uint8_t keys[OBJECTS][STORE_KEY_BYTES];
} objects;

static void objects_make(void)
{
    static const size_t sizes[] = {0, 1, 30, 511, 512, 513, 200, 700, 64, 1024, 1300, 90};
    for (uint64_t id = 0; !objects.made && id < OBJECTS; id++) {
        uint64_t state = id + 77;
        objects.sizes[id] = sizes[id % (sizeof sizes / sizeof sizes[0])] + id / 12;
        for (size_t i = 0; i < OBJECT_BYTES; i++)
            objects.bytes[id][i] = (uint8_t)crash_random(&state);
        hash_sha256(objects.bytes[id], objects.sizes[id], objects.keys[id]);
    }
    objects.made = true;
}

/* ---- the model: which objects, with which time ---- */

struct model {
    bool has[OBJECTS];
    uint64_t when[OBJECTS]; /* provenance and seconds */
};

static uint64_t one_digest(uint64_t id, uint64_t when)
{
    uint64_t state = id * 0x100000001B3u + when * 0x2545F4914F6CDD1Du + 1;
    return crash_random(&state);
}
static uint64_t model_digest(const struct model *model)
{
    uint64_t digest = 1;
    for (uint64_t id = 0; id < OBJECTS; id++)
        if (model->has[id])
            digest += one_digest(id, model->when[id]);
    return digest;
}

/* Digest of what a store holds; false when it holds something that nobody put there. */
static bool store_digest(const struct store *store, uint64_t *ret)
{
    uint64_t digest = 1, id;
    for (uint64_t i = 0; i < store_count(store); i++) {
        struct store_object object;
        store_entry(store, i, &object);
        if (object.is_tombstone || object.is_dead)
            continue;
        for (id = 0; id < OBJECTS; id++)
            if (load_le64(object.key) == load_le64(objects.keys[id]))
                break;
        if (id == OBJECTS)
            return false;
        digest += one_digest(id, (uint64_t)object.time.created_ns * 4 + (uint64_t)object.time.provenance);
    }
    *ret = digest;
    return true;
}

/* ---- images ---- */

static struct store_shape shape_of(uint64_t seed)
{
    static const struct store_shape shapes[] = {
        {.version = 1, .region_blocks = 30, .entries = 16, .shadow = true},
        {.version = 2, .region_blocks = 30, .entries = 16, .shadow = true},
        {.version = 2,
         .region_blocks = 34,
         .hole_first_block = 16,
         .hole_blocks = 4,
         .entries = 16,
         .shadow = true},
        {.version = 2, .region_blocks = 20, .entries = 8, .shadow = true},
        {.version = 1,
         .region_blocks = 34,
         .hole_first_block = 5,
         .hole_blocks = 2,
         .entries = 16,
         .shadow = true,
         .behind_hole = true},
    };
    return shapes[seed % 5];
}
static bool has_strangers(uint64_t seed)
{
    return shape_of(seed).hole_blocks > 0;
}

static uint64_t image_bytes(uint64_t seed)
{
    return (shape_of(seed).region_blocks + (has_strangers(seed) ? 4 : 0)) * ST1_BLOCK_BYTES;
}

/* The hole, and what lies behind the region: somebody else's bytes, which must stay as they are. */
static void strangers(uint64_t seed, struct range ret[2])
{
    const struct store_shape shape = shape_of(seed);
    ret[0] = (struct range){shape.hole_first_block * ST1_BLOCK_BYTES, shape.hole_blocks * ST1_BLOCK_BYTES};
    ret[1] = (struct range){shape.region_blocks * ST1_BLOCK_BYTES,
                            image_bytes(seed) - shape.region_blocks * ST1_BLOCK_BYTES};
}

static int make(struct plat_dev *dev, uint64_t seed, uint64_t *ret_digest, struct plat_err *err)
{
    const struct model empty = {0};
    const struct store_shape shape = shape_of(seed);
    struct range others[2];
    objects_make();
    strangers(seed, others);
    for (size_t i = 0; has_strangers(seed) && i < 2; i++)
        memset(dev_memory_bytes(dev) + others[i].start, STRANGER, others[i].bytes);
    *ret_digest = model_digest(&empty);
    return store_format(dev, &shape, err);
}

/* ---- workloads ---- */

struct session {
    struct crash_run *run;
    struct store *store;
    struct model committed, staged;
    uint64_t random;
    uint64_t clock;
    uint32_t version;
    struct plat_err *err;
};

static int do_put(struct session *s, uint64_t id)
{
    uint8_t key[STORE_KEY_BYTES];
    bool added = false;
    struct store_time time = {STORE_TIME_UNKNOWN, 0};
    if (s->version == STORE_VERSION_TIMED && crash_random(&s->random) % 4 != 0) {
        time.provenance = (enum store_provenance)(1 + crash_random(&s->random) % 3);
        time.created_ns = (int64_t)++s->clock;
    }
    int rc = store_put(s->store, objects.bytes[id], objects.sizes[id], &time, key, &added, s->err);
    if (rc == PLAT_ELIMIT) /* full: an answer like any other */
        return 0;
    if (rc == 0 && (added == s->staged.has[id] || memcmp(key, objects.keys[id], sizeof key) != 0))
        return err_set(s->err, PLAT_EBUG, "object %llu: stored anew, or taken for one that is there",
                       (unsigned long long)id);
    if (rc == 0 && added) {
        s->staged.has[id] = true;
        s->staged.when[id] = (uint64_t)time.created_ns * 4 + (uint64_t)time.provenance;
    }
    return rc;
}

static int do_delete(struct session *s, uint64_t id)
{
    int rc = store_delete(s->store, objects.keys[id], s->err);
    if (rc == PLAT_ELIMIT)
        return 0;
    if (s->staged.has[id] ? rc != 0 : rc != PLAT_ENOTFOUND)
        return rc != 0 ? rc : err_set(s->err, PLAT_EBUG, "deleted what is not there");
    s->staged.has[id] = false;
    return 0;
}

/* Also brings what is staged to the disk before its commit. */
static int do_read(struct session *s, uint64_t id)
{
    uint8_t buf[OBJECT_BYTES];
    uint64_t index;
    size_t n = 0;
    if (store_find(s->store, objects.keys[id], &index) != s->staged.has[id])
        return err_set(s->err, PLAT_EBUG, "object %llu is there or not", (unsigned long long)id);
    if (!s->staged.has[id])
        return 0;
    int rc = store_read(s->store, index, 0, buf, sizeof buf, &n, s->err);
    if (rc == 0 && (n != objects.sizes[id] || memcmp(buf, objects.bytes[id], n) != 0))
        return err_set(s->err, PLAT_EBUG, "object %llu reads as something else", (unsigned long long)id);
    return rc;
}

static int do_commit(struct session *s)
{
    crash_committing(s->run, model_digest(&s->staged));
    int rc = store_commit(s->store, s->err);
    if (rc != 0)
        return rc;
    crash_committed(s->run);
    s->committed = s->staged;
    return 0;
}

static int do_compact(struct session *s)
{
    int rc = store_compact(s->store, s->err);
    return rc == PLAT_ELIMIT ? 0 : rc;
}

static int random_step(struct session *s)
{
    uint64_t id = crash_random(&s->random) % OBJECTS, what = crash_random(&s->random) % 32;
    /* Deletes look for something that is there. */
    for (uint64_t i = 0; what >= 14 && what < 24 && i < OBJECTS && !s->staged.has[id]; i++)
        id = (id + 1) % OBJECTS;
    if (what < 14)
        return do_put(s, id);
    if (what < 24)
        return do_delete(s, id);
    if (what < 26)
        return do_read(s, id);
    return what < 31 ? do_commit(s) : do_compact(s);
}

/* What has to be tried whatever the dice say: fill, delete, a put that compacts with others staged, an object that
 * comes back, a store that is emptied, staged data that is given up. */
static int picked_session(struct session *s)
{
    static const char script[] = "p5p6p7c d6c p9p3p4c d5d9c p8r8p2p1c xp6c r6d8c p0p6c d1c";
    static const char abandon[] = "p8r8p9r9p1r1p2r2p3r3";
    const char *text = s->random % 2 == 0 ? script : abandon;
    int rc = 0;
    for (const char *at = text; rc == 0 && *at != '\0'; at++) {
        uint64_t id = at[1] >= '0' && at[1] <= '9' ? (uint64_t)(at[1] - '0') : 0;
        if (*at == 'p')
            rc = do_put(s, id);
        else if (*at == 'd' && s->staged.has[id])
            rc = do_delete(s, id);
        else if (*at == 'r')
            rc = do_read(s, id);
        else if (*at == 'c')
            rc = do_commit(s);
        else if (*at == 'x')
            rc = do_compact(s);
    }
    return rc;
}

static int run_session(struct session *s, struct plat_dev *dev, const struct store_hooks *hooks,
                       uint64_t seed)
{
    const struct store_options options = {.writable = true, .hooks = hooks};
    uint64_t digest = 0;
    s->staged = s->committed;
    int rc = store_open(dev, &options, &s->store, s->err);
    if (rc != 0)
        return rc;
    if (!store_digest(s->store, &digest) || digest != model_digest(&s->committed))
        rc = err_set(s->err, PLAT_EBUG, "the writer opened something else than what was committed");
    if (rc == 0 && seed < 8) {
        s->random = seed / 4;
        rc = picked_session(s);
    }
    for (uint64_t left = 4 + crash_random(&s->random) % 12; rc == 0 && seed >= 8 && left > 0; left--)
        rc = random_step(s);
    /* Some writers leave without a word. */
    if (rc == 0 && (seed < 8 || crash_random(&s->random) % 4 != 0))
        rc = store_finish(s->store, s->err);
    store_close(s->store);
    return rc;
}

static int work(struct crash_run *run, struct plat_dev *dev, uint64_t seed, uint64_t skip,
                struct plat_err *err)
{
    const struct store_hooks hooks = {.skip = skip};
    struct session s = {.run = run, .random = seed * 7919, .version = shape_of(seed).version, .err = err};
    uint64_t sessions = seed < 8 ? 2 : 1 + crash_random(&s.random) % 3;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < sessions; i++)
        rc = run_session(&s, dev, &hooks, seed);
    return rc;
}

static int resume(struct crash_run *run, struct plat_dev *dev, uint64_t seed, uint64_t skip, uint64_t digest,
                  struct plat_err *err)
{
    const struct store_hooks hooks = {.skip = skip};
    const struct store_options options = {.writable = true, .hooks = &hooks};
    struct store *store;
    uint8_t key[STORE_KEY_BYTES];
    uint64_t found = 0, id = seed % OBJECTS, index;
    bool added = false;
    int rc = store_open(dev, &options, &store, err);
    if (rc != 0)
        return rc;
    if (!store_digest(store, &found) || found != digest)
        rc = err_set(err, PLAT_EBUG, "the next writer opened something else than a reader did");
    while (store_find(store, objects.keys[id], &index))
        id = (id + 1) % OBJECTS;
    if (rc == 0)
        rc = store_put(store, objects.bytes[id], objects.sizes[id], NULL, key, &added, err);
    if (rc == 0) {
        crash_committing(run, digest + one_digest(id, 0));
        rc = store_commit(store, err);
        crash_committed(run);
    }
    if (rc == 0 || rc == PLAT_ELIMIT)
        rc = store_finish(store, err);
    store_close(store);
    return rc;
}

/* ---- the judge ---- */

static bool judge_store(struct plat_dev *dev, const struct store_hooks *hooks, uint64_t *ret_digest,
                        char *why)
{
    const struct store_options options = {.hooks = hooks};
    struct verdict verdict = {.why = why};
    const struct finding_sink sink = {.fn = verdict_finding, .ctx = &verdict};
    struct plat_err err;
    struct store *store;
    err_clear(&err);
    int rc = store_open(dev, &options, &store, &err);
    if (rc == 0) {
        rc = st1_check_structures(store, &sink, &err);
        if (rc == 0)
            rc = st1_scrub(store, &sink, NULL, &err);
        if (rc == 0 && verdict.errors == 0 && !store_digest(store, ret_digest)) {
            verdict.errors++;
            (void)snprintf(why, CRASH_WHY_BYTES, "it holds an object that nobody put there");
        }
        store_close(store);
    }
    if (rc != 0)
        (void)snprintf(why, CRASH_WHY_BYTES, "%s", err.text);
    return rc == 0 && verdict.errors == 0;
}

static bool judge(struct plat_dev *dev, uint64_t seed, uint64_t skip, uint64_t *ret_digest,
                  char ret_why[CRASH_WHY_BYTES])
{
    const struct store_hooks hooks = {.skip = skip};
    uint8_t bytes[64 * ST1_BLOCK_BYTES];
    struct range others[2];
    strangers(seed, others);
    bool good = judge_store(dev, &hooks, ret_digest, ret_why);
    for (size_t i = 0; has_strangers(seed) && i < 2; i++) {
        if (dev_read(dev, others[i].start, bytes, others[i].bytes, NULL) != 0 ||
            !bytes_all(bytes, others[i].bytes, STRANGER)) {
            (void)snprintf(ret_why, CRASH_WHY_BYTES, "bytes that are not the store's were changed");
            good = false;
        }
    }
    if (skip == 0 && dev_read(dev, 0, bytes, 2 * ST1_BLOCK_BYTES, NULL) == 0 &&
        hash_xxh64(bytes, 2 * ST1_BLOCK_BYTES) % 512 == 0 && !verdict_agrees(dev, good, ret_why)) {
        (void)snprintf(ret_why, CRASH_WHY_BYTES, "plat verify --data and the quick judge do not agree");
        return false;
    }
    return good;
}

const struct crash_format crash_caposst1 = {.name = "caposst1",
                                            .image_bytes = image_bytes,
                                            .make = make,
                                            .work = work,
                                            .resume = resume,
                                            .judge = judge};

/* ---- mutations ---- */

const char *const crash_caposst1_steps[] = {
    [STORE_FLUSH_MARK] = "flush behind the writer's mark",
    [STORE_FLUSH_DATA] = "flush before the commit",
    [STORE_FLUSH_COMMIT] = "flush behind the commit",
    [STORE_FLUSH_SHADOW] = "flush behind the shadow generation",
    [STORE_FLUSH_SHADOW_COMMIT] = "flush behind the shadow's commit",
    [STORE_FLUSH_FRONT] = "flush behind the front generation",
    [STORE_FLUSH_FRONT_COMMIT] = "flush behind the front's commit",
    [STORE_FLUSH_RECOVER] = "flush behind a mended superblock",
    [STORE_FLUSH_CLEAN] = "flush before the store is called clean",
    [STORE_CHECK_SUPERBLOCK] = "checksum of the superblock",
    [STORE_CHECK_STAMPS] = "torn or damaged",
    [STORE_CHECK_TABLE] = "checksum of the table",
    [STORE_CHECK_DATA] = "hash of an object",
    [STORE_CHECK_PADDING] = "zeros behind an object",
    [STORE_CHECK_FREE] = "zeros in free blocks",
};
_Static_assert(sizeof crash_caposst1_steps / sizeof crash_caposst1_steps[0] == STORE_STEPS,
               "each step has a name");
const size_t n_crash_caposst1_steps = STORE_STEPS;
