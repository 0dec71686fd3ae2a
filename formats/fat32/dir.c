/* Directories: files of 32-byte slots.
 *
 *     slot 0   | .            |            never in the root
 *     slot 1   | ..           |
 *     slot 2   | long, last 2 | "e.txt"    pieces of a long name, highest number first
 *     slot 3   | long, 1      | "A long file nam"
 *     slot 4   | ALONGF~1.TXT | attributes, times, first cluster, size
 *     slot 5   | E5 ...       |            deleted
 *     slot 6   | 00 ...       |            end: nothing behind it counts
 *
 * A directory is at most 65,536 slots (2 MiB), so it is read whole. */
#include "formats/fat32/volume.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/hash/hash.h"

enum {
    SLOT_BYTES = FAT32_SHORT_ENTRY_BYTES,
    MAX_BYTES = FAT32_DIR_MAX_SLOTS * SLOT_BYTES,
    MARK_END = 0x00,
    MARK_DELETED = 0xE5,
    ATTRIBUTES_LONG = 0x0F,
    ATTRIBUTES_LONG_MASK = 0x3F,
    UNIT_FILL = 0xFFFF
};

/* ---- reading the slots ---- */

void dir_free(struct dir *dir)
{
    free(dir->bytes);
    free(dir->pieces);
    *dir = (struct dir){0};
}

static int dir_reserve(struct dir *dir, size_t more_bytes, struct plat_err *err)
{
    if (dir->n_pieces == dir->cap_pieces) {
        size_t cap = dir->cap_pieces == 0 ? 8 : dir->cap_pieces * 2;
        struct dir_piece *pieces = realloc(dir->pieces, cap * sizeof *pieces);
        if (pieces == NULL)
            return err_nomem(err, "reading a directory");
        dir->pieces = pieces;
        dir->cap_pieces = cap;
    }
    if (dir->n_bytes + more_bytes > dir->cap_bytes) {
        size_t cap = dir->cap_bytes * 2;
        if (cap < dir->n_bytes + more_bytes)
            cap = dir->n_bytes + more_bytes;
        uint8_t *bytes = realloc(dir->bytes, cap);
        if (bytes == NULL)
            return err_nomem(err, "reading a directory");
        dir->bytes = bytes;
        dir->cap_bytes = cap;
    }
    return 0;
}

static void dir_set_fault(struct dir *dir, enum dir_fault fault, uint32_t cluster, uint32_t value)
{
    dir->fault = fault;
    dir->fault_cluster = cluster;
    dir->fault_value = value;
}

/* How many clusters of the run can be taken before one that this directory, or another, already has. Sets the
 * fault when that is not all of them. `from` is the cluster that leads to the run. */
static uint32_t dir_fresh_clusters(struct dir *dir, const struct fat_run *run, uint32_t from,
                                   const struct cluster_set *seen)
{
    uint32_t fresh = run->count;
    enum dir_fault fault = DIR_WHOLE;
    for (size_t i = 0; i < dir->n_pieces; i++) {
        const struct dir_piece *piece = &dir->pieces[i];
        uint32_t low = piece->first_cluster > run->first ? piece->first_cluster : run->first;
        if (low < piece->first_cluster + piece->n_clusters && low - run->first < fresh) {
            fresh = low - run->first;
            fault = DIR_LOOP;
        }
    }
    if (seen != NULL) {
        for (uint32_t i = 0; i < fresh; i++) {
            if (cluster_set_has(seen, run->first + i)) {
                fresh = i;
                fault = DIR_SHARED;
            }
        }
    }
    if (fresh < run->count)
        dir_set_fault(dir, fault, fresh == 0 ? from : run->first + fresh - 1, run->first + fresh);
    return fresh;
}

