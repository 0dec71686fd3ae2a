#include "tests/crash/verdict.h"

#include <stdio.h>

#include "lib/fs/stack.h"
#include "lib/fs/verify.h"

int verdict_finding(void *ctx, const struct finding *finding)
{
    struct verdict *verdict = ctx;
    if (finding->severity == SEVERITY_ERROR && verdict->errors++ == 0)
        (void)snprintf(verdict->why, CRASH_WHY_BYTES, "%s: %s", finding->path != NULL ? finding->path : "",
                       finding->text);
    return 0;
}

bool verdict_agrees(struct plat_dev *dev, bool sound, char *why)
{
    struct verdict verdict = {.why = why};
    const struct finding_sink sink = {.fn = verdict_finding, .ctx = &verdict};
    const struct stack_options options = {.degraded = true};
    struct plat_err err = {0};
    struct stack *stack;
    int rc = stack_open(dev, &options, &stack, &err);
    if (rc == 0) {
        rc = stack_verify(stack, &sink, NULL, &err);
        if (rc == 0)
            rc = stack_scrub(stack, &sink, NULL, NULL, &err);
        verdict.errors += stack->n_layers == 0;
        stack_close(stack);
    }
    if (rc != 0)
        (void)snprintf(why, CRASH_WHY_BYTES, "plat verify: %s", err.text);
    return (rc == 0 && verdict.errors == 0) == sound;
}
