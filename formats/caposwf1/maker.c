/* What caposwf1 offers to `plat mk` and `plat build`: its options, and the steps plan and settle. */
#include "formats/caposwf1/plan.h"

#include <stdlib.h>

#include "formats/caposwf1/caposwf1.h"
#include "lib/fs/options.h"

enum {
    NS_PER_S = 1000000000,
    FREE_SHARE = 32,  /* an image is made with this share of its used blocks free, */
    FREE_BLOCKS = 128 /* and this many: room for the first changes */
};

enum { OPTION_SUPERBLOCK, OPTION_TIMES, OPTION_OWNER, OPTION_SHARED, OPTION_REGION, N_OPTIONS };
static const struct make_option_desc options_table[N_OPTIONS] = {
    [OPTION_SUPERBLOCK] = {.name = "superblock",
                           .argument = "256|0",
                           .doc = "block of the superblock; 0 saves 128 KiB where no store shares the image; "
                                  "default 256"},
    [OPTION_TIMES] = {.name = "times",
                      .argument = "unknown|untrusted|ntp-synced|stated",
                      .doc = "where the times of modification are said to come from; unknown: keep none; "
                             "default stated"},
    [OPTION_OWNER] = {.name = "owner",
                      .argument = "zero|keep",
                      .doc = "owner and group of every node: 0, or what the source has; default zero"},
    [OPTION_SHARED] = {.name = "shared",
                       .argument = "true|false",
                       .doc = "true: the blocks before region-first-block are somebody else's (a store); "
                              "default false"},
    [OPTION_REGION] = {.name = "region-first-block",
                       .argument = "N",
                       .doc = "512-byte block where the filesystem begins; default: behind the superblocks"},
};

static int options_read(struct make_plan *plan, const struct make_options *options, struct plat_err *err)
{
    static const enum caposwf1_provenance clocks[] = {
        CAPOSWF1_PROVENANCE_UNKNOWN, CAPOSWF1_PROVENANCE_UNTRUSTED, CAPOSWF1_PROVENANCE_NTP_SYNCED,
        CAPOSWF1_PROVENANCE_STATED};
    struct wf1_super *super = &plan->super;
    json_t *extra = options->extra;
    uint64_t superblock = WF1_DEFAULT_BLOCK, first = 0;
    size_t times = CAPOSWF1_PROVENANCE_STATED, owner = 0;
    uint8_t label[CAPOSWF1_SUPERBLOCK_LABEL_BYTES];
    int rc = make_options_known(options_table, N_OPTIONS, "caposwf1", extra, err);
    if (rc == 0)
        rc = make_option_number(extra, "superblock", WF1_DEFAULT_BLOCK, &superblock, err);
    if (rc == 0)
        rc = make_option_number(extra, "region-first-block", UINT32_MAX - 1u, &first, err);
    if (rc == 0)
        rc = make_option_flag(extra, "shared", &super->shared, err);
    if (rc == 0)
        rc = make_option_choice(&options_table[OPTION_TIMES], json_object_get(extra, "times"), &times, err);
    if (rc == 0)
        rc = make_option_choice(&options_table[OPTION_OWNER], json_object_get(extra, "owner"), &owner, err);
    if (rc == 0)
        rc = make_option_uuid(options->uuid, super->uuid, err);
    if (rc == 0)
        rc = make_option_label(options->label, "caposwf1", label, sizeof label, err);
    if (rc != 0)
        return rc;
    if (superblock != 0 && superblock != WF1_DEFAULT_BLOCK)
        return err_set(err, PLAT_EINVALID, "superblock must be 256 or 0, found %llu",
                       (unsigned long long)superblock);
    if (first == 0)
        first = superblock + 2;
    if (first < superblock + 2)
        return err_set(err, PLAT_EINVALID, "region-first-block must be behind the superblocks: %llu or more",
                       (unsigned long long)superblock + 2);
    memcpy(super->label, label, sizeof label);
    super->superblock_block = (uint32_t)superblock;
    super->region_first_block = first;
    plan->clock = clocks[times];
    plan->keep_owner = owner == 1;
    plan->compact = options->compact;
    plan->sector_bytes = options->sector_bytes;
    return 0;
}

