/* Two compressed forms that libarchive does not write and that the Linux kernel insists on for an initramfs.
 *
 * xz: the kernel's decoder knows the CRC32 check only (libarchive writes CRC64), so liblzma is called
 * directly.
 *
 * lz4: the kernel reads the legacy form only. Its blocks are those of a frame with independent blocks:
 *
 *   frame    magic 184D2204h | descriptor FLG BD [8 content size] HC | block ... | 00000000h
 *            block: size u32, bit 31: stored as it is | data
 *   legacy   magic 184C2102h | block ...                              (no end mark)
 *            block: size u32 | data, always compressed
 *
 * so the frame that libarchive made is taken apart and its blocks are framed anew; a stored block becomes one
 * run of literals, which is what LZ4 calls data that does not compress. */
#include "formats/archive/private.h"

#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"

enum {
    XZ_OUT_BYTES = 64 * 1024,
    LZ4_BLOCK_MAX_BYTES = 4 << 20, /* libarchive's block size */
    LZ4_HEADER_MAX_BYTES = 15,
    LZ4_FLAG_CONTENT_SIZE = 1 << 3,
    LZ4_RUN_BYTE = 255
};
#define LZ4_FRAME_MAGIC UINT32_C(0x184d2204)
#define LZ4_LEGACY_MAGIC UINT32_C(0x184c2102)
#define LZ4_STORED_BIT UINT32_C(0x80000000)
#define XZ_DEFAULT_LEVEL 6

enum lz4_state { LZ4_HEADER, LZ4_SIZE, LZ4_DATA, LZ4_END };

struct kernel_codec {
    enum archive_codec kind;
    codec_output_fn fn;
    void *ctx;
    lzma_stream xz;
    enum lz4_state state;
    uint8_t *buf;      /* xz: output; lz4: what of the current header or block has come */
    size_t have, want; /* lz4 */
    bool stored;       /* lz4: the current block is */
};

int kernel_codec_open(enum archive_codec kind, const struct archive_options *options, codec_output_fn fn,
                      void *ctx, struct kernel_codec **ret, struct plat_err *err)
{
    struct kernel_codec *c = calloc(1, sizeof *c);
    if (c == NULL)
        return err_nomem(err, "compressing");
    c->kind = kind;
    c->fn = fn;
    c->ctx = ctx;
    c->state = LZ4_HEADER;
    c->want = 6; /* magic, FLG, BD; more when FLG says so */
    c->buf = malloc(kind == CODEC_XZ ? XZ_OUT_BYTES : LZ4_BLOCK_MAX_BYTES);
    bool ok = c->buf != NULL;
    if (ok && kind == CODEC_XZ) {
        c->xz = (lzma_stream)LZMA_STREAM_INIT;
        ok = lzma_easy_encoder(&c->xz, options->has_level ? options->level : XZ_DEFAULT_LEVEL,
                               LZMA_CHECK_CRC32) == LZMA_OK;
    }
    if (!ok) {
        kernel_codec_close(c);
        return err_nomem(err, "compressing");
    }
    *ret = c;
    return 0;
}

void kernel_codec_close(struct kernel_codec *codec)
{
    if (codec == NULL)
        return;
    if (codec->kind == CODEC_XZ)
        lzma_end(&codec->xz);
    free(codec->buf);
    free(codec);
}

static int run_xz(struct kernel_codec *c, lzma_action action, struct plat_err *err)
{
    for (;;) {
        c->xz.next_out = c->buf;
        c->xz.avail_out = XZ_OUT_BYTES;
        lzma_ret r = lzma_code(&c->xz, action);
        if (r != LZMA_OK && r != LZMA_STREAM_END)
            return r == LZMA_MEM_ERROR ? err_nomem(err, "compressing")
                                       : err_set(err, PLAT_EBUG, "liblzma failed with code %d", (int)r);
        size_t n = XZ_OUT_BYTES - c->xz.avail_out;
        int rc = n > 0 ? c->fn(c->ctx, c->buf, n) : 0;
        if (rc != 0)
            return rc;
        bool done = action == LZMA_FINISH ? r == LZMA_STREAM_END : c->xz.avail_in == 0 && c->xz.avail_out > 0;
        if (done)
            return 0;
    }
}

