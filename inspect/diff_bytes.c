/* Bytes that no structure covers and no file has: boot code, padding, free space, compressed blocks. Those of one path are
 * compared in their order, wherever they lie. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/diff.h"

enum { CHUNK_BYTES = 1 << 16 };

/* The pieces of one path on one side, as one sequence of bytes. */
struct sequence {
    struct records *set;
    struct plat_dev *dev;
    struct record_view next; /* the record that begins the next sequence, or the next piece of this one */
    struct strbuf key;
    bool there;         /* this side has the path at hand */
    struct range place; /* what is left of the piece at hand */
    uint64_t total;     /* bytes so far */
    uint64_t first_start;
    struct strbuf path;
    struct picture_piece piece;
};
struct tally {
    uint64_t differing, first; /* bytes, and the position of the first one */
    struct range where[DIFF_SIDES];
};

static int begin(struct sequence *sequence, struct plat_err *err)
{
    picture_piece(&sequence->next, &sequence->piece);
    sequence->there = true;
    sequence->place = sequence->piece.place;
    sequence->total = 0;
    sequence->first_start = sequence->place.start;
    strbuf_truncate(&sequence->key, 0);
    strbuf_add(&sequence->key, sequence->next.key, sequence->next.key_bytes);
    strbuf_truncate(&sequence->path, 0);
    strbuf_puts(&sequence->path, sequence->piece.path);
    sequence->piece.path = strbuf_str(&sequence->path);
    if (sequence->key.failed || sequence->path.failed)
        return err_nomem(err, "comparing bytes");
    return records_next(sequence->set, &sequence->next, err);
}

/* To the next piece of the same path, when the one at hand is used up. */
static int refill(struct sequence *sequence, struct plat_err *err)
{
    const struct record_view key = {.key = strbuf_str(&sequence->key), .key_bytes = sequence->key.len};
    struct picture_piece piece;
    if (!sequence->there || sequence->place.bytes > 0 || record_compare(&key, &sequence->next) != 0)
        return 0;
    picture_piece(&sequence->next, &piece);
    sequence->place = piece.place;
    return records_next(sequence->set, &sequence->next, err);
}

static int read_some(struct sequence *sequence, uint8_t *buf, size_t n, uint64_t *ret_at,
                     struct plat_err *err)
{
    *ret_at = sequence->place.start;
    if (sequence->place.bytes == 0) { /* the shorter one goes on with zeros */
        memset(buf, 0, n);
        return 0;
    }
    int rc = dev_read(sequence->dev, sequence->place.start, buf, n, err);
    sequence->place.start += n;
    sequence->place.bytes -= n;
    sequence->total += n;
    return rc;
}

/* How far both have nothing but holes. */
static uint64_t hole_bytes(const struct sequence *sequence, uint64_t most)
{
    struct range data;
    if (sequence->place.bytes == 0)
        return most;
    if (!dev_next_data(sequence->dev, sequence->place.start, &data))
        return sequence->place.bytes < most ? sequence->place.bytes : most;
    const uint64_t hole = data.start > sequence->place.start ? data.start - sequence->place.start : 0;
    const uint64_t room = sequence->place.bytes < most ? sequence->place.bytes : most;
    return hole < room ? hole : room;
}

static void skip(struct sequence *sequence, uint64_t n)
{
    if (sequence->place.bytes == 0)
        return;
    sequence->place.start += n;
    sequence->place.bytes -= n;
    sequence->total += n;
}

static int compare_some(struct sequence sequences[DIFF_SIDES], uint8_t *buf, uint64_t *position,
                        struct tally *tally, struct plat_err *err)
{
    uint64_t most = UINT64_MAX, at[DIFF_SIDES];
    for (int side = 0; side < DIFF_SIDES; side++)
        if (sequences[side].place.bytes > 0 && sequences[side].place.bytes < most)
            most = sequences[side].place.bytes;
    const uint64_t hole = hole_bytes(&sequences[DIFF_B], hole_bytes(&sequences[DIFF_A], most));
    if (hole > 0) {
        skip(&sequences[DIFF_A], hole);
        skip(&sequences[DIFF_B], hole);
        *position += hole;
        return 0;
    }
    const size_t n = most < CHUNK_BYTES ? (size_t)most : (size_t)CHUNK_BYTES;
    for (int side = 0; side < DIFF_SIDES; side++) {
        int rc = read_some(&sequences[side], buf + (size_t)side * CHUNK_BYTES, n, &at[side], err);
        if (rc != 0)
            return rc;
    }
    const bool same = memcmp(buf, buf + CHUNK_BYTES, n) == 0;
    for (size_t i = 0; !same && i < n; i++) {
        if (buf[i] == buf[CHUNK_BYTES + i])
            continue;
        if (tally->differing++ == 0) {
            tally->first = *position + i;
            for (int side = 0; side < DIFF_SIDES; side++)
                tally->where[side] = (struct range){at[side] + i, 1};
        }
    }
    *position += n;
    return 0;
}

