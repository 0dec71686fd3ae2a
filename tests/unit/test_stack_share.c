/* Formats that share a device: the layers of a capos-data image, what belongs to whom, and what is no neighbour.
 *
 * Catches: bytes that two layers walk or none, a store whose objects are taken for a filesystem, a filesystem that has the
 * image for itself beside remains of a store, bytes behind both that nobody looks at. */
#include <stdlib.h>

#include "lib/fs/verify.h"
#include "tests/unit/tree_shell.h"

enum { IMAGE_BYTES = 320 * 1024 };

static void die(const char *what)
{
    printf("Bail out! %s: %s\n", what, err.text);
    exit(1);
}

static struct plat_dev *make_with(const char *format, struct tree *tree, struct tree *objects, json_t *extra,
                                  uint64_t size, uint64_t more)
{
    const struct fs_maker *maker = fs_driver_find(format)->maker;
    struct make_options options = {.seed = "x", .sector_bytes = 512, .objects = objects, .extra = extra};
    struct make_plan *plan = NULL;
    struct plat_dev *dev = NULL, *window = NULL;
    if (maker->plan(tree, &options, &plan, &err) != 0 || maker->settle(plan, size, &err) != 0 ||
        dev_open_memory(size + more, "image", &dev, &err) != 0 ||
        dev_open_window(dev, (struct range){0, size}, &window, &err) != 0 ||
        maker->write(plan, window, NULL, &err) != 0)
        die(format);
    maker->close(plan);
    dev_close(window);
    json_decref(extra);
    return dev;
}

static struct tree *tree_of(const char *name, const void *bytes, size_t n)
{
    struct tree *tree = open_tree(NULL);
    if (tree_add_literal(tree, name, bytes, n, &err) != 0 || tree_finish(tree, &err) != 0)
        die("a tree");
    return tree;
}

/* A store with one object and a filesystem with one file; `more` bytes behind both. */
static struct plat_dev *data_image(uint64_t more)
{
    struct tree *files = tree_of("dir/file", "content", 7), *objects = tree_of("0", "object", 6);
    struct plat_dev *dev = make_with("capos-data", files, objects, NULL, IMAGE_BYTES, more);
    tree_close(files);
    tree_close(objects);
    return dev;
}

struct coverage {
    uint8_t *seen;
    uint64_t n, twice, outside;
    char unowned[200];
};
static int cover(void *ctx, const struct extent *extent)
{
    struct coverage *coverage = ctx;
    if (strstr(extent->path, "gap[") != NULL)
        (void)snprintf(coverage->unowned, sizeof coverage->unowned, "%s %llu+%llu", extent->path,
                       (unsigned long long)extent->place.start, (unsigned long long)extent->place.bytes);
    for (uint64_t i = 0; i < extent->place.bytes; i++) {
        if (extent->place.start + i >= coverage->n)
            coverage->outside++;
        else if (coverage->seen[extent->place.start + i]++ != 0)
            coverage->twice++;
    }
    return 0;
}

static void test_layers(void)
{
    struct plat_dev *dev = data_image(0);
    struct stack *stack = NULL;
    struct stack_layer *layer = NULL;
    uint64_t node;
    if (stack_open(dev, NULL, &stack, &err) != 0)
        die("stack_open");
    ok(stack->n_layers == 2 && strcmp(stack->layers[0].prefix, "store") == 0 &&
           strcmp(stack->layers[1].prefix, "fs") == 0,
       "a store and a filesystem");
    ok(stack_filesystem(stack, &layer, &err) == 0 && strcmp(layer->prefix, "fs") == 0 &&
           fs_resolve(layer->fs, "/dir/file", &node, &err) == 0,
       "paths are the filesystem's");
    stack_close(stack);
    static const char *const names[] = {"store", "fs", "data"};
    for (size_t i = 0; i < 3; i++) {
        const struct stack_options options = {.partition = names[i]};
        int rc = stack_open(dev, &options, &stack, &err);
        ok(i < 2 ? rc == 0 && stack->n_layers == 1 && stack->layers[0].prefix[0] == '\0' &&
                       strcmp(stack->layers[0].driver->share->prefix, names[i]) == 0 &&
                       stack_filesystem(stack, &layer, &err) == 0
                 : rc == PLAT_ENOTFOUND && strstr(err.text, "store, fs") != NULL,
           "-p %s", names[i]);
        if (rc == 0)
            stack_close(stack);
    }
    dev_close(dev);
}

/* Each byte is walked once; what is behind both is a gap. */
static void test_walk(uint64_t more)
{
    struct plat_dev *dev = data_image(more);
    struct coverage coverage = {.seen = calloc((size_t)dev->size_bytes, 1), .n = dev->size_bytes};
    const struct walk_sink sink = {.ctx = &coverage, .extent = cover};
    struct stack *stack = NULL;
    if (stack_open(dev, NULL, &stack, &err) != 0 || stack_walk(stack, &sink, &err) != 0)
        die("stack_walk");
    uint64_t missing = 0;
    for (uint64_t i = 0; i < coverage.n; i++)
        missing += coverage.seen[i] == 0;
    ok(missing == 0 && coverage.twice == 0 && coverage.outside == 0,
       "%llu bytes more: each byte is walked once (%llu missing, %llu twice, %llu outside)",
       (unsigned long long)more, (unsigned long long)missing, (unsigned long long)coverage.twice,
       (unsigned long long)coverage.outside);
    ok((coverage.unowned[0] != '\0') == (more > 0), "the gap behind both: %s", coverage.unowned);
    stack_close(stack);
    free(coverage.seen);
    dev_close(dev);
}

