/* Opening a store, reading objects, staging and committing changes.
 *
 * A commit between two states of the disk, F being a flush:
 *
 *   copy: "a writer is at work"  F   data, table, copy  F   superblock  F   ...   copy := superblock
 *         (once for each handle)                          \_ the commit
 *
 * Until the superblock is rewritten nothing refers to what was written before. While it is rewritten the copy
 * holds the state before it, so that either one or the other is whole. */
#include <stdlib.h>

#include "formats/caposst1/private.h"

enum { ZERO_BYTES = 64 * 1024 };

/* ---- opening ---- */

int store_open(struct plat_dev *dev, const struct store_options *options, struct store **ret,
               struct plat_err *err)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return err_nomem(err, "opening a store");
    store->dev = dev;
    store->writable = options->writable;
    store->degraded = options->degraded && !options->writable;
    store->hooks = options->hooks;
    int rc = st1_pair_read(dev, store->hooks, &store->pair, err);
    const struct st1_pair *pair = &store->pair;
    if (rc == 0 && pair->both.ruling < 0)
        rc = st1_pair_refusal(pair, store->degraded ? &store->fault : err);
    if (rc == 0) {
        uint64_t a = pair->both.copies[0].highest_stamp, b = pair->both.copies[1].highest_stamp;
        store->next_generation = (a > b ? a : b) + 1;
        store->super = pair->supers[pair->both.ruling];
        rc = st1_load(store, store->degraded ? &store->fault : err);
    }
    if (rc == 0) {
        store->cursor_block = store->reach_block = store->buffer_block = store->super.cursor_block;
        if (store->writable)
            rc = st1_recover(store, err);
    }
    /* What damage leaves is shown; the rest is told by check. */
    if ((rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED) && store->degraded)
        rc = 0;
    if (rc != 0 && err != NULL && store->fault.class != 0)
        *err = store->fault;
    if (rc != 0) {
        store_close(store);
        return rc;
    }
    *ret = store;
    return 0;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    st1_table_free(&store->table);
    free(store->buffer);
    free(store);
}

/* ---- reading ---- */

uint64_t store_count(const struct store *store)
{
    return store->table.count;
}

void store_entry(const struct store *store, uint64_t index, struct store_object *ret)
{
    st1_entry_decode(st1_entry_at(&store->table, index).p, ret);
    ret->is_dead = store->table.killers[index] != 0;
}

bool store_find(const struct store *store, const uint8_t key[STORE_KEY_BYTES], uint64_t *ret_index)
{
    return st1_table_find(&store->table, key, ret_index);
}

void store_space(const struct store *store, struct store_space *ret)
{
    const struct st1_super *super = &store->super;
    struct store_space space = {.version = super->version, .n_tombstones = store->table.n_tombstones};
    for (uint64_t i = 0; i < store->table.count; i++) {
        struct store_object object;
        store_entry(store, i, &object);
        if (object.is_tombstone)
            continue;
        if (object.is_dead)
            space.dead_bytes += st1_blocks_of(object.size_bytes) * ST1_BLOCK_BYTES;
        else
            space.live_bytes += object.size_bytes;
        space.n_objects += !object.is_dead;
    }
    space.dead_entries = 2 * space.n_tombstones;
    if (store->pair.both.ruling >= 0) {
        space.free_entries = super->table_blocks * ST1_ENTRIES_PER_BLOCK - store->table.count;
        space.free_bytes = (st1_area_end(super, super->active) - store->cursor_block) * ST1_BLOCK_BYTES;
        space.total_bytes =
            (st1_area_end(super, super->active) - st1_data_block(super, super->active)) * ST1_BLOCK_BYTES;
    }
    *ret = space;
}

int store_read(struct store *store, uint64_t index, uint64_t offset, void *buf, size_t n, size_t *ret_n,
               struct plat_err *err)
{
    struct store_object object;
    if (index >= store->table.count)
        return err_set(err, PLAT_EINVALID, "there is no entry %llu", (unsigned long long)index);
    if (store->buffer_used > 0) {
        int rc = st1_buffer_out(store, err);
        if (rc != 0)
            return rc;
    }
    store_entry(store, index, &object);
    return st1_object_read(store->dev, &object, offset, buf, n, ret_n, err);
}

