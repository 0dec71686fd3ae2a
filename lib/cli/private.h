/* What the files of lib/cli share; nobody else includes this. */
#ifndef PLAT_LIB_CLI_PRIVATE_H
#define PLAT_LIB_CLI_PRIVATE_H

#include "lib/base/nearest.h"
#include "lib/cli/cli.h"

/* One slot per entry of command->options, in the same order. */
struct cli_value {
    bool given;
    const char *text;  /* as typed; the last one when given twice */
    uint64_t number;   /* OPTION_SIZE, OPTION_NUMBER */
    const char **list; /* OPTION_LIST: n_list texts, owned */
    size_t n_list;
};

enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* What is on the command line beside the command's own options. */
struct cli_request {
    enum color_when color;
    bool help;
};

/* The options that every command understands, after its own in help and completion. */
extern const struct option_desc cli_common_options[];
extern const size_t n_cli_common_options;

/* "auto|kvm|tcg": the i-th choice as a pointer and length; false past the end. */
bool cli_choice(const char *choices, size_t i, const char **ret, size_t *ret_n);

/* Looks at the environment and both terminals; call again after --color is known. */
void cli_look(struct cli *cli, enum color_when when);

/* Reads argv[0..argc) behind the command's name into *cli. Returns EXIT_YES, or EXIT_CANNOT after printing
 * why. cli_parse_free releases what it allocated, in either case. */
int cli_parse(struct cli *cli, int argc, char **argv, struct cli_request *request);
void cli_parse_free(struct cli *cli);
/* "--color=never" in front of the command: takes `value`, or prints why not and returns EXIT_CANNOT. */
int cli_parse_color(const struct cli *cli, const char *value, enum color_when *ret);

void cli_print_overview(const struct cli *cli, FILE *to, const struct command *const *commands, size_t n);
void cli_print_help(const struct cli *cli, FILE *to, const struct command *command);

/* Prints the completion script for "bash", "zsh" or "fish"; false: no such shell. */
bool cli_print_completion(const char *shell, const struct command *const *commands, size_t n);

/* Installs the handlers for the whole process: see signals.c. */
void cli_signals_install(void);

#endif
