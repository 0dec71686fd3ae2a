/* Ascending writes to a device through one buffer: many small pieces, few system calls. For makers. */
#ifndef PLAT_LIB_FS_OUT_H
#define PLAT_LIB_FS_OUT_H

#include "lib/base/progress.h"
#include "lib/io/dev.h"
#include "lib/tree/ahead.h"

enum { FS_OUT_BYTES = 1 << 20 };

struct fs_out {
    struct plat_dev *dev;      /* zero-filled: what is skipped need not be written */
    struct progress *progress; /* may be NULL */
    struct tree_ahead *ahead;  /* NULL: files are read when they are written */
    uint8_t *buffer;           /* FS_OUT_BYTES */
    uint64_t start;            /* where buffer[0] goes */
    size_t used;
};
int fs_out_open(struct fs_out *out, struct plat_dev *dev, struct progress *progress, struct plat_err *err);
void fs_out_close(struct fs_out *out); /* does not flush */
/* Room for n bytes (at most FS_OUT_BYTES) at `offset`, which is not before what was taken last. The bytes
 * are not zeroed; they are written with the next flush, so they must be filled before the next call. */
int fs_out_take(struct fs_out *out, uint64_t offset, size_t n, uint8_t **ret, struct plat_err *err);
int fs_out_flush(struct fs_out *out, struct plat_err *err);
/* The content of a file, or the target of a symbolic link, at `offset`. Where ret_crc32c is not NULL it gets the
 * CRC-32C of what was written; without it large files are copied by the kernel. The error names the node. */
int fs_out_content(struct fs_out *out, uint64_t offset, struct tree *tree, const struct tree_node *node,
                   uint32_t *ret_crc32c, struct plat_err *err);

#endif
