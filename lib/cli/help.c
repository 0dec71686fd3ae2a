/* --help: the option tables as text, wrapped to the terminal; headings and options bold where there is
 * colour. */
#include "lib/cli/private.h"

#include <string.h>

#include "lib/base/text.h"

enum {
    HELP_COLUMNS_MAX = 100, /* longer lines are hard to read */
    DOC_COLUMN_MAX = 34, /* option text starts here at the latest; longer options get a line of their own */
    DOC_COLUMNS_MIN = 30,
    OPTION_TEXT_MAX = 160
};

struct page {
    FILE *to;
    int columns;
    bool bold;
};
struct cli_help {
    struct page page;
    int doc_column; /* where the text of options starts */
};

static struct page page_of(const struct cli *cli, FILE *to)
{
    int columns = cli->columns < HELP_COLUMNS_MAX ? cli->columns : HELP_COLUMNS_MAX;
    return (struct page){.to = to, .columns = columns, .bold = cli->color && (to == stdout || cli->err_tty)};
}

static void bold(const struct page *page, const char *text)
{
    (void)fprintf(page->to, page->bold ? "\033[1m%s\033[0m" : "%s", text);
}

/* Columns of UTF-8 text: bytes that do not continue a character. */
static int width(const char *s, size_t n)
{
    int columns = 0;
    for (size_t i = 0; i < n; i++)
        columns += ((unsigned char)s[i] & 0xC0) != 0x80;
    return columns;
}

/* Prints words of text[0..n) in lines that start at column `indent`; the cursor stands at column `at`. Ends
 * with a newline. */
static void wrap(const struct page *page, const char *text, size_t n, int indent, int at)
{
    bool line_has_word = false;
    for (size_t i = 0; i < n;) {
        size_t word = 0;
        while (i < n && (text[i] == ' ' || text[i] == '\n'))
            i++;
        while (i + word < n && text[i + word] != ' ' && text[i + word] != '\n')
            word++;
        if (word == 0)
            break;
        int columns = width(text + i, word);
        if (line_has_word && at + 1 + columns > page->columns) {
            (void)fputc('\n', page->to);
            at = 0;
            line_has_word = false;
        }
        if (line_has_word) {
            (void)fputc(' ', page->to);
            at++;
        } else if (at < indent) {
            (void)fprintf(page->to, "%*s", indent - at, "");
            at = indent;
        }
        (void)fwrite(text + i, 1, word, page->to);
        at += columns;
        line_has_word = true;
        i += word;
    }
    (void)fputc('\n', page->to);
}

/* Paragraphs separated by empty lines; lines that start with a space stand as they are. */
static void print_doc(const struct page *page, const char *doc)
{
    while (*doc != '\0') {
        size_t n = strcspn(doc, "\n");
        if (n == 0 || *doc == ' ') {
            (void)fprintf(page->to, "%.*s\n", (int)n, doc);
            doc += n + (doc[n] == '\n');
            continue;
        }
        /* A paragraph runs to an empty or indented line. */
        while (doc[n] == '\n' && doc[n + 1] != '\n' && doc[n + 1] != ' ' && doc[n + 1] != '\0')
            n += 1 + strcspn(doc + n + 1, "\n");
        wrap(page, doc, n, 0, 0);
        doc += n + (doc[n] == '\n');
    }
}

/* "  -p, --partition NAME|NUMBER" */
static int option_text(const struct option_desc *option, char *buf, size_t n)
{
    char letter[8] = "    ";
    if (option->letter != 0)
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    const char *argument = option->argument != NULL ? option->argument : "VALUE";
    (void)snprintf(buf, n, "%s--%s%s%s", letter, option->name, option->kind != OPTION_FLAG ? " " : "",
                   option->kind != OPTION_FLAG ? argument : "");
    return width(buf, strlen(buf));
}

void cli_help_section(struct cli_help *help, const char *heading)
{
    (void)fputc('\n', help->page.to);
    bold(&help->page, heading);
    (void)fputc('\n', help->page.to);
}

void cli_help_item(struct cli_help *help, const char *name, const char *doc)
{
    const struct page *page = &help->page;
    int at = 2 + width(name, strlen(name));
    (void)fputs("  ", page->to);
    bold(page, name);
    if (at + 2 > help->doc_column) {
        (void)fputc('\n', page->to);
        at = 0;
    }
    wrap(page, doc, strlen(doc), help->doc_column, at);
}

