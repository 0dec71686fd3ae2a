/* Differences that are alike: a thousand pointers that all differ because one thing before them grew hide the one that matters.
 * Of a field or attribute that differs in many elements or files the first few are shown, the others counted. */
#include <stdlib.h>
#include <string.h>

#include "inspect/diff.h"
#include "inspect/render.h"

enum { FOLDS = 1024, SHOWN_OF_EACH = 8 };

struct diff_fold {
    char *pattern; /* "headers[*][*].start_block", "esp:*:mtime" */
    uint64_t met;
};

/* Contents and kinds are never alike: which files they are is what people want to know. */
static bool is_alike(const struct difference *difference, const char **ret_attribute)
{
    const char *attribute = difference->part == DIFF_FILES ? strrchr(difference->path, ':') : NULL;
    *ret_attribute = attribute;
    if (difference->kind != DIFF_CHANGED)
        return false;
    return difference->part == DIFF_STRUCTURES ||
           (attribute != NULL && strcmp(attribute, ":content") != 0 && strcmp(attribute, ":kind") != 0 &&
            strcmp(attribute, ":target") != 0);
}

static void make_pattern(struct strbuf *out, const struct difference *difference, const char *attribute)
{
    const char *at = difference->path;
    if (attribute != NULL) {
        strbuf_add(out, at, strcspn(at, "/"));
        strbuf_printf(out, "*%s", attribute);
        return;
    }
    while (*at != '\0') {
        const char *end = *at != '[' ? NULL : at[1] == '"' ? strstr(at + 1, "\"]") : strchr(at, ']');
        if (end == NULL) {
            strbuf_putc(out, *at++);
            continue;
        }
        strbuf_puts(out, "[*]");
        at = end + (*end == '"' ? 2 : 1);
    }
}

bool diff_folds(struct diff *diff, const struct difference *difference)
{
    const char *attribute;
    struct strbuf pattern = {0};
    if (diff->json || diff->all || !is_alike(difference, &attribute))
        return false;
    make_pattern(&pattern, difference, attribute);
    if (diff->folds == NULL)
        diff->folds = calloc(FOLDS, sizeof *diff->folds);
    struct diff_fold *fold = NULL;
    for (size_t i = 0; diff->folds != NULL && !pattern.failed && fold == NULL && i < FOLDS; i++) {
        if (diff->folds[i].pattern == NULL)
            diff->folds[i].pattern = strdup(strbuf_str(&pattern));
        if (diff->folds[i].pattern == NULL)
            break;
        if (strcmp(diff->folds[i].pattern, strbuf_str(&pattern)) == 0)
            fold = &diff->folds[i];
    }
    strbuf_free(&pattern);
    /* With no room for another pattern everything is shown. */
    return fold != NULL && ++fold->met > SHOWN_OF_EACH;
}

void diff_folds_end(struct diff *diff)
{
    for (size_t i = 0; diff->folds != NULL && i < FOLDS && diff->folds[i].pattern != NULL; i++) {
        const struct diff_fold *fold = &diff->folds[i];
        if (fold->met > SHOWN_OF_EACH) {
            strbuf_puts(&diff->out, "  and ");
            render_count(&diff->out, fold->met - SHOWN_OF_EACH);
            strbuf_puts(&diff->out, " more of ");
            strbuf_visible(&diff->out, fold->pattern, strlen(fold->pattern));
            strbuf_puts(&diff->out, " (--all)\n");
        }
        free(fold->pattern);
    }
    free(diff->folds);
    diff->folds = NULL;
}
