#include "lib/base/path.h"

struct cut {
    char *at, *end; /* end: the terminator's place at the latest */
};

static void cut_add(struct cut *cut, const char *text)
{
    for (; *text != '\0' && cut->at < cut->end; text++)
        *cut->at++ = *text;
}

void path_element(char *ret, size_t ret_bytes, const char *array, uint64_t index, const char *field)
{
    struct cut cut = {ret, ret + ret_bytes - 1};
    char digits[21];
    size_t first = sizeof digits - 1;
    digits[first] = '\0';
    do {
        digits[--first] = (char)('0' + index % 10);
        index /= 10;
    } while (index > 0);
    cut_add(&cut, array);
    cut_add(&cut, "[");
    cut_add(&cut, digits + first);
    cut_add(&cut, field[0] == '\0' ? "]" : "].");
    cut_add(&cut, field);
    *cut.at = '\0';
}
