/* Extracting into a tar archive (pax, which plain tar reads), by libarchive. The archive appears when it is
 * whole. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inspect/extract_links.h"

struct tar_sink {
    struct extract_sink sink; /* first */
    const struct extract_options *options;
    struct first_names firsts;
    struct archive *archive;
    int fd;
    char *target; /* NULL: standard output */
    char *temp;   /* NULL once it is renamed */
    bool failed;  /* an entry could not be read or written: no archive */
    bool discard; /* after a failure: what libarchive still writes to end the archive goes nowhere */
    mode_t umask;
    locale_t
        utf8; /* names are UTF-8, whatever the user's locale: libarchive converts them by the one in force */
    uint8_t *buf;
};

static struct tar_sink *tar_sink_of(struct extract_sink *sink)
{
    return (struct tar_sink *)(void *)sink;
}

static int tar_fault(const struct tar_sink *s, struct plat_err *err)
{
    const char *why = archive_error_string(s->archive);
    return err_set(err, PLAT_EIO, "cannot write the archive: %s", why != NULL ? why : "unknown reason");
}

static la_ssize_t write_block(struct archive *archive, void *ctx, const void *bytes, size_t n)
{
    const struct tar_sink *s = ctx;
    ssize_t wrote;
    if (s->discard)
        return (la_ssize_t)n;
    do {
        wrote = write(s->fd, bytes, n);
    } while (wrote < 0 && errno == EINTR);
    if (wrote < 0)
        archive_set_error(archive, errno, "%s", strerror(errno));
    return wrote;
}

static unsigned file_type(enum tree_kind kind)
{
    static const unsigned types[] = {
        [TREE_FILE] = AE_IFREG, [TREE_DIR] = AE_IFDIR,   [TREE_SYMLINK] = AE_IFLNK,
        [TREE_CHAR] = AE_IFCHR, [TREE_BLOCK] = AE_IFBLK, [TREE_FIFO] = AE_IFIFO,
    };
    return types[kind];
}

static int add_xattr(void *ctx, const struct fs_xattr *xattr)
{
    archive_entry_xattr_add_entry(ctx, xattr->name, xattr->value, xattr->value_bytes);
    return 0;
}

/* Everything but what names the content. */
static int fill_entry(const struct tar_sink *s, struct archive_entry *to, const struct extract_entry *from,
                      struct plat_err *err)
{
    const struct fs_stat *stat = from->stat;
    struct fs *fs = s->options->source->fs;
    mode_t mode = stat->kind == TREE_DIR ? 0755 : 0644;
    if (!stat->has_mode && stat->kind == TREE_FILE && stat->attributes & FILE_READ_ONLY)
        mode = 0444;
    archive_entry_copy_pathname(to, from->path[0] != '\0' ? from->path : "./");
    archive_entry_set_filetype(to, file_type(stat->kind));
    archive_entry_set_perm(to, stat->has_mode ? (mode_t)stat->mode : mode);
    archive_entry_set_uid(to, stat->uid);
    archive_entry_set_gid(to, stat->gid);
    archive_entry_set_mtime(to, stat->has_mtime ? stat->mtime_s : 0,
                            stat->has_mtime ? (long)stat->mtime_ns : 0);
    if (stat->kind == TREE_CHAR || stat->kind == TREE_BLOCK)
        archive_entry_set_rdev(to, (dev_t)stat->device);
    if (!s->options->keep_xattrs || stat->no_xattrs || fs->driver->xattrs == NULL)
        return 0;
    return fs->driver->xattrs(fs, from->node, add_xattr, to, err);
}

/* target: of a symbolic link; first: the other name of the same file. */
static int put_header(struct tar_sink *s, const struct extract_entry *from, const char *target,
                      const char *first, struct plat_err *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL)
        return err_nomem(err, "extracting");
    int r = fill_entry(s, entry, from, err);
    if (r == 0) {
        if (from->stat->kind == TREE_FILE && first == NULL)
            archive_entry_set_size(entry, (la_int64_t)from->stat->size_bytes);
        if (target != NULL)
            archive_entry_copy_symlink(entry, target);
        if (first != NULL)
            archive_entry_copy_hardlink(entry, first);
        locale_t users = s->utf8 != (locale_t)0 ? uselocale(s->utf8) : (locale_t)0;
        r = archive_write_header(s->archive, entry) < ARCHIVE_WARN ? tar_fault(s, err) : 0;
        if (s->utf8 != (locale_t)0)
            (void)uselocale(users);
    }
    archive_entry_free(entry);
    return r;
}

