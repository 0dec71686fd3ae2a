/* Block devices: what every reader and writer of an image goes through.
 *
 * A device is a pointer to a struct whose first member is struct plat_dev. Calls are positional, thread-safe for
 * reads, and whole: read_at fills all n bytes or fails (reading past the end is PLAT_ECORRUPT and says where the
 * image ends). Close with dev_close (NULL is fine). Kinds:
 *   file     an image or a block device, opened read-only or read-write
 *   memory   a growing or fixed buffer
 *   window   a part of another device (a partition); does not own the parent
 *   output   a new file that appears whole or not at all: written without a name in the directory of its target
 *            (or under a temporary one, where the filesystem has no O_TMPFILE), dev_output_commit() = fsync +
 *            link or rename + fsync of the directory; closing without it, or SIGKILL, removes the file.
 *            "-" is standard output: only ascending writes are possible, gaps become zeros, no reads.
 *   overlay  another device with changes that stay in memory: what an image would be like
 *   recorder wraps a device and keeps every write and flush (crash tests)
 *   fault    wraps a device and fails the Nth operation */
#ifndef PLAT_LIB_IO_DEV_H
#define PLAT_LIB_IO_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct plat_dev;
struct plat_dev_ops {
    int (*read_at)(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err);
    /* NULL: read-only. */
    int (*write_at)(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err);
    int (*flush)(struct plat_dev *dev, struct plat_err *err);
    void (*close)(struct plat_dev *dev);
};
struct plat_dev {
    const struct plat_dev_ops *ops;
    uint64_t size_bytes;
    const char *name;     /* for messages: the file's name; lives as long as the device */
    uint64_t base_offset; /* where byte 0 of this device lies in the outermost image (windows) */
    bool sequential;      /* writes must ascend and reads fail: a pipe */
    bool grows;           /* a file that is written: what is written behind its end makes it longer */
};

int dev_open_file(const char *path, bool writable, struct plat_dev **ret, struct plat_err *err);
/* A regular file that is open for reading and writing; takes `fd` over, whatever happens. */
int dev_open_fd(int fd, const char *name, struct plat_dev **ret, struct plat_err *err);
/* Copies nothing: `bytes` must outlive the device. */
int dev_open_const(const void *bytes, size_t n, const char *name, struct plat_dev **ret,
                   struct plat_err *err);
/* A zero-filled, writable buffer of its own. */
int dev_open_memory(uint64_t size_bytes, const char *name, struct plat_dev **ret, struct plat_err *err);
/* Bytes of a memory device; NULL for other kinds. */
uint8_t *dev_memory_bytes(struct plat_dev *dev);
/* `part` must lie within parent, or PLAT_ECORRUPT naming both ends. Writable if the parent is. */
int dev_open_window(struct plat_dev *parent, struct range part, struct plat_dev **ret, struct plat_err *err);

int dev_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *err);
int dev_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *err);
int dev_flush(struct plat_dev *dev, struct plat_err *err);
void dev_close(struct plat_dev *dev);
/* Makes this the only writer: an advisory lock on the whole image file that is below `dev`, held until that file is
 * closed. PLAT_EIO when another process (or another open of the file) holds it. Readers need no lock. Devices
 * without a file have nobody to share with. */
int dev_lock(struct plat_dev *dev, struct plat_err *err);
/* Makes the image file below `dev` this long, durably, if it is not; what is new reads as zeros. PLAT_EUNSUPPORTED for all but regular
 * files that were opened for writing. */
int dev_resize(struct plat_dev *dev, uint64_t size_bytes, struct plat_err *err);
/* Copies n bytes from file descriptor `fd` (at its current offset) to the device; fewer in the file is PLAT_EIO
 * ("changed while it was read"). Uses copy_file_range or large reads; holes in the source stay holes. */
int dev_write_from_fd(struct plat_dev *dev, uint64_t offset, int fd, uint64_t n, struct plat_err *err);
/* The data of one device into another of the same size, which is new (all zeros); holes stay holes, and where the filesystem
 * can, blocks are shared. */
int dev_copy(struct plat_dev *from, struct plat_dev *to, struct plat_err *err);
/* The next range at or after `from` that may hold non-zero bytes (SEEK_DATA); whole rest where unknown. */
bool dev_next_data(struct plat_dev *dev, uint64_t from, struct range *ret);
/* The first byte of `part` that is not zero, if there is one; holes are not read. */
int dev_find_nonzero(struct plat_dev *dev, struct range part, bool *ret_found, uint64_t *ret_at,
                     struct plat_err *err);

/* New output. The size is fixed at once (sparse). path "-" writes to standard output; a symbolic link stays, and the
 * file that it leads to is replaced. */
int dev_output_open(const char *path, uint64_t size_bytes, struct plat_dev **ret, struct plat_err *err);
/* Makes it appear; the device stays open for reading (PLAT_EIO: nothing appeared). For "-": pads to size, flushes. */
int dev_output_commit(struct plat_dev *dev, struct plat_err *err);
/* Removes temporary outputs of this process that are not committed; async-signal-safe: call it in a handler. */
void dev_output_abandon_all(void);

/* Overlay: looks like `inner` (not owned, never written) with what was written here; PLAT_ELIMIT beyond 256 MiB of it.
 */
int dev_open_overlay(struct plat_dev *inner, struct plat_dev **ret, struct plat_err *err);

/* What an overlay changes, ascending, in pieces of at most DEV_CHANGE_BYTES; `old` and `new` differ in the first and the
 * last byte. A non-zero return stops and is returned. */
enum { DEV_CHANGE_BYTES = 512 };
struct dev_change {
    uint64_t offset;
    size_t n;
    const uint8_t *old, *new;
};
typedef int (*dev_change_fn)(void *ctx, const struct dev_change *change, struct plat_err *err);
int dev_overlay_changes(struct plat_dev *overlay, dev_change_fn fn, void *ctx, struct plat_err *err);

/* Recorder: keeps writes to `inner` (not owned) in order, with flush marks. */
struct dev_event {
    bool flush;
    uint64_t offset;
    size_t n;
    uint8_t *bytes; /* owned by the recorder */
};
int dev_open_recorder(struct plat_dev *inner, struct plat_dev **ret, struct plat_err *err);
size_t dev_recorder_events(const struct plat_dev *dev, const struct dev_event **ret);
/* Fails operation number `nth` (0 first; counts reads, writes and flushes) with PLAT_EIO, and all later ones. */
int dev_open_fault(struct plat_dev *inner, uint64_t nth, struct plat_dev **ret, struct plat_err *err);
/* The same with a choice of faults. */
struct dev_fault {
    uint64_t nth; /* operations that succeed before */
    bool full;    /* the device is full: writes alone are counted and fail, with ENOSPC; else all, with EIO */
    bool once;    /* what comes behind the fault succeeds */
    uint64_t n_failed; /* counted by the device */
};
/* `fault` must outlive the device. */
int dev_open_fault_like(struct plat_dev *inner, struct dev_fault *fault, struct plat_dev **ret,
                        struct plat_err *err);

#endif
