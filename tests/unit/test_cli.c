/* The command line parser, help and completion, on a table made for the purpose.
 *
 * Each case runs cli_main as the program would, with stdout and stderr caught in a file; the command under
 * test prints what it was given. With arguments this program is that command line itself, for trying things
 * by hand. */
#include "lib/cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cli/private.h"

enum { OUTPUT_MAX = 65536, ARGS_MAX = 32 };

static unsigned n_tests, n_failed;

static void check(bool good, const char *what, const char *detail)
{
    n_tests++;
    n_failed += !good;
    (void)printf("%sok %u - %s\n", good ? "" : "not ", n_tests, what);
    if (!good)
        (void)printf("# got: %s\n", detail);
}

/* ---- the commands ---- */

static int run_show(struct cli *cli)
{
    uint64_t n = 0;
    const char *const *list = NULL;
    (void)printf("json=%d verbose=%d", cli_flag(cli, "json"), cli_flag(cli, "verbose"));
    (void)printf(" label=%s", cli_text(cli, "label") != NULL ? cli_text(cli, "label") : "-");
    if (cli_number(cli, "size", &n))
        (void)printf(" size=%llu", (unsigned long long)n);
    if (cli_number(cli, "count", &n))
        (void)printf(" count=%llu", (unsigned long long)n);
    size_t n_list = cli_list(cli, "define", &list);
    for (size_t i = 0; i < n_list; i++)
        (void)printf(" D:%s", list[i]);
    (void)printf(" color=%d", cli->color);
    for (size_t i = 0; i < cli->n_args; i++)
        (void)printf(" [%s]", cli->args[i]);
    (void)printf("\n");
    return cli_finish(cli, EXIT_YES);
}

static int run_fail(struct cli *cli)
{
    struct plat_err err = {0};
    (void)err_at(&err, PLAT_ECORRUPT, 0x200, "gpt.primary", "expected \"EFI PART\"");
    err_image(&err, cli->args[0]);
    return cli_fail(cli, &err);
}

static const struct option_desc show_options[] = {
    {.letter = 'j', .name = "json", .kind = OPTION_FLAG, .doc = "print JSON, it's [odd]: 'quoted'"},
    {.letter = 'v', .name = "verbose", .kind = OPTION_FLAG, .doc = "say more"},
    {.letter = 'l',
     .name = "label",
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .doc = "a label",
     .complete = COMPLETE_NONE},
    {.name = "accel",
     .kind = OPTION_TEXT,
     .argument = "HOW",
     .doc = "how to run",
     .choices = "auto|kvm|tcg",
     .complete = COMPLETE_CHOICES},
    {.name = "size", .kind = OPTION_SIZE, .argument = "SIZE", .doc = "how big", .complete = COMPLETE_NONE},
    {.letter = 'n',
     .name = "count",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .doc = "how many",
     .complete = COMPLETE_NONE},
    {.letter = 'D',
     .name = "define",
     .kind = OPTION_LIST,
     .argument = "NAME=VALUE",
     .doc = "a definition whose text is long enough that it has to be wrapped at any reasonable width of a "
            "terminal",
     .complete = COMPLETE_NONE},
    {.letter = 'o', .name = "output", .kind = OPTION_TEXT, .argument = "FILE", .doc = "where to"},
};
static const struct command show = {
    .name = "show",
    .group = "Test",
    .summary = "print what was understood",
    .synopsis = "IMAGE [PATH]",
    .doc = "First paragraph\nin two lines.\n\n  indented stays\n",
    .examples = "  plat show disk.img\n",
    .options = show_options,
    .n_options = sizeof show_options / sizeof *show_options,
    .min_args = 1,
    .max_args = 3,
    .subcommands = "check|doc",
    .run = run_show,
};
static const struct command fail = {
    .name = "verify",
    .group = "Other",
    .summary = "fail with a place",
    .synopsis = "IMAGE",
    .doc = "",
    .min_args = 1,
    .max_args = 1,
    .run = run_fail,
};
static const struct command *const table[] = {&show, &fail};

/* ---- running ---- */

struct outcome {
    int code;
    char text[OUTPUT_MAX]; /* stdout and stderr in order */
};

static void run(struct outcome *ret, const char *words)
{
    char *line = strdup(words);
    char *argv[ARGS_MAX] = {"plat"};
    int argc = 1;
    FILE *file = tmpfile();
    if (line == NULL || file == NULL)
        exit(99);
    for (char *word = strtok(line, " "); word != NULL && argc < ARGS_MAX - 1; word = strtok(NULL, " "))
        argv[argc++] = word;
    (void)fflush(stdout);
    int old_out = dup(STDOUT_FILENO), old_err = dup(STDERR_FILENO);
    if (dup2(fileno(file), STDOUT_FILENO) < 0 || dup2(fileno(file), STDERR_FILENO) < 0)
        exit(99);
    ret->code = cli_main(table, sizeof table / sizeof table[0], argc, argv);
    (void)fflush(stdout);
    if (dup2(old_out, STDOUT_FILENO) < 0 || dup2(old_err, STDERR_FILENO) < 0)
        exit(99);
    (void)close(old_out);
    (void)close(old_err);
    rewind(file);
    size_t n = fread(ret->text, 1, sizeof ret->text - 1, file);
    ret->text[n] = '\0';
    (void)fclose(file);
    free(line);
}