static void print_option(struct cli_help *help, const struct option_desc *option)
{
    char text[OPTION_TEXT_MAX];
    struct strbuf doc = {0};
    (void)option_text(option, text, sizeof text);
    strbuf_puts(&doc, option->doc);
    if (option->choices != NULL && option->argument != NULL &&
        strcmp(option->choices, option->argument) != 0 && strstr(option->doc, "auto") == NULL)
        strbuf_printf(&doc, " (%s)", option->choices);
    if (option->kind == OPTION_LIST && strstr(option->doc, "repeat") == NULL)
        strbuf_puts(&doc, " (repeatable)");
    cli_help_item(help, text, strbuf_str(&doc));
    strbuf_free(&doc);
}

static void print_options(struct cli_help *help, const struct command *command)
{
    char text[OPTION_TEXT_MAX];
    int doc_column = 0;
    for (size_t i = 0; i < command->n_options + n_cli_common_options; i++) {
        const struct option_desc *option =
            i < command->n_options ? &command->options[i] : &cli_common_options[i - command->n_options];
        int n = option_text(option, text, sizeof text) + 4;
        if (n > doc_column && n <= DOC_COLUMN_MAX)
            doc_column = n;
    }
    help->doc_column = doc_column + DOC_COLUMNS_MIN > help->page.columns ? 10 : doc_column;
    for (size_t i = 0; i < command->n_options; i++)
        print_option(help, &command->options[i]);
    for (size_t i = 0; i < n_cli_common_options; i++)
        print_option(help, &cli_common_options[i]);
}

void cli_print_help(const struct cli *cli, FILE *to, const struct command *command)
{
    struct cli_help help = {.page = page_of(cli, to)};
    const struct page page = help.page;
    struct strbuf line = {0};
    strbuf_printf(&line, "plat %s", command->name);
    bold(&page, strbuf_str(&line));
    strbuf_truncate(&line, 0);
    strbuf_printf(&line, "- %s", command->summary);
    (void)fputc(' ', to);
    wrap(&page, strbuf_str(&line), line.len, 4, 6 + width(command->name, strlen(command->name)));
    (void)fputc('\n', to);
    bold(&page, "Usage");
    (void)fprintf(to, "\n  plat %s [OPTION]...%s%s\n", command->name, command->synopsis[0] != '\0' ? " " : "",
                  command->synopsis);
    if (command->doc != NULL && command->doc[0] != '\0') {
        (void)fputc('\n', to);
        print_doc(&page, command->doc);
    }
    cli_help_section(&help, "Options");
    print_options(&help, command);
    if (command->more_help != NULL)
        command->more_help(&help);
    if (command->examples != NULL) {
        (void)fputc('\n', to);
        bold(&page, "Examples");
        (void)fprintf(to, "\n%s", command->examples);
    }
    strbuf_free(&line);
}

void cli_print_overview(const struct cli *cli, FILE *to, const struct command *const *commands, size_t n)
{
    struct page page = page_of(cli, to);
    int widest = 0;
    for (size_t i = 0; i < n; i++) {
        int columns = width(commands[i]->name, strlen(commands[i]->name));
        widest = columns > widest ? columns : widest;
    }
    static const char what[] = "plat builds disk images, and explains, verifies and boots them.";
    wrap(&page, what, strlen(what), 0, 0);
    (void)fputc('\n', to);
    bold(&page, "Usage");
    (void)fputs("\n  plat COMMAND [OPTION]... [ARGUMENT]...\n", to);
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t j = 0; j < i; j++)
            seen = seen || strcmp(commands[j]->group, commands[i]->group) == 0;
        if (seen)
            continue;
        (void)fputc('\n', to);
        bold(&page, commands[i]->group);
        (void)fputc('\n', to);
        for (size_t j = i; j < n; j++) {
            if (strcmp(commands[j]->group, commands[i]->group) != 0)
                continue;
            (void)fputs("  ", to);
            bold(&page, commands[j]->name);
            wrap(&page, commands[j]->summary, strlen(commands[j]->summary), widest + 4,
                 2 + width(commands[j]->name, strlen(commands[j]->name)));
        }
    }
    (void)fputc('\n', to);
    static const char more[] =
        "`plat help COMMAND` explains a command; `plat --version` prints the version.\n\n"
        "Exit status: 0 yes; 1 the answer is no (faults found, expectation not met); "
        "2 it could not be done.\n";
    print_doc(&page, more);
}
