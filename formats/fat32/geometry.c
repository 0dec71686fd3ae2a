/* FAT32 geometry: from a boot sector, and the choice of one for a new volume.
 *
 *   total = reserved + num_fats * fat_sectors + clusters * sectors_per_cluster + rest
 *
 *   fat_sectors is the smallest F with  clusters(F) + 2 <= F * sector_bytes / 4
 *   reserved    is at least 32 and makes the data area begin on a cluster and on 4 KiB
 *   clusters    is at least 65,525 + 16 (fewer, and firmware takes the volume for FAT16)
 *
 * Microsoft FAT32 File System Specification 1.03; measured behaviour of readers: reference/FAT32_FORMAT.md.
 */
#include "formats/fat32/fat32.h"

enum {
    SECTOR_BYTES_MIN = 512,
    SECTOR_BYTES_MAX = 4096,
    SECTORS_PER_CLUSTER_MAX = 128,
    RESERVED_DEFAULT = 32,
    RESERVED_MIN = 9, /* the backup set lies in sectors 6 to 8 */
    RESERVED_MAX = 65535,
    DATA_ALIGN_BYTES = 4096, /* so that extents can be shared with reflinks */
    ENTRY_BYTES = FAT32_FAT_ENTRY_BYTES,
    ALIGN_ROUNDS = 64
};

static const uint64_t KIB = 1024, MIB = 1024 * 1024, GIB = 1024 * 1024 * 1024;

/* ---- from a boot sector ---- */

/* What reading cannot do without. */
static int boot_fields_check(struct fat32_boot boot, struct plat_err *err)
{
    uint32_t sector_bytes = fat32_boot_bytes_per_sector(boot);
    uint32_t sectors_per_cluster = fat32_boot_sectors_per_cluster(boot);

    if (!is_pow2_u64(sector_bytes) || sector_bytes < SECTOR_BYTES_MIN || sector_bytes > SECTOR_BYTES_MAX) {
        err_at(err, PLAT_ECORRUPT, 0, "boot.bytes_per_sector",
               "sectors of %u bytes, where FAT32 has 512, 1024, 2048 or 4096", sector_bytes);
        return PLAT_ECORRUPT;
    }
    if (!is_pow2_u64(sectors_per_cluster)) {
        err_at(err, PLAT_ECORRUPT, 0, "boot.sectors_per_cluster",
               "%u sectors per cluster, where a power of two from 1 to 128 is needed", sectors_per_cluster);
        return PLAT_ECORRUPT;
    }
    if (fat32_boot_reserved_sectors(boot) == 0) {
        err_at(err, PLAT_ECORRUPT, 0, "boot.reserved_sectors",
               "no reserved sectors, where at least this boot sector is one");
        return PLAT_ECORRUPT;
    }
    if (fat32_boot_num_fats(boot) == 0) {
        err_at(err, PLAT_ECORRUPT, 0, "boot.num_fats", "0 file allocation tables, where 1 or 2 are needed");
        return PLAT_ECORRUPT;
    }
    if (fat32_boot_sectors_per_fat_16(boot) != 0) {
        err_at(err, PLAT_ECORRUPT, 0, "boot.sectors_per_fat_16",
               "the 16-bit FAT size is %u, where FAT32 has 0: every reader takes this for FAT12 or FAT16",
               fat32_boot_sectors_per_fat_16(boot));
        return PLAT_ECORRUPT;
    }
    if (fat32_boot_sectors_per_fat(boot) == 0) {
        err_at(err, PLAT_ECORRUPT, 0, "boot.sectors_per_fat", "a FAT of 0 sectors");
        return PLAT_ECORRUPT;
    }
    return 0;
}

int fat32_geometry_from_boot(struct fat32_boot boot, uint64_t device_bytes, struct fat32_geometry *ret,
                             struct plat_err *err)
{
    int r = boot_fields_check(boot, err);
    if (r < 0)
        return r;

    struct fat32_geometry geo = {
        .sector_bytes = fat32_boot_bytes_per_sector(boot),
        .sectors_per_cluster = fat32_boot_sectors_per_cluster(boot),
        .reserved_sectors = fat32_boot_reserved_sectors(boot),
        .num_fats = fat32_boot_num_fats(boot),
        .fat_sectors = fat32_boot_sectors_per_fat(boot),
        .total_sectors = fat32_boot_total_sectors_16(boot),
        .root_cluster = fat32_boot_root_cluster(boot),
        .fsinfo_sector = fat32_boot_fsinfo_sector(boot),
        .backup_boot_sector = fat32_boot_backup_boot_sector(boot),
        .mirrored = true,
    };
    if (geo.total_sectors == 0)
        geo.total_sectors = fat32_boot_total_sectors_32(boot);
    geo.cluster_bytes = geo.sector_bytes * geo.sectors_per_cluster;

