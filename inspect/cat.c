/* plat cat: contents of files in an image. */
#include <stdlib.h>
#include <string.h>

#include "inspect/commands.h"
#include "inspect/files.h"
#include "inspect/render.h"

static int copy_out(struct fs *fs, const struct file_place *place, struct plat_err *err)
{
    uint8_t *buf = malloc(FILES_READ_BYTES);
    uint64_t at = 0;
    int r = buf == NULL ? err_nomem(err, "reading a file") : 0;
    while (r == 0 && at < place->stat.size_bytes) {
        size_t n = 0;
        r = fs->driver->read(fs, place->node, at, buf, FILES_READ_BYTES, &n, err);
        if (r == 0 && n == 0)
            r = err_set(err, PLAT_ECORRUPT, "its content ends after %llu of %llu bytes",
                        (unsigned long long)at, (unsigned long long)place->stat.size_bytes);
        if (r == 0 && fwrite(buf, 1, n, stdout) < n)
            r = PLAT_ESTOP;
        at += n;
    }
    free(buf);
    return r;
}

static int cat_one(const struct inspect_image *image, const char *path, struct plat_err *err)
{
    struct strbuf tidy = {0};
    struct file_place place;
    int r = file_find(image, path, &tidy, &place, err);
    if (r == 0 && place.stat.kind != TREE_FILE)
        r = err_set(err, PLAT_EINVALID,
                    place.stat.kind == TREE_DIR ? "it is a directory; plat ls lists it"
                    : place.stat.kind == TREE_SYMLINK
                        ? "it is a symbolic link; plat ls -l shows where it leads"
                        : "it is not a file with content");
    if (r == 0)
        r = copy_out(place.layer->fs, &place, err);
    strbuf_free(&tidy);
    if (r != 0 && r != PLAT_ESTOP)
        return err_prefix(err, "%.200s", path);
    return r;
}

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct inspect_image image = {0};
    struct plat_err err = {0};
    int code = EXIT_YES;
    int r = inspect_options_read(cli, false, &options, &err);
    if (r == 0)
        r = inspect_open(cli->args[0], &options, false, &image, &err);
    if (r != 0)
        code = cli_fail(cli, &err);
    /* A file that is missing does not keep the others from being shown. */
    for (size_t i = 1; r == 0 && i < cli->n_args && !ferror(stdout); i++) {
        int one = cat_one(&image, cli->args[i], &err);
        if (one != 0 && one != PLAT_ESTOP) {
            err_image(&err, cli->args[0]);
            code = cli_fail(cli, &err);
        }
    }
    inspect_close(&image);
    inspect_options_free(&options);
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {INSPECT_PARTITION_OPTION};

const struct command command_cat = {
    .name = "cat",
    .group = "Files",
    .summary = "print files from an image",
    .synopsis = "IMAGE FILE...",
    .doc = "Writes the contents of each FILE in IMAGE to standard output, byte for byte, one behind the "
           "other. A disk\n"
           "with a single filesystem needs no -p; FILE may name the partition instead: "
           "esp:/loader/loader.conf.\n"
           "\n"
           "Exit code: 0; 2 when a FILE is missing or cannot be read (the others are still printed).\n",
    .examples = "  plat cat disk.img /loader/loader.conf\n"
                "  plat cat -p esp disk.img /EFI/BOOT/BOOTX64.EFI | sha256sum\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 2,
    .max_args = SIZE_MAX,
    .complete = COMPLETE_FILE,
    .run = run,
};
