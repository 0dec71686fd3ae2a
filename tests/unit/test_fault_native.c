/* The native formats when things fail: for every N the Nth read, write or flush fails with EIO, the Nth write with ENOSPC,
 * and the Nth allocation, once and from then on, while an image is made, opened, walked, verified to its last byte and
 * read. What comes back is the device's error or PLAT_ENOMEM, never another answer, and no memory is lost. The store,
 * which is written in place, has its own workloads in test_store.c.
 *
 * Catches: an error that is dropped (as one was while the table of a store was read for `plat verify`), taken for damage
 * or followed by a verdict, and an error path that leaks. */
#include "tests/unit/memory_fails.h"
#include "tests/unit/native.h"

struct size {
    unsigned n_files;
    size_t max_bytes;
};
static const struct size small = {30, 3000}, large = {100, 120000}; /* large: several writes */
enum { SLACK_BYTES = 4096, BUF_BYTES = 4096 };

static const struct native_format *format;
static struct plat_dev *image;  /* sound and small */
static const struct size *made; /* by do_make */

/* ---- what is done; *ret_answer is what a success says ---- */

static int count_instance(void *ctx, const struct inst *inst)
{
    *(uint64_t *)ctx += inst->size_bytes;
    return 0;
}
static int count_extent(void *ctx, const struct extent *extent)
{
    *(uint64_t *)ctx += extent->place.bytes;
    return 0;
}
static int count_finding(void *ctx, const struct finding *finding)
{
    *(uint64_t *)ctx += 1ull << 32;
    (void)finding;
    return 0;
}

static int open_layers(struct plat_dev *dev, bool degraded, struct stack **ret, struct plat_err *err)
{
    const struct stack_options options = {.degraded = degraded};
    struct stack *stack = NULL;
    int rc = stack_open(dev, &options, &stack, err);
    if (rc == 0 && stack->layers[0].err.class != 0) {
        *err = stack->layers[0].err;
        rc = err->class;
        stack_close(stack);
    }
    if (rc == 0)
        *ret = stack;
    return rc;
}

static int do_verify(struct plat_dev *dev, uint64_t *ret_answer, struct plat_err *err)
{
    struct stack *stack = NULL;
    struct verify_totals totals = {0};
    const struct finding_sink sink = {.fn = count_finding, .ctx = ret_answer};
    int rc = open_layers(dev, true, &stack, err);
    if (rc == 0)
        rc = stack_verify(stack, &sink, &totals, err);
    if (rc == 0)
        rc = stack_scrub(stack, &sink, &totals, NULL, err);
    *ret_answer += totals.structures;
    stack_close(stack);
    return rc;
}

static int do_walk(struct plat_dev *dev, uint64_t *ret_answer, struct plat_err *err)
{
    struct stack *stack = NULL;
    const struct walk_sink sink = {.ctx = ret_answer,
                                   .instance = count_instance,
                                   .extent = count_extent,
                                   .findings = {.fn = count_finding, .ctx = ret_answer}};
    int rc = open_layers(dev, false, &stack, err);
    if (rc == 0)
        rc = stack_walk(stack, &sink, err);
    stack_close(stack);
    return rc;
}

struct reading {
    struct fs *fs;
    uint64_t *answer;
    struct plat_err err; /* of the callback: what the driver says of it is only that it stopped */
};

static int read_entry(void *ctx, const struct fs_dirent *entry)
{
    struct reading *r = ctx;
    const struct fs_driver *driver = r->fs->driver;
    uint8_t buf[BUF_BYTES];
    struct strbuf target = {0};
    struct fs_stat st;
    size_t n = 0;
    int rc = driver->stat(r->fs, entry->node, &st, &r->err);
    if (rc == 0 && entry->kind == TREE_DIR)
        return driver->readdir(r->fs, entry->node, read_entry, r, &r->err);
    if (rc == 0 && entry->kind == TREE_SYMLINK)
        rc = driver->readlink(r->fs, entry->node, &target, &r->err);
    if (rc == 0 && target.failed)
        rc = err_nomem(&r->err, "reading a link");
    strbuf_free(&target);
    if (rc == 0 && entry->kind == TREE_FILE)
        rc = driver->read(r->fs, entry->node, 0, buf, sizeof buf, &n, &r->err);
    for (size_t i = 0; i < n; i++)
        *r->answer = *r->answer * 31 + buf[i];
    return rc;
}

static int do_read(struct plat_dev *dev, uint64_t *ret_answer, struct plat_err *err)
{
    struct stack *stack = NULL;
    uint64_t root = 0;
    int rc = open_layers(dev, false, &stack, err);
    if (rc != 0)
        return rc;
    struct reading r = {.fs = stack->layers[0].fs, .answer = ret_answer};
    rc = r.fs->driver->root(r.fs, &root, err);
    if (rc == 0)
        rc = r.fs->driver->readdir(r.fs, root, read_entry, &r, err);
    if (r.err.class != 0)
        *err = r.err;
    stack_close(stack);
    return rc;
}

static int do_make(struct plat_dev *dev, uint64_t *ret_answer, struct plat_err *err)
{
    struct tree *tree = NULL;
    int rc = native_tree(format, made->n_files, made->max_bytes, &tree, err);
    if (rc == 0)
        rc = native_make(format, tree, SLACK_BYTES, &dev, err);
    if (rc == 0)
        *ret_answer = dev->size_bytes;
    tree_close(tree);
    return rc;
}

