/* Judging an image: every check of every layer. */
#ifndef PLAT_LIB_FS_VERIFY_H
#define PLAT_LIB_FS_VERIFY_H

#include "lib/fs/stack.h"

struct verify_totals {
    uint64_t errors, warnings, notes;
    uint64_t structures; /* typed instances checked */
};
/* One layer: layout checks on all that walk yields, layout rules and mirrors, then the driver's check().
 * Offsets and paths in findings are those of the layer. */
int fs_verify(struct fs *fs, const struct finding_sink *sink, struct verify_totals *totals,
              struct plat_err *err);
/* All layers; paths with prefix, offsets absolute. Layers that failed to open are error findings. */
int stack_verify(struct stack *stack, const struct finding_sink *sink, struct verify_totals *totals,
                 struct plat_err *err);
/* The contents of all layers, after stack_verify: what the drivers' scrub finds is added to totals, and a
 * filesystem without checksums of contents is a note. `progress` (NULL: nobody looks) counts bytes read and gets
 * its total. */
int stack_scrub(struct stack *stack, const struct finding_sink *sink, struct verify_totals *totals,
                struct progress *progress, struct plat_err *err);

#endif
