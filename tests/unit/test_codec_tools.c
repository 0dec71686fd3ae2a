/* Codecs beside the programs that everybody has: they read what is made here, and what they make is read here. */
#include "lib/base/bytes.h"
#include "lib/hash/hash.h"
#include "tests/unit/codec_blocks.h"

#include <sys/stat.h>
#include <unistd.h>

enum { N = 131072, ROOM = 2 * N };
static char dir[] = "/tmp/plat-codec.XXXXXX";

/* What stands around a bare block in a tool's file. */
enum wrapping { WRAP_NONE, WRAP_LZ4_LEGACY, WRAP_LZOP };

static const struct pairing {
    const char *codec, *wants, *unpack,
        *pack; /* unpack: from "packed" to stdout; pack: from "plain"; NULL: no such way */
    enum wrapping wrapping;
} pairings[] = {
    {"gzip", "python3",
     "python3 -c 'import sys,zlib; sys.stdout.buffer.write(zlib.decompress(open(\"packed\",\"rb\").read()))'",
     "python3 -c 'import sys,zlib; sys.stdout.buffer.write(zlib.compress(open(\"plain\",\"rb\").read(), 9))'",
     WRAP_NONE},
    {"gzip:12", "python3",
     "python3 -c 'import sys,zlib; sys.stdout.buffer.write(zlib.decompress(open(\"packed\",\"rb\").read()))'",
     NULL, WRAP_NONE},
    {"zstd", "zstd", "zstd -dcq --no-check < packed", "zstd -cq -15 --no-check plain", WRAP_NONE},
    {"zstd:22", "zstd", "zstd -dcq < packed", "zstd -cq -1 plain", WRAP_NONE},
    {"xz", "xz", "xz -dc < packed", "xz -c --check=crc32 --lzma2=preset=6,dict=128KiB plain", WRAP_NONE},
    {"xz:9,extreme,lc=4,pb=0,filters=x86", "xz", "xz -dc < packed",
     "xz -c --check=none --x86 --lzma2=dict=64KiB plain", WRAP_NONE},
    {"xz:filters=arm+powerpc+ia64+armthumb+sparc", "xz", "xz -dc < packed",
     "xz -c --check=crc32 --sparc --lzma2=dict=96KiB plain", WRAP_NONE},
    {"lzma", "xz", NULL, "xz -c --format=lzma -6 plain", WRAP_NONE},
    {"lz4", "lz4", "lz4 -dcq < packed", "lz4 -lcq -1 plain", WRAP_LZ4_LEGACY},
    {"lz4:hc", "lz4", "lz4 -dcq < packed", "lz4 -lcq -12 plain", WRAP_LZ4_LEGACY},
    {"lzo", "lzop", "lzop -dc < packed", "lzop -cF -9 plain", WRAP_LZOP},
    {"lzo:algorithm=1", "lzop", "lzop -dc < packed", "lzop -cF -3 plain", WRAP_LZOP},
    {"lzo:algorithm=1_11", "lzop", "lzop -dc < packed", "lzop -cF -1 plain", WRAP_LZOP},
    {"lzo:algorithm=1_12", "lzop", "lzop -dc < packed", NULL, WRAP_LZOP},
    {"lzo:algorithm=1_15", "lzop", "lzop -dc < packed", NULL, WRAP_LZOP},
};

static bool put(const char *name, const uint8_t *bytes, size_t n)
{
    FILE *f = fopen(name, "wb");
    bool good = f != NULL && fwrite(bytes, 1, n, f) == n;
    return f != NULL && fclose(f) == 0 && good;
}

/* What a command says; 0 when it fails. */
static size_t said_by(const char *command, uint8_t *out, size_t cap)
{
    FILE *f = popen(command, "r");
    size_t n = f != NULL ? fread(out, 1, cap, f) : 0;
    return f != NULL && pclose(f) == 0 ? n : 0;
}

static bool have(const char *tool)
{
    char command[64];
    snprintf(command, sizeof command, "command -v %s > /dev/null 2>&1", tool);
    return system(command) == 0;
}

static void store_be(uint8_t *p, unsigned width, uint64_t value)
{
    store_uint(p, width, true, value);
}

