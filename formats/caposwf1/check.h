/* Judging a CAPOSWF1: what the parts of its check share.
 *
 *   check.c       the pair of superblocks, the two radix trees, the bitmap against what is referred to
 *   check_node.c  records, their maps, names
 *   check_link.c  that each node has one name, in the directory that it says; the free list; loops
 *
 * One pass from the superblock, in which each block is entered at most once, so damaged and hostile images end as fast as
 * sound ones. Memory: 1 bit a block of the region and 5 bytes a node, in one piece; a node count that the region
 * cannot hold is refused before. */
#ifndef PLAT_FORMATS_CAPOSWF1_CHECK_H
#define PLAT_FORMATS_CAPOSWF1_CHECK_H

#include "formats/caposwf1/volume.h"

enum { WF1_PATH_BYTES = 64 }; /* of a path into the structures, such as names[4294967295][4294967295] */

/* What is known of a node while the pass goes on; the low three bits are its kind. */
enum wf1_node_flag {
    WF1_KIND_BITS = 7,
    WF1_RECORD_SEEN = 8,
    WF1_NAME_SEEN = 16,
    WF1_VISITED = 32, /* reached from the root, or along the free list */
    WF1_ON_PATH = 64
};

struct check {
    struct volume *vol;
    struct wf1_reader *reader;
    const struct finding_sink *sink;
    bool judged;     /* walk has compared the blocks with their checksums */
    bool incomplete; /* something cannot be read: nobody knows what it refers to */
    uint8_t *used;   /* as the bitmap should be, in whole blocks of it */
    uint32_t *links; /* of each node: the directory that names it, or the next free one */
    uint8_t *flags;  /* enum wf1_node_flag */
    uint64_t free_records;
    char path[WF1_PATH_BYTES]; /* see wf1_where_text */
    struct plat_err *err;
};

/* What is looked at, as walk names it; made into text only for a finding. */
struct wf1_where {
    const char *array;
    bool has_number, has_element;
    uint64_t number, element; /* names[number][element] */
};
static inline struct wf1_where wf1_where(const char *array, uint64_t number)
{
    return (struct wf1_where){.array = array, .has_number = true, .number = number};
}
/* Valid until the next call. */
const char *wf1_where_text(struct check *check, const struct wf1_where *where);
/* These blocks are in use, by `where`; *ret_again: some were before, which is reported. */
int wf1_check_claim(struct check *check, uint32_t block, uint32_t n, const struct wf1_where *where,
                    bool *ret_again);
/* Claims and reads a block. NULL: it was reported, or was entered before. */
int wf1_check_block(struct check *check, struct wf1_pointer at, const struct wf1_where *where,
                    const uint8_t **ret);
/* The record at this offset of the image, with all that is below it. */
int wf1_check_record(struct check *check, uint64_t number, const uint8_t *record, uint64_t offset);

/* A record in use says that `parent` holds it, or a free one names the next. */
int wf1_link_record(struct check *check, uint64_t number, const struct wf1_node *node, uint64_t offset);
/* Directory `dir` names it. */
int wf1_link_name(struct check *check, uint32_t dir, const struct wf1_name *name, uint64_t offset,
                  const struct wf1_where *where);
/* When all records and names have been seen. */
int wf1_check_links(struct check *check);

#endif
