/* A sound disk (GPT, FAT32 with files and long names) with a few bytes changed: opened, walked, verified,
 * every file read. The input is a list of patches: 4 bytes of offset, 1 byte of length, the bytes; the
 * offset's top bit aims at the table's tail. Checksums are constant in a fuzz build (lib/hash), so that
 * patches get past them. The disk is a file in memory, whose holes cost nothing to read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fat32.gen.h"
#include "tests/fuzz/exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum {
    DISK_BYTES = 38 << 20,
    START_SECTOR = 2048,
    SECTORS = (34 << 20) / 512,
    MAX_PATCHES = 32,
    CLUSTERS = 2000
};

static struct plat_dev *disk;
static uint8_t *bytes; /* of the disk */

static void die(const struct plat_err *err)
{
    fprintf(stderr, "fuzz_image: %s\n", err->text);
    abort();
}

/* Few clusters: every reader refuses such a FAT32, plat opens it, and a run takes a tenth of the time. */
static void shrink(void)
{
    for (unsigned copy = 0; copy < 2; copy++) {
        struct fat32_boot_mut boot = {0};
        uint8_t *sector = bytes + (START_SECTOR + 6 * copy) * (size_t)512;
        if (!fat32_boot_edit(sector, 512, &boot))
            abort();
        struct fat32_boot view = fat32_boot_of(boot);
        fat32_boot_set_total_sectors_32(boot, fat32_boot_reserved_sectors(view) +
                                                  2 * fat32_boot_sectors_per_fat(view) + CLUSTERS);
    }
}

static void make_disk(void)
{
    struct plat_err err = {0};
    struct tree *tree = NULL;
    struct tree_options tree_options = {.has_time = true, .time_s = 1700000000};
    struct make_options options = {
        .label = "FUZZ", .seed = "fuzz", .sector_bytes = 512, .first_sector = START_SECTOR};
    struct make_plan *plan = NULL;
    struct plat_dev *window = NULL;
    char name[64];
    int fd = memfd_create("fuzz.img", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, DISK_BYTES) != 0)
        abort();
    bytes = mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (bytes == MAP_FAILED || tree_open(&tree_options, &tree, &err) != 0 ||
        dev_open_file(name, true, &disk, &err) != 0)
        die(&err);
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "EFI/dir%u/A long file name %u.text", i % 5, i);
        if (tree_add_literal(tree, name, name, strlen(name), &err) != 0)
            die(&err);
    }
    const struct fs_driver *fat = fs_driver_find("fat32");
    const struct fs_driver *gpt = fs_driver_find("gpt");
    struct table_partition part = {
        .number = 1, .first_sector = START_SECTOR, .sectors = SECTORS, .name = "esp", .guid = {1}};
    struct table_spec spec = {.sector_bytes = 512,
                              .disk_sectors = DISK_BYTES / 512,
                              .disk_guid = {2},
                              .partitions = &part,
                              .n_partitions = 1};
    if (gpt->table->parse_type("esp", &part, &err) != 0 || gpt->table->write_head(&spec, disk, &err) != 0 ||
        tree_finish(tree, &err) != 0 || fat->maker->plan(tree, &options, &plan, &err) != 0 ||
        fat->maker->settle(plan, (uint64_t)SECTORS * 512, &err) != 0 ||
        dev_open_window(disk, (struct range){START_SECTOR * 512, (uint64_t)SECTORS * 512}, &window, &err) !=
            0 ||
        fat->maker->write(plan, window, NULL, &err) != 0 || gpt->table->write_tail(&spec, disk, &err) != 0)
        die(&err);
    shrink();
    dev_close(window);
    fat->maker->close(plan);
    tree_close(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct {
        uint32_t at;
        uint8_t old;
    } undo[MAX_PATCHES * 32] = {0};
    size_t changed = 0;
    if (disk == NULL)
        make_disk();
    for (unsigned patch = 0; patch < MAX_PATCHES && n >= 6; patch++) {
        uint32_t raw = load_le32(data);
        uint32_t at = (raw & 0x80000000u) != 0 ? DISK_BYTES - 1 - (raw & 0x7fff) : (raw & 0x1fffff);
        unsigned length = data[4] % 32 + 1;
        data += 5;
        n -= 5;
        for (; length > 0 && n > 0 && at < DISK_BYTES; length--, data++, n--, at++) {
            undo[changed].at = at;
            undo[changed++].old = bytes[at];
            bytes[at] = *data;
        }
    }
    exercise(disk, true);
    exercise(disk, false);
    while (changed > 0) {
        changed--;
        bytes[undo[changed].at] = undo[changed].old;
    }
    return 0;
}
