/* Which nodes have been extracted that have more than one name, and where. Private to plat extract. */
#ifndef PLAT_INSPECT_EXTRACT_LINKS_H
#define PLAT_INSPECT_EXTRACT_LINKS_H

#include "inspect/extract_dir.h"

/* What happened to the first name of a node. */
struct first_name {
    uint64_t node;
    struct place *dir;
    char *name; /* in an archive: the path, and no dir */
    bool there; /* it has been made; links to it may be */
};
/* Zero-initialise; first_names_free. */
struct first_names {
    struct first_name **slots;
    size_t n, cap;
};
/* *ret_new: this is the first one. The result stays where it is. */
int first_names_get(struct first_names *names, uint64_t node, struct first_name **ret, bool *ret_new,
                    struct plat_err *err);
/* From now on this is the name that links are made to. */
int first_name_set(struct first_name *first, struct place *dir, const char *name, struct plat_err *err);
/* Forgets all of them: nodes of another filesystem come. */
void first_names_free(struct first_names *names);

#endif
