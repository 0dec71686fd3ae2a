/* Making a store from a tree: each file is an object, equal files are one. Names, modes and times are not kept.
 *
 * What the superblock says depends on every byte, and it comes first: so files are hashed while the image is
 * planned and copied when it is written, where a file that has changed meanwhile is noticed. */
#include <stdlib.h>

#include "formats/caposst1/caposst1.h"
#include "formats/caposst1/private.h"
#include "lib/fs/options.h"
#include "lib/fs/out.h"

enum { MIN_ENTRIES = 64, HASH_BYTES = 256 * 1024, NS_PER_S = 1000000000 };

static const struct make_option_desc options_table[] = {
    {.name = "version",
     .argument = "1|2",
     .doc = "2 keeps a time for each object and where it comes from; 1 by default"},
    {.name = "entries",
     .argument = "N",
     .doc = "room in the entry table, deleted objects and their tombstones included; by default by size and "
            "content"},
    {.name = "shadow",
     .argument = "true|false",
     .doc = "false: no shadow area, so twice the room, and what is deleted is never given back; true by "
            "default"},
    {.name = "region-blocks",
     .argument = "N",
     .doc =
         "512-byte blocks that the store may use; the rest of the image is somebody else's; all by default"},
    {.name = "hole-first-block",
     .argument = "N",
     .doc = "leave out hole-blocks blocks from here on (256: a CAPOSWF1); the shadow area lies behind them"},
    {.name = "behind-hole",
     .argument = "true|false",
     .doc = "true: both areas lie behind the hole, and the blocks before it stay zero; false by default"},
    {.name = "hole-blocks", .argument = "N", .doc = "how many blocks to leave out; none by default"},
};
enum { N_OPTIONS = sizeof options_table / sizeof options_table[0] };

struct make_plan {
    struct tree *tree;
    struct store_shape shape;       /* entries, region_blocks: 0: not given */
    struct st1_table table;         /* first blocks count from the start of the data, until settle */
    const struct tree_node **nodes; /* by entry */
    uint64_t data_blocks;
    struct st1_super super; /* settled */
    struct store_time time;
    bool settled;
};

static void plan_close(struct make_plan *plan)
{
    if (plan == NULL)
        return;
    st1_table_free(&plan->table);
    free(plan->nodes);
    free(plan);
}

/* ---- options ---- */

static int options_read(struct make_plan *plan, const struct make_options *options, struct plat_err *err)
{
    struct store_shape *shape = &plan->shape;
    json_t *extra = options->extra;
    uint64_t version = STORE_VERSION_PLAIN;
    if (options->label != NULL || options->uuid != NULL)
        return err_set(err, PLAT_EINVALID, "a store has no %s: leave it out",
                       options->label != NULL ? "label" : "UUID");
    int rc = make_options_known(options_table, N_OPTIONS, "caposst1", extra, err);
    if (rc == 0)
        rc = make_option_number(extra, "version", STORE_VERSION_TIMED, &version, err);
    if (rc == 0)
        rc = make_option_number(extra, "entries", STORE_MAX_ENTRIES, &shape->entries, err);
    if (rc == 0)
        rc = make_option_number(extra, "region-blocks", INT64_MAX / ST1_BLOCK_BYTES, &shape->region_blocks,
                                err);
    if (rc == 0)
        rc = make_option_number(extra, "hole-first-block", INT64_MAX / ST1_BLOCK_BYTES,
                                &shape->hole_first_block, err);
    if (rc == 0)
        rc = make_option_number(extra, "hole-blocks", INT64_MAX / ST1_BLOCK_BYTES, &shape->hole_blocks, err);
    shape->shadow = true;
    if (rc == 0)
        rc = make_option_flag(extra, "shadow", &shape->shadow, err);
    if (rc == 0)
        rc = make_option_flag(extra, "behind-hole", &shape->behind_hole, err);
    if (rc != 0)
        return rc;
    if (version < STORE_VERSION_PLAIN)
        return err_set(err, PLAT_EINVALID, "version must be 1 or 2");
    if ((shape->hole_blocks > 0) != (shape->hole_first_block > 0))
        return err_set(err, PLAT_EINVALID, "hole-first-block and hole-blocks go together");
    shape->version = (uint32_t)version;
    if (options->has_time && version == STORE_VERSION_TIMED) {
        if (options->time_s > INT64_MAX / NS_PER_S || options->time_s < INT64_MIN / NS_PER_S)
            return err_set(err, PLAT_EINVALID, "the time %lld is out of reach of 64 bits of nanoseconds",
                           (long long)options->time_s);
        plan->time = (struct store_time){STORE_TIME_STATED, options->time_s * NS_PER_S};
    }
    return 0;
}

