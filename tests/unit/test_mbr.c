/* MBR: plain tables are written, read and judged; what is no table is left alone; flips are seen.
 *
 * Catches: a FAT boot sector taken for a table, 32-bit limits that wrap, records that overlap unseen. */
#include "tests/unit/disk_image.h"

#include "formats/mbr/mbr.h"
#include "formats/mbr/sector.h"

enum { DISK_BYTES = 8 << 20 };

static void plan(struct table_partition parts[3])
{
    struct plat_err err = {0};
    static const char *const types[] = {"esp", "linux", "0x7f"};
    memset(parts, 0, 3 * sizeof *parts);
    for (uint32_t i = 0; i < 3; i++) {
        parts[i].number = i + 1;
        parts[i].first_sector = 2048 * (i + 1);
        parts[i].sectors = 2048;
        parts[i].attributes = i == 1 ? 0x80 : 0;
        if (mbr_table_maker.parse_type(types[i], &parts[i], &err) != 0)
            ok(false, "type %s: %s", types[i], err.text);
    }
}

static struct plat_dev *make(const struct table_partition *parts, uint32_t sector_bytes, uint64_t disk_bytes)
{
    struct plat_err err = {0};
    struct plat_dev *dev;
    struct table_spec spec = {.sector_bytes = sector_bytes,
                              .disk_sectors = disk_bytes / sector_bytes,
                              .mbr_signature = 0x12345678,
                              .partitions = parts,
                              .n_partitions = 3};
    if (dev_open_memory(disk_bytes, "disk.img", &dev, &err) != 0 ||
        mbr_table_maker.validate(&spec, &err) != 0 || mbr_table_maker.write_head(&spec, dev, &err) != 0 ||
        mbr_table_maker.write_tail(&spec, dev, &err) != 0) {
        ok(false, "make: %s", err.text);
        exit(1);
    }
    return dev;
}

static struct mbr_record_mut record_of(struct plat_dev *dev, size_t i)
{
    struct mbr_boot_record_mut mbr;
    struct mbr_record_mut record = {0};
    if (!mbr_boot_record_edit(dev_memory_bytes(dev), (size_t)dev->size_bytes, &mbr) ||
        !mbr_boot_record_edit_partitions(mbr, i, &record))
        exit(1);
    return record;
}

static int compare(void *ctx, const struct table_partition *p)
{
    const struct table_partition *want = (const struct table_partition *)ctx + (p->number - 1);
    ok(p->first_sector == want->first_sector && p->sectors == want->sectors &&
           p->mbr_type == want->mbr_type && strcmp(p->type, want->type) == 0 &&
           p->attributes == want->attributes,
       "partition %u reads back as written (%s)", p->number, p->type);
    return 0;
}

static void test_clean(struct seen *seen)
{
    struct table_partition parts[3];
    struct plat_err err = {0};
    struct fs *fs;
    plan(parts);
    for (uint32_t sector_bytes = 512; sector_bytes <= 4096; sector_bytes *= 8) {
        struct plat_dev *dev = make(parts, sector_bytes, sector_bytes == 512 ? DISK_BYTES : DISK_BYTES * 8);
        judge(dev, sector_bytes, seen);
        if (!ok(seen->open_class == 0 && seen->n == 0, "a plain table is clean (%u)", sector_bytes))
            seen_print(seen);
        struct fs_open_options options = {.sector_bytes = sector_bytes};
        if (ok(fs_open(&mbr_driver, dev, &options, &fs, &err) == 0, "opens %s", err.text)) {
            (void)mbr_driver.partitions(fs, compare, parts, &err);
            fs_close(fs);
        }
        dev_close(dev);
    }
    /* Beyond cylinder 1023, which CHS cannot say. */
    parts[2].first_sector = 20000000;
    struct plat_err why = {0};
    struct plat_dev *dev;
    struct table_spec spec = {
        .sector_bytes = 512, .disk_sectors = 30000000, .partitions = parts, .n_partitions = 3};
    ok(mbr_table_maker.validate(&spec, &why) == 0, "a partition 10 GB in is fine");
    if (dev_open_memory(512, "sector", &dev, &why) == 0 &&
        mbr_table_maker.write_head(&spec, dev, &why) == 0) {
        struct mbr_record record;
        struct mbr_sector sector;
        if (mbr_sector_read(dev, 512, &sector, &why) == 0 && mbr_sector_record(&sector, 2, &record))
            ok(mbr_record_chs_first(record) == 0xFFFFFE, "its CHS is the largest there is");
        dev_close(dev);
    }
}

