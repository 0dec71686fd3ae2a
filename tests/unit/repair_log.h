/* A repair of an image in memory, and what it said. */
#ifndef PLAT_TESTS_REPAIR_LOG_H
#define PLAT_TESTS_REPAIR_LOG_H

#include <stdio.h>

#include "lib/fs/repair.h"

struct repair_log {
    unsigned repaired, refused;
    char paths[16][48];
    uint64_t first_offset;
    char text[REPAIR_TEXT_BYTES];
};

static inline int log_repaired(void *ctx, const struct repair_done *done)
{
    struct repair_log *log = ctx;
    if (log->repaired == 0)
        log->first_offset = done->offset;
    if (log->repaired < 16)
        (void)snprintf(log->paths[log->repaired], sizeof log->paths[0], "%s", done->path);
    log->repaired++;
    return 0;
}

static inline int log_refused(void *ctx, const char *path, uint64_t offset, const char *text)
{
    struct repair_log *log = ctx;
    (void)path;
    (void)offset;
    log->refused++;
    (void)snprintf(log->text, sizeof log->text, "%s", text);
    return 0;
}

static inline int run_repair(struct plat_dev *dev, struct repair_log *ret, struct plat_err *err)
{
    const struct stack_options options = {.degraded = true};
    const struct repair_sink sink = {.ctx = ret, .repaired = log_repaired, .refused = log_refused};
    *ret = (struct repair_log){0};
    return stack_repair(dev, &options, &sink, NULL, err);
}

#endif
