/* Over 600 lines: it is included whole by every generated agreement test.
 *
 * Generated code against the run-time engine, on random bytes. `layoutc agree` writes a program of tables and
 * small functions for one layout; what they have in common is here. Each comparison runs over AGREE_BUFFERS
 * buffers per type: random in every byte; fresh from inst_init, then a few random bytes; or plausible, with
 * small and named values in the fields, then sealed. The structure lies at the end of its image, so that a
 * rule that reaches past it has nothing to read: the engine then reports that it cannot be computed, and the
 * generated code may pass. */
#ifndef PLAT_TESTS_AGREE_H
#define PLAT_TESTS_AGREE_H

#include <inttypes.h>
#include <stdlib.h>

#include "lib/layout/eval.h"
#include "lib/layout/layout.h"
#include "tests/unit/agree_fill.h"
#include "tests/unit/tap.h"

enum { AGREE_BUFFERS = 3000, AGREE_MAX_PARAMS = 64, AGREE_MAX_SHOWN = 5 };

/* What x_check leaves to the engine: NULL field means a rule of the type, NULL text everything about the
 * field. `partly`: only where the rule reaches past the structure. */
struct agree_left {
    const char *field, *text;
    bool partly;
};
struct agree_type {
    const char *name;
    void (*get)(uint8_t *p); /* calls agree_... for each field */
    void (*set)(uint8_t *p, size_t field, size_t i, uint64_t n, const uint8_t *bytes);
    void (*init)(uint8_t *p);
    int (*check)(const uint8_t *p, uint64_t offset, const uint64_t *params);
    void (*seal)(uint8_t *p, uint64_t offset, const uint64_t *params);
    unsigned (*shape)(const uint8_t *p, uint64_t offset, const uint64_t *params); /* union; NULL: no x_case */
    const struct agree_left *left;
    size_t n_left;
    const char *const *sealed; /* NULL-terminated */
};
struct agree_name {
    const char *type;
    const char *(*name)(uint64_t value);
    const char *(*id_name)(const uint8_t *bytes); /* of GUIDs; instead of name */
};

/* The comparison at hand. Global because the generated functions are called back without it. */
static struct {
    const struct layout *layout;
    const struct agree_type *types;
    size_t n_types;
    struct inst inst;
    uint64_t params[AGREE_MAX_PARAMS];
    size_t failures, compared, faulty, unmended;
} agree;

static void agree_say(const char *field, const char *what, uint64_t got, uint64_t want)
{
    if (agree.failures++ < AGREE_MAX_SHOWN)
        printf("#   %s.%s: %s: generated %" PRIu64 ", engine %" PRIu64 "\n", agree.inst.type->name, field,
               what, got, want);
}

static void agree_claim(bool same, const char *field, const char *what, uint64_t got, uint64_t want)
{
    agree.compared++;
    if (!same)
        agree_say(field, what, got, want);
}

static const struct agree_type *agree_find(const char *name)
{
    for (size_t i = 0; i < agree.n_types; i++)
        if (strcmp(agree.types[i].name, name) == 0)
            return &agree.types[i];
    return NULL;
}

/* ---- called by the generated getters ---- */

static inline void agree_number(size_t field, size_t i, uint64_t got)
{
    const struct field *f = &agree.inst.type->fields[field];
    struct value v;
    int rc = inst_value(&agree.inst, f, i, &v, NULL);
    agree_claim(rc == 0 && v.is_number && v.number == got, f->name, "value", got, rc == 0 ? v.number : 0);
}

static inline void agree_past_end(size_t field, uint64_t got)
{
    const struct field *f = &agree.inst.type->fields[field];
    agree_claim(got == 0, f->name, "value past the end", got, 0);
}

static inline void agree_bytes(size_t field, size_t i, const uint8_t *got, size_t n)
{
    const struct field *f = &agree.inst.type->fields[field];
    struct value v;
    int rc = inst_value(&agree.inst, f, i, &v, NULL);
    agree_claim(rc == 0 && v.n == n && got == v.bytes, f->name, "place of the bytes",
                (uint64_t)(got - agree.inst.bytes), rc == 0 ? (uint64_t)(v.bytes - agree.inst.bytes) : 0);
}

static inline void agree_unit(size_t field, size_t i, uint16_t got)
{
    const struct field *f = &agree.inst.type->fields[field];
    struct value v;
    int rc = inst_value(&agree.inst, f, 0, &v, NULL);
    uint64_t want = rc == 0 && 2 * i < v.n ? load_uint(v.bytes + 2 * i, 2, f->big_endian) : UINT64_MAX;
    agree_claim(got == want, f->name, "unit", got, want);
}

