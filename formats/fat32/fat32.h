/* FAT32, shared by the two halves of the format: what reads it (driver, probe, table, dir, read, walk, check)
 * and what makes it (plan, write, maker), over geometry, names and times.
 *
 *   sector 0     boot sector            reserved_sectors of these
 *   sector 1     FSInfo
 *   sector 2     boot code, continued
 *   sector 6..8  backup of 0..2
 *   ...
 *   +------------------------------+  fat_offset            = reserved_sectors
 *   | FAT 0: 4 bytes a cluster     |  fat_bytes each
 *   | FAT 1: the same again        |
 *   +------------------------------+  data_offset           = cluster 2
 *   | cluster 2, 3, ... count + 1  |  cluster_bytes each
 *   +------------------------------+  fewer than cluster_bytes may be left over
 *
 * Field offsets live in schemas/fat32.json alone; this header holds what follows from the fields. */
#ifndef PLAT_FORMATS_FAT32_FAT32_H
#define PLAT_FORMATS_FAT32_FAT32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fat32.gen.h"
#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/fs/driver.h"

extern const struct fs_driver fat32_driver;
extern const struct fs_maker fat32_maker;

/* ---- numbers of the format ---- */

enum {
    FAT32_MIN_CLUSTERS = 65525,       /* fewer, and firmware takes the volume for FAT16 */
    FAT32_SAFE_CLUSTERS = 65525 + 16, /* what plat makes at least: tools disagree close to the limit */
    FAT32_MAX_CLUSTERS = 0x0FFFFFF5,
    FAT32_FIRST_CLUSTER = 2,
    FAT32_DIR_MAX_SLOTS = 65536, /* 2 MiB */
    FAT32_LONG_UNITS_MAX = 255,  /* UTF-16 units in a long name */
    FAT32_LONG_UNITS_EACH = 13,  /* ... of them in one entry */
    FAT32_LONG_PIECES_MAX = 20,
    FAT32_SHORT_BYTES = 11,                              /* 8 + 3 */
    FAT32_NAME_BYTES_MAX = FAT32_LONG_UNITS_MAX * 3 + 1, /* a name as UTF-8, with its NUL */
    FAT32_SHORT_TEXT_BYTES = 12 * 3 + 1                  /* "READ~123.TXT", each byte up to 3 in UTF-8 */
};
/* Values of a FAT entry's 28 bits. */
#define FAT32_LINK_MASK 0x0FFFFFFFu
#define FAT32_LINK_FREE 0u
#define FAT32_LINK_BAD 0x0FFFFFF7u
#define FAT32_LINK_END_MIN 0x0FFFFFF8u /* this and above: end of chain */
#define FAT32_LINK_END 0x0FFFFFFFu     /* what plat writes */

/* ---- geometry (geometry.c) ---- */

struct fat32_geometry {
    uint32_t sector_bytes;
    uint32_t sectors_per_cluster;
    uint32_t cluster_bytes;
    uint32_t reserved_sectors;
    uint32_t num_fats;
    uint32_t fat_sectors;   /* one FAT */
    uint32_t total_sectors; /* 16-bit count where it is set, as readers do */
    uint32_t first_data_sector;
    uint32_t cluster_count;   /* as the boot sector has it: valid numbers are 2 .. cluster_count + 1 */
    uint32_t usable_clusters; /* those of them that the FAT has entries for and the device has bytes for */
    uint32_t root_cluster;
    uint32_t fsinfo_sector;      /* 0: none, or not a reserved sector */
    uint32_t backup_boot_sector; /* 0: none, or not a reserved sector */
    uint32_t active_fat;         /* 0, unless mirroring is off */
    bool mirrored;               /* all FATs are live */
    uint64_t fat_offset;         /* bytes: FAT 0 */
    uint64_t fat_bytes;          /* one FAT, slack behind its last entry included */
    uint64_t data_offset;        /* bytes: cluster 2 */
    uint64_t end_offset;         /* bytes: total_sectors */
};

/* Decodes and validates what reading depends on. PLAT_ECORRUPT with the field's path when the boot sector
 * cannot be used at all: sector or cluster size, no FAT, no data area, FATSz16 set, ... A volume that some
 * readers refuse but that can be read (too few clusters, ExtFlags) is accepted: judging it is the schema's
 * work. */
int fat32_geometry_from_boot(struct fat32_boot boot, uint64_t device_bytes, struct fat32_geometry *ret,
                             struct plat_err *err);
