/* From a tree to a list: what is stored, under which names, in which order. */
#include <stdlib.h>

#include "formats/fat32/plan.h"

static const uint64_t FILE_BYTES_MAX = UINT32_MAX; /* 4 GiB - 1 */

enum { DOT_SLOTS = 2, LABEL_SLOTS = 1, SMALLEST_CLUSTER = 512, MESSAGE_PATH_BYTES = 4096 };

int fat32_plan_err(struct plat_err *err, const struct tree_node *node)
{
    char path[MESSAGE_PATH_BYTES];
    struct strbuf visible = {0};

    if (tree_path(node, path, sizeof(path)) < 0)
        strbuf_visible(&visible, node->name, strlen(node->name));
    else
        strbuf_visible(&visible, path, strlen(path));
    int class = err_prefix(err, "'%.200s'", strbuf_str(&visible));
    strbuf_free(&visible);
    return class;
}

/* Can FAT32 keep such a thing at all? */
static int node_check(const struct tree_node *node, struct plat_err *err)
{
    static const char *const kinds[] = {
        [TREE_SYMLINK] = "symbolic link", [TREE_CHAR] = "character device", [TREE_BLOCK] = "block device",
        [TREE_FIFO] = "named pipe",       [TREE_SOCKET] = "socket",
    };
    int class = 0;

    if (node->kind == TREE_SYMLINK)
        class = err_set(
            err, PLAT_EINVALID,
            "FAT32 cannot store a symbolic link; exclude it, or put the file it points to in its place");
    else if (node->kind != TREE_DIR && node->kind != TREE_FILE)
        class = err_set(err, PLAT_EINVALID, "FAT32 cannot store a %s; exclude it",
                        node->kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[node->kind] : "special file");
    else if (node->kind == TREE_FILE && node->size_bytes > FILE_BYTES_MAX)
        class = err_set(
            err, PLAT_EINVALID,
            "the file has %llu bytes and FAT32 stores %llu (4 GiB - 1) at most; split it, or use another "
            "filesystem",
            (unsigned long long)node->size_bytes, (unsigned long long)FILE_BYTES_MAX);
    return class < 0 ? (fat32_plan_err(err, node), class) : 0;
}

/* Appends the children of items[parent]; there is room for them. */
static int children_add(struct make_plan *plan, uint32_t parent, uint32_t capacity, struct plat_err *err)
{
    plan->items[parent].first_child = plan->n_items;
    for (const struct tree_node *child = plan->items[parent].node->child; child != NULL;
         child = child->next) {
        int r = node_check(child, err);
        if (r < 0)
            return r;
        if (plan->n_items == capacity)
            return err_set(err, PLAT_EBUG, "the tree has more nodes than it counted (%u)", capacity);
        plan->items[plan->n_items++] = (struct fat32_item){.node = child, .parent = parent};
    }
    return 0;
}

static int directory_slots(struct make_plan *plan, uint32_t index, struct plat_err *err)
{
    struct fat32_item *dir = &plan->items[index];
    uint64_t slots = index != 0 ? DOT_SLOTS : plan->has_label ? LABEL_SLOTS : 0;

    for (uint32_t i = 0; i < dir->node->n_children; i++)
        slots += plan->items[dir->first_child + i].slots;
    if (slots > FAT32_DIR_MAX_SLOTS) {
        err_set(err, PLAT_EINVALID,
                "the %u names in this directory take %llu entries and FAT32 has room for %d (a long name "
                "takes one more "
                "for each 13 characters); spread the files over several directories",
                dir->node->n_children, (unsigned long long)slots, FAT32_DIR_MAX_SLOTS);
        fat32_plan_err(err, dir->node);
        return PLAT_EINVALID;
    }
    dir->dir_slots = (uint32_t)slots;
    return 0;
}

/* Fills order[]: the directory, its files by name, then each of its directories with all it holds. `stack` is
 * one place for each item, more than enough for the directories that wait. */
static void order_fill(struct make_plan *plan, uint32_t *stack)
{
    uint32_t n = 0, depth = 0;

    stack[depth++] = 0;
    while (depth > 0) {
        uint32_t index = stack[--depth];
        const struct fat32_item *dir = &plan->items[index];
        uint32_t n_children = dir->node->n_children;
        plan->order[n++] = index;
        for (uint32_t i = 0; i < n_children; i++)
            if (!fat32_item_is_dir(&plan->items[dir->first_child + i]))
                plan->order[n++] = dir->first_child + i;
        /* The first directory goes on the stack last, to come off it first. */
        for (uint32_t i = n_children; i > 0; i--)
            if (fat32_item_is_dir(&plan->items[dir->first_child + i - 1]))
                stack[depth++] = dir->first_child + i - 1;
    }
}

static void clusters_count(struct make_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_items; i++)
        for (unsigned size = 0; size < FAT32_CLUSTER_SIZES; size++)
            plan->clusters_needed[size] +=
                fat32_item_clusters(&plan->items[i], (uint32_t)SMALLEST_CLUSTER << size);
}

int fat32_plan_items(struct make_plan *plan, struct plat_err *err)
{
    struct fat32_naming *naming = NULL;
    uint32_t *stack = NULL;
    struct tree_totals totals;
    uint64_t nodes;
    int r;

    tree_totals(plan->tree, &totals);
    nodes = totals.n_files + totals.n_dirs + totals.n_others + 1; /* the root, should it not be counted */
    if (nodes > TREE_MAX_NODES)
        return err_set(err, PLAT_ELIMIT, "%llu files and directories are more than the %d that plat handles",
                       (unsigned long long)nodes, TREE_MAX_NODES);
    plan->items = malloc(nodes * sizeof(plan->items[0]));
    if (plan->items == NULL) {
        err_nomem(err, "planning a FAT32");
        return PLAT_ENOMEM;
    }
    r = fat32_naming_open(&naming, err);
    if (r < 0)
        goto out;

    plan->items[0] = (struct fat32_item){.node = tree_root(plan->tree)};
    plan->n_items = 1;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        if (!fat32_item_is_dir(&plan->items[i]))
            continue;
        r = children_add(plan, i, (uint32_t)nodes, err);
        if (r == 0)
            r = fat32_naming_directory(naming, plan, i, err);
        if (r == 0)
            r = directory_slots(plan, i, err);
        if (r < 0)
            goto out;
    }
    fat32_naming_close(naming);
    naming = NULL;

    plan->order = malloc(plan->n_items * sizeof(plan->order[0]));
    stack = malloc(plan->n_items * sizeof(stack[0]));
    if (plan->order == NULL || stack == NULL) {
        r = err_nomem(err, "planning a FAT32");
        goto out;
    }
    order_fill(plan, stack);
    clusters_count(plan);
out:
    free(stack);
    fat32_naming_close(naming);
    return r;
}

void fat32_plan_free(struct make_plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->items);
    free(plan->order);
    free(plan);
}
