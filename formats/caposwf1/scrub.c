/* Contents against their checksums, and zeros where zeros must be, front to back. Blocks of metadata are check's.
 *
 * Which blocks hold contents stands in the maps of the files, in the order of the nodes. So extents are gathered in one
 * pass over the metadata, sorted and read in ascending order; when there are more than fit, the lower ones first, and
 * then another pass. Memory: 16 bytes an extent, of at most a million, and one mebibyte to read into. */
#include <stdlib.h>

#include "formats/caposwf1/each.h"
#include "formats/caposwf1/volume.h"
#include "lib/hash/hash.h"

enum { MAX_PIECES = 1 << 20, MAX_WINDOW_BLOCKS = 2048 };
#define NO_LEAF UINT64_MAX

struct piece {
    uint32_t block, crc32c, node;
    uint16_t blocks;
    uint16_t tail_bytes; /* of the last block that belong to the file; the rest is zero */
};

struct scrub {
    struct volume *vol;
    struct wf1_reader *reader;
    const struct finding_sink *sink;
    struct progress *progress;
    uint64_t at; /* blocks before are done */
    /* What is gathered: the extents that begin in [low, high). */
    struct piece *pieces;
    size_t n_pieces, cap;
    bool sorted;
    uint64_t low, high;
    /* What is read: blocks of the device. */
    uint8_t *window;
    uint64_t window_first, window_n, window_cap;
    /* A block of the bitmap. */
    uint64_t leaf;
    uint8_t bits[WF1_BLOCK_BYTES];
    struct plat_err *err;
};

/* ---- gathering ---- */

static int piece_compare(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    return x->block < y->block ? -1 : x->block > y->block;
}

static void pieces_sort(struct scrub *scrub)
{
    if (!scrub->sorted)
        qsort(scrub->pieces, scrub->n_pieces, sizeof *scrub->pieces, piece_compare);
    scrub->sorted = true;
}

/* Makes room: keeps the lower half and lowers `high` to where it ends. */
static void pieces_halve(struct scrub *scrub)
{
    pieces_sort(scrub);
    size_t keep = scrub->cap / 2;
    const uint32_t block = scrub->pieces[keep].block;
    while (keep > 0 && scrub->pieces[keep - 1].block == block)
        keep--;
    /* All of them in one place: check says so, and one is enough. */
    scrub->high = keep == 0 ? (uint64_t)block + 1 : block;
    scrub->n_pieces = keep == 0 ? 1 : keep;
}

struct gathering {
    struct scrub *scrub;
    uint32_t number;
    const struct wf1_node *node;
};

static int gather_extent(void *ctx, const struct wf1_entry *extent)
{
    const struct gathering *gathering = ctx;
    struct scrub *scrub = gathering->scrub;
    const uint64_t end = (uint64_t)extent->key + extent->count;
    const uint64_t rest = gathering->node->size_bytes % WF1_BLOCK_BYTES;
    const bool last = end == wf1_blocks_of(gathering->node->size_bytes);
    const struct piece piece = {
        .block = extent->block,
        .crc32c = extent->crc32c,
        .node = gathering->number,
        .blocks = (uint16_t)extent->count,
        .tail_bytes = last && rest != 0 ? (uint16_t)rest : (uint16_t)WF1_BLOCK_BYTES,
    };
    if (piece.block >= scrub->low && piece.block < scrub->high && scrub->n_pieces == scrub->cap)
        pieces_halve(scrub);
    if (piece.block < scrub->low || piece.block >= scrub->high)
        return 0;
    if (scrub->n_pieces > 0 && piece.block < scrub->pieces[scrub->n_pieces - 1].block)
        scrub->sorted = false;
    scrub->pieces[scrub->n_pieces++] = piece;
    return 0;
}

