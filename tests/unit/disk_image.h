/* Disks in memory for the partition table tests: made by the table makers, then bent out of shape, then
 * judged. */
#ifndef PLAT_TESTS_DISK_IMAGE_H
#define PLAT_TESTS_DISK_IMAGE_H

#include <stdlib.h>
#include <string.h>

#include "lib/fs/verify.h"
#include "tests/unit/tap.h"

/* Findings of one judgement, in order. */
struct seen_finding {
    enum severity severity;
    char id[48], path[96], refused_by[64], text[320];
    uint64_t offset;
};
struct seen {
    struct seen_finding list[512];
    size_t n; /* kept */
    size_t errors, warnings, notes;
    int open_class, verify_class; /* of stack_open, stack_verify */
};

static inline int seen_add(void *ctx, const struct finding *f)
{
    struct seen *seen = ctx;
    seen->errors += f->severity == SEVERITY_ERROR;
    seen->warnings += f->severity == SEVERITY_WARNING;
    seen->notes += f->severity == SEVERITY_NOTE;
    if (seen->n == sizeof seen->list / sizeof seen->list[0])
        return 0;
    struct seen_finding *s = &seen->list[seen->n++];
    memset(s, 0, sizeof *s);
    s->severity = f->severity;
    s->offset = f->offset;
    (void)snprintf(s->id, sizeof s->id, "%s", f->id);
    (void)snprintf(s->path, sizeof s->path, "%s", f->path);
    (void)snprintf(s->text, sizeof s->text, "%s", f->text != NULL ? f->text : "");
    for (size_t i = 0; f->refused_by != NULL && f->refused_by[i] != NULL; i++) {
        size_t used = strlen(s->refused_by);
        (void)snprintf(s->refused_by + used, sizeof s->refused_by - used, " %s ", f->refused_by[i]);
    }
    return 0;
}

static inline void seen_print(const struct seen *seen)
{
    for (size_t i = 0; i < seen->n && i < 20; i++)
        printf("#   %s %s %s [%s]: %s\n", severity_name(seen->list[i].severity), seen->list[i].id,
               seen->list[i].path, seen->list[i].refused_by, seen->list[i].text);
}

/* As `plat verify` does it. */
static inline void judge(struct plat_dev *dev, uint32_t sector_bytes, struct seen *ret)
{
    struct stack_options options = {.degraded = true, .sector_bytes = sector_bytes};
    struct finding_sink sink = {.fn = seen_add, .ctx = ret};
    struct verify_totals totals = {0};
    struct stack *stack;
    struct plat_err err = {0};
    ret->n = ret->errors = ret->warnings = ret->notes = 0;
    ret->verify_class = 0;
    ret->open_class = stack_open(dev, &options, &stack, &err);
    if (ret->open_class != 0)
        return;
    ret->verify_class = stack_verify(stack, &sink, &totals, &err);
    stack_close(stack);
}

/* A finding of at least this severity whose path starts with `path` (NULL: any) and whose id is `id` (NULL:
 * any). */
static inline const struct seen_finding *seen_find(const struct seen *seen, enum severity severity,
                                                   const char *id, const char *path)
{
    for (size_t i = 0; i < seen->n; i++) {
        const struct seen_finding *s = &seen->list[i];
        if (s->severity <= severity && (id == NULL || strcmp(s->id, id) == 0) &&
            (path == NULL || strncmp(s->path, path, strlen(path)) == 0))
            return s;
    }
    return NULL;
}

#endif