static inline void agree_nested(size_t field, size_t i, const uint8_t *view, const uint8_t *edit)
{
    const struct field *f = &agree.inst.type->fields[field];
    struct inst nested;
    char path[256];
    int rc = inst_nested(&agree.inst, f, i, path, sizeof path, &nested, NULL);
    agree_claim(rc == 0 && view == nested.bytes && edit == nested.bytes, f->name, "place of the structure",
                (uint64_t)(view - agree.inst.bytes),
                rc == 0 ? (uint64_t)(nested.bytes - agree.inst.bytes) : 0);
}

/* Member of a bits field: its value in `base`, and `base` with `n` in its place. */
static inline void agree_member(size_t field, const char *member, uint64_t base, uint64_t got, uint64_t n,
                                uint64_t with)
{
    const struct field *f = &agree.inst.type->fields[field];
    const struct field *b = type_field(f->type, member);
    uint64_t mask = b->bit_width >= 64 ? UINT64_MAX : ((uint64_t)1 << b->bit_width) - 1;
    agree_claim(got == (base >> b->bit_shift & mask), f->name, member, got, base >> b->bit_shift & mask);
    uint64_t want = (base & ~(mask << b->bit_shift)) | (n & mask) << b->bit_shift;
    agree_claim(with == want, f->name, "base with a changed member", with, want);
}

/* ---- buffers ---- */

static void agree_make(const struct agree_type *t, uint8_t *p, unsigned kind)
{
    const struct type *type = agree.inst.type;
    size_t n = type->size_bytes;
    agree_scramble(p, n);
    if (kind == 0 || type->kind != TYPE_STRUCT)
        return;
    (void)inst_init(type, p, n, NULL);
    if (kind == 1) {
        for (uint64_t k = agree_random() % 4; k > 0; k--)
            p[agree_random() % n] = (uint8_t)agree_random();
        return;
    }
    agree_fill(type, p, (unsigned)(agree_random() % 9));
    if (inst_seal(&agree.inst, p, NULL) != 0 || agree_random() % 2 == 0)
        t->seal(p, agree.inst.offset, agree.params);
    if (agree_random() % 4 == 0)
        p[agree_random() % n] ^= (uint8_t)(1u << agree_random() % 8);
}

/* ---- setters ---- */

static const char hex_digits[] = "0123456789abcdef";

/* Text that inst_set takes, and the same value as a setter takes it. */
static void agree_new_value(const struct field *f, size_t n, uint64_t *ret_number, uint8_t *bytes,
                            struct strbuf *text)
{
    unsigned bits = 8 * f->width_bytes;
    uint64_t number = agree_random();
    if (bits < 64)
        number &= ((uint64_t)1 << bits) - 1;
    *ret_number = number;
    bool negative = f->repr == REPR_SINT && number >> (bits - 1) != 0;
    char guid[37];
    switch (f->repr) {
    case REPR_CHARS:
        if (f->radix != 0) {
            (void)field_format_digits(f, number, bytes, n);
            strbuf_printf(text, "%" PRIu64, number);
            return;
        }
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)('a' + agree_random() % 26);
        strbuf_add(text, (const char *)bytes, n);
        return;
    case REPR_BYTES:
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (uint8_t)agree_random();
            strbuf_putc(text, hex_digits[bytes[i] >> 4]);
            strbuf_putc(text, hex_digits[bytes[i] & 15]);
        }
        return;
    case REPR_GUID:
    case REPR_UUID:
        agree_scramble(bytes, 16);
        if (f->repr == REPR_GUID) {
            format_guid(bytes, guid);
            strbuf_puts(text, guid);
            return;
        }
        for (size_t i = 0; i < 16; i++) /* a uuid lies on disk as it is written */
            strbuf_printf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
        return;
    case REPR_UTF16:
        for (size_t i = 0; i < n / 2; i++) {
            bytes[i] = (uint8_t)('a' + agree_random() % 26);
            strbuf_putc(text, (char)bytes[i]);
        }
        return;
    default:
        if (negative)
            strbuf_printf(text, "-%" PRIu64, (bits < 64 ? (uint64_t)1 << bits : 0) - number);
        else
            strbuf_printf(text, "%" PRIu64, number);
        return;
    }
}

