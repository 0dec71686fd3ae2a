/* What a format driver offers, and the registry that commands look drivers up in.
 *
 * A driver is one const struct fs_driver with designated initialisers. Operations that a format lacks are
 * NULL, so callers fail closed (PLAT_EUNSUPPORTED, "fat32 has no symbolic links"). Every handle starts with
 * struct fs.
 *
 * Two roles, either or both:
 *   - a partition table has `partitions` and `table`;
 *   - a filesystem has `root`, `readdir`, `stat`, `read`, ... and `maker`.
 * walk() yields every typed structure and every extent, so that the bytes it produces cover the whole device:
 * structures, data, free space, padding. check() adds what the layout language cannot say (chains,
 * cross-links, overlaps); fs_verify (lib/fs/verify.h) runs layout checks on everything walked, layout rules,
 * then check(). */
#ifndef PLAT_LIB_FS_DRIVER_H
#define PLAT_LIB_FS_DRIVER_H

#include <jansson.h>

#include "lib/base/progress.h"
#include "lib/layout/inst.h"
#include "lib/tree/tree.h"

struct fs_driver;
struct repair_plan;

struct fs {
    const struct fs_driver *driver;
    struct plat_dev *dev; /* not owned */
    struct image *image;  /* layout over dev; owned, closed by fs_close */
};

struct fs_open_options {
    bool writable;
    uint32_t sector_bytes; /* 0: find out */
    bool degraded;         /* open as much as possible (verify, dump of a damaged image) */
};

/* How sure a driver is that the device holds its format. */
enum fs_probe { FS_PROBE_NO = 0, FS_PROBE_DAMAGED = 10, FS_PROBE_MAYBE = 40, FS_PROBE_YES = 80 };
struct fs_probe_result {
    int score;
    uint32_t sector_bytes; /* found, 0 when it does not matter or cannot be told */
    char refusal[160];     /* recognised but not handled: "FAT16 ..."; "" otherwise */
};

/* Where a time comes from; unknown: there is no time, which is not 1970. */
enum fs_clock { FS_CLOCK_UNKNOWN, FS_CLOCK_UNTRUSTED, FS_CLOCK_NTP_SYNCED, FS_CLOCK_STATED };
struct fs_time {
    enum fs_clock clock;
    int64_t ns; /* since 1970; 0 without a clock */
};

struct fs_stat {
    enum tree_kind kind;
    uint64_t size_bytes;
    uint32_t mode; /* permission bits; when has_mode */
    bool has_mode;
    bool has_mtime;
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t uid, gid;
    uint16_t attributes; /* as in struct tree_node */
    /* Formats that keep where their times come from; unknown elsewhere, whatever has_mtime says. */
    struct fs_time created, modified;
    uint64_t device; /* devices: as in struct tree_node */
    uint32_t links;  /* names that it has (directories: as the format counts); 0: the format does not say */
    bool no_xattrs;  /* it has no extended attributes: no need to ask */
};
struct fs_xattr {
    const char *name; /* "user.comment"; valid during the callback, as is the value */
    const uint8_t *value;
    size_t value_bytes;
};
typedef int (*fs_xattr_fn)(void *ctx, const struct fs_xattr *xattr);
struct fs_dirent {
    const char *name; /* UTF-8, NUL-terminated; valid during the callback. Not checked for '/' or "..". */
    uint64_t node;
    enum tree_kind kind;
};
typedef int (*fs_dirent_fn)(void *ctx, const struct fs_dirent *entry);

struct fs_space {
    uint64_t total_bytes, free_bytes, block_bytes, n_files;
    char label[64];
    char uuid[40];
};

/* ---- partition tables ---- */

enum { TABLE_MAX_PARTITIONS = 1024, TABLE_NAME_BYTES = 36 * 3 + 1 };
struct table_partition {
    uint32_t number; /* 1-based slot */
    uint64_t first_sector;
    uint64_t sectors;
    char type[40];               /* well-known name ("esp") or GUID / "0x0c" text */
    uint8_t type_guid[16];       /* gpt */
    uint8_t mbr_type;            /* mbr */
    uint8_t guid[16];            /* gpt: unique GUID */
    char name[TABLE_NAME_BYTES]; /* gpt */
    uint64_t attributes;         /* gpt; mbr: 0x80 = active */
};
typedef int (*table_partition_fn)(void *ctx, const struct table_partition *partition);

