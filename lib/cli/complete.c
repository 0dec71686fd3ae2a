/* `plat completion bash|zsh|fish`: scripts made from the command tables, so that they cannot fall behind
 * them. */
#include "lib/cli/private.h"

#include <string.h>

#include "lib/base/text.h"

/* The first column of the table that `plat formats` prints, without its heading. */
#define LIST_FORMATS "plat formats 2>/dev/null | sed -n '2,/^$/s/ .*//p'"
/* Those of them whose column "make" says mk. */
#define LIST_MK "plat formats 2>/dev/null | awk 'NF == 0 { exit } $4 == \"mk\" { print $1 }'"

struct commands {
    const struct command *const *list;
    size_t n;
};

static const struct option_desc *option_at(const struct command *command, size_t i)
{
    if (i < command->n_options)
        return &command->options[i];
    i -= command->n_options;
    return i < n_cli_common_options ? &cli_common_options[i] : NULL;
}

/* "plat mk FORMAT SOURCE": a format, then files. */
static bool format_first(const struct command *command)
{
    return command->complete == COMPLETE_FORMAT && command->max_args > 1;
}

/* "a|b|c" as "a b c". */
static void put_choices(struct strbuf *to, const char *choices)
{
    const char *choice;
    size_t n;
    for (size_t i = 0; cli_choice(choices, i, &choice, &n); i++) {
        if (i > 0)
            strbuf_putc(to, ' ');
        strbuf_add(to, choice, n);
    }
}

static void put_names(struct strbuf *to, const struct commands *commands)
{
    for (size_t i = 0; i < commands->n; i++)
        strbuf_printf(to, "%s%s", i > 0 ? " " : "", commands->list[i]->name);
}

/* Text inside single quotes, with a backslash in front of each byte of `escape`. */
static void put_quoted(struct strbuf *to, const char *text, const char *quote, const char *escape)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            strbuf_puts(to, quote);
            continue;
        }
        if (strchr(escape, *text) != NULL)
            strbuf_putc(to, '\\');
        strbuf_putc(to, *text);
    }
}

/* ---- bash ---- */

static void bash_kind(struct strbuf *to, enum complete_kind kind, const char *choices)
{
    if (choices != NULL) {
        strbuf_puts(to, "_plat_words '");
        put_choices(to, choices);
        strbuf_puts(to, "'");
    } else if (kind == COMPLETE_FILE) {
        strbuf_puts(to, "_plat_files -f");
    } else if (kind == COMPLETE_DIR) {
        strbuf_puts(to, "_plat_files -d");
    } else if (kind == COMPLETE_FORMAT) {
        strbuf_puts(to, "_plat_formats");
    } else {
        strbuf_puts(to, ":");
    }
}

static void bash_command(struct strbuf *to, const struct command *command)
{
    const struct option_desc *option;
    strbuf_printf(to, "    %s)\n        case $before in\n", command->name);
    for (size_t i = 0; (option = option_at(command, i)) != NULL; i++) {
        if (option->kind == OPTION_FLAG)
            continue;
        strbuf_printf(to, "        --%s", option->name);
        if (option->letter != 0)
            strbuf_printf(to, "|-%c", option->letter);
        strbuf_puts(to, ") ");
        bash_kind(to, option->complete, option->choices);
        strbuf_puts(to, "; return ;;\n");
    }
    strbuf_puts(to, "        esac\n        case $cur in\n        -*) _plat_words '");
    for (size_t i = 0; (option = option_at(command, i)) != NULL; i++)
        strbuf_printf(to, "%s--%s", i > 0 ? " " : "", option->name);
    strbuf_puts(to, "'; return ;;\n        esac\n");
    if (command->subcommands != NULL) {
        strbuf_printf(to, "        case $before in\n        %s) ", command->name);
        bash_kind(to, COMPLETE_NONE, command->subcommands);
        strbuf_puts(to, "; return ;;\n        esac\n");
    }
    strbuf_puts(to, "        ");
    if (strcmp(command->name, "help") == 0)
        strbuf_puts(to, "_plat_words \"$commands\"");
    else if (format_first(command))
        strbuf_printf(to, "if [[ $before == %s ]]; then _plat_mk_formats; else _plat_files -f; fi",
                      command->name);
    else
        bash_kind(to, command->complete, NULL);
    strbuf_puts(to, " ;;\n");
}

