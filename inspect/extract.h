/* Where extracted files go: a directory of the host, or a tar archive. Private to plat extract.
 *
 * The walk hands each thing to a sink, in bytewise order of paths. A sink may work on many of them at once, and says what
 * came of each by way of struct extract_report, from the thread of the caller and in the order in which they came: so what is
 * printed does not depend on the number of threads.
 *
 * Paths are relative, without leading '/', of names that file_name_fault() let pass; still, a directory sink
 * follows no symbolic link and opens one component at a time, so that what else lies in the target cannot
 * lead outside. */
#ifndef PLAT_INSPECT_EXTRACT_H
#define PLAT_INSPECT_EXTRACT_H

#include <pthread.h>

#include "inspect/files.h"
#include "lib/base/progress.h"

/* The filesystem that is read. Drivers that are not `concurrent` are asked by one thread at a time: the caller's holds the lock but
 * while it waits for the others. */
struct extract_source {
    struct fs *fs;
    pthread_mutex_t lock; /* recursive */
};
void extract_lock(struct extract_source *source);
void extract_unlock(struct extract_source *source);
/* Up to n bytes at `at`, which is below size_bytes; a content that ends early is PLAT_ECORRUPT. */
int extract_read(struct extract_source *source, uint64_t node, uint64_t size_bytes, uint64_t at, uint8_t *buf,
                 size_t n, size_t *ret_n, struct plat_err *err);
/* The target of a symbolic link, which is not empty and has no NUL. */
int extract_target(struct extract_source *source, uint64_t node, struct strbuf *ret, struct plat_err *err);

struct extract_report {
    void *ctx;
    void (*done)(void *ctx, const char *path, enum tree_kind kind);
    void (*failed)(void *ctx, const char *path, const struct plat_err *why);
    void (*warn)(void *ctx, const char *text);
    bool (*interrupted)(void *ctx); /* a signal wants the work to end */
    struct progress *progress;
};
struct extract_options {
    const char *target; /* of an archive: "-" is standard output */
    bool force, keep_xattrs, same_owner;
    unsigned n_threads; /* 0: one for each processor */
    struct extract_source *source;
    struct extract_report report;
};
struct extract_entry {
    const char *path;
    uint64_t node;
    const struct fs_stat *stat;
};

struct extract_sink;
/* Each returns 0, or PLAT_ESTOP when nothing more is to come: the reason is reported. */
struct extract_sink_ops {
    /* From now on `fs` is read, and what is at `path` comes. A failure is the caller's to report. */
    int (*begin)(struct extract_sink *sink, struct fs *fs, const char *path, struct plat_err *err);
    /* A directory, before what is in it (1: it cannot be made, pass over it), and after. */
    int (*enter)(struct extract_sink *sink, const struct extract_entry *entry);
    int (*leave)(struct extract_sink *sink, const struct extract_entry *entry);
    /* Everything else; a file appears whole, or not at all. */
    int (*entry)(struct extract_sink *sink, const struct extract_entry *entry);
    /* Something that is not extracted, to be reported in its turn; unread: for damage, not for its name. */
    int (*refuse)(struct extract_sink *sink, const char *path, bool unread, const struct plat_err *why);
    /* whole: all has come, or why it has not is reported. */
    int (*finish)(struct extract_sink *sink, bool whole, struct plat_err *err);
    void (*close)(struct extract_sink *sink);
};
struct extract_sink {
    const struct extract_sink_ops *ops;
};
/* The directory is made when it is missing. `options` must outlive the sink. */
int extract_to_dir(const struct extract_options *options, struct extract_sink **ret, struct plat_err *err);
int extract_to_tar(const struct extract_options *options, struct extract_sink **ret, struct plat_err *err);

#endif
