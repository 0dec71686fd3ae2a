/* zstd: one frame a block. In one shot the library fits the window to the block, so that a kernel, which has set memory
 * aside for windows of the block size, can always decode it. */
#include "lib/codec/private.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "lib/base/bytes.h"

enum {
    TABLE_ENTRY_BYTES = 4,
    ROW_TAG_BYTES = 2,
    SHORT_MATCH_TABLE_BYTES = TABLE_ENTRY_BYTES << 17,
    PARSER_BYTES = 256 * 1024,
    INNER_BLOCK_BYTES = 128 * 1024, /* literals and sequences are kept for one of these at a time */
    BYTES_PER_LITERAL = 6,          /* a literal, and a third of a sequence of 14 */
    DECODER_BYTES = 256 * 1024
};

/* The library keeps its own formula for itself; this is its worst case: tables of twice the window in both dimensions. */
static uint64_t zstd_encoder_memory(const struct codec_settings *settings, size_t max_block_bytes)
{
    (void)settings;
    uint64_t window = 1024;
    while (window < max_block_bytes)
        window *= 2;
    uint64_t inner = window < INNER_BLOCK_BYTES ? window : INNER_BLOCK_BYTES;
    return 2 * window * (2 * TABLE_ENTRY_BYTES + ROW_TAG_BYTES) + SHORT_MATCH_TABLE_BYTES + PARSER_BYTES +
           inner * BYTES_PER_LITERAL;
}

/* With less it gives up early, or falls back to plain blocks: what it makes would depend on the room. */
static size_t zstd_room(size_t max_block_bytes)
{
    return ZSTD_compressBound(max_block_bytes);
}

static int zstd_encoder_open(const struct codec_settings *settings, size_t max_block_bytes, void **ret,
                             struct plat_err *err)
{
    (void)max_block_bytes;
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    if (ctx == NULL)
        return err_nomem(err, "opening a zstd encoder");
    if (ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, settings->level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 1)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 0)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_dictIDFlag, 0))) {
        (void)ZSTD_freeCCtx(ctx);
        return err_set(err, PLAT_EBUG, "zstd refuses level %d", settings->level);
    }
    *ret = ctx;
    return 0;
}

static int zstd_encode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                       struct plat_err *err)
{
    size_t made = ZSTD_compress2(state, out, out_cap, in, n);
    if (ZSTD_isError(made)) {
        if (ZSTD_getErrorCode(made) == ZSTD_error_memory_allocation)
            return err_nomem(err, "compressing with zstd");
        return err_set(err, PLAT_EBUG, "zstd: %s", ZSTD_getErrorName(made));
    }
    *ret_n = made;
    return 0;
}

static void zstd_encoder_close(void *state)
{
    (void)ZSTD_freeCCtx(state);
}

struct zstd_decoder {
    ZSTD_DCtx *ctx;
    uint32_t window_bytes;
};

static uint64_t zstd_decoder_memory(size_t max_block_bytes, uint32_t dict_bytes)
{
    (void)max_block_bytes;
    (void)dict_bytes; /* in one shot the output is the window */
    return DECODER_BYTES;
}

static int zstd_decoder_open(size_t max_block_bytes, uint32_t dict_bytes, void **ret, struct plat_err *err)
{
    (void)max_block_bytes;
    struct zstd_decoder *decoder = malloc(sizeof *decoder);
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (decoder == NULL || ctx == NULL) {
        free(decoder);
        (void)ZSTD_freeDCtx(ctx);
        return err_nomem(err, "opening a zstd decoder");
    }
    *decoder = (struct zstd_decoder){.ctx = ctx, .window_bytes = dict_bytes};
    *ret = decoder;
    return 0;
}

/* RFC 8878, 3.1.1.1:  magic(4) descriptor(1) [window(1)] [dictionary(0-4)] [content size(0-8)]
 * Looks at what the library does not limit in one shot, but kernels do. */
static int frame_header_check(const uint8_t *in, size_t n, uint32_t window_max, struct plat_err *err)
{
    static const unsigned dict_widths[4] = {0, 1, 2, 4};
    static const unsigned size_widths[4] = {0, 2, 4, 8};
    size_t at = sizeof(uint32_t);
    if (n <= at || load_le32(in) != ZSTD_MAGICNUMBER)
        return codec_fault_broken(err, "zstd", n, "does not begin as a frame does");
    unsigned descriptor = in[at++];
    bool single_segment = (descriptor >> 5 & 1) != 0;
    unsigned dict_width = dict_widths[descriptor & 3];
    unsigned size_width = size_widths[descriptor >> 6];
    if (single_segment && size_width == 0)
        size_width = 1;
    if (n - at < (single_segment ? 0U : 1U) + dict_width + size_width)
        return codec_fault_broken(err, "zstd", n, "ends in its frame header");
    uint64_t window = 0;
    if (!single_segment) {
        uint64_t base = UINT64_C(1) << (10 + (in[at] >> 3));
        window = base + base / 8 * (in[at] & 7);
        at++;
    }
    if (dict_width != 0 && load_uint(in + at, dict_width, false) != 0)
        return err_set(err, PLAT_EUNSUPPORTED,
                       "zstd data wants a dictionary from elsewhere; kernels have none");
    at += dict_width;
    if (single_segment && size_width != 0)
        window = load_uint(in + at, size_width, false) + (size_width == 2 ? 256 : 0);
    if (window > window_max)
        return err_set(err, PLAT_EUNSUPPORTED,
                       "zstd data needs a window of %llu bytes; kernels set %u aside for this block size",
                       (unsigned long long)window, window_max);
    return 0;
}

static int zstd_decode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                       struct plat_err *err)
{
    struct zstd_decoder *decoder = state;
    int rc = frame_header_check(in, n, decoder->window_bytes, err);
    if (rc != 0)
        return rc;
    size_t frame = ZSTD_findFrameCompressedSize(in, n);
    if (ZSTD_isError(frame))
        return codec_fault_broken(err, "zstd", n, ZSTD_getErrorName(frame));
    if (frame != n)
        return codec_fault_trailing(err, "zstd", n, frame);
    size_t made = ZSTD_decompressDCtx(decoder->ctx, out, out_cap, in, n);
    if (ZSTD_isError(made)) {
        if (ZSTD_getErrorCode(made) == ZSTD_error_dstSize_tooSmall)
            return codec_fault_too_large(err, "zstd", n, out_cap);
        return codec_fault_broken(err, "zstd", n, ZSTD_getErrorName(made));
    }
    *ret_n = made;
    return 0;
}

static void zstd_decoder_close(void *state)
{
    struct zstd_decoder *decoder = state;
    (void)ZSTD_freeDCtx(decoder->ctx);
    free(decoder);
}

const struct codec_ops codec_zstd = {
    .name = "zstd",
    .level_min = 1,
    .level_max = 22,
    .level_default = 15,
    .encoder_room = zstd_room,
    .encoder_memory = zstd_encoder_memory,
    .encoder_open = zstd_encoder_open,
    .encode = zstd_encode,
    .encoder_close = zstd_encoder_close,
    .decoder_memory = zstd_decoder_memory,
    .decoder_open = zstd_decoder_open,
    .decode = zstd_decode,
    .decoder_close = zstd_decoder_close,
};
