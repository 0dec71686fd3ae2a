/* A FAT32 volume opened for reading: the allocation table and directories. Private to formats/fat32.
 *
 * Everything here trusts nothing on the disk: a chain is followed for at most as many steps as there are
 * clusters, a directory is at most 2 MiB, and a cluster number is used only after fat_link_of() said
 * FAT_LINK_NEXT. */
#ifndef PLAT_FORMATS_FAT32_VOLUME_H
#define PLAT_FORMATS_FAT32_VOLUME_H

#include "formats/fat32/fat32.h"
#include "lib/fs/driver.h"

enum {
    FAT_WINDOW_BYTES = 64 * 1024,   /* one cached piece of the table */
    FAT_WINDOWS = 16,               /* pieces cached: 1 MiB at most */
    FAT_MAX_DEPTH = TREE_MAX_DEPTH, /* directories within directories */
    FAT_MAX_PATH_BYTES = TREE_MAX_PATH_BYTES,
    FAT_MAX_PENDING_DIRS = 1 << 20, /* found but not visited yet */
    FAT_PATH_BYTES = 40             /* "fat2[268435445]" */
};
/* Node ids are byte offsets of short entries, which are multiples of 32; this one is none. */
#define FAT_ROOT_NODE 1u

/* ---- the allocation table (table.c) ---- */

struct fat_window {
    uint64_t number; /* which piece of the table; UINT64_MAX: none */
    size_t n;        /* bytes in it */
    uint8_t *bytes;  /* FAT_WINDOW_BYTES, allocated on first use */
};

/* Which boot sector is believed. */
enum boot_source {
    BOOT_FIRST,  /* sector 0 */
    BOOT_BACKUP, /* sector 0 cannot be right; its copy in sector 6 is */
    BOOT_GUESS,  /* neither is; sector 0 without its 16-bit sizes, which FAT32 does not have */
    BOOT_NONE    /* nothing can be read of the volume but its map */
};
/* One bit for each cluster number. */
struct cluster_set {
    uint8_t *bits;
    uint32_t n; /* cluster numbers below n have a bit */
};
struct dir;
struct volume {
    struct fs fs; /* first: the driver's handle */
    struct fat32_geometry geo;
    bool degraded;
    enum boot_source boot; /* what the geometry is from */
    uint64_t fat_offset;   /* byte offset of the copy of the FAT that is read */
    uint32_t last_cluster; /* highest number that can be used: in the FAT and on the device */
    uint32_t volume_id;
    bool has_label; /* the boot sector's label field counts */
    uint8_t label[FAT32_SHORT_BYTES];
    uint32_t hidden_sectors;
    struct fat_window windows[FAT_WINDOWS];
    /* Where the last read() ended, so that the next one does not follow the chain from its start. */
    struct {
        uint64_t node;  /* 0: nothing */
        uint64_t index; /* position of `cluster` in the chain */
        uint32_t cluster;
        uint32_t first_cluster;
        uint64_t size_bytes;
        uint64_t loop_index; /* where in the chain a cluster comes again; UINT64_MAX: nowhere in the file */
        uint32_t loop_from, loop_to; /* the cluster that leads back, and where to */
    } last_read;
    struct cluster_set followed; /* of the chain that is searched for a loop; empty between searches */
    struct dir *last_dir;        /* the directory looked at last; owned */
};

/* What one table entry says. */
enum fat_link {
    FAT_LINK_NEXT, /* a cluster of this volume */
    FAT_LINK_END,
    FAT_LINK_FREE,
    FAT_LINK_RESERVED, /* 1, or 0FFFFFF0 to 0FFFFFF6 */
    FAT_LINK_BAD,
    FAT_LINK_OUTSIDE /* past the last cluster (or past the end of a truncated image) */
};
enum fat_link fat_link_of(const struct volume *vol, uint32_t value);
/* "free (0)", "cluster 70000, past the last cluster 65526", ...: into buf. */
const char *fat_link_text(const struct volume *vol, uint32_t value, char *buf, size_t buf_bytes);

/* "a cluster from 2 to 65526", for messages. Returns buf. */
const char *fat_range_text(const struct volume *vol, char buf[FAT_PATH_BYTES]);

/* Byte offset of the entry of `cluster` in the copy that is read. */
uint64_t fat_entry_offset(const struct volume *vol, uint32_t cluster);
/* Its path: "fat[7]", "fat2[7]". Returns buf. */
const char *fat_entry_path(const struct volume *vol, uint32_t cluster, char buf[FAT_PATH_BYTES]);

