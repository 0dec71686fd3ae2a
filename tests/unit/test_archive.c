/* formats/archive: cpio and tar images, read back by lib/tree, cpio and bsdtar. */
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "formats/archive/archive.h"
#include "lib/io/dev.h"
#include "tests/unit/tree_shell.h"

/* The image in memory (owned by *ret_dev), of its smallest size plus `padding`; NULL and err when it cannot
 * be made. */
static const uint8_t *make(const struct fs_driver *driver, struct tree *tree, const char *options_json,
                           size_t padding, struct plat_dev **ret_dev, uint64_t *ret_bytes)
{
    json_t *extra = options_json != NULL ? json_loads(options_json, 0, NULL) : NULL;
    const struct make_options options = {.seed = "test", .sector_bytes = 512, .extra = extra};
    const struct fs_maker *maker = driver->maker;
    struct make_plan *plan = NULL;
    struct plat_dev *dev = NULL;
    uint64_t bytes = 0;
    memset(&err, 0, sizeof err);
    int r = maker->plan(tree, &options, &plan, &err);
    json_decref(extra); /* the plan must not need it any more */
    if (r == 0)
        r = maker->min_bytes(plan, padding, &bytes, &err);
    if (r == 0)
        r = maker->settle(plan, bytes, &err);
    if (r == 0)
        r = dev_open_memory(bytes, "image", &dev, &err);
    if (r == 0)
        r = maker->write(plan, dev, NULL, &err);
    if (plan != NULL)
        maker->close(plan);
    if (r != 0) {
        dev_close(dev);
        return NULL;
    }
    *ret_dev = dev;
    *ret_bytes = bytes;
    return dev_memory_bytes(dev);
}

static bool make_file(const struct fs_driver *driver, struct tree *tree, const char *options_json,
                      const char *name)
{
    struct plat_dev *dev;
    uint64_t n;
    const uint8_t *bytes = make(driver, tree, options_json, 0, &dev, &n);
    if (bytes == NULL)
        return false;
    FILE *f = fopen(at(name), "w");
    bool good = f != NULL && fwrite(bytes, 1, n, f) == n && fclose(f) == 0;
    dev_close(dev);
    return good;
}

static void refuse(const struct fs_driver *driver, struct tree *tree, const char *options, int class,
                   const char *word)
{
    struct plat_dev *dev;
    uint64_t n;
    const uint8_t *bytes = make(driver, tree, options, 0, &dev, &n);
    ok(bytes == NULL && err.class == class && strstr(err.text, word) != NULL, "%s %s: %.200s", driver->name,
       options != NULL ? options : "", err.text);
    if (bytes != NULL)
        dev_close(dev);
}

static char *noise(size_t n) /* does not compress; the same every time */
{
    char *p = malloc(n);
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (char)x;
    }
    return p;
}

enum { NOISE_BYTES = 9 * 1024 * 1024 + 5 }; /* more than two lz4 blocks */

static struct tree *gathered(void)
{
    struct tree *tree = open_tree(NULL);
    char *big = noise(NOISE_BYTES);
    tree_add_literal(tree, "init", "#!/bin/sh\n", 10, &err);
    tree_add_literal(tree, "big", big, NOISE_BYTES, &err);
    tree_add_literal(tree, "a/b/c", "deep", 4, &err);
    tree_add_literal(tree, "a-b", "", 0, &err);
    tree_add_symlink(tree, "bin/sh", "busybox", &err);
    tree_add_literal(tree, "bin/busybox", "ELF", 3, &err);
    tree_add_literal(tree, "na\xc3\xafve", "utf8", 4, &err);
    tree_mkdir(tree, "empty", &err);
    struct tree_override o = {.pattern = "init",
                              .has_mode = true,
                              .mode = 0751,
                              .has_uid = true,
                              .uid = 7,
                              .has_mtime = true,
                              .mtime_s = 1700000000};
    tree_apply_override(tree, &o, &err);
    free(big);
    return tree;
}

static struct tree *sample(void)
{
    struct tree *tree = gathered();
    tree_finish(tree, &err);
    return tree;
}

