/* SquashFS images of mksquashfs, damaged: every byte of superblock and metadata changed in several ways, every length that
 * a cut could leave, counts of 2^32, loops, overlaps. Nothing crashes, hangs or takes memory without bound; every finding
 * says where; a cut is always found.
 *
 * Without an argument a sample; `make check-damage` tries all, more than 250,000 images.
 *
 * Catches: a count, size or reference that is believed before it is checked, a cycle that is followed, a table that is
 * read past its end, a finding that nobody can follow up. */
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "formats/squashfs/volume.h"
#include "lib/fs/verify.h"
#include "tests/unit/finding_words.h"
#include "tests/unit/tap.h"

enum { CASE_SECONDS = 30, TEST_MEGABYTES = 512 };

struct image_of {
    uint8_t *bytes;
    size_t n;
    struct squashfs_superblock super;
};

static char scratch[] = "/tmp/plat-squashfs-XXXXXX";

static void die(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(1);
}

static void shell(const char *command)
{
    char line[2048];
    (void)snprintf(line, sizeof line, "cd %s && { %s; } >/dev/null 2>&1", scratch, command);
    if (system(line) != 0) /* NOLINT(cert-env33-c): made of constants */
        die(command);
}

static void make_tree(void)
{
    if (mkdtemp(scratch) == NULL)
        die("a scratch directory");
    shell("mkdir -p t/d/e t/many && echo hello >t/d/e/file && ln -s ../d t/many/link && ln t/d/e/file t/hard "
          "&& "
          "head -c 20000 /dev/zero >t/sparse && (i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); "
          "done) >t/text && "
          "cp t/text t/again && mkfifo t/pipe && i=0 && while [ $i -lt 300 ]; do : >t/many/name_number_$i; "
          "i=$((i+1)); done");
}

static struct image_of make(const char *options)
{
    struct image_of image = {0};
    char command[512], path[64];
    (void)snprintf(command, sizeof command,
                   "rm -f i && mksquashfs t i -no-progress -noappend -b 4096 -all-root -exports -p 'dev c "
                   "600 1 2 5 1' %s",
                   options);
    shell(command);
    (void)snprintf(path, sizeof path, "%s/i", scratch);
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        die("the image");
    image.n = (size_t)ftell(f);
    rewind(f);
    image.bytes = malloc(image.n);
    if (image.bytes == NULL || fread(image.bytes, 1, image.n, f) != image.n)
        die("the image");
    (void)fclose(f);
    if (!squashfs_superblock_view(image.bytes, image.n, &image.super))
        die("the superblock");
    return image;
}

/* ---- judging ---- */

struct judged {
    unsigned errors, nowhere; /* nowhere: neither path nor offset */
    struct words words;
};

static int on_finding(void *ctx, const struct finding *finding)
{
    struct judged *judged = ctx;
    judged->errors += finding->severity == SEVERITY_ERROR;
    judged->nowhere += finding->path == NULL || (finding->path[0] == '\0' && !finding->has_offset);
    (void)keep(&judged->words, finding);
    return judged->errors > 500 ? PLAT_ESTOP : 0;
}

struct visit {
    struct fs *fs;
    unsigned depth, entries;
};

static int on_xattr(void *ctx, const struct fs_xattr *xattr)
{
    *(size_t *)ctx += xattr->value_bytes;
    return 0;
}

static int on_dirent(void *ctx, const struct fs_dirent *entry)
{
    struct visit *visit = ctx;
    struct fs_stat stat;
    struct strbuf target = {0};
    uint8_t buf[5000];
    size_t n = 0;
    if (++visit->entries > 400 || visit->depth > 8)
        return PLAT_ESTOP;
    (void)squashfs_xattrs(visit->fs, entry->node, on_xattr, &n, NULL);
    if (squashfs_stat(visit->fs, entry->node, &stat, NULL) != 0)
        return 0;
    if (stat.kind == TREE_SYMLINK)
        (void)squashfs_readlink(visit->fs, entry->node, &target, NULL);
    if (stat.kind == TREE_FILE) {
        (void)squashfs_read(visit->fs, entry->node, 4000, buf, sizeof buf, &n, NULL);
        (void)squashfs_read(visit->fs, entry->node, stat.size_bytes / 2, buf, sizeof buf, &n, NULL);
    }
    strbuf_free(&target);
    visit->depth++;
    if (stat.kind == TREE_DIR)
        (void)squashfs_readdir(visit->fs, entry->node, on_dirent, visit, NULL);
    visit->depth--;
    return 0;
}

static bool extent_nobody(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
    return true;
}
static int on_extent(void *ctx, const struct extent *extent)
{
    *(uint64_t *)ctx += extent->place.bytes;
    return 0;
}

