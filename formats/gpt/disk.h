/* Private to formats/gpt: a disk's two copies of its table, as read and judged.
 *
 *   LBA 0          protective MBR          one record of type EE, so that old tools keep away
 *   LBA 1          primary header          seals itself and the array behind it
 *   LBA 2 ..       primary entry array     128 entries of 128 bytes, as a rule
 *   ...            partitions
 *   .. N-2         backup entry array
 *   N-1            backup header           the same, seen from the other end
 */
#ifndef PLAT_FORMATS_GPT_DISK_H
#define PLAT_FORMATS_GPT_DISK_H

#include "lib/fs/driver.h"

#include "gpt.gen.h"

enum {
    GPT_PRIMARY_LBA = 1,
    GPT_FIRST_ARRAY_LBA = 2,
    GPT_ENTRIES = 128,             /* what we write */
    GPT_MIN_ARRAY_BYTES = 16384,   /* UEFI: to be reserved at least */
    GPT_MAX_ARRAY_BYTES = 4 << 20, /* what Linux reads; what we read */
    GPT_LINUX_PARTITIONS = 256,
    GPT_PROTECTIVE_TYPE = 0xEE,
    GPT_MAX_SECTOR_BYTES = 4096
};

enum gpt_which { GPT_PRIMARY, GPT_BACKUP, GPT_NONE };

/* What is wrong with a header or its array: the first thing that a reader would stumble over. */
struct gpt_copy {
    uint64_t lba;        /* where the header was looked for */
    bool readable;       /* the sector lies on the disk */
    bool plausible;      /* it looks like a header, good or damaged */
    bool header_good;    /* signature, size, CRC and my_lba */
    bool array_readable; /* count, size and place make sense */
    bool array_good;     /* and its CRC holds */
    char fault[160];     /* why not; "" when both are good */
    uint8_t header[GPT_HEADER_BYTES];
    uint32_t entry_count, entry_bytes;
    uint64_t first_usable, last_usable, entries_lba, alternate_lba;
    uint8_t *array; /* entry_count * entry_bytes bytes; owned; NULL unless array_readable */
};
struct gpt_disk {
    uint32_t sector_bytes;
    uint64_t sectors;
    bool boot_signature; /* 55 AA in LBA 0 */
    bool protective;     /* and a record of type EE that starts at 1 */
    bool other_records;  /* records of other types in LBA 0 */
    uint32_t protective_sectors;
    struct gpt_copy copy[2];
    enum gpt_which active; /* the copy to believe: the primary when it is good */
};

/* Reads both copies. Damage is recorded, not an error; fails when the device cannot be read or is under three
 * sectors (PLAT_ECORRUPT). Free with gpt_disk_free. */
int gpt_disk_read(struct plat_dev *dev, uint32_t sector_bytes, struct gpt_disk *ret, struct plat_err *err);
void gpt_disk_free(struct gpt_disk *disk);

/* The handle of an open table. */
struct gpt_fs {
    struct fs fs;
    struct gpt_disk disk;
};

/* Entry `i` of a copy's array; false when i is past the end or the array is not readable. */
bool gpt_copy_entry(const struct gpt_copy *copy, uint32_t i, struct gpt_entry *ret);
bool gpt_entry_used(struct gpt_entry entry);
/* A partition as the table tells it. */
void gpt_entry_describe(struct gpt_entry entry, uint32_t number, struct table_partition *ret);
/* CRC of a header as it should be; `sector` holds header_bytes bytes (at most the sector). */
uint32_t gpt_header_crc_of(const uint8_t *sector, uint32_t header_bytes);

/* Whether a reader finds the partitions of this disk; if not, why, for people. */
bool gpt_linux_reads(const struct gpt_disk *disk, char *why, size_t why_bytes);
bool gpt_ovmf_reads(const struct gpt_disk *disk, char *why, size_t why_bytes);

int gpt_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err);
int gpt_repair(struct fs *fs, struct repair_plan *plan, struct plat_err *err);

/* Well-known partition types: name by GUID (NULL: unknown), GUID by name or alias, names in order. */
const char *gpt_type_name(const uint8_t guid[16]);
bool gpt_type_find(const char *name, uint8_t ret_guid[16]);
const char *gpt_type_at(size_t i);

extern const struct table_maker gpt_table_maker;

#endif
