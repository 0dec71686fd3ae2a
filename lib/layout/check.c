/* Judging instances by what their layout declares. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/layout/eval.h"

enum { CHECK_PATH_BYTES = 512 };

int finding_report(const struct finding_sink *sink, enum severity severity, const char *id, const char *path,
                   const uint64_t *offset, const char *const *refused_by, const char *fmt, ...)
{
    char text[PLAT_ERR_TEXT_MAX];
    if (sink == NULL || sink->fn == NULL)
        return 0;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    struct finding finding = {
        .severity = severity, .id = id, .path = path, .text = text, .refused_by = refused_by};
    if (offset != NULL) {
        finding.has_offset = true;
        finding.offset = *offset;
    }
    return sink->fn(sink->ctx, &finding);
}

/* One field's fault. `expected` and `found` may be NULL; found defaults to the value's text. */
struct fault {
    const struct inst *inst;
    const struct field *field; /* NULL: the struct */
    uint64_t index;
    enum severity severity;
    const char *id;
    const char *text;
    const char *expected;
    const char *const *refused_by;
};

static int report(const struct fault *fault, const struct finding_sink *sink)
{
    if (sink->fn == NULL)
        return 0;
    char path[CHECK_PATH_BYTES];
    struct strbuf found = {0};
    struct finding finding = {.severity = fault->severity,
                              .id = fault->id,
                              .path = path,
                              .has_offset = true,
                              .offset = fault->inst->offset,
                              .bytes = fault->inst->size_bytes,
                              .text = fault->text,
                              .expected = fault->expected,
                              .refused_by = fault->refused_by};
    if (fault->field == NULL) {
        (void)snprintf(path, sizeof path, "%s", fault->inst->path);
    } else {
        field_path(fault->inst, fault->field, fault->index, path, sizeof path);
        struct value value;
        if (fault->field->repr != REPR_TYPE &&
            inst_value(fault->inst, fault->field, fault->index, &value, NULL) == 0) {
            value_text(&value, &found);
            finding.offset = value.place.start;
            finding.bytes = value.n;
            finding.found = strbuf_str(&found);
        }
    }
    if (fault->inst->source.stream != NULL) {
        finding.stream = fault->inst->source.stream;
        finding.position = finding.offset;
        finding.offset = fault->inst->source.block.start;
        finding.bytes = fault->inst->source.block.bytes;
    }
    int rc = sink->fn(sink->ctx, &finding);
    strbuf_free(&found);
    return rc;
}

/* "say" with its {EXPR} replaced. */
static void rule_text(const struct eval *ctx, const struct rule *rule, struct strbuf *ret)
{
    if (rule->say == NULL) {
        strbuf_printf(ret, "does not satisfy %s", rule->must_text);
        return;
    }
    size_t k = 0;
    for (const char *s = rule->say; *s != '\0'; s++) {
        if (*s != '{' || k == rule->n_say_exprs) {
            strbuf_putc(ret, *s);
            continue;
        }
        struct ev ev;
        if (eval_any(ctx, rule->say_exprs[k++], &ev, NULL) == 0)
            ev_text(&ev, ret);
        else
            strbuf_putc(ret, '?');
        s = strchr(s, '}');
    }
}

/* The device or memory failed: that is nobody's fault in the image, and must not pass for an answer. Hands the
 * error on. */
static bool is_fatal(const struct plat_err *why, struct plat_err *err)
{
    if (why->class != PLAT_EIO && why->class != PLAT_ENOMEM)
        return false;
    if (err != NULL)
        *err = *why;
    return true;
}

