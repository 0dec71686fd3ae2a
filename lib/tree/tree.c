/* The tree itself: opening, putting nodes in, sorting. */
#include "lib/tree/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/bytes.h"

enum { LINEAR_CHILDREN = 8, INVENTED_DIR_MODE = 0755, LITERAL_MODE = 0644, SYMLINK_MODE = 0777 };

/* The directory of the output by its identity, so that it is known under every path. One that is not there is
 * for whoever writes the output to complain about. */
static int find_output(struct tree *tree, const char *path)
{
    struct stat st;
    char *real = realpath(path, NULL); /* an output follows symbolic links */
    const char *whole = real != NULL ? real : path, *slash = strrchr(whole, '/');
    const char *dir = slash == NULL    ? "."
                      : slash == whole ? "/"
                                       : arena_strndup(&tree->text, whole, (size_t)(slash - whole));
    const char *name = arena_strdup(&tree->text, slash != NULL ? slash + 1 : whole);
    free(real);
    if (dir == NULL || name == NULL)
        return PLAT_ENOMEM;
    if (stat(dir, &st) != 0)
        return 0;
    tree->output.device = st.st_dev;
    tree->output.inode = st.st_ino;
    tree->output.name = name;
    return 0;
}

static int copy_options(struct tree *tree, const struct tree_options *options)
{
    tree->options = *options;
    if (options->spool_dir != NULL &&
        (tree->options.spool_dir = arena_strdup(&tree->text, options->spool_dir)) == NULL)
        return PLAT_ENOMEM;
    if (options->output != NULL && find_output(tree, options->output) != 0)
        return PLAT_ENOMEM;
    tree->options.exclude = tree->options.exclude_from = NULL;
    return 0;
}

int tree_open(const struct tree_options *options, struct tree **ret, struct plat_err *err)
{
    struct tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL)
        return err_nomem(err, "opening a file tree");
    tree->spool_fd = -1;
    host_cursor_init(&tree->last);
    tree->root = arena_alloc(&tree->nodes, sizeof *tree->root);
    int rc = tree->root == NULL || (options != NULL && copy_options(tree, options) != 0)
                 ? err_nomem(err, "opening a file tree")
                 : 0;
    if (rc == 0 && options != NULL)
        rc = tree_set_exclude(tree, options->exclude, options->exclude_from, err);
    if (rc != 0) {
        tree_close(tree);
        return rc;
    }
    tree->root->name = "";
    tree->n_nodes = 1;
    tree_set(tree, tree->root, &(struct tree_spec){.kind = TREE_DIR, .mode = INVENTED_DIR_MODE});
    *ret = tree;
    return 0;
}

void tree_close(struct tree *tree)
{
    if (tree == NULL)
        return;
    tree_index_free(tree);
    free(tree->links.slots);
    free(tree->xattrs.slots);
    if (tree->spool_fd >= 0)
        (void)close(tree->spool_fd);
    host_cursor_close(&tree->last);
    free(tree->sources);
    tree_ignore_free(&tree->ignore);
    arena_free(&tree->nodes);
    arena_free(&tree->text);
    free(tree);
}

struct tree_node *tree_root(struct tree *tree)
{
    return tree->root;
}

bool tree_left_out_output(const struct tree *tree)
{
    return tree->output.left_out;
}

int tree_set_exclude(struct tree *tree, const char *const *exclude, const char *const *exclude_from,
                     struct plat_err *err)
{
    int rc = 0;
    tree_ignore_free(&tree->ignore);
    for (size_t i = 0; rc == 0 && exclude_from != NULL && exclude_from[i] != NULL; i++)
        rc = tree_ignore_read(&tree->ignore, exclude_from[i], err);
    for (size_t i = 0; rc == 0 && exclude != NULL && exclude[i] != NULL; i++)
        rc = tree_ignore_add(&tree->ignore, exclude[i], err);
    return rc;
}

/* ---- names and places ---- */

size_t tree_component(const char **path, const char **ret)
{
    const char *p = *path;
    for (;;) {
        while (*p == '/')
            p++;
        size_t n = strcspn(p, "/");
        *path = p + n;
        if (n == 1 && *p == '.') {
            p++;
            continue;
        }
        *ret = p;
        return n;
    }
}

