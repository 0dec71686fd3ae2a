/* plat rm: files and directories of an image go, in place. */
#include <stdlib.h>
#include <string.h>

#include "mkimage/commands.h"
#include "mkimage/files.h"

/* ---- directories, emptied from the bottom ---- */

/* What a directory holds: names, one behind the other with their zeros. */
struct holding {
    struct strbuf names;
    uint64_t *nodes;
    enum tree_kind *kinds;
    size_t n, cap;
};

static int hold(void *ctx, const struct fs_dirent *entry)
{
    struct holding *holding = ctx;
    if (holding->n == holding->cap) {
        size_t cap = holding->cap == 0 ? 64 : 2 * holding->cap;
        uint64_t *nodes = reallocarray(holding->nodes, cap, sizeof *nodes);
        if (nodes != NULL)
            holding->nodes = nodes;
        enum tree_kind *kinds = reallocarray(holding->kinds, cap, sizeof *kinds);
        if (kinds != NULL)
            holding->kinds = kinds;
        if (nodes == NULL || kinds == NULL)
            return PLAT_ENOMEM;
        holding->cap = cap;
    }
    strbuf_add(&holding->names, entry->name, strlen(entry->name) + 1);
    holding->nodes[holding->n] = entry->node;
    holding->kinds[holding->n++] = entry->kind;
    return holding->names.failed ? PLAT_ENOMEM : 0;
}

/* A directory on the way down. */
struct level {
    uint64_t node;
    struct holding holding;
    size_t next;    /* entry */
    size_t name_at; /* of that entry */
};
struct descent {
    struct files *files;
    struct level *levels;
    size_t n, cap;
};

static void descent_free(struct descent *descent)
{
    for (size_t i = 0; i < descent->n; i++) {
        struct holding *holding = &descent->levels[i].holding;
        strbuf_free(&holding->names);
        free(holding->nodes);
        free(holding->kinds);
    }
    free(descent->levels);
}

static int enter(struct descent *descent, uint64_t node, struct plat_err *err)
{
    struct fs *fs = descent->files->fs;
    struct plat_err why = {0};
    for (size_t i = 0; i < descent->n; i++)
        if (descent->levels[i].node == node)
            return err_set(err, PLAT_ECORRUPT, "a directory holds itself: plat verify says more");
    if (descent->n == descent->cap) {
        size_t cap = descent->cap == 0 ? 16 : 2 * descent->cap;
        struct level *levels = reallocarray(descent->levels, cap, sizeof *levels);
        if (levels == NULL)
            return err_nomem(err, "emptying a directory");
        descent->levels = levels;
        descent->cap = cap;
    }
    struct level *level = &descent->levels[descent->n++];
    *level = (struct level){.node = node};
    int rc = fs->driver->readdir(fs, node, hold, &level->holding, &why);
    if (rc == PLAT_ENOMEM)
        return err_nomem(err, "emptying a directory");
    if (rc != 0 && err != NULL)
        *err = why;
    return rc;
}

/* Everything below the directory. */
static int empty(struct files *files, uint64_t dir, struct plat_err *err)
{
    const struct fs_writer *writer = files->driver->writer;
    struct descent descent = {.files = files};
    int rc = enter(&descent, dir, err);
    while (rc == 0 && descent.n > 0) {
        struct level *level = &descent.levels[descent.n - 1];
        struct holding *holding = &level->holding;
        if (level->next < holding->n && holding->kinds[level->next] == TREE_DIR) {
            /* Once it is empty it is removed like the rest, when this level is looked at again. */
            holding->kinds[level->next] = TREE_FILE;
            rc = enter(&descent, holding->nodes[level->next], err);
        } else if (level->next < holding->n) {
            const char *name = holding->names.s + level->name_at;
            rc = writer->remove(files->fs, &(struct fs_place){level->node, name}, err);
            level->name_at += strlen(name) + 1;
            level->next++;
        } else {
            strbuf_free(&holding->names);
            free(holding->nodes);
            free(holding->kinds);
            descent.n--;
        }
    }
    descent_free(&descent);
    return rc;
}

/* ---- the command ---- */

struct first_name {
    bool any;
};
static int any_name(void *ctx, const struct fs_dirent *entry)
{
    (void)entry;
    ((struct first_name *)ctx)->any = true;
    return PLAT_ESTOP;
}

static int remove_one(struct files *files, const struct files_place *place, struct plat_err *err)
{
    struct first_name found = {false};
    int rc = 0;
    if (place->path.len == 0)
        return err_set(err, PLAT_EINVALID, "the root directory cannot be removed");
    if (!place->exists)
        return files_no(files, place, err, PLAT_ENOTFOUND, "no such file or directory");
    if (place->kind == TREE_DIR && cli_flag(files->cli, "recursive")) {
        rc = empty(files, place->node, err);
    } else if (place->kind == TREE_DIR) {
        rc = files->fs->driver->readdir(files->fs, place->node, any_name, &found, err);
        if (found.any)
            return files_no(files, place, err, PLAT_EINVALID,
                            "the directory is not empty; -r removes it with all it holds");
    }
    return rc == 0 ? files->driver->writer->remove(files->fs, &place->at, err) : rc;
}

static int change(struct files *files, struct plat_err *err)
{
    int rc = 0;
    for (size_t i = 1; rc == 0 && i < files->cli->n_args; i++) {
        struct files_place place = {0};
        rc = files_find(files, files->cli->args[i], &place, err);
        if (rc == 0)
            rc = remove_one(files, &place, err);
        files_place_free(&place);
        if (rc != 0 && !files->no)
            (void)files_blame(err, files->cli->args[i]);
    }
    return rc;
}

static int run(struct cli *cli)
{
    return files_run(cli, cli->args + 1, cli->n_args - 1, change);
}

static const struct option_desc options_table[] = {
    FILES_PARTITION_OPTION,
    {.letter = 'r', .name = "recursive", .kind = OPTION_FLAG, .doc = "directories with all they hold"},
};

const struct command command_rm = {
    .name = "rm",
    .group = "Files",
    .summary = "remove files from an image, in place",
    .synopsis = "IMAGE PATH...",
    .doc = "Removes each PATH from the filesystem in IMAGE: files, links, empty directories, and with -r "
           "directories\n"
           "with all they hold. All of it in one commit, which survives a power cut, or nothing.\n"
           "\n"
           "Exit code: 0; 1 a PATH is not there, or not empty; 2 it could not be done. Where it is not 0, "
           "nothing "
           "was\n"
           "changed.\n",
    .examples = "  plat rm data.img /etc/motd\n"
                "  plat rm -r disk.img data:/var/log data:/tmp\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 2,
    .max_args = SIZE_MAX,
    .complete = COMPLETE_FILE,
    .run = run,
};
