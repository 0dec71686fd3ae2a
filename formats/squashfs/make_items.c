/* The nodes of the tree as items, and the order in which they are written. Items are numbered level by level, so that the
 * children of a directory lie side by side; written are they directory by directory, each behind those in it. */
#include "formats/squashfs/make.h"

#include <stdlib.h>
#include <sys/sysmacros.h>

enum { MAJOR_MAX = 0xfff, MINOR_MAX = 0xfffff };

/* What is wrong with a node. */
static int node_fault(const struct tree_node *node, struct plat_err *err)
{
    const size_t name_bytes = strlen(node->name);
    if (name_bytes > SQM_NAME_BYTES_MAX)
        return err_set(err, PLAT_EINVALID, "its name has %zu bytes, and squashfs keeps names of up to %d",
                       name_bytes, SQM_NAME_BYTES_MAX);
    if (node->kind == TREE_SYMLINK && (node->size_bytes < 1 || node->size_bytes > SQM_TARGET_BYTES_MAX))
        return err_set(err, PLAT_EINVALID, "its target has %llu bytes, and Linux follows targets of 1 to %d",
                       (unsigned long long)node->size_bytes, SQM_TARGET_BYTES_MAX);
    if ((node->kind == TREE_CHAR || node->kind == TREE_BLOCK) &&
        (major(node->from.device) > MAJOR_MAX || minor(node->from.device) > MINOR_MAX))
        return err_set(err, PLAT_EINVALID,
                       "device %u:%u; squashfs keeps major numbers up to %d and minor numbers up to %d",
                       major(node->from.device), minor(node->from.device), MAJOR_MAX, MINOR_MAX);
    if (node->kind == TREE_FILE && node->size_bytes > INT64_MAX)
        return err_set(err, PLAT_ELIMIT, "it has more than 2^63 bytes");
    return 0;
}

static int node_check(const struct tree_node *node, struct plat_err *err)
{
    return node_fault(node, err) == 0 ? 0 : tree_blame(node, err);
}

/* ---- hard links ---- */

/* Names of one file that an override or a later source has made different are files of their own again; a manifest may
 * even claim that a device and a FIFO are one. */
static bool is_same_inode(const struct tree_node *a, const struct tree_node *b)
{
    const bool device = a->kind == TREE_CHAR || a->kind == TREE_BLOCK;
    if (a->kind != b->kind || (device && a->from.device != b->from.device))
        return false;
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->mtime_s == b->mtime_s &&
           a->size_bytes == b->size_bytes;
}

/* The first item of each number. */
struct links {
    uint32_t *first; /* by number; SQM_NONE: not seen */
    uint32_t n;
};

static int links_open(const struct make_plan *plan, struct links *ret, struct plat_err *err)
{
    const uint32_t n = tree_link_count(plan->tree);
    *ret = (struct links){.n = n};
    if (n == 0)
        return 0;
    ret->first = malloc(((size_t)n + 1) * sizeof *ret->first);
    if (ret->first == NULL)
        return err_nomem(err, "planning a SquashFS image");
    memset(ret->first, 0xff, ((size_t)n + 1) * sizeof *ret->first);
    return 0;
}

/* Which item's inode this one is: its own, or that of the same file. */
static uint32_t links_first(struct links *links, struct make_plan *plan, uint32_t i)
{
    const struct tree_node *node = plan->items[i].node;
    if (node->link == 0 || node->link > links->n)
        return i;
    const uint32_t first = links->first[node->link];
    if (first != SQM_NONE && is_same_inode(plan->items[first].node, node))
        return first;
    if (first == SQM_NONE)
        links->first[node->link] = i;
    return i;
}

/* ---- all of them ---- */

