/* Opening archives. Nothing is ever run and no other file is touched: formats and filters are switched on one
 * by one, without mtree (it names host files), raw and empty (any file would be an archive), and without the
 * filters that start programs. */
#include "lib/tree/archive_input.h"

#include <archive.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/tree/private.h"

enum {
    READ_BLOCK_BYTES = 256 * 1024,
    PROBE_BYTES = 64 << 20 /* a stream that has no archive by then is not read to its end: it may have none */
};

int tree_spool_open(const char *dir, int *ret_fd, struct plat_err *err)
{
    if (dir == NULL)
        dir = getenv("TMPDIR");
    if (dir == NULL || dir[0] == '\0')
        dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        struct strbuf path = {0};
        strbuf_printf(&path, "%s/plat-spool-XXXXXX", dir);
        if (path.failed)
            return err_nomem(err, "making a temporary file");
        fd = mkostemp(path.s, O_CLOEXEC);
        int saved_errno = errno;
        if (fd >= 0)
            (void)unlink(path.s);
        strbuf_free(&path);
        errno = saved_errno;
    }
    if (fd < 0)
        return err_sys(err, errno, "cannot make a temporary file in %s (TMPDIR names another place)", dir);
    *ret_fd = fd;
    return 0;
}

int tree_archive_fault(struct archive *a, int class, struct plat_err *err)
{
    const char *text = archive_error_string(a);
    return err_set(err, class, "%s", text != NULL ? text : "the archive cannot be read");
}

/* ISO 9660 comes last: to look for it libarchive reads far ahead, and what it found to be the end of a short
 * file then hides from the tar reader that its last header is cut off. Once another format has made its bid,
 * it does not look. */
static bool enable_all(struct archive *a)
{
    static int (*const enable[])(struct archive *) = {
        archive_read_support_filter_bzip2,   archive_read_support_filter_compress,
        archive_read_support_filter_gzip,    archive_read_support_filter_lzip,
        archive_read_support_filter_lzma,    archive_read_support_filter_xz,
        archive_read_support_filter_lz4,     archive_read_support_filter_zstd,
        archive_read_support_filter_rpm,     archive_read_support_filter_uu,
        archive_read_support_format_7zip,    archive_read_support_format_ar,
        archive_read_support_format_cab,     archive_read_support_format_cpio,
        archive_read_support_format_lha,     archive_read_support_format_rar,
        archive_read_support_format_rar5,    archive_read_support_format_tar,
        archive_read_support_format_xar,     archive_read_support_format_zip,
        archive_read_support_format_iso9660,
    };
    for (size_t i = 0; i < sizeof enable / sizeof enable[0]; i++) {
        if (enable[i](a) == ARCHIVE_FATAL)
            return false;
    }
    return true;
}

/* ---- callbacks ---- */

static la_ssize_t read_block(struct archive *a, void *ctx, const void **ret)
{
    struct archive_input *input = ctx;
    ssize_t n;
    do
        n = pread(input->fd, input->block, READ_BLOCK_BYTES, (off_t)input->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        archive_set_error(a, errno, "cannot be read: %s", strerror(errno));
        return ARCHIVE_FATAL;
    }
    input->offset += (uint64_t)n;
    *ret = input->block;
    return n;
}

static la_int64_t seek_to(struct archive *a, void *ctx, la_int64_t offset, int whence)
{
    struct archive_input *input = ctx;
    struct stat st;
    la_int64_t base = 0;
    if (whence == SEEK_CUR)
        base = (la_int64_t)input->offset;
    else if (whence == SEEK_END && fstat(input->fd, &st) == 0)
        base = st.st_size;
    la_int64_t to;
    if (__builtin_add_overflow(base, offset, &to) || to < 0) {
        archive_set_error(a, EINVAL, "points outside itself");
        return ARCHIVE_FATAL;
    }
    input->offset = (uint64_t)to;
    return to;
}

static la_int64_t skip(struct archive *a, void *ctx, la_int64_t n)
{
    struct archive_input *input = ctx;
    struct stat st;
    (void)a;
    if (n <= 0 || fstat(input->fd, &st) != 0 || (uint64_t)st.st_size < input->offset)
        return 0;
    uint64_t left = (uint64_t)st.st_size - input->offset;
    uint64_t step = (uint64_t)n < left ? (uint64_t)n : left;
    input->offset += step;
    return (la_int64_t)step;
}