struct table_spec {
    uint32_t sector_bytes;
    uint64_t disk_sectors;
    uint8_t disk_guid[16];    /* gpt */
    uint32_t mbr_signature;   /* mbr */
    bool mbr_active_flag;     /* gpt: 80h in the protective record, for BIOSes that want it */
    const uint8_t *boot_code; /* n_boot_code bytes for a BIOS, at most what the room allows */
    size_t n_boot_code;
    const struct table_partition *partitions;
    size_t n_partitions;
};
struct table_room {
    uint64_t first_usable_sector; /* before alignment */
    uint64_t tail_sectors;        /* kept free at the end */
    uint32_t max_partitions;
    uint32_t boot_code_bytes; /* that LBA 0 has for a BIOS */
};
struct table_maker {
    int (*room)(uint32_t sector_bytes, struct table_room *ret, struct plat_err *err);
    /* "esp" or GUID (gpt), "esp"/"linux"/"0x0c" (mbr) into type_guid / mbr_type and type. */
    int (*parse_type)(const char *text, struct table_partition *ret, struct plat_err *err);
    /* Well-known names, for messages and --help: i from 0; NULL past the end. */
    const char *(*type_name)(size_t i);
    /* Every rule that makes a table bad (overlap, outside, duplicate GUID, name too long): PLAT_EINVALID
     * naming the partition and the minimum that works. */
    int (*validate)(const struct table_spec *spec, struct plat_err *err);
    int (*write_head)(const struct table_spec *spec, struct plat_dev *dev, struct plat_err *err);
    int (*write_tail)(const struct table_spec *spec, struct plat_dev *dev, struct plat_err *err);
};

/* ---- changing a filesystem in place ---- */

struct fs_new {
    enum tree_kind kind;
    uint32_t mode, uid, gid;
    struct fs_time created, modified;
    uint64_t device;    /* devices: as in struct tree_node */
    const char *target; /* symbolic links */
};
struct fs_attributes {
    bool has_mode, has_owner, has_created, has_modified;
    uint32_t mode, uid, gid;
    struct fs_time created, modified;
};
struct fs_place {
    uint64_t dir;
    const char *name;
};
/* What a handle that was opened with `writable` can do; one that was not gets PLAT_EUNSUPPORTED from each.
 *
 * Changes are staged: this handle sees them at once, everybody else and the next power-up from the commit on, all of
 * them or none. A change that is refused (PLAT_EINVALID, PLAT_ENOTFOUND, PLAT_ELIMIT when there is no room) changes
 * nothing, nor does one that fails before it has begun. When one fails half done (PLAT_EIO, PLAT_ENOMEM, PLAT_ECORRUPT)
 * the handle takes no more changes: the state on disk is the last committed one, open it again. Nothing here reads a clock: times are the caller's. Take dev_lock before the
 * handle is opened. Closing without finish is what a power cut does. */
struct fs_writer {
    /* A file (empty), directory, symbolic link or special file. The name must be new. */
    int (*create)(struct fs *fs, const struct fs_place *place, const struct fs_new *what, uint64_t *ret_node,
                  struct plat_err *err);
    /* Anywhere in a file; behind its end leaves a hole. */
    int (*write)(struct fs *fs, uint64_t node, uint64_t offset, const void *buf, size_t n,
                 struct plat_err *err);
    int (*truncate)(struct fs *fs, uint64_t node, uint64_t size_bytes, struct plat_err *err);
    /* Replaces what is there under the new name: a file by anything but a directory, an empty directory by a
     * directory. To the same name: nothing happens. */
    int (*rename)(struct fs *fs, const struct fs_place *from, const struct fs_place *to,
                  struct plat_err *err);
    /* A file, or a directory with nothing in it. */
    int (*remove)(struct fs *fs, const struct fs_place *place, struct plat_err *err);
    int (*set_attributes)(struct fs *fs, uint64_t node, const struct fs_attributes *attributes,
                          struct plat_err *err);
    /* All that is staged survives a power cut once this has returned. */
    int (*commit)(struct fs *fs, struct plat_err *err);
    /* Commits, and says that no writer is at work. */
    int (*finish)(struct fs *fs, struct plat_err *err);
    /* The device has become this large (a multiple of 512): use the room. Commits. */
    int (*grow)(struct fs *fs, uint64_t size_bytes, struct plat_err *err);
    /* Memory that staged changes hold: commit when it is too much. */
    uint64_t (*staged_bytes)(struct fs *fs);
};

/* ---- making a filesystem from a tree ---- */

