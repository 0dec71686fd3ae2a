/* Compression of blocks: one interface, one small file per codec behind it.
 *
 * A block is compressed on its own and its length is known from elsewhere; nothing is streamed. An encoder or decoder is
 * opened once per thread and used for every block: what it needs is allocated when it is opened. Two encoders with the
 * same settings make the same bytes of the same block, whatever they saw before, so output never depends on which
 * thread had which block. On other machines the bytes are the same with the same versions of the libraries.
 *
 * The encodings are those that SquashFS stores: gzip is a zlib stream (RFC 1950), xz a complete .xz file with CRC32,
 * LZMA2 and at most one BCJ filter, zstd one frame with its content size and no checksum, lz4 and lzo raw blocks,
 * lzma the old .lzma file, which is decoded only. */
#ifndef PLAT_LIB_CODEC_CODEC_H
#define PLAT_LIB_CODEC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/text.h"

/* In the order of SquashFS's compressor numbers, which begin at 1. */
enum codec_id { CODEC_GZIP, CODEC_LZMA, CODEC_LZO, CODEC_XZ, CODEC_LZ4, CODEC_ZSTD, CODEC_IDS };

enum {
    CODEC_BLOCK_BYTES_MAX = 16 * 1024 * 1024, /* largest block that an encoder or decoder can be opened for */
    CODEC_DICT_BYTES_MIN = 8192,              /* xz dictionaries and zstd windows may always be this large */
};

/* BCJ filters of xz, a mask with SquashFS's values. Each is tried, and so is none; the smallest result is kept. */
enum codec_xz_filter {
    CODEC_XZ_X86 = 1,
    CODEC_XZ_POWERPC = 2,
    CODEC_XZ_IA64 = 4,
    CODEC_XZ_ARM = 8,
    CODEC_XZ_ARMTHUMB = 16,
    CODEC_XZ_SPARC = 32,
    CODEC_XZ_ARM64 = 64, /* kernels from 6.12 on, and a liblzma that has it */
    CODEC_XZ_RISCV = 128 /* the same */
};

/* With SquashFS's values; only 999 has levels. */
enum codec_lzo_algorithm {
    CODEC_LZO_1,
    CODEC_LZO_1_11,
    CODEC_LZO_1_12,
    CODEC_LZO_1_15,
    CODEC_LZO_999,
    CODEC_LZO_ALGORITHMS
};

/* Begin with codec_settings_default; what belongs to other codecs is ignored. */
struct codec_settings {
    enum codec_id id;
    int level; /* gzip 1-12 (9), zstd 1-22 (15), xz 0-9 (6), lz4 with hc 3-12 (12), lzo 999 1-9 (8), else 0 */
    bool lz4_hc;                 /* false */
    bool xz_extreme;             /* false */
    uint32_t xz_dict_bytes;      /* 0 (default): the block's, see codec_xz_dict_bytes; 2^n or 3 * 2^n */
    uint32_t xz_filters;         /* enum codec_xz_filter; 0 */
    uint8_t xz_lc, xz_lp, xz_pb; /* 3, 0, 2; lc + lp at most 4, pb at most 4 */
    enum codec_lzo_algorithm lzo_algorithm; /* 999 */
};

const char *codec_name(enum codec_id id); /* "gzip", ... */
bool codec_can_encode(enum codec_id id);
void codec_settings_default(enum codec_id id, struct codec_settings *ret);
/* Ranges, and what this build's libraries lack. codec_encoder_open does it as well. */
int codec_settings_check(const struct codec_settings *settings, struct plat_err *err);
/* "zstd", "zstd:19", "xz:level=9,extreme,dict=64KiB,filters=x86+arm,lc=4,lp=0,pb=0", "lz4:hc", "lzo:algorithm=1_11": a name
 * and what differs from its defaults. A number alone is the level. */
int codec_parse(const char *text, struct codec_settings *ret, struct plat_err *err);
/* What codec_parse reads, with what differs from the defaults alone. */
void codec_describe(const struct codec_settings *settings, struct strbuf *to);

/* The dictionary of blocks of that size: the settings' one, but never more than the block (8192 for small ones); rounded
 * up to what xz can say. */
uint32_t codec_xz_dict_bytes(const struct codec_settings *settings, size_t max_block_bytes);
/* What an encoder of these settings takes, at most: for formulas of memory. */
uint64_t codec_encoder_memory_bytes(const struct codec_settings *settings, size_t max_block_bytes);
uint64_t codec_decoder_memory_bytes(enum codec_id id, size_t max_block_bytes, uint32_t dict_bytes);

struct codec_encoder;
int codec_encoder_open(const struct codec_settings *settings, size_t max_block_bytes,
                       struct codec_encoder **ret, struct plat_err *err);
/* Blocks of at most max_block_bytes. *ret_n = 0: it does not get as small as out_cap, store it plain (an empty block,
 * too). For "smaller than it was" give out_cap = n - 1. */
int codec_encode(struct codec_encoder *encoder, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap,
                 size_t *ret_n, struct plat_err *err);
void codec_encoder_close(struct codec_encoder *encoder); /* NULL is allowed */

struct codec_decoder;
/* For blocks of up to max_block_bytes when decoded. dict_bytes: the largest xz dictionary and zstd window that is
 * accepted, as kernels do, at most CODEC_BLOCK_BYTES_MAX; 0 for max_block_bytes, 8192 at least. One decoder may serve data
 * and metadata. */
int codec_decoder_open(enum codec_id id, size_t max_block_bytes, uint32_t dict_bytes,
                       struct codec_decoder **ret, struct plat_err *err);
/* Never writes beyond out[out_cap], never reads beyond in[n], and takes no more memory than codec_decoder_memory_bytes,
 * whatever the bytes are. PLAT_ECORRUPT says what is wrong; PLAT_EUNSUPPORTED: a valid stream that kernels refuse (a
 * dictionary too large, a filter or checksum that they lack). Bytes behind the end of the stream are corrupt. */
int codec_decode(struct codec_decoder *decoder, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap,
                 size_t *ret_n, struct plat_err *err);
void codec_decoder_close(struct codec_decoder *decoder); /* NULL is allowed */

#endif