int tree_check_name(const struct tree_place *at, const char *name, size_t n, struct plat_err *err)
{
    if (n == 2 && memcmp(name, "..", 2) == 0)
        return err_set(err, PLAT_EINVALID,
                       "'..' in a path could lead out of the tree: name the place itself");
    if (n > TREE_MAX_NAME_BYTES)
        return err_set(err, PLAT_ELIMIT, "a name of %zu bytes ('%.32s...'): at most %d are possible", n, name,
                       TREE_MAX_NAME_BYTES);
    if (at->depth >= TREE_MAX_DEPTH)
        return err_set(err, PLAT_ELIMIT, "'%.*s' lies deeper than %d directories", (int)n, name,
                       TREE_MAX_DEPTH);
    if (at->path_bytes + 1 + n > TREE_MAX_PATH_BYTES)
        return err_set(err, PLAT_ELIMIT, "the path to '%.*s' is longer than %d bytes", (int)n, name,
                       TREE_MAX_PATH_BYTES);
    return 0;
}

struct tree_place tree_place_of(struct tree_node *dir)
{
    struct tree_place place = {.dir = dir};
    for (const struct tree_node *n = dir; n->parent != NULL; n = n->parent) {
        place.depth++;
        place.path_bytes += strlen(n->name) + (n->parent->parent != NULL);
    }
    return place;
}

int tree_find_child(struct tree *tree, const struct tree_node *dir, const char *name, size_t n,
                    struct tree_node **ret, struct plat_err *err)
{
    if (dir->n_children > LINEAR_CHILDREN)
        return tree_index_find(tree, dir, name, n, ret, err);
    struct tree_node *child = dir->child;
    while (child != NULL && (strncmp(child->name, name, n) != 0 || child->name[n] != '\0'))
        child = child->next;
    *ret = child;
    return 0;
}

static void step_into(struct tree_place *at, struct tree_node *dir, size_t name_bytes)
{
    at->path_bytes += name_bytes + (at->depth > 0);
    at->depth++;
    at->dir = dir;
}

int tree_descend(struct tree *tree, struct tree_place *at, const char *name, size_t n, struct plat_err *err)
{
    struct tree_node *child = NULL;
    int r = tree_check_name(at, name, n, err);
    if (r == 0)
        r = tree_find_child(tree, at->dir, name, n, &child, err);
    if (r != 0)
        return r;
    if (child == NULL) {
        const struct tree_spec spec = {.kind = TREE_DIR, .mode = INVENTED_DIR_MODE};
        r = tree_put(tree, at, name, n, true, &spec, &child, err);
        if (r != 0)
            return r;
    } else if (child->kind != TREE_DIR) {
        char label[TREE_LABEL_BYTES];
        tree_label(child, label);
        return err_set(err, PLAT_EINVALID,
                       "'%s' is a %s, and something is to be put below it: rename one of them", label,
                       child->kind == TREE_SYMLINK ? "symbolic link" : "file");
    }
    step_into(at, child, n);
    return 0;
}

int tree_descend_all(struct tree *tree, const char *target, struct tree_place *ret, struct plat_err *err)
{
    struct tree_place at = {.dir = tree->root};
    const char *name;
    for (size_t n; (n = tree_component(&target, &name)) != 0;) {
        int r = tree_descend(tree, &at, name, n, err);
        if (r != 0)
            return r;
    }
    *ret = at;
    return 0;
}

int tree_descend_to_parent(struct tree *tree, const char *target, struct tree_place *ret,
                           const char **ret_name, size_t *ret_n, struct plat_err *err)
{
    struct tree_place at = {.dir = tree->root};
    const char *name, *next;
    size_t n = tree_component(&target, &name);
    for (size_t n_next; n != 0 && (n_next = tree_component(&target, &next)) != 0; name = next, n = n_next) {
        int r = tree_descend(tree, &at, name, n, err);
        if (r != 0)
            return r;
    }
    *ret = at;
    *ret_name = name;
    *ret_n = n;
    return 0;
}

/* ---- putting nodes in ---- */

void tree_set(struct tree *tree, struct tree_node *node, const struct tree_spec *spec)
{
    const struct tree_options *o = &tree->options;
    if (spec->kind != TREE_DIR || node->kind != TREE_DIR)
        node->link = spec->link; /* or no children */
    node->kind = (uint8_t)spec->kind;
    node->source = (uint8_t)spec->source;
    node->mode = spec->mode & 07777;
    node->uid = spec->uid;
    node->gid = spec->gid;
    node->size_bytes = spec->size_bytes;
    node->mtime_s = spec->has_mtime ? spec->mtime_s : 0;
    node->mtime_ns = spec->has_mtime ? spec->mtime_ns : 0;
    if (o->has_time || (o->has_clamp && node->mtime_s >= o->clamp_s)) {
        node->mtime_s = o->has_time ? o->time_s : o->clamp_s;
        node->mtime_ns = 0;
    }
    _Static_assert(sizeof node->from == sizeof spec->from, "the two unions are the same");
    memcpy(&node->from, &spec->from, sizeof node->from);
}

