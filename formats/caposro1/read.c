/* Reading: look-ups by binary search, contents, targets. A node's number is that of its record. */
#include "formats/caposro1/reader.h"

#include "lib/hash/hash.h"

int ro1_superblock_read(struct plat_dev *dev, uint8_t buf[CAPOSRO1_SUPERBLOCK_BYTES],
                        struct caposro1_superblock *ret, bool *ret_there, struct plat_err *err)
{
    *ret_there = dev->size_bytes >= CAPOSRO1_SUPERBLOCK_BYTES;
    if (!*ret_there)
        return 0;
    int rc = dev_read(dev, 0, buf, CAPOSRO1_SUPERBLOCK_BYTES, err);
    if (rc == 0 && !caposro1_superblock_view(buf, CAPOSRO1_SUPERBLOCK_BYTES, ret))
        return err_set(err, PLAT_EBUG, "a superblock of other than %d bytes", CAPOSRO1_SUPERBLOCK_BYTES);
    return rc;
}

int ro1_open(struct plat_dev *dev, struct volume *ret, struct plat_err *err)
{
    bool there;
    ret->dev = dev;
    ret->sound = false;
    ret->nodes.start = ret->strings.start = 0;
    ret->nodes.n = ret->strings.n = 0;
    ret->reading.node = UINT64_MAX;
    int rc = ro1_superblock_read(dev, ret->sector, &ret->superblock, &there, err);
    if (rc == 0 && !there)
        return err_set(err, PLAT_ECORRUPT, "%llu bytes are too few for a superblock of %d",
                       (unsigned long long)dev->size_bytes, CAPOSRO1_SUPERBLOCK_BYTES);
    if (rc == 0)
        rc = ro1_geometry_read(ret->superblock, dev->size_bytes, RO1_NEWEST_VERSION, &ret->geo, err);
    ret->sound = rc == 0;
    return rc;
}

int ro1_directory_read(struct volume *vol, uint64_t index, struct ro1_node *ret, struct plat_err *err)
{
    struct ro1_node node;
    int rc = ro1_node_read(vol, index, &node, err);
    if (rc == 0 && node.kind != CAPOSRO1_NODE_KIND_DIRECTORY)
        return err_set(err, PLAT_EINVALID, "node %llu is not a directory", (unsigned long long)index);
    if (rc == 0)
        *ret = node;
    return rc;
}

int ro1_child_read(struct volume *vol, uint64_t dir, uint64_t index, struct ro1_node *ret,
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

int ro1_lookup(struct volume *vol, uint64_t dir, const uint8_t *name, size_t n, uint64_t *ret_node,
               struct plat_err *err)
{
    struct ro1_node parent, child;
    int rc = ro1_directory_read(vol, dir, &parent, err);
    if (rc != 0)
        return rc;
    uint32_t low = 0, high = parent.child_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint8_t *found;
        rc = ro1_child_read(vol, dir, (uint64_t)parent.first_child + middle, &child, &found, err);
        if (rc != 0)
            return rc;
        int order = ro1_name_compare(name, n, found, child.name_bytes);
        if (order == 0) {
            *ret_node = (uint64_t)parent.first_child + middle;
            return 0;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return err_set(err, PLAT_ENOTFOUND, "there is no '%.*s' in this directory",
                   (int)(n < RO1_NAME_MAX_BYTES ? n : RO1_NAME_MAX_BYTES), (const char *)name);
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

int ro1_content_read(struct volume *vol, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                     struct plat_err *err)
{
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
        rc = dev_read(vol->dev, file.content + offset, buf, n, err);
    if (rc == 0 && n > 0)
        rc = follow_reading(vol, node, &file, (struct range){offset, n}, buf, err);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int ro1_target_read(struct volume *vol, uint64_t node, const uint8_t **ret, size_t *ret_n,
                    struct plat_err *err)
{
    struct ro1_node link;
    const uint8_t *target;
    int rc = ro1_node_read(vol, node, &link, err);
    if (rc != 0)
        return rc;
    if (link.kind != CAPOSRO1_NODE_KIND_SYMLINK)
        return err_set(err, PLAT_EINVALID, "node %llu is not a symbolic link", (unsigned long long)node);
    rc = ro1_window_read(vol->dev, &vol->strings, (struct range){link.content, link.size_bytes},
                         vol->geo.contents_end + vol->geo.strings_bytes, &target, err);
    if (rc != 0)
        return rc;
    if (hash_crc32c(0, target, (size_t)link.size_bytes) != link.content_crc32c) {
        char path[RO1_PATH_BYTES];
        ro1_field_path(path, node, "content_crc32c");
        return err_at(err, PLAT_ECORRUPT, link.content, path, "a target does not match its checksum");
    }
    *ret = target;
    *ret_n = (size_t)link.size_bytes;
    return 0;
}