static void expect(const char *words, int code, const char *text)
{
    static struct outcome got;
    char what[300];
    run(&got, words);
    (void)snprintf(what, sizeof what, "plat %s: %d, %.60s", words, code, text);
    for (char *at = what; *at != '\0'; at++)
        if (*at == '\n' || *at == '#')
            *at = ' ';
    check(got.code == code && strstr(got.text, text) != NULL, what, got.text);
}

static void test_values(void)
{
    const char *none = "json=0 verbose=0 label=-";
    expect("show a", EXIT_YES, none);
    expect("show a b -j c", EXIT_YES, "json=1 verbose=0 label=- color=0 [a] [b] [c]\n");
    expect("show -jv a", EXIT_YES, "json=1 verbose=1");
    expect("show -jvlx a", EXIT_YES, "json=1 verbose=1 label=x color=0 [a]\n");
    expect("show -l x a", EXIT_YES, "label=x color=0 [a]\n");
    expect("show --label=x a", EXIT_YES, "label=x color=0 [a]\n");
    expect("show --label= a", EXIT_YES, "label= color=0 [a]\n");
    expect("show --label x --label y a", EXIT_YES, "label=y color=0 [a]\n");
    expect("show --label --json a", EXIT_YES, "json=0 verbose=0 label=--json color=0 [a]\n");
    expect("show -D A=1 -DB=2 --define C=3 --define=D=4 a", EXIT_YES, " D:A=1 D:B=2 D:C=3 D:D=4 ");
    expect("show --size 64MiB -n 7 a", EXIT_YES, " size=67108864 count=7 ");
    expect("show -- --json -v", EXIT_YES, "json=0 verbose=0 label=- color=0 [--json] [-v]\n");
    expect("show -", EXIT_YES, " [-]\n");
    expect("show a --color=always", EXIT_YES, "color=1");
    expect("--color=always show a", EXIT_YES, "color=1");
    expect("--color=always show a --color never", EXIT_YES, "color=0");
}

static void test_mistakes(void)
{
    expect("show --jsn a", EXIT_CANNOT,
           "plat show: unknown option --jsn; did you mean --json?\nTry `plat show --help`.\n");
    expect("show --zzzzzz a", EXIT_CANNOT, "plat show: unknown option --zzzzzz\n");
    expect("show -jx a", EXIT_CANNOT, "unknown option -x\n");
    expect("show --json=1 a", EXIT_CANNOT, "--json takes no value");
    expect("show a --label", EXIT_CANNOT, "--label needs a value: --label TEXT");
    expect("show a -l", EXIT_CANNOT, "-l needs a value: -l TEXT");
    expect("show --accel=xen a", EXIT_CANNOT, "--accel must be one of auto|kvm|tcg, not \"xen\"");
    expect("show --accel=aut a", EXIT_CANNOT, "--accel must be");
    expect("show --color=maybe a", EXIT_CANNOT, "--color must be one of");
    expect("show --size=12parsec a", EXIT_CANNOT, "plat show: --size: ");
    expect("show -n -1 a", EXIT_CANNOT, "plat show: --count: ");
    expect("show", EXIT_CANNOT, "plat show: expected IMAGE [PATH]\n");
    expect("show a b c d", EXIT_CANNOT, "\"d\" is one argument too many");
    expect("sho a", EXIT_CANNOT, "plat: no command \"sho\"; did you mean `plat show`?\nTry `plat --help`.\n");
    expect("verfiy a", EXIT_CANNOT, "did you mean `plat verify`?");
    expect("xyzzy", EXIT_CANNOT, "plat: no command \"xyzzy\"\n");
    expect("--nonsense", EXIT_CANNOT, "unknown option --nonsense");
    expect("", EXIT_CANNOT, "Usage\n  plat COMMAND");
    expect("verify disk.img", EXIT_CANNOT,
           "plat verify: disk.img: at offset 0x200 (gpt.primary): expected \"EFI PART\"\n");
}

static void test_help(void)
{
    static struct outcome got;
    expect("--version", EXIT_YES, "plat " PLAT_VERSION "\n");
    expect("--help", EXIT_YES, "\nTest\n  show");
    expect("help", EXIT_YES, "\nOther\n  verify");
    expect("help show", EXIT_YES, "First paragraph in two lines.\n\n  indented stays\n");
    expect("help shwo", EXIT_CANNOT, "did you mean `plat show`?");
    expect("show --help", EXIT_YES, "  -D, --define NAME=VALUE ");
    expect("show -h", EXIT_YES, "plat show - print what was understood\n");
    expect("show a b c -jvh", EXIT_YES, "Usage\n  plat show [OPTION]... IMAGE [PATH]\n");
    expect("show --help --color=always", EXIT_YES, "\nUsage\n");
    expect("show --color=always --help", EXIT_YES, "\033[1mUsage\033[0m");
    static const char *const widths[] = {"20", "40", "60", "80", "100", "300"};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        size_t longest = 0;
        (void)setenv("COLUMNS", widths[i], 1);
        run(&got, "show --help");
        for (const char *line = got.text; *line != '\0'; line += strcspn(line, "\n") + 1)
            if (strncmp(line, "  ", 2) != 0 || strstr(widths[i], "20") == NULL)
                longest = strcspn(line, "\n") > longest ? strcspn(line, "\n") : longest;
        size_t limit = (size_t)strtoul(widths[i], NULL, 10);
        check(longest <= (limit > 100 ? 100 : limit < 40 ? 40 : limit), "help fits the terminal", got.text);
    }
    (void)unsetenv("COLUMNS");
}

