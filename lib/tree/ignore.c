/* Which paths are left out: patterns with the habits of gitignore(5).
 *
 *     *.o          a name, at any depth          build/       a directory of that name, at any depth
 *     /notes       that path only                doc/x.txt    so does a slash inside
 *     !keep.o      takes back what earlier patterns left out
 *     \#x \!x \   the character itself          # ...        a comment, in files of patterns only
 *
 * Two stars between slashes are any number of directories. The last pattern that matches decides. A directory that is left
 * out is never entered, so that nothing below it can be taken back.
 *
 * Matching goes by components, and in each by characters; the latest star is the only one worth extending, so that time
 * stays O(pattern * path) whatever somebody writes. */
#include "lib/tree/private.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATTERN_BYTES_MAX = 4096,
    PATTERNS_MAX = 1 << 16,
    PATTERN_FILE_BYTES_MAX = 16 << 20,
    FIRST_RULES = 16
};

struct tree_ignore_rule {
    const char *pattern; /* without '!', and without the slashes at its ends */
    bool takes_back;     /* '!' */
    bool directories;    /* a slash at its end */
    bool name_only;      /* no slash inside or before: names at any depth */
};

/* ---- characters ---- */

/* The bytes of a bracket expression. */
struct byte_set {
    uint8_t bits[32];
};

static void set_range(struct byte_set *set, unsigned first, unsigned last)
{
    for (unsigned c = first; c <= last; c++)
        set->bits[c / 8] = (uint8_t)(set->bits[c / 8] | 1U << c % 8);
}

static bool set_has(const struct byte_set *set, unsigned c)
{
    return (set->bits[c / 8] >> c % 8 & 1) != 0;
}

/* ASCII whatever the locale: an image must not depend on it. */
static bool set_class(struct byte_set *set, const char *name, size_t n)
{
    static const struct {
        char name[8];
        int (*is)(int);
    } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
                   {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
                   {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) != n || memcmp(classes[i].name, name, n) != 0)
            continue;
        for (unsigned c = 0; c < 128; c++) {
            if (classes[i].is((int)c))
                set_range(set, c, c);
        }
        return true;
    }
    return false;
}

/* One byte of a bracket expression, which a backslash may stand before; NULL at the pattern's end. */
static const char *set_byte(const char *p, unsigned *ret)
{
    p += *p == '\\';
    *ret = (unsigned char)*p;
    return *p != '\0' ? p + 1 : NULL;
}

/* `p` stands behind the '['. Past the ']', or NULL when there is none, or a class that nobody knows. */
static const char *set_read(const char *p, struct byte_set *ret)
{
    struct byte_set set = {{0}};
    const bool inverted = *p == '!' || *p == '^';
    p += inverted;
    for (bool first = true; first || *p != ']'; first = false) {
        unsigned low, high;
        const char *end = p[0] == '[' && p[1] == ':' ? strchr(p + 2, ']') : NULL;
        if (end != NULL && end > p + 2 && end[-1] == ':') {
            if (!set_class(&set, p + 2, (size_t)(end - 1 - (p + 2))))
                return NULL;
            p = end + 1;
            continue;
        }
        if ((p = set_byte(p, &low)) == NULL)
            return NULL;
        high = low;
        if (p[0] == '-' && p[1] != ']' && p[1] != '\0' && (p = set_byte(p + 1, &high)) == NULL)
            return NULL;
        if (*p == '\0')
            return NULL;
        set_range(&set, low, high);
    }
    for (size_t i = 0; inverted && i < sizeof set.bits; i++)
        set.bits[i] = (uint8_t)~set.bits[i];
    *ret = set;
    return p + 1;
}

enum item_kind { ITEM_END, ITEM_SLASH, ITEM_STAR, ITEM_ANY, ITEM_BYTE, ITEM_SET, ITEM_BAD };
struct item {
    enum item_kind kind;
    const char *next;
    unsigned byte;
    struct byte_set set;
};

