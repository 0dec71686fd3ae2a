/* The file allocation table: one 32-bit entry a cluster, of which 28 bits count.
 *
 *     entry       0          1          2         3         4         5
 *             +----------+----------+----------+---------+---------+----------+---
 *             | 0FFFFF F8| 0FFFFFFF | 00000003 | 00000005| 00000000| 0FFFFFFF | ...
 *             +----------+----------+----------+---------+---------+----------+---
 *                  media   state      2 -> 3     3 -> 5     free       end
 *
 * A few 64 KiB pieces of the table are cached, so that a chain costs memory accesses and not system calls,
 * and a table of a gigabyte costs one megabyte of memory. */
#include "formats/fat32/volume.h"

#include <stdio.h>
#include <stdlib.h>

enum { ENTRY_BYTES = FAT32_FAT_ENTRY_BYTES };
#define LINK_RESERVED_MIN 0x0FFFFFF0u

enum fat_link fat_link_of(const struct volume *vol, uint32_t value)
{
    if (value == FAT32_LINK_FREE)
        return FAT_LINK_FREE;
    if (fat32_cluster_valid(&vol->geo, value))
        return FAT_LINK_NEXT;
    if (value >= FAT32_LINK_END_MIN)
        return FAT_LINK_END;
    if (value == FAT32_LINK_BAD)
        return FAT_LINK_BAD;
    if (value == 1 || value >= LINK_RESERVED_MIN)
        return FAT_LINK_RESERVED;
    return FAT_LINK_OUTSIDE;
}

const char *fat_link_text(const struct volume *vol, uint32_t value, char *buf, size_t buf_bytes)
{
    switch (fat_link_of(vol, value)) {
    case FAT_LINK_NEXT:
        (void)snprintf(buf, buf_bytes, "cluster %u", value);
        break;
    case FAT_LINK_END:
        (void)snprintf(buf, buf_bytes, "the end of a chain (0x%08x)", value);
        break;
    case FAT_LINK_FREE:
        (void)snprintf(buf, buf_bytes, "free (0)");
        break;
    case FAT_LINK_RESERVED:
        (void)snprintf(buf, buf_bytes, "a reserved value (0x%08x)", value);
        break;
    case FAT_LINK_BAD:
        (void)snprintf(buf, buf_bytes, "a bad cluster (0x%08x)", value);
        break;
    case FAT_LINK_OUTSIDE:
        (void)snprintf(buf, buf_bytes, "cluster %u, past the last cluster %u", value, vol->last_cluster);
        break;
    }
    return buf;
}

const char *fat_range_text(const struct volume *vol, char buf[FAT_PATH_BYTES])
{
    if (vol->last_cluster < FAT32_FIRST_CLUSTER)
        (void)snprintf(buf, FAT_PATH_BYTES, "a cluster (the image has none)");
    else
        (void)snprintf(buf, FAT_PATH_BYTES, "a cluster from %d to %u", FAT32_FIRST_CLUSTER,
                       vol->last_cluster);
    return buf;
}

uint64_t fat_entry_offset(const struct volume *vol, uint32_t cluster)
{
    return vol->fat_offset + (uint64_t)cluster * ENTRY_BYTES;
}

const char *fat_entry_path(const struct volume *vol, uint32_t cluster, char buf[FAT_PATH_BYTES])
{
    if (vol->geo.active_fat == 0)
        (void)snprintf(buf, FAT_PATH_BYTES, "fat[%u]", cluster);
    else
        (void)snprintf(buf, FAT_PATH_BYTES, "fat%u[%u]", vol->geo.active_fat + 1, cluster);
    return buf;
}

