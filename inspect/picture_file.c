/* Contents of files. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/picture.h"
#include "lib/hash/hash.h"

/* ---- attributes ---- */

const char *picture_kind(enum tree_kind kind)
{
    static const char *const kinds[] = {
        [TREE_DIR] = "directory",         [TREE_FILE] = "file",          [TREE_SYMLINK] = "symbolic link",
        [TREE_CHAR] = "character device", [TREE_BLOCK] = "block device", [TREE_FIFO] = "FIFO",
        [TREE_SOCKET] = "socket"};
    return kinds[kind];
}

/* The next attribute; its text has room for any of these formats. */
static struct picture_attribute *add(struct picture_attribute **at, const char *name)
{
    struct picture_attribute *attribute = (*at)++;
    attribute->name = name;
    attribute->text[0] = '\0';
    return attribute;
}

static void add_number(struct picture_attribute **at, const char *name, bool known, uint64_t number)
{
    struct picture_attribute *attribute = add(at, name);
    if (known)
        (void)snprintf(attribute->text, sizeof attribute->text, "%" PRIu64, number);
}

static void add_time(struct picture_attribute **at, const char *name, int64_t seconds, uint32_t ns,
                     const char *clock)
{
    struct picture_attribute *attribute = add(at, name);
    char date[32], fraction[16] = "";
    format_unix_time(seconds, date);
    if (ns != 0)
        (void)snprintf(fraction, sizeof fraction, ".%09" PRIu32, ns);
    (void)snprintf(attribute->text, sizeof attribute->text, "%" PRId64 "%s second (%s%s)", seconds, fraction,
                   date, clock);
}

/* With the clock that it is from. */
static void add_labelled(struct picture_attribute **at, const char *name, const struct fs_time *time)
{
    static const char *const clocks[] = {[FS_CLOCK_UNTRUSTED] = ", untrusted clock",
                                         [FS_CLOCK_NTP_SYNCED] = ", clock set by NTP",
                                         [FS_CLOCK_STATED] = ", stated"};
    const int64_t second = 1000000000;
    const int64_t ns = time->ns % second < 0 ? time->ns % second + second : time->ns % second;
    if (time->clock != FS_CLOCK_UNKNOWN)
        add_time(at, name, (time->ns - ns) / second, (uint32_t)ns, clocks[time->clock]);
    else
        (void)snprintf(add(at, name)->text, sizeof(*at)->text, "no time");
}

void picture_attributes(const struct picture_file *file, struct picture_attribute ret[PICTURE_ATTRIBUTES])
{
    const struct fs_stat *stat = &file->stat;
    struct picture_attribute *at = ret;
    struct picture_attribute *mode = add(&at, "mode");
    if (stat->has_mode)
        (void)snprintf(mode->text, sizeof mode->text, "%04" PRIo32, stat->mode);
    add_number(&at, "uid", true, stat->uid);
    add_number(&at, "gid", true, stat->gid);
    add_number(&at, "attributes", true, stat->attributes);
    add_number(&at, "device", true, stat->device);
    add_number(&at, "links", stat->links != 0, stat->links);
    if (stat->has_mtime)
        add_time(&at, "mtime", stat->mtime_s, stat->mtime_ns, "");
    else
        (void)snprintf(add(&at, "mtime")->text, sizeof at->text, "no time");
    add_labelled(&at, "created", &stat->created);
    add_labelled(&at, "modified", &stat->modified);
    struct picture_attribute *xattrs = add(&at, "xattrs");
    if (file->n_xattrs > 0)
        (void)snprintf(xattrs->text, sizeof xattrs->text,
                       "%" PRIu64 ", SHA-256 %02x%02x%02x%02x%02x%02x%02x%02x...", file->n_xattrs,
                       file->xattrs[0], file->xattrs[1], file->xattrs[2], file->xattrs[3], file->xattrs[4],
                       file->xattrs[5], file->xattrs[6], file->xattrs[7]);
    else
        (void)snprintf(xattrs->text, sizeof xattrs->text, "none");
}

/* ---- contents ---- */

