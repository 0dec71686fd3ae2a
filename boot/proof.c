#include "boot/proof.h"

#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

static const uint64_t greeting_ns = 3000 * MS; /* QEMU's start on a busy machine */
static const uint64_t trial_ns = 1000 * MS;    /* behind the greeting */
static const uint64_t first_sample_ns =
    400 * MS; /* behind the greeting: a guest that dies early has died by then */
static const uint64_t sample_every_ns = 150 * MS;

void proof_start(struct proof *proof, uint64_t now_ns)
{
    *proof = (struct proof){.state = PROOF_OPEN, .end_ns = now_ns + greeting_ns, .next_ns = UINT64_MAX};
}

void proof_greeted(struct proof *proof, uint64_t now_ns)
{
    if (proof->state != PROOF_OPEN)
        return;
    proof->end_ns = now_ns + trial_ns;
    proof->next_ns = now_ns + first_sample_ns;
}

void proof_sample(struct proof *proof, const char *registers)
{
    if (proof->registers != NULL && strcmp(proof->registers, registers) != 0)
        proof->progress = true;
    free(proof->registers);
    proof->registers = strdup(registers);
}

enum proof_action proof_clock(struct proof *proof, uint64_t now_ns, bool console_spoke)
{
    if (proof->state != PROOF_OPEN)
        return PROOF_WAIT;
    if (now_ns >= proof->end_ns) {
        if (!proof->running || !(proof->progress || console_spoke))
            return PROOF_FAILED;
        proof->state = PROOF_HOLDS;
        return PROOF_WAIT;
    }
    if (now_ns < proof->next_ns)
        return PROOF_WAIT;
    proof->next_ns = now_ns + sample_every_ns;
    return PROOF_SAMPLE;
}

uint64_t proof_next_ns(const struct proof *proof)
{
    if (proof->state != PROOF_OPEN)
        return UINT64_MAX;
    return proof->next_ns < proof->end_ns ? proof->next_ns : proof->end_ns;
}

void proof_free(struct proof *proof)
{
    free(proof->registers);
    proof->registers = NULL;
}
