/* Which copy of a structure is rewritten from which.
 *
 *   sector 0   boot      <->   sector 6   backup_boot       \
 *   sector 2   boot2     <->   sector 8   backup_boot2       >  equal by right: the one that stands every check
 *   FAT 1      fat       <->   FAT 2 ..   fat2 ..           /
 *   sector 1   fsinfo    <->   sector 7   backup_fsinfo      signatures and reserved bytes; the count of free
 *                                                            clusters only where the other one is true
 *
 * FAT32 has no checksums: a copy is bad when the volume that it describes has faults, and the other one's has not.
 * What a system writes into one copy alone is no damage: that the volume is in use (boot.state, entry 1 of the FAT),
 * and a count of free clusters in the backup that is as old as the volume. */
#include "formats/fat32/volume.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/fs/repair.h"

enum { STATE_KNOWN = FAT32_VOLUME_STATE_DIRTY | FAT32_VOLUME_STATE_SURFACE_TEST };
#define ENTRY1_STATE 0x0C000000u /* bits 26 and 27 */
#define ENTRY1_ONES 0x03FFFFFFu
#define ENTRY0_ONES 0x0FFFFF00u

struct volume_repair {
    struct volume *vol;
    struct repair_plan *plan;
    struct plat_err *err;
    struct fat32_geometry geo; /* as the boot sector that is believed has it */
    bool has_backup;
    bool sure;              /* two boot sectors agree about the geometry, or one of them was chosen */
    uint64_t backup_offset; /* of the backup boot sector */
};

static uint64_t sector_offset(const struct volume_repair *r, uint64_t sector)
{
    return sector * r->geo.sector_bytes;
}

static int boot_at(const struct volume_repair *r, uint64_t offset, uint8_t buf[FAT32_BOOT_BYTES],
                   struct fat32_geometry *ret, bool *ret_usable)
{
    struct fat32_boot boot;
    *ret_usable = range_within((struct range){offset, FAT32_BOOT_BYTES}, r->vol->fs.dev->size_bytes);
    int rc = *ret_usable ? dev_read(r->vol->fs.dev, offset, buf, FAT32_BOOT_BYTES, r->err) : 0;
    *ret_usable = rc == 0 && *ret_usable && fat32_boot_view(buf, FAT32_BOOT_BYTES, &boot) &&
                  fat32_geometry_from_boot(boot, r->vol->fs.dev->size_bytes, ret, NULL) == 0;
    return rc;
}

static bool same_geometry(const struct fat32_geometry *a, const struct fat32_geometry *b)
{
    return a->sector_bytes == b->sector_bytes && a->reserved_sectors == b->reserved_sectors &&
           a->num_fats == b->num_fats && a->fat_sectors == b->fat_sectors && a->mirrored == b->mirrored &&
           a->fsinfo_sector == b->fsinfo_sector && a->backup_boot_sector == b->backup_boot_sector;
}

/* ---- where the backup is ---- */

enum { USUAL_BACKUP_SECTOR = 6, ALIKE_BYTES = FAT32_BOOT_BYTES * 7 / 8 };

/* Sector 6, where every formatter puts it and where a boot sector lies that says so; another one only when what lies
 * there is much the same as the boot sector. A number that is damaged leads to other sectors. */
static int find_backup(struct volume_repair *r)
{
    uint8_t first[FAT32_BOOT_BYTES], there[FAT32_BOOT_BYTES];
    struct fat32_geometry geo;
    bool usable;
    const uint64_t said = sector_offset(r, r->geo.backup_boot_sector);
    r->backup_offset = sector_offset(r, USUAL_BACKUP_SECTOR);
    int rc = boot_at(r, r->backup_offset, there, &geo, &usable);
    r->has_backup = rc == 0 && (r->geo.backup_boot_sector == USUAL_BACKUP_SECTOR ||
                                (usable && geo.backup_boot_sector == USUAL_BACKUP_SECTOR));
    if (rc != 0 || r->has_backup || r->geo.backup_boot_sector == 0)
        return rc;
    rc = boot_at(r, said, there, &geo, &usable);
    if (rc == 0 && usable)
        rc = dev_read(r->vol->fs.dev, 0, first, sizeof first, r->err);
    size_t alike = 0;
    for (size_t i = 0; rc == 0 && usable && i < sizeof first; i++)
        alike += first[i] == there[i];
    r->has_backup = alike >= ALIKE_BYTES;
    r->backup_offset = said;
    return rc;
}

/* What the checks find with one more repair than planned. */
static int try_one(const struct volume_repair *r, const struct repair *repair, struct repair_trial *ret)
{
    const size_t before = repair_plan_count(r->plan);
    int rc = repair_plan_add(r->plan, repair, r->err);
    if (rc == 0)
        rc = repair_try(&r->vol->fs, r->plan, ret, r->err);
    repair_plan_cut(r->plan, before);
    return rc;
}

