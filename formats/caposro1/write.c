/* The image, front to back and in one pass: the superblock needs sizes only, which the plan has; checksums of contents
 * are known when the node table is written, behind them. */
#include <sys/sysmacros.h>

#include "formats/caposro1/plan.h"
#include "lib/fs/out.h"
#include "lib/hash/hash.h"

enum { AHEAD_ITEMS_MIN = 128 /* fewer are not worth the threads */ };

static int superblock_put(struct fs_out *out, const struct make_plan *plan, struct plat_err *err)
{
    struct caposro1_superblock_mut superblock;
    uint8_t *bytes;
    int rc = fs_out_take(out, 0, CAPOSRO1_SUPERBLOCK_BYTES, &bytes, err);
    if (rc != 0)
        return rc;
    if (!caposro1_superblock_edit(bytes, CAPOSRO1_SUPERBLOCK_BYTES, &superblock))
        return err_set(err, PLAT_EBUG, "a superblock of other than %d bytes", CAPOSRO1_SUPERBLOCK_BYTES);
    caposro1_superblock_init(superblock);
    caposro1_superblock_set_version(superblock, plan->clock == CAPOSRO1_CLOCK_SOURCE_UNKNOWN ? 1 : 2);
    caposro1_superblock_set_block_count(superblock, plan->block_count);
    caposro1_superblock_set_node_count(superblock, plan->n_items);
    caposro1_superblock_set_strings_block(superblock, plan->strings_block);
    caposro1_superblock_set_strings_bytes(superblock, plan->strings_bytes);
    caposro1_superblock_set_nodes_block(superblock, plan->nodes_block);
    caposro1_superblock_set_uuid(superblock, plan->uuid);
    caposro1_superblock_set_label(superblock, plan->label);
    caposro1_superblock_seal(superblock);
    return 0;
}

/* The files with content in their order, for tree_ahead. */
struct file_order {
    const struct make_plan *plan;
    uint32_t i;
};
static const struct tree_node *file_order_next(void *ctx)
{
    struct file_order *order = ctx;
    while (order->i < order->plan->n_items) {
        const struct ro1_item *item = &order->plan->items[order->i++];
        if (ro1_item_has_content(item))
            return item->node;
    }
    return NULL;
}

static int contents_put(struct fs_out *out, struct make_plan *plan, struct plat_err *err)
{
    struct file_order order = {.plan = plan};
    uint64_t block = 1;
    int rc = 0;
    if (plan->n_items >= AHEAD_ITEMS_MIN)
        rc = tree_ahead_open(plan->tree, file_order_next, &order, &out->ahead, err);
    for (uint32_t i = 0; rc == 0 && i < plan->n_items; i++) {
        struct ro1_item *item = &plan->items[i];
        if (!ro1_item_has_content(item))
            continue;
        rc = fs_out_content(out, block * RO1_BLOCK_BYTES, plan->tree, item->node, &item->content_crc32c, err);
        block += div_up_u64(item->node->size_bytes, RO1_BLOCK_BYTES);
    }
    tree_ahead_close(out->ahead);
    out->ahead = NULL;
    return rc;
}

static int strings_put(struct fs_out *out, struct make_plan *plan, struct plat_err *err)
{
    uint64_t at = plan->strings_block * RO1_BLOCK_BYTES;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < plan->n_items; i++) {
        struct ro1_item *item = &plan->items[i];
        const size_t n = strlen(item->node->name);
        uint8_t *bytes;
        rc = fs_out_take(out, at, n, &bytes, err);
        if (rc != 0)
            return rc;
        memcpy(bytes, item->node->name, n);
        at += n;
        if (item->node->kind != TREE_SYMLINK)
            continue;
        rc = fs_out_content(out, at, plan->tree, item->node, &item->content_crc32c, err);
        at += item->node->size_bytes;
    }
    return rc;
}

static const enum caposro1_node_kind kinds[] = {
    [TREE_DIR] = CAPOSRO1_NODE_KIND_DIRECTORY,      [TREE_FILE] = CAPOSRO1_NODE_KIND_FILE,
    [TREE_SYMLINK] = CAPOSRO1_NODE_KIND_SYMLINK,    [TREE_CHAR] = CAPOSRO1_NODE_KIND_CHAR_DEVICE,
    [TREE_BLOCK] = CAPOSRO1_NODE_KIND_BLOCK_DEVICE, [TREE_FIFO] = CAPOSRO1_NODE_KIND_FIFO,
    [TREE_SOCKET] = CAPOSRO1_NODE_KIND_SOCKET,
};

