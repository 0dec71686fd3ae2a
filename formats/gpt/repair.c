/* Which copy of a table is to be rewritten from which.
 *
 *                   header        array
 *   primary         good          CRC differs       the array from the backup's
 *   backup          damaged       CRC of the        the header from the primary's, with the places
 *                                 primary's         exchanged and sealed again
 *
 * A header that is good vouches for an array, wherever that lies. Two copies that are good and differ are left alone:
 * which of them is older nobody can tell. The protective MBR has no copy, but what a reader needs of it follows from
 * the size of the disk; boot code is never touched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gpt/disk.h"
#include "lib/fs/repair.h"
#include "lib/hash/hash.h"

static const char *const header_paths[] = {"primary", "backup"};
static const char *const rest_paths[] = {"primary_rest", "backup_rest"};
static const char *const array_paths[] = {"entries", "backup_entries"};

struct table_repair {
    struct plat_dev *dev;
    const struct gpt_disk *disk;
    struct repair_plan *plan;
    struct plat_err *err;
    enum gpt_which header; /* the good one */
    enum gpt_which array;  /* where the good array lies */
    uint64_t lba[2];       /* of the headers, as they should be */
    uint64_t array_lba[2];
    uint64_t array_bytes, array_sectors;
    const uint8_t *entries; /* the good array */
};

static bool whole(const struct gpt_copy *copy)
{
    return copy->header_good && copy->array_good;
}

static int refuse(const struct table_repair *r, enum gpt_which which, const char *text)
{
    return repair_plan_refuse(r->plan, header_paths[which], r->lba[which] * r->disk->sector_bytes, r->err,
                              "%s", text);
}

/* Do two good headers say the same? */
static bool agree(const struct gpt_disk *disk)
{
    struct gpt_header a, b;
    return gpt_header_view(disk->copy[GPT_PRIMARY].header, GPT_HEADER_BYTES, &a) &&
           gpt_header_view(disk->copy[GPT_BACKUP].header, GPT_HEADER_BYTES, &b) &&
           memcmp(gpt_header_disk_guid(a), gpt_header_disk_guid(b), GPT_HEADER_DISK_GUID_BYTES) == 0 &&
           gpt_header_first_usable_lba(a) == gpt_header_first_usable_lba(b) &&
           gpt_header_last_usable_lba(a) == gpt_header_last_usable_lba(b) &&
           gpt_header_entry_count(a) == gpt_header_entry_count(b) &&
           gpt_header_entry_bytes(a) == gpt_header_entry_bytes(b) &&
           gpt_header_entries_crc32(a) == gpt_header_entries_crc32(b) &&
           gpt_header_alternate_lba(a) == gpt_header_my_lba(b) &&
           gpt_header_alternate_lba(b) == gpt_header_my_lba(a);
}

/* ---- where the bad copy belongs ---- */

/* An array at `lba` would keep clear of the header, of the partitions, and of the other copy. */
static bool room_for_array(const struct table_repair *r, enum gpt_which which, uint64_t lba)
{
    const struct gpt_copy *good = &r->disk->copy[r->header];
    uint64_t from = which == GPT_PRIMARY ? GPT_FIRST_ARRAY_LBA : good->last_usable + 1;
    uint64_t end = which == GPT_PRIMARY ? good->first_usable : r->lba[GPT_BACKUP];
    return lba >= from && lba <= end && r->array_sectors <= end - lba;
}

/* Is what lies at `lba` the array, a part of it, or nothing? */
static int looks_like_array(const struct table_repair *r, uint64_t lba, bool *ret)
{
    const struct gpt_copy *good = &r->disk->copy[r->header];
    uint8_t *there = malloc((size_t)r->array_bytes);
    if (there == NULL)
        return err_nomem(r->err, "repairing a partition table");
    int rc = dev_read(r->dev, lba * r->disk->sector_bytes, there, (size_t)r->array_bytes, r->err);
    bool like = rc == 0 && bytes_all(there, (size_t)r->array_bytes, 0);
    for (uint32_t i = 0; rc == 0 && !like && i < good->entry_count; i++) {
        const size_t at = (size_t)i * good->entry_bytes;
        like = !bytes_all(r->entries + at, good->entry_bytes, 0) &&
               memcmp(there + at, r->entries + at, good->entry_bytes) == 0;
    }
    free(there);
    if (rc == 0)
        *ret = like;
    return rc;
}

