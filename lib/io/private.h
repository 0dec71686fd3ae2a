/* Private to lib/io. */
#ifndef PLAT_LIB_IO_PRIVATE_H
#define PLAT_LIB_IO_PRIVATE_H

#include "lib/io/dev.h"

/* Parent of a window and where the window starts in it; NULL for other devices. */
struct plat_dev *dev_window_parent(struct plat_dev *dev, uint64_t *ret_start);
/* Of an overlay: what it lies over (NULL: this is none), and the first changed bytes at or after `from`, if any. */
bool dev_overlay_next(struct plat_dev *dev, uint64_t from, struct range *ret, struct plat_dev **ret_inner);
/* Descriptor of a device that is backed by one; -1 otherwise. */
int dev_fd(const struct plat_dev *dev);
/* Whole reads and writes on a descriptor, EINTR and short counts handled. */
int fd_read_at(int fd, uint64_t offset, void *buf, size_t n, const char *name, struct plat_err *err);
int fd_write_at(int fd, uint64_t offset, const void *buf, size_t n, const char *name, struct plat_err *err);
int fd_write(int fd, const void *buf, size_t n, const char *name, struct plat_err *err);

#endif
