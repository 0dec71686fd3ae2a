/* The Nth read or write fails, for every N: opening, judging, walking and reading an image, and making one.
 *
 * An image that cannot be read to its end is never called sound: the error is PLAT_EIO with the device's own
 * words, whatever had been done by then. Under the address sanitizer this also shows that nothing leaks.
 *
 * Catches: an error that is dropped, taken for damage, or that leaves half-made things behind. */
#include "tests/unit/hostile_image.h"

/* ---- counting ---- */

struct counting_dev {
    struct plat_dev dev;
    struct plat_dev *inner;
    uint64_t n;
};

static int counting_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    struct counting_dev *c = (struct counting_dev *)(void *)dev;
    c->n++;
    return dev_read(c->inner, offset, buf, n, err);
}
static int counting_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n,
                          struct plat_err *err)
{
    struct counting_dev *c = (struct counting_dev *)(void *)dev;
    c->n++;
    return dev_write(c->inner, offset, buf, n, err);
}
static void counting_close(struct plat_dev *dev)
{
    (void)dev;
}
static const struct plat_dev_ops counting_ops = {
    .read_at = counting_read, .write_at = counting_write, .close = counting_close};

static void counting_init(struct counting_dev *c, struct plat_dev *inner)
{
    *c = (struct counting_dev){.dev = *inner, .inner = inner};
    c->dev.ops = &counting_ops;
}

/* ---- reading ---- */

static int on_instance(void *ctx, const struct inst *inst)
{
    (void)inst;
    ++*(unsigned *)ctx;
    return 0;
}
static int on_extent(void *ctx, const struct extent *extent)
{
    (void)extent;
    ++*(unsigned *)ctx;
    return 0;
}
static int ignore_finding(void *ctx, const struct finding *finding)
{
    (void)finding;
    ++*(unsigned *)ctx;
    return 0;
}
struct reading {
    struct fs *fs;
    struct plat_err err;
};
static int read_entry(void *ctx, const struct fs_dirent *entry)
{
    struct reading *r = ctx;
    uint8_t buf[4096];
    size_t got = 0;
    return entry->kind == TREE_FILE
               ? r->fs->driver->read(r->fs, entry->node, 0, buf, sizeof buf, &got, &r->err)
               : 0;
}

enum { OPEN_STRICT, OPEN_DEGRADED, VERIFY, WALK, READ, N_WORKS };
static const char *const works[] = {"opening", "opening what may be damaged", "verifying", "walking",
                                    "reading files"};

/* Everything that this kind of work reads. Returns its class; *ret_bad: findings of severity error. */
static int work(struct plat_dev *dev, int kind, uint64_t *ret_bad, struct plat_err *err)
{
    const struct stack_options options = {.degraded =
                                              kind == OPEN_DEGRADED || kind == VERIFY || kind == WALK};
    struct stack *stack = NULL;
    unsigned seen = 0;
    struct verify_totals totals = {0};
    int rc = stack_open(dev, &options, &stack, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < stack->n_layers; i++)
        if (stack->layers[i].err.class != 0) {
            *err = stack->layers[i].err;
            rc = err->class;
        }
    const struct finding_sink findings = {.fn = ignore_finding, .ctx = &seen};
    const struct walk_sink sink = {
        .ctx = &seen, .instance = on_instance, .extent = on_extent, .findings = findings};
    struct stack_layer *layer = NULL;
    uint64_t node = 0;
    if (rc == 0 && kind == VERIFY)
        rc = stack_verify(stack, &findings, &totals, err);
    if (rc == 0 && kind == WALK)
        rc = stack_walk(stack, &sink, err);
    if (rc == 0 && kind == READ && (rc = stack_filesystem(stack, &layer, err)) == 0 &&
        (rc = fs_resolve(layer->fs, "/EFI/BOOT", &node, err)) == 0) {
        struct reading reading = {.fs = layer->fs};
        rc = layer->fs->driver->readdir(layer->fs, node, read_entry, &reading, err);
        if (reading.err.class != 0)
            *err = reading.err;
    }
    *ret_bad = totals.errors;
    stack_close(stack);
    return rc;
}

static void test_reading(const char *what, struct plat_dev *dev, bool files)
{
    for (int kind = 0; kind < N_WORKS; kind++) {
        struct counting_dev counting;
        struct plat_err err = {0};
        uint64_t bad = 0;
        unsigned wrong = 0, run = 0;
        if (kind == READ && !files)
            continue;
        counting_init(&counting, dev);
        int rc = work(&counting.dev, kind, &bad, &err);
        if (!ok(rc == 0 && bad == 0 && counting.n > 0, "%s: %s takes %llu reads %s", what, works[kind],
                (unsigned long long)counting.n, err.text))
            continue;
        /* All of the first reads, then some of those that go through free space. */
        for (uint64_t nth = 0; nth < counting.n; nth += nth < 400 ? 1 : 37) {
            struct plat_dev *fault = NULL;
            err = (struct plat_err){0};
            bad = 0;
            if (dev_open_fault(dev, nth, &fault, &err) != 0)
                hostile_die("a device that fails", &err);
            rc = work(fault, kind, &bad, &err);
            run++;
            if ((rc != PLAT_EIO || strstr(err.text, "planted fault") == NULL) && wrong++ < 5)
                printf("# read %llu: class %d, %llu errors found: %s\n", (unsigned long long)nth, rc,
                       (unsigned long long)bad, err.text);
            dev_close(fault);
        }
        ok(wrong == 0, "%s: %s ends with the device's error, whichever of %u reads fails", what, works[kind],
           run);
    }
}

