/* CRC-32C. No packaged library in Debian 12 offers it in plain C; processors have an instruction for it, which is
 * taken where it is there: 8 bytes at a time, thirty times as fast as the table. A kernel that carries this file
 * (make freestanding) gets the table: it need not have asked its processor yet. */
#include "lib/hash/hash.h"

#if __STDC_HOSTED__ && defined(__x86_64__)
#include <string.h>
#endif

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

#if __STDC_HOSTED__ && defined(__x86_64__)
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
#elif __STDC_HOSTED__ && defined(__x86_64__)
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
