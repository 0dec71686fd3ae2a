/* plat put: files, directories, links and standard input of the host into a filesystem, in place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mkimage/commands.h"
#include "mkimage/files.h"
#include "mkimage/gather.h"

enum {
    READ_BYTES = 1 << 20,
    WINDOW_BYTES = 64 << 10, /* zeros of this length, from a multiple of it on, are left out */
    NS_PER_S = 1000000000,
    STAGED_MAX_BYTES = 64 << 20
};

struct put {
    struct files *files;
    struct fs *fs;
    const struct fs_writer *writer;
    struct fs_time created;
    enum fs_clock clock; /* of the sources' times */
    bool has_mode, keep_owner, keep_links;
    uint32_t mode;
    struct tree_options tree;
    uint8_t *buf; /* READ_BYTES */
    uint64_t staged_max_bytes;
    uint64_t entries, committed;
    struct cli_progress bar;
};

/* ---- contents ---- */

/* Writes what is not zero of n bytes, by windows. */
static int write_windows(struct put *put, uint64_t node, uint64_t at, size_t n, struct plat_err *err)
{
    int rc = 0;
    for (size_t from = 0; rc == 0 && from < n;) {
        size_t to = from;
        bool zeros = true;
        while (to < n) {
            size_t part = WINDOW_BYTES - (size_t)((at + to) % WINDOW_BYTES);
            part = part < n - to ? part : n - to;
            bool window_zeros = bytes_all(put->buf + to, part, 0);
            if (to > from && window_zeros != zeros)
                break;
            zeros = window_zeros;
            to += part;
        }
        if (!zeros)
            rc = put->writer->write(put->fs, node, at + from, put->buf + from, to - from, err);
        from = to;
    }
    progress_add(&put->bar.progress, n);
    return rc;
}

/* Up to READ_BYTES; *ret_n is less at the end alone. `at`: -1 reads on from where the descriptor is. */
static int fill(struct put *put, int fd, int64_t at, size_t want, size_t *ret_n, struct plat_err *err)
{
    size_t n = 0;
    while (n < want) {
        ssize_t got = at < 0 ? read(fd, put->buf + n, want - n)
                             : pread(fd, put->buf + n, want - n, (off_t)(at + (int64_t)n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "cannot read");
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return 0;
}

/* What standard input has, to its end. */
static int copy_stream(struct put *put, uint64_t node, struct plat_err *err)
{
    uint64_t at = 0;
    size_t n = 0;
    do {
        int rc = fill(put, STDIN_FILENO, -1, READ_BYTES, &n, err);
        if (rc == 0)
            rc = write_windows(put, node, at, n, err);
        if (rc != 0)
            return rc;
        at += n;
    } while (n == READ_BYTES);
    return put->writer->truncate(put->fs, node, at, err);
}

/* A regular file of this size; holes are not read. */
static int copy_file(struct put *put, uint64_t node, int fd, uint64_t size_bytes, struct plat_err *err)
{
    struct stat st;
    for (uint64_t at = 0; at < size_bytes;) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        if (data > (off_t)at)
            at = align_down_u64((uint64_t)data, WINDOW_BYTES);
        if (at >= size_bytes)
            break;
        size_t want = size_bytes - at < READ_BYTES ? (size_t)(size_bytes - at) : READ_BYTES, n = 0;
        int rc = fill(put, fd, (int64_t)at, want, &n, err);
        if (rc == 0 && n < want)
            rc = err_set(err, PLAT_EIO, "it became shorter while it was read");
        if (rc == 0)
            rc = write_windows(put, node, at, n, err);
        if (rc != 0)
            return rc;
        at += n;
    }
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "cannot stat");
    if ((uint64_t)st.st_size != size_bytes)
        return err_set(err, PLAT_EIO, "its size changed while it was read");
    return put->writer->truncate(put->fs, node, size_bytes, err);
}

/* ---- entries ---- */

/* What is to be made: a node, and where its content comes from. */
struct source {
    struct fs_new what;
    int fd; /* regular files; STDIN_FILENO: to its end */
    uint64_t size_bytes;
};

static struct fs_time time_of(const struct put *put, int64_t s, uint32_t ns)
{
    const struct fs_time none = {FS_CLOCK_UNKNOWN, 0};
    if (put->tree.has_clamp && s >= put->tree.clamp_s) {
        s = put->tree.clamp_s;
        ns = 0;
    }
    if (s >= INT64_MAX / NS_PER_S || s <= INT64_MIN / NS_PER_S)
        return none;
    return (struct fs_time){put->clock, s * NS_PER_S + (int64_t)ns};
}

