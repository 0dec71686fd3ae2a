/* Shared by the tests of caposwf1's maker: makes an image from a tree, to memory or to a pipe, and reads it back without
 * the driver: every node against the tree, every block that is referred to against the bitmap. */
#ifndef PLAT_TESTS_CAPOSWF1_IMAGE_H
#define PLAT_TESTS_CAPOSWF1_IMAGE_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "formats/caposwf1/volume.h"
#include "lib/fs/driver.h"
#include "lib/hash/hash.h"
#include "tests/unit/tree_shell.h"

enum { SLOTS = 16 };

static inline void die(const char *what)
{
    printf("Bail out! %s: %s\n", what, err.text);
    exit(1);
}

/* ---- making ---- */

struct wanted {
    const char *superblock, *times;
    bool compact, shared, keep_owner;
    uint64_t size_bytes; /* 0: min_bytes */
    uint64_t slack_bytes, region_first_block;
    uint32_t sector_bytes;
};

static json_t *options_of(const struct wanted *wanted)
{
    json_t *extra = json_object();
    if (wanted->superblock != NULL)
        json_object_set_new(extra, "superblock", json_integer(atoi(wanted->superblock)));
    if (wanted->times != NULL)
        json_object_set_new(extra, "times", json_string(wanted->times));
    if (wanted->shared)
        json_object_set_new(extra, "shared", json_true());
    if (wanted->keep_owner)
        json_object_set_new(extra, "owner", json_string("keep"));
    if (wanted->region_first_block > 0)
        json_object_set_new(extra, "region-first-block",
                            json_integer((json_int_t)wanted->region_first_block));
    return extra;
}

/* A pipe that holds on to what it gets: refuses what does not ascend, and reads. */
struct pipe_dev {
    struct plat_dev dev;
    struct plat_dev *memory;
    uint64_t end;
};
static int pipe_read(struct plat_dev *dev, uint64_t offset, void *buf, size_t n, struct plat_err *e)
{
    (void)dev;
    (void)offset;
    (void)buf;
    (void)n;
    return err_set(e, PLAT_EBUG, "a pipe was read");
}
static int pipe_write(struct plat_dev *dev, uint64_t offset, const void *buf, size_t n, struct plat_err *e)
{
    struct pipe_dev *p = (struct pipe_dev *)(void *)dev;
    if (offset < p->end)
        return err_set(e, PLAT_EBUG, "a pipe was written at %llu behind %llu", (unsigned long long)offset,
                       (unsigned long long)p->end);
    p->end = offset + n;
    return dev_write(p->memory, offset, buf, n, e);
}

static inline int make(struct tree *tree, const struct wanted *wanted, bool pipe, struct plat_dev **ret)
{
    static const struct plat_dev_ops pipe_ops = {.read_at = pipe_read, .write_at = pipe_write};
    struct make_plan *plan = NULL;
    struct plat_dev *dev = NULL;
    struct make_options options = {.seed = "x",
                                   .label = "TEST",
                                   .uuid = "12345678-9abc-4def-8123-456789abcdef",
                                   .compact = wanted->compact,
                                   .sector_bytes = wanted->sector_bytes ? wanted->sector_bytes : 512,
                                   .extra = options_of(wanted)};
    uint64_t size = wanted->size_bytes;
    int rc = caposwf1_maker.plan(tree, &options, &plan, &err);
    if (rc == 0 && size == 0)
        rc = caposwf1_maker.min_bytes(plan, wanted->slack_bytes, &size, &err);
    if (rc == 0)
        rc = caposwf1_maker.settle(plan, size, &err);
    if (rc == 0)
        rc = dev_open_memory(size, "image", &dev, &err);
    struct pipe_dev piped = {
        .dev = {.ops = &pipe_ops, .size_bytes = size, .name = "pipe", .sequential = true}, .memory = dev};
    if (rc == 0)
        rc = caposwf1_maker.write(plan, pipe ? &piped.dev : dev, NULL, &err);
    if (plan != NULL)
        caposwf1_maker.close(plan);
    json_decref(options.extra);
    if (rc != 0)
        dev_close(dev);
    else
        *ret = dev;
    return rc;
}

/* ---- reading back ---- */

struct audit {
    struct wf1_reader reader;
    struct wf1_slot slots[SLOTS];
    uint8_t *seen; /* by block of the region */
    uint64_t n_seen, n_nodes;
    bool keep_owner;
    enum caposwf1_provenance clock;
    char fault[400];
};

static void fault(struct audit *audit, const char *what, uint64_t number)
{
    if (audit->fault[0] == '\0')
        (void)snprintf(audit->fault, sizeof audit->fault, "%s (%llu): %.150s", what,
                       (unsigned long long)number, err.text);
}

static void see(struct audit *audit, uint64_t block, uint64_t n)
{
    const struct wf1_super *super = &audit->reader.super;
    for (uint64_t i = 0; i < n; i++, block++) {
        if (block < super->region_first_block || block >= super->region_first_block + super->region_blocks)
            fault(audit, "a block outside the region", block);
        else if (audit->seen[block - super->region_first_block]++ != 0)
            fault(audit, "a block that is referred to twice", block);
        audit->n_seen++;
    }
}

