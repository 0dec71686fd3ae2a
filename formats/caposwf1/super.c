/* Superblocks: bytes to numbers and back, what is wrong with one, and where the pair lies. */
#include "formats/caposwf1/super.h"

#include "lib/hash/hash.h"

_Static_assert((int)CAPOSWF1_SUPERBLOCK_BYTES == (int)PAIR_BLOCK_BYTES, "a superblock is one block");

static const char magic[] = "CAPOSWF1";
enum { MAGIC_BYTES = sizeof magic - 1, VERSION = 1 };

static struct wf1_pointer pointer_decode(struct caposwf1_pointer v)
{
    return (struct wf1_pointer){caposwf1_pointer_block(v), caposwf1_pointer_crc32c(v)};
}

static void pointer_encode(struct caposwf1_pointer_mut m, struct wf1_pointer pointer)
{
    caposwf1_pointer_set_block(m, pointer.block);
    caposwf1_pointer_set_crc32c(m, pointer.crc32c);
}

void wf1_super_decode(const uint8_t bytes[WF1_BLOCK_BYTES], struct wf1_super *ret)
{
    const struct caposwf1_superblock v = {bytes};
    const uint32_t state = caposwf1_superblock_state(v);
    *ret = (struct wf1_super){
        .generation = caposwf1_superblock_generation(v),
        .writing = (state & CAPOSWF1_STATE_WRITING) != 0,
        .shared = (state & CAPOSWF1_STATE_SHARED) != 0,
        .superblock_block = caposwf1_superblock_superblock_block(v),
        .region_first_block = caposwf1_superblock_region_first_block(v),
        .region_blocks = caposwf1_superblock_region_blocks(v),
        .free_blocks = caposwf1_superblock_free_blocks(v),
        .node_count = caposwf1_superblock_node_count(v),
        .free_node_count = caposwf1_superblock_free_node_count(v),
        .free_node = caposwf1_superblock_free_node(v),
        .next_block = caposwf1_superblock_next_block(v),
        .nodes = pointer_decode(caposwf1_superblock_nodes(v)),
        .bitmap = pointer_decode(caposwf1_superblock_bitmap(v)),
        .node_levels = caposwf1_superblock_node_levels(v),
        .bitmap_levels = caposwf1_superblock_bitmap_levels(v),
    };
    memcpy(ret->uuid, caposwf1_superblock_uuid(v), sizeof ret->uuid);
    memcpy(ret->label, caposwf1_superblock_label(v), CAPOSWF1_SUPERBLOCK_LABEL_BYTES);
}

void wf1_super_encode(const struct wf1_super *super, uint8_t ret[WF1_BLOCK_BYTES])
{
    const struct caposwf1_superblock_mut m = {ret};
    uint8_t label[CAPOSWF1_SUPERBLOCK_LABEL_BYTES];
    caposwf1_superblock_init(m);
    caposwf1_superblock_set_generation(m, super->generation);
    caposwf1_superblock_set_state(m, (super->writing ? CAPOSWF1_STATE_WRITING : 0u) |
                                         (super->shared ? CAPOSWF1_STATE_SHARED : 0u));
    caposwf1_superblock_set_superblock_block(m, super->superblock_block);
    caposwf1_superblock_set_region_first_block(m, super->region_first_block);
    caposwf1_superblock_set_region_blocks(m, super->region_blocks);
    caposwf1_superblock_set_free_blocks(m, super->free_blocks);
    caposwf1_superblock_set_node_count(m, super->node_count);
    caposwf1_superblock_set_free_node_count(m, super->free_node_count);
    caposwf1_superblock_set_free_node(m, super->free_node);
    caposwf1_superblock_set_next_block(m, super->next_block);
    pointer_encode(caposwf1_superblock_edit_nodes(m), super->nodes);
    pointer_encode(caposwf1_superblock_edit_bitmap(m), super->bitmap);
    caposwf1_superblock_set_node_levels(m, super->node_levels);
    caposwf1_superblock_set_bitmap_levels(m, super->bitmap_levels);
    caposwf1_superblock_set_uuid(m, super->uuid);
    memcpy(label, super->label, sizeof label);
    caposwf1_superblock_set_label(m, label);
    caposwf1_superblock_seal(m);
}