/* Is this the number of a cluster that exists, in the FAT and on the device? */
static inline bool fat32_cluster_valid(const struct fat32_geometry *geo, uint32_t cluster)
{
    return cluster >= FAT32_FIRST_CLUSTER && cluster - FAT32_FIRST_CLUSTER < geo->usable_clusters;
}
/* Byte offset of a valid cluster. */
static inline uint64_t fat32_cluster_offset(const struct fat32_geometry *geo, uint32_t cluster)
{
    return geo->data_offset + (uint64_t)(cluster - FAT32_FIRST_CLUSTER) * geo->cluster_bytes;
}
/* Byte offset of a cluster's entry in FAT number `fat`. */
static inline uint64_t fat32_link_offset(const struct fat32_geometry *geo, uint32_t fat, uint32_t cluster)
{
    return geo->fat_offset + fat * geo->fat_bytes + (uint64_t)cluster * FAT32_FAT_ENTRY_BYTES;
}

/* What a new volume is wished to look like; 0: choose. */
struct fat32_wish {
    uint32_t sector_bytes;     /* 512 .. 4096, a power of two; never 0 */
    uint32_t cluster_bytes;    /* 0: by size, lowered where the cluster count needs it */
    uint32_t reserved_sectors; /* 0: at least 32, and such that the data area is aligned */
    uint32_t num_fats;         /* 1 or 2; 0: 2 */
};
/* PLAT_EINVALID when a wish cannot be met at any size, saying what could. */
int fat32_wish_check(const struct fat32_wish *wish, struct plat_err *err);
/* The geometry of a volume of exactly size_bytes. PLAT_EINVALID naming the smallest size that works. */
int fat32_geometry_choose(const struct fat32_wish *wish, uint64_t size_bytes, struct fat32_geometry *ret,
                          struct plat_err *err);
/* Smallest volume, in bytes, with this wish whose data area has at least `clusters` clusters of cluster_bytes
 * (and at least FAT32_SAFE_CLUSTERS). wish->cluster_bytes must be set. PLAT_ELIMIT when FAT32 cannot be so
 * large. */
int fat32_geometry_min_bytes(const struct fat32_wish *wish, uint64_t clusters, uint64_t *ret,
                             struct plat_err *err);

/* ---- names (names.c) ---- */

/* UTF-8 to the units of a long name. PLAT_EINVALID, naming what is wrong, when it cannot be one: not UTF-8,
 * over 255 units, a forbidden character, a trailing dot or space, empty, "." or "..". */
int fat32_name_to_units(const char *name, uint16_t ret_units[FAT32_LONG_UNITS_MAX], size_t *ret_n,
                        struct plat_err *err);
/* Why units are not a legal long name: a static text, or NULL when they are one. */
const char *fat32_units_fault(const uint16_t *units, size_t n);
/* Units to UTF-8, NUL-terminated; a lone surrogate becomes U+FFFD. Returns its length. */
size_t fat32_units_to_name(const uint16_t *units, size_t n, char ret[FAT32_NAME_BYTES_MAX]);
/* The 8.3 name on disk as text: "README.TXT", with the case bits of `name_case` applied; bytes above 7F are
 * code page 850, as mtools and western DOS write them. Not checked for legality. Returns its length. */
size_t fat32_short_to_name(const uint8_t short_name[FAT32_SHORT_BYTES], uint8_t name_case,
                           char ret[FAT32_SHORT_TEXT_BYTES]);
/* Why the 11 bytes are not a legal 8.3 name (lower case, forbidden character, begins with a space, space
 * within): a static text, or NULL. */
const char *fat32_short_fault(const uint8_t short_name[FAT32_SHORT_BYTES]);
/* One unit as names compare: upper case (simple mapping within the BMP; others unchanged). */
uint16_t fat32_unit_fold(uint16_t unit);
/* A UTF-8 name folded to upper-case units, for lookups and for finding duplicates; invalid bytes become
 * U+FFFD. At most FAT32_LONG_UNITS_MAX units are produced; returns how many. */
size_t fat32_name_fold(const char *name, uint16_t ret_units[FAT32_LONG_UNITS_MAX]);

/* ---- times (time.c) ---- */

struct fat32_stamp {
    uint16_t date;  /* fat_date */
    uint16_t time;  /* fat_time */
    uint8_t tenths; /* units of 10 ms to add, 0..199 */
};
/* UTC, clamped to 1980-01-01 00:00:00 .. 2107-12-31 23:59:59.99. */
struct fat32_stamp fat32_stamp_from_unix(int64_t seconds, uint32_t nanoseconds);
/* False (and *ret_* untouched) when it is no date or time: month 0, hour 24, ... */
bool fat32_stamp_to_unix(struct fat32_stamp stamp, int64_t *ret_seconds, uint32_t *ret_nanoseconds);

#endif
