/* The reference of a layout: what it says and in which order, whatever the output looks like. */
#include <inttypes.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/layout/export_text.h"

enum { DOC_CONST_SHOWN_BYTES = 64 };

/* ---- marked text ---- */

void doc_plain(struct strbuf *out, const char *text)
{
    for (const char *s = text; *s != '\0'; s++)
        strbuf_putc(out, (unsigned char)*s < 0x20 || *s == 0x7f ? ' ' : *s);
}

void doc_code(struct strbuf *out, const char *text)
{
    strbuf_putc(out, DOC_CODE);
    doc_plain(out, text);
    strbuf_putc(out, DOC_END);
}

const char *doc_take(struct doc *d, struct strbuf *sb)
{
    const char *copy = sb->failed ? NULL : arena_strdup(&d->arena, strbuf_str(sb));
    strbuf_free(sb);
    if (copy == NULL)
        d->failed = true;
    return copy != NULL ? copy : "";
}

const char *doc_kind(enum type_kind kind)
{
    static const char *const names[] = {"struct", "union", "enum", "flags", "bits"};
    return names[kind];
}

static const char *plain(struct doc *d, const char *text)
{
    struct strbuf sb = {0};
    doc_plain(&sb, text);
    return doc_take(d, &sb);
}

static const char *code(struct doc *d, const char *text)
{
    struct strbuf sb = {0};
    doc_code(&sb, text);
    return doc_take(d, &sb);
}

static const char *number(struct doc *d, uint64_t n)
{
    struct strbuf sb = {0};
    strbuf_printf(&sb, "%" PRIu64, n);
    return doc_take(d, &sb);
}

static void link_type(struct strbuf *out, const struct type *type)
{
    strbuf_putc(out, DOC_LINK);
    doc_plain(out, type->name);
    strbuf_putc(out, DOC_END);
}

static void code_expr(struct strbuf *out, const struct expr *e)
{
    struct strbuf text = {0};
    expr_print(e, &text);
    out->failed = out->failed || text.failed;
    doc_code(out, strbuf_str(&text));
    strbuf_free(&text);
}

/* "" when there is none. */
static const char *expr_cell(struct doc *d, const struct expr *e)
{
    struct strbuf sb = {0};
    if (e != NULL)
        code_expr(&sb, e);
    return doc_take(d, &sb);
}

/* A sentence behind what is there already. */
static void sentence(struct strbuf *out, const char *start)
{
    if (out->len > 0)
        strbuf_putc(out, ' ');
    strbuf_puts(out, start);
}

static void doc_sentence(struct strbuf *out, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        sentence(out, "");
        doc_plain(out, text);
        if (strchr(".!?:;", text[strlen(text) - 1]) == NULL)
            strbuf_putc(out, '.');
    }
}

/* ---- tables ---- */

static bool table_alloc(struct doc *d, struct doc_table *t, size_t max_rows)
{
    t->cells = arena_alloc(&d->arena, (max_rows + 1) * t->n_columns * sizeof(char *));
    t->n_rows = 0;
    if (t->cells == NULL)
        d->failed = true;
    return t->cells != NULL;
}

/* The cells of the next row, to be filled. */
static const char **table_row(struct doc_table *t)
{
    return &t->cells[t->n_rows++ * t->n_columns];
}

/* ---- constants ---- */

static void const_bytes(const struct field *f, const struct const_value *c, struct strbuf *out)
{
    if (repr_is_id(f->repr)) {
        char text[LAYOUT_ID_TEXT_BYTES];
        const struct enum_value *named = type_id(f->type, c->bytes);
        layout_format_id(f->repr, c->bytes, text);
        strbuf_puts(out, named != NULL ? named->name : text);
        return;
    }
    bool text = f->repr != REPR_BYTES;
    for (size_t i = 0; i < c->n; i++)
        text = text && c->bytes[i] >= 0x20 && c->bytes[i] < 0x7f;
    if (text) {
        strbuf_printf(out, "'%.*s'", (int)(c->n > 256 ? 256 : c->n), (const char *)c->bytes);
        return;
    }
    for (size_t i = 0; i < c->n && i < DOC_CONST_SHOWN_BYTES; i++)
        strbuf_printf(out, "%s%02x", i == 0 ? "" : " ", c->bytes[i]);
    if (c->n > DOC_CONST_SHOWN_BYTES)
        strbuf_puts(out, " ...");
}

