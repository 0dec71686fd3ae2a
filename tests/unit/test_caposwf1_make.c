/* The maker of caposwf1: every image is read back by the reader and compared with the tree, and the blocks that are
 * referred to are those that the bitmap has, each of them once.
 *
 * Catches: a block referred to twice or not at all, a map of a wrong height, names out of order, a pipe that gets other
 * bytes than a file, a window of zeros that takes room, a size that is off by a block. */
#include "lib/fs/verify.h"
#include "tests/unit/caposwf1_image.h"

enum { BIG_BYTES = 9 * 1024 * 1024 + 77 };

static int first_error(void *ctx, const struct finding *finding)
{
    char *text = ctx;
    if (finding->severity == SEVERITY_ERROR && text[0] == '\0')
        (void)snprintf(text, 200, "%.40s %.140s", finding->id, finding->text);
    return 0;
}

/* What plat verify --data says of it; "" when it finds nothing. Blocks that somebody else has it does not judge. */
static const char *judge(struct plat_dev *dev)
{
    static char text[200];
    const struct finding_sink sink = {first_error, text};
    struct stack *stack = NULL;
    text[0] = '\0';
    if (stack_open(dev, NULL, &stack, &err) != 0)
        return err.text;
    if (stack_verify(stack, &sink, NULL, &err) != 0 || stack_scrub(stack, &sink, NULL, NULL, &err) != 0)
        die("verify");
    stack_close(stack);
    return text;
}

static uint64_t make_both(struct tree *tree, const struct wanted *wanted, const char *what)
{
    struct plat_dev *dev = NULL, *piped = NULL;
    if (make(tree, wanted, false, &dev) != 0 || make(tree, wanted, true, &piped) != 0)
        die(what);
    const char *text = audit_image(dev, tree, wanted);
    const uint64_t size = dev->size_bytes;
    ok(text[0] == '\0', "%s: %llu bytes %s", what, (unsigned long long)size, text);
    text = judge(dev);
    ok(text[0] == '\0', "%s: verify --data finds nothing %s", what, text);
    ok(size == piped->size_bytes && memcmp(dev_memory_bytes(dev), dev_memory_bytes(piped), (size_t)size) == 0,
       "%s: a pipe gets the same bytes", what);
    dev_close(dev);
    dev_close(piped);
    return size;
}

/* ---- trees ---- */

static void add(struct tree *tree, const char *path, const void *bytes, size_t n)
{
    if (tree_add_literal(tree, path, bytes, n, &err) != 0)
        die(path);
}

static struct tree *small_tree(void)
{
    static uint8_t bytes[5000];
    const struct tree_options options = {.has_time = true, .time_s = 1700000000};
    struct tree *tree = open_tree(&options);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    add(tree, "empty", "", 0);
    add(tree, "one", "x", 1);
    add(tree, "dir/block", bytes, 512);
    add(tree, "dir/more", bytes, 513);
    add(tree, "dir/sub/deep", bytes, sizeof bytes);
    if (tree_add_symlink(tree, "link", "dir/block", &err) != 0 || tree_mkdir(tree, "hollow", &err) != 0 ||
        tree_finish(tree, &err) != 0)
        die("a tree");
    return tree;
}

static void test_small(void)
{
    struct tree *tree = small_tree();
    static const struct wanted kinds[] = {{.superblock = NULL},
                                          {.compact = true},
                                          {.superblock = "0", .times = "unknown"},
                                          {.superblock = "0", .compact = true, .times = "ntp-synced"},
                                          {.shared = true, .region_first_block = 700, .times = "untrusted"},
                                          {.sector_bytes = 4096, .compact = true},
                                          {.slack_bytes = 100000, .compact = true},
                                          {.size_bytes = 16 << 20, .keep_owner = true},
                                          {.size_bytes = 300 << 20}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char what[64];
        (void)snprintf(what, sizeof what, "a small tree, way %zu", i);
        (void)make_both(tree, &kinds[i], what);
    }
    tree_close(tree);
    tree = open_tree(NULL);
    if (tree_finish(tree, &err) != 0)
        die("an empty tree");
    const struct wanted least = {.superblock = "0", .compact = true};
    /* Two superblocks, a block of records, a block of the bitmap. */
    ok(make_both(tree, &least, "an empty tree") == 4 * 512, "an empty tree takes four blocks");
    tree_close(tree);
}

