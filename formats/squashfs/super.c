/* The superblock: recognised, then checked as Linux does when it mounts, then believed.
 *
 *     superblock        96 bytes
 *     options           of the compressor, in a plain metadata block, if the flag says so
 *     ...               blocks of files and fragments
 *     inodes            inode_table_start           up to the next
 *     directories       directory_table_start       up to the first block of what comes next
 *     fragments         blocks, then their offsets at fragment_table_start
 *     exports           blocks, then their offsets at export_table_start
 *     ids               blocks, then their offsets at id_table_start, which end where the next begins:
 *     xattrs            names and values, then
 *     xattr ids         blocks, header at xattr_id_table_start, their offsets, which end at bytes_used
 *
 * Linux goes through them from the end (fs/squashfs/super.c, squashfs_fill_super), and so does this. */
#include "formats/squashfs/volume.h"

#include <stdio.h>

static const char *const table_names[SQ_TABLES][2] = {
    [SQ_INODES] = {"inodes", "inode_blocks"},
    [SQ_DIRECTORIES] = {"directories", "directory_blocks"},
    [SQ_FRAGMENTS] = {"fragments", "fragment_blocks"},
    [SQ_EXPORTS] = {"exports", "export_blocks"},
    [SQ_IDS] = {"ids", "id_blocks"},
    [SQ_XATTRS] = {"xattrs", "xattr_blocks"},
    [SQ_XATTR_IDS] = {"xattr_ids", "xattr_id_blocks"},
};

#define bad_super(...) err_at(err, PLAT_ECORRUPT, 0, "superblock", __VA_ARGS__)

static void decode(struct squashfs_superblock v, struct sq_super *ret)
{
    *ret = (struct sq_super){
        .inodes = squashfs_superblock_inodes(v),
        .block_bytes = squashfs_superblock_block_bytes(v),
        .fragments = squashfs_superblock_fragments(v),
        .compression = squashfs_superblock_compression(v),
        .ids = squashfs_superblock_ids(v),
        .flags = squashfs_superblock_flags(v),
        .root = squashfs_superblock_root_inode(v),
        .bytes_used = squashfs_superblock_bytes_used(v),
        .id_table = squashfs_superblock_id_table_start(v),
        .xattr_table = squashfs_superblock_xattr_id_table_start(v),
        .inode_table = squashfs_superblock_inode_table_start(v),
        .directory_table = squashfs_superblock_directory_table_start(v),
        .fragment_table = squashfs_superblock_fragment_table_start(v),
        .export_table = squashfs_superblock_export_table_start(v),
        .data_start = SQUASHFS_SUPERBLOCK_BYTES,
    };
}

/* What depends on the superblock alone. */
static int check_numbers(struct squashfs_superblock v, const struct sq_super *super, uint64_t image_bytes,
                         struct plat_err *err)
{
    const uint16_t major = squashfs_superblock_version_major(v), minor = squashfs_superblock_version_minor(v);
    if (memcmp(squashfs_superblock_magic(v), "hsqs", SQUASHFS_SUPERBLOCK_MAGIC_BYTES) != 0)
        return bad_super("no magic number: this is not SquashFS, or its first bytes are lost");
    if (major != 4 || minor != 0)
        return err_at(err, PLAT_EUNSUPPORTED, 0, "superblock",
                      "SquashFS %u.%u; only 4.0 is read here, as by Linux today", major, minor);
    if (super->block_bytes < 4096 || super->block_bytes > 1048576 || !is_pow2_u64(super->block_bytes) ||
        squashfs_superblock_block_log(v) > 20 || super->block_bytes != 1u << squashfs_superblock_block_log(v))
        return bad_super(
            "blocks of %u bytes, of which the logarithm is said to be %u: a power of two from 4096 to "
            "1048576 is needed",
            super->block_bytes, squashfs_superblock_block_log(v));
    if (squashfs_compression_name(super->compression) == NULL)
        return err_at(err, PLAT_EUNSUPPORTED, 0, "superblock", "compression %u is not known",
                      super->compression);
    if (super->bytes_used > image_bytes || super->bytes_used < SQUASHFS_SUPERBLOCK_BYTES)
        return bad_super("the filesystem has %llu bytes, but the image %llu: its end is missing",
                         (unsigned long long)super->bytes_used, (unsigned long long)image_bytes);
    if (super->inode_table < SQUASHFS_SUPERBLOCK_BYTES || super->inode_table >= super->directory_table)
        return bad_super("the inode table at 0x%llx must lie before the directory table at 0x%llx",
                         (unsigned long long)super->inode_table, (unsigned long long)super->directory_table);
    if (super->ids == 0 || super->inodes == 0)
        return bad_super("%u inodes and %u ids: there is at least one of each", super->inodes, super->ids);
    return 0;
}