static int gather_records(void *ctx, uint64_t first_number, const uint8_t *bytes, uint64_t offset)
{
    struct scrub *scrub = ctx;
    const struct wf1_super *super = &scrub->reader->super;
    int rc = 0;
    (void)offset;
    for (uint64_t i = 0; rc == 0 && i < WF1_RECORDS && first_number + i < super->node_count; i++) {
        struct wf1_node node;
        struct gathering gathering = {scrub, (uint32_t)(first_number + i), &node};
        wf1_node_decode(bytes + i * CAPOSWF1_PLAIN_NODE_BYTES, &node);
        if ((node.kind == CAPOSWF1_NODE_KIND_FILE || node.kind == CAPOSWF1_NODE_KIND_SYMLINK) &&
            wf1_node_fault(super, &node) == NULL)
            rc = wf1_each_extent(scrub->reader, &node, gather_extent, &gathering, scrub->err);
    }
    return rc;
}

/* ---- reading ---- */

/* Blocks from `block` on: n of them (`whole`), else at least one; *ret_n of them. */
static int window_read(struct scrub *scrub, uint64_t block, uint64_t n, bool whole, const uint8_t **ret,
                       uint64_t *ret_n)
{
    const uint64_t image_blocks = scrub->vol->fs.dev->size_bytes / WF1_BLOCK_BYTES;
    uint64_t skip = block - scrub->window_first;
    if (block < scrub->window_first || skip >= scrub->window_n || (whole && n > scrub->window_n - skip)) {
        const uint64_t left = image_blocks - block;
        const uint64_t take = left < scrub->window_cap ? left : scrub->window_cap;
        scrub->window_n = 0;
        int rc = dev_read(scrub->vol->fs.dev, block * WF1_BLOCK_BYTES, scrub->window,
                          (size_t)(take * WF1_BLOCK_BYTES), scrub->err);
        if (rc != 0)
            return rc;
        scrub->window_first = block;
        scrub->window_n = take;
        skip = 0;
    }
    *ret = scrub->window + skip * WF1_BLOCK_BYTES;
    *ret_n = n < scrub->window_n - skip ? n : scrub->window_n - skip;
    return 0;
}

static int report_nonzero(struct scrub *scrub, uint64_t at, const char *path, const char *what)
{
    return finding_report(scrub->sink, SEVERITY_ERROR, "wf1-zero", path, &at, NULL,
                          "%s: expected zeros, found another byte here", what);
}

/* Bytes of the image outside the region. */
static int scrub_outside(struct scrub *scrub, uint64_t start, uint64_t end, const char *what)
{
    bool found = false;
    uint64_t at = 0;
    if (scrub->reader->super.shared || start >= end)
        return 0;
    int rc =
        dev_find_nonzero(scrub->vol->fs.dev, (struct range){start, end - start}, &found, &at, scrub->err);
    return rc == 0 && found ? report_nonzero(scrub, at, "outside", what) : rc;
}

static int scrub_zero_blocks(struct scrub *scrub, uint64_t first, uint64_t end)
{
    static const char what[] = "a free block";
    bool found = false;
    uint64_t at = 0;
    if (end - first > scrub->window_cap) {
        int rc = dev_find_nonzero(scrub->vol->fs.dev,
                                  (struct range){first * WF1_BLOCK_BYTES, (end - first) * WF1_BLOCK_BYTES},
                                  &found, &at, scrub->err);
        return rc == 0 && found ? report_nonzero(scrub, at, "free", what) : rc;
    }
    while (first < end) {
        const uint8_t *bytes;
        uint64_t n;
        int rc = window_read(scrub, first, end - first, false, &bytes, &n);
        if (rc != 0)
            return rc;
        if (!bytes_all(bytes, (size_t)(n * WF1_BLOCK_BYTES), 0)) {
            for (at = 0; bytes[at] == 0;)
                at++;
            return report_nonzero(scrub, first * WF1_BLOCK_BYTES + at, "free", what);
        }
        first += n;
    }
    return 0;
}

/* ---- free blocks ---- */

/* The block of the bitmap that has this bit; one that cannot be read, which check has said, is full. */
static int leaf_load(struct scrub *scrub, uint64_t leaf)
{
    const struct wf1_super *super = &scrub->reader->super;
    struct wf1_pointer at = {0, 0};
    const uint8_t *bytes = NULL;
    if (scrub->leaf == leaf)
        return 0;
    int rc = wf1_radix(scrub->reader, super->bitmap, super->bitmap_levels, leaf, &at, scrub->err);
    if (rc == 0 && at.block != 0)
        rc = wf1_block(scrub->reader, at, &bytes, scrub->err);
    if (rc != 0 && rc != PLAT_ECORRUPT)
        return rc;
    if (bytes != NULL)
        memcpy(scrub->bits, bytes, WF1_BLOCK_BYTES);
    else
        memset(scrub->bits, rc == 0 ? 0 : UINT8_MAX, WF1_BLOCK_BYTES);
    scrub->leaf = leaf;
    return 0;
}

