/* The exported FAT32 header alone: FSInfo, the boot sector's numbers, a directory slot. */
#include "fat32.h"
#include "start.h"

static uint8_t sector[512];

int run(void)
{
    struct fat32_fsinfo info;
    struct fat32_fsinfo_mut edit;
    EXPECT(!fat32_fsinfo_view(sector, FAT32_FSINFO_BYTES - 1, &info));
    EXPECT(fat32_fsinfo_edit(sector, sizeof sector, &edit));
    info = fat32_fsinfo_of(edit);
    EXPECT(fat32_fsinfo_check(info) != 0);
    fat32_fsinfo_init(edit);
    fat32_fsinfo_seal(edit);
    EXPECT(fat32_fsinfo_check(info) == 0);
    EXPECT(fat32_fsinfo_free_clusters(info) == 0xffffffff);
    fat32_fsinfo_set_free_clusters(edit, 0x01020304);
    EXPECT(sector[488] == 4 && sector[491] == 1);
    EXPECT(fat32_fsinfo_free_clusters(info) == 0x01020304);
    fat32_fsinfo_set_lead_signature(edit, 0);
    EXPECT(fat32_fsinfo_check(info) != 0);

    struct fat32_boot_mut boot;
    EXPECT(fat32_boot_edit(sector, sizeof sector, &boot));
    fat32_boot_init(boot);
    fat32_boot_set_bytes_per_sector(boot, 512);
    fat32_boot_set_sectors_per_cluster(boot, 3); /* not a power of two */
    EXPECT(fat32_boot_bytes_per_sector(fat32_boot_of(boot)) == 512);
    EXPECT(fat32_boot_check(fat32_boot_of(boot)) != 0);

    struct fat32_dir_entry slot;
    EXPECT(!fat32_dir_entry_view(sector, 31, &slot));
    EXPECT(fat32_dir_entry_view(sector, 32, &slot));
    return 0;
}
