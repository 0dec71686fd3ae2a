/* Host directories: scanning them into the tree, and finding the way back to them when contents are read.
 *
 * One readdir pass and one fstatat a file; paths are never put together except for exclude patterns and
 * messages. Subdirectories wait on a stack, so that two descriptors are enough at any depth. */
#include "lib/tree/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct scan {
    struct tree *tree;
    uint32_t source;
    int root_fd;
    struct tree_node **pending; /* directories that are not read yet */
    size_t n_pending, cap_pending;
    struct strbuf
        path; /* of the directory being read, below the target, with '/' behind; for exclude patterns */
    size_t target_bytes;
    bool has_output;  /* the directory being read is the output's */
    int64_t newest_s; /* of what it holds */
    uint32_t newest_ns;
};

void tree_host_label(const struct tree *tree, uint32_t source, const struct tree_node *dir, const char *name,
                     char ret[TREE_LABEL_BYTES])
{
    const struct host_source *s = &tree->sources[source];
    struct strbuf sb = {0};
    const struct tree_node *way[TREE_MAX_DEPTH + 1];
    size_t n = 0;
    for (const struct tree_node *d = dir; d != s->base && d != NULL && n < TREE_MAX_DEPTH + 1; d = d->parent)
        way[n++] = d;
    strbuf_puts(&sb, s->path);
    while (n > 0) {
        strbuf_putc(&sb, '/');
        strbuf_puts(&sb, way[--n]->name);
    }
    if (name != NULL) {
        strbuf_putc(&sb, '/');
        strbuf_puts(&sb, name);
    }
    tree_visible(strbuf_str(&sb), sb.len, ret);
    strbuf_free(&sb);
}

/* The directory at the end of way[n - 1], ..., way[0], by one system call that follows no links; -1: not so. */
static int open_at_once(int root_fd, const struct tree_node *const *way, size_t n, int flags)
{
    char path[PATH_MAX];
    size_t used = 0;
    const struct open_how how = {.flags = (unsigned)(O_DIRECTORY | O_CLOEXEC | flags),
                                 .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
    if (n < 2)
        return -1; /* a step is as good */
    for (size_t i = n; i-- > 0;) {
        const size_t name_bytes = strlen(way[i]->name);
        if (name_bytes + 1 > sizeof path - used)
            return -1;
        memcpy(path + used, way[i]->name, name_bytes);
        used += name_bytes;
        path[used++] = i > 0 ? '/' : '\0';
    }
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

int tree_open_host_dir(const struct tree *tree, uint32_t source, int root_fd, const struct tree_node *dir,
                       int flags, int *ret_fd, struct plat_err *err)
{
    const struct tree_node *way[TREE_MAX_DEPTH + 1];
    size_t n = 0;
    for (const struct tree_node *d = dir; d != tree->sources[source].base; d = d->parent) {
        if (d == NULL || n > TREE_MAX_DEPTH)
            return err_set(err, PLAT_EBUG, "a file lies outside its source");
        way[n++] = d;
    }
    int fd = open_at_once(root_fd, way, n, flags);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    fd = root_fd;
    do { /* where that is not to be had, and for the name of what is wrong */
        const char *name = n > 0 ? way[--n]->name : ".";
        int open_flags = O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW | (n == 0 ? flags : O_PATH);
        int next = openat(fd, name, open_flags);
        int saved_errno = errno;
        if (fd != root_fd)
            (void)close(fd);
        if (next < 0) {
            char label[TREE_LABEL_BYTES];
            tree_host_label(tree, source, dir, NULL, label);
            return err_sys(err, saved_errno, "cannot read directory %s", label);
        }
        fd = next;
    } while (n > 0);
    *ret_fd = fd;
    return 0;
}

static int push(struct scan *s, struct tree_node *dir, struct plat_err *err)
{
    if (s->n_pending == s->cap_pending) {
        size_t cap = s->cap_pending == 0 ? 64 : s->cap_pending * 2;
        struct tree_node **more = realloc(s->pending, cap * sizeof *more);
        if (more == NULL)
            return err_nomem(err, "scanning a directory");
        s->pending = more;
        s->cap_pending = cap;
    }
    s->pending[s->n_pending++] = dir;
    return 0;
}

static void spec_times_and_owner(const struct tree *tree, const struct stat *st, struct tree_spec *spec)
{
    spec->mode = st->st_mode;
    spec->uid = tree->options.root_owned ? 0 : st->st_uid;
    spec->gid = tree->options.root_owned ? 0 : st->st_gid;
    spec->has_mtime = true;
    spec->mtime_s = st->st_mtim.tv_sec;
    spec->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
}

static int read_link(struct scan *s, int dir_fd, const char *name, struct tree_spec *spec)
{
    char target[4096 + 1];
    ssize_t n = readlinkat(dir_fd, name, target, sizeof target);
    if (n < 0)
        return errno;
    if (n == 0 || (size_t)n == sizeof target)
        return ENAMETOOLONG;
    spec->from.literal = arena_strndup(&s->tree->text, target, (size_t)n);
    if (spec->from.literal == NULL)
        return ENOMEM;
    spec->source = SOURCE_LITERAL;
    spec->size_bytes = (uint64_t)n;
    return 0;
}

/* What the file is; 0 or an errno. */
static int look(struct scan *s, int dir_fd, const char *name, struct tree_spec *ret)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    struct tree_spec spec = {.source = SOURCE_NONE};
    spec_times_and_owner(s->tree, &st, &spec);
    int r = 0;
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        spec.kind = TREE_FILE;
        spec.source = SOURCE_HOST_DIR;
        spec.from.source_index = s->source;
        spec.size_bytes = (uint64_t)st.st_size;
        break;
    case S_IFDIR:
        spec.kind = TREE_DIR;
        break;
    case S_IFLNK:
        spec.kind = TREE_SYMLINK;
        r = read_link(s, dir_fd, name, &spec);
        break;
    case S_IFCHR:
    case S_IFBLK:
        spec.kind = S_ISCHR(st.st_mode) ? TREE_CHAR : TREE_BLOCK;
        spec.from.device = st.st_rdev;
        break;
    case S_IFIFO:
        spec.kind = TREE_FIFO;
        break;
    case S_IFSOCK:
        spec.kind = TREE_SOCKET;
        break;
    default:
        r = EINVAL;
        break;
    }
    if (r == 0 && spec.kind != TREE_DIR && s->tree->options.links && st.st_nlink > 1)
        r = tree_link_find(&s->tree->links, st.st_dev, st.st_ino, &spec.link);
    if (r == 0)
        *ret = spec;
    return r;
}