/* The compact image is the smallest that can be settled. */
static void test_least(void)
{
    struct plat_dev *dev = NULL;
    struct tree *tree = small_tree();
    struct wanted wanted = {.compact = true};
    wanted.size_bytes = make_both(tree, &wanted, "compact") - 512;
    ok(make(tree, &wanted, false, &dev) == PLAT_EINVALID && strstr(err.text, "are too few") != NULL,
       "a block less is refused: %s", err.text);
    wanted.size_bytes = 100;
    ok(make(tree, &wanted, false, &dev) == PLAT_EINVALID, "100 bytes are refused: %s", err.text);
    wanted.size_bytes = 0;
    wanted.compact = false;
    ok(make_both(tree, &wanted, "not compact") > 200 * 512, "else there is room for changes");
    wanted.superblock = "7";
    ok(make(tree, &wanted, false, &dev) == PLAT_EINVALID, "a superblock elsewhere is refused: %s", err.text);
    wanted.superblock = NULL;
    wanted.region_first_block = 257;
    ok(make(tree, &wanted, false, &dev) == PLAT_EINVALID, "a region over the superblocks is refused: %s",
       err.text);
    wanted.region_first_block = 0;
    wanted.times = "sundial";
    ok(make(tree, &wanted, false, &dev) == PLAT_EINVALID, "another clock is refused: %s", err.text);
    tree_close(tree);
}

/* ---- large files ---- */

static void put_at(int fd, uint64_t at, const char *text)
{
    if (pwrite(fd, text, strlen(text), (off_t)at) != (ssize_t)strlen(text))
        die("pwrite");
}

/* A file of many windows, dense, sparse, and sparse without holes. */
static void test_large(void)
{
    const struct wanted compact = {.compact = true};
    static uint8_t bytes[BIG_BYTES];
    uint64_t dense, sparse, filled;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((i >> 9) * 31 + i + 1);
    for (unsigned kib = 64; kib <= 9 * 1024; kib = kib * 2 + 1) { /* maps of 1 to 2 levels, and their edges */
        struct tree *tree = open_tree(NULL);
        char what[64];
        (void)snprintf(what, sizeof what, "a file of %u KiB and one byte", kib);
        add(tree, "big", bytes, (size_t)kib * 1024 + 1);
        add(tree, "small", bytes, 100);
        if (tree_finish(tree, &err) != 0)
            die("a tree");
        (void)make_both(tree, &compact, what);
        tree_close(tree);
    }
    int fd = open(at("sparse"), O_CREAT | O_RDWR, 0644), full = open(at("full"), O_CREAT | O_RDWR, 0644);
    memset(bytes, 0, sizeof bytes);
    if (fd < 0 || full < 0 || ftruncate(fd, 1ll << 33) != 0 || ftruncate(full, BIG_BYTES) != 0 ||
        pwrite(full, bytes, BIG_BYTES, 0) != BIG_BYTES)
        die("sparse files");
    put_at(fd, 70000, "seventy thousand");
    put_at(fd, 5ull << 30, "five GiB");
    put_at(full, BIG_BYTES - 3, "end");
    (void)close(fd);
    (void)close(full);
    struct tree *tree = open_tree(NULL);
    if (tree_add_file(tree, "full", at("full"), &err) != 0 || tree_finish(tree, &err) != 0)
        die("a tree");
    filled = make_both(tree, &compact, "a file with zeros");
    tree_close(tree);
    ok(filled < 300 * 512, "its zeros take no room (%llu bytes)", (unsigned long long)filled);
    tree = open_tree(NULL);
    if (tree_add_file(tree, "sparse", at("sparse"), &err) != 0 || tree_finish(tree, &err) != 0)
        die("a tree");
    struct plat_dev *dev = NULL;
    if (make(tree, &compact, false, &dev) != 0)
        die("a sparse file");
    sparse = dev->size_bytes;
    ok(sparse == (258 + 2 * 128 + 3) * 512, "8 GiB with two windows of content: %llu bytes",
       (unsigned long long)sparse);
    dev_close(dev);
    tree_close(tree);
    dense = (uint64_t)BIG_BYTES;
    ok(dense > sparse, "less than its %llu bytes of length", (unsigned long long)dense);
}