static int put_new(struct tree *tree, const struct tree_place *at, const char *name, size_t n,
                   const struct tree_spec *spec, struct tree_node **ret, struct plat_err *err)
{
    if (tree->n_nodes >= TREE_MAX_NODES)
        return err_set(err, PLAT_ELIMIT, "more than %d files and directories", TREE_MAX_NODES);
    struct tree_node *node = arena_alloc(&tree->nodes, sizeof *node);
    char *copy = arena_strndup(&tree->text, name, n);
    if (node == NULL || copy == NULL)
        return err_nomem(err, "adding a file to the tree");
    node->name = copy;
    node->parent = at->dir;
    tree_set(tree, node, spec);
    int r = tree_index_add(tree, node, err);
    if (r != 0)
        return r;
    node->next = at->dir->child;
    at->dir->child = node;
    at->dir->n_children++;
    tree->n_nodes++;
    *ret = node;
    return 0;
}

int tree_put(struct tree *tree, const struct tree_place *at, const char *name, size_t n, bool known_new,
             const struct tree_spec *spec, struct tree_node **ret, struct plat_err *err)
{
    struct tree_node *old = NULL;
    if (tree->finished)
        return err_set(err, PLAT_EBUG, "an addition to a finished tree");
    int r = tree_check_name(at, name, n, err);
    if (r == 0 && !known_new)
        r = tree_find_child(tree, at->dir, name, n, &old, err);
    if (r != 0)
        return r;
    if (old == NULL)
        return put_new(tree, at, name, n, spec, ret, err);
    if (old->kind == TREE_DIR && spec->kind != TREE_DIR && old->child != NULL) {
        char label[TREE_LABEL_BYTES];
        tree_label(old, label);
        return err_set(err, PLAT_EINVALID,
                       "'%s' is a directory with %u entries, and a file is to take its place", label,
                       (unsigned)old->n_children);
    }
    tree_set(tree, old, spec);
    if (tree_xattrs_set(tree, old, NULL) != 0)
        return err_nomem(err, "adding a file to the tree");
    *ret = old;
    return 0;
}

static int put_at(struct tree *tree, const char *target, const struct tree_spec *spec, struct plat_err *err)
{
    struct tree_place at;
    const char *name;
    size_t n;
    size_t target_bytes = strlen(target);
    if (target_bytes == 0 || target[target_bytes - 1] == '/')
        return err_set(err, PLAT_EINVALID, "the target '%s' names no file: write the name it shall have",
                       target);
    int r = tree_descend_to_parent(tree, target, &at, &name, &n, err);
    if (r != 0)
        return r;
    if (n == 0)
        return err_set(err, PLAT_EINVALID, "the target '%s' names no file: write the name it shall have",
                       target);
    struct tree_node *node;
    return tree_put(tree, &at, name, n, false, spec, &node, err);
}

int tree_add_source_path(struct tree *tree, const char *path, struct tree_node *base, uint32_t *ret,
                         struct plat_err *err)
{
    if (tree->n_sources == tree->cap_sources) {
        size_t cap = tree->cap_sources == 0 ? 8 : tree->cap_sources * 2;
        struct host_source *more = realloc(tree->sources, cap * sizeof *more);
        if (more == NULL)
            return err_nomem(err, "adding a source");
        tree->sources = more;
        tree->cap_sources = cap;
    }
    const char *copy = arena_strdup(&tree->text, path);
    if (copy == NULL)
        return err_nomem(err, "adding a source");
    if (tree->n_sources >= TREE_MAX_NODES)
        return err_set(err, PLAT_ELIMIT, "more than %d sources", TREE_MAX_NODES);
    tree->sources[tree->n_sources] = (struct host_source){.path = copy, .base = base};
    *ret = (uint32_t)tree->n_sources++;
    return 0;
}

