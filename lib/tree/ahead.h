/* Reads small files ahead of whoever stores them: several threads open and read, one consumer takes the contents in
 * its own order. What comes out is the same with any number of threads; only the waiting differs.
 *
 * Use: tree_ahead_open once the order is settled; then for each file of that order tree_ahead_take, and a tree_reader
 * where it gives NULL; tree_ahead_close. The consumer may use its own tree_readers meanwhile. */
#ifndef PLAT_LIB_TREE_AHEAD_H
#define PLAT_LIB_TREE_AHEAD_H

#include "lib/tree/tree.h"

enum {
    TREE_AHEAD_FILE_BYTES = 32 * 1024,   /* larger files are left to tree_reader */
    TREE_AHEAD_BATCH_BYTES = 128 * 1024, /* what a thread reads at a time */
    TREE_AHEAD_BATCH_FILES = 64,
    TREE_AHEAD_BATCHES = 8, /* so 1 MiB in all */
    TREE_AHEAD_THREADS = 4  /* at most; one for each processor */
};

struct tree_ahead;
/* The next file of the consumer's order, NULL at the end (and from then on). Called from other threads, but never
 * from two at once. */
typedef const struct tree_node *tree_ahead_next(void *ctx);

/* Worth its threads from about a hundred small files on. Where no thread can be started the files are not read ahead,
 * and tree_ahead_take always gives NULL. */
int tree_ahead_open(const struct tree *tree, tree_ahead_next *next, void *ctx, struct tree_ahead **ret,
                    struct plat_err *err);
/* The content of the next file of the order, valid until the next call; NULL when it is none that is read ahead.
 * Fails as tree_reader does, at the file that cannot be read. */
int tree_ahead_take(struct tree_ahead *ahead, const struct tree_node *node, const uint8_t **ret,
                    struct plat_err *err);
/* Stops the threads. NULL is allowed. */
void tree_ahead_close(struct tree_ahead *ahead);

#endif