/* All blocks of a radix tree. */
static void see_radix(struct audit *audit, struct wf1_pointer at, uint32_t levels)
{
    const uint8_t *bytes = NULL;
    uint8_t copy[WF1_BLOCK_BYTES];
    if (at.block == 0)
        return;
    see(audit, at.block, 1);
    if (wf1_block(&audit->reader, at, &bytes, &err) != 0) {
        fault(audit, "a block of a table", at.block);
        return;
    }
    memcpy(copy, bytes, sizeof copy);
    for (size_t i = 0; levels > 0 && i < WF1_POINTERS; i++) {
        struct caposwf1_pointer v;
        if (caposwf1_pointer_block_pointers((struct caposwf1_pointer_block){copy}, i, &v))
            see_radix(audit, (struct wf1_pointer){caposwf1_pointer_block(v), caposwf1_pointer_crc32c(v)},
                      levels - 1);
    }
}

/* All blocks of a map; `bottom`: what the entries of level 0 are. */
static void see_map(struct audit *audit, const struct wf1_entry *entries, uint32_t n, uint32_t levels,
                    bool directory)
{
    for (uint32_t i = 0; i < n; i++) {
        struct wf1_entry below[WF1_ENTRIES];
        const uint8_t *bytes = NULL;
        see(audit, entries[i].block, levels == 0 ? entries[i].count : 1);
        if (levels == 0 || (directory && levels == 1))
            continue;
        if (wf1_block(&audit->reader, (struct wf1_pointer){entries[i].block, entries[i].crc32c}, &bytes,
                      &err) != 0) {
            fault(audit, "a block of a map", entries[i].block);
            return;
        }
        wf1_entries_decode(bytes, entries[i].count, below);
        if (below[0].key != entries[i].key)
            fault(audit, "a branch with another key than its block", entries[i].block);
        see_map(audit, below, entries[i].count, levels - 1, directory);
    }
}

static bool same_content(struct audit *audit, struct tree *tree, const struct tree_node *node,
                         const struct wf1_node *record)
{
    struct tree_reader source;
    uint8_t a[50000], b[50000];
    bool same = tree_reader_open(tree, node, &source, &err) == 0;
    for (uint64_t at = 0; same && at < node->size_bytes;) {
        size_t n = node->size_bytes - at < sizeof a ? (size_t)(node->size_bytes - at) : sizeof a, got = 0;
        same = tree_reader_read(&source, a, n, &err) == 0 &&
               wf1_read(&audit->reader, record, at, b, n, &got, &err) == 0 && got == n &&
               memcmp(a, b, n) == 0;
        at += n;
    }
    tree_reader_close(&source);
    return same;
}

static bool same_node(struct audit *audit, const struct tree_node *node, const struct wf1_node *record,
                      uint64_t parent)
{
    static const enum caposwf1_node_kind kinds[] = {
        [TREE_DIR] = CAPOSWF1_NODE_KIND_DIRECTORY,      [TREE_FILE] = CAPOSWF1_NODE_KIND_FILE,
        [TREE_SYMLINK] = CAPOSWF1_NODE_KIND_SYMLINK,    [TREE_CHAR] = CAPOSWF1_NODE_KIND_CHAR_DEVICE,
        [TREE_BLOCK] = CAPOSWF1_NODE_KIND_BLOCK_DEVICE, [TREE_FIFO] = CAPOSWF1_NODE_KIND_FIFO,
        [TREE_SOCKET] = CAPOSWF1_NODE_KIND_SOCKET};
    const bool device = node->kind == TREE_CHAR || node->kind == TREE_BLOCK;
    const bool timed =
        audit->clock != CAPOSWF1_PROVENANCE_UNKNOWN && (node->mtime_s != 0 || node->mtime_ns != 0);
    return record->kind == kinds[node->kind] && record->mode == node->mode && record->parent == parent &&
           record->uid == (audit->keep_owner ? node->uid : 0) &&
           record->gid == (audit->keep_owner ? node->gid : 0) &&
           record->created_clock == CAPOSWF1_PROVENANCE_UNKNOWN &&
           record->modified_clock == (timed ? audit->clock : CAPOSWF1_PROVENANCE_UNKNOWN) &&
           record->modified_ns == (timed ? node->mtime_s * 1000000000 + node->mtime_ns : 0) &&
           record->device_major == (device ? major(node->from.device) : 0) &&
           record->device_minor == (device ? minor(node->from.device) : 0) &&
           record->size_bytes == (node->kind == TREE_DIR ? node->n_children : node->size_bytes);
}

