/* xz: a whole .xz file for each block, as kernels decode it:
 *
 *      | stream header | block header: [BCJ], LZMA2 | LZMA2 data | CRC32 | index | footer |
 *
 * The block header leaves out the sizes, which it may: that saves about 8 bytes a block. Each chain of filters has an
 * lzma_stream of its own, because liblzma keeps the memory of a stream that is set up again the same way. */
#include "lib/codec/liblzma.h"

#include <stdlib.h>
#include <string.h>

enum { TRIES_MAX = 9 /* no filter, and each of eight */, STREAM_EXTRA_BYTES = 64 * 1024 };

static const struct xz_filter {
    uint32_t bit;
    lzma_vli id;
} bcj_filters[] = {
    {CODEC_XZ_X86, LZMA_FILTER_X86},           {CODEC_XZ_POWERPC, LZMA_FILTER_POWERPC},
    {CODEC_XZ_IA64, LZMA_FILTER_IA64},         {CODEC_XZ_ARM, LZMA_FILTER_ARM},
    {CODEC_XZ_ARMTHUMB, LZMA_FILTER_ARMTHUMB}, {CODEC_XZ_SPARC, LZMA_FILTER_SPARC},
#ifdef LZMA_FILTER_ARM64
    {CODEC_XZ_ARM64, LZMA_FILTER_ARM64},
#endif
#ifdef LZMA_FILTER_RISCV
    {CODEC_XZ_RISCV, LZMA_FILTER_RISCV},
#endif
};
enum { N_BCJ_FILTERS = sizeof bcj_filters / sizeof bcj_filters[0] };

struct xz_try {
    lzma_stream stream;
    lzma_filter filters[3];
};

struct xz_encoder {
    lzma_options_lzma options;
    size_t n_tries;
    struct xz_try tries[TRIES_MAX];
    uint8_t *other; /* where a try goes that may lose against the one in out; max_block_bytes */
    size_t other_bytes;
};

struct xz_decoder {
    lzma_stream stream;
    uint32_t dict_bytes;
    uint64_t memory_bytes;
};

uint32_t codec_xz_filters_known(void)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < N_BCJ_FILTERS; i++)
        mask |= bcj_filters[i].bit;
    return mask;
}

/* ---- encoding ---- */

static bool options_of(const struct codec_settings *settings, size_t max_block_bytes, lzma_options_lzma *ret)
{
    uint32_t preset = (uint32_t)settings->level | (settings->xz_extreme ? LZMA_PRESET_EXTREME : 0);
    if (lzma_lzma_preset(ret, preset))
        return false;
    ret->dict_size = codec_xz_dict_bytes(settings, max_block_bytes);
    ret->lc = settings->xz_lc;
    ret->lp = settings->xz_lp;
    ret->pb = settings->xz_pb;
    return true;
}

