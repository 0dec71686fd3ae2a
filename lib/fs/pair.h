/* Two copies of a superblock of 512 bytes, one behind the other, and which of them counts.
 *
 *   first   its rewrite is the commit
 *   second  the last committed state while a writer is at work, else the same bytes as the first
 *
 * A power cut tears at most the sector that is being written, and only one of the two is ever written between two
 * flushes of the other. Each begins and ends with a stamp (a generation of 40 bits and 24 bits of its CRC-32C): a torn
 * one has two good stamps that differ, which no single flipped bit can bring about, so damage is never taken for a
 * cut. */
#ifndef PLAT_LIB_FS_PAIR_H
#define PLAT_LIB_FS_PAIR_H

#include "lib/base/bytes.h"
#include "lib/io/dev.h"

enum { PAIR_BLOCK_BYTES = 512 };
#define PAIR_MAX_GENERATION ((1ull << 40) - 1)

enum pair_state {
    PAIR_GOOD,
    PAIR_TORN,    /* a power cut while it was written */
    PAIR_DAMAGED, /* anything else */
    PAIR_NEWER,   /* good, of a version that is not known here */
};
struct pair_stamp {
    uint64_t generation;
    uint32_t check;
};
struct pair_copy {
    enum pair_state state;
    bool writing;           /* good, and it says that a writer is at work */
    uint64_t highest_stamp; /* 0: none is good */
    uint8_t bytes[PAIR_BLOCK_BYTES];
    struct plat_err why; /* when damaged or newer */
};
struct pair {
    struct pair_copy copies[2];
    int ruling; /* the one that counts; -1: none */
    bool clean; /* both are alike: no writer was cut off */
};

/* What a format says of its superblock. */
struct pair_format {
    const char *magic; /* it begins with */
    size_t magic_bytes;
    void (*stamps)(const uint8_t *bytes, struct pair_stamp *ret_begin, struct pair_stamp *ret_end);
    /* Is the checksum that of the bytes? */
    bool (*sealed)(const uint8_t *bytes);
    /* Decodes copy `index` (0, 1) and says what is wrong with its values: PLAT_EUNSUPPORTED, PLAT_ECORRUPT. */
    int (*decode)(void *ctx, int index, const uint8_t *bytes, struct plat_err *err);
    bool (*writing)(const uint8_t *bytes); /* does a good copy say that a writer is at work? */
    /* For tests alone: take what is torn for whole, what is damaged for torn. */
    bool skip_sealed, skip_stamps;
};

/* The check that belongs to a generation. */
uint32_t pair_stamp_check(uint64_t generation);
/* Reads both, from `offset` on. Fails only where the device does. */
int pair_read(struct plat_dev *dev, uint64_t offset, const struct pair_format *format, void *ctx,
              struct pair *ret, struct plat_err *err);
/* Has nobody written since `pair` was read? PLAT_EIO: somebody has, so what was read meanwhile may be of two states, and
 * what looks damaged need not be. */
int pair_unchanged(struct plat_dev *dev, uint64_t offset, const struct pair *pair, struct plat_err *err);
/* Why no copy counts; `offset` as for pair_read. */
int pair_refusal(const struct pair *pair, uint64_t offset, struct plat_err *err);

#endif
