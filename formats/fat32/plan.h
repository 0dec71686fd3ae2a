/* The plan of a FAT32 volume: every file and directory of a tree with its 8.3 name and its place. Private to
 * the maker (plan*.c, write*.c, maker.c).
 *
 *   items[]  the root, then each directory's children side by side, in name order: 40 bytes a node
 *   order[]  the same in the order of their clusters: a directory, its files, then each directory in it
 * likewise
 *
 * Every file is one run of clusters, so the FATs follow from order[] alone and are never held in memory. */
#ifndef PLAT_FORMATS_FAT32_PLAN_H
#define PLAT_FORMATS_FAT32_PLAN_H

#include "formats/fat32/fat32.h"

enum { FAT32_LABEL_BYTES = FAT32_BOOT_VOLUME_LABEL_BYTES, FAT32_CLUSTER_SIZES = 8 };

struct fat32_item {
    const struct tree_node *node;
    uint32_t parent;        /* item; the root's is the root */
    uint32_t first_child;   /* item; directories only: node->n_children of them */
    uint32_t first_cluster; /* after settle; 0: none (empty file) */
    uint32_t dir_slots;     /* directories: entries of 32 bytes */
    uint8_t short_name[FAT32_SHORT_BYTES];
    uint8_t name_case;
    uint8_t slots;   /* that its own name takes in its parent: 1 + long-name pieces */
    bool needs_tail; /* while naming: short_name is a basis that gets a number */
};

struct make_plan {
    struct tree *tree;
    struct fat32_item *items;
    uint32_t n_items;
    uint32_t *order;

    struct fat32_wish wish;
    uint64_t first_sector;
    uint32_t volume_id;
    bool has_volume_id;               /* chosen, not derived */
    uint8_t label[FAT32_LABEL_BYTES]; /* space-padded */
    bool has_label;
    uint8_t oem[FAT32_BOOT_OEM_NAME_BYTES]; /* space-padded */
    uint8_t drive_number;
    int64_t volume_time_s;

    uint64_t clusters_needed[FAT32_CLUSTER_SIZES]; /* with clusters of 512 << i bytes */
    uint64_t
        slack_bytes; /* free space last asked of min_bytes: settle prefers a cluster size that keeps it */
    bool settled;
    struct fat32_geometry geo;
    uint32_t used_clusters;
};

static inline bool fat32_item_is_dir(const struct fat32_item *item)
{
    return item->node->kind == TREE_DIR;
}
static inline uint64_t fat32_item_bytes(const struct fat32_item *item)
{
    return fat32_item_is_dir(item) ? (uint64_t)item->dir_slots * FAT32_DIR_ENTRY_BYTES
                                   : item->node->size_bytes;
}
/* Clusters that the item occupies. A directory has at least one. */
static inline uint32_t fat32_item_clusters(const struct fat32_item *item, uint32_t cluster_bytes)
{
    uint32_t clusters = (uint32_t)div_up_u64(fat32_item_bytes(item), cluster_bytes);
    return clusters == 0 && fat32_item_is_dir(item) ? 1 : clusters;
}

/* plan.c: items, names, order, clusters_needed. plan->tree and plan->has_label are set. */
int fat32_plan_items(struct make_plan *plan, struct plat_err *err);
/* plan_names.c: names of the children of one directory; `item` has first_child set and its children in place.
 */
struct fat32_naming;
int fat32_naming_open(struct fat32_naming **ret, struct plat_err *err);
void fat32_naming_close(struct fat32_naming *naming);
int fat32_naming_directory(struct fat32_naming *naming, struct make_plan *plan, uint32_t item,
                           struct plat_err *err);
/* "'/a/b': " before err's text; returns its class. */
int fat32_plan_err(struct plat_err *err, const struct tree_node *node);
/* plan_settle.c */
int fat32_plan_min_bytes(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err);
int fat32_plan_settle(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err);
void fat32_plan_free(struct make_plan *plan);
struct fs_out;
/* write_dir.c: all entries of one directory. */
int fat32_write_directory(struct fs_out *out, const struct make_plan *plan, uint32_t index,
                          struct plat_err *err);
/* write.c */
int fat32_plan_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                     struct plat_err *err);

#endif
