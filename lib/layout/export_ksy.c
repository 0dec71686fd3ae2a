/* Layout to Kaitai Struct (.ksy).
 *
 *   map entry   instance of the root: pos, type, if, repeat
 *   struct      type with a seq;  union: type with a seq of cases, each with its if, and the fields of all as instances
 *   enum        enum;             flags, bits: type of bit fields, from the least significant bit
 *
 * What Kaitai has no words for is named in a comment: rules, checksums, places that an expression over bytes gives. */
#include <inttypes.h>
#include <string.h>

#include "lib/layout/export_ksy.h"
#include "lib/layout/export_text.h"

static void comment(struct ksy *k, int indent, const char *what, const char *name, const struct expr *why)
{
    struct strbuf text = {0};
    if (why != NULL)
        expr_print(why, &text);
    strbuf_printf(&k->out, "%*s# %s %s%s", indent, "", what, name, why != NULL ? ": " : "");
    doc_plain(&k->out, strbuf_str(&text));
    strbuf_putc(&k->out, '\n');
    strbuf_free_into(&text, &k->out);
}

static void put_doc(struct ksy *k, int indent, const char *doc)
{
    if (doc == NULL || doc[0] == '\0')
        return;
    strbuf_printf(&k->out, "%*sdoc: ", indent, "");
    strbuf_json(&k->out, doc, strlen(doc));
    strbuf_putc(&k->out, '\n');
}

/* An expression is quoted, so that YAML leaves it alone. */
static void put_expr(struct ksy *k, int indent, const char *key, const char *code)
{
    strbuf_printf(&k->out, "%*s%s: '%s'\n", indent, "", key, code);
}

/* "u4le"; of three bytes bits, as Kaitai has no such integer. */
static const char *int_type(struct ksy *k, const struct field *f)
{
    bool native = f->width_bytes == 1 || f->width_bytes == 2 || f->width_bytes == 4 || f->width_bytes == 8;
    const char *order = f->big_endian ? "be" : "le";
    if (!native)
        return ksy_text(k, "b%u%s", 8 * f->width_bytes, order);
    return ksy_text(k, "%c%u%s", f->repr == REPR_SINT ? 's' : 'u', f->width_bytes,
                    f->width_bytes == 1 ? "" : order);
}

/* How many bytes of a run, as code; NULL: it cannot be said. */
static const char *run_bytes(struct ksy *k, const struct type *type, const struct field *f)
{
    const struct ksy_scope scope = {.type = type, .prefix = ""};
    if (f->count_expr == NULL)
        return ksy_text(k, "%u", f->count * f->width_bytes);
    const char *n = ksy_number(k, &scope, f->count_expr);
    return n == NULL || f->width_bytes == 1 ? n : ksy_text(k, "(%s * %u)", n, f->width_bytes);
}

static bool put_run(struct ksy *k, const struct type *type, const struct field *f)
{
    const char *bytes = run_bytes(k, type, f);
    if (bytes == NULL)
        return false;
    put_expr(k, 8, "size", bytes);
    if (f->repr == REPR_UTF16)
        strbuf_printf(&k->out, "        type: str\n        encoding: UTF-16%s\n",
                      f->big_endian ? "BE" : "LE");
    else if (f->repr == REPR_CHARS)
        strbuf_printf(&k->out, "        type: str\n        encoding: UTF-8\n%s",
                      f->pad == PAD_NUL     ? "        terminator: 0\n"
                      : f->pad == PAD_SPACE ? "        pad-right: 0x20\n"
                                            : "");
    return true;
}

