/* Copying from descriptors, and finding data between holes. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io/private.h"

enum { COPY_CHUNK_BYTES = 1 << 20, ZERO_CHUNK_BYTES = 64 * 1024 };

/* The descriptor-backed device under windows, with the offset moved along; NULL when there is none. */
static struct plat_dev *underlying(struct plat_dev *dev, uint64_t *offset)
{
    uint64_t start;
    for (struct plat_dev *parent; (parent = dev_window_parent(dev, &start)) != NULL; dev = parent)
        *offset += start;
    return dev_fd(dev) >= 0 ? dev : NULL;
}

static int changed(struct plat_err *err)
{
    return err_set(err, PLAT_EIO, "the file changed while it was read: it became shorter");
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Bytes of the hole at `at`; 0 where there is data, or nothing to tell. */
static uint64_t hole_at(int fd, off_t at, uint64_t left)
{
    struct stat st;
    off_t data = lseek(fd, at, SEEK_DATA);
    if (data >= at)
        return least_of((uint64_t)(data - at), left);
    bool to_the_end =
        errno == ENXIO && fstat(fd, &st) == 0 && st.st_size >= at && (uint64_t)(st.st_size - at) >= left;
    return to_the_end ? left : 0;
}

static uint64_t data_at(int fd, off_t at, uint64_t left)
{
    off_t hole = lseek(fd, at, SEEK_HOLE);
    return hole > at ? least_of((uint64_t)(hole - at), left) : left;
}

/* In the kernel, where both sides allow it; *done says how far it came. The kernel would fill holes with
 * zeros: they are left out, and stay holes. */
static int copy_in_kernel(int out, uint64_t offset, int fd, uint64_t n, uint64_t *done, struct plat_err *err)
{
    off_t from = lseek(fd, 0, SEEK_CUR);
    uint64_t part = 0; /* of the data at hand */
    while (*done < n) {
        if (part == 0) {
            part = n - *done;
            if (from >= 0) {
                off_t at = from + (off_t)*done;
                uint64_t hole = hole_at(fd, at, part);
                *done += hole;
                part = data_at(fd, at + (off_t)hole, part - hole);
                if (lseek(fd, at + (off_t)hole, SEEK_SET) < 0)
                    return err_sys(err, errno, "cannot seek");
                continue;
            }
        }
        off_t to = (off_t)(offset + *done);
        ssize_t got = copy_file_range(fd, NULL, out, &to, (size_t)least_of(part, (uint64_t)1 << 30), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 &&
            (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == EBADF))
            return 0; /* the plain way will tell, or do */
        if (got < 0)
            return err_sys(err, errno, "cannot copy");
        if (got == 0)
            return 0;
        *done += (uint64_t)got;
        part -= (uint64_t)got;
    }
    return 0;
}

int dev_write_from_fd(struct plat_dev *dev, uint64_t offset, int fd, uint64_t n, struct plat_err *err)
{
    uint64_t base = offset;
    uint64_t done = 0;
    if (!range_within((struct range){offset, n}, dev->size_bytes))
        return dev_write(dev, offset, "", (size_t)(n > SIZE_MAX ? SIZE_MAX : n), err);
    struct plat_dev *file = underlying(dev, &base);
    int rc = file == NULL || n < COPY_CHUNK_BYTES ? 0 : copy_in_kernel(dev_fd(file), base, fd, n, &done, err);
    if (rc != 0 || done == n)
        return rc;
    uint8_t *chunk = malloc(COPY_CHUNK_BYTES);
    if (chunk == NULL)
        return err_nomem(err, "copying a file");
    while (rc == 0 && done < n) {
        size_t part = n - done < COPY_CHUNK_BYTES ? (size_t)(n - done) : COPY_CHUNK_BYTES;
        ssize_t got = read(fd, chunk, part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            rc = got == 0 ? changed(err) : err_sys(err, errno, "cannot read");
        else if (!bytes_all(chunk, (size_t)got, 0) || dev->sequential)
            rc = dev_write(dev, offset + done, chunk, (size_t)got, err);
        if (got > 0)
            done += (uint64_t)got;
    }
    free(chunk);
    return rc;
}

static int copy_range(struct plat_dev *from, struct plat_dev *to, struct range part, struct plat_err *err)
{
    uint64_t at = part.start;
    struct plat_dev *file = underlying(from, &at);
    if (file != NULL && lseek(dev_fd(file), (off_t)at, SEEK_SET) == (off_t)at)
        return dev_write_from_fd(to, part.start, dev_fd(file), part.bytes, err);
    uint8_t *chunk = malloc(COPY_CHUNK_BYTES);
    int rc = chunk == NULL ? err_nomem(err, "copying an image") : 0;
    for (uint64_t done = 0; rc == 0 && done < part.bytes;) {
        const size_t n = (size_t)least_of(part.bytes - done, COPY_CHUNK_BYTES);
        rc = dev_read(from, part.start + done, chunk, n, err);
        if (rc == 0)
            rc = dev_write(to, part.start + done, chunk, n, err);
        done += n;
    }
    free(chunk);
    return rc;
}

int dev_copy(struct plat_dev *from, struct plat_dev *to, struct plat_err *err)
{
    struct range data;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && dev_next_data(from, at, &data); at = data.start + data.bytes)
        rc = copy_range(from, to, data, err);
    return rc;
}

/* Data of an overlay: what was changed, or what is below. */
static bool overlay_data(struct plat_dev *overlay, uint64_t from, struct range *ret, bool *ret_found)
{
    struct plat_dev *inner;
    struct range changed, below;
    bool has_changed = dev_overlay_next(overlay, from, &changed, &inner);
    if (inner == NULL)
        return false;
    bool has_below = dev_next_data(inner, from, &below);
    *ret_found = has_changed || has_below;
    if (*ret_found)
        *ret = has_changed && (!has_below || changed.start <= below.start) ? changed : below;
    return true;
}

bool dev_next_data(struct plat_dev *dev, uint64_t from, struct range *ret)
{
    uint64_t base = 0, start_in_parent;
    struct plat_dev *lowest = dev, *parent;
    struct range next;
    bool found = false;
    if (from >= dev->size_bytes)
        return false;
    for (; (parent = dev_window_parent(lowest, &start_in_parent)) != NULL; lowest = parent)
        base += start_in_parent;
    if (overlay_data(lowest, base + from, &next, &found)) {
        if (!found || next.start - base >= dev->size_bytes)
            return false;
        uint64_t left = dev->size_bytes - (next.start - base);
        *ret = (struct range){next.start - base, least_of(next.bytes, left)};
        return true;
    }
    base = 0;
    struct plat_dev *file = underlying(dev, &base);
    off_t start = (off_t)(base + from);
    off_t end = (off_t)(base + dev->size_bytes);
    if (file != NULL) {
        off_t data = lseek(dev_fd(file), start, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            return false;
        if (data >= 0) {
            if (data >= end)
                return false;
            off_t hole = lseek(dev_fd(file), data, SEEK_HOLE);
            if (hole < 0 || hole > end)
                hole = end;
            *ret = (struct range){(uint64_t)data - base, (uint64_t)(hole - data)};
            return true;
        }
    }
    *ret = (struct range){from, dev->size_bytes - from};
    return true;
}

int dev_find_nonzero(struct plat_dev *dev, struct range part, bool *ret_found, uint64_t *ret_at,
                     struct plat_err *err)
{
    uint8_t *buf = malloc(ZERO_CHUNK_BYTES);
    if (buf == NULL)
        return err_nomem(err, "looking for bytes that are not zero");
    const uint64_t end = part.start + part.bytes;
    uint64_t at = part.start;
    struct range data;
    bool found = false;
    int rc = 0;
    /* To look for a hole may cost more than to read: a file in memory is searched page by page for its end. */
    bool small = part.bytes <= ZERO_CHUNK_BYTES;
    while (rc == 0 && !found && at < end) {
        if (small)
            data = part;
        else if (!dev_next_data(dev, at, &data) || data.start >= end)
            break;
        uint64_t stop = data.start + data.bytes < end ? data.start + data.bytes : end;
        at = data.start > at ? data.start : at;
        while (rc == 0 && !found && at < stop) {
            size_t n = (size_t)least_of(stop - at, ZERO_CHUNK_BYTES), i = 0;
            rc = dev_read(dev, at, buf, n, err);
            found = rc == 0 && !bytes_all(buf, n, 0);
            while (found && buf[i] == 0)
                i++;
            at += found ? i : n;
        }
    }
    free(buf);
    if (rc != 0)
        return rc;
    *ret_found = found;
    if (found)
        *ret_at = at;
    return 0;
}
