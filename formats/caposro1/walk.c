/* Everything in an image, each byte once.
 *
 *     superblock, nodes[i]     instances     from the map of the schema, with
 *     superblock, strings, nodes             METADATA
 *     "/usr/share/x"           DATA          content of a file
 *     "/usr/share/x"           PADDING       behind its end
 *     strings, nodes           PADDING       behind their ends
 *     free                     FREE          to the end of the filesystem
 *     tail                     UNCLAIMED       what the image has beyond that
 *     unknown                  UNCLAIMED       where the superblock does not say
 *
 * On a damaged image records with a fault own nothing, and what is left over is unknown. */
#include "formats/caposro1/volume.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    struct volume *vol;
    const struct walk_sink *sink;
    struct strbuf path, name;
    uint32_t path_of; /* directory whose path stands in `path`; path_known */
    bool path_known;
    struct plat_err *err;
};

static int emit(struct walk *walk, enum extent_kind kind, const char *path, uint64_t start, uint64_t end)
{
    const struct walk_sink *sink = walk->sink;
    if (start >= end || (sink->wants != NULL && !sink->wants(sink->ctx, path)))
        return 0;
    const struct extent extent = {.place = {start, end - start}, .kind = kind, .path = path};
    return sink->extent(sink->ctx, &extent);
}

/* Puts "/name" before what is in `path`. */
static int path_prepend(struct strbuf *path, const uint8_t *name, size_t n, struct plat_err *err)
{
    struct strbuf longer = {0};
    strbuf_putc(&longer, '/');
    strbuf_add(&longer, (const char *)name, n);
    strbuf_add(&longer, strbuf_str(path), path->len);
    strbuf_free(path);
    *path = longer;
    return path->failed ? err_nomem(err, "naming a file") : 0;
}

/* The path of a directory, from its names upwards; parents have smaller numbers, so this ends. */
static int directory_path(struct walk *walk, uint32_t dir)
{
    if (walk->path_known && walk->path_of == dir)
        return 0;
    strbuf_truncate(&walk->path, 0);
    walk->path_known = false;
    for (uint32_t at = dir; at != 0;) {
        struct ro1_node node;
        const uint8_t *name;
        int rc = ro1_node_read(walk->vol, at, &node, walk->err);
        if (rc == 0)
            rc = ro1_name_read(walk->vol, at, &node, &name, walk->err);
        if (rc == 0)
            rc = path_prepend(&walk->path, name, node.name_bytes, walk->err);
        if (rc != 0)
            return rc;
        at = node.parent;
    }
    walk->path_known = true;
    walk->path_of = dir;
    return 0;
}

/* One file: its path, its content, the padding behind. *next: where what is not claimed begins. */
static int walk_file(struct walk *walk, uint32_t index, uint64_t *next)
{
    struct ro1_node node;
    const uint8_t *name;
    int rc = ro1_node_read(walk->vol, index, &node, walk->err);
    if (rc != 0)
        return rc;
    if (node.kind != CAPOSRO1_NODE_KIND_FILE || node.size_bytes == 0)
        return 0;
    rc = directory_path(walk, node.parent);
    if (rc == 0)
        rc = ro1_name_read(walk->vol, index, &node, &name, walk->err);
    if (rc != 0)
        return rc;
    strbuf_truncate(&walk->name, 0);
    strbuf_puts(&walk->name, strbuf_str(&walk->path));
    strbuf_putc(&walk->name, '/');
    strbuf_add(&walk->name, (const char *)name, node.name_bytes);
    if (walk->name.failed)
        return err_nomem(walk->err, "naming a file");
    const char *path = strbuf_str(&walk->name);
    const uint64_t end = node.content + node.size_bytes;
    const uint64_t blocks_end = div_up_u64(end, RO1_BLOCK_BYTES) * RO1_BLOCK_BYTES;
    rc = emit(walk, EXTENT_UNCLAIMED, "unknown", *next, node.content);
    if (rc == 0)
        rc = emit(walk, EXTENT_DATA, path, node.content, end);
    if (rc == 0)
        rc = emit(walk, EXTENT_PADDING, path, end, blocks_end);
    *next = blocks_end > *next ? blocks_end : *next; /* contents that overlap are both named */
    return rc;
}

static int walk_extents(struct walk *walk)
{
    const struct volume *vol = walk->vol;
    const struct ro1_geometry *geo = &vol->geo;
    uint64_t next = RO1_BLOCK_BYTES;
    int rc = 0;
    if (!vol->sound)
        return emit(walk, EXTENT_UNCLAIMED, "unknown", next, vol->dev->size_bytes);
    for (uint32_t i = 0; rc == 0 && i < geo->node_count; i++) {
        rc = walk_file(walk, i, &next);
        /* check() says what is wrong with it. */
        if (rc == PLAT_ECORRUPT)
            rc = 0;
    }
    if (rc == 0)
        rc = emit(walk, EXTENT_UNCLAIMED, "unknown", next, geo->contents_end);
    if (rc == 0)
        rc = emit(walk, EXTENT_PADDING, "strings", geo->contents_end + geo->strings_bytes, geo->nodes_offset);
    const uint64_t used = div_up_u64(geo->nodes_end, RO1_BLOCK_BYTES) * RO1_BLOCK_BYTES;
    if (rc == 0)
        rc = emit(walk, EXTENT_PADDING, "nodes", geo->nodes_end, used);
    if (rc == 0)
        rc = emit(walk, EXTENT_FREE, "free", used, geo->end);
    return rc != 0 ? rc : emit(walk, EXTENT_UNCLAIMED, "tail", geo->end, vol->dev->size_bytes);
}

int caposro1_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err)
{
    struct walk walk = {.vol = volume_of(fs), .sink = sink, .err = err};
    int rc = image_walk_map(fs->image, sink, err);
    if (rc == 0 && sink->extent != NULL)
        rc = walk_extents(&walk);
    strbuf_free(&walk.path);
    strbuf_free(&walk.name);
    return rc;
}
