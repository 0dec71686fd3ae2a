/* The table of codecs, and what is checked for all of them. */
#include "lib/codec/private.h"

#include <stdlib.h>
#include <string.h>

struct codec_encoder {
    const struct codec_ops *ops;
    size_t max_block_bytes;
    void *state;
    uint8_t *room; /* NULL where the codec writes to the caller's buffer */
    size_t room_bytes;
};

enum { ALLOCATOR_BYTES = 256 /* what malloc adds to a few blocks of memory */ };

struct codec_decoder {
    const struct codec_ops *ops;
    size_t max_block_bytes;
    void *state; /* NULL where decoding needs no memory */
};

const struct codec_ops *codec_ops_of(enum codec_id id)
{
    static const struct codec_ops *const table[CODEC_IDS] = {
        [CODEC_GZIP] = &codec_gzip, [CODEC_LZMA] = &codec_lzma, [CODEC_LZO] = &codec_lzo,
        [CODEC_XZ] = &codec_xz,     [CODEC_LZ4] = &codec_lz4,   [CODEC_ZSTD] = &codec_zstd,
    };
    return (unsigned)id < CODEC_IDS ? table[id] : NULL;
}

const char *codec_name(enum codec_id id)
{
    const struct codec_ops *ops = codec_ops_of(id);
    return ops != NULL ? ops->name : "unknown";
}

bool codec_can_encode(enum codec_id id)
{
    const struct codec_ops *ops = codec_ops_of(id);
    return ops != NULL && ops->encode != NULL;
}

int codec_fault_broken(struct plat_err *err, const char *name, size_t n, const char *why)
{
    return err_set(err, PLAT_ECORRUPT, "%zu bytes of %s data are damaged: %s", n, name, why);
}

int codec_fault_too_large(struct plat_err *err, const char *name, size_t n, size_t out_cap)
{
    return err_set(err, PLAT_ECORRUPT, "%zu bytes of %s data hold more than the %zu bytes that belong here",
                   n, name, out_cap);
}

int codec_fault_trailing(struct plat_err *err, const char *name, size_t n, size_t used)
{
    return err_set(err, PLAT_ECORRUPT, "%s data ends after %zu of its %zu bytes", name, used, n);
}

static int block_size_check(size_t max_block_bytes, struct plat_err *err)
{
    if (max_block_bytes == 0 || max_block_bytes > CODEC_BLOCK_BYTES_MAX)
        return err_set(err, PLAT_ELIMIT, "blocks of %zu bytes; expected 1 to %d", max_block_bytes,
                       (int)CODEC_BLOCK_BYTES_MAX);
    return 0;
}

uint64_t codec_encoder_memory_bytes(const struct codec_settings *settings, size_t max_block_bytes)
{
    const struct codec_ops *ops = codec_ops_of(settings->id);
    if (ops == NULL || ops->encoder_memory == NULL)
        return 0;
    size_t room = ops->encoder_room != NULL ? ops->encoder_room(max_block_bytes) : 0;
    return sizeof(struct codec_encoder) + ALLOCATOR_BYTES + room +
           ops->encoder_memory(settings, max_block_bytes);
}

/* What a kernel sets aside where nothing else is said. */
static uint32_t dict_or_default(size_t max_block_bytes, uint32_t dict_bytes)
{
    size_t usual = max_block_bytes > CODEC_DICT_BYTES_MIN ? max_block_bytes : CODEC_DICT_BYTES_MIN;
    return dict_bytes != 0 ? dict_bytes : (uint32_t)usual;
}

uint64_t codec_decoder_memory_bytes(enum codec_id id, size_t max_block_bytes, uint32_t dict_bytes)
{
    const struct codec_ops *ops = codec_ops_of(id);
    uint64_t own = ops != NULL && ops->decoder_memory != NULL
                       ? ops->decoder_memory(max_block_bytes, dict_or_default(max_block_bytes, dict_bytes))
                       : 0;
    return sizeof(struct codec_decoder) + ALLOCATOR_BYTES + own;
}

