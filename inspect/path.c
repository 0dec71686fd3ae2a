#include "inspect/path.h"

#include <inttypes.h>
#include <string.h>

enum { UNICODE_ESCAPE_BYTES = 6 };

struct parser {
    const char *start;
    const char *at;
    struct strbuf canonical;
    struct field_path *path;
    struct plat_err *err;
};

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_name_byte(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '-';
}

/* \u001b: a character as strbuf_json spells it. */
static bool is_unicode_escape(const char *s)
{
    return s[0] == '\\' && s[1] == 'u' && strspn(s + 2, "0123456789abcdef") >= UNICODE_ESCAPE_BYTES - 2;
}

static int fault(struct parser *p, const char *expected)
{
    char found[8] = "the end";
    if (*p->at != '\0') {
        found[0] = '\'';
        found[1] = *p->at;
        found[2] = '\'';
        found[3] = '\0';
        if ((unsigned char)*p->at < 0x20 || (unsigned char)*p->at >= 0x7f)
            memcpy(found, "a byte", sizeof "a byte");
    }
    return err_set(p->err, PLAT_EINVALID,
                   "bad path '%.200s': at column %zu expected %s, found %s; a path looks like "
                   "esp.boot.bytes_per_sector or gpt.entries[2].name",
                   p->start, (size_t)(p->at - p->start) + 1, expected, found);
}

/* A step's name points into the arena; its `end` is filled from the canonical text so far. */
static int keep_step(struct parser *p, enum path_step_kind kind, const char *name, size_t n, uint64_t index)
{
    struct field_path *path = p->path;
    if (path->n_steps == PATH_MAX_STEPS)
        return err_set(p->err, PLAT_ELIMIT, "a path has at most %d steps", PATH_MAX_STEPS);
    char *copy = arena_strndup(&path->arena, name, n);
    if (copy == NULL || p->canonical.failed)
        return err_nomem(p->err, "reading a path");
    path->steps[path->n_steps++] =
        (struct path_step){.kind = kind, .name = copy, .index = index, .end = p->canonical.len};
    return 0;
}

static int parse_name(struct parser *p)
{
    if (!is_name_start(*p->at))
        return fault(p, "a name");
    const char *first = p->at;
    while (is_name_byte(*p->at))
        p->at++;
    if (p->path->n_steps > 0)
        strbuf_putc(&p->canonical, '.');
    strbuf_add(&p->canonical, first, (size_t)(p->at - first));
    return keep_step(p, PATH_NAME, first, (size_t)(p->at - first), 0);
}

static int parse_key(struct parser *p)
{
    struct strbuf key = {0};
    int ret;
    strbuf_puts(&p->canonical, "[\"");
    for (p->at++; *p->at != '"'; p->at++) {
        if (*p->at == '\0') {
            ret = fault(p, "a closing '\"'");
            goto out;
        }
        if (is_unicode_escape(p->at)) { /* control characters are spelt so in paths, too */
            strbuf_add(&p->canonical, p->at, UNICODE_ESCAPE_BYTES);
            strbuf_add(&key, p->at, UNICODE_ESCAPE_BYTES);
            p->at += UNICODE_ESCAPE_BYTES - 1;
            continue;
        }
        if (*p->at == '\\' && (p->at[1] == '"' || p->at[1] == '\\'))
            p->at++;
        if (*p->at == '"' || *p->at == '\\')
            strbuf_putc(&p->canonical, '\\');
        strbuf_putc(&p->canonical, *p->at);
        strbuf_putc(&key, *p->at);
    }
    p->at++;
    strbuf_puts(&p->canonical, "\"]");
    ret = key.failed ? err_nomem(p->err, "reading a path")
                     : keep_step(p, PATH_KEY, strbuf_str(&key), key.len, 0);
out:
    strbuf_free(&key);
    return ret;
}

