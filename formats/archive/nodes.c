/* Option node: devices, FIFOs and empty directories that a source without root's powers cannot hold.
 *
 *     dev/console:c:5:1:0600     character device 5:1
 *     dev/vda:b:254:0:0660       block device
 *     run/ready:p:0600           FIFO
 *     proc:d:0555                directory */
#include "formats/archive/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"

enum { MAX_SPEC_PARTS = 5, MAX_MAJOR = 0xfff, MAX_MINOR = 0xfffff };

int extra_path_compare(const char *a, const char *b)
{
    /* '/' sorts before every byte of a name, so that "a/b" follows "a" before "a-b" does. */
    for (;; a++, b++) {
        unsigned char ca = (unsigned char)*a;
        unsigned char cb = (unsigned char)*b;
        if (ca == cb && ca != '\0')
            continue;
        if (ca == cb)
            return 0;
        if (ca == '\0' || cb == '\0')
            return ca == '\0' ? -1 : 1;
        if (ca == '/' || cb == '/')
            return ca == '/' ? -1 : 1;
        return ca < cb ? -1 : 1;
    }
}

static int compare_nodes(const void *va, const void *vb)
{
    const struct extra_node *a = va;
    const struct extra_node *b = vb;
    return extra_path_compare(a->path, b->path);
}

void extra_nodes_free(struct extra_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++)
        free(nodes->items[i].path);
    free(nodes->items);
    *nodes = (struct extra_nodes){0};
}

/* Takes `path` over, whatever happens. */
static int append(struct extra_nodes *nodes, char *path, const struct extra_node *like, struct plat_err *err)
{
    if (path == NULL)
        return err_nomem(err, "reading option node");
    struct extra_node *items = NULL;
    if (nodes->n < MAX_EXTRA_NODES)
        items = realloc(nodes->items, (nodes->n + 1) * sizeof *items);
    if (items == NULL) {
        free(path);
        return nodes->n < MAX_EXTRA_NODES
                   ? err_nomem(err, "reading option node")
                   : err_set(err, PLAT_ELIMIT, "option node: more than %d entries", MAX_EXTRA_NODES);
    }
    nodes->items = items;
    items[nodes->n] = *like;
    items[nodes->n++].path = path;
    return 0;
}

/* "a/b" out of "/a//./b": NULL when out of memory, "" when it names nothing or leads out. */
static char *clean_path(const char *path)
{
    char *clean = malloc(strlen(path) + 2);
    if (clean == NULL)
        return NULL;
    size_t used = 0;
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            used = 0;
            break;
        }
        if (n > 0 && !(n == 1 && path[0] == '.')) {
            if (used > 0)
                clean[used++] = '/';
            memcpy(clean + used, path, n);
            used += n;
        }
        path += n + (path[n] == '/');
    }
    clean[used] = '\0';
    return clean;
}

static bool parse_octal(const char *s, uint32_t *ret)
{
    size_t n = strspn(s, "01234567");
    if (n == 0 || n > 5 || s[n] != '\0')
        return false;
    unsigned long mode = strtoul(s, NULL, 8);
    if (mode > 07777)
        return false;
    *ret = (uint32_t)mode;
    return true;
}

