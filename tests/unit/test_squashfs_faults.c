/* One fault for each rule that `verify` knows of SquashFS: planted in the decompressed metadata, which is then compressed
 * again (or not), in an image that holds every kind of inode. Each must give its finding: id, path, the block in the
 * image and the position in the stream.
 *
 * With a directory as argument the images are written there as well, with a list of what is expected:
 * tests/oracle/squashfs_faults.bats asks unsquashfs, rdsquashfs and the kernel whether they refuse what we say they do.
 *
 * Catches: a rule that was lost, one that compressed metadata hides, a finding that leads to another place. */
#include "lib/fs/verify.h"
#include "tests/unit/squashfs_edit.h"

enum { MAX_FOUND = 40, TEXT_BYTES = 160 };

/* ---- judging ---- */

struct found {
    enum severity severity;
    char id[40], path[80], stream[24], text[TEXT_BYTES], refused[64];
    uint64_t offset, position;
};
struct verdict {
    struct found list[MAX_FOUND];
    size_t n;
    uint64_t errors;
};

static int on_finding(void *ctx, const struct finding *finding)
{
    struct verdict *verdict = ctx;
    verdict->errors += finding->severity == SEVERITY_ERROR;
    if (verdict->n == MAX_FOUND)
        return 0;
    struct found *to = &verdict->list[verdict->n++];
    *to = (struct found){
        .severity = finding->severity, .offset = finding->offset, .position = finding->position};
    (void)snprintf(to->id, sizeof to->id, "%s", finding->id);
    (void)snprintf(to->path, sizeof to->path, "%s", finding->path != NULL ? finding->path : "");
    (void)snprintf(to->stream, sizeof to->stream, "%s", finding->stream != NULL ? finding->stream : "");
    (void)snprintf(to->text, sizeof to->text, "%s", finding->text);
    for (size_t i = 0; finding->refused_by != NULL && finding->refused_by[i] != NULL; i++) {
        const size_t used = strlen(to->refused);
        (void)snprintf(to->refused + used, sizeof to->refused - used, "%s%s", i > 0 ? "," : "",
                       finding->refused_by[i]);
    }
    return 0;
}

static void judge(const struct squashfs_bytes *image, struct verdict *ret)
{
    const struct fs_open_options options = {.degraded = true};
    const struct finding_sink sink = {.fn = on_finding, .ctx = ret};
    struct verify_totals totals = {0};
    struct plat_dev *dev = NULL;
    struct plat_err err = {0};
    struct fs *fs = NULL;
    ret->n = 0;
    ret->errors = 0;
    (void)alarm(60);
    if (dev_open_const(image->bytes, image->n, "image", &dev, NULL) != 0 ||
        fs_open(&squashfs_driver, dev, &options, &fs, &err) != 0)
        edit_die(err.text);
    if (fs_verify(fs, &sink, &totals, &err) != 0 || squashfs_scrub(fs, &sink, NULL, &err) != 0)
        edit_die(err.text);
    fs_close(fs);
    dev_close(dev);
    (void)alarm(0);
}

/* ---- faults ---- */

enum { KIND_SMALL, KIND_LARGE, KIND_GZIP_1, KIND_LZ4, KIND_XZ, KIND_ZSTD_3, KIND_LZO_1, KINDS };
static const struct {
    const char *name, *options;
    bool large;
} kinds[KINDS] = {{"small", "", false},
                  {"large", "-O plain=inodes,ids,xattrs,fragments", true},
                  {"gzip:1", "-O compress=gzip:1", false},
                  {"lz4", "-O compress=lz4", false},
                  {"xz", "-O compress=xz:filters=x86", false},
                  {"zstd:3", "-O compress=zstd:3", false},
                  {"lzo", "-O compress=lzo:algorithm=1", false}};

struct fault {
    const char *what;
    int kind;
    const char *path, *name; /* the structure; NULL: the superblock */
    size_t at;               /* in it */
    unsigned width;
    uint64_t value;
    const char *id, *found; /* id, and what the path begins with */
    const char *stream;     /* "": the finding is in none */
    void (*change)(struct squashfs_edit *edit, const struct fault *fault); /* instead of a value */
};

#define SUPER(field) SQUASHFS_SUPERBLOCK_##field##_OFFSET
#define HEAD(field) SQUASHFS_INODE_HEAD_##field##_OFFSET
#define FILE_AT(field) SQUASHFS_EXTENDED_FILE_##field##_OFFSET
#define DIR_AT(field) SQUASHFS_DIRECTORY_##field##_OFFSET
#define RUN_AT(field) SQUASHFS_DIRECTORY_HEADER_##field##_OFFSET
#define NAME_AT(field) SQUASHFS_DIRECTORY_ENTRY_##field##_OFFSET
#define INDEX_AT(field) SQUASHFS_DIRECTORY_INDEX_##field##_OFFSET
#define NAME_TEXT SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES
#define INDEX_TEXT SQUASHFS_DIRECTORY_INDEX_HEAD_BYTES

