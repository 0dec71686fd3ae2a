/* Files inside an image, for ls, cat and extract: finding them, listing directories, walking trees.
 *
 * Trees come from images that nobody has checked: a directory may contain itself. A walk enters each
 * directory once, where it is nearest to the root, and not deeper than TREE_MAX_DEPTH. */
#ifndef PLAT_INSPECT_FILES_H
#define PLAT_INSPECT_FILES_H

#include "inspect/open.h"
#include "lib/fs/stack.h"

enum { FILES_MAX_ENTRIES = 1 << 24, FILES_READ_BYTES = 1 << 20 };
/* Bits of fs_stat.attributes and tree_node.attributes. */
enum { FILE_READ_ONLY = 1, FILE_HIDDEN = 2, FILE_SYSTEM = 4 };

struct file_entry {
    const char *name; /* owned by the listing */
    uint64_t node;
    enum tree_kind kind;
    bool met; /* a directory that a walk has met before, elsewhere */
};
/* A directory's entries, bytewise by name. Zero-initialise; listing_free. */
struct listing {
    struct file_entry *entries;
    size_t n, cap;
    struct strbuf names;
};
int listing_read(struct fs *fs, uint64_t dir, struct listing *ret, struct plat_err *err);
void listing_free(struct listing *listing);

/* Where a path as typed leads: the filesystem and the node. `text` may be "" or "/" for the root; "EFI/BOOT"
 * without the leading '/' is understood as well. *ret_path: the path inside the filesystem without leading,
 * trailing and doubled '/' and without "." ("" for the root); zero-initialise it, strbuf_free. */
struct file_place {
    struct stack_layer *layer;
    uint64_t node;
    struct fs_stat stat;
};
int file_find(const struct inspect_image *image, const char *text, struct strbuf *ret_path,
              struct file_place *ret, struct plat_err *err);

/* Why a name cannot be given to a file outside the image ("it is '..'"); NULL when it can. */
const char *file_name_fault(const char *name);

/* Nodes that were seen. Zero-initialise; node_set_free. */
struct node_set {
    uint64_t *slots; /* node + 1; 0: free */
    size_t n, cap;
};
/* *ret_added is false when it was there. */
int node_set_add(struct node_set *set, uint64_t node, bool *ret_added, struct plat_err *err);
void node_set_free(struct node_set *set);

/* One thing met on a walk. */
struct file_visit {
    const char *path; /* inside the filesystem, without leading '/' */
    const char *name;
    uint64_t node;
    enum tree_kind kind;
    unsigned depth; /* 0: what the walk began with */
    bool met;       /* a directory that was met before: it is not entered */
    bool again;     /* the name before it in its directory is the same */
};
struct file_walk {
    void *ctx;
    /* A directory before and after its entries. enter: 1 skips it. NULL: nothing to do. */
    int (*enter)(void *ctx, const struct file_visit *visit);
    int (*leave)(void *ctx, const struct file_visit *visit);
    int (*entry)(void *ctx, const struct file_visit *visit); /* everything but directories */
    /* Something cannot be read or entered; a non-zero return ends the walk. */
    int (*trouble)(void *ctx, const struct file_visit *visit, const struct plat_err *why);
    struct node_set *seen; /* directories met; the caller frees it */
};
/* Everything from `first` down, in bytewise order of names. Returns what a callback returned. */
int file_walk(struct fs *fs, const struct file_visit *first, const struct file_walk *walk,
              struct plat_err *err);

#endif
