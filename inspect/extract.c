/* plat extract: files out of an image, into a directory or an archive. */
#include "inspect/extract.h"

#include <string.h>

#include "inspect/commands.h"
#include "inspect/render.h"
#include "lib/par/par.h"

struct extract {
    const struct cli *cli;
    const char *image;
    struct fs *fs;
    struct extract_source source;
    struct extract_sink *sink;
    struct cli_progress bar;
    bool verbose, to_stdout;
    bool any; /* something was handed over */
    int code; /* the worst so far */
};

/* ---- the filesystem that is read ---- */

void extract_lock(struct extract_source *source)
{
    if (!source->fs->driver->concurrent)
        (void)pthread_mutex_lock(&source->lock);
}

void extract_unlock(struct extract_source *source)
{
    if (!source->fs->driver->concurrent)
        (void)pthread_mutex_unlock(&source->lock);
}

int extract_read(struct extract_source *source, uint64_t node, uint64_t size_bytes, uint64_t at, uint8_t *buf,
                 size_t n, size_t *ret_n, struct plat_err *err)
{
    size_t got = 0;
    if (n > size_bytes - at)
        n = (size_t)(size_bytes - at);
    extract_lock(source);
    int r = source->fs->driver->read(source->fs, node, at, buf, n, &got, err);
    extract_unlock(source);
    if (r == 0 && got < n)
        r = err_set(err, PLAT_ECORRUPT, "its content ends after %llu of %llu bytes",
                    (unsigned long long)(at + got), (unsigned long long)size_bytes);
    if (r == 0)
        *ret_n = got;
    return r;
}

int extract_target(struct extract_source *source, uint64_t node, struct strbuf *ret, struct plat_err *err)
{
    const struct fs_driver *driver = source->fs->driver;
    if (driver->readlink == NULL)
        return err_set(err, PLAT_EUNSUPPORTED, "%s has no symbolic links", driver->title);
    extract_lock(source);
    int r = driver->readlink(source->fs, node, ret, err);
    extract_unlock(source);
    if (r == 0 && ret->failed)
        r = err_nomem(err, "reading a symbolic link");
    if (r == 0 && (ret->len == 0 || strlen(strbuf_str(ret)) != ret->len))
        r = err_set(err, PLAT_ECORRUPT, "the target of this symbolic link is empty, or has a NUL in it");
    return r;
}

/* ---- what came of it ---- */

/* Says what was not extracted and why, and goes on; damage in the image is an answer (1), the rest a failure
 * (2). */
static void complain(void *ctx, const char *path, const struct plat_err *why)
{
    struct extract *x = ctx;
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
}

static void mention(void *ctx, const char *path, enum tree_kind kind)
{
    struct extract *x = ctx;
    struct strbuf line = {0};
    if (!x->verbose)
        return;
    strbuf_visible(&line, path, strlen(path));
    (void)fprintf(x->to_stdout ? stderr : stdout, "%s%s\n", strbuf_str(&line), kind == TREE_DIR ? "/" : "");
    strbuf_free(&line);
}

static void warn(void *ctx, const char *text)
{
    const struct extract *x = ctx;
    (void)fprintf(stderr, "plat extract: %s: note: %s\n", x->image, text);
}

static bool interrupted(void *ctx)
{
    (void)ctx;
    return cli_signals_noted();
}

/* ---- the walk ---- */

static int on_trouble(void *ctx, const struct file_visit *visit, const struct plat_err *why)
{
    struct extract *x = ctx;
    return x->sink->ops->refuse(x->sink, visit->path, false, why);
}

/* Status of what is visited, if it may be extracted: a name that could lead elsewhere, or fool a terminal, may not, nor
 * something that is not what its directory says. 1: it is refused. */
