/* What a program without a C library needs: an entry point, and the functions that gcc may call of its own accord.
 * Exit code: 0, or the line of the first expectation that failed. */
#ifndef PLAT_TESTS_GEN_C_START_H
#define PLAT_TESTS_GEN_C_START_H

#include <stddef.h>

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__;                                                                                           \
    } while (0)

int run(void); /* the test */

void *memset(void *to, int byte, size_t n);
void *memset(void *to, int byte, size_t n)
{
    volatile unsigned char *p = to;
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)byte;
    return to;
}
void *memcpy(void *to, const void *from, size_t n);
void *memcpy(void *to, const void *from, size_t n)
{
    volatile unsigned char *p = to;
    const unsigned char *q = from;
    for (size_t i = 0; i < n; i++)
        p[i] = q[i];
    return to;
}

_Noreturn void start(void);
_Noreturn void start(void)
{
    int code = run();
#if defined(__x86_64__)
    __asm__ volatile("syscall" : : "a"(60L), "D"((long)code) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number __asm__("x8") = 93;
    register long first __asm__("x0") = code;
    __asm__ volatile("svc 0" : : "r"(number), "r"(first) : "memory");
#endif
    for (volatile int i = code;; i++)
        ;
}

/* The stack is aligned anew: _start is not called, so it is not as functions expect it. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n    xor %ebp, %ebp\n    and $-16, %rsp\n    call start\n");
#else
_Noreturn void _start(void);
_Noreturn void _start(void)
{
    start();
}
#endif

#endif
