/* Every byte of every structure, changed: of a GPT disk, an MBR disk, and a FAT32 in a GPT disk.
 *
 * Each byte is changed (all its bits, and one bit, or each bit by itself where a byte has parts), and
 * `verify` must then give a finding whose path names the structure that was hit. Bytes that the format leaves
 * free are in the list below, by field and with the reason. The list is exact: a change that a field's line
 * calls free must go unnoticed, any other must be found, and a line that no change bears out fails.
 *
 * Catches: a check that was lost, bytes that no check looks at, a finding that blames the wrong structure, a
 * line in the list that hides a fault. */
#include "tests/unit/hostile_image.h"

/* ---- the bytes ---- */

/* One byte of metadata and what it belongs to. */
struct spot {
    uint64_t offset;
    char path[100];         /* of the structure, without index and field: esp.dir["/EFI"] */
    char name[64];          /* layout.type.field, or layout.what for bytes of no structure */
    unsigned index;         /* element of its array */
    unsigned at;            /* byte within the field */
    uint64_t field_offset;  /* of the field */
    uint64_t struct_offset; /* of the structure */
};
struct spots {
    struct spot *list;
    size_t n, cap;
    uint8_t *covered; /* by offset */
    const struct hostile *image;
    uint32_t used_links; /* FAT entries looked at */
    bool failed;
};

static struct spot *spot_add(struct spots *spots)
{
    if (spots->n == spots->cap) {
        spots->cap = spots->cap == 0 ? 4096 : 2 * spots->cap;
        spots->list = realloc(spots->list, spots->cap * sizeof *spots->list);
        if (spots->list == NULL)
            hostile_die("memory", NULL);
    }
    struct spot *spot = &spots->list[spots->n++];
    *spot = (struct spot){0};
    return spot;
}

/* "esp.dir[\"/EFI\"][3]" without its index; what is in quotes stays. */
static void stem_of(const char *path, char *ret, size_t ret_bytes)
{
    (void)snprintf(ret, ret_bytes, "%s", path);
    size_t n = strlen(ret);
    if (n > 0 && ret[n - 1] == ']' && (n < 2 || ret[n - 2] != '"')) {
        while (n > 0 && ret[n - 1] != '[')
            n--;
        ret[n > 0 ? n - 1 : 0] = '\0';
    }
}

static void gather_struct(struct spots *spots, const struct inst *inst, const char *stem, unsigned index)
{
    const struct type *shape = inst_shape(inst);
    for (size_t i = 0; shape != NULL && i < shape->n_fields; i++) {
        const struct field *field = &shape->fields[i];
        struct range place;
        if (inst_field_place(inst, field, &place, NULL) != 0) {
            spots->failed = true;
            return;
        }
        if (field->repr == REPR_TYPE) {
            uint64_t count = 0;
            (void)inst_count(inst, field, &count, NULL);
            for (uint64_t k = 0; k < count; k++) {
                struct inst nested;
                char path[160];
                if (inst_nested(inst, field, k, path, sizeof path, &nested, NULL) == 0)
                    gather_struct(spots, &nested, stem, (unsigned)k);
            }
            continue;
        }
        for (unsigned at = 0; at < place.bytes; at++) {
            uint64_t offset = inst->offset + place.start + at;
            if (spots->covered[offset] != 0)
                continue; /* two layers describe it: the first one counts */
            spots->covered[offset] = 1;
            struct spot *spot = spot_add(spots);
            spot->offset = offset;
            spot->index = index;
            spot->at = at;
            spot->field_offset = inst->offset + place.start;
            spot->struct_offset = inst->offset;
            (void)snprintf(spot->path, sizeof spot->path, "%s", stem);
            (void)snprintf(spot->name, sizeof spot->name, "%s.%s.%s", inst->image->layout->name, shape->name,
                           field->name);
        }
    }
}

static int gather_instance(void *ctx, const struct inst *inst)
{
    struct spots *spots = ctx;
    char stem[100];
    stem_of(inst->path, stem, sizeof stem);
    /* Entries of free clusters are all alike: the first few of them do. */
    if (strcmp(inst->type->name, "fat_entry") == 0 && inst->index >= spots->used_links) {
        memset(spots->covered + inst->offset, 1, inst->size_bytes);
        return 0;
    }
    gather_struct(spots, inst, stem, (unsigned)inst->index);
    return 0;
}

/* Metadata and padding of no structure: what is behind the end of a directory, in reserved sectors, behind
 * the last entry of a FAT, behind the end of a file. */
