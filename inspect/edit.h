/* Editing fields: changes are made in memory, what follows from them is computed, the result is judged, and only then
 * is anything written.
 *
 *   edit_open      the image, and an overlay over it
 *   edit_set       a field gets a value, in the overlay
 *   edit_seal      derived fields, mirrors and what "follows" get theirs, in passes until nothing moves
 *   edit_judge     what verification finds now and did not find before
 *   edit_show      each field that differs, old and new
 *   edit_write     in place with an undo file (lib/io/undo.h); edit_write_to: to a new file
 *
 * A derived value is rewritten when what it is computed from has changed: what was wrong before, and has nothing to do
 * with the edit, stays as it was. The checksums of damaged structures do not become right in passing. */
#ifndef PLAT_INSPECT_EDIT_H
#define PLAT_INSPECT_EDIT_H

#include "inspect/open.h"
#include "inspect/select.h"

enum {
    EDIT_MAX_PASSES = 40,      /* a checksum tree has fewer levels */
    EDIT_MAX_TOUCHED = 1 << 20 /* structures */
};

/* One layer that a layout describes, before and after. */
struct edit_layer {
    char prefix[TABLE_NAME_BYTES];
    struct range place;                      /* in the image */
    struct image *before, *after;            /* over the file, over the overlay */
    struct plat_dev *before_dev, *after_dev; /* windows; NULL: the layer is the whole image */
};
enum edit_why { EDIT_SET, EDIT_DERIVED, EDIT_MIRROR, EDIT_FOLLOWS };
/* A structure in which something was changed. */
struct edit_touched {
    char *path;   /* in the image */
    size_t layer; /* index */
    const struct type *type;
    struct range place; /* in the image */
    uint64_t index;
    enum edit_why why;
};
/* Paths, sorted bytewise. */
struct edit_kept {
    const char **paths;
    size_t n;
};
struct edit {
    const char *name;
    const struct inspect_options *options;
    struct plat_dev *file, *overlay;
    struct stack *before; /* over the file */
    struct edit_layer *layers;
    size_t n_layers;
    struct edit_touched *touched;
    size_t n_touched, cap_touched;
    struct range *set; /* bytes that edit_set wrote: derived ones among them are not computed again */
    size_t n_set;
    bool no_seal, borrows_file;
    const struct edit_kept *kept; /* structures that sealing leaves alone; NULL: none */
    struct strbuf path;           /* of what is at hand */
};

int edit_open(const char *name, const struct inspect_options *options, bool writable, struct edit *ret,
              struct plat_err *err);
/* The same over a device that stays the caller's, and may hold nothing that is recognised. */
int edit_open_dev(struct plat_dev *dev, const char *name, const struct inspect_options *options,
                  struct edit *ret, struct plat_err *err);
void edit_close(struct edit *edit);
/* "PATH=VALUE"; paths are those of the image as it is in the file. PLAT_EINVALID when the value does not fit, or PATH is derived and no_seal is not set. */
int edit_set(struct edit *edit, const char *assignment, struct plat_err *err);
/* Only what depends on something that was set; `all`: whatever is stale, under `path` (NULL: everywhere). */
int edit_seal(struct edit *edit, bool all, const struct field_path *path, struct plat_err *err);

/* ---- for the parts of edit ---- */

/* Writes bytes of a structure into the overlay, and remembers the structure. `inst` is relative to its layer. */
int edit_put(struct edit *edit, const struct edit_layer *layer, const struct inst *inst, struct range place,
             const uint8_t *bytes, enum edit_why why, struct plat_err *err);
/* The same with all bytes of the structure, `bytes`, of which those at `place` have changed; and, unless no_seal, what is
 * derived inside it: a reader that believes a checksum would not find the structure otherwise. */
int edit_change(struct edit *edit, const struct edit_layer *layer, const struct inst *inst,
                struct range place, uint8_t *bytes, struct plat_err *err);
/* The layer that an instance belongs to; NULL: none that was there before. */
const struct edit_layer *edit_layer_of(const struct edit *edit, const struct image *image);
/* Full path of a structure; valid until the next call. */
const char *edit_path(struct edit *edit, const struct edit_layer *layer, const char *path);
/* Layers that can be recognised now and could not before: they are sealed, too. */
int edit_adopt(struct edit *edit, bool *ret_any, struct plat_err *err);
/* The derived fields of one structure whose bytes (`bytes`, writable, inst->size_bytes of them) differ from what is in the
 * file: into the bytes and the overlay. *ret_moved: something was written. */
int edit_seal_inst(struct edit *edit, const struct edit_layer *layer, const struct inst *inst, uint8_t *bytes,
                   bool all, bool *ret_moved, struct plat_err *err);

/* ---- judging, showing, writing ---- */

/* Calls fn for each error that the edited image has and the image before had not; `data`: contents are read, too. A layer
 * that is no longer recognised is one. */
int edit_judge(struct edit *edit, finding_fn fn, void *ctx, uint64_t *ret_errors, struct plat_err *err);

/* Tells one finding from another. */
uint64_t edit_fingerprint(const struct finding *finding);

struct edit_shown {
    const char *path;
    enum edit_why why;
    struct value before, after;
};
/* Each field that differs, structures in the order in which they were touched. */
int edit_show(struct edit *edit, int (*fn)(void *ctx, const struct edit_shown *shown), void *ctx,
              struct plat_err *err);
/* PLAT_EINVALID when there is an undo file already. */
int edit_write(struct edit *edit, const char *undo_path, struct plat_err *err);
int edit_write_to(struct edit *edit, const char *path, struct plat_err *err);

#endif
