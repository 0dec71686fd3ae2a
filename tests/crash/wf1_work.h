/* The workloads of the power cuts over a CAPOSWF1, and what its images look like; wf1_work.c makes the changes, both to
 * the filesystem and to the model, and caposwf1.c judges what a cut leaves. */
#ifndef PLAT_TESTS_CRASH_WF1_WORK_H
#define PLAT_TESTS_CRASH_WF1_WORK_H

#include "formats/caposwf1/writer.h"
#include "tests/crash/crash.h"
#include "tests/crash/wf1_model.h"

enum { STRANGER = 0xA5, PICKED_SEEDS = 28 };
/* Seeds / 4: a region that outgrows one block of bits when it grows, and a node table that outgrows one level. */
enum { LARGE_GROUP = 6, LARGE_BLOCKS = WF1_BITS - 10 };

/* What an image of this seed is like: its filesystem, and the blocks behind that. */
struct wf1_setting {
    struct wf1_shape shape;
    uint64_t image_blocks;
    bool grows; /* the blocks behind the region are for wf1_grow */
};
struct wf1_setting wf1_setting_of(uint64_t seed);

struct session {
    struct crash_run *run; /* NULL: nobody records */
    struct volume *vol;
    struct fs *fs; /* of vol */
    const struct fs_writer *writer;
    struct model *model;     /* what is staged */
    struct model *committed; /* what is stored */
    uint64_t random;
    uint64_t image_bytes;
    unsigned full; /* changes that were refused for want of room */
    struct plat_err *err;
};
/* One step of the workload each, in the filesystem and in the model, which must agree on whether it is allowed. A node is
 * an index in the model. What has no room is no failure, and changes nothing. */
int step_create(struct session *s, int dir, unsigned name, enum tree_kind kind, int *ret);
int step_write(struct session *s, int node, uint64_t offset, size_t n, uint64_t pattern);
int step_truncate(struct session *s, int node, uint64_t size_bytes);
int step_rename(struct session *s, int node, int dir, unsigned name);
int step_remove(struct session *s, int node);
int step_set(struct session *s, int node);
/* The attributes, and some bytes or all names. */
int step_read(struct session *s, int node);
int step_commit(struct session *s);
int step_finish(struct session *s);
int step_grow(struct session *s);
int step_random(struct session *s);

/* A workload with sessions of random steps, or a hand-picked one (seeds below PICKED_SEEDS). */
int wf1_work(struct session *s, struct plat_dev *dev, const struct wf1_hooks *hooks, uint64_t seed);
/* The hand-picked ones: wf1_picked.c. */
int wf1_picked(struct session *s, uint64_t seed, unsigned session);

/* caposwf1.c: the digest of what an open filesystem holds. */
int wf1_volume_digest(struct volume *vol, uint64_t *ret, struct plat_err *err);

#endif
