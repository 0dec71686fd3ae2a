/* An external merge sort that is read by pulling. */
#include "inspect/records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/tree/tree.h"

/* At rest, in memory and in files: this, the key with its NUL, the body. */
struct head {
    uint64_t number;
    uint32_t key_bytes, body_bytes;
};
/* A sorted part and what is at its front. */
struct front {
    FILE *file;  /* NULL: the part in memory ... */
    size_t next; /* ... whose next record this is */
    uint8_t *buf;
    size_t cap;
    const uint8_t *at; /* NULL: it has ended */
};
struct records {
    uint8_t *memory;
    const uint8_t **order;
    size_t used, n, cap;
    uint64_t n_added, spooled_bytes;
    FILE *files[RECORDS_RUNS];
    size_t n_files;
    struct front fronts[RECORDS_RUNS + 1];
    size_t n_fronts;
    struct front *taken; /* whose record the reader has */
};

int records_open(struct records **ret, struct plat_err *err)
{
    struct records *records = calloc(1, sizeof *records);
    if (records == NULL || (records->memory = malloc(RECORDS_MEMORY_BYTES)) == NULL) {
        free(records);
        return err_nomem(err, "sorting records");
    }
    *ret = records;
    return 0;
}

static void forget_fronts(struct records *records)
{
    for (size_t i = 0; i < records->n_fronts; i++)
        free(records->fronts[i].buf);
    memset(records->fronts, 0, sizeof records->fronts);
    records->n_fronts = 0;
    records->taken = NULL;
}

static void close_files(struct records *records)
{
    for (size_t i = 0; i < records->n_files; i++)
        (void)fclose(records->files[i]);
    records->n_files = 0;
}

void records_close(struct records *records)
{
    if (records == NULL)
        return;
    forget_fronts(records);
    close_files(records);
    free((void *)records->order);
    free(records->memory);
    free(records);
}

/* ---- order ---- */

static struct head head_of(const uint8_t *at)
{
    struct head head;
    memcpy(&head, at, sizeof head);
    return head;
}

static size_t bytes_of(const struct head *head)
{
    return sizeof *head + head->key_bytes + 1 + head->body_bytes;
}

static int compare(const uint8_t *a, const uint8_t *b)
{
    const struct head x = head_of(a), y = head_of(b);
    const size_t n = x.key_bytes < y.key_bytes ? x.key_bytes : y.key_bytes;
    const int order = memcmp(a + sizeof x, b + sizeof y, n);
    if (order != 0)
        return order;
    if (x.key_bytes != y.key_bytes)
        return x.key_bytes < y.key_bytes ? -1 : 1;
    return x.number < y.number ? -1 : x.number > y.number;
}

static int compare_places(const void *a, const void *b)
{
    return compare(*(const uint8_t *const *)a, *(const uint8_t *const *)b);
}

static void sort(struct records *records)
{
    if (records->n > 1)
        qsort((void *)records->order, records->n, sizeof *records->order, compare_places);
}

/* ---- fronts ---- */

static int read_front(struct front *front, void *to, size_t n, struct plat_err *err)
{
    if (fread(to, 1, n, front->file) == n)
        return 0;
    return ferror(front->file) ? err_sys(err, errno, "reading a temporary file")
                               : err_set(err, PLAT_EBUG, "a temporary file has become shorter");
}

static int advance_file(struct front *front, struct plat_err *err)
{
    const int first = getc(front->file);
    front->at = NULL;
    if (first == EOF)
        return ferror(front->file) ? err_sys(err, errno, "reading a temporary file") : 0;
    uint8_t raw[sizeof(struct head)] = {(uint8_t)first};
    int rc = read_front(front, raw + 1, sizeof raw - 1, err);
    const struct head head = head_of(raw);
    const size_t n = bytes_of(&head);
    if (rc == 0 && n > front->cap) {
        uint8_t *buf = realloc(front->buf, n);
        if (buf == NULL)
            return err_nomem(err, "sorting records");
        front->buf = buf;
        front->cap = n;
    }
    if (rc == 0) {
        memcpy(front->buf, raw, sizeof raw);
        rc = read_front(front, front->buf + sizeof raw, n - sizeof raw, err);
        front->at = rc == 0 ? front->buf : NULL;
    }
    return rc;
}

static int advance(struct records *records, struct front *front, struct plat_err *err)
{
    if (front->file != NULL)
        return advance_file(front, err);
    front->at = front->next < records->n ? records->order[front->next++] : NULL;
    return 0;
}

int records_rewind(struct records *records, struct plat_err *err)
{
    int rc = 0;
    forget_fronts(records);
    sort(records);
    for (size_t i = 0; rc == 0 && i <= records->n_files; i++) {
        struct front *front = &records->fronts[records->n_fronts++];
        front->file = i < records->n_files ? records->files[i] : NULL;
        if (front->file != NULL)
            rewind(front->file);
        rc = advance(records, front, err);
    }
    return rc;
}

int records_next(struct records *records, struct record_view *ret, struct plat_err *err)
{
    struct front *first = NULL;
    int rc = records->taken != NULL ? advance(records, records->taken, err) : 0;
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < records->n_fronts; i++) {
        struct front *front = &records->fronts[i];
        if (front->at != NULL && (first == NULL || compare(front->at, first->at) < 0))
            first = front;
    }
    records->taken = first;
    if (first == NULL) {
        *ret = (struct record_view){0};
        return 0;
    }
    const struct head head = head_of(first->at);
    const uint8_t *key = first->at + sizeof head;
    *ret = (struct record_view){.key = (const char *)key,
                                .body = key + head.key_bytes + 1,
                                .key_bytes = head.key_bytes,
                                .body_bytes = head.body_bytes};
    return 0;
}