/* Open, verify with contents, extents, files; what is found goes to *ret. */
static void judge(const struct image_of *image, size_t n, struct judged *ret)
{
    const struct fs_open_options options = {.degraded = true};
    const struct finding_sink sink = {.fn = on_finding, .ctx = ret};
    struct verify_totals totals = {0};
    struct plat_dev *dev = NULL;
    struct plat_err err = {0};
    struct fs *fs = NULL;
    uint64_t root, bytes = 0, node;
    *ret = (struct judged){0};
    (void)alarm(CASE_SECONDS);
    if (dev_open_const(image->bytes, n, "image", &dev, &err) != 0)
        die("a device");
    int rc = fs_open(&squashfs_driver, dev, &options, &fs, &err);
    if (rc != 0) {
        ret->errors++;
    } else {
        const struct walk_sink extents = {.ctx = &bytes, .extent = on_extent, .wants = extent_nobody};
        struct visit visit = {.fs = fs};
        rc = fs_verify(fs, &sink, &totals, &err);
        if (rc == 0)
            rc = squashfs_scrub(fs, &sink, NULL, &err);
        if (rc != 0 && rc != PLAT_ESTOP) {
            printf("# verification fails: %d %s\n", rc, err.text);
            ret->nowhere++;
        }
        (void)squashfs_walk(fs, &extents, NULL);
        if (fs->driver->root(fs, &root, NULL) == 0) {
            (void)squashfs_readdir(fs, root, on_dirent, &visit, NULL);
            (void)squashfs_lookup(fs, root, "many", &node, NULL);
        }
        fs_close(fs);
    }
    dev_close(dev);
    (void)alarm(0);
}

/* ---- single bytes ---- */

/* One case in so many is tried, a prime; 1 with an argument. */
static unsigned share = 31;

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
            judge(image, image->n, &judged);
            if (judged.nowhere > 0 && *ret_nowhere < 5)
                printf("# byte 0x%zx = %02x: %s\n", at, is, judged.words.text);
            *ret_nowhere += judged.nowhere;
            n++;
        }
        image->bytes[at] = was;
    }
    return n;
}

static void test_changes(const char *options)
{
    struct image_of image = make(options);
    struct judged judged;
    unsigned nowhere = 0;
    judge(&image, image.n, &judged);
    if (!ok(judged.errors == 0 && judged.words.text[0] == '\0', "%s: sound", options))
        printf("# %s\n", judged.words.text);
    const size_t tables = (size_t)squashfs_superblock_inode_table_start(image.super);
    unsigned n = changes(&image, 0, SQUASHFS_SUPERBLOCK_BYTES + 10, &nowhere);
    n += changes(&image, tables, (size_t)squashfs_superblock_bytes_used(image.super), &nowhere);
    ok(nowhere == 0, "%s: %u changed bytes, and each finding says where", options, n);
    free(image.bytes);
}

/* ---- cuts ---- */

static void test_cuts(void)
{
    struct image_of image = make("");
    const size_t used = (size_t)squashfs_superblock_bytes_used(image.super);
    unsigned silent = 0;
    for (size_t n = 0; n < used; n += share) {
        struct judged judged;
        judge(&image, n, &judged);
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
    judge(image, image->n, &judged);
    if (!ok(strstr(judged.words.text, patched->finding) != NULL && judged.nowhere == 0, "%s: %s",
            patched->what, patched->finding))
        printf("# %s\n", judged.words.text);
    memcpy(image->bytes + patched->at, was, sizeof was);
}

/* Where a record of a plain metadata block lies, by its path. */
struct seek_path {
    const char *path, *name;
    size_t at;
};
static int on_instance(void *ctx, const struct inst *inst)
{
    struct seek_path *seek = ctx;
    const size_t n = seek->name != NULL ? strlen(seek->name) : 0;
    const bool named = n > 0 && inst->size_bytes == SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES + n &&
                       strncmp(inst->path, seek->path, strlen(seek->path)) == 0 &&
                       memcmp(inst->bytes + SQUASHFS_DIRECTORY_ENTRY_HEAD_BYTES, seek->name, n) == 0;
    if (!named && (seek->name != NULL || strcmp(inst->path, seek->path) != 0))
        return 0;
    seek->at = (size_t)inst->source.block.start + SQUASHFS_METADATA_HEADER_BYTES +
               (size_t)(inst->offset % SQ_META_BYTES);
    return PLAT_ESTOP;
}
static size_t place_of(const struct image_of *image, const char *path, const char *name)
{
    const struct fs_open_options options = {0};
    struct seek_path seek = {.path = path, .name = name};
    const struct walk_sink sink = {.ctx = &seek, .instance = on_instance};
    struct plat_dev *dev = NULL;
    struct fs *fs = NULL;
    if (dev_open_const(image->bytes, image->n, "image", &dev, NULL) != 0 ||
        fs_open(&squashfs_driver, dev, &options, &fs, NULL) != 0)
        die("the sound image");
    (void)squashfs_walk(fs, &sink, NULL);
    fs_close(fs);
    dev_close(dev);
    if (seek.at == 0)
        die(path);
    return seek.at;
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

/* An image that asks for more than it has must not get it. */
static void test_memory(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
#ifdef __SANITIZE_ADDRESS__
    ok(true, "memory is not measured in an instrumented build");
#else
    ok(usage.ru_maxrss < TEST_MEGABYTES * 1024L, "at most %d MiB for all of that (%ld KiB)", TEST_MEGABYTES,
       usage.ru_maxrss);
#endif
}

int main(int argc, char **argv)
{
    (void)argv;
    share = argc > 1 ? 1 : share * tap_share();
    make_tree();
    test_changes("-noI -noX -noF");
    test_changes("-comp gzip");
    test_changes("-comp xz");
    test_changes("-comp zstd");
    test_changes("-comp lz4");
    test_changes("-comp lzo");
    test_cuts();
    test_values();
    test_memory();
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s/t %s/i && rmdir %s", scratch, scratch, scratch);
    return system(command) != 0 ? 1 : tap_done(); /* NOLINT(cert-env33-c): made of constants */
}
