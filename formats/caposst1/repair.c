/* The two superblocks, when one of them is bad. What readers see stays what it is.
 *
 *   block 0     block 1                  rewritten
 *   good        damaged or torn          block 1: the bytes of block 0 where free blocks are zero, as in a store at
 *                                        rest; else the state of block 0 with the mark of a writer, who was cut off
 *   damaged     good, at rest            block 0: the bytes of block 1
 *   torn        good                     block 0: the state of block 1, as the next writer would put it there
 *   damaged     good, writer at work     nothing: the commit in block 0 may have been newer
 *
 * A pair that a writer left is sound and stays: the next writer cleans up. */
#include "formats/caposst1/private.h"
#include "lib/fs/repair.h"

static const char *const names[] = {"superblock", "copy"};

/* `state` with the next generation, for block `into`. */
static int add_encoded(struct repair_plan *plan, const struct st1_pair *pair, int into, struct plat_err *err)
{
    const uint64_t a = pair->both.copies[0].highest_stamp, b = pair->both.copies[1].highest_stamp;
    struct st1_super super = pair->supers[!into];
    uint8_t bytes[ST1_BLOCK_BYTES];
    const struct repair repair = {.path = names[into],
                                  .source = names[!into],
                                  .place = {(uint64_t)into * ST1_BLOCK_BYTES, ST1_BLOCK_BYTES},
                                  .source_offset = (uint64_t)!into * ST1_BLOCK_BYTES,
                                  .bytes = bytes};
    super.generation = (a > b ? a : b) + 1;
    super.writing = into == 1;
    if (super.generation > ST1_MAX_GENERATION)
        return repair_plan_refuse(plan, names[into], repair.place.start, err,
                                  "the store has seen 2^40 superblocks: there is no number for another one");
    st1_super_encode(&super, bytes);
    return repair_plan_add(plan, &repair, err);
}

static int add_copy(struct repair_plan *plan, int into, struct plat_err *err)
{
    const struct repair repair = {.path = names[into],
                                  .source = names[!into],
                                  .place = {(uint64_t)into * ST1_BLOCK_BYTES, ST1_BLOCK_BYTES},
                                  .source_offset = (uint64_t)!into * ST1_BLOCK_BYTES};
    return repair_plan_add(plan, &repair, err);
}

int st1_repair(struct store *store, struct repair_plan *plan, struct plat_err *err)
{
    const struct st1_pair *pair = &store->pair;
    const struct pair_copy *first = &pair->both.copies[0], *second = &pair->both.copies[1];
    struct plat_err why = {0};
    if (first->state == PAIR_GOOD && second->state == PAIR_GOOD) {
        if (pair->both.clean || pair->supers[1].writing)
            return 0;
        return repair_plan_refuse(plan, names[1], ST1_BLOCK_BYTES, err,
                                  "both superblocks are good, and they differ though no writer was at work: "
                                  "readers see the first");
    }
    if (pair->both.ruling < 0) {
        (void)st1_pair_refusal(pair, &why);
        return repair_plan_refuse(plan, names[0], 0, err, "%s", why.text);
    }
    const int bad = pair->both.ruling == 0;
    if (pair->both.copies[bad].state == PAIR_NEWER)
        return repair_plan_refuse(plan, names[bad], (uint64_t)bad * ST1_BLOCK_BYTES, err, "it is %s",
                                  pair->both.copies[bad].why.text);
    if (store->fault.class != 0)
        return repair_plan_refuse(plan, names[bad], (uint64_t)bad * ST1_BLOCK_BYTES, err,
                                  "the good one does not go with its table: %s", store->fault.text);
    if (bad == 0)
        return first->state == PAIR_TORN && pair->supers[1].writing ? add_encoded(plan, pair, 0, err)
                                                                    : add_copy(plan, 0, err);
    bool clear = false;
    int rc = st1_free_is_clear(store, &clear, err);
    if (rc != 0)
        return rc;
    return clear ? add_copy(plan, 1, err) : add_encoded(plan, pair, 1, err);
}
