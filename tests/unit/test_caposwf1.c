/* CAPOSWF1 as it is read and judged: every bit of a small image, superblocks torn and damaged, truncations, random
 * bytes, walks that cover each byte once, reading.
 *
 * Catches: a byte that nothing covers, a state after a power cut that is called damaged, a reader that follows a
 * circle, a walk that has a byte twice. */
#include <time.h>

#include "tests/fuzz/exercise.h"
#include "tests/unit/caposwf1_shell.h"

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 16;
}

static void test_sound(void)
{
    static const struct {
        uint64_t blocks, superblock;
        unsigned names;
    } cases[] = {{100, 0, 20}, {360, 256, 20}, {6000, 0, 500}, {200000, 0, 17000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_of image = make(cases[i].blocks, cases[i].superblock, cases[i].names);
        struct words words;
        ok(judge_fast(image.dev, NULL, &words) == 0 && words.text[0] == '\0',
           "an image of %llu blocks is sound %.200s", (unsigned long long)cases[i].blocks, words.text);
        ok(judge(image.dev, &words) == 0 && words.text[0] == '\0', "and so say the layouts %.200s",
           words.text);
        dev_close(image.dev);
    }
}

static void test_every_bit(uint64_t blocks, uint64_t superblock, unsigned layers_every)
{
    struct image_of image = make(blocks, superblock, 20);
    struct words words;
    unsigned missed = 0, disagreed = 0;
    const size_t bits = image.n * 8, step = tap_share();
    for (size_t bit = 0; bit < bits; bit += step) {
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (judge_fast(image.dev, NULL, &words) == 0 && missed++ < 5)
            printf("# bit %zu of byte %zu: %s\n", bit % 8, bit / 8, words.text);
        if (bit / step % layers_every == 0 && judge(image.dev, &words) == 0 && disagreed++ < 5)
            printf("# layers: bit %zu of byte %zu: %s\n", bit % 8, bit / 8, words.text);
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ok(missed == 0, "each of %zu bits that flips is found", bits);
    ok(disagreed == 0, "by plat verify --data, too");
    dev_close(image.dev);
}

/* More nodes than walk yields one by one: check alone judges them. */
static void test_random_bits(unsigned rounds)
{
    struct image_of image = make(20000, 0, 17000);
    struct words words;
    uint64_t seed = 42;
    unsigned missed = 0;
    ok(judge(image.dev, &words) == 0 && words.text[0] == '\0', "17000 names are sound %.200s", words.text);
    for (unsigned i = 0; i < rounds; i++) {
        /* Metadata lies in front. */
        const uint64_t bits = (i % 2 == 0 ? image.n : image.n / 2) * 8, bit = next_random(&seed) % bits;
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (judge(image.dev, &words) == 0 && missed++ < 5)
            printf("# byte %llu: %s\n", (unsigned long long)bit / 8, words.text);
        image.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ok(missed == 0, "%u random bits of it are found", rounds);
    dev_close(image.dev);
}

static void test_speed(void)
{
    struct image_of image = make(100, 0, 20);
    struct words words;
    enum { ROUNDS = 20000 };
    const clock_t begin = clock();
    for (unsigned i = 0; i < ROUNDS; i++)
        (void)judge_fast(image.dev, NULL, &words);
    printf("# %.1f microseconds to judge 100 blocks\n",
           (double)(clock() - begin) * 1e6 / CLOCKS_PER_SEC / ROUNDS);
    dev_close(image.dev);
}

/* ---- superblocks ---- */

static void test_pair(void)
{
    struct image_of image = make(100, 0, 10);
    uint8_t other[WF1_BLOCK_BYTES], sound[2 * WF1_BLOCK_BYTES];
    uint8_t *first = image.bytes, *second = image.bytes + WF1_BLOCK_BYTES;
    struct wf1_super super;
    struct words words;
    memcpy(sound, image.bytes, sizeof sound);
    wf1_super_decode(first, &super);
    super.generation += 5;
    wf1_super_encode(&super, other);
    memcpy(first, other, 248);
    ok(judge_fast(image.dev, NULL, &words) == 0 && strcmp(words.text, "[wf1-torn superblock] ") == 0 &&
           judge(image.dev, &words) == 0,
       "a torn superblock is a note: %s", words.text);
    memcpy(image.bytes, sound, sizeof sound);
    memcpy(second, other, 16);
    ok(judge_fast(image.dev, NULL, &words) == 0 && strcmp(words.text, "[wf1-torn copy] ") == 0 &&
           judge(image.dev, &words) == 0,
       "a torn copy is a note: %s", words.text);
    memcpy(second, other, sizeof other);
    ok(judge_fast(image.dev, NULL, &words) == 1 && strcmp(words.text, "[wf1-copy copy] ") == 0,
       "a copy that is another state is an error: %s", words.text);
    super.writing = true;
    super.nodes.crc32c ^= 1; /* of what may be gone */
    wf1_super_encode(&super, second);
    image.bytes[image.n - 1] = 1;
    ok(judge_fast(image.dev, NULL, &words) == 0 && strcmp(words.text, "[wf1-writing copy] ") == 0 &&
           judge(image.dev, &words) == 0,
       "a writer at work is a note, whatever is in free blocks: %s", words.text);
    memset(first, 0, WF1_BLOCK_BYTES);
    ok(judge_fast(image.dev, NULL, &words) > 0, "the copy that a writer left does not stand in: %s",
       words.text);
    memcpy(image.bytes, sound, sizeof sound);
    memset(first, 0, WF1_BLOCK_BYTES);
    image.bytes[image.n - 1] = 0;
    ok(judge_fast(image.dev, NULL, &words) == 1 && judge(image.dev, &words) > 0,
       "a superblock that is gone is an error, and the copy is read: %s", words.text);
    memcpy(image.bytes, sound, sizeof sound);
    const struct caposwf1_superblock_mut m = {first};
    caposwf1_superblock_set_version(m, 2);
    caposwf1_superblock_seal(m);
    memcpy(second, first, WF1_BLOCK_BYTES);
    struct fs_probe_result probe;
    struct fs *fs = NULL;
    ok(fs_probe_one(&caposwf1_driver, image.dev, NULL, &probe, &err) == 0 && probe.score == FS_PROBE_YES &&
           strstr(probe.refusal, "version 2") != NULL &&
           fs_open(&caposwf1_driver, image.dev, NULL, &fs, &err) == PLAT_EUNSUPPORTED,
       "version 2 is refused by name: %s", probe.refusal);
    dev_close(image.dev);
}

static void test_outside(void)
{
    static const uint64_t places[] = {0, 200 * 512 + 7, 256 * 512 - 1, 359 * 512, 360 * 512 - 1};
    struct image_of image = make(360, 256, 10);
    const struct caposwf1_superblock_mut m = super_of(&image);
    struct words words;
    bool all = true, none = true;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        image.bytes[places[i]] = 1;
        all = all && judge_fast(image.dev, NULL, &words) == 1 && judge(image.dev, &words) == 1;
        image.bytes[places[i]] = 0;
    }
    ok(all, "bytes before the superblocks and behind the last file are found");
    caposwf1_superblock_set_state(m, CAPOSWF1_STATE_SHARED);
    reseal_image(image.bytes, image.n, 256);
    for (size_t i = 0; i < 3; i++) {
        image.bytes[places[i]] = 1;
        none = none && judge_fast(image.dev, NULL, &words) == 0 && judge(image.dev, &words) == 0;
        image.bytes[places[i]] = 0;
    }
    ok(none, "and are another's business in an image that is shared");
    dev_close(image.dev);
}

/* ---- hostile bytes ---- */

static void test_cut_short(void)
{
    struct image_of image = make(100, 0, 10);
    struct words words;
    unsigned missed = 0;
    for (size_t n = 0; n < image.n; n += 61) {
        struct plat_dev *dev = NULL;
        if (dev_open_const(image.bytes, n, "cut", &dev, &err) != 0)
            die("cutting");
        missed += judge_fast(dev, NULL, &words) == 0;
        (void)judge(dev, &words);
        dev_close(dev);
    }
    ok(missed == 0, "an image that is cut short is never sound");
    dev_close(image.dev);
}

/* A few bytes become others, with right checksums: nothing crashes or hangs, and no byte is left out, and none is walked
 * twice but where something is wrong. */
static void test_random(unsigned rounds)
{
    struct image_of image = make(100, 0, 22);
    uint8_t *sound = malloc(image.n);
    struct words words;
    uint64_t seed = 7;
    unsigned found = 0, overlaps = 0;
    if (sound == NULL)
        die("memory");
    memcpy(sound, image.bytes, image.n);
    for (unsigned round = 0; round < rounds; round++) {
        for (uint64_t i = next_random(&seed) % 6; i < 6; i++) {
            const uint64_t value = next_random(&seed);
            image.bytes[next_random(&seed) % (60 * WF1_BLOCK_BYTES)] =
                (uint8_t)(value % 3 == 0 ? value / 3 : value % 4);
        }
        reseal_image(image.bytes, image.n, 0);
        const bool wrong = judge_fast(image.dev, NULL, &words) > 0;
        found += wrong;
        overlaps += !covered_as_damaged(&image, wrong);
        if (round % 8 == 0) {
            exercise(image.dev, true);
            exercise(image.dev, false);
        }
        memcpy(image.bytes, sound, image.n);
    }
    ok(found > rounds / 3, "%u of %u images with other bytes are not sound", found, rounds);
    ok(overlaps == 0, "and a walk has each byte of each, and none twice that is not found");
    free(sound);
    dev_close(image.dev);
}

static void test_coverage(void)
{
    struct image_of small = make(100, 0, 22), lead = make(360, 256, 10), large = make(3000, 0, 700);
    ok(uncovered(&small) == 0 && uncovered(&lead) == 0 && uncovered(&large) == 0,
       "a walk has each byte once");
    dev_close(small.dev);
    dev_close(lead.dev);
    dev_close(large.dev);
}

/* Twelve levels of blocks, each of which names the next one 32 times: who follows them all does not come back. */
static void test_circles(uint64_t number)
{
    enum { FIRST = 80 };
    struct image_of image = make(100, 0, 22);
    const uint32_t bottom = caposwf1_extent_first_block(caposwf1_extent_of(entry_of(&image, number, 0)));
    const uint32_t count = caposwf1_extent_blocks(caposwf1_extent_of(entry_of(&image, number, 0)));
    struct wf1_entry entries[WF1_ENTRIES];
    struct words words;
    for (uint32_t level = 0; level < WF1_MAP_MAX_LEVELS - 1; level++) {
        const bool last = level + 2 == WF1_MAP_MAX_LEVELS;
        for (uint32_t i = 0; i < WF1_ENTRIES; i++)
            entries[i] = (struct wf1_entry){.block = last ? bottom : FIRST + level + 1,
                                            .count = last ? count : WF1_ENTRIES};
        wf1_entries_encode(entries, WF1_ENTRIES, image.bytes + (size_t)(FIRST + level) * WF1_BLOCK_BYTES);
    }
    caposwf1_node_head_set_levels(head_of(&image, number), WF1_MAP_MAX_LEVELS);
    caposwf1_node_head_set_map_entries(head_of(&image, number), 1);
    caposwf1_extent_set_first_block(entry_of(&image, number, 0), FIRST);
    caposwf1_extent_set_blocks(entry_of(&image, number, 0), WF1_ENTRIES);
    memset(record_of(&image, number) + CAPOSWF1_EXTENT_NODE_EXTENTS_OFFSET + CAPOSWF1_EXTENT_BYTES, 0,
           3 * CAPOSWF1_EXTENT_BYTES);
    reseal_image(image.bytes, image.n, 0);
    ok(judge_fast(image.dev, NULL, &words) > 0 && judge(image.dev, &words) > 0 &&
           covered_as_damaged(&image, true),
       "a map that goes round ends: %.200s", words.text);
    exercise(image.dev, true);
    const struct fs_open_options options = {0};
    struct volume *vol = NULL;
    uint64_t node;
    uint8_t buf[WF1_BLOCK_BYTES];
    size_t got;
    if (wf1_volume_open(image.dev, NULL, &options, NULL, &vol, &err) != 0)
        die("opening");
    if (number == FILE_SPARSE)
        (void)caposwf1_driver.read(&vol->fs, number, 3 * WF1_EXTENT_BYTES, buf, sizeof buf, &got, &err);
    else
        (void)caposwf1_driver.lookup(&vol->fs, number, "not there", &node, &err);
    ok(true, "and so does reading what it maps");
    wf1_volume_close(vol);
    dev_close(image.dev);
}

/* A file at each level of a deep tree: paths and places come back as the walk goes up again. */
static void test_deep(void)
{
    enum { LEVELS = 300 };
    struct image_of image = make(4000, 0, 10);
    const struct fs_open_options options = {.writable = true};
    struct volume *vol = NULL;
    struct words words;
    uint64_t dir = 0, node;
    char path[LEVELS * 2 + 8] = "";
    if (wf1_volume_open(image.dev, NULL, &options, NULL, &vol, &err) != 0)
        die("opening");
    for (unsigned i = 0; i < LEVELS; i++) {
        dir = add(&vol->fs, dir, "d", TREE_DIR, NULL);
        put(&vol->fs, add(&vol->fs, dir, i % 2 == 0 ? "c" : "e", TREE_FILE, NULL), 0, i + 1);
        strcat(path, "/d");
    }
    strcat(path, "/e");
    if (caposwf1_writer.finish(&vol->fs, &err) != 0)
        die("finishing");
    ok(fs_resolve(&vol->fs, path, &node, &err) == 0, "a file below %d directories is found", LEVELS);
    wf1_volume_close(vol);
    ok(judge(image.dev, &words) == 0 && uncovered(&image) == 0, "and walked %.200s", words.text);
    dev_close(image.dev);
}

/* ---- hooks, batches, reading ---- */

static void test_hooks(void)
{
    struct image_of image = make(100, 0, 10);
    static const struct {
        enum wf1_step step;
        const char *what;
    } cases[] = {{WF1_CHECK_DATA, "contents"},
                 {WF1_CHECK_FREE, "free blocks"},
                 {WF1_CHECK_BITMAP, "the bitmap"},
                 {WF1_CHECK_BLOCKS, "blocks of metadata"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct wf1_hooks hooks = {.skip = 1u << cases[i].step};
        struct words words;
        uint8_t *at = i == 0   ? below_of(&image, FILE_SMALL)
                      : i == 1 ? image.bytes + image.n - 1
                      : i == 2 ? bottom_of(&image, false, 0) + 12
                               : record_of(&image, EMPTY) + CAPOSWF1_NODE_HEAD_UID_OFFSET;
        *at ^= 1;
        if (i == 2)
            reseal_image(image.bytes, image.n, 0);
        const unsigned found = judge_fast(image.dev, NULL, &words);
        ok(found > 0 && judge_fast(image.dev, &hooks, &words) == 0, "what is not asked is not found: %s",
           cases[i].what);
        *at ^= 1;
        reseal_image(image.bytes, image.n, 0);
    }
    dev_close(image.dev);
}

/* More extents than scrub keeps in mind: passes over the metadata until all have been read. */
static void test_batches(void)
{
    struct image_of image = make(6000, 0, 10);
    const struct fs_open_options options = {.writable = true};
    struct volume *vol = NULL;
    unsigned missed = 0;
    if (wf1_volume_open(image.dev, NULL, &options, NULL, &vol, &err) != 0)
        die("opening");
    for (unsigned i = 0; i < 40; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "file %u", i);
        const uint64_t file = add(&vol->fs, 0, name, TREE_FILE, NULL);
        for (uint64_t at = 0; at < 12; at++)
            put(&vol->fs, file, (11 - at) * WF1_EXTENT_BYTES, 1 + 40 * at);
    }
    if (caposwf1_writer.finish(&vol->fs, &err) != 0)
        die("finishing");
    wf1_volume_close(vol);
    for (size_t pieces = 1; pieces < 600; pieces = pieces * 3 + 1) {
        const struct wf1_hooks hooks = {.scrub_pieces = pieces};
        struct words words;
        ok(judge_fast(image.dev, &hooks, &words) == 0, "sound, %zu extents at a time", pieces);
        for (size_t at = 0; at < image.n; at += 8191) {
            image.bytes[at] ^= 4;
            missed += judge_fast(image.dev, &hooks, &words) == 0;
            image.bytes[at] ^= 4;
        }
    }
    ok(missed == 0, "bytes that change are found in every batch");
    dev_close(image.dev);
}

struct visiting {
    struct fs *fs;
    uint64_t dir;
    unsigned n, wrong;
};
static int visit_again(void *ctx, const struct fs_dirent *entry)
{
    struct visiting *visiting = ctx;
    struct fs_stat stat;
    uint64_t node = 0;
    visiting->n++;
    visiting->wrong += caposwf1_driver.lookup(visiting->fs, visiting->dir, entry->name, &node, &err) != 0 ||
                       node != entry->node || caposwf1_driver.stat(visiting->fs, node, &stat, &err) != 0 ||
                       stat.kind != entry->kind;
    return 0;
}

static void test_reading(void)
{
    struct image_of image = make(3000, 0, 900);
    struct visiting visiting = {0};
    struct strbuf text = {0};
    struct fs_stat stat;
    struct fs_space space;
    struct fs *fs = NULL;
    uint64_t node = 0;
    uint8_t buf[2000];
    size_t got = 0;
    if (fs_open(&caposwf1_driver, image.dev, NULL, &fs, &err) != 0)
        die("opening");
    visiting.fs = fs;
    ok(fs_resolve(fs, "/a/b", &visiting.dir, &err) == 0 &&
           caposwf1_driver.readdir(fs, visiting.dir, visit_again, &visiting, &err) == 0 &&
           visiting.n == 720 && visiting.wrong == 0,
       "names are found while their directory is read: %u, %u wrong", visiting.n, visiting.wrong);
    ok(fs_resolve(fs, "/a/small", &node, &err) == 0 && caposwf1_driver.stat(fs, node, &stat, &err) == 0 &&
           stat.size_bytes == 700 && stat.mode == 0644 && stat.uid == 7 && stat.mtime_s == -2 &&
           stat.mtime_ns == 500000000 && stat.has_mtime && stat.modified.clock == FS_CLOCK_UNTRUSTED &&
           stat.created.clock == FS_CLOCK_STATED && stat.created.ns == 1700000000000000000,
       "a file has its size, owner and times");
    ok(caposwf1_driver.read(fs, node, 699, buf, sizeof buf, &got, &err) == 0 && got == 1 &&
           buf[0] == (uint8_t)(699 * 7 + 1) &&
           caposwf1_driver.read(fs, node, UINT64_MAX, buf, sizeof buf, &got, &err) == 0 && got == 0,
       "reads end with the file");
    ok(fs_resolve(fs, "/a/sparse", &node, &err) == 0 &&
           caposwf1_driver.read(fs, node, WF1_EXTENT_BYTES + 500, buf, 20, &got, &err) == 0 && got == 20 &&
           buf[11] == 0 && buf[12] == 1,
       "a hole reads as zeros");
    ok(fs_resolve(fs, "/link", &node, &err) == 0 && caposwf1_driver.readlink(fs, node, &text, &err) == 0 &&
           strcmp(strbuf_str(&text), "a/small") == 0 &&
           caposwf1_driver.read(fs, node, 0, buf, 1, &got, &err) == PLAT_EINVALID,
       "the target of a link");
    ok(fs_resolve(fs, "/null", &node, &err) == 0 && caposwf1_driver.stat(fs, node, &stat, &err) == 0 &&
           stat.kind == TREE_CHAR && stat.device == 0x503,
       "a device");
    ok(fs_resolve(fs, "/a/smal", &node, &err) == PLAT_ENOTFOUND &&
           fs_resolve(fs, "/a/small.", &node, &err) == PLAT_ENOTFOUND &&
           fs_resolve(fs, "/empty/x", &node, &err) == PLAT_ENOTFOUND,
       "names near by are not found");
    ok(caposwf1_driver.space(fs, &space, &err) == 0 && space.total_bytes == 2998 * 512 &&
           space.n_files == 727 && strcmp(space.label, "TEST") == 0,
       "space");
    strbuf_free(&text);
    fs_close(fs);
    dev_close(image.dev);
}

int main(void)
{
    const unsigned share = tap_share();
    test_sound();
    test_pair();
    test_outside();
    test_cut_short();
    test_coverage();
    test_deep();
    test_circles(FILE_SPARSE);
    test_circles(DIR_A);
    test_circles(DIR_B);
    test_random(20000 / share);
    test_hooks();
    test_batches();
    test_reading();
    test_speed();
    test_random_bits(400 / share);
    test_every_bit(64, 0, 128);
    return tap_done();
}
