/* Going through everything in a CAPOSWF1, each byte once.
 *
 *     superblock, copy         instances     where no power cut tore them
 *     node_pointers[k]         instances     pointer blocks of the node table, from its root down
 *     nodes[i]                 instances     records
 *     maps[i][k]               instances     blocks of extents or branches of node i, from the top down
 *     names[i][k]              instances     names in directory i, in order of their hashes
 *     bitmap_pointers[k], bitmap[k]          instances
 *     ... and the same with METADATA for their blocks
 *     "/usr/share/x"           DATA          extents of a file, in its order
 *     "/usr/share/x"           PADDING       behind its end
 *     free                     FREE          blocks that the bitmap has as free
 *     unknown                  PADDING       used, says the bitmap, but nothing readable refers to it
 *     outside                  PADDING       not in the region: zeros, or another's (a store)
 *
 * A block that several things refer to, on a damaged image, belongs to the first. Memory: 1 bit a block, 1 bit a node,
 * and a kilobyte for each level of directories. */
#ifndef PLAT_FORMATS_CAPOSWF1_WALK_H
#define PLAT_FORMATS_CAPOSWF1_WALK_H

#include "formats/caposwf1/volume.h"

enum { WF1_WALK_PATH_BYTES = 64 };

struct walk {
    struct volume *vol;
    struct wf1_reader *reader;
    const struct walk_sink *sink;
    uint8_t *claimed; /* blocks of the region that belong to something already */
    bool instances;   /* those of the tree that is gone through are wanted */
    uint64_t n_pointers;
    uint64_t position; /* of the next extent in its file */
    struct plat_err *err;
};

bool wf1_walk_wants(const struct walk *walk, const char *path);
int wf1_walk_extent(struct walk *walk, enum extent_kind kind, const char *path, uint64_t start, uint64_t end);
/* Claims a block and reads it, with METADATA for it. NULL: it cannot be read, or belongs to something already. */
int wf1_walk_block(struct walk *walk, struct wf1_pointer at, const char *path, const uint8_t **ret);
int wf1_walk_instance(struct walk *walk, const char *type, const uint8_t *bytes, size_t n, uint64_t offset,
                      const char *path, uint64_t index);
/* A block of records, with what is below them. */
int wf1_walk_records(struct walk *walk, uint64_t first_number, const uint8_t *bytes, uint64_t offset);
/* Contents by the paths of their files. */
int wf1_walk_contents(struct walk *walk);

#endif
