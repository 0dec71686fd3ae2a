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

#include "inspect/extract.h"

struct tar_sink {
    struct extract_sink sink; /* first */
    struct archive *archive;
    int fd;
    char *target; /* NULL: standard output */
    char *temp;   /* NULL once it is renamed */
    bool force;
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

static int put_header(struct tar_sink *s, const char *path, const struct fs_stat *stat, const char *target,
                      struct plat_err *err)
{
    struct archive_entry *entry = archive_entry_new();
    if (entry == NULL)
        return err_nomem(err, "extracting");
    unsigned kind = stat->kind == TREE_DIR ? AE_IFDIR : stat->kind == TREE_SYMLINK ? AE_IFLNK : AE_IFREG;
    mode_t mode = stat->kind == TREE_DIR ? 0755 : 0644;
    if (!stat->has_mode && stat->kind == TREE_FILE && stat->attributes & FILE_READ_ONLY)
        mode = 0444;
    archive_entry_copy_pathname(entry, path);
    archive_entry_set_filetype(entry, kind);
    archive_entry_set_perm(entry, stat->has_mode ? (mode_t)stat->mode : mode);
    archive_entry_set_uid(entry, stat->uid);
    archive_entry_set_gid(entry, stat->gid);
    archive_entry_set_mtime(entry, stat->has_mtime ? stat->mtime_s : 0,
                            stat->has_mtime ? (long)stat->mtime_ns : 0);
    if (stat->kind == TREE_FILE)
        archive_entry_set_size(entry, (la_int64_t)stat->size_bytes);
    if (target != NULL)
        archive_entry_copy_symlink(entry, target);
    locale_t users = s->utf8 != (locale_t)0 ? uselocale(s->utf8) : (locale_t)0;
    int r = archive_write_header(s->archive, entry) < ARCHIVE_WARN ? tar_fault(s, err) : 0;
    if (s->utf8 != (locale_t)0)
        (void)uselocale(users);
    archive_entry_free(entry);
    return r;
}

static int tar_dir(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                   struct plat_err *err)
{
    return put_header(tar_sink_of(sink), path, stat, NULL, err);
}

static int tar_dir_end(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                       struct plat_err *err)
{
    (void)sink;
    (void)path;
    (void)stat;
    (void)err;
    return 0;
}

static int tar_file(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                    struct extract_reader *reader, struct plat_err *err)
{
    struct tar_sink *s = tar_sink_of(sink);
    size_t n = 0;
    int r = put_header(s, path, stat, NULL, err);
    do {
        if (r == 0)
            r = extract_read(reader, s->buf, FILES_READ_BYTES, &n, err);
        if (r == 0 && n > 0 && archive_write_data(s->archive, s->buf, n) != (la_ssize_t)n)
            r = tar_fault(s, err);
    } while (r == 0 && n > 0);
    return r;
}

static int tar_symlink(struct extract_sink *sink, const char *path, const struct fs_stat *stat,
                       const char *target, struct plat_err *err)
{
    return put_header(tar_sink_of(sink), path, stat, target, err);
}

/* linkat refuses to replace what is there; rename does replace it. */
static int tar_publish(struct tar_sink *s, struct plat_err *err)
{
    if (!s->force) {
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

static int tar_finish(struct extract_sink *sink, struct plat_err *err)
{
    struct tar_sink *s = tar_sink_of(sink);
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
    .dir = tar_dir,
    .dir_end = tar_dir_end,
    .file = tar_file,
    .symlink = tar_symlink,
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
    if (exists && !s->force)
        return err_set(err, PLAT_EINVALID, "%.200s exists already; --force replaces it", target);
    s->target = strdup(target);
    if (s->target == NULL || asprintf(&s->temp, "%s.plat-XXXXXX", target) < 0) {
        s->temp = NULL;
        return err_nomem(err, "extracting");
    }
    s->fd = mkostemp(s->temp, O_CLOEXEC);
    return s->fd < 0 ? err_sys(err, errno, "cannot create a file beside %.200s", target) : 0;
}

int extract_to_tar(const char *target, bool force, struct extract_sink **ret, struct plat_err *err)
{
    struct tar_sink *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err, "extracting");
    s->sink = (struct extract_sink){.ops = &tar_ops, .all_or_nothing = true};
    s->force = force;
    s->fd = -1;
    s->umask = umask(0);
    (void)umask(s->umask);
    s->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    s->buf = malloc(FILES_READ_BYTES);
    s->archive = archive_write_new();
    int r = s->buf == NULL || s->archive == NULL ? err_nomem(err, "extracting") : 0;
    if (r == 0 && strcmp(target, "-") != 0)
        r = open_temp(s, target, err);
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
