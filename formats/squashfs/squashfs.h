/* SquashFS 4.0: compressed read-only images, as Linux mounts them. Layout: schemas/squashfs.json. */
#ifndef PLAT_FORMATS_SQUASHFS_SQUASHFS_H
#define PLAT_FORMATS_SQUASHFS_SQUASHFS_H

#include "lib/fs/driver.h"

extern const struct fs_driver squashfs_driver;

#endif
