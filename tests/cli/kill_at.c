/* Preloaded into plat: SIGKILL at the Nth call that changes something on disk (KILL_AT, from 1), before it happens, or
 * with KILL_TORN=1 when half of a write is done. Without KILL_AT counts, and leaves the count in the file KILL_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static long calls;

static int is_now(void)
{
    const char *at = getenv("KILL_AT");
    return ++calls == (at != NULL ? atol(at) : 0);
}

static void maybe_die(void)
{
    if (is_now())
        (void)raise(SIGKILL);
}

typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off_t);
typedef int (*fd_fn)(int);
typedef int (*unlink_fn)(const char *);
typedef int (*linkat_fn)(int, const char *, int, const char *, int);

static ssize_t write_or_die(const char *name, int fd, const void *buf, size_t n, off_t offset)
{
    pwrite_fn real = (pwrite_fn)dlsym(RTLD_NEXT, name);
    if (is_now()) {
        if (getenv("KILL_TORN") != NULL && n > 1)
            (void)real(fd, buf, n / 2, offset);
        (void)raise(SIGKILL);
    }
    return real(fd, buf, n, offset);
}
ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return write_or_die("pwrite", fd, buf, n, offset);
}
ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t offset)
{
    return write_or_die("pwrite64", fd, buf, n, offset);
}
int fsync(int fd)
{
    maybe_die();
    return ((fd_fn)dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd)
{
    maybe_die();
    return ((fd_fn)dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
int unlink(const char *path)
{
    maybe_die();
    return ((unlink_fn)dlsym(RTLD_NEXT, "unlink"))(path);
}
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    maybe_die();
    return ((linkat_fn)dlsym(RTLD_NEXT, "linkat"))(from_dir, from, to_dir, to, flags);
}

__attribute__((destructor)) static void leave_count(void)
{
    const char *path = getenv("KILL_COUNT");
    FILE *f = path != NULL ? fopen(path, "w") : NULL;
    if (f != NULL) {
        (void)fprintf(f, "%ld\n", calls);
        (void)fclose(f);
    }
}
