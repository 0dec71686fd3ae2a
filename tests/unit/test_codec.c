/* Codecs: every setting gives back what it was given, the same bytes whatever came before, within the memory that is
 * stated, and nothing larger than asked for. */
#include "tests/unit/codec_blocks.h"

#include <malloc.h>

static uint8_t block[BLOCK_MAX], packed[BLOCK_ROOM], again[BLOCK_ROOM], unpacked[BLOCK_MAX + 1];

/* Each codec once; all sizes and kinds go through these. */
static const char *const usual[] = {"gzip",   "zstd",  "xz:0,filters=x86",  "lz4",
                                    "lz4:hc", "lzo:3", "lzo:algorithm=1_15"};
enum { N_USUAL = sizeof usual / sizeof usual[0] };

/* Worst case of what any codec here makes of n bytes. */
static size_t room_for(size_t n)
{
    return n + n / 16 + 1024;
}

/* One block there and back; and as small as possible, one byte less. */
static bool there_and_back(struct codec_encoder *encoder, struct codec_decoder *decoder, size_t n,
                           size_t *ret_packed)
{
    size_t made = 0, same = 0, none = 1, back = 0;
    if (codec_encode(encoder, block, n, packed, room_for(n), &made, &err) != 0 || made == 0 ||
        made > room_for(n))
        return false;
    memset(again, 0xaa, made + 1);
    if (codec_encode(encoder, block, n, again, made, &same, &err) != 0 || same != made ||
        memcmp(packed, again, made) != 0 || again[made] != 0xaa)
        return false;
    memset(again, 0xaa, made);
    if (codec_encode(encoder, block, n, again, made - 1, &none, &err) != 0 || none != 0 ||
        again[made - 1] != 0xaa)
        return false;
    memset(unpacked, 0x55, n + 1);
    if (codec_decode(decoder, packed, made, unpacked, n, &back, &err) != 0 || back != n ||
        memcmp(block, unpacked, n) != 0 || unpacked[n] != 0x55)
        return false;
    *ret_packed = made;
    return true;
}

/* Text and random bytes alone where `few`. */
static unsigned sizes_fail(const char *text, size_t max, bool few, const size_t *sizes, size_t n_sizes)
{
    struct codec_encoder *encoder = encoder_for(text, max);
    struct codec_decoder *decoder = decoder_for(text, max);
    unsigned bad = 0;
    for (unsigned kind = 0; kind < BLOCK_KINDS; kind++)
        for (size_t s = 0; s < n_sizes; s++) {
            size_t made;
            if (few && kind != BLOCK_TEXT && kind != BLOCK_RANDOM)
                continue;
            block_fill((enum block_kind)kind, block, sizes[s]);
            if (!there_and_back(encoder, decoder, sizes[s], &made)) {
                printf("# %s, kind %u, %zu bytes: %s\n", text, kind, sizes[s], err.text);
                bad++;
            }
        }
    codec_encoder_close(encoder);
    codec_decoder_close(decoder);
    return bad;
}

static void test_sizes(void)
{
    static const size_t small[] = {1, 2, 3, 4, 5, 12, 13, 100, 1000, 4095, 4096, 4097, 8191, 8192};
    static const size_t usual_sizes[] = {8193,  65535, 65536, 65546, 65547,  65548,
                                         70000, 98304, 98305, 99999, 131071, 131072};
    static const size_t large[] = {131073, 262144, BLOCK_MAX};
    for (size_t c = 0; c < N_USUAL; c++) {
        unsigned bad = sizes_fail(usual[c], 8192, false, small, sizeof small / sizeof small[0]);
        bad += sizes_fail(usual[c], 131072, true, small, 7);
        bad += sizes_fail(usual[c], 131072, false, usual_sizes, sizeof usual_sizes / sizeof usual_sizes[0]);
        bad += sizes_fail(usual[c], BLOCK_MAX, true, large, sizeof large / sizeof large[0]);
        ok(bad == 0, "%s: sizes from 1 to 1 MiB of every kind come back", usual[c]);
    }
}

