/* Reading the command line against the option table, and the accessors that commands read it with.
 *
 * --name=value, --name value, -nvalue, -n value; short flags bundle (-vq); options may follow positional
 * arguments;
 * "--" ends options; "-" alone is a positional argument. A value given twice: the last one counts. */
#include "lib/cli/private.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/text.h"

enum { COLUMNS_UNKNOWN = 100, COLUMNS_MIN = 20, COLUMNS_MAX = 1000, OPTION_NAME_MAX = 64 };

const struct option_desc cli_common_options[] = {
    {.name = "color",
     .kind = OPTION_TEXT,
     .argument = "WHEN",
     .doc = "colour the output: auto (on a terminal, the default), always or never; NO_COLOR in the "
            "environment is "
            "understood",
     .choices = "auto|always|never",
     .complete = COMPLETE_CHOICES},
    {.letter = 'h', .name = "help", .kind = OPTION_FLAG, .doc = "show this help"},
};
const size_t n_cli_common_options = sizeof cli_common_options / sizeof *cli_common_options;

bool cli_choice(const char *choices, size_t i, const char **ret, size_t *ret_n)
{
    const char *at = choices;
    for (; at != NULL && i > 0; i--) {
        at = strchr(at, '|');
        if (at != NULL)
            at++;
    }
    if (at == NULL)
        return false;
    *ret = at;
    *ret_n = strcspn(at, "|");
    return true;
}

void cli_look(struct cli *cli, enum color_when when)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    cli->out_tty = isatty(STDOUT_FILENO) == 1;
    cli->err_tty = isatty(STDERR_FILENO) == 1;
    cli->color = cli->out_tty && (no_color == NULL || *no_color == '\0') &&
                 !(term != NULL && strcmp(term, "dumb") == 0);
    if (when != COLOR_AUTO)
        cli->color = when == COLOR_ALWAYS;
    cli->columns = COLUMNS_UNKNOWN;
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    uint64_t n = 0;
    if ((cli->out_tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) ||
        (cli->err_tty && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0))
        n = size.ws_col;
    else if (columns == NULL || parse_u64(columns, &n, NULL) != 0)
        n = 0;
    if (n >= COLUMNS_MIN && n <= COLUMNS_MAX)
        cli->columns = (int)n;
}

/* ---- accessors ---- */

static const struct cli_value *value_of(const struct cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->command->n_options; i++)
        if (strcmp(cli->command->options[i].name, name) == 0)
            return &cli->values[i];
    assert(!"the command reads an option that its table does not declare");
    abort();
}

bool cli_flag(const struct cli *cli, const char *name)
{
    return value_of(cli, name)->given;
}

const char *cli_text(const struct cli *cli, const char *name)
{
    return value_of(cli, name)->text;
}

bool cli_number(const struct cli *cli, const char *name, uint64_t *ret)
{
    const struct cli_value *value = value_of(cli, name);
    if (value->given)
        *ret = value->number;
    return value->given;
}

size_t cli_list(const struct cli *cli, const char *name, const char *const **ret)
{
    const struct cli_value *value = value_of(cli, name);
    *ret = (const char *const *)value->list;
    return value->n_list;
}

/* ---- parser ---- */

struct parser {
    struct cli *cli;
    struct cli_request *request;
    const char **args; /* room for every word */
    int argc;
    char **argv;
    int next; /* index of the word to read next */
};

static bool has_choice(const char *choices, const char *text)
{
    const char *choice;
    size_t n;
    for (size_t i = 0; cli_choice(choices, i, &choice, &n); i++)
        if (strlen(text) == n && memcmp(text, choice, n) == 0)
            return true;
    return false;
}

static int list_add(const struct cli *cli, struct cli_value *value, const char *text)
{
    /* Powers of two: grow when the count is one. */
    if ((value->n_list & (value->n_list - 1)) == 0) {
        const char **grown =
            reallocarray(value->list, value->n_list == 0 ? 1 : value->n_list * 2, sizeof *grown);
        if (grown == NULL)
            return cli_usage(cli, "out of memory while reading the command line");
        value->list = grown;
    }
    value->list[value->n_list++] = text;
    return EXIT_YES;
}

static int store(struct parser *parser, const struct option_desc *option, const char *text)
{
    const struct cli *cli = parser->cli;
    struct plat_err err = {0};
    struct cli_value *value = &parser->cli->values[option - cli->command->options];
    if (text != NULL && option->choices != NULL && !has_choice(option->choices, text))
        return cli_usage(cli, "--%s must be one of %s, not \"%s\"", option->name, option->choices, text);
    int r = 0;
    uint64_t number = 0;
    if (option->kind == OPTION_SIZE)
        r = parse_size(text, &number, &err);
    else if (option->kind == OPTION_NUMBER)
        r = parse_u64(text, &number, &err);
    if (r != 0)
        return cli_usage(cli, "--%s: %s", option->name, err.text);
    value->given = true;
    value->number = number;
    if (option->kind == OPTION_LIST)
        return list_add(cli, value, text);
    value->text = text;
    return EXIT_YES;
}

int cli_parse_color(const struct cli *cli, const char *value, enum color_when *ret)
{
    static const char choices[] = "auto|always|never";
    const char *choice;
    size_t n;
    for (size_t i = 0; cli_choice(choices, i, &choice, &n); i++) {
        if (strlen(value) == n && memcmp(value, choice, n) == 0) {
            *ret = (enum color_when)i;
            return EXIT_YES;
        }
    }
    return cli_usage(cli, "--color must be one of %s, not \"%s\"", choices, value);
}

