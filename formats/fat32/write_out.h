/* Ascending writes to a device through one buffer: many small pieces, few system calls. */
#ifndef PLAT_FORMATS_FAT32_WRITE_OUT_H
#define PLAT_FORMATS_FAT32_WRITE_OUT_H

#include "formats/fat32/plan.h"
#include "lib/tree/ahead.h"

enum { FAT32_OUT_BYTES = 1 << 20 };

struct fat32_out {
    struct plat_dev *dev;      /* zero-filled: what is skipped need not be written */
    struct progress *progress; /* may be NULL */
    struct tree_ahead *ahead;  /* NULL: files are read when they are written */
    uint8_t *buffer;           /* FAT32_OUT_BYTES */
    uint64_t start;            /* where buffer[0] goes */
    size_t used;
};
int fat32_out_open(struct fat32_out *out, struct plat_dev *dev, struct progress *progress,
                   struct plat_err *err);
void fat32_out_close(struct fat32_out *out); /* does not flush */
/* Room for n bytes (at most FAT32_OUT_BYTES) at `offset`, which is not before what was taken last. The bytes
 * are not zeroed; they are written with the next flush, so they must be filled before the next call. */
int fat32_out_take(struct fat32_out *out, uint64_t offset, size_t n, uint8_t **ret, struct plat_err *err);
int fat32_out_flush(struct fat32_out *out, struct plat_err *err);
/* The content of a file, at `offset`. */
int fat32_out_file(struct fat32_out *out, uint64_t offset, struct tree *tree, const struct tree_node *node,
                   struct plat_err *err);

/* write_dir.c: all entries of one directory. */
int fat32_write_directory(struct fat32_out *out, const struct make_plan *plan, uint32_t index,
                          struct plat_err *err);

#endif
