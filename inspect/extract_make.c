/* One file, link or special file in a directory of the target. In a fresh directory, which nobody sees yet, it is made in its
 * place; in one that was there before it gets its name when it is whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "inspect/extract_dir.h"

enum { HOLE_BYTES = 4096 };

int make_failed(struct maker *maker, int saved_errno, const char *what, struct plat_err *err)
{
    if (saved_errno == ENOSPC || saved_errno == EDQUOT || saved_errno == EIO || saved_errno == EROFS)
        maker->full = true;
    return err_sys(err, saved_errno, "%s", what);
}

static int exists_already(struct plat_err *err)
{
    return err_set(err, PLAT_EINVALID, "it exists already, and is left as it is; --force replaces it");
}

/* ---- names ---- */

/* Something that has a temporary name in the directory gets its own, in the place of what is there. */
static int replace_by(struct maker *maker, const struct made *made, const char *temp, struct plat_err *err)
{
    const int dir = made->dir->fd;
    if (renameat(dir, temp, dir, made->name) != 0) {
        int rc = make_failed(maker, errno, "cannot replace what is there", err);
        (void)unlinkat(dir, temp, 0);
        return rc;
    }
    (void)unlinkat(dir, temp, 0); /* both were names of the same file: rename leaves them alone */
    return 0;
}

/* Makes something that has no content by `create`, under its name; with --force under a temporary one first, where there is
 * something of that name. 0 or an errno; ret_temp is "" where it has its name. */
struct creation {
    const struct made *made;
    const char *target; /* of a symbolic link */
    int from_dir;       /* a link: from here */
    const char *from_name;
};
static int create(const struct creation *creation, const char *name)
{
    const int dir = creation->made->dir->fd;
    const struct fs_stat *stat = creation->made->stat;
    int rc;
    if (creation->from_name != NULL)
        rc = linkat(creation->from_dir, creation->from_name, dir, name, 0);
    else if (creation->target != NULL)
        rc = symlinkat(creation->target, dir, name);
    else
        rc = mknodat(dir, name,
                     0600 | (mode_t)(stat->kind == TREE_CHAR    ? S_IFCHR
                                     : stat->kind == TREE_BLOCK ? S_IFBLK
                                     : stat->kind == TREE_FIFO  ? S_IFIFO
                                                                : S_IFSOCK),
                     stat->kind == TREE_CHAR || stat->kind == TREE_BLOCK ? (dev_t)stat->device : 0);
    return rc != 0 ? errno : 0;
}
static int create_somehow(const struct maker *maker, const struct creation *creation,
                          char ret_temp[TEMP_NAME_BYTES])
{
    ret_temp[0] = '\0';
    int failed = create(creation, creation->made->name);
    for (int i = 0; failed == EEXIST && maker->host->options->force && i < TEMP_TRIES; i++) {
        place_temp_name(ret_temp);
        failed = create(creation, ret_temp);
    }
    return failed;
}

int make_link(struct maker *maker, const struct made *made, int from_dir, const char *from_name,
              struct plat_err *err)
{
    const struct creation creation = {.made = made, .from_dir = from_dir, .from_name = from_name};
    char temp[TEMP_NAME_BYTES];
    const int failed = create_somehow(maker, &creation, temp);
    switch (failed) {
    case 0:
        return temp[0] == '\0' ? 0 : replace_by(maker, made, temp, err);
    case EEXIST:
        return exists_already(err);
    case EMLINK:
    case EPERM:
    case EACCES:
    case EXDEV:
    case EOPNOTSUPP:
        return err_set(err, PLAT_EUNSUPPORTED, "the target takes no such link: %s", strerror(failed));
    default:
        return make_failed(maker, failed, "cannot link it to its other name", err);
    }
}

static int make_node(struct maker *maker, const struct creation *creation, struct plat_err *err)
{
    const struct made *made = creation->made;
    const bool device = made->stat->kind == TREE_CHAR || made->stat->kind == TREE_BLOCK;
    char temp[TEMP_NAME_BYTES];
    const int failed = create_somehow(maker, creation, temp);
    if (failed == EEXIST)
        return exists_already(err);
    if (failed == EPERM && device)
        return err_set(err, PLAT_EUNSUPPORTED, "it is a device, which only root may make");
    if (failed != 0)
        return make_failed(maker, failed, "cannot make it", err);
    const char *name = temp[0] != '\0' ? temp : made->name;
    int rc = attr_set_name(maker, made, name, err);
    if (rc != 0)
        (void)unlinkat(made->dir->fd, name, 0);
    else if (temp[0] != '\0')
        rc = replace_by(maker, made, temp, err);
    return rc;
}

/* ---- files ---- */

/* In a directory that others see: without a name, or with a temporary one where the host cannot do that. */
static int open_hidden(struct maker *maker, int dir, struct fresh_file *ret, struct plat_err *err)
{
    struct fresh_file file = {.fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600)};
    for (int i = 0; file.fd < 0 && i < TEMP_TRIES; i++) {
        place_temp_name(file.temp);
        file.fd = openat(dir, file.temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file.fd < 0 && errno != EEXIST)
            break;
    }
    if (file.fd < 0)
        return make_failed(maker, errno, "cannot create a file in its directory", err);
    *ret = file;
    return 0;
}

