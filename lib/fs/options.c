/* Options of makers. */
#include <string.h>

#include "lib/fs/options.h"

int make_option_choice(const struct make_option_desc *desc, json_t *value, size_t *ret, struct plat_err *err)
{
    const char *text = json_string_value(value);
    const char *choice = desc->argument;
    if (value == NULL)
        return 0;
    for (size_t i = 0; text != NULL; i++) {
        size_t n = strcspn(choice, "|");
        if (strlen(text) == n && strncmp(choice, text, n) == 0) {
            *ret = i;
            return 0;
        }
        if (choice[n] == '\0')
            break;
        choice += n + 1;
    }
    return err_set(err, PLAT_EINVALID, "option %s: expected %s, found %s%s%s", desc->name, desc->argument,
                   text != NULL ? "'" : "something that is not text", text != NULL ? text : "",
                   text != NULL ? "'" : "");
}

int make_options_known(const struct make_option_desc *descs, size_t n, const char *format, json_t *extra,
                       struct plat_err *err)
{
    const char *name;
    json_t *value;
    if (extra != NULL && !json_is_object(extra))
        return err_set(err, PLAT_EINVALID, "the options of %s must be an object", format);
    json_object_foreach(extra, name, value)
    {
        size_t i = 0;
        while (i < n && strcmp(descs[i].name, name) != 0)
            i++;
        if (i < n)
            continue;
        struct strbuf list = {0};
        for (i = 0; i < n; i++)
            strbuf_printf(&list, "%s%s", i == 0 ? "" : ", ", descs[i].name);
        int rc = err_set(err, PLAT_EINVALID, "%s has no option '%.80s'; it has %s", format, name,
                         strbuf_str(&list));
        strbuf_free(&list);
        return rc;
    }
    return 0;
}

int make_option_number(json_t *extra, const char *name, uint64_t max, uint64_t *ret, struct plat_err *err)
{
    json_t *value = json_object_get(extra, name);
    if (value == NULL)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max)
        return err_set(err, PLAT_EINVALID, "%s must be a number from 0 to %llu", name,
                       (unsigned long long)max);
    *ret = (uint64_t)json_integer_value(value);
    return 0;
}

int make_option_flag(json_t *extra, const char *name, bool *ret, struct plat_err *err)
{
    json_t *value = json_object_get(extra, name);
    if (value == NULL)
        return 0;
    if (!json_is_boolean(value))
        return err_set(err, PLAT_EINVALID, "%s must be true or false", name);
    *ret = json_is_true(value);
    return 0;
}

int make_option_label(const char *label, const char *format, uint8_t *ret, size_t n, struct plat_err *err)
{
    const size_t bytes = label != NULL ? strlen(label) : 0;
    if (bytes > n)
        return err_set(err, PLAT_EINVALID, "the label '%.80s' has %zu bytes and %s keeps %zu", label, bytes,
                       format, n);
    if (bytes > 0 && !utf8_valid(label, bytes))
        return err_set(err, PLAT_EINVALID, "the label is not UTF-8");
    memset(ret, 0, n);
    for (size_t i = 0; i < bytes; i++) /* no terminator: the field is what it is */
        ret[i] = (uint8_t)label[i];
    return 0;
}

int make_option_uuid(const char *uuid, uint8_t *ret, struct plat_err *err)
{
    memset(ret, 0, 16);
    if (uuid != NULL && !parse_guid_braced(uuid, ret))
        return err_set(err, PLAT_EINVALID,
                       "'%.80s' is not a UUID such as 12345678-9abc-4def-8123-456789abcdef", uuid);
    return 0;
}