static const struct option_desc *find_long(const struct command *command, const char *name, size_t n)
{
    for (size_t i = 0; i < command->n_options; i++)
        if (strlen(command->options[i].name) == n && memcmp(command->options[i].name, name, n) == 0)
            return &command->options[i];
    for (size_t i = 0; i < n_cli_common_options; i++)
        if (strlen(cli_common_options[i].name) == n && memcmp(cli_common_options[i].name, name, n) == 0)
            return &cli_common_options[i];
    return NULL;
}

static const struct option_desc *find_letter(const struct command *command, char letter)
{
    for (size_t i = 0; i < command->n_options; i++)
        if (command->options[i].letter == letter)
            return &command->options[i];
    return letter == 'h' ? &cli_common_options[n_cli_common_options - 1] : NULL;
}

static int take(struct parser *parser, const struct option_desc *option, const char *text)
{
    const struct command *command = parser->cli->command;
    if (option < command->options || option >= command->options + command->n_options) {
        if (option->kind != OPTION_FLAG)
            return cli_parse_color(parser->cli, text, &parser->request->color);
        parser->request->help = true;
        return EXIT_YES;
    }
    return store(parser, option, text);
}

static int unknown_long(const struct cli *cli, const char *name, size_t n)
{
    const struct command *command = cli->command;
    const char *names[CLI_MAX_OPTIONS + 2];
    size_t n_names = 0;
    char typed[OPTION_NAME_MAX];
    for (size_t i = 0; i < command->n_options && n_names < CLI_MAX_OPTIONS; i++)
        names[n_names++] = command->options[i].name;
    for (size_t i = 0; i < n_cli_common_options; i++)
        names[n_names++] = cli_common_options[i].name;
    (void)snprintf(typed, sizeof typed, "%.*s", (int)(n < sizeof typed ? n : sizeof typed - 1), name);
    const char *near = nearest_name(typed, names, n_names);
    if (near != NULL)
        return cli_usage(cli, "unknown option --%s; did you mean --%s?", typed, near);
    return cli_usage(cli, "unknown option --%s", typed);
}

static int parse_long(struct parser *parser, const char *word)
{
    const char *name = word + 2;
    size_t n = strcspn(name, "=");
    const char *text = name[n] == '=' ? name + n + 1 : NULL;
    const struct option_desc *option = find_long(parser->cli->command, name, n);
    if (option == NULL)
        return unknown_long(parser->cli, name, n);
    if (option->kind == OPTION_FLAG) {
        if (text != NULL)
            return cli_usage(parser->cli, "--%s takes no value, but \"%s\" was given", option->name, text);
    } else if (text == NULL) {
        if (parser->next >= parser->argc)
            return cli_usage(parser->cli, "--%s needs a value: --%s %s", option->name, option->name,
                             option->argument != NULL ? option->argument : "VALUE");
        text = parser->argv[parser->next++];
    }
    return take(parser, option, text);
}

static int parse_short(struct parser *parser, const char *word)
{
    for (const char *at = word + 1; *at != '\0'; at++) {
        const struct option_desc *option = find_letter(parser->cli->command, *at);
        if (option == NULL)
            return cli_usage(parser->cli,
                             *at > ' ' && *at < 127 ? "unknown option -%c" : "unknown option -\\x%02x",
                             (unsigned char)*at);
        const char *text = NULL;
        if (option->kind != OPTION_FLAG) {
            text = at + 1;
            if (*text == '\0') {
                if (parser->next >= parser->argc)
                    return cli_usage(parser->cli, "-%c needs a value: -%c %s", *at, *at,
                                     option->argument != NULL ? option->argument : "VALUE");
                text = parser->argv[parser->next++];
            }
        }
        int code = take(parser, option, text);
        if (code != EXIT_YES || text != NULL)
            return code;
    }
    return EXIT_YES;
}

static int check_count(const struct cli *cli)
{
    const struct command *command = cli->command;
    if (cli->n_args < command->min_args)
        return cli_usage(cli, "expected %s%s", command->synopsis,
                         cli->n_args == 0 ? "" : ", which is more than was given");
    if (cli->n_args > command->max_args) {
        if (command->max_args == 0)
            return cli_usage(cli, "takes no arguments, but \"%s\" was given", cli->args[0]);
        return cli_usage(cli, "expected %s, so \"%s\" is one argument too many", command->synopsis,
                         cli->args[command->max_args]);
    }
    return EXIT_YES;
}

int cli_parse(struct cli *cli, int argc, char **argv, struct cli_request *request)
{
    const struct command *command = cli->command;
    struct parser parser = {.cli = cli, .request = request, .argc = argc, .argv = argv};
    assert(command->n_options <= CLI_MAX_OPTIONS);
    cli->values = calloc(command->n_options + 1, sizeof *cli->values);
    parser.args = calloc((size_t)argc + 1, sizeof *parser.args);
    cli->args = parser.args;
    cli->n_args = 0;
    if (cli->values == NULL || parser.args == NULL)
        return cli_usage(cli, "out of memory while reading the command line");
    bool options_ended = false;
    while (parser.next < argc && !request->help) {
        const char *word = argv[parser.next++];
        int code = EXIT_YES;
        if (options_ended || word[0] != '-' || word[1] == '\0')
            parser.args[cli->n_args++] = word;
        else if (strcmp(word, "--") == 0)
            options_ended = true;
        else
            code = word[1] == '-' ? parse_long(&parser, word) : parse_short(&parser, word);
        if (code != EXIT_YES)
            return code;
    }
    return request->help ? EXIT_YES : check_count(cli);
}

void cli_parse_free(struct cli *cli)
{
    for (size_t i = 0; cli->values != NULL && i < cli->command->n_options; i++)
        free(cli->values[i].list);
    free(cli->values);
    free((void *)cli->args);
    cli->values = NULL;
    cli->args = NULL;
    cli->n_args = 0;
}