int archive_input_start(struct archive_input *input, struct archive **ret, struct plat_err *err)
{
    struct archive *a = archive_read_new();
    if (a == NULL)
        return err_nomem(err, "reading an archive");
    input->offset = 0;
    bool ready = enable_all(a) && archive_read_set_read_callback(a, read_block) == ARCHIVE_OK &&
                 archive_read_set_seek_callback(a, seek_to) == ARCHIVE_OK &&
                 archive_read_set_skip_callback(a, skip) == ARCHIVE_OK &&
                 archive_read_set_callback_data(a, input) == ARCHIVE_OK;
    if (!ready || archive_read_open1(a) != ARCHIVE_OK) {
        int r = tree_archive_fault(a, PLAT_ECORRUPT, err);
        (void)archive_read_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

/* ---- opening ---- */

static int no_archive(struct plat_err *err)
{
    return err_set(err, PLAT_EINVALID,
                   "expected an archive (tar, cpio, zip, 7z, ...), and none begins in the first %d MiB",
                   PROBE_BYTES >> 20);
}

/* The first header of what is in `input`. PLAT_ECORRUPT when there is none: *ret_format tells whether it is no
 * archive at all (0) or one that cannot be read. An archive of no members leaves *ret_empty true. */
static int probe(struct archive_input *input, int *ret_format, bool *ret_empty, struct plat_err *err)
{
    struct archive *a = NULL;
    struct archive_entry *entry;
    int r = archive_input_start(input, &a, err);
    if (r != 0)
        return r;
    int found = archive_read_next_header(a, &entry);
    if (found != ARCHIVE_OK && found != ARCHIVE_WARN && found != ARCHIVE_EOF)
        r = tree_archive_fault(a, PLAT_ECORRUPT, err);
    *ret_format = archive_format(a);
    *ret_empty = found == ARCHIVE_EOF;
    (void)archive_read_free(a);
    return r;
}

/* Is there a point in reading on? Formats with a directory at their end fail here, and are known all the
 * same. Zeros are an empty tar, but one ends before that. */
static int probe_stream(int fd, uint8_t *block, struct plat_err *err)
{
    struct archive_input input = {.fd = fd, .block = block};
    struct plat_err ignored = {0};
    int format = 0;
    bool empty = false;
    int r = probe(&input, &format, &empty, &ignored);
    return empty || (r != 0 && format == 0) ? no_archive(err) : 0;
}

/* Standard input and FIFOs: formats with a directory at their end need to seek, and the first header is read
 * twice. */
static int copy_stream(int from, int to, struct plat_err *err)
{
    uint64_t total = 0;
    uint8_t *buf = malloc(READ_BLOCK_BYTES);
    if (buf == NULL)
        return err_nomem(err, "reading an archive");
    int r = 0;
    bool probed = false;
    while (r == 0) {
        if (total >= PROBE_BYTES && !probed) {
            probed = true;
            if ((r = probe_stream(to, buf, err)) != 0)
                break;
        }
        ssize_t n = read(from, buf, READ_BLOCK_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = n < 0 ? err_sys(err, errno, "cannot be read") : 0;
            break;
        }
        total += (uint64_t)n;
        if (total > TREE_MAX_SPOOL_BYTES)
            r = err_set(err, PLAT_ELIMIT, "the archive is larger than can be spooled");
        for (ssize_t done = 0; r == 0 && done < n;) {
            ssize_t step = write(to, buf + done, (size_t)(n - done));
            if (step < 0 && errno != EINTR)
                r = err_sys(err, errno, "cannot write the archive to a temporary file");
            done += step > 0 ? step : 0;
        }
    }
    free(buf);
    return r;
}

static int open_fd(const char *host_path, const char *spool_dir, int *ret, struct plat_err *err)
{
    bool standard_input = strcmp(host_path, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(host_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_sys(err, errno, "cannot be read");
    struct stat st;
    int r = 0;
    if (fstat(fd, &st) != 0) {
        r = err_sys(err, errno, "cannot be read");
    } else if (S_ISDIR(st.st_mode)) {
        r = err_set(err, PLAT_EINVALID,
                    "it is a directory, and an archive was expected: add it as a directory");
    } else if (!standard_input && S_ISREG(st.st_mode)) {
        *ret = fd;
        return 0;
    } else {
        int spool = -1;
        r = tree_spool_open(spool_dir, &spool, err);
        if (r == 0)
            r = copy_stream(fd, spool, err);
        if (r == 0)
            *ret = spool;
        else if (spool >= 0)
            (void)close(spool);
    }
    if (!standard_input)
        (void)close(fd);
    return r;
}

int archive_input_open(struct archive_input *ret, const char *host_path, const char *spool_dir,
                       struct plat_err *err)
{
    struct archive_input input = {.fd = -1};
    int r = open_fd(host_path, spool_dir, &input.fd, err);
    if (r != 0)
        return r;
    input.block = malloc(READ_BLOCK_BYTES);
    if (input.block == NULL) {
        r = err_nomem(err, "reading an archive");
        goto out;
    }
    int format = 0;
    bool empty = false;
    r = probe(&input, &format, &empty, err);
    format &= ARCHIVE_FORMAT_BASE_MASK;
    input.names_are_bytes = format == ARCHIVE_FORMAT_TAR || format == ARCHIVE_FORMAT_CPIO;
    struct stat st;
    if (r == 0 && empty && fstat(input.fd, &st) == 0 && st.st_size > PROBE_BYTES)
        r = no_archive(err);
    if (r == PLAT_ECORRUPT)
        (void)err_prefix(err, "expected an archive (tar, cpio, zip, 7z, ...)");
out:
    if (r != 0)
        archive_input_close(&input);
    else
        *ret = input;
    return r;
}

void archive_input_close(struct archive_input *input)
{
    if (input->fd >= 0)
        (void)close(input->fd);
    free(input->block);
    *input = (struct archive_input){.fd = -1};
}
