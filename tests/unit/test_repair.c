/* Repair, when things go wrong: a power cut after any of its writes and within one, the Nth write, flush, read or
 * allocation failing; copies of which none is good, or either could be.
 *
 * Behind each failure the good copy is as it was, and the next repair leaves the image as it was before the damage.
 *
 * Catches: a write to a source, a copy that is believed without being sound, a repair that cannot be repeated. */
#include "formats/gpt/disk.h"
#include "tests/unit/hostile_image.h"
#include "tests/unit/memory_fails.h"
#include "tests/unit/repair_log.h"

enum {
    SECTOR = HOSTILE_SECTOR,
    ENTRIES_AT = 2 * SECTOR,
    BACKUP_AT = HOSTILE_TABLE_BYTES - SECTOR, /* of the disk with a table alone */
    BACKUP_ENTRIES_AT = BACKUP_AT - 32 * SECTOR,
    BOOT_AT = HOSTILE_FAT_START,
    FAT_AT = HOSTILE_FAT_START + 10 * SECTOR /* reserved-sectors of hostile_fat */
};

/* ---- damage ---- */

struct damage {
    const char *what;
    struct {
        uint64_t start, bytes;
    } parts[3];
    uint8_t fill;      /* xor with this; 0: zeros */
    const char *first; /* path that is repaired first */
};
static const struct damage damages[] = {
    {"the primary header", {{SECTOR, 92}}, 0, "gpt.primary"},
    {"a byte of the primary header", {{SECTOR + 40, 1}}, 0x01, "gpt.primary"},
    {"zeros behind the primary header", {{SECTOR + 200, 3}}, 0xFF, "gpt.primary_rest"},
    {"an entry", {{ENTRIES_AT + 32, 2}}, 0x10, "gpt.entries"},
    {"both primary parts", {{SECTOR, 33 * SECTOR}}, 0xA5, "gpt.entries"},
    {"the first 34 sectors", {{0, 34 * SECTOR}}, 0, "gpt.entries"},
    {"the backup header", {{BACKUP_AT, SECTOR}}, 0x5A, "gpt.backup"},
    {"the last 33 sectors", {{BACKUP_ENTRIES_AT, 33 * SECTOR}}, 0, "gpt.backup_entries"},
    {"one header and the other array", {{SECTOR + 16, 4}, {BACKUP_ENTRIES_AT + 60, 9}}, 0x77, "gpt.primary"},
    {"the boot sector", {{BOOT_AT, SECTOR}}, 0, "esp.boot"},
    {"the backup boot sector", {{BOOT_AT + 6 * SECTOR + 11, 30}}, 0xFF, "esp.backup_boot"},
    {"FSInfo", {{BOOT_AT + SECTOR, 4}}, 0xFF, "esp.fsinfo"},
    {"the first FAT", {{FAT_AT, 2 * SECTOR}}, 0, "esp.fat"},
    {"a link of the first FAT", {{FAT_AT + 36, 1}}, 0x04, "esp.fat"},
    {"everything that begins something",
     {{SECTOR, SECTOR}, {BOOT_AT, 2 * SECTOR}, {FAT_AT, SECTOR}},
     0x3C,
     "gpt.primary"},
};
enum { N_DAMAGES = sizeof damages / sizeof damages[0], N_TABLE_DAMAGES = 9 };

static void hurt(uint8_t *bytes, const struct damage *damage)
{
    for (size_t i = 0; i < 3; i++)
        for (uint64_t k = 0; k < damage->parts[i].bytes; k++) {
            uint8_t *at = &bytes[damage->parts[i].start + k];
            *at = damage->fill == 0 ? 0 : (uint8_t)(*at ^ damage->fill);
        }
}

/* The first damages are tried on a disk without files, which is judged faster. */
struct fixture {
    size_t first_damage, end_damage;
    struct hostile disk;
    uint8_t *pristine;
};

static bool is_pristine(const struct fixture *f)
{
    return memcmp(f->disk.bytes, f->pristine, (size_t)f->disk.size_bytes) == 0;
}

