/* Sorting claims: runs in memory, runs in a file, a merge of all of them. */
#include "inspect/claims.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/tree/tree.h"

enum { READ_BYTES = 32 << 10, WRITE_BYTES = 256 << 10 };

/* A claim at rest: in memory `text` is where its path begins in claims.text; in the file the path follows. */
struct record {
    uint64_t start, bytes, position, number, text;
    uint32_t layer, path_bytes;
    uint32_t kind, unused;
};
struct claims {
    struct record *list;
    const struct record **order; /* of list, once it is sorted */
    size_t n, cap;
    char *text;
    size_t n_text;
    uint64_t n_added;
    bool sorted;
    int fd; /* -1: nothing was spilled */
    uint64_t file_bytes;
    struct range runs[CLAIMS_RUNS];
    size_t n_runs;
};

int claims_open(size_t in_memory, struct claims **ret, struct plat_err *err)
{
    struct claims *claims = calloc(1, sizeof *claims);
    if (claims != NULL) {
        claims->fd = -1;
        claims->cap = in_memory == 0 ? CLAIMS_IN_MEMORY : in_memory;
        claims->list = calloc(claims->cap, sizeof *claims->list);
        claims->order = calloc(claims->cap, sizeof(const struct record *));
        claims->text = malloc(CLAIMS_TEXT_BYTES);
    }
    if (claims == NULL || claims->list == NULL || claims->order == NULL || claims->text == NULL) {
        claims_close(claims);
        return err_nomem(err, "collecting ranges");
    }
    *ret = claims;
    return 0;
}

void claims_close(struct claims *claims)
{
    if (claims == NULL)
        return;
    if (claims->fd >= 0)
        (void)close(claims->fd);
    free(claims->text);
    free(claims->order);
    free(claims->list);
    free(claims);
}

/* ---- order ---- */

int claim_rank(enum extent_kind kind)
{
    static const int ranks[EXTENT_KINDS] = {[EXTENT_METADATA] = 0,
                                            [EXTENT_DATA] = 1,
                                            [EXTENT_PADDING] = 2,
                                            [EXTENT_FREE] = 3,
                                            [EXTENT_UNCLAIMED] = 4};
    return ranks[kind];
}

static int compare(const struct record *a, const struct record *b)
{
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->kind != b->kind)
        return claim_rank((enum extent_kind)a->kind) - claim_rank((enum extent_kind)b->kind);
    return a->number < b->number ? -1 : a->number > b->number;
}

static int compare_pointers(const void *a, const void *b)
{
    return compare(*(const struct record *const *)a, *(const struct record *const *)b);
}

static void sort(struct claims *claims)
{
    for (size_t i = 0; i < claims->n; i++)
        claims->order[i] = &claims->list[i];
    if (claims->n > 0)
        qsort(claims->order, claims->n, sizeof(const struct record *), compare_pointers);
    claims->sorted = true;
}

/* ---- reading runs ---- */

/* Where the next record comes from: the memory, or a run of the file. */
struct source {
    struct claims *claims;
    size_t next;     /* in memory: in claims->order */
    bool in_memory;  /* else: */
    struct range at; /* of the run, what is not in `buf` yet */
    uint8_t *buf;
    size_t used, filled, cap;
    struct record record; /* the record at hand */
    const char *path;
    bool ended;
};

/* At least n bytes of the run in buf, from `used` on. */
static int source_fill(struct source *source, size_t n, struct plat_err *err)
{
    if (source->filled - source->used >= n)
        return 0;
    if (source->used > 0)
        memmove(source->buf, source->buf + source->used, source->filled - source->used);
    source->filled -= source->used;
    source->used = 0;
    if (n > source->cap) {
        uint8_t *buf = realloc(source->buf, n);
        if (buf == NULL)
            return err_nomem(err, "collecting ranges");
        source->buf = buf;
        source->cap = n;
    }
    while (source->filled < n) {
        size_t wanted = source->cap - source->filled;
        wanted = wanted < source->at.bytes ? wanted : (size_t)source->at.bytes;
        const ssize_t got =
            pread(source->claims->fd, source->buf + source->filled, wanted, (off_t)source->at.start);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "reading a temporary file");
        if (got == 0)
            return err_set(err, PLAT_EBUG, "a temporary file has become shorter");
        source->filled += (size_t)got;
        source->at.start += (uint64_t)got;
        source->at.bytes -= (uint64_t)got;
    }
    return 0;
}

static int source_next(struct source *source, struct plat_err *err)
{
    struct claims *claims = source->claims;
    if (source->in_memory) {
        source->ended = source->next == claims->n;
        if (source->ended)
            return 0;
        source->record = *claims->order[source->next++];
        source->path = claims->text + source->record.text;
        return 0;
    }
    source->ended = source->filled == source->used && source->at.bytes == 0;
    if (source->ended)
        return 0;
    int rc = source_fill(source, sizeof source->record, err);
    if (rc != 0)
        return rc;
    memcpy(&source->record, source->buf + source->used, sizeof source->record);
    source->used += sizeof source->record;
    const size_t n = (size_t)source->record.path_bytes + 1;
    rc = source_fill(source, n, err);
    if (rc != 0)
        return rc;
    source->path = (const char *)source->buf + source->used;
    source->used += n;
    return 0;
}

typedef int (*record_fn)(void *ctx, const struct record *record, const char *path, struct plat_err *err);

static int merge_sources(struct source *sources, size_t n, record_fn fn, void *ctx, struct plat_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = source_next(&sources[i], err);
    while (rc == 0) {
        struct source *first = NULL;
        for (size_t i = 0; i < n; i++)
            if (!sources[i].ended && (first == NULL || compare(&sources[i].record, &first->record) < 0))
                first = &sources[i];
        if (first == NULL)
            break;
        rc = fn(ctx, &first->record, first->path, err);
        if (rc == 0)
            rc = source_next(first, err);
    }
    return rc;
}

