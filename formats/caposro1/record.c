/* Superblock and records: from bytes to what the driver works with, with everything compared on the way.
 *
 * No memory is asked for, and nothing but the generated accessors knows where a field lies. */
#include "formats/caposro1/reader.h"

#include "lib/base/path.h"
#include "lib/hash/hash.h"

bool ro1_superblock_sealed(struct caposro1_superblock superblock, bool assume_magic)
{
    uint8_t copy[CAPOSRO1_SUPERBLOCK_BYTES];
    struct caposro1_superblock_mut edit;
    memcpy(copy, superblock.p, sizeof copy);
    if (!caposro1_superblock_edit(copy, sizeof copy, &edit))
        return false;
    if (assume_magic)
        memcpy(copy + CAPOSRO1_SUPERBLOCK_MAGIC_OFFSET, "CAPOSRO1", CAPOSRO1_SUPERBLOCK_MAGIC_BYTES);
    caposro1_superblock_seal(edit);
    return caposro1_superblock_crc32c(caposro1_superblock_of(edit)) == caposro1_superblock_crc32c(superblock);
}

static int superblock_bad(struct plat_err *err, const char *path, uint64_t offset, const char *what)
{
    return err_at(err, PLAT_ECORRUPT, offset, path, "%s; run plat verify", what);
}

/* The places, which a checksum that is right does not make possible ones. */
static int places_read(struct caposro1_superblock superblock, uint64_t image_bytes, struct ro1_geometry *ret,
                       struct plat_err *err)
{
    const uint64_t image_blocks = image_bytes / RO1_BLOCK_BYTES;
    const uint64_t blocks = caposro1_superblock_block_count(superblock);
    const uint64_t strings = caposro1_superblock_strings_block(superblock);
    const uint64_t strings_bytes = caposro1_superblock_strings_bytes(superblock);
    const uint64_t nodes = caposro1_superblock_nodes_block(superblock);
    const uint32_t count = caposro1_superblock_node_count(superblock);
    if (blocks > image_blocks)
        return err_at(
            err, PLAT_ECORRUPT, CAPOSRO1_SUPERBLOCK_BLOCK_COUNT_OFFSET, "superblock.block_count",
            "the filesystem has %llu blocks of 512 bytes, but the image holds %llu: it is cut short",
            (unsigned long long)blocks, (unsigned long long)image_blocks);
    if (strings < 1 || strings > blocks || strings_bytes > (blocks - strings) * RO1_BLOCK_BYTES)
        return superblock_bad(err, "superblock.strings_block", CAPOSRO1_SUPERBLOCK_STRINGS_BLOCK_OFFSET,
                              "the strings do not lie within the filesystem");
    if (nodes != strings + div_up_u64(strings_bytes, RO1_BLOCK_BYTES) || count < 1 ||
        (uint64_t)count * RO1_NODE_BYTES > (blocks - nodes) * RO1_BLOCK_BYTES)
        return superblock_bad(
            err, "superblock.nodes_block", CAPOSRO1_SUPERBLOCK_NODES_BLOCK_OFFSET,
            "the node table does not lie right behind the strings and within the filesystem");
    ret->node_count = count;
    ret->contents_end = strings * RO1_BLOCK_BYTES;
    ret->strings_bytes = strings_bytes;
    ret->nodes_offset = nodes * RO1_BLOCK_BYTES;
    ret->nodes_end = ret->nodes_offset + (uint64_t)count * RO1_NODE_BYTES;
    ret->end = blocks * RO1_BLOCK_BYTES;
    return 0;
}

