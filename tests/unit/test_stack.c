/* The stack of layers: which layers a disk has, what they are called, that their extents cover every byte,
 * and that paths, offsets and options are understood.
 *
 * Catches: bytes that nobody owns, prefixes that clash, a partition that is judged as another, a damaged
 * layer that hides the others. */
#include <pthread.h>

#include "tests/unit/disk_image.h"

#include "lib/tree/tree.h"

enum { MIB = 1 << 20, DISK_BYTES = 80 * MIB, SECTOR = 512, FAT_BYTES = 40 * MIB };

/* A FAT32 of two files in a window of the disk. */
static void make_fat(struct plat_dev *disk, uint64_t start)
{
    struct plat_err err = {0};
    struct tree *tree = NULL;
    struct make_plan *plan = NULL;
    struct plat_dev *window = NULL;
    const struct fs_maker *maker = fs_driver_find("fat32")->maker;
    const struct tree_options tree_options = {0};
    struct make_options options = {
        .seed = "test", .sector_bytes = SECTOR, .first_sector = start / SECTOR, .has_time = true};
    int rc = tree_open(&tree_options, &tree, &err);
    if (rc == 0)
        rc = tree_add_literal(tree, "EFI/BOOT/hello.txt", "hello\n", 6, &err);
    if (rc == 0)
        rc = tree_finish(tree, &err);
    if (rc == 0)
        rc = maker->plan(tree, &options, &plan, &err);
    if (rc == 0)
        rc = maker->settle(plan, FAT_BYTES, &err);
    if (rc == 0)
        rc = dev_open_window(disk, (struct range){start, FAT_BYTES}, &window, &err);
    if (rc == 0)
        rc = maker->write(plan, window, NULL, &err);
    if (rc != 0) {
        ok(false, "make a FAT: %s", err.text);
        exit(1);
    }
    maker->close(plan);
    dev_close(window);
    tree_close(tree);
}

static struct plat_dev *make_disk(const char *const *names, size_t n)
{
    struct plat_err err = {0};
    struct plat_dev *dev;
    struct table_partition parts[8] = {0};
    const struct table_maker *table = fs_driver_find("gpt")->table;
    struct table_spec spec = {.sector_bytes = SECTOR,
                              .disk_sectors = DISK_BYTES / SECTOR,
                              .disk_guid = {1},
                              .partitions = parts,
                              .n_partitions = n};
    for (uint32_t i = 0; i < n; i++) {
        parts[i].number = i + 1;
        parts[i].guid[0] = (uint8_t)(i + 1);
        parts[i].first_sector =
            i == 0 ? MIB / SECTOR : parts[i - 1].first_sector + parts[i - 1].sectors + MIB / SECTOR;
        parts[i].sectors = i == 0 ? FAT_BYTES / SECTOR : 2 * MIB / SECTOR;
        (void)snprintf(parts[i].name, sizeof parts[i].name, "%s", names[i]);
        (void)table->parse_type(i == 0 ? "esp" : "linux-data", &parts[i], &err);
    }
    if (dev_open_memory(DISK_BYTES, "disk.img", &dev, &err) != 0 || table->validate(&spec, &err) != 0 ||
        table->write_head(&spec, dev, &err) != 0 || table->write_tail(&spec, dev, &err) != 0) {
        ok(false, "make a disk: %s", err.text);
        exit(1);
    }
    make_fat(dev, MIB);
    return dev;
}

static void test_prefixes(void)
{
    static const char *const names[] = {"esp", "p7", "gpt", "two words", "data", "data"};
    static const char *const want[] = {"mbr", "gpt", "esp", "p2", "p3", "p4", "p5", "p6"};
    struct plat_dev *dev = make_disk(names, 6);
    struct stack *stack;
    struct plat_err err = {0};
    if (!ok(stack_open(dev, NULL, &stack, &err) == 0, "opens %s", err.text))
        exit(1);
    ok(stack->n_layers == 8 && stack->n_partitions == 6 && strcmp(stack->table, "gpt") == 0,
       "two tables and six partitions");
    for (size_t i = 0; i < stack->n_layers && i < 8; i++)
        ok_text(stack->layers[i].prefix, want[i], "prefix");
    ok(stack->layers[2].fs != NULL && stack->layers[3].driver == NULL && stack->layers[3].image == NULL,
       "the FAT is known, an empty partition is not");
    struct stack_layer *layer = NULL;
    ok(stack_filesystem(stack, &layer, &err) == 0 && layer == &stack->layers[2],
       "its files are the only ones");
    stack_close(stack);
    static const char *const asks[] = {"esp", "1", "p1", "p4", "two words", "data", "9", "nothing"};
    static const int answers[] = {1, 1, 1, 4, 4, -1, -1, -1};
    for (size_t i = 0; i < 8; i++) {
        struct stack_options options = {.partition = asks[i]};
        int rc = stack_open(dev, &options, &stack, &err);
        bool good = rc == 0 ? answers[i] > 0 && stack->n_layers == 1 &&
                                  (int)stack->layers[0].partition.number == answers[i] &&
                                  stack->layers[0].prefix[0] == '\0'
                            : answers[i] < 0;
        ok(good, "-p %s %s", asks[i], rc == 0 ? "" : err.text);
        if (rc == 0)
            stack_close(stack);
    }
    dev_close(dev);
}

