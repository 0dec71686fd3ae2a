/* Compaction, and what the next writer does behind a power cut.
 *
 *   live: front                 copy what is kept to the shadow area        F
 *                               superblock: live is the shadow              F   a commit of the same objects
 *   live: shadow                copy it back to the front, zero the rest    F
 *                               superblock: live is the front               F   again the same objects
 *   live: front                 zero the shadow
 *
 * Neither area is written while a superblock that may be read refers to it. A compaction that was cut off goes on
 * from whichever state the superblock names. Entries that are staged move along and stay staged. */
#include <stdlib.h>

#include "formats/caposst1/private.h"

enum { COPY_BYTES = 256 * 1024 };

/* Is this entry gone for good as far as committed tombstones say? */
static bool dropped(const struct store *store, uint64_t index)
{
    struct caposst1_entry v = st1_entry_at(&store->table, index);
    if (caposst1_entry_kind(v) == CAPOSST1_ENTRY_KIND_TOMBSTONE)
        return index < store->super.entry_count;
    uint64_t killer = store->table.killers[index];
    return killer != 0 && killer <= store->super.entry_count;
}

/* Blocks of data that a compaction keeps. */
static uint64_t kept_blocks(const struct store *store)
{
    uint64_t blocks = 0;
    for (uint64_t i = 0; i < store->table.count; i++)
        if (!dropped(store, i))
            blocks += st1_blocks_of(caposst1_entry_size_bytes(st1_entry_at(&store->table, i)));
    return blocks;
}

static uint64_t data_blocks(const struct st1_super *super, uint32_t area)
{
    return super->areas[area].blocks - super->table_blocks;
}

bool st1_compaction_helps(const struct store *store, uint64_t blocks)
{
    const struct st1_super *super = &store->super;
    if (super->tombstone_count == 0 || super->areas[ST1_SHADOW].blocks == 0)
        return false;
    uint64_t kept = kept_blocks(store);
    return kept <= data_blocks(super, ST1_SHADOW) && blocks <= data_blocks(super, ST1_FRONT) - kept;
}

/* ---- one generation to the other area ---- */

/* A run of blocks that is copied in one piece. */
struct run {
    uint64_t from, to, blocks;
};

static int run_copy(struct store *store, const struct run *run, uint8_t *buf, struct plat_err *err)
{
    for (uint64_t done = 0; done < run->blocks;) {
        uint64_t n = run->blocks - done < COPY_BYTES / ST1_BLOCK_BYTES ? run->blocks - done
                                                                       : COPY_BYTES / ST1_BLOCK_BYTES;
        int rc = dev_read(store->dev, (run->from + done) * ST1_BLOCK_BYTES, buf, n * ST1_BLOCK_BYTES, err);
        if (rc == 0)
            rc = dev_write(store->dev, (run->to + done) * ST1_BLOCK_BYTES, buf, n * ST1_BLOCK_BYTES, err);
        if (rc != 0)
            return rc;
        done += n;
    }
    return 0;
}

