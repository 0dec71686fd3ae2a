/* plat ls: files in an image, or the partitions of a disk. */
#include <inttypes.h>
#include <string.h>

#include "inspect/commands.h"
#include "inspect/files.h"
#include "inspect/manifest.h"
#include "inspect/render.h"

struct ls {
    const struct cli *cli;
    const char *image;
    struct fs *fs;
    struct strbuf out;
    bool details, recursive, json, mtree;
    const char *contents; /* --contents */
    bool any;             /* JSON: an entry was printed */
    bool failed;          /* some directory could not be read */
};

static char kind_letter(enum tree_kind kind)
{
    switch (kind) {
    case TREE_DIR:
        return 'd';
    case TREE_SYMLINK:
        return 'l';
    case TREE_CHAR:
        return 'c';
    case TREE_BLOCK:
        return 'b';
    case TREE_FIFO:
        return 'p';
    case TREE_SOCKET:
        return 's';
    case TREE_FILE:
        break;
    }
    return '-';
}
static const char *kind_name(enum tree_kind kind)
{
    switch (kind) {
    case TREE_DIR:
        return "directory";
    case TREE_SYMLINK:
        return "symlink";
    case TREE_CHAR:
        return "character device";
    case TREE_BLOCK:
        return "block device";
    case TREE_FIFO:
        return "fifo";
    case TREE_SOCKET:
        return "socket";
    case TREE_FILE:
        break;
    }
    return "file";
}

/* "-rw-r--r--", or where the format keeps no modes, DOS attributes: "-r-s". */
static void put_mode(struct strbuf *out, const struct fs_stat *stat)
{
    static const char rwx[] = "rwxrwxrwx";
    strbuf_putc(out, kind_letter(stat->kind));
    if (!stat->has_mode) {
        strbuf_putc(out, stat->attributes & FILE_READ_ONLY ? 'r' : '-');
        strbuf_putc(out, stat->attributes & FILE_HIDDEN ? 'h' : '-');
        strbuf_putc(out, stat->attributes & FILE_SYSTEM ? 's' : '-');
        return;
    }
    for (unsigned i = 0; i < 9; i++)
        strbuf_putc(out, stat->mode >> (8 - i) & 1 ? rwx[i] : '-');
}

static void put_target(struct ls *ls, const struct file_visit *visit)
{
    struct strbuf target = {0};
    if (ls->fs->driver->readlink != NULL &&
        ls->fs->driver->readlink(ls->fs, visit->node, &target, NULL) == 0) {
        strbuf_puts(&ls->out, " -> ");
        strbuf_visible(&ls->out, strbuf_str(&target), target.len);
    }
    strbuf_free_into(&target, &ls->out);
}

static void put_text(struct ls *ls, const struct file_visit *visit, const struct fs_stat *stat)
{
    const struct cli *cli = ls->cli;
    struct strbuf *out = &ls->out;
    const char *name = ls->recursive ? visit->path : visit->name;
    if (ls->details) {
        char time[32] = "-";
        put_mode(out, stat);
        if (stat->has_mtime)
            format_unix_time(stat->mtime_s, time);
        strbuf_printf(out, " %12" PRIu64 "  %-19s  ", stat->size_bytes, time);
    }
    bool dir = visit->kind == TREE_DIR;
    strbuf_puts(out, dir ? paint(cli, PAINT_NAME) : "");
    strbuf_visible(out, name, strlen(name));
    strbuf_puts(out, dir ? paint(cli, PAINT_PLAIN) : "");
    strbuf_puts(out, dir ? "/" : "");
    if (ls->details && visit->kind == TREE_SYMLINK)
        put_target(ls, visit);
    strbuf_putc(out, '\n');
}