/* What stands at `p`; the set is filled for ITEM_SET alone. */
static void item_read(const char *p, struct item *ret)
{
    *ret = (struct item){.kind = ITEM_BYTE, .next = p + 1, .byte = (unsigned char)*p};
    switch (*p) {
    case '\0':
        ret->kind = ITEM_END;
        ret->next = p;
        break;
    case '/':
        ret->kind = ITEM_SLASH;
        break;
    case '*':
        ret->kind = ITEM_STAR;
        break;
    case '?':
        ret->kind = ITEM_ANY;
        break;
    case '[':
        ret->kind = ITEM_SET;
        ret->next = set_read(p + 1, &ret->set);
        break;
    case '\\':
        ret->byte = (unsigned char)p[1];
        ret->kind = p[1] == '/' ? ITEM_SLASH : ITEM_BYTE;
        ret->next = p[1] == '\0' ? NULL : p + 2;
        break;
    default:
        break;
    }
    if (ret->next == NULL)
        ret->kind = ITEM_BAD;
}

/* ---- matching ---- */

/* Does the component of the pattern at `p` match the n bytes at `name`? */
static bool name_matches(const char *p, const char *name, size_t n)
{
    const char *star = NULL;
    size_t at = 0, star_at = 0;
    for (;;) {
        struct item item;
        item_read(p, &item);
        const bool end = item.kind == ITEM_END || item.kind == ITEM_SLASH;
        if (item.kind == ITEM_BAD)
            return false;
        if (item.kind == ITEM_STAR) {
            p = star = item.next;
            star_at = at;
            continue;
        }
        if (end && at == n)
            return true;
        const unsigned c = at < n ? (unsigned char)name[at] : 0;
        const bool hit = !end && at < n &&
                         (item.kind == ITEM_ANY || (item.kind == ITEM_BYTE && item.byte == c) ||
                          (item.kind == ITEM_SET && set_has(&item.set, c)));
        if (hit) {
            p = item.next;
            at++;
        } else if (star != NULL && star_at < n) {
            at = ++star_at;
            p = star;
        } else {
            return false;
        }
    }
}

/* The component behind the one at `p`; NULL: that is the last. */
static const char *component_after(const char *p)
{
    struct item item;
    do {
        item_read(p, &item);
        p = item.next;
    } while (item.kind != ITEM_SLASH && item.kind != ITEM_END && item.kind != ITEM_BAD);
    return item.kind == ITEM_SLASH ? p : NULL;
}

/* Two stars or more, and nothing else, between slashes: any number of directories. */
static bool is_deep(const char *p)
{
    const size_t n = strspn(p, "*");
    return n >= 2 && (p[n] == '\0' || p[n] == '/' || (p[n] == '\\' && p[n + 1] == '/'));
}

static bool path_matches(const char *pattern, const char *path)
{
    const char *p = pattern, *deep = NULL, *deep_path = NULL;
    for (;;) {
        if (p != NULL && *path != '\0' && is_deep(p)) {
            p = component_after(p);
            if (p == NULL)
                return true;
            deep = p;
            deep_path = path;
            continue;
        }
        const size_t n = strcspn(path, "/");
        if (p == NULL && n == 0)
            return true;
        if (p != NULL && n > 0 && name_matches(p, path, n)) {
            p = component_after(p);
            path += n + (path[n] == '/');
            continue;
        }
        if (deep == NULL)
            return false;
        const size_t skip = strcspn(deep_path, "/");
        if (deep_path[skip] == '\0')
            return false;
        path = deep_path += skip + 1;
        p = deep;
    }
}

bool tree_ignores(const struct tree_ignore *ignore, const char *path, bool directory)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const size_t n = strlen(name);
    for (size_t i = ignore->n; i-- > 0;) {
        const struct tree_ignore_rule *rule = &ignore->rules[i];
        if (rule->directories && !directory)
            continue;
        if (rule->name_only ? name_matches(rule->pattern, name, n) : path_matches(rule->pattern, path))
            return !rule->takes_back;
    }
    return false;
}

/* ---- reading ---- */

static const char *fault_of(const char *pattern)
{
    struct item item = {.kind = ITEM_BYTE, .next = pattern};
    if (*pattern == '\0')
        return "it names nothing";
    while (item.kind != ITEM_END) {
        const char *at = item.next;
        item_read(at, &item);
        if (item.kind == ITEM_BAD)
            return *at == '\\' ? "a '\\' at its end has nothing to escape"
                               : "a '[' has no ']', or a class in it is unknown; '\\[' is the character";
    }
    return NULL;
}

static int ignore_grow(struct tree_ignore *ignore, struct plat_err *err)
{
    if (ignore->n < ignore->cap)
        return 0;
    const size_t cap = ignore->cap == 0 ? FIRST_RULES : ignore->cap * 2;
    struct tree_ignore_rule *rules = realloc(ignore->rules, cap * sizeof *rules);
    if (rules == NULL)
        return err_nomem(err, "reading patterns");
    ignore->rules = rules;
    ignore->cap = cap;
    return 0;
}