static bool is_excluded(struct scan *s, int dir_fd, const struct dirent *entry)
{
    struct stat st;
    if (s->tree->ignore.n == 0)
        return false;
    bool directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN) /* what cannot be looked at is complained of later */
        directory = fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
    size_t keep = s->path.len;
    strbuf_puts(&s->path, entry->d_name);
    bool excluded = !s->path.failed && tree_ignores(&s->tree->ignore, strbuf_str(&s->path), directory);
    strbuf_truncate(&s->path, keep);
    return excluded;
}

static int scan_entry(struct scan *s, const struct tree_place *at, int dir_fd, const struct dirent *entry,
                      bool known_new, struct plat_err *err)
{
    const char *name = entry->d_name;
    if (is_excluded(s, dir_fd, entry))
        return 0;
    if (s->has_output && strcmp(name, s->tree->output.name) == 0) {
        s->tree->output.left_out = true;
        return 0;
    }
    struct tree_spec spec = {0};
    int e = look(s, dir_fd, name, &spec);
    char label[TREE_LABEL_BYTES];
    if (e != 0) {
        tree_host_label(s->tree, s->source, at->dir, name, label);
        return err_sys(err, e, "%s", label);
    }
    if (spec.mtime_s > s->newest_s || (spec.mtime_s == s->newest_s && spec.mtime_ns > s->newest_ns)) {
        s->newest_s = spec.mtime_s;
        s->newest_ns = spec.mtime_ns;
    }
    struct tree_node *node;
    int r = tree_put(s->tree, at, name, strlen(name), known_new, &spec, &node, err);
    if (r != 0) {
        tree_host_label(s->tree, s->source, at->dir, name, label);
        (void)err_prefix(err, "%s", label);
        return r;
    }
    if (s->tree->options.xattrs && (e = tree_xattrs_read_host(s->tree, dir_fd, name, node)) != 0) {
        tree_host_label(s->tree, s->source, at->dir, name, label);
        return err_sys(err, e, "cannot read the attributes of %s", label);
    }
    return spec.kind == TREE_DIR ? push(s, node, err) : 0;
}

