/* Reading: look-ups by binary search, directories, contents, targets. A node id is the number of its record. */
#include "formats/caposro1/volume.h"

#include <string.h>

#include "lib/hash/hash.h"

int caposro1_root(struct fs *fs, uint64_t *ret_node, struct plat_err *err)
{
    if (!volume_of(fs)->sound)
        return err_at(err, PLAT_ECORRUPT, 0, "superblock", "the superblock cannot be used; run plat verify");
    *ret_node = 0;
    return 0;
}

static int directory_read(struct volume *vol, uint64_t index, struct ro1_node *ret, struct plat_err *err)
{
    struct ro1_node node;
    int rc = ro1_node_read(vol, index, &node, err);
    if (rc == 0 && node.kind != CAPOSRO1_NODE_KIND_DIRECTORY)
        return err_set(err, PLAT_EINVALID, "node %llu is not a directory", (unsigned long long)index);
    if (rc == 0)
        *ret = node;
    return rc;
}

/* A child, which says itself whose child it is. */
static int child_read(struct volume *vol, uint64_t dir, uint64_t index, struct ro1_node *ret,
                      const uint8_t **ret_name, struct plat_err *err)
{
    struct ro1_node node;
    int rc = ro1_node_read(vol, index, &node, err);
    if (rc == 0 && node.parent != dir) {
        char path[RO1_PATH_BYTES];
        ro1_field_path(path, index, "parent_node");
        return err_at(
            err, PLAT_ECORRUPT, ro1_record_offset(vol, index), path,
            "the node belongs to directory %u, and directory %llu counts it as its own; run plat verify",
            node.parent, (unsigned long long)dir);
    }
    if (rc == 0)
        rc = ro1_name_read(vol, index, &node, ret_name, err);
    if (rc == 0)
        *ret = node;
    return rc;
}

