/* The words of a manifest, on their way to libarchive: see manifest.h.
 *
 * A manifest is lines of words; a backslash before the newline joins two lines, and words stand between blanks in any case.
 * The first word of a line is a name, /set, /unset or "..", the others are keywords. Only whole words are looked at, and
 * nothing of what they mean beyond the keywords that change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/tree/manifest.h"

enum { WORD_BYTES_MAX = 65536 };

enum line_kind { LINE_ENTRY, LINE_SET, LINE_UNSET };
struct manifest_words {
    struct strbuf out;
    struct strbuf word; /* as far as it was read */
    uint64_t line;
    size_t n_words; /* that the line has so far; a joined line is one */
    enum line_kind kind;
    bool begun, comment, cut; /* cut: a line that libarchive takes away may have taken our defaults along */
};

static void put_defaults(struct manifest_words *w)
{
    strbuf_printf(&w->out, "/set mode=0%o size=%lld uid=%lld gid=%lld\n", MANIFEST_NO_MODE,
                  (long long)MANIFEST_NO_SIZE, (long long)MANIFEST_NO_OWNER, (long long)MANIFEST_NO_OWNER);
}

int manifest_words_open(struct manifest_words **ret, struct plat_err *err)
{
    struct manifest_words *w = calloc(1, sizeof *w);
    if (w == NULL)
        return err_nomem(err, "reading a manifest");
    w->line = 1;
    put_defaults(w);
    *ret = w;
    return 0;
}

void manifest_words_close(struct manifest_words *words)
{
    if (words == NULL)
        return;
    strbuf_free(&words->out);
    strbuf_free(&words->word);
    free(words);
}

static int fault(const struct manifest_words *w, struct plat_err *err, const char *what)
{
    struct strbuf shown = {0};
    const char *word = strbuf_str(&w->word);
    strbuf_visible(&shown, word, strnlen(word, 80));
    const int rc = err_set(err, PLAT_EINVALID, "line %llu: %s, found '%s'", (unsigned long long)w->line, what,
                           strbuf_str(&shown));
    strbuf_free(&shown);
    return rc;
}

/* libarchive would cut the word off where it has a NUL. */
static bool has_nul(const char *word)
{
    for (const char *p = word; (p = strchr(p, '\\')) != NULL; p += p[1] != '\0' ? 2 : 1) {
        const size_t n = p[1] == '0' ? strspn(p + 1, "01234567") : 0;
        if (n == 1 || n == 2 || (n >= 3 && p[2] == '0' && p[3] == '0'))
            return true;
    }
    return false;
}

/* libarchive takes what stands behind a '#' for no part of a line that goes on. */
static void put_text(struct strbuf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const bool escaped = text[0] == '\\' && text[1] != '\0';
        if (text[escaped] == '#')
            strbuf_puts(out, "\\043");
        else
            strbuf_add(out, text, 1U + escaped);
        text += escaped;
    }
}

static int first_word(struct manifest_words *w, const char *word, struct plat_err *err)
{
    w->kind = strcmp(word, "/set") == 0 ? LINE_SET : strcmp(word, "/unset") == 0 ? LINE_UNSET : LINE_ENTRY;
    if (w->kind == LINE_ENTRY && word[0] == '/')
        return fault(w, err, "expected /set, /unset or a name, which begins with no slash");
    put_text(&w->out, word);
    return 0;
}

static bool is_key(const char *word, const char *key)
{
    const size_t n = strlen(key);
    return strncmp(word, key, n) == 0 && (word[n] == '\0' || word[n] == '=');
}

/* What libarchive would read another number from than was written, without a word: 8 of "mode=08", 12 of "uid=abc". NULL: it
 * is one. */
static const char *number_fault(const char *word)
{
    const char *value = strchr(word, '=');
    const bool owner = is_key(word, "uid") || is_key(word, "gid");
    if (value++ == NULL)
        return NULL;
    const size_t n_octal = strspn(value, "01234567"), n = strspn(value, "0123456789");
    if (is_key(word, "mode"))
        return n_octal > 0 && value[n_octal] == '\0' && strtoul(value, NULL, 8) <= 07777
                   ? NULL
                   : "expected an octal mode up to 7777";
    if (owner || is_key(word, "size") || is_key(word, "nlink") || is_key(word, "inode")) {
        uint64_t number = 0;
        if (n == 0 || value[n] != '\0')
            return "expected a number";
        return owner && (parse_u64(value, &number, NULL) != 0 || number > UINT32_MAX)
                   ? "expected a 32-bit number"
                   : NULL;
    }
    if (is_key(word, "time")) {
        const size_t sign = value[0] == '-', whole = strspn(value + sign, "0123456789");
        const char *rest = value + sign + whole;
        const size_t fraction = rest[0] == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
        return whole > 0 && rest[fraction] == '\0' ? NULL : "expected seconds, and nanoseconds behind a dot";
    }
    return NULL;
}

