/* Recipes: a disk described in JSON (plat-recipe(5), schemas/recipe.schema.json).
 *
 * recipe_load reads, substitutes ${NAME}, and checks everything that can be known from the text alone: keys,
 * types, ranges, which keys go together. What needs the sources or a format driver is plan.h's work. Every
 * string in a struct recipe lives in its arena; nothing is freed one by one. Errors carry the recipe's file
 * name in err->image and the place in the document in err->path ("partitions[1].files[0].from"). */
#ifndef PLAT_MKIMAGE_RECIPE_H
#define PLAT_MKIMAGE_RECIPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/nearest.h"
#include "lib/base/text.h"
#include "lib/tree/tree.h"
#include "mkimage/changes.h"

enum {
    RECIPE_MAX_BYTES = 16 << 20,
    RECIPE_MAX_DEPTH = 64,             /* nesting of objects and arrays */
    RECIPE_MAX_STRING_BYTES = 1 << 20, /* after substitution */
    RECIPE_MAX_PACK_DEPTH = 4,
    RECIPE_MAX_DEFINES = 256,
    RECIPE_MAX_PARTITIONS = 1024,
    RECIPE_MAX_RAW = 256
};

/* Attributes that files can have on the disk; values as in struct tree_node. */
enum { FILE_READ_ONLY = 1, FILE_HIDDEN = 2, FILE_SYSTEM = 4 };

struct recipe_override {
    const char *path;         /* in the recipe */
    const char *match;        /* glob, relative to where the entry is put; NULL: the entry itself */
    bool any;                 /* does it change anything? */
    struct tree_override set; /* .pattern is filled in by gather */
};
struct recipe_overrides {
    struct recipe_override *items;
    size_t n;
};

enum recipe_file_kind { RECIPE_FROM, RECIPE_LITERAL, RECIPE_SYMLINK, RECIPE_MKDIR, RECIPE_PACK };
enum recipe_as { RECIPE_AS_AUTO, RECIPE_AS_FILE, RECIPE_AS_DIRECTORY, RECIPE_AS_ARCHIVE, RECIPE_AS_MANIFEST };

struct recipe_pack;
struct recipe_file {
    const char *path; /* in the recipe: "partitions[0].files[2]" */
    enum recipe_file_kind kind;
    enum recipe_as as;
    const char *to;       /* as written; NULL: not given */
    const char *from;     /* as written */
    const uint8_t *bytes; /* RECIPE_LITERAL */
    size_t n_bytes;
    const char *link_target;
    struct recipe_pack *pack;
    const char *const *exclude; /* NULL-terminated; NULL: none */
    const char *exclude_from;   /* host path as written; NULL: none */
    struct recipe_override self;
    struct recipe_overrides overrides;
};
/* The tree of a partition or of a pack. */
struct recipe_tree {
    struct recipe_file *files;
    size_t n_files;
    struct tree_changes changes; /* before the overrides */
    struct recipe_overrides overrides;
};
struct recipe_pack {
    const char *path;
    const char *format;
    json_t *options; /* borrowed from the document; NULL: none */
    struct recipe_tree tree;
};

enum recipe_size_kind { RECIPE_SIZE_AUTO, RECIPE_SIZE_FIXED, RECIPE_SIZE_REST };
struct recipe_partition {
    const char *path;
    const char *name;   /* "" when not given */
    const char *type;   /* as written */
    const char *format; /* NULL: raw */
    enum recipe_size_kind size_kind;
    uint64_t size_bytes; /* RECIPE_SIZE_FIXED */
    bool has_slack;
    uint64_t slack_bytes;   /* added to ... */
    uint32_t slack_percent; /* ... this part of the content */
    bool compact;           /* nothing is kept free */
    const char *label, *fs_uuid;
    bool has_uuid;
    uint8_t uuid[16];
    uint64_t attributes;
    bool active;
    uint32_t number; /* 0: next free */
    bool has_start;
    uint64_t start_bytes;
    uint64_t align_bytes;       /* 0: the recipe's */
    const char *content;        /* host path as written; NULL: none */
    const char *const *objects; /* host files as written, NULL-terminated; NULL: none */
    json_t *options;
    bool has_files;
    struct recipe_tree tree;
};

/* Bytes at a fixed place outside every partition. */
struct recipe_raw {
    const char *path;
    const char *name; /* for messages and --explain; "" when not given */
    uint64_t offset_bytes;
    const char *content; /* host path, or NULL: bytes */
    const uint8_t *bytes;
    size_t n_bytes;
};

struct recipe {
    struct arena arena;
    json_t *root;
    const char *file;     /* for messages */
    const char *base_dir; /* relative host paths start here; "" is the current directory */
    const char *table;    /* "gpt" or "mbr" */
    uint32_t sector_bytes;
    uint64_t disk_bytes; /* 0: as small as it fits */
    bool has_disk_guid;
    uint8_t disk_guid[16];
    bool has_mbr_signature;
    uint32_t mbr_signature;
    bool protective_active;
    const char *boot_code; /* host path as written; NULL: none */
    const char *seed;      /* NULL: derived */
    bool has_time;
    int64_t time_s;
    uint64_t align_bytes;
    struct recipe_partition *partitions;
    size_t n_partitions;
    struct recipe_raw *raw;
    size_t n_raw;
    char digest[65]; /* of the document after substitution, without host paths and comments */
};

/* `defines` are "NAME=VALUE" texts from -D. `file` "-" reads standard input. The caller closes *ret. */
int recipe_load(const char *file, const char *const *defines, size_t n_defines, struct recipe **ret,
                struct plat_err *err);
void recipe_close(struct recipe *recipe);
/* A host path of the recipe, resolved against its directory; from the arena (NULL: out of memory). */
const char *recipe_host_path(struct recipe *recipe, const char *as_written);
/* PLAT_EINVALID at a place in the recipe. */
int recipe_fail(const struct recipe *recipe, const char *path, struct plat_err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Turns an error from elsewhere into one at a place in the recipe, keeping its text; returns its class. */
int recipe_blame(const struct recipe *recipe, const char *path, struct plat_err *err);
/* "path.key" from the arena; `path` itself when out of memory. */
const char *recipe_path_key(struct recipe *recipe, const char *path, const char *key);

#endif
