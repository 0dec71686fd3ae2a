/* Finding a child by name while sources are merged. Small directories are searched by hand (tree.c); the
 * first lookup in a large one builds this index over the whole tree, so that a tree from a single directory,
 * which needs no lookups at all, never pays for it. */
#include "lib/tree/private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { INDEX_MIN_SLOTS = 1024 };

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 29;
    return h;
}

static size_t first_slot(const struct tree_index *index, const struct tree_node *dir, const char *name,
                         size_t n)
{
    uint64_t h = mix(index->seed ^ (uint64_t)(uintptr_t)dir);
    while (n > 0) {
        uint64_t word = 0;
        size_t step = n < sizeof word ? n : sizeof word;
        memcpy(&word, name, step);
        h = mix((h ^ word) + index->seed);
        name += step;
        n -= step;
    }
    return (size_t)h & (index->n_slots - 1);
}

static bool is_named(const struct tree_node *node, const struct tree_node *dir, const char *name, size_t n)
{
    return node->parent == dir && strncmp(node->name, name, n) == 0 && node->name[n] == '\0';
}

static void place(struct tree_index *index, struct tree_node *node)
{
    size_t i = first_slot(index, node->parent, node->name, strlen(node->name));
    while (index->slots[i] != NULL)
        i = (i + 1) & (index->n_slots - 1);
    index->slots[i] = node;
    index->n_used++;
}

static int grow(struct tree_index *index, size_t n_slots, struct plat_err *err)
{
    struct tree_node **old = index->slots;
    size_t n_old = index->n_slots;
    struct tree_node **slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return err_nomem(err, "indexing the file tree");
    index->slots = slots;
    index->n_slots = n_slots;
    index->n_used = 0;
    for (size_t i = 0; i < n_old; i++) {
        if (old[i] != NULL)
            place(index, old[i]);
    }
    free(old);
    return 0;
}

static int build(struct tree *tree, struct plat_err *err)
{
    struct tree_index *index = &tree->index;
    size_t n_slots = INDEX_MIN_SLOTS;
    while (n_slots / 2 < tree->n_nodes)
        n_slots *= 2;
    if (getrandom(&index->seed, sizeof index->seed, GRND_NONBLOCK) != (ssize_t)sizeof index->seed)
        index->seed = (uint64_t)(uintptr_t)tree * UINT64_C(0x9e3779b97f4a7c15);
    int r = grow(index, n_slots, err);
    if (r != 0)
        return r;
    for (struct tree_node *node = tree_next(tree->root); node != NULL; node = tree_next(node))
        place(index, node);
    return 0;
}

int tree_index_find(struct tree *tree, const struct tree_node *dir, const char *name, size_t n,
                    struct tree_node **ret, struct plat_err *err)
{
    struct tree_index *index = &tree->index;
    if (index->n_slots == 0) {
        int r = build(tree, err);
        if (r != 0)
            return r;
    }
    size_t i = first_slot(index, dir, name, n);
    while (index->slots[i] != NULL && !is_named(index->slots[i], dir, name, n))
        i = (i + 1) & (index->n_slots - 1);
    *ret = index->slots[i];
    return 0;
}

int tree_index_add(struct tree *tree, struct tree_node *node, struct plat_err *err)
{
    struct tree_index *index = &tree->index;
    if (index->n_slots == 0)
        return 0;
    if (index->n_used >= index->n_slots / 3 * 2) {
        int r = grow(index, index->n_slots * 2, err);
        if (r != 0)
            return r;
    }
    place(index, node);
    return 0;
}

void tree_index_free(struct tree *tree)
{
    free(tree->index.slots);
    tree->index = (struct tree_index){0};
}