static void test_bounds(void)
{
    for (size_t c = 0; c < N_USUAL; c++) {
        struct codec_encoder *encoder = encoder_for(usual[c], 50000);
        size_t made = 1;
        ok(codec_encode(encoder, block, 0, packed, 100, &made, &err) == 0 && made == 0,
           "%s: nothing is stored plain", usual[c]);
        ok(codec_encode(encoder, block, 50001, packed, 100, &made, &err) == PLAT_EBUG,
           "%s: a block larger than promised is refused", usual[c]);
        block_fill(BLOCK_RANDOM, block, 50000);
        made = 1;
        ok(codec_encode(encoder, block, 50000, packed, 49999, &made, &err) == 0 && made == 0,
           "%s: random bytes do not get smaller", usual[c]);
        codec_encoder_close(encoder);
    }
}

static size_t one_setting(const char *text, size_t n)
{
    struct codec_encoder *encoder = encoder_for(text, n);
    struct codec_decoder *decoder = decoder_for(text, n);
    size_t made = 0;
    bool good = there_and_back(encoder, decoder, n, &made);
    ok(good, "%s: %zu bytes, packed %zu%s%s", text, n, made, good ? "" : ": ", good ? "" : err.text);
    codec_encoder_close(encoder);
    codec_decoder_close(decoder);
    return made;
}

static void test_settings(void)
{
    enum { N = 131072 };
    static const struct {
        const char *prefix;
        int first, last;
    } levels[] = {
        {"gzip:", 1, 12}, {"zstd:", 1, 22}, {"xz:", 0, 9}, {"lz4:hc,level=", 3, 12}, {"lzo:", 1, 9}};
    static const char *const others[] = {"xz:extreme",
                                         "xz:dict=8KiB",
                                         "xz:dict=12KiB",
                                         "xz:lc=4,pb=0",
                                         "xz:lc=0,lp=2,pb=4",
                                         "xz:filters=arm+sparc",
                                         "lzo:algorithm=1",
                                         "lzo:algorithm=1_11",
                                         "lzo:algorithm=1_12",
                                         "lzo:algorithm=999",
                                         "xz:filters=armthumb+powerpc+ia64"};
    block_fill(BLOCK_TEXT, block, N);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        size_t first = 0, last = 0;
        for (int level = levels[i].first; level <= levels[i].last; level++) {
            char text[64];
            snprintf(text, sizeof text, "%s%d", levels[i].prefix, level);
            last = one_setting(text, N);
            first = level == levels[i].first ? last : first;
        }
        ok(last < first, "%s: the highest level is smaller than the lowest", levels[i].prefix);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        (void)one_setting(others[i], N);
    block_fill(BLOCK_CODE, block, N);
    size_t plain = one_setting("xz", N), filtered = one_setting("xz:filters=x86", N);
    ok(filtered < plain, "x86 code is smaller with its filter");
    ok(one_setting("xz:filters=ia64+x86+sparc", N) == filtered, "the best of several filters is kept");
    block_fill(BLOCK_TEXT, block, N);
    ok(one_setting("xz:filters=ia64+x86+sparc", N) <= one_setting("xz", N), "and none where none is best");
    struct codec_settings settings;
    if (codec_parse("xz:filters=arm64", &settings, &err) == 0)
        (void)one_setting("xz:filters=arm64", N);
}

/* A used encoder and a new one: threads get blocks in any order, so what came before must not show. */
static void test_history(void)
{
    static const char *const texts[] = {"gzip:1", "gzip",   "gzip:12",        "zstd:1", "zstd:3",
                                        "zstd:6", "zstd",   "zstd:19",        "xz:1",   "xz:filters=x86",
                                        "lz4",    "lz4:hc", "lz4:hc,level=3", "lzo",    "lzo:algorithm=1"};
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        struct codec_encoder *used = encoder_for(texts[t], 131072);
        uint64_t random = 7;
        unsigned differ = 0;
        for (unsigned i = 0; i < 40 / tap_share() + 8; i++) {
            size_t n = i % 5 == 0 ? 131072 : 1 + next_random(&random) % (i % 2 == 0 ? 131072 : 9000);
            size_t made = 0, fresh_made = 0;
            block_fill((enum block_kind)(i % BLOCK_KINDS), block, n);
            if (i % 7 == 6) /* a block that is given up half way */
                (void)codec_encode(used, block, n, packed, 20, &made, &err);
            struct codec_encoder *fresh = encoder_for(texts[t], 131072);
            differ += codec_encode(used, block, n, packed, n, &made, &err) != 0 ||
                      codec_encode(fresh, block, n, again, n, &fresh_made, &err) != 0 || made != fresh_made ||
                      memcmp(packed, again, made) != 0;
            codec_encoder_close(fresh);
        }
        ok(differ == 0, "%s: a used encoder makes the bytes of a new one", texts[t]);
        codec_encoder_close(used);
    }
}

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
static size_t allocated(void)
{
    return 0; /* the sanitizer's allocator does not say */
}
#else
static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
#endif

