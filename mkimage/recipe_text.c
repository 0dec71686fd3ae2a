/* Values that a recipe writes as text: GUIDs, times, hexadecimal bytes, permission bits, lists. */
#include "mkimage/recipe_read.h"

#include <string.h>

#include "lib/base/bytes.h"

void read_guid(struct reader *r, const struct node *node, const char *key, bool *has, uint8_t ret[16])
{
    const char *text = NULL;
    uint8_t guid[16];
    read_text(r, node, key, &text);
    if (text == NULL)
        return;
    const char *path = recipe_path_key(r->recipe, node->path, key);
    char buf[64];
    if (!parse_guid_braced(text, guid)) {
        read_fail(r, path, "expected a GUID such as c12a7328-f81f-11d2-ba4b-00a0c93ec93b, found %s",
                  json_describe(json_object_get(node->json, key), buf));
    } else if (bytes_all(guid, sizeof guid, 0)) {
        read_fail(r, path, "the nil GUID identifies nothing; leave \"%s\" out to have one derived", key);
    } else {
        memcpy(ret, guid, sizeof guid);
        *has = true;
    }
}

/* Exactly `digits` decimal digits at *s, which is moved behind them. */
static bool take_digits(const char **s, unsigned digits, int64_t *ret)
{
    int64_t value = 0;
    for (unsigned i = 0; i < digits; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        value = value * 10 + (**s - '0');
    }
    *ret = value;
    return true;
}

static bool take(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar (years from 0). */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    static const int64_t before_month[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int64_t last = year - 1; /* whole years 1..last, and year 0, which is a leap year, lie before */
    int64_t leaps = year == 0 ? 0 : 1 + last / 4 - last / 100 + last / 400;
    return year * 365 + leaps + before_month[month - 1] + (leap && month > 2) + day - 1 - 719528;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    int64_t next = month == 12 ? days_from_civil(year + 1, 1, 1) : days_from_civil(year, month + 1, 1);
    return next - days_from_civil(year, month, 1);
}

/* YYYY-MM-DD, or YYYY-MM-DDTHH:MM[:SS] and Z or +HH:MM. A time without a zone would mean something else
 * elsewhere. */
bool parse_iso_time(const char *s, int64_t *ret)
{
    int64_t year, month, day, hour = 0, minute = 0, second = 0, zone = 0;
    if (!take_digits(&s, 4, &year) || !take(&s, '-') || !take_digits(&s, 2, &month) || !take(&s, '-') ||
        !take_digits(&s, 2, &day))
        return false;
    if (*s != '\0') {
        if (!take(&s, 'T') && !take(&s, ' '))
            return false;
        if (!take_digits(&s, 2, &hour) || !take(&s, ':') || !take_digits(&s, 2, &minute))
            return false;
        if (take(&s, ':') && !take_digits(&s, 2, &second))
            return false;
        if (!take(&s, 'Z')) {
            int64_t sign = *s == '-' ? -1 : 1, zone_hour, zone_minute;
            if ((!take(&s, '+') && !take(&s, '-')) || !take_digits(&s, 2, &zone_hour) || !take(&s, ':') ||
                !take_digits(&s, 2, &zone_minute) || zone_hour > 14 || zone_minute > 59)
                return false;
            zone = sign * (zone_hour * 3600 + zone_minute * 60);
        }
        if (*s != '\0')
            return false;
    }
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    *ret = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone;
    return true;
}

void read_time(struct reader *r, const struct node *node, const char *key, bool *has, int64_t *ret)
{
    char buf[64];
    struct node member;
    uint64_t number;
    if (!read_member(r, node, key, &member))
        return;
    const char *text = json_string_value(member.json); /* NULL for other kinds */
    if (json_is_integer(member.json) && json_integer_value(member.json) >= 0) {
        *ret = json_integer_value(member.json);
    } else if (text != NULL && parse_u64(text, &number, NULL) == 0 && number <= INT64_MAX) {
        *ret = (int64_t)number;
    } else if (text == NULL || !parse_iso_time(text, ret)) {
        read_fail(r, member.path,
                  "expected seconds since 1970 or a time such as \"2026-11-21\" or \"2026-11-21T10:00:00Z\", "
                  "found %s",
                  json_describe(member.json, buf));
        return;
    }
    *has = true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void read_hex(struct reader *r, const struct node *node, const char *key, const uint8_t **ret, size_t *ret_n)
{
    const char *text = NULL;
    read_text(r, node, key, &text);
    if (text == NULL)
        return;
    const char *path = recipe_path_key(r->recipe, node->path, key);
    uint8_t *bytes = read_alloc(r, strlen(text) / 2 + 1, 1);
    if (bytes == NULL)
        return;
    size_t digits = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0 && strchr(" \t\r\n", text[i]) != NULL)
            continue;
        if (digit < 0) {
            read_fail(r, path, "expected pairs of hexadecimal digits, found %s at character %zu",
                      text[i] > ' ' && text[i] < 0x7f ? (char[]){'\'', text[i], '\'', 0} : "something else",
                      i + 1);
            return;
        }
        bytes[digits / 2] = (uint8_t)(bytes[digits / 2] << 4 | digit);
        digits++;
    }
    if (digits % 2 != 0) {
        read_fail(r, path, "expected pairs of hexadecimal digits, found an odd number (%zu) of them", digits);
        return;
    }
    *ret = bytes;
    *ret_n = digits / 2;
}

void read_mode(struct reader *r, const struct node *node, const char *key, bool *has, uint32_t *ret)
{
    char buf[64];
    struct node member;
    if (!read_member(r, node, key, &member))
        return;
    const char *text = json_string_value(member.json);
    uint32_t mode = 0;
    size_t len = text == NULL ? 0 : strlen(text);
    bool good = len >= 3 && len <= 5;
    for (size_t i = 0; good && i < len; i++) {
        good = text[i] >= '0' && text[i] <= '7';
        mode = mode * 8 + (uint32_t)(text[i] - '0');
    }
    if (!good || mode > 07777) {
        read_fail(r, member.path, "expected permission bits as octal text such as \"0755\", found %s",
                  json_describe(member.json, buf));
        return;
    }
    *ret = mode;
    *has = true;
}

void read_texts(struct reader *r, const struct node *node, const char *key, const char *const **ret)
{
    char buf[64];
    struct node array, item;
    size_t n;
    if (!read_array(r, node, key, SIZE_MAX / sizeof(char *) - 1, &array, &n))
        return;
    const char **texts = read_alloc(r, n + 1, sizeof *texts);
    if (texts == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        read_element(r, &array, i, &item);
        texts[i] = json_string_value(item.json);
        if (texts[i] == NULL || texts[i][0] == '\0') {
            read_fail(r, item.path, "expected text, found %s",
                      texts[i] == NULL ? json_describe(item.json, buf) : "an empty string");
            return;
        }
    }
    *ret = texts;
}

void read_object(struct reader *r, const struct node *node, const char *key, json_t **ret)
{
    char buf[64];
    struct node member;
    if (!read_member(r, node, key, &member))
        return;
    if (json_is_object(member.json))
        *ret = member.json;
    else
        read_fail(r, member.path, "expected an object, found %s", json_describe(member.json, buf));
}