/* Only what decoding depends on: xz dictionaries, and that lz4 has any. */
static int read_options(struct plat_dev *dev, struct sq_super *super, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_METADATA_HEADER_BYTES + SQUASHFS_XZ_OPTIONS_BYTES];
    struct squashfs_metadata_header header = {NULL};
    struct squashfs_xz_options xz = {NULL};
    if ((super->flags & SQUASHFS_SUPER_FLAGS_COMPRESSOR_OPTIONS) == 0)
        return super->compression == SQUASHFS_COMPRESSION_LZ4
                   ? bad_super("lz4 without compressor options, which Linux does not mount")
                   : 0;
    int rc = dev_read(dev, SQUASHFS_SUPERBLOCK_BYTES, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_metadata_header_view(buf, sizeof buf, &header);
    (void)squashfs_xz_options_view(buf + SQUASHFS_METADATA_HEADER_BYTES, SQUASHFS_XZ_OPTIONS_BYTES, &xz);
    const uint32_t n = squashfs_metadata_size_bytes(squashfs_metadata_header_size(header));
    super->data_start += SQUASHFS_METADATA_HEADER_BYTES + n;
    if (n > SQ_META_BYTES || super->data_start > super->inode_table)
        return err_at(err, PLAT_ECORRUPT, SQUASHFS_SUPERBLOCK_BYTES, "options_header",
                      "compressor options of %u bytes run into the inode table", n);
    if (super->compression == SQUASHFS_COMPRESSION_XZ && n >= SQUASHFS_XZ_OPTIONS_BYTES)
        super->dictionary_bytes = squashfs_xz_options_dictionary_bytes(xz);
    return 0;
}

static int read_pointer(struct plat_dev *dev, uint64_t at, uint64_t *ret, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_BLOCK_POINTER_BYTES];
    struct squashfs_block_pointer v = {NULL};
    int rc = dev_read(dev, at, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_block_pointer_view(buf, sizeof buf, &v);
    *ret = squashfs_block_pointer_block(v);
    return 0;
}

/* A table that is read by number: its blocks, then their offsets, which end at `next` or, where `loose`, before it. */
struct numbered {
    enum sq_table_id id;
    uint64_t index_start, entries;
    uint32_t entry_bytes;
    uint64_t header_bytes; /* between the blocks and their offsets */
    bool loose;
};
static int place_table(struct plat_dev *dev, const struct numbered *numbered, uint64_t next,
                       struct sq_table *table, struct plat_err *err)
{
    const char *name = table_names[numbered->id][0];
    const uint64_t index_start = numbered->index_start + numbered->header_bytes;
    table->entries = numbered->entries;
    table->entry_bytes = numbered->entry_bytes;
    const uint64_t index_bytes = sq_index_count(table) * SQUASHFS_BLOCK_POINTER_BYTES;
    if (numbered->index_start >= next || index_start > next || index_bytes > next - index_start ||
        (!numbered->loose && index_bytes != next - index_start))
        return err_at(
            err, PLAT_ECORRUPT, 0, "superblock",
            "the table of %s has %llu entries, so the offsets of its blocks at 0x%llx take %llu bytes; they "
            "must end at 0x%llx, where the next table begins",
            name, (unsigned long long)numbered->entries, (unsigned long long)index_start,
            (unsigned long long)index_bytes, (unsigned long long)next);
    int rc = read_pointer(dev, index_start, &table->start, err);
    if (rc != 0)
        return rc;
    if (table->start >= numbered->index_start || table->start < SQUASHFS_SUPERBLOCK_BYTES)
        return err_at(err, PLAT_ECORRUPT, index_start, name,
                      "the table of %s begins at 0x%llx, behind its own end", name,
                      (unsigned long long)table->start);
    table->end = numbered->index_start;
    table->index_start = index_start;
    return 0;
}

