/* The CAPOSWF1 driver: recognising, opening and reading. reader.h draws the layout, and has all that a kernel needs;
 * here are the memory and the shapes that plat's commands want. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "formats/caposwf1/writer.h"

enum { CACHE_BLOCKS = 1024, NS_PER_S = 1000000000 };

/* ---- recognising ---- */

/* By the pair; where neither copy can be used, by a magic or by a stamp that was not torn. */
static int wf1_probe(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                     struct plat_err *err)
{
    struct fs_probe_result result = {.score = FS_PROBE_NO};
    struct wf1_super supers[2];
    struct pair pair;
    uint32_t block;
    (void)options;
    if (dev->size_bytes < 2 * (uint64_t)WF1_BLOCK_BYTES) {
        *ret = result;
        return 0;
    }
    int rc = wf1_pair_find(dev, NULL, &block, &pair, supers, err);
    if (rc != 0)
        return rc;
    if (pair.ruling >= 0) {
        result.score = FS_PROBE_YES;
    } else if (pair.copies[0].state == PAIR_NEWER) {
        result.score = FS_PROBE_YES;
        (void)snprintf(result.refusal, sizeof result.refusal, "%.150s", pair.copies[0].why.text);
    } else {
        for (int i = 0; i < 2; i++) {
            const struct caposwf1_superblock v = {pair.copies[i].bytes};
            if (memcmp(caposwf1_superblock_magic(v), "CAPOSWF1", CAPOSWF1_SUPERBLOCK_MAGIC_BYTES) == 0)
                result.score = FS_PROBE_DAMAGED;
        }
    }
    *ret = result;
    return 0;
}

/* ---- opening ---- */

/* The layout computes all places from this parameter. */
static void place_in_image(struct image *image, uint32_t superblock_block)
{
    for (size_t i = 0; image != NULL && i < image->layout->n_params; i++)
        if (strcmp(image->layout->params[i].name, "superblock_block") == 0)
            image->params[i] = superblock_block;
    if (image != NULL)
        image_invalidate(image);
}

/* A cache for the reader; a small filesystem needs no more slots than it has blocks. */
static int reader_open(struct volume *vol, struct plat_err *err)
{
    const struct wf1_super *super = &vol->supers[vol->pair.ruling];
    const uint32_t n =
        super->region_blocks < CACHE_BLOCKS ? (uint32_t)super->region_blocks : (uint32_t)CACHE_BLOCKS;
    struct wf1_slot *slots = malloc(n * sizeof *slots);
    if (slots == NULL)
        return err_nomem(err, "opening a CAPOSWF1 image");
    wf1_reader_init(&vol->reader, vol->fs.dev, super, slots, n);
    vol->reader.scratch = vol->scratch;
    vol->reader.scratch_bytes = sizeof vol->scratch;
    vol->reader.skip_checks = wf1_skips(vol->hooks, WF1_CHECK_BLOCKS);
    vol->sound = true;
    return 0;
}

int wf1_volume_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                    const struct wf1_hooks *hooks, struct volume **ret, struct plat_err *err)
{
    uint32_t block;
    struct volume *vol = calloc(1, sizeof *vol);
    if (vol == NULL)
        return err_nomem(err, "opening a CAPOSWF1 image");
    vol->fs = (struct fs){.driver = &caposwf1_driver, .dev = dev, .image = image};
    vol->hooks = hooks;
    int rc = wf1_pair_find(dev, hooks, &block, &vol->pair, vol->supers, err);
    if (rc != 0)
        goto out;
    vol->superblock_block = block;
    place_in_image(image, block);
    if (vol->pair.ruling >= 0) {
        rc = reader_open(vol, err);
    } else {
        rc = pair_refusal(&vol->pair, (uint64_t)block * WF1_BLOCK_BYTES, &vol->fault);
        if (err != NULL)
            *err = vol->fault;
        /* What verify looks at anyway. */
        if (rc == PLAT_ECORRUPT && options->degraded && !options->writable)
            rc = 0;
    }
    if (rc == 0 && options->writable)
        rc = wf1_writer_open(vol, err);
out:
    if (rc != 0) {
        wf1_volume_close(vol);
        return rc;
    }
    *ret = vol;
    return 0;
}

void wf1_volume_close(struct volume *vol)
{
    if (vol == NULL)
        return;
    wf1_writer_close(vol);
    free(vol->reader.slots);
    free(vol);
}

static int wf1_open(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                    struct fs **ret, struct plat_err *err)
{
    struct volume *vol;
    int rc = wf1_volume_open(dev, image, options, NULL, &vol, err);
    if (rc == 0)
        *ret = &vol->fs;
    return rc;
}

static void wf1_close(struct fs *fs)
{
    wf1_volume_close(volume_of(fs));
}

/* ---- reading ---- */

static int usable(const struct volume *vol, struct plat_err *err)
{
    if (vol->sound)
        return 0;
    if (err != NULL)
        *err = vol->fault;
    return vol->fault.class;
}

