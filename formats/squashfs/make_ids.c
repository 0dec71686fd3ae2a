/* Users and groups: inodes hold the index of an id in one table of both, in the order of their first use. */
#include "formats/squashfs/make.h"

#include <stdlib.h>

enum { SLOTS = 1 << 17 }; /* twice as many as there can be ids */

int sqm_ids_open(struct sqm_ids *ids, struct plat_err *err)
{
    *ids = (struct sqm_ids){.slots = calloc(SLOTS, sizeof *ids->slots),
                            .list = calloc(SQM_IDS_MAX, sizeof *ids->list)};
    if (ids->slots != NULL && ids->list != NULL)
        return 0;
    sqm_ids_close(ids);
    return err_nomem(err, "making a SquashFS image");
}

void sqm_ids_close(struct sqm_ids *ids)
{
    free(ids->slots);
    free(ids->list);
    *ids = (struct sqm_ids){0};
}

int sqm_ids_index(struct sqm_ids *ids, uint32_t id, uint16_t *ret, struct plat_err *err)
{
    /* Ids follow one another or are round numbers: the multiplication spreads both. */
    uint32_t slot = (uint32_t)(id * UINT32_C(2654435761)) >> 15;
    for (; ids->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        const uint16_t index = (uint16_t)(ids->slots[slot] - 1);
        if (ids->list[index] != id)
            continue;
        *ret = index;
        return 0;
    }
    if (ids->n == SQM_IDS_MAX)
        return err_set(err, PLAT_ELIMIT,
                       "more than %d users and groups, which is all that squashfs can keep; -O owner=zero "
                       "gives everything to 0:0",
                       SQM_IDS_MAX);
    ids->list[ids->n] = id;
    *ret = (uint16_t)ids->n++;
    ids->slots[slot] = (uint16_t)ids->n;
    return 0;
}
