/* CAPOSWF1 as it is read and judged: every bit of a small image, planted faults behind right checksums, truncations,
 * random bytes, superblocks torn and damaged, walks that cover each byte once.
 *
 * Catches: a byte that nothing covers, a rule that check forgets, a reader that follows a loop, two drivers that claim
 * the same bytes twice. */
#include <stdlib.h>
#include <time.h>

#include "formats/caposwf1/writer.h"
#include "lib/fs/verify.h"
#include "tests/unit/caposwf1_seal.h"
#include "tests/unit/finding_words.h"
#include "tests/unit/tap.h"

struct image_of {
    struct plat_dev *dev;
    uint8_t *bytes;
    size_t n;
    uint64_t superblock;
};

static struct plat_err err;

static void die(const char *what)
{
    printf("Bail out! %s: %s\n", what, err.text);
    exit(1);
}

/* ---- an image ---- */

static uint64_t add(struct fs *fs, uint64_t dir, const char *name, enum tree_kind kind, const char *target)
{
    const struct fs_place place = {dir, name};
    const struct fs_new what = {.kind = kind,
                                .mode = 0644,
                                .uid = 7,
                                .target = target,
                                .device = kind == TREE_CHAR ? 0x503 : 0,
                                .created = {FS_CLOCK_STATED, 1700000000000000000},
                                .modified = {FS_CLOCK_UNTRUSTED, -1500000000}};
    uint64_t node;
    if (caposwf1_writer.create(fs, &place, &what, &node, &err) != 0)
        die(name);
    return node;
}

static void put(struct fs *fs, uint64_t node, uint64_t offset, size_t n)
{
    static uint8_t content[70000];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + 1);
    if (caposwf1_writer.write(fs, node, offset, content, n, &err) != 0)
        die("writing");
}

/* Nodes of the image below, in the order in which they are made. */
enum { DIR_A = 1, FILE_SMALL, FILE_SPARSE, LINK, CHAR_DEVICE, EMPTY, DIR_B, FIRST_NAME };

/* A bit of everything: a file with a tree of extents, a directory with several blocks, free records. */
static struct image_of make(uint64_t blocks, uint64_t superblock, unsigned n_names)
{
    struct image_of ret = {.superblock = superblock};
    const struct wf1_shape shape = {.superblock_block = (uint32_t)superblock,
                                    .region_first_block = superblock + 2,
                                    .region_blocks = blocks - superblock - 2,
                                    .uuid = {1, 2, 3},
                                    .label = "TEST"};
    const struct fs_open_options options = {.writable = true};
    struct volume *vol = NULL;
    if (dev_open_memory(blocks * WF1_BLOCK_BYTES, "image", &ret.dev, &err) != 0 ||
        wf1_format(ret.dev, &shape, &err) != 0 ||
        wf1_volume_open(ret.dev, NULL, &options, NULL, &vol, &err) != 0)
        die("making");
    struct fs *fs = &vol->fs;
    const uint64_t a = add(fs, 0, "a", TREE_DIR, NULL);
    put(fs, add(fs, a, "small", TREE_FILE, NULL), 0, 700);
    const uint64_t sparse = add(fs, a, "sparse", TREE_FILE, NULL);
    for (uint64_t i = 0; i < 6; i++)
        put(fs, sparse, i * WF1_EXTENT_BYTES + 512 * i, 100);
    (void)add(fs, 0, "link", TREE_SYMLINK, "a/small");
    (void)add(fs, 0, "null", TREE_CHAR, NULL);
    (void)add(fs, 0, "empty", TREE_FILE, NULL);
    const uint64_t b = add(fs, a, "b", TREE_DIR, NULL);
    for (unsigned i = 0; i < n_names; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "a longer name for a file, %u", i);
        (void)add(fs, b, name, TREE_FIFO, NULL);
    }
    for (unsigned i = 0; i < n_names; i += 5) {
        char name[40];
        (void)snprintf(name, sizeof name, "a longer name for a file, %u", i);
        const struct fs_place place = {b, name};
        if (caposwf1_writer.remove(fs, &place, &err) != 0)
            die("removing");
    }
    if (caposwf1_writer.finish(fs, &err) != 0)
        die("finishing");
    wf1_volume_close(vol);
    ret.bytes = dev_memory_bytes(ret.dev);
    ret.n = (size_t)(blocks * WF1_BLOCK_BYTES);
    return ret;
}

