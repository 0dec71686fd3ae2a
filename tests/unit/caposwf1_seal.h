/* Puts the checksums of a CAPOSWF1 right, from the bottom up to both superblocks, whatever its other bytes say: so
 * that a fault that is planted stands behind right checksums. Bounded: each block is entered once. */
#ifndef PLAT_TESTS_CAPOSWF1_SEAL_H
#define PLAT_TESTS_CAPOSWF1_SEAL_H

#include <stdlib.h>

#include "formats/caposwf1/reader.h"
#include "lib/hash/hash.h"

struct reseal {
    uint8_t *bytes;
    uint64_t blocks;
    uint8_t *seen; /* by block */
};

static inline uint8_t *reseal_block(const struct reseal *reseal, uint64_t block)
{
    return block < reseal->blocks ? reseal->bytes + block * WF1_BLOCK_BYTES : NULL;
}

static inline uint32_t reseal_crc(const struct reseal *reseal, uint64_t block, uint64_t n)
{
    return block + n <= reseal->blocks
               ? hash_crc32c(0, reseal->bytes + block * WF1_BLOCK_BYTES, (size_t)n * WF1_BLOCK_BYTES)
               : 0;
}

static inline void reseal_entries(struct reseal *reseal, uint8_t *at, uint32_t n, uint32_t levels,
                                  bool directory)
{
    for (uint32_t i = 0; i < n; i++, at += CAPOSWF1_EXTENT_BYTES) {
        struct wf1_entry entry;
        wf1_entries_decode(at, 1, &entry);
        const struct caposwf1_extent_mut edit = {at};
        if (levels == 0) {
            if (entry.count <= WF1_EXTENT_BLOCKS)
                caposwf1_extent_set_crc32c(edit, reseal_crc(reseal, entry.block, entry.count));
            continue;
        }
        uint8_t *below = reseal_block(reseal, entry.block);
        if (below == NULL)
            continue;
        if (reseal->seen[entry.block]++ == 0 && !(directory && levels == 1))
            reseal_entries(reseal, below, entry.count < WF1_ENTRIES ? entry.count : WF1_ENTRIES, levels - 1,
                           directory);
        caposwf1_extent_set_crc32c(edit, reseal_crc(reseal, entry.block, 1));
    }
}

static inline void reseal_records(struct reseal *reseal, uint8_t *block)
{
    for (uint32_t i = 0; i < WF1_RECORDS; i++) {
        uint8_t *record = block + (size_t)i * CAPOSWF1_PLAIN_NODE_BYTES;
        struct wf1_node node;
        wf1_node_decode(record, &node);
        const bool directory = node.kind == CAPOSWF1_NODE_KIND_DIRECTORY;
        if ((directory || node.kind == CAPOSWF1_NODE_KIND_FILE || node.kind == CAPOSWF1_NODE_KIND_SYMLINK) &&
            node.levels <= WF1_MAP_MAX_LEVELS && node.n_entries <= WF1_ROOT_ENTRIES)
            reseal_entries(reseal, record + CAPOSWF1_EXTENT_NODE_EXTENTS_OFFSET, node.n_entries, node.levels,
                           directory);
    }
}

static inline uint32_t reseal_radix(struct reseal *reseal, uint64_t block, uint32_t levels, bool nodes)
{
    uint8_t *bytes = reseal_block(reseal, block);
    if (bytes == NULL || block == 0)
        return 0;
    if (reseal->seen[block]++ == 0) {
        if (levels == 0 && nodes)
            reseal_records(reseal, bytes);
        for (size_t i = 0; levels > 0 && i < WF1_POINTERS; i++) {
            const struct caposwf1_pointer_mut m = {bytes + i * CAPOSWF1_POINTER_BYTES};
            const uint32_t below = caposwf1_pointer_block(caposwf1_pointer_of(m));
            if (below != 0)
                caposwf1_pointer_set_crc32c(m, reseal_radix(reseal, below, levels - 1, nodes));
        }
    }
    return reseal_crc(reseal, block, 1);
}

/* From the superblock in block `superblock`, which becomes the copy as well. */
static inline void reseal_image(uint8_t *bytes, size_t n, uint64_t superblock)
{
    struct reseal reseal = {bytes, n / WF1_BLOCK_BYTES, calloc(n / WF1_BLOCK_BYTES + 1, 1)};
    uint8_t *first = reseal_block(&reseal, superblock);
    const struct caposwf1_superblock v = {first};
    const struct caposwf1_superblock_mut m = {first};
    if (first == NULL || reseal.seen == NULL)
        abort();
    reseal.seen[superblock] = reseal.seen[superblock + 1] = 1;
    const uint32_t node_levels = caposwf1_superblock_node_levels(v),
                   bitmap_levels = caposwf1_superblock_bitmap_levels(v);
    const struct caposwf1_pointer_mut nodes = caposwf1_superblock_edit_nodes(m),
                                      bitmap = caposwf1_superblock_edit_bitmap(m);
    if (node_levels <= WF1_NODE_MAX_LEVELS)
        caposwf1_pointer_set_crc32c(
            nodes,
            reseal_radix(&reseal, caposwf1_pointer_block(caposwf1_pointer_of(nodes)), node_levels, true));
    if (bitmap_levels <= WF1_BITMAP_MAX_LEVELS)
        caposwf1_pointer_set_crc32c(
            bitmap,
            reseal_radix(&reseal, caposwf1_pointer_block(caposwf1_pointer_of(bitmap)), bitmap_levels, false));
    caposwf1_superblock_seal(m);
    memcpy(first + WF1_BLOCK_BYTES, first, WF1_BLOCK_BYTES);
    free(reseal.seen);
}

#endif
