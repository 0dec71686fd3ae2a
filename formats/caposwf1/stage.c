/* Metadata that is going to be written: found by its future place, sealed from the bottom up. */
#include <stdlib.h>

#include "formats/caposwf1/writer.h"
#include "lib/hash/hash.h"

enum { MIN_BUCKETS = 64, WRITE_BYTES = 256 * 1024 };

static struct wf1_staged **bucket_of(const struct wf1_writer *writer, uint32_t block)
{
    /* Neighbours in neighbouring buckets: they are written together. */
    return &writer->buckets[block & (writer->n_buckets - 1)];
}

struct wf1_staged *wf1_staged_find(const struct wf1_writer *writer, uint32_t block)
{
    if (writer->n_staged == 0)
        return NULL;
    struct wf1_staged *at = *bucket_of(writer, block);
    while (at != NULL && at->block != block)
        at = at->next;
    return at;
}

static int buckets_grow(struct wf1_writer *writer, struct plat_err *err)
{
    const size_t n = writer->n_buckets == 0 ? MIN_BUCKETS : 2 * writer->n_buckets;
    struct wf1_staged **old = writer->buckets, **buckets = calloc(n, sizeof(*buckets));
    const size_t n_old = writer->n_buckets;
    if (buckets == NULL)
        return err_nomem(err, "staging a change");
    writer->buckets = buckets;
    writer->n_buckets = n;
    for (size_t i = 0; i < n_old; i++) {
        for (struct wf1_staged *at = old[i], *next; at != NULL; at = next) {
            struct wf1_staged **bucket = bucket_of(writer, at->block);
            next = at->next;
            at->next = *bucket;
            *bucket = at;
        }
    }
    free(old);
    return 0;
}

int wf1_stage_new(struct wf1_writer *writer, struct wf1_staged **ret, struct plat_err *err)
{
    uint32_t block, n;
    if (writer->n_staged >= writer->n_buckets) {
        int rc = buckets_grow(writer, err);
        if (rc != 0)
            return rc;
    }
    struct wf1_staged *staged = calloc(1, sizeof *staged);
    if (staged == NULL)
        return err_nomem(err, "staging a change");
    int rc = wf1_take(writer, 1, &block, &n, err);
    if (rc != 0) {
        free(staged);
        return rc;
    }
    struct wf1_staged **bucket = bucket_of(writer, block);
    staged->block = block;
    staged->next = *bucket;
    *bucket = staged;
    writer->n_staged++;
    *ret = staged;
    return 0;
}

int wf1_shadow(struct wf1_writer *writer, struct wf1_pointer at, struct wf1_staged **ret,
               struct plat_err *err)
{
    struct wf1_staged *staged = wf1_staged_find(writer, at.block);
    const uint8_t *bytes;
    uint8_t copy[WF1_BLOCK_BYTES];
    if (staged != NULL) {
        *ret = staged;
        return 0;
    }
    int rc = wf1_block(&writer->vol->reader, at, &bytes, err);
    if (rc != 0)
        return rc;
    memcpy(copy, bytes, sizeof copy);
    rc = wf1_stage_new(writer, &staged, err);
    if (rc == 0)
        rc = wf1_give(writer, at.block, 1, err);
    if (rc != 0)
        return rc;
    memcpy(staged->bytes, copy, sizeof copy);
    *ret = staged;
    return 0;
}

int wf1_stage_drop(struct wf1_writer *writer, uint32_t block, struct plat_err *err)
{
    if (writer->n_staged > 0) {
        struct wf1_staged **at = bucket_of(writer, block);
        while (*at != NULL && (*at)->block != block)
            at = &(*at)->next;
        if (*at != NULL) {
            struct wf1_staged *staged = *at;
            *at = staged->next;
            free(staged);
            writer->n_staged--;
        }
    }
    return wf1_give(writer, block, 1, err);
}

void wf1_stage_clear(struct wf1_writer *writer)
{
    for (size_t i = 0; i < writer->n_buckets; i++) {
        for (struct wf1_staged *at = writer->buckets[i], *next; at != NULL; at = next) {
            next = at->next;
            free(at);
        }
        writer->buckets[i] = NULL;
    }
    /* After a large transaction small ones follow, and shall not pay for its table. */
    free(writer->buckets);
    writer->buckets = NULL;
    writer->n_buckets = writer->n_staged = 0;
}

