/* Reading file contents, wherever they are. */
#include "lib/tree/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ_MAX_BYTES = 1 << 30 };

void host_cursor_init(struct host_cursor *cursor)
{
    *cursor = (struct host_cursor){.root_fd = -1, .dir_fd = -1};
}

static void forget_directory(struct host_cursor *cursor)
{
    if (cursor->dir_fd >= 0)
        (void)close(cursor->dir_fd);
    cursor->dir_fd = -1;
    cursor->dir = NULL;
}

void host_cursor_close(struct host_cursor *cursor)
{
    forget_directory(cursor);
    if (cursor->root_fd >= 0)
        (void)close(cursor->root_fd);
    host_cursor_init(cursor);
}

/* Points the cursor at the host directory of `node`. */
static int go_to_directory(const struct tree *tree, struct host_cursor *cursor, const struct tree_node *node,
                           struct plat_err *err)
{
    uint32_t source = node->from.source_index;
    if (cursor->dir_fd >= 0 && cursor->dir == node->parent && cursor->source == source)
        return 0;
    forget_directory(cursor);
    if (cursor->root_fd < 0 || cursor->source != source) {
        if (cursor->root_fd >= 0)
            (void)close(cursor->root_fd);
        const char *path = tree->sources[source].path;
        cursor->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (cursor->root_fd < 0)
            return err_sys(err, errno, "cannot read directory %s", path);
        cursor->source = source;
    }
    int r = tree_open_host_dir(tree, source, cursor->root_fd, node->parent, O_PATH, &cursor->dir_fd, err);
    if (r == 0)
        cursor->dir = node->parent;
    return r;
}

static void label_of(const struct tree *tree, const struct tree_node *node, char ret[TREE_LABEL_BYTES])
{
    if (node->source == SOURCE_HOST_DIR) {
        tree_host_label(tree, node->from.source_index, node->parent, node->name, ret);
    } else {
        const char *path = tree->sources[node->from.source_index].path;
        tree_visible(path, strlen(path), ret);
    }
}

/* PLAT_EIO when what is open there is no longer what was scanned. */
static int check_unchanged(const struct tree *tree, const struct tree_node *node, int fd,
                           struct plat_err *err)
{
    char label[TREE_LABEL_BYTES];
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int saved_errno = errno;
        label_of(tree, node, label);
        return err_sys(err, saved_errno, "cannot read %s", label);
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == node->size_bytes)
        return 0;
    label_of(tree, node, label);
    return err_set(err, PLAT_EIO, "%s changed while the image was built: %llu bytes before, %s%lld now",
                   label, (unsigned long long)node->size_bytes,
                   S_ISREG(st.st_mode) ? "" : "not a regular file, ", (long long)st.st_size);
}

static int open_host_file(const struct tree *tree, struct host_cursor *cursor, const struct tree_node *node,
                          int *ret_fd, struct plat_err *err)
{
    /* O_NONBLOCK: a FIFO that took the file's place since the scan must not hang the build. */
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd;
    if (node->source == SOURCE_HOST_DIR) {
        int r = go_to_directory(tree, cursor, node, err);
        if (r != 0)
            return r;
        fd = openat(cursor->dir_fd, node->name, flags | O_NOFOLLOW);
    } else {
        fd = open(tree->sources[node->from.source_index].path, flags);
    }
    if (fd < 0) {
        int saved_errno = errno;
        char label[TREE_LABEL_BYTES];
        label_of(tree, node, label);
        return err_sys(err, saved_errno, "cannot read %s", label);
    }
    *ret_fd = fd;
    return 0;
}

