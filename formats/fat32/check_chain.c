/* Chains and the table: who owns which cluster, and what nobody owns.
 *
 *     first cluster -> 5 -> 6 -> 9 -> end        own
 *     first cluster -> 7 -> 6                    cross-link: 6 belongs to the other one
 *     first cluster -> 11 -> 12 -> 11            loop: 11 belongs to itself
 *                      13 -> 14 -> end           lost: no entry leads to 13 */
#include "formats/fat32/check.h"

#include <stdlib.h>

/* ---- claiming ---- */

static int conflict_add(struct check *check, uint32_t cluster, uint32_t from, const char *where,
                        uint64_t offset)
{
    if (check->naming)
        return 0;
    if (check->n_conflicts == CHECK_MAX_CONFLICTS) {
        check->more_conflicts++;
        return 0;
    }
    struct conflict *conflict = &check->conflicts[check->n_conflicts];
    *conflict = (struct conflict){.cluster = cluster, .from = from, .offset = offset};
    conflict->second = strdup(strbuf_str(&check->owner));
    conflict->where = strdup(where);
    check->n_conflicts++;
    if (conflict->second == NULL || conflict->where == NULL)
        return err_nomem(check->err, "checking chains");
    return 0;
}

/* In the naming pass: the clusters just claimed may be what others ran into. */
static int conflicts_name(struct check *check, uint32_t first, uint32_t count)
{
    for (size_t i = 0; check->naming && i < check->n_conflicts; i++) {
        struct conflict *conflict = &check->conflicts[i];
        if (conflict->first != NULL || conflict->cluster < first || conflict->cluster - first >= count)
            continue;
        conflict->first = strdup(strbuf_str(&check->owner));
        if (conflict->first == NULL)
            return err_nomem(check->err, "checking chains");
    }
    return 0;
}

int check_claim(struct check *check, uint32_t first, uint64_t want_index, const char *where, uint64_t offset,
                struct chain *ret)
{
    struct chain chain = {.end = CHAIN_NONE};
    uint32_t cluster = first, from = 0;
    if (fat_link_of(check->vol, first) != FAT_LINK_NEXT) {
        *ret = chain;
        return 0;
    }
    for (;;) {
        struct fat_run run;
        int rc = fat_run_at(check->vol, cluster, UINT32_MAX, &run, check->err);
        if (rc != 0)
            return rc;
        uint32_t fresh = 0;
        while (fresh < run.count && !cluster_set_has(&check->used, cluster + fresh))
            cluster_set_add(&check->used, cluster + fresh++);
        if (want_index >= chain.n_clusters && want_index - chain.n_clusters < fresh)
            chain.cluster_at = cluster + (uint32_t)(want_index - chain.n_clusters);
        chain.n_clusters += fresh;
        rc = conflicts_name(check, cluster, fresh);
        if (rc != 0)
            return rc;
        if (fresh > 0)
            from = cluster + fresh - 1;
        if (fresh < run.count) {
            chain.end = CHAIN_SHARED;
            *ret = chain;
            return conflict_add(check, cluster + fresh, from, where, offset);
        }
        if (fat_link_of(check->vol, run.next) != FAT_LINK_NEXT) {
            chain.end = fat_link_of(check->vol, run.next) == FAT_LINK_END ? CHAIN_END : CHAIN_BROKEN;
            chain.last = from;
            chain.value = run.next;
            *ret = chain;
            return 0;
        }
        cluster = run.next;
    }
}

void check_conflicts_free(struct check *check)
{
    for (size_t i = 0; i < check->n_conflicts; i++) {
        free(check->conflicts[i].first);
        free(check->conflicts[i].second);
        free(check->conflicts[i].where);
    }
    check->n_conflicts = 0;
}

int check_conflicts(struct check *check)
{
    struct volume *vol = check->vol;
    for (size_t i = 0; i < check->n_conflicts; i++) {
        const struct conflict *conflict = &check->conflicts[i];
        const char *first = conflict->first != NULL ? conflict->first : "another file";
        char buf[FAT_PATH_BYTES];
        bool in_table = conflict->from != 0;
        const char *path = in_table ? fat_entry_path(vol, conflict->from, buf) : conflict->where;
        uint64_t offset = in_table ? fat_entry_offset(vol, conflict->from) : conflict->offset;
        int rc;
        if (strcmp(first, conflict->second) == 0)
            rc = check_report(check, SEVERITY_ERROR, "chain-loop", path, offset, check_by_readers,
                              "the chain of '%s' is a loop: cluster %u leads back to cluster %u",
                              conflict->second, conflict->from, conflict->cluster);
        else
            rc = check_report(check, SEVERITY_ERROR, "cross-link", path, offset, check_by_readers,
                              "cluster %u belongs to both '%s' and '%s': writing to one destroys the other",
                              conflict->cluster, first, conflict->second);
        if (rc != 0)
            return rc;
    }
    if (check->more_conflicts > 0)
        return check_report(check, SEVERITY_ERROR, "cross-link", "fat", vol->fat_offset, check_by_readers,
                            "%llu more chains run into clusters that belong to others",
                            (unsigned long long)check->more_conflicts);
    return 0;
}

/* ---- the table ---- */

struct table_scan {
    struct check *check;
    uint64_t n_free, n_lost, n_lost_runs, n_bad, n_odd, n_top;
    uint32_t run_first, run_count; /* of free or lost clusters at hand */
    bool run_lost;
    uint32_t first_bad;
    uint64_t leftover; /* offset of a byte in free space, or UINT64_MAX */
};

