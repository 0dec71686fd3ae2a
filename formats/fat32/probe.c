/* Is this FAT32? Decided by structure, as readers do: a plausible parameter block with a 16-bit FAT size of
 * 0. Neither 55 AA nor the type text decides (none of the readers measured looks at them); they only raise
 * the score.
 *
 *   sector 0 good                             YES (MAYBE without any further sign)
 *   sector 0 bad, its copy in sector 6 good   DAMAGED: can be opened with options.degraded
 *   only texts or FSInfo left                 DAMAGED: opens with options.degraded, without files
 *   FAT12, FAT16, exFAT, NTFS                 recognised and refused */
#include "formats/fat32/volume.h"

#include <stdio.h>

enum {
    BACKUP_SECTOR = 6, /* where every formatter puts it: the boot sector that would say so is gone */
    FAT12_MAX_CLUSTERS = 4084,
    FAT16_MAX_CLUSTERS = 65524,
    FAT16_SLOT_BYTES = 32,
    MEDIA_REMOVABLE = 0xF0,
    MEDIA_FIXED = 0xF8,
    BOOT_55AA = 0xAA55,
    FSINFO_LEAD = 0x41615252
};
#define FAT0_ONES 0x0FFFFF00u

static bool type_text_is_fat32(struct fat32_boot boot)
{
    return memcmp(fat32_boot_type_text(boot), "FAT32   ", FAT32_BOOT_TYPE_TEXT_BYTES) == 0;
}

/* Reads n bytes of the device, if it has them. Only a device that fails is an error. */
static int read_if_there(struct plat_dev *dev, uint64_t offset, uint8_t *buf, size_t n, bool *ret,
                         struct plat_err *err)
{
    *ret = range_within((struct range){offset, n}, dev->size_bytes);
    return *ret ? dev_read(dev, offset, buf, n, err) : 0;
}

/* Does a FAT begin where the geometry says? Its first entry is ones above the media byte. */
static int fat_begins(struct plat_dev *dev, const struct fat32_geometry *geo, bool *ret, struct plat_err *err)
{
    uint8_t entry[FAT32_FAT_ENTRY_BYTES] = {0};
    uint64_t offset = geo->fat_offset + geo->active_fat * geo->fat_bytes;
    bool there;
    int rc = read_if_there(dev, offset, entry, sizeof entry, &there, err);
    if (rc == 0)
        *ret = there && (load_le32(entry) & FAT0_ONES) == FAT0_ONES;
    return rc;
}

/* The same of any of the first two copies: the first sector of one may be lost as the boot sector is. */
static int any_fat_begins(struct plat_dev *dev, const struct fat32_geometry *geo, bool *ret,
                          struct plat_err *err)
{
    struct fat32_geometry second = *geo;
    int rc = fat_begins(dev, geo, ret, err);
    if (rc != 0 || *ret || !geo->mirrored || geo->num_fats < 2)
        return rc;
    second.active_fat = 1;
    return fat_begins(dev, &second, ret, err);
}

/* Looks for a usable copy of the boot sector in sector 6, for each sector size there is. */
static int backup_find(struct plat_dev *dev, struct boot_choice *ret, bool *ret_found, struct plat_err *err)
{
    *ret_found = false;
    for (uint32_t sector_bytes = 512; sector_bytes <= 4096 && !*ret_found; sector_bytes *= 2) {
        struct boot_choice found = {.source = BOOT_BACKUP};
        struct fat32_boot boot;
        bool there;
        int rc = read_if_there(dev, (uint64_t)BACKUP_SECTOR * sector_bytes, found.buf, sizeof found.buf,
                               &there, err);
        if (rc != 0)
            return rc;
        if (!there || !fat32_boot_view(found.buf, sizeof found.buf, &boot) ||
            fat32_boot_bytes_per_sector(boot) != sector_bytes ||
            (!type_text_is_fat32(boot) && fat32_boot_signature(boot) != BOOT_55AA) ||
            fat32_geometry_from_boot(boot, dev->size_bytes, &found.geo, NULL) != 0)
            continue;
        rc = any_fat_begins(dev, &found.geo, ret_found, err);
        if (rc != 0)
            return rc;
        if (*ret_found)
            *ret = found;
    }
    return 0;
}