/* ---- the nodes ---- */

/* A symbolic link without a target, a time that 64 bits of nanoseconds cannot say, ... */
static int node_refuse(const struct make_plan *plan, const struct tree_node *node, struct plat_err *err)
{
    const size_t name_bytes = strlen(node->name);
    char label[TREE_LABEL_BYTES];
    tree_label(node, label);
    if (name_bytes > WF1_NAME_MAX_BYTES)
        return err_set(err, PLAT_EINVALID, "'%s': its name has %zu bytes, more than the %d of a caposwf1",
                       label, name_bytes, WF1_NAME_MAX_BYTES);
    if (node->kind == TREE_SYMLINK && (node->size_bytes < 1 || node->size_bytes > WF1_TARGET_MAX_BYTES))
        return err_set(err, PLAT_EINVALID, "'%s': its target has %llu bytes; 1 to %d are possible", label,
                       (unsigned long long)node->size_bytes, WF1_TARGET_MAX_BYTES);
    if (node->kind == TREE_FILE && node->size_bytes > WF1_FILE_MAX_BYTES)
        return err_set(err, PLAT_ELIMIT, "'%s': it has %llu bytes, more than 2^32 - 1 blocks of 512", label,
                       (unsigned long long)node->size_bytes);
    if (plan->clock != CAPOSWF1_PROVENANCE_UNKNOWN &&
        (node->mtime_s >= INT64_MAX / NS_PER_S || node->mtime_s <= INT64_MIN / NS_PER_S))
        return err_set(err, PLAT_EINVALID,
                       "'%s': its time, %lld s since 1970, is out of reach of 64 bits of nanoseconds (years "
                       "1678 to 2262): give it another one, or keep no times (-O times=unknown)",
                       label, (long long)node->mtime_s);
    return 0;
}

/* Numbers the nodes; an item that is added is looked at when its turn comes. */
static int items_number(struct make_plan *plan, uint32_t room, struct plat_err *err)
{
    struct wf1_item *items = plan->items;
    items[plan->n_items++].node = tree_root(plan->tree);
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const struct tree_node *node = items[i].node;
        int rc = node_refuse(plan, node, err);
        if (rc != 0)
            return rc;
        items[i].hash = wf1_name_hash(node->name, strlen(node->name));
        items[i].first_child = plan->n_items;
        if (room - plan->n_items < node->n_children)
            return err_set(err, PLAT_EBUG, "more than the %u nodes that were counted", room);
        node = node->child;
        for (; node != NULL; node = node->next, plan->n_items++) {
            items[plan->n_items].node = node;
            items[plan->n_items].parent = i;
            items[plan->n_items].order = plan->n_items;
        }
    }
    return 0;
}

static struct wf1_name item_name(const struct wf1_item *item)
{
    return (struct wf1_name){.hash = item->hash,
                             .bytes = (uint32_t)strlen(item->node->name),
                             .name = (const uint8_t *)item->node->name};
}

/* qsort has no context: what is sorted carries its own. */
struct sorted {
    const struct wf1_item *item;
    uint32_t number;
};
static int sorted_compare(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    const struct wf1_name p = item_name(x->item), q = item_name(y->item);
    return wf1_name_compare(&p, &q);
}

/* The children of each directory as its blocks of names have them. */
static int items_sort(struct make_plan *plan, struct plat_err *err)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < plan->n_items; i++)
        if (plan->items[i].node->n_children > most)
            most = plan->items[i].node->n_children;
    struct sorted *sorted = calloc((size_t)most + 1, sizeof *sorted);
    if (sorted == NULL)
        return err_nomem(err, "planning a CAPOSWF1 image");
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const uint32_t first = plan->items[i].first_child, n = plan->items[i].node->n_children;
        for (uint32_t j = 0; j < n; j++)
            sorted[j] = (struct sorted){&plan->items[first + j], first + j};
        qsort(sorted, n, sizeof *sorted, sorted_compare);
        for (uint32_t j = 0; j < n; j++)
            plan->items[first + j].order = sorted[j].number;
    }
    free(sorted);
    return 0;
}

