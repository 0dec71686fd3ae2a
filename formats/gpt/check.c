/* What the layout cannot say of a table: which copy is damaged, whether partitions collide, and who will not
 * read the disk as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gpt/disk.h"

enum { MAX_ENTRY_FINDINGS = 8 };

static const char *const by_linux[] = {"linux", NULL};
static const char *const by_ovmf[] = {"ovmf", NULL};
static const char *const by_linux_ovmf[] = {"linux", "ovmf", NULL};
static const char *const by_linux_sgdisk[] = {"linux", "sgdisk", NULL};
static const char *const by_linux_ovmf_sfdisk[] = {"linux", "ovmf", "sfdisk", NULL};
static const char *const by_sgdisk[] = {"sgdisk", NULL};
static const char *const by_overlap[] = {"ovmf", "sgdisk", "sfdisk", NULL};

static const char *const copy_names[] = {"primary", "backup"};
static const char *const array_names[] = {"entries", "backup_entries"};

static int check_protective(const struct gpt_disk *disk, const struct finding_sink *sink)
{
    const uint64_t at = 0;
    if (!disk->boot_signature)
        return finding_report(
            sink, SEVERITY_ERROR, "gpt-protective-mbr", "protective_mbr", &at, by_linux_ovmf_sfdisk,
            "LBA 0 holds no MBR (its last bytes are not 55 AA); without a protective one, Linux and "
            "OVMF do not look for a GPT");
    if (!disk->protective)
        return finding_report(
            sink, SEVERITY_ERROR, "gpt-protective-mbr", "protective_mbr", &at, by_linux_ovmf,
            "the MBR in LBA 0 has no record of type EE that starts at sector 1; without one, Linux "
            "and OVMF do not look for a GPT");
    return 0;
}

/* Nothing that looks like a header where one should be: one finding instead of one per field. */
static int check_missing(const struct gpt_disk *disk, const struct finding_sink *sink)
{
    for (int i = GPT_PRIMARY; i <= GPT_BACKUP; i++) {
        const struct gpt_copy *copy = &disk->copy[i];
        const uint64_t at = copy->lba * disk->sector_bytes;
        if (copy->plausible)
            continue;
        /* With both gone, sgdisk sees an empty disk and no problem. */
        const char *const *refused_by = i == GPT_PRIMARY                      ? by_linux
                                        : disk->copy[GPT_PRIMARY].header_good ? by_sgdisk
                                                                              : NULL;
        int rc = finding_report(
            sink, SEVERITY_ERROR, "gpt-header-missing", copy_names[i], &at, refused_by,
            "no %s header in sector %llu: %s", copy_names[i], (unsigned long long)copy->lba,
            i == GPT_PRIMARY ? "it was overwritten" : "the disk was cut short, grown, or never had a backup");
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Names the entries that are hit, where the other copy tells them. */
static int check_array(const struct gpt_disk *disk, int which, const struct finding_sink *sink)
{
    const struct gpt_copy *copy = &disk->copy[which], *other = &disk->copy[!which];
    const char *const *refused_by = which == GPT_PRIMARY ? by_linux_sgdisk : by_sgdisk;
    const uint64_t start = copy->entries_lba * disk->sector_bytes;
    if (!copy->plausible || !copy->array_readable || copy->array_good)
        return 0;
    /* A damaged header may have lost the CRC while its array is intact. */
    if (!copy->header_good && other->array_good && other->entry_count == copy->entry_count &&
        other->entry_bytes == copy->entry_bytes &&
        memcmp(copy->array, other->array, (size_t)copy->entry_count * copy->entry_bytes) == 0)
        return 0;
    int rc = finding_report(sink, SEVERITY_ERROR, "gpt-array-crc", array_names[which], &start, refused_by,
                            "the entry array does not match the CRC in the %s header", copy_names[which]);
    if (!other->array_good || other->entry_count != copy->entry_count ||
        other->entry_bytes != copy->entry_bytes)
        return rc;
    unsigned reported = 0;
    for (uint32_t i = 0; rc == 0 && i < copy->entry_count && reported < MAX_ENTRY_FINDINGS; i++) {
        const size_t at = (size_t)i * copy->entry_bytes;
        if (memcmp(copy->array + at, other->array + at, copy->entry_bytes) == 0)
            continue;
        char path[48];
        size_t byte = 0;
        while (copy->array[at + byte] == other->array[at + byte])
            byte++;
        const uint64_t offset = start + at + byte;
        (void)snprintf(path, sizeof path, "%s[%u]", array_names[which], i);
        reported++;
        rc = finding_report(sink, SEVERITY_ERROR, "gpt-entry-damaged", path, &offset, refused_by,
                            "the entry is damaged: its byte %zu is %02x, and %02x in the intact %s[%u]", byte,
                            copy->array[at + byte], other->array[at + byte], array_names[!which], i);
    }
    return rc;
}

/* A backup header that is damaged helps nobody, and sgdisk says so while the primary is good; with both
 * damaged it sees an empty disk and no problem. */
static int check_backup_header(const struct gpt_disk *disk, const struct finding_sink *sink)
{
    const struct gpt_copy *backup = &disk->copy[GPT_BACKUP];
    const uint64_t at = backup->lba * disk->sector_bytes;
    if (!backup->plausible || backup->header_good || !disk->copy[GPT_PRIMARY].header_good)
        return 0;
    return finding_report(sink, SEVERITY_ERROR, "gpt-backup-header", copy_names[GPT_BACKUP], &at, by_sgdisk,
                          "the backup copy could not stand in for the primary one: %s", backup->fault);
}

/* ---- partitions ---- */

struct slot {
    uint32_t index;
    uint64_t first, last;
    uint8_t guid[16];
};

static int by_first(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}
static int by_guid(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    int order = memcmp(x->guid, y->guid, sizeof x->guid);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static int report_slot(const struct gpt_disk *disk, const struct slot *slot, const struct finding_sink *sink,
                       const char *id, const char *const *refused_by, const char *text)
{
    const struct gpt_copy *copy = &disk->copy[disk->active];
    char path[48];
    const uint64_t offset =
        copy->entries_lba * disk->sector_bytes + (uint64_t)slot->index * copy->entry_bytes;
    (void)snprintf(path, sizeof path, "%s[%u]", array_names[disk->active], slot->index);
    return finding_report(sink, SEVERITY_ERROR, id, path, &offset, refused_by, "%s", text);
}

static int check_overlaps(const struct gpt_disk *disk, struct slot *slots, size_t n,
                          const struct finding_sink *sink)
{
    char text[200];
    size_t widest = 0; /* the one that reaches furthest so far */
    qsort(slots, n, sizeof *slots, by_first);
    for (size_t i = 1; i < n; i++) {
        const struct slot *a = &slots[widest], *b = &slots[i];
        if (b->first <= a->last) {
            (void)snprintf(text, sizeof text,
                           "partition %u (sectors %llu to %llu) overlaps partition %u (sectors %llu to %llu)",
                           b->index + 1, (unsigned long long)b->first, (unsigned long long)b->last,
                           a->index + 1, (unsigned long long)a->first, (unsigned long long)a->last);
            int rc = report_slot(disk, b, sink, "gpt-overlap", by_overlap, text);
            if (rc != 0)
                return rc;
        }
        if (b->last > a->last)
            widest = i;
    }
    return 0;
}

static int check_duplicates(const struct gpt_disk *disk, struct slot *slots, size_t n,
                            const struct finding_sink *sink)
{
    char text[200], guid[37];
    qsort(slots, n, sizeof *slots, by_guid);
    for (size_t i = 1; i < n; i++) {
        if (memcmp(slots[i].guid, slots[i - 1].guid, sizeof slots[i].guid) != 0 ||
            bytes_all(slots[i].guid, 16, 0))
            continue;
        format_guid(slots[i].guid, guid);
        (void)snprintf(text, sizeof text, "partitions %u and %u have the same GUID %s: PARTUUID finds either",
                       slots[i - 1].index + 1, slots[i].index + 1, guid);
        int rc = report_slot(disk, &slots[i], sink, "gpt-duplicate-guid", NULL, text);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* A partition on top of the tables would destroy them, whatever the headers say of the usable area. */
static int check_on_tables(const struct gpt_disk *disk, const struct slot *slots, size_t n,
                           const struct finding_sink *sink)
{
    char text[200];
    for (size_t i = 0; i < n; i++) {
        for (int c = GPT_PRIMARY; c <= GPT_BACKUP; c++) {
            const struct gpt_copy *copy = &disk->copy[c];
            if (!copy->header_good || !copy->array_readable || slots[i].last >= disk->sectors)
                continue;
            uint64_t sectors =
                div_up_u64((uint64_t)copy->entry_count * copy->entry_bytes, disk->sector_bytes);
            bool header = slots[i].first <= copy->lba && copy->lba <= slots[i].last;
            bool array = slots[i].first < copy->entries_lba + sectors && copy->entries_lba <= slots[i].last;
            if (!header && !array)
                continue;
            (void)snprintf(text, sizeof text, "partition %u (sectors %llu to %llu) lies over the %s %s",
                           slots[i].index + 1, (unsigned long long)slots[i].first,
                           (unsigned long long)slots[i].last, copy_names[c],
                           header ? "header" : "entry array");
            int rc = report_slot(disk, &slots[i], sink, "gpt-over-table", by_sgdisk, text);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int check_partitions(const struct gpt_disk *disk, const struct finding_sink *sink,
                            struct plat_err *err)
{
    if (disk->active == GPT_NONE)
        return 0;
    const struct gpt_copy *copy = &disk->copy[disk->active];
    struct gpt_entry entry;
    size_t n = 0;
    struct slot *slots = malloc(sizeof *slots * copy->entry_count);
    if (slots == NULL)
        return err_nomem(err, "checking partitions");
    for (uint32_t i = 0; gpt_copy_entry(copy, i, &entry); i++) {
        /* One that ends before it begins has a finding of its own, and no place. */
        if (!gpt_entry_used(entry) || gpt_entry_last_lba(entry) < gpt_entry_first_lba(entry))
            continue;
        slots[n].index = i;
        slots[n].first = gpt_entry_first_lba(entry);
        slots[n].last = gpt_entry_last_lba(entry);
        memcpy(slots[n].guid, gpt_entry_unique_guid(entry), sizeof slots[n].guid);
        n++;
    }
    int rc = check_overlaps(disk, slots, n, sink);
    if (rc == 0)
        rc = check_on_tables(disk, slots, n, sink);
    if (rc == 0)
        rc = check_duplicates(disk, slots, n, sink);
    if (rc == 0 && n > GPT_LINUX_PARTITIONS)
        rc = finding_report(sink, SEVERITY_NOTE, "gpt-many", array_names[disk->active], NULL, by_linux,
                            "%zu partitions; Linux shows the first %d", n, (int)GPT_LINUX_PARTITIONS);
    free(slots);
    return rc;
}

/* ---- readers ---- */

/* Without a protective MBR neither looks further, and that finding names both. */
static int check_readers(const struct gpt_disk *disk, const struct finding_sink *sink)
{
    const uint64_t at = disk->sector_bytes * disk->copy[GPT_PRIMARY].lba;
    char why[200];
    int rc = 0;
    if (!disk->protective)
        return 0;
    if (!gpt_linux_reads(disk, why, sizeof why))
        rc = finding_report(sink, SEVERITY_ERROR, "gpt-linux", "primary", &at, by_linux,
                            "Linux shows no partitions: in the primary copy, %s%s", why,
                            disk->active == GPT_BACKUP
                                ? "; it uses the good backup only with `gpt` on its command line"
                                : "");
    if (rc == 0 && !gpt_ovmf_reads(disk, why, sizeof why))
        rc = finding_report(sink, SEVERITY_ERROR, "gpt-ovmf", "primary", &at, by_ovmf,
                            "OVMF finds no partitions: %s", why);
    return rc;
}

int gpt_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err)
{
    /* struct fs is the first member of the handle. */
    const struct gpt_disk *disk = &((struct gpt_fs *)fs)->disk;
    int rc = check_protective(disk, sink);
    if (rc == 0)
        rc = check_missing(disk, sink);
    for (int i = GPT_PRIMARY; rc == 0 && i <= GPT_BACKUP; i++)
        rc = check_array(disk, i, sink);
    if (rc == 0)
        rc = check_backup_header(disk, sink);
    if (rc == 0)
        rc = check_partitions(disk, sink, err);
    if (rc == 0)
        rc = check_readers(disk, sink);
    return rc;
}