/* Reports the run at hand. */
static int scan_flush(struct table_scan *scan)
{
    struct check *check = scan->check;
    struct volume *vol = check->vol;
    uint32_t count = scan->run_count;
    scan->run_count = 0;
    if (count == 0)
        return 0;
    if (scan->run_lost) {
        char path[FAT_PATH_BYTES];
        scan->n_lost += count;
        if (++scan->n_lost_runs > CHECK_MAX_RUNS)
            return 0;
        return check_report(check, SEVERITY_ERROR, "lost-clusters",
                            fat_entry_path(vol, scan->run_first, path),
                            fat_entry_offset(vol, scan->run_first), check_by_fsck,
                            count == 1 ? "cluster %u is marked as used but belongs to no file"
                                       : "clusters %u to %u are marked as used but belong to no file",
                            scan->run_first, scan->run_first + count - 1);
    }
    if (scan->leftover != UINT64_MAX)
        return 0;
    struct range range = {fat32_cluster_offset(&vol->geo, scan->run_first),
                          (uint64_t)count * vol->geo.cluster_bytes};
    return check_find_nonzero(check, range, &scan->leftover);
}

static int scan_entry(struct table_scan *scan, uint32_t cluster, uint32_t raw)
{
    struct check *check = scan->check;
    struct volume *vol = check->vol;
    uint32_t value = raw & FAT32_LINK_MASK;
    int rc = 0;
    char path[FAT_PATH_BYTES];
    if (raw != value && scan->n_top++ < CHECK_MAX_RUNS)
        rc = check_report(
            check, SEVERITY_WARNING, "fat-top-bits", fat_entry_path(vol, cluster, path),
            fat_entry_offset(vol, cluster), NULL,
            "the entry of cluster %u is 0x%08x; its upper 4 bits are no part of the number and are 0 in a "
            "new volume",
            cluster, raw);
    if (rc != 0)
        return rc;
    bool used = cluster_set_has(&check->used, cluster);
    bool is_free = value == FAT32_LINK_FREE;
    bool is_lost = !is_free && !used && value != FAT32_LINK_BAD;
    scan->n_free += is_free;
    if (value == FAT32_LINK_BAD && !used && scan->n_bad++ == 0)
        scan->first_bad = cluster;
    if (scan->run_count > 0 && (!(is_free || is_lost) || scan->run_lost != is_lost)) {
        rc = scan_flush(scan);
        if (rc != 0)
            return rc;
    }
    /* A free cluster in a chain was reported with the chain; it is no free space. */
    if (is_lost || (is_free && !used)) {
        if (scan->run_count++ == 0) {
            scan->run_first = cluster;
            scan->run_lost = is_lost;
        }
    }
    return 0;
}

static int scan_report(struct table_scan *scan)
{
    struct check *check = scan->check;
    struct volume *vol = check->vol;
    char path[FAT_PATH_BYTES];
    int rc = 0;
    if (scan->n_lost_runs > CHECK_MAX_RUNS)
        rc = check_report(check, SEVERITY_ERROR, "lost-clusters", "fat", vol->fat_offset, check_by_fsck,
                          "%llu clusters in %llu runs belong to no file; the first %d runs are listed",
                          (unsigned long long)scan->n_lost, (unsigned long long)scan->n_lost_runs,
                          CHECK_MAX_RUNS);
    if (rc == 0 && scan->n_top > CHECK_MAX_RUNS)
        rc = check_report(check, SEVERITY_WARNING, "fat-top-bits", "fat", vol->fat_offset, NULL,
                          "%llu entries have upper bits set; the first %d are listed",
                          (unsigned long long)scan->n_top, CHECK_MAX_RUNS);
    if (rc == 0 && scan->n_bad > 0)
        rc = check_report(check, SEVERITY_NOTE, "bad-clusters", fat_entry_path(vol, scan->first_bad, path),
                          fat_entry_offset(vol, scan->first_bad), NULL,
                          "%llu clusters are marked as bad, the first is %u", (unsigned long long)scan->n_bad,
                          scan->first_bad);
    if (rc == 0 && scan->leftover != UINT64_MAX)
        rc = check_report(
            check, SEVERITY_NOTE, "free-not-zero", "free", scan->leftover, NULL,
            "free cluster %llu holds bytes that are not 0: remains of deleted files stay in the image",
            (unsigned long long)((scan->leftover - vol->geo.data_offset) / vol->geo.cluster_bytes +
                                 FAT32_FIRST_CLUSTER));
    if (rc == 0 && scan->leftover == UINT64_MAX && check->free_budget == 0)
        rc = check_report(check, SEVERITY_NOTE, "free-not-read", "free", vol->geo.data_offset, NULL,
                          "the first %d MiB of free space are zero; the rest was not looked at",
                          CHECK_FREE_BUDGET_BYTES >> 20);
    return rc;
}

int check_table(struct check *check, uint64_t *ret_free)
{
    struct table_scan scan = {.check = check, .leftover = UINT64_MAX};
    for (uint32_t cluster = FAT32_FIRST_CLUSTER; cluster <= check->vol->last_cluster; cluster++) {
        uint32_t raw;
        int rc = fat_get_raw(check->vol, cluster, &raw, check->err);
        if (rc == 0)
            rc = scan_entry(&scan, cluster, raw);
        if (rc != 0)
            return rc;
    }
    int rc = scan_flush(&scan);
    if (rc == 0)
        rc = scan_report(&scan);
    if (rc == 0)
        *ret_free = scan.n_free;
    return rc;
}
