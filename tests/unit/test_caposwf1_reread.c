/* Contents of a CAPOSWF1 that become other ones between two reads of the device: what is handed out is what was compared
 * with its checksum, or nothing.
 *
 * Catches: bytes that are read a second time behind their comparison. */
#include "tests/unit/caposwf1_shell.h"

/* Blocks from `first` on are what they are once; from then on they are all 0xEE. */
struct fickle {
    struct plat_dev dev;
    struct plat_dev *memory;
    uint64_t first, end;
    uint64_t left; /* bytes of them that are still read as they are */
};

static int fickle_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *e)
{
    struct fickle *fickle = (struct fickle *)(void *)dev;
    int rc = dev_read(fickle->memory, offset, buf, n, e);
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        if (offset + i < fickle->first || offset + i >= fickle->end)
            continue;
        if (fickle->left == 0)
            ((uint8_t *)buf)[i] = 0xEE;
        else
            fickle->left--;
    }
    return rc;
}

static void read_some(const struct image_of *image, uint64_t from, size_t n, uint64_t left)
{
    static const struct plat_dev_ops ops = {.read_at = fickle_read};
    const struct fs_open_options options = {0};
    struct wf1_node node;
    struct volume *vol = NULL;
    static uint8_t got[4096];
    size_t got_n = 0;
    wf1_node_decode(record_of(image, FILE_SMALL), &node);
    const uint64_t first = (uint64_t)node.entries[0].block * WF1_BLOCK_BYTES;
    struct fickle fickle = {.dev = {.ops = &ops, .size_bytes = image->n, .name = "fickle"},
                            .memory = image->dev,
                            .first = first,
                            .end = first + node.entries[0].count * WF1_BLOCK_BYTES,
                            .left = left};
    if (wf1_volume_open(&fickle.dev, NULL, &options, NULL, &vol, &err) != 0)
        die("opening");
    int rc = caposwf1_driver.read(&vol->fs, FILE_SMALL, from, got, n, &got_n, &err);
    bool same = rc == 0 && got_n == n;
    for (size_t i = 0; same && i < n; i++)
        same = got[i] == (uint8_t)((from + i) * 7 + 1);
    ok(rc == PLAT_ECORRUPT || same,
       "%zu bytes from %llu, of which the device has %llu: the right ones, or none", n,
       (unsigned long long)from, (unsigned long long)left);
    wf1_volume_close(vol);
}

int main(void)
{
    const struct image_of image = make(100, 0, 22);
    /* FILE_SMALL has 700 bytes in 2 blocks. */
    for (uint64_t left = 0; left <= 3 * WF1_BLOCK_BYTES; left += WF1_BLOCK_BYTES) {
        read_some(&image, 0, 700, left);
        read_some(&image, 100, 500, left);
        read_some(&image, 520, 100, left);
    }
    dev_close(image.dev);
    return tap_done();
}
