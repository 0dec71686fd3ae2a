/* Records, map entries and names: bytes to numbers and back, and what is wrong with them by themselves. */
#include "formats/caposwf1/reader.h"

#include "lib/hash/hash.h"

_Static_assert((int)CAPOSWF1_EXTENT_NODE_BYTES == (int)CAPOSWF1_PLAIN_NODE_BYTES &&
                   (int)CAPOSWF1_BRANCH_NODE_BYTES == (int)CAPOSWF1_PLAIN_NODE_BYTES &&
                   CAPOSWF1_PLAIN_NODE_BYTES * WF1_RECORDS == WF1_BLOCK_BYTES,
               "records are of one size");
_Static_assert((int)CAPOSWF1_EXTENT_BYTES == (int)CAPOSWF1_BRANCH_BYTES &&
                   CAPOSWF1_EXTENT_BYTES * WF1_ENTRIES == WF1_BLOCK_BYTES,
               "map entries are of one size");

uint32_t wf1_levels_for(uint64_t bottom_blocks)
{
    uint32_t levels = 0;
    for (uint64_t reach = 1; reach < bottom_blocks; reach *= WF1_POINTERS)
        levels++;
    return levels;
}

/* ---- map entries ---- */

static struct wf1_entry extent_decode(struct caposwf1_extent v)
{
    return (struct wf1_entry){caposwf1_extent_file_block(v), caposwf1_extent_first_block(v),
                              caposwf1_extent_blocks(v), caposwf1_extent_crc32c(v)};
}

static void extent_encode(struct caposwf1_extent_mut m, struct wf1_entry entry)
{
    caposwf1_extent_set_file_block(m, entry.key);
    caposwf1_extent_set_first_block(m, entry.block);
    caposwf1_extent_set_blocks(m, entry.count);
    caposwf1_extent_set_crc32c(m, entry.crc32c);
}

void wf1_entries_decode(const uint8_t *bytes, uint32_t n, struct wf1_entry *ret)
{
    for (uint32_t i = 0; i < n; i++)
        ret[i] = extent_decode((struct caposwf1_extent){bytes + (size_t)i * CAPOSWF1_EXTENT_BYTES});
}

void wf1_entries_encode(const struct wf1_entry *entries, uint32_t n, uint8_t ret[WF1_BLOCK_BYTES])
{
    memset(ret, 0, WF1_BLOCK_BYTES);
    for (uint32_t i = 0; i < n; i++)
        extent_encode((struct caposwf1_extent_mut){ret + (size_t)i * CAPOSWF1_EXTENT_BYTES}, entries[i]);
}

static bool in_region(const struct wf1_super *super, uint64_t block, uint64_t n)
{
    return block >= super->region_first_block &&
           block + n <= super->region_first_block + super->region_blocks;
}

const char *wf1_entries_fault(const struct wf1_super *super, const struct wf1_entry *entries, uint32_t n,
                              bool extents)
{
    uint64_t behind = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct wf1_entry *e = &entries[i];
        if (extents && (e->count == 0 || e->count > WF1_EXTENT_BLOCKS ||
                        e->key % WF1_EXTENT_BLOCKS + e->count > WF1_EXTENT_BLOCKS))
            return "an extent is empty or crosses a multiple of 128 blocks";
        if (!extents && (e->count == 0 || e->count > WF1_NAMES_MAX))
            return "a branch names a block of no or too many entries";
        if (!in_region(super, e->block, extents ? e->count : 1))
            return "an entry names blocks outside the region";
        if (e->key < behind)
            return "entries are out of order or overlap";
        behind = extents ? (uint64_t)e->key + e->count : e->key;
    }
    return NULL;
}

/* ---- records ---- */

static bool is_mapped(enum caposwf1_node_kind kind)
{
    return kind == CAPOSWF1_NODE_KIND_DIRECTORY || kind == CAPOSWF1_NODE_KIND_FILE ||
           kind == CAPOSWF1_NODE_KIND_SYMLINK;
}

