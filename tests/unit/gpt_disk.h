/* A sound GPT disk in memory, made by plat's own maker. */
#ifndef PLAT_TESTS_GPT_DISK_H
#define PLAT_TESTS_GPT_DISK_H

#include "tests/unit/disk_image.h"

#include "formats/gpt/disk.h"
#include "formats/gpt/gpt.h"

enum { DISK_BYTES = 4 << 20 };

static const uint8_t disk_guid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

struct disk {
    struct plat_dev *dev;
    uint8_t *bytes;
    uint32_t sector_bytes;
    uint64_t sectors;
    struct table_partition parts[3];
};

/* Three partitions: 1 MiB in, one of a megabyte, two of half. */
static inline void disk_make(uint32_t sector_bytes, struct disk *ret)
{
    struct plat_err err = {0};
    struct disk d = {.sector_bytes = sector_bytes, .sectors = DISK_BYTES / sector_bytes};
    const uint64_t mib = (1 << 20) / sector_bytes;
    static const char *const names[] = {"esp", "root", "d\xc3\xa4ta \xf0\x9f\x92\xbe"};
    static const char *const types[] = {"esp", "linux-root-x86-64", "linux-data"};
    for (uint32_t i = 0; i < 3; i++) {
        struct table_partition *p = &d.parts[i];
        p->number = i + 1;
        p->first_sector = i == 0 ? mib : d.parts[i - 1].first_sector + d.parts[i - 1].sectors;
        p->sectors = i == 0 ? mib : mib / 2;
        p->guid[0] = (uint8_t)(i + 1);
        p->attributes = i == 1 ? GPT_ATTRIBUTES_READ_ONLY : 0;
        (void)snprintf(p->name, sizeof p->name, "%s", names[i]);
        if (gpt_table_maker.parse_type(types[i], p, &err) != 0)
            ok(false, "type %s: %s", types[i], err.text);
    }
    struct table_spec spec = {
        .sector_bytes = sector_bytes, .disk_sectors = d.sectors, .partitions = d.parts, .n_partitions = 3};
    memcpy(spec.disk_guid, disk_guid, sizeof disk_guid);
    if (dev_open_memory(DISK_BYTES, "disk.img", &d.dev, &err) != 0 ||
        gpt_table_maker.validate(&spec, &err) != 0 || gpt_table_maker.write_head(&spec, d.dev, &err) != 0 ||
        gpt_table_maker.write_tail(&spec, d.dev, &err) != 0) {
        ok(false, "make a disk: %s", err.text);
        exit(1);
    }
    d.bytes = dev_memory_bytes(d.dev);
    *ret = d;
}

#endif
