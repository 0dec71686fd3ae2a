/* Which tails are alike, and which of them share a block: for make_pack.c.
 *
 * A sample is the hash of eight bytes, taken where that begins with zeros: so the same text gives the same samples wherever it
 * lies, and the number that two tails have in common says how many bytes of one need not be stored again beside the other.
 * Pairs are joined from the most alike on, as long as a cluster fits into a block (as Kruskal's tree grows); then blocks are
 * filled with clusters in the order of their first tails. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

enum {
    SAMPLE_BYTES = 8,
    NEAR = 100,       /* so many with the same sample are looked at to either side */
    COMMON_MIN = 2,   /* samples that those who are alike have in common */
    MISSES_MAX = 400, /* clusters that do not fit before a block is called full */
    SORT_BITS = 8,    /* sorted by at a time */
    SORT_SHORT = 24
};

static int compare_samples(const void *va, const void *vb)
{
    const uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;
    return a < b ? -1 : a > b;
}

uint32_t sqm_samples_take(const uint8_t *bytes, size_t n, uint32_t *room, size_t n_room)
{
    size_t found = 0;
    for (size_t i = 0; i + SAMPLE_BYTES <= n && found < n_room; i++) {
        uint64_t hash = load_le64(bytes + i) * UINT64_C(0x9e3779b97f4a7c15);
        hash = (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        const uint32_t sample = (uint32_t)(hash >> (32 - SQM_SAMPLE_RATE_LOG));
        if (hash >> (64 - SQM_SAMPLE_RATE_LOG) == 0 && (found == 0 || room[found - 1] != sample))
            room[found++] = sample;
    }
    if (found == 0)
        return 0;
    qsort(room, found, sizeof *room, compare_samples);
    uint32_t kept = 1;
    for (size_t i = 1; i < found && kept < SQM_SAMPLES_MAX; i++)
        if (room[i] != room[kept - 1])
            room[kept++] = room[i];
    return kept;
}

/* ---- sorting in place: numbers that others may have chosen, so no way of sorting that they could make slow ---- */

static void sort_short(uint64_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const uint64_t key = keys[i];
        size_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

/* By the byte at `shift`, each to its place by swaps, then each range by the next byte. */
static void sort_keys(uint64_t *keys, size_t n, unsigned shift)
{
    size_t next[(1 << SORT_BITS) + 1] = {0}, end[1 << SORT_BITS];
    if (n < SORT_SHORT) {
        sort_short(keys, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        next[(keys[i] >> shift & 0xff) + 1]++;
    for (size_t b = 0; b < 1 << SORT_BITS; b++) {
        next[b + 1] += next[b];
        end[b] = next[b + 1];
    }
    for (size_t b = 0; b < 1 << SORT_BITS; b++) {
        while (next[b] < end[b]) {
            const uint64_t key = keys[next[b]];
            const size_t to = key >> shift & 0xff;
            if (to == b) {
                next[b]++;
                continue;
            }
            keys[next[b]] = keys[next[to]];
            keys[next[to]++] = key;
        }
    }
    for (size_t b = 0, from = 0; shift > 0 && b < 1 << SORT_BITS; from = end[b++])
        sort_keys(keys + from, end[b] - from, shift - SORT_BITS);
}

void sqm_sort(uint64_t *keys, size_t n)
{
    sort_keys(keys, n, 64 - SORT_BITS);
}

/* ---- clusters ---- */

static uint32_t root_of(struct sqm_pack *pack, uint32_t i)
{
    struct sqm_tail *tails = pack->tails;
    while (tails[i].cluster != i)
        i = tails[i].cluster = tails[tails[i].cluster].cluster;
    return i;
}

static void join(struct sqm_pack *pack, uint32_t a, uint32_t b)
{
    a = root_of(pack, a);
    b = root_of(pack, b);
    if (a == b || pack->tails[a].cluster_bytes + pack->tails[b].cluster_bytes > pack->block_bytes)
        return;
    const uint32_t first = a < b ? a : b, other = a < b ? b : a;
    pack->tails[first].cluster_bytes += pack->tails[other].cluster_bytes;
    pack->tails[other].cluster = first;
}

/* Every tail alone, but for those that are the same, of which the first alone takes room. */
static void clusters_begin(struct sqm_pack *pack)
{
    const uint64_t hash_mask = ~(uint64_t)SQM_RANK_MASK;
    for (uint32_t i = 0; i < pack->n_tails; i++) {
        pack->tails[i].cluster = i;
        pack->tails[i].cluster_bytes = pack->tails[i].n_bytes;
        pack->keys[i] = (pack->tails[i].hash & hash_mask) | i;
    }
    sqm_sort(pack->keys, pack->n_tails);
    for (uint32_t k = 1; k < pack->n_tails; k++) {
        struct sqm_tail *a = &pack->tails[pack->keys[k - 1] & SQM_RANK_MASK];
        const uint32_t i = (uint32_t)(pack->keys[k] & SQM_RANK_MASK);
        struct sqm_tail *b = &pack->tails[i];
        if (a->hash != b->hash || a->n_bytes != b->n_bytes)
            continue;
        b->cluster_bytes = 0;
        b->n_samples = 0; /* the other's do */
        join(pack, (uint32_t)(a - pack->tails), i);
    }
}

/* All samples by value, and behind each value the tails that have it; pack->samples: where a tail's own are among them. */
static size_t samples_sort(struct sqm_pack *pack)
{
    size_t n = 0;
    for (uint32_t i = 0; i < pack->n_tails; i++) {
        const struct sqm_tail *tail = &pack->tails[i];
        for (uint32_t s = 0; s < tail->n_samples; s++)
            pack->keys[n++] = (uint64_t)pack->samples[tail->samples_at + s] << SQM_RANK_BITS | i;
        pack->tails[i].n_samples = 0;
    }
    sqm_sort(pack->keys, n);
    for (size_t k = 0; k < n; k++) {
        struct sqm_tail *tail = &pack->tails[pack->keys[k] & SQM_RANK_MASK];
        pack->samples[tail->samples_at + tail->n_samples++] = (uint32_t)k;
    }
    return n;
}

/* Counts for tail i what others have in common with it; returns how many others, whose ranks are in `touched`. */
static size_t common_count(struct sqm_pack *pack, size_t n_keys, uint32_t i, uint32_t *touched)
{
    const struct sqm_tail *tail = &pack->tails[i];
    size_t n_touched = 0;
    for (uint32_t s = 0; s < tail->n_samples; s++) {
        const size_t own = pack->samples[tail->samples_at + s];
        const uint64_t value = pack->keys[own] >> SQM_RANK_BITS;
        size_t from = own, to = own + 1;
        while (from > 0 && own - from < NEAR && pack->keys[from - 1] >> SQM_RANK_BITS == value)
            from--;
        while (to < n_keys && to - own <= NEAR && pack->keys[to] >> SQM_RANK_BITS == value)
            to++;
        for (size_t k = from; k < to; k++) {
            const uint32_t other = (uint32_t)(pack->keys[k] & SQM_RANK_MASK);
            if (other == i)
                continue;
            if (pack->common[other]++ == 0)
                touched[n_touched++] = other;
        }
    }
    return n_touched;
}

/* The most alike first: how much is common, upside down, then the two ranks. */
static uint64_t edge_key(uint32_t common, uint32_t a, uint32_t b)
{
    return (uint64_t)(UINT16_MAX - common) << 2 * SQM_RANK_BITS | (uint64_t)a << SQM_RANK_BITS | b;
}

/* Of one tail: its nearest others, as edges. */
static size_t edges_of(struct sqm_pack *pack, uint32_t i, const uint32_t *touched, size_t n_touched,
                       uint64_t edges[SQM_NEIGHBOURS])
{
    size_t n = 0;
    for (size_t t = 0; t < n_touched; t++) {
        const uint32_t other = touched[t], common = pack->common[other];
        pack->common[other] = 0;
        if (common < COMMON_MIN || pack->tails[i].n_bytes + pack->tails[other].n_bytes > pack->block_bytes)
            continue;
        const uint64_t edge = edge_key(common, i < other ? i : other, i < other ? other : i);
        if (n == SQM_NEIGHBOURS && edges[n - 1] <= edge)
            continue;
        size_t at = n < SQM_NEIGHBOURS ? n++ : n - 1;
        for (; at > 0 && edges[at - 1] > edge; at--)
            edges[at] = edges[at - 1];
        edges[at] = edge;
    }
    return n;
}

/* ---- blocks ---- */

/* Chains the tails of each cluster behind its first, by rank. */
static void clusters_chain(struct sqm_pack *pack, uint32_t *last)
{
    for (uint32_t i = 0; i < pack->n_tails; i++) {
        const uint32_t root = root_of(pack, i);
        pack->tails[i].next = SQM_NONE;
        if (root != i)
            pack->tails[last[root]].next = i;
        last[root] = i;
    }
}

static void blocks_fill(struct sqm_pack *pack, uint32_t *next)
{
    uint32_t n = 0, first = 0, n_ordered = 0;
    for (uint32_t i = 0; i < pack->n_tails; i++) /* the firsts of clusters that are not placed */
        if (pack->tails[i].cluster == i)
            next[n++] = i;
    while (first < n) {
        uint32_t used = 0, misses = 0;
        for (uint32_t c = first; c < n && misses < MISSES_MAX; c++) {
            const uint32_t root = next[c];
            if (root == SQM_NONE)
                continue;
            if (used + pack->tails[root].cluster_bytes > pack->block_bytes) {
                misses++;
                continue;
            }
            used += pack->tails[root].cluster_bytes;
            for (uint32_t i = root; i != SQM_NONE; i = pack->tails[i].next)
                pack->order[n_ordered++] = i;
            next[c] = SQM_NONE;
        }
        while (first < n && next[first] == SQM_NONE)
            first++;
    }
}

int sqm_pack_settle(struct sqm_pack *pack, struct plat_err *err)
{
    uint32_t *room = malloc(((size_t)pack->n_tails + 1) * sizeof *room);
    uint64_t *edges = malloc(((size_t)pack->n_tails + 1) * SQM_NEIGHBOURS * sizeof *edges);
    size_t n_edges = 0;
    if (room == NULL || edges == NULL) {
        free(room);
        free(edges);
        return err_nomem(err, "ordering files");
    }
    clusters_begin(pack);
    const size_t n_keys = samples_sort(pack);
    for (uint32_t i = 0; i < pack->n_tails; i++)
        n_edges += edges_of(pack, i, room, common_count(pack, n_keys, i, room), edges + n_edges);
    sqm_sort(edges, n_edges);
    for (size_t e = 0; e < n_edges; e++)
        join(pack, (uint32_t)(edges[e] >> SQM_RANK_BITS & SQM_RANK_MASK),
             (uint32_t)(edges[e] & SQM_RANK_MASK));
    clusters_chain(pack, room);
    blocks_fill(pack, room);
    free(room);
    free(edges);
    return 0;
}
