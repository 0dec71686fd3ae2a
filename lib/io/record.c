/* Devices for tests: one that remembers what was written and when it was flushed, one that fails on cue. */
#include <stdlib.h>
#include <string.h>

#include "lib/io/private.h"

struct recorder_dev {
    struct plat_dev dev;
    struct plat_dev *inner;
    struct dev_event *events;
    size_t n, cap;
};

static int record(struct recorder_dev *r, struct dev_event event, const void *bytes, struct plat_err *err)
{
    if (r->n == r->cap) {
        size_t cap = r->cap == 0 ? 64 : 2 * r->cap;
        struct dev_event *events = realloc(r->events, cap * sizeof *events);
        if (events == NULL)
            return err_nomem(err, "recording a write");
        r->events = events;
        r->cap = cap;
    }
    if (event.n > 0) {
        event.bytes = malloc(event.n);
        if (event.bytes == NULL)
            return err_nomem(err, "recording a write");
        memcpy(event.bytes, bytes, event.n);
    }
    r->events[r->n++] = event;
    return 0;
}

static int recorder_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    return dev_read(((struct recorder_dev *)dev)->inner, offset, buf, n, err);
}

static int recorder_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n,
                          struct plat_err *err)
{
    struct recorder_dev *r = (struct recorder_dev *)dev;
    int rc = dev_write(r->inner, offset, buf, n, err);
    return rc != 0 ? rc : record(r, (struct dev_event){.offset = offset, .n = n}, buf, err);
}

static int recorder_flush(struct plat_dev *dev, struct plat_err *err)
{
    struct recorder_dev *r = (struct recorder_dev *)dev;
    int rc = dev_flush(r->inner, err);
    return rc != 0 ? rc : record(r, (struct dev_event){.flush = true}, NULL, err);
}

static void recorder_close(struct plat_dev *dev)
{
    struct recorder_dev *r = (struct recorder_dev *)dev;
    for (size_t i = 0; i < r->n; i++)
        free(r->events[i].bytes);
    free(r->events);
    free(r);
}

static const struct plat_dev_ops recorder_ops = {
    .read_at = recorder_read, .write_at = recorder_write, .flush = recorder_flush, .close = recorder_close};

int dev_open_recorder(struct plat_dev *inner, struct plat_dev **ret, struct plat_err *err)
{
    struct recorder_dev *r = calloc(1, sizeof *r);
    if (r == NULL)
        return err_nomem(err, "opening a recorder");
    r->dev = *inner;
    r->dev.ops = &recorder_ops;
    r->inner = inner;
    *ret = &r->dev;
    return 0;
}

size_t dev_recorder_events(const struct plat_dev *dev, const struct dev_event **ret)
{
    if (dev->ops != &recorder_ops)
        return 0;
    const struct recorder_dev *r = (const struct recorder_dev *)dev;
    *ret = r->events;
    return r->n;
}

struct fault_dev {
    struct plat_dev dev;
    struct plat_dev *inner;
    uint64_t left; /* operations that still succeed */
};

static int fault_due(struct plat_dev *dev, struct plat_err *err)
{
    struct fault_dev *f = (struct fault_dev *)dev;
    if (f->left == 0)
        return err_set(err, PLAT_EIO, "%s: planted fault", dev->name);
    f->left--;
    return 0;
}

static int fault_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    int rc = fault_due(dev, err);
    return rc != 0 ? rc : dev_read(((struct fault_dev *)dev)->inner, offset, buf, n, err);
}

static int fault_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err)
{
    int rc = fault_due(dev, err);
    return rc != 0 ? rc : dev_write(((struct fault_dev *)dev)->inner, offset, buf, n, err);
}

static int fault_flush(struct plat_dev *dev, struct plat_err *err)
{
    int rc = fault_due(dev, err);
    return rc != 0 ? rc : dev_flush(((struct fault_dev *)dev)->inner, err);
}

static void fault_close(struct plat_dev *dev)
{
    free(dev);
}

static const struct plat_dev_ops fault_ops = {
    .read_at = fault_read, .write_at = fault_write, .flush = fault_flush, .close = fault_close};

int dev_open_fault(struct plat_dev *inner, uint64_t nth, struct plat_dev **ret, struct plat_err *err)
{
    struct fault_dev *f = calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(err, "opening a device that fails");
    f->dev = *inner;
    f->dev.ops = &fault_ops;
    f->inner = inner;
    f->left = nth;
    *ret = &f->dev;
    return 0;
}
