/* Archives as images: cpio (newc, what the Linux kernel unpacks as an initramfs) and tar (ustar, with pax
 * headers only where ustar cannot say it). Makers only: plat reads archives as sources (lib/tree) and not as
 * images.
 *
 * Entries come in tree order, each directory before what it holds; the root itself is not stored, so that the
 * mode of a build directory never becomes that of a root filesystem. No hard links, no user names, inode
 * numbers count from 1, compressors get no time stamps: the same tree gives the same bytes. An image larger
 * than the archive is padded with zeros: the Linux kernel unpacks such an initramfs whatever the compression,
 * but some other tools warn about what follows a compressed stream.
 *
 * Options (-O NAME=VALUE, or "options" in a recipe) are compress, level, owner, modes and node: the makers'
 * own descriptions (fs_maker.options, written in options.c) say what each takes. */
#ifndef PLAT_FORMATS_ARCHIVE_ARCHIVE_H
#define PLAT_FORMATS_ARCHIVE_ARCHIVE_H

#include "lib/fs/driver.h"

extern const struct fs_driver cpio_driver;
extern const struct fs_driver tar_driver;

#endif
