/* Files, new outputs, and standard output as a sequential device. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io/private.h"

struct file_dev {
    struct plat_dev dev;
    int fd;
    char *name;
    bool unnamed; /* outputs: has no name until commit, so that not even SIGKILL leaves one behind */
    char *temp;   /* outputs, where the filesystem knows no such files: path until commit */
    int slot;     /* outputs: index in the table of temporary files; -1: none */
    uint64_t at;  /* standard output: bytes written so far */
};

int fd_read_at(int fd, uint64_t offset, void *buf, size_t n, const char *name, struct plat_err *err)
{
    uint8_t *p = buf;
    while (n > 0) {
        ssize_t got = pread(fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            int rc = got == 0 ? err_set(err, PLAT_EIO, "the file became shorter while it was read")
                              : err_sys(err, errno, "cannot read %zu bytes at 0x%llx", n,
                                        (unsigned long long)offset);
            err_image(err, name);
            return rc;
        }
        p += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

int fd_write_at(int fd, uint64_t offset, const void *buf, size_t n, const char *name, struct plat_err *err)
{
    const uint8_t *p = buf;
    while (n > 0) {
        ssize_t put = pwrite(fd, p, n, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            int rc = err_sys(err, put == 0 ? ENOSPC : errno, "cannot write %zu bytes at 0x%llx", n,
                             (unsigned long long)offset);
            err_image(err, name);
            return rc;
        }
        p += put;
        offset += (uint64_t)put;
        n -= (size_t)put;
    }
    return 0;
}

int fd_write(int fd, const void *buf, size_t n, const char *name, struct plat_err *err)
{
    const uint8_t *p = buf;
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            int rc = err_sys(err, put == 0 ? ENOSPC : errno, "cannot write");
            err_image(err, name);
            return rc;
        }
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

static int file_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    return fd_read_at(((struct file_dev *)dev)->fd, offset, buf, n, dev->name, err);
}

static int file_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err)
{
    return fd_write_at(((struct file_dev *)dev)->fd, offset, buf, n, dev->name, err);
}

static int file_flush(struct plat_dev *dev, struct plat_err *err)
{
    if (fsync(((struct file_dev *)dev)->fd) != 0)
        return err_sys(err, errno, "cannot flush %s", dev->name);
    return 0;
}

/* ---- temporary files that a signal must remove ---- */

/* The one piece of state that outlives a call in lib/: a signal handler can be given nothing else. A slot's path is
 * written before `used` is set and freed after it is cleared, so that the handler only ever sees whole strings. */
enum { OUTPUT_SLOTS = 16 };
static struct {
    volatile sig_atomic_t used;
    char *volatile path;
} output_slots[OUTPUT_SLOTS];
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;

static int slot_take(const char *path)
{
    int found = -1;
    (void)pthread_mutex_lock(&output_lock);
    for (int i = 0; i < OUTPUT_SLOTS && found < 0; i++) {
        if (!output_slots[i].used) {
            output_slots[i].path = strdup(path);
            if (output_slots[i].path != NULL) {
                output_slots[i].used = 1;
                found = i;
            }
        }
    }
    (void)pthread_mutex_unlock(&output_lock);
    return found;
}

static void slot_drop(int slot)
{
    if (slot < 0)
        return;
    (void)pthread_mutex_lock(&output_lock);
    output_slots[slot].used = 0;
    free(output_slots[slot].path);
    output_slots[slot].path = NULL;
    (void)pthread_mutex_unlock(&output_lock);
}

void dev_output_abandon_all(void)
{
    for (int i = 0; i < OUTPUT_SLOTS; i++)
        if (output_slots[i].used)
            (void)unlink(output_slots[i].path);
}

static void file_close(struct plat_dev *dev)
{
    struct file_dev *f = (struct file_dev *)dev;
    if (f->fd > STDERR_FILENO)
        (void)close(f->fd);
    if (f->temp != NULL) {
        (void)unlink(f->temp);
        free(f->temp);
    }
    slot_drop(f->slot);
    free(f->name);
    free(f);
}

static const struct plat_dev_ops ro_ops = {.read_at = file_read, .close = file_close};
static const struct plat_dev_ops rw_ops = {
    .read_at = file_read, .write_at = file_write, .flush = file_flush, .close = file_close};

