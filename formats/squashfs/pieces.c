/* Where the contents of a file are: its blocks, and its end in a fragment that other files share; where a record is. */
#include <stdio.h>

#include "formats/squashfs/volume.h"

static int block_pieces(struct volume *vol, const struct sq_inode *inode, struct sq_cursor *rest,
                        fs_piece_fn fn, void *ctx, struct plat_err *err)
{
    uint64_t at = inode->start;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < inode->n_blocks; i++) {
        uint32_t word;
        rc = sq_word_take(rest, &word, err);
        if (rc != 0 || word == 0) /* zeros, nothing there */
            continue;
        rc = sq_data_check(vol, at, word, err);
        if (rc != 0)
            return rc;
        const struct fs_piece piece = {.position = i * vol->super.block_bytes,
                                       .bytes = sq_block_expected(vol, inode, i),
                                       .place = {at, squashfs_block_size_bytes(word)},
                                       .compressed = squashfs_block_size_plain(word) == 0};
        at += piece.place.bytes;
        rc = fn(ctx, &piece);
    }
    return rc;
}

int squashfs_pieces(struct fs *fs, uint64_t node, fs_piece_fn fn, void *ctx, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct sq_inode inode;
    struct sq_cursor rest;
    int rc = sq_inode_read(vol, node, &inode, &rest, err);
    if (rc != 0 || inode.type != SQUASHFS_ENTRY_TYPE_FILE)
        return rc;
    rc = block_pieces(vol, &inode, &rest, fn, ctx, err);
    const uint32_t tail = sq_tail_bytes(vol, &inode);
    if (rc != 0 || tail == 0)
        return rc;
    struct sq_fragment fragment;
    char path[32];
    rc = sq_fragment_read(vol, inode.fragment, &fragment, err);
    if (rc == 0)
        rc = sq_data_check(vol, fragment.start, fragment.word, err);
    if (rc != 0)
        return rc;
    (void)snprintf(path, sizeof path, "fragments[%u]", inode.fragment);
    const struct fs_piece piece = {.position = inode.size_bytes - tail,
                                   .bytes = tail,
                                   .place = {fragment.start, squashfs_block_size_bytes(fragment.word)},
                                   .compressed = squashfs_block_size_plain(fragment.word) == 0,
                                   .offset = inode.fragment_offset,
                                   .path = path};
    return fn(ctx, &piece);
}

/* All metadata blocks of a stream are full but for the last one, and one that is not compressed holds bytes as they are. */
int squashfs_stored(struct fs *fs, const struct inst *inst, struct range part, uint64_t *ret,
                    struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    const uint64_t position = inst->offset + part.start;
    uint64_t header_at = inst->source.block.start, first = inst->offset / SQ_META_BYTES;
    uint8_t header[SQUASHFS_METADATA_HEADER_BYTES];
    if (inst->source.stream == NULL || part.bytes > inst->size_bytes ||
        part.start > inst->size_bytes - part.bytes)
        return err_set(err, PLAT_EINVALID, "%s is no record of a stream, or does not have these bytes",
                       inst->path);
    if (part.bytes > 0 && position / SQ_META_BYTES != (position + part.bytes - 1) / SQ_META_BYTES)
        return err_set(err, PLAT_EUNSUPPORTED, "%s: these bytes lie in two metadata blocks", inst->path);
    for (;; first++) {
        int rc = dev_read(vol->dev, header_at, header, sizeof header, err);
        if (rc != 0)
            return rc;
        struct squashfs_metadata_header view;
        if (!squashfs_metadata_header_view(header, sizeof header, &view))
            return err_set(err, PLAT_EBUG, "a metadata header is longer than itself");
        const uint16_t word = squashfs_metadata_header_size(view);
        if (squashfs_metadata_size_plain(word) == 0)
            return err_set(err, PLAT_EUNSUPPORTED, "%s: the metadata block at 0x%llx is compressed",
                           inst->path, (unsigned long long)header_at);
        if (first == position / SQ_META_BYTES)
            break;
        header_at += sizeof header + squashfs_metadata_size_bytes(word);
    }
    *ret = header_at + sizeof header + position % SQ_META_BYTES;
    return 0;
}
