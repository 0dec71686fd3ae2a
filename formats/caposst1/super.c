/* Superblocks: bytes to numbers and back, what is wrong with one, and which of the two counts. */
#include "formats/caposst1/super.h"

#include "caposst1.gen.h"
#include "lib/hash/hash.h"

_Static_assert((int)CAPOSST1_SUPERBLOCK_BYTES == (int)ST1_BLOCK_BYTES, "a superblock is one block");
_Static_assert((int)CAPOSST1_ENTRY_BYTES == (int)ST1_ENTRY_BYTES, "the size of an entry");

static const char magic[] = "CAPOSST1";
enum { MAGIC_BYTES = sizeof magic - 1 };

static void decode(struct caposst1_superblock v, struct st1_super *ret)
{
    *ret = (struct st1_super){
        .generation = caposst1_superblock_generation(v),
        .version = caposst1_superblock_version(v),
        .writing = (caposst1_superblock_state(v) & CAPOSST1_STATE_WRITING) != 0,
        .active = caposst1_superblock_active(v),
        .region_blocks = caposst1_superblock_region_blocks(v),
        .hole_first_block = caposst1_superblock_hole_first_block(v),
        .hole_blocks = caposst1_superblock_hole_blocks(v),
        .areas = {{caposst1_superblock_front_first_block(v), caposst1_superblock_front_blocks(v)},
                  {caposst1_superblock_shadow_first_block(v), caposst1_superblock_shadow_blocks(v)}},
        .table_blocks = caposst1_superblock_table_blocks(v),
        .entry_count = caposst1_superblock_entry_count(v),
        .tombstone_count = caposst1_superblock_tombstone_count(v),
        .cursor_block = caposst1_superblock_cursor_block(v),
        .table_crc32c = caposst1_superblock_table_crc32c(v),
    };
}

void st1_super_encode(const struct st1_super *super, uint8_t ret[ST1_BLOCK_BYTES])
{
    struct caposst1_superblock_mut m = {ret};
    caposst1_superblock_init(m);
    caposst1_superblock_set_generation(m, super->generation);
    caposst1_superblock_set_version(m, super->version);
    caposst1_superblock_set_state(m, super->writing ? CAPOSST1_STATE_WRITING : 0);
    caposst1_superblock_set_active(m, super->active);
    caposst1_superblock_set_region_blocks(m, super->region_blocks);
    caposst1_superblock_set_hole_first_block(m, super->hole_first_block);
    caposst1_superblock_set_hole_blocks(m, super->hole_blocks);
    caposst1_superblock_set_front_first_block(m, super->areas[ST1_FRONT].first_block);
    caposst1_superblock_set_front_blocks(m, super->areas[ST1_FRONT].blocks);
    caposst1_superblock_set_shadow_first_block(m, super->areas[ST1_SHADOW].first_block);
    caposst1_superblock_set_shadow_blocks(m, super->areas[ST1_SHADOW].blocks);
    caposst1_superblock_set_table_blocks(m, super->table_blocks);
    caposst1_superblock_set_entry_count(m, super->entry_count);
    caposst1_superblock_set_tombstone_count(m, super->tombstone_count);
    caposst1_superblock_set_cursor_block(m, super->cursor_block);
    caposst1_superblock_set_table_crc32c(m, super->table_crc32c);
    caposst1_superblock_seal(m);
}

/* [first, first + blocks) lies in [from, end), without overflow. */
static bool lies_in(uint64_t first, uint64_t blocks, uint64_t from, uint64_t end)
{
    return first >= from && first <= end && blocks <= end - first;
}

static int area_validate(const struct st1_super *s, uint32_t area, const char *name, uint64_t from,
                         struct plat_err *err)
{
    uint64_t first = s->areas[area].first_block, blocks = s->areas[area].blocks;
    if (blocks <= s->table_blocks || !lies_in(first, blocks, from, s->region_blocks))
        return err_set(
            err, PLAT_ECORRUPT,
            "the %s area has %llu blocks from block %llu on: it must have more than its %llu blocks of "
            "table and lie in blocks %llu to %llu",
            name, (unsigned long long)blocks, (unsigned long long)first, (unsigned long long)s->table_blocks,
            (unsigned long long)from, (unsigned long long)s->region_blocks - 1);
    if (s->hole_blocks > 0 && first + blocks > s->hole_first_block &&
        first < s->hole_first_block + s->hole_blocks)
        return err_set(err, PLAT_ECORRUPT,
                       "the %s area (blocks %llu to %llu) runs into the hole (%llu to %llu)", name,
                       (unsigned long long)first, (unsigned long long)(first + blocks - 1),
                       (unsigned long long)s->hole_first_block,
                       (unsigned long long)(s->hole_first_block + s->hole_blocks - 1));
    return 0;
}

