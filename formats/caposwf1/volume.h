/* An open CAPOSWF1, as the parts of its driver share it. reader.h draws the layout, writer.h says how it changes. */
#ifndef PLAT_FORMATS_CAPOSWF1_VOLUME_H
#define PLAT_FORMATS_CAPOSWF1_VOLUME_H

#include "formats/caposwf1/caposwf1.h"
#include "formats/caposwf1/super.h"

struct wf1_writer; /* writer.h */
struct volume {
    struct fs fs;
    struct wf1_reader reader;      /* of the ruling superblock, when sound */
    bool sound;                    /* there is one */
    uint32_t superblock_block;     /* where the pair lies */
    struct pair pair;              /* as read when it was opened */
    struct wf1_super supers[2];    /* of the good copies */
    const struct wf1_hooks *hooks; /* NULL */
    struct wf1_writer *writer;     /* NULL: open for reading */
    uint8_t scratch[16 * WF1_BLOCK_BYTES];
    struct plat_err fault; /* why it is not sound */
};
static inline struct volume *volume_of(struct fs *fs)
{
    return (struct volume *)(void *)fs; /* fs is its first member */
}

/* driver.c: as fs_open, without layout and registry; `image` may be NULL (tests that open a hundred thousand states a
 * second). */
int wf1_volume_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                    const struct wf1_hooks *hooks, struct volume **ret, struct plat_err *err);
void wf1_volume_close(struct volume *vol);

int caposwf1_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err);
/* What a description cannot say: order, counts, parents, loops, and whether the bitmap is right. */
int caposwf1_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err);
int caposwf1_scrub(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                   struct plat_err *err);
int caposwf1_repair(struct fs *fs, struct repair_plan *plan, struct plat_err *err);
extern const struct fs_writer caposwf1_writer;

#endif
