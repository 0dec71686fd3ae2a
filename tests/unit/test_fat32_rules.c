/* The rules of schemas/fat32.json against reference/FAT32_FORMAT.md section 12: each row there that firmware,
 * Linux, fsck.fat or mtools objects to gets a finding of the right severity that names who objects; rows that
 * all accept get none that is worse than a note. tests/oracle/fat32_rows.py asks the objectors themselves.
 *
 * Catches: a rule lost or weakened, an expression that fails where it should judge, a rule that accuses a
 * good volume. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/fat32/fat32.h"
#include "lib/layout/inst.h"
#include "lib/tree/tree.h"
#include "tests/unit/tap.h"

/* ---- a volume in memory ---- */

struct volume {
    struct plat_dev *dev;
    struct fat32_geometry geo;
    uint8_t *bytes;
    struct fat32_boot_mut boot, backup;
    struct fat32_fsinfo_mut fsinfo;
};

static bool volume_views(struct volume *vol, struct plat_err *err)
{
    size_t n = (size_t)vol->dev->size_bytes;
    vol->bytes = dev_memory_bytes(vol->dev);
    if (!fat32_boot_edit(vol->bytes, n, &vol->boot) ||
        fat32_geometry_from_boot(fat32_boot_of(vol->boot), n, &vol->geo, err) < 0)
        return false;
    const struct fat32_geometry *geo = &vol->geo;
    uint64_t backup = (uint64_t)geo->backup_boot_sector * geo->sector_bytes;
    uint64_t fsinfo = (uint64_t)geo->fsinfo_sector * geo->sector_bytes;
    return fat32_boot_edit(vol->bytes + backup, n - backup, &vol->backup) &&
           fat32_fsinfo_edit(vol->bytes + fsinfo, n - fsinfo, &vol->fsinfo);
}

/* An empty volume of the smallest size, as the maker writes it. */
static bool volume_make(const char *extra, uint32_t sector_bytes, struct volume *vol, struct plat_err *err)
{
    struct make_options options = {.seed = "test", .sector_bytes = sector_bytes, .has_time = true};
    struct tree_options tree_options = {0};
    struct tree *tree = NULL;
    struct make_plan *plan = NULL;
    uint64_t size_bytes = 0;

    options.extra = json_loads(extra, 0, NULL);
    int r = tree_open(&tree_options, &tree, err);
    if (r == 0)
        r = tree_finish(tree, err);
    if (r == 0)
        r = fat32_maker.plan(tree, &options, &plan, err);
    if (r == 0)
        r = fat32_maker.min_bytes(plan, 0, &size_bytes, err);
    if (r == 0)
        r = fat32_maker.settle(plan, size_bytes, err);
    if (r == 0)
        r = dev_open_memory(size_bytes, "volume", &vol->dev, err);
    if (r == 0)
        r = fat32_maker.write(plan, vol->dev, NULL, err);
    if (plan != NULL)
        fat32_maker.close(plan);
    tree_close(tree);
    json_decref(options.extra);
    return r == 0 && volume_views(vol, err);
}

/* ---- findings ---- */

struct wanted {
    const char *id, *by; /* by NULL: nobody in particular */
    enum severity severity;
    bool met;
    unsigned errors, warnings;
    char first[300];
};

static int finding_met(void *ctx, const struct finding *finding)
{
    struct wanted *wanted = ctx;
    bool by = wanted->by == NULL;

    for (const char *const *p = finding->refused_by; p != NULL && *p != NULL; p++)
        by = by || strcmp(*p, wanted->by) == 0;
    if (wanted->id != NULL && strcmp(finding->id, wanted->id) == 0 && finding->severity == wanted->severity &&
        by)
        wanted->met = true;
    wanted->errors += finding->severity == SEVERITY_ERROR;
    wanted->warnings += finding->severity == SEVERITY_WARNING;
    if (wanted->first[0] == '\0' && finding->severity != SEVERITY_NOTE)
        snprintf(wanted->first, sizeof(wanted->first), "%s: %s", finding->id, finding->text);
    return 0;
}

struct judge {
    struct finding_sink sink;
    struct plat_err err;
};

static int instance_met(void *ctx, const struct inst *inst)
{
    struct judge *judge = ctx;
    const struct map_entry *entry = layout_map(inst->image->layout, inst->path);

    /* A copy is judged by comparing it. */
    if (entry != NULL && entry->mirror != NULL)
        return 0;
    return inst_check(inst, &judge->sink, &judge->err);
}