/* The type of one element. */
static void put_element(struct ksy *k, const struct field *f)
{
    const struct type *t = f->type;
    if (f->repr == REPR_TYPE || (t != NULL && (t->kind == TYPE_FLAGS || t->kind == TYPE_BITS))) {
        bool turned = t->kind == TYPE_FLAGS && f->big_endian != t->big_endian;
        strbuf_printf(&k->out, "        type: %s%s\n", ksy_id(k, t->name), turned ? "__turned" : "");
    } else if (f->repr == REPR_GUID || f->repr == REPR_UUID) {
        strbuf_puts(&k->out, "        size: 16\n");
    } else if (f->repr == REPR_BOTH) {
        strbuf_printf(&k->out, "        type: both%u\n", f->width_bytes);
    } else if (f->width_bytes > 4 && f->width_bytes < 8) {
        strbuf_printf(&k->out, "        size: %u # a number, %s-endian\n", f->width_bytes,
                      f->big_endian ? "big" : "little");
    } else {
        strbuf_printf(&k->out, "        type: %s\n", int_type(k, f));
        if (t != NULL)
            strbuf_printf(&k->out, "        enum: %s\n", ksy_id(k, t->name));
        else if (f->constant.set && f->when == NULL && !f->is_array && f->repr == REPR_UINT)
            strbuf_printf(&k->out, "        valid: '%" PRIu64 "'\n", f->constant.number);
    }
}

/* False: Kaitai cannot read it, nor what lies behind it. */
static bool put_field(struct ksy *k, const struct type *type, const struct field *f)
{
    const struct ksy_scope scope = {.type = type, .prefix = ""};
    bool run = f->repr == REPR_CHARS || f->repr == REPR_UTF16 || f->repr == REPR_BYTES;
    const char *count = f->count_expr != NULL && !run ? ksy_number(k, &scope, f->count_expr) : "";
    if (count == NULL || (run && run_bytes(k, type, f) == NULL)) {
        comment(k, 6, "not expressible, nor what lies behind it:", f->name, f->count_expr);
        return false;
    }
    strbuf_printf(&k->out, "      - id: \"%s\"\n", ksy_id(k, f->name));
    if (run)
        (void)put_run(k, type, f);
    else
        put_element(k, f);
    if (f->is_array) {
        strbuf_puts(&k->out, "        repeat: expr\n");
        put_expr(k, 8, "repeat-expr", f->count_expr != NULL ? count : ksy_text(k, "%u", f->count));
    }
    put_doc(k, 8, f->doc);
    for (size_t i = 0; i < f->n_valid; i++)
        comment(k, 8, "not checked:", f->valid[i].id != NULL ? f->valid[i].id : f->name, f->valid[i].must);
    if (f->derive != NULL)
        comment(k, 8, "not checked: equals", f->name, f->derive);
    return true;
}

static void put_struct(struct ksy *k, const struct type *t)
{
    strbuf_puts(&k->out, "    seq:\n");
    for (size_t i = 0; i < t->n_fields; i++)
        if (!put_field(k, t, &t->fields[i]))
            break;
    for (size_t i = 0; i < t->n_rules; i++)
        comment(k, 4, "not checked:", t->rules[i].id != NULL ? t->rules[i].id : t->name, t->rules[i].must);
}

/* ---- bits ---- */

struct piece {
    const char *name; /* NULL: nobody's */
    unsigned width;
    const char *doc;
    const struct type *values;
};

/* Kaitai's JavaScript reads 32 bits at once: what is wider comes in two pieces, and as a value made of both. */
enum { PIECE_BITS = 32 };

static void put_piece(struct ksy *k, const struct piece *p, const char *half, unsigned width)
{
    if (p->name != NULL)
        strbuf_printf(&k->out, "      - id: \"%s%s\"\n        type: b%u\n", ksy_id(k, p->name), half, width);
    else
        strbuf_printf(&k->out, "      - type: b%u\n", width);
}

static void put_pieces(struct ksy *k, const struct piece *pieces, size_t n, bool big)
{
    bool wide = false;
    strbuf_printf(&k->out, "    meta:\n      bit-endian: %s\n    seq:\n", big ? "be" : "le");
    for (size_t i = 0; i < n; i++) {
        const struct piece *p = &pieces[big ? n - 1 - i : i];
        if (p->width > PIECE_BITS) {
            put_piece(k, p, big ? "_high" : "_low", big ? p->width - PIECE_BITS : PIECE_BITS);
            put_piece(k, p, big ? "_low" : "_high", big ? PIECE_BITS : p->width - PIECE_BITS);
            wide = wide || p->name != NULL;
            continue;
        }
        put_piece(k, p, "", p->width);
        if (p->values != NULL && p->width > 1)
            strbuf_printf(&k->out, "        enum: %s\n", ksy_id(k, p->values->name));
        put_doc(k, 8, p->doc);
    }
    if (wide)
        strbuf_puts(&k->out, "    instances:\n");
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].name == NULL || pieces[i].width <= PIECE_BITS)
            continue;
        const char *id = ksy_id(k, pieces[i].name);
        strbuf_printf(&k->out, "      %s:\n", id);
        put_expr(k, 8, "value", ksy_text(k, "%s_high * 4294967296 + %s_low", id, id));
        put_doc(k, 8, pieces[i].doc);
    }
}