/* ---- writing to the device ---- */

static int block_write(struct store *store, uint64_t block, const void *bytes, size_t n, struct plat_err *err)
{
    int rc = dev_write(store->dev, block * ST1_BLOCK_BYTES, bytes, n, err);
    store->failed = store->failed || rc != 0;
    return rc;
}

int st1_flush(struct store *store, enum store_step step, struct plat_err *err)
{
    int rc = store_skips(store->hooks, step) ? 0 : dev_flush(store->dev, err);
    store->failed = store->failed || rc != 0;
    if (rc == 0)
        store->unflushed = false;
    return rc;
}

/* A superblock with the next generation goes to block 0 or 1. */
static int super_write(struct store *store, uint64_t block, struct st1_super super, struct plat_err *err)
{
    uint8_t bytes[ST1_BLOCK_BYTES];
    if (store->next_generation > ST1_MAX_GENERATION)
        return err_set(err, PLAT_ELIMIT, "the store has seen 2^40 superblocks; make a new one");
    super.generation = store->next_generation++;
    super.writing = block != 0;
    st1_super_encode(&super, bytes);
    return block_write(store, block, bytes, sizeof bytes, err);
}

int st1_mark(struct store *store, struct plat_err *err)
{
    if (store->marked)
        return 0;
    int rc = super_write(store, 1, store->super, err);
    if (rc == 0)
        rc = st1_flush(store, STORE_FLUSH_MARK, err);
    if (rc == 0)
        store->marked = store->copy_current = true;
    return rc;
}

int st1_copy_refresh(struct store *store, struct plat_err *err)
{
    if (store->copy_current)
        return 0;
    int rc = super_write(store, 1, store->super, err);
    store->copy_current = rc == 0;
    return rc;
}

int st1_superblock_write(struct store *store, const struct st1_super *next, enum store_step step,
                         struct plat_err *err)
{
    int rc = super_write(store, 0, *next, err);
    if (rc == 0)
        rc = st1_flush(store, step, err);
    if (rc != 0)
        return rc;
    store->super = *next;
    store->copy_current = false;
    return 0;
}

int st1_zero(struct store *store, uint64_t first_block, uint64_t end_block, struct plat_err *err)
{
    static const uint8_t zeros[ZERO_BYTES];
    const uint64_t end = end_block * ST1_BLOCK_BYTES;
    uint64_t at = first_block * ST1_BLOCK_BYTES;
    struct range data;
    uint8_t *buf = NULL;
    int rc = 0;
    while (rc == 0 && at < end && dev_next_data(store->dev, at, &data) && data.start < end) {
        if (buf == NULL && (buf = malloc(ZERO_BYTES)) == NULL)
            return err_nomem(err, "clearing free blocks");
        if (data.start > at)
            at = align_down_u64(data.start, ST1_BLOCK_BYTES);
        size_t n = end - at < ZERO_BYTES ? (size_t)(end - at) : ZERO_BYTES;
        rc = dev_read(store->dev, at, buf, n, err);
        for (size_t i = 0, run; rc == 0 && i < n; i += run) {
            bool clear = bytes_all(buf + i, ST1_BLOCK_BYTES, 0);
            run = ST1_BLOCK_BYTES;
            while (i + run < n && bytes_all(buf + i + run, ST1_BLOCK_BYTES, 0) == clear)
                run += ST1_BLOCK_BYTES;
            if (clear)
                continue;
            store->unflushed = true;
            rc = block_write(store, (at + i) / ST1_BLOCK_BYTES, zeros, run, err);
        }
        at += n;
    }
    free(buf);
    return rc;
}

int st1_buffer_out(struct store *store, struct plat_err *err)
{
    uint64_t blocks = st1_blocks_of(store->buffer_used);
    if (blocks == 0)
        return 0;
    int rc = st1_mark(store, err);
    if (rc == 0)
        rc = block_write(store, store->buffer_block, store->buffer, blocks * ST1_BLOCK_BYTES, err);
    if (rc != 0)
        return rc;
    store->buffer_block += blocks;
    store->buffer_used = 0;
    if (store->reach_block < store->buffer_block)
        store->reach_block = store->buffer_block;
    return 0;
}

