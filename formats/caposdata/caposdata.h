/* capos-data: a store (CAPOSST1) and a writable filesystem (CAPOSWF1) on one device.
 *
 *   block 0, 1      superblocks of the store          (published)
 *   block 2         zeros
 *   block 256, 257  superblocks of the filesystem     (published)
 *   block 258       front and shadow area of the store
 *   block Y         the filesystem, to the end of the image: there it can grow
 *
 * No format of its own: it is made here, by the makers of the two, and read by their drivers as two layers ("store" and
 * "fs"). */
#ifndef PLAT_FORMATS_CAPOSDATA_CAPOSDATA_H
#define PLAT_FORMATS_CAPOSDATA_CAPOSDATA_H

#include "lib/fs/driver.h"

extern const struct fs_driver capos_data_driver;

#endif
