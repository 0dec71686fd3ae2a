/* The CAPOSRO1 driver: recognising and opening an image. reader.h draws the layout. */
#include "formats/caposro1/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By the magic; where that is damaged, by the checksum, which fits as soon as the magic is put right. */
static int caposro1_probe(struct plat_dev *dev, const struct fs_open_options *options,
                          struct fs_probe_result *ret, struct plat_err *err)
{
    uint8_t buf[CAPOSRO1_SUPERBLOCK_BYTES];
    struct caposro1_superblock superblock;
    struct fs_probe_result result = {.score = FS_PROBE_NO};
    struct ro1_geometry geo;
    struct plat_err why = {0};
    bool there;
    (void)options;
    int rc = ro1_superblock_read(dev, buf, &superblock, &there, err);
    if (rc != 0)
        return rc;
    if (there) {
        bool magic =
            memcmp(caposro1_superblock_magic(superblock), "CAPOSRO1", CAPOSRO1_SUPERBLOCK_MAGIC_BYTES) == 0;
        int class = ro1_geometry_read(superblock, dev->size_bytes, RO1_NEWEST_VERSION, &geo, &why);
        if (class == PLAT_EUNSUPPORTED)
            (void)snprintf(result.refusal, sizeof result.refusal, "%.159s", why.text);
        if (class == 0 || class == PLAT_EUNSUPPORTED)
            result.score = FS_PROBE_YES;
        else if (magic)
            result.score = FS_PROBE_MAYBE;
        else if (ro1_superblock_sealed(superblock, true))
            result.score = FS_PROBE_DAMAGED;
    }
    *ret = result;
    return 0;
}

static int caposro1_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                         struct fs **ret, struct plat_err *err)
{
    if (options->writable)
        return err_set(err, PLAT_EUNSUPPORTED, "caposro1 is read-only: make the image anew with plat mk");
    struct ro1_fs *ro1 = malloc(sizeof *ro1);
    if (ro1 == NULL)
        return err_nomem(err, "opening a CAPOSRO1 image");
    ro1->fs = (struct fs){.driver = &caposro1_driver, .dev = dev, .image = image};
    int rc = ro1_open(dev, &ro1->vol, err);
    /* What verify looks at anyway: the layout says what is wrong, field by field. */
    if (rc == PLAT_ECORRUPT && options->degraded && dev->size_bytes >= CAPOSRO1_SUPERBLOCK_BYTES)
        rc = 0;
    if (rc != 0) {
        free(ro1);
        return rc;
    }
    *ret = &ro1->fs;
    return 0;
}

static void caposro1_close(struct fs *fs)
{
    free((struct ro1_fs *)(void *)fs);
}

static int caposro1_space(struct fs *fs, struct fs_space *ret, struct plat_err *err)
{
    const struct volume *vol = volume_of(fs);
    if (!vol->sound)
        return err_at(err, PLAT_ECORRUPT, 0, "superblock", "the superblock cannot be used; run plat verify");
    const uint64_t used = div_up_u64(vol->geo.nodes_end, RO1_BLOCK_BYTES) * RO1_BLOCK_BYTES;
    struct fs_space space = {.total_bytes = vol->geo.end,
                             .free_bytes = vol->geo.end - used,
                             .block_bytes = RO1_BLOCK_BYTES,
                             .n_files = vol->geo.node_count - 1};
    (void)snprintf(space.label, sizeof space.label, "%.*s", CAPOSRO1_SUPERBLOCK_LABEL_BYTES,
                   (const char *)caposro1_superblock_label(vol->superblock));
    const uint8_t *uuid = caposro1_superblock_uuid(vol->superblock);
    if (!bytes_all(uuid, CAPOSRO1_SUPERBLOCK_UUID_BYTES, 0))
        format_guid(uuid, space.uuid);
    *ret = space;
    return 0;
}

const struct fs_driver caposro1_driver = {
    .name = "caposro1",
    .title = "capOS read-only filesystem",
    .layout_name = "caposro1",
    .probe = caposro1_probe,
    .open = caposro1_open,
    .close = caposro1_close,
    .root = caposro1_root,
    .lookup = caposro1_lookup,
    .readdir = caposro1_readdir,
    .stat = caposro1_stat,
    .read = caposro1_read,
    .readlink = caposro1_readlink,
    .space = caposro1_space,
    .walk = caposro1_walk,
    .check = caposro1_check,
    .scrub = caposro1_scrub,
    .maker = &caposro1_maker,
};
