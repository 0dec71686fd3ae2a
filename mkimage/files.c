#include "mkimage/files.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/text.h"

enum { NS_PER_S = 1000000000, MODE_MAX = 07777 };

/* ---- finding the filesystem ---- */

/* "data:/etc/motd": the layer, and the path behind the colon. Other texts are paths as they stand. */
static const char *split_path(const struct files *files, const char *text, struct stack_layer **ret)
{
    const char *colon = text[0] == '/' ? NULL : strstr(text, ":/");
    *ret =
        colon != NULL && colon > text ? stack_layer_named(files->stack, text, (size_t)(colon - text)) : NULL;
    return *ret != NULL ? colon + 1 : text;
}

static int not_writable(const struct fs_driver *driver, struct plat_err *err)
{
    struct strbuf names = {0};
    for (size_t i = 0; i < n_fs_drivers; i++)
        if (fs_drivers[i]->writer != NULL)
            strbuf_printf(&names, "%s%s", names.len > 0 ? ", " : "", fs_drivers[i]->name);
    const char *list = names.len > 0 ? strbuf_str(&names) : "none";
    const bool store = driver != NULL && strcmp(driver->name, "caposst1") == 0;
    int rc = store
                 ? err_set(err, PLAT_EUNSUPPORTED, "a store holds objects, which plat store puts and deletes")
             : driver != NULL
                 ? err_set(err, PLAT_EUNSUPPORTED,
                           "%s images are not changed in place yet: make it anew with plat mk or plat build "
                           "(changed in place: %s)",
                           driver->name, list)
                 : err_set(err, PLAT_EUNSUPPORTED,
                           "no filesystem that can be changed is in it (changed in place: %s)", list);
    strbuf_free(&names);
    return rc;
}

/* The only filesystem that can be changed. */
static int only_layer(struct stack *stack, struct stack_layer **ret, struct plat_err *err)
{
    struct stack_layer *found = NULL;
    const struct fs_driver *other = NULL;
    for (size_t i = 0; i < stack->n_layers; i++) {
        struct stack_layer *layer = &stack->layers[i];
        if (layer->driver == NULL || layer->driver->partitions != NULL)
            continue;
        if (layer->driver->writer == NULL) {
            other = layer->driver;
            continue;
        }
        if (found != NULL)
            return err_set(err, PLAT_EINVALID,
                           "more than one filesystem in it can be changed: name the partition with -p");
        found = layer;
    }
    if (found == NULL)
        return not_writable(other, err);
    *ret = found;
    return 0;
}

static int find_layer(struct files *files, const char *const *paths, size_t n_paths, struct plat_err *err)
{
    struct stack_layer *found = NULL;
    for (size_t i = 0; i < n_paths; i++) {
        struct stack_layer *layer;
        (void)split_path(files, paths[i], &layer);
        if (layer != NULL && found != NULL && layer != found)
            return err_set(err, PLAT_EINVALID, "the paths lie in different partitions: one at a time");
        if (layer != NULL)
            found = layer;
    }
    int rc = found == NULL ? only_layer(files->stack, &found, err) : 0;
    if (rc != 0 || found == NULL)
        return rc;
    if (found->driver == NULL || found->driver->writer == NULL)
        return not_writable(found->driver, err);
    files->layer = found;
    files->driver = found->driver;
    return 0;
}

int files_enter(struct files *files, const char *const *paths, size_t n_paths, struct plat_err *err)
{
    const struct stack_options options = {.partition = cli_text(files->cli, "partition"), .degraded = true};
    int rc = dev_open_file(files->image, true, &files->dev, err);
    /* The lock comes before anything is read: what was read before another writer's commit would be stale. */
    if (rc == 0)
        rc = dev_lock(files->dev, err);
    if (rc == 0)
        rc = stack_open(files->dev, &options, &files->stack, err);
    return rc == 0 ? find_layer(files, paths, n_paths, err) : rc;
}

int files_begin(struct files *files, struct plat_err *err)
{
    const struct fs_open_options options = {.writable = true, .sector_bytes = files->stack->sector_bytes};
    return fs_open(files->driver, files->layer->dev, &options, &files->fs, err);
}

