/* JSON helpers of the schema loader. */
#include "lib/layout/load.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t load_push(struct loader *ld, const char *fmt, ...)
{
    size_t mark = ld->path.len;
    char part[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(part, sizeof part, fmt, ap);
    va_end(ap);
    strbuf_puts(&ld->path, part);
    return mark;
}

void load_pop(struct loader *ld, size_t mark)
{
    strbuf_truncate(&ld->path, mark);
}

int load_fail_raw(struct loader *ld, const char *fmt, ...)
{
    char text[PLAT_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    int rc = err_set(ld->err, PLAT_EINVALID, "%s", text);
    const char *path = strbuf_str(&ld->path);
    if (ld->err != NULL)
        (void)snprintf(ld->err->path, sizeof ld->err->path, "%.255s", path[0] == '.' ? path + 1 : path);
    return rc;
}

int load_nomem_raw(struct loader *ld)
{
    return err_nomem(ld->err, "loading a schema");
}

static bool word_in(const char *words, const char *word)
{
    size_t n = strlen(word);
    if (n == 0 || strchr(word, ' ') != NULL)
        return false;
    for (const char *s = words; (s = strstr(s, word)) != NULL; s += n)
        if ((s == words || s[-1] == ' ') && (s[n] == '\0' || s[n] == ' '))
            return true;
    return false;
}

int load_keys(struct loader *ld, json_t *object, const char *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!word_in(known, key))
            return load_fail(ld, "unknown key \"%.60s\"; known here: %s", key, known);
    }
    return 0;
}

int load_text(struct loader *ld, json_t *object, const char *key, const char **ret)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        return 0;
    if (!json_is_string(value))
        return load_fail(ld, "\"%s\" must be text", key);
    if (strlen(json_string_value(value)) != json_string_length(value))
        return load_fail(ld, "\"%s\" must not contain NUL", key);
    const char *copy = arena_strdup(&ld->layout->arena, json_string_value(value));
    if (copy == NULL)
        return load_nomem(ld);
    *ret = copy;
    return 0;
}

int load_bool(struct loader *ld, json_t *object, const char *key, bool *ret)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        return 0;
    if (!json_is_boolean(value))
        return load_fail(ld, "\"%s\" must be true or false", key);
    *ret = json_is_true(value);
    return 0;
}

int load_number_value(struct loader *ld, json_t *value, uint64_t *ret, bool *ret_negative)
{
    if (json_is_integer(value)) {
        json_int_t n = json_integer_value(value);
        if (n > (json_int_t)1 << 53 || n < -((json_int_t)1 << 53))
            return load_fail(ld, "numbers beyond 2^53 must be written as text, such as \"0x%llx\"",
                             (unsigned long long)n);
        *ret = (uint64_t)n;
        *ret_negative = n < 0;
        return 0;
    }
    if (!json_is_string(value))
        return load_fail(ld, "expected a whole number, or text holding one");
    const char *text = json_string_value(value);
    bool negative = text[0] == '-';
    uint64_t number;
    struct plat_err inner;
    if (parse_u64(text + negative, &number, &inner) != 0)
        return load_fail(ld, "%s", inner.text);
    if (negative && number > (uint64_t)1 << 63)
        return load_fail(ld, "number '%s' does not fit 64 bits", text);
    *ret = negative ? 0 - number : number;
    *ret_negative = negative && number != 0;
    return 0;
}

int load_number(struct loader *ld, json_t *object, const char *key, uint64_t max, uint64_t *ret)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        return 0;
    uint64_t number;
    bool negative;
    size_t mark = load_push(ld, ".%s", key);
    int rc = load_number_value(ld, value, &number, &negative);
    if (rc == 0 && (negative || number > max))
        rc = load_fail(ld, "must lie between 0 and %llu", (unsigned long long)max);
    if (rc != 0)
        return rc;
    load_pop(ld, mark);
    *ret = number;
    return 0;
}

int load_name(struct loader *ld, const char *name)
{
    size_t n = strlen(name);
    bool good = n > 0 && n <= LAYOUT_MAX_NAME_BYTES && (name[0] == '_' || (name[0] >= 'a' && name[0] <= 'z'));
    for (size_t i = 0; good && i < n; i++)
        good = name[i] == '_' || (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9');
    if (!good)
        return load_fail(
            ld, "'%.80s' is not a name: a-z, 0-9 and '_', at most %d characters, not starting with a digit",
            name, (int)LAYOUT_MAX_NAME_BYTES);
    if (word_in("self parent index image true false zero", name))
        return load_fail(ld, "'%s' is a word of the expression language and cannot be a name", name);
    return 0;
}

int load_choice(struct loader *ld, json_t *object, const char *key, const char *const *choices, int *ret)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        return 0;
    char list[256] = "";
    for (int i = 0; choices[i] != NULL; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), choices[i]) == 0) {
            *ret = i;
            return 0;
        }
        size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", choices[i]);
    }
    return load_fail(ld, "\"%s\" must be one of: %s", key, list);
}

int load_expr_text(struct loader *ld, json_t *value, const struct expr **ret, const char **ret_text)
{
    char number[32];
    const char *text;
    if (json_is_integer(value)) {
        if (json_integer_value(value) < 0)
            return load_fail(ld, "must not be negative");
        (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        text = number;
    } else if (json_is_string(value)) {
        text = json_string_value(value);
    } else {
        return load_fail(ld, "expected an expression (text) or a number");
    }
    struct plat_err inner;
    int rc = expr_parse(&ld->layout->arena, text, strlen(text), ret, &inner);
    if (rc != 0)
        return inner.class == PLAT_ENOMEM ? load_nomem(ld) : load_fail(ld, "%s", inner.text);
    if (ret_text != NULL && (*ret_text = arena_strdup(&ld->layout->arena, text)) == NULL)
        return load_nomem(ld);
    return 0;
}

int load_expr(struct loader *ld, json_t *object, const char *key, const struct expr **ret,
              const char **ret_text)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL)
        return 0;
    size_t mark = load_push(ld, ".%s", key);
    int rc = load_expr_text(ld, value, ret, ret_text);
    if (rc == 0)
        load_pop(ld, mark);
    return rc;
}

static int hex_nibble(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

int load_byte_text(struct loader *ld, json_t *value, const uint8_t **ret, size_t *ret_n)
{
    if (!json_is_string(value))
        return load_fail(ld, "expected text, or \"hex:\" and hexadecimal digits");
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    if (strncmp(text, "hex:", 4) != 0) {
        const char *copy = arena_strndup(&ld->layout->arena, text, n);
        if (copy == NULL)
            return load_nomem(ld);
        *ret = (const uint8_t *)copy;
        *ret_n = n;
        return 0;
    }
    uint8_t *bytes = arena_alloc(&ld->layout->arena, n);
    if (bytes == NULL)
        return load_nomem(ld);
    size_t used = 0;
    for (size_t i = 4; i < n; i += 2) {
        if (text[i] == ' ') {
            i--;
            continue;
        }
        int high = hex_nibble(text[i]);
        int low = i + 1 < n ? hex_nibble(text[i + 1]) : -1;
        if (high < 0 || low < 0)
            return load_fail(ld, "'%.60s' must hold pairs of hexadecimal digits behind \"hex:\"", text);
        bytes[used++] = (uint8_t)(high << 4 | low);
    }
    *ret = bytes;
    *ret_n = used;
    return 0;
}
