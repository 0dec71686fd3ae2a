/* plat grow: a filesystem gets more room: the image file is enlarged, and the filesystem is told. */
#include <stdio.h>
#include <string.h>

#include "mkimage/commands.h"
#include "mkimage/files.h"

enum { UNIT_BYTES = 512 };

/* SIZE, +SIZE or "max" as the size that `now` bytes are to become. */
static int parse_target(const char *text, uint64_t now, bool file, uint64_t *ret, struct plat_err *err)
{
    uint64_t size_bytes;
    if (strcmp(text, "max") == 0) {
        *ret = align_down_u64(now, UNIT_BYTES);
        return 0;
    }
    const bool relative = text[0] == '+';
    int rc = parse_size(text + relative, &size_bytes, err);
    if (rc != 0)
        return rc;
    if (relative && !file)
        return err_set(err, PLAT_EINVALID,
                       "+SIZE is for image files, which become larger; in a partition give SIZE or max");
    if (relative &&
        (!add_u64(now, size_bytes, &size_bytes) || !align_up_u64(size_bytes, UNIT_BYTES, &size_bytes)))
        return err_set(err, PLAT_EINVALID, "%s is more than 2^64 bytes", text);
    if (size_bytes % UNIT_BYTES != 0)
        return err_set(err, PLAT_EINVALID, "%llu bytes are no multiple of %d", (unsigned long long)size_bytes,
                       UNIT_BYTES);
    *ret = size_bytes;
    return 0;
}

/* The filesystem is all of the image. What a power cut leaves between the two steps is a longer file, in which the
 * filesystem is as it was; the same command goes on from there. */
static int enlarge(struct files *files, uint64_t size_bytes, struct plat_err *err)
{
    const uint64_t before = files->dev->size_bytes;
    if (size_bytes < align_down_u64(before, UNIT_BYTES))
        return err_set(err, PLAT_EINVALID,
                       "the image has %llu bytes, and a filesystem does not shrink in place; extract it and "
                       "make a smaller one",
                       (unsigned long long)before);
    int rc = size_bytes > before ? dev_resize(files->dev, size_bytes, err) : 0;
    if (rc == 0)
        rc = files_begin(files, err);
    if (rc == 0)
        rc = files->driver->writer->grow(files->fs, size_bytes, err);
    /* After an I/O error nobody knows whether it was committed: then the room stays. */
    if (rc != 0 && rc != PLAT_EIO && size_bytes > before)
        (void)dev_resize(files->dev, before, NULL);
    return rc;
}

static int fill_partition(struct files *files, uint64_t size_bytes, struct plat_err *err)
{
    const uint64_t room = files->layer->dev->size_bytes;
    if (size_bytes > room)
        return err_set(err, PLAT_EINVALID,
                       "the partition ends at %llu bytes: build the disk anew with a larger one, or enlarge "
                       "it with a tool for tables",
                       (unsigned long long)room);
    int rc = files_begin(files, err);
    return rc == 0 ? files->driver->writer->grow(files->fs, size_bytes, err) : rc;
}

static int grow(struct files *files, uint64_t *ret_size_bytes, struct plat_err *err)
{
    const bool file = !files->layer->from_table;
    uint64_t size_bytes;
    int rc = parse_target(files->cli->args[1], files->layer->dev->size_bytes, file, &size_bytes, err);
    if (rc == 0)
        rc = file ? enlarge(files, size_bytes, err) : fill_partition(files, size_bytes, err);
    if (rc == 0)
        rc = files->driver->writer->finish(files->fs, err);
    if (rc == 0)
        *ret_size_bytes = size_bytes;
    return rc;
}

static int run(struct cli *cli)
{
    struct files files = {.cli = cli, .image = cli->args[0]};
    struct plat_err err = {0};
    struct fs_space space = {0};
    uint64_t size_bytes = 0;
    int code = EXIT_YES;
    int rc = files_enter(&files, NULL, 0, &err);
    if (rc == 0)
        rc = grow(&files, &size_bytes, &err);
    if (rc == 0)
        rc = files.driver->space(files.fs, &space, &err);
    files_leave(&files);
    if (rc != 0) {
        err_image(&err, files.image);
        code = cli_fail(cli, &err);
    } else {
        char size[16], free_size[16];
        format_size(size_bytes, size);
        format_size(space.free_bytes, free_size);
        (void)printf("%s: %s, %s free\n", files.image, size, free_size);
    }
    return cli_finish(cli, code);
}

static const struct option_desc options_table[] = {FILES_PARTITION_OPTION};

const struct command command_grow = {
    .name = "grow",
    .group = "Files",
    .summary = "give the filesystem in an image more room, in place",
    .synopsis = "IMAGE SIZE|+SIZE|max",
    .doc = "Enlarges the image file to SIZE, or by SIZE, and the filesystem in it with it. max: the "
           "filesystem gets what\n"
           "the file, block device or partition already has. In a partition it grows up to the end of that, "
           "and the "
           "disk\n"
           "stays as it is. Nothing shrinks.\n"
           "\n"
           "A power cut leaves the filesystem as it was, or grown.\n"
           "\n"
           "Exit code: 0; 2 it could not be done, and the filesystem is as it was.\n",
    .examples = "  plat grow data.img +64MiB\n"
                "  plat grow data.img 1GiB\n"
                "  plat grow -p data disk.img max\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 2,
    .max_args = 2,
    .complete = COMPLETE_FILE,
    .run = run,
};
