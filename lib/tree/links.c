/* Which files of a host directory are one file: hard links, told by device and inode. */
#include "lib/tree/private.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_SLOTS = 256 };

uint32_t tree_link_count(const struct tree *tree)
{
    return tree->links.n;
}

/* The slot of this identity, or the free one where it belongs. */
static struct tree_link *slot_of(struct tree_link *slots, size_t n_slots, dev_t device, ino_t inode)
{
    size_t i = (size_t)(((uint64_t)inode ^ (uint64_t)device << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 20);
    for (i &= n_slots - 1; slots[i].number != 0; i = (i + 1) & (n_slots - 1)) {
        if (slots[i].device == device && slots[i].inode == inode)
            break;
    }
    return &slots[i];
}

static int grow(struct tree_links *links)
{
    const size_t n_slots = links->n_slots == 0 ? FIRST_SLOTS : links->n_slots * 2;
    struct tree_link *slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return ENOMEM;
    for (size_t i = 0; i < links->n_slots; i++) {
        const struct tree_link *old = &links->slots[i];
        if (old->number != 0)
            *slot_of(slots, n_slots, old->device, old->inode) = *old;
    }
    free(links->slots);
    links->slots = slots;
    links->n_slots = n_slots;
    return 0;
}

int tree_link_find(struct tree_links *links, dev_t device, ino_t inode, uint32_t *ret)
{
    if (links->n_used * 2 >= links->n_slots && grow(links) != 0)
        return ENOMEM;
    struct tree_link *slot = slot_of(links->slots, links->n_slots, device, inode);
    if (slot->number == 0) {
        *slot = (struct tree_link){.device = device, .inode = inode, .number = ++links->n};
        links->n_used++;
    }
    *ret = slot->number;
    return 0;
}