static int look(struct extract *x, const struct file_visit *visit, struct fs_stat *ret)
{
    struct plat_err why = {0};
    const char *fault = visit->depth > 0 ? file_name_fault(visit->name) : NULL;
    int r = 0;
    if (fault == NULL && visit->again)
        fault = "there is another one of it in its directory";
    if (fault != NULL)
        r = err_set(&why, PLAT_ECORRUPT, "its name is refused: %s", fault);
    if (r == 0)
        r = x->fs->driver->stat(x->fs, visit->node, ret, &why);
    if (r == 0 && (ret->kind == TREE_DIR) != (visit->kind == TREE_DIR))
        r = err_set(&why, PLAT_ECORRUPT, "its directory says that it is %s directory, which is wrong",
                    visit->kind == TREE_DIR ? "a" : "no");
    if (r == 0)
        return 0;
    r = x->sink->ops->refuse(x->sink, visit->path, fault == NULL, &why);
    return r != 0 ? r : 1;
}

static int on_enter(void *ctx, const struct file_visit *visit)
{
    struct extract *x = ctx;
    struct fs_stat stat;
    int r = look(x, visit, &stat);
    const struct extract_entry entry = {visit->path, visit->node, &stat};
    return r != 0 ? r : x->sink->ops->enter(x->sink, &entry);
}

static int on_leave(void *ctx, const struct file_visit *visit)
{
    struct extract *x = ctx;
    struct fs_stat stat = {.kind = TREE_DIR};
    struct plat_err why = {0};
    int r = x->fs->driver->stat(x->fs, visit->node, &stat, &why);
    if (r != 0) {
        r = x->sink->ops->refuse(x->sink, visit->path, true, &why);
        stat = (struct fs_stat){.kind = TREE_DIR, .no_xattrs = true};
    }
    const struct extract_entry entry = {visit->path, visit->node, &stat};
    const int left = x->sink->ops->leave(x->sink, &entry);
    return r != 0 ? r : left;
}

static int on_entry(void *ctx, const struct file_visit *visit)
{
    struct extract *x = ctx;
    struct fs_stat stat;
    int r = look(x, visit, &stat);
    const struct extract_entry entry = {visit->path, visit->node, &stat};
    return r != 0 ? r : x->sink->ops->entry(x->sink, &entry);
}

static int extract_path(struct extract *x, const struct inspect_image *image, const char *text,
                        struct plat_err *err)
{
    struct strbuf path = {0};
    struct file_place place;
    struct node_set seen = {0};
    struct plat_err why = {0};
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
        x->any = true;
        x->fs = place.layer->fs;
        r = x->sink->ops->begin(x->sink, x->fs, strbuf_str(&path), &why);
        if (r != 0)
            r = x->sink->ops->refuse(x->sink, strbuf_str(&path), true, &why);
        else
            r = file_walk(x->fs, &first, &walk, err);
    } else if (text[0] != '\0') {
        (void)err_prefix(err, "%.200s", text);
    }
    node_set_free(&seen);
    strbuf_free(&path);
    return r;
}

static int extract_all(struct extract *x, const struct extract_options *options,
                       const struct inspect_image *image, struct plat_err *err)
{
    const struct cli *cli = x->cli;
    int r = cli_text(cli, "output") != NULL ? extract_to_tar(options, &x->sink, err)
                                            : extract_to_dir(options, &x->sink, err);
    if (r != 0)
        return r;
    if (cli->n_args == 1)
        r = extract_path(x, image, "", err);
    for (size_t i = 1; r == 0 && i < cli->n_args; i++)
        r = extract_path(x, image, cli->args[i], err);
    cli_progress_done(&x->bar);
    /* PLAT_ESTOP: said already. What has been extracted stays, but for archives. */
    struct plat_err why = {0};
    int finished = x->any ? x->sink->ops->finish(x->sink, r == 0 || r == PLAT_ESTOP, &why) : 0;
    if (r == 0 && finished != 0) {
        *err = why;
        r = finished;
    }
    x->sink->ops->close(x->sink);
    return r;
}

