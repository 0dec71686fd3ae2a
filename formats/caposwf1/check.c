/* What the layout cannot say of a CAPOSWF1; check.h says how it is divided. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/caposwf1/check.h"
#include "formats/caposwf1/each.h"

static uint64_t offset_of(uint64_t block)
{
    return block * WF1_BLOCK_BYTES;
}

/* ---- the superblocks ---- */

static int check_copy_state(const struct volume *vol, int index, const struct finding_sink *sink)
{
    static const char *const names[] = {"superblock", "copy"};
    const struct pair *pair = &vol->pair;
    const struct pair_copy *copy = &pair->copies[index];
    const uint64_t offset = offset_of((uint64_t)vol->superblock_block + (uint64_t)index);
    if (copy->state == PAIR_TORN)
        return finding_report(sink, pair->ruling < 0 ? SEVERITY_ERROR : SEVERITY_NOTE, "wf1-torn",
                              names[index], &offset, NULL,
                              "a power cut tore this sector; the other one counts, and nothing is lost");
    if (copy->state != PAIR_GOOD)
        return finding_report(sink, SEVERITY_ERROR, "wf1-superblock", names[index], &offset, NULL, "%s%s",
                              copy->why.text,
                              pair->ruling >= 0 && pair->ruling != index ? "; the other one is good" : "");
    if (index == 0 && vol->supers[0].writing)
        return finding_report(sink, SEVERITY_ERROR, "wf1-state", "superblock.state", &offset, NULL,
                              "expected the mark of a writer at work in the copy alone, found it here");
    return 0;
}

static int check_pair(const struct volume *vol, const struct finding_sink *sink)
{
    const struct pair *pair = &vol->pair;
    const uint64_t offset = offset_of((uint64_t)vol->superblock_block + 1);
    int rc = check_copy_state(vol, 0, sink);
    if (rc == 0)
        rc = check_copy_state(vol, 1, sink);
    if (rc != 0 || pair->clean || pair->copies[1].state != PAIR_GOOD)
        return rc;
    if (vol->supers[1].writing)
        return finding_report(sink, SEVERITY_NOTE, "wf1-writing", "copy", &offset, NULL,
                              "a writer is at work or was cut off: free blocks may hold what it wrote; the "
                              "next writer clears them");
    if (pair->copies[0].state != PAIR_GOOD)
        return 0;
    return finding_report(sink, SEVERITY_ERROR, "wf1-copy", "copy", &offset, NULL,
                          "expected the bytes of the superblock, or the mark of a writer at work, and found "
                          "neither");
}

/* ---- blocks ---- */

const char *wf1_where_text(struct check *check, const struct wf1_where *where)
{
    char *text = check->path;
    int n = snprintf(text, WF1_PATH_BYTES, "%.20s", where->array);
    if (where->has_number)
        n += snprintf(text + n, WF1_PATH_BYTES - (size_t)n, "[%llu]", (unsigned long long)where->number);
    if (where->has_element)
        (void)snprintf(text + n, WF1_PATH_BYTES - (size_t)n, "[%llu]", (unsigned long long)where->element);
    return text;
}

static bool bit_get(const uint8_t *bits, uint64_t at)
{
    return (bits[at / 8] >> at % 8 & 1) != 0;
}

static bool in_region(const struct wf1_super *super, uint64_t block, uint64_t n)
{
    return block >= super->region_first_block &&
           block + n <= super->region_first_block + super->region_blocks;
}

int wf1_check_claim(struct check *check, uint32_t block, uint32_t n, const struct wf1_where *where,
                    bool *ret_again)
{
    const uint64_t first = block - check->reader->super.region_first_block;
    bool again = false;
    for (uint64_t i = first; i < first + n; i++) {
        const uint8_t bit = (uint8_t)(1u << i % 8);
        again = again || (check->used[i / 8] & bit) != 0;
        check->used[i / 8] |= bit;
    }
    *ret_again = again;
    if (!again || wf1_skips(check->vol->hooks, WF1_CHECK_BITMAP))
        return 0;
    const uint64_t offset = offset_of(block);
    return finding_report(check->sink, SEVERITY_ERROR, "wf1-shared-block", wf1_where_text(check, where),
                          &offset, NULL,
                          "expected %u block%s of its own from block %u on, found some that are referred to "
                          "twice",
                          n, n == 1 ? "" : "s", block);
}