static void bash(struct strbuf *to, const struct commands *commands)
{
    strbuf_puts(
        to, "# bash completion for plat; made by `plat completion bash`\n"
            "_plat_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
            "_plat_files() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\"); }\n"
            "_plat_formats() { _plat_words \"$(" LIST_FORMATS ")\"; }\n"
            "_plat_mk_formats() { _plat_words \"$(" LIST_MK ")\"; }\n"
            "_plat() {\n"
            "    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command='' i\n"
            "    local commands='");
    put_names(to, commands);
    strbuf_puts(
        to, "'\n"
            "    COMPREPLY=()\n"
            "    # bash splits --name=value at the equals sign\n"
            "    if [[ $cur == = ]]; then cur=''\n"
            "    elif [[ $before == = && COMP_CWORD -ge 2 ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
            "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
            "        if [[ ${COMP_WORDS[i]} != -* ]]; then command=${COMP_WORDS[i]}; break; fi\n"
            "    done\n"
            "    case $command in\n"
            "    '')\n"
            "        case $cur in\n"
            "        -*) _plat_words '--help --version --color=auto --color=always --color=never' ;;\n"
            "        *) _plat_words \"$commands\" ;;\n"
            "        esac ;;\n");
    for (size_t i = 0; i < commands->n; i++)
        bash_command(to, commands->list[i]);
    strbuf_puts(to, "    esac\n}\ncomplete -F _plat plat\n");
}

/* ---- zsh ---- */

static const char zsh_quote[] = "'\\''";

static void zsh_kind(struct strbuf *to, enum complete_kind kind, const char *choices)
{
    if (choices != NULL) {
        strbuf_puts(to, "(");
        put_choices(to, choices);
        strbuf_puts(to, ")");
    } else if (kind == COMPLETE_FILE) {
        strbuf_puts(to, "_files");
    } else if (kind == COMPLETE_DIR) {
        strbuf_puts(to, "_files -/");
    } else if (kind == COMPLETE_FORMAT) {
        strbuf_puts(to, "_plat_formats");
    } else {
        strbuf_puts(to, " ");
    }
}

static void zsh_option(struct strbuf *to, const struct option_desc *option)
{
    const char *equals = option->kind != OPTION_FLAG ? "=" : "";
    const char *repeat = option->kind == OPTION_LIST ? "*" : "";
    strbuf_puts(to, " \\\n            ");
    if (option->letter != 0 && option->kind == OPTION_LIST)
        strbuf_printf(to, "'*'{-%c+,--%s%s}'", option->letter, option->name, equals);
    else if (option->letter != 0)
        strbuf_printf(to, "'(-%c --%s)'{-%c%s,--%s%s}'", option->letter, option->name, option->letter,
                      option->kind != OPTION_FLAG ? "+" : "", option->name, equals);
    else
        strbuf_printf(to, "'%s--%s%s", repeat, option->name, equals);
    strbuf_puts(to, "[");
    put_quoted(to, option->doc, zsh_quote, "[]\\");
    strbuf_puts(to, "]");
    if (option->kind != OPTION_FLAG) {
        strbuf_puts(to, ":");
        put_quoted(to, option->argument != NULL ? option->argument : "value", zsh_quote, ":\\");
        strbuf_puts(to, ":");
        zsh_kind(to, option->complete, option->choices);
    }
    strbuf_puts(to, "'");
}

static void zsh(struct strbuf *to, const struct commands *commands)
{
    const struct option_desc *option;
    strbuf_puts(to, "#compdef plat\n# zsh completion for plat; made by `plat completion zsh`\n"
                    "_plat_formats() { compadd $(" LIST_FORMATS ") }\n"
                    "_plat_mk_formats() { compadd $(" LIST_MK ") }\n_plat() {\n"
                    "    local curcontext=$curcontext state line\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; i < commands->n; i++) {
        strbuf_printf(to, "        '%s:", commands->list[i]->name);
        put_quoted(to, commands->list[i]->summary, zsh_quote, ":\\");
        strbuf_puts(to, "'\n");
    }
    strbuf_puts(to, "    )\n"
                    "    _arguments -C '--version[print the version]' '--help[list the commands]' \\\n"
                    "        '--color=[colour the output]:when:(auto always never)' \\\n"
                    "        '1:command:->command' '*::argument:->argument'\n"
                    "    case $state in\n"
                    "    command) _describe command commands ;;\n"
                    "    argument)\n"
                    "        case $words[1] in\n");
    for (size_t i = 0; i < commands->n; i++) {
        const struct command *command = commands->list[i];
        strbuf_printf(to, "        %s) _arguments -s -S", command->name);
        for (size_t j = 0; (option = option_at(command, j)) != NULL; j++)
            zsh_option(to, option);
        if (strcmp(command->name, "help") == 0)
            strbuf_puts(to, " \\\n            '1:command:{_describe command commands}'");
        else if (command->subcommands != NULL) {
            strbuf_puts(to, " \\\n            '1:subcommand:");
            zsh_kind(to, COMPLETE_NONE, command->subcommands);
            strbuf_puts(to, "'");
        }
        if (format_first(command)) {
            strbuf_puts(to, " \\\n            '1:format:_plat_mk_formats' '*:file:_files'");
        } else if (command->complete != COMPLETE_NONE) {
            strbuf_puts(to, " \\\n            '*:argument:");
            zsh_kind(to, command->complete, NULL);
            strbuf_puts(to, "'");
        }
        strbuf_puts(to, " ;;\n");
    }
    strbuf_puts(to, "        esac ;;\n    esac\n}\n"
                    "if [[ $funcstack[1] == _plat ]]; then _plat \"$@\"; else compdef _plat plat; fi\n");
}

