/* plat: the front door. The table of commands, nothing else. */
#include "boot/commands.h"
#include "inspect/commands.h"
#include "lib/cli/cli.h"
#include "mkimage/commands.h"

static const struct command *const commands[] = {
    &command_build,   &command_mk, /* Build */
    &command_verify,  &command_repair, &command_dump,     &command_hex, &command_map,
    &command_get,     &command_diff,   &command_golden,                                /* Inspect */
    &command_set,     &command_seal,   &command_assemble,                              /* Inspect */
    &command_mutate,                                                                   /* Inspect */
    &command_ls,      &command_cat,    &command_extract,                               /* Files */
    &command_put,     &command_rm,     &command_mkdir,    &command_mv,  &command_grow, /* Files */
    &command_store,                                                                    /* Files */
    &command_boot,                                                                     /* Run */
    &command_formats, &command_schema,                                                 /* Formats */
};

int main(int argc, char **argv)
{
    return cli_main(commands, sizeof commands / sizeof commands[0], argc, argv);
}