/* The first boot sector as it would be without its 16-bit sizes: do they alone spoil it? */
static int boot_guess(struct plat_dev *dev, const struct boot_choice *first, struct boot_choice *ret,
                      bool *ret_found, struct plat_err *err)
{
    struct boot_choice guess = *first;
    struct fat32_boot_mut edit;
    *ret_found = false;
    guess.source = BOOT_GUESS;
    if (!fat32_boot_edit(guess.buf, sizeof guess.buf, &edit) ||
        fat32_boot_root_entries(fat32_boot_of(edit)) != 0)
        return 0;
    fat32_boot_set_total_sectors_16(edit, 0);
    fat32_boot_set_sectors_per_fat_16(edit, 0);
    if (fat32_geometry_from_boot(fat32_boot_of(edit), dev->size_bytes, &guess.geo, NULL) != 0)
        return 0;
    int rc = fat_begins(dev, &guess.geo, ret_found, err);
    if (rc == 0 && *ret_found)
        *ret = guess;
    return rc;
}

int fat32_choose_boot(struct plat_dev *dev, struct boot_choice *ret, struct plat_err *err)
{
    struct boot_choice first = {.source = BOOT_NONE};
    struct fat32_boot boot;
    if (dev->size_bytes < sizeof first.buf) {
        (void)err_set(&first.why, PLAT_ECORRUPT, "%llu bytes are too few for a boot sector of %d",
                      (unsigned long long)dev->size_bytes, FAT32_BOOT_BYTES);
        *ret = first;
        return 0;
    }
    int rc = dev_read(dev, 0, first.buf, sizeof first.buf, err);
    if (rc != 0)
        return rc;
    if (fat32_boot_view(first.buf, sizeof first.buf, &boot) &&
        fat32_geometry_from_boot(boot, dev->size_bytes, &first.geo, &first.why) == 0)
        first.source = BOOT_FIRST;
    bool found = false;
    if (first.source == BOOT_FIRST && (rc = fat_begins(dev, &first.geo, &found, err)) != 0)
        return rc;
    if (found) {
        *ret = first;
        return 0;
    }
    /* Sizes can be wrong and still look right; then there is no FAT where they put it, and the copy decides.
     */
    struct boot_choice other;
    if ((rc = backup_find(dev, &other, &found, err)) != 0)
        return rc;
    if (found && memcmp(other.buf, first.buf, sizeof other.buf) != 0) {
        other.why = first.why;
        if (first.source == BOOT_FIRST)
            (void)err_at(
                &other.why, PLAT_ECORRUPT, first.geo.fat_offset, "fat[0]",
                "there is no FAT where the boot sector puts it, but there is one where its backup does");
        *ret = other;
        return 0;
    }
    if (first.source == BOOT_NONE && (rc = boot_guess(dev, &first, &other, &found, err)) != 0)
        return rc;
    *ret = first.source == BOOT_NONE && found ? other : first;
    return 0;
}

/* FAT12 or FAT16: a parameter block with a root directory area and a 16-bit FAT size. */
static bool is_older_fat(struct fat32_boot boot, char *refusal, size_t refusal_bytes)
{
    uint32_t sector_bytes = fat32_boot_bytes_per_sector(boot);
    uint32_t per_cluster = fat32_boot_sectors_per_cluster(boot);
    uint32_t fat_sectors = fat32_boot_sectors_per_fat_16(boot);
    uint32_t root_entries = fat32_boot_root_entries(boot);
    uint8_t media = fat32_boot_media(boot);
    if (!is_pow2_u64(sector_bytes) || sector_bytes < 128 || sector_bytes > 4096 ||
        !is_pow2_u64(per_cluster) || fat32_boot_reserved_sectors(boot) == 0 ||
        fat32_boot_num_fats(boot) == 0 || fat32_boot_num_fats(boot) > 4 || fat_sectors == 0 ||
        root_entries == 0 || (media != MEDIA_REMOVABLE && media < MEDIA_FIXED))
        return false;
    uint64_t total = fat32_boot_total_sectors_16(boot);
    if (total == 0)
        total = fat32_boot_total_sectors_32(boot);
    uint64_t used = fat32_boot_reserved_sectors(boot) + (uint64_t)fat32_boot_num_fats(boot) * fat_sectors +
                    div_up_u64((uint64_t)root_entries * FAT16_SLOT_BYTES, sector_bytes);
    if (used >= total)
        return false;
    uint64_t clusters = (total - used) / per_cluster;
    if (clusters > FAT16_MAX_CLUSTERS)
        return false;
    (void)snprintf(
        refusal, refusal_bytes,
        "FAT%s filesystem (%llu clusters): plat handles FAT32 only; use mtools (mdir -i IMAGE ::), or make a "
        "FAT32 of 34 MiB or more",
        clusters <= FAT12_MAX_CLUSTERS ? "12" : "16", (unsigned long long)clusters);
    return true;
}

