/* Loading a recipe: the file, its syntax, its top level. */
#include "mkimage/recipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "mkimage/recipe_read.h"

static int read_whole(struct recipe *recipe, struct strbuf *ret, struct plat_err *err)
{
    bool standard_input = strcmp(recipe->file, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(recipe->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)err_sys(err, errno, "cannot open the recipe");
        err_image(err, recipe->file);
        return err != NULL ? err->class : PLAT_EIO;
    }
    int rc = 0;
    char buf[16384];
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = err_sys(err, errno, "cannot read the recipe");
            err_image(err, recipe->file);
            break;
        }
        if (n == 0)
            break;
        strbuf_add(ret, buf, (size_t)n);
        if (ret->len > RECIPE_MAX_BYTES) {
            rc = recipe_fail(recipe, "", err, "is larger than %d MiB; is it a recipe?",
                             RECIPE_MAX_BYTES >> 20);
            break;
        }
    }
    if (rc == 0 && ret->failed)
        rc = err_nomem(err, "reading the recipe");
    if (!standard_input)
        (void)close(fd);
    return rc;
}

static int parse_document(struct recipe *recipe, struct plat_err *err)
{
    struct strbuf text = {0};
    json_error_t where;
    int rc = read_whole(recipe, &text, err);
    if (rc == 0) {
        recipe->root = json_loadb(strbuf_str(&text), text.len, JSON_REJECT_DUPLICATES, &where);
        if (recipe->root == NULL) {
            struct strbuf why = {0};
            strbuf_visible(&why, where.text, strlen(where.text));
            rc = recipe_fail(recipe, "", err, "line %d, column %d: %s", where.line, where.column,
                             strbuf_str(&why));
            strbuf_free(&why);
        }
    }
    strbuf_free(&text);
    return rc;
}

static int find_base_dir(struct recipe *recipe, struct plat_err *err)
{
    const char *slash = strrchr(recipe->file, '/');
    recipe->base_dir = "";
    if (slash == NULL)
        return 0;
    recipe->base_dir = arena_strndup(&recipe->arena, recipe->file, (size_t)(slash - recipe->file) + 1);
    return recipe->base_dir == NULL ? err_nomem(err, "reading the recipe") : 0;
}

const char *recipe_host_path(struct recipe *recipe, const char *as_written)
{
    size_t base = strlen(recipe->base_dir), rest = strlen(as_written);
    if (as_written[0] == '/' || base == 0)
        return as_written;
    char *path = arena_bytes(&recipe->arena, base + rest + 1);
    if (path == NULL)
        return NULL;
    memcpy(path, recipe->base_dir, base);
    memcpy(path + base, as_written, rest + 1);
    return path;
}

static void read_raw(struct reader *r, const struct node *node, struct recipe_raw *ret)
{
    static const char *const known[] = {"comment", "name", "offset", "content", "hex", NULL};
    const char *comment = NULL;
    bool has_offset = false;
    ret->path = node->path;
    ret->name = "";
    read_keys(r, node, known);
    read_text(r, node, "comment", &comment);
    read_word(r, node, "name", &ret->name);
    read_size(r, node, "offset", &has_offset, &ret->offset_bytes);
    read_word(r, node, "content", &ret->content);
    read_hex(r, node, "hex", &ret->bytes, &ret->n_bytes);
    if (r->ret != 0)
        return;
    if (!has_offset)
        read_fail(r, node->path, "needs \"offset\": where on the disk the bytes go");
    if ((ret->content != NULL) == (ret->bytes != NULL))
        read_fail(r, node->path, "needs either \"content\" (a file) or \"hex\" (bytes)%s",
                  ret->content != NULL ? ", not both" : "");
    else if (ret->bytes != NULL && ret->n_bytes == 0)
        read_fail(r, node->path, "holds no bytes");
}

/* What the partitions are checked against. */
static void read_disk(struct reader *r, const struct node *root)
{
    static const char *const tables[] = {"gpt", "mbr", NULL};
    struct recipe *recipe = r->recipe;
    size_t table = SIZE_MAX;
    uint64_t sector_bytes = 512, signature = 0;
    read_choice(r, root, "table", tables, &table);
    read_number(r, root, "sector_bytes", UINT64_MAX, NULL, &sector_bytes);
    read_size(r, root, "disk_size", NULL, &recipe->disk_bytes);
    read_guid(r, root, "disk_guid", &recipe->has_disk_guid, recipe->disk_guid);
    read_number(r, root, "mbr_signature", UINT32_MAX, &recipe->has_mbr_signature, &signature);
    read_bool(r, root, "protective_active", &recipe->protective_active);
    read_word(r, root, "boot_code", &recipe->boot_code);
    read_word(r, root, "seed", &recipe->seed);
    read_time(r, root, "time", &recipe->has_time, &recipe->time_s);
    recipe->align_bytes = 1 << 20;
    read_size(r, root, "align", NULL, &recipe->align_bytes);
    if (r->ret != 0)
        return;
    if (table == SIZE_MAX) {
        read_fail(r, "", "needs \"table\": \"gpt\" or \"mbr\"");
        return;
    }
    recipe->table = tables[table];
    recipe->mbr_signature = (uint32_t)signature;
    if (sector_bytes != 512 && sector_bytes != 4096) {
        read_fail(r, "sector_bytes", "expected 512 or 4096, found %llu", (unsigned long long)sector_bytes);
        return;
    }
    recipe->sector_bytes = (uint32_t)sector_bytes;
    if (!is_pow2_u64(recipe->align_bytes) || recipe->align_bytes < sector_bytes ||
        recipe->align_bytes > (uint64_t)1 << 40)
        read_fail(r, "align", "expected a power of two from the sector size (%u) to 1 TiB, found %llu",
                  recipe->sector_bytes, (unsigned long long)recipe->align_bytes);
    read_check_sectors(r, "disk_size", recipe->disk_bytes);
    if (read_has(root, "disk_size") && recipe->disk_bytes == 0)
        read_fail(r, "disk_size", "a disk of 0 bytes cannot be; leave it out to fit the partitions");
    if (table == 1 && recipe->has_disk_guid)
        read_fail(r, "disk_guid", "exists in a gpt table only; mbr has \"mbr_signature\"");
    if (table == 1 && read_has(root, "protective_active"))
        read_fail(r, "protective_active", "exists in a gpt table only; mbr partitions have \"active\"");
    if (table == 0 && recipe->has_mbr_signature)
        read_fail(r, "mbr_signature", "exists in an mbr table only; gpt has \"disk_guid\"");
}