static int no_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    (void)offset;
    (void)buf;
    (void)n;
    return err_set(err, PLAT_EUNSUPPORTED, "%s cannot be read back", dev->name);
}

static int pipe_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err)
{
    static const uint8_t zeros[64 * 1024];
    struct file_dev *f = (struct file_dev *)dev;
    if (offset < f->at)
        return err_set(err, PLAT_EBUG, "write at 0x%llx behind 0x%llx on a pipe", (unsigned long long)offset,
                       (unsigned long long)f->at);
    while (f->at < offset) {
        uint64_t gap = offset - f->at;
        size_t part = gap < sizeof zeros ? (size_t)gap : sizeof zeros;
        int rc = fd_write(f->fd, zeros, part, dev->name, err);
        if (rc != 0)
            return rc;
        f->at += part;
    }
    int rc = fd_write(f->fd, buf, n, dev->name, err);
    if (rc == 0)
        f->at += n;
    return rc;
}

static const struct plat_dev_ops pipe_ops = {.read_at = no_read, .write_at = pipe_write, .close = file_close};

static int file_new(const char *name, int fd, const struct plat_dev_ops *ops, struct file_dev **ret,
                    struct plat_err *err)
{
    struct file_dev *f = calloc(1, sizeof *f);
    if (f == NULL || (f->name = strdup(name)) == NULL) {
        free(f);
        return err_nomem(err, "opening a file");
    }
    f->fd = fd;
    f->slot = -1;
    f->dev = (struct plat_dev){.ops = ops, .name = f->name};
    *ret = f;
    return 0;
}

static int file_size(int fd, uint64_t *ret, struct plat_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "cannot stat");
    if (S_ISREG(st.st_mode)) {
        *ret = (uint64_t)st.st_size;
        return 0;
    }
    if (S_ISBLK(st.st_mode)) {
        if (ioctl(fd, BLKGETSIZE64, ret) != 0)
            return err_sys(err, errno, "cannot find the size of the block device");
        return 0;
    }
    return err_set(err, PLAT_EINVALID, "%s; an image must be a regular file or a block device",
                   S_ISDIR(st.st_mode) ? "is a directory" : "is neither a file nor a block device");
}

int dev_open_file(const char *path, bool writable, struct plat_dev **ret, struct plat_err *err)
{
    /* O_NONBLOCK: opening a FIFO by mistake must not hang. */
    int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int rc = err_sys(err, errno, "cannot open");
        err_image(err, path);
        return rc;
    }
    struct file_dev *f;
    uint64_t size_bytes;
    int rc = file_size(fd, &size_bytes, err);
    if (rc == 0)
        rc = file_new(path, fd, writable ? &rw_ops : &ro_ops, &f, err);
    if (rc != 0) {
        err_image(err, path);
        (void)close(fd);
        return rc;
    }
    f->dev.size_bytes = size_bytes;
    *ret = &f->dev;
    return 0;
}

int dev_open_fd(int fd, const char *name, struct plat_dev **ret, struct plat_err *err)
{
    struct file_dev *f;
    uint64_t size_bytes;
    int rc = file_size(fd, &size_bytes, err);
    if (rc == 0)
        rc = file_new(name, fd, &rw_ops, &f, err);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    f->dev.size_bytes = size_bytes;
    *ret = &f->dev;
    return 0;
}

int dev_fd(const struct plat_dev *dev)
{
    bool file = dev->ops == &ro_ops || dev->ops == &rw_ops;
    return file ? ((const struct file_dev *)dev)->fd : -1;
}

int dev_lock(struct plat_dev *dev, struct plat_err *err)
{
    uint64_t start;
    for (struct plat_dev *parent; (parent = dev_window_parent(dev, &start)) != NULL;)
        dev = parent;
    int fd = dev_fd(dev), rc;
    if (fd < 0)
        return 0;
    do
        rc = flock(fd, LOCK_EX | LOCK_NB);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    rc =
        errno == EWOULDBLOCK
            ? err_set(
                  err, PLAT_EIO,
                  "another program has it open for writing; nothing was changed: try again when that is done")
            : err_sys(err, errno, "cannot lock");
    err_image(err, dev->name);
    return rc;
}

