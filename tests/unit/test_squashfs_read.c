/* SquashFS images of mksquashfs, plat and tar2sqfs, with each codec, damaged: every byte of superblock and metadata
 * changed in several ways, every length that a cut could leave, counts of 2^32, loops, overlaps. Nothing crashes, hangs
 * or takes memory without bound; every finding says where; a cut is always found.
 *
 * Without an argument a sample; `make check-damage` tries all, more than 350,000 images.
 *
 * Catches: a count, size or reference that is believed before it is checked, a cycle that is followed, a table that is
 * read past its end, a finding that nobody can follow up. */
#include "tests/unit/squashfs_judge.h"

struct image_of {
    uint8_t *bytes;
    size_t n;
    struct squashfs_superblock super;
};

static void make_tree(void)
{
    edit_scratch_open();
    edit_shell(
        "mkdir -p t/d/e t/many && echo hello >t/d/e/file && ln -s ../d t/many/link && ln t/d/e/file t/hard "
        "&& head -c 20000 /dev/zero >t/sparse && (i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); "
        "done) >t/text && cp t/text t/again && mkfifo t/pipe && i=0 && while [ $i -lt 300 ]; do : "
        ">t/many/name_number_$i; i=$((i+1)); done");
    edit_tree(false);
}

/* By a command that makes i of t, or of t.tar, which has attributes. */
static struct image_of make_by(const char *command)
{
    char line[512];
    (void)snprintf(line, sizeof line, "rm -f i && %s", command);
    edit_shell(line);
    const struct squashfs_bytes loaded = edit_load("i");
    struct image_of image = {.bytes = loaded.bytes, .n = loaded.n};
    if (!squashfs_superblock_view(image.bytes, image.n, &image.super))
        edit_die("the superblock");
    return image;
}

static struct image_of make(const char *options)
{
    char command[512];
    (void)snprintf(
        command, sizeof command,
        "mksquashfs t i -no-progress -noappend -b 4096 -all-root -exports -p 'dev c 600 1 2 5 1' %s",
        options);
    return make_by(command);
}

/* ---- single bytes ---- */

/* One case in so many is tried, a prime; 1 with an argument. */
static unsigned share = 61;

static unsigned changes(struct image_of *image, size_t from, size_t to, unsigned *ret_nowhere)
{
    static const uint8_t flips[] = {0x01, 0x02, 0x10, 0x80, 0xff};
    unsigned n = 0;
    for (size_t at = from; at < to; at++) {
        const uint8_t was = image->bytes[at];
        for (size_t k = 0; k < sizeof flips + 2; k++) {
            struct judged judged;
            const uint8_t is = k < sizeof flips ? was ^ flips[k] : k == sizeof flips ? 0 : 0xff;
            if (is == was || (at * 7 + k) % share != 0)
                continue;
            image->bytes[at] = is;
            judge(image->bytes, image->n, &judged);
            if (judged.nowhere > 0 && *ret_nowhere < 5)
                printf("# byte 0x%zx = %02x: %s\n", at, is, judged.words.text);
            *ret_nowhere += judged.nowhere;
            n++;
        }
        image->bytes[at] = was;
    }
    return n;
}

static void test_changes(const char *what, struct image_of image)
{
    struct judged judged;
    unsigned nowhere = 0;
    judge(image.bytes, image.n, &judged);
    if (!ok(judged.errors == 0 && judged.words.text[0] == '\0', "%s: sound", what))
        printf("# %s\n", judged.words.text);
    const size_t tables = (size_t)squashfs_superblock_inode_table_start(image.super);
    unsigned n = changes(&image, 0, SQUASHFS_SUPERBLOCK_BYTES + 10, &nowhere);
    n += changes(&image, tables, (size_t)squashfs_superblock_bytes_used(image.super), &nowhere);
    ok(nowhere == 0, "%s: %u changed bytes, and each finding says where", what, n);
    free(image.bytes);
}

/* ---- cuts ---- */

static void test_cuts(struct image_of image)
{
    const size_t used = (size_t)squashfs_superblock_bytes_used(image.super);
    unsigned silent = 0;
    for (size_t n = 0; n < used; n += share) {
        struct judged judged;
        judge(image.bytes, n, &judged);
        silent += judged.errors == 0;
    }
    ok(silent == 0, "%zu lengths that a cut could leave: each is found", used);
    free(image.bytes);
}

/* ---- values ---- */

struct patched {
    const char *what;
    size_t at;
    unsigned width;
    uint64_t value;
    const char *finding; /* one of its words */
};

static void try_patch(struct image_of *image, const struct patched *patched)
{
    uint8_t was[8];
    struct judged judged;
    memcpy(was, image->bytes + patched->at, sizeof was);
    store_uint(image->bytes + patched->at, patched->width, false, patched->value);
    judge(image->bytes, image->n, &judged);
    if (!ok(strstr(judged.words.text, patched->finding) != NULL && judged.nowhere == 0, "%s: %s",
            patched->what, patched->finding))
        printf("# %s\n", judged.words.text);
    memcpy(image->bytes + patched->at, was, sizeof was);
}

