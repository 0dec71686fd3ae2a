/* Equal files: they share one place in the image. A file whose size no other has is not looked at. Of the others a hash
 * finds candidates, whose bytes are then compared in the sources.
 *
 * Equal runs: when all the whole blocks of a file lie side by side in another, it shares these, and its end becomes a
 * fragment. The blocks that are stored are known by their hashes; of those that are as the first one of the file the
 * CANDIDATES_MAX stored first are compared.
 *
 * Equal tails: what is behind the whole blocks of a large file may be behind those of another one as well, or be a small
 * file. Known they are like blocks; only lengths that may be worth it are looked at. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

#include "lib/hash/hash.h"

enum { PIECE_BYTES = 64 * 1024, CANDIDATES_MAX = 4, KNOWN_MIN = 256 };

/* A block that is stored, unless it is zeros. */
struct known {
    struct sqm_file *file; /* NULL: free */
    uint32_t hash, index;  /* of the block in its file */
};
struct sqm_twins {
    const struct make_plan *plan;
    uint64_t *sizes; /* that more than one file has; ascending */
    size_t n_sizes;
    uint32_t *slots;             /* open addressing, by hash: 1 + item */
    size_t n_slots;              /* a power of two, more than 1.5 times the files */
    struct known *known;         /* open addressing, by hash */
    size_t n_known, known_slots; /* a power of two, twice as many */
    uint8_t *lengths;            /* of tails: TAIL_ bits for each */
    uint8_t *pieces;             /* two of PIECE_BYTES */
};
enum {
    TAIL_SEEN = 1,  /* some file has a tail of this length ... */
    TAIL_AGAIN = 2, /* ... and another one ... */
    TAIL_LARGE = 4, /* ... and one of them is more than its tail */
    TAIL_WANTED = TAIL_SEEN | TAIL_AGAIN | TAIL_LARGE
};

static int compare_sizes(const void *va, const void *vb)
{
    const uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;
    return a < b ? -1 : a > b;
}

/* Leaves the sizes that occur more than once, each of them once; returns how many files have one of those. */
static size_t sizes_settle(struct sqm_twins *twins, size_t n)
{
    size_t n_files = 0;
    if (n > 0)
        qsort(twins->sizes, n, sizeof *twins->sizes, compare_sizes);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && twins->sizes[end] == twins->sizes[i];)
            end++;
        if (end - i == 1)
            continue;
        n_files += end - i;
        twins->sizes[twins->n_sizes++] = twins->sizes[i];
    }
    return n_files;
}

static size_t slots_for(size_t n)
{
    size_t n_slots = 64;
    while (n_slots <= n + n / 2)
        n_slots *= 2;
    return n_slots;
}

static void length_note(struct sqm_twins *twins, uint64_t size_bytes)
{
    const uint32_t block_bytes = twins->plan->settings.block_bytes;
    uint8_t *length = &twins->lengths[size_bytes % block_bytes];
    *length |= *length & TAIL_SEEN ? TAIL_AGAIN : TAIL_SEEN;
    *length |= size_bytes >= block_bytes ? TAIL_LARGE : 0;
}

int sqm_twins_open(const struct make_plan *plan, struct sqm_twins **ret, struct plat_err *err)
{
    struct sqm_twins *twins = calloc(1, sizeof *twins);
    struct sqm_files files = sqm_files_begin(plan);
    size_t n = 0;
    if (twins == NULL)
        return err_nomem(err, "looking for equal files");
    twins->plan = plan;
    twins->sizes = calloc((size_t)plan->n_items + 1, sizeof *twins->sizes);
    twins->lengths = calloc(plan->settings.block_bytes, sizeof *twins->lengths);
    twins->pieces = malloc(2 * (size_t)PIECE_BYTES);
    for (uint32_t i;
         twins->sizes != NULL && twins->lengths != NULL && (i = sqm_files_next(&files)) != SQM_NONE;) {
        twins->sizes[n++] = plan->items[i].node->size_bytes;
        length_note(twins, plan->items[i].node->size_bytes);
    }
    const size_t n_files = twins->sizes != NULL ? sizes_settle(twins, n) : 0;
    uint64_t *fewer = realloc(twins->sizes, (twins->n_sizes + 1) * sizeof *fewer);
    if (fewer != NULL)
        twins->sizes = fewer;
    twins->n_slots = slots_for(n_files);
    twins->known_slots = KNOWN_MIN;
    twins->slots = calloc(twins->n_slots, sizeof *twins->slots);
    twins->known = calloc(twins->known_slots, sizeof *twins->known);
    if (twins->sizes == NULL || twins->lengths == NULL || twins->pieces == NULL || twins->slots == NULL ||
        twins->known == NULL) {
        sqm_twins_close(twins);
        return err_nomem(err, "looking for equal files");
    }
    *ret = twins;
    return 0;
}

void sqm_twins_close(struct sqm_twins *twins)
{
    if (twins == NULL)
        return;
    free(twins->sizes);
    free(twins->slots);
    free(twins->known);
    free(twins->lengths);
    free(twins->pieces);
    free(twins);
}

