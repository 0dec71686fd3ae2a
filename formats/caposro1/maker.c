/* What caposro1 offers to `plat mk` and `plat build`: its options, and the steps plan and settle. Nodes are numbered
 * level by level: the root, its children by name, the children of its first directory, ... */
#include "formats/caposro1/plan.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fs/options.h"

enum { OPTION_OWNER, OPTION_TIMES, N_OPTIONS };
static const struct make_option_desc options_table[N_OPTIONS] = {
    [OPTION_OWNER] = {.name = "owner",
                      .argument = "zero|keep",
                      .doc = "owner and group of every node: 0, or what the source has; default zero"},
    [OPTION_TIMES] = {.name = "times",
                      .argument = "none|untrusted|ntp-synced",
                      .doc =
                          "none: version 1, which has no times (default); else version 2, with the time of "
                          "modification of every node and this word on the clock that it is from"},
};

static int options_read(struct make_plan *plan, const struct make_options *options, struct plat_err *err)
{
    static const enum caposro1_clock_source clocks[] = {
        CAPOSRO1_CLOCK_SOURCE_UNKNOWN, CAPOSRO1_CLOCK_SOURCE_UNTRUSTED, CAPOSRO1_CLOCK_SOURCE_NTP_SYNCED};
    size_t owner = 0, times = 0;
    int rc = make_options_known(options_table, N_OPTIONS, "caposro1", options->extra, err);
    for (size_t i = 0; rc == 0 && i < N_OPTIONS; i++)
        rc = make_option_choice(&options_table[i], json_object_get(options->extra, options_table[i].name),
                                i == OPTION_OWNER ? &owner : &times, err);
    if (rc == 0)
        rc = make_option_uuid(options->uuid, plan->uuid, err);
    if (rc != 0)
        return rc;
    plan->keep_owner = owner == 1;
    plan->clock = clocks[times];
    plan->sector_bytes = options->sector_bytes;
    return make_option_label(options->label, "caposro1", plan->label, sizeof plan->label, err);
}

/* Adds what the node takes to the sizes of contents (in blocks) and strings. */
static int node_add(struct make_plan *plan, const struct tree_node *node, struct plat_err *err)
{
    const size_t name_bytes = strlen(node->name);
    char label[TREE_LABEL_BYTES];
    tree_label(node, label);
    if (name_bytes > RO1_NAME_MAX_BYTES)
        return err_set(err, PLAT_EINVALID,
                       "'%s': its name has %zu bytes, and caposro1 keeps names of up to %d", label,
                       name_bytes, RO1_NAME_MAX_BYTES);
    plan->strings_bytes += name_bytes;
    if (node->kind == TREE_SYMLINK) {
        if (node->size_bytes < 1 || node->size_bytes > RO1_TARGET_MAX_BYTES)
            return err_set(err, PLAT_EINVALID,
                           "'%s': its target has %llu bytes, and caposro1 keeps targets of 1 to %d", label,
                           (unsigned long long)node->size_bytes, RO1_TARGET_MAX_BYTES);
        plan->strings_bytes += node->size_bytes;
    }
    if (node->kind == TREE_FILE &&
        !add_u64(plan->strings_block, div_up_u64(node->size_bytes, RO1_BLOCK_BYTES), &plan->strings_block))
        return err_set(err, PLAT_ELIMIT, "'%s': the contents have more than 2^64 bytes", label);
    return 0;
}

/* Numbers the nodes; an item that is added is looked at when its turn comes. */
static int items_fill(struct make_plan *plan, uint32_t capacity, struct plat_err *err)
{
    plan->items[plan->n_items++].node = tree_root(plan->tree);
    for (uint32_t i = 0; i < plan->n_items; i++) {
        int rc = node_add(plan, plan->items[i].node, err);
        if (rc != 0)
            return rc;
        if (plan->items[i].node->child != NULL)
            plan->items[i].first_child = plan->n_items;
        for (const struct tree_node *child = plan->items[i].node->child; child != NULL; child = child->next) {
            if (plan->n_items == capacity)
                return err_set(err, PLAT_EBUG, "the tree has more nodes than it counts (%u)", capacity);
            plan->items[plan->n_items++] = (struct ro1_item){.node = child, .parent = i};
        }
    }
    return 0;
}

static int plan_items(struct make_plan *plan, struct plat_err *err)
{
    struct tree_totals totals;
    uint64_t tables;
    tree_totals(plan->tree, &totals);
    /* The root may or may not be among the directories that are counted. */
    const uint64_t n = totals.n_files + totals.n_dirs + totals.n_others + 1;
    plan->items = n > UINT32_MAX ? NULL : calloc((size_t)n, sizeof *plan->items);
    if (plan->items == NULL)
        return err_nomem(err, "planning a CAPOSRO1 image");
    plan->strings_block = 1;
    int rc = items_fill(plan, (uint32_t)n, err);
    if (rc != 0)
        return rc;
    plan->nodes_block = plan->strings_block + div_up_u64(plan->strings_bytes, RO1_BLOCK_BYTES);
    plan->end_block =
        plan->nodes_block + div_up_u64((uint64_t)plan->n_items * RO1_NODE_BYTES, RO1_BLOCK_BYTES);
    if (plan->strings_block > UINT64_MAX / RO1_BLOCK_BYTES / 2 ||
        !mul_u64(plan->end_block, RO1_BLOCK_BYTES, &tables) || tables > INT64_MAX)
        return err_set(err, PLAT_ELIMIT, "the image would be larger than 2^63 - 1 bytes");
    return 0;
}

static void maker_close(struct make_plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->items);
    free(plan);
}

static int maker_plan(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                      struct plat_err *err)
{
    struct make_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return err_nomem(err, "planning a CAPOSRO1 image");
    plan->tree = tree;
    int rc = options_read(plan, options, err);
    if (rc == 0)
        rc = plan_items(plan, err);
    if (rc != 0) {
        maker_close(plan);
        return rc;
    }
    *ret = plan;
    return 0;
}

static int maker_min_bytes(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err)
{
    uint64_t bytes;
    if (!add_u64(plan->end_block * RO1_BLOCK_BYTES, slack_bytes, &bytes) ||
        !align_up_u64(bytes, plan->sector_bytes, &bytes))
        return err_set(err, PLAT_ELIMIT, "the image would be larger than 2^64 - 1 bytes");
    *ret = bytes;
    return 0;
}

static int maker_settle(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err)
{
    if (size_bytes / RO1_BLOCK_BYTES < plan->end_block)
        return err_set(err, PLAT_EINVALID, "%llu bytes are too few: the files need %llu",
                       (unsigned long long)size_bytes, (unsigned long long)plan->end_block * RO1_BLOCK_BYTES);
    plan->block_count = size_bytes / RO1_BLOCK_BYTES;
    return 0;
}

static void maker_describe(const struct make_plan *plan, struct strbuf *ret)
{
    strbuf_printf(ret, "version %d, %u nodes, %llu blocks of 512 bytes, %llu of them contents",
                  plan->clock == CAPOSRO1_CLOCK_SOURCE_UNKNOWN ? 1 : 2, plan->n_items,
                  (unsigned long long)(plan->block_count != 0 ? plan->block_count : plan->end_block),
                  (unsigned long long)plan->strings_block - 1);
}

const struct fs_maker caposro1_maker = {
    .options = options_table,
    .n_options = N_OPTIONS,
    .plan = maker_plan,
    .min_bytes = maker_min_bytes,
    .settle = maker_settle,
    .describe = maker_describe,
    .write = ro1_plan_write,
    .close = maker_close,
};