/* More extents than one level of branches holds: a window in two is zero. */
static void test_many_extents(void)
{
    const struct wanted compact = {.compact = true, .superblock = "0"};
    int fd = open(at("comb"), O_CREAT | O_RDWR, 0644);
    if (fd < 0 || ftruncate(fd, 300ll << 20) != 0)
        die("a comb");
    for (uint64_t i = 0; i < 2200; i++) /* 69 blocks of extents, 3 of branches */
        put_at(fd, i * 2 * 65536 + i * 7, "tooth");
    (void)close(fd);
    struct tree *tree = open_tree(NULL);
    if (tree_add_file(tree, "comb", at("comb"), &err) != 0 || tree_finish(tree, &err) != 0)
        die("a tree");
    struct plat_dev *dev = NULL;
    if (make(tree, &compact, false, &dev) != 0)
        die("a comb");
    const char *text = audit_image(dev, tree, &compact);
    ok(text[0] == '\0', "a file of 2200 extents %s", text);
    dev_close(dev);
    tree_close(tree);
}

/* ---- directories ---- */

static void test_directories(void)
{
    static const unsigned sizes[] = {1, 30, 46, 47, 140, 200, 6000, 40000};
    const struct wanted compact = {.compact = true};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct tree *tree = open_tree(NULL);
        char name[300], what[64];
        for (unsigned i = 0; i < sizes[s]; i++) {
            (void)snprintf(name, sizeof name, "d/%x", i);
            add(tree, name, name, i % 3);
        }
        memset(name, 'n', 255);
        name[255] = '\0';
        add(tree, name, "long", 4);
        if (tree_finish(tree, &err) != 0)
            die("a tree");
        (void)snprintf(what, sizeof what, "a directory of %u names", sizes[s]);
        (void)make_both(tree, &compact, what);
        tree_close(tree);
    }
}

/* Names of one hash lie one behind the other, in blocks that follow each other. */
static void test_collisions(void)
{
    static uint8_t names[8][256];
    const struct wanted compact = {.compact = true};
    struct tree *tree = open_tree(NULL);
    unsigned n = 0;
    const uint32_t wanted = wf1_name_hash("same-hash-000000", 16);
    for (uint64_t tail = 0; n < 8 && tail < 1u << 24; tail++) {
        /* CRC-32C is linear: the last four bytes can be chosen so that any hash comes out. */
        uint8_t bytes[256];
        const int head = snprintf((char *)bytes, sizeof bytes, "%0200llx", (unsigned long long)tail);
        uint32_t basis[32], mask[32], target;
        memset(bytes + head, 0, 4);
        const uint32_t base = wf1_name_hash(bytes, (size_t)head + 4);
        target = base ^ wanted;
        for (unsigned bit = 0; bit < 32; bit++) {
            memset(bytes + head, 0, 4);
            bytes[(unsigned)head + bit / 8] = (uint8_t)(1u << bit % 8);
            basis[bit] = wf1_name_hash(bytes, (size_t)head + 4) ^ base;
            mask[bit] = 1u << bit;
        }
        uint32_t chosen = 0;
        for (unsigned bit = 0; bit < 32; bit++) { /* Gauss */
            unsigned pivot = bit;
            while (pivot < 32 && (basis[pivot] >> bit & 1) == 0)
                pivot++;
            if (pivot == 32)
                break;
            const uint32_t b = basis[pivot], m = mask[pivot];
            basis[pivot] = basis[bit];
            mask[pivot] = mask[bit];
            basis[bit] = b;
            mask[bit] = m;
            for (unsigned i = 0; i < 32; i++)
                if (i != bit && (basis[i] >> bit & 1) != 0) {
                    basis[i] ^= b;
                    mask[i] ^= m;
                }
        }
        for (unsigned bit = 0; bit < 32; bit++)
            chosen ^= (target >> bit & 1) != 0 ? mask[bit] : 0;
        for (unsigned i = 0; i < 4; i++)
            bytes[(unsigned)head + i] = (uint8_t)(chosen >> 8 * i);
        bytes[head + 4] = '\0';
        if (memchr(bytes + head, '/', 4) != NULL || memchr(bytes + head, '\0', 4) != NULL ||
            wf1_name_hash(bytes, (size_t)head + 4) != wanted)
            continue;
        memcpy(names[n++], bytes, sizeof bytes);
    }
    for (unsigned i = 0; i < n; i++)
        add(tree, (const char *)names[i], "content", i);
    for (unsigned i = 0; i < 400; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "other-%u", i);
        add(tree, name, "", 0);
    }
    if (tree_finish(tree, &err) != 0)
        die("a tree");
    ok(n == 8, "%u names of one hash", n);
    (void)make_both(tree, &compact, "names of one hash");
    tree_close(tree);
}

