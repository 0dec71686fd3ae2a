/* The handle of a store, shared by the files that read, write, compact and check it. */
#ifndef PLAT_FORMATS_CAPOSST1_PRIVATE_H
#define PLAT_FORMATS_CAPOSST1_PRIVATE_H

#include "caposst1.gen.h"
#include "formats/caposst1/reader.h"
#include "lib/layout/inst.h"

enum { ST1_BUFFER_BYTES = 1 << 20 };

/* Entries in memory, as on disk, with an index by key. The first `committed` are those of the superblock. */
struct st1_table {
    uint8_t *bytes; /* whole blocks, zero behind the last entry */
    uint64_t count, room;
    uint64_t *killers; /* by entry: 1 + the tombstone that deleted it; 0: none */
    uint32_t *slots;   /* 1 + the latest object of a key; 0: empty */
    uint64_t n_slots;
    uint64_t n_tombstones;
};
struct caposst1_entry st1_entry_at(const struct st1_table *table, uint64_t index);
void st1_table_free(struct st1_table *table);
int st1_table_reserve(struct st1_table *table, uint64_t count, struct plat_err *err);
/* `key` must not be live (object), must be live (tombstone). */
int st1_table_add(struct st1_table *table, const uint8_t entry[ST1_ENTRY_BYTES], struct plat_err *err);
bool st1_table_find(const struct st1_table *table, const uint8_t key[STORE_KEY_BYTES], uint64_t *ret);
/* Drops all behind the first `count`. */
void st1_table_cut(struct st1_table *table, uint64_t count);

struct store {
    struct plat_dev *dev; /* not owned */
    bool writable, degraded;
    const struct store_hooks *hooks;
    struct st1_pair pair;   /* as read when the store was opened */
    struct st1_super super; /* what is committed */
    struct st1_table table; /* entries, staged ones behind super.entry_count */
    struct plat_err fault;  /* degraded: why the table ends early */
    uint64_t cursor_block;  /* behind staged data */
    uint64_t reach_block;   /* free blocks of the live area below this one may be other than zero */
    uint64_t table_reach;   /* entries of the live table that were written, committed or not */
    uint64_t next_generation;
    bool failed;           /* a write failed: no more changes */
    bool marked;           /* the copy says that a writer is at work */
    bool copy_current;     /* ... and holds the committed state */
    bool unflushed;        /* zeros were written since the last flush */
    uint8_t *buffer;       /* ST1_BUFFER_BYTES of data not yet written; allocated when first needed */
    uint64_t buffer_block; /* where it goes */
    size_t buffer_used;    /* whole blocks, but while an object is taken in */
};

/* table.c: entries of the live area into store->table. */
int st1_load(struct store *store, struct plat_err *err);
/* The CRC-32C of the first `count` entries. */
uint32_t st1_table_crc(const struct st1_table *table, uint64_t count);

/* store.c */
int st1_flush(struct store *store, enum store_step step, struct plat_err *err);
int st1_buffer_out(struct store *store, struct plat_err *err);
/* A writer is at work from here on. */
int st1_mark(struct store *store, struct plat_err *err);
/* The copy takes the committed state, as the next superblock is about to be written. */
int st1_copy_refresh(struct store *store, struct plat_err *err);
/* Writes the superblock: this is the commit. */
int st1_superblock_write(struct store *store, const struct st1_super *next, enum store_step step,
                         struct plat_err *err);
/* Zeros where the range is anything else. */
int st1_zero(struct store *store, uint64_t first_block, uint64_t end_block, struct plat_err *err);

/* compact.c */
bool st1_compaction_helps(const struct store *store, uint64_t blocks);
/* What the last writer left undone. */
int st1_recover(struct store *store, struct plat_err *err);

/* check.c: what a description cannot say, and what is in free space and objects. */
int st1_check_structures(struct store *store, const struct finding_sink *sink, struct plat_err *err);
int st1_scrub(struct store *store, const struct finding_sink *sink, struct progress *progress,
              struct plat_err *err);
/* Is every free block zero, as in a store at rest? Asked of one whose copy cannot tell. */
int st1_free_is_clear(struct store *store, bool *ret, struct plat_err *err);

/* repair.c */
struct repair_plan;
int st1_repair(struct store *store, struct repair_plan *plan, struct plat_err *err);

#endif