/* A name in `dir` that nothing has. */
static int spare_name(struct put *put, uint64_t dir, char *ret, size_t ret_bytes, struct plat_err *err)
{
    bool exists = true;
    for (unsigned i = 0; exists; i++) {
        uint64_t node;
        enum tree_kind kind;
        (void)snprintf(ret, ret_bytes, ".plat-put-%u", i);
        int rc = files_lookup(put->files, &(struct fs_place){dir, ret}, &exists, &node, &kind, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* All but directories. What is there under that name goes when the new one is complete, not before. */
static int put_entry(struct put *put, const struct fs_place *at, const struct source *source,
                     struct plat_err *err)
{
    char spare[32];
    bool exists = false;
    uint64_t node = 0;
    enum tree_kind kind = TREE_FILE;
    struct fs_place to = *at;
    int rc = files_lookup(put->files, at, &exists, &node, &kind, err);
    if (rc == 0 && exists && kind == TREE_DIR) {
        put->files->no = true;
        return err_set(err, PLAT_EINVALID,
                       "a directory of that name is there, which only a directory can join");
    }
    if (rc == 0 && exists) {
        rc = spare_name(put, at->dir, spare, sizeof spare, err);
        to.name = spare;
    }
    if (rc == 0)
        rc = put->writer->create(put->fs, &to, &source->what, &node, err);
    if (rc == 0 && source->what.kind == TREE_FILE)
        rc = source->fd == STDIN_FILENO ? copy_stream(put, node, err)
                                        : copy_file(put, node, source->fd, source->size_bytes, err);
    if (rc == 0 && exists)
        rc = put->writer->rename(put->fs, &to, at, err);
    return rc;
}

/* A directory that is there stays as it is. */
static int put_directory(struct put *put, const struct fs_place *at, const struct fs_new *what,
                         uint64_t *ret_node, struct plat_err *err)
{
    bool exists = false;
    enum tree_kind kind = TREE_DIR;
    int rc = files_lookup(put->files, at, &exists, ret_node, &kind, err);
    if (rc != 0)
        return rc;
    if (exists && kind != TREE_DIR) {
        put->files->no = true;
        return err_set(err, PLAT_EINVALID, "something that is no directory has that name");
    }
    return exists ? 0 : put->writer->create(put->fs, at, what, ret_node, err);
}

/* Behind each entry: the memory that staged changes hold has a bound. */
static int entry_done(struct put *put, struct plat_err *err)
{
    put->entries++;
    if (put->writer->staged_bytes(put->fs) <= put->staged_max_bytes)
        return 0;
    int rc = put->writer->commit(put->fs, err);
    if (rc == 0)
        put->committed = put->entries;
    return rc;
}

/* ---- trees ---- */

static int put_tree_file(struct put *put, struct tree *tree, const struct tree_node *node,
                         const struct fs_place *at, struct source *source, struct plat_err *err)
{
    struct tree_reader reader;
    int rc = tree_reader_open(tree, node, &reader, err);
    if (rc != 0)
        return rc;
    source->fd = reader.fd;
    source->size_bytes = node->size_bytes;
    rc = put_entry(put, at, source, err);
    tree_reader_close(&reader);
    return rc;
}

static int link_target(struct tree *tree, const struct tree_node *node, struct strbuf *ret,
                       struct plat_err *err)
{
    struct tree_reader reader;
    char target[4096];
    if (node->size_bytes > sizeof target)
        return err_set(err, PLAT_ELIMIT, "its target has more than %zu bytes", sizeof target);
    int rc = tree_reader_open(tree, node, &reader, err);
    if (rc != 0)
        return rc;
    rc = tree_reader_read(&reader, target, node->size_bytes, err);
    tree_reader_close(&reader);
    strbuf_add(ret, target, node->size_bytes);
    return rc == 0 && ret->failed ? err_nomem(err, "reading a symbolic link") : rc;
}

static int put_node(struct put *put, struct tree *tree, const struct tree_node *node,
                    const struct fs_place *at, uint64_t *ret_dir, struct plat_err *err)
{
    struct strbuf target = {0};
    struct source source = {
        .what = {.kind = (enum tree_kind)node->kind,
                 .mode = put->has_mode && node->kind == TREE_FILE ? put->mode : node->mode,
                 .uid = node->uid,
                 .gid = node->gid,
                 .created = put->created,
                 .modified = time_of(put, node->mtime_s, node->mtime_ns)}};
    int rc = 0;
    if (node->kind == TREE_CHAR || node->kind == TREE_BLOCK)
        source.what.device = node->from.device;
    if (node->kind == TREE_DIR)
        return put_directory(put, at, &source.what, ret_dir, err);
    if (node->kind == TREE_FILE)
        return put_tree_file(put, tree, node, at, &source, err);
    if (node->kind == TREE_SYMLINK)
        rc = link_target(tree, node, &target, err);
    source.what.target = strbuf_str(&target);
    if (rc == 0)
        rc = put_entry(put, at, &source, err);
    strbuf_free(&target);
    return rc;
}

/* All below the root of the tree into directory `into`. */
static int put_below(struct put *put, struct tree *tree, uint64_t into, struct plat_err *err)
{
    uint64_t dirs[TREE_MAX_DEPTH + 2];
    size_t depth = 0;
    dirs[0] = into;
    for (const struct tree_node *before = tree_root(tree), *node = tree_next(before); node != NULL;
         before = node, node = tree_next(node)) {
        if (node->parent == before)
            depth++;
        else
            for (const struct tree_node *up = before; up->parent != node->parent; up = up->parent)
                depth--;
        if (depth > TREE_MAX_DEPTH)
            return err_set(err, PLAT_ELIMIT, "directories lie deeper than %d", TREE_MAX_DEPTH);
        const struct fs_place at = {dirs[depth - 1], node->name};
        int rc = put_node(put, tree, node, &at, &dirs[depth], err);
        if (rc != 0) {
            char label[TREE_LABEL_BYTES];
            tree_label(node, label);
            return err_prefix(err, "'%s'", label);
        }
        if ((rc = entry_done(put, err)) != 0)
            return rc;
    }
    return 0;
}

/* `at` NULL: what the directory holds goes into the directory `into`. */
static int put_host_directory(struct put *put, const char *path, const struct fs_place *at, uint64_t into,
                              struct plat_err *err)
{
    struct tree *tree = NULL;
    struct tree_totals totals;
    int rc = tree_open(&put->tree, &tree, err);
    if (rc == 0)
        rc = tree_add_directory(tree, "/", path, err);
    if (rc == 0)
        rc = tree_finish(tree, err);
    if (rc == 0) {
        tree_totals(tree, &totals);
        put->bar.progress.total_bytes += totals.data_bytes;
        if (tree_left_out_output(tree))
            note_left_out("put", put->files->image);
    }
    if (rc == 0 && at != NULL)
        rc = put_node(put, tree, tree_root(tree), at, &into, err);
    if (rc == 0)
        rc = put_below(put, tree, into, err);
    if (tree != NULL)
        tree_close(tree);
    return rc;
}

/* ---- single sources ---- */

static int read_link(const char *path, char **ret, struct plat_err *err)
{
    enum { TARGET_BYTES = 65536 };
    char *target = calloc(1, TARGET_BYTES);
    if (target == NULL)
        return err_nomem(err, "reading a symbolic link");
    ssize_t n = readlink(path, target, TARGET_BYTES - 1);
    if (n < 0) {
        int rc = err_sys(err, errno, "cannot read the link");
        free(target);
        return rc;
    }
    *ret = target;
    return 0;
}

static enum tree_kind kind_of(mode_t mode)
{
    return S_ISREG(mode)    ? TREE_FILE
           : S_ISLNK(mode)  ? TREE_SYMLINK
           : S_ISCHR(mode)  ? TREE_CHAR
           : S_ISBLK(mode)  ? TREE_BLOCK
           : S_ISFIFO(mode) ? TREE_FIFO
                            : TREE_SOCKET;
}

/* The same file as the image: reading and writing it at once would have no end. */
static int is_not_image(const struct put *put, const struct stat *st, struct plat_err *err)
{
    struct stat image;
    if (stat(put->files->image, &image) != 0 || image.st_dev != st->st_dev || image.st_ino != st->st_ino)
        return 0;
    return err_set(err, PLAT_EINVALID, "it is the image itself");
}

static int put_host_file(struct put *put, const char *path, const struct stat *st, const struct fs_place *at,
                         struct plat_err *err)
{
    struct source source = {
        .what = {.kind = kind_of(st->st_mode),
                 .mode = put->has_mode && S_ISREG(st->st_mode) ? put->mode : st->st_mode & 07777,
                 .uid = put->keep_owner ? st->st_uid : 0,
                 .gid = put->keep_owner ? st->st_gid : 0,
                 .created = put->created,
                 .modified = time_of(put, st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec)},
        .fd = -1,
        .size_bytes = (uint64_t)st->st_size};
    char *target = NULL;
    int rc = is_not_image(put, st, err);
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        source.what.device = makedev(major(st->st_rdev), minor(st->st_rdev));
    if (rc == 0 && S_ISLNK(st->st_mode))
        rc = read_link(path, &target, err);
    source.what.target = target;
    if (rc == 0 && S_ISREG(st->st_mode)) {
        put->bar.progress.total_bytes += source.size_bytes;
        /* O_NONBLOCK: a FIFO that took its place must not hang. */
        source.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (source.fd < 0)
            rc = err_sys(err, errno, "cannot open");
    }
    if (rc == 0)
        rc = put_entry(put, at, &source, err);
    if (source.fd >= 0)
        (void)close(source.fd);
    free(target);
    return rc;
}

static int put_stdin(struct put *put, const struct files_place *dest, struct plat_err *err)
{
    const struct source source = {.what = {.kind = TREE_FILE,
                                           .mode = put->has_mode ? put->mode : 0644,
                                           .uid = put->keep_owner ? getuid() : 0,
                                           .gid = put->keep_owner ? getgid() : 0,
                                           .created = put->created,
                                           .modified = put->created},
                                  .fd = STDIN_FILENO};
    if (dest->exists && dest->kind == TREE_DIR)
        return err_set(err, PLAT_EINVALID,
                       "give the file that standard input becomes a name: the last argument is a directory");
    return put_entry(put, &dest->at, &source, err);
}

/* Last name of a path, without slashes behind it; "" for "/", "." and "..", whose contents are meant. Owned. */
static char *base_name(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    const char *name = path + start;
    const size_t n = end - start;
    bool dots = (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.');
    return strndup(name, dots ? 0 : n);
}

static int put_named(struct put *put, const char *path, const struct files_place *dest, const char *name,
                     struct plat_err *err)
{
    struct stat st;
    bool into = dest->exists && dest->kind == TREE_DIR;
    const struct fs_place at = into ? (struct fs_place){dest->node, name} : dest->at;
    if ((put->keep_links ? lstat(path, &st) : stat(path, &st)) != 0)
        return err_sys(err, errno, "cannot read");
    if (S_ISDIR(st.st_mode))
        return put_host_directory(put, path, into && name[0] == '\0' ? NULL : &at, dest->node, err);
    if (dest->names_directory && !into)
        return files_no(put->files, dest, err, PLAT_ENOTFOUND,
                        "there is no such directory (plat mkdir makes one)");
    return put_host_file(put, path, &st, &at, err);
}

static int put_source(struct put *put, const char *path, const struct files_place *dest, struct plat_err *err)
{
    int rc;
    if (strcmp(path, "-") == 0) {
        rc = put_stdin(put, dest, err);
    } else {
        char *name = base_name(path);
        rc = name == NULL ? err_nomem(err, "reading a path") : put_named(put, path, dest, name, err);
        free(name);
    }
    return rc == 0 ? entry_done(put, err) : files_blame(err, path);
}

static int put_all(struct put *put, const char *const *sources, size_t n_sources,
                   const struct files_place *dest, struct plat_err *err)
{
    if (n_sources > 1 && !(dest->exists && dest->kind == TREE_DIR))
        return files_no(put->files, dest, err, PLAT_ENOTFOUND,
                        dest->exists ? "it is not a directory, which more than one source needs"
                                     : "there is no such directory, which more than one source needs");
    put->buf = malloc(READ_BYTES);
    if (put->buf == NULL)
        return err_nomem(err, "reading files");
    cli_progress_init(&put->bar, put->files->cli, "putting", 0);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n_sources; i++)
        rc = put_source(put, sources[i], dest, err);
    cli_progress_done(&put->bar);
    free(put->buf);
    return rc;
}

int files_put(struct files *files, const char *const *sources, size_t n_sources, const char *dest,
              uint64_t staged_max_bytes, uint64_t *ret_committed, struct plat_err *err)
{
    const char *const *exclude;
    const char *owner = cli_text(files->cli, "owner");
    const size_t n_exclude = cli_list(files->cli, "exclude", &exclude);
    const char **patterns = calloc(n_exclude + 1, sizeof *patterns);
    struct put put = {.files = files,
                      .fs = files->fs,
                      .writer = files->driver->writer,
                      .keep_owner = owner != NULL && strcmp(owner, "keep") == 0,
                      .keep_links = cli_flag(files->cli, "links"),
                      .staged_max_bytes = staged_max_bytes};
    struct files_place place = {0};
    if (patterns == NULL)
        return err_nomem(err, "reading --exclude");
    for (size_t i = 0; i < n_exclude; i++)
        patterns[i] = exclude[i];
    put.tree = (struct tree_options){
        .root_owned = !put.keep_owner, .output = files->image, .exclude = n_exclude > 0 ? patterns : NULL};
    int rc = files_times(files->cli, &put.created, &put.clock, err);
    if (rc == 0)
        rc = files_mode(files->cli, &put.has_mode, &put.mode, err);
    if (rc == 0)
        rc = source_date_epoch(&put.tree.has_clamp, &put.tree.clamp_s, err);
    if (rc == 0)
        rc = files_find(files, dest, &place, err);
    if (rc == 0)
        rc = put_all(&put, sources, n_sources, &place, err);
    files_place_free(&place);
    free(patterns);
    *ret_committed = put.committed;
    return rc;
}

/* ---- the command ---- */

static int change(struct files *files, struct plat_err *err)
{
    const char *const *args = files->cli->args;
    const size_t last = files->cli->n_args - 1;
    uint64_t committed = 0;
    int rc = files_put(files, args + 1, last - 1, args[last], STAGED_MAX_BYTES, &committed, err);
    if (rc != 0 && committed > 0)
        (void)err_prefix(err, "what came before, %llu entries, was too much for one commit and is stored",
                         (unsigned long long)committed);
    return rc;
}

static int run(struct cli *cli)
{
    size_t n_stdin = 0;
    for (size_t i = 1; i + 1 < cli->n_args; i++)
        n_stdin += strcmp(cli->args[i], "-") == 0;
    if (n_stdin > 1 || (n_stdin > 0 && cli->n_args > 3))
        return cli_usage(cli, "\"-\" is standard input, which becomes one file: IMAGE - FILE");
    return files_run(cli, &cli->args[cli->n_args - 1], 1, change);
}

static const struct option_desc options_table[] = {
    FILES_PARTITION_OPTION,
    {.name = "mode",
     .kind = OPTION_TEXT,
     .argument = "OCTAL",
     .doc = "permissions of the files (those of the sources)",
     .complete = COMPLETE_NONE},
    {.name = "owner",
     .kind = OPTION_TEXT,
     .argument = "zero|keep",
     .doc = "who they belong to: 0:0 (default), or whoever owns the sources",
     .choices = "zero|keep",
     .complete = COMPLETE_CHOICES},
    {.name = "exclude",
     .kind = OPTION_LIST,
     .argument = "PATTERN",
     .doc = "leave out what matches, below each directory, as in .gitignore: *.o, .git/ (repeatable)",
     .complete = COMPLETE_NONE},
    {.name = "links", .kind = OPTION_FLAG, .doc = "a SOURCE that is a symbolic link stays one"},
    FILES_TIME_OPTIONS("what is put"),
};

const struct command command_put = {
    .name = "put",
    .group = "Files",
    .summary = "put files into an image, in place",
    .synopsis = "IMAGE SOURCE... DEST",
    .doc = "Puts files, directories with all they hold, and standard input (\"-\") into the filesystem in "
           "IMAGE, as "
           "cp\n"
           "does: into DEST where that is a directory, else under the name DEST. \"SOURCE/.\" stands for "
           "what a\n"
           "directory holds. A file that is there is replaced when the new one is complete; a directory that "
           "is\n"
           "there is joined and keeps its mode and times.\n"
           "\n"
           "All becomes visible at once and survives a power cut from then on, or nothing does. Only what is "
           "too\n"
           "much for memory is stored in several steps, each of whole files. There is one writer at a time; "
           "readers\n"
           "see the last commit.\n"
           "\n"
           "Exit code: 0; 1 DEST is not there, or is in the way; 2 it could not be done. Where it is not 0, "
           "nothing\n"
           "was changed.\n",
    .examples = "  plat put data.img report.pdf photos/ /home\n"
                "  plat put disk.img -p data --mode 755 run.sh /bin/run\n"
                "  date | plat put data.img - /etc/built\n",
    .options = options_table,
    .n_options = sizeof options_table / sizeof *options_table,
    .min_args = 3,
    .max_args = SIZE_MAX,
    .complete = COMPLETE_FILE,
    .run = run,
};