static void put_bits(struct ksy *k, const struct type *t, bool big)
{
    struct piece pieces[2 * 64 + 1];
    size_t n = 0;
    unsigned at = 0, end = 8 * t->size_bytes;
    for (size_t i = 0; i < t->n_fields; i++)
        pieces[n++] =
            (struct piece){t->fields[i].name, t->fields[i].bit_width, t->fields[i].doc, t->fields[i].type};
    while (t->kind == TYPE_FLAGS && at < end) {
        const struct enum_value *here = NULL;
        unsigned next = end;
        for (size_t i = 0; i < t->n_values; i++) {
            here = t->values[i].shift == at ? &t->values[i] : here;
            if (t->values[i].shift > at && t->values[i].shift < next)
                next = t->values[i].shift;
        }
        unsigned width = here != NULL ? here->width : next - at;
        pieces[n++] =
            (struct piece){here != NULL ? here->name : NULL, width, here != NULL ? here->doc : "", NULL};
        at += width;
    }
    put_pieces(k, pieces, n, big);
}

/* ---- unions ---- */

static bool same_kind(struct ksy *k, const struct field *a, const struct field *b)
{
    struct ksy_value x = ksy_field(k, a, ""), y = ksy_field(k, b, "");
    return (a->repr == REPR_BOTH) == (b->repr == REPR_BOTH) && x.kind == y.kind && x.type == y.type &&
           !x.is_array && !y.is_array && x.kind != KSY_NONE;
}

/* The field `f` of the cases from `from` on, by whichever is there. */
static const char *case_field(struct ksy *k, const struct type *t, const struct field *f, size_t from)
{
    for (size_t i = from; i < t->n_cases && !k->beyond; i++) {
        const struct field *here = type_field(t->cases[i].type, f->name);
        if (here == NULL)
            continue;
        if (!same_kind(k, here, f))
            return NULL;
        const char *code = ksy_text(k, "case_%s.%s", t->cases[i].name, ksy_id(k, f->name));
        bool more = false;
        for (size_t j = i + 1; j < t->n_cases; j++)
            more = more || type_field(t->cases[j].type, f->name) != NULL;
        const char *rest = more ? case_field(k, t, f, i + 1) : code;
        if (rest == NULL || !more)
            return rest;
        return ksy_text(k, "(is_%s ? %s : %s)", t->cases[i].name, code, rest);
    }
    return NULL;
}

static void put_union(struct ksy *k, const struct type *t)
{
    const struct ksy_scope scope = {.type = t->head, .prefix = "union_head."};
    const char *before = "";
    strbuf_puts(&k->out, "    seq:\n");
    for (size_t i = 0; i < t->n_cases; i++) {
        strbuf_printf(&k->out, "      - id: case_%s\n        type: %s\n", t->cases[i].name,
                      ksy_id(k, t->cases[i].type->name));
        put_expr(k, 8, "if", ksy_text(k, "is_%s", t->cases[i].name));
    }
    strbuf_puts(&k->out, "    instances:\n");
    if (t->head != NULL)
        strbuf_printf(&k->out, "      union_head:\n        pos: _io.pos\n        type: %s\n",
                      ksy_id(k, t->head->name));
    for (size_t i = 0; i < t->n_cases; i++) {
        const char *when = t->cases[i].when != NULL ? ksy_condition(k, &scope, t->cases[i].when) : "true";
        if (when == NULL)
            comment(k, 6, "not expressible, so never taken: case", t->cases[i].name, t->cases[i].when);
        strbuf_printf(&k->out, "      is_%s:\n", t->cases[i].name);
        put_expr(k, 8, "value", ksy_text(k, "%s%s", before, when != NULL ? when : "false"));
        before = ksy_text(k, "%snot is_%s and ", before, t->cases[i].name);
    }
    for (size_t i = 0; i < t->n_cases; i++) {
        for (size_t f = 0; f < t->cases[i].type->n_fields; f++) {
            const struct field *field = &t->cases[i].type->fields[f];
            bool seen = false;
            for (size_t j = 0; j < i; j++)
                seen = seen || type_field(t->cases[j].type, field->name) != NULL;
            struct ksy_value v = ksy_field(k, field, "");
            bool plain = v.kind != KSY_NONE && !v.is_array && field->radix == 0;
            const char *code = seen || !plain ? NULL : case_field(k, t, field, i);
            if (code == NULL)
                continue;
            strbuf_printf(&k->out, "      %s:\n", ksy_id(k, field->name));
            put_expr(k, 8, "value", code);
        }
    }
}

