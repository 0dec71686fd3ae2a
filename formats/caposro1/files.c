/* The driver's view of the tree: reader.h with the names that every driver has. */
#include "formats/caposro1/volume.h"

#include <string.h>

int caposro1_root(struct fs *fs, uint64_t *ret_node, struct plat_err *err)
{
    if (!volume_of(fs)->sound)
        return err_at(err, PLAT_ECORRUPT, 0, "superblock", "the superblock cannot be used; run plat verify");
    *ret_node = 0;
    return 0;
}

int caposro1_lookup(struct fs *fs, uint64_t dir, const char *name, uint64_t *ret_node, struct plat_err *err)
{
    return ro1_lookup(volume_of(fs), dir, (const uint8_t *)name, strlen(name), ret_node, err);
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
    int rc = ro1_directory_read(vol, dir, &parent, err);
    for (uint32_t i = 0; rc == 0 && i < parent.child_count; i++) {
        char name[RO1_NAME_MAX_BYTES + 1];
        const uint8_t *bytes;
        struct ro1_node child;
        const uint64_t index = (uint64_t)parent.first_child + i;
        rc = ro1_child_read(vol, dir, index, &child, &bytes, err);
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

int caposro1_read(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                  struct plat_err *err)
{
    return ro1_content_read(volume_of(fs), node, offset, buf, n, ret_n, err);
}

int caposro1_readlink(struct fs *fs, uint64_t node, struct strbuf *ret, struct plat_err *err)
{
    const uint8_t *target;
    size_t n = 0;
    int rc = ro1_target_read(volume_of(fs), node, &target, &n, err);
    if (rc == 0)
        strbuf_add(ret, (const char *)target, n);
    return rc;
}
