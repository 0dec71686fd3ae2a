/* Progress of long work: the library counts, the command draws. */
#ifndef PLAT_LIB_BASE_PROGRESS_H
#define PLAT_LIB_BASE_PROGRESS_H

#include <stdint.h>

struct progress {
    void (*tick)(struct progress *progress); /* NULL: nobody looks */
    uint64_t done_bytes;
    uint64_t total_bytes; /* 0: unknown */
    const char *phase;    /* "writing esp" */
};
static inline void progress_add(struct progress *progress, uint64_t bytes)
{
    if (progress == 0)
        return;
    progress->done_bytes += bytes;
    if (progress->tick != 0)
        progress->tick(progress);
}

#endif