/* Names, numbers and GUIDs that two partitions share; `rest` twice. */
static void check_unique(struct reader *r)
{
    const struct recipe *recipe = r->recipe;
    const char *rest = NULL, *active = NULL;
    for (size_t i = 0; i < recipe->n_partitions; i++) {
        const struct recipe_partition *p = &recipe->partitions[i];
        if (p->size_kind == RECIPE_SIZE_REST && rest != NULL)
            read_fail(r, p->path, "only one partition can have \"size\": \"rest\"; %s has it already", rest);
        if (p->size_kind == RECIPE_SIZE_REST)
            rest = p->path;
        if (p->size_kind == RECIPE_SIZE_REST && recipe->disk_bytes == 0)
            read_fail(r, p->path, "\"size\": \"rest\" needs \"disk_size\": the rest of what?");
        if (p->active && active != NULL)
            read_fail(r, p->path, "only one partition can be active; %s is already", active);
        if (p->active)
            active = p->path;
        for (size_t j = 0; j < i; j++) {
            const struct recipe_partition *q = &recipe->partitions[j];
            if (p->name[0] != '\0' && strcmp(p->name, q->name) == 0)
                read_fail(r, p->path, "name \"%s\" is taken by %s", p->name, q->path);
            if (p->number != 0 && p->number == q->number)
                read_fail(r, p->path, "number %u is taken by %s", p->number, q->path);
            if (p->has_uuid && q->has_uuid && memcmp(p->uuid, q->uuid, 16) == 0)
                read_fail(r, p->path, "uuid is the same as that of %s", q->path);
        }
        if (p->has_uuid && recipe->has_disk_guid && memcmp(p->uuid, recipe->disk_guid, 16) == 0)
            read_fail(r, p->path, "uuid is the same as disk_guid");
    }
}

static void read_root(struct reader *r)
{
    static const char *const known[] = {"$schema",           "comment",   "defaults",  "table",
                                        "sector_bytes",      "disk_size", "disk_guid", "mbr_signature",
                                        "protective_active", "seed",      "time",      "align",
                                        "partitions",        "raw",       "boot_code", NULL};
    struct recipe *recipe = r->recipe;
    struct node root = {recipe->root, ""}, array, item;
    const char *ignored = NULL;
    size_t n;
    read_keys(r, &root, known);
    read_text(r, &root, "$schema", &ignored);
    read_text(r, &root, "comment", &ignored);
    read_disk(r, &root);
    if (read_array(r, &root, "partitions", RECIPE_MAX_PARTITIONS, &array, &n)) {
        recipe->partitions = read_alloc(r, n + 1, sizeof *recipe->partitions);
        for (size_t i = 0; i < n && r->ret == 0; i++) {
            read_element(r, &array, i, &item);
            read_partition(r, &item, &recipe->partitions[i]);
            recipe->n_partitions = i + 1;
        }
    }
    if (r->ret == 0 && recipe->n_partitions == 0)
        read_fail(r, "", "needs \"partitions\" with at least one element");
    if (read_array(r, &root, "raw", RECIPE_MAX_RAW, &array, &n)) {
        recipe->raw = read_alloc(r, n + 1, sizeof *recipe->raw);
        for (size_t i = 0; i < n && r->ret == 0; i++) {
            read_element(r, &array, i, &item);
            read_raw(r, &item, &recipe->raw[i]);
            recipe->n_raw = i + 1;
        }
    }
    if (r->ret == 0)
        check_unique(r);
}

int recipe_load(const char *file, const char *const *defines, size_t n_defines, struct recipe **ret,
                struct plat_err *err)
{
    struct recipe *recipe = calloc(1, sizeof *recipe);
    if (recipe == NULL)
        return err_nomem(err, "reading the recipe");
    recipe->file = file;
    int rc = find_base_dir(recipe, err);
    if (rc == 0)
        rc = parse_document(recipe, err);
    if (rc == 0 && !json_is_object(recipe->root)) {
        char buf[64];
        rc = recipe_fail(recipe, "", err, "expected an object at the top, found %s",
                         json_describe(recipe->root, buf));
    }
    if (rc == 0)
        rc = recipe_substitute(recipe, defines, n_defines, err);
    if (rc == 0) {
        struct reader r = {recipe, err, 0};
        read_root(&r);
        rc = r.ret;
    }
    if (rc == 0)
        rc = recipe_digest(recipe, err);
    if (rc != 0) {
        recipe_close(recipe);
        return rc;
    }
    *ret = recipe;
    return 0;
}

void recipe_close(struct recipe *recipe)
{
    if (recipe == NULL)
        return;
    json_decref(recipe->root);
    arena_free(&recipe->arena);
    free(recipe);
}
