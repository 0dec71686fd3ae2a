/* Reading what plat golden record wrote, or what somebody made of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/golden.h"

struct reader {
    const char *name;
    FILE *file;
    char *line;
    unsigned long number;
    struct golden_head *head;
    struct records *groups;
    struct strbuf key, body; /* of the group at hand; no key: none began yet */
};

#define BAD(reader, ...) \
    (err_set(err, PLAT_EINVALID, __VA_ARGS__), err_prefix(err, "line %lu", (reader)->number))

/* *ret_end: there is no further line. */
static int next_line(struct reader *reader, bool *ret_end, struct plat_err *err)
{
    reader->number++;
    *ret_end = fgets(reader->line, GOLDEN_MAX_LINE, reader->file) == NULL;
    if (*ret_end)
        return ferror(reader->file) ? err_sys(err, errno, "reading it") : 0;
    size_t n = strlen(reader->line);
    if (n == 0 || reader->line[n - 1] != '\n') {
        if (!feof(reader->file) || n == 0)
            return BAD(reader, "longer than %d bytes, or it has a NUL: this is no file of plat golden record",
                       (int)GOLDEN_MAX_LINE);
    } else {
        reader->line[--n] = '\0';
    }
    if (n > 0 && reader->line[n - 1] == '\r') /* somebody's editor */
        reader->line[--n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)reader->line[i] < ' ' || reader->line[i] == 0x7f)
            return BAD(reader, "a control character (%02xh): expected text as plat golden record writes it",
                       (unsigned char)reader->line[i]);
    return 0;
}

static int end_group(struct reader *reader, struct plat_err *err)
{
    if (reader->key.failed || reader->body.failed)
        return err_nomem(err, "reading a golden file");
    const struct record_view group = {.key = strbuf_str(&reader->key),
                                      .key_bytes = reader->key.len,
                                      .body = (const uint8_t *)strbuf_str(&reader->body),
                                      .body_bytes = reader->body.len};
    int rc = reader->key.len > 0 ? records_add(reader->groups, &group, err) : 0;
    if (rc == PLAT_ELIMIT)
        return err_prefix(err, "the group before line %lu", reader->number);
    strbuf_truncate(&reader->key, 0);
    strbuf_truncate(&reader->body, 0);
    return rc;
}

static const char *behind(const char *line, const char *word)
{
    const size_t n = strlen(word);
    return strncmp(line, word, n) == 0 && line[n] == ' ' && line[n + 1] != '\0' ? line + n + 1 : NULL;
}

static int add_pattern(struct reader *reader, struct golden_patterns *patterns, const char *text,
                       struct plat_err *err)
{
    if (patterns->n == GOLDEN_MAX_PATTERNS)
        return BAD(reader, "more than %d patterns", (int)GOLDEN_MAX_PATTERNS);
    patterns->list[patterns->n] = arena_strdup(&reader->head->arena, text);
    if (patterns->list[patterns->n] == NULL)
        return err_nomem(err, "reading a golden file");
    patterns->n++;
    return 0;
}

static int head_line(struct reader *reader, struct plat_err *err)
{
    const char *line = reader->line, *text;
    if ((text = behind(line, "only")) != NULL)
        return add_pattern(reader, &reader->head->only, text, err);
    if ((text = behind(line, "ignore")) != NULL)
        return add_pattern(reader, &reader->head->ignore, text, err);
    if ((text = behind(line, "partition")) != NULL && reader->head->partition == NULL) {
        reader->head->partition = arena_strdup(&reader->head->arena, text);
        return reader->head->partition == NULL ? err_nomem(err, "reading a golden file") : 0;
    }
    return BAD(reader,
               "expected 'only', 'ignore', 'partition' or a group ('image', 'structure PATH', 'file PATH', "
               "'bytes PATH KIND'), found '%.60s'",
               line);
}

static bool begins_group(const char *line)
{
    return strcmp(line, "image") == 0 || behind(line, "structure") != NULL || behind(line, "file") != NULL ||
           behind(line, "bytes") != NULL;
}

static int one_line(struct reader *reader, struct plat_err *err)
{
    const char *line = reader->line, *text = line + strspn(line, " ");
    if (*text == '\0' || *text == '#')
        return 0;
    if (text == line && begins_group(line)) {
        int rc = end_group(reader, err);
        strbuf_puts(&reader->key, line);
        return rc;
    }
    if (text == line && reader->key.len == 0)
        return head_line(reader, err);
    const char *equals = strstr(text, " = ");
    if (text == line || reader->key.len == 0 || equals == NULL)
        return BAD(reader, "expected '    NAME = VALUE' inside a group, or a group, found '%.60s'", text);
    strbuf_puts(&reader->body, text);
    strbuf_putc(&reader->body, '\n');
    if (reader->body.len > RECORDS_MAX_BYTES / 2)
        return BAD(reader, "a group of more than %d bytes", RECORDS_MAX_BYTES / 2);
    return 0;
}

static int read_lines(struct reader *reader, struct plat_err *err)
{
    char expected[32];
    bool end;
    int rc = next_line(reader, &end, err);
    (void)snprintf(expected, sizeof expected, "plat-golden %d", (int)GOLDEN_VERSION);
    if (rc == 0 && (end || strcmp(reader->line, expected) != 0))
        rc = BAD(reader, "expected '%s', as plat golden record writes it, found '%.60s'", expected,
                 end ? "" : reader->line);
    while (rc == 0 && (rc = next_line(reader, &end, err)) == 0 && !end)
        rc = one_line(reader, err);
    return rc == 0 ? end_group(reader, err) : rc;
}

int golden_read(const char *name, struct golden_head *ret, struct records *groups, struct plat_err *err)
{
    struct reader reader = {.name = name, .head = ret, .groups = groups, .line = malloc(GOLDEN_MAX_LINE)};
    int rc = reader.line == NULL ? err_nomem(err, "reading a golden file") : 0;
    if (rc == 0 && (reader.file = fopen(name, "re")) == NULL)
        rc = err_sys(err, errno, "opening it");
    if (rc == 0)
        rc = read_lines(&reader, err);
    if (rc != 0)
        err_image(err, name);
    if (reader.file != NULL)
        (void)fclose(reader.file);
    free(reader.line);
    strbuf_free(&reader.key);
    strbuf_free(&reader.body);
    return rc;
}
