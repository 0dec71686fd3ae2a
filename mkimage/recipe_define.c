/* ${NAME} in recipes, and the digest that identifiers are derived from.
 *
 * Substitution works on string values (never on keys), once: what a value brings in is not looked at again.
 * "$$" is a dollar sign. A name comes from -D, else from the recipe's `defaults`; anything else is an error,
 * and so is a -D that the recipe never uses, because it is most often a typing error. */
#include "mkimage/recipe_read.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash/hash.h"

struct define {
    const char *name;
    const char *value;
    bool used;
    bool from_default;
};
struct defines {
    struct define items[RECIPE_MAX_DEFINES];
    size_t n;
};

static size_t name_length(const char *s)
{
    size_t n = 0;
    while ((s[n] >= 'A' && s[n] <= 'Z') || (s[n] >= 'a' && s[n] <= 'z') || s[n] == '_' ||
           (n > 0 && s[n] >= '0' && s[n] <= '9'))
        n++;
    return n;
}

static struct define *define_find(struct defines *defines, const char *name, size_t n)
{
    for (size_t i = 0; i < defines->n; i++)
        if (strncmp(defines->items[i].name, name, n) == 0 && defines->items[i].name[n] == '\0')
            return &defines->items[i];
    return NULL;
}

static int define_add(struct recipe *recipe, struct defines *defines, struct define define,
                      struct plat_err *err)
{
    if (defines->n == RECIPE_MAX_DEFINES)
        return recipe_fail(recipe, "", err, "more than %d names are defined", RECIPE_MAX_DEFINES);
    defines->items[defines->n++] = define;
    return 0;
}

/* -D NAME=VALUE; a later one of the same name wins. */
static int define_parse(struct recipe *recipe, struct defines *defines, const char *text,
                        struct plat_err *err)
{
    size_t n = name_length(text);
    if (n == 0 || text[n] != '=')
        return recipe_fail(recipe, "", err,
                           "-D %.80s: expected NAME=VALUE, where NAME is letters, digits and _", text);
    if (!utf8_valid(text + n + 1, strlen(text + n + 1)))
        return recipe_fail(recipe, "", err, "-D %.*s: the value is not UTF-8", (int)(n < 80 ? n : 80), text);
    struct define *known = define_find(defines, text, n);
    if (known != NULL) {
        known->value = text + n + 1;
        return 0;
    }
    const char *name = arena_strndup(&recipe->arena, text, n);
    if (name == NULL)
        return err_nomem(err, "reading -D");
    return define_add(recipe, defines, (struct define){.name = name, .value = text + n + 1}, err);
}

static int defaults_read(struct recipe *recipe, struct defines *defines, struct plat_err *err)
{
    json_t *defaults = json_object_get(recipe->root, "defaults"), *value;
    const char *key;
    char buf[64];
    if (defaults == NULL)
        return 0;
    if (!json_is_object(defaults))
        return recipe_fail(recipe, "defaults", err, "expected an object of NAME: \"value\", found %s",
                           json_describe(defaults, buf));
    json_object_foreach(defaults, key, value)
    {
        const char *path = recipe_path_key(recipe, "defaults", key);
        size_t n = name_length(key);
        if (n == 0 || key[n] != '\0')
            return recipe_fail(recipe, "defaults", err, "a name is letters, digits and _, found \"%.80s\"",
                               key);
        if (!json_is_string(value))
            return recipe_fail(recipe, path, err, "expected a string, found %s", json_describe(value, buf));
        if (strstr(json_string_value(value), "${") != NULL)
            return recipe_fail(recipe, path, err, "a default is taken as it is and cannot contain ${...}");
        if (define_find(defines, key, n) == NULL) {
            /* Copied: the document's `defaults` is dropped before the values are used. */
            const char *name = arena_strdup(&recipe->arena, key);
            const char *copy = arena_strdup(&recipe->arena, json_string_value(value));
            if (name == NULL || copy == NULL)
                return err_nomem(err, "reading defaults");
            int ret = define_add(recipe, defines, (struct define){name, copy, false, true}, err);
            if (ret != 0)
                return ret;
        }
    }
    return 0;
}

static void list_names(const struct defines *defines, struct strbuf *ret)
{
    if (defines->n == 0)
        strbuf_puts(ret, "nothing is defined");
    for (size_t i = 0; i < defines->n; i++)
        strbuf_printf(ret, "%s%s", i == 0 ? "defined are: " : ", ", defines->items[i].name);
}

static int expand(struct recipe *recipe, struct defines *defines, const char *path, const char *text,
                  struct strbuf *ret, struct plat_err *err)
{
    for (const char *s = text; *s != '\0';) {
        size_t plain = strcspn(s, "$");
        strbuf_add(ret, s, plain);
        s += plain;
        if (*s == '\0')
            break;
        if (s[1] == '$') {
            strbuf_putc(ret, '$');
            s += 2;
            continue;
        }
        size_t n = s[1] == '{' ? name_length(s + 2) : 0;
        if (n == 0 || s[2 + n] != '}')
            return recipe_fail(recipe, path, err, "expected ${NAME} or $$ after '$' (character %zu)",
                               (size_t)(s - text) + 1);
        struct define *define = define_find(defines, s + 2, n);
        if (define == NULL) {
            struct strbuf list = {0};
            list_names(defines, &list);
            (void)recipe_fail(recipe, path, err,
                              "${%.*s} is not defined; give -D %.*s=VALUE or a default (%s)", (int)n, s + 2,
                              (int)n, s + 2, strbuf_str(&list));
            strbuf_free(&list);
            return PLAT_EINVALID;
        }
        define->used = true;
        strbuf_puts(ret, define->value);
        s += n + 3;
        if (ret->len > RECIPE_MAX_STRING_BYTES)
            return recipe_fail(recipe, path, err, "is longer than %d bytes after substitution",
                               RECIPE_MAX_STRING_BYTES);
    }
    return ret->failed ? err_nomem(err, "substituting names") : 0;
}