static void agree_set_field(const struct agree_type *t, size_t field, uint8_t *mine, uint8_t *theirs)
{
    const struct type *type = agree.inst.type;
    const struct field *f = &type->fields[field];
    size_t size = type->size_bytes, i = f->is_array ? agree_random() % f->count : 0;
    size_t one = f->is_array ? f->size_bytes / f->count : f->size_bytes;
    struct strbuf text = {0};
    uint64_t number;
    uint8_t *bytes = malloc(one + 16);
    struct plat_err err = {0};
    agree_new_value(f, one, &number, bytes, &text);
    memcpy(theirs, agree.inst.bytes, size);
    memcpy(mine, agree.inst.bytes, size);
    int rc = inst_set(&agree.inst, f, i, strbuf_str(&text), theirs, &err);
    if (rc != 0)
        printf("#   inst_set(%s, \"%s\"): %s\n", f->name, strbuf_str(&text), err.text);
    if (f->repr == REPR_UTF16)
        for (size_t k = 0; k < one / 2; k++)
            t->set(mine, field, k, bytes[k], bytes);
    else
        t->set(mine, field, i, number, bytes);
    agree_claim(rc == 0 && memcmp(mine, theirs, size) == 0, f->name, "setter", number, 0);
    memcpy(theirs, mine, size);
    if (f->is_array) { /* nothing may be written past the end */
        t->set(mine, field, f->count, number, bytes);
        agree_claim(memcmp(mine, theirs, size) == 0, f->name, "setter past the end", f->count, 0);
    }
    strbuf_free(&text);
    free(bytes);
}

/* ---- verdicts ---- */

struct agree_verdict {
    int first;  /* as x_check returns it; 0: none */
    int claims; /* x_check's answer; it may also be a fault that it need not see */
    bool may_claim;
};
enum agree_reach { AGREE_ENGINE_ONLY, AGREE_OPTIONAL, AGREE_BOTH };

static enum agree_reach agree_reach_of(const char *type, const char *field, const struct finding *finding,
                                       bool nested)
{
    const struct agree_type *t = agree_find(type);
    enum agree_reach reach =
        t == NULL ? AGREE_ENGINE_ONLY : AGREE_BOTH; /* a union, a struct of no fixed size */
    for (size_t i = 0; t != NULL && i < t->n_left; i++) {
        const struct agree_left *l = &t->left[i];
        if ((field == NULL) != (l->field == NULL) || (field != NULL && strcmp(field, l->field) != 0))
            continue;
        bool about = l->text == NULL || strcmp(l->text, finding->id) == 0 ||
                     (finding->expected != NULL && strcmp(l->text, finding->expected) == 0);
        bool failed =
            strstr(finding->text, "(cannot be computed: ") != NULL ||
            (finding->expected != NULL && strstr(finding->expected, ", which cannot be computed: ") != NULL);
        if (about && !l->partly)
            return AGREE_ENGINE_ONLY;
        if (about && (failed || nested)) /* behind a nested structure there is more of the outer one */
            reach = AGREE_OPTIONAL;
    }
    return reach;
}

/* What x_check returns for what `path`, which starts behind the instance's own, is about. */
static enum agree_reach agree_index(const struct type *type, const char *path, const struct finding *finding,
                                    int *ret)
{
    if (path[0] == '.')
        path++;
    if (path[0] == '\0') {
        for (size_t i = 0; i < type->n_rules; i++)
            if (finding->expected == type->rules[i].must_text)
                *ret = (int)(type->n_fields + i) + 1;
        return agree_reach_of(type->name, NULL, finding, type != agree.inst.type);
    }
    char name[LAYOUT_MAX_NAME_BYTES + 1];
    size_t n = strcspn(path, ".[");
    (void)snprintf(name, sizeof name, "%.*s", (int)n, path);
    const struct field *f = type_field(type, name);
    enum agree_reach reach =
        f == NULL ? AGREE_ENGINE_ONLY : agree_reach_of(type->name, name, finding, type != agree.inst.type);
    if (reach == AGREE_ENGINE_ONLY)
        return reach;
    *ret = (int)(f - type->fields) + 1;
    if (f->repr != REPR_TYPE)
        return reach;
    path += n;
    path += strcspn(path, ".");
    int inner;
    return f->type->kind == TYPE_STRUCT ? agree_index(f->type, path, finding, &inner) : AGREE_ENGINE_ONLY;
}

