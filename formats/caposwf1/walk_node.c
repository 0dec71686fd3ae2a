/* Records, maps and names; and contents, which go by the paths of their files. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/caposwf1/each.h"
#include "formats/caposwf1/walk.h"

/* ---- records and maps ---- */

struct map_walk {
    struct walk *walk;
    uint64_t number;
    bool directory;
    uint64_t n_blocks, n_names;
};

static void map_path(char ret[WF1_WALK_PATH_BYTES], const char *what, uint64_t number, uint64_t k)
{
    (void)snprintf(ret, WF1_WALK_PATH_BYTES, "%s[%llu][%llu]", what, (unsigned long long)number,
                   (unsigned long long)k);
}

static int walk_names(struct map_walk *map, const struct wf1_entry *branch, const uint8_t *block)
{
    uint32_t at = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < branch->count; i++) {
        char path[WF1_WALK_PATH_BYTES];
        struct wf1_name name;
        const uint32_t start = at;
        if (!wf1_name_decode(block, &at, &name))
            return 0;
        map_path(path, "names", map->number, map->n_names);
        rc = wf1_walk_instance(map->walk, "name_entry", block + start, at - start,
                               (uint64_t)branch->block * WF1_BLOCK_BYTES + start, path, map->n_names++);
    }
    return rc;
}

/* The blocks that `entries` name, `level` levels of which are left. No deeper than 12. */
static int walk_map(struct map_walk *map, const struct wf1_entry *entries, uint32_t n, uint32_t level)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && level > 0 && i < n; i++) {
        const bool names = map->directory && level == 1;
        const uint64_t k = names ? map->n_names : map->n_blocks;
        struct wf1_entry below[WF1_ENTRIES];
        uint8_t copy[WF1_BLOCK_BYTES];
        char path[WF1_WALK_PATH_BYTES];
        const uint8_t *bytes;
        map_path(path, names ? "names" : "maps", map->number, k);
        rc = wf1_walk_block(map->walk, (struct wf1_pointer){entries[i].block, entries[i].crc32c}, path,
                            &bytes);
        if (rc != 0 || bytes == NULL)
            continue;
        memcpy(copy, bytes, sizeof copy);
        if (names) {
            rc = walk_names(map, &entries[i], copy);
            continue;
        }
        map->n_blocks++;
        rc = wf1_walk_instance(map->walk, level == 1 ? "extent_block" : "branch_block", copy, sizeof copy,
                               (uint64_t)entries[i].block * WF1_BLOCK_BYTES, path, k);
        if (rc != 0 || entries[i].count > WF1_ENTRIES)
            continue;
        wf1_entries_decode(copy, entries[i].count, below);
        rc = walk_map(map, below, entries[i].count, level - 1);
    }
    return rc;
}

static const char *record_type(const struct wf1_node *node)
{
    const bool file = node->kind == CAPOSWF1_NODE_KIND_FILE || node->kind == CAPOSWF1_NODE_KIND_SYMLINK;
    if (file && node->levels == 0)
        return "extent_node";
    return file || node->kind == CAPOSWF1_NODE_KIND_DIRECTORY ? "branch_node" : "plain_node";
}

int wf1_walk_records(struct walk *walk, uint64_t first_number, const uint8_t *bytes, uint64_t offset)
{
    const struct wf1_super *super = &walk->reader->super;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < WF1_RECORDS && first_number + i < super->node_count; i++) {
        const uint8_t *record = bytes + i * CAPOSWF1_PLAIN_NODE_BYTES;
        struct map_walk map = {.walk = walk, .number = first_number + i};
        struct wf1_node node;
        char path[WF1_WALK_PATH_BYTES];
        (void)snprintf(path, sizeof path, "nodes[%llu]", (unsigned long long)map.number);
        wf1_node_decode(record, &node);
        rc = wf1_walk_instance(walk, record_type(&node), record, CAPOSWF1_PLAIN_NODE_BYTES,
                               offset + i * CAPOSWF1_PLAIN_NODE_BYTES, path, map.number);
        map.directory = node.kind == CAPOSWF1_NODE_KIND_DIRECTORY;
        if (rc == 0 && wf1_node_fault(super, &node) == NULL)
            rc = walk_map(&map, node.entries, node.n_entries, node.levels);
    }
    return rc;
}

/* ---- contents ---- */

/* A directory that is being gone through. */
struct frame {
    struct wf1_cursor cursor;
    uint8_t block[WF1_BLOCK_BYTES];
    uint32_t offset, left; /* of the names in `block` */
    size_t path_bytes;     /* of the directory's path */
    struct wf1_name last;  /* the one before; name: in `text` */
    uint8_t text[WF1_NAME_MAX_BYTES];
    bool any;
};
struct contents {
    struct walk *walk;
    struct strbuf path;
    struct frame *frames;
    size_t n_frames, cap;
    uint8_t *seen;       /* directories that were entered */
    uint64_t size_bytes; /* of the file at hand */
};

static bool mark_new(uint8_t *bits, uint64_t at)
{
    const uint8_t bit = (uint8_t)(1u << at % 8);
    const bool is_new = (bits[at / 8] & bit) == 0;
    bits[at / 8] |= bit;
    return is_new;
}

/* Blocks [block, block + n) of the image, which hold the file from byte `position` on. */
static int emit_run(struct contents *contents, uint64_t block, uint64_t n, uint64_t position)
{
    const uint64_t start = block * WF1_BLOCK_BYTES, end = start + n * WF1_BLOCK_BYTES;
    const uint64_t left = contents->size_bytes > position ? contents->size_bytes - position : 0;
    const uint64_t middle = left < end - start ? start + left : end;
    const char *path = strbuf_str(&contents->path);
    contents->walk->position = position;
    int rc = wf1_walk_extent(contents->walk, EXTENT_DATA, path, start, middle);
    contents->walk->position = 0;
    return rc != 0 ? rc : wf1_walk_extent(contents->walk, EXTENT_PADDING, path, middle, end);
}

