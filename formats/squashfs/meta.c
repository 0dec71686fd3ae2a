/* Metadata blocks, decompressed through a small cache, and records that may straddle them.
 *
 *     u16 size, plain | bytes       u16 size, plain | bytes       ...
 *     v decompressed                v
 *     8192 bytes                    8192 bytes                    the last: 1 to 8192
 *     ---------- stream of records, which go across these borders ---------- */
#include "formats/squashfs/volume.h"

#include <stdlib.h>

/* ---- workers ---- */

static void worker_free(struct sq_worker *worker)
{
    if (worker == NULL)
        return;
    codec_decoder_close(worker->decoder);
    free(worker->in);
    free(worker->out);
    free(worker);
}

static int worker_make(const struct volume *vol, struct sq_worker **ret, struct plat_err *err)
{
    const size_t bytes = vol->super.block_bytes > SQ_META_BYTES ? vol->super.block_bytes : SQ_META_BYTES;
    const enum codec_id codec =
        (enum codec_id)(CODEC_GZIP + vol->super.compression - SQUASHFS_COMPRESSION_GZIP);
    struct sq_worker *worker = calloc(1, sizeof *worker);
    int rc = 0;
    if (worker != NULL) {
        worker->in = malloc(bytes);
        worker->out = malloc(bytes);
    }
    if (worker == NULL || worker->in == NULL || worker->out == NULL)
        rc = err_nomem(err, "reading a SquashFS image");
    if (rc == 0)
        rc = codec_decoder_open(codec, bytes, vol->super.dictionary_bytes, &worker->decoder, err);
    if (rc != 0) {
        worker_free(worker);
        return rc;
    }
    *ret = worker;
    return 0;
}

int sq_worker_take(struct volume *vol, struct sq_worker **ret, struct plat_err *err)
{
    (void)pthread_mutex_lock(&vol->lock);
    struct sq_worker *worker = vol->idle;
    if (worker != NULL) {
        vol->idle = worker->next;
        vol->n_idle--;
    }
    (void)pthread_mutex_unlock(&vol->lock);
    if (worker == NULL)
        return worker_make(vol, ret, err);
    *ret = worker;
    return 0;
}

void sq_worker_give(struct volume *vol, struct sq_worker *worker)
{
    (void)pthread_mutex_lock(&vol->lock);
    if (vol->n_idle < SQ_IDLE_WORKERS) {
        worker->next = vol->idle;
        vol->idle = worker;
        vol->n_idle++;
        worker = NULL;
    }
    (void)pthread_mutex_unlock(&vol->lock);
    worker_free(worker);
}

void sq_workers_free(struct volume *vol)
{
    while (vol->idle != NULL) {
        struct sq_worker *worker = vol->idle;
        vol->idle = worker->next;
        worker_free(worker);
    }
    vol->n_idle = 0;
}

/* ---- blocks ---- */

static bool cached(struct volume *vol, uint64_t offset, struct sq_block *ret)
{
    bool found = false;
    (void)pthread_mutex_lock(&vol->lock);
    for (size_t i = 0; !found && i < SQ_META_CACHED; i++) {
        struct sq_meta_slot *slot = &vol->meta[i];
        if (slot->offset != offset)
            continue;
        slot->used = ++vol->clock;
        ret->offset = offset;
        ret->stored_bytes = slot->stored_bytes;
        ret->n = slot->n;
        memcpy(ret->bytes, slot->bytes, slot->n);
        found = true;
    }
    (void)pthread_mutex_unlock(&vol->lock);
    return found;
}

bool sq_peek(struct volume *vol, const struct sq_table *table, uint64_t offset, uint32_t at, uint8_t *buf,
             uint32_t n)
{
    bool found = false;
    if (offset < table->start || offset >= table->end)
        return false;
    (void)pthread_mutex_lock(&vol->lock);
    for (size_t i = 0; !found && i < SQ_META_CACHED; i++) {
        struct sq_meta_slot *slot = &vol->meta[i];
        if (slot->offset != offset)
            continue;
        if (at > slot->n || n > slot->n - at)
            break;
        slot->used = ++vol->clock;
        memcpy(buf, slot->bytes + at, n);
        found = true;
    }
    (void)pthread_mutex_unlock(&vol->lock);
    return found;
}

static void remember(struct volume *vol, const struct sq_block *block)
{
    (void)pthread_mutex_lock(&vol->lock);
    struct sq_meta_slot *slot = &vol->meta[0];
    for (size_t i = 1; i < SQ_META_CACHED; i++)
        if (vol->meta[i].used < slot->used)
            slot = &vol->meta[i];
    slot->offset = block->offset;
    slot->used = ++vol->clock;
    slot->stored_bytes = block->stored_bytes;
    slot->n = block->n;
    memcpy(slot->bytes, block->bytes, block->n);
    (void)pthread_mutex_unlock(&vol->lock);
}

