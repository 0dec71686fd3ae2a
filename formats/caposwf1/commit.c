/* What makes changes count, and what is done before the first and after the last. writer.h draws the order. */
#include <stdlib.h>

#include "formats/caposwf1/writer.h"
#include "lib/hash/hash.h"

enum { ZERO_BYTES = 64 * 1024 };

/* ---- the device ---- */

int wf1_may_change(const struct volume *vol, struct plat_err *err)
{
    if (vol->writer == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "the filesystem is open for reading only");
    if (vol->writer->failed)
        return err_set(err, PLAT_EIO,
                       "an earlier change failed: the filesystem is as it was last committed; open it again");
    return 0;
}

int wf1_halfway(struct wf1_writer *writer, int rc)
{
    writer->failed = writer->failed || rc != 0;
    return rc;
}

int wf1_device_write(struct wf1_writer *writer, uint64_t block, const void *bytes, size_t n,
                     struct plat_err *err)
{
    struct wf1_reader *reader = &writer->vol->reader;
    for (uint64_t i = block; i < block + n / WF1_BLOCK_BYTES; i++) {
        struct wf1_slot *slot = &reader->slots[i % reader->n_slots];
        if (slot->block == i)
            slot->block = 0;
    }
    reader->trusted.count = 0;
    return wf1_halfway(writer, dev_write(reader->dev, block * WF1_BLOCK_BYTES, bytes, n, err));
}

static int flush(struct wf1_writer *writer, enum wf1_step step, struct plat_err *err)
{
    if (wf1_skips(writer->vol->hooks, step))
        return 0;
    return wf1_halfway(writer, dev_flush(writer->vol->reader.dev, err));
}

/* A superblock with the next generation goes to the first (0) or second (1) place; *ret: as it was written. */
static int super_write(struct wf1_writer *writer, unsigned place, bool writing, struct wf1_super *super,
                       struct plat_err *err)
{
    uint8_t bytes[WF1_BLOCK_BYTES];
    if (writer->next_generation > PAIR_MAX_GENERATION)
        return err_set(err, PLAT_ELIMIT, "the filesystem has seen 2^40 superblocks; make a new one");
    super->generation = writer->next_generation++;
    super->writing = writing;
    wf1_super_encode(super, bytes);
    return wf1_device_write(writer, (uint64_t)super->superblock_block + place, bytes, sizeof bytes, err);
}

/* The committed state, as a writer leaves it in the copy. */
static int copy_write(struct wf1_writer *writer, struct plat_err *err)
{
    struct wf1_super copy = writer->committed;
    if (writer->copy_current)
        return 0;
    int rc = super_write(writer, 1, true, &copy, err);
    writer->copy_current = rc == 0;
    return rc;
}

int wf1_mark(struct wf1_writer *writer, struct plat_err *err)
{
    if (writer->marked)
        return 0;
    int rc = copy_write(writer, err);
    if (rc == 0)
        rc = flush(writer, WF1_FLUSH_MARK, err);
    writer->marked = rc == 0;
    return rc;
}

/* ---- commit ---- */

static void commit_settled(struct wf1_writer *writer)
{
    struct wf1_super *super = &writer->vol->reader.super;
    for (struct wf1_page *page = writer->touched; page != NULL; page = page->touched) {
        memcpy(page->committed, page->used, sizeof page->committed);
        page->shadowed = page->is_touched = false;
    }
    writer->touched = NULL;
    wf1_stage_clear(writer);
    writer->lowest = UINT64_MAX;
    writer->committed = *super;
    writer->available = super->free_blocks;
    writer->copy_current = false;
    writer->changed = false;
}

