/* What FAT32 offers to `plat mk` and `plat build`: its options, and the steps plan, settle, write. */
#include <stdlib.h>

#include "formats/fat32/plan.h"
#include "lib/hash/hash.h"

enum {
    DRIVE_NUMBER_FIRST_DISK = 0x80,
    VOLUME_ID_DIGITS = 8,
    TREE_DIGEST_BYTES = 65,
    ROLE_BYTES = 128,
    OPTION_TEXT_BYTES = 64
};

static const char NO_LABEL[] = "NO NAME";

static const struct make_option_desc options_table[] = {
    {.name = "cluster-bytes",
     .argument = "BYTES",
     .doc = "cluster size, a power of two; by default the usual one for the volume's size"},
    {.name = "reserved-sectors",
     .argument = "N",
     .doc = "sectors before the first FAT, 9 or more; by default 32 or what aligns the data to 4 KiB"},
    {.name = "fats", .argument = "1|2", .doc = "copies of the file allocation table; 2 by default"},
    {.name = "volume-id",
     .argument = "XXXX-XXXX",
     .doc = "serial number; by default derived from the names and times of the files"},
    {.name = "oem",
     .argument = "TEXT",
     .doc = "OEM name of the boot sector, up to 8 characters; MSWIN4.1 by default"},
    {.name = "drive-number", .argument = "N", .doc = "BIOS drive number of the boot sector; 128 by default"},
};
enum { N_OPTIONS = sizeof(options_table) / sizeof(options_table[0]) };

/* ---- options ---- */

static int extra_check_names(json_t *extra, struct plat_err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(extra, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < N_OPTIONS; i++)
            known = known || strcmp(options_table[i].name, name) == 0;
        if (!known)
            return err_set(err, PLAT_EINVALID,
                           "fat32 has no option '%.80s'; it has cluster-bytes, reserved-sectors, fats, "
                           "volume-id, oem and drive-number",
                           name);
    }
    return 0;
}

/* A number, as JSON number or as text with an optional unit. Absent: *ret stays. */
static int extra_number(json_t *extra, const char *name, struct range allowed, uint64_t *ret,
                        struct plat_err *err)
{
    json_t *value = json_object_get(extra, name);
    uint64_t number = 0;

    if (value == NULL)
        return 0;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        number = (uint64_t)json_integer_value(value);
    } else if (json_is_string(value)) {
        const char *text = json_string_value(value);
        int r = strncmp(text, "0x", 2) == 0 ? parse_u64(text, &number, err) : parse_size(text, &number, err);
        if (r < 0)
            return err_prefix(err, "%s", name);
    } else {
        return err_set(err, PLAT_EINVALID, "%s must be a number that is not negative", name);
    }
    if (number < allowed.start || number - allowed.start >= allowed.bytes)
        return err_set(err, PLAT_EINVALID, "%s is %llu and must be from %llu to %llu", name,
                       (unsigned long long)number, (unsigned long long)allowed.start,
                       (unsigned long long)(allowed.start + allowed.bytes - 1));
    *ret = number;
    return 0;
}

/* Text. A command line cannot tell the text 12345678 from a number, so a number is taken as its digits, at
 * least `digits` of them. Absent: buf stays. */
static int extra_text(json_t *extra, const char *name, int digits, char buf[OPTION_TEXT_BYTES],
                      struct plat_err *err)
{
    json_t *value = json_object_get(extra, name);