static void const_sentence(const struct field *f, const struct const_value *c, const char *what,
                           struct strbuf *out)
{
    struct strbuf text = {0};
    if (!c->set)
        return;
    const struct enum_value *named =
        c->is_number && f->type != NULL && f->type->kind == TYPE_ENUM ? type_value(f->type, c->number) : NULL;
    if (named != NULL)
        strbuf_printf(&text, "%s", named->name);
    else if (!c->is_number)
        const_bytes(f, c, &text);
    else if (f->as == AS_HEX || (f->type != NULL && f->type->kind != TYPE_ENUM))
        strbuf_printf(&text, "0x%0*" PRIx64, (int)(2 * f->width_bytes),
                      f->width_bytes < 8 ? c->number & (((uint64_t)1 << 8 * f->width_bytes) - 1) : c->number);
    else
        strbuf_printf(&text, f->repr == REPR_SINT ? "%" PRId64 : "%" PRIu64, c->number);
    sentence(out, what);
    doc_code(out, strbuf_str(&text));
    strbuf_putc(out, '.');
    out->failed = out->failed || text.failed;
    strbuf_free(&text);
}

/* ---- rules ---- */

/* Says no more than its condition: told with the field, not in a list of its own. */
static bool rule_is_plain(const struct rule *r)
{
    return r->id == NULL && r->say == NULL && r->when == NULL && r->severity == SEVERITY_ERROR &&
           r->refused_by == NULL;
}

static void refused_sentence(const char *const *by, struct strbuf *out)
{
    if (by == NULL || by[0] == NULL)
        return;
    sentence(out, "Refused by ");
    for (size_t i = 0; by[i] != NULL; i++) {
        strbuf_puts(out, i == 0 ? "" : ", ");
        doc_plain(out, by[i]);
    }
    strbuf_putc(out, '.');
}

static struct doc_item rule_item(struct doc *d, const struct rule *r, const struct field *f)
{
    struct strbuf term = {0}, text = {0};
    if (f != NULL)
        doc_code(&term, f->name);
    strbuf_puts(&term, f != NULL && r->id != NULL ? ", " : "");
    if (r->id != NULL)
        doc_code(&term, r->id);
    if (f == NULL && r->id == NULL)
        strbuf_puts(&term, "rule");
    strbuf_printf(&term, " (%s)", severity_name(r->severity));
    if (r->each != NULL) {
        sentence(&text, "For each element of ");
        doc_code(&text, r->each);
        strbuf_putc(&text, '.');
    }
    if (r->when != NULL) {
        sentence(&text, "When ");
        code_expr(&text, r->when);
        strbuf_puts(&text, ":");
    }
    sentence(&text, "must hold: ");
    doc_code(&text, r->must_text);
    strbuf_putc(&text, '.');
    if (r->say != NULL) {
        sentence(&text, "Otherwise: \"");
        doc_plain(&text, r->say);
        strbuf_puts(&text, "\".");
    }
    refused_sentence(r->refused_by, &text);
    const char *term_text = doc_take(d, &term);
    return (struct doc_item){term_text, doc_take(d, &text)};
}

/* The rules of a struct: those of its fields that say more than a condition, then its own. */
static void write_rules(struct doc *d, const struct type *t)
{
    size_t n = t->n_rules;
    for (size_t i = 0; i < t->n_fields; i++)
        n += t->fields[i].n_valid;
    struct doc_item *items = arena_alloc(&d->arena, (n + 1) * sizeof *items);
    if (items == NULL) {
        d->failed = true;
        return;
    }
    n = 0;
    for (size_t i = 0; i < t->n_fields; i++)
        for (size_t k = 0; k < t->fields[i].n_valid; k++)
            if (!rule_is_plain(&t->fields[i].valid[k]))
                items[n++] = rule_item(d, &t->fields[i].valid[k], &t->fields[i]);
    for (size_t i = 0; i < t->n_rules; i++)
        items[n++] = rule_item(d, &t->rules[i], NULL);
    if (n > 0) {
        d->format->paragraph(d, "Rules:");
        d->format->items(d, items, n);
    }
}

/* ---- fields ---- */

static const char *field_meaning(struct doc *d, const struct field *f)
{
    struct strbuf out = {0};
    doc_sentence(&out, f->doc);
    const_sentence(f, &f->constant, "Always ", &out);
    const_sentence(f, &f->preset, "Written as ", &out);
    if (f->derive != NULL) {
        sentence(&out, "Derived: ");
        doc_code(&out, f->derive_text);
        strbuf_putc(&out, '.');
    }
    if (f->reserved)
        sentence(&out, "Reserved: zero.");
    if (f->free)
        sentence(&out, "Free: any value.");
    for (size_t i = 0; i < f->n_valid; i++) {
        if (!rule_is_plain(&f->valid[i]))
            continue;
        sentence(&out, "Valid: ");
        doc_code(&out, f->valid[i].must_text);
        strbuf_putc(&out, '.');
    }
    if (f->when != NULL) {
        sentence(&out, "Checked only when ");
        code_expr(&out, f->when);
        strbuf_putc(&out, '.');
    }
    if (f->repr == REPR_CHARS && f->pad == PAD_SPACE)
        sentence(&out, "Padded with spaces.");
    return doc_take(d, &out);
}

