/* The writer of CAPOSWF1 on images that were forged, behind right checksums: maps that name blocks outside the region or
 * one block again and again, bitmaps and counts that lie.
 *
 * Catches: memory beyond the bitmap's pages, a truncation or a commit without an end, a commit that nobody can open. */
#include <unistd.h>

#include "tests/unit/caposwf1_shell.h"

enum { BLOCKS = 300, TOP = BLOCKS - 20, LEVELS = WF1_MAP_MAX_LEVELS, SECONDS = 20 };

static const struct fs_writer *const writer = &caposwf1_writer;

static struct fs *reach(const struct image_of *image)
{
    const struct fs_open_options options = {.writable = true};
    struct volume *vol = NULL;
    if (wf1_volume_open(image->dev, NULL, &options, NULL, &vol, &err) != 0)
        die("opening");
    return &vol->fs;
}

static void leave(struct fs *fs, const struct image_of *image)
{
    wf1_volume_close(volume_of(fs));
    dev_close(image->dev);
}

/* ---- blocks outside the region ---- */

static void map_outside(bool truncate)
{
    const struct image_of image = make(BLOCKS, 0, 22);
    const struct fs_place place = {DIR_A, "sparse"};
    caposwf1_extent_set_first_block(
        (struct caposwf1_extent_mut){below_of(&image, FILE_SPARSE) + CAPOSWF1_EXTENT_BYTES * 4}, 0x70000000);
    reseal_image(image.bytes, image.n, 0);
    struct fs *fs = reach(&image);
    int rc = truncate ? writer->truncate(fs, FILE_SPARSE, 0, &err) : writer->remove(fs, &place, &err);
    ok(rc == PLAT_ECORRUPT, "%s: a map that names blocks outside the region is refused (%s)",
       truncate ? "truncate" : "remove", err.text);
    leave(fs, &image);
}

/* ---- maps that are very wide ---- */

static void set_used(const struct image_of *image, uint32_t block)
{
    const uint32_t bit = block - 2;
    bottom_of(image, false, 0)[bit / 8] |= (uint8_t)(1u << bit % 8);
}

/* The image, in which FILE_SMALL is one extent of a whole window. */
static struct image_of with_window(void)
{
    const struct image_of image = make(BLOCKS, 0, 22);
    struct fs *fs = reach(&image);
    put(fs, FILE_SMALL, 0, WF1_EXTENT_BYTES);
    if (writer->finish(fs, &err) != 0)
        die("finishing");
    wf1_volume_close(volume_of(fs));
    return image;
}

/* A map of 12 levels over the extent of FILE_SMALL, in the last blocks of the image: each block has 32 branches, of which
 * the first leads down. `others`: where the others lead, 0: down as well. */
static void deepen(const struct image_of *image, uint32_t others)
{
    struct wf1_node node;
    wf1_node_decode(record_of(image, FILE_SMALL), &node);
    uint8_t *block = image->bytes + (size_t)TOP * WF1_BLOCK_BYTES;
    for (uint32_t depth = 0; depth + 1 < LEVELS; depth++, block += WF1_BLOCK_BYTES) {
        struct wf1_entry entries[WF1_ENTRIES];
        const uint32_t below = TOP + depth + 1, count = depth + 2 < LEVELS ? WF1_ENTRIES : 1;
        for (uint32_t i = 0; i < WF1_ENTRIES; i++)
            entries[i] = (struct wf1_entry){i == 0 ? 0 : 200, i > 0 && others != 0 ? others : below,
                                            i > 0 && others != 0 ? WF1_ENTRIES : count, 0};
        wf1_entries_encode(entries, WF1_ENTRIES, block);
        set_used(image, TOP + depth);
    }
    set_used(image, TOP + LEVELS - 1);
    wf1_entries_encode(node.entries, node.n_entries, block);
    node.entries[0] = (struct wf1_entry){0, TOP, WF1_ENTRIES, 0};
    node.n_entries = 1;
    node.levels = LEVELS;
    node.size_bytes = 1 << 20;
    wf1_node_encode(&node, record_of(image, FILE_SMALL));
    reseal_image(image->bytes, image->n, 0);
}

/* 31 to the power of 10 ways lead to the extent. */
static void map_again_and_again(void)
{
    const struct image_of image = with_window();
    deepen(&image, 0);
    struct fs *fs = reach(&image);
    alarm(SECONDS);
    int rc = writer->truncate(fs, FILE_SMALL, 100, &err);
    alarm(0);
    ok(rc == PLAT_ECORRUPT, "truncate: a map that names one block again and again has an end (%s)", err.text);
    leave(fs, &image);
}

/* The topmost block names the place that it will itself be moved to. Returns that place. */
static uint32_t map_of_itself(uint32_t others, int *ret_rc)
{
    const struct image_of image = with_window();
    struct wf1_node node;
    deepen(&image, others);
    struct fs *fs = reach(&image);
    if (writer->write(fs, FILE_SMALL, 0, "x", 1, &err) != 0 ||
        wf1_window_flush(volume_of(fs)->writer, &err) != 0 ||
        wf1_node_read(&volume_of(fs)->reader, FILE_SMALL, &node, &err) != 0)
        die("writing");
    alarm(SECONDS);
    *ret_rc = writer->commit(fs, &err);
    alarm(0);
    leave(fs, &image);
    return node.entries[0].block;
}

/* ---- counts ---- */

static void counts(void)
{
    const struct image_of image = make(BLOCKS, 0, 22);
    const struct fs_place place = {DIR_A, "small"};
    caposwf1_superblock_set_free_blocks(super_of(&image), BLOCKS - 3);
    reseal_image(image.bytes, image.n, 0);
    struct fs *fs = reach(&image);
    int rc = writer->remove(fs, &place, &err);
    if (rc == 0)
        rc = writer->commit(fs, &err);
    ok(rc == PLAT_ECORRUPT, "more free blocks than there are: not committed (%s)", err.text);
    wf1_volume_close(volume_of(fs));
    fs = reach(&image);
    uint64_t node;
    ok(caposwf1_driver.lookup(fs, DIR_A, "small", &node, &err) == 0, "and what was committed can be opened");
    leave(fs, &image);
}

int main(void)
{
    int rc;
    map_outside(false);
    map_outside(true);
    map_again_and_again();
    const uint32_t place = map_of_itself(5, &rc);
    ok(rc == 0 && map_of_itself(place, &rc) == place && rc == PLAT_ECORRUPT,
       "commit: a map that names what is staged for itself has an end (%s)", err.text);
    counts();
    return tap_done();
}
