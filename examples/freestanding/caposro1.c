/* caposro1: a path, component by component, then the content; symbolic links are not followed. */
#include "examples/freestanding/kernel.h"
#include "formats/caposro1/reader.h"

static struct volume volume;
static uint8_t buf[4096];

static int resolve(const char *path, uint64_t *ret_node, struct plat_err *err)
{
    uint64_t node = 0;
    int rc = 0;
    while (rc == 0 && *path != '\0') {
        size_t n = 0;
        while (path[n] != '\0' && path[n] != '/')
            n++;
        if (n > 0)
            rc = ro1_lookup(&volume, node, (const uint8_t *)path, n, &node, err);
        path += n + (path[n] == '/');
    }
    if (rc == 0)
        *ret_node = node;
    return rc;
}

int kernel_cat(struct plat_dev *dev, const char *path, struct plat_err *err)
{
    uint64_t node = 0, offset = 0;
    size_t n = sizeof buf;
    int rc = ro1_open(dev, &volume, err);
    if (rc == 0)
        rc = resolve(path, &node, err);
    while (rc == 0 && n == sizeof buf) {
        rc = ro1_content_read(&volume, node, offset, buf, sizeof buf, &n, err);
        if (rc == 0)
            rc = kernel_print(buf, n, err);
        offset += n;
    }
    return rc;
}
