/* What the GPT maker refuses, each time saying the limit, and the names of partition types.
 *
 * Catches: a plan that would be written though no one could read it; a type name that stands for another GUID. */
#include "tests/unit/gpt_disk.h"

/* ---- the maker refuses ---- */

static void refuse(const char *what, struct table_spec *spec, const char *word)
{
    struct plat_err err = {0};
    int rc = gpt_table_maker.validate(spec, &err);
    ok(rc == PLAT_EINVALID && strstr(err.text, word) != NULL, "%s: %s", what, err.text);
}

static void test_validate(void)
{
    struct disk d;
    disk_make(512, &d);
    struct table_partition parts[3];
    struct table_spec good = {
        .sector_bytes = 512, .disk_sectors = d.sectors, .partitions = parts, .n_partitions = 3};
    memcpy(good.disk_guid, disk_guid, sizeof disk_guid);
    memcpy(parts, d.parts, sizeof parts);
    struct table_spec spec = good;
    ok(gpt_table_maker.validate(&spec, NULL) == 0, "the good plan is accepted");
    spec.disk_sectors = 60;
    refuse("disk too small", &spec, "34816");
    spec = good;
    spec.sector_bytes = 1024;
    refuse("sector size", &spec, "4096");
    spec = good;
    memset(spec.disk_guid, 0, 16);
    refuse("no disk GUID", &spec, "GUID");
    spec = good;
    parts[1].first_sector = parts[0].first_sector + 1;
    refuse("overlap", &spec, "overlaps");
    memcpy(parts, d.parts, sizeof parts);
    parts[0].first_sector = 33;
    refuse("over the table", &spec, "34");
    memcpy(parts, d.parts, sizeof parts);
    parts[2].sectors = d.sectors;
    refuse("past the end", &spec, "at least");
    parts[2].sectors = UINT64_MAX;
    refuse("a size that overflows", &spec, "largest");
    memcpy(parts, d.parts, sizeof parts);
    parts[2].sectors = 0;
    refuse("no sectors", &spec, "1 is the least");
    memcpy(parts, d.parts, sizeof parts);
    memcpy(parts[2].guid, parts[0].guid, 16);
    refuse("same GUID", &spec, "same GUID");
    memcpy(parts, d.parts, sizeof parts);
    parts[2].number = 1;
    refuse("same number", &spec, "same number");
    parts[2].number = 129;
    refuse("number 129", &spec, "128");
    memcpy(parts, d.parts, sizeof parts);
    memset(parts[0].type_guid, 0, 16);
    refuse("no type", &spec, "type");
    memcpy(parts, d.parts, sizeof parts);
    memset(parts[1].name, 'x', 37);
    parts[1].name[37] = '\0';
    refuse("a name of 37 units", &spec, "36");
    parts[1].name[36] = '\0';
    ok(gpt_table_maker.validate(&spec, NULL) == 0, "a name of 36 units fits");
    memcpy(parts[1].name, "\xff\xfe", 3);
    refuse("a name that is not UTF-8", &spec, "UTF-8");
    dev_close(d.dev);
}

static void test_types(void)
{
    uint8_t guid[16], again[16];
    size_t n = 0, round = 0;
    struct plat_err err = {0};
    struct table_partition p = {0};
    for (const char *name; (name = gpt_type_at(n)) != NULL; n++)
        round += gpt_type_find(name, guid) && gpt_type_name(guid) != NULL &&
                 strcmp(gpt_type_name(guid), name) == 0;
    ok(n > 140 && round == n, "all %zu types are found by name and named by GUID", n);
    ok(gpt_type_find("esp", guid) && parse_guid("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", again) &&
           memcmp(guid, again, 16) == 0,
       "esp is C12A7328-...");
    ok(gpt_type_find("root-arm64", guid) && gpt_type_find("linux-root-arm64", again) &&
           memcmp(guid, again, 16) == 0,
       "root-arm64 is linux-root-arm64");
    ok(gpt_table_maker.parse_type("12345678-1234-1234-1234-123456789abc", &p, &err) == 0 &&
           strcmp(p.type, "12345678-1234-1234-1234-123456789abc") == 0,
       "an unknown GUID is a type, too");
    ok(gpt_table_maker.parse_type("exp", &p, &err) == PLAT_EINVALID, "an unknown name is not: %s", err.text);
    ok(gpt_table_maker.parse_type("00000000-0000-0000-0000-000000000000", &p, &err) == PLAT_EINVALID,
       "nor is zero");
}

int main(void)
{
    test_validate();
    test_types();
    return tap_done();
}
