/* The guest's console: what a serial line says, judged against expectations.
 *
 * The stream is read as text in two ways, and a regular expression holds when it matches in either:
 *
 *   plain  the stream without ANSI escape sequences and control characters. CR LF, LF and a CR on its own end
 * a line. guest  plain, without the kernel's own messages: a message starts at "[   12.345678] ", anywhere in
 * a line, and ends with the line. What stood before it continues behind it, so that
 *
 *              MARK[   12.345678] random: crng init done      is read as      MARKER 1 done
 *              ER 1 done
 *
 * A regular expression (PCRE2, bytes) sees one line at a time: ^ and $ are the ends of the line. A line of
 * more than CONSOLE_LINE_MAX bytes counts as several.
 *
 * Expectations are met in order: each has to match behind the end of the one before. The first position in
 * the stream at which something is settled counts, so the verdict depends on the bytes alone and never on how
 * reads cut them up: an unfinished line is matched with PCRE2's hard partial matching, which answers only
 * when no later byte could change the answer. A caller that sees silence can ask for the unfinished line to
 * be taken as it stands (console_settle), which is how a prompt is found by "login: $". */
#ifndef PLAT_BOOT_CONSOLE_H
#define PLAT_BOOT_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/text.h"

enum {
    CONSOLE_LINE_MAX = 8192,       /* bytes of a line that one match sees */
    CONSOLE_BACKLOG_MAX = 1 << 20, /* bytes kept while a match waits for more text */
    CONSOLE_TAIL_MAX = 16384,      /* bytes remembered for console_tail */
    CONSOLE_PATTERN_MAX = 4096,    /* bytes of a regular expression */
    CONSOLE_MATCH_LIMIT = 1000000, /* PCRE2 steps of one match */
    CONSOLE_MATCH_HEAP_KIB = 8192, /* PCRE2 memory of one match */
    CONSOLE_MAX_PATTERNS = 1000    /* expectations, and as many rejections */
};

enum console_verdict {
    CONSOLE_OPEN,     /* nothing is settled yet */
    CONSOLE_PASS,     /* every expectation is met */
    CONSOLE_REJECTED, /* a rejection matched first; console_rejected() says which */
    CONSOLE_PANIC,    /* the kernel panicked first */
    CONSOLE_FAILED    /* a match ran into a limit; console_error() says which */
};

struct console;
struct console_options {
    const char *const *expect; /* in order; may be none */
    size_t n_expect;
    const char *const *reject; /* any order */
    size_t n_reject;
};

/* Texts of the options must outlive the console. PLAT_EINVALID names the regular expression and the position
 * of its fault. An expectation that speaks of a panic turns panic detection off. */
int console_open(const struct console_options *options, struct console **ret, struct plat_err *err);
void console_close(struct console *console);

/* Takes bytes off the line. Once the verdict is not CONSOLE_OPEN it stays. */
enum console_verdict console_push(struct console *console, const void *bytes, size_t n);
/* The line is silent: expectations are matched against the unfinished line as if it ended here. */
enum console_verdict console_settle(struct console *console);
/* The stream has ended: the unfinished line is a line. */
enum console_verdict console_finish(struct console *console);
/* Whether console_settle() could change anything. */
bool console_unsettled(const struct console *console);

size_t console_met(const struct console *console);      /* expectations met so far */
size_t console_rejected(const struct console *console); /* index of the rejection that matched */
const char *console_error(const struct console *console);
uint64_t console_bytes(const struct console *console); /* bytes of plain text so far, line ends included */

/* Plain text that came since the last call; valid until the next call on the console. */
void console_fresh(struct console *console, const char **ret, size_t *ret_n);
/* The last lines of plain text, at most `lines`, each ended by a newline; leading and trailing empty lines
 * left out. Appends to *ret. */
void console_tail(const struct console *console, size_t lines, struct strbuf *ret);

#endif