struct order {
    struct wf1_name last;
    uint8_t bytes[WF1_NAME_MAX_BYTES];
    uint64_t n;
    bool wrong;
};
static int in_order(void *ctx, const struct wf1_name *name)
{
    struct order *order = ctx;
    order->wrong |= order->n++ > 0 && wf1_name_compare(&order->last, name) >= 0;
    order->last = *name;
    memcpy(order->bytes, name->name, name->bytes);
    order->last.name = order->bytes;
    return 0;
}

static void audit_node(struct audit *audit, struct tree *tree, const struct tree_node *node, uint64_t number,
                       uint64_t parent)
{
    struct wf1_node record;
    if (wf1_node_read(&audit->reader, number, &record, &err) != 0) {
        fault(audit, "a node that cannot be read", number);
        return;
    }
    audit->n_nodes++;
    if (!same_node(audit, node, &record, parent))
        fault(audit, "a record that is not that of the tree", number);
    see_map(audit, record.entries, record.n_entries, record.levels, node->kind == TREE_DIR);
    if ((node->kind == TREE_FILE || node->kind == TREE_SYMLINK) && !same_content(audit, tree, node, &record))
        fault(audit, "another content", number);
    if (node->kind != TREE_DIR)
        return;
    struct order order = {.n = 0};
    if (wf1_list(&audit->reader, &record, in_order, &order, &err) != 0 || order.wrong ||
        order.n != node->n_children)
        fault(audit, "names out of order or missing", number);
    for (const struct tree_node *child = node->child; child != NULL; child = child->next) {
        struct wf1_name found;
        if (wf1_lookup(&audit->reader, &record, (const uint8_t *)child->name, strlen(child->name), &found,
                       &err) != 0) {
            fault(audit, "a name that is not found", number);
            return;
        }
        audit_node(audit, tree, child, found.node, number);
    }
}

static bool bitmap_bit(struct audit *audit, uint64_t i)
{
    const struct wf1_super *super = &audit->reader.super;
    struct wf1_pointer at = {0, 0};
    const uint8_t *bytes = NULL;
    if (wf1_radix(&audit->reader, super->bitmap, super->bitmap_levels, i / WF1_BITS, &at, &err) != 0 ||
        (at.block != 0 && wf1_block(&audit->reader, at, &bytes, &err) != 0))
        fault(audit, "a bit that cannot be read", i);
    return bytes != NULL && (bytes[i % WF1_BITS / 8] >> i % 8 & 1) != 0;
}

static bool is_zero(struct plat_dev *dev, uint64_t from, uint64_t to)
{
    bool found = true;
    uint64_t where;
    return from >= to ||
           (dev_find_nonzero(dev, (struct range){from * 512, (to - from) * 512}, &found, &where, &err) == 0 &&
            !found);
}

/* "" when the image holds the tree and nothing else. */
static inline const char *audit_image(struct plat_dev *dev, struct tree *tree, const struct wanted *wanted)
{
    static struct audit audit;
    static const char *const clocks[] = {"unknown", "untrusted", "ntp-synced", "stated"};
    uint32_t block;
    struct pair pair;
    struct wf1_super supers[2];
    audit = (struct audit){.keep_owner = wanted->keep_owner, .clock = CAPOSWF1_PROVENANCE_STATED};
    for (size_t i = 0; wanted->times != NULL && i < 4; i++)
        if (strcmp(clocks[i], wanted->times) == 0)
            audit.clock = (enum caposwf1_provenance)i;
    err.text[0] = '\0';
    if (wf1_pair_find(dev, NULL, &block, &pair, supers, &err) != 0 || pair.ruling != 0 || !pair.clean)
        return "no pair of superblocks";
    const struct wf1_super *super = &supers[0];
    if (block != (wanted->superblock != NULL ? (uint32_t)atoi(wanted->superblock) : 256u) ||
        super->shared != wanted->shared || super->generation != 1 || strcmp(super->label, "TEST") != 0 ||
        super->region_first_block + super->region_blocks != dev->size_bytes / 512 || super->uuid[15] != 0xef)
        return "another superblock than was asked for";
    audit.seen = calloc((size_t)super->region_blocks, 1);
    wf1_reader_init(&audit.reader, dev, super, audit.slots, SLOTS);
    see_radix(&audit, super->nodes, super->node_levels);
    see_radix(&audit, super->bitmap, super->bitmap_levels);
    audit_node(&audit, tree, tree_root(tree), WF1_ROOT_NODE, 0);
    if (audit.n_nodes != super->node_count || audit.n_seen != super->region_blocks - super->free_blocks)
        fault(&audit, "other counts than the superblock has", audit.n_seen);
    for (uint64_t i = 0; i < super->region_blocks; i++)
        if (bitmap_bit(&audit, i) != (audit.seen[i] != 0))
            fault(&audit, "a bit that is wrong", i);
    if (!is_zero(dev, super->next_block, dev->size_bytes / 512) ||
        !is_zero(dev, 0, super->superblock_block) ||
        !is_zero(dev, super->superblock_block + 2u, super->region_first_block))
        fault(&audit, "bytes where nothing is", 0);
    free(audit.seen);
    return audit.fault;
}

#endif
