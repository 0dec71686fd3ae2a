/* Where extracted files go: a directory of the host, or a tar archive. Private to plat extract.
 *
 * Paths are relative, without leading '/', of names that file_name_fault() let pass; still, a directory sink
 * follows no symbolic link and opens one component at a time, so that what else lies in the target cannot
 * lead outside. */
#ifndef PLAT_INSPECT_EXTRACT_H
#define PLAT_INSPECT_EXTRACT_H

#include "inspect/files.h"
#include "lib/base/progress.h"

/* The content of one file, front to back. */
struct extract_reader {
    struct fs *fs;
    uint64_t node;
    uint64_t size_bytes;
    uint64_t at;
    struct progress *progress;
};
/* Up to n bytes, fewer at the end only; *ret_n is 0 at the end. A content that ends early is PLAT_ECORRUPT.
 */
int extract_read(struct extract_reader *reader, uint8_t *buf, size_t n, size_t *ret_n, struct plat_err *err);

struct extract_sink;
struct extract_sink_ops {
    /* A directory, before what is in it, and after (then its times and mode are set). */
    int (*dir)(struct extract_sink *sink, const char *path, const struct fs_stat *stat, struct plat_err *err);
    int (*dir_end)(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                   struct plat_err *err);
    /* A file appears whole, or not at all. */
    int (*file)(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                struct extract_reader *reader, struct plat_err *err);
    int (*symlink)(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                   const char *target, struct plat_err *err);
    int (*finish)(struct extract_sink *sink, struct plat_err *err);
    void (*close)(struct extract_sink *sink);
};
struct extract_sink {
    const struct extract_sink_ops *ops;
    bool all_or_nothing; /* a failure ends the work: nothing has appeared, and nothing will */
};
/* `target` is made when it is missing. */
int extract_to_dir(const char *target, bool force, struct extract_sink **ret, struct plat_err *err);
/* `target` "-" is standard output. */
int extract_to_tar(const char *target, bool force, struct extract_sink **ret, struct plat_err *err);

#endif