/* ---- planning ---- */

static int node_hash(struct tree *tree, const struct tree_node *node, uint8_t *buf, uint8_t *ret,
                     struct plat_err *err)
{
    struct hash_sha256_state state;
    struct tree_reader reader;
    int rc = tree_reader_open(tree, node, &reader, err);
    if (rc != 0)
        return rc;
    hash_sha256_begin(&state);
    while (rc == 0 && reader.left_bytes > 0) {
        size_t n = reader.left_bytes < HASH_BYTES ? (size_t)reader.left_bytes : HASH_BYTES;
        rc = tree_reader_read(&reader, buf, n, err);
        if (rc == 0)
            hash_sha256_add(&state, buf, n);
    }
    tree_reader_close(&reader);
    hash_sha256_end(&state, ret);
    return rc;
}

static int plan_object(struct make_plan *plan, const struct tree_node *node, const uint8_t *key,
                       struct plat_err *err)
{
    uint8_t entry[ST1_ENTRY_BYTES];
    struct caposst1_entry_mut m = {entry};
    uint64_t index;
    if (st1_table_find(&plan->table, key, &index))
        return 0;
    if (plan->table.count == STORE_MAX_ENTRIES)
        return err_set(err, PLAT_ELIMIT, "more than %d objects", STORE_MAX_ENTRIES);
    caposst1_entry_init(m);
    caposst1_entry_set_key(m, key);
    caposst1_entry_set_first_block(m, plan->data_blocks);
    caposst1_entry_set_size_bytes(m, node->size_bytes);
    caposst1_entry_set_provenance(m, (uint8_t)plan->time.provenance);
    caposst1_entry_set_created(m, plan->time.created_ns);
    uint64_t room = plan->table.room;
    int rc = st1_table_add(&plan->table, entry, err);
    if (rc == 0 && plan->table.room != room) {
        const struct tree_node **nodes = realloc(plan->nodes, plan->table.room * sizeof(*nodes));
        if (nodes == NULL)
            return err_nomem(err, "planning a store");
        plan->nodes = nodes;
    }
    if (rc == 0) {
        plan->nodes[plan->table.count - 1] = node;
        plan->data_blocks += st1_blocks_of(node->size_bytes);
    }
    return rc;
}

static int plan_objects(struct make_plan *plan, struct plat_err *err)
{
    uint8_t key[STORE_KEY_BYTES], *buf = malloc(HASH_BYTES);
    char label[TREE_LABEL_BYTES];
    int rc = buf == NULL ? err_nomem(err, "planning a store") : 0;
    for (const struct tree_node *node = tree_root(plan->tree); rc == 0 && node != NULL;
         node = tree_next(node)) {
        if (node->kind == TREE_DIR)
            continue;
        tree_label(node, label);
        if (node->kind != TREE_FILE) {
            rc = err_set(
                err, PLAT_EUNSUPPORTED,
                "'%s' is not a regular file, and a store keeps contents only: leave it out (--exclude)",
                label);
            break;
        }
        rc = node_hash(plan->tree, node, buf, key, err);
        if (rc == 0)
            rc = plan_object(plan, node, key, err);
        if (rc != 0)
            (void)err_prefix(err, "'%s'", label);
    }
    free(buf);
    return rc;
}

static int maker_plan(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                      struct plat_err *err)
{
    struct make_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return err_nomem(err, "planning a store");
    plan->tree = tree;
    int rc = options_read(plan, options, err);
    if (rc == 0)
        rc = plan_objects(plan, err);
    if (rc != 0) {
        plan_close(plan);
        return rc;
    }
    *ret = plan;
    return 0;
}

/* ---- size ---- */

/* Entries to make room for, when nobody says: all that there are, and as many again. */
static uint64_t least_entries(const struct make_plan *plan)
{
    uint64_t twice = 2 * plan->table.count;
    if (plan->shape.entries > 0)
        return plan->shape.entries;
    return twice < MIN_ENTRIES ? MIN_ENTRIES : twice < STORE_MAX_ENTRIES ? twice : STORE_MAX_ENTRIES;
}

