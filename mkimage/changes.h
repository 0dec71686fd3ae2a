/* What is done to a tree behind its sources: `--mode`, `--all-root`, `--node` of `plat mk`, and "mode", "all_root", "nodes"
 * of a recipe. In this order; nodes are exact, so modes do not change them. */
#ifndef PLAT_MKIMAGE_CHANGES_H
#define PLAT_MKIMAGE_CHANGES_H

#include "lib/fs/driver.h"

enum tree_change { CHANGE_MODE, CHANGE_ALL_ROOT, CHANGE_NODES, CHANGE_OPTION_NODE };
struct tree_changes {
    const char *mode; /* NULL: as the sources have it */
    bool all_root;
    const char *const *nodes; /* NULL-terminated; NULL: none */
    bool owners_kept;         /* where the option "owner" is not given */
};
/* Nodes of the maker's option "node" (NULL options: none) are added as well. PLAT_EINVALID names in *ret_at what is at
 * fault: also when owners are asked for and dropped. */
int tree_changes_apply(const struct tree_changes *changes, const struct fs_maker *maker, json_t *options,
                       struct tree *tree, enum tree_change *ret_at, struct plat_err *err);

#endif