/* Page by page: holes stay holes, and judging stays quick. */
static void restore(struct fixture *f)
{
    enum { PAGE_BYTES = 4096 };
    for (size_t at = 0; at < f->disk.size_bytes; at += PAGE_BYTES)
        if (memcmp(f->disk.bytes + at, f->pristine + at, PAGE_BYTES) != 0)
            memcpy(f->disk.bytes + at, f->pristine + at, PAGE_BYTES);
}

static void fixture_open(bool files, struct fixture *ret)
{
    ret->first_damage = files ? N_TABLE_DAMAGES : 0;
    ret->end_damage = files ? N_DAMAGES : N_TABLE_DAMAGES;
    if (files)
        hostile_disk(&ret->disk);
    else
        hostile_gpt(&ret->disk);
    ret->pristine = malloc((size_t)ret->disk.size_bytes);
    if (ret->pristine == NULL)
        hostile_die("memory for a copy", NULL);
    memcpy(ret->pristine, ret->disk.bytes, (size_t)ret->disk.size_bytes);
}

static void test_damages(struct fixture *f)
{
    struct repair_log log;
    struct plat_err err = {0};
    ok(run_repair(f->disk.dev, &log, &err) == 0 && log.repaired == 0 && log.refused == 0 && is_pristine(f),
       "a sound disk stays as it is %s", err.text);
    for (size_t i = f->first_damage; i < f->end_damage; i++) {
        hurt(f->disk.bytes, &damages[i]);
        int rc = run_repair(f->disk.dev, &log, &err);
        ok(rc == 0 && log.repaired > 0 && log.refused == 0 && is_pristine(f) &&
               strcmp(log.paths[0], damages[i].first) == 0,
           "%s: back to the last byte, %u repairs, the first of %s %s%s", damages[i].what, log.repaired,
           log.paths[0], err.text, log.text);
        restore(f);
    }
}

/* ---- power cuts ---- */

static void write_part(struct fixture *f, const struct dev_event *event, size_t from, size_t n)
{
    if (!event->flush)
        memcpy(f->disk.bytes + event->offset + from, event->bytes + from, n);
}

/* Everything up to event `k`, which is torn: its first or its last bytes are there. */
static bool survives(struct fixture *f, const struct damage *damage, const struct dev_event *events, size_t k,
                     size_t from, size_t n)
{
    struct repair_log log;
    struct plat_err err = {0};
    restore(f);
    hurt(f->disk.bytes, damage);
    for (size_t i = 0; i < k; i++)
        write_part(f, &events[i], 0, events[i].n);
    write_part(f, &events[k], from, n);
    bool good = run_repair(f->disk.dev, &log, &err) == 0 && log.refused == 0 && is_pristine(f);
    if (!good)
        printf("# cut in write %zu, bytes %zu to %zu: %s%s\n", k, from, from + n, err.text, log.text);
    return good;
}

static void test_cuts(struct fixture *f)
{
    for (size_t i = f->first_damage; i < f->end_damage; i++) {
        struct plat_dev *recorder = NULL;
        struct repair_log log;
        struct plat_err err = {0};
        const struct dev_event *events;
        unsigned states = 0, bad = 0;
        hurt(f->disk.bytes, &damages[i]);
        if (dev_open_recorder(f->disk.dev, &recorder, &err) != 0 || run_repair(recorder, &log, &err) != 0)
            hostile_die("a recorded repair", &err);
        size_t n = dev_recorder_events(recorder, &events), flushes = 0;
        for (size_t k = 0; k < n; k++) {
            flushes += events[k].flush;
            if (events[k].flush || (k * 7 + i) % tap_share() != 0)
                continue;
            const size_t cuts[] = {8, 0, events[k].n / 2 / 8 * 8, events[k].n / 8 * 8 - 8};
            /* Damage in many places takes long: one cut is enough. */
            const size_t n_cuts = damages[i].parts[2].bytes > 0 ? 1 : sizeof cuts / sizeof cuts[0];
            for (size_t c = 0; c < n_cuts; c++, states += 2) {
                bad += !survives(f, &damages[i], events, k, 0, cuts[c]);
                bad += !survives(f, &damages[i], events, k, cuts[c], events[k].n - cuts[c]);
            }
        }
        ok(bad == 0 && n > 1 && events[n - 1].flush && flushes == log.repaired,
           "%s: a cut in any of %zu writes is harmless (%u states)", damages[i].what, n - flushes, states);
        dev_close(recorder);
        restore(f);
    }
}

