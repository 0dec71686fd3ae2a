/* Shared by the files of formats/archive. */
#ifndef PLAT_FORMATS_ARCHIVE_PRIVATE_H
#define PLAT_FORMATS_ARCHIVE_PRIVATE_H

#include "formats/archive/archive.h"

#include <sys/types.h>

struct archive; /* libarchive's */

enum archive_kind { ARCHIVE_CPIO, ARCHIVE_TAR };
enum archive_codec { CODEC_NONE, CODEC_GZIP, CODEC_XZ, CODEC_ZSTD, CODEC_LZ4, N_CODECS };

/* ---- options.c ---- */

struct archive_options {
    enum archive_codec codec;
    bool has_level;
    unsigned level;
    bool keep_owner; /* owner=keep; else 0:0 */
    bool
        portable_modes; /* modes=portable: 0755 and 0644 by the owner's execute bit, whatever the umask was */
};
enum { N_ARCHIVE_OPTIONS = 5 };
extern const struct make_option_desc archive_option_descs[N_ARCHIVE_OPTIONS];
const char *archive_codec_name(enum archive_codec codec);
int archive_options_read(json_t *extra, struct archive_options *ret, struct plat_err *err);

/* ---- sink.c: where libarchive's output goes ---- */

struct archive_sink {
    int fd;         /* spool; not owned */
    uint64_t bytes; /* written so far */
    struct plat_err err;
    struct kernel_codec *codec; /* NULL: bytes pass as they are */
};
/* cpio with xz or lz4 goes through kernel_codec.c: the kernel unpacks neither xz with CRC64 nor lz4 frames.
 */
int archive_sink_open(enum archive_kind kind, const struct archive_options *options, int fd,
                      struct archive_sink *ret, struct plat_err *err);
/* Ends the compressed stream. 0 or the class in sink->err. */
int archive_sink_finish(struct archive_sink *sink);
void archive_sink_close(struct archive_sink *sink);
int archive_sink_write(struct archive_sink *sink, const void *bytes, size_t n);
/* Format, filter and options for libarchive. */
int archive_writer_configure(struct archive *a, enum archive_kind kind, const struct archive_options *options,
                             struct plat_err *err);
/* Callback for archive_write_open; ctx is the sink. */
ssize_t archive_sink_callback(struct archive *a, void *ctx, const void *bytes, size_t n);

/* ---- kernel_codec.c ---- */

struct kernel_codec;
typedef int (*codec_output_fn)(void *ctx, const void *bytes, size_t n); /* 0 or a class */
/* CODEC_XZ takes plain bytes; CODEC_LZ4 takes lz4 frames with independent blocks and no checksums. */
int kernel_codec_open(enum archive_codec kind, const struct archive_options *options, codec_output_fn fn,
                      void *ctx, struct kernel_codec **ret, struct plat_err *err);
int kernel_codec_feed(struct kernel_codec *codec, const void *bytes, size_t n, struct plat_err *err);
int kernel_codec_finish(struct kernel_codec *codec, struct plat_err *err);
void kernel_codec_close(struct kernel_codec *codec);

/* ---- render.c ---- */

struct archive_render {
    enum archive_kind kind;
    struct tree *tree;
    const struct archive_options *options;
    uint64_t n_entries;  /* out */
    uint64_t data_bytes; /* out: contents of files before compression */
};
int archive_render(struct archive_render *render, struct archive_sink *sink, struct plat_err *err);

#endif
