/* FAT32 geometry: every volume that is chosen obeys the rules of the format, with the FAT no larger than
 * needed, and the smallest size that messages promise is really the smallest.
 *
 * Catches: a FAT a sector too small (forgetting the two reserved entries) or too large, volumes of fewer than
 * 65,541 clusters, data areas that are not aligned, a size in a message that then fails, overflow near 2^32
 * sectors. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "formats/fat32/fat32.h"
#include "tests/unit/tap.h"

static const uint64_t KIB = 1024, MIB = 1024 * 1024, GIB = 1024 * 1024 * 1024;
/* Does a FAT of `sectors` have an entry for each cluster that it leaves room for? Written down from the
 * definition. */
static bool fat_suffices(const struct fat32_geometry *geo, uint64_t sectors)
{
    uint64_t used = geo->reserved_sectors + geo->num_fats * sectors;
    uint64_t clusters =
        used > geo->total_sectors ? 0 : (geo->total_sectors - used) / geo->sectors_per_cluster;
    return clusters + 2 <= sectors * geo->sector_bytes / 4;
}

/* NULL, or which rule the geometry breaks. */
static const char *broken_rule(const struct fat32_geometry *geo, uint64_t size_bytes)
{
    uint64_t first = geo->reserved_sectors + (uint64_t)geo->num_fats * geo->fat_sectors;

    if ((uint64_t)geo->total_sectors * geo->sector_bytes != size_bytes)
        return "total sectors are the size";
    if (geo->first_data_sector != first || geo->data_offset != first * geo->sector_bytes)
        return "data follows the FATs";
    if (geo->cluster_count != (geo->total_sectors - first) / geo->sectors_per_cluster)
        return "cluster count";
    if (geo->cluster_count < 65541 || geo->cluster_count > 0x0FFFFFF5)
        return "65,541 to 268,435,445 clusters";
    if (!fat_suffices(geo, geo->fat_sectors))
        return "the FAT holds all clusters";
    if (fat_suffices(geo, geo->fat_sectors - 1))
        return "the FAT is no larger than needed";
    if (geo->reserved_sectors < 32)
        return "32 reserved sectors";
    if (geo->data_offset % 4096 != 0 || geo->data_offset % geo->cluster_bytes != 0)
        return "the data area is aligned";
    if (geo->cluster_bytes != geo->sector_bytes * geo->sectors_per_cluster || geo->sectors_per_cluster > 128)
        return "cluster bytes";
    return NULL;
}

static void check_size(uint32_t sector_bytes, uint64_t size_bytes, uint32_t cluster_bytes_expected)
{
    struct fat32_wish wish = {.sector_bytes = sector_bytes};
    struct fat32_geometry geo = {0};
    struct plat_err err = {0};
    char what[900];

    int r = fat32_geometry_choose(&wish, size_bytes, &geo, &err);
    const char *broken = r < 0 ? err.text : broken_rule(&geo, size_bytes);
    if (broken == NULL && geo.cluster_bytes != cluster_bytes_expected)
        broken = "cluster size";
    snprintf(what, sizeof(what), "%" PRIu64 " bytes of %u: %u-byte clusters%s%s", size_bytes, sector_bytes,
             cluster_bytes_expected, broken != NULL ? "; broken: " : "", broken != NULL ? broken : "");
    ok(broken == NULL, "%s", what);
}

static void test_sizes(void)
{
    check_size(512, 33 * MIB, 512);
    check_size(512, 34 * MIB + 512, 512);
    check_size(512, 64 * MIB, 512);
    check_size(512, 260 * MIB - 512, 512);
    check_size(512, 260 * MIB, 512);
    check_size(512, 260 * MIB + 512, 2048 * 2);
    check_size(512, 512 * MIB, 4096);
    check_size(512, 510 * MIB, 4096);
    check_size(512, 8 * GIB, 4096);
    check_size(512, 8 * GIB + 512, 8192);
    check_size(512, 16 * GIB, 8192);
    check_size(512, 16 * GIB + 512, 16384);
    check_size(512, 32 * GIB, 16384);
    check_size(512, 32 * GIB + 512, 32768);
    check_size(512, 2048 * GIB - 512, 32768);
    check_size(4096, 260 * MIB, 4096);
    check_size(4096, 8 * GIB, 4096);
    check_size(4096, 8 * GIB + 4096, 8192);
    check_size(4096, 64 * GIB, 32768);
    /* 32 KiB clusters would be more than 28 bits can number. */
    check_size(4096, 16384 * GIB - 4096, 65536);
}

