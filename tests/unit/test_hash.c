/* CRC-32C by the processor's instruction against the table, at every alignment and length, in one piece and in two.
 *
 * Catches: a tail or a head that the wide loop forgets, a running sum that does not run on. */
#include "lib/hash/hash.h"
#include "tests/unit/tap.h"

enum { TEST_BYTES = 300 };

int main(void)
{
    uint8_t bytes[TEST_BYTES];
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167 + 13);
    for (size_t from = 0; from < 16; from++)
        for (size_t n = 0; n <= sizeof bytes - from; n++) {
            uint32_t whole = hash_crc32c(0, bytes + from, n);
            wrong += whole != hash_crc32c_plain(0, bytes + from, n);
            wrong +=
                whole != hash_crc32c(hash_crc32c(0, bytes + from, n / 3), bytes + from + n / 3, n - n / 3);
        }
    ok(wrong == 0, "both ways agree, in one piece and in two (%u differences)", wrong);
    /* RFC 3720, appendix B.4 */
    memset(bytes, 0, 32);
    ok(hash_crc32c(0, bytes, 32) == 0x8a9136aa && hash_crc32c_plain(0, bytes, 32) == 0x8a9136aa,
       "32 bytes of zeros");
    memset(bytes, 0xff, 32);
    ok(hash_crc32c(0, bytes, 32) == 0x62a8ab43, "32 bytes of ones");
    return tap_done();
}
