/* CAPOSRO1: every bit of a small image, random bits of a larger one, hostile values behind right checksums, both
 * versions, look-ups, and refusals of the maker.
 *
 * Catches: a byte that nothing covers, a reader that trusts a value because its checksum is right, a version-1 reader
 * that takes version 2 for its own, a write that goes back (pipes). */
#include <stdlib.h>

#include "formats/caposro1/volume.h"
#include "lib/fs/verify.h"
#include "lib/hash/hash.h"
#include "tests/unit/finding_words.h"
#include "tests/unit/tap.h"

struct image_of {
    struct plat_dev *dev;
    uint8_t *bytes;
    size_t n;
};

static void die(const struct plat_err *err)
{
    printf("Bail out! %s\n", err->text);
    exit(1);
}

static void add_file(struct tree *tree, const char *path, size_t n)
{
    static uint8_t content[5000];
    struct plat_err err = {0};
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + 1);
    if (tree_add_literal(tree, path, content, n, &err) != 0)
        die(&err);
}

static struct image_of make(bool times, unsigned n_files, uint64_t slack)
{
    struct plat_err err = {0};
    struct tree *tree = NULL;
    struct make_plan *plan = NULL;
    struct image_of ret = {0};
    uint64_t size = 0;
    const struct tree_options tree_options = {.has_time = true, .time_s = 1700000000};
    struct make_options options = {.seed = "x", .label = "TEST", .sector_bytes = 512};
    options.extra = times ? json_pack("{s:s}", "times", "ntp-synced") : NULL;
    if (tree_open(&tree_options, &tree, &err) != 0)
        die(&err);
    add_file(tree, "a", 0);
    add_file(tree, "b/file", 600);
    add_file(tree, "b/file.more", 512);
    for (unsigned i = 0; i < n_files; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "d%u/f%u", i % 17, i);
        add_file(tree, name, i % 700);
    }
    if (tree_add_symlink(tree, "link", "b/file", &err) != 0 || tree_finish(tree, &err) != 0 ||
        caposro1_maker.plan(tree, &options, &plan, &err) != 0 ||
        caposro1_maker.min_bytes(plan, slack, &size, &err) != 0 ||
        caposro1_maker.settle(plan, size, &err) != 0 || dev_open_memory(size, "image", &ret.dev, &err) != 0 ||
        caposro1_maker.write(plan, ret.dev, NULL, &err) != 0)
        die(&err);
    ret.bytes = dev_memory_bytes(ret.dev);
    ret.n = (size_t)size;
    caposro1_maker.close(plan);
    tree_close(tree);
    json_decref(options.extra);
    return ret;
}

/* Errors found, contents included; every file is read as well, for the sanitizer. */
static unsigned judge(const struct image_of *image, struct words *ret)
{
    const struct stack_options options = {.degraded = true};
    struct words words = {0};
    const struct finding_sink sink = {.fn = keep, .ctx = &words};
    struct stack *stack = NULL;
    struct plat_err err = {0};
    if (stack_open(image->dev, &options, &stack, &err) != 0) {
        (void)snprintf(words.text, sizeof words.text, "[open] %s", err.text);
        words.n = 1;
    } else {
        int rc = stack_verify(stack, &sink, NULL, &err);
        if (rc == 0)
            rc = stack_scrub(stack, &sink, NULL, NULL, &err);
        if (rc != 0 || stack->n_layers != 1 || stack->layers[0].driver != &caposro1_driver)
            words.n = 0; /* not an answer */
        stack_close(stack);
    }
    *ret = words;
    return words.n;
}