/* ---- staging ---- */

static int may_write(const struct store *store, struct plat_err *err)
{
    if (!store->writable)
        return err_set(err, PLAT_EUNSUPPORTED, "the store is open for reading only");
    if (store->failed)
        return err_set(err, PLAT_EIO,
                       "an earlier write failed: the store is as it was last committed; open it again");
    return 0;
}

static int room_for(struct store *store, uint64_t blocks, struct plat_err *err)
{
    const struct st1_super *super = &store->super;
    for (bool compacted = false;; compacted = true) {
        bool entry = store->table.count < super->table_blocks * ST1_ENTRIES_PER_BLOCK;
        uint64_t free_blocks = st1_area_end(super, super->active) - store->cursor_block;
        if (entry && blocks <= free_blocks)
            return 0;
        if (!compacted && st1_compaction_helps(store, blocks)) {
            int rc = store_compact(store, err);
            if (rc != 0)
                return rc;
            continue;
        }
        if (!entry)
            return err_set(err, PLAT_ELIMIT, "the store is full: all %llu entries of its table are in use",
                           (unsigned long long)(super->table_blocks * ST1_ENTRIES_PER_BLOCK));
        return err_set(err, PLAT_ELIMIT, "the store is full: %llu bytes are needed and %llu are free",
                       (unsigned long long)(blocks * ST1_BLOCK_BYTES),
                       (unsigned long long)(free_blocks * ST1_BLOCK_BYTES));
    }
}

static int stage_entry(struct store *store, const uint8_t *key, uint8_t kind, uint64_t size_bytes,
                       const struct store_time *time, struct plat_err *err)
{
    uint8_t bytes[ST1_ENTRY_BYTES];
    struct caposst1_entry_mut m = {bytes};
    caposst1_entry_init(m);
    caposst1_entry_set_key(m, key);
    caposst1_entry_set_kind(m, kind);
    if (kind == CAPOSST1_ENTRY_KIND_OBJECT) {
        caposst1_entry_set_first_block(m, store->cursor_block);
        caposst1_entry_set_size_bytes(m, size_bytes);
    }
    if (time != NULL && time->provenance != STORE_TIME_UNKNOWN) {
        caposst1_entry_set_provenance(m, (uint8_t)time->provenance);
        caposst1_entry_set_created(m, time->created_ns);
    }
    int rc = st1_table_add(&store->table, bytes, err);
    if (rc == 0 && kind == CAPOSST1_ENTRY_KIND_OBJECT)
        store->cursor_block += st1_blocks_of(size_bytes);
    return rc;
}

/* An object that fits the buffer: nothing is written for one that is there already. */
static int put_small(struct store *store, size_t n, store_source *source, void *ctx,
                     const struct store_time *time, uint8_t *ret_key, bool *ret_added, struct plat_err *err)
{
    const size_t padded = st1_blocks_of(n) * ST1_BLOCK_BYTES;
    uint64_t index;
    int rc = ST1_BUFFER_BYTES - store->buffer_used < padded ? st1_buffer_out(store, err) : 0;
    size_t at = store->buffer_used;
    if (rc == 0)
        rc = source(ctx, store->buffer + at, n, err);
    if (rc != 0)
        return rc;
    hash_sha256(store->buffer + at, n, ret_key);
    *ret_added = !st1_table_find(&store->table, ret_key, &index);
    if (!*ret_added)
        return 0;
    rc = room_for(store, st1_blocks_of(n), err);
    if (rc == 0)
        rc = stage_entry(store, ret_key, CAPOSST1_ENTRY_KIND_OBJECT, n, time, err);
    if (rc != 0)
        return rc;
    /* A compaction has written out what stood before it. */
    if (store->buffer_used != at)
        memmove(store->buffer + store->buffer_used, store->buffer + at, n);
    memset(store->buffer + store->buffer_used + n, 0, padded - n);
    store->buffer_used += padded;
    return 0;
}

