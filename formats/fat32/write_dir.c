/* Directory entries.
 *
 *   root:         label?  child, child, ...
 *   elsewhere:    .  ..   child, child, ...
 *   child:        long-name pieces, last piece first; then the entry with the 8.3 name
 *
 * A long name is written only where the 8.3 name and its two case bits do not give the name back: Windows,
 * mtools, Linux and UEFI all honour the bits, and one entry a file is saved. */
#include "formats/fat32/plan.h"
#include "lib/fs/out.h"
#include "lib/hash/hash.h"

enum { LONG_PADDING = 0xFFFF, LONG_END = 0x0000 };

static const uint8_t DOT_NAME[FAT32_SHORT_BYTES + 1] = ".          ";
static const uint8_t DOT_DOT_NAME[FAT32_SHORT_BYTES + 1] = "..         ";

/* Entries go one behind the other; a directory of 2 MiB does not fit in the buffer as a whole. */
struct slots {
    struct fs_out *out;
    uint64_t offset;
};

static int slot_take(struct slots *slots, uint8_t **ret, struct plat_err *err)
{
    int r = fs_out_take(slots->out, slots->offset, FAT32_DIR_ENTRY_BYTES, ret, err);
    slots->offset += FAT32_DIR_ENTRY_BYTES;
    return r;
}

/* ---- the entry with the short name ---- */

static int short_put(struct slots *slots, const uint8_t name[FAT32_SHORT_BYTES], uint8_t attributes,
                     uint8_t name_case, struct fat32_stamp stamp, uint32_t first_cluster, uint32_t size_bytes,
                     struct plat_err *err)
{
    struct fat32_short_entry_mut entry;
    uint8_t *bytes;

    int r = slot_take(slots, &bytes, err);
    if (r < 0)
        return r;
    if (!fat32_short_entry_edit(bytes, FAT32_DIR_ENTRY_BYTES, &entry))
        return err_set(err, PLAT_EBUG, "a short entry is larger than a directory slot");
    fat32_short_entry_init(entry);
    fat32_short_entry_set_name(entry, name);
    fat32_short_entry_set_extension(entry, name + FAT32_SHORT_ENTRY_NAME_BYTES);
    fat32_short_entry_set_attributes(entry, attributes);
    fat32_short_entry_set_case(entry, name_case);
    fat32_short_entry_set_create_tenths(entry, stamp.tenths);
    fat32_short_entry_set_create_time(entry, stamp.time);
    fat32_short_entry_set_create_date(entry, stamp.date);
    fat32_short_entry_set_access_date(entry, stamp.date);
    fat32_short_entry_set_write_time(entry, stamp.time);
    fat32_short_entry_set_write_date(entry, stamp.date);
    fat32_short_entry_set_first_cluster_high(entry, (uint16_t)(first_cluster >> 16));
    fat32_short_entry_set_first_cluster_low(entry, (uint16_t)first_cluster);
    fat32_short_entry_set_size_bytes(entry, size_bytes);
    return 0;
}

static int label_put(struct slots *slots, const struct make_plan *plan, struct plat_err *err)
{
    struct fat32_stamp stamp = fat32_stamp_from_unix(plan->volume_time_s, 0);
    struct fat32_label_entry_mut entry;
    uint8_t *bytes;

    int r = slot_take(slots, &bytes, err);
    if (r < 0)
        return r;
    if (!fat32_label_entry_edit(bytes, FAT32_DIR_ENTRY_BYTES, &entry))
        return err_set(err, PLAT_EBUG, "a label entry is larger than a directory slot");
    fat32_label_entry_init(entry);
    fat32_label_entry_set_label(entry, plan->label);
    fat32_label_entry_set_attributes(entry, FAT32_ATTRIBUTES_VOLUME_ID);
    fat32_label_entry_set_create_time(entry, stamp.time);
    fat32_label_entry_set_create_date(entry, stamp.date);
    fat32_label_entry_set_access_date(entry, stamp.date);
    fat32_label_entry_set_write_time(entry, stamp.time);
    fat32_label_entry_set_write_date(entry, stamp.date);
    return 0;
}

/* ---- long names ---- */