static int check_rule(const struct eval *ctx, const struct rule *rule, const struct field *field,
                      const struct finding_sink *sink, struct plat_err *err)
{
    struct plat_err why;
    bool holds = true;
    err_clear(&why);
    if (rule->when != NULL) {
        bool applies;
        if (eval_bool(ctx, rule->when, &applies, &why) != 0 && is_fatal(&why, err))
            return why.class;
        if (why.class != 0)
            applies = why.class == PLAT_ELIMIT; /* what it asks for cannot be read: reported where it lies */
        if (!applies)
            return 0;
    }
    err_clear(&why);
    if (eval_bool(ctx, rule->must, &holds, &why) != 0)
        holds = false;
    if (holds)
        return 0;
    if (is_fatal(&why, err))
        return why.class;
    struct strbuf text = {0};
    rule_text(ctx, rule, &text);
    if (why.text[0] != '\0')
        strbuf_printf(&text, " (cannot be computed: %s)", why.text);
    struct fault fault = {.inst = ctx->inst,
                          .field = field,
                          .index = ctx->index,
                          .severity = rule->severity,
                          .id = rule->id != NULL ? rule->id : "valid",
                          .text = strbuf_str(&text),
                          .expected = rule->must_text,
                          .refused_by = rule->refused_by};
    int rc = report(&fault, sink);
    strbuf_free(&text);
    return rc;
}

/* ---- constants ---- */

/* The bytes that a text constant stands for: exact, padded as the field says. */
static bool const_matches(const struct value *v, const struct const_value *c)
{
    if (c->is_number) {
        unsigned bits = v->field->bit_width != 0 ? v->field->bit_width : 8 * v->field->width_bytes;
        uint64_t mask = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
        return (v->number & mask) == (c->number & mask);
    }
    size_t used = c->n;
    uint8_t pad = v->field->repr == REPR_CHARS && v->field->pad == PAD_SPACE ? ' ' : 0;
    if (v->field->repr == REPR_UTF16) {
        for (size_t i = 0; i < v->n / 2; i++)
            if (load_uint(v->bytes + 2 * i, 2, v->field->big_endian) != (i < c->n ? c->bytes[i] : 0))
                return false;
        return true;
    }
    return used <= v->n && memcmp(v->bytes, c->bytes, used) == 0 &&
           bytes_all(v->bytes + used, v->n - used, pad);
}

static void const_text(const struct field *field, const struct const_value *c, struct strbuf *ret)
{
    if (c->is_number) {
        struct value v = {.field = field, .is_number = true, .number = c->number};
        value_text(&v, ret);
    } else if (field->repr == REPR_CHARS) {
        strbuf_putc(ret, '\'');
        strbuf_visible(ret, (const char *)c->bytes, c->n);
        strbuf_putc(ret, '\'');
    } else {
        for (size_t i = 0; i < c->n && i < 32; i++)
            strbuf_printf(ret, "%s%02x", i == 0 ? "" : " ", c->bytes[i]);
    }
}

/* ---- one element of one field ---- */

/* A closed enum has no other values. */
static int check_enum(const struct value *v, const struct inst *inst, const struct finding_sink *sink)
{
    const struct type *type = v->field->type;
    char expected[96];
    if (type == NULL || type->kind != TYPE_ENUM || type->open ||
        (v->is_number ? type_value(type, v->number) : type_id(type, v->bytes)) != NULL)
        return 0;
    (void)snprintf(expected, sizeof expected, "a value of %s", type->name);
    const struct fault fault = {.inst = inst,
                                .field = v->field,
                                .index = v->index,
                                .severity = SEVERITY_ERROR,
                                .id = "enum",
                                .text = "value has no meaning in this format",
                                .expected = expected};
    return report(&fault, sink);
}