static uint64_t xz_encoder_memory(const struct codec_settings *settings, size_t max_block_bytes)
{
    lzma_options_lzma options;
    if (!options_of(settings, max_block_bytes, &options))
        return 0;
    lzma_filter filters[] = {
        {LZMA_FILTER_X86, NULL}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
    uint64_t tries = 1 + (uint64_t)__builtin_popcount(settings->xz_filters);
    return sizeof(struct xz_encoder) + max_block_bytes +
           tries * (lzma_raw_encoder_memusage(filters) + STREAM_EXTRA_BYTES);
}

static void xz_encoder_close(void *state)
{
    struct xz_encoder *encoder = state;
    for (size_t i = 0; i < encoder->n_tries; i++)
        lzma_end(&encoder->tries[i].stream);
    free(encoder->other);
    free(encoder);
}

static void add_try(struct xz_encoder *encoder, const struct xz_filter *bcj)
{
    struct xz_try *try = &encoder->tries[encoder->n_tries++];
    size_t n = 0;
    try->stream = (lzma_stream)LZMA_STREAM_INIT;
    if (bcj != NULL)
        try->filters[n++] = (lzma_filter){bcj->id, NULL};
    try->filters[n++] = (lzma_filter){LZMA_FILTER_LZMA2, &encoder->options};
    try->filters[n] = (lzma_filter){LZMA_VLI_UNKNOWN, NULL};
}

static int try_begin(struct xz_try *try, struct plat_err *err)
{
    switch (lzma_stream_encoder(&try->stream, try->filters, LZMA_CHECK_CRC32)) {
    case LZMA_OK:
        return 0;
    case LZMA_MEM_ERROR:
        return err_nomem(err, "compressing with xz");
    default:
        return err_set(err, PLAT_EBUG, "liblzma refuses settings that were checked");
    }
}

static int xz_encoder_open(const struct codec_settings *settings, size_t max_block_bytes, void **ret,
                           struct plat_err *err)
{
    struct xz_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return err_nomem(err, "opening an xz encoder");
    int rc = options_of(settings, max_block_bytes, &encoder->options)
                 ? 0
                 : err_set(err, PLAT_EUNSUPPORTED, "this liblzma has no xz level %d", settings->level);
    add_try(encoder, NULL);
    for (size_t i = 0; i < N_BCJ_FILTERS; i++)
        if ((settings->xz_filters & bcj_filters[i].bit) != 0)
            add_try(encoder, &bcj_filters[i]);
    encoder->other_bytes = encoder->n_tries > 1 ? max_block_bytes : 0;
    if (rc == 0 && encoder->other_bytes > 0 && (encoder->other = malloc(encoder->other_bytes)) == NULL)
        rc = err_nomem(err, "opening an xz encoder");
    for (size_t i = 0; rc == 0 && i < encoder->n_tries; i++)
        rc = try_begin(&encoder->tries[i], err);
    if (rc != 0) {
        xz_encoder_close(encoder);
        return rc;
    }
    *ret = encoder;
    return 0;
}

/* *ret_n = 0: does not fit in out_cap. */
static int try_run(struct xz_try *try, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap,
                   size_t *ret_n, struct plat_err *err)
{
    int rc = try_begin(try, err);
    if (rc != 0)
        return rc;
    lzma_stream *stream = &try->stream;
    stream->next_in = in;
    stream->avail_in = n;
    stream->next_out = out;
    stream->avail_out = out_cap;
    lzma_ret code = LZMA_OK;
    while (code == LZMA_OK && stream->avail_out > 0)
        code = lzma_code(stream, LZMA_FINISH);
    if (code == LZMA_MEM_ERROR)
        return err_nomem(err, "compressing with xz");
    if (code != LZMA_OK && code != LZMA_STREAM_END && code != LZMA_BUF_ERROR)
        return err_set(err, PLAT_EBUG, "liblzma fails to compress, with code %d", (int)code);
    *ret_n = code == LZMA_STREAM_END ? out_cap - stream->avail_out : 0;
    return 0;
}

static int xz_encode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                     struct plat_err *err)
{
    struct xz_encoder *encoder = state;
    size_t best = 0;
    int rc = try_run(&encoder->tries[0], in, n, out, out_cap, &best, err);
    for (size_t i = 1; rc == 0 && i < encoder->n_tries; i++) {
        size_t cap = best != 0 ? best - 1 : out_cap;
        size_t made = 0;
        if (cap > encoder->other_bytes)
            cap = encoder->other_bytes;
        rc = try_run(&encoder->tries[i], in, n, encoder->other, cap, &made, err);
        if (rc == 0 && made != 0) {
            memcpy(out, encoder->other, made);
            best = made;
        }
    }
    if (rc == 0)
        *ret_n = best;
    return rc;
}

/* ---- decoding ---- */