/* The cached piece that holds the entry of `cluster`. */
static int window_of(struct volume *vol, uint32_t cluster, const struct fat_window **ret,
                     struct plat_err *err)
{
    uint64_t at = (uint64_t)cluster * ENTRY_BYTES;
    uint64_t number = at / FAT_WINDOW_BYTES;
    struct fat_window *window = &vol->windows[number % FAT_WINDOWS];
    if (window->bytes != NULL && window->number == number) {
        *ret = window;
        return 0;
    }
    if (at + ENTRY_BYTES > vol->geo.fat_bytes)
        return err_set(err, PLAT_EBUG, "cluster %u has no entry in a FAT of %llu bytes", cluster,
                       (unsigned long long)vol->geo.fat_bytes);
    if (window->bytes == NULL) {
        window->bytes = malloc(FAT_WINDOW_BYTES);
        if (window->bytes == NULL)
            return err_nomem(err, "reading the FAT");
    }
    uint64_t start = number * FAT_WINDOW_BYTES;
    uint64_t left = vol->geo.fat_bytes - start;
    uint64_t size_bytes = vol->fs.dev->size_bytes;
    uint64_t on_device = vol->fat_offset + start < size_bytes ? size_bytes - vol->fat_offset - start : 0;
    if (on_device < left)
        left = on_device - on_device % ENTRY_BYTES;
    size_t n = left < FAT_WINDOW_BYTES ? (size_t)left : FAT_WINDOW_BYTES;
    char path[FAT_PATH_BYTES];
    if (at - start >= n)
        return err_at(err, PLAT_ECORRUPT, vol->fat_offset + at, fat_entry_path(vol, cluster, path),
                      "the image ends at byte %llu, within the FAT", (unsigned long long)size_bytes);
    window->number = UINT64_MAX;
    int rc = dev_read(vol->fs.dev, vol->fat_offset + start, window->bytes, n, err);
    if (rc != 0)
        return rc;
    window->number = number;
    window->n = n;
    *ret = window;
    return 0;
}

int fat_get_raw(struct volume *vol, uint32_t cluster, uint32_t *ret, struct plat_err *err)
{
    const struct fat_window *window;
    int rc = window_of(vol, cluster, &window, err);
    if (rc != 0)
        return rc;
    *ret = load_le32(window->bytes + (size_t)cluster * ENTRY_BYTES % FAT_WINDOW_BYTES);
    return 0;
}

int fat_get(struct volume *vol, uint32_t cluster, uint32_t *ret, struct plat_err *err)
{
    uint32_t raw;
    int rc = fat_get_raw(vol, cluster, &raw, err);
    if (rc == 0)
        *ret = raw & FAT32_LINK_MASK;
    return rc;
}

int fat_run_at(struct volume *vol, uint32_t first, uint32_t max_count, struct fat_run *ret,
               struct plat_err *err)
{
    uint32_t cluster = first;
    for (;;) {
        const struct fat_window *window;
        int rc = window_of(vol, cluster, &window, err);
        if (rc != 0)
            return rc;
        size_t at = (size_t)cluster * ENTRY_BYTES % FAT_WINDOW_BYTES;
        for (; at < window->n; at += ENTRY_BYTES, cluster++) {
            uint32_t next = load_le32(window->bytes + at) & FAT32_LINK_MASK;
            uint32_t count = cluster - first + 1;
            if (next == cluster + 1 && next <= vol->last_cluster && count < max_count)
                continue;
            *ret = (struct fat_run){.first = first, .count = count, .next = next};
            return 0;
        }
    }
}

void fat_forget(struct volume *vol)
{
    for (size_t i = 0; i < FAT_WINDOWS; i++) {
        free(vol->windows[i].bytes);
        vol->windows[i] = (struct fat_window){.number = UINT64_MAX};
    }
}

int cluster_set_open(const struct volume *vol, struct cluster_set *ret, struct plat_err *err)
{
    /* At most 2^28 clusters: 32 MiB. */
    uint8_t *bits = calloc((size_t)vol->last_cluster / 8 + 1, 1);
    if (bits == NULL)
        return err_nomem(err, "counting clusters");
    *ret = (struct cluster_set){.bits = bits, .n = vol->last_cluster + 1};
    return 0;
}

void cluster_set_close(struct cluster_set *set)
{
    free(set->bits);
    *set = (struct cluster_set){0};
}
