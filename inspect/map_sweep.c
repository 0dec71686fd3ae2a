/* Claims to rows.
 *
 * The sweep goes through the claims by where they begin and keeps those that reach over the position it has come to.
 * Between two places where one begins or ends nothing changes: that is a segment, and segments alike that follow one
 * another are a row. Of a great many claims on one byte those that end last are kept, so that what is covered shows as
 * covered; the others are counted. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/map.h"

enum { ACTIVE = 64, FINDING_TEXT_BYTES = 512, PATH_SHOWN_BYTES = 160 };

struct active {
    struct claim claim;
    struct strbuf path;
};
/* A row that may go on. */
struct pending {
    bool any;
    struct map_row row;
    struct strbuf path;
    struct strbuf others[MAP_OTHERS];
};
struct sweep {
    struct map *map;
    map_row_fn fn;
    void *ctx;
    uint64_t at; /* everything before it is done */
    struct active active[ACTIVE];
    size_t n_active;
    uint64_t dropped, dropped_end; /* claims that there was no room for; the last of them ends here */
    struct pending pending;
    struct pending overlap; /* rows of one overlap, for one finding */
    struct plat_err *err;
};

/* ---- findings ---- */

static int overlap_report(struct sweep *sweep)
{
    struct pending *overlap = &sweep->overlap;
    char text[FINDING_TEXT_BYTES], size[16];
    if (!overlap->any)
        return 0;
    overlap->any = false;
    format_size(overlap->row.place.bytes, size);
    struct strbuf other = {0};
    strbuf_visible(&other, strbuf_str(&overlap->others[0]), overlap->others[0].len);
    (void)snprintf(text, sizeof text,
                   "%s at 0x%" PRIx64 " to 0x%" PRIx64 " belong to %.*s%s as well; plat verify says more",
                   size, overlap->row.place.start, overlap->row.place.start + overlap->row.place.bytes - 1,
                   PATH_SHOWN_BYTES, strbuf_str(&other),
                   overlap->row.n_others + overlap->row.n_more > 1 ? " and others" : "");
    strbuf_free(&other);
    const struct map_finding finding = {.severity = SEVERITY_ERROR,
                                        .id = "overlap",
                                        .path = strbuf_str(&overlap->path),
                                        .has_place = true,
                                        .place = overlap->row.place,
                                        .text = text};
    return map_report(sweep->map, &finding);
}

static bool same_text(const struct strbuf *a, const struct strbuf *b)
{
    return strcmp(strbuf_str(a), strbuf_str(b)) == 0;
}

static void set_text(struct strbuf *to, const char *text)
{
    strbuf_truncate(to, 0);
    strbuf_puts(to, text);
}

/* One overlap makes one finding: of two files it is as long as both are the same; between layers, such as partitions that
 * reach into one another, as long as it goes on. */
static int overlap_add(struct sweep *sweep, const struct pending *row, bool same_layer)
{
    struct pending *overlap = &sweep->overlap;
    const bool goes_on =
        overlap->any && overlap->row.place.start + overlap->row.place.bytes == row->row.place.start &&
        overlap->row.shared == same_layer && /* borrowed: is it within one layer? */
        (!same_layer ||
         (same_text(&overlap->path, &row->path) && same_text(&overlap->others[0], &row->others[0])));
    if (goes_on) {
        overlap->row.place.bytes += row->row.place.bytes;
        return 0;
    }
    int rc = overlap_report(sweep);
    set_text(&overlap->path, strbuf_str(&row->path));
    set_text(&overlap->others[0], strbuf_str(&row->others[0]));
    overlap->row = row->row;
    overlap->row.shared = same_layer;
    overlap->any = true;
    return rc;
}

static int unclaimed_check(struct sweep *sweep, struct map_row *row)
{
    char text[FINDING_TEXT_BYTES];
    int rc =
        dev_find_nonzero(sweep->map->image->dev, row->place, &row->nonzero, &row->nonzero_at, sweep->err);
    if (rc != 0 || !row->nonzero)
        return rc;
    (void)snprintf(text, sizeof text,
                   "bytes 0x%" PRIx64 " to 0x%" PRIx64
                   " belong to nothing, but are not all zero: the first is at 0x%" PRIx64,
                   row->place.start, row->place.start + row->place.bytes - 1, row->nonzero_at);
    const struct map_finding finding = {.severity = SEVERITY_WARNING,
                                        .id = "unclaimed",
                                        .path = row->path,
                                        .has_place = true,
                                        .place = row->place,
                                        .text = text};
    return map_report(sweep->map, &finding);
}

