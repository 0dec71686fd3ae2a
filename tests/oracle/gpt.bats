#!/usr/bin/env bats
# Partition tables between plat and strangers: sgdisk (gdisk), sfdisk (util-linux), genimage.

setup() {
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    PLAT=${PLAT:-$root/build/plat}
    cd "$BATS_TEST_TMPDIR"
    export LC_ALL=C
}

clean() { # IMAGE [option ...]: no error and no warning
    run "$PLAT" verify --strict "$@"
    echo "$output"
    [ "$status" -eq 0 ]
}

accepted() { # IMAGE
    run sgdisk -v "$1"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"No problems found"* ]]
    run sfdisk --verify "$1"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"No errors detected"* ]]
}

ovmf_agrees() { # IMAGE: OVMF does not start the loader on it exactly where plat says that OVMF refuses it
    local said=no refused=yes
    "$PLAT" verify --json "$1" | grep -q '"ovmf"' && said=yes
    "$PLAT" boot "$1" --accel tcg --timeout 60 --log boot.log --expect 'Reboot Into Firmware' \
        --reject 'Interactive Shell' && refused=no
    echo "$1: plat says refused by OVMF: $said; refused: $refused"
    [ $said = $refused ]
}

# Catches: headers, arrays or protective records that only plat understands.
@test "strangers accept the tables that plat makes" {
    head -c 3000000 /dev/urandom >blob
    cat >r.json <<'R'
{ "table": "gpt", "partitions": [
    { "name": "one", "type": "linux-data", "content": "blob" },
    { "name": "two", "type": "linux-root-x86-64", "size": "5MiB" },
    { "name": "three", "type": "0fc63daf-8483-4772-8e79-3d69d8477de4", "size": "1MiB", "attributes": ["read-only"] } ] }
R
    "$PLAT" build r.json -o disk.img
    clean disk.img
    accepted disk.img
    sgdisk -i 2 disk.img | grep -qi 4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
    sgdisk -i 3 disk.img | grep -q 'Attribute flags: 1000000000000000'
    sfdisk --dump disk.img | grep -q 'name="one"'
}

# Catches: a plain table with records that sfdisk reads otherwise.
@test "strangers accept plain MBR tables that plat makes" {
    head -c 3000000 /dev/urandom >blob
    cat >r.json <<'R'
{ "table": "mbr", "partitions": [
    { "name": "one", "type": "linux", "content": "blob" },
    { "name": "two", "type": "0xda", "size": "5MiB" },
    { "name": "three", "type": "swap", "size": "1MiB" } ] }
R
    "$PLAT" build r.json -o disk.img
    clean disk.img
    run sfdisk --verify disk.img
    echo "$output"
    [[ "$output" == *"No errors detected"* ]]
    sfdisk --dump disk.img | grep -q 'type=da'
    sfdisk --dump disk.img | grep -q 'type=82'
}

# Catches: findings on good disks of other makers.
@test "disks by sgdisk are clean" {
    for size in 64M 5G 3T; do
        rm -f disk.img
        truncate -s $size disk.img
        sgdisk -n1:2048:+32M -t1:ef00 -c1:esp -n2:0:+8M -c2:root -A 2:set:60 disk.img >/dev/null
        clean disk.img
    done
}

@test "disks by sfdisk are clean, with either table" {
    for size in 64M 20G; do
        rm -f disk.img
        truncate -s $size disk.img
        printf 'label: gpt\nsize=32MiB,type=uefi,name=esp\nsize=10MiB\n' | sfdisk -q disk.img
        clean disk.img
        rm -f disk.img
        truncate -s $size disk.img
        printf 'label: dos\nsize=32MiB,type=ef\nsize=10MiB,bootable\n' | sfdisk -q disk.img
        clean disk.img
    done
    printf 'label: dos\nsize=32MiB,type=ef\nstart=12GiB,size=3GiB\n' | sfdisk -q disk.img
    clean disk.img
    # Logical partitions are not followed, and that is said in a note.
    printf 'label: dos\nsize=32MiB,type=ef\nsize=100MiB,type=5\nsize=20MiB\n' | sfdisk -q disk.img
    "$PLAT" verify --json disk.img | grep -q mbr-extended
}

@test "disks by genimage are clean: gpt, mbr and hybrid" {
    command -v genimage || skip "genimage is not installed"
    mkdir root in
    head -c 1048576 /dev/urandom >in/blob
    cat >g.cfg <<'R'
image gpt.img { hdimage { partition-table-type = "gpt" }
    partition a { image = "blob" partition-type-uuid = "U" size = 8M }
    partition b { image = "blob" } size = 40M }
image mbr.img { hdimage { }
    partition a { image = "blob" partition-type = 0xC bootable = true }
    partition b { image = "blob" partition-type = 0x83 } }
image hybrid.img { hdimage { partition-table-type = "hybrid" }
    partition a { image = "blob" partition-type = 0xC partition-type-uuid = "F" }
    partition b { image = "blob" partition-type-uuid = "L" size = 20M } size = 40M }
R
    genimage --loglevel 1 --rootpath root --inputpath in --outputpath out --tmppath tmp --config g.cfg
    for disk in gpt mbr hybrid; do
        clean out/$disk.img
    done
}