void files_leave(struct files *files)
{
    if (files->fs != NULL)
        fs_close(files->fs);
    if (files->stack != NULL)
        stack_close(files->stack);
    dev_close(files->dev);
    files->fs = NULL;
    files->stack = NULL;
    files->dev = NULL;
}

/* What was staged is given up. The next writer would clear what that left in free blocks: be the next writer. */
static void give_up(struct files *files, int class)
{
    fs_close(files->fs);
    files->fs = NULL;
    if (class != PLAT_EIO && class != PLAT_ECORRUPT && files_begin(files, NULL) == 0)
        (void)files->driver->writer->finish(files->fs, NULL);
}

int files_run(const struct cli *cli, const char *const *paths, size_t n_paths,
              int (*change)(struct files *files, struct plat_err *err))
{
    struct files files = {.cli = cli, .image = cli->args[0]};
    struct plat_err err = {0};
    int code = EXIT_YES;
    int rc = files_enter(&files, paths, n_paths, &err);
    if (rc == 0)
        rc = files_begin(&files, &err);
    if (rc == 0) {
        rc = change(&files, &err);
        if (rc == 0)
            rc = files.driver->writer->finish(files.fs, &err);
        if (rc != 0)
            give_up(&files, rc);
    }
    files_leave(&files);
    if (rc != 0) {
        err_image(&err, files.image);
        code = cli_fail(cli, &err);
        code = files.no ? EXIT_NO : code;
    }
    return cli_finish(cli, code);
}

/* ---- paths ---- */

int files_blame(struct plat_err *err, const char *name)
{
    struct strbuf visible = {0};
    strbuf_visible(&visible, name, strlen(name));
    int rc = err_prefix(err, "'%.200s'", strbuf_str(&visible));
    strbuf_free(&visible);
    return rc;
}

/* "'/a/b': why" for the first n bytes of the path. */
static int refuse(struct files *files, const struct strbuf *path, size_t n, struct plat_err *err, int class,
                  const char *why)
{
    struct strbuf visible = {0};
    strbuf_puts(&visible, "/");
    strbuf_visible(&visible, strbuf_str(path), n);
    int rc = err_set(err, class, "'%.300s': %s", strbuf_str(&visible), why);
    strbuf_free(&visible);
    files->no = true;
    return rc;
}

int files_no(struct files *files, const struct files_place *place, struct plat_err *err, int class,
             const char *why)
{
    return refuse(files, &place->path, place->path.len, err, class, why);
}

int files_lookup(struct files *files, const struct fs_place *at, bool *ret_exists, uint64_t *ret_node,
                 enum tree_kind *ret_kind, struct plat_err *err)
{
    struct plat_err inner = {0};
    struct fs_stat stat;
    uint64_t node = 0;
    int rc = files->fs->driver->lookup(files->fs, at->dir, at->name, &node, &inner);
    if (rc == 0)
        rc = files->fs->driver->stat(files->fs, node, &stat, &inner);
    else if (rc == PLAT_ENOTFOUND) {
        *ret_exists = false;
        return 0;
    }
    if (rc != 0) {
        if (err != NULL)
            *err = inner;
        return rc;
    }
    *ret_exists = true;
    *ret_node = node;
    *ret_kind = stat.kind;
    return 0;
}

/* "//a/./b/" becomes "a/b". */
static int tidy(const char *text, struct files_place *ret, struct plat_err *err)
{
    size_t n = strlen(text);
    ret->names_directory = n > 0 && (text[n - 1] == '/' || (n > 1 && strcmp(text + n - 2, "/.") == 0));
    while (*text != '\0') {
        n = strcspn(text, "/");
        if (n == 2 && memcmp(text, "..", 2) == 0)
            return err_set(err, PLAT_EINVALID, "paths inside an image start at its root and have no '..'");
        if (n > 0 && !(n == 1 && text[0] == '.')) {
            strbuf_puts(&ret->path, ret->path.len > 0 ? "/" : "");
            strbuf_add(&ret->path, text, n);
        }
        text += n;
        text += *text == '/';
    }
    return ret->path.failed ? err_nomem(err, "reading a path") : 0;
}

