/* SquashFS images that are made to hurt: numbers that are out of every range in every field of every structure inside
 * the decompressed metadata, which is then compressed again; blocks that decompress to much more than there is; listings,
 * sets of attributes and tables that claim 2^32 of something; directories that contain one another. Each case ends in
 * time, and all of them within 512 MiB.
 *
 * Without an argument a sample; `make check-damage` tries all.
 *
 * Catches: a length that is allocated before it is checked, a loop that counts to what the image says, work that grows
 * with what is claimed instead of with the image. */
#include <time.h>

#include "tests/unit/squashfs_judge.h"

enum { CASE_MILLISECONDS = 5000, BOMB_MILLISECONDS = 20000, RECORDS_MAX = 512 };

static struct squashfs_bytes small, large;
static struct squashfs_edit small_edit, large_edit;

static uint64_t now_ms(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static struct squashfs_edit copy_of(const struct squashfs_edit *edit)
{
    struct squashfs_edit copy = *edit;
    copy.front = (struct squashfs_bytes){0};
    bytes_add(&copy.front, edit->front.bytes, edit->front.n);
    for (unsigned id = 0; id < SQ_TABLES; id++) {
        copy.streams[id] = (struct squashfs_bytes){0};
        if (edit->streams[id].n > 0)
            bytes_add(&copy.streams[id], edit->streams[id].bytes, edit->streams[id].n);
    }
    return copy;
}

/* ---- every field ---- */

struct record {
    unsigned table;
    size_t at, n;
};
static struct record records[RECORDS_MAX];
static size_t n_records;

static int keep_record(void *ctx, const struct inst *inst)
{
    static const char *const names[SQ_TABLES] = {"inodes", "directories", "fragments", "exports",
                                                 "ids",    "xattrs",      "xattr_ids"};
    (void)ctx;
    for (unsigned id = 0; inst->source.stream != NULL && id < SQ_TABLES && n_records < RECORDS_MAX; id++)
        if (strcmp(names[id], inst->source.stream) == 0)
            records[n_records++] = (struct record){id, (size_t)inst->offset, inst->size_bytes};
    return 0;
}

static void find_records(void)
{
    const struct walk_sink sink = {.instance = keep_record};
    struct plat_dev *dev;
    struct fs *fs = edit_fs(&small, &dev);
    (void)squashfs_walk(fs, &sink, NULL);
    fs_close(fs);
    dev_close(dev);
}

struct tally {
    unsigned n, nowhere, slow;
    uint64_t slowest_ms;
};

static void try_case(const struct squashfs_edit *edit, struct squashfs_bytes *image, struct tally *tally)
{
    struct judged judged;
    const uint64_t start = now_ms();
    edit_build(edit, image);
    judge(image->bytes, image->n, &judged);
    const uint64_t took = now_ms() - start;
    tally->n++;
    tally->nowhere += judged.nowhere;
    tally->slow += took > CASE_MILLISECONDS;
    tally->slowest_ms = took > tally->slowest_ms ? took : tally->slowest_ms;
}

/* Whole numbers of 1, 2, 4 and 8 bytes, at every byte of every structure. */
static void test_fields(unsigned share)
{
    static const uint64_t values[] = {0,          1,          2,          0xff,       0x100,
                                      8191,       8192,       8193,       0x7fff,     0xffff,
                                      0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, UINT64_C(1) << 40,
                                      INT64_MAX,  UINT64_MAX};
    static const unsigned widths[] = {1, 2, 4, 8};
    struct squashfs_bytes image = {0};
    struct squashfs_edit edit = copy_of(&small_edit);
    struct tally tally = {0};
    unsigned number = 0;
    for (size_t r = 0; r < n_records; r++) {
        const struct record *record = &records[r];
        struct squashfs_bytes *stream = &edit.streams[record->table];
        /* Behind the first 64 bytes of a record come names, targets and values. */
        for (size_t at = 0; at < record->n && at < 64; at++) {
            for (size_t k = 0; k < sizeof values / sizeof *values * 4; k++) {
                uint8_t *to = stream->bytes + record->at + at;
                const unsigned width = widths[k % 4];
                uint8_t was[8];
                if (at + width > record->n || number++ % share != 0)
                    continue;
                memcpy(was, to, width);
                store_uint(to, width, false, values[k / 4] & (UINT64_MAX >> (64 - 8 * width)));
                edit.plain = number % 2 == 0;
                try_case(&edit, &image, &tally);
                memcpy(to, was, width);
            }
        }
    }
    ok(tally.nowhere == 0 && tally.slow == 0 && tally.n > 60000 / share,
       "%u numbers in the fields of %zu structures: each finding says where, the slowest takes %llu ms",
       tally.n, n_records, (unsigned long long)tally.slowest_ms);
    free(image.bytes);
    edit_close(&edit);
}

/* ---- bombs ---- */

static void fill(struct squashfs_bytes *stream, size_t n)
{
    uint8_t *zeros = calloc(1, n);
    if (zeros == NULL)
        edit_die("memory");
    bytes_add(stream, zeros, n);
    free(zeros);
}

static size_t place_in(const struct squashfs_bytes *image, const char *path)
{
    struct edit_place place = {.path = path};
    edit_find(image, &place);
    return (size_t)place.offset;
}

/* The image of `edit` is judged: in time, with this among the findings; NULL: without errors. */
static void try_bomb(const struct squashfs_edit *edit, const char *id, const char *what)
{
    struct squashfs_bytes image = {0};
    struct judged judged;
    edit_build(edit, &image);
    const uint64_t start = now_ms();
    judge(image.bytes, image.n, &judged);
    const uint64_t took = now_ms() - start;
    if (!ok((id != NULL ? strstr(judged.words.text, id) != NULL : judged.errors == 0) &&
                judged.nowhere == 0 && took < BOMB_MILLISECONDS,
            "%s, in an image of %zu KiB: %llu ms", what, image.n / 1024, (unsigned long long)took))
        printf("# %s\n", judged.words.text);
    free(image.bytes);
}

static void patch_stream(struct squashfs_edit *edit, unsigned id, size_t at, unsigned width, uint64_t value)
{
    store_uint(edit->streams[id].bytes + at, width, false, value);
}

/* A directory whose listing has 2^32 bytes, in a table that decompresses to `megabytes`. */
static void test_listing_bomb(size_t megabytes)
{
    struct squashfs_edit edit = copy_of(&small_edit);
    const size_t at = place_in(&small, "inodes[2]");
    edit.plain = false;
    patch_stream(&edit, SQ_INODES, at + SQUASHFS_EXTENDED_DIRECTORY_LISTING_BYTES_OFFSET, 4, UINT32_MAX);
    try_bomb(&edit, "unreadable names[2]", "a listing of 4 GiB");
    /* Its bytes are headers of runs: all zero is one of one entry, and again. */
    fill(&edit.streams[SQ_DIRECTORIES], megabytes << 20);
    try_bomb(&edit, "unreadable names[2]", "a listing of 4 GiB in a table of zeros");
    edit_close(&edit);
}

static void test_inode_bomb(size_t megabytes)
{
    struct squashfs_edit edit = copy_of(&small_edit);
    const size_t at = place_in(&small, "inodes[11]");
    /* Each 4 KiB of a file of zeros take 4 bytes of metadata: 256 MiB of it in 4 MiB / 16 of metadata. */
    edit.plain = false;
    patch_stream(&edit, SQ_INODES, at + SQUASHFS_EXTENDED_FILE_SIZE_BYTES_OFFSET, 8,
                 (uint64_t)megabytes << 30);
    edit.streams[SQ_INODES].n = at + SQUASHFS_EXTENDED_FILE_BYTES;
    fill(&edit.streams[SQ_INODES], megabytes << 20);
    try_bomb(&edit, "sq-lost", "a file of many GiB of zeros");
    edit_close(&edit);
}

static void test_attribute_bombs(void)
{
    struct squashfs_edit edit = copy_of(&small_edit);
    const size_t set = place_in(&small, "xattr_ids[0]");
    const size_t value = place_in(&small, "xattr_values[3][0]");
    const size_t shared = place_in(&small, "xattr_shared[3][0]");
    edit.plain = false;
    /* 100,000 sets that are all the same one. */
    struct squashfs_bytes *sets = &edit.streams[SQ_XATTR_IDS];
    const size_t before = sets->n;
    fill(sets, (size_t)100000 * SQUASHFS_XATTR_ID_BYTES);
    for (size_t at = before; at < sets->n; at += SQUASHFS_XATTR_ID_BYTES)
        memcpy(sets->bytes + at, sets->bytes + set, SQUASHFS_XATTR_ID_BYTES);
    try_bomb(&edit, "sq-unreferenced xattr_ids[5]", "100,005 sets of attributes that are one");
    edit_close(&edit);
    edit = copy_of(&small_edit);
    edit.plain = false;
    /* One value of 64 MiB, to which another name leads. */
    patch_stream(&edit, SQ_XATTRS, shared, 4, 64 << 20);
    fill(&edit.streams[SQ_XATTRS], 64 << 20);
    try_bomb(&edit, "sq-xattr-value", "a value of 64 MiB");
    /* A value that leads to the reference to itself. */
    edit_close(&edit);
    edit = copy_of(&small_edit);
    edit.plain = false;
    patch_stream(&edit, SQ_XATTRS, value + 4, 8, value);
    try_bomb(&edit, NULL, "a value that is the reference to it");
    edit_close(&edit);
}

/* Superblock numbers, with and without tables to go with them. */
static void test_counts(void)
{
    static const struct {
        const char *what;
        size_t at;
        unsigned width;
    } list[] = {{"2^32 - 1 inodes", SQUASHFS_SUPERBLOCK_INODES_OFFSET, 4},
                {"2^32 - 1 blocks of fragments", SQUASHFS_SUPERBLOCK_FRAGMENTS_OFFSET, 4},
                {"65535 ids", SQUASHFS_SUPERBLOCK_IDS_OFFSET, 2},
                {"a root at 2^48", SQUASHFS_SUPERBLOCK_ROOT_INODE_OFFSET, 6}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct squashfs_edit edit = copy_of(&large_edit);
        store_uint(edit.front.bytes + list[i].at, list[i].width, false,
                   UINT64_MAX >> (64 - 8 * list[i].width));
        edit.plain = true;
        try_bomb(&edit, "sq-", list[i].what);
        edit_close(&edit);
    }
}

/* Every directory leads to every other: the names of all entries stay, their inodes are directories. */
static void test_cycles(void)
{
    static const char *const directories[] = {"inodes[1]", "inodes[2]", "inodes[4]", "inodes[13]"};
    struct squashfs_edit edit = copy_of(&small_edit);
    edit.plain = false;
    for (unsigned i = 0; i < 11; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "names[1][%u]", i);
        const size_t at = place_in(&small, path);
        patch_stream(&edit, SQ_DIRECTORIES, at + SQUASHFS_DIRECTORY_ENTRY_OFFSET_OFFSET, 2,
                     place_in(&small, directories[i % 4]));
        patch_stream(&edit, SQ_DIRECTORIES, at + SQUASHFS_DIRECTORY_ENTRY_TYPE_OFFSET, 2, 1);
    }
    try_bomb(&edit, "sq-loop", "directories that contain one another");
    edit_close(&edit);
}

