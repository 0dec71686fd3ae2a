#include "lib/hash/hash.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include <zlib.h>

uint32_t hash_crc32(uint32_t running, const void *data, size_t n)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    /* Sums that never change let the fuzzer past them; images in a fuzz build are made with the same sum. */
    (void)data;
    (void)n;
    return running;
#else
    return (uint32_t)crc32_z(running, data, n);
#endif
}

uint32_t hash_adler32(uint32_t running, const void *data, size_t n)
{
    return (uint32_t)adler32_z(running == 0 ? 1 : running, data, n);
}

uint64_t hash_xxh64(const void *data, size_t n)
{
    return XXH64(data, n, 0);
}

uint16_t hash_crc16(uint16_t running, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++) {
        unsigned sum = (unsigned)(running ^ p[i]);
        for (unsigned bit = 0; bit < 8; bit++)
            sum = (sum & 1) != 0 ? sum >> 1 ^ 0xa001u : sum >> 1;
        running = (uint16_t)sum;
    }
    return running;
}

uint8_t hash_sum8ror(uint8_t running, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        running = (uint8_t)((running << 7 | running >> 1) + p[i]);
    return running;
}

void hash_sha256(const void *data, size_t n, uint8_t ret[HASH_SHA256_BYTES])
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, n, data);
    sha256_digest(&ctx, HASH_SHA256_BYTES, ret);
}

/* The library's own state stays out of the header: who hashes need not have nettle's. */
_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct hash_sha256_state), "nettle's state fits");

static struct sha256_ctx *ctx_of(struct hash_sha256_state *state)
{
    return (void *)state->opaque;
}

void hash_sha256_begin(struct hash_sha256_state *state)
{
    sha256_init(ctx_of(state));
}

void hash_sha256_add(struct hash_sha256_state *state, const void *data, size_t n)
{
    sha256_update(ctx_of(state), n, data);
}

void hash_sha256_end(struct hash_sha256_state *state, uint8_t ret[HASH_SHA256_BYTES])
{
    sha256_digest(ctx_of(state), HASH_SHA256_BYTES, ret);
}

void hash_derive_guid(const char *seed, const char *role, uint64_t index, uint8_t ret[16])
{
    char number[24];
    int digits = snprintf(number, sizeof number, "%llu", (unsigned long long)index);
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, strlen(seed) + 1, (const uint8_t *)seed);
    sha256_update(&ctx, strlen(role) + 1, (const uint8_t *)role);
    sha256_update(&ctx, (size_t)digits, (const uint8_t *)number);
    uint8_t digest[HASH_SHA256_BYTES];
    sha256_digest(&ctx, sizeof digest, digest);
    /* In text order the version is the high nibble of byte 6, which lies at 7 on disk; the variant is in byte 8. */
    memcpy(ret, digest, 16);
    ret[7] = (uint8_t)((ret[7] & 0x0f) | 0x80);
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}