static void grow_stream(struct squashfs_edit *edit, const struct fault *fault)
{
    static const uint8_t junk[20] = "this is nobody's";
    bytes_add(&edit->streams[fault->at], junk, sizeof junk);
}
static void grow_front(struct squashfs_edit *edit, const struct fault *fault)
{
    static const uint8_t junk[20] = "this is nobody's";
    (void)fault;
    bytes_add(&edit->front, junk, sizeof junk);
}
static void drop_exports(struct squashfs_edit *edit, const struct fault *fault)
{
    (void)fault;
    edit->is_there[SQ_EXPORTS] = false;
    store_le64(edit->front.bytes + SUPER(EXPORT_TABLE_START), SQ_ABSENT);
}
static void drop_export(struct squashfs_edit *edit, const struct fault *fault)
{
    (void)fault;
    edit->streams[SQ_EXPORTS].n -= SQUASHFS_EXPORT_ENTRY_BYTES;
}
static void drop_fragment(struct squashfs_edit *edit, const struct fault *fault)
{
    (void)fault;
    edit->streams[SQ_FRAGMENTS].n -= 4;
}

/* Numbers of inodes, as the maker gives them: level by level, each sorted. */
#define IN_ROOT "names[1]"
static const struct fault faults[] = {
    /* superblock */
    {"no_xattrs, with attributes", KIND_SMALL, NULL, NULL, SUPER(FLAGS), 2, 0x2c0, "sq-flags",
     "superblock.flags", "", NULL},
    {"no_fragments, with fragments", KIND_SMALL, NULL, NULL, SUPER(FLAGS), 2, 0xd0, "sq-flags",
     "superblock.flags", "", NULL},
    {"flags that do not exist", KIND_SMALL, NULL, NULL, SUPER(FLAGS), 2, 0x80c0, "flags", "superblock.flags",
     "", NULL},
    {"exportable, without exports", KIND_SMALL, NULL, NULL, 0, 0, 0, "sq-flags", "superblock.flags", "",
     drop_exports},
    {"one inode more", KIND_SMALL, NULL, NULL, SUPER(INODES), 4, 15, "sq-inodes", "superblock.inodes", "",
     NULL},
    {"one inode less", KIND_SMALL, NULL, NULL, SUPER(INODES), 4, 13, "sq-inode-number", "inodes[14]",
     "inodes", NULL},
    {"2 ids", KIND_SMALL, NULL, NULL, SUPER(IDS), 2, 2, "sq-metadata", "id_blocks[0]", "", NULL},
    {"more ids than inodes can have", KIND_SMALL, NULL, NULL, SUPER(IDS), 2, 29, "sq-ids-many",
     "superblock.ids", "", NULL},
    {"no fragment", KIND_SMALL, NULL, NULL, SUPER(FRAGMENTS), 4, 0, "sq-", "", "", NULL},
    {"2 fragments", KIND_SMALL, NULL, NULL, SUPER(FRAGMENTS), 4, 2, "sq-metadata", "fragment_blocks[0]", "",
     NULL},
    {"fragments without a table", KIND_SMALL, NULL, NULL, SUPER(FRAGMENT_TABLE_START), 8, UINT64_MAX,
     "sq-mount", "superblock", "", NULL},
    {"blocks of 2048", KIND_SMALL, NULL, NULL, SUPER(BLOCK_BYTES), 4, 2048, "sq-block-bytes", "superblock",
     "", NULL},
    {"another logarithm", KIND_SMALL, NULL, NULL, SUPER(BLOCK_LOG), 2, 13, "sq-block-bytes", "superblock", "",
     NULL},
    {"compression 9", KIND_SMALL, NULL, NULL, SUPER(COMPRESSION), 2, 9, "enum", "superblock.compression", "",
     NULL},
    {"version 4.1", KIND_SMALL, NULL, NULL, SUPER(VERSION_MINOR), 2, 1, "const", "superblock.version_minor",
     "", NULL},
    {"a root that is a file", KIND_SMALL, NULL, NULL, SUPER(ROOT_INODE), 8, 0, "sq-mount", "inodes", "",
     NULL},
    {"a root between inodes", KIND_SMALL, NULL, NULL, SUPER(ROOT_INODE), 8, 7, "sq-mount", "inodes", "",
     NULL},
    {"bits above a reference", KIND_SMALL, NULL, NULL, SUPER(ROOT_INODE) + 6, 2, 1, "reserved",
     "superblock.root_inode", "", NULL},
    {"an end behind the image", KIND_SMALL, NULL, NULL, SUPER(BYTES_USED), 8, 1 << 20, "sq-bytes-used",
     "superblock.bytes_used", "", NULL},
    {"an end before the last table's", KIND_SMALL, NULL, NULL, SUPER(BYTES_USED), 4, 4600, "sq-xattr-end",
     "superblock", "", NULL},
    /* compressor options */
    {"compressed options", KIND_GZIP_1, NULL, NULL, SQUASHFS_SUPERBLOCK_BYTES, 2, 8, "sq-options", "", "",
     NULL},
    {"options of 4 bytes", KIND_GZIP_1, NULL, NULL, SQUASHFS_SUPERBLOCK_BYTES, 2, 0x8004, "sq-options", "",
     "", NULL},
    {"gzip level 10", KIND_GZIP_1, "gzip_options", NULL, SQUASHFS_GZIP_OPTIONS_LEVEL_OFFSET, 4, 10,
     "sq-gzip-level", "gzip_options.level", "", NULL},
    {"a window of 7 bits", KIND_GZIP_1, "gzip_options", NULL, SQUASHFS_GZIP_OPTIONS_WINDOW_BITS_OFFSET, 2, 7,
     "sq-gzip-window", "gzip_options.window_bits", "", NULL},
    {"a strategy that does not exist", KIND_GZIP_1, "gzip_options", NULL,
     SQUASHFS_GZIP_OPTIONS_STRATEGIES_OFFSET, 2, 0x20, "flags", "gzip_options.strategies", "", NULL},
    {"lz4 version 2", KIND_LZ4, "lz4_options", NULL, SQUASHFS_LZ4_OPTIONS_VERSION_OFFSET, 4, 2, "const",
     "lz4_options.version", "", NULL},
    {"lz4 without options", KIND_LZ4, NULL, NULL, SUPER(FLAGS), 2, 0xc0, "sq-lz4-options", "", "", NULL},
    {"a dictionary of 5000", KIND_XZ, "xz_options", NULL, SQUASHFS_XZ_OPTIONS_DICTIONARY_BYTES_OFFSET, 4,
     5000, "sq-xz-dictionary", "xz_options.dictionary_bytes", "", NULL},
    {"a dictionary of 40000", KIND_XZ, "xz_options", NULL, SQUASHFS_XZ_OPTIONS_DICTIONARY_BYTES_OFFSET, 4,
     40000, "sq-xz-dictionary", "xz_options.dictionary_bytes", "", NULL},
    {"zstd level 23", KIND_ZSTD_3, "zstd_options", NULL, SQUASHFS_ZSTD_OPTIONS_LEVEL_OFFSET, 4, 23,
     "sq-zstd-level", "zstd_options.level", "", NULL},
    {"lzo algorithm 5", KIND_LZO_1, "lzo_options", NULL, SQUASHFS_LZO_OPTIONS_ALGORITHM_OFFSET, 4, 5, "enum",
     "lzo_options.algorithm", "", NULL},
    {"a level of lzo1x_1", KIND_LZO_1, "lzo_options", NULL, SQUASHFS_LZO_OPTIONS_LEVEL_OFFSET, 4, 3,
     "sq-lzo-level", "lzo_options.level", "", NULL},
    /* inodes */
    {"type 15", KIND_SMALL, "inodes[10]", NULL, HEAD(TYPE), 2, 15, "unreadable", "inodes", "inodes", NULL},
    {"mode 0170640", KIND_SMALL, "inodes[12]", NULL, HEAD(MODE), 2, 0170640, "sq-mode",
     "inodes[12].head.mode", "inodes", NULL},
    {"an owner that is not there", KIND_SMALL, "inodes[12]", NULL, HEAD(UID_INDEX), 2, 3, "sq-uid",
     "inodes[12].head.uid_index", "inodes", NULL},
    {"a group that is not there", KIND_SMALL, "inodes[12]", NULL, HEAD(GID_INDEX), 2, 3, "sq-gid",
     "inodes[12].head.gid_index", "inodes", NULL},
    {"inode number 0", KIND_SMALL, "inodes[12]", NULL, HEAD(NUMBER), 4, 0, "sq-inode-number",
     "inodes[0].head.number", "inodes", NULL},
    {"a number twice", KIND_SMALL, "inodes[10]", NULL, HEAD(NUMBER), 4, 9, "sq-inode-twice", "inodes[9]",
     "inodes", NULL},
    {"2 links, one name", KIND_SMALL, "inodes[9]", NULL, SQUASHFS_SYMLINK_HEAD_LINKS_OFFSET, 4, 2, "sq-links",
     "inodes[9]", "inodes", NULL},
    {"no links", KIND_SMALL, "inodes[5]", NULL, FILE_AT(LINKS), 4, 0, "sq-links", "inodes[5]", "inodes",
     NULL},
    {"9 links of a directory", KIND_SMALL, "inodes[13]", NULL, DIR_AT(LINKS), 4, 9, "sq-links", "inodes[13]",
     "inodes", NULL},
    {"another parent", KIND_SMALL, "inodes[13]", NULL, DIR_AT(PARENT_NUMBER), 4, 4, "sq-parent", "names[2]",
     "directories", NULL},
    {"a listing of 2 bytes", KIND_SMALL, "inodes[13]", NULL, DIR_AT(LISTING_BYTES), 2, 2, "sq-listing",
     "inodes[13].listing_bytes", "inodes", NULL},
    {"a listing that is too long", KIND_SMALL, "inodes[13]", NULL, DIR_AT(LISTING_BYTES), 2, 40, "unreadable",
     "names[13]", "directories", NULL},
    {"a listing that is too short", KIND_SMALL, "inodes[13]", NULL, DIR_AT(LISTING_BYTES), 2, 27,
     "unreadable", "names[13]", "directories", NULL},
    {"an empty listing", KIND_SMALL, "inodes[13]", NULL, DIR_AT(LISTING_BYTES), 2, 3, "sq-lost", "inodes[14]",
     "inodes", NULL},
    {"a listing at byte 8192", KIND_SMALL, "inodes[13]", NULL, DIR_AT(OFFSET), 2, 8192, "sq-offset",
     "inodes[13].offset", "inodes", NULL},
    {"a listing in a block that is not there", KIND_SMALL, "inodes[13]", NULL, DIR_AT(START_BLOCK), 4,
     0x10000, "unreadable", "names[13]", "inodes", NULL},
    {"fragment 1 of 1", KIND_SMALL, "inodes[14]", NULL, FILE_AT(FRAGMENT), 4, 1, "sq-fragment",
     "inodes[14].fragment", "inodes", NULL},
    {"a tail behind the block", KIND_SMALL, "inodes[14]", NULL, FILE_AT(FRAGMENT_OFFSET), 4, 4095,
     "sq-fragment-offset", "inodes[14].fragment_offset", "inodes", NULL},
    {"a tail behind what is there", KIND_SMALL, "inodes[14]", NULL, FILE_AT(FRAGMENT_OFFSET), 4, 1,
     "sq-fragment-short", "fragments[0]", "fragments", NULL},
    {"a fragment for a whole block", KIND_SMALL, "inodes[14]", NULL, FILE_AT(SIZE_BYTES), 8, 4096, "sq-tail",
     "inodes[14].fragment", "inodes", NULL},
    {"a file of 2^63 bytes", KIND_SMALL, "inodes[11]", NULL, FILE_AT(SIZE_BYTES), 8, UINT64_C(1) << 63,
     "sq-file-size", "inodes[11].size_bytes", "inodes", NULL},
    {"a file of 2^62 bytes", KIND_SMALL, "inodes[11]", NULL, FILE_AT(SIZE_BYTES), 8, UINT64_C(1) << 62,
     "unreadable", "inodes", "inodes", NULL},
    {"more zeros than blocks without bytes", KIND_SMALL, "inodes[11]", NULL, FILE_AT(SPARSE_BYTES), 8, 20000,
     "sq-sparse", "inodes[11].sparse_bytes", "inodes", NULL},
    {"attributes that are not there", KIND_SMALL, "inodes[14]", NULL, FILE_AT(XATTR), 4, 5, "sq-xattr",
     "inodes[14].xattr", "inodes", NULL},
    {"a target of no bytes", KIND_SMALL, "inodes[9]", NULL, SQUASHFS_SYMLINK_HEAD_TARGET_BYTES_OFFSET, 4, 0,
     "sq-target", "inodes[9].target_bytes", "inodes", NULL},
    {"a target of 4 GiB", KIND_SMALL, "inodes[9]", NULL, SQUASHFS_SYMLINK_HEAD_TARGET_BYTES_OFFSET, 4,
     UINT32_MAX, "unreadable", "inodes", "inodes", NULL},
    {"a zero byte in a target", KIND_SMALL, "inodes[9]", NULL, SQUASHFS_SYMLINK_HEAD_BYTES + 1, 1, 0,
     "sq-target", "inodes[9].target", "inodes", NULL},
    /* blocks */
    {"bits above the size of a block", KIND_SMALL, "blocks[5][1]", NULL, 3, 1, 0x80, "sq-block-bits",
     "blocks[5][1].size.unused", "inodes", NULL},
    {"a block of 5000 bytes", KIND_SMALL, "blocks[5][1]", NULL, 0, 2, 5000, "sq-block-size",
     "blocks[5][1].size.bytes", "inodes", NULL},
    {"a block of no bytes that is plain", KIND_SMALL, "blocks[5][1]", NULL, 0, 4, 1 << 24, "sq-block",
     "blocks[5][1]", "inodes", NULL},
    {"a block that is one byte shorter", KIND_SMALL, "blocks[12][0]", NULL, 0, 1, 12, "sq-data", "data", "",
     NULL},
    {"a plain block that is too short", KIND_SMALL, "blocks[12][1]", NULL, 0, 4, (1 << 24) | 10, "sq-block",
     "blocks[12][1]", "inodes", NULL},
    {"a block that is not there, after all", KIND_SMALL, "blocks[5][1]", NULL, 0, 4, 0, "sq-data", "data", "",
     NULL},
    {"blocks one byte further", KIND_SMALL, "inodes[5]", NULL, FILE_AT(START_BLOCK), 8, 97, "sq-overlap",
     "data", "", NULL},
    {"blocks in the metadata", KIND_SMALL, "inodes[12]", NULL, SQUASHFS_FILE_START_BLOCK_OFFSET, 4, 4100,
     "sq-block", "blocks[12][0]", "inodes", NULL},
    {"blocks behind the end", KIND_SMALL, "inodes[12]", NULL, SQUASHFS_FILE_START_BLOCK_OFFSET, 4, 0x7fffffff,
     "sq-block", "blocks[12][0]", "inodes", NULL},
    {"blocks in the superblock", KIND_SMALL, "inodes[12]", NULL, SQUASHFS_FILE_START_BLOCK_OFFSET, 4, 0,
     "sq-block", "blocks[12][0]", "inodes", NULL},
    {"contents that are nobody's", KIND_SMALL, NULL, NULL, 0, 0, 0, "sq-unreferenced", "unknown", "",
     grow_front},
    /* listings */
    {"a run of 257", KIND_SMALL, "headers[1][0]", NULL, RUN_AT(COUNT_LESS_1), 4, 256, "unreadable", IN_ROOT,
     "directories", NULL},
    {"a run of one entry less", KIND_SMALL, "headers[13][0]", NULL, RUN_AT(COUNT_LESS_1), 4, 0, "unreadable",
     "names[13]", "directories", NULL},
    {"a run of inodes in a block that is not there", KIND_SMALL, "headers[13][0]", NULL, RUN_AT(START_BLOCK),
     4, 9, "sq-reference", "names[13]", "directories", NULL},
    {"numbers that count from elsewhere", KIND_SMALL, "headers[13][0]", NULL, RUN_AT(NUMBER), 4, 3,
     "sq-entry", "names[13]", "directories", NULL},
    {"another kind", KIND_SMALL, IN_ROOT, "pipe", NAME_AT(TYPE), 2, 2, "sq-entry", IN_ROOT, "directories",
     NULL},
    {"an extended kind", KIND_SMALL, IN_ROOT, "pipe", NAME_AT(TYPE), 2, 13, "unreadable", IN_ROOT,
     "directories", NULL},
    {"an inode where none is", KIND_SMALL, IN_ROOT, "pipe", NAME_AT(OFFSET), 2, 333, "sq-reference", IN_ROOT,
     "directories", NULL},
    {"an inode behind the block", KIND_SMALL, IN_ROOT, "pipe", NAME_AT(OFFSET), 2, 9000, "unreadable",
     IN_ROOT, "directories", NULL},
    {"another number", KIND_SMALL, IN_ROOT, "pipe", NAME_AT(NUMBER_DELTA), 2, 5, "sq-entry", IN_ROOT,
     "directories", NULL},
    {"out of order", KIND_SMALL, IN_ROOT, "null", NAME_TEXT, 1, 'a', "sq-order", IN_ROOT, "directories",
     NULL},
    {"a name twice", KIND_SMALL, "names[13]", "text", NAME_TEXT, 4, 0x656c6966, "sq-order", "names[13]",
     "directories", NULL},
    {"a '/' in a name", KIND_SMALL, IN_ROOT, "tail", NAME_TEXT + 2, 1, '/', "sq-name", IN_ROOT, "directories",
     NULL},
    {"a zero byte in a name", KIND_SMALL, IN_ROOT, "tail", NAME_TEXT + 2, 1, 0, "sq-name", IN_ROOT,
     "directories", NULL},
    {"the name .", KIND_SMALL, "names[2]", "e", NAME_TEXT, 1, '.', "sq-name", "names[2]", "directories",
     NULL},
    {"a name of 257 bytes", KIND_SMALL, IN_ROOT, "tail", NAME_AT(NAME_BYTES_LESS_1), 2, 256, "unreadable",
     IN_ROOT, "directories", NULL},
    {"a directory in itself", KIND_SMALL, "names[2]", "e", NAME_AT(OFFSET), 2, 172, "sq-loop", IN_ROOT,
     "directories", NULL},
    {"listings that are nobody's", KIND_SMALL, NULL, NULL, SQ_DIRECTORIES, 0, 0, "sq-unreferenced",
     "directories", "directories", grow_stream},
    {"an index entry between runs", KIND_LARGE, "index[7][0]", NULL, INDEX_AT(POSITION), 4, 8000, "sq-index",
     "names[7]", "directories", NULL},
    {"an index entry behind the listing", KIND_LARGE, "index[7][0]", NULL, INDEX_AT(POSITION), 4, 1 << 20,
     "sq-index", "inodes[7]", "inodes", NULL},
    {"an index entry for another block", KIND_LARGE, "index[7][0]", NULL, INDEX_AT(START_BLOCK), 4, 0,
     "sq-index", "names[7]", "directories", NULL},
    {"an index entry with another name", KIND_LARGE, "index[7][0]", NULL, INDEX_TEXT + 2, 1, 'X', "sq-index",
     "names[7]", "directories", NULL},
    {"an index name of 257 bytes", KIND_LARGE, "index[7][0]", NULL, INDEX_AT(NAME_BYTES_LESS_1), 4, 256,
     "unreadable", "inodes", "inodes", NULL},
    /* tables that are read by number */
    {"a fragment in the metadata", KIND_SMALL, "fragments[0]", NULL, 0, 8, 4100, "sq-block", "fragments[0]",
     "fragments", NULL},
    {"a fragment behind the end", KIND_SMALL, "fragments[0]", NULL, 0, 8, UINT64_C(1) << 40,
     "sq-fragment-place", "fragments[0]", "fragments", NULL},
    {"bits that mean nothing", KIND_SMALL, "fragments[0]", NULL, SQUASHFS_FRAGMENT_ENTRY_UNUSED_OFFSET, 4, 1,
     "reserved", "fragments[0].unused", "fragments", NULL},
    {"a fragment that nobody has", KIND_SMALL, "inodes[14]", NULL, FILE_AT(SIZE_BYTES), 8, 0, "sq-tail",
     "inodes[14].fragment", "inodes", NULL},
    {"half an entry of the fragments", KIND_SMALL, NULL, NULL, 0, 0, 0, "sq-metadata", "fragment_blocks[0]",
     "", drop_fragment},
    {"an export of another inode", KIND_SMALL, "exports[3]", NULL, 0, 2, 0, "sq-export", "exports[3]",
     "exports", NULL},
    {"bits above an export", KIND_SMALL, "exports[3]", NULL, 6, 2, 1, "reserved", "exports[3].inode",
     "exports", NULL},
    {"one export less", KIND_SMALL, NULL, NULL, 0, 0, 0, "sq-metadata", "export_blocks[0]", "", drop_export},
    {"an id twice", KIND_SMALL, "ids[2]", NULL, 0, 4, 1000, "sq-id-twice", "ids[2]", "ids", NULL},
    {"an id that nobody has", KIND_SMALL, "inodes[5]", NULL, HEAD(UID_INDEX), 2, 0, "sq-unreferenced",
     "ids[1]", "ids", NULL},
    /* attributes */
    {"a set that nobody has", KIND_SMALL, "inodes[8]", NULL, SQUASHFS_EXTENDED_PIPE_XATTR_OFFSET, 4, 3,
     "sq-unreferenced", "xattr_ids[4]", "xattr_ids", NULL},
    {"a set of another size", KIND_SMALL, "xattr_ids[1]", NULL, SQUASHFS_XATTR_ID_SIZE_BYTES_OFFSET, 4, 1,
     "sq-xattr-size", "xattr_ids[1].size_bytes", "xattr_ids", NULL},
    {"a set without attributes", KIND_SMALL, "xattr_ids[1]", NULL, SQUASHFS_XATTR_ID_COUNT_OFFSET, 4, 0,
     "sq-xattr-count", "xattr_ids[1].count", "xattr_ids", NULL},
    {"a set of 2^32 - 1 attributes", KIND_SMALL, "xattr_ids[1]", NULL, SQUASHFS_XATTR_ID_COUNT_OFFSET, 4,
     UINT32_MAX, "unreadable", "xattr_names[1]", "xattrs", NULL},
    {"a set that begins nowhere", KIND_SMALL, "xattr_ids[1]", NULL, 2, 4, 77, "unreadable", "xattr_names[1]",
     "xattr_ids", NULL},
    {"a prefix that does not exist", KIND_SMALL, "xattr_names[1][0]", NULL, 0, 1, 7, "enum",
     "xattr_names[1][0].prefix", "xattrs", NULL},
    {"a place that does not exist", KIND_SMALL, "xattr_names[1][0]", NULL, 1, 1, 2, "flags",
     "xattr_names[1][0].place", "xattrs", NULL},
    {"a zero byte in an attribute's name", KIND_SMALL, "xattr_names[1][0]", NULL, 5, 1, 0, "sq-xattr-name",
     "xattr_names[1][0]", "xattrs", NULL},
    {"a name without bytes", KIND_SMALL, "xattr_names[4][0]", NULL, SQUASHFS_XATTR_NAME_NAME_BYTES_OFFSET, 2,
     0, "sq-xattr-name", "xattr_names[4][0].name_bytes", "xattrs", NULL},
    {"an attribute twice", KIND_SMALL, "xattr_names[0][1]", NULL, 7, 1, 'g', "sq-xattr-twice",
     "xattr_names[0][2]", "xattrs", NULL},
    {"a value of 2^32 - 1 bytes", KIND_SMALL, "xattr_values[1][0]", NULL, 0, 4, UINT32_MAX, "unreadable",
     "xattr_names[1]", "xattrs", NULL},
    {"a reference of 9 bytes", KIND_SMALL, "xattr_values[3][0]", NULL, 0, 4, 9, "unreadable",
     "xattr_names[3]", "xattrs", NULL},
    {"a value in a block that is not there", KIND_SMALL, "xattr_values[3][0]", NULL, 6, 4, 99,
     "sq-xattr-value", "xattr_names[3][0]", "xattrs", NULL},
    {"a value behind the block", KIND_SMALL, "xattr_values[3][0]", NULL, 4, 2, 8000, "sq-xattr-value",
     "xattr_names[3][0]", "xattrs", NULL},
    {"a value that runs past the end", KIND_SMALL, "xattr_values[3][0]", NULL, 4, 2, 0, "sq-xattr-value",
     "xattr_names[3][0]", "xattrs", NULL},
    {"attributes that are nobody's", KIND_SMALL, NULL, NULL, SQ_XATTRS, 0, 0, "sq-unreferenced", "xattrs",
     "xattrs", grow_stream},
};
enum { N_FAULTS = sizeof faults / sizeof faults[0] };

