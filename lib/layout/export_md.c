/* Layout to Markdown, with the tables of GitHub. */
#include <string.h>

#include "lib/layout/export_text.h"

/* Source between back quotes. `cell`: within a table, where a bar ends the cell even in source. */
static const char *write_code(struct strbuf *out, const char *s, bool cell)
{
    size_t run = 0, longest = 0, n = 0;
    for (; s[n] != '\0' && s[n] != DOC_END; n++) {
        run = s[n] == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    /* The fence is longer than any run of back quotes inside. */
    for (size_t i = 0; i <= longest; i++)
        strbuf_putc(out, '`');
    strbuf_puts(out, longest > 0 ? " " : "");
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '|' && cell)
            strbuf_putc(out, '\\');
        strbuf_putc(out, s[i]);
    }
    strbuf_puts(out, longest > 0 ? " " : "");
    for (size_t i = 0; i <= longest; i++)
        strbuf_putc(out, '`');
    return s[n] == DOC_END ? s + n : s + n - 1;
}

static const char *write_link(struct doc *d, const char *s)
{
    const char *end = strchr(s, DOC_END);
    if (end == NULL)
        return s;
    for (size_t i = 0; i < d->layout->n_types; i++) {
        const struct type *t = d->layout->types[i];
        if (strlen(t->name) == (size_t)(end - s) && memcmp(t->name, s, (size_t)(end - s)) == 0)
            strbuf_printf(&d->out, "[`%s`](#%s-%s)", t->name, doc_kind(t->kind), t->name);
    }
    return end;
}

static void write_text(struct doc *d, const char *text, bool cell)
{
    for (const char *s = text; *s != '\0'; s++) {
        if (*s == DOC_CODE)
            s = write_code(&d->out, s + 1, cell);
        else if (*s == DOC_LINK)
            s = write_link(d, s + 1);
        else if (strchr("\\`*_[]<>|#~&", *s) != NULL)
            strbuf_printf(&d->out, "\\%c", *s);
        else
            strbuf_putc(&d->out, *s);
    }
}

static void begin(struct doc *d)
{
    const struct layout *l = d->layout;
    struct strbuf title = {0};
    doc_plain(&title, l->title[0] != '\0' ? l->title : l->name);
    strbuf_puts(&d->out, "# ");
    write_text(d, strbuf_str(&title), false);
    strbuf_printf(&d->out, " (`%s`)\n", l->name);
    d->failed = d->failed || title.failed;
    strbuf_free(&title);
}

static void section(struct doc *d, const char *title)
{
    strbuf_printf(&d->out, "\n## %s\n", title);
}

static void type_heading(struct doc *d, const struct type *type)
{
    strbuf_printf(&d->out, "\n### %s `%s`\n", doc_kind(type->kind), type->name);
}

static void paragraph(struct doc *d, const char *text)
{
    strbuf_putc(&d->out, '\n');
    write_text(d, text, false);
    strbuf_putc(&d->out, '\n');
}

static void drawing(struct doc *d, const char *lines)
{
    /* Indented by four: no fence that a line could close. */
    for (const char *s = lines; *s != '\0'; s++) {
        if (s == lines || s[-1] == '\n')
            strbuf_puts(&d->out, s == lines ? "\n    " : "    ");
        strbuf_putc(&d->out, *s);
    }
}

static void table(struct doc *d, const struct doc_table *t)
{
    strbuf_puts(&d->out, "\n|");
    for (size_t i = 0; i < t->n_columns; i++)
        strbuf_printf(&d->out, " %s |", t->headers[i]);
    strbuf_puts(&d->out, "\n|");
    for (size_t i = 0; i < t->n_columns; i++)
        strbuf_puts(&d->out, " --- |");
    strbuf_putc(&d->out, '\n');
    for (size_t row = 0; row < t->n_rows; row++) {
        strbuf_putc(&d->out, '|');
        for (size_t i = 0; i < t->n_columns; i++) {
            const char *cell = t->cells[row * t->n_columns + i];
            strbuf_puts(&d->out, cell[0] != '\0' ? " " : "");
            write_text(d, cell, true);
            strbuf_puts(&d->out, " |");
        }
        strbuf_putc(&d->out, '\n');
    }
}

static void items(struct doc *d, const struct doc_item *list, size_t n)
{
    strbuf_putc(&d->out, '\n');
    for (size_t i = 0; i < n; i++) {
        strbuf_puts(&d->out, "- ");
        write_text(d, list[i].term, false);
        strbuf_puts(&d->out, ": ");
        write_text(d, list[i].text, false);
        strbuf_putc(&d->out, '\n');
    }
}

static void end(struct doc *d)
{
    strbuf_puts(&d->out, "\nThe language is described in plat-layout(5).\n");
}

int layout_export_markdown(const struct layout *layout, struct strbuf *ret, struct plat_err *err)
{
    static const struct doc_format markdown = {.begin = begin,
                                               .section = section,
                                               .type = type_heading,
                                               .paragraph = paragraph,
                                               .drawing = drawing,
                                               .table = table,
                                               .items = items,
                                               .end = end};
    return doc_write(layout, &markdown, ret, err);
}
