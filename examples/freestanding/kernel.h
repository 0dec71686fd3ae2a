/* A kernel in small: a program without a C library that carries plat's sources and prints a file of an image.
 *
 *     start.c      _start, four system calls, and the image as a block device
 *     memory.c     memcpy, memmove, memset, memcmp: all that the carried sources ask for
 *     sha256.c     what a store's keys are compared with
 *     FORMAT.c     kernel_cat: opens an image and prints a file, with memory of its own
 *
 * `make freestanding` builds $B/freestanding/FORMAT from it. */
#ifndef PLAT_EXAMPLES_FREESTANDING_KERNEL_H
#define PLAT_EXAMPLES_FREESTANDING_KERNEL_H

#include "lib/io/dev.h"

/* Provided by FORMAT.c. */
int kernel_cat(struct plat_dev *dev, const char *path, struct plat_err *err);

/* Standard output; all of it, or PLAT_EIO. */
int kernel_print(const void *bytes, size_t n, struct plat_err *err);

enum { KERNEL_SHA256_BYTES = 32 };
struct kernel_sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64];
};
void kernel_sha256_begin(struct kernel_sha256 *sum);
void kernel_sha256_add(struct kernel_sha256 *sum, const uint8_t *bytes, size_t n);
void kernel_sha256_end(struct kernel_sha256 *sum, uint8_t ret[KERNEL_SHA256_BYTES]);

#endif
