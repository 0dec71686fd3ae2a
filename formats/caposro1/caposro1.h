/* CAPOSRO1, the read-only filesystem of capOS: flat, uncompressed, two reads a file. Layout: schemas/caposro1.json. */
#ifndef PLAT_FORMATS_CAPOSRO1_CAPOSRO1_H
#define PLAT_FORMATS_CAPOSRO1_CAPOSRO1_H

#include "lib/fs/driver.h"

extern const struct fs_driver caposro1_driver;
extern const struct fs_maker caposro1_maker;

#endif