struct errors {
    unsigned n, missing;
    char first[300];
};
static int count_errors(void *ctx, const struct finding *finding)
{
    struct errors *errors = ctx;
    errors->missing += strcmp(finding->id, "share-missing") == 0;
    if (finding->severity == SEVERITY_ERROR && errors->n++ == 0)
        (void)snprintf(errors->first, sizeof errors->first, "%s: %.200s", finding->id, finding->text);
    return 0;
}

static unsigned judge(struct plat_dev *dev, struct errors *ret)
{
    const struct stack_options options = {.degraded = true};
    const struct finding_sink sink = {count_errors, ret};
    struct stack *stack = NULL;
    *ret = (struct errors){0};
    if (stack_open(dev, &options, &stack, &err) != 0) {
        (void)snprintf(ret->first, sizeof ret->first, "open: %.200s", err.text);
        return ret->n = 1;
    }
    if (stack_verify(stack, &sink, NULL, &err) != 0 || stack_scrub(stack, &sink, NULL, NULL, &err) != 0)
        die("verify");
    stack_close(stack);
    return ret->n;
}

static void test_every_sector(void)
{
    const unsigned share = tap_share();
    struct plat_dev *dev = data_image(1024);
    struct errors errors = {0};
    uint8_t *bytes = dev_memory_bytes(dev);
    unsigned missed = 0, tried = 0;
    ok(judge(dev, &errors) == 0, "a fresh image is sound %s", errors.first);
    /* One bit of each 8 bytes: those of a sector differ. */
    for (size_t at = 0; at < dev->size_bytes; at += 8 * (size_t)share, tried++) {
        const size_t byte = at + at / 512 % 8;
        bytes[byte] ^= (uint8_t)(1u << at / 8 % 8);
        if (judge(dev, &errors) == 0 && missed++ < 5)
            printf("# byte %zu\n", byte);
        bytes[byte] ^= (uint8_t)(1u << at / 8 % 8);
    }
    ok(missed == 0, "each of %u bits that flip is found", tried);
    dev_close(dev);
}

/* What looks like a neighbour and is none. */
static void test_strangers(void)
{
    static uint8_t content[300 * 512];
    struct errors errors = {0};
    struct stack *stack = NULL;
    /* A store with an object that has CAPOSWF1 where a filesystem would begin: the table of 8 blocks ends at 10. */
    for (size_t i = 0; i < 300; i++)
        memcpy(content + i * 512, "CAPOSWF1", 8);
    struct tree *tree = tree_of("object", content, sizeof content);
    struct plat_dev *dev = make_with("caposst1", tree, NULL, NULL, 1 << 20, 0);
    ok(memcmp(dev_memory_bytes(dev) + 256 * 512, "CAPOSWF1", 8) == 0, "an object looks like a filesystem");
    if (stack_open(dev, NULL, &stack, &err) != 0)
        die("stack_open");
    ok(stack->n_layers == 1 && stack->layers[0].prefix[0] == '\0' && judge(dev, &errors) == 0,
       "the store has it all %s", errors.first);
    stack_close(stack);
    dev_close(dev);
    tree_close(tree);
    /* A filesystem that does not share, behind the remains of a store. */
    tree = tree_of("file", "content", 7);
    dev = make_with("caposwf1", tree, NULL, NULL, 1 << 20, 0);
    memcpy(dev_memory_bytes(dev), "CAPOSST1", 8);
    if (stack_open(dev, NULL, &stack, &err) != 0)
        die("stack_open");
    ok(stack->n_layers == 1 && strcmp(stack->layers[0].driver->name, "caposwf1") == 0,
       "remains of a store are no layer of a filesystem that shares nothing");
    stack_close(stack);
    ok(judge(dev, &errors) > 0, "but they are noticed: %s", errors.first);
    dev_close(dev);
    tree_close(tree);
}

/* One of the two is gone, with both of its superblocks. */
static void test_missing(void)
{
    static const size_t places[] = {0, 256 * 512};
    struct errors errors = {0};
    for (size_t i = 0; i < 2; i++) {
        struct plat_dev *dev = data_image(0);
        ok(judge(dev, &errors) == 0 && errors.missing == 0, "both are there");
        memset(dev_memory_bytes(dev) + places[i], 0, 1024);
        (void)judge(dev, &errors);
        ok(errors.missing == 1, "what should begin at %zu and does not is missed", places[i]);
        dev_close(dev);
    }
}

/* A store whose region reaches into the filesystem's. */
static void test_overlap(void)
{
    struct tree *tree = tree_of("file", "content", 7), *none = open_tree(NULL);
    struct errors errors = {0};
    if (tree_finish(none, &err) != 0)
        die("a tree");
    struct plat_dev *dev = make_with("capos-data", tree, NULL, NULL, IMAGE_BYTES, 0);
    struct plat_dev *larger =
        make_with("caposst1", none, NULL,
                  json_pack("{s:i,s:i,s:b}", "hole-first-block", 256, "hole-blocks", 2, "behind-hole", 1),
                  IMAGE_BYTES / 2 + 4096, 0);
    memcpy(dev_memory_bytes(dev), dev_memory_bytes(larger), 1024);
    ok(judge(dev, &errors) > 0 && strstr(errors.first, "share-overlap") != NULL, "an overlap: %s",
       errors.first);
    dev_close(dev);
    dev_close(larger);
    tree_close(tree);
    tree_close(none);
}

int main(void)
{
    test_layers();
    test_walk(0);
    test_walk(5000);
    test_every_sector();
    test_strangers();
    test_overlap();
    test_missing();
    return tap_done();
}
