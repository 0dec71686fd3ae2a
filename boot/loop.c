#include "boot/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "boot/proof.h"
#include "boot/qmp.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

static const uint64_t settle_after_ns = 30 * MS;  /* silence that makes an unfinished line count */
static const uint64_t power_down_ns = 2 * SECOND; /* from SHUTDOWN to the end of QEMU, before it is killed */
static const uint64_t linger_ns = 500 * MS; /* for what a guest says behind a panic or a rejected line */
static const uint64_t linger_silence_ns = 150 * MS;
enum { READ_BYTES = 65536, OUTPUT_MAX = 4096 };

struct run {
    const struct boot_plan *plan;
    struct qemu_child child;
    struct console *console;
    struct qmp qmp;
    struct proof proof; /* that KVM runs the guest; idle where nothing has to be proved */
    enum accel accel;
    uint64_t started_ns, deadline_ns, heard_ns, shutdown_ns;
    bool settled;  /* since heard_ns */
    bool shutdown; /* the SHUTDOWN event came */
    bool panicked; /* QEMU's own word for it */
    bool exited;
    bool over;                 /* outcome is known */
    bool fall_back;            /* KVM is no good: again with tcg */
    char reason[QMP_NAME_MAX]; /* of the shutdown */
    char output[OUTPUT_MAX];   /* QEMU's own messages, from the beginning */
    size_t n_output;
    unsigned next_id;
    struct boot_result *result;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void finish(struct run *run, enum boot_outcome outcome)
{
    run->over = true;
    run->result->outcome = outcome;
}

/* QEMU's last line of complaint, without its name in front. */
static const char *complaint(struct run *run, char *buf, size_t n)
{
    struct strbuf shown = {0};
    size_t end = run->n_output;
    while (end > 0 && (run->output[end - 1] == '\n' || run->output[end - 1] == '\r'))
        end--;
    const char *last = memrchr(run->output, '\n', end);
    const char *start = last != NULL ? last + 1 : run->output;
    strbuf_visible(&shown, start, (size_t)(run->output + end - start));
    (void)snprintf(buf, n, "%s", strbuf_str(&shown));
    strbuf_free(&shown);
    return buf;
}

/* The guest does not run and has not ended either: a failure, or the end of KVM's trial. */
static void guest_stopped(struct run *run, const char *why)
{
    if (run->proof.state == PROOF_OPEN) {
        run->fall_back = run->over = true;
        (void)snprintf(run->result->fallback, sizeof run->result->fallback, "%s after %.2f s", why,
                       (double)(now_ns() - run->started_ns) / (double)SECOND);
        return;
    }
    finish(run, BOOT_QEMU_FAILED);
    (void)snprintf(run->result->detail, sizeof run->result->detail, "%s%s", why,
                   run->accel == ACCEL_KVM ? "; `--accel tcg` runs without KVM" : "");
}

/* ---- the control channel ---- */

static unsigned send_command(struct run *run, const char *name, const char *argument)
{
    struct strbuf line = {0};
    unsigned id = ++run->next_id;
    qmp_command(&line, name, argument, id);
    /* A few hundred bytes into an empty socket: when that does not fit, nobody reads and the clock will tell.
     */
    if (!line.failed)
        (void)send(run->child.qmp, line.s, line.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    strbuf_free(&line);
    return id;
}

static void on_event(struct run *run, const struct qmp_message *message)
{
    if (strcmp(message->name, "SHUTDOWN") == 0) {
        run->shutdown = true;
        run->shutdown_ns = now_ns();
        (void)snprintf(run->reason, sizeof run->reason, "%s", message->reason);
    } else if (strcmp(message->name, "GUEST_PANICKED") == 0) {
        run->panicked = true;
    } else if (strcmp(message->name, "STOP") == 0 && !run->shutdown) {
        (void)send_command(run, "query-status", NULL);
    }
}

static void on_status(struct run *run, const char *status)
{
    char why[120];
    if (strcmp(status, "running") == 0)
        run->proof.running = true;
    if (strcmp(status, "internal-error") != 0 && strcmp(status, "io-error") != 0)
        return;
    (void)snprintf(why, sizeof why, "QEMU stopped the guest with %s", status);
    guest_stopped(run, why);
}

static void on_message(struct run *run, const struct qmp_message *message)
{
    switch (message->kind) {
    case QMP_GREETING:
        (void)send_command(run, "qmp_capabilities", NULL);
        (void)send_command(run, "query-status", NULL);
        proof_greeted(&run->proof, now_ns());
        return;
    case QMP_EVENT:
        on_event(run, message);
        return;
    case QMP_RETURN:
        if (message->status[0] != '\0')
            on_status(run, message->status);
        else if (message->id != 0 && message->id == run->proof.sample_id)
            proof_sample(&run->proof, message->text);
        return;
    case QMP_ERROR:
        return; /* an older QEMU without a command: the proof then rests on the console */
    }
}

static int read_control(struct run *run, struct plat_err *err)
{
    static const size_t room = READ_BYTES / 4;
    char bytes[READ_BYTES / 4];
    ssize_t n = recv(run->child.qmp, bytes, room, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            (void)close(run->child.qmp);
            run->child.qmp = -1;
        }
        return 0;
    }
    struct qmp_message message;
    int r = qmp_push(&run->qmp, bytes, (size_t)n, err);
    while (r == 0 && (r = qmp_next(&run->qmp, &message, err)) == 1) {
        on_message(run, &message);
        r = 0;
    }
    return r;
}

/* ---- the console ---- */

static int on_verdict(struct run *run, enum console_verdict verdict, struct plat_err *err)
{
    switch (verdict) {
    case CONSOLE_OPEN:
        break;
    case CONSOLE_PASS:
        finish(run, BOOT_PASS);
        break;
    case CONSOLE_REJECTED:
        finish(run, BOOT_REJECTED);
        break;
    case CONSOLE_PANIC:
        finish(run, BOOT_PANIC);
        break;
    case CONSOLE_FAILED:
        run->over = true;
        return err_set(err, PLAT_ELIMIT, "%s", console_error(run->console));
    }
    return 0;
}

static int write_log(int fd, const char *bytes, size_t n, struct plat_err *err)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_sys(err, errno, "writing --log");
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Reads once; *ret_n is 0 when there was nothing. */
static int read_console(struct run *run, size_t *ret_n, struct plat_err *err)
{
    char bytes[READ_BYTES];
    *ret_n = 0;
    ssize_t n = run->child.serial >= 0 ? recv(run->child.serial, bytes, sizeof bytes, MSG_DONTWAIT) : -1;
    if (n <= 0) {
        if (run->child.serial >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR))) {
            (void)close(run->child.serial);
            run->child.serial = -1;
        }
        return 0;
    }
    *ret_n = (size_t)n;
    run->heard_ns = now_ns();
    run->settled = false;
    const char *text;
    size_t n_text;
    enum console_verdict verdict = console_push(run->console, bytes, (size_t)n);
    console_fresh(run->console, &text, &n_text);
    if (run->plan->text != NULL && n_text > 0)
        run->plan->text(run->plan->ctx, text, n_text);
    int r = run->plan->log_fd >= 0 ? write_log(run->plan->log_fd, bytes, (size_t)n, err) : 0;
    if (r == 0 && !run->over)
        r = on_verdict(run, verdict, err);
    return r;
}

