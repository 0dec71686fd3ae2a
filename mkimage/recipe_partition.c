/* One element of `partitions`. */
#include "mkimage/recipe_read.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/bytes.h"

/* GPT attributes that have a name (UEFI 2.10 table 5.5; bits 48-63 as the Discoverable Partitions
 * Specification uses them). */
static const struct {
    const char *name;
    unsigned bit;
} attribute_names[] = {
    {"required", 0},   {"no-block-io", 1}, {"legacy-boot", 2}, {"grow-file-system", 59},
    {"read-only", 60}, {"shadow", 61},     {"hidden", 62},     {"no-automount", 63},
};
enum { N_ATTRIBUTE_NAMES = sizeof attribute_names / sizeof *attribute_names };

static void read_attribute(struct reader *r, const struct node *node, uint64_t *bits)
{
    char buf[64];
    if (json_is_integer(node->json)) {
        json_int_t bit = json_integer_value(node->json);
        if (bit < 0 || bit > 63)
            read_fail(r, node->path, "expected a bit number from 0 to 63, found %lld", (long long)bit);
        else if (bit > 2 && bit < 48)
            read_fail(r, node->path, "bit %lld is reserved by UEFI (3 to 47); use 0 to 2 or 48 to 63",
                      (long long)bit);
        else
            *bits |= (uint64_t)1 << bit;
        return;
    }
    const char *names[N_ATTRIBUTE_NAMES + 1];
    struct strbuf list = {0};
    for (size_t i = 0; i < N_ATTRIBUTE_NAMES; i++) {
        names[i] = attribute_names[i].name;
        strbuf_printf(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
        if (json_is_string(node->json) && strcmp(json_string_value(node->json), names[i]) == 0) {
            *bits |= (uint64_t)1 << attribute_names[i].bit;
            strbuf_free(&list);
            return;
        }
    }
    names[N_ATTRIBUTE_NAMES] = NULL;
    const char *near =
        json_is_string(node->json) ? nearest_name(json_string_value(node->json), names, SIZE_MAX) : NULL;
    read_fail(r, node->path, "expected a bit number or one of: %s; found %s%s%s%s", strbuf_str(&list),
              json_describe(node->json, buf), near != NULL ? " (did you mean \"" : "",
              near != NULL ? near : "", near != NULL ? "\"?)" : "");
    strbuf_free(&list);
}

static void read_attributes(struct reader *r, const struct node *node, uint64_t *ret)
{
    struct node array, item;
    size_t n;
    if (!read_array(r, node, "attributes", 64, &array, &n))
        return;
    for (size_t i = 0; i < n && r->ret == 0; i++) {
        read_element(r, &array, i, &item);
        read_attribute(r, &item, ret);
    }
}

static void read_partition_size(struct reader *r, const struct node *node, struct recipe_partition *ret)
{
    struct node member;
    if (!read_member(r, node, "size", &member))
        return; /* auto */
    const char *text = json_string_value(member.json);
    if (text != NULL && strcmp(text, "auto") == 0)
        return;
    if (text != NULL && strcmp(text, "rest") == 0) {
        ret->size_kind = RECIPE_SIZE_REST;
        return;
    }
    if (text != NULL && text[0] != '\0' && strchr("0123456789-", text[0]) == NULL) {
        char buf[64];
        read_fail(r, member.path, "expected \"auto\", \"rest\" or a size such as \"64MiB\", found %s",
                  json_describe(member.json, buf));
        return;
    }
    if (!read_size_value(r, &member, &ret->size_bytes))
        return;
    ret->size_kind = RECIPE_SIZE_FIXED;
    if (ret->size_bytes == 0)
        read_fail(r, member.path, "a partition of 0 bytes cannot be; use \"auto\" to fit the content");
}

/* "16MiB", 4096, or "10%" of the content. */
static void read_slack(struct reader *r, const struct node *node, struct recipe_partition *ret)
{
    struct node member;
    if (!read_member(r, node, "slack", &member))
        return;
    ret->has_slack = true;
    const char *text = json_string_value(member.json);
    size_t len = text == NULL ? 0 : strlen(text);
    if (len >= 2 && text[len - 1] == '%') {
        uint64_t percent;
        char *digits = arena_strndup(&r->recipe->arena, text, len - 1);
        if (digits == NULL)
            read_nomem(r);
        else if (parse_u64(digits, &percent, NULL) != 0 || percent > 10000)
            read_fail(r, member.path, "expected 0%% to 10000%%, found \"%.40s\"", text);
        else
            ret->slack_percent = (uint32_t)percent;
        return;
    }
    (void)read_size_value(r, &member, &ret->slack_bytes);
}

/* Units that a name takes in UTF-16; jansson has checked that it is UTF-8. */
static size_t utf16_units(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c & 0xc0) != 0x80)
            n += c >= 0xf0 ? 2 : 1;
    }
    return n;
}

