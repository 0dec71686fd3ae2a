/* The directory sink: what the walk hands over becomes items of the queue (extract_queue.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "inspect/extract_queue.h"

enum {
    WHOLE_BYTES = 4 << 20, /* larger files go in pieces */
    PIECE_BYTES = 2 << 20,
    OPEN_PLACES = 256,    /* descriptors of directories and large files, beyond those that the walk is in */
    DESCRIPTORS = 4096,   /* a tree may be TREE_MAX_DEPTH deep */
    OWN_DESCRIPTORS = 16, /* the image, standard output and the like */
    THREAD_DESCRIPTORS = 2
};

static struct dir_sink *dir_sink_of(struct extract_sink *sink)
{
    return (struct dir_sink *)(void *)sink;
}

static int dir_refuse(struct extract_sink *sink, const char *path, bool unread, const struct plat_err *why)
{
    struct dir_sink *s = dir_sink_of(sink);
    (void)unread; /* the others are extracted in any case */
    item_fail(queue_item(s, ITEM_REFUSED, s->dir, path), why->class, why);
    return queue_add(s, 0, NULL);
}

/* What is done gives its descriptors back. */
static void wait_for_descriptors(struct dir_sink *s)
{
    while (s->n_open >= s->open_max && (s->batch != NULL || par_in_flight(s->par) > 0)) {
        queue_flush(s);
        queue_take(s);
    }
}

static int enter_place(struct dir_sink *s, const char *name, struct plat_err *err)
{
    wait_for_descriptors(s);
    struct place *place = NULL;
    int rc = place_enter(s->dir, name, &place, err);
    if (rc != 0)
        return rc;
    s->dir = place;
    s->n_open++;
    return 0;
}

static int leave_place(struct dir_sink *s, const char *path, uint64_t node, const struct fs_stat *stat)
{
    struct place *place = s->dir;
    struct item *item = queue_item(s, ITEM_LEFT, place, path);
    item->node = node;
    item->has_stat = stat != NULL;
    if (stat != NULL)
        item->stat = *stat;
    s->dir = place->parent;
    return queue_add(s, 0, NULL);
}

/* Back to the target itself. */
static void leave_all(struct dir_sink *s)
{
    while (s->dir != s->root)
        (void)leave_place(s, s->dir->name, 0, NULL);
    queue_drain(s);
}

