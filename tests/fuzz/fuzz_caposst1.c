/* A sound store with bytes changed: opened, verified with its objects, every one of them read; then written to. The input is
 * a list of patches (tests/fuzz/exercise.h); the table is that of the entries. The last byte says what the writer does:
 * put, delete, commit, compact, finish, or go away in the middle.
 *
 * A writer refuses such an image or leaves it so that it opens and holds what was committed; the reader for kernels finds
 * what the other one finds. Checksums are constant in a fuzz build (lib/hash); the superblock's derived fields are put
 * right here, so that patches get past them. */
#include <stdlib.h>
#include <string.h>

#include "caposst1.gen.h"
#include "formats/caposst1/reader.h"
#include "tests/fuzz/exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { BLOCKS = 120, ENTRIES = 32, OBJECTS = 9, DELETED = 3 };

static struct plat_dev *disk;
static uint8_t sound[BLOCKS * ST1_BLOCK_BYTES];

/* Object i: i * 120 bytes. */
static int put_object(struct store *store, unsigned i, uint8_t ret_key[STORE_KEY_BYTES], struct plat_err *err)
{
    uint8_t content[16 * 120];
    bool added;
    memset(content, 'a' + (int)i, sizeof content);
    return store_put(store, content, i % 16 * 120, NULL, ret_key, &added, err);
}

static void make_store(void)
{
    const struct store_shape shape = {.version = STORE_VERSION_TIMED,
                                      .region_blocks = BLOCKS - 4,
                                      .hole_first_block = 60,
                                      .hole_blocks = 6,
                                      .entries = ENTRIES,
                                      .shadow = true};
    const struct store_options options = {.writable = true};
    struct plat_err err = {0};
    struct store *store = NULL;
    uint8_t keys[OBJECTS][STORE_KEY_BYTES];
    int rc = dev_open_memory(sizeof sound, "fuzz.img", &disk, &err);
    if (rc == 0)
        rc = store_format(disk, &shape, &err);
    if (rc == 0)
        rc = store_open(disk, &options, &store, &err);
    for (unsigned i = 0; rc == 0 && i < OBJECTS; i++)
        rc = put_object(store, i, keys[i], &err);
    for (unsigned i = 0; rc == 0 && i < DELETED; i++)
        rc = store_delete(store, keys[2 * i], &err);
    if (rc == 0)
        rc = store_commit(store, &err);
    if (rc == 0)
        rc = store_finish(store, &err);
    if (rc != 0)
        abort();
    store_close(store);
    memcpy(sound, dev_memory_bytes(disk), sizeof sound);
}

/* Both readers, on a store that opens: the same answer for every key in its table. */
static void compare_readers(void)
{
    const struct store_options options = {0};
    struct store *store = NULL;
    static struct st1_reader reader;
    struct plat_err err;
    static uint8_t buf[2 * ST1_BLOCK_BYTES];
    if (store_open(disk, &options, &store, &err) != 0)
        return;
    if (st1_reader_open(disk, (struct st1_buffer){buf, 2}, &reader, &err) != 0)
        abort();
    for (uint64_t i = 0; i < store_count(store) && i < ENTRIES; i++) {
        struct store_object object, found;
        uint64_t index = 0;
        store_entry(store, i, &object);
        bool live = store_find(store, object.key, &index);
        int rc = st1_reader_find(&reader, object.key, &found, &err);
        if (live)
            store_entry(store, index, &object);
        if (rc != (live ? 0 : PLAT_ENOTFOUND) ||
            (live && (found.offset != object.offset || found.size_bytes != object.size_bytes)))
            abort();
    }
    store_close(store);
}

/* What the bits of `orders` say; 0 when a put was committed and the store left at rest. */
static int write_on(unsigned orders, uint8_t ret_key[STORE_KEY_BYTES])
{
    const struct store_options options = {.writable = true};
    struct store *store = NULL;
    struct store_object object;
    struct plat_err err;
    int rc = store_open(disk, &options, &store, &err);
    if (rc == 0 && (orders & 1) != 0 && store_count(store) > 0) {
        store_entry(store, 0, &object);
        (void)store_delete(store, object.key, &err);
    }
    if (rc == 0)
        rc = put_object(store, 16 + (orders >> 4), ret_key, &err);
    if (rc == 0 && (orders & 2) != 0)
        rc = store_compact(store, &err);
    if (rc == 0)
        rc = store_commit(store, &err);
    if (rc == 0 && (orders & 4) != 0)
        rc = store_compact(store, &err);
    if (rc == 0 && (orders & 8) != 0)
        rc = store_finish(store, &err);
    store_close(store);
    return rc;
}

/* What a writer has committed is there. */
static void expect_object(const uint8_t key[STORE_KEY_BYTES])
{
    const struct store_options options = {0};
    struct store *store = NULL;
    struct plat_err err;
    uint64_t index;
    if (store_open(disk, &options, &store, &err) != 0 || !store_find(store, key, &index))
        abort();
    store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct caposst1_superblock_mut superblock = {NULL};
    uint8_t key[STORE_KEY_BYTES];
    if (disk == NULL)
        make_store();
    uint8_t *bytes = dev_memory_bytes(disk);
    const unsigned orders = n % 4 != 0 ? data[n - 1] : 0x0f;
    patch(disk, 2 * ST1_BLOCK_BYTES, ENTRIES * ST1_ENTRY_BYTES, data, n);
    for (size_t i = 0; i < 2; i++)
        if (caposst1_superblock_edit(bytes + i * ST1_BLOCK_BYTES, ST1_BLOCK_BYTES, &superblock))
            caposst1_superblock_seal(superblock);
    exercise(disk, true);
    exercise(disk, false);
    compare_readers();
    if (write_on(orders, key) == 0)
        expect_object(key);
    compare_readers();
    exercise(disk, true);
    memcpy(bytes, sound, sizeof sound);
    return 0;
}
