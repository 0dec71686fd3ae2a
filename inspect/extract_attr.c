/* Owner, extended attributes, mode and times of what was extracted, in this order: a change of the owner takes set-id bits and
 * capabilities away, and attributes can be set by their owner only while the mode lets him write. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "inspect/extract_dir.h"

enum { SET_ID_BITS = S_ISUID | S_ISGID, MODE_BITS = 07777 };

/* What attributes are set on: an open file, or a name in a directory. */
struct subject {
    int fd;           /* -1: by path */
    const char *path; /* "/proc/self/fd/7/name": nothing in it is a link but what /proc has */
};
struct setting {
    struct maker *maker;
    const struct subject *subject;
    struct plat_err *err;
};

static void times_of(const struct fs_stat *stat, struct timespec ret[2])
{
    ret[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    ret[1] = (struct timespec){.tv_nsec = UTIME_OMIT};
    if (stat->has_mtime)
        ret[1] = (struct timespec){.tv_sec = stat->mtime_s, .tv_nsec = (long)stat->mtime_ns};
}

/* What the image says, set-id bits only together with the owner they are meant for; else what new files get, without
 * write permission for read-only ones. */
static mode_t mode_of(const struct extract_host *host, const struct fs_stat *stat, mode_t usual)
{
    if (stat->has_mode)
        return (mode_t)stat->mode & MODE_BITS & ~(host->owner ? 0 : (mode_t)SET_ID_BITS);
    const mode_t mode = usual & ~host->umask;
    return stat->kind != TREE_DIR && stat->attributes & FILE_READ_ONLY ? mode & ~(mode_t)0222 : mode;
}

static int set_xattr(void *ctx, const struct fs_xattr *xattr)
{
    const struct setting *setting = ctx;
    struct maker *maker = setting->maker;
    /* Set-id bits by another name. */
    if (maker->host->root && !maker->host->owner && strcmp(xattr->name, "security.capability") == 0)
        return 0;
    if (!maker->host->root && strncmp(xattr->name, "user.", 5) != 0) {
        maker->xattrs_denied++;
        return 0;
    }
    const struct subject *subject = setting->subject;
    const int rc = subject->fd >= 0
                       ? fsetxattr(subject->fd, xattr->name, xattr->value, xattr->value_bytes, 0)
                       : lsetxattr(subject->path, xattr->name, xattr->value, xattr->value_bytes, 0);
    if (rc == 0)
        return 0;
    /* Root of a container may less than root; a link or special file takes no user.* from anybody. */
    const bool user = strncmp(xattr->name, "user.", 5) == 0;
    if (errno == ENOTSUP || (errno == EPERM && user && subject->fd < 0)) {
        maker->xattrs_unknown++;
        return 0;
    }
    if (errno == EPERM && !user) {
        maker->xattrs_denied++;
        return 0;
    }
    return err_sys(setting->err, errno, "cannot set its attribute %.100s (--xattrs drop leaves all away)",
                   xattr->name);
}

static int set_xattrs(struct maker *maker, const struct subject *subject, uint64_t node,
                      const struct fs_stat *stat, struct plat_err *err)
{
    struct extract_source *source = maker->host->options->source;
    struct plat_err why = {0};
    struct setting setting = {.maker = maker, .subject = subject, .err = &why};
    if (!maker->host->options->keep_xattrs || stat->no_xattrs || source->fs->driver->xattrs == NULL)
        return 0;
    struct plat_err driver_why = {0};
    extract_lock(source);
    const int rc = source->fs->driver->xattrs(source->fs, node, set_xattr, &setting, &driver_why);
    extract_unlock(source);
    if (rc != 0 && err != NULL)
        *err = why.class != 0 ? why : driver_why;
    return rc;
}

int attr_set_fd(struct maker *maker, int fd, const struct place *in, uint64_t node,
                const struct fs_stat *stat, mode_t usual, struct plat_err *err)
{
    const struct extract_host *host = maker->host;
    const struct subject subject = {.fd = fd};
    struct timespec times[2];
    times_of(stat, times);
    const bool known = in != NULL && in->uid == stat->uid && in->gid == stat->gid;
    if (host->owner && stat->has_mode && !known && fchown(fd, stat->uid, stat->gid) != 0)
        return make_failed(maker, errno, "cannot set its owner (--no-same-owner leaves it to you)", err);
    int rc = set_xattrs(maker, &subject, node, stat, err);
    if (rc != 0)
        return rc;
    if ((stat->has_mode || usual != 0) && fchmod(fd, mode_of(host, stat, usual)) != 0)
        return make_failed(maker, errno, "cannot set its mode", err);
    if (stat->has_mtime && futimens(fd, times) != 0)
        return make_failed(maker, errno, "cannot set its time", err);
    return 0;
}

/* Links have no mode; special files are reached by a descriptor that opens nothing. */
static int set_special_mode(struct maker *maker, int dir, const char *name, const struct fs_stat *stat,
                            struct plat_err *err)
{
    char self[64];
    const int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return make_failed(maker, errno, "cannot open it", err);
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int rc = chmod(self, mode_of(maker->host, stat, 0666)) != 0
                 ? make_failed(maker, errno, "cannot set its mode", err)
                 : 0;
    (void)close(fd);
    return rc;
}

int attr_set_name(struct maker *maker, const struct made *made, const char *name, struct plat_err *err)
{
    const struct fs_stat *stat = made->stat;
    const int dir = made->dir->fd;
    struct timespec times[2];
    char path[64 + TREE_MAX_NAME_BYTES];
    const struct subject subject = {.fd = -1, .path = path};
    times_of(stat, times);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
    if (maker->host->owner && stat->has_mode &&
        fchownat(dir, name, stat->uid, stat->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return make_failed(maker, errno, "cannot set its owner (--no-same-owner leaves it to you)", err);
    int rc = set_xattrs(maker, &subject, made->node, stat, err);
    if (rc == 0 && stat->kind != TREE_SYMLINK)
        rc = set_special_mode(maker, dir, name, stat, err);
    if (rc == 0 && stat->has_mtime && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno != ENOSYS && errno != EOPNOTSUPP) /* not every filesystem keeps times of links */
        rc = make_failed(maker, errno, "cannot set its time", err);
    return rc;
}