/* ---- writing ---- */

static int make_image(struct plat_dev *dev, const char *format, struct plat_err *err)
{
    struct make_plan *plan = NULL;
    struct tree *tree = hostile_tree();
    const struct fs_maker *maker = fs_driver_find(format)->maker;
    const struct make_options options = {.label = "FAULT", .seed = "fault", .sector_bytes = HOSTILE_SECTOR};
    int rc = maker->plan(tree, &options, &plan, err);
    if (rc == 0) {
        rc = maker->settle(plan, HOSTILE_FAT_BYTES, err);
        if (rc == 0)
            rc = maker->write(plan, dev, NULL, err);
        maker->close(plan);
    }
    tree_close(tree);
    return rc;
}

static int make_fat(struct plat_dev *dev, struct plat_err *err)
{
    return make_image(dev, "fat32", err);
}
static int make_wf1(struct plat_dev *dev, struct plat_err *err)
{
    return make_image(dev, "caposwf1", err);
}
static int make_data(struct plat_dev *dev, struct plat_err *err)
{
    return make_image(dev, "capos-data", err);
}

static int make_table(struct plat_dev *dev, const char *format, struct plat_err *err)
{
    const struct table_maker *table = fs_driver_find(format)->table;
    struct table_partition part = {.number = 1, .first_sector = 2048, .sectors = 2048, .guid = {1}};
    const struct table_spec spec = {.sector_bytes = HOSTILE_SECTOR,
                                    .disk_sectors = dev->size_bytes / HOSTILE_SECTOR,
                                    .disk_guid = {2},
                                    .partitions = &part,
                                    .n_partitions = 1};
    int rc = table->parse_type("esp", &part, err);
    if (rc == 0)
        rc = table->write_head(&spec, dev, err);
    return rc == 0 ? table->write_tail(&spec, dev, err) : rc;
}

static int make_gpt(struct plat_dev *dev, struct plat_err *err)
{
    return make_table(dev, "gpt", err);
}
static int make_mbr(struct plat_dev *dev, struct plat_err *err)
{
    return make_table(dev, "mbr", err);
}

static void test_writing(const char *what, uint64_t size_bytes,
                         int (*make)(struct plat_dev *, struct plat_err *))
{
    struct counting_dev counting;
    struct hostile image;
    struct plat_err err = {0};
    unsigned wrong = 0;
    hostile_open(size_bytes, &image);
    counting_init(&counting, image.dev);
    int rc = make(&counting.dev, &err);
    ok(rc == 0 && counting.n > 0, "making %s takes %llu writes %s", what, (unsigned long long)counting.n,
       err.text);
    for (uint64_t nth = 0; nth < counting.n; nth++) {
        struct plat_dev *fault = NULL;
        err = (struct plat_err){0};
        if (dev_open_fault(image.dev, nth, &fault, &err) != 0)
            hostile_die("a device that fails", &err);
        rc = make(fault, &err);
        if ((rc != PLAT_EIO || strstr(err.text, "planted fault") == NULL) && wrong++ < 5)
            printf("# write %llu: class %d: %s\n", (unsigned long long)nth, rc, err.text);
        dev_close(fault);
    }
    ok(wrong == 0, "making %s fails with the device's error, whichever write fails", what);
    hostile_close(&image);
}

int main(void)
{
    struct hostile image;
    hostile_gpt(&image);
    test_reading("a GPT disk", image.dev, false);
    hostile_close(&image);
    hostile_mbr(&image);
    test_reading("an MBR disk", image.dev, false);
    hostile_close(&image);
    hostile_disk(&image);
    test_reading("a GPT disk with a FAT32", image.dev, true);
    hostile_close(&image);
    test_writing("a FAT32", HOSTILE_FAT_BYTES, make_fat);
    test_writing("a CAPOSWF1", HOSTILE_FAT_BYTES, make_wf1);
    test_writing("a capos-data", HOSTILE_FAT_BYTES, make_data);
    test_writing("a GPT", HOSTILE_TABLE_BYTES, make_gpt);
    test_writing("an MBR", HOSTILE_TABLE_BYTES, make_mbr);
    return tap_done();
}
