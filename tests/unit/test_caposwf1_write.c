/* Changing a CAPOSWF1: random operations against a model in memory, maps of several levels, full filesystems, and what a
 * commit costs. tests/crash has the power cuts.
 *
 * Catches: contents that are not what was written, blocks that are lost or used twice, a change that is refused and
 * half done, a commit that grows with the filesystem. */
#include <stdlib.h>

#include "tests/unit/caposwf1_change.h"

/* ---- random operations ---- */

static uint64_t random_state;
static uint64_t dice(uint64_t sides)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % sides;
}

enum { FILES = 24, FILE_BYTES = 300000, SLACK_BYTES = 70000 };
static struct model_file {
    bool used;
    size_t size;
    uint64_t node;
    char name[256];
    uint8_t *bytes;
} files[FILES];

static void model_reset(void)
{
    for (size_t i = 0; i < FILES; i++) {
        uint8_t *bytes = files[i].bytes != NULL ? files[i].bytes : malloc(FILE_BYTES + SLACK_BYTES);
        files[i] = (struct model_file){.bytes = bytes};
        memset(bytes, 0, FILE_BYTES + SLACK_BYTES);
    }
}

/* A new name for file i. */
static int random_create(struct fs *fs, size_t i)
{
    struct model_file *file = &files[i];
    const size_t n = dice(4) == 0 ? 200 : 8;
    char name[256] = {0};
    memset(name, (int)('a' + dice(26)), n);
    (void)snprintf(name + n, sizeof name - n, "%zu", i);
    int rc = add(fs, WF1_ROOT_NODE, name, TREE_FILE, &file->node);
    if (rc != 0)
        return rc;
    memcpy(file->name, name, sizeof name);
    memset(file->bytes, 0, FILE_BYTES + SLACK_BYTES);
    file->used = true;
    file->size = 0;
    return 0;
}

static int random_write(struct fs *fs, struct model_file *file, size_t most)
{
    static uint8_t buf[SLACK_BYTES];
    const size_t offset = dice(2) == 0 && file->size < most ? file->size : (size_t)dice(most);
    const size_t n = 1 + (size_t)dice(dice(3) == 0 ? SLACK_BYTES - 1 : 2000);
    const bool zeros = dice(6) == 0;
    for (size_t i = 0; i < n; i++)
        buf[i] = zeros ? 0 : (uint8_t)dice(256);
    int rc = writer->write(fs, file->node, offset, buf, n, &err);
    if (rc == 0) {
        memcpy(file->bytes + offset, buf, n);
        file->size = offset + n > file->size ? offset + n : file->size;
    }
    return rc;
}

static int random_truncate(struct fs *fs, struct model_file *file, size_t most)
{
    const size_t size = dice(3) == 0 ? 0 : (size_t)dice(file->size > 0 && dice(2) == 0 ? file->size : most);
    int rc = writer->truncate(fs, file->node, size, &err);
    if (rc == 0) {
        if (size < file->size)
            memset(file->bytes + size, 0, file->size - size);
        file->size = size;
    }
    return rc;
}

static bool same_content(struct fs *fs, const struct model_file *file)
{
    static uint8_t buf[FILE_BYTES + SLACK_BYTES];
    struct fs_stat stat;
    size_t n = 0;
    must(caposwf1_driver.stat(fs, file->node, &stat, &err), "stat");
    must(caposwf1_driver.read(fs, file->node, 0, buf, sizeof buf, &n, &err), "read");
    return stat.size_bytes == file->size && n == file->size && memcmp(buf, file->bytes, n) == 0;
}

/* Over another file. */
static int random_rename(struct fs *fs, struct model_file *file, struct model_file *over)
{
    const struct fs_place from = {WF1_ROOT_NODE, file->name}, to = {WF1_ROOT_NODE, over->name};
    int rc = writer->rename(fs, &from, &to, &err);
    if (rc == 0) {
        uint8_t *spare = over->bytes;
        over->bytes = file->bytes;
        over->size = file->size;
        over->node = file->node;
        file->bytes = spare;
        file->used = false;
    }
    return rc;
}

