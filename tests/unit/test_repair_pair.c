/* Repair of formats that keep two superblocks (lib/fs/pair_repair.h): each of them damaged or torn, at rest and behind a
 * writer that was cut off.
 *
 * Catches: an older state that comes back, a good copy that is written to, a pair that the next writer trips over. */
#include "formats/caposst1/private.h"
#include "formats/caposwf1/writer.h"
#include "tests/unit/hostile_image.h"
#include "tests/unit/repair_log.h"

enum { BLOCKS = 64 };

/* ---- a store ---- */

static bool store_put_one(struct plat_dev *dev, bool finish, struct plat_err *err)
{
    const struct store_shape shape = {
        .version = STORE_VERSION_PLAIN, .region_blocks = BLOCKS, .entries = 16, .shadow = true};
    const struct store_options options = {.writable = true};
    struct store *store = NULL;
    uint8_t key[STORE_KEY_BYTES];
    bool added;
    int rc = store_format(dev, &shape, err);
    if (rc == 0)
        rc = store_open(dev, &options, &store, err);
    if (rc == 0)
        rc = store_put(store, "one", 3, NULL, key, &added, err);
    if (rc == 0)
        rc = store_commit(store, err);
    if (rc == 0)
        rc = store_put(store, "two, never committed", 20, NULL, key, &added, err);
    if (rc == 0)
        rc = st1_buffer_out(store, err);
    if (rc == 0 && finish)
        rc = store_finish(store, err);
    store_close(store);
    return rc == 0;
}

/* What readers see, whatever was done. Then the next writer, and the image is clean. */
static bool store_goes_on(struct plat_dev *dev, uint64_t n_objects, struct plat_err *err)
{
    const struct store_options reading = {0}, writing = {.writable = true};
    struct store *store = NULL;
    struct st1_pair pair;
    struct store_space space = {0};
    if (store_open(dev, &reading, &store, err) == 0)
        store_space(store, &space);
    store_close(store);
    store = NULL;
    bool good = space.n_objects == n_objects && store_open(dev, &writing, &store, err) == 0 &&
                store_finish(store, err) == 0;
    store_close(store);
    return good && st1_pair_read(dev, NULL, &pair, err) == 0 && pair.both.clean;
}

/* ---- a filesystem ---- */

static int create(struct fs *fs, const char *name, const char *text, struct plat_err *err)
{
    const struct fs_place place = {WF1_ROOT_NODE, name};
    const struct fs_new what = {.kind = TREE_FILE, .mode = 0644};
    uint64_t node;
    int rc = caposwf1_writer.create(fs, &place, &what, &node, err);
    return rc == 0 ? caposwf1_writer.write(fs, node, 0, text, strlen(text), err) : rc;
}

static bool fs_put_one(struct plat_dev *dev, bool finish, struct plat_err *err)
{
    const struct wf1_shape shape = {.region_first_block = 2, .region_blocks = BLOCKS - 2};
    const struct fs_open_options options = {.writable = true};
    struct volume *vol = NULL;
    int rc = wf1_format(dev, &shape, err);
    if (rc == 0)
        rc = wf1_volume_open(dev, NULL, &options, NULL, &vol, err);
    if (rc == 0)
        rc = create(&vol->fs, "one", "one", err);
    if (rc == 0)
        rc = wf1_commit(vol->writer, err);
    if (rc == 0)
        rc = create(&vol->fs, "two", "never committed", err);
    if (rc == 0)
        rc = wf1_window_flush(vol->writer, err);
    if (rc == 0 && finish)
        rc = wf1_finish(vol->writer, err);
    wf1_volume_close(vol);
    return rc == 0;
}