    if (value == NULL)
        return 0;
    if (json_is_integer(value))
        snprintf(buf, OPTION_TEXT_BYTES, "%0*lld", digits, (long long)json_integer_value(value));
    else if (json_is_string(value))
        snprintf(buf, OPTION_TEXT_BYTES, "%s", json_string_value(value));
    else
        return err_set(err, PLAT_EINVALID, "%s must be text", name);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* XXXX-XXXX, or 8 digits. */
static int volume_id_parse(const char *text, uint32_t *ret, struct plat_err *err)
{
    uint32_t id = 0;
    unsigned digits = 0;

    for (const char *p = text; *p != '\0'; p++) {
        int digit = hex_digit(*p);
        if (*p == '-' && digits == VOLUME_ID_DIGITS / 2 && p[-1] != '-')
            continue;
        if (digit < 0 || digits == VOLUME_ID_DIGITS) {
            digits = 0;
            break;
        }
        id = id << 4 | (uint32_t)digit;
        digits++;
    }
    if (digits != VOLUME_ID_DIGITS)
        return err_set(err, PLAT_EINVALID,
                       "'%.40s' is not a FAT volume id; 8 hexadecimal digits are, as in 1A2B-3C4D", text);
    *ret = id;
    return 0;
}

/* Space-padded, upper-case. */
static int label_set(struct make_plan *plan, const char *label, struct plat_err *err)
{
    memset(plan->label, ' ', sizeof(plan->label));
    plan->has_label = label != NULL && label[0] != '\0' && strcmp(label, NO_LABEL) != 0;
    if (!plan->has_label)
        label = NO_LABEL;

    size_t n = strlen(label);
    if (n > sizeof(plan->label))
        return err_set(err, PLAT_EINVALID, "the label '%.80s' has %zu bytes and FAT32 keeps %zu", label, n,
                       sizeof(plan->label));
    if (label[0] == ' ' || label[n - 1] == ' ')
        return err_set(err, PLAT_EINVALID, "the label '%s' begins or ends with a space, which is not kept",
                       label);
    for (size_t i = 0; i < n; i++) {
        char c = label[i];
        if (c < 0x20 || c == 0x7F || strchr("\"*+,./:;<=>?[\\]|", c) != NULL)
            return err_set(err, PLAT_EINVALID,
                           "the label has byte 0x%02x at position %zu; ASCII letters, digits, spaces and ! # "
                           "$ %% & ' ( ) - "
                           "@ ^ _ ` { } ~ are possible",
                           (unsigned)(uint8_t)c, i);
        plan->label[i] = (uint8_t)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    return 0;
}

static int oem_set(struct make_plan *plan, const char *oem, struct plat_err *err)
{
    memset(plan->oem, ' ', sizeof(plan->oem));
    size_t n = strlen(oem);
    if (n > sizeof(plan->oem))
        return err_set(err, PLAT_EINVALID, "the OEM name '%.80s' has %zu bytes and there is room for %zu",
                       oem, n, sizeof(plan->oem));
    for (size_t i = 0; i < n; i++)
        if (oem[i] < 0x20 || oem[i] == 0x7F)
            return err_set(err, PLAT_EINVALID,
                           "the OEM name has byte 0x%02x at position %zu; it must be ASCII text",
                           (unsigned)(uint8_t)oem[i], i);
    memcpy(plan->oem, oem, n);
    return 0;
}

/* Of what is stored with a time. The root has none on disk, so its own counts only when it is empty. */
static int64_t newest_mtime(const struct make_plan *plan)
{
    int64_t newest = INT64_MIN;

    for (uint32_t i = 1; i < plan->n_items; i++)
        if (plan->items[i].node->mtime_s > newest)
            newest = plan->items[i].node->mtime_s;
    return plan->n_items > 1 ? newest : tree_root(plan->tree)->mtime_s;
}

/* The volume id that nobody chose: from the seed, and from the names and times of the files. */
static void volume_id_derive(struct make_plan *plan, const char *seed)
{
    char digest[TREE_DIGEST_BYTES], role[ROLE_BYTES];
    uint8_t guid[16];

    tree_digest(plan->tree, false, digest);
    snprintf(role, sizeof(role), "fat32 volume id %s", digest);
    hash_derive_guid(seed, role, 0, guid);
    plan->volume_id = load_le32(guid);
}

/* The options of this format alone. */
static int extra_read(struct make_plan *plan, json_t *extra, struct plat_err *err)
{
    static const struct range cluster = {512, 65536 - 512 + 1}, reserved = {9, 65535 - 9 + 1}, fats = {1, 2},
                              drive = {0, 256};
    uint64_t cluster_bytes = 0, reserved_sectors = 0, num_fats = 2, drive_number = DRIVE_NUMBER_FIRST_DISK;
    char volume_id[OPTION_TEXT_BYTES] = "", oem[OPTION_TEXT_BYTES] = "MSWIN4.1";

    if (extra != NULL && !json_is_object(extra))
        return err_set(err, PLAT_EINVALID, "the options of fat32 must be an object");
    int r = extra_check_names(extra, err);
    if (r == 0)
        r = extra_number(extra, "cluster-bytes", cluster, &cluster_bytes, err);
    if (r == 0)
        r = extra_number(extra, "reserved-sectors", reserved, &reserved_sectors, err);
    if (r == 0)
        r = extra_number(extra, "fats", fats, &num_fats, err);
    if (r == 0)
        r = extra_number(extra, "drive-number", drive, &drive_number, err);
    if (r == 0)
        r = extra_text(extra, "volume-id", VOLUME_ID_DIGITS, volume_id, err);
    if (r == 0)
        r = extra_text(extra, "oem", 1, oem, err);
    if (r == 0 && json_object_get(extra, "volume-id") != NULL) {
        r = volume_id_parse(volume_id, &plan->volume_id, err);
        plan->has_volume_id = true;
    }
    if (r < 0)
        return r;
    plan->wish.cluster_bytes = (uint32_t)cluster_bytes;
    plan->wish.reserved_sectors = (uint32_t)reserved_sectors;
    plan->wish.num_fats = (uint32_t)num_fats;
    plan->drive_number = (uint8_t)drive_number;
    return oem_set(plan, oem, err);
}

static int options_read(struct make_plan *plan, const struct make_options *options, struct plat_err *err)
{
    plan->wish.sector_bytes = options->sector_bytes;
    plan->first_sector = options->first_sector;
    int r = extra_read(plan, options->extra, err);
    if (r == 0 && !plan->has_volume_id && options->uuid != NULL) {
        r = volume_id_parse(options->uuid, &plan->volume_id, err);
        plan->has_volume_id = true;
    }
    if (r == 0)
        r = fat32_wish_check(&plan->wish, err);
    return r < 0 ? r : label_set(plan, options->label, err);
}

/* ---- the maker ---- */

static int maker_plan(struct tree *tree, const struct make_options *options, struct make_plan **ret,
                      struct plat_err *err)
{
    struct make_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL)
        return err_nomem(err, "planning a FAT32");

    plan->tree = tree;
    int r = options_read(plan, options, err);
    if (r == 0)
        r = fat32_plan_items(plan, err);
    if (r < 0) {
        fat32_plan_free(plan);
        return r;
    }
    if (!plan->has_volume_id)
        volume_id_derive(plan, options->seed);
    plan->volume_time_s = options->has_time ? options->time_s : newest_mtime(plan);
    *ret = plan;
    return 0;
}

static void maker_describe(const struct make_plan *plan, struct strbuf *ret)
{
    const struct fat32_geometry *geo = &plan->geo;
    char size[16];

    if (!plan->settled) {
        strbuf_printf(ret, "%u files and directories, size not settled", plan->n_items - 1);
        return;
    }
    format_size(geo->cluster_bytes, size);
    strbuf_printf(ret, "%s clusters, %u of them, %u used; %u %s of %u sectors behind %u reserved", size,
                  geo->cluster_count, plan->used_clusters, geo->num_fats, geo->num_fats == 1 ? "FAT" : "FATs",
                  geo->fat_sectors, geo->reserved_sectors);
}

const struct fs_maker fat32_maker = {
    .options = options_table,
    .n_options = N_OPTIONS,
    .plan = maker_plan,
    .min_bytes = fat32_plan_min_bytes,
    .settle = fat32_plan_settle,
    .describe = maker_describe,
    .write = fat32_plan_write,
    .close = fat32_plan_free,
};
