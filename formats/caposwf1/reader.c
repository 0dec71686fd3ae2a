/* Finding nodes, names and contents. Nothing here asks for memory. */
#include "formats/caposwf1/reader.h"

#include "lib/hash/hash.h"

void wf1_reader_init(struct wf1_reader *reader, struct plat_dev *dev, const struct wf1_super *super,
                     struct wf1_slot *slots, uint32_t n_slots)
{
    *reader = (struct wf1_reader){.dev = dev, .super = *super, .slots = slots, .n_slots = n_slots};
    for (uint32_t i = 0; i < n_slots; i++)
        slots[i].block = 0;
}

/* ---- blocks ---- */

static int corrupt(struct plat_err *err, uint64_t block, const char *what)
{
    return err_at(err, PLAT_ECORRUPT, block * WF1_BLOCK_BYTES, NULL, "block %llu: %s; run plat verify",
                  (unsigned long long)block, what);
}

int wf1_block(struct wf1_reader *reader, struct wf1_pointer at, const uint8_t **ret, struct plat_err *err)
{
    const struct wf1_super *super = &reader->super;
    if (reader->staged != NULL) {
        const uint8_t *staged = reader->staged(reader->staged_ctx, at.block);
        if (staged != NULL) {
            *ret = staged;
            return 0;
        }
    }
    if (at.block < super->region_first_block || at.block >= super->region_first_block + super->region_blocks)
        return corrupt(err, at.block, "it is referred to and lies outside the region");
    struct wf1_slot *slot = &reader->slots[at.block % reader->n_slots];
    if (slot->block != at.block) {
        slot->block = 0;
        int rc =
            dev_read(reader->dev, (uint64_t)at.block * WF1_BLOCK_BYTES, slot->bytes, WF1_BLOCK_BYTES, err);
        if (rc != 0)
            return rc;
        slot->crc32c = hash_crc32c(0, slot->bytes, WF1_BLOCK_BYTES);
        slot->block = at.block;
    }
    if (slot->crc32c != at.crc32c && !reader->skip_checks) {
        slot->block = 0;
        return corrupt(err, at.block, "its checksum is not that of its bytes");
    }
    *ret = slot->bytes;
    return 0;
}

int wf1_radix(struct wf1_reader *reader, struct wf1_pointer root, uint32_t levels, uint64_t index,
              struct wf1_pointer *ret, struct plat_err *err)
{
    struct wf1_pointer at = root;
    for (uint32_t level = levels; level > 0 && at.block != 0; level--) {
        const uint8_t *bytes;
        uint64_t below = 1;
        for (uint32_t i = 1; i < level; i++)
            below *= WF1_POINTERS;
        int rc = wf1_block(reader, at, &bytes, err);
        if (rc != 0)
            return rc;
        struct caposwf1_pointer v;
        if (!caposwf1_pointer_block_pointers((struct caposwf1_pointer_block){bytes},
                                             (size_t)(index / below % WF1_POINTERS), &v))
            return err_set(err, PLAT_EBUG, "a pointer block has 64 pointers");
        at = (struct wf1_pointer){caposwf1_pointer_block(v), caposwf1_pointer_crc32c(v)};
    }
    *ret = at;
    return 0;
}

