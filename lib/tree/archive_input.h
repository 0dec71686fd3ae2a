/* The archive file behind tree_add_archive: opening it, finding out what it is, feeding libarchive. */
#ifndef PLAT_LIB_TREE_ARCHIVE_INPUT_H
#define PLAT_LIB_TREE_ARCHIVE_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

struct archive; /* libarchive's */

struct archive_input {
    int fd;          /* a regular file: what cannot seek is copied to a temporary file first */
    uint64_t offset; /* of the next byte to hand out */
    uint8_t *block;
    bool names_are_bytes; /* tar, cpio: member names have no encoding to convert from */
};
/* "-" is standard input. Reads the first header to learn the format; PLAT_ECORRUPT when there is none. */
int archive_input_open(struct archive_input *ret, const char *host_path, const char *spool_dir,
                       struct plat_err *err);
/* A reader at the archive's beginning; the input must stay where it is and outlive it. */
int archive_input_start(struct archive_input *input, struct archive **ret, struct plat_err *err);
void archive_input_close(struct archive_input *input);
/* libarchive's words for what went wrong. */
int tree_archive_fault(struct archive *a, int class, struct plat_err *err);

#endif
