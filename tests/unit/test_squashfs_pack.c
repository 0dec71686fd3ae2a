/* What decides which tails share blocks: sorting in place, and samples. What comes of it is read by strangers in
 * tests/oracle/squashfs_pack.bats. */
#include "formats/squashfs/make.h"
#include "tests/unit/tap.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ *state >> 29;
}

static int compare_keys(const void *va, const void *vb)
{
    const uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;
    return a < b ? -1 : a > b;
}

/* Keys that agree but for the bits of `mask`: none, a few, all. */
static void check_sort(size_t n, uint64_t mask)
{
    uint64_t state = n + mask, *keys = calloc(n + 1, sizeof *keys), *want = calloc(n + 1, sizeof *want);
    for (size_t i = 0; i < n; i++)
        keys[i] = want[i] = (UINT64_C(0x0123456789abcdef) & ~mask) | (next_random(&state) & mask);
    keys[n] = want[n] = 7; /* behind the end */
    sqm_sort(keys, n);
    qsort(want, n, sizeof *want, compare_keys);
    ok(memcmp(keys, want, (n + 1) * sizeof *keys) == 0, "%zu keys with mask %llx are sorted", n,
       (unsigned long long)mask);
    free(keys);
    free(want);
}

static uint32_t in_common(const uint32_t *a, uint32_t n_a, const uint32_t *b, uint32_t n_b)
{
    uint32_t n = 0;
    for (uint32_t i = 0, k = 0; i < n_a && k < n_b;) {
        n += a[i] == b[k];
        const bool step_a = a[i] <= b[k], step_b = b[k] <= a[i];
        i += step_a;
        k += step_b;
    }
    return n;
}

static void check_samples(void)
{
    enum { BYTES = 2000, SHIFT = 777, ROOM = 2048 };
    static uint8_t text[BYTES], moved[BYTES + SHIFT], other[BYTES];
    static uint32_t a[ROOM], b[ROOM], c[ROOM];
    uint64_t state = 1;
    for (size_t i = 0; i < BYTES; i++) {
        text[i] = (uint8_t)next_random(&state);
        other[i] = (uint8_t)next_random(&state);
    }
    for (size_t i = 0; i < SHIFT; i++)
        moved[i] = (uint8_t)next_random(&state);
    memcpy(moved + SHIFT, text, BYTES);
    const uint32_t n_a = sqm_samples_take(text, BYTES, a, ROOM),
                   n_b = sqm_samples_take(moved, sizeof moved, b, ROOM);
    const uint32_t n_c = sqm_samples_take(other, BYTES, c, ROOM);
    bool ascending = true;
    for (uint32_t i = 1; i < n_a; i++)
        ascending = ascending && a[i - 1] < a[i];
    ok(ascending, "samples ascend, each once");
    ok(n_a > BYTES / 64 && n_a <= SQM_SAMPLES_MAX, "about one place in 32 is sampled (%u of %d)", n_a, BYTES);
    ok(in_common(a, n_a, b, n_b) == n_a, "what is moved keeps its samples");
    ok(in_common(a, n_a, c, n_c) == 0, "what is not alike has none in common");
    ok(sqm_samples_take(text, 7, a, ROOM) == 0, "too short for a sample");
    static uint8_t same[100000];
    memset(same, 'x', sizeof same);
    ok(sqm_samples_take(same, sizeof same, a, ROOM) <= 1,
       "the same byte over and over is one sample at most");
    static uint8_t many[200000];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = (uint8_t)next_random(&state);
    ok(sqm_samples_take(many, sizeof many, a, ROOM) == SQM_SAMPLES_MAX, "of many samples the least are kept");
    a[64] = 12345;
    ok(sqm_samples_take(many, sizeof many, a, 64) <= 64 && a[64] == 12345, "no more than there is room for");
}

int main(void)
{
    static const size_t counts[] = {0, 1, 2, 23, 24, 25, 1000, 70000};
    static const uint64_t masks[] = {
        0, 1, 0xffff, UINT64_C(0xff00000000000000), UINT64_C(0x00ff00ff00000000), UINT64_MAX};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t m = 0; m < sizeof masks / sizeof *masks; m++)
            check_sort(counts[c], masks[m]);
    check_samples();
    return tap_done();
}