static void put_json(struct ls *ls, const struct file_visit *visit, const struct fs_stat *stat)
{
    struct strbuf *out = &ls->out;
    strbuf_puts(out, ls->any ? ",\n  {\"path\": " : "\n  {\"path\": ");
    ls->any = true;
    struct strbuf path = {0};
    strbuf_printf(&path, "/%s", visit->path);
    strbuf_json(out, strbuf_str(&path), path.len);
    strbuf_free_into(&path, out);
    strbuf_puts(out, ", \"name\": ");
    strbuf_json(out, visit->name, strlen(visit->name));
    strbuf_printf(out, ", \"kind\": \"%s\", \"bytes\": %" PRIu64, kind_name(stat->kind), stat->size_bytes);
    if (stat->has_mtime) {
        char time[32];
        format_unix_time(stat->mtime_s, time);
        strbuf_printf(out, ", \"mtime\": \"%s\", \"mtime_s\": %" PRId64 ", \"mtime_ns\": %" PRIu32, time,
                      stat->mtime_s, stat->mtime_ns);
    }
    if (stat->has_mode)
        strbuf_printf(out, ", \"mode\": \"%04" PRIo32 "\", \"uid\": %" PRIu32 ", \"gid\": %" PRIu32,
                      stat->mode, stat->uid, stat->gid);
    else
        strbuf_printf(out, ", \"read_only\": %s, \"hidden\": %s, \"system\": %s",
                      stat->attributes & FILE_READ_ONLY ? "true" : "false",
                      stat->attributes & FILE_HIDDEN ? "true" : "false",
                      stat->attributes & FILE_SYSTEM ? "true" : "false");
    strbuf_putc(out, '}');
}

static int on_trouble(void *ctx, const struct file_visit *visit, const struct plat_err *why)
{
    struct ls *ls = ctx;
    struct plat_err err = *why;
    struct strbuf path = {0};
    (void)render_flush(&ls->out);
    strbuf_putc(&path, '/');
    strbuf_visible(&path, visit->path, strlen(visit->path));
    (void)err_prefix(&err, "%.200s", strbuf_str(&path));
    err_image(&err, ls->image);
    (void)cli_fail(ls->cli, &err);
    strbuf_free(&path);
    ls->failed = true;
    return 0;
}

static int show(void *ctx, const struct file_visit *visit)
{
    struct ls *ls = ctx;
    struct fs_stat stat = {.kind = visit->kind};
    struct plat_err why = {0};
    if ((ls->details || ls->json || ls->mtree) && ls->fs->driver->stat(ls->fs, visit->node, &stat, &why) != 0)
        return on_trouble(ls, visit, &why);
    if (ls->mtree && manifest_put(&ls->out, ls->fs, visit, &stat, ls->contents, &why) != 0) {
        const int r = on_trouble(ls, visit, &why);
        return r != 0 ? r : visit->kind == TREE_DIR; /* what is in it has no name either */
    }
    if (ls->mtree)
        return render_flush(&ls->out);
    if (ls->json)
        put_json(ls, visit, &stat);
    else
        put_text(ls, visit, &stat);
    return render_flush(&ls->out);
}

static int on_enter(void *ctx, const struct file_visit *visit)
{
    struct ls *ls = ctx;
    if (visit->depth == 0 && (!ls->mtree || visit->path[0] != '\0'))
        return 0;
    int r = show(ctx, visit);
    return r != 0 ? r : ls->recursive ? 0 : 1;
}

static int list_files(struct ls *ls, const struct inspect_image *image, const char *dir, struct plat_err *err)
{
    struct strbuf path = {0};
    struct file_place place;
    struct node_set seen = {0};
    int r = file_find(image, dir, &path, &place, err);
    if (r == 0) {
        const char *slash = strrchr(strbuf_str(&path), '/');
        const struct file_visit first = {.path = strbuf_str(&path),
                                         .name = slash != NULL ? slash + 1 : strbuf_str(&path),
                                         .node = place.node,
                                         .kind = place.stat.kind};
        const struct file_walk walk = {
            .ctx = ls, .enter = on_enter, .entry = show, .trouble = on_trouble, .seen = &seen};
        ls->fs = place.layer->fs;
        if (ls->json) {
            strbuf_puts(&ls->out, "{\"image\": ");
            strbuf_json(&ls->out, image->name, strlen(image->name));
            strbuf_puts(&ls->out, ", \"entries\": [");
        }
        if (ls->mtree)
            manifest_begin(&ls->out);
        r = file_walk(ls->fs, &first, &walk, err);
        strbuf_puts(&ls->out, ls->json ? "]}\n" : "");
        if (render_flush(&ls->out) == PLAT_ENOMEM)
            r = err_nomem(err, "listing files");
    }
    node_set_free(&seen);
    strbuf_free(&path);
    return r == PLAT_ESTOP ? 0 : r;
}

