/* Writing both parts. Where the device takes any order, one behind the other. To a pipe the filesystem's superblocks must
 * go before the store's data, and are known only when the filesystem has been gone through: so they are asked for first,
 * and its writer is stopped once they are there.
 *
 *   store  | superblocks |           | data |
 *   files                | superblocks |      | all else                                                            */
#include <string.h>

#include "formats/caposdata/plan.h"

enum {
    FILES_BYTES = DATA_FILES_BLOCKS * DATA_BLOCK_BYTES,
    FILES_OFFSET = DATA_FILES_BLOCK * DATA_BLOCK_BYTES,
    FILES_END = FILES_OFFSET + FILES_BYTES
};

/* What a part takes for the pipe. */
struct part_dev {
    struct plat_dev dev;
    struct plat_dev *pipe;
    uint8_t superblocks[FILES_BYTES]; /* of the filesystem */
    bool known, written;
    uint64_t meet_bytes;
};
static struct part_dev *part_of(struct plat_dev *dev)
{
    return (struct part_dev *)(void *)dev; /* dev is its first member */
}

static int no_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    (void)buf;
    return err_set(err, PLAT_EBUG, "%zu bytes are read at %llu of %s, which takes writes only", n,
                   (unsigned long long)offset, dev->name);
}

/* The filesystem's, until its superblocks are there. */
static int take_superblocks(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n,
                            struct plat_err *err)
{
    struct part_dev *part = part_of(dev);
    if (offset != FILES_OFFSET || n < FILES_BYTES)
        return err_set(err, PLAT_EBUG, "%zu bytes at %llu come before the superblocks", n,
                       (unsigned long long)offset);
    memcpy(part->superblocks, buf, FILES_BYTES);
    part->known = true;
    return err_set(err, PLAT_ESTOP, "stopped");
}

static int put_superblocks(struct part_dev *part, struct plat_err *err)
{
    if (part->written)
        return 0;
    part->written = true;
    return dev_write(part->pipe, FILES_OFFSET, part->superblocks, FILES_BYTES, err);
}

/* The store's: what lies behind the superblocks of the filesystem comes behind them. */
static int write_store(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err)
{
    struct part_dev *part = part_of(dev);
    if (offset < FILES_END && offset + n > FILES_OFFSET)
        return err_set(err, PLAT_EBUG, "the store writes over the filesystem's superblocks");
    int rc = offset >= FILES_END ? put_superblocks(part, err) : 0;
    return rc == 0 ? dev_write(part->pipe, offset, buf, n, err) : rc;
}

/* The filesystem's, the second time. What it leaves out before its region is the store's. */
static int write_files(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err)
{
    struct part_dev *part = part_of(dev);
    const uint8_t *bytes = buf;
    if (offset == FILES_OFFSET && n >= FILES_BYTES && memcmp(bytes, part->superblocks, FILES_BYTES) != 0)
        return err_set(err, PLAT_EIO, "files changed while the image was made");
    const uint64_t skip = offset < part->meet_bytes ? part->meet_bytes - offset : 0;
    return skip >= n ? 0 : dev_write(part->pipe, offset + skip, bytes + skip, n - (size_t)skip, err);
}

static int write_pipe(struct make_plan *plan, struct plat_dev *pipe, struct progress *progress,
                      struct plat_err *err)
{
    static const struct plat_dev_ops taking = {.read_at = no_read, .write_at = take_superblocks};
    static const struct plat_dev_ops store = {.read_at = no_read, .write_at = write_store};
    static const struct plat_dev_ops files = {.read_at = no_read, .write_at = write_files};
    struct part_dev part = {.dev = {.ops = &taking,
                                    .size_bytes = pipe->size_bytes,
                                    .name = pipe->name,
                                    .base_offset = pipe->base_offset,
                                    .sequential = true},
                            .pipe = pipe,
                            .meet_bytes = plan->meet_bytes};
    int rc = plan->files.maker->write(plan->files.plan, &part.dev, NULL, err);
    if (!part.known)
        return rc != 0 ? rc : err_set(err, PLAT_EBUG, "the filesystem has no superblocks");
    part.dev.ops = &store;
    part.dev.size_bytes = plan->meet_bytes;
    rc = plan->store.maker->write(plan->store.plan, &part.dev, progress, err);
    if (rc == 0)
        rc = put_superblocks(&part, err);
    part.dev.ops = &files;
    part.dev.size_bytes = pipe->size_bytes;
    return rc == 0 ? plan->files.maker->write(plan->files.plan, &part.dev, progress, err) : rc;
}

int data_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress, struct plat_err *err)
{
    struct plat_dev *window;
    if (plan->meet_bytes == 0 || plan->meet_bytes >= dev->size_bytes)
        return err_set(err, PLAT_EBUG, "write before settle, or to a device of another size");
    if (dev->sequential)
        return write_pipe(plan, dev, progress, err);
    int rc = dev_open_window(dev, (struct range){0, plan->meet_bytes}, &window, err);
    if (rc != 0)
        return rc;
    rc = plan->store.maker->write(plan->store.plan, window, progress, err);
    dev_close(window);
    return rc == 0 ? plan->files.maker->write(plan->files.plan, dev, progress, err) : rc;
}