int dev_resize(struct plat_dev *dev, uint64_t size_bytes, struct plat_err *err)
{
    struct stat st;
    const int fd = dev->ops == &rw_ops ? dev_fd(dev) : -1;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(err, PLAT_EUNSUPPORTED, "%s is no regular file: its size stays as it is", dev->name);
    if (size_bytes == dev->size_bytes)
        return 0;
    if (size_bytes > INT64_MAX || ftruncate(fd, (off_t)size_bytes) != 0)
        return err_sys(err, size_bytes > INT64_MAX ? EFBIG : errno, "cannot make it %llu bytes long",
                       (unsigned long long)size_bytes);
    dev->size_bytes = size_bytes;
    return file_flush(dev, err);
}

/* ---- outputs ---- */

/* Mode of a file that the user's umask would give a new one, found without changing the umask of other threads:
 * a file that exists keeps its own. */
static mode_t output_mode(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return st.st_mode & 0777;
    FILE *f = fopen("/proc/self/status", "re");
    unsigned mask = 022;
    char line[128];
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "Umask:", 6) == 0)
            mask = (unsigned)strtoul(line + 6, NULL, 8) & 0777;
    if (f != NULL)
        (void)fclose(f);
    return (mode_t)(0666 & ~mask);
}

/* Directory that holds `path`; owned by the caller. */
static int directory_of(const char *path, char **ret, struct plat_err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL   ? strdup(".")
                : slash == path ? strdup("/")
                                : strndup(path, (size_t)(slash - path));
    if (dir == NULL)
        return err_nomem(err, "finding the directory of an output");
    *ret = dir;
    return 0;
}

/* "/proc/self/fd/N", by which linkat gives a file without a name one. */
enum { FD_PATH_BYTES = 40 };
static void fd_path(int fd, char ret[FD_PATH_BYTES])
{
    (void)snprintf(ret, FD_PATH_BYTES, "/proc/self/fd/%d", fd);
}

/* A file without a name in the directory of the output. It fails where the filesystem has none or /proc is
 * not there: then a temporary name has to do. */
static bool create_unnamed(struct file_dev *f, const char *dir)
{
    char link[FD_PATH_BYTES];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    fd_path(fd, link);
    if (access(link, F_OK) != 0) {
        (void)close(fd);
        return false;
    }
    f->fd = fd;
    f->unnamed = true;
    return true;
}

/* Makes the file and takes its slot in one step as far as signals can tell: one between them would leave it. */
static int create_temp(struct file_dev *f)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    f->fd = mkostemp(f->temp, O_CLOEXEC);
    int saved_errno = errno;
    if (f->fd >= 0)
        f->slot = slot_take(f->temp);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return f->fd < 0 ? saved_errno : 0;
}

static int create_output(struct file_dev *f, const char *path, struct plat_err *err)
{
    char *dir;
    int rc = directory_of(path, &dir, err);
    if (rc != 0)
        return rc;
    bool unnamed = create_unnamed(f, dir);
    free(dir);
    if (unnamed)
        return 0;
    if (asprintf(&f->temp, "%s.plat-XXXXXX", path) < 0) {
        f->temp = NULL;
        return err_nomem(err, "creating an output");
    }
    int saved_errno = create_temp(f);
    if (saved_errno == 0)
        return 0;
    free(f->temp);
    f->temp = NULL;
    return err_sys(err, saved_errno, "cannot create a file beside it");
}

static int output_stdout(uint64_t size_bytes, struct plat_dev **ret, struct plat_err *err)
{
    struct file_dev *f;
    int rc = file_new("standard output", STDOUT_FILENO, &pipe_ops, &f, err);
    if (rc != 0)
        return rc;
    f->dev.size_bytes = size_bytes;
    f->dev.sequential = true;
    *ret = &f->dev;
    return 0;
}

/* What an output replaces is the file that its name leads to, never a symbolic link: that may be /dev/stdout.
 * Owned by the caller. */
static int output_name(const char *path, char **ret, struct plat_err *err)
{
    struct stat st;
    int rc = 0;
    bool link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    char *name = link ? realpath(path, NULL) : strdup(path);
    if (path[0] == '\0')
        rc = err_set(err, PLAT_EINVALID, "the name of the output is empty");
    else if (name == NULL)
        rc = link ? err_sys(err, errno, "is a symbolic link that leads to no file")
                  : err_nomem(err, "naming an output");
    else if (stat(name, &st) == 0 && !S_ISREG(st.st_mode))
        rc = err_set(err, PLAT_EINVALID, "exists and is not a regular file; an output replaces a file whole");
    if (rc != 0) {
        free(name);
        err_image(err, path);
        return rc;
    }
    *ret = name;
    return 0;
}

