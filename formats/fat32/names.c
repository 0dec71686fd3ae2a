/* FAT32 names: UTF-8 in the tree, UTF-16 in long names, one byte a character in 8.3 names.
 *
 *   long name   1 to 255 UTF-16 units; no control character, none of " * / : < > ? \ |, no FFFF (padding);
 *               no dot or space at its end
 *   8.3 name    8 + 3 bytes, upper-case, padded with spaces; of the ASCII letters it lacks + , ; = [ ] and .
 *               too
 *
 * Names compare without regard to case: two names are the same when their upper-case units are. */
#include <unicase.h>
#include <unistr.h>

#include "formats/fat32/fat32.h"

enum {
    PADDING = 0xFFFF,
    REPLACEMENT = 0xFFFD,
    SURROGATE_FIRST = 0xD800,
    SURROGATE_LOW = 0xDC00,
    SURROGATE_LAST = 0xDFFF
};

static bool is_high_surrogate(uint32_t unit)
{
    return unit >= SURROGATE_FIRST && unit < SURROGATE_LOW;
}

static bool is_low_surrogate(uint32_t unit)
{
    return unit >= SURROGATE_LOW && unit <= SURROGATE_LAST;
}

static bool is_forbidden(uint32_t unit)
{
    return unit < 0x20 || (unit < 0x80 && strchr("\"*/:<>?\\|", (int)unit) != NULL);
}

/* U+007F and U+0080 to U+009F. Windows and Linux take them in long names and fsck.fat takes them for damage in
 * 8.3 names; terminals obey them, so plat extract refuses them and no image is made with them. */
static bool is_late_control(uint32_t c)
{
    return c >= 0x7F && c < 0xA0;
}

/* ---- UTF-8 to units ---- */

/* The character at `p`, of n bytes; its length in *ret_bytes. False when it is not UTF-8 (length 1 then). */
static bool utf8_next(const char *p, size_t n, uint32_t *ret, size_t *ret_bytes)
{
    ucs4_t c = (uint8_t)*p;
    int bytes = 1;

    if (c >= 0x80)
        bytes = u8_mbtoucr(&c, (const uint8_t *)p, n);
    if (bytes <= 0) {
        *ret = REPLACEMENT;
        *ret_bytes = 1;
        return false;
    }
    *ret = c;
    *ret_bytes = (size_t)bytes;
    return true;
}

/* Appends a character if it fits within FAT32_LONG_UNITS_MAX. */
static bool units_put(uint16_t *units, size_t *n, uint32_t c)
{
    size_t need = c >= 0x10000 ? 2 : 1;
    if (*n + need > FAT32_LONG_UNITS_MAX)
        return false;
    if (need == 2) {
        units[(*n)++] = (uint16_t)(SURROGATE_FIRST + ((c - 0x10000) >> 10));
        units[(*n)++] = (uint16_t)(SURROGATE_LOW + ((c - 0x10000) & 0x3FF));
    } else {
        units[(*n)++] = (uint16_t)c;
    }
    return true;
}

int fat32_name_to_units(const char *name, uint16_t ret_units[FAT32_LONG_UNITS_MAX], size_t *ret_n,
                        struct plat_err *err)
{
    uint16_t units[FAT32_LONG_UNITS_MAX];
    size_t n = 0;
    size_t left = strlen(name);

