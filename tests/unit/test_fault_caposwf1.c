/* A CAPOSWF1 that is written while things fail: the Nth read, write or flush with EIO, the Nth write with ENOSPC, the Nth
 * allocation; that one alone, or all from then on. tests/crash has the power cuts.
 *
 * Behind each failure: the error is told; either nothing was changed, so that the same step works when it is tried again
 * and all ends as if nothing had been, or the handle takes no more changes, and the filesystem holds what some commit left,
 * none older than the last that returned, is sound to its last byte, and takes the next writer. No memory is lost.
 *
 * Catches: an error that is dropped, a commit that was not one, a handle that goes on behind half a change. */
#include <errno.h>
#include <stdlib.h>

#include "formats/caposwf1/writer.h"
#include "lib/hash/hash.h"
#include "tests/unit/memory_fails.h"
#include "tests/unit/tap.h"

enum { BLOCKS = 200, REGION_BLOCKS = 150, WINDOW = 65536, MAX_COMMITS = 16, MANY = 24 };

static const struct fs_writer *const writer = &caposwf1_writer;

/* ---- a device that fails on cue ---- */

struct flaky {
    struct plat_dev dev;
    struct plat_dev *inner;
    const struct failure *how;
    uint64_t left; /* operations of the kind until one fails */
    bool armed;
    uint64_t failed;
};
static const struct failure {
    const char *what;
    bool reads, writes, flushes, stays;
    int error;
} failures[] = {
    {"the device, from the Nth operation on", true, true, true, true, EIO},
    {"the Nth operation", true, true, true, false, EIO},
    {"the Nth write and all behind it, for want of room", false, true, false, true, ENOSPC},
    {"the Nth write, for want of room", false, true, false, false, ENOSPC},
    {"the Nth flush", false, false, true, false, EIO},
};

static int fail_or(struct flaky *flaky, bool counts, struct plat_err *err)
{
    if (!flaky->armed || !counts)
        return 0;
    if (flaky->left > 0) {
        flaky->left--;
        return 0;
    }
    flaky->armed = flaky->how->stays;
    flaky->failed++;
    return err_sys(err, flaky->how->error, "planted fault");
}
static int flaky_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    struct flaky *flaky = (struct flaky *)(void *)dev;
    int rc = fail_or(flaky, flaky->how->reads, err);
    return rc != 0 ? rc : dev_read(flaky->inner, offset, buf, n, err);
}
static int flaky_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err)
{
    struct flaky *flaky = (struct flaky *)(void *)dev;
    int rc = fail_or(flaky, flaky->how->writes, err);
    /* Half of what fails may have landed. */
    if (rc != 0)
        (void)dev_write(flaky->inner, offset, buf, n / 1024 * 512, NULL);
    return rc != 0 ? rc : dev_write(flaky->inner, offset, buf, n, err);
}
static int flaky_flush(struct plat_dev *dev, struct plat_err *err)
{
    struct flaky *flaky = (struct flaky *)(void *)dev;
    int rc = fail_or(flaky, flaky->how->flushes, err);
    return rc != 0 ? rc : dev_flush(flaky->inner, err);
}
static void flaky_close(struct plat_dev *dev)
{
    (void)dev;
}
static const struct plat_dev_ops flaky_ops = {
    .read_at = flaky_read, .write_at = flaky_write, .flush = flaky_flush, .close = flaky_close};

static void flaky_init(struct flaky *flaky, struct plat_dev *inner, const struct failure *how, uint64_t nth)
{
    *flaky = (struct flaky){.dev = {.ops = &flaky_ops, .size_bytes = inner->size_bytes, .name = inner->name},
                            .inner = inner,
                            .how = how,
                            .left = nth,
                            .armed = true};
}

/* ---- images ---- */

static void die(const char *what, const struct plat_err *err)
{
    printf("Bail out! %s: %s\n", what, err->text);
    exit(1);
}