int wf1_node_read(struct wf1_reader *reader, uint64_t number, struct wf1_node *ret, struct plat_err *err)
{
    struct wf1_pointer at;
    struct wf1_node node;
    const uint8_t *bytes;
    if (number >= reader->super.node_count)
        return err_set(err, PLAT_ENOTFOUND, "there is no node %llu", (unsigned long long)number);
    int rc =
        wf1_radix(reader, reader->super.nodes, reader->super.node_levels, number / WF1_RECORDS, &at, err);
    if (rc != 0)
        return rc;
    if (at.block == 0)
        return err_set(err, PLAT_ENOTFOUND, "node %llu is not in use", (unsigned long long)number);
    rc = wf1_block(reader, at, &bytes, err);
    if (rc != 0)
        return rc;
    wf1_node_decode(bytes + number % WF1_RECORDS * CAPOSWF1_PLAIN_NODE_BYTES, &node);
    if (node.kind == CAPOSWF1_NODE_KIND_FREE)
        return err_set(err, PLAT_ENOTFOUND, "node %llu is not in use", (unsigned long long)number);
    const char *fault = wf1_node_fault(&reader->super, &node);
    if (fault != NULL)
        return err_at(err, PLAT_ECORRUPT,
                      (uint64_t)at.block * WF1_BLOCK_BYTES + number % WF1_RECORDS * CAPOSWF1_PLAIN_NODE_BYTES,
                      NULL, "node %llu: %s; run plat verify", (unsigned long long)number, fault);
    *ret = node;
    return 0;
}

/* ---- maps ---- */

/* The entry that path[depth] stands at. */
static int entry_at(struct wf1_cursor *cursor, uint32_t depth, struct wf1_entry *ret, struct plat_err *err)
{
    const uint32_t index = cursor->path[depth].index;
    if (depth == 0) {
        *ret = cursor->root[index];
        return 0;
    }
    const uint8_t *bytes;
    int rc = wf1_block(cursor->reader, cursor->path[depth].at, &bytes, err);
    if (rc == 0)
        wf1_entries_decode(bytes + (size_t)index * CAPOSWF1_BRANCH_BYTES, 1, ret);
    return rc;
}

/* Enters the block of branches that `entry` names, at the last child whose key is lower than `key` (0: the first). */
static int enter(struct wf1_cursor *cursor, uint32_t depth, const struct wf1_entry *entry, uint32_t key,
                 struct plat_err *err)
{
    const struct wf1_pointer at = {entry->block, entry->crc32c};
    struct wf1_entry branches[WF1_ENTRIES];
    const uint8_t *bytes;
    int rc = wf1_block(cursor->reader, at, &bytes, err);
    if (rc != 0)
        return rc;
    if (entry->count > WF1_ENTRIES)
        return corrupt(err, at.block, "it has more branches than fit");
    wf1_entries_decode(bytes, entry->count, branches);
    const char *fault = wf1_entries_fault(&cursor->reader->super, branches, entry->count, false);
    if (fault != NULL)
        return corrupt(err, at.block, fault);
    uint32_t index = 0;
    while (index + 1 < entry->count && branches[index + 1].key < key)
        index++;
    cursor->path[depth].at = at;
    cursor->path[depth].index = index;
    cursor->path[depth].count = entry->count;
    return 0;
}

/* From path[depth], which is set, down to the bottom. */
static int descend(struct wf1_cursor *cursor, uint32_t depth, uint32_t key, struct plat_err *err)
{
    struct wf1_entry entry;
    for (;; depth++) {
        int rc = entry_at(cursor, depth, &entry, err);
        if (rc != 0)
            return rc;
        if (depth + 1 == cursor->levels) {
            cursor->leaf = entry;
            return 0;
        }
        rc = enter(cursor, depth + 1, &entry, key, err);
        if (rc != 0)
            return rc;
    }
}

int wf1_cursor_seek(struct wf1_cursor *cursor, struct wf1_reader *reader, const struct wf1_node *node,
                    uint32_t key, struct plat_err *err)
{
    cursor->reader = reader;
    cursor->levels = node->levels;
    memcpy(cursor->root, node->entries, sizeof cursor->root);
    cursor->path[0].at = (struct wf1_pointer){0, 0};
    cursor->path[0].index = 0;
    cursor->path[0].count = node->n_entries;
    cursor->end = node->levels == 0 || node->n_entries == 0;
    if (cursor->end)
        return 0;
    while (cursor->path[0].index + 1 < node->n_entries && node->entries[cursor->path[0].index + 1].key < key)
        cursor->path[0].index++;
    return descend(cursor, 0, key, err);
}

