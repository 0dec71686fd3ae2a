/* plat extract: files out of an image, into a directory or an archive. */
#include "inspect/extract.h"

#include <string.h>

#include "inspect/commands.h"
#include "inspect/render.h"

struct extract {
    const struct cli *cli;
    const char *image;
    struct fs *fs;
    struct extract_sink *sink;
    struct cli_progress bar;
    bool verbose, to_stdout;
    int code; /* the worst so far */
};

int extract_read(struct extract_reader *reader, uint8_t *buf, size_t n, size_t *ret_n, struct plat_err *err)
{
    uint64_t left = reader->size_bytes - reader->at;
    size_t got = 0;
    if (left < n)
        n = (size_t)left;
    int r = n > 0 ? reader->fs->driver->read(reader->fs, reader->node, reader->at, buf, n, &got, err) : 0;
    if (r == 0 && n > 0 && got == 0)
        r = err_set(err, PLAT_ECORRUPT, "its content ends after %llu of %llu bytes",
                    (unsigned long long)reader->at, (unsigned long long)reader->size_bytes);
    if (r != 0)
        return r;
    reader->at += got;
    progress_add(reader->progress, got);
    *ret_n = got;
    return 0;
}

/* Says what was not extracted and why, and goes on; damage in the image is an answer (1), the rest a failure
 * (2). */
static int complain(struct extract *x, const char *path, const struct plat_err *why)
{
    struct plat_err err = *why;
    struct strbuf shown = {0};
    strbuf_putc(&shown, '/');
    strbuf_visible(&shown, path, strlen(path));
    (void)err_prefix(&err, "%.240s is not extracted", strbuf_str(&shown));
    strbuf_free(&shown);
    err_image(&err, x->image);
    (void)cli_fail(x->cli, &err);
    int code = why->class == PLAT_ECORRUPT ? EXIT_NO : EXIT_CANNOT;
    if (code > x->code)
        x->code = code;
    return 0;
}

static int on_trouble(void *ctx, const struct file_visit *visit, const struct plat_err *why)
{
    return complain(ctx, visit->path, why);
}

/* A name that could lead elsewhere, or fool a terminal. True: do not use it. */
static bool refused(struct extract *x, const struct file_visit *visit)
{
    struct plat_err why = {0};
    const char *fault = visit->depth > 0 ? file_name_fault(visit->name) : NULL;
    if (fault == NULL)
        return false;
    (void)err_set(&why, PLAT_ECORRUPT, "its name is refused: %s", fault);
    (void)complain(x, visit->path, &why);
    return true;
}

static void mention(struct extract *x, const struct file_visit *visit)
{
    struct strbuf line = {0};
    if (!x->verbose)
        return;
    strbuf_visible(&line, visit->path, strlen(visit->path));
    (void)fprintf(x->to_stdout ? stderr : stdout, "%s%s\n", strbuf_str(&line),
                  visit->kind == TREE_DIR ? "/" : "");
    strbuf_free(&line);
}

/* After a failure: nothing more to do when the sink is all or nothing. */
static int after(struct extract *x, const struct file_visit *visit, int r, const struct plat_err *why)
{
    if (r == 0)
        return 0;
    (void)complain(x, visit->path, why);
    return x->sink->all_or_nothing ? PLAT_ESTOP : 0;
}

static int on_enter(void *ctx, const struct file_visit *visit)
{
    struct extract *x = ctx;
    struct fs_stat stat;
    struct plat_err why = {0};
    if (visit->path[0] == '\0') /* the root of the image is the target itself */
        return 0;
    if (refused(x, visit))
        return 1;
    int r = x->fs->driver->stat(x->fs, visit->node, &stat, &why);
    if (r == 0)
        r = x->sink->ops->dir(x->sink, visit->path, &stat, &why);
    if (r == 0) {
        mention(x, visit);
        return 0;
    }
    r = after(x, visit, r, &why);
    return r != 0 ? r : 1;
}

static int on_leave(void *ctx, const struct file_visit *visit)
{
    struct extract *x = ctx;
    struct fs_stat stat;
    struct plat_err why = {0};
    if (visit->path[0] == '\0')
        return 0;
    int r = x->fs->driver->stat(x->fs, visit->node, &stat, &why);
    if (r == 0)
        r = x->sink->ops->dir_end(x->sink, visit->path, &stat, &why);
    return after(x, visit, r, &why);
}

static int put_symlink(struct extract *x, const struct file_visit *visit, const struct fs_stat *stat,
                       struct plat_err *err)
{
    struct strbuf target = {0};
    if (x->fs->driver->readlink == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "%s has no symbolic links", x->fs->driver->title);
    int r = x->fs->driver->readlink(x->fs, visit->node, &target, err);
    if (r == 0 && target.failed)
        r = err_nomem(err, "reading a symbolic link");
    if (r == 0 && (target.len == 0 || strlen(strbuf_str(&target)) != target.len))
        r = err_set(err, PLAT_ECORRUPT, "the target of this symbolic link is empty, or has a NUL in it");
    if (r == 0)
        r = x->sink->ops->symlink(x->sink, visit->path, stat, strbuf_str(&target), err);
    strbuf_free(&target);
    return r;
}

