/* Allocations that fail on cue, for programs that are linked with --wrap (tests/tests.mk). Include it once. */
#ifndef PLAT_TESTS_MEMORY_FAILS_H
#define PLAT_TESTS_MEMORY_FAILS_H

#include <stdbool.h>
#include <stddef.h>

static struct {
    unsigned long left; /* allocations until one fails */
    bool armed, stays;  /* all behind it fail, too */
    unsigned long n, failed;
    long live; /* allocations that were not freed */
} memory;

static bool fails(void)
{
    memory.n++;
    if (!memory.armed)
        return false;
    if (memory.left > 0) {
        memory.left--;
        return false;
    }
    memory.armed = memory.stays;
    memory.failed++;
    return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t count, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t count, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
void __wrap_free(void *p);

static void *counted(void *p)
{
    memory.live += p != NULL;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : counted(__real_malloc(n));
}
void *__wrap_calloc(size_t count, size_t n)
{
    return fails() ? NULL : counted(__real_calloc(count, n));
}
void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : p == NULL ? counted(__real_malloc(n)) : __real_realloc(p, n);
}
void *__wrap_reallocarray(void *p, size_t count, size_t n)
{
    return fails()     ? NULL
           : p == NULL ? counted(__real_reallocarray(p, count, n))
                       : __real_reallocarray(p, count, n);
}
char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : counted(__real_strdup(s));
}
char *__wrap_strndup(const char *s, size_t n)
{
    return fails() ? NULL : counted(__real_strndup(s, n));
}
void __wrap_free(void *p)
{
    memory.live -= p != NULL;
    __real_free(p);
}

#endif