/* Other filesystems whose boot sectors are built alike. */
static bool is_relative(struct fat32_boot boot, char *refusal, size_t refusal_bytes)
{
    const uint8_t *oem = fat32_boot_oem_name(boot);
    if (fat32_boot_num_fats(boot) != 0)
        return false;
    if (memcmp(oem, "EXFAT   ", FAT32_BOOT_OEM_NAME_BYTES) == 0)
        (void)snprintf(refusal, refusal_bytes,
                       "exFAT filesystem: plat handles FAT32 only, and no UEFI firmware boots from exFAT; "
                       "format it as FAT32");
    else if (memcmp(oem, "NTFS    ", FAT32_BOOT_OEM_NAME_BYTES) == 0)
        (void)snprintf(
            refusal, refusal_bytes,
            "NTFS filesystem: plat handles FAT32 only; use ntfs-3g to read it, or format it as FAT32");
    else
        return false;
    return true;
}

/* Is there an FSInfo sector where a formatter puts it? */
static int fsinfo_remains(struct plat_dev *dev, bool *ret, struct plat_err *err)
{
    uint8_t buf[FAT32_FSINFO_BYTES];
    struct fat32_fsinfo fsinfo;
    bool there;
    int rc = read_if_there(dev, FAT32_BOOT_BYTES, buf, sizeof buf, &there, err);
    if (rc == 0)
        *ret = there && fat32_fsinfo_view(buf, sizeof buf, &fsinfo) &&
               fat32_fsinfo_lead_signature(fsinfo) == FSINFO_LEAD;
    return rc;
}

/* FAT may have sectors of 1024 and 2048 bytes; no disk has: those tell nothing of the disk below. */
static uint32_t disk_sector_bytes(uint32_t sector_bytes)
{
    return sector_bytes == 512 || sector_bytes == 4096 ? sector_bytes : 0;
}

int fat32_probe(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                struct plat_err *err)
{
    (void)options; /* the boot sector carries its own sector size */
    struct fs_probe_result result = {.score = FS_PROBE_NO};
    struct boot_choice choice;
    struct fat32_boot boot;
    if (dev->size_bytes < FAT32_BOOT_BYTES) {
        *ret = result;
        return 0;
    }
    uint8_t first[FAT32_BOOT_BYTES];
    int rc = dev_read(dev, 0, first, sizeof first, err);
    if (rc == 0)
        rc = fat32_choose_boot(dev, &choice, err);
    if (rc != 0)
        return rc;
    if (!fat32_boot_view(first, sizeof first, &boot))
        return err_set(err, PLAT_EBUG, "a boot sector of other than %d bytes", FAT32_BOOT_BYTES);

    uint8_t media = fat32_boot_media(boot);
    bool has_text = type_text_is_fat32(boot);
    bool has_55aa = fat32_boot_signature(boot) == BOOT_55AA;
    if (choice.source == BOOT_FIRST) {
        result.sector_bytes = disk_sector_bytes(choice.geo.sector_bytes);
        bool sign = has_text || has_55aa || media == MEDIA_REMOVABLE || media >= MEDIA_FIXED;
        if (!sign && (rc = fat_begins(dev, &choice.geo, &sign, err)) != 0)
            return rc;
        result.score = sign ? FS_PROBE_YES : FS_PROBE_MAYBE;
    } else if (is_relative(boot, result.refusal, sizeof result.refusal) ||
               is_older_fat(boot, result.refusal, sizeof result.refusal)) {
        /* Before the backup: it may be left from what was here before. */
        result.sector_bytes = disk_sector_bytes(fat32_boot_bytes_per_sector(boot));
        result.score = has_55aa ? FS_PROBE_YES : FS_PROBE_MAYBE;
    } else if (choice.source != BOOT_NONE) {
        result.sector_bytes = disk_sector_bytes(choice.geo.sector_bytes);
        result.score = FS_PROBE_DAMAGED;
    } else {
        bool remains = has_text;
        if (!remains && (rc = fsinfo_remains(dev, &remains, err)) != 0)
            return rc;
        result.score = remains ? FS_PROBE_DAMAGED : FS_PROBE_NO;
    }
    *ret = result;
    return 0;
}
