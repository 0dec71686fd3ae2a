/* Archives: members become nodes, their contents go to one unlinked spool file. Manifests: the same, but contents stay in
 * the host files that they name.
 *
 * What an archive says is not believed: names are cut into components and never reach the host, sizes are
 * checked against a limit before anything is written, and nothing is run (archive_input.c). */
#include "lib/tree/private.h"
#include "lib/tree/archive_input.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MAX_RETRIES = 16 };

/* cpio newc keeps the content of hard-linked files with the last name only. Names that came before share a
 * spool offset (every member has its own, even an empty one); `bodies` says which offset got which content
 * later. */
struct body {
    uint64_t placeholder, offset, size_bytes;
};
struct waiting {
    struct tree_node *node;
    uint64_t placeholder;
};
struct unpack {
    struct tree *tree;
    struct archive *archive;
    struct manifest *manifest; /* NULL: it is an archive */
    struct tree_place target;
    uint64_t first_offset; /* spool offsets from here on belong to this archive */
    struct waiting *waiting;
    size_t n_waiting, cap_waiting;
    struct body *bodies;
    size_t n_bodies, cap_bodies;
};

/* ---- the spool ---- */

static int spool_write(struct tree *tree, uint64_t offset, const void *bytes, size_t n, struct plat_err *err)
{
    const uint8_t *p = bytes;
    while (n > 0) {
        ssize_t done = pwrite(tree->spool_fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return err_sys(err, done == 0 ? EIO : errno,
                           "cannot write the archive's contents to a temporary file");
        p += done;
        n -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

/* The member's bytes, at the end of the spool. */
static int spool_member(struct unpack *u, struct archive_entry *entry, uint64_t *ret_offset,
                        uint64_t *ret_size, struct plat_err *err)
{
    struct tree *tree = u->tree;
    uint64_t base = tree->spool_end;
    uint64_t room = TREE_MAX_SPOOL_BYTES - base;
    bool has_size = archive_entry_size_is_set(entry) != 0;
    la_int64_t said = has_size ? archive_entry_size(entry) : 0;
    if (said < 0 || (uint64_t)said >= room)
        return err_set(err, PLAT_ELIMIT, "its size of %lld bytes is more than can be spooled",
                       (long long)said);
    uint64_t end = 0;
    for (;;) {
        const void *block;
        size_t n;
        la_int64_t at;
        int r = archive_read_data_block(u->archive, &block, &n, &at);
        if (r == ARCHIVE_EOF)
            break;
        if (r != ARCHIVE_OK)
            return tree_archive_fault(u->archive, PLAT_ECORRUPT, err);
        if (at < 0 || (uint64_t)at >= room || n >= room - (uint64_t)at)
            return err_set(err, PLAT_ELIMIT, "its contents are larger than can be spooled");
        if (has_size && (uint64_t)at + n > (uint64_t)said)
            return err_set(err, PLAT_ECORRUPT,
                           "its contents are longer than the %lld bytes that its header says",
                           (long long)said);
        r = spool_write(tree, base + (uint64_t)at, block, n, err);
        if (r != 0)
            return r;
        if (n > 0)
            end = (uint64_t)at + n;
    }
    uint64_t size = has_size ? (uint64_t)said : end;
    tree->spool_end = base + (size > 0 ? size : 1);
    *ret_offset = base;
    *ret_size = size;
    return 0;
}

/* ---- hard links ---- */

static int grow(void **items, size_t n, size_t *cap, size_t item_bytes, struct plat_err *err)
{
    if (n < *cap)
        return 0;
    size_t more = *cap == 0 ? 64 : *cap * 2;
    void *p = realloc(*items, more * item_bytes);
    if (p == NULL)
        return err_nomem(err, "reading an archive");
    *items = p;
    *cap = more;
    return 0;
}

/* True when the member or a directory above it is excluded. */
static int member_excluded(struct unpack *u, const char *path, bool directory, bool *ret,
                           struct plat_err *err)
{
    *ret = false;
    if (u->tree->ignore.n == 0)
        return 0;
    struct strbuf sb = {0};
    const char *name, *next;
    size_t n = tree_component(&path, &name);
    for (size_t n_next; !*ret && n != 0; name = next, n = n_next) {
        n_next = tree_component(&path, &next);
        strbuf_add(&sb, name, n);
        *ret = !sb.failed && tree_ignores(&u->tree->ignore, strbuf_str(&sb), directory || n_next != 0);
        strbuf_putc(&sb, '/');
    }
    bool failed = sb.failed;
    strbuf_free(&sb);
    return failed ? err_nomem(err, "reading an archive") : 0;
}

static int find_link_target(struct unpack *u, const char *path, struct tree_node **ret, struct plat_err *err)
{
    struct tree_node *at = u->target.dir;
    const char *name;
    const char *rest = path;
    for (size_t n; at != NULL && (n = tree_component(&rest, &name)) != 0;) {
        int r = tree_find_child(u->tree, at, name, n, &at, err);
        if (r != 0)
            return r;
    }
    const bool earlier = at != NULL && at->kind == TREE_FILE &&
                         (at->source != SOURCE_SPOOL || at->from.spool_offset < u->first_offset);
    if (at == NULL || at->kind == TREE_DIR || earlier) {
        char label[TREE_LABEL_BYTES];
        bool excluded = false;
        const int r = member_excluded(u, path, false, &excluded, err);
        tree_visible(path, strlen(path), label);
        return r != 0 ? r
                      : err_set(err, PLAT_EINVALID, "it is a hard link to '%s', which %s", label,
                                excluded ? "a pattern leaves out, and only there its contents are in this "
                                           "archive: leave out both or neither"
                                         : "is no file that came before it in this archive");
    }
    *ret = at;
    return 0;
}

/* Both are one file, unless the second brought contents of its own. */
static void link_number(struct unpack *u, struct tree_node *first, struct tree_spec *spec)
{
    const bool differ = spec->kind == TREE_FILE && spec->from.spool_offset != first->from.spool_offset;
    if (!u->tree->options.links || differ)
        return;
    if (first->link == 0)
        first->link = ++u->tree->links.n;
    spec->link = first->link;
}

/* Makes *spec a second name of the member that `path` names, which need not be a regular file: GNU tar stores further
 * names of symbolic links, devices and FIFOs as hard links, too. */
static int link_contents(struct unpack *u, struct archive_entry *entry, const char *path,
                         struct tree_spec *spec, struct tree_node **ret_first, struct plat_err *err)
{
    struct tree_node *first = NULL;
    int r = find_link_target(u, path, &first, err);
    if (r != 0)
        return r;
    spec->kind = first->kind;
    spec->source = first->source;
    spec->mode = first->mode;
    spec->uid = first->uid;
    spec->gid = first->gid;
    spec->has_mtime = true;
    spec->mtime_s = first->mtime_s;
    spec->mtime_ns = first->mtime_ns;
    spec->size_bytes = first->size_bytes;
    if (first->kind == TREE_SYMLINK)
        spec->from.literal = first->from.literal;
    else if (first->kind == TREE_FILE)
        spec->from.spool_offset = first->from.spool_offset;
    else
        spec->from.device = first->from.device;
    *ret_first = first;
    if (first->kind != TREE_FILE || !archive_entry_size_is_set(entry) || archive_entry_size(entry) <= 0)
        return 0;
    r = spool_member(u, entry, &spec->from.spool_offset, &spec->size_bytes, err);
    if (r != 0 || first->size_bytes > 0)
        return r;
    r = grow((void **)&u->bodies, u->n_bodies, &u->cap_bodies, sizeof *u->bodies, err);
    if (r != 0)
        return r;
    u->bodies[u->n_bodies++] = (struct body){.placeholder = first->from.spool_offset,
                                             .offset = spec->from.spool_offset,
                                             .size_bytes = spec->size_bytes};
    first->from.spool_offset = spec->from.spool_offset;
    first->size_bytes = spec->size_bytes;
    return 0;
}

static int link_member(struct unpack *u, struct archive_entry *entry, const char *path,
                       struct tree_spec *spec, struct tree_node **ret_first, struct plat_err *err)
{
    int r = link_contents(u, entry, path, spec, ret_first, err);
    if (r == 0)
        link_number(u, *ret_first, spec);
    return r;
}

static int compare_bodies(const void *va, const void *vb)
{
    const struct body *a = va;
    const struct body *b = vb;
    return a->placeholder < b->placeholder ? -1 : a->placeholder > b->placeholder;
}

/* Gives the names that were linked before the content came what came. */
static void resolve_links(struct unpack *u)
{
    if (u->n_bodies == 0)
        return;
    qsort(u->bodies, u->n_bodies, sizeof *u->bodies, compare_bodies);
    for (size_t i = 0; i < u->n_waiting; i++) {
        struct tree_node *node = u->waiting[i].node;
        const struct body key = {.placeholder = u->waiting[i].placeholder};
        const struct body *body = bsearch(&key, u->bodies, u->n_bodies, sizeof key, compare_bodies);
        bool unchanged = node->kind == TREE_FILE && node->source == SOURCE_SPOOL && node->size_bytes == 0 &&
                         node->from.spool_offset == key.placeholder;
        if (body != NULL && unchanged) {
            node->from.spool_offset = body->offset;
            node->size_bytes = body->size_bytes;
        }
    }
}

/* ---- members ---- */

static int symlink_member(struct unpack *u, struct archive_entry *entry, struct tree_spec *spec,
                          struct plat_err *err)
{
    const char *to = archive_entry_symlink(entry);
    if (to == NULL)
        to = archive_entry_symlink_utf8(entry);
    size_t n = to != NULL ? strlen(to) : 0;
    if (n == 0 || n > TREE_MAX_PATH_BYTES)
        return err_set(err, PLAT_ECORRUPT, "a symbolic link's target of %zu bytes: 1 to %d are possible", n,
                       TREE_MAX_PATH_BYTES);
    spec->kind = TREE_SYMLINK;
    spec->source = SOURCE_LITERAL;
    spec->size_bytes = n;
    spec->from.literal = arena_strndup(&u->tree->text, to, n);
    return spec->from.literal != NULL ? 0 : err_nomem(err, "reading an archive");
}

static int describe_member(struct unpack *u, struct archive_entry *entry, struct tree_spec *spec,
                           struct tree_node **ret_first, struct plat_err *err)
{
    la_int64_t uid = archive_entry_uid(entry);
    la_int64_t gid = archive_entry_gid(entry);
    if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
        return err_set(err, PLAT_ELIMIT, "its owner %lld:%lld is not a 32-bit number", (long long)uid,
                       (long long)gid);
    spec->mode = archive_entry_perm(entry);
    spec->uid = (uint32_t)uid;
    spec->gid = (uint32_t)gid;
    spec->has_mtime = archive_entry_mtime_is_set(entry) != 0;
    spec->mtime_s = archive_entry_mtime(entry);
    long ns = archive_entry_mtime_nsec(entry);
    spec->mtime_ns = ns >= 0 && ns < 1000000000 ? (uint32_t)ns : 0;

    const char *link = archive_entry_hardlink(entry);
    if (link == NULL)
        link = archive_entry_hardlink_utf8(entry);
    if (link != NULL)
        return link_member(u, entry, link, spec, ret_first, err);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        spec->kind = TREE_FILE;
        if (u->manifest != NULL)
            return manifest_contents(u->manifest, spec, err);
        spec->source = SOURCE_SPOOL;
        return spool_member(u, entry, &spec->from.spool_offset, &spec->size_bytes, err);
    case AE_IFDIR:
        spec->kind = TREE_DIR;
        return 0;
    case AE_IFLNK:
        return symlink_member(u, entry, spec, err);
    case AE_IFCHR:
    case AE_IFBLK:
        spec->kind = archive_entry_filetype(entry) == AE_IFCHR ? TREE_CHAR : TREE_BLOCK;
        spec->from.device =
            makedev((unsigned)archive_entry_rdevmajor(entry), (unsigned)archive_entry_rdevminor(entry));
        return 0;
    case AE_IFIFO:
        spec->kind = TREE_FIFO;
        return 0;
    case AE_IFSOCK:
        spec->kind = TREE_SOCKET;
        return 0;
    default:
        return err_set(err, PLAT_EUNSUPPORTED, "it is of a kind (0%o) that no file tree holds",
                       (unsigned)archive_entry_filetype(entry));
    }
}

/* All names of a member, before anything is made of it: ".." and lengths. */
static int check_member_path(const struct unpack *u, const char *path, struct plat_err *err)
{
    struct tree_place at = u->target;
    const char *name;
    for (size_t n; (n = tree_component(&path, &name)) != 0;) {
        int r = tree_check_name(&at, name, n, err);
        if (r != 0)
            return r;
        at.path_bytes += n + (at.depth > 0);
        at.depth++;
    }
    return 0;
}

/* A second name has those of the first. */
static int member_xattrs(struct unpack *u, struct archive_entry *entry, const struct tree_node *first,
                         const struct tree_node *node, struct plat_err *err)
{
    if (!u->tree->options.xattrs || node == first)
        return 0;
    if (first == NULL)
        return tree_xattrs_read_entry(u->tree, entry, node, err);
    return tree_xattrs_set(u->tree, node, tree_xattrs(u->tree, first)) == 0
               ? 0
               : err_nomem(err, "reading an archive");
}

static int add_member(struct unpack *u, struct archive_entry *entry, const char *path, struct plat_err *err)
{
    bool excluded = false;
    int r = check_member_path(u, path, err);
    if (r == 0)
        r = member_excluded(u, path, archive_entry_filetype(entry) == AE_IFDIR, &excluded, err);
    if (r == 0 && !excluded && u->manifest != NULL)
        r = manifest_settle(u->manifest, entry, &excluded, err);
    if (r != 0 || excluded)
        return r;
    struct tree_place at = u->target;
    const char *name, *next;
    size_t n = tree_component(&path, &name);
    for (size_t n_next; r == 0 && n != 0 && (n_next = tree_component(&path, &next)) != 0;
         name = next, n = n_next)
        r = tree_descend(u->tree, &at, name, n, err);
    struct tree_spec spec = {.source = SOURCE_NONE};
    struct tree_node *first = NULL;
    if (r == 0)
        r = describe_member(u, entry, &spec, &first, err);
    if (r == 0 && u->manifest != NULL && spec.kind != TREE_DIR)
        r = manifest_link(u->manifest, entry, &spec, err);
    if (r != 0)
        return r;
    if (n == 0) {
        if (spec.kind != TREE_DIR)
            return err_set(err, PLAT_EINVALID, "it is a file without a name");
        tree_set(u->tree, at.dir, &spec);
        return member_xattrs(u, entry, NULL, at.dir, err);
    }
    struct tree_node *node;
    r = tree_put(u->tree, &at, name, n, false, &spec, &node, err);
    if (r == 0)
        r = member_xattrs(u, entry, first, node, err);
    if (r != 0 || first == NULL || node == first || spec.size_bytes > 0)
        return r;
    r = grow((void **)&u->waiting, u->n_waiting, &u->cap_waiting, sizeof *u->waiting, err);
    if (r == 0)
        u->waiting[u->n_waiting++] = (struct waiting){.node = node, .placeholder = spec.from.spool_offset};
    return r;
}

/* What libarchive only warns of in a manifest: it would go on with a guess. */
static int manifest_fault(struct archive *a, const char *path, struct plat_err *err)
{
    char label[TREE_LABEL_BYTES];
    const int r = tree_archive_fault(a, PLAT_EINVALID, err);
    tree_visible(path != NULL ? path : "", path != NULL ? strlen(path) : 0, label);
    (void)err_prefix(err, "entry '%s'", label);
    return r;
}

static int unpack_all(struct unpack *u, struct plat_err *err)
{
    unsigned retries = 0;
    for (;;) {
        struct archive_entry *entry;
        int r = archive_read_next_header(u->archive, &entry);
        if (r == ARCHIVE_EOF)
            return 0;
        if (r == ARCHIVE_RETRY && retries++ < MAX_RETRIES)
            continue;
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
            return tree_archive_fault(u->archive, PLAT_ECORRUPT, err);
        const char *path = archive_entry_pathname(entry);
        if (r == ARCHIVE_WARN && u->manifest != NULL)
            return manifest_fault(u->archive, path, err);
        if (path == NULL)
            path = archive_entry_pathname_utf8(entry);
        if (path == NULL)
            return err_set(err, PLAT_EUNSUPPORTED, "a member's name is not text in any known encoding");
        /* libarchive frees the name when the entry is read on: keep what an error would say. */
        char label[TREE_LABEL_BYTES];
        tree_visible(path, strlen(path), label);
        r = add_member(u, entry, path, err);
        if (r != 0) {
            (void)err_prefix(err, "%s '%s'", u->manifest != NULL ? "entry" : "member", label);
            return r;
        }
    }
}

static int unpack(struct unpack *u, const char *host_path, enum archive_expected expected,
                  struct plat_err *err)
{
    struct archive_input input;
    int r = archive_input_open(&input, host_path, expected, u->tree->options.spool_dir, err);
    if (r == 0 && input.words != NULL &&
        (r = manifest_open(u->tree, host_path, input.named_manifest, &u->manifest, err)) != 0)
        archive_input_close(&input);
    if (r != 0)
        return r;
    /* libarchive turns names into the locale's encoding, and to NFC on the way where that is Unicode. Where
     * names are bytes to begin with they must stay as they are, so for tar and cpio the encoding is plain
     * ASCII, and what does not fit comes through untouched; the others store Unicode. */
    locale_t locale = newlocale(LC_CTYPE_MASK, input.names_are_bytes ? "C" : "C.UTF-8", (locale_t)0);
    locale_t before = locale != (locale_t)0 ? uselocale(locale) : (locale_t)0;
    r = archive_input_start(&input, &u->archive, err);
    if (r == 0)
        r = unpack_all(u, err);
    if (u->archive != NULL)
        (void)archive_read_free(u->archive);
    if (locale != (locale_t)0) {
        (void)uselocale(before);
        freelocale(locale);
    }
    if (input.fault.class != 0) {
        r = input.fault.class;
        if (err != NULL)
            *err = input.fault;
    }
    if (r == 0)
        archive_input_drain(&input);
    archive_input_close(&input);
    if (r != 0)
        return r;
    resolve_links(u);
    /* Holes at the end of the last member, and the byte that an empty one takes. */
    if (ftruncate(u->tree->spool_fd, (off_t)u->tree->spool_end) != 0)
        return err_sys(err, errno, "cannot write the archive's contents to a temporary file");
    return 0;
}

static int add_archive(struct tree *tree, const char *target, const char *host_path,
                       enum archive_expected expected, struct plat_err *err)
{
    if (tree->finished)
        return err_set(err, PLAT_EBUG, "an addition to a finished tree");
    struct unpack u = {.tree = tree, .first_offset = tree->spool_end};
    int r = tree_descend_all(tree, target, &u.target, err);
    if (r == 0 && tree->spool_fd < 0)
        r = tree_spool_open(tree->options.spool_dir, &tree->spool_fd, err);
    if (r == 0) {
        r = unpack(&u, host_path, expected, err);
        if (r != 0)
            (void)err_prefix(err, "%s", strcmp(host_path, "-") == 0 ? "standard input" : host_path);
    }
    manifest_close(u.manifest);
    free(u.waiting);
    free(u.bodies);
    return r;
}

int tree_add_archive(struct tree *tree, const char *target, const char *host_path, struct plat_err *err)
{
    return add_archive(tree, target, host_path, EXPECT_ARCHIVE, err);
}

int tree_add_manifest(struct tree *tree, const char *target, const char *host_path, struct plat_err *err)
{
    return add_archive(tree, target, host_path, EXPECT_MANIFEST, err);
}

int tree_add_source(struct tree *tree, const char *source, struct plat_err *err)
{
    struct stat st = {.st_mode = S_IFREG}; /* "-" */
    if (strcmp(source, "-") != 0 && stat(source, &st) != 0)
        return err_sys(err, errno, "%s", source);
    return S_ISDIR(st.st_mode) ? tree_add_directory(tree, "/", source, err)
                               : add_archive(tree, "/", source, EXPECT_EITHER, err);
}
