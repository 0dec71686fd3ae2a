#include "inspect/files.h"

#include <stdlib.h>
#include <string.h>

/* ---- listings ---- */

struct gathering {
    struct listing *listing;
    struct plat_err *err;
};

static int gather(void *ctx, const struct fs_dirent *entry)
{
    struct gathering *g = ctx;
    struct listing *listing = g->listing;
    if (listing->n == FILES_MAX_ENTRIES)
        return err_set(g->err, PLAT_ELIMIT, "a directory has more than %d entries", FILES_MAX_ENTRIES);
    if (listing->n == listing->cap) {
        size_t cap = listing->cap == 0 ? 64 : listing->cap * 2;
        struct file_entry *entries = reallocarray(listing->entries, cap, sizeof *entries);
        if (entries == NULL)
            return err_nomem(g->err, "reading a directory");
        listing->entries = entries;
        listing->cap = cap;
    }
    strbuf_puts(&listing->names, entry->name);
    strbuf_putc(&listing->names, '\0');
    listing->entries[listing->n++] = (struct file_entry){.node = entry->node, .kind = entry->kind};
    return listing->names.failed ? err_nomem(g->err, "reading a directory") : 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct file_entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order != 0)
        return order;
    return x->node < y->node ? -1 : x->node > y->node;
}

int listing_read(struct fs *fs, uint64_t dir, struct listing *ret, struct plat_err *err)
{
    struct plat_err inner = {0};
    struct gathering gathering = {.listing = ret, .err = &inner};
    struct plat_err why = {0};
    if (fs->driver->readdir == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "%s has no directories", fs->driver->title);
    int r = fs->driver->readdir(fs, dir, gather, &gathering, &why);
    if (ret->names.failed) /* the last entry's name is not there */
        listing_free(ret);
    if (r != 0 && err != NULL)
        *err = inner.class != 0 ? inner : why;
    /* The names lie one behind the other; only now do they stay where they are. Of a directory that cannot be read to its
     * end this holds for what was read. */
    const char *name = strbuf_str(&ret->names);
    for (size_t i = 0; i < ret->n; i++) {
        ret->entries[i].name = name;
        name += strlen(name) + 1;
    }
    if (ret->n > 0)
        qsort(ret->entries, ret->n, sizeof *ret->entries, compare_entries);
    return r;
}

void listing_free(struct listing *listing)
{
    free(listing->entries);
    strbuf_free(&listing->names);
    *listing = (struct listing){0};
}

/* ---- paths ---- */

/* "//a/./b/" becomes "a/b". */
static int tidy_path(const char *text, struct strbuf *ret, struct plat_err *err)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "/");
        if (n > 0 && !(n == 1 && text[0] == '.')) {
            if (ret->len > 0)
                strbuf_putc(ret, '/');
            strbuf_add(ret, text, n);
        }
        text += n;
        text += *text == '/';
    }
    return ret->failed ? err_nomem(err, "reading a path") : 0;
}

int file_find(const struct inspect_image *image, const char *text, struct strbuf *ret_path,
              struct file_place *ret, struct plat_err *err)
{
    struct file_place place = {0};
    const char *inside = inspect_file_path(image, text, &place.layer);
    int r = 0;
    if (inside == NULL || place.layer == NULL)
        r = stack_filesystem(image->stack, &place.layer, err);
    if (inside == NULL)
        inside = text;
    if (r != 0)
        return r;
    struct fs *fs = place.layer->fs;
    if (fs == NULL || fs->driver->readdir == NULL || fs->driver->stat == NULL) {
        if (fs == NULL && place.layer->err.class != 0 && err != NULL)
            *err = place.layer->err;
        else
            (void)err_set(err, PLAT_EUNSUPPORTED, "%s holds no files", inspect_layer_title(place.layer));
        return fs == NULL && place.layer->err.class != 0 ? place.layer->err.class : PLAT_EUNSUPPORTED;
    }
    r = tidy_path(inside, ret_path, err);
    if (r == 0)
        r = fs_resolve(fs, strbuf_str(ret_path), &place.node, err);
    if (r == 0)
        r = fs->driver->stat(fs, place.node, &place.stat, err);
    if (r == 0)
        *ret = place;
    return r;
}

const char *file_name_fault(const char *name)
{
    if (name[0] == '\0')
        return "it is empty";
    if (strcmp(name, ".") == 0)
        return "it is '.', the directory itself";
    if (strcmp(name, "..") == 0)
        return "it is '..', the directory above";
    if (strchr(name, '/') != NULL)
        return "there is a '/' in it";
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (*c < 0x20 || *c == 0x7f || c1)
            return "there is a control character in it";
    }
    return NULL;
}

/* ---- sets of nodes ---- */

static size_t node_slot(const struct node_set *set, uint64_t node)
{
    uint64_t hash = (node + 1) * 0x9E3779B97F4A7C15u;
    size_t slot = (size_t)(hash >> 20) & (set->cap - 1);
    while (set->slots[slot] != 0 && set->slots[slot] != node + 1)
        slot = (slot + 1) & (set->cap - 1);
    return slot;
}

