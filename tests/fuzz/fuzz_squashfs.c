/* A SquashFS image with plain metadata and bytes changed: opened, verified with its contents, every directory and file
 * read. The image is made here from nothing: a root with a directory, a file with a block, a tail and a sparse block, a
 * symbolic link and a set of attributes, one of which has its value elsewhere. The input is a list of patches
 * (tests/fuzz/exercise.h); the table is that of the metadata. The mutator knows where the structures are: it writes whole
 * numbers that hurt into them, places of other structures, and bytes that are elsewhere in the metadata. */
#include <stdlib.h>
#include <string.h>

#include "squashfs.gen.h"
#include "tests/fuzz/exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max); /* libFuzzer's */

enum { IMAGE_BYTES = 16384, BLOCK_BYTES = 4096, N_INODES = 4 };

static struct plat_dev *disk;
static uint8_t *sound; /* copy of the bytes */
static size_t table_at, table_bytes;

/* Structures, and their places as references have them: all streams have one block. */
enum { RECORDS_MAX = 128, META_BYTES = 8192, PATCH_BYTES = 4 };
static struct record {
    size_t at, n; /* in the image */
    uint64_t place;
} records[RECORDS_MAX];
static size_t n_records;

/* Bytes that are appended to. */
struct maker {
    uint8_t *bytes;
    size_t at;
};

static uint8_t *take(struct maker *maker, size_t n)
{
    uint8_t *here = maker->bytes + maker->at;
    maker->at += n;
    if (maker->at > IMAGE_BYTES)
        abort();
    return here;
}

static void put(struct maker *maker, const void *bytes, size_t n)
{
    memcpy(take(maker, n), bytes, n);
}

/* A plain metadata block; returns where it begins. */
static size_t put_block(struct maker *maker, const struct maker *payload)
{
    const size_t start = maker->at;
    struct squashfs_metadata_header_mut header;
    if (!squashfs_metadata_header_edit(take(maker, SQUASHFS_METADATA_HEADER_BYTES),
                                       SQUASHFS_METADATA_HEADER_BYTES, &header))
        abort();
    squashfs_metadata_header_set_size(
        header,
        squashfs_metadata_size_with_plain(squashfs_metadata_size_with_bytes(0, (uint16_t)payload->at), 1));
    put(maker, payload->bytes, payload->at);
    return start;
}

static uint64_t put_pointer(struct maker *maker, uint64_t block)
{
    const size_t start = maker->at;
    store_le64(take(maker, SQUASHFS_BLOCK_POINTER_BYTES), block);
    return start;
}

static void set_head(struct squashfs_inode_head_mut head, uint16_t type, uint32_t number)
{
    squashfs_inode_head_set_type(head, type);
    squashfs_inode_head_set_mode(head, 0755);
    squashfs_inode_head_set_number(head, number);
}

/* Inode 1: a file of a plain block, a sparse one and a tail; returns where it begins. */
static size_t put_file(struct maker *maker, uint64_t start)
{
    const size_t at = maker->at;
    struct squashfs_extended_file_mut file;
    if (!squashfs_extended_file_edit(take(maker, SQUASHFS_EXTENDED_FILE_BYTES), SQUASHFS_EXTENDED_FILE_BYTES,
                                     &file))
        abort();
    set_head(squashfs_extended_file_edit_head(file), SQUASHFS_INODE_TYPE_EXTENDED_FILE, 1);
    squashfs_extended_file_set_start_block(file, start);
    squashfs_extended_file_set_size_bytes(file, 2 * BLOCK_BYTES + 100);
    squashfs_extended_file_set_links(file, 1);
    squashfs_extended_file_set_fragment(file, 0);
    squashfs_extended_file_set_xattr(file, 0);
    store_le32(take(maker, SQUASHFS_FILE_BLOCK_BYTES),
               squashfs_block_size_with_plain(squashfs_block_size_with_bytes(0, BLOCK_BYTES), 1));
    store_le32(take(maker, SQUASHFS_FILE_BLOCK_BYTES), 0);
    return at;
}

static size_t put_link(struct maker *maker)
{
    const size_t at = maker->at;
    struct squashfs_symlink_head_mut link;
    if (!squashfs_symlink_head_edit(take(maker, SQUASHFS_SYMLINK_HEAD_BYTES), SQUASHFS_SYMLINK_HEAD_BYTES,
                                    &link))
        abort();
    set_head(squashfs_symlink_head_edit_head(link), SQUASHFS_INODE_TYPE_SYMLINK, 2);
    squashfs_symlink_head_set_links(link, 1);
    squashfs_symlink_head_set_target_bytes(link, 4);
    put(maker, "file", 4);
    return at;
}

