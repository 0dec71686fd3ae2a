/* layoutc: the layout compiler that builds plat, run before anything generated exists.
 *
 *   layoutc c SCHEMA DIR           DIR/<layout>.gen.h and DIR/<layout>.gen.c
 *   layoutc embed FILE SCHEMA...   C file that defines embedded_schemas[] (no schemas: an empty table)
 *   layoutc text FILE NAME=TEXT... C file that defines each NAME as the text in that file
 *   layoutc man SCHEMA FILE        plat-<layout>(5)
 *   layoutc export SCHEMA FILE     freestanding C header
 *   layoutc rust SCHEMA FILE       Rust module
 *   layoutc doc SCHEMA FILE        Markdown reference
 *   layoutc agree SCHEMA FILE      test driver: generated C against the run-time engine
 *
 * A file whose text would not change is left alone, so that make rebuilds only what depends on a change. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/text.h"
#include "lib/layout/export.h"
#include "lib/layout/layout.h"

static bool file_is(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL)
        return false;
    bool same = true;
    size_t at = 0;
    char buf[8192];
    size_t got;
    while (same && (got = fread(buf, 1, sizeof buf, f)) > 0) {
        same = got <= n - at && memcmp(buf, text + at, got) == 0;
        at += got;
    }
    same = same && !ferror(f) && at == n;
    (void)fclose(f);
    return same;
}

/* The old file stays until the new one is whole. */
static int write_when_changed(const char *path, const struct strbuf *text, struct plat_err *err)
{
    if (file_is(path, strbuf_str(text), text->len))
        return 0;
    int rc = 0;
    struct strbuf temporary = {0};
    strbuf_printf(&temporary, "%s.tmp", path);
    if (temporary.failed)
        return err_nomem(err, "writing a generated file");
    FILE *f = fopen(temporary.s, "wbe");
    if (f == NULL) {
        rc = err_sys(err, errno, "cannot create %s", temporary.s);
        goto out;
    }
    bool ok = fwrite(strbuf_str(text), 1, text->len, f) == text->len;
    ok = fclose(f) == 0 && ok;
    if (!ok || rename(temporary.s, path) != 0) {
        rc = err_sys(err, errno, "cannot write %s", path);
        (void)remove(temporary.s);
    }
out:
    strbuf_free(&temporary);
    return rc;
}

static int run_c(const char *schema, const char *dir, struct plat_err *err)
{
    static const struct {
        enum export_c what;
        const char *suffix;
    } files[] = {{EXPORT_HEADER, ".gen.h"}, {EXPORT_SOURCE, ".gen.c"}};
    struct layout *layout = NULL;
    int rc = layout_load_file(schema, &layout, err);
    for (size_t i = 0; rc == 0 && i < sizeof files / sizeof files[0]; i++) {
        struct strbuf text = {0}, path = {0};
        rc = layout_export_c(layout, files[i].what, &text, err);
        strbuf_printf(&path, "%s/%s%s", dir, layout->name, files[i].suffix);
        if (rc == 0 && path.failed)
            rc = err_nomem(err, "naming a generated file");
        if (rc == 0)
            rc = write_when_changed(path.s, &text, err);
        strbuf_free(&text);
        strbuf_free(&path);
    }
    layout_free(layout);
    return rc;
}

/* ---- embed ---- */

/* One C string literal per line of JSON. Escapes are octal and three digits long, so that a digit behind one stays
 * apart. */
static void put_literal(struct strbuf *out, const char *bytes, size_t n)
{
    strbuf_puts(out, "    \"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '"' || c == '\\')
            strbuf_printf(out, "\\%c", c);
        else if (c == '\n')
            strbuf_puts(out, i + 1 < n ? "\\n\"\n    \"" : "\\n");
        else if (c < ' ' || c >= 0x7f || c == '?')
            strbuf_printf(out, "\\%03o", c);
        else
            strbuf_putc(out, (char)c);
    }
    strbuf_puts(out, "\"");
}

static int read_whole(const char *path, struct strbuf *ret, struct plat_err *err)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL)
        return err_sys(err, errno, "cannot open %s", path);
    char buf[8192];
    size_t got;
    while ((got = fread(buf, 1, sizeof buf, f)) > 0 && ret->len <= LAYOUT_MAX_FILE_BYTES)
        strbuf_add(ret, buf, got);
    int rc = ferror(f) ? err_sys(err, errno, "cannot read %s", path) : 0;
    (void)fclose(f);
    return rc == 0 && ret->failed ? err_nomem(err, "reading a schema") : rc;
}

/* Loads the schema to learn its name and to refuse a bad one here, where the path is known. */
static int embed_one(const char *path, struct strbuf *texts, struct strbuf *table, struct plat_err *err)
{
    struct layout *layout = NULL;
    struct strbuf json = {0};
    int rc = read_whole(path, &json, err);
    if (rc == 0)
        rc = layout_load(strbuf_str(&json), json.len, path, &layout, err);
    if (rc == 0) {
        strbuf_printf(texts, "static const char json_%s[] =\n", layout->name);
        put_literal(texts, strbuf_str(&json), json.len);
        strbuf_puts(texts, ";\n\n");
        strbuf_printf(table, "    {\"%s\", json_%s, sizeof json_%s - 1},\n", layout->name, layout->name,
                      layout->name);
    }
    layout_free(layout);
    strbuf_free(&json);
    return rc;
}

