/* From a recipe's `files` to a tree: sources found on the host, targets settled, overrides applied, packs
 * planned.
 *
 * A pack is a file of the tree whose content is another tree in an archive format. It is made while the tree
 * is gathered, in an unlinked temporary file. Nothing of an ordinary source is ever copied. */
#ifndef PLAT_MKIMAGE_GATHER_H
#define PLAT_MKIMAGE_GATHER_H

#include "lib/fs/driver.h"
#include "mkimage/recipe.h"

struct gather_pack;
struct gather {
    struct recipe *recipe;
    struct tree_options options; /* for every tree; `exclude` is not used */
    struct gather_pack *packs;
    bool left_out_output; /* options.output lay in a source */
};
void gather_init(struct gather *gather, struct recipe *recipe, const struct tree_options *options);
/* Closes the packs: after the last use of the trees that hold them. Trees that were returned are the
 * caller's. */
void gather_close(struct gather *gather);
/* Files, changes and overrides of a partition (or pack) at `path` in the recipe, as this maker with these options (may be
 * NULL) wants them; *ret is finished. */
int gather_tree(struct gather *gather, const struct fs_maker *maker, json_t *options,
                const struct recipe_tree *from, const char *path, struct tree **ret, struct plat_err *err);

/* Host files as objects of a store, in this order; *ret is finished. */
int gather_objects(const char *const *paths, size_t n, const struct tree_options *options, struct tree **ret,
                   struct plat_err *err);

/* The driver of this name if it can make images; else PLAT_EUNSUPPORTED/PLAT_EINVALID that lists those that
 * can. */
int maker_find(const char *format, const struct fs_driver **ret, struct plat_err *err);
/* -O KEY=VALUE and recipe `options`: the object makers get. A new object. */
int maker_options_parse(const char *const *texts, size_t n, json_t **ret, struct plat_err *err);
/* What the tree of a format is to have beyond names and contents, given the format's options (may be NULL). */
void maker_tree_options(const struct fs_maker *maker, json_t *options, struct tree_options *ret);
/* A recipe settles owners itself: host files belong to 0:0 and overrides change that. Where a format would
 * reset owners unless its option "owner" says "keep", that is what it is told, if `options` does not say
 * otherwise. *ret is a new object (NULL: no options). */
int recipe_options(const struct fs_maker *maker, json_t *options, json_t **ret, struct plat_err *err);
/* PLAT_EINVALID when `output` and `input` are the same file, which the output would replace; `what` the input
 * is. "-" is no file. */
int output_is_not(const char *output, const char *input, const char *what, struct plat_err *err);
/* Says on standard error that `output` lay in its own source. */
void note_left_out(const char *command, const char *output);
/* SOURCE_DATE_EPOCH; *has is false when it is not set. */
int source_date_epoch(bool *has, int64_t *ret, struct plat_err *err);

#endif