static int dir_begin(struct extract_sink *sink, struct fs *fs, const char *path, struct plat_err *err)
{
    struct dir_sink *s = dir_sink_of(sink);
    const char *slash;
    int rc = 0;
    leave_all(s);
    if (s->options->source->fs != fs)
        first_names_free(&s->firsts);
    s->options->source->fs = fs;
    for (; rc == 0 && (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        char *name = strndup(path, (size_t)(slash - path));
        rc = name == NULL ? err_nomem(err, "extracting") : enter_place(s, name, err);
        free(name);
    }
    return rc;
}

static int dir_enter(struct extract_sink *sink, const struct extract_entry *entry)
{
    struct dir_sink *s = dir_sink_of(sink);
    struct plat_err why = {0};
    const char *slash = strrchr(entry->path, '/');
    if (entry->path[0] == '\0') { /* the root of the image is the target itself */
        s->root_stat = *entry->stat;
        s->root_node = entry->node;
        s->has_root_stat = true;
        return 0;
    }
    if (enter_place(s, slash != NULL ? slash + 1 : entry->path, &why) != 0) {
        int rc = dir_refuse(sink, entry->path, true, &why);
        return rc != 0 ? rc : 1;
    }
    (void)queue_item(s, ITEM_ENTERED, s->dir, entry->path);
    return queue_add(s, 0, NULL);
}

static int dir_leave(struct extract_sink *sink, const struct extract_entry *entry)
{
    return entry->path[0] == '\0' ? 0 : leave_place(dir_sink_of(sink), entry->path, entry->node, entry->stat);
}

/* Where contents may be, from `at` on; nothing: only a hole follows. */
static int next_data(struct dir_sink *s, const struct extract_entry *entry, uint64_t at, struct range *ret,
                     struct plat_err *err)
{
    struct fs *fs = s->options->source->fs;
    *ret = (struct range){at, entry->stat->size_bytes - at};
    return fs->driver->next_data == NULL ? 0 : fs->driver->next_data(fs, entry->node, at, ret, err);
}

static struct item *add_stat(struct item *item, const struct extract_entry *entry)
{
    item->node = entry->node;
    item->stat = *entry->stat;
    return item;
}

static int make_pieces(struct dir_sink *s, const struct extract_entry *entry, struct large *large,
                       struct plat_err *err)
{
    const uint64_t size_bytes = entry->stat->size_bytes;
    uint64_t at = 0;
    int rc = 0;
    while (rc == 0 && at < size_bytes && !s->stopping) {
        struct range data;
        rc = next_data(s, entry, at, &data, err);
        if (rc != 0 || data.bytes == 0)
            break;
        const uint64_t end = data.start + data.bytes;
        for (at = data.start; at < end && !s->stopping;) {
            const uint64_t next = (at / PIECE_BYTES + 1) * PIECE_BYTES;
            const struct range piece = {at, (next < end ? next : end) - at};
            struct item *item = add_stat(queue_item(s, ITEM_PIECE, s->dir, entry->path), entry);
            item->large = large;
            item->piece = piece;
            (void)queue_add(s, piece.bytes, NULL);
            at += piece.bytes;
        }
    }
    return rc == 0 && s->stopping ? err_set(err, PLAT_EIO, "it is not complete") : rc;
}

static int add_large(struct dir_sink *s, const struct extract_entry *entry, struct first_name *first)
{
    const char *slash = strrchr(entry->path, '/');
    const struct made made = {.dir = s->dir,
                              .name = slash != NULL ? slash + 1 : entry->path,
                              .node = entry->node,
                              .stat = entry->stat};
    struct plat_err why = {0};
    wait_for_descriptors(s);
    struct large *large = calloc(1, sizeof *large);
    int rc = large == NULL ? err_nomem(&why, "extracting") : make_open(&s->maker, &made, &large->file, &why);
    if (rc == 0 && (entry->stat->size_bytes > INT64_MAX ||
                    ftruncate(large->file.fd, (off_t)entry->stat->size_bytes) != 0)) {
        rc = make_failed(&s->maker, errno, "cannot set its size", &why);
        (void)make_close(&s->maker, &made, &large->file, rc, NULL);
    }
    if (rc != 0) {
        free(large);
        rc = dir_refuse(&s->sink, entry->path, true, &why);
        stop_when_full(s, s->maker.full);
        return rc;
    }
    s->n_open++;
    rc = make_pieces(s, entry, large, &why);
    struct item *item = add_stat(queue_item(s, ITEM_WHOLE, s->dir, entry->path), entry);
    item->large = large;
    item->first = first;
    item_fail(item, rc, &why);
    return queue_add(s, 0, NULL);
}

static int dir_entry(struct extract_sink *sink, const struct extract_entry *entry)
{
    struct dir_sink *s = dir_sink_of(sink);
    const struct fs_stat *stat = entry->stat;
    struct first_name *first = NULL;
    struct plat_err why = {0};
    bool new = true;
    if (stat->links > 1 && first_names_get(&s->firsts, entry->node, &first, &new, &why) != 0)
        return dir_refuse(sink, entry->path, true, &why);
    if (new && stat->kind == TREE_FILE && stat->size_bytes > WHOLE_BYTES &&
        s->options->source->fs->driver->concurrent)
        return add_large(s, entry, first);
    struct item *item = add_stat(queue_item(s, new ? ITEM_MAKE : ITEM_LINK, s->dir, entry->path), entry);
    item->first = first;
    return queue_add(s, new && stat->kind == TREE_FILE ? stat->size_bytes : 0, NULL);
}

/* ---- opening and closing ---- */

static void warn_of_count(const struct dir_sink *s, uint64_t n, const char *what)
{
    struct strbuf text = {0};
    if (n == 0)
        return;
    strbuf_printf(&text, "%llu %s", (unsigned long long)n, what);
    s->options->report.warn(s->options->report.ctx, strbuf_str(&text));
    strbuf_free(&text);
}

static int dir_finish(struct extract_sink *sink, bool whole, struct plat_err *err)
{
    struct dir_sink *s = dir_sink_of(sink);
    (void)whole; /* each file is */
    (void)err;
    leave_all(s);
    if (s->root->made) {
        s->root->refs++;
        s->n_open++;
        s->dir = s->root;
        (void)leave_place(s, "", s->root_node, s->has_root_stat ? &s->root_stat : NULL);
        queue_drain(s);
        s->dir = s->root;
    }
    s->xattrs_denied += s->maker.xattrs_denied;
    s->xattrs_unknown += s->maker.xattrs_unknown;
    warn_of_count(
        s, s->xattrs_denied,
        "extended attributes outside user.* are not set, which only root may (--xattrs drop: none)");
    warn_of_count(s, s->xattrs_unknown,
                  "extended attributes are not set: the target's filesystem does not keep such ones");
    warn_of_count(s, s->copies,
                  "names are files of their own, with the same contents: the target takes no link there");
    return 0;
}

static void dir_close(struct extract_sink *sink)
{
    struct dir_sink *s = dir_sink_of(sink);
    if (s->par != NULL && s->root != NULL) { /* after a failure: what is not published goes */
        s->discard = s->discard || s->root->temp[0] != '\0' || s->dir != s->root;
        leave_all(s);
        place_remove(s->root);
    }
    par_close(s->par);
    first_names_free(&s->firsts);
    place_unref(s->root);
    if (s->locked)
        (void)pthread_mutex_unlock(&s->options->source->lock);
    free(s->maker.buf);
    free(s);
}

static const struct extract_sink_ops dir_ops = {
    .begin = dir_begin,
    .enter = dir_enter,
    .leave = dir_leave,
    .entry = dir_entry,
    .refuse = dir_refuse,
    .finish = dir_finish,
    .close = dir_close,
};

/* How many there may be. */
static uint64_t raise_descriptors(void)
{
    struct rlimit limit, more;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return DESCRIPTORS;
    more = limit;
    more.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    return limit.rlim_cur < more.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) == 0 ? more.rlim_cur
                                                                                  : limit.rlim_cur;
}