int wf1_cursor_next(struct wf1_cursor *cursor, struct plat_err *err)
{
    for (uint32_t depth = cursor->levels; depth-- > 0;) {
        if (cursor->path[depth].index + 1 >= cursor->path[depth].count)
            continue;
        cursor->path[depth].index++;
        return descend(cursor, depth, 0, err);
    }
    cursor->end = true;
    return 0;
}

int wf1_extent_find(struct wf1_reader *reader, const struct wf1_node *node, uint32_t file_block,
                    struct wf1_entry *ret, struct plat_err *err)
{
    struct wf1_entry extents[WF1_ENTRIES];
    struct wf1_cursor cursor;
    const uint8_t *bytes;
    ret->count = 0;
    for (uint32_t i = 0; node->levels == 0 && i < node->n_entries; i++) {
        if ((uint64_t)node->entries[i].key + node->entries[i].count <= file_block)
            continue;
        *ret = node->entries[i];
        return 0;
    }
    int rc =
        wf1_cursor_seek(&cursor, reader, node, file_block < UINT32_MAX ? file_block + 1 : file_block, err);
    while (rc == 0 && !cursor.end) {
        const struct wf1_entry *leaf = &cursor.leaf;
        rc = wf1_block(reader, (struct wf1_pointer){leaf->block, leaf->crc32c}, &bytes, err);
        if (rc != 0)
            break;
        if (leaf->count > WF1_ENTRIES)
            return corrupt(err, leaf->block, "it has more extents than fit");
        wf1_entries_decode(bytes, leaf->count, extents);
        const char *fault = wf1_entries_fault(&reader->super, extents, leaf->count, true);
        if (fault != NULL)
            return corrupt(err, leaf->block, fault);
        for (uint32_t i = 0; i < leaf->count; i++) {
            if ((uint64_t)extents[i].key + extents[i].count <= file_block)
                continue;
            *ret = extents[i];
            return 0;
        }
        const uint32_t key = leaf->key;
        rc = wf1_cursor_next(&cursor, err);
        /* Nor does a map that runs in circles go on for ever. */
        if (rc == 0 && !cursor.end && cursor.leaf.key <= key)
            return corrupt(err, cursor.leaf.block, "its extents do not lie behind those before");
    }
    return rc;
}

int wf1_extents(struct wf1_reader *reader, const struct wf1_node *node, uint32_t first,
                struct wf1_entry ret[WF1_EXTENT_BLOCKS], uint32_t *ret_n, struct plat_err *err)
{
    const uint64_t end = (uint64_t)first + WF1_EXTENT_BLOCKS;
    uint32_t n = 0;
    for (uint64_t at = first; at < end; n++) {
        int rc = wf1_extent_find(reader, node, (uint32_t)at, &ret[n], err);
        if (rc != 0)
            return rc;
        if (ret[n].count == 0 || ret[n].key >= end)
            break;
        if (ret[n].key < at)
            return err_set(err, PLAT_ECORRUPT, "extents overlap; run plat verify");
        at = (uint64_t)ret[n].key + ret[n].count;
    }
    *ret_n = n;
    return 0;
}

/* ---- contents ---- */

static int damaged(const struct wf1_entry *extent, uint32_t found, struct plat_err *err)
{
    return err_at(err, PLAT_ECORRUPT, (uint64_t)extent->block * WF1_BLOCK_BYTES, NULL,
                  "the content in blocks %u to %u is damaged: its checksum should be 0x%08x and is "
                  "0x%08x",
                  extent->block, extent->block + extent->count - 1, extent->crc32c, found);
}

/* Bytes [from, to) of an extent to buf, out of what was compared with its checksum: what is read a second time may be
 * something else by then. */