static int put_large(struct store *store, uint64_t size_bytes, store_source *source, void *ctx,
                     const struct store_time *time, uint8_t *ret_key, bool *ret_added, struct plat_err *err)
{
    struct hash_sha256_state hash;
    uint64_t index;
    int rc = room_for(store, st1_blocks_of(size_bytes), err);
    if (rc == 0)
        rc = st1_buffer_out(store, err);
    hash_sha256_begin(&hash);
    for (uint64_t left = size_bytes; rc == 0 && left > 0;) {
        size_t n = left < ST1_BUFFER_BYTES ? (size_t)left : ST1_BUFFER_BYTES;
        rc = source(ctx, store->buffer, n, err);
        if (rc != 0)
            break;
        hash_sha256_add(&hash, store->buffer, n);
        memset(store->buffer + n, 0, ST1_BUFFER_BYTES - n);
        store->buffer_used = n;
        rc = st1_buffer_out(store, err);
        left -= n;
    }
    hash_sha256_end(&hash, ret_key);
    *ret_added = rc == 0 && !st1_table_find(&store->table, ret_key, &index);
    if (*ret_added)
        rc = stage_entry(store, ret_key, CAPOSST1_ENTRY_KIND_OBJECT, size_bytes, time, err);
    /* Of what did not become an object nothing stays but bytes in free blocks, up to reach_block. */
    store->buffer_used = 0;
    store->buffer_block = store->cursor_block;
    return rc;
}

int store_put_from(struct store *store, uint64_t size_bytes, store_source *source, void *ctx,
                   const struct store_time *time, uint8_t ret_key[STORE_KEY_BYTES], bool *ret_added,
                   struct plat_err *err)
{
    uint8_t key[STORE_KEY_BYTES];
    bool added = false;
    int rc = may_write(store, err);
    if (rc != 0)
        return rc;
    if (time != NULL && time->provenance != STORE_TIME_UNKNOWN && store->super.version == STORE_VERSION_PLAIN)
        return err_set(err, PLAT_EUNSUPPORTED, "a store of version %d keeps no times; version %d does",
                       STORE_VERSION_PLAIN, STORE_VERSION_TIMED);
    if (store->buffer == NULL && (store->buffer = malloc(ST1_BUFFER_BYTES)) == NULL)
        return err_nomem(err, "writing to a store");
    rc = size_bytes <= ST1_BUFFER_BYTES
             ? put_small(store, (size_t)size_bytes, source, ctx, time, key, &added, err)
             : put_large(store, size_bytes, source, ctx, time, key, &added, err);
    if (rc != 0)
        return rc;
    memcpy(ret_key, key, STORE_KEY_BYTES);
    *ret_added = added;
    return 0;
}

struct memory_source {
    const uint8_t *at;
};
static int memory_next(void *ctx, void *buf, size_t n, struct plat_err *err)
{
    struct memory_source *source = ctx;
    (void)err;
    if (n > 0)
        memcpy(buf, source->at, n);
    source->at += n;
    return 0;
}

int store_put(struct store *store, const void *bytes, size_t n, const struct store_time *time,
              uint8_t ret_key[STORE_KEY_BYTES], bool *ret_added, struct plat_err *err)
{
    struct memory_source source = {bytes};
    return store_put_from(store, n, memory_next, &source, time, ret_key, ret_added, err);
}

int store_delete(struct store *store, const uint8_t key[STORE_KEY_BYTES], struct plat_err *err)
{
    uint64_t index;
    int rc = may_write(store, err);
    if (rc != 0)
        return rc;
    if (!st1_table_find(&store->table, key, &index)) {
        char text[STORE_KEY_TEXT_BYTES];
        store_key_text(key, text);
        return err_set(err, PLAT_ENOTFOUND, "no object %s is stored", text);
    }
    rc = room_for(store, 0, err);
    return rc != 0 ? rc : stage_entry(store, key, CAPOSST1_ENTRY_KIND_TOMBSTONE, 0, NULL, err);
}

/* ---- committing ---- */