/* The end of the run of equal bits that begins at `at`, no further than the block of the bitmap goes. */
static uint64_t run_end(const struct scrub *scrub, uint64_t at, uint64_t end)
{
    const uint64_t limit = (at / WF1_BITS + 1) * WF1_BITS < end ? (at / WF1_BITS + 1) * WF1_BITS : end;
    const uint8_t *bits = scrub->bits;
    const uint8_t same = (bits[at % WF1_BITS / 8] >> at % 8 & 1) != 0 ? UINT8_MAX : 0;
    while (at < limit) {
        const uint8_t byte = bits[at % WF1_BITS / 8];
        if (at % 8 == 0 && limit - at >= 8 && byte == same)
            at += 8;
        else if ((byte >> at % 8 & 1) == (same & 1))
            at++;
        else
            break;
    }
    return at;
}

/* Blocks [scrub->at, end): the free ones are zero, the others are somebody's metadata. */
static int scrub_between(struct scrub *scrub, uint64_t end)
{
    const uint64_t region = scrub->reader->super.region_first_block;
    const bool free_is_zero = scrub->vol->pair.clean && !wf1_skips(scrub->vol->hooks, WF1_CHECK_FREE);
    uint64_t at = scrub->at - region, free_from = at;
    int rc = 0;
    if (scrub->at >= end)
        return 0;
    while (rc == 0 && free_is_zero && at < end - region) {
        if ((rc = leaf_load(scrub, at / WF1_BITS)) != 0)
            break;
        const bool used = (scrub->bits[at % WF1_BITS / 8] >> at % 8 & 1) != 0;
        const uint64_t next = run_end(scrub, at, end - region);
        /* Runs of free blocks go on from one block of the bitmap to the next. */
        if (used && free_from < at)
            rc = scrub_zero_blocks(scrub, region + free_from, region + at);
        if (used)
            free_from = next;
        at = next;
    }
    if (rc == 0 && free_is_zero && free_from < at)
        rc = scrub_zero_blocks(scrub, region + free_from, region + at);
    progress_add(scrub->progress, (end - scrub->at) * WF1_BLOCK_BYTES);
    scrub->at = end;
    return rc;
}

/* ---- contents ---- */

static int scrub_piece(struct scrub *scrub, const struct piece *piece)
{
    const size_t n = (size_t)piece->blocks * WF1_BLOCK_BYTES;
    const size_t used = n - WF1_BLOCK_BYTES + piece->tail_bytes;
    uint64_t offset = (uint64_t)piece->block * WF1_BLOCK_BYTES, got;
    const uint8_t *bytes = NULL;
    struct strbuf path = {0};
    int rc = window_read(scrub, piece->block, piece->blocks, true, &bytes, &got);
    progress_add(scrub->progress, n);
    scrub->at = (uint64_t)piece->block + piece->blocks;
    if (rc != 0 || wf1_skips(scrub->vol->hooks, WF1_CHECK_DATA))
        return rc;
    static const uint8_t none[WF1_BLOCK_BYTES];
    uint32_t crc32c = hash_crc32c(0, bytes, n);
    const bool zeros = bytes_all(bytes + used, n - used, 0);
    if (crc32c == piece->crc32c && zeros)
        return 0;
    /* With the zeros that should be there: are they all that is wrong? */
    const uint32_t with_zeros = hash_crc32c(hash_crc32c(0, bytes, used), none, n - used);
    if (!zeros && with_zeros == piece->crc32c)
        crc32c = with_zeros;
    strbuf_printf(&path, "nodes[%u]", piece->node);
    if (path.failed)
        rc = err_nomem(scrub->err, "naming a node");
    else if (crc32c != piece->crc32c)
        rc = finding_report(scrub->sink, SEVERITY_ERROR, "wf1-data", strbuf_str(&path), &offset, NULL,
                            "the content in blocks %u to %u does not match its checksum: expected 0x%08x, "
                            "found 0x%08x",
                            piece->block, piece->block + piece->blocks - 1, piece->crc32c, crc32c);
    if (rc == 0 && !zeros) {
        offset += used;
        rc = report_nonzero(scrub, offset, strbuf_str(&path), "behind the end of the file in its last block");
    }
    strbuf_free(&path);
    return rc;
}