static int source_init(struct extract_source *source, struct plat_err *err)
{
    pthread_mutexattr_t attr;
    int failed = pthread_mutexattr_init(&attr);
    if (failed == 0)
        failed = pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    if (failed == 0)
        failed = pthread_mutex_init(&source->lock, &attr);
    return failed != 0 ? err_sys(err, failed, "cannot make a lock") : 0;
}

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct inspect_image image = {0};
    struct plat_err err = {0};
    uint64_t threads = 0;
    const char *tar = cli_text(cli, "output"), *dir = cli_text(cli, "directory");
    const char *xattrs = cli_text(cli, "xattrs");
    struct extract x = {.cli = cli,
                        .image = cli->args[0],
                        .verbose = cli_flag(cli, "verbose"),
                        .to_stdout = tar != NULL && strcmp(tar, "-") == 0};
    if (tar != NULL && dir != NULL)
        return cli_usage(cli, "-C and -o exclude each other: a directory, or an archive");
    if (cli_number(cli, "threads", &threads) && threads > PAR_THREADS_MAX)
        return cli_usage(cli, "--threads %llu: 0, for one each processor, to %d are possible",
                         (unsigned long long)threads, PAR_THREADS_MAX);
    const struct extract_options how = {.target = tar != NULL   ? tar
                                                  : dir != NULL ? dir
                                                                : ".",
                                        .force = cli_flag(cli, "force"),
                                        .keep_xattrs = xattrs == NULL || strcmp(xattrs, "keep") == 0,
                                        .same_owner = !cli_flag(cli, "no-same-owner"),
                                        .n_threads = (unsigned)threads,
                                        .source = &x.source,
                                        .report = {.ctx = &x,
                                                   .done = mention,
                                                   .failed = complain,
                                                   .warn = warn,
                                                   .interrupted = interrupted,
                                                   .progress = &x.bar.progress}};
    int r = source_init(&x.source, &err);
    if (r == 0)
        r = inspect_options_read(cli, false, &options, &err);
    if (r == 0)
        r = inspect_open(cli->args[0], &options, false, &image, &err);
    cli_progress_init(&x.bar, cli, "extracting", 0);
    if (!x.to_stdout) /* nothing to clean up there, and writing to a pipe may wait for ever */
        cli_signals_hold();
    if (r == 0)
        r = extract_all(&x, &how, &image, &err);
    if (r != 0 && r != PLAT_ESTOP) {
        err_image(&err, cli->args[0]);
        x.code = cli_fail(cli, &err);
    }
    inspect_close(&image);
    inspect_options_free(&options);
    cli_signals_release();
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
    {.name = "xattrs",
     .kind = OPTION_TEXT,
     .argument = "keep|drop",
     .doc = "extended attributes; default: keep, without root only user.*",
     .choices = "keep|drop",
     .complete = COMPLETE_CHOICES},
    {.name = "no-same-owner",
     .kind = OPTION_FLAG,
     .doc = "root, too, owns what is extracted; set-id bits and file capabilities are dropped"},
    {.name = "threads",
     .kind = OPTION_NUMBER,
     .argument = "N",
     .doc = "how many write files; default 0: one for each processor",
     .complete = COMPLETE_NONE},
    {.letter = 'v', .name = "verbose", .kind = OPTION_FLAG, .doc = "name what is extracted"},
};

const struct command command_extract = {
    .name = "extract",
    .group = "Files",
    .summary = "copy files and directories out of an image",
    .synopsis = "IMAGE [PATH...]",
    .doc =
        "Copies all of the filesystem in IMAGE, or each PATH with what is below it, into a directory (-C) "
        "or a tar\n"
        "archive (-o), with its full path, times, and what else the format keeps: mode, hard links, extended "
        "attributes,\n"
        "FIFOs and sockets; for root owners, set-id bits and devices as well. Runs of zeros become holes.\n"
        "A disk with a single filesystem needs no -p; PATH may name the partition instead: esp:/EFI.\n"
        "\n"
        "Nothing is ever written outside the target: names that are '..', or hold a '/' or a control "
        "character,\n"
        "are refused, and no symbolic link is followed. What exists is not replaced without --force. A "
        "file appears\n"
        "whole or not at all; each that does not is named, and the others are extracted. A directory that "
        "is new\n"
        "appears when all in it is done. An archive appears only when every file that goes into it could "
        "be read.\n"
        "What is made and printed does not depend on --threads.\n"
        "\n"
        "Exit code: 0; 1 when damage or a name in the image kept something from being extracted; 2 on any "
        "other\n"
        "failure, such as a device without root.\n",
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
