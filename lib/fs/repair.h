/* Repair: a bad copy of a structure is rewritten from a good one.
 *
 *   driver->repair()   plans: what is to be rewritten from what, and what cannot be judged. It writes nothing.
 *   fs_repair()        tries the plan out in memory, and carries it out only when every check that `verify` makes
 *                      finds nothing wrong with what was rewritten, and no more errors in all than before
 *   stack_repair()     all layers of an image, the partition table first
 *
 * Only the bytes that differ are written, in whole blocks, one structure after the other; each is flushed, read
 * again and compared. A source is never written to: a power cut leaves the good copy as it was, and repair can be
 * run again.
 *
 * A driver that has copies and no way to tell from checksums which one is good lets repair_choose() find the one
 * under which the checks of the whole volume find nothing of their own. */
#ifndef PLAT_LIB_FS_REPAIR_H
#define PLAT_LIB_FS_REPAIR_H

#include "lib/fs/stack.h"

enum { REPAIR_BLOCK_BYTES = 512, REPAIR_TEXT_BYTES = 400, REPAIR_MAX_COPIES = 4 };

/* ---- planning: for drivers ---- */

struct repair {
    const char *path;       /* what is rewritten; relative to the layer, as in findings */
    const char *source;     /* what from */
    struct range place;     /* of `path`, in the layer's device; never larger than what is wrong can be */
    uint64_t source_offset; /* in the layer's device */
    const uint8_t *bytes;   /* what `place` is to hold; NULL: the bytes at source_offset */
};
struct repair_plan;
/* Everything is copied. PLAT_EBUG when a place lies over a source. */
int repair_plan_add(struct repair_plan *plan, const struct repair *repair, struct plat_err *err);
/* What is wrong and stays so, and why. */
int repair_plan_refuse(struct repair_plan *plan, const char *path, uint64_t offset, struct plat_err *err,
                       const char *fmt, ...) __attribute__((format(printf, 5, 6)));
size_t repair_plan_count(const struct repair_plan *plan);
/* What was added last; NULL: nothing. */
const struct repair *repair_plan_last(const struct repair_plan *plan);
/* Forgets all additions behind the first `count`. */
void repair_plan_cut(struct repair_plan *plan, size_t count);

/* What the checks find with the plan carried out, in memory. */
struct repair_trial {
    bool opened; /* the format recognises the result */
    struct repair_found *list;
    size_t n, cap;
    uint64_t errors, warnings, notes;
};
int repair_try(struct fs *fs, const struct repair_plan *plan, struct repair_trial *ret, struct plat_err *err);
/* The worst finding within `place` that is at least this bad (SEVERITY_NOTE: any); NULL: none. */
const char *repair_trial_fault(const struct repair_trial *trial, struct range place, enum severity at_least);
void repair_trial_free(struct repair_trial *trial);

struct repair_copy {
    const char *path;
    uint64_t offset;
};
/* Copies of one structure, equal by right. Those that differ from the one that stands every check, while each other
 * one has faults, go into the plan; where no copy or more than one is sound, a refusal does. */
struct repair_copies {
    const struct repair_copy *list;
    size_t n; /* at most REPAIR_MAX_COPIES */
    uint64_t bytes;
    /* Nothing else can be read without it: a copy with an error in its own place is bad, and that more is found with
     * another one is not held against that. Where several are sound, notes count against a copy, too. */
    bool leads;
};
int repair_choose(struct fs *fs, struct repair_plan *plan, const struct repair_copies *copies,
                  struct plat_err *err);
/* Are two ranges of the device equal, byte for byte? Ranges that are not all there are not. */
int repair_same(struct plat_dev *dev, uint64_t a, uint64_t b, uint64_t bytes, bool *ret,
                struct plat_err *err);

/* ---- carrying out ---- */

/* One structure that was rewritten. Paths and offsets are the image's. */
struct repair_done {
    const char *path, *source;
    uint64_t offset, source_offset;
    uint64_t bytes;         /* from the first rewritten byte to the last */
    uint64_t written_bytes; /* rewritten among them */
    const char *finding;    /* id of what verify found there; "" when it found nothing there */
    const char *why;        /* and its sentence */
};
struct repair_sink {
    void *ctx;
    /* Non-zero stops. NULL: nobody looks. */
    int (*repaired)(void *ctx, const struct repair_done *done);
    int (*refused)(void *ctx, const char *path, uint64_t offset, const char *text);
};
struct repair_totals {
    uint64_t repaired, refused;
};
/* One layer; paths and offsets are those of the layer. `fs` is stale afterwards when something was repaired. */
int fs_repair(struct fs *fs, uint32_t sector_bytes, const struct repair_sink *sink,
              struct repair_totals *totals, struct plat_err *err);
/* All layers, or the partition that the options name. `dev` is writable: the image, locked (dev_lock), or an overlay
 * over it to see what would be done. A layer with errors and without copies is a refusal. */
int stack_repair(struct plat_dev *dev, const struct stack_options *options, const struct repair_sink *sink,
                 struct repair_totals *totals, struct plat_err *err);

#endif
