#include "boot/console.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/strip.h"

enum { PLAIN, GUEST, N_VIEWS };

/* Text and, for each byte, its position in the plain stream: 0, 1, 2... A line end that was put in because a
 * line grew too long has the position of the byte behind it. */
struct view {
    char *text;
    uint64_t *pos;
    size_t n, room;
    size_t line;        /* where the unfinished line starts */
    uint64_t forgotten; /* position behind the text that is no longer here */
};

enum scan_state {
    SCAN_NONE,    /* no match in what there is, whatever comes behind it */
    SCAN_PARTIAL, /* more text decides; `at` is where the possible match starts */
    SCAN_MATCH    /* `at` is the position behind the first match */
};
struct scan {
    enum scan_state state;
    size_t from; /* index in the view: nothing before it can start a match */
    uint64_t at;
    uint64_t floor; /* position where the search started: no match ends before it */
};
struct pattern {
    const char *text;
    pcre2_code *code;
    struct scan scan[N_VIEWS];
    bool may_be_empty; /* the pattern can match nothing */
    uint64_t met_at;   /* expectations that are met: the position behind the match */
};

enum mode {
    MODE_STREAM, /* more text may come */
    MODE_SETTLE, /* silence: take the unfinished line as it stands, for expectations */
    MODE_FINISH  /* the end: the unfinished line is a line */
};

struct console {
    struct strip strip;
    struct stamp stamp;
    struct view views[N_VIEWS];
    uint64_t position;        /* of the next plain byte */
    uint64_t held_at;         /* of the first byte that stamp holds */
    struct pattern *patterns; /* expectations, rejections, the panic */
    size_t n_expect, n_reject;
    bool with_panic;
    size_t n_met;
    uint64_t met_at; /* behind the last expectation that was met */
    bool waiting;    /* a match is found, but an earlier one is still possible */
    enum console_verdict verdict;
    size_t rejected;
    char error[256];
    pcre2_match_data *match;
    pcre2_match_context *limits;
    char *fresh;
    size_t n_fresh, fresh_room;
    char tail[CONSOLE_TAIL_MAX]; /* ring */
    size_t tail_at;
};

/* ---- opening ---- */

static int compile(const char *text, const char *option, struct pattern *ret, struct plat_err *err)
{
    int fault = 0;
    PCRE2_SIZE at = 0;
    size_t n = strlen(text);
    if (n == 0)
        return err_set(err, PLAT_EINVALID, "%s: the regular expression is empty and would match anything",
                       option);
    if (n > CONSOLE_PATTERN_MAX)
        return err_set(err, PLAT_ELIMIT, "%s: a regular expression of %zu bytes; at most %d are accepted",
                       option, n, CONSOLE_PATTERN_MAX);
    ret->text = text;
    ret->code =
        pcre2_compile((PCRE2_SPTR)text, n, PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &fault, &at, NULL);
    if (ret->code == NULL) {
        char why[200];
        (void)pcre2_get_error_message(fault, (PCRE2_UCHAR *)why, sizeof why);
        return err_set(err, PLAT_EINVALID, "%s \"%s\": %s, at character %zu", option, text, why,
                       (size_t)at + 1);
    }
    uint32_t may_be_empty = 0;
    (void)pcre2_pattern_info(ret->code, PCRE2_INFO_MATCHEMPTY, &may_be_empty);
    ret->may_be_empty = may_be_empty != 0;
    return 0;
}

static bool speaks_of_panic(const char *text)
{
    return strcasestr(text, "panic") != NULL;
}

static int compile_all(struct console *console, const struct console_options *options, struct plat_err *err)
{
    size_t at = 0;
    int r = 0;
    for (size_t i = 0; i < options->n_expect && r == 0; i++) {
        console->with_panic = console->with_panic && !speaks_of_panic(options->expect[i]);
        r = compile(options->expect[i], "--expect", &console->patterns[at++], err);
    }
    for (size_t i = 0; i < options->n_reject && r == 0; i++)
        r = compile(options->reject[i], "--reject", &console->patterns[at++], err);
    if (r == 0)
        r = compile("Kernel panic - not syncing", "panic", &console->patterns[at], err);
    return r;
}

