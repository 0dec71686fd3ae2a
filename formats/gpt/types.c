/* Well-known partition types, by name.
 *
 * The list is open: any GUID is a legal type. Names of Linux types are those of the Discoverable Partitions
 * Specification with "linux-" in front; the names without it, and a few that other tools use, are understood
 * too. */
#include <string.h>

#include "formats/gpt/disk.h"

struct known_type {
    const char *name;
    const char *alias; /* NULL: none */
};

/* The GUIDs are the schema's; here they get the names that people type, with '-' where the schema has '_'. */
/* clang-format off */
static const struct known_type known_types[] = {
    [GPT_PARTITION_TYPE_ESP] = {"esp", "uefi"},
    [GPT_PARTITION_TYPE_XBOOTLDR] = {"xbootldr", NULL},
    [GPT_PARTITION_TYPE_BIOS_BOOT] = {"bios-boot", "grub"},
    [GPT_PARTITION_TYPE_LINUX_DATA] = {"linux-data", "linux-generic"},
    [GPT_PARTITION_TYPE_LINUX_SWAP] = {"linux-swap", "swap"},
    [GPT_PARTITION_TYPE_LINUX_HOME] = {"linux-home", "home"},
    [GPT_PARTITION_TYPE_LINUX_SRV] = {"linux-srv", "srv"},
    [GPT_PARTITION_TYPE_LINUX_VAR] = {"linux-var", "var"},
    [GPT_PARTITION_TYPE_LINUX_TMP] = {"linux-tmp", "tmp"},
    [GPT_PARTITION_TYPE_LINUX_USER_HOME] = {"linux-user-home", "user-home"},
    [GPT_PARTITION_TYPE_LINUX_RAID] = {"linux-raid", "raid"},
    [GPT_PARTITION_TYPE_LINUX_LVM] = {"linux-lvm", "lvm"},
    [GPT_PARTITION_TYPE_LINUX_RESERVED] = {"linux-reserved", NULL},
    [GPT_PARTITION_TYPE_LINUX_LUKS] = {"linux-luks", "luks"},
    [GPT_PARTITION_TYPE_LINUX_DM_CRYPT] = {"linux-dm-crypt", "dm-crypt"},
    [GPT_PARTITION_TYPE_BASIC_DATA] = {"basic-data", "fat32"},
    [GPT_PARTITION_TYPE_MICROSOFT_RESERVED] = {"microsoft-reserved", NULL},
    [GPT_PARTITION_TYPE_WINDOWS_RECOVERY] = {"windows-recovery", NULL},
    [GPT_PARTITION_TYPE_MICROSOFT_LDM_METADATA] = {"microsoft-ldm-metadata", NULL},
    [GPT_PARTITION_TYPE_MICROSOFT_LDM_DATA] = {"microsoft-ldm-data", NULL},
    [GPT_PARTITION_TYPE_BAREBOX_STATE] = {"barebox-state", NULL},
    [GPT_PARTITION_TYPE_BAREBOX_ENV] = {"barebox-env", NULL},
    [GPT_PARTITION_TYPE_U_BOOT_ENV] = {"u-boot-env", NULL},
    [GPT_PARTITION_TYPE_PREP] = {"prep", NULL},
    [GPT_PARTITION_TYPE_ONIE_BOOT] = {"onie-boot", NULL},
    [GPT_PARTITION_TYPE_ONIE_CONFIG] = {"onie-config", NULL},
    [GPT_PARTITION_TYPE_CHROMEOS_KERNEL] = {"chromeos-kernel", NULL},
    [GPT_PARTITION_TYPE_CHROMEOS_ROOT] = {"chromeos-root", NULL},
    [GPT_PARTITION_TYPE_CHROMEOS_RESERVED] = {"chromeos-reserved", NULL},
    [GPT_PARTITION_TYPE_APPLE_HFS] = {"apple-hfs", NULL},
    [GPT_PARTITION_TYPE_APPLE_APFS] = {"apple-apfs", NULL},
    [GPT_PARTITION_TYPE_FREEBSD_DATA] = {"freebsd-data", NULL},
    [GPT_PARTITION_TYPE_FREEBSD_BOOT] = {"freebsd-boot", NULL},
    [GPT_PARTITION_TYPE_FREEBSD_SWAP] = {"freebsd-swap", NULL},
    [GPT_PARTITION_TYPE_FREEBSD_UFS] = {"freebsd-ufs", NULL},
    [GPT_PARTITION_TYPE_FREEBSD_ZFS] = {"freebsd-zfs", NULL},
    [GPT_PARTITION_TYPE_NETBSD_FFS] = {"netbsd-ffs", NULL},
    [GPT_PARTITION_TYPE_OPENBSD_DATA] = {"openbsd-data", NULL},
    [GPT_PARTITION_TYPE_PLAN9] = {"plan9", NULL},
    [GPT_PARTITION_TYPE_HAIKU] = {"haiku", NULL},
    [GPT_PARTITION_TYPE_VMWARE_VMFS] = {"vmware-vmfs", NULL},
    [GPT_PARTITION_TYPE_HIFIVE_FSBL] = {"hifive-fsbl", NULL},
    [GPT_PARTITION_TYPE_HIFIVE_BBL] = {"hifive-bbl", NULL},
    [GPT_PARTITION_TYPE_LINUX_ROOT_X86_64] = {"linux-root-x86-64", "root-x86-64"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_X86_64_VERITY] = {"linux-root-x86-64-verity", "root-x86-64-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_X86_64_VERITY_SIG] = {"linux-root-x86-64-verity-sig", "root-x86-64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_X86_64] = {"linux-usr-x86-64", "usr-x86-64"},
    [GPT_PARTITION_TYPE_LINUX_USR_X86_64_VERITY] = {"linux-usr-x86-64-verity", "usr-x86-64-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_X86_64_VERITY_SIG] = {"linux-usr-x86-64-verity-sig", "usr-x86-64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_X86] = {"linux-root-x86", "root-x86"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_X86_VERITY] = {"linux-root-x86-verity", "root-x86-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_X86_VERITY_SIG] = {"linux-root-x86-verity-sig", "root-x86-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_X86] = {"linux-usr-x86", "usr-x86"},
    [GPT_PARTITION_TYPE_LINUX_USR_X86_VERITY] = {"linux-usr-x86-verity", "usr-x86-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_X86_VERITY_SIG] = {"linux-usr-x86-verity-sig", "usr-x86-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARM64] = {"linux-root-arm64", "root-arm64"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARM64_VERITY] = {"linux-root-arm64-verity", "root-arm64-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARM64_VERITY_SIG] = {"linux-root-arm64-verity-sig", "root-arm64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARM64] = {"linux-usr-arm64", "usr-arm64"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARM64_VERITY] = {"linux-usr-arm64-verity", "usr-arm64-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARM64_VERITY_SIG] = {"linux-usr-arm64-verity-sig", "usr-arm64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARM] = {"linux-root-arm", "root-arm"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARM_VERITY] = {"linux-root-arm-verity", "root-arm-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARM_VERITY_SIG] = {"linux-root-arm-verity-sig", "root-arm-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARM] = {"linux-usr-arm", "usr-arm"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARM_VERITY] = {"linux-usr-arm-verity", "usr-arm-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARM_VERITY_SIG] = {"linux-usr-arm-verity-sig", "usr-arm-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_RISCV64] = {"linux-root-riscv64", "root-riscv64"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_RISCV64_VERITY] = {"linux-root-riscv64-verity", "root-riscv64-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_RISCV64_VERITY_SIG] = {"linux-root-riscv64-verity-sig", "root-riscv64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_RISCV64] = {"linux-usr-riscv64", "usr-riscv64"},
    [GPT_PARTITION_TYPE_LINUX_USR_RISCV64_VERITY] = {"linux-usr-riscv64-verity", "usr-riscv64-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_RISCV64_VERITY_SIG] = {"linux-usr-riscv64-verity-sig", "usr-riscv64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_RISCV32] = {"linux-root-riscv32", "root-riscv32"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_RISCV32_VERITY] = {"linux-root-riscv32-verity", "root-riscv32-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_RISCV32_VERITY_SIG] = {"linux-root-riscv32-verity-sig", "root-riscv32-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_RISCV32] = {"linux-usr-riscv32", "usr-riscv32"},
    [GPT_PARTITION_TYPE_LINUX_USR_RISCV32_VERITY] = {"linux-usr-riscv32-verity", "usr-riscv32-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_RISCV32_VERITY_SIG] = {"linux-usr-riscv32-verity-sig", "usr-riscv32-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_LOONGARCH64] = {"linux-root-loongarch64", "root-loongarch64"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_LOONGARCH64_VERITY] = {"linux-root-loongarch64-verity", "root-loongarch64-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_LOONGARCH64_VERITY_SIG] = {"linux-root-loongarch64-verity-sig", "root-loongarch64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_LOONGARCH64] = {"linux-usr-loongarch64", "usr-loongarch64"},
    [GPT_PARTITION_TYPE_LINUX_USR_LOONGARCH64_VERITY] = {"linux-usr-loongarch64-verity", "usr-loongarch64-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_LOONGARCH64_VERITY_SIG] = {"linux-usr-loongarch64-verity-sig", "usr-loongarch64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ALPHA] = {"linux-root-alpha", "root-alpha"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ALPHA_VERITY] = {"linux-root-alpha-verity", "root-alpha-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ALPHA_VERITY_SIG] = {"linux-root-alpha-verity-sig", "root-alpha-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_ALPHA] = {"linux-usr-alpha", "usr-alpha"},
    [GPT_PARTITION_TYPE_LINUX_USR_ALPHA_VERITY] = {"linux-usr-alpha-verity", "usr-alpha-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_ALPHA_VERITY_SIG] = {"linux-usr-alpha-verity-sig", "usr-alpha-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARC] = {"linux-root-arc", "root-arc"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARC_VERITY] = {"linux-root-arc-verity", "root-arc-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_ARC_VERITY_SIG] = {"linux-root-arc-verity-sig", "root-arc-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARC] = {"linux-usr-arc", "usr-arc"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARC_VERITY] = {"linux-usr-arc-verity", "usr-arc-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_ARC_VERITY_SIG] = {"linux-usr-arc-verity-sig", "usr-arc-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_IA64] = {"linux-root-ia64", "root-ia64"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_IA64_VERITY] = {"linux-root-ia64-verity", "root-ia64-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_IA64_VERITY_SIG] = {"linux-root-ia64-verity-sig", "root-ia64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_IA64] = {"linux-usr-ia64", "usr-ia64"},
    [GPT_PARTITION_TYPE_LINUX_USR_IA64_VERITY] = {"linux-usr-ia64-verity", "usr-ia64-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_IA64_VERITY_SIG] = {"linux-usr-ia64-verity-sig", "usr-ia64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS] = {"linux-root-mips", "root-mips"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS_VERITY] = {"linux-root-mips-verity", "root-mips-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS_VERITY_SIG] = {"linux-root-mips-verity-sig", "root-mips-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS] = {"linux-usr-mips", "usr-mips"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS_VERITY] = {"linux-usr-mips-verity", "usr-mips-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS_VERITY_SIG] = {"linux-usr-mips-verity-sig", "usr-mips-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS_LE] = {"linux-root-mips-le", "root-mips-le"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS_LE_VERITY] = {"linux-root-mips-le-verity", "root-mips-le-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS_LE_VERITY_SIG] = {"linux-root-mips-le-verity-sig", "root-mips-le-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS_LE] = {"linux-usr-mips-le", "usr-mips-le"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS_LE_VERITY] = {"linux-usr-mips-le-verity", "usr-mips-le-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS_LE_VERITY_SIG] = {"linux-usr-mips-le-verity-sig", "usr-mips-le-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS64] = {"linux-root-mips64", "root-mips64"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS64_VERITY] = {"linux-root-mips64-verity", "root-mips64-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS64_VERITY_SIG] = {"linux-root-mips64-verity-sig", "root-mips64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS64] = {"linux-usr-mips64", "usr-mips64"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS64_VERITY] = {"linux-usr-mips64-verity", "usr-mips64-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS64_VERITY_SIG] = {"linux-usr-mips64-verity-sig", "usr-mips64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS64_LE] = {"linux-root-mips64-le", "root-mips64-le"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS64_LE_VERITY] = {"linux-root-mips64-le-verity", "root-mips64-le-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_MIPS64_LE_VERITY_SIG] = {"linux-root-mips64-le-verity-sig", "root-mips64-le-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS64_LE] = {"linux-usr-mips64-le", "usr-mips64-le"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS64_LE_VERITY] = {"linux-usr-mips64-le-verity", "usr-mips64-le-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_MIPS64_LE_VERITY_SIG] = {"linux-usr-mips64-le-verity-sig", "usr-mips64-le-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PARISC] = {"linux-root-parisc", "root-parisc"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PARISC_VERITY] = {"linux-root-parisc-verity", "root-parisc-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PARISC_VERITY_SIG] = {"linux-root-parisc-verity-sig", "root-parisc-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_PARISC] = {"linux-usr-parisc", "usr-parisc"},
    [GPT_PARTITION_TYPE_LINUX_USR_PARISC_VERITY] = {"linux-usr-parisc-verity", "usr-parisc-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_PARISC_VERITY_SIG] = {"linux-usr-parisc-verity-sig", "usr-parisc-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC] = {"linux-root-ppc", "root-ppc"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC_VERITY] = {"linux-root-ppc-verity", "root-ppc-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC_VERITY_SIG] = {"linux-root-ppc-verity-sig", "root-ppc-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC] = {"linux-usr-ppc", "usr-ppc"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC_VERITY] = {"linux-usr-ppc-verity", "usr-ppc-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC_VERITY_SIG] = {"linux-usr-ppc-verity-sig", "usr-ppc-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC64] = {"linux-root-ppc64", "root-ppc64"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC64_VERITY] = {"linux-root-ppc64-verity", "root-ppc64-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC64_VERITY_SIG] = {"linux-root-ppc64-verity-sig", "root-ppc64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC64] = {"linux-usr-ppc64", "usr-ppc64"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC64_VERITY] = {"linux-usr-ppc64-verity", "usr-ppc64-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC64_VERITY_SIG] = {"linux-usr-ppc64-verity-sig", "usr-ppc64-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC64_LE] = {"linux-root-ppc64-le", "root-ppc64-le"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC64_LE_VERITY] = {"linux-root-ppc64-le-verity", "root-ppc64-le-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_PPC64_LE_VERITY_SIG] = {"linux-root-ppc64-le-verity-sig", "root-ppc64-le-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC64_LE] = {"linux-usr-ppc64-le", "usr-ppc64-le"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC64_LE_VERITY] = {"linux-usr-ppc64-le-verity", "usr-ppc64-le-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_PPC64_LE_VERITY_SIG] = {"linux-usr-ppc64-le-verity-sig", "usr-ppc64-le-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_S390] = {"linux-root-s390", "root-s390"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_S390_VERITY] = {"linux-root-s390-verity", "root-s390-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_S390_VERITY_SIG] = {"linux-root-s390-verity-sig", "root-s390-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_S390] = {"linux-usr-s390", "usr-s390"},
    [GPT_PARTITION_TYPE_LINUX_USR_S390_VERITY] = {"linux-usr-s390-verity", "usr-s390-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_S390_VERITY_SIG] = {"linux-usr-s390-verity-sig", "usr-s390-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_S390X] = {"linux-root-s390x", "root-s390x"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_S390X_VERITY] = {"linux-root-s390x-verity", "root-s390x-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_S390X_VERITY_SIG] = {"linux-root-s390x-verity-sig", "root-s390x-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_S390X] = {"linux-usr-s390x", "usr-s390x"},
    [GPT_PARTITION_TYPE_LINUX_USR_S390X_VERITY] = {"linux-usr-s390x-verity", "usr-s390x-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_S390X_VERITY_SIG] = {"linux-usr-s390x-verity-sig", "usr-s390x-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_TILEGX] = {"linux-root-tilegx", "root-tilegx"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_TILEGX_VERITY] = {"linux-root-tilegx-verity", "root-tilegx-verity"},
    [GPT_PARTITION_TYPE_LINUX_ROOT_TILEGX_VERITY_SIG] = {"linux-root-tilegx-verity-sig", "root-tilegx-verity-sig"},
    [GPT_PARTITION_TYPE_LINUX_USR_TILEGX] = {"linux-usr-tilegx", "usr-tilegx"},
    [GPT_PARTITION_TYPE_LINUX_USR_TILEGX_VERITY] = {"linux-usr-tilegx-verity", "usr-tilegx-verity"},
    [GPT_PARTITION_TYPE_LINUX_USR_TILEGX_VERITY_SIG] = {"linux-usr-tilegx-verity-sig", "usr-tilegx-verity-sig"},
};
/* clang-format on */

enum { KNOWN_TYPES = sizeof known_types / sizeof known_types[0] };
_Static_assert((int)KNOWN_TYPES == (int)GPT_PARTITION_TYPE_VALUES,
               "every type of the schema has a name here");

const char *gpt_type_name(const uint8_t guid[16])
{
    for (size_t i = 0; i < KNOWN_TYPES; i++)
        if (memcmp(gpt_partition_type_values[i].bytes, guid, sizeof gpt_partition_type_values[i].bytes) == 0)
            return known_types[i].name;
    return NULL;
}

bool gpt_type_find(const char *name, uint8_t ret_guid[16])
{
    for (size_t i = 0; i < KNOWN_TYPES; i++)
        if (strcmp(known_types[i].name, name) == 0 ||
            (known_types[i].alias != NULL && strcmp(known_types[i].alias, name) == 0)) {
            memcpy(ret_guid, gpt_partition_type_values[i].bytes, sizeof gpt_partition_type_values[i].bytes);
            return true;
        }
    return false;
}

const char *gpt_type_at(size_t i)
{
    return i < KNOWN_TYPES ? known_types[i].name : NULL;
}
