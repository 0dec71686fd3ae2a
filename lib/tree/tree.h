/* A file tree to store: gathered from directories, archives, single files and bytes in memory, then sorted
 * (bytewise by name in each directory) and handed to a format's maker.
 *
 * Memory: 80 bytes a node plus its name. While several sources are merged or an archive is read, an index of
 * at most 48 bytes a node more; tree_finish drops it. File contents are never held: nodes remember where to
 * read them (a host directory, a spool file for archive members, or a literal).
 *
 * Order of use: tree_open, tree_add_* , tree_apply_override, tree_finish; then read-only use; tree_close.
 *
 * Merging: a later addition of the same path replaces an earlier file; directories merge, and the later one's
 * mode, owner and time stay. A directory may replace a file, a file may replace an empty directory; a file in
 * place of a directory that has something in it is PLAT_EINVALID, as is a path that runs through something
 * other than a directory (symbolic links are never followed inside the tree).
 *
 * Times: has_time gives every entry time_s. Otherwise host entries and archive members keep their own, cut to
 * clamp_s where they are later; what no source has a time for (parents that had to be made, tree_mkdir,
 * literals, symbolic links by tree_add_symlink, the root of a tree of archives) gets 0, so that it is the
 * same on every day. tree_apply_override is exact: it is neither clamped nor replaced.
 *
 * One thread at a time: even reading keeps a directory open inside the tree (lib/tree/ahead.h reads in several). */
#ifndef PLAT_LIB_TREE_TREE_H
#define PLAT_LIB_TREE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

enum {
    TREE_MAX_NODES = 1 << 26,
    TREE_MAX_DEPTH = 1024,
    TREE_MAX_NAME_BYTES = 255 * 3, /* 255 UTF-16 units */
    TREE_MAX_PATH_BYTES = 65535
};

enum tree_kind { TREE_DIR, TREE_FILE, TREE_SYMLINK, TREE_CHAR, TREE_BLOCK, TREE_FIFO, TREE_SOCKET };

struct tree_node {
    const char *name;         /* NUL-terminated; "" for the root */
    struct tree_node *parent; /* NULL for the root */
    struct tree_node *child;  /* first child, sorted after tree_finish */
    struct tree_node *next;   /* next sibling */
    uint64_t size_bytes;      /* files; symlinks: length of target */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t mode; /* permission bits (07777) */
    uint32_t uid, gid;
    union {
        uint32_t n_children; /* directories; else 0, but for: */
        uint32_t
            link; /* others, with tree_options.links: those of one number are one file, a hard link; 0: alone */
    };
    uint8_t kind;   /* enum tree_kind */
    uint8_t source; /* private to lib/tree */
    uint16_t
        attributes; /* format-specific flags set by tree_apply_override (FAT: RO 1, hidden 2, system 4) */
    union {
        uint64_t spool_offset;
        const char *literal; /* bytes; symlinks: the target, NUL-terminated */
        uint32_t source_index;
        uint64_t device; /* TREE_CHAR, TREE_BLOCK: makedev(major, minor) of <sys/sysmacros.h> */
    } from;
};

struct tree_options {
    bool has_clamp; /* mtimes later than clamp_s become clamp_s (SOURCE_DATE_EPOCH) */
    int64_t clamp_s;
    bool has_time; /* every mtime becomes time_s (a recipe's "time") */
    int64_t time_s;
    /* Patterns with the habits of gitignore(5), over paths relative to the target of each addition; NULL-terminated. They
     * hold for what directories, archives and manifests bring, not for what is added by name. The last that matches
     * decides; an excluded directory is not looked into. Those in the files exclude_from names come before these. */
    const char *const *exclude;
    const char *const *exclude_from;
    bool xattrs;     /* keep extended attributes: tree_xattrs */
    bool links;      /* tell hard links: tree_node.link */
    bool root_owned; /* what comes from host files and directories belongs to 0:0, not to whoever owns it
                        there */
    /* Path of the file that is being made from the tree (NULL: none). Where a directory source holds it, an
     * earlier file of that name is left out, and the directory's own time, which every run changes, becomes
     * the newest of what it holds: so the second run gives the same bytes as the first. */
    const char *output;
    const char *spool_dir; /* where archive members are spooled (unlinked file); NULL: TMPDIR or /tmp */
};

struct tree;
/* Copies what `options` points to; NULL: none of them. The tree starts as an empty root directory, mode 0755. PLAT_EINVALID
 * where a pattern is none. */
