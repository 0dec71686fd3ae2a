/* The FAT32 driver: opening a volume, and the questions that callers ask of it.
 *
 *   sector 0          boot sector           -> struct fat32_geometry
 *   reserved sectors  FSInfo, backups
 *   FAT 0, FAT 1      chains                -> table.c
 *   clusters          directories, files    -> dir.c, dir_tree.c, read.c
 *
 * A node id is the byte offset of a short directory entry; nothing is kept in memory for it. */
#include "formats/fat32/volume.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLOT_BYTES = FAT32_SHORT_ENTRY_BYTES, BOOT_SIGNATURE_ALL = 0x29, BOOT_SIGNATURE_ID = 0x28 };

static void volume_free(struct volume *vol)
{
    fat_forget(vol);
    cluster_set_close(&vol->followed);
    if (vol->last_dir != NULL)
        dir_free(vol->last_dir);
    free(vol->last_dir);
    free(vol);
}

/* Can a volume whose boot sector is not to be believed be opened? A refusal by name, or what is wrong with
 * the boot sector and what would help. */
static int open_allowed(struct plat_dev *dev, const struct fs_open_options *options,
                        const struct boot_choice *choice, struct plat_err *err)
{
    struct fs_probe_result probe;
    if (choice->source == BOOT_FIRST)
        return 0;
    int rc = fat32_probe(dev, options, &probe, err);
    if (rc != 0)
        return rc;
    if (probe.refusal[0] != '\0')
        return err_set(err, PLAT_EUNSUPPORTED, "%s", probe.refusal);
    if (options->degraded && probe.score > FS_PROBE_NO)
        return 0;
    if (err != NULL)
        *err = choice->why;
    if (choice->source == BOOT_BACKUP)
        (void)err_prefix(err, "the boot sector is damaged, its backup is good: `plat repair` restores it, "
                              "`plat verify` tells more");
    return PLAT_ECORRUPT;
}

static int fat32_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                      struct fs **ret, struct plat_err *err)
{
    struct boot_choice choice;
    struct fat32_boot boot;
    int rc = fat32_choose_boot(dev, &choice, err);
    if (rc != 0)
        return rc;
    rc = open_allowed(dev, options, &choice, err);
    if (rc != 0)
        return rc;
    if (!fat32_boot_view(choice.buf, sizeof choice.buf, &boot))
        return err_set(err, PLAT_EBUG, "a boot sector of other than %d bytes", FAT32_BOOT_BYTES);
    struct volume *vol = calloc(1, sizeof *vol);
    if (vol == NULL)
        return err_nomem(err, "opening a FAT32 volume");
    vol->fs = (struct fs){.driver = &fat32_driver, .dev = dev, .image = image};
    /* With no boot sector at all there is no cluster, and nothing below asks for one. */
    static const struct fat32_geometry nothing = {
        .sector_bytes = 512, .sectors_per_cluster = 1, .cluster_bytes = 512};
    vol->geo = choice.source == BOOT_NONE ? nothing : choice.geo;
    vol->degraded = options->degraded;
    vol->boot = choice.source;
    vol->fat_offset = vol->geo.fat_offset + vol->geo.active_fat * vol->geo.fat_bytes;
    vol->last_cluster = vol->geo.usable_clusters + FAT32_FIRST_CLUSTER - 1;
    vol->hidden_sectors = fat32_boot_hidden_sectors(boot);
    uint8_t signature = fat32_boot_boot_signature(boot);
    if (signature == BOOT_SIGNATURE_ALL || signature == BOOT_SIGNATURE_ID)
        vol->volume_id = fat32_boot_volume_id(boot);
    vol->has_label = signature == BOOT_SIGNATURE_ALL;
    memcpy(vol->label, fat32_boot_volume_label(boot), sizeof vol->label);
    fat_forget(vol);
    *ret = &vol->fs;
    return 0;
}

static void fat32_close(struct fs *fs)
{
    volume_free(volume_of(fs));
}

static int fat32_root(struct fs *fs, uint64_t *ret_node, struct plat_err *err)
{
    (void)fs;
    (void)err;
    *ret_node = FAT_ROOT_NODE;
    return 0;
}

int fat32_entry_of(struct volume *vol, uint64_t node, struct dir_entry *ret, struct plat_err *err)
{
    uint8_t slot[SLOT_BYTES];
    uint64_t end = vol->geo.data_offset + (uint64_t)vol->geo.usable_clusters * vol->geo.cluster_bytes;
    if (node % SLOT_BYTES != 0 || node < vol->geo.data_offset || node >= end)
        return err_set(err, PLAT_EINVALID, "node %llu is no directory entry of this volume",
                       (unsigned long long)node);
    int rc = dev_read(vol->fs.dev, node, slot, sizeof slot, err);
    if (rc != 0)
        return rc;
    if (slot[0] == 0 || slot_kind_of(slot) != SLOT_NODE)
        return err_at(err, PLAT_EINVALID, node, NULL, "there is no file or directory entry at this offset");
    return dir_entry_decode(slot, ret, err);
}

