/* The two superblocks of a CAPOSWF1, and which of them counts. A kernel carries this, too. */
#ifndef PLAT_FORMATS_CAPOSWF1_SUPER_H
#define PLAT_FORMATS_CAPOSWF1_SUPER_H

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
    uint64_t skip;       /* 1 << enum wf1_step */
    size_t scrub_pieces; /* extents that scrub keeps in mind; 0: as many as it likes */
};
static inline bool wf1_skips(const struct wf1_hooks *hooks, enum wf1_step step)
{
    return hooks != NULL && (hooks->skip >> step & 1) != 0;
}

/* Finds the superblocks (LBA 256, else 0) and which of them counts. *ret_block: where. Fails only where
 * the device does. */
int wf1_pair_find(struct plat_dev *dev, const struct wf1_hooks *hooks, uint32_t *ret_block, struct pair *ret,
                  struct wf1_super ret_supers[2], struct plat_err *err);
/* ... at a given place. */
int wf1_pair_read(struct plat_dev *dev, uint32_t superblock_block, const struct wf1_hooks *hooks,
                  struct pair *ret, struct wf1_super ret_supers[2], struct plat_err *err);

#endif