int tree_open(const struct tree_options *options, struct tree **ret, struct plat_err *err);
void tree_close(struct tree *tree);
struct tree_node *tree_root(struct tree *tree);
/* Patterns for the additions that follow, in place of those of the options; either may be NULL: none. */
int tree_set_exclude(struct tree *tree, const char *const *exclude, const char *const *exclude_from,
                     struct plat_err *err);

/* `target` is a path inside the tree ("/", "EFI/BOOT"; a leading '/' and "." components mean nothing);
 * missing parents are made (mode 0755, owner 0, time 0). A ".." component is PLAT_EINVALID, as is a file's
 * target that names no file ("", "/", "a/"); longer than the limits above is PLAT_ELIMIT. Host paths must
 * stay valid until the contents are read: nothing is copied, and a relative one needs the same working
 * directory then. After a failure the tree may hold a part of what was added: close it. */

/* Everything below the directory; its own mode, owner and time go to the target. Symbolic links stay symbolic
 * links (only host_path itself is followed), hard links become separate files (with options.links, of one number), devices, FIFOs and sockets
 * keep their kind. */
int tree_add_directory(struct tree *tree, const char *target, const char *host_path, struct plat_err *err);
/* One regular file; symbolic links to it are followed. */
int tree_add_file(struct tree *tree, const char *target, const char *host_path, struct plat_err *err);
/* tar, cpio, zip, 7z, rar, cab, iso9660, ar, xar, lha with any compression that libarchive undoes in this
 * process (it starts no programs); "-" is standard input. Contents are spooled. A member name that contains
 * ".." is PLAT_EINVALID; leading
 * '/' are dropped. A hard link gets the content that its target has by then. tar and cpio are read in one pass from a pipe;
 * others are copied to a temporary file first. mtree is not read: it names host files. */
int tree_add_archive(struct tree *tree, const char *target, const char *host_path, struct plat_err *err);
/* A manifest: an mtree(5) specification, of which libarchive's reader decides what is well-formed. Contents are those of the
 * host files that contents= names, else of the entry's own path: relative to the manifest's directory ("-": the current
 * one), from which neither ".." nor a symbolic link may lead out; absolute where it is written so, unless the manifest was
 * recognised by its first line alone (tree_add_source), for a stranger's archive may be one. Nothing is copied.
 * size= must be that of the file. Every entry needs type=; mode is 0755 for directories and 0644 else where it is not
 * given, owners are 0, the time is 0. Entries with the same inode= and nlink= above 1 are one file. Users and groups are
 * numbers: a name without a number is PLAT_EINVALID, but for root and wheel. flags= and digests mean nothing. A file that
 * is "optional" and not there is left out. */
int tree_add_manifest(struct tree *tree, const char *target, const char *host_path, struct plat_err *err);
int tree_add_literal(struct tree *tree, const char *target, const void *bytes, size_t n,
                     struct plat_err *err);
int tree_add_symlink(struct tree *tree, const char *target, const char *to, struct plat_err *err);
int tree_mkdir(struct tree *tree, const char *target, struct plat_err *err);
/* SOURCE of `plat mk`: a directory, a manifest (*.mtree, or its first line begins with #mtree), an archive, or "-"; decided
 * by what it is. */
int tree_add_source(struct tree *tree, const char *source, struct plat_err *err);

/* Nodes that no source need have, in the words of `plat mk --node`:
 *
 *     dev/console:c:5:1:0600     character device 5:1       run/ready:p:0600    FIFO (s: socket)
 *     dev/vda:b:254:0:0660:0:6   block device of group 6    proc:d:0555         directory
 *     bin:l:usr/bin              symbolic link
 *
 * A backslash takes the meaning of a colon in the path away. Parents that are missing are made as everywhere. A node takes
 * the place of a file (or device, or link) of its path; of a directory that is there a directory changes permissions and
 * owner, not what it holds. A directory in place of something else, or the reverse, is PLAT_EINVALID, as is the root, and
 * the same path twice. *ret_owned: some node names an owner that is not 0. */
int tree_add_nodes(struct tree *tree, const char *const *texts, size_t n, bool *ret_owned,
                   struct plat_err *err);
/* Is it one of those? Their permissions are meant as they are. */
bool tree_is_stated(const struct tree_node *node);

/* Permissions of everything but symbolic links, as `chmod -R` of GNU would change them with a umask of 0: "0755",
 * "u=rwX,go=rX", "a-w", "g=u". X is x for directories and for what somebody may execute. Set-user-id and set-group-id of
 * directories stay unless they are named (u-s; five octal digits). PLAT_EINVALID when it cannot be understood. */
