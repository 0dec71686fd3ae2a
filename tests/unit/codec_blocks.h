/* Blocks to compress, the same on every run: what a file system has, and what it fears. */
#ifndef PLAT_TESTS_CODEC_BLOCKS_H
#define PLAT_TESTS_CODEC_BLOCKS_H

#include "lib/codec/codec.h"
#include "tests/unit/tap.h"

enum { BLOCK_MAX = 1024 * 1024, BLOCK_ROOM = BLOCK_MAX + 128 * 1024 };
enum block_kind { BLOCK_ZERO, BLOCK_TEXT, BLOCK_RANDOM, BLOCK_MIXED, BLOCK_CODE, BLOCK_KINDS };

static struct plat_err err;

static inline uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static inline void block_fill_text(uint8_t *block, size_t n, uint64_t *random)
{
    static const char *const words[] = {"struct ", "the ",   "block ", "of ",
                                        "return ", "0x1f, ", "\n    ", "size; "};
    for (size_t at = 0; at < n;) {
        const char *word = words[next_random(random) % 8];
        size_t len = strlen(word);
        if (len > n - at)
            len = n - at;
        memcpy(block + at, word, len);
        at += len;
    }
}

/* Calls of a few functions from many places: relative addresses that BCJ x86 makes absolute. */
static inline void block_fill_code(uint8_t *block, size_t n, uint64_t *random)
{
    memset(block, 0x90, n);
    for (size_t at = 0; at + 16 <= n; at += 16) {
        uint32_t target = 0x4000 + next_random(random) % 16 * 0x340;
        uint32_t relative = target - (uint32_t)(at + 5);
        block[at] = 0xe8;
        for (unsigned i = 0; i < 4; i++)
            block[at + 1 + i] = (uint8_t)(relative >> (8 * i));
        block[at + 5] = (uint8_t)next_random(random);
    }
}

static inline void block_fill(enum block_kind kind, uint8_t *block, size_t n)
{
    uint64_t random = 42 + (uint64_t)kind;
    if (kind == BLOCK_TEXT || kind == BLOCK_MIXED)
        block_fill_text(block, n, &random);
    else if (kind == BLOCK_CODE)
        block_fill_code(block, n, &random);
    else
        memset(block, 0, n);
    for (size_t i = 0; i < n; i++)
        if (kind == BLOCK_RANDOM || (kind == BLOCK_MIXED && i / 3000 % 2 == 1))
            block[i] = (uint8_t)next_random(&random);
}

static inline struct codec_encoder *encoder_for(const char *text, size_t max_block_bytes)
{
    struct codec_settings settings;
    struct codec_encoder *encoder = NULL;
    if (codec_parse(text, &settings, &err) != 0 ||
        codec_encoder_open(&settings, max_block_bytes, &encoder, &err) != 0) {
        ok(false, "%s: %s", text, err.text);
        exit(1);
    }
    return encoder;
}

static inline struct codec_decoder *decoder_for(const char *text, size_t max_block_bytes)
{
    struct codec_decoder *decoder = NULL;
    for (unsigned id = 0; id < CODEC_IDS; id++) {
        size_t n = strlen(codec_name((enum codec_id)id));
        if (strncmp(text, codec_name((enum codec_id)id), n) == 0 && (text[n] == '\0' || text[n] == ':') &&
            codec_decoder_open((enum codec_id)id, max_block_bytes, 0, &decoder, &err) == 0)
            return decoder;
    }
    ok(false, "%s: no decoder", text);
    exit(1);
}

#endif
