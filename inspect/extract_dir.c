/* Extracting into a directory of the host.
 *
 * Every open is relative to a directory that is already open, of a single name, with O_NOFOLLOW. A file is
 * written without a name (O_TMPFILE), or under a temporary one where the host's filesystem cannot do that,
 * and gets its name when it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inspect/extract.h"

enum { HOLE_BYTES = 4096, TEMP_TRIES = 100 };

struct dir_sink {
    struct extract_sink sink; /* first */
    int root_fd;
    bool force;
    mode_t umask;
    struct strbuf cached; /* path of cached_fd, relative to the target */
    int cached_fd;        /* the directory that was used last; -1: none */
    uint8_t *buf;
    unsigned n_temps;
};

static struct dir_sink *dir_sink_of(struct extract_sink *sink)
{
    return (struct dir_sink *)(void *)sink;
}

static int open_dir_at(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens one directory after the other, making those that are missing. */
static int open_beneath(const struct dir_sink *s, const char *path, size_t n, int *ret, struct plat_err *err)
{
    int fd = open_dir_at(s->root_fd, ".");
    int saved = errno;
    for (size_t at = 0; fd >= 0 && at < n;) {
        char name[TREE_MAX_NAME_BYTES + 1];
        size_t len = 0;
        while (at + len < n && path[at + len] != '/')
            len++;
        if (len >= sizeof name) {
            (void)close(fd);
            return err_set(err, PLAT_ELIMIT, "a name in its path has more than %d bytes",
                           TREE_MAX_NAME_BYTES);
        }
        memcpy(name, path + at, len);
        name[len] = '\0';
        at += len + 1;
        int made = mkdirat(fd, name, 0777);
        int next = made == 0 || errno == EEXIST ? open_dir_at(fd, name) : -1;
        saved = errno;
        (void)close(fd);
        fd = next;
    }
    if (fd < 0)
        return err_sys(err, saved,
                       saved == ELOOP || saved == ENOTDIR
                           ? "the target holds something else where the directory should be"
                           : "cannot open its directory");
    *ret = fd;
    return 0;
}

/* The directory that holds `path`; *ret_name is its last component. The descriptor belongs to the sink. */
static int parent_of(struct dir_sink *s, const char *path, const char **ret_name, int *ret,
                     struct plat_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    *ret_name = slash != NULL ? slash + 1 : path;
    if (s->cached_fd < 0 || s->cached.len != n || memcmp(strbuf_str(&s->cached), path, n) != 0) {
        int fd = -1;
        int r = open_beneath(s, path, n, &fd, err);
        if (r != 0)
            return r;
        if (s->cached_fd >= 0)
            (void)close(s->cached_fd);
        s->cached_fd = fd;
        strbuf_truncate(&s->cached, 0);
        strbuf_add(&s->cached, path, n);
        if (s->cached.failed)
            return err_nomem(err, "extracting");
    }
    *ret = s->cached_fd;
    return 0;
}

static void times_of(const struct fs_stat *stat, struct timespec ret[2])
{
    ret[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    ret[1] = (struct timespec){.tv_nsec = UTIME_OMIT};
    if (stat->has_mtime)
        ret[1] = (struct timespec){.tv_sec = stat->mtime_s, .tv_nsec = (long)stat->mtime_ns};
}

/* What the image says, without set-id bits; else what new files get, without write permission for read-only
 * ones. */
static mode_t mode_of(const struct dir_sink *s, const struct fs_stat *stat, mode_t usual)
{
    if (stat->has_mode)
        return (mode_t)stat->mode & 0777;
    mode_t mode = usual & ~s->umask;
    return stat->kind != TREE_DIR && stat->attributes & FILE_READ_ONLY ? mode & ~(mode_t)0222 : mode;
}

/* ---- directories ---- */

static int dir_dir(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                   struct plat_err *err)
{
    struct dir_sink *s = dir_sink_of(sink);
    int fd = -1;
    (void)stat;
    int r = open_beneath(s, path, strlen(path), &fd, err);
    if (r == 0)
        (void)close(fd);
    return r;
}

static int dir_dir_end(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                       struct plat_err *err)
{
    struct dir_sink *s = dir_sink_of(sink);
    struct timespec times[2];
    int fd = -1;
    int r = open_beneath(s, path, strlen(path), &fd, err);
    if (r != 0)
        return r;
    times_of(stat, times);
    if (stat->has_mode && fchmod(fd, mode_of(s, stat, 0777)) != 0)
        r = err_sys(err, errno, "cannot set its mode");
    else if (futimens(fd, times) != 0)
        r = err_sys(err, errno, "cannot set its time");
    (void)close(fd);
    return r;
}

/* ---- files ---- */

/* A file that is being written: without a name, or with a temporary one. */
struct fresh {
    int fd;
    char temp[40]; /* "": no name */
};

static int fresh_open(struct dir_sink *s, int parent, struct fresh *ret, struct plat_err *err)
{
    struct fresh fresh = {.fd = openat(parent, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600)};
    for (int i = 0; fresh.fd < 0 && i < TEMP_TRIES; i++) {
        (void)snprintf(fresh.temp, sizeof fresh.temp, ".plat-%ld-%u", (long)getpid(), s->n_temps++);
        fresh.fd = openat(parent, fresh.temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fresh.fd < 0 && errno != EEXIST)
            break;
    }
    if (fresh.fd < 0)
        return err_sys(err, errno, "cannot create a file in its directory");
    *ret = fresh;
    return 0;
}

/* Gives it its name. linkat does not replace what is there; --force goes through a second name and rename. */
static int fresh_publish(struct dir_sink *s, int parent, struct fresh *fresh, const char *name,
                         struct plat_err *err)
{
    char self[64];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fresh->fd);
    bool named = fresh->temp[0] != '\0';
    int failed = named ? linkat(parent, fresh->temp, parent, name, 0)
                       : linkat(AT_FDCWD, self, parent, name, AT_SYMLINK_FOLLOW);
    if (failed == 0) {
        if (named)
            (void)unlinkat(parent, fresh->temp, 0);
        return 0;
    }
    if (errno != EEXIST)
        return err_sys(err, errno, "cannot give it its name");
    if (!s->force)
        return err_set(err, PLAT_EINVALID, "it exists already, and is left as it is; --force replaces it");
    if (!named) {
        (void)snprintf(fresh->temp, sizeof fresh->temp, ".plat-%ld-%u", (long)getpid(), s->n_temps++);
        if (linkat(AT_FDCWD, self, parent, fresh->temp, AT_SYMLINK_FOLLOW) != 0) {
            int saved = errno;
            fresh->temp[0] = '\0';
            return err_sys(err, saved, "cannot give it a temporary name");
        }
    }
    if (renameat(parent, fresh->temp, parent, name) != 0)
        return err_sys(err, errno, "cannot replace what is there");
    return 0;
}

/* Writes what is not zero; the rest stays a hole. */
static int write_sparse(int fd, uint64_t at, const uint8_t *buf, size_t n, struct plat_err *err)
{
    for (size_t i = 0; i < n;) {
        size_t block = n - i < HOLE_BYTES ? n - i : HOLE_BYTES;
        if (bytes_all(buf + i, block, 0)) {
            i += block;
            continue;
        }
        size_t end = i + block;
        while (end < n) {
            block = n - end < HOLE_BYTES ? n - end : HOLE_BYTES;
            if (bytes_all(buf + end, block, 0))
                break;
            end += block;
        }
        while (i < end) {
            ssize_t wrote = pwrite(fd, buf + i, end - i, (off_t)(at + i));
            if (wrote < 0 && errno == EINTR)
                continue;
            if (wrote <= 0)
                return err_sys(err, wrote < 0 ? errno : EIO, "cannot write it");
            i += (size_t)wrote;
        }
    }
    return 0;
}

static int fill(struct dir_sink *s, int fd, struct extract_reader *reader, const struct fs_stat *stat,
                struct plat_err *err)
{
    struct timespec times[2];
    size_t n;
    do {
        uint64_t at = reader->at;
        int r = extract_read(reader, s->buf, FILES_READ_BYTES, &n, err);
        if (r == 0)
            r = write_sparse(fd, at, s->buf, n, err);
        if (r != 0)
            return r;
    } while (n > 0);
    times_of(stat, times);
    if (ftruncate(fd, (off_t)reader->size_bytes) != 0)
        return err_sys(err, errno, "cannot set its size");
    if (fchmod(fd, mode_of(s, stat, 0666)) != 0)
        return err_sys(err, errno, "cannot set its mode");
    if (futimens(fd, times) != 0)
        return err_sys(err, errno, "cannot set its time");
    return 0;
}

static int dir_file(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                    struct extract_reader *reader, struct plat_err *err)
{
    struct dir_sink *s = dir_sink_of(sink);
    struct fresh fresh = {.fd = -1};
    const char *name = path;
    int parent = -1;
    int r = parent_of(s, path, &name, &parent, err);
    if (r == 0)
        r = fresh_open(s, parent, &fresh, err);
    if (r != 0)
        return r;
    r = fill(s, fresh.fd, reader, stat, err);
    if (r == 0)
        r = fresh_publish(s, parent, &fresh, name, err);
    if (close(fresh.fd) != 0 && r == 0)
        r = err_sys(err, errno, "cannot write it");
    if (r != 0 && fresh.temp[0] != '\0')
        (void)unlinkat(parent, fresh.temp, 0);
    return r;
}

static int dir_symlink(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                       const char *target, struct plat_err *err)
{
    struct dir_sink *s = dir_sink_of(sink);
    struct timespec times[2];
    const char *name = path;
    int parent = -1;
    int r = parent_of(s, path, &name, &parent, err);
    if (r != 0)
        return r;
    if (s->force)
        (void)unlinkat(parent, name, 0);
    if (symlinkat(target, parent, name) != 0) {
        if (errno == EEXIST)
            return err_set(err, PLAT_EINVALID,
                           "it exists already, and is left as it is; --force replaces it");
        return err_sys(err, errno, "cannot make the symbolic link");
    }
    times_of(stat, times);
    (void)utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW); /* not every filesystem keeps times of links */
    return 0;
}

