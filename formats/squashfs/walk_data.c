/* Contents, by the paths of their files: the tree is gone through from the root, each directory once. Equal files
 * and the names of one file share blocks: these are produced for each of them. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/squashfs/walk.h"

/* The list of a file's blocks is read again for each of its other names, until so many sizes were. */
enum { AGAIN_WORDS = 1 << 22 };

/* A directory that is being gone through: about 8 KiB. */
struct frame {
    struct sq_listing listing;
    size_t path_bytes; /* of the directory's path */
};
struct tree_walk {
    struct sq_walk *walk;
    struct strbuf path;
    struct frame **frames;
    size_t n_frames;
    uint8_t *seen; /* a bit for each inode number up to n_seen */
    uint64_t n_seen;
    uint64_t again_words; /* left */
};

static bool mark_new(struct tree_walk *tree, uint32_t number)
{
    if (number >= tree->n_seen)
        return false;
    const uint8_t bit = (uint8_t)(1u << number % 8);
    const bool is_new = (tree->seen[number / 8] & bit) == 0;
    tree->seen[number / 8] |= bit;
    return is_new;
}

/* Damage is check's and the streams' to report: here it ends what it is in. */
static int past_damage(struct tree_walk *tree, int rc, const struct plat_err *why)
{
    if (rc == 0 || why->class != rc)
        return rc;
    if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED || rc == PLAT_ELIMIT)
        return 0;
    if (tree->walk->err != NULL)
        *tree->walk->err = *why;
    return rc;
}

static int enter(struct tree_walk *tree, const struct sq_inode *dir, struct plat_err *why)
{
    struct sq_walk *walk = tree->walk;
    if (!mark_new(tree, dir->number) || tree->n_frames == TREE_MAX_DEPTH ||
        dir->listing_bytes - 3 > walk->listing_left)
        return 0;
    walk->listing_left -= dir->listing_bytes - 3;
    if (tree->frames[tree->n_frames] == NULL)
        tree->frames[tree->n_frames] = malloc(sizeof **tree->frames);
    struct frame *frame = tree->frames[tree->n_frames];
    if (frame == NULL)
        return err_nomem(why, "walking directories");
    frame->path_bytes = tree->path.len;
    int rc = sq_listing_open(walk->vol, dir, &frame->listing, why);
    tree->n_frames += rc == 0;
    return rc;
}

/* Its blocks are one run. */
static int file_extent(struct tree_walk *tree, const struct sq_inode *file, struct sq_cursor *rest,
                       struct plat_err *why)
{
    const struct volume *vol = tree->walk->vol;
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < file->n_blocks; i++) {
        uint32_t word;
        int rc = sq_word_take(rest, &word, why);
        if (rc != 0)
            return rc;
        bytes += squashfs_block_size_bytes(word);
    }
    const struct range place = {file->start, bytes};
    if (!range_within(place, vol->super.bytes_used))
        return 0;
    return sq_extent(tree->walk, EXTENT_DATA, strbuf_str(&tree->path), place);
}

static int visit(struct tree_walk *tree, const struct frame *frame, const struct sq_entry *entry,
                 struct plat_err *why)
{
    struct sq_inode inode;
    struct sq_cursor rest;
    if (sq_name_fault(entry) != NULL)
        return 0;
    strbuf_truncate(&tree->path, frame->path_bytes);
    strbuf_putc(&tree->path, '/');
    strbuf_add(&tree->path, entry->name, entry->n);
    if (tree->path.failed)
        return err_nomem(why, "naming a file");
    int rc = sq_inode_read(tree->walk->vol, entry->ref, &inode, &rest, why);
    if (rc != 0)
        return rc;
    if (inode.type == SQUASHFS_ENTRY_TYPE_DIRECTORY)
        return enter(tree, &inode, why);
    if (inode.type != SQUASHFS_ENTRY_TYPE_FILE || inode.n_blocks == 0)
        return 0;
    if (!mark_new(tree, inode.number)) {
        if (inode.n_blocks > tree->again_words)
            return 0;
        tree->again_words -= inode.n_blocks;
    }
    return file_extent(tree, &inode, &rest, why);
}

static int visit_all(struct tree_walk *tree)
{
    struct plat_err why = {0};
    struct sq_inode root;
    struct sq_cursor rest;
    int rc = sq_inode_read(tree->walk->vol, tree->walk->vol->super.root, &root, &rest, &why);
    if (rc == 0)
        rc = enter(tree, &root, &why);
    rc = past_damage(tree, rc, &why);
    while (rc == 0 && tree->n_frames > 0) {
        struct frame *frame = tree->frames[tree->n_frames - 1];
        struct sq_entry entry;
        bool header, there = false;
        why = (struct plat_err){0};
        rc = sq_listing_next(&frame->listing, &entry, &header, &there, &why);
        if (rc != 0 || !there) {
            tree->n_frames--;
        } else if (!header) {
            rc = visit(tree, frame, &entry, &why);
        }
        rc = past_damage(tree, rc, &why);
    }
    return rc;
}

static int walk_fragments(struct sq_walk *walk)
{
    for (uint64_t i = 0; i < walk->vol->tables[SQ_FRAGMENTS].entries; i++) {
        struct sq_fragment fragment;
        struct plat_err why = {0};
        char path[SQ_PATH_BYTES];
        int rc = sq_fragment_read(walk->vol, (uint32_t)i, &fragment, &why);
        if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED)
            return 0; /* the table's own walk has said so */
        const struct range place = {fragment.start, squashfs_block_size_bytes(fragment.word)};
        (void)snprintf(path, sizeof path, "fragments[%llu]", (unsigned long long)i);
        if (rc != 0) {
            if (walk->err != NULL)
                *walk->err = why;
        } else if (range_within(place, walk->vol->super.bytes_used)) {
            rc = sq_extent(walk, EXTENT_DATA, path, place);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int sq_walk_data(struct sq_walk *walk)
{
    struct tree_walk tree = {.walk = walk, .again_words = AGAIN_WORDS};
    const uint64_t most = walk->vol->super.inodes;
    tree.n_seen = (walk->n_inodes < most ? walk->n_inodes : most) + 1;
    tree.seen = calloc(1, (size_t)(tree.n_seen / 8 + 1));
    tree.frames = calloc(TREE_MAX_DEPTH, sizeof *tree.frames);
    walk->listing_left = (uint64_t)walk->maps[SQ_DIRECTORIES].n * SQ_META_BYTES;
    int rc = tree.seen == NULL || tree.frames == NULL ? err_nomem(walk->err, "walking directories")
                                                      : visit_all(&tree);
    for (size_t i = 0; tree.frames != NULL && i < TREE_MAX_DEPTH; i++)
        free(tree.frames[i]);
    free(tree.frames);
    free(tree.seen);
    strbuf_free(&tree.path);
    return rc != 0 ? rc : walk_fragments(walk);
}