static void test_completion(void)
{
    expect("completion bash", EXIT_YES, "complete -F _plat plat\n");
    expect("completion zsh", EXIT_YES, "#compdef plat\n");
    expect("completion zsh", EXIT_YES, "[print JSON, it'\\''s \\[odd\\]: '\\''quoted'\\'']");
    expect("completion fish", EXIT_YES, "-d 'print JSON, it\\'s [odd]: \\'quoted\\''\n");
    expect("completion fish", EXIT_YES, "-l accel -x -a 'auto kvm tcg'");
    expect("completion tcsh", EXIT_CANNOT, "expected bash, zsh or fish, not \"tcsh\"");
    expect("completion", EXIT_CANNOT, "plat completion: expected bash|zsh|fish\n");
}

static void test_nearest(void)
{
    static const char *const names[] = {"verify", "dump", "hex", "get", "ls", "cat", "extract"};
    static const struct {
        const char *word, *near;
    } cases[] = {{"verfy", "verify"}, {"vreify", "verify"}, {"dmp", "dump"},    {"ext", "extract"},
                 {"hexx", "hex"},     {"gte", "get"},       {"sl", "ls"},       {"", NULL},
                 {"q", NULL},         {"mount", NULL},      {"partition", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = nearest_name(cases[i].word, names, sizeof names / sizeof *names);
        check(near == NULL ? cases[i].near == NULL
                           : cases[i].near != NULL && strcmp(near, cases[i].near) == 0,
              cases[i].word, near != NULL ? near : "(none)");
    }
    char huge[4096];
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    check(nearest_name(huge, names, sizeof names / sizeof *names) == NULL, "a huge word has no neighbour",
          "");
}

/* Ticks for 0.75 s, the phase's half done; what came out on stderr is in ret->text. */
static void draw(struct outcome *ret, bool tty, uint64_t total_bytes)
{
    const struct cli cli = {.err_tty = tty, .columns = 80};
    struct cli_progress bar;
    FILE *file = tmpfile();
    int old_err = dup(STDERR_FILENO);
    if (file == NULL || dup2(fileno(file), STDERR_FILENO) < 0)
        exit(99);
    cli_progress_init(&bar, &cli, "writing esp", total_bytes);
    for (unsigned i = 0; i < 150; i++) {
        progress_add(&bar.progress, 1 << 20);
        (void)usleep(5000);
    }
    cli_progress_done(&bar);
    progress_add(&bar.progress, 1); /* silent from here on */
    (void)fflush(stderr);
    if (dup2(old_err, STDERR_FILENO) < 0)
        exit(99);
    (void)close(old_err);
    rewind(file);
    ret->text[fread(ret->text, 1, sizeof ret->text - 1, file)] = '\0';
    (void)fclose(file);
}

static void test_progress(void)
{
    static struct outcome got;
    unsigned redraws = 0;
    draw(&got, true, UINT64_C(300) << 20);
    for (const char *at = got.text; *at != '\0'; at++)
        redraws += *at == '\r';
    size_t n = strlen(got.text);
    check(redraws >= 3 && redraws <= 7, "at most 10 redraws a second, and the clearing", got.text);
    check(n > 4 && strcmp(got.text + n - 4, "\r\033[K") == 0, "the line is cleared at the end", got.text);
    check(strstr(got.text, "\rwriting esp  4") != NULL && strstr(got.text, "%  ") != NULL &&
              strstr(got.text, "iB/s  0:0") != NULL && strstr(got.text, " left\033[K") != NULL,
          "phase, percent, rate and time left", got.text);
    draw(&got, true, 0);
    check(strstr(got.text, "\rwriting esp  ") != NULL && strchr(got.text, '%') == NULL &&
              strstr(got.text, "left") == NULL,
          "without a total: phase and rate", got.text);
    draw(&got, false, UINT64_C(300) << 20);
    check(got.text[0] == '\0', "nothing where stderr is no terminal", got.text);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return cli_main(table, sizeof table / sizeof table[0], argc, argv);
    (void)unsetenv("COLUMNS");
    (void)unsetenv("NO_COLOR");
    test_values();
    test_mistakes();
    test_help();
    test_completion();
    test_nearest();
    test_progress();
    (void)printf("1..%u\n", n_tests);
    return n_failed == 0 ? 0 : 1;
}
