/* Opening archives. Nothing is ever run and no other file is touched: formats and filters are switched on one
 * by one, without raw and empty (any file would be an archive), and without the filters that start programs. mtree is
 * switched on alone, where a manifest is expected: manifest.c reads the host files that it names, libarchive none. */
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
    HEAD_BYTES =
        1
        << 20, /* of a stream: more than what stands before the first header's end, but for large pax headers */
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

static ssize_t read_some(int fd, uint8_t *to, size_t n)
{
    ssize_t got;
    do
        got = read(fd, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* The next bytes as they are: *ret stays until the next call. */
static ssize_t next_bytes(struct archive_input *input, const uint8_t **ret)
{
    ssize_t n;
    *ret = input->block;
    if (input->stream && input->offset < input->head_bytes) {
        *ret = input->head + input->offset;
        n = (ssize_t)(input->head_bytes - input->offset);
    } else if (input->stream) {
        n = input->head_alone ? 0 : read_some(input->fd, input->block, READ_BLOCK_BYTES);
    } else {
        do
            n = pread(input->fd, input->block, READ_BLOCK_BYTES, (off_t)input->offset);
        while (n < 0 && errno == EINTR);
    }
    input->offset += n > 0 ? (uint64_t)n : 0;
    return n;
}

/* Tells libarchive, and whoever asks later. */
static la_ssize_t read_fails(struct archive *a, struct archive_input *input)
{
    archive_set_error(a, EINVAL, "%s", input->fault.text);
    return ARCHIVE_FATAL;
}

static la_ssize_t read_block(struct archive *a, void *ctx, const void **ret)
{
    struct archive_input *input = ctx;
    for (;;) { /* a block of a manifest may hold nothing that goes on, and 0 bytes would be the end */
        const uint8_t *bytes;
        const ssize_t n = next_bytes(input, &bytes);
        size_t n_words;
        if (n < 0) {
            (void)err_sys(&input->fault, errno, "cannot be read");
            return read_fails(a, input);
        }
        if (input->words == NULL) {
            *ret = bytes;
            return n;
        }
        if (manifest_words_feed(input->words, bytes, (size_t)n, (const char **)ret, &n_words,
                                &input->fault) != 0)
            return read_fails(a, input);
        if (n_words > 0 || n == 0)
            return (la_ssize_t)n_words;
    }
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
    bool ready = input->words != NULL ? archive_read_support_format_mtree(a) == ARCHIVE_OK &&
                                            archive_read_set_format(a, ARCHIVE_FORMAT_MTREE) == ARCHIVE_OK
                                      : enable_all(a);
    ready = ready && archive_read_set_read_callback(a, read_block) == ARCHIVE_OK &&
            archive_read_set_callback_data(a, input) == ARCHIVE_OK;
    if (ready && !input->stream && input->words == NULL)
        ready = archive_read_set_seek_callback(a, seek_to) == ARCHIVE_OK &&
                archive_read_set_skip_callback(a, skip) == ARCHIVE_OK;
    if (!ready || archive_read_open1(a) != ARCHIVE_OK) {
        int r = tree_archive_fault(a, PLAT_ECORRUPT, err);
        (void)archive_read_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

/* ---- finding out ---- */

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

static int write_all(int fd, const uint8_t *bytes, size_t n, struct plat_err *err)
{
    while (n > 0) {
        ssize_t step = write(fd, bytes, n);
        if (step < 0 && errno != EINTR)
            return err_sys(err, errno, "cannot write the archive to a temporary file");
        bytes += step > 0 ? step : 0;
        n -= step > 0 ? (size_t)step : 0;
    }
    return 0;
}

/* A stream whose format has a directory at its end, or whose first header is read twice. */
static int copy_stream(const struct archive_input *input, int to, struct plat_err *err)
{
    uint64_t total = input->head_bytes;
    bool probed = false;
    int r = write_all(to, input->head, input->head_bytes, err);
    while (r == 0) {
        if (total >= PROBE_BYTES && !probed) {
            probed = true;
            if ((r = probe_stream(to, input->block, err)) != 0)
                break;
        }
        ssize_t n = read_some(input->fd, input->block, READ_BLOCK_BYTES);
        if (n <= 0)
            return n < 0 ? err_sys(err, errno, "cannot be read") : 0;
        total += (uint64_t)n;
        r = total > TREE_MAX_SPOOL_BYTES
                ? err_set(err, PLAT_ELIMIT, "the archive is larger than can be spooled")
                : write_all(to, input->block, (size_t)n, err);
    }
    return r;
}

/* The beginning of a stream, all of it where it is short. */
static int read_head(struct archive_input *input, struct plat_err *err)
{
    ssize_t n = 1;
    input->head = malloc(HEAD_BYTES);
    if (input->head == NULL)
        return err_nomem(err, "reading an archive");
    while (n > 0 && input->head_bytes < HEAD_BYTES) {
        n = read_some(input->fd, input->head + input->head_bytes, HEAD_BYTES - input->head_bytes);
        input->head_bytes += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? err_sys(err, errno, "cannot be read") : 0;
}

static bool format_names_bytes(int format)
{
    format &= ARCHIVE_FORMAT_BASE_MASK;
    return format == ARCHIVE_FORMAT_TAR || format == ARCHIVE_FORMAT_CPIO;
}

/* Does the head show that what comes can be read front to back? */
static bool streams(struct archive_input *input)
{
    struct plat_err ignored = {0};
    int format = 0;
    bool empty = false;
    input->head_alone = true;
    const int r = probe(input, &format, &empty, &ignored);
    input->head_alone = false;
    return r == 0 && !empty && format_names_bytes(format);
}

/* ---- opening ---- */

static bool is_named_manifest(const char *host_path)
{
    const size_t n = strlen(host_path);
    return n > 6 && strcmp(host_path + n - 6, ".mtree") == 0;
}

static bool begins_manifest(const struct archive_input *input)
{
    static const char mark[] = "#mtree";
    char first[sizeof mark - 1] = {0};
    if (input->stream)
        memcpy(first, input->head, input->head_bytes < sizeof first ? input->head_bytes : sizeof first);
    else if (pread(input->fd, first, sizeof first, 0) < 0)
        return false;
    return memcmp(first, mark, sizeof first) == 0;
}

static int open_fd(struct archive_input *input, const char *host_path, struct plat_err *err)
{
    bool standard_input = strcmp(host_path, "-") == 0;
    struct stat st;
    input->fd = standard_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                               : open(host_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (input->fd < 0 || fstat(input->fd, &st) != 0)
        return err_sys(err, errno, "cannot be read");
    if (S_ISDIR(st.st_mode))
        return err_set(err, PLAT_EINVALID,
                       "it is a directory, and an archive was expected: add it as a directory");
    input->stream = standard_input || !S_ISREG(st.st_mode);
    return input->stream ? read_head(input, err) : 0;
}

/* Puts a temporary file in the place of the stream. */
static int spool_stream(struct archive_input *input, const char *spool_dir, struct plat_err *err)
{
    int spool = -1;
    int r = tree_spool_open(spool_dir, &spool, err);
    if (r == 0)
        r = copy_stream(input, spool, err);
    if (r != 0) {
        if (spool >= 0)
            (void)close(spool);
        return r;
    }
    (void)close(input->fd);
    input->fd = spool;
    input->stream = false;
    return 0;
}

static int find_format(struct archive_input *input, struct plat_err *err)
{
    int format = 0;
    bool empty = false;
    struct stat st;
    int r = probe(input, &format, &empty, err);
    input->names_are_bytes = format_names_bytes(format);
    if (r == 0 && empty && fstat(input->fd, &st) == 0 && st.st_size > PROBE_BYTES)
        r = no_archive(err);
    if (r == PLAT_ECORRUPT)
        (void)err_prefix(err, "expected an archive (tar, cpio, zip, 7z, ...)");
    return r;
}

int archive_input_open(struct archive_input *ret, const char *host_path, enum archive_expected expected,
                       const char *spool_dir, struct plat_err *err)
{
    struct archive_input input = {.fd = -1, .block = malloc(READ_BLOCK_BYTES)};
    int r = input.block == NULL ? err_nomem(err, "reading an archive") : open_fd(&input, host_path, err);
    if (r != 0)
        goto out;
    input.named_manifest =
        expected == EXPECT_MANIFEST || (expected == EXPECT_EITHER && is_named_manifest(host_path));
    if (input.named_manifest || (expected == EXPECT_EITHER && begins_manifest(&input))) {
        input.names_are_bytes = true;
        r = manifest_words_open(&input.words, err);
    } else if (input.stream && streams(&input)) {
        input.names_are_bytes = true;
    } else {
        if (input.stream)
            r = spool_stream(&input, spool_dir, err);
        if (r == 0)
            r = find_format(&input, err);
    }
out:
    if (r != 0)
        archive_input_close(&input);
    else
        *ret = input;
    return r;
}

void archive_input_drain(struct archive_input *input)
{
    if (!input->stream)
        return;
    for (uint64_t total = 0; total < TREE_MAX_SPOOL_BYTES; total += READ_BLOCK_BYTES) {
        if (read_some(input->fd, input->block, READ_BLOCK_BYTES) <= 0)
            return;
    }
}

void archive_input_close(struct archive_input *input)
{
    if (input->fd >= 0)
        (void)close(input->fd);
    manifest_words_close(input->words);
    free(input->block);
    free(input->head);
    *input = (struct archive_input){.fd = -1};
}