static const char *field_type(struct doc *d, const struct field *f)
{
    struct strbuf out = {0};
    if (f->type != NULL)
        link_type(&out, f->type);
    else
        doc_code(&out, f->type_text);
    if (f->is_array && f->count_expr != NULL) {
        strbuf_puts(&out, " * ");
        code_expr(&out, f->count_expr);
    } else if (f->is_array) {
        strbuf_printf(&out, " * %" PRIu32, f->count);
    }
    return doc_take(d, &out);
}

static void write_fields(struct doc *d, const struct type *t)
{
    struct doc_table table = {.headers = {"Offset", "Bytes", "Name", "Type", "Unit", "Meaning"},
                              .n_columns = 6,
                              .n_short = 5,
                              .name_column = 2};
    if (!table_alloc(d, &table, t->n_fields))
        return;
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        bool varies = f->count_expr != NULL || (f->repr == REPR_TYPE && f->type->size_bytes == 0);
        const char **row = table_row(&table);
        row[0] = f->offset_bytes == FIELD_OFFSET_DYNAMIC ? "varies" : number(d, f->offset_bytes);
        row[1] = varies ? "varies" : number(d, f->size_bytes);
        row[2] = code(d, f->name);
        row[3] = field_type(d, f);
        row[4] = f->unit != NULL ? plain(d, f->unit) : "";
        row[5] = field_meaning(d, f);
    }
    d->format->table(d, &table);
}

static void write_cases(struct doc *d, const struct type *t)
{
    struct doc_table table = {.headers = {"Case", "Type", "When"}, .n_columns = 3, .n_short = 2};
    if (!table_alloc(d, &table, t->n_cases))
        return;
    for (size_t i = 0; i < t->n_cases; i++) {
        struct strbuf type = {0}, when = {0};
        const char **row = table_row(&table);
        row[0] = code(d, t->cases[i].name);
        link_type(&type, t->cases[i].type);
        row[1] = doc_take(d, &type);
        if (t->cases[i].when != NULL)
            code_expr(&when, t->cases[i].when);
        else
            strbuf_puts(&when, "always");
        row[2] = doc_take(d, &when);
    }
    d->format->table(d, &table);
}

static void write_values(struct doc *d, const struct type *t)
{
    bool flags = t->kind == TYPE_FLAGS, ids = type_names_ids(t);
    unsigned name = ids ? 1 : 2; /* GUIDs have no second form */
    struct doc_table table = {
        .headers = {flags ? "Bits" : "Value", flags ? "Mask" : "Hex", "Name", "Meaning"},
        .n_columns = name + 2,
        .n_short = name + 1,
        .name_column = name};
    for (unsigned i = name; i < 3 && ids; i++)
        table.headers[i] = table.headers[i + 1];
    if (!table_alloc(d, &table, t->n_values))
        return;
    uint64_t base_mask = t->size_bytes < 8 ? ((uint64_t)1 << 8 * t->size_bytes) - 1 : UINT64_MAX;
    for (size_t i = 0; i < t->n_values; i++) {
        const struct enum_value *v = &t->values[i];
        struct strbuf left = {0}, hex = {0}, doc = {0};
        const char **row = table_row(&table);
        char id[LAYOUT_ID_TEXT_BYTES];
        if (ids) {
            layout_format_id(t->base, v->id, id);
            strbuf_puts(&left, id);
        } else if (!flags) {
            strbuf_printf(&left, t->is_signed ? "%" PRId64 : "%" PRIu64, v->value);
        } else {
            strbuf_printf(&left, v->width == 1 ? "%u" : "%u-%u", v->shift, v->shift + v->width - 1);
        }
        row[0] = doc_take(d, &left);
        if (!ids) {
            strbuf_printf(&hex, "0x%0*" PRIx64, (int)(2 * t->size_bytes), v->value & base_mask);
            row[1] = doc_take(d, &hex);
        }
        row[name] = code(d, v->name);
        doc_sentence(&doc, v->doc);
        row[name + 1] = doc_take(d, &doc);
    }
    d->format->table(d, &table);
}