int dev_output_open(const char *path, uint64_t size_bytes, struct plat_dev **ret, struct plat_err *err)
{
    if (strcmp(path, "-") == 0)
        return output_stdout(size_bytes, ret, err);
    struct file_dev *f;
    char *name;
    int rc = output_name(path, &name, err);
    if (rc != 0)
        return rc;
    rc = file_new(name, -1, &rw_ops, &f, err);
    free(name);
    if (rc != 0)
        return rc;
    rc = create_output(f, f->name, err);
    if (rc == 0 && (size_bytes > INT64_MAX || ftruncate(f->fd, (off_t)size_bytes) != 0))
        rc = err_sys(err, size_bytes > INT64_MAX ? EFBIG : errno, "cannot make a file of %llu bytes",
                     (unsigned long long)size_bytes);
    if (rc != 0) {
        err_image(err, path);
        file_close(&f->dev);
        return rc;
    }
    f->dev.size_bytes = size_bytes;
    *ret = &f->dev;
    return 0;
}

/* The name is durable only once its directory is. One that may be written but not read cannot be flushed by
 * itself: then its whole filesystem is. */
static int sync_directory(const char *path, int file_fd, struct plat_err *err)
{
    char *dir;
    int rc = directory_of(path, &dir, err);
    if (rc != 0)
        return rc;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    if (fd < 0)
        return syncfs(file_fd) != 0 ? err_sys(err, errno, "cannot flush its filesystem") : 0;
    rc = fsync(fd) != 0 && errno != EINVAL ? err_sys(err, errno, "cannot flush its directory") : 0;
    (void)close(fd);
    return rc;
}

/* linkat never replaces a file, so one that is there is replaced by way of a second name. Signals wait: one
 * between the two steps would leave that name. */
static int link_over(const char *fd_link, const char *name)
{
    enum { TRIES = 1000 };
    int rc = EEXIST;
    char *temp = NULL;
    for (int i = 0; rc == EEXIST && i < TRIES; i++) {
        free(temp);
        if (asprintf(&temp, "%s.plat-%d-%d", name, (int)getpid(), i) < 0)
            return ENOMEM;
        rc = linkat(AT_FDCWD, fd_link, AT_FDCWD, temp, AT_SYMLINK_FOLLOW) != 0 ? errno : 0;
    }
    if (rc == 0 && rename(temp, name) != 0) {
        rc = errno;
        (void)unlink(temp);
    }
    free(temp);
    return rc;
}

/* 0 or an errno. */
static int give_name(const struct file_dev *f)
{
    char link[FD_PATH_BYTES];
    sigset_t all, before;
    if (f->temp != NULL)
        return rename(f->temp, f->name) != 0 ? errno : 0;
    fd_path(f->fd, link);
    if (linkat(AT_FDCWD, link, AT_FDCWD, f->name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != EEXIST)
        return errno;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = link_over(link, f->name);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int dev_output_commit(struct plat_dev *dev, struct plat_err *err)
{
    struct file_dev *f = (struct file_dev *)dev;
    int rc = 0, saved_errno;
    if (dev->ops == &pipe_ops) {
        return pipe_write(dev, dev->size_bytes, "", 0, err);
    }
    if (f->temp == NULL && !f->unnamed)
        return err_set(err, PLAT_EBUG, "%s is not an output", dev->name);
    if (fchmod(f->fd, output_mode(f->name)) != 0 || fsync(f->fd) != 0)
        rc = err_sys(err, errno, "cannot flush");
    else if ((saved_errno = give_name(f)) != 0)
        rc = err_sys(err, saved_errno, "cannot give the finished file its name");
    if (rc == 0) {
        slot_drop(f->slot);
        f->slot = -1;
        free(f->temp);
        f->temp = NULL;
        f->unnamed = false;
        rc = sync_directory(f->name, f->fd, err);
    }
    err_image(rc != 0 ? err : NULL, f->name);
    return rc;
}
