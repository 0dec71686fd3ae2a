/* Shared by the tests of lib/tree: a scratch directory, looking into trees, and cpio archives by hand, as no
 * well-meaning archiver writes them. */
#ifndef PLAT_TESTS_TREE_SHELL_H
#define PLAT_TESTS_TREE_SHELL_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "lib/tree/tree.h"
#include "tests/unit/tap.h"

static char dir[256]; /* scratch; everything happens inside */
static struct plat_err err;

static inline const char *at(
    const char *name) /* a path in the scratch directory; the last eight stay valid */
{
    static char paths[8][512];
    static unsigned next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static inline void put_file(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
        printf("Bail out! cannot write %s\n", name);
        exit(1);
    }
}

static inline void make_dir(const char *name)
{
    if (mkdir(at(name), 0755) != 0 && errno != EEXIST) {
        printf("Bail out! cannot make %s\n", name);
        exit(1);
    }
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline struct tree *open_tree(const struct tree_options *options)
{
    struct tree *tree = NULL;
    if (tree_open(options, &tree, &err) != 0) {
        printf("Bail out! tree_open\n");
        exit(1);
    }
    return tree;
}

/* "a/b" in a tree; NULL when it is not there. */
static inline struct tree_node *find(struct tree *tree, const char *path)
{
    for (struct tree_node *n = tree_root(tree); n != NULL; n = tree_next(n)) {
        char buf[8192];
        if (tree_path(n, buf, sizeof buf) == 0 && strcmp(buf + 1, path) == 0)
            return n;
    }
    return NULL;
}

/* Contents of a file as a string, in a static buffer; "(error)" when it cannot be read. */
static inline const char *content(struct tree *tree, const char *path)
{
    static char buf[65536];
    struct tree_reader reader;
    struct tree_node *node = find(tree, path);
    if (node == NULL)
        return "(missing)";
    if (node->size_bytes >= sizeof buf || tree_reader_open(tree, node, &reader, &err) != 0)
        return "(error)";
    size_t n = (size_t)node->size_bytes;
    size_t half = n / 2; /* in two steps: the offset must move */
    int r = tree_reader_read(&reader, buf, half, &err);
    if (r == 0)
        r = tree_reader_read(&reader, buf + half, n - half, &err);
    tree_reader_close(&reader);
    buf[n] = '\0';
    return r == 0 ? buf : "(error)";
}

static inline bool is(struct tree *tree, const char *path, const char *text)
{
    const char *found = content(tree, path);
    if (strcmp(found, text) != 0)
        printf("# %s: expected '%s', found '%s'\n", path, text, found);
    return strcmp(found, text) == 0;
}

/* All paths, space-separated, directories with '/' behind. */
static inline const char *listing(struct tree *tree)
{
    static char out[8192];
    out[0] = '\0';
    for (struct tree_node *n = tree_next(tree_root(tree)); n != NULL; n = tree_next(n)) {
        char buf[4096];
        if (tree_path(n, buf, sizeof buf) == 0 && strlen(out) + strlen(buf) + 3 < sizeof out) {
            strcat(out, buf + 1);
            strcat(out, n->kind == TREE_DIR ? "/ " : " ");
        }
    }
    return out;
}

static inline bool lists(struct tree *tree, const char *expected)
{
    const char *found = listing(tree);
    if (strcmp(found, expected) != 0)
        printf("# expected: %s\n# found:    %s\n", expected, found);
    return strcmp(found, expected) == 0;
}

static inline double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- cpio by hand: what no well-meaning archiver writes ---- */

static inline void cpio_member(struct strbuf *sb, const char *name, unsigned mode, unsigned ino,
                               unsigned nlink, const char *data)
{
    size_t n = data != NULL ? strlen(data) : 0;
    strbuf_printf(sb, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", ino, mode, 7u, 8u,
                  nlink, 1000u, n, 0u, 0u, 5u, 1u, strlen(name) + 1, 0u);
    strbuf_add(sb, name, strlen(name) + 1);
    while (sb->len % 4 != 0)
        strbuf_putc(sb, '\0');
    strbuf_add(sb, data != NULL ? data : "", n);
    while (sb->len % 4 != 0)
        strbuf_putc(sb, '\0');
}

static inline const char *save(struct strbuf *sb, const char *name, bool trailer)
{
    if (trailer)
        cpio_member(sb, "TRAILER!!!", 0, 0, 1, NULL);
    FILE *f = fopen(at(name), "w");
    if (f == NULL || sb->failed || fwrite(sb->s, 1, sb->len, f) != sb->len || fclose(f) != 0) {
        printf("Bail out! cannot write %s\n", name);
        exit(1);
    }
    strbuf_free(sb);
    return at(name);
}

enum { REG = 0100644, FOLDER = 0040755, LINK = 0120777, CHAR_DEVICE = 0020600 };

static inline bool scratch_open(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/plat-test-tree-XXXXXX", tmp != NULL ? tmp : "/tmp");
    umask(022);
    return mkdtemp(dir) != NULL;
}

static inline int scratch_close(void)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return tap_done();
}

#endif
