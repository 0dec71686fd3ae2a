/* Writing a plan, and looking at what was written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fs/verify.h"
#include "lib/io/dev.h"
#include "mkimage/plan.h"

enum { COPY_STEP_BYTES = 8 << 20 }; /* between two looks at the progress line */

uint64_t plan_data_bytes(const struct plan *plan)
{
    uint64_t total = 0;
    for (size_t i = 0; i < plan->n_parts; i++) {
        const struct plan_part *part = &plan->parts[i];
        struct tree_totals objects = {0};
        if (part->objects != NULL)
            tree_totals(part->objects, &objects);
        total += objects.data_bytes + (part->driver != NULL ? part->totals.data_bytes : part->content_bytes);
    }
    for (size_t i = 0; i < plan->n_raws; i++)
        total += plan->raws[i].place.bytes;
    return total;
}

/* The host file `path`, which had n bytes when it was planned, to the device's start. */
static int copy_file(struct plat_dev *dev, const char *path, uint64_t n, struct progress *progress,
                     struct plat_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot open %.300s", path);
    int ret = 0;
    if (fstat(fd, &st) != 0)
        ret = err_sys(err, errno, "cannot read %.300s", path);
    else if ((uint64_t)st.st_size != n)
        ret = err_set(err, PLAT_EIO,
                      "%.300s had %llu bytes when the disk was planned and has %llu now; build again", path,
                      (unsigned long long)n, (unsigned long long)st.st_size);
    for (uint64_t at = 0; ret == 0 && at < n;) {
        uint64_t step = n - at < COPY_STEP_BYTES ? n - at : COPY_STEP_BYTES;
        if (lseek(fd, (off_t)at, SEEK_SET) < 0)
            ret = err_sys(err, errno, "cannot read %.300s", path);
        else
            ret = dev_write_from_fd(dev, at, fd, step, err);
        progress_add(progress, step);
        at += step;
    }
    (void)close(fd);
    return ret;
}

/* "writing esp"; lives as long as the recipe. */
static const char *phase_name(struct plan *plan, const struct plan_part *part)
{
    struct strbuf text = {0};
    strbuf_puts(&text, "writing ");
    strbuf_visible(&text, part->recipe->name, strlen(part->recipe->name));
    const char *name = text.failed ? NULL : arena_strdup(&plan->recipe->arena, strbuf_str(&text));
    strbuf_free(&text);
    return name != NULL ? name : "writing";
}

static int write_part(struct plan *plan, struct plan_part *part, struct plat_dev *dev,
                      struct progress *progress, struct plat_err *err)
{
    struct plat_dev *window;
    int ret = dev_open_window(dev, part->place, &window, err);
    if (ret != 0)
        return ret;
    if (progress != NULL)
        progress->phase = phase_name(plan, part);
    if (part->driver != NULL)
        ret = part->driver->maker->write(part->make, window, progress, err);
    else if (part->content != NULL)
        ret = copy_file(window, part->content, part->content_bytes, progress, err);
    dev_close(window);
    return ret == 0 ? 0 : recipe_blame(plan->recipe, part->recipe->path, err);
}

static int write_raw(struct plan *plan, struct plan_raw *raw, struct plat_dev *dev, struct progress *progress,
                     struct plat_err *err)
{
    struct plat_dev *window;
    int ret = dev_open_window(dev, raw->place, &window, err);
    if (ret != 0)
        return ret;
    if (raw->content != NULL)
        ret = copy_file(window, raw->content, raw->place.bytes, progress, err);
    else
        ret = dev_write(window, 0, raw->recipe->bytes, raw->recipe->n_bytes, err);
    dev_close(window);
    return ret == 0 ? 0 : recipe_blame(plan->recipe, raw->recipe->path, err);
}

int plan_write(struct plan *plan, struct plat_dev *dev, struct progress *progress, struct plat_err *err)
{
    const struct table_maker *table = plan->table->table;
    int ret = 0;
    for (size_t i = 0; ret == 0 && i < plan->n_order; i++) {
        const struct plan_extent *extent = &plan->order[i];
        switch (extent->kind) {
        case PLAN_HEAD:
            ret = table->write_head(&plan->spec, dev, err);
            break;
        case PLAN_PART:
            ret = write_part(plan, &plan->parts[extent->index], dev, progress, err);
            break;
        case PLAN_RAW:
            ret = write_raw(plan, &plan->raws[extent->index], dev, progress, err);
            break;
        case PLAN_TAIL:
            if (table->write_tail != NULL)
                ret = table->write_tail(&plan->spec, dev, err);
            break;
        }
    }
    return ret;
}

/* ---- verifying ---- */

struct first_error {
    char text[PLAT_ERR_TEXT_MAX];
    char path[PLAT_ERR_NAME_MAX];
    uint64_t offset;
    bool has_offset, seen;
};

static int keep_first_error(void *ctx, const struct finding *finding)
{
    struct first_error *first = ctx;
    if (finding->severity != SEVERITY_ERROR || first->seen)
        return 0;
    first->seen = true;
    first->has_offset = finding->has_offset;
    first->offset = finding->offset;
    (void)snprintf(first->path, sizeof first->path, "%s", finding->path != NULL ? finding->path : "");
    (void)snprintf(first->text, sizeof first->text, "%s", finding->text);
    return 0;
}

int output_verify(struct plat_dev *dev, uint32_t sector_bytes, struct plat_err *err)
{
    struct stack_options options = {.sector_bytes = sector_bytes};
    struct first_error first = {0};
    struct finding_sink sink = {keep_first_error, &first};
    struct verify_totals totals = {0};
    struct stack *stack;
    int ret = stack_open(dev, &options, &stack, err);
    if (ret == 0) {
        ret = stack_verify(stack, &sink, &totals, err);
        stack_close(stack);
    }
    if (ret != 0)
        return err_prefix(err, "the image does not verify");
    if (!first.seen)
        return 0;
    /* What the makers wrote is their promise; only content that was brought along can be at fault itself. */
    char where[64] = "";
    if (first.has_offset)
        (void)snprintf(where, sizeof where, " at offset 0x%llx", (unsigned long long)first.offset);
    return err_set(
        err, PLAT_EBUG,
        "the image does not verify (%llu error%s, first: %.200s%s: %.300s); nothing was kept. If it comes "
        "from content that you supplied, --no-verify keeps it",
        (unsigned long long)totals.errors, totals.errors == 1 ? "" : "s", first.path, where, first.text);
}
