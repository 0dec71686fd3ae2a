/* GUID Partition Table: the driver. */
#ifndef PLAT_FORMATS_GPT_GPT_H
#define PLAT_FORMATS_GPT_GPT_H

#include "lib/fs/driver.h"

extern const struct fs_driver gpt_driver;

#endif