static bool judge_volume(const struct layout *layout, struct volume *vol, uint32_t disk_sector_bytes,
                         struct wanted *wanted)
{
    struct param_setting setting = {.name = "sector_bytes", .value = disk_sector_bytes};
    struct judge judge = {.sink = {.fn = finding_met, .ctx = wanted}};
    struct walk_sink walk = {.ctx = &judge, .instance = instance_met};
    struct image *image = NULL;

    int r = image_open(layout, vol->dev, &setting, 1, &image, &judge.err);
    if (r == 0)
        r = image_walk_map(image, &walk, &judge.err);
    if (r == 0)
        r = image_check_rules(image, &judge.sink, &judge.err);
    if (r < 0)
        printf("# %s\n", judge.err.text);
    image_close(image);
    return r == 0;
}

/* ---- the rows ---- */

/* In the first `n_fats` FATs. */
static void link_set(struct volume *v, uint32_t cluster, uint32_t link, uint32_t n_fats)
{
    for (uint32_t fat = 0; fat < n_fats; fat++) {
        struct fat32_fat_entry_mut entry;
        uint8_t *bytes = v->bytes + fat32_link_offset(&v->geo, fat, cluster);
        if (fat32_fat_entry_edit(bytes, FAT32_FAT_ENTRY_BYTES, &entry))
            fat32_fat_entry_set_link(entry, link);
    }
}

/* A size that leaves this many clusters. */
static void clusters_set(struct volume *v, uint32_t clusters)
{
    fat32_boot_set_total_sectors_32(v->boot,
                                    v->geo.first_data_sector + clusters * v->geo.sectors_per_cluster);
}

