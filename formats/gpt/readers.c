/* What two readers that decide whether a disk boots make of a table, in the order in which they look.
 *
 * Linux: block/partitions/efi.c. Believes the primary copy alone, unless `gpt` is on its command line.
 * OVMF: EDK2 PartitionDxe. Falls back to the copy in the last sector. */
#include <stdio.h>

#include "formats/gpt/disk.h"

enum { LINUX_ENTRY_BYTES = 128 };

static bool refuse(char *why, size_t why_bytes, const char *text)
{
    (void)snprintf(why, why_bytes, "%s", text);
    return false;
}

static bool mbr_protects(const struct gpt_disk *disk, char *why, size_t why_bytes)
{
    if (!disk->boot_signature)
        return refuse(why, why_bytes, "LBA 0 is no MBR (its last bytes are not 55 AA)");
    if (!disk->protective)
        return refuse(why, why_bytes, "the MBR in LBA 0 has no record of type EE that starts at sector 1");
    return true;
}

bool gpt_linux_reads(const struct gpt_disk *disk, char *why, size_t why_bytes)
{
    const struct gpt_copy *primary = &disk->copy[GPT_PRIMARY];
    if (!mbr_protects(disk, why, why_bytes))
        return false;
    if (!primary->header_good)
        return refuse(why, why_bytes, primary->fault);
    if (primary->first_usable >= disk->sectors)
        return refuse(why, why_bytes, "the first usable sector lies beyond the end of the disk");
    if (primary->last_usable >= disk->sectors)
        return refuse(why, why_bytes, "the last usable sector lies beyond the end of the disk");
    if (primary->last_usable < primary->first_usable)
        return refuse(why, why_bytes, "the usable area ends before it begins");
    if (primary->entry_bytes != LINUX_ENTRY_BYTES)
        return refuse(why, why_bytes, "the entries are not 128 bytes long");
    if (!primary->array_good)
        return refuse(why, why_bytes, primary->fault);
    return true;
}

bool gpt_ovmf_reads(const struct gpt_disk *disk, char *why, size_t why_bytes)
{
    const struct gpt_copy *primary = &disk->copy[GPT_PRIMARY];
    const struct gpt_copy *backup = &disk->copy[GPT_BACKUP];
    if (!mbr_protects(disk, why, why_bytes))
        return false;
    if (primary->header_good && primary->array_good)
        return true;
    if (backup->header_good && backup->array_good && backup->lba == disk->sectors - 1)
        return true;
    return refuse(why, why_bytes, "neither copy is good");
}
