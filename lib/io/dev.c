/* What all devices share: bounds. Free of the C library, so that a kernel can carry it (make freestanding). */
#include "lib/io/dev.h"

static int past_end(const struct plat_dev *dev, uint64_t offset, size_t n, struct plat_err *err)
{
    int rc = err_at(err, PLAT_ECORRUPT, dev->base_offset + offset, NULL,
                    "%zu bytes expected here, but the image ends at 0x%llx", n,
                    (unsigned long long)(dev->base_offset + dev->size_bytes));
    err_image(err, dev->name);
    return rc;
}

int dev_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    if (!range_within((struct range){offset, n}, dev->size_bytes))
        return past_end(dev, offset, n, err);
    if (n == 0)
        return 0;
    return dev->ops->read_at(dev, offset, buf, n, err);
}

int dev_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err)
{
    if (dev->ops->write_at == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "%s is open read-only", dev->name);
    const bool inside = range_within((struct range){offset, n}, dev->size_bytes);
    if (!inside && !(dev->grows && range_within((struct range){offset, n}, INT64_MAX)))
        return past_end(dev, offset, n, err);
    if (n == 0)
        return 0;
    int rc = dev->ops->write_at(dev, offset, buf, n, err);
    if (rc == 0 && !inside)
        dev->size_bytes = offset + n;
    return rc;
}

int dev_flush(struct plat_dev *dev, struct plat_err *err)
{
    return dev->ops->flush == NULL ? 0 : dev->ops->flush(dev, err);
}

void dev_close(struct plat_dev *dev)
{
    if (dev != NULL)
        dev->ops->close(dev);
}