static int gather_extent(void *ctx, const struct extent *extent)
{
    struct spots *spots = ctx;
    bool gap = strncmp(extent->path, "gap", 3) == 0;
    if ((extent->kind != EXTENT_METADATA && extent->kind != EXTENT_PADDING) || gap)
        return 0;
    for (uint64_t i = 0; i < extent->place.bytes; i++) {
        uint64_t offset = extent->place.start + i;
        if (spots->covered[offset] != 0)
            continue;
        spots->covered[offset] = 1;
        struct spot *spot = spot_add(spots);
        spot->offset = spot->field_offset = spot->struct_offset = offset;
        (void)snprintf(spot->path, sizeof spot->path, "%s", extent->path);
        (void)snprintf(spot->name, sizeof spot->name, "%s",
                       extent->path[0] == '/'                  ? "behind the end of a file"
                       : strncmp(extent->path, "dir", 3) == 0  ? "behind the end of a directory"
                       : strncmp(extent->path, "fat", 3) == 0  ? "behind the last entry of a FAT"
                       : strcmp(extent->path, "reserved") == 0 ? "in no structure of the reserved sectors"
                                                               : extent->path);
    }
    return 0;
}

static int count_link(void *ctx, const struct inst *inst)
{
    struct spots *spots = ctx;
    if (strcmp(inst->type->name, "fat_entry") == 0 && !bytes_all(inst->bytes, inst->size_bytes, 0) &&
        inst->index >= spots->used_links)
        spots->used_links = (uint32_t)inst->index + 4;
    return 0;
}

static void gather(const struct hostile *image, const char *partition, struct spots *ret)
{
    const struct stack_options options = {.degraded = true, .partition = partition};
    const struct walk_sink first = {.ctx = ret, .elements = true, .instance = count_link};
    const struct walk_sink second = {.ctx = ret, .elements = true, .instance = gather_instance};
    const struct walk_sink third = {.ctx = ret, .extent = gather_extent};
    struct stack *stack = NULL;
    struct plat_err err = {0};
    *ret = (struct spots){.image = image, .covered = calloc(1, (size_t)image->size_bytes)};
    if (ret->covered == NULL || stack_open(image->dev, &options, &stack, &err) != 0 ||
        stack_walk(stack, &first, &err) != 0 || stack_walk(stack, &second, &err) != 0 ||
        stack_walk(stack, &third, &err) != 0 || ret->failed)
        hostile_die("walking the sound image", &err);
    stack_close(stack);
}

static void spots_free(struct spots *spots)
{
    free(spots->list);
    free(spots->covered);
}

/* ---- what the formats leave free ---- */

struct flip {
    const struct spot *spot;
    const uint8_t *bytes; /* of the image, with the change in it */
    uint8_t old, new;
};

static uint16_t field16(const struct flip *flip)
{
    return load_le16(flip->bytes + flip->spot->field_offset);
}

