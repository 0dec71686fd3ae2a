/* The operations of struct fs_writer: what is asked for is checked, and paid for, before anything changes. */
#include <sys/sysmacros.h>

#include "formats/caposwf1/writer.h"

/* ---- records ---- */

uint64_t wf1_node_cost(const struct wf1_writer *writer)
{
    return (uint64_t)writer->vol->reader.super.node_levels + 1;
}

int wf1_node_put(struct wf1_writer *writer, uint32_t number, const struct wf1_node *node,
                 struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    struct wf1_staged *staged;
    int rc = wf1_radix_edit(writer, &super->nodes, super->node_levels, number / WF1_RECORDS, &staged, err);
    if (rc == 0)
        wf1_node_encode(node, staged->bytes + (size_t)(number % WF1_RECORDS) * CAPOSWF1_PLAIN_NODE_BYTES);
    return rc;
}

/* A record as it is, in use or not. */
static int record_read(struct wf1_writer *writer, uint64_t number, struct wf1_node *ret, struct plat_err *err)
{
    struct wf1_reader *reader = &writer->vol->reader;
    struct wf1_pointer at;
    const uint8_t *bytes;
    int rc =
        wf1_radix(reader, reader->super.nodes, reader->super.node_levels, number / WF1_RECORDS, &at, err);
    if (rc == 0)
        rc = wf1_block(reader, at, &bytes, err);
    if (rc == 0)
        wf1_node_decode(bytes + number % WF1_RECORDS * CAPOSWF1_PLAIN_NODE_BYTES, ret);
    return rc;
}

int wf1_node_take(struct wf1_writer *writer, uint32_t *ret, struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    struct wf1_node node;
    if (super->free_node != 0) {
        int rc = record_read(writer, super->free_node, &node, err);
        if (rc != 0)
            return rc;
        if (node.kind != CAPOSWF1_NODE_KIND_FREE || node.parent >= super->node_count)
            return err_set(err, PLAT_ECORRUPT, "node %llu is said to be free, and is not; run plat verify",
                           (unsigned long long)super->free_node);
        *ret = (uint32_t)super->free_node;
        super->free_node = node.parent;
        super->free_node_count--;
        return 0;
    }
    if (super->node_count == UINT32_MAX)
        return err_set(err, PLAT_ELIMIT, "all of the 2^32 - 1 nodes are in use");
    while (super->node_levels < wf1_levels_for(div_up_u64(super->node_count + 1, WF1_RECORDS))) {
        int rc = wf1_radix_raise(writer, &super->nodes, &super->node_levels, err);
        if (rc != 0)
            return rc;
    }
    *ret = (uint32_t)super->node_count++;
    return 0;
}

int wf1_node_give(struct wf1_writer *writer, uint32_t number, struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    const struct wf1_node node = {.kind = CAPOSWF1_NODE_KIND_FREE, .parent = (uint32_t)super->free_node};
    super->free_node = number;
    super->free_node_count++;
    return wf1_node_put(writer, number, &node, err);
}

/* ---- what all operations ask ---- */

static int directory_read(struct wf1_writer *writer, uint64_t number, struct wf1_node *ret,
                          struct plat_err *err)
{
    int rc = wf1_node_read(&writer->vol->reader, number, ret, err);
    if (rc == 0 && ret->kind != CAPOSWF1_NODE_KIND_DIRECTORY)
        return err_set(err, PLAT_EINVALID, "not a directory");
    return rc;
}

static int place_find(struct wf1_writer *writer, const struct fs_place *place, struct wf1_node *ret_dir,
                      struct wf1_name *ret, struct plat_err *err)
{
    const size_t n = strlen(place->name);
    int rc = directory_read(writer, place->dir, ret_dir, err);
    if (rc == 0)
        rc = wf1_lookup(&writer->vol->reader, ret_dir, (const uint8_t *)place->name, n, ret, err);
    return rc;
}

