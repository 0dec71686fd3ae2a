/* All inodes and all blocks, for checks that compare them: once through the inode table. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/squashfs/check.h"

int sq_check_damage(struct sq_check *check, const char *path, const struct plat_err *why, bool told)
{
    if (why->class != PLAT_ECORRUPT && why->class != PLAT_EUNSUPPORTED && why->class != PLAT_ELIMIT) {
        if (check->err != NULL && why->class != 0)
            *check->err = *why;
        return why->class;
    }
    if (told)
        return 0;
    return sq_report(check, SEVERITY_ERROR, "unreadable", path, why->has_offset ? &why->offset : NULL, "%s",
                     why->text);
}

static int grow(void **list, size_t *cap, size_t n, size_t each)
{
    if (n < *cap)
        return 0;
    const size_t more = *cap == 0 ? 1024 : *cap * 2;
    void *moved = reallocarray(*list, more, each);
    if (moved == NULL)
        return PLAT_ENOMEM;
    *list = moved;
    *cap = more;
    return 0;
}

static int add_block(struct sq_check *check, struct sq_stored block)
{
    if (check->n_blocks == SQ_CHECK_BLOCKS) {
        check->left_out += check->full == NULL;
        int rc = check->full != NULL ? check->full(check) : 0;
        if (rc != 0 || check->full == NULL)
            return rc;
    }
    if (grow((void **)&check->blocks, &check->cap_blocks, check->n_blocks, sizeof *check->blocks) != 0)
        return err_nomem(check->err, "collecting blocks");
    check->blocks[check->n_blocks++] = block;
    return 0;
}

static int add_item(struct sq_check *check, const struct sq_inode *inode)
{
    if (check->n_items == SQ_CHECK_INODES)
        return err_set(check->err, PLAT_ELIMIT,
                       "more than %d inodes: they are not compared with the directories", SQ_CHECK_INODES);
    if (grow((void **)&check->items, &check->cap_items, check->n_items, sizeof *check->items) != 0)
        return err_nomem(check->err, "collecting inodes");
    check->items[check->n_items++] = (struct sq_item){.ref = inode->ref,
                                                      .number = inode->number,
                                                      .links = inode->links,
                                                      .parent = inode->parent,
                                                      .type = (uint8_t)inode->type};
    return 0;
}

/* One block of a file, whose size is what the cursor has just passed at `where`. *good: no block of the file has been
 * wrong so far; only the first is told. */
static int add_file_block(struct sq_check *check, const struct sq_inode *file, uint64_t i,
                          const struct sq_stored *block, const struct sq_where *where, bool *good)
{
    char path[64];
    int rc = 0;
    if (check->ids_used != NULL && *good) {
        (void)snprintf(path, sizeof path, "blocks[%u][%llu]", file->number, (unsigned long long)i);
        rc = sq_check_place(check, block, path, where, good);
    }
    /* What is nowhere is compared with nothing. */
    return rc == 0 && *good ? add_block(check, *block) : rc;
}

/* The list of sizes behind a file's inode. *ret_rc: what add_block said. */
static int add_words(struct sq_check *check, struct sq_cursor *cursor, const struct sq_inode *file,
                     int *ret_rc, struct plat_err *why)
{
    uint64_t offset = file->start, zero_bytes = 0;
    bool good = true, more;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && *ret_rc == 0 && i < file->n_blocks; i++) {
        uint32_t word = 0;
        rc = sq_more(cursor, &more, why);
        const struct sq_where where = sq_where_block(check, SQ_INODES, cursor->block.offset, cursor->at);
        if (rc == 0)
            rc = sq_word_take(cursor, &word, why);
        const uint32_t expected = sq_block_expected(check->vol, file, i);
        zero_bytes += rc == 0 && word == 0 ? expected : 0;
        if (rc == 0 && word != 0) {
            const struct sq_stored block = {offset, word, expected};
            *ret_rc = add_file_block(check, file, i, &block, &where, &good);
            offset += squashfs_block_size_bytes(word);
        }
    }
    const uint32_t tail = sq_tail_bytes(check->vol, file);
    if (rc == 0 && tail > 0 && check->tails != NULL) {
        uint32_t *most = &check->tails[file->fragment];
        *most = file->fragment_offset + tail > *most ? file->fragment_offset + tail : *most;
    }
    if (rc == 0 && *ret_rc == 0)
        *ret_rc = sq_check_sparse(check, file, zero_bytes);
    return rc;
}