static struct plat_dev *fresh(void)
{
    struct plat_dev *dev = NULL;
    const struct wf1_shape shape = {.region_first_block = 2, .region_blocks = REGION_BLOCKS};
    struct plat_err err = {0};
    if (dev_open_memory((uint64_t)BLOCKS * WF1_BLOCK_BYTES, "image", &dev, &err) != 0 ||
        wf1_format(dev, &shape, &err) != 0)
        die("a new filesystem", &err);
    return dev;
}

static int reach(struct plat_dev *dev, bool writable, struct fs **ret, struct plat_err *err)
{
    const struct fs_open_options options = {.writable = writable};
    struct volume *vol;
    int rc = wf1_volume_open(dev, NULL, &options, NULL, &vol, err);
    if (rc == 0)
        *ret = &vol->fs;
    return rc;
}
static void leave(struct fs *fs)
{
    wf1_volume_close(volume_of(fs));
}

/* ---- what an image holds ---- */

struct listing {
    struct fs *fs;
    unsigned n;
    uint64_t nodes[MANY * 2], names[MANY * 2];
};
static int add_entry(void *ctx, const struct fs_dirent *entry)
{
    struct listing *listing = ctx;
    if (listing->n == MANY * 2)
        return PLAT_ELIMIT;
    listing->nodes[listing->n] = entry->node;
    listing->names[listing->n++] = hash_xxh64(entry->name, strlen(entry->name));
    return 0;
}

static bool digest_node(struct fs *fs, uint64_t number, uint64_t path, uint64_t *digest)
{
    static uint8_t buf[8 * WINDOW];
    struct listing listing = {.fs = fs};
    struct fs_stat stat;
    size_t n = 0;
    if (fs->driver->stat(fs, number, &stat, NULL) != 0)
        return false;
    const uint64_t fields[] = {path,
                               stat.kind,
                               stat.mode,
                               stat.uid,
                               (uint64_t)stat.modified.ns,
                               stat.modified.clock,
                               *digest,
                               stat.kind == TREE_FILE ? stat.size_bytes : 0};
    *digest = hash_xxh64(fields, sizeof fields);
    if (stat.kind == TREE_FILE) {
        if (fs->driver->read(fs, number, 0, buf, sizeof buf, &n, NULL) != 0)
            return false;
        *digest ^= hash_xxh64(buf, n) * 3;
    }
    if (stat.kind != TREE_DIR)
        return true;
    bool good = fs->driver->readdir(fs, number, add_entry, &listing, NULL) == 0;
    for (unsigned i = 0; good && i < listing.n; i++)
        good = digest_node(fs, listing.nodes[i], path * 31 + listing.names[i], digest);
    return good;
}

static int count_errors(void *ctx, const struct finding *finding)
{
    *(unsigned *)ctx += finding->severity == SEVERITY_ERROR;
    return 0;
}

/* Sound to its last byte; *ret: what it holds. */
static bool holds(struct plat_dev *dev, uint64_t *ret)
{
    unsigned errors = 0;
    const struct finding_sink sink = {.fn = count_errors, .ctx = &errors};
    struct fs *fs;
    if (reach(dev, false, &fs, NULL) != 0)
        return false;
    *ret = volume_of(fs)->reader.super.region_blocks;
    bool good = caposwf1_check(fs, &sink, NULL) == 0 && caposwf1_scrub(fs, &sink, NULL, NULL) == 0 &&
                errors == 0 && digest_node(fs, WF1_ROOT_NODE, 1, ret);
    leave(fs);
    return good;
}

/* ---- the workload ---- */

struct run {
    struct fs *fs;
    struct plat_err *err;
    unsigned commits;      /* that have returned */
    struct plat_dev *look; /* not NULL: `after` is filled from it */
    uint64_t after[MAX_COMMITS];
    uint64_t d, a, b;
    struct flaky *flaky; /* NULL: memory fails, or nothing does */
    int told;            /* class of the first failure */
    struct plat_err first;
    bool shut; /* the handle took no more changes behind it */
};