/* An archive is all or nothing: a failure ends the work. */
static int report(struct tar_sink *s, const struct extract_entry *entry, int rc, const struct plat_err *why)
{
    const struct extract_report *to = &s->options->report;
    s->failed = s->failed || rc != 0;
    if (rc == PLAT_ESTOP)
        return rc;
    if (rc != 0)
        to->failed(to->ctx, entry->path, why);
    else
        to->done(to->ctx, entry->path, entry->stat->kind);
    return rc != 0 || to->interrupted(to->ctx) ? PLAT_ESTOP : 0;
}

static int tar_begin(struct extract_sink *sink, struct fs *fs, const char *path, struct plat_err *err)
{
    struct tar_sink *s = tar_sink_of(sink);
    (void)path;
    (void)err;
    if (s->options->source->fs != fs)
        first_names_free(&s->firsts);
    s->options->source->fs = fs;
    return 0;
}

static int tar_enter(struct extract_sink *sink, const struct extract_entry *entry)
{
    struct plat_err why = {0};
    if (entry->path[0] == '\0' && !entry->stat->has_mode) /* nothing is known of it */
        return 0;
    return report(tar_sink_of(sink), entry, put_header(tar_sink_of(sink), entry, NULL, NULL, &why), &why);
}

static int tar_leave(struct extract_sink *sink, const struct extract_entry *entry)
{
    (void)sink;
    (void)entry;
    return 0;
}

static int put_content(struct tar_sink *s, const struct extract_entry *entry, struct plat_err *err)
{
    const uint64_t size_bytes = entry->stat->size_bytes;
    int r = put_header(s, entry, NULL, NULL, err);
    for (uint64_t at = 0; r == 0 && at < size_bytes;) {
        size_t n = FILES_READ_BYTES;
        r = extract_read(s->options->source, entry->node, size_bytes, at, s->buf, n, &n, err);
        if (r == 0 && archive_write_data(s->archive, s->buf, n) != (la_ssize_t)n)
            r = tar_fault(s, err);
        progress_add(s->options->report.progress, n);
        at += n;
        if (r == 0 && s->options->report.interrupted(s->options->report.ctx))
            return PLAT_ESTOP;
    }
    return r;
}

static int put_symlink(struct tar_sink *s, const struct extract_entry *entry, struct plat_err *err)
{
    struct strbuf target = {0};
    int r = extract_target(s->options->source, entry->node, &target, err);
    if (r == 0)
        r = put_header(s, entry, strbuf_str(&target), NULL, err);
    strbuf_free(&target);
    return r;
}

static int tar_entry(struct extract_sink *sink, const struct extract_entry *entry)
{
    struct tar_sink *s = tar_sink_of(sink);
    const struct fs_stat *stat = entry->stat;
    struct first_name *first = NULL;
    struct plat_err why = {0};
    bool new = true;
    int r = 0;
    if (stat->kind == TREE_SOCKET) { /* it is nothing without who listens: tar leaves it out, too */
        (void)err_set(&why, PLAT_EUNSUPPORTED, "it is a socket, which an archive cannot hold");
        s->options->report.failed(s->options->report.ctx, entry->path, &why);
        return 0;
    }
    if (stat->links > 1)
        r = first_names_get(&s->firsts, entry->node, &first, &new, &why);
    if (r == 0 && first != NULL && new)
        r = first_name_set(first, NULL, entry->path, &why);
    if (r == 0 && first != NULL && !new)
        r = put_header(s, entry, NULL, first->name, &why);
    else if (r == 0 && stat->kind == TREE_FILE)
        r = put_content(s, entry, &why);
    else if (r == 0 && stat->kind == TREE_SYMLINK)
        r = put_symlink(s, entry, &why);
    else if (r == 0)
        r = put_header(s, entry, NULL, NULL, &why);
    return report(s, entry, r, &why);
}

/* The archive is made without what has a bad name. */
static int tar_refuse(struct extract_sink *sink, const char *path, bool unread, const struct plat_err *why)
{
    struct tar_sink *s = tar_sink_of(sink);
    s->failed = s->failed || unread;
    s->options->report.failed(s->options->report.ctx, path, why);
    return unread ? PLAT_ESTOP : 0;
}