static void read_output(struct run *run)
{
    char bytes[1024];
    ssize_t n = read(run->child.output, bytes, sizeof bytes);
    if (n <= 0) {
        if (n == 0) {
            (void)close(run->child.output);
            run->child.output = -1;
        }
        return;
    }
    size_t room = sizeof run->output - run->n_output;
    size_t keep = (size_t)n < room ? (size_t)n : room;
    memcpy(run->output + run->n_output, bytes, keep);
    run->n_output += keep;
}

/* ---- the end of QEMU ---- */

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

static int drain(struct run *run, struct plat_err *err)
{
    size_t n = 1;
    int r = 0;
    while (r == 0 && n > 0 && !run->over)
        r = read_console(run, &n, err);
    while (r == 0 && readable(run->child.qmp))
        r = read_control(run, err);
    while (readable(run->child.output))
        read_output(run);
    return r;
}

/* What it means that QEMU ended with this wait status, when the console has decided nothing. */
static void judge_end(struct run *run, int status)
{
    char text[200];
    struct boot_result *result = run->result;
    bool expecting = run->plan->console.n_expect > 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (run->panicked || strcmp(run->reason, "guest-panic") == 0) {
        finish(run, BOOT_PANIC);
    } else if (run->shutdown && strcmp(run->reason, "guest-shutdown") == 0) {
        finish(run, expecting ? BOOT_MISSING : BOOT_PASS);
        (void)snprintf(result->detail, sizeof result->detail, "%s",
                       expecting ? "the guest powered down" : "");
    } else if (run->shutdown && strcmp(run->reason, "guest-reset") == 0) {
        finish(run, expecting ? BOOT_MISSING : BOOT_GUEST_RESET);
        (void)snprintf(result->detail, sizeof result->detail, "the guest reset itself");
    } else if (code >= 0 && (code == 0 || (code % 2 == 1 && (code > 1 || run->n_output == 0)))) {
        /* isa-debug-exit: a guest that writes v makes QEMU end with 2 v + 1. */
        finish(run, BOOT_GUEST_EXIT);
        result->guest_exit = (unsigned)code / 2;
    } else {
        (void)complaint(run, text, sizeof text);
        char how[60];
        if (WIFSIGNALED(status))
            (void)snprintf(how, sizeof how, "ended by signal %d (%s)", WTERMSIG(status),
                           strsignal(WTERMSIG(status)));
        else
            (void)snprintf(how, sizeof how, "exit status %d", code);
        char why[300];
        (void)snprintf(why, sizeof why, "%s%s%s", how, text[0] != '\0' ? ": " : "", text);
        guest_stopped(run, why);
    }
}