static const uint8_t lzop_magic[] = {0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n'};

/* magic | versions, method, level, flags, mode, times, no name, Adler-32 of these | block | 0 */
static size_t wrap_lzop(const uint8_t *block, size_t n, size_t plain_n, uint8_t *out)
{
    enum { MAGIC = sizeof lzop_magic, HEADER = 2 * 3 + 2 + 4 * 4 + 1 };
    memcpy(out, lzop_magic, MAGIC);
    uint8_t *p = out + MAGIC;
    memset(p, 0, HEADER);
    store_be(p, 2, 0x1030);
    store_be(p + 2, 2, 0x20a0);
    store_be(p + 4, 2, 0x0940);
    p[6] = 1; /* LZO1X */
    p[7] = 5;
    store_be(p + HEADER, 4, hash_adler32(0, p, HEADER));
    p += HEADER + 4;
    store_be(p, 4, plain_n);
    store_be(p + 4, 4, n);
    memcpy(p + 8, block, n);
    store_be(p + 8 + n, 4, 0);
    return (size_t)(p - out) + 8 + n + 4;
}

static size_t wrap_lz4(const uint8_t *block, size_t n, uint8_t *out)
{
    store_le32(out, 0x184c2102);
    store_le32(out + 4, (uint32_t)n);
    memcpy(out + 8, block, n);
    return 8 + n;
}

/* The bare block within a tool's file; *ret_n 0 when there is none. */
static const uint8_t *unwrap(enum wrapping wrapping, const uint8_t *file, size_t n, size_t *ret_n)
{
    *ret_n = n;
    if (wrapping == WRAP_LZ4_LEGACY) {
        *ret_n = n > 8 && load_le32(file) == 0x184c2102 && load_le32(file + 4) == n - 8 ? n - 8 : 0;
        return file + 8;
    }
    if (wrapping == WRAP_NONE)
        return file;
    size_t at = sizeof lzop_magic + 7; /* the level */
    uint64_t flags = load_uint(file + at + 1, 4, true);
    at += 1 + 4 * 4;
    at += 1U + file[at] + 4; /* name, checksum */
    size_t packed_n = (size_t)load_uint(file + at + 4, 4, true);
    at += 8 + 4 * ((flags & 1) +
                   (flags >> 8 & 1)); /* Adler-32 or CRC-32 of what it becomes; -F leaves the others out */
    *ret_n = at + packed_n < n ? packed_n : 0;
    return file + at;
}

static void test_ours(const struct pairing *p, enum block_kind kind, const uint8_t *block)
{
    static uint8_t packed[ROOM], file[ROOM], back[ROOM];
    struct codec_encoder *encoder = encoder_for(p->codec, N);
    size_t n = 0;
    bool good = codec_encode(encoder, block, N, packed, N, &n, &err) == 0 && n > 0;
    codec_encoder_close(encoder);
    size_t file_n = p->wrapping == WRAP_LZOP         ? wrap_lzop(packed, n, N, file)
                    : p->wrapping == WRAP_LZ4_LEGACY ? wrap_lz4(packed, n, file)
                                                     : n;
    good = good && put("packed", p->wrapping == WRAP_NONE ? packed : file, file_n);
    ok(good && said_by(p->unpack, back, ROOM) == N && memcmp(back, block, N) == 0, "%s, kind %d: %s reads it",
       p->codec, (int)kind, p->wants);
}

static void test_theirs(const struct pairing *p, enum block_kind kind, const uint8_t *block)
{
    static uint8_t file[ROOM], back[N];
    struct codec_decoder *decoder = decoder_for(p->codec, N);
    size_t file_n = put("plain", block, N) ? said_by(p->pack, file, ROOM) : 0, n = 0, made = 0;
    const uint8_t *packed =
        file_n > (p->wrapping == WRAP_LZOP ? 64 : 8) ? unwrap(p->wrapping, file, file_n, &n) : NULL;
    bool good = packed != NULL && n > 0 && codec_decode(decoder, packed, n, back, N, &made, &err) == 0;
    ok(good && made == N && memcmp(back, block, N) == 0, "%s, kind %d: that of %s is read%s%s", p->codec,
       (int)kind, p->wants, good ? "" : ": ", good ? "" : err.text);
    codec_decoder_close(decoder);
}

int main(void)
{
    static uint8_t block[N];
    static const enum block_kind kinds[] = {BLOCK_TEXT, BLOCK_MIXED, BLOCK_ZERO};
    if (mkdtemp(dir) == NULL || chdir(dir) != 0)
        return 1;
    for (size_t i = 0; i < sizeof pairings / sizeof pairings[0]; i++) {
        const struct pairing *p = &pairings[i];
        if (!have(p->wants)) {
            ok(true, "%s # skip no %s", p->codec, p->wants);
            continue;
        }
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            block_fill(kinds[k], block, N);
            if (p->unpack != NULL)
                test_ours(p, kinds[k], block);
            if (p->pack != NULL)
                test_theirs(p, kinds[k], block);
        }
    }
    (void)unlink("packed");
    (void)unlink("plain");
    if (chdir("/") == 0)
        (void)rmdir(dir);
    return tap_done();
}