int wf1_commit(struct wf1_writer *writer, struct plat_err *err)
{
    struct wf1_super next;
    int rc = wf1_may_change(writer->vol, err);
    if (rc == 0)
        rc = wf1_window_flush(writer, err);
    if (rc != 0 || !writer->changed)
        return rc;
    rc = wf1_mark(writer, err);
    if (rc == 0)
        rc = wf1_seal(writer, err);
    if (rc == 0)
        rc = wf1_stage_write(writer, err);
    if (rc == 0)
        rc = copy_write(writer, err);
    if (rc == 0)
        rc = flush(writer, WF1_FLUSH_DATA, err);
    if (rc == 0) {
        next = writer->vol->reader.super;
        if (writer->lowest < next.next_block)
            next.next_block = writer->lowest;
        /* Counts that lied are found out here at the latest: what nobody could open is never committed. */
        rc = wf1_super_validate(&next, writer->vol->reader.dev->size_bytes, err);
    }
    if (rc == 0) {
        rc = super_write(writer, 0, false, &next, err);
    }
    if (rc == 0)
        rc = flush(writer, WF1_FLUSH_COMMIT, err);
    if (rc != 0)
        return wf1_halfway(writer, rc);
    writer->vol->reader.super = next;
    commit_settled(writer);
    return 0;
}

/* ---- free blocks ---- */

