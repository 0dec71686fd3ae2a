/* Layout to a manual page, plat-<layout>(5), in mdoc.
 *
 * A page is narrow: a table's short columns stand side by side, and what its other columns say follows as a
 * list with one entry a row. */
#include <string.h>

#include "lib/layout/export_text.h"

enum { MAN_LINE_BYTES = 76, MAN_COLUMN_GAP = 4, MAN_SHORT_COLUMNS = 44 };

/* mdoc wants a date on every page, and the text must depend on the layout alone: the day this page's form was
 * set. */
static const char page_date[] = "November 21, 2026";

/* ---- text lines ---- */

struct lines {
    struct strbuf *out;
    size_t column; /* bytes on the current line */
    char font;     /* 'R', or 'B' within code */
    char last;     /* of the word before */
};

static void add_char(struct strbuf *out, char c)
{
    if (c == '\\')
        strbuf_puts(out, "\\e");
    else if (c == '-')
        strbuf_puts(out, "\\-");
    else if (c == '^')
        strbuf_puts(out, "\\(ha");
    else if (c == '~')
        strbuf_puts(out, "\\(ti");
    else if (c == '\'')
        strbuf_puts(out, "\\(aq");
    else if (c == '`')
        strbuf_puts(out, "\\(ga");
    else
        strbuf_putc(out, c);
}

/* One word, without spaces; marks within it change the font. A word that a sentence ends with ends its line,
 * as mdoc likes it. */
static void add_word(struct lines *l, const char *s, size_t n)
{
    bool wrap = l->column > 0 && (l->column + 1 + n > MAN_LINE_BYTES || (l->font == 'R' && l->last == '.'));
    if (l->column > 0)
        strbuf_putc(l->out, wrap ? '\n' : ' ');
    if (wrap)
        l->column = 0;
    if (l->column == 0)
        strbuf_puts(l->out, "\\&"); /* neither a full stop nor a quote starts a line as a request */
    if (l->column == 0 && l->font == 'B' && s[0] != DOC_END)
        strbuf_puts(l->out,
                    "\\fB"); /* a font does not reach beyond a macro, but does reach over lines; made sure */
    for (size_t i = 0; i < n; i++) {
        if (s[i] == DOC_CODE || s[i] == DOC_LINK) {
            l->font = 'B';
            strbuf_puts(l->out, "\\fB");
        } else if (s[i] == DOC_END) {
            l->font = 'R';
            strbuf_puts(l->out, "\\fR");
        } else {
            add_char(l->out, s[i]);
        }
        l->last = s[i];
    }
    l->column += n + 1;
}

static void write_lines(struct strbuf *out, const char *text)
{
    struct lines l = {.out = out, .font = 'R'};
    for (const char *s = text; *s != '\0';) {
        size_t n = strcspn(s, " ");
        if (n > 0)
            add_word(&l, s, n);
        s += n + strspn(s + n, " ");
    }
    strbuf_putc(out, '\n');
}

/* An argument of a macro: \& keeps each word from being taken for a macro or for punctuation. */
static void write_argument(struct strbuf *out, const char *text)
{
    bool start = true;
    for (const char *s = text; *s != '\0'; s++) {
        if (start && *s != ' ')
            strbuf_puts(out, "\\&");
        start = *s == ' ';
        if (*s == DOC_CODE || *s == DOC_LINK)
            strbuf_puts(out, "\\fB");
        else if (*s == DOC_END)
            strbuf_puts(out, "\\fR");
        else if (*s == '"')
            strbuf_puts(out, "\\(dq");
        else
            add_char(out, *s);
    }
}

static size_t shown_bytes(const char *text)
{
    size_t n = 0;
    for (const char *s = text; *s != '\0'; s++)
        n += (unsigned char)*s > DOC_END;
    return n;
}

/* ---- the parts of a page ---- */

static void begin(struct doc *d)
{
    const struct layout *l = d->layout;
    strbuf_printf(&d->out, ".\\\" Written by plat from the layout %s; change the layout, not this page.\n",
                  l->name);
    strbuf_printf(&d->out, ".Dd %s\n.Dt PLAT-", page_date);
    for (const char *s = l->name; *s != '\0'; s++)
        strbuf_putc(&d->out, *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s);
    strbuf_printf(&d->out, " 5\n.Os plat\n.Sh NAME\n.Nm plat-%s\n.Nd ", l->name);
    struct strbuf title = {0};
    doc_plain(&title, l->title[0] != '\0' ? l->title : l->name);
    write_argument(&d->out, strbuf_str(&title));
    d->failed = d->failed || title.failed;
    strbuf_free(&title);
    strbuf_puts(&d->out, "\n.Sh DESCRIPTION\n");
}

static void section(struct doc *d, const char *title)
{
    strbuf_puts(&d->out, ".Sh ");
    for (const char *s = title; *s != '\0'; s++)
        strbuf_putc(&d->out, *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s);
    strbuf_putc(&d->out, '\n');
}

static void type_heading(struct doc *d, const struct type *type)
{
    strbuf_printf(&d->out, ".Ss \\&%s \\&%s\n", doc_kind(type->kind), type->name);
}

static bool after_heading(const struct doc *d)
{
    const char *s = strbuf_str(&d->out);
    size_t n = d->out.len;
    while (n > 1 && s[n - 2] != '\n')
        n--;
    return n > 2 && (strncmp(s + n - 1, ".Sh ", 4) == 0 || strncmp(s + n - 1, ".Ss ", 4) == 0);
}

