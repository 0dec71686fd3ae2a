/* Reading members of JSON objects: keys, kinds, ranges, and the sentences for what is wrong. */
#include "mkimage/recipe_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"

int recipe_fail(const struct recipe *recipe, const char *path, struct plat_err *err, const char *fmt, ...)
{
    char text[PLAT_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)err_set(err, PLAT_EINVALID, "%s", text);
    if (err != NULL)
        (void)snprintf(err->path, sizeof err->path, "%s", path);
    err_image(err, recipe->file);
    return PLAT_EINVALID;
}

int recipe_blame(const struct recipe *recipe, const char *path, struct plat_err *err)
{
    if (err == NULL)
        return PLAT_EINVALID;
    char text[PLAT_ERR_TEXT_MAX];
    err_format(err, text, sizeof text);
    (void)snprintf(err->text, sizeof err->text, "%s", text);
    (void)snprintf(err->path, sizeof err->path, "%s", path);
    err->has_offset = false;
    err->image[0] = '\0';
    err_image(err, recipe->file);
    return err->class;
}

const char *recipe_path_key(struct recipe *recipe, const char *path, const char *key)
{
    size_t path_len = strlen(path), key_len = strlen(key);
    char *s = arena_bytes(&recipe->arena, path_len + key_len + 2);
    if (s == NULL)
        return path;
    (void)snprintf(s, path_len + key_len + 2, "%s%s%s", path, path_len == 0 ? "" : ".", key);
    return s;
}

void read_fail(struct reader *r, const char *path, const char *fmt, ...)
{
    if (r->ret != 0)
        return;
    char text[PLAT_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->ret = recipe_fail(r->recipe, path, r->err, "%s", text);
}

void read_check_sectors(struct reader *r, const char *path, uint64_t bytes)
{
    unsigned sector_bytes = r->recipe->sector_bytes;
    uint64_t odd = bytes % sector_bytes;
    if (bytes > INT64_MAX)
        read_fail(r, path, "expected at most 2^63 - 1 bytes, found %llu", (unsigned long long)bytes);
    else if (odd != 0)
        read_fail(r, path, "expected a multiple of the sector size (%u bytes), found %llu; the next is %llu",
                  sector_bytes, (unsigned long long)bytes, (unsigned long long)(bytes - odd + sector_bytes));
}

void read_nomem(struct reader *r)
{
    if (r->ret == 0)
        r->ret = err_nomem(r->err, "reading the recipe");
}

void *read_alloc(struct reader *r, size_t count, size_t each)
{
    uint64_t bytes;
    void *p = mul_u64(count, each, &bytes) ? arena_alloc(&r->recipe->arena, (size_t)bytes) : NULL;
    if (p == NULL)
        read_nomem(r);
    return p;
}

const char *json_describe(const json_t *json, char buf[64])
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING: {
        struct strbuf sb = {0};
        strbuf_visible(&sb, json_string_value(json), strnlen(json_string_value(json), 40));
        (void)snprintf(buf, 64, "\"%.40s%s\"", strbuf_str(&sb), json_string_length(json) > 40 ? "..." : "");
        strbuf_free(&sb);
        return buf;
    }
    case JSON_INTEGER:
        (void)snprintf(buf, 64, "the number %" JSON_INTEGER_FORMAT, json_integer_value(json));
        return buf;
    case JSON_REAL:
        (void)snprintf(buf, 64, "the number %g", json_real_value(json));
        return buf;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

static void describe_names(const char *const *names, struct strbuf *ret)
{
    for (size_t i = 0; names[i] != NULL; i++)
        strbuf_printf(ret, "%s%s", i == 0 ? "" : ", ", names[i]);
}

void read_keys(struct reader *r, const struct node *node, const char *const *known)
{
    if (r->ret != 0)
        return;
    char buf[64];
    if (!json_is_object(node->json)) {
        read_fail(r, node->path, "expected an object, found %s", json_describe(node->json, buf));
        return;
    }
    const char *key;
    json_t *value;
    json_object_foreach(node->json, key, value)
    {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] != NULL)
            continue;
        struct strbuf shown = {0}, list = {0};
        strbuf_visible(&shown, key, strnlen(key, 64));
        describe_names(known, &list);
        const char *near = nearest_name(key, known, SIZE_MAX);
        read_fail(r, node->path, "unknown key \"%s\"%s%s%s; known keys: %s", strbuf_str(&shown),
                  near != NULL ? " (did you mean \"" : "", near != NULL ? near : "",
                  near != NULL ? "\"?)" : "", strbuf_str(&list));
        strbuf_free(&shown);
        strbuf_free(&list);
        return;
    }
}

bool read_has(const struct node *node, const char *key)
{
    return json_object_get(node->json, key) != NULL;
}

bool read_member(struct reader *r, const struct node *node, const char *key, struct node *ret)
{
    if (r->ret != 0)
        return false;
    json_t *json = json_object_get(node->json, key);
    if (json == NULL)
        return false;
    *ret = (struct node){json, recipe_path_key(r->recipe, node->path, key)};
    return true;
}

