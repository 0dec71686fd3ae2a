/* Hashes, each from its well-kept library: zlib (crc32, adler32), nettle (sha256), xxhash (xxh64).
 * Running sums continue when the previous result is passed in (0 to start, for all of them). */
#ifndef PLAT_LIB_HASH_HASH_H
#define PLAT_LIB_HASH_HASH_H

#include <stddef.h>
#include <stdint.h>

uint16_t hash_crc16(uint16_t running, const void *data, size_t n);  /* ARC: reflected 8005h */
uint32_t hash_crc32(uint32_t running, const void *data, size_t n);  /* IEEE, as in GPT, gzip */
uint32_t hash_crc32c(uint32_t running, const void *data, size_t n); /* Castagnoli */
/* The same without the processor's instruction: for kernels that do without, and to test the other one against. */
uint32_t hash_crc32c_plain(uint32_t running, const void *data, size_t n);
uint32_t hash_adler32(uint32_t running, const void *data, size_t n); /* 0 to start here, too */
uint64_t hash_xxh64(const void *data, size_t n);
uint8_t hash_sum8ror(uint8_t running, const void *data, size_t n); /* s = ror8(s) + byte */
enum { HASH_SHA256_BYTES = 32 };
void hash_sha256(const void *data, size_t n, uint8_t ret[HASH_SHA256_BYTES]);
/* The same in pieces: begin, add as often as needed, end. */
struct hash_sha256_state {
    uint64_t opaque[16];
};
void hash_sha256_begin(struct hash_sha256_state *state);
void hash_sha256_add(struct hash_sha256_state *state, const void *data, size_t n);
void hash_sha256_end(struct hash_sha256_state *state, uint8_t ret[HASH_SHA256_BYTES]);

/* Identifiers that nobody chose: the first 16 bytes of SHA-256(seed NUL role NUL index), with the version nibble 8
 * (custom, RFC 9562) and variant bits set; on-disk mixed-endian order like any other GUID. */
void hash_derive_guid(const char *seed, const char *role, uint64_t index, uint8_t ret[16]);

#endif
