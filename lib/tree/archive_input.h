/* The file behind tree_add_archive and tree_add_manifest: opening it, finding out what it is, feeding libarchive. */
#ifndef PLAT_LIB_TREE_ARCHIVE_INPUT_H
#define PLAT_LIB_TREE_ARCHIVE_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/tree/manifest.h"

struct archive; /* libarchive's */

enum archive_expected { EXPECT_ARCHIVE, EXPECT_MANIFEST, EXPECT_EITHER };

/* Pipes are read once, front to back, where tar, cpio or a manifest comes through them; what has a directory at its end is
 * copied to a temporary file first. */
struct archive_input {
    int fd;
    uint64_t offset; /* of the next byte to hand out */
    uint8_t *block;
    bool stream;   /* fd cannot seek; its first bytes are in head */
    uint8_t *head; /* HEAD_BYTES */
    size_t head_bytes;
    bool head_alone;              /* for now, nothing behind head exists */
    bool names_are_bytes;         /* tar, cpio: member names have no encoding to convert from */
    struct manifest_words *words; /* what a manifest goes through; NULL: it is an archive */
    struct plat_err fault; /* of class 0: reading went well. libarchive takes some faults for the end */
    bool named_manifest;   /* that it is one was said, not found out */
};
/* "-" is standard input. Reads the first header to learn the format; PLAT_ECORRUPT when there is none. A manifest is told by
 * its name (.mtree) or by its first line (#mtree). */
int archive_input_open(struct archive_input *ret, const char *host_path, enum archive_expected expected,
                       const char *spool_dir, struct plat_err *err);
/* A reader at the archive's beginning; the input must stay where it is and outlive it. */
int archive_input_start(struct archive_input *input, struct archive **ret, struct plat_err *err);
/* Reads a pipe to its end, for whoever writes into it. */
void archive_input_drain(struct archive_input *input);
void archive_input_close(struct archive_input *input);
/* libarchive's words for what went wrong. */
int tree_archive_fault(struct archive *a, int class, struct plat_err *err);

#endif