struct make_option_desc {
    const char *name, *argument, *doc; /* "cluster-bytes", "N", "cluster size; default by volume size" */
};
struct make_options {
    const char *label;     /* NULL: format's default */
    const char *uuid;      /* NULL: derived from seed and tree_digest */
    const char *seed;      /* never NULL */
    uint32_t sector_bytes; /* 512 or 4096 */
    uint64_t first_sector; /* where the image will lie on its disk; 0 for a bare image */
    bool has_time;         /* time of the volume itself (label entry); else newest mtime of the tree */
    int64_t time_s;
    struct tree *objects; /* of a store beside the tree; only for makers that have `parts`; NULL: none */
    bool compact;         /* nothing is kept free; only for makers that say `compacts` */
    json_t
        *extra; /* object of format options by name, as in `options`; may be NULL. Unknown: PLAT_EINVALID */
};
struct make_plan; /* each maker's own */
struct fs_maker {
    const struct make_option_desc *options;
    size_t n_options;
    bool compacts; /* min_bytes keeps something free unless make_options.compact */
    bool xattrs;   /* keeps extended attributes when its option "xattrs" says "keep" (tree_options.xattrs) */
    bool links;    /* wants trees whose files say that they are one (tree_options.links) */
    bool anywhere; /* a plan does not depend on make_options.first_sector, and is kept when the image moves */
    /* Names of the formats that the image has side by side, NULL-terminated: their drivers read it. Such an image may
     * begin empty: its source is a seed. NULL: the format itself. */
    const char *const *parts;
    /* What the tree needs. Checks everything about names and sizes that can be checked before writing. */
    int (*plan)(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                struct plat_err *err);
    /* Smallest image that holds the tree plus slack_bytes of free space (and is legal for the format). */
    int (*min_bytes)(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err);
    /* Fix the geometry for exactly size_bytes; PLAT_EINVALID with the minimum that works when too small. */
    int (*settle)(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err);
    /* One line for --explain: "4 KiB clusters, 65,536 of them, 2 FATs of 512 sectors". */
    void (*describe)(const struct make_plan *plan, struct strbuf *ret);
    /* `dev` is zero-filled and size_bytes long. Where dev->sequential: ascending offsets only. */
    int (*write)(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                 struct plat_err *err);
    /* Formats whose size shows only when they are written: the image onto `dev`, which is empty, can be read back and
     * grows (plat_dev.grows). Call it first, or not at all; min_bytes and settle say afterwards what they say before,
     * but need no temporary file for it. NULL: sizes are known without. */
    int (*stream)(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                  struct plat_err *err);
    void (*close)(struct make_plan *plan);
};

/* A part of a file's contents. */
struct fs_piece {
    uint64_t position, bytes; /* in the file */
    struct range place;       /* what it is stored in, on the device */
    bool compressed;          /* place holds it compressed ... */
    uint64_t offset;  /* ... and from this byte of what that decompresses to; else from this byte of place */
    const char *path; /* of a structure that several files share ("fragments[3]"); NULL: none */
};
typedef int (*fs_piece_fn)(void *ctx, const struct fs_piece *piece);

/* Formats that lie side by side on one device, a store and a filesystem: each has a layer of its own there. */
enum { FS_SHARE_RANGES = 4 };
struct fs_share {
    const char *prefix; /* of that layer: "store", "fs" */
    bool is_main;       /* what a path without a layer means */
    uint64_t offset;    /* of its first structure there: a neighbour that owns this byte is none */
    /* Parts of the device that are its own, ascending; how many. 0: damage hides them. */
    size_t (*own)(struct fs *fs, struct range ret[FS_SHARE_RANGES]);
};

struct fs_driver {
    const char *name;        /* "fat32" */
    const char *title;       /* "FAT32 filesystem" */
    const char *layout_name; /* embedded schema; NULL when the format has none */
    /* Threads: different handles never share anything that changes. Of one handle, a driver that says `concurrent` lets
     * any number of threads call what reads (lookup, readdir, stat, read, next_data, readlink, xattrs) at once; of others
     * the caller sees to it that only one thread at a time is in any operation. */
    bool concurrent;
    int (*probe)(struct plat_dev *dev, const struct fs_open_options *options, struct fs_probe_result *ret,
                 struct plat_err *err);
    /* `image` is opened by the caller (fs_open) and owned by the handle from success on. */
    int (*open)(struct plat_dev *dev, struct image *image, const struct fs_open_options *options,
                struct fs **ret, struct plat_err *err);
    void (*close)(struct fs *fs); /* frees the handle; not dev, not image */

    int (*partitions)(struct fs *fs, table_partition_fn fn, void *ctx, struct plat_err *err);
    const struct table_maker *table;