/* Blocks that a name in a directory of this many levels may take: the record, and each level in two. */
static uint64_t name_cost(const struct wf1_writer *writer, const struct wf1_node *dir)
{
    return wf1_node_cost(writer) + 2 * (uint64_t)dir->levels + 3;
}

static struct volume *volume_to_change(struct fs *fs, struct wf1_writer **ret, int *ret_rc,
                                       struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    *ret_rc = wf1_may_change(vol, err);
    *ret = vol->writer;
    return vol;
}

static void times_set(struct wf1_node *node, const struct fs_time *created, const struct fs_time *modified)
{
    if (created != NULL) {
        node->created_clock = (enum caposwf1_provenance)created->clock;
        node->created_ns = created->clock == FS_CLOCK_UNKNOWN ? 0 : created->ns;
    }
    if (modified != NULL) {
        node->modified_clock = (enum caposwf1_provenance)modified->clock;
        node->modified_ns = modified->clock == FS_CLOCK_UNKNOWN ? 0 : modified->ns;
    }
}

/* ---- create ---- */

static enum caposwf1_node_kind kind_of(enum tree_kind kind)
{
    static const enum caposwf1_node_kind kinds[] = {
        [TREE_DIR] = CAPOSWF1_NODE_KIND_DIRECTORY,      [TREE_FILE] = CAPOSWF1_NODE_KIND_FILE,
        [TREE_SYMLINK] = CAPOSWF1_NODE_KIND_SYMLINK,    [TREE_CHAR] = CAPOSWF1_NODE_KIND_CHAR_DEVICE,
        [TREE_BLOCK] = CAPOSWF1_NODE_KIND_BLOCK_DEVICE, [TREE_FIFO] = CAPOSWF1_NODE_KIND_FIFO,
        [TREE_SOCKET] = CAPOSWF1_NODE_KIND_SOCKET,
    };
    return kinds[kind];
}

/* The target becomes the content: written as a file, which then turns into a link. */
static int link_write(struct wf1_writer *writer, uint32_t number, const char *target, struct plat_err *err)
{
    struct wf1_node node;
    int rc = wf1_write(writer, number, 0, target, strlen(target), err);
    if (rc == 0)
        rc = wf1_window_flush(writer, err);
    if (rc == 0)
        rc = wf1_node_read(&writer->vol->reader, number, &node, err);
    if (rc != 0)
        return rc;
    node.kind = CAPOSWF1_NODE_KIND_SYMLINK;
    return wf1_node_put(writer, number, &node, err);
}

static int create_now(struct wf1_writer *writer, const struct fs_place *place, const struct fs_new *what,
                      uint32_t *ret, struct plat_err *err)
{
    const enum caposwf1_node_kind kind = kind_of(what->kind);
    const bool link = what->kind == TREE_SYMLINK;
    const bool device = what->kind == TREE_CHAR || what->kind == TREE_BLOCK;
    struct wf1_node node = {.kind = link ? CAPOSWF1_NODE_KIND_FILE : kind,
                            .mode = what->mode & WF1_MODE_BITS,
                            .uid = what->uid,
                            .gid = what->gid,
                            .parent = (uint32_t)place->dir,
                            .device_major = device ? major(what->device) : 0,
                            .device_minor = device ? minor(what->device) : 0};
    struct wf1_name name = {
        .kind = kind, .bytes = (uint32_t)strlen(place->name), .name = (const uint8_t *)place->name};
    times_set(&node, &what->created, &what->modified);
    name.hash = wf1_name_hash(name.name, name.bytes);
    int rc = wf1_node_take(writer, &name.node, err);
    if (rc == 0)
        rc = wf1_node_put(writer, name.node, &node, err);
    if (rc == 0 && link)
        rc = link_write(writer, name.node, what->target, err);
    if (rc == 0)
        rc = wf1_name_add(writer, (uint32_t)place->dir, &name, err);
    *ret = name.node;
    return rc;
}