/* ---- planting ---- */

static struct squashfs_bytes sound[KINDS];
static struct squashfs_edit edits[KINDS];

static struct squashfs_bytes *part_of(struct squashfs_edit *edit, const char *stream)
{
    static const char *const names[SQ_TABLES] = {"inodes", "directories", "fragments", "exports",
                                                 "ids",    "xattrs",      "xattr_ids"};
    for (unsigned id = 0; stream != NULL && id < SQ_TABLES; id++)
        if (strcmp(names[id], stream) == 0)
            return &edit->streams[id];
    return &edit->front;
}

/* What edit_build computes can be patched behind it alone. */
static bool is_late(const struct fault *fault)
{
    return fault->path == NULL && fault->change == NULL;
}

static void plant(const struct fault *fault, bool plain, struct squashfs_bytes *ret,
                  struct edit_place *ret_place)
{
    struct squashfs_edit *edit = &edits[fault->kind], copy = *edit;
    struct edit_place place = {.path = fault->path, .name = fault->name};
    for (unsigned i = 0; i <= SQ_TABLES; i++) {
        const struct squashfs_bytes *from = i < SQ_TABLES ? &edit->streams[i] : &edit->front;
        struct squashfs_bytes *to = i < SQ_TABLES ? &copy.streams[i] : &copy.front;
        *to = (struct squashfs_bytes){0};
        if (from->n > 0)
            bytes_add(to, from->bytes, from->n);
    }
    copy.plain = plain;
    if (fault->path != NULL)
        edit_find(&sound[fault->kind], &place);
    struct squashfs_bytes *part = part_of(&copy, place.stream);
    if (fault->change != NULL)
        fault->change(&copy, fault);
    else
        store_uint(part->bytes + place.offset + fault->at, fault->width, false, fault->value);
    edit_build(&copy, ret);
    if (is_late(fault))
        store_uint(ret->bytes + fault->at, fault->width, false, fault->value);
    edit_close(&copy);
    *ret_place = place;
}

