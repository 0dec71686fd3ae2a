/* Making FAT32 volumes from trees: what is refused and with which words, sizes that messages promise, the
 * same bytes from the same tree, and writes that only ascend.
 *
 * Catches: names or files that FAT32 cannot keep getting through, an automatic size that does not hold the
 * tree or is not the smallest, order or options that leak into the bytes, a write behind another (it would
 * break pipes). */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "formats/fat32/fat32.h"
#include "lib/hash/hash.h"
#include "tests/unit/tap.h"

static const uint64_t MIB = 1024 * 1024;

struct bench {
    struct tree *tree;
    struct make_plan *plan;
    struct plat_err err;
};

static void bench_open(struct bench *b)
{
    struct tree_options options = {0};
    *b = (struct bench){0};
    if (tree_open(&options, &b->tree, &b->err) < 0)
        ok(false, "%s", b->err.text);
}

static void bench_close(struct bench *b)
{
    if (b->plan != NULL)
        fat32_maker.close(b->plan);
    tree_close(b->tree);
    *b = (struct bench){0};
}

static void add(struct bench *b, const char *path, const char *content)
{
    if (tree_add_literal(b->tree, path, content, strlen(content), &b->err) < 0)
        ok(false, "%s", b->err.text);
}

static int plan_with(struct bench *b, const char *label, const char *uuid, uint32_t sector_bytes,
                     const char *extra)
{
    struct make_options options = {
        .seed = "seed", .label = label, .uuid = uuid, .sector_bytes = sector_bytes};
    options.extra = extra != NULL ? json_loads(extra, 0, NULL) : NULL;
    int r = tree_finish(b->tree, &b->err);
    if (r == 0)
        r = fat32_maker.plan(b->tree, &options, &b->plan, &b->err);
    json_decref(options.extra);
    return r;
}

static int plan_plain(struct bench *b)
{
    return plan_with(b, NULL, NULL, 512, NULL);
}

/* ---- refusals ---- */

static void refused(struct bench *b, int r, const char *first, const char *second)
{
    bool good = r == PLAT_EINVALID && strstr(b->err.text, first) != NULL &&
                strstr(b->err.text, second) != NULL && b->plan == NULL;
    ok(good, "refused, with \"%s\" and \"%s\"", first, second);
    if (!good)
        printf("# %d: %s\n", r, b->err.text);
    bench_close(b);
}

static void test_bad_trees(void)
{
    struct bench b;

    bench_open(&b);
    add(&b, "a/Read.me", "");
    add(&b, "a/README", "");
    add(&b, "a/read.ME", "");
    refused(&b, plan_plain(&b), "'/a/read.ME'", "'Read.me'");

    bench_open(&b);
    add(&b, "\xc3\xbc", "");
    add(&b, "\xc3\x9c", "");
    refused(&b, plan_plain(&b), "same name", "rename");

    bench_open(&b);
    add(&b, "dir/a:b", "");
    refused(&b, plan_plain(&b), "'/dir/a:b'", "':'");

    bench_open(&b);
    add(&b, "dir./x", "");
    refused(&b, plan_plain(&b), "'/dir.'", "ends in a dot");

    bench_open(&b);
    add(&b, "\xff\xfe", "");
    refused(&b, plan_plain(&b), "\\xff", "UTF-8");

    bench_open(&b);
    if (tree_add_symlink(b.tree, "lib/link", "target", &b.err) < 0)
        ok(false, "%s", b.err.text);
    refused(&b, plan_plain(&b), "'/lib/link'", "symbolic link");

    char long_name[300];
    memset(long_name, 'x', 256);
    long_name[256] = '\0';
    bench_open(&b);
    add(&b, long_name, "");
    refused(&b, plan_plain(&b), "255", "shorten");
}

static void test_big_file(void)
{
    static const struct {
        off_t bytes;
        bool fits;
    } cases[] = {{(off_t)UINT32_MAX, true}, {(off_t)UINT32_MAX + 1, false}};
    char path[] = "/tmp/test_fat32_make.XXXXXX";
    int fd = mkstemp(path);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench b;
        bench_open(&b);
        if (fd < 0 || ftruncate(fd, cases[i].bytes) != 0 || tree_add_file(b.tree, "big", path, &b.err) < 0)
            ok(false, "cannot make a sparse file: %s", b.err.text);
        int r = plan_plain(&b);
        if (!cases[i].fits) {
            refused(&b, r, "'/big'", "4 GiB - 1");
            continue;
        }
        uint64_t size_bytes = 0;
        ok(r == 0 && fat32_maker.min_bytes(b.plan, 0, &size_bytes, &b.err) == 0 && size_bytes > UINT32_MAX &&
               size_bytes < UINT32_MAX + 8 * MIB,
           "a file of 4 GiB - 1 is planned for, in %llu bytes", (unsigned long long)size_bytes);
        bench_close(&b);
    }
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
}