    uint64_t first_data = geo.reserved_sectors + (uint64_t)geo.num_fats * geo.fat_sectors;
    if (first_data + geo.sectors_per_cluster > geo.total_sectors)
        return err_at(
            err, PLAT_ECORRUPT, 0, "boot.total_sectors_32",
            "the volume has %u sectors, but reserved sectors and FATs take %llu of them and leave no cluster",
            geo.total_sectors, (unsigned long long)first_data);
    geo.first_data_sector = (uint32_t)first_data;
    geo.cluster_count = (geo.total_sectors - geo.first_data_sector) / geo.sectors_per_cluster;
    geo.fat_offset = (uint64_t)geo.reserved_sectors * geo.sector_bytes;
    geo.fat_bytes = (uint64_t)geo.fat_sectors * geo.sector_bytes;
    geo.data_offset = first_data * geo.sector_bytes;
    geo.end_offset = (uint64_t)geo.total_sectors * geo.sector_bytes;

    uint64_t usable = geo.cluster_count;
    uint64_t entries = geo.fat_bytes / ENTRY_BYTES;
    uint64_t on_device =
        device_bytes < geo.data_offset ? 0 : (device_bytes - geo.data_offset) / geo.cluster_bytes;
    if (usable > entries - FAT32_FIRST_CLUSTER)
        usable = entries - FAT32_FIRST_CLUSTER;
    if (usable > on_device)
        usable = on_device;
    if (usable > FAT32_MAX_CLUSTERS)
        usable = FAT32_MAX_CLUSTERS;
    geo.usable_clusters = (uint32_t)usable;

    if (geo.fsinfo_sector >= geo.reserved_sectors)
        geo.fsinfo_sector = 0;
    if (geo.backup_boot_sector >= geo.reserved_sectors)
        geo.backup_boot_sector = 0;
    uint16_t flags = fat32_boot_ext_flags(boot);
    if (fat32_fat_mirroring_mirroring_off(flags) != 0) {
        geo.mirrored = false;
        geo.active_fat = fat32_fat_mirroring_active_fat(flags);
        if (geo.active_fat >= geo.num_fats)
            return err_at(err, PLAT_ECORRUPT, 0, "boot.ext_flags", "FAT %u is said to be the live one, of %u",
                          geo.active_fat, geo.num_fats);
    }
    *ret = geo;
    return 0;
}

/* ---- a new one ---- */

/* Sectors of the smallest FAT that has an entry for each cluster of what it leaves over; total > reserved. */
static uint64_t fat_sectors_exact(const struct fat32_geometry *geo, uint64_t total, uint64_t reserved)
{
    uint64_t room = total - reserved;
    uint64_t spc = geo->sectors_per_cluster;
    uint64_t per_sector = geo->sector_bytes / ENTRY_BYTES;
    uint64_t sectors = div_up_u64(room + FAT32_FIRST_CLUSTER * spc, spc * per_sector + geo->num_fats);

    /* The solution in real numbers may be one or two too large, because clusters are whole. */
    while (sectors > 1) {
        uint64_t fats = geo->num_fats * (sectors - 1);
        uint64_t clusters = fats >= room ? 0 : (room - fats) / spc;
        if (clusters + FAT32_FIRST_CLUSTER > (sectors - 1) * per_sector)
            break;
        sectors--;
    }
    return sectors;
}

/* Fills in reserved sectors, FAT size and cluster count for the sector, cluster and FAT numbers already in
 * geo. False when the FATs leave no room at all. */
