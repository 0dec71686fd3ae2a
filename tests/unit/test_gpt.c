/* GPT: what we write is clean, each variant of GPT_FORMAT section 6 gets its verdict, and no byte can be
 * flipped unseen.
 *
 * Catches: a CRC that is not compared, a copy that is not looked at, a finding that does not name the
 * structure hit, a reader that is said to accept what it refuses. */
#include "tests/unit/gpt_disk.h"

#include "lib/hash/hash.h"

enum { PATTERNS = 2 };

static struct gpt_header_mut header_of(struct disk *d, enum gpt_which which)
{
    struct gpt_header_mut header = {0};
    uint64_t lba = which == GPT_PRIMARY ? GPT_PRIMARY_LBA : d->sectors - 1;
    (void)gpt_header_edit(d->bytes + lba * d->sector_bytes, d->sector_bytes, &header);
    return header;
}
static struct gpt_entry_mut entry_of(struct disk *d, enum gpt_which which, uint32_t i)
{
    struct gpt_entry_mut entry = {0};
    uint64_t lba = gpt_header_entries_lba(gpt_header_of(header_of(d, which)));
    (void)gpt_entry_edit(d->bytes + lba * d->sector_bytes + (size_t)i * GPT_ENTRY_BYTES, GPT_ENTRY_BYTES,
                         &entry);
    return entry;
}

/* CRCs right again: what a tool that writes nonsense in good order leaves. */
static void reseal(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++) {
        struct gpt_header_mut header = header_of(d, w);
        struct gpt_header view = gpt_header_of(header);
        uint64_t bytes = (uint64_t)gpt_header_entry_count(view) * gpt_header_entry_bytes(view);
        uint64_t at = gpt_header_entries_lba(view) * d->sector_bytes;
        if (range_within((struct range){at, bytes}, DISK_BYTES)) {
            uint8_t *copy = malloc((size_t)bytes);
            memcpy(copy, d->bytes + at, (size_t)bytes);
            gpt_header_set_entries_crc32(header, hash_crc32(0, copy, (size_t)bytes));
            free(copy);
        }
        gpt_header_set_header_crc32(header, gpt_header_crc_of(header.p, GPT_HEADER_BYTES));
    }
}

/* ---- clean disks ---- */

static int compare_partition(void *ctx, const struct table_partition *p)
{
    struct disk *d = ctx;
    const struct table_partition *want = &d->parts[p->number - 1];
    ok(p->first_sector == want->first_sector && p->sectors == want->sectors &&
           strcmp(p->name, want->name) == 0 && strcmp(p->type, want->type) == 0 &&
           memcmp(p->guid, want->guid, 16) == 0 && p->attributes == want->attributes,
       "partition %u of %u-byte sectors reads back as written", p->number, d->sector_bytes);
    return 0;
}

static void test_clean(uint32_t sector_bytes, struct seen *seen)
{
    struct disk d;
    struct fs *fs;
    struct plat_err err = {0};
    struct fs_probe_result result = {0};
    disk_make(sector_bytes, &d);
    judge(d.dev, 0, seen);
    if (!ok(seen->open_class == 0 && seen->n == 0, "a disk of %u-byte sectors has no findings", sector_bytes))
        seen_print(seen);
    ok(gpt_driver.probe(d.dev, &(struct fs_open_options){0}, &result, &err) == 0 &&
           result.sector_bytes == sector_bytes && result.score == FS_PROBE_YES,
       "the sector size is found to be %u", sector_bytes);
    if (ok(fs_open(&gpt_driver, d.dev, NULL, &fs, &err) == 0, "opens: %s", err.text)) {
        ok(gpt_driver.partitions(fs, compare_partition, &d, &err) == 0, "partitions are listed");
        fs_close(fs);
    }
    judge(d.dev, sector_bytes == 512 ? 4096 : 512, seen);
    ok(seen->open_class != 0 || seen->errors > 0,
       "a disk of %u-byte sectors is no good disk of the other size", sector_bytes);
    dev_close(d.dev);
}

/* ---- GPT_FORMAT section 6, and more of its kind ---- */

