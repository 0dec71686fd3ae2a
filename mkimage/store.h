/* What the two files of `plat store` share. */
#ifndef PLAT_MKIMAGE_STORE_H
#define PLAT_MKIMAGE_STORE_H

#include "formats/caposst1/store.h"
#include "lib/cli/cli.h"

/* put: everything that the command line names, in one commit. */
int store_put_files(const struct cli *cli, struct store *store, struct plat_err *err);

#endif