/* What goes by the kind of the node. *block: of the next content. */
static void content_set(struct caposro1_node_mut record, const struct ro1_item *item, uint64_t *block)
{
    const struct tree_node *node = item->node;
    if (node->kind == TREE_FILE || node->kind == TREE_SYMLINK) {
        caposro1_node_set_size_bytes(record, node->size_bytes);
        caposro1_node_set_content_crc32c(record, item->content_crc32c);
    }
    if (ro1_item_has_content(item)) {
        caposro1_node_set_first_block(record, *block);
        *block += div_up_u64(node->size_bytes, RO1_BLOCK_BYTES);
    }
    if (node->kind == TREE_DIR) {
        caposro1_node_set_first_child(record, item->first_child);
        caposro1_node_set_child_count(record, node->n_children);
    }
    if (node->kind == TREE_CHAR || node->kind == TREE_BLOCK) {
        caposro1_node_set_device_major(record, major(node->from.device));
        caposro1_node_set_device_minor(record, minor(node->from.device));
    }
}

/* No source had a time where the tree says 0: unknown is not zero. */
static void time_set(struct caposro1_node_mut record, const struct make_plan *plan,
                     const struct tree_node *node)
{
    if (plan->clock == CAPOSRO1_CLOCK_SOURCE_UNKNOWN || (node->mtime_s == 0 && node->mtime_ns == 0))
        return;
    caposro1_node_set_clock(record, plan->clock);
    caposro1_node_set_modified_s(record, node->mtime_s);
    caposro1_node_set_modified_ns(record, node->mtime_ns);
}

static int nodes_put(struct fs_out *out, const struct make_plan *plan, struct plat_err *err)
{
    uint64_t at = plan->nodes_block * RO1_BLOCK_BYTES, block = 1, name_offset = 0;
    for (uint32_t i = 0; i < plan->n_items; i++, at += RO1_NODE_BYTES) {
        const struct ro1_item *item = &plan->items[i];
        const struct tree_node *node = item->node;
        const size_t name_bytes = strlen(node->name);
        struct caposro1_node_mut record;
        uint8_t *bytes;
        int rc = fs_out_take(out, at, RO1_NODE_BYTES, &bytes, err);
        if (rc != 0)
            return rc;
        if (!caposro1_node_edit(bytes, RO1_NODE_BYTES, &record))
            return err_set(err, PLAT_EBUG, "a node of other than %d bytes", RO1_NODE_BYTES);
        caposro1_node_init(record);
        caposro1_node_set_kind(record, kinds[node->kind]);
        caposro1_node_set_mode(record, (uint16_t)(node->mode & RO1_MODE_BITS));
        caposro1_node_set_uid(record, plan->keep_owner ? node->uid : 0);
        caposro1_node_set_gid(record, plan->keep_owner ? node->gid : 0);
        caposro1_node_set_parent_node(record, item->parent);
        caposro1_node_set_name_offset(record, name_offset);
        caposro1_node_set_name_bytes(record, (uint16_t)name_bytes);
        caposro1_node_set_name_crc32c(record, hash_crc32c(0, node->name, name_bytes));
        content_set(record, item, &block);
        time_set(record, plan, node);
        caposro1_node_seal(record);
        name_offset += name_bytes + (node->kind == TREE_SYMLINK ? node->size_bytes : 0);
    }
    return 0;
}

int ro1_plan_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                   struct plat_err *err)
{
    struct fs_out out = {0};
    if (plan->block_count == 0 || dev->size_bytes / RO1_BLOCK_BYTES < plan->block_count)
        return err_set(err, PLAT_EBUG, "write before settle, or to a device of another size (%llu bytes)",
                       (unsigned long long)dev->size_bytes);
    int rc = fs_out_open(&out, dev, progress, err);
    if (rc != 0)
        return rc;
    rc = superblock_put(&out, plan, err);
    if (rc == 0)
        rc = contents_put(&out, plan, err);
    if (rc == 0)
        rc = strings_put(&out, plan, err);
    if (rc == 0)
        rc = nodes_put(&out, plan, err);
    if (rc == 0)
        rc = fs_out_flush(&out, err);
    fs_out_close(&out);
    return rc;
}
