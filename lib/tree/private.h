/* Inside of lib/tree: who owns what, and the one way in for new nodes. */
#ifndef PLAT_LIB_TREE_PRIVATE_H
#define PLAT_LIB_TREE_PRIVATE_H

#include <sys/types.h>

#include "lib/base/text.h"
#include "lib/tree/tree.h"

/* Spooled contents of all archives of a tree: past this an archive is a decompression bomb, not a source. */
#define TREE_MAX_SPOOL_BYTES (UINT64_C(1) << 42)

/* Where a node's content comes from (tree_node.source) and which member of tree_node.from says so. */
enum tree_source {
    SOURCE_NONE,      /* directories, FIFOs, sockets; devices use from.device */
    SOURCE_STATED,    /* the same, of tree_add_nodes */
    SOURCE_HOST_DIR,  /* from.source_index: below that host directory */
    SOURCE_HOST_FILE, /* from.source_index: that host file */
    SOURCE_SPOOL,     /* from.spool_offset */
    SOURCE_LITERAL    /* from.literal */
};

struct host_source {
    const char *path;       /* in tree->text */
    struct tree_node *base; /* directories: the node that stands for path */
};

/* All nodes but the root by parent and name, open addressing. Empty until the first lookup in a large
 * directory. */
struct tree_index {
    struct tree_node **slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n_used;
    uint64_t seed; /* random, so that nobody can choose names that collide */
};

/* Host files with several names, by their identity; open addressing. */
struct tree_link {
    dev_t device;
    ino_t inode;
    uint32_t number; /* 0: free */
};
struct tree_links {
    struct tree_link *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n_used;
    uint32_t n; /* numbers given, to files of archives as well */
};

/* Extended attributes by node; open addressing. */
struct tree_xattr_slot {
    const struct tree_node *node; /* NULL: free */
    const struct tree_xattrs *set;
};
struct tree_xattr_map {
    struct tree_xattr_slot *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n_used;
};

/* The host directory that was read from last: root_fd is its source, dir_fd the directory itself. One for each
 * thread that reads. */
struct host_cursor {
    const struct tree_node *dir;
    uint32_t source;
    int root_fd, dir_fd; /* -1: none */
};

/* ignore.c */
struct tree_ignore_rule;
struct tree_ignore {
    struct arena text;
    struct tree_ignore_rule *rules;
    size_t n, cap;
};

struct tree {
    struct tree_options options; /* its pointers lead into `text` */
    struct arena nodes, text;
    struct tree_node *root;
    uint64_t n_nodes;
    struct tree_index index;
    struct tree_links links;
    struct tree_xattr_map xattrs;
    struct host_source *sources;
    size_t n_sources, cap_sources;
    uint32_t n_manifests;
    int spool_fd; /* -1: none yet */
    uint64_t spool_end;
    struct host_cursor last;
    struct tree_ignore ignore; /* what options.exclude or tree_set_exclude say */
    /* options.output as a directory finds it; name NULL: there is none. */
    struct {
        dev_t device;
        ino_t inode; /* of its directory */
        const char *name;
        bool left_out;
    } output;
    bool finished;
};

/* What a new node is to be; everything but name, links and attributes. */
struct tree_spec {
    enum tree_kind kind;
    enum tree_source source;
    uint32_t mode, uid, gid;
    bool has_mtime; /* false: invented, time 0 */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t size_bytes;
    uint32_t link; /* not directories */
    union {
        uint64_t spool_offset;
        const char *literal;
        uint32_t source_index;
        uint64_t device;
    } from;
};

/* A directory with its distance from the root, so that limits cost nothing per file. */
struct tree_place {
    struct tree_node *dir;
    size_t depth;
    size_t path_bytes; /* of "a/b" without leading '/' */
};

/* Next component of *path, skipping '/' and "."; 0 at the end. *path moves behind it. */
size_t tree_component(const char **path, const char **ret);
/* PLAT_EINVALID for "..", PLAT_ELIMIT for a name or path that is too long; `what` is "target" or "member". */
int tree_check_name(const struct tree_place *at, const char *name, size_t n, struct plat_err *err);
/* Adds or merges one node. `known_new`: the caller knows that the name is not there yet. */
int tree_put(struct tree *tree, const struct tree_place *at, const char *name, size_t n, bool known_new,
             const struct tree_spec *spec, struct tree_node **ret, struct plat_err *err);
