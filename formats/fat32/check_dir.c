/* One directory: its own chain, `.` and `..`, each entry, names that are illegal or there twice, and what
 * lies behind its end. Types and ranges of single fields are the schema's work. */
#include "formats/fat32/check.h"

#include <stdlib.h>

#include "lib/hash/hash.h"

enum { SLOT_BYTES = FAT32_SHORT_ENTRY_BYTES };

const char *check_slot_path(struct check *check, uint32_t slot, const char *field)
{
    strbuf_truncate(&check->path, 0);
    strbuf_puts(&check->path, strbuf_str(&check->dir_path));
    strbuf_printf(&check->path, "[%u]%s%s", slot, field == NULL ? "" : ".", field == NULL ? "" : field);
    return strbuf_str(&check->path);
}

static uint64_t slot_offset(const struct check *check, uint32_t slot)
{
    return dir_slot_offset(check->vol, check->visit->dir, slot);
}

/* ---- names ---- */

static int name_key_add(struct check *check, const char *name, uint32_t slot)
{
    if (check->n_keys == check->cap_keys) {
        size_t cap = check->cap_keys == 0 ? 256 : check->cap_keys * 2;
        struct name_key *keys = realloc(check->keys, cap * sizeof *keys);
        if (keys == NULL)
            return err_nomem(check->err, "checking names");
        check->keys = keys;
        check->cap_keys = cap;
    }
    uint16_t units[FAT32_LONG_UNITS_MAX];
    size_t n = fat32_name_fold(name, units);
    check->keys[check->n_keys++] =
        (struct name_key){.hash = hash_xxh64(units, n * sizeof units[0]), .slot = slot};
    return 0;
}

