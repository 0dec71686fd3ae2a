/* One file: its chain against its size, and what lies behind its end. */
#include "formats/fat32/check.h"

/* n bytes (at most CHECK_TAILS_BYTES) at `offset`. A tail not far behind the last one is read with what follows it:
 * that is where the next small files end. */
static int tail_read(struct check *check, uint64_t offset, size_t n, const uint8_t **ret)
{
    struct plat_dev *dev = check->vol->fs.dev;
    struct range *have = &check->tails_are;
    uint64_t end = have->start + have->bytes;
    if (offset < have->start || offset + n > end) {
        bool near = offset >= have->start && offset - have->start < 2 * (uint64_t)CHECK_TAILS_BYTES;
        uint64_t left = dev->size_bytes > offset ? dev->size_bytes - offset : 0;
        size_t ask = near && left > n ? CHECK_TAILS_BYTES : n;
        if (ask > left && left > n)
            ask = (size_t)left;
        *have = (struct range){0};
        int rc = dev_read(dev, offset, check->tails, ask, check->err);
        if (rc != 0)
            return rc;
        *have = (struct range){offset, ask};
    }
    *ret = check->tails + (offset - have->start);
    return 0;
}

/* Bytes between the end of the file and the end of its last cluster. */
static int check_tail(struct check *check, uint32_t last_cluster)
{
    const struct fat32_geometry *geo = &check->vol->geo;
    uint32_t used = check->entry.size_bytes % geo->cluster_bytes;
    if (used == 0)
        return 0;
    uint64_t offset = fat32_cluster_offset(geo, last_cluster) + used;
    uint64_t left = geo->cluster_bytes - used;
    for (uint64_t at = 0; at < left;) {
        size_t n = left - at < CHECK_TAILS_BYTES ? (size_t)(left - at) : CHECK_TAILS_BYTES;
        const uint8_t *bytes;
        int rc = tail_read(check, offset + at, n, &bytes);
        if (rc != 0)
            return rc;
        if (!bytes_all(bytes, n, 0)) {
            size_t i = 0;
            while (bytes[i] == 0)
                i++;
            return check_report(
                check, SEVERITY_WARNING, "slack-not-zero",
                check_slot_path(check, check->entry.slot, "size_bytes"), offset + at + i, NULL,
                "'%s' is followed by bytes that are not 0 in its last cluster: remains of other data "
                "leave with the image",
                strbuf_str(&check->owner));
        }
        at += n;
    }
    return 0;
}

static int check_broken(struct check *check, const struct chain *chain)
{
    char path[FAT_PATH_BYTES], link[80];
    struct volume *vol = check->vol;
    const struct dir_entry *entry = &check->entry;
    /* A start that is free is more likely a wrong start than a wrong FAT. */
    if (chain->n_clusters == 1 && chain->value == FAT32_LINK_FREE)
        return check_report(check, SEVERITY_ERROR, "first-cluster",
                            check_slot_path(check, entry->slot, "first_cluster_low"),
                            dir_slot_offset(vol, check->visit->dir, entry->slot), check_by_readers,
                            "'%s' starts at cluster %u, which is free (%s is 0)", strbuf_str(&check->owner),
                            entry->first_cluster, fat_entry_path(vol, chain->last, path));
    return check_report(
        check, SEVERITY_ERROR, "chain-broken", fat_entry_path(vol, chain->last, path),
        fat_entry_offset(vol, chain->last), check_by_readers,
        "the entry of cluster %u of '%s' says %s, where the next cluster or an end of chain is needed",
        chain->last, strbuf_str(&check->owner), fat_link_text(vol, chain->value, link, sizeof link));
}

static int check_length(struct check *check, const struct chain *chain, uint64_t need)
{
    const struct dir_entry *entry = &check->entry;
    const char *owner = strbuf_str(&check->owner);
    uint64_t offset = dir_slot_offset(check->vol, check->visit->dir, entry->slot);
    uint32_t cluster_bytes = check->vol->geo.cluster_bytes;
    if (chain->n_clusters < need)
        return check_report(
            check, SEVERITY_ERROR, "chain-short", check_slot_path(check, entry->slot, "size_bytes"), offset,
            check_by_readers,
            "'%s' has %u bytes, which take %llu clusters of %u bytes, but its chain has %llu: the rest "
            "cannot be read",
            owner, entry->size_bytes, (unsigned long long)need, cluster_bytes,
            (unsigned long long)chain->n_clusters);
    if (chain->n_clusters > need)
        return check_report(check, SEVERITY_ERROR, "chain-long",
                            check_slot_path(check, entry->slot, "size_bytes"), offset, check_by_fsck,
                            "'%s' has %u bytes, which take %llu clusters of %u bytes, but its chain has %llu",
                            owner, entry->size_bytes, (unsigned long long)need, cluster_bytes,
                            (unsigned long long)chain->n_clusters);
    if (need * cluster_bytes > UINT32_MAX)
        return check_report(
            check, SEVERITY_NOTE, "chain-of-4gib", check_slot_path(check, entry->slot, "size_bytes"), offset,
            check_by_fsck,
            "'%s' is whole, and every reader gives it back, but fsck.fat 4.2 counts the bytes of "
            "a chain in 32 bits, finds 0 in this one of 4 GiB, and would cut the file",
            owner);
    return 0;
}

int check_file(struct check *check)
{
    struct volume *vol = check->vol;
    const struct dir_entry *entry = &check->entry;
    uint64_t offset = dir_slot_offset(vol, check->visit->dir, entry->slot);
    uint64_t need = div_up_u64(entry->size_bytes, vol->geo.cluster_bytes);
    struct chain chain;
    char range[FAT_PATH_BYTES];
    dir_child_path(check->visit, entry->name, &check->owner);
    if (need == 0 && entry->first_cluster == 0)
        return 0;
    const char *where = check_slot_path(check, entry->slot, "first_cluster_low");
    int rc =
        check_claim(check, entry->first_cluster, need == 0 ? UINT64_MAX : need - 1, where, offset, &chain);
    if (rc != 0 || check->naming)
        return rc;
    if (need == 0)
        return check_report(check, SEVERITY_ERROR, "empty-with-cluster", where, offset, check_by_fsck,
                            "'%s' is empty but has first cluster %u, and 0 is needed",
                            strbuf_str(&check->owner), entry->first_cluster);
    switch (chain.end) {
    case CHAIN_NONE:
        return check_report(check, SEVERITY_ERROR, "first-cluster", where, offset, check_by_readers,
                            "'%s' has %u bytes and first cluster %u, where %s is needed",
                            strbuf_str(&check->owner), entry->size_bytes, entry->first_cluster,
                            fat_range_text(vol, range));
    case CHAIN_BROKEN:
        rc = check_broken(check, &chain);
        break;
    case CHAIN_END:
        rc = check_length(check, &chain, need);
        break;
    case CHAIN_SHARED:
        break;
    }
    if (rc == 0 && chain.cluster_at != 0)
        rc = check_tail(check, chain.cluster_at);
    return rc;
}