static void write_bits(struct doc *d, const struct type *t)
{
    struct doc_table table = {.headers = {"Bits", "Width", "Name", "Values", "Meaning"},
                              .n_columns = 5,
                              .n_short = 4,
                              .name_column = 2};
    if (!table_alloc(d, &table, t->n_fields))
        return;
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        struct strbuf bits = {0}, type = {0};
        const char **row = table_row(&table);
        strbuf_printf(&bits, f->bit_width == 1 ? "%u" : "%u-%u", f->bit_shift,
                      f->bit_shift + f->bit_width - 1);
        row[0] = doc_take(d, &bits);
        row[1] = number(d, f->bit_width);
        row[2] = code(d, f->name);
        if (f->type != NULL)
            link_type(&type, f->type);
        else if (f->unit != NULL)
            doc_plain(&type, f->unit);
        row[3] = doc_take(d, &type);
        row[4] = field_meaning(d, f);
    }
    d->format->table(d, &table);
}

/* ---- types, map, the whole ---- */

static void write_type(struct doc *d, const struct type *t)
{
    struct strbuf text = {0};
    d->format->type(d, t);
    doc_sentence(&text, t->doc);
    if (t->kind == TYPE_STRUCT || t->kind == TYPE_UNION) {
        sentence(&text, t->size_bytes != 0 ? "Size: " : "Size varies: at least ");
        strbuf_printf(&text, "%" PRIu32 " bytes.", t->size_bytes != 0 ? t->size_bytes : t->min_bytes);
    } else if (type_names_ids(t)) {
        sentence(&text, t->base == REPR_GUID ? "Base: guid, first three groups little-endian."
                                             : "Base: uuid, bytes as written.");
    } else {
        sentence(&text, "Base: ");
        strbuf_printf(&text, "%c%u, %s.", t->is_signed ? 's' : 'u', 8 * t->size_bytes,
                      t->size_bytes == 1 ? "one byte"
                      : t->big_endian    ? "big-endian"
                                         : "little-endian");
    }
    if (t->kind == TYPE_ENUM)
        sentence(&text, t->open ? "Other values may occur." : "Other values are errors.");
    if (t->kind == TYPE_FLAGS)
        sentence(&text, t->open ? "Other bits may be set." : "Other bits are zero.");
    if (t->kind == TYPE_BITS)
        sentence(&text, "Bit 0 is the least significant.");
    if (t->kind == TYPE_UNION)
        sentence(&text, "The first case that holds is taken.");
    if (t->head != NULL) {
        sentence(&text, "Conditions read ");
        link_type(&text, t->head);
        strbuf_putc(&text, '.');
    }
    d->format->paragraph(d, doc_take(d, &text));
    if (t->kind == TYPE_STRUCT)
        write_fields(d, t);
    else if (t->kind == TYPE_UNION)
        write_cases(d, t);
    else if (t->kind == TYPE_BITS)
        write_bits(d, t);
    else
        write_values(d, t);
    write_rules(d, t);
}

static void write_params(struct doc *d)
{
    const struct layout *l = d->layout;
    struct doc_table table = {
        .headers = {"Name", "Default", "Unit", "Choices", "Meaning"}, .n_columns = 5, .n_short = 4};
    if (l->n_params == 0 || !table_alloc(d, &table, l->n_params))
        return;
    d->format->section(d, "Parameters");
    d->format->paragraph(d, "What the bytes themselves do not say.");
    for (size_t i = 0; i < l->n_params; i++) {
        const struct param *p = &l->params[i];
        struct strbuf choices = {0}, doc = {0};
        const char **row = table_row(&table);
        row[0] = code(d, p->name);
        row[1] = number(d, p->value);
        row[2] = p->unit != NULL ? plain(d, p->unit) : "";
        for (size_t k = 0; k < p->n_choices; k++)
            strbuf_printf(&choices, "%s%" PRIu64, k == 0 ? "" : ", ", p->choices[k]);
        row[3] = doc_take(d, &choices);
        doc_sentence(&doc, p->doc);
        row[4] = doc_take(d, &doc);
    }
    d->format->table(d, &table);
}