/* What liblzma takes for the longest chain that is accepted. */
static uint64_t chain_memory(uint32_t dict_bytes)
{
    lzma_options_lzma options = {.dict_size = dict_bytes};
    lzma_filter filters[] = {
        {LZMA_FILTER_X86, NULL}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
    return lzma_raw_decoder_memusage(filters) + STREAM_EXTRA_BYTES;
}

static uint64_t xz_decoder_memory(size_t max_block_bytes, uint32_t dict_bytes)
{
    (void)max_block_bytes;
    return sizeof(struct xz_decoder) + chain_memory(dict_bytes);
}

static int xz_decoder_open(size_t max_block_bytes, uint32_t dict_bytes, void **ret, struct plat_err *err)
{
    (void)max_block_bytes;
    struct xz_decoder *decoder = malloc(sizeof *decoder);
    if (decoder == NULL)
        return err_nomem(err, "opening an xz decoder");
    *decoder = (struct xz_decoder){
        .stream = LZMA_STREAM_INIT, .dict_bytes = dict_bytes, .memory_bytes = chain_memory(dict_bytes)};
    *ret = decoder;
    return 0;
}

static bool is_bcj(lzma_vli id)
{
    for (size_t i = 0; i < N_BCJ_FILTERS; i++)
        if (bcj_filters[i].id == id)
            return true;
    return false;
}

/* [BCJ from offset 0,] LZMA2 with a dictionary that kernels have set aside. */
static int chain_check(const lzma_filter *filters, uint32_t dict_max, struct plat_err *err)
{
    size_t n = 0;
    while (filters[n].id != LZMA_VLI_UNKNOWN)
        n++;
    if (n > 2 || (n == 2 && (!is_bcj(filters[0].id) || filters[0].options != NULL)))
        return err_set(
            err, PLAT_EUNSUPPORTED,
            "xz data has filters that kernels lack; they know LZMA2 alone or behind one BCJ filter");
    const lzma_options_lzma *lzma2 = filters[n - 1].options;
    if (lzma2->dict_size > dict_max)
        return err_set(err, PLAT_EUNSUPPORTED,
                       "xz data needs a dictionary of %u bytes; kernels set %u aside for this image",
                       lzma2->dict_size, dict_max);
    return 0;
}

/* Looks at what liblzma accepts and kernels refuse; all else is left to it. */
static int headers_check(const uint8_t *in, size_t n, uint32_t dict_max, struct plat_err *err)
{
    lzma_stream_flags flags;
    if (n <= LZMA_STREAM_HEADER_SIZE || lzma_stream_header_decode(&flags, in) != LZMA_OK)
        return codec_fault_broken(err, "xz", n, "does not begin as a stream does");
    if (flags.check != LZMA_CHECK_CRC32 && flags.check != LZMA_CHECK_NONE)
        return err_set(err, PLAT_EUNSUPPORTED,
                       "xz data is checked with method %d; kernels know CRC32 (1) and none (0)",
                       (int)flags.check);
    lzma_filter filters[LZMA_FILTERS_MAX + 1];
    lzma_block block = {.version = 1, .check = flags.check, .filters = filters};
    block.header_size = lzma_block_header_size_decode(in[LZMA_STREAM_HEADER_SIZE]);
    if (in[LZMA_STREAM_HEADER_SIZE] == 0) /* the index: a stream of no blocks */
        return 0;
    if (n - LZMA_STREAM_HEADER_SIZE < block.header_size)
        return codec_fault_broken(err, "xz", n, "ends in its block header");
    lzma_ret code = lzma_block_header_decode(&block, NULL, in + LZMA_STREAM_HEADER_SIZE);
    if (code == LZMA_MEM_ERROR)
        return err_nomem(err, "reading an xz header");
    if (code == LZMA_OPTIONS_ERROR)
        return err_set(err, PLAT_EUNSUPPORTED, "xz data has filters or options that are not known");
    if (code != LZMA_OK)
        return codec_fault_broken(err, "xz", n, "its block header contradicts its CRC32 or itself");
    int rc = chain_check(filters, dict_max, err);
    lzma_filters_free(filters, NULL);
    return rc;
}

int codec_liblzma_decode(lzma_stream *stream, const char *name, size_t n, uint8_t *out, size_t out_cap,
                         size_t *ret_n, struct plat_err *err)
{
    stream->next_out = out;
    stream->avail_out = out_cap;
    lzma_ret code = LZMA_OK;
    while (code == LZMA_OK) /* a call that gets nowhere twice is LZMA_BUF_ERROR */
        code = lzma_code(stream, LZMA_FINISH);
    switch (code) {
    case LZMA_STREAM_END:
        break;
    case LZMA_MEM_ERROR:
        return err_nomem(err, "decompressing");
    case LZMA_MEMLIMIT_ERROR:
    case LZMA_OPTIONS_ERROR:
        return err_set(err, PLAT_EUNSUPPORTED,
                       "%s data needs a dictionary or options beyond those of kernels", name);
    case LZMA_BUF_ERROR:
        if (stream->avail_out == 0)
            return codec_fault_too_large(err, name, n, out_cap);
        return codec_fault_broken(err, name, n, "it ends too early");
    default:
        return codec_fault_broken(err, name, n, "it contradicts itself or its checksum");
    }
    if (stream->avail_in != 0)
        return codec_fault_trailing(err, name, n, n - stream->avail_in);
    *ret_n = out_cap - stream->avail_out;
    return 0;
}

static int xz_decode(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                     struct plat_err *err)
{
    struct xz_decoder *decoder = state;
    int rc = headers_check(in, n, decoder->dict_bytes, err);
    if (rc != 0)
        return rc;
    if (lzma_stream_decoder(&decoder->stream, decoder->memory_bytes, 0) != LZMA_OK)
        return err_nomem(err, "decompressing xz");
    decoder->stream.next_in = in;
    decoder->stream.avail_in = n;
    return codec_liblzma_decode(&decoder->stream, "xz", n, out, out_cap, ret_n, err);
}

static void xz_decoder_close(void *state)
{
    struct xz_decoder *decoder = state;
    lzma_end(&decoder->stream);
    free(decoder);
}

const struct codec_ops codec_xz = {
    .name = "xz",
    .level_min = 0,
    .level_max = 9,
    .level_default = 6,
    .encoder_memory = xz_encoder_memory,
    .encoder_open = xz_encoder_open,
    .encode = xz_encode,
    .encoder_close = xz_encoder_close,
    .decoder_memory = xz_decoder_memory,
    .decoder_open = xz_decoder_open,
    .decode = xz_decode,
    .decoder_close = xz_decoder_close,
};