static int bad(struct plat_err *err, const char *field, const char *what, uint64_t found)
{
    return err_set(err, PLAT_ECORRUPT, "%s: %s, found %llu", field, what, (unsigned long long)found);
}

int wf1_super_validate(const struct wf1_super *s, uint64_t image_bytes, struct plat_err *err)
{
    const uint64_t image_blocks = image_bytes / WF1_BLOCK_BYTES;
    if (s->region_first_block < (uint64_t)s->superblock_block + 2 || s->region_first_block > UINT32_MAX)
        return bad(err, "region_first_block", "expected a block behind the superblocks",
                   s->region_first_block);
    if (s->region_blocks < 1 || s->region_blocks > UINT32_MAX - s->region_first_block)
        return bad(err, "region_blocks", "expected 1 block or more, and none beyond 2^32", s->region_blocks);
    if (s->region_first_block + s->region_blocks > image_blocks)
        return err_set(err, PLAT_ECORRUPT,
                       "the filesystem ends at block %llu and its image has only %llu: it is cut short",
                       (unsigned long long)(s->region_first_block + s->region_blocks),
                       (unsigned long long)image_blocks);
    if (s->free_blocks >= s->region_blocks)
        return bad(err, "free_blocks", "expected fewer than there are", s->free_blocks);
    if (s->node_count < 1 || s->node_count > UINT32_MAX)
        return bad(err, "node_count", "expected 1 to 2^32 - 1", s->node_count);
    if (s->free_node_count >= s->node_count || (s->free_node_count == 0) != (s->free_node == 0))
        return bad(err, "free_node_count", "expected fewer than node_count, and 0 just when free_node is 0",
                   s->free_node_count);
    if (s->free_node >= s->node_count)
        return bad(err, "free_node", "expected a node below node_count", s->free_node);
    if (s->next_block < s->region_first_block || s->next_block > s->region_first_block + s->region_blocks)
        return bad(err, "next_block", "expected a block of the region", s->next_block);
    if (s->node_levels != wf1_levels_for(div_up_u64(s->node_count, WF1_RECORDS)))
        return bad(err, "node_levels", "expected as many as node_count needs", s->node_levels);
    if (s->bitmap_levels != wf1_levels_for(div_up_u64(s->region_blocks, WF1_BITS)))
        return bad(err, "bitmap_levels", "expected as many as region_blocks needs", s->bitmap_levels);
    if (s->nodes.block == 0 || s->bitmap.block == 0)
        return bad(err, s->nodes.block == 0 ? "nodes" : "bitmap", "expected a block", 0);
    return 0;
}

/* ---- the pair ---- */

static void stamps(const uint8_t *bytes, struct pair_stamp *ret_begin, struct pair_stamp *ret_end)
{
    const struct caposwf1_superblock v = {bytes};
    *ret_begin =
        (struct pair_stamp){caposwf1_superblock_generation(v), caposwf1_superblock_generation_check(v)};
    *ret_end = (struct pair_stamp){caposwf1_superblock_end_generation(v),
                                   caposwf1_superblock_end_generation_check(v)};
}

static bool sealed(const uint8_t *bytes)
{
    uint8_t zeroed[WF1_BLOCK_BYTES];
    memcpy(zeroed, bytes, sizeof zeroed);
    caposwf1_superblock_set_crc32c((struct caposwf1_superblock_mut){zeroed}, 0);
    return hash_crc32c(0, zeroed, sizeof zeroed) ==
           caposwf1_superblock_crc32c((struct caposwf1_superblock){bytes});
}

