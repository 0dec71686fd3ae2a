/* What concerns more than one record: overlaps, several active partitions, and the rules of a protective MBR.
 */
#include <stdio.h>

#include "formats/mbr/sector.h"

static int report_record(const struct mbr_fs *mbr, size_t i, const struct finding_sink *sink,
                         enum severity severity, const char *id, const char *const *refused_by,
                         const char *text)
{
    struct mbr_record record;
    char path[48];
    if (!mbr_sector_record(&mbr->sector, i, &record))
        return 0;
    const uint64_t offset = (uint64_t)(record.p - mbr->sector.bytes);
    (void)snprintf(path, sizeof path, "sector.partitions[%zu]", i);
    return finding_report(sink, severity, id, path, &offset, refused_by, "%s", text);
}

static int check_overlaps(const struct mbr_fs *mbr, const struct finding_sink *sink)
{
    static const char *const by_sfdisk[] = {"sfdisk", NULL};
    struct mbr_record a, b;
    char text[200];
    for (size_t i = 1; mbr_sector_record(&mbr->sector, i, &b); i++) {
        for (size_t k = 0; k < i && mbr_sector_record(&mbr->sector, k, &a); k++) {
            uint64_t a_end = (uint64_t)mbr_record_first_lba(a) + mbr_record_sectors(a);
            uint64_t b_end = (uint64_t)mbr_record_first_lba(b) + mbr_record_sectors(b);
            if (!mbr_record_used(a) || !mbr_record_used(b) || mbr_record_first_lba(a) >= b_end ||
                mbr_record_first_lba(b) >= a_end)
                continue;
            (void)snprintf(text, sizeof text,
                           "partition %zu (sectors %u to %llu) overlaps partition %zu (sectors %u to %llu)",
                           i + 1, mbr_record_first_lba(b), (unsigned long long)(b_end - 1), k + 1,
                           mbr_record_first_lba(a), (unsigned long long)(a_end - 1));
            int rc = report_record(mbr, i, sink, SEVERITY_ERROR, "mbr-overlap", by_sfdisk, text);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* One active partition at most; extended ones are not followed. */
static int check_records(const struct mbr_fs *mbr, const struct finding_sink *sink)
{
    struct mbr_record record;
    char text[200];
    unsigned active = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && mbr_sector_record(&mbr->sector, i, &record); i++) {
        uint8_t type = mbr_record_type(record);
        if (mbr_record_status(record) == MBR_STATUS_ACTIVE && ++active == 2)
            rc = report_record(
                mbr, i, sink, SEVERITY_WARNING, "mbr-active", NULL,
                "more than one partition is marked active: BIOSes boot the first one or refuse");
        if (rc == 0 && mbr_is_extended(type)) {
            (void)snprintf(
                text, sizeof text,
                "partition %zu is an extended one (%s): the logical partitions in it are not examined", i + 1,
                mbr_type_text(type));
            rc = report_record(mbr, i, sink, SEVERITY_NOTE, "mbr-extended", NULL, text);
        }
    }
    return rc;
}

/* On a GPT disk: one record of type EE over everything. More records make a hybrid, in which EE ends where
 * the first mirrored partition begins. */
static int check_protective(const struct mbr_fs *mbr, const struct finding_sink *sink)
{
    const uint64_t rest = mbr->sector.disk_sectors - 1;
    const uint32_t whole = rest > UINT32_MAX ? UINT32_MAX : (uint32_t)rest;
    struct mbr_record record;
    size_t protects = MBR_RECORDS, others = 0;
    char text[240];
    for (size_t i = 0; mbr_sector_record(&mbr->sector, i, &record); i++) {
        if (mbr_record_type(record) == MBR_PARTITION_TYPE_EFI_GPT && protects == MBR_RECORDS)
            protects = i;
        else if (mbr_record_used(record))
            others++;
    }
    if (protects == MBR_RECORDS)
        return 0;
    if (others > 0) {
        (void)snprintf(text, sizeof text,
                       "a hybrid MBR: %zu record%s beside the protective one; firmware may take the disk for "
                       "an MBR disk",
                       others, others == 1 ? "" : "s");
        return report_record(mbr, protects, sink, SEVERITY_NOTE, "mbr-hybrid", NULL, text);
    }
    (void)mbr_sector_record(&mbr->sector, protects, &record);
    const uint32_t sectors = mbr_record_sectors(record);
    if (sectors == whole)
        return 0;
    (void)snprintf(
        text, sizeof text, "the protective record covers %u sectors; the disk behind LBA 0 has %u%s", sectors,
        whole, sectors == UINT32_MAX ? "" : ": the disk was grown or cut short, or the record is damaged");
    /* FFFFFFFF on a small disk is what some tools write so as not to care. */
    return report_record(mbr, protects, sink, sectors == UINT32_MAX ? SEVERITY_NOTE : SEVERITY_ERROR,
                         "mbr-protective-size", NULL, text);
}

int mbr_check(struct fs *fs, const struct finding_sink *sink, struct plat_err *err)
{
    const struct mbr_fs *mbr = (const struct mbr_fs *)fs; /* struct fs is its first member */
    (void)err;
    int rc = check_overlaps(mbr, sink);
    if (rc == 0)
        rc = check_records(mbr, sink);
    if (rc == 0)
        rc = check_protective(mbr, sink);
    return rc;
}