static void bend_and_judge(const char *what, size_t record, void (*bend)(struct mbr_record_mut),
                           const char *id, const char *path, struct seen *seen)
{
    struct table_partition parts[3];
    plan(parts);
    struct plat_dev *dev = make(parts, 512, DISK_BYTES);
    bend(record_of(dev, record));
    judge(dev, 0, seen);
    if (!ok(seen->open_class == 0 && seen_find(seen, SEVERITY_NOTE, id, path) != NULL, "%s", what))
        seen_print(seen);
    dev_close(dev);
}

static void starts_early(struct mbr_record_mut r)
{
    mbr_record_set_first_lba(r, 3000);
}
static void starts_at_zero(struct mbr_record_mut r)
{
    mbr_record_set_first_lba(r, 0);
}
static void ends_late(struct mbr_record_mut r)
{
    mbr_record_set_sectors(r, UINT32_MAX);
}
static void has_none(struct mbr_record_mut r)
{
    mbr_record_set_sectors(r, 0);
}
static void is_active(struct mbr_record_mut r)
{
    mbr_record_set_status(r, MBR_STATUS_ACTIVE);
}
static void is_odd(struct mbr_record_mut r)
{
    mbr_record_set_status(r, 0x17);
}
static void is_extended(struct mbr_record_mut r)
{
    mbr_record_set_type(r, MBR_PARTITION_TYPE_EXTENDED_LBA);
}
static void is_left_over(struct mbr_record_mut r)
{
    mbr_record_set_sectors(r, 5);
}

static void test_faults(struct seen *seen)
{
    bend_and_judge("overlap", 1, starts_early, "mbr-overlap", "mbr.sector.partitions[1]", seen);
    bend_and_judge("start at 0", 1, starts_at_zero, "mbr-start", "mbr.sector.partitions[1].first_lba", seen);
    bend_and_judge("past the end", 2, ends_late, "mbr-on-disk", "mbr.sector.partitions[2].sectors", seen);
    bend_and_judge("past the end, as a window", 2, ends_late, "stack-window", "p3", seen);
    bend_and_judge("no sectors", 2, has_none, "mbr-size", "mbr.sector.partitions[2].sectors", seen);
    bend_and_judge("two active", 2, is_active, "mbr-active", "mbr.sector.partitions[2]", seen);
    bend_and_judge("status 17", 2, is_odd, "mbr-status", "mbr.sector.partitions[2].status", seen);
    bend_and_judge("extended partition", 2, is_extended, "mbr-extended", "mbr.sector.partitions[2]", seen);
    bend_and_judge("rest of a deleted partition", 3, is_left_over, "mbr-unused", "mbr.sector.partitions[3]",
                   seen);
}

/* The end of the disk against the end of the last partition, which is at 4 MiB. What OVMF, Linux and QEMU do there was
 * measured with tests/oracle/gpt.bats. */
static void test_ends(struct seen *seen)
{
    enum { END = 4 << 20, STARTS = 3 << 20 };
    static const struct {
        const char *what, *id, *by;
        uint64_t disk_bytes;
        size_t errors, warnings;
    } rows[] = {
        {"the partition ends with the disk", NULL, NULL, END, 0, 0},
        {"the disk ends 1 byte short", "mbr-last-sector", "", END - 1, 0, 1},
        {"1 byte into the last sector", "mbr-last-sector", "", END - 511, 0, 1},
        {"1 sector short", "mbr-on-disk", " ovmf ", END - 512, 2, 0},
        {"1 byte more than a sector short", "mbr-on-disk", " ovmf ", END - 513, 2, 0},
        {"1 byte of the partition is there", "mbr-on-disk", " ovmf ", STARTS + 1, 2, 0},
        {"nothing of the partition is there", "mbr-beyond", " linux  ovmf ", STARTS, 2, 0},
    };
    struct table_partition parts[3];
    plan(parts);
    struct plat_dev *disk = make(parts, 512, DISK_BYTES);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plat_dev *cut;
        struct plat_err err = {0};
        const struct range range = {.bytes = rows[i].disk_bytes};
        if (!ok(dev_open_window(disk, range, &cut, &err) == 0, "%s: opens %s", rows[i].what, err.text))
            continue;
        judge(cut, 512, seen);
        const struct seen_finding *f =
            rows[i].id == NULL ? NULL
                               : seen_find(seen, SEVERITY_NOTE, rows[i].id, "mbr.sector.partitions[2]");
        if (!ok(seen->errors == rows[i].errors && seen->warnings == rows[i].warnings &&
                    (rows[i].id == NULL || (f != NULL && strcmp(f->refused_by, rows[i].by) == 0)),
                "%s: %s", rows[i].what, rows[i].id == NULL ? "nothing to say" : rows[i].id))
            seen_print(seen);
        dev_close(cut);
    }
    dev_close(disk);
}

