#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/bytes.h"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Digits of base 10 or 16 at *s; moves *s past them. */
static int parse_digits(const char **s, uint64_t *ret, struct plat_err *err)
{
    const char *start = *s;
    unsigned base = 10;
    if ((*s)[0] == '0' && ((*s)[1] == 'x' || (*s)[1] == 'X')) {
        base = 16;
        *s += 2;
    }
    uint64_t value = 0;
    size_t n = 0;
    for (;; n++, (*s)++) {
        int digit = hex_digit(**s);
        if (digit < 0 || (unsigned)digit >= base)
            break;
        uint64_t shifted;
        if (!mul_u64(value, base, &shifted) || !add_u64(shifted, (uint64_t)digit, &value))
            return err_set(err, PLAT_EINVALID, "number '%.40s' does not fit 64 bits", start);
    }
    if (n == 0)
        return err_set(err, PLAT_EINVALID, "'%.40s' is not a number (digits, or 0x and hexadecimal digits)",
                       start);
    *ret = value;
    return 0;
}

int parse_u64(const char *s, uint64_t *ret, struct plat_err *err)
{
    const char *at = s;
    uint64_t value;
    int rc = parse_digits(&at, &value, err);
    if (rc != 0)
        return rc;
    if (*at != '\0')
        return err_set(err, PLAT_EINVALID, "'%.40s' is not a number: unexpected '%.8s'", s, at);
    *ret = value;
    return 0;
}

int parse_size(const char *s, uint64_t *ret, struct plat_err *err)
{
    static const char letters[] = "KMGTP";
    const char *at = s;
    uint64_t value;
    int rc = parse_digits(&at, &value, err);
    if (rc != 0)
        return rc;
    uint64_t factor = 1;
    const char *unit = at;
    while (*unit == ' ')
        unit++;
    if (*unit != '\0' && strcmp(unit, "B") != 0) {
        char upper = *unit == 'k' ? 'K' : *unit;
        const char *letter = strchr(letters, upper);
        bool binary = strcmp(unit + 1, "iB") == 0 || strcmp(unit + 1, "i") == 0 || unit[1] == '\0';
        bool decimal = strcmp(unit + 1, "B") == 0;
        if (letter == NULL || (!binary && !decimal))
            return err_set(
                err, PLAT_EINVALID,
                "size '%.40s' has the unknown unit '%.12s'; write bytes, KiB, MiB, GiB, TiB (or K, M, G, T), "
                "or kB, MB, GB, TB for powers of ten",
                s, unit);
        for (const char *l = letters; l <= letter; l++)
            factor *= binary ? 1024 : 1000;
    }
    uint64_t bytes;
    if (!mul_u64(value, factor, &bytes))
        return err_set(err, PLAT_ELIMIT, "size '%.40s' does not fit 64 bits", s);
    *ret = bytes;
    return 0;
}

/* Where the i-th byte of the text form lies on disk. */
static const uint8_t guid_order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

bool parse_guid(const char *s, uint8_t ret[16])
{
    uint8_t guid[16];
    if (strlen(s) != 36)
        return false;
    for (unsigned i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (s[at++] != '-')
                return false;
        }
        int high = hex_digit(s[at]);
        int low = hex_digit(s[at + 1]);
        if (high < 0 || low < 0)
            return false;
        guid[guid_order[i]] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    memcpy(ret, guid, 16);
    return true;
}

bool parse_guid_braced(const char *s, uint8_t ret[16])
{
    char inner[37];
    size_t n = strlen(s);
    if (n != sizeof inner + 1 || s[0] != '{' || s[n - 1] != '}')
        return parse_guid(s, ret);
    memcpy(inner, s + 1, sizeof inner - 1);
    inner[sizeof inner - 1] = '\0';
    return parse_guid(inner, ret);
}

void format_guid(const uint8_t guid[16], char ret[37])
{
    static const char digits[] = "0123456789abcdef";
    unsigned at = 0;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            ret[at++] = '-';
        uint8_t byte = guid[guid_order[i]];
        ret[at++] = digits[byte >> 4];
        ret[at++] = digits[byte & 15];
    }
    ret[at] = '\0';
}

void format_size(uint64_t bytes, char ret[16])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(ret, 16, "%u B", (unsigned)bytes);
        return;
    }
    unsigned unit = 0;
    double scaled = (double)bytes / 1024;
    while (scaled >= 1023.95 && unit < 5) {
        scaled /= 1024;
        unit++;
    }
    (void)snprintf(ret, 16, "%.1f %s", scaled, units[unit]);
}

void format_unix_time(int64_t seconds, char ret[32])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) {
        (void)snprintf(ret, 32, "@%lld", (long long)seconds);
        return;
    }
    (void)snprintf(ret, 32, "%04d-%02d-%02d %02d:%02d:%02d", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* [a-z] and [!a-z] at p; returns the position past ']' or NULL when it does not close. */
static const char *match_class(const char *p, char c, bool *ret)
{
    bool negated = p[1] == '!' || p[1] == '^';
    const char *q = p + 1 + negated;
    bool hit = false;
    for (bool first = true; *q != '\0' && (first || *q != ']'); first = false) {
        unsigned char low = (unsigned char)*q;
        unsigned char high = low;
        if (q[1] == '-' && q[2] != '\0' && q[2] != ']') {
            high = (unsigned char)q[2];
            q += 2;
        }
        q++;
        if ((unsigned char)c >= low && (unsigned char)c <= high)
            hit = true;
    }
    if (*q != ']')
        return NULL;
    *ret = hit != negated;
    return q + 1;
}

bool glob_match(const char *pattern, const char *text)
{
    /* Iterative with one point of return per kind of star, so that time stays O(pattern * text): the latest star
     * is the only one worth extending, except that a '*' which meets '/' gives way to an earlier '**'. */
    const char *star = NULL, *star_text = NULL;
    const char *deep = NULL, *deep_text = NULL;
    bool deep_component = false; /* it was a double star and a slash: what follows starts a component */
    const char *p = pattern;
    const char *t = text;
    for (;;) {
        if (p[0] == '*' && p[1] == '*') {
            p += 2;
            deep_component = *p == '/' && (t == text || t[-1] == '/');
            p += deep_component;
            deep = p;
            deep_text = t;
            star = NULL;
            continue;
        }
        if (*p == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        if (*t == '\0' && *p == '\0')
            return true;
        bool hit = false;
        const char *next = p + 1;
        if (*t != '\0' && *p != '\0') {
            const char *past = *p == '[' && *t != '/' ? match_class(p, *t, &hit) : NULL;
            if (past != NULL)
                next = past;
            else
                hit = (*p == '?' && *t != '/') || *p == *t;
        }
        if (hit) {
            p = next;
            t++;
        } else if (star != NULL && *star_text != '\0' && *star_text != '/') {
            t = ++star_text;
            p = star;
        } else if (deep != NULL && *deep_text != '\0') {
            do
                t = ++deep_text;
            while (deep_component && t[-1] != '/' && *t != '\0');
            p = deep;
            star = NULL;
        } else {
            return false;
        }
    }
}
