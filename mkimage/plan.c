/* Planning: types, formats, trees and identifiers. Sizes and places are in plan_place.c. */
#include "mkimage/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/bytes.h"
#include "lib/hash/hash.h"
#include "lib/io/dev.h"

enum { MAX_TYPE_NAMES = 512, LISTED_TYPE_NAMES = 16 }; /* of well-known partition types */

const char *plan_seed(const struct plan *plan)
{
    return plan->recipe->seed != NULL ? plan->recipe->seed : plan->seed;
}

/* ---- table entries ---- */

static int unknown_type(struct plan *plan, const struct recipe_partition *recipe, struct plat_err *err)
{
    const struct table_maker *table = plan->table->table;
    const char *names[MAX_TYPE_NAMES + 1];
    size_t n = 0;
    struct strbuf list = {0};
    for (const char *name; n < MAX_TYPE_NAMES && (name = table->type_name(n)) != NULL; n++) {
        names[n] = name;
        if (n < LISTED_TYPE_NAMES)
            strbuf_printf(&list, "%s%s", n == 0 ? "" : ", ", name);
        else if (n == LISTED_TYPE_NAMES)
            strbuf_puts(&list, ", ... (plat-recipe(5) lists them)");
    }
    names[n] = NULL;
    const char *near = nearest_name(recipe->type, names, SIZE_MAX);
    char guess[128] = "";
    if (near != NULL)
        (void)snprintf(guess, sizeof guess, " (did you mean \"%s\"?)", near);
    int ret = recipe_fail(plan->recipe, recipe_path_key(plan->recipe, recipe->path, "type"), err,
                          "unknown %s partition type \"%.80s\"%s; expected %s or one of: %s",
                          plan->table->name, recipe->type, guess,
                          strcmp(plan->table->name, "gpt") == 0 ? "a GUID" : "a number such as \"0x0c\"",
                          strbuf_str(&list));
    strbuf_free(&list);
    return ret;
}

/* Slots: those that the recipe numbers, then the rest in order. */
static int number_entries(struct plan *plan, struct plat_err *err)
{
    struct recipe *recipe = plan->recipe;
    bool taken[TABLE_MAX_PARTITIONS + 1] = {false};
    uint32_t max = plan->room.max_partitions, next = 1;
    if (max > TABLE_MAX_PARTITIONS)
        max = TABLE_MAX_PARTITIONS;
    for (size_t i = 0; i < plan->n_parts; i++) {
        const struct recipe_partition *p = &recipe->partitions[i];
        if (p->number > max)
            return recipe_fail(recipe, recipe_path_key(recipe, p->path, "number"), err,
                               "expected 1 to %u (the slots of this %s table), found %u", max, recipe->table,
                               p->number);
        taken[p->number] = true;
    }
    for (size_t i = 0; i < plan->n_parts; i++) {
        const struct recipe_partition *p = &recipe->partitions[i];
        uint32_t number = p->number;
        if (number == 0) {
            while (next <= max && taken[next])
                next++;
            if (next > max)
                return recipe_fail(recipe, p->path, err, "is one too many: this %s table has %u slots",
                                   recipe->table, max);
            number = next++;
        }
        plan->entries[i].number = number;
    }
    return 0;
}

static int plan_entry(struct plan *plan, size_t i, struct plat_err *err)
{
    const struct recipe_partition *p = &plan->recipe->partitions[i];
    struct table_partition *entry = &plan->entries[i];
    uint32_t number = entry->number;
    int ret = plan->table->table->parse_type(p->type, entry, err);
    if (ret == PLAT_ENOMEM)
        return ret;
    if (ret != 0)
        return unknown_type(plan, p, err);
    entry->number = number;
    entry->attributes = p->attributes | (p->active ? 0x80 : 0);
    (void)snprintf(entry->name, sizeof entry->name, "%s", p->name);
    return 0;
}

/* ---- content ---- */

