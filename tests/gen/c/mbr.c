/* The exported MBR alone: four records, one of them used. */
#include "mbr.h"
#include "start.h"

static uint8_t sector[512];

int run(void)
{
    struct mbr_boot_record v;
    struct mbr_boot_record_mut m;
    struct mbr_record_mut record;
    EXPECT(!mbr_boot_record_view(sector, MBR_BOOT_RECORD_BYTES - 1, &v));
    EXPECT(mbr_boot_record_edit(sector, sizeof sector, &m));
    mbr_boot_record_init(m);
    mbr_boot_record_seal(m);
    v = mbr_boot_record_of(m);
    EXPECT(mbr_boot_record_signature(v)[0] == 0x55 && mbr_boot_record_signature(v)[1] == 0xaa);
    EXPECT(mbr_boot_record_check(v) == 0);
    EXPECT(!mbr_boot_record_edit_partitions(m, 4, &record));
    EXPECT(mbr_boot_record_edit_partitions(m, 1, &record));
    mbr_record_set_type(record, MBR_PARTITION_TYPE_LINUX);
    mbr_record_set_first_lba(record, 2048);
    EXPECT(mbr_record_check(mbr_record_of(record)) != 0); /* no sectors */
    mbr_record_set_sectors(record, 2048);
    mbr_record_set_status(record, MBR_STATUS_ACTIVE);
    EXPECT(mbr_record_check(mbr_record_of(record)) == 0);
    mbr_record_set_status(record, 0x17); /* neither active nor inactive */
    EXPECT(mbr_record_check(mbr_record_of(record)) != 0);
    EXPECT(sector[446 + 16 + 8 + 1] == 8); /* 2048, little-endian, in the second record */
    mbr_boot_record_set_signature(m, sector);
    EXPECT(mbr_boot_record_check(v) != 0);
    return 0;
}
