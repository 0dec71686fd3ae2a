/* plat map: every byte of an image with its owner.
 *
 *   map_collect.c  walks all layers, collects claims (claims.h)
 *   map_sweep.c    claims to rows: ascending, without gaps, without overlaps, with what is wrong
 *   map_text.c     the table; map_json.c: the same for programs; map_html.c: one page
 *   map_at.c       what one byte is, in every layer; map_of.c: where a file or field lies
 *
 * A row goes to whoever claims its bytes. Where several do, metadata goes before data, padding, free space and unclaimed
 * bytes, and whoever begins first before the others, which are named: files of a format whose files may share blocks (struct fs_driver, shares_contents) are no fault, all else is. */
#ifndef PLAT_INSPECT_MAP_H
#define PLAT_INSPECT_MAP_H

#include "inspect/claims.h"
#include "inspect/open.h"

enum {
    MAP_OTHERS = 4,      /* owners that a row names beside the first */
    MAP_FINDINGS = 1000, /* kept; all are counted */
    MAP_WINDOWS = FS_SHARE_RANGES
};

struct map_row {
    struct range place;
    enum extent_kind kind;
    const char *path;  /* "": nobody claims it, not even as unclaimed */
    uint32_t layer;    /* CLAIM_NO_LAYER: none */
    uint64_t position; /* data: of its first byte, as in struct extent */
    const char *others[MAP_OTHERS];
    size_t n_others;
    uint64_t n_more; /* claims beyond those */
    bool shared;     /* by files whose format allows it */
    bool nonzero;    /* unclaimed, and not all of it is zero: the first such byte is ... */
    uint64_t nonzero_at;
};
struct map_finding {
    enum severity severity;
    const char *id; /* "unclaimed", "overlap", or of the walk: "unreadable", ... */
    const char *path;
    struct range place; /* bytes 0: none is known */
    bool has_place;
    const char *text;
};
struct map_totals {
    uint64_t bytes[EXTENT_KINDS], rows[EXTENT_KINDS];
};
struct map {
    const struct inspect_image *image;
    struct range windows[MAP_WINDOWS]; /* what is mapped: the image, or what -p chose of it; ascending */
    size_t n_windows;
    struct claims *claims;
    struct map_totals totals;  /* of the rows so far */
    struct map_totals *layers; /* by index in the stack; behind the last: of no layer */
    struct map_finding findings[MAP_FINDINGS];
    size_t n_findings;
    uint64_t n_left_off; /* findings that were not kept */
    struct arena arena;
    struct plat_err err; /* what a callback found wrong */
};

/* Walks the image. Free with map_close, also after a failure. */
int map_open(const struct inspect_image *image, bool part, struct map *ret, struct plat_err *err);
void map_close(struct map *map);
/* Keeps a copy. */
int map_report(struct map *map, const struct map_finding *finding);
uint64_t map_bytes(const struct map *map);
/* Calls fn for each row in ascending order. Findings are complete when it returns; totals, too. Once. */
typedef int (*map_row_fn)(void *ctx, const struct map_row *row);
int map_sweep(struct map *map, map_row_fn fn, void *ctx, struct plat_err *err);

#endif