/* What is kept goes to the data of `area`, its entries to *fresh. *ret: the superblock that makes it count. */
static int copy_objects(struct store *store, uint32_t area, struct st1_table *fresh, struct st1_super *ret,
                        uint64_t *ret_cursor, struct plat_err *err)
{
    struct st1_super next = store->super;
    uint64_t cursor = st1_data_block(&next, area);
    struct run run = {0};
    uint8_t *buf = malloc(COPY_BYTES);
    int rc = buf == NULL ? err_nomem(err, "compacting a store") : 0;
    next.active = area;
    next.tombstone_count = next.entry_count = 0;
    next.cursor_block = cursor;
    for (uint64_t i = 0; rc == 0 && i < store->table.count; i++) {
        if (dropped(store, i))
            continue;
        uint8_t entry[ST1_ENTRY_BYTES];
        struct caposst1_entry v = st1_entry_at(&store->table, i);
        uint64_t from = caposst1_entry_first_block(v), n = st1_blocks_of(caposst1_entry_size_bytes(v));
        memcpy(entry, v.p, sizeof entry);
        if (caposst1_entry_kind(v) == CAPOSST1_ENTRY_KIND_OBJECT)
            caposst1_entry_set_first_block((struct caposst1_entry_mut){entry}, cursor);
        if (n > 0 && run.blocks > 0 && from != run.from + run.blocks) {
            rc = run_copy(store, &run, buf, err);
            run.blocks = 0;
        }
        if (n > 0 && run.blocks == 0)
            run = (struct run){from, cursor, 0};
        run.blocks += n;
        cursor += n;
        if (rc == 0)
            rc = st1_table_add(fresh, entry, err);
        if (i < store->super.entry_count) {
            next.entry_count = fresh->count;
            next.cursor_block = cursor;
        }
    }
    if (rc == 0)
        rc = run_copy(store, &run, buf, err);
    free(buf);
    if (rc != 0)
        return rc;
    next.table_crc32c = st1_table_crc(fresh, next.entry_count);
    *ret = next;
    *ret_cursor = cursor;
    return 0;
}

/* Everything that is kept moves to `area`, which starts to count. `old_end`: blocks of it below that one may hold
 * anything. */
static int generation_move(struct store *store, uint32_t area, uint64_t old_end, enum store_step written,
                           enum store_step committed, struct plat_err *err)
{
    struct st1_table fresh = {0};
    struct st1_super next;
    uint64_t cursor = 0, first = store->super.areas[area].first_block, table_blocks;
    int rc = copy_objects(store, area, &fresh, &next, &cursor, err);
    table_blocks = div_up_u64(fresh.count, ST1_ENTRIES_PER_BLOCK);
    if (rc == 0 && table_blocks > 0)
        rc = dev_write(store->dev, first * ST1_BLOCK_BYTES, fresh.bytes, table_blocks * ST1_BLOCK_BYTES, err);
    if (rc == 0)
        rc = st1_zero(store, first + table_blocks, st1_data_block(&next, area), err);
    if (rc == 0 && cursor < old_end)
        rc = st1_zero(store, cursor, old_end, err);
    if (rc == 0)
        rc = st1_copy_refresh(store, err);
    if (rc == 0)
        rc = st1_flush(store, written, err);
    if (rc == 0)
        rc = st1_superblock_write(store, &next, committed, err);
    if (rc != 0) {
        store->failed = true;
        st1_table_free(&fresh);
        return rc;
    }
    st1_table_free(&store->table);
    store->table = fresh;
    store->table_reach = fresh.count;
    store->cursor_block = store->buffer_block = store->reach_block = cursor;
    return 0;
}

/* From the shadow, which counts, to the front; `front_end`: what may hold anything there. */
static int front_again(struct store *store, uint64_t front_end, uint64_t shadow_end, struct plat_err *err)
{
    int rc = generation_move(store, ST1_FRONT, front_end, STORE_FLUSH_FRONT, STORE_FLUSH_FRONT_COMMIT, err);
    if (rc == 0)
        rc = st1_zero(store, store->super.areas[ST1_SHADOW].first_block, shadow_end, err);
    store->failed = store->failed || rc != 0;
    return rc;
}

