/* What a description cannot say of a SquashFS image: that the blocks of each table follow one another up to its end and
 * are full, that numbers are unique, that exports lead where they should; names and links (check_tree.c); and that the
 * blocks of contents neither overlap nor leave gaps. */
#include "formats/squashfs/check.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHECK_PATH_BYTES = 64, CHECK_PAD_BYTES = 1024 };

/* ---- tables ---- */

/* Linux wants each block of a numbered table where the list says, one behind the other (super.c, id.c, export.c). */
static int check_index(struct sq_check *check, enum sq_table_id id, const struct sq_map *map)
{
    const struct sq_table *table = &check->vol->tables[id];
    const uint64_t n = sq_index_count(table);
    int rc = 0;
    char path[CHECK_PATH_BYTES];
    if (map->n != n)
        rc = sq_report(check, id == SQ_FRAGMENTS ? SEVERITY_WARNING : SEVERITY_ERROR, "sq-blocks",
                       table->blocks_name, &table->start,
                       "the table of %s has %zu metadata blocks; for %llu entries it takes %llu",
                       table->stream, map->n, (unsigned long long)table->entries, (unsigned long long)n);
    for (uint64_t i = 0; rc == 0 && i < n && i < map->n; i++) {
        const uint64_t at = table->index_start + i * SQUASHFS_BLOCK_POINTER_BYTES;
        uint64_t offset = 0;
        rc = sq_index_read(check->vol, id, i, &offset, check->err);
        if (rc != 0 || offset == map->offsets[i])
            continue;
        (void)snprintf(path, sizeof path, "%.*s_index[%llu]", (int)strlen(table->stream) - 1, table->stream,
                       (unsigned long long)i);
        return sq_report(
            check, SEVERITY_ERROR, "sq-index", path, &at,
            "block %llu of the table of %s is said to be at 0x%llx; the one before ends at 0x%llx",
            (unsigned long long)i, table->stream, (unsigned long long)offset,
            (unsigned long long)map->offsets[i]);
    }
    return rc;
}

/* All blocks full but for the last, which in numbered tables has exactly the entries that are left. */
static int check_full(struct sq_check *check, enum sq_table_id id, const struct sq_map *map)
{
    const struct sq_table *table = &check->vol->tables[id];
    const uint64_t bytes = table->entries * table->entry_bytes;
    struct sq_block *block = malloc(sizeof *block);
    int rc = block == NULL ? err_nomem(check->err, "checking metadata") : 0;
    char path[CHECK_PATH_BYTES];
    for (size_t i = 0; rc == 0 && i < map->n; i++) {
        struct plat_err why = {0};
        const bool last = i + 1 == map->n;
        const uint64_t left = table->entry_bytes == 0 ? 0 : bytes - i * SQ_META_BYTES;
        const uint64_t want = last && table->entry_bytes != 0 && left < SQ_META_BYTES ? left : SQ_META_BYTES;
        rc = sq_block_read(check->vol, table, map->offsets[i], block, &why);
        (void)snprintf(path, sizeof path, "%s[%zu]", table->blocks_name, i);
        if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED)
            rc = sq_report(check, SEVERITY_ERROR, "sq-metadata", path, &why.offset, "%s", why.text);
        else if (rc != 0 && check->err != NULL)
            *check->err = why;
        else if (rc == 0 && block->n != want && (!last || table->entry_bytes != 0))
            rc = sq_report(check, SEVERITY_ERROR, "sq-metadata", path, &map->offsets[i],
                           "a metadata block decompresses to %u bytes; %llu are due here", block->n,
                           (unsigned long long)want);
    }
    free(block);
    return rc;
}

static int check_table(struct sq_check *check, enum sq_table_id id)
{
    const struct sq_table *table = &check->vol->tables[id];
    struct sq_map *map = &check->maps[id];
    if (table->start >= table->end)
        return 0;
    int rc = sq_map_build(check->vol, id, map, check->err);
    if (rc != 0)
        return rc == PLAT_ECORRUPT || rc == PLAT_ELIMIT ? 0 : rc; /* the walk has met it, too */
    if (!map->whole)
        rc = sq_report(
            check, SEVERITY_ERROR, "sq-blocks", table->blocks_name, &map->offsets[map->n],
            "the metadata blocks of the table of %s do not end where it does, at 0x%llx: no block can begin "
            "here",
            table->stream, (unsigned long long)table->end);
    if (rc == 0 && table->entry_bytes != 0)
        rc = check_index(check, id, map);
    if (rc == 0)
        rc = check_full(check, id, map);
    if (id == SQ_DIRECTORIES)
        check->listing_left = (uint64_t)map->n * SQ_META_BYTES;
    return rc;
}

