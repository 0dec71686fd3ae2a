/* `files` and `overrides` of a partition or a pack. */
#include "mkimage/recipe_read.h"

#include <string.h>

/* "attributes": ["read-only", "hidden"] */
static void read_file_attributes(struct reader *r, const struct node *node, struct recipe_override *ret)
{
    static const struct {
        const char *name;
        uint16_t bit;
    } known[] = {{"read-only", FILE_READ_ONLY}, {"hidden", FILE_HIDDEN}, {"system", FILE_SYSTEM}};
    const char *const *names = NULL;
    read_texts(r, node, "attributes", &names);
    if (names == NULL)
        return;
    for (size_t i = 0; names[i] != NULL; i++) {
        size_t k = 0;
        while (k < 3 && strcmp(known[k].name, names[i]) != 0)
            k++;
        if (k == 3) {
            struct node list = {NULL, recipe_path_key(r->recipe, node->path, "attributes")}, item;
            read_element(r, &list, i, &item);
            read_fail(r, item.path, "expected read-only, hidden or system, found \"%.40s\"", names[i]);
            return;
        }
        ret->set.attributes = (uint16_t)(ret->set.attributes | known[k].bit);
    }
    ret->set.has_attributes = true;
    ret->any = true;
}

/* mode, uid, gid, time, attributes: of an override, or of a file entry itself. */
static void read_metadata(struct reader *r, const struct node *node, struct recipe_override *ret)
{
    uint64_t uid = 0, gid = 0;
    ret->path = node->path;
    read_mode(r, node, "mode", &ret->set.has_mode, &ret->set.mode);
    read_number(r, node, "uid", UINT32_MAX - 1, &ret->set.has_uid, &uid);
    read_number(r, node, "gid", UINT32_MAX - 1, &ret->set.has_gid, &gid);
    read_time(r, node, "time", &ret->set.has_mtime, &ret->set.mtime_s);
    ret->set.uid = (uint32_t)uid;
    ret->set.gid = (uint32_t)gid;
    ret->any = ret->set.has_mode || ret->set.has_uid || ret->set.has_gid || ret->set.has_mtime;
    read_file_attributes(r, node, ret);
}

static void read_overrides(struct reader *r, const struct node *owner, struct recipe_overrides *ret)
{
    static const char *const known[] = {"comment", "match", "mode", "uid", "gid", "time", "attributes", NULL};
    struct node array, item;
    size_t n;
    if (!read_array(r, owner, "overrides", SIZE_MAX, &array, &n))
        return;
    ret->items = read_alloc(r, n + 1, sizeof *ret->items);
    if (ret->items == NULL)
        return;
    for (size_t i = 0; i < n && r->ret == 0; i++) {
        struct recipe_override *override = &ret->items[i];
        const char *comment = NULL;
        read_element(r, &array, i, &item);
        read_keys(r, &item, known);
        read_text(r, &item, "comment", &comment);
        read_word(r, &item, "match", &override->match);
        read_metadata(r, &item, override);
        if (override->match == NULL)
            read_fail(r, item.path, "an override needs \"match\": a pattern such as \"**/*.sh\"");
        if (!override->any)
            read_fail(r, item.path, "changes nothing; give mode, uid, gid, time or attributes");
        ret->n = i + 1;
    }
}

static void read_pack(struct reader *r, const struct node *node, unsigned depth, struct recipe_pack **ret)
{
    static const char *const known[] = {"comment", "format",   "options",   "files", "mode",
                                        "nodes",   "all_root", "overrides", NULL};
    if (depth >= RECIPE_MAX_PACK_DEPTH) {
        read_fail(r, node->path, "packs are nested deeper than %d levels", RECIPE_MAX_PACK_DEPTH);
        return;
    }
    struct recipe_pack *pack = read_alloc(r, 1, sizeof *pack);
    const char *comment = NULL;
    if (pack == NULL)
        return;
    pack->path = node->path;
    read_keys(r, node, known);
    read_text(r, node, "comment", &comment);
    read_word(r, node, "format", &pack->format);
    read_object(r, node, "options", &pack->options);
    read_tree(r, node, depth + 1, &pack->tree);
    if (r->ret == 0 && pack->format == NULL)
        read_fail(r, node->path, "a pack needs \"format\", for example \"cpio\" or \"tar\"");
    if (r->ret == 0 && pack->tree.n_files == 0)
        read_fail(r, node->path, "a pack needs \"files\" with at least one entry");
    *ret = pack;
}

/* Which of the keys that say what a file holds is there; exactly one must be. */
static const char *source_key(struct reader *r, const struct node *node)
{
    static const char *const keys[] = {"from", "text", "hex", "symlink", "mkdir", "pack", NULL};
    const char *found = NULL;
    for (size_t i = 0; keys[i] != NULL; i++) {
        if (!read_has(node, keys[i]))
            continue;
        if (found != NULL) {
            read_fail(r, node->path,
                      "expected one of from, text, hex, symlink, mkdir, pack; found both %s and %s", found,
                      keys[i]);
            return NULL;
        }
        found = keys[i];
    }
    if (found == NULL)
        read_fail(r, node->path, "needs one of: from, text, hex, symlink, mkdir, pack");
    return found;
}

