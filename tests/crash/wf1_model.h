/* What a filesystem should hold, as plainly as it can be said: a list of nodes, each with its parent and its name, and
 * a list of the blocks of 512 bytes that are not zero. It shares no code with the driver. */
#ifndef PLAT_TESTS_CRASH_WF1_MODEL_H
#define PLAT_TESTS_CRASH_WF1_MODEL_H

#include "lib/fs/driver.h"

enum {
    MODEL_NODES = 64,
    MODEL_BLOCKS = 192,
    MODEL_BLOCK_BYTES = 512,
    MODEL_NAMES = 40,
    MODEL_NAME_BYTES = 256
};

struct model_node {
    bool used;
    enum tree_kind kind;
    int parent;     /* index of a node; the root's is 0 */
    unsigned name;  /* number of a name; the root has none */
    uint64_t given; /* the driver's number for it */
    uint32_t mode, uid, gid;
    struct fs_time created, modified;
    uint64_t device;
    uint64_t size_bytes; /* files, and targets of symbolic links */
};
struct model_block {
    int node; /* -1: free */
    uint64_t at;
    uint8_t bytes[MODEL_BLOCK_BYTES];
};
struct model {
    struct model_node nodes[MODEL_NODES]; /* [0]: the root */
    struct model_block blocks[MODEL_BLOCKS];
    uint64_t room_blocks; /* of the region */
};
void model_init(struct model *model, uint64_t root, uint64_t room_blocks);
/* Text of a name: short ones, long ones, bytes that are no UTF-8, control characters. */
void model_name(unsigned name, char ret[MODEL_NAME_BYTES]);
int model_find(const struct model *model, int dir, unsigned name); /* -1: not there */
unsigned model_children(const struct model *model, int dir);
bool model_below(const struct model *model, int node, int dir); /* node is dir, or lies below it */

/* The changes; none of them asks whether it is allowed. -1: there are too many nodes for the model. */
int model_create(struct model *model, int dir, unsigned name, enum tree_kind kind, uint64_t given);
void model_write(struct model *model, int node, uint64_t offset, const uint8_t *bytes, size_t n);
void model_truncate(struct model *model, int node, uint64_t size_bytes);
void model_remove(struct model *model, int node);
/* Removes what is there under the new name. */
void model_rename(struct model *model, int node, int dir, unsigned name);
void model_read(const struct model *model, int node, uint64_t offset, uint8_t *ret, size_t n);

/* ---- digests ----
 * A sum over all nodes, so that a change of one node changes it by what that node's digest changes. */

struct digest_node {
    enum tree_kind kind;
    uint32_t mode, uid, gid;
    struct fs_time created, modified;
    uint64_t device, size_bytes;
    uint64_t content; /* sum of digest_block over its blocks that are not zero */
};
enum { DIGEST_ROOT_PATH = 1 };
uint64_t digest_path(uint64_t dir_path, const void *name, size_t n);
uint64_t digest_block(uint64_t at, const uint8_t bytes[MODEL_BLOCK_BYTES]);
uint64_t digest_node(uint64_t path, const struct digest_node *node);
uint64_t model_digest(const struct model *model);

#endif