/* The slots of a directory, from the last look when it was the same one. */
static int volume_dir(struct volume *vol, uint64_t node, const struct dir **ret, struct plat_err *err)
{
    uint32_t first_cluster = vol->geo.root_cluster;
    if (node != FAT_ROOT_NODE) {
        struct dir_entry entry;
        int rc = fat32_entry_of(vol, node, &entry, err);
        if (rc != 0)
            return rc;
        if (!entry.is_dir)
            return err_at(err, PLAT_EINVALID, node, NULL, "'%s' is not a directory", entry.name);
        first_cluster = entry.first_cluster;
    }
    if (vol->last_dir == NULL) {
        vol->last_dir = calloc(1, sizeof *vol->last_dir);
        if (vol->last_dir == NULL)
            return err_nomem(err, "reading a directory");
    }
    struct dir *dir = vol->last_dir;
    if (dir->n_bytes == 0 || dir->first_cluster != first_cluster) {
        int rc = dir_load(vol, first_cluster, NULL, dir, err);
        if (rc != 0) {
            dir->n_bytes = 0;
            return rc;
        }
    }
    if (dir->fault != DIR_WHOLE && (!vol->degraded || dir->n_bytes == 0)) {
        char text[256], path[FAT_PATH_BYTES];
        (void)dir_fault_text(vol, dir, text, sizeof text);
        if (dir->fault_cluster != 0)
            return err_at(err, PLAT_ECORRUPT, fat_entry_offset(vol, dir->fault_cluster),
                          fat_entry_path(vol, dir->fault_cluster, path),
                          "a directory cannot be read: %s; run plat verify", text);
        return err_at(err, PLAT_ECORRUPT, node == FAT_ROOT_NODE ? 0 : node,
                      node == FAT_ROOT_NODE ? "boot.root_cluster" : NULL,
                      "a directory cannot be read: %s; run plat verify", text);
    }
    *ret = dir;
    return 0;
}

static int fat32_readdir(struct fs *fs, uint64_t dir_node, fs_dirent_fn fn, void *ctx, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    const struct dir *dir;
    int rc = volume_dir(vol, dir_node, &dir, err);
    if (rc != 0)
        return rc;
    /* The callback may look into other directories: the slots must stay while it does. */
    struct dir *mine = vol->last_dir;
    vol->last_dir = NULL;
    struct dir_parser parser = {.dir = mine};
    struct dir_entry entry;
    while ((rc = dir_next(&parser, &entry, err)) == 1) {
        if (entry.kind != SLOT_NODE)
            continue;
        struct fs_dirent dirent = {.name = entry.name,
                                   .node = dir_slot_offset(vol, mine, entry.slot),
                                   .kind = entry.is_dir ? TREE_DIR : TREE_FILE};
        rc = fn(ctx, &dirent);
        if (rc != 0)
            break;
    }
    if (vol->last_dir != NULL) {
        dir_free(mine);
        free(mine);
    } else {
        vol->last_dir = mine;
    }
    return rc;
}

/* How well an entry answers to a name: exactly, in other case, by its 8.3 name. */
enum match { MATCH_NONE, MATCH_SHORT, MATCH_FOLDED, MATCH_EXACT };
struct wanted {
    const char *name;
    size_t name_bytes;
    uint16_t units[FAT32_LONG_UNITS_MAX];
    size_t n_units;
};

static bool same_folded(const struct wanted *wanted, const char *name)
{
    uint16_t units[FAT32_LONG_UNITS_MAX];
    size_t n = fat32_name_fold(name, units);
    return n == wanted->n_units && memcmp(units, wanted->units, n * sizeof units[0]) == 0;
}

static enum match entry_match(const struct wanted *wanted, const struct dir_entry *entry)
{
    char short_name[FAT32_SHORT_TEXT_BYTES];
    if (entry->name_bytes == wanted->name_bytes && memcmp(entry->name, wanted->name, wanted->name_bytes) == 0)
        return MATCH_EXACT;
    if (same_folded(wanted, entry->name))
        return MATCH_FOLDED;
    if (!entry->has_long)
        return MATCH_NONE;
    (void)fat32_short_to_name(entry->short_name, 0, short_name);
    return same_folded(wanted, short_name) ? MATCH_SHORT : MATCH_NONE;
}

static int fat32_lookup(struct fs *fs, uint64_t dir_node, const char *name, uint64_t *ret_node,
                        struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    const struct dir *dir;
    int rc = volume_dir(vol, dir_node, &dir, err);
    if (rc != 0)
        return rc;
    struct wanted wanted = {.name = name, .name_bytes = strlen(name)};
    wanted.n_units = fat32_name_fold(name, wanted.units);
    struct dir_parser parser = {.dir = dir};
    struct dir_entry entry;
    enum match best = MATCH_NONE;
    uint32_t best_slot = 0;
    while (best != MATCH_EXACT && (rc = dir_next(&parser, &entry, err)) == 1) {
        if (entry.kind != SLOT_NODE)
            continue;
        enum match match = entry_match(&wanted, &entry);
        if (match > best) {
            best = match;
            best_slot = entry.slot;
        }
    }
    if (rc < 0)
        return rc;
    if (best == MATCH_NONE)
        return err_set(err, PLAT_ENOTFOUND, "there is no '%s' in this directory", name);
    *ret_node = dir_slot_offset(vol, dir, best_slot);
    return 0;
}

