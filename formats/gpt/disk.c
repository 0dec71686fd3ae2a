/* Reading the two copies of a table and finding out which of them is good. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gpt/disk.h"
#include "lib/hash/hash.h"

uint32_t gpt_header_crc_of(const uint8_t *sector, uint32_t header_bytes)
{
    uint8_t copy[GPT_HEADER_BYTES];
    struct gpt_header_mut header;
    memcpy(copy, sector, sizeof copy);
    if (!gpt_header_edit(copy, sizeof copy, &header))
        return 0;
    gpt_header_set_header_crc32(header, 0);
    uint32_t crc = hash_crc32(0, copy, sizeof copy);
    if (header_bytes > sizeof copy)
        crc = hash_crc32(crc, sector + sizeof copy, header_bytes - sizeof copy);
    return crc;
}

bool gpt_entry_used(struct gpt_entry entry)
{
    return !bytes_all(gpt_entry_type_guid(entry), GPT_ENTRY_TYPE_GUID_BYTES, 0);
}

bool gpt_copy_entry(const struct gpt_copy *copy, uint32_t i, struct gpt_entry *ret)
{
    if (copy->array == NULL || i >= copy->entry_count)
        return false;
    return gpt_entry_view(copy->array + (size_t)i * copy->entry_bytes, copy->entry_bytes, ret);
}

/* UTF-16 to UTF-8; halves of a pair that stand alone become U+FFFD. */
static void entry_name(struct gpt_entry entry, char ret[TABLE_NAME_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < GPT_ENTRY_NAME_UNITS; i++) {
        uint32_t c = gpt_entry_name(entry, i);
        if (c == 0)
            break;
        if (c >= 0xD800 && c < 0xE000) {
            uint32_t low = i + 1 < GPT_ENTRY_NAME_UNITS ? gpt_entry_name(entry, i + 1) : 0;
            bool pair = c < 0xDC00 && low >= 0xDC00 && low < 0xE000;
            c = pair ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
            i += pair;
        }
        if (c < 0x80) {
            ret[n++] = (char)c;
        } else if (c < 0x800) {
            ret[n++] = (char)(0xC0 | c >> 6);
            ret[n++] = (char)(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            ret[n++] = (char)(0xE0 | c >> 12);
            ret[n++] = (char)(0x80 | (c >> 6 & 0x3F));
            ret[n++] = (char)(0x80 | (c & 0x3F));
        } else { /* four bytes for two units: never more than three a unit */
            ret[n++] = (char)(0xF0 | c >> 18);
            ret[n++] = (char)(0x80 | (c >> 12 & 0x3F));
            ret[n++] = (char)(0x80 | (c >> 6 & 0x3F));
            ret[n++] = (char)(0x80 | (c & 0x3F));
        }
    }
    ret[n] = '\0';
}

void gpt_entry_describe(struct gpt_entry entry, uint32_t number, struct table_partition *ret)
{
    struct table_partition p = {.number = number};
    p.first_sector = gpt_entry_first_lba(entry);
    uint64_t last = gpt_entry_last_lba(entry);
    p.sectors = last >= p.first_sector && last - p.first_sector < UINT64_MAX ? last - p.first_sector + 1 : 0;
    memcpy(p.type_guid, gpt_entry_type_guid(entry), sizeof p.type_guid);
    memcpy(p.guid, gpt_entry_unique_guid(entry), sizeof p.guid);
    p.attributes = gpt_entry_attributes(entry);
    const char *name = gpt_type_name(p.type_guid);
    if (name != NULL)
        (void)snprintf(p.type, sizeof p.type, "%s", name);
    else
        format_guid(p.type_guid, p.type);
    entry_name(entry, p.name);
    *ret = p;
}

static void fault(struct gpt_copy *copy, const char *text)
{
    if (copy->fault[0] == '\0')
        (void)snprintf(copy->fault, sizeof copy->fault, "%s", text);
}

/* Steps as Linux takes them: signature, size, CRC, my_lba. */
static void judge_header(struct gpt_copy *copy, const uint8_t *sector, uint32_t sector_bytes)
{
    struct gpt_header header;
    if (!gpt_header_view(sector, sector_bytes, &header))
        return;
    uint32_t header_bytes = gpt_header_header_bytes(header);
    bool signature = memcmp(gpt_header_signature(header), "EFI PART", GPT_HEADER_SIGNATURE_BYTES) == 0;
    copy->plausible =
        signature || (header_bytes == GPT_HEADER_BYTES && gpt_header_my_lba(header) == copy->lba);
    copy->entry_count = gpt_header_entry_count(header);
    copy->entry_bytes = gpt_header_entry_bytes(header);
    copy->first_usable = gpt_header_first_usable_lba(header);
    copy->last_usable = gpt_header_last_usable_lba(header);
    copy->entries_lba = gpt_header_entries_lba(header);
    copy->alternate_lba = gpt_header_alternate_lba(header);
    memcpy(copy->header, sector, sizeof copy->header);
    if (!signature)
        fault(copy, "the signature is not 'EFI PART'");
    else if (header_bytes < GPT_HEADER_BYTES || header_bytes > sector_bytes)
        fault(copy, "the header size is impossible");
    else if (gpt_header_crc_of(sector, header_bytes) != gpt_header_header_crc32(header))
        fault(copy, "the header CRC is wrong");
    else if (gpt_header_my_lba(header) != copy->lba)
        fault(copy, "the header says that it lies in another sector");
    else
        copy->header_good = true;
}

static int judge_array(struct gpt_copy *copy, struct plat_dev *dev, uint32_t sector_bytes,
                       struct plat_err *err)
{
    uint64_t bytes = (uint64_t)copy->entry_count * copy->entry_bytes;
    uint64_t start;
    if (bytes == 0 || bytes > GPT_MAX_ARRAY_BYTES || copy->entry_bytes < GPT_ENTRY_BYTES) {
        fault(copy, "the size of the entry array is impossible");
        return 0;
    }
    if (!mul_u64(copy->entries_lba, sector_bytes, &start) ||
        !range_within((struct range){start, bytes}, dev->size_bytes)) {
        fault(copy, "the entry array lies beyond the end of the disk");
        return 0;
    }
    uint8_t *array = malloc((size_t)bytes);
    if (array == NULL)
        return err_nomem(err, "reading a partition table");
    int rc = dev_read(dev, start, array, (size_t)bytes, err);
    if (rc != 0) {
        free(array);
        return rc;
    }
    struct gpt_header header;
    copy->array = array;
    copy->array_readable = true;
    copy->array_good = gpt_header_view(copy->header, sizeof copy->header, &header) &&
                       hash_crc32(0, array, (size_t)bytes) == gpt_header_entries_crc32(header);
    if (!copy->array_good)
        fault(copy, "the CRC of the entry array is wrong");
    return 0;
}

static int read_copy(struct plat_dev *dev, uint32_t sector_bytes, uint64_t lba, struct gpt_copy *ret,
                     struct plat_err *err)
{
    uint8_t sector[GPT_MAX_SECTOR_BYTES];
    int rc = dev_read(dev, lba * sector_bytes, sector, sector_bytes, err);
    if (rc != 0)
        return rc;
    ret->lba = lba;
    ret->readable = true;
    judge_header(ret, sector, sector_bytes);
    return judge_array(ret, dev, sector_bytes, err);
}

static int read_protective(struct plat_dev *dev, struct gpt_disk *disk, struct plat_err *err)
{
    uint8_t sector[GPT_PROTECTIVE_MBR_BYTES];
    struct gpt_protective_mbr mbr;
    struct gpt_protective_record record;
    int rc = dev_read(dev, 0, sector, sizeof sector, err);
    if (rc != 0 || !gpt_protective_mbr_view(sector, sizeof sector, &mbr))
        return rc;
    const uint8_t *signature = gpt_protective_mbr_signature(mbr);
    disk->boot_signature = signature[0] == 0x55 && signature[1] == 0xAA;
    for (size_t i = 0; gpt_protective_mbr_records(mbr, i, &record); i++) {
        uint8_t type = gpt_protective_record_type(record);
        if (type == GPT_PROTECTIVE_TYPE && gpt_protective_record_first_lba(record) == GPT_PRIMARY_LBA) {
            disk->protective = disk->boot_signature;
            disk->protective_sectors = gpt_protective_record_sectors(record);
        } else if (type != 0 && type != GPT_PROTECTIVE_TYPE) {
            disk->other_records = true;
        }
    }
    return 0;
}

/* Where the backup header is: where the primary one says, if a header is there; else in the last sector. */
static int find_backup(struct plat_dev *dev, const struct gpt_disk *disk, uint64_t *ret, struct plat_err *err)
{
    uint64_t last = disk->sectors - 1, said = disk->copy[GPT_PRIMARY].alternate_lba;
    uint8_t there[GPT_HEADER_SIGNATURE_BYTES];
    struct gpt_header primary;
    *ret = last;
    if (said <= GPT_PRIMARY_LBA || said >= last ||
        !gpt_header_view(disk->copy[GPT_PRIMARY].header, GPT_HEADER_BYTES, &primary) ||
        memcmp(gpt_header_signature(primary), "EFI PART", sizeof there) != 0)
        return 0;
    int rc = dev_read(dev, said * disk->sector_bytes, there, sizeof there, err);
    if (rc == 0 && memcmp(there, "EFI PART", sizeof there) == 0)
        *ret = said;
    return rc;
}

int gpt_disk_read(struct plat_dev *dev, uint32_t sector_bytes, struct gpt_disk *ret, struct plat_err *err)
{
    struct gpt_disk disk = {
        .sector_bytes = sector_bytes, .sectors = dev->size_bytes / sector_bytes, .active = GPT_NONE};
    if (sector_bytes < 512 || sector_bytes > GPT_MAX_SECTOR_BYTES)
        return err_set(err, PLAT_EINVALID, "sectors of %u bytes; 512 and 4096 are possible", sector_bytes);
    if (disk.sectors < 3)
        return err_set(err, PLAT_ECORRUPT, "the image has %llu bytes, too few for a partition table",
                       (unsigned long long)dev->size_bytes);
    uint64_t backup_lba = 0;
    int rc = read_protective(dev, &disk, err);
    if (rc == 0)
        rc = read_copy(dev, sector_bytes, GPT_PRIMARY_LBA, &disk.copy[GPT_PRIMARY], err);
    if (rc == 0)
        rc = find_backup(dev, &disk, &backup_lba, err);
    if (rc == 0)
        rc = read_copy(dev, sector_bytes, backup_lba, &disk.copy[GPT_BACKUP], err);
    if (rc != 0) {
        gpt_disk_free(&disk);
        return rc;
    }
    for (int i = GPT_BACKUP; i >= GPT_PRIMARY; i--)
        if (disk.copy[i].header_good && disk.copy[i].array_good)
            disk.active = (enum gpt_which)i;
    *ret = disk;
    return 0;
}

void gpt_disk_free(struct gpt_disk *disk)
{
    free(disk->copy[GPT_PRIMARY].array);
    free(disk->copy[GPT_BACKUP].array);
}