int store_commit(struct store *store, struct plat_err *err)
{
    const struct st1_table *table = &store->table;
    int rc = may_write(store, err);
    if (rc != 0 || table->count == store->super.entry_count)
        return rc;
    struct st1_super next = store->super;
    uint64_t first = next.entry_count / ST1_ENTRIES_PER_BLOCK;
    uint64_t end = div_up_u64(table->count, ST1_ENTRIES_PER_BLOCK);
    next.entry_count = table->count;
    next.tombstone_count = table->n_tombstones;
    next.cursor_block = store->cursor_block;
    next.table_crc32c =
        hash_crc32c(next.table_crc32c, table->bytes + store->super.entry_count * ST1_ENTRY_BYTES,
                    (table->count - store->super.entry_count) * ST1_ENTRY_BYTES);
    rc = st1_mark(store, err);
    if (rc == 0)
        rc = st1_buffer_out(store, err);
    if (rc == 0)
        rc = block_write(store, next.areas[next.active].first_block + first,
                         table->bytes + first * ST1_BLOCK_BYTES, (end - first) * ST1_BLOCK_BYTES, err);
    if (rc == 0)
        rc = st1_copy_refresh(store, err);
    if (rc == 0)
        rc = st1_flush(store, STORE_FLUSH_DATA, err);
    return rc != 0 ? rc : st1_superblock_write(store, &next, STORE_FLUSH_COMMIT, err);
}

/* Staged entries that a compaction moved along are in the table on disk: zeros take their place. */
static int table_restore(struct store *store, struct plat_err *err)
{
    const struct st1_super *super = &store->super;
    uint64_t first = super->entry_count / ST1_ENTRIES_PER_BLOCK;
    uint64_t end = div_up_u64(store->table_reach, ST1_ENTRIES_PER_BLOCK);
    if (store->table_reach <= super->entry_count)
        return 0;
    store->unflushed = true;
    store->table_reach = super->entry_count;
    return block_write(store, super->areas[super->active].first_block + first,
                       store->table.bytes + first * ST1_BLOCK_BYTES, (end - first) * ST1_BLOCK_BYTES, err);
}

int store_finish(struct store *store, struct plat_err *err)
{
    uint8_t bytes[ST1_BLOCK_BYTES];
    int rc = may_write(store, err);
    if (rc != 0 || !store->marked)
        return rc;
    st1_table_cut(&store->table, store->super.entry_count);
    store->cursor_block = store->buffer_block = store->super.cursor_block;
    store->buffer_used = 0;
    rc = st1_zero(store, store->cursor_block, store->reach_block, err);
    if (rc == 0)
        rc = table_restore(store, err);
    if (rc == 0 && store->unflushed)
        rc = st1_flush(store, STORE_FLUSH_CLEAN, err);
    if (rc == 0)
        rc = dev_read(store->dev, 0, bytes, sizeof bytes, err);
    if (rc == 0)
        rc = block_write(store, 1, bytes, sizeof bytes, err);
    if (rc != 0)
        return rc;
    store->reach_block = store->cursor_block;
    store->marked = store->copy_current = false;
    return 0;
}

/* ---- making ---- */

int store_format(struct plat_dev *dev, const struct store_shape *shape, struct plat_err *err)
{
    struct st1_super super = {.generation = 1,
                              .version = shape->version,
                              .region_blocks = shape->region_blocks,
                              .hole_first_block = shape->hole_blocks > 0 ? shape->hole_first_block : 0,
                              .hole_blocks = shape->hole_blocks,
                              .table_blocks = div_up_u64(shape->entries, ST1_ENTRIES_PER_BLOCK)};
    int rc = st1_shape_areas(shape, &super, err);
    if (rc == 0) {
        uint8_t bytes[2 * ST1_BLOCK_BYTES];
        super.cursor_block = st1_data_block(&super, ST1_FRONT);
        st1_super_encode(&super, bytes);
        memcpy(bytes + ST1_BLOCK_BYTES, bytes, ST1_BLOCK_BYTES);
        rc = st1_super_validate(&super, dev->size_bytes, err);
        if (rc != 0)
            return PLAT_EINVALID;
        rc = dev_write(dev, 0, bytes, sizeof bytes, err);
    }
    return rc;
}