/* ---- radix trees ---- */

static struct caposwf1_pointer_mut pointer_at(uint8_t *bytes, uint64_t index)
{
    struct caposwf1_pointer_mut m = {NULL};
    (void)caposwf1_pointer_block_edit_pointers((struct caposwf1_pointer_block_mut){bytes},
                                               (size_t)(index % WF1_POINTERS), &m);
    return m;
}

int wf1_radix_edit(struct wf1_writer *writer, struct wf1_pointer *root, uint32_t levels, uint64_t index,
                   struct wf1_staged **ret, struct plat_err *err)
{
    struct wf1_pointer at = *root;
    struct wf1_staged *above = NULL, *staged;
    uint64_t slot = 0;
    for (uint32_t level = levels;; level--) {
        int rc = at.block == 0 ? wf1_stage_new(writer, &staged, err) : wf1_shadow(writer, at, &staged, err);
        if (rc != 0)
            return rc;
        if (above == NULL) {
            *root = (struct wf1_pointer){staged->block, 0};
        } else {
            caposwf1_pointer_set_block(pointer_at(above->bytes, slot), staged->block);
            caposwf1_pointer_set_crc32c(pointer_at(above->bytes, slot), 0);
        }
        if (level == 0) {
            *ret = staged;
            return 0;
        }
        slot = index;
        for (uint32_t i = 1; i < level; i++)
            slot /= WF1_POINTERS;
        const struct caposwf1_pointer v = caposwf1_pointer_of(pointer_at(staged->bytes, slot));
        at = (struct wf1_pointer){caposwf1_pointer_block(v), caposwf1_pointer_crc32c(v)};
        above = staged;
    }
}

int wf1_radix_raise(struct wf1_writer *writer, struct wf1_pointer *root, uint32_t *levels,
                    struct plat_err *err)
{
    struct wf1_staged *staged;
    int rc = wf1_stage_new(writer, &staged, err);
    if (rc != 0)
        return rc;
    caposwf1_pointer_set_block(pointer_at(staged->bytes, 0), root->block);
    caposwf1_pointer_set_crc32c(pointer_at(staged->bytes, 0), root->crc32c);
    *root = (struct wf1_pointer){staged->block, 0};
    ++*levels;
    return 0;
}

/* ---- sealing ---- */

/* Each block is sealed once: a bitmap that lies lets a map that was forged name what is staged, even itself. */
static int seal_once(struct wf1_staged *staged, struct plat_err *err)
{
    if (staged->sealed)
        return err_set(err, PLAT_ECORRUPT, "block %u is referred to more than once; run plat verify",
                       staged->block);
    staged->sealed = true;
    return 0;
}

/* A block of a map and what is staged below it; levels: of blocks from here down. */
static int seal_map(struct wf1_writer *writer, struct wf1_entry *entry, uint32_t levels, struct plat_err *err)
{
    struct wf1_staged *staged = wf1_staged_find(writer, entry->block);
    struct wf1_entry branches[WF1_ENTRIES];
    int rc = staged == NULL ? 0 : seal_once(staged, err);
    if (rc != 0 || staged == NULL)
        return rc;
    if (levels > 1 && entry->count <= WF1_ENTRIES) {
        wf1_entries_decode(staged->bytes, entry->count, branches);
        for (uint32_t i = 0; rc == 0 && i < entry->count; i++)
            rc = seal_map(writer, &branches[i], levels - 1, err);
        wf1_entries_encode(branches, entry->count, staged->bytes);
    }
    entry->crc32c = hash_crc32c(0, staged->bytes, WF1_BLOCK_BYTES);
    return rc;
}

static int seal_records(struct wf1_writer *writer, struct wf1_staged *staged, struct plat_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < WF1_RECORDS; i++) {
        uint8_t *record = staged->bytes + (size_t)i * CAPOSWF1_PLAIN_NODE_BYTES;
        struct wf1_node node;
        wf1_node_decode(record, &node);
        if (node.levels == 0)
            continue;
        for (uint32_t k = 0; rc == 0 && k < node.n_entries && k < WF1_ROOT_ENTRIES; k++)
            rc = seal_map(writer, &node.entries[k], node.levels, err);
        wf1_node_encode(&node, record);
    }
    return rc;
}