static int maker_min_bytes(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err)
{
    const struct store_shape *shape = &plan->shape;
    uint64_t area = div_up_u64(least_entries(plan), ST1_ENTRIES_PER_BLOCK) + plan->data_blocks + 1;
    uint64_t slack = st1_blocks_of(slack_bytes), end;
    if (!add_u64(area, slack, &area) || area > INT64_MAX / ST1_BLOCK_BYTES / 4)
        return err_set(err, PLAT_ELIMIT, "a store of that size is larger than 2^63 - 1 bytes");
    end = 2 + area * (shape->shadow ? 2 : 1);
    if (shape->hole_blocks > 0 && shape->behind_hole)
        end += shape->hole_first_block + shape->hole_blocks - 2;
    else if (shape->hole_blocks > 0)
        end = shape->hole_first_block + shape->hole_blocks + (shape->shadow ? area : 1);
    if (shape->region_blocks > 0)
        end = shape->region_blocks;
    *ret = end * ST1_BLOCK_BYTES;
    return 0;
}

/* The shape with a table of this many entries: does the content fit? */
static int settle_with(struct make_plan *plan, struct store_shape shape, struct plat_err *err)
{
    struct st1_super super = {.generation = 1,
                              .version = shape.version,
                              .region_blocks = shape.region_blocks,
                              .hole_first_block = shape.hole_first_block,
                              .hole_blocks = shape.hole_blocks,
                              .table_blocks = div_up_u64(shape.entries, ST1_ENTRIES_PER_BLOCK)};
    int rc = st1_shape_areas(&shape, &super, err);
    if (rc != 0)
        return rc;
    uint64_t room = super.areas[ST1_FRONT].blocks - super.table_blocks;
    if (super.areas[ST1_FRONT].blocks <= super.table_blocks || room < plan->data_blocks)
        return err_set(
            err, PLAT_EINVALID,
            "the objects take %llu blocks of 512 bytes and the front area has %llu behind its table%s",
            (unsigned long long)plan->data_blocks,
            (unsigned long long)(super.areas[ST1_FRONT].blocks <= super.table_blocks ? 0 : room),
            shape.hole_blocks > 0 && !shape.behind_hole ? ", before the hole" : "");
    if (plan->table.count > super.table_blocks * ST1_ENTRIES_PER_BLOCK)
        return err_set(err, PLAT_EINVALID, "%llu objects need more than the %llu entries that were asked for",
                       (unsigned long long)plan->table.count, (unsigned long long)shape.entries);
    super.cursor_block = st1_data_block(&super, ST1_FRONT) + plan->data_blocks;
    plan->super = super;
    return 0;
}

static int maker_settle(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err)
{
    struct store_shape shape = plan->shape;
    uint64_t least;
    if (shape.region_blocks == 0)
        shape.region_blocks = size_bytes / ST1_BLOCK_BYTES;
    shape.entries = least_entries(plan);
    /* A table for objects of 2 KiB each, where that leaves room for what there is. */
    uint64_t usual = shape.region_blocks / (shape.shadow ? 8 : 4);
    struct store_shape wide = shape;
    wide.entries = usual < STORE_MAX_ENTRIES ? usual : STORE_MAX_ENTRIES;
    int rc = plan->shape.entries == 0 && wide.entries > shape.entries ? settle_with(plan, wide, NULL)
                                                                      : PLAT_EINVALID;
    if (rc != 0)
        rc = settle_with(plan, shape, err);
    if (rc == 0)
        rc = st1_super_validate(&plan->super, size_bytes, err);
    if (rc == 0) {
        plan->settled = true;
        return 0;
    }
    if (maker_min_bytes(plan, 0, &least, NULL) == 0 && size_bytes < least)
        (void)err_prefix(err, "%llu bytes are too few, %llu would do", (unsigned long long)size_bytes,
                         (unsigned long long)least);
    return PLAT_EINVALID;
}

static void maker_describe(const struct make_plan *plan, struct strbuf *ret)
{
    const struct st1_super *super = &plan->super;
    strbuf_printf(ret, "%llu objects in %llu blocks", (unsigned long long)plan->table.count,
                  (unsigned long long)plan->data_blocks);
    if (plan->settled)
        strbuf_printf(ret, ", version %u, room for %llu entries and %llu blocks%s", super->version,
                      (unsigned long long)(super->table_blocks * ST1_ENTRIES_PER_BLOCK),
                      (unsigned long long)(super->areas[ST1_FRONT].blocks - super->table_blocks),
                      super->areas[ST1_SHADOW].blocks > 0 ? ", twice for compaction" : ", no shadow area");
}

