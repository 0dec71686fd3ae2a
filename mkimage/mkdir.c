/* plat mkdir: directories of an image, made in place. */
#include <stdlib.h>
#include <string.h>

#include "mkimage/commands.h"
#include "mkimage/files.h"

struct making {
    struct files *files;
    struct fs_new what;
    bool parents;
};

static int make_one(struct making *making, const char *text, struct plat_err *err)
{
    struct files *files = making->files;
    struct files_place place = {0};
    uint64_t node;
    int rc = files_find(files, text, &place, err);
    if (rc == 0 && place.exists && !(making->parents && place.kind == TREE_DIR))
        rc = files_no(files, &place, err, PLAT_EINVALID, "it is there already");
    else if (rc == 0 && !place.exists)
        rc = files->driver->writer->create(files->fs, &place.at, &making->what, &node, err);
    files_place_free(&place);
    return rc == 0 || files->no ? rc : files_blame(err, text);
}

/* "a/b/c": a, then a/b. The partition before a colon stays where it is. */
static int make_parents(struct making *making, const char *text, struct plat_err *err)
{
    char *copy = strdup(text);
    int rc = copy == NULL ? err_nomem(err, "reading a path") : 0;
    char *at = copy;
    while (rc == 0 && (at = strchr(at, '/')) != NULL) {
        bool behind_name = at > copy && at[-1] != '/' && !(at[-1] == ':' && strchr(copy, ':') == at - 1);
        *at = '\0';
        if (behind_name)
            rc = make_one(making, copy, err);
        *at++ = '/';
    }
    free(copy);
    return rc;
}

static int change(struct files *files, struct plat_err *err)
{
    const struct cli *cli = files->cli;
    struct making making = {.files = files, .parents = cli_flag(cli, "parents"), .what = {.kind = TREE_DIR}};
    bool has_mode;
    enum fs_clock clock;
    int rc = files_mode(cli, &has_mode, &making.what.mode, err);
    if (rc == 0)
        rc = files_times(cli, &making.what.created, &clock, err);
    if (rc != 0)
        return rc;
    if (!has_mode)
        making.what.mode = 0755;
    making.what.modified = making.what.created;
    for (size_t i = 1; rc == 0 && i < cli->n_args; i++) {
        if (making.parents)
            rc = make_parents(&making, cli->args[i], err);
        if (rc == 0)
            rc = make_one(&making, cli->args[i], err);
    }
    return rc;
}

static int run(struct cli *cli)
{
    return files_run(cli, cli->args + 1, cli->n_args - 1, change);
}

static const struct option_desc options_table[] = {
    FILES_PARTITION_OPTION,
    {.name = "parents", .kind = OPTION_FLAG, .doc = "the directories above as well; what is there may stay"},
    {.name = "mode",
     .kind = OPTION_TEXT,
     .argument = "OCTAL",
     .doc = "permissions of each directory (755)",
     .complete = COMPLETE_NONE},
    FILES_TIME_OPTIONS("each directory"),
};

const struct command command_mkdir = {
    .name = "mkdir",
    .group = "Files",
    .summary = "make directories in an image, in place",
    .synopsis = "IMAGE PATH...",
    .doc =
        "Makes each PATH a directory of the filesystem in IMAGE. All of them in one commit, which survives a "
        "power\n"
        "cut, or none.\n"
        "\n"
        "Exit code: 0; 1 a PATH is there already, or the directory above is not; 2 it could not be done. "
        "Where "
        "it is\n"
        "not 0, nothing was changed.\n",
    .examples = "  plat mkdir data.img /var /var/log\n"
                "  plat mkdir --parents disk.img data:/srv/www/html\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 2,
    .max_args = SIZE_MAX,
    .complete = COMPLETE_FILE,
    .run = run,
};
