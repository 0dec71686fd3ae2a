/* The frame of a walk: superblocks, radix trees, what is left over. */
#include "formats/caposwf1/walk.h"

#include <stdio.h>
#include <stdlib.h>

#include "formats/caposwf1/each.h"

/* ---- what the parts share ---- */

bool wf1_walk_wants(const struct walk *walk, const char *path)
{
    return walk->sink->wants == NULL || walk->sink->wants(walk->sink->ctx, path);
}

int wf1_walk_extent(struct walk *walk, enum extent_kind kind, const char *path, uint64_t start, uint64_t end)
{
    if (walk->sink->extent == NULL || start >= end || !wf1_walk_wants(walk, path))
        return 0;
    const struct extent extent = {
        .place = {start, end - start}, .kind = kind, .path = path, .position = walk->position};
    return walk->sink->extent(walk->sink->ctx, &extent);
}

static int emit(struct walk *walk, const char *type_name, struct inst *inst, const uint8_t *bytes, size_t n,
                uint64_t offset, const char *path, uint64_t index, bool is_mirror)
{
    const struct type *type = layout_type(walk->vol->fs.image->layout, type_name);
    if (walk->sink->instance == NULL || !wf1_walk_wants(walk, path))
        return 0;
    int rc = inst_make(walk->vol->fs.image, type, bytes, n, offset, path, inst, walk->err);
    if (rc != 0)
        return rc;
    inst->index = index;
    inst->is_mirror = is_mirror;
    return walk->sink->instance(walk->sink->ctx, inst);
}

int wf1_walk_instance(struct walk *walk, const char *type, const uint8_t *bytes, size_t n, uint64_t offset,
                      const char *path, uint64_t index)
{
    struct inst inst;
    return walk->instances ? emit(walk, type, &inst, bytes, n, offset, path, index, false) : 0;
}

static bool claim(struct walk *walk, uint64_t block)
{
    const uint64_t at = block - walk->reader->super.region_first_block;
    const uint8_t bit = (uint8_t)(1u << at % 8);
    if ((walk->claimed[at / 8] & bit) != 0)
        return false;
    walk->claimed[at / 8] |= bit;
    return true;
}

int wf1_walk_block(struct walk *walk, struct wf1_pointer at, const char *path, const uint8_t **ret)
{
    const struct wf1_super *super = &walk->reader->super;
    *ret = NULL;
    if (at.block < super->region_first_block || at.block - super->region_first_block >= super->region_blocks)
        return 0;
    const uint64_t offset = (uint64_t)at.block * WF1_BLOCK_BYTES;
    const bool is_new = claim(walk, at.block);
    int rc = wf1_walk_extent(walk, EXTENT_METADATA, path, offset, offset + WF1_BLOCK_BYTES);
    if (rc == 0 && !is_new) /* cross-linked: both are named, one is followed */
        return 0;
    if (rc == 0)
        rc = wf1_block(walk->reader, at, ret, walk->err);
    if (rc != 0)
        *ret = NULL;
    return rc == PLAT_ECORRUPT ? 0 : rc;
}

/* ---- superblocks ---- */

/* One that does not count is judged by check, which knows why. */
static int walk_pair(struct walk *walk)
{
    static const char *const names[] = {"superblock", "copy"};
    const struct pair *pair = &walk->vol->pair;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < 2; i++) {
        const uint64_t offset = (walk->vol->superblock_block + i) * WF1_BLOCK_BYTES;
        const struct pair_copy *copy = &pair->copies[i];
        const bool is_mirror = pair->ruling >= 0 && pair->ruling != (int)i && copy->state == PAIR_GOOD;
        struct inst inst;
        if (copy->state != PAIR_TORN)
            rc =
                emit(walk, "superblock", &inst, copy->bytes, WF1_BLOCK_BYTES, offset, names[i], 0, is_mirror);
        if (rc == 0)
            rc = wf1_walk_extent(walk, EXTENT_METADATA, names[i], offset, offset + WF1_BLOCK_BYTES);
    }
    return rc;
}

/* ---- radix trees ---- */