/* ---- failures ---- */

/* Fails write or flush number `left`, and all behind it. */
struct stubborn_dev {
    struct plat_dev dev;
    struct plat_dev *inner;
    unsigned left;
};
static int stubborn_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    return dev_read(((struct stubborn_dev *)(void *)dev)->inner, offset, buf, n, err);
}
static int stubborn_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n,
                          struct plat_err *err)
{
    struct stubborn_dev *s = (struct stubborn_dev *)(void *)dev;
    if (s->left == 0)
        return err_set(err, PLAT_EIO, "planted fault");
    s->left--;
    return dev_write(s->inner, offset, buf, n, err);
}
static int stubborn_flush(struct plat_dev *dev, struct plat_err *err)
{
    return stubborn_write(dev, 0, NULL, 0, err);
}
static const struct plat_dev_ops stubborn_ops = {
    .read_at = stubborn_read, .write_at = stubborn_write, .flush = stubborn_flush};

static void test_failing_writes(struct fixture *f)
{
    for (size_t i = f->first_damage; i < f->end_damage; i++) {
        unsigned n = 0, bad = 0;
        for (bool whole = false; !whole && n < 1000; n++) {
            struct stubborn_dev dev = {.dev = *f->disk.dev, .inner = f->disk.dev, .left = n};
            struct repair_log log;
            struct plat_err err = {0};
            dev.dev.ops = &stubborn_ops;
            restore(f);
            hurt(f->disk.bytes, &damages[i]);
            int rc = run_repair(&dev.dev, &log, &err);
            whole = rc == 0;
            bad += rc != 0 && (rc != PLAT_EIO || strstr(err.text, "planted fault") == NULL);
            rc = run_repair(f->disk.dev, &log, &err);
            bad += rc != 0 || log.refused > 0 || !is_pristine(f);
        }
        ok(bad == 0 && n > 2 && n < 1000, "%s: each of %u writes and flushes may fail", damages[i].what,
           n - 1);
        restore(f);
    }
}

static void test_failing_reads(struct fixture *f)
{
    const struct damage *damage = &damages[f->end_damage - 1];
    unsigned bad = 0, tries = 0;
    bool whole = false;
    for (uint64_t n = 0; !whole; n += 1 + n / 2, tries++) {
        struct plat_dev *dev = NULL;
        struct repair_log log;
        struct plat_err err = {0};
        restore(f);
        hurt(f->disk.bytes, damage);
        if (dev_open_fault(f->disk.dev, n, &dev, &err) != 0)
            hostile_die("a device that fails", &err);
        int rc = run_repair(dev, &log, &err);
        dev_close(dev);
        whole = rc == 0;
        bad += rc != 0 && rc != PLAT_EIO;
        rc = run_repair(f->disk.dev, &log, &err);
        bad += rc != 0 || log.refused > 0 || !is_pristine(f);
    }
    ok(bad == 0, "reads may fail, too: %u tries", tries);
    restore(f);
}

static void test_failing_memory(struct fixture *f)
{
    const struct damage *damage = &damages[4];
    unsigned bad = 0, tries = 0;
    unsigned long step = tap_share();
    bool whole = false;
    for (unsigned long n = 0; !whole && n < 1000000; n += step + n / 64, tries++) {
        struct repair_log log;
        struct plat_err err = {0};
        restore(f);
        hurt(f->disk.bytes, damage);
        memory.left = n;
        memory.failed = 0;
        memory.armed = true;
        int rc = run_repair(f->disk.dev, &log, &err);
        memory.armed = false;
        whole = memory.failed == 0;
        bad += rc != 0 && rc != PLAT_ENOMEM;
        bad += whole && rc != 0;
        rc = run_repair(f->disk.dev, &log, &err);
        bad += rc != 0 || log.refused > 0 || !is_pristine(f);
    }
    ok(bad == 0 && whole, "allocations may fail: %u tries", tries);
    restore(f);
}

