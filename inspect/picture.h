/* All that an image holds, as records sorted by what things are and not by where they lie: what plat diff compares and
 * plat golden pins.
 *
 *   picture.c        walks all layers: structures, files, and the bytes that neither of them has
 *   picture_file.c   attributes of files; contents: compared, hashed
 *
 * Keys are paths in which an element of an array goes by what it is called: gpt.entries[unique_guid=...],
 * esp.dir["/EFI"][name='BOOT']. Elements without a name of their own keep their index. */
#ifndef PLAT_INSPECT_PICTURE_H
#define PLAT_INSPECT_PICTURE_H

#include "inspect/open.h"
#include "inspect/records.h"

/* Patterns: '*' is any text, '?' one character, all else is itself. What lies below what matches matches as well:
 * "gpt.backup" is all of that structure, "esp:/EFI" all files in there. */
struct picture_filter {
    const char *const *only, *const *ignore;
    size_t n_only, n_ignore;
};
/* Entries of a command's option table that such a filter is read from. */
/* clang-format off */
#define PICTURE_PATTERN_OPTIONS                                                                                    \
    {.name = "only", .kind = OPTION_LIST, .argument = "PATTERN",                                                   \
     .doc = "nothing but paths that match, and what lies below them (repeatable): esp, '*.mtime', 'esp:/EFI'",     \
     .complete = COMPLETE_NONE},                                                                                   \
    {.name = "ignore", .kind = OPTION_LIST, .argument = "PATTERN",                                                 \
     .doc = "leave these out (repeatable): '*' is any text, '?' one character", .complete = COMPLETE_NONE}
/* clang-format on */
bool picture_matches(const char *pattern, const char *path);
bool picture_wanted(const struct picture_filter *filter, const char *path);

/* How a layer appears. */
struct picture_layer {
    const char *key; /* what its paths begin with, in keys */
    bool files_only; /* its structures and bytes are left out ... */
    bool left_out;   /* ... or all of it */
};
struct picture_file {
    size_t layer; /* index in the stack */
    uint64_t node;
    struct fs_stat stat;
    uint64_t n_xattrs;
    uint8_t xattrs[32]; /* SHA-256 of their names and values */
    const char *path;   /* full */
    const char *target; /* symbolic links; else "" */
    const char *fault;  /* why it cannot be read; else "" */
};
/* A range of the image that no structure covers and no file has. */
struct picture_piece {
    struct range place;
    enum extent_kind kind;
    size_t layer; /* SIZE_MAX: none */
    const char *path;
};
enum { PICTURE_SMALL_BYTES = 8 };
struct picture {
    const struct inspect_image *image;
    bool part; /* behind -p */
    const struct picture_filter *filter;
    uint64_t small_from;          /* elements of at most 8 bytes from this index on count as bytes: a FAT */
    struct picture_layer *layers; /* by index in the stack */
    struct records *structs, *files, *pieces;
    struct range *covered; /* by structures; sorted and joined once they are collected */
    size_t n_covered, cap_covered, cursor;
    struct strbuf key, body;
    uint64_t n_damaged; /* findings of the walk; the first one: */
    char damage[256];
    struct plat_err err; /* what a callback found wrong */
};
/* image, part and filter as in the struct. The layers have their own prefixes, small_from is WALK_BULK_ELEMENTS; change that
 * before picture_take. */
int picture_open(const struct inspect_image *image, bool part, const struct picture_filter *filter,
                 struct picture *ret, struct plat_err *err);
/* Walks the image; the records are ready to be read. */
int picture_take(struct picture *picture, struct plat_err *err);
void picture_close(struct picture *picture);

/* Records as what they are; texts and bytes are the record's. */
void picture_struct(const struct record_view *record, struct inst *ret);
void picture_file(const struct record_view *record, struct picture_file *ret);
void picture_piece(const struct record_view *record, struct picture_piece *ret);

/* What is known of a file beside its content and target, always in the same order. */
enum { PICTURE_ATTRIBUTES = 10 };
struct picture_attribute {
    const char *name; /* "mtime" */
    char text[104];   /* as people read it; "": the format does not say */
};
void picture_attributes(const struct picture_file *file, struct picture_attribute ret[PICTURE_ATTRIBUTES]);
const char *picture_kind(enum tree_kind kind); /* "symbolic link" */

/* How many bytes are equal before the first one that is not. */
size_t picture_same_bytes(const uint8_t *a, const uint8_t *b, size_t n);

enum { PICTURE_READ_BYTES = 1 << 18 };
#define PICTURE_HASH_BYTES ((uint64_t)16 << 30) /* longer files have no hash: they are mostly holes */
/* *ret_at: the first byte that differs; where one ends, when it is how the other begins. */
struct picture_content {
    struct plat_dev *dev; /* all of it; NULL: the file `node` of fs */
    struct fs *fs;
    uint64_t node, bytes;
};
int picture_compare(const struct picture_content *a, const struct picture_content *b, bool *ret_equal,
                    uint64_t *ret_at, struct plat_err *err);
/* PLAT_ELIMIT beyond PICTURE_HASH_BYTES. */
int picture_hash(const struct picture_content *content, char ret[65], struct plat_err *err);

#endif