/* Every byte but those that the format leaves free: boot code, disk signature, and the type, which may be
 * any. */
static void test_flips(struct seen *seen)
{
    struct table_partition parts[3];
    plan(parts);
    struct plat_dev *dev = make(parts, 512, DISK_BYTES);
    uint8_t *bytes = dev_memory_bytes(dev);
    struct mbr_boot_record mbr;
    struct mbr_record record;
    unsigned unseen = 0, free_bytes = 0, tried = 0;
    if (!mbr_boot_record_view(bytes, DISK_BYTES, &mbr))
        exit(1);
    for (size_t at = 0; at < MBR_BOOT_RECORD_BYTES; at++) {
        bool is_free =
            &bytes[at] < mbr_boot_record_boot_code(mbr) + MBR_BOOT_RECORD_BOOT_CODE_BYTES + sizeof(uint32_t);
        for (size_t i = 0; i < 3 && mbr_boot_record_partitions(mbr, i, &record); i++) {
            struct mbr_record_mut probe = record_of(dev, i);
            mbr_record_set_type(probe, mbr_record_type(record) ^ 0xFF);
            uint8_t changed = bytes[at];
            mbr_record_set_type(probe, mbr_record_type(record) ^ 0xFF);
            is_free = is_free || changed != bytes[at];
        }
        free_bytes += is_free;
        if (is_free)
            continue;
        for (unsigned p = 0; p < 2; p++) {
            uint8_t pattern = p == 0 ? 0xFF : 0x01, old = bytes[at];
            bytes[at] ^= pattern;
            judge(dev, 0, seen);
            bytes[at] = old;
            tried++;
            if (seen->open_class == 0 && seen_find(seen, SEVERITY_ERROR, NULL, "mbr.sector") != NULL)
                continue;
            unseen++;
            printf("# byte %zu ^ %02x (class %d)\n", at, pattern, seen->open_class);
            seen_print(seen);
        }
    }
    ok(unseen == 0 && tried > 0, "each of %u flips is found; %u bytes are free", tried, free_bytes);
    ok(free_bytes == MBR_BOOT_RECORD_BOOT_CODE_BYTES + sizeof(uint32_t) + 3,
       "free: boot code, disk signature, three types");
    dev_close(dev);
}

/* Sectors that end in 55 AA and are no partition table. */
static void test_probe(void)
{
    struct plat_err err = {0};
    struct fs_probe_result result;
    struct fs_open_options options = {0};
    struct plat_dev *dev;
    struct mbr_boot_record_mut mbr;
    if (dev_open_memory(DISK_BYTES, "sector", &dev, &err) != 0 ||
        !mbr_boot_record_edit(dev_memory_bytes(dev), DISK_BYTES, &mbr))
        exit(1);
    uint8_t *bytes = dev_memory_bytes(dev);
    ok(mbr_driver.probe(dev, &options, &result, &err) == 0 && result.score == 0, "zeros are no table");
    mbr_boot_record_init(mbr);
    ok(mbr_driver.probe(dev, &options, &result, &err) == 0 && result.score == 0, "55 AA alone is none");
    memcpy(bytes, "\xEB\x58\x90mkfs.fat", 11);
    mbr_boot_record_set_disk_signature(mbr, 77);
    ok(mbr_driver.probe(dev, &options, &result, &err) == 0 && result.score == 0,
       "a boot sector with zeros there is none");
    memset(bytes + 11, 'x', MBR_BOOT_RECORD_BYTES - 13);
    ok(mbr_driver.probe(dev, &options, &result, &err) == 0 && result.score == 0,
       "one with text there is none");
    memset(bytes, 0, MBR_BOOT_RECORD_BYTES);
    mbr_boot_record_init(mbr);
    mbr_boot_record_set_disk_signature(mbr, 77);
    ok(mbr_driver.probe(dev, &options, &result, &err) == 0 && result.score == FS_PROBE_MAYBE,
       "an empty table may be one");
    dev_close(dev);
    ok(dev_open_memory(100, "short", &dev, &err) == 0 &&
           mbr_driver.probe(dev, &options, &result, &err) == 0 && result.score == 0,
       "100 bytes are none");
    dev_close(dev);
}

