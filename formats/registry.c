/* Every format that plat knows: the one place that names them all. Where two drivers are equally sure of an
 * image, the first one listed takes it, so the more specific comes first. */
#include "lib/fs/driver.h"

#include "formats/archive/archive.h"
#include "formats/caposdata/caposdata.h"
#include "formats/caposro1/caposro1.h"
#include "formats/caposst1/caposst1.h"
#include "formats/caposwf1/caposwf1.h"
#include "formats/fat32/fat32.h"
#include "formats/gpt/gpt.h"
#include "formats/mbr/mbr.h"
#include "formats/squashfs/squashfs.h"

const struct fs_driver *const fs_drivers[] = {
    &gpt_driver,      &caposro1_driver, &caposst1_driver, &caposwf1_driver, &capos_data_driver,
    &squashfs_driver, &fat32_driver,    &mbr_driver,      &cpio_driver,     &tar_driver,
};
const size_t n_fs_drivers = sizeof fs_drivers / sizeof fs_drivers[0];
