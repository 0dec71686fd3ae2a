/* Proving that KVM really runs the guest. /dev/kvm may open and QEMU may start, and still nothing runs: on
 * some virtual machines the guest stops with an internal error after 0.3 s, or stands still without any
 * error. So KVM is on trial for a second after QEMU's greeting. It is trusted when at the end of it QEMU says
 * "running" and the guest has made progress: it has written to its console, or its registers differ between
 * two samples that are far enough apart. This decides; the poll loop asks QEMU. */
#ifndef PLAT_BOOT_PROOF_H
#define PLAT_BOOT_PROOF_H

#include <stdbool.h>
#include <stdint.h>

enum proof_state { PROOF_IDLE, PROOF_OPEN, PROOF_HOLDS };
enum proof_action { PROOF_WAIT, PROOF_SAMPLE, PROOF_FAILED };

/* Zero-initialised: nothing to prove. */
struct proof {
    enum proof_state state;
    bool running;       /* set by the caller when QEMU says so */
    bool progress;      /* two samples differed */
    unsigned sample_id; /* set by the caller: id of the last request for registers */
    uint64_t end_ns, next_ns;
    char *registers; /* last sample */
};

void proof_start(struct proof *proof, uint64_t now_ns);
void proof_greeted(struct proof *proof, uint64_t now_ns);
void proof_sample(struct proof *proof, const char *registers);
/* What to do now. */
enum proof_action proof_clock(struct proof *proof, uint64_t now_ns, bool console_spoke);
/* When to call proof_clock next; UINT64_MAX: never. */
uint64_t proof_next_ns(const struct proof *proof);
void proof_free(struct proof *proof);

#endif