int console_open(const struct console_options *options, struct console **ret, struct plat_err *err)
{
    if (options->n_expect > CONSOLE_MAX_PATTERNS || options->n_reject > CONSOLE_MAX_PATTERNS)
        return err_set(err, PLAT_ELIMIT, "at most %d --expect and --reject each are accepted",
                       CONSOLE_MAX_PATTERNS);
    struct console *console = calloc(1, sizeof *console);
    if (console == NULL)
        return err_nomem(err, "opening the console");
    console->n_expect = options->n_expect;
    console->n_reject = options->n_reject;
    console->with_panic = true;
    console->patterns = calloc(options->n_expect + options->n_reject + 1, sizeof *console->patterns);
    console->match = pcre2_match_data_create(1, NULL);
    console->limits = pcre2_match_context_create(NULL);
    if (console->patterns == NULL || console->match == NULL || console->limits == NULL) {
        console_close(console);
        return err_nomem(err, "opening the console");
    }
    (void)pcre2_set_match_limit(console->limits, CONSOLE_MATCH_LIMIT);
    (void)pcre2_set_heap_limit(console->limits, CONSOLE_MATCH_HEAP_KIB);
    int r = compile_all(console, options, err);
    if (r != 0) {
        console_close(console);
        return r;
    }
    *ret = console;
    return 0;
}

void console_close(struct console *console)
{
    if (console == NULL)
        return;
    for (size_t i = 0; console->patterns != NULL && i < console->n_expect + console->n_reject + 1; i++)
        pcre2_code_free(console->patterns[i].code);
    for (size_t v = 0; v < N_VIEWS; v++) {
        free(console->views[v].text);
        free(console->views[v].pos);
    }
    pcre2_match_data_free(console->match);
    pcre2_match_context_free(console->limits);
    free(console->patterns);
    free(console->fresh);
    free(console);
}

/* ---- text ---- */

static enum console_verdict give_up(struct console *console, const char *what, const char *why)
{
    (void)snprintf(console->error, sizeof console->error, "matching \"%.100s\": %s", what, why);
    console->verdict = CONSOLE_FAILED;
    return console->verdict;
}

static void view_put(struct console *console, struct view *view, char c, uint64_t pos)
{
    if (view->n == view->room) {
        size_t room = view->room == 0 ? 4096 : view->room * 2;
        char *text = realloc(view->text, room);
        if (text != NULL)
            view->text = text;
        uint64_t *positions = reallocarray(view->pos, room, sizeof *positions);
        if (positions != NULL)
            view->pos = positions;
        if (text == NULL || positions == NULL) {
            (void)give_up(console, "the console", "out of memory");
            return;
        }
        view->room = room;
    }
    view->text[view->n] = c;
    view->pos[view->n++] = pos;
    if (c == '\n')
        view->line = view->n;
}

static void view_add(struct console *console, struct view *view, char c, uint64_t pos)
{
    if (c != '\n' && view->n - view->line >= CONSOLE_LINE_MAX)
        view_put(console, view, '\n', pos);
    view_put(console, view, c, pos);
}

static void add_char(struct console *console, char c)
{
    char guest[STAMP_HELD_MAX + 1];
    uint64_t pos = console->position++;
    console->tail[console->tail_at++ % CONSOLE_TAIL_MAX] = c;
    view_add(console, &console->views[PLAIN], c, pos);
    bool held_before = console->stamp.n_held > 0;
    uint64_t first = held_before ? console->held_at : pos;
    unsigned n = stamp_char(&console->stamp, c, guest);
    for (unsigned i = 0; i < n; i++)
        view_add(console, &console->views[GUEST], guest[i], first + i);
    if (console->stamp.n_held > 0 && (!held_before || n > 0))
        console->held_at = pos;
    if (console->n_fresh < console->fresh_room)
        console->fresh[console->n_fresh++] = c;
}

