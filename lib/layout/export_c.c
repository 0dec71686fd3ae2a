/* Layout to C: names and assembly. The parts are in export_c_{access,enum,expr,rule,helper}.c. */
#include "lib/layout/export_c_expr.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMENT_COLUMNS = 108 };

int c_fail(struct c_gen *g, int class, const char *fmt, ...)
{
    if (g->failed != 0)
        return g->failed;
    char text[PLAT_ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    g->failed = class;
    return err_set(g->err, class, "%s", text);
}

const char *c_text(struct c_gen *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : arena_bytes(&g->arena, (size_t)n + 1);
    if (s == NULL) {
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C for layout '%s'", g->layout->name);
        return "";
    }
    va_start(ap, fmt);
    (void)vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

void c_claim(struct c_gen *g, const char *name, const char *origin)
{
    if (g->n_claims == g->cap_claims) {
        size_t cap = g->cap_claims == 0 ? 256 : g->cap_claims * 2;
        struct c_claim *claims = realloc(g->claims, cap * sizeof *claims);
        if (claims == NULL) {
            c_fail(g, PLAT_ENOMEM, "out of memory while generating C for layout '%s'", g->layout->name);
            return;
        }
        g->claims = claims;
        g->cap_claims = cap;
    }
    g->claims[g->n_claims++] = (struct c_claim){.name = name, .origin = origin};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct c_claim *)a)->name, ((const struct c_claim *)b)->name);
}

static void check_claims(struct c_gen *g)
{
    if (g->n_claims == 0)
        return;
    qsort(g->claims, g->n_claims, sizeof *g->claims, by_name);
    for (size_t i = 1; i < g->n_claims; i++)
        if (strcmp(g->claims[i - 1].name, g->claims[i].name) == 0)
            c_fail(g, PLAT_EINVALID, "%s and %s would both be '%s' in C; rename one of them",
                   g->claims[i - 1].origin, g->claims[i].origin, g->claims[i].name);
}

/* ---- names ---- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The name with everything that C does not allow in an identifier as '_'. */
static const char *c_word(struct c_gen *g, const char *name)
{
    char *s = arena_strdup(&g->arena, name);
    if (s == NULL) {
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C for layout '%s'", g->layout->name);
        return "";
    }
    for (char *p = s; *p != '\0'; p++)
        if (!is_word(*p))
            *p = '_';
    return s;
}

const char *c_upper(struct c_gen *g, const char *name)
{
    const char *word = c_word(g, name);
    size_t n = strlen(word);
    char *s = arena_strndup(&g->arena, word, n);
    if (s == NULL) {
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C for layout '%s'", g->layout->name);
        return "";
    }
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 'a' && s[i] <= 'z')
            s[i] = (char)(s[i] - 'a' + 'A');
    return s;
}

const char *c_type_name(struct c_gen *g, const struct type *type)
{
    return c_text(g, "%s_%s", c_word(g, g->layout->name), c_word(g, type->name));
}

const char *c_verb(struct c_gen *g, const struct type *type, const char *verb)
{
    return c_text(g, "%s_%s", c_type_name(g, type), verb);
}

/* Field names that would take the name of a function that every type of this kind has. */
static bool is_verb(const struct type *type, const char *name)
{
    static const char *const verbs[] = {"view", "edit", "of", "init", "check", "seal", "fields"};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (type->kind == TYPE_STRUCT && strcmp(name, verbs[i]) == 0)
            return true;
    if (type->kind == TYPE_BITS)
        return strncmp(name, "with_", 5) == 0;
    return strncmp(name, "set_", 4) == 0 || strncmp(name, "edit_", 5) == 0;
}

const char *c_getter(struct c_gen *g, const struct type *type, const struct field *field)
{
    return c_text(g, "%s_%s%s", c_type_name(g, type), c_word(g, field->name),
                  is_verb(type, field->name) ? "_" : "");
}

const char *c_setter(struct c_gen *g, const struct type *type, const struct field *field, const char *verb)
{
    return c_text(g, "%s_%s_%s", c_type_name(g, type), verb, c_word(g, field->name));
}

const char *c_argument(struct c_gen *g, const char *name)
{
    static const char *const taken[] = {
        "auto",      "break",  "case",   "char",     "const",    "continue", "default",  "do",
        "double",    "else",   "enum",   "extern",   "float",    "for",      "goto",     "if",
        "inline",    "int",    "long",   "register", "restrict", "return",   "short",    "signed",
        "sizeof",    "static", "struct", "switch",   "typedef",  "union",    "unsigned", "void",
        "volatile",  "while",  "bool",   "true",     "false",    "asm",      "typeof",   "nullptr",
        "constexpr", "NULL",   "v",      "m",        "i",        "u",        "beyond",   "sum",
        "bytes",     "bad",    "rc",     "value",    "ret",      "buf",      "n",        "offset_bytes"};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(name, taken[i]) == 0)
            return c_text(g, "%s_", name);
    /* Neither a type of <stdint.h> nor one of the generator's own functions. */
    size_t n = strlen(name), own = strlen(g->layout->name);
    bool shadows = (n > 2 && strcmp(name + n - 2, "_t") == 0) || strncmp(name, "priv_", 5) == 0 ||
                   (strncmp(name, g->layout->name, own) == 0 && name[own] == '_');
    return shadows ? c_text(g, "%s_", name) : c_word(g, name);
}

