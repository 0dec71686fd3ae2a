/* Extracting into a directory of the host, as its parts share it.
 *
 *   extract_dir.c     the sink; extract_queue.h: jobs for the threads; extract_turn.c: what came of them, in order
 *   extract_place.c   directories of the target: opened one component at a time, made under a name that nobody knows
 *   extract_make.c    one file, link or special file
 *   extract_attr.c    owner, extended attributes, mode, times
 *
 * A directory that was not there before is built under a name such as ".plat-3f0c..." beside its place and gets its own when
 * all in it is done: so what is in it is written in place, and still nothing appears half done. In a directory that was there
 * before, files are written without a name (O_TMPFILE), or under such a one where the host cannot do that. */
#ifndef PLAT_INSPECT_EXTRACT_DIR_H
#define PLAT_INSPECT_EXTRACT_DIR_H

#include <sys/stat.h>

#include "inspect/extract.h"

/* What is the same for all threads. */
struct extract_host {
    const struct extract_options *options;
    mode_t umask;
    bool root;  /* may do what only root may */
    bool owner; /* owners are restored, and with them set-id bits */
};

/* ---- extract_place.c ---- */

struct place {
    struct place *parent; /* NULL: what the target itself is in */
    char *name;
    char temp[32]; /* its name until it is published; "": it has its own */
    int fd;        /* -1: closed */
    bool fresh;    /* it, or one above it, was made here and is not published */
    bool made;
    uid_t uid; /* of what is made in it, where it is fresh */
    gid_t gid;
    unsigned refs;
};
/* The target; its parent is there only where the target was not. */
int place_open_target(const char *target, struct place **ret, struct plat_err *err);
/* A directory in `parent`, made when it is missing. */
int place_enter(struct place *parent, const char *name, struct place **ret, struct plat_err *err);
/* Its own name, for one that has a temporary one. What cannot have it is removed again. */
int place_publish(struct place *place, struct plat_err *err);
/* Removes what is not published, with all that is in it. */
void place_remove(struct place *place);
void place_close_fd(struct place *place); /* the name stays known */
/* A descriptor of a directory that may be closed: the caller's. -1 and errno. */
int place_reopen(const struct place *place);
void place_unref(struct place *place);
/* A name that no image can know. */
enum { TEMP_NAME_BYTES = 32, TEMP_TRIES = 100 };
void place_temp_name(char ret[TEMP_NAME_BYTES]);

/* ---- extract_make.c, extract_attr.c ---- */

/* One thread's. */
struct maker {
    const struct extract_host *host;
    uint8_t *buf; /* FILES_READ_BYTES */
    bool full;    /* the target has no room, or cannot be written: no use in going on */
    uint64_t xattrs_denied, xattrs_unknown; /* not set: only root may; the target's filesystem has none */
};
struct made {
    const struct place *dir;
    const char *name;
    uint64_t node;
    const struct fs_stat *stat;
};
/* Anything but a directory. */
int make_entry(struct maker *maker, const struct made *made, struct plat_err *err);
/* Another name for what has one. PLAT_EUNSUPPORTED: the host takes no (more) links, or does not let us. */
int make_link(struct maker *maker, const struct made *made, int from_dir, const char *from_name,
              struct plat_err *err);
/* A file in pieces, which any thread may write. */
struct fresh_file {
    int fd;
    char temp[TEMP_NAME_BYTES]; /* "": it has no name, or its own */
    bool own_name;
};
int make_open(struct maker *maker, const struct made *made, struct fresh_file *ret, struct plat_err *err);
int make_piece(struct maker *maker, const struct made *made, int fd, struct range piece,
               struct plat_err *err);
/* Attributes and name; or, with failed != 0, nothing is left of it. Closes it. */
int make_close(struct maker *maker, const struct made *made, struct fresh_file *file, int failed,
               struct plat_err *err);
/* err_sys, and whether it is of use to go on. */
int make_failed(struct maker *maker, int saved_errno, const char *what, struct plat_err *err);

/* Of an open file or directory. in: the fresh directory in which it is new, which tells whose it is; NULL: not known. usual: the
 * mode where the format has none; 0: leave it. */
int attr_set_fd(struct maker *maker, int fd, const struct place *in, uint64_t node,
                const struct fs_stat *stat, mode_t usual, struct plat_err *err);
/* Of a link or special file. */
int attr_set_name(struct maker *maker, const struct made *made, const char *name, struct plat_err *err);

#endif
