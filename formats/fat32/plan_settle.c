/* From a list to places: which cluster size, how large a volume, which cluster for each file. */
#include "formats/fat32/plan.h"

enum { SMALLEST_CLUSTER = 512, LARGEST_AUTO_CLUSTER = 32768 };

static const uint64_t MIB = 1024 * 1024;

static uint64_t clusters_needed(const struct make_plan *plan, uint32_t cluster_bytes)
{
    unsigned size = 0;
    while ((uint32_t)SMALLEST_CLUSTER << size < cluster_bytes)
        size++;
    return plan->clusters_needed[size];
}

/* Smallest volume with clusters of this size. */
static int min_bytes_with(const struct make_plan *plan, uint32_t cluster_bytes, uint64_t slack_bytes,
                          uint64_t *ret, struct plat_err *err)
{
    struct fat32_wish wish = plan->wish;
    uint64_t clusters;

    wish.cluster_bytes = cluster_bytes;
    if (!add_u64(clusters_needed(plan, cluster_bytes), div_up_u64(slack_bytes, cluster_bytes), &clusters))
        return err_set(err, PLAT_EINVALID, "%llu bytes of free space are too many",
                       (unsigned long long)slack_bytes);
    return fat32_geometry_min_bytes(&wish, clusters, ret, err);
}

int fat32_plan_min_bytes(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err)
{
    plan->slack_bytes = slack_bytes;
    if (plan->wish.cluster_bytes != 0)
        return min_bytes_with(plan, plan->wish.cluster_bytes, slack_bytes, ret, err);

    /* The size of least waste: small clusters pay with a large FAT, large ones with the ends of files and
     * with the 65,541 that there must be. */
    uint64_t best = UINT64_MAX;
    int r = 0;
    for (uint32_t bytes = plan->wish.sector_bytes; bytes <= LARGEST_AUTO_CLUSTER; bytes *= 2) {
        uint64_t min_bytes = 0;
        r = min_bytes_with(plan, bytes, slack_bytes, &min_bytes, err);
        if (r == 0 && min_bytes < best)
            best = min_bytes;
        if (r < 0 && r != PLAT_ELIMIT)
            return r;
    }
    if (best == UINT64_MAX)
        return r;
    *ret = best;
    return 0;
}

static int tree_too_large(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err)
{
    uint64_t min_bytes = 0;
    int r = fat32_plan_min_bytes(plan, 0, &min_bytes, err);
    if (r < 0)
        return r;
    return err_set(err, PLAT_EINVALID,
                   "the files do not fit in a FAT32 of %llu bytes; it takes at least %llu MiB (%llu bytes)",
                   (unsigned long long)size_bytes, (unsigned long long)div_up_u64(min_bytes, MIB),
                   (unsigned long long)min_bytes);
}

static void clusters_assign(struct make_plan *plan)
{
    uint32_t next = FAT32_FIRST_CLUSTER;

    for (uint32_t i = 0; i < plan->n_items; i++) {
        struct fat32_item *item = &plan->items[plan->order[i]];
        uint32_t clusters = fat32_item_clusters(item, plan->geo.cluster_bytes);
        item->first_cluster = clusters == 0 ? 0 : next;
        next += clusters;
    }
    plan->used_clusters = next - FAT32_FIRST_CLUSTER;
}

/* Does the tree, with slack_bytes free, fit in size_bytes with clusters of this size? */
static bool fits_with(const struct make_plan *plan, uint32_t cluster_bytes, uint64_t size_bytes,
                      uint64_t slack_bytes, struct fat32_geometry *ret)
{
    struct fat32_wish wish = plan->wish;
    struct fat32_geometry geo;

    wish.cluster_bytes = cluster_bytes;
    if (fat32_geometry_choose(&wish, size_bytes, &geo, NULL) < 0)
        return false;
    if (clusters_needed(plan, cluster_bytes) + div_up_u64(slack_bytes, cluster_bytes) > geo.cluster_count)
        return false;
    *ret = geo;
    return true;
}

/* The usual cluster size if the tree fits, else a smaller one (many small files), else a larger one (a
 * smaller FAT). */
static bool fits_somehow(const struct make_plan *plan, uint32_t usual_bytes, uint64_t size_bytes,
                         uint64_t slack_bytes, struct fat32_geometry *ret)
{
    for (uint32_t bytes = usual_bytes; bytes >= plan->wish.sector_bytes; bytes /= 2)
        if (fits_with(plan, bytes, size_bytes, slack_bytes, ret))
            return true;
    for (uint32_t bytes = usual_bytes * 2; bytes <= LARGEST_AUTO_CLUSTER; bytes *= 2)
        if (fits_with(plan, bytes, size_bytes, slack_bytes, ret))
            return true;
    return false;
}

int fat32_plan_settle(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err)
{
    struct fat32_geometry geo;

    int r = fat32_geometry_choose(&plan->wish, size_bytes, &geo, err);
    if (r < 0)
        return r;
    bool fits = false;
    if (plan->wish.cluster_bytes != 0)
        fits = fits_with(plan, plan->wish.cluster_bytes, size_bytes, 0, &geo);
    else
        fits = fits_somehow(plan, geo.cluster_bytes, size_bytes, plan->slack_bytes, &geo) ||
               fits_somehow(plan, geo.cluster_bytes, size_bytes, 0, &geo);
    if (!fits)
        return tree_too_large(plan, size_bytes, err);
    plan->geo = geo;
    plan->settled = true;
    clusters_assign(plan);
    return 0;
}