static int writer_create(struct fs *fs, const struct fs_place *place, const struct fs_new *what,
                         uint64_t *ret_node, struct plat_err *err)
{
    struct wf1_writer *writer;
    struct wf1_node dir = {0};
    struct wf1_name there;
    uint32_t number = 0;
    int rc;
    (void)volume_to_change(fs, &writer, &rc, err);
    if (rc != 0)
        return rc;
    const char *fault = wf1_name_fault((const uint8_t *)place->name, strlen(place->name));
    if (fault != NULL)
        return err_set(err, PLAT_EINVALID, "%s", fault);
    size_t target = 0;
    if (what->kind == TREE_SYMLINK) {
        target = what->target == NULL ? 0 : strlen(what->target);
        if (target < 1 || target > WF1_TARGET_MAX_BYTES)
            return err_set(err, PLAT_EINVALID, "a symbolic link to %zu bytes; 1 to %d are possible", target,
                           WF1_TARGET_MAX_BYTES);
        rc = wf1_window_flush(writer, err);
        if (rc != 0)
            return rc;
    }
    rc = place_find(writer, place, &dir, &there, err);
    if (rc == 0)
        return err_set(err, PLAT_EINVALID, "it exists already");
    if (rc != PLAT_ENOTFOUND || dir.kind != CAPOSWF1_NODE_KIND_DIRECTORY)
        return rc;
    if (err != NULL)
        err_clear(err);
    /* Two levels may be put above the node table and the directory. */
    uint64_t cost = name_cost(writer, &dir) + wf1_node_cost(writer) + 1;
    if (target > 0)
        cost += wf1_blocks_of(target) + 4 + 2 * wf1_node_cost(writer);
    rc = wf1_room(writer, cost, false, err);
    if (rc != 0)
        return rc;
    writer->changed = true;
    rc = wf1_halfway(writer, create_now(writer, place, what, &number, err));
    if (rc == 0)
        *ret_node = number;
    return rc;
}

/* ---- remove, rename ---- */

static void window_forget(struct wf1_writer *writer, uint32_t node)
{
    if (writer->window.open && writer->window.node == node) {
        writer->window.open = false;
        writer->window.reserved = 0;
    }
}

/* The name, the node and all that it holds. */
static int remove_now(struct wf1_writer *writer, const struct fs_place *place, uint32_t number,
                      struct wf1_node *node, struct plat_err *err)
{
    writer->changed = true;
    window_forget(writer, number);
    int rc =
        wf1_name_drop(writer, (uint32_t)place->dir, (const uint8_t *)place->name, strlen(place->name), err);
    if (rc == 0)
        rc = wf1_map_free(writer, node, err);
    return rc == 0 ? wf1_node_give(writer, number, err) : rc;
}

static int writer_remove(struct fs *fs, const struct fs_place *place, struct plat_err *err)
{
    struct wf1_writer *writer;
    struct wf1_node dir, node = {0};
    struct wf1_name there = {0};
    int rc;
    (void)volume_to_change(fs, &writer, &rc, err);
    if (rc == 0)
        rc = place_find(writer, place, &dir, &there, err);
    if (rc == 0)
        rc = wf1_node_read(&writer->vol->reader, there.node, &node, err);
    if (rc == 0 && node.kind == CAPOSWF1_NODE_KIND_DIRECTORY && node.size_bytes > 0)
        rc = err_set(err, PLAT_EINVALID, "the directory is not empty: %llu names are in it",
                     (unsigned long long)node.size_bytes);
    if (rc == 0)
        rc = wf1_room(writer, 2 * wf1_node_cost(writer) + (uint64_t)dir.levels, true, err);
    return rc == 0 ? wf1_halfway(writer, remove_now(writer, place, there.node, &node, err)) : rc;
}