static int extent_compare(struct wf1_reader *reader, const struct wf1_entry *extent, uint64_t from,
                          uint64_t to, uint8_t *buf, struct plat_err *err)
{
    uint8_t block[WF1_BLOCK_BYTES];
    uint8_t *piece = reader->scratch != NULL ? reader->scratch : block;
    const size_t room = reader->scratch != NULL ? reader->scratch_bytes : sizeof block;
    const uint64_t start = (uint64_t)extent->block * WF1_BLOCK_BYTES;
    const uint64_t bytes = (uint64_t)extent->count * WF1_BLOCK_BYTES;
    uint32_t crc32c = 0;
    for (uint64_t at = 0, n; at < bytes; at += n) {
        n = bytes - at < room ? bytes - at : room;
        int rc = dev_read(reader->dev, start + at, piece, (size_t)n, err);
        if (rc != 0)
            return rc;
        crc32c = hash_crc32c(crc32c, piece, (size_t)n);
        const uint64_t a = from > at ? from : at, b = to < at + n ? to : at + n;
        if (a < b)
            memcpy(buf + (a - from), piece + (a - at), (size_t)(b - a));
    }
    if (crc32c != extent->crc32c && !reader->skip_checks)
        return damaged(extent, crc32c, err);
    reader->trusted = *extent;
    return 0;
}

/* Bytes [from, to) of the file, all of which lie in the extent. */
static int extent_read(struct wf1_reader *reader, const struct wf1_entry *extent, uint64_t from, uint64_t to,
                       uint8_t *buf, struct plat_err *err)
{
    const struct wf1_entry *trusted = &reader->trusted;
    const uint64_t begin = (uint64_t)extent->key * WF1_BLOCK_BYTES;
    const uint64_t bytes = (uint64_t)extent->count * WF1_BLOCK_BYTES;
    const uint64_t start = (uint64_t)extent->block * WF1_BLOCK_BYTES + (from - begin);
    const bool all = to - from == bytes;
    const bool trusts = trusted->count == extent->count && trusted->block == extent->block &&
                        trusted->crc32c == extent->crc32c;
    if (!all && !trusts)
        return extent_compare(reader, extent, from - begin, to - begin, buf, err);
    int rc = dev_read(reader->dev, start, buf, (size_t)(to - from), err);
    if (rc != 0)
        return rc;
    if (!all) {
        reader->relied = true;
        return 0;
    }
    const uint32_t crc32c = hash_crc32c(0, buf, (size_t)bytes);
    return crc32c != extent->crc32c && !reader->skip_checks ? damaged(extent, crc32c, err) : 0;
}

int wf1_read(struct wf1_reader *reader, const struct wf1_node *node, uint64_t offset, void *buf, size_t n,
             size_t *ret_n, struct plat_err *err)
{
    const uint64_t left = offset < node->size_bytes ? node->size_bytes - offset : 0;
    uint8_t *out = buf;
    if (node->kind != CAPOSWF1_NODE_KIND_FILE && node->kind != CAPOSWF1_NODE_KIND_SYMLINK)
        return err_set(err, PLAT_EINVALID, "not a file");
    if (n > left)
        n = (size_t)left;
    for (uint64_t at = offset; at < offset + n;) {
        struct wf1_entry extent = {0};
        uint64_t to = offset + n;
        int rc = wf1_extent_find(reader, node, (uint32_t)(at / WF1_BLOCK_BYTES), &extent, err);
        if (rc != 0)
            return rc;
        const uint64_t begin = (uint64_t)extent.key * WF1_BLOCK_BYTES;
        if (extent.count == 0 || begin > at) { /* a hole */
            if (extent.count != 0 && begin < to)
                to = begin;
            memset(out + (at - offset), 0, (size_t)(to - at));
        } else {
            const uint64_t end = begin + (uint64_t)extent.count * WF1_BLOCK_BYTES;
            if (end < to)
                to = end;
            rc = extent_read(reader, &extent, at, to, out + (at - offset), err);
            if (rc != 0)
                return rc;
        }
        at = to;
    }
    *ret_n = n;
    return 0;
}

/* ---- directories ---- */