struct step {
    enum { MAKE, PUT, CUT, RENAME, DROP, SET, COMMIT, GROW, FINISH } verb;
    struct fs_place at, to;
    enum tree_kind kind;
    uint64_t *ret;
    uint64_t node, offset;
    size_t n;
};

static int attempt(struct run *run, const struct step *step)
{
    static const struct fs_attributes attributes = {
        .has_mode = true, .mode = 0600, .has_owner = true, .uid = 7};
    const struct fs_new what = {
        .kind = step->kind, .mode = 0644, .modified = {FS_CLOCK_STATED, 77}, .target = "somewhere/else"};
    uint8_t bytes[6000];
    uint64_t node;
    switch (step->verb) {
    case MAKE:
        return writer->create(run->fs, &step->at, &what, step->ret != NULL ? step->ret : &node, run->err);
    case PUT:
        memset(bytes, (int)(step->offset % 250) + 1, sizeof bytes);
        return writer->write(run->fs, step->node, step->offset, bytes, step->n, run->err);
    case CUT:
        return writer->truncate(run->fs, step->node, step->offset, run->err);
    case RENAME:
        return writer->rename(run->fs, &step->at, &step->to, run->err);
    case DROP:
        return writer->remove(run->fs, &step->at, run->err);
    case SET:
        return writer->set_attributes(run->fs, step->node, &attributes, run->err);
    case COMMIT:
        return writer->commit(run->fs, run->err);
    case GROW:
        return writer->grow(run->fs, (uint64_t)BLOCKS * WF1_BLOCK_BYTES, run->err);
    default:
        return writer->finish(run->fs, run->err);
    }
}

/* Tries what failed again, when nothing fails any more. */
static int again(struct run *run, const struct step *step, int rc)
{
    const struct step more = {.verb = MAKE, .at = {WF1_ROOT_NODE, "more"}};
    run->told = rc;
    run->first = *run->err;
    if (run->flaky != NULL)
        run->flaky->armed = false;
    memory.armed = false;
    rc = attempt(run, step);
    if (rc != PLAT_EIO)
        return rc;
    run->shut = true;
    if (attempt(run, &more) != PLAT_EIO || attempt(run, &(struct step){.verb = COMMIT}) != PLAT_EIO)
        return err_set(run->err, PLAT_EBUG, "the handle is shut for one change and open for another");
    return rc;
}

static int perform(struct run *run, struct step step)
{
    int rc = attempt(run, &step);
    return run->told == 0 && (rc == PLAT_EIO || rc == PLAT_ENOMEM) ? again(run, &step, rc) : rc;
}

static int make(struct run *run, uint64_t dir, const char *name, enum tree_kind kind, uint64_t *ret)
{
    return perform(run, (struct step){.verb = MAKE, .at = {dir, name}, .kind = kind, .ret = ret});
}
static int put(struct run *run, uint64_t node, uint64_t offset, size_t n)
{
    return perform(run, (struct step){.verb = PUT, .node = node, .offset = offset, .n = n});
}
static int rename_to(struct run *run, uint64_t dir, const char *name, uint64_t to_dir, const char *to)
{
    return perform(run, (struct step){.verb = RENAME, .at = {dir, name}, .to = {to_dir, to}});
}
static int drop(struct run *run, uint64_t dir, const char *name)
{
    return perform(run, (struct step){.verb = DROP, .at = {dir, name}});
}
/* Something that must be refused is; errors of the device pass. */
static int refused(struct run *run, int rc, int class)
{
    if (rc == 0)
        return err_set(run->err, PLAT_EBUG, "it was not refused");
    return rc == class ? 0 : rc;
}
static int committed(struct run *run, int rc)
{
    if (rc != 0)
        return rc;
    run->commits++;
    if (run->look != NULL && !holds(run->look, &run->after[run->commits]))
        return err_set(run->err, PLAT_EBUG, "the workload itself leaves a bad image");
    return 0;
}
static int commit(struct run *run)
{
    return committed(run, perform(run, (struct step){.verb = COMMIT}));
}

