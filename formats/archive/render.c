/* The sorted tree through libarchive. */
#include "formats/archive/private.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { COPY_BYTES = 256 * 1024 };

/* Everything about one entry but its content. */
struct item {
    const char *path;
    enum tree_kind kind;
    uint32_t mode, uid, gid;
    bool exact_mode; /* written down by hand: meant as it is */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t size_bytes;
    const char *link_target;
    uint32_t major, minor;
};

struct writer {
    struct archive_render *render;
    struct archive *archive;
    struct archive_entry *entry;
    struct archive_sink *sink;
    char *path; /* TREE_MAX_PATH_BYTES + 2 */
    uint8_t *copy;
};

static int writer_fault(struct writer *w, const char *path, struct plat_err *err)
{
    if (w->sink->err.class != 0) {
        if (err != NULL)
            *err = w->sink->err;
        return w->sink->err.class;
    }
    const char *text = archive_error_string(w->archive);
    return err_set(err, PLAT_EUNSUPPORTED, "cannot store '%.200s': %s", path,
                   text != NULL ? text : "libarchive gives no reason");
}

static mode_t type_bits(enum tree_kind kind)
{
    switch (kind) {
    case TREE_DIR:
        return S_IFDIR;
    case TREE_SYMLINK:
        return S_IFLNK;
    case TREE_CHAR:
        return S_IFCHR;
    case TREE_BLOCK:
        return S_IFBLK;
    case TREE_FIFO:
        return S_IFIFO;
    case TREE_SOCKET:
        return S_IFSOCK;
    case TREE_FILE:
    default:
        return S_IFREG;
    }
}

static uint32_t mode_of(const struct archive_options *o, const struct item *item)
{
    if (item->kind == TREE_SYMLINK)
        return 0777;
    if (!o->portable_modes || item->exact_mode || (item->kind != TREE_FILE && item->kind != TREE_DIR))
        return item->mode;
    return item->kind == TREE_DIR || (item->mode & 0100) != 0 ? 0755 : 0644;
}

/* What the format cannot say, before libarchive says it in its own words or cuts it off. */
static int check_item(const struct writer *w, const struct item *item, struct plat_err *err)
{
    if (w->render->kind == ARCHIVE_TAR) {
        if (item->kind == TREE_SOCKET)
            return err_set(err, PLAT_EUNSUPPORTED, "tar has no sockets: exclude '%.200s'", item->path);
        return 0;
    }
    if (strcmp(item->path, "TRAILER!!!") == 0)
        return err_set(err, PLAT_EUNSUPPORTED, "a file named TRAILER!!! would end a cpio archive: rename it");
    if (item->size_bytes > UINT32_MAX)
        return err_set(err, PLAT_ELIMIT,
                       "cpio (newc) holds files of up to 4 GiB - 1; '%.200s' has %llu bytes", item->path,
                       (unsigned long long)item->size_bytes);
    return 0;
}

static int write_header(struct writer *w, const struct item *item, struct plat_err *err)
{
    struct archive_entry *e = w->entry;
    bool cpio = w->render->kind == ARCHIVE_CPIO;
    int r = check_item(w, item, err);
    if (r != 0)
        return r;
    int64_t mtime_s = item->mtime_s;
    uint32_t mtime_ns = item->mtime_ns;
    if (cpio) { /* eight hexadecimal digits of whole seconds */
        mtime_s = mtime_s < 0 ? 0 : mtime_s > UINT32_MAX ? UINT32_MAX : mtime_s;
        mtime_ns = 0;
    }
    archive_entry_clear(e);
    archive_entry_copy_pathname(e, item->path);
    archive_entry_set_mode(e, (mode_t)(type_bits(item->kind) | mode_of(w->render->options, item)));
    archive_entry_set_uid(e, w->render->options->keep_owner ? item->uid : 0);
    archive_entry_set_gid(e, w->render->options->keep_owner ? item->gid : 0);
    archive_entry_set_mtime(e, (time_t)mtime_s, (long)mtime_ns);
    archive_entry_set_nlink(e, item->kind == TREE_DIR ? 2 : 1);
    archive_entry_set_ino64(e, (la_int64_t)(w->render->n_entries + 1));
    archive_entry_set_size(e, item->kind == TREE_FILE ? (la_int64_t)item->size_bytes : 0);
    if (item->kind == TREE_SYMLINK)
        archive_entry_copy_symlink(e, item->link_target);
    if (item->kind == TREE_CHAR || item->kind == TREE_BLOCK) {
        archive_entry_set_rdevmajor(e, item->major);
        archive_entry_set_rdevminor(e, item->minor);
    }
    r = archive_write_header(w->archive, e);
    /* tar stores names that are not UTF-8 byte by byte, and says so. */
    bool binary_name =
        !utf8_valid(item->path, strlen(item->path)) ||
        (item->link_target != NULL && !utf8_valid(item->link_target, strlen(item->link_target)));
    if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && binary_name))
        return writer_fault(w, item->path, err);
    w->render->n_entries++;
    return 0;
}

