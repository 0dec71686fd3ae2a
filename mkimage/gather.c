/* Gathering trees: see gather.h. */
#include "mkimage/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io/dev.h"

/* The unlinked file that holds a pack. */
struct gather_pack {
    struct gather_pack *next;
    int fd;
    char host_path[32]; /* "/proc/self/fd/7" */
};

void gather_init(struct gather *gather, struct recipe *recipe, const struct tree_options *options)
{
    *gather = (struct gather){.recipe = recipe, .options = *options};
    gather->options.exclude = NULL;
}

void gather_close(struct gather *gather)
{
    while (gather->packs != NULL) {
        struct gather_pack *pack = gather->packs;
        gather->packs = pack->next;
        if (pack->fd >= 0)
            (void)close(pack->fd);
        free(pack);
    }
}

/* ---- names ---- */

/* A target without slashes at its ends. */
static const char *trimmed(struct recipe *recipe, const char *to)
{
    while (*to == '/')
        to++;
    size_t n = strlen(to);
    while (n > 0 && to[n - 1] == '/')
        n--;
    return arena_strndup(&recipe->arena, to, n);
}

/* `base` literally, then "/" and `pattern`; either may be empty. */
static const char *pattern_under(struct recipe *recipe, const char *base, const char *pattern)
{
    char *text = arena_bytes(&recipe->arena, strlen(base) * 3 + strlen(pattern) + 2), *at = text;
    if (text == NULL)
        return NULL;
    for (; *base != '\0'; base++) {
        bool special = strchr("*?[", *base) != NULL;
        if (special)
            *at++ = '[';
        *at++ = *base;
        if (special)
            *at++ = ']';
    }
    if (at != text && *pattern != '\0')
        *at++ = '/';
    (void)strcpy(at, pattern);
    return text;
}

static const char *const archive_endings[] = {".tar",     ".tar.gz",  ".tar.xz",   ".tar.zst", ".tar.bz2",
                                              ".tgz",     ".txz",     ".tzst",     ".tbz2",    ".cpio",
                                              ".cpio.gz", ".cpio.xz", ".cpio.zst", ".zip",     NULL};
static const char *const manifest_endings[] = {".mtree", NULL};

static bool named_like(const char *name, const char *const *endings)
{
    size_t n = strlen(name);
    for (size_t i = 0; endings[i] != NULL; i++) {
        size_t m = strlen(endings[i]);
        if (n > m && strcasecmp(name + n - m, endings[i]) == 0)
            return true;
    }
    return false;
}

/* What `from` is: the recipe says so, or the host does. A file whose name is an archive's is unpacked only
 * where the target is a directory ("to" absent or with a slash at its end), so that an initrd.cpio can be
 * stored as a file. */
static int decide_kind(struct gather *gather, const struct recipe_file *file, const char *host,
                       enum recipe_as *ret, struct plat_err *err)
{
    struct stat st;
    const char *path = recipe_path_key(gather->recipe, file->path, "from");
    if (stat(host, &st) != 0)
        return recipe_fail(gather->recipe, path, err, "cannot read %.300s: %s", host, strerror(errno));
    if (gather->options.output != NULL &&
        output_is_not(gather->options.output, host, "a source of this disk", err) != 0)
        return recipe_blame(gather->recipe, path, err);
    bool directory = S_ISDIR(st.st_mode), regular = S_ISREG(st.st_mode);
    if (!directory && !regular)
        return recipe_fail(gather->recipe, path, err, "expected a file or a directory, %.300s is neither",
                           host);
    bool into = file->to == NULL || file->to[strlen(file->to) - 1] == '/';
    enum recipe_as as = file->as;
    if (as == RECIPE_AS_AUTO)
        as = directory                                    ? RECIPE_AS_DIRECTORY
             : into && named_like(host, manifest_endings) ? RECIPE_AS_MANIFEST
             : into && named_like(host, archive_endings)  ? RECIPE_AS_ARCHIVE
                                                          : RECIPE_AS_FILE;
    if ((as == RECIPE_AS_DIRECTORY) != directory)
        return recipe_fail(gather->recipe, path, err, "expected %s, %.300s is a %s",
                           as == RECIPE_AS_DIRECTORY ? "a directory" : "a file", host,
                           directory ? "directory" : "file");
    *ret = as;
    return 0;
}

