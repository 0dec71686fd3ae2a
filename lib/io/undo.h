/* Changing an image in place so that a power cut leaves the old bytes, the new ones, or a file that brings the old
 * ones back.
 *
 *   undo_write    what an overlay changes goes into the undo file, old bytes and new: whole and flushed, or not there
 *   undo_apply    the changes go into the image, which is flushed
 *   undo_remove   the undo file goes away, durably
 *   undo_restore  after a power cut: the old bytes go back into the image, which is flushed
 *
 * The undo file is text, and says what it is:
 *
 *   plat-undo 1
 *   image 36700160
 *   0x238 16 OLD NEW          an offset, a length, and the bytes in hexadecimal
 *   end 1 0x89abcdef          how many lines, and the CRC-32C of all before this one
 *
 * It appears under its name complete or not at all, so a file that is not whole is not one that a cut left. */
#ifndef PLAT_LIB_IO_UNDO_H
#define PLAT_LIB_IO_UNDO_H

#include "lib/io/dev.h"

/* Is there one? */
bool undo_exists(const char *path);
int undo_write(const char *path, struct plat_dev *overlay, struct plat_err *err);
/* `overlay` lies over `image`. */
int undo_apply(struct plat_dev *overlay, struct plat_dev *image, struct plat_err *err);
int undo_remove(const char *path, struct plat_err *err);

struct undo_state {
    uint64_t changes, bytes;
    bool is_old; /* nothing of the change is in the image */
    bool is_new; /* all of it is */
};
/* Compares. PLAT_ECORRUPT when the file is not whole, is of an image of another size, or the image holds bytes that are
 * neither old nor new: it was changed since. */
int undo_read(const char *path, struct plat_dev *image, struct undo_state *ret, struct plat_err *err);
/* After undo_read. */
int undo_restore(const char *path, struct plat_dev *image, struct plat_err *err);

#endif
