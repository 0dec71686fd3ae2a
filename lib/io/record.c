/* Devices for tests: one that remembers what was written and when it was flushed, one that fails on cue. */
#include <errno.h>
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
    struct dev_fault own; /* of dev_open_fault */
    struct dev_fault *fault;
    uint64_t n_done;
};

static int fault_due(struct plat_dev *dev, bool write, struct plat_err *err)
{
    struct fault_dev *f = (struct fault_dev *)dev;
    if (f->fault->full && !write)
        return 0;
    if (f->n_done++ < f->fault->nth || (f->fault->once && f->fault->n_failed > 0))
        return 0;
    f->fault->n_failed++;
    return err_sys(err, f->fault->full ? ENOSPC : EIO, "%s: planted fault", dev->name);
}

static int fault_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    int rc = fault_due(dev, false, err);
    return rc != 0 ? rc : dev_read(((struct fault_dev *)dev)->inner, offset, buf, n, err);
}

static int fault_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err)
{
    int rc = fault_due(dev, true, err);
    return rc != 0 ? rc : dev_write(((struct fault_dev *)dev)->inner, offset, buf, n, err);
}

static int fault_flush(struct plat_dev *dev, struct plat_err *err)
{
    int rc = fault_due(dev, false, err);
    return rc != 0 ? rc : dev_flush(((struct fault_dev *)dev)->inner, err);
}

static void fault_close(struct plat_dev *dev)
{
    free(dev);
}

static const struct plat_dev_ops fault_ops = {
    .read_at = fault_read, .write_at = fault_write, .flush = fault_flush, .close = fault_close};

int dev_open_fault_like(struct plat_dev *inner, struct dev_fault *fault, struct plat_dev **ret,
                        struct plat_err *err)
{
    struct fault_dev *f = calloc(1, sizeof *f);
    if (f == NULL)
        return err_nomem(err, "opening a device that fails");
    f->dev = *inner;
    f->dev.ops = &fault_ops;
    f->inner = inner;
    f->fault = fault != NULL ? fault : &f->own;
    *ret = &f->dev;
    return 0;
}

int dev_open_fault(struct plat_dev *inner, uint64_t nth, struct plat_dev **ret, struct plat_err *err)
{
    int rc = dev_open_fault_like(inner, NULL, ret, err);
    if (rc == 0)
        ((struct fault_dev *)*ret)->own.nth = nth;
    return rc;
}
