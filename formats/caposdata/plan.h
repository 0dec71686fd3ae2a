/* Making a capos-data image: the plans of both parts, and the block where they meet. */
#ifndef PLAT_FORMATS_CAPOSDATA_PLAN_H
#define PLAT_FORMATS_CAPOSDATA_PLAN_H

#include "formats/caposdata/caposdata.h"

enum {
    DATA_BLOCK_BYTES = 512,
    DATA_FILES_BLOCK = 256, /* superblocks of the filesystem */
    DATA_FILES_BLOCKS = 2
};

struct data_part {
    const struct fs_maker *maker;
    struct tree *tree;
    struct make_options options;
    struct make_plan *plan; /* the maker's own */
};
struct make_plan {
    struct data_part store, files;
    struct tree *nothing; /* of a store without objects; owned */
    uint32_t sector_bytes;
    bool compact;
    uint64_t fixed_bytes; /* of the image, by a preset; 0: any */
    uint64_t store_bytes; /* asked for; 0: not */
    uint64_t meet_bytes;  /* the store ends, the filesystem begins; 0: not settled */
};

/* write.c */
int data_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress, struct plat_err *err);

#endif
