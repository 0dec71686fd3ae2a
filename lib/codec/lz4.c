/* lz4: a raw block, no frame around it. HC spends more time for fewer bytes; decoders cannot tell. */
#include "lib/codec/private.h"

#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>

struct lz4_encoder {
    int hc_level; /* 0: not HC */
    void *tables;
};

static size_t tables_bytes(const struct codec_settings *settings)
{
    return (size_t)(settings->lz4_hc ? LZ4_sizeofStateHC() : LZ4_sizeofState());
}

static uint64_t lz4_encoder_memory(const struct codec_settings *settings, size_t max_block_bytes)
{
    (void)max_block_bytes;
    return sizeof(struct lz4_encoder) + tables_bytes(settings);
}

static int lz4_encoder_open(const struct codec_settings *settings, size_t max_block_bytes, void **ret,
                            struct plat_err *err)
{
    (void)max_block_bytes;
    struct lz4_encoder *encoder = malloc(sizeof *encoder);
    void *tables = malloc(tables_bytes(settings));
    if (encoder == NULL || tables == NULL) {
        free(encoder);
        free(tables);
        return err_nomem(err, "opening an lz4 encoder");
    }
    *encoder = (struct lz4_encoder){.hc_level = settings->lz4_hc ? settings->level : 0, .tables = tables};
    *ret = encoder;
    return 0;
}

static int lz4_encode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                      struct plat_err *err)
{
    (void)err;
    const struct lz4_encoder *encoder = state;
    int cap = out_cap > LZ4_MAX_INPUT_SIZE ? LZ4_MAX_INPUT_SIZE : (int)out_cap;
    int made =
        encoder->hc_level != 0
            ? LZ4_compress_HC_extStateHC(encoder->tables, (const char *)in, (char *)out, (int)n, cap,
                                         encoder->hc_level)
            : LZ4_compress_fast_extState(encoder->tables, (const char *)in, (char *)out, (int)n, cap, 1);
    *ret_n = made > 0 ? (size_t)made : 0;
    return 0;
}

static void lz4_encoder_close(void *state)
{
    struct lz4_encoder *encoder = state;
    free(encoder->tables);
    free(encoder);
}

/* A block says neither where it ends nor how long it becomes: only that it must be used up exactly. */
static int lz4_decode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                      struct plat_err *err)
{
    (void)state;
    int made = LZ4_decompress_safe((const char *)in, (char *)out, (int)n, (int)out_cap);
    if (made < 0)
        return codec_fault_broken(err, "lz4", n, "it contradicts itself, or holds more than fits");
    *ret_n = (size_t)made;
    return 0;
}

const struct codec_ops codec_lz4 = {
    .name = "lz4",
    .encoder_memory = lz4_encoder_memory,
    .encoder_open = lz4_encoder_open,
    .encode = lz4_encode,
    .encoder_close = lz4_encoder_close,
    .decode = lz4_decode,
};
