/* The CAPOSST1 driver: a store seen as one directory of files, each named by the hash of its bytes.
 *
 *   /                  node 0
 *   /9f86d081...       node = 1 + number of its entry in the table
 *
 * What changes a store is not here: store.h has it. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/caposst1/caposst1.h"
#include "formats/caposst1/private.h"

enum { ROOT_NODE = 0, NS_PER_S = 1000000000 };

struct st1_fs {
    struct fs fs;
    struct store *store;
};

static struct store *store_of(struct fs *fs)
{
    return ((struct st1_fs *)fs)->store; /* struct fs is its first member */
}

static int st1_probe(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                     struct plat_err *err)
{
    struct st1_pair pair;
    (void)options;
    *ret = (struct fs_probe_result){0};
    if (dev->size_bytes < 2 * (uint64_t)ST1_BLOCK_BYTES)
        return 0;
    int rc = st1_pair_read(dev, NULL, &pair, err);
    if (rc != 0)
        return rc;
    if (pair.both.ruling >= 0) {
        ret->score = FS_PROBE_YES;
    } else if (pair.both.copies[0].state == PAIR_NEWER) {
        ret->score = FS_PROBE_YES;
        (void)snprintf(ret->refusal, sizeof ret->refusal, "%.150s", pair.both.copies[0].why.text);
    } else {
        for (int i = 0; i < 2; i++) {
            struct caposst1_superblock v = {pair.both.copies[i].bytes};
            if (memcmp(caposst1_superblock_magic(v), "CAPOSST1", CAPOSST1_SUPERBLOCK_MAGIC_BYTES) == 0)
                ret->score = FS_PROBE_DAMAGED;
        }
    }
    return 0;
}

static int st1_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                    struct fs **ret, struct plat_err *err)
{
    struct st1_fs *fs = calloc(1, sizeof *fs);
    if (fs == NULL)
        return err_nomem(err, "opening a store");
    const struct store_options how = {.degraded = options->degraded};
    int rc = store_open(dev, &how, &fs->store, err);
    if (rc != 0) {
        free(fs);
        return rc;
    }
    fs->fs = (struct fs){.driver = &caposst1_driver, .dev = dev, .image = image};
    *ret = &fs->fs;
    return 0;
}

static void st1_close(struct fs *fs)
{
    store_close(store_of(fs));
    free((struct st1_fs *)fs);
}

static int st1_root(struct fs *fs, uint64_t *ret_node, struct plat_err *err)
{
    (void)fs;
    (void)err;
    *ret_node = ROOT_NODE;
    return 0;
}

static int not_a_directory(uint64_t node, struct plat_err *err)
{
    return node == ROOT_NODE ? 0 : err_set(err, PLAT_EINVALID, "an object is not a directory");
}

static int st1_lookup(struct fs *fs, uint64_t dir, const char *name, uint64_t *ret_node, struct plat_err *err)
{
    uint8_t key[STORE_KEY_BYTES];
    uint64_t index;
    int rc = not_a_directory(dir, err);
    if (rc != 0)
        return rc;
    if (!store_key_parse(name, key) || !store_find(store_of(fs), key, &index))
        return err_set(err, PLAT_ENOTFOUND, "no object '%.80s'; names are 64 lower-case hexadecimal digits",
                       name);
    *ret_node = index + 1;
    return 0;
}

static int st1_readdir(struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *ctx, struct plat_err *err)
{
    const struct store *store = store_of(fs);
    struct store_object object;
    char name[STORE_KEY_TEXT_BYTES];
    int rc = not_a_directory(dir, err);
    for (uint64_t i = 0; rc == 0 && i < store_count(store); i++) {
        store_entry(store, i, &object);
        if (object.is_tombstone || object.is_dead)
            continue;
        store_key_text(object.key, name);
        const struct fs_dirent entry = {.name = name, .node = i + 1, .kind = TREE_FILE};
        rc = fn(ctx, &entry);
    }
    return rc;
}

