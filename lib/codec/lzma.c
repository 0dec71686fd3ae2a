/* lzma: the .lzma file that came before .xz, in old images and firmware alone; only decoded.
 *
 *      | properties: 1 byte | dictionary: u32 | size when decoded: u64, or all ones | LZMA data |
 *
 * The dictionary that a header asks for says nothing about what a block needs, which is at most the block itself. So the
 * decoder is given a header with a dictionary of the block's size, and memory does not depend on the input. */
#include "lib/codec/liblzma.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"

enum {
    PROPERTIES_BYTES = 1,
    DICT_FIELD_BYTES = 4,
    HEADER_BYTES = PROPERTIES_BYTES + DICT_FIELD_BYTES + 8,
    EXTRA_BYTES = 64 * 1024
};

struct lzma_decoder {
    lzma_stream stream;
    uint32_t dict_bytes;
};

static uint64_t lzma_decoder_memory(size_t max_block_bytes, uint32_t dict_bytes)
{
    (void)dict_bytes;
    lzma_options_lzma options = {.dict_size = (uint32_t)max_block_bytes};
    lzma_filter filters[] = {{LZMA_FILTER_LZMA1, &options}, {LZMA_VLI_UNKNOWN, NULL}};
    return lzma_raw_decoder_memusage(filters) + sizeof(struct lzma_decoder) + EXTRA_BYTES;
}

static int lzma_decoder_open(size_t max_block_bytes, uint32_t dict_bytes, void **ret, struct plat_err *err)
{
    (void)dict_bytes;
    struct lzma_decoder *decoder = malloc(sizeof *decoder);
    if (decoder == NULL)
        return err_nomem(err, "opening an lzma decoder");
    *decoder = (struct lzma_decoder){.stream = LZMA_STREAM_INIT, .dict_bytes = (uint32_t)max_block_bytes};
    *ret = decoder;
    return 0;
}

static int lzma_decode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                       struct plat_err *err)
{
    struct lzma_decoder *decoder = state;
    lzma_stream *stream = &decoder->stream;
    if (n <= HEADER_BYTES)
        return codec_fault_broken(err, "lzma", n, "it ends in its header");
    uint8_t header[HEADER_BYTES];
    memcpy(header, in, sizeof header);
    if (load_le32(header + PROPERTIES_BYTES) > decoder->dict_bytes)
        store_le32(header + PROPERTIES_BYTES, decoder->dict_bytes);
    uint64_t stated = load_le64(header + PROPERTIES_BYTES + DICT_FIELD_BYTES);
    if (stated != UINT64_MAX && stated > out_cap)
        return codec_fault_too_large(err, "lzma", n, out_cap);
    if (lzma_alone_decoder(stream, UINT64_MAX) != LZMA_OK)
        return err_nomem(err, "decompressing lzma");
    stream->next_in = header;
    stream->avail_in = sizeof header;
    stream->next_out = out;
    stream->avail_out = out_cap;
    if (lzma_code(stream, LZMA_RUN) != LZMA_OK)
        return codec_fault_broken(err, "lzma", n, "its header is none");
    stream->next_in = in + HEADER_BYTES;
    stream->avail_in = n - HEADER_BYTES;
    return codec_liblzma_decode(stream, "lzma", n, out, out_cap, ret_n, err);
}

static void lzma_decoder_close(void *state)
{
    struct lzma_decoder *decoder = state;
    lzma_end(&decoder->stream);
    free(decoder);
}

const struct codec_ops codec_lzma = {
    .name = "lzma",
    .decoder_memory = lzma_decoder_memory,
    .decoder_open = lzma_decoder_open,
    .decode = lzma_decode,
    .decoder_close = lzma_decoder_close,
};
