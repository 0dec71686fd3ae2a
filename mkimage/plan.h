/* A plan: a recipe with every size and place settled and nothing written yet.
 *
 * plan_open gathers the trees, lets each format's maker say what it needs, lays the partitions out, derives
 * the identifiers that the recipe leaves open, and has the table's driver judge the result. A plan that opens
 * can be written; plan_write does so in strictly ascending order, so that a pipe will do. */
#ifndef PLAT_MKIMAGE_PLAN_H
#define PLAT_MKIMAGE_PLAN_H

#include "lib/fs/driver.h"
#include "mkimage/gather.h"
#include "mkimage/recipe.h"

struct plan_part {
    const struct recipe_partition *recipe;
    const struct fs_driver *driver; /* NULL: raw */
    struct tree *tree;              /* with driver */
    struct tree *objects;           /* of a store beside it; NULL: none */
    struct tree_totals totals;
    struct make_options options;
    char *seed; /* of the filesystem; owned */
    struct make_plan *make;
    const char *content; /* host path; NULL: none */
    uint64_t content_bytes;
    struct range place; /* on the disk, in bytes */
};
struct plan_raw {
    const struct recipe_raw *recipe;
    const char *content; /* host path; NULL: recipe->bytes */
    struct range place;
};
enum plan_extent_kind { PLAN_HEAD, PLAN_PART, PLAN_RAW, PLAN_TAIL };
struct plan_extent {
    struct range place;
    enum plan_extent_kind kind;
    size_t index; /* of the part or raw */
};
struct plan {
    struct recipe *recipe; /* borrowed */
    const struct fs_driver *table;
    struct table_room room;
    struct table_spec spec;          /* .partitions = entries */
    struct table_partition *entries; /* by index of part */
    struct plan_part *parts;         /* in the recipe's order */
    size_t n_parts;
    struct plan_raw *raws;
    size_t n_raws;
    struct plan_extent *order; /* everything written, ascending */
    size_t n_order;
    struct range usable; /* what the table leaves to partitions */
    uint64_t disk_bytes;
    struct gather gather;
    char seed[65]; /* when the recipe has none */
};
struct plan_options {
    bool has_epoch; /* SOURCE_DATE_EPOCH */
    int64_t epoch_s;
    const char *output; /* where the disk will go: never a part of itself; NULL: not known, or a pipe */
};
int plan_open(struct recipe *recipe, const struct plan_options *options, struct plan **ret,
              struct plat_err *err);
void plan_close(struct plan *plan);
/* Bytes of content that plan_write will report as progress. */
uint64_t plan_data_bytes(const struct plan *plan);
/* `dev` is zero-filled and disk_bytes long. Call at most once. */
int plan_write(struct plan *plan, struct plat_dev *dev, struct progress *progress, struct plat_err *err);

/* The plan for people, and for programs (a new JSON object; NULL: out of memory). */
void plan_text(const struct plan *plan, struct strbuf *ret);
json_t *plan_json(const struct plan *plan);

/* plan_place.c: sizes, places, disk_bytes, order. */
int plan_place(struct plan *plan, struct plat_err *err);
/* The maker's plan anew, for an image that starts at this byte of the disk; does nothing for raw partitions.
 */
int plan_make(struct plan *plan, struct plan_part *part, uint64_t start_bytes, struct plat_err *err);
const char *plan_seed(const struct plan *plan);

/* Re-reads an image that has been written and runs every check on it. PLAT_EBUG with the first error finding.
 */
int output_verify(struct plat_dev *dev, uint32_t sector_bytes, struct plat_err *err);

#endif
