/* Changes of a gathered tree: see changes.h. */
#include "mkimage/changes.h"

#include <stdlib.h>
#include <string.h>

#include "mkimage/gather.h"

/* Texts from two places in one list. */
struct texts {
    struct arena arena;
    const char **items;
    size_t n, cap;
};

static int texts_add(struct texts *texts, const char *text, size_t n, struct plat_err *err)
{
    if (texts->n == texts->cap) {
        const size_t cap = texts->cap == 0 ? 16 : texts->cap * 2;
        const char **items = realloc(texts->items, cap * sizeof *items);
        if (items == NULL)
            return err_nomem(err, "reading nodes");
        texts->items = items;
        texts->cap = cap;
    }
    char *copy = arena_strndup(&texts->arena, text, n);
    if (copy == NULL)
        return err_nomem(err, "reading nodes");
    texts->items[texts->n++] = copy;
    return 0;
}

/* Text with commas between nodes, or a list of texts. */
static int texts_of_option(struct texts *texts, json_t *option, struct plat_err *err)
{
    const char *text = json_string_value(option);
    int rc = 0;
    if (option != NULL && text == NULL && !json_is_array(option))
        return err_set(err, PLAT_EINVALID, "expected text or a list of texts");
    for (size_t n; rc == 0 && text != NULL; text = text[n] != '\0' ? text + n + 1 : NULL) {
        n = strcspn(text, ",");
        rc = texts_add(texts, text, n, err);
    }
    for (size_t i = 0; rc == 0 && i < json_array_size(option); i++) {
        const char *item = json_string_value(json_array_get(option, i));
        rc = item != NULL ? texts_add(texts, item, strlen(item), err)
                          : err_set(err, PLAT_EINVALID, "element %zu is not text", i);
    }
    return rc;
}

static bool has_option(const struct fs_maker *maker, const char *name)
{
    for (size_t i = 0; i < maker->n_options; i++) {
        if (strcmp(maker->options[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Does the image have the owners that the tree has? */
static bool keeps_owners(const struct tree_changes *changes, const struct fs_maker *maker, json_t *options)
{
    const char *owner = json_string_value(json_object_get(options, "owner"));
    return !has_option(maker, "owner") || (owner != NULL ? strcmp(owner, "keep") == 0 : changes->owners_kept);
}

static int add_nodes(const struct tree_changes *changes, const struct fs_maker *maker, json_t *options,
                     struct tree *tree, enum tree_change *ret_at, struct plat_err *err)
{
    struct texts texts = {0};
    bool owned = false;
    int rc = 0;
    *ret_at = CHANGE_OPTION_NODE;
    if (has_option(maker, "node"))
        rc = texts_of_option(&texts, json_object_get(options, "node"), err);
    if (rc == 0 && changes->nodes != NULL)
        *ret_at = CHANGE_NODES;
    for (size_t i = 0; rc == 0 && changes->nodes != NULL && changes->nodes[i] != NULL; i++)
        rc = texts_add(&texts, changes->nodes[i], strlen(changes->nodes[i]), err);
    if (rc == 0 && texts.n > 0)
        rc = tree_add_nodes(tree, texts.items, texts.n, &owned, err);
    if (rc == 0 && owned && (changes->all_root || !keeps_owners(changes, maker, options)))
        rc = err_set(err, PLAT_EINVALID,
                     "a node has an owner, and everything would belong to 0:0: %s, or leave the owner out",
                     changes->all_root ? "do not give everything to root" : "set the option owner to keep");
    free(texts.items);
    arena_free(&texts.arena);
    return rc;
}

int tree_changes_apply(const struct tree_changes *changes, const struct fs_maker *maker, json_t *options,
                       struct tree *tree, enum tree_change *ret_at, struct plat_err *err)
{
    const char *owner = json_string_value(json_object_get(options, "owner"));
    *ret_at = CHANGE_ALL_ROOT;
    if (changes->all_root && owner != NULL && strcmp(owner, "keep") == 0)
        return err_set(
            err, PLAT_EINVALID,
            "everything is to belong to root, and the option owner says keep: leave out one of them");
    if (changes->all_root)
        tree_own_all(tree, 0, 0);
    *ret_at = CHANGE_MODE;
    int rc = changes->mode != NULL ? tree_change_modes(tree, changes->mode, err) : 0;
    return rc == 0 ? add_nodes(changes, maker, options, tree, ret_at, err) : rc;
}