static int write_content(struct writer *w, const struct tree_node *node, struct plat_err *err)
{
    struct tree_reader reader;
    int r = tree_reader_open(w->render->tree, node, &reader, err);
    if (r != 0)
        return r;
    while (r == 0 && reader.left_bytes > 0) {
        size_t step = reader.left_bytes < COPY_BYTES ? (size_t)reader.left_bytes : COPY_BYTES;
        r = tree_reader_read(&reader, w->copy, step, err);
        if (r == 0 && archive_write_data(w->archive, w->copy, step) != (la_ssize_t)step)
            r = writer_fault(w, w->path, err);
        w->render->data_bytes += step;
    }
    tree_reader_close(&reader);
    return r;
}

static int write_node(struct writer *w, const struct tree_node *node, struct plat_err *err)
{
    struct item item = {.path = w->path,
                        .kind = (enum tree_kind)node->kind,
                        .mode = node->mode,
                        .exact_mode = tree_is_stated(node),
                        .uid = node->uid,
                        .gid = node->gid,
                        .mtime_s = node->mtime_s,
                        .mtime_ns = node->mtime_ns};
    if (item.kind == TREE_FILE)
        item.size_bytes = node->size_bytes;
    if (item.kind == TREE_SYMLINK)
        item.link_target = node->from.literal;
    if (item.kind == TREE_CHAR || item.kind == TREE_BLOCK) {
        item.major = major(node->from.device);
        item.minor = minor(node->from.device);
    }
    int r = write_header(w, &item, err);
    if (r != 0 || item.kind != TREE_FILE)
        return r;
    r = write_content(w, node, err);
    if (r != 0 && w->sink->err.class == 0)
        (void)err_prefix(err, "storing '%.200s'", w->path);
    return r;
}

static int write_all(struct writer *w, struct plat_err *err)
{
    const struct tree_node *node = tree_next(tree_root(w->render->tree));
    for (int r = 0; node != NULL; node = tree_next(node)) {
        if (tree_path(node, w->path, TREE_MAX_PATH_BYTES + 2) != 0)
            return err_set(err, PLAT_ELIMIT, "a path is longer than %d bytes", TREE_MAX_PATH_BYTES);
        memmove(w->path, w->path + 1, strlen(w->path));
        if ((r = write_node(w, node, err)) != 0)
            return r;
    }
    return 0;
}

static int write_archive(struct writer *w, struct plat_err *err)
{
    int r = archive_writer_configure(w->archive, w->render->kind, w->render->options, err);
    if (r != 0)
        return r;
    if (archive_write_open(w->archive, w->sink, NULL, archive_sink_callback, NULL) != ARCHIVE_OK)
        return writer_fault(w, "the archive's header", err);
    r = write_all(w, err);
    if (r != 0)
        return r;
    if (archive_write_close(w->archive) != ARCHIVE_OK || archive_sink_finish(w->sink) != 0)
        return writer_fault(w, "the archive's end", err);
    return 0;
}

int archive_render(struct archive_render *render, struct archive_sink *sink, struct plat_err *err)
{
    struct writer w = {.render = render, .sink = sink};
    /* pax headers are UTF-8: libarchive takes names for the locale's encoding. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;
    w.archive = archive_write_new();
    w.entry = archive_entry_new();
    w.path = malloc(TREE_MAX_PATH_BYTES + 2);
    w.copy = malloc(COPY_BYTES);
    render->n_entries = 0;
    render->data_bytes = 0;
    int r;
    if (w.archive == NULL || w.entry == NULL || w.path == NULL || w.copy == NULL)
        r = err_nomem(err, "writing an archive");
    else
        r = write_archive(&w, err);
    free(w.copy);
    free(w.path);
    if (w.entry != NULL)
        archive_entry_free(w.entry);
    if (w.archive != NULL)
        (void)archive_write_free(
            w.archive); /* after a failure it ends its stream: into a sink nobody reads */
    if (utf8 != (locale_t)0) {
        (void)uselocale(before);
        freelocale(utf8);
    }
    return r;
}
