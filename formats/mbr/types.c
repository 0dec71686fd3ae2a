/* Partition types by name. The numbers are the schema's; here they get the names that people type, with '-'
 * where the schema has '_'. */
#include <string.h>

#include "formats/mbr/sector.h"

static const struct {
    uint8_t type;
    const char *name;
} names[] = {
    {MBR_PARTITION_TYPE_FAT12, "fat12"},
    {MBR_PARTITION_TYPE_FAT16_SMALL, "fat16-small"},
    {MBR_PARTITION_TYPE_EXTENDED, "extended"},
    {MBR_PARTITION_TYPE_FAT16_CHS, "fat16-chs"},
    {MBR_PARTITION_TYPE_NTFS, "ntfs"},
    {MBR_PARTITION_TYPE_FAT32_CHS, "fat32-chs"},
    {MBR_PARTITION_TYPE_FAT32, "fat32"},
    {MBR_PARTITION_TYPE_FAT16, "fat16"},
    {MBR_PARTITION_TYPE_EXTENDED_LBA, "extended-lba"},
    {MBR_PARTITION_TYPE_HIDDEN_FAT32, "hidden-fat32"},
    {MBR_PARTITION_TYPE_WINDOWS_RECOVERY, "windows-recovery"},
    {MBR_PARTITION_TYPE_PLAN9, "plan9"},
    {MBR_PARTITION_TYPE_PREP, "prep"},
    {MBR_PARTITION_TYPE_MINIX, "minix"},
    {MBR_PARTITION_TYPE_SWAP, "swap"},
    {MBR_PARTITION_TYPE_LINUX, "linux"},
    {MBR_PARTITION_TYPE_LINUX_EXTENDED, "linux-extended"},
    {MBR_PARTITION_TYPE_LVM, "lvm"},
    {MBR_PARTITION_TYPE_FREEBSD, "freebsd"},
    {MBR_PARTITION_TYPE_OPENBSD, "openbsd"},
    {MBR_PARTITION_TYPE_NETBSD, "netbsd"},
    {MBR_PARTITION_TYPE_HFS, "hfs"},
    {MBR_PARTITION_TYPE_SOLARIS, "solaris"},
    {MBR_PARTITION_TYPE_RAW, "raw"},
    {MBR_PARTITION_TYPE_LINUX_BOOT, "linux-boot"},
    {MBR_PARTITION_TYPE_BEFS, "befs"},
    {MBR_PARTITION_TYPE_EFI_GPT, "efi-gpt"},
    {MBR_PARTITION_TYPE_ESP, "esp"},
    {MBR_PARTITION_TYPE_EBBR, "ebbr"},
    {MBR_PARTITION_TYPE_VMFS, "vmfs"},
    {MBR_PARTITION_TYPE_RAID, "raid"},
};

enum { NAMES = sizeof names / sizeof names[0] };

const char *mbr_type_text(uint8_t type)
{
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].type == type)
            return names[i].name;
    return NULL;
}

bool mbr_type_find(const char *name, uint8_t *ret)
{
    for (size_t i = 0; i < NAMES; i++) {
        if (strcmp(names[i].name, name) == 0) {
            *ret = names[i].type;
            return true;
        }
    }
    return false;
}

const char *mbr_type_at(size_t i)
{
    return i < NAMES ? names[i].name : NULL;
}