/* ---- boot sectors ---- */

/* Is the state of the volume all that the checks have against the first boot sector? */
static int differs_in_state(const struct volume_repair *r, bool *ret)
{
    const struct repair_copy copies[] = {{"boot", 0}, {"backup_boot", r->backup_offset}};
    uint8_t bytes[2][FAT32_BOOT_BYTES];
    struct fat32_boot first, backup;
    struct fat32_boot_mut edit;
    struct repair_trial trial;
    int rc = 0;
    *ret = false;
    for (size_t i = 0; rc == 0 && i < 2; i++)
        rc = dev_read(r->vol->fs.dev, copies[i].offset, bytes[i], sizeof bytes[i], r->err);
    if (rc != 0 || !fat32_boot_view(bytes[0], sizeof bytes[0], &first) ||
        !fat32_boot_view(bytes[1], sizeof bytes[1], &backup) ||
        !fat32_boot_edit(bytes[0], sizeof bytes[0], &edit))
        return rc;
    uint8_t state = fat32_boot_state(first), other = fat32_boot_state(backup);
    if (state == other || ((state | other) & ~STATE_KNOWN) != 0)
        return 0;
    /* With the other's state it would be sound: then it is the state of the volume, and not damage. */
    fat32_boot_set_state(edit, other);
    const struct repair repair = {.path = "boot",
                                  .source = "backup_boot",
                                  .place = {0, sizeof bytes[0]},
                                  .source_offset = r->backup_offset,
                                  .bytes = bytes[0]};
    rc = try_one(r, &repair, &trial);
    if (rc != 0)
        return rc;
    *ret = trial.opened && repair_trial_fault(&trial, repair.place, SEVERITY_WARNING) == NULL;
    repair_trial_free(&trial);
    return 0;
}

/* The geometry to go on with: that of the sector that stays. */
static int settle_geometry(struct volume_repair *r, bool planned, const char *chosen)
{
    uint8_t buf[FAT32_BOOT_BYTES];
    struct fat32_geometry first, backup;
    bool first_usable, backup_usable;
    int rc = boot_at(r, 0, buf, &first, &first_usable);
    if (rc == 0)
        rc = boot_at(r, r->backup_offset, buf, &backup, &backup_usable);
    if (rc != 0)
        return rc;
    bool take_backup = planned && strcmp(chosen, "boot") != 0;
    if (planned && (take_backup ? backup_usable : first_usable)) {
        r->geo = take_backup ? backup : first;
        r->sure = true;
    } else {
        r->sure = first_usable && backup_usable && same_geometry(&first, &backup);
    }
    return 0;
}

static int repair_boot(struct volume_repair *r)
{
    const struct repair_copy boot[] = {{"boot", 0}, {"backup_boot", r->backup_offset}};
    bool state = false;
    int rc = differs_in_state(r, &state);
    r->sure = state;
    if (rc == 0 && state)
        return repair_plan_refuse(
            r->plan, "boot.state", 0, r->err,
            "the volume was not unmounted, or needs a check: that is no damage, and the "
            "backup boot sector does not know of it (fsck.fat)");
    const struct repair_copies copies = {boot, 2, FAT32_BOOT_BYTES, true};
    if (rc == 0)
        rc = repair_choose(&r->vol->fs, r->plan, &copies, r->err);
    if (rc != 0)
        return rc;
    const struct repair *planned = repair_plan_last(r->plan);
    return settle_geometry(r, planned != NULL, planned != NULL ? planned->source : "");
}

/* Third sectors, where the map has both. */
static int repair_boot_rest(const struct volume_repair *r)
{
    const struct fat32_geometry *geo = &r->geo;
    const struct repair_copy rest[] = {{"boot2", sector_offset(r, 2)},
                                       {"backup_boot2", sector_offset(r, geo->backup_boot_sector + 2)}};
    const struct repair_copies copies = {rest, 2, FAT32_BOOT_CONTINUATION_BYTES, true};
    if (geo->fsinfo_sector == 2 || geo->backup_boot_sector <= 2 ||
        geo->backup_boot_sector + 2 >= geo->reserved_sectors)
        return 0;
    return repair_choose(&r->vol->fs, r->plan, &copies, r->err);
}

/* ---- FSInfo ---- */

enum { INFO_FORM, INFO_COUNT, INFO_ALL, INFO_STEPS };