/* Position of the first text that the current expectation could still match, so that the next one starts
 * behind it. */
static uint64_t oldest_wanted(const struct console *console)
{
    uint64_t oldest = console->stamp.n_held > 0 ? console->held_at : UINT64_MAX;
    for (size_t v = 0; v < N_VIEWS && console->n_met < console->n_expect; v++) {
        const struct scan *scan = &console->patterns[console->n_met].scan[v];
        if (scan->state == SCAN_PARTIAL && scan->at < oldest)
            oldest = scan->at;
    }
    return oldest;
}

/* Drops finished lines that no pattern will look at again: all that end before `oldest`. */
static void forget(struct console *console, size_t which, uint64_t oldest)
{
    struct view *view = &console->views[which];
    size_t drop = view->line;
    while (drop > 0 && view->pos[drop - 1] >= oldest)
        drop--;
    while (drop > 0 && view->text[drop - 1] != '\n')
        drop--;
    if (drop == 0)
        return;
    view->forgotten = view->pos[drop - 1] + 1;
    memmove(view->text, view->text + drop, view->n - drop);
    memmove(view->pos, view->pos + drop, (view->n - drop) * sizeof *view->pos);
    view->n -= drop;
    view->line -= drop;
    for (size_t i = 0; i < console->n_expect + console->n_reject + 1; i++) {
        struct scan *scan = &console->patterns[i].scan[which];
        scan->from = scan->from > drop ? scan->from - drop : 0;
    }
}

/* ---- matching ---- */

/* Position of the byte at `index`; behind the last byte, of the byte to come. */
static uint64_t position_at(const struct console *console, const struct view *view, size_t index)
{
    return index < view->n ? view->pos[index] : console->position;
}
/* Position of a match's end at `index`: behind the byte before it. */
static uint64_t end_at(const struct scan *scan, const struct view *view, size_t index)
{
    uint64_t end = index > 0 ? view->pos[index - 1] + 1 : view->forgotten;
    return end > scan->floor ? end : scan->floor;
}

/* Looks for the first match from scan->from on. In MODE_STREAM the answer holds whatever comes next. */
static void scan_view(struct console *console, struct pattern *pattern, size_t which, enum mode mode)
{
    struct scan *scan = &pattern->scan[which];
    const struct view *view = &console->views[which];
    if (scan->state == SCAN_MATCH)
        return;
    size_t line = scan->from;
    while (line > 0 && view->text[line - 1] != '\n')
        line--;
    while (line < view->n) {
        const char *end = memchr(view->text + scan->from, '\n', view->n - scan->from);
        size_t n = (end != NULL ? (size_t)(end - view->text) : view->n) - line;
        bool partial = end == NULL && mode == MODE_STREAM;
        int rc = pcre2_match(pattern->code, (PCRE2_SPTR)view->text + line, n, scan->from - line,
                             partial ? PCRE2_PARTIAL_HARD : 0, console->match, console->limits);
        const PCRE2_SIZE *found = pcre2_get_ovector_pointer(console->match);
        /* An empty match at the end of an unfinished line: "$" or "x*", which the next byte can still undo.
         */
        bool undone = partial && rc >= 0 && found[0] == n && found[1] == n;
        if (rc >= 0 && !undone) {
            scan->state = SCAN_MATCH;
            scan->at = end_at(scan, view, line + found[1]);
            return;
        }
        if (rc == PCRE2_ERROR_PARTIAL || undone) {
            scan->state = SCAN_PARTIAL;
            scan->from = line + found[0];
            scan->at = position_at(console, view, scan->from);
            return;
        }
        if (rc != PCRE2_ERROR_NOMATCH) {
            char why[120];
            (void)pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
            (void)give_up(console, pattern->text, why);
            return;
        }
        if (end == NULL) {
            if (mode != MODE_SETTLE) {
                scan->state = SCAN_NONE;
                scan->from = view->n;
            }
            return;
        }
        line += n + 1;
        scan->from = line;
        scan->state = SCAN_NONE;
    }
}