/* ---- what cannot be judged ---- */

/* Refused, and not a byte is changed. */
static void refused(struct fixture *f, const char *words, const char *what)
{
    struct repair_log log;
    struct plat_err err = {0};
    uint8_t *before = malloc((size_t)f->disk.size_bytes);
    if (before == NULL)
        hostile_die("memory for a copy", NULL);
    memcpy(before, f->disk.bytes, (size_t)f->disk.size_bytes);
    int rc = run_repair(f->disk.dev, &log, &err);
    ok(rc == 0 && log.repaired == 0 && log.refused > 0 && strstr(log.text, words) != NULL &&
           memcmp(before, f->disk.bytes, (size_t)f->disk.size_bytes) == 0,
       "%s: refused, untouched (%s%s)", what, log.text, err.text);
    free(before);
    restore(f);
}

/* The header at `offset` with another disk GUID, sealed. */
static void other_guid(struct fixture *f, uint64_t offset)
{
    static const uint8_t guid[16] = {9, 9, 9};
    struct gpt_header_mut header;
    if (!gpt_header_edit(f->disk.bytes + offset, SECTOR, &header))
        hostile_die("a header", NULL);
    gpt_header_set_disk_guid(header, guid);
    gpt_header_seal(header, offset, SECTOR);
}

static void test_table_refusals(struct fixture *f)
{
    uint8_t *bytes = f->disk.bytes;
    other_guid(f, BACKUP_AT);
    refused(f, "they differ", "two good headers of different disks");
    bytes[SECTOR] ^= 1;
    bytes[BACKUP_AT] ^= 1;
    refused(f, "both headers are damaged", "both headers");
    bytes[ENTRIES_AT] ^= 1;
    bytes[BACKUP_ENTRIES_AT] ^= 1;
    refused(f, "both arrays", "both arrays");
    bytes[SECTOR + 40] ^= 1;
    bytes[BACKUP_ENTRIES_AT] ^= 1;
    bytes[ENTRIES_AT] ^= 2;
    refused(f, "so is the array", "a header and both arrays");
}

static void test_fat_refusals(struct fixture *f)
{
    uint8_t *bytes = f->disk.bytes;
    struct repair_log log;
    struct plat_err err = {0};
    memset(bytes + BOOT_AT + 3, 'x', 5);
    refused(f, "either could be right", "a name in one boot sector alone");
    bytes[BOOT_AT + 13] = 3;
    bytes[BOOT_AT + 6 * SECTOR + 13] = 5;
    refused(f, "neither the boot sector nor its backup", "both boot sectors");
    bytes[BOOT_AT + 65] = 1;
    refused(f, "not unmounted", "a volume in use");
    bytes[FAT_AT + 7] &= 0xF7;
    refused(f, "unmounted", "a FAT of a volume in use");
    bytes[FAT_AT + 36] ^= 0x04;
    bytes[FAT_AT + 600] ^= 0x04;
    ok(run_repair(f->disk.dev, &log, &err) == 0 && log.repaired == 1 && is_pristine(f),
       "two faults in one FAT are one repair");
    restore(f);
}