static int parse_index(struct parser *p)
{
    const char *first = p->at;
    char digits[24];
    while (is_name_byte(*p->at))
        p->at++;
    size_t n = (size_t)(p->at - first);
    uint64_t index;
    if (n < sizeof digits)
        memcpy(digits, first, n);
    if (n == 0 || n >= sizeof digits)
        return fault((p->at = first, p), "a number or \"text\"");
    digits[n] = '\0';
    if (parse_u64(digits, &index, NULL) != 0)
        return fault((p->at = first, p), "a number or \"text\"");
    strbuf_printf(&p->canonical, "[%" PRIu64 "]", index);
    return keep_step(p, PATH_INDEX, "", 0, index);
}

int path_parse(const char *text, struct field_path *ret, struct plat_err *err)
{
    *ret = (struct field_path){.text = ""};
    if (strlen(text) > PATH_MAX_TEXT_BYTES)
        return err_set(err, PLAT_ELIMIT, "a path has at most %d bytes", PATH_MAX_TEXT_BYTES);
    struct parser p = {.start = text, .at = text, .path = ret, .err = err};
    int r = *text == '\0' || *text == '[' ? 0 : parse_name(&p);
    while (r == 0 && *p.at != '\0') {
        if (*p.at == '.') {
            p.at++;
            r = parse_name(&p);
        } else if (*p.at == '[' && p.path->n_steps > 0) {
            p.at++;
            r = *p.at == '"' ? parse_key(&p) : parse_index(&p);
            if (r == 0 && *p.at != ']')
                r = fault(&p, "']'");
            if (r == 0)
                p.at++;
        } else {
            r = fault(&p, p.path->n_steps > 0 ? "'.' or '['" : "a name");
        }
    }
    if (r == 0) {
        ret->n = p.canonical.len;
        ret->text = arena_strndup(&ret->arena, strbuf_str(&p.canonical), p.canonical.len);
        if (ret->text == NULL || p.canonical.failed)
            r = err_nomem(err, "reading a path");
    }
    strbuf_free(&p.canonical);
    return r;
}

void path_free(struct field_path *path)
{
    arena_free(&path->arena);
    path->n_steps = 0;
    path->n = 0;
    path->text = "";
}

int path_with_first_name(const struct field_path *path, const char *name, struct field_path *ret,
                         struct plat_err *err)
{
    const char *rest = path->n_steps > 0 ? path->text + path->steps[0].end : "";
    if (*name == '\0' && *rest == '.')
        rest++;
    struct strbuf text = {0};
    strbuf_puts(&text, name);
    strbuf_puts(&text, rest);
    int r = text.failed ? err_nomem(err, "reading a path") : path_parse(strbuf_str(&text), ret, err);
    if (text.failed)
        *ret = (struct field_path){.text = ""};
    strbuf_free(&text);
    return r;
}

int path_head(const struct field_path *path, size_t n_steps, struct field_path *ret, struct plat_err *err)
{
    struct strbuf text = {0};
    if (n_steps > 0)
        strbuf_add(&text, path->text, path->steps[n_steps - 1].end);
    int r = text.failed ? err_nomem(err, "reading a path") : path_parse(strbuf_str(&text), ret, err);
    if (text.failed)
        *ret = (struct field_path){.text = ""};
    strbuf_free(&text);
    return r;
}

enum path_relation path_relate(const struct field_path *path, const char *other)
{
    const char *a = path->text;
    const char *b = other;
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    if (*a == '\0' && *b == '\0')
        return PATH_SAME;
    if (*a == '\0')
        return path->n == 0 || *b == '.' || *b == '[' ? PATH_INSIDE : PATH_APART;
    if (*b == '\0')
        return b == other || *a == '.' || *a == '[' ? PATH_OUTSIDE : PATH_APART;
    return PATH_APART;
}

size_t path_steps_in(const struct field_path *path, const char *other)
{
    size_t n = strlen(other);
    size_t steps = 0;
    while (steps < path->n_steps && path->steps[steps].end <= n)
        steps++;
    return steps;
}