/* Reads one run and adds it; *ret_next is where the chain goes on, 0 when it does not. */
static int dir_take_run(struct volume *vol, struct dir *dir, uint32_t first, uint32_t from,
                        struct cluster_set *seen, uint32_t *ret_next, struct plat_err *err)
{
    uint32_t cluster_bytes = vol->geo.cluster_bytes;
    uint32_t room = (uint32_t)((MAX_BYTES - dir->n_bytes) / cluster_bytes);
    if (room == 0) {
        dir_set_fault(dir, DIR_TOO_LONG, from, first);
        *ret_next = 0;
        return 0;
    }
    struct fat_run run;
    int rc = fat_run_at(vol, first, room, &run, err);
    if (rc != 0)
        return rc;
    uint32_t take = dir_fresh_clusters(dir, &run, from, seen);
    size_t n = (size_t)take * cluster_bytes;
    rc = dir_reserve(dir, n, err);
    if (rc != 0)
        return rc;
    if (take > 0) {
        rc = dev_read(vol->fs.dev, fat32_cluster_offset(&vol->geo, first), dir->bytes + dir->n_bytes, n, err);
        if (rc != 0)
            return rc;
        dir->pieces[dir->n_pieces++] = (struct dir_piece){
            .first_cluster = first, .n_clusters = take, .first_slot = (uint32_t)(dir->n_bytes / SLOT_BYTES)};
        dir->n_bytes += n;
        for (uint32_t i = 0; seen != NULL && i < take; i++)
            cluster_set_add(seen, first + i);
    }
    *ret_next = 0;
    if (dir->fault != DIR_WHOLE)
        return 0;
    enum fat_link link = fat_link_of(vol, run.next);
    if (link == FAT_LINK_NEXT)
        *ret_next = run.next;
    else if (link != FAT_LINK_END)
        dir_set_fault(dir, DIR_BAD_LINK, first + take - 1, run.next);
    return 0;
}

int dir_load(struct volume *vol, uint32_t first_cluster, struct cluster_set *seen, struct dir *dir,
             struct plat_err *err)
{
    dir->first_cluster = first_cluster;
    dir->n_bytes = 0;
    dir->n_pieces = 0;
    dir->n_slots = 0;
    dir_set_fault(dir, DIR_WHOLE, 0, 0);
    if (fat_link_of(vol, first_cluster) != FAT_LINK_NEXT) {
        dir_set_fault(dir, DIR_BAD_START, 0, first_cluster);
        return 0;
    }
    uint32_t from = 0;
    for (uint32_t next = first_cluster; next != 0;) {
        uint32_t first = next;
        int rc = dir_take_run(vol, dir, first, from, seen, &next, err);
        if (rc != 0)
            return rc;
        if (dir->n_pieces > 0) {
            const struct dir_piece *last = &dir->pieces[dir->n_pieces - 1];
            from = last->first_cluster + last->n_clusters - 1;
        }
    }
    uint32_t n = (uint32_t)(dir->n_bytes / SLOT_BYTES);
    while (dir->n_slots < n && dir->bytes[(size_t)dir->n_slots * SLOT_BYTES] != MARK_END)
        dir->n_slots++;
    return 0;
}

uint64_t dir_slot_offset(const struct volume *vol, const struct dir *dir, uint32_t slot)
{
    size_t low = 0, high = dir->n_pieces;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (dir->pieces[middle].first_slot <= slot)
            low = middle;
        else
            high = middle;
    }
    const struct dir_piece *piece = &dir->pieces[low];
    return fat32_cluster_offset(&vol->geo, piece->first_cluster) +
           (uint64_t)(slot - piece->first_slot) * SLOT_BYTES;
}

const char *dir_fault_text(const struct volume *vol, const struct dir *dir, char *buf, size_t buf_bytes)
{
    char link[80], range[FAT_PATH_BYTES];
    (void)fat_link_text(vol, dir->fault_value, link, sizeof link);
    switch (dir->fault) {
    case DIR_WHOLE:
        (void)snprintf(buf, buf_bytes, "it is whole");
        break;
    case DIR_BAD_START:
        (void)snprintf(buf, buf_bytes, "its first cluster is %s, where %s is needed", link,
                       fat_range_text(vol, range));
        break;
    case DIR_BAD_LINK:
        (void)snprintf(
            buf, buf_bytes,
            "the FAT entry of its cluster %u says %s, where the next cluster or an end of chain is needed",
            dir->fault_cluster, link);
        break;
    case DIR_LOOP:
        (void)snprintf(buf, buf_bytes, "its chain is a loop: cluster %u leads back to cluster %u",
                       dir->fault_cluster, dir->fault_value);
        break;
    case DIR_SHARED:
        if (dir->fault_cluster == 0)
            (void)snprintf(buf, buf_bytes, "it starts at cluster %u, which belongs to another directory",
                           dir->fault_value);
        else
            (void)snprintf(buf, buf_bytes,
                           "its cluster %u leads to cluster %u, which belongs to another directory",
                           dir->fault_cluster, dir->fault_value);
        break;
    case DIR_TOO_LONG:
        (void)snprintf(buf, buf_bytes, "it has more than %d slots (2 MiB), which no reader accepts",
                       FAT32_DIR_MAX_SLOTS);
        break;
    case DIR_TOO_DEEP:
        (void)snprintf(buf, buf_bytes,
                       "it lies more than %d directories deep, or its path is longer than %d bytes",
                       FAT_MAX_DEPTH, FAT_MAX_PATH_BYTES);
        break;
    }
    return buf;
}

