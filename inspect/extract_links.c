#include "inspect/extract_links.h"

#include <stdlib.h>
#include <string.h>

static size_t slot_of(const struct first_names *names, uint64_t node)
{
    size_t slot = (size_t)((node * 0x9E3779B97F4A7C15u) >> 20) & (names->cap - 1);
    while (names->slots[slot] != NULL && names->slots[slot]->node != node)
        slot = (slot + 1) & (names->cap - 1);
    return slot;
}

static int grow(struct first_names *names, struct plat_err *err)
{
    struct first_names grown = {.cap = names->cap == 0 ? 64 : names->cap * 2, .n = names->n};
    grown.slots = calloc(grown.cap, sizeof(struct first_name *));
    if (grown.slots == NULL)
        return err_nomem(err, "remembering links");
    for (size_t i = 0; i < names->cap; i++)
        if (names->slots[i] != NULL)
            grown.slots[slot_of(&grown, names->slots[i]->node)] = names->slots[i];
    free((void *)names->slots);
    *names = grown;
    return 0;
}

int first_names_get(struct first_names *names, uint64_t node, struct first_name **ret, bool *ret_new,
                    struct plat_err *err)
{
    if (2 * (names->n + 1) > names->cap) {
        int rc = grow(names, err);
        if (rc != 0)
            return rc;
    }
    struct first_name **slot = &names->slots[slot_of(names, node)];
    *ret_new = *slot == NULL;
    if (*slot == NULL) {
        *slot = calloc(1, sizeof **slot);
        if (*slot == NULL)
            return err_nomem(err, "remembering links");
        (*slot)->node = node;
        names->n++;
    }
    *ret = *slot;
    return 0;
}

int first_name_set(struct first_name *first, struct place *dir, const char *name, struct plat_err *err)
{
    char *copy = strdup(name);
    if (copy == NULL)
        return err_nomem(err, "remembering links");
    if (dir != NULL)
        dir->refs++;
    place_unref(first->dir);
    free(first->name);
    first->dir = dir;
    first->name = copy;
    return 0;
}

void first_names_free(struct first_names *names)
{
    for (size_t i = 0; i < names->cap; i++) {
        if (names->slots[i] == NULL)
            continue;
        place_unref(names->slots[i]->dir);
        free(names->slots[i]->name);
        free(names->slots[i]);
    }
    free((void *)names->slots);
    *names = (struct first_names){0};
}
