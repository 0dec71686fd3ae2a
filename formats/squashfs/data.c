/* Contents: blocks one behind the other from `start`, their sizes behind the inode, and the end in a fragment block.
 *
 *     inode | size of block 0 | size of block 1 | 0 (zeros, nothing there) | size of block 3 | ...
 *     start: block 0, block 1, block 3, ...
 *
 * Where a block lies is the sum of the sizes before it, so the last places found are kept (struct sq_spot): reading on
 * does not begin at the first block. */
#include "formats/squashfs/volume.h"

#include <stdlib.h>

int sq_data_check(const struct volume *vol, uint64_t offset, uint32_t word, struct plat_err *err)
{
    const uint32_t n = squashfs_block_size_bytes(word);
    if (squashfs_block_size_unused(word) != 0 || n == 0 || n > vol->super.block_bytes)
        return err_at(err, PLAT_ECORRUPT, offset, NULL, "a block of size 0x%x; 1 to %u bytes are possible",
                      word, vol->super.block_bytes);
    if (offset < SQUASHFS_SUPERBLOCK_BYTES || !range_within((struct range){offset, n}, vol->super.bytes_used))
        return err_at(err, PLAT_ECORRUPT, offset, NULL,
                      "a block of %u bytes is not in the filesystem, which ends at 0x%llx", n,
                      (unsigned long long)vol->super.bytes_used);
    return 0;
}

int sq_data_decode(struct volume *vol, struct sq_worker *worker, uint64_t offset, uint32_t word, uint8_t *out,
                   uint32_t *ret_n, struct plat_err *err)
{
    const uint32_t n = squashfs_block_size_bytes(word);
    const bool plain = squashfs_block_size_plain(word) != 0;
    size_t got = n;
    int rc = sq_data_check(vol, offset, word, err);
    if (rc == 0)
        rc = dev_read(vol->dev, offset, plain ? out : worker->in, n, err);
    if (rc != 0)
        return rc;
    if (!plain) {
        struct plat_err why = {0};
        rc = codec_decode(worker->decoder, worker->in, n, out, vol->super.block_bytes, &got, &why);
        if (rc == PLAT_ENOMEM)
            return err_nomem(err, "decompressing a block");
        if (rc != 0)
            return err_at(err, rc, offset, NULL, "a block of %u bytes: %s", n, why.text);
    }
    *ret_n = (uint32_t)got;
    return 0;
}

int sq_word_take(struct sq_cursor *cursor, uint32_t *ret, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_FILE_BLOCK_BYTES];
    struct squashfs_file_block v = {NULL};
    int rc = sq_take(cursor, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_file_block_view(buf, sizeof buf, &v);
    *ret = squashfs_file_block_size(v);
    return 0;
}

/* ---- cache ---- */

struct wanted {
    uint64_t offset;
    uint32_t word;
    uint32_t least;    /* bytes that it must decompress to, at least */
    struct range part; /* of them that is asked for */
};

static bool cached(struct volume *vol, const struct wanted *wanted, uint8_t *out)
{
    bool found = false;
    (void)pthread_mutex_lock(&vol->lock);
    for (size_t i = 0; !found && i < SQ_DATA_CACHED; i++) {
        struct sq_data_slot *slot = &vol->data[i];
        if (slot->bytes == NULL || slot->offset != wanted->offset || slot->word != wanted->word ||
            slot->n < wanted->least)
            continue;
        slot->used = ++vol->clock;
        memcpy(out, slot->bytes + wanted->part.start, (size_t)wanted->part.bytes);
        found = true;
    }
    (void)pthread_mutex_unlock(&vol->lock);
    return found;
}

/* Takes the worker's buffer and gives it the slot's: nothing is copied. */
static void remember(struct volume *vol, struct sq_worker *worker, const struct wanted *wanted, uint32_t n)
{
    uint8_t *spare = NULL;
    (void)pthread_mutex_lock(&vol->lock);
    struct sq_data_slot *slot = &vol->data[0];
    for (size_t i = 1; i < SQ_DATA_CACHED; i++)
        if (vol->data[i].used < slot->used)
            slot = &vol->data[i];
    spare = slot->bytes;
    slot->bytes = worker->out;
    slot->offset = wanted->offset;
    slot->word = wanted->word;
    slot->n = n;
    slot->used = ++vol->clock;
    worker->out = spare;
    (void)pthread_mutex_unlock(&vol->lock);
}

/* A worker may have given its buffer to the cache when that was empty. */
static int own_buffer(const struct volume *vol, struct sq_worker *worker, struct plat_err *err)
{
    const size_t bytes = vol->super.block_bytes > SQ_META_BYTES ? vol->super.block_bytes : SQ_META_BYTES;
    if (worker->out == NULL)
        worker->out = malloc(bytes);
    return worker->out == NULL ? err_nomem(err, "reading a block") : 0;
}

