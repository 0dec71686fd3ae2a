/* Reading a CAPOSRO1 image: what a kernel carries.
 *
 *     LBA 0          superblock        512 bytes, with its own CRC-32C
 *     1 ...          contents          each file a run of blocks, zero behind its end; in the order of the nodes
 *     strings_block  strings           "" "bin" "etc" "link""target" ...: names in the order of the nodes
 *     nodes_block    node table        128 bytes each: 0 the root, then its children, then the children of its
 *                                      first directory, ... (each directory one run, sorted by name)
 *                    free              zero, to block_count
 *
 * The tables stand behind the contents because they hold the checksums of those: so an image can be written in one
 * pass, to a pipe, with each source read once.
 *
 * Nothing here asks for memory, and nothing is believed before its checksum is right. record.c and read.c need
 * lib/base, lib/io/dev.c, lib/hash/crc32c.c and the generated accessors, and of the C library only memcpy, memmove,
 * memset and memcmp: `make freestanding` holds them to that. */
#ifndef PLAT_FORMATS_CAPOSRO1_READER_H
#define PLAT_FORMATS_CAPOSRO1_READER_H

#include "caposro1.gen.h"
#include "lib/io/dev.h"

enum {
    RO1_BLOCK_BYTES = 512,
    RO1_NODE_BYTES = CAPOSRO1_NODE_BYTES,
    RO1_NEWEST_VERSION = 2,
    RO1_NAME_MAX_BYTES = 255,
    RO1_TARGET_MAX_BYTES = 4095,
    RO1_MODE_BITS = 07777,
    RO1_WINDOW_BYTES = 16 * 1024,
    RO1_PATH_BYTES = 96 /* of a path into the structures, such as nodes[4294967295].content_crc32c */
};

struct ro1_geometry {
    uint32_t version;
    uint32_t node_count;
    uint64_t contents_end; /* bytes from the start of the image, all of them: where the strings begin */
    uint64_t strings_bytes;
    uint64_t nodes_offset;
    uint64_t nodes_end;
    uint64_t end; /* of the filesystem; the image may be longer */
};
/* What the superblock says, once it is known to be sound. PLAT_EUNSUPPORTED: a version beyond newest_version;
 * PLAT_ECORRUPT names the field. */
int ro1_geometry_read(struct caposro1_superblock superblock, uint64_t image_bytes, uint32_t newest_version,
                      struct ro1_geometry *ret, struct plat_err *err);
/* Is the checksum of the block right (with the magic put right before, where assume_magic)? */
bool ro1_superblock_sealed(struct caposro1_superblock superblock, bool assume_magic);

/* A node record, decoded. */
struct ro1_node {
    enum caposro1_node_kind kind;
    enum caposro1_clock_source clock;
    uint32_t mode, uid, gid, parent;
    uint64_t name_offset; /* in the strings */
    uint32_t name_bytes, name_crc32c;
    uint64_t size_bytes;
    uint64_t content; /* byte in the image: content of a file, target of a symbolic link */
    uint64_t first_block;
    uint32_t content_crc32c;
    uint32_t first_child, child_count;
    int64_t modified_s;
    uint32_t modified_ns;
};

/* A piece of the image. */
struct ro1_window {
    uint64_t start;
    size_t n; /* 0: nothing */
    uint8_t bytes[RO1_WINDOW_BYTES];
};

/* An open image: 33 KiB that belong to the caller. */
struct volume {
    struct plat_dev *dev; /* not owned */
    bool sound;           /* the superblock was usable: geo is filled */
    struct ro1_geometry geo;
    struct caposro1_superblock superblock; /* of sector */
    uint8_t sector[CAPOSRO1_SUPERBLOCK_BYTES];
    struct ro1_window nodes, strings;
    /* A file that is being read from its start to its end is compared with its checksum on the way. */
    struct {
        uint64_t node, offset;
        uint32_t crc32c;
    } reading;
};
/* Opens what `dev` holds, with all of *ret filled but geo, for those who look at damage, where it is PLAT_ECORRUPT (and
 * the device holds a superblock at all). */
int ro1_open(struct plat_dev *dev, struct volume *ret, struct plat_err *err);
/* Block 0 into buf; *ret_there is false where the device is too small to have one. */
int ro1_superblock_read(struct plat_dev *dev, uint8_t buf[CAPOSRO1_SUPERBLOCK_BYTES],
                        struct caposro1_superblock *ret, bool *ret_there, struct plat_err *err);

/* ---- the tree: node 0 is the root ---- */

/* The child of this name; PLAT_ENOTFOUND. */
int ro1_lookup(struct volume *vol, uint64_t dir, const uint8_t *name, size_t n, uint64_t *ret_node,
               struct plat_err *err);
/* A directory's own record: its children are first_child and so on, child_count of them. */
int ro1_directory_read(struct volume *vol, uint64_t index, struct ro1_node *ret, struct plat_err *err);
/* One of them, which says itself whose child it is, and its name as by ro1_name_read. */
int ro1_child_read(struct volume *vol, uint64_t dir, uint64_t index, struct ro1_node *ret,
                   const uint8_t **ret_name, struct plat_err *err);
/* Up to n bytes of a file; *ret_n is less only at its end. Who reads it from start to end is told of a checksum that
 * does not match with the last piece. */
int ro1_content_read(struct volume *vol, uint64_t node, uint64_t offset, void *buf, size_t n, size_t *ret_n,
                     struct plat_err *err);
/* The target of a symbolic link, not terminated, valid until the next name or target. Its checksum is right. */
int ro1_target_read(struct volume *vol, uint64_t node, const uint8_t **ret, size_t *ret_n,
                    struct plat_err *err);

/* ---- records ---- */

/* [offset, offset + n) in the window, n at most RO1_WINDOW_BYTES, and what follows before `end`. Valid until the
 * next call with the same window. */
int ro1_window_read(struct plat_dev *dev, struct ro1_window *window, struct range want, uint64_t end,
                    const uint8_t **ret, struct plat_err *err);
/* The record as it is; index is below node_count. Valid until the next node is fetched. */
int ro1_record(struct volume *vol, uint32_t index, struct caposro1_node *ret, struct plat_err *err);
struct ro1_node ro1_decode(const struct volume *vol, struct caposro1_node record);
/* What keeps the record from being used, or NULL: its checksum, a value outside its range, a place outside the
 * image. *ret_field: whose fault it is. */
const char *ro1_fault(const struct volume *vol, uint32_t index, struct caposro1_node record,
                      const char **ret_field);
/* A record without fault, or PLAT_ECORRUPT. */
int ro1_node_read(struct volume *vol, uint64_t index, struct ro1_node *ret, struct plat_err *err);
/* The name, not terminated, valid until the next name or target. Its checksum is right. */
int ro1_name_read(struct volume *vol, uint64_t index, const struct ro1_node *node, const uint8_t **ret,
                  struct plat_err *err);
/* A name that no directory can hold: empty, "." or "..", with '/' or NUL. NULL: it is fine. */
const char *ro1_name_fault(const uint8_t *name, size_t n);
/* Bytewise, a shorter name before a longer one that begins with it. */
int ro1_name_compare(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes);
/* "nodes[17].field" */
void ro1_field_path(char ret[RO1_PATH_BYTES], uint64_t index, const char *field);
static inline uint64_t ro1_record_offset(const struct volume *vol, uint64_t index)
{
    return vol->geo.nodes_offset + index * RO1_NODE_BYTES;
}

#endif