static void primary_crc(struct disk *d)
{
    header_of(d, GPT_PRIMARY).p[GPT_HEADER_BYTES - 1] ^= 1;
}
static void backup_crc(struct disk *d)
{
    header_of(d, GPT_BACKUP).p[GPT_HEADER_BYTES - 1] ^= 1;
}
static void both_crc(struct disk *d)
{
    primary_crc(d);
    backup_crc(d);
}
static void both_gone(struct disk *d)
{
    memset(header_of(d, GPT_PRIMARY).p, 0, d->sector_bytes);
    memset(header_of(d, GPT_BACKUP).p, 0, d->sector_bytes);
}
static void primary_gone(struct disk *d)
{
    memset(header_of(d, GPT_PRIMARY).p, 0, d->sector_bytes);
}
static void no_protective(struct disk *d)
{
    memset(d->bytes, 0, d->sector_bytes);
}
static void protective_elsewhere(struct disk *d)
{
    struct gpt_protective_mbr_mut mbr;
    struct gpt_protective_record_mut record;
    if (gpt_protective_mbr_edit(d->bytes, d->sector_bytes, &mbr) &&
        gpt_protective_mbr_edit_records(mbr, 0, &record))
        gpt_protective_record_set_first_lba(record, 2);
}
static void linux_type(struct disk *d)
{
    uint8_t guid[16];
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        if (gpt_type_find("basic-data", guid))
            gpt_entry_set_type_guid(entry_of(d, w, 0), guid);
    reseal(d);
}
static void moved_array(struct disk *d)
{
    uint64_t sectors = GPT_MIN_ARRAY_BYTES / d->sector_bytes;
    struct gpt_header_mut header = header_of(d, GPT_PRIMARY);
    uint8_t *old = d->bytes + 2 * d->sector_bytes;
    memcpy(old + GPT_MIN_ARRAY_BYTES, old, GPT_MIN_ARRAY_BYTES);
    memset(old, 0, GPT_MIN_ARRAY_BYTES);
    gpt_header_set_entries_lba(header, 2 + sectors);
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        gpt_header_set_first_usable_lba(header_of(d, w), 2 + 2 * sectors);
    reseal(d);
}
static void wide_entries(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++) {
        gpt_header_set_entry_bytes(header_of(d, w), 256);
        gpt_header_set_entry_count(header_of(d, w), 64);
    }
    reseal(d);
}
static void overlap(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        gpt_entry_set_first_lba(entry_of(d, w, 1), d->parts[0].first_sector);
    reseal(d);
}
static void outside(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        gpt_entry_set_last_lba(entry_of(d, w, 2), d->sectors - 2);
    reseal(d);
}
static void past_end(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        gpt_entry_set_last_lba(entry_of(d, w, 2), d->sectors * 16);
    reseal(d);
}
static void backwards(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        gpt_entry_set_last_lba(entry_of(d, w, 2), d->parts[2].first_sector - 1);
    reseal(d);
}
static void same_guid(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        gpt_entry_set_unique_guid(entry_of(d, w, 2), d->parts[0].guid);
    reseal(d);
}
static void usable_beyond(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        gpt_header_set_last_usable_lba(header_of(d, w), d->sectors + 100);
    reseal(d);
}
static void array_in_usable(struct disk *d)
{
    for (enum gpt_which w = GPT_PRIMARY; w <= GPT_BACKUP; w++)
        gpt_header_set_first_usable_lba(header_of(d, w), 3);
    reseal(d);
}
static void rest_used(struct disk *d)
{
    header_of(d, GPT_PRIMARY).p[GPT_HEADER_BYTES + 4] = 7;
}
static void backup_array(struct disk *d)
{
    entry_of(d, GPT_BACKUP, 1).p[3] ^= 0x10;
}
static void primary_array(struct disk *d)
{
    entry_of(d, GPT_PRIMARY, 1).p[3] ^= 0x10;
}
static void other_disk(struct disk *d)
{
    static const uint8_t guid[16] = {9};
    gpt_header_set_disk_guid(header_of(d, GPT_BACKUP), guid);
    reseal(d);
}

struct variant {
    const char *name;
    void (*bend)(struct disk *d);
    int64_t bytes;                    /* more or less than before: a disk that grew or was cut */
    bool fine;                        /* no error, no warning */
    const char *id, *path;            /* the finding it must have */
    const char *refused_by;           /* " linux " must be in that finding */
    bool linux_refuses, ovmf_refuses; /* whether gpt-linux, gpt-ovmf are found */
};