/* Where the array of a damaged copy lies. Where the usable area leaves room for just one, there; else where its header
 * says or where everybody puts it, if that is what it looks like. A boot loader may lie there instead. */
static int find_array(struct table_repair *r, enum gpt_which which, bool *ret_found)
{
    const struct gpt_copy *bad = &r->disk->copy[which], *good = &r->disk->copy[r->header];
    const uint64_t usual = which == GPT_PRIMARY ? GPT_FIRST_ARRAY_LBA : r->lba[GPT_BACKUP] - r->array_sectors;
    const uint64_t room = which == GPT_PRIMARY ? good->first_usable - GPT_FIRST_ARRAY_LBA
                                               : r->lba[GPT_BACKUP] - good->last_usable - 1;
    const uint64_t candidates[] = {bad->entries_lba, usual};
    *ret_found = false;
    if (bad->header_good) {
        r->array_lba[which] = bad->entries_lba;
        *ret_found = room_for_array(r, which, bad->entries_lba);
        return 0;
    }
    if (room == r->array_sectors && room_for_array(r, which, usual)) {
        r->array_lba[which] = usual;
        *ret_found = true;
        return 0;
    }
    for (size_t i = 0; !*ret_found && i < sizeof candidates / sizeof candidates[0]; i++) {
        if (!room_for_array(r, which, candidates[i]))
            continue;
        int rc = looks_like_array(r, candidates[i], ret_found);
        if (rc != 0)
            return rc;
        r->array_lba[which] = candidates[i];
    }
    return 0;
}

/* ---- the plan ---- */

/* The good header as the other copy has it. */
static int add_header(const struct table_repair *r, enum gpt_which which)
{
    const uint32_t sector_bytes = r->disk->sector_bytes;
    uint8_t sector[GPT_MAX_SECTOR_BYTES] = {0};
    struct gpt_header_mut header;
    memcpy(sector, r->disk->copy[r->header].header, GPT_HEADER_BYTES);
    if (!gpt_header_edit(sector, sector_bytes, &header))
        return err_set(r->err, PLAT_EBUG, "a sector without room for a header");
    gpt_header_set_alternate_lba(header, r->lba[!which]);
    gpt_header_set_entries_lba(header, r->array_lba[which]);
    gpt_header_seal(header, r->lba[which] * sector_bytes, sector_bytes);
    const struct repair repair = {.path = header_paths[which],
                                  .source = header_paths[r->header],
                                  .place = {r->lba[which] * sector_bytes, GPT_HEADER_BYTES},
                                  .source_offset = r->lba[r->header] * sector_bytes,
                                  .bytes = sector};
    return repair_plan_add(r->plan, &repair, r->err);
}

static int add_array(const struct table_repair *r, enum gpt_which which)
{
    const uint32_t sector_bytes = r->disk->sector_bytes;
    const struct repair repair = {.path = array_paths[which],
                                  .source = array_paths[r->array],
                                  .place = {r->array_lba[which] * sector_bytes, r->array_bytes},
                                  .source_offset = r->array_lba[r->array] * sector_bytes};
    return repair_plan_add(r->plan, &repair, r->err);
}

/* The zeros behind one header, where the other one has them. */
static int add_rests(const struct table_repair *r)
{
    const uint32_t sector_bytes = r->disk->sector_bytes;
    const size_t n = sector_bytes - GPT_HEADER_BYTES;
    uint8_t rest[2][GPT_MAX_SECTOR_BYTES];
    int rc = 0;
    for (int i = GPT_PRIMARY; rc == 0 && i <= GPT_BACKUP; i++)
        rc = dev_read(r->dev, r->lba[i] * sector_bytes + GPT_HEADER_BYTES, rest[i], n, r->err);
    for (int i = GPT_PRIMARY; rc == 0 && i <= GPT_BACKUP; i++) {
        if (bytes_all(rest[i], n, 0) || !bytes_all(rest[!i], n, 0))
            continue;
        const struct repair repair = {.path = rest_paths[i],
                                      .source = rest_paths[!i],
                                      .place = {r->lba[i] * sector_bytes + GPT_HEADER_BYTES, n},
                                      .source_offset = r->lba[!i] * sector_bytes + GPT_HEADER_BYTES};
        rc = repair_plan_add(r->plan, &repair, r->err);
    }
    return rc;
}