/* All 32 bits of the entry of `cluster` (0 and 1 are allowed). */
int fat_get_raw(struct volume *vol, uint32_t cluster, uint32_t *ret, struct plat_err *err);
/* The 28 bits that count. */
int fat_get(struct volume *vol, uint32_t cluster, uint32_t *ret, struct plat_err *err);

/* Consecutive clusters of a chain: first .. first+count-1, then the entry's value `next`. */
struct fat_run {
    uint32_t first;
    uint32_t count;
    uint32_t next;
};
/* The run that starts at `first` (a valid cluster), at most max_count (not 0) clusters of it. */
int fat_run_at(struct volume *vol, uint32_t first, uint32_t max_count, struct fat_run *ret,
               struct plat_err *err);
void fat_forget(struct volume *vol); /* frees the cached pieces */

int cluster_set_open(const struct volume *vol, struct cluster_set *ret, struct plat_err *err);
void cluster_set_close(struct cluster_set *set);
static inline bool cluster_set_has(const struct cluster_set *set, uint32_t cluster)
{
    return cluster < set->n && set->bits != NULL && (set->bits[cluster / 8] >> cluster % 8 & 1) != 0;
}
static inline void cluster_set_remove(struct cluster_set *set, uint32_t cluster)
{
    if (cluster < set->n)
        set->bits[cluster / 8] = (uint8_t)(set->bits[cluster / 8] & ~(1u << cluster % 8));
}
static inline void cluster_set_add(struct cluster_set *set, uint32_t cluster)
{
    if (cluster < set->n && set->bits != NULL)
        set->bits[cluster / 8] = (uint8_t)(set->bits[cluster / 8] | 1u << cluster % 8);
}

/* ---- directories (dir.c) ---- */

/* What stopped a directory from being read to its end. */
enum dir_fault {
    DIR_WHOLE,
    DIR_BAD_START, /* fault_value: the first cluster, which is none */
    DIR_BAD_LINK,  /* the entry of fault_cluster holds fault_value, which is neither a cluster nor an end */
    DIR_LOOP,      /* fault_cluster leads back to fault_value, a cluster of this directory */
    DIR_SHARED,    /* fault_cluster (0: its start) leads to fault_value, a cluster of another directory */
    DIR_TOO_LONG,  /* more than 65,536 slots */
    DIR_TOO_DEEP   /* beyond FAT_MAX_DEPTH or FAT_MAX_PATH_BYTES; not read */
};
struct dir_piece {
    uint32_t first_cluster;
    uint32_t n_clusters;
    uint32_t first_slot;
};
/* All of a directory's slots in memory. Zero-initialise; dir_load may be called again; dir_free. */
struct dir {
    uint32_t first_cluster;
    uint8_t *bytes; /* all its clusters */
    size_t n_bytes, cap_bytes;
    struct dir_piece *pieces; /* where they lie */
    size_t n_pieces, cap_pieces;
    uint32_t n_slots; /* up to the end mark (not counting it), or to the end of the clusters */
    enum dir_fault fault;
    uint32_t fault_cluster, fault_value;
};
/* Reads as much as there is; what is wrong with the chain is in ret->fault. `seen` (may be NULL): clusters of
 * other directories, where reading stops; those of this one are added. Errors: PLAT_EIO, PLAT_ENOMEM. */
int dir_load(struct volume *vol, uint32_t first_cluster, struct cluster_set *seen, struct dir *dir,
             struct plat_err *err);
void dir_free(struct dir *dir);
/* Byte offset of a slot (any slot of its clusters). */
uint64_t dir_slot_offset(const struct volume *vol, const struct dir *dir, uint32_t slot);
/* The sentence for a fault ("its chain ..."), into buf. */
const char *dir_fault_text(const struct volume *vol, const struct dir *dir, char *buf, size_t buf_bytes);

enum slot_kind { SLOT_DELETED, SLOT_LONG, SLOT_LABEL, SLOT_DOT, SLOT_DOTDOT, SLOT_NODE };
enum slot_kind slot_kind_of(const uint8_t *slot);

