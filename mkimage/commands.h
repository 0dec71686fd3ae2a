/* The commands that write images; plat.c lists them. */
#ifndef PLAT_MKIMAGE_COMMANDS_H
#define PLAT_MKIMAGE_COMMANDS_H

#include "lib/cli/cli.h"

extern const struct command command_build;  /* plat build RECIPE -o DISK */
extern const struct command command_mk;     /* plat mk FORMAT SOURCE -o IMAGE */
extern const struct command command_repair; /* plat repair IMAGE */
extern const struct command command_put;    /* plat put IMAGE SOURCE... DEST */
extern const struct command command_rm;     /* plat rm IMAGE PATH... */
extern const struct command command_mkdir;  /* plat mkdir IMAGE PATH... */
extern const struct command command_mv;     /* plat mv IMAGE FROM TO */
extern const struct command command_grow;   /* plat grow IMAGE SIZE */
extern const struct command command_store;  /* plat store put|get|has|delete|ls|compact IMAGE */

#endif