/* ---- what is found ---- */

static bool matches(const struct fault *fault, const struct found *found)
{
    return strncmp(found->id, fault->id, strlen(fault->id)) == 0 &&
           strncmp(found->path, fault->found, strlen(fault->found)) == 0 &&
           strcmp(found->stream, fault->stream) == 0;
}

/* The block is one of that table, and the position in its stream. */
static bool is_placed(const struct squashfs_bytes *image, const struct found *found)
{
    const struct fs_open_options options = {.degraded = true};
    struct plat_dev *dev = NULL;
    struct fs *fs = NULL;
    bool good = found->offset < image->n;
    if (found->stream[0] == '\0')
        return good;
    if (dev_open_const(image->bytes, image->n, "image", &dev, NULL) != 0 ||
        fs_open(&squashfs_driver, dev, &options, &fs, NULL) != 0)
        edit_die("an image that was judged");
    const struct volume *vol = volume_of(fs);
    for (unsigned id = 0; id < SQ_TABLES; id++) {
        const struct sq_table *table = &vol->tables[id];
        struct sq_map map;
        uint64_t block;
        if (strcmp(table->stream, found->stream) != 0 ||
            sq_map_build(volume_of(fs), (enum sq_table_id)id, &map, NULL) != 0)
            continue;
        good = sq_map_find(&map, found->offset, &block) && found->position / SQ_META_BYTES == block;
        sq_map_free(&map);
    }
    fs_close(fs);
    dev_close(dev);
    return good;
}