static bool fs_goes_on(struct plat_dev *dev, uint64_t n_files, struct plat_err *err)
{
    const struct fs_open_options reading = {0}, writing = {.writable = true};
    struct fs_space space = {0};
    struct volume *vol = NULL;
    bool good = wf1_volume_open(dev, NULL, &reading, NULL, &vol, err) == 0 &&
                caposwf1_driver.space(&vol->fs, &space, err) == 0 && space.n_files == n_files;
    wf1_volume_close(vol);
    vol = NULL;
    good = good && wf1_volume_open(dev, NULL, &writing, NULL, &vol, err) == 0 &&
           wf1_finish(vol->writer, err) == 0;
    wf1_volume_close(vol);
    vol = NULL;
    good = good && wf1_volume_open(dev, NULL, &reading, NULL, &vol, err) == 0 && vol->pair.clean;
    wf1_volume_close(vol);
    return good;
}

/* ---- both ---- */

static const struct fixture {
    const char *name;
    bool (*put_one)(struct plat_dev *dev, bool finish, struct plat_err *err); /* one committed, one not */
    /* What readers see, whatever was done. Then the next writer, and the image is clean. */
    bool (*goes_on)(struct plat_dev *dev, uint64_t n, struct plat_err *err);
    bool finish_commits;
} fixtures[] = {{"caposst1", store_put_one, store_goes_on, false},
                {"caposwf1", fs_put_one, fs_goes_on, true}};

static void test_pair(const struct fixture *fixture)
{
    static const struct {
        const char *what;
        bool finish;
        unsigned block;
        bool torn;
        unsigned repaired;
        bool same; /* back to the same bytes */
        uint64_t n;
    } cases[] = {{"the superblock at rest", true, 0, false, 1, true, 1},
                 {"its copy", true, 1, false, 1, true, 1},
                 {"the copy that a writer left", false, 1, false, 1, false, 1},
                 {"a torn superblock", false, 0, true, 1, false, 0},
                 {"the superblock that a writer left", false, 0, false, 0, false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plat_dev *dev = NULL;
        struct repair_log log = {0};
        struct plat_err err = {0};
        static uint8_t before[BLOCKS * PAIR_BLOCK_BYTES];
        if (dev_open_memory(sizeof before, "image", &dev, &err) != 0 ||
            !fixture->put_one(dev, cases[i].finish, &err))
            hostile_die("an image", &err);
        uint8_t *bytes = dev_memory_bytes(dev), *block = bytes + cases[i].block * PAIR_BLOCK_BYTES;
        memcpy(before, bytes, sizeof before);
        if (cases[i].torn) /* the second half is of another superblock */
            memcpy(block + 256, bytes + PAIR_BLOCK_BYTES + 256, 256);
        else
            block[100] ^= 1;
        int rc = run_repair(dev, &log, &err);
        const uint64_t n = cases[i].n + (cases[i].finish && fixture->finish_commits);
        ok(rc == 0 && log.repaired == cases[i].repaired && log.refused == 1 - cases[i].repaired &&
               (!cases[i].same || memcmp(before, bytes, sizeof before) == 0) &&
               (cases[i].repaired == 0 || fixture->goes_on(dev, n, &err)),
           "%s: %s: %u repaired (%s%s)", fixture->name, cases[i].what, log.repaired, log.text, err.text);
        dev_close(dev);
    }
}

/* What the good superblock names is damaged as well: nothing is made of it. */
static void test_unfit(void)
{
    static uint8_t before[BLOCKS * PAIR_BLOCK_BYTES];
    struct plat_dev *dev = NULL;
    struct repair_log log = {0};
    struct plat_err err = {0};
    if (dev_open_memory(sizeof before, "image", &dev, &err) != 0 || !fs_put_one(dev, true, &err))
        hostile_die("an image", &err);
    uint8_t *bytes = dev_memory_bytes(dev);
    struct wf1_super super;
    wf1_super_decode(bytes, &super);
    bytes[100] ^= 1;
    bytes[(size_t)super.nodes.block * PAIR_BLOCK_BYTES + 7] ^= 1;
    memcpy(before, bytes, sizeof before);
    int rc = run_repair(dev, &log, &err);
    ok(rc == 0 && log.repaired == 0 && log.refused > 0 && memcmp(before, bytes, sizeof before) == 0,
       "caposwf1: the nodes are damaged as well: refused (%s)", log.text);
    dev_close(dev);
}

int main(void)
{
    for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++)
        test_pair(&fixtures[i]);
    test_unfit();
    return tap_done();
}
