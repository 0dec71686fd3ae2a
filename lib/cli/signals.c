/* Signals, in one place.
 *
 * SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGPIPE remove the temporary outputs of this process and then end it
 * as the signal would have, so that a shell sees the true cause and no half-written image stays behind. A
 * signal that the parent ignores (nohup, a pipeline that wants EPIPE) stays ignored. SIGXFSZ is ignored, so
 * that a file-size limit becomes an error message from write(). */
#include "lib/cli/private.h"

#include <signal.h>
#include <string.h>

#include "lib/io/dev.h"

/* What only a handler and the one thread that asks for it share. */
static volatile sig_atomic_t held, noted;

static void abandon_and_die(int signal_number)
{
    if (held != 0) { /* a second one of the same kind does its work at once: SA_RESETHAND */
        noted = signal_number;
        if (signal_number == SIGPIPE) /* which is nobody's impatience: the next write would be the second */
            (void)signal(SIGPIPE, SIG_IGN);
        return;
    }
    dev_output_abandon_all();
    /* SA_RESETHAND has put the default action back and SA_NODEFER leaves the signal deliverable. */
    (void)raise(signal_number);
}

void cli_signals_install(void)
{
    static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        struct sigaction old;
        if (sigaction(deadly[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
            continue;
        struct sigaction act = {.sa_handler = abandon_and_die, .sa_flags = (int)(SA_RESETHAND | SA_NODEFER)};
        (void)sigemptyset(&act.sa_mask);
        (void)sigaction(deadly[i], &act, NULL);
    }
    (void)signal(SIGXFSZ, SIG_IGN);
}

void cli_signals_hold(void)
{
    held = 1;
}

bool cli_signals_noted(void)
{
    return noted != 0;
}

void cli_signals_release(void)
{
    held = 0;
    if (noted == 0)
        return;
    dev_output_abandon_all();
    (void)signal((int)noted, SIG_DFL);
    (void)raise((int)noted);
}