static int too_short(const struct wanted *wanted, uint32_t n, struct plat_err *err)
{
    return err_at(err, PLAT_ECORRUPT, wanted->offset, NULL, "a block decompresses to %u bytes; %u are needed",
                  n, wanted->least);
}

/* wanted->part of a block. A whole one goes straight to where it is wanted, and past the cache. */
static int read_block(struct volume *vol, const struct wanted *wanted, bool exact, uint8_t *out,
                      struct plat_err *err)
{
    struct sq_worker *worker;
    uint32_t n = 0;
    if (cached(vol, wanted, out))
        return 0;
    int rc = sq_worker_take(vol, &worker, err);
    if (rc != 0)
        return rc;
    const bool whole = exact && wanted->part.start == 0 && wanted->part.bytes == vol->super.block_bytes;
    rc = whole ? 0 : own_buffer(vol, worker, err);
    if (rc == 0)
        rc = sq_data_decode(vol, worker, wanted->offset, wanted->word, whole ? out : worker->out, &n, err);
    if (rc == 0 && (n < wanted->least || (exact && n != wanted->least)))
        rc = too_short(wanted, n, err);
    if (rc == 0 && !whole) {
        memcpy(out, worker->out + wanted->part.start, (size_t)wanted->part.bytes);
        remember(vol, worker, wanted, n);
    }
    sq_worker_give(vol, worker);
    return rc;
}

/* ---- places of blocks ---- */

struct place {
    struct sq_cursor cursor; /* at the size of `block` */
    uint64_t block;          /* of the file */
    uint64_t offset;         /* of that block */
};

static bool spot_find(struct volume *vol, uint64_t ref, uint64_t block, struct sq_spot *ret)
{
    bool found = false;
    (void)pthread_mutex_lock(&vol->lock);
    for (size_t i = 0; i < SQ_SPOTS; i++) {
        struct sq_spot *spot = &vol->spots[i];
        if (spot->ref != ref || spot->block > block || (found && spot->block <= ret->block))
            continue;
        spot->used = ++vol->clock;
        *ret = *spot;
        found = true;
    }
    (void)pthread_mutex_unlock(&vol->lock);
    return found;
}

static struct sq_spot spot_of(uint64_t ref, const struct place *place)
{
    return (struct sq_spot){.ref = ref,
                            .block = place->block,
                            .meta = place->cursor.block.offset,
                            .at = place->cursor.at,
                            .offset = place->offset};
}

static void spot_keep(struct volume *vol, const struct sq_spot *kept)
{
    (void)pthread_mutex_lock(&vol->lock);
    struct sq_spot *spot = &vol->spots[0];
    for (size_t i = 1; i < SQ_SPOTS; i++)
        if (vol->spots[i].used < spot->used)
            spot = &vol->spots[i];
    *spot = *kept;
    spot->used = ++vol->clock;
    (void)pthread_mutex_unlock(&vol->lock);
}

/* place->cursor stands behind the inode. */
static int find_block(struct volume *vol, const struct sq_inode *inode, uint64_t block, struct place *place,
                      struct plat_err *err)
{
    struct sq_spot spot = {.ref = SQ_ABSENT};
    bool more;
    int rc = 0;
    place->block = 0;
    place->offset = inode->start;
    if (spot_find(vol, inode->ref, block, &spot)) {
        rc = sq_seek(vol, &vol->tables[SQ_INODES], spot.meta, spot.at, &place->cursor, err);
        place->block = spot.block;
        place->offset = spot.offset;
    }
    while (rc == 0 && place->block < block) {
        uint32_t word;
        rc = sq_word_take(&place->cursor, &word, err);
        if (rc == 0 && !add_u64(place->offset, squashfs_block_size_bytes(word), &place->offset))
            rc = sq_corrupt(&place->cursor, err, "the blocks of file %u leave 64 bits", inode->number);
        place->block++;
    }
    return rc != 0 ? rc : sq_more(&place->cursor, &more, err);
}

/* ---- read ---- */

struct request {
    const struct sq_inode *inode;
    uint64_t at; /* in the file */
    uint8_t *out;
    size_t left;
};

static int read_blocks(struct volume *vol, struct request *request, struct place *place, struct plat_err *err)
{
    const struct sq_inode *inode = request->inode;
    while (request->left > 0 && place->block < inode->n_blocks) {
        const uint32_t expected = sq_block_expected(vol, inode, place->block);
        struct wanted wanted = {.offset = place->offset, .least = expected};
        wanted.part.start = request->at % vol->super.block_bytes;
        wanted.part.bytes = expected - wanted.part.start;
        bool more;
        int rc = sq_more(&place->cursor, &more, err);
        if (rc != 0)
            return rc;
        if (wanted.part.bytes > request->left) { /* the rest of it will be wanted, too */
            const struct sq_spot spot = spot_of(inode->ref, place);
            wanted.part.bytes = request->left;
            spot_keep(vol, &spot);
        }
        rc = sq_word_take(&place->cursor, &wanted.word, err);
        if (rc == 0 && wanted.word == 0)
            memset(request->out, 0, (size_t)wanted.part.bytes);
        else if (rc == 0)
            rc = read_block(vol, &wanted, true, request->out, err);
        if (rc != 0)
            return rc;
        request->at += wanted.part.bytes;
        request->out += wanted.part.bytes;
        request->left -= (size_t)wanted.part.bytes;
        place->block++;
        place->offset += squashfs_block_size_bytes(wanted.word);
    }
    return 0;
}