static void test_round_trips(void)
{
    static const char *const codecs[] = {"none", "gzip", "xz", "zstd", "lz4"};
    static const struct fs_driver *const drivers[] = {&cpio_driver, &tar_driver};
    struct tree *tree = sample();
    char expected[65];
    tree_digest(tree, false, expected);
    for (size_t d = 0; d < 2; d++) {
        for (size_t i = 0; i < 5; i++) {
            char options[64], name[64];
            snprintf(options, sizeof options, "{\"compress\": \"%s\"}", codecs[i]);
            snprintf(name, sizeof name, "%s.%s", codecs[i], drivers[d]->name);
            bool made = make_file(drivers[d], tree, options, name);
            struct tree *back = open_tree(NULL);
            int r = tree_add_source(back, at(name), &err);
            tree_finish(back, &err);
            char digest[65];
            tree_digest(back, false, digest);
            ok(made && r == 0 && strcmp(digest, expected) == 0, "%s with %s: the same tree comes back",
               drivers[d]->name, codecs[i]);
            struct tree_reader reader;
            char *want = noise(NOISE_BYTES);
            char *got = malloc(NOISE_BYTES);
            ok(find(back, "big") != NULL && tree_reader_open(back, find(back, "big"), &reader, &err) == 0 &&
                   tree_reader_read(&reader, got, NOISE_BYTES, &err) == 0 &&
                   memcmp(want, got, NOISE_BYTES) == 0 && is(back, "a/b/c", "deep") &&
                   is(back, "bin/sh", "busybox"),
               "and so do its contents");
            ok(find(back, "init") != NULL && find(back, "init")->mode == 0751 && find(back, "init")->uid == 0,
               "modes are kept, owners are 0");
            free(want);
            free(got);
            tree_close(back);
        }
    }
    tree_close(tree);
}

