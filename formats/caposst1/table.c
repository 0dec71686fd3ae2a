/* The entry table in memory: loaded in pieces that are checked before memory is taken for the next, and indexed
 * by key. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/caposst1/private.h"

enum { LOAD_BLOCKS = 512, FIRST_ROOM = 64 };

void store_key_text(const uint8_t key[STORE_KEY_BYTES], char ret[STORE_KEY_TEXT_BYTES])
{
    for (size_t i = 0; i < STORE_KEY_BYTES; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", key[i]);
}

bool store_key_parse(const char *text, uint8_t ret[STORE_KEY_BYTES])
{
    uint8_t key[STORE_KEY_BYTES] = {0};
    if (strspn(text, "0123456789abcdefABCDEF") != 2 * STORE_KEY_BYTES || text[2 * STORE_KEY_BYTES] != '\0')
        return false;
    for (size_t i = 0; i < 2 * STORE_KEY_BYTES; i++) {
        unsigned digit = (unsigned char)text[i];
        digit = digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
        key[i / 2] = (uint8_t)((unsigned)key[i / 2] << 4 | digit);
    }
    memcpy(ret, key, sizeof key);
    return true;
}

struct caposst1_entry st1_entry_at(const struct st1_table *table, uint64_t index)
{
    return (struct caposst1_entry){table->bytes + index * ST1_ENTRY_BYTES};
}

void st1_table_free(struct st1_table *table)
{
    free(table->bytes);
    free(table->killers);
    free(table->slots);
    *table = (struct st1_table){0};
}

/* Keys are hashes already: any part of one is as good as another hash. */
static uint64_t slot_of(const struct st1_table *table, const uint8_t *key)
{
    return load_le64(key) & (table->n_slots - 1);
}

static void index_put(struct st1_table *table, uint64_t index)
{
    const uint8_t *key = caposst1_entry_key(st1_entry_at(table, index));
    uint64_t at = slot_of(table, key);
    while (table->slots[at] != 0 &&
           memcmp(caposst1_entry_key(st1_entry_at(table, table->slots[at] - 1)), key, STORE_KEY_BYTES) != 0)
        at = (at + 1) & (table->n_slots - 1);
    table->slots[at] = (uint32_t)index + 1;
}

static void index_all(struct st1_table *table)
{
    memset(table->slots, 0, table->n_slots * sizeof *table->slots);
    for (uint64_t i = 0; i < table->count; i++)
        if (caposst1_entry_kind(st1_entry_at(table, i)) == CAPOSST1_ENTRY_KIND_OBJECT)
            index_put(table, i);
}

int st1_table_reserve(struct st1_table *table, uint64_t count, struct plat_err *err)
{
    if (count <= table->room)
        return 0;
    uint64_t room = table->room == 0 ? FIRST_ROOM : table->room;
    while (room < count)
        room *= 2;
    /* Each of the three is kept as soon as it has grown, so that a failure leaves the table whole. */
    uint8_t *bytes = realloc(table->bytes, room * ST1_ENTRY_BYTES);
    if (bytes == NULL)
        return err_nomem(err, "reading the table of a store");
    table->bytes = bytes;
    memset(bytes + table->room * ST1_ENTRY_BYTES, 0, (room - table->room) * ST1_ENTRY_BYTES);
    uint64_t *killers = realloc(table->killers, room * sizeof *killers);
    if (killers == NULL)
        return err_nomem(err, "reading the table of a store");
    table->killers = killers;
    uint32_t *slots = malloc(2 * room * sizeof *slots);
    if (slots == NULL)
        return err_nomem(err, "indexing the table of a store");
    free(table->slots);
    table->slots = slots;
    table->n_slots = 2 * room;
    table->room = room;
    index_all(table);
    return 0;
}

bool st1_table_find(const struct st1_table *table, const uint8_t key[STORE_KEY_BYTES], uint64_t *ret)
{
    if (table->n_slots == 0)
        return false;
    for (uint64_t at = slot_of(table, key); table->slots[at] != 0; at = (at + 1) & (table->n_slots - 1)) {
        uint64_t index = table->slots[at] - 1;
        if (memcmp(caposst1_entry_key(st1_entry_at(table, index)), key, STORE_KEY_BYTES) != 0)
            continue;
        if (table->killers[index] != 0)
            return false;
        *ret = index;
        return true;
    }
    return false;
}

int st1_table_add(struct st1_table *table, const uint8_t entry[ST1_ENTRY_BYTES], struct plat_err *err)
{
    struct caposst1_entry v = {entry};
    uint64_t victim = 0;
    bool tombstone = caposst1_entry_kind(v) == CAPOSST1_ENTRY_KIND_TOMBSTONE;
    bool live = st1_table_find(table, caposst1_entry_key(v), &victim);
    if (live != tombstone)
        return err_set(err, PLAT_ECORRUPT,
                       tombstone ? "a tombstone for an object that is not there"
                                 : "an object that is there already");
    int rc = st1_table_reserve(table, table->count + 1, err);
    if (rc != 0)
        return rc;
    uint64_t index = table->count++;
    memcpy(table->bytes + index * ST1_ENTRY_BYTES, entry, ST1_ENTRY_BYTES);
    table->killers[index] = 0;
    if (tombstone) {
        table->killers[victim] = index + 1;
        table->n_tombstones++;
    } else {
        index_put(table, index);
    }
    return 0;
}