/* False: a difference. A refusal for want of room is an answer; a commit then makes some. */
static bool random_step(struct fs *fs, size_t most)
{
    const size_t i = (size_t)dice(FILES), k = (size_t)dice(FILES);
    struct model_file *file = &files[i];
    const uint64_t what = dice(100);
    int rc = 0;
    if (!file->used) {
        rc = random_create(fs, i);
    } else if (what < 50) {
        rc = random_write(fs, file, most);
    } else if (what < 62) {
        rc = random_truncate(fs, file, most);
    } else if (what < 70) {
        const struct fs_place place = {WF1_ROOT_NODE, file->name};
        rc = writer->remove(fs, &place, &err);
        file->used = rc != 0;
    } else if (what < 78 && k != i && files[k].used) {
        rc = random_rename(fs, file, &files[k]);
    } else if (what < 94) {
        return same_content(fs, file);
    } else {
        rc = what < 98 ? writer->commit(fs, &err) : writer->finish(fs, &err);
    }
    if (rc == PLAT_ELIMIT)
        rc = writer->commit(fs, &err);
    return rc == 0;
}

static void test_random(uint64_t seed, uint64_t blocks, uint32_t superblock_block, size_t most)
{
    struct plat_dev *dev = fresh(blocks, superblock_block);
    struct fs *fs = reach(dev, true);
    bool good = true;
    random_state = seed * 7919 + 1;
    model_reset();
    for (int step = 0; good && step < 500; step++)
        good = random_step(fs, most);
    if (!good)
        printf("# %s\n", err.text);
    must(writer->finish(fs, &err), "finish");
    leave(fs);
    fs = reach(dev, false);
    for (size_t i = 0; good && i < FILES; i++) {
        uint64_t node = 0;
        if (!files[i].used)
            continue;
        must(caposwf1_driver.lookup(fs, WF1_ROOT_NODE, files[i].name, &node, &err), "lookup");
        good = node == files[i].node && same_content(fs, &files[i]);
    }
    leave(fs);
    ok(good && sound(dev), "500 operations, seed %llu, %llu blocks: all files as in the model, and sound",
       (unsigned long long)seed, (unsigned long long)blocks);
    dev_close(dev);
}

/* ---- large ---- */

static void test_levels(void)
{
    enum { STEPS = 3000 };
    struct plat_dev *dev = fresh(400000, WF1_DEFAULT_BLOCK);
    struct fs *fs = reach(dev, true);
    struct wf1_node node;
    uint64_t number;
    uint8_t byte = 0, got = 0;
    size_t n;
    bool good = true;
    must(add(fs, WF1_ROOT_NODE, "sparse", TREE_FILE, &number), "create");
    /* From both ends to the middle, so that blocks are halved, too. */
    for (uint64_t i = 0; i < STEPS; i++) {
        const uint64_t at = (i % 2 == 0 ? i : 2 * STEPS - i) * WF1_EXTENT_BYTES + 77;
        byte = (uint8_t)(1 + i % 255);
        must(writer->write(fs, number, at, &byte, 1, &err), "write");
    }
    must(writer->commit(fs, &err), "commit");
    must(wf1_node_read(&volume_of(fs)->reader, number, &node, &err), "node");
    for (uint64_t i = 0; good && i < STEPS; i++) {
        const uint64_t at = (i % 2 == 0 ? i : 2 * STEPS - i) * WF1_EXTENT_BYTES + 77;
        must(caposwf1_driver.read(fs, number, at, &got, 1, &n, &err), "read");
        good = n == 1 && got == (uint8_t)(1 + i % 255);
        must(caposwf1_driver.read(fs, number, at + 1, &got, 1, &n, &err), "read");
        good = good && (n == 0 || got == 0);
    }
    must(writer->finish(fs, &err), "finish");
    ok(good && node.levels >= 2 && sound(dev), "3000 extents on %u levels, far apart: all there, and sound",
       node.levels);
    must(writer->truncate(fs, number, 1000 * (uint64_t)WF1_EXTENT_BYTES + 78, &err), "truncate");
    must(caposwf1_driver.read(fs, number, 1000 * (uint64_t)WF1_EXTENT_BYTES + 77, &got, 1, &n, &err), "read");
    must(writer->finish(fs, &err), "finish");
    ok(n == 1 && got == (uint8_t)(1 + 1000 % 255) && sound(dev),
       "cut in the middle: the first half is there");
    const struct fs_place place = {WF1_ROOT_NODE, "sparse"};
    must(writer->remove(fs, &place, &err), "remove");
    must(writer->finish(fs, &err), "finish");
    const struct wf1_super *super = &volume_of(fs)->reader.super;
    ok(super->region_blocks - super->free_blocks < 16 && sound(dev), "removed: %llu blocks are left in use",
       (unsigned long long)(super->region_blocks - super->free_blocks));
    leave(fs);
    dev_close(dev);
}