/* A run of sizes around where FAT sectors are added. */
static void test_every_sector(void)
{
    const char *broken = NULL;
    uint64_t at = 0;

    for (uint32_t sectors = 67000; sectors < 67600 && broken == NULL; sectors++) {
        struct fat32_wish wish = {.sector_bytes = 512, .num_fats = sectors % 2 + 1};
        struct fat32_geometry geo;
        struct plat_err err = {0};
        at = (uint64_t)sectors * 512;
        if (fat32_geometry_choose(&wish, at, &geo, &err) < 0)
            broken = "it is refused";
        else
            broken = broken_rule(&geo, at);
    }
    for (uint32_t sectors = 600000; sectors < 602000 && broken == NULL; sectors++) {
        struct fat32_wish wish = {.sector_bytes = 512, .cluster_bytes = 1024u << sectors % 3};
        struct fat32_geometry geo;
        struct plat_err err = {0};
        at = (uint64_t)sectors * 512;
        if (fat32_geometry_choose(&wish, at, &geo, &err) < 0)
            broken = "it is refused";
        else
            broken = broken_rule(&geo, at);
    }
    char what[900];
    snprintf(what, sizeof(what), "2,600 sizes in a row%s%s at %" PRIu64, broken ? "; broken: " : "",
             broken ? broken : "", at);
    ok(broken == NULL, "%s", what);
}

/* The size that min_bytes gives works, and no whole sector less does. */
static void check_min(struct fat32_wish wish, uint64_t clusters)
{
    struct fat32_geometry geo = {0};
    struct plat_err err = {0};
    uint64_t min_bytes = 0, needed = clusters < 65541 ? 65541 : clusters;
    char what[900];
    bool good = fat32_geometry_min_bytes(&wish, clusters, &min_bytes, &err) == 0;

    good = good && fat32_geometry_choose(&wish, min_bytes, &geo, &err) == 0 && geo.cluster_count >= needed;
    for (uint64_t less = 1; good && less < 600; less++) {
        struct fat32_geometry smaller;
        if (fat32_geometry_choose(&wish, min_bytes - less * wish.sector_bytes, &smaller, NULL) == 0)
            good = smaller.cluster_count < needed;
    }
    snprintf(what, sizeof(what),
             "%" PRIu64 " clusters of %u with %u-byte sectors, %u FATs: %" PRIu64 " bytes and no less",
             clusters, wish.cluster_bytes, wish.sector_bytes, wish.num_fats, min_bytes);
    ok(good, "%s", what);
}

static void test_min(void)
{
    for (uint32_t fats = 1; fats <= 2; fats++) {
        for (uint32_t cluster = 512; cluster <= 64 * KIB; cluster *= 2) {
            check_min((struct fat32_wish){.sector_bytes = 512, .cluster_bytes = cluster, .num_fats = fats},
                      0);
            check_min((struct fat32_wish){.sector_bytes = 512, .cluster_bytes = cluster, .num_fats = fats},
                      70001);
        }
        for (uint32_t cluster = 4096; cluster <= 64 * KIB; cluster *= 4)
            check_min((struct fat32_wish){.sector_bytes = 4096, .cluster_bytes = cluster, .num_fats = fats},
                      123456);
    }
    check_min((struct fat32_wish){.sector_bytes = 512, .cluster_bytes = 512, .reserved_sectors = 9}, 0);
    check_min((struct fat32_wish){.sector_bytes = 512, .cluster_bytes = 4096, .reserved_sectors = 33}, 0);
}

static void check_refused(struct fat32_wish wish, uint64_t size_bytes, const char *part)
{
    struct fat32_geometry geo = {.total_sectors = 77};
    struct plat_err err = {0};
    char what[900];
    int r = fat32_geometry_choose(&wish, size_bytes, &geo, &err);

    snprintf(what, sizeof(what), "%" PRIu64 " bytes: refused with \"%s\" (%s)", size_bytes, part, err.text);
    ok(r == PLAT_EINVALID && strstr(err.text, part) != NULL && geo.total_sectors == 77, "%s", what);
}

static void test_refused(void)
{
    struct fat32_wish small = {.sector_bytes = 512}, large = {.sector_bytes = 4096};

    check_refused(small, 0, "at least 33 MiB");
    check_refused(small, 32 * MIB, "at least 33 MiB");
    check_refused(small, 20 * MIB + 1, "whole sectors");
    check_refused(large, 200 * MIB, "at least 257 MiB");
    check_refused(small, 2048 * GIB, "too many");
    check_refused(small, UINT64_MAX - 511, "too many");
    check_refused((struct fat32_wish){.sector_bytes = 512, .cluster_bytes = 4096}, 200 * MIB,
                  "at least 257 MiB");
    check_refused((struct fat32_wish){.sector_bytes = 512, .cluster_bytes = 768}, GIB,
                  "clusters of 768 bytes");
    check_refused((struct fat32_wish){.sector_bytes = 512, .cluster_bytes = 131072}, GIB,
                  "clusters of 131072");
    check_refused((struct fat32_wish){.sector_bytes = 4096, .cluster_bytes = 512}, GIB, "one sector");
    check_refused((struct fat32_wish){.sector_bytes = 256}, GIB, "sectors of 256");
    check_refused((struct fat32_wish){.sector_bytes = 512, .reserved_sectors = 8}, GIB, "8 reserved");
    check_refused((struct fat32_wish){.sector_bytes = 512, .num_fats = 3}, GIB, "3 FATs");
    check_refused((struct fat32_wish){.sector_bytes = 512, .cluster_bytes = 512}, 256 * GIB, "can number");
}