static int collect_inodes(struct sq_check *check, bool with_items)
{
    struct volume *vol = check->vol;
    const struct sq_table *table = &vol->tables[SQ_INODES];
    struct sq_cursor cursor;
    struct plat_err why = {0};
    int rc = sq_seek(vol, table, table->start, 0, &cursor, &why);
    while (rc == 0) {
        struct sq_inode inode;
        bool more;
        int added = 0;
        rc = sq_more(&cursor, &more, &why);
        if (rc == 0 && !more) {
            check->all_items = true;
            return 0;
        }
        if (rc == 0)
            rc = sq_inode_take(&cursor, &inode, &why);
        if (rc == 0 && with_items)
            added = add_item(check, &inode);
        if (added != 0)
            return added;
        if (rc == 0)
            rc = sq_check_inode(check, &cursor, &inode, &added, &why);
        if (rc == 0 && added == 0 && inode.type == SQUASHFS_ENTRY_TYPE_FILE)
            rc = add_words(check, &cursor, &inode, &added, &why);
        if (added != 0)
            return added;
    }
    if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED || rc == PLAT_ELIMIT)
        return 0;
    if (check->err != NULL)
        *check->err = why;
    return rc;
}

static int collect_fragment(struct sq_check *check, uint64_t i, const struct sq_fragment *fragment)
{
    const struct sq_stored block = {fragment->start, fragment->word, 0};
    const struct sq_where where = sq_where_entry(check, SQ_FRAGMENTS, i);
    bool good = true;
    char path[64];
    (void)snprintf(path, sizeof path, "fragments[%llu]", (unsigned long long)i);
    int rc = check->ids_used != NULL ? sq_check_place(check, &block, path, &where, &good) : 0;
    return rc == 0 && good ? add_block(check, block) : rc;
}

int sq_check_collect(struct sq_check *check, bool with_items)
{
    int rc = collect_inodes(check, with_items);
    for (uint64_t i = 0; rc == 0 && i < check->vol->tables[SQ_FRAGMENTS].entries; i++) {
        struct sq_fragment fragment;
        struct plat_err why = {0};
        rc = sq_fragment_read(check->vol, (uint32_t)i, &fragment, &why);
        if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED)
            return 0;
        if (rc != 0 && check->err != NULL)
            *check->err = why;
        if (rc == 0)
            rc = collect_fragment(check, i, &fragment);
    }
    return rc;
}

static int compare_blocks(const void *a, const void *b)
{
    const struct sq_stored *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (x->word != y->word)
        return x->word < y->word ? -1 : 1;
    return x->expected < y->expected ? -1 : x->expected > y->expected;
}

void sq_check_sort(struct sq_check *check)
{
    if (check->n_blocks > 0)
        qsort(check->blocks, check->n_blocks, sizeof *check->blocks, compare_blocks);
}

static int compare_item(const void *key, const void *item)
{
    const uint64_t ref = *(const uint64_t *)key, other = ((const struct sq_item *)item)->ref;
    return ref < other ? -1 : ref > other;
}

struct sq_item *sq_check_find(const struct sq_check *check, uint64_t ref)
{
    if (check->n_items == 0)
        return NULL;
    return bsearch(&ref, check->items, check->n_items, sizeof *check->items, compare_item);
}

void sq_check_free(struct sq_check *check)
{
    free(check->items);
    free(check->blocks);
    free(check->tails);
    free(check->ids_used);
    free(check->sets_used);
    free(check->listings.list);
    for (unsigned id = 0; id < SQ_TABLES; id++)
        sq_map_free(&check->maps[id]);
}