struct listed {
    const char *name;
    size_t inode;
    uint32_t number;
    uint16_t type;
};

static void put_run(struct maker *maker, const struct listed *list, uint32_t n)
{
    struct squashfs_directory_header_mut header;
    if (!squashfs_directory_header_edit(take(maker, SQUASHFS_DIRECTORY_HEADER_BYTES),
                                        SQUASHFS_DIRECTORY_HEADER_BYTES, &header))
        abort();
    squashfs_directory_header_set_count_less_1(header, n - 1);
    for (uint32_t i = 0; i < n; i++) {
        struct squashfs_directory_entry_head_mut head;
        if (!squashfs_directory_entry_head_edit(take(maker, SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES),
                                                SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES, &head))
            abort();
        squashfs_directory_entry_head_set_offset(head, (uint16_t)list[i].inode);
        squashfs_directory_entry_head_set_number_delta(head, (int16_t)list[i].number);
        squashfs_directory_entry_head_set_type(head, list[i].type);
        squashfs_directory_entry_head_set_name_bytes_less_1(head, (uint16_t)(strlen(list[i].name) - 1));
        put(maker, list[i].name, strlen(list[i].name));
    }
}

/* A directory whose listing lies at `offset`; the root has an index entry for its first header. */
static size_t put_directory(struct maker *maker, uint32_t number, size_t offset, size_t listing_bytes,
                            uint32_t links)
{
    const size_t at = maker->at;
    struct squashfs_extended_directory_mut dir;
    struct squashfs_directory_index_head_mut head;
    const bool root = number == N_INODES;
    if (!squashfs_extended_directory_edit(take(maker, SQUASHFS_EXTENDED_DIRECTORY_BYTES),
                                          SQUASHFS_EXTENDED_DIRECTORY_BYTES, &dir))
        abort();
    set_head(squashfs_extended_directory_edit_head(dir), SQUASHFS_INODE_TYPE_EXTENDED_DIRECTORY, number);
    squashfs_extended_directory_set_links(dir, links);
    squashfs_extended_directory_set_listing_bytes(dir, (uint32_t)listing_bytes + 3);
    squashfs_extended_directory_set_offset(dir, (uint16_t)offset);
    squashfs_extended_directory_set_parent_number(dir, root ? N_INODES + 1 : N_INODES);
    squashfs_extended_directory_set_index_entries(dir, root);
    squashfs_extended_directory_set_xattr(dir, UINT32_MAX);
    if (!root)
        return at;
    if (!squashfs_directory_index_head_edit(take(maker, SQUASHFS_DIRECTORY_INDEX_HEAD_BYTES),
                                            SQUASHFS_DIRECTORY_INDEX_HEAD_BYTES, &head))
        abort();
    put(maker, "d", 1);
    return at;
}

static void put_attributes(struct maker *maker, struct squashfs_superblock_mut super)
{
    static uint8_t scratch[256];
    struct maker pairs = {scratch, 0};
    struct squashfs_xattr_name_head_mut name;
    struct squashfs_xattr_id_mut id;
    struct squashfs_xattr_header_mut header;
    if (!squashfs_xattr_name_head_edit(take(&pairs, SQUASHFS_XATTR_NAME_HEAD_BYTES),
                                       SQUASHFS_XATTR_NAME_HEAD_BYTES, &name))
        abort();
    squashfs_xattr_name_head_set_name_bytes(name, 4);
    put(&pairs, "note", 4);
    store_le32(take(&pairs, SQUASHFS_XATTR_VALUE_HEAD_BYTES), 5);
    const size_t value = pairs.at - SQUASHFS_XATTR_VALUE_HEAD_BYTES;
    put(&pairs, "value", 5);
    if (!squashfs_xattr_name_head_edit(take(&pairs, SQUASHFS_XATTR_NAME_HEAD_BYTES),
                                       SQUASHFS_XATTR_NAME_HEAD_BYTES, &name))
        abort();
    squashfs_xattr_name_head_set_name_bytes(name, 4);
    squashfs_xattr_name_head_set_place(name, SQUASHFS_XATTR_PLACE_ELSEWHERE);
    put(&pairs, "same", 4);
    store_le32(take(&pairs, SQUASHFS_XATTR_VALUE_HEAD_BYTES), 8);
    store_le64(take(&pairs, sizeof(uint64_t)), value);
    const size_t kv = put_block(maker, &pairs);
    memset(scratch, 0, sizeof scratch);
    pairs.at = 0;
    if (!squashfs_xattr_id_edit(take(&pairs, SQUASHFS_XATTR_ID_BYTES), SQUASHFS_XATTR_ID_BYTES, &id))
        abort();
    squashfs_xattr_id_set_count(id, 2);
    squashfs_xattr_id_set_size_bytes(id, 30);
    const size_t ids = put_block(maker, &pairs);
    squashfs_superblock_set_xattr_id_table_start(super, maker->at);
    if (!squashfs_xattr_header_edit(take(maker, SQUASHFS_XATTR_HEADER_BYTES), SQUASHFS_XATTR_HEADER_BYTES,
                                    &header))
        abort();
    squashfs_xattr_header_set_kv_start(header, kv);
    squashfs_xattr_header_set_ids(header, 1);
    (void)put_pointer(maker, ids);
}

