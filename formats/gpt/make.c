/* Making a table: what fits, what is wrong with a plan, and the bytes at both ends of the disk.
 *
 * Writes ascend: write_head puts LBA 0, the primary header and its array; write_tail the backup array and the
 * backup header, so that everything can go down a pipe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "formats/gpt/disk.h"
#include "lib/hash/hash.h"

/* Sectors of one entry array. */
static uint64_t array_sectors(uint32_t sector_bytes)
{
    return div_up_u64(GPT_MIN_ARRAY_BYTES, sector_bytes);
}

static int gpt_room(uint32_t sector_bytes, struct table_room *ret, struct plat_err *err)
{
    if (sector_bytes != 512 && sector_bytes != 4096)
        return err_set(err, PLAT_EINVALID, "sectors of %u bytes; 512 and 4096 are possible", sector_bytes);
    *ret = (struct table_room){.first_usable_sector = GPT_FIRST_ARRAY_LBA + array_sectors(sector_bytes),
                               .tail_sectors = array_sectors(sector_bytes) + 1,
                               .max_partitions = GPT_ENTRIES,
                               .boot_code_bytes = GPT_PROTECTIVE_MBR_BOOT_CODE_BYTES};
    return 0;
}

static int gpt_parse_type(const char *text, struct table_partition *ret, struct plat_err *err)
{
    uint8_t guid[16];
    if (!gpt_type_find(text, guid) && !parse_guid_braced(text, guid))
        return err_set(
            err, PLAT_EINVALID,
            "unknown partition type '%.80s': expected a well-known name such as esp, linux-data or "
            "linux-root-x86-64 (`plat formats gpt` lists them), or a GUID",
            text);
    if (bytes_all(guid, sizeof guid, 0))
        return err_set(err, PLAT_EINVALID, "the all-zero partition type marks a slot that is not used");
    memcpy(ret->type_guid, guid, sizeof guid);
    const char *name = gpt_type_name(guid);
    if (name != NULL)
        (void)snprintf(ret->type, sizeof ret->type, "%s", name);
    else
        format_guid(guid, ret->type);
    return 0;
}

/* Name as UTF-16; *ret_units is more than the field holds when it is too long. False: not UTF-8. */
static bool name_units(const char *name, uint16_t ret[GPT_ENTRY_NAME_UNITS], size_t *ret_units)
{
    uint16_t units[TABLE_NAME_BYTES];
    size_t n = sizeof units / sizeof units[0];
    if (u8_to_u16((const uint8_t *)name, strlen(name), units, &n) == NULL)
        return false;
    for (size_t i = 0; i < GPT_ENTRY_NAME_UNITS; i++)
        ret[i] = i < n ? units[i] : 0;
    *ret_units = n;
    return true;
}

/* "partition 2 ('root')" */
static const char *label_of(const struct table_partition *p, char buf[TABLE_NAME_BYTES + 32])
{
    (void)snprintf(buf, TABLE_NAME_BYTES + 32, p->name[0] != '\0' ? "partition %u ('%s')" : "partition %u",
                   p->number, p->name);
    return buf;
}

static int validate_place(const struct table_spec *spec, const struct table_partition *p,
                          const struct table_room *room, const char *label, struct plat_err *err)
{
    uint64_t end, needed, bytes;
    uint64_t usable_end = spec->disk_sectors - room->tail_sectors; /* one past the last usable sector */
    if (p->sectors == 0)
        return err_set(err, PLAT_EINVALID, "%s has no sectors; 1 is the least", label);
    if (p->first_sector < room->first_usable_sector)
        return err_set(
            err, PLAT_EINVALID,
            "%s starts at sector %llu, where the partition table lies; the first usable sector is %llu",
            label, (unsigned long long)p->first_sector, (unsigned long long)room->first_usable_sector);
    if (!add_u64(p->first_sector, p->sectors, &end) || !add_u64(end, room->tail_sectors, &needed) ||
        !mul_u64(needed, spec->sector_bytes, &bytes))
        return err_set(err, PLAT_EINVALID, "%s ends beyond the largest possible disk", label);
    if (end > usable_end)
        return err_set(
            err, PLAT_EINVALID,
            "%s ends at sector %llu, but the last usable sector of this disk is %llu; the disk needs at "
            "least %llu bytes",
            label, (unsigned long long)(end - 1), (unsigned long long)(usable_end - 1),
            (unsigned long long)bytes);
    return 0;
}

