/* Images as manifests: see manifest.h.
 *
 *     #mtree
 *     . type=dir mode=0755 uid=0 gid=0 time=1700000000.000000000
 *     ./etc/motd type=file mode=0644 uid=0 gid=0 time=1700000000.000000000 size=5 contents=root/etc/motd
 *
 * Every keyword on every line, and full paths, so that each line stands for itself. */
#include "inspect/manifest.h"

#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

static const char *const kind_names[] = {
    [TREE_DIR] = "dir",     [TREE_FILE] = "file", [TREE_SYMLINK] = "link",  [TREE_CHAR] = "char",
    [TREE_BLOCK] = "block", [TREE_FIFO] = "fifo", [TREE_SOCKET] = "socket",
};

void manifest_begin(struct strbuf *out)
{
    strbuf_puts(out, "#mtree\n");
}

/* Whatever could mean something to some reader of manifests goes as three octal digits. */
static void put_text(struct strbuf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            strchr("/._-+,:@", c) != NULL)
            strbuf_putc(out, *text);
        else
            strbuf_printf(out, "\\%03o", c);
    }
}

/* Extraction refuses control characters as well; here they are digits. */
static const char *fault_of(const char *name)
{
    const char *fault = file_name_fault(name);
    return fault != NULL && (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
                             strchr(name, '/') != NULL)
               ? fault
               : NULL;
}

static int put_kind(struct strbuf *out, struct fs *fs, const struct file_visit *visit,
                    const struct fs_stat *stat, const char *contents, struct plat_err *err)
{
    struct strbuf target = {0};
    int r = 0;
    switch (stat->kind) {
    case TREE_FILE:
        strbuf_printf(out, " size=%" PRIu64, stat->size_bytes);
        if (stat->links > 1) /* a node may have the number 0, an inode may not */
            strbuf_printf(out, " nlink=%" PRIu32 " inode=%" PRIu64, stat->links, visit->node + 1);
        strbuf_puts(out, " contents=");
        put_text(out, contents);
        strbuf_puts(out, contents[0] != '\0' && contents[strlen(contents) - 1] != '/' ? "/" : "");
        put_text(out, visit->path);
        break;
    case TREE_SYMLINK:
        r = fs->driver->readlink != NULL
                ? fs->driver->readlink(fs, visit->node, &target, err)
                : err_set(err, PLAT_EUNSUPPORTED, "%s has no symbolic links", fs->driver->title);
        strbuf_puts(out, " link=");
        put_text(out, strbuf_str(&target));
        break;
    case TREE_CHAR:
    case TREE_BLOCK:
        strbuf_printf(out, " device=native,%u,%u", major(stat->device), minor(stat->device));
        break;
    case TREE_DIR:
    case TREE_FIFO:
    case TREE_SOCKET:
        break;
    }
    strbuf_free_into(&target, out);
    return r;
}

int manifest_put(struct strbuf *out, struct fs *fs, const struct file_visit *visit,
                 const struct fs_stat *stat, const char *contents, struct plat_err *err)
{
    const size_t before = out->len;
    const char *fault = visit->path[0] != '\0' ? fault_of(visit->name) : NULL;
    if (fault != NULL)
        return err_set(err, PLAT_ECORRUPT, "left out of the manifest because of its name: %s", fault);
    strbuf_puts(out, visit->path[0] != '\0' ? "./" : ".");
    put_text(out, visit->path);
    strbuf_printf(out, " type=%s", kind_names[stat->kind]);
    if (stat->has_mode)
        strbuf_printf(out, " mode=%04" PRIo32 " uid=%" PRIu32 " gid=%" PRIu32, stat->mode, stat->uid,
                      stat->gid);
    if (stat->has_mtime)
        strbuf_printf(out, " time=%" PRId64 ".%09" PRIu32, stat->mtime_s, stat->mtime_ns);
    const int r = put_kind(out, fs, visit, stat, contents, err);
    if (r != 0)
        strbuf_truncate(out, before);
    else
        strbuf_putc(out, '\n');
    return r;
}