# Catches: findings on the disks that genimage is used for: a boot or ESP filesystem and a raw or ext4 partition behind it,
# aligned or not, filled up or not, with room or without.
@test "disks by genimage with FAT32 and ext4 verify with exit 0, and extract gives the files back" {
    command -v genimage || skip "genimage is not installed"
    mkdir -p root/boot in
    head -c 3000000 /dev/urandom >root/boot/kernel
    head -c 1000100 /dev/urandom >in/odd
    head -c 777 /dev/urandom >in/loader
    cp root/boot/kernel in/
    cat >g.cfg <<'R'
image fat { vfat { label = "BOOT" extraargs = "-F 32" files = { "kernel", "odd" } } size = 40M }
image ext { ext4 { use-mke2fs = true } size = 12M }
image mbr.img { hdimage { }
    partition esp { image = "fat" partition-type = 0xC bootable = true }
    partition root { image = "ext" partition-type = 0x83 } }
image mbr-aligned.img { hdimage { align = 1M }
    partition esp { image = "fat" partition-type = 0xEF }
    partition root { image = "ext" partition-type = 0x83 } }
image mbr-fat-last.img { hdimage { align = 1M }
    partition root { image = "ext" partition-type = 0x83 }
    partition esp { image = "fat" partition-type = 0xC } }
image mbr-room.img { hdimage { fill = true }
    partition esp { image = "fat" partition-type = 0xC }
    partition root { image = "odd" partition-type = 0xDA size = 8M } }
image mbr-rest.img { hdimage { fill = true }
    partition esp { image = "fat" partition-type = 0xC }
    partition root { image = "ext" partition-type = 0x83 autoresize = true } size = 90M }
image mbr-odd.img { hdimage { }
    partition esp { image = "fat" partition-type = 0xC }
    partition raw { image = "odd" partition-type = 0xDA } }
image mbr-five.img { hdimage { align = 1M }
    partition esp { image = "fat" partition-type = 0xC }
    partition b { image = "ext" partition-type = 0x83 }
    partition c { image = "ext" partition-type = 0x83 }
    partition d { image = "ext" partition-type = 0x83 }
    partition e { image = "ext" partition-type = 0x83 } }
image gpt.img { hdimage { partition-table-type = "gpt" }
    partition esp { image = "fat" partition-type-uuid = "U" }
    partition raw { image = "odd" partition-type-uuid = "L" } }
image gpt-aligned.img { hdimage { partition-table-type = "gpt" align = 1M }
    partition esp { image = "fat" partition-type-uuid = "U" }
    partition root { image = "ext" partition-type-uuid = "L" } }
image gpt-rest.img { hdimage { partition-table-type = "gpt" align = 1M }
    partition esp { image = "fat" partition-type-uuid = "U" }
    partition root { image = "ext" partition-type-uuid = "L" autoresize = true } size = 90M }
image gpt-loader.img { hdimage { partition-table-type = "gpt" align = 1M gpt-location = 64K }
    partition loader { in-partition-table = false offset = 128K image = "loader" }
    partition esp { image = "fat" partition-type-uuid = "U" }
    partition root { image = "ext" partition-type-uuid = "L" } }
image hybrid.img { hdimage { partition-table-type = "hybrid" align = 1M }
    partition esp { image = "fat" partition-type = 0xC partition-type-uuid = "U" }
    partition root { image = "ext" partition-type-uuid = "L" } }
R
    genimage --loglevel 1 --rootpath root --inputpath in --outputpath out --tmppath tmp --config g.cfg
    for disk in out/*.img; do
        run "$PLAT" verify "$disk"
        echo "$output"
        [ "$status" -eq 0 ]
        esp=1
        [ "$disk" != out/mbr-fat-last.img ] || esp=2
        rm -rf files
        "$PLAT" extract -p $esp "$disk" -C files
        cmp files/kernel in/kernel
        cmp files/odd in/odd
        [ "$(ls files | wc -l)" -eq 2 ]
    done
    # The file ends within the last sector of the last partition: worth a warning.
    run "$PLAT" verify --strict out/mbr-odd.img
    [ "$status" -eq 1 ]
    [[ "$output" == *"into the last sector of the partition"* ]]
}

# Catches: a table that firmware does not believe, taken for good because genimage made it and sfdisk sees no error.
@test "genimage without fill: a partition that the image does not fill is an error, and lengthening the image mends it" {
    command -v genimage || skip "genimage is not installed"
    mkdir root in
    head -c 1000100 /dev/urandom >in/odd
    cat >g.cfg <<'R'
image disk.img { hdimage { align = 1M } partition raw { image = "odd" partition-type = 0xDA size = 8M } }
R
    genimage --loglevel 1 --rootpath root --inputpath in --outputpath out --tmppath tmp --config g.cfg
    run sfdisk --verify out/disk.img
    echo "$output"
    [[ "$status" -eq 0 && "$output" == *"No errors detected"*"greater than the maximum"* ]]
    run "$PLAT" verify out/disk.img
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"lengthened to 9437184 bytes"*"refused by ovmf"* ]]
    truncate -s 9437184 out/disk.img
    clean out/disk.img
}

# Catches: a fault that plat misses, or a refusal that plat ascribes to a tool that accepts the image.
@test "each bent table is an error, and whoever is said to refuse it does" {
    mkdir images
    python3 "$BATS_TEST_DIRNAME/table_variants.py" make images
    run python3 "$BATS_TEST_DIRNAME/table_variants.py" compare "$PLAT" images
    echo "$output"
    [ "$status" -eq 0 ]
}

# Catches: a verifier that trusts a disk with two corrupt headers, as those two do.
@test "two corrupt headers: sgdisk -v and sfdisk --verify see no problem, plat does" {
    mkdir images
    python3 "$BATS_TEST_DIRNAME/table_variants.py" make images
    accepted images/both_crc.img
    run "$PLAT" verify images/both_crc.img
    echo "$output"
    [ "$status" -eq 1 ]
    [[ "$output" == *"refused by linux"* && "$output" == *"refused by ovmf"* ]]
}

# Catches: a claim about OVMF that OVMF does not keep, either way.
@test "OVMF boots the ESP of an MBR disk exactly where plat does not say that OVMF refuses the table" {
    efi=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
    [ -e $efi ] && command -v qemu-system-x86_64 || skip "systemd-boot-efi or QEMU is not installed"
    cat >r.json <<R
{ "table": "mbr", "partitions": [
    { "name": "esp", "type": "esp", "format": "fat32", "files": [ { "from": "$efi", "to": "/EFI/BOOT/BOOTX64.EFI" } ] },
    { "name": "data", "type": "linux", "size": "2MiB" } ] }
R
    "$PLAT" build r.json -o whole.img
    cp --sparse=always whole.img last_sector.img
    truncate -s -100 last_sector.img
    cp --sparse=always whole.img past_end.img
    truncate -s -1MiB past_end.img
    cp --sparse=always whole.img beyond.img
    truncate -s -2MiB beyond.img
    for disk in whole last_sector past_end beyond; do
        ovmf_agrees $disk.img
    done
}

# Catches: a claim about Linux that Linux does not keep, either way.
@test "Linux shows the partitions of a disk exactly where plat does not say that it refuses it" {
    mkdir images work
    python3 "$BATS_TEST_DIRNAME/table_variants.py" make images
    mapfile -t names < <(python3 "$BATS_TEST_DIRNAME/table_variants.py" names images)
    run "$BATS_TEST_DIRNAME/linux_partitions.sh" work "${names[@]}"
    [ "$status" -ne 3 ] || skip "$output"
    [ "$status" -eq 0 ]
    echo "$output" >log
    run python3 "$BATS_TEST_DIRNAME/table_variants.py" linux "$PLAT" images log
    echo "$output"
    [ "$status" -eq 0 ]
}

# Catches: a row that lost its finding, or names somebody who accepts it.
@test "each row of the table of GPT variants: its finding, and who refuses it, asked of sgdisk, sfdisk, Linux and OVMF" {
    efi=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
    [ -e $efi ] || skip "systemd-boot-efi is not installed"
    mkdir -p esp/EFI/BOOT rows work
    cp $efi esp/EFI/BOOT/BOOTX64.EFI
    for sector in 512 4096; do
        cat >r.json <<R
{ "table": "gpt", "sector_bytes": $sector, "disk_size": "$((sector == 512 ? 42 : 270))MiB", "partitions": [
    { "name": "esp", "type": "esp", "format": "fat32", "size": "$((sector == 512 ? 40 : 260))MiB",
      "files": [ { "from": "esp", "to": "/" } ] } ] }
R
        "$PLAT" build r.json -o base$sector.img
    done
    "$PLAT" mk fat32 esp -o plain.img
    python3 "$BATS_TEST_DIRNAME/table_variants.py" rows rows base512.img plain.img base4096.img
    run python3 "$BATS_TEST_DIRNAME/table_variants.py" judge-rows "$PLAT" rows
    echo "$output"
    [ "$status" -eq 0 ]
    names=()
    for row in 1 2 3 4 5 6 7 8 9 10 11-4kn; do names+=(rows/row$row.img); done
    run "$BATS_TEST_DIRNAME/linux_partitions.sh" work "${names[@]}"
    [ "$status" -ne 3 ] || skip "$output"
    echo "$output" >log
    run python3 "$BATS_TEST_DIRNAME/table_variants.py" linux-rows rows log
    echo "$output"
    [ "$status" -eq 0 ]
    for disk in "${names[@]}"; do
        ovmf_agrees $disk
    done
}
