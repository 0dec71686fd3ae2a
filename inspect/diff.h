/* plat diff: what two images differ in.
 *
 *   diff.c          the command; which layer of the one is which of the other; whether the bytes are equal at all
 *   diff_structs.c  structures and their fields
 *   diff_files.c    files: added, removed, moved, changed
 *   diff_bytes.c    what neither structures nor files have
 *   diff_show.c     text and JSON
 *   diff_fold.c     text: what is alike is counted
 *
 * Each part is a merge of two sorted pictures (picture.h). */
#ifndef PLAT_INSPECT_DIFF_H
#define PLAT_INSPECT_DIFF_H

#include "inspect/picture.h"

enum diff_part { DIFF_IMAGE, DIFF_STRUCTURES, DIFF_FILES, DIFF_BYTES, DIFF_PARTS };
enum diff_kind { DIFF_CHANGED, DIFF_ADDED, DIFF_REMOVED, DIFF_MOVED, DIFF_KINDS };
enum { DIFF_A, DIFF_B, DIFF_SIDES = RECORDS_SIDES };

struct difference {
    enum diff_part part;
    enum diff_kind kind;
    const char *path;              /* of what differs; in A, unless it is in B alone */
    const char *path_b;            /* where B has it, when that is elsewhere; NULL: there */
    const char *value[DIFF_SIDES]; /* as people read it; NULL: none */
    const char *place[DIFF_SIDES]; /* "0x238"; NULL: none to tell */
    const struct range
        *bytes[DIFF_SIDES]; /* the same as numbers, where it is in the image itself; else NULL */
};

struct diff {
    const struct cli *cli;
    struct inspect_image images[DIFF_SIDES];
    struct picture pictures[DIFF_SIDES];
    struct picture_filter filter;
    bool part;                /* behind -p */
    const size_t *layer_of_b; /* index in A by index in B; SIZE_MAX: none */
    uint64_t *seen;           /* differences by layer of A, ignored ones, too */
    uint64_t counts[DIFF_PARTS][DIFF_KINDS];
    uint64_t shown, max, ignored, elsewhere;
    bool json, all, any;
    enum diff_part heading;  /* of what was shown last */
    uint64_t folded;         /* alike, not shown */
    struct diff_fold *folds; /* NULL: none yet */
    struct strbuf out;
};

/* Counts it, and shows it unless it is ignored or one too many. */
int diff_report(struct diff *diff, const struct difference *difference);
/* Counts it for the layer (index in A, or SIZE_MAX) and reports it. */
int diff_report_in(struct diff *diff, size_t layer, const struct difference *difference);
/* Is it like so many that were shown that it is to be counted only? */
bool diff_folds(struct diff *diff, const struct difference *difference);
/* Tells how many there were, and forgets them. */
void diff_folds_end(struct diff *diff);
uint64_t diff_total(const struct diff *diff);
void diff_begin(struct diff *diff);
int diff_end(struct diff *diff, bool equal, struct plat_err *err);

int diff_structs(struct diff *diff, struct plat_err *err);
int diff_files(struct diff *diff, struct plat_err *err);
int diff_bytes(struct diff *diff, struct plat_err *err);

#endif
