#include "inspect/nearest.h"

#include <string.h>

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, over the first NEAREST_NAME_BYTES of each name. */
static size_t edits(const char *a, const char *b)
{
    size_t row[NEAREST_NAME_BYTES + 1];
    size_t n = strnlen(b, NEAREST_NAME_BYTES);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; i < NEAREST_NAME_BYTES && a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t replaced = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = lesser(replaced, lesser(row[j], row[j + 1]) + 1);
        }
    }
    return row[n];
}

void nearest_add(struct nearest *nearest, const char *name, size_t n)
{
    struct nearest_name item = {0};
    n = lesser(n, NEAREST_NAME_BYTES - 1);
    memcpy(item.name, name, n);
    for (size_t i = 0; i < nearest->n; i++)
        if (strcmp(nearest->best[i].name, item.name) == 0)
            return;
    item.distance = edits(nearest->wanted, item.name);
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