static void read_source(struct reader *r, const struct node *node, unsigned depth, const char *key,
                        struct recipe_file *ret)
{
    struct node member;
    if (strcmp(key, "from") == 0) {
        ret->kind = RECIPE_FROM;
        read_word(r, node, key, &ret->from);
    } else if (strcmp(key, "text") == 0) {
        const char *text = "";
        ret->kind = RECIPE_LITERAL;
        read_text(r, node, key, &text);
        ret->bytes = (const uint8_t *)text;
        ret->n_bytes = strlen(text);
    } else if (strcmp(key, "hex") == 0) {
        ret->kind = RECIPE_LITERAL;
        read_hex(r, node, key, &ret->bytes, &ret->n_bytes);
    } else if (strcmp(key, "symlink") == 0) {
        ret->kind = RECIPE_SYMLINK;
        read_word(r, node, key, &ret->link_target);
    } else if (strcmp(key, "mkdir") == 0) {
        bool make = true;
        ret->kind = RECIPE_MKDIR;
        read_bool(r, node, key, &make);
        if (r->ret == 0 && !make)
            read_fail(r, recipe_path_key(r->recipe, node->path, key),
                      "expected true; remove the entry instead");
    } else if (read_member(r, node, key, &member)) {
        ret->kind = RECIPE_PACK;
        read_pack(r, &member, depth, &ret->pack);
    }
}

/* A target names a place inside the image: no "..", no empty components. */
static void check_target(struct reader *r, const struct node *node, const char *to)
{
    const char *path = recipe_path_key(r->recipe, node->path, "to");
    if (strlen(to) > TREE_MAX_PATH_BYTES) {
        read_fail(r, path, "is longer than %d bytes", TREE_MAX_PATH_BYTES);
        return;
    }
    for (const char *s = to; *s != '\0';) {
        size_t n = strcspn(s, "/");
        if (n == 2 && memcmp(s, "..", 2) == 0)
            read_fail(r, path, "must not contain \"..\", found \"%.200s\"", to);
        if (n == 1 && s[0] == '.')
            read_fail(r, path, "must not contain \".\" as a component, found \"%.200s\"", to);
        if (n == 0 && s != to)
            read_fail(r, path, "must not contain an empty component (\"//\"), found \"%.200s\"", to);
        s += n;
        if (*s == '/')
            s++;
    }
}

static void read_file(struct reader *r, const struct node *node, unsigned depth, struct recipe_file *ret)
{
    static const char *const known[] = {
        "comment", "to",  "from", "as",   "text",       "hex",     "symlink",   "mkdir",        "pack",
        "mode",    "uid", "gid",  "time", "attributes", "exclude", "overrides", "exclude_from", NULL};
    static const char *const as_names[] = {"file", "directory", "archive", "manifest", NULL};
    size_t as = SIZE_MAX;
    const char *comment = NULL;
    ret->path = node->path;
    read_keys(r, node, known);
    const char *key = r->ret == 0 ? source_key(r, node) : NULL;
    if (key == NULL)
        return;
    read_text(r, node, "comment", &comment);
    read_word(r, node, "to", &ret->to);
    read_source(r, node, depth, key, ret);
    read_choice(r, node, "as", as_names, &as);
    read_texts(r, node, "exclude", &ret->exclude);
    read_word(r, node, "exclude_from", &ret->exclude_from);
    read_metadata(r, node, &ret->self);
    read_overrides(r, node, &ret->overrides);
    if (r->ret != 0)
        return;
    if (as != SIZE_MAX)
        ret->as = (enum recipe_as)(RECIPE_AS_FILE + as);
    if (ret->to != NULL)
        check_target(r, node, ret->to);
    if (ret->kind != RECIPE_FROM) {
        static const char *const only_from[] = {"as", "exclude", "exclude_from", "overrides", NULL};
        for (size_t i = 0; only_from[i] != NULL; i++)
            if (read_has(node, only_from[i]))
                read_fail(r, recipe_path_key(r->recipe, node->path, only_from[i]),
                          "goes with \"from\" only, not with \"%s\"", key);
        if (ret->to == NULL)
            read_fail(r, node->path, "needs \"to\": the path that \"%s\" makes", key);
        else if (ret->to[strspn(ret->to, "/")] == '\0' ||
                 (ret->kind != RECIPE_MKDIR && ret->to[strlen(ret->to) - 1] == '/'))
            read_fail(r, recipe_path_key(r->recipe, node->path, "to"),
                      "expected the path of the new entry, found \"%.80s\"", ret->to);
    }
}

void read_tree(struct reader *r, const struct node *owner, unsigned pack_depth, struct recipe_tree *ret)
{
    struct node array, item;
    size_t n;
    read_overrides(r, owner, &ret->overrides);
    read_word(r, owner, "mode", &ret->changes.mode);
    read_bool(r, owner, "all_root", &ret->changes.all_root);
    read_texts(r, owner, "nodes", &ret->changes.nodes);
    ret->changes.owners_kept = true; /* recipe_options */
    if (!read_array(r, owner, "files", SIZE_MAX, &array, &n))
        return;
    ret->files = read_alloc(r, n + 1, sizeof *ret->files);
    if (ret->files == NULL)
        return;
    for (size_t i = 0; i < n && r->ret == 0; i++) {
        read_element(r, &array, i, &item);
        read_file(r, &item, pack_depth, &ret->files[i]);
        ret->n_files = i + 1;
    }
}