static int read_tail(struct volume *vol, struct request *request, struct plat_err *err)
{
    const struct sq_inode *inode = request->inode;
    struct sq_fragment fragment;
    if (request->left == 0)
        return 0;
    int rc = sq_fragment_read(vol, inode->fragment, &fragment, err);
    if (rc != 0)
        return rc;
    const struct wanted wanted = {
        .offset = fragment.start,
        .word = fragment.word,
        .least = inode->fragment_offset + sq_tail_bytes(vol, inode),
        .part = {inode->fragment_offset + request->at % vol->super.block_bytes, request->left}};
    return read_block(vol, &wanted, false, request->out, err);
}

/* The first block from the place on that is more than zeros, whose place is kept for who reads it, and how many such follow:
 * *ret_n is 0 when there is none. */
enum { DATA_RUN_BLOCKS = 1024 };
static int find_data(struct volume *vol, const struct sq_inode *inode, struct place *place,
                     uint64_t *ret_first, uint64_t *ret_n, struct plat_err *err)
{
    uint64_t n = 0;
    while (place->block < inode->n_blocks && n < DATA_RUN_BLOCKS) {
        uint32_t word;
        bool more;
        int rc = sq_more(&place->cursor, &more, err);
        const struct sq_spot here = spot_of(inode->ref, place);
        if (rc == 0)
            rc = sq_word_take(&place->cursor, &word, err);
        if (rc != 0)
            return rc;
        if (word == 0 && n > 0)
            break;
        if (word != 0 && n++ == 0)
            spot_keep(vol, &here);
        place->block++;
    }
    *ret_first = place->block - n;
    *ret_n = n;
    return 0;
}

int squashfs_next_data(struct fs *fs, uint64_t node, uint64_t offset, struct range *ret, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct sq_inode inode;
    struct place place;
    const uint64_t block_bytes = vol->super.block_bytes;
    int rc = sq_inode_read(vol, node, &inode, &place.cursor, err);
    if (rc == 0 && inode.type != SQUASHFS_ENTRY_TYPE_FILE)
        rc = err_set(err, PLAT_EINVALID, "it is not a file");
    if (rc != 0)
        return rc;
    uint64_t first = offset / block_bytes, n = 0;
    if (first < inode.n_blocks) {
        rc = find_block(vol, &inode, first, &place, err);
        if (rc == 0)
            rc = find_data(vol, &inode, &place, &first, &n, err);
        if (rc != 0)
            return rc;
    }
    /* The end in a fragment is contents as well. */
    uint64_t start = first * block_bytes, end = (first + n) * block_bytes;
    if (end > inode.size_bytes || (first + n == inode.n_blocks && inode.fragment != SQ_NONE))
        end = inode.size_bytes;
    if (start < offset)
        start = offset;
    *ret = (struct range){start, end > start ? end - start : 0};
    return 0;
}

int squashfs_read(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                  struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct sq_inode inode;
    struct place place;
    bool more;
    int rc = sq_inode_get(vol, node, &inode, err);
    if (rc == 0 && inode.type != SQUASHFS_ENTRY_TYPE_FILE)
        rc = err_set(err, PLAT_EINVALID, "it is not a file");
    if (rc != 0)
        return rc;
    if (offset >= inode.size_bytes) {
        *ret_n = 0;
        return 0;
    }
    if (n > inode.size_bytes - offset)
        n = (size_t)(inode.size_bytes - offset);
    struct request request = {.inode = &inode, .at = offset, .out = buf, .left = n};
    const uint64_t first = offset / vol->super.block_bytes;
    if (first < inode.n_blocks && n > 0) {
        rc = sq_inode_read(vol, node, &inode, &place.cursor, err);
        if (rc == 0)
            rc = find_block(vol, &inode, first, &place, err);
        if (rc == 0)
            rc = read_blocks(vol, &request, &place, err);
        if (rc == 0 && place.block < inode.n_blocks && request.at % vol->super.block_bytes == 0 &&
            sq_more(&place.cursor, &more, err) == 0 && more) {
            const struct sq_spot spot = spot_of(inode.ref, &place);
            spot_keep(vol, &spot);
        }
    }
    if (rc == 0)
        rc = read_tail(vol, &request, err);
    if (rc == 0)
        *ret_n = n;
    return rc;
}
