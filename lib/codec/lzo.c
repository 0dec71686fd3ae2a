/* lzo: raw LZO1X data, which all of its compressors make. */
#include "lib/codec/private.h"

#include <lzo/lzo1x.h>
#include <stdlib.h>

struct lzo_encoder {
    enum codec_lzo_algorithm algorithm;
    int level;
    void *work;
};

static size_t work_bytes(const struct codec_settings *settings)
{
    switch (settings->lzo_algorithm) {
    case CODEC_LZO_1:
        return LZO1X_1_MEM_COMPRESS;
    case CODEC_LZO_1_11:
        return LZO1X_1_11_MEM_COMPRESS;
    case CODEC_LZO_1_12:
        return LZO1X_1_12_MEM_COMPRESS;
    case CODEC_LZO_1_15:
        return LZO1X_1_15_MEM_COMPRESS;
    default:
        return LZO1X_999_MEM_COMPRESS;
    }
}

/* The library's own bound for data that does not get smaller: it is not told where its output ends. */
static size_t lzo_room(size_t n)
{
    return n + n / 16 + 64 + 3;
}

static uint64_t lzo_encoder_memory(const struct codec_settings *settings, size_t max_block_bytes)
{
    (void)max_block_bytes;
    return sizeof(struct lzo_encoder) + work_bytes(settings);
}

static void lzo_encoder_close(void *state)
{
    struct lzo_encoder *encoder = state;
    free(encoder->work);
    free(encoder);
}

static int lzo_encoder_open(const struct codec_settings *settings, size_t max_block_bytes, void **ret,
                            struct plat_err *err)
{
    (void)max_block_bytes;
    if (lzo_init() != LZO_E_OK)
        return err_set(err, PLAT_EUNSUPPORTED,
                       "the lzo library does not fit this build; rebuild plat with it");
    struct lzo_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return err_nomem(err, "opening an lzo encoder");
    encoder->algorithm = settings->lzo_algorithm;
    encoder->level = settings->level;
    encoder->work = calloc(1, work_bytes(settings));
    if (encoder->work == NULL) {
        lzo_encoder_close(encoder);
        return err_nomem(err, "opening an lzo encoder");
    }
    *ret = encoder;
    return 0;
}

static int compress_with(const struct lzo_encoder *encoder, const uint8_t *in, size_t n, uint8_t *out,
                         lzo_uint *made)
{
    switch (encoder->algorithm) {
    case CODEC_LZO_1:
        return lzo1x_1_compress(in, n, out, made, encoder->work);
    case CODEC_LZO_1_11:
        return lzo1x_1_11_compress(in, n, out, made, encoder->work);
    case CODEC_LZO_1_12:
        return lzo1x_1_12_compress(in, n, out, made, encoder->work);
    case CODEC_LZO_1_15:
        return lzo1x_1_15_compress(in, n, out, made, encoder->work);
    default:
        return lzo1x_999_compress_level(in, n, out, made, encoder->work, NULL, 0, NULL, encoder->level);
    }
}

static int lzo_encode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                      struct plat_err *err)
{
    lzo_uint made = 0;
    if (out_cap < lzo_room(n) || compress_with(state, in, n, out, &made) != LZO_E_OK)
        return err_set(err, PLAT_EBUG, "lzo refuses a block of %zu bytes", n);
    *ret_n = made;
    return 0;
}

static int lzo_decode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                      struct plat_err *err)
{
    (void)state;
    lzo_uint made = out_cap;
    switch (lzo1x_decompress_safe(in, n, out, &made, NULL)) {
    case LZO_E_OK:
        break;
    case LZO_E_OUTPUT_OVERRUN:
        return codec_fault_too_large(err, "lzo", n, out_cap);
    case LZO_E_INPUT_NOT_CONSUMED:
        return codec_fault_broken(err, "lzo", n, "bytes follow its end");
    case LZO_E_INPUT_OVERRUN:
    case LZO_E_EOF_NOT_FOUND:
        return codec_fault_broken(err, "lzo", n, "it ends too early");
    default:
        return codec_fault_broken(err, "lzo", n, "it refers to what comes before its begin");
    }
    *ret_n = made;
    return 0;
}

const struct codec_ops codec_lzo = {
    .name = "lzo",
    .encoder_room = lzo_room,
    .encoder_memory = lzo_encoder_memory,
    .encoder_open = lzo_encoder_open,
    .encode = lzo_encode,
    .encoder_close = lzo_encoder_close,
    .decode = lzo_decode,
};
