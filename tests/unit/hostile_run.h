/* Running plat's commands inside a test: as from a shell, with nothing printed, and stopped when they hang.
 */
#ifndef PLAT_TESTS_HOSTILE_RUN_H
#define PLAT_TESTS_HOSTILE_RUN_H

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "inspect/commands.h"
#include "mkimage/commands.h"
#include "tests/unit/hostile_image.h"

enum { RUN_SECONDS = 60, RUN_MAX_ARGS = 12 };

/* The exit code. Output and messages go to the descriptor `to` (-1: nowhere). A command that takes
 * RUN_SECONDS ends the test program (SIGALRM), which fails it. */
static inline int run_command_into(int to, const char *const *args)
{
    static const struct command *const commands[] = {&command_verify,  &command_dump, &command_hex,
                                                     &command_get,     &command_ls,   &command_cat,
                                                     &command_extract, &command_store};
    char *argv[RUN_MAX_ARGS + 2] = {(char *)(uintptr_t) "plat"};
    int argc = 1;
    for (; args[argc - 1] != NULL && argc <= RUN_MAX_ARGS; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    (void)fflush(stdout);
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (out < 0 || err < 0 || nothing < 0 || dup2(to < 0 ? nothing : to, STDOUT_FILENO) < 0 ||
        dup2(to < 0 ? nothing : to, STDERR_FILENO) < 0)
        hostile_die("redirecting output", NULL);
    (void)alarm(RUN_SECONDS);
    int code = cli_main(commands, sizeof commands / sizeof commands[0], argc, argv);
    (void)alarm(0);
    (void)fflush(stdout);
    (void)fflush(stderr);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    (void)close(out);
    (void)close(err);
    (void)close(nothing);
    return code;
}
static inline int run_command(const char *const *args)
{
    return run_command_into(-1, args);
}

/* ---- a directory to extract into, with a neighbour that must stay as it is ---- */

static char run_scratch[64];

static inline void run_scratch_open(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(run_scratch, sizeof run_scratch, "%.40s/plat-hostile-XXXXXX",
                   base != NULL ? base : "/tmp");
    if (mkdtemp(run_scratch) == NULL)
        hostile_die("a scratch directory", NULL);
}

static inline int run_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void run_remove(const char *path)
{
    (void)nftw(path, run_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