/* What of `from` goes into `into`: the form; the count of free clusters as well; the hint as well. */
static void info_merge(const uint8_t *from, int step, uint8_t into[FAT32_FSINFO_BYTES])
{
    uint8_t merged[FAT32_FSINFO_BYTES];
    struct fat32_fsinfo other = {from}, own = {into};
    struct fat32_fsinfo_mut edit = {merged};
    memcpy(merged, from, sizeof merged);
    fat32_fsinfo_set_free_clusters(edit, step >= INFO_COUNT ? fat32_fsinfo_free_clusters(other)
                                                            : fat32_fsinfo_free_clusters(own));
    fat32_fsinfo_set_next_free(edit, step >= INFO_ALL ? fat32_fsinfo_next_free(other)
                                                      : fat32_fsinfo_next_free(own));
    memcpy(into, merged, sizeof merged);
}

static bool info_lost(const uint8_t bytes[FAT32_FSINFO_BYTES])
{
    uint8_t fresh[FAT32_FSINFO_BYTES];
    struct fat32_fsinfo info = {bytes}, want = {fresh};
    fat32_fsinfo_init((struct fat32_fsinfo_mut){fresh});
    return fat32_fsinfo_lead_signature(info) != fat32_fsinfo_lead_signature(want) &&
           fat32_fsinfo_struct_signature(info) != fat32_fsinfo_struct_signature(want) &&
           fat32_fsinfo_trail_signature(info) != fat32_fsinfo_trail_signature(want);
}

/* The least that makes `bad` sound, taken from `good`. */
static int info_from(const struct volume_repair *r, const struct repair_copy *bad,
                     const struct repair_copy *good)
{
    uint8_t bytes[2][FAT32_FSINFO_BYTES], best[FAT32_FSINFO_BYTES] = {0}, merged[FAT32_FSINFO_BYTES];
    bool found = false, spotless = false;
    struct repair repair = {.path = bad->path,
                            .source = good->path,
                            .place = {bad->offset, FAT32_FSINFO_BYTES},
                            .source_offset = good->offset,
                            .bytes = merged};
    int rc = dev_read(r->vol->fs.dev, bad->offset, bytes[0], sizeof bytes[0], r->err);
    if (rc == 0)
        rc = dev_read(r->vol->fs.dev, good->offset, bytes[1], sizeof bytes[1], r->err);
    /* Of a sector without any of its signatures the numbers say nothing, either. */
    const bool lost = info_lost(bytes[0]);
    for (int step = 0; rc == 0 && !spotless && step < INFO_STEPS; step++) {
        struct repair_trial trial;
        memcpy(merged, bytes[0], sizeof merged);
        info_merge(bytes[1], lost ? INFO_STEPS - 1 - step : step, merged);
        rc = try_one(r, &repair, &trial);
        if (rc != 0)
            return rc;
        bool sound = trial.opened && repair_trial_fault(&trial, repair.place, SEVERITY_WARNING) == NULL;
        spotless = sound && repair_trial_fault(&trial, repair.place, SEVERITY_NOTE) == NULL;
        if (sound && (spotless || !found))
            memcpy(best, merged, sizeof best);
        found = found || sound;
        repair_trial_free(&trial);
    }
    if (rc != 0 || found) {
        repair.bytes = best;
        return rc != 0 ? rc : repair_plan_add(r->plan, &repair, r->err);
    }
    return repair_plan_refuse(r->plan, bad->path, bad->offset, r->err,
                              "what %s holds would not make it right: its count of free clusters is another "
                              "one, or it is damaged itself",
                              good->path);
}

static int repair_info(const struct volume_repair *r)
{
    const struct fat32_geometry *geo = &r->geo;
    const struct repair_copy copies[] = {{"fsinfo", sector_offset(r, geo->fsinfo_sector)},
                                         {"backup_fsinfo", sector_offset(r, geo->backup_boot_sector + 1)}};
    uint8_t backup[FAT32_FSINFO_BYTES];
    struct repair_trial trial;
    if (geo->fsinfo_sector != 1 || geo->backup_boot_sector + 1 >= geo->reserved_sectors)
        return 0;
    int rc = dev_read(r->vol->fs.dev, copies[1].offset, backup, sizeof backup, r->err);
    /* Not every formatter makes one; where there is none, none is missing. */
    if (rc != 0 || bytes_all(backup, sizeof backup, 0))
        return rc;
    rc = repair_try(&r->vol->fs, r->plan, &trial, r->err);
    if (rc != 0 || !trial.opened)
        return rc;
    bool bad[2];
    for (size_t i = 0; i < 2; i++)
        bad[i] = repair_trial_fault(&trial, (struct range){copies[i].offset, FAT32_FSINFO_BYTES},
                                    SEVERITY_WARNING) != NULL;
    repair_trial_free(&trial);
    if (bad[0] && bad[1])
        return repair_plan_refuse(r->plan, copies[0].path, copies[0].offset, r->err,
                                  "it has faults, and so has its copy");
    if (!bad[0] && !bad[1])
        return 0;
    return bad[0] ? info_from(r, &copies[0], &copies[1]) : info_from(r, &copies[1], &copies[0]);
}

