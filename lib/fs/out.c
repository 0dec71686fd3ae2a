/* Ascending writes through one buffer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fs/out.h"
#include "lib/hash/hash.h"

enum {
    GAP_BYTES_MAX = 16 * 1024,  /* a larger gap is skipped, and stays a hole */
    DIRECT_BYTES_MIN = 2 << 20, /* files from here on are copied by the kernel, not through the buffer */
    DIRECT_TAIL_BYTES = 4096    /* the end is read here, where a file that has changed is noticed */
};

int fs_out_open(struct fs_out *out, struct plat_dev *dev, struct progress *progress, struct plat_err *err)
{
    uint8_t *buffer = malloc(FS_OUT_BYTES);
    if (buffer == NULL)
        return err_nomem(err, "writing a filesystem");
    *out = (struct fs_out){.dev = dev, .progress = progress, .buffer = buffer};
    return 0;
}

void fs_out_close(struct fs_out *out)
{
    free(out->buffer);
    out->buffer = NULL;
}

int fs_out_flush(struct fs_out *out, struct plat_err *err)
{
    if (out->used == 0)
        return 0;
    int r = dev_write(out->dev, out->start, out->buffer, out->used, err);
    out->start += out->used;
    out->used = 0;
    return r;
}

int fs_out_take(struct fs_out *out, uint64_t offset, size_t n, uint8_t **ret, struct plat_err *err)
{
    uint64_t end = out->start + out->used;
    if (offset < end || n > FS_OUT_BYTES)
        return err_set(err, PLAT_EBUG, "write of %zu bytes at %llu, behind %llu", n,
                       (unsigned long long)offset, (unsigned long long)end);

    uint64_t gap = offset - end;
    if (gap > GAP_BYTES_MAX || out->used + gap + n > FS_OUT_BYTES) {
        int r = fs_out_flush(out, err);
        if (r < 0)
            return r;
        out->start = offset;
        gap = 0;
    }
    memset(out->buffer + out->used, 0, (size_t)gap);
    out->used += (size_t)gap;
    *ret = out->buffer + out->used;
    out->used += n;
    return 0;
}

/* All but the tail of a large file. Where the kernel can, it copies without passing through this process. */
static int copy_direct(struct fs_out *out, uint64_t offset, struct tree_reader *reader, uint64_t n,
                       struct plat_err *err)
{
    int r = fs_out_flush(out, err);
    if (r < 0)
        return r;
    if (lseek(reader->fd, (off_t)reader->offset, SEEK_SET) < 0)
        return err_sys(err, errno, "cannot seek in the source file");
    r = dev_write_from_fd(out->dev, offset, reader->fd, n, err);
    if (r < 0)
        return r;
    reader->offset += n;
    reader->left_bytes -= n;
    out->start = offset + n;
    progress_add(out->progress, n);
    return 0;
}

/* With crc32c (NULL: none) the running sum over what was copied. */
static int copy_buffered(struct fs_out *out, uint64_t offset, struct tree_reader *reader, uint32_t *crc32c,
                         struct plat_err *err)
{
    while (reader->left_bytes > 0) {
        /* Fill the buffer to its end before it is flushed. */
        uint64_t end = out->start + out->used;
        size_t n = FS_OUT_BYTES;
        if (offset >= end && offset - end < FS_OUT_BYTES - out->used)
            n = FS_OUT_BYTES - out->used - (size_t)(offset - end);
        if (n > reader->left_bytes)
            n = (size_t)reader->left_bytes;
        uint8_t *bytes = NULL;
        int r = fs_out_take(out, offset, n, &bytes, err);
        if (r == 0)
            r = tree_reader_read(reader, bytes, n, err);
        if (r < 0)
            return r;
        if (crc32c != NULL)
            *crc32c = hash_crc32c(*crc32c, bytes, n);
        offset += n;
        progress_add(out->progress, n);
    }
    return 0;
}

/* What has been read already; *ret NULL where nothing has. */
static int copy_ahead(struct fs_out *out, uint64_t offset, const struct tree_node *node, const uint8_t **ret,
                      struct plat_err *err)
{
    const uint8_t *content = NULL;
    uint8_t *bytes = NULL;
    int r = out->ahead != NULL ? tree_ahead_take(out->ahead, node, &content, err) : 0;
    if (r == 0 && content != NULL)
        r = fs_out_take(out, offset, (size_t)node->size_bytes, &bytes, err);
    if (r != 0)
        return r; /* names the host file, as tree_reader_open does */
    if (content != NULL) {
        memcpy(bytes, content, (size_t)node->size_bytes);
        progress_add(out->progress, node->size_bytes);
    }
    *ret = content;
    return 0;
}

int fs_out_content(struct fs_out *out, uint64_t offset, struct tree *tree, const struct tree_node *node,
                   uint32_t *ret_crc32c, struct plat_err *err)
{
    struct tree_reader reader;
    const uint8_t *content = NULL;
    uint32_t crc32c = 0;
    int r = copy_ahead(out, offset, node, &content, err);
    if (r < 0)
        return r;
    if (content != NULL) {
        if (ret_crc32c != NULL)
            *ret_crc32c = hash_crc32c(0, content, (size_t)node->size_bytes);
        return 0;
    }
    r = tree_reader_open(tree, node, &reader, err);
    if (r < 0)
        return r;
    if (ret_crc32c == NULL && reader.fd >= 0 && reader.left_bytes >= DIRECT_BYTES_MIN) {
        uint64_t direct = reader.left_bytes - DIRECT_TAIL_BYTES;
        r = copy_direct(out, offset, &reader, direct, err);
        offset += direct;
    }
    if (r == 0)
        r = copy_buffered(out, offset, &reader, ret_crc32c != NULL ? &crc32c : NULL, err);
    tree_reader_close(&reader);
    if (r < 0)
        return tree_blame(node, err);
    if (ret_crc32c != NULL)
        *ret_crc32c = crc32c;
    return 0;
}
