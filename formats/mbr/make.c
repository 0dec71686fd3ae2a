/* Making a plain MBR table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/mbr/sector.h"

static int mbr_room(uint32_t sector_bytes, struct table_room *ret, struct plat_err *err)
{
    if (sector_bytes != 512 && sector_bytes != 4096)
        return err_set(err, PLAT_EINVALID, "sectors of %u bytes; 512 and 4096 are possible", sector_bytes);
    *ret = (struct table_room){.first_usable_sector = 1,
                               .tail_sectors = 0,
                               .max_partitions = MBR_RECORDS,
                               .boot_code_bytes = MBR_BOOT_RECORD_BOOT_CODE_BYTES};
    return 0;
}

static int mbr_parse_type(const char *text, struct table_partition *ret, struct plat_err *err)
{
    uint8_t type;
    uint64_t number;
    if (!mbr_type_find(text, &type)) {
        if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X') || parse_u64(text, &number, NULL) != 0 ||
            number > 0xFF)
            return err_set(
                err, PLAT_EINVALID,
                "unknown partition type '%.80s': expected a well-known name such as esp, fat32, linux or "
                "swap (`plat formats mbr` lists them), or a number from 0x01 to 0xff",
                text);
        type = (uint8_t)number;
    }
    if (type == MBR_PARTITION_TYPE_EMPTY)
        return err_set(err, PLAT_EINVALID, "partition type 0x00 marks a record that is not used");
    ret->mbr_type = type;
    const char *name = mbr_type_text(type);
    if (name != NULL)
        (void)snprintf(ret->type, sizeof ret->type, "%s", name);
    else
        (void)snprintf(ret->type, sizeof ret->type, "0x%02x", type);
    return 0;
}

static int validate_one(const struct table_spec *spec, size_t index, struct plat_err *err)
{
    const struct table_partition *p = &spec->partitions[index];
    const unsigned number = p->number;
    uint64_t end;
    if (number < 1 || number > MBR_RECORDS)
        return err_set(err, PLAT_EINVALID,
                       "partition %u: an MBR table has partitions 1 to %d; a gpt table has 128", number,
                       (int)MBR_RECORDS);
    if (p->mbr_type == MBR_PARTITION_TYPE_EMPTY)
        return err_set(err, PLAT_EINVALID, "partition %u has no type", number);
    if (mbr_is_extended(p->mbr_type))
        return err_set(err, PLAT_EUNSUPPORTED,
                       "partition %u: extended partitions are not made; a gpt table holds 128 partitions",
                       number);
    if (p->sectors == 0)
        return err_set(err, PLAT_EINVALID, "partition %u has no sectors; 1 is the least", number);
    if (p->first_sector < 1)
        return err_set(
            err, PLAT_EINVALID,
            "partition %u starts at sector 0, where the partition table lies; 1 is the first usable sector",
            number);
    if (p->first_sector > UINT32_MAX || p->sectors > UINT32_MAX)
        return err_set(err, PLAT_EINVALID,
                       "partition %u (from sector %llu, %llu sectors): an MBR table counts in 32 bits, to "
                       "4294967295; use "
                       "a gpt table",
                       number, (unsigned long long)p->first_sector, (unsigned long long)p->sectors);
    end = p->first_sector + p->sectors;
    if (end > spec->disk_sectors)
        return err_set(
            err, PLAT_EINVALID,
            "partition %u ends at sector %llu, but the last sector of this disk is %llu; the disk needs at "
            "least %llu bytes",
            number, (unsigned long long)(end - 1), (unsigned long long)(spec->disk_sectors - 1),
            (unsigned long long)(end * spec->sector_bytes));
    for (size_t k = 0; k < index; k++) {
        const struct table_partition *q = &spec->partitions[k];
        uint64_t q_end = q->first_sector + q->sectors;
        if (q->number == number)
            return err_set(err, PLAT_EINVALID, "two partitions have the number %u", number);
        if (p->first_sector < q_end && q->first_sector < end)
            return err_set(err, PLAT_EINVALID,
                           "partition %u (sectors %llu to %llu) overlaps partition %u (sectors %llu to "
                           "%llu); it can start at %llu",
                           number, (unsigned long long)p->first_sector, (unsigned long long)(end - 1),
                           q->number, (unsigned long long)q->first_sector, (unsigned long long)(q_end - 1),
                           (unsigned long long)q_end);
        if ((p->attributes & q->attributes & MBR_STATUS_ACTIVE) != 0)
            return err_set(err, PLAT_EINVALID, "partitions %u and %u are both active; a BIOS boots one",
                           q->number, number);
    }
    return 0;
}

static int mbr_validate(const struct table_spec *spec, struct plat_err *err)
{
    struct table_room room;
    uint64_t bytes;
    int rc = mbr_room(spec->sector_bytes, &room, err);
    if (rc != 0)
        return rc;
    if (spec->disk_sectors < 2)
        return err_set(
            err, PLAT_EINVALID,
            "a disk of %llu sectors is too small for a partition table and a partition; 2 is the least",
            (unsigned long long)spec->disk_sectors);
    if (!mul_u64(spec->disk_sectors, spec->sector_bytes, &bytes) || bytes > INT64_MAX)
        return err_set(err, PLAT_EINVALID, "a disk of %llu sectors is larger than a file can be",
                       (unsigned long long)spec->disk_sectors);
    if (spec->n_partitions > room.max_partitions)
        return err_set(err, PLAT_EINVALID, "%zu partitions; an MBR table holds at most %u, a gpt table 128",
                       spec->n_partitions, room.max_partitions);
    for (size_t i = 0; rc == 0 && i < spec->n_partitions; i++)
        rc = validate_one(spec, i, err);
    return rc;
}

/* Cylinder, head and sector of an LBA; the largest values where it cannot be expressed. */
static uint32_t chs_of(uint64_t lba)
{
    uint64_t cylinder = lba / (MBR_HEADS * MBR_TRACK_SECTORS);
    uint32_t head = (uint32_t)(lba / MBR_TRACK_SECTORS % MBR_HEADS);
    uint32_t sector = (uint32_t)(lba % MBR_TRACK_SECTORS + 1);
    if (cylinder >= MBR_CYLINDERS) {
        cylinder = MBR_CYLINDERS - 1;
        head = MBR_HEADS - 1;
        sector = MBR_TRACK_SECTORS;
    }
    uint32_t chs = mbr_chs_with_head(0, (uint8_t)head);
    chs = mbr_chs_with_sector(chs, (uint8_t)sector);
    chs = mbr_chs_with_cylinder_high(chs, (uint8_t)(cylinder >> 8));
    return mbr_chs_with_cylinder_low(chs, (uint8_t)cylinder);
}

