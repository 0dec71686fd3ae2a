/* The image, front to back. The superblock comes first and depends on every checksum: it is written last where the
 * device lets us go back; for a pipe everything is gone through once before, without writing. */
#include "formats/caposwf1/plan.h"

#include <stdlib.h>

#include "lib/hash/hash.h"

int wf1_make_block(struct wf1_make *make, const uint8_t bytes[WF1_BLOCK_BYTES], struct wf1_pointer *ret,
                   struct plat_err *err)
{
    uint8_t *place;
    if (make->out != NULL) {
        int rc = fs_out_take(make->out, make->block * WF1_BLOCK_BYTES, WF1_BLOCK_BYTES, &place, err);
        if (rc != 0)
            return rc;
        memcpy(place, bytes, WF1_BLOCK_BYTES);
    }
    *ret = (struct wf1_pointer){(uint32_t)make->block++, hash_crc32c(0, bytes, WF1_BLOCK_BYTES)};
    return 0;
}

/* All blocks of the region, and what the superblock says of them. */
static int region_put(struct wf1_make *make, struct plat_err *err)
{
    static int (*const parts[])(struct wf1_make *, struct plat_err *) = {wf1_make_contents, wf1_make_maps,
                                                                         wf1_make_records, wf1_make_bitmap};
    const struct make_plan *plan = make->plan;
    const uint64_t ends[] = {plan->content_blocks, plan->map_blocks + plan->name_blocks,
                             plan->record_blocks + plan->pointer_blocks};
    uint64_t end = plan->super.region_first_block;
    make->block = end;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int rc = parts[i](make, err);
        if (rc != 0)
            return rc;
        end = i < sizeof ends / sizeof ends[0] ? end + ends[i]
                                               : plan->super.region_first_block + plan->used_blocks;
        if (make->block != end)
            return err_set(err, PLAT_EBUG, "part %zu ends at block %llu and was planned to end at %llu", i,
                           (unsigned long long)make->block, (unsigned long long)end);
    }
    return 0;
}

static int superblocks_put(struct fs_out *out, const struct make_plan *plan, struct plat_err *err)
{
    uint8_t *bytes;
    int rc = wf1_super_validate(&plan->super, out->dev->size_bytes, err);
    if (rc == 0)
        rc = fs_out_take(out, (uint64_t)plan->super.superblock_block * WF1_BLOCK_BYTES,
                         2 * (size_t)WF1_BLOCK_BYTES, &bytes, err);
    if (rc != 0)
        return rc;
    wf1_super_encode(&plan->super, bytes);
    memcpy(bytes + WF1_BLOCK_BYTES, bytes, WF1_BLOCK_BYTES);
    return 0;
}

/* To a pipe. The files may change between the two passes, which extent_put notices. */
static int write_ascending(struct wf1_make *make, struct fs_out *out, struct plat_err *err)
{
    int rc = region_put(make, err);
    make->known = true;
    make->out = out;
    if (rc == 0)
        rc = superblocks_put(out, make->plan, err);
    if (rc == 0)
        rc = region_put(make, err);
    return rc;
}

static int write_superblock_last(struct wf1_make *make, struct fs_out *out, struct plat_err *err)
{
    make->out = out;
    int rc = region_put(make, err);
    if (rc == 0)
        rc = fs_out_flush(out, err);
    if (rc == 0) {
        out->start = 0; /* nothing is in its buffer: it may begin anew */
        rc = superblocks_put(out, make->plan, err);
    }
    return rc;
}

int wf1_plan_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                   struct plat_err *err)
{
    struct fs_out out = {0};
    struct wf1_make make = {.plan = plan, .window = malloc(WF1_EXTENT_BYTES)};
    if (make.window == NULL)
        return err_nomem(err, "writing a CAPOSWF1 image");
    int rc = fs_out_open(&out, dev, progress, err);
    if (rc == 0)
        rc = dev->sequential ? write_ascending(&make, &out, err) : write_superblock_last(&make, &out, err);
    if (rc == 0)
        rc = fs_out_flush(&out, err);
    fs_out_close(&out);
    free(make.window);
    return rc;
}
