/* A CAPOSWF1 that is nearly full all the time: random names, contents, cuts and renames on images of many sizes. A change
 * is refused for want of room before anything of it is done, whatever is staged can always be committed, and until it is,
 * what was committed before is whole.
 *
 * Catches: a change, or the piece of a file that is still gathered, that needs more blocks than were counted for it,
 * a block taken again before the commit that frees it. */
#include "tests/unit/caposwf1_shell.h"

enum { ENTRIES = 120, STEPS = 4000, IMAGES = 80, WRITE_BYTES = 150000, CUT_EVERY = 40 };

static const struct fs_writer *const writer = &caposwf1_writer;
static struct entry {
    bool used, directory;
    unsigned held; /* names in it */
    size_t in;     /* entry 0 is the root */
    uint64_t node;
    char name[WF1_NAME_MAX_BYTES + 1];
} entries[ENTRIES];
static unsigned n_refused;

static uint64_t random_state;
static uint64_t dice(uint64_t sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % sides;
}

static struct fs_place place_of(const struct entry *entry)
{
    return (struct fs_place){entries[entry->in].node, entry->name};
}

static int create(struct fs *fs, size_t i)
{
    static char target[WF1_TARGET_MAX_BYTES + 1];
    const enum tree_kind kind = dice(5) == 0 ? TREE_DIR : dice(6) == 0 ? TREE_SYMLINK : TREE_FILE;
    const struct fs_new what = {.kind = kind, .mode = 0644, .target = target};
    struct entry *entry = &entries[i];
    const size_t n = dice(3) == 0 ? WF1_NAME_MAX_BYTES : 5 + (size_t)dice(60);
    *entry = (struct entry){.in = (size_t)dice(ENTRIES), .directory = kind == TREE_DIR};
    if (!entries[entry->in].used || !entries[entry->in].directory)
        entry->in = 0;
    memset(entry->name, 'a' + (int)dice(26), n);
    entry->name[snprintf(entry->name, 5, "%04zu", i)] = 'x';
    memset(target, 0, sizeof target);
    memset(target, 't', 1 + (size_t)dice(dice(2) == 0 ? WF1_TARGET_MAX_BYTES : 60));
    const struct fs_place place = place_of(entry);
    int rc = writer->create(fs, &place, &what, &entry->node, &err);
    entry->used = rc == 0;
    entries[entry->in].held += rc == 0;
    return rc;
}

static void gone(struct entry *entry)
{
    entry->used = false;
    entries[entry->in].held--;
}

static int rename_over(struct fs *fs, struct entry *from, struct entry *to)
{
    if (to == from || to == &entries[0] || !to->used || to->held > 0 || to->directory != from->directory)
        return 0;
    const struct fs_place a = place_of(from), b = place_of(to);
    int rc = writer->rename(fs, &a, &b, &err);
    if (rc == PLAT_EINVALID) /* into itself */
        return 0;
    if (rc == 0) {
        const uint64_t node = from->node;
        const unsigned held = from->held;
        gone(from);
        to->node = node;
        to->held = held;
        for (size_t i = 0; i < ENTRIES; i++)
            if (entries[i].used && entries[i].in == (size_t)(from - entries))
                entries[i].in = (size_t)(to - entries);
    }
    return rc;
}

static int step(struct fs *fs, uint64_t most)
{
    static uint8_t bytes[WRITE_BYTES];
    const size_t i = (size_t)dice(ENTRIES);
    struct entry *entry = &entries[i];
    const struct fs_place place = place_of(entry);
    const uint64_t what = dice(100);
    if (!entry->used)
        return create(fs, i);
    if (i == 0)
        return dice(3) == 0 ? writer->finish(fs, &err) : writer->commit(fs, &err);
    if (what < 50 && !entry->directory) {
        const size_t n = 1 + (size_t)dice(dice(4) == 0 ? WRITE_BYTES : 3000);
        for (size_t k = 0; k < n; k += 1 + (size_t)dice(300))
            bytes[k] = (uint8_t)dice(256);
        int rc = writer->write(fs, entry->node, dice(most), bytes, n, &err);
        return rc == PLAT_EINVALID ? 0 : rc; /* a link */
    }
    if (what < 62 && !entry->directory) {
        int rc = writer->truncate(fs, entry->node, dice(3) == 0 ? 0 : dice(most), &err);
        return rc == PLAT_EINVALID ? 0 : rc;
    }
    if (what < 80 && entry->held == 0) {
        int rc = writer->remove(fs, &place, &err);
        if (rc == 0)
            gone(entry);
        return rc;
    }
    return rename_over(fs, entry, &entries[dice(ENTRIES)]);
}

/* As if there were a power cut now. */
static unsigned cut_now(struct plat_dev *dev, struct words *ret)
{
    struct plat_dev *copy;
    if (dev_open_memory(dev->size_bytes, "copy", &copy, &err) != 0)
        die("a copy");
    memcpy(dev_memory_bytes(copy), dev_memory_bytes(dev), (size_t)dev->size_bytes);
    const unsigned errors = judge_fast(copy, NULL, ret);
    dev_close(copy);
    return errors;
}

static void run(uint64_t seed)
{
    random_state = seed * 0x9E3779B97F4A7C15u + 1;
    const uint64_t blocks = 60 + dice(dice(3) == 0 ? 5000 : 500), most = dice(2) == 0 ? 65536 : 400000;
    const struct wf1_shape shape = {.region_first_block = 2, .region_blocks = blocks - 2};
    const struct fs_open_options options = {.writable = true};
    struct plat_dev *dev;
    struct volume *vol = NULL;
    struct words words;
    unsigned errors = 0;
    int rc = 0, steps = 0;
    if (dev_open_memory(blocks * WF1_BLOCK_BYTES, "image", &dev, &err) != 0 ||
        wf1_format(dev, &shape, &err) != 0 || wf1_volume_open(dev, NULL, &options, NULL, &vol, &err) != 0)
        die("making");
    memset(entries, 0, sizeof entries);
    entries[0] = (struct entry){.used = true, .directory = true};
    for (; steps < STEPS && rc == 0 && errors == 0; steps++) {
        rc = step(&vol->fs, most);
        if (steps % CUT_EVERY == 0)
            errors = cut_now(dev, &words);
        if (rc != PLAT_ELIMIT || vol->writer->failed)
            continue;
        n_refused++;
        rc = dice(2) == 0 ? writer->commit(&vol->fs, &err) : 0;
    }
    if (rc == 0)
        rc = writer->finish(&vol->fs, &err);
    wf1_volume_close(vol);
    if (errors == 0)
        errors = judge_fast(dev, NULL, &words);
    ok(rc == 0 && errors == 0, "seed %llu, %llu blocks: %d changes, none half done, and sound %s%s",
       (unsigned long long)seed, (unsigned long long)blocks, steps, rc == 0 ? "" : err.text, words.text);
    dev_close(dev);
}

int main(void)
{
    for (uint64_t seed = 1; seed <= IMAGES; seed += tap_share())
        run(seed);
    ok(n_refused > 100, "%u changes were refused for want of room", n_refused);
    return tap_done();
}