static int place_xattrs(struct plat_dev *dev, struct sq_super *super, struct sq_table tables[SQ_TABLES],
                        uint64_t *next, struct plat_err *err)
{
    uint8_t buf[SQUASHFS_XATTR_HEADER_BYTES];
    struct squashfs_xattr_header header = {NULL};
    if (super->xattr_table == SQ_ABSENT)
        return 0;
    if (super->xattr_table >= *next || *next - super->xattr_table < sizeof buf)
        return bad_super("the xattr id table at 0x%llx lies behind the end, 0x%llx",
                         (unsigned long long)super->xattr_table, (unsigned long long)*next);
    int rc = dev_read(dev, super->xattr_table, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_xattr_header_view(buf, sizeof buf, &header);
    super->xattr_ids = squashfs_xattr_header_ids(header);
    if (super->xattr_ids == 0)
        return err_at(err, PLAT_ECORRUPT, super->xattr_table, "xattr_header",
                      "an xattr id table without entries");
    rc = place_table(dev,
                     &(struct numbered){.id = SQ_XATTR_IDS,
                                        .index_start = super->xattr_table,
                                        .entries = super->xattr_ids,
                                        .entry_bytes = SQUASHFS_XATTR_ID_BYTES,
                                        .header_bytes = sizeof buf},
                     *next, &tables[SQ_XATTR_IDS], err);
    if (rc != 0)
        return rc;
    struct sq_table *pairs = &tables[SQ_XATTRS];
    pairs->start = squashfs_xattr_header_kv_start(header);
    pairs->end = tables[SQ_XATTR_IDS].start;
    if (pairs->start > pairs->end || pairs->start < SQUASHFS_SUPERBLOCK_BYTES) {
        pairs->start = pairs->end = 0;
        return err_at(err, PLAT_ECORRUPT, super->xattr_table, "xattr_header",
                      "names and values of attributes at 0x%llx, behind their ids",
                      (unsigned long long)squashfs_xattr_header_kv_start(header));
    }
    *next = pairs->start;
    return 0;
}

static int place_all(struct plat_dev *dev, struct sq_super *super, struct sq_table tables[SQ_TABLES],
                     struct plat_err *err)
{
    uint64_t next = super->bytes_used;
    if (super->fragments != 0 && super->fragment_table == SQ_ABSENT)
        return bad_super("%u blocks of fragments, and no table of them", super->fragments);
    int rc = place_xattrs(dev, super, tables, &next, err);
    const struct numbered numbered[] = {
        {.id = SQ_IDS,
         .index_start = super->id_table,
         .entries = super->ids,
         .entry_bytes = SQUASHFS_ID_ENTRY_BYTES},
        {.id = SQ_EXPORTS,
         .index_start = super->export_table,
         .entries = super->inodes,
         .entry_bytes = SQUASHFS_EXPORT_ENTRY_BYTES},
        {.id = SQ_FRAGMENTS,
         .index_start = super->fragments != 0 ? super->fragment_table : SQ_ABSENT,
         .entries = super->fragments,
         .entry_bytes = SQUASHFS_FRAGMENT_ENTRY_BYTES,
         .loose = true},
    };
    for (size_t i = 0; rc == 0 && i < sizeof numbered / sizeof *numbered; i++) {
        if (numbered[i].index_start == SQ_ABSENT && numbered[i].id != SQ_IDS)
            continue;
        struct sq_table *table = &tables[numbered[i].id];
        rc = place_table(dev, &numbered[i], next, table, err);
        next = table->start;
    }
    if (rc != 0)
        return rc;
    if (super->directory_table > next)
        return bad_super("the directory table at 0x%llx lies behind what comes next, at 0x%llx",
                         (unsigned long long)super->directory_table, (unsigned long long)next);
    tables[SQ_INODES].start = super->inode_table;
    tables[SQ_INODES].end = super->directory_table;
    tables[SQ_DIRECTORIES].start = super->directory_table;
    tables[SQ_DIRECTORIES].end = next;
    return 0;
}

int sq_super_read(struct plat_dev *dev, struct sq_super *ret, struct sq_table ret_tables[SQ_TABLES],
                  struct plat_err *err)
{
    uint8_t buf[SQUASHFS_SUPERBLOCK_BYTES];
    struct squashfs_superblock v = {NULL};
    for (size_t i = 0; i < SQ_TABLES; i++)
        ret_tables[i] = (struct sq_table){.stream = table_names[i][0], .blocks_name = table_names[i][1]};
    int rc = dev_read(dev, 0, buf, sizeof buf, err);
    if (rc != 0)
        return rc;
    (void)squashfs_superblock_view(buf, sizeof buf, &v);
    decode(v, ret);
    rc = check_numbers(v, ret, dev->size_bytes, err);
    if (rc == 0)
        rc = read_options(dev, ret, err);
    return rc != 0 ? rc : place_all(dev, ret, ret_tables, err);
}

/* ---- probe ---- */

/* Numbers that go together although the magic number is lost. */
static bool is_plausible(struct squashfs_superblock v, const struct sq_super *super)
{
    return squashfs_superblock_version_major(v) == 4 && squashfs_superblock_version_minor(v) == 0 &&
           squashfs_superblock_block_log(v) <= 20 &&
           super->block_bytes == 1u << squashfs_superblock_block_log(v) &&
           squashfs_compression_name(super->compression) != NULL &&
           super->inode_table < super->directory_table && super->directory_table < super->bytes_used &&
           super->id_table < super->bytes_used;
}

int squashfs_probe(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                   struct plat_err *err)
{
    uint8_t buf[SQUASHFS_SUPERBLOCK_BYTES];
    struct squashfs_superblock v = {NULL};
    struct sq_super super;
    struct fs_probe_result result = {.score = FS_PROBE_NO};
    (void)options;
    if (dev->size_bytes >= sizeof buf) {
        int rc = dev_read(dev, 0, buf, sizeof buf, err);
        if (rc != 0)
            return rc;
        (void)squashfs_superblock_view(buf, sizeof buf, &v);
        decode(v, &super);
        const uint16_t major = squashfs_superblock_version_major(v);
        const uint8_t *magic = squashfs_superblock_magic(v);
        if (memcmp(magic, "hsqs", SQUASHFS_SUPERBLOCK_MAGIC_BYTES) == 0) {
            result.score = is_plausible(v, &super) ? FS_PROBE_YES : FS_PROBE_MAYBE;
            if (major >= 1 && major <= 3) {
                result.score = FS_PROBE_YES;
                (void)snprintf(result.refusal, sizeof result.refusal,
                               "SquashFS %u.%u: only 4.0 is read here; unsquashfs reads older ones", major,
                               squashfs_superblock_version_minor(v));
            }
        } else if (is_plausible(v, &super)) {
            result.score = FS_PROBE_DAMAGED;
        }
    }
    *ret = result;
    return 0;
}