int wf1_check_block(struct check *check, struct wf1_pointer at, const struct wf1_where *where,
                    const uint8_t **ret)
{
    const struct wf1_super *super = &check->reader->super;
    const uint64_t offset = offset_of(at.block);
    struct plat_err why;
    bool again;
    *ret = NULL;
    if (!in_region(super, at.block, 1)) {
        check->incomplete = true;
        return finding_report(
            check->sink, SEVERITY_ERROR, "wf1-place", wf1_where_text(check, where), &offset, NULL,
            "expected a block from %llu to %llu, found %u", (unsigned long long)super->region_first_block,
            (unsigned long long)(super->region_first_block + super->region_blocks - 1), at.block);
    }
    int rc = wf1_check_claim(check, at.block, 1, where, &again);
    if (rc != 0 || again) {
        check->incomplete = true;
        return rc;
    }
    why.class = PLAT_OK;
    rc = wf1_block(check->reader, at, ret, &why);
    if (rc == 0)
        return 0;
    *ret = NULL;
    check->incomplete = true;
    if (rc == PLAT_ECORRUPT)
        return check->judged
                   ? 0
                   : finding_report(check->sink, SEVERITY_ERROR, "wf1-block", wf1_where_text(check, where),
                                    &offset, NULL, "block %u does not match its checksum: expected 0x%08x",
                                    at.block, at.crc32c);
    if (check->err != NULL)
        *check->err = why;
    return rc;
}

/* ---- radix trees ---- */

struct radix {
    const char *bottom_path, *pointers_path; /* as walk names them */
    uint64_t in_path;                        /* what the number of a bottom block is multiplied with there */
    uint64_t n_bottom;
    /* A bottom block; bytes NULL: it stands for zeros. */
    int (*bottom)(struct check *check, uint64_t index, const uint8_t *bytes, uint64_t offset);
};

static uint64_t span_of(uint32_t level)
{
    uint64_t span = 1;
    for (uint32_t i = 0; i < level; i++)
        span *= WF1_POINTERS;
    return span;
}

static void pointers_decode(const uint8_t *bytes, struct wf1_pointer ret[WF1_POINTERS])
{
    struct caposwf1_pointer v;
    for (uint32_t i = 0;
         i < WF1_POINTERS && caposwf1_pointer_block_pointers((struct caposwf1_pointer_block){bytes}, i, &v);
         i++)
        ret[i] = (struct wf1_pointer){caposwf1_pointer_block(v), caposwf1_pointer_crc32c(v)};
}

/* What `at` names: the bottom blocks from `index` on, `level` levels above them. */
static int radix_visit(struct check *check, const struct radix *tree, struct wf1_pointer at, uint32_t level,
                       uint64_t index)
{
    struct wf1_pointer below[WF1_POINTERS];
    const uint8_t *bytes;
    int rc = 0;
    if (at.block == 0) {
        const uint64_t end =
            index + span_of(level) < tree->n_bottom ? index + span_of(level) : tree->n_bottom;
        for (uint64_t i = index; rc == 0 && i < end; i++)
            rc = tree->bottom(check, i, NULL, 0);
        return rc;
    }
    struct wf1_where where = {.array = tree->pointers_path};
    if (level == 0)
        where = wf1_where(tree->bottom_path, tree->in_path * index);
    rc = wf1_check_block(check, at, &where, &bytes);
    if (rc != 0 || bytes == NULL)
        return rc;
    if (level == 0)
        return tree->bottom(check, index, bytes, offset_of(at.block));
    pointers_decode(bytes, below);
    const uint64_t span = span_of(level - 1);
    for (uint64_t i = 0; rc == 0 && i < WF1_POINTERS; i++) {
        const bool behind = index + i * span >= tree->n_bottom;
        if ((behind && below[i].block != 0) || (below[i].block == 0 && below[i].crc32c != 0)) {
            const uint64_t offset = offset_of(at.block) + i * CAPOSWF1_POINTER_BYTES;
            rc = finding_report(check->sink, SEVERITY_ERROR, "wf1-pointer", wf1_where_text(check, &where),
                                &offset, NULL,
                                "expected pointer %llu to be zero, found block %u and checksum 0x%08x",
                                (unsigned long long)i, below[i].block, below[i].crc32c);
        }
        if (rc == 0 && !behind)
            rc = radix_visit(check, tree, below[i], level - 1, index + i * span);
    }
    return rc;
}