static const struct work {
    const char *name;
    int (*run)(struct plat_dev *dev, uint64_t *ret_answer, struct plat_err *err);
    bool writes;
} works[] = {{"verifying", do_verify, false},
             {"walking", do_walk, false},
             {"reading", do_read, false},
             {"making", do_make, true}};
enum { N_WORKS = sizeof works / sizeof works[0] };

/* ---- how it fails ---- */

/* What the work says when nothing fails, and that it takes no memory along; a first run has loaded the layout. */
static uint64_t sound_answer(const struct work *work)
{
    struct plat_err err = {0};
    uint64_t want = 0, again = 0;
    struct plat_dev *blank = NULL;
    if (work->writes && dev_open_memory(image->size_bytes, "blank", &blank, &err) != 0)
        native_die("a device", &err);
    if (work->run(work->writes ? blank : image, &want, &err) != 0)
        native_die(work->name, &err);
    const long before = memory.live;
    int rc = work->run(work->writes ? blank : image, &again, &err);
    ok(rc == 0 && want == again && memory.live == before &&
           want >> 32 == (work->run == do_read ? want >> 32 : 0),
       "%s: %s ends well, and takes no memory along", format->name, work->name);
    dev_close(blank);
    return want;
}

struct outcome {
    unsigned tried, wrong;
};
static void judge_outcome(struct outcome *to, bool good, uint64_t nth, int rc, const char *text, long lost)
{
    to->tried++;
    if ((!good || lost != 0) && to->wrong++ < 5)
        printf("# %llu: class %d, %ld pieces of memory lost: %s\n", (unsigned long long)nth, rc, lost, text);
}

static void test_device(const struct work *work, bool full, bool once)
{
    struct outcome outcome = {0};
    for (uint64_t nth = 0;; nth++) {
        struct dev_fault fault = {.nth = nth, .full = full, .once = once};
        struct plat_dev *inner = image, *failing = NULL;
        struct plat_err err = {0};
        uint64_t answer = 0;
        if ((work->writes && dev_open_memory(image->size_bytes, "blank", &inner, &err) != 0) ||
            dev_open_fault_like(inner, &fault, &failing, &err) != 0)
            native_die("a device that fails", &err);
        const long before = memory.live;
        int rc = work->run(failing, &answer, &err);
        const long lost = memory.live - before;
        dev_close(failing);
        if (inner != image)
            dev_close(inner);
        if (fault.n_failed == 0)
            break;
        bool told = rc == PLAT_EIO && strstr(err.text, "planted fault") != NULL &&
                    strstr(err.text, full ? "No space left" : "Input/output error") != NULL;
        judge_outcome(&outcome, told, nth, rc, err.text, lost);
    }
    ok(outcome.wrong == 0 && outcome.tried > 2,
       "%s: %s ends with the device's error, whichever of %u operations %s%s", format->name, work->name,
       outcome.tried, full ? "finds it full" : "fails", once ? " once" : "");
}

static void test_memory(const struct work *work, uint64_t want, bool stays)
{
    struct outcome outcome = {0};
    struct plat_dev *blank = NULL;
    struct plat_err err = {0};
    if (dev_open_memory(image->size_bytes, "blank", &blank, &err) != 0)
        native_die("a device", &err);
    for (unsigned long nth = 0;; nth++) {
        uint64_t answer = 0;
        err = (struct plat_err){0};
        memory.left = nth;
        memory.stays = stays;
        memory.failed = 0;
        const long before = memory.live;
        memory.armed = true;
        int rc = work->run(work->writes ? blank : image, &answer, &err);
        memory.armed = false;
        const long lost = memory.live - before;
        if (memory.failed == 0)
            break;
        judge_outcome(&outcome, rc == PLAT_ENOMEM || (rc == 0 && answer == want), nth, rc, err.text, lost);
    }
    ok(outcome.wrong == 0 && outcome.tried > 2,
       "%s: %s ends with PLAT_ENOMEM, whichever of %u allocations fails%s", format->name, work->name,
       outcome.tried, stays ? ", and all behind it" : "");
    dev_close(blank);
}

static struct plat_dev *make_image(const struct size *size)
{
    struct plat_err err = {0};
    struct tree *tree = NULL;
    struct plat_dev *dev = NULL;
    if (native_tree(format, size->n_files, size->max_bytes, &tree, &err) != 0 ||
        native_make(format, tree, SLACK_BYTES, &dev, &err) != 0)
        native_die(format->name, &err);
    tree_close(tree);
    return dev;
}

int main(void)
{
    for (size_t f = 0; f < N_NATIVE_FORMATS; f++) {
        format = &native_formats[f];
        image = make_image(&small);
        made = &small;
        for (size_t i = 0; i < N_WORKS; i++) {
            const uint64_t want = sound_answer(&works[i]);
            test_memory(&works[i], want, false);
            test_memory(&works[i], want, true);
            if (!works[i].writes) {
                test_device(&works[i], false, false);
                test_device(&works[i], false, true);
            }
        }
        dev_close(image);
        image = make_image(&large);
        made = &large;
        for (int kind = 0; kind < 4; kind++)
            test_device(&works[N_WORKS - 1], kind / 2 == 1, kind % 2 == 1);
        dev_close(image);
    }
    return tap_done();
}
