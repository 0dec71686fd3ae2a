/* Writing contents, a window of 128 blocks at a time.
 *
 * What is written is gathered in the window until another window is written, so that many small writes make one
 * extent. Then:
 *   1. what was written goes to new blocks; the checksum of an extent covers all of it
 *   2. what is left of extents that were cut is read, compared with its old checksum, and gets a new one
 *   3. the new extents take the place of the old ones in the map, and the blocks that nobody has now are given back */
#include <stdlib.h>

#include "formats/caposwf1/writer.h"
#include "lib/hash/hash.h"

enum {
    HOLE_MIN_BLOCKS = 16, /* fewer zero blocks in a row are stored as they are */
    MAX_PIECES = 32,      /* more extents in a window: it is written anew, all of it */
};

/* Blocks that putting `written` blocks into the map may take. */
static uint64_t window_cost(const struct wf1_writer *writer, const struct wf1_node *node, uint64_t written)
{
    return written + written / (WF1_ENTRIES / 2) + 3 + 2 * (uint64_t)node->levels + wf1_node_cost(writer);
}

static uint64_t count_written(const struct wf1_window *window)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < WF1_EXTENT_BLOCKS; i++)
        n += window->fates[i] == WF1_WRITTEN;
    return n;
}

static int window_enter(struct wf1_writer *writer, uint32_t node, uint32_t first, struct plat_err *err)
{
    struct wf1_window *window = &writer->window;
    if (window->open && window->node == node && window->first == first)
        return 0;
    int rc = wf1_window_flush(writer, err);
    if (rc != 0)
        return rc;
    memset(window->fates, WF1_KEPT, sizeof window->fates);
    window->open = true;
    window->node = node;
    window->first = first;
    window->reserved = 0;
    return 0;
}

/* The block as it is on disk, into the window. */
static int block_load(struct wf1_writer *writer, const struct wf1_node *node, uint32_t index,
                      struct plat_err *err)
{
    struct wf1_window *window = &writer->window;
    uint8_t *at = window->bytes + (size_t)index * WF1_BLOCK_BYTES;
    size_t n;
    memset(at, 0, WF1_BLOCK_BYTES);
    if (window->fates[index] == WF1_DROPPED)
        return 0;
    return wf1_read(&writer->vol->reader, node, ((uint64_t)window->first + index) * WF1_BLOCK_BYTES, at,
                    WF1_BLOCK_BYTES, &n, err);
}

/* Bytes [from, to) of the window that is open. */
static int window_put(struct wf1_writer *writer, const struct wf1_node *node, uint32_t from, uint32_t to,
                      const uint8_t *bytes, struct plat_err *err)
{
    struct wf1_window *window = &writer->window;
    const uint32_t first = from / WF1_BLOCK_BYTES, last = (to - 1) / WF1_BLOCK_BYTES;
    uint64_t written = count_written(window);
    for (uint32_t i = first; i <= last; i++)
        written += window->fates[i] != WF1_WRITTEN;
    const uint64_t cost = window_cost(writer, node, written);
    const uint64_t had = window->reserved;
    window->reserved = 0;
    int rc = wf1_room(writer, cost, false, err);
    window->reserved = had;
    if (rc == 0 && from % WF1_BLOCK_BYTES != 0 && window->fates[first] != WF1_WRITTEN)
        rc = block_load(writer, node, first, err);
    if (rc == 0 && to % WF1_BLOCK_BYTES != 0 && window->fates[last] != WF1_WRITTEN &&
        (last != first || from % WF1_BLOCK_BYTES == 0))
        rc = block_load(writer, node, last, err);
    if (rc != 0)
        return rc;
    memcpy(window->bytes + from, bytes, to - from);
    for (uint32_t i = first; i <= last; i++)
        window->fates[i] = WF1_WRITTEN;
    window->reserved = cost;
    return 0;
}

