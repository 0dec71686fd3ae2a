/* Nodes that no source has, written down: see tree_add_nodes. */
#include "lib/tree/private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { SPEC_BYTES_MAX = 2 * TREE_MAX_PATH_BYTES, FIELDS_MAX = 6, MAJOR_MAX = 0xfff, MINOR_MAX = 0xfffff };

/* A text, taken apart. */
struct stated {
    char *path;
    char kind;
    char *fields[FIELDS_MAX]; /* behind the kind */
    size_t n_fields;
};

static int not_understood(const char *text, struct plat_err *err)
{
    return err_set(err, PLAT_EINVALID,
                   "expected PATH:c:MAJOR:MINOR:MODE (b likewise), PATH:p:MODE (FIFO; s a socket, d a "
                   "directory), each with :UID:GID if need be, or PATH:l:TARGET, with an octal MODE, found "
                   "'%.200s'",
                   text);
}

/* Cuts at the colons. In the path a backslash takes a colon's (and its own) meaning away; a target keeps its colons. */
static bool cut(char *text, struct stated *ret)
{
    char *to = text, *from = text;
    for (; *from != '\0' && *from != ':'; from++) {
        if (*from == '\\' && (from[1] == ':' || from[1] == '\\'))
            from++;
        *to++ = *from;
    }
    if (from[0] != ':' || from[1] == '\0' || from[2] != ':')
        return false;
    *ret = (struct stated){.path = text, .kind = from[1]};
    *to = '\0';
    char *rest = from + 3;
    if (ret->kind == 'l') {
        ret->fields[ret->n_fields++] = rest;
        return true;
    }
    while (rest != NULL && ret->n_fields < FIELDS_MAX)
        ret->fields[ret->n_fields++] = strsep(&rest, ":");
    return rest == NULL;
}

static bool read_mode(const char *s, uint32_t *ret)
{
    const size_t n = strspn(s, "01234567");
    if (n == 0 || n > 5 || s[n] != '\0')
        return false;
    *ret = (uint32_t)strtoul(s, NULL, 8);
    return *ret <= 07777;
}

static bool read_number(const char *s, uint64_t max, uint32_t *ret)
{
    uint64_t v;
    if (parse_u64(s, &v, NULL) != 0 || v > max)
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* MODE[:UID:GID] */
static bool read_looks(char *const *fields, size_t n, struct tree_spec *ret)
{
    return (n == 1 || n == 3) && read_mode(fields[0], &ret->mode) &&
           (n == 1 ||
            (read_number(fields[1], UINT32_MAX, &ret->uid) && read_number(fields[2], UINT32_MAX, &ret->gid)));
}

static bool read_spec(const struct stated *stated, struct tree_spec *ret)
{
    struct tree_spec spec = {.source = SOURCE_STATED};
    uint32_t major, minor;
    bool ok = false;
    switch (stated->kind) {
    case 'c':
    case 'b':
        spec.kind = stated->kind == 'c' ? TREE_CHAR : TREE_BLOCK;
        ok = stated->n_fields > 2 && read_number(stated->fields[0], MAJOR_MAX, &major) &&
             read_number(stated->fields[1], MINOR_MAX, &minor) &&
             read_looks(stated->fields + 2, stated->n_fields - 2, &spec);
        if (ok)
            spec.from.device = makedev(major, minor);
        break;
    case 'p':
    case 's':
    case 'd':
        spec.kind = stated->kind == 'p' ? TREE_FIFO : stated->kind == 's' ? TREE_SOCKET : TREE_DIR;
        ok = read_looks(stated->fields, stated->n_fields, &spec);
        break;
    default:
        break;
    }
    *ret = spec;
    return ok;
}

/* The node in its place. A directory that is there keeps what it holds, its time and its attributes. */
static int put(struct tree *tree, const char *path, const struct tree_spec *spec, struct tree_node **ret,
               struct plat_err *err)
{
    struct tree_place at;
    const char *name;
    size_t n;
    struct tree_node *old = NULL;
    int rc = tree_descend_to_parent(tree, path, &at, &name, &n, err);
    if (rc == 0 && n == 0)
        rc = err_set(err, PLAT_EINVALID, "'%.200s' names no node: the root is not made", path);
    if (rc == 0)
        rc = tree_find_child(tree, at.dir, name, n, &old, err);
    if (rc != 0)
        return rc;
    if (old != NULL && (old->kind == TREE_DIR) != (spec->kind == TREE_DIR))
        return err_set(err, PLAT_EINVALID, "'%.200s' is %s in the source", path,
                       old->kind == TREE_DIR ? "a directory" : "no directory");
    if (old == NULL || spec->kind != TREE_DIR)
        return tree_put(tree, &at, name, n, false, spec, ret, err);
    old->mode = spec->mode;
    old->uid = spec->uid;
    old->gid = spec->gid;
    old->source = SOURCE_STATED;
    *ret = old;
    return 0;
}

static int add(struct tree *tree, const char *text, struct tree_node **ret, bool *ret_owned,
               struct plat_err *err)
{
    struct stated stated;
    struct tree_spec spec = {.kind = TREE_SYMLINK, .source = SOURCE_LITERAL, .mode = 0777};
    if (strlen(text) > SPEC_BYTES_MAX)
        return err_set(err, PLAT_ELIMIT, "a node of %zu bytes: at most %d are possible", strlen(text),
                       SPEC_BYTES_MAX);
    char *copy = arena_strdup(&tree->text, text); /* a target stays in it */
    if (copy == NULL)
        return err_nomem(err, "adding a node");
    if (!cut(copy, &stated))
        return not_understood(text, err);
    if (stated.kind == 'l') {
        spec.from.literal = stated.fields[0];
        spec.size_bytes = strlen(stated.fields[0]);
    }
    if (stated.kind == 'l' ? spec.size_bytes == 0 || spec.size_bytes > TREE_MAX_PATH_BYTES
                           : !read_spec(&stated, &spec))
        return not_understood(text, err);
    *ret_owned = *ret_owned || spec.uid != 0 || spec.gid != 0;
    return put(tree, stated.path, &spec, ret, err);
}

static int compare_nodes(const void *va, const void *vb)
{
    const struct tree_node *const *a = va, *const *b = vb;
    return *a < *b ? -1 : *a > *b;
}

int tree_add_nodes(struct tree *tree, const char *const *texts, size_t n, bool *ret_owned,
                   struct plat_err *err)
{
    bool owned = false;
    struct tree_node **nodes = calloc(n + 1, sizeof *nodes);
    int rc = nodes == NULL ? err_nomem(err, "adding nodes") : 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add(tree, texts[i], &nodes[i], &owned, err);
    if (rc == 0)
        qsort(nodes, n, sizeof *nodes, compare_nodes);
    for (size_t i = 1; rc == 0 && i < n; i++) {
        if (nodes[i] == nodes[i - 1]) {
            (void)err_set(err, PLAT_EINVALID, "is given twice");
            rc = tree_blame(nodes[i], err);
        }
    }
    free(nodes);
    if (rc == 0)
        *ret_owned = owned;
    return rc;
}

bool tree_is_stated(const struct tree_node *node)
{
    return node->source == SOURCE_STATED;
}