int st1_super_validate(const struct st1_super *s, uint64_t image_bytes, struct plat_err *err)
{
    if (s->region_blocks > image_bytes / ST1_BLOCK_BYTES)
        return err_set(
            err, PLAT_ECORRUPT, "the store has %llu blocks and its image only %llu: it is cut short",
            (unsigned long long)s->region_blocks, (unsigned long long)(image_bytes / ST1_BLOCK_BYTES));
    if (s->hole_blocks > 0 ? !lies_in(s->hole_first_block, s->hole_blocks, 2, s->region_blocks)
                           : s->hole_first_block != 0)
        return err_set(err, PLAT_ECORRUPT,
                       "the hole (%llu blocks from block %llu on) does not lie in the store",
                       (unsigned long long)s->hole_blocks, (unsigned long long)s->hole_first_block);
    if (s->table_blocks < 1 || s->table_blocks > ST1_MAX_TABLE_BLOCKS)
        return err_set(err, PLAT_ECORRUPT, "a table of %llu blocks; 1 to %d are possible",
                       (unsigned long long)s->table_blocks, ST1_MAX_TABLE_BLOCKS);
    int rc = area_validate(s, ST1_FRONT, "front", 2, err);
    bool shadow = s->areas[ST1_SHADOW].blocks > 0;
    if (rc == 0 && shadow)
        rc = area_validate(s, ST1_SHADOW, "shadow", st1_area_end(s, ST1_FRONT), err);
    if (rc != 0)
        return rc;
    if (!shadow && s->areas[ST1_SHADOW].first_block != 0)
        return err_set(err, PLAT_ECORRUPT, "a shadow area without blocks that starts at block %llu",
                       (unsigned long long)s->areas[ST1_SHADOW].first_block);
    if (s->active != ST1_FRONT && (s->active != ST1_SHADOW || !shadow))
        return err_set(err, PLAT_ECORRUPT, "area %u is said to be live, and there is no such area",
                       s->active);
    if (s->entry_count > s->table_blocks * ST1_ENTRIES_PER_BLOCK || s->tombstone_count > s->entry_count / 2)
        return err_set(err, PLAT_ECORRUPT, "%llu entries, %llu of them tombstones, in a table of %llu blocks",
                       (unsigned long long)s->entry_count, (unsigned long long)s->tombstone_count,
                       (unsigned long long)s->table_blocks);
    if (!lies_in(s->cursor_block, 0, st1_data_block(s, s->active), st1_area_end(s, s->active)))
        return err_set(err, PLAT_ECORRUPT, "the data cursor (block %llu) is not in the live area",
                       (unsigned long long)s->cursor_block);
    return 0;
}

/* ---- the pair ---- */

static void stamps(const uint8_t *bytes, struct pair_stamp *ret_begin, struct pair_stamp *ret_end)
{
    const struct caposst1_superblock v = {bytes};
    ret_begin->generation = caposst1_superblock_generation(v);
    ret_begin->check = caposst1_superblock_generation_check(v);
    ret_end->generation = caposst1_superblock_end_generation(v);
    ret_end->check = caposst1_superblock_end_generation_check(v);
}

static bool sealed(const uint8_t *bytes)
{
    uint8_t zeroed[ST1_BLOCK_BYTES];
    memcpy(zeroed, bytes, sizeof zeroed);
    caposst1_superblock_set_crc32c((struct caposst1_superblock_mut){zeroed}, 0);
    return caposst1_superblock_crc32c((struct caposst1_superblock){bytes}) ==
           hash_crc32c(0, zeroed, sizeof zeroed);
}

