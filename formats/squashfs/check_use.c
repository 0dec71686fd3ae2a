/* What an image has and nothing refers to: blocks of fragments, ids, sets of attributes, parts of streams. Then flags
 * that say otherwise than the tables, ids that are there twice, targets and counts of bytes that are not there. */
#include "formats/squashfs/check.h"

#include <stdio.h>
#include <stdlib.h>

enum { USE_PATH_BYTES = 64, TARGET_PART_BYTES = 256 };

#define path_of(ret, ...) (void)snprintf(ret, USE_PATH_BYTES, __VA_ARGS__)

static bool bit_of(const uint8_t *bits, uint64_t i)
{
    return (bits[i / 8] >> i % 8 & 1) != 0;
}
static void bit_set(uint8_t *bits, uint64_t i)
{
    bits[i / 8] |= (uint8_t)(1u << i % 8);
}

int sq_check_use_open(struct sq_check *check)
{
    const struct sq_super *super = &check->vol->super;
    /* Opening has counted the blocks of the tables, so this is in proportion to the image. */
    check->tails = calloc((size_t)super->fragments + 1, sizeof *check->tails);
    check->ids_used = calloc(1, super->ids / 8u + 1);
    check->sets_used = calloc(1, super->xattr_ids / 8u + 1);
    if (check->tails == NULL || check->ids_used == NULL || check->sets_used == NULL)
        return err_nomem(check->err, "checking an image");
    return 0;
}

/* ---- inodes ---- */

/* Linux ends the target at a zero byte. The number of the attributes follows it where there are any. */
static int check_target(struct sq_check *check, struct sq_cursor *cursor, const struct sq_inode *link,
                        uint32_t *ret_xattr, int *ret_rc, struct plat_err *why)
{
    uint8_t part[TARGET_PART_BYTES];
    bool zero = false;
    int rc = 0;
    for (uint32_t left = link->target_bytes; rc == 0 && left > 0;) {
        const uint32_t n = left < sizeof part ? left : (uint32_t)sizeof part;
        rc = sq_take(cursor, part, n, why);
        zero = zero || (rc == 0 && memchr(part, 0, n) != NULL);
        left -= n;
    }
    if (rc == 0 && link->extended)
        rc = sq_take(cursor, part, SQUASHFS_ID_ENTRY_BYTES, why);
    if (rc == 0 && link->extended)
        *ret_xattr = load_le32(part);
    if (rc != 0 || !zero)
        return rc;
    char path[USE_PATH_BYTES];
    path_of(path, "inodes[%u].target", link->number);
    *ret_rc =
        sq_fault(check,
                 &(struct sq_fault){SEVERITY_ERROR, "sq-target", path,
                                    sq_where_ref(check, SQ_INODES, link->ref), SQ_BY_NOBODY},
                 "the target of symbolic link %u has a zero byte in it, where readers end it", link->number);
    return 0;
}

int sq_check_inode(struct sq_check *check, struct sq_cursor *cursor, const struct sq_inode *inode,
                   int *ret_rc, struct plat_err *why)
{
    uint32_t xattr = inode->xattr;
    int rc = 0;
    *ret_rc = 0;
    if (check->ids_used == NULL)
        return inode->type == SQUASHFS_ENTRY_TYPE_FILE ? 0 : sq_inode_skip(cursor, inode, why);
    bit_set(check->ids_used, inode->uid_index);
    bit_set(check->ids_used, inode->gid_index);
    if (inode->type == SQUASHFS_ENTRY_TYPE_SYMLINK)
        rc = check_target(check, cursor, inode, &xattr, ret_rc, why);
    else if (inode->type != SQUASHFS_ENTRY_TYPE_FILE)
        rc = sq_inode_skip(cursor, inode, why);
    if (rc == 0 && xattr < check->vol->super.xattr_ids)
        bit_set(check->sets_used, xattr);
    return rc;
}

int sq_check_place(struct sq_check *check, const struct sq_stored *block, const char *path,
                   const struct sq_where *where, bool *ret_good)
{
    const struct sq_super *super = &check->vol->super;
    const uint32_t n = squashfs_block_size_bytes(block->word);
    struct sq_fault fault = {SEVERITY_ERROR, "sq-block", path, *where, SQ_BY_ALL};
    struct plat_err why = {0};
    *ret_good = false;
    if (squashfs_block_size_unused(block->word) != 0)
        fault.refused = SQ_BY_LINUX | SQ_BY_UNSQUASHFS;
    if (sq_data_check(check->vol, block->offset, block->word, &why) != 0)
        return sq_fault(check, &fault, "%s", why.text);
    /* Others decompress whatever is there. */
    fault.refused = SQ_BY_NOBODY;
    if (block->offset < super->data_start || block->offset + n > super->inode_table)
        return sq_fault(check, &fault, "a block of %u bytes of contents at 0x%llx lies in the metadata", n,
                        (unsigned long long)block->offset);
    *ret_good = squashfs_block_size_plain(block->word) == 0 || block->expected == 0 || n == block->expected;
    fault.refused = SQ_BY_LINUX;
    return *ret_good ? 0
                     : sq_fault(check, &fault, "a plain block of %u bytes, where the file has %u", n,
                                block->expected);
}