/* Bytes read into buf, which may be fewer than n, and one more where the file goes on. */
static ssize_t read_past(int fd, uint8_t *buf, size_t n, uint64_t offset)
{
    uint8_t extra;
    struct iovec parts[2] = {{.iov_base = buf, .iov_len = n}, {.iov_base = &extra, .iov_len = 1}};
    ssize_t got;
    do
        got = preadv(fd, parts, 2, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

int tree_read_whole(const struct tree *tree, struct host_cursor *cursor, const struct tree_node *node,
                    uint8_t *buf, struct plat_err *err)
{
    int fd;
    int r = open_host_file(tree, cursor, node, &fd, err);
    if (r != 0)
        return r;
    size_t n = (size_t)node->size_bytes, at = 0;
    ssize_t got = 0;
    do {
        got = read_past(fd, buf + at, n - at, at);
        at += got > 0 ? (size_t)got : 0;
    } while (got > 0 && at < n);
    if (got < 0 || at != n) { /* a file that is as long as it was needs no look at its size */
        int saved_errno = errno;
        r = check_unchanged(tree, node, fd, err);
        if (r == 0) {
            char label[TREE_LABEL_BYTES];
            label_of(tree, node, label);
            r = got < 0 ? err_sys(err, saved_errno, "cannot read %s", label)
                        : err_set(err, PLAT_EIO, "%s changed while it was read", label);
        }
    }
    (void)close(fd);
    return r;
}

int tree_reader_open(struct tree *tree, const struct tree_node *node, struct tree_reader *ret,
                     struct plat_err *err)
{
    struct tree_reader reader = {.fd = -1, .left_bytes = node->size_bytes};
    int r = 0;
    switch ((enum tree_source)node->source) {
    case SOURCE_LITERAL:
        reader.literal = (const uint8_t *)node->from.literal;
        break;
    case SOURCE_SPOOL:
        reader.fd = tree->spool_fd;
        reader.offset = node->from.spool_offset;
        if (lseek(reader.fd, (off_t)reader.offset, SEEK_SET) < 0)
            r = err_sys(err, errno, "cannot read the spool file");
        break;
    case SOURCE_HOST_DIR:
    case SOURCE_HOST_FILE:
        reader.owns_fd = true;
        r = open_host_file(tree, &tree->last, node, &reader.fd, err);
        if (r == 0 && (r = check_unchanged(tree, node, reader.fd, err)) != 0)
            tree_reader_close(&reader);
        break;
    case SOURCE_NONE:
    case SOURCE_STATED:
    default: {
        char label[TREE_LABEL_BYTES];
        tree_label(node, label);
        r = err_set(err, PLAT_EINVALID, "'%s' has no contents to read", label);
        break;
    }
    }
    if (r == 0)
        *ret = reader;
    return r;
}

int tree_reader_read(struct tree_reader *reader, void *buf, size_t n, struct plat_err *err)
{
    if (n > reader->left_bytes)
        return err_set(err, PLAT_EBUG, "%zu bytes asked of a file that has %llu left", n,
                       (unsigned long long)reader->left_bytes);
    if (reader->fd < 0) {
        if (n > 0)
            memcpy(buf, reader->literal + reader->offset, n);
        reader->offset += n;
        reader->left_bytes -= n;
        return 0;
    }
    uint8_t *p = buf;
    while (n > 0) {
        /* One byte more than the last one is asked for, in the same call: a file that grew shows. */
        size_t step = n < READ_MAX_BYTES ? n : READ_MAX_BYTES;
        uint8_t extra;
        struct iovec parts[2] = {{.iov_base = p, .iov_len = step}, {.iov_base = &extra, .iov_len = 1}};
        bool at_end = reader->owns_fd && step == reader->left_bytes;
        ssize_t got = preadv(reader->fd, parts, at_end ? 2 : 1, (off_t)reader->offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "cannot read a file's contents");
        if (got == 0)
            return err_set(err, PLAT_EIO,
                           "a file became shorter while the image was built (%llu bytes are missing)",
                           (unsigned long long)reader->left_bytes);
        if ((size_t)got > step)
            return err_set(err, PLAT_EIO, "a file became longer while the image was built");
        p += got;
        n -= (size_t)got;
        reader->offset += (uint64_t)got;
        reader->left_bytes -= (uint64_t)got;
    }
    return 0;
}

uint64_t tree_reader_hole(const struct tree_reader *reader)
{
    if (reader->fd < 0)
        return 0;
    const off_t data = lseek(reader->fd, (off_t)reader->offset, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? reader->left_bytes : 0;
    const uint64_t hole = (uint64_t)data - reader->offset;
    return hole < reader->left_bytes ? hole : reader->left_bytes;
}

void tree_reader_skip(struct tree_reader *reader, uint64_t n)
{
    reader->offset += n;
    reader->left_bytes -= n;
}

void tree_reader_close(struct tree_reader *reader)
{
    if (reader->owns_fd && reader->fd >= 0)
        (void)close(reader->fd);
    *reader = (struct tree_reader){.fd = -1};
}