    if (left == 0)
        return err_set(err, PLAT_EINVALID, "an empty name cannot be stored");
    for (const char *p = name; left > 0;) {
        uint32_t c;
        size_t bytes;
        if (!utf8_next(p, left, &c, &bytes))
            return err_set(
                err, PLAT_EINVALID,
                "the name is not UTF-8 (byte 0x%02x at position %zu), and FAT32 keeps names as Unicode; "
                "rename it, or convert it with convmv",
                (unsigned)(uint8_t)*p, (size_t)(p - name));
        if (is_forbidden(c)) {
            if (c < 0x20)
                return err_set(err, PLAT_EINVALID,
                               "the name contains control character 0x%02x, which FAT32 forbids; rename it",
                               c);
            return err_set(err, PLAT_EINVALID,
                           "the name contains '%c', which FAT32 forbids (as it does \" * / : < > ? \\ |); "
                           "rename it",
                           (char)c);
        }
        if (is_late_control(c))
            return err_set(err, PLAT_EINVALID,
                           "the name contains control character U+%04X, which plat extract and fsck.fat "
                           "refuse; rename it",
                           (unsigned)c);
        if (c == PADDING)
            return err_set(
                err, PLAT_EINVALID,
                "the name contains U+FFFF, which is no character, and padding in FAT32; rename it");
        if (!units_put(units, &n, c))
            return err_set(err, PLAT_EINVALID,
                           "the name is longer than the %d UTF-16 units that FAT32 can store; shorten it",
                           FAT32_LONG_UNITS_MAX);
        p += bytes;
        left -= bytes;
    }
    if (units[n - 1] == '.' || units[n - 1] == ' ')
        return err_set(err, PLAT_EINVALID, "the name ends in a %s, which readers of FAT32 strip; rename it",
                       units[n - 1] == '.' ? "dot" : "space");
    memcpy(ret_units, units, n * sizeof(units[0]));
    *ret_n = n;
    return 0;
}

const char *fat32_units_fault(const uint16_t *units, size_t n)
{
    if (n == 0)
        return "it is empty";
    if (n > FAT32_LONG_UNITS_MAX)
        return "it is longer than 255 UTF-16 units";
    for (size_t i = 0; i < n; i++) {
        if (is_forbidden(units[i]))
            return units[i] < 0x20 ? "it contains a control character"
                                   : "it contains one of \" * / : < > ? \\ |";
        if (units[i] == PADDING)
            return "it has no end: the padding FFFF is part of it";
        if (is_high_surrogate(units[i]) && (i + 1 == n || !is_low_surrogate(units[i + 1])))
            return "it contains half a surrogate pair";
        if (is_low_surrogate(units[i]) && (i == 0 || !is_high_surrogate(units[i - 1])))
            return "it contains half a surrogate pair";
    }
    if (units[n - 1] == '.' || units[n - 1] == ' ')
        return "it ends in a dot or a space";
    return NULL;
}

/* ---- to UTF-8 ---- */

static size_t utf8_put(char *p, uint32_t c)
{
    uint8_t bytes[4];
    int n = u8_uctomb(bytes, c, sizeof(bytes));
    if (n <= 0)
        return utf8_put(p, REPLACEMENT);
    memcpy(p, bytes, (size_t)n);
    return (size_t)n;
}

size_t fat32_units_to_name(const uint16_t *units, size_t n, char ret[FAT32_NAME_BYTES_MAX])
{
    size_t len = 0;

    if (n > FAT32_LONG_UNITS_MAX)
        n = FAT32_LONG_UNITS_MAX;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = units[i];
        if (is_high_surrogate(c) && i + 1 < n && is_low_surrogate(units[i + 1])) {
            c = 0x10000 + ((c - SURROGATE_FIRST) << 10) + (units[i + 1] - (uint32_t)SURROGATE_LOW);
            i++;
        } else if (is_high_surrogate(c) || is_low_surrogate(c)) {
            c = REPLACEMENT;
        }
        len += utf8_put(ret + len, c);
    }
    ret[len] = '\0';
    return len;
}