static int name_key_compare(const void *a, const void *b)
{
    const struct name_key *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Names that are there twice, whatever their case; a long name against another's 8.3 name, too. */
static int check_duplicates(struct check *check)
{
    if (check->n_keys > 1)
        qsort(check->keys, check->n_keys, sizeof *check->keys, name_key_compare);
    for (size_t i = 1; i < check->n_keys; i++) {
        const struct name_key *a = &check->keys[i - 1], *b = &check->keys[i];
        if (a->hash != b->hash || a->slot == b->slot)
            continue;
        int rc =
            check_report(check, SEVERITY_ERROR, "duplicate-name", check_slot_path(check, b->slot, NULL),
                         slot_offset(check, b->slot), check_by_readers,
                         "slots %u and %u of '%s' answer to the same name: one of the two cannot be reached",
                         a->slot, b->slot, check->visit->path);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check_names(struct check *check)
{
    const struct dir_entry *entry = &check->entry;
    char short_name[FAT32_SHORT_TEXT_BYTES];
    int rc = 0;
    const char *fault = fat32_short_fault(entry->short_name);
    if (fault != NULL)
        rc = check_report(check, SEVERITY_ERROR, "short-name", check_slot_path(check, entry->slot, "name"),
                          slot_offset(check, entry->slot), check_by_fsck,
                          "the 8.3 name of '%s' is not legal: %s", entry->name, fault);
    if (rc == 0 && entry->has_long && (fault = fat32_units_fault(entry->units, entry->n_units)) != NULL)
        rc = check_report(check, SEVERITY_ERROR, "long-name", check_slot_path(check, entry->first_slot, NULL),
                          slot_offset(check, entry->first_slot), check_by_readers,
                          "the long name '%s' is not legal: %s", entry->name, fault);
    if (rc == 0)
        rc = name_key_add(check, entry->name, entry->slot);
    if (rc == 0 && entry->has_long) {
        (void)fat32_short_to_name(entry->short_name, 0, short_name);
        rc = name_key_add(check, short_name, entry->slot);
    }
    return rc;
}

static int report_long_fault(void *ctx, uint32_t slot, enum long_fault fault)
{
    static const struct {
        const char *id, *text;
    } faults[] = {
        [LONG_ORPHAN] = {"long-orphan",
                         "a piece of a long name has no 8.3 entry behind it: the name is lost"},
        [LONG_ORDER] = {"long-order",
                        "the pieces of this long name do not count down to 1: the name is lost"},
        [LONG_CHECKSUM] =
            {"long-checksum",
             "the checksum of this long name is not that of the 8.3 name behind it: the name is lost"},
        [LONG_PADDING] = {"long-padding",
                          "behind its end a long name holds other than one 0000 and then FFFF"},
        [LONG_TOO_LONG] = {"long-length", "a long name has more than 255 UTF-16 units"},
    };
    struct check *check = ctx;
    return check_report(check, SEVERITY_ERROR, faults[fault].id, check_slot_path(check, slot, NULL),
                        slot_offset(check, slot), check_by_fsck, "%s", faults[fault].text);
}

/* Path of the field that says where the directory at hand starts: it lies in the directory above. */
static const char *own_first_cluster(struct check *check)
{
    const struct dir_visit *visit = check->visit;
    if (visit->is_root)
        return "boot.root_cluster";
    bool below_root = visit->parent_path_bytes == 0;
    strbuf_truncate(&check->path, 0);
    strbuf_puts(&check->path, "dir[");
    strbuf_json(&check->path, below_root ? "/" : visit->path, below_root ? 1 : visit->parent_path_bytes);
    strbuf_printf(&check->path, "][%u].first_cluster_low", visit->entry_slot);
    return strbuf_str(&check->path);
}

/* ---- `.` and `..` ---- */

static int check_dots(struct check *check)
{
    const struct dir_visit *visit = check->visit;
    const struct dir_entry *entry = &check->entry;
    bool is_self = entry->kind == SLOT_DOT;
    uint32_t place = is_self ? 0 : 1;
    uint64_t offset = slot_offset(check, entry->slot);
    if (visit->is_root || entry->slot != place)
        return check_report(
            check, SEVERITY_ERROR, "dot-place", check_slot_path(check, entry->slot, "name"), offset,
            check_by_fsck,
            "'%s' stands in slot %u of '%s'; its place is slot %u of directories below the root",
            is_self ? "." : "..", entry->slot, visit->path, place);
    if (is_self)
        check->has_dot = true;
    else
        check->has_dotdot = true;
    if (!entry->is_dir)
        return check_report(check, SEVERITY_ERROR, "dot-kind",
                            check_slot_path(check, entry->slot, "attributes"), offset, check_by_fsck,
                            "'%s' in '%s' is not marked as a directory", is_self ? "." : "..", visit->path);
    uint32_t want = is_self ? visit->dir->first_cluster : visit->parent_cluster;
    if (entry->first_cluster == want)
        return 0;
    return check_report(check, SEVERITY_ERROR, is_self ? "dot-target" : "dotdot-target",
                        check_slot_path(check, entry->slot, "first_cluster_low"), offset, check_by_fsck,
                        "'%s' in '%s' points to cluster %u and must point to %u%s", is_self ? "." : "..",
                        visit->path, entry->first_cluster, want,
                        !is_self && want == 0 ? " (the root is always 0 there)" : "");
}

static int check_dots_there(struct check *check)
{
    const struct dir_visit *visit = check->visit;
    if (visit->is_root || visit->dir->n_pieces == 0)
        return 0;
    if (!check->has_dot && !check->has_dotdot)
        return check_report(check, SEVERITY_ERROR, "dot-missing", own_first_cluster(check),
                            visit->entry_offset, check_by_fsck,
                            "cluster %u, where '%s' is said to start, begins with neither '.' nor '..': this "
                            "is another place, or the start of the directory is lost",
                            visit->dir->first_cluster, visit->path);
    for (uint32_t i = 0; i < 2; i++) {
        if (i == 0 ? check->has_dot : check->has_dotdot)
            continue;
        int rc = check_report(check, SEVERITY_ERROR, "dot-missing", check_slot_path(check, i, NULL),
                              slot_offset(check, i), check_by_fsck, "slot %u of '%s' is not '%s'", i,
                              visit->path, i == 0 ? "." : "..");
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- labels ---- */

static int check_label_entry(struct check *check)
{
    const struct dir_entry *entry = &check->entry;
    if (!check->visit->is_root)
        return check_report(check, SEVERITY_WARNING, "label-place", check_slot_path(check, entry->slot, NULL),
                            slot_offset(check, entry->slot), check_by_fsck,
                            "'%s' holds a volume label, whose place is the root directory",
                            check->visit->path);
    if (check->n_labels++ > 0)
        return check_report(check, SEVERITY_WARNING, "label-twice", check_slot_path(check, entry->slot, NULL),
                            slot_offset(check, entry->slot), check_by_fsck,
                            "the root directory holds a second volume label");
    memcpy(check->label, entry->short_name, sizeof check->label);
    check->label_offset = slot_offset(check, entry->slot);
    check->label_slot = entry->slot;
    for (size_t i = 0; i < sizeof check->label; i++) {
        uint8_t c = check->label[i];
        if ((c < 0x20 && !(i == 0 && c == 5)) || (c >= 'a' && c <= 'z') ||
            (c < 0x80 && strchr("\"*+,./:;<=>?[\\]|", c) != NULL))
            return check_report(check, SEVERITY_WARNING, "label-character",
                                check_slot_path(check, entry->slot, "label"), check->label_offset, NULL,
                                "the volume label holds byte 0x%02x, which labels may not (upper case, "
                                "digits and most signs)",
                                c);
    }
    return 0;
}

/* ---- the directory ---- */

static int check_entries(struct check *check)
{
    struct dir_parser parser = {.dir = check->visit->dir, .ctx = check};
    if (!check->naming)
        parser.fault = report_long_fault;
    int rc;
    while ((rc = dir_next(&parser, &check->entry, check->err)) == 1) {
        const struct dir_entry *entry = &check->entry;
        if (entry->kind == SLOT_NODE) {
            rc = check->naming ? 0 : check_names(check);
            if (rc == 0 && !entry->is_dir)
                rc = check_file(check);
        } else if (check->naming) {
            rc = 0;
        } else {
            rc = entry->kind == SLOT_LABEL ? check_label_entry(check) : check_dots(check);
        }
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* Does it begin with a '.' that points to itself? Then this is its place, whatever the FAT says. */
static bool begins_with_itself(const struct dir *dir)
{
    struct dir_entry dot;
    return dir->n_slots > 0 && dir_entry_decode(dir->bytes, &dot, NULL) == 0 && dot.kind == SLOT_DOT &&
           dot.first_cluster == dir->first_cluster;
}

/* The directory's own clusters. */
static int check_own_chain(struct check *check)
{
    const struct dir_visit *visit = check->visit;
    const struct dir *dir = visit->dir;
    struct volume *vol = check->vol;
    struct chain chain;
    char link[80], path[FAT_PATH_BYTES];
    const char *where = own_first_cluster(check);
    strbuf_truncate(&check->owner, 0);
    strbuf_puts(&check->owner, visit->path);
    int rc = check_claim(check, dir->first_cluster, UINT64_MAX, where, visit->entry_offset, &chain);
    if (rc != 0 || check->naming)
        return rc;
    if (chain.end == CHAIN_NONE)
        rc = check_report(check, SEVERITY_ERROR, "first-cluster", where, visit->entry_offset,
                          check_by_readers, "directory '%s' has first cluster %u, where %s is needed",
                          visit->path, dir->first_cluster, fat_range_text(vol, path));
    else if (chain.end == CHAIN_BROKEN && chain.value == FAT32_LINK_FREE && chain.n_clusters == 1 &&
             !begins_with_itself(dir))
        rc = check_report(check, SEVERITY_ERROR, "first-cluster", where, visit->entry_offset,
                          check_by_readers, "directory '%s' starts at cluster %u, which is free (%s is 0)",
                          visit->path, dir->first_cluster, fat_entry_path(vol, dir->first_cluster, path));
    else if (chain.end == CHAIN_BROKEN)
        rc = check_report(
            check, SEVERITY_ERROR, "chain-broken", fat_entry_path(vol, chain.last, path),
            fat_entry_offset(vol, chain.last), check_by_readers,
            "the entry of cluster %u of directory '%s' says %s, where the next cluster or an end of chain "
            "is needed",
            chain.last, visit->path, fat_link_text(vol, chain.value, link, sizeof link));
    if (rc == 0 && (dir->fault == DIR_TOO_LONG || dir->fault == DIR_TOO_DEEP)) {
        char text[160];
        rc = check_report(check, SEVERITY_ERROR, "directory-size", where, visit->entry_offset,
                          check_by_readers, "directory '%s' is not read to its end: %s", visit->path,
                          dir_fault_text(vol, dir, text, sizeof text));
    }
    return rc;
}

/* Bytes behind the end mark: not read by anybody, and zero in a new directory. */
static int check_behind_end(struct check *check)
{
    const struct dir *dir = check->visit->dir;
    size_t at = (size_t)dir->n_slots * SLOT_BYTES;
    if (at >= dir->n_bytes || bytes_all(dir->bytes + at, dir->n_bytes - at, 0))
        return 0;
    while (dir->bytes[at] == 0)
        at++;
    uint32_t slot = (uint32_t)(at / SLOT_BYTES);
    return check_report(
        check, SEVERITY_WARNING, "directory-behind-end", check_slot_path(check, slot, NULL),
        slot_offset(check, slot) + at % SLOT_BYTES, NULL,
        "behind the end mark of '%s' (slot %u) are bytes that are not 0; programs that ignore the mark "
        "see them as entries",
        check->visit->path, dir->n_slots);
}

int check_directory(void *ctx, const struct dir_visit *visit)
{
    struct check *check = ctx;
    check->visit = visit;
    check->has_root = check->has_root || (visit->is_root && visit->dir->n_pieces > 0);
    check->n_keys = 0;
    check->has_dot = check->has_dotdot = false;
    strbuf_truncate(&check->dir_path, 0);
    strbuf_puts(&check->dir_path, "dir[");
    strbuf_json(&check->dir_path, visit->path, visit->path_bytes);
    strbuf_puts(&check->dir_path, "]");
    int rc = check_own_chain(check);
    if (rc == 0)
        rc = check_entries(check);
    if (rc == 0 && !check->naming) {
        rc = check_dots_there(check);
        if (rc == 0)
            rc = check_duplicates(check);
        if (rc == 0)
            rc = check_behind_end(check);
    }
    if (rc == 0 && (check->dir_path.failed || check->path.failed || check->owner.failed))
        rc = err_nomem(check->err, "checking a directory");
    return rc;
}
