/* Files: matched by path, then what is left by content. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "inspect/diff.h"

struct pair {
    struct diff *diff;
    struct picture_file files[DIFF_SIDES];
    size_t layer;
    int rc;
    struct plat_err *err;
};

static struct picture_content content_of(const struct diff *diff, int side, const struct picture_file *file)
{
    return (struct picture_content){.fs = diff->images[side].stack->layers[file->layer].fs,
                                    .node = file->node,
                                    .bytes = file->stat.size_bytes};
}

/* ---- attributes ---- */

/* "esp:/a:mtime: ... against ..." */
static void report(struct pair *pair, const char *what, const char *a, const char *b)
{
    struct strbuf path = {0};
    if (pair->rc != 0)
        return;
    strbuf_printf(&path, "%s:%s", pair->files[DIFF_A].path, what);
    const struct difference difference = {
        .part = DIFF_FILES, .kind = DIFF_CHANGED, .path = strbuf_str(&path), .value = {a, b}};
    pair->rc = path.failed ? err_nomem(pair->err, "comparing files")
                           : diff_report_in(pair->diff, pair->layer, &difference);
    strbuf_free(&path);
}

static void compare_texts(struct pair *pair, const char *what, const char *a, const char *b)
{
    if (strcmp(a, b) != 0)
        report(pair, what, a, b);
}

static void compare_contents(struct pair *pair)
{
    const struct picture_content a = content_of(pair->diff, DIFF_A, &pair->files[DIFF_A]);
    const struct picture_content b = content_of(pair->diff, DIFF_B, &pair->files[DIFF_B]);
    struct plat_err why = {0};
    bool equal = true;
    uint64_t at = 0;
    char texts[DIFF_SIDES][64];
    if (a.fs->driver->read == NULL || b.fs->driver->read == NULL)
        return;
    const int rc = picture_compare(&a, &b, &equal, &at, &why);
    if (rc == PLAT_ENOMEM) {
        pair->rc = err_nomem(pair->err, "comparing files");
    } else if (rc != 0) {
        report(pair, "content", "cannot be compared", why.text);
    } else if (!equal) {
        (void)snprintf(texts[DIFF_A], sizeof texts[DIFF_A], "%" PRIu64 " byte", a.bytes);
        (void)snprintf(texts[DIFF_B], sizeof texts[DIFF_B],
                       "%" PRIu64 " byte, other from byte %" PRIu64 " on", b.bytes, at);
        report(pair, "content", texts[DIFF_A], texts[DIFF_B]);
    }
}

static int compare_pair(struct pair *pair)
{
    const struct picture_file *a = &pair->files[DIFF_A], *b = &pair->files[DIFF_B];
    const struct fs_stat *x = &a->stat, *y = &b->stat;
    if (a->fault[0] != '\0' || b->fault[0] != '\0') {
        /* Two that cannot be read for the same reason are alike, as far as anybody can tell: their bytes decide. */
        compare_texts(pair, "unreadable", a->fault[0] != '\0' ? a->fault : "readable",
                      b->fault[0] != '\0' ? b->fault : "readable");
        return pair->rc;
    }
    if (x->kind != y->kind) {
        report(pair, "kind", picture_kind(x->kind), picture_kind(y->kind));
        return pair->rc;
    }
    if (x->kind == TREE_FILE)
        compare_contents(pair);
    compare_texts(pair, "target", a->target, b->target);
    struct picture_attribute attributes[DIFF_SIDES][PICTURE_ATTRIBUTES];
    picture_attributes(a, attributes[DIFF_A]);
    picture_attributes(b, attributes[DIFF_B]);
    for (size_t i = 0; i < PICTURE_ATTRIBUTES; i++)
        if (attributes[DIFF_A][i].text[0] != '\0' && attributes[DIFF_B][i].text[0] != '\0')
            compare_texts(pair, attributes[DIFF_A][i].name, attributes[DIFF_A][i].text,
                          attributes[DIFF_B][i].text);
    return pair->rc;
}

/* ---- by content ---- */

