#include "tests/crash/wf1_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

enum { WRITE_MAX_BYTES = 40960, WINDOW_BYTES = 65536, WINDOWS = 40, TARGET_BYTES = 700 };

/* ---- images ---- */

struct wf1_setting wf1_setting_of(uint64_t seed)
{
    static const uint64_t sizes[] = {90, 48, 40, 64, 72, 80};
    struct wf1_setting setting = {.grows = seed % 4 == 1};
    const bool large = seed / 4 == LARGE_GROUP;
    const bool shared = seed % 4 == 2;
    struct wf1_shape *shape = &setting.shape;
    shape->superblock_block = shared ? WF1_DEFAULT_BLOCK : 0;
    shape->region_first_block = shape->superblock_block + 2;
    shape->region_blocks = large ? LARGE_BLOCKS : sizes[seed / 4 % (sizeof sizes / sizeof sizes[0])];
    shape->shared = shared;
    shape->uuid[0] = (uint8_t)seed;
    setting.image_blocks = shape->region_first_block + shape->region_blocks;
    if (setting.grows)
        setting.image_blocks += 24;
    if (shared)
        setting.image_blocks += 4;
    return setting;
}

/* ---- steps ---- */

static int differ(struct session *s, const char *what, int node, int rc)
{
    char text[PLAT_ERR_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%s", rc != 0 ? s->err->text : "it was done");
    return err_set(s->err, PLAT_EBUG, "%s, node %d of the model: driver and model do not agree: %.300s", what,
                   node, text);
}

/* What the driver says of a change, and what it should say. *ret_done: it was made. */
static int settle(struct session *s, const char *what, int node, int rc, bool allowed, bool *ret_done)
{
    *ret_done = rc == 0;
    if (rc == PLAT_ELIMIT && allowed) {
        s->full++;
        return 0;
    }
    if ((rc == 0) != allowed || (rc != 0 && rc != PLAT_EINVALID && rc != PLAT_ENOTFOUND))
        return differ(s, what, node, rc);
    return 0;
}

static struct fs_time some_time(struct session *s)
{
    const enum fs_clock clock = (enum fs_clock)(crash_random(&s->random) % 4);
    return (struct fs_time){clock, clock == FS_CLOCK_UNKNOWN ? 0 : (int64_t)(crash_random(&s->random) >> 8)};
}

static void target_text(uint64_t seed, char ret[TARGET_BYTES])
{
    const size_t n = 1 + (size_t)(crash_random(&seed) % (TARGET_BYTES - 1));
    for (size_t i = 0; i < n; i++)
        ret[i] = (char)('!' + crash_random(&seed) % 90);
    ret[n < TARGET_BYTES ? n : TARGET_BYTES - 1] = '\0';
}

int step_create(struct session *s, int dir, unsigned name, enum tree_kind kind, int *ret)
{
    char text[MODEL_NAME_BYTES], target[TARGET_BYTES] = "";
    uint64_t given = UINT64_MAX;
    bool done;
    struct fs_new what = {.kind = kind,
                          .mode = (uint32_t)(crash_random(&s->random) & 07777),
                          .uid = (uint32_t)crash_random(&s->random),
                          .gid = (uint32_t)(crash_random(&s->random) % 1000),
                          .created = some_time(s),
                          .modified = some_time(s)};
    model_name(name, text);
    if (kind == TREE_SYMLINK) {
        target_text(crash_random(&s->random), target);
        what.target = target;
    }
    if (kind == TREE_CHAR || kind == TREE_BLOCK)
        what.device =
            makedev((unsigned)(crash_random(&s->random) % 200), (unsigned)(crash_random(&s->random) % 200));
    int room = -1;
    for (int i = 1; i < MODEL_NODES; i++)
        if (!s->model->nodes[i].used)
            room = i;
    if (room < 0)
        return 0;
    const bool allowed = model_find(s->model, dir, name) < 0;
    const struct fs_place place = {s->model->nodes[dir].given, text};
    int rc =
        settle(s, "create", dir, s->writer->create(s->fs, &place, &what, &given, s->err), allowed, &done);
    if (rc != 0 || !done)
        return rc;
    const int node = model_create(s->model, dir, name, kind, given);
    struct model_node *made = &s->model->nodes[node];
    made->mode = what.mode;
    made->uid = what.uid;
    made->gid = what.gid;
    made->created = what.created;
    made->modified = what.modified;
    made->device = what.device;
    if (kind == TREE_SYMLINK)
        model_write(s->model, node, 0, (const uint8_t *)target, strlen(target));
    if (ret != NULL)
        *ret = node;
    return 0;
}

int step_write(struct session *s, int node, uint64_t offset, size_t n, uint64_t pattern)
{
    static const uint8_t zeros[WRITE_MAX_BYTES];
    uint8_t *bytes = calloc(1, WRITE_MAX_BYTES);
    bool done;
    if (bytes == NULL)
        return err_nomem(s->err, "writing");
    n = n < WRITE_MAX_BYTES ? n : WRITE_MAX_BYTES;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(1 + (i ^ pattern) % 251 + i / 512);
    /* Zeros that are written are contents like any other. */
    if (pattern % 8 == 0)
        memcpy(bytes, zeros, n);
    int rc = s->writer->write(s->fs, s->model->nodes[node].given, offset, bytes, n, s->err);
    rc = settle(s, "write", node, rc, true, &done);
    if (rc == 0 && done)
        model_write(s->model, node, offset, bytes, n);
    free(bytes);
    return rc;
}

int step_truncate(struct session *s, int node, uint64_t size_bytes)
{
    bool done;
    int rc = s->writer->truncate(s->fs, s->model->nodes[node].given, size_bytes, s->err);
    rc = settle(s, "truncate", node, rc, true, &done);
    if (rc == 0 && done)
        model_truncate(s->model, node, size_bytes);
    return rc;
}

int step_rename(struct session *s, int node, int dir, unsigned name)
{
    const struct model_node *from = &s->model->nodes[node];
    char old_text[MODEL_NAME_BYTES], text[MODEL_NAME_BYTES];
    const int there = model_find(s->model, dir, name);
    bool allowed = from->kind != TREE_DIR || !model_below(s->model, dir, node), done;
    if (there >= 0 && there != node) {
        const bool both = (from->kind == TREE_DIR) == (s->model->nodes[there].kind == TREE_DIR);
        allowed = allowed && both && model_children(s->model, there) == 0;
    }
    model_name(from->name, old_text);
    model_name(name, text);
    const struct fs_place old_place = {s->model->nodes[from->parent].given, old_text};
    const struct fs_place place = {s->model->nodes[dir].given, text};
    int rc = settle(s, "rename", node, s->writer->rename(s->fs, &old_place, &place, s->err), allowed, &done);
    if (rc == 0 && done)
        model_rename(s->model, node, dir, name);
    return rc;
}

int step_remove(struct session *s, int node)
{
    const struct model_node *from = &s->model->nodes[node];
    char text[MODEL_NAME_BYTES];
    bool done;
    model_name(from->name, text);
    const struct fs_place place = {s->model->nodes[from->parent].given, text};
    int rc = settle(s, "remove", node, s->writer->remove(s->fs, &place, s->err),
                    model_children(s->model, node) == 0, &done);
    if (rc == 0 && done)
        model_remove(s->model, node);
    return rc;
}

int step_set(struct session *s, int node)
{
    const uint64_t which = crash_random(&s->random);
    const struct fs_attributes attributes = {.has_mode = (which & 1) != 0,
                                             .has_owner = (which & 2) != 0,
                                             .has_created = (which & 4) != 0,
                                             .has_modified = (which & 8) != 0,
                                             .mode = (uint32_t)(which >> 8 & 07777),
                                             .uid = (uint32_t)(which >> 32),
                                             .gid = (uint32_t)(which >> 20),
                                             .created = some_time(s),
                                             .modified = some_time(s)};
    struct model_node *to = &s->model->nodes[node];
    bool done;
    int rc = settle(s, "set attributes", node,
                    s->writer->set_attributes(s->fs, to->given, &attributes, s->err), true, &done);
    if (rc != 0 || !done)
        return rc;
    if (attributes.has_mode)
        to->mode = attributes.mode;
    if (attributes.has_owner) {
        to->uid = attributes.uid;
        to->gid = attributes.gid;
    }
    if (attributes.has_created)
        to->created = attributes.created;
    if (attributes.has_modified)
        to->modified = attributes.modified;
    return 0;
}

/* ---- reads ---- */

struct counting {
    const struct session *s;
    int dir;
    unsigned n, wrong;
};
static int count_name(void *ctx, const struct fs_dirent *entry)
{
    struct counting *counting = ctx;
    const struct model *model = counting->s->model;
    char text[MODEL_NAME_BYTES];
    bool known = false;
    for (int i = 1; i < MODEL_NODES && !known; i++) {
        if (!model->nodes[i].used || model->nodes[i].parent != counting->dir)
            continue;
        model_name(model->nodes[i].name, text);
        known = strcmp(text, entry->name) == 0 && model->nodes[i].given == entry->node &&
                model->nodes[i].kind == entry->kind;
    }
    counting->n++;
    counting->wrong += !known;
    return 0;
}

static int read_contents(struct session *s, int node)
{
    const struct model_node *want = &s->model->nodes[node];
    uint8_t got_bytes[3000], want_bytes[sizeof got_bytes];
    size_t n = 0;
    if (want->size_bytes == 0)
        return 0;
    const uint64_t offset = crash_random(&s->random) % want->size_bytes, left = want->size_bytes - offset;
    const size_t expected = left < sizeof got_bytes ? (size_t)left : sizeof got_bytes;
    int rc = s->fs->driver->read(s->fs, want->given, offset, got_bytes, sizeof got_bytes, &n, s->err);
    if (rc != 0)
        return rc;
    model_read(s->model, node, offset, want_bytes, expected);
    if (n != expected || memcmp(got_bytes, want_bytes, n) != 0)
        return err_set(s->err, PLAT_EBUG, "node %d reads as something else at %llu", node,
                       (unsigned long long)offset);
    return 0;
}

int step_read(struct session *s, int node)
{
    const struct model_node *want = &s->model->nodes[node];
    struct fs_stat stat;
    struct counting counting = {.s = s, .dir = node};
    int rc = s->fs->driver->stat(s->fs, want->given, &stat, s->err);
    if (rc == 0 && (stat.kind != want->kind || stat.mode != want->mode || stat.uid != want->uid ||
                    stat.gid != want->gid || stat.created.clock != want->created.clock ||
                    stat.created.ns != want->created.ns || stat.modified.clock != want->modified.clock ||
                    stat.modified.ns != want->modified.ns || stat.device != want->device ||
                    (want->kind == TREE_FILE && stat.size_bytes != want->size_bytes)))
        return err_set(s->err, PLAT_EBUG, "node %d has other attributes", node);
    if (rc == 0 && want->kind == TREE_FILE)
        rc = read_contents(s, node);
    if (rc == 0 && want->kind == TREE_DIR) {
        rc = s->fs->driver->readdir(s->fs, want->given, count_name, &counting, s->err);
        if (rc == 0 && (counting.wrong > 0 || counting.n != model_children(s->model, node)))
            rc = err_set(s->err, PLAT_EBUG, "directory %d: %u names, %u of them wrong, expected %u", node,
                         counting.n, counting.wrong, model_children(s->model, node));
    }
    return rc;
}

/* ---- commits ---- */

static void committing(struct session *s)
{
    if (s->run != NULL)
        crash_committing(s->run, model_digest(s->model));
}
static int committed(struct session *s, int rc)
{
    if (rc != 0)
        return rc;
    if (s->run != NULL)
        crash_committed(s->run);
    *s->committed = *s->model;
    return 0;
}

int step_commit(struct session *s)
{
    committing(s);
    return committed(s, s->writer->commit(s->fs, s->err));
}
int step_finish(struct session *s)
{
    committing(s);
    return committed(s, s->writer->finish(s->fs, s->err));
}
/* What is staged is committed before the room is added: two commits. */
int step_grow(struct session *s)
{
    int rc = step_commit(s);
    if (rc != 0)
        return rc;
    s->model->room_blocks = s->image_bytes / MODEL_BLOCK_BYTES - s->vol->reader.super.region_first_block;
    committing(s);
    return committed(s, s->writer->grow(s->fs, s->image_bytes, s->err));
}

/* ---- random steps ---- */

/* A node of this kind, looked for from a random one on; -1: there is none. */
static int some_node(struct session *s, bool directories, bool others)
{
    const unsigned from = (unsigned)(crash_random(&s->random) % MODEL_NODES);
    for (unsigned i = 0; i < MODEL_NODES; i++) {
        const int node = (int)((from + i) % MODEL_NODES);
        const struct model_node *at = &s->model->nodes[node];
        if (at->used && (at->kind == TREE_DIR ? directories : others))
            return node;
    }
    return -1;
}
static int some_file(struct session *s)
{
    for (int tries = 0; tries < 8; tries++) {
        const int node = some_node(s, false, true);
        if (node >= 0 && s->model->nodes[node].kind == TREE_FILE)
            return node;
    }
    return -1;
}
static unsigned some_name(struct session *s)
{
    return (unsigned)(crash_random(&s->random) % MODEL_NAMES);
}

static uint64_t some_offset(struct session *s, int node)
{
    const uint64_t size = s->model->nodes[node].size_bytes, how = crash_random(&s->random) % 8;
    if (how < 3)
        return size;
    if (how < 6)
        return crash_random(&s->random) % (size + 1);
    if (how < 7)
        return size + crash_random(&s->random) % 3000;
    return crash_random(&s->random) % WINDOWS * WINDOW_BYTES + crash_random(&s->random) % 600;
}

static int random_create(struct session *s)
{
    static const enum tree_kind kinds[] = {TREE_FILE,    TREE_FILE,  TREE_FILE, TREE_FILE,
                                           TREE_FILE,    TREE_DIR,   TREE_DIR,  TREE_DIR,
                                           TREE_SYMLINK, TREE_BLOCK, TREE_CHAR, TREE_FIFO};
    const enum tree_kind kind = kinds[crash_random(&s->random) % (sizeof kinds / sizeof kinds[0])];
    int node = -1;
    int rc = step_create(s, some_node(s, true, false), some_name(s), kind, &node);
    if (rc == 0 && node >= 0 && kind == TREE_FILE && crash_random(&s->random) % 4 != 0)
        rc = step_write(s, node, 0, (size_t)(crash_random(&s->random) % 1600), crash_random(&s->random));
    return rc;
}

static int random_write(struct session *s)
{
    const int node = some_file(s);
    const uint64_t large = crash_random(&s->random) % 12 == 0 ? 12000 : 1500;
    if (node < 0)
        return random_create(s);
    return step_write(s, node, some_offset(s, node), (size_t)(crash_random(&s->random) % large),
                      crash_random(&s->random));
}

static int random_truncate(struct session *s)
{
    const int node = some_file(s);
    return node < 0 ? random_create(s) : step_truncate(s, node, some_offset(s, node));
}

static int random_other(struct session *s, uint64_t what)
{
    const int node = some_node(s, crash_random(&s->random) % 3 == 0, true);
    if (node <= 0)
        return random_create(s);
    if (what < 4)
        return step_rename(s, node, some_node(s, true, false), some_name(s));
    return what < 8 ? step_remove(s, node) : step_set(s, crash_random(&s->random) % 5 == 0 ? 0 : node);
}

int step_random(struct session *s)
{
    const uint64_t what = crash_random(&s->random) % 40;
    if (what < 10)
        return random_create(s);
    if (what < 19)
        return random_write(s);
    if (what < 22)
        return random_truncate(s);
    if (what < 32)
        return random_other(s, what - 22);
    if (what < 35)
        return step_read(s, some_node(s, true, true));
    if (what < 39)
        return step_commit(s);
    return s->image_bytes / MODEL_BLOCK_BYTES >
                       s->vol->reader.super.region_first_block + s->model->room_blocks &&
                   !s->vol->reader.super.shared
               ? step_grow(s)
               : step_finish(s);
}

/* ---- workloads ---- */

static int run_session(struct session *s, struct plat_dev *dev, const struct wf1_hooks *hooks, uint64_t seed,
                       unsigned session)
{
    const struct fs_open_options options = {.writable = true};
    const bool picked = seed < PICKED_SEEDS;
    uint64_t digest = 0;
    int rc = wf1_volume_open(dev, NULL, &options, hooks, &s->vol, s->err);
    if (rc != 0)
        return rc;
    s->fs = &s->vol->fs;
    s->writer = &caposwf1_writer;
    *s->model = *s->committed;
    rc = wf1_volume_digest(s->vol, &digest, s->err);
    if (rc == 0 && digest != model_digest(s->committed))
        rc = err_set(s->err, PLAT_EBUG, "the writer opened something else than what was committed");
    if (rc == 0 && picked)
        rc = wf1_picked(s, seed, session);
    for (uint64_t left = 5 + crash_random(&s->random) % 20; rc == 0 && !picked && left > 0; left--)
        rc = step_random(s);
    /* All that is staged, as the writer sees it. */
    if (rc == 0)
        rc = wf1_volume_digest(s->vol, &digest, s->err);
    if (rc == 0 && digest != model_digest(s->model))
        rc = err_set(s->err, PLAT_EBUG, "the writer sees something else than what it staged");
    /* Some writers leave without a word. */
    if (rc == 0 && (picked || crash_random(&s->random) % 4 != 0))
        rc = step_finish(s);
    wf1_volume_close(s->vol);
    return rc;
}

int wf1_work(struct session *s, struct plat_dev *dev, const struct wf1_hooks *hooks, uint64_t seed)
{
    struct model *models = calloc(2, sizeof *models);
    int rc = models == NULL ? err_nomem(s->err, "a workload") : 0;
    s->random = seed * 7919 + 13;
    s->image_bytes = dev->size_bytes;
    const uint64_t sessions = seed < PICKED_SEEDS ? 2 : 1 + crash_random(&s->random) % 3;
    if (rc == 0) {
        s->model = &models[0];
        s->committed = &models[1];
        model_init(s->committed, WF1_ROOT_NODE, wf1_setting_of(seed).shape.region_blocks);
    }
    for (unsigned i = 0; rc == 0 && i < sessions; i++)
        rc = run_session(s, dev, hooks, seed, i);
    free(models);
    return rc;
}
