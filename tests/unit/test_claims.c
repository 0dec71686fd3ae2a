/* Claims come back in the order of the image whatever the order they were added in, from memory as from a file, once as
 * often as asked. Would catch a merge that loses a run's last record, a path that belongs to its neighbour, a record that
 * straddles two reads. */
#include "inspect/claims.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

enum { LONG_PATH_BYTES = 100000 };

struct seen {
    uint64_t n, wrong, longest;
    struct claim last;
    uint64_t sum;
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* What a claim with that number was added as. */
static struct claim claim_of(uint64_t number, char *path)
{
    uint64_t seed = number + 1;
    const struct claim claim = {.place = {next_random(&seed) % 5000, 1 + next_random(&seed) % 100},
                                .position = next_random(&seed),
                                .layer = (uint32_t)(next_random(&seed) % 4),
                                .kind = (enum extent_kind)(next_random(&seed) % EXTENT_KINDS),
                                .path = path};
    size_t n = number % 1000 == 999 ? LONG_PATH_BYTES : next_random(&seed) % 60;
    memset(path, 'a' + (int)(number % 26), n);
    path[n] = '\0';
    return claim;
}

static int on_claim(void *ctx, const struct claim *claim)
{
    static char path[LONG_PATH_BYTES + 1];
    struct seen *seen = ctx;
    const struct claim want = claim_of(claim->number, path);
    const struct claim *last = &seen->last;
    bool ascends = seen->n == 0 || last->place.start < claim->place.start;
    if (seen->n > 0 && last->place.start == claim->place.start)
        ascends = claim_rank(last->kind) < claim_rank(claim->kind) ||
                  (last->kind == claim->kind && last->number < claim->number);
    seen->wrong += !ascends || want.place.start != claim->place.start ||
                   want.place.bytes != claim->place.bytes || want.position != claim->position ||
                   want.layer != claim->layer || want.kind != claim->kind ||
                   strcmp(want.path, claim->path) != 0;
    const size_t length = strlen(claim->path);
    seen->longest = length > seen->longest ? length : seen->longest;
    seen->last = *claim;
    seen->sum += claim->number;
    seen->n++;
    return 0;
}

static void sorts(uint64_t n, size_t in_memory)
{
    static char path[LONG_PATH_BYTES + 1];
    struct claims *claims;
    struct plat_err err = {0};
    int rc = claims_open(in_memory, &claims, &err);
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        const struct claim claim = claim_of(i, path);
        rc = claims_add(claims, &claim, &err);
    }
    for (int pass = 0; pass < 2; pass++) {
        struct seen seen = {0};
        if (rc == 0)
            rc = claims_each(claims, on_claim, &seen, &err);
        ok(rc == 0 && seen.n == n && seen.wrong == 0 && seen.sum == (n == 0 ? 0 : n * (n - 1) / 2),
           "%llu claims, %zu in memory, pass %d: %llu came, %llu wrong %s", (unsigned long long)n, in_memory,
           pass, (unsigned long long)seen.n, (unsigned long long)seen.wrong, err.text);
        ok(n < 1000 || seen.longest == LONG_PATH_BYTES, "a long path is whole");
    }
    claims_close(claims);
}

static int stop(void *ctx, const struct claim *claim)
{
    (void)claim;
    return ++*(int *)ctx == 3 ? PLAT_ESTOP : 0;
}

int main(void)
{
    sorts(0, 0);
    sorts(1, 0);
    sorts(5000, 0);
    sorts(5000, 5000);
    sorts(5000, 1000);
    sorts(5001, 7); /* 700 runs: merged into one again and again */
    struct claims *claims;
    struct plat_err err = {0};
    char path[128];
    int n = 0;
    if (claims_open(2, &claims, &err) != 0)
        return 1;
    for (uint64_t i = 0; i < 10; i++) {
        const struct claim claim = claim_of(i, path);
        (void)claims_add(claims, &claim, &err);
    }
    ok(claims_each(claims, stop, &n, &err) == PLAT_ESTOP && n == 3, "a callback that stops is heard");
    claims_close(claims);
    (void)setenv("TMPDIR", "/nonexistent", 1);
    if (claims_open(2, &claims, &err) != 0)
        return 1;
    int rc = 0;
    for (uint64_t i = 0; i < 10 && rc == 0; i++) {
        const struct claim claim = claim_of(i, path);
        rc = claims_add(claims, &claim, &err);
    }
    ok(rc != 0 && strstr(err.text, "TMPDIR") != NULL, "no room for a temporary file: %s", err.text);
    claims_close(claims);
    return tap_done();
}