/* ---- FATs ---- */

/* Do the copies differ in whether the volume is in use? Then one of them was about to be written. */
static int tables_in_use(const struct volume_repair *r, const struct repair_copies *copies, bool *ret)
{
    bool valid = true, differ = false;
    uint32_t first = 0;
    for (size_t i = 0; i < copies->n; i++) {
        uint8_t entry[FAT32_FAT_ENTRY_BYTES];
        int rc = dev_read(r->vol->fs.dev, copies->list[i].offset + sizeof entry, entry, sizeof entry, r->err);
        if (rc != 0)
            return rc;
        uint32_t value = load_le32(entry);
        first = i == 0 ? value : first;
        valid = valid && (value & ENTRY1_ONES) == ENTRY1_ONES;
        differ = differ || ((value ^ first) & ENTRY1_STATE) != 0;
    }
    *ret = valid && differ;
    return 0;
}

/* Does each of the copies begin as a FAT does? A boot sector that nothing confirms may lead anywhere. */
static int tables_begin(const struct volume_repair *r, const struct repair_copies *copies, bool *ret)
{
    bool all = true;
    for (size_t i = 0; i < copies->n; i++) {
        uint8_t entry[FAT32_FAT_ENTRY_BYTES];
        int rc = dev_read(r->vol->fs.dev, copies->list[i].offset, entry, sizeof entry, r->err);
        if (rc != 0)
            return rc;
        all = all && (load_le32(entry) & ENTRY0_ONES) == ENTRY0_ONES;
    }
    *ret = all;
    return 0;
}

static int repair_tables(const struct volume_repair *r)
{
    static const char *const names[REPAIR_MAX_COPIES] = {"fat", "fat2", "fat3", "fat4"};
    const struct fat32_geometry *geo = &r->geo;
    struct repair_copy tables[REPAIR_MAX_COPIES];
    const struct repair_copies copies = {tables, geo->num_fats, geo->fat_bytes, false};
    const uint64_t end = geo->fat_offset + geo->num_fats * geo->fat_bytes;
    bool in_use = false;
    if (!geo->mirrored || geo->num_fats < 2)
        return 0;
    if (geo->num_fats > REPAIR_MAX_COPIES || end > r->vol->fs.dev->size_bytes)
        return repair_plan_refuse(r->plan, "fat", geo->fat_offset, r->err,
                                  geo->num_fats > REPAIR_MAX_COPIES
                                      ? "the volume has more than four copies of it: they are not compared"
                                      : "the image ends within its copies: they cannot be compared");
    for (uint32_t i = 0; i < geo->num_fats; i++)
        tables[i] = (struct repair_copy){names[i], geo->fat_offset + i * geo->fat_bytes};
    bool begin = r->sure;
    int rc = r->sure ? 0 : tables_begin(r, &copies, &begin);
    if (rc == 0 && !begin)
        return repair_plan_refuse(r->plan, "fat", geo->fat_offset, r->err,
                                  "there is no second boot sector to confirm where its copies lie, and not "
                                  "all of them begin there");
    if (rc == 0)
        rc = tables_in_use(r, &copies, &in_use);
    if (rc == 0 && in_use)
        return repair_plan_refuse(r->plan, "fat[1]", geo->fat_offset + FAT32_FAT_ENTRY_BYTES, r->err,
                                  "the copies differ in whether the volume was unmounted: that is no damage, "
                                  "and which of them is newer cannot be told (fsck.fat)");
    return rc == 0 ? repair_choose(&r->vol->fs, r->plan, &copies, r->err) : rc;
}

int fat32_repair(struct fs *fs, struct repair_plan *plan, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct volume_repair r = {.vol = vol, .plan = plan, .err = err, .geo = vol->geo};
    if (vol->boot == BOOT_NONE)
        return repair_plan_refuse(plan, "boot", 0, err,
                                  "neither the boot sector nor its backup in sector 6 can be used");
    int rc = find_backup(&r);
    if (rc == 0 && r.has_backup)
        rc = repair_boot(&r);
    if (rc == 0 && r.has_backup && r.sure)
        rc = repair_boot_rest(&r);
    if (rc == 0 && (r.sure || !r.has_backup))
        rc = repair_tables(&r);
    /* Last: its count of free clusters is judged by the FAT. */
    if (rc == 0 && r.has_backup && r.sure)
        rc = repair_info(&r);
    return rc;
}
