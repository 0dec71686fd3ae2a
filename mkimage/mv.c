/* plat mv: a file or directory of an image gets another name or place. */
#include <string.h>

#include "mkimage/commands.h"
#include "mkimage/files.h"

/* Whether the directory that `to` lies in is `node`, or lies below it: then every way down to it has the path of
 * `node` before it. */
static bool below(const struct files_place *from, const struct files_place *to)
{
    const size_t n = from->path.len;
    return to->path.len > n && memcmp(to->path.s, from->path.s, n) == 0 && to->path.s[n] == '/';
}

static int move(struct files *files, const struct files_place *from, const struct files_place *to,
                struct plat_err *err)
{
    if (from->path.len == 0)
        return err_set(err, PLAT_EINVALID, "the root directory cannot be moved");
    if (!from->exists)
        return files_no(files, from, err, PLAT_ENOTFOUND, "no such file or directory");
    const bool into = to->exists && to->kind == TREE_DIR;
    const bool same = into && to->node == from->node;
    if (from->kind == TREE_DIR && (same || below(from, to)))
        return files_no(files, from, err, PLAT_EINVALID, "a directory cannot be moved into itself");
    if (!into && to->names_directory && from->kind != TREE_DIR)
        return files_no(files, to, err, PLAT_ENOTFOUND, "there is no such directory");
    if (!into && to->exists && from->kind == TREE_DIR)
        return files_no(files, to, err, PLAT_EINVALID, "a file is there, which a directory does not replace");
    const struct fs_place at = into ? (struct fs_place){to->node, from->at.name} : to->at;
    bool there = false;
    uint64_t node = 0;
    enum tree_kind kind = TREE_FILE;
    int rc = files_lookup(files, &at, &there, &node, &kind, err);
    if (rc == 0 && there && into && node != from->node && (kind == TREE_DIR) != (from->kind == TREE_DIR))
        return files_no(files, to, err, PLAT_EINVALID,
                        kind == TREE_DIR
                            ? "it holds a directory of that name, which a file does not replace"
                            : "it holds a file of that name, which a directory does not replace");
    if (rc == 0)
        rc = files->driver->writer->rename(files->fs, &from->at, &at, err);
    /* What is left to refuse is a directory with something in it. */
    files->no = files->no || (rc == PLAT_EINVALID && there);
    return rc == 0 ? 0 : files_blame(err, files->cli->args[2]);
}

static int change(struct files *files, struct plat_err *err)
{
    struct files_place from = {0}, to = {0};
    int rc = files_find(files, files->cli->args[1], &from, err);
    if (rc == 0)
        rc = files_find(files, files->cli->args[2], &to, err);
    if (rc == 0)
        rc = move(files, &from, &to, err);
    files_place_free(&from);
    files_place_free(&to);
    return rc;
}

static int run(struct cli *cli)
{
    return files_run(cli, cli->args + 1, cli->n_args - 1, change);
}

static const struct option_desc options_table[] = {FILES_PARTITION_OPTION};

const struct command command_mv = {
    .name = "mv",
    .group = "Files",
    .summary = "move or rename files in an image, in place",
    .synopsis = "IMAGE FROM TO",
    .doc =
        "Moves FROM, a file or directory of the filesystem in IMAGE, into TO where that is a directory, else "
        "to "
        "the\n"
        "name TO. A file, or an empty directory, that is there under the new name is replaced. Whenever the "
        "power\n"
        "is cut, exactly one of the two names leads to it.\n"
        "\n"
        "Exit code: 0; 1 FROM is not there, or TO is in the way; 2 it could not be done. Where it is not 0, "
        "nothing\n"
        "was changed.\n",
    .examples = "  plat mv data.img /etc/motd.new /etc/motd\n"
                "  plat mv disk.img data:/tmp/report data:/home\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 3,
    .max_args = 3,
    .complete = COMPLETE_FILE,
    .run = run,
};