/* What the Linux kernel insists on: xz with CRC32, lz4 in its legacy form, gzip and zstd by their magics. */
static void test_kernel_forms(void)
{
    struct tree *tree = open_tree(NULL);
    tree_add_literal(tree, "init", "x", 1, &err);
    tree_finish(tree, &err);
    static const struct {
        const char *options;
        uint8_t magic[8];
        size_t n;
    } cases[] = {
        {"{\"compress\": \"xz\"}", {0xfd, '7', 'z', 'X', 'Z', 0, 0, 1}, 8},
        {"{\"compress\": \"lz4\"}", {0x02, 0x21, 0x4c, 0x18}, 4},
        {"{\"compress\": \"zstd\"}", {0x28, 0xb5, 0x2f, 0xfd}, 4},
        {"{\"compress\": \"gzip\"}", {0x1f, 0x8b, 8, 0, 0, 0, 0, 0}, 8}, /* no name, no time */
        {"{}", {'0', '7', '0', '7', '0', '1', '0', '0'}, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plat_dev *dev;
        uint64_t n;
        const uint8_t *bytes = make(&cpio_driver, tree, cases[i].options, 0, &dev, &n);
        ok(bytes != NULL && n > cases[i].n && memcmp(bytes, cases[i].magic, cases[i].n) == 0,
           "%s begins as it must", cases[i].options);
        if (bytes != NULL)
            dev_close(dev);
    }
    tree_close(tree);
}

static void test_determinism(void)
{
    static const char *const options[] = {
        "{}", "{\"compress\":\"gzip\",\"level\":9}", "{\"compress\":\"xz\",\"level\":1}",
        "{\"compress\":\"zstd\",\"level\":3}", "{\"compress\":\"lz4\",\"level\":9}"};
    for (size_t i = 0; i < 5; i++) {
        uint64_t n[2] = {0};
        struct plat_dev *dev[2] = {0};
        const uint8_t *bytes[2];
        for (int k = 0; k < 2; k++) {
            struct tree *tree = sample();
            bytes[k] = make(i % 2 == 0 ? &cpio_driver : &tar_driver, tree, options[i], 0, &dev[k], &n[k]);
            tree_close(tree);
            struct timespec nap = {.tv_nsec = 1100000000 / 2};
            nanosleep(&nap, NULL); /* two images, two seconds */
        }
        ok(bytes[0] != NULL && bytes[1] != NULL && n[0] == n[1] && memcmp(bytes[0], bytes[1], n[0]) == 0,
           "%s: the same bytes a second time", options[i]);
        dev_close(dev[0]);
        dev_close(dev[1]);
    }
}

static void test_sizes(void)
{
    struct tree *tree = open_tree(NULL);
    tree_add_literal(tree, "f", "x", 1, &err);
    tree_finish(tree, &err);
    struct plat_dev *dev = NULL;
    uint64_t small = 0, large = 0;
    const uint8_t *bytes = make(&cpio_driver, tree, NULL, 0, &dev, &small);
    ok(bytes != NULL && small == 110 + 2 + 4 + 124, "a cpio archive of one byte has %llu bytes",
       (unsigned long long)small);
    dev_close(dev);
    bytes = make(&cpio_driver, tree, NULL, 5000, &dev, &large);
    ok(bytes != NULL && large == small + 5000 && bytes_all(bytes + small, 5000, 0), "padding is zeros");
    dev_close(dev);
    const struct make_options options = {.seed = "s"};
    struct make_plan *plan = NULL;
    struct strbuf text = {0};
    ok(cpio_driver.maker->plan(tree, &options, &plan, &err) == 0 &&
           cpio_driver.maker->settle(plan, small - 1, &err) == PLAT_EINVALID &&
           strstr(err.text, "240") != NULL,
       "one byte too few: %s", err.text);
    uint64_t n;
    ok(cpio_driver.maker->min_bytes(plan, UINT64_MAX, &n, &err) == PLAT_ELIMIT, "a slack that overflows: %s",
       err.text);
    cpio_driver.maker->describe(plan, &text);
    ok(strstr(strbuf_str(&text), "1 entries") != NULL, "described: %s", strbuf_str(&text));
    strbuf_free(&text);
    struct plat_dev *memory, *fault;
    ok(dev_open_memory(small, "m", &memory, &err) == 0 && dev_open_fault(memory, 0, &fault, &err) == 0 &&
           cpio_driver.maker->write(plan, fault, NULL, &err) == PLAT_EIO,
       "a device that fails: %s", err.text);
    dev_close(fault);
    dev_close(memory);
    cpio_driver.maker->close(plan);
    const struct make_options labelled = {.seed = "s", .label = "X"};
    ok(tar_driver.maker->plan(tree, &labelled, &plan, &err) == PLAT_EINVALID, "a label: %s", err.text);
    tree_close(tree);
    tree = open_tree(NULL);
    tree_finish(tree, &err);
    bytes = make(&cpio_driver, tree, NULL, 0, &dev, &small);
    ok(bytes != NULL && small == 124, "an empty tree is a trailer");
    dev_close(dev);
    tree_close(tree);
}

static void test_options(void)
{
    struct tree *tree = sample();
    static const char *const bad[][2] = {
        {"{\"compres\": \"gzip\"}", "compres"},
        {"{\"compress\": \"rar\"}", "none|gzip"},
        {"{\"compress\": 5}", "not text"},
        {"{\"compress\": \"gzip\", \"level\": 0}", "1 to 9"},
        {"{\"compress\": \"zstd\", \"level\": 23}", "1 to 22"},
        {"{\"level\": 3}", "without compression"},
        {"{\"compress\": \"gzip\", \"level\": \"x\"}", "number"},
        {"{\"owner\": \"root\"}", "zero|keep"},
        {"{\"modes\": true}", "keep|portable"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuse(i % 2 == 0 ? &cpio_driver : &tar_driver, tree, bad[i][0], PLAT_EINVALID, bad[i][1]);

    ok(make_file(&cpio_driver, tree, "{\"owner\": \"keep\", \"modes\": \"portable\"}", "o.cpio"),
       "owner and modes");
    struct tree *back = open_tree(NULL);
    tree_add_source(back, at("o.cpio"), &err);
    ok(find(back, "init")->uid == 7 && find(back, "init")->mode == 0755 && find(back, "a/b/c")->mode == 0644,
       "kept owners, portable modes");
    tree_close(back);
    tree_close(tree);
}

static void test_nodes(void)
{
    static const char *const nodes[] = {"dev/console:c:5:1:0600", "/dev/vda:b:254:0x10:0660",
                                        "a/b/fifo:p:0622",        "empty:d:01777",
                                        "a-b:c:1:3:0666",         "zz/y/x:d:0700"};
    struct tree *tree = gathered();
    bool owned;
    ok(tree_add_nodes(tree, nodes, 6, &owned, &err) == 0 && !owned && tree_finish(tree, &err) == 0 &&
           make_file(&cpio_driver, tree, "{\"modes\": \"portable\", \"node\": \"is in the tree\"}", "n.cpio"),
       "nodes: %s", err.text);
    struct tree *back = open_tree(NULL);
    ok(tree_add_source(back, at("n.cpio"), &err) == 0 && tree_finish(back, &err) == 0 &&
           lists(
               back,
               "a/ a/b/ a/b/c a/b/fifo a-b big bin/ bin/busybox bin/sh dev/ dev/console dev/vda empty/ init "
               "na\xc3\xafve zz/ zz/y/ zz/y/x/ "),
       "they are among the tree's own");
    struct tree_node *console = find(back, "dev/console");
    struct tree_node *disk = find(back, "dev/vda");
    ok(console->kind == TREE_CHAR && major(console->from.device) == 5 && minor(console->from.device) == 1 &&
           console->mode == 0600 && disk->kind == TREE_BLOCK && major(disk->from.device) == 254 &&
           minor(disk->from.device) == 16,
       "devices");
    ok(find(back, "a/b/fifo")->kind == TREE_FIFO && find(back, "empty")->mode == 01777 &&
           find(back, "a-b")->kind == TREE_CHAR && find(back, "zz")->mode == 0755 &&
           find(back, "zz/y/x")->mode == 0700,
       "a FIFO, a directory's mode replaced, a file replaced, parents made");
    tree_close(back);
    /* Order in the archive: each directory right before what it holds, nothing twice. */
    char command[700];
    snprintf(command, sizeof command,
             "cpio -t --quiet <%s >%s && bsdtar -tf %s | cmp - %s && sort -u %s | wc -l", at("n.cpio"),
             at("n.list"), at("n.cpio"), at("n.list"), at("n.list"));
    FILE *pipe = popen(command, "r");
    int n_unique = 0;
    ok(pipe != NULL && fscanf(pipe, "%d", &n_unique) == 1 && n_unique == 18,
       "cpio and bsdtar list %d members", n_unique);
    if (pipe != NULL)
        pclose(pipe);
    FILE *list = fopen(at("n.list"), "r");
    char line[256];
    bool parents_first = list != NULL;
    bool seen_dev = false;
    while (list != NULL && fgets(line, sizeof line, list) != NULL) {
        seen_dev = seen_dev || strcmp(line, "dev\n") == 0;
        parents_first = parents_first && (strncmp(line, "dev/", 4) != 0 || seen_dev);
    }
    if (list != NULL)
        fclose(list);
    ok(parents_first && seen_dev, "a made parent comes before its device");
    tree_close(tree);
}

static void test_refusals(void)
{
    struct tree *tree = open_tree(NULL);
    tree_add_literal(tree, "TRAILER!!!", "x", 1, &err);
    tree_finish(tree, &err);
    refuse(&cpio_driver, tree, NULL, PLAT_EUNSUPPORTED, "TRAILER!!!");
    ok(make_file(&tar_driver, tree, NULL, "t.tar"), "tar does not mind");
    tree_close(tree);

    put_file("huge", "");
    ok(truncate(at("huge"), (off_t)1 << 32) == 0, "a file of 4 GiB");
    tree = open_tree(NULL);
    tree_add_file(tree, "huge", at("huge"), &err);
    tree_finish(tree, &err);
    refuse(&cpio_driver, tree, NULL, PLAT_ELIMIT, "4 GiB - 1");
    tree_close(tree);

    put_file("changing", "12345");
    tree = open_tree(NULL);
    tree_add_file(tree, "in/changing", at("changing"), &err);
    tree_finish(tree, &err);
    put_file("changing", "1234");
    refuse(&tar_driver, tree, NULL, PLAT_EIO, "changing");
    tree_close(tree);

    struct strbuf sb = {0};
    cpio_member(&sb, "sock", 0140755, 1, 1, NULL);
    cpio_member(&sb, "latin1-\xe9", REG, 2, 1, "x");
    cpio_member(&sb, "old", REG, 3, 1, "x");
    const char *path = save(&sb, "sock.cpio", true);
    tree = open_tree(NULL);
    tree_add_source(tree, path, &err);
    struct tree_override o = {.pattern = "old", .has_mtime = true, .mtime_s = -86400};
    tree_apply_override(tree, &o, &err);
    tree_finish(tree, &err);
    refuse(&tar_driver, tree, NULL, PLAT_EUNSUPPORTED, "sock");
    ok(make_file(&cpio_driver, tree, NULL, "sock2.cpio"), "cpio has sockets");
    struct tree *back = open_tree(NULL);
    ok(tree_add_source(back, at("sock2.cpio"), &err) == 0 && find(back, "sock")->kind == TREE_SOCKET &&
           find(back, "latin1-\xe9") != NULL && find(back, "old")->mtime_s == 0,
       "and names of any bytes; times before 1970 become 1970");
    tree_close(back);
    tree_close(tree);
    const char *const no_sockets[] = {"sock", NULL};
    tree = open_tree(&(struct tree_options){.exclude = no_sockets});
    tree_add_source(tree, at("sock.cpio"), &err);
    tree_apply_override(tree, &o, &err);
    tree_finish(tree, &err);
    back = open_tree(NULL);
    ok(make_file(&tar_driver, tree, NULL, "names.tar") && tree_add_source(back, at("names.tar"), &err) == 0 &&
           find(back, "latin1-\xe9") != NULL && find(back, "old")->mtime_s == -86400,
       "tar has names of any bytes and times before 1970");
    tree_close(back);
    tree_close(tree);

    const char *before = getenv("TMPDIR");
    char keep[512];
    snprintf(keep, sizeof keep, "%s", before != NULL ? before : "");
    setenv("TMPDIR", "/nonexistent", 1);
    tree = open_tree(NULL);
    tree_finish(tree, &err);
    refuse(&cpio_driver, tree, NULL, PLAT_ENOTFOUND, "/nonexistent");
    tree_close(tree);
    if (before != NULL)
        setenv("TMPDIR", keep, 1);
    else
        unsetenv("TMPDIR");
}

int main(void)
{
    if (!scratch_open())
        return 1;
    test_round_trips();
    test_kernel_forms();
    test_determinism();
    test_sizes();
    test_options();
    test_nodes();
    test_refusals();
    return scratch_close();
}
