/* Mirrors: a map entry that must equal another byte for byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/layout/eval.h"

enum {
    MIRROR_CHUNK_BYTES = 64 * 1024,
    MIRROR_MAX_FINDINGS = 8 /* elements reported one by one; the rest is counted */
};

struct comparison {
    struct image *image;
    const struct map_entry *copy;
    struct map_place place, original;
    const struct finding_sink *sink;
    uint64_t differing_elements;
    uint64_t last_element;
};

/* Reports the element (or the field of a single structure) in which byte `at` differs. */
static int report_difference(struct comparison *c, uint64_t at)
{
    char path[256];
    char text[512];
    uint64_t element = c->place.stride == 0 ? 0 : at / c->place.stride;
    if (c->place.is_array && c->differing_elements > 0 && element == c->last_element)
        return 0;
    if (!c->place.is_array && c->differing_elements > 0)
        return 0;
    c->last_element = element;
    if (++c->differing_elements > MIRROR_MAX_FINDINGS)
        return 0;
    const char *name = c->copy->name;
    (void)snprintf(path, sizeof path, "%s", name);
    (void)snprintf(text, sizeof text, "differs from %s", c->copy->mirror->name);
    if (c->place.is_array) {
        (void)snprintf(path, sizeof path, "%s[%llu]", name, (unsigned long long)element);
        (void)snprintf(text, sizeof text, "differs from %s[%llu]", c->copy->mirror->name,
                       (unsigned long long)element);
    } else if (c->copy->type->kind == TYPE_STRUCT) {
        for (size_t i = 0; i < c->copy->type->n_fields; i++) {
            const struct field *f = &c->copy->type->fields[i];
            if (f->offset_bytes != FIELD_OFFSET_DYNAMIC && at >= f->offset_bytes &&
                at < (uint64_t)f->offset_bytes + f->size_bytes) {
                (void)snprintf(path, sizeof path, "%s.%s", name, f->name);
                (void)snprintf(text, sizeof text, "differs from %s.%s", c->copy->mirror->name, f->name);
            }
        }
    }
    struct finding finding = {.severity = c->copy->severity,
                              .id = "mirror",
                              .path = path,
                              .has_offset = true,
                              .offset = c->place.offset + at,
                              .bytes = 1,
                              .text = text,
                              .refused_by = c->copy->refused_by};
    return c->sink->fn == NULL ? 0 : c->sink->fn(c->sink->ctx, &finding);
}

static int compare_chunk(struct comparison *c, uint64_t at, const uint8_t *copy, const uint8_t *original,
                         size_t n)
{
    if (memcmp(copy, original, n) == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (copy[i] != original[i]) {
            int rc = report_difference(c, at + i);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* How many bytes from `at` on are holes in both copies. */
static uint64_t both_holes(struct comparison *c, uint64_t at, uint64_t left)
{
    struct range data;
    uint64_t starts[2] = {c->place.offset + at, c->original.offset + at};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t skip = left;
        if (dev_next_data(c->image->dev, starts[i], &data))
            skip = data.start > starts[i] ? data.start - starts[i] : 0;
        if (skip < left)
            left = skip;
    }
    return left;
}

int mirror_check(struct image *image, const struct map_entry *entry, const struct finding_sink *sink,
                 struct plat_err *err)
{
    struct comparison c = {.image = image, .copy = entry, .sink = sink};
    struct plat_err why = {0};
    int rc = image_map_place(image, entry, &c.place, &why);
    if (rc == 0)
        rc = image_map_place(image, entry->mirror, &c.original, &why);
    if (rc == PLAT_EIO || rc == PLAT_ENOMEM) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    if (rc != 0 || !c.place.present || !c.original.present)
        return 0; /* the walk reports what has no place */
    struct inst inst;
    uint64_t bytes = c.place.count * c.place.stride;
    if (!c.place.is_array && bytes == 0) {
        rc = image_map_inst(image, entry->mirror, 0, &inst, err);
        if (rc != 0)
            return rc == PLAT_EIO || rc == PLAT_ENOMEM ? rc : 0;
        bytes = inst.size_bytes;
    }
    uint64_t size = image->dev->size_bytes;
    if (!range_within((struct range){c.place.offset, bytes}, size) ||
        !range_within((struct range){c.original.offset, bytes}, size))
        return 0; /* ditto */
    uint8_t *chunk = malloc((size_t)2 * MIRROR_CHUNK_BYTES);
    if (chunk == NULL)
        return err_nomem(err, "comparing copies");
    rc = 0;
    for (uint64_t at = 0; rc == 0 && at < bytes;) {
        at += both_holes(&c, at, bytes - at);
        size_t n = bytes - at < MIRROR_CHUNK_BYTES ? (size_t)(bytes - at) : MIRROR_CHUNK_BYTES;
        if (n > 0)
            rc = dev_read(image->dev, c.place.offset + at, chunk, n, err);
        if (rc == 0 && n > 0)
            rc = dev_read(image->dev, c.original.offset + at, chunk + MIRROR_CHUNK_BYTES, n, err);
        if (rc == 0)
            rc = compare_chunk(&c, at, chunk, chunk + MIRROR_CHUNK_BYTES, n);
        at += n;
    }
    free(chunk);
    if (rc == 0 && c.differing_elements > MIRROR_MAX_FINDINGS)
        rc = finding_report(sink, entry->severity, "mirror", entry->name, &c.place.offset, entry->refused_by,
                            "%llu more elements differ from %s",
                            (unsigned long long)(c.differing_elements - MIRROR_MAX_FINDINGS),
                            entry->mirror->name);
    return rc;
}