/* Which header and which array to believe. False: none, or nothing is wrong, or a refusal was made. */
static int choose(struct table_repair *r, bool *ret)
{
    const struct gpt_copy *copy = r->disk->copy;
    *ret = false;
    if (whole(&copy[GPT_PRIMARY]) && whole(&copy[GPT_BACKUP])) {
        r->header = r->array = GPT_PRIMARY;
        *ret = agree(r->disk);
        return *ret ? 0
                    : refuse(r, GPT_BACKUP,
                             "both copies of the table are good, and they differ: which of them is newer "
                             "cannot be told");
    }
    for (int i = GPT_PRIMARY; i <= GPT_BACKUP; i++)
        if (whole(&copy[i])) {
            r->header = r->array = (enum gpt_which)i;
            *ret = true;
            return 0;
        }
    if (copy[GPT_PRIMARY].header_good == copy[GPT_BACKUP].header_good)
        return refuse(r, GPT_PRIMARY,
                      copy[GPT_PRIMARY].header_good ? "both arrays of entries are damaged"
                                                    : "both headers are damaged");
    /* A good header whose array is damaged: is the other array the one that it seals? */
    r->header = copy[GPT_PRIMARY].header_good ? GPT_PRIMARY : GPT_BACKUP;
    r->array = r->header == GPT_PRIMARY ? GPT_BACKUP : GPT_PRIMARY;
    const struct gpt_copy *other = &copy[r->array];
    struct gpt_header header;
    *ret = other->array_readable && other->entry_count == copy[r->header].entry_count &&
           other->entry_bytes == copy[r->header].entry_bytes &&
           gpt_header_view(copy[r->header].header, GPT_HEADER_BYTES, &header) &&
           hash_crc32(0, other->array, (size_t)other->entry_count * other->entry_bytes) ==
               gpt_header_entries_crc32(header);
    return *ret ? 0
                : refuse(r, r->array,
                         "its header is damaged, and so is the array of entries of the other copy");
}

/* Places of both copies, as the good header has them. False: a refusal was made. */
static int settle(struct table_repair *r, bool *ret)
{
    const struct gpt_copy *good = &r->disk->copy[r->header];
    const enum gpt_which bad = r->header == GPT_PRIMARY ? GPT_BACKUP : GPT_PRIMARY;
    struct gpt_header header;
    *ret = false;
    r->lba[r->header] = good->lba;
    r->lba[bad] = good->alternate_lba;
    r->array_lba[r->header] = good->entries_lba;
    r->array_bytes = (uint64_t)good->entry_count * good->entry_bytes;
    r->array_sectors = div_up_u64(r->array_bytes, r->disk->sector_bytes);
    r->entries = r->disk->copy[r->array].array;
    if (whole(&r->disk->copy[bad]) && whole(good)) { /* what lies between the structures is left */
        r->array_lba[bad] = r->disk->copy[bad].entries_lba;
        *ret = true;
        return 0;
    }
    if (!gpt_header_view(good->header, GPT_HEADER_BYTES, &header) ||
        gpt_header_header_bytes(header) != GPT_HEADER_BYTES)
        return refuse(r, bad, "the good header is of a kind that is not known here (it has not 92 bytes)");
    if (r->lba[GPT_PRIMARY] != GPT_PRIMARY_LBA || r->lba[GPT_BACKUP] >= r->disk->sectors ||
        good->first_usable < GPT_FIRST_ARRAY_LBA || good->first_usable > good->last_usable ||
        good->last_usable >= r->lba[GPT_BACKUP])
        return refuse(r, bad,
                      "where the good header puts it lies no room for a copy: the disk was cut short?");
    int rc = 0;
    if (r->array == bad)
        r->array_lba[bad] = r->disk->copy[bad].entries_lba;
    else
        rc = find_array(r, bad, ret);
    if (r->array == bad)
        *ret = room_for_array(r, bad, r->array_lba[bad]);
    if (rc == 0 && *ret && !room_for_array(r, r->header, r->array_lba[r->header]))
        *ret = false;
    if (rc == 0 && !*ret)
        rc =
            refuse(r, bad, "where its array of entries belongs cannot be told: something else may lie there");
    return rc;
}