/* One block of `n` literals: token, length in runs of 255, bytes. */
static int write_stored(struct kernel_codec *c, const uint8_t *data, size_t n)
{
    enum { SHORT_RUN = 15 };
    size_t n_length_bytes = n < SHORT_RUN ? 0 : (n - SHORT_RUN) / LZ4_RUN_BYTE + 1;
    uint8_t *head = malloc(4 + 1 + n_length_bytes);
    if (head == NULL)
        return PLAT_ENOMEM;
    store_le32(head, (uint32_t)(1 + n_length_bytes + n));
    head[4] = (uint8_t)((n < SHORT_RUN ? n : SHORT_RUN) << 4);
    for (size_t i = 0; i < n_length_bytes; i++)
        head[5 + i] = i + 1 < n_length_bytes ? LZ4_RUN_BYTE : (uint8_t)((n - SHORT_RUN) % LZ4_RUN_BYTE);
    int r = c->fn(c->ctx, head, 5 + n_length_bytes);
    free(head);
    return r != 0 ? r : c->fn(c->ctx, data, n);
}

/* buf[0..want) is complete: act on it and say what comes next. */
static int lz4_step(struct kernel_codec *c, struct plat_err *err)
{
    uint8_t word[4];
    uint32_t size;
    int r = 0;
    switch (c->state) {
    case LZ4_HEADER:
        if (load_le32(c->buf) != LZ4_FRAME_MAGIC)
            return err_set(err, PLAT_EBUG, "libarchive's lz4 output does not begin with a frame");
        size = (c->buf[4] & LZ4_FLAG_CONTENT_SIZE) != 0 ? LZ4_HEADER_MAX_BYTES : LZ4_HEADER_MAX_BYTES - 8;
        if (c->want < size) {
            c->want = size;
            return 0;
        }
        store_le32(word, LZ4_LEGACY_MAGIC);
        r = c->fn(c->ctx, word, sizeof word);
        c->state = LZ4_SIZE;
        c->want = 4;
        break;
    case LZ4_SIZE:
        size = load_le32(c->buf);
        c->stored = (size & LZ4_STORED_BIT) != 0;
        size &= ~LZ4_STORED_BIT;
        if (size > LZ4_BLOCK_MAX_BYTES)
            return err_set(err, PLAT_EBUG, "libarchive's lz4 output has a block of %u bytes", (unsigned)size);
        c->state = size == 0 ? LZ4_END : LZ4_DATA;
        c->want = size;
        break;
    case LZ4_DATA:
        if (c->stored) {
            r = write_stored(c, c->buf, c->want);
        } else {
            store_le32(word, (uint32_t)c->want);
            r = c->fn(c->ctx, word, sizeof word);
            if (r == 0)
                r = c->fn(c->ctx, c->buf, c->want);
        }
        c->state = LZ4_SIZE;
        c->want = 4;
        break;
    case LZ4_END:
    default:
        return err_set(err, PLAT_EBUG, "libarchive's lz4 output goes on behind its end");
    }
    c->have = 0;
    return r;
}

static int feed_lz4(struct kernel_codec *c, const uint8_t *bytes, size_t n, struct plat_err *err)
{
    while (n > 0) {
        if (c->state == LZ4_END)
            return err_set(err, PLAT_EBUG, "libarchive's lz4 output goes on behind its end");
        size_t room = c->want - c->have;
        size_t step = n < room ? n : room;
        memcpy(c->buf + c->have, bytes, step);
        c->have += step;
        bytes += step;
        n -= step;
        if (c->have < c->want)
            continue;
        int r = lz4_step(c, err);
        if (r != 0)
            return r;
    }
    return 0;
}

int kernel_codec_feed(struct kernel_codec *codec, const void *bytes, size_t n, struct plat_err *err)
{
    if (codec->kind == CODEC_LZ4)
        return feed_lz4(codec, bytes, n, err);
    codec->xz.next_in = bytes;
    codec->xz.avail_in = n;
    return n > 0 ? run_xz(codec, LZMA_RUN, err) : 0;
}

int kernel_codec_finish(struct kernel_codec *codec, struct plat_err *err)
{
    if (codec->kind == CODEC_XZ)
        return run_xz(codec, LZMA_FINISH, err);
    return codec->state == LZ4_END ? 0 : err_set(err, PLAT_EBUG, "libarchive's lz4 output has no end");
}
