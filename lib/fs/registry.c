/* The registry of drivers: look one up, ask them all, open with one, follow a path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fs/driver.h"

const struct fs_driver *fs_driver_find(const char *name)
{
    for (size_t i = 0; i < n_fs_drivers; i++)
        if (strcmp(fs_drivers[i]->name, name) == 0)
            return fs_drivers[i];
    return NULL;
}

int fs_probe_one(const struct fs_driver *driver, struct plat_dev *dev, const struct fs_open_options *options,
                 struct fs_probe_result *ret, struct plat_err *err)
{
    struct fs_probe_result result = {0};
    const struct fs_open_options none = {0};
    if (driver->probe != NULL) {
        struct plat_err inner = {0};
        int rc = driver->probe(dev, options != NULL ? options : &none, &result, &inner);
        /* An image too small or too odd for a format is not of that format; a disk that cannot be read is. */
        if (rc == PLAT_EIO || rc == PLAT_ENOMEM) {
            if (err != NULL)
                *err = inner;
            return rc;
        }
        if (rc != 0)
            result = (struct fs_probe_result){0};
    }
    *ret = result;
    return 0;
}

int fs_probe_all(struct plat_dev *dev, const struct fs_open_options *options, const struct fs_driver **ret,
                 struct fs_probe_result *ret_result, struct plat_err *err)
{
    const struct fs_driver *best = NULL;
    struct fs_probe_result best_result = {0};
    for (size_t i = 0; i < n_fs_drivers; i++) {
        struct fs_probe_result result;
        int rc = fs_probe_one(fs_drivers[i], dev, options, &result, err);
        if (rc != 0)
            return rc;
        if (result.score > best_result.score) {
            best = fs_drivers[i];
            best_result = result;
        }
    }
    *ret = best;
    *ret_result = best_result;
    return 0;
}

/* The layout of a driver over a device; *ret stays NULL for drivers without one. */
static int open_image(const struct fs_driver *driver, struct plat_dev *dev, uint32_t sector_bytes,
                      struct image **ret, struct plat_err *err)
{
    if (driver->layout_name == NULL)
        return 0;
    const struct layout *layout;
    int rc = fs_layout(driver->layout_name, &layout, err);
    if (rc != 0)
        return rc;
    const struct param_setting setting = {.name = "sector_bytes", .value = sector_bytes};
    size_t n = 0;
    for (size_t i = 0; sector_bytes != 0 && i < layout->n_params; i++)
        if (strcmp(layout->params[i].name, setting.name) == 0)
            n = 1;
    return image_open(layout, dev, &setting, n, ret, err);
}

int fs_open(const struct fs_driver *driver, struct plat_dev *dev, const struct fs_open_options *options,
            struct fs **ret, struct plat_err *err)
{
    struct fs_open_options settled = options != NULL ? *options : (struct fs_open_options){0};
    if (driver->open == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "%s images can be made but not opened", driver->name);
    int rc;
    if (settled.sector_bytes == 0) {
        struct fs_probe_result result;
        if ((rc = fs_probe_one(driver, dev, &settled, &result, err)) != 0)
            return rc;
        settled.sector_bytes = result.sector_bytes;
    }
    struct image *image = NULL;
    if ((rc = open_image(driver, dev, settled.sector_bytes, &image, err)) != 0)
        return rc;
    struct fs *fs = NULL;
    if ((rc = driver->open(dev, image, &settled, &fs, err)) != 0) {
        if (image != NULL)
            image_close(image);
        err_image(err, dev->name);
        return rc;
    }
    *ret = fs;
    return 0;
}

void fs_close(struct fs *fs)
{
    if (fs == NULL)
        return;
    struct image *image = fs->image;
    if (fs->driver->close != NULL)
        fs->driver->close(fs);
    if (image != NULL)
        image_close(image);
}

/* One step of fs_resolve: `name` in directory `dir`; `so_far` is the path of `dir` for messages. */
static int resolve_step(struct fs *fs, uint64_t dir, const char *name, const char *so_far, uint64_t *ret,
                        struct plat_err *err)
{
    if (strcmp(name, "..") == 0)
        return err_set(err, PLAT_EINVALID, "paths inside an image start at its root and have no '..'");
    if (fs->driver->stat != NULL) {
        struct fs_stat stat;
        int rc = fs->driver->stat(fs, dir, &stat, err);
        if (rc != 0)
            return rc;
        if (stat.kind != TREE_DIR)
            return err_set(err, PLAT_ENOTFOUND, "'%.200s' is not a directory, so it holds no '%.200s'",
                           so_far, name);
    }
    struct plat_err inner = {0};
    int rc = fs->driver->lookup(fs, dir, name, ret, &inner);
    if (rc == PLAT_ENOTFOUND)
        return err_set(err, rc, "no '%.200s' in '%.200s'", name, so_far[0] == '\0' ? "/" : so_far);
    if (rc != 0 && err != NULL)
        *err = inner;
    return rc;
}

int fs_resolve(struct fs *fs, const char *path, uint64_t *ret_node, struct plat_err *err)
{
    if (fs->driver->root == NULL || fs->driver->lookup == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "%s holds no files", fs->driver->title);
    uint64_t node;
    int rc = fs->driver->root(fs, &node, err);
    if (rc != 0)
        return rc;
    char *copy = strdup(path);
    if (copy == NULL)
        return err_nomem(err, "resolving a path");
    char *at = copy;
    while (rc == 0 && *at != '\0') {
        size_t n = strcspn(at, "/");
        char end = at[n];
        at[n] = '\0';
        if (n > 0 && strcmp(at, ".") != 0) {
            /* What lies before this name, without the slash between them. */
            char *so_far = strndup(path, at > copy ? (size_t)(at - copy) - 1 : 0);
            rc = so_far == NULL ? err_nomem(err, "resolving a path")
                                : resolve_step(fs, node, at, so_far, &node, err);
            free(so_far);
        }
        at += n + (end != '\0');
    }
    free(copy);
    if (rc == 0)
        *ret_node = node;
    return rc;
}
