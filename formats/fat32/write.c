/* The volume, front to back: reserved sectors, FATs, clusters. Nothing is written twice or out of order, so
 * the output may be a pipe; nothing is held but one buffer and the plan. */
#include "formats/fat32/plan.h"
#include "lib/fs/out.h"

enum {
    BOOT2_SECTOR = 2,
    ENTRY_BYTES = FAT32_FAT_ENTRY_BYTES,
    ENTRIES_AT_ONCE = 65536,
    AHEAD_ITEMS_MIN = 128 /* fewer are not worth the threads */
};

/* ---- reserved sectors ---- */

static int boot_put(struct fs_out *out, const struct make_plan *plan, uint64_t sector, struct plat_err *err)
{
    /* int 18h (try the next boot device), and should that return: hlt; jmp back to it. */
    static const uint8_t next_device[FAT32_BOOT_BOOT_CODE_BYTES] = {0xCD, 0x18, 0xF4, 0xEB, 0xFD};
    const struct fat32_geometry *geo = &plan->geo;
    struct fat32_boot_mut boot;
    uint8_t *bytes;

    int r = fs_out_take(out, sector * geo->sector_bytes, FAT32_BOOT_BYTES, &bytes, err);
    if (r < 0)
        return r;
    if (!fat32_boot_edit(bytes, FAT32_BOOT_BYTES, &boot))
        return err_set(err, PLAT_EBUG, "the boot sector does not fit its own size");
    fat32_boot_init(boot);
    fat32_boot_set_oem_name(boot, plan->oem);
    fat32_boot_set_bytes_per_sector(boot, (uint16_t)geo->sector_bytes);
    fat32_boot_set_sectors_per_cluster(boot, (uint8_t)geo->sectors_per_cluster);
    fat32_boot_set_reserved_sectors(boot, (uint16_t)geo->reserved_sectors);
    fat32_boot_set_num_fats(boot, (uint8_t)geo->num_fats);
    /* Read by boot code that BIOSes load, which cannot reach past 2^32 sectors anyway. */
    fat32_boot_set_hidden_sectors(boot, plan->first_sector > UINT32_MAX ? 0 : (uint32_t)plan->first_sector);
    fat32_boot_set_total_sectors_32(boot, geo->total_sectors);
    fat32_boot_set_sectors_per_fat(boot, geo->fat_sectors);
    fat32_boot_set_root_cluster(boot, geo->root_cluster);
    fat32_boot_set_fsinfo_sector(boot, (uint16_t)geo->fsinfo_sector);
    fat32_boot_set_backup_boot_sector(boot, (uint16_t)geo->backup_boot_sector);
    fat32_boot_set_drive_number(boot, plan->drive_number);
    fat32_boot_set_volume_id(boot, plan->volume_id);
    fat32_boot_set_volume_label(boot, plan->label);
    fat32_boot_set_boot_code(boot, next_device);
    return 0;
}

static int fsinfo_put(struct fs_out *out, const struct make_plan *plan, uint64_t sector, struct plat_err *err)
{
    struct fat32_fsinfo_mut fsinfo;
    uint8_t *bytes;

    int r = fs_out_take(out, sector * plan->geo.sector_bytes, FAT32_FSINFO_BYTES, &bytes, err);
    if (r < 0)
        return r;
    if (!fat32_fsinfo_edit(bytes, FAT32_FSINFO_BYTES, &fsinfo))
        return err_set(err, PLAT_EBUG, "FSInfo does not fit its own size");
    fat32_fsinfo_init(fsinfo);
    uint32_t free_clusters = plan->geo.cluster_count - plan->used_clusters;
    fat32_fsinfo_set_free_clusters(fsinfo, free_clusters);
    if (free_clusters != 0)
        fat32_fsinfo_set_next_free(fsinfo, FAT32_FIRST_CLUSTER + plan->used_clusters);
    return 0;
}

static int continuation_put(struct fs_out *out, const struct make_plan *plan, uint64_t sector,
                            struct plat_err *err)
{
    struct fat32_boot_continuation_mut more;
    uint8_t *bytes;

    int r = fs_out_take(out, sector * plan->geo.sector_bytes, FAT32_BOOT_CONTINUATION_BYTES, &bytes, err);
    if (r < 0)
        return r;
    if (!fat32_boot_continuation_edit(bytes, FAT32_BOOT_CONTINUATION_BYTES, &more))
        return err_set(err, PLAT_EBUG, "boot code does not fit its own size");
    fat32_boot_continuation_init(more);
    return 0;
}

/* Boot sector, FSInfo, more boot code; at sector 0, and again as backup. */
static int boot_set_put(struct fs_out *out, const struct make_plan *plan, uint64_t sector,
                        struct plat_err *err)
{
    int r = boot_put(out, plan, sector, err);
    if (r == 0)
        r = fsinfo_put(out, plan, sector + plan->geo.fsinfo_sector, err);
    if (r == 0)
        r = continuation_put(out, plan, sector + BOOT2_SECTOR, err);
    return r;
}

/* ---- FATs ---- */

struct fat_cursor {
    struct fs_out *out;
    uint64_t offset; /* of the next entry */
};

