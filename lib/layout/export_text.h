/* Private to the exporters for people: a reference of a layout as a sequence of headings, paragraphs, tables
 * and items, which a format (Markdown, mdoc) turns into text.
 *
 * Strings that pass through here are marked text: plain text in which DOC_CODE ... DOC_END holds source (an
 * expression, a name, a constant) and DOC_LINK ... DOC_END the name of a type of the layout. Text from a
 * schema goes through doc_plain, which takes control characters out, so that it cannot forge marks. */
#ifndef PLAT_LIB_LAYOUT_EXPORT_TEXT_H
#define PLAT_LIB_LAYOUT_EXPORT_TEXT_H

#include "lib/layout/export.h"

enum { DOC_CODE = 1, DOC_LINK = 2, DOC_END = 3, DOC_MAX_COLUMNS = 6 };

struct doc_table {
    const char *headers[DOC_MAX_COLUMNS];
    size_t n_columns;
    size_t n_short;     /* columns whose cells fit a narrow page side by side; the others hold sentences */
    size_t name_column; /* names its row */
    const char **cells; /* n_rows * n_columns, by row; marked text */
    size_t n_rows;
};
struct doc_item {
    const char *term, *text; /* marked text */
};

struct doc;
struct doc_format {
    void (*begin)(struct doc *d);
    void (*section)(struct doc *d, const char *title);
    void (*type)(struct doc *d, const struct type *type); /* heading of a type */
    void (*paragraph)(struct doc *d, const char *text);
    void (*drawing)(struct doc *d, const char *lines); /* schema text as it is, not marked */
    void (*table)(struct doc *d, const struct doc_table *table);
    void (*items)(struct doc *d, const struct doc_item *items, size_t n);
    void (*end)(struct doc *d);
};
struct doc {
    const struct layout *layout;
    const struct doc_format *format;
    struct strbuf out;
    struct arena arena;
    bool failed; /* out of memory */
};

/* Writes the whole reference; as layout_export_markdown. */
int doc_write(const struct layout *layout, const struct doc_format *format, struct strbuf *ret,
              struct plat_err *err);

/* ---- marked text ---- */

/* Appends schema text: control characters become spaces. */
void doc_plain(struct strbuf *out, const char *text);
void doc_code(struct strbuf *out, const char *text);
/* A copy in the arena, and `sb` is freed; "" when out of memory (doc.failed is set). */
const char *doc_take(struct doc *d, struct strbuf *sb);
/* "struct", "union", ... */
const char *doc_kind(enum type_kind kind);

/* ---- expressions ---- */

/* Source of an expression with as few parentheses as its meaning allows. */
void expr_print(const struct expr *e, struct strbuf *out);

#endif