static int check_number(const struct value *v, const struct inst *inst, const struct finding_sink *sink)
{
    const struct type *type = v->field->type;
    struct fault fault = {.inst = inst, .field = v->field, .index = v->index, .severity = SEVERITY_ERROR};
    char expected[96];
    if (v->field->repr == REPR_BOTH &&
        load_uint(v->bytes, v->field->width_bytes, false) !=
            load_uint(v->bytes + v->field->width_bytes, v->field->width_bytes, true)) {
        fault.id = "both";
        fault.text = "the little-endian and the big-endian copy differ";
        return report(&fault, sink);
    }
    if (type == NULL || type->open)
        return 0;
    if (type->kind == TYPE_FLAGS) {
        uint64_t known = 0;
        for (size_t i = 0; i < type->n_values; i++)
            known |= type->values[i].value;
        if ((v->number & ~known) != 0) {
            fault.id = "flags";
            fault.severity = SEVERITY_WARNING;
            fault.text = "bits without a meaning are set";
            (void)snprintf(expected, sizeof expected, "no bits outside 0x%llx", (unsigned long long)known);
            fault.expected = expected;
            return report(&fault, sink);
        }
    }
    return 0;
}

static int check_element(const struct inst *inst, const struct field *field, uint64_t index,
                         const struct finding_sink *sink, struct plat_err *err);