void wf1_node_decode(const uint8_t record[CAPOSWF1_PLAIN_NODE_BYTES], struct wf1_node *ret)
{
    const struct caposwf1_plain_node v = {record};
    const struct caposwf1_node_head head = caposwf1_plain_node_head(v);
    const struct caposwf1_node_times times = caposwf1_plain_node_times(v);
    *ret = (struct wf1_node){
        .kind = (enum caposwf1_node_kind)caposwf1_node_head_kind(head),
        .levels = caposwf1_node_head_levels(head),
        .mode = caposwf1_node_head_mode(head),
        .uid = caposwf1_node_head_uid(head),
        .gid = caposwf1_node_head_gid(head),
        .parent = caposwf1_node_head_parent_node(head),
        .size_bytes = caposwf1_node_head_size_bytes(head),
        .n_entries = caposwf1_node_head_map_entries(head),
        .created_ns = caposwf1_node_times_created(times),
        .modified_ns = caposwf1_node_times_modified(times),
        .created_clock = (enum caposwf1_provenance)caposwf1_node_times_created_clock(times),
        .modified_clock = (enum caposwf1_provenance)caposwf1_node_times_modified_clock(times),
    };
    if (!is_mapped(ret->kind)) {
        ret->device_major = caposwf1_plain_node_device_major(v);
        ret->device_minor = caposwf1_plain_node_device_minor(v);
        return;
    }
    const struct caposwf1_extent_node mapped = {record};
    struct caposwf1_extent extent;
    for (uint32_t i = 0; i < WF1_ROOT_ENTRIES && caposwf1_extent_node_extents(mapped, i, &extent); i++)
        ret->entries[i] = extent_decode(extent);
}

void wf1_node_encode(const struct wf1_node *node, uint8_t ret[CAPOSWF1_PLAIN_NODE_BYTES])
{
    const struct caposwf1_plain_node_mut m = {ret};
    memset(ret, 0, CAPOSWF1_PLAIN_NODE_BYTES);
    const struct caposwf1_node_head_mut head = caposwf1_plain_node_edit_head(m);
    const struct caposwf1_node_times_mut times = caposwf1_plain_node_edit_times(m);
    caposwf1_node_head_set_kind(head, (uint8_t)node->kind);
    caposwf1_node_head_set_levels(head, (uint8_t)node->levels);
    caposwf1_node_head_set_mode(head, (uint16_t)node->mode);
    caposwf1_node_head_set_uid(head, node->uid);
    caposwf1_node_head_set_gid(head, node->gid);
    caposwf1_node_head_set_parent_node(head, node->parent);
    caposwf1_node_head_set_size_bytes(head, node->size_bytes);
    caposwf1_node_head_set_map_entries(head, (uint16_t)node->n_entries);
    caposwf1_node_times_set_created(times, node->created_ns);
    caposwf1_node_times_set_modified(times, node->modified_ns);
    caposwf1_node_times_set_created_clock(times, (uint8_t)node->created_clock);
    caposwf1_node_times_set_modified_clock(times, (uint8_t)node->modified_clock);
    if (!is_mapped(node->kind)) {
        caposwf1_plain_node_set_device_major(m, node->device_major);
        caposwf1_plain_node_set_device_minor(m, node->device_minor);
        return;
    }
    const struct caposwf1_extent_node_mut mapped = {ret};
    struct caposwf1_extent_mut extent;
    for (uint32_t i = 0; i < node->n_entries && caposwf1_extent_node_edit_extents(mapped, i, &extent); i++)
        extent_encode(extent, node->entries[i]);
}

static const char *time_fault(int64_t ns, enum caposwf1_provenance clock)
{
    if (clock > CAPOSWF1_PROVENANCE_STATED)
        return "a time from an unknown kind of clock";
    return clock == CAPOSWF1_PROVENANCE_UNKNOWN && ns != 0 ? "a time, but no clock that it is from" : NULL;
}