static void test_memory(void)
{
    static const char *const texts[] = {"gzip:1",
                                        "gzip",
                                        "gzip:12",
                                        "zstd:1",
                                        "zstd",
                                        "zstd:22",
                                        "xz:0",
                                        "xz:9,extreme",
                                        "xz:filters=x86+arm",
                                        "lz4",
                                        "lz4:hc",
                                        "lzo",
                                        "lzo:algorithm=1_15"};
    static const size_t sizes[] = {8192, 131072, BLOCK_MAX};
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            struct codec_settings settings;
            size_t made = 0, back = 0, start = allocated();
            block_fill(BLOCK_MIXED, block, sizes[s]);
            struct codec_encoder *encoder = encoder_for(texts[t], sizes[s]);
            (void)codec_parse(texts[t], &settings, &err);
            (void)codec_encode(encoder, block, sizes[s], packed, BLOCK_ROOM, &made, &err);
            (void)codec_encode(encoder, block, 1000, again, BLOCK_ROOM, &back, &err);
            size_t taken = allocated() - start;
            uint64_t stated = codec_encoder_memory_bytes(&settings, sizes[s]);
            ok(taken <= stated, "%s: encoder of %zu-byte blocks: %zu bytes of %llu stated", texts[t],
               sizes[s], taken, (unsigned long long)stated);
            codec_encoder_close(encoder);
            start = allocated();
            struct codec_decoder *decoder = decoder_for(texts[t], sizes[s]);
            bool good = codec_decode(decoder, packed, made, unpacked, sizes[s], &back, &err) == 0;
            taken = allocated() - start;
            stated = codec_decoder_memory_bytes(settings.id, sizes[s], 0);
            ok(good && taken <= stated, "%s: decoder: %zu bytes of %llu", texts[t], taken,
               (unsigned long long)stated);
            codec_decoder_close(decoder);
        }
}