/* Each entry of the index claims to be the first, or none is where a run begins. */
static void test_index(void)
{
    struct squashfs_edit edit = copy_of(&large_edit);
    const size_t at = place_in(&large, "inodes[7]");
    edit.plain = true;
    patch_stream(&edit, SQ_INODES, at + SQUASHFS_EXTENDED_DIRECTORY_INDEX_ENTRIES_OFFSET, 2, UINT16_MAX);
    try_bomb(&edit, "unreadable", "65535 index entries");
    edit_close(&edit);
}

static void open_image(bool is_large, struct squashfs_bytes *ret, struct squashfs_edit *ret_edit)
{
    edit_tree(is_large);
    edit_shell(is_large ? "rm -f i; \"$PLAT\" mk squashfs t.tar -o i -O block-bytes=4096 -O xattrs=keep -O "
                          "exports=yes -O plain=inodes,ids,xattrs,fragments"
                        : "rm -f i; \"$PLAT\" mk squashfs t.tar -o i -O block-bytes=4096 -O xattrs=keep -O "
                          "exports=yes -O owner=keep");
    *ret = edit_load("i");
    edit_open(ret, ret_edit);
}

int main(int argc, char **argv)
{
    const bool all = argc > 1;
    (void)argv;
    edit_scratch_open();
    open_image(false, &small, &small_edit);
    open_image(true, &large, &large_edit);
    find_records();
    test_fields(all ? 1 : 37 * tap_share());
    test_listing_bomb(all ? 256 : 32);
    test_inode_bomb(all ? 64 : 16);
    test_attribute_bombs();
    test_counts();
    test_cycles();
    test_index();
    test_memory();
    edit_close(&small_edit);
    edit_close(&large_edit);
    free(small.bytes);
    free(large.bytes);
    edit_scratch_close();
    return tap_done();
}