int tree_change_modes(struct tree *tree, const char *changes, struct plat_err *err);
/* Everything belongs to this user and group. */
void tree_own_all(struct tree *tree, uint32_t uid, uint32_t gid);

struct tree_override {
    const char
        *pattern; /* glob over target paths without leading '/'; "/" is the root, as is what matches "" */
    bool has_mode, has_uid, has_gid, has_mtime, has_attributes;
    uint32_t mode, uid, gid;
    int64_t mtime_s;
    uint16_t attributes;
};
/* PLAT_ENOTFOUND when nothing matches. */
int tree_apply_override(struct tree *tree, const struct tree_override *override, struct plat_err *err);

/* Sorts and clamps; the tree is read-only from here on. */
int tree_finish(struct tree *tree, struct plat_err *err);

/* Was options.output met in a directory and left out? */
bool tree_left_out_output(const struct tree *tree);

struct tree_totals {
    uint64_t n_files, n_dirs, n_others, data_bytes;
};
void tree_totals(const struct tree *tree, struct tree_totals *ret);
/* The highest tree_node.link; 0: none. An override or a later source may have made files of one number different. */
uint32_t tree_link_count(const struct tree *tree);
/* Extended attributes of a node, with tree_options.xattrs; NULL: none. */
enum { TREE_XATTR_BYTES_MAX = 65536 };
struct tree_xattr {
    const char *name; /* "user.mime_type" */
    const uint8_t *value;
    size_t n_bytes;
};
struct tree_xattrs {
    size_t n;
    struct tree_xattr items[]; /* by name */
};
const struct tree_xattrs *tree_xattrs(const struct tree *tree, const struct tree_node *node);
/* The node after this one when each directory comes before what it holds; NULL at the end. Start at the root.
 */
struct tree_node *tree_next(const struct tree_node *node);
/* Full path of a node, '/'-separated, "/" for the root. PLAT_ELIMIT (and buf "") when it does not fit. */
int tree_path(const struct tree_node *node, char *buf, size_t buf_bytes);
/* A path for messages: at most 200 bytes, its end when it is longer, control characters as \xNN. */
enum { TREE_LABEL_BYTES = 208 };
void tree_label(const struct tree_node *node, char ret[TREE_LABEL_BYTES]);
/* Puts the label in front of a message; returns its class. */
int tree_blame(const struct tree_node *node, struct plat_err *err);
/* The identity of a finished tree without its contents: SHA-256, hex, over every path below the root in order
 * with its kind, attributes, size, mtime, symlink target and device; with_owner adds mode, uid and gid (leave
 * them out for formats that do not keep them, so that the builder's umask does not matter). The sum is
 * chained: each block of records is hashed behind the hash of what came before. */
void tree_digest(const struct tree *tree, bool with_owner, char ret[65]);

/* An unlinked temporary file in `dir` (NULL: TMPDIR or /tmp), read-write, close-on-exec. */
int tree_spool_open(const char *dir, int *ret_fd, struct plat_err *err);

/* Reading a file's content, front to back. Files of one directory cost one open each when they are read in
 * tree order. Where fd is not -1 its file offset is at the content's first byte when tree_reader_open returns
 * (for callers that copy from the descriptor; spooled files share one descriptor, so only the last reader
 * opened may do that); tree_reader_read itself neither uses nor moves it. */
struct tree_reader {
    int fd; /* -1: literal */
    bool owns_fd;
    const uint8_t *literal;
    uint64_t offset; /* next byte to read, in fd or literal */
    uint64_t left_bytes;
};
/* Files, and symlinks (their target). PLAT_EIO when the file's size is no longer the one that was scanned. */
int tree_reader_open(struct tree *tree, const struct tree_node *node, struct tree_reader *ret,
                     struct plat_err *err);
/* Exactly n bytes; PLAT_EIO when the file has become shorter (or longer, at the last byte) since it was
 * scanned. */
int tree_reader_read(struct tree_reader *reader, void *buf, size_t n, struct plat_err *err);
/* How many of the next bytes are a hole of the source, which reads as zeros; 0 where there is none or nobody knows. Two
 * sources of the same bytes may have other holes: no reason to store them differently, but to read less. */
uint64_t tree_reader_hole(const struct tree_reader *reader);
/* Leaves out n bytes, at most what is left. */
void tree_reader_skip(struct tree_reader *reader, uint64_t n);
void tree_reader_close(struct tree_reader *reader);

#endif