/* Is `dir` the node, or somewhere below it? */
static int is_below(struct wf1_writer *writer, uint64_t dir, uint32_t node, bool *ret, struct plat_err *err)
{
    const uint64_t most = writer->vol->reader.super.node_count;
    struct wf1_node at;
    *ret = false;
    for (uint64_t steps = 0; steps < most; steps++) {
        if (dir == node) {
            *ret = true;
            return 0;
        }
        if (dir == WF1_ROOT_NODE)
            return 0;
        int rc = wf1_node_read(&writer->vol->reader, dir, &at, err);
        if (rc != 0)
            return rc;
        dir = at.parent;
    }
    return err_set(err, PLAT_ECORRUPT, "directories run in a circle; run plat verify");
}

/* May the node take the place of what is there? */
static int may_replace(const struct wf1_node *node, const struct wf1_node *there, struct plat_err *err)
{
    const bool a = node->kind == CAPOSWF1_NODE_KIND_DIRECTORY;
    const bool b = there->kind == CAPOSWF1_NODE_KIND_DIRECTORY;
    if (a != b)
        return err_set(err, PLAT_EINVALID, "a directory and something else cannot replace one another");
    if (b && there->size_bytes > 0)
        return err_set(err, PLAT_EINVALID, "the directory that it would replace is not empty");
    return 0;
}

static int rename_now(struct wf1_writer *writer, const struct fs_place *from, const struct fs_place *to,
                      const struct wf1_name *moved, const struct wf1_name *there, struct wf1_node *replaced,
                      struct plat_err *err)
{
    struct wf1_node node;
    struct wf1_name name = {.node = moved->node,
                            .kind = moved->kind,
                            .bytes = (uint32_t)strlen(to->name),
                            .name = (const uint8_t *)to->name};
    writer->changed = true;
    name.hash = wf1_name_hash(name.name, name.bytes);
    int rc = there != NULL ? remove_now(writer, to, there->node, replaced, err) : 0;
    if (rc == 0)
        rc = wf1_name_drop(writer, (uint32_t)from->dir, (const uint8_t *)from->name, strlen(from->name), err);
    if (rc == 0)
        rc = wf1_name_add(writer, (uint32_t)to->dir, &name, err);
    if (rc == 0)
        rc = wf1_node_read(&writer->vol->reader, moved->node, &node, err);
    if (rc != 0)
        return rc;
    node.parent = (uint32_t)to->dir;
    return wf1_node_put(writer, moved->node, &node, err);
}

static int writer_rename(struct fs *fs, const struct fs_place *from, const struct fs_place *to,
                         struct plat_err *err)
{
    struct wf1_writer *writer;
    struct wf1_node from_dir, to_dir, node = {0}, replaced = {0};
    struct wf1_name moved, there = {0};
    bool below = false;
    int rc;
    (void)volume_to_change(fs, &writer, &rc, err);
    if (rc == 0)
        rc = place_find(writer, from, &from_dir, &moved, err);
    if (rc == 0)
        rc = wf1_node_read(&writer->vol->reader, moved.node, &node, err);
    if (rc == 0)
        rc = directory_read(writer, to->dir, &to_dir, err);
    if (rc != 0)
        return rc;
    if (from->dir == to->dir && strcmp(from->name, to->name) == 0)
        return 0;
    const char *fault = wf1_name_fault((const uint8_t *)to->name, strlen(to->name));
    if (fault != NULL)
        return err_set(err, PLAT_EINVALID, "%s", fault);
    if (node.kind == CAPOSWF1_NODE_KIND_DIRECTORY)
        rc = is_below(writer, to->dir, moved.node, &below, err);
    if (rc == 0 && below)
        return err_set(err, PLAT_EINVALID, "a directory cannot be moved into itself");
    if (rc == 0)
        rc = place_find(writer, to, &to_dir, &there, err);
    const bool replaces = rc == 0;
    if (replaces)
        rc = wf1_node_read(&writer->vol->reader, there.node, &replaced, err);
    if (replaces && rc == 0)
        rc = may_replace(&node, &replaced, err);
    if (!replaces && rc == PLAT_ENOTFOUND) {
        rc = 0;
        if (err != NULL)
            err_clear(err);
    }
    if (rc == 0)
        rc = wf1_room(writer,
                      name_cost(writer, &to_dir) + name_cost(writer, &from_dir) + 2 * wf1_node_cost(writer),
                      false, err);
    if (rc != 0)
        return rc;
    return wf1_halfway(writer,
                       rename_now(writer, from, to, &moved, replaces ? &there : NULL, &replaced, err));
}