/* The bytes behind the header, decompressed into block->bytes. */
static int decode(struct volume *vol, const struct sq_table *table, const uint8_t *payload, uint32_t n,
                  bool plain, struct sq_block *block, struct plat_err *err)
{
    struct sq_worker *worker;
    size_t out = 0;
    if (plain) {
        memcpy(block->bytes, payload, n);
        block->n = n;
        return 0;
    }
    int rc = sq_worker_take(vol, &worker, err);
    if (rc != 0)
        return rc;
    struct plat_err why = {0};
    rc = codec_decode(worker->decoder, payload, n, block->bytes, SQ_META_BYTES, &out, &why);
    sq_worker_give(vol, worker);
    block->n = (uint32_t)out;
    if (rc == 0 && out == 0)
        rc = err_set(&why, PLAT_ECORRUPT, "it decompresses to nothing");
    if (rc == PLAT_ENOMEM)
        return err_nomem(err, "decompressing metadata");
    return rc == 0 ? 0
                   : err_at(err, rc, block->offset, table->stream, "a metadata block of %u bytes: %s", n,
                            why.text);
}

int sq_block_read(struct volume *vol, const struct sq_table *table, uint64_t offset, struct sq_block *ret,
                  struct plat_err *err)
{
    uint8_t buf[SQUASHFS_METADATA_HEADER_BYTES + SQ_META_BYTES];
    struct squashfs_metadata_header header = {NULL};
    if (offset < table->start || offset >= table->end ||
        table->end - offset <= SQUASHFS_METADATA_HEADER_BYTES)
        return err_at(err, PLAT_ECORRUPT, offset, table->stream,
                      "a metadata block is said to be at 0x%llx; the table of %s lies from 0x%llx to 0x%llx",
                      (unsigned long long)offset, table->stream, (unsigned long long)table->start,
                      (unsigned long long)table->end);
    if (cached(vol, offset, ret))
        return 0;
    const uint64_t left = table->end - offset;
    const size_t n = left < sizeof buf ? (size_t)left : sizeof buf;
    int rc = dev_read(vol->dev, offset, buf, n, err);
    if (rc != 0)
        return rc;
    (void)squashfs_metadata_header_view(buf, sizeof buf, &header);
    const uint16_t size = squashfs_metadata_header_size(header);
    const uint32_t stored = squashfs_metadata_size_bytes(size);
    if (stored == 0 || stored > n - SQUASHFS_METADATA_HEADER_BYTES)
        return err_at(err, PLAT_ECORRUPT, offset, table->stream,
                      "a metadata block of %u bytes; 1 to %zu are possible here", stored,
                      n - SQUASHFS_METADATA_HEADER_BYTES);
    ret->offset = offset;
    ret->stored_bytes = SQUASHFS_METADATA_HEADER_BYTES + stored;
    rc = decode(vol, table, buf + SQUASHFS_METADATA_HEADER_BYTES, stored,
                squashfs_metadata_size_plain(size) != 0, ret, err);
    if (rc == 0)
        remember(vol, ret);
    return rc;
}

/* ---- records ---- */

int sq_seek(struct volume *vol, const struct sq_table *table, uint64_t offset, uint32_t at,
            struct sq_cursor *ret, struct plat_err *err)
{
    ret->vol = vol;
    ret->table = table;
    ret->at = at;
    int rc = sq_block_read(vol, table, offset, &ret->block, err);
    if (rc == 0 && at >= ret->block.n)
        rc = err_at(err, PLAT_ECORRUPT, offset, table->stream,
                    "a record is said to begin at byte %u of a metadata block that has %u", at, ret->block.n);
    return rc;
}

int sq_seek_ref(struct volume *vol, enum sq_table_id id, uint64_t ref, struct sq_cursor *ret,
                struct plat_err *err)
{
    const struct sq_table *table = &vol->tables[id];
    if (squashfs_reference_unused(ref) != 0)
        return err_at(err, PLAT_ECORRUPT, table->start, table->stream,
                      "a reference 0x%llx has bits that have no meaning", (unsigned long long)ref);
    return sq_seek(vol, table, table->start + squashfs_reference_block(ref), squashfs_reference_offset(ref),
                   ret, err);
}

int sq_more(struct sq_cursor *cursor, bool *ret, struct plat_err *err)
{
    struct sq_block *block = &cursor->block;
    *ret = true;
    if (cursor->at < block->n)
        return 0;
    const uint64_t next = block->offset + block->stored_bytes;
    if (next >= cursor->table->end) {
        *ret = false;
        return 0;
    }
    if (block->n != SQ_META_BYTES)
        return sq_corrupt(cursor, err, "a metadata block of %u bytes, decompressed; all but the last have %d",
                          block->n, SQ_META_BYTES);
    cursor->at = 0;
    return sq_block_read(cursor->vol, cursor->table, next, block, err);
}

int sq_take(struct sq_cursor *cursor, void *buf, uint64_t n, struct plat_err *err)
{
    uint8_t *out = buf;
    while (n > 0) {
        bool more;
        int rc = sq_more(cursor, &more, err);
        if (rc == 0 && !more)
            rc = sq_corrupt(cursor, err, "a record runs past the end of the table of %s",
                            cursor->table->stream);
        if (rc != 0)
            return rc;
        const uint32_t here = cursor->block.n - cursor->at;
        const uint32_t part = n < here ? (uint32_t)n : here;
        if (out != NULL) {
            memcpy(out, cursor->block.bytes + cursor->at, part);
            out += part;
        }
        cursor->at += part;
        n -= part;
    }
    return 0;
}