int caposro1_lookup(struct fs *fs, uint64_t dir, const char *name, uint64_t *ret_node, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct ro1_node parent, child;
    const size_t n = strlen(name);
    int rc = directory_read(vol, dir, &parent, err);
    if (rc != 0)
        return rc;
    uint32_t low = 0, high = parent.child_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint8_t *found, *wanted = (const uint8_t *)name;
        rc = child_read(vol, dir, (uint64_t)parent.first_child + middle, &child, &found, err);
        if (rc != 0)
            return rc;
        int order = ro1_name_compare(wanted, n, found, child.name_bytes);
        if (order == 0) {
            *ret_node = (uint64_t)parent.first_child + middle;
            return 0;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return err_set(err, PLAT_ENOTFOUND, "there is no '%.255s' in this directory", name);
}

static const enum tree_kind kinds[] = {
    [CAPOSRO1_NODE_KIND_DIRECTORY] = TREE_DIR,      [CAPOSRO1_NODE_KIND_FILE] = TREE_FILE,
    [CAPOSRO1_NODE_KIND_SYMLINK] = TREE_SYMLINK,    [CAPOSRO1_NODE_KIND_CHAR_DEVICE] = TREE_CHAR,
    [CAPOSRO1_NODE_KIND_BLOCK_DEVICE] = TREE_BLOCK, [CAPOSRO1_NODE_KIND_FIFO] = TREE_FIFO,
    [CAPOSRO1_NODE_KIND_SOCKET] = TREE_SOCKET,
};

int caposro1_readdir(struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *ctx, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct ro1_node parent;
    int rc = directory_read(vol, dir, &parent, err);
    for (uint32_t i = 0; rc == 0 && i < parent.child_count; i++) {
        char name[RO1_NAME_MAX_BYTES + 1];
        const uint8_t *bytes;
        struct ro1_node child;
        const uint64_t index = (uint64_t)parent.first_child + i;
        rc = child_read(vol, dir, index, &child, &bytes, err);
        if (rc != 0)
            return rc;
        if (memchr(bytes, '\0', child.name_bytes) != NULL)
            return err_at(err, PLAT_ECORRUPT, vol->geo.contents_end + child.name_offset, NULL,
                          "there is a NUL in a name; run plat verify");
        memcpy(name, bytes, child.name_bytes);
        name[child.name_bytes] = '\0';
        const struct fs_dirent dirent = {.name = name, .node = index, .kind = kinds[child.kind]};
        rc = fn(ctx, &dirent);
    }
    return rc;
}

int caposro1_stat(struct fs *fs, uint64_t node, struct fs_stat *ret, struct plat_err *err)
{
    struct ro1_node n;
    int rc = ro1_node_read(volume_of(fs), node, &n, err);
    if (rc != 0)
        return rc;
    *ret = (struct fs_stat){
        .kind = kinds[n.kind],
        .size_bytes = n.size_bytes,
        .mode = n.mode,
        .has_mode = true,
        .uid = n.uid,
        .gid = n.gid,
        .has_mtime = n.clock != CAPOSRO1_CLOCK_SOURCE_UNKNOWN,
        .mtime_s = n.modified_s,
        .mtime_ns = n.modified_ns,
    };
    return 0;
}

/* Runs the checksum along when a file is read from its start to its end. */
static int follow_reading(struct volume *vol, uint64_t index, const struct ro1_node *node, struct range part,
                          const uint8_t *bytes, struct plat_err *err)
{
    if (part.start == 0) {
        vol->reading.node = index;
        vol->reading.offset = 0;
        vol->reading.crc32c = 0;
    }
    if (vol->reading.node != index || vol->reading.offset != part.start)
        return 0;
    vol->reading.crc32c = hash_crc32c(vol->reading.crc32c, bytes, (size_t)part.bytes);
    vol->reading.offset += part.bytes;
    if (vol->reading.offset < node->size_bytes || vol->reading.crc32c == node->content_crc32c)
        return 0;
    char path[RO1_PATH_BYTES];
    ro1_field_path(path, index, "content_crc32c");
    return err_at(err, PLAT_ECORRUPT, node->content, path,
                  "the content does not match its checksum: expected 0x%08x, found 0x%08x",
                  node->content_crc32c, vol->reading.crc32c);
}

int caposro1_read(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                  struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct ro1_node file;
    int rc = ro1_node_read(vol, node, &file, err);
    if (rc != 0)
        return rc;
    if (file.kind != CAPOSRO1_NODE_KIND_FILE)
        return err_set(err, PLAT_EINVALID, "node %llu is not a file", (unsigned long long)node);
    const uint64_t left = offset < file.size_bytes ? file.size_bytes - offset : 0;
    if (n > left)
        n = (size_t)left;
    if (n > 0)
        rc = dev_read(fs->dev, file.content + offset, buf, n, err);
    if (rc == 0 && n > 0)
        rc = follow_reading(vol, node, &file, (struct range){offset, n}, buf, err);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int caposro1_readlink(struct fs *fs, uint64_t node, struct strbuf *ret, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    struct ro1_node link;
    const uint8_t *target;
    int rc = ro1_node_read(vol, node, &link, err);
    if (rc != 0)
        return rc;
    if (link.kind != CAPOSRO1_NODE_KIND_SYMLINK)
        return err_set(err, PLAT_EINVALID, "node %llu is not a symbolic link", (unsigned long long)node);
    rc = ro1_window_read(fs->dev, &vol->strings, (struct range){link.content, link.size_bytes},
                         vol->geo.contents_end + vol->geo.strings_bytes, &target, err);
    if (rc != 0)
        return rc;
    if (hash_crc32c(0, target, (size_t)link.size_bytes) != link.content_crc32c) {
        char path[RO1_PATH_BYTES];
        ro1_field_path(path, node, "content_crc32c");
        return err_at(err, PLAT_ECORRUPT, link.content, path, "a target does not match its checksum");
    }
    strbuf_add(ret, (const char *)target, (size_t)link.size_bytes);
    return 0;
}