static bool writing(const uint8_t *bytes)
{
    return (caposst1_superblock_state((struct caposst1_superblock){bytes}) & CAPOSST1_STATE_WRITING) != 0;
}

struct decoding {
    uint64_t image_bytes;
    struct st1_super *supers; /* 2 */
};

static int decode_copy(void *ctx, int index, const uint8_t *bytes, struct plat_err *err)
{
    const struct decoding *decoding = ctx;
    const struct caposst1_superblock v = {bytes};
    const uint32_t version = caposst1_superblock_version(v);
    if (version < STORE_VERSION_PLAIN || version > STORE_VERSION_TIMED)
        return err_set(err, PLAT_EUNSUPPORTED, "a store of version %u; this plat knows versions %d and %d",
                       version, STORE_VERSION_PLAIN, STORE_VERSION_TIMED);
    decode(v, &decoding->supers[index]);
    if (caposst1_superblock_block_bytes(v) != ST1_BLOCK_BYTES)
        return err_set(err, PLAT_ECORRUPT, "blocks of %u bytes; 512 is all there is",
                       caposst1_superblock_block_bytes(v));
    return st1_super_validate(&decoding->supers[index], decoding->image_bytes, err);
}

int st1_pair_read(struct plat_dev *dev, const struct store_hooks *hooks, struct st1_pair *ret,
                  struct plat_err *err)
{
    struct decoding decoding = {dev->size_bytes, ret->supers};
    const struct pair_format format = {
        .magic = magic,
        .magic_bytes = MAGIC_BYTES,
        .stamps = stamps,
        .sealed = sealed,
        .writing = writing,
        .decode = decode_copy,
        .skip_stamps = store_skips(hooks, STORE_CHECK_STAMPS),
        .skip_sealed = store_skips(hooks, STORE_CHECK_SUPERBLOCK),
    };
    return pair_read(dev, 0, &format, &decoding, &ret->both, err);
}

int st1_pair_refusal(const struct st1_pair *pair, struct plat_err *err)
{
    return pair_refusal(&pair->both, 0, err);
}

/* Where the areas of a new store lie. */
int st1_shape_areas(const struct store_shape *shape, struct st1_super *super, struct plat_err *err)
{
    const uint64_t end = shape->region_blocks, table = super->table_blocks;
    const bool behind = shape->behind_hole && shape->hole_blocks > 0;
    const uint64_t first = behind ? shape->hole_first_block + shape->hole_blocks : 2;
    struct st1_area *front = &super->areas[ST1_FRONT], *shadow = &super->areas[ST1_SHADOW];
    const bool hole = shape->hole_blocks > 0 && !behind;
    if (table < 1 || table > ST1_MAX_TABLE_BLOCKS)
        return err_set(err, PLAT_EINVALID, "room for %llu entries; 1 to %d are possible",
                       (unsigned long long)shape->entries, STORE_MAX_ENTRIES);
    if (behind && shape->hole_first_block < 2)
        return err_set(err, PLAT_EINVALID, "a hole at block %llu: the superblocks are in blocks 0 and 1",
                       (unsigned long long)shape->hole_first_block);
    if (hole && (shape->hole_first_block <= first || shape->hole_first_block >= end ||
                 shape->hole_blocks >= end - shape->hole_first_block))
        return err_set(
            err, PLAT_EINVALID,
            "a hole of %llu blocks at block %llu leaves no room before and behind it in %llu blocks",
            (unsigned long long)shape->hole_blocks, (unsigned long long)shape->hole_first_block,
            (unsigned long long)end);
    uint64_t least = first + (shape->shadow && !hole ? 2 : 1) * (table + 1);
    if (end < least)
        return err_set(
            err, PLAT_EINVALID,
            "%llu blocks are too few for a table of %llu; at least %llu are needed, or fewer entries",
            (unsigned long long)end, (unsigned long long)table, (unsigned long long)least);
    front->first_block = first;
    front->blocks = (hole ? shape->hole_first_block : end) - first;
    if (shape->shadow && hole) {
        shadow->first_block = shape->hole_first_block + shape->hole_blocks;
    } else if (shape->shadow) {
        front->blocks = (end - first) / 2;
        shadow->first_block = first + front->blocks;
    }
    shadow->blocks = shape->shadow ? end - shadow->first_block : 0;
    return 0;
}