/* ---- metadata ---- */

static int apply_override(struct gather *gather, struct tree *tree, const struct recipe_override *override,
                          const char *base, struct plat_err *err)
{
    if (!override->any)
        return 0;
    struct tree_override set = override->set;
    set.pattern = pattern_under(gather->recipe, base, override->match != NULL ? override->match : "");
    if (set.pattern == NULL)
        return err_nomem(err, "reading overrides");
    int ret = tree_apply_override(tree, &set, err);
    if (ret == PLAT_ENOTFOUND) {
        (void)recipe_fail(gather->recipe, override->path, err, "no file matches \"%.300s\"", set.pattern);
        return PLAT_EINVALID;
    }
    return ret == 0 ? 0 : recipe_blame(gather->recipe, override->path, err);
}

static int apply_overrides(struct gather *gather, struct tree *tree, const struct recipe_overrides *overrides,
                           const char *base, struct plat_err *err)
{
    for (size_t i = 0; i < overrides->n; i++) {
        int ret = apply_override(gather, tree, &overrides->items[i], base, err);
        if (ret != 0)
            return ret;
    }
    return 0;
}

/* Patterns of the entry, over paths below its target. */
static int set_excludes(struct gather *gather, struct tree *tree, const struct recipe_file *file,
                        struct plat_err *err)
{
    struct recipe *recipe = gather->recipe;
    const char *from[] = {NULL, NULL};
    const char *key = "exclude";
    int ret = tree_set_exclude(tree, file->exclude, NULL, err);
    if (ret == 0 && file->exclude_from != NULL) {
        key = "exclude_from";
        from[0] = recipe_host_path(recipe, file->exclude_from);
        ret = from[0] == NULL ? err_nomem(err, "reading the recipe")
                              : tree_set_exclude(tree, file->exclude, from, err);
    }
    return ret == 0 ? 0 : recipe_blame(recipe, recipe_path_key(recipe, file->path, key), err);
}

/* ---- packs ---- */

/* A temporary file that has no name, so that nothing is left behind however plat ends. */
static int open_unnamed(struct plat_err *err)
{
    const char *dir = getenv("TMPDIR");
    if (dir == NULL || dir[0] == '\0')
        dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char name[4096];
    if ((size_t)snprintf(name, sizeof name, "%s/plat-pack-XXXXXX", dir) >= sizeof name)
        return err_set(err, PLAT_ELIMIT, "TMPDIR is too long");
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot make a temporary file in %s", dir);
    (void)unlink(name);
    return fd;
}

static int64_t newest_time(const struct tree_node *root)
{
    int64_t newest = root->mtime_s;
    const struct tree_node *node = root;
    while (node != NULL) {
        if (node->mtime_s > newest)
            newest = node->mtime_s;
        const struct tree_node *next = node->child;
        while (next == NULL && node != root) {
            next = node->next;
            if (next == NULL)
                node = node->parent;
        }
        node = next;
    }
    return newest;
}

/* Gives `pack` an empty file of this size. */
static int open_pack(struct gather_pack *pack, uint64_t size_bytes, struct plat_err *err)
{
    pack->fd = open_unnamed(err);
    if (pack->fd < 0)
        return pack->fd;
    (void)snprintf(pack->host_path, sizeof pack->host_path, "/proc/self/fd/%d", pack->fd);
    if (size_bytes > INT64_MAX || ftruncate(pack->fd, (off_t)size_bytes) != 0)
        return err_sys(err, errno, "cannot make a temporary file of %llu bytes",
                       (unsigned long long)size_bytes);
    return 0;
}

/* A pack is as old as the newest thing in it. */
static int stamp(int fd, int64_t newest_s, struct plat_err *err)
{
    struct timespec times[2] = {{.tv_sec = newest_s}, {.tv_sec = newest_s}};
    if (fchmod(fd, 0644) != 0 || futimens(fd, times) != 0)
        return err_sys(err, errno, "cannot set the time of a temporary file");
    return 0;
}

