/* Where libarchive's bytes go, and how libarchive is told to make the same ones every time. */
#include "formats/archive/private.h"

#include <archive.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/bytes.h"

static bool needs_kernel_codec(enum archive_kind kind, enum archive_codec codec)
{
    return kind == ARCHIVE_CPIO && (codec == CODEC_XZ || codec == CODEC_LZ4);
}

/* Zeros are skipped: they stay a hole of the temporary file, and of the image that it is copied to. */
static int spool(void *ctx, const void *bytes, size_t n)
{
    struct archive_sink *sink = ctx;
    const uint8_t *p = bytes;
    if (bytes_all(p, n, 0)) {
        sink->bytes += n;
        return 0;
    }
    while (n > 0) {
        ssize_t done = pwrite(sink->fd, p, n, (off_t)sink->bytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return err_sys(&sink->err, done == 0 ? EIO : errno,
                           "cannot write the archive to a temporary file");
        p += done;
        n -= (size_t)done;
        sink->bytes += (uint64_t)done;
    }
    return 0;
}

int archive_sink_open(enum archive_kind kind, const struct archive_options *options, int fd,
                      struct archive_sink *ret, struct plat_err *err)
{
    *ret = (struct archive_sink){.fd = fd};
    if (!needs_kernel_codec(kind, options->codec))
        return 0;
    return kernel_codec_open(options->codec, options, spool, ret, &ret->codec, err);
}

int archive_sink_write(struct archive_sink *sink, const void *bytes, size_t n)
{
    if (sink->codec == NULL)
        return spool(sink, bytes, n);
    return kernel_codec_feed(sink->codec, bytes, n, &sink->err);
}

int archive_sink_finish(struct archive_sink *sink)
{
    int r = sink->codec != NULL ? kernel_codec_finish(sink->codec, &sink->err) : 0;
    if (r == 0 && ftruncate(sink->fd, (off_t)sink->bytes) != 0)
        r = err_sys(&sink->err, errno, "cannot write the archive to a temporary file");
    return r;
}

void archive_sink_close(struct archive_sink *sink)
{
    kernel_codec_close(sink->codec);
    sink->codec = NULL;
}

ssize_t archive_sink_callback(struct archive *a, void *ctx, const void *bytes, size_t n)
{
    struct archive_sink *sink = ctx;
    if (archive_sink_write(sink, bytes, n) != 0) {
        archive_set_error(a, EIO, "%s", sink->err.text);
        return -1;
    }
    return (ssize_t)n;
}

static int set_level(struct archive *a, const char *filter, const struct archive_options *o)
{
    char level[16];
    if (!o->has_level)
        return ARCHIVE_OK;
    (void)snprintf(level, sizeof level, "%u", o->level);
    return archive_write_set_filter_option(a, filter, "compression-level", level);
}

static int set_filter(struct archive *a, enum archive_kind kind, const struct archive_options *o)
{
    bool kernel = needs_kernel_codec(kind, o->codec);
    int r;
    switch (o->codec) {
    case CODEC_GZIP:
        r = archive_write_add_filter_gzip(a);
        if (r == ARCHIVE_OK) /* no time stamp in the header */
            r = archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
        return r == ARCHIVE_OK ? set_level(a, "gzip", o) : r;
    case CODEC_XZ:
        if (kernel)
            return archive_write_add_filter_none(a);
        r = archive_write_add_filter_xz(a);
        return r == ARCHIVE_OK ? set_level(a, "xz", o) : r;
    case CODEC_ZSTD:
        r = archive_write_add_filter_zstd(a);
        return r == ARCHIVE_OK ? set_level(a, "zstd", o) : r;
    case CODEC_LZ4:
        r = archive_write_add_filter_lz4(a);
        if (r == ARCHIVE_OK && kernel)
            r = archive_write_set_filter_option(a, "lz4", "stream-checksum", NULL);
        return r == ARCHIVE_OK ? set_level(a, "lz4", o) : r;
    case CODEC_NONE:
    case N_CODECS:
    default:
        return archive_write_add_filter_none(a);
    }
}

int archive_writer_configure(struct archive *a, enum archive_kind kind, const struct archive_options *options,
                             struct plat_err *err)
{
    int r = kind == ARCHIVE_CPIO ? archive_write_set_format_cpio_newc(a)
                                 : archive_write_set_format_pax_restricted(a);
    if (r == ARCHIVE_OK)
        r = set_filter(a, kind, options);
    if (r == ARCHIVE_OK)
        r = archive_write_set_bytes_in_last_block(a, 1);
    if (r == ARCHIVE_OK)
        return 0;
    const char *text = archive_error_string(a);
    return err_set(err, PLAT_EUNSUPPORTED, "libarchive cannot write this with compress=%s: %s",
                   archive_codec_name(options->codec), text != NULL ? text : "no reason given");
}