static bool active_alone(const struct flip *flip)
{
    uint8_t type = flip->bytes[flip->spot->struct_offset + 4];
    return flip->new == 0x80 && type != 0 && type != 0xEE;
}
static bool no_chs(const struct flip *flip)
{
    return load_uint(flip->bytes + flip->spot->field_offset, 3, false) == 0;
}
static bool any_type_but_none(const struct flip *flip)
{
    if (flip->old == 0 || flip->old == 0xEE)
        return false; /* a record that is not used, or protects a GPT */
    return flip->new != 0 && flip->new != 0xEE && flip->new != 0x05 && flip->new != 0x0F && flip->new != 0x85;
}
static bool hint_in_range(const struct flip *flip)
{
    if (strcmp(flip->spot->path, "backup_fsinfo") == 0)
        return true; /* nobody reads the copy's hint */
    uint32_t hint = load_le32(flip->bytes + flip->spot->field_offset);
    uint32_t clusters = HOSTILE_FAT_BYTES / HOSTILE_CLUSTER; /* a little more than there are */
    return hint == UINT32_MAX || (hint >= 2 && hint < clusters - 2000);
}
static bool dos_attribute(const struct flip *flip)
{
    const uint8_t free_bits = 0x01 | 0x02 | 0x04 | 0x20;
    return ((flip->old ^ flip->new) & ~free_bits) == 0;
}
static bool case_bit(const struct flip *flip)
{
    return ((flip->old ^ flip->new) & ~0x18) == 0;
}
static bool tenths_in_range(const struct flip *flip)
{
    return flip->new <= 199;
}
static bool time_of_day(const struct flip *flip)
{
    uint16_t time = field16(flip);
    return (time & 31) <= 29 && (time >> 5 & 63) <= 59 && time >> 11 <= 23;
}
static bool day_of_calendar(const struct flip *flip)
{
    uint16_t date = field16(flip);
    return (date & 31) >= 1 && (date >> 5 & 15) >= 1 && (date >> 5 & 15) <= 12;
}
/* Bytes of 8.3 names; 05 stands for E5 in the first place. */
static bool short_character(uint8_t c, bool first)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~";
    return c >= 0x80 || (first && c == 0x05) || (c != 0 && strchr(allowed, c) != NULL);
}
/* Another 8.3 name that is legal, without a long one whose checksum would tell. */
static bool other_short_name(const struct flip *flip)
{
    const uint8_t *entry = flip->bytes + flip->spot->struct_offset;
    const uint8_t *field = flip->bytes + flip->spot->field_offset;
    unsigned at = flip->spot->at, width = field == entry ? 8 : 3;
    bool dots = entry[0] == '.' || (field == entry && at == 0 && flip->old == '.');
    bool has_long = flip->spot->index > 0 && entry[-32 + 11] == 0x0F;
    if (dots || has_long || entry[0] == 0xE5 || (field == entry && field[0] == ' '))
        return false;
    /* Spaces stand at the end alone. */
    for (unsigned i = 1; i < width; i++) {
        if (field[i] != ' ' && field[i - 1] == ' ')
            return false;
    }
    return flip->new == ' ' || short_character(flip->new, field == entry && at == 0);
}
/* An empty file comes back to life under another name. */
static bool other_first_character(const struct flip *flip)
{
    return short_character(flip->new, true);
}
/* Another character that is legal in a long name: its checksum is of the short one. */
static bool other_long_character(const struct flip *flip)
{
    const uint8_t *at = flip->bytes + flip->spot->field_offset + (flip->spot->at & ~1u);
    uint16_t now = load_le16(at);
    uint16_t was = (uint16_t)(now ^ (uint16_t)((flip->old ^ flip->new) << (flip->spot->at & 1 ? 8 : 0)));
    return now >= 0x20 && (now >= 0x80 || strchr("\"*/:<>?\\|", now) == NULL) &&
           (now < 0xD800 || now > 0xDFFF) && was != 0 && was != 0xFFFF;
}
/* Larger, without another cluster: the bytes that become part of the file are 0, as padding is. */
static bool size_in_last_cluster(const struct flip *flip)
{
    uint32_t now = load_le32(flip->bytes + flip->spot->field_offset);
    uint32_t was = now ^ (uint32_t)(flip->old ^ flip->new) << (8 * flip->spot->at);
    return now > was && was > 0 && (now - 1) / HOSTILE_CLUSTER == (was - 1) / HOSTILE_CLUSTER;
}

static struct free_field {
    const char *name;
    bool (*only)(const struct flip *flip); /* the changes that are free; NULL: all */
    const char *reason;
    unsigned borne_out;
} free_fields[] = {
    {"mbr.boot_record.boot_code", NULL, "any program; nothing says which", 0},
    {"mbr.boot_record.disk_signature", NULL, "a random identity", 0},
    {"mbr.record.status", active_alone, "any partition may be the active one", 0},
    {"mbr.record.chs_first", no_chs, "0: the place is not given in CHS terms", 0},
    {"mbr.record.type", any_type_but_none, "what a partition is for is up to the user", 0},
    {"fat32.fsinfo.next_free", hint_in_range, "a hint; any cluster there is will do", 0},
    {"fat32.deleted_entry.first_byte", other_first_character, "the file is there again, under another name",
     0},
    {"fat32.deleted_entry.unused", NULL, "remains of a deleted file, which nobody reads", 0},
    {"fat32.short_entry.name", other_short_name, "without a long name: another legal name", 0},
    {"fat32.short_entry.extension", other_short_name, "without a long name: another legal name", 0},
    {"fat32.short_entry.attributes", dos_attribute, "read-only, hidden, system, archive: up to the user", 0},
    {"fat32.short_entry.case", case_bit, "how an 8.3 name is shown", 0},
    {"fat32.short_entry.create_tenths", tenths_in_range, "any time will do, 0 to 1.99 s", 0},
    {"fat32.short_entry.create_time", time_of_day, "any time of day will do", 0},
    {"fat32.short_entry.create_date", day_of_calendar, "any date will do", 0},
    {"fat32.short_entry.access_date", day_of_calendar, "any date will do", 0},
    {"fat32.short_entry.write_time", time_of_day, "any time of day will do", 0},
    {"fat32.short_entry.write_date", day_of_calendar, "any date will do", 0},
    {"fat32.short_entry.size_bytes", size_in_last_cluster, "the same clusters, and zeros more", 0},
    {"fat32.label_entry.attributes", dos_attribute, "read-only, hidden, system, archive: up to the user", 0},
    {"fat32.label_entry.create_tenths", tenths_in_range, "any time will do, 0 to 1.99 s", 0},
    {"fat32.label_entry.create_time", time_of_day, "any time of day will do", 0},
    {"fat32.label_entry.create_date", day_of_calendar, "any date will do", 0},
    {"fat32.label_entry.access_date", day_of_calendar, "any date will do", 0},
    {"fat32.label_entry.write_time", time_of_day, "any time of day will do", 0},
    {"fat32.label_entry.write_date", day_of_calendar, "any date will do", 0},
    {"fat32.long_entry.name_1", other_long_character, "another legal name: the checksum is of the short one",
     0},
    {"fat32.long_entry.name_2", other_long_character, "another legal name: the checksum is of the short one",
     0},
    {"fat32.long_entry.name_3", other_long_character, "another legal name: the checksum is of the short one",
     0},
};
enum { FREE_FIELDS = sizeof free_fields / sizeof free_fields[0] };

