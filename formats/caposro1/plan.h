/* Making an image: what is settled before the first byte is written. */
#ifndef PLAT_FORMATS_CAPOSRO1_PLAN_H
#define PLAT_FORMATS_CAPOSRO1_PLAN_H

#include "formats/caposro1/volume.h"

/* One node; its number is its index. */
struct ro1_item {
    const struct tree_node *node;
    uint32_t parent, first_child;
    uint32_t content_crc32c; /* known once the content is written */
};

struct make_plan {
    struct tree *tree;
    struct ro1_item *items;
    uint32_t n_items;
    bool keep_owner;
    enum caposro1_clock_source clock; /* unknown: version 1, without times */
    uint8_t label[CAPOSRO1_SUPERBLOCK_LABEL_BYTES];
    uint8_t uuid[CAPOSRO1_SUPERBLOCK_UUID_BYTES];
    uint32_t sector_bytes;
    uint64_t strings_block, strings_bytes, nodes_block, end_block; /* end of the tables */
    uint64_t block_count;                                          /* 0: not settled */
};
static inline bool ro1_item_has_content(const struct ro1_item *item)
{
    return item->node->kind == TREE_FILE && item->node->size_bytes > 0;
}

/* write.c */
int ro1_plan_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                   struct plat_err *err);

#endif
