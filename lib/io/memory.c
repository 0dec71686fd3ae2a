/* The two simple kinds of device: memory and window. */
#include "lib/io/private.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

struct memory_dev {
    struct plat_dev dev;
    const uint8_t *bytes;
    uint8_t *owned; /* NULL: constant bytes of somebody else */
    char *name;
};

static int memory_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    (void)err;
    memcpy(buf, ((struct memory_dev *)dev)->bytes + offset, n);
    return 0;
}

static int memory_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n,
                        struct plat_err *err)
{
    (void)err;
    memcpy(((struct memory_dev *)dev)->owned + offset, buf, n);
    return 0;
}

static void memory_close(struct plat_dev *dev)
{
    struct memory_dev *m = (struct memory_dev *)dev;
    free(m->owned);
    free(m->name);
    free(m);
}

static const struct plat_dev_ops const_ops = {.read_at = memory_read, .close = memory_close};
static const struct plat_dev_ops memory_ops = {
    .read_at = memory_read, .write_at = memory_write, .close = memory_close};

static int memory_open(const struct plat_dev_ops *ops, uint64_t size_bytes, const char *name,
                       struct memory_dev **ret, struct plat_err *err)
{
    struct memory_dev *m = calloc(1, sizeof *m);
    if (m == NULL || (m->name = strdup(name)) == NULL) {
        free(m);
        return err_nomem(err, "opening a memory device");
    }
    m->dev = (struct plat_dev){.ops = ops, .size_bytes = size_bytes, .name = m->name};
    *ret = m;
    return 0;
}

int dev_open_const(const void *bytes, size_t n, const char *name, struct plat_dev **ret, struct plat_err *err)
{
    struct memory_dev *m = NULL;
    int rc = memory_open(&const_ops, n, name, &m, err);
    if (rc != 0)
        return rc;
    m->bytes = bytes;
    *ret = &m->dev;
    return 0;
}

int dev_open_memory(uint64_t size_bytes, const char *name, struct plat_dev **ret, struct plat_err *err)
{
    struct memory_dev *m = NULL;
    int rc = memory_open(&memory_ops, size_bytes, name, &m, err);
    if (rc != 0)
        return rc;
    if (size_bytes > SIZE_MAX || (m->owned = calloc(1, (size_t)size_bytes + 1)) == NULL) {
        memory_close(&m->dev);
        return err_nomem(err, "opening a memory device");
    }
    m->bytes = m->owned;
    *ret = &m->dev;
    return 0;
}

uint8_t *dev_memory_bytes(struct plat_dev *dev)
{
    return dev->ops == &memory_ops ? ((struct memory_dev *)dev)->owned : NULL;
}

/* ---- window ---- */

struct window_dev {
    struct plat_dev dev;
    struct plat_dev *parent;
    uint64_t start;
};

static int window_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    struct window_dev *w = (struct window_dev *)dev;
    return dev_read(w->parent, w->start + offset, buf, n, err);
}

static int window_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n,
                        struct plat_err *err)
{
    struct window_dev *w = (struct window_dev *)dev;
    return dev_write(w->parent, w->start + offset, buf, n, err);
}

static int window_flush(struct plat_dev *dev, struct plat_err *err)
{
    return dev_flush(((struct window_dev *)dev)->parent, err);
}

static void window_close(struct plat_dev *dev)
{
    free(dev);
}

static const struct plat_dev_ops window_ops = {
    .read_at = window_read, .write_at = window_write, .flush = window_flush, .close = window_close};
static const struct plat_dev_ops window_ro_ops = {.read_at = window_read, .close = window_close};

int dev_open_window(struct plat_dev *parent, struct range part, struct plat_dev **ret, struct plat_err *err)
{
    if (!range_within(part, parent->size_bytes)) {
        int rc = err_at(err, PLAT_ECORRUPT, parent->base_offset + part.start, NULL,
                        "a part of %llu bytes starts here, but the image ends at 0x%llx",
                        (unsigned long long)part.bytes,
                        (unsigned long long)(parent->base_offset + parent->size_bytes));
        err_image(err, parent->name);
        return rc;
    }
    struct window_dev *w = calloc(1, sizeof *w);
    if (w == NULL)
        return err_nomem(err, "opening a part of an image");
    w->dev = (struct plat_dev){.ops = parent->ops->write_at != NULL ? &window_ops : &window_ro_ops,
                               .size_bytes = part.bytes,
                               .name = parent->name,
                               .base_offset = parent->base_offset + part.start,
                               .sequential = parent->sequential};
    w->parent = parent;
    w->start = part.start;
    *ret = &w->dev;
    return 0;
}

/* Shared with file.c through lib/io/private.h. */
struct plat_dev *dev_window_parent(struct plat_dev *dev, uint64_t *ret_start)
{
    if (dev->ops != &window_ops && dev->ops != &window_ro_ops)
        return NULL;
    struct window_dev *w = (struct window_dev *)dev;
    *ret_start = w->start;
    return w->parent;
}