/* "row N" is that row of reference/GPT_FORMAT.md section 6; tests/oracle/gpt.bats asks the strangers about each. */
static const struct variant variants[] = {
    {.name = "row 2: primary header CRC wrong",
     .bend = primary_crc,
     .id = "derive",
     .path = "gpt.primary.",
     .linux_refuses = true},
    {.name = "row 3: backup header CRC wrong", .bend = backup_crc, .id = "derive", .path = "gpt.backup."},
    {.name = "row 4: both CRCs wrong",
     .bend = both_crc,
     .id = "derive",
     .path = "gpt.primary.",
     .linux_refuses = true,
     .ovmf_refuses = true},
    {.name = "both headers gone",
     .bend = both_gone,
     .id = "gpt-header-missing",
     .path = "gpt.primary",
     .refused_by = " linux ",
     .linux_refuses = true,
     .ovmf_refuses = true},
    {.name = "primary header gone",
     .bend = primary_gone,
     .id = "gpt-header-missing",
     .path = "gpt.primary",
     .refused_by = " linux ",
     .linux_refuses = true},
    {.name = "row 5: no protective MBR",
     .bend = no_protective,
     .id = "gpt-protective-mbr",
     .path = "gpt.protective_mbr",
     .refused_by = " linux  ovmf "},
    {.name = "protective record starts at 2",
     .bend = protective_elsewhere,
     .id = "mbr-protective-start",
     .path = "mbr.sector.partitions[0].first_lba",
     .refused_by = " linux  ovmf "},
    {.name = "row 6: disk grown",
     .bytes = 1 << 20,
     .id = "gpt-backup-place",
     .path = "gpt.primary.alternate_lba",
     .refused_by = " sgdisk  sfdisk "},
    {.name = "row 7: disk cut by 512 KiB",
     .bytes = -(1 << 19),
     .id = "gpt-last-usable",
     .path = "gpt.primary.last_usable_lba",
     .refused_by = " linux ",
     .linux_refuses = true},
    {.name = "row 8: type of the ESP is basic-data", .bend = linux_type, .fine = true},
    {.name = "row 9: entry array moved", .bend = moved_array, .fine = true},
    {.name = "entries of 256 bytes",
     .bend = wide_entries,
     .id = "gpt-entry-bytes",
     .path = "gpt.primary.entry_bytes",
     .refused_by = " linux ",
     .linux_refuses = true},
    {.name = "partitions overlap",
     .bend = overlap,
     .id = "gpt-overlap",
     .path = "gpt.entries[1]",
     .refused_by = " ovmf "},
    {.name = "partition outside the usable area",
     .bend = outside,
     .id = "gpt-inside",
     .path = "gpt.entries[2]",
     .refused_by = " ovmf "},
    {.name = "partition past the end",
     .bend = past_end,
     .id = "gpt-on-disk",
     .path = "gpt.entries[2]",
     .refused_by = " linux "},
    {.name = "partition past the end, as a window", .bend = past_end, .id = "stack-window", .path = "p3"},
    {.name = "partition ends before it begins",
     .bend = backwards,
     .id = "gpt-order",
     .path = "gpt.entries[2].last_lba",
     .refused_by = " ovmf "},
    {.name = "same GUID twice", .bend = same_guid, .id = "gpt-duplicate-guid", .path = "gpt.entries[2]"},
    {.name = "last usable sector beyond the disk",
     .bend = usable_beyond,
     .id = "gpt-last-usable",
     .path = "gpt.primary.last_usable_lba",
     .refused_by = " linux ",
     .linux_refuses = true},
    {.name = "array reaches into the usable area",
     .bend = array_in_usable,
     .id = "gpt-array-in-front",
     .path = "gpt.primary.entries_lba"},
    {.name = "bytes behind the header",
     .bend = rest_used,
     .id = "gpt-header-rest",
     .path = "gpt.primary_rest"},
    {.name = "primary array damaged",
     .bend = primary_array,
     .id = "gpt-entry-damaged",
     .path = "gpt.entries[1]",
     .refused_by = " linux ",
     .linux_refuses = true},
    {.name = "backup array damaged",
     .bend = backup_array,
     .id = "gpt-entry-damaged",
     .path = "gpt.backup_entries[1]",
     .refused_by = " sgdisk "},
    {.name = "headers of two disks", .bend = other_disk, .id = "gpt-pair-disk-guid", .path = "gpt"},
};

