/* Master Boot Record: the driver. */
#ifndef PLAT_FORMATS_MBR_MBR_H
#define PLAT_FORMATS_MBR_MBR_H

#include "lib/fs/driver.h"

extern const struct fs_driver mbr_driver;

#endif