static int keyword(struct manifest_words *w, const char *word, struct plat_err *err)
{
    const char *number = w->kind != LINE_UNSET ? number_fault(word) : NULL;
    const char *equals = strchr(word, '=');
    if (word[0] == '#')
        return fault(w, err, "expected a keyword (comments have lines of their own)");
    if (number != NULL)
        return fault(w, err, number);
    strbuf_putc(&w->out, ' ');
    if (w->kind == LINE_UNSET) {
        const bool ours = is_key(word, "content") || is_key(word, "contents");
        w->cut = true;
        put_text(&w->out, ours ? "link" : is_key(word, "optional") ? "flags" : word);
    } else if ((is_key(word, "contents") || is_key(word, "content")) && equals != NULL) {
        strbuf_puts(&w->out, "link=\\001c");
        put_text(&w->out, equals + 1);
    } else if (strcmp(word, "type=socket") == 0) {
        strbuf_puts(&w->out, "type=fifo link=\\001s");
    } else if (strcmp(word, "optional") == 0) {
        strbuf_puts(&w->out, "flags=" MANIFEST_OPTIONAL);
    } else if (!is_key(word, "flags")) { /* of files on BSD */
        put_text(&w->out, word);
    }
    return 0;
}

static int end_word(struct manifest_words *w, struct plat_err *err)
{
    int rc = 0;
    if (w->word.len == 0)
        return 0;
    const char *word = strbuf_str(&w->word);
    if (has_nul(word))
        rc = fault(w, err, "expected text without NUL (\\000)");
    else
        rc = w->n_words++ == 0 ? first_word(w, word, err) : keyword(w, word, err);
    strbuf_truncate(&w->word, 0);
    return rc;
}

/* Does the word end in a backslash that escapes the newline behind it? That one is taken off. */
static bool take_joint(struct strbuf *word)
{
    size_t n = 0;
    while (n < word->len && word->s[word->len - 1 - n] == '\\')
        n++;
    if (n % 2 != 0)
        strbuf_truncate(word, word->len - 1);
    return n % 2 != 0;
}

static int end_line(struct manifest_words *w, struct plat_err *err)
{
    const bool joined = !w->comment && take_joint(&w->word);
    const int rc = end_word(w, err);
    w->line++;
    w->comment = false;
    if (joined)
        return rc; /* what follows stands on the same line from now on */
    strbuf_putc(&w->out, '\n');
    w->n_words = 0;
    if (w->cut)
        put_defaults(w);
    w->cut = false;
    return rc;
}

static int take_byte(struct manifest_words *w, char c, struct plat_err *err)
{
    if (c == '\n')
        return end_line(w, err);
    if (w->comment)
        return 0;
    if (c == ' ' || c == '\t')
        return end_word(w, err);
    if (c == '\0')
        return err_set(err, PLAT_EINVALID, "line %llu: expected text, found a NUL",
                       (unsigned long long)w->line);
    if (c == '#' && w->n_words == 0 && w->word.len == 0) {
        w->comment = true;
        return 0;
    }
    strbuf_putc(&w->word, c);
    return w->word.len <= WORD_BYTES_MAX
               ? 0
               : err_set(err, PLAT_ELIMIT, "line %llu: a word is longer than %d bytes",
                         (unsigned long long)w->line, WORD_BYTES_MAX);
}

int manifest_words_feed(struct manifest_words *w, const uint8_t *bytes, size_t n, const char **ret,
                        size_t *ret_n, struct plat_err *err)
{
    int rc = 0;
    if (w->begun) /* else the defaults are still in it */
        strbuf_truncate(&w->out, 0);
    w->begun = true;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = take_byte(w, (char)bytes[i], err);
    if (rc == 0 && n == 0 && (w->word.len > 0 || w->n_words > 0))
        rc = end_line(w, err);
    if (rc == 0 && (w->out.failed || w->word.failed))
        rc = err_nomem(err, "reading a manifest");
    if (rc != 0)
        return rc;
    *ret = strbuf_str(&w->out);
    *ret_n = w->out.len;
    return 0;
}
