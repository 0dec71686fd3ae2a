/* Starting QEMU and its guard, and making sure that both are gone. */
#include "boot/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void default_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The guard's whole life: nothing but async-signal-safe calls, and no return. */
static _Noreturn void guard_main(int leash)
{
    sigset_t all;
    char byte;
    if (setpgid(0, 0) != 0) /* it must never kill the group that plat itself is in */
        _exit(1);
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* SIGKILL still works */
    (void)prctl(PR_SET_NAME, "plat-boot-guard");
    /* Whoever waits for the end of plat's output must not wait for the guard. */
    if (leash > 0)
        (void)close_range(0, (unsigned)leash - 1, 0);
    (void)close_range((unsigned)leash + 1, ~0U, 0);
    while (read(leash, &byte, 1) < 0 && errno == EINTR)
        ;
    (void)kill(0, SIGKILL); /* the group, and with it this process */
    _exit(0);
}

struct channels {
    int serial[2], qmp[2]; /* [0] is plat's end */
    int output[2], leash[2], report[2];
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_channels(struct channels *c)
{
    int *const all[] = {c->serial, c->qmp, c->output, c->leash, c->report};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        close_fd(&all[i][0]);
        close_fd(&all[i][1]);
    }
}

static int open_channels(struct channels *ret, struct plat_err *err)
{
    *ret = (struct channels){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret->serial) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret->qmp) != 0 ||
        pipe2(ret->output, O_CLOEXEC) != 0 || pipe2(ret->leash, O_CLOEXEC) != 0 ||
        pipe2(ret->report, O_CLOEXEC) != 0)
        return err_sys(err, errno, "opening channels to QEMU");
    return 0;
}

static _Noreturn void qemu_main(const struct channels *c, pid_t parent, pid_t group, char *const *args)
{
    int null = open("/dev/null", O_RDONLY);
    int failed = 0;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above: nobody will send the signal */
        _exit(0);
    default_signals();
    if (setpgid(0, group) != 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(c->output[1], STDOUT_FILENO) < 0 || dup2(c->output[1], STDERR_FILENO) < 0 ||
        fcntl(c->serial[1], F_SETFD, 0) != 0 || fcntl(c->qmp[1], F_SETFD, 0) != 0)
        failed = errno;
    if (failed == 0) {
        (void)execv(args[0], args);
        failed = errno;
    }
    (void)!write(c->report[1], &failed, sizeof failed);
    _exit(127);
}

/* Ends whatever of the group was started. */
static void kill_group(pid_t guard, pid_t pid, int *ret_status)
{
    int status = 0;
    /* The guard leads the group and is not reaped yet, so the number cannot belong to anyone else. */
    (void)kill(-guard, SIGKILL);
    if (pid > 0) {
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    while (waitpid(guard, NULL, 0) < 0 && errno == EINTR)
        ;
    if (ret_status != NULL)
        *ret_status = status;
}

static int start(struct channels *c, char *const *args, struct qemu_child *ret, struct plat_err *err)
{
    pid_t parent = getpid();
    int failed = 0;
    pid_t guard = fork();
    if (guard == 0)
        guard_main(c->leash[0]);
    if (guard < 0)
        return err_sys(err, errno, "starting QEMU's guard");
    (void)setpgid(guard, guard);
    pid_t pid = fork();
    if (pid == 0)
        qemu_main(c, parent, guard, args);
    int saved = errno;
    if (pid > 0)
        (void)setpgid(pid, guard); /* both sides: whoever comes first */
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pid > 0 && pidfd < 0)
        saved = errno;
    close_fd(&c->report[1]);
    if (pidfd >= 0 && read(c->report[0], &failed, sizeof failed) == (ssize_t)sizeof failed)
        saved = failed;
    if (pidfd < 0 || failed != 0) {
        kill_group(guard, pid, NULL);
        close_fd(&pidfd);
        return err_sys(err, saved, "starting %s", args[0]);
    }
    *ret = (struct qemu_child){.pid = pid,
                               .guard = guard,
                               .serial = c->serial[0],
                               .qmp = c->qmp[0],
                               .output = c->output[0],
                               .pidfd = pidfd,
                               .leash = c->leash[1]};
    c->serial[0] = c->qmp[0] = c->output[0] = c->leash[1] = -1;
    return 0;
}

int qemu_start(const struct qemu_machine *machine, enum accel accel, struct qemu_child *ret,
               struct plat_err *err)
{
    struct channels c;
    struct qemu_argv argv = {0};
    int r = open_channels(&c, err);
    if (r == 0) {
        qemu_command_line(machine, accel, c.serial[1], c.qmp[1], &argv);
        r = argv.failed ? err_nomem(err, "writing QEMU's command line") : start(&c, argv.args, ret, err);
    }
    close_channels(&c);
    qemu_argv_free(&argv);
    return r;
}

int qemu_stop(struct qemu_child *child)
{
    int status = 0;
    /* A QEMU that has already ended keeps the status that it ended with. */
    kill_group(child->guard, child->pid, &status);
    close_fd(&child->serial);
    close_fd(&child->qmp);
    close_fd(&child->output);
    close_fd(&child->pidfd);
    close_fd(&child->leash);
    return status;
}