int wf1_write(struct wf1_writer *writer, uint32_t number, uint64_t offset, const void *buf, size_t n,
              struct plat_err *err)
{
    struct wf1_node node;
    const uint8_t *bytes = buf;
    if (offset > WF1_FILE_MAX_BYTES || n > WF1_FILE_MAX_BYTES - offset)
        return err_set(err, PLAT_ELIMIT, "a file ends at %llu bytes", (unsigned long long)WF1_FILE_MAX_BYTES);
    int rc = wf1_node_read(&writer->vol->reader, number, &node, err);
    if (rc == 0 && node.kind != CAPOSWF1_NODE_KIND_FILE)
        rc = err_set(err, PLAT_EINVALID, "not a file");
    /* All of it or nothing: what goes to the window that is open is paid for there. */
    if (rc == 0 && offset % WF1_EXTENT_BYTES + n > WF1_EXTENT_BYTES)
        rc = wf1_room(writer, window_cost(writer, &node, wf1_blocks_of(n) + 2), false, err);
    for (size_t done = 0; rc == 0 && done < n;) {
        const uint64_t at = offset + done;
        const uint32_t from = (uint32_t)(at % WF1_EXTENT_BYTES);
        const size_t room = WF1_EXTENT_BYTES - from, piece = n - done < room ? n - done : room;
        rc = window_enter(writer, number, (uint32_t)(at / WF1_EXTENT_BYTES) * WF1_EXTENT_BLOCKS, err);
        if (rc == 0)
            rc = wf1_node_read(&writer->vol->reader, number, &node, err);
        if (rc == 0)
            rc = window_put(writer, &node, from, from + (uint32_t)piece, bytes + done, err);
        if (rc != 0)
            break;
        done += piece;
        writer->changed = true;
        if (offset + done > node.size_bytes) {
            node.size_bytes = offset + done;
            rc = wf1_halfway(writer, wf1_node_put(writer, number, &node, err));
        }
    }
    return rc;
}

/* ---- into the map ---- */

/* What was written as zeros and is long enough becomes a hole. */
static void find_holes(struct wf1_window *window)
{
    for (uint32_t i = 0, run; i < WF1_EXTENT_BLOCKS; i += run) {
        uint32_t zeros = 0;
        while (i + zeros < WF1_EXTENT_BLOCKS && window->fates[i + zeros] == WF1_WRITTEN &&
               bytes_all(window->bytes + (size_t)(i + zeros) * WF1_BLOCK_BYTES, WF1_BLOCK_BYTES, 0))
            zeros++;
        run = zeros > 0 ? zeros : 1;
        if (zeros >= HOLE_MIN_BLOCKS)
            memset(window->fates + i, WF1_DROPPED, zeros);
    }
}

struct gathering {
    struct wf1_writer *writer;
    struct wf1_node node; /* whose content it is */
    struct wf1_entry old[WF1_EXTENT_BLOCKS], new[WF1_EXTENT_BLOCKS];
    uint32_t n_old, n_new;
    struct plat_err *err;
};

/* Blocks [i, i + n) of the window were written. */
static int gather_written(struct gathering *g, uint32_t i, uint32_t n)
{
    const struct wf1_window *window = &g->writer->window;
    while (n > 0) {
        const uint8_t *bytes = window->bytes + (size_t)i * WF1_BLOCK_BYTES;
        uint32_t block, got;
        int rc = wf1_take(g->writer, n, &block, &got, g->err);
        if (rc == 0)
            rc = wf1_device_write(g->writer, block, bytes, (size_t)got * WF1_BLOCK_BYTES, g->err);
        if (rc != 0)
            return rc;
        g->new[g->n_new++] = (struct wf1_entry){window->first + i, block, got,
                                                hash_crc32c(0, bytes, (size_t)got * WF1_BLOCK_BYTES)};
        i += got;
        n -= got;
    }
    return 0;
}