static int object_of(struct fs *fs, uint64_t node, struct store_object *ret, struct plat_err *err)
{
    if (node == ROOT_NODE || node > store_count(store_of(fs)))
        return err_set(err, PLAT_EINVALID, "node %llu is no object of this store", (unsigned long long)node);
    store_entry(store_of(fs), node - 1, ret);
    return 0;
}

static int st1_stat(struct fs *fs, uint64_t node, struct fs_stat *ret, struct plat_err *err)
{
    struct fs_stat stat = {.kind = TREE_DIR};
    struct store_object object;
    if (node != ROOT_NODE) {
        int rc = object_of(fs, node, &object, err);
        if (rc != 0)
            return rc;
        int64_t ns = object.time.created_ns % NS_PER_S;
        stat.kind = TREE_FILE;
        stat.size_bytes = object.size_bytes;
        stat.has_mtime = object.time.provenance != STORE_TIME_UNKNOWN;
        stat.mtime_s = object.time.created_ns / NS_PER_S - (ns < 0);
        stat.mtime_ns = (uint32_t)(ns < 0 ? ns + NS_PER_S : ns);
    }
    *ret = stat;
    return 0;
}

static int st1_read(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                    struct plat_err *err)
{
    struct store_object object;
    int rc = object_of(fs, node, &object, err);
    return rc != 0 ? rc : store_read(store_of(fs), node - 1, offset, buf, n, ret_n, err);
}

static int st1_space(struct fs *fs, struct fs_space *ret, struct plat_err *err)
{
    struct store_space space;
    (void)err;
    store_space(store_of(fs), &space);
    *ret = (struct fs_space){.total_bytes = space.total_bytes,
                             .free_bytes = space.free_bytes,
                             .block_bytes = ST1_BLOCK_BYTES,
                             .n_files = space.n_objects};
    return 0;
}

static int st1_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err)
{
    return st1_check_structures(store_of(fs), sink, err);
}

static int st1_scrub_fs(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                        struct plat_err *err)
{
    return st1_scrub(store_of(fs), sink, progress, err);
}

static int st1_repair_fs(struct fs *fs, struct repair_plan *plan, struct plat_err *err)
{
    return st1_repair(store_of(fs), plan, err);
}

/* ---- walking ---- */

static bool wanted(const struct walk_sink *sink, const char *path)
{
    return sink->wants == NULL || sink->wants(sink->ctx, path);
}

struct st1_walk {
    struct fs *fs;
    const struct walk_sink *sink;
    struct plat_err *err;
};

static int emit(const struct st1_walk *walk, enum extent_kind kind, const char *path, uint64_t start,
                uint64_t end)
{
    if (walk->sink->extent == NULL || start >= end || !wanted(walk->sink, path))
        return 0;
    const struct extent extent = {.place = {start, end - start}, .kind = kind, .path = path};
    return walk->sink->extent(walk->sink->ctx, &extent);
}

static int emit_instance(const struct st1_walk *walk, const char *type_name, const uint8_t *bytes, size_t n,
                         uint64_t offset, uint64_t index, const char *path)
{
    const struct type *type = layout_type(walk->fs->image->layout, type_name);
    struct inst inst;
    if (walk->sink->instance == NULL || !wanted(walk->sink, path))
        return 0;
    int rc = inst_make(walk->fs->image, type, bytes, n, offset, path, &inst, walk->err);
    if (rc != 0)
        return rc;
    inst.index = index;
    return walk->sink->instance(walk->sink->ctx, &inst);
}

/* A torn sector holds parts of two superblocks: a checker of structures has nothing to say about it. */
static int walk_pair(const struct st1_walk *walk, const struct st1_pair *pair)
{
    static const char *const names[] = {"superblock", "copy"};
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < 2; i++) {
        uint64_t offset = i * ST1_BLOCK_BYTES;
        if (pair->both.copies[i].state != PAIR_TORN)
            rc = emit_instance(walk, "superblock", pair->both.copies[i].bytes, ST1_BLOCK_BYTES, offset, 0,
                               names[i]);
        if (rc == 0)
            rc = emit(walk, EXTENT_METADATA, names[i], offset, offset + ST1_BLOCK_BYTES);
    }
    return rc;
}

