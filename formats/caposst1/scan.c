/* The entry table, front to back: each entry by itself, in its place, and the checksum of all of them. */
#include "formats/caposst1/reader.h"

#include "caposst1.gen.h"
#include "lib/base/path.h"

struct scan {
    const struct st1_super *super;
    uint64_t cursor_block; /* where the next object begins */
    uint64_t index, n_tombstones;
    st1_entry_fn *fn;
    void *ctx;
};

/* An entry by itself and in its place: objects lie one behind the other. */
static int entry_judge(struct scan *scan, struct caposst1_entry v, struct plat_err *err)
{
    const struct st1_super *super = scan->super;
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
    if (kind == CAPOSST1_ENTRY_KIND_TOMBSTONE) {
        scan->n_tombstones++;
        return 0;
    }
    if (first != scan->cursor_block || st1_blocks_of(size) > super->cursor_block - scan->cursor_block)
        return err_set(
            err, PLAT_ECORRUPT,
            "%llu bytes from block %llu on: it should begin at block %llu and end before the cursor "
            "(block %llu)",
            (unsigned long long)size, (unsigned long long)first, (unsigned long long)scan->cursor_block,
            (unsigned long long)super->cursor_block);
    scan->cursor_block += st1_blocks_of(size);
    return 0;
}

static int scan_piece(struct scan *scan, const uint8_t *bytes, uint64_t n, struct plat_err *err)
{
    for (uint64_t i = 0; i < n; i++, scan->index++) {
        const uint8_t *entry = bytes + i * ST1_ENTRY_BYTES;
        int rc = entry_judge(scan, (struct caposst1_entry){entry}, err);
        if (rc == 0)
            rc = scan->fn(scan->ctx, scan->index, entry, err);
        if (rc == PLAT_ECORRUPT && err != NULL) {
            const uint64_t table_block = scan->super->areas[scan->super->active].first_block;
            err->offset = table_block * ST1_BLOCK_BYTES + scan->index * ST1_ENTRY_BYTES;
            err->has_offset = true;
            path_element(err->path, sizeof err->path, "entries", scan->index, "");
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int scan_end(const struct scan *scan, uint32_t crc, const struct store_hooks *hooks,
                    struct plat_err *err)
{
    const struct st1_super *super = scan->super;
    if (crc != super->table_crc32c && !store_skips(hooks, STORE_CHECK_TABLE))
        return err_at(err, PLAT_ECORRUPT, super->areas[super->active].first_block * ST1_BLOCK_BYTES,
                      "entries", "the table's CRC-32C is 0x%08x, and the superblock says 0x%08x", crc,
                      super->table_crc32c);
    if (scan->cursor_block != super->cursor_block || scan->n_tombstones != super->tombstone_count)
        return err_at(
            err, PLAT_ECORRUPT, 0, "superblock",
            "the entries end at block %llu with %llu tombstones, and the superblock says %llu and %llu",
            (unsigned long long)scan->cursor_block, (unsigned long long)scan->n_tombstones,
            (unsigned long long)super->cursor_block, (unsigned long long)super->tombstone_count);
    return 0;
}

int st1_scan(struct plat_dev *dev, const struct st1_super *super, const struct store_hooks *hooks,
             struct st1_buffer buf, st1_entry_fn *fn, void *ctx, struct plat_err *err)
{
    struct scan scan = {
        .super = super, .cursor_block = st1_data_block(super, super->active), .fn = fn, .ctx = ctx};
    const uint64_t piece = (uint64_t)buf.blocks * ST1_ENTRIES_PER_BLOCK;
    uint64_t offset = super->areas[super->active].first_block * ST1_BLOCK_BYTES, left = super->entry_count;
    uint32_t crc = 0;
    int rc = buf.blocks == 0 ? err_set(err, PLAT_EBUG, "a buffer of no block") : 0;
    while (rc == 0 && left > 0) {
        const uint64_t n = left < piece ? left : piece;
        rc = dev_read(dev, offset, buf.bytes, n * ST1_ENTRY_BYTES, err);
        if (rc != 0)
            break;
        crc = hash_crc32c(crc, buf.bytes, n * ST1_ENTRY_BYTES);
        rc = scan_piece(&scan, buf.bytes, n, err);
        left -= n;
        offset += n * ST1_ENTRY_BYTES;
    }
    return rc != 0 ? rc : scan_end(&scan, crc, hooks, err);
}

int st1_entry_out_of_turn(bool tombstone, struct plat_err *err)
{
    return err_set(err, PLAT_ECORRUPT,
                   tombstone ? "a tombstone for an object that is not there"
                             : "an object that is there already");
}

void st1_entry_decode(const uint8_t entry[ST1_ENTRY_BYTES], struct store_object *ret)
{
    const struct caposst1_entry v = {entry};
    *ret = (struct store_object){
        .offset = caposst1_entry_first_block(v) * ST1_BLOCK_BYTES,
        .size_bytes = caposst1_entry_size_bytes(v),
        .time = {.provenance = (enum store_provenance)caposst1_entry_provenance(v),
                 .created_ns = caposst1_entry_created(v)},
        .is_tombstone = caposst1_entry_kind(v) == CAPOSST1_ENTRY_KIND_TOMBSTONE,
    };
    memcpy(ret->key, caposst1_entry_key(v), STORE_KEY_BYTES);
}

int st1_object_read(struct plat_dev *dev, const struct store_object *object, uint64_t offset, void *buf,
                    size_t n, size_t *ret_n, struct plat_err *err)
{
    const uint64_t left = offset < object->size_bytes ? object->size_bytes - offset : 0;
    if (n > left)
        n = (size_t)left;
    int rc = dev_read(dev, object->offset + offset, buf, n, err);
    if (rc == 0)
        *ret_n = n;
    return rc;
}
