/* The SquashFS driver: opening an image. volume.h says which file does what. */
#include "formats/squashfs/make.h"
#include "formats/squashfs/volume.h"

#include <stdlib.h>

int sq_usable(const struct volume *vol, struct plat_err *err)
{
    if (vol->sound)
        return 0;
    if (err != NULL)
        *err = vol->fault;
    return vol->fault.class;
}

static void squashfs_close(struct fs *fs)
{
    struct volume *vol = volume_of(fs);
    sq_workers_free(vol);
    for (size_t i = 0; i < SQ_DATA_CACHED; i++)
        free(vol->data[i].bytes);
    free(vol->meta);
    free(vol->id_list);
    for (size_t i = 0; i < SQ_TABLES; i++)
        free(vol->index_list[i]);
    (void)pthread_mutex_destroy(&vol->lock);
    free(vol);
}

/* A table has as many blocks as its entries take: with fewer, one block would stand for many, up to 2^32 entries. */
static int count_blocks(struct volume *vol, struct plat_err *err)
{
    for (unsigned id = 0; id < SQ_TABLES; id++) {
        const struct sq_table *table = &vol->tables[id];
        struct sq_map map;
        if (table->entries == 0)
            continue;
        int rc = sq_map_build(vol, (enum sq_table_id)id, &map, err);
        if (rc != 0)
            return rc;
        const size_t n = map.n;
        sq_map_free(&map);
        if (n >= sq_index_count(table))
            rc = sq_index_load(vol, (enum sq_table_id)id, err);
        if (rc != 0)
            return rc;
        if (n < sq_index_count(table))
            return err_at(err, PLAT_ECORRUPT, table->start, table->blocks_name,
                          "the table of %s has %zu metadata blocks; its %llu entries take %llu",
                          table->stream, n, (unsigned long long)table->entries,
                          (unsigned long long)sq_index_count(table));
    }
    return 0;
}

/* As Linux mounts: superblock, tables, ids, and a root that is a directory. */
static int mount(struct volume *vol, struct plat_err *err)
{
    struct sq_inode root;
    struct sq_cursor rest;
    int rc = sq_super_read(vol->dev, &vol->super, vol->tables, err);
    if (rc == 0)
        rc = count_blocks(vol, err);
    if (rc == 0)
        rc = sq_ids_load(vol, err);
    if (rc != 0)
        return rc;
    vol->sound = true;
    rc = sq_inode_read(vol, vol->super.root, &root, &rest, err);
    if (rc == 0 && root.type != SQUASHFS_ENTRY_TYPE_DIRECTORY)
        rc = sq_corrupt(&rest, err, "the root, inode %u, is not a directory", root.number);
    return rc;
}

static int squashfs_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                         struct fs **ret, struct plat_err *err)
{
    if (options->writable)
        return err_set(err, PLAT_EUNSUPPORTED, "squashfs is read-only: make the image anew with plat mk");
    struct volume *vol = calloc(1, sizeof *vol);
    if (vol == NULL)
        return err_nomem(err, "opening a SquashFS image");
    vol->fs = (struct fs){.driver = &squashfs_driver, .dev = dev, .image = image};
    vol->dev = dev;
    (void)pthread_mutex_init(&vol->lock, NULL);
    for (size_t i = 0; i < SQ_SPOTS; i++)
        vol->spots[i].ref = SQ_ABSENT;
    vol->meta = calloc(SQ_META_CACHED, sizeof *vol->meta);
    int rc = vol->meta == NULL ? err_nomem(err, "opening a SquashFS image") : 0;
    for (size_t i = 0; rc == 0 && i < SQ_META_CACHED; i++)
        vol->meta[i].offset = SQ_ABSENT;
    if (rc == 0)
        rc = mount(vol, &vol->fault);
    const bool damaged = rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED;
    /* What verify looks at anyway: walk and check say what is wrong. */
    const bool shown = damaged && options->degraded && dev->size_bytes >= SQUASHFS_SUPERBLOCK_BYTES;
    if (rc != 0 && !shown) {
        if (vol->fault.class == rc && err != NULL)
            *err = vol->fault;
        squashfs_close(&vol->fs);
        return rc;
    }
    *ret = &vol->fs;
    return 0;
}

static int squashfs_root(struct fs *fs, uint64_t *ret_node, struct plat_err *err)
{
    int rc = sq_usable(volume_of(fs), err);
    if (rc == 0)
        *ret_node = volume_of(fs)->super.root;
    return rc;
}

static int squashfs_space(struct fs *fs, struct fs_space *ret, struct plat_err *err)
{
    const struct volume *vol = volume_of(fs);
    int rc = sq_usable(vol, err);
    if (rc == 0)
        *ret = (struct fs_space){.total_bytes = vol->super.bytes_used,
                                 .block_bytes = vol->super.block_bytes,
                                 .n_files = vol->super.inodes};
    return rc;
}

const struct fs_driver squashfs_driver = {
    .name = "squashfs",
    .title = "SquashFS 4.0 filesystem",
    .layout_name = "squashfs",
    .concurrent = true,
    .probe = squashfs_probe,
    .open = squashfs_open,
    .close = squashfs_close,
    .root = squashfs_root,
    .lookup = squashfs_lookup,
    .readdir = squashfs_readdir,
    .stat = squashfs_stat,
    .read = squashfs_read,
    .next_data = squashfs_next_data,
    .readlink = squashfs_readlink,
    .xattrs = squashfs_xattrs,
    .space = squashfs_space,
    .walk = squashfs_walk,
    .pieces = squashfs_pieces,
    .stored = squashfs_stored,
    .shares_contents = true,
    .check = squashfs_check,
    .scrub = squashfs_scrub,
    .maker = &squashfs_maker,
};