static void test_every_bit(void)
{
    for (unsigned times = 0; times < 2; times++) {
        struct image_of image = make(times, 0, 512);
        struct words words;
        unsigned missed = 0;
        ok(judge(&image, &words) == 0 && words.text[0] == '\0', "a fresh image is sound %s", words.text);
        for (size_t bit = 0; bit < image.n * 8; bit++) {
            image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (judge(&image, &words) == 0 && missed++ < 5)
                printf("# bit %zu of byte %zu: %s\n", bit % 8, bit / 8, words.text);
            image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        ok(missed == 0, "version %u: each of %zu bits that flips is found", times + 1, image.n * 8);
        dev_close(image.dev);
    }
}

/* Both sides of WALK_BULK_ELEMENTS. */
static void test_random_bits(unsigned n_files, unsigned rounds)
{
    struct image_of image = make(true, n_files, 0);
    struct words words;
    unsigned missed = 0;
    uint64_t seed = 42;
    ok(judge(&image, &words) == 0, "an image of %u files is sound %s", n_files, words.text);
    for (unsigned i = 0; i < rounds; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t bit = (size_t)((seed >> 16) % (image.n * 8));
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (judge(&image, &words) == 0 && missed++ < 5)
            printf("# byte %zu of %zu\n", bit / 8, image.n);
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ok(missed == 0, "%u random bits are found", rounds);
    dev_close(image.dev);
}

static uint8_t *record_at(const struct image_of *image, uint32_t index)
{
    struct caposro1_superblock superblock = {NULL};
    if (!caposro1_superblock_view(image->bytes, image->n, &superblock))
        exit(1);
    return image->bytes + caposro1_superblock_nodes_block(superblock) * RO1_BLOCK_BYTES +
           (size_t)index * RO1_NODE_BYTES;
}

/* Every field of every record gets values that no maker writes, sealed anew: found, and nothing crashes. */
static void test_hostile_fields(void)
{
    static const uint64_t values[] = {
        0, 1, 2, 3, 5, 7, 255, 256, 4096, 0x7fffffff, 0xffffffff, UINT64_MAX / 512, UINT64_MAX};
    struct image_of image = make(true, 40, 0);
    struct words words;
    unsigned missed = 0, tried = 0;
    for (uint32_t node = 0; node < 24; node++)
        for (size_t f = 0; f + 1 < CAPOSRO1_NODE_FIELDS; f++)
            for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
                uint8_t kept[RO1_NODE_BYTES], *record = record_at(&image, node);
                struct caposro1_node_mut edit = {NULL};
                const char *field = caposro1_node_fields[f].name;
                memcpy(kept, record, sizeof kept);
                if (!caposro1_node_edit(record, RO1_NODE_BYTES, &edit))
                    exit(1);
                if (caposro1_node_fields[f].width_bytes > 8)
                    continue;
                store_uint(record + caposro1_node_fields[f].offset_bytes, caposro1_node_fields[f].width_bytes,
                           false, values[v]);
                caposro1_node_seal(edit);
                bool same = memcmp(kept, record, sizeof kept) == 0;
                /* These are free to be anything in range; an empty file may as well be a pipe. */
                struct caposro1_node was = {kept};
                bool empty = caposro1_node_size_bytes(was) == 0 && caposro1_node_child_count(was) == 0;
                bool free_field = (empty && strcmp(field, "kind") == 0) || strcmp(field, "mode") == 0 ||
                                  strcmp(field, "uid") == 0 || strcmp(field, "gid") == 0 ||
                                  strcmp(field, "clock") == 0 || strncmp(field, "modified", 8) == 0;
                unsigned found = judge(&image, &words);
                tried++;
                if (!same && !free_field && found == 0 && missed++ < 5)
                    printf("# nodes[%u].%s = %llu\n", node, field, (unsigned long long)values[v]);
                memcpy(record, kept, sizeof kept);
            }
    ok(missed == 0 && tried > 1000, "%u values behind right checksums are found or harmless", tried);
    ok(judge(&image, &words) == 0, "and what was put back is sound");
    dev_close(image.dev);
}

/* Names that would lead elsewhere, with right checksums. */
static void test_names(void)
{
    static const struct {
        const char *name;
        size_t n;
    } names[] = {{"..", 2}, {".", 1}, {"b/file", 6}, {"a\0b", 3}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct image_of image = make(false, 0, 0);
        struct caposro1_superblock superblock = {NULL};
        struct words words;
        uint8_t *record = NULL;
        struct caposro1_node_mut edit = {NULL};
        uint32_t node = 1;
        /* A node whose name is at least as long: the name is cut. */
        for (; node < 6; node++) {
            record = record_at(&image, node);
            (void)caposro1_node_edit(record, RO1_NODE_BYTES, &edit);
            if (caposro1_node_name_bytes(caposro1_node_of(edit)) >= names[i].n)
                break;
        }
        (void)caposro1_superblock_view(image.bytes, image.n, &superblock);
        memcpy(image.bytes + caposro1_superblock_strings_block(superblock) * RO1_BLOCK_BYTES +
                   caposro1_node_name_offset(caposro1_node_of(edit)),
               names[i].name, names[i].n);
        caposro1_node_set_name_bytes(edit, (uint16_t)names[i].n);
        caposro1_node_set_name_crc32c(edit, hash_crc32c(0, names[i].name, names[i].n));
        caposro1_node_seal(edit);
        ok(judge(&image, &words) > 0 && strstr(words.text, "ro1-name") != NULL, "name %zu: %s", i,
           words.text);
        dev_close(image.dev);
    }
}

static void test_versions(void)
{
    struct image_of one = make(false, 0, 0), two = make(true, 0, 0);
    struct caposro1_superblock superblock = {NULL};
    struct caposro1_superblock_mut edit = {NULL};
    struct ro1_geometry geo;
    struct plat_err err = {0};
    (void)caposro1_superblock_view(one.bytes, one.n, &superblock);
    ok(ro1_geometry_read(superblock, one.n, 1, &geo, &err) == 0 && geo.version == 1,
       "a reader of version 1 takes version 1");
    (void)caposro1_superblock_view(two.bytes, two.n, &superblock);
    ok(ro1_geometry_read(superblock, two.n, 1, &geo, &err) == PLAT_EUNSUPPORTED &&
           strstr(err.text, "version 2") != NULL,
       "and refuses version 2: %s", err.text);
    ok(ro1_geometry_read(superblock, two.n, 2, &geo, &err) == 0, "a reader of version 2 takes it");
    (void)caposro1_superblock_edit(two.bytes, two.n, &edit);
    caposro1_superblock_set_version(edit, 3);
    caposro1_superblock_seal(edit);
    struct fs_probe_result probe;
    ok(fs_probe_one(&caposro1_driver, two.dev, NULL, &probe, &err) == 0 &&
           strstr(probe.refusal, "version 3") != NULL,
       "version 3 is refused by name: %s", probe.refusal);
    dev_close(one.dev);
    dev_close(two.dev);
}

static void test_reading(void)
{
    struct image_of image = make(false, 300, 0);
    struct plat_err err = {0};
    struct fs *fs = NULL;
    struct fs_stat stat;
    uint64_t node = 0;
    uint8_t buf[1000];
    size_t got = 0;
    if (fs_open(&caposro1_driver, image.dev, NULL, &fs, &err) != 0)
        die(&err);
    bool all = true;
    for (unsigned i = 0; i < 300; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/d%u/f%u", i % 17, i);
        all = all && fs_resolve(fs, path, &node, &err) == 0 && caposro1_stat(fs, node, &stat, &err) == 0 &&
              stat.size_bytes == i % 700 && !stat.has_mtime;
    }
    ok(all, "every file is found, has its size, and no time");
    ok(fs_resolve(fs, "/b/file", &node, &err) == 0 &&
           caposro1_read(fs, node, 599, buf, sizeof buf, &got, &err) == 0 && got == 1 &&
           caposro1_read(fs, node, 600, buf, sizeof buf, &got, &err) == 0 && got == 0 &&
           caposro1_read(fs, node, UINT64_MAX, buf, sizeof buf, &got, &err) == 0 && got == 0,
       "reads end with the file");
    ok(fs_resolve(fs, "/b/fil", &node, &err) == PLAT_ENOTFOUND &&
           fs_resolve(fs, "/b/file.", &node, &err) == PLAT_ENOTFOUND,
       "names near by are not found");
    struct strbuf target = {0};
    ok(fs_resolve(fs, "/link", &node, &err) == 0 && caposro1_readlink(fs, node, &target, &err) == 0 &&
           strcmp(strbuf_str(&target), "b/file") == 0,
       "the target of a link");
    strbuf_free(&target);
    image.bytes[RO1_BLOCK_BYTES + 3] ^= 1;
    (void)fs_resolve(fs, "/b/file", &node, &err);
    (void)caposro1_stat(fs, node, &stat, &err);
    int first = caposro1_read(fs, node, 0, buf, 500, &got, &err);
    ok(first == 0 && caposro1_read(fs, node, 500, buf, 500, &got, &err) == PLAT_ECORRUPT,
       "content that does not match its checksum is noticed at its end");
    fs_close(fs);
    dev_close(image.dev);
}

static void test_refusals(void)
{
    static const char *const extras[] = {"{\"times\": \"yes\"}", "{\"owner\": 1}", "{\"time\": \"none\"}"};
    struct plat_err err = {0};
    struct tree *tree = NULL;
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    if (tree_open(NULL, &tree, &err) != 0)
        die(&err);
    add_file(tree, name, 1);
    if (tree_finish(tree, &err) != 0)
        die(&err);
    struct make_options options = {.seed = "x", .sector_bytes = 512};
    struct make_plan *plan = NULL;
    ok(caposro1_maker.plan(tree, &options, &plan, &err) == PLAT_EINVALID &&
           strstr(err.text, "299 bytes") != NULL,
       "a long name: %s", err.text);
    for (size_t i = 0; i < sizeof extras / sizeof extras[0]; i++) {
        options.extra = json_loads(extras[i], 0, NULL);
        ok(caposro1_maker.plan(tree, &options, &plan, &err) == PLAT_EINVALID, "%s: %s", extras[i], err.text);
        json_decref(options.extra);
    }
    options.extra = NULL;
    options.label = "a label that is longer than thirty-two bytes";
    ok(caposro1_maker.plan(tree, &options, &plan, &err) == PLAT_EINVALID, "a long label: %s", err.text);
    options.label = NULL;
    options.uuid = "1234";
    ok(caposro1_maker.plan(tree, &options, &plan, &err) == PLAT_EINVALID && plan == NULL, "no UUID: %s",
       err.text);
    tree_close(tree);
}

int main(void)
{
    test_every_bit();
    test_random_bits(500, 2000);
    test_random_bits(WALK_BULK_ELEMENTS + 100, 20);
    test_hostile_fields();
    test_names();
    test_versions();
    test_reading();
    test_refusals();
    return tap_done();
}