/* ---- in ---- */

static int write_record(struct records *records, FILE *file, const uint8_t *at, struct plat_err *err)
{
    const struct head head = head_of(at);
    const size_t n = bytes_of(&head);
    records->spooled_bytes += n;
    if (records->spooled_bytes > RECORDS_SPOOL_BYTES)
        return err_set(err, PLAT_ELIMIT,
                       "more than %llu GiB of temporary space: choose a part with -p, --only or --ignore",
                       (unsigned long long)(RECORDS_SPOOL_BYTES >> 30));
    if (fwrite(at, 1, n, file) < n)
        return err_sys(err, errno, "writing a temporary file (TMPDIR names another place)");
    return 0;
}

static int spool_file(FILE **ret, struct plat_err *err)
{
    int fd = -1;
    int rc = tree_spool_open(NULL, &fd, err);
    if (rc != 0)
        return rc;
    *ret = fdopen(fd, "w+b");
    if (*ret != NULL)
        return 0;
    rc = err_sys(err, errno, "opening a temporary file");
    (void)close(fd);
    return rc;
}

/* All that there is into `file`. */
static int write_merged(struct records *records, FILE *file, struct plat_err *err)
{
    struct record_view view;
    int rc = records_rewind(records, err);
    while (rc == 0 && (rc = records_next(records, &view, err)) == 0 && view.key != NULL)
        rc = write_record(records, file, records->taken->at, err);
    forget_fronts(records);
    return rc;
}

/* What is in memory into a file of its own; with all files, when there are enough of them. */
static int spill(struct records *records, struct plat_err *err)
{
    FILE *file = NULL;
    const bool all = records->n_files == RECORDS_RUNS;
    int rc = spool_file(&file, err);
    if (rc != 0)
        return rc;
    if (all) {
        records->spooled_bytes = 0;
        rc = write_merged(records, file, err);
    } else {
        sort(records);
        for (size_t i = 0; rc == 0 && i < records->n; i++)
            rc = write_record(records, file, records->order[i], err);
    }
    if (rc == 0 && fflush(file) != 0)
        rc = err_sys(err, errno, "writing a temporary file (TMPDIR names another place)");
    if (rc != 0) {
        (void)fclose(file);
        return rc;
    }
    if (all)
        close_files(records);
    records->files[records->n_files++] = file;
    records->n = records->used = 0;
    return 0;
}

static int room_for_one(struct records *records, struct plat_err *err)
{
    if (records->n < records->cap)
        return 0;
    const size_t cap = records->cap == 0 ? 1024 : 2 * records->cap;
    const uint8_t **order = reallocarray((void *)records->order, cap, sizeof *order);
    if (order == NULL)
        return err_nomem(err, "sorting records");
    records->order = order;
    records->cap = cap;
    return 0;
}

int records_add(struct records *records, const struct record_view *record, struct plat_err *err)
{
    if (record->key_bytes > RECORDS_MAX_BYTES / 2 || record->body_bytes > RECORDS_MAX_BYTES / 2)
        return err_set(err, PLAT_ELIMIT, "a name or structure of more than %d bytes", RECORDS_MAX_BYTES / 2);
    const struct head head = {.number = records->n_added++,
                              .key_bytes = (uint32_t)record->key_bytes,
                              .body_bytes = (uint32_t)record->body_bytes};
    const size_t n = bytes_of(&head);
    int rc = n > RECORDS_MEMORY_BYTES - records->used ? spill(records, err) : 0;
    if (rc == 0)
        rc = room_for_one(records, err);
    if (rc != 0)
        return rc;
    uint8_t *at = records->memory + records->used;
    records->order[records->n++] = at;
    records->used += n;
    memcpy(at, &head, sizeof head);
    at += sizeof head;
    memcpy(at, record->key, record->key_bytes);
    at += record->key_bytes;
    *at++ = '\0';
    if (record->body_bytes > 0)
        memcpy(at, record->body, record->body_bytes);
    return 0;
}

/* ---- two sets ---- */

int record_compare(const struct record_view *a, const struct record_view *b)
{
    if (a->key == NULL || b->key == NULL)
        return (a->key == NULL) - (b->key == NULL);
    const int order = memcmp(a->key, b->key, a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes);
    return order != 0 ? order : (a->key_bytes > b->key_bytes) - (a->key_bytes < b->key_bytes);
}

int records_pair_next(struct records_pair *pair, struct record_view ret[RECORDS_SIDES], struct plat_err *err)
{
    for (int side = 0; side < RECORDS_SIDES; side++) {
        int rc = pair->has[side] ? 0 : records_next(pair->sets[side], &pair->at[side], err);
        if (rc != 0)
            return rc;
    }
    const int order = record_compare(&pair->at[0], &pair->at[1]);
    for (int side = 0; side < RECORDS_SIDES; side++) {
        const bool given = side == 0 ? order <= 0 : order >= 0;
        pair->has[side] = !given;
        ret[side] = given ? pair->at[side] : (struct record_view){0};
    }
    return 0;
}