int sq_check_sparse(struct sq_check *check, const struct sq_inode *file, uint64_t zero_bytes)
{
    char path[USE_PATH_BYTES];
    if (check->ids_used == NULL || file->sparse_bytes <= zero_bytes)
        return 0;
    path_of(path, "inodes[%u].sparse_bytes", file->number);
    return sq_fault(
        check,
        &(struct sq_fault){SEVERITY_WARNING, "sq-sparse", path, sq_where_ref(check, SQ_INODES, file->ref),
                           SQ_BY_NOBODY},
        "%llu bytes of file %u are said to be in blocks that are not there; such blocks have %llu",
        (unsigned long long)file->sparse_bytes, file->number, (unsigned long long)zero_bytes);
}

/* ---- parts of streams ---- */

uint64_t sq_stream_bytes(const struct sq_check *check, enum sq_table_id id)
{
    const struct sq_map *map = &check->maps[id];
    struct sq_block *block = map->n > 0 ? malloc(sizeof *block) : NULL;
    uint64_t bytes = 0;
    if (block != NULL &&
        sq_block_read(check->vol, &check->vol->tables[id], map->offsets[map->n - 1], block, NULL) == 0)
        bytes = (map->n - 1) * (uint64_t)SQ_META_BYTES + block->n;
    free(block);
    return bytes;
}

uint64_t sq_position(const struct sq_check *check, enum sq_table_id id, uint64_t ref)
{
    uint64_t block = 0;
    (void)sq_map_find(&check->maps[id], check->vol->tables[id].start + squashfs_reference_block(ref), &block);
    return block * SQ_META_BYTES + squashfs_reference_offset(ref);
}

int sq_ranges_add(struct sq_ranges *ranges, struct range range)
{
    if (ranges->n == SQ_CHECK_RANGES)
        ranges->partial = true;
    if (range.bytes == 0 || ranges->partial)
        return 0;
    if (ranges->n == ranges->cap) {
        const size_t cap = ranges->cap == 0 ? 256 : ranges->cap * 2;
        struct range *list = reallocarray(ranges->list, cap, sizeof *list);
        if (list == NULL)
            return PLAT_ENOMEM;
        ranges->list = list;
        ranges->cap = cap;
    }
    ranges->list[ranges->n++] = range;
    return 0;
}