static int run_embed(const char *path, char **schemas, size_t n, struct plat_err *err)
{
    struct strbuf texts = {0}, table = {0}, out = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = embed_one(schemas[i], &texts, &table, err);
    strbuf_puts(&out,
                "/* The schemas that plat carries. Generated by layoutc; edit schemas/, not this file. */\n"
                "#include <string.h>\n\n#include \"lib/layout/layout.h\"\n\n");
    strbuf_puts(&out, strbuf_str(&texts));
    /* C has no empty arrays: the table ends in a row without a name, which the count leaves out. */
    strbuf_printf(&out, "const struct embedded_schema embedded_schemas[] = {\n%s    {NULL, NULL, 0},\n};\n",
                  strbuf_str(&table));
    strbuf_puts(
        &out,
        "const size_t n_embedded_schemas = sizeof embedded_schemas / sizeof embedded_schemas[0] - 1;\n\n"
        "const struct embedded_schema *embedded_schema_find(const char *name)\n{\n"
        "    for (size_t i = 0; i < n_embedded_schemas; i++)\n"
        "        if (strcmp(embedded_schemas[i].name, name) == 0)\n"
        "            return &embedded_schemas[i];\n    return NULL;\n}\n");
    if (rc == 0 && (texts.failed || table.failed || out.failed))
        rc = err_nomem(err, "embedding schemas");
    if (rc == 0)
        rc = write_when_changed(path, &out, err);
    strbuf_free(&texts);
    strbuf_free(&table);
    strbuf_free(&out);
    return rc;
}

/* ---- text ---- */

static int run_text(const char *path, char **parts, size_t n, struct plat_err *err)
{
    struct strbuf out = {0};
    int rc = 0;
    strbuf_puts(&out,
                "/* Texts that plat carries. Generated by layoutc; edit the files that they come from. */\n");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct strbuf text = {0};
        const char *equals = strchr(parts[i], '=');
        if (equals == NULL)
            return err_set(err, PLAT_EINVALID, "%s: expected NAME=TEXT", parts[i]);
        rc = read_whole(equals + 1, &text, err);
        const int name = (int)(equals - parts[i]);
        strbuf_printf(&out, "\nextern const char %.*s[];\nconst char %.*s[] =\n", name, parts[i], name,
                      parts[i]);
        put_literal(&out, strbuf_str(&text), text.len);
        strbuf_puts(&out, ";\n");
        strbuf_free(&text);
    }
    if (rc == 0)
        rc = out.failed ? err_nomem(err, "embedding texts") : write_when_changed(path, &out, err);
    strbuf_free(&out);
    return rc;
}

/* ---- one file from one schema ---- */

static int export_freestanding(const struct layout *layout, struct strbuf *ret, struct plat_err *err)
{
    return layout_export_c(layout, EXPORT_FREESTANDING, ret, err);
}

static const struct mode {
    const char *name;
    int (*make)(const struct layout *layout, struct strbuf *ret, struct plat_err *err);
} modes[] = {
    {.name = "man", .make = layout_export_man},     {.name = "doc", .make = layout_export_markdown},
    {.name = "rust", .make = layout_export_rust},   {.name = "export", .make = export_freestanding},
    {.name = "agree", .make = layout_export_agree},
};

static int run_mode(const struct mode *mode, const char *schema, const char *path, struct plat_err *err)
{
    struct layout *layout = NULL;
    struct strbuf text = {0};
    int rc = layout_load_file(schema, &layout, err);
    if (rc == 0)
        rc = mode->make(layout, &text, err);
    if (rc == 0)
        rc = write_when_changed(path, &text, err);
    strbuf_free(&text);
    layout_free(layout);
    return rc;
}

int main(int argc, char **argv)
{
    struct plat_err err = {0};
    int rc = 1;
    if (argc == 4 && strcmp(argv[1], "c") == 0)
        rc = run_c(argv[2], argv[3], &err);
    else if (argc >= 3 && strcmp(argv[1], "embed") == 0)
        rc = run_embed(argv[2], argv + 3, (size_t)argc - 3, &err);
    else if (argc >= 3 && strcmp(argv[1], "text") == 0)
        rc = run_text(argv[2], argv + 3, (size_t)argc - 3, &err);
    for (size_t i = 0; argc == 4 && i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(argv[1], modes[i].name) == 0)
            rc = run_mode(&modes[i], argv[2], argv[3], &err);
    if (rc == 1) {
        (void)fputs("usage: layoutc c SCHEMA DIR\n       layoutc embed FILE [SCHEMA...]\n       layoutc text "
                    "FILE [NAME=TEXT...]\n"
                    "       layoutc man|doc|rust|export|agree SCHEMA FILE\n",
                    stderr);
        return 2;
    }
    if (rc != 0) {
        char text[PLAT_ERR_TEXT_MAX + 2 * PLAT_ERR_NAME_MAX];
        err_format(&err, text, sizeof text);
        (void)fprintf(stderr, "layoutc: %s\n", text);
        return 2;
    }
    return 0;
}