static void spoil_media_f0(struct volume *v)
{
    fat32_boot_set_media(v->boot, 0xF0);
}
static void spoil_media_00(struct volume *v)
{
    fat32_boot_set_media(v->boot, 0);
}
static void spoil_fat0_f0(struct volume *v)
{
    link_set(v, 0, 0x0FFFFFF0, 2);
}
static void spoil_fsinfo_lead(struct volume *v)
{
    fat32_fsinfo_set_lead_signature(v->fsinfo, 0);
}
static void spoil_fsinfo_struct(struct volume *v)
{
    fat32_fsinfo_set_struct_signature(v->fsinfo, 0);
}
static void spoil_fsinfo_trail(struct volume *v)
{
    fat32_fsinfo_set_trail_signature(v->fsinfo, 0);
}
static void spoil_fsinfo_ffff(struct volume *v)
{
    fat32_boot_set_fsinfo_sector(v->boot, 0xFFFF);
}
static void spoil_fsinfo_0(struct volume *v)
{
    fat32_boot_set_fsinfo_sector(v->boot, 0);
}
static void spoil_free_count(struct volume *v)
{
    fat32_fsinfo_set_free_clusters(v->fsinfo, 0x7FFFFFFF);
}
static void spoil_backup_0(struct volume *v)
{
    fat32_boot_set_backup_boot_sector(v->boot, 0);
}
static void spoil_backup_outside(struct volume *v)
{
    fat32_boot_set_backup_boot_sector(v->boot, 0xFFF0);
}
static void spoil_backup_zero(struct volume *v)
{
    memset(v->backup.p, 0, FAT32_BOOT_BYTES);
}
static void spoil_total_over(struct volume *v)
{
    fat32_boot_set_total_sectors_32(v->boot, v->geo.total_sectors + 4096);
}
static void spoil_clusters_40298(struct volume *v)
{
    clusters_set(v, 40298);
}
static void spoil_clusters_4080(struct volume *v)
{
    clusters_set(v, 4080);
}
static void spoil_clusters_65524(struct volume *v)
{
    clusters_set(v, 65524);
}
static void spoil_clusters_65525(struct volume *v)
{
    struct fat32_fsinfo_mut copy;
    clusters_set(v, 65525);
    /* Fewer clusters than were counted as free would be a fault of its own. */
    fat32_fsinfo_set_free_clusters(v->fsinfo, 0xFFFFFFFF);
    if (fat32_fsinfo_edit(v->backup.p + v->geo.sector_bytes, FAT32_FSINFO_BYTES, &copy))
        fat32_fsinfo_set_free_clusters(copy, 0xFFFFFFFF);
}
static void spoil_clusters_65540(struct volume *v)
{
    clusters_set(v, 65540);
}
static void spoil_no_55aa(struct volume *v)
{
    fat32_boot_set_signature(v->boot, 0);
}
static void spoil_jump_0(struct volume *v)
{
    fat32_boot_set_jump_opcode(v->boot, 0);
}
static void spoil_bootsig_0(struct volume *v)
{
    fat32_boot_set_boot_signature(v->boot, 0);
}
static void spoil_type_fat16(struct volume *v)
{
    fat32_boot_set_type_text(v->boot, (const uint8_t *)"FAT16   ");
}
static void spoil_version(struct volume *v)
{
    fat32_boot_set_version(v->boot, 1);
}
static void spoil_root_entries(struct volume *v)
{
    fat32_boot_set_root_entries(v->boot, 512);
}
static void spoil_track(struct volume *v)
{
    fat32_boot_set_sectors_per_track(v->boot, 0);
}
static void spoil_heads(struct volume *v)
{
    fat32_boot_set_heads(v->boot, 0);
}
static void spoil_fatsz16(struct volume *v)
{
    fat32_boot_set_sectors_per_fat_16(v->boot, 1);
}
static void spoil_totsec16(struct volume *v)
{
    fat32_boot_set_total_sectors_16(v->boot, 1000);
}
static void spoil_unclean(struct volume *v)
{
    link_set(v, 1, 0x07FFFFFF, 2);
}
static void spoil_io_errors(struct volume *v)
{
    link_set(v, 1, 0x0BFFFFFF, 2);
}
static void spoil_dirty(struct volume *v)
{
    fat32_boot_set_state(v->boot, 1);
}
static void spoil_ext_flags(struct volume *v)
{
    fat32_boot_set_ext_flags(v->boot, 0x81);
}
static void spoil_spc_0(struct volume *v)
{
    fat32_boot_set_sectors_per_cluster(v->boot, 0);
}
static void spoil_spc_3(struct volume *v)
{
    fat32_boot_set_sectors_per_cluster(v->boot, 3);
}
static void spoil_sector_0(struct volume *v)
{
    fat32_boot_set_bytes_per_sector(v->boot, 0);
}
static void spoil_sector_513(struct volume *v)
{
    fat32_boot_set_bytes_per_sector(v->boot, 513);
}
static void spoil_fats_0(struct volume *v)
{
    fat32_boot_set_num_fats(v->boot, 0);
}
static void spoil_reserved_0(struct volume *v)
{
    fat32_boot_set_reserved_sectors(v->boot, 0);
}
static void spoil_fatsz_0(struct volume *v)
{
    fat32_boot_set_sectors_per_fat(v->boot, 0);
}
static void spoil_fatsz_small(struct volume *v)
{
    fat32_boot_set_sectors_per_fat(v->boot, v->geo.fat_sectors - 1);
}
static void spoil_fatsz_huge(struct volume *v)
{
    fat32_boot_set_sectors_per_fat(v->boot, UINT32_MAX);
}
static void spoil_total_0(struct volume *v)
{
    fat32_boot_set_total_sectors_32(v->boot, 0);
}
static void spoil_root_0(struct volume *v)
{
    fat32_boot_set_root_cluster(v->boot, 0);
}
static void spoil_root_far(struct volume *v)
{
    fat32_boot_set_root_cluster(v->boot, 0x0FFFFFF0);
}
static void spoil_fat_copy(struct volume *v)
{
    link_set(v, 1, 0x0FFFFFFE, 1);
}