/* ---- the rest ---- */

static int file_to_change(struct fs *fs, uint64_t node, struct wf1_writer **ret, struct plat_err *err)
{
    int rc;
    (void)volume_to_change(fs, ret, &rc, err);
    if (rc == 0 && node > UINT32_MAX)
        rc = err_set(err, PLAT_ENOTFOUND, "there is no node %llu", (unsigned long long)node);
    return rc;
}

static int writer_write(struct fs *fs, uint64_t node, uint64_t offset, const void *buf, size_t n,
                        struct plat_err *err)
{
    struct wf1_writer *writer;
    int rc = file_to_change(fs, node, &writer, err);
    return rc == 0 ? wf1_write(writer, (uint32_t)node, offset, buf, n, err) : rc;
}

static int writer_truncate(struct fs *fs, uint64_t node, uint64_t size_bytes, struct plat_err *err)
{
    struct wf1_writer *writer;
    int rc = file_to_change(fs, node, &writer, err);
    return rc == 0 ? wf1_truncate(writer, (uint32_t)node, size_bytes, err) : rc;
}

static int writer_set_attributes(struct fs *fs, uint64_t number, const struct fs_attributes *attributes,
                                 struct plat_err *err)
{
    struct wf1_writer *writer;
    struct wf1_node node;
    int rc = file_to_change(fs, number, &writer, err);
    if (rc == 0)
        rc = wf1_node_read(&writer->vol->reader, number, &node, err);
    if (rc == 0)
        rc = wf1_room(writer, wf1_node_cost(writer), false, err);
    if (rc != 0)
        return rc;
    if (attributes->has_mode)
        node.mode = attributes->mode & WF1_MODE_BITS;
    if (attributes->has_owner) {
        node.uid = attributes->uid;
        node.gid = attributes->gid;
    }
    times_set(&node, attributes->has_created ? &attributes->created : NULL,
              attributes->has_modified ? &attributes->modified : NULL);
    writer->changed = true;
    return wf1_halfway(writer, wf1_node_put(writer, (uint32_t)number, &node, err));
}

static int writer_commit(struct fs *fs, struct plat_err *err)
{
    struct wf1_writer *writer;
    int rc;
    (void)volume_to_change(fs, &writer, &rc, err);
    return rc == 0 ? wf1_commit(writer, err) : rc;
}

static int writer_finish(struct fs *fs, struct plat_err *err)
{
    struct wf1_writer *writer;
    int rc;
    (void)volume_to_change(fs, &writer, &rc, err);
    return rc == 0 ? wf1_finish(writer, err) : rc;
}

static int writer_grow(struct fs *fs, uint64_t size_bytes, struct plat_err *err)
{
    struct wf1_writer *writer;
    int rc;
    (void)volume_to_change(fs, &writer, &rc, err);
    return rc == 0 ? wf1_grow(writer, size_bytes, err) : rc;
}

static uint64_t writer_staged_bytes(struct fs *fs)
{
    const struct wf1_writer *writer = volume_of(fs)->writer;
    return writer == NULL
               ? 0
               : writer->n_staged * sizeof(struct wf1_staged) + writer->n_loaded * sizeof(struct wf1_page);
}

const struct fs_writer caposwf1_writer = {
    .create = writer_create,
    .write = writer_write,
    .truncate = writer_truncate,
    .rename = writer_rename,
    .remove = writer_remove,
    .set_attributes = writer_set_attributes,
    .commit = writer_commit,
    .finish = writer_finish,
    .grow = writer_grow,
    .staged_bytes = writer_staged_bytes,
};
