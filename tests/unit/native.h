/* Images of the native formats, in memory, for tests that go through all of them. */
#ifndef PLAT_TESTS_NATIVE_H
#define PLAT_TESTS_NATIVE_H

#include <stdlib.h>

#include "lib/fs/verify.h"
#include "tests/unit/tap.h"

/* A line for each format; options as behind -O. */
static const struct native_format {
    const char *name, *options;
    bool links; /* it keeps symbolic links */
} native_formats[] = {
    {"caposro1", "{\"times\": \"ntp-synced\"}", true},
    {"caposst1", "{\"version\": 2, \"shadow\": false}", false},
    {"caposwf1", "{\"times\": \"ntp-synced\"}", true},
};
enum { N_NATIVE_FORMATS = sizeof native_formats / sizeof native_formats[0] };

/* The same for everybody who asks with the same state; never 0. */
static inline uint64_t native_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* What a test cannot do without failed. */
__attribute__((noreturn)) static inline void native_die(const char *what, const struct plat_err *err)
{
    printf("Bail out! %s: %s\n", what, err->text);
    exit(1);
}

/* Directories, files of 0 to max_bytes - 1 bytes, no two of them alike, and a link where the format has any. */
static inline int native_tree(const struct native_format *format, unsigned n_files, size_t max_bytes,
                              struct tree **ret, struct plat_err *err)
{
    const struct tree_options options = {.has_time = true, .time_s = 1700000000};
    struct tree *tree = NULL;
    uint8_t *content = malloc(max_bytes + sizeof(uint64_t));
    uint64_t random = 88172645463325252;
    int rc = content == NULL ? err_nomem(err, "making contents") : tree_open(&options, &tree, err);
    for (unsigned i = 0; rc == 0 && i < n_files; i++) {
        char name[64];
        const size_t n = i == 0 ? 0 : (size_t)(native_random(&random) % max_bytes);
        for (size_t at = 0; at < n; at += sizeof(uint64_t))
            store_le64(content + at, native_random(&random));
        (void)snprintf(name, sizeof name, "dir %u/sub/file %u", i % 13, i);
        rc = tree_add_literal(tree, name, content, n, err);
    }
    if (rc == 0 && format->links)
        rc = tree_add_symlink(tree, "link", "dir 1/sub/file 1", err);
    if (rc == 0)
        rc = tree_finish(tree, err);
    free(content);
    if (rc != 0) {
        tree_close(tree);
        return rc;
    }
    *ret = tree;
    return 0;
}

/* The image of a tree: into *dev where that is given, else into a memory device of its own size. */
static inline int native_make(const struct native_format *format, struct tree *tree, uint64_t slack_bytes,
                              struct plat_dev **dev, struct plat_err *err)
{
    const struct fs_maker *maker = fs_driver_find(format->name)->maker;
    struct make_options options = {.seed = "native", .sector_bytes = 512};
    struct make_plan *plan = NULL;
    struct plat_dev *own = NULL;
    uint64_t size_bytes = 0;
    options.extra = json_loads(format->options, 0, NULL);
    int rc = options.extra == NULL ? err_nomem(err, "reading options") : 0;
    if (rc == 0)
        rc = maker->plan(tree, &options, &plan, err);
    if (rc == 0)
        rc = maker->min_bytes(plan, slack_bytes, &size_bytes, err);
    if (rc == 0)
        rc = maker->settle(plan, size_bytes, err);
    if (rc == 0 && *dev == NULL)
        rc = dev_open_memory(size_bytes, "image", &own, err);
    if (rc == 0)
        rc = maker->write(plan, own != NULL ? own : *dev, NULL, err);
    if (plan != NULL)
        maker->close(plan);
    json_decref(options.extra);
    if (rc != 0)
        dev_close(own);
    else if (own != NULL)
        *dev = own;
    return rc;
}

#endif
