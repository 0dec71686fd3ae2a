/* Threads that read: one open image where its driver says `concurrent`, else a handle for each; the same files and different ones, at
 * the same moment, through caches that hold less than all of them. What each reads is right. `make tsan` watches it.
 *
 * Catches: a cache slot that is filled while another thread copies it, a decoder that two threads use, a place in a block list
 * that another file's reader has changed. */
#include <pthread.h>

#include "lib/par/par.h"
#include "tests/unit/native.h"

enum { THREADS = 4, FILES = 120, FILE_BYTES_MAX = 60000, ROUNDS = 6 };

static const struct native_format formats[] = {
    {"squashfs", "{\"compress\": \"gzip\", \"block-bytes\": \"4096\"}", true},
    {"squashfs", "{\"compress\": \"zstd\", \"block-bytes\": \"16384\"}", true},
    {"squashfs", "{\"compress\": \"xz\"}", true},
    {"caposro1", "{}", true},
    {"caposwf1", "{}", true},
    {"fat32", "{}", false},
};

/* What file i has at a byte: text that shrinks, and no two alike. */
static uint8_t byte_of(unsigned i, size_t at)
{
    return (uint8_t)('a' + (at / 7 * (i + 1) + at % 7) % 23);
}
static size_t bytes_of(unsigned i)
{
    return i * 7919u % FILE_BYTES_MAX;
}

struct shared {
    struct plat_dev *dev;
    struct fs *fs; /* of all threads; NULL: each opens its own */
    const struct fs_driver *driver;
    pthread_barrier_t barrier;
};
struct reader {
    struct shared *shared;
    pthread_t thread;
    unsigned number;
    unsigned wrong;
    struct plat_err err;
};

static bool read_one(struct fs *fs, unsigned i, size_t step, struct plat_err *err)
{
    static _Thread_local uint8_t buf[FILE_BYTES_MAX];
    char path[64];
    struct fs_stat stat;
    uint64_t node;
    (void)snprintf(path, sizeof path, "dir %u/file %u", i % 5, i);
    if (fs_resolve(fs, path, &node, err) != 0 || fs->driver->stat(fs, node, &stat, err) != 0)
        return false;
    if (stat.size_bytes != bytes_of(i))
        return false;
    for (size_t at = 0; at < stat.size_bytes;) {
        size_t n = 0;
        if (fs->driver->read(fs, node, at, buf, step, &n, err) != 0 || n == 0)
            return false;
        for (size_t k = 0; k < n; k++)
            if (buf[k] != byte_of(i, at + k))
                return false;
        at += n;
    }
    return true;
}

static int count_entry(void *ctx, const struct fs_dirent *entry)
{
    (void)entry;
    ++*(unsigned *)ctx;
    return 0;
}

static void *reader_main(void *arg)
{
    struct reader *reader = arg;
    struct shared *shared = reader->shared;
    const struct fs_open_options options = {.sector_bytes = 512};
    struct fs *fs = shared->fs;
    (void)pthread_barrier_wait(&shared->barrier);
    if (fs == NULL && fs_open(shared->driver, shared->dev, &options, &fs, &reader->err) != 0) {
        reader->wrong = 1;
        return NULL;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned k = 0; k < FILES; k++) {
            /* In turns the same file as the others, and another one. */
            const unsigned i = round % 2 == 0 ? k : (k * 7 + reader->number * 31) % FILES;
            reader->wrong +=
                !read_one(fs, i, round < 2 ? FILE_BYTES_MAX : 5000 + reader->number, &reader->err);
        }
        uint64_t node;
        unsigned n = 0;
        reader->wrong += fs_resolve(fs, "dir 3", &node, &reader->err) != 0 ||
                         fs->driver->readdir(fs, node, count_entry, &n, &reader->err) != 0 || n != FILES / 5;
    }
    if (shared->fs == NULL)
        fs_close(fs);
    return NULL;
}

static int make_image(const struct native_format *format, struct plat_dev **ret, struct plat_err *err)
{
    const struct tree_options options = {.has_time = true, .time_s = 1700000000};
    static uint8_t content[FILE_BYTES_MAX];
    struct tree *tree = NULL;
    int rc = tree_open(&options, &tree, err);
    for (unsigned i = 0; rc == 0 && i < FILES; i++) {
        char name[64];
        for (size_t at = 0; at < bytes_of(i); at++)
            content[at] = byte_of(i, at);
        (void)snprintf(name, sizeof name, "dir %u/file %u", i % 5, i);
        rc = tree_add_literal(tree, name, content, bytes_of(i), err);
    }
    if (rc == 0)
        rc = tree_finish(tree, err);
    if (rc == 0)
        rc = native_make(format, tree, 0, ret, err);
    tree_close(tree);
    return rc;
}

static void test_format(const struct native_format *format)
{
    struct shared shared = {.driver = fs_driver_find(format->name)};
    struct reader readers[THREADS];
    struct plat_err err = {0};
    const struct fs_open_options options = {.sector_bytes = 512};
    unsigned wrong = 0;
    if (make_image(format, &shared.dev, &err) != 0 ||
        (shared.driver->concurrent && fs_open(shared.driver, shared.dev, &options, &shared.fs, &err) != 0))
        native_die(format->name, &err);
    (void)pthread_barrier_init(&shared.barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.shared = &shared, .number = i};
        if (pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]) != 0)
            native_die("a thread", &err);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        wrong += readers[i].wrong;
        if (readers[i].wrong > 0)
            printf("# %s\n", readers[i].err.text);
    }
    ok(wrong == 0, "%s %s: %d threads read %s right", format->name, format->options, THREADS,
       shared.fs != NULL ? "one open image" : "an image that each has opened");
    if (shared.fs != NULL && shared.driver->scrub != NULL) {
        const struct finding_sink nobody = {0};
        struct progress progress = {0};
        ok(shared.driver->scrub(shared.fs, &nobody, &progress, &err) == 0 && progress.done_bytes > 0,
           "%s: all blocks decompress in several threads", format->options);
    }
    fs_close(shared.fs);
    (void)pthread_barrier_destroy(&shared.barrier);
    dev_close(shared.dev);
}

int main(void)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        test_format(&formats[i]);
    return tap_done();
}