struct radix {
    const char *bottom_path, *pointers_path;
    uint64_t in_path; /* what the number of a bottom block is multiplied with in its path */
    uint64_t n_bottom, n_elements;
    int (*bottom)(struct walk *walk, uint64_t index, const uint8_t *bytes, uint64_t offset);
};

static int nodes_bottom(struct walk *walk, uint64_t index, const uint8_t *bytes, uint64_t offset)
{
    return wf1_walk_records(walk, index * WF1_RECORDS, bytes, offset);
}

static int bitmap_bottom(struct walk *walk, uint64_t index, const uint8_t *bytes, uint64_t offset)
{
    char path[WF1_WALK_PATH_BYTES];
    (void)snprintf(path, sizeof path, "bitmap[%llu]", (unsigned long long)index);
    return wf1_walk_instance(walk, "bitmap_block", bytes, WF1_BLOCK_BYTES, offset, path, index);
}

/* No deeper than 5. */
static int walk_radix(struct walk *walk, const struct radix *tree, struct wf1_pointer at, uint32_t level,
                      uint64_t index)
{
    uint8_t copy[WF1_BLOCK_BYTES];
    char path[WF1_WALK_PATH_BYTES];
    const uint8_t *bytes;
    uint64_t span = 1;
    const uint64_t k = walk->n_pointers;
    if (at.block == 0 || index >= tree->n_bottom)
        return 0;
    walk->n_pointers += level > 0;
    (void)snprintf(path, sizeof path, "%s[%llu]", level > 0 ? tree->pointers_path : tree->bottom_path,
                   (unsigned long long)(level > 0 ? k : index * tree->in_path));
    int rc = wf1_walk_block(walk, at, path, &bytes);
    if (rc != 0 || bytes == NULL)
        return rc;
    const uint64_t offset = (uint64_t)at.block * WF1_BLOCK_BYTES;
    memcpy(copy, bytes, sizeof copy);
    if (level == 0)
        return tree->bottom(walk, index, copy, offset);
    rc = wf1_walk_instance(walk, "pointer_block", copy, sizeof copy, offset, path, k);
    for (uint32_t i = 1; i < level; i++)
        span *= WF1_POINTERS;
    for (uint64_t i = 0; rc == 0 && i < WF1_POINTERS; i++) {
        struct caposwf1_pointer v;
        if (caposwf1_pointer_block_pointers((struct caposwf1_pointer_block){copy}, (size_t)i, &v))
            rc = walk_radix(walk, tree,
                            (struct wf1_pointer){caposwf1_pointer_block(v), caposwf1_pointer_crc32c(v)},
                            level - 1, index + i * span);
    }
    return rc;
}

static int walk_tree(struct walk *walk, const struct radix *tree, const char *type_name,
                     struct wf1_pointer root, uint32_t levels)
{
    const struct walk_sink *sink = walk->sink;
    const uint64_t count = tree->n_elements;
    int rc = 0;
    if (sink->array != NULL && wf1_walk_wants(walk, tree->bottom_path))
        rc = sink->array(sink->ctx, tree->bottom_path, count,
                         layout_type(walk->vol->fs.image->layout, type_name));
    walk->instances = sink->instance != NULL && (count <= WALK_BULK_ELEMENTS || sink->elements);
    walk->n_pointers = 0;
    return rc != 0 || (!walk->instances && sink->extent == NULL) ? rc
                                                                 : walk_radix(walk, tree, root, levels, 0);
}

/* ---- what is left ---- */

static const char *rest_name(bool claimed, bool used)
{
    return claimed ? NULL : used ? "unknown" : "free";
}

static int emit_rest(struct walk *walk, const char *name, uint64_t first, uint64_t end)
{
    const uint64_t region = walk->reader->super.region_first_block;
    if (name == NULL)
        return 0;
    return wf1_walk_extent(walk, strcmp(name, "free") == 0 ? EXTENT_FREE : EXTENT_UNCLAIMED, name,
                           (region + first) * WF1_BLOCK_BYTES, (region + end) * WF1_BLOCK_BYTES);
}

