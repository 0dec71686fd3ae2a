/* Records come back by key, and equal keys in the order in which they were added, from memory as from files. Would catch a merge
 * that loses or doubles a record, files that are merged in the wrong order, a body that belongs to its neighbour. */
#include "inspect/records.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

static uint64_t mix(uint64_t n)
{
    n = (n + 1) * 0x9E3779B97F4A7C15u;
    return (n ^ (n >> 29)) * 0xBF58476D1CE4E5B9u >> 33;
}

/* Record `number` of a set: one of `n_keys` keys, a body that begins with the number and says its length. */
static int add(struct records *records, uint64_t number, uint64_t n_keys, size_t body_bytes, uint8_t *body,
               struct plat_err *err)
{
    char key[32];
    (void)snprintf(key, sizeof key, "k%llu", (unsigned long long)(mix(number) % n_keys));
    memset(body, (int)(number & 0xff), body_bytes);
    memcpy(body, &number, sizeof number);
    const struct record_view view = {
        .key = key, .key_bytes = strlen(key), .body = body, .body_bytes = body_bytes};
    return records_add(records, &view, err);
}

static void sorts(uint64_t n, uint64_t n_keys, size_t body_bytes)
{
    struct records *records = NULL;
    struct plat_err err = {0};
    struct record_view view;
    uint8_t *body = malloc(body_bytes);
    int rc = body == NULL ? -1 : records_open(&records, &err);
    for (uint64_t i = 0; rc == 0 && i < n; i++)
        rc = add(records, i, n_keys, body_bytes, body, &err);
    for (int round = 0; round < 2; round++) {
        uint64_t met = 0, sum = 0, wrong = 0, last = 0;
        char before[32] = "";
        if (rc == 0)
            rc = records_rewind(records, &err);
        while (rc == 0 && (rc = records_next(records, &view, &err)) == 0 && view.key != NULL) {
            uint64_t number;
            memcpy(&number, view.body, sizeof number);
            const int order = strcmp(before, view.key);
            wrong += order > 0 || (order == 0 && number <= last) || view.body_bytes != body_bytes ||
                     view.body[body_bytes - 1] != (body_bytes > 8 ? (number & 0xff) : view.body[7]);
            (void)snprintf(before, sizeof before, "%s", view.key);
            last = number;
            sum += number;
            met++;
        }
        ok(rc == 0 && met == n && wrong == 0 && sum == (n == 0 ? 0 : n * (n - 1) / 2),
           "%llu records of %zu bytes, reading %d: %s", (unsigned long long)n, body_bytes, round, err.text);
    }
    records_close(records);
    free(body);
}

/* Two sets side by side: what both have comes together. */
static void pairs(void)
{
    struct records_pair pair = {0};
    struct record_view views[RECORDS_SIDES];
    struct plat_err err = {0};
    int rc = 0, both = 0, alone[RECORDS_SIDES] = {0, 0};
    static const char *const keys[RECORDS_SIDES][4] = {{"a", "b", "b", "d"}, {"b", "c", "d", "d"}};
    for (int side = 0; rc == 0 && side < RECORDS_SIDES; side++) {
        rc = records_open(&pair.sets[side], &err);
        for (int i = 0; rc == 0 && i < 4; i++) {
            const struct record_view view = {.key = keys[side][i], .key_bytes = 1};
            rc = records_add(pair.sets[side], &view, &err);
        }
        if (rc == 0)
            rc = records_rewind(pair.sets[side], &err);
    }
    while (rc == 0 && (rc = records_pair_next(&pair, views, &err)) == 0 &&
           (views[0].key != NULL || views[1].key != NULL)) {
        both += views[0].key != NULL && views[1].key != NULL;
        alone[0] += views[1].key == NULL;
        alone[1] += views[0].key == NULL;
    }
    ok(rc == 0 && both == 2 && alone[0] == 2 && alone[1] == 2, "pairs: %d together, %d and %d alone", both,
       alone[0], alone[1]);
    records_close(pair.sets[0]);
    records_close(pair.sets[1]);
}

int main(void)
{
    struct records *records = NULL;
    struct plat_err err = {0};
    sorts(0, 1, 8);
    sorts(1, 1, 8);
    sorts(5000, 700, 40);
    sorts(30000, 9000, 1000);              /* a few files */
    sorts(300, 50, RECORDS_MAX_BYTES / 2); /* 75 files of four: merged into one, twice */
    pairs();
    if (records_open(&records, &err) != 0)
        return 1;
    const struct record_view large = {.key = "k", .key_bytes = 1, .body_bytes = RECORDS_MAX_BYTES / 2 + 1};
    ok(records_add(records, &large, &err) == PLAT_ELIMIT, "a record that is too large: %s", err.text);
    (void)setenv("TMPDIR", "/nonexistent", 1);
    uint8_t *body = malloc(RECORDS_MAX_BYTES / 2);
    int rc = body == NULL ? -1 : 0;
    for (uint64_t i = 0; rc == 0 && i < 10; i++)
        rc = add(records, i, 3, RECORDS_MAX_BYTES / 2, body, &err);
    ok(rc != 0 && strstr(err.text, "TMPDIR") != NULL, "no room for a temporary file: %s", err.text);
    records_close(records);
    free(body);
    return tap_done();
}