void st1_table_cut(struct st1_table *table, uint64_t count)
{
    if (count >= table->count)
        return;
    memset(table->bytes + count * ST1_ENTRY_BYTES, 0, (table->count - count) * ST1_ENTRY_BYTES);
    table->count = count;
    table->n_tombstones = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (table->killers[i] > count)
            table->killers[i] = 0;
        table->n_tombstones += caposst1_entry_kind(st1_entry_at(table, i)) == CAPOSST1_ENTRY_KIND_TOMBSTONE;
    }
    index_all(table);
}

uint32_t st1_table_crc(const struct st1_table *table, uint64_t count)
{
    return hash_crc32c(0, table->bytes, count * ST1_ENTRY_BYTES);
}

/* An entry by itself and in its place: objects lie one behind the other. */
static int entry_judge(struct store *store, struct caposst1_entry v, uint64_t *cursor, struct plat_err *err)
{
    const struct st1_super *super = &store->super;
    uint64_t first = caposst1_entry_first_block(v), size = caposst1_entry_size_bytes(v);
    uint8_t kind = caposst1_entry_kind(v), provenance = caposst1_entry_provenance(v);
    if (kind == CAPOSST1_ENTRY_KIND_TOMBSTONE ? first != 0 || size != 0 : kind != CAPOSST1_ENTRY_KIND_OBJECT)
        return err_set(err, PLAT_ECORRUPT, "it is neither an object nor a tombstone");
    if (provenance > CAPOSST1_PROVENANCE_STATED ||
        (provenance == CAPOSST1_PROVENANCE_UNKNOWN && caposst1_entry_created(v) != 0))
        return err_set(err, PLAT_ECORRUPT, "provenance %u with time %lld", provenance,
                       (long long)caposst1_entry_created(v));
    if (super->version == STORE_VERSION_PLAIN && provenance != CAPOSST1_PROVENANCE_UNKNOWN)
        return err_set(err, PLAT_ECORRUPT, "it has a time, and version %d has none", STORE_VERSION_PLAIN);
    if (kind == CAPOSST1_ENTRY_KIND_TOMBSTONE)
        return 0;
    if (first != *cursor || st1_blocks_of(size) > super->cursor_block - *cursor)
        return err_set(
            err, PLAT_ECORRUPT,
            "%llu bytes from block %llu on: it should begin at block %llu and end before the cursor "
            "(block %llu)",
            (unsigned long long)size, (unsigned long long)first, (unsigned long long)*cursor,
            (unsigned long long)super->cursor_block);
    *cursor += st1_blocks_of(size);
    return 0;
}

static int load_piece(struct store *store, const uint8_t *bytes, uint64_t n, uint64_t *cursor,
                      struct plat_err *err)
{
    struct st1_table *table = &store->table;
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *entry = bytes + i * ST1_ENTRY_BYTES;
        int rc = entry_judge(store, (struct caposst1_entry){entry}, cursor, err);
        if (rc == 0)
            rc = st1_table_add(table, entry, err);
        if (rc == PLAT_ECORRUPT) {
            char path[40];
            uint64_t table_block = store->super.areas[store->super.active].first_block;
            struct plat_err why;
            if (err != NULL)
                why = *err;
            (void)snprintf(path, sizeof path, "entries[%llu]", (unsigned long long)table->count);
            return err_at(err, rc, table_block * ST1_BLOCK_BYTES + table->count * ST1_ENTRY_BYTES, path, "%s",
                          err != NULL ? why.text : "");
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int load_end(struct store *store, uint32_t crc, uint64_t cursor, struct plat_err *err)
{
    const struct st1_super *super = &store->super;
    if (crc != super->table_crc32c && !store_skips(store->hooks, STORE_CHECK_TABLE))
        return err_at(err, PLAT_ECORRUPT, super->areas[super->active].first_block * ST1_BLOCK_BYTES,
                      "entries", "the table's CRC-32C is 0x%08x, and the superblock says 0x%08x", crc,
                      super->table_crc32c);
    if (cursor != super->cursor_block || store->table.n_tombstones != super->tombstone_count)
        return err_at(
            err, PLAT_ECORRUPT, 0, "superblock",
            "the entries end at block %llu with %llu tombstones, and the superblock says %llu and %llu",
            (unsigned long long)cursor, (unsigned long long)store->table.n_tombstones,
            (unsigned long long)super->cursor_block, (unsigned long long)super->tombstone_count);
    return 0;
}

int st1_load(struct store *store, struct plat_err *err)
{
    const struct st1_super *super = &store->super;
    uint8_t *piece = NULL, small[ST1_BLOCK_BYTES] = {0};
    uint64_t left = super->entry_count, cursor = st1_data_block(super, super->active);
    uint64_t block = super->areas[super->active].first_block;
    uint32_t crc = 0;
    int rc = 0;
    if (left > ST1_ENTRIES_PER_BLOCK && (piece = malloc((size_t)LOAD_BLOCKS * ST1_BLOCK_BYTES)) == NULL)
        return err_nomem(err, "reading the table of a store");
    while (rc == 0 && left > 0) {
        uint8_t *bytes = piece != NULL ? piece : small;
        uint64_t n = piece != NULL ? (uint64_t)LOAD_BLOCKS * ST1_ENTRIES_PER_BLOCK : ST1_ENTRIES_PER_BLOCK;
        if (n > left)
            n = left;
        rc = dev_read(store->dev, block * ST1_BLOCK_BYTES, bytes, n * ST1_ENTRY_BYTES, err);
        if (rc != 0)
            break;
        crc = hash_crc32c(crc, bytes, n * ST1_ENTRY_BYTES);
        rc = load_piece(store, bytes, n, &cursor, err);
        left -= n;
        block += LOAD_BLOCKS;
    }
    free(piece);
    if (rc == 0)
        rc = load_end(store, crc, cursor, err);
    return rc;
}
