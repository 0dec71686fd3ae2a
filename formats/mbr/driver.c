/* The MBR driver: probe, open, list, walk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/mbr/mbr.h"
#include "formats/mbr/sector.h"

/* Below what a damaged GPT scores: the protective record is that table's, not a table of its own. */
enum { SCORE_PROTECTIVE = FS_PROBE_DAMAGED / 2 };

int mbr_sector_read(struct plat_dev *dev, uint32_t sector_bytes, struct mbr_sector *ret, struct plat_err *err)
{
    struct mbr_sector sector = {.disk_sectors = dev->size_bytes / sector_bytes};
    int rc = dev_read(dev, 0, sector.bytes, sizeof sector.bytes, err);
    if (rc == 0)
        *ret = sector;
    return rc;
}

bool mbr_sector_record(const struct mbr_sector *sector, size_t i, struct mbr_record *ret)
{
    struct mbr_boot_record mbr;
    return mbr_boot_record_view(sector->bytes, sizeof sector->bytes, &mbr) &&
           mbr_boot_record_partitions(mbr, i, ret);
}

bool mbr_record_used(struct mbr_record record)
{
    return mbr_record_type(record) != MBR_PARTITION_TYPE_EMPTY;
}

bool mbr_is_extended(uint8_t type)
{
    return type == MBR_PARTITION_TYPE_EXTENDED || type == MBR_PARTITION_TYPE_EXTENDED_LBA ||
           type == MBR_PARTITION_TYPE_LINUX_EXTENDED;
}

bool mbr_sector_protective(const struct mbr_sector *sector)
{
    struct mbr_record record;
    for (size_t i = 0; mbr_sector_record(sector, i, &record); i++)
        if (mbr_record_type(record) == MBR_PARTITION_TYPE_EFI_GPT)
            return true;
    return false;
}

/* What makes a record one, or an empty one. */
static bool record_sane(struct mbr_record record, uint64_t disk_sectors)
{
    uint8_t status = mbr_record_status(record);
    if (status != MBR_STATUS_INACTIVE && status != MBR_STATUS_ACTIVE)
        return false;
    if (!mbr_record_used(record))
        return mbr_record_first_lba(record) == 0 && mbr_record_sectors(record) == 0;
    return mbr_record_first_lba(record) != 0 && mbr_record_first_lba(record) < disk_sectors &&
           mbr_record_sectors(record) != 0;
}

/* A FAT or NTFS boot sector ends in 55 AA, too, and has code, text or zeros where the records are. So the
 * records decide: all sane is a table, one fault a damaged one, more is something else. Where no sane record
 * is in use, the jump at the start of a boot sector decides. */
static int score_of(const struct mbr_sector *sector)
{
    struct mbr_boot_record mbr;
    struct mbr_record record;
    unsigned faults = 0, used = 0, good = 0;
    if (!mbr_boot_record_view(sector->bytes, sizeof sector->bytes, &mbr))
        return FS_PROBE_NO;
    const uint8_t *end = mbr_boot_record_signature(mbr), *code = mbr_boot_record_boot_code(mbr);
    bool signature = end[0] == 0x55 && end[1] == 0xAA;
    bool jump = code[0] == 0xEB || code[0] == 0xE9;
    for (size_t i = 0; mbr_sector_record(sector, i, &record); i++) {
        bool sane = record_sane(record, sector->disk_sectors);
        used += !bytes_all(record.p, MBR_RECORD_BYTES, 0);
        good += sane && mbr_record_used(record);
        faults += !sane;
    }
    faults += !signature;
    if (mbr_sector_protective(sector) && (signature || faults <= 1))
        return SCORE_PROTECTIVE;
    if (used == 0)
        return signature && !jump && mbr_boot_record_disk_signature(mbr) != 0 ? FS_PROBE_MAYBE : FS_PROBE_NO;
    if (faults == 0)
        return FS_PROBE_YES;
    return faults == 1 && (good > 0 || !jump) ? FS_PROBE_DAMAGED : FS_PROBE_NO;
}

static int mbr_probe(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                     struct plat_err *err)
{
    struct mbr_sector sector;
    uint32_t sector_bytes = options->sector_bytes != 0 ? options->sector_bytes : 512;
    *ret = (struct fs_probe_result){0};
    if (dev->size_bytes < MBR_BOOT_RECORD_BYTES)
        return 0;
    int rc = mbr_sector_read(dev, sector_bytes, &sector, err);
    if (rc != 0)
        return rc;
    /* The record does not say how long sectors are: what lies in the partitions may. */
    *ret = (struct fs_probe_result){.score = score_of(&sector), .sector_bytes = options->sector_bytes};
    return 0;
}

static int mbr_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                    struct fs **ret, struct plat_err *err)
{
    struct mbr_fs *mbr = calloc(1, sizeof *mbr);
    if (mbr == NULL)
        return err_nomem(err, "opening a partition table");
    mbr->sector_bytes = options->sector_bytes != 0 ? options->sector_bytes : 512;
    int rc = mbr_sector_read(dev, mbr->sector_bytes, &mbr->sector, err);
    if (rc != 0) {
        free(mbr);
        return rc;
    }
    mbr->fs = (struct fs){.driver = &mbr_driver, .dev = dev, .image = image};
    *ret = &mbr->fs;
    return 0;
}

static void mbr_close(struct fs *fs)
{
    free((struct mbr_fs *)fs); /* struct fs is its first member */
}

/* The protective record is not a partition: it stands for those of the GPT. */
static int mbr_partitions(struct fs *fs, table_partition_fn fn, void *ctx, struct plat_err *err)
{
    const struct mbr_fs *mbr = (const struct mbr_fs *)fs;
    struct mbr_record record;
    (void)err;
    for (size_t i = 0; mbr_sector_record(&mbr->sector, i, &record); i++) {
        uint8_t type = mbr_record_type(record);
        if (!mbr_record_used(record) || type == MBR_PARTITION_TYPE_EFI_GPT)
            continue;
        struct table_partition p = {.number = (uint32_t)i + 1,
                                    .first_sector = mbr_record_first_lba(record),
                                    .sectors = mbr_record_sectors(record),
                                    .mbr_type = type,
                                    .attributes = mbr_record_status(record) & MBR_STATUS_ACTIVE};
        const char *name = mbr_type_text(type);
        if (name != NULL)
            (void)snprintf(p.type, sizeof p.type, "%s", name);
        else
            (void)snprintf(p.type, sizeof p.type, "0x%02x", type);
        int rc = fn(ctx, &p);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int mbr_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err)
{
    return image_walk_map(fs->image, sink, err);
}

const struct fs_driver mbr_driver = {
    .name = "mbr",
    .title = "MBR partition table",
    .layout_name = "mbr",
    .probe = mbr_probe,
    .open = mbr_open,
    .close = mbr_close,
    .partitions = mbr_partitions,
    .table = &mbr_table_maker,
    .walk = mbr_walk,
    .check = mbr_check,
};