static int compare_starts(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

int sq_ranges_check(struct sq_check *check, enum sq_table_id id, struct sq_ranges *ranges)
{
    const struct sq_table *table = &check->vol->tables[id];
    const uint64_t end = ranges->partial ? 0 : sq_stream_bytes(check, id);
    uint64_t at = 0;
    int rc = 0;
    if (ranges->n > 0)
        qsort(ranges->list, ranges->n, sizeof *ranges->list, compare_starts);
    unsigned gaps = 0;
    for (size_t i = 0; rc == 0 && i <= ranges->n && at < end && gaps < SQ_CHECK_GAPS; i++) {
        const struct range next = i < ranges->n ? ranges->list[i] : (struct range){end, 0};
        if (next.start > at) {
            const struct sq_fault fault = {SEVERITY_WARNING, "sq-unreferenced", table->stream,
                                           sq_where_position(check, id, at), SQ_BY_NOBODY};
            rc =
                sq_fault(check, &fault, "%llu bytes of the table of %s, from byte %llu on, belong to nothing",
                         (unsigned long long)(next.start - at), table->stream, (unsigned long long)at);
            gaps++;
        }
        at = next.start + next.bytes > at ? next.start + next.bytes : at;
    }
    return rc;
}

/* ---- tables ---- */

struct unused {
    enum sq_table_id table;
    uint64_t n;
    const uint8_t *bits;
    const char *what;
};

static int check_entries(struct sq_check *check, const struct unused *unused)
{
    unsigned found = 0;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < unused->n && found < SQ_CHECK_GAPS; i++) {
        char path[USE_PATH_BYTES];
        if (unused->bits != NULL ? bit_of(unused->bits, i) : check->tails[i] > 0)
            continue;
        path_of(path, "%s[%llu]", check->vol->tables[unused->table].stream, (unsigned long long)i);
        found++;
        rc = sq_fault(check,
                      &(struct sq_fault){SEVERITY_WARNING, "sq-unreferenced", path,
                                         sq_where_entry(check, unused->table, i), SQ_BY_NOBODY},
                      "no inode has %s %llu", unused->what, (unsigned long long)i);
    }
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int check_ids(struct sq_check *check)
{
    const uint32_t n = check->vol->super.ids;
    /* Id, then its number: equal ones lie side by side. */
    uint64_t *sorted = calloc(n, sizeof *sorted);
    int rc = 0;
    if (sorted == NULL)
        return err_nomem(check->err, "checking ids");
    for (uint32_t i = 0; i < n; i++)
        sorted[i] = (uint64_t)check->vol->id_list[i] << 32 | i;
    qsort(sorted, n, sizeof *sorted, compare_ids);
    unsigned found = 0;
    for (uint32_t i = 1; rc == 0 && i < n && found < SQ_CHECK_GAPS; i++) {
        const uint32_t number = (uint32_t)sorted[i];
        char path[USE_PATH_BYTES];
        if (sorted[i] >> 32 != sorted[i - 1] >> 32)
            continue;
        found++;
        path_of(path, "ids[%u]", number);
        rc = sq_fault(check,
                      &(struct sq_fault){SEVERITY_WARNING, "sq-id-twice", path,
                                         sq_where_entry(check, SQ_IDS, number), SQ_BY_NOBODY},
                      "id %llu is entry %u of the table, too", (unsigned long long)(sorted[i] >> 32),
                      (uint32_t)sorted[i - 1]);
    }
    free(sorted);
    return rc;
}

/* ---- the superblock ---- */

static int check_flags(struct sq_check *check)
{
    const struct sq_super *super = &check->vol->super;
    const struct {
        unsigned flag;
        bool wrong;
        enum severity severity;
        unsigned refused;
        const char *text;
    } list[] = {
        {SQUASHFS_SUPER_FLAGS_NO_XATTRS, super->xattr_ids > 0, SEVERITY_WARNING, SQ_BY_NOBODY,
         "no_xattrs is set, and there are attributes"},
        {SQUASHFS_SUPER_FLAGS_NO_FRAGMENTS, super->fragments > 0, SEVERITY_ERROR, SQ_BY_RDSQUASHFS,
         "no_fragments is set, and there are fragments"},
        {SQUASHFS_SUPER_FLAGS_EXPORTABLE, super->export_table == SQ_ABSENT, SEVERITY_WARNING, SQ_BY_NOBODY,
         "exportable is set, and there is no export table"},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof list / sizeof *list; i++) {
        if ((super->flags & list[i].flag) != 0 && list[i].wrong)
            rc = sq_fault(check,
                          &(struct sq_fault){list[i].severity, "sq-flags", "superblock.flags",
                                             sq_where_image(SQUASHFS_SUPERBLOCK_FLAGS_OFFSET),
                                             list[i].refused},
                          "%s", list[i].text);
    }
    return rc;
}

/* Linux wants the list of the blocks of fragments to end before the next table, not where that begins. */
static int check_fragment_list(struct sq_check *check)
{
    const struct sq_table *table = &check->vol->tables[SQ_FRAGMENTS];
    const struct sq_table *next = &check->vol->tables[SQ_EXPORTS];
    if (table->start >= table->end)
        return 0;
    if (next->start >= next->end)
        next = &check->vol->tables[SQ_IDS];
    const uint64_t end = table->index_start + sq_index_count(table) * SQUASHFS_BLOCK_POINTER_BYTES;
    if (end >= next->start)
        return 0;
    return sq_fault(
        check,
        &(struct sq_fault){SEVERITY_WARNING, "sq-unreferenced", "unknown", sq_where_image(end), SQ_BY_NOBODY},
        "%llu bytes belong to no table", (unsigned long long)(next->start - end));
}

int sq_check_use(struct sq_check *check)
{
    const struct sq_super *super = &check->vol->super;
    const struct unused list[] = {
        {SQ_FRAGMENTS, super->fragments, NULL, "an end in fragment block"},
        {SQ_IDS, super->ids, check->ids_used, "id"},
        {SQ_XATTR_IDS, super->xattr_ids, check->sets_used, "attributes"},
    };
    int rc = check_flags(check);
    if (rc == 0)
        rc = check_ids(check);
    if (rc == 0)
        rc = check_fragment_list(check);
    for (size_t i = 0; rc == 0 && check->all_items && i < sizeof list / sizeof *list; i++)
        rc = check_entries(check, &list[i]);
    return rc == 0 && check->all_items ? sq_ranges_check(check, SQ_DIRECTORIES, &check->listings) : rc;
}
