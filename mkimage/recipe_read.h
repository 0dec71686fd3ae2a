/* Reading a recipe's JSON with a place for every complaint. Private to mkimage/recipe*.c.
 *
 * The reader is sticky: after the first failure `ret` is set and every further call does nothing, so a list
 * of members needs one check at its end. A member that is absent leaves its output untouched. */
#ifndef PLAT_MKIMAGE_RECIPE_READ_H
#define PLAT_MKIMAGE_RECIPE_READ_H

#include "mkimage/recipe.h"

struct reader {
    struct recipe *recipe;
    struct plat_err *err;
    int ret;
};
/* A value and where it stands. */
struct node {
    json_t *json;
    const char *path;
};

void read_fail(struct reader *r, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void read_nomem(struct reader *r);
/* Memory from the recipe's arena; NULL sets r->ret. */
void *read_alloc(struct reader *r, size_t count, size_t each);
/* "a string", "the number 3", "an object": what a value is, for messages. */
const char *json_describe(const json_t *json, char buf[64]);

/* `node` must be an object with no keys beside `known` (NULL-terminated). */
void read_keys(struct reader *r, const struct node *node, const char *const *known);
bool read_has(const struct node *node, const char *key);
bool read_member(struct reader *r, const struct node *node, const char *key, struct node *ret);
void read_element(struct reader *r, const struct node *array, size_t index, struct node *ret);
/* Must be an array of at most `max`; *ret_n = 0 when absent. */
bool read_array(struct reader *r, const struct node *node, const char *key, size_t max, struct node *ret,
                size_t *ret_n);

void read_text(struct reader *r, const struct node *node, const char *key, const char **ret);
/* Text that is not empty. */
void read_word(struct reader *r, const struct node *node, const char *key, const char **ret);
/* One of `names` (NULL-terminated); *ret is its index. */
void read_choice(struct reader *r, const struct node *node, const char *key, const char *const *names,
                 size_t *ret);
void read_bool(struct reader *r, const struct node *node, const char *key, bool *ret);
/* 0 to max; number or text ("12", "0x1f"). *has (may be NULL) becomes true when the member is there. */
void read_number(struct reader *r, const struct node *node, const char *key, uint64_t max, bool *has,
                 uint64_t *ret);
/* Bytes: number or text ("64MiB"). */
void read_size(struct reader *r, const struct node *node, const char *key, bool *has, uint64_t *ret);
void read_guid(struct reader *r, const struct node *node, const char *key, bool *has, uint8_t ret[16]);
/* Seconds since 1970: number, or ISO 8601 text with a zone. */
void read_time(struct reader *r, const struct node *node, const char *key, bool *has, int64_t *ret);
/* "de ad be ef" */
void read_hex(struct reader *r, const struct node *node, const char *key, const uint8_t **ret, size_t *ret_n);
/* Permission bits: octal text "0755". A JSON number is refused: 755 would mean something else. */
void read_mode(struct reader *r, const struct node *node, const char *key, bool *has, uint32_t *ret);
/* NULL-terminated array of texts; *ret stays NULL when absent. */
void read_texts(struct reader *r, const struct node *node, const char *key, const char *const **ret);
void read_object(struct reader *r, const struct node *node, const char *key, json_t **ret);
/* Fails unless `bytes` is a whole number of sectors and a possible size of a file. */
void read_check_sectors(struct reader *r, const char *path, uint64_t bytes);
/* One size value that stands in `node` itself. */
bool read_size_value(struct reader *r, const struct node *node, uint64_t *ret);

/* recipe_text.c: false when `text` is not such a thing. */
bool parse_iso_time(const char *text, int64_t *ret);

/* recipe_files.c: `files`, `overrides` of a partition or a pack. */
void read_tree(struct reader *r, const struct node *owner, unsigned pack_depth, struct recipe_tree *ret);
/* recipe_partition.c */
void read_partition(struct reader *r, const struct node *node, struct recipe_partition *ret);
/* recipe_define.c: replaces ${NAME} in every string of the document and drops `defaults`. */
int recipe_substitute(struct recipe *recipe, const char *const *defines, size_t n_defines,
                      struct plat_err *err);
/* recipe_define.c: fills recipe->digest. */
int recipe_digest(struct recipe *recipe, struct plat_err *err);

#endif