int node_set_add(struct node_set *set, uint64_t node, bool *ret_added, struct plat_err *err)
{
    if (2 * (set->n + 1) > set->cap) {
        struct node_set grown = {.cap = set->cap == 0 ? 256 : set->cap * 2, .n = set->n};
        grown.slots = calloc(grown.cap, sizeof *grown.slots);
        if (grown.slots == NULL)
            return err_nomem(err, "remembering directories");
        for (size_t i = 0; i < set->cap; i++)
            if (set->slots[i] != 0)
                grown.slots[node_slot(&grown, set->slots[i] - 1)] = set->slots[i];
        free(set->slots);
        *set = grown;
    }
    size_t slot = node_slot(set, node);
    *ret_added = set->slots[slot] == 0;
    set->n += *ret_added;
    set->slots[slot] = node + 1;
    return 0;
}

void node_set_free(struct node_set *set)
{
    free(set->slots);
    *set = (struct node_set){0};
}

/* ---- walks ---- */

struct walking {
    struct fs *fs;
    const struct file_walk *walk;
    struct strbuf path;
    struct plat_err *err;
};

static int trouble(const struct walking *w, const struct file_visit *visit, const struct plat_err *why)
{
    if (why->class == PLAT_ENOMEM) {
        if (w->err != NULL)
            *w->err = *why;
        return why->class;
    }
    return w->walk->trouble(w->walk->ctx, visit, why);
}

static int walk_from(struct walking *w, const struct file_visit *visit);

static int walk_children(struct walking *w, const struct file_visit *dir)
{
    struct listing listing = {0};
    struct plat_err why = {0};
    size_t outer = w->path.len;
    int r = 0;
    if (listing_read(w->fs, dir->node, &listing, &why) != 0)
        r = trouble(w, dir, &why);
    /* All of them are claimed before any is entered: one that holds its parent must not take its siblings
     * along. */
    for (size_t i = 0; r == 0 && i < listing.n; i++) {
        bool fresh = true;
        if (listing.entries[i].kind == TREE_DIR)
            r = node_set_add(w->walk->seen, listing.entries[i].node, &fresh, w->err);
        listing.entries[i].met = !fresh;
    }
    for (size_t i = 0; r == 0 && i < listing.n; i++) {
        const struct file_entry *entry = &listing.entries[i];
        if (outer > 0)
            strbuf_putc(&w->path, '/');
        strbuf_puts(&w->path, entry->name);
        if (w->path.failed) {
            r = err_nomem(w->err, "walking a tree");
            break;
        }
        const struct file_visit visit = {.path = strbuf_str(&w->path),
                                         .name = entry->name,
                                         .node = entry->node,
                                         .kind = entry->kind,
                                         .depth = dir->depth + 1,
                                         .met = entry->met,
                                         .again = i > 0 && strcmp(entry[-1].name, entry->name) == 0};
        r = walk_from(w, &visit);
        strbuf_truncate(&w->path, outer);
    }
    listing_free(&listing);
    return r;
}

static int walk_dir(struct walking *w, const struct file_visit *visit)
{
    const struct file_walk *walk = w->walk;
    struct plat_err why = {0};
    if (visit->met || visit->depth > TREE_MAX_DEPTH) {
        (void)err_set(&why, PLAT_ECORRUPT,
                      visit->met ? "not entered again: this directory was met before, elsewhere in the tree"
                                 : "not entered: it lies deeper than %d directories",
                      TREE_MAX_DEPTH);
        return trouble(w, visit, &why);
    }
    int r = walk->enter != NULL ? walk->enter(walk->ctx, visit) : 0;
    if (r != 0)
        return r > 0 ? 0 : r;
    r = walk_children(w, visit);
    if (r == 0 && walk->leave != NULL) {
        /* The path may have moved while it grew. */
        struct file_visit left = *visit;
        left.path = strbuf_str(&w->path);
        r = walk->leave(walk->ctx, &left);
    }
    return r;
}

static int walk_from(struct walking *w, const struct file_visit *visit)
{
    if (visit->kind == TREE_DIR)
        return walk_dir(w, visit);
    int r = w->walk->entry(w->walk->ctx, visit);
    return r > 0 ? 0 : r;
}

int file_walk(struct fs *fs, const struct file_visit *first, const struct file_walk *walk,
              struct plat_err *err)
{
    struct walking w = {.fs = fs, .walk = walk, .err = err};
    struct file_visit visit = *first;
    strbuf_puts(&w.path, first->path);
    visit.path = strbuf_str(&w.path);
    bool fresh;
    int r =
        w.path.failed ? err_nomem(err, "walking a tree") : node_set_add(walk->seen, first->node, &fresh, err);
    if (r == 0)
        r = walk_from(&w, &visit);
    strbuf_free(&w.path);
    return r;
}