static int agree_finding(void *ctx, const struct finding *finding)
{
    struct agree_verdict *v = ctx;
    int index = 0;
    if (finding->severity != SEVERITY_ERROR)
        return 0;
    enum agree_reach reach = agree_index(agree.inst.type, finding->path, finding, &index);
    if (reach == AGREE_BOTH && (v->first == 0 || index < v->first))
        v->first = index;
    v->may_claim = v->may_claim || (reach == AGREE_OPTIONAL && index == v->claims);
    return 0;
}

/* Compares once; returns what x_check says. */
static int agree_check_once(const struct agree_type *t)
{
    int got = t->check(agree.inst.bytes, agree.inst.offset, agree.params);
    struct agree_verdict v = {.claims = got};
    struct finding_sink sink = {agree_finding, &v};
    struct plat_err err = {0};
    int rc = inst_check(&agree.inst, &sink, &err);
    if (v.may_claim && (v.first == 0 || got < v.first))
        v.first = got;
    size_t n_fields = agree.inst.type->n_fields;
    const char *where = v.first == 0                 ? "(none)"
                        : (size_t)v.first > n_fields ? "(rule)"
                                                     : agree.inst.type->fields[v.first - 1].name;
    agree_claim(rc == 0 && got == v.first, where, "first fault", (uint64_t)got, (uint64_t)v.first);
    return got;
}

/* A fault in front hides all others, so that bytes at random never get to the last rules. Faults are mended
 * by trial: a change that moves the first one back stays. */
static void agree_check(const struct agree_type *t, uint8_t *saved, uint8_t *fresh)
{
    enum { TRIALS = 60 };
    const struct type *type = agree.inst.type;
    uint8_t *p = (uint8_t *)(uintptr_t)agree.inst.bytes; /* the buffer is ours and writable */
    size_t n_fields = type->n_fields;
    int first = agree_check_once(t);
    agree.faulty += first != 0;
    (void)inst_init(type, fresh, type->size_bytes, NULL);
    for (unsigned i = 0; first != 0 && i < TRIALS; i++) {
        memcpy(saved, p, type->size_bytes);
        size_t k = (size_t)first <= n_fields && agree_random() % 3 != 0 ? (size_t)first - 1
                                                                        : agree_random() % n_fields;
        struct type one = *type;
        one.fields = &type->fields[k];
        one.n_fields = 1;
        if (type->fields[k].constant.set || agree_random() % 4 == 0)
            memcpy(p + one.fields->offset_bytes, fresh + one.fields->offset_bytes, one.fields->size_bytes);
        else
            agree_fill(&one, p, 9);
        if (agree_random() % 3 == 0)
            t->seal(p, agree.inst.offset, agree.params);
        int next = agree_check_once(t);
        if (next == 0 || next >= first)
            first = next;
        else
            memcpy(p, saved, type->size_bytes);
    }
    agree.unmended += first != 0;
}

/* A sealed field holds what the engine computes, where that has a value which fits. */
static void agree_sealed(const struct field *f)
{
    struct eval ctx = {.image = agree.inst.image, .inst = &agree.inst, .field = f};
    struct value have;
    if (inst_value(&agree.inst, f, 0, &have, NULL) != 0)
        agree_claim(false, f->name, "has no value", 0, 0);
    if (have.is_number) {
        expr_num n, top = ((expr_num)1 << (8 * f->width_bytes)) - 1;
        bool is_signed = f->repr == REPR_SINT;
        if (eval_num(&ctx, f->derive, &n, NULL) != 0 || n < (is_signed ? -(top >> 1) - 1 : 0) ||
            n > (is_signed ? top >> 1 : top))
            return;
        agree_claim(have.number == (uint64_t)n, f->name, "sealed value", have.number, (uint64_t)n);
        return;
    }
    struct ev ev, want;
    if (eval_any(&ctx, f->derive, &ev, NULL) != 0 || ev_place(&ctx, &ev, &want, NULL) != 0 ||
        want.bytes == NULL || want.n != have.n)
        return;
    agree_claim(memcmp(want.bytes, have.bytes, have.n) == 0, f->name, "sealed bytes", 0, 0);
}