/* ---- entries ---- */

enum slot_kind slot_kind_of(const uint8_t *slot)
{
    struct fat32_dir_head head;
    if (!fat32_dir_head_view(slot, SLOT_BYTES, &head) || fat32_dir_head_first_byte(head) == MARK_DELETED)
        return SLOT_DELETED;
    uint8_t attributes = fat32_dir_head_attributes(head);
    if ((attributes & ATTRIBUTES_LONG_MASK) == ATTRIBUTES_LONG)
        return SLOT_LONG;
    if ((attributes & FAT32_ATTRIBUTES_VOLUME_ID) != 0 && (attributes & FAT32_ATTRIBUTES_DIRECTORY) == 0)
        return SLOT_LABEL;
    if (memcmp(slot, ".          ", FAT32_SHORT_BYTES) == 0)
        return SLOT_DOT;
    if (memcmp(slot, "..         ", FAT32_SHORT_BYTES) == 0)
        return SLOT_DOTDOT;
    return SLOT_NODE;
}

int dir_entry_decode(const uint8_t *slot, struct dir_entry *ret, struct plat_err *err)
{
    struct fat32_short_entry entry;
    if (!fat32_short_entry_view(slot, SLOT_BYTES, &entry))
        return err_set(err, PLAT_EBUG, "a directory entry of other than %d bytes", SLOT_BYTES);
    ret->kind = slot_kind_of(slot);
    ret->attributes = fat32_short_entry_attributes(entry);
    ret->is_dir = (ret->attributes & FAT32_ATTRIBUTES_DIRECTORY) != 0;
    ret->has_long = false;
    ret->n_units = 0;
    uint32_t high = fat32_short_entry_first_cluster_high(entry);
    ret->first_cluster = high << 16 | fat32_short_entry_first_cluster_low(entry);
    ret->size_bytes = fat32_short_entry_size_bytes(entry);
    ret->written = (struct fat32_stamp){.date = fat32_short_entry_write_date(entry),
                                        .time = fat32_short_entry_write_time(entry)};
    memcpy(ret->short_name, fat32_short_entry_name(entry), FAT32_SHORT_ENTRY_NAME_BYTES);
    memcpy(ret->short_name + FAT32_SHORT_ENTRY_NAME_BYTES, fat32_short_entry_extension(entry),
           FAT32_SHORT_ENTRY_EXTENSION_BYTES);
    (void)fat32_short_to_name(ret->short_name, fat32_short_entry_case(entry), ret->name);
    if (ret->name[0] == '\0') /* eleven spaces: a file must still be reachable by some name */
        memcpy(ret->name, "_", sizeof "_");
    ret->name_bytes = strlen(ret->name);
    return 0;
}

static int parser_fault(const struct dir_parser *parser, uint32_t slot, enum long_fault fault)
{
    return parser->fault == NULL ? 0 : parser->fault(parser->ctx, slot, fault);
}

static int parser_abandon(struct dir_parser *parser)
{
    if (!parser->collecting)
        return 0;
    parser->collecting = false;
    return parser_fault(parser, parser->first_slot, LONG_ORPHAN);
}

static void piece_units(struct fat32_long_entry piece, uint16_t ret[FAT32_LONG_UNITS_EACH])
{
    size_t n = 0;
    for (size_t i = 0; i < FAT32_LONG_ENTRY_NAME_1_UNITS; i++)
        ret[n++] = fat32_long_entry_name_1(piece, i);
    for (size_t i = 0; i < FAT32_LONG_ENTRY_NAME_2_UNITS; i++)
        ret[n++] = fat32_long_entry_name_2(piece, i);
    for (size_t i = 0; i < FAT32_LONG_ENTRY_NAME_3_UNITS; i++)
        ret[n++] = fat32_long_entry_name_3(piece, i);
}