/* What looks damaged may be what a writer has put there since the image was opened. */
static int read_end(struct volume *vol, int rc, struct plat_err *err)
{
    struct plat_err why = {0};
    const uint64_t offset = (uint64_t)vol->superblock_block * WF1_BLOCK_BYTES;
    if (rc != PLAT_ECORRUPT || vol->writer != NULL ||
        pair_unchanged(vol->fs.dev, offset, &vol->pair, &why) == 0)
        return rc;
    if (err != NULL)
        *err = why;
    return why.class;
}

static int node_of(struct fs *fs, uint64_t number, struct wf1_node *ret, struct plat_err *err)
{
    struct volume *vol = volume_of(fs);
    int rc = usable(vol, err);
    return rc != 0 ? rc : read_end(vol, wf1_node_read(&vol->reader, number, ret, err), err);
}

static int wf1_root(struct fs *fs, uint64_t *ret_node, struct plat_err *err)
{
    int rc = usable(volume_of(fs), err);
    if (rc == 0)
        *ret_node = WF1_ROOT_NODE;
    return rc;
}

static int wf1_lookup_path(struct fs *fs, uint64_t dir, const char *name, uint64_t *ret_node,
                           struct plat_err *err)
{
    struct wf1_node node;
    struct wf1_name found = {0};
    int rc = node_of(fs, dir, &node, err);
    if (rc == 0)
        rc = wf1_lookup(&volume_of(fs)->reader, &node, (const uint8_t *)name, strlen(name), &found, err);
    rc = read_end(volume_of(fs), rc, err);
    if (rc == 0)
        *ret_node = found.node;
    return rc;
}

static enum tree_kind tree_kind_of(enum caposwf1_node_kind kind)
{
    switch (kind) {
    case CAPOSWF1_NODE_KIND_DIRECTORY:
        return TREE_DIR;
    case CAPOSWF1_NODE_KIND_SYMLINK:
        return TREE_SYMLINK;
    case CAPOSWF1_NODE_KIND_CHAR_DEVICE:
        return TREE_CHAR;
    case CAPOSWF1_NODE_KIND_BLOCK_DEVICE:
        return TREE_BLOCK;
    case CAPOSWF1_NODE_KIND_FIFO:
        return TREE_FIFO;
    case CAPOSWF1_NODE_KIND_SOCKET:
        return TREE_SOCKET;
    case CAPOSWF1_NODE_KIND_FREE:
    case CAPOSWF1_NODE_KIND_FILE:
        break;
    }
    return TREE_FILE;
}

struct listing {
    fs_dirent_fn fn;
    void *ctx;
};

static int list_entry(void *ctx, const struct wf1_name *name)
{
    const struct listing *listing = ctx;
    char text[WF1_NAME_MAX_BYTES + 1];
    /* A NUL in a name, which check reports, ends it. */
    memcpy(text, name->name, name->bytes);
    text[name->bytes] = '\0';
    const struct fs_dirent entry = {.name = text, .node = name->node, .kind = tree_kind_of(name->kind)};
    return listing->fn(listing->ctx, &entry);
}

/* In the order of the hashes; wf1_list keeps its place by itself, so fn may use the same handle. */
static int wf1_readdir(struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *ctx, struct plat_err *err)
{
    struct listing listing = {fn, ctx};
    struct wf1_node node;
    int rc = node_of(fs, dir, &node, err);
    if (rc == 0)
        rc = wf1_list(&volume_of(fs)->reader, &node, list_entry, &listing, err);
    return read_end(volume_of(fs), rc, err);
}

static struct fs_time time_of(int64_t ns, enum caposwf1_provenance clock)
{
    static const enum fs_clock clocks[] = {[CAPOSWF1_PROVENANCE_UNKNOWN] = FS_CLOCK_UNKNOWN,
                                           [CAPOSWF1_PROVENANCE_UNTRUSTED] = FS_CLOCK_UNTRUSTED,
                                           [CAPOSWF1_PROVENANCE_NTP_SYNCED] = FS_CLOCK_NTP_SYNCED,
                                           [CAPOSWF1_PROVENANCE_STATED] = FS_CLOCK_STATED};
    return (struct fs_time){clocks[clock], ns};
}

static int wf1_stat(struct fs *fs, uint64_t node, struct fs_stat *ret, struct plat_err *err)
{
    struct wf1_node n;
    int rc = node_of(fs, node, &n, err);
    if (rc != 0)
        return rc;
    const int64_t rest = n.modified_ns % NS_PER_S;
    *ret = (struct fs_stat){
        .kind = tree_kind_of(n.kind),
        .size_bytes = n.kind == CAPOSWF1_NODE_KIND_DIRECTORY ? 0 : n.size_bytes,
        .mode = n.mode,
        .has_mode = true,
        .has_mtime = n.modified_clock != CAPOSWF1_PROVENANCE_UNKNOWN,
        .mtime_s = n.modified_ns / NS_PER_S - (rest < 0),
        .mtime_ns = (uint32_t)(rest < 0 ? rest + NS_PER_S : rest),
        .uid = n.uid,
        .gid = n.gid,
        .created = time_of(n.created_ns, n.created_clock),
        .modified = time_of(n.modified_ns, n.modified_clock),
        .device = makedev(n.device_major, n.device_minor),
    };
    return 0;
}