/* ---- coverage ---- */

struct cover {
    struct range list[4096];
    size_t n;
    unsigned instances, bad_paths;
    const uint8_t *bytes; /* of the disk */
};
static int on_extent(void *ctx, const struct extent *extent)
{
    struct cover *cover = ctx;
    cover->bad_paths += extent->path[0] == '\0';
    if (cover->n < sizeof cover->list / sizeof cover->list[0])
        cover->list[cover->n++] = extent->place;
    return 0;
}
static int on_instance(void *ctx, const struct inst *inst)
{
    struct cover *cover = ctx;
    cover->instances++;
    /* What is shown lies at the absolute offset. */
    cover->bad_paths += inst->path[0] == '\0' || inst->offset + inst->size_bytes > DISK_BYTES ||
                        memcmp(inst->bytes, cover->bytes + inst->offset, inst->size_bytes) != 0;
    return 0;
}
static int by_start(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void test_coverage(void)
{
    static const char *const names[] = {"esp", "root"};
    struct plat_dev *dev = make_disk(names, 2);
    struct stack *stack;
    struct plat_err err = {0};
    struct cover *cover = calloc(1, sizeof *cover);
    struct walk_sink sink = {.ctx = cover, .extent = on_extent, .instance = on_instance};
    if (cover == NULL || stack_open(dev, NULL, &stack, &err) != 0)
        exit(1);
    cover->bytes = dev_memory_bytes(dev);
    ok(stack_walk(stack, &sink, &err) == 0, "walks %s", err.text);
    qsort(cover->list, cover->n, sizeof cover->list[0], by_start);
    uint64_t at = 0;
    unsigned holes = 0, overlaps = 0;
    for (size_t i = 0; i < cover->n; i++) {
        if (cover->list[i].start > at && holes++ < 5)
            printf("# hole 0x%llx to 0x%llx\n", (unsigned long long)at,
                   (unsigned long long)cover->list[i].start);
        if (cover->list[i].start < at && overlaps++ < 5)
            printf("# overlap at 0x%llx\n", (unsigned long long)cover->list[i].start);
        uint64_t end = cover->list[i].start + cover->list[i].bytes;
        at = end > at ? end : at;
    }
    ok(holes == 0 && at == DISK_BYTES, "%zu extents cover the disk", cover->n);
    ok(overlaps == 0, "and do not overlap");
    ok(cover->instances > 260 && cover->bad_paths == 0, "%u instances have paths and places",
       cover->instances);
    stack_close(stack);
    free(cover);
    dev_close(dev);
}

static bool wants_esp(void *ctx, const char *path)
{
    (void)ctx;
    return strncmp(path, "esp", 3) == 0;
}
static int count_paths(void *ctx, const struct inst *inst)
{
    unsigned *n = ctx;
    n[strncmp(inst->path, "esp.", 4) == 0]++;
    return 0;
}

static void test_wants(void)
{
    static const char *const names[] = {"esp", "root"};
    struct plat_dev *dev = make_disk(names, 2);
    struct stack *stack;
    struct plat_err err = {0};
    unsigned n[2] = {0};
    struct walk_sink sink = {.ctx = n, .wants = wants_esp, .instance = count_paths};
    if (stack_open(dev, NULL, &stack, &err) != 0)
        exit(1);
    ok(stack_walk(stack, &sink, &err) == 0 && n[0] == 0 && n[1] > 0, "only what is wanted comes: %u of esp",
       n[1]);
    stack_close(stack);
    dev_close(dev);
}

/* ---- judging ---- */

static void test_verify(struct seen *seen)
{
    static const char *const names[] = {"esp", "root"};
    struct plat_dev *dev = make_disk(names, 2);
    uint8_t *bytes = dev_memory_bytes(dev);
    judge(dev, 0, seen);
    if (!ok(seen->open_class == 0 && seen->errors == 0 && seen->warnings == 0, "a disk with a FAT is clean"))
        seen_print(seen);
    bytes[MIB - 5] = 1;
    judge(dev, 0, seen);
    const struct seen_finding *f = seen_find(seen, SEVERITY_WARNING, "stack-gap", "gap[0]");
    ok(f != NULL && f->offset == MIB - 5 && seen->errors == 0, "a byte in the gap is a warning at its place");
    bytes[MIB - 5] = 0;
    /* One layer's damage is a finding with the layer's prefix and an absolute offset, and the others are
     * judged. */
    bytes[MIB] ^= 0xFF;
    bytes[512 + 20] = 1;
    judge(dev, 0, seen);
    f = seen_find(seen, SEVERITY_ERROR, NULL, "esp.");
    ok(f != NULL && f->offset >= MIB && seen_find(seen, SEVERITY_ERROR, NULL, "gpt.primary") != NULL,
       "damage in two layers is found in both");
    bytes[MIB] ^= 0xFF;
    bytes[512 + 20] = 0;
    /* A FAT that cannot be opened at all. */
    memset(bytes + MIB + 11, 0, 2);
    judge(dev, 0, seen);
    ok(seen->errors > 0 && seen_find(seen, SEVERITY_ERROR, NULL, "esp") != NULL,
       "a layer that does not open is a finding");
    dev_close(dev);
}

static int stop_at_once(void *ctx, const struct finding *finding)
{
    (void)finding;
    ++*(unsigned *)ctx;
    return PLAT_ESTOP;
}

static void test_stop(void)
{
    static const char *const names[] = {"esp", "root"};
    struct plat_dev *dev = make_disk(names, 2);
    struct stack *stack;
    struct plat_err err = {0};
    struct verify_totals totals = {0};
    unsigned n = 0;
    struct finding_sink sink = {.fn = stop_at_once, .ctx = &n};
    dev_memory_bytes(dev)[512 + 60] ^= 1;
    if (stack_open(dev, &(struct stack_options){.degraded = true}, &stack, &err) != 0)
        exit(1);
    ok(stack_verify(stack, &sink, &totals, &err) == PLAT_ESTOP && n == 1 && totals.errors == 1,
       "a callback can stop");
    stack_close(stack);
    dev_close(dev);
}

/* ---- files ---- */

static void test_resolve(void)
{
    static const char *const names[] = {"esp"};
    struct plat_dev *dev = make_disk(names, 1);
    struct stack *stack;
    struct stack_layer *layer;
    struct plat_err err = {0};
    uint64_t node, again;
    if (stack_open(dev, NULL, &stack, &err) != 0 || stack_filesystem(stack, &layer, &err) != 0)
        exit(1);
    ok(fs_resolve(layer->fs, "/EFI/BOOT/hello.txt", &node, &err) == 0, "finds a file %s", err.text);
    ok(fs_resolve(layer->fs, "//EFI/./BOOT//hello.txt", &again, &err) == 0 && again == node,
       "extra slashes and dots are skipped");
    ok(fs_resolve(layer->fs, "/EFI/none", &node, &err) == PLAT_ENOTFOUND &&
           strstr(err.text, "none") != NULL && strstr(err.text, "/EFI") != NULL,
       "%s", err.text);
    ok(fs_resolve(layer->fs, "/EFI/../EFI", &node, &err) == PLAT_EINVALID, "%s", err.text);
    ok(fs_resolve(layer->fs, "/EFI/BOOT/hello.txt/x", &node, &err) == PLAT_ENOTFOUND, "%s", err.text);
    ok(fs_resolve(stack->layers[0].fs, "/", &node, &err) == PLAT_EUNSUPPORTED, "%s", err.text);
    stack_close(stack);
    dev_close(dev);
}

/* ---- schemas ---- */

static const char schema_text[] = "{\"layout\": \"toy\", \"title\": \"Toy\", \"endian\": \"little\", "
                                  "\"identify\": [{\"at\": 0, \"bytes\": \"TOY!\"}],"
                                  " \"types\": {\"head\": {\"kind\": \"struct\", \"size\": 8, \"fields\": ["
                                  "   {\"name\": \"magic\", \"type\": \"char[4]\", \"const\": \"TOY!\"}, "
                                  "{\"name\": \"nothing\", \"type\": \"u32\", \"const\": 0}]}},"
                                  " \"map\": [{\"name\": \"head\", \"type\": \"head\", \"at\": 0}]}";

static void test_schema(struct seen *seen)
{
    static const char *const names[] = {"esp", "toy"};
    struct plat_dev *dev = make_disk(names, 2);
    struct layout *schema;
    struct stack *stack;
    struct plat_err err = {0};
    uint8_t *toy = dev_memory_bytes(dev) + 2 * (uint64_t)MIB + FAT_BYTES;
    memcpy(toy, "TOY!\1", 5);
    if (layout_load(schema_text, sizeof schema_text - 1, "toy.json", &schema, &err) != 0) {
        ok(false, "%s", err.text);
        return;
    }
    struct stack_options options = {.degraded = true, .schema = schema};
    struct finding_sink sink = {.fn = seen_add, .ctx = seen};
    struct verify_totals totals = {0};
    if (ok(stack_open(dev, &options, &stack, &err) == 0, "a schema beside the drivers %s", err.text)) {
        ok(stack->n_layers == 4 && stack->layers[3].image != NULL && stack->layers[3].driver == NULL,
           "it takes the partition that it matches");
        seen->n = seen->errors = 0;
        ok(stack_verify(stack, &sink, &totals, &err) == 0 &&
               seen_find(seen, SEVERITY_ERROR, "const", "toy.head.nothing") != NULL,
           "and judges it");
        struct cover *cover = calloc(1, sizeof *cover);
        struct walk_sink walk = {.ctx = cover, .extent = on_extent};
        uint64_t bytes = 0;
        if (cover == NULL || stack_walk(stack, &walk, &err) != 0)
            exit(1);
        for (size_t i = 0; i < cover->n; i++)
            bytes += cover->list[i].bytes;
        ok(bytes == DISK_BYTES, "what it does not describe is an extent, too");
        free(cover);
        stack_close(stack);
    }
    /* On an image that nobody knows, it is laid over all of it. */
    struct plat_dev *alone;
    if (dev_open_const("TOY!\0\0\0\0tail", 12, "toy.bin", &alone, &err) == 0) {
        ok(stack_open(alone, &options, &stack, &err) == 0 && stack->n_layers == 1 &&
               stack->layers[0].prefix[0] == '\0',
           "a bare image of the user's format");
        stack_close(stack);
        ok(stack_open(alone, NULL, &stack, &err) == PLAT_EUNSUPPORTED && strstr(err.text, "--schema") != NULL,
           "%s", err.text);
        options.partition = "1";
        ok(stack_open(alone, &options, &stack, &err) == PLAT_EINVALID, "%s", err.text);
        dev_close(alone);
    }
    layout_free(schema);
    dev_close(dev);
}

/* ---- threads ---- */

static void *load_layouts(void *ctx)
{
    const struct layout **ret = ctx;
    for (unsigned i = 0; i < 50; i++)
        if (fs_layout(i % 2 == 0 ? "gpt" : "mbr", &ret[i % 2], NULL) != 0)
            return ctx;
    return NULL;
}

static void test_layouts(void)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    const struct layout *layouts[THREADS][2] = {0};
    bool same = true;
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, load_layouts, layouts[i]) != 0)
            exit(1);
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;
        (void)pthread_join(threads[i], &failed);
        same = same && failed == NULL && layouts[i][0] == layouts[0][0] && layouts[i][1] == layouts[0][1];
    }
    ok(same && layouts[0][0] != NULL, "%d threads get the same layouts", (int)THREADS);
    struct plat_err err = {0};
    const struct layout *layout;
    ok(fs_layout("none", &layout, &err) == PLAT_ENOTFOUND && strstr(err.text, "gpt") != NULL, "%s", err.text);
}

/* Each read that fails makes opening and judging fail cleanly, or shows as a finding; nothing crashes or
 * hangs. */
static void test_faults(struct seen *seen)
{
    static const char *const names[] = {"esp", "root"};
    struct plat_dev *dev = make_disk(names, 2), *fault;
    struct plat_err err = {0};
    unsigned silent = 0, tried = 0;
    for (uint64_t nth = 0; nth < 400; nth++) {
        if (dev_open_fault(dev, nth, &fault, &err) != 0)
            exit(1);
        judge(fault, 0, seen);
        dev_close(fault);
        tried++;
        if (seen->open_class == 0 && seen->verify_class == 0 && seen->errors == 0) {
            silent++;
            break; /* fewer operations than that */
        }
    }
    ok(tried > 20 && silent <= 1, "%u failing reads are all noticed", tried - silent);
    dev_close(dev);
}

int main(void)
{
    struct seen *seen = calloc(1, sizeof *seen);
    if (seen == NULL)
        return 1;
    test_layouts();
    test_prefixes();
    test_coverage();
    test_wants();
    test_verify(seen);
    test_stop();
    test_resolve();
    test_schema(seen);
    test_faults(seen);
    free(seen);
    return tap_done();
}
