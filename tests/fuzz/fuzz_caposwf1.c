/* A sound CAPOSWF1 with bytes changed: opened, verified with its contents, walked, read; then written to. The input is a
 * list of patches (tests/fuzz/exercise.h); the table is what stands behind the superblocks, metadata among it. The last
 * byte says what the writer does: create, write, rename, remove, truncate, commit, finish, or go away in the middle.
 *
 * Nothing here may crash, hang or walk a byte twice. What a writer leaves on such an image is not asked: a bitmap that
 * lies makes it write over what is in use. Checksums are constant in a fuzz build (lib/hash), so patches get past
 * them. */
#include "tests/fuzz/exercise.h"
#include "tests/unit/caposwf1_shell.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { BLOCKS = 100 };

static uint8_t sound[BLOCKS * WF1_BLOCK_BYTES];
static struct image_of image;

static void write_on(unsigned orders)
{
    const struct fs_open_options options = {.writable = true};
    const struct fs_place place = {0, "new"}, old = {0, "link"}, inner = {DIR_A, "moved"},
                          small = {DIR_A, "small"};
    const struct fs_new what = {.kind = orders & 1 ? TREE_DIR : TREE_FILE, .mode = 0600};
    const struct fs_writer *writer = &caposwf1_writer;
    static const uint8_t bytes[3000] = {1, 2, 3};
    struct plat_err why;
    struct fs *fs = NULL;
    uint64_t node = 0;
    if (fs_open(&caposwf1_driver, image.dev, &options, &fs, &why) != 0)
        return;
    if (writer->create(fs, &place, &what, &node, &why) == 0 && (orders & 1) == 0)
        (void)writer->write(fs, node, (uint64_t)orders << 9, bytes, sizeof bytes, &why);
    if ((orders & 2) != 0)
        (void)writer->rename(fs, &old, &inner, &why);
    if ((orders & 4) != 0)
        (void)writer->remove(fs, &small, &why);
    if ((orders & 8) != 0)
        (void)writer->write(fs, FILE_SPARSE, 3 * WF1_EXTENT_BYTES, bytes, sizeof bytes, &why);
    if ((orders & 16) != 0)
        (void)writer->truncate(fs, FILE_SPARSE, 2 * WF1_EXTENT_BYTES, &why);
    if ((orders & 32) != 0)
        (void)writer->commit(fs, &why);
    if ((orders & 64) != 0)
        (void)writer->finish(fs, &why);
    fs_close(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (image.dev == NULL) {
        image = make(BLOCKS, 0, 22);
        memcpy(sound, image.bytes, sizeof sound);
    }
    patch(image.dev, 2 * WF1_BLOCK_BYTES, sizeof sound - 2 * WF1_BLOCK_BYTES, data, n);
    /* A writer that was at work is only the copy's to say. */
    if (n > 0 && data[0] % 2 == 0)
        memcpy(image.bytes + WF1_BLOCK_BYTES, image.bytes, WF1_BLOCK_BYTES);
    exercise(image.dev, true);
    exercise(image.dev, false);
    if (uncovered(&image) != 0)
        abort();
    write_on(n % 4 != 0 ? data[n - 1] : 0x60);
    exercise(image.dev, true);
    memcpy(image.bytes, sound, sizeof sound);
    return 0;
}
