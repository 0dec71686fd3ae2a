/* Paths into structures, as people type them:
 *
 *   path = step { step }       step = name | '[' number ']' | '[' '"' text '"' ']'
 *
 * Names are separated by '.', and hold letters, digits, '_' and '-' (a partition's name may have one).
 * Numbers are decimal or 0x. In text \" and \\ stand for the character itself; every other character stands
 * for itself.
 *
 *   gpt.entries[2].first_lba        esp.dir["/EFI/BOOT"][2].modified_time.hours
 *
 * A parsed path keeps its canonical spelling (decimal indexes), which is the spelling that walks produce, so
 * that a path is compared with a million instance paths without parsing any of them. */
#ifndef PLAT_INSPECT_PATH_H
#define PLAT_INSPECT_PATH_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/text.h"

enum { PATH_MAX_STEPS = 64, PATH_MAX_TEXT_BYTES = 128 * 1024 };

enum path_step_kind { PATH_NAME, PATH_INDEX, PATH_KEY };
struct path_step {
    enum path_step_kind kind;
    const char
        *name; /* PATH_NAME: NUL-terminated; PATH_KEY: text without quotes and escapes. Owned by the path */
    uint64_t index; /* PATH_INDEX */
    size_t end;     /* canonical spelling of the path up to and with this step: text[0..end) */
};
struct field_path {
    const char *text; /* canonical; "" for the path that means everything */
    size_t n;
    struct path_step steps[PATH_MAX_STEPS];
    size_t n_steps;
    struct arena arena;
};

/* "" is the path to everything. PLAT_EINVALID names the column. Free with path_free, also after a failure. */
int path_parse(const char *text, struct field_path *ret, struct plat_err *err);
void path_free(struct field_path *path);
/* The same path with another first name (a partition's alias resolved to its prefix). */
int path_with_first_name(const struct field_path *path, const char *name, struct field_path *ret,
                         struct plat_err *err);
/* The first n_steps of a path. */
int path_head(const struct field_path *path, size_t n_steps, struct field_path *ret, struct plat_err *err);

enum path_relation {
    PATH_APART,
    PATH_SAME,
    PATH_INSIDE, /* `other` lies below the path: the path selects it */
    PATH_OUTSIDE /* `other` lies above the path: the path leads into it */
};
/* How `other` (canonical) relates to the path. */
enum path_relation path_relate(const struct field_path *path, const char *other);
/* Number of the path's steps that `other` spells, when PATH_SAME or PATH_OUTSIDE. */
size_t path_steps_in(const struct field_path *path, const char *other);

#endif
