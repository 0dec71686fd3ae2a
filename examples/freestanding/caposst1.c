/* caposst1: the object of a key, compared with it. */
#include "examples/freestanding/kernel.h"
#include "formats/caposst1/reader.h"

enum { BLOCKS = 8 };

static struct st1_reader reader;
static uint8_t buf[BLOCKS * ST1_BLOCK_BYTES];

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int key_of(const char *text, uint8_t ret[STORE_KEY_BYTES], struct plat_err *err)
{
    for (size_t i = 0; i < STORE_KEY_BYTES; i++, text += 2) {
        if (digit(text[0]) < 0 || digit(text[1]) < 0)
            return err_set(err, PLAT_EINVALID, "expected a key of 64 lower-case hexadecimal digits");
        ret[i] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
    }
    return 0;
}

int kernel_cat(struct plat_dev *dev, const char *path, struct plat_err *err)
{
    struct kernel_sha256 sum;
    struct store_object object;
    uint8_t key[STORE_KEY_BYTES], found[KERNEL_SHA256_BYTES];
    int rc = key_of(path, key, err);
    if (rc == 0)
        rc = st1_reader_open(dev, (struct st1_buffer){buf, BLOCKS}, &reader, err);
    if (rc == 0)
        rc = st1_reader_find(&reader, key, &object, err);
    if (rc != 0)
        return rc;
    kernel_sha256_begin(&sum);
    for (uint64_t offset = 0; offset < object.size_bytes;) {
        size_t n;
        rc = st1_object_read(dev, &object, offset, buf, sizeof buf, &n, err);
        if (rc == 0)
            rc = kernel_print(buf, n, err);
        if (rc != 0)
            return rc;
        kernel_sha256_add(&sum, buf, n);
        offset += n;
    }
    kernel_sha256_end(&sum, found);
    return memcmp(found, key, sizeof found) == 0
               ? 0
               : err_at(err, PLAT_ECORRUPT, object.offset, NULL, "the object does not match its key");
}