/* The members of a bits field, each like a small field. */
static int check_bits(const struct inst *inst, const struct value *v, const struct finding_sink *sink,
                      struct plat_err *err)
{
    const struct type *type = v->field->type;
    char path[CHECK_PATH_BYTES];
    field_path(inst, v->field, v->index, path, sizeof path);
    struct type shape = *type;
    shape.kind = TYPE_STRUCT;
    struct inst bits = {.image = inst->image,
                        .type = &shape,
                        .bytes = v->bytes,
                        .size_bytes = v->n,
                        .offset = v->place.start,
                        .source = inst->source,
                        .parent = inst,
                        .path = path};
    for (size_t i = 0; i < type->n_fields; i++) {
        int rc = check_element(&bits, &type->fields[i], 0, sink, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check_derive(const struct eval *ctx, const struct value *v, const struct finding_sink *sink,
                        struct plat_err *err)
{
    struct plat_err why = {0};
    struct ev ev;
    struct strbuf expected = {0};
    struct fault fault = {.inst = ctx->inst,
                          .field = v->field,
                          .index = v->index,
                          .severity = SEVERITY_ERROR,
                          .id = "derive",
                          .text = "stored value is not what the structure yields"};
    bool same = false;
    if (eval_any(ctx, v->field->derive, &ev, &why) != 0) {
        if (is_fatal(&why, err))
            return why.class;
        strbuf_printf(&expected, "%s, which cannot be computed: %s", v->field->derive_text, why.text);
    } else if (v->is_number) {
        expr_num n = 0;
        bool is_num = ev.kind == EV_NUM;
        if (is_num)
            n = ev.num;
        else if (eval_num(ctx, v->field->derive, &n, &why) == 0)
            is_num = true;
        expr_num stored = v->field->repr == REPR_SINT ? (expr_num)(int64_t)v->number : (expr_num)v->number;
        same = is_num && n == stored;
        if (!same && n >= 0) {
            struct value want = *v;
            want.number = (uint64_t)n;
            value_text(&want, &expected);
        } else if (!same) {
            ev_text(&ev, &expected);
        }
    } else {
        struct ev bytes;
        same = ev_place(ctx, &ev, &bytes, &why) == 0 && bytes.bytes != NULL && bytes.n == v->n &&
               memcmp(bytes.bytes, v->bytes, v->n) == 0;
        if (!same)
            ev_text(&bytes, &expected);
    }
    fault.expected = strbuf_str(&expected);
    int rc = same ? 0 : is_fatal(&why, err) ? why.class : report(&fault, sink);
    strbuf_free(&expected);
    return rc;
}

static int check_element(const struct inst *inst, const struct field *field, uint64_t index,
                         const struct finding_sink *sink, struct plat_err *err)
{
    struct eval ctx = {.image = inst->image, .inst = inst, .field = field, .index = index};
    struct value v;
    int rc = inst_value(inst, field, index, &v, err);
    if (rc != 0)
        return rc;
    struct fault fault = {
        .inst = inst, .field = field, .index = index, .severity = SEVERITY_ERROR, .id = "const"};
    if (field->constant.set && !const_matches(&v, &field->constant)) {
        struct strbuf expected = {0};
        const_text(field, &field->constant, &expected);
        fault.text = "value is fixed by the format";
        fault.expected = strbuf_str(&expected);
        rc = report(&fault, sink);
        strbuf_free(&expected);
        if (rc != 0)
            return rc;
    }
    if (field->reserved && (v.is_number ? v.number != 0 : !bytes_all(v.bytes, v.n, 0))) {
        fault.id = "reserved";
        fault.severity = SEVERITY_WARNING;
        fault.text = "reserved, but not zero";
        fault.expected = "0";
        if ((rc = report(&fault, sink)) != 0)
            return rc;
    }
    if (field->radix != 0 && !v.is_number) {
        fault.id = "digits";
        fault.text = "text that should be a number is none";
        fault.expected = field->radix == 16  ? "hexadecimal digits"
                         : field->radix == 8 ? "octal digits"
                                             : "decimal digits";
        if ((rc = report(&fault, sink)) != 0)
            return rc;
    }
    if ((v.is_number && (rc = check_number(&v, inst, sink)) != 0) || (rc = check_enum(&v, inst, sink)) != 0)
        return rc;
    if (v.is_number && field->type != NULL && field->type->kind == TYPE_BITS &&
        (rc = check_bits(inst, &v, sink, err)) != 0)
        return rc;
    for (size_t i = 0; i < field->n_valid; i++)
        if ((rc = check_rule(&ctx, &field->valid[i], field, sink, err)) != 0)
            return rc;
    return field->derive != NULL ? check_derive(&ctx, &v, sink, err) : 0;
}

/* True when nothing about the field can be wrong, whatever its bytes: most fields of most formats. */
static bool is_unconstrained(const struct field *f)
{
    return f->n_valid == 0 && !f->constant.set && !f->reserved && f->derive == NULL && f->type == NULL &&
           f->repr != REPR_BOTH && f->radix == 0 && f->count_expr == NULL &&
           f->offset_bytes != FIELD_OFFSET_DYNAMIC;
}

static int check_field(const struct inst *inst, const struct field *field, const struct finding_sink *sink,
                       struct plat_err *err)
{
    struct eval ctx = {.image = inst->image, .inst = inst, .field = field};
    uint64_t count = 1;
    int rc;
    if (is_unconstrained(field))
        return 0;
    if (field->when != NULL) {
        struct plat_err why = {0};
        bool applies;
        if (eval_bool(&ctx, field->when, &applies, &why) != 0)
            return is_fatal(&why, err) ? why.class : 0;
        if (!applies)
            return 0;
    }
    if (field->is_array && (rc = inst_count(inst, field, &count, err)) != 0)
        return rc;
    for (uint64_t i = 0; i < count; i++) {
        if (field->repr == REPR_TYPE) {
            char path[CHECK_PATH_BYTES];
            struct inst nested;
            rc = inst_nested(inst, field, i, path, sizeof path, &nested, err);
            if (rc == 0)
                rc = inst_check(&nested, sink, err);
        } else {
            rc = check_element(inst, field, i, sink, err);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int inst_check(const struct inst *inst, const struct finding_sink *sink, struct plat_err *err)
{
    struct inst shaped = *inst;
    shaped.type = inst_shape(inst);
    if (shaped.type == NULL) {
        struct fault fault = {.inst = inst,
                              .severity = SEVERITY_ERROR,
                              .id = "union",
                              .text = "no case of this structure fits its bytes"};
        return report(&fault, sink);
    }
    for (size_t i = 0; i < shaped.type->n_fields; i++) {
        struct plat_err why;
        int rc = check_field(&shaped, &shaped.type->fields[i], sink, &why);
        if (rc == PLAT_ECORRUPT || rc == PLAT_EINVALID || rc == PLAT_ELIMIT || rc == PLAT_ENOTFOUND) {
            struct fault fault = {.inst = inst, .severity = SEVERITY_ERROR, .id = "shape", .text = why.text};
            rc = report(&fault, sink);
        } else if (rc != 0 && rc != PLAT_ESTOP && err != NULL) {
            *err = why;
        }
        if (rc != 0)
            return rc;
    }
    struct eval ctx = {.image = inst->image, .inst = &shaped};
    for (size_t i = 0; i < shaped.type->n_rules; i++) {
        int rc = check_rule(&ctx, &shaped.type->rules[i], NULL, sink, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- the layout's own rules ---- */

static int check_each(struct image *image, const struct rule *rule, const struct finding_sink *sink,
                      struct plat_err *err)
{
    const struct map_entry *entry = layout_map(image->layout, rule->each);
    struct plat_err why = {0};
    struct map_place place;
    if (image_map_place(image, entry, &place, &why) != 0)
        return is_fatal(&why, err) ? why.class : 0; /* the walk reports it */
    if (!place.present)
        return 0;
    for (uint64_t i = 0; i < place.count || entry->next != NULL; i++) {
        struct inst inst;
        char path[CHECK_PATH_BYTES];
        if (image_map_inst(image, entry, i, &inst, &why) != 0)
            return is_fatal(&why, err) ? why.class : 0; /* so are elements that cannot be read */
        (void)snprintf(path, sizeof path, "%s[%llu]", entry->name, (unsigned long long)i);
        inst.path = path;
        struct eval ctx = {.image = image, .inst = &inst, .index = i};
        int rc = check_rule(&ctx, rule, NULL, sink, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The structure that a rule is about: the first map entry that its expression names. */
static const struct map_entry *rule_subject(const struct expr *e)
{
    if (e->op == EXPR_NAME)
        return e->binding == BIND_MAP ? e->target : NULL;
    for (unsigned i = 0; i < e->n_args; i++) {
        const struct map_entry *entry = rule_subject(e->arg[i]);
        if (entry != NULL)
            return entry;
    }
    return NULL;
}

static int check_global(struct image *image, const struct rule *rule, const struct finding_sink *sink,
                        struct plat_err *err)
{
    const struct map_entry *subject = rule_subject(rule->must);
    struct map_place place = {0};
    struct eval ctx = {.image = image};
    struct plat_err why = {0};
    bool holds = false, applies = true;
    if (rule->when != NULL && eval_bool(&ctx, rule->when, &applies, &why) != 0)
        return is_fatal(&why, err) ? why.class : 0;
    if (!applies || (eval_bool(&ctx, rule->must, &holds, &why) == 0 && holds))
        return 0;
    if (is_fatal(&why, err))
        return why.class;
    struct strbuf text = {0};
    rule_text(&ctx, rule, &text);
    if (why.text[0] != '\0')
        strbuf_printf(&text, " (cannot be computed: %s)", why.text);
    struct finding finding = {.severity = rule->severity,
                              .id = rule->id != NULL ? rule->id : "rule",
                              .path = subject != NULL ? subject->name : "",
                              .text = strbuf_str(&text),
                              .expected = rule->must_text,
                              .refused_by = rule->refused_by};
    if (subject != NULL && image_map_place(image, subject, &place, NULL) == 0 && place.present) {
        finding.has_offset = true;
        finding.offset = place.offset;
    }
    int rc = sink->fn == NULL ? 0 : sink->fn(sink->ctx, &finding);
    strbuf_free(&text);
    return rc;
}

int image_check_rules(struct image *image, const struct finding_sink *sink, struct plat_err *err)
{
    const struct layout *layout = image->layout;
    for (size_t i = 0; i < layout->n_map; i++) {
        int rc = layout->map[i].mirror != NULL ? mirror_check(image, &layout->map[i], sink, err) : 0;
        if (rc != 0)
            return rc;
    }
    for (size_t i = 0; i < layout->n_rules; i++) {
        const struct rule *rule = &layout->rules[i];
        int rc =
            rule->each != NULL ? check_each(image, rule, sink, err) : check_global(image, rule, sink, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}
