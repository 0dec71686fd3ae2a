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