static const struct {
    const char *what;
    void (*spoil)(struct volume *v);
    const char *id;
    enum severity severity;
    const char *by;
} rows[] = {
    {"row 4: BPB media F0, FAT[0] F8", spoil_media_f0, "fat-media", SEVERITY_ERROR, "mtools"},
    {"row 5: BPB media 00", spoil_media_00, "media", SEVERITY_ERROR, "linux"},
    {"row 6: FAT[0] F0, BPB F8", spoil_fat0_f0, "fat-media", SEVERITY_ERROR, "mtools"},
    {"row 7: FSInfo lead signature 0", spoil_fsinfo_lead, "fsinfo-lead", SEVERITY_ERROR, "fsck.fat"},
    {"FSInfo second signature 0", spoil_fsinfo_struct, "fsinfo-struct", SEVERITY_ERROR, "fsck.fat"},
    {"FSInfo last signature 0", spoil_fsinfo_trail, "fsinfo-trail", SEVERITY_ERROR, "fsck.fat"},
    {"row 8: BPB_FSInfo FFFF", spoil_fsinfo_ffff, "fsinfo-outside", SEVERITY_ERROR, "fsck.fat"},
    {"row 9: BPB_FSInfo 0", spoil_fsinfo_0, "fsinfo-none", SEVERITY_NOTE, NULL},
    {"Free_Count above all clusters", spoil_free_count, "fsinfo-free", SEVERITY_ERROR, "fsck.fat"},
    {"row 12: BkBootSec 0", spoil_backup_0, "backup-none", SEVERITY_ERROR, "fsck.fat"},
    {"BkBootSec outside", spoil_backup_outside, "backup-outside", SEVERITY_ERROR, "fsck.fat"},
    {"row 13: backup zeroed", spoil_backup_zero, "mirror", SEVERITY_ERROR, NULL},
    {"row 15: TotSec32 past the device", spoil_total_over, "past-device", SEVERITY_ERROR, "mtools"},
    {"row 16: 40,298 clusters", spoil_clusters_40298, "too-few-clusters", SEVERITY_ERROR, "ovmf"},
    {"row 23: 4,080 clusters", spoil_clusters_4080, "too-few-clusters", SEVERITY_ERROR, "mtools"},
    {"row 19: 65,524 clusters", spoil_clusters_65524, "too-few-clusters", SEVERITY_ERROR, "ovmf"},
    {"row 20: 65,525 clusters", spoil_clusters_65525, "few-clusters", SEVERITY_NOTE, NULL},
    {"65,540 clusters", spoil_clusters_65540, "few-clusters", SEVERITY_NOTE, NULL},
    {"row 26: no 55 AA", spoil_no_55aa, "boot-55aa", SEVERITY_ERROR, "windows"},
    {"row 27: jmpBoot 0", spoil_jump_0, "boot-jump", SEVERITY_ERROR, "windows"},
    {"row 29: BootSig 0", spoil_bootsig_0, "boot-signature", SEVERITY_ERROR, "fsck.fat"},
    {"row 30: type text FAT16", spoil_type_fat16, "type-text", SEVERITY_NOTE, NULL},
    {"row 31: FSVer 1", spoil_version, "fs-version", SEVERITY_ERROR, "ovmf"},
    {"row 32: RootEntCnt 512", spoil_root_entries, "root-entries", SEVERITY_ERROR, "linux"},
    {"row 33: SecPerTrk 0", spoil_track, "sectors-per-track", SEVERITY_ERROR, "mtools"},
    {"row 33: NumHeads 0", spoil_heads, "heads", SEVERITY_ERROR, "mtools"},
    {"row 34: FATSz16 1", spoil_fatsz16, "sectors-per-fat-16", SEVERITY_ERROR, "linux"},
    {"row 35: TotSec16 1000", spoil_totsec16, "total-sectors-16", SEVERITY_ERROR, "ovmf"},
    {"row 36: FAT[1] clean bit 0", spoil_unclean, "fat-not-clean", SEVERITY_ERROR, "fsck.fat"},
    {"FAT[1] error bit 0", spoil_io_errors, "fat-io-errors", SEVERITY_WARNING, NULL},
    {"dirty flag", spoil_dirty, "dirty", SEVERITY_ERROR, "fsck.fat"},
    {"row 37: ExtFlags 81", spoil_ext_flags, "fat-mirroring-off", SEVERITY_ERROR, "ovmf"},
    {"row 38: SecPerClus 0", spoil_spc_0, "cluster-size", SEVERITY_ERROR, "mtools"},
    {"SecPerClus 3", spoil_spc_3, "cluster-size", SEVERITY_ERROR, "linux"},
    {"BytsPerSec 0", spoil_sector_0, "sector-size", SEVERITY_ERROR, "linux"},
    {"BytsPerSec 513", spoil_sector_513, "sector-size", SEVERITY_ERROR, "ovmf"},
    {"NumFATs 0", spoil_fats_0, "fat-copies", SEVERITY_ERROR, "linux"},
    {"RsvdSecCnt 0", spoil_reserved_0, "reserved-sectors", SEVERITY_ERROR, "ovmf"},
    {"FATSz32 0", spoil_fatsz_0, "sectors-per-fat", SEVERITY_ERROR, "ovmf"},
    {"FATSz32 one too small", spoil_fatsz_small, "fat-too-small", SEVERITY_ERROR, "mtools"},
    {"FATSz32 FFFFFFFF", spoil_fatsz_huge, "no-data-area", SEVERITY_ERROR, "linux"},
    {"TotSec32 0", spoil_total_0, "total-sectors", SEVERITY_ERROR, "fsck.fat"},
    {"RootClus 0", spoil_root_0, "root-cluster", SEVERITY_ERROR, "linux"},
    {"RootClus past the end", spoil_root_far, "root-outside", SEVERITY_ERROR, "linux"},
    {"FATs differ", spoil_fat_copy, "mirror", SEVERITY_ERROR, "fsck.fat"},
};

