/* Any regular expressions and any bytes as a console: lines up to an empty one are expectations (or, behind a
 * '!', rejections), the rest comes off the line, once in one piece and once in pieces of 1 to 13 bytes. The
 * verdict must not depend on the pieces. */
#include <stdlib.h>
#include <string.h>

#include "boot/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_LINES = 8, LINE_BYTES = 128 };

struct outcome {
    int opened;
    enum console_verdict verdict;
    size_t met;
    uint64_t bytes;
};

static struct outcome judge(const struct console_options *options, const uint8_t *data, size_t n,
                            bool in_pieces)
{
    struct outcome outcome = {0};
    struct console *console = NULL;
    struct plat_err err = {0};
    struct strbuf tail = {0};
    const char *fresh;
    size_t n_fresh;
    outcome.opened = console_open(options, &console, &err);
    if (outcome.opened != 0)
        return outcome;
    for (size_t at = 0, piece; at < n; at += piece) {
        piece = in_pieces ? at % 13 + 1 : n;
        if (piece > n - at)
            piece = n - at;
        outcome.verdict = console_push(console, data + at, piece);
        console_fresh(console, &fresh, &n_fresh);
    }
    (void)console_unsettled(console);
    outcome.verdict = console_finish(console);
    outcome.met = console_met(console);
    outcome.bytes = outcome.verdict == CONSOLE_OPEN ? console_bytes(console) : 0;
    console_tail(console, 5, &tail);
    if (outcome.verdict == CONSOLE_FAILED && console_error(console)[0] == '\0')
        abort();
    strbuf_free(&tail);
    console_close(console);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char lines[MAX_LINES][LINE_BYTES];
    const char *expect[MAX_LINES], *reject[MAX_LINES];
    struct console_options options = {.expect = expect, .reject = reject};
    for (size_t i = 0; i < MAX_LINES && n > 0; i++) {
        const uint8_t *end = memchr(data, '\n', n);
        size_t length = end != NULL ? (size_t)(end - data) : n;
        if (length >= LINE_BYTES || memchr(data, 0, length) != NULL)
            break;
        memcpy(lines[i], data, length);
        lines[i][length] = '\0';
        data += length + (end != NULL);
        n -= length + (end != NULL);
        if (length == 0)
            break;
        if (lines[i][0] == '!')
            reject[options.n_reject++] = lines[i] + 1;
        else
            expect[options.n_expect++] = lines[i];
    }
    struct outcome whole = judge(&options, data, n, false), pieces = judge(&options, data, n, true);
    bool limit = whole.verdict == CONSOLE_FAILED || pieces.verdict == CONSOLE_FAILED;
    if (whole.opened != pieces.opened || (!limit && (whole.verdict != pieces.verdict ||
                                                     whole.met != pieces.met || whole.bytes != pieces.bytes)))
        abort();
    return 0;
}
