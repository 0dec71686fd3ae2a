#include "inspect/json_stream.h"

#include <errno.h>
#include <inttypes.h>

struct stream {
    FILE *in;
    struct strbuf text; /* of the value at hand */
    uint64_t line;
    int c; /* the character at hand; EOF at the end */
    struct plat_err *err;
};

static int bad(const struct stream *s, const char *what)
{
    if (ferror(s->in))
        return err_sys(s->err, errno, "cannot read the input");
    return err_set(s->err, PLAT_EINVALID, "line %" PRIu64 ": %s", s->line, what);
}

static void next(struct stream *s)
{
    if (s->c == '\n')
        s->line++;
    s->c = getc_unlocked(s->in);
}

static void skip_space(struct stream *s)
{
    while (s->c == ' ' || s->c == '\n' || s->c == '\r' || s->c == '\t')
        next(s);
}

static int keep(struct stream *s)
{
    if (s->text.len >= JSON_STREAM_MAX_BYTES)
        return bad(s, "one value has more than 16 MiB");
    strbuf_putc(&s->text, (char)s->c);
    next(s);
    return 0;
}

static int take_string(struct stream *s)
{
    int rc = keep(s);
    while (rc == 0 && s->c != '"') {
        if (s->c == EOF)
            return bad(s, "the input ends in a text");
        if (s->c == '\\')
            rc = keep(s);
        if (rc == 0 && s->c == EOF)
            return bad(s, "the input ends in a text");
        if (rc == 0)
            rc = keep(s);
    }
    return rc == 0 ? keep(s) : rc;
}

/* The text of one value, whatever it is; jansson says whether it is right. */
static int take_value(struct stream *s, json_t **ret)
{
    unsigned depth = 0;
    int rc = 0;
    strbuf_truncate(&s->text, 0);
    for (;;) {
        if (s->c == EOF)
            return bad(s, "the input ends in the middle");
        if (depth == 0 && (s->c == ',' || s->c == ']' || s->c == '}'))
            break;
        if (s->c == '"') {
            rc = take_string(s);
        } else {
            depth += s->c == '{' || s->c == '[';
            const bool closes = s->c == '}' || s->c == ']';
            if (depth > JSON_STREAM_MAX_DEPTH)
                return bad(s, "nested too deep");
            depth -= closes;
            rc = keep(s);
        }
        if (rc != 0)
            return rc;
    }
    json_error_t fault;
    if (s->text.failed)
        return err_nomem(s->err, "reading JSON");
    *ret = json_loadb(strbuf_str(&s->text), s->text.len,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &fault);
    if (*ret == NULL)
        return err_set(s->err, PLAT_EINVALID, "up to line %" PRIu64 ": not JSON: %s", s->line, fault.text);
    return 0;
}

static int hand_on(struct stream *s, const char *key, int64_t index, json_stream_fn fn, void *ctx)
{
    json_t *value = NULL;
    int rc = take_value(s, &value);
    if (rc == 0)
        rc = fn(ctx, key, index, value, s->err);
    json_decref(value);
    return rc;
}

static int read_array(struct stream *s, const char *key, json_stream_fn fn, void *ctx)
{
    next(s);
    skip_space(s);
    if (s->c == ']') {
        next(s);
        return 0;
    }
    for (int64_t i = 0;; i++) {
        int rc = hand_on(s, key, i, fn, ctx);
        if (rc != 0)
            return rc;
        const bool more = s->c == ',';
        if (!more && s->c != ']')
            return bad(s, "expected ',' or ']'");
        next(s);
        skip_space(s);
        if (!more)
            return 0;
    }
}

static int read_member(struct stream *s, json_stream_fn fn, void *ctx)
{
    strbuf_truncate(&s->text, 0);
    if (s->c != '"')
        return bad(s, "expected the name of a member");
    int rc = take_string(s);
    if (rc != 0)
        return rc;
    json_t *name = json_loadb(strbuf_str(&s->text), s->text.len, JSON_DECODE_ANY, NULL);
    if (name == NULL)
        return bad(s, "not a name");
    skip_space(s);
    if (s->c != ':') {
        json_decref(name);
        return bad(s, "expected ':'");
    }
    next(s);
    skip_space(s);
    rc = s->c == '[' ? read_array(s, json_string_value(name), fn, ctx)
                     : hand_on(s, json_string_value(name), -1, fn, ctx);
    json_decref(name);
    return rc;
}

static int read_object(struct stream *s, json_stream_fn fn, void *ctx)
{
    next(s);
    skip_space(s);
    if (s->c != '{')
        return bad(s, s->c == EOF ? "the input is empty"
                                  : "expected an object: the output of plat dump --json --data");
    next(s);
    skip_space(s);
    while (s->c != '}') {
        int rc = read_member(s, fn, ctx);
        if (rc != 0)
            return rc;
        skip_space(s);
        if (s->c != ',' && s->c != '}')
            return bad(s, "expected ',' or '}'");
        if (s->c == ',') {
            next(s);
            skip_space(s);
            if (s->c == '}')
                return bad(s, "a ',' and nothing behind it");
        }
    }
    next(s);
    skip_space(s);
    return s->c == EOF ? 0 : bad(s, "there is more behind the object");
}

int json_stream(FILE *in, json_stream_fn fn, void *ctx, struct plat_err *err)
{
    struct stream s = {.in = in, .line = 1, .err = err};
    int rc = read_object(&s, fn, ctx);
    strbuf_free(&s.text);
    return rc;
}
