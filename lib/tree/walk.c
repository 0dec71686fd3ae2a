/* Looking at a whole tree: order, paths, totals, identity, overrides. */
#include "lib/tree/private.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/hash/hash.h"

struct tree_node *tree_next(const struct tree_node *node)
{
    if (node->child != NULL)
        return node->child;
    while (node != NULL && node->next == NULL)
        node = node->parent;
    return node != NULL ? node->next : NULL;
}

/* ---- paths ---- */

int tree_path(const struct tree_node *node, char *buf, size_t buf_bytes)
{
    size_t need = 0;
    for (const struct tree_node *n = node; n->parent != NULL; n = n->parent)
        need += 1 + strlen(n->name);
    if (need == 0)
        need = 1;
    if (need >= buf_bytes) {
        if (buf_bytes > 0)
            buf[0] = '\0';
        return PLAT_ELIMIT;
    }
    buf[0] = '/';
    buf[need] = '\0';
    char *end = buf + need;
    for (const struct tree_node *n = node; n->parent != NULL; n = n->parent) {
        size_t bytes = strlen(n->name);
        end -= bytes;
        memcpy(end, n->name, bytes);
        *--end = '/';
    }
    return 0;
}

void tree_visible(const char *s, size_t n, char ret[TREE_LABEL_BYTES])
{
    struct strbuf sb = {0};
    if (n > TREE_LABEL_BYTES) {
        s += n - TREE_LABEL_BYTES;
        n = TREE_LABEL_BYTES;
    }
    strbuf_visible(&sb, s, n);
    const char *text = strbuf_str(&sb);
    size_t room = TREE_LABEL_BYTES - 8;
    if (sb.len > room)
        (void)snprintf(ret, TREE_LABEL_BYTES, "...%s", text + (sb.len - room));
    else
        (void)snprintf(ret, TREE_LABEL_BYTES, "%s", text);
    strbuf_free(&sb);
}

void tree_label(const struct tree_node *node, char ret[TREE_LABEL_BYTES])
{
    /* The last names only: enough for a label, and no memory is needed for a path of any length. */
    char tail[TREE_LABEL_BYTES + 1];
    size_t at = sizeof tail;
    for (const struct tree_node *n = node; n->parent != NULL && at > 0; n = n->parent) {
        size_t bytes = strlen(n->name);
        size_t keep = bytes < at ? bytes : at;
        at -= keep;
        memcpy(tail + at, n->name + (bytes - keep), keep);
        if (at > 0 && n->parent->parent != NULL)
            tail[--at] = '/';
    }
    if (at == sizeof tail)
        tail[--at] = '/';
    tree_visible(tail + at, sizeof tail - at, ret);
}

int tree_blame(const struct tree_node *node, struct plat_err *err)
{
    char label[TREE_LABEL_BYTES];
    tree_label(node, label);
    return err_prefix(err, "'%s'", label);
}

/* ---- totals and identity ---- */

void tree_totals(const struct tree *tree, struct tree_totals *ret)
{
    struct tree_totals totals = {0};
    for (const struct tree_node *n = tree->root; n != NULL; n = tree_next(n)) {
        if (n->kind == TREE_DIR) {
            totals.n_dirs++;
        } else if (n->kind == TREE_FILE) {
            totals.n_files++;
            totals.data_bytes += n->size_bytes;
        } else {
            totals.n_others++;
        }
    }
    *ret = totals;
}

struct digest {
    uint8_t block[8192]; /* begins with the hash of all earlier blocks */
    size_t used;
};

static void digest_close_block(struct digest *d)
{
    uint8_t sum[HASH_SHA256_BYTES];
    hash_sha256(d->block, d->used, sum);
    memcpy(d->block, sum, sizeof sum);
    d->used = sizeof sum;
}

static void digest_add(struct digest *d, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n > 0) {
        if (d->used == sizeof d->block)
            digest_close_block(d);
        size_t room = sizeof d->block - d->used;
        size_t step = n < room ? n : room;
        memcpy(d->block + d->used, p, step);
        d->used += step;
        p += step;
        n -= step;
    }
}

static void digest_number(struct digest *d, uint64_t value)
{
    uint8_t bytes[8];
    store_le64(bytes, value);
    digest_add(d, bytes, sizeof bytes);
}

void tree_digest(const struct tree *tree, bool with_owner, char ret[65])
{
    struct digest d = {.used = HASH_SHA256_BYTES};
    size_t depth = 0;
    const struct tree_node *before = tree->root;
    for (const struct tree_node *n = tree_next(before); n != NULL; before = n, n = tree_next(n)) {
        /* Depth and name stand for the path. */
        if (n->parent == before) {
            depth++;
        } else {
            for (; before->parent != n->parent; before = before->parent)
                depth--;
        }
        digest_number(&d, depth);
        digest_add(&d, n->name, strlen(n->name) + 1);
        digest_number(&d, (uint64_t)n->kind | (uint64_t)n->attributes << 8);
        digest_number(&d, n->size_bytes);
        digest_number(&d, (uint64_t)n->mtime_s);
        digest_number(&d, n->mtime_ns);
        if (with_owner) {
            digest_number(&d, n->mode);
            digest_number(&d, (uint64_t)n->uid << 32 | n->gid);
        }
        if (n->kind == TREE_SYMLINK)
            digest_add(&d, n->from.literal, n->size_bytes);
        else if (n->kind == TREE_CHAR || n->kind == TREE_BLOCK)
            digest_number(&d, n->from.device);
    }
    digest_close_block(&d);
    for (size_t i = 0; i < HASH_SHA256_BYTES; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", d.block[i]);
}

/* ---- patterns ---- */

static void override_node(struct tree_node *node, const struct tree_override *o)
{
    if (o->has_mode)
        node->mode = o->mode & 07777;
    if (o->has_uid)
        node->uid = o->uid;
    if (o->has_gid)
        node->gid = o->gid;
    if (o->has_attributes)
        node->attributes = o->attributes;
    if (o->has_mtime) {
        node->mtime_s = o->mtime_s;
        node->mtime_ns = 0;
    }
}

int tree_apply_override(struct tree *tree, const struct tree_override *override, struct plat_err *err)
{
    const char *pattern = override->pattern;
    while (*pattern == '/')
        pattern++;
    struct strbuf path = {0};
    size_t n_matches = 0;
    for (struct tree_node *n = tree->root; n != NULL;) {
        if (!path.failed && glob_match(pattern, strbuf_str(&path))) {
            override_node(n, override);
            n_matches++;
        }
        struct tree_node *next = tree_next(n);
        if (next != NULL && next->parent != n) {
            /* Up to the sibling's directory: one name and its '/' for every step. */
            for (const struct tree_node *up = n; up != next->parent && up->parent != NULL; up = up->parent) {
                size_t cut = strlen(up->name) + (up->parent->parent != NULL);
                strbuf_truncate(&path, path.len - cut);
            }
        }
        if (next != NULL) {
            if (next->parent->parent != NULL)
                strbuf_putc(&path, '/');
            strbuf_puts(&path, next->name);
        }
        if (path.failed)
            break;
        n = next;
    }
    bool failed = path.failed;
    strbuf_free(&path);
    if (failed)
        return err_nomem(err, "applying overrides");
    if (n_matches == 0)
        return err_set(err, PLAT_ENOTFOUND,
                       "nothing matches '%s': patterns are paths inside the image, as in "
                       "'EFI/BOOT/*.EFI' or '**/*.sh'",
                       override->pattern);
    return 0;
}