/* The hash of a file is that of the hashes of its pieces: so it is the same whether the file is in memory or not. */
static uint64_t hash_piece(uint64_t running, const uint8_t *bytes, size_t n)
{
    uint8_t pair[2 * sizeof running];
    store_le64(pair, running);
    store_le64(pair + sizeof running, hash_xxh64(bytes, n));
    return hash_xxh64(pair, sizeof pair);
}

static uint64_t hash_bytes(const uint8_t *content, uint64_t n)
{
    uint64_t hash = 0;
    for (uint64_t at = 0; at < n; at += PIECE_BYTES)
        hash = hash_piece(hash, content + at, (size_t)(n - at < PIECE_BYTES ? n - at : PIECE_BYTES));
    return hash;
}

/* Of its first `bytes` bytes; *ret_zero: all of them are zeros. */
static int hash_file(struct sqm_twins *twins, const struct tree_node *node, uint64_t bytes, uint64_t *ret,
                     bool *ret_zero, struct plat_err *err)
{
    struct tree_reader reader;
    bool zero = true;
    uint64_t hash = 0;
    int rc = tree_reader_open(twins->plan->tree, node, &reader, err);
    if (rc != 0)
        return rc;
    for (uint64_t at = 0; rc == 0 && at < bytes; at += PIECE_BYTES) {
        const size_t n = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        rc = tree_reader_read(&reader, twins->pieces, n, err);
        if (rc == 0)
            hash = hash_piece(hash, twins->pieces, n);
        zero = zero && rc == 0 && bytes_all(twins->pieces, n, 0);
    }
    tree_reader_close(&reader);
    if (rc != 0)
        return tree_blame(node, err);
    *ret = hash;
    *ret_zero = zero;
    return 0;
}

/* Are the first `bytes` bytes of the content at hand, or of `node`, those that `old` has from `at_old` on? */
static int compare(struct sqm_twins *twins, const struct tree_node *old, uint64_t at_old,
                   const struct tree_node *node, const uint8_t *content, uint64_t bytes, bool *ret,
                   struct plat_err *err)
{
    struct tree *tree = twins->plan->tree;
    struct tree_reader a, b = {.fd = -1};
    uint8_t *piece_a = twins->pieces, *piece_b = twins->pieces + PIECE_BYTES;
    bool same = true;
    int rc = tree_reader_open(tree, old, &a, err);
    if (rc == 0 && content == NULL && (rc = tree_reader_open(tree, node, &b, err)) != 0)
        tree_reader_close(&a);
    if (rc != 0)
        return rc;
    tree_reader_skip(&a, at_old);
    for (uint64_t at = 0; rc == 0 && same && at < bytes; at += PIECE_BYTES) {
        const size_t n = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        rc = tree_reader_read(&a, piece_a, n, err);
        if (rc == 0 && content == NULL)
            rc = tree_reader_read(&b, piece_b, n, err);
        same = rc == 0 && memcmp(piece_a, content != NULL ? content + at : piece_b, n) == 0;
    }
    tree_reader_close(&a);
    tree_reader_close(&b);
    if (rc != 0)
        return tree_blame(node, err);
    *ret = same;
    return 0;
}

int sqm_twins_find(struct sqm_twins *twins, struct sqm_file *file, const uint8_t *content,
                   struct sqm_file **ret, struct plat_err *err)
{
    const struct tree_node *node = twins->plan->items[file->item].node;
    bool zero;
    int rc = 0;
    *ret = NULL;
    if (bsearch(&node->size_bytes, twins->sizes, twins->n_sizes, sizeof *twins->sizes, compare_sizes) == NULL)
        return 0;
    if (content != NULL)
        file->hash = hash_bytes(content, node->size_bytes);
    else
        rc = hash_file(twins, node, node->size_bytes, &file->hash, &zero, err);
    size_t slot = (size_t)file->hash & (twins->n_slots - 1);
    for (; rc == 0 && twins->slots[slot] != 0; slot = (slot + 1) & (twins->n_slots - 1)) {
        struct sqm_file *old = twins->plan->items[twins->slots[slot] - 1].has.file;
        const struct tree_node *old_node = twins->plan->items[old->item].node;
        bool same = false;
        if (old->hash == file->hash && old_node->size_bytes == node->size_bytes)
            rc = compare(twins, old_node, 0, node, content, node->size_bytes, &same, err);
        if (same) {
            *ret = old;
            return 0;
        }
    }
    if (rc == 0)
        twins->slots[slot] = file->item + 1;
    return rc;
}

/* ---- blocks ---- */

/* Where a block with this hash is, or goes. */
static size_t known_slot(const struct known *known, size_t n_slots, uint32_t hash, size_t slot)
{
    while (known[slot].file != NULL && known[slot].hash != hash)
        slot = (slot + 1) & (n_slots - 1);
    return slot;
}

static void known_insert(struct known *known, size_t n_slots, const struct known *block)
{
    size_t slot = block->hash & (n_slots - 1);
    while (known[slot].file != NULL)
        slot = (slot + 1) & (n_slots - 1);
    known[slot] = *block;
}