/* Blocks of the region that nothing has claimed, in runs. */
static int walk_rest(struct walk *walk)
{
    const struct wf1_super *super = &walk->reader->super;
    uint8_t bits[WF1_BLOCK_BYTES];
    const char *name = NULL;
    uint64_t from = 0;
    for (uint64_t at = 0; at < super->region_blocks; at++) {
        if (at % WF1_BITS == 0) {
            struct wf1_pointer leaf = {0, 0};
            const uint8_t *bytes = NULL;
            int rc =
                wf1_radix(walk->reader, super->bitmap, super->bitmap_levels, at / WF1_BITS, &leaf, walk->err);
            if (rc == 0 && leaf.block != 0)
                rc = wf1_block(walk->reader, leaf, &bytes, walk->err);
            if (rc != 0 && rc != PLAT_ECORRUPT)
                return rc;
            memset(bits, rc == 0 ? 0 : UINT8_MAX, sizeof bits);
            if (bytes != NULL)
                memcpy(bits, bytes, sizeof bits);
        }
        const char *is = rest_name((walk->claimed[at / 8] >> at % 8 & 1) != 0,
                                   (bits[at % WF1_BITS / 8] >> at % 8 & 1) != 0);
        if (is != name) {
            int rc = emit_rest(walk, name, from, at);
            if (rc != 0)
                return rc;
            name = is;
            from = at;
        }
    }
    return emit_rest(walk, name, from, super->region_blocks);
}

/* ---- all of it ---- */

static int walk_region(struct walk *walk)
{
    const struct wf1_super *super = &walk->reader->super;
    const uint64_t n_nodes = wf1_nodes_impossible(super) ? 0 : super->node_count;
    const uint64_t n_leaves = div_up_u64(super->region_blocks, WF1_BITS);
    const struct radix nodes = {"nodes", "node_pointers", WF1_RECORDS, div_up_u64(n_nodes, WF1_RECORDS),
                                n_nodes, nodes_bottom};
    const struct radix bitmap = {"bitmap", "bitmap_pointers", 1, n_leaves, n_leaves, bitmap_bottom};
    int rc = walk_tree(walk, &bitmap, "bitmap_block", super->bitmap, super->bitmap_levels);
    if (rc == 0)
        rc = walk_tree(walk, &nodes, "extent_node", super->nodes, super->node_levels);
    if (rc != 0 || walk->sink->extent == NULL)
        return rc;
    rc = wf1_walk_contents(walk);
    return rc != 0 ? rc : walk_rest(walk);
}

int caposwf1_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct walk walk = {.vol = vol, .reader = &vol->reader, .sink = sink, .err = err};
    const struct wf1_super *super = &vol->reader.super;
    const uint64_t image_bytes = fs->dev->size_bytes;
    const uint64_t first = (uint64_t)vol->superblock_block * WF1_BLOCK_BYTES;
    int rc = wf1_walk_extent(&walk, EXTENT_UNCLAIMED, "outside", 0, first);
    if (rc == 0)
        rc = walk_pair(&walk);
    const uint64_t behind = first + 2 * (uint64_t)WF1_BLOCK_BYTES;
    if (rc != 0 || !vol->sound)
        return rc != 0 ? rc : wf1_walk_extent(&walk, EXTENT_UNCLAIMED, "unknown", behind, image_bytes);
    rc = wf1_walk_extent(&walk, EXTENT_UNCLAIMED, "outside", behind,
                         super->region_first_block * WF1_BLOCK_BYTES);
    if (rc != 0)
        return rc;
    walk.claimed = calloc(1, (size_t)div_up_u64(super->region_blocks, 8));
    if (walk.claimed == NULL)
        return err_nomem(err, "walking a filesystem");
    rc = walk_region(&walk);
    free(walk.claimed);
    return rc != 0 ? rc
                   : wf1_walk_extent(&walk, EXTENT_UNCLAIMED, "outside",
                                     (super->region_first_block + super->region_blocks) * WF1_BLOCK_BYTES,
                                     image_bytes);
}