unsigned c_type_bits(unsigned bits)
{
    return bits <= 8 ? 8 : bits <= 16 ? 16 : bits <= 32 ? 32 : 64;
}

const char *c_uint_type(unsigned bits)
{
    switch (c_type_bits(bits)) {
    case 8:
        return "uint8_t";
    case 16:
        return "uint16_t";
    case 32:
        return "uint32_t";
    default:
        return "uint64_t";
    }
}

const char *c_value_type(const struct field *field)
{
    static const char *const names[] = {"int8_t", "int16_t", "int32_t", "int64_t"};
    if (field->repr != REPR_SINT)
        return c_uint_type(field->width_bytes * 8);
    unsigned bits = c_type_bits(field->width_bytes * 8);
    return names[bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3];
}

bool c_field_is_fixed(const struct field *field)
{
    return field->offset_bytes != FIELD_OFFSET_DYNAMIC && field->count_expr == NULL &&
           !(field->repr == REPR_TYPE && field->type->size_bytes == 0);
}

uint32_t c_view_bytes(const struct type *type)
{
    return type->size_bytes != 0 ? type->size_bytes : type->min_bytes;
}

/* ---- comments ---- */

const char *c_comment_text(struct c_gen *g, const char *text)
{
    char *s = arena_strdup(&g->arena, text);
    if (s == NULL) {
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C for layout '%s'", g->layout->name);
        return "";
    }
    for (char *p = s; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == '\x7f')
            *p = ' ';
        else if ((p[0] == '*' && p[1] == '/') || (p[0] == '/' && p[1] == '*'))
            p[0] = p[1] = '.';
        else if (*p == '\\' && p[1] == '\0')
            *p = '/';
    return s;
}

void c_comment(struct strbuf *out, const char *indent, const char *text)
{
    size_t column = strlen(indent) + 2;
    strbuf_printf(out, "%s/*", indent);
    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        if (n > 0) {
            size_t last = text[n] == '\0' ? 3 : 0; /* room for the closing mark */
            if (column + 1 + n + last > COMMENT_COLUMNS && column > strlen(indent) + 2) {
                strbuf_printf(out, "\n%s *", indent);
                column = strlen(indent) + 2;
            }
            strbuf_putc(out, ' ');
            strbuf_add(out, text, n);
            column += 1 + n;
        }
        text += n;
        text += strspn(text, " ");
    }
    strbuf_puts(out, " */\n");
}

/* ---- assembly ---- */

const char *c_linkage(const struct c_gen *g)
{
    return g->what == EXPORT_FREESTANDING ? "static inline " : "";
}

void c_declare(struct c_gen *g, const char *signature)
{
    if (g->what != EXPORT_FREESTANDING)
        c_wrap(&g->head, 0, "", signature, ";");
}

/* A union's cases and a struct's nested views must be complete before they are used as values: types are
 * emitted depth first. The loader refuses recursion. */
static void emit_type(struct c_gen *g, const struct type *type, bool *done, unsigned depth)
{
    size_t index = 0;
    while (index < g->layout->n_types && g->layout->types[index] != type)
        index++;
    if (index == g->layout->n_types || done[index] || depth > LAYOUT_MAX_NESTING + 2)
        return;
    done[index] = true;
    for (size_t i = 0; i < type->n_fields; i++)
        if (type->fields[i].type != NULL)
            emit_type(g, type->fields[i].type, done, depth + 1);
    if (type->head != NULL)
        emit_type(g, type->head, done, depth + 1);
    for (size_t i = 0; i < type->n_cases; i++)
        emit_type(g, type->cases[i].type, done, depth + 1);
    switch (type->kind) {
    case TYPE_ENUM:
    case TYPE_FLAGS:
        c_emit_enum(g, type);
        break;
    case TYPE_BITS:
        c_emit_bits(g, type);
        break;
    case TYPE_STRUCT:
        c_emit_view(g, type);
        c_emit_accessors(g, type);
        if (type->size_bytes != 0)
            c_emit_init(g, type);
        c_emit_check(g, type);
        c_emit_seal(g, type);
        break;
    case TYPE_UNION:
        c_emit_view(g, type);
        c_emit_cases(g, type);
        break;
    }
}