/* ---- the node table ---- */

static int check_nodes_block(struct check *check, uint64_t index, const uint8_t *bytes, uint64_t offset)
{
    static const uint8_t zeros[WF1_BLOCK_BYTES];
    uint8_t block[WF1_BLOCK_BYTES];
    int rc = 0;
    memcpy(block, bytes != NULL ? bytes : zeros, sizeof block);
    for (uint64_t i = 0; rc == 0 && i < WF1_RECORDS; i++) {
        const uint64_t number = index * WF1_RECORDS + i;
        const uint8_t *record = block + i * CAPOSWF1_PLAIN_NODE_BYTES;
        const uint64_t at = offset + i * CAPOSWF1_PLAIN_NODE_BYTES;
        if (number < check->reader->super.node_count) {
            rc = wf1_check_record(check, number, record, at);
        } else if (!bytes_all(record, CAPOSWF1_PLAIN_NODE_BYTES, 0)) {
            const struct wf1_where where = wf1_where("nodes", number);
            rc = finding_report(check->sink, SEVERITY_ERROR, "wf1-padding", wf1_where_text(check, &where),
                                &at, NULL, "expected zeros behind the last of %llu nodes, found other bytes",
                                (unsigned long long)check->reader->super.node_count);
        }
    }
    return rc;
}

/* ---- the bitmap ---- */

static int claim_bits(struct check *check, uint64_t index, const uint8_t *bytes, uint64_t offset)
{
    (void)check;
    (void)index;
    (void)bytes;
    (void)offset;
    return 0;
}

/* Bits [first, end), which the bitmap has as `stored`, wrongly. */
static int report_run(struct check *check, uint64_t first, uint64_t end, bool stored, uint64_t leaf)
{
    const struct wf1_where where = wf1_where("bitmap", leaf);
    const uint64_t block = check->reader->super.region_first_block + first;
    const uint64_t offset = offset_of(block);
    if (stored)
        return finding_report(check->sink, SEVERITY_ERROR, "wf1-leaked", wf1_where_text(check, &where),
                              &offset, NULL,
                              "blocks %llu to %llu: expected to be free, as nothing refers to them; found "
                              "marked as used",
                              (unsigned long long)block, (unsigned long long)(block + end - first - 1));
    return finding_report(check->sink, SEVERITY_ERROR, "wf1-unmarked", wf1_where_text(check, &where), &offset,
                          NULL,
                          "blocks %llu to %llu: expected to be marked as used, as they are referred to; "
                          "found free: the next writer would write over them",
                          (unsigned long long)block, (unsigned long long)(block + end - first - 1));
}

static int compare_leaf(struct check *check, uint64_t leaf, const uint8_t *stored)
{
    const uint8_t *used = check->used + leaf * WF1_BLOCK_BYTES;
    int rc = 0;
    if (memcmp(stored, used, WF1_BLOCK_BYTES) == 0)
        return 0;
    for (uint64_t i = 0; rc == 0 && i < WF1_BITS;) {
        const bool is = bit_get(stored, i), should = bit_get(used, i);
        uint64_t end = i + 1;
        while (end < WF1_BITS && bit_get(stored, end) == is && bit_get(used, end) == should)
            end++;
        /* Below what cannot be read, there may be what refers to it. */
        if (is != should && !(is && check->incomplete))
            rc = report_run(check, leaf * WF1_BITS + i, leaf * WF1_BITS + end, is, leaf);
        i = end;
    }
    return rc;
}

static uint64_t count_bits(const uint8_t *bytes)
{
    uint64_t n = 0;
    for (size_t i = 0; i < WF1_BLOCK_BYTES; i += 8)
        n += (uint64_t)__builtin_popcountll(load_le64(bytes + i));
    return n;
}