static void save(const char *directory, size_t number, const struct squashfs_bytes *image,
                 const struct verdict *verdict, const char *what)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%03zu.img", directory, number);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(image->bytes, 1, image->n, f) != image->n || fclose(f) != 0)
        edit_die(path);
    (void)snprintf(path, sizeof path, "%s/list", directory);
    f = fopen(path, "ab");
    if (f == NULL)
        edit_die(path);
    bool linux_does = false, unsquashfs = false, rdsquashfs = false;
    for (size_t i = 0; i < verdict->n; i++) {
        linux_does = linux_does || strstr(verdict->list[i].refused, "linux") != NULL;
        unsquashfs = unsquashfs || strstr(verdict->list[i].refused, "unsquashfs") != NULL;
        rdsquashfs = rdsquashfs || strstr(verdict->list[i].refused, "rdsquashfs") != NULL;
    }
    (void)fprintf(f, "%03zu.img\t%llu\t%s%s%s\t%s\n", number, (unsigned long long)verdict->errors,
                  linux_does ? "linux " : "", unsquashfs ? "unsquashfs " : "",
                  rdsquashfs ? "rdsquashfs " : "", what);
    (void)fclose(f);
}

static void try_fault(const struct fault *fault, bool plain, const char *directory, size_t number)
{
    struct squashfs_bytes image = {0};
    struct edit_place place = {0};
    struct verdict verdict;
    const struct found *found = NULL;
    plant(fault, plain, &image, &place);
    judge(&image, &verdict);
    for (size_t i = 0; found == NULL && i < verdict.n; i++)
        if (matches(fault, &verdict.list[i]))
            found = &verdict.list[i];
    if (!ok(found != NULL && is_placed(&image, found), "%s (%s, %s): %s %s", fault->what,
            kinds[fault->kind].name, plain ? "plain" : "compressed", fault->id, fault->found)) {
        for (size_t i = 0; i < verdict.n && i < 8; i++)
            printf("#   %s %s at 0x%llx (%s+0x%llx): %s\n", verdict.list[i].id, verdict.list[i].path,
                   (unsigned long long)verdict.list[i].offset, verdict.list[i].stream,
                   (unsigned long long)verdict.list[i].position, verdict.list[i].text);
    }
    if (directory != NULL)
        save(directory, number, &image, &verdict, fault->what);
    free(image.bytes);
}

