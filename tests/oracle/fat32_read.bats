#!/usr/bin/env bats
# FAT32 volumes that strangers made (mkfs.fat, mtools), read and judged by plat; and damage that fsck.fat objects to,
# which plat must object to as well.
#
# Catches: a reading of the format that differs from everybody else's, and faults that fsck.fat sees and plat does not.

setup_file() {
    export LC_ALL=C.UTF-8 TZ=UTC MTOOLS_SKIP_CHECK=1 PATH="$PATH:/usr/sbin:/sbin"
    export PLAT="${PLAT:-$BATS_TEST_DIRNAME/../../build/plat}"
    export TREE="$BATS_FILE_TMPDIR/tree"
    mkdir -p "$TREE/EFI/BOOT" "$TREE/loader/entries" "$TREE/empty directory"
    head -c 300000 /dev/urandom >"$TREE/EFI/BOOT/BOOTX64.EFI"
    head -c 3000001 /dev/urandom >"$TREE/a larger file.bin"
    : >"$TREE/empty"
    for bytes in 1 511 512 513 4095 4096 4097 32767 32768 32769; do
        head -c $bytes /dev/urandom >"$TREE/loader/size-$bytes"
    done
    for i in $(seq 200); do echo $i >"$TREE/loader/entries/entry number $i.conf"; done
    deep="$TREE"
    for i in $(seq 25); do deep="$deep/level-$i"; done
    mkdir -p "$deep"
    echo leaf >"$deep/leaf.txt"
    for name in readme.md README.TXT Makefile Mixed.Txt UPPER.low lower.UPP "a b.txt" .hidden foo.tar.gz a+b.txt a.b.c \
        "x[1].txt" name.html 日本語.txt CON.txt thirteen-char twenty-six-characters-long "$(printf 'n%.0s' $(seq 150))"; do
        echo "$name" >"$TREE/$name"
    done
    find "$TREE" -exec touch -d '2024-02-29 12:34:56 UTC' {} +
}