/* Exactly n bytes. */
static int read_whole(const struct picture_content *content, uint64_t at, uint8_t *buf, size_t n,
                      struct plat_err *err)
{
    if (content->dev != NULL)
        return dev_read(content->dev, at, buf, n, err);
    for (size_t done = 0; done < n;) {
        size_t got = 0;
        int rc =
            content->fs->driver->read(content->fs, content->node, at + done, buf + done, n - done, &got, err);
        if (rc != 0)
            return rc;
        if (got == 0)
            return err_set(err, PLAT_ECORRUPT, "its content ends after %" PRIu64 " of %" PRIu64 " bytes",
                           at + done, content->bytes);
        done += got;
    }
    return 0;
}

/* Where there may be anything but zeros, from `at` on. */
static int skip_hole(const struct picture_content *content, uint64_t at, uint64_t *ret, struct plat_err *err)
{
    struct range data = {at, 0};
    int rc = 0;
    *ret = at;
    if (at >= content->bytes || (content->dev == NULL && content->fs->driver->next_data == NULL))
        return 0;
    if (content->dev == NULL)
        rc = content->fs->driver->next_data(content->fs, content->node, at, &data, err);
    else if (!dev_next_data(content->dev, at, &data))
        data.bytes = 0;
    if (rc == 0)
        *ret = data.bytes == 0 || data.start > content->bytes ? content->bytes
               : data.start > at                              ? data.start
                                                              : at;
    return rc;
}

size_t picture_same_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
    enum { STEP_BYTES = 512 };
    size_t i = 0;
    while (i + STEP_BYTES <= n && memcmp(a + i, b + i, STEP_BYTES) == 0)
        i += STEP_BYTES;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

int picture_compare(const struct picture_content *a, const struct picture_content *b, bool *ret_equal,
                    uint64_t *ret_at, struct plat_err *err)
{
    const uint64_t end = a->bytes < b->bytes ? a->bytes : b->bytes;
    uint8_t *buf = malloc(2 * (size_t)PICTURE_READ_BYTES);
    uint64_t at = 0, differs = end;
    int rc = buf == NULL ? err_nomem(err, "comparing contents") : 0;
    while (rc == 0 && at < end && differs == end) {
        uint64_t x = at, y = at;
        rc = skip_hole(a, at, &x, err);
        if (rc == 0)
            rc = skip_hole(b, at, &y, err);
        at = x < y ? x : y;
        if (rc != 0 || at >= end)
            break;
        const size_t n = end - at < PICTURE_READ_BYTES ? (size_t)(end - at) : (size_t)PICTURE_READ_BYTES;
        rc = read_whole(a, at, buf, n, err);
        if (rc == 0)
            rc = read_whole(b, at, buf + PICTURE_READ_BYTES, n, err);
        const size_t same = rc == 0 ? picture_same_bytes(buf, buf + PICTURE_READ_BYTES, n) : n;
        differs = same < n ? at + same : differs;
        at += n;
    }
    free(buf);
    if (rc != 0)
        return rc;
    *ret_equal = differs == end && a->bytes == b->bytes;
    *ret_at = differs;
    return 0;
}

int picture_hash(const struct picture_content *content, char ret[65], struct plat_err *err)
{
    struct hash_sha256_state state;
    uint8_t digest[HASH_SHA256_BYTES];
    if (content->bytes > PICTURE_HASH_BYTES)
        return err_set(err, PLAT_ELIMIT, "a file of %" PRIu64 " bytes is too long to be hashed",
                       content->bytes);
    uint8_t *buf = malloc(PICTURE_READ_BYTES);
    int rc = buf == NULL ? err_nomem(err, "hashing a file") : 0;
    hash_sha256_begin(&state);
    for (uint64_t at = 0; rc == 0 && at < content->bytes;) {
        const uint64_t left = content->bytes - at;
        const size_t n = left < PICTURE_READ_BYTES ? (size_t)left : (size_t)PICTURE_READ_BYTES;
        rc = read_whole(content, at, buf, n, err);
        if (rc == 0)
            hash_sha256_add(&state, buf, n);
        at += n;
    }
    free(buf);
    if (rc != 0)
        return rc;
    hash_sha256_end(&state, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    return 0;
}