static void test_full_directory(void)
{
    /* 13-character names take two slots each: 32,768 fill the root exactly, and one more is too many. */
    for (unsigned n = 32768; n <= 32769; n++) {
        struct bench b;
        char name[32];
        bench_open(&b);
        for (unsigned i = 0; i < n; i++) {
            snprintf(name, sizeof(name), "name-%08u", i);
            add(&b, name, "");
        }
        int r = plan_plain(&b);
        if (n == 32769) {
            refused(&b, r, "65538", "several directories");
            continue;
        }
        ok(r == 0, "65,536 entries in a directory");
        bench_close(&b);
    }
}

static void test_bad_options(void)
{
    static const struct {
        const char *label, *uuid, *extra, *first, *second;
    } cases[] = {
        {"TWELVE CHARS", NULL, NULL, "TWELVE CHARS", "11"},
        {"A/B", NULL, NULL, "0x2f", "position 1"},
        {"\xc3\x9c", NULL, NULL, "0xc3", "ASCII"},
        {" X", NULL, NULL, "space", " X"},
        {NULL, "12345", NULL, "12345", "1A2B-3C4D"},
        {NULL, "1234-56789", NULL, "1234-56789", "8 hex"},
        {NULL, "1234--5678", NULL, "1234--5678", "8 hex"},
        {NULL, NULL, "{\"volume-id\": 123456789}", "123456789", "8 hex"},
        {NULL, NULL, "{\"fats\": 3}", "fats is 3", "1 to 2"},
        {NULL, NULL, "{\"fats\": -1}", "fats", "negative"},
        {NULL, NULL, "{\"fats\": true}", "fats", "number"},
        {NULL, NULL, "{\"cluster-bytes\": 768}", "768", "power of two"},
        {NULL, NULL, "{\"cluster-bytes\": \"128KiB\"}", "131072", "65536"},
        {NULL, NULL, "{\"cluster-bytes\": \"many\"}", "cluster-bytes", "many"},
        {NULL, NULL, "{\"reserved-sectors\": 8}", "reserved-sectors is 8", "from 9"},
        {NULL, NULL, "{\"drive-number\": 256}", "256", "255"},
        {NULL, NULL, "{\"oem\": \"ninechars\"}", "ninechars", "8"},
        {NULL, NULL, "{\"oem\": [1]}", "oem", "text"},
        {NULL, NULL, "{\"cluster\": 512}", "'cluster'", "cluster-bytes"},
        {NULL, NULL, "[1]", "options", "object"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench b;
        bench_open(&b);
        refused(&b, plan_with(&b, cases[i].label, cases[i].uuid, 512, cases[i].extra), cases[i].first,
                cases[i].second);
    }
}

/* ---- sizes ---- */

static void fill(struct bench *b, unsigned files, size_t bytes)
{
    char name[64];
    char *content = calloc(1, bytes + 1);

    for (unsigned i = 0; content != NULL && i < files; i++) {
        snprintf(name, sizeof(name), "dir-%u/file %u", i / 100, i);
        memset(content, 'a' + (int)(i % 26), bytes);
        add(b, name, content);
    }
    free(content);
}

/* The smallest size works; a sector less does not, and its message names this size. */
static void check_smallest(unsigned files, size_t bytes, uint32_t sector_bytes, const char *extra,
                           uint64_t slack_bytes)
{
    struct bench b;
    uint64_t size_bytes = 0, named = 0;

    bench_open(&b);
    fill(&b, files, bytes);
    int r = plan_with(&b, "X", NULL, sector_bytes, extra);
    if (r == 0)
        r = fat32_maker.min_bytes(b.plan, slack_bytes, &size_bytes, &b.err);
    if (r == 0)
        r = fat32_maker.settle(b.plan, size_bytes, &b.err);
    ok(r == 0, "%u files of %zu bytes, %u-byte sectors, %s, slack %llu: %llu bytes will do (%s)", files,
       bytes, sector_bytes, extra != NULL ? extra : "{}", (unsigned long long)slack_bytes,
       (unsigned long long)size_bytes, b.err.text);
    if (r == 0 && slack_bytes == 0) {
        r = fat32_maker.settle(b.plan, size_bytes - sector_bytes, &b.err);
        const char *text = strrchr(b.err.text, '(');
        if (text != NULL)
            named = strtoull(text + 1, NULL, 10);
        ok(r == PLAT_EINVALID && named == size_bytes, "... and a sector less is refused, naming %llu",
           (unsigned long long)named);
    }
    bench_close(&b);
}

static void test_sizes(void)
{
    check_smallest(0, 0, 512, NULL, 0);
    check_smallest(0, 0, 4096, NULL, 0);
    check_smallest(1000, 100, 512, NULL, 0);
    check_smallest(1000, 60000, 512, NULL, 0);
    check_smallest(1500, 70000, 512, NULL, 0);
    check_smallest(500, 100001, 4096, NULL, 0);
    check_smallest(300, 2000, 512, "{\"cluster-bytes\": 4096}", 0);
    check_smallest(300, 2000, 512, "{\"fats\": 1, \"reserved-sectors\": 9}", 0);
    check_smallest(1500, 70000, 512, NULL, 50 * MIB);
    check_smallest(3, 70000, 512, NULL, 100 * MIB);
}

/* ---- bytes ---- */

static bool write_all(struct bench *b, uint64_t size_bytes, struct plat_dev *dev)
{
    return fat32_maker.settle(b->plan, size_bytes, &b->err) == 0 &&
           fat32_maker.write(b->plan, dev, NULL, &b->err) == 0;
}

static void make_hash(const char *const paths[], size_t n, const char *uuid, uint8_t ret[HASH_SHA256_BYTES])
{
    struct bench b;
    struct plat_dev *dev = NULL;

    memset(ret, 0, HASH_SHA256_BYTES);
    bench_open(&b);
    for (size_t i = 0; i < n; i++)
        add(&b, paths[i], paths[i]);
    if (plan_with(&b, "SAME", uuid, 512, NULL) == 0 &&
        dev_open_memory(34 * MIB, "image", &dev, &b.err) == 0 && write_all(&b, 34 * MIB, dev))
        hash_sha256(dev_memory_bytes(dev), 34 * MIB, ret);
    else
        ok(false, "%s", b.err.text);
    dev_close(dev);
    bench_close(&b);
}

static void test_same_bytes(void)
{
    static const char *const forth[] = {"a/config-entry-1.conf", "a/config-entry-2.conf", "b", "c/d/e",
                                        "z.txt"};
    static const char *const back[] = {"z.txt", "c/d/e", "b", "a/config-entry-2.conf",
                                       "a/config-entry-1.conf"};
    static const char *const other[] = {"a/config-entry-1.conf", "a/config-entry-2.conf", "b", "c/d/e",
                                        "y.txt"};
    uint8_t one[HASH_SHA256_BYTES], two[HASH_SHA256_BYTES];

    make_hash(forth, 5, NULL, one);
    make_hash(back, 5, NULL, two);
    ok(memcmp(one, two, sizeof(one)) == 0, "the order in which files are added does not matter");
    make_hash(other, 5, NULL, two);
    ok(memcmp(one, two, sizeof(one)) != 0, "... and their names do");
    make_hash(forth, 5, "1A2B-3C4D", one);
    make_hash(forth, 5, "1a2b3c4d", two);
    ok(memcmp(one, two, sizeof(one)) == 0, "1A2B-3C4D and 1a2b3c4d are the same volume id");
}

static void test_ascending(void)
{
    struct bench b;
    struct plat_dev *memory = NULL, *recorder = NULL;
    const struct dev_event *events = NULL;
    uint64_t end = 0;
    bool ascending = true;

    bench_open(&b);
    fill(&b, 700, 3000);
    bool good = plan_plain(&b) == 0 && dev_open_memory(40 * MIB, "image", &memory, &b.err) == 0 &&
                dev_open_recorder(memory, &recorder, &b.err) == 0 && write_all(&b, 40 * MIB, recorder);
    size_t n = good ? dev_recorder_events(recorder, &events) : 0;
    for (size_t i = 0; i < n; i++) {
        if (events[i].flush)
            continue;
        ascending = ascending && events[i].offset >= end;
        end = events[i].offset + events[i].n;
    }
    ok(good && n > 0 && ascending, "%zu writes, each behind the one before (%s)", n, b.err.text);
    ok(n < 12, "... and few of them: small files share writes");
    dev_close(recorder);
    dev_close(memory);
    bench_close(&b);
}

/* A failing device stops the work, whichever write fails. */
static void test_faults(void)
{
    unsigned failed = 0;

    for (uint64_t nth = 0; nth < 3; nth++) {
        struct bench b;
        struct plat_dev *memory = NULL, *fault = NULL;
        bench_open(&b);
        fill(&b, 700, 3000);
        if (plan_plain(&b) == 0 && dev_open_memory(40 * MIB, "image", &memory, &b.err) == 0 &&
            dev_open_fault(memory, nth, &fault, &b.err) == 0 &&
            fat32_maker.settle(b.plan, 40 * MIB, &b.err) == 0)
            failed += fat32_maker.write(b.plan, fault, NULL, &b.err) == PLAT_EIO;
        dev_close(fault);
        dev_close(memory);
        bench_close(&b);
    }
    ok(failed == 3, "a write that fails ends the making, with PLAT_EIO");
}

int main(void)
{
    test_bad_trees();
    test_big_file();
    test_full_directory();
    test_bad_options();
    test_sizes();
    test_same_bytes();
    test_ascending();
    test_faults();
    return tap_done();
}