/* The name that came last: names ascend, so a directory that runs in circles ends. */
struct last_name {
    struct wf1_name name; /* bytes 0: none yet */
    uint8_t bytes[WF1_NAME_MAX_BYTES];
};

/* Names of the bottom block at the cursor. */
static int leaf_names(struct wf1_cursor *cursor, struct last_name *last, wf1_name_fn *fn, void *ctx,
                      struct plat_err *err)
{
    uint8_t copy[WF1_BLOCK_BYTES];
    const uint8_t *bytes;
    uint32_t offset = 0;
    int rc =
        wf1_block(cursor->reader, (struct wf1_pointer){cursor->leaf.block, cursor->leaf.crc32c}, &bytes, err);
    if (rc != 0)
        return rc;
    memcpy(copy, bytes, sizeof copy); /* fn may use the reader, whose cache this is */
    for (uint32_t i = 0; rc == 0 && i < cursor->leaf.count; i++) {
        struct wf1_name name;
        if (!wf1_name_decode(copy, &offset, &name))
            return corrupt(err, cursor->leaf.block, "its names do not fit in it");
        if (last->name.bytes > 0 && wf1_name_compare(&last->name, &name) >= 0)
            return corrupt(err, cursor->leaf.block, "its names are out of order");
        memcpy(last->bytes, name.name, name.bytes);
        last->name = name;
        last->name.name = last->bytes;
        rc = fn(ctx, &name);
    }
    return rc;
}

int wf1_list(struct wf1_reader *reader, const struct wf1_node *dir, wf1_name_fn *fn, void *ctx,
             struct plat_err *err)
{
    struct wf1_cursor cursor;
    struct last_name last;
    last.name.bytes = 0;
    if (dir->kind != CAPOSWF1_NODE_KIND_DIRECTORY)
        return err_set(err, PLAT_EINVALID, "not a directory");
    int rc = wf1_cursor_seek(&cursor, reader, dir, 0, err);
    while (rc == 0 && !cursor.end) {
        rc = leaf_names(&cursor, &last, fn, ctx, err);
        if (rc == 0)
            rc = wf1_cursor_next(&cursor, err);
    }
    return rc;
}

struct looking {
    const struct wf1_name *wanted;
    struct wf1_name *ret;
    bool found;
};

static int look_at(void *ctx, const struct wf1_name *name)
{
    struct looking *looking = ctx;
    const int order = wf1_name_compare(name, looking->wanted);
    if (order < 0)
        return 0;
    looking->found = order == 0;
    if (order == 0) {
        *looking->ret = *name;
        looking->ret->name = looking->wanted->name;
    }
    return PLAT_ESTOP;
}

int wf1_lookup(struct wf1_reader *reader, const struct wf1_node *dir, const uint8_t *name, size_t n,
               struct wf1_name *ret, struct plat_err *err)
{
    struct wf1_cursor cursor;
    struct wf1_name found;
    if (dir->kind != CAPOSWF1_NODE_KIND_DIRECTORY)
        return err_set(err, PLAT_EINVALID, "not a directory");
    if (n == 0 || n > WF1_NAME_MAX_BYTES)
        return err_set(err, PLAT_ENOTFOUND, "no such name");
    const struct wf1_name wanted = {.hash = wf1_name_hash(name, n), .bytes = (uint32_t)n, .name = name};
    struct looking looking = {.wanted = &wanted, .ret = &found};
    struct last_name last;
    last.name.bytes = 0;
    int rc = wf1_cursor_seek(&cursor, reader, dir, wanted.hash, err);
    while (rc == 0 && !cursor.end && cursor.leaf.key <= wanted.hash) {
        rc = leaf_names(&cursor, &last, look_at, &looking, err);
        if (rc == 0)
            rc = wf1_cursor_next(&cursor, err);
    }
    if (rc != 0 && rc != PLAT_ESTOP)
        return rc;
    if (!looking.found)
        return err_set(err, PLAT_ENOTFOUND, "no such name");
    *ret = found;
    return 0;
}
