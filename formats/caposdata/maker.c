/* What capos-data offers to `plat mk` and `plat build`: its options, and who gets how much of the image. */
#include "formats/caposdata/plan.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/fs/options.h"

enum {
    NVME_BLOCKS = 32768, /* NVME_NAMESPACE_BLOCKS, published */
    GRAIN_BYTES = 4096,  /* where the parts meet */
};
#define NVME_BYTES ((uint64_t)NVME_BLOCKS * DATA_BLOCK_BYTES)
/* The first block behind the superblocks of the filesystem that is a multiple of the grain. */
#define FIRST_MEET_BYTES ((uint64_t)(DATA_FILES_BLOCK * DATA_BLOCK_BYTES + GRAIN_BYTES))

enum {
    OPTION_PRESET,
    OPTION_STORE_BYTES,
    OPTION_STORE_ENTRIES,
    OPTION_STORE_VERSION,
    OPTION_TIMES,
    OPTION_OWNER,
    N_OPTIONS
};
static const struct make_option_desc options_table[N_OPTIONS] = {
    [OPTION_PRESET] = {.name = "preset",
                       .argument = "nvme",
                       .doc = "nvme: exactly 32768 blocks of 512 bytes, the namespace that capOS expects"},
    [OPTION_STORE_BYTES] =
        {.name = "store-bytes",
         .argument = "SIZE",
         .doc = "where the store ends and the filesystem begins, from the start of the image; half "
                "of the image by default"},
    [OPTION_STORE_ENTRIES] = {.name = "store-entries",
                              .argument = "N",
                              .doc = "room in the store's entry table; by default by size and content"},
    [OPTION_STORE_VERSION] = {.name = "store-version",
                              .argument = "1|2",
                              .doc = "2 keeps a time for each object; 1 by default"},
    [OPTION_TIMES] = {.name = "times",
                      .argument = "unknown|untrusted|ntp-synced|stated",
                      .doc = "where the times of files are said to come from; default stated"},
    [OPTION_OWNER] = {.name = "owner",
                      .argument = "zero|keep",
                      .doc = "owner and group of every file: 0, or what the source has; default zero"},
};

/* ---- options ---- */

static int size_option(json_t *value, uint64_t *ret, struct plat_err *err)
{
    if (value == NULL)
        return 0;
    const char *text = json_string_value(value);
    if (text != NULL) {
        int rc = parse_size(text, ret, err);
        if (rc != 0)
            return err_prefix(err, "store-bytes");
    } else if (json_is_integer(value) && json_integer_value(value) > 0) {
        *ret = (uint64_t)json_integer_value(value);
    } else {
        return err_set(err, PLAT_EINVALID, "store-bytes: expected a size such as \"8MiB\"");
    }
    if (*ret % GRAIN_BYTES != 0 || *ret < FIRST_MEET_BYTES || *ret > INT64_MAX)
        return err_set(err, PLAT_EINVALID,
                       "store-bytes: expected a multiple of %d, %llu at least, found %llu", GRAIN_BYTES,
                       (unsigned long long)FIRST_MEET_BYTES, (unsigned long long)*ret);
    return 0;
}

/* Hands an option on to a part, under the name that it has there. */
static int hand_on(json_t *from, const char *name, json_t *to, const char *as)
{
    json_t *value = json_object_get(from, name);
    return value == NULL ? 0 : json_object_set(to, as, value);
}

static int store_options(struct make_plan *plan, const struct make_options *options, struct plat_err *err)
{
    struct make_options *to = &plan->store.options;
    *to = *options;
    to->label = to->uuid = NULL;
    to->objects = NULL;
    to->extra = json_pack("{s:i, s:i, s:b}", "hole-first-block", (int)DATA_FILES_BLOCK, "hole-blocks",
                          (int)DATA_FILES_BLOCKS, "behind-hole", 1);
    if (to->extra == NULL || hand_on(options->extra, "store-entries", to->extra, "entries") != 0 ||
        hand_on(options->extra, "store-version", to->extra, "version") != 0)
        return err_nomem(err, "planning a capos-data image");
    return 0;
}