/* ---- what a commit costs ---- */

static size_t sectors_written(struct plat_dev *recorder, size_t from)
{
    const struct dev_event *events;
    const size_t n = dev_recorder_events(recorder, &events);
    size_t sectors = 0;
    for (size_t i = from; i < n; i++)
        sectors += events[i].n / WF1_BLOCK_BYTES;
    return sectors;
}

static size_t commit_cost(uint64_t files_there)
{
    struct plat_dev *dev = fresh(files_there * 2 + 4000, 0), *recorder;
    struct fs *fs = reach(dev, true);
    const struct dev_event *events;
    uint64_t node = 0;
    char name[32];
    for (uint64_t i = 0; i < files_there; i++) {
        (void)snprintf(name, sizeof name, "file %llu", (unsigned long long)i);
        must(add(fs, WF1_ROOT_NODE, name, TREE_FILE, &node), "create");
    }
    must(writer->finish(fs, &err), "finish");
    leave(fs);
    must(dev_open_recorder(dev, &recorder, &err), "recorder");
    fs = reach(recorder, true);
    must(writer->write(fs, node, 0, "x", 1, &err), "write");
    must(writer->commit(fs, &err), "commit");
    const size_t before = dev_recorder_events(recorder, &events);
    must(writer->write(fs, node, 0, "y", 1, &err), "write");
    must(writer->commit(fs, &err), "commit");
    const size_t cost = sectors_written(recorder, before);
    leave(fs);
    dev_close(recorder);
    dev_close(dev);
    return cost;
}

static void test_cost(void)
{
    const size_t few = commit_cost(10), many = commit_cost(100000);
    ok(few <= 6 && many <= 12,
       "a byte written and committed: %zu sectors beside 10 files, %zu beside 100,000", few, many);
}

/* ---- who sees what, and refusals ---- */

static void test_transaction(void)
{
    struct plat_dev *dev = fresh(200, 0);
    struct fs *fs = reach(dev, true), *other;
    uint64_t node, found;
    must(add(fs, WF1_ROOT_NODE, "a", TREE_FILE, &node), "create");
    must(writer->write(fs, node, 0, "text", 4, &err), "write");
    other = reach(dev, false);
    ok(caposwf1_driver.lookup(other, WF1_ROOT_NODE, "a", &found, &err) == PLAT_ENOTFOUND &&
           caposwf1_driver.lookup(fs, WF1_ROOT_NODE, "a", &found, &err) == 0,
       "what is staged is seen by this handle and nobody else");
    ok(writer->create(other, &(struct fs_place){0, "b"}, &(struct fs_new){.kind = TREE_FILE}, &found, &err) ==
           PLAT_EUNSUPPORTED,
       "a handle for reading changes nothing");
    leave(other);
    must(writer->commit(fs, &err), "commit");
    other = reach(dev, false);
    ok(caposwf1_driver.lookup(other, WF1_ROOT_NODE, "a", &found, &err) == 0 && !volume_of(other)->pair.clean,
       "behind the commit everybody sees it, and that a writer is at work");
    leave(other);
    must(writer->finish(fs, &err), "finish");
    ok(sound(dev), "finished: clean");
    leave(fs);
    dev_close(dev);
}

