/* The superblock of a store, decoded, and the choice between its two copies.
 *
 *   block 0        superblock: its rewrite is the commit
 *   block 1        copy: the last committed state while a writer is at work, else the same bytes as block 0
 *   front area     [ entry table | data -> cursor | zero ]
 *   (hole)         somebody else's: CAPOSWF1 from LBA 256 on
 *   shadow area    [ entry table | data | zero ]     zero but while a compaction runs
 *   region end     behind it: somebody else's
 *
 * A power cut tears at most one of the two superblocks: see lib/fs/pair.h. */
#ifndef PLAT_FORMATS_CAPOSST1_SUPER_H
#define PLAT_FORMATS_CAPOSST1_SUPER_H

#include "formats/caposst1/store.h"
#include "lib/fs/pair.h"

enum {
    ST1_BLOCK_BYTES = 512,
    ST1_ENTRY_BYTES = 64,
    ST1_ENTRIES_PER_BLOCK = ST1_BLOCK_BYTES / ST1_ENTRY_BYTES,
    ST1_MAX_TABLE_BLOCKS = STORE_MAX_ENTRIES / ST1_ENTRIES_PER_BLOCK,
    ST1_FRONT = 0,
    ST1_SHADOW = 1,
    ST1_AREAS = 2
};
#define ST1_MAX_GENERATION PAIR_MAX_GENERATION

struct st1_area {
    uint64_t first_block, blocks; /* 0, 0: there is none (shadow only) */
};
struct st1_super {
    uint64_t generation;
    uint32_t version;
    bool writing;
    uint32_t active; /* ST1_FRONT, ST1_SHADOW */
    uint64_t region_blocks, hole_first_block, hole_blocks;
    struct st1_area areas[ST1_AREAS];
    uint64_t table_blocks;
    uint64_t entry_count, tombstone_count;
    uint64_t cursor_block;
    uint32_t table_crc32c;
};
/* PLAT_ECORRUPT naming what does not fit together. */
int st1_super_validate(const struct st1_super *super, uint64_t image_bytes, struct plat_err *err);
void st1_super_encode(const struct st1_super *super, uint8_t ret[ST1_BLOCK_BYTES]);
/* Where the areas of a new store lie, given its table_blocks. */
int st1_shape_areas(const struct store_shape *shape, struct st1_super *super, struct plat_err *err);
static inline uint64_t st1_data_block(const struct st1_super *super, uint32_t area)
{
    return super->areas[area].first_block + super->table_blocks;
}
static inline uint64_t st1_area_end(const struct st1_super *super, uint32_t area)
{
    return super->areas[area].first_block + super->areas[area].blocks;
}
static inline uint64_t st1_blocks_of(uint64_t size_bytes)
{
    return div_up_u64(size_bytes, ST1_BLOCK_BYTES);
}

/* Memory of the caller's, in whole blocks. */
struct st1_buffer {
    uint8_t *bytes;
    size_t blocks;
};

/* Which of the two counts is decided in lib/fs/pair. */
struct st1_pair {
    struct pair both;
    struct st1_super supers[2]; /* of the good copies */
};
/* Reads both. Fails only where the device does. */
int st1_pair_read(struct plat_dev *dev, const struct store_hooks *hooks, struct st1_pair *ret,
                  struct plat_err *err);
/* Why no copy counts. */
int st1_pair_refusal(const struct st1_pair *pair, struct plat_err *err);

#endif