/* A boot loader behind the header, and the entries elsewhere: what is lost is not written over it. */
static void test_moved_array(void)
{
    struct hostile h;
    struct repair_log log;
    struct plat_err err = {0};
    struct gpt_header_mut header;
    hostile_gpt(&h);
    const uint64_t at = h.size_bytes - SECTOR;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t offset = i == 0 ? SECTOR : at;
        if (!gpt_header_edit(h.bytes + offset, SECTOR, &header))
            hostile_die("a header", NULL);
        gpt_header_set_first_usable_lba(header, 2048);
        if (i == 0)
            gpt_header_set_entries_lba(header, 1000);
        gpt_header_seal(header, offset, SECTOR);
    }
    memcpy(h.bytes + 1000 * SECTOR, h.bytes + ENTRIES_AT, 32 * SECTOR);
    memset(h.bytes + ENTRIES_AT, 0xEB, 40 * SECTOR);
    uint8_t *whole = malloc((size_t)h.size_bytes);
    if (whole == NULL)
        hostile_die("memory for a copy", NULL);
    memcpy(whole, h.bytes, (size_t)h.size_bytes);
    h.bytes[SECTOR + 20] ^= 1;
    h.bytes[1000 * SECTOR + 3] ^= 1;
    ok(run_repair(h.dev, &log, &err) == 0 && log.refused == 0 && memcmp(whole, h.bytes, h.size_bytes) == 0,
       "a moved array is found where the damaged header puts it (%s)", log.text);
    memset(h.bytes + SECTOR, 0, SECTOR);
    memset(h.bytes + 1000 * SECTOR, 0x11, 32 * SECTOR);
    ok(run_repair(h.dev, &log, &err) == 0 && log.repaired == 0 && log.refused == 1 &&
           bytes_all(h.bytes + ENTRIES_AT, 40 * SECTOR, 0xEB),
       "with all signs of it gone, a boot loader in its usual place stays (%s)", log.text);
    free(whole);
    hostile_close(&h);
}

/* ---- the device below a trial ---- */

static void test_overlay(void)
{
    enum { BYTES = 3 * 4096 + 100 };
    struct plat_dev *inner = NULL, *overlay = NULL, *window = NULL;
    struct plat_err err = {0};
    uint8_t model[BYTES] = {0}, got[BYTES], piece[5000];
    unsigned bad = 0;
    uint32_t seed = 7;
    if (dev_open_memory(BYTES, "below", &inner, &err) != 0 || dev_open_overlay(inner, &overlay, &err) != 0)
        hostile_die("an overlay", &err);
    for (unsigned i = 0; i < 2000; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t at = (seed >> 8) % BYTES, n = (seed >> 4) % (i % 3 == 0 ? 5000 : 40);
        n = n < BYTES - at ? n : BYTES - at;
        memset(piece, (int)(seed >> 24), sizeof piece);
        bad += dev_write(overlay, at, piece, n, &err) != 0;
        memcpy(model + at, piece, n);
        bad += dev_read(overlay, at / 2, got, BYTES - at / 2, &err) != 0 ||
               memcmp(got, model + at / 2, BYTES - at / 2) != 0;
    }
    ok(bad == 0 && bytes_all(dev_memory_bytes(inner), BYTES, 0),
       "an overlay reads as written, and what is below stays as it was");
    ok(dev_write(overlay, BYTES - 1, piece, 2, &err) == PLAT_ECORRUPT, "nothing is written behind its end");
    dev_close(overlay);
    dev_close(inner);

    struct hostile h;
    struct range data = {0};
    hostile_open(HOSTILE_MIB, &h); /* a hole from end to end */
    if (dev_open_overlay(h.dev, &overlay, &err) != 0 ||
        dev_open_window(overlay, (struct range){8192, 65536}, &window, &err) != 0)
        hostile_die("an overlay", &err);
    ok(!dev_next_data(overlay, 0, &data) && !dev_next_data(window, 0, &data), "holes below stay holes");
    (void)dev_write(overlay, 20000, "x", 1, &err);
    ok(dev_next_data(overlay, 0, &data) && data.start == 16384 && data.bytes == 4096 &&
           dev_next_data(window, 0, &data) && data.start == 8192 && data.bytes == 4096 &&
           !dev_next_data(window, 12288, &data),
       "what was written is data, seen through a window as well");
    dev_close(window);
    dev_close(overlay);
    hostile_close(&h);
}

int main(void)
{
    test_overlay();
    test_moved_array();
    for (int files = 0; files < 2; files++) {
        struct fixture f;
        fixture_open(files != 0, &f);
        test_damages(&f);
        if (files != 0)
            test_fat_refusals(&f);
        else
            test_table_refusals(&f);
        test_failing_writes(&f);
        test_failing_reads(&f);
        if (files == 0)
            test_failing_memory(&f);
        test_cuts(&f);
        free(f.pristine);
        hostile_close(&f.disk);
    }
    return tap_done();
}