/* Where a record of a plain metadata block lies, by its path. */
static size_t place_of(const struct image_of *image, const char *path, const char *name)
{
    struct edit_place place = {.path = path, .name = name};
    edit_find(&(struct squashfs_bytes){image->bytes, image->n}, &place);
    return place.in_image;
}

static void test_values(void)
{
    struct image_of image = make("-noI -noX -noF -noD");
    const uint64_t root = squashfs_superblock_root_inode(image.super);
    char root_path[32];
    (void)snprintf(root_path, sizeof root_path, "inodes[%u]", squashfs_superblock_inodes(image.super));
    const size_t root_at = place_of(&image, root_path, NULL);
    const size_t entry_at = place_of(&image, "names[", "name_number_150");
    const size_t e_at = place_of(&image, "names[", "e");
    /* d/e becomes d: their inodes are in one block. */
    const uint64_t d_offset = load_uint(image.bytes + place_of(&image, "names[", "d"), 2, false);
    const struct patched list[] = {
        {"2^32 inodes", SQUASHFS_SUPERBLOCK_INODES_OFFSET, 4, UINT32_MAX, "sq-"},
        {"2^32 fragments", SQUASHFS_SUPERBLOCK_FRAGMENTS_OFFSET, 4, UINT32_MAX, "sq-fragment"},
        {"65535 ids", SQUASHFS_SUPERBLOCK_IDS_OFFSET, 2, UINT16_MAX, "sq-id-end"},
        {"no ids", SQUASHFS_SUPERBLOCK_IDS_OFFSET, 2, 0, "sq-ids"},
        {"another root", SQUASHFS_SUPERBLOCK_ROOT_INODE_OFFSET, 8, root - 1, "sq-mount"},
        {"a root far away", SQUASHFS_SUPERBLOCK_ROOT_INODE_OFFSET, 8, UINT64_C(0xffffffff0000), "sq-mount"},
        {"a listing of 4 GiB", root_at + SQUASHFS_DIRECTORY_LISTING_BYTES_OFFSET, 2, UINT16_MAX,
         "unreadable names"},
        {"a link count", root_at + SQUASHFS_DIRECTORY_LINKS_OFFSET, 4, 77, "sq-links"},
        {"a directory below itself", e_at + SQUASHFS_DIRECTORY_ENTRY_OFFSET_OFFSET, 2, d_offset, "sq-loop"},
        {"an entry for no inode", e_at + SQUASHFS_DIRECTORY_ENTRY_OFFSET_OFFSET, 2, 1, "sq-reference"},
        {"an entry of another kind", e_at + SQUASHFS_DIRECTORY_ENTRY_TYPE_OFFSET, 2, 6, "sq-entry"},
        {"another number", e_at + SQUASHFS_DIRECTORY_ENTRY_NUMBER_DELTA_OFFSET, 2, 0x4000, "sq-entry"},
        {"a name out of order", entry_at + SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES, 1, 'z', "sq-order"},
        {"a '/' in a name", entry_at + SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES + 4, 1, '/', "sq-name"},
        {"a zero in a name", entry_at + SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES + 4, 1, 0, "sq-name"},
        {"a name of 65536 bytes", entry_at + SQUASHFS_DIRECTORY_ENTRY_NAME_BYTES_LESS_1_OFFSET, 2, UINT16_MAX,
         "unreadable names"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        try_patch(&image, &list[i]);
    free(image.bytes);
}

int main(int argc, char **argv)
{
    (void)argv;
    share = argc > 1 ? 1 : share * tap_share();
    static const char *const mksquashfs[] = {"-noI -noX -noF", "-comp gzip", "-comp xz",
                                             "-comp zstd",     "-comp lz4",  "-comp lzo"};
    static const char *const others[] = {
        "\"$PLAT\" mk squashfs t.tar -o i -O xattrs=keep -O block-bytes=4096 -O exports=yes -O compress=%s",
        "tar2sqfs -q -f -e -b 4096 -c %s i <t.tar"};
    static const char *const codecs[] = {"gzip", "xz", "zstd", "lz4", "lzo"};
    char command[256];
    make_tree();
    for (size_t i = 0; i < sizeof mksquashfs / sizeof *mksquashfs; i++)
        test_changes(mksquashfs[i], make(mksquashfs[i]));
    for (size_t i = 0; i < 2 * sizeof codecs / sizeof *codecs; i++) {
        /* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral): one of the two above */
        (void)snprintf(command, sizeof command, others[i % 2], codecs[i / 2]);
        test_changes(command, make_by(command));
        test_cuts(make_by(command));
    }
    test_cuts(make(""));
    test_values();
    test_memory();
    edit_scratch_close();
    return tap_done();
}