static int check_bitmap(struct check *check)
{
    static const uint8_t zeros[WF1_BLOCK_BYTES];
    const struct wf1_super *super = &check->reader->super;
    const uint64_t leaves = div_up_u64(super->region_blocks, WF1_BITS);
    const uint64_t offset = offset_of(check->vol->superblock_block + (uint64_t)check->vol->pair.ruling);
    uint64_t n_used = 0;
    bool all = true;
    if (wf1_skips(check->vol->hooks, WF1_CHECK_BITMAP))
        return 0;
    for (uint64_t leaf = 0; leaf < leaves; leaf++) {
        struct wf1_pointer at = {0, 0};
        const uint8_t *stored = zeros;
        struct plat_err why;
        why.class = PLAT_OK;
        int rc = wf1_radix(check->reader, super->bitmap, super->bitmap_levels, leaf, &at, &why);
        if (rc == 0 && at.block != 0)
            rc = wf1_block(check->reader, at, &stored, &why);
        if (rc == 0) {
            n_used += count_bits(stored);
            rc = compare_leaf(check, leaf, stored);
        } else if (rc == PLAT_ECORRUPT) {
            all = false; /* reported when it was claimed */
            rc = 0;
        } else if (check->err != NULL) {
            *check->err = why;
        }
        if (rc != 0)
            return rc;
    }
    if (!all || n_used + super->free_blocks == super->region_blocks)
        return 0;
    return finding_report(check->sink, SEVERITY_ERROR, "wf1-free-blocks", "superblock.free_blocks", &offset,
                          NULL, "expected %llu, by the bitmap; found %llu",
                          (unsigned long long)(super->region_blocks - n_used),
                          (unsigned long long)super->free_blocks);
}

/* ---- all of it ---- */

static int check_trees(struct check *check)
{
    const struct wf1_super *super = &check->reader->super;
    const struct radix bitmap = {"bitmap", "bitmap_pointers", 1, div_up_u64(super->region_blocks, WF1_BITS),
                                 claim_bits};
    const struct radix nodes = {"nodes", "node_pointers", WF1_RECORDS,
                                div_up_u64(super->node_count, WF1_RECORDS), check_nodes_block};
    int rc = radix_visit(check, &bitmap, super->bitmap, super->bitmap_levels, 0);
    if (rc == 0)
        rc = radix_visit(check, &nodes, super->nodes, super->node_levels, 0);
    if (rc == 0)
        rc = wf1_check_links(check);
    return rc != 0 ? rc : check_bitmap(check);
}

int caposwf1_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    const struct wf1_super *super = &vol->reader.super;
    struct check check = {.vol = vol, .reader = &vol->reader, .sink = sink, .err = err};
    int rc = check_pair(vol, sink);
    if (rc != 0 || !vol->sound)
        return rc;
    if (wf1_nodes_impossible(super)) {
        const uint64_t offset = offset_of(vol->superblock_block + (uint64_t)vol->pair.ruling);
        return finding_report(sink, SEVERITY_ERROR, "wf1-nodes", "superblock.node_count", &offset, NULL,
                              "expected no more nodes than %llu used blocks hold, found %llu",
                              (unsigned long long)(super->region_blocks - super->free_blocks),
                              (unsigned long long)super->node_count);
    }
    check.judged = fs->image != NULL && super->node_count <= WALK_BULK_ELEMENTS &&
                   super->region_blocks / WF1_BITS < WALK_BULK_ELEMENTS;
    const size_t bits = (size_t)div_up_u64(super->region_blocks, WF1_BITS) * WF1_BLOCK_BYTES;
    uint8_t *memory = calloc(1, bits + (size_t)super->node_count * (sizeof *check.links + 1));
    if (memory == NULL)
        return err_nomem(err, "checking a filesystem");
    check.used = memory;
    check.links = (uint32_t *)(void *)(memory + bits);
    check.flags = memory + bits + (size_t)super->node_count * sizeof *check.links;
    rc = check_trees(&check);
    free(memory);
    const uint64_t offset = offset_of(vol->superblock_block);
    return rc == 0 ? pair_unchanged(fs->dev, offset, &vol->pair, err) : rc;
}