static struct free_field *free_field_of(const struct flip *flip)
{
    for (size_t i = 0; i < FREE_FIELDS; i++)
        if (strcmp(free_fields[i].name, flip->spot->name) == 0 &&
            (free_fields[i].only == NULL || free_fields[i].only(flip)))
            return &free_fields[i];
    return NULL;
}

/* ---- flipping ---- */

/* A structure and its copy cannot be told apart by what differs: a finding may name either. */
static bool same_structure(const char *hit, const char *found)
{
    static const char *const pairs[][2] = {
        {"boot", "backup_boot"}, {"boot2", "backup_boot2"}, {"fsinfo", "backup_fsinfo"}, {"fat", "fat2"}};
    size_t n = strlen(hit);
    if (strncmp(found, hit, n) == 0 && (found[n] == '\0' || found[n] == '.' || found[n] == '['))
        return true;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        for (unsigned k = 0; k < 2; k++)
            if (strcmp(hit, pairs[i][k]) == 0) {
                size_t m = strlen(pairs[i][!k]);
                if (strncmp(found, pairs[i][!k], m) == 0 && strchr(".[", found[m]) != NULL)
                    return true;
            }
    return false;
}

/* Where two structures contradict each other the finding names one, and the other in its text; what is behind
 * the end of a file is told of the file's entry. */