static void write_identify(struct doc *d)
{
    const struct layout *l = d->layout;
    struct strbuf text = {0};
    if (l->n_identify == 0)
        return;
    strbuf_puts(&text, "Recognised by ");
    for (size_t i = 0; i < l->n_identify; i++) {
        struct const_value c = {.bytes = l->identify[i].bytes, .n = l->identify[i].n};
        struct field chars = {.repr = REPR_CHARS};
        struct strbuf bytes = {0};
        const_bytes(&chars, &c, &bytes);
        strbuf_puts(&text, i == 0 ? "" : ", or ");
        doc_code(&text, strbuf_str(&bytes));
        strbuf_puts(&text, " at byte ");
        code_expr(&text, l->identify[i].at);
        text.failed = text.failed || bytes.failed;
        strbuf_free(&bytes);
    }
    strbuf_putc(&text, '.');
    d->format->paragraph(d, doc_take(d, &text));
}

/* An expression with words around it, where there is one. */
static void put_with(struct strbuf *out, const char *before, const struct expr *e, const char *behind)
{
    if (e == NULL)
        return;
    strbuf_puts(out, before);
    code_expr(out, e);
    strbuf_puts(out, behind);
}

static void write_map(struct doc *d)
{
    const struct layout *l = d->layout;
    struct doc_table table = {
        .headers = {"Name", "What", "Place", "Count", "Condition", "Meaning"}, .n_columns = 6, .n_short = 2};
    if (l->n_map == 0 || !table_alloc(d, &table, l->n_map))
        return;
    d->format->section(d, "Map");
    d->format->paragraph(d, "What lies where, as far as arithmetic tells. Places are byte offsets.");
    for (size_t i = 0; i < l->n_map; i++) {
        const struct map_entry *m = &l->map[i];
        struct strbuf what = {0}, count = {0}, doc = {0};
        const char **row = table_row(&table);
        row[0] = code(d, m->name);
        if (m->is_extent) {
            strbuf_printf(&what, "%s bytes", extent_kind_name(m->extent));
        } else if (m->mirror != NULL) {
            strbuf_puts(&what, "copy of ");
            doc_code(&what, m->mirror->name);
        } else {
            link_type(&what, m->type);
        }
        row[1] = doc_take(d, &what);
        row[2] = expr_cell(d, m->at);
        put_with(&count, "", m->is_extent ? m->bytes : m->count, m->is_extent ? " bytes" : "");
        put_with(&count, "a chain, the next at ", m->next, "");
        put_with(&count, ", up to the one where ", m->last, "");
        put_with(&count, ", one every ", m->stride, " bytes");
        row[3] = doc_take(d, &count);
        row[4] = expr_cell(d, m->when);
        doc_sentence(&doc, m->doc);
        if (m->mirror != NULL) {
            sentence(&doc, "A difference is ");
            strbuf_printf(&doc, "%s %s.", m->severity == SEVERITY_ERROR ? "an" : "a",
                          severity_name(m->severity));
        }
        refused_sentence(m->refused_by, &doc);
        row[5] = doc_take(d, &doc);
    }
    d->format->table(d, &table);
}

static void write_layout_rules(struct doc *d)
{
    const struct layout *l = d->layout;
    struct doc_item *items = arena_alloc(&d->arena, (l->n_rules + 1) * sizeof *items);
    if (l->n_rules == 0 || items == NULL) {
        d->failed = d->failed || items == NULL;
        return;
    }
    d->format->section(d, "Rules");
    d->format->paragraph(d, "What holds between structures.");
    for (size_t i = 0; i < l->n_rules; i++)
        items[i] = rule_item(d, &l->rules[i], NULL);
    d->format->items(d, items, l->n_rules);
}

int doc_write(const struct layout *layout, const struct doc_format *format, struct strbuf *ret,
              struct plat_err *err)
{
    struct doc d = {.layout = layout, .format = format};
    struct strbuf text = {0};
    int rc = 0;
    format->begin(&d);
    doc_sentence(&text, layout->doc);
    if (layout->spec[0] != '\0') {
        sentence(&text, "Specification: ");
        doc_plain(&text, layout->spec);
        strbuf_putc(&text, '.');
    }
    sentence(&text, "Numbers are ");
    strbuf_printf(&text, "%s-endian unless a type says otherwise.", layout->big_endian ? "big" : "little");
    format->paragraph(&d, doc_take(&d, &text));
    if (layout->drawing[0] != '\0')
        format->drawing(&d, layout->drawing);
    write_identify(&d);
    write_params(&d);
    write_map(&d);
    format->section(&d, "Types");
    for (size_t i = 0; i < layout->n_types; i++)
        write_type(&d, layout->types[i]);
    write_layout_rules(&d);
    format->end(&d);
    if (d.failed || d.out.failed) {
        strbuf_free(&d.out);
        rc = err_nomem(err, "writing a reference");
    } else {
        *ret = d.out;
    }
    arena_free(&d.arena);
    return rc;
}
