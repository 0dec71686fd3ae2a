/* Decoders of damaged and foreign data: nothing outside the buffers is touched (which have their exact size, for ASan),
 * nothing wrong is taken for right where there is a checksum, and what kernels refuse is refused. */
#include "lib/base/bytes.h"
#include "tests/unit/codec_blocks.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

static const char *const all[] = {"gzip", "lzma", "lzo", "xz:filters=x86", "lz4", "zstd"};
enum { N_ALL = sizeof all / sizeof all[0], SMALL = 4096, PACKED_MAX = 64 * 1024 };

static bool has_checksum(const char *text)
{
    return strncmp(text, "gzip", 4) == 0 || strncmp(text, "xz", 2) == 0;
}

/* Nothing here makes lzma, so liblzma does. */
static size_t pack_lzma(const uint8_t *block, size_t n, uint8_t *out, size_t cap, uint32_t dict_bytes)
{
    lzma_options_lzma options;
    lzma_stream stream = LZMA_STREAM_INIT;
    (void)lzma_lzma_preset(&options, 6);
    options.dict_size = dict_bytes;
    if (lzma_alone_encoder(&stream, &options) != LZMA_OK)
        return 0;
    stream.next_in = block;
    stream.avail_in = n;
    stream.next_out = out;
    stream.avail_out = cap;
    size_t made = lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END ? cap - stream.avail_out : 0;
    lzma_end(&stream);
    return made;
}

static size_t pack(const char *text, const uint8_t *block, size_t n, uint8_t *out)
{
    size_t made = 0;
    if (strcmp(text, "lzma") == 0)
        return pack_lzma(block, n, out, PACKED_MAX, 1U << 16);
    struct codec_encoder *encoder = encoder_for(text, n);
    if (codec_encode(encoder, block, n, out, PACKED_MAX, &made, &err) != 0)
        made = 0;
    codec_encoder_close(encoder);
    return made;
}

/* Decodes from and to buffers that end where they end. 0 or the class; *ret is the caller's to free. */
static int decode_exact(struct codec_decoder *decoder, const uint8_t *in, size_t n, size_t cap, uint8_t **ret,
                        size_t *ret_n)
{
    uint8_t *copy = malloc(n == 0 ? 1 : n);
    *ret = malloc(cap == 0 ? 1 : cap);
    if (copy == NULL || *ret == NULL)
        exit(1);
    memcpy(copy, in, n);
    *ret_n = 0;
    err_clear(&err);
    int rc = codec_decode(decoder, copy, n, *ret, cap, ret_n, &err);
    free(copy);
    return rc;
}

struct damage {
    struct codec_decoder *decoder;
    const uint8_t *block; /* what it would be */
    bool checked;
    unsigned tried, passed, wrong;
};

static void try_damaged(struct damage *d, const uint8_t *in, size_t n, size_t cap)
{
    uint8_t *out;
    size_t made;
    int rc = decode_exact(d->decoder, in, n, cap, &out, &made);
    d->tried++;
    d->passed += rc == 0;
    if (rc == 0)
        d->wrong += made > cap || (d->checked && (made != SMALL || memcmp(out, d->block, SMALL) != 0));
    else
        d->wrong += (rc != PLAT_ECORRUPT && rc != PLAT_EUNSUPPORTED) || err.text[0] == '\0' || made != 0;
    free(out);
}