uint32_t wf1_names_fit(const struct make_plan *plan, const struct wf1_item *dir, uint32_t from)
{
    size_t used = 0;
    uint32_t n = 0;
    for (; from + n < dir->node->n_children; n++) {
        const struct wf1_item *child = &plan->items[plan->items[dir->first_child + from + n].order];
        used += WF1_NAME_HEAD_BYTES + strlen(child->node->name);
        if (used > WF1_BLOCK_BYTES)
            break;
    }
    return n;
}

/* ---- sizes ---- */

uint64_t wf1_map_blocks(uint64_t n)
{
    uint64_t blocks = 0;
    while (n > WF1_ROOT_ENTRIES) {
        n = div_up_u64(n, WF1_ENTRIES);
        blocks += n;
    }
    return blocks;
}

uint64_t wf1_pointer_blocks(uint64_t n, uint32_t levels)
{
    uint64_t blocks = 0;
    for (uint32_t level = 0; level < levels; level++) {
        n = div_up_u64(n, WF1_POINTERS);
        blocks += n;
    }
    return blocks;
}

/* Blocks, extents and roots of the item's map. */
static void item_measure(struct make_plan *plan, const struct wf1_item *item, struct wf1_extents_at *at)
{
    const uint64_t windows = wf1_item_windows(item), before = at->extent;
    uint64_t names = 0, leaves = 0;
    for (uint64_t i = 0; i < windows; i++)
        (void)wf1_extent_take(plan, at, item, i);
    if (at->extent - before > WF1_ROOT_ENTRIES) {
        plan->map_blocks += wf1_map_blocks(at->extent - before);
        plan->n_roots++;
    }
    for (; names < item->node->n_children; leaves++)
        names += wf1_names_fit(plan, item, (uint32_t)names);
    plan->name_blocks += leaves + wf1_map_blocks(leaves);
    plan->n_roots += leaves > 0;
}

static int plan_measure(struct make_plan *plan, struct plat_err *err)
{
    struct wf1_extents_at at = {.block = 0};
    struct wf1_super *super = &plan->super;
    for (uint32_t i = 0; i < plan->n_items; i++)
        item_measure(plan, &plan->items[i], &at);
    plan->content_blocks = at.block;
    plan->n_extents = at.extent;
    plan->record_blocks = div_up_u64(plan->n_items, WF1_RECORDS);
    super->node_count = plan->n_items;
    super->node_levels = wf1_levels_for(plan->record_blocks);
    plan->pointer_blocks = wf1_pointer_blocks(plan->record_blocks, super->node_levels);
    if (plan->content_blocks > UINT32_MAX)
        return err_set(err, PLAT_ELIMIT,
                       "the contents take %llu blocks of 512 bytes, and a caposwf1 counts to 2^32 - 1",
                       (unsigned long long)plan->content_blocks);
    plan->sums = calloc((size_t)plan->n_extents + 1, sizeof *plan->sums);
    plan->roots = calloc((size_t)plan->n_roots + 1, sizeof *plan->roots);
    if (plan->sums == NULL || plan->roots == NULL)
        return err_nomem(err, "planning a CAPOSWF1 image");
    return 0;
}

/* All blocks in use in a region of that many: the bitmap has no blocks for what is free. */
static uint64_t used_in(const struct make_plan *plan, uint64_t region_blocks)
{
    const uint32_t levels = wf1_levels_for(div_up_u64(region_blocks, WF1_BITS));
    const uint64_t others = plan->content_blocks + plan->map_blocks + plan->name_blocks +
                            plan->record_blocks + plan->pointer_blocks;
    uint64_t used = others, before;
    do {
        const uint64_t leaves = div_up_u64(used, WF1_BITS);
        before = used;
        used = others + leaves + wf1_pointer_blocks(leaves, levels);
    } while (used != before);
    return used;
}