struct c_facts *c_facts_of(struct c_gen *g, const struct type *type)
{
    size_t index = 0;
    while (index < g->layout->n_types && g->layout->types[index] != type)
        index++;
    return &g->facts[index]; /* one more than there are types */
}

void c_emit_layout(struct c_gen *g)
{
    g->facts = arena_alloc(&g->arena, (g->layout->n_types + 1) * sizeof *g->facts);
    if (g->facts == NULL) {
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C for layout '%s'", g->layout->name);
        return;
    }
    bool done[LAYOUT_MAX_TYPES] = {false};
    const char *name = c_word(g, g->layout->name);
    c_claim(g, c_text(g, "%s_field_info", name), "the generator's field table");
    strbuf_puts(
        &g->head,
        "/* Rows of the tables x_fields: place of a field within its structure. width_bytes is that of "
        "one element. */\n");
    strbuf_printf(&g->head,
                  "struct %s_field_info {\n    const char *name;\n    uint32_t offset_bytes;\n    uint32_t "
                  "width_bytes;\n"
                  "    uint32_t count;\n};\n",
                  name);
    for (size_t i = 0; i < g->layout->n_types && i < LAYOUT_MAX_TYPES; i++)
        emit_type(g, g->layout->types[i], done, 0);
    check_claims(g);
    if (g->failed == 0 && (g->head.failed || g->body.failed))
        c_fail(g, PLAT_ENOMEM, "out of memory while generating C for layout '%s'", g->layout->name);
}

void c_gen_free(struct c_gen *g)
{
    strbuf_free(&g->head);
    strbuf_free(&g->body);
    free(g->claims);
    arena_free(&g->arena);
}

static void banner(struct c_gen *g, struct strbuf *out, const char *what)
{
    const char *title = c_comment_text(g, g->layout->title != NULL ? g->layout->title : "");
    const char *spec = c_comment_text(g, g->layout->spec != NULL ? g->layout->spec : "");
    const char *text =
        c_text(g, "%s%s%s%s%s. Generated by layoutc from the layout '%s'; edit the layout, not this file.%s",
               title[0] != '\0' ? title : g->layout->name, spec[0] != '\0' ? " (" : "", spec,
               spec[0] != '\0' ? ")" : "", what, g->layout->name,
               g->what == EXPORT_SOURCE
                   ? ""
                   : " A view is made once, with a bounds check; its getters and setters cannot fail.");
    c_comment(out, "", text);
}

/* Breaks the lines that became too long through the names in them. */
static void put_lines(struct strbuf *out, const char *text, struct c_gen *g)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        const char *line = c_text(g, "%.*s", (int)n, text);
        size_t indent = strspn(line, " ");
        if (n > COMMENT_COLUMNS + 2 && strstr(line, "/*") == NULL)
            c_wrap(out, (unsigned)indent, "", line + indent, "");
        else
            strbuf_printf(out, "%s\n", line);
        text += n + (text[n] == '\n');
    }
}

static void assemble(struct c_gen *g, struct strbuf *out)
{
    struct strbuf helpers = {0};
    const char *name = c_word(g, g->layout->name);
    if (g->what == EXPORT_SOURCE) {
        banner(g, out, ": checks and seals");
        strbuf_printf(out, "#include \"%s.gen.h\"\n\n#include \"lib/hash/hash.h\"\n", g->layout->name);
        c_emit_helpers(g, &helpers);
        put_lines(out, strbuf_str(&helpers), g);
        put_lines(out, strbuf_str(&g->body), g);
        strbuf_free(&helpers);
        return;
    }
    const char *guard =
        c_text(g, "%s_%s_H", g->what == EXPORT_HEADER ? "PLAT_GEN" : "PLAT_EXPORT", c_upper(g, name));
    banner(g, out, "");
    strbuf_printf(
        out, "#ifndef %s\n#define %s\n\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\n",
        guard, guard);
    put_lines(out, strbuf_str(&g->head), g);
    if (g->what == EXPORT_FREESTANDING) {
        c_emit_helpers(g, &helpers);
        put_lines(out, strbuf_str(&helpers), g);
        put_lines(out, strbuf_str(&g->body), g);
    }
    strbuf_free(&helpers);
    strbuf_puts(out, "\n#endif\n");
}

int layout_export_c(const struct layout *layout, enum export_c what, struct strbuf *ret, struct plat_err *err)
{
    struct c_gen g = {.layout = layout, .what = what, .err = err};
    struct strbuf out = {0};
    c_emit_layout(&g);
    if (g.failed == 0)
        assemble(&g, &out);
    if (g.failed == 0 && out.failed)
        c_fail(&g, PLAT_ENOMEM, "out of memory while generating C for layout '%s'", layout->name);
    c_gen_free(&g);
    if (g.failed != 0) {
        strbuf_free(&out);
        return g.failed;
    }
    strbuf_free(ret);
    *ret = out;
    return 0;
}
