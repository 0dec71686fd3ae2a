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
        return st1_entry_out_of_turn(tombstone, err);
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

static int load_entry(void *ctx, uint64_t index, const uint8_t entry[ST1_ENTRY_BYTES], struct plat_err *err)
{
    (void)index;
    return st1_table_add(ctx, entry, err);
}

int st1_load(struct store *store, struct plat_err *err)
{
    uint8_t *piece = NULL, small[ST1_BLOCK_BYTES];
    struct st1_buffer buf = {small, 1};
    if (store->super.entry_count > ST1_ENTRIES_PER_BLOCK) {
        if ((piece = malloc((size_t)LOAD_BLOCKS * ST1_BLOCK_BYTES)) == NULL)
            return err_nomem(err, "reading the table of a store");
        buf = (struct st1_buffer){piece, LOAD_BLOCKS};
    }
    int rc = st1_scan(store->dev, &store->super, store->hooks, buf, load_entry, &store->table, err);
    free(piece);
    return rc;
}