static void test_variant(const struct variant *v, uint32_t sector_bytes, struct seen *seen)
{
    struct disk d;
    struct plat_err err = {0};
    disk_make(sector_bytes, &d);
    if (v->bend != NULL)
        v->bend(&d);
    struct plat_dev *dev = d.dev;
    if (v->bytes != 0) {
        uint64_t bytes = (uint64_t)(DISK_BYTES + v->bytes);
        if (dev_open_memory(bytes, "resized.img", &dev, &err) != 0)
            exit(1);
        memcpy(dev_memory_bytes(dev), d.bytes, bytes < DISK_BYTES ? (size_t)bytes : DISK_BYTES);
    }
    judge(dev, 0, seen);
    bool good = seen->open_class == 0 && seen->verify_class == 0;
    if (v->fine) {
        good = good && seen->errors == 0 && seen->warnings == 0;
    } else {
        const struct seen_finding *f = seen_find(seen, SEVERITY_ERROR, v->id, v->path);
        good = good && f != NULL && (v->refused_by == NULL || strstr(f->refused_by, v->refused_by) != NULL);
    }
    good = good && (seen_find(seen, SEVERITY_ERROR, "gpt-linux", NULL) != NULL) == v->linux_refuses;
    good = good && (seen_find(seen, SEVERITY_ERROR, "gpt-ovmf", NULL) != NULL) == v->ovmf_refuses;
    if (!ok(good, "%s (%u-byte sectors)", v->name, sector_bytes))
        seen_print(seen);
    if (dev != d.dev)
        dev_close(dev);
    dev_close(d.dev);
}

/* ---- flips ---- */

/* What a byte of the metadata belongs to, as findings should name it; NULL: the format leaves it free. */
static const char *owner(const struct disk *d, uint64_t at, char buf[64])
{
    uint64_t sector = at / d->sector_bytes, in = at % d->sector_bytes,
             array = GPT_MIN_ARRAY_BYTES / d->sector_bytes;
    if (sector == 0) {
        /* Boot code and disk signature are free, and so are the bytes of a 4096-byte sector behind the
         * record: those belong to no structure, which is a warning. */
        struct gpt_protective_mbr mbr;
        struct gpt_protective_record record;
        if (!gpt_protective_mbr_view(d->bytes, d->sector_bytes, &mbr) ||
            !gpt_protective_mbr_records(mbr, 0, &record))
            return NULL;
        if (in >= GPT_PROTECTIVE_MBR_BYTES)
            return "gap";
        return in < (uint64_t)(record.p - d->bytes) - 2 ? NULL : "mbr";
    }
    bool tail = sector >= d->sectors - 1 - array;
    uint64_t array_start = tail ? d->sectors - 1 - array : 2;
    if (sector == 1 || sector == d->sectors - 1) {
        (void)snprintf(buf, 64, "gpt.%s%s", sector == 1 ? "primary" : "backup",
                       in < GPT_HEADER_BYTES ? "" : "_rest");
        return buf;
    }
    (void)snprintf(buf, 64, "gpt.%s[%llu]", tail ? "backup_entries" : "entries",
                   (unsigned long long)((at - array_start * d->sector_bytes) / GPT_ENTRY_BYTES));
    return buf;
}

static uint64_t flip_range(struct disk *d, uint64_t from, uint64_t to, uint64_t step, struct seen *seen)
{
    static const uint8_t patterns[PATTERNS] = {0xFF, 0x01};
    uint64_t unseen = 0;
    char buf[64];
    for (uint64_t at = from; at < to; at += step) {
        const char *name = owner(d, at, buf);
        if (name == NULL)
            continue;
        for (unsigned p = 0; p < PATTERNS; p++) {
            uint8_t old = d->bytes[at];
            d->bytes[at] ^= patterns[p];
            judge(d->dev, 0, seen);
            d->bytes[at] = old;
            /* Warnings: bytes of no structure, and FE FF FF in the protective record, which other tools
             * write. */
            bool mild = strcmp(name, "gap") == 0 ||
                        seen_find(seen, SEVERITY_WARNING, "mbr-protective-chs", NULL) != NULL;
            bool named = seen_find(seen, mild ? SEVERITY_WARNING : SEVERITY_ERROR, NULL, name) != NULL;
            /* A signature that is gone takes its layer with it; the GPT then says so. */
            if (!named && strcmp(name, "mbr") == 0)
                named = seen_find(seen, SEVERITY_ERROR, NULL, "gpt.protective_mbr") != NULL;
            if (seen->open_class == 0 && named)
                continue;
            if (unseen++ < 5) {
                printf("# byte 0x%llx ^ %02x should be found at %s\n", (unsigned long long)at, patterns[p],
                       name);
                seen_print(seen);
            }
        }
    }
    return unseen;
}