/* ---- writing ---- */

static int write_object(struct make_plan *plan, struct fs_out *out, uint64_t index, struct plat_err *err)
{
    struct caposst1_entry v = st1_entry_at(&plan->table, index);
    uint64_t offset =
        (st1_data_block(&plan->super, ST1_FRONT) + caposst1_entry_first_block(v)) * ST1_BLOCK_BYTES;
    struct hash_sha256_state state;
    struct tree_reader reader;
    uint8_t key[STORE_KEY_BYTES], *bytes;
    int rc = tree_reader_open(plan->tree, plan->nodes[index], &reader, err);
    if (rc != 0)
        return rc;
    hash_sha256_begin(&state);
    while (rc == 0 && reader.left_bytes > 0) {
        size_t n = reader.left_bytes < HASH_BYTES ? (size_t)reader.left_bytes : HASH_BYTES;
        rc = fs_out_take(out, offset, n, &bytes, err);
        if (rc == 0)
            rc = tree_reader_read(&reader, bytes, n, err);
        if (rc == 0)
            hash_sha256_add(&state, bytes, n);
        offset += n;
        progress_add(out->progress, n);
    }
    tree_reader_close(&reader);
    hash_sha256_end(&state, key);
    if (rc == 0 && memcmp(key, caposst1_entry_key(v), sizeof key) != 0)
        rc = err_set(err, PLAT_EIO, "its content changed while the image was made");
    return rc;
}

/* The table as it will lie there: first blocks counted from the start of the image. */
static int write_table(struct make_plan *plan, struct fs_out *out, uint32_t *ret_crc, struct plat_err *err)
{
    uint64_t base = st1_data_block(&plan->super, ST1_FRONT), table = plan->super.areas[ST1_FRONT].first_block;
    uint32_t crc = 0;
    for (uint64_t i = 0; i < plan->table.count; i++) {
        uint8_t entry[ST1_ENTRY_BYTES], *bytes;
        struct caposst1_entry v = st1_entry_at(&plan->table, i);
        memcpy(entry, v.p, sizeof entry);
        caposst1_entry_set_first_block((struct caposst1_entry_mut){entry},
                                       base + caposst1_entry_first_block(v));
        crc = hash_crc32c(crc, entry, sizeof entry);
        if (out == NULL)
            continue;
        int rc = fs_out_take(out, table * ST1_BLOCK_BYTES + i * ST1_ENTRY_BYTES, sizeof entry, &bytes, err);
        if (rc != 0)
            return rc;
        memcpy(bytes, entry, sizeof entry);
    }
    *ret_crc = crc;
    return 0;
}

static int maker_write(struct make_plan *plan, struct plat_dev *dev, struct progress *progress,
                       struct plat_err *err)
{
    struct st1_super *super = &plan->super;
    struct fs_out out;
    uint8_t *bytes;
    char label[TREE_LABEL_BYTES];
    int rc = fs_out_open(&out, dev, progress, err);
    if (rc != 0)
        return rc;
    super->entry_count = plan->table.count;
    rc = write_table(plan, NULL, &super->table_crc32c, err);
    if (rc == 0)
        rc = fs_out_take(&out, 0, 2 * (size_t)ST1_BLOCK_BYTES, &bytes, err);
    if (rc == 0) {
        st1_super_encode(super, bytes);
        memcpy(bytes + ST1_BLOCK_BYTES, bytes, ST1_BLOCK_BYTES);
        rc = write_table(plan, &out, &super->table_crc32c, err);
    }
    for (uint64_t i = 0; rc == 0 && i < plan->table.count; i++) {
        rc = write_object(plan, &out, i, err);
        tree_label(plan->nodes[i], label);
        if (rc != 0)
            (void)err_prefix(err, "'%s'", label);
    }
    if (rc == 0)
        rc = fs_out_flush(&out, err);
    fs_out_close(&out);
    return rc;
}

const struct fs_maker caposst1_maker = {
    .options = options_table,
    .n_options = N_OPTIONS,
    .plan = maker_plan,
    .min_bytes = maker_min_bytes,
    .settle = maker_settle,
    .describe = maker_describe,
    .write = maker_write,
    .close = plan_close,
};
