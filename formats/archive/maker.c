/* The makers of cpio and tar images.
 *
 * How long an archive is shows only when it is compressed, so plan() renders it into an unlinked temporary
 * file and write() copies that: memory stays bounded, and --explain tells the true size. */
#include "formats/archive/private.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/io/dev.h"

enum { COPY_BYTES = 8 << 20 }; /* between two looks at the progress line */

struct make_plan {
    enum archive_kind kind;
    struct archive_options options;
    struct archive_render render;
    int spool_fd;
    uint64_t archive_bytes;
};

static void plan_close(struct make_plan *plan)
{
    if (plan == NULL)
        return;
    if (plan->spool_fd >= 0)
        (void)close(plan->spool_fd);
    free(plan);
}

static int render_to_spool(struct make_plan *plan, struct tree *tree, struct plat_err *err)
{
    struct archive_sink sink = {.fd = -1};
    int r = tree_spool_open(NULL, &plan->spool_fd, err);
    if (r == 0)
        r = archive_sink_open(plan->kind, &plan->options, plan->spool_fd, &sink, err);
    if (r == 0) {
        plan->render = (struct archive_render){.kind = plan->kind, .tree = tree, .options = &plan->options};
        r = archive_render(&plan->render, &sink, err);
        plan->archive_bytes = sink.bytes;
    }
    archive_sink_close(&sink);
    return r;
}

static int plan_archive(enum archive_kind kind, struct tree *tree, const struct make_options *options,
                        struct make_plan **ret, struct plat_err *err)
{
    const char *name = kind == ARCHIVE_CPIO ? "cpio" : "tar";
    if (options->label != NULL || options->uuid != NULL)
        return err_set(err, PLAT_EINVALID, "%s has no %s: leave it out", name,
                       options->label != NULL ? "label" : "UUID");
    struct make_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return err_nomem(err, "planning an archive");
    plan->kind = kind;
    plan->spool_fd = -1;
    int r = archive_options_read(options->extra, &plan->options, err);
    if (r == 0)
        r = render_to_spool(plan, tree, err);
    if (r != 0) {
        plan_close(plan);
        (void)err_prefix(err, "%s", name);
        return r;
    }
    *ret = plan;
    return 0;
}

static int plan_cpio(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                     struct plat_err *err)
{
    return plan_archive(ARCHIVE_CPIO, tree, options, ret, err);
}

static int plan_tar(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                    struct plat_err *err)
{
    return plan_archive(ARCHIVE_TAR, tree, options, ret, err);
}

static int min_bytes(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err)
{
    if (!add_u64(plan->archive_bytes, slack_bytes, ret))
        return err_set(err, PLAT_ELIMIT, "a slack of %llu bytes is too large",
                       (unsigned long long)slack_bytes);
    return 0;
}

static int settle(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err)
{
    if (size_bytes < plan->archive_bytes)
        return err_set(err, PLAT_EINVALID, "%llu bytes are too few: the archive needs %llu",
                       (unsigned long long)size_bytes, (unsigned long long)plan->archive_bytes);
    return 0;
}

static void describe(const struct make_plan *plan, struct strbuf *ret)
{
    char data[16], stored[16];
    format_size(plan->render.data_bytes, data);
    format_size(plan->archive_bytes, stored);
    strbuf_printf(ret, "%s, compression %s, %llu entries, %s of files in %s",
                  plan->kind == ARCHIVE_CPIO ? "newc" : "pax", archive_codec_name(plan->options.codec),
                  (unsigned long long)plan->render.n_entries, data, stored);
}

static int write_image(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                       struct plat_err *err)
{
    int r = 0;
    for (uint64_t at = 0; r == 0 && at < plan->archive_bytes;) {
        uint64_t left = plan->archive_bytes - at;
        uint64_t step = left < COPY_BYTES ? left : COPY_BYTES;
        if (lseek(plan->spool_fd, (off_t)at, SEEK_SET) < 0)
            r = err_sys(err, errno, "cannot read the temporary file back");
        else
            r = dev_write_from_fd(dev, at, plan->spool_fd, step, err);
        at += step;
        progress_add(progress, step);
    }
    return r;
}

static const struct fs_maker cpio_maker = {.options = archive_option_descs,
                                           .n_options = N_ARCHIVE_OPTIONS,
                                           .plan = plan_cpio,
                                           .min_bytes = min_bytes,
                                           .settle = settle,
                                           .describe = describe,
                                           .write = write_image,
                                           .close = plan_close};
static const struct fs_maker tar_maker = {.options = archive_option_descs,
                                          .n_options = N_ARCHIVE_OPTIONS,
                                          .plan = plan_tar,
                                          .min_bytes = min_bytes,
                                          .settle = settle,
                                          .describe = describe,
                                          .write = write_image,
                                          .close = plan_close};

const struct fs_driver cpio_driver = {
    .name = "cpio", .title = "cpio archive (newc), as the Linux kernel unpacks it", .maker = &cpio_maker};
const struct fs_driver tar_driver = {
    .name = "tar", .title = "tar archive (ustar with pax headers)", .maker = &tar_maker};