/* ---- inodes ---- */

static int check_numbers(struct sq_check *check)
{
    const struct sq_super *super = &check->vol->super;
    char path[CHECK_PATH_BYTES];
    int rc = 0;
    if (check->n_items != super->inodes && check->all_items)
        rc = sq_report(check, SEVERITY_ERROR, "sq-inodes", "superblock.inodes", NULL,
                       "the superblock speaks of %u inodes, and the table has %zu", super->inodes,
                       check->n_items);
    /* One bit for each that there can be without a number twice. */
    const size_t n = check->n_items < super->inodes ? check->n_items : super->inodes;
    uint8_t *seen = calloc(1, n / 8 + 1);
    if (seen == NULL)
        return err_nomem(check->err, "checking inodes");
    for (size_t i = 0; rc == 0 && i < check->n_items; i++) {
        const uint32_t number = check->items[i].number;
        if (number > n)
            continue;
        if ((seen[number / 8] >> number % 8 & 1) != 0) {
            (void)snprintf(path, sizeof path, "inodes[%u]", number);
            rc = sq_fault(check,
                          &(struct sq_fault){SEVERITY_ERROR, "sq-inode-twice", path,
                                             sq_where_ref(check, SQ_INODES, check->items[i].ref),
                                             SQ_BY_NOBODY},
                          "two inodes have the number %u", number);
        }
        seen[number / 8] |= (uint8_t)(1u << number % 8);
    }
    free(seen);
    const struct sq_item *root = sq_check_find(check, super->root);
    if (rc == 0 && root == NULL && check->all_items)
        rc = sq_report(check, SEVERITY_ERROR, "sq-root", "superblock.root_inode", NULL,
                       "the root is said to be at 0x%llx, where no inode begins",
                       (unsigned long long)super->root);
    return rc;
}

static int check_exports(struct sq_check *check)
{
    const struct sq_table *table = &check->vol->tables[SQ_EXPORTS];
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && check->all_items && i < table->entries; i++) {
        uint8_t buf[SQUASHFS_EXPORT_ENTRY_BYTES];
        struct squashfs_export_entry v = {NULL};
        struct plat_err why = {0};
        char path[CHECK_PATH_BYTES];
        rc = sq_entry_read(check->vol, SQ_EXPORTS, i, buf, &why);
        if (rc == PLAT_ECORRUPT || rc == PLAT_EUNSUPPORTED)
            return 0; /* the block is reported */
        if (rc != 0) {
            if (check->err != NULL)
                *check->err = why;
            return rc;
        }
        (void)squashfs_export_entry_view(buf, sizeof buf, &v);
        const uint64_t ref = squashfs_export_entry_inode(v);
        const struct sq_item *item = sq_check_find(check, ref);
        if (item != NULL && item->number == i + 1)
            continue;
        (void)snprintf(path, sizeof path, "exports[%llu]", (unsigned long long)i);
        rc = sq_fault(check,
                      &(struct sq_fault){SEVERITY_ERROR, "sq-export", path,
                                         sq_where_entry(check, SQ_EXPORTS, i), SQ_BY_NOBODY},
                      "entry %llu of the export table leads to 0x%llx, where inode %llu is not",
                      (unsigned long long)i, (unsigned long long)ref, (unsigned long long)i + 1);
    }
    return rc;
}

/* ---- contents ---- */

/* Of plain blocks the length is known without decompression; of the others scrub knows it. */
static int check_tails(struct sq_check *check)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < check->vol->tables[SQ_FRAGMENTS].entries; i++) {
        struct sq_fragment fragment;
        char path[CHECK_PATH_BYTES];
        if (check->tails[i] == 0 || sq_fragment_read(check->vol, (uint32_t)i, &fragment, NULL) != 0 ||
            squashfs_block_size_plain(fragment.word) == 0 ||
            squashfs_block_size_bytes(fragment.word) >= check->tails[i])
            continue;
        (void)snprintf(path, sizeof path, "fragments[%llu]", (unsigned long long)i);
        rc = sq_fault(check,
                      &(struct sq_fault){SEVERITY_ERROR, "sq-fragment-short", path,
                                         sq_where_entry(check, SQ_FRAGMENTS, i), SQ_BY_LINUX},
                      "a plain block of %u bytes, of which files want %u",
                      squashfs_block_size_bytes(fragment.word), check->tails[i]);
    }
    return rc;
}