/* The position behind the pattern's first match in either view, and whether an earlier one is still possible.
 */
static bool first_match(struct console *console, struct pattern *pattern, enum mode mode, uint64_t *ret)
{
    bool found = false;
    for (size_t v = 0; v < N_VIEWS && console->verdict != CONSOLE_FAILED; v++) {
        scan_view(console, pattern, v, mode);
        const struct scan *scan = &pattern->scan[v];
        if (scan->state == SCAN_MATCH && (!found || scan->at < *ret)) {
            *ret = scan->at;
            found = true;
        }
    }
    return found;
}

/* Whether the pattern's first match may have an end before `at`, or could get one by more text. An empty
 * match at the end of the text may also end exactly there, which counts when `or_at`. */
static bool may_end_before(const struct console *console, const struct pattern *pattern, uint64_t at,
                           bool or_at)
{
    for (size_t v = 0; v < N_VIEWS; v++) {
        const struct scan *scan = &pattern->scan[v];
        const struct view *view = &console->views[v];
        if (scan->state != SCAN_NONE && scan->at < at)
            return true;
        /* What may be empty can end where its search stands, also when more text could make it longer. */
        bool stands = scan->state == SCAN_PARTIAL || (scan->state == SCAN_NONE && scan->from == view->n);
        if (pattern->may_be_empty && stands) {
            uint64_t end = end_at(scan, view, scan->from);
            if (end < at || (or_at && end == at))
                return true;
        }
    }
    return console->stamp.n_held > 0 && console->held_at < at;
}

/* The next expectation starts its search at the position where the last one ended. */
static void start_search(struct console *console, struct pattern *pattern)
{
    for (size_t v = 0; v < N_VIEWS; v++) {
        const struct view *view = &console->views[v];
        size_t from = view->n;
        while (from > 0 && view->pos[from - 1] >= console->met_at)
            from--;
        pattern->scan[v] = (struct scan){.from = from, .floor = console->met_at};
    }
}

static void match_expectations(struct console *console, enum mode mode)
{
    while (console->n_met < console->n_expect && console->verdict != CONSOLE_FAILED) {
        struct pattern *pattern = &console->patterns[console->n_met];
        uint64_t at;
        if (!first_match(console, pattern, mode, &at))
            return;
        if (mode == MODE_STREAM && may_end_before(console, pattern, at, false)) {
            console->waiting = true;
            return;
        }
        pattern->met_at = console->met_at = at;
        if (++console->n_met < console->n_expect)
            start_search(console, &console->patterns[console->n_met]);
    }
}

/* Rejections and the panic, against what the expectations have come to. */
static void judge(struct console *console, enum mode mode)
{
    struct pattern *rejections = console->patterns + console->n_expect;
    size_t n = console->n_reject + (console->with_panic ? 1 : 0);
    bool passed = console->n_expect > 0 && console->n_met == console->n_expect;
    uint64_t limit = passed ? console->met_at : UINT64_MAX; /* what ends behind it came too late */
    enum mode how = mode == MODE_FINISH ? MODE_FINISH : MODE_STREAM;
    size_t first = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t at;
        if (first_match(console, &rejections[i], how, &at) && at <= limit && (first == n || at < limit)) {
            limit = at;
            first = i;
        }
    }
    if (console->verdict == CONSOLE_FAILED || (first == n && !passed))
        return;
    bool open = console->n_met < console->n_expect &&
                may_end_before(console, &console->patterns[console->n_met], limit, false);
    for (size_t i = 0; i < n; i++)
        open = open || may_end_before(console, &rejections[i], limit, true);
    if (mode == MODE_STREAM && open) {
        console->waiting = true;
        return;
    }
    /* What was met where the rejection ends or behind it, in the same piece of text, does not count. */
    while (first < n && console->n_met > 0 && console->patterns[console->n_met - 1].met_at >= limit)
        console->n_met--;
    console->rejected = first;
    console->verdict = first == n                   ? CONSOLE_PASS
                       : first == console->n_reject ? CONSOLE_PANIC
                                                    : CONSOLE_REJECTED;
}

