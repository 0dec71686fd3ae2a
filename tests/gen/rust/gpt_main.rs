//! Prints fields of a GPT disk image, "path value", through the exported module: tests/gen/schema_export.bats compares
//! them with `plat get`. Numbers in decimal, bytes in hexadecimal.
mod gpt;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn main() {
    let path = std::env::args().nth(1).expect("usage: gpt_main IMAGE");
    let mut disk = std::fs::read(path).unwrap();
    assert!(gpt::Header::new(&disk[..gpt::Header::SIZE - 1]).is_none());
    let header = gpt::Header::new(&disk[512..]).unwrap();
    println!("primary.signature {}", hex(header.signature()));
    println!("primary.revision {}", header.revision());
    println!("primary.header_crc32 {}", header.header_crc32());
    println!("primary.my_lba {}", header.my_lba());
    println!("primary.alternate_lba {}", header.alternate_lba());
    println!("primary.last_usable_lba {}", header.last_usable_lba());
    println!("primary.disk_guid {}", hex(header.disk_guid()));
    println!("primary.entries_lba {}", header.entries_lba());
    println!("primary.entry_count {}", header.entry_count());
    println!("primary.entries_crc32 {}", header.entries_crc32());
    let backup = gpt::Header::new(&disk[512 * header.alternate_lba() as usize..]).unwrap();
    println!("backup.my_lba {}", backup.my_lba());
    println!("backup.header_crc32 {}", backup.header_crc32());
    for i in 0..2 {
        let at = 512 * header.entries_lba() as usize + i * header.entry_bytes() as usize;
        let entry = gpt::Entry::new(&disk[at..]).unwrap();
        println!("entries[{i}].type_guid {}", hex(entry.type_guid()));
        println!("entries[{i}].first_lba {}", entry.first_lba());
        println!("entries[{i}].last_lba {}", entry.last_lba());
        let units: Vec<u8> = (0..gpt::Entry::NAME_UNITS).flat_map(|k| entry.name(k).unwrap().to_le_bytes()).collect();
        println!("entries[{i}].name {}", hex(&units));
        assert!(entry.name(gpt::Entry::NAME_UNITS).is_none());
        assert_eq!(entry.attributes() & gpt::attributes::HIDDEN, 0);
    }

    // What is written reads back, and nothing else moves.
    let before = disk.clone();
    let mut edit = gpt::HeaderMut::new(&mut disk[512..]).unwrap();
    edit.set_my_lba(0x0102030405060708);
    assert_eq!(edit.as_view().my_lba(), 0x0102030405060708);
    let changed: Vec<usize> = (0..disk.len()).filter(|&i| disk[i] != before[i]).collect();
    assert_eq!(changed, (512 + 24..512 + 32).collect::<Vec<_>>());
}