static bool geometry_lay_out(struct fat32_geometry *geo, const struct fat32_wish *wish, uint64_t total)
{
    uint64_t reserved = wish->reserved_sectors != 0 ? wish->reserved_sectors : RESERVED_DEFAULT;
    uint64_t align = DATA_ALIGN_BYTES / geo->sector_bytes;
    if (align < geo->sectors_per_cluster)
        align = geo->sectors_per_cluster;

    uint64_t fat = 0, first = 0;
    for (unsigned round = 0; round < ALIGN_ROUNDS; round++) {
        if (total <= reserved)
            return false;
        fat = fat_sectors_exact(geo, total, reserved);
        first = reserved + geo->num_fats * fat;
        if (wish->reserved_sectors != 0 || first % align == 0)
            break;
        reserved += align - first % align;
    }
    if (reserved > RESERVED_MAX || first + geo->sectors_per_cluster > total)
        return false;

    geo->reserved_sectors = (uint32_t)reserved;
    geo->fat_sectors = (uint32_t)fat;
    geo->total_sectors = (uint32_t)total;
    geo->first_data_sector = (uint32_t)first;
    geo->cluster_count = (uint32_t)((total - first) / geo->sectors_per_cluster);
    geo->usable_clusters = geo->cluster_count;
    geo->fat_offset = reserved * geo->sector_bytes;
    geo->fat_bytes = fat * geo->sector_bytes;
    geo->data_offset = first * geo->sector_bytes;
    geo->end_offset = total * geo->sector_bytes;
    return true;
}

int fat32_wish_check(const struct fat32_wish *wish, struct plat_err *err)
{
    if (!is_pow2_u64(wish->sector_bytes) || wish->sector_bytes < SECTOR_BYTES_MIN ||
        wish->sector_bytes > SECTOR_BYTES_MAX)
        return err_set(err, PLAT_EINVALID, "FAT32 cannot have sectors of %u bytes; 512 or 4096 is usual",
                       wish->sector_bytes);
    if (wish->cluster_bytes != 0 &&
        (!is_pow2_u64(wish->cluster_bytes) || wish->cluster_bytes < wish->sector_bytes ||
         wish->cluster_bytes > 64 * KIB ||
         wish->cluster_bytes / wish->sector_bytes > SECTORS_PER_CLUSTER_MAX))
        return err_set(
            err, PLAT_EINVALID,
            "clusters of %u bytes are not possible; a power of two from %u (one sector) to %u is needed",
            wish->cluster_bytes, wish->sector_bytes, (unsigned)(64 * KIB));
    if (wish->reserved_sectors != 0 &&
        (wish->reserved_sectors < RESERVED_MIN || wish->reserved_sectors > RESERVED_MAX))
        return err_set(
            err, PLAT_EINVALID,
            "%u reserved sectors are not possible; from %d (the backup boot sectors are 6 to 8) to %d are",
            wish->reserved_sectors, RESERVED_MIN, RESERVED_MAX);
    if (wish->num_fats > 2)
        return err_set(err, PLAT_EINVALID, "%u FATs are not possible; 1 or 2 are", wish->num_fats);
    return 0;
}

static struct fat32_geometry geometry_begin(const struct fat32_wish *wish, uint32_t cluster_bytes)
{
    return (struct fat32_geometry){
        .sector_bytes = wish->sector_bytes,
        .sectors_per_cluster = cluster_bytes / wish->sector_bytes,
        .cluster_bytes = cluster_bytes,
        .num_fats = wish->num_fats != 0 ? wish->num_fats : 2,
        .root_cluster = FAT32_FIRST_CLUSTER,
        .fsinfo_sector = 1,
        .backup_boot_sector = 6,
        .mirrored = true,
    };
}

/* Microsoft's table. */
static uint32_t cluster_bytes_default(uint32_t sector_bytes, uint64_t size_bytes)
{
    uint64_t bytes = size_bytes <= 260 * MIB  ? 512
                     : size_bytes <= 8 * GIB  ? 4 * KIB
                     : size_bytes <= 16 * GIB ? 8 * KIB
                     : size_bytes <= 32 * GIB ? 16 * KIB
                                              : 32 * KIB;
    return bytes < sector_bytes ? sector_bytes : (uint32_t)bytes;
}

int fat32_geometry_min_bytes(const struct fat32_wish *wish, uint64_t clusters, uint64_t *ret,
                             struct plat_err *err)
{
    int r = fat32_wish_check(wish, err);
    if (r < 0)
        return r;
    if (wish->cluster_bytes == 0)
        return err_set(err, PLAT_EBUG, "fat32_geometry_min_bytes needs a cluster size");
    if (clusters < FAT32_SAFE_CLUSTERS)
        clusters = FAT32_SAFE_CLUSTERS;
    struct fat32_geometry geo = geometry_begin(wish, wish->cluster_bytes);
    uint64_t spc = geo.sectors_per_cluster;
    if (clusters > FAT32_MAX_CLUSTERS)
        return err_set(
            err, PLAT_ELIMIT,
            "%llu clusters of %u bytes are needed and FAT32 numbers %d at most; larger clusters would do",
            (unsigned long long)clusters, wish->cluster_bytes, FAT32_MAX_CLUSTERS);