/* ---- the whole ---- */

static void put_enum(struct ksy *k, const struct type *t)
{
    strbuf_printf(&k->out, "  %s:\n", ksy_id(k, t->name));
    for (size_t i = 0; i < t->n_values; i++) {
        const struct enum_value *v = &t->values[i];
        if (t->is_signed)
            strbuf_printf(&k->out, "    %" PRId64 ":\n      id: \"%s\"\n", (int64_t)v->value,
                          ksy_id(k, v->name));
        else
            strbuf_printf(&k->out, "    %" PRIu64 ":\n      id: \"%s\"\n", v->value, ksy_id(k, v->name));
        put_doc(k, 6, v->doc);
    }
}

static bool behind_itself(const struct map_entry *m)
{
    struct strbuf text = {0};
    expr_print(m->next, &text);
    struct strbuf sized = {0};
    strbuf_printf(&sized, "offset(self) + %u", m->type->size_bytes);
    bool yes = strcmp(strbuf_str(&text), "offset(self) + size(self)") == 0 ||
               (m->type->size_bytes != 0 && strcmp(strbuf_str(&text), strbuf_str(&sized)) == 0);
    strbuf_free(&sized);
    strbuf_free(&text);
    return yes;
}

/* What of a map entry is code; *ret_why is what cannot be. */
struct place {
    const char *at, *when, *count, *stride, *last;
};
static bool place_of(struct ksy *k, const struct map_entry *m, struct place *ret, const struct expr **ret_why)
{
    const struct ksy_scope top = {.prefix = ""};
    const struct ksy_scope element = {.type = m->type, .prefix = "_."};
    struct place p = {.at = ksy_number(k, &top, m->at), .when = "", .count = "", .stride = "", .last = ""};
    if (m->when != NULL)
        p.when = ksy_condition(k, &top, m->when);
    if (m->count != NULL)
        p.count = ksy_number(k, &top, m->count);
    if (m->stride != NULL)
        p.stride = ksy_number(k, &top, m->stride);
    if (m->next != NULL)
        p.last = m->last != NULL && behind_itself(m) ? ksy_condition(k, &element, m->last) : NULL;
    *ret = p;
    *ret_why = p.at == NULL      ? m->at
               : p.when == NULL  ? m->when
               : p.count == NULL ? m->count
               : p.last == NULL  ? m->next
                                 : m->stride;
    return p.at != NULL && p.when != NULL && p.count != NULL && p.stride != NULL && p.last != NULL;
}

/* An entry whose place depends on one that cannot be said cannot be said either. */
static size_t find_lost(struct ksy *k)
{
    size_t n = 0, before;
    do {
        before = n;
        for (size_t i = 0; i < k->layout->n_map; i++) {
            const struct map_entry *m = &k->layout->map[i];
            struct place place;
            const struct expr *why;
            if (k->lost[i] || (!m->is_extent && place_of(k, m, &place, &why)))
                continue;
            k->lost[i] = true;
            n++;
        }
    } while (n != before);
    return n;
}

