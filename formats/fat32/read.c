/* Reading a file: its chain is followed run by run, and each run of consecutive clusters is one read of the
 * device. The volume remembers where the last read ended, so that reading front to back follows the chain
 * once. */
#include "formats/fat32/volume.h"

/* Follows the chain of the file at hand for at most `limit` clusters, adding them to vol->followed or taking
 * them out again. Stops at a cluster that is in there already: *ret is its place in the chain. */
static int chain_follow(struct volume *vol, uint64_t limit, bool add, uint64_t *ret, struct plat_err *err)
{
    uint32_t cluster = vol->last_read.first_cluster, from = 0;
    for (uint64_t index = 0; index < limit && fat_link_of(vol, cluster) == FAT_LINK_NEXT;) {
        uint64_t left = limit - index;
        struct fat_run run;
        int rc = fat_run_at(vol, cluster, left > UINT32_MAX ? UINT32_MAX : (uint32_t)left, &run, err);
        if (rc != 0)
            return rc;
        if (index == 0 && run.count == limit)
            return 0; /* one piece, as most files are */
        if (add && vol->followed.bits == NULL && (rc = cluster_set_open(vol, &vol->followed, err)) != 0)
            return rc;
        for (uint32_t i = 0; i < run.count; i++) {
            if (add && cluster_set_has(&vol->followed, run.first + i)) {
                vol->last_read.loop_from = i == 0 ? from : run.first + i - 1;
                vol->last_read.loop_to = run.first + i;
                *ret = index + i;
                return 0;
            }
            if (add)
                cluster_set_add(&vol->followed, run.first + i);
            else
                cluster_set_remove(&vol->followed, run.first + i);
        }
        index += run.count;
        from = run.first + run.count - 1;
        cluster = run.next;
    }
    return 0;
}

/* A chain that comes back to itself within the file repeats bytes that are not the file's. */
static int find_loop(struct volume *vol, struct plat_err *err)
{
    uint64_t limit = div_up_u64(vol->last_read.size_bytes, vol->geo.cluster_bytes), loop = UINT64_MAX;
    int rc = chain_follow(vol, limit, true, &loop, err);
    if (vol->followed.bits != NULL) {
        struct plat_err ignored;
        uint64_t none;
        if (rc != 0 || chain_follow(vol, loop < limit ? loop : limit, false, &none, &ignored) != 0)
            cluster_set_close(&vol->followed);
    }
    vol->last_read.loop_index = loop;
    return rc;
}

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
    rc = find_loop(vol, err);
    if (rc != 0)
        vol->last_read.node = 0;
    return rc;
}

/* Moves on to cluster number `index` of the chain, which is followed at most as far as the file is long. */
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
    if (index >= vol->last_read.loop_index)
        return err_at(err, PLAT_ECORRUPT, fat_entry_offset(vol, vol->last_read.loop_from),
                      fat_entry_path(vol, vol->last_read.loop_from, path),
                      "the chain of a file of %llu bytes is a loop: after %llu clusters of %u bytes, cluster "
                      "%u leads back to cluster %u; run plat verify",
                      (unsigned long long)vol->last_read.size_bytes,
                      (unsigned long long)vol->last_read.loop_index, vol->geo.cluster_bytes,
                      vol->last_read.loop_from, vol->last_read.loop_to);
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
