/* Options of makers (struct make_option_desc): what the drivers' parsers share. */
#ifndef PLAT_LIB_FS_OPTIONS_H
#define PLAT_LIB_FS_OPTIONS_H

#include "lib/fs/driver.h"

/* Index of the value among the '|'-separated choices of desc->argument; absent (NULL): *ret stays. */
int make_option_choice(const struct make_option_desc *desc, json_t *value, size_t *ret, struct plat_err *err);
/* PLAT_EINVALID, listing what there is, when `extra` (may be NULL) is no object or has a name that no
 * description has. */
int make_options_known(const struct make_option_desc *descs, size_t n, const char *format, json_t *extra,
                       struct plat_err *err);

#endif