int make_open(struct maker *maker, const struct made *made, struct fresh_file *ret, struct plat_err *err)
{
    const int dir = made->dir->fd;
    struct fresh_file file = {.own_name = true};
    if (!made->dir->fresh)
        return open_hidden(maker, dir, ret, err);
    for (int i = 0; i < 2; i++) {
        file.fd = openat(dir, made->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file.fd >= 0 || errno != EEXIST || !maker->host->options->force ||
            unlinkat(dir, made->name, 0) != 0)
            break;
    }
    if (file.fd < 0)
        return errno == EEXIST ? exists_already(err) : make_failed(maker, errno, "cannot create it", err);
    *ret = file;
    return 0;
}

/* linkat does not replace what is there; --force goes through a second name and rename. */
static int publish(struct maker *maker, const struct made *made, struct fresh_file *file,
                   struct plat_err *err)
{
    const int dir = made->dir->fd;
    char self[64];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", file->fd);
    const bool named = file->temp[0] != '\0';
    const int failed = named ? linkat(dir, file->temp, dir, made->name, 0)
                             : linkat(AT_FDCWD, self, dir, made->name, AT_SYMLINK_FOLLOW);
    if (failed == 0) {
        if (named)
            (void)unlinkat(dir, file->temp, 0);
        return 0;
    }
    if (errno != EEXIST)
        return make_failed(maker, errno, "cannot give it its name", err);
    if (!maker->host->options->force)
        return exists_already(err);
    if (!named) {
        place_temp_name(file->temp);
        if (linkat(AT_FDCWD, self, dir, file->temp, AT_SYMLINK_FOLLOW) != 0) {
            const int saved = errno;
            file->temp[0] = '\0';
            return make_failed(maker, saved, "cannot give it a temporary name", err);
        }
    }
    return replace_by(maker, made, file->temp, err);
}

int make_close(struct maker *maker, const struct made *made, struct fresh_file *file, int failed,
               struct plat_err *err)
{
    int rc = failed;
    if (rc == 0)
        rc = attr_set_fd(maker, file->fd, file->own_name ? made->dir : NULL, made->node, made->stat, 0666,
                         err);
    if (rc == 0 && !file->own_name)
        rc = publish(maker, made, file, err);
    if (close(file->fd) != 0 && rc == 0 && file->own_name)
        rc = make_failed(maker, errno, "cannot write it", err);
    if (rc != 0 && file->own_name)
        (void)unlinkat(made->dir->fd, made->name, 0);
    else if (rc != 0 && file->temp[0] != '\0')
        (void)unlinkat(made->dir->fd, file->temp, 0);
    return rc;
}

static int write_all(struct maker *maker, int fd, uint64_t at, const uint8_t *buf, size_t n,
                     struct plat_err *err)
{
    while (n > 0) {
        const ssize_t wrote = pwrite(fd, buf, n, (off_t)at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return make_failed(maker, wrote < 0 ? errno : EIO, "cannot write it", err);
        buf += wrote;
        at += (uint64_t)wrote;
        n -= (size_t)wrote;
    }
    return 0;
}

static size_t block_at(size_t at, size_t n)
{
    return n - at < HOLE_BYTES ? n - at : HOLE_BYTES;
}

/* Writes what is not zero; the rest stays a hole. */
static int write_sparse(struct maker *maker, int fd, uint64_t at, const uint8_t *buf, size_t n,
                        uint64_t *end_written, struct plat_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n;) {
        size_t end = i;
        while (end < n && !bytes_all(buf + end, block_at(end, n), 0))
            end += block_at(end, n);
        if (end > i)
            rc = write_all(maker, fd, at + i, buf + i, end - i, err);
        if (end > i)
            *end_written = at + end;
        i = end < n ? end + block_at(end, n) : n;
    }
    return rc;
}

int make_piece(struct maker *maker, const struct made *made, int fd, struct range piece, struct plat_err *err)
{
    const uint64_t size_bytes = made->stat->size_bytes, end = piece.start + piece.bytes;
    uint64_t end_written = 0;
    int rc = 0;
    for (uint64_t at = piece.start; rc == 0 && at < end;) {
        size_t n = end - at < FILES_READ_BYTES ? (size_t)(end - at) : FILES_READ_BYTES;
        rc = extract_read(maker->host->options->source, made->node, size_bytes, at, maker->buf, n, &n, err);
        if (rc == 0)
            rc = write_sparse(maker, fd, at, maker->buf, n, &end_written, err);
        at += n;
    }
    /* The end may be a hole. */
    if (rc == 0 && end == size_bytes && end_written < size_bytes && ftruncate(fd, (off_t)size_bytes) != 0)
        rc = make_failed(maker, errno, "cannot set its size", err);
    return rc;
}

static int make_file(struct maker *maker, const struct made *made, struct plat_err *err)
{
    struct fresh_file file;
    int rc = make_open(maker, made, &file, err);
    if (rc != 0)
        return rc;
    /* A driver that one thread at a time asks remembers where it was in one file: that should not be another one each time. */
    const bool alone = made->stat->size_bytes > FILES_READ_BYTES;
    if (alone)
        extract_lock(maker->host->options->source);
    rc = make_piece(maker, made, file.fd, (struct range){0, made->stat->size_bytes}, err);
    if (alone)
        extract_unlock(maker->host->options->source);
    return make_close(maker, made, &file, rc, err);
}

int make_entry(struct maker *maker, const struct made *made, struct plat_err *err)
{
    struct creation creation = {.made = made};
    if (made->stat->kind == TREE_FILE)
        return make_file(maker, made, err);
    if (made->stat->kind != TREE_SYMLINK)
        return make_node(maker, &creation, err);
    struct strbuf target = {0};
    int rc = extract_target(maker->host->options->source, made->node, &target, err);
    creation.target = strbuf_str(&target);
    if (rc == 0)
        rc = make_node(maker, &creation, err);
    strbuf_free(&target);
    return rc;
}