static void check_name(struct reader *r, const struct node *node, const char *name)
{
    const char *path = recipe_path_key(r->recipe, node->path, "name");
    size_t units = utf16_units(name);
    if (units > 36)
        read_fail(r, path, "expected at most 36 UTF-16 units, found %zu in \"%.150s\"", units, name);
    for (const char *s = name; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            read_fail(r, path, "must not contain control characters");
}

static void check_align(struct reader *r, const struct node *node, const char *key, uint64_t align)
{
    if (!is_pow2_u64(align) || align < r->recipe->sector_bytes || align > (uint64_t)1 << 40)
        read_fail(r, recipe_path_key(r->recipe, node->path, key),
                  "expected a power of two from the sector size (%u) to 1 TiB, found %llu",
                  r->recipe->sector_bytes, (unsigned long long)align);
}

static void check_sectors(struct reader *r, const struct node *node, const char *key, uint64_t bytes)
{
    read_check_sectors(r, recipe_path_key(r->recipe, node->path, key), bytes);
}

/* Keys that make no sense together. */
static void check_partition(struct reader *r, const struct node *node, const struct recipe_partition *p)
{
    bool gpt = strcmp(r->recipe->table, "gpt") == 0;
    static const char *const need_format[] = {"files",   "overrides", "options", "label",    "mode",
                                              "fs_uuid", "compact",   "nodes",   "all_root", NULL};
    static const char *const gpt_only[] = {"uuid", "attributes", NULL};
    for (size_t i = 0; p->format == NULL && need_format[i] != NULL; i++)
        if (read_has(node, need_format[i]))
            read_fail(r, recipe_path_key(r->recipe, node->path, need_format[i]),
                      "needs a \"format\" for the partition, for example \"fat32\"");
    for (size_t i = 0; !gpt && gpt_only[i] != NULL; i++)
        if (read_has(node, gpt_only[i]))
            read_fail(r, recipe_path_key(r->recipe, node->path, gpt_only[i]), "exists in a gpt table only%s",
                      i == 1 ? "; mbr has \"active\"" : "");
    if (gpt && read_has(node, "active"))
        read_fail(r, recipe_path_key(r->recipe, node->path, "active"),
                  "exists in an mbr table only; gpt has \"attributes\": [\"legacy-boot\"]");
    if (p->format != NULL && p->content != NULL)
        read_fail(r, recipe_path_key(r->recipe, node->path, "content"),
                  "is written as it is and excludes \"format\" (\"%.40s\")", p->format);
    if (p->has_slack && p->size_kind != RECIPE_SIZE_AUTO)
        read_fail(r, recipe_path_key(r->recipe, node->path, "slack"), "goes with \"size\": \"auto\" only");
    if (p->compact && (p->has_slack || p->size_kind != RECIPE_SIZE_AUTO))
        read_fail(r, recipe_path_key(r->recipe, node->path, "compact"),
                  "goes with \"size\": \"auto\" only, and without \"slack\": it keeps nothing free");
    if (p->size_kind == RECIPE_SIZE_AUTO && p->format == NULL && p->content == NULL)
        read_fail(r, recipe_path_key(r->recipe, node->path, "size"),
                  "there is nothing to fit: give a size, a \"format\" or \"content\"");
}

void read_partition(struct reader *r, const struct node *node, struct recipe_partition *ret)
{
    static const char *const known[] = {"comment",   "name",    "type",  "format",  "size",       "slack",
                                        "compact",   "label",   "uuid",  "fs_uuid", "attributes", "active",
                                        "number",    "start",   "align", "content", "options",    "files",
                                        "overrides", "objects", "mode",  "nodes",   "all_root",   NULL};
    const char *comment = NULL;
    uint64_t number = 0;
    ret->path = node->path;
    ret->name = "";
    read_keys(r, node, known);
    read_text(r, node, "comment", &comment);
    read_word(r, node, "name", &ret->name);
    read_word(r, node, "type", &ret->type);
    read_word(r, node, "format", &ret->format);
    if (ret->format != NULL && (strcmp(ret->format, "raw") == 0 || strcmp(ret->format, "none") == 0))
        ret->format = NULL;
    read_partition_size(r, node, ret);
    read_slack(r, node, ret);
    read_bool(r, node, "compact", &ret->compact);
    read_text(r, node, "label", &ret->label);
    read_guid(r, node, "uuid", &ret->has_uuid, ret->uuid);
    read_word(r, node, "fs_uuid", &ret->fs_uuid);
    read_attributes(r, node, &ret->attributes);
    read_bool(r, node, "active", &ret->active);
    read_number(r, node, "number", RECIPE_MAX_PARTITIONS, NULL, &number);
    if (r->ret == 0 && read_has(node, "number") && number == 0)
        read_fail(r, recipe_path_key(r->recipe, node->path, "number"),
                  "partitions are numbered from 1, found 0");
    ret->number = (uint32_t)number;
    read_size(r, node, "start", &ret->has_start, &ret->start_bytes);
    read_size(r, node, "align", NULL, &ret->align_bytes);
    read_word(r, node, "content", &ret->content);
    read_texts(r, node, "objects", &ret->objects);
    read_object(r, node, "options", &ret->options);
    ret->has_files = read_has(node, "files");
    read_tree(r, node, 0, &ret->tree);
    if (r->ret != 0)
        return;
    if (ret->type == NULL)
        read_fail(r, node->path, "needs \"type\": a well-known name such as \"%s\", or %s",
                  strcmp(r->recipe->table, "gpt") == 0 ? "esp" : "fat32-lba",
                  strcmp(r->recipe->table, "gpt") == 0 ? "a GUID" : "a hexadecimal number such as \"0x0c\"");
    check_name(r, node, ret->name);
    if (read_has(node, "align"))
        check_align(r, node, "align", ret->align_bytes);
    check_sectors(r, node, "size", ret->size_bytes);
    check_sectors(r, node, "start", ret->start_bytes);
    check_partition(r, node, ret);
}