static int first_part(struct run *run)
{
    int rc = make(run, WF1_ROOT_NODE, "d", TREE_DIR, &run->d);
    if (rc == 0)
        rc = make(run, run->d, "a", TREE_FILE, &run->a);
    if (rc == 0)
        rc = put(run, run->a, 0, 2000);
    if (rc == 0)
        rc = make(run, WF1_ROOT_NODE, "b", TREE_FILE, &run->b);
    for (unsigned i = 0; rc == 0 && i < 6; i++)
        rc = put(run, run->b, (uint64_t)i * WINDOW + 100, 600);
    if (rc == 0)
        rc = make(run, WF1_ROOT_NODE, "l", TREE_SYMLINK, NULL);
    if (rc == 0)
        rc = refused(run, make(run, WF1_ROOT_NODE, "l", TREE_FIFO, NULL), PLAT_EINVALID);
    return rc == 0 ? commit(run) : rc;
}

static int second_part(struct run *run)
{
    int rc = rename_to(run, WF1_ROOT_NODE, "b", run->d, "a");
    if (rc == 0)
        rc = put(run, run->b, WINDOW - 300, 5000);
    if (rc == 0)
        rc = perform(run, (struct step){.verb = CUT, .node = run->b, .offset = 70001});
    if (rc == 0)
        rc = perform(run, (struct step){.verb = SET, .node = run->b});
    if (rc == 0)
        rc = commit(run);
    if (rc == 0)
        rc = drop(run, WF1_ROOT_NODE, "l");
    if (rc == 0)
        rc = make(run, WF1_ROOT_NODE, "e", TREE_DIR, NULL);
    if (rc == 0)
        rc = make(run, run->d, "f", TREE_DIR, NULL);
    if (rc == 0)
        rc = rename_to(run, WF1_ROOT_NODE, "e", run->d, "f");
    if (rc == 0)
        rc = refused(run, drop(run, WF1_ROOT_NODE, "d"), PLAT_EINVALID);
    return rc == 0 ? commit(run) : rc;
}

static int third_part(struct run *run)
{
    char name[200];
    int rc = committed(run, perform(run, (struct step){.verb = GROW}));
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    for (char i = 0; rc == 0 && i < MANY; i++) {
        name[0] = (char)('A' + i);
        rc = make(run, run->d, name, TREE_FILE, NULL);
    }
    if (rc == 0)
        rc = commit(run);
    for (char i = 0; rc == 0 && i < MANY; i++) {
        name[0] = (char)('A' + i);
        rc = drop(run, run->d, name);
    }
    return rc == 0 ? committed(run, perform(run, (struct step){.verb = FINISH})) : rc;
}

static int workload(struct run *run, struct plat_dev *dev)
{
    int rc = reach(dev, true, &run->fs, run->err);
    if (rc != 0) {
        run->told = rc;
        run->first = *run->err;
        run->shut = true;
        return rc;
    }
    rc = first_part(run);
    if (rc == 0)
        rc = second_part(run);
    if (rc == 0)
        rc = third_part(run);
    leave(run->fs);
    return rc;
}

/* ---- the verdict ---- */

static uint64_t after[MAX_COMMITS]; /* what each commit of the workload leaves */
static unsigned n_commits;

static bool goes_on(struct plat_dev *dev)
{
    struct plat_err err = {0};
    struct run run = {.err = &err};
    uint64_t digest;
    if (reach(dev, true, &run.fs, &err) != 0)
        return false;
    int rc = make(&run, WF1_ROOT_NODE, "the next writer", TREE_DIR, NULL);
    if (rc == 0)
        rc = writer->finish(run.fs, &err);
    leave(run.fs);
    if (rc != 0 || !holds(dev, &digest) || reach(dev, false, &run.fs, &err) != 0)
        return false;
    const bool clean = volume_of(run.fs)->pair.clean;
    leave(run.fs);
    return clean;
}