static bool tells_of(const struct spot *spot, const struct hostile_finding *found)
{
    static const struct {
        const char *name, *id;
    } pairs[] = {{"fat32.label_entry.", "label-missing"},
                 {"fat32.short_entry.first_cluster", "cross-link"},
                 {"fat32.short_entry.first_cluster", "dotdot-target"},
                 {"behind the end of a file", "slack-not-zero"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strncmp(spot->name, pairs[i].name, strlen(pairs[i].name)) == 0 &&
            strcmp(found->id, pairs[i].id) == 0)
            return true;
    return false;
}

static bool named(const struct spot *spot, const struct hostile_verdict *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (same_structure(spot->path, v->list[i].path) || tells_of(spot, &v->list[i]))
            return true;
    return false;
}

struct tally {
    unsigned offered, share; /* one in `share` of what is offered is tried */
    unsigned flips, errors, mild, free, missed, loud, unnamed, failed;
};

/* Fields where some change is no more than a warning or a note, for the reader of the report. */
static struct {
    char name[64];
    unsigned n;
} mild[64];
static void mild_note(const char *name)
{
    size_t i = 0;
    while (i < 63 && mild[i].n > 0 && strcmp(mild[i].name, name) != 0)
        i++;
    (void)snprintf(mild[i].name, sizeof mild[i].name, "%s", name);
    mild[i].n++;
}

static void flip_one(const struct hostile *image, const char *partition, const struct spot *spot,
                     uint8_t mask, struct hostile_verdict *v, struct tally *tally)
{
    uint8_t *byte = &image->bytes[spot->offset];
    struct flip flip = {.spot = spot, .bytes = image->bytes, .old = *byte, .new = *byte ^ mask};
    *byte = flip.new;
    struct free_field *may = free_field_of(&flip);
    /* A sample still bears out each line of the list. */
    bool take = tally->offered++ % tally->share == 0 || (may != NULL && may->borne_out == 0);
    if (!take) {
        *byte = flip.old;
        return;
    }
    hostile_judge(image->dev, partition, v);
    *byte = flip.old;
    tally->flips++;
    const char *wrong = NULL;
    if (v->verify_class != 0) {
        wrong = "verify failed";
        tally->failed++;
    } else if (v->open_class != 0) {
        tally->errors++; /* exit 2, with a message: whoever asks learns of it */
    } else if (may != NULL && v->n > 0) {
        wrong = "in the list of free bytes, but it was found";
        tally->loud++;
    } else if (may != NULL) {
        may->borne_out++;
        tally->free++;
    } else if (v->n == 0) {
        wrong = "nothing was found";
        tally->missed++;
    } else if (!named(spot, v)) {
        wrong = "no finding names the structure";
        tally->unnamed++;
    } else {
        tally->errors += v->errors > 0;
        tally->mild += v->errors == 0;
    }
    if (wrong == NULL && v->n > 0 && v->errors == 0)
        mild_note(spot->name);
    unsigned bad = tally->missed + tally->loud + tally->unnamed + tally->failed;
    if (wrong != NULL && bad <= 40) {
        printf("# %s: 0x%llx %s[%u] %s byte %u, %02x to %02x\n", wrong, (unsigned long long)spot->offset,
               spot->path, spot->index, spot->name, spot->at, flip.old, flip.new);
        hostile_print(v);
    }
}

/* Bytes of which some bits may be judged unlike others: not those of long runs, nor of unused entries. */
static bool has_parts(const struct spot *spot)
{
    static const char *const structs[] = {"mbr.record.",        "gpt.header.",
                                          "fat32.short_entry.", "fat32.label_entry.",
                                          "fat32.long_entry.",  "fat32.deleted_entry.first",
                                          "fat32.fat_entry."};
    for (size_t i = 0; i < sizeof structs / sizeof structs[0]; i++)
        if (strncmp(spot->name, structs[i], strlen(structs[i])) == 0)
            return true;
    bool boot = strncmp(spot->name, "fat32.boot.", 11) == 0 && strstr(spot->name, "code") == NULL;
    return boot || (strncmp(spot->name, "gpt.entry.", 10) == 0 && spot->index < 3);
}

static void test_flips(const char *what, const struct hostile *image, const char *partition)
{
    static struct hostile_verdict verdict;
    struct spots spots;
    struct tally tally = {.share = tap_share()};
    hostile_judge(image->dev, partition, &verdict);
    if (!ok(verdict.open_class == 0 && verdict.n == 0, "%s is sound to begin with", what))
        hostile_print(&verdict);
    gather(image, partition, &spots);
    for (size_t i = 0; i < spots.n; i++) {
        const struct spot *spot = &spots.list[i];
        bool each_bit = has_parts(spot);
        flip_one(image, partition, spot, 0xFF, &verdict, &tally);
        for (unsigned bit = 0; bit < 8; bit++)
            if (each_bit || bit == spot->offset % 8)
                flip_one(image, partition, spot, (uint8_t)(1u << bit), &verdict, &tally);
    }
    ok(tally.flips > 1000 / tally.share && tally.missed == 0 && tally.failed == 0,
       "%s: of %u changes of %zu bytes none goes unnoticed but where the format leaves it free (%u)", what,
       tally.flips, spots.n, tally.free);
    ok(tally.loud == 0, "%s: what is in the list of free bytes is free", what);
    ok(tally.unnamed == 0, "%s: each finding names the structure (%u errors, %u milder)", what, tally.errors,
       tally.mild);
    spots_free(&spots);
}

static void test_list(void)
{
    unsigned stale = 0;
    printf("# What the formats leave free, with the changes that went unnoticed:\n");
    for (size_t i = 0; i < FREE_FIELDS; i++) {
        printf("#   %-34s %5u%s  %s\n", free_fields[i].name, free_fields[i].borne_out,
               free_fields[i].only != NULL ? " (some)" : "       ", free_fields[i].reason);
        stale += free_fields[i].borne_out == 0;
    }
    printf("# Changes that are found, but make the image no worse than odd (warnings and notes):\n");
    for (size_t i = 0; i < 64 && mild[i].n > 0; i++)
        printf("#   %-44s %5u\n", mild[i].name, mild[i].n);
    ok(stale == 0, "each line of the list of free bytes is borne out");
}

int main(void)
{
    struct hostile image;
    hostile_mbr(&image);
    test_flips("an MBR disk", &image, NULL);
    hostile_close(&image);
    hostile_gpt(&image);
    test_flips("a GPT disk", &image, NULL);
    hostile_close(&image);
    hostile_disk(&image);
    test_flips("a FAT32", &image, "1");
    hostile_close(&image);
    test_list();
    return tap_done();
}