/* Another program's commit frees blocks, and the next one writes into them. */
static int content_read(struct volume *vol, const struct wf1_node *node, uint64_t offset, void *buf, size_t n,
                        size_t *ret_n, struct plat_err *err)
{
    struct wf1_reader *reader = &vol->reader;
    reader->relied = false;
    int rc = wf1_read(reader, node, offset, buf, n, ret_n, err);
    if (rc == 0 && reader->relied && vol->writer == NULL &&
        pair_unchanged(vol->fs.dev, (uint64_t)vol->superblock_block * WF1_BLOCK_BYTES, &vol->pair, NULL) !=
            0) {
        reader->trusted.count = 0;
        rc = wf1_read(reader, node, offset, buf, n, ret_n, err);
    }
    return read_end(vol, rc, err);
}

static int wf1_read_file(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                         struct plat_err *err)
{
    struct wf1_node file;
    int rc = node_of(fs, node, &file, err);
    if (rc == 0 && file.kind != CAPOSWF1_NODE_KIND_FILE)
        rc = err_set(err, PLAT_EINVALID, "node %llu is not a file", (unsigned long long)node);
    struct wf1_writer *writer = volume_of(fs)->writer;
    if (rc == 0 && writer != NULL && writer->window.open && writer->window.node == node) {
        rc = wf1_window_flush(writer, err);
        if (rc == 0)
            rc = node_of(fs, node, &file, err);
    }
    return rc == 0 ? content_read(volume_of(fs), &file, offset, buf, n, ret_n, err) : rc;
}

static int wf1_readlink(struct fs *fs, uint64_t node, struct strbuf *ret, struct plat_err *err)
{
    char target[WF1_TARGET_MAX_BYTES];
    struct wf1_node link;
    size_t n = 0;
    int rc = node_of(fs, node, &link, err);
    if (rc == 0 && link.kind != CAPOSWF1_NODE_KIND_SYMLINK)
        rc = err_set(err, PLAT_EINVALID, "node %llu is not a symbolic link", (unsigned long long)node);
    if (rc == 0)
        rc = content_read(volume_of(fs), &link, 0, target, sizeof target, &n, err);
    if (rc == 0)
        strbuf_add(ret, target, n);
    return rc;
}

static int wf1_space(struct fs *fs, struct fs_space *ret, struct plat_err *err)
{
    const struct volume *vol = volume_of(fs);
    const struct wf1_super *super = &vol->reader.super;
    int rc = usable(vol, err);
    if (rc != 0)
        return rc;
    *ret = (struct fs_space){.total_bytes = super->region_blocks * WF1_BLOCK_BYTES,
                             .free_bytes = super->free_blocks * WF1_BLOCK_BYTES,
                             .block_bytes = WF1_BLOCK_BYTES,
                             .n_files = super->node_count - super->free_node_count - 1};
    (void)snprintf(ret->label, sizeof ret->label, "%s", super->label);
    if (!bytes_all(super->uuid, sizeof super->uuid, 0))
        format_guid(super->uuid, ret->uuid);
    return 0;
}

/* All of the device, but where the superblock says that it is shared. */
static size_t wf1_own(struct fs *fs, struct range ret[FS_SHARE_RANGES])
{
    const struct volume *vol = volume_of(fs);
    const struct wf1_super *super = &vol->reader.super;
    size_t n = 0;
    if (!vol->sound)
        return 0;
    if (!super->shared) {
        ret[n++] = (struct range){0, fs->dev->size_bytes};
        return n;
    }
    ret[n++] =
        (struct range){(uint64_t)super->superblock_block * WF1_BLOCK_BYTES, 2 * (uint64_t)WF1_BLOCK_BYTES};
    /* A writer that was cut off while it took in more room at the end may have written there. */
    const uint64_t first = super->region_first_block * WF1_BLOCK_BYTES;
    const uint64_t bytes =
        vol->pair.clean ? super->region_blocks * WF1_BLOCK_BYTES : fs->dev->size_bytes - first;
    ret[n++] = (struct range){first, bytes};
    return n;
}
static const struct fs_share wf1_share = {
    .prefix = "fs", .is_main = true, .offset = (uint64_t)WF1_DEFAULT_BLOCK * WF1_BLOCK_BYTES, .own = wf1_own};

const struct fs_driver caposwf1_driver = {
    .name = "caposwf1",
    .title = "capOS writable filesystem",
    .layout_name = "caposwf1",
    .probe = wf1_probe,
    .open = wf1_open,
    .close = wf1_close,
    .root = wf1_root,
    .lookup = wf1_lookup_path,
    .readdir = wf1_readdir,
    .stat = wf1_stat,
    .read = wf1_read_file,
    .readlink = wf1_readlink,
    .space = wf1_space,
    .walk = caposwf1_walk,
    .check = caposwf1_check,
    .scrub = caposwf1_scrub,
    .repair = caposwf1_repair,
    .share = &wf1_share,
    .maker = &caposwf1_maker,
    .writer = &caposwf1_writer,
};
