/* The commands of this directory, for the table in plat.c. */
#ifndef PLAT_BOOT_COMMANDS_H
#define PLAT_BOOT_COMMANDS_H

#include "lib/cli/cli.h"

extern const struct command command_boot; /* plat boot IMAGE */

#endif