    /* From just too small upwards: with the FATs laid out for it, each step adds whole clusters until enough
     * are there. Alignment of the data area makes this a matter of a few steps. */
    uint64_t fat = div_up_u64((clusters + FAT32_FIRST_CLUSTER) * ENTRY_BYTES, geo.sector_bytes);
    uint64_t reserved = wish->reserved_sectors != 0 ? wish->reserved_sectors : RESERVED_DEFAULT;
    uint64_t total = reserved + geo.num_fats * fat + clusters * spc;
    while (total <= UINT32_MAX) {
        if (geometry_lay_out(&geo, wish, total) && geo.cluster_count >= clusters) {
            *ret = total * geo.sector_bytes;
            return 0;
        }
        total++;
    }
    return err_set(
        err, PLAT_ELIMIT,
        "%llu clusters of %u bytes are needed, which is more than the 4,294,967,295 sectors of %u bytes that "
        "FAT32 can have",
        (unsigned long long)clusters, wish->cluster_bytes, wish->sector_bytes);
}

static int too_small(const struct fat32_wish *wish, uint64_t size_bytes, struct plat_err *err)
{
    struct fat32_wish least = *wish;
    uint64_t min_bytes = 0;
    if (least.cluster_bytes == 0)
        least.cluster_bytes = least.sector_bytes;
    int r = fat32_geometry_min_bytes(&least, 0, &min_bytes, err);
    if (r < 0)
        return r;
    return err_set(err, PLAT_EINVALID,
                   "%llu bytes are too small for FAT32 with %u-byte clusters and %u-byte sectors: firmware "
                   "takes a volume "
                   "of fewer than %d clusters for a damaged FAT16; give it at least %llu MiB (%llu bytes)",
                   (unsigned long long)size_bytes, least.cluster_bytes, wish->sector_bytes,
                   FAT32_MIN_CLUSTERS, (unsigned long long)div_up_u64(min_bytes, MIB),
                   (unsigned long long)min_bytes);
}

int fat32_geometry_choose(const struct fat32_wish *wish, uint64_t size_bytes, struct fat32_geometry *ret,
                          struct plat_err *err)
{
    int r = fat32_wish_check(wish, err);
    if (r < 0)
        return r;
    if (size_bytes % wish->sector_bytes != 0)
        return err_set(err, PLAT_EINVALID, "%llu bytes are not whole sectors of %u bytes; %llu would be",
                       (unsigned long long)size_bytes, wish->sector_bytes,
                       (unsigned long long)div_up_u64(size_bytes, wish->sector_bytes) * wish->sector_bytes);
    uint64_t total = size_bytes / wish->sector_bytes;
    if (total > UINT32_MAX)
        return err_set(err, PLAT_EINVALID,
                       "%llu sectors of %u bytes are too many for FAT32; %llu bytes are the most",
                       (unsigned long long)total, wish->sector_bytes,
                       (unsigned long long)UINT32_MAX * wish->sector_bytes);

    uint32_t cluster_bytes = wish->cluster_bytes;
    if (cluster_bytes == 0)
        cluster_bytes = cluster_bytes_default(wish->sector_bytes, size_bytes);
    for (;;) {
        struct fat32_geometry geo = geometry_begin(wish, cluster_bytes);
        bool fits = geometry_lay_out(&geo, wish, total);
        if (fits && geo.cluster_count >= FAT32_SAFE_CLUSTERS && geo.cluster_count <= FAT32_MAX_CLUSTERS) {
            *ret = geo;
            return 0;
        }
        bool many = fits && geo.cluster_count > FAT32_MAX_CLUSTERS;
        if (many && (wish->cluster_bytes != 0 || cluster_bytes >= 64 * KIB))
            return err_set(err, PLAT_EINVALID,
                           "%llu bytes make more than the %d clusters of %u bytes that FAT32 can number",
                           (unsigned long long)size_bytes, FAT32_MAX_CLUSTERS, cluster_bytes);
        if (!many && (wish->cluster_bytes != 0 || cluster_bytes <= wish->sector_bytes))
            return too_small(wish, size_bytes, err);
        cluster_bytes = many ? cluster_bytes * 2 : cluster_bytes / 2;
    }
}
