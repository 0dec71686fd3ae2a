/* One run of a guest: console, control channel, clock and the process itself in one poll loop. */
#ifndef PLAT_BOOT_LOOP_H
#define PLAT_BOOT_LOOP_H

#include "boot/console.h"
#include "boot/qemu.h"

enum boot_outcome {
    BOOT_PASS,
    BOOT_MISSING, /* the guest ended before an expectation was met */
    BOOT_REJECTED,
    BOOT_PANIC,
    BOOT_TIMEOUT,
    BOOT_GUEST_EXIT,  /* the guest ended QEMU with a number (isa-debug-exit) */
    BOOT_GUEST_RESET, /* the guest reset without expectations to meet */
    BOOT_NO_FIRMWARE,
    BOOT_NO_QEMU,
    BOOT_QEMU_FAILED
};

struct boot_plan {
    const struct qemu_machine *machine;
    enum accel accel;
    bool kvm_present; /* /dev/kvm opens; ACCEL_AUTO tries it then */
    uint64_t timeout_ns;
    struct console_options console;
    int log_fd; /* raw bytes of the console; -1: none. Emptied when a run starts again */
    /* Plain text as it comes, and remarks of plat's own; each may be NULL. */
    void (*text)(void *ctx, const char *bytes, size_t n);
    void (*remark)(void *ctx, const char *line);
    void *ctx;
};

struct boot_result {
    enum boot_outcome outcome;
    enum accel accel;    /* that the guest ran on */
    char detail[400];    /* QEMU's message, why KVM was left: what a person needs beyond the outcome */
    char fallback[200];  /* why the run started again with tcg; "" when it did not */
    uint64_t elapsed_ns; /* of the run that counts */
    unsigned guest_exit;
    size_t n_met;       /* expectations */
    size_t rejected;    /* index, BOOT_REJECTED */
    struct strbuf tail; /* last lines of the console; free it */
};

enum { BOOT_TAIL_LINES = 15 };

/* Runs the guest until the outcome is known; nothing of it is left when this returns. A failure to judge (a
 * regular expression that runs into its limits, log file that cannot be written) is an error. */
int boot_run(const struct boot_plan *plan, struct boot_result *ret, struct plat_err *err);
const char *boot_outcome_name(enum boot_outcome outcome); /* "pass", "guest-exit", ... */

#endif
