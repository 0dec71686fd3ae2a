/* Layout to C: the shape of generated statements. */
#include <string.h>

#include "lib/layout/export_c_expr.h"

enum { CODE_COLUMNS = 110 };

/* Where `text`, from `start` on, is best broken so that at most `room` characters stay: behind the outermost
 * operator or comma that fits, the last of them, or the first that does not; 0 when there is none. */
static size_t break_at(const char *text, size_t room)
{
    size_t best = 0;
    int depth = 0, best_depth = 1000;
    for (size_t i = 0; (i < room || best == 0) && text[i] != '\0'; i++) {
        depth += text[i] == '(' || text[i] == '{';
        depth -= text[i] == ')' || text[i] == '}';
        if (text[i] != ' ' || i == 0)
            continue;
        bool comma = text[i - 1] == ',';
        bool logic = i >= 2 && (strncmp(text + i - 2, "&&", 2) == 0 || strncmp(text + i - 2, "||", 2) == 0);
        bool sign = strchr("+-*/=<>?:|", text[i - 1]) != NULL;
        int rank = 4 * depth + (logic ? 0 : comma ? 1 : 2);
        if ((comma || logic || sign) && rank <= best_depth) {
            best = i;
            best_depth = rank;
        }
    }
    return best;
}

/* Column behind the innermost bracket that is open at the end of a statement; 0 when there is none. */
static size_t open_bracket(const char *text)
{
    enum { DEEPEST = 32 };
    size_t columns[DEEPEST] = {0}, depth = 0, column = 0;
    for (; *text != '\0'; text++) {
        column = *text == '\n' ? 0 : column + 1;
        if (*text == '(' || *text == '{') {
            if (++depth < DEEPEST)
                columns[depth] = column;
        } else if ((*text == ')' || *text == '}') && depth > 0) {
            depth--;
        }
    }
    return depth < DEEPEST ? columns[depth] : 0;
}

void c_wrap(struct strbuf *out, unsigned indent, const char *head, const char *text, const char *tail)
{
    enum { DEEPEST_COLUMN = 70, STEP = 4 };
    struct strbuf all = {0};
    size_t column = indent + strlen(head);
    strbuf_printf(&all, "%*s%s", (int)indent, "", head);
    while (column + strlen(text) + strlen(tail) > CODE_COLUMNS) {
        size_t n = break_at(text, CODE_COLUMNS > column ? CODE_COLUMNS - column : 0);
        if (n == 0)
            break;
        strbuf_add(&all, text, n);
        text += n + 1;
        column = open_bracket(strbuf_str(&all));
        if (column == 0 || column > DEEPEST_COLUMN)
            column = indent + STEP + (column > 0 ? STEP : 0);
        strbuf_printf(&all, "\n%*s", (int)column, "");
    }
    strbuf_printf(out, "%s%s%s\n", strbuf_str(&all), text, tail);
    out->failed = out->failed || all.failed;
    strbuf_free(&all);
}

/* Does `name` occur in the code as a word? */
static bool has_word(const char *code, const char *name)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t n = strlen(name);
    for (const char *s = code; (s = strstr(s, name)) != NULL; s += n)
        if ((s == code || strchr(word, s[-1]) == NULL) && (s[n] == '\0' || strchr(word, s[n]) == NULL))
            return true;
    return false;
}

void c_prologue(struct c_gen *g, struct strbuf *out, const char *code, const char *view,
                const struct c_scope *inputs)
{
    bool bad = strstr(code, "&bad") != NULL, beyond = strstr(code, "&beyond") != NULL;
    if (!has_word(code, view))
        strbuf_printf(out, "    (void)%s;\n", view);
    if (inputs->uses_offset && !has_word(code, "offset_bytes"))
        strbuf_puts(out, "    (void)offset_bytes;\n");
    for (size_t i = 0; i < g->layout->n_params; i++) {
        const char *name = c_argument(g, g->layout->params[i].name);
        if ((inputs->uses_params >> i & 1) != 0 && !has_word(code, name))
            strbuf_printf(out, "    (void)%s;\n", name);
    }
    if (bad || beyond)
        strbuf_printf(out, "    bool %s%s%s;\n", bad ? "bad" : "", bad && beyond ? ", " : "",
                      beyond ? "beyond" : "");
    if ((bad || beyond || out->len > 0) && code[0] != '\0')
        strbuf_putc(out, '\n');
}

const char *c_arguments(struct c_gen *g, const struct c_scope *inputs, const char *offset, bool declare)
{
    const char *text = "";
    const char *type = declare ? "uint64_t " : "";
    if (inputs->uses_offset)
        text = c_text(g, ", %s%s", type, offset);
    for (size_t i = 0; i < g->layout->n_params; i++)
        if ((inputs->uses_params >> i & 1) != 0)
            text = c_text(g, "%s, %s%s", text, type, c_argument(g, g->layout->params[i].name));
    return text;
}

void c_quote(struct strbuf *out, const char *text)
{
    if (text == NULL) {
        strbuf_puts(out, "NULL");
        return;
    }
    strbuf_putc(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c >= 0x7f || c == '?' || c == '"' ||
            c == '\\') /* octal: never longer than three digits */
            strbuf_printf(out, "\\%03o", c);
        else
            strbuf_putc(out, *text);
    }
    strbuf_putc(out, '"');
}

void c_begin(struct c_gen *g, const char *signature)
{
    strbuf_putc(&g->body, '\n');
    c_wrap(&g->body, 0, "", signature, "");
    strbuf_puts(&g->body, "{\n");
}