static int scrub_region(struct scrub *scrub)
{
    const struct wf1_super *super = &scrub->reader->super;
    const uint64_t end = super->region_first_block + super->region_blocks;
    int rc = 0;
    scrub->at = super->region_first_block;
    for (scrub->low = 0; rc == 0 && scrub->low < end; scrub->low = scrub->high) {
        scrub->high = end;
        scrub->n_pieces = 0;
        scrub->sorted = true;
        rc = wf1_each_records(scrub->reader, gather_records, scrub, scrub->err);
        if (rc == 0)
            pieces_sort(scrub);
        for (size_t i = 0; rc == 0 && i < scrub->n_pieces; i++) {
            /* Of extents that overlap, which check has reported, the first is read. */
            if (scrub->pieces[i].block < scrub->at)
                continue;
            rc = scrub_between(scrub, scrub->pieces[i].block);
            if (rc == 0)
                rc = scrub_piece(scrub, &scrub->pieces[i]);
        }
        if (rc == 0)
            rc = scrub_between(scrub, scrub->high);
    }
    return rc;
}

int caposwf1_scrub(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                   struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    const struct wf1_super *super = &vol->reader.super;
    struct scrub scrub;
    if (!vol->sound)
        return 0;
    scrub.vol = vol;
    scrub.reader = &vol->reader;
    scrub.sink = sink;
    scrub.progress = progress;
    scrub.err = err;
    scrub.leaf = NO_LEAF;
    scrub.window_first = scrub.window_n = 0;
    const uint64_t blocks = super->region_blocks;
    scrub.cap = blocks < MAX_PIECES ? (size_t)blocks + 1 : MAX_PIECES;
    if (vol->hooks != NULL && vol->hooks->scrub_pieces != 0)
        scrub.cap = vol->hooks->scrub_pieces;
    scrub.window_cap = blocks < WF1_EXTENT_BLOCKS   ? (uint64_t)WF1_EXTENT_BLOCKS
                       : blocks < MAX_WINDOW_BLOCKS ? blocks
                                                    : MAX_WINDOW_BLOCKS;
    const size_t pieces_bytes = scrub.cap * sizeof *scrub.pieces;
    uint8_t *memory = malloc(pieces_bytes + (size_t)scrub.window_cap * WF1_BLOCK_BYTES);
    if (memory == NULL)
        return err_nomem(err, "reading contents");
    scrub.pieces = (struct piece *)(void *)memory;
    scrub.window = memory + pieces_bytes;
    const uint64_t superblock = super->superblock_block, first = super->region_first_block;
    const uint64_t end = (first + blocks) * WF1_BLOCK_BYTES, image_end = fs->dev->size_bytes;
    int rc = scrub_outside(&scrub, 0, superblock * WF1_BLOCK_BYTES, "before the superblocks");
    if (rc == 0)
        rc = scrub_outside(&scrub, (superblock + 2) * WF1_BLOCK_BYTES, first * WF1_BLOCK_BYTES,
                           "between superblocks and region");
    progress_add(progress, super->shared ? 2 * (uint64_t)WF1_BLOCK_BYTES : first * WF1_BLOCK_BYTES);
    if (rc == 0)
        rc = scrub_region(&scrub);
    /* A writer that was cut off while it took in more room may have written there. */
    if (rc == 0 && vol->pair.clean)
        rc = scrub_outside(&scrub, end, image_end, "behind the region");
    progress_add(progress, super->shared ? 0 : image_end - end);
    free(memory);
    return rc == 0 ? pair_unchanged(fs->dev, superblock * WF1_BLOCK_BYTES, &vol->pair, err) : rc;
}