static int walk_table(const struct st1_walk *walk, uint64_t table, uint64_t data)
{
    const struct store *store = store_of(walk->fs);
    const struct walk_sink *sink = walk->sink;
    const uint64_t count = store->table.count;
    char path[40];
    int rc = 0;
    if (count > 0 && sink->array != NULL && wanted(sink, "entries"))
        rc = sink->array(sink->ctx, "entries", count, layout_type(walk->fs->image->layout, "entry"));
    if (rc == 0)
        rc = emit(walk, EXTENT_METADATA, "entries", table, table + count * ST1_ENTRY_BYTES);
    if (rc == 0)
        rc = emit(walk, EXTENT_FREE, "entries.free", table + count * ST1_ENTRY_BYTES, data);
    if (sink->instance == NULL || (count > WALK_BULK_ELEMENTS && !sink->elements))
        return rc;
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        (void)snprintf(path, sizeof path, "entries[%llu]", (unsigned long long)i);
        rc = emit_instance(walk, "entry", st1_entry_at(&store->table, i).p, ST1_ENTRY_BYTES,
                           table + i * ST1_ENTRY_BYTES, i, path);
    }
    return rc;
}

static int walk_objects(const struct st1_walk *walk)
{
    const struct store *store = store_of(walk->fs);
    struct store_object object;
    char path[sizeof "deleted/" + STORE_KEY_TEXT_BYTES];
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && walk->sink->extent != NULL && i < store->table.count; i++) {
        store_entry(store, i, &object);
        if (object.is_tombstone)
            continue;
        uint64_t end = object.offset + object.size_bytes;
        const char *prefix = object.is_dead ? "deleted/" : "/";
        (void)snprintf(path, sizeof path, "%s", prefix);
        store_key_text(object.key, path + strlen(prefix));
        rc = emit(walk, EXTENT_DATA, path, object.offset, end);
        if (rc == 0)
            rc = emit(walk, EXTENT_PADDING, path, end,
                      object.offset + st1_blocks_of(object.size_bytes) * ST1_BLOCK_BYTES);
    }
    return rc;
}

/* Blocks between `from` and `to` that are in no area: free, or the hole. */
static int walk_between(const struct st1_walk *walk, uint64_t from, uint64_t to)
{
    const struct st1_super *s = &store_of(walk->fs)->super;
    const uint64_t hole = s->hole_blocks > 0 ? s->hole_first_block : s->region_blocks;
    const uint64_t hole_end = hole + s->hole_blocks;
    uint64_t before = to < hole ? to : hole, behind = from > hole_end ? from : hole_end;
    int rc = emit(walk, EXTENT_FREE, "free", from * ST1_BLOCK_BYTES, before * ST1_BLOCK_BYTES);
    if (rc == 0 && hole >= from && hole_end <= to)
        rc = emit(walk, EXTENT_PADDING, "hole", hole * ST1_BLOCK_BYTES, hole_end * ST1_BLOCK_BYTES);
    return rc == 0 && hole_end > hole
               ? emit(walk, EXTENT_FREE, "free", behind * ST1_BLOCK_BYTES, to * ST1_BLOCK_BYTES)
               : rc;
}