static void open_kind(unsigned kind)
{
    char command[512];
    struct verdict verdict;
    edit_tree(kinds[kind].large);
    (void)snprintf(
        command, sizeof command,
        "rm -f i; \"$PLAT\" mk squashfs t.tar -o i -O block-bytes=4096 -O xattrs=keep -O owner=keep -O "
        "exports=yes %s",
        kinds[kind].options);
    edit_shell(command);
    sound[kind] = edit_load("i");
    edit_open(&sound[kind], &edits[kind]);
    /* What is taken apart and put together is as sound as it was. */
    for (unsigned plain = kinds[kind].large; plain < 2; plain++) {
        struct squashfs_bytes again = {0};
        edits[kind].plain = plain != 0;
        edit_build(&edits[kind], &again);
        judge(&again, &verdict);
        ok(verdict.n == 0, "%s, put together again: sound %s", kinds[kind].name,
           verdict.n > 0 ? verdict.list[0].text : "");
        free(again.bytes);
    }
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : NULL;
    edit_scratch_open();
    for (unsigned kind = 0; kind < KINDS; kind++)
        open_kind(kind);
    for (size_t i = 0; i < N_FAULTS; i++) {
        /* References into several blocks stay right where blocks are plain. */
        if (!kinds[faults[i].kind].large)
            try_fault(&faults[i], false, directory, i);
        try_fault(&faults[i], true, directory != NULL && kinds[faults[i].kind].large ? directory : NULL, i);
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        edit_close(&edits[kind]);
        free(sound[kind].bytes);
    }
    edit_scratch_close();
    return tap_done();
}