/* Blocks [from, to) of the file, which `old` holds, stay where they are. */
static int gather_kept(struct gathering *g, const struct wf1_entry *old, uint32_t from, uint32_t to)
{
    struct wf1_entry entry = {from, old->block + (from - old->key), to - from, old->crc32c};
    if (entry.count < old->count) {
        const size_t bytes = (size_t)entry.count * WF1_BLOCK_BYTES;
        uint8_t *piece = calloc(1, bytes);
        size_t n;
        if (piece == NULL)
            return err_nomem(g->err, "writing a file");
        int rc = wf1_read(&g->writer->vol->reader, &g->node, (uint64_t)from * WF1_BLOCK_BYTES, piece, bytes,
                          &n, g->err);
        entry.crc32c = hash_crc32c(0, piece, bytes);
        free(piece);
        if (rc != 0)
            return rc;
    }
    g->new[g->n_new++] = entry;
    return 0;
}

/* The window from front to back: written runs, and what is kept of old extents. */
static int gather(struct gathering *g)
{
    const struct wf1_window *window = &g->writer->window;
    for (uint32_t i = 0, run; i < WF1_EXTENT_BLOCKS; i += run) {
        const uint8_t fate = window->fates[i];
        int rc = 0;
        run = 1;
        while (i + run < WF1_EXTENT_BLOCKS && window->fates[i + run] == fate)
            run++;
        if (fate == WF1_WRITTEN)
            rc = gather_written(g, i, run);
        for (uint32_t k = 0; rc == 0 && fate == WF1_KEPT && k < g->n_old; k++) {
            const struct wf1_entry *old = &g->old[k];
            const uint32_t from = window->first + i, to = from + run, end = old->key + old->count;
            const uint32_t a = old->key > from ? old->key : from, b = end < to ? end : to;
            if (a < b)
                rc = gather_kept(g, old, a, b);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Blocks of old extents that nobody has any more. */
static int give_back(struct gathering *g)
{
    const struct wf1_window *window = &g->writer->window;
    for (uint32_t k = 0; k < g->n_old; k++) {
        const struct wf1_entry *old = &g->old[k];
        for (uint32_t i = 0; i < old->count; i++) {
            if (window->fates[old->key - window->first + i] == WF1_KEPT)
                continue;
            int rc = wf1_give(g->writer, (uint64_t)old->block + i, 1, g->err);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* Many small pieces: the rest of the window is written anew with them, where there is room. */
static int defragment(struct wf1_writer *writer, const struct wf1_node *node, const struct gathering *g,
                      struct plat_err *err)
{
    struct wf1_window *window = &writer->window;
    uint32_t pieces = g->n_old;
    for (uint32_t i = 1; i < WF1_EXTENT_BLOCKS; i++)
        pieces += window->fates[i] != window->fates[i - 1];
    window->reserved = 0;
    if (pieces <= MAX_PIECES ||
        wf1_room(writer, window_cost(writer, node, WF1_EXTENT_BLOCKS), false, NULL) != 0)
        return 0;
    for (uint32_t k = 0; k < g->n_old; k++) {
        for (uint32_t i = 0; i < g->old[k].count; i++) {
            const uint32_t index = g->old[k].key - window->first + i;
            if (window->fates[index] != WF1_KEPT)
                continue;
            int rc = block_load(writer, node, index, err);
            if (rc != 0)
                return rc;
            window->fates[index] = WF1_WRITTEN;
        }
    }
    return 0;
}

static int window_settle(struct gathering *g)
{
    struct wf1_writer *writer = g->writer;
    struct wf1_window *window = &writer->window;
    struct wf1_reader *reader = &writer->vol->reader;
    int rc = wf1_mark(writer, g->err);
    if (rc == 0)
        rc = wf1_node_read(reader, window->node, &g->node, g->err);
    if (rc == 0)
        rc = wf1_extents(reader, &g->node, window->first, g->old, &g->n_old, g->err);
    if (rc == 0) {
        find_holes(window);
        rc = defragment(writer, &g->node, g, g->err);
    }
    if (rc == 0)
        rc = gather(g);
    if (rc == 0)
        rc = give_back(g);
    if (rc == 0)
        rc = wf1_map_window(writer, &g->node, window->first, g->new, g->n_new, g->err);
    return rc == 0 ? wf1_node_put(writer, window->node, &g->node, g->err) : rc;
}

int wf1_window_flush(struct wf1_writer *writer, struct plat_err *err)
{
    struct wf1_window *window = &writer->window;
    if (!window->open)
        return 0;
    window->open = false;
    window->reserved = 0;
    if (bytes_all(window->fates, sizeof window->fates, WF1_KEPT))
        return 0;
    struct gathering *g = calloc(1, sizeof *g);
    if (g == NULL)
        return wf1_halfway(writer, err_nomem(err, "writing a file"));
    g->writer = writer;
    g->err = err;
    int rc = window_settle(g);
    free(g);
    return wf1_halfway(writer, rc);
}

/* ---- truncate ---- */

/* In the window of the new last byte: drops what lies behind it, zeros the rest of its block. */
static int cut_window(struct wf1_writer *writer, uint32_t number, const struct wf1_node *node,
                      uint64_t size_bytes, struct plat_err *err)
{
    struct wf1_window *window = &writer->window;
    const uint64_t last = (size_bytes - 1) / WF1_BLOCK_BYTES;
    const uint32_t index = (uint32_t)(last % WF1_EXTENT_BLOCKS);
    const uint32_t rest = (uint32_t)(size_bytes % WF1_BLOCK_BYTES);
    int rc = window_enter(writer, number, (uint32_t)last - index, err);
    if (rc == 0 && rest != 0)
        rc = block_load(writer, node, index, err);
    if (rc != 0)
        return rc;
    uint8_t *tail = window->bytes + (size_t)index * WF1_BLOCK_BYTES + rest;
    if (rest != 0 && !bytes_all(tail, WF1_BLOCK_BYTES - rest, 0)) {
        memset(tail, 0, WF1_BLOCK_BYTES - rest);
        window->fates[index] = WF1_WRITTEN;
    }
    memset(window->fates + index + 1, WF1_DROPPED, WF1_EXTENT_BLOCKS - 1 - index);
    return 0;
}

int wf1_truncate(struct wf1_writer *writer, uint32_t number, uint64_t size_bytes, struct plat_err *err)
{
    struct wf1_node node;
    if (size_bytes > WF1_FILE_MAX_BYTES)
        return err_set(err, PLAT_ELIMIT, "a file ends at %llu bytes", (unsigned long long)WF1_FILE_MAX_BYTES);
    int rc = wf1_window_flush(writer, err);
    if (rc == 0)
        rc = wf1_node_read(&writer->vol->reader, number, &node, err);
    if (rc == 0 && node.kind != CAPOSWF1_NODE_KIND_FILE)
        rc = err_set(err, PLAT_EINVALID, "not a file");
    if (rc == 0)
        rc = wf1_room(writer, window_cost(writer, &node, 1), size_bytes < node.size_bytes, err);
    if (rc != 0 || size_bytes == node.size_bytes)
        return rc;
    writer->changed = true;
    const uint64_t blocks = wf1_blocks_of(size_bytes), old_size = node.size_bytes;
    if (size_bytes < old_size && size_bytes > 0)
        rc = cut_window(writer, number, &node, size_bytes, err);
    if (rc == 0 && size_bytes < old_size)
        rc = wf1_map_cut(writer, &node, div_up_u64(blocks, WF1_EXTENT_BLOCKS) * WF1_EXTENT_BLOCKS, err);
    node.size_bytes = size_bytes;
    if (rc == 0)
        rc = wf1_node_put(writer, number, &node, err);
    if (rc == 0)
        rc = wf1_window_flush(writer, err);
    return wf1_halfway(writer, rc);
}