static int mbr_write_head(const struct table_spec *spec, struct plat_dev *dev, struct plat_err *err)
{
    uint8_t *sector = calloc(1, spec->sector_bytes);
    struct mbr_boot_record_mut mbr = {0};
    uint8_t code[MBR_BOOT_RECORD_BOOT_CODE_BYTES] = {0};
    if (sector == NULL)
        return err_nomem(err, "writing a partition table");
    int rc = 0;
    if (!mbr_boot_record_edit(sector, spec->sector_bytes, &mbr))
        rc = err_set(err, PLAT_EBUG, "a sector of %u bytes does not hold an MBR", spec->sector_bytes);
    if (rc == 0) {
        mbr_boot_record_init(mbr);
        mbr_boot_record_set_disk_signature(mbr, spec->mbr_signature);
        if (spec->n_boot_code > 0) {
            memcpy(code, spec->boot_code, spec->n_boot_code);
            mbr_boot_record_set_boot_code(mbr, code);
        }
    }
    for (size_t i = 0; rc == 0 && i < spec->n_partitions; i++) {
        const struct table_partition *p = &spec->partitions[i];
        struct mbr_record_mut record;
        if (p->number < 1 || !mbr_boot_record_edit_partitions(mbr, p->number - 1, &record)) {
            rc = err_set(err, PLAT_EBUG, "partition %u was not validated", p->number);
            break;
        }
        mbr_record_set_status(record, (uint8_t)(p->attributes & MBR_STATUS_ACTIVE));
        mbr_record_set_type(record, p->mbr_type);
        mbr_record_set_chs_first(record, chs_of(p->first_sector));
        mbr_record_set_chs_last(record, chs_of(p->first_sector + p->sectors - 1));
        mbr_record_set_first_lba(record, (uint32_t)p->first_sector);
        mbr_record_set_sectors(record, (uint32_t)p->sectors);
    }
    if (rc == 0)
        rc = dev_write(dev, 0, sector, spec->sector_bytes, err);
    free(sector);
    return rc;
}

/* The end of an MBR disk holds nothing of the table. */
static int mbr_write_tail(const struct table_spec *spec, struct plat_dev *dev, struct plat_err *err)
{
    (void)spec;
    (void)dev;
    (void)err;
    return 0;
}

const struct table_maker mbr_table_maker = {
    .room = mbr_room,
    .parse_type = mbr_parse_type,
    .type_name = mbr_type_at,
    .validate = mbr_validate,
    .write_head = mbr_write_head,
    .write_tail = mbr_write_tail,
};