static void test_rows(const struct layout *layout)
{
    struct plat_err err = {0};
    struct volume vol = {0};
    char what[700];

    if (!volume_make("{}", 512, &vol, &err)) {
        ok(false, "%s", err.text);
        return;
    }
    /* All that a row can change lies before the data. */
    size_t head = (size_t)vol.geo.data_offset;
    uint8_t *good = malloc(head);
    if (good == NULL) {
        ok(false, "out of memory");
        return;
    }
    memcpy(good, vol.bytes, head);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wanted wanted = {.id = rows[i].id, .by = rows[i].by, .severity = rows[i].severity};
        memcpy(vol.bytes, good, head);
        rows[i].spoil(&vol);
        /* A backup that differs is an error of its own: where the row is less, both copies get the change. */
        if (rows[i].severity != SEVERITY_ERROR)
            memcpy(vol.backup.p, vol.boot.p, FAT32_BOOT_BYTES);
        bool ran = judge_volume(layout, &vol, 512, &wanted);
        snprintf(what, sizeof(what), "%s: %s [%s] by %s (%s)", rows[i].what, severity_name(rows[i].severity),
                 rows[i].id, rows[i].by != NULL ? rows[i].by : "nobody", wanted.first);
        ok(ran && wanted.met && (rows[i].severity == SEVERITY_ERROR || wanted.errors == 0), "%s", what);
    }
    free(good);
    dev_close(vol.dev);
}

static void test_accepted(const struct layout *layout)
{
    static const struct {
        const char *what, *extra;
        uint32_t sector_bytes, disk_sector_bytes;
    } good[] = {
        {"smallest volume", "{}", 512, 512},
        {"one FAT", "{\"fats\": 1}", 512, 512},
        {"32 KiB clusters", "{\"cluster-bytes\": 32768}", 512, 512},
        {"64 KiB clusters", "{\"cluster-bytes\": \"64KiB\"}", 512, 512},
        {"9 reserved sectors", "{\"reserved-sectors\": 9}", 512, 512},
        {"other OEM name, drive and volume id",
         "{\"oem\": \"X\", \"drive-number\": 0, \"volume-id\": \"0000-0000\"}", 512, 512},
        {"4096-byte sectors on such a disk", "{}", 4096, 4096},
        {"4096-byte sectors on a 512-byte disk", "{}", 4096, 512},
    };
    char what[700];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct wanted wanted = {0};
        struct plat_err err = {0};
        struct volume vol = {0};
        bool made = volume_make(good[i].extra, good[i].sector_bytes, &vol, &err);
        bool ran = made && judge_volume(layout, &vol, good[i].disk_sector_bytes, &wanted);
        snprintf(what, sizeof(what), "%s: nothing to say (%s)", good[i].what, made ? wanted.first : err.text);
        ok(ran && wanted.errors + wanted.warnings == 0, "%s", what);
        dev_close(vol.dev);
    }
    struct wanted wanted = {.id = "sector-below-device", .by = "linux"};
    struct plat_err err = {0};
    struct volume vol = {0};
    bool ran = volume_make("{}", 512, &vol, &err) && judge_volume(layout, &vol, 4096, &wanted);
    ok(ran && wanted.met, "512-byte sectors on a disk of 4096-byte sectors are an error for Linux");
    dev_close(vol.dev);
}

int main(void)
{
    const struct embedded_schema *schema = embedded_schema_find("fat32");
    struct layout *layout = NULL;
    struct plat_err err = {0};

    if (schema == NULL || layout_load(schema->json, schema->n, "fat32.json", &layout, &err) < 0) {
        ok(false, "%s", schema == NULL ? "schema fat32 is embedded" : err.text);
        (void)tap_done();
        return 1;
    }
    test_rows(layout);
    test_accepted(layout);
    layout_free(layout);
    return tap_done();
}
