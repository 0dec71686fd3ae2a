/* The exported GPT header alone: a header is made, sealed, checked, and a flipped bit is seen. */
#include "gpt.h"
#include "start.h"

static uint8_t sector[512];

int run(void)
{
    enum { SECTOR_BYTES = 512 };
    struct gpt_header v;
    struct gpt_header_mut m;
    EXPECT(!gpt_header_view(sector, GPT_HEADER_BYTES - 1, &v));
    EXPECT(gpt_header_edit(sector, sizeof sector, &m));
    gpt_header_init(m);
    gpt_header_set_alternate_lba(m, 2047);
    gpt_header_set_first_usable_lba(m, 34);
    gpt_header_set_last_usable_lba(m, 2014);
    gpt_header_set_entries_lba(m, 2);
    uint8_t guid[GPT_HEADER_DISK_GUID_BYTES] = {1, 2, 3};
    gpt_header_set_disk_guid(m, guid);
    EXPECT(gpt_header_check(gpt_header_of(m), SECTOR_BYTES, SECTOR_BYTES) != 0);
    gpt_header_seal(m, SECTOR_BYTES, SECTOR_BYTES);
    v = gpt_header_of(m);
    EXPECT(gpt_header_my_lba(v) == 1);
    EXPECT(gpt_header_revision(v) == 0x00010000);
    EXPECT(gpt_header_signature(v)[0] == 'E');
    EXPECT(gpt_header_header_crc32(v) != 0);
    EXPECT(gpt_header_check(v, SECTOR_BYTES, SECTOR_BYTES) == 0);
    for (size_t i = 0; i < GPT_HEADER_BYTES; i++) {
        sector[i] ^= 0x10;
        EXPECT(gpt_header_check(v, SECTOR_BYTES, SECTOR_BYTES) != 0);
        sector[i] ^= 0x10;
    }
    EXPECT(gpt_header_check(v, SECTOR_BYTES, SECTOR_BYTES) == 0);

    struct gpt_entry_mut entry;
    EXPECT(gpt_entry_edit(sector, sizeof sector, &entry));
    gpt_entry_init(entry);
    gpt_entry_set_type_guid(entry, guid);
    gpt_entry_set_first_lba(entry, 40);
    gpt_entry_set_last_lba(entry, 39);
    gpt_entry_set_name(entry, 35, 'x');
    gpt_entry_set_name(entry, 36, 'y');
    gpt_entry_set_attributes(entry, GPT_ATTRIBUTES_READ_ONLY);
    EXPECT(gpt_entry_name(gpt_entry_of(entry), 35) == 'x');
    EXPECT(gpt_entry_name(gpt_entry_of(entry), 36) == 0);
    EXPECT(gpt_entry_check(gpt_entry_of(entry)) != 0);
    gpt_entry_set_last_lba(entry, 40);
    EXPECT(gpt_entry_check(gpt_entry_of(entry)) == 0);
    return 0;
}