/* ---- rows ---- */

static int pending_flush(struct sweep *sweep)
{
    struct pending *pending = &sweep->pending;
    struct map *map = sweep->map;
    struct map_row *row = &pending->row;
    int rc = 0;
    if (!pending->any)
        return 0;
    pending->any = false;
    row->path = strbuf_str(&pending->path);
    for (size_t i = 0; i < row->n_others; i++)
        row->others[i] = strbuf_str(&pending->others[i]);
    if (row->kind == EXTENT_UNCLAIMED)
        rc = unclaimed_check(sweep, row);
    if (rc != 0)
        return rc;
    const size_t layer = row->layer == CLAIM_NO_LAYER ? map->image->stack->n_layers : row->layer;
    map->totals.bytes[row->kind] += row->place.bytes;
    map->totals.rows[row->kind]++;
    map->layers[layer].bytes[row->kind] += row->place.bytes;
    map->layers[layer].rows[row->kind]++;
    return sweep->fn(sweep->ctx, row);
}

static bool is_file(const struct map *map, const struct claim *claim)
{
    const char *prefix = map->image->stack->layers[claim->layer].prefix;
    const char *rest = claim->path + strlen(prefix);
    return prefix[0] == '\0' ? *rest == '/' : rest[0] == ':' && rest[1] == '/';
}

/* May all of these have the same bytes? */
static bool may_share(const struct sweep *sweep)
{
    const struct map *map = sweep->map;
    const uint32_t layer = sweep->active[0].claim.layer;
    if (layer == CLAIM_NO_LAYER || map->image->stack->layers[layer].driver == NULL ||
        !map->image->stack->layers[layer].driver->shares_contents)
        return false;
    for (size_t i = 0; i < sweep->n_active; i++) {
        const struct claim *claim = &sweep->active[i].claim;
        if (claim->layer != layer || claim->kind != EXTENT_DATA || !is_file(map, claim))
            return false;
    }
    return true;
}

static bool continues(const struct sweep *sweep, struct range place, const struct active *owner)
{
    const struct map_row *row = &sweep->pending.row;
    if (!sweep->pending.any || row->place.start + row->place.bytes != place.start || row->n_others > 0 ||
        sweep->n_active > 1)
        return false;
    if (owner == NULL)
        return row->path == NULL;
    return row->path != NULL && row->kind == owner->claim.kind && row->layer == owner->claim.layer &&
           strcmp(strbuf_str(&sweep->pending.path), owner->claim.path) == 0 &&
           (row->kind != EXTENT_DATA || row->position + row->place.bytes ==
                                            owner->claim.position + (place.start - owner->claim.place.start));
}

/* A segment inside a window. */
static int segment(struct sweep *sweep, struct range place)
{
    struct pending *pending = &sweep->pending;
    const struct active *owner = sweep->n_active > 0 ? &sweep->active[0] : NULL;
    if (continues(sweep, place, owner)) {
        pending->row.place.bytes += place.bytes;
        return 0;
    }
    int rc = pending_flush(sweep);
    pending->row = (struct map_row){.place = place, .kind = EXTENT_UNCLAIMED, .layer = CLAIM_NO_LAYER};
    pending->any = true;
    set_text(&pending->path, owner == NULL ? "" : owner->claim.path);
    if (rc != 0 || owner == NULL)
        return rc;
    struct map_row *row = &pending->row;
    row->path = owner->claim.path; /* not NULL: somebody's */
    row->kind = owner->claim.kind;
    row->layer = owner->claim.layer;
    row->position =
        row->kind == EXTENT_DATA ? owner->claim.position + (place.start - owner->claim.place.start) : 0;
    bool failed = pending->path.failed, same_layer = true;
    for (size_t i = 1; i < sweep->n_active; i++) {
        same_layer = same_layer && sweep->active[i].claim.layer == row->layer;
        if (row->n_others == MAP_OTHERS) {
            row->n_more++;
            continue;
        }
        set_text(&pending->others[row->n_others], sweep->active[i].claim.path);
        failed = failed || pending->others[row->n_others++].failed;
    }
    row->n_more += place.start < sweep->dropped_end ? sweep->dropped : 0;
    if (failed)
        return err_nomem(sweep->err, "making a map");
    row->shared = row->n_others > 0 && may_share(sweep);
    return row->n_others == 0 || row->shared ? 0 : overlap_add(sweep, pending, same_layer);
}