/* ---- what is refused, what changes meanwhile ---- */

static void test_refused(void)
{
    struct plat_dev *dev = NULL;
    const struct wanted plain = {.superblock = NULL}, timeless = {.times = "unknown"};
    const struct tree_options far = {.has_time = true, .time_s = 99999999999};
    char name[300];
    struct tree *tree = open_tree(NULL);
    memset(name, 'n', 256);
    name[256] = '\0';
    add(tree, name, "", 0);
    if (tree_finish(tree, &err) != 0)
        die("a tree");
    ok(make(tree, &plain, false, &dev) == PLAT_EINVALID, "a name of 256 bytes: %s", err.text);
    tree_close(tree);
    tree = open_tree(&far);
    add(tree, "later", "", 0);
    if (tree_finish(tree, &err) != 0)
        die("a tree");
    ok(make(tree, &plain, false, &dev) == PLAT_EINVALID && strstr(err.text, "out of reach") != NULL,
       "a time in the year 5138: %s", err.text);
    ok(make(tree, &timeless, false, &dev) == 0, "which is fine where no times are kept");
    dev_close(dev);
    tree_close(tree);
}

/* A file that keeps its length and changes while the maker is at work. */
struct meddling {
    struct plat_dev dev;
    const char *path, *text;
    uint64_t at;
    bool done;
};
static int meddle(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *e)
{
    struct meddling *m = (struct meddling *)(void *)dev;
    (void)offset;
    (void)buf;
    (void)n;
    (void)e;
    if (!m->done) {
        int fd = open(m->path, O_WRONLY);
        put_at(fd, m->at, m->text);
        (void)close(fd);
    }
    m->done = true;
    return 0;
}

static void test_changed(void)
{
    static const struct plat_dev_ops ops = {.read_at = pipe_read, .write_at = meddle};
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t where[] = {10, 200000};
        struct tree *tree = open_tree(NULL);
        struct make_plan *plan = NULL;
        struct make_options options = {.seed = "x", .sector_bytes = 512};
        struct meddling m = {.dev = {.ops = &ops, .name = "pipe", .sequential = true},
                             .path = at("changing"),
                             .text = "changed",
                             .at = where[i]};
        int fd = open(m.path, O_CREAT | O_RDWR | O_TRUNC, 0644);
        static char filler[3 << 20];
        memset(filler, 'f', sizeof filler);
        if (ftruncate(fd, 300000) != 0)
            die("ftruncate");
        put_at(fd, 0, "begin"); /* the rest is zero */
        (void)close(fd);
        add(tree, "a-filler", filler, sizeof filler);
        if (tree_add_file(tree, "changing", m.path, &err) != 0 || tree_finish(tree, &err) != 0 ||
            caposwf1_maker.plan(tree, &options, &plan, &err) != 0 ||
            caposwf1_maker.min_bytes(plan, 0, &m.dev.size_bytes, &err) != 0 ||
            caposwf1_maker.settle(plan, m.dev.size_bytes, &err) != 0)
            die("a plan");
        ok(caposwf1_maker.write(plan, &m.dev, NULL, &err) == PLAT_EIO && strstr(err.text, "changing") != NULL,
           "content at %llu that changed is noticed: %s", (unsigned long long)where[i], err.text);
        caposwf1_maker.close(plan);
        tree_close(tree);
    }
}

int main(void)
{
    if (!scratch_open())
        return 1;
    test_small();
    test_least();
    test_large();
    test_many_extents();
    test_directories();
    test_collisions();
    test_refused();
    test_changed();
    return scratch_close();
}