static int item_settle(struct make_plan *plan, struct links *links, uint32_t i, struct plat_err *err)
{
    struct sqm_item *item = &plan->items[i];
    int rc = node_check(item->node, err);
    if (rc == 0)
        rc = sqm_xattrs_check(plan, item->node, err);
    if (rc != 0)
        return rc;
    if (item->node->kind != TREE_DIR) {
        item->first = links_first(links, plan, i);
        plan->items[item->first].links++;
        if (item->first != i)
            return 0;
    }
    item->number = ++plan->n_inodes;
    if (item->node->kind == TREE_FILE)
        plan->data_bytes += item->node->size_bytes;
    return 0;
}

static int fill(struct make_plan *plan, struct links *links, uint32_t capacity, struct plat_err *err)
{
    plan->items[plan->n_items++].node = tree_root(plan->tree);
    for (uint32_t i = 0; i < plan->n_items; i++) {
        int rc = item_settle(plan, links, i, err);
        if (rc != 0)
            return rc;
        const struct tree_node *node = plan->items[i].node;
        if (node->kind != TREE_DIR)
            continue;
        plan->items[i].first_child = plan->n_items;
        for (const struct tree_node *child = node->child; child != NULL; child = child->next) {
            if (plan->n_items == capacity)
                return err_set(err, PLAT_EBUG, "the tree has more nodes than it counts (%u)", capacity);
            plan->items[plan->n_items++] = (struct sqm_item){.node = child, .parent = i}; /* others settle */
        }
    }
    return 0;
}

int sqm_items_fill(struct make_plan *plan, struct plat_err *err)
{
    struct tree_totals totals;
    struct links links;
    tree_totals(plan->tree, &totals);
    /* The root may or may not be among the directories that are counted. */
    const uint64_t n = totals.n_files + totals.n_dirs + totals.n_others + 1;
    plan->items = n >= SQM_NONE ? NULL : calloc((size_t)n, sizeof *plan->items);
    if (plan->items == NULL)
        return err_nomem(err, "planning a SquashFS image");
    int rc = links_open(plan, &links, err);
    if (rc == 0)
        rc = fill(plan, &links, (uint32_t)n, err);
    free(links.first);
    return rc;
}

/* ---- order ---- */

/* The first directory among the items from `i` to the end of the children of `parent`. */
static uint32_t dir_among(const struct make_plan *plan, uint32_t parent, uint32_t i)
{
    const struct sqm_item *dir = &plan->items[parent];
    const uint32_t end = dir->first_child + dir->node->n_children;
    while (i < end && plan->items[i].node->kind != TREE_DIR)
        i++;
    return i < end ? i : SQM_NONE;
}

/* The first of all in `dir`, itself the last. */
static uint32_t deepest(const struct make_plan *plan, uint32_t dir)
{
    for (uint32_t child; (child = dir_among(plan, dir, plan->items[dir].first_child)) != SQM_NONE;)
        dir = child;
    return dir;
}

uint32_t sqm_dir_first(const struct make_plan *plan)
{
    return deepest(plan, 0);
}

uint32_t sqm_dir_next(const struct make_plan *plan, uint32_t dir)
{
    if (dir == 0)
        return SQM_NONE;
    const uint32_t parent = plan->items[dir].parent, next = dir_among(plan, parent, dir + 1);
    return next != SQM_NONE ? deepest(plan, next) : parent;
}

struct sqm_files sqm_files_begin(const struct make_plan *plan)
{
    const uint32_t dir = sqm_dir_first(plan);
    return (struct sqm_files){.plan = plan, .dir = dir, .i = plan->items[dir].first_child};
}

uint32_t sqm_files_next(struct sqm_files *files)
{
    const struct make_plan *plan = files->plan;
    while (files->dir != SQM_NONE) {
        const struct sqm_item *dir = &plan->items[files->dir];
        const uint32_t end = dir->first_child + dir->node->n_children;
        while (files->i < end) {
            const uint32_t i = files->i++;
            const struct tree_node *node = plan->items[i].node;
            if (node->kind == TREE_FILE && node->size_bytes > 0 && plan->items[i].first == i)
                return i;
        }
        files->dir = sqm_dir_next(plan, files->dir);
        if (files->dir != SQM_NONE)
            files->i = plan->items[files->dir].first_child;
    }
    return SQM_NONE;
}
