/* What the layout language cannot say of a FAT32 volume: chains, lost clusters, names, free space,
 * left-overs.
 *
 *     check()      boot sector choice, backup
 *     check_dir    every directory   -> check_file   every file -> check_chain   every cluster
 *     check_chain  the table: what no file owns
 *     check()      FSInfo's count, label, FAT copies, bytes in no structure
 *
 * Severity: error where some reader refuses the volume, loses data, or fsck.fat exits 1; warning for leaks
 * and what fsck.fat mentions; note otherwise.
 *
 * Bytes whose change gives no finding, because the format leaves them free: OEM name, boot code, serial
 * number, drive number and hidden sectors (the backup boot sector gives those away, where there is one); the
 * hint in FSInfo; in directory entries the attributes read-only, hidden, system and archive, the case bits,
 * times and dates that remain in range, a size that needs the same number of clusters and ends before the
 * zeros of the last one, a character of an 8.3 name without a long one, and all of deleted entries but their
 * first byte; the contents of files. */
#include "formats/fat32/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const check_by_fsck[] = {"fsck.fat", NULL};
const char *const check_by_readers[] = {"linux", "windows", "fsck.fat", NULL};

#define FSINFO_UNKNOWN 0xFFFFFFFFu
#define FSINFO_LEAD 0x41615252u
#define FSINFO_STRUCT 0x61417272u

enum { MAPPED_FATS = 4, ENTRY_BYTES = FAT32_FAT_ENTRY_BYTES, MAX_PLACES = 64 };

int check_report(struct check *check, enum severity severity, const char *id, const char *path,
                 uint64_t offset, const char *const *refused_by, const char *fmt, ...)
{
    char text[1024];
    if (check->naming)
        return 0;
    if (check->n_findings++ >= CHECK_MAX_FINDINGS) {
        if (check->n_findings > CHECK_MAX_FINDINGS + 1)
            return 0;
        return finding_report(check->sink, SEVERITY_ERROR, "too-many", path, &offset, NULL,
                              "more than %d findings; the rest is not shown", CHECK_MAX_FINDINGS);
    }
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return finding_report(check->sink, severity, id, path, &offset, refused_by, "%s", text);
}

int check_find_nonzero(struct check *check, struct range range, uint64_t *ret)
{
    struct plat_dev *dev = check->vol->fs.dev;
    uint64_t end = range.start + range.bytes, at = range.start;
    while (at < end && !check->no_more_data && check->free_budget > 0) {
        /* Ranges of data ascend as the questions do: what ends behind `at` is the next there is. */
        if (check->data.bytes == 0 || check->data.start + check->data.bytes <= at)
            check->no_more_data = !dev_next_data(dev, at, &check->data);
        if (check->no_more_data || check->data.start >= end)
            return 0;
        if (check->data.start > at)
            at = check->data.start;
        uint64_t data_end = check->data.start + check->data.bytes;
        uint64_t n = (data_end < end ? data_end : end) - at;
        if (n > CHECK_CHUNK_BYTES)
            n = CHECK_CHUNK_BYTES;
        if (n > check->free_budget)
            n = check->free_budget;
        int rc = dev_read(dev, at, check->chunk, (size_t)n, check->err);
        if (rc != 0)
            return rc;
        check->free_budget -= n;
        if (!bytes_all(check->chunk, (size_t)n, 0)) {
            size_t i = 0;
            while (check->chunk[i] == 0)
                i++;
            *ret = at + i;
            return 0;
        }
        at += n;
    }
    return 0;
}

/* The same for a range outside the data area, which may lie before what was looked at last. */
static int find_nonzero_anywhere(struct check *check, struct range range, uint64_t *ret)
{
    uint64_t size_bytes = check->vol->fs.dev->size_bytes;
    check->data = (struct range){0};
    check->no_more_data = false;
    check->free_budget = CHECK_FREE_BUDGET_BYTES;
    if (range.start >= size_bytes)
        return 0;
    if (range.bytes > size_bytes - range.start)
        range.bytes = size_bytes - range.start;
    return check_find_nonzero(check, range, ret);
}