int codec_encoder_open(const struct codec_settings *settings, size_t max_block_bytes,
                       struct codec_encoder **ret, struct plat_err *err)
{
    int rc = codec_settings_check(settings, err);
    if (rc == 0)
        rc = block_size_check(max_block_bytes, err);
    if (rc != 0)
        return rc;
    struct codec_encoder *encoder = malloc(sizeof *encoder);
    if (encoder == NULL)
        return err_nomem(err, "opening an encoder");
    const struct codec_ops *ops = codec_ops_of(settings->id);
    *encoder = (struct codec_encoder){.ops = ops, .max_block_bytes = max_block_bytes};
    if (ops->encoder_room != NULL) {
        encoder->room_bytes = ops->encoder_room(max_block_bytes);
        encoder->room = malloc(encoder->room_bytes);
        if (encoder->room == NULL)
            rc = err_nomem(err, "opening an encoder");
    }
    if (rc == 0)
        rc = ops->encoder_open(settings, max_block_bytes, &encoder->state, err);
    if (rc != 0) {
        free(encoder->room);
        free(encoder);
        return rc;
    }
    *ret = encoder;
    return 0;
}

int codec_encode(struct codec_encoder *encoder, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap,
                 size_t *ret_n, struct plat_err *err)
{
    if (n > encoder->max_block_bytes)
        return err_set(err, PLAT_EBUG, "a block of %zu bytes for an encoder of at most %zu", n,
                       encoder->max_block_bytes);
    if (n == 0 || out_cap == 0) {
        *ret_n = 0;
        return 0;
    }
    if (encoder->room == NULL)
        return encoder->ops->encode(encoder->state, in, n, out, out_cap, ret_n, err);
    size_t made = 0;
    int rc = encoder->ops->encode(encoder->state, in, n, encoder->room, encoder->room_bytes, &made, err);
    if (rc != 0)
        return rc;
    if (made > out_cap)
        made = 0;
    memcpy(out, encoder->room, made);
    *ret_n = made;
    return 0;
}

void codec_encoder_close(struct codec_encoder *encoder)
{
    if (encoder == NULL)
        return;
    encoder->ops->encoder_close(encoder->state);
    free(encoder->room);
    free(encoder);
}

int codec_decoder_open(enum codec_id id, size_t max_block_bytes, uint32_t dict_bytes,
                       struct codec_decoder **ret, struct plat_err *err)
{
    const struct codec_ops *ops = codec_ops_of(id);
    if (ops == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "no codec has the number %d", (int)id);
    int rc = block_size_check(max_block_bytes, err);
    if (rc != 0)
        return rc;
    if (dict_bytes > CODEC_BLOCK_BYTES_MAX)
        return err_set(err, PLAT_ELIMIT, "a dictionary of %u bytes; at most %d are taken", dict_bytes,
                       (int)CODEC_BLOCK_BYTES_MAX);
    struct codec_decoder *decoder = malloc(sizeof *decoder);
    if (decoder == NULL)
        return err_nomem(err, "opening a decoder");
    *decoder = (struct codec_decoder){.ops = ops, .max_block_bytes = max_block_bytes};
    if (ops->decoder_open != NULL)
        rc = ops->decoder_open(max_block_bytes, dict_or_default(max_block_bytes, dict_bytes), &decoder->state,
                               err);
    if (rc != 0) {
        free(decoder);
        return rc;
    }
    *ret = decoder;
    return 0;
}

int codec_decode(struct codec_decoder *decoder, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap,
                 size_t *ret_n, struct plat_err *err)
{
    const char *name = decoder->ops->name;
    if (out_cap > decoder->max_block_bytes)
        out_cap = decoder->max_block_bytes;
    if (n == 0)
        return codec_fault_broken(err, name, n, "there are none");
    if (n > 2 * (size_t)CODEC_BLOCK_BYTES_MAX)
        return codec_fault_broken(err, name, n, "no block is that long");
    if (out_cap == 0)
        return codec_fault_too_large(err, name, n, out_cap);
    return decoder->ops->decode(decoder->state, in, n, out, out_cap, ret_n, err);
}

void codec_decoder_close(struct codec_decoder *decoder)
{
    if (decoder == NULL)
        return;
    if (decoder->ops->decoder_close != NULL)
        decoder->ops->decoder_close(decoder->state);
    free(decoder);
}
