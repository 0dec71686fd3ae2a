/* Any bytes to any decoder, in three ways: as they are; as a block that is compressed, changed in a few places and
 * decompressed; and as a block that must come back. Byte 0 chooses way and codec, byte 1 the room. Buffers have their exact
 * size, so that ASan sees one byte too many. */
#include <stdlib.h>
#include <string.h>

#include "lib/codec/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { BLOCK_BYTES = 16384, PACKED_BYTES = 2 * BLOCK_BYTES, PATCH_BYTES = 3, PATCHES = 4 };

/* As decode does it: what is made lies within the room, and what fails has a reason. */
static bool decode(enum codec_id id, const uint8_t *in, size_t n, size_t cap, const uint8_t *want,
                   size_t n_want)
{
    struct codec_decoder *decoder = NULL;
    struct plat_err err = {0};
    uint8_t *copy = malloc(n + 1);
    uint8_t *out = malloc(cap + 1);
    size_t made = 0;
    if (copy == NULL || out == NULL || codec_decoder_open(id, BLOCK_BYTES, 0, &decoder, &err) != 0)
        abort();
    memcpy(copy + 1, in, n);
    int rc = codec_decode(decoder, copy + 1, n, out + 1, cap, &made, &err);
    if (rc == 0 ? made > cap : err.text[0] == '\0' || rc == PLAT_EBUG)
        abort();
    bool same = rc == 0 && made == n_want && memcmp(out + 1, want, n_want) == 0;
    codec_decoder_close(decoder);
    free(copy);
    free(out);
    return same;
}

static size_t encode(const char *text, const uint8_t *block, size_t n, uint8_t *packed, enum codec_id *ret_id)
{
    struct codec_settings settings;
    struct codec_encoder *encoder = NULL;
    struct plat_err err = {0};
    size_t made = 0;
    if (codec_parse(text, &settings, &err) != 0 ||
        codec_encoder_open(&settings, BLOCK_BYTES, &encoder, &err) != 0 ||
        codec_encode(encoder, block, n, packed, PACKED_BYTES, &made, &err) != 0)
        abort();
    codec_encoder_close(encoder);
    *ret_id = settings.id;
    return made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const texts[] = {
        "gzip:1", "lzo:algorithm=1", "xz:0",           "lz4",   "zstd:1", "gzip",
        "zstd",   "xz:filters=x86",  "lz4:hc,level=3", "lzo:3", "zstd:19"};
    static uint8_t packed[PACKED_BYTES];
    enum codec_id id;
    if (n < 2 || n > BLOCK_BYTES)
        return 0;
    unsigned way = data[0] & 3;
    size_t cap = (size_t)data[1] * 64 + 1;
    const uint8_t *rest = data + 2;
    n -= 2;
    if (way == 0) {
        (void)decode((enum codec_id)(data[0] / 4 % CODEC_IDS), rest, n, cap, rest, 0);
        return 0;
    }
    size_t patches = way == 1 && n > PATCHES * PATCH_BYTES ? PATCHES : 0;
    const uint8_t *block = rest + patches * PATCH_BYTES;
    size_t n_block = n - patches * PATCH_BYTES;
    size_t made = encode(texts[data[0] / 4 % (sizeof texts / sizeof texts[0])], block, n_block, packed, &id);
    for (size_t i = 0; i < patches && made > 0; i++, rest += PATCH_BYTES)
        packed[(rest[0] | (size_t)rest[1] << 8) % made] = rest[2];
    if (made > 0 && !decode(id, packed, made, patches > 0 ? cap : n_block, block, n_block) && patches == 0)
        abort();
    return 0;
}