/* Both seal a copy; what the generated code leaves to the engine is taken from the engine first. */
static void agree_seal(const struct agree_type *t, uint8_t *mine, uint8_t *saved)
{
    const struct type *type = agree.inst.type;
    uint8_t *p = (uint8_t *)(uintptr_t)agree.inst.bytes; /* the buffer is ours and writable */
    size_t n = type->size_bytes;
    memcpy(saved, p, n);
    memcpy(mine, p, n);
    if (inst_seal(&agree.inst, p, NULL) == 0) {
        for (size_t i = 0; i < type->n_fields; i++) {
            const struct field *f = &type->fields[i];
            bool own = f->derive == NULL && !(f->repr == REPR_TYPE);
            for (const char *const *s = t->sealed; *s != NULL; s++)
                own = own || strcmp(*s, f->name) == 0;
            /* A nested structure is compared when its own type is; here its engine-only fields would be
             * missing. */
            if (!own)
                memcpy(mine + f->offset_bytes, p + f->offset_bytes, f->size_bytes);
        }
        t->seal(mine, agree.inst.offset, agree.params);
        agree_claim(memcmp(mine, p, n) == 0, "(all)", "bytes after sealing", 0, 0);
        memcpy(p, saved, n);
    }
    memcpy(p, saved, n);
    t->seal(p, agree.inst.offset, agree.params);
    for (const char *const *s = t->sealed; *s != NULL; s++)
        agree_sealed(type_field(type, *s));
    memcpy(p, saved, n);
}

/* ---- programs ---- */

static void agree_choose_params(const struct layout *layout)
{
    for (size_t i = 0; i < layout->n_params && i < AGREE_MAX_PARAMS; i++) {
        const struct param *p = &layout->params[i];
        agree.params[i] = p->n_choices > 0          ? p->choices[agree_random() % p->n_choices]
                          : agree_random() % 4 == 0 ? agree_random() % 5
                                                    : p->value;
    }
}

static uint64_t agree_choose_offset(const struct layout *layout)
{
    uint64_t pick = agree_random() % 4;
    if (pick == 0 || layout->n_params == 0)
        return agree_random() % 2 == 0 ? 0 : agree_random() % 4096;
    uint64_t param = agree.params[agree_random() % layout->n_params] % 65536;
    return pick == 1 ? param * (agree_random() % 8) : param;
}

static void agree_report(const char *type, const char *what, bool must_compare)
{
    ok(agree.failures == 0 && (agree.compared > 0 || !must_compare), "%s: %s (%zu comparisons)", type, what,
       agree.compared);
    agree.failures = agree.compared = 0;
}

/* Runs `one` over every kind of buffer. Each has a device of its own, which ends where the structure does. */
static void agree_over_buffers(const struct agree_type *t,
                               void (*one)(const struct agree_type *t, uint8_t *mine, uint8_t *theirs))
{
    const struct type *type = layout_type(agree.layout, t->name);
    uint8_t *mine = malloc(type->size_bytes), *theirs = malloc(type->size_bytes);
    for (unsigned i = 0; i < AGREE_BUFFERS; i++) {
        struct plat_dev *dev = NULL;
        struct image *image = NULL;
        struct plat_err err;
        agree_choose_params(agree.layout);
        uint64_t offset = agree_choose_offset(agree.layout);
        if (dev_open_memory(offset + type->size_bytes, "random bytes", &dev, &err) != 0 ||
            image_open(agree.layout, dev, NULL, 0, &image, &err) != 0)
            abort();
        for (size_t k = 0; k < agree.layout->n_params && k < AGREE_MAX_PARAMS; k++)
            image->params[k] = agree.params[k];
        uint8_t *p = dev_memory_bytes(dev) + offset;
        agree.inst = (struct inst){.image = image,
                                   .type = type,
                                   .bytes = p,
                                   .size_bytes = type->size_bytes,
                                   .offset = offset,
                                   .path = ""};
        agree_make(t, p, i % 3);
        one(t, mine, theirs);
        image_close(image);
        dev_close(dev);
    }
    free(mine);
    free(theirs);
}

static void agree_one_get(const struct agree_type *t, uint8_t *mine, uint8_t *theirs)
{
    (void)theirs;
    memcpy(mine, agree.inst.bytes, agree.inst.size_bytes);
    const uint8_t *before = agree.inst.bytes;
    agree.inst.bytes = mine;
    t->get(mine);
    agree.inst.bytes = before;
}

static void agree_one_set(const struct agree_type *t, uint8_t *mine, uint8_t *theirs)
{
    for (size_t i = 0; i < agree.inst.type->n_fields; i++)
        if (agree.inst.type->fields[i].repr != REPR_TYPE)
            agree_set_field(t, i, mine, theirs);
}

