/* Guessing what a mistyped word was meant to be. */
#include "mkimage/recipe.h"

#include <string.h>

enum { NEAREST_MAX_WORD = 63 };

static unsigned lesser(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) between a and b; both at most NEAREST_MAX_WORD long. */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NEAREST_MAX_WORD + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = lesser(best, lesser(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = lesser(best, before[j - 2] + 1);
            now[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b_len];
}

const char *nearest_name(const char *word, const char *const *names)
{
    size_t word_len = strlen(word);
    const char *best = NULL;
    /* A third of the word may be wrong, and always one letter. */
    unsigned limit = word_len < 3 ? 2 : (unsigned)word_len / 3 + 2;
    if (word_len > NEAREST_MAX_WORD)
        return NULL;
    for (; *names != NULL; names++) {
        size_t len = strlen(*names);
        if (len > NEAREST_MAX_WORD)
            continue;
        unsigned distance = edit_distance(word, word_len, *names, len);
        if (distance < limit) {
            limit = distance;
            best = *names;
        }
    }
    return best;
}
