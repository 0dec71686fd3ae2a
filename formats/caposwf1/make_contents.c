/* Contents, node by node, and the checksum of each extent. */
#include "formats/caposwf1/plan.h"

#include "lib/hash/hash.h"

enum { AHEAD_ITEMS_MIN = 128 /* fewer are not worth the threads */ };

/* The files of one window in their order, for tree_ahead. */
struct small_files {
    const struct make_plan *plan;
    uint32_t i;
};
static const struct tree_node *small_files_next(void *ctx)
{
    struct small_files *files = ctx;
    while (files->i < files->plan->n_items) {
        const struct wf1_item *item = &files->plan->items[files->i++];
        if (wf1_item_windows(item) == 1)
            return item->node;
    }
    return NULL;
}

static int changed(struct plat_err *err)
{
    return err_set(err, PLAT_EIO, "its content changed while the image was made");
}

/* Extent `index` of all, with n bytes of content: what `ahead` has, or what the reader gives next. */
static int extent_put(struct wf1_make *make, uint64_t index, size_t n, const uint8_t *ahead,
                      struct tree_reader *reader, struct plat_err *err)
{
    const size_t whole = (size_t)wf1_blocks_of(n) * WF1_BLOCK_BYTES;
    uint8_t *bytes = make->window;
    int rc = 0;
    if (make->out != NULL)
        rc = fs_out_take(make->out, make->block * WF1_BLOCK_BYTES, whole, &bytes, err);
    if (rc == 0 && ahead != NULL)
        memcpy(bytes, ahead, n);
    else if (rc == 0)
        rc = tree_reader_read(reader, bytes, n, err);
    if (rc != 0)
        return rc;
    memset(bytes + n, 0, whole - n);
    const uint32_t sum = hash_crc32c(0, bytes, whole);
    if (make->known && make->plan->sums[index] != sum)
        return changed(err);
    make->plan->sums[index] = sum;
    make->block += whole / WF1_BLOCK_BYTES;
    if (make->out != NULL)
        progress_add(make->out->progress, n);
    return 0;
}

static int windows_put(struct wf1_make *make, const struct wf1_item *item, struct wf1_extents_at *at,
                       const uint8_t *ahead, struct tree_reader *reader, struct plat_err *err)
{
    const uint64_t windows = wf1_item_windows(item);
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < windows; i++) {
        const uint64_t left = item->node->size_bytes - i * WF1_EXTENT_BYTES, extent = at->extent;
        const size_t n = left < WF1_EXTENT_BYTES ? (size_t)left : WF1_EXTENT_BYTES;
        bool zero = true;
        if (wf1_extent_take(make->plan, at, item, i).count > 0) {
            rc = extent_put(make, extent, n, ahead, reader, err);
            continue;
        }
        rc = wf1_window_is_zero(reader, n, make->window, &zero, err);
        if (rc == 0 && !zero)
            rc = changed(err);
        if (make->out != NULL)
            progress_add(make->out->progress, n);
    }
    return rc;
}

static int item_put(struct wf1_make *make, const struct wf1_item *item, struct wf1_extents_at *at,
                    struct plat_err *err)
{
    const uint8_t *ahead = NULL;
    struct tree_reader reader = {.fd = -1};
    int rc = 0;
    if (make->ahead != NULL && wf1_item_windows(item) == 1)
        rc = tree_ahead_take(make->ahead, item->node, &ahead, err);
    if (rc == 0 && ahead == NULL)
        rc = tree_reader_open(make->plan->tree, item->node, &reader, err);
    if (rc != 0)
        return rc; /* names the host file */
    rc = windows_put(make, item, at, ahead, &reader, err);
    tree_reader_close(&reader);
    return rc == 0 ? 0 : tree_blame(item->node, err);
}

int wf1_make_contents(struct wf1_make *make, struct plat_err *err)
{
    struct make_plan *plan = make->plan;
    struct small_files files = {.plan = plan};
    struct wf1_extents_at at = {.block = make->block};
    int rc = 0;
    if (plan->n_items >= AHEAD_ITEMS_MIN)
        rc = tree_ahead_open(plan->tree, small_files_next, &files, &make->ahead, err);
    for (uint32_t i = 0; rc == 0 && i < plan->n_items; i++)
        if (wf1_item_has_content(&plan->items[i]))
            rc = item_put(make, &plan->items[i], &at, err);
    tree_ahead_close(make->ahead);
    make->ahead = NULL;
    return rc;
}
