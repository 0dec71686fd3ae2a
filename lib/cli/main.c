/* Finding the command, running it, reporting what went wrong: the whole of main(). */
#include "lib/cli/private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_MAX = 1280 };

struct table {
    const struct command *const *commands;
    size_t n;
};

/* The two commands that need the table itself. They have no run(): cli_main does their work. */
static const struct command command_help = {
    .name = "help",
    .group = "Shell",
    .summary = "explain a command",
    .synopsis = "[COMMAND]",
    .doc = "Prints what a command does, its options and examples. Without COMMAND: the list of commands.\n",
    .max_args = 1,
    .complete = COMPLETE_NONE,
};
static const struct command command_completion = {
    .name = "completion",
    .group = "Shell",
    .summary = "print a completion script for bash, zsh or fish",
    .synopsis = "bash|zsh|fish",
    .doc =
        "Prints a script that completes plat's commands, options and their values. It is made from the same "
        "tables that parse the command line.\n",
    .examples = "  bash: plat completion bash > /usr/share/bash-completion/completions/plat\n"
                "  zsh:  plat completion zsh > /usr/share/zsh/site-functions/_plat\n"
                "  fish: plat completion fish > /usr/share/fish/vendor_completions.d/plat.fish\n",
    .min_args = 1,
    .max_args = 1,
    .complete = COMPLETE_NONE,
    .subcommands = "bash|zsh|fish",
};

/* ---- messages ---- */

static const char *command_name(const struct cli *cli)
{
    return cli->command != NULL ? cli->command->name : NULL;
}

int cli_fail(const struct cli *cli, const struct plat_err *err)
{
    char text[MESSAGE_MAX];
    const char *name = command_name(cli);
    (void)fflush(stdout); /* what was printed before comes before the message */
    err_format(err, text, sizeof text);
    (void)fprintf(stderr, "plat%s%s: %s\n", name != NULL ? " " : "", name != NULL ? name : "", text);
    return EXIT_CANNOT;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
    const char *name = command_name(cli);
    va_list ap;
    (void)fflush(stdout);
    (void)fprintf(stderr, "plat%s%s: ", name != NULL ? " " : "", name != NULL ? name : "");
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "\nTry `plat%s%s --help`.\n", name != NULL ? " " : "", name != NULL ? name : "");
    return EXIT_CANNOT;
}

/* The reader of stdout is gone. errno may be lost by the time anybody asks, but the pipe itself knows. */
static bool reader_left(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return errno == EPIPE || (poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0);
}

int cli_finish(const struct cli *cli, int code)
{
    errno = 0;
    bool failed = ferror(stdout) != 0;
    if (fflush(stdout) != 0)
        failed = true;
    if (!failed)
        return code;
    int saved = errno;
    if (!reader_left()) {
        const char *name = command_name(cli);
        (void)fprintf(stderr, "plat%s%s: cannot write to standard output%s%s\n", name != NULL ? " " : "",
                      name != NULL ? name : "", saved != 0 ? ": " : "", saved != 0 ? strerror(saved) : "");
    }
    return EXIT_CANNOT;
}

/* ---- dispatch ---- */

static const struct command *find(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->n; i++)
        if (strcmp(table->commands[i]->name, name) == 0)
            return table->commands[i];
    return NULL;
}

static int unknown_command(const struct cli *cli, const struct table *table, const char *name)
{
    const char **names = calloc(table->n + 1, sizeof *names);
    const char *near = NULL;
    for (size_t i = 0; names != NULL && i < table->n; i++)
        names[i] = table->commands[i]->name;
    if (names != NULL)
        near = nearest_name(name, names, table->n);
    free(names);
    if (near != NULL)
        return cli_usage(cli, "no command \"%s\"; did you mean `plat %s`?", name, near);
    return cli_usage(cli, "no command \"%s\"", name);
}

static int run_help(const struct cli *cli, const struct table *table)
{
    if (cli->n_args == 0) {
        cli_print_overview(cli, stdout, table->commands, table->n);
        return EXIT_YES;
    }
    const struct command *command = find(table, cli->args[0]);
    if (command == NULL)
        return unknown_command(cli, table, cli->args[0]);
    cli_print_help(cli, stdout, command);
    return EXIT_YES;
}

static int run_completion(const struct cli *cli, const struct table *table)
{
    if (cli_print_completion(cli->args[0], table->commands, table->n))
        return EXIT_YES;
    return cli_usage(cli, "expected bash, zsh or fish, not \"%s\"", cli->args[0]);
}

static int run_command(struct cli *cli, const struct table *table, int argc, char **argv,
                       enum color_when color)
{
    struct cli_request request = {.color = color};
    int code = cli_parse(cli, argc, argv, &request);
    if (code == EXIT_YES) {
        cli_look(cli, request.color);
        if (request.help)
            cli_print_help(cli, stdout, cli->command);
        else if (cli->command == &command_help)
            code = run_help(cli, table);
        else if (cli->command == &command_completion)
            code = run_completion(cli, table);
        else
            code = cli->command->run(cli);
        if (code != EXIT_CANNOT)
            code = cli_finish(cli, code);
    }
    cli_parse_free(cli);
    return code;
}

static int top(struct cli *cli, const struct table *table, int argc, char **argv)
{
    enum color_when color = COLOR_AUTO;
    int at = 1;
    cli_look(cli, color);
    for (; at < argc && argv[at][0] == '-'; at++) {
        const char *word = argv[at];
        int code = EXIT_YES;
        if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
            (void)printf("plat %s\n", PLAT_VERSION);
            return cli_finish(cli, EXIT_YES);
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            cli_print_overview(cli, stdout, table->commands, table->n);
            return cli_finish(cli, EXIT_YES);
        } else if (strncmp(word, "--color=", 8) == 0) {
            code = cli_parse_color(cli, word + 8, &color);
        } else if (strcmp(word, "--color") == 0 && at + 1 < argc) {
            code = cli_parse_color(cli, argv[++at], &color);
        } else {
            code = cli_usage(cli, "unknown option %s; options of a command come behind its name", word);
        }
        if (code != EXIT_YES)
            return code;
        cli_look(cli, color);
    }
    if (at >= argc) {
        cli_print_overview(cli, stderr, table->commands, table->n);
        return EXIT_CANNOT;
    }
    const struct command *command = find(table, argv[at]);
    if (command == NULL)
        return unknown_command(cli, table, argv[at]);
    cli->command = command;
    return run_command(cli, table, argc - at - 1, argv + at + 1, color);
}

/* Without this the first file that is opened takes the place of a stream that the caller closed, and what is meant
 * for that stream is written into an image. Reading and writing these fails as on a closed stream. */
static void hold_closed_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/", O_PATH); /* gets the lowest free number, which is this one */
}

int cli_main(const struct command *const *commands, size_t n_commands, int argc, char **argv)
{
    struct cli cli = {0};
    hold_closed_streams();
    const struct command **all = calloc(n_commands + 2, sizeof(const struct command *));
    if (all == NULL)
        return cli_usage(&cli, "out of memory");
    for (size_t i = 0; i < n_commands; i++)
        all[i] = commands[i];
    all[n_commands] = &command_help;
    all[n_commands + 1] = &command_completion;
    struct table table = {.commands = all, .n = n_commands + 2};
    cli_signals_install();
    int code = top(&cli, &table, argc, argv);
    free(all);
    return code;
}