static void set_super(struct squashfs_superblock_mut super)
{
    squashfs_superblock_set_magic(super, (const uint8_t *)"hsqs");
    squashfs_superblock_set_inodes(super, N_INODES);
    squashfs_superblock_set_block_bytes(super, BLOCK_BYTES);
    squashfs_superblock_set_block_log(super, 12);
    squashfs_superblock_set_fragments(super, 1);
    squashfs_superblock_set_compression(super, SQUASHFS_COMPRESSION_GZIP);
    squashfs_superblock_set_ids(super, 1);
    squashfs_superblock_set_version_major(super, 4);
}

static void make_tables(struct maker *maker, struct squashfs_superblock_mut super, uint64_t data,
                        uint64_t tail)
{
    static uint8_t inode_bytes[1024], listing_bytes[512], scratch[64];
    struct maker inodes = {inode_bytes, 0}, listings = {listing_bytes, 0}, entries = {scratch, 0};
    struct squashfs_fragment_entry_mut fragment;
    size_t at[N_INODES + 1];
    at[1] = put_file(&inodes, data);
    at[2] = put_link(&inodes);
    const struct listed in_d[] = {{"link", at[2], 2, SQUASHFS_ENTRY_TYPE_SYMLINK}};
    put_run(&listings, in_d, 1);
    const size_t root_listing = listings.at;
    at[3] = put_directory(&inodes, 3, 0, root_listing, 2);
    const struct listed in_root[] = {{"d", at[3], 3, SQUASHFS_ENTRY_TYPE_DIRECTORY},
                                     {"file", at[1], 1, SQUASHFS_ENTRY_TYPE_FILE}};
    put_run(&listings, in_root, 2);
    at[4] = put_directory(&inodes, 4, root_listing, listings.at - root_listing, 3);
    squashfs_superblock_set_root_inode(super, at[4]);
    squashfs_superblock_set_inode_table_start(super, put_block(maker, &inodes));
    squashfs_superblock_set_directory_table_start(super, put_block(maker, &listings));
    if (!squashfs_fragment_entry_edit(take(&entries, SQUASHFS_FRAGMENT_ENTRY_BYTES),
                                      SQUASHFS_FRAGMENT_ENTRY_BYTES, &fragment))
        abort();
    squashfs_fragment_entry_set_start_block(fragment, tail);
    squashfs_fragment_entry_set_size(
        fragment, squashfs_block_size_with_plain(squashfs_block_size_with_bytes(0, 100), 1));
    const size_t fragments = put_block(maker, &entries);
    squashfs_superblock_set_fragment_table_start(super, put_pointer(maker, fragments));
    entries.at = 0;
    for (unsigned i = 1; i <= N_INODES; i++)
        store_le64(take(&entries, SQUASHFS_EXPORT_ENTRY_BYTES), at[i]);
    const size_t exports = put_block(maker, &entries);
    squashfs_superblock_set_export_table_start(super, put_pointer(maker, exports));
    entries.at = 0;
    store_le32(take(&entries, SQUASHFS_ID_ENTRY_BYTES), 1000);
    const size_t ids = put_block(maker, &entries);
    squashfs_superblock_set_id_table_start(super, put_pointer(maker, ids));
}

static int any_finding(void *ctx, const struct finding *finding)
{
    (void)ctx;
    (void)fprintf(stderr, "%s %s: %s\n", finding->id, finding->path, finding->text);
    return 0;
}

