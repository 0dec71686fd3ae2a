/* CAPOSWF1: a filesystem that is written in place and survives power cuts. */
#ifndef PLAT_FORMATS_CAPOSWF1_CAPOSWF1_H
#define PLAT_FORMATS_CAPOSWF1_CAPOSWF1_H

#include "lib/fs/driver.h"

extern const struct fs_driver caposwf1_driver;
extern const struct fs_maker caposwf1_maker;

#endif
