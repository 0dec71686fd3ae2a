/* Reading file contents, wherever they are. */
#include "lib/tree/private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ_MAX_BYTES = 1 << 30 };

static void forget_last(struct tree *tree)
{
    if (tree->last.dir_fd >= 0)
        (void)close(tree->last.dir_fd);
    tree->last.dir_fd = -1;
    tree->last.dir = NULL;
}

/* Points tree->last at the host directory of `node`. */
static int go_to_directory(struct tree *tree, const struct tree_node *node, struct plat_err *err)
{
    uint32_t source = node->from.source_index;
    if (tree->last.dir_fd >= 0 && tree->last.dir == node->parent && tree->last.source == source)
        return 0;
    forget_last(tree);
    if (tree->last.root_fd < 0 || tree->last.source != source) {
        if (tree->last.root_fd >= 0)
            (void)close(tree->last.root_fd);
        const char *path = tree->sources[source].path;
        tree->last.root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (tree->last.root_fd < 0)
            return err_sys(err, errno, "cannot read directory %s", path);
        tree->last.source = source;
    }
    int r =
        tree_open_host_dir(tree, source, tree->last.root_fd, node->parent, O_PATH, &tree->last.dir_fd, err);
    if (r == 0)
        tree->last.dir = node->parent;
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

static int open_host_file(struct tree *tree, const struct tree_node *node, int *ret_fd, struct plat_err *err)
{
    /* O_NONBLOCK: a FIFO that took the file's place since the scan must not hang the build. */
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    char label[TREE_LABEL_BYTES];
    int fd;
    if (node->source == SOURCE_HOST_DIR) {
        int r = go_to_directory(tree, node, err);
        if (r != 0)
            return r;
        fd = openat(tree->last.dir_fd, node->name, flags | O_NOFOLLOW);
    } else {
        fd = open(tree->sources[node->from.source_index].path, flags);
    }
    if (fd < 0) {
        int saved_errno = errno;
        label_of(tree, node, label);
        return err_sys(err, saved_errno, "cannot read %s", label);
    }
    struct stat st;
    int r = 0;
    if (fstat(fd, &st) != 0) {
        int saved_errno = errno;
        label_of(tree, node, label);
        r = err_sys(err, saved_errno, "cannot read %s", label);
    } else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != node->size_bytes) {
        label_of(tree, node, label);
        r = err_set(err, PLAT_EIO, "%s changed while the image was built: %llu bytes before, %s%lld now",
                    label, (unsigned long long)node->size_bytes,
                    S_ISREG(st.st_mode) ? "" : "not a regular file, ", (long long)st.st_size);
    }
    if (r != 0)
        (void)close(fd);
    else
        *ret_fd = fd;
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
        r = open_host_file(tree, node, &reader.fd, err);
        break;
    case SOURCE_NONE:
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

void tree_reader_close(struct tree_reader *reader)
{
    if (reader->owns_fd && reader->fd >= 0)
        (void)close(reader->fd);
    *reader = (struct tree_reader){.fd = -1};
}