void read_element(struct reader *r, const struct node *array, size_t index, struct node *ret)
{
    size_t bytes = strlen(array->path) + 24;
    char *path = arena_bytes(&r->recipe->arena, bytes);
    if (path != NULL)
        (void)snprintf(path, bytes, "%s[%zu]", array->path, index);
    *ret = (struct node){json_array_get(array->json, index), path != NULL ? path : array->path};
}

bool read_array(struct reader *r, const struct node *node, const char *key, size_t max, struct node *ret,
                size_t *ret_n)
{
    char buf[64];
    struct node member;
    *ret_n = 0;
    if (!read_member(r, node, key, &member))
        return false;
    if (!json_is_array(member.json)) {
        read_fail(r, member.path, "expected an array, found %s", json_describe(member.json, buf));
        return false;
    }
    size_t n = json_array_size(member.json);
    if (n > max) {
        read_fail(r, member.path, "has %zu elements; the limit is %zu", n, max);
        return false;
    }
    *ret = member;
    *ret_n = n;
    return true;
}

void read_text(struct reader *r, const struct node *node, const char *key, const char **ret)
{
    char buf[64];
    struct node member;
    if (!read_member(r, node, key, &member))
        return;
    if (!json_is_string(member.json)) {
        read_fail(r, member.path, "expected a string, found %s", json_describe(member.json, buf));
        return;
    }
    *ret = json_string_value(member.json); /* lives as long as recipe->root */
}

void read_word(struct reader *r, const struct node *node, const char *key, const char **ret)
{
    const char *text = NULL;
    read_text(r, node, key, &text);
    if (text == NULL)
        return;
    if (text[0] == '\0')
        read_fail(r, recipe_path_key(r->recipe, node->path, key),
                  "expected text, found an empty string; leave \"%s\" out instead", key);
    else
        *ret = text;
}

void read_choice(struct reader *r, const struct node *node, const char *key, const char *const *names,
                 size_t *ret)
{
    const char *text = NULL;
    read_text(r, node, key, &text);
    if (text == NULL)
        return;
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret = i;
            return;
        }
    }
    struct strbuf list = {0}, shown = {0};
    describe_names(names, &list);
    strbuf_visible(&shown, text, strnlen(text, 64));
    read_fail(r, recipe_path_key(r->recipe, node->path, key), "expected one of: %s; found \"%s\"",
              strbuf_str(&list), strbuf_str(&shown));
    strbuf_free(&list);
    strbuf_free(&shown);
}

void read_bool(struct reader *r, const struct node *node, const char *key, bool *ret)
{
    char buf[64];
    struct node member;
    if (!read_member(r, node, key, &member))
        return;
    if (json_is_boolean(member.json))
        *ret = json_is_true(member.json);
    else
        read_fail(r, member.path, "expected true or false, found %s", json_describe(member.json, buf));
}

/* A whole number that stands in `node`: as such, or as text for what a double cannot hold. */
static bool number_value(struct reader *r, const struct node *node, uint64_t *ret)
{
    char buf[64];
    if (json_is_integer(node->json)) {
        if (json_integer_value(node->json) >= 0) {
            *ret = (uint64_t)json_integer_value(node->json);
            return true;
        }
        read_fail(r, node->path, "must not be negative, found %s", json_describe(node->json, buf));
    } else if (json_is_string(node->json) && parse_u64(json_string_value(node->json), ret, NULL) == 0) {
        return true;
    } else {
        read_fail(r, node->path, "expected a whole number, found %s", json_describe(node->json, buf));
    }
    return false;
}

void read_number(struct reader *r, const struct node *node, const char *key, uint64_t max, bool *has,
                 uint64_t *ret)
{
    struct node member;
    uint64_t value;
    if (!read_member(r, node, key, &member) || !number_value(r, &member, &value))
        return;
    if (value > max) {
        read_fail(r, member.path, "expected at most %llu, found %llu", (unsigned long long)max,
                  (unsigned long long)value);
        return;
    }
    *ret = value;
    if (has != NULL)
        *has = true;
}

bool read_size_value(struct reader *r, const struct node *node, uint64_t *ret)
{
    char buf[64];
    if (r->ret != 0)
        return false;
    if (json_is_integer(node->json))
        return number_value(r, node, ret);
    if (!json_is_string(node->json)) {
        read_fail(r, node->path, "expected a size such as \"64MiB\" or a number of bytes, found %s",
                  json_describe(node->json, buf));
        return false;
    }
    const char *text = json_string_value(node->json);
    if (text[0] == '-') {
        read_fail(r, node->path, "must not be negative, found %s", json_describe(node->json, buf));
        return false;
    }
    struct plat_err why = {0};
    if (parse_size(text, ret, &why) == 0)
        return true;
    read_fail(r, node->path, "expected a size such as \"64MiB\" or a number of bytes, found %s (%s)",
              json_describe(node->json, buf), why.text);
    return false;
}

void read_size(struct reader *r, const struct node *node, const char *key, bool *has, uint64_t *ret)
{
    struct node member;
    uint64_t value;
    if (!read_member(r, node, key, &member) || !read_size_value(r, &member, &value))
        return;
    *ret = value;
    if (has != NULL)
        *has = true;
}