/* linkat refuses to replace what is there; rename does replace it. */
static int tar_publish(struct tar_sink *s, struct plat_err *err)
{
    if (!s->options->force) {
        if (link(s->temp, s->target) != 0)
            return errno == EEXIST
                       ? err_set(err, PLAT_EINVALID, "%.200s exists already; --force replaces it", s->target)
                       : err_sys(err, errno, "cannot create %.200s", s->target);
        (void)unlink(s->temp);
    } else if (rename(s->temp, s->target) != 0) {
        return err_sys(err, errno, "cannot replace %.200s", s->target);
    }
    free(s->temp);
    s->temp = NULL;
    return 0;
}

static int tar_finish(struct extract_sink *sink, bool whole, struct plat_err *err)
{
    struct tar_sink *s = tar_sink_of(sink);
    if (!whole || s->failed || s->options->report.interrupted(s->options->report.ctx))
        return 0; /* said already; close removes it */
    if (archive_write_close(s->archive) < ARCHIVE_WARN)
        return tar_fault(s, err);
    if (s->target == NULL)
        return 0;
    if (fchmod(s->fd, 0666 & ~s->umask) != 0 || fsync(s->fd) != 0)
        return err_sys(err, errno, "cannot write %.200s", s->target);
    return tar_publish(s, err);
}

static void tar_close(struct extract_sink *sink)
{
    struct tar_sink *s = tar_sink_of(sink);
    if (s->archive != NULL) {
        s->discard = true;
        (void)archive_write_free(s->archive);
    }
    first_names_free(&s->firsts);
    if (s->temp != NULL && s->fd >= 0)
        (void)unlink(s->temp);
    if (s->target != NULL && s->fd >= 0)
        (void)close(s->fd);
    if (s->utf8 != (locale_t)0)
        freelocale(s->utf8);
    free(s->temp);
    free(s->target);
    free(s->buf);
    free(s);
}

static const struct extract_sink_ops tar_ops = {
    .begin = tar_begin,
    .enter = tar_enter,
    .leave = tar_leave,
    .entry = tar_entry,
    .refuse = tar_refuse,
    .finish = tar_finish,
    .close = tar_close,
};

static int open_temp(struct tar_sink *s, const char *target, struct plat_err *err)
{
    struct stat st;
    bool exists = lstat(target, &st) == 0;
    if (exists &&
        !S_ISREG(st.st_mode)) /* rename would put a file in the place of a device or a link to one */
        return err_set(err, PLAT_EINVALID,
                       "%.200s exists and is not a regular file; give -o another name, or -", target);
    if (exists && !s->options->force)
        return err_set(err, PLAT_EINVALID, "%.200s exists already; --force replaces it", target);
    s->target = strdup(target);
    if (s->target == NULL || asprintf(&s->temp, "%s.plat-XXXXXX", target) < 0) {
        s->temp = NULL;
        return err_nomem(err, "extracting");
    }
    s->fd = mkostemp(s->temp, O_CLOEXEC);
    return s->fd < 0 ? err_sys(err, errno, "cannot create a file beside %.200s", target) : 0;
}

int extract_to_tar(const struct extract_options *options, struct extract_sink **ret, struct plat_err *err)
{
    struct tar_sink *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err, "extracting");
    s->sink.ops = &tar_ops;
    s->options = options;
    s->fd = -1;
    s->umask = umask(0);
    (void)umask(s->umask);
    s->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    s->buf = malloc(FILES_READ_BYTES);
    s->archive = archive_write_new();
    int r = s->buf == NULL || s->archive == NULL ? err_nomem(err, "extracting") : 0;
    if (r == 0 && strcmp(options->target, "-") != 0)
        r = open_temp(s, options->target, err);
    else
        s->fd = STDOUT_FILENO;
    if (r == 0 && (archive_write_set_format_pax_restricted(s->archive) < ARCHIVE_WARN ||
                   archive_write_open(s->archive, s, NULL, write_block, NULL) < ARCHIVE_WARN))
        r = tar_fault(s, err);
    if (r != 0) {
        tar_close(&s->sink);
        return r;
    }
    *ret = &s->sink;
    return 0;
}