/* What is compressed differs in its bytes when what it holds does; that has been said. */
static bool explained(const struct diff *diff, const struct sequence *sequence, size_t layer, int side)
{
    if (layer == SIZE_MAX || sequence->piece.layer == SIZE_MAX || diff->seen[layer] == 0)
        return false;
    const struct stack_layer *of = &diff->images[side].stack->layers[sequence->piece.layer];
    return of->driver != NULL && of->driver->pieces != NULL &&
           (sequence->piece.kind == EXTENT_DATA || sequence->piece.kind == EXTENT_METADATA);
}

static int report(struct diff *diff, const struct sequence sequences[DIFF_SIDES], const struct tally *tally)
{
    const int side = sequences[DIFF_A].there ? DIFF_A : DIFF_B;
    const struct sequence *main = &sequences[side];
    const size_t own = main->piece.layer;
    const size_t layer = own == SIZE_MAX || side == DIFF_A ? own : diff->layer_of_b[own];
    const bool fills = main->piece.kind != EXTENT_DATA && main->piece.kind != EXTENT_METADATA;
    char texts[DIFF_SIDES][96], places[DIFF_SIDES][24];
    struct difference difference = {.part = DIFF_BYTES,
                                    .path = main->piece.path[0] != '\0' ? main->piece.path : "image"};
    if (tally->differing == 0 && (fills || sequences[DIFF_A].total == sequences[DIFF_B].total))
        return 0;
    if (explained(diff, main, layer, side))
        return 0;
    for (int i = 0; i < DIFF_SIDES; i++) {
        if (!sequences[i].there)
            continue;
        (void)snprintf(texts[i], sizeof texts[i], "%" PRIu64 " byte of %s", sequences[i].total,
                       extent_kind_name(main->piece.kind));
        (void)snprintf(places[i], sizeof places[i], "0x%" PRIx64,
                       tally->differing > 0 ? tally->where[i].start : sequences[i].first_start);
        difference.value[i] = texts[i];
        difference.place[i] = places[i];
        difference.bytes[i] = tally->differing > 0 ? &tally->where[i] : NULL;
    }
    difference.kind = !sequences[DIFF_A].there   ? DIFF_ADDED
                      : !sequences[DIFF_B].there ? DIFF_REMOVED
                                                 : DIFF_CHANGED;
    if (difference.kind == DIFF_CHANGED && tally->differing > 0)
        (void)snprintf(texts[DIFF_B] + strlen(texts[DIFF_B]), sizeof texts[DIFF_B] - strlen(texts[DIFF_B]),
                       ", %" PRIu64 " of them other", tally->differing);
    return diff_report_in(diff, layer, &difference);
}

static int compare_path(struct diff *diff, struct sequence sequences[DIFF_SIDES], uint8_t *buf,
                        struct plat_err *err)
{
    struct tally tally = {0};
    uint64_t position = 0;
    int rc = 0;
    while (rc == 0 && (sequences[DIFF_A].place.bytes > 0 || sequences[DIFF_B].place.bytes > 0)) {
        rc = compare_some(sequences, buf, &position, &tally, err);
        for (int side = 0; rc == 0 && side < DIFF_SIDES; side++)
            rc = refill(&sequences[side], err);
    }
    return rc == 0 ? report(diff, sequences, &tally) : rc;
}

int diff_bytes(struct diff *diff, struct plat_err *err)
{
    struct sequence sequences[DIFF_SIDES] = {{0}};
    uint8_t *buf = malloc((size_t)DIFF_SIDES * CHUNK_BYTES);
    int rc = buf == NULL ? err_nomem(err, "comparing bytes") : 0;
    for (int side = 0; rc == 0 && side < DIFF_SIDES; side++) {
        sequences[side].set = diff->pictures[side].pieces;
        sequences[side].dev = diff->images[side].dev;
        rc = records_next(sequences[side].set, &sequences[side].next, err);
    }
    while (rc == 0 && (sequences[DIFF_A].next.key != NULL || sequences[DIFF_B].next.key != NULL)) {
        const int order = record_compare(&sequences[DIFF_A].next, &sequences[DIFF_B].next);
        for (int side = 0; rc == 0 && side < DIFF_SIDES; side++) {
            sequences[side].there = false;
            sequences[side].total = 0;
            sequences[side].place.bytes = 0;
            if (side == DIFF_A ? order <= 0 : order >= 0)
                rc = begin(&sequences[side], err);
        }
        if (rc == 0)
            rc = compare_path(diff, sequences, buf, err);
    }
    for (int side = 0; side < DIFF_SIDES; side++) {
        strbuf_free(&sequences[side].key);
        strbuf_free(&sequences[side].path);
    }
    free(buf);
    return rc;
}