int store_compact(struct store *store, struct plat_err *err)
{
    const struct st1_super *super = &store->super;
    if (!store->writable || store->failed)
        return err_set(err, store->writable ? PLAT_EIO : PLAT_EUNSUPPORTED,
                       store->writable ? "an earlier write failed: open the store again"
                                       : "the store is open for reading only");
    if (super->tombstone_count == 0)
        return 0;
    uint64_t kept = kept_blocks(store);
    if (super->areas[ST1_SHADOW].blocks == 0 || kept > data_blocks(super, ST1_SHADOW))
        return err_set(err, PLAT_ELIMIT,
                       "compaction needs %llu bytes of shadow area and the store has %llu; make a new one",
                       (unsigned long long)(kept * ST1_BLOCK_BYTES),
                       (unsigned long long)(super->areas[ST1_SHADOW].blocks == 0
                                                ? 0
                                                : data_blocks(super, ST1_SHADOW) * ST1_BLOCK_BYTES));
    int rc = st1_mark(store, err);
    if (rc == 0)
        rc = st1_buffer_out(store, err);
    const uint64_t front_end =
        store->reach_block > store->cursor_block ? store->reach_block : store->cursor_block;
    if (rc == 0)
        rc = generation_move(store, ST1_SHADOW, 0, STORE_FLUSH_SHADOW, STORE_FLUSH_SHADOW_COMMIT, err);
    return rc != 0 ? rc : front_again(store, front_end, store->cursor_block, err);
}

/* ---- behind a power cut ---- */

/* Free blocks: the rest of both areas. */
static int clear_free(struct store *store, struct plat_err *err)
{
    const struct st1_super *super = &store->super;
    const uint64_t first = super->areas[ST1_FRONT].first_block;
    uint64_t used = div_up_u64(super->entry_count, ST1_ENTRIES_PER_BLOCK);
    uint8_t last[ST1_BLOCK_BYTES];
    int rc = 0;
    /* The last block of entries may hold some that were not committed. */
    if (super->entry_count % ST1_ENTRIES_PER_BLOCK != 0) {
        const uint8_t *want = store->table.bytes + (used - 1) * ST1_BLOCK_BYTES;
        rc = dev_read(store->dev, (first + used - 1) * ST1_BLOCK_BYTES, last, sizeof last, err);
        if (rc == 0 && memcmp(last, want, sizeof last) != 0) {
            rc = dev_write(store->dev, (first + used - 1) * ST1_BLOCK_BYTES, want, sizeof last, err);
            store->unflushed = true;
        }
    }
    if (rc == 0)
        rc = st1_zero(store, first + used, st1_data_block(super, ST1_FRONT), err);
    if (rc == 0)
        rc = st1_zero(store, super->cursor_block, st1_area_end(super, ST1_FRONT), err);
    if (rc == 0)
        rc = st1_zero(store, super->areas[ST1_SHADOW].first_block, st1_area_end(super, ST1_SHADOW), err);
    store->reach_block = super->cursor_block;
    return rc;
}

int st1_recover(struct store *store, struct plat_err *err)
{
    const struct st1_pair *pair = &store->pair;
    int rc = 0;
    if (pair->both.clean && store->super.active == ST1_FRONT)
        return 0;
    if (pair->both.clean) {
        /* Somebody left the shadow generation as the last word: sound, but writing begins at the front. */
        rc = st1_mark(store, err);
        return rc == 0 ? front_again(store, st1_area_end(&store->super, ST1_FRONT), store->super.cursor_block,
                                     err)
                       : rc;
    }
    if (pair->both.ruling == 1 && pair->both.copies[0].state == PAIR_DAMAGED) {
        /* At rest the two are the same, so the copy says what was lost. */
        rc = dev_write(store->dev, 0, pair->both.copies[1].bytes, ST1_BLOCK_BYTES, err);
        return rc == 0 ? st1_flush(store, STORE_FLUSH_RECOVER, err) : rc;
    }
    /* Zeros that are there already may be on their way: who wrote them need not have flushed. */
    store->marked = store->unflushed = true;
    if (pair->both.ruling == 1) {
        struct st1_super again = store->super;
        rc = st1_superblock_write(store, &again, STORE_FLUSH_RECOVER, err);
    }
    if (rc == 0 && store->super.active == ST1_SHADOW)
        rc = front_again(store, st1_area_end(&store->super, ST1_FRONT), store->super.cursor_block, err);
    return rc == 0 ? clear_free(store, err) : rc;
}