static int known_grow(struct sqm_twins *twins, struct plat_err *err)
{
    const size_t n_slots = twins->known_slots * 2;
    struct known *known = calloc(n_slots, sizeof *known);
    if (known == NULL)
        return err_nomem(err, "looking for equal blocks");
    /* From behind a free slot on, so that equal hashes stay in the order in which they came. */
    size_t first = 0;
    while (twins->known[first].file != NULL)
        first++;
    for (size_t i = 1; i <= twins->known_slots; i++) {
        const struct known *block = &twins->known[(first + i) & (twins->known_slots - 1)];
        if (block->file != NULL)
            known_insert(known, n_slots, block);
    }
    free(twins->known);
    twins->known = known;
    twins->known_slots = n_slots;
    return 0;
}

static int known_add(struct sqm_twins *twins, struct sqm_file *file, uint64_t index, uint64_t hash,
                     struct plat_err *err)
{
    if (twins->n_known == SQM_KNOWN_BLOCKS_MAX || index > UINT32_MAX)
        return 0;
    int rc = 2 * twins->n_known >= twins->known_slots ? known_grow(twins, err) : 0;
    if (rc != 0)
        return rc;
    const struct known block = {.file = file, .hash = (uint32_t)hash, .index = (uint32_t)index};
    known_insert(twins->known, twins->known_slots, &block);
    twins->n_known++;
    return 0;
}

int sqm_twins_block(struct sqm_twins *twins, struct sqm_file *file, uint64_t index, const uint8_t *bytes,
                    struct plat_err *err)
{
    return known_add(twins, file, index, hash_bytes(bytes, twins->plan->settings.block_bytes), err);
}

/* Bytes that are looked for: the first of the content at hand, or of `node`. */
struct wanted {
    const struct tree_node *node;
    const uint8_t *content;
    uint64_t bytes, hash;
    bool to_end; /* they are to end where their file does */
};

/* Where they are stored; NULL: nowhere. */
static int known_find(struct sqm_twins *twins, const struct wanted *wanted, const struct known **ret,
                      struct plat_err *err)
{
    const size_t mask = twins->known_slots - 1;
    const uint32_t hash = (uint32_t)wanted->hash;
    size_t slot = hash & mask;
    bool same = false;
    int rc = 0;
    *ret = NULL;
    for (unsigned n = 0; rc == 0 && n < CANDIDATES_MAX; n++, slot = (slot + 1) & mask) {
        slot = known_slot(twins->known, twins->known_slots, hash, slot);
        const struct known *old = &twins->known[slot];
        if (old->file == NULL)
            return 0;
        const struct tree_node *old_node = twins->plan->items[old->file->item].node;
        const uint64_t at = (uint64_t)old->index * twins->plan->settings.block_bytes;
        const uint64_t left = old_node->size_bytes - at;
        if (wanted->to_end ? left == wanted->bytes : left >= wanted->bytes)
            rc = compare(twins, old_node, at, wanted->node, wanted->content, wanted->bytes, &same, err);
        if (rc == 0 && same) {
            *ret = old;
            return 0;
        }
    }
    return rc;
}

int sqm_twins_tail(struct sqm_twins *twins, struct sqm_file *file, const uint8_t *bytes,
                   struct sqm_file **ret, struct plat_err *err)
{
    const struct tree_node *node = twins->plan->items[file->item].node;
    const uint32_t block_bytes = twins->plan->settings.block_bytes;
    const uint32_t n = (uint32_t)(node->size_bytes % block_bytes);
    const struct known *old = NULL;
    *ret = NULL;
    if (twins->lengths[n] != TAIL_WANTED)
        return 0;
    const struct wanted wanted = {node, bytes, n, hash_bytes(bytes, n), true};
    int rc = known_find(twins, &wanted, &old, err);
    if (rc == 0 && old != NULL)
        *ret = old->file;
    return rc == 0 && old == NULL ? known_add(twins, file, node->size_bytes / block_bytes, wanted.hash, err)
                                  : rc;
}

int sqm_twins_run(struct sqm_twins *twins, const struct sqm_file *file, const uint8_t *content,
                  struct sqm_run *ret, struct plat_err *err)
{
    const struct tree_node *node = twins->plan->items[file->item].node;
    const uint32_t block_bytes = twins->plan->settings.block_bytes;
    struct wanted wanted = {node, content, align_down_u64(node->size_bytes, block_bytes), 0, false};
    const struct known *old = NULL;
    bool zero = false;
    int rc = 0;
    *ret = (struct sqm_run){0};
    if (wanted.bytes == 0)
        return 0;
    if (content == NULL)
        rc = hash_file(twins, node, block_bytes, &wanted.hash, &zero, err);
    else if (!(zero = bytes_all(content, block_bytes, 0)))
        wanted.hash = hash_bytes(content, block_bytes);
    if (rc == 0 && !zero)
        rc = known_find(twins, &wanted, &old, err);
    if (rc == 0 && old != NULL)
        *ret = (struct sqm_run){old->file, old->index};
    return rc;
}
