/* Reading a store without memory of its own: what a kernel carries. super.h draws the layout; store.h is for programs,
 * which keep the table in memory with an index by key.
 *
 * The table is in the order in which objects came, so a key is found by going through all of it, in pieces as large as
 * the caller's buffer. What is found counts only once the checksum of the whole table has turned out right. The bytes of
 * an object have no other checksum than its key: who reads one to its end compares its SHA-256, with the function
 * that he has for it.
 *
 * super.c, scan.c and reader.c need lib/base, lib/io/dev.c, lib/hash/crc32c.c and the generated accessors, and of the C
 * library only memcpy, memmove, memset and memcmp: `make freestanding` holds them to that. */
#ifndef PLAT_FORMATS_CAPOSST1_READER_H
#define PLAT_FORMATS_CAPOSST1_READER_H

#include "formats/caposst1/super.h"

/* ---- the table (scan.c), which the store loads by the same function ---- */

/* Entry number `index`, sound by itself and in its place. PLAT_ECORRUPT gets the place of the entry. */
typedef int st1_entry_fn(void *ctx, uint64_t index, const uint8_t entry[ST1_ENTRY_BYTES],
                         struct plat_err *err);
/* All entries that the superblock names, in order, through `buf`: whole blocks, at least one. At the end PLAT_ECORRUPT
 * when the table is not the one that was committed: until then nothing may be believed. */
int st1_scan(struct plat_dev *dev, const struct st1_super *super, const struct store_hooks *hooks,
             struct st1_buffer buf, st1_entry_fn *fn, void *ctx, struct plat_err *err);
/* The entry in numbers; is_dead is false: that is said by entries behind it. */
void st1_entry_decode(const uint8_t entry[ST1_ENTRY_BYTES], struct store_object *ret);
/* PLAT_ECORRUPT: a tombstone where nothing is live, or an object where it is. */
int st1_entry_out_of_turn(bool tombstone, struct plat_err *err);
/* Up to n bytes from `offset` of an object; *ret_n is less only at its end. */
int st1_object_read(struct plat_dev *dev, const struct store_object *object, uint64_t offset, void *buf,
                    size_t n, size_t *ret_n, struct plat_err *err);

/* ---- a store, open for reading ---- */

/* 4 KiB that belong to the caller, as does the buffer. */
struct st1_reader {
    struct plat_dev *dev; /* not owned */
    struct st1_pair pair;
    struct st1_super super; /* what is committed */
    struct st1_buffer buf;
};
int st1_reader_open(struct plat_dev *dev, struct st1_buffer buf, struct st1_reader *ret,
                    struct plat_err *err);
/* The live object of this key; PLAT_ENOTFOUND. */
int st1_reader_find(const struct st1_reader *reader, const uint8_t key[STORE_KEY_BYTES],
                    struct store_object *ret, struct plat_err *err);

#endif