int ro1_geometry_read(struct caposro1_superblock superblock, uint64_t image_bytes, uint32_t newest_version,
                      struct ro1_geometry *ret, struct plat_err *err)
{
    struct ro1_geometry geo = {.version = caposro1_superblock_version(superblock)};
    if (memcmp(caposro1_superblock_magic(superblock), "CAPOSRO1", CAPOSRO1_SUPERBLOCK_MAGIC_BYTES) != 0)
        return superblock_bad(err, "superblock.magic", CAPOSRO1_SUPERBLOCK_MAGIC_OFFSET,
                              "the image does not begin with CAPOSRO1");
    if (!ro1_superblock_sealed(superblock, false))
        return superblock_bad(err, "superblock.crc32c", CAPOSRO1_SUPERBLOCK_CRC32C_OFFSET,
                              "the superblock does not match its checksum");
    if (geo.version < 1 || geo.version > newest_version)
        return err_at(
            err, PLAT_EUNSUPPORTED, CAPOSRO1_SUPERBLOCK_VERSION_OFFSET, "superblock.version",
            "CAPOSRO1 version %u: this reader knows versions 1 to %u; make the image anew for it, or "
            "use a newer reader",
            geo.version, newest_version);
    if (caposro1_superblock_block_bytes(superblock) != RO1_BLOCK_BYTES ||
        caposro1_superblock_node_bytes(superblock) != RO1_NODE_BYTES)
        return superblock_bad(err, "superblock.block_bytes", CAPOSRO1_SUPERBLOCK_BLOCK_BYTES_OFFSET,
                              "blocks of other than 512 bytes, or nodes of other than 128");
    int rc = places_read(superblock, image_bytes, &geo, err);
    if (rc == 0)
        *ret = geo;
    return rc;
}

int ro1_window_read(struct plat_dev *dev, struct ro1_window *window, struct range want, uint64_t end,
                    const uint8_t **ret, struct plat_err *err)
{
    if (want.start < window->start ||
        !range_within((struct range){want.start - window->start, want.bytes}, window->n)) {
        size_t n = sizeof window->bytes;
        if (end > want.start && end - want.start < n)
            n = (size_t)(end - want.start);
        if (n < want.bytes)
            n = (size_t)want.bytes;
        window->n = 0;
        int rc = dev_read(dev, want.start, window->bytes, n, err);
        if (rc != 0)
            return rc;
        window->start = want.start;
        window->n = n;
    }
    *ret = window->bytes + (want.start - window->start);
    return 0;
}

int ro1_record(struct volume *vol, uint32_t index, struct caposro1_node *ret, struct plat_err *err)
{
    const uint8_t *bytes;
    int rc =
        ro1_window_read(vol->dev, &vol->nodes, (struct range){ro1_record_offset(vol, index), RO1_NODE_BYTES},
                        vol->geo.nodes_end, &bytes, err);
    if (rc == 0 && !caposro1_node_view(bytes, RO1_NODE_BYTES, ret))
        return err_set(err, PLAT_EBUG, "a node of other than %d bytes", RO1_NODE_BYTES);
    return rc;
}

struct ro1_node ro1_decode(const struct volume *vol, struct caposro1_node record)
{
    struct ro1_node node = {
        .kind = (enum caposro1_node_kind)caposro1_node_kind(record),
        .clock = (enum caposro1_clock_source)caposro1_node_clock(record),
        .mode = caposro1_node_mode(record),
        .uid = caposro1_node_uid(record),
        .gid = caposro1_node_gid(record),
        .parent = caposro1_node_parent_node(record),
        .name_offset = caposro1_node_name_offset(record),
        .name_bytes = caposro1_node_name_bytes(record),
        .name_crc32c = caposro1_node_name_crc32c(record),
        .size_bytes = caposro1_node_size_bytes(record),
        .first_block = caposro1_node_first_block(record),
        .content_crc32c = caposro1_node_content_crc32c(record),
        .first_child = caposro1_node_first_child(record),
        .child_count = caposro1_node_child_count(record),
        .modified_s = caposro1_node_modified_s(record),
        .modified_ns = caposro1_node_modified_ns(record),
    };
    /* Behind a fault these may wrap: nobody uses them before ro1_fault has agreed. */
    node.content = node.kind == CAPOSRO1_NODE_KIND_SYMLINK
                       ? vol->geo.contents_end + node.name_offset + node.name_bytes
                       : node.first_block * RO1_BLOCK_BYTES;
    return node;
}

void ro1_field_path(char ret[RO1_PATH_BYTES], uint64_t index, const char *field)
{
    path_element(ret, RO1_PATH_BYTES, "nodes", index, field);
}

static bool strings_hold(const struct volume *vol, const struct ro1_node *node)
{
    uint64_t target = node->kind == CAPOSRO1_NODE_KIND_SYMLINK ? node->size_bytes : 0, bytes;
    return add_u64(node->name_bytes, target, &bytes) &&
           range_within((struct range){node->name_offset, bytes}, vol->geo.strings_bytes);
}