/* Cross-linked blocks are named for each of those who have them. */
static int content_extent(void *ctx, const struct wf1_entry *extent)
{
    struct contents *contents = ctx;
    const uint64_t region = contents->walk->reader->super.region_first_block;
    for (uint32_t i = 0; i < extent->count; i++)
        (void)mark_new(contents->walk->claimed, extent->block - region + i);
    return emit_run(contents, extent->block, extent->count, (uint64_t)extent->key * WF1_BLOCK_BYTES);
}

/* Its names come next, unless they did before. */
static int enter(struct contents *contents, uint64_t number, const struct wf1_node *node)
{
    struct walk *walk = contents->walk;
    if (!mark_new(contents->seen, number))
        return 0;
    if (contents->n_frames == contents->cap) {
        const size_t cap = contents->cap == 0 ? 8 : contents->cap * 2;
        struct frame *frames = reallocarray(contents->frames, cap, sizeof *frames);
        if (frames == NULL)
            return err_nomem(walk->err, "walking directories");
        contents->frames = frames;
        contents->cap = cap;
    }
    struct frame *frame = &contents->frames[contents->n_frames];
    frame->left = 0;
    frame->any = false;
    frame->path_bytes = contents->path.len;
    int rc = wf1_cursor_seek(&frame->cursor, walk->reader, node, 0, walk->err);
    contents->n_frames += rc == 0;
    return rc == PLAT_ECORRUPT ? 0 : rc;
}

/* The next name of a directory; false at its end, which is also where order ends. */
static int next_name(struct contents *contents, struct frame *frame, struct wf1_name *ret, bool *ret_there)
{
    struct walk *walk = contents->walk;
    *ret_there = false;
    if (frame->left == 0) {
        const struct wf1_entry leaf = frame->cursor.leaf;
        const uint8_t *bytes;
        if (frame->cursor.end)
            return 0;
        int rc = wf1_block(walk->reader, (struct wf1_pointer){leaf.block, leaf.crc32c}, &bytes, walk->err);
        if (rc == 0) {
            memcpy(frame->block, bytes, sizeof frame->block);
            frame->left = leaf.count;
            frame->offset = 0;
            rc = wf1_cursor_next(&frame->cursor, walk->err);
        }
        if (rc != 0) {
            frame->cursor.end = true;
            if (rc != PLAT_ECORRUPT)
                return rc;
        }
    }
    if (frame->left == 0 || !wf1_name_decode(frame->block, &frame->offset, ret))
        return 0;
    frame->left--;
    if (frame->any) {
        frame->last.name = frame->text; /* frames move when there are more of them */
        if (wf1_name_compare(&frame->last, ret) >= 0)
            return 0;
    }
    frame->any = true;
    frame->last = *ret;
    memcpy(frame->text, ret->name, ret->bytes);
    *ret_there = true;
    return 0;
}

static int visit_name(struct contents *contents, size_t path_bytes, const struct wf1_name *name)
{
    struct walk *walk = contents->walk;
    struct wf1_node node;
    strbuf_truncate(&contents->path, path_bytes);
    strbuf_putc(&contents->path, '/');
    strbuf_add(&contents->path, (const char *)name->name, name->bytes);
    if (contents->path.failed)
        return err_nomem(walk->err, "naming a file");
    int rc = wf1_node_read(walk->reader, name->node, &node, walk->err);
    if (rc == PLAT_ECORRUPT || rc == PLAT_ENOTFOUND)
        return 0;
    if (rc != 0 || node.kind == CAPOSWF1_NODE_KIND_DIRECTORY)
        return rc != 0 ? rc : enter(contents, name->node, &node);
    if (node.kind != CAPOSWF1_NODE_KIND_FILE && node.kind != CAPOSWF1_NODE_KIND_SYMLINK)
        return 0;
    contents->size_bytes = node.size_bytes;
    return wf1_each_extent(walk->reader, &node, content_extent, contents, walk->err);
}

static int visit_all(struct contents *contents)
{
    struct walk *walk = contents->walk;
    struct wf1_node root;
    int rc = wf1_node_read(walk->reader, WF1_ROOT_NODE, &root, walk->err);
    if (rc == PLAT_ECORRUPT || rc == PLAT_ENOTFOUND)
        return 0;
    if (rc == 0 && root.kind == CAPOSWF1_NODE_KIND_DIRECTORY)
        rc = enter(contents, WF1_ROOT_NODE, &root);
    while (rc == 0 && contents->n_frames > 0) {
        struct frame *frame = &contents->frames[contents->n_frames - 1];
        struct wf1_name name;
        uint8_t text[WF1_NAME_MAX_BYTES];
        bool there;
        rc = next_name(contents, frame, &name, &there);
        if (rc == 0 && !there) {
            contents->n_frames--;
        } else if (rc == 0) {
            memcpy(text, name.name, name.bytes);
            name.name = text;
            rc = visit_name(contents, frame->path_bytes, &name);
        }
    }
    return rc;
}

int wf1_walk_contents(struct walk *walk)
{
    struct contents contents = {.walk = walk};
    if (wf1_nodes_impossible(&walk->reader->super))
        return 0;
    contents.seen = calloc(1, (size_t)div_up_u64(walk->reader->super.node_count, 8));
    int rc = contents.seen == NULL ? err_nomem(walk->err, "walking directories") : visit_all(&contents);
    free(contents.seen);
    free(contents.frames);
    strbuf_free(&contents.path);
    return rc;
}