/* ---- fish ---- */

static const char fish_quote[] = "\\'";

static void fish_kind(struct strbuf *to, enum complete_kind kind, const char *choices)
{
    if (choices != NULL) {
        strbuf_puts(to, " -x -a '");
        put_choices(to, choices);
        strbuf_puts(to, "'");
    } else if (kind == COMPLETE_FILE) {
        strbuf_puts(to, " -r -F");
    } else if (kind == COMPLETE_DIR) {
        strbuf_puts(to, " -x -a '(__fish_complete_directories)'");
    } else if (kind == COMPLETE_FORMAT) {
        strbuf_puts(to, " -x -a '(__plat_formats)'");
    } else {
        strbuf_puts(to, " -x");
    }
}

static void fish_positional(struct strbuf *to, const struct command *command)
{
    if (command->subcommands != NULL) {
        strbuf_printf(
            to, "complete -c plat -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from ",
            command->name);
        put_choices(to, command->subcommands);
        strbuf_puts(to, "' -a '");
        put_choices(to, command->subcommands);
        strbuf_puts(to, "'\n");
    }
    if (command->complete == COMPLETE_NONE || command->complete == COMPLETE_CHOICES)
        return;
    strbuf_printf(to, "complete -c plat -n '__fish_seen_subcommand_from %s'", command->name);
    if (command->complete == COMPLETE_FILE)
        strbuf_puts(to, " -F\n");
    else if (format_first(command))
        strbuf_puts(to, " -F -a '(__plat_mk_formats)'\n");
    else
        strbuf_printf(to, " -a '(%s)'\n",
                      command->complete == COMPLETE_DIR ? "__fish_complete_directories" : "__plat_formats");
}

static void fish(struct strbuf *to, const struct commands *commands)
{
    const struct option_desc *option;
    strbuf_puts(to, "# fish completion for plat; made by `plat completion fish`\n"
                    "function __plat_formats; " LIST_FORMATS "; end\n"
                    "function __plat_mk_formats; " LIST_MK "; end\n"
                    "complete -c plat -f\n"
                    "complete -c plat -n __fish_use_subcommand -l version -d 'print the version'\n"
                    "complete -c plat -n __fish_use_subcommand -l help -d 'list the commands'\n");
    for (size_t i = 0; i < commands->n; i++) {
        const struct command *command = commands->list[i];
        strbuf_printf(to, "complete -c plat -n __fish_use_subcommand -a %s -d '", command->name);
        put_quoted(to, command->summary, fish_quote, "\\");
        strbuf_puts(to, "'\n");
        for (size_t j = 0; (option = option_at(command, j)) != NULL; j++) {
            strbuf_printf(to, "complete -c plat -n '__fish_seen_subcommand_from %s' -l %s", command->name,
                          option->name);
            if (option->letter != 0)
                strbuf_printf(to, " -s %c", option->letter);
            if (option->kind != OPTION_FLAG)
                fish_kind(to, option->complete, option->choices);
            strbuf_puts(to, " -d '");
            put_quoted(to, option->doc, fish_quote, "\\");
            strbuf_puts(to, "'\n");
        }
        if (strcmp(command->name, "help") == 0) {
            strbuf_puts(to, "complete -c plat -n '__fish_seen_subcommand_from help' -a '");
            put_names(to, commands);
            strbuf_puts(to, "'\n");
        }
        fish_positional(to, command);
    }
}

bool cli_print_completion(const char *shell, const struct command *const *commands, size_t n)
{
    static const struct {
        const char *name;
        void (*make)(struct strbuf *to, const struct commands *commands);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    struct commands all = {.list = commands, .n = n};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shells[i].name, shell) != 0)
            continue;
        struct strbuf text = {0};
        shells[i].make(&text, &all);
        bool made = !text.failed;
        if (made)
            (void)fputs(strbuf_str(&text), stdout);
        strbuf_free(&text);
        return made;
    }
    return false;
}