static void paragraph(struct doc *d, const char *text)
{
    if (!after_heading(d))
        strbuf_puts(&d->out, ".Pp\n");
    write_lines(&d->out, text);
}

static void drawing(struct doc *d, const char *lines)
{
    strbuf_puts(&d->out, ".Bd -literal -offset indent\n");
    for (const char *s = lines; *s != '\0'; s++) {
        if (s == lines || s[-1] == '\n')
            strbuf_puts(&d->out, "\\&");
        add_char(&d->out, *s);
    }
    strbuf_puts(&d->out, ".Ed\n");
}

/* Leaves out short columns in which no row has anything. */
static bool column_used(const struct doc_table *t, size_t column)
{
    bool used = column == t->name_column;
    for (size_t row = 0; row < t->n_rows && !used; row++)
        used = t->cells[row * t->n_columns + column][0] != '\0';
    return used;
}

static size_t column_width(const struct doc_table *t, size_t column)
{
    size_t width = strlen(t->headers[column]);
    for (size_t row = 0; row < t->n_rows; row++) {
        size_t n = shown_bytes(t->cells[row * t->n_columns + column]);
        width = n > width ? n : width;
    }
    return width;
}

/* `whole`: the one long column stands beside the short ones and wraps there. */
static void write_columns(struct doc *d, const struct doc_table *t, bool whole)
{
    strbuf_puts(&d->out, ".Bl -column");
    for (size_t i = 0; i < t->n_short; i++) {
        if (!column_used(t, i))
            continue;
        strbuf_puts(&d->out, " \"");
        for (size_t k = column_width(t, i); k > 0; k--)
            strbuf_putc(&d->out, 'm');
        strbuf_putc(&d->out, '"');
    }
    strbuf_puts(&d->out, "\n.It");
    const char *sep = "";
    for (size_t i = 0; i < t->n_short + whole; i++) {
        if (i == t->n_short || column_used(t, i)) {
            strbuf_printf(&d->out, "%s Em \\&%s", sep, t->headers[i]);
            sep = " Ta";
        }
    }
    for (size_t row = 0; row < t->n_rows; row++) {
        strbuf_puts(&d->out, "\n.It");
        sep = "";
        for (size_t i = 0; i < t->n_short; i++) {
            const char *cell = t->cells[row * t->n_columns + i];
            if (!column_used(t, i))
                continue;
            strbuf_printf(&d->out, "%s%s", sep, cell[0] != '\0' ? " " : "");
            write_argument(&d->out, cell);
            sep = " Ta";
        }
        const char *text = whole ? t->cells[row * t->n_columns + t->n_short] : "";
        if (text[0] != '\0') {
            strbuf_puts(&d->out, " Ta\n");
            write_lines(&d->out, text);
            strbuf_truncate(&d->out, d->out.len - 1);
        }
    }
    strbuf_puts(&d->out, "\n.El\n");
}

/* The long columns of one row as one text; "" when all are empty. The last one, what the row means, comes
 * first and stands for itself; the others are named. */
static const char *row_text(struct doc *d, const struct doc_table *t, size_t row)
{
    const char **cells = t->cells + row * t->n_columns;
    struct strbuf text = {0};
    strbuf_puts(&text, cells[t->n_columns - 1]);
    for (size_t i = t->n_short; i + 1 < t->n_columns; i++)
        if (cells[i][0] != '\0')
            strbuf_printf(&text, "%s%s: %s.", text.len > 0 ? " " : "", t->headers[i], cells[i]);
    return doc_take(d, &text);
}

static void items(struct doc *d, const struct doc_item *list, size_t n)
{
    strbuf_puts(&d->out, ".Bl -tag -width 4n\n");
    for (size_t i = 0; i < n; i++) {
        strbuf_puts(&d->out, ".It ");
        write_argument(&d->out, list[i].term);
        strbuf_putc(&d->out, '\n');
        write_lines(&d->out, list[i].text);
    }
    strbuf_puts(&d->out, ".El\n");
}

static void table(struct doc *d, const struct doc_table *t)
{
    struct doc_item *list = arena_alloc(&d->arena, (t->n_rows + 1) * sizeof *list);
    if (list == NULL) {
        d->failed = true;
        return;
    }
    size_t n = 0, width = 0;
    for (size_t i = 0; i < t->n_short; i++)
        width += column_used(t, i) ? column_width(t, i) + MAN_COLUMN_GAP : 0;
    bool whole = t->n_columns == t->n_short + 1 && width <= MAN_SHORT_COLUMNS;
    for (size_t row = 0; row < t->n_rows && !whole; row++) {
        const char *text = row_text(d, t, row);
        if (text[0] != '\0')
            list[n++] = (struct doc_item){t->cells[row * t->n_columns + t->name_column], text};
    }
    write_columns(d, t, whole);
    if (n > 0)
        items(d, list, n);
}

static void end(struct doc *d)
{
    strbuf_puts(&d->out, ".Sh SEE ALSO\n.Xr plat 1 ,\n.Xr plat-layout 5\n");
}

int layout_export_man(const struct layout *layout, struct strbuf *ret, struct plat_err *err)
{
    static const struct doc_format mdoc = {.begin = begin,
                                           .section = section,
                                           .type = type_heading,
                                           .paragraph = paragraph,
                                           .drawing = drawing,
                                           .table = table,
                                           .items = items,
                                           .end = end};
    return doc_write(layout, &mdoc, ret, err);
}