/* Unit i of the 13 of a piece. */
static void piece_set(struct fat32_long_entry_mut entry, size_t i, uint16_t unit)
{
    if (i < FAT32_LONG_ENTRY_NAME_1_UNITS)
        fat32_long_entry_set_name_1(entry, i, unit);
    else if (i < FAT32_LONG_ENTRY_NAME_1_UNITS + FAT32_LONG_ENTRY_NAME_2_UNITS)
        fat32_long_entry_set_name_2(entry, i - FAT32_LONG_ENTRY_NAME_1_UNITS, unit);
    else
        fat32_long_entry_set_name_3(entry, i - FAT32_LONG_ENTRY_NAME_1_UNITS - FAT32_LONG_ENTRY_NAME_2_UNITS,
                                    unit);
}

static int long_put(struct slots *slots, const struct fat32_item *item, struct plat_err *err)
{
    uint16_t units[FAT32_LONG_UNITS_MAX];
    size_t n = 0;
    int r = fat32_name_to_units(item->node->name, units, &n, err);
    uint8_t checksum = hash_sum8ror(0, item->short_name, FAT32_SHORT_BYTES);

    for (uint8_t piece = (uint8_t)(item->slots - 1); r == 0 && piece > 0; piece--) {
        struct fat32_long_entry_mut entry;
        uint8_t *bytes;
        size_t first = (piece - 1u) * FAT32_LONG_UNITS_EACH;

        r = slot_take(slots, &bytes, err);
        if (r < 0)
            return r;
        if (!fat32_long_entry_edit(bytes, FAT32_DIR_ENTRY_BYTES, &entry))
            return err_set(err, PLAT_EBUG, "a long entry is larger than a directory slot");
        fat32_long_entry_init(entry);
        uint8_t order = fat32_long_order_with_number(0, piece);
        fat32_long_entry_set_order(entry, fat32_long_order_with_last(order, piece == item->slots - 1));
        fat32_long_entry_set_checksum(entry, checksum);
        for (size_t i = 0; i < FAT32_LONG_UNITS_EACH; i++)
            piece_set(entry, i,
                      first + i < n    ? units[first + i]
                      : first + i == n ? (uint16_t)LONG_END
                                       : (uint16_t)LONG_PADDING);
    }
    return r;
}

/* ---- a directory ---- */

static int child_put(struct slots *slots, const struct fat32_item *item, struct plat_err *err)
{
    const struct tree_node *node = item->node;
    uint16_t chosen =
        node->attributes & (FAT32_ATTRIBUTES_READ_ONLY | FAT32_ATTRIBUTES_HIDDEN | FAT32_ATTRIBUTES_SYSTEM);
    bool is_dir = fat32_item_is_dir(item);

    if (item->slots > 1) {
        int r = long_put(slots, item, err);
        if (r < 0)
            return r;
    }
    return short_put(slots, item->short_name,
                     (uint8_t)(chosen | (is_dir ? FAT32_ATTRIBUTES_DIRECTORY : FAT32_ATTRIBUTES_ARCHIVE)),
                     item->name_case, fat32_stamp_from_unix(node->mtime_s, node->mtime_ns),
                     item->first_cluster, is_dir ? 0 : (uint32_t)node->size_bytes, err);
}

int fat32_write_directory(struct fs_out *out, const struct make_plan *plan, uint32_t index,
                          struct plat_err *err)
{
    const struct fat32_item *dir = &plan->items[index];
    struct slots slots = {.out = out, .offset = fat32_cluster_offset(&plan->geo, dir->first_cluster)};
    int r = 0;

    if (index == 0) {
        if (plan->has_label)
            r = label_put(&slots, plan, err);
    } else {
        struct fat32_stamp stamp = fat32_stamp_from_unix(dir->node->mtime_s, dir->node->mtime_ns);
        /* The root has a cluster like any other directory, but goes by the number 0 here. */
        uint32_t up = dir->parent == 0 ? 0 : plan->items[dir->parent].first_cluster;
        r = short_put(&slots, DOT_NAME, FAT32_ATTRIBUTES_DIRECTORY, 0, stamp, dir->first_cluster, 0, err);
        if (r == 0)
            r = short_put(&slots, DOT_DOT_NAME, FAT32_ATTRIBUTES_DIRECTORY, 0, stamp, up, 0, err);
    }
    for (uint32_t i = 0; r == 0 && i < dir->node->n_children; i++)
        r = child_put(&slots, &plan->items[dir->first_child + i], err);
    return r;
}
