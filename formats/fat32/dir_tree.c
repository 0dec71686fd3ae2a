/* Every directory of a volume, depth first, without recursion and without visiting any cluster twice.
 *
 *     visit /            pending:  EFI  loader            (names and clusters; in reverse, so that the last
 * is first) visit /EFI         pending:  BOOT systemd | loader visit /EFI/BOOT    ...
 *
 * The path of the directory at hand is kept in one buffer. What waits remembers how much of it belongs to its
 * parent: all that wait above it are deeper or siblings, so that part is still intact when its turn comes. */
#include "formats/fat32/volume.h"

#include <stdlib.h>

struct pending {
    uint32_t first_cluster;
    uint32_t parent_cluster;
    uint64_t entry_offset;
    uint32_t entry_slot;
    size_t parent_path_bytes;
    size_t name_start; /* in struct traversal's names */
    unsigned depth;
};

struct traversal {
    struct volume *vol;
    struct cluster_set seen;
    struct dir dir;
    struct strbuf path;
    struct strbuf names; /* of what is pending, in the order of the stack */
    struct strbuf batch; /* of the children of one directory, in the order of their entries */
    struct pending *stack;
    size_t n, cap;
    struct dir_entry entry;
};

static int traversal_push(struct traversal *t, const struct pending *item, const char *name,
                          struct plat_err *err)
{
    if (t->n == FAT_MAX_PENDING_DIRS)
        return err_set(err, PLAT_ELIMIT,
                       "more than %d directories wait to be visited; the tree is not plausible",
                       FAT_MAX_PENDING_DIRS);
    if (t->n == t->cap) {
        size_t cap = t->cap == 0 ? 64 : t->cap * 2;
        struct pending *stack = realloc(t->stack, cap * sizeof *stack);
        if (stack == NULL)
            return err_nomem(err, "visiting directories");
        t->stack = stack;
        t->cap = cap;
    }
    t->stack[t->n] = *item;
    t->stack[t->n].name_start = t->batch.len;
    strbuf_puts(&t->batch, name);
    strbuf_putc(&t->batch, '\0');
    if (t->batch.failed)
        return err_nomem(err, "visiting directories");
    t->n++;
    return 0;
}

/* The subdirectories of the directory at hand become pending, the first of them on top. */
static int traversal_push_children(struct traversal *t, unsigned depth, bool is_root, struct plat_err *err)
{
    size_t first = t->n;
    strbuf_truncate(&t->batch, 0);
    struct dir_parser parser = {.dir = &t->dir};
    int rc;
    while ((rc = dir_next(&parser, &t->entry, err)) == 1) {
        const struct dir_entry *entry = &t->entry;
        if (entry->kind != SLOT_NODE || !entry->is_dir)
            continue;
        struct pending item = {
            .first_cluster = entry->first_cluster,
            .parent_cluster = is_root ? 0 : t->dir.first_cluster,
            .entry_offset = dir_slot_offset(t->vol, &t->dir, entry->slot),
            .entry_slot = entry->slot,
            .parent_path_bytes = is_root ? 0 : t->path.len,
            .depth = depth + 1,
        };
        rc = traversal_push(t, &item, entry->name, err);
        if (rc != 0)
            return rc;
    }
    for (size_t i = first, j = t->n; i + 1 < j; i++) {
        j--;
        struct pending swap = t->stack[i];
        t->stack[i] = t->stack[j];
        t->stack[j] = swap;
    }
    for (size_t i = first; i < t->n; i++) {
        const char *name = t->batch.s + t->stack[i].name_start;
        t->stack[i].name_start = t->names.len;
        strbuf_add(&t->names, name, strlen(name) + 1);
    }
    if (rc == 0 && t->names.failed)
        rc = err_nomem(err, "visiting directories");
    return rc;
}

static int traversal_visit(struct traversal *t, const struct pending *item, dir_visit_fn fn, void *ctx,
                           struct plat_err *err)
{
    int rc = 0;
    bool is_root = item->depth == 0;
    if (item->depth > FAT_MAX_DEPTH || t->path.len > FAT_MAX_PATH_BYTES) {
        t->dir.first_cluster = item->first_cluster;
        t->dir.n_bytes = 0;
        t->dir.n_pieces = 0;
        t->dir.n_slots = 0;
        t->dir.fault = DIR_TOO_DEEP;
    } else {
        rc = dir_load(t->vol, item->first_cluster, &t->seen, &t->dir, err);
    }
    if (rc != 0)
        return rc;
    struct dir_visit visit = {
        .path = is_root ? "/" : strbuf_str(&t->path),
        .path_bytes = is_root ? 1 : t->path.len,
        .dir = &t->dir,
        .is_root = is_root,
        .parent_cluster = item->parent_cluster,
        .entry_offset = item->entry_offset,
        .entry_slot = item->entry_slot,
        .parent_path_bytes = item->parent_path_bytes,
    };
    rc = fn(ctx, &visit);
    if (rc != 0)
        return rc;
    return traversal_push_children(t, item->depth, is_root, err);
}

int dir_tree_visit(struct volume *vol, dir_visit_fn fn, void *ctx, struct plat_err *err)
{
    struct traversal t = {.vol = vol};
    int rc = cluster_set_open(vol, &t.seen, err);
    if (rc != 0)
        return rc;
    struct pending root = {.first_cluster = vol->geo.root_cluster};
    rc = traversal_visit(&t, &root, fn, ctx, err);
    while (rc == 0 && t.n > 0) {
        struct pending item = t.stack[--t.n];
        const char *name = t.names.s + item.name_start;
        strbuf_truncate(&t.path, item.parent_path_bytes);
        strbuf_putc(&t.path, '/');
        strbuf_puts(&t.path, name);
        strbuf_truncate(&t.names, item.name_start);
        if (t.path.failed) {
            rc = err_nomem(err, "visiting directories");
            break;
        }
        rc = traversal_visit(&t, &item, fn, ctx, err);
    }
    cluster_set_close(&t.seen);
    dir_free(&t.dir);
    strbuf_free(&t.path);
    strbuf_free(&t.names);
    strbuf_free(&t.batch);
    free(t.stack);
    return rc;
}

void dir_child_path(const struct dir_visit *visit, const char *name, struct strbuf *ret)
{
    strbuf_truncate(ret, 0);
    if (!visit->is_root)
        strbuf_add(ret, visit->path, visit->path_bytes);
    strbuf_putc(ret, '/');
    strbuf_puts(ret, name);
}
