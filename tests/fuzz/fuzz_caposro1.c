/* A sound CAPOSRO1 image with bytes changed: opened, verified with its contents, every directory and file read. The
 * input is a list of patches (tests/fuzz/exercise.h); the table is that of the nodes.
 * Checksums are constant in a fuzz build (lib/hash); those that the layout's generated code makes are put right here,
 * so that patches get past them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caposro1.gen.h"
#include "tests/fuzz/exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct plat_dev *disk;
static uint8_t *sound; /* copy of the bytes */
static size_t table_at, table_nodes;

static void make_image(void)
{
    struct plat_err err = {0};
    struct tree *tree = NULL;
    const struct tree_options tree_options = {.has_time = true, .time_s = 1700000000};
    struct make_options options = {.label = "FUZZ", .seed = "fuzz", .sector_bytes = 512};
    const struct fs_maker *maker = fs_driver_find("caposro1")->maker;
    struct make_plan *plan = NULL;
    struct caposro1_superblock superblock = {NULL};
    uint64_t size = 0;
    char name[64];
    options.extra = json_pack("{s:s}", "times", "untrusted");
    if (tree_open(&tree_options, &tree, &err) != 0 ||
        tree_add_symlink(tree, "dir0/link", "name 3", &err) != 0)
        abort();
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "dir%u/name %u", i % 5, i);
        if (tree_add_literal(tree, name, name, strlen(name), &err) != 0)
            abort();
    }
    if (tree_finish(tree, &err) != 0 || maker->plan(tree, &options, &plan, &err) != 0 ||
        maker->min_bytes(plan, 1024, &size, &err) != 0 || maker->settle(plan, size, &err) != 0 ||
        dev_open_memory(size, "fuzz.img", &disk, &err) != 0 || maker->write(plan, disk, NULL, &err) != 0)
        abort();
    maker->close(plan);
    tree_close(tree);
    json_decref(options.extra);
    sound = malloc((size_t)size);
    if (sound == NULL || !caposro1_superblock_view(dev_memory_bytes(disk), (size_t)size, &superblock))
        abort();
    memcpy(sound, dev_memory_bytes(disk), (size_t)size);
    table_at = (size_t)caposro1_superblock_nodes_block(superblock) * 512;
    table_nodes = caposro1_superblock_node_count(superblock);
}

/* Derived fields of superblock and records, as their own layout has them. */
static void seal_all(uint8_t *bytes)
{
    struct caposro1_superblock_mut superblock = {NULL};
    if (caposro1_superblock_edit(bytes, (size_t)disk->size_bytes, &superblock))
        caposro1_superblock_seal(superblock);
    for (size_t i = 0; i < table_nodes; i++) {
        struct caposro1_node_mut node = {NULL};
        if (caposro1_node_edit(bytes + table_at + i * CAPOSRO1_NODE_BYTES, CAPOSRO1_NODE_BYTES, &node))
            caposro1_node_seal(node);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (disk == NULL)
        make_image();
    uint8_t *bytes = dev_memory_bytes(disk);
    patch(disk, table_at, table_nodes * CAPOSRO1_NODE_BYTES, data, n);
    seal_all(bytes);
    exercise(disk, true);
    exercise(disk, false);
    memcpy(bytes, sound, (size_t)disk->size_bytes);
    return 0;
}