static int validate_one(const struct table_spec *spec, size_t index, const struct table_room *room,
                        struct plat_err *err)
{
    const struct table_partition *p = &spec->partitions[index];
    char label[TABLE_NAME_BYTES + 32], other_label[TABLE_NAME_BYTES + 32], guid[37];
    uint16_t units[GPT_ENTRY_NAME_UNITS];
    size_t n_units;
    label_of(p, label);
    if (p->number < 1 || p->number > GPT_ENTRIES)
        return err_set(err, PLAT_EINVALID, "%s: numbers run from 1 to %d", label, (int)GPT_ENTRIES);
    if (bytes_all(p->type_guid, sizeof p->type_guid, 0))
        return err_set(err, PLAT_EINVALID, "%s has no type", label);
    if (bytes_all(p->guid, sizeof p->guid, 0))
        return err_set(err, PLAT_EINVALID, "%s has no GUID", label);
    if (!name_units(p->name, units, &n_units))
        return err_set(err, PLAT_EINVALID, "the name of partition %u is not UTF-8", p->number);
    if (n_units > GPT_ENTRY_NAME_UNITS)
        return err_set(err, PLAT_EINVALID, "the name of %s takes %zu UTF-16 units; a table entry holds %d",
                       label, n_units, (int)GPT_ENTRY_NAME_UNITS);
    int rc = validate_place(spec, p, room, label, err);
    for (size_t k = 0; rc == 0 && k < index; k++) {
        const struct table_partition *q = &spec->partitions[k];
        label_of(q, other_label);
        if (q->number == p->number)
            rc = err_set(err, PLAT_EINVALID, "%s and %s have the same number", other_label, label);
        else if (memcmp(q->guid, p->guid, sizeof p->guid) == 0) {
            format_guid(p->guid, guid);
            rc = err_set(err, PLAT_EINVALID, "%s and %s have the same GUID %s", other_label, label, guid);
        } else if (p->first_sector < q->first_sector + q->sectors &&
                   q->first_sector < p->first_sector + p->sectors)
            rc = err_set(err, PLAT_EINVALID,
                         "%s (sectors %llu to %llu) overlaps %s (sectors %llu to %llu); it can start at %llu",
                         label, (unsigned long long)p->first_sector,
                         (unsigned long long)(p->first_sector + p->sectors - 1), other_label,
                         (unsigned long long)q->first_sector,
                         (unsigned long long)(q->first_sector + q->sectors - 1),
                         (unsigned long long)(q->first_sector + q->sectors));
    }
    return rc;
}

static int gpt_validate(const struct table_spec *spec, struct plat_err *err)
{
    struct table_room room = {0};
    int rc = gpt_room(spec->sector_bytes, &room, err);
    if (rc != 0)
        return rc;
    uint64_t least = room.first_usable_sector + room.tail_sectors + 1, bytes;
    if (spec->disk_sectors < least)
        return err_set(err, PLAT_EINVALID,
                       "a disk of %llu sectors of %u bytes is too small for a GPT; %llu bytes is the least",
                       (unsigned long long)spec->disk_sectors, spec->sector_bytes,
                       (unsigned long long)(least * spec->sector_bytes));
    if (!mul_u64(spec->disk_sectors, spec->sector_bytes, &bytes) || bytes > INT64_MAX)
        return err_set(err, PLAT_EINVALID, "a disk of %llu sectors is larger than a file can be",
                       (unsigned long long)spec->disk_sectors);
    if (bytes_all(spec->disk_guid, sizeof spec->disk_guid, 0))
        return err_set(err, PLAT_EINVALID, "the disk has no GUID");
    if (spec->n_partitions > room.max_partitions)
        return err_set(err, PLAT_EINVALID, "%zu partitions; a table holds at most %u", spec->n_partitions,
                       room.max_partitions);
    for (size_t i = 0; rc == 0 && i < spec->n_partitions; i++)
        rc = validate_one(spec, i, &room, err);
    return rc;
}

/* ---- bytes ---- */

static int fill_entry(const struct table_partition *p, struct gpt_entry_mut entry, struct plat_err *err)
{
    uint16_t units[GPT_ENTRY_NAME_UNITS];
    size_t n;
    if (!name_units(p->name, units, &n) || n > GPT_ENTRY_NAME_UNITS)
        return err_set(err, PLAT_EBUG, "partition %u was not validated", p->number);
    gpt_entry_init(entry);
    gpt_entry_set_type_guid(entry, p->type_guid);
    gpt_entry_set_unique_guid(entry, p->guid);
    gpt_entry_set_first_lba(entry, p->first_sector);
    gpt_entry_set_last_lba(entry, p->first_sector + p->sectors - 1);
    gpt_entry_set_attributes(entry, p->attributes);
    for (size_t i = 0; i < GPT_ENTRY_NAME_UNITS; i++)
        gpt_entry_set_name(entry, i, units[i]);
    return 0;
}

