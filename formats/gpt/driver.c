/* The GPT driver: probe, open, list, walk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gpt/disk.h"
#include "formats/gpt/gpt.h"

/* What one sector size makes of the device. */
static int score_of(const struct gpt_disk *disk)
{
    bool headers = disk->copy[GPT_PRIMARY].plausible || disk->copy[GPT_BACKUP].plausible;
    if (disk->active == GPT_PRIMARY)
        /* An MBR table in front of it without protection is what firmware and Linux believe. */
        return disk->boot_signature && !disk->protective && disk->other_records ? FS_PROBE_MAYBE
                                                                                : FS_PROBE_YES;
    if (disk->active == GPT_BACKUP)
        /* A backup alone may be what a disk's former life left behind. */
        return disk->protective || disk->copy[GPT_PRIMARY].plausible ? FS_PROBE_YES : FS_PROBE_DAMAGED;
    if (disk->protective || headers)
        return headers || disk->protective_sectors == disk->sectors - 1 ? FS_PROBE_DAMAGED
                                                                        : FS_PROBE_DAMAGED - 1;
    return FS_PROBE_NO;
}

static int gpt_probe(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                     struct plat_err *err)
{
    static const uint32_t sizes[] = {512, 4096};
    struct fs_probe_result best = {0};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct gpt_disk disk;
        struct plat_err why = {0};
        if (options->sector_bytes != 0 && options->sector_bytes != sizes[i])
            continue;
        int rc = gpt_disk_read(dev, sizes[i], &disk, &why);
        if (rc == PLAT_EIO || rc == PLAT_ENOMEM) {
            if (err != NULL)
                *err = why;
            return rc;
        }
        if (rc != 0)
            continue;
        int score = score_of(&disk);
        if (score > best.score)
            best = (struct fs_probe_result){.score = score, .sector_bytes = sizes[i]};
        gpt_disk_free(&disk);
    }
    *ret = best;
    return 0;
}

static int gpt_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                    struct fs **ret, struct plat_err *err)
{
    struct gpt_fs *gpt = calloc(1, sizeof *gpt);
    if (gpt == NULL)
        return err_nomem(err, "opening a partition table");
    int rc = gpt_disk_read(dev, options->sector_bytes != 0 ? options->sector_bytes : 512, &gpt->disk, err);
    if (rc != 0) {
        free(gpt);
        return rc;
    }
    const struct gpt_copy *copy = gpt->disk.copy;
    if (!options->degraded && gpt->disk.active == GPT_BACKUP)
        rc = err_at(
            err, PLAT_ECORRUPT, copy[GPT_PRIMARY].lba * gpt->disk.sector_bytes, "gpt.primary",
            "the primary partition table is damaged (%s); the backup in sector %llu is good: `plat repair` "
            "restores it, `plat verify` shows all",
            copy[GPT_PRIMARY].fault, (unsigned long long)copy[GPT_BACKUP].lba);
    else if (!options->degraded && gpt->disk.active == GPT_NONE)
        rc =
            err_at(err, PLAT_ECORRUPT, copy[GPT_PRIMARY].lba * gpt->disk.sector_bytes, "gpt.primary",
                   "both copies of the partition table are damaged: in the primary, %s; in the backup "
                   "(sector %llu), "
                   "%s; `plat verify` shows all",
                   copy[GPT_PRIMARY].fault, (unsigned long long)copy[GPT_BACKUP].lba, copy[GPT_BACKUP].fault);
    if (rc != 0) {
        gpt_disk_free(&gpt->disk);
        free(gpt);
        return rc;
    }
    gpt->fs = (struct fs){.driver = &gpt_driver, .dev = dev, .image = image};
    *ret = &gpt->fs;
    return 0;
}

/* struct fs is the first member, so the handle and the table share an address. */
static struct gpt_fs *gpt_of(struct fs *fs)
{
    return (struct gpt_fs *)fs;
}

static void gpt_close(struct fs *fs)
{
    struct gpt_fs *gpt = gpt_of(fs);
    gpt_disk_free(&gpt->disk);
    free(gpt);
}

