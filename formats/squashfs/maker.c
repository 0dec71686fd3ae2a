/* What squashfs offers to `plat mk` and `plat build`.
 *
 * How large an image is shows when it has been made. Where there is a file for it, it is made there (stream), and the
 * superblock goes to its front last. Where its size must be known first, as for a partition, or its front cannot be
 * written last, as on a pipe, it is made in a temporary file without a name, once, and copied. */
#include "formats/squashfs/make.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { COPY_BYTES = 8 << 20 }; /* between two looks at the progress line */

static void maker_close(struct make_plan *plan)
{
    if (plan == NULL)
        return;
    dev_close(plan->spool);
    arena_free(&plan->arena);
    free(plan->items);
    free(plan);
}

/* When the image is said to be made: nobody's clock, but the recipe's time or the newest in the tree. */
static uint32_t made_time(const struct make_plan *plan, const struct make_options *options)
{
    int64_t newest = options->has_time ? options->time_s : 0;
    for (uint32_t i = 0; !options->has_time && i < plan->n_items; i++) {
        if (plan->items[i].node->mtime_s > newest)
            newest = plan->items[i].node->mtime_s;
    }
    return newest < 0 ? 0 : newest > UINT32_MAX ? UINT32_MAX : (uint32_t)newest;
}

static int maker_plan(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                      struct plat_err *err)
{
    struct make_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return err_nomem(err, "planning a SquashFS image");
    plan->tree = tree;
    int rc = sqm_options_read(options, &plan->settings, err);
    if (rc == 0)
        rc = sqm_items_fill(plan, err);
    if (rc == 0)
        rc = sqm_memory_settle(plan, err);
    if (rc != 0) {
        maker_close(plan);
        return rc;
    }
    plan->made = made_time(plan, options);
    *ret = plan;
    return 0;
}

/* Makes the image; what was needed for that is given back, as the image is read next. */
static int make_now(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                    struct plat_err *err)
{
    int rc = sqm_image_make(plan, dev, progress, err);
    arena_free(&plan->arena);
    free(plan->items);
    plan->arena = (struct arena){0};
    plan->items = NULL;
    plan->n_items = 0;
    return rc;
}

static int maker_stream(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                        struct plat_err *err)
{
    if (plan->image_bytes != 0)
        return err_set(err, PLAT_EBUG, "an image is made once");
    return make_now(plan, dev, progress, err);
}

/* Makes the image, unless it is made: from here on its size is known. */
static int make_once(struct make_plan *plan, struct plat_err *err)
{
    if (plan->image_bytes != 0)
        return 0;
    int rc = tree_spool_open(NULL, &plan->spool_fd, err);
    if (rc == 0)
        rc = dev_open_fd(plan->spool_fd, "a temporary file", &plan->spool, err);
    if (rc != 0)
        return rc;
    plan->spool->grows = true;
    return make_now(plan, plan->spool, NULL, err);
}

static int maker_min_bytes(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err)
{
    uint64_t bytes;
    int rc = make_once(plan, err);
    if (rc != 0)
        return rc;
    if (!add_u64(plan->image_bytes, slack_bytes, &bytes))
        return err_set(err, PLAT_ELIMIT, "a slack of %llu bytes is too large",
                       (unsigned long long)slack_bytes);
    *ret = bytes;
    return 0;
}

static int maker_settle(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err)
{
    int rc = make_once(plan, err);
    if (rc == 0 && size_bytes < plan->image_bytes)
        rc = err_set(err, PLAT_EINVALID, "%llu bytes are too few: the image needs %llu",
                     (unsigned long long)size_bytes, (unsigned long long)plan->image_bytes);
    return rc;
}

static void maker_describe(const struct make_plan *plan, struct strbuf *ret)
{
    char block[16], data[16], stored[16];
    format_size(plan->settings.block_bytes, block);
    format_size(plan->data_bytes, data);
    codec_describe(&plan->settings.codec, ret);
    strbuf_printf(ret, ", blocks of %s, %u inodes, %s of files", block, plan->n_inodes, data);
    if (plan->image_bytes == 0)
        return;
    format_size(plan->image_bytes, stored);
    strbuf_printf(ret, " in %s", stored);
}

static int maker_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                       struct plat_err *err)
{
    int rc = 0;
    if (plan->spool == NULL || dev->size_bytes < plan->image_bytes)
        return err_set(err, PLAT_EBUG, "write before settle, or to a device of another size (%llu bytes)",
                       (unsigned long long)dev->size_bytes);
    for (uint64_t at = 0; rc == 0 && at < plan->image_bytes;) {
        const uint64_t left = plan->image_bytes - at, step = left < COPY_BYTES ? left : COPY_BYTES;
        if (lseek(plan->spool_fd, (off_t)at, SEEK_SET) < 0)
            rc = err_sys(err, errno, "cannot read the temporary file back");
        else
            rc = dev_write_from_fd(dev, at, plan->spool_fd, step, err);
        at += step;
    }
    if (rc == 0)
        progress_add(progress, plan->data_bytes);
    return rc;
}

const struct fs_maker squashfs_maker = {
    .options = sqm_option_descs,
    .n_options = SQM_N_OPTIONS,
    .xattrs = true,
    .links = true,
    .anywhere = true,
    .plan = maker_plan,
    .min_bytes = maker_min_bytes,
    .settle = maker_settle,
    .describe = maker_describe,
    .write = maker_write,
    .stream = maker_stream,
    .close = maker_close,
};