static bool contents_hold(const struct volume *vol, const struct ro1_node *node)
{
    const uint64_t end_block = vol->geo.contents_end / RO1_BLOCK_BYTES;
    return node->first_block >= 1 &&
           range_within((struct range){node->first_block, div_up_u64(node->size_bytes, RO1_BLOCK_BYTES)},
                        end_block);
}

const char *ro1_fault(const struct volume *vol, uint32_t index, struct caposro1_node record,
                      const char **ret_field)
{
    const struct ro1_node node = ro1_decode(vol, record);
    const uint32_t count = vol->geo.node_count;
    int field = caposro1_node_check(record, 0);
    if (field > 0) {
        *ret_field = field <= CAPOSRO1_NODE_FIELDS ? caposro1_node_fields[field - 1].name : "";
        return "its value is not possible, or its checksum does not match";
    }
    *ret_field = "kind";
    if (index == 0 && node.kind != CAPOSRO1_NODE_KIND_DIRECTORY)
        return "the root is not a directory";
    *ret_field = "clock";
    if (vol->geo.version < 2 && node.clock != CAPOSRO1_CLOCK_SOURCE_UNKNOWN)
        return "a node of version 1 has no clock";
    *ret_field = "parent_node";
    if (index == 0 ? node.parent != 0 : node.parent >= index)
        return "a directory comes before what it holds, and the root has no parent";
    *ret_field = "name_bytes";
    if ((index == 0) != (node.name_bytes == 0))
        return "the root alone has no name";
    *ret_field = "name_offset";
    if (!strings_hold(vol, &node))
        return "the name, or the target behind it, lies outside the strings";
    *ret_field = "first_block";
    if (node.kind == CAPOSRO1_NODE_KIND_FILE && node.size_bytes > 0 && !contents_hold(vol, &node))
        return "the content lies outside the blocks for contents";
    *ret_field = "first_child";
    if (node.child_count > 0 && (node.first_child <= index ||
                                 !range_within((struct range){node.first_child, node.child_count}, count)))
        return "the children are not all behind their directory and in the table";
    return NULL;
}

int ro1_node_read(struct volume *vol, uint64_t index, struct ro1_node *ret, struct plat_err *err)
{
    struct caposro1_node record;
    const char *field;
    if (!vol->sound || index >= vol->geo.node_count)
        return err_set(err, PLAT_EINVALID, "there is no node %llu in this image", (unsigned long long)index);
    int rc = ro1_record(vol, (uint32_t)index, &record, err);
    if (rc != 0)
        return rc;
    const char *fault = ro1_fault(vol, (uint32_t)index, record, &field);
    if (fault != NULL) {
        char path[RO1_PATH_BYTES];
        ro1_field_path(path, index, field);
        return err_at(err, PLAT_ECORRUPT, ro1_record_offset(vol, index), path, "%s; run plat verify", fault);
    }
    *ret = ro1_decode(vol, record);
    return 0;
}

const char *ro1_name_fault(const uint8_t *name, size_t n)
{
    if (n == 0)
        return "it is empty";
    if (n <= 2 && name[0] == '.' && name[n - 1] == '.')
        return "it is '.' or '..'";
    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || name[i] == '\0')
            return name[i] == '/' ? "there is a '/' in it" : "there is a NUL in it";
    return NULL;
}

int ro1_name_compare(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes)
{
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order != 0 ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

int ro1_name_read(struct volume *vol, uint64_t index, const struct ro1_node *node, const uint8_t **ret,
                  struct plat_err *err)
{
    const uint8_t *name;
    const uint64_t at = vol->geo.contents_end + node->name_offset;
    int rc = ro1_window_read(vol->dev, &vol->strings, (struct range){at, node->name_bytes},
                             vol->geo.contents_end + vol->geo.strings_bytes, &name, err);
    if (rc != 0)
        return rc;
    if (hash_crc32c(0, name, node->name_bytes) != node->name_crc32c) {
        char path[RO1_PATH_BYTES];
        ro1_field_path(path, index, "name_crc32c");
        return err_at(err, PLAT_ECORRUPT, at, path, "a name does not match its checksum; run plat verify");
    }
    *ret = name;
    return 0;
}
