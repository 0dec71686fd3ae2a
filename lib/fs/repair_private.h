/* Private to lib/fs/repair*.c. */
#ifndef PLAT_LIB_FS_REPAIR_PRIVATE_H
#define PLAT_LIB_FS_REPAIR_PRIVATE_H

#include "lib/fs/repair.h"

struct repair_refusal {
    const char *path;
    uint64_t offset;
    const char *text;
};
struct repair_plan {
    uint32_t sector_bytes; /* of the disk below, to open a trial with */
    struct repair *list;
    size_t n, cap;
    struct repair_refusal *refusals;
    size_t n_refusals, cap_refusals;
    struct arena arena; /* texts and bytes of both */
};
void repair_plan_free(struct repair_plan *plan);

/* A finding of a trial. */
struct repair_found {
    uint64_t hash; /* of id, path and text */
    enum severity severity;
    bool has_offset;
    uint64_t offset;
    char id[32];
    char text[REPAIR_TEXT_BYTES];
};
enum { REPAIR_MAX_FOUND = 4096 }; /* more findings than that are not compared one by one */

/* Looks at what a repair changes: first and last byte of what differs (in blocks), and how much of it does. */
struct repair_difference {
    struct range span; /* in the device; no bytes: nothing differs */
    uint64_t written_bytes;
};
/* Compares, and with `write` rewrites the blocks that differ. */
int repair_apply(struct plat_dev *dev, const struct repair *repair, bool write, struct repair_difference *ret,
                 struct plat_err *err);
/* Judges an open layer, as repair_try does what it opens. */
int repair_judge(struct fs *fs, struct repair_trial *ret, struct plat_err *err);

#endif