/* ---- partitions ---- */

static const struct stack_layer *layer_of_partition(const struct stack *stack, uint32_t number)
{
    for (size_t i = 0; i < stack->n_layers; i++)
        if (stack->layers[i].from_table && stack->layers[i].partition.number == number)
            return &stack->layers[i];
    return NULL;
}

/* What is in a partition: two formats, where they share it. */
static void contents_text(const struct stack *stack, const struct stack_layer *layer, struct strbuf *out)
{
    strbuf_puts(out, layer != NULL ? inspect_layer_title(layer) : "not in the image");
    for (size_t i = 0; layer != NULL && layer->shared && i < stack->n_layers; i++)
        if (&stack->layers[i] != layer && stack->layers[i].dev == layer->dev)
            strbuf_printf(out, ", %s", inspect_layer_title(&stack->layers[i]));
    strbuf_putc(out, '\n');
}

static void partition_text(struct ls *ls, const struct stack *stack, const struct table_partition *part)
{
    const struct stack_layer *layer = layer_of_partition(stack, part->number);
    struct strbuf *out = &ls->out;
    struct strbuf name = {0};
    char size[16];
    uint64_t start = 0, bytes = 0;
    (void)mul_u64(part->first_sector, stack->sector_bytes, &start);
    (void)mul_u64(part->sectors, stack->sector_bytes, &bytes);
    format_size(bytes, size);
    strbuf_visible(&name, part->name, strlen(part->name));
    strbuf_printf(out, "%4" PRIu32 "  %-16s  %-20s  0x%010" PRIx64 "  %10s  ", part->number,
                  strbuf_str(&name), part->type, start, size);
    contents_text(stack, layer, out);
    strbuf_free_into(&name, out);
}

static void partition_json(struct ls *ls, const struct stack *stack, const struct table_partition *part)
{
    const struct stack_layer *layer = layer_of_partition(stack, part->number);
    struct strbuf *out = &ls->out;
    uint64_t start = 0, bytes = 0;
    (void)mul_u64(part->first_sector, stack->sector_bytes, &start);
    (void)mul_u64(part->sectors, stack->sector_bytes, &bytes);
    strbuf_printf(out, "%s\n  {\"number\": %" PRIu32 ", \"name\": ", ls->any ? "," : "", part->number);
    ls->any = true;
    strbuf_json(out, part->name, strlen(part->name));
    strbuf_puts(out, ", \"type\": ");
    strbuf_json(out, part->type, strlen(part->type));
    strbuf_printf(out, ", \"offset\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"format\": ", start, bytes);
    if (layer != NULL && layer->driver != NULL)
        strbuf_json(out, layer->driver->name, strlen(layer->driver->name));
    else
        strbuf_puts(out, "null");
    strbuf_putc(out, '}');
}

static void list_partitions(struct ls *ls, const struct inspect_image *image)
{
    const struct stack *stack = image->stack;
    if (ls->json) {
        strbuf_puts(&ls->out, "{\"image\": ");
        strbuf_json(&ls->out, image->name, strlen(image->name));
        strbuf_printf(&ls->out, ", \"table\": \"%s\", \"sector_bytes\": %" PRIu32 ", \"partitions\": [",
                      stack->table, stack->sector_bytes);
    } else {
        strbuf_printf(&ls->out, "%s%4s  %-16s  %-20s  %-12s  %10s  %s%s\n", paint(ls->cli, PAINT_DIM), "no",
                      "name", "type", "offset", "size", "content", paint(ls->cli, PAINT_PLAIN));
    }
    for (size_t i = 0; i < stack->n_partitions; i++) {
        if (ls->json)
            partition_json(ls, stack, &stack->partitions[i]);
        else
            partition_text(ls, stack, &stack->partitions[i]);
    }
    strbuf_puts(&ls->out, ls->json ? "]}\n" : "");
    (void)render_flush(&ls->out);
}