/* ---- the boot area ---- */

static int check_boot(struct check *check)
{
    static const char *const what[] = {
        [BOOT_BACKUP] = "its backup is good and was read instead",
        [BOOT_GUESS] = "it was read as if its 16-bit sizes were 0",
        [BOOT_NONE] = "no file can be found",
    };
    struct volume *vol = check->vol;
    struct boot_choice choice;
    if (vol->boot == BOOT_FIRST)
        return 0;
    int rc = fat32_choose_boot(vol->fs.dev, &choice, check->err);
    if (rc != 0)
        return rc;
    /* Who refuses it is in the findings about the fields. */
    return check_report(check, SEVERITY_ERROR, "boot-damaged",
                        choice.why.path[0] != '\0' ? choice.why.path : "boot", 0, NULL,
                        "the boot sector cannot be used: %s; %s", choice.why.text, what[vol->boot]);
}

/* The volume in its partition: where it thinks it begins, and where it ends. */
static int check_placement(struct check *check)
{
    struct volume *vol = check->vol;
    const struct plat_dev *dev = vol->fs.dev;
    if (dev->base_offset == 0)
        return 0;
    int rc = 0;
    if ((uint64_t)vol->hidden_sectors * vol->geo.sector_bytes != dev->base_offset)
        rc = check_report(
            check, SEVERITY_NOTE, "hidden-sectors", "boot.hidden_sectors", 0, NULL,
            "the boot sector says that %u sectors lie before the volume, but it lies at sector %llu: only "
            "legacy boot code would mind",
            vol->hidden_sectors, (unsigned long long)(dev->base_offset / vol->geo.sector_bytes));
    if (rc == 0 && vol->geo.end_offset + vol->geo.sector_bytes <= dev->size_bytes)
        rc =
            check_report(check, SEVERITY_NOTE, "smaller-than-device", "boot.total_sectors_32", 0, NULL,
                         "the volume ends %llu bytes before its partition; some boot ROMs want it to fill it",
                         (unsigned long long)(dev->size_bytes - vol->geo.end_offset));
    return rc;
}

/* Reserved bytes that belong to no structure of the map, and copies of the FAT that the map does not know. */
static int check_between(struct check *check)
{
    struct range gaps[MAX_PLACES];
    size_t n = fat32_reserved_gaps(check->vol, gaps, MAX_PLACES);
    uint64_t found = UINT64_MAX;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0 && found == UINT64_MAX; i++)
        rc = find_nonzero_anywhere(check, gaps[i], &found);
    if (rc == 0 && found != UINT64_MAX)
        rc = check_report(
            check, SEVERITY_NOTE, "reserved-not-zero", "reserved", found, NULL,
            "reserved sector %llu holds bytes that belong to no structure (a boot loader's, perhaps)",
            (unsigned long long)(found / check->vol->geo.sector_bytes));
    return rc;
}

