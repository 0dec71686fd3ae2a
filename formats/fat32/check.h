/* Private to check*.c: what one run of the checks knows.
 *
 * Two passes over the tree. The first marks each cluster with the bit of whoever comes first, and reports
 * everything but shared clusters: of those only the second owner is known. When there are any, the second
 * pass marks anew in the same order, and meets the first owners. */
#ifndef PLAT_FORMATS_FAT32_CHECK_H
#define PLAT_FORMATS_FAT32_CHECK_H

#include "formats/fat32/volume.h"

enum {
    CHECK_MAX_FINDINGS = 10000,          /* then one last finding says that there are more */
    CHECK_MAX_CONFLICTS = 64,            /* shared clusters whose owners are named; the rest is counted */
    CHECK_MAX_RUNS = 64,                 /* runs of lost clusters reported one by one */
    CHECK_FREE_BUDGET_BYTES = 256 << 20, /* of free space that is not a hole, read in search of left-overs */
    CHECK_CHUNK_BYTES = 256 * 1024,
    CHECK_TAILS_BYTES = 64 * 1024 /* read at once where small files follow one another */
};

/* Readers, as in refused_by. */
extern const char *const check_by_fsck[];    /* fsck.fat */
extern const char *const check_by_readers[]; /* linux, windows, fsck.fat */

struct conflict {
    uint32_t cluster; /* owned by somebody already ... */
    uint32_t
        from;     /* ... when this cluster of the second owner's chain led to it; 0: the chain starts there */
    char *second; /* path of the second owner */
    char *where;  /* its first-cluster field, when from is 0 */
    uint64_t offset; /* of that field's entry */
    char *first;     /* path of the first owner, once known */
};
struct name_key {
    uint64_t hash; /* of the folded name */
    uint32_t slot;
};

struct check {
    struct volume *vol;
    const struct finding_sink *sink;
    struct plat_err *err;
    uint64_t n_findings;
    bool stopped; /* the sink wants no more: the return value goes up as it is */
    struct cluster_set used;
    bool naming; /* second pass */
    struct conflict conflicts[CHECK_MAX_CONFLICTS];
    size_t n_conflicts;
    uint64_t more_conflicts;
    /* The directory at hand. */
    const struct dir_visit *visit;
    struct strbuf dir_path; /* dir["/EFI"] */
    struct strbuf path;     /* of the finding in the making */
    struct strbuf owner;    /* /EFI/BOOT/BOOTX64.EFI */
    struct name_key *keys;
    size_t n_keys, cap_keys;
    bool has_dot, has_dotdot;
    struct dir_entry entry;
    bool has_root; /* the root directory could be read */
    /* The volume label in the root. */
    uint32_t n_labels;
    uint8_t label[FAT32_SHORT_BYTES];
    uint64_t label_offset;
    uint32_t label_slot;
    /* Left-overs in free space. */
    uint8_t *chunk; /* CHECK_CHUNK_BYTES */
    /* What lies behind the ends of files: the part of the image that was read for the last ones. */
    uint8_t *tails;         /* CHECK_TAILS_BYTES */
    struct range tails_are; /* which bytes of the volume they are */
    struct range data;      /* the device's data at hand, as dev_next_data gave it */
    bool no_more_data;
    uint64_t free_budget;
};

/* check.c. All return 0, or what the sink returned to stop. In the naming pass nothing is reported. */
int check_report(struct check *check, enum severity severity, const char *id, const char *path,
                 uint64_t offset, const char *const *refused_by, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* Is any byte of this range not zero? *ret: offset of the first, or UINT64_MAX. Holes cost nothing. */
int check_find_nonzero(struct check *check, struct range range, uint64_t *ret);

/* check_chain.c */
enum chain_end { CHAIN_END, CHAIN_NONE, CHAIN_BROKEN, CHAIN_SHARED };
struct chain {
    enum chain_end end;
    uint64_t n_clusters;  /* that are this chain's own */
    uint32_t last, value; /* CHAIN_BROKEN: the entry of `last` says `value` */
    uint32_t cluster_at;  /* the cluster at the position asked for; 0 when the chain does not reach it */
};
/* Follows and marks the chain of check->owner. `where` and offset: the field that holds `first`. */
int check_claim(struct check *check, uint32_t first, uint64_t want_index, const char *where, uint64_t offset,
                struct chain *ret);
int check_conflicts(struct check *check);
/* One pass over the FAT: lost and bad clusters, stray bits, the count of free clusters, left-overs in them.
 */
int check_table(struct check *check, uint64_t *ret_free);
void check_conflicts_free(struct check *check);

/* check_dir.c */
int check_directory(void *ctx, const struct dir_visit *visit);
/* Path of a slot, or of its field (NULL: none), of the directory at hand; valid until the next call. */
const char *check_slot_path(struct check *check, uint32_t slot, const char *field);

/* check_file.c */
int check_file(struct check *check);

#endif