/* ---- the command ---- */

static int run(struct cli *cli)
{
    struct inspect_options options;
    struct inspect_image image = {0};
    struct plat_err err = {0};
    struct ls ls = {
        .cli = cli,
        .image = cli->args[0],
        .details = cli_flag(cli, "long"),
        .recursive = cli_flag(cli, "recursive"),
        .json = cli_flag(cli, "json"),
        .mtree = cli_flag(cli, "mtree"),
        .contents = cli_text(cli, "contents"),
    };
    struct stack_layer *only;
    int code = EXIT_YES;
    if (ls.mtree && (ls.json || ls.details))
        return cli_usage(cli, "--mtree has a form of its own: leave out --json and -l");
    if (!ls.mtree && ls.contents != NULL)
        return cli_usage(cli, "--contents says where a manifest finds files: it goes with --mtree");
    ls.recursive = ls.recursive || ls.mtree;
    ls.contents = ls.contents != NULL ? ls.contents : "";
    int r = inspect_options_read(cli, false, &options, &err);
    if (r == 0)
        r = inspect_open(cli->args[0], &options, false, &image, &err);
    bool disk = r == 0 && image.stack->table != NULL && options.stack.partition == NULL;
    if (disk && cli->n_args == 1 && !ls.mtree && stack_filesystem(image.stack, &only, NULL) != 0)
        list_partitions(&ls, &image);
    else if (r == 0)
        r = list_files(&ls, &image, cli->n_args > 1 ? cli->args[1] : "", &err);
    if (r != 0) {
        err_image(&err, cli->args[0]);
        code = cli_fail(cli, &err);
    }
    strbuf_free(&ls.out);
    inspect_close(&image);
    inspect_options_free(&options);
    return cli_finish(cli, ls.failed ? EXIT_CANNOT : code);
}

static const struct option_desc options_table[] = {
    INSPECT_PARTITION_OPTION,
    {.letter = 'l', .name = "long", .kind = OPTION_FLAG, .doc = "kind, mode or attributes, size, time (UTC)"},
    {.letter = 'R',
     .name = "recursive",
     .kind = OPTION_FLAG,
     .doc = "directories inside directories, too, with full paths"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .doc = "print one JSON document with all that is known of each entry"},
    {.name = "mtree",
     .kind = OPTION_FLAG,
     .doc = "print a manifest, mtree(5), that plat mk makes the same tree of; implies -R"},
    {.name = "contents",
     .kind = OPTION_TEXT,
     .argument = "DIR",
     .doc = "with --mtree: where the files are, as seen from the manifest",
     .complete = COMPLETE_FILE},
};

const struct command command_ls = {
    .name = "ls",
    .group = "Files",
    .summary = "list files in an image, or the partitions of a disk",
    .synopsis = "IMAGE [DIR]",
    .doc = "Lists DIR (the root, unless given) of the filesystem in IMAGE, a name on each line, directories "
           "with a '/'\n"
           "behind. A disk with a single filesystem needs no -p; a disk with several, or none, is listed by "
           "its\n"
           "partitions. DIR may name the partition: esp:/EFI/BOOT.\n"
           "\n"
           "Control characters in names are shown as \\xNN.\n",
    .examples = "  plat ls disk.img\n"
                "  plat ls -l disk.img /EFI/BOOT\n"
                "  plat ls -R -p esp disk.img\n"
                "  plat ls --json fat.img | jq -r '.entries[].path'\n"
                "  plat ls --mtree --contents root root.img >root.mtree\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 1,
    .max_args = 2,
    .complete = COMPLETE_FILE,
    .run = run,
};