static int keep_record(void *ctx, const struct inst *inst)
{
    (void)ctx;
    struct record *record = &records[n_records];
    const bool streamed = inst->source.stream != NULL;
    if (n_records == RECORDS_MAX)
        return PLAT_ESTOP;
    *record = (struct record){.at = (size_t)inst->offset, .n = inst->size_bytes, .place = inst->offset};
    if (streamed)
        record->at =
            (size_t)(inst->source.block.start + SQUASHFS_METADATA_HEADER_BYTES + inst->offset % META_BYTES);
    n_records++;
    return 0;
}

static void make_image(void)
{
    struct plat_err err = {0};
    struct squashfs_superblock_mut super;
    struct verify_totals totals = {0};
    struct stack *stack;
    const struct stack_options options = {.degraded = false};
    const struct finding_sink sink = {any_finding, NULL};
    if (dev_open_memory(IMAGE_BYTES, "fuzz.img", &disk, &err) != 0)
        abort();
    struct maker maker = {dev_memory_bytes(disk), 0};
    if (!squashfs_superblock_edit(take(&maker, SQUASHFS_SUPERBLOCK_BYTES), SQUASHFS_SUPERBLOCK_BYTES, &super))
        abort();
    set_super(super);
    const size_t data = maker.at;
    memset(take(&maker, BLOCK_BYTES), 'x', BLOCK_BYTES);
    const size_t tail = maker.at;
    memset(take(&maker, 100), 'y', 100);
    table_at = maker.at;
    make_tables(&maker, super, data, tail);
    put_attributes(&maker, super);
    table_bytes = maker.at - table_at;
    squashfs_superblock_set_bytes_used(super, maker.at);
    sound = malloc(IMAGE_BYTES);
    if (sound == NULL)
        abort();
    memcpy(sound, dev_memory_bytes(disk), IMAGE_BYTES);
    /* What is not sound to begin with finds nothing. */
    if (stack_open(disk, &options, &stack, &err) != 0 || stack_verify(stack, &sink, &totals, &err) != 0 ||
        stack_scrub(stack, &sink, &totals, NULL, &err) != 0 || totals.errors + totals.warnings != 0 ||
        totals.structures < 20)
        abort();
    const struct walk_sink walk = {.instance = keep_record, .elements = true};
    if (stack_walk(stack, &walk, &err) != 0 || n_records < 20)
        abort();
    stack_close(stack);
}

/* xorshift: the same seed, the same input. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static uint64_t bad_number(uint32_t *state)
{
    static const uint64_t list[] = {0,
                                    1,
                                    2,
                                    3,
                                    255,
                                    256,
                                    8191,
                                    8192,
                                    8193,
                                    0x7fff,
                                    0x8000,
                                    0xffff,
                                    0x7fffffff,
                                    0x80000000,
                                    0xfffffffe,
                                    0xffffffff,
                                    UINT64_C(1) << 62,
                                    UINT64_C(1) << 63,
                                    UINT64_MAX};
    const uint32_t random = next_random(state);
    switch (random % 4) {
    case 0:
        return records[(random >> 8) % n_records].place;
    case 1:
        return records[(random >> 8) % n_records].at;
    default:
        return list[(random >> 8) % (sizeof list / sizeof *list)];
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed)
{
    static const unsigned widths[] = {1, 2, 2, 4, 4, 8};
    uint32_t state = seed * 2654435761U + 1;
    if (disk == NULL)
        make_image();
    if (next_random(&state) % 4 == 0)
        return LLVMFuzzerMutate(data, n, max);
    n -= n % PATCH_BYTES;
    /* Only so many are looked at. */
    if (n >= PATCHES_TAKEN * PATCH_BYTES / 2)
        n = next_random(&state) % (PATCHES_TAKEN / 4) * PATCH_BYTES;
    for (uint32_t count = next_random(&state) % 3 + 1; count > 0; count--) {
        const struct record *record = &records[next_random(&state) % n_records];
        const unsigned width = widths[next_random(&state) % (sizeof widths / sizeof *widths)];
        const size_t at = record->at + next_random(&state) % record->n;
        const uint64_t value = bad_number(&state);
        for (unsigned i = 0; i < width && n + PATCH_BYTES <= max && at + i < IMAGE_BYTES; i++) {
            data[n++] = (uint8_t)(at + i);
            data[n++] = (uint8_t)((at + i) >> 8); /* below 0x80: a place in the image */
            data[n++] = 0;
            data[n++] = (uint8_t)(value >> (8 * i));
        }
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (disk == NULL)
        make_image();
    patch(disk, table_at, table_bytes, data, n);
    exercise(disk, true);
    exercise(disk, false);
    memcpy(dev_memory_bytes(disk), sound, IMAGE_BYTES);
    return 0;
}