/* ---- LBA 0 ---- */

/* What is left of the protective record: at least two of its three numbers; else an empty slot among empty ones. */
static bool find_record(struct gpt_protective_mbr_mut mbr, uint32_t sectors,
                        struct gpt_protective_record_mut *ret)
{
    struct gpt_protective_record_mut m;
    bool all_empty = true;
    for (size_t i = 0; gpt_protective_mbr_edit_records(mbr, i, &m); i++) {
        struct gpt_protective_record record = {m.p};
        if ((gpt_protective_record_type(record) == GPT_PROTECTIVE_TYPE) +
                (gpt_protective_record_first_lba(record) == GPT_PRIMARY_LBA) +
                (gpt_protective_record_sectors(record) == sectors) >=
            2) {
            gpt_protective_record_set_type(m, GPT_PROTECTIVE_TYPE);
            gpt_protective_record_set_first_lba(m, GPT_PRIMARY_LBA);
            *ret = m;
            return true;
        }
        all_empty = all_empty && bytes_all(m.p, GPT_PROTECTIVE_RECORD_BYTES, 0);
    }
    if (!all_empty || !gpt_protective_mbr_edit_records(mbr, 0, &m))
        return false;
    gpt_protective_record_init(m);
    gpt_protective_record_set_sectors(m, sectors);
    *ret = m;
    return true;
}

static int add_protective(const struct table_repair *r)
{
    static const uint8_t signature[GPT_PROTECTIVE_MBR_SIGNATURE_BYTES] = {0x55, 0xAA};
    const uint64_t rest = r->disk->sectors - 1;
    uint8_t sector[GPT_PROTECTIVE_MBR_BYTES];
    struct gpt_protective_mbr_mut mbr;
    struct gpt_protective_record_mut record;
    if (r->disk->protective)
        return 0;
    int rc = dev_read(r->dev, 0, sector, sizeof sector, r->err);
    if (rc != 0 || !gpt_protective_mbr_edit(sector, sizeof sector, &mbr))
        return rc;
    if (!find_record(mbr, rest > UINT32_MAX ? UINT32_MAX : (uint32_t)rest, &record))
        return repair_plan_refuse(r->plan, "protective_mbr", 0, r->err,
                                  "LBA 0 holds other records: whether they or the GPT are to be believed "
                                  "cannot be told");
    gpt_protective_mbr_set_signature(mbr, signature);
    const struct repair repair = {.path = "protective_mbr",
                                  .source = header_paths[r->header],
                                  .place = {0, sizeof sector},
                                  .source_offset = r->lba[r->header] * r->disk->sector_bytes,
                                  .bytes = sector};
    return repair_plan_add(r->plan, &repair, r->err);
}

int gpt_repair(struct fs *fs, struct repair_plan *plan, struct plat_err *err)
{
    /* struct fs is the first member of the handle. */
    const struct gpt_disk *disk = &((struct gpt_fs *)fs)->disk;
    struct table_repair r = {.dev = fs->dev,
                             .disk = disk,
                             .plan = plan,
                             .err = err,
                             .lba = {disk->copy[GPT_PRIMARY].lba, disk->copy[GPT_BACKUP].lba}};
    bool go = false;
    int rc = choose(&r, &go);
    if (rc == 0 && go)
        rc = settle(&r, &go);
    if (rc != 0 || !go)
        return rc;
    for (int i = GPT_PRIMARY; rc == 0 && i <= GPT_BACKUP; i++) {
        const struct gpt_copy *copy = &disk->copy[i];
        if (i != (int)r.array && !whole(copy))
            rc = add_array(&r, (enum gpt_which)i);
        if (rc == 0 && i != (int)r.header && !whole(copy))
            rc = add_header(&r, (enum gpt_which)i);
    }
    if (rc == 0)
        rc = add_rests(&r);
    return rc == 0 ? add_protective(&r) : rc;
}