/* `array` has the sectors of one array and is zero. */
static int fill_array(const struct table_spec *spec, uint8_t *array, struct plat_err *err)
{
    for (size_t i = 0; i < spec->n_partitions; i++) {
        const struct table_partition *p = &spec->partitions[i];
        struct gpt_entry_mut entry;
        if (p->number < 1 || p->number > GPT_ENTRIES ||
            !gpt_entry_edit(array + (size_t)(p->number - 1) * GPT_ENTRY_BYTES, GPT_ENTRY_BYTES, &entry))
            return err_set(err, PLAT_EBUG, "partition %u was not validated", p->number);
        int rc = fill_entry(p, entry, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* `sector` has one sector and is zero. */
static void fill_header(const struct table_spec *spec, enum gpt_which which, const uint8_t *array,
                        uint8_t *sector)
{
    struct gpt_header_mut header;
    const uint64_t array_length = array_sectors(spec->sector_bytes), last = spec->disk_sectors - 1;
    if (!gpt_header_edit(sector, spec->sector_bytes, &header))
        return;
    gpt_header_init(header);
    gpt_header_set_alternate_lba(header, which == GPT_PRIMARY ? last : GPT_PRIMARY_LBA);
    gpt_header_set_first_usable_lba(header, GPT_FIRST_ARRAY_LBA + array_length);
    gpt_header_set_last_usable_lba(header, last - array_length - 1);
    gpt_header_set_disk_guid(header, spec->disk_guid);
    gpt_header_set_entries_lba(header, which == GPT_PRIMARY ? GPT_FIRST_ARRAY_LBA : last - array_length);
    gpt_header_set_entries_crc32(header, hash_crc32(0, array, (size_t)GPT_ENTRIES * GPT_ENTRY_BYTES));
    const uint64_t my_lba = which == GPT_PRIMARY ? GPT_PRIMARY_LBA : last;
    gpt_header_seal(header, my_lba * spec->sector_bytes, spec->sector_bytes);
}

static void fill_protective(const struct table_spec *spec, uint8_t *sector)
{
    struct gpt_protective_mbr_mut mbr;
    struct gpt_protective_record_mut record;
    const uint64_t rest = spec->disk_sectors - 1;
    uint8_t code[GPT_PROTECTIVE_MBR_BOOT_CODE_BYTES] = {0};
    if (!gpt_protective_mbr_edit(sector, spec->sector_bytes, &mbr))
        return;
    gpt_protective_mbr_init(mbr);
    if (spec->n_boot_code > 0) {
        memcpy(code, spec->boot_code, spec->n_boot_code);
        gpt_protective_mbr_set_boot_code(mbr, code);
    }
    for (size_t i = 0; gpt_protective_mbr_edit_records(mbr, i, &record); i++) {
        memset(record.p, 0, GPT_PROTECTIVE_RECORD_BYTES);
        if (i > 0)
            continue;
        gpt_protective_record_init(record);
        gpt_protective_record_set_sectors(record, rest > UINT32_MAX ? UINT32_MAX : (uint32_t)rest);
        gpt_protective_record_set_status(record, spec->mbr_active_flag ? 0x80 : 0);
    }
}

/* LBA 0, the primary header, the array. */
static int gpt_write_head(const struct table_spec *spec, struct plat_dev *dev, struct plat_err *err)
{
    const size_t sector = spec->sector_bytes;
    const size_t bytes = (size_t)(GPT_FIRST_ARRAY_LBA + array_sectors(spec->sector_bytes)) * sector;
    uint8_t *head = calloc(1, bytes);
    if (head == NULL)
        return err_nomem(err, "writing a partition table");
    uint8_t *array = head + GPT_FIRST_ARRAY_LBA * sector;
    int rc = fill_array(spec, array, err);
    if (rc == 0) {
        fill_protective(spec, head);
        fill_header(spec, GPT_PRIMARY, array, head + GPT_PRIMARY_LBA * sector);
        rc = dev_write(dev, 0, head, bytes, err);
    }
    free(head);
    return rc;
}

/* The array, then the header in the last sector. */
static int gpt_write_tail(const struct table_spec *spec, struct plat_dev *dev, struct plat_err *err)
{
    const size_t sector = spec->sector_bytes;
    const size_t array_bytes = (size_t)array_sectors(spec->sector_bytes) * sector;
    uint8_t *tail = calloc(1, array_bytes + sector);
    if (tail == NULL)
        return err_nomem(err, "writing a partition table");
    int rc = fill_array(spec, tail, err);
    if (rc == 0) {
        fill_header(spec, GPT_BACKUP, tail, tail + array_bytes);
        rc = dev_write(dev, spec->disk_sectors * sector - array_bytes - sector, tail, array_bytes + sector,
                       err);
    }
    free(tail);
    return rc;
}

const struct table_maker gpt_table_maker = {
    .room = gpt_room,
    .parse_type = gpt_parse_type,
    .type_name = gpt_type_at,
    .validate = gpt_validate,
    .write_head = gpt_write_head,
    .write_tail = gpt_write_tail,
};