/* Zeros where `bits` says so. */
static int zero_bits(struct wf1_writer *writer, uint64_t first_block, const uint8_t *bits,
                     struct plat_err *err)
{
    static const uint8_t zeros[ZERO_BYTES];
    for (uint32_t bit = 0, run; bit < WF1_BITS; bit += run) {
        const bool is_set = (bits[bit / 8] >> bit % 8 & 1) != 0;
        run = 1;
        if (!is_set)
            continue;
        while (bit + run < WF1_BITS && run < ZERO_BYTES / WF1_BLOCK_BYTES &&
               (bits[(bit + run) / 8] >> (bit + run) % 8 & 1) != 0)
            run++;
        int rc = wf1_device_write(writer, first_block + bit, zeros, (size_t)run * WF1_BLOCK_BYTES, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* What this writer left in blocks that are free now. */
static int zero_soiled(struct wf1_writer *writer, struct plat_err *err)
{
    const uint64_t first = writer->committed.region_first_block;
    for (struct wf1_page *page = writer->loaded; page != NULL; page = page->next) {
        for (size_t i = 0; i < sizeof page->soiled; i++)
            page->soiled[i] &= (uint8_t)~page->used[i];
        int rc = zero_bits(writer, first + (uint64_t)page->index * WF1_BITS, page->soiled, err);
        if (rc != 0)
            return rc;
        memset(page->soiled, 0, sizeof page->soiled);
    }
    return 0;
}

/* What a writer that was cut off left: all free blocks of one block of the bitmap that are not zero. */
static int zero_page(struct wf1_writer *writer, uint64_t index, uint8_t *buf, struct plat_err *err)
{
    struct wf1_reader *reader = &writer->vol->reader;
    const struct wf1_super *super = &reader->super;
    const uint64_t first = super->region_first_block + index * WF1_BITS;
    const uint64_t end = super->region_first_block + super->region_blocks;
    uint8_t dirty[WF1_BLOCK_BYTES] = {0}, used[WF1_BLOCK_BYTES] = {0};
    struct wf1_pointer at;
    struct range data;
    const uint8_t *bytes;
    int rc = wf1_radix(reader, super->bitmap, super->bitmap_levels, index, &at, err);
    if (rc == 0 && at.block != 0) {
        rc = wf1_block(reader, at, &bytes, err);
        if (rc == 0)
            memcpy(used, bytes, sizeof used);
    }
    for (uint64_t block = first; rc == 0 && block < end && block - first < WF1_BITS;) {
        if (!dev_next_data(reader->dev, block * WF1_BLOCK_BYTES, &data))
            break;
        if (data.start / WF1_BLOCK_BYTES > block) {
            block = data.start / WF1_BLOCK_BYTES;
            continue;
        }
        uint64_t n = ZERO_BYTES / WF1_BLOCK_BYTES;
        if (n > end - block)
            n = end - block;
        rc = dev_read(reader->dev, block * WF1_BLOCK_BYTES, buf, (size_t)n * WF1_BLOCK_BYTES, err);
        for (uint64_t i = 0; rc == 0 && i < n && block + i - first < WF1_BITS; i++) {
            const uint64_t bit = block + i - first;
            if ((used[bit / 8] >> bit % 8 & 1) == 0 &&
                !bytes_all(buf + i * WF1_BLOCK_BYTES, WF1_BLOCK_BYTES, 0))
                dirty[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
        block += n;
    }
    return rc == 0 ? zero_bits(writer, first, dirty, err) : rc;
}

/* What a writer that was cut off while it grew a full filesystem left behind the region, as it was and is again. */
static int zero_behind(struct wf1_writer *writer, struct plat_err *err)
{
    const struct wf1_super *super = &writer->vol->reader.super;
    const uint64_t end = super->region_first_block + super->region_blocks;
    const uint64_t device_end = writer->vol->reader.dev->size_bytes / WF1_BLOCK_BYTES;
    const uint64_t n = device_end - end < WF1_GROWTH_BLOCKS ? device_end - end : WF1_GROWTH_BLOCKS;
    static const uint8_t zeros[WF1_GROWTH_BLOCKS * WF1_BLOCK_BYTES];
    bool found = false;
    uint64_t at;
    if (super->shared || n == 0)
        return 0;
    int rc = dev_find_nonzero(writer->vol->reader.dev,
                              (struct range){end * WF1_BLOCK_BYTES, n * WF1_BLOCK_BYTES}, &found, &at, err);
    return rc == 0 && found ? wf1_device_write(writer, end, zeros, (size_t)n * WF1_BLOCK_BYTES, err) : rc;
}

int wf1_finish(struct wf1_writer *writer, struct plat_err *err)
{
    uint8_t bytes[WF1_BLOCK_BYTES];
    int rc = wf1_commit(writer, err);
    if (rc != 0 || !writer->marked)
        return rc;
    rc = zero_soiled(writer, err);
    if (rc == 0)
        rc = flush(writer, WF1_FLUSH_CLEAN, err);
    if (rc != 0)
        return rc;
    const struct wf1_super *super = &writer->committed;
    wf1_super_encode(super, bytes);
    rc = wf1_device_write(writer, (uint64_t)super->superblock_block + 1, bytes, sizeof bytes, err);
    if (rc == 0)
        rc = wf1_halfway(writer, dev_flush(writer->vol->reader.dev, err));
    if (rc == 0)
        writer->marked = writer->copy_current = false;
    return rc;
}

/* ---- opening ---- */

static const uint8_t *staged_bytes(void *ctx, uint32_t block)
{
    const struct wf1_staged *staged = wf1_staged_find(ctx, block);
    return staged == NULL ? NULL : staged->bytes;
}

/* What the last writer left undone, if it was cut off. */
static int recover(struct wf1_writer *writer, struct plat_err *err)
{
    const struct pair *pair = &writer->vol->pair;
    struct wf1_super super = writer->committed;
    int rc = 0;
    if (pair->clean)
        return 0;
    /* A torn superblock is replaced first: until then the copy is all there is. */
    if (pair->ruling != 0) {
        rc = super_write(writer, 0, false, &super, err);
        if (rc == 0)
            rc = flush(writer, WF1_FLUSH_RECOVER, err);
        writer->committed.generation = super.generation;
        writer->vol->reader.super.generation = super.generation;
    }
    if (rc == 0)
        rc = wf1_mark(writer, err);
    uint8_t *buf = malloc(ZERO_BYTES);
    if (rc == 0 && buf == NULL)
        rc = err_nomem(err, "clearing free blocks");
    const uint64_t pages = div_up_u64(super.region_blocks, WF1_BITS);
    for (uint64_t i = 0; rc == 0 && i < pages; i++)
        rc = zero_page(writer, i, buf, err);
    free(buf);
    return rc == 0 ? zero_behind(writer, err) : rc;
}

int wf1_writer_open(struct volume *vol, struct plat_err *err)
{
    const struct pair *pair = &vol->pair;
    if (!vol->sound)
        return err_set(err, PLAT_ECORRUPT, "the filesystem is too damaged to be changed; run plat verify");
    struct wf1_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return err_nomem(err, "opening a filesystem");
    const uint64_t a = pair->copies[0].highest_stamp, b = pair->copies[1].highest_stamp;
    vol->reader.super.writing = false;
    writer->vol = vol;
    writer->committed = vol->reader.super;
    writer->next_generation = (a > b ? a : b) + 1;
    writer->available = vol->reader.super.free_blocks;
    writer->lowest = UINT64_MAX;
    writer->n_pages = (size_t)div_up_u64(vol->reader.super.region_blocks, WF1_BITS);
    writer->pages = calloc(writer->n_pages, sizeof(*writer->pages));
    writer->window.bytes = malloc(WF1_EXTENT_BYTES);
    int rc = writer->pages == NULL || writer->window.bytes == NULL ? err_nomem(err, "opening a filesystem")
                                                                   : recover(writer, err);
    vol->writer = writer;
    if (rc != 0) {
        wf1_writer_close(vol);
        return rc;
    }
    vol->reader.staged = staged_bytes;
    vol->reader.staged_ctx = writer;
    return 0;
}

void wf1_writer_close(struct volume *vol)
{
    struct wf1_writer *writer = vol->writer;
    if (writer == NULL)
        return;
    wf1_stage_clear(writer);
    for (struct wf1_page *page = writer->loaded, *next; page != NULL; page = next) {
        next = page->next;
        free(page);
    }
    free(writer->pages);
    free(writer->buckets);
    free(writer->window.bytes);
    free(writer);
    vol->writer = NULL;
    vol->reader.staged = NULL;
}

/* ---- size ---- */

/* A bitmap that gets higher takes blocks. Those of the region as it is are cleared behind a power cut; others only where
 * nobody else can have put anything there. */
static int bitmap_raise(struct wf1_writer *writer, size_t n_pages, bool inside, struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    int rc = 0;
    while (rc == 0 && super->bitmap_levels < wf1_levels_for(n_pages))
        rc = wf1_radix_raise(writer, &super->bitmap, &super->bitmap_levels, err);
    return rc == 0 && inside ? wf1_bitmap_place(writer, err) : rc;
}

int wf1_grow(struct wf1_writer *writer, uint64_t size_bytes, struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    const uint64_t old_end = super->region_first_block + super->region_blocks;
    const uint64_t end = size_bytes / WF1_BLOCK_BYTES;
    bool found = false;
    uint64_t at = 0;
    int rc = wf1_commit(writer, err);
    if (rc != 0)
        return rc;
    if (size_bytes % WF1_BLOCK_BYTES != 0 || end < old_end ||
        size_bytes > writer->vol->reader.dev->size_bytes)
        return err_set(err, PLAT_EINVALID, "expected a multiple of 512 from %llu to %llu, found %llu",
                       (unsigned long long)(old_end * WF1_BLOCK_BYTES),
                       (unsigned long long)writer->vol->reader.dev->size_bytes,
                       (unsigned long long)size_bytes);
    if (end > UINT32_MAX)
        return err_set(err, PLAT_ELIMIT, "a CAPOSWF1 has at most 2^32 blocks (2 TiB), found %llu",
                       (unsigned long long)end);
    if (end == old_end)
        return 0;
    rc = dev_find_nonzero(writer->vol->reader.dev,
                          (struct range){old_end * WF1_BLOCK_BYTES, (end - old_end) * WF1_BLOCK_BYTES},
                          &found, &at, err);
    if (rc == 0 && found)
        rc = err_at(err, PLAT_EINVALID, at, NULL,
                    "what lies behind the filesystem is not empty: somebody else's bytes are not taken");
    if (rc != 0)
        return rc;
    const uint64_t region = end - super->region_first_block;
    const size_t n_pages = (size_t)div_up_u64(region, WF1_BITS);
    struct wf1_page **pages = realloc(writer->pages, n_pages * sizeof(*pages));
    if (pages == NULL)
        return err_nomem(err, "growing a filesystem");
    memset(pages + writer->n_pages, 0, (n_pages - writer->n_pages) * sizeof(*pages));
    writer->pages = pages;
    writer->n_pages = n_pages;
    const bool inside = writer->available >= WF1_GROWTH_BLOCKS;
    if (!inside && super->shared && super->bitmap_levels < wf1_levels_for(n_pages))
        return err_set(err, PLAT_ELIMIT,
                       "the filesystem is full, and %d blocks have to be free to grow it so far",
                       WF1_GROWTH_BLOCKS);
    writer->changed = true;
    if (inside)
        rc = bitmap_raise(writer, n_pages, true, err);
    super->region_blocks = region;
    super->free_blocks += end - old_end;
    writer->available += end - old_end;
    if (rc == 0)
        rc = bitmap_raise(writer, n_pages, false, err);
    return rc == 0 ? wf1_commit(writer, err) : wf1_halfway(writer, rc);
}

/* Blocks of an empty filesystem: the root's record, the bits, the pointers above them. */
int wf1_format(struct plat_dev *dev, const struct wf1_shape *shape, struct plat_err *err)
{
    const uint64_t first = shape->region_first_block;
    const uint32_t levels = wf1_levels_for(div_up_u64(shape->region_blocks, WF1_BITS));
    const uint32_t used = 2 + levels;
    struct wf1_super super = {.generation = 1,
                              .shared = shape->shared,
                              .superblock_block = shape->superblock_block,
                              .region_first_block = first,
                              .region_blocks = shape->region_blocks,
                              .free_blocks = shape->region_blocks - used,
                              .node_count = 1,
                              .next_block = first + used,
                              .nodes = {.block = (uint32_t)first},
                              .bitmap_levels = levels};
    const struct wf1_node root = {.kind = CAPOSWF1_NODE_KIND_DIRECTORY, .mode = 0755};
    uint8_t blocks[(2 + WF1_BITMAP_MAX_LEVELS) * WF1_BLOCK_BYTES] = {0}, pair[2 * WF1_BLOCK_BYTES];
    if (levels > WF1_BITMAP_MAX_LEVELS || shape->region_blocks <= used)
        return err_set(err, PLAT_EINVALID, "%llu blocks are no size for a filesystem",
                       (unsigned long long)shape->region_blocks);
    wf1_node_encode(&root, blocks);
    super.nodes.crc32c = hash_crc32c(0, blocks, WF1_BLOCK_BYTES);
    blocks[WF1_BLOCK_BYTES] = (uint8_t)((1u << used) - 1);
    for (uint32_t i = 1; i <= 1 + levels; i++) {
        uint8_t *block = blocks + (size_t)i * WF1_BLOCK_BYTES;
        if (i > 1) {
            struct caposwf1_pointer_mut m;
            if (!caposwf1_pointer_block_edit_pointers((struct caposwf1_pointer_block_mut){block}, 0, &m))
                return err_set(err, PLAT_EBUG, "a pointer block has 64 pointers");
            caposwf1_pointer_set_block(m, super.bitmap.block);
            caposwf1_pointer_set_crc32c(m, super.bitmap.crc32c);
        }
        super.bitmap = (struct wf1_pointer){(uint32_t)first + i, hash_crc32c(0, block, WF1_BLOCK_BYTES)};
    }
    memcpy(super.uuid, shape->uuid, sizeof super.uuid);
    if (shape->label != NULL)
        memccpy(super.label, shape->label, '\0', CAPOSWF1_SUPERBLOCK_LABEL_BYTES);
    int rc = wf1_super_validate(&super, dev->size_bytes, err);
    if (rc != 0)
        return PLAT_EINVALID;
    wf1_super_encode(&super, pair);
    memcpy(pair + WF1_BLOCK_BYTES, pair, WF1_BLOCK_BYTES);
    rc = dev_write(dev, (uint64_t)super.superblock_block * WF1_BLOCK_BYTES, pair, sizeof pair, err);
    if (rc == 0)
        rc = dev_write(dev, first * WF1_BLOCK_BYTES, blocks, (size_t)used * WF1_BLOCK_BYTES, err);
    return rc == 0 ? dev_flush(dev, err) : rc;
}