/* Code page 850, 80 to FF. */
static const uint16_t CP850[128] = {
    0x00C7, 0x00FC, 0x00E9, 0x00E2, 0x00E4, 0x00E0, 0x00E5, 0x00E7, 0x00EA, 0x00EB, 0x00E8, 0x00EF, 0x00EE,
    0x00EC, 0x00C4, 0x00C5, 0x00C9, 0x00E6, 0x00C6, 0x00F4, 0x00F6, 0x00F2, 0x00FB, 0x00F9, 0x00FF, 0x00D6,
    0x00DC, 0x00F8, 0x00A3, 0x00D8, 0x00D7, 0x0192, 0x00E1, 0x00ED, 0x00F3, 0x00FA, 0x00F1, 0x00D1, 0x00AA,
    0x00BA, 0x00BF, 0x00AE, 0x00AC, 0x00BD, 0x00BC, 0x00A1, 0x00AB, 0x00BB, 0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x00C1, 0x00C2, 0x00C0, 0x00A9, 0x2563, 0x2551, 0x2557, 0x255D, 0x00A2, 0x00A5, 0x2510, 0x2514,
    0x2534, 0x252C, 0x251C, 0x2500, 0x253C, 0x00E3, 0x00C3, 0x255A, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
    0x256C, 0x00A4, 0x00F0, 0x00D0, 0x00CA, 0x00CB, 0x00C8, 0x0131, 0x00CD, 0x00CE, 0x00CF, 0x2518, 0x250C,
    0x2588, 0x2584, 0x00A6, 0x00CC, 0x2580, 0x00D3, 0x00DF, 0x00D4, 0x00D2, 0x00F5, 0x00D5, 0x00B5, 0x00FE,
    0x00DE, 0x00DA, 0x00DB, 0x00D9, 0x00FD, 0x00DD, 0x00AF, 0x00B4, 0x00AD, 0x00B1, 0x2017, 0x00BE, 0x00B6,
    0x00A7, 0x00F7, 0x00B8, 0x00B0, 0x00A8, 0x00B7, 0x00B9, 0x00B3, 0x00B2, 0x25A0, 0x00A0,
};

size_t fat32_short_to_name(const uint8_t short_name[FAT32_SHORT_BYTES], uint8_t name_case,
                           char ret[FAT32_SHORT_TEXT_BYTES])
{
    static const struct {
        size_t first, end;
        uint8_t lower;
    } parts[] = {{0, 8, FAT32_NAME_CASE_BASE_LOWER}, {8, FAT32_SHORT_BYTES, FAT32_NAME_CASE_EXTENSION_LOWER}};
    size_t len = 0;

    for (size_t part = 0; part < 2; part++) {
        size_t end = parts[part].end;
        while (end > parts[part].first && short_name[end - 1] == ' ')
            end--;
        if (part == 1 && end > parts[part].first)
            ret[len++] = '.';
        for (size_t i = parts[part].first; i < end; i++) {
            /* 05 stands for E5, which at this place would mark a deleted entry. */
            uint8_t byte = i == 0 && short_name[i] == 0x05 ? 0xE5 : short_name[i];
            uint32_t c = byte < 0x80 ? byte : CP850[byte - 0x80];
            if (name_case & parts[part].lower)
                c = uc_tolower(c);
            len += utf8_put(ret + len, c);
        }
    }
    ret[len] = '\0';
    return len;
}

const char *fat32_short_fault(const uint8_t short_name[FAT32_SHORT_BYTES])
{
    if (short_name[0] == ' ')
        return "it begins with a space";
    for (size_t i = 0; i < FAT32_SHORT_BYTES; i++) {
        uint8_t c = short_name[i];
        if ((c < 0x20 && !(i == 0 && c == 0x05)) || c == 0x7F)
            return "it contains a control character";
        if (c < 0x80 && strchr("\"*+,./:;<=>?[\\]|", c) != NULL)
            return "it contains a character that 8.3 names cannot have";
        if (c >= 'a' && c <= 'z')
            return "it contains a lower-case letter";
        if (c != ' ' && i != 0 && i != 8 && short_name[i - 1] == ' ')
            return "it contains a space";
    }
    return NULL;
}

/* ---- comparing ---- */

uint16_t fat32_unit_fold(uint16_t unit)
{
    if (unit < 0x80)
        return unit >= 'a' && unit <= 'z' ? (uint16_t)(unit - 'a' + 'A') : unit;
    if (is_high_surrogate(unit) || is_low_surrogate(unit))
        return unit;
    ucs4_t upper = uc_toupper(unit);
    return upper < 0x10000 ? (uint16_t)upper : unit;
}

size_t fat32_name_fold(const char *name, uint16_t ret_units[FAT32_LONG_UNITS_MAX])
{
    size_t n = 0;
    size_t left = strlen(name);

    for (const char *p = name; left > 0;) {
        uint32_t c;
        size_t bytes;
        utf8_next(p, left, &c, &bytes);
        if (!units_put(ret_units, &n, c))
            break;
        p += bytes;
        left -= bytes;
    }
    for (size_t i = 0; i < n; i++)
        ret_units[i] = fat32_unit_fold(ret_units[i]);
    return n;
}