/* Table entries behind that of the last cluster, in each copy. */
static int check_table_slack(struct check *check)
{
    const struct fat32_geometry *geo = &check->vol->geo;
    uint64_t entries = ((uint64_t)geo->cluster_count + FAT32_FIRST_CLUSTER) * ENTRY_BYTES;
    if (entries >= geo->fat_bytes)
        return 0;
    for (uint32_t i = 0; i < geo->num_fats; i++) {
        uint64_t found = UINT64_MAX;
        uint64_t start = geo->fat_offset + i * geo->fat_bytes;
        int rc =
            find_nonzero_anywhere(check, (struct range){start + entries, geo->fat_bytes - entries}, &found);
        if (rc == 0 && found != UINT64_MAX) {
            char path[FAT_PATH_BYTES];
            unsigned long long entry = (found - start) / ENTRY_BYTES;
            if (i == 0)
                (void)snprintf(path, sizeof path, "fat[%llu]", entry);
            else
                (void)snprintf(path, sizeof path, "fat%u[%llu]", i + 1, entry);
            rc = check_report(check, SEVERITY_WARNING, "fat-slack", path, found, NULL,
                              "entry %llu is not 0, but the last cluster is %u", entry,
                              geo->cluster_count + FAT32_FIRST_CLUSTER - 1);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The schema compares four copies; a volume may have up to 255. */
static int check_more_copies(struct check *check)
{
    const struct fat32_geometry *geo = &check->vol->geo;
    uint8_t *first = check->chunk, *other = check->chunk + CHECK_CHUNK_BYTES / 2;
    for (uint32_t i = MAPPED_FATS; geo->mirrored && i < geo->num_fats; i++) {
        for (uint64_t at = 0; at < geo->fat_bytes;) {
            size_t n = CHECK_CHUNK_BYTES / 2;
            if (geo->fat_bytes - at < n)
                n = (size_t)(geo->fat_bytes - at);
            uint64_t start = geo->fat_offset + i * geo->fat_bytes + at;
            if (start + n > check->vol->fs.dev->size_bytes)
                return 0; /* past the end of the device: the schema says so */
            int rc = dev_read(check->vol->fs.dev, geo->fat_offset + at, first, n, check->err);
            if (rc == 0)
                rc = dev_read(check->vol->fs.dev, start, other, n, check->err);
            if (rc != 0)
                return rc;
            if (memcmp(first, other, n) != 0) {
                size_t byte = 0;
                while (first[byte] == other[byte])
                    byte++;
                char path[FAT_PATH_BYTES];
                (void)snprintf(path, sizeof path, "fat%u[%llu]", i + 1,
                               (unsigned long long)((at + byte) / ENTRY_BYTES));
                rc = check_report(check, SEVERITY_ERROR, "fat-copy", path, start + byte, check_by_fsck,
                                  "FAT %u differs from FAT 1 from this entry on", i + 1);
                if (rc != 0)
                    return rc;
                break;
            }
            at += n;
        }
    }
    return 0;
}

/* ---- FSInfo and the label ---- */

static int check_fsinfo(struct check *check, uint64_t n_free)
{
    const struct fat32_geometry *geo = &check->vol->geo;
    uint8_t buf[FAT32_FSINFO_BYTES];
    struct fat32_fsinfo fsinfo;
    uint64_t offset = (uint64_t)geo->fsinfo_sector * geo->sector_bytes;
    if (geo->fsinfo_sector == 0 || geo->usable_clusters < geo->cluster_count ||
        offset + sizeof buf > check->vol->fs.dev->size_bytes)
        return 0;
    int rc = dev_read(check->vol->fs.dev, offset, buf, sizeof buf, check->err);
    if (rc != 0)
        return rc;
    if (!fat32_fsinfo_view(buf, sizeof buf, &fsinfo) || fat32_fsinfo_lead_signature(fsinfo) != FSINFO_LEAD ||
        fat32_fsinfo_struct_signature(fsinfo) != FSINFO_STRUCT)
        return 0;
    uint32_t said = fat32_fsinfo_free_clusters(fsinfo);
    if (said == FSINFO_UNKNOWN || said == n_free)
        return 0;
    return check_report(check, SEVERITY_ERROR, "fsinfo-count", "fsinfo.free_clusters", offset, check_by_fsck,
                        "FSInfo says that %u clusters are free, but the FAT has %llu", said,
                        (unsigned long long)n_free);
}

static int check_label(struct check *check)
{
    const struct volume *vol = check->vol;
    static const uint8_t none[] = "NO NAME    ";
    if (!vol->has_label || !check->has_root)
        return 0;
    char in_boot[FAT32_SHORT_BYTES * 4 + 1];
    struct strbuf shown = {0};
    strbuf_visible(&shown, (const char *)vol->label, sizeof vol->label);
    (void)snprintf(in_boot, sizeof in_boot, "%s", strbuf_str(&shown));
    strbuf_truncate(&shown, 0);
    strbuf_visible(&shown, (const char *)check->label, sizeof check->label);
    int rc = 0;
    if (check->n_labels > 0 && memcmp(check->label, vol->label, sizeof check->label) != 0) {
        char path[FAT_PATH_BYTES];
        (void)snprintf(path, sizeof path, "dir[\"/\"][%u].label", check->label_slot);
        rc = check_report(check, SEVERITY_ERROR, "label-differs", path, check->label_offset, check_by_fsck,
                          "the root directory has label '%s' and the boot sector '%s' (boot.volume_label)",
                          strbuf_str(&shown), in_boot);
    }
    if (check->n_labels == 0 && memcmp(vol->label, none, sizeof vol->label) != 0)
        rc = check_report(
            check, SEVERITY_ERROR, "label-missing", "boot.volume_label", 0, check_by_fsck,
            "the boot sector has label '%s', but the root directory has none ('NO NAME' is written then)",
            in_boot);
    strbuf_free(&shown);
    return rc;
}

/* Bytes behind the last whole cluster. */
static int check_end(struct check *check)
{
    const struct fat32_geometry *geo = &check->vol->geo;
    uint64_t start = geo->data_offset + (uint64_t)geo->cluster_count * geo->cluster_bytes;
    uint64_t found = UINT64_MAX;
    int rc = find_nonzero_anywhere(check, (struct range){start, UINT64_MAX - start}, &found);
    if (rc == 0 && found != UINT64_MAX)
        rc = check_report(check, SEVERITY_NOTE, "tail-not-zero", "tail", found, NULL,
                          "behind the last cluster are bytes that are not 0 and belong to nothing");
    return rc;
}

static int check_all(struct check *check)
{
    uint64_t n_free = 0;
    int rc = check_boot(check);
    if (rc != 0 || check->vol->boot == BOOT_NONE)
        return rc;
    rc = check_placement(check);
    if (rc == 0)
        rc = dir_tree_visit(check->vol, check_directory, check, check->err);
    if (rc == 0)
        rc = check_table(check, &n_free);
    if (rc == 0 && check->n_conflicts > 0) {
        memset(check->used.bits, 0, ((size_t)check->used.n + 7) / 8);
        check->naming = true;
        rc = dir_tree_visit(check->vol, check_directory, check, check->err);
        check->naming = false;
        if (rc == 0)
            rc = check_conflicts(check);
    }
    if (rc == 0)
        rc = check_fsinfo(check, n_free);
    if (rc == 0)
        rc = check_label(check);
    if (rc == 0)
        rc = check_between(check);
    if (rc == 0)
        rc = check_table_slack(check);
    if (rc == 0)
        rc = check_more_copies(check);
    if (rc == 0)
        rc = check_end(check);
    return rc;
}

int fat32_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct check *check = calloc(1, sizeof *check);
    int rc = 0;
    if (check == NULL)
        return err_nomem(err, "checking a volume");
    check->vol = vol;
    check->sink = sink;
    check->err = err;
    check->free_budget = CHECK_FREE_BUDGET_BYTES;
    check->chunk = malloc(CHECK_CHUNK_BYTES);
    check->tails = malloc(CHECK_TAILS_BYTES);
    if (check->chunk == NULL || check->tails == NULL)
        rc = err_nomem(err, "checking a volume");
    if (rc == 0)
        rc = cluster_set_open(vol, &check->used, err);
    if (rc == 0)
        rc = check_all(check);
    check_conflicts_free(check);
    cluster_set_close(&check->used);
    strbuf_free(&check->dir_path);
    strbuf_free(&check->path);
    strbuf_free(&check->owner);
    free(check->keys);
    free(check->chunk);
    free(check->tails);
    free(check);
    return rc;
}