/* Is it what one of these commits left? */
static bool kept(struct plat_dev *dev, unsigned commits)
{
    uint64_t digest;
    return holds(dev, &digest) &&
           (digest == after[commits] || (commits < n_commits && digest == after[commits + 1]));
}

/* Told, and either nothing was changed, to the end, or what was stored is kept. */
static bool is_right(struct run *run, struct plat_dev *dev, int rc, bool failed, int class, const char *text)
{
    const bool told = failed ? run->told == class && strstr(run->first.text, text) != NULL : run->told == 0;
    const bool ended = run->shut ? rc != 0 && rc != PLAT_EBUG : rc == 0 && run->commits == n_commits;
    const bool is_kept = kept(dev, run->commits), next = goes_on(dev);
    if (told && ended && is_kept && next)
        return true;
    printf("# behind commit %u: class %d, then %d (%s):%s%s%s%s\n", run->commits, run->told, rc,
           run->err->text, told ? "" : " not told", ended ? "" : " not ended", is_kept ? "" : " not kept",
           next ? "" : " no next writer");
    return false;
}

static void reference(void)
{
    struct plat_dev *dev = fresh();
    struct plat_err err = {0};
    struct run run = {.err = &err, .look = dev};
    bool started = holds(dev, &run.after[0]);
    int rc = workload(&run, dev);
    ok(started && rc == 0 && run.commits == 6, "the workload: %u commits %s", run.commits, err.text);
    if (rc != 0)
        exit(1);
    memcpy(after, run.after, sizeof after);
    n_commits = run.commits;
    dev_close(dev);
}

static void test_io(const struct failure *how)
{
    unsigned wrong = 0, tried = 0, shut = 0;
    bool failed = true;
    for (uint64_t nth = 0; failed && wrong < 5; nth++) {
        struct plat_dev *dev = fresh();
        struct flaky flaky;
        struct plat_err err = {0};
        struct run run = {.err = &err, .flaky = &flaky};
        flaky_init(&flaky, dev, how, nth);
        int rc = workload(&run, &flaky.dev);
        failed = flaky.failed > 0;
        wrong += !is_right(&run, dev, rc, failed, PLAT_EIO, "planted fault");
        shut += run.shut;
        dev_close(dev);
        tried++;
    }
    ok(wrong == 0 && tried > 8,
       "%s fails, for each of %u: told, nothing is lost; it is over behind %u of them", how->what, tried,
       shut);
}

static void test_memory(bool stays)
{
    unsigned wrong = 0, tried = 0, shut = 0;
    for (bool failed = true; failed && wrong < 5; tried++) {
        struct plat_dev *dev = fresh();
        struct plat_err err = {0};
        struct run run = {.err = &err};
        const long live = memory.live;
        memory.left = tried;
        memory.stays = stays;
        memory.failed = 0;
        memory.armed = true;
        int rc = workload(&run, dev);
        memory.armed = false;
        failed = memory.failed > 0;
        if (memory.live != live)
            printf("# allocation %u: memory is lost\n", tried);
        wrong += memory.live != live || !is_right(&run, dev, rc, failed, PLAT_ENOMEM, "out of memory");
        shut += run.shut;
        dev_close(dev);
    }
    ok(wrong == 0 && tried > 20,
       "each of %u allocations fails%s: told, nothing is lost, no memory either; it is over behind %u of "
       "them",
       tried, stays ? ", and all behind it" : "", shut);
}

int main(void)
{
    reference();
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        test_io(&failures[i]);
    test_memory(false);
    test_memory(true);
    return tap_done();
}