/* Where the host allows few descriptors: half of them for places, the rest for threads. What is made is the same. */
static unsigned share_descriptors(struct dir_sink *s, unsigned n_threads)
{
    const uint64_t all = raise_descriptors();
    const uint64_t left = all > 2 * OWN_DESCRIPTORS ? all - OWN_DESCRIPTORS : OWN_DESCRIPTORS;
    const uint64_t threads = left / 2 / THREAD_DESCRIPTORS;
    s->open_max = left / 2 < OPEN_PLACES ? (size_t)(left / 2) : OPEN_PLACES;
    if (n_threads == 0)
        n_threads = par_processors();
    return n_threads < threads ? n_threads : (unsigned)threads;
}

int extract_to_dir(const struct extract_options *options, struct extract_sink **ret, struct plat_err *err)
{
    struct dir_sink *s = calloc(1, sizeof *s);
    if (s == NULL)
        return err_nomem(err, "extracting");
    s->sink.ops = &dir_ops;
    s->options = options;
    s->host.options = options;
    s->host.root = geteuid() == 0;
    s->host.owner = s->host.root && options->same_owner;
    s->host.umask = umask(0);
    (void)umask(s->host.umask);
    const unsigned n_threads = share_descriptors(s, options->n_threads);
    s->maker = (struct maker){.host = &s->host, .buf = malloc(FILES_READ_BYTES)};
    int rc = s->maker.buf == NULL ? err_nomem(err, "extracting") : 0;
    if (rc == 0)
        rc = par_open(&queue_par_ops, s, n_threads, &s->par, err);
    if (rc == 0)
        rc = place_open_target(options->target, &s->root, err);
    s->dir = s->root;
    if (rc == 0) {
        (void)pthread_mutex_lock(&options->source->lock);
        s->locked = true;
        *ret = &s->sink;
        return 0;
    }
    dir_close(&s->sink);
    return rc;
}
