/* A content-addressed store (CAPOSST1): objects named by the SHA-256 of their bytes.
 *
 * Reading: store_open, store_find, store_read, store_close. It sees the last committed state and writes nothing.
 *
 * Writing: store_open with `writable` (take dev_lock first where the device is a file), then any number of
 * store_put, store_delete and store_commit, and store_finish. Puts and deletes are staged: they count for this
 * handle at once and for everybody else from the commit on, all of them or none. store_commit returns when they
 * will survive a power cut. A put for which the table or the data has no room compacts first when something was
 * deleted; what is staged stays staged. Closing without store_finish is what a power cut does: nothing committed
 * is lost, and the next writer cleans up.
 *
 * After a failed write the handle takes no more changes: the state on disk is the last committed one.
 * Opening for writing what a power cut left finishes a compaction and zeroes what was left in free blocks.
 *
 * What the device has to promise: what was written before a flush that succeeded stays; a sector that is written
 * while the power fails holds old or new bytes, in units of 8. */
#ifndef PLAT_FORMATS_CAPOSST1_STORE_H
#define PLAT_FORMATS_CAPOSST1_STORE_H

#include "lib/base/bytes.h"
#include "lib/base/progress.h"
#include "lib/hash/hash.h"
#include "lib/io/dev.h"

enum {
    STORE_KEY_BYTES = HASH_SHA256_BYTES,
    STORE_VERSION_PLAIN = 1,    /* no times */
    STORE_VERSION_TIMED = 2,    /* a time for each entry, and where it comes from */
    STORE_MAX_ENTRIES = 1 << 24 /* tombstones among them; 1 GiB of table */
};

/* Keys as people see them: 64 hexadecimal digits, printed in lower case, read in either. */
enum { STORE_KEY_TEXT_BYTES = 2 * STORE_KEY_BYTES + 1 };
void store_key_text(const uint8_t key[STORE_KEY_BYTES], char ret[STORE_KEY_TEXT_BYTES]);
bool store_key_parse(const char *text, uint8_t ret[STORE_KEY_BYTES]);

/* For tests alone: leave out a flush or a check, to see that somebody notices. */
enum store_step {
    STORE_FLUSH_MARK,          /* behind "a writer is at work" */
    STORE_FLUSH_DATA,          /* behind data and table, before the commit */
    STORE_FLUSH_COMMIT,        /* behind the commit */
    STORE_FLUSH_SHADOW,        /* compaction: behind the shadow generation */
    STORE_FLUSH_SHADOW_COMMIT, /* ... behind the commit that makes it count */
    STORE_FLUSH_FRONT,         /* ... behind the front generation */
    STORE_FLUSH_FRONT_COMMIT,  /* ... behind the commit that makes that count again */
    STORE_FLUSH_RECOVER,       /* behind the superblock that replaces a torn one */
    STORE_FLUSH_CLEAN,         /* behind the zeros, before the store is called clean */
    STORE_CHECK_SUPERBLOCK,    /* its checksum */
    STORE_CHECK_STAMPS,        /* torn is not damaged */
    STORE_CHECK_TABLE,         /* checksum of the table */
    STORE_CHECK_DATA,          /* hash of an object */
    STORE_CHECK_PADDING,       /* zeros behind an object */
    STORE_CHECK_FREE,          /* zeros in free blocks */
    STORE_STEPS
};
struct store_hooks {
    uint64_t skip; /* 1 << enum store_step */
};
static inline bool store_skips(const struct store_hooks *hooks, enum store_step step)
{
    return hooks != NULL && (hooks->skip >> step & 1) != 0;
}

enum store_provenance { STORE_TIME_UNKNOWN, STORE_TIME_UNTRUSTED, STORE_TIME_NTP_SYNCED, STORE_TIME_STATED };
struct store_time {
    enum store_provenance provenance;
    int64_t created_ns; /* since 1970; 0 when unknown */
};

struct store;
struct store_options {
    bool writable;
    bool degraded;                   /* open as much as can be read; never for writing */
    const struct store_hooks *hooks; /* NULL but in tests */
};
int store_open(struct plat_dev *dev, const struct store_options *options, struct store **ret,
               struct plat_err *err);
void store_close(struct store *store); /* NULL is fine */

/* ---- reading ---- */

struct store_object {
    uint8_t key[STORE_KEY_BYTES];
    uint64_t offset; /* in the device */
    uint64_t size_bytes;
    struct store_time time;
    bool is_tombstone;
    bool is_dead; /* deleted by a tombstone behind it */
};
uint64_t store_count(const struct store *store); /* entries, in the order in which they were added */
void store_entry(const struct store *store, uint64_t index, struct store_object *ret);
/* The live object of this key. */
bool store_find(const struct store *store, const uint8_t key[STORE_KEY_BYTES], uint64_t *ret_index);
struct store_space {
    uint32_t version;
    uint64_t n_objects, n_tombstones, live_bytes;
    uint64_t free_entries, free_bytes; /* right now */
    uint64_t total_bytes;              /* data of the live area */
    uint64_t dead_bytes, dead_entries; /* what a compaction gives back */
};
void store_space(const struct store *store, struct store_space *ret);
/* Up to n bytes from `offset` of an object; *ret_n is less only at its end. */
int store_read(struct store *store, uint64_t index, uint64_t offset, void *buf, size_t n, size_t *ret_n,
               struct plat_err *err);

/* ---- writing ---- */

/* Where an object's bytes come from: fills all n, or fails. */
typedef int store_source(void *ctx, void *buf, size_t n, struct plat_err *err);
/* `time`: NULL is unknown; anything else needs version 2. What is stored already is not stored again
 * (*ret_added false). PLAT_ELIMIT: no room, and what a compaction would give back is not enough. */
int store_put(struct store *store, const void *bytes, size_t n, const struct store_time *time,
              uint8_t ret_key[STORE_KEY_BYTES], bool *ret_added, struct plat_err *err);
int store_put_from(struct store *store, uint64_t size_bytes, store_source *source, void *ctx,
                   const struct store_time *time, uint8_t ret_key[STORE_KEY_BYTES], bool *ret_added,
                   struct plat_err *err);
int store_delete(struct store *store, const uint8_t key[STORE_KEY_BYTES], struct plat_err *err);
/* Does nothing where nothing is staged. */
int store_commit(struct store *store, struct plat_err *err);
/* Drops what is deleted; what is staged stays staged. PLAT_ELIMIT without room in the shadow area. */
int store_compact(struct store *store, struct plat_err *err);
/* After the last commit: says that no writer is at work. What is staged and not committed is dropped. */
int store_finish(struct store *store, struct plat_err *err);

/* ---- making ---- */

struct store_shape {
    uint32_t version;
    uint64_t region_blocks;
    uint64_t hole_first_block, hole_blocks; /* 0: none; with one, the shadow area lies behind it */
    uint64_t entries;                       /* room in the table; rounded up to whole blocks */
    bool shadow;                            /* an area that compaction can pass through */
    bool behind_hole; /* the front area, too, lies behind the hole: before it are zeros */
};
/* Writes the two superblocks of an empty store to a device whose region is zero. PLAT_EINVALID with what would do
 * when the areas have no room. */
int store_format(struct plat_dev *dev, const struct store_shape *shape, struct plat_err *err);

#endif
