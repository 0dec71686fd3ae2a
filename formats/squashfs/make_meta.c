/* Metadata blocks: 8192 bytes, compressed, behind a header of two bytes.
 *
 * A place in a table is where its block begins, counted from the start of the table, and the byte in the block once that
 * is decompressed. A block is finished as soon as it is full, so that what comes next never seems to begin behind its
 * end: Linux refuses that. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

/* Places have 32 bits for the block. */
static int place_check(const struct sqm_meta *meta, struct plat_err *err)
{
    if (meta->stored <= UINT32_MAX)
        return 0;
    return err_set(err, PLAT_ELIMIT,
                   "a table of metadata has more than 4 GiB, which squashfs cannot point into");
}

void sqm_meta_begin(struct sqm_meta *meta, struct sqm_image *image, bool in_memory, bool plain)
{
    *meta = (struct sqm_meta){.image = image, .in_memory = in_memory, .plain = plain};
}

void sqm_meta_close(struct sqm_meta *meta)
{
    free(meta->bytes);
    free(meta->starts);
    meta->bytes = NULL;
    meta->starts = NULL;
}

/* Room for one more; *cap doubles. */
static int room(void **items, size_t n, size_t more, size_t item_bytes, size_t *cap, struct plat_err *err)
{
    if (more <= *cap - n)
        return 0;
    const size_t wanted = (*cap < 64 ? 64 : *cap) * 2 + more;
    void *grown = realloc(*items, wanted * item_bytes);
    if (grown == NULL)
        return err_nomem(err, "making a table of a SquashFS image");
    *items = grown;
    *cap = wanted;
    return 0;
}

static int block_keep(struct sqm_meta *meta, const uint8_t *bytes, size_t n, struct plat_err *err)
{
    if (!meta->in_memory)
        return sqm_put(meta->image, bytes, n, err);
    int rc = room((void **)&meta->bytes, (size_t)meta->stored, n, 1, &meta->bytes_cap, err);
    if (rc == 0)
        memcpy(meta->bytes + meta->stored, bytes, n);
    return rc;
}

static int block_finish(struct sqm_meta *meta, struct plat_err *err)
{
    uint8_t bytes[SQUASHFS_METADATA_HEADER_BYTES + SQM_META_BYTES];
    uint8_t *content = bytes + SQUASHFS_METADATA_HEADER_BYTES;
    struct squashfs_metadata_header_mut header;
    size_t n = 0;
    int rc = place_check(meta, err);
    if (rc == 0)
        rc = room((void **)&meta->starts, meta->n_starts, 1, sizeof *meta->starts, &meta->starts_cap, err);
    if (rc == 0 && !meta->plain && meta->used > 1)
        rc = codec_encode(meta->image->encoder, meta->block, meta->used, content, meta->used - 1, &n, err);
    if (rc != 0)
        return rc;
    const bool plain = n == 0;
    if (plain) {
        n = meta->used;
        memcpy(content, meta->block, n);
    }
    if (!squashfs_metadata_header_edit(bytes, SQUASHFS_METADATA_HEADER_BYTES, &header))
        return err_set(err, PLAT_EBUG, "a metadata header of other than %d bytes",
                       SQUASHFS_METADATA_HEADER_BYTES);
    squashfs_metadata_header_set_size(
        header,
        squashfs_metadata_size_with_plain(squashfs_metadata_size_with_bytes(0, (uint16_t)n), plain ? 1 : 0));
    rc = block_keep(meta, bytes, SQUASHFS_METADATA_HEADER_BYTES + n, err);
    if (rc != 0)
        return rc;
    meta->starts[meta->n_starts++] = meta->stored;
    meta->stored += SQUASHFS_METADATA_HEADER_BYTES + n;
    meta->used = 0;
    return 0;
}

int sqm_meta_put(struct sqm_meta *meta, const void *bytes, size_t n, struct plat_err *err)
{
    const uint8_t *from = bytes;
    while (n > 0) {
        const size_t left = SQM_META_BYTES - meta->used, part = n < left ? n : left;
        memcpy(meta->block + meta->used, from, part);
        meta->used += (uint32_t)part;
        from += part;
        n -= part;
        int rc = meta->used == SQM_META_BYTES ? block_finish(meta, err) : 0;
        if (rc != 0)
            return rc;
    }
    return place_check(meta, err);
}

int sqm_meta_end(struct sqm_meta *meta, struct plat_err *err)
{
    return meta->used > 0 ? block_finish(meta, err) : 0;
}

int sqm_table_put(struct sqm_image *image, const struct sqm_table *table, uint64_t *ret_start,
                  struct plat_err *err)
{
    uint8_t entry[SQUASHFS_FRAGMENT_ENTRY_BYTES] = {0}, pointer[SQUASHFS_BLOCK_POINTER_BYTES];
    struct squashfs_block_pointer_mut to;
    const uint64_t start = image->at;
    struct sqm_meta *meta = malloc(sizeof *meta);
    if (meta == NULL)
        return err_nomem(err, "making a table of a SquashFS image");
    sqm_meta_begin(meta, image, false, table->plain);
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < table->n; i++) {
        table->entry(image, i, entry);
        rc = sqm_meta_put(meta, entry, table->entry_bytes, err);
    }
    if (rc == 0)
        rc = sqm_meta_end(meta, err);
    const uint64_t list = image->at;
    if (rc == 0)
        rc = sqm_put(image, table->header, table->header_bytes, err);
    for (size_t i = 0; rc == 0 && i < meta->n_starts; i++) {
        if (squashfs_block_pointer_edit(pointer, sizeof pointer, &to))
            squashfs_block_pointer_set_block(to, start + meta->starts[i]);
        rc = sqm_put(image, pointer, sizeof pointer, err);
    }
    if (rc == 0)
        *ret_start = list;
    sqm_meta_close(meta);
    free(meta);
    return rc;
}
