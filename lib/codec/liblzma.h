/* What xz.c and lzma.c share: feeding a liblzma decoder one block. */
#ifndef PLAT_LIB_CODEC_LIBLZMA_H
#define PLAT_LIB_CODEC_LIBLZMA_H

#include <lzma.h>

#include "lib/codec/private.h"

/* `stream` was set up for decoding, and may have used up a few bytes of in, which begins at stream->next_in. Takes it to
 * its end: all input used, the output within out_cap. */
int codec_liblzma_decode(lzma_stream *stream, const char *name, size_t n, uint8_t *out, size_t out_cap,
                         size_t *ret_n, struct plat_err *err);

#endif