/* The same, cut to the windows. */
static int segment_cut(struct sweep *sweep, struct range place)
{
    const struct map *map = sweep->map;
    const uint64_t end = place.start + place.bytes;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < map->n_windows; i++) {
        const struct range window = map->windows[i];
        const uint64_t from = place.start > window.start ? place.start : window.start;
        const uint64_t to = end < window.start + window.bytes ? end : window.start + window.bytes;
        if (from < to)
            rc = segment(sweep, (struct range){from, to - from});
    }
    return rc;
}

/* ---- claims ---- */

static uint64_t claim_end(const struct active *active)
{
    return active->claim.place.start + active->claim.place.bytes;
}

static void drop(struct sweep *sweep, size_t i)
{
    struct strbuf path = sweep->active[i].path; /* kept for the next one */
    memmove(&sweep->active[i], &sweep->active[i + 1], (sweep->n_active - i - 1) * sizeof sweep->active[0]);
    sweep->active[--sweep->n_active].path = path;
}

static int advance(struct sweep *sweep, uint64_t to)
{
    while (sweep->at < to) {
        uint64_t next = to;
        for (size_t i = 0; i < sweep->n_active; i++)
            next = claim_end(&sweep->active[i]) < next ? claim_end(&sweep->active[i]) : next;
        int rc = segment_cut(sweep, (struct range){sweep->at, next - sweep->at});
        if (rc != 0)
            return rc;
        sweep->at = next;
        for (size_t i = sweep->n_active; i-- > 0;)
            if (claim_end(&sweep->active[i]) == next)
                drop(sweep, i);
        if (next >= sweep->dropped_end)
            sweep->dropped = 0;
    }
    return 0;
}

/* Makes room for one more: what ends first goes. False: that is the new one itself. */
static bool make_room(struct sweep *sweep, const struct claim *claim)
{
    size_t least = 0;
    uint64_t end = claim->place.start + claim->place.bytes;
    for (size_t i = 1; i < sweep->n_active; i++)
        if (claim_end(&sweep->active[i]) < claim_end(&sweep->active[least]))
            least = i;
    const bool old = claim_end(&sweep->active[least]) < end;
    end = old ? claim_end(&sweep->active[least]) : end;
    sweep->dropped++;
    sweep->dropped_end = end > sweep->dropped_end ? end : sweep->dropped_end;
    if (old)
        drop(sweep, least);
    return old;
}

static int on_claim(void *ctx, const struct claim *claim)
{
    struct sweep *sweep = ctx;
    if (claim->place.start + claim->place.bytes <= sweep->at)
        return 0; /* before the first window */
    int rc = advance(sweep, claim->place.start);
    if (rc != 0 || (sweep->n_active == ACTIVE && !make_room(sweep, claim)))
        return rc;
    struct strbuf path = sweep->active[sweep->n_active].path;
    size_t i = sweep->n_active++;
    for (; i > 0 && claim_rank(sweep->active[i - 1].claim.kind) > claim_rank(claim->kind); i--)
        sweep->active[i] = sweep->active[i - 1];
    set_text(&path, claim->path);
    sweep->active[i] = (struct active){.claim = *claim, .path = path};
    sweep->active[i].claim.path = strbuf_str(&path);
    return path.failed ? err_nomem(sweep->err, "making a map") : 0;
}

static void sweep_free(struct sweep *sweep)
{
    for (size_t i = 0; i < ACTIVE; i++)
        strbuf_free(&sweep->active[i].path);
    strbuf_free(&sweep->pending.path);
    strbuf_free(&sweep->overlap.path);
    for (size_t i = 0; i < MAP_OTHERS; i++) {
        strbuf_free(&sweep->pending.others[i]);
        strbuf_free(&sweep->overlap.others[i]);
    }
    free(sweep);
}

int map_sweep(struct map *map, map_row_fn fn, void *ctx, struct plat_err *err)
{
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (sweep == NULL)
        return err_nomem(err, "making a map");
    const struct range last = map->windows[map->n_windows - 1];
    *sweep = (struct sweep){.map = map, .fn = fn, .ctx = ctx, .err = err, .at = map->windows[0].start};
    int rc = claims_each(map->claims, on_claim, sweep, err);
    if (rc == 0)
        rc = advance(sweep, last.start + last.bytes);
    if (rc == 0)
        rc = pending_flush(sweep);
    if (rc == 0)
        rc = overlap_report(sweep);
    if (rc != 0 && map->err.class != 0 && err != NULL)
        *err = map->err;
    sweep_free(sweep);
    return rc;
}