static int set_path(struct scan *s, struct tree_node *dir, struct plat_err *err)
{
    if (s->tree->ignore.n == 0)
        return 0;
    char *buf = malloc(TREE_MAX_PATH_BYTES + 2);
    int r = buf == NULL ? PLAT_ENOMEM : tree_path(dir, buf, TREE_MAX_PATH_BYTES + 2);
    strbuf_truncate(&s->path, 0);
    const size_t above = s->target_bytes > 0 ? s->target_bytes + 2 : 1; /* "/target/", or "/" */
    if (r == 0 && strlen(buf) > above) {
        strbuf_puts(&s->path, buf + above);
        strbuf_putc(&s->path, '/');
    }
    free(buf);
    return r != 0 || s->path.failed ? err_nomem(err, "scanning a directory") : 0;
}

static void look_for_output(struct scan *s, int fd)
{
    struct stat st;
    s->has_output = s->tree->output.name != NULL && fstat(fd, &st) == 0 &&
                    st.st_dev == s->tree->output.device && st.st_ino == s->tree->output.inode;
    s->newest_s = 0;
    s->newest_ns = 0;
}

/* The time of the output's directory: see tree_options.output. */
static void settle_time(struct scan *s, struct tree_node *dir)
{
    if (!s->has_output)
        return;
    const struct tree_spec spec = {.kind = TREE_DIR,
                                   .mode = dir->mode,
                                   .uid = dir->uid,
                                   .gid = dir->gid,
                                   .has_mtime = true,
                                   .mtime_s = s->newest_s,
                                   .mtime_ns = s->newest_ns};
    tree_set(s->tree, dir, &spec);
}

static int scan_directory(struct scan *s, struct tree_node *dir, struct plat_err *err)
{
    int fd = -1;
    int r = set_path(s, dir, err);
    if (r == 0)
        r = tree_open_host_dir(s->tree, s->source, s->root_fd, dir, O_RDONLY, &fd, err);
    if (r != 0)
        return r;
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        (void)close(fd);
        return err_nomem(err, "scanning a directory");
    }
    struct tree_place at = tree_place_of(dir);
    look_for_output(s, fd);
    bool known_new = dir->n_children == 0; /* names within one host directory differ */
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL)
            break;
        const char *name = entry->d_name;
        if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')))
            continue;
        r = scan_entry(s, &at, fd, entry, known_new, err);
        if (r != 0)
            goto out;
    }
    if (errno != 0) {
        int saved_errno = errno;
        char label[TREE_LABEL_BYTES];
        tree_host_label(s->tree, s->source, dir, NULL, label);
        r = err_sys(err, saved_errno, "cannot read directory %s", label);
    }
    settle_time(s, dir);
out:
    (void)closedir(stream);
    return r;
}

int tree_add_directory(struct tree *tree, const char *target, const char *host_path, struct plat_err *err)
{
    struct tree_place at;
    struct stat st;
    struct scan s = {.tree = tree, .root_fd = -1};
    if (tree->finished)
        return err_set(err, PLAT_EBUG, "an addition to a finished tree");
    s.root_fd = open(host_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s.root_fd < 0 || fstat(s.root_fd, &st) != 0) {
        int r = err_sys(err, errno, "cannot read directory %s", host_path);
        if (s.root_fd >= 0)
            (void)close(s.root_fd);
        return r;
    }
    int r = tree_descend_all(tree, target, &at, err);
    if (r == 0)
        s.target_bytes = at.path_bytes;
    if (r == 0)
        r = tree_add_source_path(tree, host_path, at.dir, &s.source, err);
    if (r == 0) {
        struct tree_spec spec = {.kind = TREE_DIR, .source = SOURCE_NONE};
        spec_times_and_owner(tree, &st, &spec);
        tree_set(tree, at.dir, &spec);
        r = push(&s, at.dir, err);
    }
    int e = r == 0 && tree->options.xattrs ? tree_xattrs_read_host(tree, s.root_fd, ".", at.dir) : 0;
    if (e != 0)
        r = err_sys(err, e, "cannot read the attributes of %s", host_path);
    while (r == 0 && s.n_pending > 0)
        r = scan_directory(&s, s.pending[--s.n_pending], err);
    free(s.pending);
    strbuf_free(&s.path);
    (void)close(s.root_fd);
    return r;
}
