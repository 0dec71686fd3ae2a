/* A store, open for reading with the caller's memory. */
#include "formats/caposst1/reader.h"

int st1_reader_open(struct plat_dev *dev, struct st1_buffer buf, struct st1_reader *ret, struct plat_err *err)
{
    int rc = st1_pair_read(dev, NULL, &ret->pair, err);
    if (rc == 0 && ret->pair.both.ruling < 0)
        rc = st1_pair_refusal(&ret->pair, err);
    if (rc != 0)
        return rc;
    ret->dev = dev;
    ret->buf = buf;
    ret->super = ret->pair.supers[ret->pair.both.ruling];
    return 0;
}

struct search {
    const uint8_t *key;
    bool live;
    struct store_object found;
};

/* The last entry of a key says whether it is there. */
static int search_entry(void *ctx, uint64_t index, const uint8_t entry[ST1_ENTRY_BYTES], struct plat_err *err)
{
    struct search *search = ctx;
    struct store_object object;
    (void)index;
    st1_entry_decode(entry, &object);
    if (memcmp(object.key, search->key, STORE_KEY_BYTES) != 0)
        return 0;
    if (search->live != object.is_tombstone)
        return st1_entry_out_of_turn(object.is_tombstone, err);
    search->live = !object.is_tombstone;
    search->found = object;
    return 0;
}

int st1_reader_find(const struct st1_reader *reader, const uint8_t key[STORE_KEY_BYTES],
                    struct store_object *ret, struct plat_err *err)
{
    struct search search = {.key = key};
    int rc = st1_scan(reader->dev, &reader->super, NULL, reader->buf, search_entry, &search, err);
    if (rc != 0)
        return rc;
    if (!search.live)
        return err_set(err, PLAT_ENOTFOUND, "there is no such object in the store");
    *ret = search.found;
    return 0;
}
