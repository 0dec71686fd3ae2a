/* One of two superblocks, when it is bad. */
#include "lib/fs/pair_repair.h"

static const char *const names[] = {"superblock", "copy"};

struct repairing {
    const struct pair *pair;
    const struct pair_repairer *repairer;
    struct repair_plan *plan;
    struct plat_err *err;
};

static uint64_t offset_of(const struct repairing *r, int index)
{
    return r->repairer->offset + (uint64_t)index * PAIR_BLOCK_BYTES;
}

/* bytes: NULL: those of the other copy. */
static int add(const struct repairing *r, int into, const uint8_t *bytes)
{
    const struct repair repair = {.path = names[into],
                                  .source = names[!into],
                                  .place = {offset_of(r, into), PAIR_BLOCK_BYTES},
                                  .source_offset = offset_of(r, !into),
                                  .bytes = bytes};
    return repair_plan_add(r->plan, &repair, r->err);
}

/* The state of the other copy with the next generation. */
static int add_encoded(const struct repairing *r, int into)
{
    const uint64_t a = r->pair->copies[0].highest_stamp, b = r->pair->copies[1].highest_stamp;
    const uint64_t generation = (a > b ? a : b) + 1;
    uint8_t bytes[PAIR_BLOCK_BYTES];
    if (generation > PAIR_MAX_GENERATION)
        return repair_plan_refuse(r->plan, names[into], offset_of(r, into), r->err,
                                  "2^40 superblocks have been written: there is no number for another one");
    r->repairer->encode(r->repairer->ctx, !into, generation, into == 1, bytes);
    return add(r, into, bytes);
}

int pair_repair(const struct pair *pair, const struct pair_repairer *repairer, struct repair_plan *plan,
                struct plat_err *err)
{
    const struct repairing r = {pair, repairer, plan, err};
    const struct pair_copy *first = &pair->copies[0], *second = &pair->copies[1];
    struct plat_err why = {0};
    if (first->state == PAIR_GOOD && second->state == PAIR_GOOD) {
        if (pair->clean || second->writing)
            return 0;
        return repair_plan_refuse(plan, names[1], offset_of(&r, 1), err,
                                  "both superblocks are good, and they differ though no writer was at work: "
                                  "readers see the first");
    }
    if (pair->ruling < 0) {
        (void)pair_refusal(pair, repairer->offset, &why);
        return repair_plan_refuse(plan, names[0], repairer->offset, err, "%s", why.text);
    }
    const int bad = pair->ruling == 0;
    if (pair->copies[bad].state == PAIR_NEWER)
        return repair_plan_refuse(plan, names[bad], offset_of(&r, bad), err, "it is %s",
                                  pair->copies[bad].why.text);
    if (repairer->unfit != NULL)
        return repair_plan_refuse(plan, names[bad], offset_of(&r, bad), err,
                                  "the good one does not go with what it names: %s", repairer->unfit);
    if (bad == 0)
        return first->state == PAIR_TORN && second->writing ? add_encoded(&r, 0) : add(&r, 0, NULL);
    bool clear = false;
    int rc = repairer->is_clear(repairer->ctx, &clear, err);
    if (rc != 0)
        return rc;
    return clear ? add(&r, 1, NULL) : add_encoded(&r, 1);
}