int tree_ignore_add(struct tree_ignore *ignore, const char *text, struct plat_err *err)
{
    struct tree_ignore_rule rule = {.takes_back = text[0] == '!'};
    const char *from = text + rule.takes_back;
    size_t n = strlen(from);
    if (n > PATTERN_BYTES_MAX || ignore->n >= PATTERNS_MAX)
        return n > PATTERN_BYTES_MAX
                   ? err_set(err, PLAT_ELIMIT, "a pattern of %zu bytes ('%.32s...'): at most %d are possible",
                             n, text, PATTERN_BYTES_MAX)
                   : err_set(err, PLAT_ELIMIT, "more than %d patterns", PATTERNS_MAX);
    if (n > 0 && from[n - 1] == '/') {
        rule.directories = true;
        n--;
    }
    rule.name_only = memchr(from, '/', n) == NULL;
    if (n > 0 && from[0] == '/') {
        from++;
        n--;
    }
    char *copy = arena_strndup(&ignore->text, from, n);
    int rc = copy == NULL ? err_nomem(err, "reading patterns") : ignore_grow(ignore, err);
    if (rc != 0)
        return rc;
    const char *fault = fault_of(copy);
    if (fault != NULL)
        return err_set(err, PLAT_EINVALID, "the pattern '%.200s' matches no path: %s", text, fault);
    rule.pattern = copy;
    ignore->rules[ignore->n++] = rule;
    return 0;
}

/* Blanks at the end of a line mean nothing, unless the first of them is escaped. */
static void trim_blanks(char *line)
{
    size_t keep = 0;
    for (size_t i = 0; line[i] != '\0'; i++) {
        if (line[i] == '\\' && line[i + 1] != '\0')
            keep = ++i + 1;
        else if (line[i] != ' ')
            keep = i + 1;
    }
    line[keep] = '\0';
}

static int add_lines(struct tree_ignore *ignore, const char *host_path, char *text, struct plat_err *err)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8 */
    char *rest = text + (strncmp(text, mark, 3) == 0 ? 3 : 0), *line;
    for (size_t number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
        const size_t n = strlen(line);
        if (n > 0 && line[n - 1] == '\r')
            line[n - 1] = '\0';
        if (line[0] == '#')
            continue;
        trim_blanks(line);
        const int rc = line[0] != '\0' ? tree_ignore_add(ignore, line, err) : 0;
        if (rc != 0) {
            (void)err_prefix(err, "%.300s:%zu", host_path, number);
            return rc;
        }
    }
    return 0;
}

int tree_ignore_read(struct tree_ignore *ignore, const char *host_path, struct plat_err *err)
{
    char *text = malloc(PATTERN_FILE_BYTES_MAX + 2);
    size_t n = 0;
    ssize_t got = 1;
    const int fd = open(host_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int rc = fd < 0 ? err_sys(err, errno, "cannot read the patterns in %.300s", host_path) : 0;
    if (rc == 0 && text == NULL)
        rc = err_nomem(err, "reading patterns");
    while (rc == 0 && got != 0 && n <= PATTERN_FILE_BYTES_MAX) {
        got = read(fd, text + n, PATTERN_FILE_BYTES_MAX + 1 - n);
        if (got < 0 && errno != EINTR)
            rc = err_sys(err, errno, "cannot read the patterns in %.300s", host_path);
        n += got > 0 ? (size_t)got : 0;
    }
    if (rc == 0 && n > PATTERN_FILE_BYTES_MAX)
        rc = err_set(err, PLAT_ELIMIT, "%.300s is longer than %d bytes, and patterns were expected",
                     host_path, PATTERN_FILE_BYTES_MAX);
    if (rc == 0 && memchr(text, '\0', n) != NULL)
        rc =
            err_set(err, PLAT_EINVALID, "%.300s holds a NUL at byte %zu, and lines of patterns were expected",
                    host_path, (size_t)((char *)memchr(text, '\0', n) - text));
    if (rc == 0) {
        text[n] = '\0';
        rc = add_lines(ignore, host_path, text, err);
    }
    free(text);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

void tree_ignore_free(struct tree_ignore *ignore)
{
    free(ignore->rules);
    arena_free(&ignore->text);
    *ignore = (struct tree_ignore){0};
}
