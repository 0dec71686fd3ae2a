/* Numbers that are written out in digits: the headers of cpio, tar and ar. */
#include <string.h>

#include "lib/layout/layout.h"

static unsigned digit_value(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0' + 0u
           : c >= 'a' && c <= 'f' ? c - 'a' + 10u
           : c >= 'A' && c <= 'F' ? c - 'A' + 10u
                                  : 99;
}

/* Spaces in front, digits, then whatever "pad" lets stand behind text: tar ends numbers with a NUL, a space or both. */
bool field_parse_digits(const struct field *field, const uint8_t *bytes, size_t n, uint64_t *ret)
{
    uint64_t number = 0;
    size_t i = 0, n_digits = 0;
    while (field->pad != PAD_NONE && i < n && bytes[i] == ' ')
        i++;
    for (; i < n && digit_value(bytes[i]) < field->radix; i++, n_digits++) {
        unsigned value = digit_value(bytes[i]);
        if (number > (UINT64_MAX - value) / field->radix)
            return false;
        number = number * field->radix + value;
    }
    while (field->pad != PAD_NONE && i < n && (bytes[i] == ' ' || bytes[i] == 0))
        i++;
    if (n_digits == 0 || i < n)
        return false;
    *ret = number;
    return true;
}

bool field_format_digits(const struct field *field, uint64_t number, uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t text[24];
    if (n > sizeof text)
        return false;
    /* The last place is the padding's where there is one, as tar has it. */
    size_t room = field->pad == PAD_NONE || n == 1 ? n : n - 1;
    memset(text, field->pad == PAD_SPACE ? ' ' : 0, n);
    for (size_t i = room; i-- > 0; number /= field->radix)
        text[i] = (uint8_t)digits[number % field->radix];
    if (number != 0)
        return false;
    memcpy(bytes, text, n);
    return true;
}