static int gpt_partitions(struct fs *fs, table_partition_fn fn, void *ctx, struct plat_err *err)
{
    const struct gpt_disk *disk = &gpt_of(fs)->disk;
    (void)err;
    if (disk->active == GPT_NONE)
        return 0;
    const struct gpt_copy *copy = &disk->copy[disk->active];
    struct gpt_entry entry;
    for (uint32_t i = 0; gpt_copy_entry(copy, i, &entry); i++) {
        struct table_partition partition;
        if (!gpt_entry_used(entry))
            continue;
        gpt_entry_describe(entry, i + 1, &partition);
        int rc = fn(ctx, &partition);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- walking ---- */

struct walk_filter {
    const struct walk_sink *outer;
    const struct gpt_disk *disk;
};

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* A place where no header lies is not a structure: on a disk that was cut short, the last sector is
 * somebody's data. */
static bool filter_wants(void *ctx, const char *path)
{
    const struct walk_filter *filter = ctx;
    const struct gpt_copy *copy = filter->disk->copy;
    if ((starts_with(path, "primary") || starts_with(path, "entries")) && !copy[GPT_PRIMARY].plausible)
        return false;
    /* The map sizes this array as the primary header says. */
    if (starts_with(path, "backup_entries") && !copy[GPT_PRIMARY].plausible)
        return false;
    if (starts_with(path, "backup") && !copy[GPT_BACKUP].plausible)
        return false;
    return filter->outer->wants == NULL || filter->outer->wants(filter->outer->ctx, path);
}
static int filter_array(void *ctx, const char *path, uint64_t count, const struct type *type)
{
    const struct walk_sink *outer = ((struct walk_filter *)ctx)->outer;
    return outer->array(outer->ctx, path, count, type);
}
static int filter_instance(void *ctx, const struct inst *inst)
{
    const struct walk_sink *outer = ((struct walk_filter *)ctx)->outer;
    return outer->instance(outer->ctx, inst);
}
static int filter_extent(void *ctx, const struct extent *extent)
{
    const struct walk_sink *outer = ((struct walk_filter *)ctx)->outer;
    return outer->extent(outer->ctx, extent);
}

/* The backup's entries when the primary header no longer leads to any, so that the map does not have them. */
static int walk_orphans(struct gpt_fs *gpt, const struct walk_sink *sink, struct plat_err *err)
{
    static const char path[] = "backup_entries";
    const struct gpt_copy *copy = &gpt->disk.copy[GPT_BACKUP];
    const struct type *type = layout_type(gpt->fs.image->layout, "entry");
    const uint64_t start = copy->entries_lba * gpt->disk.sector_bytes;
    int rc = 0;
    if (type == NULL || (sink->wants != NULL && !sink->wants(sink->ctx, path)))
        return 0;
    if (sink->array != NULL)
        rc = sink->array(sink->ctx, path, copy->entry_count, type);
    const struct extent extent = {.place = {start, (uint64_t)copy->entry_count * copy->entry_bytes},
                                  .kind = EXTENT_METADATA,
                                  .path = path};
    if (rc == 0 && sink->extent != NULL)
        rc = sink->extent(sink->ctx, &extent);
    for (uint32_t i = 0; rc == 0 && sink->instance != NULL && i < copy->entry_count; i++) {
        char name[sizeof path + 16];
        struct inst inst;
        size_t at = (size_t)i * copy->entry_bytes;
        (void)snprintf(name, sizeof name, "%s[%u]", path, i);
        if (sink->wants != NULL && !sink->wants(sink->ctx, name))
            continue;
        rc =
            inst_make(gpt->fs.image, type, copy->array + at, copy->entry_bytes, start + at, name, &inst, err);
        if (rc == 0) {
            inst.index = i;
            rc = sink->instance(sink->ctx, &inst);
        }
    }
    return rc;
}

static int gpt_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err)
{
    struct gpt_fs *gpt = gpt_of(fs);
    struct walk_filter filter = {.outer = sink, .disk = &gpt->disk};
    const struct walk_sink filtered = {.ctx = &filter,
                                       .elements = sink->elements,
                                       .wants = filter_wants,
                                       .array = sink->array != NULL ? filter_array : NULL,
                                       .instance = sink->instance != NULL ? filter_instance : NULL,
                                       .extent = sink->extent != NULL ? filter_extent : NULL,
                                       .findings = sink->findings};
    int rc = image_walk_map(fs->image, &filtered, err);
    if (rc != 0 || !gpt->disk.copy[GPT_BACKUP].array_good)
        return rc;
    const struct map_entry *entry = layout_map(fs->image->layout, "backup_entries");
    struct map_place place = {0};
    bool mapped = gpt->disk.copy[GPT_PRIMARY].plausible && entry != NULL &&
                  image_map_place(fs->image, entry, &place, NULL) == 0 && place.present;
    return mapped ? 0 : walk_orphans(gpt, sink, err);
}

const struct fs_driver gpt_driver = {
    .name = "gpt",
    .title = "GUID partition table",
    .layout_name = "gpt",
    .probe = gpt_probe,
    .open = gpt_open,
    .close = gpt_close,
    .partitions = gpt_partitions,
    .table = &gpt_table_maker,
    .walk = gpt_walk,
    .check = gpt_check,
    .repair = gpt_repair,
};