static void refuse(const char *what, struct table_spec *spec, int class, const char *word)
{
    struct plat_err err = {0};
    int rc = mbr_table_maker.validate(spec, &err);
    ok(rc == class && strstr(err.text, word) != NULL, "%s: %s", what, err.text);
}

static void test_validate(void)
{
    struct table_partition parts[3];
    struct table_spec spec = {
        .sector_bytes = 512, .disk_sectors = 1 << 24, .partitions = parts, .n_partitions = 3};
    plan(parts);
    ok(mbr_table_maker.validate(&spec, NULL) == 0, "the good plan is accepted");
    parts[2].first_sector = (uint64_t)1 << 32;
    refuse("start beyond 32 bits", &spec, PLAT_EINVALID, "gpt");
    plan(parts);
    parts[2].sectors = (uint64_t)1 << 32;
    refuse("size beyond 32 bits", &spec, PLAT_EINVALID, "gpt");
    plan(parts);
    parts[1].first_sector = 2049;
    refuse("overlap", &spec, PLAT_EINVALID, "overlaps");
    plan(parts);
    parts[0].first_sector = 0;
    refuse("start at 0", &spec, PLAT_EINVALID, "1 is the first");
    plan(parts);
    parts[0].sectors = 0;
    refuse("no sectors", &spec, PLAT_EINVALID, "1 is the least");
    plan(parts);
    parts[2].attributes = 0x80;
    refuse("two active", &spec, PLAT_EINVALID, "active");
    plan(parts);
    parts[2].number = 5;
    refuse("number 5", &spec, PLAT_EINVALID, "1 to 4");
    parts[2].number = 1;
    refuse("number twice", &spec, PLAT_EINVALID, "number 1");
    plan(parts);
    parts[2].mbr_type = 5;
    refuse("extended", &spec, PLAT_EUNSUPPORTED, "extended");
    plan(parts);
    spec.disk_sectors = 7000;
    refuse("disk too small", &spec, PLAT_EINVALID, "at least 4194304 bytes");
    struct table_partition p;
    struct plat_err err = {0};
    ok(mbr_table_maker.parse_type("swap", &p, &err) == 0 && p.mbr_type == 0x82, "swap is 82");
    ok(mbr_table_maker.parse_type("efi-gpt", &p, &err) == 0 && p.mbr_type == 0xEE, "efi-gpt is EE");
    ok(mbr_table_maker.parse_type("0xC", &p, &err) == 0 && strcmp(p.type, "fat32") == 0, "0xC is fat32");
    ok(mbr_table_maker.parse_type("0x100", &p, &err) == PLAT_EINVALID, "0x100: %s", err.text);
    ok(mbr_table_maker.parse_type("0x00", &p, &err) == PLAT_EINVALID, "0x00: %s", err.text);
    ok(mbr_table_maker.parse_type("exp", &p, &err) == PLAT_EINVALID, "exp: %s", err.text);
    size_t n = 0, round = 0;
    for (const char *name; (name = mbr_type_at(n)) != NULL; n++) {
        uint8_t type = 0;
        round += mbr_type_find(name, &type) && mbr_type_text(type) != NULL &&
                 strcmp(mbr_type_text(type), name) == 0;
    }
    ok(n > 25 && round == n, "all %zu names lead to a type and back", n);
}

int main(void)
{
    struct seen *seen = calloc(1, sizeof *seen);
    if (seen == NULL)
        return 1;
    test_clean(seen);
    test_faults(seen);
    test_ends(seen);
    test_flips(seen);
    test_probe();
    test_validate();
    free(seen);
    return tap_done();
}