make_volume() { # IMAGE SIZE MKFS-OPTION...
    rm -f "$1"
    truncate -s "$2" "$1"
    mkfs.fat -F 32 "${@:3}" "$1" >/dev/null
    (shopt -s dotglob && mcopy -Q -s -m -i "$1" "$TREE"/* ::/)
}

same_files() { # IMAGE DIRECTORY
    rm -rf out
    "$PLAT" extract "$1" -C out
    diff -r "$2" out
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

@test "any cluster size, sector size and number of FATs: verify accepts, extract gives every file back" {
    while read -r size options; do
        echo "# $size $options"
        make_volume t.img "$size" $options
        "$PLAT" verify --strict t.img
        same_files t.img "$TREE"
    done <<SHAPES
40M -s 1
80M -s 2 -n LABEL
150M -s 4
300M -s 8
600M -s 16
1200M -s 32
2300M -s 64
4500M -s 128
300M -S 4096 -s 1
150M -S 2048 -s 1
80M -S 1024 -s 1
40M -s 1 -f 1
40M -s 1 -a -R 99
SHAPES
}

@test "times and the empty directory survive" {
    make_volume t.img 40M -s 1
    "$PLAT" extract t.img -C out
    [ -d "out/empty directory" ]
    for f in empty EFI/BOOT/BOOTX64.EFI "a b.txt"; do
        [ "$(stat -c %Y "out/$f")" -eq "$(date -d '2024-02-29 12:34:56 UTC' +%s)" ]
    done
}

@test "after much deleting, renaming and moving with mtools" {
    make_volume t.img 40M -s 1
    cp -r "$TREE" after
    for i in $(seq 1 3 200); do
        mdel -i t.img "::/loader/entries/entry number $i.conf"
        rm "after/loader/entries/entry number $i.conf"
    done
    mdeltree -i t.img ::/level-1
    rm -r after/level-1
    mren -i t.img ::/readme.md '::/a new name that is longer.md'
    mv after/readme.md 'after/a new name that is longer.md'
    mmove -i t.img '::/a larger file.bin' ::/EFI/
    mv 'after/a larger file.bin' after/EFI/
    head -c 2000000 /dev/urandom >after/scattered
    mcopy -i t.img after/scattered ::/
    "$PLAT" verify t.img
    same_files t.img after
}

@test "names that mtools writes in code page 850, without a long name" {
    truncate -s 40M t.img
    mkfs.fat -F 32 -s 1 t.img >/dev/null
    echo x >ünï.txt
    mcopy -i t.img ünï.txt ::/
    "$PLAT" ls t.img | grep -qx 'ünï.txt'
    [ "$("$PLAT" cat t.img /ünï.txt)" = x ]
}

@test "a volume inside a partition" {
    truncate -s 100M disk.img
    sfdisk -q disk.img <<<'label: gpt
start=2048, size=163840, type=uefi, name=esp'
    make_volume t.img 80M -s 1 -n ESP
    dd if=t.img of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
    run "$PLAT" verify disk.img
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *esp.boot.hidden_sectors* ]]
    same_files disk.img "$TREE"
}

@test "what fsck.fat objects to, verify objects to" {
    make_volume t.img 40M -s 1 -n LABEL
    fsck.fat -n t.img >/dev/null
    run python3 - "$PLAT" <<'PYTHON'
import random, struct, subprocess, sys
plat, rng, image = sys.argv[1], random.Random(42), bytearray(open('t.img', 'rb').read())
sector, = struct.unpack_from('<H', image, 11)
reserved, = struct.unpack_from('<H', image, 14)
fats, fat_sectors = image[16], struct.unpack_from('<I', image, 36)[0]
fat, data = reserved * sector, (reserved + fats * fat_sectors) * sector
used = max(i for i in range(2, fat_sectors * sector // 4) if image[fat + 4 * i:fat + 4 * i + 4] != b'\0\0\0\0')
slots = [o for o in range(data, data + 300 * sector, 32) if image[o + 11] in (0x10, 0x20, 0x0F, 0x08) and image[o]]
places = {
    'boot': lambda: [rng.randrange(0, 90)],
    'fsinfo': lambda: [sector + rng.choice([0, 484, 488, 489, 510])],
    'fat': lambda: [at + 4 * entry + byte for entry, byte in [(rng.randrange(0, used + 50), rng.randrange(0, 3))]
                    for at in (fat, fat + fat_sectors * sector)],
    'one fat': lambda: [fat + rng.randrange(0, 4 * used)],
    'slot': lambda: [rng.choice(slots) + rng.choice([0, 1, 8, 11, 20, 21, 26, 27, 28, 29, 30, 31])],
}
objected = missed = 0
for n in range(300):
    kind = list(places)[n % len(places)]
    with open('t.img', 'r+b') as f:
        where, flip = places[kind](), rng.choice([1, 2, 16, 128, 255])
        for at in where:
            f.seek(at)
            f.write(bytes([image[at] ^ flip]))
    # An fsck.fat that dies (it divides by a cluster size of 0) or never ends (some loops) objects, too.
    try:
        theirs = subprocess.run(['fsck.fat', '-n', 't.img'], capture_output=True, stdin=subprocess.DEVNULL, timeout=2)
        objects, said = theirs.returncode != 0, theirs.stdout
    except subprocess.TimeoutExpired:
        objects, said = True, b'(endless)'
    ours = subprocess.run([plat, 'verify', '--strict', '-q', 't.img'], capture_output=True)
    if objects:
        objected += 1
        if ours.returncode == 0:
            missed += 1
            print(f'missed: {kind} {where} ^{flip:02x}:', said.decode(errors='replace'))
    if ours.returncode not in (0, 1, 2):
        missed += 1
        print(f'crashed: {kind} {where} ^{flip:02x}: {ours.returncode}')
    with open('t.img', 'r+b') as f:
        for at in where:
            f.seek(at)
            f.write(bytes([image[at]]))
print(f'{objected} objections of fsck.fat, {missed} missed')
sys.exit(missed != 0 or objected < 100)
PYTHON
    echo "$output"
    [ "$status" -eq 0 ]
}

# Catches: a refusal that plat does not know of, or ascribes to a tool that accepts the volume; a row that lost its finding.
@test "each row of the table of probes: its finding, its severity, who refuses it (asked of fsck.fat, mtools, Linux), and build makes none that is bad" {
    mkdir rows work
    python3 "$BATS_TEST_DIRNAME/fat32_rows.py" make rows
    unset MTOOLS_SKIP_CHECK
    run python3 "$BATS_TEST_DIRNAME/fat32_rows.py" judge "$PLAT" rows
    echo "$output"
    [ "$status" -eq 0 ]
    run python3 "$BATS_TEST_DIRNAME/fat32_rows.py" build "$PLAT" rows
    echo "$output"
    [ "$status" -eq 0 ]
    mapfile -t names < <(python3 "$BATS_TEST_DIRNAME/fat32_rows.py" names rows)
    run "$BATS_TEST_DIRNAME/linux_partitions.sh" work "${names[@]}"
    [ "$status" -ne 3 ] || skip "$output"
    [ "$status" -eq 0 ]
    echo "$output" >log
    run python3 "$BATS_TEST_DIRNAME/fat32_rows.py" linux rows log
    echo "$output"
    [ "$status" -eq 0 ]
}
