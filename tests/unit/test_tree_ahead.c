/* Read-ahead: same contents and same order as one reader, whatever the sizes; failures at the file they belong to. */
#include "lib/tree/ahead.h"

#include "tests/unit/threads.h"
#include "tests/unit/tree_shell.h"

enum { N_DIRS = 5, FILES_PER_DIR = 150, LARGEST_BYTES = TREE_AHEAD_FILE_BYTES + 5000 };

/* Sizes from 0 to beyond what is read ahead, with many small ones. */
static size_t size_of(unsigned i)
{
    return i % 31 == 0 ? LARGEST_BYTES - i : i % 7 == 0 ? TREE_AHEAD_FILE_BYTES : i * 37u % 4096;
}

static void make_files(void)
{
    static char bytes[LARGEST_BYTES + 1];
    for (unsigned d = 0; d < N_DIRS; d++) {
        char name[64];
        snprintf(name, sizeof name, "src/d%u", d);
        make_dir(name);
        for (unsigned f = 0; f < FILES_PER_DIR; f++) {
            unsigned i = d * FILES_PER_DIR + f;
            snprintf(name, sizeof name, "src/d%u/f%03u", d, f);
            memset(bytes, 'a' + (int)(i % 26), size_of(i));
            bytes[size_of(i)] = '\0';
            put_file(name, bytes);
        }
    }
}

static const struct tree_node *next_file(void *ctx)
{
    struct tree_node **at = ctx;
    while (*at != NULL) {
        const struct tree_node *node = *at;
        *at = tree_next(*at);
        if (node->kind == TREE_FILE)
            return node;
    }
    return NULL;
}

static struct tree *source_tree(void)
{
    struct tree *tree = open_tree(NULL);
    ok(tree_add_directory(tree, "/", at("src"), &err) == 0 &&
           tree_add_literal(tree, "d2/lit", "x", 1, &err) == 0 && tree_finish(tree, &err) == 0,
       "a tree of %d files and a literal", N_DIRS * FILES_PER_DIR);
    return tree;
}

/* Takes every file; stops at the first failure. */
static int take_all(struct tree *tree, unsigned *ret_ahead, unsigned *ret_differ, const char **ret_failed)
{
    static uint8_t want[LARGEST_BYTES];
    struct tree_node *producer = tree_root(tree), *consumer = producer;
    struct tree_ahead *ahead = NULL;
    const struct tree_node *node;
    int rc = tree_ahead_open(tree, next_file, &producer, &ahead, &err);
    *ret_ahead = *ret_differ = 0;
    while (rc == 0 && (node = next_file(&consumer)) != NULL) {
        const uint8_t *bytes = NULL;
        *ret_failed = node->name;
        rc = tree_ahead_take(ahead, node, &bytes, &err);
        struct tree_reader reader;
        if (rc == 0 && tree_reader_open(tree, node, &reader, NULL) == 0) {
            bool same = tree_reader_read(&reader, want, (size_t)node->size_bytes, NULL) == 0 &&
                        (bytes == NULL || memcmp(bytes, want, (size_t)node->size_bytes) == 0);
            *ret_ahead += bytes != NULL;
            *ret_differ += !same;
            tree_reader_close(&reader);
        }
    }
    tree_ahead_close(ahead);
    return rc;
}

static void test_contents(void)
{
    unsigned n_ahead, n_differ, want = 0;
    const char *last;
    struct tree *tree = source_tree();
    for (unsigned i = 0; i < N_DIRS * FILES_PER_DIR; i++)
        want += size_of(i) <= TREE_AHEAD_FILE_BYTES;
    ok(take_all(tree, &n_ahead, &n_differ, &last) == 0 && n_differ == 0,
       "all contents are those that a reader gives");
    ok(n_ahead == want, "%u of %u small files were read ahead", n_ahead, want);
    tree_close(tree);
}

static void test_early_end(void)
{
    struct tree *tree = source_tree();
    struct tree_node *producer = tree_root(tree), *consumer = producer;
    struct tree_ahead *ahead = NULL;
    const uint8_t *bytes = NULL;
    ok(tree_ahead_open(tree, next_file, &producer, &ahead, &err) == 0 &&
           tree_ahead_take(ahead, next_file(&consumer), &bytes, &err) == 0,
       "one file is taken");
    (void)next_file(&consumer);
    const struct tree_node *skipped = next_file(&consumer);
    ok(tree_ahead_take(ahead, skipped, &bytes, &err) == PLAT_EBUG, "a file out of order is refused");
    tree_ahead_close(ahead);
    tree_ahead_close(NULL);
    ok(threads_left() == 1, "closed in the middle, its threads have ended: %u left", threads_left());
    tree_close(tree);
}

static void test_changed(const char *file, const char *text, const char *want)
{
    unsigned n_ahead, n_differ;
    const char *failed = "";
    char path[64];
    snprintf(path, sizeof path, "src/%s", file);
    struct tree *tree = source_tree();
    if (text != NULL)
        put_file(path, text);
    else
        unlink(at(path));
    ok(take_all(tree, &n_ahead, &n_differ, &failed) != 0 && strstr(err.text, want) != NULL &&
           strcmp(failed, strrchr(file, '/') + 1) == 0 && strstr(err.text, file) != NULL,
       "%s: %s", file, err.text);
    tree_close(tree);
}

static void test_fifo(void)
{
    unsigned n_ahead, n_differ;
    const char *failed = "";
    struct tree *tree = source_tree();
    unlink(at("src/d1/f003"));
    ok(mkfifo(at("src/d1/f003"), 0644) == 0, "a FIFO takes the place of a file");
    ok(take_all(tree, &n_ahead, &n_differ, &failed) == PLAT_EIO &&
           strstr(err.text, "not a regular file") != NULL,
       "and is refused: %s", err.text);
    tree_close(tree);
}

int main(void)
{
    snprintf(dir, sizeof dir, "%s/plat-ahead.XXXXXX", getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    if (mkdtemp(dir) == NULL)
        return 1;
    make_dir("src");
    make_files();
    test_contents();
    test_early_end();
    test_changed("d4/f120", "shorter now", "changed while the image was built");
    make_files();
    test_changed("d3/f001", "ten bytes and then more, so that it is longer than it was", "changed");
    make_files();
    test_changed("d0/f005", NULL, "No such file");
    make_files();
    test_fifo();
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return tap_done();
}