/* What only one side has, to be looked for on the other side under another name: key by content, where it has one. */
static int set_aside(struct diff *diff, int side, const struct record_view *view, struct records *to,
                     struct plat_err *err)
{
    struct picture_file file;
    char key[128], hash[65];
    picture_file(view, &file);
    const struct picture_content content = content_of(diff, side, &file);
    struct plat_err why = {0};
    int rc = -1;
    if (file.fault[0] == '\0' && file.stat.kind == TREE_FILE && content.bytes > 0 &&
        content.fs->driver->read != NULL)
        rc = picture_hash(&content, hash, &why);
    if (why.class == PLAT_ENOMEM)
        return err_nomem(err, "comparing files");
    if (rc == 0)
        (void)snprintf(key, sizeof key, "%s", hash);
    else /* nothing of the other side has this key */
        (void)snprintf(key, sizeof key, "%c%s", side == DIFF_A ? '+' : '-', "");
    const struct record_view record = {
        .key = key, .key_bytes = strlen(key), .body = view->body, .body_bytes = view->body_bytes};
    return records_add(to, &record, err);
}

static int report_alone(struct diff *diff, const struct record_view views[DIFF_SIDES])
{
    struct picture_file files[DIFF_SIDES];
    char texts[DIFF_SIDES][64];
    struct difference difference = {.part = DIFF_FILES, .kind = DIFF_MOVED};
    size_t layer = SIZE_MAX;
    for (int side = DIFF_B; side >= DIFF_A; side--) {
        if (views[side].key == NULL)
            continue;
        picture_file(&views[side], &files[side]);
        layer = side == DIFF_A ? files[side].layer : diff->layer_of_b[files[side].layer];
        difference.path = files[side].path;
        (void)snprintf(texts[side], sizeof texts[side], "%s, %" PRIu64 " byte",
                       picture_kind(files[side].stat.kind), files[side].stat.size_bytes);
        difference.value[side] = texts[side];
    }
    if (views[DIFF_A].key == NULL)
        difference.kind = DIFF_ADDED;
    else if (views[DIFF_B].key == NULL)
        difference.kind = DIFF_REMOVED;
    else
        difference.path_b = files[DIFF_B].path;
    return diff_report_in(diff, layer, &difference);
}

static int report_asides(struct diff *diff, struct records *const asides[DIFF_SIDES], struct plat_err *err)
{
    struct records_pair merge = {.sets = {asides[DIFF_A], asides[DIFF_B]}};
    struct record_view views[DIFF_SIDES];
    int rc = records_rewind(asides[DIFF_A], err);
    if (rc == 0)
        rc = records_rewind(asides[DIFF_B], err);
    while (rc == 0 && (rc = records_pair_next(&merge, views, err)) == 0 &&
           (views[DIFF_A].key != NULL || views[DIFF_B].key != NULL))
        rc = report_alone(diff, views);
    return rc;
}

int diff_files(struct diff *diff, struct plat_err *err)
{
    struct records_pair merge = {.sets = {diff->pictures[DIFF_A].files, diff->pictures[DIFF_B].files}};
    struct records *asides[DIFF_SIDES] = {NULL, NULL};
    struct record_view views[DIFF_SIDES];
    int rc = records_open(&asides[DIFF_A], err);
    if (rc == 0)
        rc = records_open(&asides[DIFF_B], err);
    while (rc == 0 && (rc = records_pair_next(&merge, views, err)) == 0 &&
           (views[DIFF_A].key != NULL || views[DIFF_B].key != NULL)) {
        struct pair pair = {.diff = diff, .err = err};
        for (int side = 0; side < DIFF_SIDES; side++)
            if (views[side].key != NULL && views[!side].key == NULL)
                rc = set_aside(diff, side, &views[side], asides[side], err);
        if (views[DIFF_A].key == NULL || views[DIFF_B].key == NULL)
            continue;
        picture_file(&views[DIFF_A], &pair.files[DIFF_A]);
        picture_file(&views[DIFF_B], &pair.files[DIFF_B]);
        pair.layer = pair.files[DIFF_A].layer;
        rc = compare_pair(&pair);
    }
    if (rc == 0)
        rc = report_asides(diff, asides, err);
    records_close(asides[DIFF_A]);
    records_close(asides[DIFF_B]);
    return rc;
}
