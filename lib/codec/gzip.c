/* gzip, in SquashFS's sense: a zlib stream. libdeflate looks at a whole block at a time and is about twice as fast as zlib at
 * the same level, for fewer bytes; its levels 10 to 12 search for the cheapest parse. */
#include "lib/codec/private.h"

#include <libdeflate.h>

enum {
    BEST_PARSE_LEVEL = 10,
    QUICK_BYTES = 1024 * 1024,
    BEST_BYTES = 10 * 1024 * 1024,
    DECODER_BYTES = 16 * 1024
};

/* It gives up some bytes before its output is full, so it gets room. */
static size_t gzip_room(size_t max_block_bytes)
{
    return libdeflate_zlib_compress_bound(NULL, max_block_bytes);
}

static uint64_t gzip_encoder_memory(const struct codec_settings *settings, size_t max_block_bytes)
{
    (void)max_block_bytes; /* its tables are those of the 32 KiB window */
    return settings->level >= BEST_PARSE_LEVEL ? BEST_BYTES : QUICK_BYTES;
}

static int gzip_encoder_open(const struct codec_settings *settings, size_t max_block_bytes, void **ret,
                             struct plat_err *err)
{
    (void)max_block_bytes;
    *ret = libdeflate_alloc_compressor(settings->level);
    return *ret == NULL ? err_nomem(err, "opening a gzip encoder") : 0;
}

static int gzip_encode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                       struct plat_err *err)
{
    (void)err;
    *ret_n = libdeflate_zlib_compress(state, in, n, out, out_cap);
    return 0;
}

static void gzip_encoder_close(void *state)
{
    libdeflate_free_compressor(state);
}

static uint64_t gzip_decoder_memory(size_t max_block_bytes, uint32_t dict_bytes)
{
    (void)max_block_bytes;
    (void)dict_bytes;
    return DECODER_BYTES;
}

static int gzip_decoder_open(size_t max_block_bytes, uint32_t dict_bytes, void **ret, struct plat_err *err)
{
    (void)max_block_bytes;
    (void)dict_bytes;
    *ret = libdeflate_alloc_decompressor();
    return *ret == NULL ? err_nomem(err, "opening a gzip decoder") : 0;
}

static int gzip_decode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                       struct plat_err *err)
{
    size_t used = 0;
    size_t made = 0;
    switch (libdeflate_zlib_decompress_ex(state, in, n, out, out_cap, &used, &made)) {
    case LIBDEFLATE_SUCCESS:
        break;
    case LIBDEFLATE_INSUFFICIENT_SPACE:
        return codec_fault_too_large(err, "gzip", n, out_cap);
    default:
        return codec_fault_broken(err, "gzip", n, "no zlib stream that is whole and has the right Adler-32");
    }
    if (used != n)
        return codec_fault_trailing(err, "gzip", n, used);
    *ret_n = made;
    return 0;
}

static void gzip_decoder_close(void *state)
{
    libdeflate_free_decompressor(state);
}

const struct codec_ops codec_gzip = {
    .name = "gzip",
    .level_min = 1,
    .level_max = 12,
    .level_default = 9,
    .encoder_room = gzip_room,
    .encoder_memory = gzip_encoder_memory,
    .encoder_open = gzip_encoder_open,
    .encode = gzip_encode,
    .encoder_close = gzip_encoder_close,
    .decoder_memory = gzip_decoder_memory,
    .decoder_open = gzip_decoder_open,
    .decode = gzip_decode,
    .decoder_close = gzip_decoder_close,
};
