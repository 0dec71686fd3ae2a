/* The layers of an image: disk, its partitions, the filesystem in each; or one bare filesystem; or a format
 * known from a schema alone.
 *
 *   disk.img                 layer 0 "mbr"  prefix "mbr"   (the MBR, protective or plain)
 *                            layer 1 "gpt"  prefix "gpt"
 *                            layer 2 fat32  prefix "esp"   window = partition 1
 *   fat.img                  layer 0 fat32  prefix ""
 *   data.img                 layer 0 store  prefix "store"   one device, two formats (struct fs_share);
 *                            layer 1 files  prefix "fs"      in a partition "data": "data-store" and "data-fs"
 *
 * A partition's prefix is its name where that is an identifier ([A-Za-z_][A-Za-z0-9_-]*), unique and not
 * "mbr", "gpt" or p<N>; else p<number>. p<number> is always understood. */
#ifndef PLAT_LIB_FS_STACK_H
#define PLAT_LIB_FS_STACK_H

#include "lib/fs/driver.h"

struct stack_layer {
    char prefix[TABLE_NAME_BYTES]; /* "" for a bare image's only layer */
    char alias[16];                /* "p1"; "" for tables and bare images */
    struct plat_dev *dev;          /* owned when it is a window */
    bool owns_dev;
    bool shared;                      /* the layers of this device lie side by side in the list */
    bool beside;                      /* chosen from among layers that share the device */
    const struct fs_driver *driver;   /* NULL: nothing recognised in this partition, or schema only */
    struct fs *fs;                    /* NULL with driver NULL, or when opening failed (see err) */
    struct image *image;              /* layout over dev: fs->image, or the schema's own; NULL when unknown */
    struct table_partition partition; /* when from_table */
    bool from_table;
    struct plat_err err; /* why fs is NULL, when driver is not, or a refusal ("FAT16 ...") */
    char refusal[160];
};
struct stack {
    struct plat_dev *dev;  /* whole image, not owned */
    uint32_t sector_bytes; /* of the disk; 512 when unknown */
    struct stack_layer *layers;
    size_t n_layers;
    struct table_partition *partitions; /* all of the table, in table order; owned */
    size_t n_partitions;
    const char *table; /* "gpt", "mbr" or NULL */
};
struct stack_options {
    /* -p NAME|NUMBER: layers of that partition only, with prefix "" ("store" and "fs" where it has both); a layer's own
     * name where two share a device ("fs", "data-fs"); NULL: all. */
    const char *partition;
    uint32_t sector_bytes;       /* 0: find out */
    bool degraded;               /* keep going over damage */
    bool unknown_too;            /* no layers where nothing is known, instead of PLAT_EUNSUPPORTED */
    const struct layout *schema; /* --schema: use it where it matches (or on the whole image); NULL: none */
    /* Formats that may be met besides those of the drivers and the built-in layouts: looked at where no driver knows
     * what it is, before the built-in ones. */
    const struct layout *const *schemas;
    size_t n_schemas;
    const struct param_setting *settings; /* of the schema's parameters; may be NULL */
    size_t n_settings;
};
int stack_open(struct plat_dev *dev, const struct stack_options *options, struct stack **ret,
               struct plat_err *err);
void stack_close(struct stack *stack);
/* The only filesystem layer with files (of layers that share a device, the main one), or PLAT_EINVALID naming the partitions to choose from with -p. */
int stack_filesystem(struct stack *stack, struct stack_layer **ret, struct plat_err *err);
/* The layer that goes by these n bytes: its prefix or alias, else its partition's name or p<number>, which of layers that
 * share a device mean the main one. NULL: none. */
struct stack_layer *stack_layer_named(struct stack *stack, const char *name, size_t n);
/* "prefix" and a layer-relative path as one path: "esp.boot", "esp:/EFI/BOOT" for a file, "boot" without prefix.
 * Valid until the next call with the same buffer; NULL when out of memory. */
const char *stack_path(struct strbuf *buf, const char *prefix, const char *path);
/* Walks all layers; paths get the layer's prefix, offsets become absolute (dev->base_offset added).
 * Partitions that nobody recognised, alignment gaps and the tail come as extents. */
int stack_walk(struct stack *stack, const struct walk_sink *sink, struct plat_err *err);

#endif