static int fill_pack(const struct fs_maker *maker, struct make_plan *plan, struct gather_pack *pack,
                     struct plat_err *err)
{
    uint64_t size_bytes;
    struct plat_dev *dev;
    int ret = maker->min_bytes(plan, 0, &size_bytes, err);
    if (ret == 0)
        ret = maker->settle(plan, size_bytes, err);
    if (ret == 0)
        ret = open_pack(pack, size_bytes, err);
    if (ret == 0)
        ret = dev_open_file(pack->host_path, true, &dev, err);
    if (ret != 0)
        return ret;
    ret = maker->write(plan, dev, NULL, err);
    dev_close(dev);
    return ret;
}

/* Packs the tree at once: the makers of what holds the pack may read it while they plan. */
static int make_pack(struct gather *gather, const struct recipe_pack *recipe, struct gather_pack *pack,
                     struct plat_err *err)
{
    const struct fs_driver *driver;
    struct tree *tree = NULL;
    struct make_plan *plan = NULL;
    if (maker_find(recipe->format, &driver, err) != 0)
        return recipe_blame(gather->recipe, recipe_path_key(gather->recipe, recipe->path, "format"), err);
    struct make_options options = {
        .seed = gather->recipe->seed != NULL ? gather->recipe->seed : gather->recipe->digest,
        .sector_bytes = 512,
        .has_time = gather->recipe->has_time,
        .time_s = gather->recipe->time_s,
    };
    int ret = gather_tree(gather, driver->maker, recipe->options, &recipe->tree, recipe->path, &tree, err);
    if (ret != 0)
        return ret;
    ret = recipe_options(driver->maker, recipe->options, &options.extra, err);
    if (ret == 0)
        ret = driver->maker->plan(tree, &options, &plan, err);
    if (ret == 0)
        ret = fill_pack(driver->maker, plan, pack, err);
    if (ret == 0)
        ret = stamp(pack->fd, newest_time(tree_root(tree)), err);
    if (plan != NULL)
        driver->maker->close(plan);
    tree_close(tree);
    json_decref(options.extra);
    return ret == 0 ? 0 : recipe_blame(gather->recipe, recipe->path, err);
}

static int add_pack(struct gather *gather, struct tree *tree, const struct recipe_file *file,
                    const char *target, struct plat_err *err)
{
    struct gather_pack *pack = calloc(1, sizeof *pack);
    if (pack == NULL)
        return err_nomem(err, "planning a pack");
    pack->fd = -1;
    pack->next = gather->packs;
    gather->packs = pack;
    int ret = make_pack(gather, file->pack, pack, err);
    if (ret != 0)
        return ret;
    ret = tree_add_file(tree, target, pack->host_path, err);
    return ret == 0 ? 0 : recipe_blame(gather->recipe, file->path, err);
}

/* ---- entries ---- */

static int add_from(struct gather *gather, struct tree *tree, const struct recipe_file *file,
                    const char **target, struct plat_err *err)
{
    struct recipe *recipe = gather->recipe;
    enum recipe_as as = RECIPE_AS_FILE;
    const char *host = recipe_host_path(recipe, file->from);
    if (host == NULL)
        return err_nomem(err, "reading the recipe");
    int ret = decide_kind(gather, file, host, &as, err);
    if (ret != 0)
        return ret;
    if (as == RECIPE_AS_FILE) {
        if (file->exclude != NULL || file->exclude_from != NULL || file->overrides.n > 0)
            return recipe_fail(recipe, file->path, err,
                               "exclude and overrides go with a directory, an archive or a manifest; %.200s "
                               "is a file (give mode, "
                               "uid, gid, time or attributes on the entry itself)",
                               file->from);
        if (file->to == NULL || file->to[strlen(file->to) - 1] == '/') {
            const char *slash = strrchr(file->from, '/');
            const char *name = slash != NULL ? slash + 1 : file->from;
            struct strbuf whole = {0};
            strbuf_printf(&whole, "%s%s%s", *target, **target == '\0' ? "" : "/", name);
            const char *path = whole.failed ? NULL : arena_strdup(&recipe->arena, strbuf_str(&whole));
            strbuf_free(&whole);
            if (path == NULL)
                return err_nomem(err, "reading the recipe");
            *target = path;
        }
        ret = tree_add_file(tree, *target, host, err);
    } else {
        ret = set_excludes(gather, tree, file, err);
        if (ret != 0)
            return ret;
        const char *into = **target == '\0' ? "/" : *target;
        ret = as == RECIPE_AS_DIRECTORY  ? tree_add_directory(tree, into, host, err)
              : as == RECIPE_AS_MANIFEST ? tree_add_manifest(tree, into, host, err)
                                         : tree_add_archive(tree, into, host, err);
        if (ret == 0)
            ret = tree_set_exclude(tree, NULL, NULL, err);
    }
    return ret == 0 ? 0 : recipe_blame(recipe, recipe_path_key(recipe, file->path, "from"), err);
}