static void test_text(void)
{
    static const struct {
        const char *text, *described;
    } good[] = {
        {"gzip", "gzip"},
        {"gzip:9", "gzip"},
        {"gzip:level=12", "gzip:level=12"},
        {"zstd:19", "zstd:level=19"},
        {"lz4", "lz4"},
        {"lz4:hc", "lz4:hc"},
        {"lz4:level=4,hc", "lz4:hc,level=4"},
        {"lzo", "lzo"},
        {"lzo:algorithm=1_12", "lzo:algorithm=1_12"},
        {"lzo:algorithm=999,3", "lzo:level=3"},
        {"xz:extreme,dict=64KiB,filters=sparc+x86,lc=2,lp=1,pb=0,0",
         "xz:level=0,extreme,dict=65536,filters=x86+sparc,lc=2,lp=1,pb=0"},
    };
    static const struct {
        const char *text, *want;
    } bad[] = {
        {"bzip2", "expected gzip, lzo, xz, lz4 or zstd"},
        {"lzma", "decompressed only"},
        {"gzip:0", "expected 1 to 12"},
        {"gzip:13", "expected 1 to 12"},
        {"zstd:23", "expected 1 to 22"},
        {"zstd:level=-1", "-1"},
        {"zstd:", "is no setting"},
        {"xz:10", "expected 0 to 9"},
        {"lz4:5", "choose lz4:hc"},
        {"lz4:hc,2", "expected 3 to 12"},
        {"lzo:algorithm=1,3", "algorithm 999"},
        {"lzo:algorithm=2", "expected 1, 1_11"},
        {"lzo:0", "expected 1 to 9"},
        {"xz:dict=8000", "expected 2^n"},
        {"xz:dict=4KiB", "8192"},
        {"xz:dict=40KiB", "2^n or 3"},
        {"xz:dict=64MiB", "expected 2^n"},
        {"xz:dict=8GiB", "at most"},
        {"xz:filters=mips", "no xz filter 'mips'"},
        {"xz:lc=3,lp=2", "at most 4"},
        {"xz:pb=5", "at most 4"},
        {"xz:hc", "no setting of xz"},
        {"xz:fast=1", "no setting 'fast' of xz"},
        {"gzip:dict=64KiB", "no setting 'dict' of gzip"},
        {"gzip:level=1x", "1x"},
        {"gzip:999999999999999999999", "9999"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct codec_settings first, second;
        struct strbuf text = {0};
        bool parsed = codec_parse(good[i].text, &first, &err) == 0;
        if (parsed)
            codec_describe(&first, &text);
        ok_text(strbuf_str(&text), good[i].described, good[i].text);
        ok(parsed && codec_parse(strbuf_str(&text), &second, &err) == 0 && first.level == second.level &&
               first.xz_dict_bytes == second.xz_dict_bytes && first.xz_filters == second.xz_filters &&
               first.lz4_hc == second.lz4_hc && first.lzo_algorithm == second.lzo_algorithm,
           "%s means the same", strbuf_str(&text));
        strbuf_free(&text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct codec_settings settings = {.level = 77};
        int rc = codec_parse(bad[i].text, &settings, &err);
        ok((rc == PLAT_EINVALID || rc == PLAT_EUNSUPPORTED) && strstr(err.text, bad[i].want) != NULL &&
               settings.level == 77,
           "%s: %s", bad[i].text, err.text);
    }
}

static void test_open(void)
{
    struct codec_settings settings;
    struct codec_encoder *encoder = NULL;
    struct codec_decoder *decoder = NULL;
    codec_settings_default(CODEC_ZSTD, &settings);
    ok(codec_encoder_open(&settings, 0, &encoder, &err) == PLAT_ELIMIT, "blocks of no bytes: %s", err.text);
    ok(codec_encoder_open(&settings, CODEC_BLOCK_BYTES_MAX + 1, &encoder, &err) == PLAT_ELIMIT,
       "and too large: %s", err.text);
    settings.level = 40;
    ok(codec_encoder_open(&settings, 4096, &encoder, &err) == PLAT_EINVALID && encoder == NULL,
       "level 40: %s", err.text);
    settings.id = CODEC_IDS;
    ok(codec_encoder_open(&settings, 4096, &encoder, &err) == PLAT_EINVALID, "no codec: %s", err.text);
    ok(codec_decoder_open(CODEC_IDS, 4096, 0, &decoder, &err) == PLAT_EUNSUPPORTED, "no codec: %s", err.text);
    ok(codec_decoder_open(CODEC_XZ, 4096, 1U << 30, &decoder, &err) == PLAT_ELIMIT, "1 GiB: %s", err.text);
    ok(!codec_can_encode(CODEC_LZMA) && codec_can_encode(CODEC_LZO) && !codec_can_encode(CODEC_IDS) &&
           strcmp(codec_name(CODEC_IDS), "unknown") == 0,
       "lzma is only decoded");
    codec_encoder_close(NULL);
    codec_decoder_close(NULL);
    codec_settings_default(CODEC_XZ, &settings);
    ok(codec_xz_dict_bytes(&settings, 4096) == 8192 && codec_xz_dict_bytes(&settings, 131072) == 131072 &&
           codec_xz_dict_bytes(&settings, 131073) == 196608,
       "xz dictionaries are the block's");
    settings.xz_dict_bytes = 65536;
    ok(codec_xz_dict_bytes(&settings, 8192) == 8192 && codec_xz_dict_bytes(&settings, 131072) == 65536,
       "or the chosen one, where the block is larger");
}

int main(void)
{
    test_text();
    test_open();
    test_sizes();
    test_bounds();
    test_settings();
    test_history();
    test_memory();
    return tap_done();
}
