/* Which windows of large files have content. A file of one window is stored as it is, without a look at it. */
#include "formats/caposwf1/plan.h"

#include <stdlib.h>

enum { PRESENT_BITS = 64, PEEK_BYTES = WF1_BLOCK_BYTES };

static bool is_present(const struct make_plan *plan, uint64_t window)
{
    return (plan->present[window / PRESENT_BITS] >> window % PRESENT_BITS & 1) != 0;
}

struct wf1_entry wf1_extent_take(const struct make_plan *plan, struct wf1_extents_at *at,
                                 const struct wf1_item *item, uint64_t index)
{
    const uint64_t left = item->node->size_bytes - index * WF1_EXTENT_BYTES;
    const uint64_t blocks = left < WF1_EXTENT_BYTES ? wf1_blocks_of(left) : WF1_EXTENT_BLOCKS;
    if (wf1_item_windows(item) > 1 && !is_present(plan, at->window++))
        return (struct wf1_entry){.count = 0};
    const struct wf1_entry ret = {.key = (uint32_t)(index * WF1_EXTENT_BLOCKS),
                                  .block = (uint32_t)at->block,
                                  .count = (uint32_t)blocks,
                                  .crc32c = plan->sums != NULL ? plan->sums[at->extent] : 0};
    at->extent++;
    at->block += blocks;
    return ret;
}

int wf1_window_is_zero(struct tree_reader *reader, size_t n, uint8_t *buf, bool *ret, struct plat_err *err)
{
    const uint64_t left = reader->left_bytes - n;
    /* Most windows show in their first block that they are not; a hole need not be read at all. */
    const size_t peek = n < PEEK_BYTES ? n : PEEK_BYTES;
    bool zero = tree_reader_hole(reader) >= n;
    int rc = 0;
    if (!zero) {
        rc = tree_reader_read(reader, buf, peek, err);
        zero = rc == 0 && bytes_all(buf, peek, 0);
        if (zero && n > peek) {
            rc = tree_reader_read(reader, buf, n - peek, err);
            zero = rc == 0 && bytes_all(buf, n - peek, 0);
        }
    }
    if (rc == 0) {
        tree_reader_skip(reader, reader->left_bytes - left);
        *ret = zero;
    }
    return rc;
}

/* Bits of one file, from *window on. */
static int file_look(struct make_plan *plan, const struct wf1_item *item, uint64_t *window, uint8_t *buf,
                     struct plat_err *err)
{
    struct tree_reader reader;
    int rc = tree_reader_open(plan->tree, item->node, &reader, err);
    if (rc != 0)
        return rc; /* names the host file */
    while (rc == 0 && reader.left_bytes > 0) {
        bool zero = false;
        rc = wf1_window_is_zero(
            &reader, reader.left_bytes < WF1_EXTENT_BYTES ? (size_t)reader.left_bytes : WF1_EXTENT_BYTES, buf,
            &zero, err);
        if (!zero)
            plan->present[*window / PRESENT_BITS] |= 1ull << *window % PRESENT_BITS;
        ++*window;
    }
    tree_reader_close(&reader);
    return rc == 0 ? 0 : tree_blame(item->node, err);
}

int wf1_windows_find(struct make_plan *plan, struct plat_err *err)
{
    uint64_t window = 0;
    for (uint32_t i = 0; i < plan->n_items; i++) {
        const uint64_t windows = wf1_item_windows(&plan->items[i]);
        plan->n_windows += windows > 1 ? windows : 0;
    }
    uint8_t *buf = malloc(WF1_EXTENT_BYTES);
    plan->present = calloc((size_t)div_up_u64(plan->n_windows, PRESENT_BITS) + 1, sizeof *plan->present);
    int rc = buf == NULL || plan->present == NULL ? err_nomem(err, "planning a CAPOSWF1 image") : 0;
    for (uint32_t i = 0; rc == 0 && i < plan->n_items; i++)
        if (wf1_item_windows(&plan->items[i]) > 1)
            rc = file_look(plan, &plan->items[i], &window, buf, err);
    free(buf);
    return rc;
}
