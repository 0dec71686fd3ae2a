/* Judging a store: the two superblocks, the table, and, for a scrub, every byte else.
 *
 * A store that a writer left without finishing is sound: its free blocks may hold anything, which is a note. In
 * one at rest they are zero. */
#include <stdlib.h>

#include "formats/caposst1/private.h"

enum { READ_BYTES = 256 * 1024 };

/* ---- the superblocks ---- */

static int check_pair(const struct store *store, const struct finding_sink *sink)
{
    static const char *const names[] = {"superblock", "copy"};
    const struct st1_pair *pair = &store->pair;
    const struct pair_copy *first = &pair->both.copies[0], *second = &pair->both.copies[1];
    for (uint64_t i = 0; i < 2; i++) {
        const struct pair_copy *copy = &pair->both.copies[i];
        uint64_t offset = i * ST1_BLOCK_BYTES;
        int rc = 0;
        if (copy->state == PAIR_TORN)
            rc = finding_report(sink, pair->both.ruling < 0 ? SEVERITY_ERROR : SEVERITY_NOTE, "st1-torn",
                                names[i], &offset, NULL,
                                "a power cut tore this sector; the other one counts, and nothing is lost");
        else if (copy->state != PAIR_GOOD)
            rc = finding_report(
                sink, SEVERITY_ERROR, "st1-superblock", names[i], &offset, NULL, "%s%s", copy->why.text,
                pair->both.ruling >= 0 && pair->both.ruling != (int)i ? "; the other one is good" : "");
        if (rc != 0)
            return rc;
    }
    if (pair->both.clean || first->state != PAIR_GOOD || second->state != PAIR_GOOD)
        return 0;
    const uint64_t offset = ST1_BLOCK_BYTES;
    if (!pair->supers[1].writing)
        return finding_report(sink, SEVERITY_ERROR, "st1-copy", "copy", &offset, NULL,
                              "it is neither the superblock's bytes nor marked as those before a change");
    return finding_report(
        sink, SEVERITY_NOTE, "st1-writing", "copy", &offset, NULL,
        "a writer is at work or was cut off: free blocks may hold what it wrote; the next writer "
        "clears them");
}

int st1_check_structures(struct store *store, const struct finding_sink *sink, struct plat_err *err)
{
    int rc = check_pair(store, sink);
    (void)err;
    if (rc == 0 && store->pair.both.ruling >= 0 && store->fault.class != 0)
        rc = finding_report(sink, SEVERITY_ERROR, "st1-table", store->fault.path,
                            store->fault.has_offset ? &store->fault.offset : NULL, NULL, "%s",
                            store->fault.text);
    return rc;
}

/* ---- every other byte ---- */

struct scrub {
    struct store *store;
    const struct finding_sink *sink;
    struct progress *progress;
    uint8_t *buf;
    size_t buf_bytes;
    struct plat_err *err;
    bool free_only; /* free blocks alone, also behind a writer */
};

static int report_nonzero(struct scrub *scrub, const char *id, const char *path, uint64_t at)
{
    return finding_report(scrub->sink, SEVERITY_ERROR, id, path, &at, NULL,
                          "bytes that nothing uses are not zero here");
}

/* Bytes of [start, start + bytes) that should be zero; the first that is not is the finding. */
static int scrub_zero(struct scrub *scrub, uint64_t start, uint64_t bytes, const char *id, const char *path)
{
    bool found = false;
    uint64_t at = 0;
    int rc = dev_find_nonzero(scrub->store->dev, (struct range){start, bytes}, &found, &at, scrub->err);
    progress_add(scrub->progress, bytes);
    return rc == 0 && found ? report_nonzero(scrub, id, path, at) : rc;
}

/* An object whose blocks fit the buffer takes one read. */
static int scrub_object(struct scrub *scrub, const struct store_object *object)
{
    struct hash_sha256_state state;
    uint8_t found[STORE_KEY_BYTES];
    char path[STORE_KEY_TEXT_BYTES + 1] = "/", text[STORE_KEY_TEXT_BYTES];
    const uint64_t padded = st1_blocks_of(object->size_bytes) * ST1_BLOCK_BYTES;
    uint64_t nonzero = UINT64_MAX;
    int rc = 0;
    hash_sha256_begin(&state);
    for (uint64_t at = 0; rc == 0 && at < padded;) {
        size_t n = padded - at < scrub->buf_bytes ? (size_t)(padded - at) : scrub->buf_bytes;
        rc = dev_read(scrub->store->dev, object->offset + at, scrub->buf, n, scrub->err);
        size_t content = object->size_bytes - at < n ? (size_t)(object->size_bytes - at) : n;
        if (rc != 0)
            return rc;
        hash_sha256_add(&state, scrub->buf, content);
        for (size_t i = content; i < n && nonzero == UINT64_MAX; i++)
            if (scrub->buf[i] != 0)
                nonzero = object->offset + at + i;
        at += n;
        progress_add(scrub->progress, n);
    }
    hash_sha256_end(&state, found);
    bool wrong =
        memcmp(found, object->key, sizeof found) != 0 && !store_skips(scrub->store->hooks, STORE_CHECK_DATA);
    bool loose = nonzero != UINT64_MAX && !store_skips(scrub->store->hooks, STORE_CHECK_PADDING);
    if (!wrong && !loose)
        return 0;
    store_key_text(object->key, path + 1);
    if (wrong) {
        store_key_text(found, text);
        rc = finding_report(scrub->sink, SEVERITY_ERROR, "st1-object", path, &object->offset, NULL,
                            "the bytes of this %s have the hash %s%s",
                            object->is_dead ? "deleted object" : "object", text,
                            object->is_dead ? "; nothing that is live is hurt, and compaction drops it" : "");
    }
    return rc == 0 && loose ? report_nonzero(scrub, "st1-padding", path, nonzero) : rc;
}