static int link_set(uint8_t *bytes, uint32_t link, struct plat_err *err)
{
    struct fat32_fat_entry_mut entry;

    if (!fat32_fat_entry_edit(bytes, ENTRY_BYTES, &entry))
        return err_set(err, PLAT_EBUG, "a FAT entry does not fit its own size");
    fat32_fat_entry_set_link(entry, link);
    return 0;
}

/* The chain of `n` clusters in a row from `first`. */
static int run_put(struct fat_cursor *fat, uint32_t first, uint32_t n, struct plat_err *err)
{
    for (uint32_t done = 0; done < n;) {
        uint32_t now = n - done < ENTRIES_AT_ONCE ? n - done : ENTRIES_AT_ONCE;
        uint8_t *bytes;
        int r = fs_out_take(fat->out, fat->offset, (size_t)now * ENTRY_BYTES, &bytes, err);
        for (uint32_t i = 0; r == 0 && i < now; i++, done++)
            r = link_set(bytes + (size_t)i * ENTRY_BYTES, done + 1 == n ? FAT32_LINK_END : first + done + 1,
                         err);
        if (r < 0)
            return r;
        fat->offset += (uint64_t)now * ENTRY_BYTES;
    }
    return 0;
}

static int fat_put(struct fs_out *out, const struct make_plan *plan, uint32_t number, uint8_t media,
                   struct plat_err *err)
{
    struct fat_cursor fat = {.out = out, .offset = fat32_link_offset(&plan->geo, number, 0)};
    uint8_t *bytes;

    int r = fs_out_take(out, fat.offset, FAT32_FIRST_CLUSTER * ENTRY_BYTES, &bytes, err);
    if (r == 0)
        r = link_set(bytes, (FAT32_LINK_MASK & ~0xFFu) | media, err);
    if (r == 0)
        r = link_set(bytes + ENTRY_BYTES, FAT32_LINK_END, err);
    fat.offset += FAT32_FIRST_CLUSTER * ENTRY_BYTES;
    for (uint32_t i = 0; r == 0 && i < plan->n_items; i++) {
        const struct fat32_item *item = &plan->items[plan->order[i]];
        if (item->first_cluster != 0)
            r = run_put(&fat, item->first_cluster, fat32_item_clusters(item, plan->geo.cluster_bytes), err);
    }
    return r;
}

/* The media byte that a fresh boot sector has, so that FAT[0] repeats it. */
static int media_of(uint8_t *ret, struct plat_err *err)
{
    uint8_t bytes[FAT32_BOOT_BYTES];
    struct fat32_boot_mut boot;

    if (!fat32_boot_edit(bytes, sizeof(bytes), &boot))
        return err_set(err, PLAT_EBUG, "the boot sector does not fit its own size");
    fat32_boot_init(boot);
    *ret = fat32_boot_media(fat32_boot_of(boot));
    return 0;
}

/* ---- all ---- */

/* The files with content in the order of their clusters, for tree_ahead. */
struct file_order {
    const struct make_plan *plan;
    uint32_t i; /* in plan->order */
};

static const struct tree_node *file_order_next(void *ctx)
{
    struct file_order *order = ctx;
    while (order->i < order->plan->n_items) {
        const struct fat32_item *item = &order->plan->items[order->plan->order[order->i++]];
        if (!fat32_item_is_dir(item) && item->first_cluster != 0)
            return item->node;
    }
    return NULL;
}

static int clusters_put(struct fs_out *out, struct make_plan *plan, struct plat_err *err)
{
    struct file_order order = {.plan = plan};
    int r = 0;

    if (plan->n_items >= AHEAD_ITEMS_MIN)
        r = tree_ahead_open(plan->tree, file_order_next, &order, &out->ahead, err);
    for (uint32_t i = 0; r == 0 && i < plan->n_items; i++) {
        uint32_t index = plan->order[i];
        const struct fat32_item *item = &plan->items[index];
        if (fat32_item_is_dir(item))
            r = fat32_write_directory(out, plan, index, err);
        else if (item->first_cluster != 0)
            r = fs_out_content(out, fat32_cluster_offset(&plan->geo, item->first_cluster), plan->tree,
                               item->node, NULL, err);
    }
    tree_ahead_close(out->ahead);
    out->ahead = NULL;
    return r;
}

int fat32_plan_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                     struct plat_err *err)
{
    struct fs_out out = {0};
    uint8_t media = 0;

    if (!plan->settled || dev->size_bytes < plan->geo.end_offset)
        return err_set(err, PLAT_EBUG, "write before settle, or to a device of another size (%llu bytes)",
                       (unsigned long long)dev->size_bytes);
    int r = media_of(&media, err);
    if (r == 0)
        r = fs_out_open(&out, dev, progress, err);
    if (r < 0)
        return r;
    r = boot_set_put(&out, plan, 0, err);
    if (r == 0)
        r = boot_set_put(&out, plan, plan->geo.backup_boot_sector, err);
    for (uint32_t number = 0; r == 0 && number < plan->geo.num_fats; number++)
        r = fat_put(&out, plan, number, media, err);
    if (r == 0)
        r = clusters_put(&out, plan, err);
    if (r == 0)
        r = fs_out_flush(&out, err);
    fs_out_close(&out);
    return r;
}
