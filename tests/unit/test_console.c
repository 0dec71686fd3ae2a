/* The console matcher: what counts as a match, and that the way a stream is cut up never changes a verdict.
 *
 * Each row is a stream with its patterns and the verdict it must come to. Every row is pushed whole, split in
 * two at every position, byte by byte, and in pieces of pseudo-random sizes; each time the verdict, the
 * number of expectations met and the rejection named must be the same, both before and after the end of the
 * stream. */
#include "boot/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned n_tests, n_failed;

static void check(bool good, const char *what)
{
    n_tests++;
    n_failed += !good;
    (void)printf("%sok %u - ", good ? "" : "not ", n_tests);
    for (; *what != '\0'; what++)
        (void)putchar(*what >= ' ' && *what < 127 && *what != '#' ? *what : '.');
    (void)putchar('\n');
}

enum { PATTERNS_MAX = 4 };
struct row {
    const char *stream;
    const char *expect[PATTERNS_MAX];
    const char *reject[PATTERNS_MAX];
    enum console_verdict before; /* while more may come */
    enum console_verdict after;  /* at the end of the stream */
    size_t met;                  /* at the end */
};

#define OPEN CONSOLE_OPEN
#define PASS CONSOLE_PASS
#define REJECTED CONSOLE_REJECTED
#define PANIC CONSOLE_PANIC
static const struct row rows[] = {
    /* plain matching, order */
    {"MARKER done\r\n", {"MARKER done"}, {0}, PASS, PASS, 1},
    {"MARKER done", {"MARKER done"}, {0}, PASS, PASS, 1},
    {"MARKER don", {"MARKER done"}, {0}, OPEN, OPEN, 0},
    {"one\ntwo\nthree\n", {"one", "two", "three"}, {0}, PASS, PASS, 3},
    {"two\none\nthree\n", {"one", "two", "three"}, {0}, OPEN, OPEN, 1},
    {"one two three", {"one", "two", "three"}, {0}, PASS, PASS, 3},
    {"aaa", {"a", "a", "a"}, {0}, PASS, PASS, 3},
    {"aa", {"a", "a", "a"}, {0}, OPEN, OPEN, 2},
    {"aaa\n", {"a+", "a"}, {0}, OPEN, OPEN, 1},
    {"one\nMARKER\n", {"one\\nMARKER"}, {0}, OPEN, OPEN, 0}, /* a line at a time */
    {"", {"x"}, {0}, OPEN, OPEN, 0},
    /* ends of lines, looking ahead, empty matches */
    {"foo\r\nbar\r\n", {"^foo$", "^bar$"}, {0}, PASS, PASS, 2},
    {"foobar\n", {"foo$"}, {0}, OPEN, OPEN, 0},
    {"login: ", {"login: $"}, {0}, OPEN, PASS, 1},
    {"login: \n", {"login: $"}, {0}, PASS, PASS, 1},
    {"foobar\n", {"foo\\b"}, {0}, OPEN, OPEN, 0},
    {"foo bar\n", {"foo\\b"}, {0}, PASS, PASS, 1},
    {"foobar\nfoo\n", {"foo(?!bar)"}, {0}, PASS, PASS, 1},
    {"foobar\n", {"(?<=foo)b", "ar$"}, {0}, PASS, PASS, 2},
    {"foobar", {"(?<=foo)$"}, {0}, OPEN, OPEN, 0},
    {"abc\n\nx", {"abc", "^$", "x"}, {0}, PASS, PASS, 3},
    {"abc", {"$"}, {0}, OPEN, PASS, 1},
    {"xxxy\n", {"x*", "y"}, {0}, PASS, PASS, 2},
    {"start....end\n", {"s.*d", "end"}, {0}, OPEN, OPEN, 1},
    {"start....end\n", {"s.*?\\.", "end"}, {0}, PASS, PASS, 2},
    {"10%\r20%\r100%\r\n", {"^10%$", "^20%$", "^100%$"}, {0}, PASS, PASS, 3},
    {"a\r\r\nb\n", {"^a$", "^b$"}, {0}, PASS, PASS, 2},
    /* escape sequences */
    {"\033[2J\033[01;01HMARKER init-start\r\n", {"^MARKER init-start$"}, {0}, PASS, PASS, 1},
    {"MA\033[1;31mRK\033[0mER\033[K done\n", {"^MARKER done$"}, {0}, PASS, PASS, 1},
    {"MA\033]0;title\007RK\033]2;x\033\\ER\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"MA\033(BRK\0337\0338ER\033=\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"MA\033Pq#0;2;0\033\\RKER\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"MA\b\a\016\017RKER\177\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"\033]0;never ended\nMARKER\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"\033[1;\nMARKER\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"MAR\033[[   12.345678] cut\nKER\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"\033\033[1mMARKER\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"\033[1\030MARKER\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"gr\303\274n \342\234\223\n", {"gr\303\274n \342\234\223"}, {0}, PASS, PASS, 1},
    /* the kernel's messages */
    {"MARK[   12.345678] random: crng init done\r\nER 1 done\r\n", {"^MARKER 1 done$"}, {0}, PASS, PASS, 1},
    {"M[    1.000000] a\r\nA[    1.000001] b\r\n[    1.000002] c\r\nRKER\r\n",
     {"^MARKER$"},
     {0},
     PASS,
     PASS,
     1},
    {"MARK[   12.345678][    T1] x\r\nER\r\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"MARK\033[1m[   12.345678] x\033[0m\r\nER\r\n", {"^MARKER$"}, {0}, PASS, PASS, 1},
    {"[    0.500000] Linux version 6.1\nMARKER\n", {"Linux version", "MARKER"}, {0}, PASS, PASS, 2},
    {"[    0.500000] MARKER\n", {"^\\[ +[0-9.]+\\] MARKER$"}, {0}, PASS, PASS, 1},
    {"[  OK  ] Started sshd\n", {"^\\[  OK  \\] Started sshd$"}, {0}, PASS, PASS, 1},
    {"[12.5] no stamp\n[1.2345678] nor this\n", {"^\\[12\\.5\\] no stamp$", "nor this"}, {0}, PASS, PASS, 2},
    {"a[[[[ [1 [  1.123456]b\n", {"^a\\[\\[\\[\\[ \\[1 \\[  1\\.123456\\]b$"}, {0}, PASS, PASS, 1},
    {"MARK[   12.345678] msg\nother\n", {"MARKER"}, {0}, OPEN, OPEN, 0},
    {"one[    1.000000] k two\r\n three\r\n", {"k two", "three"}, {0}, PASS, PASS, 2},
    {"one[    1.000000] k two\r\n three\r\n", {"one three", "two"}, {0}, OPEN, OPEN, 1},
    {"MARK[    1.000000] MARKER\nx\n", {"MARK(?!ER)"}, {0}, PASS, PASS, 1},
    {"MARK[    1.000000] MARKER\nER\n", {"MARK(?!ER)"}, {0}, PASS, PASS, 1},
    {"[    1.000000] BOTH\nMAR[    1.000001] KER\nKER x\n", {"BOTH", "MARKER x"}, {0}, PASS, PASS, 2},
    /* rejections and panics */
    {"all bad\ngood\n", {"good"}, {"bad"}, REJECTED, REJECTED, 0},
    {"good\nbad\n", {"good"}, {"bad"}, PASS, PASS, 1},
    {"good bad\n", {"good"}, {"bad"}, PASS, PASS, 1},
    {"not good\n", {"good"}, {"not good"}, REJECTED, REJECTED, 0},
    {"bad\n", {"bad"}, {"bad"}, REJECTED, REJECTED, 0},
    {"goodness bad\n", {"good\\w+"}, {"bad"}, PASS, PASS, 1},
    {"good bad\n", {"good.*"}, {"bad"}, REJECTED, REJECTED, 0},
    {"x bad y\n", {"good"}, {"bad.*y", "b"}, REJECTED, REJECTED, 0},
    {"bad one\ngood\n", {"good"}, {"bad(?! one)"}, PASS, PASS, 1},
    {"b[    1.000000] k\r\nad\n", {"good"}, {"^bad$"}, REJECTED, REJECTED, 0},
    /* what may be empty stands where its search does, also when more text could make it longer */
    {"ba\n", {"a*"}, {"(bad)*"}, REJECTED, REJECTED, 0},
    {"bERx", {"a*"}, {"K.*?a", "(bad)*"}, REJECTED, REJECTED, 0},
    {"bad\n", {0}, {"bad"}, REJECTED, REJECTED, 0},
    {"fine\n", {0}, {"bad"}, OPEN, OPEN, 0},
    {"wrong", {0}, {"wrong$"}, OPEN, REJECTED, 0},
    {"[    2.0] x\n[    2.000000] Kernel panic - not syncing: VFS\n", {"init"}, {0}, PANIC, PANIC, 0},
    {"Kernel panic - not syncing\n", {0}, {0}, PANIC, PANIC, 0},
    {"up\nKernel panic - not syncing\n", {"up"}, {0}, PASS, PASS, 1},
    {"Kernel panic - not syncing: VFS\nbye\n", {"panic.*VFS", "bye"}, {0}, PASS, PASS, 2},
    {"K", {"K"}, {0}, OPEN, PASS, 1}, /* the panic could still start here: settled by silence or the next byte
                                       */
    {"OK\n", {"OK"}, {"KO"}, PASS, PASS, 1},
};

struct result {
    enum console_verdict before, after;
    size_t met, rejected;
};

static size_t count(const char *const *list)
{
    size_t n = 0;
    while (n < PATTERNS_MAX && list[n] != NULL)
        n++;
    return n;
}

static struct console *open_row(const struct row *row)
{
    struct console *console = NULL;
    struct plat_err err = {0};
    const struct console_options options = {.expect = row->expect,
                                            .n_expect = count(row->expect),
                                            .reject = row->reject,
                                            .n_reject = count(row->reject)};
    if (console_open(&options, &console, &err) != 0) {
        (void)printf("Bail out! %s\n", err.text);
        exit(99);
    }
    return console;
}

/* cuts: sizes of the pieces, the last one repeated. */
static struct result play(const struct row *row, const size_t *cuts, size_t n_cuts)
{
    struct console *console = open_row(row);
    size_t n = strlen(row->stream);
    struct result ret = {.before = CONSOLE_OPEN};
    for (size_t at = 0, i = 0; at < n; i++) {
        size_t piece = cuts[i < n_cuts ? i : n_cuts - 1];
        if (piece > n - at)
            piece = n - at;
        ret.before = console_push(console, row->stream + at, piece);
        at += piece;
    }
    ret.after = console_finish(console);
    ret.met = console_met(console);
    ret.rejected = ret.after == CONSOLE_REJECTED ? console_rejected(console) : 0;
    console_close(console);
    return ret;
}

static bool same(const struct result *a, const struct result *b)
{
    return a->before == b->before && a->after == b->after && a->met == b->met && a->rejected == b->rejected;
}

static void test_rows(void)
{
    uint64_t seed = 20261121;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        size_t n = strlen(row->stream);
        char what[400];
        struct result whole = play(row, (const size_t[]){n + 1}, 1);
        (void)snprintf(what, sizeof what, "%.200s: verdict %d then %d, %zu met (want %d, %d, %zu)",
                       row->stream, (int)whole.before, (int)whole.after, whole.met, (int)row->before,
                       (int)row->after, row->met);
        check(whole.before == row->before && whole.after == row->after && whole.met == row->met, what);
        size_t wrong = 0;
        struct result got = play(row, (const size_t[]){1}, 1);
        wrong += !same(&got, &whole);
        for (size_t split = 1; split < n; split++) {
            got = play(row, (const size_t[]){split, n}, 2);
            wrong += !same(&got, &whole);
        }
        for (unsigned round = 0; round < 200; round++) {
            size_t cuts[64];
            for (size_t j = 0; j < 64; j++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                cuts[j] = 1 + (size_t)(seed >> 33) % 7;
            }
            got = play(row, cuts, 64);
            wrong += !same(&got, &whole);
        }
        (void)snprintf(what, sizeof what, "%.200s: the same however it is cut (%zu differ)", row->stream,
                       wrong);
        check(wrong == 0, what);
    }
}

/* Random streams of the awkward pieces, random patterns: only that cutting changes nothing. */
static void test_random(void)
{
    static const char *const pieces[] = {"MARK", "ER",          "[    1.000000] k\r\n",
                                         "\n",   "\r\n",        "\r",
                                         "[",    "[  ",         "\033[1m",
                                         "\033", "bad",         "OK",
                                         " ",    "[   12.3456", "78] ",
                                         "a",    "b",           "\033]0;",
                                         "\a"};
    static const char *const patterns[] = {"MARKER",        "MARK(?!ER)", "ER$", "^MARK", "OK\\b",  "b?ad",
                                           "(?<=K)E",       "a.*b",       "a*",  "$",     "(ab)?",  "(bad)*",
                                           "(OK\\[)?",      "(ERa)?",     "\\[", "K.*?a", "[abc]+", "\\s",
                                           "(MARKER|MARK)", "OK \\["};
    enum { N_PIECES = sizeof pieces / sizeof *pieces, N_PATTERNS = sizeof patterns / sizeof *patterns };
    uint64_t seed = 7;
    size_t wrong = 0, passed = 0, rejected = 0;
#define RANDOM(n) ((size_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) % (n))
    for (unsigned round = 0; round < 3000; round++) {
        char stream[512] = "";
        size_t n_pieces = 1 + RANDOM(14);
        for (size_t i = 0; i < n_pieces; i++)
            (void)strcat(stream, pieces[RANDOM(N_PIECES)]);
        struct row row = {.stream = stream};
        size_t n_expect = RANDOM(PATTERNS_MAX);
        size_t n_reject = RANDOM(3);
        for (size_t i = 0; i < n_expect; i++)
            row.expect[i] = patterns[RANDOM(N_PATTERNS)];
        for (size_t i = 0; i < n_reject; i++)
            row.reject[i] = patterns[RANDOM(N_PATTERNS)];
        struct result whole = play(&row, (const size_t[]){512}, 1);
        passed += whole.after == CONSOLE_PASS;
        rejected += whole.after == CONSOLE_REJECTED;
        struct result got = play(&row, (const size_t[]){1}, 1);
        bool differs = !same(&got, &whole);
        for (unsigned k = 0; k < 12; k++) {
            size_t cuts[32];
            for (size_t j = 0; j < 32; j++)
                cuts[j] = 1 + RANDOM(9);
            got = play(&row, cuts, 32);
            differs = differs || !same(&got, &whole);
        }
        if (differs && wrong++ < 5) {
            (void)printf("# differs: ");
            for (const char *s = stream; *s != '\0'; s++)
                (void)printf(*s < ' ' ? "\\%03o" : "%c", *s);
            for (size_t i = 0; i < n_expect; i++)
                (void)printf("  expect %s", row.expect[i]);
            for (size_t i = 0; i < n_reject; i++)
                (void)printf("  reject %s", row.reject[i]);
            (void)printf("  whole %d %d %zu %zu, cut %d %d %zu %zu\n", (int)whole.before, (int)whole.after,
                         whole.met, whole.rejected, (int)got.before, (int)got.after, got.met, got.rejected);
        }
    }
#undef RANDOM
    char what[120];
    (void)snprintf(what, sizeof what,
                   "3000 random streams, %zu differ by their cuts (%zu pass, %zu rejected)", wrong, passed,
                   rejected);
    check(wrong == 0 && passed > 200 && rejected > 200, what);
}

static void test_settle(void)
{
    struct row row = {.expect = {"login: $", "done"}};
    struct console *console = open_row(&row);
    check(!console_unsettled(console), "nothing to settle on an empty line");
    check(console_push(console, "x login: ", 9) == CONSOLE_OPEN && console_met(console) == 0,
          "a prompt waits");
    check(console_unsettled(console), "a prompt is unsettled");
    check(console_settle(console) == CONSOLE_OPEN && console_met(console) == 1, "silence settles a prompt");
    check(console_push(console, "done", 4) == CONSOLE_PASS, "the next expectation follows on the same line");
    console_close(console);

    row = (struct row){.expect = {"OK"}, .reject = {"K!"}};
    console = open_row(&row);
    check(console_push(console, "OK", 2) == CONSOLE_OPEN && console_unsettled(console),
          "a rejection is possible");
    check(console_settle(console) == CONSOLE_PASS, "silence decides for the expectation");
    console_close(console);

    row = (struct row){.reject = {"bad$"}};
    console = open_row(&row);
    check(console_push(console, "bad", 3) == CONSOLE_OPEN && console_settle(console) == CONSOLE_OPEN,
          "silence rejects nothing");
    check(console_push(console, "ly\n", 3) == CONSOLE_OPEN, "and what follows counts");
    console_close(console);
}

static void test_limits(void)
{
    struct plat_err err = {0};
    struct console *console = NULL;
    static const char *const faulty[] = {"a(b", "", "[z-a]", "(?<=a+)b", "(*UTF)x", "\\C"};
    for (size_t i = 0; i < sizeof faulty / sizeof *faulty; i++) {
        int r = console_open(&(struct console_options){.expect = &faulty[i], .n_expect = 1}, &console, &err);
        check(r == PLAT_EINVALID && strstr(err.text, "--expect") != NULL && console == NULL, err.text);
    }
    struct row row = {.expect = {"(a+)+$"}};
    console = open_row(&row);
    char line[4000];
    memset(line, 'a', sizeof line - 2);
    line[sizeof line - 2] = 'b';
    line[sizeof line - 1] = '\n';
    check(console_push(console, line, sizeof line) == CONSOLE_FAILED &&
              strstr(console_error(console), "limit") != NULL,
          "a match that explodes is stopped by a limit");
    console_close(console);

    row = (struct row){.expect = {"b$", "END"}};
    console = open_row(&row);
    memset(line, 'a', sizeof line);
    for (unsigned i = 0; i < 1000; i++)
        (void)console_push(console, line, sizeof line);
    check(console_push(console, "b\nEND", 5) == CONSOLE_PASS, "4 MB without a line end");
    check(console_bytes(console) == 4000u * 1000 + 5, "every byte is counted");
    console_close(console);
}

static void test_text(void)
{
    struct row row = {.expect = {"never"}};
    struct console *console = open_row(&row);
    const char *text;
    size_t n;
    (void)console_push(console, "\033[2J\r\n\r\none\r\ntwo\033[0m\r\nthr", 25);
    console_fresh(console, &text, &n);
    check(n == 13 && memcmp(text, "\n\none\ntwo\nthr", 13) == 0, "fresh text is plain");
    console_fresh(console, &text, &n);
    check(n == 0, "and given once");
    struct strbuf tail = {0};
    console_tail(console, 2, &tail);
    check(strcmp(strbuf_str(&tail), "two\nthr\n") == 0, "the last two lines");
    strbuf_truncate(&tail, 0);
    console_tail(console, 50, &tail);
    check(strcmp(strbuf_str(&tail), "one\ntwo\nthr\n") == 0, "all lines, without the empty ones in front");
    for (unsigned i = 0; i < 5000; i++)
        (void)console_push(console, "0123456789\n", 11);
    strbuf_truncate(&tail, 0);
    console_tail(console, 3, &tail);
    check(strcmp(strbuf_str(&tail), "0123456789\n0123456789\n0123456789\n") == 0, "the tail wraps around");
    strbuf_free(&tail);
    console_close(console);
}

int main(void)
{
    test_rows();
    test_random();
    test_settle();
    test_limits();
    test_text();
    (void)printf("1..%u\n", n_tests);
    return n_failed == 0 ? 0 : 1;
}