static int seal_radix(struct wf1_writer *writer, struct wf1_pointer *at, uint32_t levels, bool records,
                      struct plat_err *err)
{
    struct wf1_staged *staged = wf1_staged_find(writer, at->block);
    int rc = staged == NULL ? 0 : seal_once(staged, err);
    if (rc != 0 || staged == NULL)
        return rc;
    for (uint32_t i = 0; rc == 0 && levels > 0 && i < WF1_POINTERS; i++) {
        const struct caposwf1_pointer_mut m = pointer_at(staged->bytes, i);
        struct wf1_pointer below = {caposwf1_pointer_block(caposwf1_pointer_of(m)),
                                    caposwf1_pointer_crc32c(caposwf1_pointer_of(m))};
        if (below.block == 0)
            continue;
        rc = seal_radix(writer, &below, levels - 1, records, err);
        caposwf1_pointer_set_crc32c(m, below.crc32c);
    }
    if (rc == 0 && levels == 0 && records)
        rc = seal_records(writer, staged, err);
    at->crc32c = hash_crc32c(0, staged->bytes, WF1_BLOCK_BYTES);
    return rc;
}

int wf1_bitmap_place(struct wf1_writer *writer, struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    struct wf1_staged *staged;
    for (bool again = true; again;) {
        again = false;
        for (struct wf1_page *page = writer->touched; page != NULL; page = page->touched) {
            if (page->shadowed || memcmp(page->used, page->committed, WF1_BLOCK_BYTES) == 0)
                continue;
            int rc = wf1_radix_edit(writer, &super->bitmap, super->bitmap_levels, page->index, &staged, err);
            if (rc != 0)
                return rc;
            page->shadowed = again = true;
        }
    }
    return 0;
}

static int settle_bitmap(struct wf1_writer *writer, struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    struct wf1_staged *staged;
    int rc = wf1_bitmap_place(writer, err);
    if (rc != 0)
        return rc;
    for (struct wf1_page *page = writer->touched; page != NULL; page = page->touched) {
        if (!page->shadowed)
            continue;
        rc = wf1_radix_edit(writer, &super->bitmap, super->bitmap_levels, page->index, &staged, err);
        if (rc != 0)
            return rc;
        memcpy(staged->bytes, page->used, WF1_BLOCK_BYTES);
    }
    return 0;
}

int wf1_seal(struct wf1_writer *writer, struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    int rc = settle_bitmap(writer, err);
    if (rc != 0)
        return rc;
    rc = seal_radix(writer, &super->nodes, super->node_levels, true, err);
    return rc == 0 ? seal_radix(writer, &super->bitmap, super->bitmap_levels, false, err) : rc;
}

static int by_block(const void *a, const void *b)
{
    const struct wf1_staged *const *x = a, *const *y = b;
    return (*x)->block < (*y)->block ? -1 : (*x)->block > (*y)->block;
}

int wf1_stage_write(struct wf1_writer *writer, struct plat_err *err)
{
    struct wf1_staged **all = calloc(writer->n_staged + 1, sizeof(*all));
    uint8_t *buf = malloc(WRITE_BYTES);
    size_t n = 0, used = 0;
    int rc = all == NULL || buf == NULL ? err_nomem(err, "writing a commit") : 0;
    for (size_t i = 0; rc == 0 && i < writer->n_buckets; i++)
        for (struct wf1_staged *at = writer->buckets[i]; at != NULL; at = at->next)
            all[n++] = at;
    if (rc == 0)
        qsort(all, n, sizeof(*all), by_block);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        memcpy(buf + used, all[i]->bytes, WF1_BLOCK_BYTES);
        used += WF1_BLOCK_BYTES;
        if (i + 1 < n && all[i + 1]->block == all[i]->block + 1 && used < WRITE_BYTES)
            continue;
        rc = wf1_device_write(writer, all[i]->block + 1 - used / WF1_BLOCK_BYTES, buf, used, err);
        used = 0;
    }
    free(buf);
    free(all);
    return rc;
}
