/* The queue of the directory sink: small jobs, each of which a thread does by itself.
 *
 *     walk (the caller's thread)              threads                 the caller's thread, in order
 *     directories are made, the rest    -->   files, links,     -->   hard links; directories get their attributes
 *     goes into batches of items              special files           and names; what is to be said is said
 *
 * An item's turn comes when all before it are done, so "all in this directory is done" is an item as well, and
 * neither what is made nor what is printed depends on the number of threads. Memory: par_jobs(threads) batches of 64 items, a
 * buffer of 1 MiB for each thread, and a name for each node that has several. Large files go in pieces, holes not at all. */
#ifndef PLAT_INSPECT_EXTRACT_QUEUE_H
#define PLAT_INSPECT_EXTRACT_QUEUE_H

#include <stdatomic.h>

#include "inspect/extract_links.h"
#include "lib/par/par.h"

enum { BATCH_ITEMS = 64, BATCH_BYTES = 1 << 20 };

#define NO_PATH SIZE_MAX /* no memory for it */

enum item_kind {
    ITEM_REFUSED, /* said in its turn */
    ITEM_ENTERED, /* a directory that was made: to be named */
    ITEM_MAKE,    /* the threads' ... */
    ITEM_PIECE,   /* ... too */
    ITEM_WHOLE,   /* all pieces of a large file are there */
    ITEM_LINK,    /* another name of what has been made */
    ITEM_LEFT     /* all in a directory is done */
};
/* A file in pieces. */
struct large {
    struct fresh_file file;
    struct plat_err why;
    int rc;
    bool full;
    atomic_bool failed; /* set in order: the pieces that follow are not worth the work */
};
struct item {
    enum item_kind kind;
    struct place *dir;
    size_t path_at; /* in the batch's text */
    uint64_t node;
    struct fs_stat stat;
    bool has_stat; /* ITEM_LEFT */
    struct first_name *first;
    struct large *large;
    struct range piece;
    int rc;
    bool full;
    struct plat_err *why; /* owned; NULL with rc != 0: no memory even for that */
};
struct batch {
    struct item items[BATCH_ITEMS];
    size_t n;
    uint64_t bytes;
    struct strbuf text;
    uint64_t xattrs_denied, xattrs_unknown;
};
struct dir_sink {
    struct extract_sink sink; /* first */
    const struct extract_options *options;
    struct extract_host host;
    struct par *par;
    struct batch *batch; /* that is being filled; NULL: none */
    struct maker maker;  /* the caller's thread's */
    struct place *root, *dir;
    struct fs_stat root_stat;
    uint64_t root_node;
    bool has_root_stat;
    struct first_names firsts;
    size_t n_open, open_max; /* descriptors of places and large files */
    uint64_t xattrs_denied, xattrs_unknown, copies;
    bool stopping, discard, locked;
};

/* ---- extract_queue.c ---- */

/* What the pipeline wants; its ctx is the sink. */
extern const struct par_ops queue_par_ops;
/* A new item at the end, to be filled and then to be added. Takes what is done where there is no room. */
struct item *queue_item(struct dir_sink *s, enum item_kind kind, struct place *dir, const char *path);
/* bytes: how much work it is. PLAT_ESTOP when nothing more is to come. */
int queue_add(struct dir_sink *s, uint64_t bytes, struct plat_err *err);
/* What is there goes to the threads; the turn of the oldest batch; of all. */
void queue_flush(struct dir_sink *s);
void queue_take(struct dir_sink *s);
void queue_drain(struct dir_sink *s);
/* "" where there was no memory for it. */
const char *item_path(const struct batch *batch, const struct item *item);
struct made item_made(const struct batch *batch, const struct item *item);
void item_fail(struct item *item, int rc, const struct plat_err *why);

/* ---- extract_turn.c ---- */

/* An item whose turn it is: the threads are done with it, and all before it is over. */
void finish_item(struct dir_sink *s, const struct batch *batch, struct item *item);
/* The target takes no more. */
void stop_when_full(struct dir_sink *s, bool full);

#endif