static void agree_one_check(const struct agree_type *t, uint8_t *mine, uint8_t *theirs)
{
    agree_check(t, mine, theirs);
}

static void agree_one_shape(const struct agree_type *t, uint8_t *mine, uint8_t *theirs)
{
    (void)mine;
    (void)theirs;
    const struct type *type = agree.inst.type;
    const struct type *want = inst_shape(&agree.inst);
    unsigned got = t->shape(agree.inst.bytes, agree.inst.offset, agree.params);
    bool same = got == 0 ? want == NULL : got <= type->n_cases && type->cases[got - 1].type == want;
    agree_claim(same, "(case)", "case", got, 0);
}

static void agree_one_init(const struct agree_type *t, uint8_t *mine, uint8_t *theirs)
{
    size_t n = agree.inst.size_bytes;
    memcpy(mine, agree.inst.bytes, n);
    memcpy(theirs, agree.inst.bytes, n);
    t->init(mine);
    int rc = inst_init(agree.inst.type, theirs, n, NULL);
    agree_claim(rc == 0 && memcmp(mine, theirs, n) == 0, "(all)", "fresh bytes", 0, 0);
}

static void agree_id_names(const struct agree_name *n)
{
    const struct type *type = layout_type(agree.layout, n->type);
    for (unsigned i = 0; i < AGREE_BUFFERS; i++) {
        uint8_t id[LAYOUT_ID_BYTES];
        agree_some_id(type, i % 2 == 1, id);
        const struct enum_value *want = type_id(type, id);
        const char *got = n->id_name(id);
        bool same = want == NULL ? got == NULL : got != NULL && strcmp(got, want->name) == 0;
        agree_claim(same, got != NULL ? got : "(none)", "name of a GUID", id[0], 0);
    }
    agree_report(n->type, "names of GUIDs", true);
}

static void agree_names(const struct agree_name *n)
{
    const struct type *type = layout_type(agree.layout, n->type);
    agree.inst.type = type;
    for (unsigned i = 0; i < AGREE_BUFFERS; i++) {
        uint64_t value = agree_random() % 2 == 0 ? agree_random() % 300
                         : type->n_values > 0    ? type->values[agree_random() % type->n_values].value
                                                 : agree_random();
        const struct enum_value *want = NULL;
        for (size_t k = 0; want == NULL && k < type->n_values; k++)
            want = type->values[k].value == value ? &type->values[k] : NULL;
        const char *got = n->name(value);
        bool same = got == NULL || want == NULL ? got == NULL && want == NULL : strcmp(got, want->name) == 0;
        agree_claim(same, got != NULL ? got : "(none)", "name of a value", value, 0);
    }
    agree_report(n->type, "names of values", true);
}

static void agree_run_type(const struct agree_type *t)
{
    if (t->shape != NULL) {
        agree_over_buffers(t, agree_one_shape);
        agree_report(t->name, "the case that bytes are", true);
    }
    if (t->get == NULL)
        return;
    agree_over_buffers(t, agree_one_get);
    agree_report(t->name, "getters", true);
    agree_over_buffers(t, agree_one_set);
    agree_report(t->name, "setters", false);
    agree_over_buffers(t, agree_one_init);
    agree_report(t->name, "init", true);
    agree_over_buffers(t, agree_seal);
    agree_report(t->name, "seal", false);
    agree.faulty = agree.unmended = 0;
    agree_over_buffers(t, agree_one_check);
    printf("# %s: check found a fault in %zu of %d; %zu could not be mended\n", t->name, agree.faulty,
           (int)AGREE_BUFFERS, agree.unmended);
    agree_report(t->name, "check", true);
}

static inline int agree_main(const char *schema, const struct agree_type *types, size_t n_types,
                             const struct agree_name *names, size_t n_names)
{
    struct plat_err err = {0};
    struct layout *layout = NULL;
    if (layout_load_file(schema, &layout, &err) != 0) {
        ok(false, "load %s: %s (run this in the directory that layoutc ran in)", schema, err.text);
        return tap_done();
    }
    agree.layout = layout;
    agree.types = types;
    agree.n_types = n_types;
    for (size_t i = 0; i < n_types; i++)
        agree_run_type(&types[i]);
    for (size_t i = 0; i < n_names; i++)
        (names[i].id_name != NULL ? agree_id_names : agree_names)(&names[i]);
    layout_free(layout);
    return tap_done();
}

#endif