/* Adds the long-name piece in `slot`. */
static int parser_piece(struct dir_parser *parser, uint32_t slot, const uint8_t *bytes)
{
    struct fat32_long_entry piece;
    if (!fat32_long_entry_view(bytes, SLOT_BYTES, &piece))
        return 0;
    uint8_t order = fat32_long_entry_order(piece);
    unsigned number = fat32_long_order_number(order);
    if (fat32_long_order_last(order) != 0) {
        int rc = parser_abandon(parser);
        if (rc != 0)
            return rc;
        if (number < 1 || number > FAT32_LONG_PIECES_MAX)
            return parser_fault(parser, slot, LONG_ORDER);
        parser->collecting = true;
        parser->first_slot = slot;
        parser->total = number;
        parser->checksum = fat32_long_entry_checksum(piece);
    } else if (!parser->collecting) {
        return parser_fault(parser, slot, LONG_ORPHAN);
    } else if (number + 1 != parser->number || number == 0) {
        parser->collecting = false;
        return parser_fault(parser, slot, LONG_ORDER);
    } else if (fat32_long_entry_checksum(piece) != parser->checksum) {
        parser->collecting = false;
        return parser_fault(parser, slot, LONG_CHECKSUM);
    }
    parser->number = number;
    piece_units(piece, parser->units + (size_t)(number - 1) * FAT32_LONG_UNITS_EACH);
    return 0;
}

/* Gives the entry the long name that was collected, when it is its own. */
static int parser_finish(struct dir_parser *parser, struct dir_entry *entry)
{
    if (!parser->collecting)
        return 0;
    if (parser->number != 1 || entry->kind != SLOT_NODE)
        return parser_abandon(parser);
    parser->collecting = false;
    if (hash_sum8ror(0, entry->short_name, sizeof entry->short_name) != parser->checksum)
        return parser_fault(parser, parser->first_slot, LONG_CHECKSUM);
    size_t room = (size_t)parser->total * FAT32_LONG_UNITS_EACH;
    size_t n = 0;
    while (n < room && parser->units[n] != 0)
        n++;
    int rc = 0;
    for (size_t i = n + 1; i < room && rc == 0; i++) {
        if (parser->units[i] != UNIT_FILL) {
            rc = parser_fault(parser, parser->first_slot, LONG_PADDING);
            break;
        }
    }
    /* A piece that holds nothing but the end: the name should have done without. */
    if (rc == 0 && n + FAT32_LONG_UNITS_EACH <= room)
        rc = parser_fault(parser, parser->first_slot, LONG_PADDING);
    if (rc == 0 && n > FAT32_LONG_UNITS_MAX)
        rc = parser_fault(parser, parser->first_slot, LONG_TOO_LONG);
    if (rc != 0 || n == 0)
        return rc;
    entry->has_long = true;
    entry->first_slot = parser->first_slot;
    entry->n_units = n;
    memcpy(entry->units, parser->units, n * sizeof entry->units[0]);
    entry->name_bytes = fat32_units_to_name(entry->units, n, entry->name);
    return 0;
}

int dir_next(struct dir_parser *parser, struct dir_entry *ret, struct plat_err *err)
{
    int rc = 0;
    while (parser->slot < parser->dir->n_slots && rc == 0) {
        uint32_t slot = parser->slot++;
        const uint8_t *bytes = parser->dir->bytes + (size_t)slot * SLOT_BYTES;
        enum slot_kind kind = slot_kind_of(bytes);
        if (kind == SLOT_DELETED) {
            rc = parser_abandon(parser);
            continue;
        }
        if (kind == SLOT_LONG) {
            rc = parser_piece(parser, slot, bytes);
            continue;
        }
        rc = dir_entry_decode(bytes, ret, err);
        if (rc != 0)
            return rc;
        ret->slot = slot;
        ret->first_slot = slot;
        rc = parser_finish(parser, ret);
        if (rc == 0)
            return 1;
    }
    if (rc == 0)
        rc = parser_abandon(parser);
    return rc;
}