/* All runs, and the memory with them when `with_memory`. */
static int merge(struct claims *claims, bool with_memory, record_fn fn, void *ctx, struct plat_err *err)
{
    struct source sources[CLAIMS_RUNS + 1] = {0};
    size_t n = 0;
    int rc = 0;
    for (; n < claims->n_runs; n++) {
        struct source *source = &sources[n];
        *source = (struct source){.claims = claims, .at = claims->runs[n], .cap = READ_BYTES};
        source->buf = malloc(source->cap);
        if (source->buf == NULL)
            rc = err_nomem(err, "collecting ranges");
    }
    if (with_memory)
        sources[n++] = (struct source){.claims = claims, .in_memory = true};
    if (rc == 0)
        rc = merge_sources(sources, n, fn, ctx, err);
    for (size_t i = 0; i < n; i++)
        free(sources[i].buf);
    return rc;
}

/* ---- writing runs ---- */

struct run_writer {
    struct claims *claims;
    uint8_t *buf;
    size_t used;
};

static int write_out(struct run_writer *writer, struct plat_err *err)
{
    struct claims *claims = writer->claims;
    for (size_t done = 0; done < writer->used;) {
        const ssize_t n =
            pwrite(claims->fd, writer->buf + done, writer->used - done, (off_t)claims->file_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "writing a temporary file (TMPDIR names another place)");
        done += (size_t)n;
        claims->file_bytes += (uint64_t)n;
    }
    writer->used = 0;
    if (claims->file_bytes > CLAIMS_SPOOL_BYTES)
        return err_set(err, PLAT_ELIMIT,
                       "the ranges take more than %llu GiB of temporary space: look at one partition with -p",
                       (unsigned long long)(CLAIMS_SPOOL_BYTES >> 30));
    return 0;
}

static int write_bytes(struct run_writer *writer, const void *bytes, size_t n, struct plat_err *err)
{
    const uint8_t *p = bytes;
    while (n > 0) {
        const size_t room = WRITE_BYTES - writer->used, part = n < room ? n : room;
        memcpy(writer->buf + writer->used, p, part);
        writer->used += part;
        p += part;
        n -= part;
        if (writer->used == WRITE_BYTES) {
            int rc = write_out(writer, err);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int write_record(void *ctx, const struct record *record, const char *path, struct plat_err *err)
{
    int rc = write_bytes(ctx, record, sizeof *record, err);
    return rc != 0 ? rc : write_bytes(ctx, path, (size_t)record->path_bytes + 1, err);
}

/* What is in memory, sorted, as a run of its own; with all other runs, when there are enough of them. */
static int spill(struct claims *claims, struct plat_err *err)
{
    struct run_writer writer = {.claims = claims, .buf = malloc(WRITE_BYTES)};
    int rc = writer.buf == NULL ? err_nomem(err, "collecting ranges") : 0;
    if (rc == 0 && claims->fd < 0)
        rc = tree_spool_open(NULL, &claims->fd, err);
    const uint64_t start = claims->file_bytes;
    const bool all = claims->n_runs == CLAIMS_RUNS;
    if (rc == 0) {
        sort(claims);
        if (all)
            rc = merge(claims, true, write_record, &writer, err);
        for (size_t i = 0; !all && rc == 0 && i < claims->n; i++)
            rc = write_record(&writer, claims->order[i], claims->text + claims->order[i]->text, err);
    }
    if (rc == 0)
        rc = write_out(&writer, err);
    free(writer.buf);
    if (rc != 0)
        return rc;
    claims->n_runs = all ? 0 : claims->n_runs;
    claims->runs[claims->n_runs++] = (struct range){start, claims->file_bytes - start};
    claims->n = claims->n_text = 0;
    claims->sorted = false;
    return 0;
}

/* ---- in and out ---- */

int claims_add(struct claims *claims, const struct claim *claim, struct plat_err *err)
{
    const size_t n = strlen(claim->path);
    if (n > CLAIMS_PATH_BYTES)
        return err_set(err, PLAT_ELIMIT, "a path of %zu bytes; at most %d are supported", n,
                       (int)CLAIMS_PATH_BYTES);
    if (claims->n == claims->cap || n + 1 > CLAIMS_TEXT_BYTES - claims->n_text) {
        int rc = spill(claims, err);
        if (rc != 0)
            return rc;
    }
    struct record *record = &claims->list[claims->n++];
    *record = (struct record){.start = claim->place.start,
                              .bytes = claim->place.bytes,
                              .position = claim->position,
                              .number = claims->n_added++,
                              .text = claims->n_text,
                              .layer = claim->layer,
                              .path_bytes = (uint32_t)n,
                              .kind = claim->kind};
    memcpy(claims->text + claims->n_text, claim->path, n + 1);
    claims->n_text += n + 1;
    claims->sorted = false;
    return 0;
}

struct each {
    claim_fn fn;
    void *ctx;
};

static int hand_over(void *ctx, const struct record *record, const char *path, struct plat_err *err)
{
    const struct each *each = ctx;
    const struct claim claim = {.place = {record->start, record->bytes},
                                .position = record->position,
                                .number = record->number,
                                .layer = record->layer,
                                .kind = (enum extent_kind)record->kind,
                                .path = path};
    (void)err;
    return each->fn(each->ctx, &claim);
}

int claims_each(struct claims *claims, claim_fn fn, void *ctx, struct plat_err *err)
{
    struct each each = {fn, ctx};
    if (!claims->sorted)
        sort(claims);
    return merge(claims, true, hand_over, &each, err);
}
