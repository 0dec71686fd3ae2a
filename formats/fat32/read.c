/* Reading a file: its chain is followed run by run, and each run of consecutive clusters is one read of the
 * device. The volume remembers where the last read ended, so that reading front to back follows the chain
 * once. */
#include "formats/fat32/volume.h"

/* The file's first cluster and size, kept for the reads that follow. */
static int file_begin(struct volume *vol, uint64_t node, struct plat_err *err)
{
    if (vol->last_read.node == node)
        return 0;
    struct dir_entry entry;
    if (node == FAT_ROOT_NODE)
        return err_set(err, PLAT_EINVALID, "the root is a directory and has no bytes to read");
    int rc = fat32_entry_of(vol, node, &entry, err);
    if (rc != 0)
        return rc;
    if (entry.is_dir)
        return err_at(err, PLAT_EINVALID, node, NULL, "'%s' is a directory and has no bytes to read",
                      entry.name);
    vol->last_read.node = node;
    vol->last_read.index = 0;
    vol->last_read.cluster = entry.first_cluster;
    vol->last_read.first_cluster = entry.first_cluster;
    vol->last_read.size_bytes = entry.size_bytes;
    return 0;
}

/* Moves on to cluster number `index` of the chain. The chain is followed at most as far as the file is long,
 * so that a loop ends, too. */
static int file_seek(struct volume *vol, uint64_t index, struct plat_err *err)
{
    if (index < vol->last_read.index) {
        vol->last_read.index = 0;
        vol->last_read.cluster = vol->last_read.first_cluster;
    }
    char link[80], path[FAT_PATH_BYTES];
    if (vol->last_read.index == 0 && fat_link_of(vol, vol->last_read.first_cluster) != FAT_LINK_NEXT)
        return err_at(err, PLAT_ECORRUPT, vol->last_read.node, NULL,
                      "a file of %llu bytes has first cluster %u, where %s is needed; "
                      "run plat verify",
                      (unsigned long long)vol->last_read.size_bytes, vol->last_read.first_cluster,
                      fat_range_text(vol, path));
    while (vol->last_read.index < index) {
        uint64_t ahead = index - vol->last_read.index;
        struct fat_run run;
        int rc = fat_run_at(vol, vol->last_read.cluster, ahead > UINT32_MAX ? UINT32_MAX : (uint32_t)ahead,
                            &run, err);
        if (rc != 0)
            return rc;
        if (fat_link_of(vol, run.next) != FAT_LINK_NEXT) {
            uint32_t last = run.first + run.count - 1;
            return err_at(
                err, PLAT_ECORRUPT, fat_entry_offset(vol, last), fat_entry_path(vol, last, path),
                "the chain of a file of %llu bytes stops after %llu clusters of %u bytes: its entry says %s; "
                "run plat verify",
                (unsigned long long)vol->last_read.size_bytes,
                (unsigned long long)(vol->last_read.index + run.count), vol->geo.cluster_bytes,
                fat_link_text(vol, run.next, link, sizeof link));
        }
        vol->last_read.index += run.count;
        vol->last_read.cluster = run.next;
    }
    return 0;
}

int fat32_read(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
               struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    int rc = file_begin(vol, node, err);
    if (rc != 0)
        return rc;
    uint64_t size_bytes = vol->last_read.size_bytes;
    uint64_t cluster_bytes = vol->geo.cluster_bytes;
    uint64_t left = offset < size_bytes ? size_bytes - offset : 0;
    size_t want = left < n ? (size_t)left : n;
    for (size_t done = 0; done < want;) {
        uint64_t at = offset + done;
        uint64_t within = at % cluster_bytes;
        rc = file_seek(vol, at / cluster_bytes, err);
        if (rc != 0)
            return rc;
        uint64_t clusters = div_up_u64(within + (want - done), cluster_bytes);
        struct fat_run run;
        rc = fat_run_at(vol, vol->last_read.cluster, clusters > UINT32_MAX ? UINT32_MAX : (uint32_t)clusters,
                        &run, err);
        if (rc != 0)
            return rc;
        uint64_t bytes = run.count * cluster_bytes - within;
        if (bytes > want - done)
            bytes = want - done;
        rc = dev_read(fs->dev, fat32_cluster_offset(&vol->geo, run.first) + within, (uint8_t *)buf + done,
                      (size_t)bytes, err);
        if (rc != 0)
            return rc;
        done += (size_t)bytes;
    }
    *ret_n = want;
    return 0;
}
