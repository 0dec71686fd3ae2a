/* Which of two superblocks counts. */
#include "lib/fs/pair.h"

#include "lib/hash/hash.h"

uint32_t pair_stamp_check(uint64_t generation)
{
    uint8_t bytes[5];
    store_uint(bytes, sizeof bytes, false, generation);
    return hash_crc32c(0, bytes, sizeof bytes) & 0xFFFFFF;
}

static void copy_judge(struct pair_copy *copy, int index, const struct pair_format *format, void *ctx)
{
    struct pair_stamp begin, end;
    format->stamps(copy->bytes, &begin, &end);
    const bool begins = pair_stamp_check(begin.generation) == begin.check;
    const bool ends = pair_stamp_check(end.generation) == end.check;
    copy->highest_stamp = begins ? begin.generation : 0;
    if (ends && end.generation > copy->highest_stamp)
        copy->highest_stamp = end.generation;
    copy->state = PAIR_DAMAGED;
    copy->writing = false;
    err_clear(&copy->why);
    if (memcmp(copy->bytes, format->magic, format->magic_bytes) != 0) {
        (void)err_set(&copy->why, PLAT_ECORRUPT, "it does not begin with %s", format->magic);
        return;
    }
    if (!format->skip_sealed && !format->sealed(copy->bytes)) {
        if ((begins && ends && begin.generation != end.generation) || format->skip_stamps)
            copy->state = PAIR_TORN;
        else
            (void)err_set(&copy->why, PLAT_ECORRUPT, "its checksum is not that of its bytes");
        return;
    }
    int rc = format->decode(ctx, index, copy->bytes, &copy->why);
    if (rc == 0) {
        copy->state = PAIR_GOOD;
        copy->writing = format->writing(copy->bytes);
    } else if (rc == PLAT_EUNSUPPORTED) {
        copy->state = PAIR_NEWER;
    }
}

int pair_read(struct plat_dev *dev, uint64_t offset, const struct pair_format *format, void *ctx,
              struct pair *ret, struct plat_err *err)
{
    uint8_t bytes[2 * PAIR_BLOCK_BYTES];
    int rc = dev_read(dev, offset, bytes, sizeof bytes, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < 2; i++) {
        memcpy(ret->copies[i].bytes, bytes + (size_t)i * PAIR_BLOCK_BYTES, PAIR_BLOCK_BYTES);
        copy_judge(&ret->copies[i], i, format, ctx);
    }
    const struct pair_copy *first = &ret->copies[0], *second = &ret->copies[1];
    ret->ruling = -1;
    ret->clean = memcmp(first->bytes, second->bytes, PAIR_BLOCK_BYTES) == 0;
    if (first->state == PAIR_GOOD) {
        ret->ruling = 0;
    } else if (first->state == PAIR_TORN && second->state == PAIR_GOOD) {
        ret->ruling = 1;
    } else if (first->state == PAIR_DAMAGED && second->state == PAIR_GOOD && !second->writing) {
        /* The copy of what is at rest is as new as what was lost. One that a writer left may not be. */
        ret->ruling = 1;
    }
    return 0;
}

int pair_unchanged(struct plat_dev *dev, uint64_t offset, const struct pair *pair, struct plat_err *err)
{
    uint8_t bytes[2 * PAIR_BLOCK_BYTES];
    int rc = dev_read(dev, offset, bytes, sizeof bytes, err);
    for (size_t i = 0; rc == 0 && i < 2; i++)
        if (memcmp(bytes + i * PAIR_BLOCK_BYTES, pair->copies[i].bytes, PAIR_BLOCK_BYTES) != 0)
            rc = err_set(err, PLAT_EIO,
                         "another program wrote to it while it was read; try again when that is done");
    return rc;
}

int pair_refusal(const struct pair *pair, uint64_t offset, struct plat_err *err)
{
    const struct pair_copy *first = &pair->copies[0];
    const unsigned long long second = offset / PAIR_BLOCK_BYTES + 1;
    if (first->state == PAIR_NEWER)
        return err_at(err, PLAT_EUNSUPPORTED, offset, "superblock.version", "%s", first->why.text);
    if (first->state == PAIR_TORN)
        return err_at(err, PLAT_ECORRUPT, offset, "superblock",
                      "the superblock was torn by a power cut, and its copy in block %llu is damaged",
                      second);
    if (pair->copies[1].state == PAIR_GOOD)
        return err_at(err, PLAT_ECORRUPT, offset, "superblock",
                      "the superblock is damaged (%s), and the copy in block %llu may be older: a writer was "
                      "at work",
                      first->why.text, second);
    return err_at(err, PLAT_ECORRUPT, offset, "superblock",
                  "the superblock is damaged (%s), and so is its copy in block %llu", first->why.text,
                  second);
}
