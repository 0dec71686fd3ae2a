/* FORMAT IMAGE PATH: prints a file of an image. Exit 0, or 2 with a message. */
#include "examples/freestanding/kernel.h"

/* ---- the machine: Linux's system calls, in place of a driver for a disk ---- */

#if defined(__x86_64__)
enum { SYS_WRITE = 1, SYS_LSEEK = 8, SYS_PREAD = 17, SYS_EXIT = 60, SYS_OPENAT = 257 };
static long system_call(long number, long a, long b, long c, long d)
{
    long ret;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return ret;
}
/* The stack holds argc and argv, and is aligned as a call expects it. */
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call kernel_main\n hlt\n");
#elif defined(__aarch64__)
enum { SYS_OPENAT = 56, SYS_LSEEK = 62, SYS_WRITE = 64, SYS_PREAD = 67, SYS_EXIT = 93 };
static long system_call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
__asm__(".globl _start\n_start: mov x0, sp\n bl kernel_main\n");
#else
/* cppcheck-suppress preprocessorErrorDirective */
#error "start.c has system calls for x86-64 and aarch64; add those of this machine"
#endif

enum { AT_FDCWD = -100, SEEK_END = 2, OUT = 1, ERR = 2 };

static long write_all(int fd, const char *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        const long got = system_call(SYS_WRITE, fd, (long)(bytes + done), (long)(n - done), 0);
        if (got <= 0)
            return -1;
        done += (size_t)got;
    }
    return 0;
}

int kernel_print(const void *bytes, size_t n, struct plat_err *err)
{
    return write_all(OUT, bytes, n) == 0 ? 0 : err_set(err, PLAT_EIO, "standard output takes no more");
}

/* ---- the image ---- */

struct disk {
    struct plat_dev dev;
    int fd;
};

static int disk_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err)
{
    const struct disk *disk = (const struct disk *)(void *)dev; /* dev is its first member */
    for (size_t done = 0; done < n;) {
        const long got = system_call(SYS_PREAD, disk->fd, (long)((char *)buf + done), (long)(n - done),
                                     (long)(offset + done));
        if (got <= 0)
            return err_at(err, PLAT_EIO, offset + done, NULL, "%s cannot be read", dev->name);
        done += (size_t)got;
    }
    return 0;
}

static const struct plat_dev_ops disk_ops = {.read_at = disk_read};

static int disk_open(const char *name, struct disk *ret, struct plat_err *err)
{
    const long fd = system_call(SYS_OPENAT, AT_FDCWD, (long)name, 0, 0);
    const long size = fd < 0 ? -1 : system_call(SYS_LSEEK, fd, 0, SEEK_END, 0);
    if (size < 0)
        return err_set(err, PLAT_EIO, "%s cannot be opened", name);
    *ret =
        (struct disk){.dev = {.ops = &disk_ops, .size_bytes = (uint64_t)size, .name = name}, .fd = (int)fd};
    return 0;
}

/* ---- */

static void say(const char *text)
{
    size_t n = 0;
    while (text[n] != '\0')
        n++;
    (void)write_all(ERR, text, n);
}

void kernel_main(const long *stack);
void kernel_main(const long *stack)
{
    const char *const *argv = (const char *const *)(const void *)(stack + 1);
    static struct disk disk;
    static struct plat_err err;
    int rc = stack[0] == 3 ? disk_open(argv[1], &disk, &err)
                           : err_set(&err, PLAT_EINVALID, "expected an image and the path of a file in it");
    if (rc == 0)
        rc = kernel_cat(&disk.dev, argv[2], &err);
    if (rc != 0) {
        say(err.text);
        say("\n");
    }
    for (;;)
        (void)system_call(SYS_EXIT, rc == 0 ? 0 : 2, 0, 0, 0);
}
