#include "lib/base/nearest.h"

#include <string.h>

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NEAREST_NAME_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    size_t n_a = strnlen(a, NEAREST_NAME_BYTES);
    size_t n_b = strnlen(b, NEAREST_NAME_BYTES);
    for (size_t j = 0; j <= n_b; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        now[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            now[j] = lesser(last[j - 1] + (a[i - 1] != b[j - 1]), lesser(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = lesser(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[n_b];
}

const char *nearest_name(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t word_bytes = strlen(word);
    size_t limit = word_bytes / 3 + 2; /* more edits than this: another word was meant */
    if (word_bytes == 0 || word_bytes >= NEAREST_NAME_BYTES)
        return NULL;
    for (size_t i = 0; i < n && names[i] != NULL; i++) {
        size_t name_bytes = strlen(names[i]);
        size_t distance = edit_distance(word, names[i]);
        if (word_bytes >= 2 && word_bytes < name_bytes && memcmp(word, names[i], word_bytes) == 0)
            distance = 1; /* an abbreviation */
        if (distance < limit && distance < lesser(word_bytes, name_bytes)) {
            limit = distance;
            best = names[i];
        }
    }
    return best;
}

void nearest_add(struct nearest *nearest, const char *name, size_t n)
{
    struct nearest_candidate item = {0};
    n = lesser(n, NEAREST_NAME_BYTES - 1);
    memcpy(item.name, name, n);
    for (size_t i = 0; i < nearest->n; i++)
        if (strcmp(nearest->best[i].name, item.name) == 0)
            return;
    item.distance = edit_distance(nearest->wanted, item.name);
    size_t at = nearest->n;
    while (at > 0 && nearest->best[at - 1].distance > item.distance)
        at--;
    if (at == NEAREST_KEEP)
        return;
    if (nearest->n < NEAREST_KEEP)
        nearest->n++;
    memmove(&nearest->best[at + 1], &nearest->best[at], (nearest->n - 1 - at) * sizeof item);
    nearest->best[at] = item;
}

void nearest_list(const struct nearest *nearest, struct strbuf *ret)
{
    for (size_t i = 0; i < nearest->n; i++) {
        strbuf_puts(ret, i == 0 ? "" : ", ");
        strbuf_visible(ret, nearest->best[i].name, strlen(nearest->best[i].name));
    }
}