int tree_add_file(struct tree *tree, const char *target, const char *host_path, struct plat_err *err)
{
    struct stat st;
    if (stat(host_path, &st) != 0)
        return err_sys(err, errno, "%s", host_path);
    if (S_ISDIR(st.st_mode))
        return err_set(err, PLAT_EINVALID,
                       "%s is a directory, and a file was expected: add it as a directory", host_path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, PLAT_EINVALID, "%s is not a regular file", host_path);
    struct tree_spec spec = {.kind = TREE_FILE,
                             .source = SOURCE_HOST_FILE,
                             .mode = st.st_mode,
                             .uid = tree->options.root_owned ? 0 : st.st_uid,
                             .gid = tree->options.root_owned ? 0 : st.st_gid,
                             .has_mtime = true,
                             .mtime_s = st.st_mtim.tv_sec,
                             .mtime_ns = (uint32_t)st.st_mtim.tv_nsec,
                             .size_bytes = (uint64_t)st.st_size};
    int r = tree_add_source_path(tree, host_path, NULL, &spec.from.source_index, err);
    return r != 0 ? r : put_at(tree, target, &spec, err);
}

int tree_add_literal(struct tree *tree, const char *target, const void *bytes, size_t n, struct plat_err *err)
{
    char *copy = arena_bytes(&tree->text, n + 1);
    if (copy == NULL)
        return err_nomem(err, "adding a file to the tree");
    if (n > 0)
        memcpy(copy, bytes, n);
    copy[n] = '\0';
    return put_at(tree, target,
                  &(struct tree_spec){.kind = TREE_FILE,
                                      .source = SOURCE_LITERAL,
                                      .mode = LITERAL_MODE,
                                      .size_bytes = n,
                                      .from.literal = copy},
                  err);
}

int tree_add_symlink(struct tree *tree, const char *target, const char *to, struct plat_err *err)
{
    size_t n = strlen(to);
    if (n == 0 || n > TREE_MAX_PATH_BYTES)
        return err_set(err, PLAT_EINVALID, "a symbolic link's target has 1 to %d bytes, not %zu",
                       TREE_MAX_PATH_BYTES, n);
    char *copy = arena_strndup(&tree->text, to, n);
    if (copy == NULL)
        return err_nomem(err, "adding a symbolic link");
    return put_at(tree, target,
                  &(struct tree_spec){.kind = TREE_SYMLINK,
                                      .source = SOURCE_LITERAL,
                                      .mode = SYMLINK_MODE,
                                      .size_bytes = n,
                                      .from.literal = copy},
                  err);
}

int tree_mkdir(struct tree *tree, const char *target, struct plat_err *err)
{
    struct tree_place at;
    return tree_descend_all(tree, target, &at, err);
}

/* ---- finishing ---- */

/* Names of one directory often share a beginning, so the key starts where they differ first. */
struct sort_key {
    uint64_t bytes; /* the next 8, first one highest */
    struct tree_node *node;
};

static int compare_keys(const void *va, const void *vb)
{
    const struct sort_key *a = va;
    const struct sort_key *b = vb;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->node->name, b->node->name);
}

static void sort_children(struct tree_node *dir, struct sort_key *keys)
{
    const char *first = dir->child->name;
    size_t common = strlen(first);
    for (const struct tree_node *n = dir->child->next; n != NULL; n = n->next) {
        size_t same = 0;
        while (same < common && n->name[same] == first[same])
            same++;
        common = same;
    }
    size_t count = 0;
    for (struct tree_node *n = dir->child; n != NULL; n = n->next) {
        uint8_t word[8] = {0};
        (void)memccpy(word, n->name + common, '\0', sizeof word);
        keys[count++] = (struct sort_key){.bytes = load_uint(word, sizeof word, true), .node = n};
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    dir->child = keys[0].node;
    for (size_t i = 0; i < count; i++)
        keys[i].node->next = i + 1 < count ? keys[i + 1].node : NULL;
}

int tree_finish(struct tree *tree, struct plat_err *err)
{
    tree_index_free(tree);
    size_t most = 0;
    for (const struct tree_node *n = tree->root; n != NULL; n = tree_next(n))
        most = n->kind == TREE_DIR && n->n_children > most ? n->n_children : most;
    if (most > 1) {
        struct sort_key *keys = calloc(most, sizeof *keys);
        if (keys == NULL)
            return err_nomem(err, "sorting the file tree");
        for (struct tree_node *n = tree->root; n != NULL; n = tree_next(n)) {
            if (n->kind == TREE_DIR && n->n_children > 1)
                sort_children(n, keys);
        }
        free(keys);
    }
    tree->finished = true;
    return 0;
}
