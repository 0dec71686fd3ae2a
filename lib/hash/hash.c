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

/* CRC-32C. No packaged library in Debian 12 offers it in plain C; processors have an instruction for it, which is
 * taken where it is there: 8 bytes at a time, thirty times as fast as the table. */
static const uint32_t crc32c_nibble[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

static uint32_t crc32c_by_table(uint32_t crc, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ crc32c_nibble[crc & 15];
        crc = crc >> 4 ^ crc32c_nibble[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_instruction(uint32_t crc, const uint8_t *p,
                                                                        size_t n)
{
    uint64_t wide = crc, word;
    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        memcpy(&word, p, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; n > 0; p++, n--)
        crc = __builtin_ia32_crc32qi(crc, *p);
    return crc;
}
#endif

uint32_t hash_crc32c(uint32_t running, const void *data, size_t n)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    (void)data;
    (void)n;
    return running;
#elif defined(__x86_64__)
    return ~(__builtin_cpu_supports("sse4.2") ? crc32c_by_instruction(~running, data, n)
                                              : crc32c_by_table(~running, data, n));
#else
    return ~crc32c_by_table(~running, data, n);
#endif
}

uint32_t hash_crc32c_plain(uint32_t running, const void *data, size_t n)
{
    return ~crc32c_by_table(~running, data, n);
}

uint32_t hash_adler32(uint32_t running, const void *data, size_t n)
{
    return (uint32_t)adler32_z(running == 0 ? 1 : running, data, n);
}

uint64_t hash_xxh64(const void *data, size_t n)
{
    return XXH64(data, n, 0);
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