    int (*root)(struct fs *fs, uint64_t *ret_node, struct plat_err *err);
    int (*lookup)(struct fs *fs, uint64_t dir, const char *name, uint64_t *ret_node, struct plat_err *err);
    int (*readdir)(struct fs *fs, uint64_t dir, fs_dirent_fn fn, void *ctx, struct plat_err *err);
    int (*stat)(struct fs *fs, uint64_t node, struct fs_stat *ret, struct plat_err *err);
    /* Up to n bytes from offset; *ret_n is less only at the end of the file. */
    int (*read)(struct fs *fs, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                struct plat_err *err);
    /* Where in a file contents may be that are not zero, at `offset` or behind it: *ret ends where a hole begins, or
     * anywhere before; 0 bytes: there is nothing but a hole. NULL: everywhere. */
    int (*next_data)(struct fs *fs, uint64_t node, uint64_t offset, struct range *ret, struct plat_err *err);
    int (*readlink)(struct fs *fs, uint64_t node, struct strbuf *ret, struct plat_err *err);
    /* Extended attributes, in the order of the format; returns what the callback returned. */
    int (*xattrs)(struct fs *fs, uint64_t node, fs_xattr_fn fn, void *ctx, struct plat_err *err);
    int (*space)(struct fs *fs, struct fs_space *ret, struct plat_err *err);

    int (*walk)(struct fs *fs, const struct walk_sink *sink, struct plat_err *err);
    int (*check)(struct fs *fs, const struct finding_sink *sink, struct plat_err *err);
    /* All that walk and check leave unread: contents against their checksums, free space and padding against
     * zero; in ascending order of offset, with each byte read added to progress (NULL: nobody looks). NULL
     * where a format has no checksums of contents. What walk or check reports is not reported again. */
    int (*scrub)(struct fs *fs, const struct finding_sink *sink, struct progress *progress,
                 struct plat_err *err);
    /* Which bad copies are to be rewritten from which good ones (lib/fs/repair.h); reads only. NULL where a format
     * keeps no second copy of anything. */
    int (*repair)(struct fs *fs, struct repair_plan *plan, struct plat_err *err);
    /* Where the contents of a file are, in its order; holes are passed over. NULL: the extents of walk say it, which
     * hold contents as they are. Returns what the callback returned. */
    int (*pieces)(struct fs *fs, uint64_t node, fs_piece_fn fn, void *ctx, struct plat_err *err);
    /* Where in the device the bytes `part` of an instance of a stream (struct inst_source) are, as they are; `part` counts
     * from its first byte. PLAT_EUNSUPPORTED: they are compressed, or not in one piece. NULL: there are no streams. */
    int (*stored)(struct fs *fs, const struct inst *inst, struct range part, uint64_t *ret,
                  struct plat_err *err);
    bool shares_contents;         /* files may have the same blocks: their extents in walk may overlap */
    const struct fs_share *share; /* NULL: it has its device for itself */
    const struct fs_maker *maker;
    const struct fs_writer *writer; /* NULL: nothing is changed in place */
};

/* All drivers, most specific first (formats/registry.c). */
extern const struct fs_driver *const fs_drivers[];
extern const size_t n_fs_drivers;
const struct fs_driver *fs_driver_find(const char *name); /* NULL: none */

/* Asks one driver. An image that is too small or unreadable for the format scores 0; only PLAT_EIO and
 * PLAT_ENOMEM fail. */
int fs_probe_one(const struct fs_driver *driver, struct plat_dev *dev, const struct fs_open_options *options,
                 struct fs_probe_result *ret, struct plat_err *err);
/* The driver with the highest score (NULL: none above 0) and its result. Of equals, the first one registered.
 */
int fs_probe_all(struct plat_dev *dev, const struct fs_open_options *options, const struct fs_driver **ret,
                 struct fs_probe_result *ret_result, struct plat_err *err);
/* Opens with a given driver, loading its embedded layout (cached for the process). */
int fs_open(const struct fs_driver *driver, struct plat_dev *dev, const struct fs_open_options *options,
            struct fs **ret, struct plat_err *err);
void fs_close(struct fs *fs);
/* Resolves "/a/b" from the root; PLAT_ENOTFOUND names the component. */
int fs_resolve(struct fs *fs, const char *path, uint64_t *ret_node, struct plat_err *err);
/* The embedded layout of this name, loaded once; owned by the library. PLAT_ENOTFOUND lists what there is. */
int fs_layout(const char *name, const struct layout **ret, struct plat_err *err);
/* Whether a format is known by its embedded layout alone: no driver has that layout. */
bool fs_layout_is_alone(const char *name);

#endif
