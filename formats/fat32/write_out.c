/* Ascending writes through one buffer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/fat32/write_out.h"

enum {
    GAP_BYTES_MAX = 16 * 1024,  /* a larger gap is skipped, and stays a hole */
    DIRECT_BYTES_MIN = 2 << 20, /* files from here on are copied by the kernel, not through the buffer */
    DIRECT_TAIL_BYTES = 4096    /* the end is read here, where a file that has changed is noticed */
};

int fat32_out_open(struct fat32_out *out, struct plat_dev *dev, struct progress *progress,
                   struct plat_err *err)
{
    uint8_t *buffer = malloc(FAT32_OUT_BYTES);
    if (buffer == NULL)
        return err_nomem(err, "writing a FAT32");
    *out = (struct fat32_out){.dev = dev, .progress = progress, .buffer = buffer};
    return 0;
}

void fat32_out_close(struct fat32_out *out)
{
    free(out->buffer);
    out->buffer = NULL;
}

int fat32_out_flush(struct fat32_out *out, struct plat_err *err)
{
    if (out->used == 0)
        return 0;
    int r = dev_write(out->dev, out->start, out->buffer, out->used, err);
    out->start += out->used;
    out->used = 0;
    return r;
}

int fat32_out_take(struct fat32_out *out, uint64_t offset, size_t n, uint8_t **ret, struct plat_err *err)
{
    uint64_t end = out->start + out->used;
    if (offset < end || n > FAT32_OUT_BYTES)
        return err_set(err, PLAT_EBUG, "write of %zu bytes at %llu, behind %llu", n,
                       (unsigned long long)offset, (unsigned long long)end);

    uint64_t gap = offset - end;
    if (gap > GAP_BYTES_MAX || out->used + gap + n > FAT32_OUT_BYTES) {
        int r = fat32_out_flush(out, err);
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
static int copy_direct(struct fat32_out *out, uint64_t offset, struct tree_reader *reader, uint64_t n,
                       struct plat_err *err)
{
    int r = fat32_out_flush(out, err);
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

static int copy_buffered(struct fat32_out *out, uint64_t offset, struct tree_reader *reader,
                         struct plat_err *err)
{
    while (reader->left_bytes > 0) {
        /* Fill the buffer to its end before it is flushed. */
        uint64_t end = out->start + out->used;
        size_t n = FAT32_OUT_BYTES;
        if (offset >= end && offset - end < FAT32_OUT_BYTES - out->used)
            n = FAT32_OUT_BYTES - out->used - (size_t)(offset - end);
        if (n > reader->left_bytes)
            n = (size_t)reader->left_bytes;
        uint8_t *bytes = NULL;
        int r = fat32_out_take(out, offset, n, &bytes, err);
        if (r == 0)
            r = tree_reader_read(reader, bytes, n, err);
        if (r < 0)
            return r;
        offset += n;
        progress_add(out->progress, n);
    }
    return 0;
}

/* What has been read already; *ret false where nothing has. */
static int copy_ahead(struct fat32_out *out, uint64_t offset, const struct tree_node *node, bool *ret,
                      struct plat_err *err)
{
    const uint8_t *content = NULL;
    uint8_t *bytes = NULL;
    int r = out->ahead != NULL ? tree_ahead_take(out->ahead, node, &content, err) : 0;
    if (r == 0 && content != NULL)
        r = fat32_out_take(out, offset, (size_t)node->size_bytes, &bytes, err);
    if (r != 0)
        return fat32_plan_err(err, node);
    if (content != NULL) {
        memcpy(bytes, content, (size_t)node->size_bytes);
        progress_add(out->progress, node->size_bytes);
    }
    *ret = content != NULL;
    return 0;
}

int fat32_out_file(struct fat32_out *out, uint64_t offset, struct tree *tree, const struct tree_node *node,
                   struct plat_err *err)
{
    struct tree_reader reader;
    bool copied = false;
    int r = copy_ahead(out, offset, node, &copied, err);
    if (r < 0 || copied)
        return r;
    r = tree_reader_open(tree, node, &reader, err);
    if (r < 0)
        return r;
    if (reader.fd >= 0 && reader.left_bytes >= DIRECT_BYTES_MIN) {
        uint64_t direct = reader.left_bytes - DIRECT_TAIL_BYTES;
        r = copy_direct(out, offset, &reader, direct, err);
        offset += direct;
    }
    if (r == 0)
        r = copy_buffered(out, offset, &reader, err);
    tree_reader_close(&reader);
    return r < 0 ? fat32_plan_err(err, node) : 0;
}