static int files_options(struct make_plan *plan, const struct make_options *options, struct plat_err *err)
{
    struct make_options *to = &plan->files.options;
    *to = *options;
    to->objects = NULL;
    to->extra = json_pack("{s:i, s:b}", "superblock", (int)DATA_FILES_BLOCK, "shared", 1);
    if (to->extra == NULL || hand_on(options->extra, "times", to->extra, "times") != 0 ||
        hand_on(options->extra, "owner", to->extra, "owner") != 0)
        return err_nomem(err, "planning a capos-data image");
    return 0;
}

static int options_read(struct make_plan *plan, const struct make_options *options, struct plat_err *err)
{
    size_t preset = 0;
    json_t *named = json_object_get(options->extra, "preset");
    int rc = make_options_known(options_table, N_OPTIONS, "capos-data", options->extra, err);
    if (rc == 0)
        rc = make_option_choice(&options_table[OPTION_PRESET], named, &preset, err);
    if (rc == 0)
        rc = size_option(json_object_get(options->extra, "store-bytes"), &plan->store_bytes, err);
    if (rc == 0)
        rc = store_options(plan, options, err);
    if (rc == 0)
        rc = files_options(plan, options, err);
    plan->fixed_bytes = named != NULL ? NVME_BYTES : 0;
    plan->compact = options->compact;
    plan->sector_bytes = options->sector_bytes;
    return rc;
}

/* ---- the parts ---- */

static int part_find(struct data_part *part, const char *name, struct plat_err *err)
{
    const struct fs_driver *driver = fs_driver_find(name);
    if (driver == NULL || driver->maker == NULL)
        return err_set(err, PLAT_EBUG, "%s cannot be made, and capos-data is made of it", name);
    part->maker = driver->maker;
    return 0;
}

static int part_plan(struct data_part *part, const char *name, struct plat_err *err)
{
    if (part->plan != NULL)
        part->maker->close(part->plan);
    part->plan = NULL;
    int rc = part->maker->plan(part->tree, &part->options, &part->plan, err);
    return rc == 0 ? 0 : err_prefix(err, "%s", name);
}

/* The filesystem's plan for a region from here on. */
static int files_plan(struct make_plan *plan, uint64_t meet_bytes, struct plat_err *err)
{
    if (json_object_set_new(plan->files.options.extra, "region-first-block",
                            json_integer((json_int_t)(meet_bytes / DATA_BLOCK_BYTES))) != 0)
        return err_nomem(err, "planning a capos-data image");
    return part_plan(&plan->files, "the filesystem", err);
}

static void maker_close(struct make_plan *plan)
{
    if (plan == NULL)
        return;
    struct data_part *const parts[] = {&plan->store, &plan->files};
    for (size_t i = 0; i < 2; i++) {
        if (parts[i]->plan != NULL)
            parts[i]->maker->close(parts[i]->plan);
        json_decref(parts[i]->options.extra);
    }
    if (plan->nothing != NULL)
        tree_close(plan->nothing);
    free(plan);
}

static int maker_plan(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                      struct plat_err *err)
{
    struct make_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return err_nomem(err, "planning a capos-data image");
    int rc = tree_open(NULL, &plan->nothing, err);
    if (rc == 0)
        rc = tree_finish(plan->nothing, err);
    if (rc == 0)
        rc = options_read(plan, options, err);
    if (rc == 0)
        rc = part_find(&plan->store, "caposst1", err);
    if (rc == 0)
        rc = part_find(&plan->files, "caposwf1", err);
    plan->files.tree = tree;
    plan->store.tree = options->objects != NULL ? options->objects : plan->nothing;
    if (rc == 0)
        rc = part_plan(&plan->store, "the store", err);
    if (rc == 0)
        rc = files_plan(plan, FIRST_MEET_BYTES, err);
    if (rc != 0) {
        maker_close(plan);
        return rc;
    }
    *ret = plan;
    return 0;
}

/* ---- sizes ---- */

