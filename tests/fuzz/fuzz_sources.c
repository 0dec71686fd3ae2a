/* What people write about sources: a pattern, changes of modes, a node and a path on four lines, then a manifest. It is
 * found out to be one (its name does not say so), so that no absolute path in it is looked at. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/tree/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The next line, cut to fit. */
static void next_line(const uint8_t **data, size_t *n, char ret[512])
{
    const uint8_t *end = memchr(*data, '\n', *n);
    const size_t length = end != NULL ? (size_t)(end - *data) : *n;
    (void)snprintf(ret, 512, "%.*s", (int)(length < 511 ? length : 511), (const char *)*data);
    *data += length + (end != NULL);
    *n -= length + (end != NULL);
}

static void add_manifest(struct tree *tree, const uint8_t *data, size_t n)
{
    static const char mark[] = "#mtree\n";
    char path[64];
    struct plat_err err;
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0)
        return;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, mark, sizeof mark - 1) == (ssize_t)(sizeof mark - 1) && write(fd, data, n) == (ssize_t)n)
        (void)tree_add_source(tree, path, &err);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char pattern[512], modes[512], node[512], path[512], digest[65];
    struct tree_options options = {
        .links = true, .spool_dir = "/dev/shm", .exclude = (const char *const[]){pattern, NULL}};
    const char *const nodes[] = {node};
    struct tree *tree;
    struct plat_err err;
    bool owned;
    next_line(&data, &n, pattern);
    next_line(&data, &n, modes);
    next_line(&data, &n, node);
    next_line(&data, &n, path);
    if (tree_open(&options, &tree, &err) != 0) {
        options.exclude = NULL;
        if (tree_open(&options, &tree, &err) != 0)
            return 0;
    }
    (void)tree_ignores(&tree->ignore, path, n % 2 != 0);
    add_manifest(tree, data, n);
    (void)tree_change_modes(tree, modes, &err);
    (void)tree_add_nodes(tree, nodes, 1, &owned, &err);
    if (tree_finish(tree, &err) == 0)
        tree_digest(tree, true, digest);
    tree_close(tree);
    return 0;
}