/* The smallest image with `slack` free blocks; not compact: with room for the first changes besides. */
static int least_bytes(const struct make_plan *plan, uint64_t slack, bool compact, uint64_t *ret,
                       struct plat_err *err)
{
    const uint64_t first = plan->super.region_first_block;
    uint64_t bytes = 0;
    for (uint64_t region = 1, needed; region <= UINT32_MAX; region = needed) {
        if (!align_up_u64((first + region) * WF1_BLOCK_BYTES, plan->sector_bytes, &bytes))
            break;
        region = bytes / WF1_BLOCK_BYTES - first;
        needed = used_in(plan, region) + slack;
        if (!compact)
            needed += needed / FREE_SHARE + FREE_BLOCKS;
        if (needed <= region) {
            *ret = bytes;
            return 0;
        }
    }
    return err_set(err, PLAT_ELIMIT, "a caposwf1 has at most 2^32 - 1 blocks of 512 bytes");
}

static int maker_min_bytes(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err)
{
    return least_bytes(plan, wf1_blocks_of(slack_bytes), plan->compact, ret, err);
}

static int maker_settle(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err)
{
    struct wf1_super *super = &plan->super;
    const uint64_t first = super->region_first_block, blocks = size_bytes / WF1_BLOCK_BYTES;
    const uint64_t region = blocks > first ? blocks - first : 0, used = used_in(plan, region);
    uint64_t least;
    if (used > region) {
        int rc = least_bytes(plan, 0, true, &least, err);
        return rc != 0 ? rc
                       : err_set(err, PLAT_EINVALID, "%llu bytes are too few: the tree needs %llu",
                                 (unsigned long long)size_bytes, (unsigned long long)least);
    }
    if (blocks > UINT32_MAX)
        return err_set(err, PLAT_ELIMIT,
                       "%llu bytes are too many: a caposwf1 has at most 2^32 - 1 blocks of 512",
                       (unsigned long long)size_bytes);
    super->generation = 1;
    super->region_blocks = region;
    super->free_blocks = region - used;
    super->next_block = first + used;
    super->bitmap_levels = wf1_levels_for(div_up_u64(region, WF1_BITS));
    plan->used_blocks = used;
    return 0;
}

static void maker_describe(const struct make_plan *plan, struct strbuf *ret)
{
    const struct wf1_super *super = &plan->super;
    strbuf_printf(ret, "%u nodes, %llu blocks of 512 bytes of content in %llu extents", plan->n_items,
                  (unsigned long long)plan->content_blocks, (unsigned long long)plan->n_extents);
    if (super->region_blocks > 0)
        strbuf_printf(ret, "; %llu of %llu blocks free, superblock in block %u",
                      (unsigned long long)super->free_blocks, (unsigned long long)super->region_blocks,
                      super->superblock_block);
}

/* ---- open and close ---- */

static void maker_close(struct make_plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->items);
    free(plan->present);
    free(plan->sums);
    free(plan->roots);
    free(plan);
}

static int items_open(struct make_plan *plan, struct plat_err *err)
{
    struct tree_totals totals;
    tree_totals(plan->tree, &totals);
    /* The root may or may not be among the directories that are counted. */
    const uint64_t room = totals.n_files + totals.n_dirs + totals.n_others + 1;
    plan->items = room < UINT32_MAX ? calloc((size_t)room, sizeof *plan->items) : NULL;
    if (plan->items == NULL)
        return err_nomem(err, "planning a CAPOSWF1 image");
    int rc = items_number(plan, (uint32_t)room, err);
    return rc == 0 ? items_sort(plan, err) : rc;
}

static int maker_plan(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                      struct plat_err *err)
{
    struct make_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return err_nomem(err, "planning a CAPOSWF1 image");
    plan->tree = tree;
    int rc = options_read(plan, options, err);
    if (rc == 0)
        rc = items_open(plan, err);
    if (rc == 0)
        rc = wf1_windows_find(plan, err);
    if (rc == 0)
        rc = plan_measure(plan, err);
    if (rc != 0) {
        maker_close(plan);
        return rc;
    }
    *ret = plan;
    return 0;
}

const struct fs_maker caposwf1_maker = {
    .options = options_table,
    .n_options = N_OPTIONS,
    .compacts = true,
    .plan = maker_plan,
    .min_bytes = maker_min_bytes,
    .settle = maker_settle,
    .describe = maker_describe,
    .write = wf1_plan_write,
    .close = maker_close,
};