static int dir_finish(struct extract_sink *sink, struct plat_err *err)
{
    (void)sink;
    (void)err;
    return 0;
}

static void dir_close(struct extract_sink *sink)
{
    struct dir_sink *s = dir_sink_of(sink);
    if (s->cached_fd >= 0)
        (void)close(s->cached_fd);
    if (s->root_fd >= 0)
        (void)close(s->root_fd);
    strbuf_free(&s->cached);
    free(s->buf);
    free(s);
}

static const struct extract_sink_ops dir_ops = {
    .dir = dir_dir,
    .dir_end = dir_dir_end,
    .file = dir_file,
    .symlink = dir_symlink,
    .finish = dir_finish,
    .close = dir_close,
};

int extract_to_dir(const char *target, bool force, struct extract_sink **ret, struct plat_err *err)
{
    struct dir_sink *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err, "extracting");
    s->sink.ops = &dir_ops;
    s->force = force;
    s->cached_fd = -1;
    s->umask = umask(0);
    (void)umask(s->umask);
    s->buf = malloc(FILES_READ_BYTES);
    if (mkdir(target, 0777) != 0 && errno != EEXIST) {
        int r = err_sys(err, errno, "cannot make the directory %.200s", target);
        s->root_fd = -1;
        dir_close(&s->sink);
        return r;
    }
    /* The target itself is the user's choice: it may be a symbolic link. */
    s->root_fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->root_fd < 0 || s->buf == NULL) {
        int r =
            s->buf == NULL ? err_nomem(err, "extracting") : err_sys(err, errno, "cannot open %.200s", target);
        dir_close(&s->sink);
        return r;
    }
    *ret = &s->sink;
    return 0;
}