static void test_flips(uint32_t sector_bytes, struct seen *seen)
{
    struct disk d;
    disk_make(sector_bytes, &d);
    const uint64_t s = sector_bytes, end = DISK_BYTES;
    /* Every byte of headers and of the slots in use; of the slots that are not used, and of what is behind
     * headers in their sectors, every byte with PLAT_SLOW set, else a sample that visits each offset in a
     * slot. */
    const uint64_t step = getenv("PLAT_SLOW") != NULL ? 1 : 127;
    const uint64_t used = 4 * GPT_ENTRY_BYTES, array = GPT_MIN_ARRAY_BYTES;
    ok(flip_range(&d, 0, 512, 1, seen) == 0, "each flipped byte of LBA 0 is found (%u)", sector_bytes);
    ok(flip_range(&d, 512, s, step, seen) == 0, "so are those behind it");
    ok(flip_range(&d, s, s + GPT_HEADER_BYTES, 1, seen) == 0, "each of the primary header");
    ok(flip_range(&d, s + GPT_HEADER_BYTES, 2 * s, step, seen) == 0, "each of the rest of its sector");
    ok(flip_range(&d, 2 * s, 2 * s + used, 1, seen) == 0, "each of the entries in use");
    ok(flip_range(&d, 2 * s + used, 2 * s + array, step, seen) == 0, "each of the other entries");
    ok(flip_range(&d, end - s - array, end - s - array + used, 1, seen) == 0,
       "each of the backup entries in use");
    ok(flip_range(&d, end - s - array + used, end - s, step, seen) == 0, "each of the other backup entries");
    ok(flip_range(&d, end - s, end - s + GPT_HEADER_BYTES, 1, seen) == 0, "each of the backup header");
    ok(flip_range(&d, end - s + GPT_HEADER_BYTES, end, step, seen) == 0, "each of the rest of its sector");
    dev_close(d.dev);
}

/* Cut at every sector of the metadata: an error, or nothing recognised; never a clean bill. */
static void test_cuts(struct seen *seen)
{
    struct disk d;
    struct plat_err err = {0};
    unsigned clean = 0, cuts = 0;
    disk_make(512, &d);
    for (uint64_t sectors = 0; sectors < d.sectors;
         sectors += sectors < 70 || sectors > d.sectors - 70 ? 1 : 64) {
        struct plat_dev *dev;
        if (dev_open_const(d.bytes, (size_t)sectors * 512, "cut.img", &dev, &err) != 0)
            exit(1);
        judge(dev, 0, seen);
        clean += seen->open_class == 0 && seen->errors == 0;
        cuts++;
        dev_close(dev);
    }
    ok(cuts > 100 && clean == 0, "no disk cut at one of %u sector boundaries passes", cuts);
    dev_close(d.dev);
}

/* ---- opening what is damaged ---- */

static void test_degraded(void)
{
    struct disk d;
    struct fs *fs;
    struct plat_err err = {0};
    disk_make(512, &d);
    primary_crc(&d);
    ok(fs_open(&gpt_driver, d.dev, NULL, &fs, &err) == PLAT_ECORRUPT && strstr(err.text, "backup") != NULL,
       "a damaged primary is refused, and the message names the backup");
    struct fs_open_options options = {.degraded = true};
    if (ok(fs_open(&gpt_driver, d.dev, &options, &fs, &err) == 0, "degraded, it opens from the backup")) {
        (void)gpt_driver.partitions(fs, compare_partition, &d, &err);
        fs_close(fs);
    }
    backup_crc(&d);
    ok(fs_open(&gpt_driver, d.dev, NULL, &fs, &err) == PLAT_ECORRUPT, "two damaged copies are refused");
    dev_close(d.dev);
}
int main(void)
{
    struct seen *seen = calloc(1, sizeof *seen);
    if (seen == NULL)
        return 1;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t sector_bytes = i == 0 ? 512 : 4096;
        test_clean(sector_bytes, seen);
        for (size_t v = 0; v < sizeof variants / sizeof variants[0]; v++)
            test_variant(&variants[v], sector_bytes, seen);
        test_flips(sector_bytes, seen);
    }
    test_cuts(seen);
    test_degraded();
    free(seen);
    return tap_done();
}