/* Gives an existing node the looks and content of `spec` (which must be legal: see tree_put). */
void tree_set(struct tree *tree, struct tree_node *node, const struct tree_spec *spec);
/* One step down, making the directory when it is missing. */
int tree_descend(struct tree *tree, struct tree_place *at, const char *name, size_t n, struct plat_err *err);
/* All but the last component of `target`; *ret_name is the last one (*ret_n 0: the target is the root
 * itself). */
int tree_descend_to_parent(struct tree *tree, const char *target, struct tree_place *ret,
                           const char **ret_name, size_t *ret_n, struct plat_err *err);
/* Every component of `target`. */
int tree_descend_all(struct tree *tree, const char *target, struct tree_place *ret, struct plat_err *err);
/* *ret NULL: no such child. */
int tree_find_child(struct tree *tree, const struct tree_node *dir, const char *name, size_t n,
                    struct tree_node **ret, struct plat_err *err);
struct tree_place tree_place_of(struct tree_node *dir);

int tree_add_source_path(struct tree *tree, const char *path, struct tree_node *base, uint32_t *ret,
                         struct plat_err *err);
/* Opens the host directory behind `dir` of a directory source, step by step from root_fd, following no links.
 */
int tree_open_host_dir(const struct tree *tree, uint32_t source, int root_fd, const struct tree_node *dir,
                       int flags, int *ret_fd, struct plat_err *err);
/* "host_path/rel/name" for messages; name may be NULL. */
void tree_host_label(const struct tree *tree, uint32_t source, const struct tree_node *dir, const char *name,
                     char ret[TREE_LABEL_BYTES]);

/* reader.c */
void host_cursor_init(struct host_cursor *cursor);
void host_cursor_close(struct host_cursor *cursor);
/* All of a file of a directory source, with one open, one read and one close. */
int tree_read_whole(const struct tree *tree, struct host_cursor *cursor, const struct tree_node *node,
                    uint8_t *buf, struct plat_err *err);

/* ignore.c: patterns that leave paths out, the last that matches decides. Zero-initialise; tree_ignore_free. */
int tree_ignore_add(struct tree_ignore *ignore, const char *pattern, struct plat_err *err);
/* A file of patterns, one a line. */
int tree_ignore_read(struct tree_ignore *ignore, const char *host_path, struct plat_err *err);
/* Is this path, relative to where the patterns hold, left out? For what is below a directory that is, it says nothing. */
bool tree_ignores(const struct tree_ignore *ignore, const char *path, bool directory);
void tree_ignore_free(struct tree_ignore *ignore);

/* index.c */
int tree_index_find(struct tree *tree, const struct tree_node *dir, const char *name, size_t n,
                    struct tree_node **ret, struct plat_err *err);
/* Nothing to do while there is no index. */
int tree_index_add(struct tree *tree, struct tree_node *node, struct plat_err *err);
void tree_index_free(struct tree *tree);

/* links.c: the number of this host file, a new one at its first name; 0 or ENOMEM. */
int tree_link_find(struct tree_links *links, dev_t device, ino_t inode, uint32_t *ret);

/* xattrs.c: what the node has from now on (NULL: nothing); 0 or ENOMEM. */
int tree_xattrs_set(struct tree *tree, const struct tree_node *node, const struct tree_xattrs *set);
/* Those of a file in a host directory, as they are now; 0 or an errno. */
int tree_xattrs_read_host(struct tree *tree, int dir_fd, const char *name, const struct tree_node *node);
struct archive_entry;
int tree_xattrs_read_entry(struct tree *tree, struct archive_entry *entry, const struct tree_node *node,
                           struct plat_err *err);

/* Visible text of a path for messages: its end when it is long. */
void tree_visible(const char *s, size_t n, char ret[TREE_LABEL_BYTES]);

#endif
