/* What each codec's file gives to the table in codec.c. */
#ifndef PLAT_LIB_CODEC_PRIVATE_H
#define PLAT_LIB_CODEC_PRIVATE_H

#include "lib/codec/codec.h"

/* codec.c has checked: settings and sizes are in range, 0 < n <= max_block_bytes, 0 < out_cap. `encode` is NULL where a
 * codec is decoded only. What codecs need not keep between blocks they do not keep: `state` is memory, not history. */
struct codec_ops {
    const char *name;
    int level_min, level_max, level_default;
    /* Where set: `encode` always gets that much room, and codec.c copies what is small enough. */
    size_t (*encoder_room)(size_t max_block_bytes);
    uint64_t (*encoder_memory)(const struct codec_settings *settings, size_t max_block_bytes);
    int (*encoder_open)(const struct codec_settings *settings, size_t max_block_bytes, void **ret,
                        struct plat_err *err);
    int (*encode)(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                  struct plat_err *err);
    void (*encoder_close)(void *state);
    uint64_t (*decoder_memory)(size_t max_block_bytes, uint32_t dict_bytes);
    int (*decoder_open)(size_t max_block_bytes, uint32_t dict_bytes, void **ret, struct plat_err *err);
    int (*decode)(void *state, const uint8_t *in, size_t n, uint8_t *out, size_t out_cap, size_t *ret_n,
                  struct plat_err *err);
    void (*decoder_close)(void *state);
};

extern const struct codec_ops codec_gzip, codec_lzma, codec_lzo, codec_xz, codec_lz4, codec_zstd;
const struct codec_ops *codec_ops_of(enum codec_id id);

/* The three faults that every codec knows, in the same words. */
int codec_fault_broken(struct plat_err *err, const char *name, size_t n, const char *why);
int codec_fault_too_large(struct plat_err *err, const char *name, size_t n, size_t out_cap);
int codec_fault_trailing(struct plat_err *err, const char *name, size_t n, size_t used);

/* Those of enum codec_xz_filter that this liblzma has. */
uint32_t codec_xz_filters_known(void);

#endif
