/* An open CAPOSWF1, as the parts of its driver share it. reader.h draws the layout, writer.h says how it changes. */
#ifndef PLAT_FORMATS_CAPOSWF1_VOLUME_H
#define PLAT_FORMATS_CAPOSWF1_VOLUME_H

#include "formats/caposwf1/caposwf1.h"
#include "formats/caposwf1/reader.h"
#include "lib/fs/pair.h"

/* For tests alone: leave out a flush or a check, to see that somebody notices. */
enum wf1_step {
    WF1_FLUSH_MARK,       /* behind "a writer is at work" */
    WF1_FLUSH_DATA,       /* behind what the commit refers to */
    WF1_FLUSH_COMMIT,     /* behind the commit */
    WF1_FLUSH_RECOVER,    /* behind the superblock that replaces a torn one */
    WF1_FLUSH_CLEAN,      /* behind the zeros, before the filesystem is called clean */
    WF1_CHECK_SUPERBLOCK, /* its checksum */
    WF1_CHECK_STAMPS,     /* torn is not damaged */
    WF1_CHECK_BLOCKS,     /* checksums of metadata */
    WF1_CHECK_DATA,       /* checksums of contents */
    WF1_CHECK_BITMAP,     /* used and free blocks are those that are referred to, and are not */
    WF1_CHECK_FREE,       /* zeros in free blocks */
    WF1_STEPS
};
struct wf1_hooks {
    uint64_t skip; /* 1 << enum wf1_step */
};
static inline bool wf1_skips(const struct wf1_hooks *hooks, enum wf1_step step)
{
    return hooks != NULL && (hooks->skip >> step & 1) != 0;
}

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
    struct plat_err fault;         /* why it is not sound */
};
static inline struct volume *volume_of(struct fs *fs)
{
    return (struct volume *)(void *)fs; /* fs is its first member */
}

/* super.c: finds the superblocks (LBA 256, else 0) and which of them counts. *ret_block: where. Fails only where
 * the device does. */
int wf1_pair_find(struct plat_dev *dev, const struct wf1_hooks *hooks, uint32_t *ret_block, struct pair *ret,
                  struct wf1_super ret_supers[2], struct plat_err *err);
/* ... at a given place. */
int wf1_pair_read(struct plat_dev *dev, uint32_t superblock_block, const struct wf1_hooks *hooks,
                  struct pair *ret, struct wf1_super ret_supers[2], struct plat_err *err);

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
extern const struct fs_writer caposwf1_writer;

#endif