/* One file or directory (or label, `.`, `..`), decoded. */
struct dir_entry {
    enum slot_kind kind; /* never SLOT_DELETED or SLOT_LONG */
    uint32_t slot;       /* of the short entry */
    uint32_t first_slot; /* of its first long-name piece, or `slot` */
    bool is_dir;
    bool has_long;
    uint8_t attributes;
    uint32_t first_cluster;
    uint32_t size_bytes;
    struct fat32_stamp written;
    uint8_t short_name[FAT32_SHORT_BYTES];
    uint16_t units[FAT32_LONG_PIECES_MAX * FAT32_LONG_UNITS_EACH]; /* when has_long */
    size_t n_units;
    char name[FAT32_NAME_BYTES_MAX]; /* the long name, or the short one as shown */
    size_t name_bytes;
};
/* Decodes the 32 bytes of a short entry; the name is the short one. */
int dir_entry_decode(const uint8_t *slot, struct dir_entry *ret, struct plat_err *err);

/* What can be wrong with the pieces of a long name. */
enum long_fault {
    LONG_ORPHAN,   /* pieces without their short entry */
    LONG_ORDER,    /* numbers that do not count down to 1 */
    LONG_CHECKSUM, /* of another short name */
    LONG_PADDING,  /* not 0000, FFFF, FFFF behind the end */
    LONG_TOO_LONG  /* more than 255 units */
};
struct dir_parser {
    const struct dir *dir;
    uint32_t slot; /* next to look at */
    /* Called for each fault; NULL: nobody wants to know. Non-zero stops and is returned. */
    int (*fault)(void *ctx, uint32_t slot, enum long_fault fault);
    void *ctx;
    /* Pieces collected so far. */
    bool collecting;
    uint32_t first_slot;
    unsigned total, number; /* pieces in the name, and the number of the last one seen */
    uint8_t checksum;
    uint16_t units[FAT32_LONG_PIECES_MAX * FAT32_LONG_UNITS_EACH];
};
/* The next entry: 1 and *ret, 0 at the end, or what `fault` returned. Deleted slots are passed over. */
int dir_next(struct dir_parser *parser, struct dir_entry *ret, struct plat_err *err);

/* ---- all directories (dir_tree.c) ---- */

struct dir_visit {
    const char *path; /* "/", "/EFI/BOOT"; UTF-8, names as they are */
    size_t path_bytes;
    const struct dir *dir;
    bool is_root;
    uint32_t parent_cluster;  /* as `..` should have it: 0 when the parent is the root */
    uint64_t entry_offset;    /* of its short entry; 0 for the root */
    uint32_t entry_slot;      /* of its short entry, in the directory above */
    size_t parent_path_bytes; /* how much of path is that directory's; 0: the root */
};
typedef int (*dir_visit_fn)(void *ctx, const struct dir_visit *visit);
/* Every directory once, parents before children, in the order of their entries. A directory that is met
 * again, or that cannot be read, is visited with no slots and its fault. Non-zero from fn stops and is
 * returned. PLAT_ELIMIT when more than FAT_MAX_PENDING_DIRS wait. */
int dir_tree_visit(struct volume *vol, dir_visit_fn fn, void *ctx, struct plat_err *err);
/* Path of a child into `ret` (truncated first). */
void dir_child_path(const struct dir_visit *visit, const char *name, struct strbuf *ret);

/* ---- the driver's operations, each in the file of its name ---- */

int fat32_probe(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                struct plat_err *err);
struct boot_choice {
    enum boot_source source; /* unless BOOT_NONE, geo and buf are set */
    struct fat32_geometry geo;
    uint8_t buf[FAT32_BOOT_BYTES];
    struct plat_err why; /* why it is not the first one */
};
int fat32_choose_boot(struct plat_dev *dev, struct boot_choice *ret, struct plat_err *err);
int fat32_read(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
               struct plat_err *err);
int fat32_walk(struct fs *fs, const struct walk_sink *sink, struct plat_err *err);
/* Bytes of the reserved sectors that are in no structure of the map; at most max ranges, ascending. */
size_t fat32_reserved_gaps(struct volume *vol, struct range *ret, size_t max);
int fat32_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err);
int fat32_repair(struct fs *fs, struct repair_plan *plan, struct plat_err *err);
/* The entry behind a node id (not the root). PLAT_EINVALID when there is none. */
int fat32_entry_of(struct volume *vol, uint64_t node, struct dir_entry *ret, struct plat_err *err);
static inline struct volume *volume_of(struct fs *fs)
{
    return (struct volume *)(void *)fs;
}

#endif
