/* Each allocation of codecs and pipelines failing in turn: told as such, nothing lost, and the next attempt works. */
#include "lib/par/par.h"
#include "tests/unit/codec_blocks.h"
#include "tests/unit/memory_fails.h"
#include "tests/unit/threads.h"

enum { BLOCK_BYTES = 8192 };
static const char *text; /* the codec under test */

/* All of it once: 0, or the class that it failed with. */
static int use_codec(void)
{
    static uint8_t block[BLOCK_BYTES], packed[2 * BLOCK_BYTES], back[BLOCK_BYTES];
    struct codec_settings settings;
    struct codec_encoder *encoder = NULL;
    struct codec_decoder *decoder = NULL;
    size_t n = 0, made = 0;
    block_fill(BLOCK_TEXT, block, BLOCK_BYTES);
    int rc = codec_parse(text, &settings, &err);
    if (rc == 0)
        rc = codec_encoder_open(&settings, BLOCK_BYTES, &encoder, &err);
    if (rc == 0)
        rc = codec_encode(encoder, block, BLOCK_BYTES, packed, sizeof packed, &n, &err);
    if (rc == 0)
        rc = codec_decoder_open(settings.id, BLOCK_BYTES, 0, &decoder, &err);
    if (rc == 0)
        rc = codec_decode(decoder, packed, n, back, BLOCK_BYTES, &made, &err);
    if (rc == 0 && (made != BLOCK_BYTES || memcmp(block, back, made) != 0))
        rc = PLAT_EBUG;
    codec_encoder_close(encoder);
    codec_decoder_close(decoder);
    return rc;
}

static int word_open(void *ctx, void **ret, struct plat_err *e)
{
    (void)ctx;
    *ret = malloc(sizeof(uint64_t));
    return *ret == NULL ? err_nomem(e, "opening a word") : 0;
}

static int word_run(void *ctx, void *worker, void *job, struct plat_err *e)
{
    (void)ctx;
    (void)e;
    *(uint64_t *)job = *(uint64_t *)worker = 1;
    return 0;
}

static int use_par(void)
{
    static const struct par_ops ops = {.worker_open = word_open,
                                       .worker_close = free,
                                       .job_open = word_open,
                                       .job_close = free,
                                       .run = word_run};
    struct par *par = NULL;
    void *job = NULL;
    int rc = par_open(&ops, NULL, 3, &par, &err);
    for (unsigned i = 0; rc == 0 && i < 5; i++) {
        (void)par_next(par);
        par_submit(par);
        rc = par_take(par, &job, &err);
    }
    par_close(par);
    return rc;
}

static void each_fails(const char *name, int (*use)(void))
{
    unsigned long nth = 0;
    unsigned bad = 0;
    for (bool failed = true; failed; nth++) {
        const long before = memory.live;
        err_clear(&err);
        memory.left = nth;
        memory.failed = 0;
        memory.armed = true;
        int rc = use();
        memory.armed = false;
        failed = memory.failed > 0;
        bad += rc != (failed ? PLAT_ENOMEM : 0) || (failed && strstr(err.text, "out of memory") == NULL) ||
               memory.live != before || threads_left() != 1;
    }
    ok(bad == 0 && nth > 1, "%s: each of %lu allocations fails, nothing is lost", name, nth - 1);
}

int main(void)
{
    static const char *const texts[] = {"gzip", "zstd", "xz", "xz:filters=x86+arm", "lz4", "lz4:hc", "lzo"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        text = texts[i];
        each_fails(text, use_codec);
    }
    each_fails("a pipeline", use_par);
    return tap_done();
}
