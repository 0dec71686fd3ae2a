/* QEMU's control channel: what its messages say, however they arrive, and what is no message; and the trial
 * that KVM has to pass. */
#include "boot/qmp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/proof.h"

static unsigned n_tests, n_failed;

static void check(bool good, const char *what)
{
    n_tests++;
    n_failed += !good;
    (void)printf("%sok %u - %s\n", good ? "" : "not ", n_tests, what);
}

static const char session[] =
    "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n"
    "{\"return\": {}, \"id\": 1}\r\n"
    "\r\n"
    "{\"return\": {\"status\": \"running\", \"running\": true}, \"id\": 2}\n"
    "{\"timestamp\": {\"seconds\": 1}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": "
    "\"guest-shutdown\"}}\r\n"
    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}, \"id\": 3}\r\n"
    "{\"return\": \"RIP=1\\r\\n\", \"id\": 4}\r\n"
    "{\"event\": \"STOP\"}\r\n";

/* One letter a message, with what was read from it. */
static void describe(const struct qmp_message *m, char *to, size_t n)
{
    size_t used = strlen(to);
    (void)snprintf(to + used, n - used, "%c%u,%s,%s,%s,%d,%.6s;", "GREV"[m->kind], m -> id, m -> name,
                   m -> status, m -> reason, m -> guest, m -> text);
}

static void test_session(void)
{
    static const char want[] =
        "G0,,,,0,;R1,,,,0,;R2,,running,,0,;V0,SHUTDOWN,,guest-shutdown,1,;E3,,,,0,no suc;"
        "R4,,,,0,RIP=1\r;V0,STOP,,,0,;";
    static struct qmp_message message;
    bool same = true;
    for (size_t piece = 1; piece < sizeof session; piece++) {
        struct qmp qmp = {0};
        struct plat_err err;
        char got[1024] = "";
        for (size_t at = 0; at < sizeof session - 1; at += piece) {
            size_t n = piece < sizeof session - 1 - at ? piece : sizeof session - 1 - at;
            same = same && qmp_push(&qmp, session + at, n, &err) == 0;
            while (qmp_next(&qmp, &message, &err) == 1)
                describe(&message, got, sizeof got);
        }
        same = same && strcmp(got, want) == 0;
        qmp_free(&qmp);
    }
    check(same, "a session reads the same in pieces of any size");
}

static void test_faults(void)
{
    static const char *const faults[] = {"hello\n",
                                         "{}\n",
                                         "[1,2]\n",
                                         "{\"event\": 5}\n",
                                         "{\"return\"\n",
                                         "{\"QMP\": 1}\n",
                                         "{\"a\": 1}{\"b\": 2}\n"};
    static struct qmp_message message;
    struct plat_err err = {0};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct qmp qmp = {0};
        (void)qmp_push(&qmp, faults[i], strlen(faults[i]), &err);
        check(qmp_next(&qmp, &message, &err) == PLAT_ECORRUPT && strstr(err.text, "control channel") != NULL,
              "what is no message is refused");
        qmp_free(&qmp);
    }
    struct qmp qmp = {0};
    static char huge[65536];
    int r = 0;
    size_t pushed = 0;
    memset(huge, 'x', sizeof huge);
    for (; r == 0 && pushed < 64; pushed++) {
        r = qmp_push(&qmp, huge, sizeof huge, &err);
        if (r == 0 && qmp_next(&qmp, &message, &err) != 0)
            r = 1;
    }
    check(r == PLAT_ELIMIT && pushed == 17, "a line without an end is stopped at its limit");
    qmp_free(&qmp);
}

static void test_command(void)
{
    struct strbuf line = {0};
    qmp_command(&line, "human-monitor-command", "info \"registers\"", 7);
    check(strcmp(strbuf_str(&line), "{\"execute\": \"human-monitor-command\", \"id\": 7, \"arguments\": "
                                    "{\"command-line\": \"info \\\"registers\\\"\"}}\r\n") == 0,
          "a command with an argument");
    strbuf_free(&line);
}

enum { MS = 1000000 };

/* Runs a trial with a sample every time it asks for one; returns the last action. */
static enum proof_action trial(bool running, bool moving, bool speaks, bool greets, unsigned *ret_ms)
{
    struct proof proof;
    enum proof_action action = PROOF_WAIT;
    unsigned ms = 0, samples = 0;
    proof_start(&proof, 0);
    for (; ms < 5000 && proof.state == PROOF_OPEN && action != PROOF_FAILED; ms++) {
        if (ms == 100 && greets) {
            proof_greeted(&proof, (uint64_t)ms * MS);
            proof.running = running;
        }
        action = proof_clock(&proof, (uint64_t)ms * MS, speaks);
        if (action == PROOF_SAMPLE)
            proof_sample(&proof, moving && samples++ % 2 == 1 ? "RIP=1" : "RIP=0");
    }
    proof_free(&proof);
    *ret_ms = ms - 1;
    return action;
}

static void test_proof(void)
{
    unsigned ms;
    check(trial(true, true, false, true, &ms) == PROOF_WAIT && ms == 1100,
          "a guest that moves holds after 1 s");
    check(trial(true, false, true, true, &ms) == PROOF_WAIT && ms == 1100, "so does one that speaks");
    check(trial(true, false, false, true, &ms) == PROOF_FAILED && ms == 1100,
          "one that stands still fails after 1 s");
    check(trial(false, true, true, true, &ms) == PROOF_FAILED && ms == 1100,
          "one that QEMU does not call running fails");
    check(trial(true, true, true, false, &ms) == PROOF_FAILED && ms == 3000,
          "a QEMU that never greets fails after 3 s");
    struct proof idle = {0};
    check(proof_clock(&idle, UINT64_MAX, false) == PROOF_WAIT && proof_next_ns(&idle) == UINT64_MAX,
          "nothing to prove, nothing to do");
}

int main(void)
{
    test_session();
    test_faults();
    test_command();
    test_proof();
    (void)printf("1..%u\n", n_tests);
    return n_failed == 0 ? 0 : 1;
}
