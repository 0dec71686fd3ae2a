/* Private to formats/mbr: the boot sector of a disk and its four records.
 *
 *   0          440        446                                  510
 *   | boot code | sig, 0 | record | record | record | record | 55 AA |
 *
 *   record:  status  CHS first  type  CHS last  first sector (32 bits)  sectors (32 bits)
 */
#ifndef PLAT_FORMATS_MBR_SECTOR_H
#define PLAT_FORMATS_MBR_SECTOR_H

#include "lib/fs/driver.h"

#include "mbr.gen.h"

enum { MBR_RECORDS = MBR_BOOT_RECORD_PARTITIONS_COUNT };

/* CHS geometry that everyone pretends since disks have LBAs. */
enum { MBR_HEADS = 255, MBR_TRACK_SECTORS = 63, MBR_CYLINDERS = 1024 };

struct mbr_sector {
    uint8_t bytes[MBR_BOOT_RECORD_BYTES];
    uint64_t disk_sectors;
};
struct mbr_fs {
    struct fs fs;
    uint32_t sector_bytes;
    struct mbr_sector sector;
};

/* PLAT_ECORRUPT when the device is shorter than the record. */
int mbr_sector_read(struct plat_dev *dev, uint32_t sector_bytes, struct mbr_sector *ret,
                    struct plat_err *err);
/* Record i; false past the fourth. */
bool mbr_sector_record(const struct mbr_sector *sector, size_t i, struct mbr_record *ret);
bool mbr_record_used(struct mbr_record record);
bool mbr_is_extended(uint8_t type);
/* One record protects a GPT. */
bool mbr_sector_protective(const struct mbr_sector *sector);

/* The name of a type as people write it ("efi-gpt"; NULL: none), the type by name, the names in order. */
const char *mbr_type_text(uint8_t type);
bool mbr_type_find(const char *name, uint8_t *ret);
const char *mbr_type_at(size_t i);

int mbr_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err);

extern const struct table_maker mbr_table_maker;

#endif