/* What each part needs by itself: the store from the start of the image on, the filesystem behind it. */
static int needs(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret_store, uint64_t *ret_files,
                 struct plat_err *err)
{
    uint64_t store = 0, files = 0;
    int rc = plan->store.maker->min_bytes(plan->store.plan, 0, &store, err);
    if (rc == 0)
        rc = plan->files.maker->min_bytes(plan->files.plan, slack_bytes, &files, err);
    if (rc != 0)
        return rc;
    /* Its plan may be one that is settled. */
    files -= plan->meet_bytes != 0 ? plan->meet_bytes : FIRST_MEET_BYTES;
    if (store > INT64_MAX / 4 || files > INT64_MAX / 4)
        return err_set(err, PLAT_ELIMIT, "the image would be larger than 2^63 - 1 bytes");
    store = div_up_u64(store, GRAIN_BYTES) * GRAIN_BYTES;
    if (plan->store_bytes != 0 && plan->store_bytes < store)
        return err_set(err, PLAT_EINVALID, "store-bytes: %llu are too few: the objects need %llu",
                       (unsigned long long)plan->store_bytes, (unsigned long long)store);
    *ret_store = plan->store_bytes != 0 ? plan->store_bytes : store;
    *ret_files = files;
    return 0;
}

static int maker_min_bytes(struct make_plan *plan, uint64_t slack_bytes, uint64_t *ret, struct plat_err *err)
{
    uint64_t store, files, bytes;
    int rc = needs(plan, slack_bytes, &store, &files, err);
    if (rc != 0)
        return rc;
    if (plan->fixed_bytes != 0) {
        *ret = plan->fixed_bytes; /* settle says when that is too small */
        return 0;
    }
    bytes = store + files;
    if (!plan->compact && plan->store_bytes == 0)
        bytes = 2 * (store > files ? store : files);
    if (!plan->compact && bytes < NVME_BYTES)
        bytes = NVME_BYTES;
    *ret = div_up_u64(bytes, plan->sector_bytes) * plan->sector_bytes;
    return 0;
}

static int maker_settle(struct make_plan *plan, uint64_t size_bytes, struct plat_err *err)
{
    uint64_t store, files, meet = size_bytes / 2 / GRAIN_BYTES * GRAIN_BYTES;
    int rc = needs(plan, 0, &store, &files, err);
    if (rc != 0)
        return rc;
    if (plan->fixed_bytes != 0 && size_bytes != plan->fixed_bytes)
        return err_set(err, PLAT_EINVALID, "the preset has %llu bytes, not %llu: leave the size out",
                       (unsigned long long)plan->fixed_bytes, (unsigned long long)size_bytes);
    if (size_bytes <= store)
        return err_set(err, PLAT_EINVALID,
                       "%llu bytes are too few: the store takes %llu, the filesystem %llu",
                       (unsigned long long)size_bytes, (unsigned long long)store, (unsigned long long)files);
    if (meet > size_bytes - files || files > size_bytes)
        meet = (files < size_bytes ? size_bytes - files : 0) / GRAIN_BYTES * GRAIN_BYTES;
    if (meet < store || plan->store_bytes != 0)
        meet = store;
    rc = plan->store.maker->settle(plan->store.plan, meet, err);
    if (rc == 0)
        rc = files_plan(plan, meet, err);
    plan->meet_bytes = meet;
    if (rc == 0)
        rc = plan->files.maker->settle(plan->files.plan, size_bytes, err);
    return rc;
}

static void maker_describe(const struct make_plan *plan, struct strbuf *ret)
{
    strbuf_puts(ret, "store: ");
    plan->store.maker->describe(plan->store.plan, ret);
    strbuf_puts(ret, "; filesystem: ");
    plan->files.maker->describe(plan->files.plan, ret);
    if (plan->meet_bytes != 0)
        strbuf_printf(ret, "; it begins at byte %llu", (unsigned long long)plan->meet_bytes);
}

static const char *const parts[] = {"caposst1", "caposwf1", NULL};
static const struct fs_maker capos_data_maker = {
    .options = options_table,
    .n_options = N_OPTIONS,
    .compacts = true,
    .parts = parts,
    .plan = maker_plan,
    .min_bytes = maker_min_bytes,
    .settle = maker_settle,
    .describe = maker_describe,
    .write = data_write,
    .close = maker_close,
};

const struct fs_driver capos_data_driver = {.name = "capos-data",
                                            .title = "capOS data disk: a store and a writable filesystem",
                                            .maker = &capos_data_maker};
