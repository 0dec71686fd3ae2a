/* Extended attributes of nodes: few have any, so they are kept beside the tree, by node. */
#include "lib/tree/private.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

enum { FIRST_SLOTS = 256, LIST_BYTES_MAX = 65536, PATH_BYTES = 64 };

/* ---- by node ---- */

static struct tree_xattr_slot *slot_of(struct tree_xattr_slot *slots, size_t n_slots,
                                       const struct tree_node *node)
{
    size_t i = (size_t)((uint64_t)(uintptr_t)node * UINT64_C(0x9e3779b97f4a7c15) >> 20);
    for (i &= n_slots - 1; slots[i].node != NULL && slots[i].node != node;)
        i = (i + 1) & (n_slots - 1);
    return &slots[i];
}

static bool grow(struct tree_xattr_map *map)
{
    const size_t n_slots = map->n_slots == 0 ? FIRST_SLOTS : map->n_slots * 2;
    struct tree_xattr_slot *slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < map->n_slots; i++) {
        if (map->slots[i].node != NULL)
            *slot_of(slots, n_slots, map->slots[i].node) = map->slots[i];
    }
    free(map->slots);
    map->slots = slots;
    map->n_slots = n_slots;
    return true;
}

const struct tree_xattrs *tree_xattrs(const struct tree *tree, const struct tree_node *node)
{
    const struct tree_xattr_map *map = &tree->xattrs;
    return map->n_slots == 0 ? NULL : slot_of(map->slots, map->n_slots, node)->set;
}

int tree_xattrs_set(struct tree *tree, const struct tree_node *node, const struct tree_xattrs *set)
{
    struct tree_xattr_map *map = &tree->xattrs;
    if (set == NULL && tree_xattrs(tree, node) == NULL)
        return 0;
    if (map->n_used * 2 >= map->n_slots && !grow(map))
        return ENOMEM;
    struct tree_xattr_slot *slot = slot_of(map->slots, map->n_slots, node);
    map->n_used += slot->node == NULL;
    *slot = (struct tree_xattr_slot){.node = node, .set = set};
    return 0;
}

/* ---- sets ---- */

/* By name; values decide where a name comes twice, so that the order of the source does not. */
static int compare_attributes(const void *va, const void *vb)
{
    const struct tree_xattr *a = va, *b = vb;
    int r = strcmp(a->name, b->name);
    if (r == 0)
        r = a->n_bytes < b->n_bytes ? -1 : a->n_bytes > b->n_bytes;
    return r != 0 ? r : memcmp(a->value, b->value, a->n_bytes);
}

/* Room for n attributes, in the tree. */
static struct tree_xattrs *set_new(struct tree *tree, size_t n)
{
    return arena_alloc(&tree->text, sizeof(struct tree_xattrs) + n * sizeof(struct tree_xattr));
}

static int set_add(struct tree *tree, struct tree_xattrs *set, const char *name, const void *value, size_t n)
{
    char *copy = arena_bytes(&tree->text, n + 1);
    const char *name_copy = arena_strdup(&tree->text, name);
    if (copy == NULL || name_copy == NULL)
        return ENOMEM;
    if (n > 0)
        memcpy(copy, value, n);
    set->items[set->n++] = (struct tree_xattr){name_copy, (const uint8_t *)copy, n};
    return 0;
}

static int set_finish(struct tree *tree, const struct tree_node *node, struct tree_xattrs *set)
{
    qsort(set->items, set->n, sizeof *set->items, compare_attributes);
    /* bsdtar writes each attribute twice, once in its own way and once as star does; libarchive reads both. */
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        if (i + 1 == set->n || strcmp(set->items[i].name, set->items[i + 1].name) != 0)
            set->items[n++] = set->items[i];
    }
    set->n = n;
    return tree_xattrs_set(tree, node, set->n > 0 ? set : NULL);
}

/* ---- host files ---- */

static int host_read(struct tree *tree, const char *path, const char *names, size_t n_names,
                     const struct tree_node *node)
{
    size_t n = 0;
    for (size_t at = 0; at < n_names; at += strlen(names + at) + 1)
        n++;
    struct tree_xattrs *set = set_new(tree, n);
    uint8_t *value = malloc(TREE_XATTR_BYTES_MAX);
    int e = set == NULL || value == NULL ? ENOMEM : 0;
    for (size_t at = 0; e == 0 && at < n_names; at += strlen(names + at) + 1) {
        const ssize_t got = lgetxattr(path, names + at, value, TREE_XATTR_BYTES_MAX);
        if (got >= 0)
            e = set_add(tree, set, names + at, value, (size_t)got);
        else if (errno != ENODATA) /* gone since it was listed */
            e = errno;
    }
    free(value);
    return e == 0 ? set_finish(tree, node, set) : e;
}

int tree_xattrs_read_host(struct tree *tree, int dir_fd, const char *name, const struct tree_node *node)
{
    char path[PATH_BYTES + TREE_MAX_NAME_BYTES];
    /* Through the descriptor: no path is put together that could lead elsewhere by now. */
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    const ssize_t n = llistxattr(path, NULL, 0);
    if (n == 0 || (n < 0 && errno == EOPNOTSUPP))
        return tree_xattrs_set(tree, node, NULL);
    if (n < 0 || n > LIST_BYTES_MAX)
        return n < 0 ? errno : E2BIG;
    char *names = malloc(LIST_BYTES_MAX);
    if (names == NULL)
        return ENOMEM;
    const ssize_t got = llistxattr(path, names, LIST_BYTES_MAX);
    const int e = got < 0 ? errno : host_read(tree, path, names, (size_t)got, node);
    free(names);
    return e;
}

/* ---- members of archives ---- */

int tree_xattrs_read_entry(struct tree *tree, struct archive_entry *entry, const struct tree_node *node,
                           struct plat_err *err)
{
    const char *name;
    const void *value;
    size_t n;
    const int count = archive_entry_xattr_reset(entry);
    if (count <= 0)
        return tree_xattrs_set(tree, node, NULL) == 0 ? 0 : err_nomem(err, "reading an archive");
    struct tree_xattrs *set = set_new(tree, (size_t)count);
    int e = set == NULL ? ENOMEM : 0;
    for (int i = 0; e == 0 && i < count && archive_entry_xattr_next(entry, &name, &value, &n) == ARCHIVE_OK;
         i++) {
        if (n > TREE_XATTR_BYTES_MAX)
            return err_set(err, PLAT_ELIMIT, "its attribute %.80s has %zu bytes; up to %d are possible", name,
                           n, TREE_XATTR_BYTES_MAX);
        e = set_add(tree, set, name, value, n);
    }
    if (e == 0)
        e = set_finish(tree, node, set);
    return e == 0 ? 0 : err_nomem(err, "reading an archive");
}
