/* caposwf1: a path, component by component, then the content; symbolic links are not followed. */
#include "examples/freestanding/kernel.h"
#include "formats/caposwf1/super.h"

enum { CACHE_BLOCKS = 16 };
static struct wf1_slot slots[CACHE_BLOCKS];
static struct wf1_reader reader;
static struct wf1_super supers[2];
static struct pair pair;
static uint8_t buf[4096];

static int open_image(struct plat_dev *dev, struct plat_err *err)
{
    uint32_t block = 0;
    int rc = wf1_pair_find(dev, NULL, &block, &pair, supers, err);
    if (rc == 0 && pair.ruling < 0)
        rc = pair_refusal(&pair, (uint64_t)block * WF1_BLOCK_BYTES, err);
    if (rc == 0)
        wf1_reader_init(&reader, dev, &supers[pair.ruling], slots, CACHE_BLOCKS);
    return rc;
}

static int resolve(const char *path, struct wf1_node *ret_node, struct plat_err *err)
{
    struct wf1_name name;
    int rc = wf1_node_read(&reader, WF1_ROOT_NODE, ret_node, err);
    while (rc == 0 && *path != '\0') {
        size_t n = 0;
        while (path[n] != '\0' && path[n] != '/')
            n++;
        if (n > 0)
            rc = wf1_lookup(&reader, ret_node, (const uint8_t *)path, n, &name, err);
        if (rc == 0 && n > 0)
            rc = wf1_node_read(&reader, name.node, ret_node, err);
        path += n + (path[n] == '/');
    }
    return rc;
}

int kernel_cat(struct plat_dev *dev, const char *path, struct plat_err *err)
{
    struct wf1_node node;
    uint64_t offset = 0;
    size_t n = sizeof buf;
    int rc = open_image(dev, err);
    if (rc == 0)
        rc = resolve(path, &node, err);
    while (rc == 0 && n == sizeof buf) {
        rc = wf1_read(&reader, &node, offset, buf, sizeof buf, &n, err);
        if (rc == 0)
            rc = kernel_print(buf, n, err);
        offset += n;
    }
    return rc;
}
