/* The progress line: "writing esp   42%  310.5 MiB/s  0:03 left". */
#include "lib/cli/private.h"

#include <time.h>

#include "lib/base/text.h"

enum { REDRAW_NS = 100000000, SECOND_NS = 1000000000, FIRST_DRAW_NS = 300000000, LINE_MAX_BYTES = 256 };

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void draw(struct cli_progress *bar, uint64_t now)
{
    const struct progress *p = &bar->progress;
    double seconds = (double)(now - bar->started_ns) / SECOND_NS;
    double rate = seconds > 0 ? (double)p->done_bytes / seconds : 0;
    char line[LINE_MAX_BYTES];
    char size[16];
    size_t room = (size_t)(bar->cli->columns > 20 ? bar->cli->columns : 20);
    int n = snprintf(line, sizeof line, "%s", p->phase != NULL ? p->phase : "working");
    if (p->total_bytes != 0 && n >= 0 && (size_t)n < sizeof line) {
        double share = (double)p->done_bytes / (double)p->total_bytes;
        n += snprintf(line + n, sizeof line - (size_t)n, " %3.0f%%", share > 1 ? 100.0 : share * 100);
    }
    if (n >= 0 && (size_t)n < sizeof line) {
        format_size((uint64_t)rate, size);
        n += snprintf(line + n, sizeof line - (size_t)n, "  %s/s", size);
    }
    if (n >= 0 && (size_t)n < sizeof line && p->total_bytes > p->done_bytes && rate >= 1) {
        double left = (double)(p->total_bytes - p->done_bytes) / rate;
        if (left < 360000)
            (void)snprintf(line + n, sizeof line - (size_t)n, "  %u:%02u left", (unsigned)left / 60,
                           (unsigned)left % 60);
    }
    /* One column stays free: a full line would wrap and could not be erased. */
    (void)fprintf(stderr, "\r%.*s\033[K", (int)(room - 1), line);
    (void)fflush(stderr);
    bar->drawn = true;
    bar->drawn_ns = now;
}

static void tick(struct progress *progress)
{
    struct cli_progress *bar = (struct cli_progress *)progress;
    uint64_t now = now_ns();
    /* Short work shows nothing: a line that flashes by says less than none. */
    if (now - bar->started_ns < FIRST_DRAW_NS || (bar->drawn && now - bar->drawn_ns < REDRAW_NS))
        return;
    draw(bar, now);
}

void cli_progress_init(struct cli_progress *bar, const struct cli *cli, const char *phase,
                       uint64_t total_bytes)
{
    *bar = (struct cli_progress){
        .progress = {.tick = cli->err_tty ? tick : NULL, .total_bytes = total_bytes, .phase = phase},
        .cli = cli,
        .started_ns = now_ns(),
    };
}

void cli_progress_done(struct cli_progress *bar)
{
    if (bar->drawn) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
    bar->drawn = false;
    bar->progress.tick = NULL;
}
