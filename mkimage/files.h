/* Changing files inside an image, in place: what put, rm, mkdir, mv and grow share.
 *
 * Each of them locks the image before it reads anything, opens the filesystem for writing, stages its changes and
 * commits them at once, or leaves everything as it was. Symbolic links inside the image are never followed. */
#ifndef PLAT_MKIMAGE_FILES_H
#define PLAT_MKIMAGE_FILES_H

#include "lib/cli/cli.h"
#include "lib/fs/stack.h"

/* clang-format off */
#define FILES_PARTITION_OPTION                                                                                     \
    {.letter = 'p', .name = "partition", .kind = OPTION_TEXT, .argument = "NAME|NUMBER",                           \
     .doc = "the partition to change; needed where there is more than one", .complete = COMPLETE_NONE}
#define FILES_TIME_OPTIONS(whose)                                                                                  \
    {.name = "created", .kind = OPTION_TEXT, .argument = "now|unknown|SECONDS",                                    \
     .doc = "when " whose " was created (unknown)", .complete = COMPLETE_NONE},                                    \
    {.name = "clock", .kind = OPTION_TEXT, .argument = "untrusted|ntp-synced|stated",                              \
     .doc = "where times come from (untrusted for now, else stated)",                                          \
     .choices = "untrusted|ntp-synced|stated", .complete = COMPLETE_CHOICES}
/* clang-format on */

struct files {
    const struct cli *cli;
    const char *image;
    struct plat_dev *dev;
    struct stack *stack;
    struct stack_layer *layer;      /* that holds the filesystem */
    const struct fs_driver *driver; /* of the filesystem */
    struct fs *fs;                  /* open for writing, after files_begin */
    bool no;                        /* what was refused is an answer: exit 1 */
};
/* Opens and locks the image and finds the filesystem that is to be changed: the one that a path names before a colon
 * ("data:/etc"), that -p names, or the only one there is. files_leave, also after a failure. */
int files_enter(struct files *files, const char *const *paths, size_t n_paths, struct plat_err *err);
void files_leave(struct files *files);
int files_begin(struct files *files, struct plat_err *err);

/* All of a command: opens cli->args[0], calls `change` (which stages and need not commit), finishes or gives up,
 * reports. Returns the exit code. */
int files_run(const struct cli *cli, const char *const *paths, size_t n_paths,
              int (*change)(struct files *files, struct plat_err *err));

/* Where a path as typed leads. */
struct files_place {
    struct strbuf path;   /* without the partition and slashes too many; "" for the root */
    struct fs_place at;   /* the directory that holds it, and its name in there; "" for the root */
    bool names_directory; /* it ends with a slash */
    bool exists;
    uint64_t node; /* when it exists */
    enum tree_kind kind;
};
/* What is missing may be the last name alone. Zero-initialise ret; files_place_free, also after a failure. */
int files_find(struct files *files, const char *text, struct files_place *ret, struct plat_err *err);
void files_place_free(struct files_place *place);
/* fs_driver.lookup and stat in one; *ret_exists is false when the name is not there. */
int files_lookup(struct files *files, const struct fs_place *at, bool *ret_exists, uint64_t *ret_node,
                 enum tree_kind *ret_kind, struct plat_err *err);

/* "'/a/b': " and the reason; the answer is no. */
int files_no(struct files *files, const struct files_place *place, struct plat_err *err, int class,
             const char *why);
/* Puts "'name': " before the text in err; control characters in the name are shown. Returns err's class. */
int files_blame(struct plat_err *err, const char *name);

/* --created and --clock. `clock` is what times of sources get. */
int files_times(const struct cli *cli, struct fs_time *ret_created, enum fs_clock *ret_clock,
                struct plat_err *err);
/* --mode, octal; *ret_has is false when it is not given. */
int files_mode(const struct cli *cli, bool *ret_has, uint32_t *ret, struct plat_err *err);

/* plat put: the sources, each file with all its content. A commit comes at the end, and before that wherever staged
 * changes hold more than staged_max_bytes; `*ret_committed` counts the entries that such commits kept. */
int files_put(struct files *files, const char *const *sources, size_t n_sources, const char *dest,
              uint64_t staged_max_bytes, uint64_t *ret_committed, struct plat_err *err);

#endif