int files_find(struct files *files, const char *text, struct files_place *ret, struct plat_err *err)
{
    struct stack_layer *layer;
    int rc = tidy(split_path(files, text, &layer), ret, err);
    if (rc == 0)
        rc = files->fs->driver->root(files->fs, &ret->node, err);
    ret->exists = true;
    ret->kind = TREE_DIR;
    ret->at = (struct fs_place){ret->node, ""};
    if (rc != 0 || ret->path.len == 0)
        return rc;
    /* Names are cut out of a path in place: the slash behind one is put back. */
    char *at = ret->path.s;
    for (;;) {
        const size_t so_far = at == ret->path.s ? 0 : (size_t)(at - ret->path.s) - 1, n = strcspn(at, "/");
        const char end = at[n];
        if (ret->kind != TREE_DIR)
            return refuse(files, &ret->path, so_far, err, PLAT_ENOTFOUND, "it is not a directory");
        ret->at = (struct fs_place){ret->node, at};
        at[n] = '\0';
        rc = files_lookup(files, &ret->at, &ret->exists, &ret->node, &ret->kind, err);
        at[n] = end;
        if (rc != 0)
            return rc;
        if (end == '\0')
            break;
        if (!ret->exists)
            return refuse(files, &ret->path, (size_t)(at - ret->path.s) + n, err, PLAT_ENOTFOUND,
                          "there is no such directory");
        at += n + 1;
    }
    if (ret->exists && ret->names_directory && ret->kind != TREE_DIR)
        return files_no(files, ret, err, PLAT_ENOTFOUND, "it is not a directory");
    return 0;
}

void files_place_free(struct files_place *place)
{
    strbuf_free(&place->path);
}

/* ---- options ---- */

int files_times(const struct cli *cli, struct fs_time *ret_created, enum fs_clock *ret_clock,
                struct plat_err *err)
{
    const char *created = cli_text(cli, "created"), *clock = cli_text(cli, "clock");
    const enum fs_clock named = clock == NULL                      ? FS_CLOCK_UNKNOWN
                                : strcmp(clock, "ntp-synced") == 0 ? FS_CLOCK_NTP_SYNCED
                                : strcmp(clock, "stated") == 0     ? FS_CLOCK_STATED
                                                                   : FS_CLOCK_UNTRUSTED;
    const enum fs_clock stated = clock != NULL ? named : FS_CLOCK_STATED;
    struct fs_time time = {FS_CLOCK_UNKNOWN, 0};
    uint64_t seconds;
    if (created != NULL && strcmp(created, "now") == 0) {
        struct timespec now;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        time = (struct fs_time){clock != NULL ? named : FS_CLOCK_UNTRUSTED,
                                (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec};
    } else if (created != NULL && strcmp(created, "unknown") != 0) {
        if (parse_u64(created, &seconds, NULL) != 0 || seconds > INT64_MAX / NS_PER_S)
            return err_set(
                err, PLAT_EINVALID,
                "--created: expected now, unknown or seconds since 1970 up to %lld, found \"%.40s\"",
                (long long)(INT64_MAX / NS_PER_S), created);
        time = (struct fs_time){stated, (int64_t)seconds * NS_PER_S};
    }
    *ret_created = time;
    *ret_clock = stated;
    return 0;
}

int files_mode(const struct cli *cli, bool *ret_has, uint32_t *ret, struct plat_err *err)
{
    const char *text = cli_text(cli, "mode");
    *ret_has = false;
    if (text == NULL)
        return 0;
    size_t n = strlen(text);
    uint32_t mode = 0;
    for (size_t i = 0; i < n && i < 8; i++)
        mode = mode * 8 + (uint32_t)(unsigned char)text[i] - '0';
    if (n == 0 || n > 7 || strspn(text, "01234567") != n || mode > MODE_MAX)
        return err_set(err, PLAT_EINVALID, "--mode: expected octal permissions such as 644, found \"%.40s\"",
                       text);
    *ret = mode;
    *ret_has = true;
    return 0;
}