static int walk_area(const struct st1_walk *walk, uint32_t area)
{
    const struct store *store = store_of(walk->fs);
    const struct st1_super *super = &store->super;
    const uint64_t first = super->areas[area].first_block * ST1_BLOCK_BYTES;
    const uint64_t end = st1_area_end(super, area) * ST1_BLOCK_BYTES;
    if (area != super->active)
        return emit(walk, EXTENT_FREE, area == ST1_SHADOW ? "shadow" : "front", first, end);
    int rc = walk_table(walk, first, st1_data_block(super, area) * ST1_BLOCK_BYTES);
    if (rc == 0)
        rc = walk_objects(walk);
    /* Of a damaged table the end may be missing: what lies there is not free. */
    uint64_t known = st1_data_block(super, area) * ST1_BLOCK_BYTES,
             cursor = super->cursor_block * ST1_BLOCK_BYTES;
    for (uint64_t i = 0; i < store->table.count; i++) {
        struct caposst1_entry v = st1_entry_at(&store->table, i);
        known += st1_blocks_of(caposst1_entry_size_bytes(v)) * ST1_BLOCK_BYTES;
    }
    if (rc == 0)
        rc = emit(walk, EXTENT_UNCLAIMED, "unknown", known, cursor);
    return rc == 0 ? emit(walk, EXTENT_FREE, "free", cursor, end) : rc;
}

static int st1_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err)
{
    const struct st1_walk walk = {fs, sink, err};
    const struct store *store = store_of(fs);
    const struct st1_super *super = &store->super;
    const uint64_t image_bytes = fs->dev->size_bytes;
    int rc = walk_pair(&walk, &store->pair);
    if (rc != 0 || store->pair.both.ruling < 0)
        return rc != 0 ? rc
                       : emit(&walk, EXTENT_UNCLAIMED, "unknown", 2 * (uint64_t)ST1_BLOCK_BYTES, image_bytes);
    const uint64_t front = super->areas[ST1_FRONT].first_block;
    const bool shadow = super->areas[ST1_SHADOW].blocks > 0;
    uint64_t at = st1_area_end(super, ST1_FRONT);
    rc = walk_between(&walk, 2, front);
    if (rc == 0)
        rc = walk_area(&walk, ST1_FRONT);
    if (rc == 0 && shadow) {
        rc = walk_between(&walk, at, super->areas[ST1_SHADOW].first_block);
        if (rc == 0)
            rc = walk_area(&walk, ST1_SHADOW);
        at = st1_area_end(super, ST1_SHADOW);
    }
    if (rc == 0)
        rc = walk_between(&walk, at, super->region_blocks);
    return rc == 0
               ? emit(&walk, EXTENT_UNCLAIMED, "outside", super->region_blocks * ST1_BLOCK_BYTES, image_bytes)
               : rc;
}

static size_t st1_own(struct fs *fs, struct range ret[FS_SHARE_RANGES])
{
    const struct st1_super *super = &store_of(fs)->super;
    const uint64_t end = super->region_blocks * ST1_BLOCK_BYTES;
    const uint64_t hole = super->hole_first_block * ST1_BLOCK_BYTES;
    const uint64_t hole_end = hole + super->hole_blocks * ST1_BLOCK_BYTES;
    size_t n = 0;
    if (store_of(fs)->pair.both.ruling < 0)
        return 0;
    if (super->hole_blocks > 0) {
        ret[n++] = (struct range){0, hole};
        ret[n++] = (struct range){hole_end, end - hole_end};
    } else {
        ret[n++] = (struct range){0, end};
    }
    return n;
}
/* At LBA 0, beside a CAPOSWF1 from LBA 256 on (published). */
static const struct fs_share st1_share = {.prefix = "store", .offset = 0, .own = st1_own};

const struct fs_driver caposst1_driver = {
    .name = "caposst1",
    .title = "capOS store",
    .layout_name = "caposst1",
    .probe = st1_probe,
    .open = st1_open,
    .close = st1_close,
    .root = st1_root,
    .lookup = st1_lookup,
    .readdir = st1_readdir,
    .stat = st1_stat,
    .read = st1_read,
    .space = st1_space,
    .walk = st1_walk,
    .check = st1_check,
    .scrub = st1_scrub_fs,
    .repair = st1_repair_fs,
    .share = &st1_share,
    .maker = &caposst1_maker,
};