static int fat32_stat(struct fs *fs, uint64_t node, struct fs_stat *ret, struct plat_err *err)
{
    struct fs_stat stat = {.kind = TREE_DIR};
    if (node != FAT_ROOT_NODE) {
        struct dir_entry entry;
        int rc = fat32_entry_of(volume_of(fs), node, &entry, err);
        if (rc != 0)
            return rc;
        stat.kind = entry.is_dir ? TREE_DIR : TREE_FILE;
        stat.size_bytes = entry.is_dir ? 0 : entry.size_bytes;
        stat.attributes = entry.attributes &
                          (FAT32_ATTRIBUTES_READ_ONLY | FAT32_ATTRIBUTES_HIDDEN | FAT32_ATTRIBUTES_SYSTEM);
        stat.has_mtime = fat32_stamp_to_unix(entry.written, &stat.mtime_s, &stat.mtime_ns);
    }
    *ret = stat;
    return 0;
}

/* ---- space ---- */

struct space_count {
    struct volume *vol;
    struct fs_space *space;
    bool has_root_label;
    struct dir_entry entry;
};

/* Text of a label: code page bytes without the padding. */
static void label_text(const uint8_t label[FAT32_SHORT_BYTES], char *buf, size_t buf_bytes)
{
    /* A label is eleven bytes in one piece: no dot between the eighth and the ninth. Both parts go through
     * the decoder of 8.3 names by themselves. */
    uint8_t base[FAT32_SHORT_BYTES], rest[FAT32_SHORT_BYTES];
    char base_text[FAT32_SHORT_TEXT_BYTES], rest_text[FAT32_SHORT_TEXT_BYTES];
    memset(base, ' ', sizeof base);
    memset(rest, ' ', sizeof rest);
    memcpy(base, label, FAT32_SHORT_ENTRY_NAME_BYTES);
    memcpy(rest, label + FAT32_SHORT_ENTRY_NAME_BYTES, FAT32_SHORT_ENTRY_EXTENSION_BYTES);
    (void)fat32_short_to_name(base, 0, base_text);
    (void)fat32_short_to_name(rest, 0, rest_text);
    unsigned pad = 0;
    for (size_t i = FAT32_SHORT_ENTRY_NAME_BYTES; rest_text[0] != '\0' && i > 0 && label[i - 1] == ' '; i--)
        pad++;
    (void)snprintf(buf, buf_bytes, "%.24s%*s%.9s", base_text, (int)pad, "", rest_text);
}

static int count_directory(void *ctx, const struct dir_visit *visit)
{
    struct space_count *count = ctx;
    struct dir_parser parser = {.dir = visit->dir};
    int rc;
    while ((rc = dir_next(&parser, &count->entry, NULL)) == 1) {
        if (count->entry.kind == SLOT_NODE)
            count->space->n_files++;
        if (count->entry.kind == SLOT_LABEL && visit->is_root && !count->has_root_label) {
            count->has_root_label = true;
            label_text(count->entry.short_name, count->space->label, sizeof count->space->label);
        }
    }
    return rc;
}

static int fat32_space(struct fs *fs, struct fs_space *ret, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct fs_space space = {.block_bytes = vol->geo.cluster_bytes};
    uint64_t n_free = 0;
    for (uint32_t cluster = FAT32_FIRST_CLUSTER; cluster <= vol->last_cluster; cluster++) {
        uint32_t value;
        int rc = fat_get(vol, cluster, &value, err);
        if (rc != 0)
            return rc;
        n_free += value == FAT32_LINK_FREE;
    }
    space.total_bytes = (uint64_t)vol->geo.cluster_count * vol->geo.cluster_bytes;
    space.free_bytes = n_free * vol->geo.cluster_bytes;
    (void)snprintf(space.uuid, sizeof space.uuid, "%04X-%04X", vol->volume_id >> 16, vol->volume_id & 0xFFFF);
    struct space_count count = {.vol = vol, .space = &space};
    int rc = dir_tree_visit(vol, count_directory, &count, err);
    if (rc != 0)
        return rc;
    if (!count.has_root_label && vol->has_label && memcmp(vol->label, "NO NAME    ", sizeof vol->label) != 0)
        label_text(vol->label, space.label, sizeof space.label);
    *ret = space;
    return 0;
}

const struct fs_driver fat32_driver = {
    .name = "fat32",
    .title = "FAT32 filesystem",
    .layout_name = "fat32",
    .probe = fat32_probe,
    .open = fat32_open,
    .close = fat32_close,
    .root = fat32_root,
    .lookup = fat32_lookup,
    .readdir = fat32_readdir,
    .stat = fat32_stat,
    .read = fat32_read,
    .space = fat32_space,
    .walk = fat32_walk,
    .check = fat32_check,
    .repair = fat32_repair,
    .maker = &fat32_maker,
};
