/* What libarchive gives of a manifest, made into ordinary entries: see manifest.h. */
#include "lib/tree/manifest.h"

#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/tree/private.h"

enum { DIR_MODE = 0755, FILE_MODE = 0644, LINK_MODE = 0777 };

struct manifest {
    struct tree *tree;
    struct strbuf dir; /* with '/' behind, or "" */
    int dir_fd;
    bool anywhere;
    dev_t salt; /* files of two manifests are never one, nor are they files of a host directory */
    struct strbuf contents;
    struct stat stat; /* of that file */
};

int manifest_open(struct tree *tree, const char *host_path, bool anywhere, struct manifest **ret,
                  struct plat_err *err)
{
    const char *slash = strrchr(host_path, '/');
    struct manifest *m = calloc(1, sizeof *m);
    if (m == NULL)
        return err_nomem(err, "reading a manifest");
    m->tree = tree;
    m->anywhere = anywhere;
    m->salt = ~(dev_t)tree->n_manifests++;
    if (slash != NULL)
        strbuf_add(&m->dir, host_path, (size_t)(slash - host_path) + 1);
    m->dir_fd = open(m->dir.len > 0 ? strbuf_str(&m->dir) : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (m->dir_fd < 0 || m->dir.failed) {
        int rc = m->dir.failed ? err_nomem(err, "reading a manifest")
                               : err_sys(err, errno, "cannot open the manifest's directory");
        manifest_close(m);
        return rc;
    }
    *ret = m;
    return 0;
}

void manifest_close(struct manifest *m)
{
    if (m == NULL)
        return;
    if (m->dir_fd >= 0)
        (void)close(m->dir_fd);
    strbuf_free(&m->dir);
    strbuf_free(&m->contents);
    free(m);
}

/* ---- contents ---- */

/* Looks at the file without opening it: 0 or an errno. */
static int look(const struct manifest *m, const char *path, struct stat *ret)
{
    static const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    if (path[0] == '/' && m->anywhere)
        return stat(path, ret) == 0 ? 0 : errno;
    long fd;
    do /* EAGAIN: something was renamed just then */
        fd = syscall(SYS_openat2, m->dir_fd, path, &how, sizeof how);
    while (fd < 0 && errno == EAGAIN);
    const int e = fd < 0 || fstat((int)fd, ret) != 0 ? errno : 0;
    if (fd >= 0)
        (void)close((int)fd);
    return e;
}

static int find_contents(struct manifest *m, struct archive_entry *entry, const char *path,
                         bool *ret_left_out, struct plat_err *err)
{
    char label[TREE_LABEL_BYTES];
    const char *flags = archive_entry_fflags_text(entry);
    const int e = look(m, path, &m->stat);
    tree_visible(path, strlen(path), label);
    *ret_left_out = (e == ENOENT || e == ENOTDIR) && flags != NULL && strcmp(flags, MANIFEST_OPTIONAL) == 0;
    if (*ret_left_out)
        return 0;
    if (e == EXDEV)
        return err_set(err, PLAT_EINVALID,
                       "its contents '%s' lie outside the manifest's directory: %swrite an absolute path if "
                       "they are meant to",
                       label, m->anywhere ? "" : "call the manifest .mtree and ");
    if (e != 0)
        return err_sys(err, e, "its contents '%s%s'", path[0] == '/' ? "" : strbuf_str(&m->dir), label);
    if (!S_ISREG(m->stat.st_mode))
        return err_set(err, PLAT_EINVALID, "its contents '%s' are no regular file", label);
    const la_int64_t said = archive_entry_size(entry);
    if (said != MANIFEST_NO_SIZE && said != (la_int64_t)m->stat.st_size)
        return err_set(err, PLAT_EINVALID,
                       "size=%lld, and its contents '%s' have %lld bytes: the manifest is not of this file",
                       (long long)said, label, (long long)m->stat.st_size);
    strbuf_truncate(&m->contents, 0);
    if (path[0] != '/')
        strbuf_puts(&m->contents, strbuf_str(&m->dir));
    strbuf_puts(&m->contents, path);
    return m->contents.failed ? err_nomem(err, "reading a manifest") : 0;
}

int manifest_contents(struct manifest *m, struct archive_entry *entry, struct tree_spec *spec,
                      struct plat_err *err)
{
    spec->source = SOURCE_HOST_FILE;
    spec->size_bytes = (uint64_t)m->stat.st_size;
    if (m->tree->options.links && archive_entry_nlink(entry) > 1 && archive_entry_ino64(entry) > 0 &&
        tree_link_find(&m->tree->links, m->salt, (ino_t)archive_entry_ino64(entry), &spec->link) != 0)
        return err_nomem(err, "reading a manifest");
    return tree_add_source_path(m->tree, strbuf_str(&m->contents), NULL, &spec->from.source_index, err);
}

/* ---- entries ---- */

static int settle_owner(struct archive_entry *entry, struct plat_err *err)
{
    const char *user = archive_entry_uname(entry), *group = archive_entry_gname(entry);
    const bool no_user = archive_entry_uid(entry) == MANIFEST_NO_OWNER;
    const bool no_group = archive_entry_gid(entry) == MANIFEST_NO_OWNER;
    if (no_user && user != NULL && strcmp(user, "root") != 0)
        return err_set(err, PLAT_EINVALID,
                       "uname=%.80s without uid=: names are not looked up, they differ from host to host",
                       user);
    if (no_group && group != NULL && strcmp(group, "root") != 0 && strcmp(group, "wheel") != 0)
        return err_set(err, PLAT_EINVALID,
                       "gname=%.80s without gid=: names are not looked up, they differ from host to host",
                       group);
    if (no_user)
        archive_entry_set_uid(entry, 0);
    if (no_group)
        archive_entry_set_gid(entry, 0);
    return 0;
}

static void settle_mode(struct archive_entry *entry)
{
    const unsigned kind = archive_entry_filetype(entry);
    if (archive_entry_perm(entry) & MANIFEST_NO_MODE)
        archive_entry_set_perm(entry, kind == AE_IFDIR ? DIR_MODE : kind == AE_IFLNK ? LINK_MODE : FILE_MODE);
}

int manifest_settle(struct manifest *m, struct archive_entry *entry, bool *ret_left_out, struct plat_err *err)
{
    const char *link = archive_entry_symlink(entry);
    const bool contents = link != NULL && strncmp(link, MANIFEST_CONTENTS, 2) == 0;
    const bool socket = link != NULL && strncmp(link, MANIFEST_SOCKET, 2) == 0;
    *ret_left_out = false;
    const int rc = settle_owner(entry, err);
    if (rc != 0)
        return rc;
    settle_mode(entry);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        if (link != NULL && !contents && !socket)
            return err_set(err, PLAT_EINVALID, "a file with link=: expected type=link, or contents=");
        return find_contents(m, entry, contents ? link + 2 : archive_entry_pathname(entry), ret_left_out,
                             err);
    case AE_IFLNK:
        if (link == NULL || contents || socket)
            return err_set(err, PLAT_EINVALID, "a symbolic link needs link=, and has no contents=");
        return 0;
    case AE_IFIFO:
        if (socket)
            archive_entry_set_filetype(entry, AE_IFSOCK);
        return 0;
    default:
        return 0;
    }
}
