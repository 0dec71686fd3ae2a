/* Every block of contents decompressed, each once, in the order of the image: it is whole and as long as its file wants.
 * SquashFS has no checksums of its own; zlib, xz and lzo streams have, lz4 and zstd notice most damage. */
#include <stdlib.h>

#include "formats/squashfs/check.h"

/* Blocks that overlap are read more than once. More of that than this, and the image is made to waste time. */
enum { SCRUB_TIMES = 4, SCRUB_SPARE_BYTES = 64 << 20 };

struct scrub {
    struct sq_check check; /* first */
    struct progress *progress;
    struct sq_worker *worker;
    uint8_t *out;
    uint64_t left_bytes; /* that may be read */
    bool gave_up;
};

static int scrub_block(struct scrub *scrub, const struct sq_stored *block)
{
    struct volume *vol = scrub->check.vol;
    struct plat_err why = {0};
    const uint32_t n = squashfs_block_size_bytes(block->word);
    uint32_t got = 0;
    if (sq_data_check(vol, block->offset, block->word, NULL) != 0)
        return 0; /* check has said so */
    if (n > scrub->left_bytes) {
        scrub->gave_up = true;
        return sq_report(
            &scrub->check, SEVERITY_ERROR, "sq-overlap", "data", &block->offset,
            "the blocks overlap so much that reading all of them would take %d times the image: the rest is "
            "not decompressed",
            SCRUB_TIMES);
    }
    scrub->left_bytes -= n;
    int rc = sq_data_decode(vol, scrub->worker, block->offset, block->word, scrub->out, &got, &why);
    progress_add(scrub->progress, n);
    if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED)
        return sq_report(&scrub->check, SEVERITY_ERROR, "sq-data", "data", &block->offset, "%s", why.text);
    if (rc != 0) {
        if (scrub->check.err != NULL)
            *scrub->check.err = why;
        return rc;
    }
    if (block->expected != 0 && got != block->expected)
        return sq_report(&scrub->check, SEVERITY_ERROR, "sq-data", "data", &block->offset,
                         "a block decompresses to %u bytes; its file has %u there", got, block->expected);
    return 0;
}

static int scrub_blocks(struct sq_check *check)
{
    struct scrub *scrub = (struct scrub *)(void *)check;
    int rc = 0;
    sq_check_sort(check);
    for (size_t i = 0; rc == 0 && !scrub->gave_up && i < check->n_blocks; i++) {
        const struct sq_stored *block = &check->blocks[i];
        const bool again = i > 0 && block->offset == block[-1].offset && block->word == block[-1].word &&
                           block->expected == block[-1].expected;
        /* Fragment blocks have a pass of their own, which knows how long they must be. */
        if (!again && block->expected != 0)
            rc = scrub_block(scrub, block);
    }
    check->n_blocks = 0;
    return rc;
}

static int scrub_fragments(struct scrub *scrub)
{
    struct volume *vol = scrub->check.vol;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && !scrub->gave_up && i < vol->tables[SQ_FRAGMENTS].entries; i++) {
        struct sq_fragment fragment;
        struct plat_err why = {0};
        uint32_t got = 0;
        rc = sq_fragment_read(vol, (uint32_t)i, &fragment, &why);
        if (rc == 0 && squashfs_block_size_bytes(fragment.word) > scrub->left_bytes)
            return 0;
        if (rc == 0) {
            scrub->left_bytes -= squashfs_block_size_bytes(fragment.word);
            rc = sq_data_decode(vol, scrub->worker, fragment.start, fragment.word, scrub->out, &got, &why);
            progress_add(scrub->progress, squashfs_block_size_bytes(fragment.word));
        }
        if (rc == 0 && got < scrub->check.tails[i])
            rc = err_at(&why, PLAT_ECORRUPT, fragment.start, NULL,
                        "a block of fragments decompresses to %u bytes; files want %u", got,
                        scrub->check.tails[i]);
        if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED)
            rc = sq_report(&scrub->check, SEVERITY_ERROR, "sq-data", "fragments",
                           why.has_offset ? &why.offset : NULL, "%s", why.text);
        else if (rc != 0 && scrub->check.err != NULL)
            *scrub->check.err = why;
    }
    return rc;
}

int squashfs_scrub(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                   struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct scrub scrub = {.check = {.vol = vol, .sink = sink, .err = err, .full = scrub_blocks},
                          .progress = progress};
    if (!vol->sound)
        return 0;
    const uint64_t used = vol->super.bytes_used;
    scrub.left_bytes = used > (UINT64_MAX - SCRUB_SPARE_BYTES) / SCRUB_TIMES
                           ? UINT64_MAX
                           : used * SCRUB_TIMES + SCRUB_SPARE_BYTES;
    /* Opening has counted the blocks of the table, so this is in proportion to the image. */
    const uint64_t fragments = vol->tables[SQ_FRAGMENTS].entries;
    int rc = sq_worker_take(vol, &scrub.worker, err);
    if (rc != 0)
        return rc;
    scrub.check.tails = calloc((size_t)fragments + 1, sizeof *scrub.check.tails);
    scrub.out = malloc(vol->super.block_bytes);
    if (scrub.check.tails == NULL || scrub.out == NULL)
        rc = err_nomem(err, "reading contents");
    if (rc == 0)
        rc = sq_check_collect(&scrub.check, false);
    if (rc == 0)
        rc = scrub_blocks(&scrub.check);
    if (rc == 0)
        rc = scrub_fragments(&scrub);
    free(scrub.out);
    sq_check_free(&scrub.check);
    sq_worker_give(vol, scrub.worker);
    return rc;
}