static void put_map(struct ksy *k, const struct map_entry *m)
{
    struct place p;
    const struct expr *why;
    if (m->is_extent) {
        comment(k, 2, "a range without a structure:", m->name, m->at);
        return;
    }
    if (!place_of(k, m, &p, &why)) {
        comment(k, 2, "not expressible:", m->name, why);
        return;
    }
    strbuf_printf(&k->out, "  %s:\n", ksy_id(k, m->name));
    put_expr(k, 4, "pos", p.at);
    strbuf_printf(&k->out, "    type: %s\n", ksy_id(k, m->type->name));
    if (m->when != NULL)
        put_expr(k, 4, "if", p.when);
    if (m->count != NULL) {
        strbuf_puts(&k->out, "    repeat: expr\n");
        put_expr(k, 4, "repeat-expr", p.count);
    }
    if (m->stride != NULL)
        put_expr(k, 4, "size", p.stride);
    if (m->next != NULL) {
        strbuf_puts(&k->out, "    repeat: until\n");
        put_expr(k, 4, "repeat-until", p.last);
    }
    put_doc(k, 4, m->doc);
}

static void put_types(struct ksy *k)
{
    const struct layout *l = k->layout;
    strbuf_puts(&k->out, "types:\n");
    for (unsigned width = 1; width <= 8; width *= 2)
        strbuf_printf(
            &k->out,
            "  both%u:\n    doc: A number in little-endian order, then in big-endian order.\n    seq:\n"
            "      - id: le\n        type: u%u%s\n      - id: be\n        type: u%u%s\n",
            width, width, width == 1 ? "" : "le", width, width == 1 ? "" : "be");
    for (size_t i = 0; i < l->n_types; i++) {
        const struct type *t = l->types[i];
        if (t->kind == TYPE_ENUM)
            continue;
        strbuf_printf(&k->out, "  %s:\n", ksy_id(k, t->name));
        put_doc(k, 4, t->doc);
        if (t->kind == TYPE_STRUCT)
            put_struct(k, t);
        else if (t->kind == TYPE_UNION)
            put_union(k, t);
        else
            put_bits(k, t, t->big_endian);
        if (t->kind == TYPE_FLAGS && t->follows_order) {
            strbuf_printf(&k->out, "  %s__turned:\n    doc: The same in the other byte order.\n",
                          ksy_id(k, t->name));
            put_bits(k, t, !t->big_endian);
        }
    }
}

int layout_export_kaitai(const struct layout *l, struct strbuf *ret, struct plat_err *err)
{
    struct ksy k = {.layout = l};
    bool enums = false;
    strbuf_printf(
        &k.out,
        "# Made by plat schema export --to kaitai %s. Rules and checksums stay with plat.\nmeta:\n  id: %s\n",
        l->name, ksy_id(&k, l->name));
    if (l->title[0] != '\0') {
        strbuf_puts(&k.out, "  title: ");
        strbuf_json(&k.out, l->title, strlen(l->title));
        strbuf_putc(&k.out, '\n');
    }
    put_doc(&k, 0, l->doc);
    k.lost = arena_alloc(&k.arena, l->n_map + 1);
    if (k.lost == NULL) {
        arena_free(&k.arena);
        strbuf_free(&k.out);
        return err_nomem(err, "writing a .ksy");
    }
    if (l->n_map + l->n_params > find_lost(&k))
        strbuf_puts(&k.out, "instances:\n");
    for (size_t i = 0; i < l->n_params; i++) {
        strbuf_printf(&k.out, "  %s:\n    value: %" PRIu64 "\n", ksy_id(&k, l->params[i].name),
                      l->params[i].value);
        put_doc(&k, 4, l->params[i].doc);
    }
    for (size_t i = 0; i < l->n_map; i++)
        put_map(&k, &l->map[i]);
    put_types(&k);
    for (size_t i = 0; i < l->n_types; i++) {
        const struct type *t = l->types[i];
        if (t->kind != TYPE_ENUM || type_names_ids(t))
            continue;
        strbuf_puts(&k.out, enums ? "" : "enums:\n");
        enums = true;
        put_enum(&k, t);
    }
    int rc = k.failed || k.out.failed ? err_nomem(err, "writing a .ksy")
             : k.beyond               ? err_set(err, PLAT_ELIMIT,
                                                "layout '%s': an expression becomes longer than %d bytes in Kaitai",
                                                l->name, (int)KSY_MAX_TEXT_BYTES)
                                      : 0;
    arena_free(&k.arena);
    if (rc == 0)
        *ret = k.out;
    else
        strbuf_free(&k.out);
    return rc;
}
