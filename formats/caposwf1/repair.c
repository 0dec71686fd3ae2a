/* The two superblocks, when one of them is bad: lib/fs/pair_repair.h says which is rewritten from which. */
#include <string.h>

#include "formats/caposwf1/volume.h"
#include "lib/fs/pair_repair.h"

static void encode(void *ctx, int from, uint64_t generation, bool writing, uint8_t ret[PAIR_BLOCK_BYTES])
{
    const struct volume *vol = ctx;
    struct wf1_super super = vol->supers[from];
    super.generation = generation;
    super.writing = writing;
    wf1_super_encode(&super, ret);
}

static int on_nonzero(void *ctx, const struct finding *finding)
{
    bool *clear = ctx;
    if (finding->path != NULL && strcmp(finding->path, "free") == 0)
        *clear = false;
    return 0;
}

static int is_clear(void *ctx, bool *ret, struct plat_err *err)
{
    struct volume *vol = ctx;
    const struct finding_sink sink = {.ctx = ret, .fn = on_nonzero};
    const bool clean = vol->pair.clean;
    *ret = true;
    vol->pair.clean = true; /* so that free blocks are looked at */
    int rc = caposwf1_scrub(&vol->fs, &sink, NULL, err);
    vol->pair.clean = clean;
    return rc;
}

/* What the good superblock names: the first thing that is wrong with it. */
static int on_fault(void *ctx, const struct finding *finding)
{
    struct plat_err *fault = ctx;
    const char *path = finding->path != NULL ? finding->path : "";
    if (finding->severity == SEVERITY_ERROR && fault->class == 0 && strcmp(path, "superblock") != 0 &&
        strcmp(path, "copy") != 0)
        (void)err_set(fault, PLAT_ECORRUPT, "%.100s: %.300s", path, finding->text);
    return 0;
}

int caposwf1_repair(struct fs *fs, struct repair_plan *plan, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct plat_err fault = {0};
    const struct finding_sink sink = {.ctx = &fault, .fn = on_fault};
    struct pair_repairer repairer = {.ctx = vol,
                                     .offset = (uint64_t)vol->superblock_block * WF1_BLOCK_BYTES,
                                     .encode = encode,
                                     .is_clear = is_clear};
    if (vol->sound) {
        int rc = caposwf1_check(fs, &sink, err);
        if (rc != 0)
            return rc;
    }
    if (fault.class != 0)
        repairer.unfit = fault.text;
    return pair_repair(&vol->pair, &repairer, plan, err);
}