static enum console_verdict decide(struct console *console, enum mode mode)
{
    if (console->verdict != CONSOLE_OPEN)
        return console->verdict;
    bool overflow = console->views[PLAIN].n > CONSOLE_BACKLOG_MAX;
    if (mode == MODE_STREAM && overflow)
        mode = MODE_SETTLE;
    console->waiting = false;
    match_expectations(console, mode);
    if (console->verdict != CONSOLE_FAILED)
        judge(console, mode);
    if (console->verdict == CONSOLE_OPEN && !console->waiting)
        for (size_t v = 0; v < N_VIEWS; v++)
            forget(console, v, overflow ? UINT64_MAX : oldest_wanted(console));
    return console->verdict;
}

/* ---- the outside ---- */

enum console_verdict console_push(struct console *console, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    if (n * STRIP_OUT_MAX > console->fresh_room) {
        char *grown = realloc(console->fresh, n * STRIP_OUT_MAX);
        if (grown == NULL)
            return give_up(console, "the console", "out of memory");
        console->fresh = grown;
        console->fresh_room = n * STRIP_OUT_MAX;
    }
    console->n_fresh = 0;
    for (size_t i = 0; i < n; i++) {
        char plain[STRIP_OUT_MAX];
        unsigned n_plain = strip_byte(&console->strip, p[i], plain);
        for (unsigned j = 0; j < n_plain; j++)
            add_char(console, plain[j]);
    }
    return decide(console, MODE_STREAM);
}

enum console_verdict console_settle(struct console *console)
{
    return decide(console, MODE_SETTLE);
}

enum console_verdict console_finish(struct console *console)
{
    char guest[STAMP_HELD_MAX + 1];
    unsigned n = stamp_end(&console->stamp, guest);
    for (unsigned i = 0; i < n; i++)
        view_add(console, &console->views[GUEST], guest[i], console->held_at + i);
    return decide(console, MODE_FINISH);
}

bool console_unsettled(const struct console *console)
{
    if (console->verdict != CONSOLE_OPEN)
        return false;
    if (console->waiting || console->n_met >= console->n_expect)
        return console->waiting;
    for (size_t v = 0; v < N_VIEWS; v++)
        if (console->views[v].n > console->views[v].line)
            return true;
    return false;
}

size_t console_met(const struct console *console)
{
    return console->n_met;
}

size_t console_rejected(const struct console *console)
{
    return console->rejected;
}

const char *console_error(const struct console *console)
{
    return console->error;
}

uint64_t console_bytes(const struct console *console)
{
    return console->position;
}

void console_fresh(struct console *console, const char **ret, size_t *ret_n)
{
    *ret = console->fresh;
    *ret_n = console->n_fresh;
    console->n_fresh = 0;
}

void console_tail(const struct console *console, size_t lines, struct strbuf *ret)
{
    struct strbuf text = {0};
    size_t n = console->tail_at < CONSOLE_TAIL_MAX ? console->tail_at : CONSOLE_TAIL_MAX;
    for (size_t i = 0; i < n; i++)
        strbuf_putc(&text, console->tail[(console->tail_at - n + i) % CONSOLE_TAIL_MAX]);
    const char *s = strbuf_str(&text);
    size_t end = text.len;
    while (end > 0 && (s[end - 1] == '\n' || s[end - 1] == ' '))
        end--;
    size_t start = end;
    for (size_t found = 0; start > 0; start--)
        if (s[start - 1] == '\n' && ++found == lines)
            break;
    while (start < end && s[start] == '\n')
        start++;
    strbuf_add(ret, s + start, end - start);
    if (end > start)
        strbuf_putc(ret, '\n');
    strbuf_free(&text);
}
