/* What build and mk share: finding a maker, its options, the reproducible clock. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mkimage/gather.h"

int maker_find(const char *format, const struct fs_driver **ret, struct plat_err *err)
{
    const struct fs_driver *driver = fs_driver_find(format);
    if (driver != NULL && driver->maker != NULL) {
        *ret = driver;
        return 0;
    }
    const char *names[64];
    size_t n = 0;
    struct strbuf list = {0};
    for (size_t i = 0; i < n_fs_drivers && n < 63; i++) {
        if (fs_drivers[i]->maker == NULL)
            continue;
        names[n++] = fs_drivers[i]->name;
        strbuf_printf(&list, "%s%s", n == 1 ? "" : ", ", fs_drivers[i]->name);
    }
    names[n] = NULL;
    const char *near = driver == NULL ? nearest_name(format, names, SIZE_MAX) : NULL;
    int rc = err_set(err, driver != NULL ? PLAT_EUNSUPPORTED : PLAT_EINVALID,
                     "%s \"%.80s\"%s%s%s; formats that can be made: %s",
                     driver != NULL ? "plat does not make images of format" : "unknown format", format,
                     near != NULL ? " (did you mean \"" : "", near != NULL ? near : "",
                     near != NULL ? "\"?)" : "", strbuf_str(&list));
    strbuf_free(&list);
    return rc;
}

int gather_objects(const char *const *paths, size_t n, const struct tree_options *options, struct tree **ret,
                   struct plat_err *err)
{
    struct tree *tree = NULL;
    char name[24]; /* stores keep no names; numbers keep the order */
    int rc = tree_open(options, &tree, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        (void)snprintf(name, sizeof name, "%020zu", i);
        rc = tree_add_file(tree, name, paths[i], err);
    }
    if (rc == 0)
        rc = tree_finish(tree, err);
    if (rc != 0) {
        if (tree != NULL)
            tree_close(tree);
        return rc;
    }
    *ret = tree;
    return 0;
}

int output_is_not(const char *output, const char *input, const char *what, struct plat_err *err)
{
    struct stat out, in;
    if (strcmp(output, "-") == 0 || strcmp(input, "-") == 0 || stat(output, &out) != 0 ||
        stat(input, &in) != 0 || out.st_dev != in.st_dev || out.st_ino != in.st_ino)
        return 0;
    return err_set(err, PLAT_EINVALID,
                   "%.300s is %s itself, and the image would replace it; give -o another name", output, what);
}

void note_left_out(const char *command, const char *output)
{
    struct strbuf name = {0};
    strbuf_visible(&name, output, strlen(output));
    (void)fprintf(stderr, "plat %s: note: %s lies in a source; it is the output and is left out of itself\n",
                  command, strbuf_str(&name));
    strbuf_free(&name);
}

/* Numbers and booleans as such, all else as text. */
static json_t *option_value(const char *text)
{
    uint64_t number;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(text[0] == 't');
    if (parse_u64(text, &number, NULL) == 0 && number <= INT64_MAX)
        return json_integer((json_int_t)number);
    return json_string(text);
}

int maker_options_parse(const char *const *texts, size_t n, json_t **ret, struct plat_err *err)
{
    json_t *object = json_object();
    int rc = object == NULL ? err_nomem(err, "reading -O") : 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const char *equals = strchr(texts[i], '=');
        if (equals == NULL || equals == texts[i]) {
            rc = err_set(err, PLAT_EINVALID, "-O %.80s: expected KEY=VALUE", texts[i]);
            break;
        }
        char *key = strndup(texts[i], (size_t)(equals - texts[i]));
        json_t *value = option_value(equals + 1);
        if (key != NULL && value != NULL && json_object_get(object, key) != NULL) {
            rc = err_set(err, PLAT_EINVALID, "-O %.80s is given twice", key);
            json_decref(value);
        } else if (key == NULL || json_object_set_new(object, key, value) != 0) {
            rc = err_set(err, PLAT_EINVALID, "-O %.80s: not UTF-8, or out of memory", texts[i]);
        }
        free(key);
    }
    if (rc != 0) {
        json_decref(object);
        return rc;
    }
    *ret = object;
    return 0;
}

void maker_tree_options(const struct fs_maker *maker, json_t *options, struct tree_options *ret)
{
    const char *xattrs = json_string_value(json_object_get(options, "xattrs"));
    ret->links = maker->links;
    ret->xattrs = maker->xattrs && xattrs != NULL && strcmp(xattrs, "keep") == 0;
}

int recipe_options(const struct fs_maker *maker, json_t *options, json_t **ret, struct plat_err *err)
{
    bool has_owner = false;
    for (size_t i = 0; i < maker->n_options; i++)
        has_owner = has_owner || strcmp(maker->options[i].name, "owner") == 0;
    json_t *copy = options != NULL ? json_copy(options) : json_object();
    if (copy == NULL || (has_owner && json_object_get(copy, "owner") == NULL &&
                         json_object_set_new(copy, "owner", json_string("keep")) != 0)) {
        json_decref(copy);
        return err_nomem(err, "planning");
    }
    *ret = copy;
    return 0;
}

int source_date_epoch(bool *has, int64_t *ret, struct plat_err *err)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds;
    *has = false;
    if (text == NULL || text[0] == '\0')
        return 0;
    if (parse_u64(text, &seconds, NULL) != 0 || seconds > INT64_MAX)
        return err_set(err, PLAT_EINVALID, "SOURCE_DATE_EPOCH: expected seconds since 1970, found \"%.40s\"",
                       text);
    *ret = (int64_t)seconds;
    *has = true;
    return 0;
}