struct decoding {
    uint64_t image_bytes;
    uint32_t superblock_block;
    struct wf1_super *supers; /* 2 */
};

static int decode(void *ctx, int index, const uint8_t *bytes, struct plat_err *err)
{
    const struct decoding *decoding = ctx;
    const struct caposwf1_superblock v = {bytes};
    struct wf1_super *super = &decoding->supers[index];
    const uint32_t version = caposwf1_superblock_version(v);
    if (version != VERSION)
        return err_set(err, PLAT_EUNSUPPORTED, "a filesystem of version %u; this plat knows version %d",
                       version, VERSION);
    if (caposwf1_superblock_block_bytes(v) != WF1_BLOCK_BYTES)
        return bad(err, "block_bytes", "expected 512", caposwf1_superblock_block_bytes(v));
    wf1_super_decode(bytes, super);
    if (super->superblock_block != decoding->superblock_block)
        return err_set(err, PLAT_ECORRUPT, "it belongs to block %u, and lies in block %u",
                       super->superblock_block, decoding->superblock_block);
    return wf1_super_validate(super, decoding->image_bytes, err);
}

static bool writing(const uint8_t *bytes)
{
    return (caposwf1_superblock_state((struct caposwf1_superblock){bytes}) & CAPOSWF1_STATE_WRITING) != 0;
}

int wf1_pair_read(struct plat_dev *dev, uint32_t superblock_block, const struct wf1_hooks *hooks,
                  struct pair *ret, struct wf1_super ret_supers[2], struct plat_err *err)
{
    const struct pair_format format = {.magic = magic,
                                       .magic_bytes = MAGIC_BYTES,
                                       .stamps = stamps,
                                       .sealed = sealed,
                                       .decode = decode,
                                       .writing = writing,
                                       .skip_sealed = wf1_skips(hooks, WF1_CHECK_SUPERBLOCK),
                                       .skip_stamps = wf1_skips(hooks, WF1_CHECK_STAMPS)};
    struct decoding decoding = {dev->size_bytes, superblock_block, ret_supers};
    return pair_read(dev, (uint64_t)superblock_block * WF1_BLOCK_BYTES, &format, &decoding, ret, err);
}

/* How likely a pair is there: 2 with a copy that counts, 1 with a magic. */
static int likeness(const struct pair *pair)
{
    if (pair->ruling >= 0)
        return 3;
    for (int i = 0; i < 2; i++)
        if (pair->copies[i].state != PAIR_DAMAGED)
            return 2;
    for (int i = 0; i < 2; i++)
        if (memcmp(pair->copies[i].bytes, magic, MAGIC_BYTES) == 0)
            return 1;
    return 0;
}

int wf1_pair_find(struct plat_dev *dev, const struct wf1_hooks *hooks, uint32_t *ret_block, struct pair *ret,
                  struct wf1_super ret_supers[2], struct plat_err *err)
{
    static const uint32_t places[] = {WF1_DEFAULT_BLOCK, 0};
    enum { PLACES = sizeof places / sizeof places[0] };
    int best = -1;
    size_t last = PLACES, chosen = 0;
    for (size_t i = 0; i < PLACES && best < 3; i++) {
        if (dev->size_bytes < ((uint64_t)places[i] + 2) * WF1_BLOCK_BYTES)
            continue;
        int rc = wf1_pair_read(dev, places[i], hooks, ret, ret_supers, err);
        if (rc != 0)
            return rc;
        last = i;
        if (likeness(ret) > best) {
            best = likeness(ret);
            chosen = i;
        }
    }
    if (last == PLACES)
        return err_set(err, PLAT_ECORRUPT, "%llu bytes are too few for the superblocks",
                       (unsigned long long)dev->size_bytes);
    if (chosen != last) {
        int rc = wf1_pair_read(dev, places[chosen], hooks, ret, ret_supers, err);
        if (rc != 0)
            return rc;
    }
    *ret_block = places[chosen];
    return 0;
}
