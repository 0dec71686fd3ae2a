/* The command line: commands and their options live once, in tables that parse, make --help, and make completion.
 *
 * A command is one const struct command with designated initialisers, declared in its directory's commands.h
 * (inspect/commands.h, mkimage/commands.h, boot/commands.h) and listed in plat.c. Exit codes: EXIT_YES 0;
 * EXIT_NO 1 the answer is no; EXIT_CANNOT 2 it could not be done. run() returns one of them after printing. */
#ifndef PLAT_LIB_CLI_CLI_H
#define PLAT_LIB_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/err.h"
#include "lib/base/progress.h"

enum { EXIT_YES = 0, EXIT_NO = 1, EXIT_CANNOT = 2 };
enum { CLI_MAX_OPTIONS = 40 };

enum option_kind {
    OPTION_FLAG,   /* --json */
    OPTION_TEXT,   /* --label TEXT */
    OPTION_SIZE,   /* --size 64MiB */
    OPTION_NUMBER, /* --timeout 60 */
    OPTION_LIST    /* repeatable text: -D A=1 -D B=2 */
};
enum complete_kind { COMPLETE_FILE, COMPLETE_DIR, COMPLETE_NONE, COMPLETE_FORMAT, COMPLETE_CHOICES };
struct option_desc {
    char letter;      /* 0: none */
    const char *name; /* without -- */
    enum option_kind kind;
    const char *argument; /* "NAME=VALUE"; NULL for flags */
    const char *doc;      /* one line */
    const char *choices;  /* "auto|kvm|tcg": checked and completed; NULL: any */
    enum complete_kind complete;
};
struct cli;
struct cli_help; /* what `more_help` writes to */
struct command {
    const char *name;     /* "verify", "schema" */
    const char *group;    /* "Build", "Inspect", "Files", "Run", "Formats" */
    const char *summary;  /* "check every layer of an image" */
    const char *synopsis; /* "IMAGE" */
    const char *doc;      /* paragraphs for --help, ends with newline */
    const char *examples; /* indented lines, ends with newline; NULL: none */
    const struct option_desc *options;
    size_t n_options;
    /* Sections of --help that are known at run time only, after the options; NULL: none. */
    void (*more_help)(struct cli_help *to);
    size_t min_args, max_args;
    enum complete_kind complete; /* of positional arguments */
    const char *subcommands;     /* "check|doc|export": completed as first argument; NULL: none */
    int (*run)(struct cli *cli);
};

/* What a command's run() sees. */
struct cli {
    const struct command *command;
    const char *const *args; /* positional */
    size_t n_args;
    bool out_tty, err_tty; /* stdout, stderr are terminals */
    bool color;            /* stdout is a terminal, NO_COLOR and TERM=dumb are not set, or --color=always */
    int columns;           /* width of the terminal, 100 when unknown */
    struct cli_value *values; /* private */
};
bool cli_flag(const struct cli *cli, const char *name);
const char *cli_text(const struct cli *cli, const char *name);           /* NULL: not given */
bool cli_number(const struct cli *cli, const char *name, uint64_t *ret); /* false: not given */
size_t cli_list(const struct cli *cli, const char *name, const char *const **ret);
void cli_help_section(struct cli_help *to, const char *heading);
/* "  name    doc", wrapped like an option. */
void cli_help_item(struct cli_help *to, const char *name, const char *doc);
/* Prints "plat verify: disk.img: at offset ...: text" on stderr; returns EXIT_CANNOT. */
int cli_fail(const struct cli *cli, const struct plat_err *err);
/* Usage error: message and the line that names --help; returns EXIT_CANNOT. */
int cli_usage(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Flush stdout; a full disk or closed pipe turns `code` into EXIT_CANNOT (EPIPE is silent). */
int cli_finish(const struct cli *cli, int code);

/* For work that has more to clean up than a signal handler can: between hold and release a deadly signal is noted, once, and
 * ends the process in release, as it would have ended it at once; the same signal a second time does not wait. */
void cli_signals_hold(void);
bool cli_signals_noted(void);
void cli_signals_release(void);

/* Parse, dispatch, report: all that main does. Knows help, --help, --version, completion. */
int cli_main(const struct command *const *commands, size_t n_commands, int argc, char **argv);

/* A progress line on stderr when it is a terminal: phase, percent, rate, time left; at most 10 redraws a second. */
struct cli_progress {
    struct progress progress; /* first: tick gets a pointer to it */
    const struct cli *cli;
    uint64_t started_ns, drawn_ns;
    bool drawn;
};
void cli_progress_init(struct cli_progress *bar, const struct cli *cli, const char *phase,
                       uint64_t total_bytes);
void cli_progress_done(struct cli_progress *bar); /* clears the line */

#endif
