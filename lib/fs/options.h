/* Options of makers (struct make_option_desc): what the drivers' parsers share. */
#ifndef PLAT_LIB_FS_OPTIONS_H
#define PLAT_LIB_FS_OPTIONS_H

#include "lib/fs/driver.h"

/* The option "node": nodes as tree_add_nodes reads them. Who makes the tree puts them in, the maker finds them there. */
#define MAKE_OPTION_NODE_DOC                                                                                \
    "the same as --node, with commas between: dev/console:c:5:1:0600,proc:d:0555; in a recipe also a list " \
    "of "                                                                                                   \
    "texts"

/* Index of the value among the '|'-separated choices of desc->argument; absent (NULL): *ret stays. */
int make_option_choice(const struct make_option_desc *desc, json_t *value, size_t *ret, struct plat_err *err);
/* PLAT_EINVALID, listing what there is, when `extra` (may be NULL) is no object or has a name that no
 * description has. */
int make_options_known(const struct make_option_desc *descs, size_t n, const char *format, json_t *extra,
                       struct plat_err *err);

/* A number from 0 to max; absent: *ret stays. */
int make_option_number(json_t *extra, const char *name, uint64_t max, uint64_t *ret, struct plat_err *err);
/* true or false; absent: *ret stays. */
int make_option_flag(json_t *extra, const char *name, bool *ret, struct plat_err *err);
/* UTF-8 of at most n bytes, the rest zeros; NULL: all zeros. */
int make_option_label(const char *label, const char *format, uint8_t *ret, size_t n, struct plat_err *err);
/* 16 bytes as GUIDs are written; NULL: zeros. */
int make_option_uuid(const char *uuid, uint8_t *ret, struct plat_err *err);

#endif