/* ---- from a boot sector ---- */

static void boot_good(struct fat32_boot_mut boot)
{
    fat32_boot_init(boot);
    fat32_boot_set_sectors_per_cluster(boot, 1);
    fat32_boot_set_total_sectors_32(boot, 70000);
    fat32_boot_set_sectors_per_fat(boot, 540);
}

static void spoil_bytes_per_sector(struct fat32_boot_mut boot)
{
    fat32_boot_set_bytes_per_sector(boot, 0);
}
static void spoil_sectors_per_cluster(struct fat32_boot_mut boot)
{
    fat32_boot_set_sectors_per_cluster(boot, 0);
}
static void spoil_reserved_sectors(struct fat32_boot_mut boot)
{
    fat32_boot_set_reserved_sectors(boot, 0);
}
static void spoil_num_fats(struct fat32_boot_mut boot)
{
    fat32_boot_set_num_fats(boot, 0);
}
static void spoil_sectors_per_fat_16(struct fat32_boot_mut boot)
{
    fat32_boot_set_sectors_per_fat_16(boot, 1);
}
static void spoil_sectors_per_fat(struct fat32_boot_mut boot)
{
    fat32_boot_set_sectors_per_fat(boot, 0);
}
static void spoil_total_sectors_32(struct fat32_boot_mut boot)
{
    fat32_boot_set_sectors_per_fat(boot, UINT32_MAX);
}
static void spoil_ext_flags(struct fat32_boot_mut boot)
{
    fat32_boot_set_ext_flags(boot, 0x82);
}
static const struct {
    const char *path; /* where the error points */
    void (*spoil)(struct fat32_boot_mut boot);
} spoilers[] = {
    {"boot.bytes_per_sector", spoil_bytes_per_sector},
    {"boot.sectors_per_cluster", spoil_sectors_per_cluster},
    {"boot.reserved_sectors", spoil_reserved_sectors},
    {"boot.num_fats", spoil_num_fats},
    {"boot.sectors_per_fat_16", spoil_sectors_per_fat_16},
    {"boot.sectors_per_fat", spoil_sectors_per_fat},
    {"boot.total_sectors_32", spoil_total_sectors_32},
    {"boot.ext_flags", spoil_ext_flags},
};

static void test_from_boot(void)
{
    uint8_t bytes[FAT32_BOOT_BYTES];
    struct fat32_boot_mut boot;
    struct fat32_geometry geo;
    struct plat_err err = {0};

    ok(fat32_boot_edit(bytes, sizeof(bytes), &boot), "a boot sector has 512 bytes");
    boot_good(boot);
    struct fat32_boot view = fat32_boot_of(boot);
    ok(fat32_geometry_from_boot(view, 70000 * 512, &geo, &err) == 0 &&
           geo.first_data_sector == 32 + 2 * 540 && geo.cluster_count == 70000 - 1112 &&
           geo.usable_clusters == geo.cluster_count && geo.mirrored,
       "a good boot sector is understood");
    ok(fat32_cluster_valid(&geo, 2) && !fat32_cluster_valid(&geo, 1) && !fat32_cluster_valid(&geo, 0) &&
           fat32_cluster_valid(&geo, geo.cluster_count + 1) &&
           !fat32_cluster_valid(&geo, geo.cluster_count + 2) && !fat32_cluster_valid(&geo, UINT32_MAX),
       "clusters run from 2 to count + 1");
    ok(fat32_geometry_from_boot(view, 2000 * 512, &geo, &err) == 0 && geo.usable_clusters == 2000 - 1112,
       "a short device has fewer usable clusters");
    ok(fat32_geometry_from_boot(view, 512, &geo, &err) == 0 && geo.usable_clusters == 0, "... down to none");
    fat32_boot_set_sectors_per_fat(boot, 2);
    ok(fat32_geometry_from_boot(view, 70000 * 512, &geo, &err) == 0 && geo.usable_clusters == 254,
       "a short FAT has fewer usable clusters");

    for (size_t i = 0; i < sizeof(spoilers) / sizeof(spoilers[0]); i++) {
        boot_good(boot);
        spoilers[i].spoil(boot);
        memset(&err, 0, sizeof(err));
        int r = fat32_geometry_from_boot(view, 70000 * 512, &geo, &err);
        ok(r == PLAT_ECORRUPT && strcmp(err.path, spoilers[i].path) == 0, "%s", spoilers[i].path);
    }
}

int main(void)
{
    test_sizes();
    test_every_sector();
    test_min();
    test_refused();
    test_from_boot();
    return tap_done();
}