static int on_end(struct run *run, struct plat_err *err)
{
    int r = drain(run, err);
    siginfo_t info = {0};
    int status = 0;
    run->exited = true;
    if (r == 0 && !run->over)
        r = on_verdict(run, console_finish(run->console), err);
    if (r != 0 || run->over)
        return r;
    if (waitid(P_PID, (id_t)run->child.pid, &info, WEXITED | WNOWAIT) == 0)
        status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    judge_end(run, status);
    return 0;
}

static int on_timeout(struct run *run, struct plat_err *err)
{
    int r = on_verdict(run, console_finish(run->console), err);
    if (r == 0 && !run->over)
        finish(run, run->panicked ? BOOT_PANIC : BOOT_TIMEOUT);
    return r;
}

/* ---- the loop ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int on_clock(struct run *run, struct plat_err *err)
{
    uint64_t now = now_ns();
    if (!run->settled && console_unsettled(run->console) && now >= run->heard_ns + settle_after_ns) {
        run->settled = true;
        int r = on_verdict(run, console_settle(run->console), err);
        if (r != 0 || run->over)
            return r;
    }
    enum proof_action action = proof_clock(&run->proof, now, console_bytes(run->console) > 0);
    if (action == PROOF_SAMPLE) {
        (void)send_command(run, "query-status", NULL);
        run->proof.sample_id = send_command(run, "human-monitor-command", "info registers");
    } else if (action == PROOF_FAILED) {
        guest_stopped(run, run->proof.running ? "the guest made no progress"
                                              : "QEMU did not say that the guest runs");
    }
    if (!run->over && now >= run->deadline_ns)
        return on_timeout(run, err);
    if (!run->over && run->shutdown && now >= run->shutdown_ns + power_down_ns) {
        int r = on_verdict(run, console_finish(run->console), err);
        if (r == 0 && !run->over)
            judge_end(run, 0);
        return r;
    }
    return 0;
}

static int wait_ms(const struct run *run)
{
    uint64_t now = now_ns();
    uint64_t until = earlier(run->deadline_ns, proof_next_ns(&run->proof));
    if (run->shutdown)
        until = earlier(until, run->shutdown_ns + power_down_ns);
    if (!run->settled && console_unsettled(run->console))
        until = earlier(until, run->heard_ns + settle_after_ns);
    if (until <= now)
        return 0;
    uint64_t ms = (until - now + MS - 1) / MS;
    return ms > 60000 ? 60000 : (int)ms;
}

static int turn(struct run *run, struct plat_err *err)
{
    size_t n;
    struct pollfd fds[] = {{.fd = run->child.serial, .events = POLLIN},
                           {.fd = run->child.qmp, .events = POLLIN},
                           {.fd = run->child.output, .events = POLLIN},
                           {.fd = run->child.pidfd, .events = POLLIN}};
    if (poll(fds, sizeof fds / sizeof *fds, wait_ms(run)) < 0 && errno != EINTR)
        return err_sys(err, errno, "waiting for the guest");
    int r = 0;
    if (fds[0].revents != 0)
        r = read_console(run, &n, err);
    if (r == 0 && !run->over && fds[1].revents != 0)
        r = read_control(run, err);
    if (fds[2].revents != 0)
        read_output(run);
    if (r == 0 && !run->over && fds[3].revents != 0)
        return on_end(run, err);
    return r == 0 && !run->over ? on_clock(run, err) : r;
}

/* A panic's call trace comes behind its first line. */
static int linger(struct run *run, struct plat_err *err)
{
    uint64_t until = now_ns() + linger_ns;
    int r = 0;
    while (r == 0 && run->child.serial >= 0 && !run->exited) {
        uint64_t now = now_ns();
        uint64_t stop = earlier(until, run->heard_ns + linger_silence_ns);
        struct pollfd p = {.fd = run->child.serial, .events = POLLIN};
        size_t n;
        if (now >= stop || poll(&p, 1, (int)((stop - now) / MS) + 1) <= 0)
            break;
        r = read_console(run, &n, err);
    }
    return r;
}