/* Size of a host file that is written as it is. */
static int stat_source(struct plan *plan, const char *path, const char *as_written, const char **ret_host,
                       uint64_t *ret_bytes, struct plat_err *err)
{
    struct stat st;
    const char *host = recipe_host_path(plan->recipe, as_written);
    if (host == NULL)
        return err_nomem(err, "planning");
    if (stat(host, &st) != 0)
        return recipe_fail(plan->recipe, path, err, "cannot read %.300s: %s", host, strerror(errno));
    if (plan->gather.options.output != NULL &&
        output_is_not(plan->gather.options.output, host, "a source of this disk", err) != 0)
        return recipe_blame(plan->recipe, path, err);
    if (!S_ISREG(st.st_mode))
        return recipe_fail(plan->recipe, path, err, "expected a file, %.300s is %s", host,
                           S_ISDIR(st.st_mode) ? "a directory" : "something else");
    *ret_host = host;
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

static int stat_content(struct plan *plan, const char *owner_path, const char *as_written,
                        const char **ret_host, uint64_t *ret_bytes, struct plat_err *err)
{
    return stat_source(plan, recipe_path_key(plan->recipe, owner_path, "content"), as_written, ret_host,
                       ret_bytes, err);
}

/* Objects of a store that lies beside the partition's tree. */
static int part_objects(struct plan *plan, struct plan_part *part, struct plat_err *err)
{
    struct recipe *recipe = plan->recipe;
    const char *path = recipe_path_key(recipe, part->recipe->path, "objects");
    const char *const *given = part->recipe->objects;
    size_t n = 0;
    if (part->driver->maker->parts == NULL)
        return recipe_fail(recipe, path, err, "%s has no store beside it; capos-data has one",
                           part->driver->name);
    while (given[n] != NULL)
        n++;
    const char **hosts = calloc(n + 1, sizeof *hosts);
    if (hosts == NULL)
        return err_nomem(err, "planning");
    int ret = 0;
    for (size_t i = 0; ret == 0 && i < n; i++) {
        /* The tree borrows the path: it is the recipe's. */
        hosts[i] = recipe_host_path(recipe, given[i]);
        if (hosts[i] == NULL)
            ret = err_nomem(err, "planning");
        else if (plan->gather.options.output != NULL)
            ret = output_is_not(plan->gather.options.output, hosts[i], "an object of this disk", err);
    }
    if (ret == 0)
        ret = gather_objects(hosts, n, &plan->gather.options, &part->objects, err);
    free(hosts);
    return ret == 0 ? 0 : recipe_blame(recipe, path, err);
}

static int plan_content(struct plan *plan, struct plan_part *part, struct plat_err *err)
{
    const struct recipe_partition *p = part->recipe;
    if (p->content != NULL)
        return stat_content(plan, p->path, p->content, &part->content, &part->content_bytes, err);
    if (p->format == NULL)
        return 0;
    if (maker_find(p->format, &part->driver, err) != 0)
        return recipe_blame(plan->recipe, recipe_path_key(plan->recipe, p->path, "format"), err);
    int ret =
        gather_tree(&plan->gather, part->driver->maker, p->options, &p->tree, p->path, &part->tree, err);
    if (ret == 0)
        tree_totals(part->tree, &part->totals);
    return ret == 0 && p->objects != NULL ? part_objects(plan, part, err) : ret;
}

static int plan_raws(struct plan *plan, struct plat_err *err)
{
    for (size_t i = 0; i < plan->n_raws; i++) {
        struct plan_raw *raw = &plan->raws[i];
        raw->recipe = &plan->recipe->raw[i];
        raw->place = (struct range){raw->recipe->offset_bytes, raw->recipe->n_bytes};
        if (raw->recipe->content == NULL)
            continue;
        int ret = stat_content(plan, raw->recipe->path, raw->recipe->content, &raw->content,
                               &raw->place.bytes, err);
        if (ret != 0)
            return ret;
        if (raw->place.bytes == 0)
            return recipe_fail(plan->recipe, raw->recipe->path, err, "%.300s is empty", raw->content);
    }
    return 0;
}

/* The whole file, which LBA 0 must have room for: what is cut off would be missed at boot only. */
static int plan_boot_code(struct plan *plan, struct plat_err *err)
{
    struct recipe *recipe = plan->recipe;
    const char *host = "";
    uint64_t n = 0;
    struct plat_dev *dev = NULL;
    if (recipe->boot_code == NULL)
        return 0;
    int ret = stat_source(plan, "boot_code", recipe->boot_code, &host, &n, err);
    if (ret != 0)
        return ret;
    if (n == 0)
        return recipe_fail(recipe, "boot_code", err, "%.300s is empty", host);
    if (n > plan->room.boot_code_bytes)
        return recipe_fail(recipe, "boot_code", err,
                           "%.300s has %llu bytes, and there is room for %u before the disk's signature and "
                           "its partition records; give the code alone, such as syslinux's %s.bin",
                           host, (unsigned long long)n, plan->room.boot_code_bytes,
                           strcmp(recipe->table, "gpt") == 0 ? "gptmbr" : "mbr");
    uint8_t *code = arena_alloc(&recipe->arena, (size_t)n);
    if (code == NULL)
        return err_nomem(err, "planning");
    ret = dev_open_file(host, false, &dev, err);
    if (ret == 0)
        ret = dev_read(dev, 0, code, (size_t)n, err);
    dev_close(dev);
    if (ret != 0)
        return recipe_blame(recipe, "boot_code", err);
    plan->spec.boot_code = code;
    plan->spec.n_boot_code = (size_t)n;
    return 0;
}

/* ---- identifiers ---- */

/* What the disk is: the recipe's text, the trees, the sizes of what is written as it is. */
static int derive_seed(struct plan *plan, struct plat_err *err)
{
    struct strbuf text = {0};
    uint8_t hash[HASH_SHA256_BYTES];
    char tree[65];
    strbuf_puts(&text, plan->recipe->digest);
    for (size_t i = 0; i < plan->n_parts; i++) {
        const struct plan_part *part = &plan->parts[i];
        if (part->tree != NULL) {
            /* Without modes and owners: they follow the umask and the user of whoever unpacked the sources.
             */
            tree_digest(part->tree, false, tree);
            strbuf_printf(&text, "\n%s", tree);
            if (part->objects != NULL) {
                tree_digest(part->objects, false, tree);
                strbuf_printf(&text, " objects %s", tree);
            }
        } else {
            strbuf_printf(&text, "\n%llu", (unsigned long long)part->content_bytes);
        }
    }
    for (size_t i = 0; i < plan->n_raws; i++)
        strbuf_printf(&text, "\n%llu", (unsigned long long)plan->raws[i].place.bytes);
    if (plan->spec.n_boot_code > 0)
        strbuf_printf(&text, "\nboot code %zu", plan->spec.n_boot_code);
    int ret = text.failed ? err_nomem(err, "planning") : 0;
    if (ret == 0) {
        hash_sha256(text.s, text.len, hash);
        for (size_t i = 0; i < sizeof hash; i++)
            (void)snprintf(plan->seed + 2 * i, 3, "%02x", hash[i]);
    }
    strbuf_free(&text);
    return ret;
}

static void derive_disk_ids(struct plan *plan)
{
    const struct recipe *recipe = plan->recipe;
    if (recipe->has_disk_guid)
        memcpy(plan->spec.disk_guid, recipe->disk_guid, 16);
    else
        hash_derive_guid(plan_seed(plan), "disk", 0, plan->spec.disk_guid);
    uint8_t signature[16];
    hash_derive_guid(plan_seed(plan), "mbr-signature", 0, signature);
    uint32_t derived = load_le32(signature);
    plan->spec.mbr_signature = recipe->has_mbr_signature ? recipe->mbr_signature : derived != 0 ? derived : 1;
}

static int derive_part_ids(struct plan *plan, size_t i, struct plat_err *err)
{
    struct plan_part *part = &plan->parts[i];
    const struct recipe_partition *p = part->recipe;
    struct table_partition *entry = &plan->entries[i];
    if (p->has_uuid)
        memcpy(entry->guid, p->uuid, 16);
    else
        hash_derive_guid(plan_seed(plan), "partition", entry->number, entry->guid);
    if (asprintf(&part->seed, "%s/%u", plan_seed(plan), entry->number) < 0) {
        part->seed = NULL;
        return err_nomem(err, "planning");
    }
    part->options = (struct make_options){
        .label = p->label,
        .uuid = p->fs_uuid,
        .seed = part->seed,
        .sector_bytes = plan->recipe->sector_bytes,
        .has_time = plan->recipe->has_time,
        .time_s = plan->recipe->time_s,
        .compact = p->compact,
        .objects = part->objects,
    };
    if (p->compact && !part->driver->maker->compacts)
        return recipe_fail(plan->recipe, recipe_path_key(plan->recipe, p->path, "compact"), err,
                           "%s keeps nothing free by itself: leave it out", part->driver->name);
    /* Looked up by the maker while it plans, which may be twice. */
    return part->driver != NULL ? recipe_options(part->driver->maker, p->options, &part->options.extra, err)
                                : 0;
}

int plan_make(struct plan *plan, struct plan_part *part, uint64_t start_bytes, struct plat_err *err)
{
    if (part->driver == NULL)
        return 0;
    const struct fs_maker *maker = part->driver->maker;
    if (part->make != NULL && maker->anywhere)
        return 0;
    if (part->make != NULL)
        maker->close(part->make);
    part->make = NULL;
    part->options.first_sector = start_bytes / plan->recipe->sector_bytes;
    int ret = maker->plan(part->tree, &part->options, &part->make, err);
    return ret == 0 ? 0 : recipe_blame(plan->recipe, part->recipe->path, err);
}

/* ---- the whole ---- */

static int plan_alloc(struct plan *plan, struct plat_err *err)
{
    const struct recipe *recipe = plan->recipe;
    plan->n_parts = recipe->n_partitions;
    plan->n_raws = recipe->n_raw;
    plan->parts = calloc(plan->n_parts + 1, sizeof *plan->parts);
    plan->entries = calloc(plan->n_parts + 1, sizeof *plan->entries);
    plan->raws = calloc(plan->n_raws + 1, sizeof *plan->raws);
    plan->order = calloc(plan->n_parts + plan->n_raws + 2, sizeof *plan->order);
    if (plan->parts == NULL || plan->entries == NULL || plan->raws == NULL || plan->order == NULL)
        return err_nomem(err, "planning");
    return 0;
}

static int plan_fill(struct plan *plan, struct plat_err *err)
{
    struct recipe *recipe = plan->recipe;
    int ret = plan_alloc(plan, err);
    if (ret != 0)
        return ret;
    plan->table = fs_driver_find(recipe->table);
    if (plan->table == NULL || plan->table->table == NULL)
        return err_set(err, PLAT_EBUG, "no driver makes %s tables", recipe->table);
    ret = plan->table->table->room(recipe->sector_bytes, &plan->room, err);
    if (ret == 0)
        ret = number_entries(plan, err);
    for (size_t i = 0; ret == 0 && i < plan->n_parts; i++)
        ret = plan_entry(plan, i, err);
    for (size_t i = 0; ret == 0 && i < plan->n_parts; i++) {
        plan->parts[i].recipe = &recipe->partitions[i];
        ret = plan_content(plan, &plan->parts[i], err);
    }
    if (ret == 0)
        ret = plan_raws(plan, err);
    if (ret == 0)
        ret = plan_boot_code(plan, err);
    if (ret == 0)
        ret = derive_seed(plan, err);
    for (size_t i = 0; ret == 0 && i < plan->n_parts; i++)
        ret = derive_part_ids(plan, i, err);
    if (ret == 0)
        ret = plan_place(plan, err);
    if (ret != 0)
        return ret;
    derive_disk_ids(plan);
    plan->spec.sector_bytes = recipe->sector_bytes;
    plan->spec.disk_sectors = plan->disk_bytes / recipe->sector_bytes;
    plan->spec.mbr_active_flag = recipe->protective_active;
    plan->spec.partitions = plan->entries;
    plan->spec.n_partitions = plan->n_parts;
    ret = plan->table->table->validate(&plan->spec, err);
    return ret == 0 ? 0 : recipe_blame(recipe, "partitions", err);
}

int plan_open(struct recipe *recipe, const struct plan_options *options, struct plan **ret,
              struct plat_err *err)
{
    struct plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return err_nomem(err, "planning");
    struct tree_options tree_options = {
        .has_clamp = options->has_epoch,
        .clamp_s = options->epoch_s,
        .has_time = recipe->has_time,
        .time_s = recipe->time_s,
        .root_owned = true,
        .output = options->output,
    };
    plan->recipe = recipe;
    gather_init(&plan->gather, recipe, &tree_options);
    int rc = plan_fill(plan, err);
    if (rc != 0) {
        plan_close(plan);
        return rc;
    }
    *ret = plan;
    return 0;
}

void plan_close(struct plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; plan->parts != NULL && i < plan->n_parts; i++) {
        struct plan_part *part = &plan->parts[i];
        if (part->make != NULL)
            part->driver->maker->close(part->make);
        if (part->tree != NULL)
            tree_close(part->tree);
        if (part->objects != NULL)
            tree_close(part->objects);
        json_decref(part->options.extra);
        free(part->seed);
    }
    gather_close(&plan->gather);
    free(plan->parts);
    free(plan->entries);
    free(plan->raws);
    free(plan->order);
    free(plan);
}