static bool parse_number(const char *s, uint64_t max, uint32_t *ret)
{
    uint64_t v;
    if (parse_u64(s, &v, NULL) != 0 || v > max)
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* parts[0] is the path, parts[1] the type. */
static bool parse_parts(char *const *parts, size_t n, struct extra_node *ret)
{
    if (n < 3 || strlen(parts[1]) != 1)
        return false;
    char type = parts[1][0];
    ret->kind = type == 'c' ? TREE_CHAR : type == 'b' ? TREE_BLOCK : type == 'p' ? TREE_FIFO : TREE_DIR;
    switch (type) {
    case 'c':
    case 'b':
        return n == 5 && parse_number(parts[2], MAX_MAJOR, &ret->major) &&
               parse_number(parts[3], MAX_MINOR, &ret->minor) && parse_octal(parts[4], &ret->mode);
    case 'p':
    case 'd':
        return n == 3 && parse_octal(parts[2], &ret->mode);
    default:
        return false;
    }
}

static int read_spec(const char *text, size_t n, struct extra_nodes *nodes, struct plat_err *err)
{
    char *copy = strndup(text, n);
    if (copy == NULL)
        return err_nomem(err, "reading option node");
    char *parts[MAX_SPEC_PARTS + 1];
    size_t n_parts = 0;
    char *rest = copy;
    while (rest != NULL && n_parts < MAX_SPEC_PARTS + 1)
        parts[n_parts++] = strsep(&rest, ":");
    struct extra_node node = {0};
    char *path = clean_path(parts[0]);
    int r;
    if (path != NULL && (path[0] == '\0' || rest != NULL || !parse_parts(parts, n_parts, &node))) {
        r = err_set(
            err, PLAT_EINVALID,
            "option node: expected PATH:c:MAJOR:MINOR:MODE (b likewise), PATH:p:MODE or PATH:d:MODE with an "
            "octal MODE, found '%.*s'",
            (int)(n < 200 ? n : 200), text);
        free(path);
    } else {
        r = append(nodes, path, &node, err);
    }
    free(copy);
    return r;
}

static int read_list(const char *text, struct extra_nodes *nodes, struct plat_err *err)
{
    for (;;) {
        size_t n = strcspn(text, ",");
        int r = read_spec(text, n, nodes, err);
        if (r != 0 || text[n] == '\0')
            return r;
        text += n + 1;
    }
}

/* What the tree has at `path`; NULL: nothing. */
static const struct tree_node *find_in_tree(struct tree *tree, const char *path)
{
    const struct tree_node *at = tree_root(tree);
    while (at != NULL && *path != '\0') {
        size_t n = strcspn(path, "/");
        at = at->child;
        while (at != NULL && (strncmp(at->name, path, n) != 0 || at->name[n] != '\0'))
            at = at->next;
        path += n + (path[n] == '/');
    }
    return at;
}

/* Parents of items[i] that are missing are appended; what is there must be a directory. */
static int add_parents(struct extra_nodes *nodes, size_t i, struct tree *tree, struct plat_err *err)
{
    char *path = strdup(nodes->items[i].path);
    int r = path == NULL ? err_nomem(err, "reading option node") : 0;
    for (char *slash; r == 0 && (slash = strrchr(path, '/')) != NULL;) {
        *slash = '\0';
        bool found = false;
        bool is_dir = false;
        for (size_t k = 0; k < nodes->n && !found; k++) {
            found = strcmp(nodes->items[k].path, path) == 0;
            is_dir = nodes->items[k].kind == TREE_DIR;
        }
        const struct tree_node *in_tree = found ? NULL : find_in_tree(tree, path);
        if (in_tree != NULL) {
            found = true;
            is_dir = in_tree->kind == TREE_DIR;
        }
        if (found && !is_dir)
            r = err_set(err, PLAT_EINVALID, "option node: '%s' cannot be made, '%s' is not a directory",
                        nodes->items[i].path, path);
        else if (!found)
            r = append(nodes, strdup(path), &(struct extra_node){.kind = TREE_DIR, .mode = 0755}, err);
    }
    free(path);
    return r;
}

static int check_clashes(const struct extra_nodes *nodes, struct tree *tree, struct plat_err *err)
{
    for (size_t i = 0; i < nodes->n; i++) {
        const struct extra_node *node = &nodes->items[i];
        if (i > 0 && strcmp(nodes->items[i - 1].path, node->path) == 0)
            return err_set(err, PLAT_EINVALID, "option node: '%s' is given twice", node->path);
        const struct tree_node *in_tree = find_in_tree(tree, node->path);
        if (in_tree == NULL)
            continue;
        if ((in_tree->kind == TREE_DIR) != (node->kind == TREE_DIR))
            return err_set(err, PLAT_EINVALID, "option node: '%s' is %s in the source", node->path,
                           in_tree->kind == TREE_DIR ? "a directory" : "no directory");
    }
    return 0;
}

int extra_nodes_read(json_t *option, struct tree *tree, struct extra_nodes *ret, struct plat_err *err)
{
    struct extra_nodes nodes = {0};
    int r = 0;
    if (json_is_string(option)) {
        r = read_list(json_string_value(option), &nodes, err);
    } else if (json_is_array(option)) {
        for (size_t i = 0; r == 0 && i < json_array_size(option); i++) {
            const char *text = json_string_value(json_array_get(option, i));
            r = text != NULL ? read_spec(text, strlen(text), &nodes, err)
                             : err_set(err, PLAT_EINVALID, "option node: element %zu is not text", i);
        }
    } else if (option != NULL) {
        r = err_set(err, PLAT_EINVALID, "option node: expected text or a list of texts");
    }
    size_t n_given = nodes.n;
    for (size_t i = 0; r == 0 && i < n_given; i++)
        r = add_parents(&nodes, i, tree, err);
    if (r == 0 && nodes.n > 0) {
        qsort(nodes.items, nodes.n, sizeof *nodes.items, compare_nodes);
        r = check_clashes(&nodes, tree, err);
    }
    if (r != 0)
        extra_nodes_free(&nodes);
    else
        *ret = nodes;
    return r;
}