static int substitute(struct recipe *recipe, struct defines *defines, json_t *json, const char *path,
                      unsigned depth, struct plat_err *err)
{
    int ret = 0;
    if (depth > RECIPE_MAX_DEPTH)
        return recipe_fail(recipe, path, err, "is nested deeper than %d levels", RECIPE_MAX_DEPTH);
    if (json_is_string(json)) {
        if (strchr(json_string_value(json), '$') == NULL)
            return 0;
        struct strbuf text = {0};
        ret = expand(recipe, defines, path, json_string_value(json), &text, err);
        if (ret == 0 && json_string_set(json, strbuf_str(&text)) != 0)
            ret = err_nomem(err, "substituting names");
        strbuf_free(&text);
    } else if (json_is_object(json)) {
        const char *key;
        json_t *value;
        json_object_foreach(json, key, value)
        {
            ret = substitute(recipe, defines, value, recipe_path_key(recipe, path, key), depth + 1, err);
            if (ret != 0)
                return ret;
        }
    } else if (json_is_array(json)) {
        struct reader r = {recipe, err, 0};
        struct node array = {json, path}, item;
        for (size_t i = 0; i < json_array_size(json); i++) {
            read_element(&r, &array, i, &item);
            ret = substitute(recipe, defines, item.json, item.path, depth + 1, err);
            if (ret != 0)
                return ret;
        }
    }
    return ret;
}

int recipe_substitute(struct recipe *recipe, const char *const *texts, size_t n_texts, struct plat_err *err)
{
    struct defines *defines = arena_alloc(&recipe->arena, sizeof *defines);
    if (defines == NULL)
        return err_nomem(err, "reading the recipe");
    for (size_t i = 0; i < n_texts; i++) {
        int ret = define_parse(recipe, defines, texts[i], err);
        if (ret != 0)
            return ret;
    }
    int ret = defaults_read(recipe, defines, err);
    if (ret != 0)
        return ret;
    (void)json_object_del(recipe->root, "defaults");
    ret = substitute(recipe, defines, recipe->root, "", 0, err);
    if (ret != 0)
        return ret;
    for (size_t i = 0; i < defines->n; i++) {
        if (!defines->items[i].used && !defines->items[i].from_default)
            return recipe_fail(recipe, "", err, "-D %.80s: the recipe has no ${%.80s} to replace",
                               defines->items[i].name, defines->items[i].name);
    }
    return 0;
}

/* Keys that say where the sources lie on the host, or that speak to people only: a disk is the same disk
 * wherever it is built. What the sources hold enters through the digest of their trees. */
static bool key_is_identity(const char *key)
{
    static const char *const others[] = {"from",    "content", "objects",     "boot_code",
                                         "comment", "$schema", "exclude_from"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(key, others[i]) == 0)
            return false;
    return true;
}

/* A copy without those keys; containers are new, scalars shared. */
static json_t *identity_copy(json_t *json)
{
    const char *key;
    json_t *value;
    size_t index;
    if (json_is_object(json)) {
        json_t *copy = json_object();
        json_object_foreach(json, key, value)
        {
            if (key_is_identity(key) && json_object_set_new(copy, key, identity_copy(value)) != 0) {
                json_decref(copy);
                return NULL;
            }
        }
        return copy;
    }
    if (json_is_array(json)) {
        json_t *copy = json_array();
        json_array_foreach(json, index, value)
        {
            if (json_array_append_new(copy, identity_copy(value)) != 0) {
                json_decref(copy);
                return NULL;
            }
        }
        return copy;
    }
    return json_incref(json);
}

static int add_text(const char *bytes, size_t n, void *ctx)
{
    struct strbuf *text = ctx;
    strbuf_add(text, bytes, n);
    return text->failed ? -1 : 0;
}

int recipe_digest(struct recipe *recipe, struct plat_err *err)
{
    uint8_t hash[HASH_SHA256_BYTES];
    struct strbuf text = {0};
    json_t *copy = identity_copy(recipe->root);
    /* Not json_dumps: out of memory, jansson 2.14 leaves pieces out and says nothing. */
    bool whole = copy != NULL &&
                 json_dump_callback(copy, add_text, &text, JSON_COMPACT | JSON_SORT_KEYS) == 0 &&
                 !text.failed;
    json_decref(copy);
    if (whole)
        hash_sha256(text.s, text.len, hash);
    strbuf_free(&text);
    if (!whole)
        return err_nomem(err, "reading the recipe");
    for (size_t i = 0; i < sizeof hash; i++) {
        recipe->digest[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        recipe->digest[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    recipe->digest[64] = '\0';
    return 0;
}
