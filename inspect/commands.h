/* The commands that look at images, and those that change single fields. Each lives in the file of its name. */
#ifndef PLAT_INSPECT_COMMANDS_H
#define PLAT_INSPECT_COMMANDS_H

#include "lib/cli/cli.h"

extern const struct command command_verify;
extern const struct command command_dump;
extern const struct command command_hex;
extern const struct command command_map;
extern const struct command command_diff;
extern const struct command command_golden;
extern const struct command command_get;
extern const struct command command_set;
extern const struct command command_seal;
extern const struct command command_assemble;
extern const struct command command_mutate;
extern const struct command command_ls;
extern const struct command command_cat;
extern const struct command command_extract;
extern const struct command command_formats;
extern const struct command command_schema;

#endif