static int add_file(struct gather *gather, struct tree *tree, const struct recipe_file *file,
                    struct plat_err *err)
{
    const char *target = trimmed(gather->recipe, file->to != NULL ? file->to : "");
    int ret = 0;
    if (target == NULL)
        return err_nomem(err, "reading the recipe");
    switch (file->kind) {
    case RECIPE_FROM:
        ret = add_from(gather, tree, file, &target, err);
        break;
    case RECIPE_PACK:
        ret = add_pack(gather, tree, file, target, err);
        break;
    case RECIPE_LITERAL:
        ret = tree_add_literal(tree, target, file->bytes, file->n_bytes, err);
        break;
    case RECIPE_SYMLINK:
        ret = tree_add_symlink(tree, target, file->link_target, err);
        break;
    case RECIPE_MKDIR:
        ret = tree_mkdir(tree, target, err);
        break;
    }
    if (ret != 0)
        return file->kind == RECIPE_FROM || file->kind == RECIPE_PACK
                   ? ret
                   : recipe_blame(gather->recipe, file->path, err);
    ret = apply_overrides(gather, tree, &file->overrides, target, err);
    if (ret == 0 && file->self.any && *target == '\0')
        return recipe_fail(
            gather->recipe, file->path, err,
            "mode, uid, gid, time and attributes would apply to the root directory; use \"overrides\"");
    return ret != 0 ? ret : apply_override(gather, tree, &file->self, target, err);
}

/* Mode, owners and nodes of the whole tree. */
static int change_tree(struct gather *gather, const struct fs_maker *maker, json_t *options,
                       const struct tree_changes *changes, const char *path, struct tree *tree,
                       struct plat_err *err)
{
    static const char *const keys[] = {[CHANGE_MODE] = "mode",
                                       [CHANGE_ALL_ROOT] = "all_root",
                                       [CHANGE_NODES] = "nodes",
                                       [CHANGE_OPTION_NODE] = "options.node"};
    enum tree_change at;
    const int ret = tree_changes_apply(changes, maker, options, tree, &at, err);
    return ret == 0 ? 0 : recipe_blame(gather->recipe, recipe_path_key(gather->recipe, path, keys[at]), err);
}

int gather_tree(struct gather *gather, const struct fs_maker *maker, json_t *options,
                const struct recipe_tree *from, const char *path, struct tree **ret, struct plat_err *err)
{
    struct tree *tree;
    struct tree_options tree_options = gather->options;
    maker_tree_options(maker, options, &tree_options);
    int rc = tree_open(&tree_options, &tree, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < from->n_files; i++)
        rc = add_file(gather, tree, &from->files[i], err);
    if (rc == 0)
        rc = change_tree(gather, maker, options, &from->changes, path, tree, err);
    if (rc == 0)
        rc = apply_overrides(gather, tree, &from->overrides, "", err);
    if (rc == 0 && (rc = tree_finish(tree, err)) != 0)
        rc = recipe_blame(gather->recipe, path, err);
    gather->left_out_output = gather->left_out_output || tree_left_out_output(tree);
    if (rc != 0) {
        tree_close(tree);
        return rc;
    }
    *ret = tree;
    return 0;
}
