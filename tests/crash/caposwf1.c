/* The writable filesystem under power cuts: what its images hold, and the judge. wf1_work.c has the workloads. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "lib/hash/hash.h"
#include "tests/crash/formats.h"
#include "tests/crash/verdict.h"
#include "tests/crash/wf1_work.h"

enum { JUDGE_NAMES = MODEL_NODES, JUDGE_DEPTH = 64 };

/* ---- the digest of what a filesystem holds ---- */

struct walk {
    struct wf1_reader *reader;
    uint64_t digest;
    unsigned depth;
    struct plat_err *err;
};
/* The names of a directory: wf1_list does not let anybody read while it calls. */
struct names {
    unsigned n;
    struct {
        uint32_t node;
        uint64_t path;
    } list[JUDGE_NAMES];
    uint64_t dir_path;
};

static int keep_name(void *ctx, const struct wf1_name *name)
{
    struct names *names = ctx;
    if (names->n == JUDGE_NAMES)
        return PLAT_ELIMIT;
    names->list[names->n].node = name->node;
    names->list[names->n++].path = digest_path(names->dir_path, name->name, name->bytes);
    return 0;
}

static int content_digest(struct walk *walk, const struct wf1_node *node, uint64_t *ret)
{
    struct wf1_entry extents[WF1_EXTENT_BLOCKS];
    uint8_t bytes[WF1_EXTENT_BYTES];
    const uint64_t blocks = wf1_blocks_of(node->size_bytes);
    for (uint64_t first = 0; first < blocks; first += WF1_EXTENT_BLOCKS) {
        uint32_t n = 0;
        int rc = wf1_extents(walk->reader, node, (uint32_t)first, extents, &n, walk->err);
        for (uint32_t i = 0; rc == 0 && i < n; i++) {
            const uint64_t start = (uint64_t)extents[i].key * WF1_BLOCK_BYTES;
            const size_t want = (size_t)extents[i].count * WF1_BLOCK_BYTES;
            size_t got = 0;
            rc = wf1_read(walk->reader, node, start, bytes, want, &got, walk->err);
            if (rc == 0)
                memset(bytes + got, 0, want - got);
            for (uint32_t k = 0; rc == 0 && k < extents[i].count; k++)
                if (!bytes_all(bytes + (size_t)k * WF1_BLOCK_BYTES, WF1_BLOCK_BYTES, 0))
                    *ret += digest_block(extents[i].key + k, bytes + (size_t)k * WF1_BLOCK_BYTES);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int node_digest(struct walk *walk, uint32_t number, uint64_t path)
{
    static const enum tree_kind kinds[] = {
        [CAPOSWF1_NODE_KIND_DIRECTORY] = TREE_DIR,      [CAPOSWF1_NODE_KIND_FILE] = TREE_FILE,
        [CAPOSWF1_NODE_KIND_SYMLINK] = TREE_SYMLINK,    [CAPOSWF1_NODE_KIND_CHAR_DEVICE] = TREE_CHAR,
        [CAPOSWF1_NODE_KIND_BLOCK_DEVICE] = TREE_BLOCK, [CAPOSWF1_NODE_KIND_FIFO] = TREE_FIFO,
        [CAPOSWF1_NODE_KIND_SOCKET] = TREE_SOCKET};
    struct wf1_node node;
    struct names *names = NULL;
    int rc = wf1_node_read(walk->reader, number, &node, walk->err);
    if (rc != 0)
        return rc;
    struct digest_node plain = {.kind = kinds[node.kind],
                                .mode = node.mode,
                                .uid = node.uid,
                                .gid = node.gid,
                                .created = {(enum fs_clock)node.created_clock, node.created_ns},
                                .modified = {(enum fs_clock)node.modified_clock, node.modified_ns}};
    if (plain.kind == TREE_CHAR || plain.kind == TREE_BLOCK)
        plain.device = makedev(node.device_major, node.device_minor);
    if (plain.kind == TREE_FILE || plain.kind == TREE_SYMLINK) {
        plain.size_bytes = node.size_bytes;
        rc = content_digest(walk, &node, &plain.content);
    }
    walk->digest += digest_node(path, &plain);
    if (rc != 0 || plain.kind != TREE_DIR)
        return rc;
    if (++walk->depth > JUDGE_DEPTH)
        return err_set(walk->err, PLAT_ELIMIT, "directories lie deeper than anybody put them");
    names = malloc(sizeof *names);
    if (names == NULL)
        return err_nomem(walk->err, "a digest");
    names->n = 0;
    names->dir_path = path;
    rc = wf1_list(walk->reader, &node, keep_name, names, walk->err);
    for (unsigned i = 0; rc == 0 && i < names->n; i++)
        rc = node_digest(walk, names->list[i].node, names->list[i].path);
    walk->depth--;
    free(names);
    return rc;
}

int wf1_volume_digest(struct volume *vol, uint64_t *ret, struct plat_err *err)
{
    struct walk walk = {.reader = &vol->reader, .err = err};
    if (!vol->sound)
        return err_set(err, PLAT_ECORRUPT, "no superblock counts: %.200s", vol->fault.text);
    walk.digest = vol->reader.super.region_blocks;
    int rc = vol->writer == NULL ? 0 : wf1_window_flush(vol->writer, err);
    if (rc == 0)
        rc = node_digest(&walk, WF1_ROOT_NODE, DIGEST_ROOT_PATH);
    if (rc == 0)
        *ret = walk.digest;
    return rc;
}

/* ---- images ---- */

static uint64_t image_bytes(uint64_t seed)
{
    return wf1_setting_of(seed).image_blocks * WF1_BLOCK_BYTES;
}

/* What lies before the superblocks and behind the region: somebody else's bytes, which must stay as they are. */
static void strangers(uint64_t seed, struct range ret[2])
{
    const struct wf1_setting setting = wf1_setting_of(seed);
    const struct wf1_shape *shape = &setting.shape;
    const uint64_t end = (shape->region_first_block + shape->region_blocks) * WF1_BLOCK_BYTES;
    ret[0] = (struct range){0, shape->shared ? (uint64_t)shape->superblock_block * WF1_BLOCK_BYTES : 0};
    ret[1] = (struct range){end, shape->shared ? setting.image_blocks * WF1_BLOCK_BYTES - end : 0};
}

static int make(struct plat_dev *dev, uint64_t seed, uint64_t *ret_digest, struct plat_err *err)
{
    const struct wf1_setting setting = wf1_setting_of(seed);
    struct model *model = calloc(1, sizeof *model);
    struct range others[2];
    if (model == NULL)
        return err_nomem(err, "a model");
    strangers(seed, others);
    for (size_t i = 0; i < 2; i++)
        memset(dev_memory_bytes(dev) + others[i].start, STRANGER, others[i].bytes);
    model_init(model, WF1_ROOT_NODE, setting.shape.region_blocks);
    *ret_digest = model_digest(model);
    free(model);
    return wf1_format(dev, &setting.shape, err);
}

static int work(struct crash_run *run, struct plat_dev *dev, uint64_t seed, uint64_t skip,
                struct plat_err *err)
{
    const struct wf1_hooks hooks = {.skip = skip};
    struct session s = {.run = run, .err = err};
    return wf1_work(&s, dev, &hooks, seed);
}

/* ---- the next writer ---- */

/* Makes a file, which changes the digest by what *ret_change gets. */
static int resume_file(struct volume *vol, uint64_t seed, uint64_t *ret_change, struct plat_err *err)
{
    static const char name[] = "the next writer", renamed[] = "the next writer was here";
    uint8_t bytes[WF1_BLOCK_BYTES] = {0};
    const struct fs_new what = {
        .kind = TREE_FILE, .mode = 0600, .modified = {FS_CLOCK_STATED, (int64_t)seed}};
    const struct fs_place place = {WF1_ROOT_NODE, name}, to = {WF1_ROOT_NODE, renamed};
    struct digest_node plain = {.kind = TREE_FILE, .mode = 0600, .modified = what.modified};
    uint64_t node = 0;
    const char *found = name;
    *ret_change = 0;
    int rc = caposwf1_writer.create(&vol->fs, &place, &what, &node, err);
    if (rc == PLAT_ELIMIT)
        return 0;
    memset(bytes, (int)(seed | 1) & 0xFF, 300);
    if (rc == 0)
        rc = caposwf1_writer.write(&vol->fs, node, 700, bytes, 300, err);
    if (rc == 0) {
        uint8_t block[WF1_BLOCK_BYTES] = {0};
        plain.size_bytes = 1000;
        memcpy(block + (700 - WF1_BLOCK_BYTES), bytes, 300);
        plain.content = digest_block(1, block);
    }
    if (rc == 0 && (rc = caposwf1_writer.rename(&vol->fs, &place, &to, err)) == 0)
        found = renamed;
    if (rc != 0 && rc != PLAT_ELIMIT)
        return rc;
    *ret_change = digest_node(digest_path(DIGEST_ROOT_PATH, found, strlen(found)), &plain);
    return 0;
}

static int resume(struct crash_run *run, struct plat_dev *dev, uint64_t seed, uint64_t skip, uint64_t digest,
                  struct plat_err *err)
{
    const struct wf1_hooks hooks = {.skip = skip};
    const struct fs_open_options options = {.writable = true};
    struct volume *vol;
    uint64_t found = 0, change = 0;
    int rc = wf1_volume_open(dev, NULL, &options, &hooks, &vol, err);
    if (rc != 0)
        return rc;
    rc = wf1_volume_digest(vol, &found, err);
    if (rc == 0 && found != digest)
        rc = err_set(err, PLAT_EBUG, "the next writer opened something else than a reader did");
    if (rc == 0)
        rc = resume_file(vol, seed, &change, err);
    if (rc == 0) {
        crash_committing(run, digest + change);
        rc = caposwf1_writer.commit(&vol->fs, err);
        crash_committed(run);
    }
    if (rc == 0)
        rc = caposwf1_writer.finish(&vol->fs, err);
    wf1_volume_close(vol);
    return rc;
}

/* ---- the judge ---- */

static bool judge_volume(struct plat_dev *dev, const struct wf1_hooks *hooks, uint64_t *ret_digest, char *why)
{
    const struct fs_open_options options = {0};
    struct verdict verdict = {.why = why};
    const struct finding_sink sink = {.fn = verdict_finding, .ctx = &verdict};
    struct plat_err err;
    struct volume *vol;
    err_clear(&err);
    int rc = wf1_volume_open(dev, NULL, &options, hooks, &vol, &err);
    if (rc == 0) {
        rc = caposwf1_check(&vol->fs, &sink, &err);
        if (rc == 0)
            rc = caposwf1_scrub(&vol->fs, &sink, NULL, &err);
        /* The digest reads contents as well: it must not stand in for the check that is left out. */
        if (wf1_skips(hooks, WF1_CHECK_DATA))
            vol->reader.skip_checks = true;
        if (rc == 0 && verdict.errors == 0)
            rc = wf1_volume_digest(vol, ret_digest, &err);
        wf1_volume_close(vol);
    }
    if (rc != 0)
        (void)snprintf(why, CRASH_WHY_BYTES, "%s", err.text);
    return rc == 0 && verdict.errors == 0;
}

static bool judge(struct plat_dev *dev, uint64_t seed, uint64_t skip, uint64_t *ret_digest,
                  char ret_why[CRASH_WHY_BYTES])
{
    const struct wf1_hooks hooks = {.skip = skip};
    const uint64_t super = (uint64_t)wf1_setting_of(seed).shape.superblock_block * WF1_BLOCK_BYTES;
    uint8_t bytes[WF1_DEFAULT_BLOCK * WF1_BLOCK_BYTES];
    struct range others[2];
    strangers(seed, others);
    for (size_t i = 0; i < 2; i++) {
        if (others[i].bytes == 0)
            continue;
        if (dev_read(dev, others[i].start, bytes, others[i].bytes, NULL) != 0 ||
            !bytes_all(bytes, others[i].bytes, STRANGER)) {
            (void)snprintf(ret_why, CRASH_WHY_BYTES, "bytes that are not the filesystem's were changed");
            return false;
        }
    }
    bool good = judge_volume(dev, &hooks, ret_digest, ret_why);
    if (skip == 0 && dev_read(dev, super, bytes, 2 * WF1_BLOCK_BYTES, NULL) == 0 &&
        hash_xxh64(bytes, 2 * WF1_BLOCK_BYTES) % 512 == 0 && !verdict_agrees(dev, good, ret_why)) {
        (void)snprintf(ret_why, CRASH_WHY_BYTES, "plat verify --data and the quick judge do not agree");
        return false;
    }
    return good;
}

/* A bit of the bitmap is turned, with checksums that are right, and with every second one the count of free blocks that
 * goes with it. The bitmaps of these images are one block. */
static bool forge(struct plat_dev *dev, uint64_t seed, uint64_t n)
{
    const uint32_t block = wf1_setting_of(seed).shape.superblock_block;
    struct wf1_super super;
    struct pair pair;
    struct wf1_super supers[2];
    if (wf1_pair_read(dev, block, NULL, &pair, supers, NULL) != 0 || pair.ruling < 0)
        return false;
    super = supers[pair.ruling];
    if (n / 2 >= super.region_blocks || super.bitmap_levels > 0)
        return false;
    uint8_t *bytes = dev_memory_bytes(dev), *bits = bytes + (uint64_t)super.bitmap.block * WF1_BLOCK_BYTES;
    bits[n / 16] ^= (uint8_t)(1u << n / 2 % 8);
    const bool used = (bits[n / 16] >> n / 2 % 8 & 1) != 0;
    super.bitmap.crc32c = hash_crc32c(0, bits, WF1_BLOCK_BYTES);
    if (n % 2 == 1)
        super.free_blocks += used ? UINT64_MAX : 1;
    wf1_super_encode(&super, bytes + (uint64_t)block * WF1_BLOCK_BYTES);
    memcpy(bytes + ((uint64_t)block + 1) * WF1_BLOCK_BYTES, bytes + (uint64_t)block * WF1_BLOCK_BYTES,
           WF1_BLOCK_BYTES);
    return true;
}

const struct crash_format crash_caposwf1 = {.name = "caposwf1",
                                            .image_bytes = image_bytes,
                                            .make = make,
                                            .work = work,
                                            .resume = resume,
                                            .judge = judge,
                                            .forge = forge};

/* ---- mutations ---- */

const char *const crash_caposwf1_steps[] = {
    [WF1_FLUSH_MARK] = "flush behind the writer's mark",
    [WF1_FLUSH_DATA] = "flush before the commit",
    [WF1_FLUSH_COMMIT] = "flush behind the commit",
    [WF1_FLUSH_RECOVER] = "flush behind a mended superblock",
    [WF1_FLUSH_CLEAN] = "flush before the filesystem is called clean",
    [WF1_CHECK_SUPERBLOCK] = "checksum of the superblock",
    [WF1_CHECK_STAMPS] = "torn or damaged",
    [WF1_CHECK_BLOCKS] = "checksums of metadata",
    [WF1_CHECK_DATA] = "checksums of contents",
    [WF1_CHECK_BITMAP] = "used and free blocks against the bitmap",
    [WF1_CHECK_FREE] = "zeros in free blocks",
};
_Static_assert(sizeof crash_caposwf1_steps / sizeof crash_caposwf1_steps[0] == WF1_STEPS,
               "each step has a name");
const size_t n_crash_caposwf1_steps = WF1_STEPS;
