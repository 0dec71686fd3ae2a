/* The blocks of the region: which are used, which may be taken, which have to be zeroed.
 *
 * A block may be taken when neither what is committed nor what is staged uses it: so nothing that the last commit refers
 * to is overwritten before the next one. Within a transaction the search goes on where it ended; the next one begins with
 * the lowest block that was given back, so that the image fills up from its start. */
#include <stdlib.h>

#include "formats/caposwf1/writer.h"

enum { WORD_BITS = 64, PAGE_WORDS = WF1_BITS / WORD_BITS };

static bool bit_get(const uint8_t *bits, uint32_t bit)
{
    return (bits[bit / 8] >> (bit % 8) & 1) != 0;
}
static void bit_set(uint8_t *bits, uint32_t bit, bool value)
{
    const uint8_t mask = (uint8_t)(1u << bit % 8);
    bits[bit / 8] = value ? bits[bit / 8] | mask : bits[bit / 8] & (uint8_t)~mask;
}

uint64_t wf1_bitmap_blocks(uint64_t region_blocks)
{
    uint64_t blocks = div_up_u64(region_blocks, WF1_BITS), sum = blocks;
    while (blocks > 1)
        sum += blocks = div_up_u64(blocks, WF1_POINTERS);
    return sum;
}

int wf1_page_load(struct wf1_writer *writer, size_t index, struct wf1_page **ret, struct plat_err *err)
{
    struct wf1_reader *reader = &writer->vol->reader;
    const struct wf1_super *committed = &writer->committed;
    struct wf1_pointer at = {0, 0};
    const uint8_t *bytes;
    int rc = 0;
    if (writer->pages[index] != NULL) {
        *ret = writer->pages[index];
        return 0;
    }
    struct wf1_page *page = calloc(1, sizeof *page);
    if (page == NULL)
        return err_nomem(err, "finding free blocks");
    /* The tree on disk is the committed one: what is staged of it is staged by pages. */
    if (index < div_up_u64(committed->region_blocks, WF1_BITS)) /* else the region is just growing */
        rc = wf1_radix(reader, committed->bitmap, committed->bitmap_levels, index, &at, err);
    if (rc == 0 && at.block != 0) {
        rc = wf1_block(reader, at, &bytes, err);
        if (rc == 0)
            memcpy(page->committed, bytes, sizeof page->committed);
    }
    if (rc != 0) {
        free(page);
        return rc;
    }
    memcpy(page->used, page->committed, sizeof page->used);
    page->index = index;
    page->next = writer->loaded;
    writer->loaded = writer->pages[index] = *ret = page;
    writer->n_loaded++;
    return 0;
}

static void page_touch(struct wf1_writer *writer, struct wf1_page *page)
{
    if (page->is_touched)
        return;
    page->is_touched = true;
    page->touched = writer->touched;
    writer->touched = page;
}

int wf1_room(struct wf1_writer *writer, uint64_t blocks, bool freeing, struct plat_err *err)
{
    const struct wf1_super *super = &writer->vol->reader.super;
    /* A commit writes as much of the bitmap as there is, at most. A change that frees takes two records and two names,
     * and must not fail for want of room that it makes. */
    uint64_t need = blocks + wf1_bitmap_blocks(super->region_blocks) + writer->window.reserved;
    if (!freeing)
        need += 2 * wf1_node_cost(writer) + 4;
    if (need <= writer->available)
        return 0;
    return err_set(err, PLAT_ELIMIT, "the filesystem is full: %llu bytes are free, and %llu are needed%s",
                   (unsigned long long)(writer->available * WF1_BLOCK_BYTES),
                   (unsigned long long)(need * WF1_BLOCK_BYTES),
                   super->free_blocks > writer->available ? " (more will be free after a commit)" : "");
}

/* The blocks that may be taken among 64, as bits. */
static uint64_t word_free(const struct wf1_page *page, uint32_t word)
{
    return ~(load_le64(page->used + 8 * (size_t)word) | load_le64(page->committed + 8 * (size_t)word));
}

/* The first block from bit `from` on that may be taken; false: none. */
static bool page_search(const struct wf1_page *page, uint32_t from, uint32_t end, uint32_t *ret)
{
    for (uint32_t word = from / WORD_BITS; word < PAGE_WORDS && word * WORD_BITS < end; word++) {
        uint64_t bits = word_free(page, word);
        if (word == from / WORD_BITS)
            bits &= UINT64_MAX << from % WORD_BITS;
        if (bits == 0)
            continue;
        const uint32_t bit = word * WORD_BITS + (uint32_t)__builtin_ctzll(bits);
        if (bit >= end)
            return false;
        *ret = bit;
        return true;
    }
    return false;
}

int wf1_take(struct wf1_writer *writer, uint32_t want, uint32_t *ret_block, uint32_t *ret_n,
             struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    const uint64_t region = super->region_blocks;
    uint64_t at = super->next_block - super->region_first_block;
    /* Once around, and the page where the search began to its end. */
    for (uint64_t looked = 0; looked <= writer->n_pages; looked++, at = (at / WF1_BITS + 1) * WF1_BITS) {
        if (at >= region)
            at = 0;
        const size_t index = (size_t)(at / WF1_BITS);
        const uint64_t left = region - (uint64_t)index * WF1_BITS;
        const uint32_t end = left < WF1_BITS ? (uint32_t)left : WF1_BITS;
        struct wf1_page *page;
        uint32_t bit = 0, n = 0;
        int rc = wf1_page_load(writer, index, &page, err);
        if (rc != 0)
            return rc;
        if (!page_search(page, (uint32_t)(at % WF1_BITS), end, &bit))
            continue;
        page_touch(writer, page);
        while (n < want && bit + n < end && !bit_get(page->used, bit + n) &&
               !bit_get(page->committed, bit + n)) {
            bit_set(page->used, bit + n, true);
            n++;
        }
        const uint64_t block = super->region_first_block + (uint64_t)index * WF1_BITS + bit;
        super->next_block = block + n;
        super->free_blocks -= n;
        writer->available -= n;
        *ret_block = (uint32_t)block;
        *ret_n = n;
        return 0;
    }
    return err_set(err, PLAT_ELIMIT, "the filesystem is full");
}

int wf1_give(struct wf1_writer *writer, uint64_t block, uint64_t n, struct plat_err *err)
{
    struct wf1_super *super = &writer->vol->reader.super;
    /* What a block of a map says stands behind a checksum, which anybody can compute. */
    if (block < super->region_first_block || n > super->region_blocks ||
        block - super->region_first_block > super->region_blocks - n)
        return err_set(err, PLAT_ECORRUPT, "a map names block %llu, outside the region; run plat verify",
                       (unsigned long long)block);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t bit = block + i - super->region_first_block;
        struct wf1_page *page;
        int rc = wf1_page_load(writer, (size_t)(bit / WF1_BITS), &page, err);
        if (rc != 0)
            return rc;
        const uint32_t at = (uint32_t)(bit % WF1_BITS);
        if (!bit_get(page->used, at))
            return err_at(err, PLAT_ECORRUPT, (block + i) * WF1_BLOCK_BYTES, "bitmap",
                          "block %llu is in use, and the bitmap says that it is free; run plat verify",
                          (unsigned long long)(block + i));
        page_touch(writer, page);
        bit_set(page->used, at, false);
        bit_set(page->soiled, at, true);
        super->free_blocks++;
        writer->available += !bit_get(page->committed, at);
        if (block + i < writer->lowest)
            writer->lowest = block + i;
    }
    return 0;
}