static void test_damage(const char *text, enum block_kind kind)
{
    uint8_t block[SMALL], packed[PACKED_MAX];
    block_fill(kind, block, SMALL);
    size_t n = pack(text, block, SMALL, packed);
    struct damage d = {.decoder = decoder_for(text, SMALL), .block = block, .checked = has_checksum(text)};
    for (size_t cut = 0; cut < n; cut++)
        try_damaged(&d, packed, cut, SMALL);
    ok(n > 0 && d.wrong == 0 && (!d.checked || d.passed == 0),
       "%s, kind %u: %u truncations, %u of them read as less", text, kind, d.tried, d.passed);
    d.tried = d.passed = 0;
    for (size_t bit = 0; bit < n * 8; bit += tap_share()) {
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
        try_damaged(&d, packed, n, SMALL);
        packed[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    ok(d.wrong == 0, "%s: %u flipped bits, %u pass", text, d.tried, d.passed);
    d.tried = d.passed = 0;
    uint64_t random = kind;
    for (unsigned i = 0; i < 20000 / tap_share(); i++) { /* several bytes at once */
        uint8_t damaged[PACKED_MAX];
        memcpy(damaged, packed, n);
        for (unsigned k = 0; k < 1 + i % 6; k++)
            damaged[next_random(&random) % (i % 2 == 0 && n > 40 ? 40 : n)] = (uint8_t)next_random(&random);
        try_damaged(&d, damaged, n - (i % 3 == 0 ? next_random(&random) % n : 0),
                    1 + next_random(&random) % SMALL);
    }
    d.checked =
        false; /* a smaller block may be asked for, and few of the bytes may have changed to what they were */
    ok(d.wrong == 0, "%s: %u with several wrong bytes, %u pass", text, d.tried, d.passed);
    codec_decoder_close(d.decoder);
}

/* Too much, too little, and something behind. */
static void test_ends(const char *text)
{
    uint8_t block[SMALL], packed[PACKED_MAX], *out;
    block_fill(BLOCK_TEXT, block, SMALL);
    size_t n = pack(text, block, SMALL, packed), made = 0;
    struct codec_decoder *decoder = decoder_for(text, SMALL);
    ok(decode_exact(decoder, packed, n, SMALL, &out, &made) == 0 && made == SMALL &&
           memcmp(out, block, SMALL) == 0,
       "%s: as it was", text);
    free(out);
    ok(decode_exact(decoder, packed, n, SMALL - 1, &out, &made) == PLAT_ECORRUPT &&
           strstr(err.text, "more than") != NULL,
       "%s: one byte too few: %s", text, err.text);
    free(out);
    ok(decode_exact(decoder, packed, n, 0, &out, &made) == PLAT_ECORRUPT, "%s: no room: %s", text, err.text);
    free(out);
    ok(decode_exact(decoder, packed, 0, SMALL, &out, &made) == PLAT_ECORRUPT, "%s: no bytes: %s", text,
       err.text);
    free(out);
    for (size_t more = 1; more <= 5; more += 4) {
        memset(packed + n, 0, more);
        ok(decode_exact(decoder, packed, n + more, SMALL, &out, &made) == PLAT_ECORRUPT,
           "%s: %zu zeros behind it: %s", text, more, err.text);
        free(out);
    }
    memcpy(packed + n, packed, n);
    ok(decode_exact(decoder, packed, 2 * n, SMALL, &out, &made) == PLAT_ECORRUPT, "%s: twice: %s", text,
       err.text);
    free(out);
    codec_decoder_close(decoder);
    decoder = decoder_for(text, SMALL / 2);
    uint8_t large[SMALL];
    memset(large, 0x55, sizeof large);
    ok(codec_decode(decoder, packed, n, large, SMALL, &made, &err) == PLAT_ECORRUPT &&
           bytes_all(large + SMALL / 2, SMALL / 2, 0x55),
       "%s: a decoder of smaller blocks writes no more than one of them", text);
    codec_decoder_close(decoder);
}

static void expect(const char *name, const uint8_t *in, size_t n, uint32_t dict_bytes, int class,
                   const char *what)
{
    struct codec_decoder *decoder = NULL;
    enum codec_id id = strcmp(name, "xz") == 0     ? CODEC_XZ
                       : strcmp(name, "lzma") == 0 ? CODEC_LZMA
                                                   : CODEC_ZSTD;
    uint8_t *out;
    size_t made;
    if (codec_decoder_open(id, SMALL, dict_bytes, &decoder, &err) != 0)
        exit(1);
    int rc = decode_exact(decoder, in, n, SMALL, &out, &made);
    ok(n > 0 && rc == class && (rc != 0 || made == SMALL), "%s: %s: %d %s", name, what, rc, err.text);
    free(out);
    codec_decoder_close(decoder);
}

static size_t pack_xz(lzma_filter *filters, lzma_check check, const uint8_t *block, uint8_t *out)
{
    size_t made = 0;
    return lzma_stream_buffer_encode(filters, check, NULL, block, SMALL, out, &made, PACKED_MAX) == LZMA_OK
               ? made
               : 0;
}

static void test_xz(void)
{
    uint8_t block[SMALL], packed[PACKED_MAX];
    lzma_options_lzma lzma2;
    lzma_options_delta delta = {.type = LZMA_DELTA_TYPE_BYTE, .dist = 4};
    lzma_options_bcj later = {.start_offset = 4096};
    lzma_filter plain[] = {{LZMA_FILTER_LZMA2, &lzma2}, {LZMA_VLI_UNKNOWN, NULL}};
    lzma_filter with_delta[] = {
        {LZMA_FILTER_DELTA, &delta}, {LZMA_FILTER_LZMA2, &lzma2}, {LZMA_VLI_UNKNOWN, NULL}};
    lzma_filter with_later[] = {
        {LZMA_FILTER_ARM, &later}, {LZMA_FILTER_LZMA2, &lzma2}, {LZMA_VLI_UNKNOWN, NULL}};
    lzma_filter with_two[] = {{LZMA_FILTER_ARM, NULL},
                              {LZMA_FILTER_X86, NULL},
                              {LZMA_FILTER_LZMA2, &lzma2},
                              {LZMA_VLI_UNKNOWN, NULL}};
    block_fill(BLOCK_TEXT, block, SMALL);
    (void)lzma_lzma_preset(&lzma2, 6);
    lzma2.dict_size = 8192;
    expect("xz", packed, pack_xz(plain, LZMA_CHECK_CRC32, block, packed), 0, 0, "sizes in the block header");
    expect("xz", packed, pack_xz(plain, LZMA_CHECK_NONE, block, packed), 0, 0, "no check");
    expect("xz", packed, pack_xz(plain, LZMA_CHECK_CRC64, block, packed), 0, PLAT_EUNSUPPORTED, "CRC64");
    expect("xz", packed, pack_xz(plain, LZMA_CHECK_SHA256, block, packed), 0, PLAT_EUNSUPPORTED, "SHA-256");
    expect("xz", packed, pack_xz(with_delta, LZMA_CHECK_CRC32, block, packed), 0, PLAT_EUNSUPPORTED, "delta");
    expect("xz", packed, pack_xz(with_later, LZMA_CHECK_CRC32, block, packed), 0, PLAT_EUNSUPPORTED,
           "an offset");
    expect("xz", packed, pack_xz(with_two, LZMA_CHECK_CRC32, block, packed), 0, PLAT_EUNSUPPORTED,
           "two filters");
    lzma2.dict_size = 12288;
    size_t n = pack_xz(plain, LZMA_CHECK_CRC32, block, packed);
    expect("xz", packed, n, 0, PLAT_EUNSUPPORTED, "a dictionary of 12 KiB");
    expect("xz", packed, n, 12288, 0, "which was stated");
    lzma2.dict_size = 1U << 30;
    expect("xz", packed, pack_xz(plain, LZMA_CHECK_CRC32, block, packed), 0, PLAT_EUNSUPPORTED, "1 GiB");
    lzma2.dict_size = 8192;
    n = 0;
    bool packs =
        lzma_stream_buffer_encode(plain, LZMA_CHECK_CRC32, NULL, NULL, 0, packed, &n, PACKED_MAX) == LZMA_OK;
    struct codec_decoder *decoder = decoder_for("xz", SMALL);
    uint8_t *out;
    size_t made;
    int rc = decode_exact(decoder, packed, n, SMALL, &out, &made);
    ok(packs && rc == 0 && made == 0, "xz: a stream of no blocks is empty");
    free(out);
    codec_decoder_close(decoder);
}

static size_t pack_zstd(const uint8_t *block, int window_log, bool checksum, bool stream_size, uint8_t *out)
{
    ZSTD_CCtx *ctx = ZSTD_createCCtx();
    ZSTD_inBuffer in = {block, SMALL, 0};
    ZSTD_outBuffer to = {out, PACKED_MAX, 0};
    (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_windowLog, window_log);
    (void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, checksum);
    if (stream_size)
        (void)ZSTD_CCtx_setPledgedSrcSize(ctx, SMALL);
    in.size = SMALL / 2; /* so that it cannot guess how much is coming */
    (void)ZSTD_compressStream2(ctx, &to, &in, ZSTD_e_continue);
    in.size = SMALL;
    size_t rest = ZSTD_compressStream2(ctx, &to, &in, ZSTD_e_end);
    (void)ZSTD_freeCCtx(ctx);
    return rest == 0 ? to.pos : 0;
}

static void test_zstd(void)
{
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'n', 'o'};
    uint8_t block[SMALL], packed[PACKED_MAX];
    block_fill(BLOCK_TEXT, block, SMALL);
    expect("zstd", packed, pack_zstd(block, 13, false, false, packed), 0, 0,
           "streamed, with a window of 8 KiB");
    expect("zstd", packed, pack_zstd(block, 13, true, true, packed), 0, 0, "a checksum is checked");
    size_t n = pack_zstd(block, 13, true, true, packed);
    packed[n - 1] ^= 1;
    expect("zstd", packed, n, 0, PLAT_ECORRUPT, "and a wrong one found");
    n = pack_zstd(block, 14, false, false, packed);
    expect("zstd", packed, n, 0, PLAT_EUNSUPPORTED, "streamed, with a window of 16 KiB");
    expect("zstd", packed, n, 16384, 0, "where kernels set that aside");
    expect("zstd", packed, pack_zstd(block, 27, false, false, packed), 0, PLAT_EUNSUPPORTED, "128 MiB");
    expect("zstd", skippable, sizeof skippable, 0, PLAT_ECORRUPT, "a skippable frame");
    n = pack("zstd", block, SMALL, packed);
    ok(n > 8 && (packed[4] & 0x27) == 0x20 && packed[4] >> 6 == 1 &&
           (packed[5] | packed[6] << 8) + 256 == SMALL,
       "zstd: ours has one segment, its size, no checksum, no dictionary");
    memmove(packed + 5 + 1, packed + 5, n - 5);
    packed[4] |= 1; /* dictionary number of one byte */
    packed[5] = 7;
    expect("zstd", packed, n + 1, 0, PLAT_EUNSUPPORTED, "a dictionary");
    packed[5] = 0;
    expect("zstd", packed, n + 1, 0, 0, "dictionary 0 is none");
}

static void test_lzma(void)
{
    uint8_t block[SMALL], packed[PACKED_MAX];
    block_fill(BLOCK_TEXT, block, SMALL);
    size_t n = pack_lzma(block, SMALL, packed, PACKED_MAX, 8192);
    expect("lzma", packed, n, 0, 0, "ends with a marker");
    memset(packed + 1, 0xff, 4); /* the dictionary: 4 GiB, which must not be taken */
    expect("lzma", packed, n, 0, 0, "a dictionary of 4 GiB");
    memset(packed + 5, 0, 8);
    packed[6] = SMALL >> 8;
    expect("lzma", packed, n, 0, 0, "states its size and has a marker");
    packed[7] = 1;
    expect("lzma", packed, n, 0, PLAT_ECORRUPT, "states 64 KiB");
    packed[7] = 0;
    packed[0] = 225;
    expect("lzma", packed, n, 0, PLAT_ECORRUPT, "impossible properties");
}

/* A lot of zeros in a few bytes, for a small block: refused after as much as fits. */
static void bomb(const char *name, const uint8_t *packed, size_t n, int class)
{
    struct codec_decoder *decoder = decoder_for(name, SMALL);
    uint8_t *out;
    size_t made;
    int rc = decode_exact(decoder, packed, n, SMALL, &out, &made);
    ok(n > 0 && rc == class, "%s: 64 MiB in %zu bytes: %s", name, n, err.text);
    free(out);
    codec_decoder_close(decoder);
}

static void test_bombs(void)
{
    enum { ZEROS = 64 * 1024 * 1024, ROOM = 1024 * 1024 };
    uint8_t *zeros = calloc(1, ZEROS), *packed = malloc(ROOM);
    lzma_options_lzma lzma2;
    lzma_filter chain[] = {{LZMA_FILTER_LZMA2, &lzma2}, {LZMA_VLI_UNKNOWN, NULL}};
    size_t n = 0;
    uLongf n_zlib = ROOM;
    (void)lzma_lzma_preset(&lzma2, 0);
    lzma2.dict_size = 8192;
    if (lzma_stream_buffer_encode(chain, LZMA_CHECK_CRC32, NULL, zeros, ZEROS, packed, &n, ROOM) != LZMA_OK)
        n = 0;
    bomb("xz", packed, n, PLAT_ECORRUPT);
    n = pack_lzma(zeros, ZEROS, packed, ROOM, 8192);
    bomb("lzma", packed, n, PLAT_ECORRUPT);
    bomb("gzip", packed, compress2(packed, &n_zlib, zeros, ZEROS, 1) == Z_OK ? n_zlib : 0, PLAT_ECORRUPT);
    n = ZSTD_compress(packed, ROOM, zeros, ZEROS, 1);
    bomb("zstd", packed, ZSTD_isError(n) ? 0 : n, PLAT_EUNSUPPORTED);
    free(zeros);
    free(packed);
}

int main(void)
{
    for (size_t i = 0; i < N_ALL; i++) {
        test_ends(all[i]);
        test_damage(all[i], BLOCK_TEXT);
        test_damage(all[i], BLOCK_MIXED);
        test_damage(all[i], BLOCK_ZERO);
    }
    test_xz();
    test_zstd();
    test_lzma();
    test_bombs();
    return tap_done();
}