static int check_contents(struct sq_check *check)
{
    const struct sq_super *super = &check->vol->super;
    uint64_t at = super->data_start;
    unsigned gaps = 0;
    int rc = 0;
    sq_check_sort(check);
    for (size_t i = 0; rc == 0 && i < check->n_blocks; i++) {
        const struct sq_stored *block = &check->blocks[i];
        const uint64_t end = block->offset + squashfs_block_size_bytes(block->word);
        const bool again = i > 0 && block->offset == block[-1].offset && block->word == block[-1].word;
        if (!again && block->offset < at && i > 0 && block->offset < super->inode_table)
            rc = sq_report(check, SEVERITY_ERROR, "sq-overlap", "data", &block->offset,
                           "a block begins here, inside another one, which ends at 0x%llx",
                           (unsigned long long)at);
        if (rc == 0 && block->offset > at && block->offset < super->inode_table && check->left_out == 0 &&
            gaps++ < SQ_CHECK_GAPS)
            rc = sq_report(check, SEVERITY_WARNING, "sq-unreferenced", "unknown", &at,
                           "%llu bytes belong to no file", (unsigned long long)(block->offset - at));
        at = end > at ? end : at;
    }
    if (rc == 0 && at < super->inode_table && check->left_out == 0)
        rc = sq_report(check, SEVERITY_WARNING, "sq-unreferenced", "unknown", &at,
                       "%llu bytes belong to no file", (unsigned long long)(super->inode_table - at));
    if (rc == 0 && check->left_out > 0)
        rc = sq_report(check, SEVERITY_NOTE, "sq-many", "data", NULL,
                       "%llu blocks are not compared with the others: %d are the most",
                       (unsigned long long)check->left_out, SQ_CHECK_BLOCKS);
    return rc;
}

/* What the image has behind the filesystem. */
static int check_tail(struct sq_check *check)
{
    const uint64_t used = check->vol->super.bytes_used, size = check->vol->dev->size_bytes;
    uint64_t padded = 0, at;
    bool found = false;
    if (align_up_u64(used, CHECK_PAD_BYTES, &padded) && size < padded)
        return sq_report(
            check, SEVERITY_NOTE, "sq-padding", "tail", &used,
            "the image ends within %d bytes of a device block: Linux cannot read the last of them where it "
            "mounts a file",
            CHECK_PAD_BYTES);
    /* Up to what makers pad to; more of a partition may hold anything. */
    (void)align_up_u64(used, 4096, &padded);
    int rc = dev_find_nonzero(check->vol->dev, (struct range){used, (padded < size ? padded : size) - used},
                              &found, &at, check->err);
    if (rc != 0 || !found)
        return rc;
    return sq_report(check, SEVERITY_WARNING, "sq-padding", "tail", &at, "the padding is not zero");
}

int squashfs_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err)
{
    struct sq_check check = {.vol = volume_of(fs), .sink = sink, .err = err};
    const struct plat_err *fault = &check.vol->fault;
    int rc = 0;
    if (fault->class != 0)
        rc = sq_report(&check, SEVERITY_ERROR, "sq-mount", fault->path,
                       fault->has_offset ? &fault->offset : NULL, "%s", fault->text);
    if (rc != 0 || !check.vol->sound)
        return rc;
    rc = sq_check_use_open(&check);
    for (unsigned id = 0; rc == 0 && id < SQ_TABLES; id++)
        rc = check_table(&check, (enum sq_table_id)id);
    if (rc == 0)
        rc = sq_check_collect(&check, true);
    if (rc == 0)
        rc = check_numbers(&check);
    if (rc == 0)
        rc = sq_check_tree(&check);
    if (rc == 0)
        rc = check_exports(&check);
    if (rc == 0)
        rc = sq_check_use(&check);
    if (rc == 0)
        rc = sq_check_xattrs(&check);
    if (rc == 0)
        rc = check_tails(&check);
    if (rc == 0)
        rc = check_contents(&check);
    if (rc == 0)
        rc = check_tail(&check);
    sq_check_free(&check);
    return rc;
}
