/* Threads of this process, for tests that nothing is left running. */
#ifndef PLAT_TESTS_THREADS_H
#define PLAT_TESTS_THREADS_H

#include <dirent.h>
#include <time.h>

static inline unsigned threads_listed(void)
{
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (const struct dirent *task; tasks != NULL && (task = readdir(tasks)) != NULL;)
        n += task->d_name[0] != '.';
    if (tasks != NULL)
        closedir(tasks);
#ifdef __SANITIZE_THREAD__
    n -= n > 1; /* its own */
#endif
    return n;
}

/* 1 when the caller is alone; a thread that was joined may stay listed for a moment. */
static inline unsigned threads_left(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    unsigned n = threads_listed();
    for (unsigned i = 0; i < 1000 && n > 1; i++) {
        (void)nanosleep(&moment, NULL);
        n = threads_listed();
    }
    return n;
}

#endif