/* ---- judging ---- */

/* Errors that check and scrub find by themselves, as the tests of power cuts call them. */
static unsigned judge_fast(struct plat_dev *dev, const struct wf1_hooks *hooks, struct words *ret)
{
    const struct fs_open_options options = {.degraded = true};
    const struct finding_sink sink = {.fn = keep, .ctx = ret};
    struct volume *vol = NULL;
    ret->n = 0;
    ret->text[0] = '\0';
    if (wf1_volume_open(dev, NULL, &options, hooks, &vol, &err) != 0) {
        (void)snprintf(ret->text, sizeof ret->text, "[open] %s", err.text);
        return ret->n = 1;
    }
    if (caposwf1_check(&vol->fs, &sink, &err) != 0 || caposwf1_scrub(&vol->fs, &sink, NULL, &err) != 0)
        die("judging");
    wf1_volume_close(vol);
    return ret->n;
}

/* As plat verify --data. */
static unsigned judge(struct plat_dev *dev, struct words *ret)
{
    const struct stack_options options = {.degraded = true};
    const struct finding_sink sink = {.fn = keep, .ctx = ret};
    struct stack *stack = NULL;
    ret->n = 0;
    ret->text[0] = '\0';
    if (stack_open(dev, &options, &stack, &err) != 0) {
        (void)snprintf(ret->text, sizeof ret->text, "[open] %s", err.text);
        return ret->n = 1;
    }
    int rc = stack_verify(stack, &sink, NULL, &err);
    if (rc == 0)
        rc = stack_scrub(stack, &sink, NULL, NULL, &err);
    if (rc != 0 || stack->n_layers != 1 || stack->layers[0].driver != &caposwf1_driver)
        ret->n = 0; /* not an answer */
    stack_close(stack);
    return ret->n;
}

static void test_sound(void)
{
    static const struct {
        uint64_t blocks, superblock;
        unsigned names;
    } cases[] = {{100, 0, 20}, {360, 256, 20}, {6000, 0, 500}, {200000, 0, 17000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_of image = make(cases[i].blocks, cases[i].superblock, cases[i].names);
        struct words words;
        ok(judge_fast(image.dev, NULL, &words) == 0 && words.text[0] == '\0',
           "an image of %llu blocks is sound %.200s", (unsigned long long)cases[i].blocks, words.text);
        ok(judge(image.dev, &words) == 0 && words.text[0] == '\0', "and so say the layouts %.200s",
           words.text);
        dev_close(image.dev);
    }
}

static void test_every_bit(uint64_t blocks, uint64_t superblock, unsigned layers_every)
{
    struct image_of image = make(blocks, superblock, 20);
    struct words words;
    unsigned missed = 0, disagreed = 0;
    const size_t bits = image.n * 8, step = tap_share();
    for (size_t bit = 0; bit < bits; bit += step) {
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (judge_fast(image.dev, NULL, &words) == 0 && missed++ < 5)
            printf("# bit %zu of byte %zu: %s\n", bit % 8, bit / 8, words.text);
        if (bit / step % layers_every == 0 && judge(image.dev, &words) == 0 && disagreed++ < 5)
            printf("# layers: bit %zu of byte %zu: %s\n", bit % 8, bit / 8, words.text);
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ok(missed == 0, "each of %zu bits that flips is found", bits);
    ok(disagreed == 0, "by plat verify --data, too");
    dev_close(image.dev);
}

static void test_speed(void)
{
    struct image_of image = make(100, 0, 20);
    struct words words;
    enum { ROUNDS = 20000 };
    const clock_t begin = clock();
    for (unsigned i = 0; i < ROUNDS; i++)
        (void)judge_fast(image.dev, NULL, &words);
    printf("# %.1f microseconds to judge 100 blocks\n",
           (double)(clock() - begin) * 1e6 / CLOCKS_PER_SEC / ROUNDS);
    dev_close(image.dev);
}

int main(void)
{
    test_sound();
    test_speed();
    test_every_bit(100, 0, 64);
    return tap_done();
}