static int run_once(struct run *run, struct plat_err *err)
{
    const struct boot_plan *plan = run->plan;
    int r = console_open(&plan->console, &run->console, err);
    if (r != 0)
        return r;
    run->started_ns = run->heard_ns = now_ns();
    run->deadline_ns = run->started_ns + plan->timeout_ns;
    r = qemu_start(plan->machine, run->accel, &run->child, err);
    if (r != 0) {
        finish(run, BOOT_QEMU_FAILED);
        (void)snprintf(run->result->detail, sizeof run->result->detail, "%.390s",
                       err != NULL ? err->text : "");
        console_close(run->console);
        return 0;
    }
    while (r == 0 && !run->over)
        r = turn(run, err);
    run->result->elapsed_ns = now_ns() - run->started_ns;
    if (r == 0 && !run->fall_back &&
        (run->result->outcome == BOOT_PANIC || run->result->outcome == BOOT_REJECTED))
        r = linger(run, err);
    (void)qemu_stop(&run->child);
    run->result->accel = run->accel;
    run->result->n_met = console_met(run->console);
    run->result->rejected = console_rejected(run->console);
    console_tail(run->console, BOOT_TAIL_LINES, &run->result->tail);
    console_close(run->console);
    qmp_free(&run->qmp);
    return r;
}

int boot_run(const struct boot_plan *plan, struct boot_result *ret, struct plat_err *err)
{
    char line[300];
    struct run run = {.plan = plan, .result = ret, .accel = plan->accel};
    *ret = (struct boot_result){0};
    if (plan->accel == ACCEL_AUTO)
        run.accel = plan->kvm_present ? ACCEL_KVM : ACCEL_TCG;
    if (plan->accel == ACCEL_AUTO && run.accel == ACCEL_KVM)
        proof_start(&run.proof, now_ns());
    int r = run_once(&run, err);
    proof_free(&run.proof);
    if (r != 0 || !run.fall_back)
        return r;
    (void)snprintf(line, sizeof line, "KVM does not run this guest (%s); starting again with tcg",
                   ret->fallback);
    if (plan->remark != NULL)
        plan->remark(plan->ctx, line);
    if (plan->log_fd >= 0 && lseek(plan->log_fd, 0, SEEK_SET) == 0 && ftruncate(plan->log_fd, 0) != 0)
        return err_sys(err, errno, "emptying --log");
    strbuf_truncate(&ret->tail, 0);
    run = (struct run){.plan = plan, .result = ret, .accel = ACCEL_TCG};
    return run_once(&run, err);
}

const char *boot_outcome_name(enum boot_outcome outcome)
{
    static const char *const names[] = {"pass",       "missing",     "rejected",    "panic",   "timeout",
                                        "guest-exit", "guest-reset", "no-firmware", "no-qemu", "qemu-failed"};
    return names[outcome];
}
