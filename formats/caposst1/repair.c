/* The two superblocks, when one of them is bad: lib/fs/pair_repair.h says which is rewritten from which. */
#include "formats/caposst1/private.h"
#include "lib/fs/pair_repair.h"

static void encode(void *ctx, int from, uint64_t generation, bool writing, uint8_t ret[PAIR_BLOCK_BYTES])
{
    const struct store *store = ctx;
    struct st1_super super = store->pair.supers[from];
    super.generation = generation;
    super.writing = writing;
    st1_super_encode(&super, ret);
}

static int is_clear(void *ctx, bool *ret, struct plat_err *err)
{
    return st1_free_is_clear(ctx, ret, err);
}

int st1_repair(struct store *store, struct repair_plan *plan, struct plat_err *err)
{
    const struct pair_repairer repairer = {.ctx = store,
                                           .encode = encode,
                                           .is_clear = is_clear,
                                           .unfit = store->fault.class != 0 ? store->fault.text : NULL};
    return pair_repair(&store->pair.both, &repairer, plan, err);
}