/* A reader that stays while the writer goes on: its blocks get other contents. */
static void test_overtaken(void)
{
    struct plat_dev *dev = fresh(60, 0);
    struct fs *fs = reach(dev, true), *other;
    const struct finding_sink sink = {.fn = on_finding};
    static uint8_t text[3000], got[3000];
    uint64_t node;
    size_t n;
    int rc = 0;
    must(add(fs, WF1_ROOT_NODE, "a", TREE_FILE, &node), "create");
    must(writer->write(fs, node, 0, text, sizeof text, &err), "write");
    must(writer->finish(fs, &err), "finish");
    other = reach(dev, false);
    must(caposwf1_driver.read(other, node, 0, got, sizeof got, &n, &err), "read");
    for (int i = 0; i < 8; i++) {
        must(writer->write(fs, node, 0, memset(text, i + 1, sizeof text), sizeof text, &err), "write");
        must(writer->commit(fs, &err), "commit");
    }
    volume_of(other)->reader.slots[0].block = 0;
    rc = caposwf1_driver.read(other, node, 0, got, sizeof got, &n, &err);
    ok(rc == PLAT_EIO || (rc == 0 && bytes_all(got, n, 0)),
       "read while a writer goes on: what was there, or a word about it (%s)", rc == 0 ? "" : err.text);
    ok(caposwf1_check(other, &sink, &err) == PLAT_EIO && caposwf1_scrub(other, &sink, NULL, &err) == PLAT_EIO,
       "check and scrub say that they saw two states: %s", err.text);
    leave(other);
    must(writer->finish(fs, &err), "finish");
    leave(fs);
    ok(sound(dev), "and nothing is wrong");
    dev_close(dev);
}

static void test_refusals(void)
{
    struct plat_dev *dev = fresh(300, 0);
    struct fs *fs = reach(dev, true);
    uint64_t dir, sub, file, node;
    char name[300];
    must(add(fs, WF1_ROOT_NODE, "dir", TREE_DIR, &dir), "mkdir");
    must(add(fs, dir, "sub", TREE_DIR, &sub), "mkdir");
    must(add(fs, WF1_ROOT_NODE, "file", TREE_FILE, &file), "create");
    must(add(fs, WF1_ROOT_NODE, "link", TREE_SYMLINK, &node), "symlink");
    memset(name, 'x', sizeof name);
    name[256] = '\0';
    const struct fs_place d = {0, "dir"}, f = {0, "file"}, inner = {sub, "dir"}, none = {0, "none"};
    ok(add(fs, WF1_ROOT_NODE, "file", TREE_FILE, &node) == PLAT_EINVALID &&
           add(fs, file, "a", TREE_FILE, &node) == PLAT_EINVALID &&
           add(fs, 999, "a", TREE_FILE, &node) == PLAT_ENOTFOUND &&
           add(fs, 0, "..", TREE_FILE, &node) == PLAT_EINVALID &&
           add(fs, 0, "a/b", TREE_FILE, &node) == PLAT_EINVALID &&
           add(fs, 0, name, TREE_FILE, &node) == PLAT_EINVALID,
       "create: it exists, no directory, no node, no names");
    ok(writer->remove(fs, &d, &err) == PLAT_EINVALID && writer->remove(fs, &none, &err) == PLAT_ENOTFOUND,
       "remove: not empty, not there");
    ok(writer->rename(fs, &d, &inner, &err) == PLAT_EINVALID &&
           writer->rename(fs, &f, &d, &err) == PLAT_EINVALID &&
           writer->rename(fs, &d, &f, &err) == PLAT_EINVALID &&
           writer->rename(fs, &none, &f, &err) == PLAT_ENOTFOUND && writer->rename(fs, &f, &f, &err) == 0,
       "rename: into itself, over the other kind, not there, to itself");
    ok(writer->write(fs, dir, 0, "x", 1, &err) == PLAT_EINVALID &&
           writer->truncate(fs, node, 0, &err) == PLAT_EINVALID &&
           writer->write(fs, file, UINT64_MAX - 1, "x", 1, &err) == PLAT_ELIMIT &&
           writer->truncate(fs, file, UINT64_MAX, &err) == PLAT_ELIMIT,
       "write and truncate: no file, too far");
    must(writer->finish(fs, &err), "finish");
    leave(fs);
    ok(sound(dev), "and all of that changed nothing");
    dev_close(dev);
}