static bool looks_at_free(const struct scrub *scrub)
{
    return (scrub->store->pair.both.clean || scrub->free_only) &&
           !store_skips(scrub->store->hooks, STORE_CHECK_FREE);
}

static int scrub_free(struct scrub *scrub, uint64_t first_block, uint64_t end_block, const char *path)
{
    if (first_block >= end_block || !looks_at_free(scrub))
        return 0;
    return scrub_zero(scrub, first_block * ST1_BLOCK_BYTES, (end_block - first_block) * ST1_BLOCK_BYTES,
                      "st1-free", path);
}

/* The live area: rest of the table, objects in order, rest. */
static int scrub_live(struct scrub *scrub)
{
    struct store *store = scrub->store;
    const struct st1_super *super = &store->super;
    uint64_t table = super->areas[super->active].first_block * ST1_BLOCK_BYTES;
    uint64_t data = st1_data_block(super, super->active) * ST1_BLOCK_BYTES;
    uint64_t used = table + super->entry_count * ST1_ENTRY_BYTES;
    struct store_object object;
    int rc = 0;
    if (looks_at_free(scrub))
        rc = scrub_zero(scrub, used, data - used, "st1-free", "entries");
    for (uint64_t i = 0; rc == 0 && !scrub->free_only && i < store->table.count; i++) {
        store_entry(store, i, &object);
        if (!object.is_tombstone)
            rc = scrub_object(scrub, &object);
    }
    return rc == 0 ? scrub_free(scrub, super->cursor_block, st1_area_end(super, super->active), "free") : rc;
}

/* Blocks of the region that are in neither area and not in the hole. */
static int scrub_between(struct scrub *scrub)
{
    const struct st1_super *s = &scrub->store->super;
    const uint64_t front = s->areas[ST1_FRONT].first_block, front_end = st1_area_end(s, ST1_FRONT);
    const bool shadow = s->areas[ST1_SHADOW].blocks > 0;
    const uint64_t next = shadow ? s->areas[ST1_SHADOW].first_block : s->region_blocks;
    uint64_t hole = s->hole_blocks > 0 ? s->hole_first_block : s->region_blocks,
             hole_end = hole + s->hole_blocks;
    const uint64_t gaps[3][2] = {
        {2, front}, {front_end, next}, {shadow ? st1_area_end(s, ST1_SHADOW) : next, s->region_blocks}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof gaps / sizeof gaps[0]; i++) {
        uint64_t first = gaps[i][0], end = gaps[i][1];
        rc = scrub_free(scrub, first, end < hole ? end : hole, "free");
        if (rc == 0 && hole_end > hole)
            rc = scrub_free(scrub, first > hole_end ? first : hole_end, end, "free");
    }
    return rc;
}

/* In the order of what readers use: the live area, the other one, what is in neither. */
static int scrub_areas(struct scrub *scrub)
{
    const struct st1_super *super = &scrub->store->super;
    const uint32_t other = super->active == ST1_FRONT ? ST1_SHADOW : ST1_FRONT;
    int rc = scrub_live(scrub);
    if (rc == 0 && super->areas[other].blocks > 0)
        rc = scrub_free(scrub, super->areas[other].first_block, st1_area_end(super, other), "free");
    return rc == 0 ? scrub_between(scrub) : rc;
}

int st1_scrub(struct store *store, const struct finding_sink *sink, struct progress *progress,
              struct plat_err *err)
{
    uint8_t small[8 * ST1_BLOCK_BYTES];
    struct scrub scrub = {store, sink, progress, small, sizeof small, err, false};
    uint8_t *large = NULL;
    if (store->pair.both.ruling < 0)
        return 0;
    if (store->super.region_blocks > 2 * READ_BYTES / ST1_BLOCK_BYTES) {
        if ((large = malloc(READ_BYTES)) == NULL)
            return err_nomem(err, "reading a store");
        scrub.buf = large;
        scrub.buf_bytes = READ_BYTES;
    }
    int rc = scrub_areas(&scrub);
    free(large);
    return rc == 0 ? pair_unchanged(store->dev, 0, &store->pair.both, err) : rc;
}

static int stop_at_first(void *ctx, const struct finding *finding)
{
    (void)ctx;
    (void)finding;
    return PLAT_ESTOP;
}

int st1_free_is_clear(struct store *store, bool *ret, struct plat_err *err)
{
    const struct finding_sink sink = {.fn = stop_at_first};
    struct scrub scrub = {.store = store, .sink = &sink, .err = err, .free_only = true};
    int rc = scrub_areas(&scrub);
    if (rc == 0 || rc == PLAT_ESTOP)
        *ret = rc == 0;
    return rc == PLAT_ESTOP ? 0 : rc;
}
