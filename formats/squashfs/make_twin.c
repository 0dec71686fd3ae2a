/* Equal files: they share one place in the image. A file whose size no other has is not looked at. Of the others a hash
 * finds candidates, whose bytes are then compared in the sources.
 *
 * Files that begin alike: when all the whole blocks of a file are those that another begins with, it shares these, and its
 * end becomes a fragment. The first file with a first block is the only candidate, so looking costs one comparison. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

#include "lib/hash/hash.h"

enum { PIECE_BYTES = 64 * 1024 };

/* The first block of a file, unless it is zeros. */
struct beginning {
    uint64_t hash;
    struct sqm_file *file; /* NULL: free */
};
struct sqm_twins {
    const struct make_plan *plan;
    uint64_t *sizes; /* that more than one file has; ascending */
    size_t n_sizes;
    struct sqm_file **slots;      /* open addressing, by hash */
    size_t n_slots;               /* a power of two, more than twice the files */
    struct beginning *beginnings; /* open addressing, by hash */
    size_t n_beginnings;          /* likewise, of files with a whole block */
    uint8_t *pieces;              /* two of PIECE_BYTES */
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
    while (n_slots <= 2 * n)
        n_slots *= 2;
    return n_slots;
}

int sqm_twins_open(const struct make_plan *plan, struct sqm_twins **ret, struct plat_err *err)
{
    struct sqm_twins *twins = calloc(1, sizeof *twins);
    struct sqm_files files = sqm_files_begin(plan);
    size_t n = 0, n_large = 0;
    if (twins == NULL)
        return err_nomem(err, "looking for equal files");
    twins->plan = plan;
    twins->sizes = calloc((size_t)plan->n_items + 1, sizeof *twins->sizes);
    twins->pieces = malloc(2 * (size_t)PIECE_BYTES);
    for (uint32_t i; twins->sizes != NULL && (i = sqm_files_next(&files)) != SQM_NONE;) {
        n_large += plan->items[i].node->size_bytes >= plan->settings.block_bytes;
        twins->sizes[n++] = plan->items[i].node->size_bytes;
    }
    const size_t n_files = twins->sizes != NULL ? sizes_settle(twins, n) : 0;
    twins->n_slots = slots_for(n_files);
    twins->n_beginnings = slots_for(n_large);
    twins->slots = calloc(twins->n_slots, sizeof(struct sqm_file *));
    twins->beginnings = calloc(twins->n_beginnings, sizeof *twins->beginnings);
    if (twins->sizes == NULL || twins->pieces == NULL || twins->slots == NULL || twins->beginnings == NULL) {
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
    free((void *)twins->slots);
    free(twins->beginnings);
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

/* Does `old` begin with the first `bytes` bytes of the content at hand, or of `node`? */
static int compare(struct sqm_twins *twins, const struct tree_node *old, const struct tree_node *node,
                   const uint8_t *content, uint64_t bytes, bool *ret, struct plat_err *err)
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
    for (; rc == 0 && twins->slots[slot] != NULL; slot = (slot + 1) & (twins->n_slots - 1)) {
        struct sqm_file *old = twins->slots[slot];
        const struct tree_node *old_node = twins->plan->items[old->item].node;
        bool same = false;
        if (old->hash == file->hash && old_node->size_bytes == node->size_bytes)
            rc = compare(twins, old_node, node, content, node->size_bytes, &same, err);
        if (same) {
            *ret = old;
            return 0;
        }
    }
    if (rc == 0)
        twins->slots[slot] = file;
    return rc;
}

int sqm_twins_beginning(struct sqm_twins *twins, struct sqm_file *file, const uint8_t *content,
                        struct sqm_file **ret, struct plat_err *err)
{
    const struct tree_node *node = twins->plan->items[file->item].node;
    const uint32_t block_bytes = twins->plan->settings.block_bytes;
    uint64_t hash = 0;
    bool zero = false, same = false;
    int rc = 0;
    *ret = NULL;
    if (node->size_bytes < block_bytes)
        return 0;
    if (content == NULL)
        rc = hash_file(twins, node, block_bytes, &hash, &zero, err);
    else if (!(zero = bytes_all(content, block_bytes, 0)))
        hash = hash_bytes(content, block_bytes);
    if (rc != 0 || zero)
        return rc;
    const size_t mask = twins->n_beginnings - 1;
    size_t slot = (size_t)hash & mask;
    while (twins->beginnings[slot].file != NULL && twins->beginnings[slot].hash != hash)
        slot = (slot + 1) & mask;
    struct sqm_file *old = twins->beginnings[slot].file;
    if (old == NULL) {
        twins->beginnings[slot] = (struct beginning){hash, file};
        return 0;
    }
    const struct tree_node *old_node = twins->plan->items[old->item].node;
    const uint64_t whole = align_down_u64(node->size_bytes, block_bytes);
    if (old_node->size_bytes >= whole)
        rc = compare(twins, old_node, node, content, whole, &same, err);
    if (same)
        *ret = old;
    return rc;
}
