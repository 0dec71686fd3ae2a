/* capOS store: the driver. The store itself is in store.h. */
#ifndef PLAT_FORMATS_CAPOSST1_CAPOSST1_H
#define PLAT_FORMATS_CAPOSST1_CAPOSST1_H

#include "lib/fs/driver.h"

extern const struct fs_driver caposst1_driver;
extern const struct fs_maker caposst1_maker;

#endif