static int on_entry(void *ctx, const struct file_visit *visit)
{
    struct extract *x = ctx;
    struct fs_stat stat;
    struct plat_err why = {0};
    if (refused(x, visit))
        return 0;
    int r = x->fs->driver->stat(x->fs, visit->node, &stat, &why);
    if (r == 0 && stat.kind == TREE_FILE) {
        struct extract_reader reader = {
            .fs = x->fs, .node = visit->node, .size_bytes = stat.size_bytes, .progress = &x->bar.progress};
        r = x->sink->ops->file(x->sink, visit->path, &stat, &reader, &why);
    } else if (r == 0 && stat.kind == TREE_SYMLINK) {
        r = put_symlink(x, visit, &stat, &why);
    } else if (r == 0) {
        r = err_set(&why, PLAT_EUNSUPPORTED, "it is a device, pipe or socket, and plat extract makes none");
    }
    if (r == 0)
        mention(x, visit);
    return after(x, visit, r, &why);
}

static int extract_path(struct extract *x, const struct inspect_image *image, const char *text,
                        struct plat_err *err)
{
    struct strbuf path = {0};
    struct file_place place;
    struct node_set seen = {0};
    int r = file_find(image, text, &path, &place, err);
    if (r == 0) {
        const char *slash = strrchr(strbuf_str(&path), '/');
        const struct file_visit first = {.path = strbuf_str(&path),
                                         .name = slash != NULL ? slash + 1 : strbuf_str(&path),
                                         .node = place.node,
                                         .kind = place.stat.kind};
        const struct file_walk walk = {.ctx = x,
                                       .enter = on_enter,
                                       .leave = on_leave,
                                       .entry = on_entry,
                                       .trouble = on_trouble,
                                       .seen = &seen};
        x->fs = place.layer->fs;
        r = file_walk(x->fs, &first, &walk, err);
    } else if (text[0] != '\0') {
        (void)err_prefix(err, "%.200s", text);
    }
    node_set_free(&seen);
    strbuf_free(&path);
    return r;
}

static int extract_all(struct extract *x, const struct inspect_image *image, struct plat_err *err)
{
    const struct cli *cli = x->cli;
    const char *tar = cli_text(cli, "output");
    const char *dir = cli_text(cli, "directory");
    bool force = cli_flag(cli, "force");
    int r = tar != NULL ? extract_to_tar(tar, force, &x->sink, err)
                        : extract_to_dir(dir != NULL ? dir : ".", force, &x->sink, err);
    if (r != 0)
        return r;
    cli_progress_init(&x->bar, cli, "extracting", 0);
    if (cli->n_args == 1)
        r = extract_path(x, image, "", err);
    for (size_t i = 1; r == 0 && i < cli->n_args; i++)
        r = extract_path(x, image, cli->args[i], err);
    cli_progress_done(&x->bar);
    /* PLAT_ESTOP: said already. */
    if (r == 0)
        r = x->sink->ops->finish(x->sink, err);
    x->sink->ops->close(x->sink);
    return r;
}

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct inspect_image image = {0};
    struct plat_err err = {0};
    const char *tar = cli_text(cli, "output");
    struct extract x = {.cli = cli,
                        .image = cli->args[0],
                        .verbose = cli_flag(cli, "verbose"),
                        .to_stdout = tar != NULL && strcmp(tar, "-") == 0};
    if (tar != NULL && cli_text(cli, "directory") != NULL)
        return cli_usage(cli, "-C and -o exclude each other: a directory, or an archive");
    int r = inspect_options_read(cli, false, &options, &err);
    if (r == 0)
        r = inspect_open(cli->args[0], &options, false, &image, &err);
    if (r == 0)
        r = extract_all(&x, &image, &err);
    if (r != 0 && r != PLAT_ESTOP) {
        err_image(&err, cli->args[0]);
        x.code = cli_fail(cli, &err);
    }
    inspect_close(&image);
    inspect_options_free(&options);
    return cli_finish(cli, x.code);
}

static const struct option_desc options_table[] = {
    INSPECT_PARTITION_OPTION,
    {.letter = 'C',
     .name = "directory",
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .doc = "extract into DIR, made when missing; default: here",
     .complete = COMPLETE_DIR},
    {.letter = 'o',
     .name = "output",
     .kind = OPTION_TEXT,
     .argument = "TAR",
     .doc = "write a tar archive instead; - is standard output",
     .complete = COMPLETE_FILE},
    {.letter = 'f', .name = "force", .kind = OPTION_FLAG, .doc = "replace what exists"},
    {.letter = 'v', .name = "verbose", .kind = OPTION_FLAG, .doc = "name what is extracted"},
};

const struct command command_extract = {
    .name = "extract",
    .group = "Files",
    .summary = "copy files and directories out of an image",
    .synopsis = "IMAGE [PATH...]",
    .doc = "Copies all of the filesystem in IMAGE, or each PATH with what is below it, into a directory (-C) "
           "or a tar\n"
           "archive (-o), with its full path, time, and mode where the format keeps one. Runs of zeros "
           "become holes.\n"
           "A disk with a single filesystem needs no -p; PATH may name the partition instead: esp:/EFI.\n"
           "\n"
           "Nothing is ever written outside the target: names that are '..', or hold a '/' or a control "
           "character,\n"
           "are refused, and no symbolic link is followed. What exists is not replaced without --force. A "
           "file appears\n"
           "whole or not at all; each that does not is named, and the others are extracted. An archive "
           "appears only\n"
           "when every file that goes into it could be read.\n"
           "\n"
           "Exit code: 0; 1 when damage or a name in the image kept something from being extracted; 2 on any "
           "other\n"
           "failure.\n",
    .examples = "  plat extract disk.img -C out\n"
                "  plat extract disk.img -C out /EFI/BOOT /loader\n"
                "  plat extract -p esp disk.img -o - | tar -tv\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = SIZE_MAX,
    .complete = COMPLETE_FILE,
    .run = run,
};