const char *wf1_node_fault(const struct wf1_super *super, const struct wf1_node *node)
{
    const bool directory = node->kind == CAPOSWF1_NODE_KIND_DIRECTORY;
    const char *fault = time_fault(node->created_ns, node->created_clock);
    if (fault == NULL)
        fault = time_fault(node->modified_ns, node->modified_clock);
    if (fault != NULL)
        return fault;
    if (node->kind > CAPOSWF1_NODE_KIND_SOCKET)
        return "a node of an unknown kind";
    if (node->mode > WF1_MODE_BITS)
        return "a mode with more than permission bits";
    if (node->parent >= super->node_count)
        return "a parent that is no node";
    if (!is_mapped(node->kind))
        return node->levels != 0 || node->n_entries != 0 || node->size_bytes != 0
                   ? "a map or a size where there is no content"
                   : NULL;
    if (node->levels > WF1_MAP_MAX_LEVELS || node->n_entries > WF1_ROOT_ENTRIES)
        return "a map of too many levels or entries";
    if ((node->n_entries == 0 || directory) && (node->levels == 0) != (node->n_entries == 0))
        return "levels without entries, or names without a block";
    if (!directory && node->size_bytes > WF1_FILE_MAX_BYTES)
        return "a file larger than 2^32 blocks";
    if (node->kind == CAPOSWF1_NODE_KIND_SYMLINK &&
        (node->size_bytes < 1 || node->size_bytes > WF1_TARGET_MAX_BYTES))
        return "a symbolic link whose target has no byte, or more than 4095";
    return wf1_entries_fault(super, node->entries, node->n_entries, node->levels == 0);
}

/* ---- names ---- */

bool wf1_name_decode(const uint8_t block[WF1_BLOCK_BYTES], uint32_t *offset, struct wf1_name *ret)
{
    struct caposwf1_name_entry_head v;
    if (*offset > WF1_BLOCK_BYTES ||
        !caposwf1_name_entry_head_view(block + *offset, WF1_BLOCK_BYTES - *offset, &v))
        return false;
    const struct wf1_name name = {.hash = caposwf1_name_entry_head_hash(v),
                                  .node = caposwf1_name_entry_head_node(v),
                                  .kind = (enum caposwf1_node_kind)caposwf1_name_entry_head_kind(v),
                                  .bytes = caposwf1_name_entry_head_name_bytes(v),
                                  .name = block + *offset + WF1_NAME_HEAD_BYTES};
    const uint32_t end = *offset + WF1_NAME_HEAD_BYTES + name.bytes;
    if (name.bytes == 0 || end > WF1_BLOCK_BYTES)
        return false;
    *offset = end;
    *ret = name;
    return true;
}

void wf1_name_encode(const struct wf1_name *name, uint8_t *ret)
{
    const struct caposwf1_name_entry_head_mut m = {ret};
    caposwf1_name_entry_head_set_hash(m, name->hash);
    caposwf1_name_entry_head_set_node(m, name->node);
    caposwf1_name_entry_head_set_kind(m, (uint8_t)name->kind);
    caposwf1_name_entry_head_set_name_bytes(m, (uint8_t)name->bytes);
    memcpy(ret + WF1_NAME_HEAD_BYTES, name->name, name->bytes);
}

uint32_t wf1_name_hash(const void *name, size_t n)
{
    return hash_crc32c(0, name, n);
}

int wf1_name_compare(const struct wf1_name *a, const struct wf1_name *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    const uint32_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
    const int order = memcmp(a->name, b->name, n);
    return order != 0 || a->bytes == b->bytes ? order : a->bytes < b->bytes ? -1 : 1;
}

const char *wf1_name_fault(const uint8_t *name, size_t n)
{
    if (n == 0 || n > WF1_NAME_MAX_BYTES)
        return "a name has 1 to 255 bytes";
    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || name[i] == '\0')
            return "a name has no '/' and no NUL";
    if (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')))
        return "\".\" and \"..\" are no names";
    return NULL;
}