/* Filled to the last block, emptied again; each refusal leaves what was there. */
static void test_full(void)
{
    struct plat_dev *dev = fresh(120, 0);
    struct fs *fs = reach(dev, true);
    static uint8_t buf[4000];
    char name[16];
    uint64_t node;
    int files_made = 0, rc = 0;
    memset(buf, 7, sizeof buf);
    const uint64_t free_before = volume_of(fs)->reader.super.free_blocks;
    for (; rc == 0; files_made++) {
        (void)snprintf(name, sizeof name, "f%d", files_made);
        rc = add(fs, WF1_ROOT_NODE, name, TREE_FILE, &node);
        if (rc == 0)
            rc = writer->write(fs, node, 0, buf, sizeof buf, &err);
        if (rc == 0)
            rc = writer->commit(fs, &err);
    }
    ok(rc == PLAT_ELIMIT && files_made > 5, "full after %d files: %s", files_made, err.text);
    must(writer->commit(fs, &err), "commit");
    must(writer->finish(fs, &err), "finish");
    ok(sound(dev), "full and sound");
    while (files_made-- > 0) {
        (void)snprintf(name, sizeof name, "f%d", files_made);
        const struct fs_place place = {WF1_ROOT_NODE, name};
        rc = writer->remove(fs, &place, &err);
        if (rc != PLAT_ENOTFOUND)
            must(rc, "remove on a full filesystem");
        must(writer->commit(fs, &err), "commit");
    }
    must(writer->finish(fs, &err), "finish");
    const uint64_t free_after = volume_of(fs)->reader.super.free_blocks;
    ok(sound(dev) && free_before - free_after < 6, "emptied again: %llu of %llu blocks are free",
       (unsigned long long)free_after, (unsigned long long)free_before);
    leave(fs);
    dev_close(dev);
}

/* ---- growing ---- */

static void test_grow(void)
{
    struct plat_dev *dev = fresh(20000, 0);
    const struct wf1_shape small = {.region_first_block = 2, .region_blocks = 98};
    struct fs *fs;
    uint64_t node, found;
    memset(dev_memory_bytes(dev), 0, dev->size_bytes);
    must(wf1_format(dev, &small, &err), "format");
    fs = reach(dev, true);
    must(add(fs, WF1_ROOT_NODE, "a", TREE_FILE, &node), "create");
    must(writer->write(fs, node, 0, "text", 4, &err), "write");
    ok(writer->grow(fs, 99 * WF1_BLOCK_BYTES, &err) == PLAT_EINVALID &&
           writer->grow(fs, 20001 * WF1_BLOCK_BYTES, &err) == PLAT_EINVALID,
       "not smaller, and not beyond the device");
    must(writer->grow(fs, 5000 * WF1_BLOCK_BYTES, &err), "grow");
    must(writer->grow(fs, 20000 * WF1_BLOCK_BYTES, &err), "grow");
    must(writer->finish(fs, &err), "finish");
    leave(fs);
    fs = reach(dev, true);
    const struct wf1_super *super = &volume_of(fs)->reader.super;
    ok(super->region_blocks == 19998 && super->bitmap_levels == 1 && super->free_blocks > 19900 &&
           sound(dev) && caposwf1_driver.lookup(fs, WF1_ROOT_NODE, "a", &found, &err) == 0,
       "grown twice, with one more level of the bitmap");
    static uint8_t buf[1 << 20];
    for (int i = 0; i < 9; i++)
        must(writer->write(fs, node, (uint64_t)i * sizeof buf, memset(buf, i + 1, sizeof buf), sizeof buf,
                           &err),
             "write");
    must(writer->finish(fs, &err), "finish");
    ok(sound(dev), "and filled");
    leave(fs);
    dev_close(dev);
}

int main(void)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        test_random(seed, 70, 0, 3000);
        test_random(seed, 30000, WF1_DEFAULT_BLOCK, FILE_BYTES);
    }
    test_levels();
    test_cost();
    test_transaction();
    test_overtaken();
    test_refusals();
    test_full();
    test_grow();
    for (size_t i = 0; i < FILES; i++)
        free(files[i].bytes);
    return tap_done();
}
