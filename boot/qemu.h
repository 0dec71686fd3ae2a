/* QEMU as a child process: finding it and its firmware, its command line, starting it so that it cannot
 * outlive plat.
 *
 * Three processes share one new process group: a guard that leads it, QEMU, and whatever QEMU (or a wrapper
 * script in its place) starts. The guard does nothing but wait for the end of a pipe that only plat holds
 * open; when plat ends in any way, SIGKILL included, the guard kills the group. QEMU also asks the kernel for
 * SIGKILL at the death of its parent, in case the guard is killed first. */
#ifndef PLAT_BOOT_QEMU_H
#define PLAT_BOOT_QEMU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/text.h"

enum { QEMU_MAX_DISKS = 16, QEMU_MAX_ARGS = 128 };
enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };
enum disk_bus { BUS_VIRTIO, BUS_NVME, BUS_AHCI };

struct boot_disk {
    const char *path;
    uint32_t sector_bytes; /* 512 or 4096 */
    bool block_device;
};
struct qemu_machine {
    const char *qemu;      /* executable */
    const char *firmware;  /* code, or code and variables in one */
    const char *variables; /* NULL: in the same file as the code */
    enum disk_bus bus;
    uint64_t memory_bytes;
    bool writable; /* disks keep what the guest writes */
    struct boot_disk disks[QEMU_MAX_DISKS];
    size_t n_disks;
};

/* A command line; zero-initialise, qemu_argv_free. */
struct qemu_argv {
    struct arena arena;
    char *args[QEMU_MAX_ARGS + 1]; /* ends with NULL */
    size_t n;
    bool failed; /* out of memory or too many */
};

/* Files and programs: PLAT_ENOTFOUND names the Debian package to install. `given` NULL: look in the usual
 * places. */
int qemu_find(const char *given, struct arena *arena, const char **ret, struct plat_err *err);
int firmware_find(const char *given, struct arena *arena, const char **ret_code, const char **ret_variables,
                  struct plat_err *err);

/* ACCEL_AUTO: let QEMU choose (for people to read). serial_fd, qmp_fd: sockets that QEMU inherits; -1: the
 * serial line is standard output and there is no QMP. */
void qemu_command_line(const struct qemu_machine *machine, enum accel accel, int serial_fd, int qmp_fd,
                       struct qemu_argv *ret);
void qemu_argv_free(struct qemu_argv *argv);
/* As a line for a shell. Appends to *ret. */
void qemu_argv_quote(const struct qemu_argv *argv, struct strbuf *ret);

struct qemu_child {
    pid_t pid, guard;
    int serial, qmp, output; /* sockets; pipe with QEMU's own messages */
    int pidfd;               /* readable when QEMU has ended */
    int leash;               /* the pipe that the guard watches */
};
int qemu_start(const struct qemu_machine *machine, enum accel accel, struct qemu_child *ret,
               struct plat_err *err);
/* Kills the group if it still runs, waits for it, closes everything. Returns QEMU's wait status. */
int qemu_stop(struct qemu_child *child);

#endif
