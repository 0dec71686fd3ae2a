/* Text into fields: the inverse of value_text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/layout/eval.h"

/* ---- numbers ---- */

static uint64_t ones(unsigned bits)
{
    return bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t days_of(int year, unsigned month, unsigned day)
{
    const int64_t y = month <= 2 ? year - 1 : year;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t of_era = y - era * 400;
    const int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct moment {
    int year;
    unsigned month, day, hour, minute, second;
    bool has_date;
};

static bool read_clock(const char *text, struct moment *m)
{
    int end = 0;
    return sscanf(text, "%2u:%2u:%2u%n", &m->hour, &m->minute, &m->second, &end) == 3 &&
           (text[end] == '\0' || (text[end] == 'Z' && text[end + 1] == '\0')) && m->hour < 24 &&
           m->minute < 60 && m->second < 60;
}

/* "2026-11-21", "2026-11-21 10:00:00", "2026-11-21T10:00:00Z", and "10:00:00" by itself. All in UTC. */
static bool read_moment(const char *text, struct moment *ret)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct moment m = {0};
    int end = 0;
    if (sscanf(text, "%4d-%2u-%2u%n", &m.year, &m.month, &m.day, &end) == 3) {
        const bool leap = m.year % 4 == 0 && (m.year % 100 != 0 || m.year % 400 == 0);
        m.has_date = true;
        if (m.month < 1 || m.month > 12 || m.day < 1 ||
            m.day > lengths[m.month - 1] + (leap && m.month == 2 ? 1 : 0))
            return false;
        if (text[end] != '\0' && ((text[end] != ' ' && text[end] != 'T') || !read_clock(text + end + 1, &m)))
            return false;
    } else if (!read_clock(text, &m)) {
        return false;
    }
    *ret = m;
    return true;
}

/* A date or a time of day where the field shows one. */
static bool parse_moment(const struct field *field, const char *text, uint64_t *ret)
{
    struct moment m;
    if (field->as < AS_UNIX_S || !read_moment(text, &m))
        return false;
    if (field->as == AS_FAT_TIME) {
        *ret = m.hour << 11 | m.minute << 5 | m.second / 2;
        return !m.has_date;
    }
    if (field->as == AS_FAT_DATE) {
        *ret = (uint64_t)(m.year - 1980) << 9 | m.month << 5 | m.day;
        return m.has_date && m.year >= 1980 && m.year < 1980 + 128;
    }
    int64_t seconds = days_of(m.year, m.month, m.day) * 86400 + m.hour * 3600 + m.minute * 60 + m.second;
    *ret = (uint64_t)(seconds * (field->as == AS_UNIX_NS ? 1000000000 : field->as == AS_UNIX_MS ? 1000 : 1));
    return m.has_date;
}

/* "a|b" of a flag set. */
static bool parse_flags(const struct type *type, const char *text, uint64_t *ret)
{
    uint64_t flags = 0;
    while (*text != '\0') {
        const size_t n = strcspn(text, "|");
        const struct enum_value *named = NULL;
        for (size_t i = 0; i < type->n_values; i++)
            if (strlen(type->values[i].name) == n && memcmp(type->values[i].name, text, n) == 0)
                named = &type->values[i];
        if (named == NULL || named->width > 1)
            return false;
        flags |= named->value;
        text += n + (text[n] == '|' ? 1 : 0);
    }
    *ret = flags;
    return true;
}

static int no_such_name(const struct field *field, const char *word, struct plat_err *err)
{
    struct strbuf names = {0};
    const struct type *type = field->type;
    for (size_t i = 0; i < type->n_values && names.len < 400; i++)
        strbuf_printf(&names, "%s%s", i == 0 ? "" : ", ", type->values[i].name);
    int rc = err_set(err, PLAT_EINVALID, "'%.80s' is no %s of %s; there are: %s", word,
                     type->kind == TYPE_FLAGS ? "flag" : "value", type->name, strbuf_str(&names));
    strbuf_free(&names);
    return rc;
}

/* A number of so many bits. "3", "0x3 (a|b)", "-5": up to the first space. */
static int parse_digits(const struct field *field, const char *text, unsigned bits, uint64_t *ret,
                        struct plat_err *err)
{
    char word[64];
    const size_t n = strcspn(text, " ");
    uint64_t number;
    if (n == 0 || n >= sizeof word)
        return err_set(err, PLAT_EINVALID, "'%.80s' is not a value for '%s'", text, field->name);
    memcpy(word, text, n);
    word[n] = '\0';
    const bool negative = word[0] == '-' && field->repr == REPR_SINT;
    const char *digits = word + negative;
    char *end = NULL;
    int rc = 0;
    if (field->as == AS_OCTAL && digits[0] == '0' && strspn(digits, "01234567") == strlen(digits)) {
        number = strtoull(digits, &end, 8);
    } else {
        rc = parse_u64(digits, &number, err);
        if (rc != 0)
            return err_prefix(err, "%s", field->name);
    }
    uint64_t limit = ones(bits);
    if (field->repr == REPR_SINT)
        limit = (limit >> 1) + negative;
    if (number > limit)
        return err_set(err, PLAT_EINVALID, "%s does not fit '%s' (%u bits)", word, field->name, bits);
    *ret = negative ? 0 - number : number;
    return 0;
}

static int parse_number(const struct field *field, const char *text, uint64_t *ret, struct plat_err *err)
{
    const struct type *type = field->type;
    const size_t n = strcspn(text, " ");
    for (size_t i = 0; type != NULL && type->kind == TYPE_ENUM && i < type->n_values; i++) {
        if (strlen(type->values[i].name) == n && memcmp(type->values[i].name, text, n) == 0) {
            *ret = type->values[i].value;
            return 0;
        }
    }
    if (parse_moment(field, text, ret))
        return 0;
    const bool digits = *text >= '0' && *text <= '9';
    if (type != NULL && type->kind == TYPE_FLAGS && !digits && *text != '\0')
        return parse_flags(type, text, ret) ? 0 : no_such_name(field, text, err);
    if (type != NULL && type->kind == TYPE_ENUM && !digits && *text != '-' && *text != '\0')
        return no_such_name(field, text, err);
    const unsigned bits = field->radix != 0       ? 64
                          : field->bit_width != 0 ? field->bit_width
                                                  : 8 * field->width_bytes;
    return parse_digits(field, text, bits, ret, err);
}

/* ---- text and bytes ---- */

static int parse_hex(const struct field *field, const char *text, uint8_t *p, size_t n, struct plat_err *err)
{
    size_t used = 0, times = 0;
    int end = 0;
    unsigned byte;
    /* As value_text writes runs. */
    if (sscanf(text, "%zu * %2x%n", &times, &byte, &end) == 2 && text[end] == '\0' && times == n) {
        memset(p, (int)byte, n);
        return 0;
    }
    for (; *text != '\0'; text++) {
        if (*text == ' ')
            continue;
        const char pair[3] = {text[0], text[1], '\0'};
        if (used == n || strspn(pair, "0123456789abcdefABCDEF") != 2)
            return err_set(err, PLAT_EINVALID, "'%s' takes %zu bytes as pairs of hexadecimal digits",
                           field->name, n);
        p[used++] = (uint8_t)strtoul(pair, NULL, 16);
        text++;
    }
    memset(p + used, 0, n - used);
    return 0;
}

/* The next character of UTF-8 that is known to be valid. */
static uint32_t next_character(const char **text)
{
    const uint8_t *s = (const uint8_t *)*text;
    const unsigned more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
    uint32_t c = more == 0 ? s[0] : s[0] & (0x3fU >> more);
    for (unsigned i = 1; i <= more; i++)
        c = c << 6 | (s[i] & 0x3f);
    *text += more + 1;
    return c;
}

static int parse_utf16(const struct field *field, const char *text, size_t length, uint8_t *p, size_t n,
                       struct plat_err *err)
{
    const char *end = text + length;
    size_t units = 0;
    if (!utf8_valid(text, length))
        return err_set(err, PLAT_EINVALID, "the text for '%s' is not UTF-8", field->name);
    memset(p, 0, n);
    while (text < end) {
        const uint32_t c = next_character(&text);
        const size_t wide = c >= 0x10000 ? 2 : 1;
        if (units + wide > n / 2)
            return err_set(err, PLAT_EINVALID, "the text does not fit '%s' (%zu UTF-16 units)", field->name,
                           n / 2);
        store_uint(p + 2 * units, 2, field->big_endian, wide == 2 ? 0xd800 + ((c - 0x10000) >> 10) : c);
        if (wide == 2)
            store_uint(p + 2 * units + 2, 2, field->big_endian, 0xdc00 + ((c - 0x10000) & 0x3ff));
        units += wide;
    }
    return 0;
}

static int parse_text(const struct field *field, const char *text, uint8_t *p, size_t n, struct plat_err *err)
{
    size_t length = strlen(text);
    if (strncmp(text, "hex:", 4) == 0)
        return parse_hex(field, text + 4, p, n, err);
    if (field->repr == REPR_BYTES)
        return parse_hex(field, text, p, n, err);
    if (length >= 2 && text[0] == '\'' && text[length - 1] == '\'') {
        text++;
        length -= 2;
    }
    if (field->repr == REPR_UTF16)
        return parse_utf16(field, text, length, p, n, err);
    if (length > n)
        return err_set(err, PLAT_EINVALID, "text of %zu bytes does not fit '%s' (%zu)", length, field->name,
                       n);
    if (field->pad == PAD_NONE && length != n)
        return err_set(err, PLAT_EINVALID, "'%s' takes %zu bytes, not %zu: nothing pads it", field->name, n,
                       length);
    memcpy(p, text, length);
    memset(p + length, field->pad == PAD_SPACE ? ' ' : 0, n - length);
    return 0;
}

/* ---- setting ---- */

int inst_set(const struct inst *inst, const struct field *field, uint64_t index, const char *text,
             uint8_t *bytes, struct plat_err *err)
{
    struct value v;
    int rc = inst_value(inst, field, index, &v, err);
    if (rc != 0)
        return rc;
    uint8_t *p = bytes + (v.bytes - inst->bytes);
    uint64_t number = 0;
    if (field->radix != 0) {
        rc = parse_number(field, text, &number, err);
        return rc != 0 || field_format_digits(field, number, p, v.n)
                   ? rc
                   : err_set(err, PLAT_EINVALID, "%s does not fit the %zu digits of '%s'", text, v.n,
                             field->name);
    }
    switch (field->repr) {
    case REPR_CHARS:
    case REPR_UTF16:
    case REPR_BYTES:
        return parse_text(field, text, p, v.n, err);
    case REPR_GUID:
    case REPR_UUID:
        /* Up to the first space: behind it stands a name, as value_text prints it. */
        if (!field_parse_id(field, text, strcspn(text, " "), p))
            return err_set(err, PLAT_EINVALID,
                           "'%.80s' is not a GUID such as c12a7328-f81f-11d2-ba4b-00a0c93ec93b%s", text,
                           type_names_ids(field->type) ? ", nor a name that the format gives one" : "");
        return 0;
    default:
        rc = parse_number(field, text, &number, err);
        if (rc == 0)
            field_store(field, p, number);
        return rc;
    }
}

int inst_set_bits(const struct inst *inst, const struct field *field, uint64_t index,
                  const struct field *member, const struct enum_value *flag, const char *text, uint8_t *bytes,
                  struct plat_err *err)
{
    struct value v, now;
    uint64_t number = 0;
    int rc = inst_value(inst, field, index, &v, err);
    if (rc == 0)
        rc = member != NULL ? parse_number(member, text, &number, err)
                            : parse_digits(field, text, flag->width, &number, err);
    if (rc != 0)
        return rc;
    const unsigned shift = member != NULL ? member->bit_shift : flag->shift;
    const uint64_t mask = ones(member != NULL ? member->bit_width : flag->width) << shift;
    uint8_t *p = bytes + (v.bytes - inst->bytes);
    value_from_bytes(field, p, v.n, &now);
    field_store(field, p, (now.number & ~mask) | (number << shift & mask));
    return 0;
}
